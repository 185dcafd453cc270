#include "consumers/jsonl_scan.h"

#include <string.h>

#include "consumers/csv_map.h"
#include "schemas/fields.h"

typedef struct scan {
    const char *p, *end;
} scan;

static void skip_blanks(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
        s->p++;
}

static bool take(scan *s, char c)
{
    skip_blanks(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static bool take_word(scan *s, const char *word, size_t n)
{
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* A string without escapes and control characters, well-formed. */
static bool take_string(scan *s, kd_str *out)
{
    if (!take(s, '"'))
        return false;
    const char *from = s->p;
    unsigned high = 0;
    while (s->p < s->end && *s->p != '"') {
        unsigned char c = (unsigned char)*s->p;
        if (c == '\\' || c < 0x20)
            return false;
        high |= c;
        s->p++;
    }
    if (s->p == s->end)
        return false;
    *out = (kd_str){from, (uint32_t)(s->p - from)};
    s->p++;
    return high < 0x80 || kd_utf8_valid(out->p, out->n);
}

/* Digits without a sign or a leading zero; is_whole: nothing but digits. */
static bool take_number(scan *s, kd_str *out, bool *is_whole)
{
    skip_blanks(s);
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    size_t digits = (size_t)(s->p - from);
    if (digits == 0 || digits > 18 || (*from == '0' && digits > 1))
        return false;
    *is_whole = true;
    if (s->p < s->end && *s->p == '.') {
        *is_whole = false;
        const char *point = s->p++;
        while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
            s->p++;
        if (s->p == point + 1)
            return false;
    }
    *out = (kd_str){from, (uint32_t)(s->p - from)};
    /* Exponents and whatever else are not for us: what follows a value is , or } or a blank. */
    return s->p < s->end && (*s->p == ',' || *s->p == '}' || *s->p == ' ' || *s->p == '\t');
}

static bool take_int(scan *s, int64_t *out)
{
    kd_str text = KD_STR_NULL;
    bool is_whole = false;
    if (!take_number(s, &text, &is_whole) || !is_whole)
        return false;
    int64_t v = 0;
    for (uint32_t i = 0; i < text.n; i++)
        v = v * 10 + (text.p[i] - '0');
    *out = v;
    return true;
}

static bool take_real(scan *s, double *out)
{
    kd_str text = KD_STR_NULL;
    bool is_whole = false;
    return take_number(s, &text, &is_whole) && kd_csv_number(text, '.', out);
}

static bool take_bool(scan *s, bool *out)
{
    skip_blanks(s);
    *out = s->p < s->end && *s->p == 't';
    return *out ? take_word(s, "true", 4) : take_word(s, "false", 5);
}

static bool take_enum(scan *s, const kd_field *f, kd_action *out)
{
    kd_str text = KD_STR_NULL;
    if (!take_string(s, &text))
        return false;
    for (const kd_symbol *sym = f->symbols; sym->name != NULL; sym++) {
        if (strlen(sym->name) == text.n && memcmp(sym->name, text.p, text.n) == 0) {
            *out = sym->action;
            return true;
        }
    }
    return false;
}

static bool take_tags(scan *s, kd_arena *a, kd_record *r)
{
    if (!take(s, '['))
        return false;
    scan ahead = *s;
    kd_str tag = KD_STR_NULL;
    size_t n = 0;
    if (!take(&ahead, ']')) {
        do {
            if (!take_string(&ahead, &tag))
                return false;
            n++;
        } while (take(&ahead, ','));
        if (!take(&ahead, ']'))
            return false;
    }
    kd_str *tags = kd_arena_calloc(a, n, sizeof *tags);
    if (tags == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            (void)take(s, ',');
        (void)take_string(s, &tags[i]);
    }
    *s = ahead;
    r->tags = tags;
    r->n_tags = (uint32_t)n;
    return true;
}

static bool take_value(scan *s, const kd_field *f, kd_arena *a, kd_record *r)
{
    void *to = (char *)r + f->offset;
    skip_blanks(s);
    if (s->p < s->end && *s->p == 'n') /* the record's null stands already */
        return f->is_nullable && take_word(s, "null", 4);
    switch (f->kind) {
    case KD_FIELD_STRING:
        return take_string(s, to);
    case KD_FIELD_TIME:
    case KD_FIELD_LONG:
        return take_int(s, to);
    case KD_FIELD_DOUBLE:
        return take_real(s, to);
    case KD_FIELD_BOOL:
        return take_bool(s, to);
    case KD_FIELD_ENUM:
        return take_enum(s, f, to);
    case KD_FIELD_TAGS:
        return take_tags(s, a, r);
    }
    return false;
}

static bool take_type(scan *s, kd_record_type *out)
{
    kd_str key = KD_STR_NULL, type = KD_STR_NULL;
    if (!take(s, '{') || !take_string(s, &key) || !kd_str_eq(key, (kd_str){"type", 4}) ||
        !take(s, ':') || !take_string(s, &type))
        return false;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        if (kd_str_eq(type, kd_str_of(kd_record_type_name((kd_record_type)t)))) {
            *out = (kd_record_type)t;
            return true;
        }
    }
    return false;
}

/* The field of a key, tried from where the last one stood: writers keep the schema's order. */
static const kd_field *find_field(const kd_field *fields, size_t n, kd_str key, size_t *at)
{
    for (size_t k = 0; k < n; k++) {
        size_t i = *at + k < n ? *at + k : *at + k - n;
        if (strncmp(fields[i].name, key.p, key.n) == 0 && fields[i].name[key.n] == '\0') {
            *at = i + 1 < n ? i + 1 : 0;
            return &fields[i];
        }
    }
    return NULL;
}

bool kd_jsonl_scan(const char *p, size_t n, kd_arena *a, kd_record *out)
{
    scan s = {p, p + n};
    kd_record_type type = KD_BROWSE;
    if (!take_type(&s, &type))
        return false;
    kd_record r = *out;
    kd_fields_init(&r, type);
    size_t n_fields = 0, at = 0;
    const kd_field *fields = kd_fields(type, &n_fields);
    unsigned seen = 0;
    while (take(&s, ',')) {
        kd_str key = KD_STR_NULL;
        if (!take_string(&s, &key) || !take(&s, ':'))
            return false;
        const kd_field *f = find_field(fields, n_fields, key, &at);
        unsigned bit = f == NULL ? 0 : 1u << (f - fields);
        if (bit == 0 || (seen & bit) != 0 || !take_value(&s, f, a, &r))
            return false;
        seen |= bit;
    }
    if (!take(&s, '}'))
        return false;
    skip_blanks(&s);
    if (s.p != s.end)
        return false;
    for (size_t i = 0; i < n_fields; i++)
        if (!fields[i].is_optional && (seen & 1u << i) == 0)
            return false;
    *out = r;
    return true;
}
