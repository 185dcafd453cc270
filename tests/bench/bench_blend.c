/* bench_blend.c - what the blend costs beside user-CF alone, on one core and without a broker.
 *
 *   bench_blend [--audience 500] [--neighbours 50] [--reps 5] [--shoppers 20000] [--items 5000]
 *               [--events 200000] [--only -1]
 *
 * The same shop, the same setting, the same epochs (closed by a shopper who comes back, or by 512
 * events, as the pipeline's are), by five configurations that take turns every 5,000 events, so
 * that what the machine does beside weighs on all alike:
 *   user-CF alone | blend | the same with reasons | blend, content | the same with reasons
 * lists      the answers, encoded, as a worker of the pipeline makes them
 * pipeline   apply, prepare and lists: all but source and sink
 * Both are rates by processor time; rates and ratios are medians over the repetitions. --only N
 * runs the N-th configuration alone, for a profiler. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operators/recommender.h"

enum { EPOCH = 512, TURN = 5000 };

/* Seconds of one run, and what came out. */
typedef struct took {
    double apply, answer;
    size_t lists, bytes;
} took;

typedef struct runner {
    kd_recommender *rec;
    kd_reader_space *space;
    kd_arena *arena;
    kd_buf bytes;
    kd_ahead ahead[EPOCH];
} runner;

static void open_runner(runner *r, const bench_way *w, int neighbours, int audience)
{
    kd_err err = {0};
    kd_opt_values values;
    bench_options(&values, neighbours, audience);
    bench_way_options(&values, w);
    *r = (runner){.arena = kd_arena_new(0)};
    bench_must(r->arena == NULL ? KD_ENOMEM : KD_OK, NULL, "memory");
    bench_must(kd_recommender_new(&values, &r->rec, &err), &err, "recommender");
    bench_must(kd_reader_space_new(r->rec, &r->space, &err), &err, "reader");
    kd_opt_values_dispose(&values);
}

static void close_runner(runner *r)
{
    kd_reader_space_free(r->space);
    kd_recommender_free(r->rec);
    kd_arena_free(r->arena);
    kd_buf_dispose(&r->bytes);
}

/* The end of the epoch that begins at `from`; last[] holds of each shopper (by hash, a clash closes
 * an epoch early) the epoch it was last seen in. */
static size_t epoch_end(const runner *r, const bench_shop *shop, size_t from, uint32_t *last,
                        uint32_t epoch)
{
    enum { MASK = (1 << 20) - 1 };
    size_t to = from;
    for (; to < shop->n && to - from < EPOCH; to++) {
        kd_str who = kd_recommender_shopper(r->rec, &shop->records[to]);
        uint64_t at = kd_hash64(who.p, who.n, 0) & MASK;
        if (last[at] == epoch)
            break;
        last[at] = epoch;
    }
    return to;
}

/* In order, with what the records further on will touch fetched meanwhile, as the pipeline does. */
static void apply(runner *r, const bench_shop *shop, size_t from, size_t n)
{
    enum { APART = 2, AHEAD = APART * KD_AHEAD_STEPS };
    kd_err err = {0};
    for (size_t k = 0; k < n + AHEAD; k++) {
        for (size_t step = 0; step < KD_AHEAD_STEPS; step++) {
            size_t at = k - step * APART; /* wraps below 0 */
            if (at < n)
                kd_recommender_ahead(r->rec, &shop->records[from + at], (int)step, &r->ahead[at]);
        }
        if (k < AHEAD)
            continue;
        kd_applied applied = {0};
        size_t at = k - AHEAD;
        bench_must(kd_recommender_apply_named(r->rec, &shop->records[from + at], &r->ahead[at],
                                              &applied, &err),
                   &err, "apply");
    }
}

static void run_epoch(runner *r, const bench_shop *shop, size_t from, size_t to, took *t)
{
    kd_err err = {0};
    double t0 = bench_cpu_now();
    apply(r, shop, from, to - from);
    bench_must(kd_recommender_prepare(r->rec, &err), &err, "prepare");
    double t1 = bench_cpu_now();
    for (size_t i = from; i < to; i++) {
        const kd_record *x = &shop->records[i];
        kd_query q = {.shopper_id = kd_recommender_shopper(r->rec, x),
                      .time = x->time,
                      .item_id = x->item_id,
                      .trigger = x->pos,
                      .event_id = x->event_id};
        kd_update update;
        bench_must(kd_recommender_answer(r->rec, r->space, &q, r->arena, &update, NULL, &err), &err,
                   "answer");
        kd_buf_clear(&r->bytes);
        kd_update_encode(&update, &r->bytes);
        t->bytes += r->bytes.n;
        kd_arena_reset(r->arena);
    }
    t->apply += t1 - t0;
    t->answer += bench_cpu_now() - t1;
    t->lists += to - from;
}

static void load_catalog(runner *r, const bench_shop *shop)
{
    kd_err err = {0};
    for (size_t i = 0; i < shop->n_catalog; i++) {
        kd_applied applied = {0};
        bench_must(kd_recommender_apply(r->rec, &shop->records[i], &applied, &err), &err, "apply");
    }
    bench_must(kd_recommender_prepare(r->rec, &err), &err, "prepare");
    bench_must(kd_recommender_prepare(r->rec, &err), &err,
               "prepare"); /* no event: lists of texts */
}

/* The whole shop once, by all ways in turn (only >= 0: by that one). */
static void run(const bench_shop *shop, int neighbours, int audience, int only, took t[BENCH_WAYS])
{
    static runner r[BENCH_WAYS];
    uint32_t *last = calloc(1 << 20, sizeof *last), epoch = 0;
    bench_must(last == NULL ? KD_ENOMEM : KD_OK, NULL, "memory");
    for (int w = 0; w < BENCH_WAYS; w++) {
        t[w] = (took){0};
        if (only < 0 || w == only) {
            open_runner(&r[w], &bench_ways[w], neighbours, audience);
            load_catalog(&r[w], shop);
        }
    }
    for (size_t i = shop->n_catalog; i < shop->n; i += TURN) {
        size_t end = i + TURN < shop->n ? i + TURN : shop->n;
        for (int w = 0; w < BENCH_WAYS; w++) {
            if (only >= 0 && w != only)
                continue;
            for (size_t from = i; from < end;) {
                size_t to = epoch_end(&r[w], shop, from, last, ++epoch);
                to = to < end ? to : end;
                run_epoch(&r[w], shop, from, to, &t[w]);
                from = to;
            }
        }
    }
    for (int w = 0; w < BENCH_WAYS; w++)
        if (only < 0 || w == only)
            close_runner(&r[w]);
    free(last);
}

static double pipeline_rate(const took *t)
{
    return (double)t->lists / (t->apply + t->answer);
}

int main(int argc, char **argv)
{
    int neighbours = (int)bench_arg(argc, argv, "--neighbours", 50);
    int audience = (int)bench_arg(argc, argv, "--audience", 500);
    int reps = (int)bench_arg(argc, argv, "--reps", 5);
    int only = (int)bench_arg(argc, argv, "--only", -1);
    bench_shop shop;
    bench_shop_make(&shop, bench_arg(argc, argv, "--shoppers", BENCH_SHOPPERS),
                    bench_arg(argc, argv, "--items", BENCH_ITEMS),
                    bench_arg(argc, argv, "--events", 200000));
    bench_numbers lists[BENCH_WAYS] = {0}, pipeline[BENCH_WAYS] = {0}, list_ratio[BENCH_WAYS] = {0},
                  pipeline_ratio[BENCH_WAYS] = {0}, apply[BENCH_WAYS] = {0};
    double bytes[BENCH_WAYS] = {0};
    for (int rep = 0; rep < reps; rep++) {
        took all[BENCH_WAYS], base;
        run(&shop, neighbours, audience, only, all);
        base = all[only < 0 ? 0 : only];
        for (int w = 0; w < BENCH_WAYS; w++) {
            if (only >= 0 && w != only)
                continue;
            took t = all[w];
            bytes[w] = (double)t.bytes / (double)t.lists;
            bench_numbers_add(&lists[w], (double)t.lists / t.answer);
            bench_numbers_add(&pipeline[w], pipeline_rate(&t));
            bench_numbers_add(&list_ratio[w], base.answer / t.answer);
            bench_numbers_add(&pipeline_ratio[w], pipeline_rate(&t) / pipeline_rate(&base));
            bench_numbers_add(&apply[w], t.apply / (double)t.lists * 1e6);
        }
    }
    for (int w = 0; w < BENCH_WAYS; w++) {
        if (lists[w].n == 0)
            continue;
        char kase[96];
        snprintf(kase, sizeof kase, "audience %d, k %d; %s", audience, neighbours,
                 bench_ways[w].name);
        bench_result("blend", kase, "lists/s", bench_quantile(&lists[w], 0.5), "1/s", lists[w].n);
        bench_result("blend", kase, "pipeline, events/s", bench_quantile(&pipeline[w], 0.5), "1/s",
                     pipeline[w].n);
        bench_result("blend", kase, "apply", bench_quantile(&apply[w], 0.5), "us", apply[w].n);
        bench_result("blend", kase, "update", bytes[w], "bytes", 1);
        if (w > 0 && only < 0) {
            bench_result("blend", kase, "lists beside user-CF alone",
                         bench_quantile(&list_ratio[w], 0.5), "", list_ratio[w].n);
            bench_result("blend", kase, "pipeline beside user-CF alone; target 0.80",
                         bench_quantile(&pipeline_ratio[w], 0.5), "", pipeline_ratio[w].n);
        }
    }
    for (int w = 0; w < BENCH_WAYS; w++) {
        bench_numbers_dispose(&lists[w]);
        bench_numbers_dispose(&pipeline[w]);
        bench_numbers_dispose(&list_ratio[w]);
        bench_numbers_dispose(&pipeline_ratio[w]);
        bench_numbers_dispose(&apply[w]);
    }
    bench_shop_dispose(&shop);
    return 0;
}
