#include "bench/bench.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "operators/recommender.h"

static double clock_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bench_now(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

double bench_cpu_now(void)
{
    return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

double bench_cpu_all(void)
{
    return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_must(kd_rc rc, const kd_err *err, const char *doing)
{
    if (rc != KD_OK) {
        fprintf(stderr, "%s: %s %s%s%s\n", doing, kd_rc_text(rc), err ? err->where : "",
                err && err->where[0] ? ": " : "", err ? err->msg : "");
        exit(1);
    }
}

static void must_have(const void *p)
{
    if (!p) {
        bench_must(KD_ENOMEM, NULL, "memory for the benchmark");
    }
}

void bench_numbers_add(bench_numbers *b, double x)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 1024;
        double *v = realloc(b->v, cap * sizeof *v);
        must_have(v);
        b->v = v;
        b->cap = cap;
    }
    b->v[b->n++] = x;
}

void bench_numbers_dispose(bench_numbers *b)
{
    free(b->v);
    *b = (bench_numbers){0};
}

static int by_value(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

double bench_quantile(bench_numbers *b, double q)
{
    if (b->n == 0) {
        return NAN;
    }
    qsort(b->v, b->n, sizeof *b->v, by_value);
    size_t rank = (size_t)ceil(q * (double)b->n);
    return b->v[rank > 0 ? rank - 1 : 0];
}

void bench_result(const char *bench, const char *kase, const char *metric, double value,
                  const char *unit, size_t n)
{
    printf("{\"bench\":\"%s\",\"case\":\"%s\",\"metric\":\"%s\",\"value\":%.6g,\"unit\":\"%s\","
           "\"n\":%zu}\n",
           bench, kase, metric, value, unit, n);
    fflush(stdout);
}

double bench_peak_bytes(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss * 1024.0;
}

void bench_shop_make(bench_shop *shop, int64_t shoppers, int64_t items, int64_t events)
{
    kd_err err = {0};
    kd_generator_options o = {0};
    kd_generator_defaults(&o);
    o.seed = 20240101;
    o.shoppers = shoppers;
    o.items = items;
    o.zipf = 1.0;
    o.events = events;
    o.has_catalog = true;
    kd_source *source = NULL;
    bench_must(kd_generator_new(&o, &source, &err), &err, "generator");
    bench_must(source->kind->start(source, &err), &err, "generator");

    *shop = (bench_shop){.arena = kd_arena_new(0)};
    must_have(shop->arena);
    size_t cap = 0;
    for (;;) {
        kd_record r;
        kd_rc rc = source->kind->next(source, &r, &err);
        if (rc == KD_END) {
            break;
        }
        bench_must(rc, &err, "generator");
        if (shop->n == cap) {
            cap = cap ? cap * 2 : 65536;
            kd_record *grown = realloc(shop->records, cap * sizeof *grown);
            must_have(grown);
            shop->records = grown;
        }
        bench_must(kd_record_copy(&r, shop->arena, &shop->records[shop->n], &err), &err, "copy");
        shop->n_catalog += r.type == KD_CATALOG;
        shop->n++;
        source->kind->release(source);
    }
    source->kind->close(source);
}

void bench_shop_dispose(bench_shop *shop)
{
    free(shop->records);
    kd_arena_free(shop->arena);
    *shop = (bench_shop){0};
}

const char *bench_topic(kd_record_type type)
{
    static const char *const topics[KD_RECORD_TYPES] = {
        [KD_BROWSE] = "browse-events",
        [KD_PURCHASE] = "purchase-events",
        [KD_CATALOG] = "catalog-items",
        [KD_FORGET] = "forget-requests",
    };
    return topics[type];
}

kd_schema_id bench_schema(kd_record_type type)
{
    return (kd_schema_id)type;
}

kd_str bench_key(const kd_record *r)
{
    if (r->type == KD_CATALOG) {
        return r->item_id;
    }
    return r->user_id.p ? r->user_id : r->session_id;
}

void bench_options(kd_opt_values *v, int neighbours, int audience)
{
    kd_err err = {0};
    char text[32];
    *v = (kd_opt_values){0};
    bench_must(kd_opt_values_add(v, kd_recommender_opts(), &err), &err, "options");
    bench_must(kd_opt_set(v, "history.max", "50", "bench", &err), &err, "options");
    bench_must(kd_opt_set(v, "recommend.count", "10", "bench", &err), &err, "options");
    snprintf(text, sizeof text, "%d", neighbours);
    bench_must(kd_opt_set(v, "usercf.neighbours", text, "bench", &err), &err, "options");
    snprintf(text, sizeof text, "%d", audience);
    bench_must(kd_opt_set(v, "audience.max", text, "bench", &err), &err, "options");
}

const bench_way bench_ways[BENCH_WAYS] = {
    {"user-CF alone", "off", "off", "false"},        {"blend", "on", "off", "false"},
    {"blend, reasons", "on", "off", "true"},         {"blend, content", "on", "on", "false"},
    {"blend, content, reasons", "on", "on", "true"},
};

void bench_way_options(kd_opt_values *v, const bench_way *way)
{
    kd_err err = {0};
    bench_must(kd_opt_set(v, "blend", way->blend, "bench", &err), &err, "options");
    bench_must(kd_opt_set(v, "content", way->content, "bench", &err), &err, "options");
    bench_must(kd_opt_set(v, "recommend.reasons", way->reasons, "bench", &err), &err, "options");
}

int64_t bench_arg(int argc, char **argv, const char *name, int64_t dflt)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            char *end = NULL;
            errno = 0;
            int64_t x = strtoll(argv[i + 1], &end, 10);
            if (errno || *end || end == argv[i + 1]) {
                fprintf(stderr, "%s %s: not a number\n", name, argv[i + 1]);
                exit(2);
            }
            return x;
        }
    }
    return dflt;
}
