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
    free(w->ranks);
    free(w->histogram);
    *w = (kd_usercf_space){0};
}

kd_rc kd_usercf_space_fit(kd_usercf_space *w, const kd_state *s, kd_err *err)
{
    if (s->hist.cap > w->cap_shoppers) {
        uint32_t cap_a = w->cap_shoppers, cap_b = cap_a == 0 ? 0 : cap_a + 1;
        if (!kd_grow((void **)&w->count, &cap_a, s->hist.cap, sizeof *w->count) ||
            !kd_grow((void **)&w->touched, &cap_b, cap_a + 1, sizeof *w->touched))
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

/* The greatest rank that any v with this c can have: b = c. Grows with c. */
static double rank_bound(kd_similarity kind, uint32_t c, uint32_t a)
{
    return kd_similarity_rank(kind, c, a, c);
}

/* Counts the shoppers of one run. The list of touched shoppers is written without a branch: the
 * slot is always stored, and kept only if its count was zero. */
static uint32_t count_run(kd_run run, uint16_t *restrict count, uint32_t *restrict touched,
                          uint32_t n)
{
    for (uint32_t k = 0; k < run.n; k++) {
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
        !kd_grow((void **)&w->ranks, &cap_c, need, sizeof *w->ranks))
        return kd_fail(err, KD_ENOMEM, "no memory for %u neighbours", need);
    w->cap_near = cap_a;
    return KD_OK;
}

/* The k-th greatest of n numbers, 1 <= k <= n (Hoare 1961, quickselect; middle of three). */
static double kth_greatest(double *x, uint32_t n, uint32_t k)
{
    int64_t lo = 0, hi = (int64_t)n - 1, want = (int64_t)k - 1;
    while (lo < hi) {
        double a = x[lo], b = x[lo + (hi - lo) / 2], c = x[hi];
        double pivot = a > b ? (b > c ? b : a > c ? c : a) : (a > c ? a : b > c ? c : b);
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (x[i] > pivot)
                i++;
            while (x[j] < pivot)
                j--;
            if (i <= j) {
                double t = x[i];
                x[i++] = x[j];
                x[j--] = t;
            }
        }
        if (want <= j)
            hi = j;
        else if (want >= i)
            lo = i;
        else
            break; /* between j and i all equal the pivot */
    }
    return x[want];
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

static uint32_t evaluate(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                         kd_usercf_space *w, uint32_t n_touched, uint32_t c_from, uint32_t c_to,
                         double least, uint32_t n)
{
    for (uint32_t k = 0; k < n_touched; k++) {
        uint32_t v = w->touched[k], c = w->count[v];
        if (c < c_from || c > c_to)
            continue;
        double rank = kd_similarity_rank(o->similarity, c, subject->n_items, s->hist.n_items[v]);
        if (rank < least)
            continue;
        w->near[n] = (kd_near){.rank = rank, .slot = v, .c = c};
        w->ranks[n] = rank;
        n++;
    }
    return n;
}

/* The k best of the touched, exactly, without evaluating those that cannot be among them: a
 * shopper who shares c items has at most rank_bound(c), and most share only one. */
static kd_rc select_near(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                         kd_usercf_space *w, uint32_t n_touched, kd_err *err)
{
    uint32_t a = subject->n_items, k = o->neighbours;
    if (!kd_grow((void **)&w->histogram, &w->cap_histogram, a + 1, sizeof *w->histogram))
        return kd_fail(err, KD_ENOMEM, "no memory for a histogram of %u", a + 1);
    memset(w->histogram, 0, (a + 1) * sizeof *w->histogram);
    for (uint32_t t = 0; t < n_touched; t++)
        w->histogram[w->count[w->touched[t]]]++;
    uint32_t c0 = a + 1, n_at_least = 0;
    while (c0 > o->overlap_min && n_at_least < k)
        n_at_least += w->histogram[--c0];
    KD_TRY(fit_near(w, n_touched + 1, err));
    uint32_t n = evaluate(s, o, subject, w, n_touched, c0, a, 0.0, 0);
    double least = 0.0;
    if (n >= k) {
        least = kth_greatest(w->ranks, n, k);
        uint32_t c1 = c0;
        while (c1 > o->overlap_min && rank_bound(o->similarity, c1 - 1, a) >= least)
            c1--;
        uint32_t kept = 0; /* only those at or above the bar go on */
        for (uint32_t t = 0; t < n; t++)
            if (w->near[t].rank >= least)
                w->near[kept++] = w->near[t];
        n = kept;
        if (c1 < c0) {
            for (uint32_t t = 0; t < n; t++)
                w->ranks[t] = w->near[t].rank;
            n = evaluate(s, o, subject, w, n_touched, c1, c0 - 1, least, n);
            least = kth_greatest(w->ranks, n, k);
        }
    }
    uint32_t kept = 0;
    for (uint32_t t = 0; t < n; t++) {
        if (w->near[t].rank < least)
            continue;
        kd_near *x = &w->near[kept++];
        *x = w->near[t];
        x->last = s->hist.last[x->slot];
    }
    kd_near *sorted = sort_near(s, w->near, w->spare, kept);
    if (sorted != w->near) {
        w->spare = w->near;
        w->near = sorted;
    }
    w->n_near = kept < k ? kept : k;
    for (uint32_t t = 0; t < w->n_near; t++) {
        kd_near *x = &w->near[t];
        x->sim = kd_similarity_value(o->similarity, x->c, a, s->hist.n_items[x->slot]);
    }
    return KD_OK;
}

kd_rc kd_usercf_neighbours(const kd_state *s, const kd_usercf_options *o,
                           const kd_subject *subject, kd_usercf_space *w, kd_err *err)
{
    w->n_near = 0;
    if (subject->n_items == 0)
        return KD_OK;
    uint32_t n = gather(s, o, subject, w);
    for (uint32_t k = 0; k < subject->n_self; k++)
        w->count[subject->self[k]] = 0; /* histogram[0], which nobody reads */
    kd_rc rc = select_near(s, o, subject, w, n, err);
    for (uint32_t k = 0; k < n; k++)
        w->count[w->touched[k]] = 0;
    return rc;
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
        double sim = w->near[t].sim;
        for (uint32_t k = begin; k < e.n; k++) {
            if ((e.word[k] & KD_REP) == 0)
                continue;
            uint32_t item = kd_word_item(e.word[k]);
            double add = o->is_plain ? sim
                                     : sim * kd_interaction_weight(o, &e, begin, k, subject->now);
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
