#include "topology/run.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <uv.h>

#include "base/clock.h"
#include "topology/commit.h"

enum {
    POLL_MS = 50,      /* an idle source and the sink's deliveries are looked after this often */
    BLOCKED_MS = 1,    /* a full sink is tried again */
    BUDGET_US = 10000, /* of one burst, before timers and signals get their turn */
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 5000,
    PROGRESS_MS = 1000,
    SLICE_MS = 1,       /* between two slices of a snapshot */
    COPY_NS = 10000000, /* between two looks at the last copy */
    POSITIONS = 65536,
    FLUSH_MS = 30000,
};

struct kd_run {
    kd_run_options opt;
    kd_pipeline *pipeline; /* borrowed, as the next two */
    kd_source *source;
    kd_sink *sink;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t poll, again, commit, progress, snapshot, slice;
    uv_signal_t sigint, sigterm;
    _Atomic int stop;
    const volatile int *stop_when; /* nullable, borrowed */
    bool is_loop_open, is_paused, is_done;
    int64_t retry_ms; /* 0: not retrying */
    kd_committer committer;
    int64_t start_ms;
    kd_rc rc;
    kd_err err;
    kd_source_pos *positions; /* owned, [POSITIONS] with snapshots */
};

static void notice(kd_run *r, const char *text)
{
    if (r->opt.on_notice != NULL)
        r->opt.on_notice(r->opt.notice_arg, text);
}

static void finish(kd_run *r, kd_rc rc, const kd_err *err)
{
    if (r->is_done)
        return;
    r->is_done = true;
    r->rc = rc;
    if (err != NULL)
        r->err = *err;
    uv_stop(&r->loop);
}

static void set_paused(kd_run *r, bool is_paused)
{
    if (r->is_paused == is_paused)
        return;
    r->is_paused = is_paused;
    if (r->source->kind->pause != NULL)
        r->source->kind->pause(r->source, is_paused);
}

static void on_again(uv_timer_t *t);
static kd_rc tend_copies(kd_run *r);

static void back_off(kd_run *r, const kd_err *why)
{
    if (r->retry_ms == 0) {
        char text[sizeof why->where + sizeof why->msg + 32];
        snprintf(text, sizeof text, "%s%s%s; trying again", why->where,
                 why->where[0] == '\0' ? "" : ": ", why->msg);
        notice(r, text);
        r->retry_ms = RETRY_MIN_MS;
    } else if (r->retry_ms < RETRY_MAX_MS) {
        r->retry_ms = r->retry_ms * 2 < RETRY_MAX_MS ? r->retry_ms * 2 : RETRY_MAX_MS;
    }
    uv_timer_start(&r->again, on_again, (uint64_t)r->retry_ms, 0);
}

static void back_to_work(kd_run *r)
{
    if (r->retry_ms > 0)
        notice(r, "back to work");
    r->retry_ms = 0;
}

static bool serve_sink(kd_run *r)
{
    kd_err err = {0};
    kd_rc rc = r->sink->kind->poll == NULL ? KD_OK : r->sink->kind->poll(r->sink, &err);
    if (rc != KD_OK && rc != KD_RETRY)
        finish(r, rc, &err);
    return !r->is_done;
}

/* Works until there is nothing to do, the sink is full, or the budget is used up. */
static void pump(kd_run *r)
{
    int64_t until = kd_clock_mono_us() + BUDGET_US;
    while (!r->is_done) {
        if (atomic_load(&r->stop) != 0 && !kd_pipeline_blocked(r->pipeline)) {
            finish(r, KD_OK, NULL);
            break;
        }
        kd_err err = {0};
        kd_rc rc = kd_pipeline_step(r->pipeline, &err);
        bool is_blocked = kd_pipeline_blocked(r->pipeline);
        set_paused(r, is_blocked);
        if (rc == KD_OK) {
            back_to_work(r);
            if (kd_clock_mono_us() < until)
                continue;
            uv_async_send(&r->wake);
        } else if (rc == KD_AGAIN && is_blocked) {
            uv_timer_start(&r->again, on_again, BLOCKED_MS, 0);
        } else if (rc == KD_RETRY) {
            back_off(r, &err);
        } else if (rc == KD_END) {
            finish(r, KD_OK, NULL);
        } else if (rc != KD_AGAIN) {
            finish(r, rc, &err);
        }
        break;
    }
    serve_sink(r);
}

/* -- callbacks: @thread loop ----------------------------------------------------------------------
 */

static void on_async(uv_async_t *a)
{
    pump(a->data);
}

static void on_again(uv_timer_t *t)
{
    pump(t->data);
}

static void on_poll(uv_timer_t *t)
{
    kd_run *r = t->data;
    bool is_asked = r->stop_when != NULL && *r->stop_when != 0;
    if (is_asked)
        atomic_store(&r->stop, 1);
    if (is_asked || (r->retry_ms == 0 && !r->is_paused))
        pump(r);
    else
        serve_sink(r);
    if (r->opt.snapshots != NULL)
        (void)tend_copies(r);
}

static void on_commit(uv_timer_t *t)
{
    kd_run *r = t->data;
    kd_err err = {0};
    if (!serve_sink(r))
        return;
    kd_rc rc = kd_committer_tick(&r->committer, &err);
    if (rc != KD_OK)
        finish(r, rc, &err);
}

/* -- snapshots --------------------------------------------------------------------------------- */

static void snapshot_failed(kd_run *r, const kd_err *why)
{
    char text[sizeof why->where + sizeof why->msg + 64];
    snprintf(text, sizeof text, "no snapshot: %s%s%s; the next one is due in its time", why->where,
             why->where[0] == '\0' ? "" : ": ", why->msg);
    notice(r, text);
}

/* KD_AGAIN: not now, an epoch is under way. */
static kd_rc begin_snapshot(kd_run *r)
{
    const kd_pos *pending;
    kd_err err = {0};
    if (!kd_pipeline_between(r->pipeline, &pending))
        return KD_AGAIN;
    size_t n = r->source->kind->positions(r->source, pending, r->positions, POSITIONS);
    kd_rc rc = n > POSITIONS
                   ? kd_fail(&err, KD_ECONFIG, "%zu partitions, at most %d are saved", n, POSITIONS)
                   : kd_snapshots_begin(r->opt.snapshots, r->opt.rec, r->positions, n, &err);
    if (rc != KD_OK)
        snapshot_failed(r, &err);
    return rc;
}

static void step_snapshot(kd_run *r, bool wait)
{
    kd_err err = {0};
    kd_rc rc = kd_snapshots_step(r->opt.snapshots, wait, &err);
    if (rc != KD_AGAIN && rc != KD_OK)
        snapshot_failed(r, &err);
}

static void on_slice(uv_timer_t *t)
{
    kd_run *r = t->data;
    if (!kd_snapshots_is_open(r->opt.snapshots) && begin_snapshot(r) == KD_AGAIN)
        return; /* the timer comes again */
    if (kd_snapshots_is_open(r->opt.snapshots))
        step_snapshot(r, false);
    if (!kd_snapshots_is_open(r->opt.snapshots))
        uv_timer_stop(t);
}

static void on_snapshot(uv_timer_t *t)
{
    kd_run *r = t->data;
    if (!uv_is_active((uv_handle_t *)&r->slice))
        uv_timer_start(&r->slice, on_slice, SLICE_MS, SLICE_MS);
}

/* KD_AGAIN: a copy is under way. */
static kd_rc tend_copies(kd_run *r)
{
    kd_err err = {0};
    kd_rc rc = kd_snapshots_tend(r->opt.snapshots, &err);
    if (rc != KD_OK && rc != KD_AGAIN) {
        char text[sizeof err.msg + 64];
        snprintf(text, sizeof text, "%s; the next one is due in its time", err.msg);
        notice(r, text);
    }
    return rc;
}

/* Who starts elsewhere looks for it there; but a folder that hangs does not keep us. */
static void last_copy(kd_run *r)
{
    int64_t until = kd_clock_mono_ms() + FLUSH_MS;
    while (tend_copies(r) == KD_AGAIN) {
        if (kd_clock_mono_ms() >= until) {
            notice(r, "the last snapshot is not copied yet; it is left so");
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = COPY_NS}, NULL);
    }
}

/* Of the end: one that is under way gives way to it. */
static void last_snapshot(kd_run *r)
{
    if (kd_snapshots_is_open(r->opt.snapshots))
        step_snapshot(r, true);
    if (begin_snapshot(r) == KD_OK)
        step_snapshot(r, true);
    last_copy(r);
}

static void report(kd_run *r, bool is_last)
{
    if (r->opt.on_progress == NULL)
        return;
    kd_progress progress = KD_PROGRESS_UNKNOWN;
    r->source->kind->progress(r->source, &progress);
    r->opt.on_progress(r->opt.progress_arg, kd_pipeline_counts(r->pipeline), &progress,
                       kd_clock_mono_ms() - r->start_ms, is_last);
}

static void on_progress(uv_timer_t *t)
{
    report(t->data, false);
}

static void on_signal(uv_signal_t *s, int signum)
{
    (void)signum;
    kd_run *r = s->data;
    atomic_store(&r->stop, 1);
    pump(r);
}

/* @thread any: the one thing that it may do */
static void wake(void *arg)
{
    kd_run *r = arg;
    uv_async_send(&r->wake);
}

void kd_run_stop(kd_run *r)
{
    atomic_store(&r->stop, 1);
    uv_async_send(&r->wake);
}

void kd_run_stop_when(kd_run *r, const volatile int *stop)
{
    r->stop_when = stop;
}

/* -- life -----------------------------------------------------------------------------------------
 */

static int open_handles(kd_run *r)
{
    int rc = uv_loop_init(&r->loop);
    if (rc != 0)
        return rc;
    r->is_loop_open = true;
    uv_timer_t *timers[] = {&r->poll, &r->again, &r->commit, &r->progress, &r->snapshot, &r->slice};
    rc = uv_async_init(&r->loop, &r->wake, on_async);
    r->wake.data = r;
    for (size_t k = 0; rc == 0 && k < sizeof timers / sizeof *timers; k++) {
        rc = uv_timer_init(&r->loop, timers[k]);
        timers[k]->data = r;
    }
    if (rc != 0 || !r->opt.handle_signals)
        return rc;
    r->sigint.data = r->sigterm.data = r;
    rc = uv_signal_init(&r->loop, &r->sigint);
    if (rc == 0)
        rc = uv_signal_init(&r->loop, &r->sigterm);
    return rc;
}

kd_rc kd_run_new(const kd_run_options *o, kd_pipeline *p, kd_source *source, kd_sink *sink,
                 kd_run **out, kd_err *err)
{
    KD_ASSERT(o->commit_interval_ms >= 1);
    kd_run *r = calloc(1, sizeof *r);
    if (r == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the loop");
    r->opt = *o;
    r->pipeline = p;
    r->source = source;
    r->sink = sink;
    bool has_snapshots = o->snapshots != NULL && source->kind->positions != NULL;
    if (!has_snapshots)
        r->opt.snapshots = NULL;
    else if ((r->positions = calloc(POSITIONS, sizeof *r->positions)) == NULL) {
        kd_run_free(r);
        return kd_fail(err, KD_ENOMEM, "no memory for the loop");
    }
    int rc = open_handles(r);
    if (rc != 0) {
        kd_run_free(r);
        return kd_fail(err, KD_EIO, "the event loop does not start: %s", uv_strerror(rc));
    }
    if (source->kind->set_wake != NULL)
        source->kind->set_wake(source, wake, r);
    kd_committer_init(&r->committer, p, source, sink, o->on_notice, o->notice_arg);
    *out = r;
    return KD_OK;
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void kd_run_free(kd_run *r)
{
    if (r == NULL)
        return;
    if (r->source->kind->set_wake != NULL) /* first the event, then its handle */
        r->source->kind->set_wake(r->source, NULL, NULL);
    if (r->source->kind->set_revoke != NULL)
        r->source->kind->set_revoke(r->source, NULL, NULL);
    if (r->is_loop_open) {
        uv_walk(&r->loop, close_handle, NULL);
        uv_run(&r->loop, UV_RUN_DEFAULT);
        uv_loop_close(&r->loop);
    }
    free(r->positions);
    free(r);
}

/* Answers in hand go out, and what is then durable is committed. */
static void stop_in_order(kd_run *r)
{
    kd_err err = {0};
    int64_t timeout = r->opt.flush_timeout_ms > 0 ? r->opt.flush_timeout_ms : FLUSH_MS;
    kd_rc rc = kd_committer_end(&r->committer, timeout, &err);
    if (rc != KD_OK && r->rc == KD_OK) {
        r->rc = rc;
        r->err = err;
    }
}

kd_rc kd_run_loop(kd_run *r, kd_err *err)
{
    r->start_ms = kd_clock_mono_ms();
    uv_timer_start(&r->poll, on_poll, POLL_MS, POLL_MS);
    uv_timer_start(&r->commit, on_commit, (uint64_t)r->opt.commit_interval_ms,
                   (uint64_t)r->opt.commit_interval_ms);
    if (r->opt.on_progress != NULL)
        uv_timer_start(&r->progress, on_progress, PROGRESS_MS, PROGRESS_MS);
    if (r->opt.snapshots != NULL)
        uv_timer_start(&r->snapshot, on_snapshot, (uint64_t)r->opt.snapshot_interval_ms,
                       (uint64_t)r->opt.snapshot_interval_ms);
    if (r->opt.handle_signals) {
        uv_signal_start(&r->sigint, on_signal, SIGINT);
        uv_signal_start(&r->sigterm, on_signal, SIGTERM);
    }
    uv_async_send(&r->wake); /* what came before the callback was set */
    uv_run(&r->loop, UV_RUN_DEFAULT);
    if (r->rc == KD_OK || r->rc == KD_EDATA)
        stop_in_order(r);
    if (r->rc == KD_OK && r->opt.snapshots != NULL)
        last_snapshot(r);
    report(r, true);
    if (r->rc != KD_OK && err != NULL)
        *err = r->err;
    return r->rc;
}

kd_rc kd_run_once(const kd_run_options *o, kd_pipeline *p, kd_source *source, kd_sink *sink,
                  kd_err *err)
{
    kd_run *r = NULL;
    KD_TRY(kd_run_new(o, p, source, sink, &r, err));
    kd_rc rc = kd_run_loop(r, err);
    kd_run_free(r);
    return rc;
}
