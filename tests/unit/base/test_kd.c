/* The words every room speaks: codes, errors, strings, UTF-8, arenas, buffers, digests, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/opt.h"
#include "base/rng.h"

static void test_errors(void **unused)
{
    (void)unused;
    kd_err err = {0};
    assert_int_equal(kd_fail(&err, KD_EIO, "cannot open %s", "x"), KD_EIO);
    assert_string_equal(err.msg, "cannot open x");
    kd_err_at(&err, "%s:%d", "file", 3);
    kd_err_at(&err, "outer"); /* the inner place stays */
    assert_string_equal(err.where, "file:3");
    assert_int_equal(kd_bad(&err, KD_REASON_UTF8, "no"), KD_EDATA);
    assert_int_equal(err.reason, KD_REASON_UTF8);
    assert_string_equal(err.where, "");
    assert_int_equal(kd_fail(NULL, KD_ENOMEM, "nobody asks"), KD_ENOMEM);
    assert_string_equal(kd_reason_text(KD_REASON_NO_SHOPPER), "no-shopper");
    assert_string_equal(kd_rc_name(KD_ESTATE), "KD_ESTATE");
    assert_string_equal(kd_rc_text((kd_rc)77), "unknown code");
}

static void test_strings_compare_as_bytes(void **unused)
{
    (void)unused;
    assert_int_equal(kd_str_cmp(kd_str_of("a"), kd_str_of("b")), -1);
    assert_int_equal(kd_str_cmp(kd_str_of("10"), kd_str_of("9")), -1);
    assert_int_equal(kd_str_cmp(kd_str_of("ab"), kd_str_of("a")), 1);
    assert_int_equal(kd_str_cmp(kd_str_of("\xff"), kd_str_of("a")), 1);
    assert_int_equal(kd_str_cmp(KD_STR_NULL, kd_str_of("")), 0);
    assert_true(kd_str_eq(KD_STR_NULL, kd_str_of("")));
}

/* Every sequence of up to four bytes out of the interesting ones, against a decoder by the book. */
static bool is_utf8(const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c = s[i], least = 0;
        size_t more = 0;
        if (c >= 0xF0 && c < 0xF8) {
            c &= 7, more = 3, least = 0x10000;
        } else if (c >= 0xE0) {
            c &= 15, more = 2, least = 0x800;
        } else if (c >= 0xC0) {
            c &= 31, more = 1, least = 0x80;
        } else if (c >= 0x80) {
            return false;
        }
        if (s[i] >= 0xF8 || i + more >= n)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((s[i + k] & 0xC0) != 0x80)
                return false;
            c = c << 6 | (s[i + k] & 63u);
        }
        if (c < least || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
            return false;
        i += more + 1;
    }
    return true;
}

static void test_utf8(void **unused)
{
    (void)unused;
    static const unsigned char some[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                         0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
                                         0xEF, 0xF0, 0xF3, 0xF4, 0xF5, 0xFF};
    enum { N = sizeof some };
    for (size_t n = 0; n <= 4; n++) {
        size_t all = 1;
        for (size_t k = 0; k < n; k++)
            all *= N;
        for (size_t x = 0; x < all; x++) {
            unsigned char s[16];
            size_t y = x;
            for (size_t k = 0; k < n; k++, y /= N)
                s[k] = some[y % N];
            if (kd_utf8_valid((const char *)s, n) != is_utf8(s, n))
                fail_msg("%02x %02x %02x %02x of %zu", s[0], s[1], s[2], s[3], n);
            /* behind eight ASCII bytes, where the fast step has gone by */
            unsigned char longer[16] = "abcdefgh";
            memcpy(longer + 8, s, n);
            assert_int_equal(kd_utf8_valid((const char *)longer, n + 8), is_utf8(s, n));
        }
    }
}

static void test_arena(void **unused)
{
    (void)unused;
    kd_arena *a = kd_arena_new(1 << 20);
    for (int round = 0; round < 3; round++) {
        char *all[200];
        for (int k = 0; k < 200; k++) {
            size_t n = (size_t)k * 13 % 900;
            all[k] = kd_arena_alloc(a, n);
            assert_non_null(all[k]);
            assert_int_equal((uintptr_t)all[k] % 16, 0);
            memset(all[k], k, n);
        }
        for (int k = 0; k < 200; k++)
            for (size_t b = 0; b < (size_t)k * 13 % 900; b++)
                assert_int_equal(all[k][b], (char)k);
        kd_arena_reset(a);
        assert_int_equal(kd_arena_used(a), 0);
    }
    assert_null(kd_arena_alloc(a, 2 << 20)); /* over the cap */
    assert_null(kd_arena_alloc(a, SIZE_MAX));
    assert_null(kd_arena_calloc(a, SIZE_MAX / 2, 3));
    assert_string_equal(kd_arena_strz(a, kd_str_of("zero")), "zero");
    kd_arena_free(a);
}

static void test_buf(void **unused)
{
    (void)unused;
    kd_buf b = {0};
    for (int k = 0; k < 1000; k++)
        kd_buf_addf(&b, "%d,", k);
    assert_memory_equal(b.p, "0,1,2,3,", 8);
    assert_int_equal(b.n, 10 * 2 + 90 * 3 + 900 * 4);
    kd_buf_clear(&b);
    assert_int_equal(kd_buf_str(&b).n, 0);
    assert_null(kd_buf_room(&b, SIZE_MAX));
    assert_true(b.failed);
    kd_buf_dispose(&b);
}

static void test_digest_sums_commute(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, 3);
    kd_digest x[50], sum = {0}, back = {0};
    for (int k = 0; k < 50; k++) {
        x[k] = (kd_digest){kd_rng_next(&rng), kd_rng_next(&rng)};
        kd_digest_add(&sum, x[k]);
    }
    for (int k = 50; k-- > 0;)
        kd_digest_add(&back, x[k]);
    assert_true(kd_digest_eq(sum, back));
    for (int k = 0; k < 50; k++)
        kd_digest_sub(&sum, x[k]);
    assert_true(kd_digest_eq(sum, (kd_digest){0}));
    char hex[33];
    kd_digest_hex((kd_digest){0x1, 0xab}, hex);
    assert_string_equal(hex, "00000000000000ab0000000000000001");
    /* The published value of XXH3-64 of nothing, seed 0 (xxHash, canonical). */
    assert_true(kd_hash64("", 0, 0) == UINT64_C(0x2D06800538D394C2));
}

static void test_options(void **unused)
{
    (void)unused;
    static const kd_opt table[] = {
        {"n", KD_OPT_INT, "5", 1, 10, NULL, ""},
        {"x", KD_OPT_REAL, "0.5", 0, 1, NULL, ""},
        {"on", KD_OPT_BOOL, "yes", 0, 0, NULL, ""},
        {"kind", KD_OPT_ENUM, "b", 0, 0, "a|b|cc", ""},
        {"text", KD_OPT_STRING, "", 0, 0, NULL, ""},
        {"life", KD_OPT_DURATION, "2s", 0, 0, NULL, ""},
        {"room", KD_OPT_BYTES, "64k", 0, 0, NULL, ""},
        {0},
    };
    static const struct {
        const char *name, *text;
        int64_t want; /* -1 = refused */
    } cases[] = {
        {"n", "10", 10},
        {"n", "11", -1},
        {"n", "0", -1},
        {"n", "7x", -1},
        {"n", "", -1},
        {"on", "Off", 0},
        {"on", "maybe", -1},
        {"kind", "CC", 2},
        {"kind", "c", -1},
        {"life", "100", 100},
        {"life", "5m", 300000},
        {"life", "1.5h", 5400000},
        {"life", "30d", 2592000000},
        {"life", "-1s", -1},
        {"life", "1y", -1},
        {"life", "1e30d", -1},
        {"room", "2g", 2147483648},
        {"room", "0.5k", 512},
        {"room", "k", -1},
    };
    kd_opt_values v = {0};
    kd_err err = {0};
    assert_int_equal(kd_opt_values_add(&v, table, &err), KD_OK);
    assert_int_equal(kd_opt_int(&v, "n"), 5);
    assert_int_equal(kd_opt_int(&v, "life"), 2000);
    assert_int_equal(kd_opt_int(&v, "room"), 65536);
    assert_true(kd_opt_real(&v, "x") == 0.5);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        kd_rc rc = kd_opt_set(&v, cases[k].name, cases[k].text, "here:1:2", &err);
        assert_int_equal(rc, cases[k].want < 0 ? KD_ECONFIG : KD_OK);
        if (rc == KD_OK) {
            assert_int_equal(kd_opt_int(&v, cases[k].name), cases[k].want);
            assert_string_equal(kd_opt_find(&v, cases[k].name)->from, "here:1:2");
        } else {
            assert_string_equal(err.where, "here:1:2");
        }
    }
    assert_int_equal(kd_opt_set(&v, "x", "nan", "", &err), KD_ECONFIG);
    assert_int_equal(kd_opt_set(&v, "lief", "1", "", &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "did you mean life"));
    assert_int_equal(kd_opt_values_add(&v, table, &err), KD_EBUG); /* twice */
    kd_opt_values_dispose(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_strings_compare_as_bytes),
        cmocka_unit_test(test_utf8),    cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buf),     cmocka_unit_test(test_digest_sums_commute),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
