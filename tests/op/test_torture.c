/* Torture: the n-th allocation fails, for every n until a run passes. A failed apply leaves the
 * state as it was and sane, the same record then succeeds, and the end is that of a calm run.
 * Linked with --wrap for the allocating calls. */
#include "op/world.h"

#include <errno.h>
#include <sys/mman.h>

#include "operators/content.h"
#include "operators/state.h"
#include "operators/trend.h"

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

static const world_options plain = {.shoppers = 40,
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

static const world_options blended = {.shoppers = 20,
                                      .items = 25,
                                      .times = 200,
                                      .step_ms = 3600000,
                                      .forgets = 4,
                                      .catalog = 30,
                                      .has_texts = true,
                                      .opt = {.history_max = 6,
                                              .purchases_max = 3,
                                              .audience_max = 20,
                                              .neighbours = 10,
                                              .count = 5,
                                              .overlap_min = 1,
                                              .fill = true,
                                              .fill_weight = 0.001,
                                              .vote_shared = 1,
                                              .weight = {1, 1, 1, 1},
                                              .is_blended = true,
                                              .usercf = 1,
                                              .together = 0.3,
                                              .content = 0.5,
                                              .popularity = 0.1,
                                              .popularity_known = 1,
                                              .diversity = 0.1,
                                              .content_items = 3,
                                              .content_neighbours = 5,
                                              .together_audience = 5,
                                              .together_within_ms = 3600000,
                                              .trend_half_life_ms = KD_MS_DAY}};

static bool is_sane(const kd_recommender *r)
{
    const kd_state *s = kd_recommender_state(r);
    return kd_state_sane(s) && (s->content == NULL || kd_content_sane(s->content)) &&
           (s->trend == NULL || kd_trend_sane(s->trend, &s->items));
}

/* An answer, which may fail, and then succeeds. */
static bool ask(const kd_recommender *r, kd_reader_space *space, kd_arena *arena,
                const world_record *rec)
{
    kd_query q = {.shopper_id = kd_str_of(rec->shopper), .time = rec->rec.time};
    kd_update got;
    kd_err err = {0};
    kd_rc rc = kd_recommender_answer(r, space, &q, arena, &got, NULL, &err);
    bool has_failed = rc != KD_OK;
    if (has_failed) {
        calls_left = -1;
        assert_int_equal(rc, KD_ENOMEM);
        assert_int_equal(kd_recommender_answer(r, space, &q, arena, &got, NULL, &err), KD_OK);
    }
    kd_arena_reset(arena);
    return has_failed;
}

/* Returns true if no allocation failed. */
static bool run(const world_options *w, world_record *rec, long nth, kd_digest want)
{
    kd_recommender *r = world_recommender(w);
    kd_reader_space *space = NULL;
    kd_arena *arena = kd_arena_new(0);
    assert_int_equal(kd_reader_space_new(r, &space, NULL), KD_OK);
    bool has_failed = false;
    calls_left = nth;
    for (int k = 0; k < N_RECORDS; k++) {
        kd_applied applied;
        kd_err err = {0};
        kd_digest before = kd_recommender_digest(r);
        kd_rc rc = kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err);
        if (rc == KD_OK && w->has_texts && k % 8 == 0) {
            rc = kd_recommender_prepare(r, &err);
            has_failed |= rc != KD_OK;
            if (rc == KD_OK)
                has_failed |= ask(r, space, arena, &rec[k]);
            calls_left = rc == KD_OK ? calls_left : -1;
            continue;
        }
        if (rc == KD_OK)
            continue;
        has_failed = true;
        calls_left = -1;
        assert_int_equal(rc, KD_ENOMEM);
        assert_true(strlen(err.msg) > 0);
        assert_true(is_sane(r));
        /* Time may have moved on (the record was accepted), the entries may not have, but for those
         * that time alone took. */
        if (kd_recommender_state(r)->n_expired == 0)
            assert_true(kd_digest_eq(before, kd_recommender_digest(r)));
        assert_int_equal(kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err), KD_OK);
    }
    bool was_calm = calls_left >= 0;
    calls_left = -1;
    assert_int_equal(kd_recommender_prepare(r, NULL), KD_OK);
    assert_true(is_sane(r));
    assert_true(kd_digest_eq(kd_recommender_digest(r), want));
    kd_reader_space_free(space);
    kd_arena_free(arena);
    kd_recommender_free(r);
    return was_calm && !has_failed;
}

static void each_allocation_fails_once(const world_options *w)
{
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    static world_record rec[N_RECORDS];
    world_make(&rng, w, rec, N_RECORDS);
    kd_recommender *calm = world_recommender(w);
    for (int k = 0; k < N_RECORDS; k++) {
        kd_applied applied;
        kd_err err = {0};
        assert_int_equal(kd_recommender_apply(calm, world_rec(&rec[k]), &applied, &err), KD_OK);
    }
    kd_digest want = kd_recommender_digest(calm);
    kd_recommender_free(calm);
    long nth = 0;
    while (!run(w, rec, nth, want))
        nth++;
    print_message("%ld allocations failed in turn\n", nth);
    assert_true(nth > 30);
}

static void test_plain(void **unused)
{
    (void)unused;
    each_allocation_fails_once(&plain);
}

static void test_blended(void **unused)
{
    (void)unused;
    each_allocation_fails_once(&blended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain),
                                       cmocka_unit_test(test_blended)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
