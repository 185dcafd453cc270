/* The live loop on a memory source that has nothing for a while: a wake-up from another thread, an
 * orderly stop, a transient failure that is waited for, positions that follow the sink. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/sources.h"
#include "sinks/sinks.h"
#include "topology/run.h"

typedef struct setup {
    kd_source *source;
    kd_sink *sink;
    kd_recommender *rec;
    kd_pipeline *pipeline;
    kd_run *run;
    int notices;
} setup;

static void on_notice(void *arg, const char *text)
{
    ((setup *)arg)->notices += text[0] != '\0';
}

static kd_memory_step step_of(int n)
{
    static const char *const users[] = {"a", "b", "c"};
    kd_memory_step s = {.rc = KD_OK};
    kd_record_init(&s.record, KD_BROWSE);
    s.record.user_id = kd_str_of(users[n % 3]);
    s.record.item_id = kd_str_of("i");
    s.record.time = s.record.ts = 1700000000000 + n * 1000;
    s.record.emit = true;
    s.record.pos = (kd_pos){"memory", 0, n};
    return s;
}

static void open_setup(setup *x, const kd_memory_step *steps, size_t n, bool is_live)
{
    kd_err err = {0};
    kd_opt_values v = {0};
    memset(x, 0, sizeof *x);
    kd_memory_options mo = {.steps = steps, .n_steps = n, .is_live = is_live};
    assert_int_equal(kd_memory_source_new(&mo, &x->source, &err), KD_OK);
    assert_int_equal(x->source->kind->start(x->source, &err), KD_OK);
    assert_int_equal(kd_memory_sink_new(&x->sink, &err), KD_OK);
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    assert_int_equal(kd_recommender_new(&v, &x->rec, &err), KD_OK);
    kd_opt_values_dispose(&v);
    kd_pipeline_options po = {
        .epoch_max = 512, .workers = 2, .drain = true, .emit_always = true, .max_dead_letters = -1};
    assert_int_equal(kd_pipeline_new(&po, x->source, x->rec, x->sink, &x->pipeline, &err), KD_OK);
    kd_run_options o = {.commit_interval_ms = 1, .on_notice = on_notice, .notice_arg = x};
    assert_int_equal(kd_run_new(&o, x->pipeline, x->source, x->sink, &x->run, &err), KD_OK);
}

static void close_setup(setup *x)
{
    kd_run_free(x->run);
    kd_pipeline_free(x->pipeline);
    x->sink->kind->close(x->sink);
    x->source->kind->close(x->source);
    kd_recommender_free(x->rec);
}

static void test_runs_to_the_end_through_a_transient_failure(void **unused)
{
    (void)unused;
    /* Said twice: the first time there is a record to answer before anything is waited for. */
    const kd_memory_step away = {.rc = KD_RETRY, .msg = "the registry is away"};
    kd_memory_step steps[] = {step_of(0), away, away, step_of(1), {.rc = KD_AGAIN}, step_of(2)};
    setup x;
    kd_err err = {0};
    open_setup(&x, steps, 6, false);
    assert_int_equal(kd_run_loop(x.run, &err), KD_OK);
    assert_int_equal(kd_pipeline_counts(x.pipeline)->updates, 3);
    assert_int_equal(x.notices, 2); /* away, and back: once each */
    kd_memory_seen seen;
    kd_memory_source_seen(x.source, &seen);
    assert_true(seen.commits > 0);
    close_setup(&x);
}

static void *stop_later(void *arg)
{
    kd_run_stop(((setup *)arg)->run);
    return NULL;
}

static void test_stop_from_another_thread(void **unused)
{
    (void)unused;
    kd_memory_step steps[] = {step_of(0), step_of(1)};
    setup x;
    kd_err err = {0};
    open_setup(&x, steps, 2, true);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_later, &x), 0);
    assert_int_equal(kd_run_loop(x.run, &err), KD_OK);
    pthread_join(thread, NULL);
    const kd_counts *c = kd_pipeline_counts(x.pipeline);
    assert_int_equal(c->answers, c->views); /* what was taken was answered */
    close_setup(&x);
}

static void test_a_lasting_failure_ends_it(void **unused)
{
    (void)unused;
    kd_memory_step steps[] = {step_of(0), {.rc = KD_EIO, .msg = "gone"}};
    setup x;
    kd_err err = {0};
    open_setup(&x, steps, 2, false);
    assert_int_equal(kd_run_loop(x.run, &err), KD_EIO);
    assert_string_equal(err.msg, "gone");
    close_setup(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_to_the_end_through_a_transient_failure),
        cmocka_unit_test(test_stop_from_another_thread),
        cmocka_unit_test(test_a_lasting_failure_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
