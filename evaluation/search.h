/* search.h - the next setting to try, from those that were tried: a tree-structured Parzen
 * estimator over several dimensions at once (Bergstra, Bardenet, Bengio, Kegl 2011; with product
 * kernels as Falkner, Klein, Hutter 2018).
 *
 * The tried points are divided into the good (the best fifth, 4 at least, 24 at most) and the rest;
 * each part is a density of kernels around its points, g the good one's and b the other's. Of
 * CANDIDATES points drawn from g the one with the greatest g / b is proposed. A uniform kernel
 * has the same share in both, so that no corner is out of reach, and none good for being empty. The
 * first points are drawn uniformly, and so is every sixth later on.
 *
 * I1  a proposal is a function of (dimensions, seed, points and values tried so far in their
 *     order): a search that is interrupted and goes on proposes what it would have
 * O(points * dimensions * CANDIDATES) a proposal.   @thread any: nothing here has state.
 */
#ifndef KD_SEARCH_H
#define KD_SEARCH_H

#include "base/rng.h"

enum { KD_SEARCH_DIMS = 64 };

/* A coordinate is in [0, 1], or for n_choices > 0 one of 0, 1, ... n_choices - 1. */
typedef struct kd_dim {
    uint32_t n_choices;
} kd_dim;

typedef struct kd_search {
    const kd_dim *dims; /* [n_dims]; borrowed */
    uint32_t n_dims;    /* 1 .. KD_SEARCH_DIMS */
    uint64_t seed;
} kd_search;

/* How many points are drawn uniformly before there is anything to go by. */
uint32_t kd_search_random(uint32_t n_dims);

/* A point anywhere, each like any other. */
void kd_search_uniform(const kd_search *s, kd_rng *rng, double *out);

/* points: [n x n_dims] row-major, ld = n_dims; values: [n], the greater the better (not finite
 * counts as the worst). out: [n_dims]. order: room for n. */
void kd_search_propose(const kd_search *s, const double *points, const double *values, uint32_t n,
                       uint32_t *order, double *out);

#endif
