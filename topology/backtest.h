/* backtest.h - yesterday's log through several configurations at once, each judged by what
 * shoppers took next.
 *
 *   source -> reader: a batch of records, copied, with the truth about each
 *          -> one run a configuration: its own pipeline, recommender, judge
 *
 * The log is read and decoded once. A batch is handed to every run; a run works through batches in
 * order, on one thread at a time. Threads take whatever is to be done next: reading a batch, or the
 * run that is furthest behind. So the decode of the next batch runs beside the runs, and runs
 * beside each other; they share nothing but batches, which nobody writes any more.
 *
 * I1 output digest, state digest and judgement of a run depend on the log and its configuration
 *    alone: not on threads, speed, or the other runs. The digests are those of `kindred replay`.
 * I2 a batch is given back when every run has finished the epochs that hold records of it
 * I3 nothing is produced, committed or answered
 * @thread main for the calls
 */
#ifndef KD_BACKTEST_H
#define KD_BACKTEST_H

#include "evaluation/compare.h"
#include "topology/config.h"
#include "topology/replay.h"

typedef struct kd_backtest kd_backtest;

typedef struct kd_backtest_options {
    uint32_t threads;       /* >= 1 */
    kd_truth_options score; /* what is judged, and what only teaches */
    kd_cutoffs cutoffs;
    kd_ms window; /* 0 = by itself */
    uint64_t seed;
    uint32_t resamples;
    int64_t max_dead_letters;
    const volatile int *stop;   /* nullable */
    kd_progress_fn on_progress; /* nullable; counts are of the run that is furthest behind */
    void *progress_arg;
} kd_backtest_options;

/* What was measured of a run: no output depends on it. */
typedef struct kd_pace {
    int64_t busy_us; /* in its pipeline and judge, all of it */
    int64_t judge_us;
    double p50_us, p90_us, p99_us; /* of a list: its epoch's time over the epoch's lists */
} kd_pace;

/* Borrows the source and the configurations until kd_backtest_free. The configurations must agree
 * on `shopper` (KD_ECONFIG): they are compared shopper by shopper. */
KD_CHECK kd_rc kd_backtest_new(const kd_backtest_options *o, kd_source *source,
                               const kd_config *const *configs, uint32_t n, kd_backtest **out,
                               kd_err *err);
void kd_backtest_free(kd_backtest *b);
/* Starts the source and runs to its end, or to *stop; then compares. */
KD_CHECK kd_rc kd_backtest_go(kd_backtest *b, kd_err *err);

/* -- what came of it -- */

const kd_compare *kd_backtest_compare(const kd_backtest *b);
const kd_scorer *kd_backtest_scorer(const kd_backtest *b, uint32_t run);
const kd_counts *kd_backtest_counts(const kd_backtest *b, uint32_t run);
kd_digest kd_backtest_output_digest(const kd_backtest *b, uint32_t run);
kd_digest kd_backtest_state_digest(const kd_backtest *b, uint32_t run);
kd_pace kd_backtest_pace(const kd_backtest *b, uint32_t run);
/* Of the log: shoppers and items met, event times of the first and the last event. */
typedef struct kd_backtest_log {
    int64_t records, dead_letters;
    uint32_t shoppers, items;
    kd_ms first, last;
    int64_t elapsed_us, read_us, compare_us; /* measured */
} kd_backtest_log;
kd_backtest_log kd_backtest_log_of(const kd_backtest *b);

#endif
