/* Shoppers' needs as an output: published when their names change, not when weights fade; nulls
 * when a shopper is forgotten, after which the same needs are news again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/sources.h"
#include "operators/recommender.h"
#include "sinks/sinks.h"
#include "topology/pipeline.h"

enum { N = 8 };

static void make(kd_memory_step *step)
{
    static const struct {
        kd_record_type type;
        const char *item, *title;
    } rows[N] = {{KD_CATALOG, "lamp", "oak lamp"}, {KD_CATALOG, "desk", "steel desk"},
                 {KD_BROWSE, "lamp", NULL},        {KD_BROWSE, "lamp", NULL},
                 {KD_BROWSE, "desk", NULL},        {KD_FORGET, NULL, NULL},
                 {KD_BROWSE, "none", NULL},        {KD_BROWSE, "lamp", NULL}};
    memset(step, 0, N * sizeof *step);
    for (int k = 0; k < N; k++) {
        kd_record *r = &step[k].record;
        kd_record_init(r, rows[k].type);
        r->item_id = kd_str_of(rows[k].item);
        r->title = kd_str_of(rows[k].title);
        r->user_id = rows[k].type == KD_CATALOG ? KD_STR_NULL : kd_str_of("ann");
        r->time = r->ts = 1700000000000 + k * 86400000LL;
        r->pos = (kd_pos){"memory", 0, k};
        r->emit = true;
    }
}

/* Needs of every event, from these steps into memory. */
typedef struct bench {
    kd_opt_values v;
    kd_recommender *r;
    kd_source *source;
    kd_sink *sink;
    kd_pipeline *p;
} bench;

static void open_bench(bench *b, const kd_memory_step *step, size_t n, bool emit_always)
{
    kd_err err = {0};
    *b = (bench){0};
    assert_int_equal(kd_opt_values_add(&b->v, kd_recommender_opts(), &err), KD_OK);
    assert_int_equal(kd_opt_set(&b->v, "content", "on", "test", &err), KD_OK);
    assert_int_equal(kd_recommender_new(&b->v, &b->r, &err), KD_OK);
    kd_memory_options mo = {.steps = step, .n_steps = n};
    assert_int_equal(kd_memory_source_new(&mo, &b->source, &err), KD_OK);
    assert_int_equal(kd_memory_sink_new(&b->sink, &err), KD_OK);
    assert_int_equal(b->source->kind->start(b->source, &err), KD_OK);
    assert_int_equal(b->sink->kind->start(b->sink, &err), KD_OK);
    kd_pipeline_options po = {.epoch_max = 1,
                              .workers = 1,
                              .has_needs = true,
                              .emit_always = emit_always,
                              .max_dead_letters = -1};
    assert_int_equal(kd_pipeline_new(&po, b->source, b->r, b->sink, &b->p, &err), KD_OK);
}

static void close_bench(bench *b)
{
    kd_pipeline_free(b->p);
    b->source->kind->close(b->source);
    b->sink->kind->close(b->sink);
    kd_recommender_free(b->r);
    kd_opt_values_dispose(&b->v);
}

static void test_what_is_published(void **unused)
{
    (void)unused;
    kd_memory_step step[N];
    make(step);
    bench b;
    kd_err err = {0};
    open_bench(&b, step, N, true);
    kd_pipeline *p = b.p;
    /* The third needs find the sink full and come again. */
    kd_memory_sink_refuse(b.sink, 5, 2, KD_AGAIN);
    kd_rc rc;
    while ((rc = kd_pipeline_step(p, &err)) == KD_OK || rc == KD_AGAIN)
        ;
    assert_int_equal(rc, KD_END);
    assert_int_equal(kd_pipeline_counts(p)->needs, 3);
    assert_int_equal(kd_pipeline_counts(p)->updates, 5);
    kd_str text = kd_memory_sink_text(b.sink);
    char *all = strndup(text.p, text.n), *first = strstr(all, "\"products\":1,");
    assert_non_null(first);
    char *both = strstr(first, "\"products\":2,");
    assert_non_null(both);
    char *forgotten = strstr(both, "\"forgotten\":true");
    assert_non_null(forgotten);
    assert_non_null(strstr(forgotten, "\"products\":1,"));
    assert_non_null(strstr(first, "\"terms\":[{\"name\":\"lamp\",\"weight\":"));
    free(all);
    close_bench(&b);
}

/* A forget request that reaches nothing, or not all, still leaves a null: what comes next of the
 * shopper is published, though it is what was published before the null. */
static void test_what_follows_a_null(void **unused)
{
    (void)unused;
    enum { DAYS = 7, FORGET = 5 };
    static const char *const who[DAYS] = {"ann", "bob", "bob", "ann", "ann", "ann", "ann"};
    static const char *const item[DAYS] = {"lamp", "lamp", "desk", "lamp", "lamp", NULL, "lamp"};
    static const int64_t updates[DAYS] = {1, 2, 3, 4, 4, 4, 5};
    kd_memory_step step[DAYS + 2] = {{.rc = KD_OK}};
    for (int k = 0; k < DAYS + 2; k++) {
        int day = k < 2 ? 0 : k - 2;
        kd_record *r = &step[k].record;
        kd_record_init(r, k < 2 ? KD_CATALOG : day == FORGET ? KD_FORGET : KD_BROWSE);
        r->item_id = kd_str_of(k == 0 ? "lamp" : k == 1 ? "desk" : item[day]);
        r->title = k < 2 ? kd_str_of("oak") : KD_STR_NULL;
        r->user_id = k < 2 ? KD_STR_NULL : kd_str_of(who[day]);
        r->time = 1700000000000 + (day == FORGET ? -1 : day) * 86400000LL;
        r->ts = 1700000000000 + k * 86400000LL;
        r->pos = (kd_pos){"memory", 0, k};
        r->emit = true;
    }
    bench b;
    kd_err err = {0};
    open_bench(&b, step, DAYS + 2, false);
    kd_pipeline *p = b.p;
    for (kd_rc rc = KD_OK; rc != KD_END;) {
        rc = kd_pipeline_step(p, &err);
        const kd_counts *c = kd_pipeline_counts(p);
        const kd_pos *pending;
        if (kd_pipeline_between(p, &pending) && c->answers + c->forgets > 0)
            assert_int_equal(c->updates, updates[c->answers + c->forgets - 1]);
    }
    assert_int_equal(kd_pipeline_counts(p)->answers, DAYS - 1);
    assert_int_equal(kd_pipeline_counts(p)->needs, 3); /* ann, bob, ann again */
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_published),
                                       cmocka_unit_test(test_what_follows_a_null)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
