/* Seeded randomness: known numbers, fair draws, Zipf against its formula. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

/* From the authors' xoshiro256starstar.c with the state 1, 2, 3, 4, and splitmix64.c seeded 0. */
static void known_numbers(void **state)
{
    (void)state;
    kd_rng r = {{1, 2, 3, 4}};
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < 4; i++)
        assert_true(kd_rng_next(&r) == want[i]);
    kd_rng_init(&r, 0);
    assert_true(r.s[0] == UINT64_C(0xE220A8397B1DCDAF));
    assert_true(r.s[1] == UINT64_C(0x6E789E6AA1B965F4));
}

static void bounded(void **state)
{
    (void)state;
    kd_rng r;
    kd_rng_init(&r, 3);
    int count[7] = {0};
    for (int i = 0; i < 70000; i++)
        count[kd_rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++) /* 10000 +- 6 standard deviations (93) */
        assert_in_range(count[i], 10000 - 560, 10000 + 560);
    bool lo = false, hi = false;
    for (int i = 0; i < 1000; i++) {
        int64_t x = kd_rng_between(&r, -2, 2);
        assert_true(x >= -2 && x <= 2);
        lo = lo || x == -2;
        hi = hi || x == 2;
        double d = kd_rng_real(&r);
        assert_true(d >= 0 && d < 1);
        assert_false(kd_rng_chance(&r, 0));
        assert_true(kd_rng_chance(&r, 1));
    }
    assert_true(lo && hi);
    (void)kd_rng_between(&r, INT64_MIN, INT64_MAX);
    assert_int_equal(kd_rng_between(&r, 5, 5), 5);
}

/* Each of the 24 orders of four things about as often as the others. */
static void shuffle(void **state)
{
    (void)state;
    kd_rng r;
    kd_rng_init(&r, 5);
    int count[256] = {0};
    for (int i = 0; i < 48000; i++) {
        char s[4] = {0, 1, 2, 3};
        kd_rng_shuffle(&r, s, 4, 1);
        count[s[0] | s[1] << 2 | s[2] << 4 | s[3] << 6]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        if (count[i] == 0)
            continue;
        orders++;
        assert_in_range(count[i], 2000 - 270, 2000 + 270);
    }
    assert_int_equal(orders, 24);
}

static void zipf_weight(void **state)
{
    (void)state;
    static const double exponents[] = {0, 0.3, 0.5, 1, 1.2, 2, 2.75, 8};
    for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
        for (uint64_t k = 1; k < 2000000; k = k * 3 / 2 + 1) {
            double want = pow((double)k, -exponents[e]);
            double got = kd_zipf_weight(k, exponents[e]);
            assert_true(fabs(got - want) <= 1e-12 * want);
        }
    }
}

static void zipf_draws(void **state)
{
    (void)state;
    enum { N = 1000, DRAWS = 1000000 };
    kd_choice *c = NULL;
    kd_err err = {0};
    assert_int_equal(kd_zipf_new(N, 1.0, &c, &err), KD_OK);
    int *count = calloc(N, sizeof *count);
    assert_non_null(count);
    kd_rng r;
    kd_rng_init(&r, 11);
    for (int i = 0; i < DRAWS; i++)
        count[kd_choice_draw(c, &r)]++;
    double sum = 0;
    for (int k = 1; k <= N; k++)
        sum += 1.0 / k;
    for (int k = 1; k <= N; k++) {
        double want = DRAWS / (k * sum);
        assert_true(fabs(count[k - 1] - want) < 6 * sqrt(want) + 1);
    }
    free(count);
    kd_choice_free(c);
}

static void choice_edges(void **state)
{
    (void)state;
    kd_choice *c = NULL;
    kd_err err = {0};
    const double some[] = {0, 3, 0, 1, 0};
    assert_int_equal(kd_choice_new(some, 5, &c, &err), KD_OK);
    kd_rng r;
    kd_rng_init(&r, 13);
    int count[5] = {0};
    for (int i = 0; i < 40000; i++)
        count[kd_choice_draw(c, &r)]++;
    assert_int_equal(count[0] + count[2] + count[4], 0);
    assert_in_range(count[1], 30000 - 600, 30000 + 600);
    kd_choice_free(c);
    const double bad[] = {1, -1}, none[] = {0, 0}, nan_one[] = {1, NAN};
    assert_int_equal(kd_choice_new(bad, 2, &c, &err), KD_ECONFIG);
    assert_int_equal(kd_choice_new(none, 2, &c, &err), KD_ECONFIG);
    assert_int_equal(kd_choice_new(nan_one, 2, &c, &err), KD_ECONFIG);
    assert_int_equal(kd_choice_new(some, 0, &c, &err), KD_ECONFIG);
    assert_int_equal(kd_zipf_new(10, -1, &c, &err), KD_ECONFIG);
    assert_int_equal(kd_zipf_new(1, 1, &c, &err), KD_OK);
    assert_int_equal(kd_choice_draw(c, &r), 0);
    kd_choice_free(c);
    kd_choice_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_numbers), cmocka_unit_test(bounded),
        cmocka_unit_test(shuffle),       cmocka_unit_test(zipf_weight),
        cmocka_unit_test(zipf_draws),    cmocka_unit_test(choice_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
