/* windows.h against a slow twin: all times are kept, and counted anew for the width that came out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "evaluation/windows.h"

enum { TIMES = 3000 };

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

static void compare(const kd_windows *w, const kd_ms *times, int n)
{
    const kd_ms origin = 4 * KD_MS_DAY; /* a Monday */
    double sum = 0;
    for (uint32_t k = 0; k < w->n; k++) {
        int count = 0;
        for (int i = 0; i < n; i++)
            count += floor_div(times[i] - origin, w->width) == w->window[k].index;
        assert_int_equal((int)w->window[k].row[0], count);
        assert_int_equal(w->window[k].lists.lists, count);
        assert_true(k == 0 || w->window[k - 1].index < w->window[k].index);
        assert_true(kd_windows_start(w, k) == origin + w->window[k].index * w->width);
        assert_true(count > 0);
        sum += w->window[k].row[0];
    }
    assert_int_equal((int)sum, n);
}

static void test_equals_twin(void **unused)
{
    (void)unused;
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 8 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    kd_ms *times = malloc(TIMES * sizeof *times);
    assert_non_null(times);
    for (int round = 0; round < 8; round++) {
        kd_windows w;
        kd_windows_init(&w, round == 7 ? 365 * KD_MS_DAY : 0);
        kd_ms spread = INT64_C(1000) << (4 * (round < 7 ? round : 5)), time = KD_MS_2000;
        for (int n = 0; n < TIMES; n++) {
            time += kd_rng_between(&rng, -spread / 4, spread);
            kd_window *x;
            times[n] = time;
            assert_int_equal(kd_windows_at(&w, time, &x, NULL), KD_OK);
            x->row[0] += 1;
            x->group[n % KD_WINDOW_GROUPS][0] += 1;
            x->lists.lists++;
            if (n % 500 == 0)
                compare(&w, times, n + 1);
        }
        assert_true(w.n <= KD_WINDOWS);
        compare(&w, times, TIMES);
        kd_windows_dispose(&w);
    }
    free(times);
}

static void test_fixed_width(void **unused)
{
    (void)unused;
    kd_windows w;
    kd_window *x;
    kd_err err = {0};
    kd_rc rc = KD_OK;
    kd_windows_init(&w, 1000);
    for (int k = 0; rc == KD_OK && k < 1000; k++)
        rc = kd_windows_at(&w, KD_MS_2000 + k * 1000, &x, &err);
    assert_int_equal(rc, KD_ECONFIG);
    assert_int_equal(w.width, 1000);
    kd_windows_dispose(&w);
}

static void test_weeks_begin_on_monday(void **unused)
{
    (void)unused;
    kd_windows w;
    kd_window *x;
    kd_windows_init(&w, 7 * KD_MS_DAY);
    kd_ms sunday = INT64_C(1709510399999); /* 2024-03-03T23:59:59.999Z */
    assert_int_equal(kd_windows_at(&w, sunday, &x, NULL), KD_OK);
    assert_int_equal(kd_windows_at(&w, sunday + 1, &x, NULL), KD_OK);
    assert_int_equal(w.n, 2);
    assert_true(kd_windows_start(&w, 1) == sunday + 1);
    kd_windows_dispose(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_twin),
        cmocka_unit_test(test_fixed_width),
        cmocka_unit_test(test_weeks_begin_on_monday),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
