#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void kd_buf_dispose(kd_buf *b)
{
    free(b->p);
    *b = (kd_buf){0};
}

void kd_buf_clear(kd_buf *b)
{
    b->n = 0;
    b->failed = false;
}

char *kd_buf_room(kd_buf *b, size_t n)
{
    if (b->cap - b->n >= n && b->p != NULL)
        return b->p + b->n;
    size_t need;
    if (__builtin_add_overflow(b->n, n, &need) || need > SIZE_MAX / 2) {
        b->failed = true;
        return NULL;
    }
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap *= 2;
    char *p = realloc(b->p, cap);
    if (p == NULL) {
        b->failed = true;
        return NULL;
    }
    b->p = p;
    b->cap = cap;
    return p + b->n;
}

void kd_buf_add(kd_buf *b, const void *p, size_t n)
{
    char *to = kd_buf_room(b, n);
    if (to == NULL || n == 0)
        return;
    memcpy(to, p, n);
    b->n += n;
}

void kd_buf_addc(kd_buf *b, char c)
{
    kd_buf_add(b, &c, 1);
}

void kd_buf_adds(kd_buf *b, const char *z)
{
    kd_buf_add(b, z, strlen(z));
}

void kd_buf_addf(kd_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *to = n < 0 ? NULL : kd_buf_room(b, (size_t)n + 1);
    if (to != NULL) {
        vsnprintf(to, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

kd_str kd_buf_str(const kd_buf *b)
{
    return (kd_str){b->p == NULL ? "" : b->p, (uint32_t)b->n};
}

bool kd_grow(void **array, uint32_t *cap, uint32_t need, size_t size)
{
    if (need <= *cap)
        return true;
    uint64_t want = (uint64_t)*cap + *cap / 4 + 16;
    if (want < need)
        want = need;
    if (want > UINT32_MAX || want > SIZE_MAX / size)
        return false;
    char *p = realloc(*array, want * size);
    if (p == NULL)
        return false;
    memset(p + (size_t)*cap * size, 0, (want - *cap) * size);
    *array = p;
    *cap = (uint32_t)want;
    return true;
}

struct kd_sum {
    XXH3_state_t *x;
};

kd_sum *kd_sum_new(void)
{
    kd_sum *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->x = XXH3_createState();
    if (s->x == NULL || XXH3_64bits_reset(s->x) != XXH_OK) {
        kd_sum_free(s);
        return NULL;
    }
    return s;
}

void kd_sum_free(kd_sum *s)
{
    if (s == NULL)
        return;
    XXH3_freeState(s->x);
    free(s);
}

void kd_sum_add(kd_sum *s, const void *p, size_t n)
{
    (void)XXH3_64bits_update(s->x, p, n);
}

uint64_t kd_sum_value(const kd_sum *s)
{
    return XXH3_64bits_digest(s->x);
}

uint64_t kd_hash64(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}

kd_digest kd_hash128(const void *p, size_t n, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(p, n, seed);
    return (kd_digest){h.low64, h.high64};
}

void kd_digest_add(kd_digest *d, kd_digest x)
{
    d->hi += x.hi + (uint64_t)__builtin_add_overflow(d->lo, x.lo, &d->lo);
}

void kd_digest_sub(kd_digest *d, kd_digest x)
{
    d->hi -= x.hi + (uint64_t)__builtin_sub_overflow(d->lo, x.lo, &d->lo);
}

bool kd_digest_eq(kd_digest a, kd_digest b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

void kd_digest_hex(kd_digest d, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)d.hi, (unsigned long long)d.lo);
}
