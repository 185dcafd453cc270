#include "operators/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

typedef enum rule_kind { RULE_ITEM, RULE_BRAND, RULE_CATEGORY } rule_kind;

typedef struct rule {
    rule_kind kind;
    double factor;
    char name[KD_ID_MAX + 1]; /* ITEM: the id; others: the term, kind byte first */
    uint32_t n;
    uint32_t slot; /* of the item or the term, KD_NO_SLOT: there is none now */
} rule;

struct kd_rules {
    rule *rule;
    uint32_t n, cap;
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
                   "rules.boost: \"%.*s\" is no rule; right is brand:NAME=FACTOR, "
                   "category:NAME=FACTOR or item:ID=FACTOR, FACTOR from 0 to 1000",
                   (int)s.n, s.p);
}

static kd_rc read_rule(kd_str s, kd_text *t, rule *out, kd_err *err)
{
    static const char *const kinds[] = {"item:", "brand:", "category:"};
    static const kd_term_kind terms[] = {KD_TERM_WORD, KD_TERM_BRAND, KD_TERM_CATEGORY};
    const char *equals = memrchr(s.p, '=', s.n);
    if (equals == NULL)
        return bad_rule(s, err);
    char number[32], *end = NULL;
    kd_str factor = trimmed(equals + 1, s.p + s.n);
    if (factor.n == 0 || factor.n >= sizeof number)
        return bad_rule(s, err);
    memcpy(number, factor.p, factor.n);
    number[factor.n] = '\0';
    out->factor = strtod(number, &end);
    if (*end != '\0' || !isfinite(out->factor) || out->factor < 0 || out->factor > 1000)
        return bad_rule(s, err);
    for (int k = 0; k < 3; k++) {
        size_t prefix = strlen(kinds[k]);
        if (s.n < prefix || memcmp(s.p, kinds[k], prefix) != 0)
            continue;
        kd_str name = trimmed(s.p + prefix, equals);
        out->kind = (rule_kind)k;
        out->n = 0;
        if (k == RULE_ITEM && name.n <= KD_ID_MAX) {
            memcpy(out->name, name.p, name.n);
            out->n = name.n;
        } else if (k != RULE_ITEM) {
            out->n = kd_text_name(t, terms[k], name, out->name);
        }
        return out->n == 0 ? bad_rule(s, err) : KD_OK;
    }
    return bad_rule(s, err);
}

static kd_rc read_rules(kd_rules *r, const char *text, kd_text *t, kd_err *err)
{
    for (const char *p = text; *p != '\0';) {
        const char *end = strchrnul(p, ';');
        kd_str s = trimmed(p, end);
        p = end + (*end == ';');
        if (s.n == 0)
            continue;
        if (!kd_grow((void **)&r->rule, &r->cap, r->n + 1, sizeof *r->rule))
            return kd_fail(err, KD_ENOMEM, "no memory for rules");
        KD_TRY(read_rule(s, t, &r->rule[r->n], err));
        r->rule[r->n++].slot = KD_NO_SLOT;
    }
    return KD_OK;
}

kd_rc kd_rules_new(const char *text, kd_rules **out, kd_err *err)
{
    kd_rules *r = calloc(1, sizeof *r);
    if (r == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for rules");
    kd_text *t = NULL;
    kd_text_options o = {.language = "none", .max_bytes = 4096, .max_tokens = 1};
    kd_rc rc = kd_text_new(&o, &t, err);
    if (rc == KD_OK)
        rc = read_rules(r, text == NULL ? "" : text, t, err);
    kd_text_free(t);
    if (rc != KD_OK) {
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
    free(r->rule);
    free(r);
}

uint32_t kd_rules_count(const kd_rules *r)
{
    return r->n;
}

void kd_rules_resolve(kd_rules *r, const kd_state *s)
{
    for (uint32_t k = 0; k < r->n; k++) {
        rule *x = &r->rule[k];
        kd_str name = {x->name, x->n};
        if (x->kind == RULE_ITEM)
            x->slot = kd_state_item(s, name);
        else
            x->slot = s->content == NULL ? KD_NO_SLOT : kd_tfidf_term(s->content->tfidf, name);
    }
}

static bool has_term(const kd_state *s, uint32_t item, uint32_t term)
{
    kd_vector v = kd_tfidf_vector(s->content->tfidf, item);
    for (uint32_t k = 0; k < v.n; k++)
        if (v.tf[k].term == term)
            return true;
    return false;
}

double kd_rules_factor(const kd_rules *r, const kd_state *s, uint32_t item)
{
    double factor = 1;
    for (uint32_t k = 0; k < r->n; k++) {
        const rule *x = &r->rule[k];
        if (x->slot == KD_NO_SLOT)
            continue;
        if (x->kind == RULE_ITEM ? x->slot == item : has_term(s, item, x->slot))
            factor *= x->factor;
    }
    return factor;
}
