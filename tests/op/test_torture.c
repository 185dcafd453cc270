/* Torture: the n-th allocation fails, for every n until a run passes. A failed apply leaves the
 * state as it was and sane, the same record then succeeds, and the end is that of a calm run.
 * Linked with --wrap for the allocating calls. */
#include "op/world.h"

#include <errno.h>
#include <sys/mman.h>

#include "operators/state.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_mmap(void *addr, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_mmap(void *addr, size_t n, int prot, int flags, int fd, off_t offset);

static long calls_left = -1; /* -1: calm */

static bool fails(void)
{
    return calls_left >= 0 && calls_left-- == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_mmap(void *addr, size_t n, int prot, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(addr, n, prot, flags, fd, offset);
}

enum { N_RECORDS = 300 };

static const world_options torture = {.shoppers = 40,
                                      .items = 25,
                                      .times = 200,
                                      .sessions = 10,
                                      .step_ms = 60000,
                                      .forgets = 4,
                                      .catalog = 6,
                                      .opt = {.history_max = 6,
                                              .purchases_max = 3,
                                              .audience_max = 20,
                                              .neighbours = 10,
                                              .count = 5,
                                              .exclude = ORACLE_PURCHASED,
                                              .similarity = ORACLE_IDF_COSINE,
                                              .overlap_min = 1,
                                              .fill = true,
                                              .fill_weight = 0.001,
                                              .retention_ms = 3600000,
                                              .vote_shared = 1,
                                              .weight = {1, 1, 1, 1},
                                              .idf_exponent = 1,
                                              .links_max = 3}};

/* Returns true if no allocation failed. */
static bool run(world_record *rec, long nth, kd_digest want)
{
    kd_recommender *r = world_recommender(&torture);
    bool has_failed = false;
    calls_left = nth;
    for (int k = 0; k < N_RECORDS; k++) {
        kd_applied applied;
        kd_err err = {0};
        kd_digest before = kd_recommender_digest(r);
        kd_rc rc = kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err);
        if (rc == KD_OK)
            continue;
        has_failed = true;
        calls_left = -1;
        assert_int_equal(rc, KD_ENOMEM);
        assert_true(strlen(err.msg) > 0);
        assert_true(kd_state_sane(kd_recommender_state(r)));
        /* Time may have moved on (the record was accepted), the entries may not have, but for those
         * that time alone took. */
        if (kd_recommender_state(r)->n_expired == 0)
            assert_true(kd_digest_eq(before, kd_recommender_digest(r)));
        assert_int_equal(kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err), KD_OK);
    }
    bool was_calm = calls_left >= 0;
    calls_left = -1;
    assert_true(kd_state_sane(kd_recommender_state(r)));
    assert_true(kd_digest_eq(kd_recommender_digest(r), want));
    kd_recommender_free(r);
    return was_calm && !has_failed;
}

static void test_each_allocation_fails_once(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    static world_record rec[N_RECORDS];
    world_make(&rng, &torture, rec, N_RECORDS);
    kd_recommender *calm = world_recommender(&torture);
    for (int k = 0; k < N_RECORDS; k++) {
        kd_applied applied;
        kd_err err = {0};
        assert_int_equal(kd_recommender_apply(calm, world_rec(&rec[k]), &applied, &err), KD_OK);
    }
    kd_digest want = kd_recommender_digest(calm);
    kd_recommender_free(calm);
    long nth = 0;
    while (!run(rec, nth, want))
        nth++;
    print_message("%ld allocations failed in turn\n", nth);
    assert_true(nth > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation_fails_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
