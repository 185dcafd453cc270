/* The committer's protocol with a transactional sink, outcome by outcome: one transaction at a
 * time; an aborted one is marked again; an unknown one is dropped and the source looks before
 * anything else is committed; a revoke commits with the last words, or drops when it is too late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/sources.h"
#include "sinks/sinks.h"
#include "topology/commit.h"

/* -- a source and a sink that say what was asked of them -----------------------------------------
 */

typedef struct fake {
    kd_source source;
    kd_sink sink;
    char said[400]; /* one letter a call */
    const kd_rc *outcomes;
    int at;
    uint64_t acked;
    int refusals; /* commits that do not begin at once */
    void (*revoke)(void *arg, bool is_lost);
    void *revoke_arg;
    kd_pos pos;
} fake;

static fake *of_source(const kd_source *s)
{
    return (fake *)(uintptr_t)((const char *)s - offsetof(fake, source));
}

static fake *of_sink(const kd_sink *s)
{
    return (fake *)(uintptr_t)((const char *)s - offsetof(fake, sink));
}

static void say(fake *f, char c)
{
    size_t n = strlen(f->said);
    assert_true(n + 1 < sizeof f->said);
    f->said[n] = c;
}

static void mark(kd_source *s, const kd_pos *pending)
{
    (void)pending;
    say(of_source(s), 'm');
}

static kd_rc take_mark(kd_source *s, bool is_last, kd_mark *out, kd_err *err)
{
    fake *f = of_source(s);
    (void)err;
    say(f, is_last ? 'L' : 't');
    *out = (kd_mark){
        .pos = &f->pos, .n = 1, .note = is_last ? "" : "me", .group = "g", .group_len = 1};
    return KD_OK;
}

static void settle(kd_source *s)
{
    say(of_source(s), 's');
}

static kd_rc resync(kd_source *s, kd_err *err)
{
    (void)err;
    say(of_source(s), 'r');
    return KD_OK;
}

static void set_revoke(kd_source *s, void (*revoke)(void *arg, bool is_lost), void *arg)
{
    of_source(s)->revoke = revoke;
    of_source(s)->revoke_arg = arg;
}

static kd_rc commit(kd_sink *s, const kd_commit *c, kd_err *err)
{
    fake *f = of_sink(s);
    if (f->refusals-- > 0)
        return kd_fail(err, KD_AGAIN, "not yet");
    assert_int_equal(c->n, 1);
    say(f, c->note[0] == '\0' ? 'C' : 'c');
    return KD_OK;
}

static kd_rc committed(kd_sink *s, bool wait, kd_err *err)
{
    fake *f = of_sink(s);
    (void)wait;
    kd_rc rc = f->outcomes[f->at++];
    return rc == KD_OK ? KD_OK : kd_fail(err, rc, "as told");
}

static kd_rc drop(kd_sink *s, kd_err *err)
{
    (void)err;
    say(of_sink(s), 'd');
    return KD_OK;
}

static kd_rc poll(kd_sink *s, kd_err *err)
{
    (void)s;
    (void)err;
    return KD_OK;
}

static uint64_t acked(const kd_sink *s)
{
    return of_sink(s)->acked;
}

static const kd_source_kind source_kind = {.name = "fake",
                                           .mark = mark,
                                           .take_mark = take_mark,
                                           .settle = settle,
                                           .resync = resync,
                                           .set_revoke = set_revoke};
static const kd_sink_kind sink_kind = {.name = "fake",
                                       .poll = poll,
                                       .acked = acked,
                                       .commit = commit,
                                       .committed = committed,
                                       .drop = drop};

typedef struct setup {
    fake f;
    kd_source *memory;
    kd_sink *null;
    kd_recommender *rec;
    kd_pipeline *pipeline;
    kd_committer c;
    int notices;
} setup;

static void on_notice(void *arg, const char *text)
{
    ((setup *)arg)->notices += text[0] != '\0';
}

static void open_setup(setup *x, const kd_rc *outcomes)
{
    kd_err err = {0};
    kd_opt_values v = {0};
    memset(x, 0, sizeof *x);
    x->f.source.kind = &source_kind;
    x->f.sink.kind = &sink_kind;
    x->f.outcomes = outcomes;
    x->f.pos = (kd_pos){"t", 0, 5};
    kd_memory_options mo = {.is_live = true};
    assert_int_equal(kd_memory_source_new(&mo, &x->memory, &err), KD_OK);
    assert_int_equal(kd_memory_sink_new(&x->null, &err), KD_OK);
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    assert_int_equal(kd_recommender_new(&v, &x->rec, &err), KD_OK);
    kd_opt_values_dispose(&v);
    kd_pipeline_options po = {.epoch_max = 8, .workers = 1, .drain = true, .max_dead_letters = -1};
    assert_int_equal(kd_pipeline_new(&po, x->memory, x->rec, x->null, &x->pipeline, &err), KD_OK);
    kd_committer_init(&x->c, x->pipeline, &x->f.source, &x->f.sink, on_notice, x);
}

static void close_setup(setup *x)
{
    kd_pipeline_free(x->pipeline);
    kd_recommender_free(x->rec);
    x->null->kind->close(x->null);
    x->memory->kind->close(x->memory);
}

static void tick(setup *x, int n)
{
    kd_err err = {0};
    for (int k = 0; k < n; k++)
        assert_int_equal(kd_committer_tick(&x->c, &err), KD_OK);
}

/* -- the tests ------------------------------------------------------------------------------------
 */

static void test_one_at_a_time(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_AGAIN, KD_AGAIN, KD_OK, KD_OK};
    setup x;
    open_setup(&x, outcomes);
    tick(&x, 1);
    assert_string_equal(x.f.said, "mtc");
    tick(&x, 2); /* under way: nothing is marked */
    assert_string_equal(x.f.said, "mtc");
    tick(&x, 1);
    assert_string_equal(x.f.said, "mtcsmtc");
    assert_int_equal(x.notices, 0);
    close_setup(&x);
}

static void test_aborted_is_marked_again(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_RETRY, KD_RETRY, KD_OK};
    setup x;
    open_setup(&x, outcomes);
    tick(&x, 4);
    assert_string_equal(x.f.said, "mtcmtcmtcsmtc"); /* settled once, after the third */
    assert_int_equal(x.notices, 2);                 /* it began, and it is over */
    close_setup(&x);
}

static void test_unknown_is_looked_up_first(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_END, KD_OK};
    setup x;
    open_setup(&x, outcomes);
    tick(&x, 2);
    assert_string_equal(x.f.said, "mtcdr"); /* dropped, looked up; not settled, nothing committed */
    tick(&x, 1);
    assert_string_equal(x.f.said, "mtcdrmtc");
    close_setup(&x);
}

static void test_lasting_failure_ends_it(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_EIO};
    setup x;
    kd_err err = {0};
    open_setup(&x, outcomes);
    tick(&x, 1);
    assert_int_equal(kd_committer_tick(&x.c, &err), KD_EIO);
    assert_string_equal(err.msg, "as told");
    close_setup(&x);
}

static void test_revoke_waits_and_says_the_last_words(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_AGAIN, KD_OK, KD_AGAIN, KD_RETRY, KD_OK};
    setup x;
    open_setup(&x, outcomes);
    tick(&x, 1);
    x.f.refusals = 1;
    x.f.revoke(x.f.revoke_arg, false);
    /* the one under way; one that does not begin, one that is aborted, and the one that counts */
    assert_string_equal(x.f.said, "mtcsmLmLCmLCs");
    close_setup(&x);
}

static void test_lost_partitions_drop_what_is_open(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_OK};
    setup x;
    open_setup(&x, outcomes);
    tick(&x, 1);
    x.f.revoke(x.f.revoke_arg, true);
    assert_string_equal(x.f.said, "mtcd");
    close_setup(&x);
}

static void test_revoke_after_an_unknown_outcome_drops(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_END};
    setup x;
    open_setup(&x, outcomes);
    tick(&x, 1);
    x.f.revoke(x.f.revoke_arg, false);
    assert_string_equal(x.f.said, "mtcd"); /* the next owner looks; nothing is committed by us */
    close_setup(&x);
}

static void test_end_after_an_unknown_outcome(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_END};
    setup x;
    kd_err err = {0};
    open_setup(&x, outcomes);
    tick(&x, 1);
    assert_int_equal(kd_committer_end(&x.c, 10000, &err), KD_OK);
    assert_string_equal(x.f.said, "mtc"); /* nothing more: the next owner answers */
    assert_int_equal(x.notices, 1);
    close_setup(&x);
}

static void test_end_commits_the_last(void **unused)
{
    (void)unused;
    const kd_rc outcomes[] = {KD_OK, KD_AGAIN, KD_OK};
    setup x;
    kd_err err = {0};
    open_setup(&x, outcomes);
    tick(&x, 1);
    assert_int_equal(kd_committer_end(&x.c, 10000, &err), KD_OK);
    assert_string_equal(x.f.said, "mtcsmLCs");
    close_setup(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_aborted_is_marked_again),
        cmocka_unit_test(test_unknown_is_looked_up_first),
        cmocka_unit_test(test_lasting_failure_ends_it),
        cmocka_unit_test(test_revoke_waits_and_says_the_last_words),
        cmocka_unit_test(test_lost_partitions_drop_what_is_open),
        cmocka_unit_test(test_revoke_after_an_unknown_outcome_drops),
        cmocka_unit_test(test_end_after_an_unknown_outcome),
        cmocka_unit_test(test_end_commits_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
