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

/* A place of `found`: the slot of a term in the state's table, and its factor. */
typedef struct found {
    uint32_t term; /* KD_NO_SLOT = empty */
    double factor;
} found;

struct kd_rules {
    factors items, terms; /* of terms the name is with its kind byte */
    found *found;         /* [mask + 1] open addressing; at most half full */
    uint32_t mask, n_found;
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

/* Room to find the terms in: twice as many places as there can be terms, a power of two. */
static kd_rc make_places(kd_rules *r, kd_err *err)
{
    uint32_t n = 1;
    while (n < 2 * r->terms.names.n_live)
        n *= 2;
    r->found = malloc(n * sizeof *r->found);
    r->mask = n - 1;
    if (r->found == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for rules");
    for (uint32_t k = 0; k < n; k++)
        r->found[k].term = KD_NO_SLOT;
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
    return rc == KD_OK ? make_places(r, err) : rc;
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
    free(r->found);
    free(r);
}

uint32_t kd_rules_count(const kd_rules *r)
{
    return r->items.names.n_live + r->terms.names.n_live;
}

/* Where a term is, or the empty place where it would be. */
static found *place_of(const kd_rules *r, uint32_t term)
{
    uint32_t at = term * 2654435761u & r->mask;
    while (r->found[at].term != term && r->found[at].term != KD_NO_SLOT)
        at = (at + 1) & r->mask;
    return &r->found[at];
}

void kd_rules_resolve(kd_rules *r, const kd_state *s)
{
    for (uint32_t k = 0; k <= r->mask && r->n_found > 0; k++)
        r->found[k].term = KD_NO_SLOT;
    r->n_found = 0;
    if (s->content == NULL)
        return;
    for (uint32_t k = 0; k < r->terms.names.n_live; k++) { /* none was released: slots are 0.. */
        uint32_t term = kd_tfidf_term(s->content->tfidf, kd_ids_get(&r->terms.names, k));
        if (term == KD_NO_SLOT)
            continue;
        *place_of(r, term) = (found){term, r->terms.factor[k]};
        r->n_found++;
    }
}

/* The id's hash is there; whether it is the same id is asked of the one rule that has it. */
static double item_factor(const kd_rules *r, const kd_state *s, uint32_t item)
{
    const kd_ids *names = &r->items.names;
    uint64_t hash = s->items.hash[item];
    uint32_t at = kd_index_home(&names->index, hash), slot1;
    while ((slot1 = kd_index_next(&names->index, hash, &at)) != 0)
        if (kd_str_eq(kd_ids_get(names, slot1 - 1), kd_ids_get(&s->items, item)))
            return r->items.factor[slot1 - 1];
    return 1;
}

double kd_rules_factor(const kd_rules *r, const kd_state *s, uint32_t item)
{
    double factor = r->items.names.n_live == 0 ? 1 : item_factor(r, s, item);
    if (r->n_found == 0)
        return factor;
    kd_vector v = kd_tfidf_vector(s->content->tfidf, item);
    for (uint32_t k = 0; k < v.n; k++) {
        const found *x = place_of(r, v.tf[k].term);
        if (x->term != KD_NO_SLOT)
            factor *= x->factor;
    }
    return factor;
}
