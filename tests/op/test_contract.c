/* The operator contract of operators/kd_op.h, for each configuration in one table: order,
 * duplicates and epoch cuts change no state; the same run twice gives the same bytes; failing
 * allocations leave the state as it was; the invariants hold after each step; readers only read. */
#include "op/world.h"

#include "operators/state.h"
#include "schemas/codec.h"

/* -- the table: a configuration a row ------------------------------------------------------------
 */

typedef struct row {
    const char *name;
    world_options w;
} row;

static const row rows[] = {
    {"jaccard",
     {.shoppers = 8,
      .active = 4,
      .active_bytes = 1 << 20,
      .items = 12,
      .times = 40,
      .sessions = 3,
      .step_ms = 60000,
      .forgets = 4,
      .catalog = 6,
      .opt = {WORLD_ORDINARY, .history_max = 10, .purchases_max = 5, .audience_max = 20,
              .neighbours = 10, .count = 5, .exclude = ORACLE_PURCHASED, .fill = true}}},
    {"cosine, caps of one",
     {.shoppers = 6,
      .items = 8,
      .times = 20,
      .step_ms = 60000,
      .forgets = 4,
      .catalog = 6,
      .opt = {WORLD_ORDINARY, .history_max = 1, .purchases_max = 1, .audience_max = 1,
              .neighbours = 1, .count = 1, .exclude = ORACLE_NONE, .similarity = ORACLE_COSINE}}},
    {"stan, caps of two, retention, sessions",
     {.shoppers = 6,
      .items = 8,
      .times = 30,
      .sessions = 4,
      .step_ms = 3600000,
      .forgets = 4,
      .catalog = 6,
      .opt = {WORLD_ORDINARY, .history_max = 2, .purchases_max = 2, .audience_max = 2,
              .neighbours = 2, .count = 2, .exclude = ORACLE_SEEN, .similarity = ORACLE_STAN,
              .fill = true, .retention_ms = 36000000}}},
    {"v-sknn, weights and half-life",
     {.shoppers = 8,
      .items = 12,
      .times = 40,
      .step_ms = 60000,
      .opt = {WORLD_ORDINARY, .history_max = 10, .purchases_max = 5, .audience_max = 20,
              .neighbours = 10, .count = 5, .exclude = ORACLE_PURCHASED, .similarity = ORACLE_VSKNN,
              .fill = true, .half_life_ms = 600000}}},
    {"blend with texts",
     {.shoppers = 8,
      .items = 14,
      .times = 40,
      .sessions = 3,
      .step_ms = 7200000,
      .forgets = 4,
      .catalog = 20,
      .has_texts = true,
      .opt = {WORLD_ORDINARY, WORLD_BLENDED, .diversity = 0.1}}},
};

enum { N_RECORDS = 120, N_ROWS = sizeof rows / sizeof *rows };

static void apply_all(kd_recommender *r, world_record *rec, int n)
{
    for (int k = 0; k < n; k++) {
        kd_applied applied;
        kd_err err = {0};
        assert_int_equal(kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err), KD_OK);
        assert_true(kd_state_sane(kd_recommender_state(r)));
    }
    assert_int_equal(kd_recommender_prepare(r, NULL), KD_OK);
}

/* Every shopper's list, as bytes. */
static void answers(const kd_recommender *r, kd_reader_space *space, const world_options *w,
                    kd_buf *out)
{
    kd_arena *arena = kd_arena_new(0);
    for (int u = 0; u < w->shoppers; u++) {
        char id[16];
        snprintf(id, sizeof id, "u%d", u);
        kd_query q = {.shopper_id = kd_str_of(id),
                      .time = world_start + w->times * w->step_ms,
                      .trigger = {"t", 0, u}};
        kd_update update;
        kd_err err = {0};
        assert_int_equal(kd_recommender_answer(r, space, &q, arena, &update, NULL, &err), KD_OK);
        kd_update_encode(&update, out);
    }
    kd_arena_free(arena);
}

static void for_each_row(void (*check)(const row *, kd_rng *))
{
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    for (int k = 0; k < N_ROWS; k++)
        for (int round = 0; round < 5; round++)
            check(&rows[k], &rng);
}

/* -- the laws -------------------------------------------------------------------------------------
 */

static void twice_the_same(const row *x, kd_rng *rng)
{
    world_record rec[N_RECORDS];
    world_make(rng, &x->w, rec, N_RECORDS);
    kd_buf bytes[2] = {{0}};
    kd_digest digest[2];
    for (int k = 0; k < 2; k++) {
        kd_recommender *r = world_recommender(&x->w);
        kd_reader_space *space;
        kd_err err = {0};
        assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
        apply_all(r, rec, N_RECORDS);
        answers(r, space, &x->w, &bytes[k]);
        answers(r, space, &x->w, &bytes[k]); /* a used reader says the same, and changed nothing */
        digest[k] = kd_recommender_digest(r);
        assert_true(kd_digest_eq(digest[k], kd_recommender_digest_slow(r)));
        kd_reader_space_free(space);
        kd_recommender_free(r);
    }
    assert_true(kd_digest_eq(digest[0], digest[1]));
    assert_int_equal(bytes[0].n, bytes[1].n);
    assert_memory_equal(bytes[0].p, bytes[1].p, bytes[0].n);
    assert_memory_equal(bytes[0].p, bytes[0].p + bytes[0].n / 2, bytes[0].n / 2);
    kd_buf_dispose(&bytes[0]);
    kd_buf_dispose(&bytes[1]);
}

/* Other order and duplicates: other slot numbers, the same digest and the same bytes out. */
static void slots_do_not_show(const row *x, kd_rng *rng)
{
    world_record rec[2 * N_RECORDS];
    world_make(rng, &x->w, rec, N_RECORDS);
    kd_buf bytes[2] = {{0}};
    kd_digest digest[2];
    int n = N_RECORDS;
    for (int k = 0; k < 2; k++) {
        kd_recommender *r = world_recommender(&x->w);
        kd_reader_space *space;
        kd_err err = {0};
        assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
        apply_all(r, rec, n);
        /* state_time is part of an update: bring both to the same one */
        answers(r, space, &x->w, &bytes[k]);
        digest[k] = kd_recommender_digest(r);
        kd_reader_space_free(space);
        kd_recommender_free(r);
        for (int j = 0; j < N_RECORDS; j += 3)
            rec[n++] = rec[j];
        kd_rng_shuffle(rng, rec, (size_t)n, sizeof *rec);
    }
    assert_true(kd_digest_eq(digest[0], digest[1]));
    assert_int_equal(bytes[0].n, bytes[1].n);
    assert_memory_equal(bytes[0].p, bytes[1].p, bytes[0].n);
    kd_buf_dispose(&bytes[0]);
    kd_buf_dispose(&bytes[1]);
}

static void test_twice_the_same(void **unused)
{
    (void)unused;
    for_each_row(twice_the_same);
}

static void test_slots_do_not_show(void **unused)
{
    (void)unused;
    for_each_row(slots_do_not_show);
}

static void test_bad_options_are_refused_at_open(void **unused)
{
    (void)unused;
    static const char *const bad[][2] = {
        {"history.max", "0"},       {"history.max", "2001"},  {"usercf.neighbours", "0"},
        {"audience.max", "-1"},     {"recommend.count", "0"}, {"usercf.weight.view", "-1"},
        {"usercf.similarity", "x"}, {"retention", "-1d"},     {"recommend.exclude", "all"},
        {"usercf.neighbors", "5"},
    };
    kd_opt_values v = {0};
    kd_err err = {0};
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        assert_int_equal(kd_opt_set(&v, bad[k][0], bad[k][1], "test", &err), KD_ECONFIG);
        assert_string_equal(err.where, "test");
        assert_true(strlen(err.msg) > 0);
    }
    kd_opt_values_dispose(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice_the_same),
        cmocka_unit_test(test_slots_do_not_show),
        cmocka_unit_test(test_bad_options_are_refused_at_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
