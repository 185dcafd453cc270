/* similarity.h - how alike two shoppers are, and how a vote fades: pure functions of numbers.
 *
 * u is the subject, v another shopper; a = |I(u)|, b = |I(v)|, c = how many items of I(u) have v in
 * P_m(i), so 1 <= c <= min(a, b). Every similarity is in [0, 1]. Where sums of doubles are meant,
 * they run over I(u) newest first, so that equal sets give equal bits.
 * @thread any
 */
#ifndef KD_SIMILARITY_H
#define KD_SIMILARITY_H

#include "base/kd.h"

typedef enum kd_similarity {
    KD_JACCARD,
    KD_COSINE,
    KD_IDF_COSINE, /* from here on: weighted, from a sum over the shared items */
    KD_VSKNN,
    KD_STAN,
} kd_similarity;

/* How a weight falls with distance. */
typedef enum kd_fall {
    KD_FALL_SAME,
    KD_FALL_DIV,
    KD_FALL_LINEAR,
    KD_FALL_LOG,
    KD_FALL_QUADRATIC,
} kd_fall;

static inline bool kd_similarity_is_weighted(kd_similarity kind)
{
    return kind >= KD_IDF_COSINE;
}

/* Jaccard: c / (a + b - c). Cosine of sets (Salton, McGill 1983): c / sqrt(a * b). */
double kd_similarity_value(kd_similarity kind, uint32_t c, uint32_t a, uint32_t b);
/* A number that orders like the similarity and is equal where it is equal: for the cosine its
 * square c*c / (a*b), since a square root may split or join. Exact for a, b <= 4000: two different
 * fractions with denominators up to 16e6 differ by more than a double's rounding. */
double kd_similarity_rank(kd_similarity kind, uint32_t c, uint32_t a, uint32_t b);

/* ln(n / df), n shoppers of whom df have the item, 1 <= df <= n (Sparck Jones 1972). >= 0. */
double kd_idf(uint32_t n, uint32_t df);
/* (ln((1 + n) / (1 + df)) + 1)^exponent: smoothed as scikit-learn does, so that an item that
 * everybody has still counts. >= 1 for exponent >= 0. */
double kd_idf_smooth(uint32_t n, uint32_t df, double exponent);
/* The same as a share of what an item has that nobody had to do with: (smooth(df) / smooth(0)) to
 * this power. In (0, 1]. V-SKNN's and STAN's weights of u's items are multiplied with it. */
double kd_idf_share(uint32_t n, uint32_t df, double exponent);
/* Cosine of vectors: dot / sqrt(norm_u * norm_v), both norms squared; rounding never lifts it
 * over 1.
 */
double kd_vector_cosine(double dot, double norm_u, double norm_v);

/* V-SKNN (Ludewig, Jannach 2018): weight of u's item that is `step` events before the newest
 * (0 = the newest) of `length` events, p = length - step its place: same 1, div p / length, linear
 * max(0, 1 - step / 10), log log10(1.7) / log10(step + 1.7), quadratic (p / length)^2. In [0, 1].
 * The similarity is the sum over the shared items / |I(u)|. */
double kd_vsknn_weight(kd_fall kind, uint32_t step, uint32_t length);
/* V-SKNN: what a neighbour's vote is multiplied with, whose most recent shared item is `step`
 * events before the newest, counted from 1: same 1, div 1 / step, linear max(0, 1 - step / 10), log
 * 1 / log10(step + 1.7), quadratic 1 / step^2. */
double kd_vsknn_decay(kd_fall kind, uint32_t step);

/* STAN (Garg, Gupta, Malhotra, Vig, Shroff 2019): exp(-distance / lambda), lambda > 0; 1 for
 * lambda = 0. Three times: u's item by its steps before the newest (w1), the neighbour by its age
 * (w2), the item in the neighbour's list by its distance from the shared one (w3). */
double kd_stan_weight(double distance, double lambda);
/* Sum of w1 over the shared items / sqrt(a * b), times w2. */
double kd_stan_similarity(double sum, uint32_t a, uint32_t b, double age_weight);

/* The vote of a neighbour under any similarity: what it gives is multiplied with both of these. The
 * shared item is the most recent one of u's that v has (v in P_m of it).
 *   recency  (1 + step)^-exponent, step events from u's newest to the shared item; V-SKNN's div and
 *            quadratic are the exponents 1 and 2
 *   place    d = places in v's history from the shared item to the one voted for, later ones
 *            positive: exp(-d / after), exp(d / before), `shared` at d = 0; after, before in
 * places, 0 = no fall. STAN's w3 with both sides apart, since what came next is worth more
 *            (Kamehkhosh, Jannach, Ludewig 2017: sequential rules).
 * In [0, 1] for exponent >= 0 and shared in [0, 1]. */
typedef struct kd_vote {
    double recency, after, before, shared;
} kd_vote;
double kd_vote_recency(const kd_vote *o, uint32_t step);
double kd_vote_place(const kd_vote *o, int32_t d);

#endif
