/* rng.h - seeded randomness: the same seed gives the same numbers on every machine.
 *
 * xoshiro256** 1.0 (Blackman and Vigna 2018, doi 10.1145/3460772), seeded by splitmix64.
 * I1  nothing here calls libm: weights that decide a draw are made from IEEE + - * / alone, which
 *     are exact everywhere, so that two C libraries cannot disagree on a last bit.
 * @thread one: a generator belongs to one owner.
 */
#ifndef KD_RNG_H
#define KD_RNG_H

#include "base/kd.h"

typedef struct kd_rng {
    uint64_t s[4];
} kd_rng;

void kd_rng_init(kd_rng *r, uint64_t seed);
uint64_t kd_rng_next(kd_rng *r);
/* Uniform in [0, n), without bias; n > 0. */
uint64_t kd_rng_below(kd_rng *r, uint64_t n);
/* Uniform in [lo, hi], both included; lo <= hi. */
int64_t kd_rng_between(kd_rng *r, int64_t lo, int64_t hi);
/* Uniform in [0, 1), 53 bits. */
double kd_rng_real(kd_rng *r);
/* True with probability p (p <= 0 never, p >= 1 always). */
bool kd_rng_chance(kd_rng *r, double p);
/* Fisher-Yates over n elements of `size` bytes. */
void kd_rng_shuffle(kd_rng *r, void *base, size_t n, size_t size);

/* A discrete distribution over 0..n-1, drawn in O(1) (alias method, Vose 1991); 8 bytes an entry.
 */
typedef struct kd_choice kd_choice;

/* weights: n finite numbers >= 0 with a positive sum; borrowed until return. *out is owned. */
KD_CHECK kd_rc kd_choice_new(const double *weights, size_t n, kd_choice **out, kd_err *err);
/* Zipf: entry k has weight (k + 1)^-exponent; 0 <= exponent <= 8, n >= 1. */
KD_CHECK kd_rc kd_zipf_new(size_t n, double exponent, kd_choice **out, kd_err *err);
size_t kd_choice_draw(const kd_choice *c, kd_rng *r);
void kd_choice_free(kd_choice *c);
/* k^-exponent for k >= 1, equal bits on every machine; relative error below 1e-12. */
double kd_zipf_weight(uint64_t k, double exponent);

#endif
