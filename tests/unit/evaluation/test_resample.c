/* resample.h: quantiles by hand, the bootstrap against the standard error that theory gives, the
 * sign test against all sign patterns and against its own error rate. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "evaluation/resample.h"

static void test_interval_by_hand(void **unused)
{
    (void)unused;
    double low, high, v[] = {5, 1, 3, 2, 4};
    kd_percentile_interval(v, 5, 0.5, &low, &high); /* type 7: positions 1 and 3 of 0..4 */
    assert_true(low == 2 && high == 4);
    double w[] = {0, 10};
    kd_percentile_interval(w, 2, 0.9, &low, &high);
    assert_true(fabs(low - 0.5) < 1e-12 && fabs(high - 9.5) < 1e-12);
    double one[] = {7};
    kd_percentile_interval(one, 1, 0.95, &low, &high);
    assert_true(low == 7 && high == 7);
}

static void test_draws(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    uint16_t a[N], b[N];
    int8_t sign[N];
    long sum = 0, signs = 0;
    kd_bootstrap_draw(3, 17, N, a);
    kd_bootstrap_draw(3, 17, N, b);
    assert_memory_equal(a, b, sizeof a);
    kd_bootstrap_draw(3, 18, N, b);
    assert_memory_not_equal(a, b, sizeof a);
    kd_signs_draw(3, 17, N, sign);
    for (int k = 0; k < N; k++) {
        sum += a[k];
        signs += sign[k];
        assert_true(sign[k] == 1 || sign[k] == -1);
    }
    assert_int_equal(sum, N);
    assert_true(labs(signs) < 160); /* five standard deviations */
    const double matrix[] = {1, 10, 2, 20, 3, 30};
    const uint16_t times[] = {0, 3, 1};
    double out[2];
    kd_bootstrap_sums(matrix, 3, 2, times, out);
    assert_true(out[0] == 9 && out[1] == 90);
}

/* The bootstrap's spread of a mean of n numbers is their standard deviation over sqrt(n). */
static void test_standard_error(void **unused)
{
    (void)unused;
    enum { N = 400, R = 4000 };
    double x[N], mean = 0, var = 0, sum = 0, squares = 0;
    kd_rng rng;
    kd_rng_init(&rng, 12);
    for (int k = 0; k < N; k++)
        mean += x[k] = kd_rng_real(&rng);
    mean /= N;
    for (int k = 0; k < N; k++)
        var += (x[k] - mean) * (x[k] - mean) / N;
    for (uint32_t r = 0; r < R; r++) {
        uint16_t times[N];
        double s;
        kd_bootstrap_draw(1, r, N, times);
        kd_bootstrap_sums(x, N, 1, times, &s);
        sum += s / N;
        squares += s / N * (s / N);
    }
    double spread = sqrt(squares / R - sum / R * (sum / R)), want = sqrt(var / N);
    assert_true(fabs(sum / R - mean) < 0.05 * want);
    assert_true(fabs(spread / want - 1) < 0.05); /* its own error is 1/sqrt(2R) = 1.1 % */
}

/* With ten groups there are 1024 sign patterns: the share of those that reach |t| is what the
 * permutations estimate. */
static void test_against_all_patterns(void **unused)
{
    (void)unused;
    enum { N = 10, C = 3, R = 20000 };
    double d[N * C], scale[C], each[C], work[C];
    static const double shift[C] = {0, 0.3, 0.9};
    kd_rng rng;
    kd_rng_init(&rng, 4);
    for (int k = 0; k < N * C; k++)
        d[k] = kd_rng_real(&rng) - 0.5 + shift[k % C];
    kd_signs_scale(d, N, C, scale);
    (void)kd_signs_max(d, N, C, NULL, scale, each, work);
    double *greatest = malloc(R * sizeof *greatest);
    assert_non_null(greatest);
    for (uint32_t r = 0; r < R; r++) {
        int8_t sign[N];
        kd_signs_draw(9, r, N, sign);
        greatest[r] = kd_signs_max(d, N, C, sign, scale, NULL, work);
    }
    for (int c = 0; c < C; c++) {
        int reach = 0;
        for (int pattern = 0; pattern < 1 << N; pattern++) {
            double most = 0;
            for (int i = 0; i < C; i++) {
                double sum = 0, squares = 0;
                for (int g = 0; g < N; g++) {
                    sum += pattern >> g & 1 ? d[g * C + i] : -d[g * C + i];
                    squares += d[g * C + i] * d[g * C + i];
                }
                most = fmax(most, fabs(sum) / sqrt(squares));
            }
            reach += most >= fabs(each[c]) - 1e-12;
        }
        double exact = (double)reach / (1 << N), got = kd_signs_p(each[c], greatest, R);
        print_message("column %d: p = %.4f, exactly %.4f\n", c, got, exact);
        assert_true(fabs(got - exact) < 0.02); /* over five standard errors */
    }
    free(greatest);
}

static void test_no_difference_is_no_finding(void **unused)
{
    (void)unused;
    enum { N = 20, C = 2, R = 200 };
    const double zero[N * C] = {0};
    double scale[C], each[C], work[C], greatest[R];
    kd_signs_scale(zero, N, C, scale);
    (void)kd_signs_max(zero, N, C, NULL, scale, each, work);
    for (uint32_t r = 0; r < R; r++) {
        int8_t sign[N];
        kd_signs_draw(1, r, N, sign);
        greatest[r] = kd_signs_max(zero, N, C, sign, scale, NULL, work);
    }
    assert_true(kd_signs_p(each[0], greatest, R) == 1);
}

/* Where nothing differs, five in a hundred families may be found to, not more: 25 columns each. */
static void test_error_rate_of_a_family(void **unused)
{
    (void)unused;
    enum { FAMILIES = 300, N = 60, C = 25, R = 199 };
    double d[N * C], scale[C], each[C], work[C], greatest[R];
    int found = 0;
    kd_rng rng;
    kd_rng_init(&rng, 77);
    for (int f = 0; f < FAMILIES; f++) {
        for (int k = 0; k < N * C; k++)
            d[k] = kd_rng_real(&rng) - 0.5;
        kd_signs_scale(d, N, C, scale);
        double most = kd_signs_max(d, N, C, NULL, scale, each, work);
        for (uint32_t r = 0; r < R; r++) {
            int8_t sign[N];
            kd_signs_draw((uint64_t)f, r, N, sign);
            greatest[r] = kd_signs_max(d, N, C, sign, scale, NULL, work);
        }
        found += kd_signs_p(most, greatest, R) <= 0.05;
    }
    print_message("%d of %d families\n", found, FAMILIES);
    assert_true(found >= 2 && found <= 34); /* 15 are due; five standard deviations are 19 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_by_hand),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_standard_error),
        cmocka_unit_test(test_against_all_patterns),
        cmocka_unit_test(test_no_difference_is_no_finding),
        cmocka_unit_test(test_error_rate_of_a_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
