/* bench_large.c - the state at the size of a large shop, one core, no broker.
 *
 *   bench_large [--shoppers 1000000] [--items 100000] [--events 10000000] [--neighbours 50]
 *               [--sessions 1] [--fan 1000000]
 *
 * apply      all events (Zipf 1.0), in epochs of 512, looking ahead as the pipeline does; with
 *            --sessions 1 each names a session beside the user, so that each visit is a link
 * memory     bytes an interaction at the end, by component; id strings beside
 * recommend  lists for shoppers drawn from the last events, at full state, audience 500 and 100
 * forget     random shoppers, one by one
 * one item that everybody has: views of it again, and forgetting, from anywhere in its audience
 * Making the events is not timed. Rates are by processor time, quantiles over single calls by the
 * wall clock. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "operators/recommender.h"

enum { EPOCH = 512, N_ASKED = 20000, N_FORGOTTEN = 20000, APART = 4 };

typedef struct large {
    kd_recommender *rec;
    kd_reader_space *space;
    kd_arena *epoch;    /* records of the open epoch */
    kd_record *records; /* [EPOCH] */
    kd_record *recent;  /* [N_ASKED] the last events, in a circle */
    kd_arena *recent_text;
    int64_t shoppers, items, events;
    int neighbours;
    bool has_sessions;
    char kase[64];
} large;

static kd_recommender *make(const large *b, int audience)
{
    kd_err err = {0};
    kd_opt_values values;
    kd_recommender *rec = NULL;
    bench_options(&values, b->neighbours, audience);
    bench_must(kd_recommender_new(&values, &rec, &err), &err, "recommender");
    kd_opt_values_dispose(&values);
    return rec;
}

/* One epoch, as the pipeline applies it. */
static double apply_epoch(const large *b, size_t n)
{
    enum { AHEAD = APART * KD_AHEAD_STEPS };
    kd_err err = {0};
    kd_ahead ahead[EPOCH];
    double began = bench_cpu_now();
    for (size_t k = 0; k < n + AHEAD; k++) {
        for (size_t step = 0; step < KD_AHEAD_STEPS; step++) {
            size_t at = k - step * APART; /* wraps below 0 */
            if (at < n) {
                kd_recommender_ahead(b->rec, &b->records[at], (int)step, &ahead[at]);
            }
        }
        if (k >= AHEAD) {
            kd_applied applied;
            size_t at = k - AHEAD;
            bench_must(
                kd_recommender_apply_named(b->rec, &b->records[at], &ahead[at], &applied, &err),
                &err, "apply");
        }
    }
    bench_must(kd_recommender_prepare(b->rec, &err), &err, "prepare");
    return bench_cpu_now() - began;
}

static void note_recent(const large *b, int64_t number, const kd_record *r)
{
    kd_err err = {0};
    if (number >= b->events - N_ASKED) {
        bench_must(kd_record_copy(r, b->recent_text, &b->recent[number % N_ASKED], &err), &err,
                   "copy");
    }
}

static void bench_apply(large *b)
{
    kd_err err = {0};
    kd_generator_options o = {0};
    kd_source *source = NULL;
    kd_generator_defaults(&o);
    o.seed = 20240101;
    o.shoppers = b->shoppers;
    o.items = b->items;
    o.events = b->events;
    o.anonymous_share = 0; /* so that there are as many shoppers as it says */
    o.has_catalog = false;
    bench_must(kd_generator_new(&o, &source, &err), &err, "generator");
    bench_must(source->kind->start(source, &err), &err, "generator");
    bench_numbers tenths = {0};
    double whole = 0, tenth = 0;
    int64_t n = 0, in_tenth = 0;
    for (bool is_over = false; !is_over;) {
        size_t in_epoch = 0;
        for (; in_epoch < EPOCH; in_epoch++, n++) {
            kd_record r;
            kd_rc rc = source->kind->next(source, &r, &err);
            is_over = rc == KD_END;
            if (is_over) {
                break;
            }
            bench_must(rc, &err, "generator");
            if (!b->has_sessions) {
                r.session_id = KD_STR_NULL;
            }
            bench_must(kd_record_copy(&r, b->epoch, &b->records[in_epoch], &err), &err, "copy");
            note_recent(b, n, &r);
            source->kind->release(source);
        }
        double took = apply_epoch(b, in_epoch);
        kd_arena_reset(b->epoch);
        whole += took;
        tenth += took;
        in_tenth += (int64_t)in_epoch;
        if (in_tenth >= b->events / 10) {
            bench_numbers_add(&tenths, (double)in_tenth / tenth);
            tenth = 0;
            in_tenth = 0;
        }
    }
    source->kind->close(source);
    bench_result("apply, large", b->kase, "events/s", (double)n / whole, "1/s", (size_t)n);
    bench_result("apply, large", b->kase, "events/s, last tenth",
                 tenths.n > 0 ? tenths.v[tenths.n - 1] : 0, "1/s", 1);
    bench_numbers_dispose(&tenths);
}

static void bench_memory(const large *b)
{
    double interactions = 0, id_strings = 0, total = 0;
    const kd_stat *stats = kd_recommender_stats(b->rec);
    for (const kd_stat *s = stats; s->name != NULL; s++) {
        if (strcmp(s->name, "interactions") == 0) {
            interactions = (double)s->value;
        }
        id_strings = strcmp(s->name, "memory.id-strings") == 0 ? (double)s->value : id_strings;
        total = strcmp(s->name, "memory.total") == 0 ? (double)s->value : total;
    }
    for (const kd_stat *s = stats; s->name != NULL; s++) {
        if (strcmp(s->name, "shoppers") == 0 || strcmp(s->name, "interactions") == 0) {
            bench_result("memory, large", b->kase, s->name, (double)s->value, "", 1);
        } else if (strncmp(s->name, "memory.", 7) == 0 && s->value > 0 &&
                   strcmp(s->unit, "bytes") == 0) {
            bench_result("memory, large", b->kase, s->name, (double)s->value, "bytes", 1);
        }
    }
    bench_result("memory, large", b->kase, "bytes an interaction", total / interactions, "", 1);
    bench_result("memory, large", b->kase, "of id strings, beside", id_strings / interactions, "",
                 1);
}

static void bench_recommend(const large *b, const kd_recommender *rec, int audience)
{
    kd_err err = {0};
    kd_reader_space *space = NULL;
    kd_arena *arena = kd_arena_new(0);
    bench_numbers times = {0};
    char kase[96];
    snprintf(kase, sizeof kase, "%s, audience %d", b->kase, audience);
    bench_must(kd_reader_space_new(rec, &space, &err), &err, "reader");
    double cpu = bench_cpu_now();
    for (int k = 0; k < N_ASKED && k < b->events; k++) {
        const kd_record *r = &b->recent[k];
        kd_query q = {.shopper_id = kd_recommender_shopper(rec, r),
                      .time = r->time,
                      .item_id = r->item_id,
                      .trigger = r->pos};
        kd_update u = {0};
        double began = bench_now();
        bench_must(kd_recommender_answer(rec, space, &q, arena, &u, NULL, &err), &err, "answer");
        bench_numbers_add(&times, bench_now() - began);
        kd_arena_reset(arena);
    }
    cpu = bench_cpu_now() - cpu;
    bench_result("recommend, large", kase, "lists/s", (double)times.n / cpu, "1/s", times.n);
    bench_result("recommend, large", kase, "p50", bench_quantile(&times, 0.5) * 1e6, "us", times.n);
    bench_result("recommend, large", kase, "p99", bench_quantile(&times, 0.99) * 1e6, "us",
                 times.n);
    bench_numbers_dispose(&times);
    kd_reader_space_free(space);
    kd_arena_free(arena);
}

/* Applies one record; the seconds it took. */
static double apply_one(kd_recommender *rec, kd_record_type type, const char *shopper,
                        const char *item, kd_ms time)
{
    kd_err err = {0};
    kd_record r;
    kd_applied applied;
    kd_record_init(&r, type);
    r.user_id = kd_str_of(shopper);
    r.item_id = kd_str_of(item);
    r.time = r.ts = time;
    double began = bench_now();
    bench_must(kd_recommender_apply(rec, &r, &applied, &err), &err, "apply");
    double took = bench_now() - began;
    bench_must(kd_recommender_prepare(rec, &err), &err, "prepare");
    return took;
}

static void report(const char *bench, const char *kase, bench_numbers *times)
{
    bench_result(bench, kase, "p50", bench_quantile(times, 0.5) * 1e6, "us", times->n);
    bench_result(bench, kase, "p99", bench_quantile(times, 0.99) * 1e6, "us", times->n);
    bench_result(bench, kase, "greatest", bench_quantile(times, 1) * 1e6, "us", times->n);
    bench_numbers_dispose(times);
}

/* The shoppers of the last events: they have more than the average one. */
static void bench_forget(const large *b)
{
    bench_numbers times = {0};
    for (int k = 0; k < N_FORGOTTEN && k < b->events; k++) {
        char shopper[KD_ID_MAX + 1];
        const kd_record *r = &b->recent[k];
        memcpy(shopper, r->user_id.p, r->user_id.n);
        shopper[r->user_id.n] = '\0';
        bench_numbers_add(&times, apply_one(b->rec, KD_FORGET, shopper, NULL, r->time + k));
    }
    report("forget, large", b->kase, &times);
}

/* An item that `fan` shoppers have: its audience changes at random places. */
static void bench_fan(const large *b, int64_t fan)
{
    enum { N = 100000 };
    const kd_ms start = 1704067200000;
    kd_recommender *rec = make(b, 500);
    kd_rng rng;
    kd_rng_init(&rng, 20240101);
    char shopper[32], kase[64];
    snprintf(kase, sizeof kase, "%lld shoppers have it", (long long)fan);
    for (int64_t k = 0; k < fan; k++) {
        snprintf(shopper, sizeof shopper, "u%lld", (long long)k);
        (void)apply_one(rec, KD_BROWSE, shopper, "everybodys", start + k);
    }
    bench_numbers again = {0}, gone = {0};
    for (int k = 0; k < N; k++) {
        snprintf(shopper, sizeof shopper, "u%llu",
                 (unsigned long long)kd_rng_below(&rng, (uint64_t)fan));
        bench_numbers_add(&again,
                          apply_one(rec, KD_BROWSE, shopper, "everybodys", start + fan + k));
    }
    for (int k = 0; k < N; k++) {
        snprintf(shopper, sizeof shopper, "u%llu",
                 (unsigned long long)kd_rng_below(&rng, (uint64_t)fan));
        bench_numbers_add(&gone, apply_one(rec, KD_FORGET, shopper, NULL, start + fan + N));
    }
    report("one item: seen again", kase, &again);
    report("one item: forgotten", kase, &gone);
    kd_recommender_free(rec);
}

int main(int argc, char **argv)
{
    large b = {.shoppers = bench_arg(argc, argv, "--shoppers", 1000000),
               .items = bench_arg(argc, argv, "--items", 100000),
               .events = bench_arg(argc, argv, "--events", 10000000),
               .neighbours = (int)bench_arg(argc, argv, "--neighbours", 50),
               .has_sessions = bench_arg(argc, argv, "--sessions", 1) != 0,
               .epoch = kd_arena_new(0),
               .recent_text = kd_arena_new(0)};
    int64_t fan = bench_arg(argc, argv, "--fan", 1000000);
    snprintf(b.kase, sizeof b.kase, "%lldk shoppers, %lldk events, k %d%s",
             (long long)b.shoppers / 1000, (long long)b.events / 1000, b.neighbours,
             b.has_sessions ? "" : ", no sessions");
    b.records = calloc(EPOCH, sizeof *b.records);
    b.recent = calloc(N_ASKED, sizeof *b.recent);
    if (b.records == NULL || b.recent == NULL) {
        bench_must(KD_ENOMEM, NULL, "records");
        return 1;
    }
    b.rec = make(&b, 500);
    bench_apply(&b);
    bench_memory(&b);
    bench_recommend(&b, b.rec, 500);
    bench_forget(&b);
    kd_recommender_free(b.rec);
    if (fan > 0) {
        bench_fan(&b, fan);
    }
    free(b.records);
    free(b.recent);
    kd_arena_free(b.epoch);
    kd_arena_free(b.recent_text);
    return 0;
}
