#include "base/kd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *kd_rc_text(kd_rc rc)
{
    switch (rc) {
#define KD_RC_CASE(name, value, text)                                                              \
    case name:                                                                                     \
        return text;
        KD_RC_MAP(KD_RC_CASE)
#undef KD_RC_CASE
    }
    return "unknown code";
}

const char *kd_rc_name(kd_rc rc)
{
    switch (rc) {
#define KD_RC_CASE(name, value, text)                                                              \
    case name:                                                                                     \
        return #name;
        KD_RC_MAP(KD_RC_CASE)
#undef KD_RC_CASE
    }
    return "KD_UNKNOWN";
}

const char *kd_reason_text(kd_reason reason)
{
    static const char *const texts[] = {
#define KD_REASON_ROW(name, text) text,
        KD_REASON_MAP(KD_REASON_ROW)
#undef KD_REASON_ROW
    };
    return (unsigned)reason < KD_REASON_COUNT ? texts[reason] : "unknown";
}

kd_rc kd_fail(kd_err *err, kd_rc rc, const char *fmt, ...)
{
    if (err == NULL)
        return rc;
    err->rc = rc;
    err->reason = KD_REASON_NONE;
    err->where[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    return rc;
}

kd_rc kd_bad(kd_err *err, kd_reason reason, const char *fmt, ...)
{
    if (err == NULL)
        return KD_EDATA;
    err->rc = KD_EDATA;
    err->reason = reason;
    err->where[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    return KD_EDATA;
}

void kd_err_at(kd_err *err, const char *fmt, ...)
{
    if (err == NULL || err->where[0] != '\0')
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->where, sizeof err->where, fmt, ap);
    va_end(ap);
}

_Noreturn void kd_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "kindred: %s:%d: invariant broken: %s\n", file, line, cond);
    abort();
}

kd_str kd_str_of(const char *z)
{
    return z == NULL ? KD_STR_NULL : (kd_str){z, (uint32_t)strlen(z)};
}

int kd_str_cmp(kd_str a, kd_str b)
{
    uint32_t n = a.n < b.n ? a.n : b.n;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (c == 0)
        c = (a.n > b.n) - (a.n < b.n);
    return (c > 0) - (c < 0);
}

bool kd_str_eq(kd_str a, kd_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* True if all n bytes, fewer than 8 of them or the end of more, are ASCII: looked at in words that
 * may overlap. */
static bool is_ascii_tail(const unsigned char *s, size_t i, size_t n)
{
    uint64_t w = 0;
    uint32_t half[2] = {0, 0};
    if (n >= 8) {
        memcpy(&w, s + n - 8, 8);
    } else if (n >= 4) {
        memcpy(&half[0], s, 4);
        memcpy(&half[1], s + n - 4, 4);
        w = (uint64_t)half[0] << 32 | half[1];
    } else {
        for (; i < n; i++)
            w |= s[i];
    }
    return (w & UINT64_C(0x8080808080808080)) == 0;
}

/* Unicode 15, table 3-7: the well-formed byte sequences. */
bool kd_utf8_valid(const char *p, size_t n)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t i = 0;
    while (i < n) {
        if (n - i >= 8) { /* eight ASCII bytes at a time: nearly all ids are ASCII */
            uint64_t w;
            memcpy(&w, s + i, 8);
            if ((w & UINT64_C(0x8080808080808080)) == 0) {
                i += 8;
                continue;
            }
        } else if (is_ascii_tail(s, i, n)) {
            return true;
        }
        unsigned char c = s[i];
        size_t len = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
        if (len == 0 || n - i < len)
            return false;
        for (size_t k = 1; k < len; k++)
            if ((s[i + k] & 0xC0) != 0x80)
                return false;
        if ((c == 0xE0 && s[i + 1] < 0xA0) || (c == 0xED && s[i + 1] > 0x9F) ||
            (c == 0xF0 && s[i + 1] < 0x90) || (c == 0xF4 && s[i + 1] > 0x8F))
            return false;
        i += len;
    }
    return true;
}
