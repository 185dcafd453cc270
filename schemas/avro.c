#include "schemas/avro.h"

#include <endian.h>
#include <string.h>

#include "schemas/avro_texts.h"

const char *kd_schema_name(kd_schema_id id)
{
    static const char *const names[KD_SCHEMAS] = {
        "BrowseEvent",   "PurchaseEvent",        "CatalogItem",
        "ForgetRequest", "RecommendationUpdate", "SimilarShoppers",
        "DeadLetter",    "ForgetReceipt",        "ShopperNeeds"};
    return (unsigned)id < KD_SCHEMAS ? names[id] : "unknown";
}

const char *kd_schema_text(kd_schema_id id)
{
    KD_ASSERT((unsigned)id < KD_SCHEMAS);
    return kd_avro_texts[id];
}

bool kd_schema_by_name(kd_str name, kd_schema_id *out)
{
    for (uint32_t i = 0; i < name.n; i++) {
        if (name.p[name.n - 1 - i] == '.') {
            name = (kd_str){name.p + name.n - i, i};
            break;
        }
    }
    for (int i = 0; i < KD_SCHEMAS; i++) {
        if (kd_str_eq(name, kd_str_of(kd_schema_name((kd_schema_id)i)))) {
            *out = (kd_schema_id)i;
            return true;
        }
    }
    return false;
}

kd_schema_id kd_schema_of_out(kd_out_type type)
{
    switch (type) {
    case KD_OUT_UPDATE:
        return KD_SCHEMA_UPDATE;
    case KD_OUT_SIMILAR:
        return KD_SCHEMA_SIMILAR;
    case KD_OUT_DEAD_LETTER:
        return KD_SCHEMA_DEAD_LETTER;
    case KD_OUT_RECEIPT:
        return KD_SCHEMA_RECEIPT;
    case KD_OUT_NEEDS:
        return KD_SCHEMA_NEEDS;
    case KD_OUT_FORGOTTEN:
        break;
    }
    return KD_SCHEMAS;
}

/* ---- writing: a cursor over room that was asked for once per record or list entry ---- */

enum { LONG_MAX_BYTES = 10, DOUBLE_BYTES = 8, FLOAT_BYTES = 4 };

static char *put_long(char *p, int64_t x)
{
    uint64_t z = ((uint64_t)x << 1) ^ (uint64_t)(x >> 63); /* zigzag: small either sign, short */
    while (z >= 0x80) {
        *p++ = (char)(z | 0x80);
        z >>= 7;
    }
    *p++ = (char)z;
    return p;
}

/* Ids and words are short: they are copied in two pieces that may overlap, without a call. */
static void copy_bytes(char *p, const char *s, size_t n)
{
    if (n > 16) {
        memcpy(p, s, n);
    } else if (n >= 8) {
        uint64_t a, b;
        memcpy(&a, s, sizeof a);
        memcpy(&b, s + n - sizeof b, sizeof b);
        memcpy(p, &a, sizeof a);
        memcpy(p + n - sizeof b, &b, sizeof b);
    } else if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, s, sizeof a);
        memcpy(&b, s + n - sizeof b, sizeof b);
        memcpy(p, &a, sizeof a);
        memcpy(p + n - sizeof b, &b, sizeof b);
    } else if (n > 0) {
        char mid = s[n / 2], last = s[n - 1];
        p[0] = s[0];
        p[n / 2] = mid;
        p[n - 1] = last;
    }
}

static char *put_bytes(char *p, const void *s, size_t n)
{
    p = put_long(p, (int64_t)n);
    copy_bytes(p, s, n);
    return p + n;
}

static char *put_str(char *p, kd_str s)
{
    return put_bytes(p, s.p, s.n);
}

/* ["null", "string"] */
static char *put_nstr(char *p, kd_str s)
{
    if (s.p == NULL) {
        *p = 0;
        return p + 1;
    }
    *p = 2;
    return put_str(p + 1, s);
}

static char *put_double(char *p, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = htole64(bits);
    memcpy(p, &bits, sizeof bits);
    return p + DOUBLE_BYTES;
}

static char *put_float(char *p, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = htole32(bits);
    memcpy(p, &bits, sizeof bits);
    return p + FLOAT_BYTES;
}

/* ["null", "double"] where a negative number (and NaN, which is no price) stands for null */
static char *put_price(char *p, double x)
{
    if (!(x >= 0)) {
        *p = 0;
        return p + 1;
    }
    *p = 2;
    return put_double(p + 1, x);
}

/* ["null", "long"] where a negative number stands for null */
static char *put_nlong(char *p, int64_t x)
{
    if (x < 0) {
        *p = 0;
        return p + 1;
    }
    *p = 2;
    return put_long(p + 1, x);
}

static char *put_bool(char *p, bool x)
{
    *p = x ? 1 : 0;
    return p + 1;
}

static char *put_nbytes(char *p, const void *s, size_t n)
{
    if (s == NULL) {
        *p = 0;
        return p + 1;
    }
    *p = 2;
    return put_bytes(p + 1, s, n);
}

/* What a string takes at most, with its length and a union's branch. */
static size_t str_room(kd_str s)
{
    return (size_t)s.n + LONG_MAX_BYTES + 1;
}

static void advance(kd_buf *b, const char *end)
{
    b->n = (size_t)(end - b->p);
}

/* ---- records ---- */

static char *put_browse(char *p, const kd_record *r)
{
    static const int64_t symbol[KD_ACTIONS] = {[KD_VIEW] = 0, [KD_CART] = 1, [KD_LIKE] = 2};
    p = put_nstr(p, r->event_id);
    p = put_nstr(p, r->user_id);
    p = put_nstr(p, r->session_id);
    p = put_str(p, r->item_id);
    p = put_long(p, symbol[r->action]);
    p = put_long(p, r->time);
    return put_nlong(p, r->dwell_ms);
}

static char *put_purchase(char *p, const kd_record *r)
{
    p = put_nstr(p, r->event_id);
    p = put_nstr(p, r->order_id);
    p = put_nstr(p, r->user_id);
    p = put_nstr(p, r->session_id);
    p = put_str(p, r->item_id);
    p = put_long(p, r->quantity);
    p = put_price(p, r->price);
    p = put_nstr(p, r->currency);
    p = put_long(p, r->action == KD_CANCELLED ? 1 : 0);
    return put_long(p, r->time);
}

static char *put_catalog(char *p, const kd_record *r)
{
    p = put_str(p, r->item_id);
    p = put_nstr(p, r->title);
    p = put_nstr(p, r->description);
    p = put_nstr(p, r->category);
    p = put_nstr(p, r->brand);
    p = put_price(p, r->price);
    if (r->n_tags > 0) {
        p = put_long(p, r->n_tags);
        for (uint32_t i = 0; i < r->n_tags; i++)
            p = put_str(p, r->tags[i]);
    }
    p = put_long(p, 0);
    p = put_bool(p, r->available);
    p = put_long(p, r->time);
    return put_bool(p, r->removed);
}

static char *put_forget(char *p, const kd_record *r)
{
    p = put_nstr(p, r->event_id);
    p = put_str(p, r->user_id);
    return put_long(p, r->time);
}

void kd_record_encode(const kd_record *r, kd_buf *out)
{
    size_t room = 128 + str_room(r->event_id) + str_room(r->order_id) + str_room(r->user_id) +
                  str_room(r->session_id) + str_room(r->item_id) + str_room(r->currency) +
                  str_room(r->title) + str_room(r->description) + str_room(r->category) +
                  str_room(r->brand);
    for (uint32_t i = 0; i < r->n_tags; i++)
        room += str_room(r->tags[i]);
    char *p = kd_buf_room(out, room);
    if (p == NULL)
        return;
    switch (r->type) {
    case KD_BROWSE:
        p = put_browse(p, r);
        break;
    case KD_PURCHASE:
        p = put_purchase(p, r);
        break;
    case KD_CATALOG:
        p = put_catalog(p, r);
        break;
    case KD_FORGET:
        p = put_forget(p, r);
        break;
    default:
        KD_ASSERT(!"a record of no type");
    }
    advance(out, p);
}

/* ---- outputs ---- */

static char *put_trigger(char *p, const kd_pos *pos, kd_str topic, kd_str event_id)
{
    p = put_str(p, topic);
    p = put_long(p, pos->partition);
    p = put_long(p, pos->offset);
    return put_nstr(p, event_id);
}

const char *kd_part_name(kd_part part)
{
    static const char *const names[KD_PARTS] = {"usercf",     "together", "content",
                                                "popularity", "rule",     "diversity"};
    return (unsigned)part < KD_PARTS ? names[part] : "unknown";
}

const char *kd_why_kind_name(kd_why_kind kind)
{
    static const char *const names[KD_KINDS] = {"SIMILAR_SHOPPERS", "TOGETHER", "YOUR_ITEM",
                                                "MATCHED_TERMS",    "POPULAR",  "OTHER"};
    return (unsigned)kind < KD_KINDS ? names[kind] : names[KD_KIND_OTHER];
}

enum { PARTS_ROOM = KD_PARTS * (1 + DOUBLE_BYTES) };

/* Each is written, without a branch (the loop is unrolled), and what it has not got is written
 * over. */
static char *put_parts(char *p, const kd_item *it)
{
    for (int k = 0; k < KD_PARTS; k++) {
        const size_t has = it->has >> k & 1;
        *p = (char)(2 * has);
        if (kd_part_is_float(k)) {
            (void)put_float(p + 1, (float)it->parts[k]);
            p += 1 + has * FLOAT_BYTES;
        } else {
            (void)put_double(p + 1, it->parts[k]);
            p += 1 + has * DOUBLE_BYTES;
        }
    }
    return p;
}

static size_t item_room(const kd_item *it)
{
    size_t room = str_room(it->item_id) + DOUBLE_BYTES + PARTS_ROOM + 4 * LONG_MAX_BYTES;
    for (uint32_t i = 0; i < it->n_reasons; i++) {
        const kd_why *w = &it->reasons[i];
        room += 5 * (size_t)LONG_MAX_BYTES;
        for (uint32_t j = 0; j < w->n_ids; j++)
            room += str_room(w->ids[j]);
    }
    return room;
}

static char *put_why(char *p, const kd_why *w)
{
    p = put_long(p, w->kind);
    if (w->n_ids > 0) {
        p = put_long(p, w->n_ids);
        for (uint32_t i = 0; i < w->n_ids; i++)
            p = put_str(p, w->ids[i]);
    }
    p = put_long(p, 0);
    return put_nlong(p, w->count);
}

static void encode_item(const kd_item *it, kd_buf *out)
{
    char *p = kd_buf_room(out, item_room(it));
    if (p == NULL)
        return;
    p = put_str(p, it->item_id);
    p = put_double(p, it->score);
    p = put_parts(p, it);
    if (it->n_reasons > 0) {
        p = put_long(p, it->n_reasons);
        for (uint32_t i = 0; i < it->n_reasons; i++)
            p = put_why(p, &it->reasons[i]);
    }
    advance(out, put_long(p, 0));
}

void kd_update_encode(const kd_update *u, kd_buf *out)
{
    kd_str topic = kd_str_of(u->trigger.topic);
    char *p = kd_buf_room(out, str_room(u->shopper_id) + str_room(topic) + str_room(u->event_id) +
                                   8 * LONG_MAX_BYTES);
    if (p == NULL)
        return;
    p = put_str(p, u->shopper_id);
    p = put_long(p, u->time);
    p = put_long(p, u->state_time);
    p = put_trigger(p, &u->trigger, topic, u->event_id);
    if (u->n_items > 0)
        p = put_long(p, u->n_items);
    advance(out, p);
    for (uint32_t i = 0; i < u->n_items; i++)
        encode_item(&u->items[i], out);
    kd_buf_addc(out, 0);
}

static void similar_encode(const kd_similar *s, kd_buf *out)
{
    size_t room = str_room(s->shopper_id) + 4 * LONG_MAX_BYTES;
    for (uint32_t i = 0; i < s->n_neighbours; i++)
        room += str_room(s->neighbours[i].shopper_id) + DOUBLE_BYTES;
    char *p = kd_buf_room(out, room);
    if (p == NULL)
        return;
    p = put_str(p, s->shopper_id);
    p = put_long(p, s->time);
    if (s->n_neighbours > 0) {
        p = put_long(p, s->n_neighbours);
        for (uint32_t i = 0; i < s->n_neighbours; i++) {
            p = put_str(p, s->neighbours[i].shopper_id);
            p = put_double(p, s->neighbours[i].similarity);
        }
    }
    advance(out, put_long(p, 0));
}

static void dead_letter_encode(const kd_dead_letter *d, kd_buf *out)
{
    kd_str topic = kd_str_of(d->pos.topic), message = kd_str_of(d->message);
    kd_str reason = kd_str_of(kd_reason_text(d->reason));
    size_t room = str_room(topic) + str_room(message) + str_room(reason) + 6 * LONG_MAX_BYTES +
                  d->key_len + d->value_len;
    char *p = kd_buf_room(out, room);
    if (p == NULL)
        return;
    p = put_str(p, topic);
    p = put_long(p, d->pos.partition);
    p = put_long(p, d->pos.offset);
    p = put_str(p, reason);
    p = put_str(p, message);
    p = put_nbytes(p, d->key, d->key_len);
    advance(out, put_nbytes(p, d->value, d->value_len));
}

static void receipt_encode(const kd_receipt *r, kd_buf *out)
{
    kd_str topic = kd_str_of(r->trigger.topic);
    char before[33], after[33];
    kd_digest_hex(r->before, before);
    kd_digest_hex(r->after, after);
    char *p = kd_buf_room(out, str_room(r->request_id) + str_room(r->shopper_hash) +
                                   str_room(topic) + 10 * LONG_MAX_BYTES + 2 * 33);
    if (p == NULL)
        return;
    p = put_nstr(p, r->request_id);
    p = put_str(p, r->shopper_hash);
    p = put_long(p, r->time);
    p = put_trigger(p, &r->trigger, topic, KD_STR_NULL);
    p = put_long(p, r->interactions);
    p = put_long(p, r->postings);
    p = put_long(p, r->sessions);
    p = put_str(p, kd_str_of(before));
    advance(out, put_str(p, kd_str_of(after)));
}

static size_t needs_room(const kd_need *list, uint32_t n)
{
    size_t room = 2 * LONG_MAX_BYTES;
    for (uint32_t k = 0; k < n; k++)
        room += str_room(list[k].name) + DOUBLE_BYTES;
    return room;
}

static char *put_needs(char *p, const kd_need *list, uint32_t n)
{
    if (n > 0)
        p = put_long(p, n);
    for (uint32_t k = 0; k < n; k++) {
        p = put_str(p, list[k].name);
        p = put_double(p, list[k].weight);
    }
    return put_long(p, 0);
}

static void needs_encode(const kd_needs *x, kd_buf *out)
{
    char *p = kd_buf_room(
        out, str_room(x->shopper_id) + 2 * LONG_MAX_BYTES + needs_room(x->terms, x->n_terms) +
                 needs_room(x->categories, x->n_categories) + needs_room(x->brands, x->n_brands));
    if (p == NULL)
        return;
    p = put_str(p, x->shopper_id);
    p = put_long(p, x->time);
    p = put_long(p, x->products);
    p = put_needs(p, x->terms, x->n_terms);
    p = put_needs(p, x->categories, x->n_categories);
    advance(out, put_needs(p, x->brands, x->n_brands));
}

void kd_out_encode(const kd_out *o, kd_buf *out)
{
    if (o->encoded.p != NULL) {
        kd_buf_add(out, o->encoded.p, o->encoded.n);
        return;
    }
    switch (o->type) {
    case KD_OUT_UPDATE:
        kd_update_encode(o->update, out);
        break;
    case KD_OUT_SIMILAR:
        similar_encode(o->similar, out);
        break;
    case KD_OUT_DEAD_LETTER:
        dead_letter_encode(o->dead_letter, out);
        break;
    case KD_OUT_RECEIPT:
        receipt_encode(o->receipt, out);
        break;
    case KD_OUT_NEEDS:
        needs_encode(o->needs, out);
        break;
    case KD_OUT_FORGOTTEN:
        break;
    }
}
