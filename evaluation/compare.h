/* compare.h - what a backtest found, ready to be shown: estimates with intervals, and how each
 * configuration differs from the first.
 *
 * All configurations were asked the same units of the same shoppers, so that the differences are
 * paired. The work of resampling is cut into replicates, which the caller may spread over threads:
 *
 *   kd_compare_new -> kd_compare_replicate for r in [0, kd_compare_replicates) -> kd_compare_finish
 *
 * @thread any for kd_compare_replicate with its own `worker` number; one for the rest
 */
#ifndef KD_COMPARE_H
#define KD_COMPARE_H

#include "evaluation/score.h"

enum { KD_COMPARE_MAX = 64 }; /* configurations */

typedef struct kd_estimate {
    double value, low, high; /* 95 % interval */
} kd_estimate;

/* Against the first configuration. */
typedef struct kd_versus {
    kd_estimate diff;
    double p; /* corrected for all of its family; negative = not tested */
} kd_versus;

/* The families of the test are: (1) total, every metric at every cut-off, every configuration;
 * (2) the segments but for `all`, HR, MRR and NDCG at the shown cut-off, every configuration. */
typedef struct kd_verdict {
    kd_estimate total[KD_METRICS][KD_CUTOFFS_MAX];      /* mean over units */
    kd_estimate by_shopper[KD_METRICS][KD_CUTOFFS_MAX]; /* mean over shoppers of their means */
    kd_estimate f1_of_means[KD_CUTOFFS_MAX];      /* of mean precision and mean recall over units */
    kd_estimate segment[KD_SEGMENTS][KD_METRICS]; /* at the shown cut-off */
    kd_versus total_versus[KD_METRICS][KD_CUTOFFS_MAX];
    kd_versus segment_versus[KD_SEGMENTS][KD_METRICS];
} kd_verdict;

typedef struct kd_compare kd_compare;

typedef struct kd_compare_options {
    uint64_t seed;
    uint32_t resamples;    /* bootstrap replicates, >= 100 */
    uint32_t permutations; /* of the sign test */
    uint32_t workers;
} kd_compare_options;

/* Borrows the scorers until kd_compare_free. */
KD_CHECK kd_rc kd_compare_new(const kd_compare_options *o, kd_scorer *const *scorers, uint32_t n,
                              kd_compare **out, kd_err *err);
void kd_compare_free(kd_compare *c);
uint32_t kd_compare_replicates(const kd_compare *c);
void kd_compare_replicate(kd_compare *c, uint32_t worker, uint32_t r);
KD_CHECK kd_rc kd_compare_finish(kd_compare *c, kd_err *err);

const kd_verdict *kd_compare_verdict(const kd_compare *c, uint32_t config);
int64_t kd_compare_segment_units(const kd_compare *c, kd_segment s);
int64_t kd_compare_shoppers(const kd_compare *c); /* who were judged */
/* 95 % interval of a metric in a window, at the shown cut-off, over its groups of shoppers. */
kd_estimate kd_compare_window(const kd_compare *c, uint32_t config, uint32_t window, kd_metric m);

#endif
