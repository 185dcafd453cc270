#include "operators/usercf_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "operators/active.h"

static double share_of(const kd_usercf_options *o, int32_t d)
{
    double share = kd_vote_place(&o->vote, d);
    return o->similarity == KD_STAN ? share * kd_stan_weight(abs(d), o->stan_distance) : share;
}

void kd_usercf_options_ready(kd_usercf_options *o)
{
    for (int32_t d = -KD_VOTE_NEAR; d <= KD_VOTE_NEAR; d++)
        o->share[d + KD_VOTE_NEAR] = share_of(o, d);
    o->is_plain = o->half_life_ms == 0 && o->window_ms == 0;
    for (int a = KD_VIEW; a <= KD_PAID; a++)
        o->is_plain &= o->weight[a] == 1.0;
    const kd_vote *v = &o->vote;
    o->has_place = v->after > 0 || v->before > 0 || v->shared != 1.0 ||
                   (o->similarity == KD_STAN && o->stan_distance > 0);
    o->has_first = o->has_place || v->recency > 0 || kd_similarity_is_weighted(o->similarity);
}

void kd_usercf_space_dispose(kd_usercf_space *w)
{
    free(w->count);
    free(w->touched);
    free(w->mass);
    free(w->weight);
    free(w->score);
    free(w->items);
    free(w->voters);
    free(w->excluded);
    free(w->near);
    free(w->spare);
    free(w->sim);
    free(w->cell);
    free(w->cell_n);
    free(w->is_marked);
    free(w->marked);
    *w = (kd_usercf_space){0};
}

kd_rc kd_usercf_space_fit(kd_usercf_space *w, const kd_state *s, kd_err *err)
{
    if (w->cell_n == NULL)
        w->cell_n = calloc(KD_CELLS, sizeof *w->cell_n);
    if (w->is_marked == NULL)
        w->is_marked = calloc(KD_CELLS, sizeof *w->is_marked);
    if (w->marked == NULL)
        w->marked = calloc(KD_CELLS, sizeof *w->marked);
    if (w->cell_n == NULL || w->is_marked == NULL || w->marked == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a reader");
    if (s->hist.cap > w->cap_shoppers) {
        uint32_t cap_a = w->cap_shoppers, cap_b = cap_a == 0 ? 0 : cap_a + 1;
        if (!kd_grow((void **)&w->count, &cap_a, s->hist.cap, sizeof *w->count) ||
            !kd_grow((void **)&w->touched, &cap_b, cap_a + 1, sizeof *w->touched))
            return kd_fail(err, KD_ENOMEM, "no memory to gather %u shoppers", s->hist.cap);
        if (!kd_grow((void **)&w->cell, &w->cap_cell, cap_a + 1, sizeof *w->cell))
            return kd_fail(err, KD_ENOMEM, "no memory to gather %u shoppers", s->hist.cap);
        w->cap_shoppers = cap_a;
    }
    if (s->item_cap > w->cap_items) {
        uint32_t cap_a = w->cap_items, cap_b = cap_a == 0 ? 0 : cap_a + 1;
        if (!kd_grow((void **)&w->score, &cap_a, s->item_cap, sizeof *w->score) ||
            !kd_grow((void **)&w->items, &cap_b, cap_a + 1, sizeof *w->items))
            return kd_fail(err, KD_ENOMEM, "no memory to score %u items", s->item_cap);
        w->cap_items = cap_a;
    }
    if (w->wants_voters &&
        !kd_grow((void **)&w->voters, &w->cap_voters, w->cap_items, sizeof *w->voters))
        return kd_fail(err, KD_ENOMEM, "no memory to note who votes for %u items", w->cap_items);
    return KD_OK;
}

/* Counts the shoppers of one run, the most recent first, so that good candidates come early. The
 * list of touched shoppers is written without a branch: the slot is always stored, and kept only
 * if its count was zero. */
static uint32_t count_run(kd_run run, uint16_t *restrict count, uint32_t *restrict touched,
                          uint32_t n)
{
    for (uint32_t k = run.n; k-- > 0;) {
        uint32_t v = run.slot[k];
        touched[n] = v;
        n += count[v] == 0;
        count[v]++;
    }
    return n;
}

/* What a weighted similarity sums beside the count, and where votes need the shared item. */
typedef struct kd_mass {
    double sum;
    uint32_t first; /* place in the subject's items of the most recent shared one */
} kd_mass;

/* As count_run, with the weight of the item, which is the subject's k-th. */
static uint32_t weigh_run(kd_run run, kd_usercf_space *w, uint32_t k, uint32_t n)
{
    double weight = w->weight[k];
    for (uint32_t x = run.n; x-- > 0;) {
        uint32_t v = run.slot[x];
        if (w->count[v]++ == 0) {
            w->touched[n++] = v;
            w->mass[v] = (kd_mass){weight, k};
        } else {
            w->mass[v].sum += weight;
        }
    }
    return n;
}

static uint32_t gather(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                       kd_usercf_space *w)
{
    const bool is_weighed = o->has_first;
    uint32_t n = 0;
    for (uint32_t k = 0; k < subject->n_items; k++) {
        if (k + 1 < subject->n_items) {
            const kd_posting *next = &s->item[subject->items[k + 1]].posting;
            kd_run run = kd_posting_recent(s->postings, next, 0, o->audience_max);
            for (uint32_t at = 0; at < run.n; at += 16)
                __builtin_prefetch(run.slot + at);
        }
        const kd_posting *p = &s->item[subject->items[k]].posting;
        uint32_t left = o->audience_max;
        for (uint32_t c = 0; left > 0; c++) {
            kd_run run = kd_posting_recent(s->postings, p, c, left);
            if (run.n == 0)
                break;
            n = is_weighed ? weigh_run(run, w, k, n) : count_run(run, w->count, w->touched, n);
            left -= run.n;
        }
    }
    return n;
}

/* -- weights -----------------------------------------------------------------------------------
 */

static double square(double x)
{
    return x * x;
}

/* The squared weight of an item in the IDF-weighted cosine. */
static double idf_mass(const kd_state *s, const kd_usercf_options *o, uint32_t item)
{
    return square(kd_idf_smooth(s->n_shoppers, s->item[item].posting.n, o->idf_exponent));
}

/* Fills w->weight: what sharing the k-th item of the subject adds to the sum. */
static kd_rc weigh_items(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                         kd_usercf_space *w, kd_err *err)
{
    if (!kd_grow((void **)&w->weight, &w->cap_weight, subject->n_items, sizeof *w->weight) ||
        !kd_grow((void **)&w->mass, &w->cap_mass, w->cap_shoppers, sizeof *w->mass))
        return kd_fail(err, KD_ENOMEM, "no memory to weigh %u items", subject->n_items);
    for (uint32_t k = 0; k < subject->n_items; k++) {
        uint32_t step = subject->step[k];
        if (o->similarity == KD_VSKNN)
            w->weight[k] = kd_vsknn_weight(o->vsknn_weight, step, subject->length);
        else if (o->similarity == KD_STAN)
            w->weight[k] = kd_stan_weight(step, o->stan_recency);
        else if (o->similarity == KD_IDF_COSINE)
            w->weight[k] = idf_mass(s, o, subject->items[k]);
        else
            w->weight[k] = 1.0; /* a count is what a similarity of sets goes by */
        if (o->idf_shared > 0 && (o->similarity == KD_VSKNN || o->similarity == KD_STAN))
            w->weight[k] *=
                kd_idf_share(s->n_shoppers, s->item[subject->items[k]].posting.n, o->idf_shared);
    }
    return KD_OK;
}

/* The squared length of I(v) under the IDF weights, newest item first. */
static double idf_norm(const kd_state *s, const kd_usercf_options *o, uint32_t v)
{
    kd_entries e = kd_entries_of(&s->hist, v);
    uint32_t begin = kd_history_begin(&e, s->opt.history_max);
    double sum = 0;
    for (uint32_t k = e.n; k-- > begin;)
        if ((e.word[k] & KD_REP) != 0)
            sum += idf_mass(s, o, kd_word_item(e.word[k]));
    return sum;
}

/* The same of the subject; an item that the state does not know has df = 0. */
static double idf_norm_of(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                          const kd_usercf_space *w)
{
    double sum = 0;
    for (uint32_t k = 0; k < subject->n_items; k++)
        sum += w->weight[k];
    return sum + (subject->size - subject->n_items) *
                     square(kd_idf_smooth(s->n_shoppers, 0, o->idf_exponent));
}

/* The similarity of v under the weights, or less than `bar` if it is surely below: the lengths of
 * the IDF-weighted cosine are summed for those only that may get in, since a length is at least
 * what is shared plus 1 for each other item. */
static double weighted_similarity(const kd_state *s, const kd_usercf_options *o,
                                  const kd_subject *subject, const kd_usercf_space *w, double norm,
                                  uint32_t v, uint32_t c, double bar)
{
    const double sum = w->mass[v].sum;
    const uint32_t b = s->hist.n_items[v];
    if (o->similarity == KD_VSKNN)
        return sum / subject->size;
    if (o->similarity == KD_STAN) {
        kd_ms age = subject->now > s->hist.last[v] ? subject->now - s->hist.last[v] : 0;
        return kd_stan_similarity(sum, subject->size, b,
                                  kd_stan_weight((double)age, (double)o->stan_age_ms));
    }
    enum { SAFE = 1000000000 }; /* rounding is far below one part in this many */
    double most = kd_vector_cosine(sum, norm, sum + (b - c)) * (1.0 + 1.0 / SAFE);
    return most < bar ? -1.0 : kd_vector_cosine(sum, norm, idf_norm(s, o, v));
}

static kd_rc fit_near(kd_usercf_space *w, uint32_t need, kd_err *err)
{
    uint32_t cap_a = w->cap_near, cap_b = w->cap_near, cap_c = w->cap_near;
    if (need <= w->cap_near)
        return KD_OK;
    if (!kd_grow((void **)&w->near, &cap_a, need, sizeof *w->near) ||
        !kd_grow((void **)&w->spare, &cap_b, need, sizeof *w->spare) ||
        !kd_grow((void **)&w->sim, &cap_c, need, sizeof *w->sim))
        return kd_fail(err, KD_ENOMEM, "no memory for %u neighbours", need);
    w->cap_near = cap_a;
    return KD_OK;
}

/* True if a is the better neighbour: (similarity, most recent activity, id), greatest first. */
static bool is_nearer(const kd_state *s, const kd_near *a, const kd_near *b)
{
    if (a->rank != b->rank)
        return a->rank > b->rank;
    if (a->last != b->last)
        return a->last > b->last;
    return kd_ids_cmp(&s->shoppers, a->slot, b->slot) > 0;
}

/* Brings the k best of n candidates to the front, 1 <= k <= n, in no order
 * (Hoare 1961, quickselect; all candidates differ, since ids do). */
static void keep_best(const kd_state *s, kd_near *x, uint32_t n, uint32_t k)
{
    int64_t lo = 0, hi = (int64_t)n - 1, want = (int64_t)k - 1;
    while (lo < hi) {
        kd_near pivot = x[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (is_nearer(s, &x[i], &pivot))
                i++;
            while (is_nearer(s, &pivot, &x[j]))
                j--;
            if (i <= j) {
                kd_near t = x[i];
                x[i++] = x[j];
                x[j--] = t;
            }
        }
        if (want <= j)
            hi = j;
        else if (want >= i)
            lo = i;
        else
            break;
    }
}

/* By insertion, best first: fast where x is nearly in order. */
static void sort_run(const kd_state *s, kd_near *x, uint32_t n)
{
    for (uint32_t k = 1; k < n; k++) {
        const kd_near moved = x[k];
        uint32_t at = k;
        for (; at > 0 && is_nearer(s, &moved, &x[at - 1]); at--)
            x[at] = x[at - 1];
        x[at] = moved;
    }
}

/* Bottom-up merge sort of sorted runs, best first; `spare` is as long as x. Returns where the
 * result is. */
static kd_near *sort_near(const kd_state *s, kd_near *x, kd_near *spare, uint32_t n)
{
    enum { RUN = 64 };
    for (uint32_t lo = 0; lo < n; lo += RUN)
        sort_run(s, x + lo, n - lo < RUN ? n - lo : RUN);
    for (uint32_t width = RUN; width < n; width *= 2) {
        for (uint32_t lo = 0; lo < n; lo += 2 * width) {
            uint32_t mid = lo + width < n ? lo + width : n;
            uint32_t hi = lo + 2 * width < n ? lo + 2 * width : n;
            uint32_t a = lo, b = mid;
            for (uint32_t k = lo; k < hi; k++)
                spare[k] = b >= hi || (a < mid && !is_nearer(s, &x[b], &x[a])) ? x[a++] : x[b++];
        }
        kd_near *t = x;
        x = spare;
        spare = t;
    }
    return x;
}

/* -- the k best by counting -------------------------------------------------------------------- */

/* The cells in falling order of similarity, row (= c) by row merged: in a row it falls with b. */
typedef struct cells {
    kd_similarity kind;
    uint32_t a, stride, c_min, c_max;
    uint32_t next[256]; /* per row: first b not yet taken; stride = none left */
} cells;

static void skip_empty(cells *x, const uint32_t *cell_n, uint32_t c)
{
    while (x->next[c] < x->stride && cell_n[c * x->stride + x->next[c]] == 0)
        x->next[c]++;
}

/* Takes the best cell that is left; false when none is. */
static bool take_cell(cells *x, const uint32_t *cell_n, double *out_rank, uint32_t *out_cell)
{
    uint32_t best = 0;
    double rank = 0;
    for (uint32_t c = x->c_min; c <= x->c_max; c++) {
        if (x->next[c] >= x->stride)
            continue;
        double r = kd_similarity_rank(x->kind, c, x->a, x->next[c]);
        if (r > rank) {
            rank = r;
            best = c;
        }
    }
    if (best == 0)
        return false;
    *out_rank = rank;
    *out_cell = best * x->stride + x->next[best]++;
    skip_empty(x, cell_n, best);
    return true;
}

typedef struct marks {
    uint32_t n_ties, n_marked; /* n_marked: cells in w->marked, best first */
    double worst;              /* rank of the last that is in */
} marks;

/* Marks the cells whose candidates are among the k best, all those of the last similarity that
 * still is. Returns how many candidates they have: the last n_ties of them tie for fewer places.
 * The marked cells' numbers go to w->marked. */
static uint32_t mark_best(cells *x, kd_usercf_space *w, uint32_t k, marks *out)
{
    uint32_t n = 0, n_marked = 0, level_n = 0, cell;
    double rank, level_rank = -1;
    for (uint32_t c = x->c_min; c <= x->c_max; c++) {
        x->next[c] = c; /* b >= c */
        skip_empty(x, w->cell_n, c);
    }
    while (take_cell(x, w->cell_n, &rank, &cell)) {
        if (rank != level_rank) {
            if (n >= k)
                break;
            level_n = 0;
            level_rank = rank;
        }
        w->marked[n_marked++] = (uint16_t)cell;
        w->is_marked[cell] = true;
        n += w->cell_n[cell];
        level_n += w->cell_n[cell];
    }
    *out = (marks){.n_ties = n > k ? level_n : 0, .n_marked = n_marked, .worst = level_rank};
    return n;
}

static void unmark(kd_usercf_space *w, uint32_t n_marked)
{
    for (uint32_t m = 0; m < n_marked; m++)
        w->is_marked[w->marked[m]] = false;
}

/* Most candidates share one item, and mostly none of them gets in: they are put behind the others,
 * without a branch, so that their sizes need not be looked at. cell[] of the others is their c; all
 * counts are zero afterwards. Returns how many the others are. */
static uint32_t put_singles_last(kd_usercf_space *w, uint32_t n_touched)
{
    uint32_t *restrict touched = w->touched;
    uint16_t *restrict cell = w->cell, *restrict count = w->count;
    uint32_t n = 0;
    for (uint32_t t = 0; t < n_touched; t++) {
        uint32_t v = touched[t];
        uint16_t c = count[v];
        count[v] = 0;
        touched[t] = touched[n];
        touched[n] = v;
        cell[n] = c;
        n += c != 1;
    }
    return n;
}

/* Puts touched[from..to), which share cell[] items each, or one, into their cells. */
static void count_cells(const kd_state *s, cells *x, kd_usercf_space *w, uint32_t from, uint32_t to,
                        bool is_single)
{
    for (uint32_t t = from; t < to; t++) {
        uint32_t c = is_single ? 1 : w->cell[t];
        uint32_t cell = c * x->stride + s->hist.n_items[w->touched[t]];
        w->cell[t] = (uint16_t)cell;
        w->cell_n[cell]++;
        x->c_max = c > x->c_max ? c : x->c_max;
    }
}

/* Puts touched[0..n_looked_at) of marked cells into near[], in the order of the cells, so by rank;
 * cell_n[] of these is used up. Who is in is found without a branch: it cannot be foreseen. */
static void take_marked(const kd_state *s, const kd_usercf_options *o, const cells *x,
                        kd_usercf_space *w, uint32_t n_looked_at, uint32_t n_marked)
{
    uint32_t *restrict touched = w->touched, *restrict next = w->cell_n;
    uint16_t *restrict cell = w->cell;
    const bool *restrict is_marked = w->is_marked;
    uint32_t n = 0, at = 0;
    for (uint32_t t = 0; t < n_looked_at; t++) {
        touched[n] = touched[t];
        cell[n] = cell[t];
        n += is_marked[cell[t]];
    }
    for (uint32_t m = 0; m < n_marked; m++) { /* from counts to places */
        const uint32_t n_cell = next[w->marked[m]];
        next[w->marked[m]] = at;
        at += n_cell;
    }
    for (uint32_t t = 0; t < n; t++) {
        const uint32_t v = touched[t], c = cell[t] / x->stride;
        const double rank = kd_similarity_rank(o->similarity, c, x->a, cell[t] % x->stride);
        w->near[next[cell[t]]++] =
            (kd_near){rank, s->hist.last[v], v, c, o->has_first ? w->mass[v].first : 0};
    }
}

/* The k best of the touched by two passes over them: count the cells, then pick from those that the
 * count lets through. Only candidates that tie for the last places are compared. Those that share
 * one item are left out if the k best of the others are better than any of them can be. Sets all
 * counts back to zero. */
static kd_rc select_by_cells(const kd_state *s, const kd_usercf_options *o,
                             const kd_subject *subject, kd_usercf_space *w, uint32_t n_touched,
                             kd_err *err)
{
    cells x = {.kind = o->similarity,
               .a = subject->size,
               .stride = s->opt.history_max + 1,
               .c_min = o->overlap_min};
    marks found;
    uint32_t n_looked_at = put_singles_last(w, n_touched);
    count_cells(s, &x, w, 0, n_looked_at, false);
    uint32_t n = mark_best(&x, w, o->neighbours, &found);
    bool is_settled = n >= o->neighbours && found.worst > kd_similarity_rank(x.kind, 1, x.a, 1);
    if (o->overlap_min == 1 && n_looked_at < n_touched && !is_settled) {
        unmark(w, found.n_marked);
        count_cells(s, &x, w, n_looked_at, n_touched, true);
        n_looked_at = n_touched;
        n = mark_best(&x, w, o->neighbours, &found);
    }
    kd_rc rc = fit_near(w, n, err);
    if (rc == KD_OK)
        take_marked(s, o, &x, w, n_looked_at, found.n_marked);
    unmark(w, found.n_marked);
    memset(w->cell_n, 0, (size_t)(x.c_max + 1) * x.stride * sizeof *w->cell_n);
    KD_TRY(rc);
    const uint32_t n_in = n - found.n_ties; /* ties are the last */
    if (n > o->neighbours)
        keep_best(s, w->near + n_in, found.n_ties, o->neighbours - n_in);
    w->n_near = n < o->neighbours ? n : o->neighbours;
    return KD_OK;
}

/* -- the k best by comparing --------------------------------------------------------------------
 */

/* For weighted similarities, and for histories so long that cells would be too many: up to 2 k
 * candidates are held, then cut to the k best, whose worst is the bar for those that follow. Sets
 * all counts back to zero. */
static kd_rc select_by_rank(const kd_state *s, const kd_usercf_options *o,
                            const kd_subject *subject, kd_usercf_space *w, uint32_t n_touched,
                            kd_err *err)
{
    const uint32_t k = o->neighbours;
    const bool is_weighted = kd_similarity_is_weighted(o->similarity);
    kd_rc rc = fit_near(w, 2 * k, err);
    double norm = o->similarity == KD_IDF_COSINE ? idf_norm_of(s, o, subject, w) : 0;
    double bar = 0;
    uint32_t n = 0;
    for (uint32_t t = 0; t < n_touched; t++) {
        uint32_t v = w->touched[t], c = w->count[v];
        w->count[v] = 0;
        if (c < o->overlap_min || rc != KD_OK)
            continue;
        double rank = is_weighted
                          ? weighted_similarity(s, o, subject, w, norm, v, c, bar)
                          : kd_similarity_rank(o->similarity, c, subject->size, s->hist.n_items[v]);
        if (rank < bar || rank <= 0)
            continue;
        w->near[n++] = (kd_near){rank, s->hist.last[v], v, c, o->has_first ? w->mass[v].first : 0};
        if (n == 2 * k) {
            keep_best(s, w->near, n, k);
            n = k;
            bar = w->near[0].rank;
            for (uint32_t x = 1; x < k; x++)
                bar = w->near[x].rank < bar ? w->near[x].rank : bar;
        }
    }
    if (rc == KD_OK && n > k)
        keep_best(s, w->near, n, k);
    w->n_near = n < k ? n : k;
    return rc;
}

/* The same from counts that are kept. */
static uint32_t take_counts(const kd_active_counts *c, kd_usercf_space *w)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < c->cap; k++) {
        if (c->count[k] == 0)
            continue;
        uint32_t v = c->slot[k] - 1;
        w->touched[n++] = v;
        w->count[v] = c->count[k];
    }
    return n;
}

kd_rc kd_usercf_neighbours(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                           kd_usercf_space *w, kd_err *err)
{
    w->n_near = 0;
    if (subject->n_items == 0)
        return KD_OK;
    const bool is_weighted = kd_similarity_is_weighted(o->similarity);
    if (o->has_first)
        KD_TRY(weigh_items(s, o, subject, w, err));
    const kd_active_counts *kept = NULL;
    if (s->active != NULL && !o->has_first && subject->n_self == 1)
        kept = kd_active_of(s->active, subject->self[0]);
    uint32_t n = kept != NULL ? take_counts(kept, w) : gather(s, o, subject, w);
    for (uint32_t k = 0; k < subject->n_self; k++)
        w->count[subject->self[k]] = 0; /* below any overlap */
    bool by_cells = !is_weighted && subject->n_items < 256 &&
                    (subject->n_items + 1) * (s->opt.history_max + 1) <= KD_CELLS;
    KD_TRY(by_cells ? select_by_cells(s, o, subject, w, n, err)
                    : select_by_rank(s, o, subject, w, n, err));
    kd_near *sorted = sort_near(s, w->near, w->spare, w->n_near);
    if (sorted != w->near) {
        w->spare = w->near;
        w->near = sorted;
    }
    for (uint32_t t = 0; t < w->n_near; t++) {
        const kd_near *x = &w->near[t];
        w->sim[t] = is_weighted ? x->rank
                                : kd_similarity_value(o->similarity, x->c, subject->size,
                                                      s->hist.n_items[x->slot]);
    }
    return KD_OK;
}

kd_rc kd_usercf_exclude(kd_usercf_space *w, uint32_t item, kd_err *err)
{
    if (w->score[item] != 0.0)
        return KD_OK;
    if (!kd_grow((void **)&w->excluded, &w->cap_excluded, w->n_excluded + 1, sizeof *w->excluded))
        return kd_fail(err, KD_ENOMEM, "no memory to exclude %u items", w->n_excluded + 1);
    w->score[item] = -INFINITY;
    w->excluded[w->n_excluded++] = item;
    return KD_OK;
}

bool kd_usercf_is_excluded(const kd_usercf_space *w, uint32_t item)
{
    return w->score[item] < 0.0;
}

static double weight_of(const kd_usercf_options *o, uint32_t word, kd_ms time, kd_ms now)
{
    double weight = o->weight[kd_word_action(word)];
    if (o->window_ms > 0 && now > time && now - time > o->window_ms)
        return 0;
    if (o->half_life_ms > 0 && now > time)
        weight *= exp2(-(double)(now - time) / (double)o->half_life_ms);
    return weight;
}

double kd_interaction_weight(const kd_usercf_options *o, const kd_entries *e, uint32_t begin,
                             uint32_t k, kd_ms now)
{
    double best = weight_of(o, e->word[k], kd_entry_time(e, k), now);
    if ((e->word[k] & KD_MULTI) == 0)
        return best;
    uint32_t item = kd_word_item(e->word[k]);
    kd_ms cancelled = KD_MS_NONE;
    for (uint32_t j = 0; j < e->n; j++)
        if (kd_word_item(e->word[j]) == item && kd_word_action(e->word[j]) == KD_CANCELLED)
            cancelled = kd_entry_time(e, j);
    for (uint32_t j = begin; j < e->n; j++) {
        kd_action a = kd_word_action(e->word[j]);
        if (kd_word_item(e->word[j]) != item || a == KD_CANCELLED ||
            (a == KD_PAID && kd_entry_time(e, j) <= cancelled))
            continue;
        double weight = weight_of(o, e->word[j], kd_entry_time(e, j), now);
        best = weight > best ? weight : best;
    }
    return best;
}

/* The place of `item` among the items of I(v), oldest = 0. */
static uint32_t place_of(const kd_entries *e, uint32_t begin, uint32_t item)
{
    uint32_t place = 0;
    for (uint32_t k = begin; k < e->n; k++) {
        if ((e->word[k] & KD_REP) == 0)
            continue;
        if (kd_word_item(e->word[k]) == item)
            break;
        place++;
    }
    return place;
}

/* The vote of the t-th neighbour: its similarity, by how recent the shared item is. */
static double vote_of(const kd_usercf_options *o, const kd_subject *subject,
                      const kd_usercf_space *w, uint32_t t)
{
    double vote = w->sim[t];
    if (!o->has_first)
        return vote;
    uint32_t step = subject->step[w->near[t].first];
    if (o->similarity == KD_VSKNN)
        vote *= kd_vsknn_decay(o->vsknn_decay, step + 1);
    return o->vote.recency > 0 ? vote * kd_vote_recency(&o->vote, step) : vote;
}

/* What an item d places after the shared one gets of a vote. */
static double share_at(const kd_usercf_options *o, int32_t d)
{
    return abs(d) <= KD_VOTE_NEAR ? o->share[d + KD_VOTE_NEAR] : share_of(o, d);
}

/* Adds what one neighbour gives, each item of I(v) once. */
static uint32_t add_votes(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                          kd_usercf_space *w, uint32_t t, uint32_t n)
{
    kd_entries e = kd_entries_of(&s->hist, w->near[t].slot);
    const uint32_t begin = kd_history_begin(&e, s->opt.history_max);
    const double vote = vote_of(o, subject, w, t);
    double *restrict score = w->score;
    uint32_t place = 0;
    uint32_t shared = o->has_place ? place_of(&e, begin, subject->items[w->near[t].first]) : 0;
    for (uint32_t k = begin; k < e.n; k++) {
        if ((e.word[k] & KD_REP) == 0)
            continue;
        uint32_t item = kd_word_item(e.word[k]);
        double add =
            o->is_plain ? vote : vote * kd_interaction_weight(o, &e, begin, k, subject->now);
        if (o->has_place)
            add *= share_at(o, (int32_t)place++ - (int32_t)shared);
        w->items[n] = item;
        n += score[item] == 0.0 && add != 0.0;
        score[item] += add;
    }
    return n;
}

/* The same where each interaction has weight 1 and a vote is the similarity, noting who votes; an
 * excluded item with votes is among the items, too. Without a branch: which entries are an item's
 * latest cannot be foreseen. */
static uint32_t add_noted(const kd_state *s, kd_usercf_space *w, uint32_t t, uint32_t n)
{
    const kd_entries e = kd_entries_of(&s->hist, w->near[t].slot);
    const double vote[2] = {0, w->sim[t]};
    const uint64_t voter[2] = {0, 1ull << t};
    double *restrict score = w->score;
    uint64_t *restrict voters = w->voters;
    uint32_t *restrict items = w->items;
    for (uint32_t k = kd_history_begin(&e, s->opt.history_max); k < e.n; k++) {
        const uint32_t item = kd_word_item(e.word[k]);
        const int is_rep = (e.word[k] & KD_REP) != 0;
        const uint64_t before = voters[item];
        items[n] = item;
        n += (before == 0) & is_rep;
        voters[item] = before | voter[is_rep];
        score[item] += vote[is_rep];
    }
    return n;
}

void kd_usercf_score(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                     kd_usercf_space *w)
{
    enum { AHEAD = 4 }; /* neighbours whose histories are on their way from memory */
    uint32_t n = w->n_items;
    double sims = 0;
    w->has_voters = w->wants_voters && o->is_plain && !o->has_first && w->n_near <= 64;
    for (uint32_t t = 0; t < w->n_near; t++) {
        if (t + AHEAD < w->n_near) {
            const kd_shopper *next = &s->hist.shopper[w->near[t + AHEAD].slot];
            const char *p = kd_slab_ptr(s->hist.blocks, next->block);
            __builtin_prefetch(p);
            __builtin_prefetch(p + 64);
        }
        sims += w->sim[t];
        n = w->has_voters ? add_noted(s, w, t, n) : add_votes(s, o, subject, w, t, n);
    }
    w->n_items = n;
    w->sims = sims;
    for (uint32_t k = 0; o->idf_score > 0 && k < n; k++)
        w->score[w->items[k]] *=
            1.0 + o->idf_score * kd_idf(s->n_shoppers, s->item[w->items[k]].posting.n);
}

void kd_usercf_score_of(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                        uint32_t t, kd_usercf_space *w)
{
    w->n_items = add_votes(s, o, subject, w, t, w->n_items);
}

void kd_usercf_clear(kd_usercf_space *w)
{
    double *restrict score = w->score;
    uint64_t *restrict voters = w->voters;
    const uint32_t *restrict items = w->items, *restrict excluded = w->excluded;
    const uint32_t n_items = w->n_items, n_excluded = w->n_excluded;
    if (w->has_voters)
        for (uint32_t k = 0; k < n_items; k++) {
            score[items[k]] = 0.0;
            voters[items[k]] = 0;
        }
    else
        for (uint32_t k = 0; k < n_items; k++)
            score[items[k]] = 0.0;
    for (uint32_t k = 0; k < n_excluded; k++)
        score[excluded[k]] = 0.0;
    w->has_voters = false;
    w->n_items = 0;
    w->n_excluded = 0;
}
