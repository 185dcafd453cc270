#include "topology/backtest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sinks/sinks.h"
#include "topology/batches.h"
#include "topology/latencies.h"
#include "topology/pool.h"

enum {
    /* Records, or the longest epoch: one batch more always ends an epoch. One run alone shares the
     * processor's cache with short batches; several take turns with long ones, since each finds the
     * cache full of another's state. */
    BATCH_OF_ONE = 512,
    BATCH_OF_SEVERAL = 16384,
    AHEAD = 3, /* batches that are read before they are needed */
    PERMUTATIONS = 1999,
    PATIENCE_MS = 60000, /* of a source that says KD_RETRY */
    WAIT_MS = 20,
};

typedef struct open_item {
    const kd_batch_item *item;
    uint64_t batch;
} open_item;

/* One configuration on its way through the log. */
typedef struct run {
    kd_source tap; /* what its pipeline reads; must be first */
    struct judge {
        kd_sink sink; /* what its pipeline writes to; must be first */
        struct run *run;
    } judge;
    kd_sink *digest;
    kd_recommender *rec;
    kd_pipeline *pipeline;
    kd_scorer *scorer;
    const kd_batch *batch; /* in work */
    uint32_t at;           /* next item of it */
    open_item *open;       /* owned: handed out, and not told to the judge */
    uint32_t n_open, cap_open;
    uint32_t cursor;  /* where the trigger of the last list stood in `open` */
    uint32_t n_noted; /* of `open`, in the epoch that is being emitted */
    bool has_ended;   /* the log */
    /* The scheduler's, written under its lock: */
    uint64_t n_batch; /* number of the batch in work, or of the next one */
    uint64_t floor;   /* the first batch that it still needs */
    bool is_busy, is_over;
    kd_pace pace;
    kd_latencies latencies;
    int64_t epoch_us, last_answers;
} run;

struct kd_backtest {
    kd_backtest_options opt;
    kd_source *source; /* borrowed */
    kd_truth *truth;
    kd_batch_reader reader;
    run *runs; /* [n] */
    uint32_t n;
    uint32_t batch_size;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    kd_batch **batches; /* owned, [n_batches]: those from number `first` on */
    uint64_t first, n_read;
    uint32_t n_batches, cap_batches;
    kd_batch **spare; /* owned, [n_spare] */
    uint32_t n_spare, cap_spare;
    bool is_reading, is_ended, is_stopped;
    int64_t retry_since_ms;
    kd_rc rc; /* the first failure, and why */
    kd_err err;
    kd_compare *compare;
    int64_t start_us, elapsed_us, read_us, compare_us;
};

/* -- a run: what its pipeline reads -------------------------------------------------------------
 */

static kd_rc start_nothing(kd_source *s, kd_err *err)
{
    (void)s;
    (void)err;
    return KD_OK;
}

/* KD_AGAIN: the batch is through. */
static kd_rc tap_next(kd_source *s, kd_record *out, kd_err *err)
{
    run *r = (run *)s;
    if (r->at == r->batch->n)
        return r->batch->is_last ? KD_END : KD_AGAIN;
    if (!kd_grow((void **)&r->open, &r->cap_open, r->n_open + 1, sizeof *r->open))
        return kd_fail(err, KD_ENOMEM, "no memory for an epoch");
    const kd_batch_item *it = &r->batch->items[r->at++];
    r->open[r->n_open++] = (open_item){it, r->n_batch};
    *out = it->record;
    if (it->bad == NULL)
        return KD_OK;
    if (err != NULL)
        *err = *it->bad;
    return KD_EDATA;
}

static void tap_release(kd_source *s)
{
    (void)s; /* see end_epoch */
}

static void tap_progress(const kd_source *s, kd_progress *out)
{
    (void)s;
    *out = (kd_progress)KD_PROGRESS_UNKNOWN;
}

static void tap_close(kd_source *s)
{
    (void)s;
}

static const kd_source_kind tap_kind = {
    .name = "backtest",
    .start = start_nothing,
    .next = tap_next,
    .release = tap_release,
    .progress = tap_progress,
    .close = tap_close,
};

/* -- a run: what its pipeline writes ------------------------------------------------------------
 */

/* The judge hears of the epoch's records, all but the one that was pushed back, which is the last
 * one handed out; only then of the epoch's lists. */
static kd_rc note_epoch(run *r, kd_err *err)
{
    const kd_pos *pending;
    (void)kd_pipeline_between(r->pipeline, &pending);
    uint32_t n = r->n_open - (pending != NULL);
    for (; r->n_noted < n; r->n_noted++) {
        const kd_batch_item *it = r->open[r->n_noted].item;
        if (it->bad == NULL)
            KD_TRY(kd_scorer_note(r->scorer, &it->note, err));
    }
    return KD_OK;
}

static bool is_at(const kd_batch_item *it, const kd_pos *pos)
{
    const kd_pos *p = &it->record.pos;
    return it->note.is_event && p->offset == pos->offset && p->partition == pos->partition &&
           p->topic == pos->topic;
}

/* Whose list it is: that of the record that triggered it. Lists come in the order of their
 * triggers, but for a shopper over its rate. */
static kd_rc find_trigger(run *r, const kd_pos *pos, uint32_t *out, kd_err *err)
{
    for (uint32_t k = 0; k < r->n_noted; k++) {
        uint32_t at = (r->cursor + k) % r->n_noted;
        if (is_at(r->open[at].item, pos)) {
            r->cursor = at;
            *out = r->open[at].item->note.shopper;
            return KD_OK;
        }
    }
    return kd_fail(err, KD_EBUG, "a list names a trigger that is not in its epoch");
}

static kd_rc judge_write(kd_sink *s, const kd_out *out, kd_err *err)
{
    run *r = ((struct judge *)s)->run;
    s->written++;
    if (out->type != KD_OUT_UPDATE)
        return KD_OK;
    KD_TRY(r->digest->kind->write(r->digest, out, err));
    int64_t start = kd_clock_mono_us();
    uint32_t shopper = 0;
    KD_TRY(note_epoch(r, err));
    KD_TRY(find_trigger(r, &out->update->trigger, &shopper, err));
    KD_TRY(kd_scorer_publish(r->scorer, shopper, out->update, err));
    r->pace.judge_us += kd_clock_mono_us() - start;
    return KD_OK;
}

static kd_rc judge_start(kd_sink *s, kd_err *err)
{
    (void)s;
    (void)err;
    return KD_OK;
}

static uint64_t judge_acked(const kd_sink *s)
{
    return s->written;
}

static kd_rc judge_flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    (void)timeout_ms;
    return judge_start(s, err);
}

static void judge_close(kd_sink *s)
{
    (void)s;
}

static const kd_sink_kind judge_kind = {.name = "judge",
                                        .start = judge_start,
                                        .write = judge_write,
                                        .acked = judge_acked,
                                        .flush = judge_flush,
                                        .close = judge_close};

/* -- a run: one batch ---------------------------------------------------------------------------
 */

static kd_rc end_epoch(run *r, kd_err *err)
{
    KD_TRY(note_epoch(r, err));
    uint32_t left = r->n_open - r->n_noted;
    if (left > 0)
        memmove(r->open, r->open + r->n_noted, left * sizeof *r->open);
    r->n_open = left;
    r->n_noted = r->cursor = 0;
    int64_t answers = kd_pipeline_counts(r->pipeline)->answers;
    if (answers > r->last_answers)
        kd_latencies_add(&r->latencies, (double)r->epoch_us / (double)(answers - r->last_answers),
                         (uint64_t)(answers - r->last_answers));
    r->last_answers = answers;
    r->epoch_us = 0;
    return KD_OK;
}

static kd_rc end_log(run *r, kd_err *err)
{
    KD_TRY(end_epoch(r, err));
    for (uint32_t k = 0; k < r->batch->n_units; k++)
        KD_TRY(kd_scorer_unit(r->scorer, &r->batch->units[k], err));
    r->has_ended = true;
    return KD_OK;
}

static kd_rc work_batch(run *r, const kd_batch *batch, kd_err *err)
{
    r->batch = batch;
    r->at = 0;
    kd_rc rc = KD_OK;
    int64_t start = kd_clock_mono_us();
    while (rc == KD_OK && !r->has_ended) {
        rc = kd_pipeline_step(r->pipeline, err);
        int64_t now = kd_clock_mono_us();
        r->epoch_us += now - start;
        r->pace.busy_us += now - start;
        start = now;
        if (rc == KD_OK)
            rc = end_epoch(r, err);
        else if (rc == KD_END)
            rc = end_log(r, err);
    }
    return rc == KD_AGAIN ? KD_OK : rc;
}

/* -- who does what next: all under the lock -----------------------------------------------------
 */

static void give_back(kd_backtest *b)
{
    uint64_t floor = UINT64_MAX;
    for (uint32_t k = 0; k < b->n; k++)
        floor = !b->runs[k].is_over && b->runs[k].floor < floor ? b->runs[k].floor : floor;
    uint32_t n = 0;
    while (n < b->n_batches && b->first + n < floor)
        n++;
    for (uint32_t k = 0; k < n; k++) {
        if (kd_grow((void **)&b->spare, &b->cap_spare, b->n_spare + 1, sizeof(kd_batch *)))
            b->spare[b->n_spare++] = b->batches[k];
        else
            kd_batch_free(b->batches[k]);
    }
    if (n > 0)
        memmove(b->batches, b->batches + n, (b->n_batches - n) * sizeof(kd_batch *));
    b->n_batches -= n;
    b->first += n;
}

/* The run that is furthest behind of those that have something to do; NULL = none. */
static run *next_run(kd_backtest *b)
{
    run *best = NULL;
    for (uint32_t k = 0; k < b->n; k++) {
        run *r = &b->runs[k];
        if (!r->is_busy && !r->is_over && r->n_batch < b->n_read &&
            (best == NULL || r->n_batch < best->n_batch))
            best = r;
    }
    return best;
}

/* `is_wanted`: a run is without work, or will soon be. Reading goes beyond AHEAD only if nobody
 * can go on otherwise: an epoch may stay open over any number of bad records. */
static bool may_read(const kd_backtest *b, bool *is_wanted)
{
    bool any_busy = false, any_ready = false;
    uint64_t foremost = 0;
    for (uint32_t k = 0; k < b->n; k++) {
        const run *r = &b->runs[k];
        any_busy |= r->is_busy;
        any_ready |= !r->is_busy && !r->is_over && r->n_batch < b->n_read;
        foremost = r->n_batch > foremost ? r->n_batch : foremost;
    }
    *is_wanted = b->n_read <= foremost;
    return !b->is_reading && !b->is_ended && (b->n_batches < AHEAD || (!any_busy && !any_ready));
}

static void fail(kd_backtest *b, kd_rc rc, const kd_err *err)
{
    if (b->rc == KD_OK) {
        b->rc = rc;
        b->err = *err;
    }
}

static void wait_ms(int64_t ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};
    nanosleep(&t, NULL);
}

/* True if the source, which said KD_AGAIN or KD_RETRY, shall be asked again. */
static bool is_patient(kd_backtest *b, kd_rc rc)
{
    int64_t now = kd_clock_mono_ms();
    if (rc == KD_AGAIN || b->retry_since_ms == 0)
        b->retry_since_ms = rc == KD_AGAIN ? 0 : now;
    return rc == KD_AGAIN || (rc == KD_RETRY && now - b->retry_since_ms < PATIENCE_MS);
}

static void read_one(kd_backtest *b)
{
    kd_err err = {0};
    kd_batch *x = b->n_spare > 0 ? b->spare[--b->n_spare] : NULL;
    b->is_reading = true;
    pthread_mutex_unlock(&b->lock);
    int64_t start = kd_clock_mono_us();
    kd_rc rc = x == NULL ? kd_batch_new(b->batch_size, &x, &err) : KD_OK;
    if (rc == KD_OK)
        rc = kd_batch_read(&b->reader, x, &err);
    int64_t took = kd_clock_mono_us() - start;
    if ((rc == KD_AGAIN || rc == KD_RETRY) && is_patient(b, rc))
        wait_ms(WAIT_MS);
    else if (rc == KD_RETRY || rc == KD_AGAIN)
        rc = KD_EIO;
    pthread_mutex_lock(&b->lock);
    b->is_reading = false;
    b->read_us += took;
    if (rc == KD_OK &&
        !kd_grow((void **)&b->batches, &b->cap_batches, b->n_batches + 1, sizeof(kd_batch *)))
        rc = kd_fail(&err, KD_ENOMEM, "no memory for a batch");
    if (rc == KD_OK) {
        b->retry_since_ms = 0;
        b->is_ended = x->is_last;
        b->batches[b->n_batches++] = x;
        b->n_read++;
        return;
    }
    if (x != NULL && kd_grow((void **)&b->spare, &b->cap_spare, b->n_spare + 1, sizeof(kd_batch *)))
        b->spare[b->n_spare++] = x;
    else
        kd_batch_free(x);
    if (rc != KD_AGAIN && rc != KD_RETRY)
        fail(b, rc, &err);
}

static void run_one(kd_backtest *b, run *r)
{
    kd_err err = {0};
    const kd_batch *batch = b->batches[r->n_batch - b->first];
    r->is_busy = true;
    pthread_mutex_unlock(&b->lock);
    kd_rc rc = work_batch(r, batch, &err);
    pthread_mutex_lock(&b->lock);
    r->is_busy = false;
    r->is_over = r->has_ended;
    r->n_batch++;
    r->floor = r->n_open > 0 ? r->open[0].batch : r->n_batch;
    if (rc != KD_OK)
        fail(b, rc, &err);
    give_back(b);
}

static bool is_all_over(const kd_backtest *b)
{
    for (uint32_t k = 0; k < b->n; k++)
        if (!b->runs[k].is_over)
            return false;
    return true;
}

static void show(kd_backtest *b, int64_t *shown_ms)
{
    int64_t now = kd_clock_mono_ms();
    if (b->opt.on_progress == NULL || now - *shown_ms < 500 || b->is_reading)
        return;
    *shown_ms = now;
    const run *last = NULL; /* a busy one's counts are being written */
    for (uint32_t k = 0; k < b->n; k++)
        if (!b->runs[k].is_busy && (last == NULL || b->runs[k].n_batch < last->n_batch))
            last = &b->runs[k];
    if (last == NULL)
        return;
    kd_progress progress = KD_PROGRESS_UNKNOWN;
    b->source->kind->progress(b->source, &progress);
    b->opt.on_progress(b->opt.progress_arg, kd_pipeline_counts(last->pipeline), &progress,
                       now - b->start_us / 1000, false);
}

/* @thread each of opt.threads */
static void work(kd_backtest *b, bool is_main)
{
    int64_t shown_ms = kd_clock_mono_ms();
    pthread_mutex_lock(&b->lock);
    while (b->rc == KD_OK && !b->is_stopped && !is_all_over(b)) {
        bool is_wanted;
        bool can_read = may_read(b, &is_wanted);
        run *r = next_run(b);
        if (can_read && (is_wanted || r == NULL))
            read_one(b);
        else if (r != NULL)
            run_one(b, r);
        else {
            pthread_cond_wait(&b->changed, &b->lock);
            continue;
        }
        if (is_main)
            show(b, &shown_ms);
        b->is_stopped |= b->opt.stop != NULL && *b->opt.stop != 0;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
}

static void *thread_main(void *arg)
{
    work(arg, false);
    return NULL;
}

/* -- building -----------------------------------------------------------------------------------
 */

static kd_rc open_run(kd_backtest *b, run *r, const kd_config *c, kd_err *err)
{
    r->tap.kind = &tap_kind;
    r->judge.sink.kind = &judge_kind;
    r->judge.run = r;
    kd_pipeline_options po = kd_config_pipeline(&c->values);
    po.max_dead_letters = b->opt.max_dead_letters;
    po.similar_count = 0;
    if (kd_opt_int(&c->values, "workers") == 0) /* the configurations share the cores */
        po.workers = b->opt.threads > b->n ? b->opt.threads / b->n : 1;
    b->batch_size = po.epoch_max > b->batch_size ? po.epoch_max : b->batch_size;
    KD_TRY(kd_digest_sink_new(&r->digest, err));
    KD_TRY(kd_recommender_new(&c->values, &r->rec, err));
    KD_TRY(kd_scorer_new(&b->opt.cutoffs, b->opt.window, &r->scorer, err));
    return kd_pipeline_new(&po, &r->tap, r->rec, &r->judge.sink, &r->pipeline, err);
}

kd_rc kd_backtest_new(const kd_backtest_options *o, kd_source *source,
                      const kd_config *const *configs, uint32_t n, kd_backtest **out, kd_err *err)
{
    KD_ASSERT(n >= 1 && o->threads >= 1);
    for (uint32_t k = 1; k < n; k++)
        if (kd_opt_int(&configs[k]->values, "shopper") !=
            kd_opt_int(&configs[0]->values, "shopper"))
            return kd_fail(err, KD_ECONFIG,
                           "configurations 1 and %u differ in `shopper`: they are compared "
                           "shopper by shopper, so who that is must be one",
                           k + 1);
    kd_backtest *b = calloc(1, sizeof *b);
    if (b == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a backtest");
    b->opt = *o;
    b->source = source;
    b->n = n;
    b->batch_size = n == 1 ? BATCH_OF_ONE : BATCH_OF_SEVERAL;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    b->runs = calloc(n, sizeof *b->runs);
    kd_rc rc = b->runs == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a backtest") : KD_OK;
    if (rc == KD_OK)
        rc = kd_truth_new(&o->score, &b->truth, err);
    for (uint32_t k = 0; rc == KD_OK && k < n; k++)
        rc = open_run(b, &b->runs[k], configs[k], err);
    if (rc != KD_OK) {
        kd_backtest_free(b);
        return rc;
    }
    b->reader = (kd_batch_reader){.source = source,
                                  .who = b->runs[0].rec,
                                  .truth = b->truth,
                                  .first = KD_MS_NONE,
                                  .last = KD_MS_NONE};
    *out = b;
    return KD_OK;
}

void kd_backtest_free(kd_backtest *b)
{
    if (b == NULL)
        return;
    kd_compare_free(b->compare);
    for (uint32_t k = 0; b->runs != NULL && k < b->n; k++) {
        run *r = &b->runs[k];
        kd_pipeline_free(r->pipeline);
        kd_scorer_free(r->scorer);
        kd_recommender_free(r->rec);
        if (r->digest != NULL)
            r->digest->kind->close(r->digest);
        free(r->open);
    }
    for (uint32_t k = 0; k < b->n_batches; k++)
        kd_batch_free(b->batches[k]);
    for (uint32_t k = 0; k < b->n_spare; k++)
        kd_batch_free(b->spare[k]);
    kd_truth_free(b->truth);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    free(b->batches);
    free(b->spare);
    free(b->runs);
    free(b);
}

/* -- going --------------------------------------------------------------------------------------
 */

static void replicate(void *arg, uint32_t worker, uint32_t index)
{
    kd_compare_replicate(arg, worker, index);
}

static kd_rc compare(kd_backtest *b, kd_err *err)
{
    int64_t start = kd_clock_mono_us();
    kd_compare_options o = {.seed = b->opt.seed,
                            .resamples = b->opt.resamples,
                            .permutations = PERMUTATIONS,
                            .workers = b->opt.threads};
    kd_pool *pool = NULL;
    kd_scorer **scorers = calloc(b->n, sizeof(kd_scorer *));
    kd_rc rc = scorers == NULL ? kd_fail(err, KD_ENOMEM, "no memory to compare") : KD_OK;
    for (uint32_t k = 0; rc == KD_OK && k < b->n; k++)
        scorers[k] = b->runs[k].scorer;
    if (rc == KD_OK)
        rc = kd_compare_new(&o, scorers, b->n, &b->compare, err);
    if (rc == KD_OK)
        rc = kd_pool_new(b->opt.threads, &pool, err);
    if (rc == KD_OK) {
        kd_pool_run(pool, kd_compare_replicates(b->compare), replicate, b->compare);
        rc = kd_compare_finish(b->compare, err);
    }
    kd_pool_free(pool);
    free(scorers);
    b->compare_us = kd_clock_mono_us() - start;
    return rc;
}

static kd_rc go_through(kd_backtest *b, kd_err *err)
{
    pthread_t *threads = calloc(b->opt.threads, sizeof *threads);
    if (threads == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u threads", b->opt.threads);
    uint32_t n = 1;
    while (n < b->opt.threads && pthread_create(&threads[n], NULL, thread_main, b) == 0)
        n++;
    work(b, true); /* with fewer threads than were asked for, if need be */
    for (uint32_t k = 1; k < n; k++)
        pthread_join(threads[k], NULL);
    free(threads);
    if (b->rc != KD_OK && err != NULL)
        *err = b->err;
    return b->rc;
}

kd_rc kd_backtest_go(kd_backtest *b, kd_err *err)
{
    b->start_us = kd_clock_mono_us();
    KD_TRY(b->source->kind->start(b->source, err));
    KD_TRY(go_through(b, err));
    b->elapsed_us = kd_clock_mono_us() - b->start_us;
    if (b->opt.on_progress != NULL) {
        kd_progress progress = KD_PROGRESS_UNKNOWN;
        b->opt.on_progress(b->opt.progress_arg, kd_pipeline_counts(b->runs[0].pipeline), &progress,
                           b->elapsed_us / 1000, true);
    }
    return b->is_stopped ? KD_OK : compare(b, err);
}

/* -- results ------------------------------------------------------------------------------------
 */

const kd_compare *kd_backtest_compare(const kd_backtest *b)
{
    return b->compare;
}

const kd_scorer *kd_backtest_scorer(const kd_backtest *b, uint32_t k)
{
    return b->runs[k].scorer;
}

const kd_counts *kd_backtest_counts(const kd_backtest *b, uint32_t k)
{
    return kd_pipeline_counts(b->runs[k].pipeline);
}

kd_digest kd_backtest_output_digest(const kd_backtest *b, uint32_t k)
{
    return kd_digest_sink_value(b->runs[k].digest);
}

kd_digest kd_backtest_state_digest(const kd_backtest *b, uint32_t k)
{
    return kd_recommender_digest(b->runs[k].rec);
}

kd_pace kd_backtest_pace(const kd_backtest *b, uint32_t k)
{
    kd_pace p = b->runs[k].pace;
    p.p50_us = kd_latencies_quantile(&b->runs[k].latencies, 0.5);
    p.p90_us = kd_latencies_quantile(&b->runs[k].latencies, 0.9);
    p.p99_us = kd_latencies_quantile(&b->runs[k].latencies, 0.99);
    return p;
}

kd_backtest_log kd_backtest_log_of(const kd_backtest *b)
{
    return (kd_backtest_log){.records = b->reader.records,
                             .dead_letters = b->reader.bad,
                             .shoppers = kd_truth_shoppers(b->truth),
                             .items = kd_truth_items(b->truth),
                             .first = b->reader.first,
                             .last = b->reader.last,
                             .elapsed_us = b->elapsed_us,
                             .read_us = b->read_us,
                             .compare_us = b->compare_us};
}
