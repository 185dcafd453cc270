#include "topology/latencies.h"

#include <math.h>

#define LEAST_LOG2 (-6.0) /* 1/64 us */

void kd_latencies_add(kd_latencies *x, double us, uint64_t times)
{
    double at = us > 0 ? (log2(us) - LEAST_LOG2) * KD_LATENCY_PART : 0;
    uint32_t k = at <= 0 ? 0 : at >= KD_LATENCY_BUCKETS ? KD_LATENCY_BUCKETS - 1 : (uint32_t)at;
    x->n[k] += times;
    x->total += times;
}

double kd_latencies_quantile(const kd_latencies *x, double q)
{
    double rank = q * (double)x->total;
    uint64_t seen = 0;
    for (uint32_t k = 0; k < KD_LATENCY_BUCKETS; k++) {
        seen += x->n[k];
        if (x->n[k] > 0 && (double)seen >= rank) /* the bucket's middle, on its own scale */
            return exp2((k + 0.5) / KD_LATENCY_PART + LEAST_LOG2);
    }
    return 0;
}
