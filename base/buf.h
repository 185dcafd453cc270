/* buf.h - a growing byte buffer, and the sums over bytes: 64-bit hashes, 128-bit digests.
 * @thread one
 */
#ifndef KD_BUF_H
#define KD_BUF_H

#include "base/kd.h"

typedef struct kd_buf {
    char *p;     /* owned */
    size_t n;    /* bytes used */
    size_t cap;  /* bytes allocated */
    bool failed; /* an append ran out of memory; sticky until kd_buf_clear */
} kd_buf;

/* {0} is an empty buffer. */
void kd_buf_dispose(kd_buf *b);
/* Keeps the memory. */
void kd_buf_clear(kd_buf *b);
/* Room for n more bytes; NULL (and failed) when out of memory. Does not advance n. */
char *kd_buf_room(kd_buf *b, size_t n);
void kd_buf_add(kd_buf *b, const void *p, size_t n);
void kd_buf_addc(kd_buf *b, char c);
void kd_buf_adds(kd_buf *b, const char *z);
void kd_buf_addf(kd_buf *b, const char *fmt, ...) KD_PRINTF(2, 3);
/* A view of the content, valid until the next append. */
kd_str kd_buf_str(const kd_buf *b);

/* Grows an array of `size`-byte elements to at least need elements (by a quarter at a time),
 * zeroing the new part. False when out of memory; then nothing changed. */
bool kd_grow(void **array, uint32_t *cap, uint32_t need, size_t size);

/* XXH3 of n bytes, 64 bits (xxHash 0.8, canonical on every machine). */
uint64_t kd_hash64(const void *p, size_t n, uint64_t seed);

/* The same over bytes that come in pieces (seed 0). NULL when out of memory. */
typedef struct kd_sum kd_sum;
kd_sum *kd_sum_new(void);
void kd_sum_free(kd_sum *s);
void kd_sum_add(kd_sum *s, const void *p, size_t n);
uint64_t kd_sum_value(const kd_sum *s);

/* A 128-bit sum of keyed hashes: what is added can be taken away again, in any order. */
typedef struct kd_digest {
    uint64_t lo;
    uint64_t hi;
} kd_digest;

kd_digest kd_hash128(const void *p, size_t n, uint64_t seed);
/* Sum and difference modulo 2^128. */
void kd_digest_add(kd_digest *d, kd_digest x);
void kd_digest_sub(kd_digest *d, kd_digest x);
bool kd_digest_eq(kd_digest a, kd_digest b);
/* 32 lower-case hexadecimal digits and NUL, most significant first. */
void kd_digest_hex(kd_digest d, char out[33]);

#endif
