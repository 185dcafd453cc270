/* What a control group's quota comes to, and that affinity counts. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cores.h"

static void test_quota(void **unused)
{
    (void)unused;
    assert_int_equal(kd_cores_of_quota("200000 100000\n"), 2);
    assert_int_equal(kd_cores_of_quota("50000 100000\n"), 1);
    assert_int_equal(kd_cores_of_quota("150000 100000\n"), 2);
    assert_int_equal(kd_cores_of_quota("100001 100000"), 2);
    static const char *const none[] = {"max 100000\n", "",       "max", "0 100000",
                                       "100000 0",     "100000", "x y"};
    for (size_t k = 0; k < sizeof none / sizeof *none; k++)
        assert_int_equal(kd_cores_of_quota(none[k]), UINT32_MAX);
}

static void test_affinity(void **unused)
{
    (void)unused;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_in_range(kd_cores(256), 1, CPU_COUNT(&before));
    assert_int_equal(kd_cores(1), 1);
    CPU_ZERO(&one);
    for (int k = 0; k < CPU_SETSIZE && CPU_COUNT(&one) == 0; k++)
        if (CPU_ISSET(k, &before))
            CPU_SET(k, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(kd_cores(256), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quota),
                                       cmocka_unit_test(test_affinity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
