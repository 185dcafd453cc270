#include "operators/needs.h"

#include <stdlib.h>

#include "base/buf.h"

void kd_needs_space_dispose(kd_needs_space *w)
{
    free(w->profile);
    free(w->touched);
}

/* Adds the products of one history. Returns the sum of their weights. */
static double add_history(const kd_state *s, const kd_needs_options *o, uint32_t u, kd_ms now,
                          kd_needs_space *w, int64_t *products)
{
    const kd_tfidf *x = s->content->tfidf;
    kd_entries e = kd_entries_of(&s->hist, u);
    uint32_t begin = kd_history_begin(&e, s->opt.history_max);
    double all = 0;
    for (uint32_t k = begin; k < e.n; k++) {
        uint32_t item = kd_word_item(e.word[k]);
        if ((e.word[k] & KD_REP) == 0 || !kd_tfidf_has(x, item))
            continue;
        double weight = kd_interaction_weight(&o->weigh, &e, begin, k, now);
        double norm = kd_tfidf_norm(x, item);
        kd_vector v = kd_tfidf_vector(x, item);
        (*products)++;
        all += weight;
        for (uint32_t t = 0; t < v.n && weight > 0; t++) {
            uint32_t term = v.tf[t].term;
            if (w->profile[term] == 0)
                w->touched[w->n_touched++] = term;
            w->profile[term] += weight * ((double)v.tf[t].tf * kd_tfidf_idf(x, term) / norm);
        }
    }
    return all;
}

/* The best `max` terms of a kind, in order. */
static const kd_need *take(const kd_state *s, const kd_needs_space *w, kd_term_kind kind,
                           double all, uint32_t max, kd_arena *arena, uint32_t *out_n)
{
    const kd_tfidf *x = s->content->tfidf;
    uint32_t *best = kd_arena_alloc(arena, (max + 1) * sizeof *best), n = 0;
    kd_need *list = kd_arena_alloc(arena, (max + 1) * sizeof *list);
    if (best == NULL || list == NULL)
        return NULL;
    for (uint32_t k = 0; k < w->n_touched; k++) {
        uint32_t term = w->touched[k];
        if (kd_tfidf_kind(x, term) != kind)
            continue;
        uint32_t at = n;
        while (at > 0 && (w->profile[term] > w->profile[best[at - 1]] ||
                          (w->profile[term] == w->profile[best[at - 1]] &&
                           kd_ids_cmp(&x->terms, term, best[at - 1]) < 0)))
            at--;
        if (at == max || kd_tfidf_is_number(x, term)) /* nobody is looking for a 10 */
            continue;
        n += n < max;
        for (uint32_t j = n - 1; j > at; j--)
            best[j] = best[j - 1];
        best[at] = term;
    }
    for (uint32_t k = 0; k < n; k++)
        list[k] = (kd_need){kd_tfidf_word(x, best[k]), w->profile[best[k]] / all};
    *out_n = n;
    return list;
}

kd_rc kd_needs_of(const kd_state *s, const kd_needs_options *o, const kd_subject *subject,
                  kd_needs_space *w, kd_arena *arena, kd_needs *out, kd_err *err)
{
    if (s->content == NULL)
        return KD_OK;
    const kd_tfidf *x = s->content->tfidf;
    if (!kd_grow((void **)&w->profile, &w->cap_profile, x->cap_terms, sizeof *w->profile) ||
        !kd_grow((void **)&w->touched, &w->cap_touched, x->cap_terms + 1, sizeof *w->touched))
        return kd_fail(err, KD_ENOMEM, "no room for %u terms", x->cap_terms);
    double all = 0;
    w->n_touched = 0;
    for (uint32_t k = 0; k < subject->n_self; k++)
        all += add_history(s, o, subject->self[k], subject->now, w, &out->products);
    uint32_t half = o->count / 2 + 1;
    out->terms = take(s, w, KD_TERM_WORD, all, o->count, arena, &out->n_terms);
    out->categories = take(s, w, KD_TERM_CATEGORY, all, half, arena, &out->n_categories);
    out->brands = take(s, w, KD_TERM_BRAND, all, half, arena, &out->n_brands);
    for (uint32_t k = 0; k < w->n_touched; k++)
        w->profile[w->touched[k]] = 0;
    if (out->terms == NULL || out->categories == NULL || out->brands == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a shopper's needs");
    return KD_OK;
}
