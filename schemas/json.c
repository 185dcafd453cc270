#include "schemas/json.h"

#include <string.h>

#include "base/timefmt.h"
#include "schemas/fields.h"
#include "schemas/jval.h"

static kd_rc wrong_type(const kd_field *f, const char *wanted, const kd_jval *v, kd_err *err)
{
    return kd_bad(err, KD_REASON_FIELD, "%s is %s where %s%s belongs", f->name,
                  kd_jval_kind_name(v), wanted, f->is_nullable ? " or null" : "");
}

static kd_rc get_string(const kd_field *f, const kd_jval *v, kd_arena *a, void *to, kd_err *err)
{
    kd_str s = kd_jval_str(v);
    if (s.p == NULL)
        return wrong_type(f, "a string", v, err);
    return kd_arena_str(a, s, to, err);
}

static kd_rc get_time(const kd_field *f, const kd_jval *v, void *to, kd_err *err)
{
    if (kd_jval_kind(v) == KD_JINT) {
        *(kd_ms *)to = kd_jval_int(v);
        return KD_OK;
    }
    if (kd_jval_kind(v) != KD_JSTR)
        return wrong_type(f, "an integer (milliseconds since 1970 UTC) or ISO 8601 text", v, err);
    return kd_time_parse_iso(kd_jval_str(v), to, err);
}

static kd_rc get_long(const kd_field *f, const kd_jval *v, void *to, kd_err *err)
{
    if (kd_jval_kind(v) != KD_JINT)
        return wrong_type(f, "an integer", v, err);
    int64_t x = kd_jval_int(v);
    if (x < 0 && f->is_nullable)
        return kd_bad(err, KD_REASON_NUMBER, "%s %lld is negative", f->name, (long long)x);
    *(int64_t *)to = x;
    return KD_OK;
}

static kd_rc get_double(const kd_field *f, const kd_jval *v, void *to, kd_err *err)
{
    if (kd_jval_kind(v) != KD_JINT && kd_jval_kind(v) != KD_JREAL)
        return wrong_type(f, "a number", v, err);
    double x = kd_jval_real(v);
    if (x < 0 && f->is_nullable)
        return kd_bad(err, KD_REASON_NUMBER, "%s %g is negative", f->name, x);
    *(double *)to = x;
    return KD_OK;
}

static kd_rc get_enum(const kd_field *f, const kd_jval *v, void *to, kd_err *err)
{
    kd_str s = kd_jval_str(v);
    if (s.p == NULL)
        return wrong_type(f, "a string", v, err);
    for (const kd_symbol *sym = f->symbols; sym->name != NULL; sym++) {
        if (kd_str_eq(s, kd_str_of(sym->name))) {
            *(kd_action *)to = sym->action;
            return KD_OK;
        }
    }
    return kd_bad(err, KD_REASON_FIELD, "%s \"%.40s\" is none of %s", f->name, s.p,
                  f->symbols_text);
}

static kd_rc get_tags(const kd_field *f, const kd_jval *v, kd_arena *a, kd_record *r, kd_err *err)
{
    if (kd_jval_kind(v) != KD_JARRAY)
        return wrong_type(f, "an array of strings", v, err);
    size_t n = kd_jval_size(v);
    kd_str *tags = kd_arena_calloc(a, n, sizeof *tags);
    if (tags == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for %zu tags", n);
    for (size_t i = 0; i < n; i++) {
        const kd_jval *tag = kd_jval_at(v, i);
        if (kd_jval_kind(tag) != KD_JSTR)
            return kd_bad(err, KD_REASON_FIELD, "%s[%zu] is %s where a string belongs", f->name, i,
                          kd_jval_kind_name(tag));
        KD_TRY(kd_arena_str(a, kd_jval_str(tag), &tags[i], err));
    }
    r->tags = tags;
    r->n_tags = (uint32_t)n;
    return KD_OK;
}

static kd_rc get_field(const kd_field *f, const kd_jval *v, kd_arena *a, kd_record *r, kd_err *err)
{
    void *to = (char *)r + f->offset;
    switch (f->kind) {
    case KD_FIELD_STRING:
        return get_string(f, v, a, to, err);
    case KD_FIELD_TIME:
        return get_time(f, v, to, err);
    case KD_FIELD_LONG:
        return get_long(f, v, to, err);
    case KD_FIELD_DOUBLE:
        return get_double(f, v, to, err);
    case KD_FIELD_BOOL:
        if (kd_jval_kind(v) != KD_JBOOL)
            return wrong_type(f, "true or false", v, err);
        *(bool *)to = kd_jval_bool(v);
        return KD_OK;
    case KD_FIELD_ENUM:
        return get_enum(f, v, to, err);
    case KD_FIELD_TAGS:
        return get_tags(f, v, a, r, err);
    }
    return KD_OK;
}

static kd_rc get_type(const kd_jval *root, kd_record_type *out, kd_err *err)
{
    const char *wanted = "BrowseEvent, PurchaseEvent, CatalogItem, ForgetRequest";
    if (kd_jval_kind(root) != KD_JOBJECT)
        return kd_bad(err, KD_REASON_DECODE, "the line is %s where an object belongs",
                      kd_jval_kind_name(root));
    const kd_jval *type = kd_jval_get(root, "type");
    if (type == NULL)
        return kd_bad(err, KD_REASON_FIELD, "type is missing: one of %s", wanted);
    kd_str s = kd_jval_str(type);
    for (int t = 0; t < KD_RECORD_TYPES && s.p != NULL; t++) {
        if (kd_str_eq(s, kd_str_of(kd_record_type_name((kd_record_type)t)))) {
            *out = (kd_record_type)t;
            return KD_OK;
        }
    }
    if (s.p == NULL)
        return kd_bad(err, KD_REASON_FIELD, "type is %s: one of %s", kd_jval_kind_name(type),
                      wanted);
    return kd_bad(err, KD_REASON_FIELD, "type \"%.40s\" is none of %s", s.p, wanted);
}

static kd_rc get_event(const kd_jval *root, kd_arena *a, kd_record *out, kd_err *err)
{
    kd_record_type type = KD_BROWSE;
    KD_TRY(get_type(root, &type, err));
    kd_record r = *out;
    kd_fields_init(&r, type);
    size_t n;
    const kd_field *fields = kd_fields(type, &n);
    for (size_t i = 0; i < n; i++) {
        const kd_jval *v = kd_jval_get(root, fields[i].name);
        if (v == NULL && !fields[i].is_optional)
            return kd_bad(err, KD_REASON_FIELD, "%s is missing in %s", fields[i].name,
                          kd_record_type_name(type));
        if (v == NULL || (kd_jval_kind(v) == KD_JNULL && fields[i].is_nullable))
            continue;
        KD_TRY(get_field(&fields[i], v, a, &r, err));
    }
    *out = r;
    return KD_OK;
}

kd_rc kd_json_event_parse(const char *p, size_t n, kd_arena *a, kd_record *out, kd_err *err)
{
    if (n > KD_JSON_LINE_MAX)
        return kd_bad(err, KD_REASON_TOO_LARGE, "the line has %zu bytes, at most %d are allowed", n,
                      (int)KD_JSON_LINE_MAX);
    kd_jval *root;
    KD_TRY(kd_jval_parse(p, n, &root, err));
    kd_rc rc = get_event(root, a, out, err);
    kd_jval_free(root);
    return rc;
}
