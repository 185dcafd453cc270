/* latencies.h - durations as a histogram of fixed size: 16 buckets an octave, so that a quantile is
 * right to 5 %. O(1) an entry.   @thread one
 */
#ifndef KD_LATENCIES_H
#define KD_LATENCIES_H

#include "base/kd.h"

enum { KD_LATENCY_PART = 16, KD_LATENCY_BUCKETS = 40 * KD_LATENCY_PART };

typedef struct kd_latencies {
    uint64_t n[KD_LATENCY_BUCKETS]; /* bucket k: from 2^(k/16 - 6) us on */
    uint64_t total;
} kd_latencies;

/* `times` entries of us microseconds; what is out of range counts in the outer buckets. */
void kd_latencies_add(kd_latencies *x, double us, uint64_t times);
/* 0 of none. */
double kd_latencies_quantile(const kd_latencies *x, double q);

#endif
