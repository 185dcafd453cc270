/* verb_demo.c - the main job on a table: a seeded shop, its events through an embedded cluster, and
 * the updates as they come out of the output topic.
 *
 * Three hands, as in the field: a thread produces the shop's events at a steady rate, a thread runs
 * the live pipeline, and this one reads the output topic and shows it. Latency is from the moment
 * an event was due to be sent to the moment its update is read.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/titles.h"
#include "cli/cli.h"
#include "consumers/kafka_admin.h"
#include "consumers/kafka_tail.h"
#include "consumers/sources.h"
#include "schemas/avro.h"
#include "sinks/kafka_producer.h"
#include "sinks/sinks.h"
#include "topology/live.h"
#include "topology/topics.h"

enum { PARTITIONS = 3, SHOW_MS = 250, IDLE_MS = 10000, FRAME = 10, TABLE = 1 << 18 };

static const char help[] =
    "usage: kindred demo [flags]\n\n"
    "A generated shop on an embedded cluster: no server, nothing is left behind.\n"
    "  --events N      events after the catalogue (default 20000)\n"
    "  --shoppers N    (default 2000)\n"
    "  --items N       (default 500)\n"
    "  --rate N        events a second (default 4000; 0 = as fast as it goes)\n"
    "  --seconds N     instead of --rate: send the events in N seconds\n"
    "  --seed N        (default 1)\n";

/* When the event with this id was due, by a hash of the id. */
typedef struct due {
    _Atomic uint64_t hash; /* 0 = empty; written after us */
    int64_t us;
} due;

typedef struct demo {
    kd_common common;
    kd_arena *arena;
    int64_t events, shoppers, items, rate, seed;
    kd_mock_cluster *cluster;
    kd_live live;
    kd_run_options run_options;
    kd_err produce_err, run_err;
    kd_rc produce_rc, run_rc;
    due *due; /* [TABLE] */
    kd_titles *titles;
    _Atomic int64_t n_produced;
    _Atomic bool is_produced, is_ready;
    _Atomic int stop;
    int64_t n_seen, n_null;
    double *latency_ms; /* [n_seen], owned */
    size_t cap_latency;
    int64_t shown_ms;
    bool is_terminal;
} demo;

/* -- the shop
 * ------------------------------------------------------------------------------------------ */

static kd_rc make_source(const demo *d, bool has_catalog, kd_source **out, kd_err *err)
{
    kd_generator_options o = {0};
    kd_generator_defaults(&o);
    o.seed = (uint64_t)d->seed;
    o.events = d->events;
    o.shoppers = d->shoppers;
    o.items = d->items;
    o.span_ms = KD_MS_DAY;
    o.start = kd_clock_wall_ms() - KD_MS_DAY;
    if (o.tastes > o.items) /* a shop of few items has as few tastes */
        o.tastes = (int)o.items;
    o.has_catalog = has_catalog;
    return kd_generator_new(&o, out, err);
}

static void note_due(demo *d, kd_str event_id, int64_t us)
{
    uint64_t hash = kd_hash64(event_id.p, event_id.n, 0) | 1;
    for (size_t at = hash % TABLE;; at = (at + 1) % TABLE) {
        if (atomic_load_explicit(&d->due[at].hash, memory_order_relaxed) != 0)
            continue;
        d->due[at].us = us;
        atomic_store_explicit(&d->due[at].hash, hash, memory_order_release);
        return;
    }
}

static int64_t due_of(const demo *d, kd_str event_id)
{
    uint64_t hash = kd_hash64(event_id.p, event_id.n, 0) | 1;
    for (size_t at = hash % TABLE;; at = (at + 1) % TABLE) {
        uint64_t found = atomic_load_explicit(&d->due[at].hash, memory_order_acquire);
        if (found == hash)
            return d->due[at].us;
        if (found == 0)
            return -1;
    }
}

/* -- the producing thread
 * -------------------------------------------------------------------------------- */

static void sleep_until(int64_t us)
{
    int64_t left = us - kd_clock_mono_us();
    if (left <= 0)
        return;
    struct timespec t = {.tv_sec = left / 1000000, .tv_nsec = (left % 1000000) * 1000};
    nanosleep(&t, NULL);
}

static kd_rc put(kd_kafka_producer *p, const kd_record *r, kd_err *err)
{
    kd_rc rc;
    while ((rc = kd_kafka_producer_put(p, r, err)) == KD_AGAIN)
        kd_kafka_producer_poll(p, 10);
    return rc;
}

static kd_rc produce(demo *d, kd_kafka_producer *p, kd_source *s, kd_err *err)
{
    int64_t start = kd_clock_mono_us(), n = 0;
    kd_record r;
    kd_rc rc;
    while ((rc = s->kind->next(s, &r, err)) == KD_OK && d->stop == 0) {
        if (r.type != KD_CATALOG) {
            int64_t at = d->rate > 0 ? start + n * 1000000 / d->rate : kd_clock_mono_us();
            sleep_until(at);
            note_due(d, r.event_id, at);
            atomic_store(&d->n_produced, ++n);
        } else {
            start = kd_clock_mono_us();
        }
        KD_TRY(put(p, &r, err));
        kd_kafka_producer_poll(p, 0);
        s->kind->release(s);
    }
    return rc == KD_END ? kd_kafka_producer_flush(p, IDLE_MS, err) : rc;
}

static void *produce_main(void *arg)
{
    demo *d = arg;
    const kd_config *c = &d->common.config;
    kd_codec *codec = NULL;
    kd_kafka_producer *p = NULL;
    kd_source *s = NULL;
    kd_err *err = &d->produce_err;
    kd_rc rc = kd_live_codec(c, 0, &codec, err);
    kd_kafka_producer_options o = {.topic = {kd_opt_str(&c->values, "topics.browse"),
                                             kd_opt_str(&c->values, "topics.purchase"),
                                             kd_opt_str(&c->values, "topics.catalog"),
                                             kd_opt_str(&c->values, "topics.forget")},
                                   .properties = c->kafka,
                                   .n_properties = c->n_kafka,
                                   .codec = codec};
    if (rc == KD_OK)
        rc = kd_kafka_producer_new(&o, &p, err);
    if (rc == KD_OK)
        rc = make_source(d, true, &s, err);
    if (rc == KD_OK)
        rc = s->kind->start(s, err);
    if (rc == KD_OK)
        rc = produce(d, p, s, err);
    if (s != NULL)
        s->kind->close(s);
    kd_kafka_producer_free(p);
    kd_codec_free(codec);
    d->produce_rc = rc;
    atomic_store(&d->is_produced, true);
    return NULL;
}

static void *run_main(void *arg)
{
    demo *d = arg;
    d->run_rc = kd_live_run(&d->live, &d->run_options, NULL, &d->run_err);
    return NULL;
}

/* -- what is shown
 * ------------------------------------------------------------------------------------- */

static kd_terminal_options table(demo *d)
{
    struct winsize w = {0};
    uint32_t width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
    return (kd_terminal_options){.fd = STDOUT_FILENO,
                                 .width = width,
                                 .colour = d->is_terminal,
                                 .title_of = kd_titles_of,
                                 .title_arg = d->titles};
}

static void show(demo *d, const kd_update *u)
{
    kd_buf row = {0};
    kd_terminal_options o = table(d);
    kd_terminal_row(&o, u, &row);
    if (d->is_terminal)
        printf("\r\x1b[K");
    fwrite(row.p, 1, row.n, stdout);
    if (d->is_terminal)
        printf("  %lld of %lld events sent, %lld updates read", (long long)d->n_produced,
               (long long)d->events, (long long)d->n_seen);
    fflush(stdout);
    kd_buf_dispose(&row);
}

static void on_message(void *arg, const kd_tail_message *m)
{
    demo *d = arg;
    kd_update u;
    int64_t now = kd_clock_mono_us();
    if (m->value == NULL || m->value_len < FRAME) {
        d->n_null++;
        return;
    }
    /* Single-object encoding: the embedded cluster has no registry. */
    kd_arena *a = kd_arena_new(0);
    if (a != NULL && kd_update_decode((const char *)m->value + FRAME, m->value_len - FRAME, a, &u,
                                      NULL) == KD_OK) {
        int64_t at = due_of(d, u.event_id);
        if (at >= 0 && (size_t)d->n_seen < d->cap_latency)
            d->latency_ms[d->n_seen++] = (double)(now - at) / 1000;
        int64_t now_ms = now / 1000;
        if (now_ms - d->shown_ms >= SHOW_MS && u.n_items > 0) {
            show(d, &u);
            d->shown_ms = now_ms;
        }
    }
    kd_arena_free(a);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, int64_t n, double q)
{
    return n == 0 ? 0 : sorted[(int64_t)(q * (double)(n - 1))];
}

static void print_totals(demo *d, int64_t elapsed_ms)
{
    const kd_counts *c = kd_pipeline_counts(d->live.pipeline);
    qsort(d->latency_ms, (size_t)d->n_seen, sizeof *d->latency_ms, by_value);
    int64_t events = c->views + c->likes + c->carts + c->paid + c->cancelled;
    printf("%s\n", d->is_terminal ? "\r\x1b[K" : "");
    printf("products        %10lld\n", (long long)c->catalog);
    printf("events          %10lld   (%lld views, %lld carts, %lld purchases, %lld likes, %lld "
           "cancelled)\n",
           (long long)events, (long long)c->views, (long long)c->carts, (long long)c->paid,
           (long long)c->likes, (long long)c->cancelled);
    printf("updates read    %10lld\n", (long long)d->n_seen);
    printf("events/s        %10lld   (--rate %lld; --rate 0 is as fast as it goes)\n",
           (long long)(elapsed_ms > 0 ? events * 1000 / elapsed_ms : 0), (long long)d->rate);
    printf("latency         p50 %.1f ms, p99 %.1f ms   (event due -> update read from the topic)\n",
           quantile(d->latency_ms, d->n_seen, 0.50), quantile(d->latency_ms, d->n_seen, 0.99));
    printf("dead letters    %10lld\n", (long long)c->dead_letters);
}

/* -- wiring
 * --------------------------------------------------------------------------------------------- */

/* @thread pipeline: the first thing that it has to say is that the group gave it its partitions. */
static void on_notice(void *arg, const char *text)
{
    demo *d = arg;
    (void)text;
    atomic_store(&d->is_ready, true);
}

static void await_group(demo *d)
{
    struct timespec tick = {.tv_nsec = 10000000};
    int64_t until = kd_clock_mono_ms() + IDLE_MS;
    while (!atomic_load(&d->is_ready) && kd_clock_mono_ms() < until)
        nanosleep(&tick, NULL);
}

static kd_rc make_topics(demo *d, kd_err *err)
{
    KD_TRY(kd_mock_cluster_new(&d->cluster, err));
    char text[256];
    snprintf(text, sizeof text, "bootstrap.servers=%s", kd_mock_cluster_bootstrap(d->cluster));
    KD_TRY(kd_config_kafka(&d->common.config, text, err));
    /* The embedded cluster answers an empty fetch when its wait is over, and not before. */
    KD_TRY(kd_config_kafka(&d->common.config, "fetch.wait.max.ms=5", err));
    for (const kd_topic *t = kd_topics; t->option != NULL; t++) {
        const char *name = kd_opt_str(&d->common.config.values, t->option);
        if (t->is_needed && name[0] != '\0')
            KD_TRY(kd_mock_cluster_topic(d->cluster, name, PARTITIONS, err));
    }
    return KD_OK;
}

/* The generator is deterministic: the titles are read off a second one. */
static kd_rc read_titles(demo *d, kd_err *err)
{
    kd_source *s = NULL;
    kd_record r;
    KD_TRY(kd_titles_new(&d->titles, err));
    KD_TRY(make_source(d, true, &s, err));
    kd_rc rc = s->kind->start(s, err);
    while (rc == KD_OK && (rc = s->kind->next(s, &r, err)) == KD_OK && r.type == KD_CATALOG) {
        rc = kd_titles_set(d->titles, r.item_id, r.title, err);
        s->kind->release(s);
    }
    s->kind->close(s);
    return rc == KD_END ? KD_OK : rc;
}

static kd_rc watch(demo *d, kd_err *err)
{
    kd_tail *tail = NULL;
    const kd_config *c = &d->common.config;
    kd_tail_options o = {.topic = kd_opt_str(&c->values, "topics.recommendations"),
                         .properties = c->kafka,
                         .n_properties = c->n_kafka,
                         .from_beginning = true};
    KD_TRY(kd_tail_new(&o, &tail, err));
    const volatile int *stop = kd_stop_on_signals();
    int64_t quiet_since = kd_clock_mono_ms();
    kd_rc rc = KD_OK;
    while (*stop == 0 && d->n_seen < d->events) {
        int64_t before = d->n_seen;
        rc = kd_tail_poll(tail, 100, on_message, d, err);
        if (rc != KD_OK && rc != KD_AGAIN && rc != KD_END)
            break;
        rc = KD_OK;
        if (d->n_seen > before || !atomic_load(&d->is_produced))
            quiet_since = kd_clock_mono_ms();
        /* Fewer updates than events: units are answered once. The end is when all is quiet. */
        if (kd_clock_mono_ms() - quiet_since > 700)
            break;
    }
    d->stop = *stop;
    kd_tail_free(tail);
    return rc;
}

static kd_rc run(demo *d, kd_err *err)
{
    KD_TRY(make_topics(d, err));
    KD_TRY(read_titles(d, err));
    d->cap_latency = (size_t)d->events;
    d->due = calloc(TABLE, sizeof *d->due);
    d->latency_ms = calloc(d->cap_latency + 1, sizeof *d->latency_ms);
    if (d->due == NULL || d->latency_ms == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %lld events", (long long)d->events);
    d->run_options =
        (kd_run_options){.commit_interval_ms = 100, .on_notice = on_notice, .notice_arg = d};
    KD_TRY(kd_live_open(&d->live, &d->common.config, &d->run_options, err));
    printf("A shop of %lld shoppers and %lld products; %lld events through an embedded Kafka "
           "cluster.\nEach row is an update as it comes out of the topic `recommendations`.\n\n",
           (long long)d->shoppers, (long long)d->items, (long long)d->events);
    kd_buf heading = {0};
    kd_terminal_options to = table(d);
    kd_terminal_heading(&to, &heading);
    fwrite(heading.p, 1, heading.n, stdout);
    fflush(stdout);
    kd_buf_dispose(&heading);

    pthread_t pipeline, producer;
    if (pthread_create(&pipeline, NULL, run_main, d) != 0)
        return kd_fail(err, KD_ENOMEM, "cannot start a thread");
    await_group(d);
    int64_t start = kd_clock_mono_ms();
    bool has_producer = pthread_create(&producer, NULL, produce_main, d) == 0;
    kd_rc rc = has_producer ? watch(d, err) : kd_fail(err, KD_ENOMEM, "cannot start a thread");
    int64_t elapsed = kd_clock_mono_ms() - start;
    if (rc != KD_OK)
        d->stop = 1;
    if (has_producer)
        pthread_join(producer, NULL);
    kd_run_stop(d->live.run);
    pthread_join(pipeline, NULL);
    if (rc == KD_OK && (d->produce_rc != KD_OK || d->run_rc != KD_OK)) {
        *err = d->produce_rc != KD_OK ? d->produce_err : d->run_err;
        rc = d->produce_rc != KD_OK ? d->produce_rc : d->run_rc;
    }
    if (rc == KD_OK)
        print_totals(d, elapsed);
    return rc;
}

static kd_rc options(demo *d, const kd_flag *flags, kd_err *err)
{
    KD_TRY(kd_flag_int(flags, "events", 20000, 1, &d->events, err));
    KD_TRY(kd_flag_int(flags, "shoppers", 2000, 1, &d->shoppers, err));
    KD_TRY(kd_flag_int(flags, "items", 500, 1, &d->items, err));
    KD_TRY(kd_flag_int(flags, "rate", 4000, 0, &d->rate, err));
    KD_TRY(kd_flag_int(flags, "seed", 1, 0, &d->seed, err));
    if (kd_flag_given(flags, "seconds")) {
        int64_t seconds;
        if (kd_flag_given(flags, "rate"))
            return kd_fail(err, KD_ECONFIG, "--rate and --seconds: one of them is right");
        KD_TRY(kd_flag_int(flags, "seconds", 0, 1, &seconds, err));
        d->rate = (d->events + seconds - 1) / seconds;
    }
    if (d->events > TABLE / 2)
        return kd_fail(err, KD_ECONFIG, "--events: %d at most", TABLE / 2);
    /* The demonstration answers every event, from the first one on. */
    KD_TRY(kd_config_set(&d->common.config, "emit=always", err));
    KD_TRY(kd_config_set(&d->common.config, "schema.registry.url=", err));
    return kd_config_set(&d->common.config, "output.start=earliest", err);
}

static int verb_demo(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "events", .has_value = true},
        {.name = "shoppers", .has_value = true},
        {.name = "items", .has_value = true},
        {.name = "rate", .has_value = true},
        {.name = "seed", .has_value = true},
        {.name = "seconds", .has_value = true},
        {0},
    };
    demo d = {.arena = kd_arena_new(0), .is_terminal = isatty(STDOUT_FILENO) == 1};
    kd_rc rc = d.arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, d.arena, &d.common, NULL, NULL, err);
    if (rc == KD_OK && d.common.help) {
        fputs(verb->help, stdout);
    } else if (rc == KD_OK) {
        rc = options(&d, flags, err);
        if (rc == KD_OK)
            rc = run(&d, err);
    }
    if (d.live.run != NULL)
        kd_live_close(&d.live);
    kd_mock_cluster_free(d.cluster);
    free(d.due);
    free(d.latency_ms);
    kd_titles_free(d.titles);
    kd_common_dispose(&d.common);
    kd_arena_free(d.arena);
    return d.stop != 0 && rc == KD_OK ? KD_EXIT_INTERRUPTED : (int)kd_exit_of(rc);
}

const kd_verb kd_verb_demo = {"demo", "a generated shop on an embedded cluster, to look at", help,
                              verb_demo};
