/* The search: within bounds, the same again, and better than chance where there is something to
 * find. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "evaluation/search.h"

enum { DIMS = 4, TRIALS = 80 };
static const kd_dim dims[DIMS] = {{0}, {3}, {0}, {0}};

/* Greatest, 1, at (0.8, 2, 0.3, any). */
static double value_of(const double *x)
{
    return exp(-30 * (x[0] - 0.8) * (x[0] - 0.8)) * exp(-30 * (x[2] - 0.3) * (x[2] - 0.3)) *
           (x[1] == 2.0 ? 1.0 : 0.5);
}

static double run(uint64_t seed, double *points)
{
    double values[TRIALS], best = 0;
    uint32_t order[TRIALS];
    kd_search s = {dims, DIMS, seed};
    for (uint32_t n = 0; n < TRIALS; n++) {
        double *x = points + (size_t)n * DIMS;
        kd_search_propose(&s, points, values, n, order, x);
        for (int k = 0; k < DIMS; k++) {
            if (dims[k].n_choices > 0)
                assert_true(x[k] == 0.0 || x[k] == 1.0 || x[k] == 2.0);
            else
                assert_true(x[k] >= 0 && x[k] <= 1);
        }
        values[n] = n == 7 ? NAN : value_of(x); /* what went wrong counts as the worst */
        best = n != 7 && values[n] > best ? values[n] : best;
    }
    return best;
}

static void test_same_again(void **unused)
{
    (void)unused;
    double a[TRIALS * DIMS], b[TRIALS * DIMS], c[TRIALS * DIMS];
    run(5, a);
    run(5, b);
    run(6, c);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    /* What is proposed depends on what was tried alone, not on the calls before. */
    double values[TRIALS], out[DIMS];
    uint32_t order[TRIALS];
    for (int n = 0; n < TRIALS; n++)
        values[n] = n == 7 ? NAN : value_of(a + (size_t)n * DIMS);
    kd_search s = {dims, DIMS, 5};
    kd_search_propose(&s, a, values, 61, order, out);
    assert_memory_equal(out, a + 61 * (size_t)DIMS, sizeof out);
}

static void test_better_than_chance(void **unused)
{
    (void)unused;
    const uint64_t seed = 20261129;
    print_message("seed %llu\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    double points[TRIALS * DIMS], searched = 0, drawn = 0;
    for (uint64_t round = 0; round < 20; round++) {
        double best = 0;
        for (int n = 0; n < TRIALS; n++) {
            double x[DIMS] = {kd_rng_real(&rng), (double)kd_rng_below(&rng, 3), kd_rng_real(&rng),
                              kd_rng_real(&rng)};
            best = fmax(best, value_of(x));
        }
        drawn += best / 20;
        searched += run(seed + round, points) / 20;
    }
    print_message("best of %d: searched %.4f, drawn %.4f\n", TRIALS, searched, drawn);
    assert_true(searched > 0.97);
    assert_true(1 - searched < (1 - drawn) / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_again),
        cmocka_unit_test(test_better_than_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
