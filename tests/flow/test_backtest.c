/* backtest.h: several runs over one log from a memory source that spoils what it handed out; the
 * digests are those of each configuration's own replay, with any number of threads; a log of bad
 * records does not stop it; a source that pauses, fails or is told to stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "consumers/sources.h"
#include "sinks/sinks.h"
#include "topology/backtest.h"
#include "topology/replay.h"

enum { RUNS = 3, EVENTS = 6000 };

static uint64_t seed;

/* What a run came to. */
typedef struct fate {
    kd_digest output, state;
    double ndcg;
    int64_t judged;
} fate;

static void configure(kd_config *c, const char *const *sets)
{
    kd_err err = {0};
    assert_int_equal(kd_config_init(c, &err), KD_OK);
    for (; *sets != NULL; sets++)
        assert_int_equal(kd_config_set(c, *sets, &err), KD_OK);
}

static void configure_all(kd_config c[RUNS])
{
    static const char *const sets[RUNS][4] = {
        {"usercf.neighbours=10", "epoch.max=1"},
        {"usercf.neighbours=3", "emit=always", "epoch.max=700"},
        {"usercf.similarity=cosine", "workers=3"},
    };
    for (int k = 0; k < RUNS; k++)
        configure(&c[k], sets[k]);
}

static kd_source *generated(void)
{
    kd_generator_options o = {0};
    kd_source *s = NULL;
    kd_generator_defaults(&o);
    o.seed = seed;
    o.shoppers = 300;
    o.items = 200;
    o.events = EVENTS;
    o.has_catalog = true;
    assert_int_equal(kd_generator_new(&o, &s, NULL), KD_OK);
    return s;
}

static void replay_alone(const kd_config *c, fate *out)
{
    kd_source *source = generated();
    kd_sink *digest = NULL;
    kd_recommender *rec = NULL;
    kd_pipeline *p = NULL;
    kd_err err = {0};
    kd_pipeline_options po = kd_config_pipeline(&c->values);
    kd_replay_options o = {0};
    assert_int_equal(kd_digest_sink_new(&digest, &err), KD_OK);
    assert_int_equal(kd_recommender_new(&c->values, &rec, &err), KD_OK);
    assert_int_equal(kd_pipeline_new(&po, source, rec, digest, &p, &err), KD_OK);
    assert_int_equal(source->kind->start(source, &err), KD_OK);
    assert_int_equal(kd_replay(&o, p, source, digest, &err), KD_OK);
    *out = (fate){.output = kd_digest_sink_value(digest), .state = kd_recommender_digest(rec)};
    kd_pipeline_free(p);
    kd_recommender_free(rec);
    digest->kind->close(digest);
    source->kind->close(source);
}

static kd_backtest_options options(uint32_t threads)
{
    return (kd_backtest_options){.threads = threads,
                                 .score = {.score_from = KD_MS_NONE},
                                 .cutoffs = {{5, 10}, 2, 1},
                                 .seed = 1,
                                 .resamples = 100,
                                 .max_dead_letters = -1};
}

static kd_rc run_some(kd_source *source, const kd_config *c, uint32_t n,
                      const kd_backtest_options *o, fate *out, kd_err *err)
{
    const kd_config *configs[RUNS];
    kd_backtest *b = NULL;
    for (uint32_t k = 0; k < n; k++)
        configs[k] = &c[k];
    assert_int_equal(kd_backtest_new(o, source, configs, n, &b, err), KD_OK);
    kd_rc rc = kd_backtest_go(b, err);
    for (uint32_t k = 0; rc == KD_OK && kd_backtest_compare(b) != NULL && k < n; k++)
        out[k] =
            (fate){.output = kd_backtest_output_digest(b, k),
                   .state = kd_backtest_state_digest(b, k),
                   .ndcg = kd_compare_verdict(kd_backtest_compare(b), k)->total[KD_NDCG][1].value,
                   .judged = kd_scorer_units(kd_backtest_scorer(b, k))->scored};
    kd_backtest_free(b);
    source->kind->close(source);
    return rc;
}

static kd_rc run_all(kd_source *source, const kd_config *c, const kd_backtest_options *o, fate *out,
                     kd_err *err)
{
    return run_some(source, c, RUNS, o, out, err);
}

static void test_digests_are_those_of_replays(void **unused)
{
    (void)unused;
    kd_config c[RUNS];
    fate alone[RUNS], first[RUNS], again[RUNS];
    kd_err err = {0};
    configure_all(c);
    for (int k = 0; k < RUNS; k++)
        replay_alone(&c[k], &alone[k]);
    const uint32_t threads[] = {1, 2, 4};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        kd_backtest_options o = options(threads[t]);
        memset(again, 0, sizeof again);
        assert_int_equal(run_all(generated(), c, &o, again, &err), KD_OK);
        if (t == 0)
            memcpy(first, again, sizeof first);
        for (int k = 0; k < RUNS; k++) {
            assert_true(kd_digest_eq(again[k].output, alone[k].output));
            assert_true(kd_digest_eq(again[k].state, alone[k].state));
            assert_true(again[k].judged > EVENTS / 2 && again[k].judged == first[k].judged);
            assert_true(again[k].ndcg > 0 && again[k].ndcg == first[k].ndcg);
        }
    }
    for (int k = 0; k < RUNS; k++)
        kd_config_dispose(&c[k]);
}

/* -- odd sources: scripted --------------------------------------------------------------------- */

typedef struct script {
    int n;
    kd_rc (*step)(int n, kd_record *out);
} script;

static kd_rc next_of_script(void *arg, kd_record *out, kd_arena *scratch, kd_err *err)
{
    script *s = arg;
    char text[2][16];
    int n = s->n++;
    kd_record_init(out, KD_BROWSE);
    snprintf(text[0], sizeof text[0], "u%d", n * 7 % 40);
    snprintf(text[1], sizeof text[1], "i%d", n * 11 % 30);
    assert_int_equal(kd_arena_str(scratch, kd_str_of(text[0]), &out->user_id, err), KD_OK);
    assert_int_equal(kd_arena_str(scratch, kd_str_of(text[1]), &out->item_id, err), KD_OK);
    out->emit = true;
    out->time = out->ts = KD_MS_2000 + n * INT64_C(1000);
    kd_rc rc = s->step(n, out);
    if (rc == KD_EDATA)
        return kd_bad(err, KD_REASON_DECODE, "bad on purpose");
    return rc == KD_OK || rc == KD_END ? rc : kd_fail(err, rc, "on purpose");
}

static kd_source *scripted(script *s)
{
    kd_source *source = NULL;
    kd_memory_options o = {.make = next_of_script, .make_arg = s, .number_pos = true};
    assert_int_equal(kd_memory_source_new(&o, &source, NULL), KD_OK);
    return source;
}

/* One good record, then bad ones for many batches: the epoch stays open all the while. */
static kd_rc mostly_bad(int n, kd_record *out)
{
    (void)out;
    return n >= 12000 ? KD_END : n % 5000 == 3 ? KD_OK : KD_EDATA;
}

static kd_rc with_pauses(int n, kd_record *out)
{
    (void)out;
    return n >= 6000 ? KD_END : n % 977 == 5 ? KD_RETRY : KD_OK;
}

static kd_rc breaks(int n, kd_record *out)
{
    (void)out;
    return n >= 6000 ? KD_EIO : KD_OK;
}

static void test_odd_sources(void **unused)
{
    (void)unused;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        kd_config c[RUNS];
        fate out[RUNS] = {0};
        kd_err err = {0};
        kd_backtest_options o = options(threads);
        configure_all(c);
        script bad = {0, mostly_bad}; /* one run alone: its batches are short */
        assert_int_equal(run_some(scripted(&bad), &c[2], 1, &o, out, &err), KD_OK);
        script pauses = {0, with_pauses};
        assert_int_equal(run_all(scripted(&pauses), c, &o, out, &err), KD_OK);
        assert_true(out[0].judged > 5000 && out[0].judged == out[2].judged);
        script broken = {0, breaks};
        assert_int_equal(run_all(scripted(&broken), c, &o, out, &err), KD_EIO);
        assert_string_equal(err.msg, "on purpose");
        o.max_dead_letters = 10;
        script again = {0, mostly_bad};
        assert_int_equal(run_all(scripted(&again), c, &o, out, &err), KD_EDATA);
        for (int k = 0; k < RUNS; k++)
            kd_config_dispose(&c[k]);
    }
}

static void test_stop(void **unused)
{
    (void)unused;
    kd_config c[RUNS];
    fate out[RUNS] = {0};
    kd_err err = {0};
    volatile int stop = 1;
    kd_backtest_options o = options(2);
    o.stop = &stop;
    configure_all(c);
    assert_int_equal(run_all(generated(), c, &o, out, &err), KD_OK);
    assert_int_equal(out[0].judged, 0); /* nothing to compare: runs were at different places */
    for (int k = 0; k < RUNS; k++)
        kd_config_dispose(&c[k]);
}

static void test_shoppers_must_agree(void **unused)
{
    (void)unused;
    static const char *const user[] = {"shopper=user", NULL}, *const session[] = {"shopper=session",
                                                                                  NULL};
    kd_config c[2];
    kd_err err = {0};
    kd_backtest *b = NULL;
    configure(&c[0], user);
    configure(&c[1], session);
    const kd_config *configs[] = {&c[0], &c[1]};
    kd_backtest_options o = options(1);
    kd_source *source = generated();
    assert_int_equal(kd_backtest_new(&o, source, configs, 2, &b, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "shopper"));
    source->kind->close(source);
    kd_config_dispose(&c[0]);
    kd_config_dispose(&c[1]);
}

int main(void)
{
    const char *z = getenv("KINDRED_SEED");
    seed = z == NULL ? 20261129 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests_are_those_of_replays),
        cmocka_unit_test(test_odd_sources),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_shoppers_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
