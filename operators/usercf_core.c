#include "operators/usercf_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void kd_usercf_options_ready(kd_usercf_options *o)
{
    o->is_plain = o->half_life_ms == 0;
    for (int a = KD_VIEW; a <= KD_PAID; a++)
        o->is_plain &= o->weight[a] == 1.0;
}

void kd_usercf_space_dispose(kd_usercf_space *w)
{
    free(w->count);
    free(w->touched);
    free(w->score);
    free(w->items);
    free(w->excluded);
    free(w->near);
    free(w->spare);
    free(w->sim);
    free(w->cell);
    free(w->cell_n);
    free(w->verdict);
    free(w->marked);
    *w = (kd_usercf_space){0};
}

kd_rc kd_usercf_space_fit(kd_usercf_space *w, const kd_state *s, kd_err *err)
{
    if (w->cell_n == NULL)
        w->cell_n = calloc(KD_CELLS, sizeof *w->cell_n);
    if (w->verdict == NULL)
        w->verdict = calloc(KD_CELLS, sizeof *w->verdict);
    if (w->marked == NULL)
        w->marked = calloc(KD_CELLS, sizeof *w->marked);
    if (w->cell_n == NULL || w->verdict == NULL || w->marked == NULL)
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
    return KD_OK;
}

double kd_similarity_value(kd_similarity kind, uint32_t c, uint32_t a, uint32_t b)
{
    if (kind == KD_COSINE)
        return (double)c / sqrt((double)a * b);
    return (double)c / (a + b - c);
}

double kd_similarity_rank(kd_similarity kind, uint32_t c, uint32_t a, uint32_t b)
{
    if (kind == KD_COSINE)
        return (double)c * c / ((double)a * b);
    return (double)c / (a + b - c);
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

static uint32_t gather(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                       kd_usercf_space *w)
{
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
            n = count_run(run, w->count, w->touched, n);
            left -= run.n;
        }
    }
    return n;
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

/* Bottom-up merge sort, best first; `spare` is as long as x. Returns where the result is. */
static kd_near *sort_near(const kd_state *s, kd_near *x, kd_near *spare, uint32_t n)
{
    for (uint32_t width = 1; width < n; width *= 2) {
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

enum { OUT = 0, IN = 1, TIE = 2 };

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

/* Marks the cells whose candidates are among the k best (IN) and those of the last similarity that
 * still is, where there are more than places (TIE). Returns how many IN and TIE candidates there
 * are; *out_ties of them are TIE. The marked cells' numbers go to w->marked. */
static uint32_t judge(cells *x, kd_usercf_space *w, uint32_t k, uint32_t *out_ties,
                      uint32_t *out_n_marked)
{
    uint32_t n = 0, n_marked = 0, level = 0, level_n = 0, cell;
    double rank, level_rank = -1;
    for (uint32_t c = x->c_min; c <= x->c_max; c++) {
        x->next[c] = c; /* b >= c */
        skip_empty(x, w->cell_n, c);
    }
    while (take_cell(x, w->cell_n, &rank, &cell)) {
        if (rank != level_rank) {
            if (n >= k)
                break;
            level = n_marked;
            level_n = 0;
            level_rank = rank;
        }
        w->marked[n_marked++] = (uint16_t)cell;
        w->verdict[cell] = IN;
        n += w->cell_n[cell];
        level_n += w->cell_n[cell];
    }
    *out_ties = n > k ? level_n : 0;
    for (uint32_t m = level; n > k && m < n_marked; m++)
        w->verdict[w->marked[m]] = TIE;
    *out_n_marked = n_marked;
    return n;
}

/* The k best of the touched by two passes over them: count the cells, then pick from those that the
 * count lets through. Only candidates that tie for the last places are compared. Sets all counts
 * back to zero. */
static kd_rc select_by_cells(const kd_state *s, const kd_usercf_options *o,
                             const kd_subject *subject, kd_usercf_space *w, uint32_t n_touched,
                             kd_err *err)
{
    cells x = {.kind = o->similarity,
               .a = subject->size,
               .stride = s->opt.history_max + 1,
               .c_min = o->overlap_min};
    for (uint32_t t = 0; t < n_touched; t++) {
        uint32_t v = w->touched[t], c = w->count[v];
        uint32_t cell = c * x.stride + s->hist.n_items[v];
        w->count[v] = 0;
        w->cell[t] = (uint16_t)cell;
        w->cell_n[cell]++;
        x.c_max = c > x.c_max ? c : x.c_max;
    }
    uint32_t n_ties = 0, n_marked = 0, n_in = 0, n_tied = 0;
    uint32_t n = judge(&x, w, o->neighbours, &n_ties, &n_marked);
    kd_rc rc = fit_near(w, n, err);
    for (uint32_t t = 0; rc == KD_OK && t < n_touched; t++) {
        uint8_t verdict = w->verdict[w->cell[t]];
        if (verdict == OUT)
            continue;
        uint32_t v = w->touched[t], c = w->cell[t] / x.stride;
        double rank = kd_similarity_rank(o->similarity, c, x.a, w->cell[t] % x.stride);
        uint32_t at = verdict == IN ? n_in++ : n - ++n_tied; /* ties fill from the end */
        w->near[at] = (kd_near){rank, s->hist.last[v], v, c};
    }
    for (uint32_t m = 0; m < n_marked; m++)
        w->verdict[w->marked[m]] = OUT;
    memset(w->cell_n, 0, (size_t)(x.c_max + 1) * x.stride * sizeof *w->cell_n);
    KD_TRY(rc);
    if (n > o->neighbours)
        keep_best(s, w->near + n_in, n_ties, o->neighbours - n_in);
    w->n_near = n < o->neighbours ? n : o->neighbours;
    return KD_OK;
}

/* -- the k best by comparing --------------------------------------------------------------------
 */

/* For histories so long that cells would be too many: up to 2 k candidates are held, then cut to
 * the k best, whose worst is the bar for those that follow. Sets all counts back to zero. */
static kd_rc select_by_rank(const kd_state *s, const kd_usercf_options *o,
                            const kd_subject *subject, kd_usercf_space *w, uint32_t n_touched,
                            kd_err *err)
{
    const uint32_t k = o->neighbours;
    kd_rc rc = fit_near(w, 2 * k, err);
    double bar = 0;
    uint32_t n = 0;
    for (uint32_t t = 0; t < n_touched; t++) {
        uint32_t v = w->touched[t], c = w->count[v];
        w->count[v] = 0;
        if (c < o->overlap_min || rc != KD_OK)
            continue;
        double rank = kd_similarity_rank(o->similarity, c, subject->size, s->hist.n_items[v]);
        if (rank < bar)
            continue;
        w->near[n++] = (kd_near){rank, s->hist.last[v], v, c};
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

kd_rc kd_usercf_neighbours(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                           kd_usercf_space *w, kd_err *err)
{
    w->n_near = 0;
    if (subject->n_items == 0)
        return KD_OK;
    uint32_t n = gather(s, o, subject, w);
    for (uint32_t k = 0; k < subject->n_self; k++)
        w->count[subject->self[k]] = 0; /* below any overlap */
    bool by_cells =
        subject->n_items < 256 && (subject->n_items + 1) * (s->opt.history_max + 1) <= KD_CELLS;
    KD_TRY(by_cells ? select_by_cells(s, o, subject, w, n, err)
                    : select_by_rank(s, o, subject, w, n, err));
    kd_near *sorted = sort_near(s, w->near, w->spare, w->n_near);
    if (sorted != w->near) {
        w->spare = w->near;
        w->near = sorted;
    }
    for (uint32_t t = 0; t < w->n_near; t++) {
        const kd_near *x = &w->near[t];
        w->sim[t] =
            kd_similarity_value(o->similarity, x->c, subject->size, s->hist.n_items[x->slot]);
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

void kd_usercf_score(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                     kd_usercf_space *w)
{
    enum { AHEAD = 4 }; /* neighbours whose histories are on their way from memory */
    uint32_t n = w->n_items;
    double *restrict score = w->score;
    for (uint32_t t = 0; t < w->n_near; t++) {
        if (t + AHEAD < w->n_near) {
            const kd_shopper *next = &s->hist.shopper[w->near[t + AHEAD].slot];
            const char *p = kd_slab_ptr(s->hist.blocks, next->block);
            __builtin_prefetch(p);
            __builtin_prefetch(p + 64);
        }
        kd_entries e = kd_entries_of(&s->hist, w->near[t].slot);
        uint32_t begin = kd_history_begin(&e, s->opt.history_max);
        double sim = w->sim[t];
        for (uint32_t k = begin; k < e.n; k++) {
            if ((e.word[k] & KD_REP) == 0)
                continue;
            uint32_t item = kd_word_item(e.word[k]);
            double add =
                o->is_plain ? sim : sim * kd_interaction_weight(o, &e, begin, k, subject->now);
            w->items[n] = item;
            n += score[item] == 0.0 && add != 0.0;
            score[item] += add;
        }
    }
    w->n_items = n;
}

void kd_usercf_clear(kd_usercf_space *w)
{
    for (uint32_t k = 0; k < w->n_items; k++)
        w->score[w->items[k]] = 0.0;
    for (uint32_t k = 0; k < w->n_excluded; k++)
        w->score[w->excluded[k]] = 0.0;
    w->n_items = 0;
    w->n_excluded = 0;
}
