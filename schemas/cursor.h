/* cursor.h - reading Avro's binary encoding out of hostile bytes: every read is checked, the first
 * fault sticks and says what it was. Private to this room.
 * @thread any
 */
#ifndef KD_CURSOR_H
#define KD_CURSOR_H

#include <string.h>

#include "base/kd.h"

enum { KD_CURSOR_DEPTH_MAX = 64 };

typedef struct kd_cursor {
    const uint8_t *p; /* I1 base <= p <= end */
    const uint8_t *end;
    const uint8_t *base;
    const char *fault; /* NULL, or what is wrong; p is then anywhere within the message */
    kd_reason reason;
    unsigned depth;
} kd_cursor;

static inline kd_cursor kd_cursor_of(const void *p, size_t n)
{
    const uint8_t *base = p;
    return (kd_cursor){.p = base, .end = base + n, .base = base};
}

static inline size_t kd_cursor_left(const kd_cursor *c)
{
    return (size_t)(c->end - c->p);
}

static inline bool kd_cursor_fault(kd_cursor *c, kd_reason reason, const char *fault)
{
    if (c->fault == NULL) {
        c->fault = fault;
        c->reason = reason;
    }
    return false;
}

static inline bool kd_cursor_skip(kd_cursor *c, uint64_t n)
{
    if (n > kd_cursor_left(c))
        return kd_cursor_fault(c, KD_REASON_DECODE, "the bytes end too soon");
    c->p += n;
    return true;
}

static inline bool kd_cursor_long(kd_cursor *c, int64_t *out)
{
    if (c->p < c->end && *c->p < 0x80) { /* the common case: one byte */
        uint8_t b = *c->p++;
        *out = (int64_t)(b >> 1) ^ -(int64_t)(b & 1);
        return true;
    }
    uint64_t z = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (c->p >= c->end)
            return kd_cursor_fault(c, KD_REASON_DECODE, "the bytes end within a number");
        uint8_t b = *c->p++;
        if (shift == 63 && b > 1)
            break;
        z |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
            return true;
        }
    }
    return kd_cursor_fault(c, KD_REASON_DECODE, "a number has more than 64 bits");
}

static inline bool kd_cursor_int(kd_cursor *c, int64_t *out)
{
    int64_t x;
    if (!kd_cursor_long(c, &x))
        return false;
    if (x < INT32_MIN || x > INT32_MAX)
        return kd_cursor_fault(c, KD_REASON_DECODE, "an int has more than 32 bits");
    *out = x;
    return true;
}

static inline bool kd_cursor_bool(kd_cursor *c, bool *out)
{
    if (c->p >= c->end)
        return kd_cursor_fault(c, KD_REASON_DECODE, "the bytes end too soon");
    if (*c->p > 1)
        return kd_cursor_fault(c, KD_REASON_DECODE, "a boolean is neither 0 nor 1");
    *out = *c->p++ == 1;
    return true;
}

static inline bool kd_cursor_float(kd_cursor *c, double *out)
{
    const uint8_t *p = c->p;
    if (!kd_cursor_skip(c, 4))
        return false;
    uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float x;
    memcpy(&x, &bits, sizeof x);
    *out = (double)x;
    return true;
}

static inline bool kd_cursor_double(kd_cursor *c, double *out)
{
    const uint8_t *p = c->p;
    if (!kd_cursor_skip(c, 8))
        return false;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)p[i] << (8 * i);
    memcpy(out, &bits, sizeof *out);
    return true;
}

/* Length-prefixed bytes, borrowed from the message. */
static inline bool kd_cursor_bytes(kd_cursor *c, kd_str *out)
{
    int64_t n;
    if (!kd_cursor_long(c, &n))
        return false;
    if (n < 0)
        return kd_cursor_fault(c, KD_REASON_DECODE, "a length is negative");
    if ((uint64_t)n > kd_cursor_left(c) || n > UINT32_MAX)
        return kd_cursor_fault(c, KD_REASON_DECODE, "a length is greater than what is left");
    *out = (kd_str){(const char *)c->p, (uint32_t)n};
    c->p += n;
    return true;
}

static inline bool kd_cursor_str(kd_cursor *c, kd_str *out)
{
    kd_str s;
    if (!kd_cursor_bytes(c, &s))
        return false;
    if (!kd_utf8_valid(s.p, s.n))
        return kd_cursor_fault(c, KD_REASON_UTF8, "a string is not UTF-8");
    *out = s;
    return true;
}

/* The head of one block of an array or map: entries in it (0 ends the list), and the bytes it says
 * it has, -1 if it does not say. Entries that take no bytes are bounded by nothing here. */
static inline bool kd_cursor_block(kd_cursor *c, bool is_empty, int64_t *out_n, int64_t *out_bytes)
{
    int64_t n, bytes = -1;
    if (!kd_cursor_long(c, &n))
        return false;
    if (n < 0) {
        if (n == INT64_MIN)
            return kd_cursor_fault(c, KD_REASON_DECODE, "a count is out of range");
        n = -n;
        if (!kd_cursor_long(c, &bytes))
            return false;
        if (bytes < 0 || (uint64_t)bytes > kd_cursor_left(c))
            return kd_cursor_fault(c, KD_REASON_DECODE, "a block's size is out of range");
    }
    if (!is_empty && (uint64_t)n > kd_cursor_left(c))
        return kd_cursor_fault(c, KD_REASON_DECODE, "a count is greater than what is left");
    *out_n = n;
    *out_bytes = bytes;
    return true;
}

/* Where a block begins that said its size; entries read one by one must end where it says, so that
 * reading and passing over agree. */
static inline bool kd_cursor_block_ends(kd_cursor *c, const uint8_t *from, int64_t bytes)
{
    if (bytes >= 0 && c->p - from != bytes)
        return kd_cursor_fault(c, KD_REASON_DECODE, "a block's size is not what its entries take");
    return true;
}

static inline bool kd_cursor_enter(kd_cursor *c)
{
    if (c->depth >= KD_CURSOR_DEPTH_MAX)
        return kd_cursor_fault(c, KD_REASON_DECODE, "values are nested too deep");
    c->depth++;
    return true;
}

static inline void kd_cursor_leave(kd_cursor *c)
{
    c->depth--;
}

#endif
