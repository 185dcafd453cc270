/* bench_core.c - what one core does without a broker: decode alone, apply alone, recommend alone.
 *
 *   bench_core --audience 100 --neighbours 50 [--shoppers 20000] [--items 5000]
 *              [--events 200000] [--reps 3] [--active 0]
 *
 * decode     every message of the shop (single-object encoding), checked as a source checks it
 * apply      every record into an empty state, in epochs of 512, nothing answered
 * recommend  the same run, now with every event answered, only the answers timed: so the
 *            state behind a list is what it is when the pipeline computes that list
 * apply and recommend  that run, with all that keeping the state and its counts costs
 * recommend, full state  the last 20,000 events answered once all of them are in
 * Apply, both together, and full state are rates by processor time, recommend along the stream is
 * by the wall clock. Rates are medians over the repetitions, quantiles are over all lists of all
 * repetitions. */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "operators/recommender.h"

enum { EPOCH = 512 };

typedef struct core {
    bench_shop shop;
    int neighbours, audience, active;
    char kase[64];
} core;

static void bench_decode(const core *b, int reps)
{
    kd_err err = {0};
    kd_codec *codec = NULL;
    bench_must(kd_codec_new(&(kd_codec_options){0}, &codec, &err), &err, "codec");
    kd_buf bytes = {0};
    size_t *ends = kd_arena_alloc(b->shop.arena, b->shop.n * sizeof *ends);
    if (!ends) {
        bench_must(KD_ENOMEM, NULL, "decode");
        return;
    }
    for (int type = 0; type < KD_RECORD_TYPES; type++) {
        bench_must(kd_codec_prepare(codec, bench_topic(type), bench_schema(type), &err), &err,
                   "prepare");
    }
    for (size_t i = 0; i < b->shop.n; i++) {
        const kd_record *r = &b->shop.records[i];
        bench_must(kd_codec_encode_record(codec, bench_topic(r->type), r, &bytes, &err), &err,
                   "encode");
        ends[i] = bytes.n;
    }

    bench_numbers rates = {0};
    kd_arena *arena = kd_arena_new(0);
    for (int rep = 0; rep < reps; rep++) {
        double began = bench_cpu_now();
        for (size_t i = 0; i < b->shop.n; i++) {
            const kd_record *from = &b->shop.records[i];
            size_t start = i ? ends[i - 1] : 0;
            kd_str key = bench_key(from);
            kd_record r = {.ts = from->ts, .pos = from->pos};
            kd_rc rc = kd_codec_decode(codec, from->type, key.p, key.n, bytes.p + start,
                                       ends[i] - start, &r, arena, &err);
            bench_must(rc, &err, "decode");
            bench_must(kd_record_check(&r, r.ts + KD_MS_DAY, &err), &err, "check");
            if (i % EPOCH == 0) {
                kd_arena_reset(arena);
            }
        }
        bench_numbers_add(&rates, (double)b->shop.n / (bench_cpu_now() - began));
    }
    bench_result("decode", "", "events/s", bench_quantile(&rates, 0.5), "1/s", rates.n);
    bench_result("decode", "", "message size", (double)bytes.n / (double)b->shop.n, "bytes", 1);
    bench_numbers_dispose(&rates);
    kd_arena_free(arena);
    kd_buf_dispose(&bytes);
    kd_codec_free(codec);
}

static void make(const core *b, kd_recommender **rec, kd_reader_space **space)
{
    kd_err err = {0};
    kd_opt_values values;
    char text[32];
    bench_options(&values, b->neighbours, b->audience);
    snprintf(text, sizeof text, "%d", b->active);
    bench_must(kd_opt_set(&values, "active.max", text, "bench", &err), &err, "options");
    bench_must(kd_recommender_new(&values, rec, &err), &err, "recommender");
    bench_must(kd_reader_space_new(*rec, space, &err), &err, "reader");
    kd_opt_values_dispose(&values);
}

/* Applies the whole shop; the processor seconds it took. */
static double apply_all(const core *b, kd_recommender *rec)
{
    kd_err err = {0};
    double began = bench_cpu_now();
    for (size_t i = 0; i < b->shop.n; i++) {
        kd_applied applied = {0};
        bench_must(kd_recommender_apply(rec, &b->shop.records[i], &applied, &err), &err, "apply");
        if (i % EPOCH == EPOCH - 1) {
            bench_must(kd_recommender_prepare(rec, &err), &err, "prepare");
        }
    }
    bench_must(kd_recommender_prepare(rec, &err), &err, "prepare");
    return bench_cpu_now() - began;
}

/* Answers one event; the seconds it took. */
static double answer(const kd_recommender *rec, kd_reader_space *space, const kd_record *r,
                     kd_arena *arena, size_t *listed)
{
    kd_err err = {0};
    kd_query q = {.shopper_id = kd_recommender_shopper(rec, r),
                  .time = r->time,
                  .item_id = r->item_id,
                  .trigger = r->pos,
                  .event_id = r->event_id};
    kd_update u = {0};
    double began = bench_now();
    bench_must(kd_recommender_answer(rec, space, &q, arena, &u, NULL, &err), &err, "answer");
    double took = bench_now() - began;
    *listed += u.n_items;
    kd_arena_reset(arena);
    return took;
}

static double sum(const bench_numbers *b, size_t from)
{
    double s = 0;
    for (size_t i = from; i < b->n; i++) {
        s += b->v[i];
    }
    return s;
}

static void report_lists(const core *b, const char *bench, bench_numbers *rates,
                         bench_numbers *times)
{
    bench_result(bench, b->kase, "lists/s", bench_quantile(rates, 0.5), "1/s", rates->n);
    bench_result(bench, b->kase, "p50", bench_quantile(times, 0.5) * 1e6, "us", times->n);
    bench_result(bench, b->kase, "p99", bench_quantile(times, 0.99) * 1e6, "us", times->n);
    bench_numbers_dispose(rates);
    bench_numbers_dispose(times);
}

static void bench_apply(const core *b, int reps)
{
    bench_numbers rates = {0};
    for (int rep = 0; rep < reps; rep++) {
        kd_recommender *rec = NULL;
        kd_reader_space *space = NULL;
        make(b, &rec, &space);
        bench_numbers_add(&rates, (double)b->shop.n / apply_all(b, rec));
        kd_reader_space_free(space);
        kd_recommender_free(rec);
    }
    bench_result("apply", b->kase, "events/s", bench_quantile(&rates, 0.5), "1/s", rates.n);
    bench_numbers_dispose(&rates);
}

static void bench_recommend(const core *b, int reps)
{
    kd_err err = {0};
    bench_numbers rates = {0}, times = {0}, whole = {0};
    kd_arena *arena = kd_arena_new(0);
    size_t listed = 0;
    for (int rep = 0; rep < reps; rep++) {
        kd_recommender *rec = NULL;
        kd_reader_space *space = NULL;
        make(b, &rec, &space);
        size_t first = times.n;
        double began = bench_cpu_now();
        for (size_t i = 0; i < b->shop.n; i++) {
            const kd_record *r = &b->shop.records[i];
            kd_applied applied = {0};
            bench_must(kd_recommender_apply(rec, r, &applied, &err), &err, "apply");
            if (r->type != KD_CATALOG) {
                bench_must(kd_recommender_prepare(rec, &err), &err, "prepare");
                bench_numbers_add(&times, answer(rec, space, r, arena, &listed));
            }
        }
        bench_numbers_add(&whole, (double)(times.n - first) / (bench_cpu_now() - began));
        bench_numbers_add(&rates, (double)(times.n - first) / sum(&times, first));
        kd_reader_space_free(space);
        kd_recommender_free(rec);
    }
    fprintf(stderr, "%s: %.2f items a list\n", b->kase, (double)listed / (double)times.n);
    bench_result("apply and recommend", b->kase, "events/s", bench_quantile(&whole, 0.5), "1/s",
                 whole.n);
    bench_numbers_dispose(&whole);
    report_lists(b, "recommend", &rates, &times);
    kd_arena_free(arena);
}

static void bench_full_state(const core *b, int reps)
{
    bench_numbers rates = {0}, times = {0};
    kd_arena *arena = kd_arena_new(0);
    kd_recommender *rec = NULL;
    kd_reader_space *space = NULL;
    make(b, &rec, &space);
    apply_all(b, rec);
    size_t listed = 0;
    size_t n_last = b->shop.n - b->shop.n_catalog < 20000 ? b->shop.n - b->shop.n_catalog : 20000;
    for (int rep = 0; rep < reps; rep++) {
        size_t first = times.n;
        double began = bench_cpu_now();
        for (size_t i = b->shop.n - n_last; i < b->shop.n; i++) {
            bench_numbers_add(&times, answer(rec, space, &b->shop.records[i], arena, &listed));
        }
        bench_numbers_add(&rates, (double)(times.n - first) / (bench_cpu_now() - began));
    }
    report_lists(b, "recommend, full state", &rates, &times);
    for (const kd_stat *s = kd_recommender_stats(rec); s && s->name; s++) {
        if (strcmp(s->name, "memory.total") == 0 || strcmp(s->name, "memory.id-strings") == 0 ||
            strcmp(s->name, "memory.catalogue") == 0) {
            bench_result("state", b->kase, s->name, (double)s->value, s->unit, 1);
        }
    }
    kd_reader_space_free(space);
    kd_recommender_free(rec);
    kd_arena_free(arena);
}

int main(int argc, char **argv)
{
    core b = {.neighbours = (int)bench_arg(argc, argv, "--neighbours", 50),
              .audience = (int)bench_arg(argc, argv, "--audience", 100)};
    int reps = (int)bench_arg(argc, argv, "--reps", 3);
    b.active = (int)bench_arg(argc, argv, "--active", 0);
    int64_t shoppers = bench_arg(argc, argv, "--shoppers", BENCH_SHOPPERS);
    int64_t items = bench_arg(argc, argv, "--items", BENCH_ITEMS);
    int n = snprintf(b.kase, sizeof b.kase, "audience %d, k %d%s", b.audience, b.neighbours,
                     b.active > 0 ? ", counts kept" : "");
    if (shoppers != BENCH_SHOPPERS || items != BENCH_ITEMS) {
        snprintf(b.kase + n, sizeof b.kase - (size_t)n, "; %lld shoppers, %lld items",
                 (long long)shoppers, (long long)items);
    }
    bench_shop_make(&b.shop, shoppers, items, bench_arg(argc, argv, "--events", 200000));
    double shop_bytes = bench_peak_bytes();
    if (bench_arg(argc, argv, "--decode", 1)) {
        bench_decode(&b, reps);
    }
    bench_apply(&b, reps);
    bench_recommend(&b, reps);
    bench_full_state(&b, reps);
    bench_result("memory", b.kase, "peak of the process", bench_peak_bytes(), "bytes", 1);
    bench_result("memory", b.kase, "of it the workload itself", shop_bytes, "bytes", 1);
    bench_shop_dispose(&b.shop);
    return 0;
}
