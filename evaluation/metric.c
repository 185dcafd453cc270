#include "evaluation/metric.h"

#include <math.h>

/* -- hits ---------------------------------------------------------------------------------------
 */

kd_hits kd_hits_find(const kd_str *list, uint32_t n_list, const kd_str *relevant,
                     uint32_t n_relevant, uint32_t *ranks)
{
    kd_hits h = {.ranks = ranks, .n_relevant = n_relevant};
    for (uint32_t k = 0; k < n_list; k++)
        for (uint32_t i = 0; i < n_relevant; i++)
            if (kd_str_eq(list[k], relevant[i])) {
                ranks[h.n++] = k + 1;
                break;
            }
    return h;
}

kd_hits kd_hits_find_u32(const uint32_t *list, uint32_t n_list, const uint32_t *relevant,
                         uint32_t n_relevant, uint32_t *ranks)
{
    kd_hits h = {.ranks = ranks, .n_relevant = n_relevant};
    for (uint32_t k = 0; k < n_list; k++)
        for (uint32_t i = 0; i < n_relevant; i++)
            if (list[k] == relevant[i]) {
                ranks[h.n++] = k + 1;
                break;
            }
    return h;
}

/* h(k) */
static uint32_t hits_at(const kd_hits *h, uint32_t k)
{
    uint32_t n = 0;
    while (n < h->n && h->ranks[n] <= k)
        n++;
    return n;
}

/* -- of a list with a judgement -----------------------------------------------------------------
 */

/* Deshpande and Karypis 2004, Item-based top-N recommendation algorithms, ACM TOIS 22(1), 6.1:
 * "hit rate", there for one held-out item. */
double kd_metric_hit_rate(const kd_hits *h, uint32_t k)
{
    return h->n > 0 && h->ranks[0] <= k ? 1 : 0;
}

/* Precision and recall at k: Manning, Raghavan, Schuetze 2008, Introduction to Information
 * Retrieval, 8.3-8.4; as trec_eval does, precision divides by k however short the list is. */
double kd_metric_precision(const kd_hits *h, uint32_t k)
{
    return (double)hits_at(h, k) / (double)k;
}

double kd_metric_recall(const kd_hits *h, uint32_t k)
{
    return (double)hits_at(h, k) / (double)h->n_relevant;
}

/* Voorhees 1999, The TREC-8 Question Answering Track Report: reciprocal rank of the first right
 * answer, 0 if there is none among those looked at. */
double kd_metric_mrr(const kd_hits *h, uint32_t k)
{
    return h->n > 0 && h->ranks[0] <= k ? 1 / (double)h->ranks[0] : 0;
}

/* Jarvelin and Kekalainen 2002, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4),
 * with the discount of Burges et al. 2005 that is in general use:
 *   DCG(k) = sum over hits at rank r <= k of 1 / log2(r + 1)
 *   NDCG(k) = DCG(k) / DCG(k) of a list whose first min(R, k) ranks are hits */
double kd_metric_ndcg(const kd_hits *h, uint32_t k)
{
    uint32_t most = h->n_relevant < k ? h->n_relevant : k;
    double gain = 0, best = 0;
    for (uint32_t n = 0; n < h->n && h->ranks[n] <= k; n++)
        gain += 1 / log2((double)h->ranks[n] + 1);
    if (gain <= 0)
        return 0;
    for (uint32_t r = 1; r <= most; r++)
        best += 1 / log2((double)r + 1);
    return gain / best;
}

/* Manning, Raghavan, Schuetze 2008, 8.4; cut at k and divided by R as trec_eval's map_cut is:
 *   AP(k) = 1/R * sum over hits at rank r <= k of h(r) / r */
double kd_metric_ap(const kd_hits *h, uint32_t k)
{
    double sum = 0;
    for (uint32_t n = 0; n < h->n && h->ranks[n] <= k; n++)
        sum += (double)(n + 1) / (double)h->ranks[n];
    return sum / (double)h->n_relevant;
}

/* van Rijsbergen 1979, Information Retrieval, ch. 7: 1 - E with equal weights. */
double kd_metric_f1(double precision, double recall)
{
    double sum = precision + recall;
    return sum > 0 ? 2 * precision * recall / sum : 0;
}

/* -- of lists alone -----------------------------------------------------------------------------
 */

/* Ge, Delgado-Battenfeld, Jannach 2010, Beyond accuracy: evaluating recommender systems by coverage
 * and serendipity, RecSys '10: catalogue coverage. */
double kd_metric_coverage(uint64_t n_listed, uint64_t n_items)
{
    return kd_metric_share(n_listed, n_items);
}

/* Zhou et al. 2010, Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS
 * 107(10): self-information log2(shoppers / shoppers who took it)  [bits], always >= 0. */
double kd_metric_self_information(uint64_t n_took, uint64_t n_shoppers)
{
    uint64_t took = n_took == 0 ? 1 : n_took;
    return n_shoppers > took ? log2((double)n_shoppers / (double)took) : 0;
}

/* Lathia et al. 2010, Temporal diversity in recommender systems, SIGIR '10:
 * diversity(before, now, k) = |now \ before| / k; here over the length of `now` where it is
 * shorter. */
double kd_metric_churn(const kd_str *before, uint32_t n_before, const kd_str *now, uint32_t n_now,
                       uint32_t k)
{
    n_before = n_before < k ? n_before : k;
    n_now = n_now < k ? n_now : k;
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < n_now; i++) {
        uint32_t at = 0;
        while (at < n_before && !kd_str_eq(before[at], now[i]))
            at++;
        fresh += at == n_before;
    }
    return kd_metric_share(fresh, n_now);
}

double kd_metric_churn_u32(const uint32_t *before, uint32_t n_before, const uint32_t *now,
                           uint32_t n_now, uint32_t k)
{
    n_before = n_before < k ? n_before : k;
    n_now = n_now < k ? n_now : k;
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < n_now; i++) {
        uint32_t at = 0;
        while (at < n_before && before[at] != now[i])
            at++;
        fresh += at == n_before;
    }
    return kd_metric_share(fresh, n_now);
}

double kd_metric_share(uint64_t n, uint64_t total)
{
    return total == 0 ? 0 : (double)n / (double)total;
}
