/* The epoch on a memory source and a memory sink: where it is cut and what is answered, against a
 * slow twin that works on the whole record list; the same bytes for any number of workers, and with
 * a sink that is full again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "consumers/sources.h"
#include "sinks/sinks.h"
#include "topology/pipeline.h"

enum { N = 400 };

typedef struct world {
    kd_memory_step step[N];
    char shopper[N][8], item[N][8], order[N][8];
} world;

static uint64_t seed_of(void)
{
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 42 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    return seed;
}

static void make(world *w, kd_rng *rng, int shoppers)
{
    memset(w, 0, sizeof *w);
    kd_ms time = 1700000000000;
    for (int k = 0; k < N; k++) {
        kd_memory_step *s = &w->step[k];
        int dice = (int)kd_rng_below(rng, 100);
        kd_record_type type = dice < 3    ? KD_FORGET
                              : dice < 8  ? KD_CATALOG
                              : dice < 50 ? KD_PURCHASE
                                          : KD_BROWSE;
        kd_record *r = &s->record;
        kd_record_init(r, type);
        /* Shoppers come in runs, so that units of several records are common. */
        if (k > 0 && kd_rng_below(rng, 2) == 0)
            memcpy(w->shopper[k], w->shopper[k - 1], 8);
        else
            snprintf(w->shopper[k], 8, "u%d", (int)kd_rng_below(rng, (uint64_t)shoppers));
        snprintf(w->item[k], 8, "i%d", (int)kd_rng_below(rng, 30));
        snprintf(w->order[k], 8, "o%d", (int)kd_rng_below(rng, 3));
        if (kd_rng_below(rng, 3) > 0)
            time += (kd_ms)kd_rng_below(rng, 3) * 1000;
        /* some are a minute or two late */
        r->time = r->ts = time - (kd_rng_below(rng, 15) == 0 ? 90000 : 0);
        r->emit = kd_rng_below(rng, 20) > 0;
        r->action = type == KD_PURCHASE ? KD_PAID : (kd_action)kd_rng_below(rng, 3);
        if (type != KD_CATALOG)
            r->user_id = kd_str_of(w->shopper[k]);
        if (type != KD_FORGET)
            r->item_id = kd_str_of(w->item[k]);
        if (type == KD_PURCHASE && kd_rng_below(rng, 4) > 0)
            r->order_id = kd_str_of(w->order[k]);
        r->pos = (kd_pos){"memory", 0, k};
        if (kd_rng_below(rng, 25) == 0) {
            s->rc = KD_EDATA;
            s->reason = KD_REASON_FIELD;
        } else if (kd_rng_below(rng, 40) == 0 && type != KD_CATALOG && type != KD_FORGET) {
            r->user_id = KD_STR_NULL; /* no shopper: a dead letter found by the pipeline */
        }
    }
}

static bool is_event(const kd_record *r)
{
    return r->type == KD_BROWSE || r->type == KD_PURCHASE;
}

static bool is_good_event(const world *w, int k)
{
    const kd_record *r = &w->step[k].record;
    return w->step[k].rc != KD_EDATA && is_event(r) && r->user_id.p != NULL;
}

static bool is_good(const world *w, int k)
{
    const kd_record *r = &w->step[k].record;
    return w->step[k].rc != KD_EDATA && (!is_event(r) || r->user_id.p != NULL);
}

/* True if record k is more than the rate_max-th of its shopper's newest minute so far, of those
 * that are to be answered. */
static bool is_over(const world *w, int k, int rate_max)
{
    int64_t minute = INT64_MIN;
    int n = 0;
    for (int j = 0; j <= k; j++) {
        if (!is_good_event(w, j) || !w->step[j].record.emit ||
            strcmp(w->shopper[j], w->shopper[k]) != 0)
            continue;
        int64_t m = w->step[j].record.time / 60000;
        if (m > minute) {
            minute = m;
            n = 0;
        }
        n += m == minute;
    }
    return rate_max > 0 && is_good_event(w, k) && w->step[k].record.emit &&
           w->step[k].record.time / 60000 == minute && n > rate_max;
}

/* The rule of pipeline.h on the whole list: *out gets the offsets answered, in order. */
static int twin(const world *w, int epoch_max, int rate_max, int *out)
{
    int n = 0, in_epoch = 0, first_of_epoch = 0, last = -1; /* last good record */
    int answer_of_unit[N], unit_of[N];                      /* by the unit's first record */
    for (int k = 0; k < N; k++) {
        const kd_record *r = &w->step[k].record;
        if (!is_good(w, k))
            continue;
        int back = -1; /* the shopper's last event in this epoch, since one is to be answered */
        bool is_asked = false;
        for (int j = first_of_epoch; j < k; j++) {
            is_asked |= is_good(w, j) && w->step[j].record.emit;
            if (is_asked && is_good_event(w, j) && r->type != KD_CATALOG &&
                strcmp(w->shopper[j], w->shopper[k]) == 0)
                back = j;
        }
        /* The unit is broken by a forget request, and not by a catalogue record, which is nobody's.
         */
        bool continues = false;
        if (last >= first_of_epoch && is_event(r)) {
            const kd_record *o = &w->step[last].record;
            continues = is_event(o) && strcmp(w->shopper[last], w->shopper[k]) == 0 &&
                        (o->time == r->time || (o->order_id.p != NULL && r->order_id.p != NULL &&
                                                strcmp(w->order[last], w->order[k]) == 0));
        }
        bool joins = back >= 0 && is_over(w, k, rate_max);
        if (in_epoch == epoch_max || (back >= 0 && !continues && !joins)) {
            first_of_epoch = k;
            in_epoch = 0;
            continues = joins = false;
        }
        in_epoch++;
        if (r->type == KD_CATALOG)
            continue;
        if (is_event(r)) {
            answer_of_unit[k] = -1;
            int unit = continues ? unit_of[last] : joins ? unit_of[back] : k;
            unit_of[k] = unit;
            bool is_refused = false; /* behind the tombstone of an earlier forget request */
            for (int j = 0; j < k; j++)
                is_refused |= w->step[j].rc != KD_EDATA && w->step[j].record.type == KD_FORGET &&
                              strcmp(w->shopper[j], w->shopper[k]) == 0 &&
                              r->time <= w->step[j].record.time;
            if (r->emit && !is_refused) {
                if (answer_of_unit[unit] < 0)
                    answer_of_unit[unit] = n++;
                out[answer_of_unit[unit]] = k;
            }
        }
        last = k;
    }
    return n;
}

typedef struct result {
    char *text; /* owned */
    kd_counts counts;
    kd_digest state;
} result;

static kd_recommender *recommender(void)
{
    kd_opt_values v = {0};
    kd_err err = {0};
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    kd_recommender *r = NULL;
    assert_int_equal(kd_recommender_new(&v, &r, &err), KD_OK);
    kd_opt_values_dispose(&v);
    return r;
}

typedef struct mode {
    bool is_on_change, takes_encoded;
} mode;

static result run_as(const world *w, uint32_t epoch_max, uint32_t workers, int rate_max,
                     kd_rng *full, mode m)
{
    kd_err err = {0};
    kd_memory_options mo = {.steps = w->step, .n_steps = N};
    kd_source *source = NULL;
    kd_sink *sink = NULL;
    kd_pipeline *p = NULL;
    kd_recommender *rec = recommender();
    assert_int_equal(kd_memory_source_new(&mo, &source, &err), KD_OK);
    assert_int_equal(kd_memory_sink_new(&sink, &err), KD_OK);
    if (m.takes_encoded)
        assert_int_equal(kd_memory_sink_take_encoded(sink, &err), KD_OK);
    assert_int_equal(source->kind->start(source, &err), KD_OK);
    kd_pipeline_options po = {.epoch_max = epoch_max,
                              .workers = workers,
                              .rate_max = rate_max,
                              .emit_always = !m.is_on_change,
                              .max_dead_letters = -1};
    assert_int_equal(kd_pipeline_new(&po, source, rec, sink, &p, &err), KD_OK);
    kd_rc rc;
    do {
        if (full != NULL && kd_rng_below(full, 3) == 0)
            kd_memory_sink_refuse(sink, 1 + kd_rng_below(full, 4), 1 + kd_rng_below(full, 3),
                                  KD_AGAIN);
        rc = kd_pipeline_step(p, &err);
        assert_true(full != NULL || rc != KD_AGAIN);
    } while (rc == KD_OK || rc == KD_AGAIN);
    if (rc != KD_END)
        fail_msg("%s: %s", kd_rc_name(rc), err.msg);
    kd_str text = kd_memory_sink_text(sink);
    result x = {.counts = *kd_pipeline_counts(p), .state = kd_recommender_digest(rec)};
    x.text = calloc(text.n + 1, 1);
    memcpy(x.text, text.p, text.n);
    kd_pipeline_free(p);
    source->kind->close(source);
    sink->kind->close(sink);
    kd_recommender_free(rec);
    return x;
}

static result run(const world *w, uint32_t epoch_max, uint32_t workers, int rate_max, kd_rng *full)
{
    return run_as(w, epoch_max, workers, rate_max, full, (mode){0});
}

/* The offsets of the updates in the text, in order. */
static int answered(const char *text, int *out)
{
    int n = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "{\"shopper_id\"", 13) != 0)
            continue;
        const char *end = strchr(line, '\n'), *at = strstr(line, "\"offset\":");
        if (at != NULL && at < end && strstr(line, "\"items\":") != NULL)
            out[n++] = (int)strtol(at + 9, NULL, 10);
    }
    return n;
}

static void test_cut_equals_twin(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of());
    static world w;
    int64_t over_rate = 0;
    for (int round = 0; round < 60; round++) {
        int epoch_max = round % 3 == 0 ? 512 : 1 + (int)kd_rng_below(&rng, 20);
        make(&w, &rng, 3 + (int)kd_rng_below(&rng, 20));
        int want[N], got[N];
        int rate_max = round % 2 == 0 ? 0 : 1 + (int)kd_rng_below(&rng, 8);
        int n_want = twin(&w, epoch_max, rate_max, want);
        result x = run(&w, (uint32_t)epoch_max, 1, rate_max, NULL);
        int n_got = answered(x.text, got);
        assert_int_equal(n_got, n_want);
        for (int k = 0; k < n_want; k++)
            assert_int_equal(got[k], want[k]);
        const kd_counts *c = &x.counts;
        assert_int_equal(c->records, N);
        assert_int_equal(c->records, c->views + c->likes + c->carts + c->paid + c->cancelled +
                                         c->catalog + c->forgets + c->dead_letters);
        assert_int_equal(c->answers, n_want);
        assert_true(rate_max > 0 || c->over_rate == 0);
        over_rate += c->over_rate;
        free(x.text);
    }
    assert_true(over_rate > 100);
}

/* One shopper in every second record: with a limit its epochs are as long as without it, nobody
 * else's answers change, and its last answer is the same. */
static void test_a_bot_does_not_cut_epochs_short(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of() + 2);
    static world w;
    make(&w, &rng, 100000);
    for (int k = 0; k < N; k++) {
        kd_record *r = &w.step[k].record;
        w.step[k].rc = KD_OK;
        kd_record_init(r, KD_BROWSE);
        snprintf(w.shopper[k], 8, k % 2 == 0 ? "bot" : "u%d", k);
        r->user_id = kd_str_of(w.shopper[k]);
        r->item_id = kd_str_of(w.item[k]);
        r->pos = (kd_pos){"memory", 0, k};
        r->time = r->ts = 1700000000000 + k;
        r->emit = true;
    }
    result free_of_it = run(&w, 64, 1, 0, NULL), limited = run(&w, 64, 1, 5, NULL);
    assert_true(kd_digest_eq(free_of_it.state, limited.state));
    assert_true(free_of_it.counts.epochs > N / 3);
    assert_true(limited.counts.epochs <= 5 + N / 64 + 1);
    assert_int_equal(limited.counts.answers, N / 2 + limited.counts.epochs);
    assert_int_equal(limited.counts.over_rate, N / 2 - limited.counts.epochs);
    int got[N];
    int n = answered(limited.text, got), last_of_bot = 0;
    for (int k = 0; k < n; k++)
        last_of_bot = got[k] % 2 == 0 && got[k] > last_of_bot ? got[k] : last_of_bot;
    assert_int_equal(last_of_bot, (N - 1) / 2 * 2);
    free(free_of_it.text);
    free(limited.text);
}

static void test_workers_and_full_sink_change_no_byte(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of() + 1);
    static world w;
    for (int round = 0; round < 20; round++) {
        make(&w, &rng, 40);
        result one = run(&w, 64, 1, 3, NULL), two = run(&w, 64, 2, 3, NULL),
               eight = run(&w, 64, 8, 3, NULL);
        result full = run(&w, 64, 2, 3, &rng);
        assert_string_equal(one.text, two.text);
        assert_string_equal(one.text, eight.text);
        assert_string_equal(one.text, full.text);
        assert_true(kd_digest_eq(one.state, full.state));
        free(one.text);
        free(two.text);
        free(eight.text);
        free(full.text);
    }
}

/* Of a sink that takes bytes the workers keep nothing else of a list. */
static void test_a_sink_of_bytes_gets_the_same(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of() + 2);
    static world w;
    int64_t unchanged = 0;
    for (int round = 0; round < 40; round++) {
        make(&w, &rng, 40);
        const bool is_on_change = round % 2 == 0;
        const uint32_t workers = 1 + (uint32_t)kd_rng_below(&rng, 3);
        result as_lists = run_as(&w, 64, workers, 3, NULL, (mode){is_on_change, false});
        result as_bytes = run_as(&w, 64, workers, 3, &rng, (mode){is_on_change, true});
        assert_string_equal(as_lists.text, as_bytes.text);
        unchanged += as_bytes.counts.answers - as_bytes.counts.updates;
        assert_true(is_on_change || as_bytes.counts.answers == as_bytes.counts.updates);
        free(as_lists.text);
        free(as_bytes.text);
    }
    assert_true(unchanged > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_equals_twin),
        cmocka_unit_test(test_a_bot_does_not_cut_epochs_short),
        cmocka_unit_test(test_workers_and_full_sink_change_no_byte),
        cmocka_unit_test(test_a_sink_of_bytes_gets_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
