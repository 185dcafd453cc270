#include "operators/similarity.h"

#include <math.h>
#include <stdlib.h>

double kd_similarity_value(kd_similarity kind, uint32_t c, uint32_t a, uint32_t b)
{
    if (kind == KD_COSINE)
        return (double)c / sqrt((double)a * b);
    return (double)c / (a + b - c);
}

double kd_similarity_rank(kd_similarity kind, uint32_t c, uint32_t a, uint32_t b)
{
    if (kind == KD_COSINE)
        return (double)c * c / ((double)a * b);
    return (double)c / (a + b - c);
}

double kd_idf(uint32_t n, uint32_t df)
{
    return log((double)n / df);
}

double kd_idf_smooth(uint32_t n, uint32_t df, double exponent)
{
    return pow(log((1.0 + n) / (1.0 + df)) + 1.0, exponent);
}

double kd_idf_share(uint32_t n, uint32_t df, double exponent)
{
    return pow(kd_idf_smooth(n, df, 1.0) / kd_idf_smooth(n, 0, 1.0), exponent);
}

double kd_vector_cosine(double dot, double norm_u, double norm_v)
{
    return fmin(1.0, dot / sqrt(norm_u * norm_v));
}

double kd_vsknn_weight(kd_fall kind, uint32_t step, uint32_t length)
{
    double share = (double)(length - step) / length;
    switch (kind) {
    case KD_FALL_DIV:
        return share;
    case KD_FALL_LINEAR:
        return step >= 10 ? 0.0 : 1.0 - step / 10.0;
    case KD_FALL_LOG:
        return log10(1.7) / log10(step + 1.7);
    case KD_FALL_QUADRATIC:
        return share * share;
    case KD_FALL_SAME:
        break;
    }
    return 1.0;
}

double kd_vsknn_decay(kd_fall kind, uint32_t step)
{
    switch (kind) {
    case KD_FALL_DIV:
        return 1.0 / step;
    case KD_FALL_LINEAR:
        return step >= 10 ? 0.0 : 1.0 - step / 10.0;
    case KD_FALL_LOG:
        return 1.0 / log10(step + 1.7);
    case KD_FALL_QUADRATIC:
        return 1.0 / ((double)step * step);
    case KD_FALL_SAME:
        break;
    }
    return 1.0;
}

double kd_stan_weight(double distance, double lambda)
{
    return lambda > 0 ? exp(-distance / lambda) : 1.0;
}

double kd_stan_similarity(double sum, uint32_t a, uint32_t b, double age_weight)
{
    return fmin(1.0, sum / sqrt((double)a * b)) * age_weight;
}

double kd_vote_recency(const kd_vote *o, uint32_t step)
{
    return o->recency > 0 ? pow(1.0 + step, -o->recency) : 1.0;
}

double kd_vote_place(const kd_vote *o, int32_t d)
{
    if (d == 0)
        return o->shared;
    return kd_stan_weight(abs(d), d > 0 ? o->after : o->before);
}
