/* bench_latency.c - from event to update at a steady rate, through a real broker.
 *
 *   bench_latency [--rate 1000] [--seconds 20] [--audience 100]
 *
 * The state is the whole shop's (200,000 events, read first and not answered); the loop is the one
 * of `kindred run`, at-least-once, committing every 100 ms. A sender hands over one event each
 * 1/rate seconds by the clock, whatever becomes of them; latency runs from the time an event was
 * *due* to the moment a consumer of the output topic holds its update. So a pause counts for every
 * event that fell into it (no coordinated omission). The first two seconds are warm-up and not
 * counted.
 *
 * Threads: main runs the loop; `send` and `collect` have clients of their own. */
#include "bench/broker.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/stream.h"
#include "topology/run.h"

enum { WARM_UP_S = 2, GIVE_UP_S = 20 };

static const char *const in_topics[] = {"lat-catalog-items", "lat-browse-events",
                                        "lat-purchase-events"};
static const char *const out_topic[] = {"lat-out"};

typedef struct load {
    const bench_shop *shop;
    size_t n;     /* events to send */
    double gap;   /* seconds between two of them */
    double *due;  /* [n], set by the sender before the event goes out */
    double *took; /* [n], NaN until its update has come */
    kd_run *run;
    _Atomic int is_ready; /* the state is there, the group's partitions are ours */
    _Atomic int is_sent;
    double late; /* the most that the sender itself was late, seconds */
} load;

static void sleep_until(double t)
{
    struct timespec at = {.tv_sec = (time_t)t};
    at.tv_nsec = (long)((t - (double)at.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) {
    }
}

/* The i-th event to send: one of the shop's, at a time of its own after all the others. */
static kd_record event_of(const load *l, size_t i, char id[24])
{
    const bench_shop *shop = l->shop;
    size_t n_events = shop->n - shop->n_catalog;
    kd_record r = shop->records[shop->n_catalog + i * 7919 % n_events];
    r.time = shop->records[shop->n - 1].time + (kd_ms)i + 1;
    r.order_id = KD_STR_NULL;
    snprintf(id, 24, "%zu", i);
    r.event_id = kd_str_of(id);
    return r;
}

static void *send_all(void *arg)
{
    load *l = arg;
    kd_err err = {0};
    kd_codec *codec = NULL;
    kd_buf bytes = {0};
    char topic[KD_RECORD_TYPES][64];
    bench_must(kd_codec_new(&(kd_codec_options){0}, &codec, &err), &err, "codec");
    for (int t = 0; t < KD_FORGET; t++) {
        snprintf(topic[t], sizeof topic[t], "lat-%s", bench_topic((kd_record_type)t));
        bench_must(kd_codec_prepare(codec, topic[t], bench_schema((kd_record_type)t), &err), &err,
                   "prepare");
    }
    broker_sender *sender = broker_sender_new();
    while (!atomic_load(&l->is_ready)) {
        sleep_until(bench_now() + 0.01);
    }
    double began = bench_now() + 0.5;
    for (size_t i = 0; i < l->n; i++) {
        char id[24];
        kd_record r = event_of(l, i, id);
        kd_buf_clear(&bytes);
        bench_must(kd_codec_encode_record(codec, topic[r.type], &r, &bytes, &err), &err, "encode");
        l->due[i] = began + (double)i * l->gap;
        sleep_until(l->due[i]);
        l->late = fmax(l->late, bench_now() - l->due[i]);
        broker_sender_send(sender, topic[r.type], bench_key(&r), kd_buf_str(&bytes), r.time);
        broker_sender_poll(sender);
    }
    broker_sender_free(sender);
    atomic_store(&l->is_sent, 1);
    kd_buf_dispose(&bytes);
    kd_codec_free(codec);
    return NULL;
}

typedef struct collector {
    load *l;
    kd_codec *codec;
    kd_buf json;
    size_t n_seen, n_twice;
} collector;

static void take(void *arg, const void *value, size_t n, double at)
{
    collector *c = arg;
    kd_err err = {0};
    kd_buf_clear(&c->json);
    bench_must(kd_codec_to_json(c->codec, value, n, &c->json, NULL, &err), &err, "update");
    kd_buf_addc(&c->json, '\0');
    const char *id = c->json.failed ? NULL : strstr(c->json.p, "\"event_id\":\"");
    size_t i = id ? (size_t)strtoull(id + 12, NULL, 10) : c->l->n;
    if (i >= c->l->n) {
        return;
    }
    if (isnan(c->l->took[i])) {
        c->l->took[i] = at - c->l->due[i];
        c->n_seen++;
    } else {
        c->n_twice++;
    }
}

static void *collect(void *arg)
{
    load *l = arg;
    kd_err err = {0};
    collector c = {.l = l};
    bench_must(kd_codec_new(&(kd_codec_options){0}, &c.codec, &err), &err, "codec");
    broker_reader *reader = broker_reader_new(out_topic[0]);
    double sent_at = 0;
    while (c.n_seen < l->n) {
        broker_reader_poll(reader, 20, take, &c);
        if (atomic_load(&l->is_sent)) {
            sent_at = sent_at > 0 ? sent_at : bench_now();
            if (bench_now() > sent_at + GIVE_UP_S) {
                break;
            }
        }
    }
    fprintf(stderr, "%zu of %zu updates came, %zu twice; the sender was at most %.1f ms late\n",
            c.n_seen, l->n, c.n_twice, l->late * 1e3);
    broker_reader_free(reader);
    kd_buf_dispose(&c.json);
    kd_codec_free(c.codec);
    kd_run_stop(l->run);
    return NULL;
}

/* Called by the loop each second. */
static void on_progress(void *arg, const kd_counts *counts, const kd_progress *progress,
                        int64_t elapsed_ms, bool is_last)
{
    load *l = arg;
    (void)elapsed_ms;
    (void)is_last;
    if (progress->lag == 0 && counts->records >= (int64_t)l->shop->n) {
        atomic_store(&l->is_ready, 1);
    }
}

static void report(const load *l, const char *kase)
{
    bench_numbers ms = {0};
    size_t lost = 0;
    for (size_t i = (size_t)(WARM_UP_S / l->gap); i < l->n; i++) {
        if (isnan(l->took[i])) {
            lost++;
        } else {
            bench_numbers_add(&ms, l->took[i] * 1e3);
        }
    }
    bench_result("latency", kase, "p50", bench_quantile(&ms, 0.5), "ms", ms.n);
    bench_result("latency", kase, "p90", bench_quantile(&ms, 0.9), "ms", ms.n);
    bench_result("latency", kase, "p99", bench_quantile(&ms, 0.99), "ms", ms.n);
    bench_result("latency", kase, "p99.9", bench_quantile(&ms, 0.999), "ms", ms.n);
    bench_result("latency", kase, "max", bench_quantile(&ms, 1.0), "ms", ms.n);
    bench_result("latency", kase, "without an update", (double)lost, "", ms.n);
    bench_numbers_dispose(&ms);
}

static void measure(load *l, int audience)
{
    kd_err err = {0};
    kd_opt_values values;
    kd_recommender *rec = NULL;
    kd_pipeline *p = NULL;
    stream s;
    pthread_t sender, reader;
    bench_options(&values, 50, audience);
    bench_must(kd_recommender_new(&values, &rec, &err), &err, "recommender");
    kd_opt_values_dispose(&values);
    stream_open(&s, "lat-", in_topics, 3, out_topic[0], true);
    kd_pipeline_options po = {
        .epoch_max = 512, .workers = 1, .drain = true, .emit_always = true, .max_dead_letters = 0};
    kd_run_options ro = {.commit_interval_ms = 100, .on_progress = on_progress, .progress_arg = l};
    bench_must(kd_pipeline_new(&po, s.source, rec, s.sink, &p, &err), &err, "pipeline");
    bench_must(kd_run_new(&ro, p, s.source, s.sink, &l->run, &err), &err, "loop");
    if (pthread_create(&sender, NULL, send_all, l) != 0 ||
        pthread_create(&reader, NULL, collect, l) != 0) {
        bench_must(KD_ENOMEM, NULL, "threads");
    }
    bench_must(kd_run_loop(l->run, &err), &err, "run");
    pthread_join(sender, NULL);
    pthread_join(reader, NULL);
    kd_run_free(l->run);
    kd_pipeline_free(p);
    s.source->kind->set_wake(s.source, NULL, NULL);
    stream_close(&s);
    kd_recommender_free(rec);
}

int main(int argc, char **argv)
{
    int64_t rate = bench_arg(argc, argv, "--rate", 1000);
    int64_t seconds = bench_arg(argc, argv, "--seconds", 20);
    int audience = (int)bench_arg(argc, argv, "--audience", 100);
    char kase[64];
    snprintf(kase, sizeof kase, "%lld events/s, audience %d, k 50", (long long)rate, audience);
    bench_shop shop;
    bench_shop_make(&shop, BENCH_SHOPPERS, BENCH_ITEMS, 200000);
    broker_topics_create(in_topics, 3);
    broker_topics_create(out_topic, 1);
    broker_produce_shop(&shop, "lat-");
    load l = {
        .shop = &shop, .n = (size_t)((seconds + WARM_UP_S) * rate), .gap = 1.0 / (double)rate};
    l.due = calloc(l.n, sizeof *l.due);
    l.took = malloc(l.n * sizeof *l.took);
    if (!l.due || !l.took) {
        bench_must(KD_ENOMEM, NULL, "latency");
        return 1;
    }
    for (size_t i = 0; i < l.n; i++) {
        l.took[i] = NAN;
    }
    measure(&l, audience);
    report(&l, kase);
    broker_topics_delete(in_topics, 3);
    broker_topics_delete(out_topic, 1);
    free(l.due);
    free(l.took);
    bench_shop_dispose(&shop);
    return 0;
}
