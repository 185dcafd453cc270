/* blend_reasons.c - why an item is listed: the neighbours that voted, with the own items that they
 * share; no shopper is named. Who voted has been noted while votes were added (usercf_core.h);
 * where it has not, it is counted in another pass.   @thread any worker
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operators/blend_internal.h"

enum { OWN = 32, TERMS = 3, MOST_REASONS = 5, MOST_IDS = 3 + TERMS };
/* A part below this share of the score is no reason. */
static const double least_share = 0.1;
enum { IS_OWN = 0x8000 }; /* role of an item: its number among the own ones, or its place + 1 */

/* One item's reasons as they are published, and what they name. */
typedef struct reasons {
    kd_why why[MOST_REASONS];
    kd_str id[MOST_IDS];
} reasons;

typedef struct kd_blend_reasons {
    uint16_t *role; /* [cap_role] by item slot; zero between calls */
    uint32_t cap_role;
    uint32_t *voters;        /* [cap_voters] by place in the list */
    uint16_t (*shared)[OWN]; /* [cap_shared] by place: voters that have own item x */
    uint16_t *hits;          /* [cap_hits] places that one neighbour votes for */
    uint64_t own[OWN];       /* noted voters: of the own items, 0 = it is listed itself */
    uint32_t n_own;
    reasons *out; /* [by place], in the arena */
    uint32_t cap_voters, cap_shared, cap_hits;
} kd_blend_reasons;

void kd_blend_reasons_free(kd_blend_reasons *r)
{
    if (r == NULL)
        return;
    free(r->role);
    free(r->voters);
    free(r->shared);
    free(r->hits);
    free(r);
}

static kd_rc fit(const kd_state *s, kd_blend_space *w, uint32_t n, kd_arena *arena, kd_err *err)
{
    if (w->reasons == NULL)
        w->reasons = calloc(1, sizeof *w->reasons);
    kd_blend_reasons *r = w->reasons;
    if (r != NULL && kd_grow((void **)&r->role, &r->cap_role, s->item_cap, sizeof *r->role) &&
        kd_grow((void **)&r->voters, &r->cap_voters, n, sizeof *r->voters) &&
        kd_grow((void **)&r->shared, &r->cap_shared, n, sizeof *r->shared) &&
        kd_grow((void **)&r->hits, &r->cap_hits, n, sizeof *r->hits) &&
        (r->out = kd_arena_alloc(arena, n * sizeof *r->out)) != NULL)
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no room for the reasons of %u items", n);
}

/* Counts one neighbour's votes for listed items, and which own items it shares. */
static void count_votes(const kd_state *s, uint32_t v, kd_blend_reasons *r)
{
    kd_entries e = kd_entries_of(&s->hist, v);
    uint32_t own = 0, n = 0;
    for (uint32_t k = kd_history_begin(&e, s->opt.history_max); k < e.n; k++) {
        uint32_t role = r->role[kd_word_item(e.word[k])];
        if (role == 0 || (e.word[k] & KD_REP) == 0)
            continue;
        if ((role & IS_OWN) != 0)
            own |= 1u << (role & ~(uint32_t)IS_OWN);
        else
            r->hits[n++] = (uint16_t)(role - 1);
    }
    for (uint32_t h = 0; h < n; h++) {
        r->voters[r->hits[h]]++;
        for (uint32_t bits = own; bits != 0; bits &= bits - 1)
            r->shared[r->hits[h]][__builtin_ctz(bits)]++;
    }
}

static void count_all(const kd_state *s, const kd_subject *subject, const kd_usercf_space *cf,
                      const kd_pick *picks, uint32_t n, kd_blend_reasons *r)
{
    uint32_t own = subject->n_items < OWN ? subject->n_items : OWN;
    memset(r->voters, 0, n * sizeof *r->voters);
    memset(r->shared, 0, n * sizeof *r->shared);
    for (uint32_t k = 0; k < own; k++)
        r->role[subject->items[k]] = (uint16_t)(IS_OWN | k);
    for (uint32_t k = 0; k < n; k++)
        r->role[picks[k].item] = (uint16_t)(k + 1);
    for (uint32_t t = 0; t < cf->n_near; t++)
        count_votes(s, cf->near[t].slot, r);
    for (uint32_t k = 0; k < own; k++)
        r->role[subject->items[k]] = 0;
    for (uint32_t k = 0; k < n; k++)
        r->role[picks[k].item] = 0;
}

/* An own item that is listed itself is no reason for another one. Without a branch. */
static void find_own(const kd_subject *subject, const kd_usercf_space *cf, const kd_pick *picks,
                     uint32_t n, kd_blend_reasons *r)
{
    uint16_t *const role = r->role;
    for (uint32_t k = 0; k < n; k++)
        role[picks[k].item] = 1;
    for (uint32_t k = 0; k < r->n_own; k++) {
        const uint32_t item = subject->items[k];
        r->own[k] = cf->voters[item] & ((uint64_t)role[item] - 1);
    }
    for (uint32_t k = 0; k < n; k++)
        role[picks[k].item] = 0;
}

/* The best of the own items so far, if n have the k-th: how many have it, then its newness. */
static uint32_t best_own(uint32_t best, uint32_t n, uint32_t k)
{
    const uint32_t x = n * OWN + (OWN - 1 - k);
    return x > best ? x : best;
}

/* How many voted, and the best of the own items that they have, without a branch. */
static inline __attribute__((always_inline)) uint32_t
count_noted(const kd_blend_reasons *r, uint64_t voters, uint32_t *out_best)
{
    const uint32_t all = (uint32_t)__builtin_popcountll(voters), n_own = r->n_own;
    uint32_t best = 0;
    for (uint32_t k = 0; k < n_own; k++)
        best = best_own(best, (uint32_t)__builtin_popcountll(voters & r->own[k]), k);
    *out_best = best;
    return all;
}

#ifdef __x86_64__
/* Every processor since 2008 counts ones by an instruction that the architecture does not have. */
__attribute__((target("popcnt"))) static uint32_t
count_by_popcnt(const kd_blend_reasons *r, uint64_t voters, uint32_t *out_best)
{
    return count_noted(r, voters, out_best);
}
#endif

static uint32_t count_fast(const kd_blend_reasons *r, uint64_t voters, uint32_t *out_best)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("popcnt"))
        return count_by_popcnt(r, voters, out_best);
#endif
    return count_noted(r, voters, out_best);
}

/* The neighbours that voted for a place of the list, and the own item that most of them share:
 * among equals the newest, KD_NO_SLOT = none. */
static uint32_t voters_of(const kd_subject *subject, const kd_usercf_space *cf,
                          const kd_blend_reasons *r, uint32_t place, uint32_t item,
                          uint32_t *out_own)
{
    uint32_t best = 0, all;
    if (cf->has_voters) {
        all = count_fast(r, cf->voters[item], &best);
    } else {
        all = r->voters[place];
        for (uint32_t k = 0; k < r->n_own; k++)
            best = best_own(best, r->shared[place][k], k);
    }
    *out_own = best < OWN ? KD_NO_SLOT : subject->items[OWN - 1 - best % OWN];
    return all;
}

/* Where they are collected, each with the part that it speaks for. */
typedef struct sheet {
    reasons *out;
    double weight[MOST_REASONS];
    uint32_t n, n_ids;
} sheet;

static void name(sheet *x, kd_str id)
{
    x->out->id[x->n_ids++] = id;
}

/* The ids are the last n_ids of the sheet. */
static void add(sheet *x, double weight, kd_why_kind kind, uint32_t n_ids, int64_t count)
{
    uint32_t at = x->n++;
    for (; at > 0 && x->weight[at - 1] < weight; at--) {
        x->out->why[at] = x->out->why[at - 1];
        x->weight[at] = x->weight[at - 1];
    }
    x->out->why[at] = (kd_why){
        .kind = kind, .ids = x->out->id + (x->n_ids - n_ids), .n_ids = n_ids, .count = count};
    x->weight[at] = weight;
}

static void add_content(const kd_state *s, const kd_candidate *c, double weight, sheet *x)
{
    uint32_t terms[TERMS], n = kd_content_matched(s->content, c->from, c->item, terms, TERMS);
    name(x, kd_ids_get(&s->items, c->from));
    add(x, weight, KD_KIND_YOUR_ITEM, 1, -1);
    for (uint32_t t = 0; t < n; t++)
        name(x, kd_tfidf_word(s->content->tfidf, terms[t]));
    if (n > 0)
        add(x, weight, KD_KIND_MATCHED_TERMS, n, -1);
}

kd_rc kd_blend_explain_begin(const kd_state *s, const kd_subject *subject,
                             const kd_usercf_space *cf, kd_blend_space *w, const kd_pick *picks,
                             uint32_t n, kd_arena *arena, kd_err *err)
{
    KD_TRY(fit(s, w, n, arena, err));
    w->reasons->n_own = subject->n_items < OWN ? subject->n_items : OWN;
    if (cf->has_voters)
        find_own(subject, cf, picks, n, w->reasons);
    else
        count_all(s, subject, cf, picks, n, w->reasons);
    return KD_OK;
}

void kd_blend_explain(const kd_state *s, const kd_subject *subject, const kd_usercf_space *cf,
                      const kd_blend_space *w, uint32_t place, uint32_t item, kd_item *out)
{
    const double *const part = out->parts;
    const double least = out->score * least_share;
    sheet x;
    x.n = x.n_ids = 0;
    x.out = &w->reasons->out[place];
    if (part[KD_PART_USERCF] > 0 && part[KD_PART_USERCF] >= least) {
        uint32_t own, voters = voters_of(subject, cf, w->reasons, place, item, &own);
        if (own != KD_NO_SLOT)
            name(&x, kd_ids_get(&s->items, own));
        add(&x, part[KD_PART_USERCF], KD_KIND_SIMILAR_SHOPPERS, own != KD_NO_SLOT, voters);
    }
    if (part[KD_PART_TOGETHER] > 0 && part[KD_PART_TOGETHER] >= least) {
        name(&x, kd_ids_get(&s->items, w->together_item));
        add(&x, part[KD_PART_TOGETHER], KD_KIND_TOGETHER, 1, w->company[item]);
    }
    if (part[KD_PART_CONTENT] > 0 && part[KD_PART_CONTENT] >= least)
        add_content(s, &w->candidate[w->mark[item] - 1], part[KD_PART_CONTENT], &x);
    if (part[KD_PART_POPULARITY] > 0 && part[KD_PART_POPULARITY] >= least)
        add(&x, part[KD_PART_POPULARITY], KD_KIND_POPULAR, 0, s->item[item].posting.n);
    out->reasons = x.out->why;
    out->n_reasons = x.n;
}
