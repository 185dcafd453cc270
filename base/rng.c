#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void kd_rng_init(kd_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t kd_rng_next(kd_rng *r)
{
    uint64_t *s = r->s;
    uint64_t out = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

/* Lemire 2019, doi 10.1145/3230636: the high half of next * n, redrawn where the low half falls in
 * the 2^64 mod n values that would make some results more likely. */
uint64_t kd_rng_below(kd_rng *r, uint64_t n)
{
    KD_ASSERT(n > 0);
    __extension__ typedef unsigned __int128 u128;
    u128 m = (u128)kd_rng_next(r) * n;
    if ((uint64_t)m < n) {
        uint64_t floor = (0 - n) % n;
        while ((uint64_t)m < floor)
            m = (u128)kd_rng_next(r) * n;
    }
    return (uint64_t)(m >> 64);
}

int64_t kd_rng_between(kd_rng *r, int64_t lo, int64_t hi)
{
    KD_ASSERT(lo <= hi);
    uint64_t width = (uint64_t)hi - (uint64_t)lo;
    uint64_t x = width == UINT64_MAX ? kd_rng_next(r) : kd_rng_below(r, width + 1);
    return (int64_t)((uint64_t)lo + x);
}

double kd_rng_real(kd_rng *r)
{
    return (double)(kd_rng_next(r) >> 11) * 0x1p-53;
}

bool kd_rng_chance(kd_rng *r, double p)
{
    return kd_rng_real(r) < p;
}

static void swap_bytes(char *a, char *b, size_t n)
{
    char t[64];
    while (n > 0) {
        size_t k = n < sizeof t ? n : sizeof t;
        memcpy(t, a, k);
        memcpy(a, b, k);
        memcpy(b, t, k);
        a += k;
        b += k;
        n -= k;
    }
}

void kd_rng_shuffle(kd_rng *r, void *base, size_t n, size_t size)
{
    char *p = base;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)kd_rng_below(r, i);
        if (j != i - 1)
            swap_bytes(p + (i - 1) * size, p + j * size, size);
    }
}

/* Entry i is taken if the draw's 32 low bits are below cut[i], else alias[i]. */
struct kd_choice {
    size_t n;
    uint32_t *cut;   /* owned */
    uint32_t *alias; /* owned */
};

/* Vose 1991: every column gets one light entry and is filled up by one heavy entry.
 *   scaled_i = w_i * n / sum;  light if < 1
 * Order is by index, so the table is a function of the weights alone. */
static void fill_table(kd_choice *c, double *scaled, uint32_t *light, uint32_t *heavy)
{
    size_t n_light = 0, n_heavy = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (scaled[i] < 1)
            light[n_light++] = (uint32_t)i;
        else
            heavy[n_heavy++] = (uint32_t)i;
    }
    while (n_light > 0 && n_heavy > 0) {
        uint32_t a = light[--n_light];
        uint32_t b = heavy[n_heavy - 1];
        c->cut[a] = (uint32_t)(scaled[a] * 4294967296.0);
        c->alias[a] = b;
        scaled[b] = scaled[b] - (1 - scaled[a]);
        if (scaled[b] < 1) {
            n_heavy--;
            light[n_light++] = b;
        }
    }
    /* What is left is 1 but for rounding: itself always. */
    while (n_heavy > 0) {
        uint32_t i = heavy[--n_heavy];
        c->cut[i] = UINT32_MAX;
        c->alias[i] = i;
    }
    while (n_light > 0) {
        uint32_t i = light[--n_light];
        c->cut[i] = UINT32_MAX;
        c->alias[i] = i;
    }
}

kd_rc kd_choice_new(const double *weights, size_t n, kd_choice **out, kd_err *err)
{
    if (n == 0 || n > UINT32_MAX)
        return kd_fail(err, KD_ECONFIG, "%zu weights to choose from, want 1 to 2^32-1", n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(weights[i] >= 0 && weights[i] <= 1e300))
            return kd_fail(err, KD_ECONFIG, "weight %zu is not a finite number >= 0", i);
        sum += weights[i];
    }
    if (!(sum > 0 && sum <= 1e300))
        return kd_fail(err, KD_ECONFIG, "the sum of the weights is not positive and finite");
    kd_choice *c = calloc(1, sizeof *c);
    double *scaled = calloc(n, sizeof *scaled);
    uint32_t *work = calloc(n, 2 * sizeof *work);
    if (c != NULL) {
        c->n = n;
        c->cut = calloc(n, sizeof *c->cut);
        c->alias = calloc(n, sizeof *c->alias);
    }
    bool ok = c != NULL && scaled != NULL && work != NULL && c->cut != NULL && c->alias != NULL;
    if (ok) {
        for (size_t i = 0; i < n; i++)
            scaled[i] = weights[i] / sum * (double)n;
        fill_table(c, scaled, work, work + n);
        *out = c;
        c = NULL; /* now owned by the caller */
    }
    kd_choice_free(c);
    free(scaled);
    free(work);
    return ok ? KD_OK : kd_fail(err, KD_ENOMEM, "no memory for %zu weights", n);
}

size_t kd_choice_draw(const kd_choice *c, kd_rng *r)
{
    uint64_t x = kd_rng_next(r);
    /* High half picks the column (bias below n / 2^32, of no matter for a workload). */
    size_t i = (size_t)(((x >> 32) * c->n) >> 32);
    return (uint32_t)x < c->cut[i] ? i : c->alias[i];
}

void kd_choice_free(kd_choice *c)
{
    if (c == NULL)
        return;
    free(c->cut);
    free(c->alias);
    free(c);
}

/* ln x for x > 0, from + - * / alone: x = m * 2^e, m in [sqrt(1/2), sqrt(2)),
 *   ln m = 2 artanh(z), z = (m - 1) / (m + 1), |z| < 0.1716; the series' 12 terms leave < 1e-19. */
static double ln(double x)
{
    int e = 0;
    while (x >= 1.4142135623730951) {
        x /= 2;
        e++;
    }
    while (x < 0.70710678118654757) {
        x *= 2;
        e--;
    }
    double z = (x - 1) / (x + 1);
    double zz = z * z;
    double sum = 0;
    for (int k = 23; k >= 1; k -= 2)
        sum = sum * zz + 1.0 / k;
    return 2 * z * sum + e * 0.69314718055994531;
}

/* e^-y for y >= 0: Taylor to 20 terms of y / 2^s <= 1/2, squared s times. */
static double exp_minus(double y)
{
    int s = 0;
    while (y > 0.5) {
        y /= 2;
        s++;
    }
    double sum = 1;
    for (int k = 20; k >= 1; k--)
        sum = 1 - y / k * sum;
    while (s-- > 0)
        sum *= sum;
    return sum;
}

double kd_zipf_weight(uint64_t k, double exponent)
{
    KD_ASSERT(k >= 1);
    if (exponent == 0 || k == 1)
        return 1;
    double whole = 1;
    while (exponent >= 1) { /* whole powers by division: exact rounding, and 1.0 is the usual one */
        whole /= (double)k;
        exponent -= 1;
    }
    return exponent == 0 ? whole : whole * exp_minus(exponent * ln((double)k));
}

kd_rc kd_zipf_new(size_t n, double exponent, kd_choice **out, kd_err *err)
{
    if (!(exponent >= 0 && exponent <= 8))
        return kd_fail(err, KD_ECONFIG, "Zipf exponent %g is not in 0..8", exponent);
    if (n == 0 || n > UINT32_MAX)
        return kd_fail(err, KD_ECONFIG, "%zu entries of a Zipf law, want 1 to 2^32-1", n);
    double *w = calloc(n, sizeof *w);
    if (w == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %zu weights", n);
    for (size_t k = 0; k < n; k++)
        w[k] = kd_zipf_weight(k + 1, exponent);
    kd_rc rc = kd_choice_new(w, n, out, err);
    free(w);
    return rc;
}
