/* run.h - the live loop: libuv around the pipeline. The only room that knows uv.
 *
 * Who wakes it: the source (from a thread of its own, through uv_async_send), a timer (an idle
 * consumer must be polled too), SIGINT and SIGTERM.
 * I1  the wake callback does nothing but uv_async_send; the pipeline runs on the loop thread alone
 * I2  a burst of work is cut by a budget and re-armed, so that timers and signals are served
 * I3  positions are committed only after every output written before the mark is durable
 * I4  stop: take no more, answer what was taken, flush, commit, report
 * I6  a snapshot begins between two epochs; it is written in slices between bursts, and a failed
 * one is said and costs nothing else I5  a full sink pauses the source and is tried again soon;
 * nothing is dropped
 */
#ifndef KD_RUN_H
#define KD_RUN_H

#include "topology/replay.h"
#include "topology/snapshot.h"

typedef struct kd_run_options {
    int64_t commit_interval_ms; /* >= 1 */
    int64_t flush_timeout_ms;   /* at the end; 0 = 30 s */
    bool handle_signals;        /* SIGINT, SIGTERM end the run in order */
    kd_progress_fn on_progress; /* nullable; about once a second, and at the end */
    void *progress_arg;
    void (*on_notice)(void *arg, const char *text); /* nullable: one line when something that is
                                                        waited for goes away or comes back */
    void *notice_arg;
    kd_snapshots *snapshots; /* nullable, borrowed; then the two below are needed */
    kd_recommender *rec;     /* borrowed */
    int64_t snapshot_interval_ms;
} kd_run_options;

typedef struct kd_run kd_run;

/* Borrows all but the options until kd_run_free. */
KD_CHECK kd_rc kd_run_new(const kd_run_options *o, kd_pipeline *p, kd_source *source, kd_sink *sink,
                          kd_run **out, kd_err *err);
void kd_run_free(kd_run *r);

/* Runs until the source ends, a signal or kd_run_stop (KD_OK), or a failure that waiting does not
 * mend. */
KD_CHECK kd_rc kd_run_loop(kd_run *r, kd_err *err);
/* Ends the run in order. @thread any */
void kd_run_stop(kd_run *r);
/* Ends the run in order when *stop is not 0, also if it was so before the loop began: a signal may
 * come between. Borrowed until kd_run_free. */
void kd_run_stop_when(kd_run *r, const volatile int *stop);

/* Makes one, runs it, frees it. */
KD_CHECK kd_rc kd_run_once(const kd_run_options *o, kd_pipeline *p, kd_source *source,
                           kd_sink *sink, kd_err *err);

#endif
