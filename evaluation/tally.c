#include "evaluation/tally.h"

const char *kd_metric_name(kd_metric m)
{
    static const char *const names[KD_METRICS] = {
        [KD_HIT_RATE] = "HR", [KD_PRECISION] = "precision", [KD_RECALL] = "recall", [KD_F1] = "F1",
        [KD_MRR] = "MRR",     [KD_NDCG] = "NDCG",           [KD_MAP] = "MAP",
    };
    return names[m];
}

const char *kd_segment_name(kd_segment s)
{
    static const char *const names[KD_SEGMENTS] = {
        [KD_SEG_ALL] = "all events",
        [KD_SEG_PURCHASES] = "purchases",
        [KD_SEG_NEW] = "items new to the shopper",
        [KD_SEG_KNOWN] = "items known to the shopper",
        [KD_SEG_REBUY] = "re-buys",
        [KD_SEG_H1] = "after 1-2 events",
        [KD_SEG_H3] = "after 3-9 events",
        [KD_SEG_H10] = "after 10-49 events",
        [KD_SEG_H50] = "after 50 events or more",
    };
    return names[s];
}

kd_segment kd_segment_of_history(int64_t n_before)
{
    if (n_before < 3)
        return KD_SEG_H1;
    if (n_before < 10)
        return KD_SEG_H3;
    return n_before < 50 ? KD_SEG_H10 : KD_SEG_H50;
}

void kd_row_of_hits(const kd_cutoffs *c, const kd_hits *h, double row[KD_ROW_MAX])
{
    row[0] = 1;
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t k = c->k[i];
        double precision = kd_metric_precision(h, k), recall = kd_metric_recall(h, k);
        row[kd_row_column(c, KD_HIT_RATE, i)] = kd_metric_hit_rate(h, k);
        row[kd_row_column(c, KD_PRECISION, i)] = precision;
        row[kd_row_column(c, KD_RECALL, i)] = recall;
        row[kd_row_column(c, KD_F1, i)] = kd_metric_f1(precision, recall);
        row[kd_row_column(c, KD_MRR, i)] = kd_metric_mrr(h, k);
        row[kd_row_column(c, KD_NDCG, i)] = kd_metric_ndcg(h, k);
        row[kd_row_column(c, KD_MAP, i)] = kd_metric_ap(h, k);
    }
}
