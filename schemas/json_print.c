#include "schemas/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "schemas/fields.h"

/* Bytes that stand for themselves in a JSON string. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static void put_escape(kd_buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
        kd_buf_adds(out, "\\\"");
        return;
    case '\\':
        kd_buf_adds(out, "\\\\");
        return;
    case '\n':
        kd_buf_adds(out, "\\n");
        return;
    case '\r':
        kd_buf_adds(out, "\\r");
        return;
    case '\t':
        kd_buf_adds(out, "\\t");
        return;
    default: {
        char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        kd_buf_add(out, u, sizeof u);
    }
    }
}

static void put_text(kd_buf *out, const char *p, size_t n)
{
    kd_buf_addc(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_plain((unsigned char)p[i]))
            continue;
        kd_buf_add(out, p + from, i - from);
        put_escape(out, (unsigned char)p[i]);
        from = i + 1;
    }
    kd_buf_add(out, p + from, n - from);
    kd_buf_addc(out, '"');
}

/* Length of the well-formed UTF-8 sequence at p, 0 if there is none. */
static size_t utf8_len(const char *p, size_t n)
{
    for (size_t len = 1; len <= 4 && len <= n; len++)
        if (kd_utf8_valid(p, len))
            return len;
    return 0;
}

static void put_mended(kd_buf *out, const char *p, size_t n)
{
    kd_buf mended = {0};
    for (size_t i = 0; i < n;) {
        size_t len = utf8_len(p + i, n - i);
        if (len == 0)
            kd_buf_add(&mended, "\xEF\xBF\xBD", 3);
        else
            kd_buf_add(&mended, p + i, len);
        i += len == 0 ? 1 : len;
    }
    out->failed = out->failed || mended.failed;
    put_text(out, mended.p == NULL ? "" : mended.p, mended.n);
    kd_buf_dispose(&mended);
}

void kd_json_str(kd_buf *out, kd_str s)
{
    if (s.p == NULL)
        kd_buf_add(out, "null", 4);
    else if (kd_utf8_valid(s.p, s.n))
        put_text(out, s.p, s.n);
    else
        put_mended(out, s.p, s.n);
}

static void put_base64(kd_buf *out, const unsigned char *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t w = (uint32_t)p[i] << 16;
        w |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        w |= i + 2 < n ? p[i + 2] : 0;
        char q[4] = {digit[w >> 18], digit[w >> 12 & 63], i + 1 < n ? digit[w >> 6 & 63] : '=',
                     i + 2 < n ? digit[w & 63] : '='};
        kd_buf_add(out, q, sizeof q);
    }
}

void kd_json_bytes(kd_buf *out, const void *p, size_t n)
{
    if (p == NULL) {
        kd_buf_add(out, "null", 4);
    } else if (kd_utf8_valid(p, n) && memchr(p, '\0', n) == NULL) {
        put_text(out, p, n);
    } else {
        kd_buf_adds(out, "{\"base64\":\"");
        put_base64(out, p, n);
        kd_buf_adds(out, "\"}");
    }
}

void kd_json_int(kd_buf *out, int64_t x)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t u = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u != 0);
    if (x < 0)
        digits[--at] = '-';
    kd_buf_add(out, digits + at, sizeof digits - at);
}

void kd_json_real(kd_buf *out, double x)
{
    if (!isfinite(x)) {
        kd_buf_add(out, "null", 4);
        return;
    }
    if (fabs(x) < 1e15 && x == (double)(int64_t)x && !(x == 0 && signbit(x))) {
        kd_json_int(out, (int64_t)x); /* as %.17g prints it, sooner */
        return;
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%.17g", x);
    kd_buf_add(out, text, (size_t)n);
}

/* `lead` is everything before the value: separator, name, colon. */
static void put_str_field(kd_buf *out, const char *lead, kd_str s)
{
    kd_buf_adds(out, lead);
    kd_json_str(out, s);
}

static void put_int_field(kd_buf *out, const char *lead, int64_t x)
{
    kd_buf_adds(out, lead);
    kd_json_int(out, x);
}

static void put_enum(kd_buf *out, const kd_field *f, kd_action action)
{
    kd_str name = KD_STR_NULL;
    for (const kd_symbol *s = f->symbols; s->name != NULL; s++)
        if (s->action == action)
            name = kd_str_of(s->name);
    kd_json_str(out, name);
}

static void put_tags(kd_buf *out, const kd_record *r)
{
    kd_buf_addc(out, '[');
    for (uint32_t i = 0; i < r->n_tags; i++) {
        if (i > 0)
            kd_buf_addc(out, ',');
        kd_json_str(out, r->tags[i]);
    }
    kd_buf_addc(out, ']');
}

static void put_field(kd_buf *out, const kd_record *r, const kd_field *f)
{
    const void *at = (const char *)r + f->offset;
    switch (f->kind) {
    case KD_FIELD_STRING:
        kd_json_str(out, *(const kd_str *)at);
        return;
    case KD_FIELD_TIME:
        kd_json_int(out, *(const kd_ms *)at);
        return;
    case KD_FIELD_LONG:
        if (f->is_nullable && *(const int64_t *)at < 0)
            kd_buf_add(out, "null", 4);
        else
            kd_json_int(out, *(const int64_t *)at);
        return;
    case KD_FIELD_DOUBLE:
        if (f->is_nullable && !(*(const double *)at >= 0))
            kd_buf_add(out, "null", 4);
        else
            kd_json_real(out, *(const double *)at);
        return;
    case KD_FIELD_BOOL:
        kd_buf_adds(out, *(const bool *)at ? "true" : "false");
        return;
    case KD_FIELD_ENUM:
        put_enum(out, f, *(const kd_action *)at);
        return;
    case KD_FIELD_TAGS:
        put_tags(out, r);
        return;
    }
}

void kd_json_event_print(const kd_record *r, kd_buf *out)
{
    size_t n;
    const kd_field *fields = kd_fields(r->type, &n);
    kd_buf_adds(out, "{\"type\":\"");
    kd_buf_adds(out, kd_record_type_name(r->type));
    kd_buf_addc(out, '"');
    for (size_t i = 0; i < n; i++) {
        kd_buf_add(out, ",\"", 2);
        kd_buf_adds(out, fields[i].name);
        kd_buf_add(out, "\":", 2);
        put_field(out, r, &fields[i]);
    }
    kd_buf_addc(out, '}');
}

static void put_trigger(kd_buf *out, const kd_pos *pos, kd_str event_id)
{
    put_str_field(out, ",\"trigger\":{\"topic\":", kd_str_of(pos->topic));
    put_int_field(out, ",\"partition\":", pos->partition);
    put_int_field(out, ",\"offset\":", pos->offset);
    put_str_field(out, ",\"event_id\":", event_id);
    kd_buf_addc(out, '}');
}

void kd_json_parts(kd_buf *out, const kd_item *it)
{
    for (int p = 0; p < KD_PARTS; p++) {
        kd_buf_addc(out, p == 0 ? '{' : ',');
        kd_json_str(out, kd_str_of(kd_part_name((kd_part)p)));
        kd_buf_addc(out, ':');
        if (kd_item_has(it, p))
            kd_json_real(out, it->parts[p]);
        else
            kd_buf_add(out, "null", 4);
    }
    kd_buf_addc(out, '}');
}

static void put_why(kd_buf *out, const kd_why *w)
{
    put_str_field(out, "{\"kind\":", kd_str_of(kd_why_kind_name(w->kind)));
    kd_buf_adds(out, ",\"ids\":[");
    for (uint32_t i = 0; i < w->n_ids; i++)
        put_str_field(out, i > 0 ? "," : "", w->ids[i]);
    kd_buf_adds(out, "],\"count\":");
    if (w->count < 0)
        kd_buf_add(out, "null", 4);
    else
        kd_json_int(out, w->count);
    kd_buf_addc(out, '}');
}

static void put_item(kd_buf *out, const kd_item *it)
{
    put_str_field(out, "{\"item_id\":", it->item_id);
    kd_buf_adds(out, ",\"score\":");
    kd_json_real(out, it->score);
    kd_buf_adds(out, ",\"parts\":");
    kd_json_parts(out, it);
    kd_buf_adds(out, ",\"reasons\":[");
    for (uint32_t i = 0; i < it->n_reasons; i++) {
        if (i > 0)
            kd_buf_addc(out, ',');
        put_why(out, &it->reasons[i]);
    }
    kd_buf_add(out, "]}", 2);
}

static void put_update(kd_buf *out, const kd_update *u)
{
    put_str_field(out, "{\"shopper_id\":", u->shopper_id);
    put_int_field(out, ",\"time\":", u->time);
    put_int_field(out, ",\"state_time\":", u->state_time);
    put_trigger(out, &u->trigger, u->event_id);
    kd_buf_adds(out, ",\"items\":[");
    for (uint32_t i = 0; i < u->n_items; i++) {
        if (i > 0)
            kd_buf_addc(out, ',');
        put_item(out, &u->items[i]);
    }
    kd_buf_add(out, "]}", 2);
}

static void put_similar(kd_buf *out, const kd_similar *s)
{
    put_str_field(out, "{\"shopper_id\":", s->shopper_id);
    put_int_field(out, ",\"time\":", s->time);
    kd_buf_adds(out, ",\"neighbours\":[");
    for (uint32_t i = 0; i < s->n_neighbours; i++) {
        put_str_field(
            out, i > 0 ? ",{\"shopper_id\":" : "{\"shopper_id\":", s->neighbours[i].shopper_id);
        kd_buf_adds(out, ",\"similarity\":");
        kd_json_real(out, s->neighbours[i].similarity);
        kd_buf_addc(out, '}');
    }
    kd_buf_add(out, "]}", 2);
}

static void put_needs_list(kd_buf *out, const char *name, const kd_need *list, uint32_t n)
{
    kd_buf_adds(out, name);
    for (uint32_t k = 0; k < n; k++) {
        put_str_field(out, k > 0 ? ",{\"name\":" : "{\"name\":", list[k].name);
        kd_buf_adds(out, ",\"weight\":");
        kd_json_real(out, list[k].weight);
        kd_buf_addc(out, '}');
    }
    kd_buf_addc(out, ']');
}

static void put_needs(kd_buf *out, const kd_needs *x)
{
    put_str_field(out, "{\"shopper_id\":", x->shopper_id);
    put_int_field(out, ",\"time\":", x->time);
    put_int_field(out, ",\"products\":", x->products);
    put_needs_list(out, ",\"terms\":[", x->terms, x->n_terms);
    put_needs_list(out, ",\"categories\":[", x->categories, x->n_categories);
    put_needs_list(out, ",\"brands\":[", x->brands, x->n_brands);
    kd_buf_addc(out, '}');
}

static void put_dead_letter(kd_buf *out, const kd_dead_letter *d)
{
    put_str_field(out, "{\"topic\":", kd_str_of(d->pos.topic));
    put_int_field(out, ",\"partition\":", d->pos.partition);
    put_int_field(out, ",\"offset\":", d->pos.offset);
    put_str_field(out, ",\"reason\":", kd_str_of(kd_reason_text(d->reason)));
    put_str_field(out, ",\"message\":", kd_str_of(d->message));
    kd_buf_adds(out, ",\"key\":");
    kd_json_bytes(out, d->key, d->key_len);
    kd_buf_adds(out, ",\"value\":");
    kd_json_bytes(out, d->value, d->value_len);
    kd_buf_addc(out, '}');
}

static void put_receipt(kd_buf *out, const kd_receipt *r)
{
    char before[33], after[33];
    kd_digest_hex(r->before, before);
    kd_digest_hex(r->after, after);
    put_str_field(out, "{\"request_id\":", r->request_id);
    put_str_field(out, ",\"shopper_hash\":", r->shopper_hash);
    put_int_field(out, ",\"time\":", r->time);
    put_trigger(out, &r->trigger, KD_STR_NULL);
    put_int_field(out, ",\"interactions\":", r->interactions);
    put_int_field(out, ",\"postings\":", r->postings);
    put_int_field(out, ",\"sessions\":", r->sessions);
    put_str_field(out, ",\"digest_before\":", kd_str_of(before));
    put_str_field(out, ",\"digest_after\":", kd_str_of(after));
    kd_buf_addc(out, '}');
}

void kd_json_out_print(const kd_out *o, kd_buf *out)
{
    switch (o->type) {
    case KD_OUT_UPDATE:
        put_update(out, o->update);
        return;
    case KD_OUT_SIMILAR:
        put_similar(out, o->similar);
        return;
    case KD_OUT_DEAD_LETTER:
        put_dead_letter(out, o->dead_letter);
        return;
    case KD_OUT_RECEIPT:
        put_receipt(out, o->receipt);
        return;
    case KD_OUT_NEEDS:
        put_needs(out, o->needs);
        return;
    case KD_OUT_FORGOTTEN:
        put_str_field(out, "{\"shopper_id\":", o->forgotten);
        kd_buf_adds(out, ",\"forgotten\":true}");
        return;
    }
}
