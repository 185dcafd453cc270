/* resample.h - how sure a mean is: the bootstrap over groups of shoppers, and the test of
 * differences between configurations.
 *
 * All works on a matrix of sums, [n_groups x n_columns], row-major; an estimate is a quotient of
 * two column sums. Shoppers, not events, are what is drawn: events of one shopper resemble each
 * other, and intervals that forget it are too narrow.
 *
 * I1 replicate r depends on the seed and r alone, so that replicates can be made on any thread in
 *    any order
 * @thread any: nothing here has state.
 */
#ifndef KD_RESAMPLE_H
#define KD_RESAMPLE_H

#include "base/kd.h"

/* Bootstrap replicate r: n_groups groups are drawn with replacement (Efron 1979, Annals of
 * Statistics 7(1); drawing clusters: Davison and Hinkley 1997, 3.8). out_times[g] = how many times
 * group g was drawn. */
void kd_bootstrap_draw(uint64_t seed, uint32_t r, uint32_t n_groups, uint16_t *out_times);
/* out[c] = sum over groups of times[g] * matrix[g][c]. */
void kd_bootstrap_sums(const double *matrix, uint32_t n_groups, uint32_t n_columns,
                       const uint16_t *times, double *out);
/* The percentile interval that holds `level` (0.95) of the n replicate values, which it sorts.
 * Quantiles by linear interpolation between order statistics (Hyndman and Fan 1996, type 7). */
void kd_percentile_interval(double *values, uint32_t n, double level, double *out_low,
                            double *out_high);

/* Sign-flip permutation r of paired differences: +1 or -1 a group. */
void kd_signs_draw(uint64_t seed, uint32_t r, uint32_t n_groups, int8_t *out_sign);
/* The greatest |t| over the columns of `differences` under these signs (NULL: as they are), with
 *   t_c = sum over g of sign_g * d_gc / sqrt(sum over g of d_gc^2)
 * The denominator is the same under all signs: `scale`[c] is 1 / it, 0 where all are zero.
 * `each` (nullable): room for n_columns, gets t_c. `work`: room for n_columns. */
double kd_signs_max(const double *differences, uint32_t n_groups, uint32_t n_columns,
                    const int8_t *sign, const double *scale, double *each, double *work);
void kd_signs_scale(const double *differences, uint32_t n_groups, uint32_t n_columns,
                    double *out_scale);
/* p-value of one |t|, corrected for all columns that were looked at together: single-step max-T
 * (Westfall and Young 1993, Resampling-based multiple testing, 2.8), with the one that was seen
 * counted among the permutations, so that p is never 0.
 *   p = (1 + number of permutations whose greatest |t| >= |t|) / (n + 1) */
double kd_signs_p(double t, const double *greatest, uint32_t n);

#endif
