/* Snapshots: what is saved in slices while records keep coming, and loaded, is the state of the
 * moment at which the snapshot began, answers like it, and goes on like it. Damage is found. */
#include "op/world.h"

#include "operators/published.h"
#include "operators/saver.h"
#include "operators/state.h"
#include "schemas/codec.h"

static const world_options worlds[] = {
    {.shoppers = 8,
     .items = 12,
     .times = 40,
     .sessions = 5,
     .step_ms = 60000,
     .forgets = 6,
     .catalog = 10,
     .opt = {WORLD_ORDINARY, .history_max = 10, .purchases_max = 5, .audience_max = 20,
             .neighbours = 10, .count = 5, .exclude = ORACLE_PURCHASED, .fill = true}},
    {.shoppers = 6,
     .items = 8,
     .times = 60,
     .sessions = 4,
     .step_ms = 3600000,
     .forgets = 4,
     .catalog = 6,
     .active = 4,
     .active_bytes = 1 << 20,
     .opt = {WORLD_ORDINARY, .history_max = 2, .purchases_max = 2, .audience_max = 2,
             .neighbours = 2, .count = 2, .exclude = ORACLE_SEEN, .similarity = ORACLE_COSINE,
             .fill = true, .retention_ms = 36000000}},
    {.shoppers = 40,
     .items = 60,
     .times = 9,
     .step_ms = 1000,
     .forgets = 1,
     .catalog = 2,
     .opt = {WORLD_ORDINARY, .history_max = 30, .purchases_max = 9, .audience_max = 50,
             .neighbours = 10, .count = 5, .exclude = ORACLE_NONE, .fill = true}},
    {.shoppers = 8,
     .items = 14,
     .times = 40,
     .step_ms = 7200000,
     .forgets = 4,
     .catalog = 20,
     .has_texts = true,
     .opt = {WORLD_ORDINARY, WORLD_BLENDED}},
};
enum { N_WORLDS = sizeof worlds / sizeof *worlds, N_RECORDS = 300 };

/* -- bytes in memory as a source ------------------------------------------------------------------
 */

typedef struct tape {
    const char *p;
    size_t n, at;
} tape;

static kd_rc tape_read(void *arg, void *p, size_t n, kd_err *err)
{
    tape *t = arg;
    if (t->n - t->at < n)
        return kd_fail(err, KD_EIO, "it ends at byte %zu", t->n);
    memcpy(p, t->p + t->at, n);
    t->at += n;
    return KD_OK;
}

static kd_rc load(const world_options *w, const char *p, size_t n, kd_recommender **out,
                  kd_saved *saved, kd_err *err)
{
    tape t = {p, n, 0};
    kd_block_source from = {tape_read, &t};
    kd_load_options o = {0};
    *out = world_recommender(w);
    return kd_recommender_load(*out, KD_STATE_VERSION, &from, &o, saved, err);
}

static void apply(kd_recommender *r, world_record *rec)
{
    kd_applied applied;
    kd_err err = {0};
    assert_int_equal(kd_recommender_apply(r, world_rec(rec), &applied, &err), KD_OK);
}

/* Every shopper's list as bytes, and noted as published if `note`. */
static void answers(kd_recommender *r, const world_options *w, bool note, kd_buf *out)
{
    kd_err err = {0};
    kd_arena *arena = kd_arena_new(0);
    kd_reader_space *space;
    assert_int_equal(kd_recommender_prepare(r, &err), KD_OK);
    assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
    for (int u = 0; u < w->shoppers; u++) {
        char id[16];
        snprintf(id, sizeof id, "u%d", u);
        kd_query q = {.shopper_id = kd_str_of(id),
                      .time = world_start + w->times * w->step_ms,
                      .trigger = {"t", 0, u}};
        kd_update update;
        assert_int_equal(kd_recommender_answer(r, space, &q, arena, &update, NULL, &err), KD_OK);
        kd_update_encode(&update, out);
        if (note)
            kd_buf_addc(out,
                        kd_recommender_is_news(r, update.shopper_id, kd_published_of(&update, 0))
                            ? 'n'
                            : 'o');
    }
    kd_reader_space_free(space);
    kd_arena_free(arena);
}

static void assert_equal_answers(kd_recommender *a, kd_recommender *b, const world_options *w,
                                 bool note)
{
    kd_buf x = {0}, y = {0};
    answers(a, w, note, &x);
    answers(b, w, note, &y);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    kd_buf_dispose(&x);
    kd_buf_dispose(&y);
}

/* -- the property ---------------------------------------------------------------------------------
 */

static void loaded_is_begin(const world_options *w, kd_rng *rng)
{
    world_record rec[N_RECORDS];
    world_make(rng, w, rec, N_RECORDS);
    int from = (int)kd_rng_below(rng, N_RECORDS), at = from;
    kd_recommender *live = world_recommender(w), *still = world_recommender(w), *back = NULL;
    kd_err err = {0};
    kd_buf published = {0};
    for (int k = 0; k < from; k++) {
        apply(live, &rec[k]);
        apply(still, &rec[k]);
    }
    assert_equal_answers(live, still, w, true);
    kd_saver *v = NULL;
    assert_int_equal(kd_recommender_save(live, &v, &err), KD_OK);
    kd_buf bytes = {0};
    for (bool done = false; !done;) {
        for (uint64_t n = kd_rng_below(rng, 12); n > 0 && at < N_RECORDS; n--)
            apply(live, &rec[at++]);
        answers(live, w, true, &published); /* fingerprints change, too */
        uint32_t slots = 1 + (uint32_t)kd_rng_below(rng, 6);
        assert_int_equal(kd_saver_step(v, slots, 1 << 20, &bytes, &done, &err), KD_OK);
        assert_true(kd_state_sane(kd_recommender_state(live)));
    }
    kd_saved is = *kd_saver_saved(v), loaded;
    kd_saver_end(v);
    if (load(w, bytes.p, bytes.n, &back, &loaded, &err) != KD_OK)
        fail_msg("%s", err.msg);
    assert_true(kd_digest_eq(is.digest, kd_recommender_digest(still)));
    assert_true(kd_digest_eq(is.digest, kd_recommender_digest(back)));
    assert_true(kd_state_sane(kd_recommender_state(back)));
    assert_int_equal(loaded.interactions, kd_recommender_state(still)->n_entries);
    assert_equal_answers(still, back, w, true);
    for (; from < N_RECORDS; from++) {
        apply(still, &rec[from]);
        apply(back, &rec[from]);
        assert_true(kd_digest_eq(kd_recommender_digest(still), kd_recommender_digest(back)));
    }
    assert_true(kd_state_sane(kd_recommender_state(back)));
    assert_equal_answers(still, back, w, false);
    for (; at < N_RECORDS; at++)
        apply(live, &rec[at]);
    assert_true(kd_digest_eq(kd_recommender_digest(live), kd_recommender_digest(back)));
    kd_recommender_free(live);
    kd_recommender_free(still);
    kd_recommender_free(back);
    kd_buf_dispose(&bytes);
    kd_buf_dispose(&published);
}

static void test_loaded_is_begin(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    for (int k = 0; k < N_WORLDS; k++)
        for (int round = 0; round < 60; round++)
            loaded_is_begin(&worlds[k], &rng);
}

/* -- bigger audiences than a chunk, loaded in one go ----------------------------------------------
 */

static void save_all(kd_recommender *r, kd_buf *bytes)
{
    kd_saver *v = NULL;
    kd_err err = {0};
    assert_int_equal(kd_recommender_save(r, &v, &err), KD_OK);
    for (bool done = false; !done;)
        assert_int_equal(kd_saver_step(v, 1000, 1 << 16, bytes, &done, &err), KD_OK);
    kd_saver_end(v);
}

static void test_long_audiences(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    world_options w = worlds[2];
    w.shoppers = 4000;
    w.items = 5;
    w.times = 500;
    w.catalog = 0;
    w.opt.audience_max = 5000;
    enum { N = 12000 };
    world_record *rec = calloc(N, sizeof *rec);
    world_make(&rng, &w, rec, N);
    kd_recommender *r = world_recommender(&w), *back = NULL;
    kd_buf bytes = {0};
    kd_err err = {0};
    kd_saved saved;
    for (int k = 0; k < N; k++)
        apply(r, &rec[k]);
    save_all(r, &bytes);
    if (load(&w, bytes.p, bytes.n, &back, &saved, &err) != KD_OK)
        fail_msg("%s", err.msg);
    assert_true(kd_state_sane(kd_recommender_state(back)));
    for (int k = 0; k < N; k += 7) { /* lists that were built as a whole change like grown ones */
        rec[k].rec.time += 1000 * (int64_t)kd_rng_below(&rng, 300);
        rec[k].rec.ts = rec[k].rec.time;
        apply(r, &rec[k]);
        apply(back, &rec[k]);
    }
    assert_true(kd_state_sane(kd_recommender_state(back)));
    assert_true(kd_digest_eq(kd_recommender_digest(r), kd_recommender_digest(back)));
    assert_equal_answers(r, back, &w, false);
    kd_recommender_free(r);
    kd_recommender_free(back);
    kd_buf_dispose(&bytes);
    free(rec);
}

/* -- damage ---------------------------------------------------------------------------------------
 */

static void make_bytes(const world_options *w, kd_rng *rng, kd_buf *bytes)
{
    world_record rec[N_RECORDS];
    world_make(rng, w, rec, N_RECORDS);
    kd_recommender *r = world_recommender(w);
    for (int k = 0; k < N_RECORDS; k++)
        apply(r, &rec[k]);
    save_all(r, bytes);
    kd_recommender_free(r);
}

static void test_damage_is_found(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    kd_buf bytes = {0};
    make_bytes(&worlds[0], &rng, &bytes);
    kd_saved saved;
    for (size_t at = 0; at < bytes.n; at += 1 + kd_rng_below(&rng, 40)) {
        kd_recommender *back = NULL;
        kd_err err = {0};
        char bit = (char)(1 << kd_rng_below(&rng, 8));
        bytes.p[at] ^= bit;
        assert_int_equal(load(&worlds[0], bytes.p, bytes.n, &back, &saved, &err), KD_EIO);
        assert_true(err.msg[0] != '\0');
        bytes.p[at] ^= bit;
        kd_recommender_free(back);
        assert_int_equal(load(&worlds[0], bytes.p, at, &back, &saved, &err), KD_EIO);
        kd_recommender_free(back);
    }
    kd_buf_dispose(&bytes);
}

/* A block that is whole, but holds nonsense (its checksum is right): refused, no crash. */
static void test_nonsense_is_refused(void **unused)
{
    (void)unused;
    enum { HEAD = 32 };
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    kd_buf bytes = {0};
    make_bytes(&worlds[0], &rng, &bytes);
    int refused = 0;
    for (int round = 0; round < 3000; round++) {
        kd_buf spoilt = {0};
        tape t = {bytes.p, bytes.n, 0};
        kd_block_source from = {tape_read, &t};
        kd_buf room = {0};
        kd_err err = {0};
        for (uint32_t seq = 0; t.at < t.n; seq++) {
            kd_block b;
            assert_int_equal(kd_block_read(&from, seq, &room, &b, &err), KD_OK);
            if (kd_rng_below(&rng, 3) == 0)
                room.p[kd_rng_below(&rng, b.bytes)] = (char)kd_rng_below(&rng, 256);
            kd_block_write(&spoilt, seq, &b);
        }
        kd_recommender *back = NULL;
        kd_saved saved;
        kd_rc rc = load(&worlds[0], spoilt.p, spoilt.n, &back, &saved, &err);
        refused += rc != KD_OK;
        assert_true(rc == KD_OK || rc == KD_EIO);
        kd_recommender_free(back);
        kd_buf_dispose(&spoilt);
        kd_buf_dispose(&room);
    }
    assert_true(refused > 2000);
    kd_buf_dispose(&bytes);
}

static void test_other_version(void **unused)
{
    (void)unused;
    kd_recommender *r = world_recommender(&worlds[0]);
    kd_err err = {0};
    kd_saved saved;
    tape t = {"", 0, 0};
    kd_block_source from = {tape_read, &t};
    kd_load_options o = {0};
    assert_int_equal(kd_recommender_load(r, KD_STATE_VERSION + 1, &from, &o, &saved, &err),
                     KD_ESTATE);
    kd_recommender_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loaded_is_begin), cmocka_unit_test(test_long_audiences),
        cmocka_unit_test(test_damage_is_found), cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_other_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
