#include "evaluation/compare.h"

#include <stdlib.h>
#include <string.h>

#include "evaluation/resample.h"

#define LEVEL 0.95
enum { WINDOW_RESAMPLES = 200 };

/* Columns of the matrix of one configuration: the row of all units, then for each segment units
 * and metrics at the shown cut-off, then the row of shoppers' means. Estimates, in this order:
 * total, by shopper (each metric x cut-off), F1 of means (cut-off), segment (segment x metric). */
typedef struct shape {
    uint32_t row;                  /* columns of a row */
    uint32_t segments, by_shopper; /* where they begin */
    uint32_t columns;
    uint32_t n_mc; /* metrics x cut-offs */
    uint32_t estimates;
} shape;

enum { SEG_COLUMNS = 1 + KD_METRICS };

struct kd_compare {
    kd_compare_options opt;
    kd_scorer **scorers; /* owned array of borrowed ones */
    uint32_t n;
    kd_cutoffs cutoffs;
    shape shape;
    uint32_t n_groups;
    double **matrix;   /* [n] of [n_groups][columns] */
    double *sums;      /* [columns] whole */
    double *estimates; /* [n][resamples][estimates] */
    double *diffs[2];  /* [family] of [n_groups][columns of the family] */
    uint32_t n_diff[2];
    double *scale[2];
    double *greatest[2]; /* [permutations] */
    struct {
        uint16_t *times;
        int8_t *sign;
        double *sums, *work;
    } * worker;
    kd_verdict *verdict; /* [n] */
};

static shape shape_of(const kd_cutoffs *c)
{
    shape s = {.row = kd_row_columns(c), .n_mc = KD_METRICS * c->n};
    s.segments = s.row;
    s.by_shopper = s.segments + KD_SEGMENTS * SEG_COLUMNS;
    s.columns = s.by_shopper + s.row;
    s.estimates = 2 * s.n_mc + c->n + KD_SEGMENTS * KD_METRICS;
    return s;
}

/* Which metrics are tested by segment. */
static bool is_tested(kd_metric m)
{
    return m == KD_HIT_RATE || m == KD_MRR || m == KD_NDCG;
}

static void fill_matrix(kd_compare *c, uint32_t config)
{
    const shape *s = &c->shape;
    for (uint32_t g = 0; g < c->n_groups; g++) {
        double *to = c->matrix[config] + (size_t)g * s->columns, own[KD_ROW_MAX];
        memcpy(to, kd_scorer_row(c->scorers[config], g, KD_SEG_ALL), s->row * sizeof *to);
        for (uint32_t x = 0; x < KD_SEGMENTS; x++) {
            const double *row = kd_scorer_row(c->scorers[config], g, (kd_segment)x);
            double *seg = to + s->segments + x * SEG_COLUMNS;
            seg[0] = row[0];
            for (uint32_t m = 0; m < KD_METRICS; m++)
                seg[1 + m] = row[kd_row_column(&c->cutoffs, (kd_metric)m, c->cutoffs.head)];
        }
        kd_scorer_by_shopper(c->scorers[config], g, own);
        memcpy(to + s->by_shopper, own, s->row * sizeof *to);
    }
}

/* All estimates out of column sums. */
static void estimate(const kd_compare *c, const double *sums, double *out)
{
    const shape *s = &c->shape;
    const double *own = sums + s->by_shopper;
    for (uint32_t k = 0; k < s->n_mc; k++) {
        out[k] = sums[0] > 0 ? sums[1 + k] / sums[0] : 0;
        out[s->n_mc + k] = own[0] > 0 ? own[1 + k] / own[0] : 0;
    }
    double *f1 = out + 2 * s->n_mc;
    for (uint32_t k = 0; k < c->cutoffs.n; k++)
        f1[k] =
            kd_metric_f1(out[KD_PRECISION * c->cutoffs.n + k], out[KD_RECALL * c->cutoffs.n + k]);
    double *seg = f1 + c->cutoffs.n;
    for (uint32_t x = 0; x < KD_SEGMENTS; x++) {
        const double *from = sums + s->segments + x * SEG_COLUMNS;
        for (uint32_t m = 0; m < KD_METRICS; m++)
            seg[x * KD_METRICS + m] = from[0] > 0 ? from[1 + m] / from[0] : 0;
    }
}

/* -- the paired differences of the test ---------------------------------------------------------
 */

static void fill_diffs(kd_compare *c)
{
    const shape *s = &c->shape;
    for (uint32_t g = 0; g < c->n_groups; g++) {
        double *total = c->diffs[0] + (size_t)g * c->n_diff[0];
        double *seg = c->diffs[1] + (size_t)g * c->n_diff[1];
        const double *base = c->matrix[0] + (size_t)g * s->columns;
        for (uint32_t k = 1; k < c->n; k++) {
            const double *x = c->matrix[k] + (size_t)g * s->columns;
            for (uint32_t i = 0; i < s->n_mc; i++)
                *total++ = x[1 + i] - base[1 + i];
            for (uint32_t i = 1; i < KD_SEGMENTS; i++)
                for (uint32_t m = 0; m < KD_METRICS; m++)
                    if (is_tested((kd_metric)m)) {
                        uint32_t at = s->segments + i * SEG_COLUMNS + 1 + m;
                        *seg++ = x[at] - base[at];
                    }
        }
    }
    for (int f = 0; f < 2; f++)
        kd_signs_scale(c->diffs[f], c->n_groups, c->n_diff[f], c->scale[f]);
}

/* -- building -----------------------------------------------------------------------------------
 */

static void *room(kd_rc *rc, size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (p == NULL)
        *rc = KD_ENOMEM;
    return p;
}

static kd_rc take_rooms(kd_compare *c)
{
    const shape *s = &c->shape;
    kd_rc rc = KD_OK;
    c->matrix = room(&rc, c->n, sizeof(double *));
    for (uint32_t k = 0; rc == KD_OK && k < c->n; k++)
        c->matrix[k] = room(&rc, (size_t)c->n_groups * s->columns, sizeof(double));
    c->sums = room(&rc, s->columns, sizeof(double));
    c->estimates = room(&rc, (size_t)c->n * c->opt.resamples * s->estimates, sizeof(double));
    c->verdict = room(&rc, c->n, sizeof *c->verdict);
    c->worker = room(&rc, c->opt.workers, sizeof *c->worker);
    uint32_t tested = 0, most;
    for (uint32_t m = 0; m < KD_METRICS; m++)
        tested += is_tested((kd_metric)m);
    c->n_diff[0] = (c->n - 1) * s->n_mc;
    c->n_diff[1] = (c->n - 1) * (KD_SEGMENTS - 1) * tested;
    most = c->n_diff[0] > c->n_diff[1] ? c->n_diff[0] : c->n_diff[1];
    for (int f = 0; f < 2; f++) {
        c->diffs[f] = room(&rc, (size_t)c->n_groups * c->n_diff[f], sizeof(double));
        c->scale[f] = room(&rc, c->n_diff[f], sizeof(double));
        c->greatest[f] = room(&rc, c->opt.permutations, sizeof(double));
    }
    for (uint32_t w = 0; rc == KD_OK && w < c->opt.workers; w++) {
        c->worker[w].times = room(&rc, c->n_groups, sizeof(uint16_t));
        c->worker[w].sign = room(&rc, c->n_groups, sizeof(int8_t));
        c->worker[w].sums = room(&rc, s->columns, sizeof(double));
        c->worker[w].work = room(&rc, most, sizeof(double));
    }
    return rc;
}

kd_rc kd_compare_new(const kd_compare_options *o, kd_scorer *const *scorers, uint32_t n,
                     kd_compare **out, kd_err *err)
{
    KD_ASSERT(n >= 1 && o->workers >= 1 && o->resamples >= 1);
    kd_compare *c = calloc(1, sizeof *c);
    kd_rc rc = c == NULL ? KD_ENOMEM : KD_OK;
    if (rc == KD_OK) {
        c->opt = *o;
        c->n = n;
        c->scorers = room(&rc, n, sizeof(kd_scorer *));
    }
    if (rc == KD_OK) {
        for (uint32_t k = 0; k < n; k++)
            c->scorers[k] = scorers[k];
        c->cutoffs = *kd_scorer_cutoffs(scorers[0]);
        c->shape = shape_of(&c->cutoffs);
        c->n_groups = kd_scorer_groups(scorers[0]);
        rc = take_rooms(c);
    }
    if (rc != KD_OK) {
        kd_compare_free(c);
        return kd_fail(err, rc, "no memory to compare %u configurations", n);
    }
    for (uint32_t k = 0; k < n; k++) {
        KD_ASSERT(kd_scorer_groups(scorers[k]) == c->n_groups);
        fill_matrix(c, k);
    }
    if (n > 1)
        fill_diffs(c);
    *out = c;
    return KD_OK;
}

void kd_compare_free(kd_compare *c)
{
    if (c == NULL)
        return;
    for (uint32_t k = 0; c->matrix != NULL && k < c->n; k++)
        free(c->matrix[k]);
    for (uint32_t w = 0; c->worker != NULL && w < c->opt.workers; w++) {
        free(c->worker[w].times);
        free(c->worker[w].sign);
        free(c->worker[w].sums);
        free(c->worker[w].work);
    }
    for (int f = 0; f < 2; f++) {
        free(c->diffs[f]);
        free(c->scale[f]);
        free(c->greatest[f]);
    }
    free(c->worker);
    free(c->matrix);
    free(c->sums);
    free(c->estimates);
    free(c->verdict);
    free(c->scorers);
    free(c);
}

/* -- replicates ---------------------------------------------------------------------------------
 */

uint32_t kd_compare_replicates(const kd_compare *c)
{
    return c->opt.resamples + (c->n > 1 ? c->opt.permutations : 0);
}

static double *estimates_of(const kd_compare *c, uint32_t config, uint32_t r)
{
    return c->estimates + ((size_t)config * c->opt.resamples + r) * c->shape.estimates;
}

void kd_compare_replicate(kd_compare *c, uint32_t worker, uint32_t r)
{
    if (r < c->opt.resamples) {
        uint16_t *times = c->worker[worker].times;
        double *sums = c->worker[worker].sums;
        kd_bootstrap_draw(c->opt.seed, r, c->n_groups, times);
        for (uint32_t k = 0; k < c->n; k++) {
            kd_bootstrap_sums(c->matrix[k], c->n_groups, c->shape.columns, times, sums);
            estimate(c, sums, estimates_of(c, k, r));
        }
        return;
    }
    r -= c->opt.resamples;
    int8_t *sign = c->worker[worker].sign;
    kd_signs_draw(c->opt.seed, r, c->n_groups, sign);
    for (int f = 0; f < 2; f++)
        c->greatest[f][r] = kd_signs_max(c->diffs[f], c->n_groups, c->n_diff[f], sign, c->scale[f],
                                         NULL, c->worker[worker].work);
}

/* -- the verdict --------------------------------------------------------------------------------
 */

/* Where the verdict keeps estimate number e. */
static kd_estimate *place_of(const kd_compare *c, kd_verdict *v, uint32_t e)
{
    uint32_t nc = c->cutoffs.n, n_mc = c->shape.n_mc;
    if (e < n_mc)
        return &v->total[e / nc][e % nc];
    if (e < 2 * n_mc)
        return &v->by_shopper[(e - n_mc) / nc][(e - n_mc) % nc];
    e -= 2 * n_mc;
    return e < nc ? &v->f1_of_means[e] : &v->segment[(e - nc) / KD_METRICS][(e - nc) % KD_METRICS];
}

static kd_versus *versus_of(const kd_compare *c, kd_verdict *v, uint32_t e)
{
    uint32_t nc = c->cutoffs.n, n_mc = c->shape.n_mc;
    if (e < n_mc)
        return &v->total_versus[e / nc][e % nc];
    if (e < 2 * n_mc + nc)
        return NULL;
    e -= 2 * n_mc + nc;
    return &v->segment_versus[e / KD_METRICS][e % KD_METRICS];
}

static void judge(kd_compare *c, uint32_t config, double *whole, const double *base_whole,
                  double *values)
{
    for (uint32_t e = 0; e < c->shape.estimates; e++) {
        kd_estimate *x = place_of(c, &c->verdict[config], e);
        for (uint32_t r = 0; r < c->opt.resamples; r++)
            values[r] = estimates_of(c, config, r)[e];
        x->value = whole[e];
        kd_percentile_interval(values, c->opt.resamples, LEVEL, &x->low, &x->high);
        kd_versus *v = versus_of(c, &c->verdict[config], e);
        if (v == NULL || config == 0)
            continue;
        for (uint32_t r = 0; r < c->opt.resamples; r++)
            values[r] = estimates_of(c, config, r)[e] - estimates_of(c, 0, r)[e];
        v->diff.value = whole[e] - base_whole[e];
        v->p = -1;
        kd_percentile_interval(values, c->opt.resamples, LEVEL, &v->diff.low, &v->diff.high);
    }
}

/* The p-values of both families, in the order in which fill_diffs laid the columns out. */
static void test(kd_compare *c, double *each)
{
    double *work = c->worker[0].work;
    uint32_t nc = c->cutoffs.n, at = 0;
    (void)kd_signs_max(c->diffs[0], c->n_groups, c->n_diff[0], NULL, c->scale[0], each, work);
    for (uint32_t k = 1; k < c->n; k++)
        for (uint32_t i = 0; i < c->shape.n_mc; i++, at++)
            c->verdict[k].total_versus[i / nc][i % nc].p =
                kd_signs_p(each[at], c->greatest[0], c->opt.permutations);
    (void)kd_signs_max(c->diffs[1], c->n_groups, c->n_diff[1], NULL, c->scale[1], each, work);
    at = 0;
    for (uint32_t k = 1; k < c->n; k++)
        for (uint32_t i = 1; i < KD_SEGMENTS; i++)
            for (uint32_t m = 0; m < KD_METRICS; m++)
                if (is_tested((kd_metric)m))
                    c->verdict[k].segment_versus[i][m].p =
                        kd_signs_p(each[at++], c->greatest[1], c->opt.permutations);
}

kd_rc kd_compare_finish(kd_compare *c, kd_err *err)
{
    uint32_t most = c->n_diff[0] > c->n_diff[1] ? c->n_diff[0] : c->n_diff[1];
    kd_rc rc = KD_OK;
    double *whole = room(&rc, (size_t)c->n * c->shape.estimates, sizeof *whole);
    double *values = room(&rc, c->opt.resamples, sizeof *values);
    double *each = room(&rc, most, sizeof *each);
    uint16_t *once = room(&rc, c->n_groups, sizeof *once);
    for (uint32_t g = 0; rc == KD_OK && g < c->n_groups; g++)
        once[g] = 1;
    for (uint32_t k = 0; rc == KD_OK && k < c->n; k++) {
        double *w = whole + (size_t)k * c->shape.estimates;
        kd_bootstrap_sums(c->matrix[k], c->n_groups, c->shape.columns, once, c->sums);
        estimate(c, c->sums, w);
        judge(c, k, w, whole, values);
    }
    if (rc == KD_OK && c->n > 1)
        test(c, each);
    free(whole);
    free(values);
    free(each);
    free(once);
    return rc == KD_OK ? rc : kd_fail(err, rc, "no memory to compare %u configurations", c->n);
}

const kd_verdict *kd_compare_verdict(const kd_compare *c, uint32_t config)
{
    return &c->verdict[config];
}

int64_t kd_compare_segment_units(const kd_compare *c, kd_segment s)
{
    double n = 0;
    for (uint32_t g = 0; g < c->n_groups; g++)
        n += kd_scorer_row(c->scorers[0], g, s)[0];
    return (int64_t)n;
}

int64_t kd_compare_shoppers(const kd_compare *c)
{
    double n = 0;
    for (uint32_t g = 0; g < c->n_groups; g++)
        n += c->matrix[0][(size_t)g * c->shape.columns + c->shape.by_shopper];
    return (int64_t)n;
}

kd_estimate kd_compare_window(const kd_compare *c, uint32_t config, uint32_t window, kd_metric m)
{
    const kd_windows *w = kd_scorer_windows(c->scorers[config]);
    const kd_window *x = &w->window[window];
    double all[1 + KD_METRICS] = {0}, values[WINDOW_RESAMPLES];
    uint16_t times[KD_WINDOW_GROUPS];
    for (uint32_t g = 0; g < KD_WINDOW_GROUPS; g++)
        for (uint32_t k = 0; k < 1 + KD_METRICS; k++)
            all[k] += x->group[g][k];
    kd_estimate e = {.value = all[0] > 0 ? all[1 + m] / all[0] : 0};
    for (uint32_t r = 0; r < WINDOW_RESAMPLES; r++) {
        double n = 0, sum = 0;
        kd_bootstrap_draw(c->opt.seed + 1, r, KD_WINDOW_GROUPS, times);
        for (uint32_t g = 0; g < KD_WINDOW_GROUPS; g++) {
            n += times[g] * x->group[g][0];
            sum += times[g] * x->group[g][1 + m];
        }
        values[r] = n > 0 ? sum / n : 0;
    }
    kd_percentile_interval(values, WINDOW_RESAMPLES, LEVEL, &e.low, &e.high);
    return e;
}
