#include "evaluation/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* A generator of its own for each replicate and purpose. */
static void seed_for(kd_rng *rng, uint64_t seed, uint32_t r, uint64_t purpose)
{
    kd_rng_init(rng, seed ^ (purpose << 32 | r) * UINT64_C(0x9e3779b97f4a7c15));
}

void kd_bootstrap_draw(uint64_t seed, uint32_t r, uint32_t n_groups, uint16_t *out_times)
{
    kd_rng rng;
    seed_for(&rng, seed, r, 1);
    memset(out_times, 0, n_groups * sizeof *out_times);
    for (uint32_t k = 0; k < n_groups; k++)
        out_times[kd_rng_below(&rng, n_groups)]++;
}

/* to += w * row. Four at a time, so that a compiler makes vectors of them at -O2; each sum is the
 * same, bit by bit. */
static void add_scaled(double *restrict to, const double *restrict row, uint32_t n, double w)
{
    uint32_t c = 0;
    for (; c + 4 <= n; c += 4) {
        to[c] += w * row[c];
        to[c + 1] += w * row[c + 1];
        to[c + 2] += w * row[c + 2];
        to[c + 3] += w * row[c + 3];
    }
    for (; c < n; c++)
        to[c] += w * row[c];
}

void kd_bootstrap_sums(const double *matrix, uint32_t n_groups, uint32_t n_columns,
                       const uint16_t *times, double *out)
{
    for (uint32_t c = 0; c < n_columns; c++)
        out[c] = 0;
    for (uint32_t g = 0; g < n_groups; g++) {
        if (times[g] == 0)
            continue;
        add_scaled(out, matrix + (size_t)g * n_columns, n_columns, times[g]);
    }
}

static int by_value(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

static double quantile(const double *sorted, uint32_t n, double q)
{
    double at = q * (double)(n - 1);
    uint32_t below = (uint32_t)at;
    double part = at - (double)below;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

void kd_percentile_interval(double *values, uint32_t n, double level, double *out_low,
                            double *out_high)
{
    qsort(values, n, sizeof *values, by_value);
    *out_low = quantile(values, n, (1 - level) / 2);
    *out_high = quantile(values, n, (1 + level) / 2);
}

void kd_signs_draw(uint64_t seed, uint32_t r, uint32_t n_groups, int8_t *out_sign)
{
    kd_rng rng;
    seed_for(&rng, seed, r, 2);
    uint64_t bits = 0;
    for (uint32_t k = 0; k < n_groups; k++) {
        if (k % 64 == 0)
            bits = kd_rng_next(&rng);
        out_sign[k] = (bits >> (k % 64) & 1) != 0 ? 1 : -1;
    }
}

void kd_signs_scale(const double *differences, uint32_t n_groups, uint32_t n_columns,
                    double *out_scale)
{
    for (uint32_t c = 0; c < n_columns; c++)
        out_scale[c] = 0;
    for (uint32_t g = 0; g < n_groups; g++)
        for (uint32_t c = 0; c < n_columns; c++) {
            double d = differences[(size_t)g * n_columns + c];
            out_scale[c] += d * d;
        }
    for (uint32_t c = 0; c < n_columns; c++)
        out_scale[c] = out_scale[c] > 0 ? 1 / sqrt(out_scale[c]) : 0;
}

double kd_signs_max(const double *differences, uint32_t n_groups, uint32_t n_columns,
                    const int8_t *sign, const double *scale, double *each, double *work)
{
    for (uint32_t c = 0; c < n_columns; c++)
        work[c] = 0;
    for (uint32_t g = 0; g < n_groups; g++) {
        add_scaled(work, differences + (size_t)g * n_columns, n_columns,
                   sign == NULL ? 1 : sign[g]);
    }
    double most = 0;
    for (uint32_t c = 0; c < n_columns; c++) {
        double t = work[c] * scale[c];
        if (each != NULL)
            each[c] = t;
        most = fabs(t) > most ? fabs(t) : most;
    }
    return most;
}

double kd_signs_p(double t, const double *greatest, uint32_t n)
{
    uint32_t at_least = 0;
    for (uint32_t k = 0; k < n; k++)
        at_least += greatest[k] >= fabs(t) - 1e-12; /* sums of other signs are rounded otherwise */
    return (double)(1 + at_least) / (double)(n + 1);
}
