#include "operators/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* Names and their factors, equal names multiplied. */
typedef struct factors {
    kd_ids names;
    double *factor; /* [cap] by slot of `names` */
    uint32_t cap;
} factors;

struct kd_rules {
    factors items, terms; /* of terms the name is with its kind byte */
};

static kd_str trimmed(const char *p, const char *end)
{
    while (p < end && *p == ' ')
        p++;
    while (end > p && end[-1] == ' ')
        end--;
    return (kd_str){p, (uint32_t)(end - p)};
}

static kd_rc bad_rule(kd_str s, kd_err *err)
{
    return kd_fail(err, KD_ECONFIG,
                   "rules.boost: \"%.*s%s\" is no rule; right is brand:NAME=FACTOR, "
                   "category:NAME=FACTOR or item:ID=FACTOR, FACTOR from 0 to 1000",
                   (int)(s.n < 80 ? s.n : 80), s.p, s.n < 80 ? "" : "...");
}

static kd_rc add_factor(factors *f, kd_str name, double factor, kd_err *err)
{
    uint32_t slot;
    bool is_new;
    KD_TRY(kd_ids_intern(&f->names, name, kd_ids_hash(name), &slot, &is_new, err));
    if (!kd_grow((void **)&f->factor, &f->cap, slot + 1, sizeof *f->factor))
        return kd_fail(err, KD_ENOMEM, "no memory for rules");
    f->factor[slot] = is_new ? factor : f->factor[slot] * factor;
    return KD_OK;
}

/* What stands behind the '='; false if it is no factor. */
static bool read_factor(kd_str s, double *out)
{
    char number[32], *end = NULL;
    if (s.n == 0 || s.n >= sizeof number)
        return false;
    memcpy(number, s.p, s.n);
    number[s.n] = '\0';
    *out = strtod(number, &end);
    return *end == '\0' && isfinite(*out) && *out >= 0 && *out <= 1000;
}

static kd_rc read_rule(kd_rules *r, kd_str s, kd_text *t, kd_err *err)
{
    static const char *const kinds[] = {"item:", "brand:", "category:"};
    static const kd_term_kind terms[] = {KD_TERM_WORD, KD_TERM_BRAND, KD_TERM_CATEGORY};
    const char *equals = memrchr(s.p, '=', s.n);
    double factor;
    if (equals == NULL || !read_factor(trimmed(equals + 1, s.p + s.n), &factor))
        return bad_rule(s, err);
    for (int k = 0; k < 3; k++) {
        size_t prefix = strlen(kinds[k]);
        if (s.n < prefix || memcmp(s.p, kinds[k], prefix) != 0)
            continue;
        kd_str name = trimmed(s.p + prefix, equals);
        char term[KD_NAME_MAX + 1];
        if (k > 0)
            name = (kd_str){term, kd_text_name(t, terms[k], name, term)};
        if (name.n == 0 || name.n > KD_ID_MAX)
            return bad_rule(s, err);
        return add_factor(k == 0 ? &r->items : &r->terms, name, factor, err);
    }
    return bad_rule(s, err);
}

static kd_rc read_rules(kd_rules *r, const char *text, kd_text *t, kd_err *err)
{
    for (const char *p = text; *p != '\0';) {
        const char *end = strchrnul(p, ';');
        kd_str s = trimmed(p, end);
        p = end + (*end == ';');
        if (s.n > 0)
            KD_TRY(read_rule(r, s, t, err));
    }
    return KD_OK;
}

static kd_rc make(kd_rules *r, const char *text, kd_err *err)
{
    kd_text *t = NULL;
    kd_text_options o = {.language = "none", .max_bytes = 4096, .max_tokens = 1};
    KD_TRY(kd_ids_init(&r->items.names, KD_NO_SLOT - 1, err));
    KD_TRY(kd_ids_init(&r->terms.names, KD_NO_SLOT - 1, err));
    KD_TRY(kd_text_new(&o, &t, err));
    kd_rc rc = read_rules(r, text, t, err);
    kd_text_free(t);
    return rc;
}

kd_rc kd_rules_of(const kd_opt_values *v, kd_rules **out, kd_err *err)
{
    const kd_opt_value *row = kd_opt_find(v, "rules.boost");
    kd_rules *r = calloc(1, sizeof *r);
    if (r == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for rules");
    kd_rc rc = make(r, row->s, err);
    if (rc != KD_OK) {
        if (rc == KD_ECONFIG)
            kd_err_at(err, "%s", row->from);
        kd_rules_free(r);
        return rc;
    }
    *out = r;
    return KD_OK;
}

void kd_rules_free(kd_rules *r)
{
    if (r == NULL)
        return;
    kd_ids_dispose(&r->items.names);
    kd_ids_dispose(&r->terms.names);
    free(r->items.factor);
    free(r->terms.factor);
    free(r);
}

uint32_t kd_rules_count(const kd_rules *r)
{
    return r->items.names.n_live + r->terms.names.n_live;
}

/* The factor of the name that is at a slot of `ids`. Its hash is there; whether it is the same name
 * is asked of the one rule that has it. */
static double factor_of(const factors *f, const kd_ids *ids, uint32_t slot)
{
    uint64_t hash = ids->hash[slot];
    uint32_t at = kd_index_home(&f->names.index, hash), slot1;
    while ((slot1 = kd_index_next(&f->names.index, hash, &at)) != 0)
        if (kd_str_eq(kd_ids_get(&f->names, slot1 - 1), kd_ids_get(ids, slot)))
            return f->factor[slot1 - 1];
    return 1;
}

double kd_rules_factor(const kd_rules *r, const kd_state *s, uint32_t item)
{
    double factor = r->items.names.n_live == 0 ? 1 : factor_of(&r->items, &s->items, item);
    if (r->terms.names.n_live == 0 || s->content == NULL)
        return factor;
    const kd_tfidf *x = s->content->tfidf;
    kd_vector v = kd_tfidf_vector(x, item);
    for (uint32_t k = 0; k < v.n; k++)
        factor *= factor_of(&r->terms, &x->terms, v.tf[k].term);
    return factor;
}
