/* latencies.h: quantiles of a histogram against those of the sorted numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "topology/latencies.h"

enum { N = 10000 };

static int by_value(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

static void test_quantiles(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, 2);
    kd_latencies *x = calloc(1, sizeof *x);
    double *v = malloc(N * sizeof *v);
    assert_non_null(x);
    assert_non_null(v);
    assert_true(kd_latencies_quantile(x, 0.5) == 0);
    for (int k = 0; k < N; k++) {
        v[k] = exp2(20 * kd_rng_real(&rng) - 4);
        kd_latencies_add(x, v[k], 1);
    }
    qsort(v, N, sizeof *v, by_value);
    const double q[] = {0.01, 0.5, 0.9, 0.99};
    for (int k = 0; k < 4; k++) {
        double want = v[(int)(q[k] * N)], got = kd_latencies_quantile(x, q[k]);
        assert_true(fabs(got / want - 1) <
                    0.05); /* half a bucket, and the step to the next number */
    }
    kd_latencies_add(x, 0, 1); /* below and above all buckets */
    kd_latencies_add(x, 1e30, 1);
    assert_true(kd_latencies_quantile(x, 0) < 0.02 && kd_latencies_quantile(x, 1) > 1e9);
    free(x);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quantiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
