/* tally.h - sums of metrics over units, in all the ways in which they are asked for.
 *
 * A *row* of numbers is: how many units, then for each metric and each cut-off the sum over them,
 * column 1 + metric * n_cutoffs + cutoff. All that is reported is a quotient of sums of rows, so
 * that rows can be added, and resampled by shopper (resample.h).
 *
 * Rows are kept by segment and group of shoppers. Shoppers are spread over KD_GROUPS groups by
 * number, so that up to that many shoppers each has a group of his own: resampling groups is then
 * resampling shoppers, and above it the cost of resampling stays what it is.
 * @thread one writer
 */
#ifndef KD_TALLY_H
#define KD_TALLY_H

#include "evaluation/metric.h"
#include "evaluation/truth.h"

typedef enum kd_metric {
    KD_HIT_RATE,
    KD_PRECISION,
    KD_RECALL,
    KD_F1,
    KD_MRR,
    KD_NDCG,
    KD_MAP,
    KD_METRICS
} kd_metric;
const char *kd_metric_name(kd_metric m);

/* Which wanted items of which units. The first is all; the next two groups split it by item, the
 * last by the shopper's earlier events (who has none has no list, and is not scored). */
typedef enum kd_segment {
    KD_SEG_ALL,
    KD_SEG_PURCHASES,
    KD_SEG_NEW,
    KD_SEG_KNOWN,
    KD_SEG_REBUY,
    KD_SEG_H1,
    KD_SEG_H3,
    KD_SEG_H10,
    KD_SEG_H50,
    KD_SEGMENTS
} kd_segment;
const char *kd_segment_name(kd_segment s);
/* The segment of a shopper with so many earlier events; n_before >= 1. */
kd_segment kd_segment_of_history(int64_t n_before);

enum {
    KD_CUTOFFS_MAX = 8,
    KD_ROW_MAX = 1 + KD_METRICS * KD_CUTOFFS_MAX,
    KD_GROUPS = 4096,
};

typedef struct kd_cutoffs {
    uint32_t k[KD_CUTOFFS_MAX]; /* [n] ascending, each >= 1 */
    uint32_t n;
    uint32_t head; /* index of the one that is shown where there is room for one */
} kd_cutoffs;

static inline uint32_t kd_row_columns(const kd_cutoffs *c)
{
    return 1 + KD_METRICS * c->n;
}

static inline uint32_t kd_row_column(const kd_cutoffs *c, kd_metric m, uint32_t cutoff)
{
    return 1 + (uint32_t)m * c->n + cutoff;
}

/* One unit's row: a list's hits, each metric at each cut-off. */
void kd_row_of_hits(const kd_cutoffs *c, const kd_hits *h, double row[KD_ROW_MAX]);

#endif
