/* bench_restore.c - how fast a starting instance has its state back: from the log on a real broker,
 * and from a snapshot on disk.
 *
 *   bench_restore [--events 2000000] [--shoppers 200000] [--items 50000] [--reps 3]
 *
 * consume   librdkafka alone: the same topics, batches taken and dropped
 * source    Kindred's source: consumed, decoded, checked, dropped
 * log       source and state as `kindred run` does it, nothing to answer, until nothing is behind
 * snapshot  the state that came of it, written to a folder, loaded by topology/restore.h
 * They take turns, so that what the machine does beside weighs on all alike. Rates are by the
 * clock from the first record in hand; "cpu" lines are processor time of a thread for an event,
 * threads of one name together: the loop is `bench_restore`, `rdk:broker*` fetch and unpack. */
#include "bench/broker.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "consumers/kafka_source.h"
#include "operators/recommender.h"
#include "sinks/sinks.h"
#include "topology/pipeline.h"
#include "topology/restore.h"
#include "topology/snapshot.h"

static const char *const in_topics[] = {"restore-catalog-items", "restore-browse-events",
                                        "restore-purchase-events"};
enum { N_IN = 3, N_THREADS = 16 };

/* -- processor time by thread ------------------------------------------------------------------ */

typedef struct threads {
    char name[N_THREADS][20];
    double seconds[N_THREADS];
    int n;
} threads;

static void add_thread(threads *t, const char *name, double seconds)
{
    int k = 0;
    while (k < t->n && strcmp(t->name[k], name) != 0)
        k++;
    if (k == N_THREADS)
        return;
    if (k == t->n) {
        snprintf(t->name[k], sizeof t->name[k], "%s", name);
        t->seconds[k] = 0;
        t->n++;
    }
    t->seconds[k] += seconds;
}

static bool read_line(const char *tid, const char *file, char *out, int n)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", tid, file);
    FILE *f = fopen(path, "r");
    bool ok = f != NULL && fgets(out, n, f) != NULL;
    if (f != NULL)
        fclose(f);
    out[strcspn(out, "\n")] = '\0';
    return ok;
}

static threads threads_now(void)
{
    threads t = {0};
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char name[20] = "", stat[100] = "";
        if (e->d_name[0] != '.' && read_line(e->d_name, "comm", name, sizeof name) &&
            read_line(e->d_name, "schedstat", stat, sizeof stat)) {
            if (strncmp(name, "rdk:broker", 10) == 0)
                snprintf(name, sizeof name, "rdk:broker*");
            add_thread(&t, name, (double)strtoll(stat, NULL, 10) * 1e-9);
        }
    }
    if (d != NULL)
        closedir(d);
    return t;
}

/* -- one way of reading ------------------------------------------------------------------------ */

typedef struct way {
    const char *name;
    bench_numbers rate, total;
    bench_numbers cpu[N_THREADS];
    threads names;
} way;

static void look(void *arg)
{
    *(threads *)arg = threads_now();
}

/* What `n` events cost from `before` to `now`. */
static void note(way *w, const threads *before, threads now, double took, double n)
{
    double total = 0;
    for (int k = 0; k < before->n; k++)
        add_thread(&now, before->name[k], -before->seconds[k]);
    bench_numbers_add(&w->rate, n / took);
    for (int k = 0; k < now.n; k++) {
        add_thread(&w->names, now.name[k], 0);
        for (int i = 0; i < w->names.n; i++)
            if (strcmp(w->names.name[i], now.name[k]) == 0)
                bench_numbers_add(&w->cpu[i], now.seconds[k] / n * 1e6);
        total += now.seconds[k];
    }
    bench_numbers_add(&w->total, n / total);
    fprintf(stderr, "%s: %.3f s\n", w->name, took);
}

static void report(way *w)
{
    size_t n = w->rate.n;
    bench_result("restore", w->name, "events/s", bench_quantile(&w->rate, 0.5), "1/s", n);
    bench_result("restore", w->name, "events/s of processor time", bench_quantile(&w->total, 0.5),
                 "1/s", n);
    for (int k = 0; k < w->names.n; k++) {
        char metric[64];
        double us = bench_quantile(&w->cpu[k], 0.5);
        snprintf(metric, sizeof metric, "cpu of %s an event", w->names.name[k]);
        if (us >= 0.005)
            bench_result("restore", w->name, metric, us, "us", n);
        bench_numbers_dispose(&w->cpu[k]);
    }
    bench_numbers_dispose(&w->rate);
    bench_numbers_dispose(&w->total);
}

/* -- from the log ------------------------------------------------------------------------------ */

typedef struct reader {
    kd_codec *codec;
    kd_source *source;
    int wake_fd;
} reader;

static void wake(void *arg)
{
    uint64_t one = 1;
    ssize_t n = write(((const reader *)arg)->wake_fd, &one, sizeof one);
    (void)n; /* a full counter is awake enough */
}

static void notice(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "  %s\n", text);
}

static void reader_open(reader *r)
{
    kd_err err = {0};
    char name[] = "bootstrap.servers";
    char *brokers = strdup(broker_address());
    const kd_property properties[] = {{.name = name, .value = brokers}};
    kd_kafka_source_options o = {
        .topic =
            {[KD_CATALOG] = in_topics[0], [KD_BROWSE] = in_topics[1], [KD_PURCHASE] = in_topics[2]},
        .group_id = "bench-restore",
        .properties = properties,
        .n_properties = 1,
        .start_latest = true,
        .ready_lag = -1, /* never joins */
        .on_notice = notice};
    *r = (reader){.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    bench_must(kd_codec_new(&(kd_codec_options){0}, &r->codec, &err), &err, "codec");
    o.codec = r->codec;
    bench_must(kd_kafka_source_new(&o, &r->source, &err), &err, "source");
    free(brokers);
}

static void reader_start(reader *r)
{
    kd_err err = {0};
    bench_must(r->source->kind->start(r->source, &err), &err, "start the source");
    r->source->kind->set_wake(r->source, wake, r);
}

static void reader_wait(const reader *r)
{
    struct pollfd fd = {.fd = r->wake_fd, .events = POLLIN};
    uint64_t n;
    if (poll(&fd, 1, 50) > 0)
        n = (uint64_t)read(r->wake_fd, &n, sizeof n);
}

static void reader_close(reader *r)
{
    r->source->kind->set_wake(r->source, NULL, NULL);
    r->source->kind->close(r->source);
    kd_codec_free(r->codec);
    close(r->wake_fd);
}

static void read_source(way *w, const bench_shop *shop)
{
    kd_err err = {0};
    reader r;
    reader_open(&r);
    threads before = threads_now();
    reader_start(&r);
    double began = 0;
    for (size_t done = 0, in_hand = 0; done < shop->n;) {
        kd_record rec;
        if (in_hand == 0)
            r.source->kind->serve(r.source);
        kd_rc rc = r.source->kind->next(r.source, &rec, &err);
        began = began == 0 && rc == KD_OK ? bench_now() : began;
        if (rc == KD_AGAIN || ++in_hand == 512) {
            r.source->kind->release(r.source);
            in_hand = 0;
        }
        if (rc == KD_AGAIN) {
            reader_wait(&r);
            continue;
        }
        bench_must(rc, &err, "next");
        done++;
    }
    note(w, &before, threads_now(), bench_now() - began, (double)shop->n);
    reader_close(&r);
}

static kd_opt_values options(void)
{
    kd_opt_values v;
    bench_options(&v, 50, 500);
    return v;
}

/* The state, which is the caller's, and where the log was read up to. */
static kd_recommender *read_log(way *w, const bench_shop *shop, kd_source_pos *pos, size_t *n_pos)
{
    kd_err err = {0};
    kd_opt_values values = options();
    kd_recommender *rec = NULL;
    kd_pipeline *p = NULL;
    kd_sink *sink = NULL;
    reader r;
    reader_open(&r);
    bench_must(kd_recommender_new(&values, &rec, &err), &err, "recommender");
    kd_opt_values_dispose(&values);
    bench_must(kd_digest_sink_new(&sink, &err), &err, "sink");
    kd_pipeline_options o = {
        .epoch_max = 512, .workers = 1, .drain = true, .rate_max = 600, .max_dead_letters = 0};
    bench_must(kd_pipeline_new(&o, r.source, rec, sink, &p, &err), &err, "pipeline");
    threads before = threads_now();
    reader_start(&r);
    double began = 0;
    while (kd_pipeline_counts(p)->records < (int64_t)shop->n) {
        kd_rc rc = kd_pipeline_step(p, &err);
        began = began == 0 && rc == KD_OK ? bench_now() : began;
        if (rc == KD_AGAIN)
            reader_wait(&r);
        else
            bench_must(rc, &err, "step");
    }
    note(w, &before, threads_now(), bench_now() - began, (double)shop->n);
    const kd_pos *pending = NULL;
    (void)kd_pipeline_between(p, &pending);
    *n_pos = r.source->kind->positions(r.source, pending, pos, *n_pos);
    for (size_t k = 0; k < *n_pos; k++) /* the source's strings go with it */
        for (int t = 0; t < N_IN; t++)
            if (strcmp(pos[k].pos.topic, in_topics[t]) == 0)
                pos[k].pos.topic = in_topics[t];
    fprintf(stderr, "  %lld records in %lld epochs\n", (long long)kd_pipeline_counts(p)->records,
            (long long)kd_pipeline_counts(p)->epochs);
    kd_pipeline_free(p);
    sink->kind->close(sink);
    reader_close(&r);
    return rec;
}

/* -- from a snapshot --------------------------------------------------------------------------- */

static void read_snapshot(way *w, const char *dir, double n_events)
{
    kd_err err = {0};
    kd_arena *arena = kd_arena_new(0);
    kd_opt_values values = options();
    kd_restore_options o = {.values = &values, .on_notice = notice};
    kd_restored got;
    threads before = threads_now();
    double began = bench_now();
    bench_must(kd_restore(&o, dir, arena, &got, &err), &err, "restore");
    double took = bench_now() - began;
    if (got.name == NULL)
        bench_must(KD_EBUG, NULL, "restore: the snapshot was refused");
    note(w, &before, threads_now(), took, n_events);
    bench_result("restore", w->name, "interactions/s",
                 (double)got.manifest.saved.interactions / took, "1/s", 1);
    kd_recommender_free(got.rec);
    kd_opt_values_dispose(&values);
    kd_arena_free(arena);
}

static void write_snapshot(const char *dir, kd_recommender *rec, const kd_source_pos *pos, size_t n)
{
    kd_err err = {0};
    kd_snapshots *s = NULL;
    kd_snapshot_options o = {.dir = dir, .keep = 1};
    bench_must(kd_snapshots_open(&o, &s, &err), &err, "snapshots");
    bench_must(kd_snapshots_begin(s, rec, pos, n, &err), &err, "snapshot");
    bench_must(kd_snapshots_step(s, true, &err), &err, "snapshot");
    kd_snapshots_close(s);
}

int main(int argc, char **argv)
{
    int reps = (int)bench_arg(argc, argv, "--reps", 3);
    bench_shop shop;
    char dir[] = "/tmp/kindred-bench-XXXXXX", command[64];
    way consume = {.name = "consume"}, source = {.name = "source"}, log = {.name = "log"},
        snapshot = {.name = "snapshot"};
    bench_shop_make(&shop, bench_arg(argc, argv, "--shoppers", 200000),
                    bench_arg(argc, argv, "--items", 50000),
                    bench_arg(argc, argv, "--events", 2000000));
    broker_topics_create(in_topics, N_IN);
    broker_produce_shop(&shop, "restore-");
    fprintf(stderr, "%zu records are there\n", shop.n);
    if (mkdtemp(dir) == NULL)
        bench_must(KD_EIO, NULL, "a folder");
    for (int rep = 0; rep < reps; rep++) {
        kd_source_pos pos[64];
        size_t n_pos = sizeof pos / sizeof *pos;
        threads before = threads_now();
        threads after;
        double took = broker_consume(in_topics, N_IN, shop.n, look, &after);
        note(&consume, &before, after, took, (double)shop.n);
        read_source(&source, &shop);
        kd_recommender *rec = read_log(&log, &shop, pos, &n_pos);
        write_snapshot(dir, rec, pos, n_pos);
        kd_recommender_free(rec);
        read_snapshot(&snapshot, dir, (double)shop.n);
    }
    way *ways[] = {&consume, &source, &log, &snapshot};
    for (int k = 0; k < 4; k++)
        report(ways[k]);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", dir);
    broker_topics_delete(in_topics, N_IN);
    bench_shop_dispose(&shop);
    return 0;
}
