/* bench_snapshot.c - what a snapshot costs while events go on, and how fast state comes back.
 *
 *   bench_snapshot [--interactions 10000000] [--shoppers 400000] [--items 50000] [--links 100000]
 *
 * fill      distinct interactions are applied until the state holds that many
 * save      in slices as the live loop takes them (KD_SLICE_* of topology/snapshot.h), an epoch of
 *           128 events applied between two: the longest begin, slice and epoch, in milliseconds
 * load      the bytes back into an empty state, digest checked: interactions a second
 * log       the same interactions applied as records, without decoding, for comparison
 * Bytes stay in memory: a disk's speed is the disk's. */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "operators/recommender.h"
#include "operators/state.h"
#include "topology/snapshot.h"

typedef struct shop {
    kd_rng rng;
    int64_t shoppers, items, links, n;
    kd_ms time;
} shop;

static kd_recommender *make(void)
{
    kd_opt_values v;
    kd_err err = {0};
    kd_recommender *r = NULL;
    bench_options(&v, 50, 500);
    bench_must(kd_recommender_new(&v, &r, &err), &err, "recommender");
    kd_opt_values_dispose(&v);
    return r;
}

/* One more event: everybody equally, items by a rough Zipf (the product of two draws). */
static void event(shop *s, kd_recommender *r)
{
    char user[24], item[24], session[24];
    kd_record rec;
    kd_applied applied;
    kd_err err = {0};
    double x = (double)kd_rng_below(&s->rng, 1 << 20) / (1 << 20);
    kd_record_init(&rec, KD_BROWSE);
    int64_t u = (int64_t)kd_rng_below(&s->rng, (uint64_t)s->shoppers);
    snprintf(user, sizeof user, "shopper-%08lld", (long long)u);
    snprintf(item, sizeof item, "item-%06lld", (long long)(x * x * x * (double)s->items));
    rec.user_id = kd_str_of(user);
    rec.item_id = kd_str_of(item);
    if (u < s->links) {
        snprintf(session, sizeof session, "session-%08lld", (long long)u);
        rec.session_id = kd_str_of(session);
    }
    s->time += kd_rng_below(&s->rng, 400);
    rec.time = rec.ts = s->time;
    bench_must(kd_recommender_apply(r, &rec, &applied, &err), &err, "apply");
    if (++s->n % 128 == 0)
        bench_must(kd_recommender_prepare(r, &err), &err, "prepare");
}

static double longest(double *most, double began)
{
    double took = bench_now() - began;
    if (took > *most)
        *most = took;
    return took;
}

static void save(shop *s, kd_recommender *r, kd_buf *bytes)
{
    kd_err err = {0};
    kd_saver *v = NULL;
    double slice = 0, epoch = 0, began = bench_now(), begin = 0, writing = 0;
    size_t n = 0;
    bench_must(kd_recommender_save(r, &v, &err), &err, "save");
    longest(&begin, began);
    for (bool done = false; !done; n++) {
        double at = bench_now();
        bench_must(kd_saver_step(v, KD_SLICE_SLOTS, KD_SLICE_BYTES, bytes, &done, &err), &err,
                   "step");
        writing += longest(&slice, at);
        at = bench_now();
        for (int k = 0; k < 128; k++)
            event(s, r);
        longest(&epoch, at);
    }
    bench_result("snapshot", "save", "begin", begin * 1e3, "ms", 1);
    bench_result("snapshot", "save", "longest slice", slice * 1e3, "ms", n);
    bench_result("snapshot", "save", "longest epoch", epoch * 1e3, "ms", n);
    bench_result("snapshot", "save", "in slices", writing * 1e3, "ms", n);
    bench_result("snapshot", "save", "bytes an interaction",
                 (double)bytes->n / (double)kd_saver_saved(v)->interactions, "bytes", 1);
    bench_result("snapshot", "save", "interactions", (double)kd_saver_saved(v)->interactions, "",
                 1);
    kd_saver_end(v);
}

typedef struct tape {
    const kd_buf *b;
    size_t at;
} tape;

static kd_rc tape_read(void *arg, void *p, size_t n, kd_err *err)
{
    tape *t = arg;
    if (t->b->n - t->at < n)
        return kd_fail(err, KD_EIO, "it ends");
    memcpy(p, t->b->p + t->at, n);
    t->at += n;
    return KD_OK;
}

static void load(const kd_buf *bytes)
{
    kd_err err = {0};
    tape t = {bytes, 0};
    kd_block_source from = {tape_read, &t};
    kd_load_options o = {0};
    kd_saved saved;
    kd_recommender *r = make();
    double began = bench_now();
    bench_must(kd_recommender_load(r, KD_STATE_VERSION, &from, &o, &saved, &err), &err, "load");
    bench_result("snapshot", "load", "interactions/s",
                 (double)saved.interactions / (bench_now() - began), "1/s", 1);
    kd_recommender_free(r);
}

int main(int argc, char **argv)
{
    shop s = {.shoppers = bench_arg(argc, argv, "shoppers", 400000),
              .items = bench_arg(argc, argv, "items", 50000),
              .links = bench_arg(argc, argv, "links", 100000),
              .time = INT64_C(1700000000000)};
    int64_t want = bench_arg(argc, argv, "interactions", 10000000);
    kd_rng_init(&s.rng, 20261129);
    kd_recommender *r = make();
    double began = bench_now();
    while (kd_recommender_state(r)->n_entries < want)
        event(&s, r);
    bench_result("snapshot", "log", "events/s", (double)s.n / (bench_now() - began), "1/s", 1);
    kd_buf bytes = {0};
    save(&s, r, &bytes);
    kd_recommender_free(r);
    for (int k = 0; k < 3; k++)
        load(&bytes);
    kd_buf_dispose(&bytes);
    return 0;
}
