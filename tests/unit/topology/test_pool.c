/* The pool does each index exactly once, whatever the number of workers and of indexes, and what
 * the jobs wrote is there when it returns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "topology/pool.h"

typedef struct job {
    int done[2000];
    uint32_t n_workers;
} job;

static void work(void *arg, uint32_t worker, uint32_t index)
{
    job *j = arg;
    KD_ASSERT(worker < j->n_workers);
    j->done[index]++;
}

static void test_each_index_once(void **unused)
{
    (void)unused;
    static const uint32_t workers[] = {1, 2, 3, 8};
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
        kd_pool *p = NULL;
        kd_err err = {0};
        assert_int_equal(kd_pool_new(workers[w], &p, &err), KD_OK);
        for (uint32_t n = 0; n <= 2000; n = n < 20                         ? n + 1
                                            : n * 3 / 2 > 2000 && n < 2000 ? 2000
                                                                           : n * 3 / 2) {
            static job j;
            memset(&j, 0, sizeof j);
            j.n_workers = workers[w];
            kd_pool_run(p, n, work, &j);
            for (uint32_t k = 0; k < 2000; k++)
                assert_int_equal(j.done[k], k < n);
        }
        kd_pool_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_index_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
