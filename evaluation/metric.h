/* metric.h - how good a list was, in one pure function a metric.
 *
 * A list is judged by which of its ranks are relevant, that is, were taken afterwards: kd_hits.
 * All metrics of one list are in [0, 1], binary (taken or not), and cut at rank k. A list that is
 * shorter than k is judged as if it went on with items that nobody wants.
 *
 * Symbols: h(k) = number of hits at ranks 1..k; R = number of relevant items, at least 1 (where
 * nothing is relevant there is no question: such a list is not scored); r1 = rank of the first hit.
 * O(hits) each.   @thread any: nothing here has state.
 */
#ifndef KD_METRIC_H
#define KD_METRIC_H

#include "base/kd.h"

/* The relevant items of a list, by rank. */
typedef struct kd_hits {
    const uint32_t *ranks; /* [n] from 1, ascending, each once; borrowed */
    uint32_t n;            /* <= n_relevant */
    uint32_t n_relevant;   /* R >= 1 */
} kd_hits;

/* Finds which of the n_list items are among the n_relevant ones (each once, else a hit counts
 * twice). ranks: room for n_list; the answer borrows it. O(n_list * n_relevant) comparisons. */
kd_hits kd_hits_find(const kd_str *list, uint32_t n_list, const kd_str *relevant,
                     uint32_t n_relevant, uint32_t *ranks);
/* The same for items that are known by number. */
kd_hits kd_hits_find_u32(const uint32_t *list, uint32_t n_list, const uint32_t *relevant,
                         uint32_t n_relevant, uint32_t *ranks);

/* 1 if there is a hit at rank <= k. */
double kd_metric_hit_rate(const kd_hits *h, uint32_t k);
/* h(k) / k; k >= 1. */
double kd_metric_precision(const kd_hits *h, uint32_t k);
/* h(k) / R. */
double kd_metric_recall(const kd_hits *h, uint32_t k);
/* 1 / r1 if r1 <= k, else 0. */
double kd_metric_mrr(const kd_hits *h, uint32_t k);
/* Binary gain, logarithmic discount, over the best list there could be. */
double kd_metric_ndcg(const kd_hits *h, uint32_t k);
/* Average precision; its mean over lists is MAP. */
double kd_metric_ap(const kd_hits *h, uint32_t k);
/* Harmonic mean of two numbers in [0, 1]; 0 if both are. Of one list's precision and recall, or of
 * their means over many lists, which is another number: name which. */
double kd_metric_f1(double precision, double recall);

/* -- of lists without a judgement: what is recommended, not whether it was right -- */

/* Share of the catalogue that was listed at all; 0 of an empty one. */
double kd_metric_coverage(uint64_t n_listed, uint64_t n_items);
/* Surprise of one listed item in bits: n_took of n_shoppers had to do with it. Domain: 1 <= n_took
 * <= n_shoppers; n_took = 0 counts as 1, so that an unknown item is as surprising as one taken
 * once. The mean over listed items is a list's novelty. */
double kd_metric_self_information(uint64_t n_took, uint64_t n_shoppers);
/* Share of `now` that was not in `before`: 0 for the same items in any order, 1 for all new. Both
 * cut at k; 0 for an empty `now`. */
double kd_metric_churn(const kd_str *before, uint32_t n_before, const kd_str *now, uint32_t n_now,
                       uint32_t k);
double kd_metric_churn_u32(const uint32_t *before, uint32_t n_before, const uint32_t *now,
                           uint32_t n_now, uint32_t k);
/* n of total; 0 of none. The share of popular items, of answers by part, of shoppers ... */
double kd_metric_share(uint64_t n, uint64_t total);

#endif
