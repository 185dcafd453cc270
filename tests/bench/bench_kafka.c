/* bench_kafka.c - through a real broker: a raw copy, the pass-through, the whole pipeline.
 *
 *   bench_kafka [--events 200000] [--reps 3]
 *
 * raw copy      consume, produce the same bytes; and once more with messages of an update's size
 * pass-through  Kindred's source (decoded, checked), one fixed update of the pipeline's size a
 * record, Kindred's sink
 * pipeline      source, state, a list for every event (emit: always), sink
 * All read the same topics and take turns, so that what the machine does beside weighs on all
 * alike. Time runs from the first record in hand to the broker's acknowledgement of the last
 * output; for Kindred from the first event, since its source reads the whole catalogue before, and
 * for the pipeline from the end of the first epoch, in which all products' lists of similar ones
 * are made. Producers are warm. The blend is measured beside user-CF alone in turns of 20,000
 * events, each until its last output is acknowledged. */
#include "bench/broker.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/stream.h"
#include "operators/recommender.h"
#include "topology/pipeline.h"

static const char *const in_topics[] = {"bench-catalog-items", "bench-browse-events",
                                        "bench-purchase-events"};
enum { N_IN = 3 };

/* An update of the average size, and what keeps it alive. */
typedef struct typical {
    kd_recommender *rec;
    kd_reader_space *space;
    kd_arena *arena;
    kd_update update;
    kd_buf bytes;
    double mean;
} typical;

static void answer_for(const typical *t, const kd_record *r, kd_update *out)
{
    kd_err err = {0};
    kd_query q = {.shopper_id = kd_recommender_shopper(t->rec, r),
                  .time = r->time,
                  .item_id = r->item_id,
                  .trigger = r->pos,
                  .event_id = r->event_id};
    bench_must(kd_recommender_answer(t->rec, t->space, &q, t->arena, out, NULL, &err), &err,
               "answer");
}

/* Fills the state with the shop and keeps, of the answers to its last events, the first one whose
 * size is within a hundredth of the mean. */
static void find_typical(typical *t, const bench_shop *shop, int audience)
{
    kd_err err = {0};
    kd_opt_values values;
    *t = (typical){.arena = kd_arena_new(0)};
    bench_options(&values, 50, audience);
    bench_must(kd_recommender_new(&values, &t->rec, &err), &err, "recommender");
    bench_must(kd_reader_space_new(t->rec, &t->space, &err), &err, "reader");
    kd_opt_values_dispose(&values);
    for (size_t i = 0; i < shop->n; i++) {
        kd_applied applied = {0};
        bench_must(kd_recommender_apply(t->rec, &shop->records[i], &applied, &err), &err, "apply");
    }
    bench_must(kd_recommender_prepare(t->rec, &err), &err, "prepare");
    size_t n_events = shop->n - shop->n_catalog, n = n_events < 20000 ? n_events : 20000;
    for (size_t i = shop->n - n; i < shop->n; i++) {
        kd_buf_clear(&t->bytes);
        answer_for(t, &shop->records[i], &t->update);
        kd_update_encode(&t->update, &t->bytes);
        t->mean += (double)t->bytes.n / (double)n;
        kd_arena_reset(t->arena);
    }
    for (size_t i = shop->n - n; i < shop->n; i++) {
        kd_arena_reset(t->arena);
        kd_buf_clear(&t->bytes);
        answer_for(t, &shop->records[i], &t->update);
        kd_update_encode(&t->update, &t->bytes);
        if (fabs((double)t->bytes.n - t->mean) < t->mean / 100) {
            return;
        }
    }
}

static void typical_dispose(typical *t)
{
    kd_buf_dispose(&t->bytes);
    kd_reader_space_free(t->space);
    kd_recommender_free(t->rec);
    kd_arena_free(t->arena);
}

/* Seconds of the clock, and of the calling thread's processor time: what lies between is waiting,
 * for the broker or for a core. Of all threads' processor time, too: what lies between that and the
 * machine's is the broker's. And how many events there were in it. */
typedef struct span {
    double wall, cpu, all;
    int64_t n;
} span;

static span now(void)
{
    return (span){.wall = bench_now(), .cpu = bench_cpu_now(), .all = bench_cpu_all()};
}

static span since(span began)
{
    span x = now();
    return (span){.wall = x.wall - began.wall, .cpu = x.cpu - began.cpu, .all = x.all - began.all};
}

/* Source to sink without state: the time until `n` records have been answered and acknowledged. */
static span pass_through(const bench_shop *shop, const char *to, const kd_update *update)
{
    kd_err err = {0};
    stream s;
    stream_open(&s, "bench-", in_topics, N_IN, to, false);
    span began = {0};
    kd_out out = {.type = KD_OUT_UPDATE, .update = update};
    size_t n_in_hand = 0;
    for (size_t done = s.n_dropped; done < shop->n;) {
        kd_record r;
        if (n_in_hand == 0)
            s.source->kind->serve(s.source);
        kd_rc rc = s.source->kind->next(s.source, &r, &err);
        if (rc == KD_AGAIN || n_in_hand == 512) {
            s.source->kind->release(s.source);
            n_in_hand = 0;
            stream_poll(&s);
        }
        if (rc == KD_AGAIN) {
            stream_wait(&s);
            continue;
        }
        bench_must(rc, &err, "next");
        began = done == shop->n_catalog ? now() : began; /* events come after the catalogue */
        n_in_hand++;
        done++;
        while ((rc = s.sink->kind->write(s.sink, &out, &err)) == KD_AGAIN) {
            stream_poll(&s);
        }
        bench_must(rc, &err, "write");
    }
    stream_flush(&s);
    span took = since(began);
    took.n = (int64_t)(shop->n - shop->n_catalog);
    stream_close(&s);
    return took;
}

typedef struct setting {
    int audience, neighbours, workers;
    const bench_way *way;
} setting;

/* One pipeline on the broker. */
typedef struct live {
    stream s;
    kd_recommender *rec;
    kd_pipeline *p;
    int64_t n_records; /* that it will get */
} live;

static int64_t answers(const live *l)
{
    return kd_pipeline_counts(l->p)->answers;
}

/* Until there have been so many answers, or everything is answered. */
static void run_until(live *l, int64_t n_answers)
{
    kd_err err = {0};
    while (answers(l) < n_answers &&
           (kd_pipeline_counts(l->p)->records < l->n_records || kd_pipeline_blocked(l->p))) {
        kd_rc rc = kd_pipeline_step(l->p, &err);
        stream_poll(&l->s);
        if (rc == KD_AGAIN) {
            stream_wait(&l->s);
        } else {
            bench_must(rc, &err, "step");
        }
    }
}

/* Ready for the second epoch: in the first one the catalogue was read, and all products' lists of
 * similar ones were made. */
static void live_open(live *l, const bench_shop *shop, const char *to, const setting *x)
{
    kd_err err = {0};
    kd_opt_values values;
    *l = (live){0};
    bench_options(&values, x->neighbours, x->audience);
    bench_way_options(&values, x->way);
    bench_must(kd_recommender_new(&values, &l->rec, &err), &err, "recommender");
    kd_opt_values_dispose(&values);
    stream_open(&l->s, "bench-", in_topics, N_IN, to, false);
    kd_pipeline_options o = {.epoch_max = 512,
                             .workers = (uint32_t)x->workers,
                             .drain = true,
                             .emit_always = true,
                             .max_dead_letters = 0};
    bench_must(kd_pipeline_new(&o, l->s.source, l->rec, l->s.sink, &l->p, &err), &err, "pipeline");
    l->n_records = (int64_t)(shop->n - l->s.n_dropped);
    run_until(l, 1);
}

/* The time of so many answers more, until they are acknowledged. */
static span live_run(live *l, int64_t n)
{
    int64_t before = answers(l);
    span began = now();
    run_until(l, n > INT64_MAX - before ? INT64_MAX : before + n);
    stream_flush(&l->s);
    span took = since(began);
    took.n = answers(l) - before;
    return took;
}

static void live_close(live *l, const char *kase, span took)
{
    const kd_counts *c = kd_pipeline_counts(l->p);
    fprintf(stderr, "%s: %lld records in %lld epochs, %lld lists, %.3f s\n", kase,
            (long long)c->records, (long long)c->epochs, (long long)c->answers, took.wall);
    kd_pipeline_free(l->p);
    stream_close(&l->s);
    kd_recommender_free(l->rec);
}

/* One measurement into a topic of its own, which is then gone again. */
typedef struct row {
    char bench[32], kase[96];
    bench_numbers rates, cpus, alls; /* events a second; microseconds an event of the loop's thread,
                                        and of all threads */
} row;

static void add(row *r, const char *bench, const char *kase, span took)
{
    snprintf(r->bench, sizeof r->bench, "%s", bench);
    snprintf(r->kase, sizeof r->kase, "%s", kase);
    bench_numbers_add(&r->rates, (double)took.n / took.wall);
    bench_numbers_add(&r->cpus, took.cpu / (double)took.n * 1e6);
    bench_numbers_add(&r->alls, took.all / (double)took.n * 1e6);
}

static const char *const out_topic[] = {"bench-out"};

static void run_raw(row *r, const bench_shop *shop, const char *kase, const void *p, size_t n)
{
    broker_topics_create(out_topic, 1);
    snprintf(r->bench, sizeof r->bench, "raw copy");
    snprintf(r->kase, sizeof r->kase, "%s", kase);
    bench_numbers_add(&r->rates, (double)shop->n /
                                     broker_raw_copy(in_topics, N_IN, out_topic[0], shop->n, p, n));
    broker_topics_delete(out_topic, 1);
}

static void run_through(row *r, const bench_shop *shop, const char *kase, const kd_update *u)
{
    broker_topics_create(out_topic, 1);
    span took = pass_through(shop, out_topic[0], u);
    fprintf(stderr, "pass-through: %lld messages out, %.3f s\n",
            (long long)broker_count(out_topic[0]), took.wall);
    add(r, "pass-through", kase, took);
    broker_topics_delete(out_topic, 1);
}

static void run_pipeline(row *r, const bench_shop *shop, const setting *x)
{
    char kase[96];
    live l;
    snprintf(kase, sizeof kase, "audience %d, k %d; %d worker%s", x->audience, x->neighbours,
             x->workers, x->workers == 1 ? "" : "s");
    broker_topics_create(out_topic, 1);
    live_open(&l, shop, out_topic[0], x);
    span took = live_run(&l, INT64_MAX);
    add(r, "pipeline", kase, took);
    live_close(&l, kase, took);
    broker_topics_delete(out_topic, 1);
}

enum { TURN = 20000 };

/* All ways are open at once and take turns every TURN events, so that what the machine does beside
 * weighs on all alike. */
static void run_ways(row *r, const bench_shop *shop, int audience, int workers)
{
    live l[BENCH_WAYS];
    span took[BENCH_WAYS] = {{0}};
    broker_topics_create(out_topic, 1);
    for (int w = 0; w < BENCH_WAYS; w++) {
        setting x = {audience, 50, workers, &bench_ways[w]};
        live_open(&l[w], shop, out_topic[0], &x);
    }
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        for (int w = 0; w < BENCH_WAYS; w++) {
            span turn = live_run(&l[w], TURN);
            took[w].wall += turn.wall;
            took[w].cpu += turn.cpu;
            took[w].all += turn.all;
            took[w].n += turn.n;
            goes_on |= turn.n > 0;
        }
    }
    for (int w = 0; w < BENCH_WAYS; w++) {
        char kase[96];
        snprintf(kase, sizeof kase, "audience %d, k 50; %d worker%s, in turns%s%s", audience,
                 workers, workers == 1 ? "" : "s", w == 0 ? "" : "; ",
                 w == 0 ? "" : bench_ways[w].name);
        add(&r[w], "pipeline", kase, took[w]);
        live_close(&l[w], kase, took[w]);
    }
    broker_topics_delete(out_topic, 1);
}

int main(int argc, char **argv)
{
    enum { MAX_ROWS = 24 };
    static const int audiences[] = {100, 500};
    static const setting settings[] = {
        {.neighbours = 50, .workers = 1, .way = &bench_ways[0]},
        {.neighbours = 50, .workers = 2, .way = &bench_ways[0]},
        {.neighbours = 20, .workers = 1, .way = &bench_ways[0]},
    };
    int reps = (int)bench_arg(argc, argv, "--reps", 3);
    bench_shop shop;
    bench_shop_make(&shop, BENCH_SHOPPERS, BENCH_ITEMS, bench_arg(argc, argv, "--events", 200000));
    broker_topics_create(in_topics, N_IN);
    broker_produce_shop(&shop, "bench-");
    row rows[MAX_ROWS] = {0};
    size_t n_rows = 0;
    typical t[2];
    for (int a = 0; a < 2; a++) {
        find_typical(&t[a], &shop, audiences[a]);
    }
    for (int rep = 0; rep < reps; rep++) {
        row *r = rows;
        run_raw(r++, &shop, "", NULL, 0);
        run_raw(r++, &shop, "as large as updates", t[0].bytes.p, t[0].bytes.n);
        for (int a = 0; a < 2; a++) {
            char kase[64];
            snprintf(kase, sizeof kase, "audience %d, k 50", audiences[a]);
            run_through(r++, &shop, kase, &t[a].update);
            for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
                setting x = settings[k];
                x.audience = audiences[a];
                run_pipeline(r++, &shop, &x);
            }
        }
        for (int workers = 1; workers <= 2; workers++, r += BENCH_WAYS)
            run_ways(r, &shop, audiences[1], workers);
        n_rows = (size_t)(r - rows);
    }
    for (size_t i = 0; i < n_rows; i++) {
        bench_result(rows[i].bench, rows[i].kase, "events/s", bench_quantile(&rows[i].rates, 0.5),
                     "1/s", rows[i].rates.n);
        if (rows[i].cpus.n > 0) {
            bench_result(rows[i].bench, rows[i].kase, "of the loop's thread, an event",
                         bench_quantile(&rows[i].cpus, 0.5), "us", rows[i].cpus.n);
            bench_result(rows[i].bench, rows[i].kase, "of all threads, an event",
                         bench_quantile(&rows[i].alls, 0.5), "us", rows[i].alls.n);
        }
        bench_numbers_dispose(&rows[i].rates);
        bench_numbers_dispose(&rows[i].cpus);
        bench_numbers_dispose(&rows[i].alls);
    }
    for (int a = 0; a < 2; a++) {
        char kase[64];
        snprintf(kase, sizeof kase, "audience %d, k 50", audiences[a]);
        bench_result("update", kase, "mean size", t[a].mean, "bytes", 20000);
        typical_dispose(&t[a]);
    }
    bench_result("memory", "bench_kafka", "peak of the process", bench_peak_bytes(), "bytes", 1);
    broker_topics_delete(in_topics, N_IN);
    bench_shop_dispose(&shop);
    return 0;
}
