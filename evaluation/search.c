#include "evaluation/search.h"

#include <math.h>

#include "base/rng.h"

enum { CANDIDATES = 48, GOOD_MIN = 4, GOOD_MAX = 24, UNIFORM_EVERY = 6, DRAWS = 32 };

#define PI        3.14159265358979323846
#define SIDE      0.4 /* chance that a kernel over choices gives any of them instead of its own */
#define WIDEST    0.3 /* standard deviations of a kernel over numbers */
#define NARROWEST 0.5 /* ... / sqrt(points tried): sure of little, look around much */
#define UNIFORM   0.1 /* share of the uniform kernel, the same in both densities: nowhere is far */

uint32_t kd_search_random(uint32_t n_dims)
{
    return n_dims < 5 ? 10 : 2 * n_dims;
}

/* Some points as a density. */
typedef struct density {
    const kd_search *s;
    const double *points;
    const uint32_t *which; /* [n] rows of points */
    uint32_t n;
    double width[KD_SEARCH_DIMS];
} density;

/* Scott's rule with the points' own spread: sigma * n^(-1 / (d + 4)); `least` keeps a few points
 * that happen to be near each other from shutting everything else out. */
static density density_of(const kd_search *s, const double *points, const uint32_t *which,
                          uint32_t n, double least)
{
    density d = {s, points, which, n, {0}};
    for (uint32_t k = 0; k < s->n_dims; k++) {
        double mean = 0, var = 0;
        for (uint32_t j = 0; j < n; j++)
            mean += points[(size_t)which[j] * s->n_dims + k] / n;
        for (uint32_t j = 0; j < n; j++)
            var += pow(points[(size_t)which[j] * s->n_dims + k] - mean, 2) / n;
        double width = sqrt(var) * pow(n, -1.0 / (s->n_dims + 4.0));
        d.width[k] = fmin(WIDEST, fmax(least, width));
    }
    return d;
}

/* The kernel of dimension k around `at`; of numbers cut at 0 and 1, which is the same factor for
 * every point that it is compared at, and left out. */
static double kernel(const density *d, uint32_t k, double at, double x)
{
    uint32_t n = d->s->dims[k].n_choices;
    if (n > 0)
        return (x == at ? 1.0 - SIDE : 0.0) + SIDE / n;
    double z = (x - at) / d->width[k];
    return exp(-0.5 * z * z) / (d->width[k] * sqrt(2 * PI));
}

static double density_at(const density *d, const double *x)
{
    double uniform = 1.0, sum = 0;
    for (uint32_t k = 0; k < d->s->n_dims; k++)
        uniform /= d->s->dims[k].n_choices > 0 ? d->s->dims[k].n_choices : 1;
    for (uint32_t j = 0; j < d->n; j++) {
        double product = 1.0;
        for (uint32_t k = 0; k < d->s->n_dims; k++)
            product *= kernel(d, k, d->points[(size_t)d->which[j] * d->s->n_dims + k], x[k]);
        sum += product;
    }
    return UNIFORM * uniform + (1 - UNIFORM) * sum / d->n;
}

void kd_search_uniform(const kd_search *s, kd_rng *rng, double *out)
{
    for (uint32_t k = 0; k < s->n_dims; k++)
        out[k] = s->dims[k].n_choices > 0 ? (double)kd_rng_below(rng, s->dims[k].n_choices)
                                          : kd_rng_real(rng);
}

/* A number around `at` (Box, Muller 1958), within [0, 1]. */
static double draw_near(kd_rng *rng, double at, double width)
{
    for (int k = 0; k < DRAWS; k++) {
        double r = sqrt(-2.0 * log(1.0 - kd_rng_real(rng)));
        double x = at + width * r * cos(2 * PI * kd_rng_real(rng));
        if (x >= 0 && x <= 1)
            return x;
    }
    return at;
}

static void draw(const density *d, kd_rng *rng, double *out)
{
    if (kd_rng_chance(rng, UNIFORM)) {
        kd_search_uniform(d->s, rng, out);
        return;
    }
    uint32_t j = (uint32_t)kd_rng_below(rng, d->n);
    const double *at = d->points + (size_t)d->which[j] * d->s->n_dims;
    for (uint32_t k = 0; k < d->s->n_dims; k++) {
        uint32_t n = d->s->dims[k].n_choices;
        if (n == 0)
            out[k] = draw_near(rng, at[k], d->width[k]);
        else
            out[k] = kd_rng_chance(rng, SIDE) ? (double)kd_rng_below(rng, n) : at[k];
    }
}

/* Best first; equal ones in the order in which they were tried. */
static void sort_by_value(const double *values, uint32_t *order, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        uint32_t at = k;
        double v = isfinite(values[k]) ? values[k] : -INFINITY;
        for (; at > 0; at--) {
            double w = values[order[at - 1]];
            if (!(v > (isfinite(w) ? w : -INFINITY)))
                break;
            order[at] = order[at - 1];
        }
        order[at] = k;
    }
}

void kd_search_propose(const kd_search *s, const double *points, const double *values, uint32_t n,
                       uint32_t *order, double *out)
{
    KD_ASSERT(s->n_dims >= 1 && s->n_dims <= KD_SEARCH_DIMS);
    kd_rng rng;
    kd_rng_init(&rng, s->seed * UINT64_C(0x9E3779B97F4A7C15) + n);
    if (n < kd_search_random(s->n_dims) || n % UNIFORM_EVERY == UNIFORM_EVERY - 1) {
        kd_search_uniform(s, &rng, out);
        return;
    }
    sort_by_value(values, order, n);
    uint32_t n_good = n / 5 < GOOD_MIN ? GOOD_MIN : n / 5 > GOOD_MAX ? GOOD_MAX : n / 5;
    double least = NARROWEST / sqrt(n);
    density good = density_of(s, points, order, n_good, least);
    density rest = density_of(s, points, order + n_good, n - n_good, least);
    double most = -INFINITY;
    for (int c = 0; c < CANDIDATES; c++) {
        double x[KD_SEARCH_DIMS];
        draw(&good, &rng, x);
        double ratio = log(density_at(&good, x)) - log(density_at(&rest, x));
        if (ratio <= most)
            continue;
        most = ratio;
        for (uint32_t k = 0; k < s->n_dims; k++)
            out[k] = x[k];
    }
}
