/* blend_reasons.c - why an item is listed: the neighbours that voted, counted again with the own
 * items that they share; no shopper is named.   @thread any worker
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operators/blend_internal.h"

enum { OWN = 32, TERMS = 3, MOST_REASONS = 5 };
/* A part below this share of the score is no reason. */
static const double least_share = 0.1;
enum { IS_OWN = 0x8000 }; /* role of an item: its number among the own ones, or its place + 1 */

typedef struct kd_blend_reasons {
    uint16_t *role; /* [cap_role] by item slot; zero between calls */
    uint32_t cap_role;
    uint32_t *voters;        /* [cap_voters] by place in the list */
    uint16_t (*shared)[OWN]; /* [cap_shared] by place: voters that have own item x */
    uint16_t *hits;          /* [cap_hits] places that one neighbour votes for */
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

static kd_rc fit(const kd_state *s, kd_blend_space *w, uint32_t n, kd_err *err)
{
    if (w->reasons == NULL)
        w->reasons = calloc(1, sizeof *w->reasons);
    kd_blend_reasons *r = w->reasons;
    if (r != NULL && kd_grow((void **)&r->role, &r->cap_role, s->item_cap, sizeof *r->role) &&
        kd_grow((void **)&r->voters, &r->cap_voters, n, sizeof *r->voters) &&
        kd_grow((void **)&r->shared, &r->cap_shared, n, sizeof *r->shared) &&
        kd_grow((void **)&r->hits, &r->cap_hits, n, sizeof *r->hits))
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

/* The own item that most of the voters share; among equals the newest. */
static uint32_t most_shared(const kd_subject *subject, const kd_blend_reasons *r, uint32_t place)
{
    uint32_t best = 0, n = subject->n_items < OWN ? subject->n_items : OWN;
    for (uint32_t k = 1; k < n; k++)
        if (r->shared[place][k] > r->shared[place][best])
            best = k;
    return n == 0 || r->shared[place][best] == 0 ? KD_NO_SLOT : subject->items[best];
}

/* Where one item's reasons are collected, each with the part that it speaks for. */
typedef struct sheet {
    kd_why why[MOST_REASONS];
    double weight[MOST_REASONS];
    uint32_t n;
    kd_str *id; /* room for what they name */
} sheet;

static void add(sheet *x, double weight, const char *kind, uint32_t n_ids, int64_t count)
{
    uint32_t at = x->n++;
    for (; at > 0 && x->weight[at - 1] < weight; at--) {
        x->why[at] = x->why[at - 1];
        x->weight[at] = x->weight[at - 1];
    }
    x->why[at] = (kd_why){.kind = kind, .ids = x->id, .n_ids = n_ids, .count = count};
    x->weight[at] = weight;
    x->id += n_ids;
}

static double part_named(const kd_item *it, const char *name)
{
    for (uint32_t p = 0; p < it->n_parts; p++)
        if (strcmp(it->parts[p].name, name) == 0)
            return it->parts[p].value;
    return 0;
}

static void add_content(const kd_state *s, const kd_candidate *c, double weight, sheet *x)
{
    uint32_t terms[TERMS], n = kd_content_matched(s->content, c->from, c->item, terms, TERMS);
    x->id[0] = kd_ids_get(&s->items, c->from);
    add(x, weight, "your-item", 1, -1);
    for (uint32_t t = 0; t < n; t++)
        x->id[t] = kd_tfidf_word(s->content->tfidf, terms[t]);
    if (n > 0)
        add(x, weight, "matched-terms", n, -1);
}

kd_rc kd_blend_explain(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                       const kd_usercf_space *cf, kd_blend_space *w, const kd_pick *picks,
                       uint32_t n, kd_arena *arena, kd_item *items, kd_err *err)
{
    (void)o;
    KD_TRY(fit(s, w, n, err));
    count_all(s, subject, cf, picks, n, w->reasons);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t item = picks[k].item, mark = w->mark[item];
        const kd_candidate *c = mark == 0 ? NULL : &w->candidate[mark - 1];
        sheet x = {.id = kd_arena_alloc(arena, (3 + TERMS) * sizeof(kd_str))};
        kd_why *why = kd_arena_alloc(arena, MOST_REASONS * sizeof *why);
        if (x.id == NULL || why == NULL)
            return kd_fail(err, KD_ENOMEM, "no room for the reasons of %u items", n);
        double usercf = part_named(&items[k], "usercf"), least = items[k].score * least_share;
        if (usercf > 0 && usercf >= least) {
            uint32_t own = most_shared(subject, w->reasons, k);
            if (own != KD_NO_SLOT)
                x.id[0] = kd_ids_get(&s->items, own);
            add(&x, usercf, "similar-shoppers", own != KD_NO_SLOT, w->reasons->voters[k]);
        }
        if (c != NULL && c->together > 0 && c->together >= least) {
            x.id[0] = kd_ids_get(&s->items, w->together_item);
            add(&x, c->together, "together", 1, c->n_together);
        }
        if (c != NULL && c->content > 0 && c->content >= least)
            add_content(s, c, c->content, &x);
        double popularity = part_named(&items[k], "popularity");
        if (popularity > 0 && popularity >= least)
            add(&x, popularity, "popular", 0, s->item[item].posting.n);
        memcpy(why, x.why, x.n * sizeof *why);
        items[k].reasons = why;
        items[k].n_reasons = x.n;
    }
    return KD_OK;
}
