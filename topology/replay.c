#include "topology/replay.h"

#include <time.h>

#include "base/clock.h"

enum { PROGRESS_MS = 500, FLUSH_MS = 60000, POLL_MS = 1 };

static void pause_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* Holds the run back so that event time does not run ahead of `speed` times the wall clock. */
static void keep_pace(const kd_replay_options *o, kd_ms first, kd_ms now, int64_t elapsed_ms)
{
    if (o->speed <= 0 || first == KD_MS_NONE)
        return;
    int64_t due_ms = (int64_t)((double)(now - first) / o->speed);
    while (elapsed_ms < due_ms && (o->stop == NULL || *o->stop == 0)) {
        int64_t left = due_ms - elapsed_ms;
        int64_t step = left < 100 ? left : 100;
        pause_ms(step);
        elapsed_ms += step;
    }
}

static kd_rc step(kd_pipeline *p, kd_sink *sink, kd_err *err)
{
    kd_rc rc = kd_pipeline_step(p, err);
    if (sink->kind->poll != NULL)
        KD_TRY(sink->kind->poll(sink, err));
    if (rc == KD_AGAIN && kd_pipeline_blocked(p))
        pause_ms(POLL_MS); /* the sink is full: its deliveries make room */
    return rc;
}

kd_rc kd_replay(const kd_replay_options *o, kd_pipeline *p, kd_source *source, kd_sink *sink,
                kd_err *err)
{
    int64_t start = kd_clock_mono_ms(), shown = start;
    kd_ms first = KD_MS_NONE;
    kd_rc rc = KD_OK;
    for (;;) {
        rc = step(p, sink, err);
        if (rc != KD_OK && rc != KD_AGAIN)
            break;
        int64_t now = kd_clock_mono_ms();
        kd_ms event_time = kd_pipeline_time(p);
        if (first == KD_MS_NONE)
            first = event_time;
        keep_pace(o, first, event_time, now - start);
        if (o->on_progress != NULL && now - shown >= PROGRESS_MS) {
            kd_progress progress = KD_PROGRESS_UNKNOWN;
            source->kind->progress(source, &progress);
            o->on_progress(o->progress_arg, kd_pipeline_counts(p), &progress, now - start, false);
            shown = now;
        }
        if (o->stop != NULL && *o->stop != 0)
            break;
    }
    if (rc == KD_END || rc == KD_AGAIN)
        rc = KD_OK;
    if (rc == KD_OK || rc == KD_EDATA) {
        kd_err flush_err = {0};
        kd_rc flushed = sink->kind->flush(sink, FLUSH_MS, &flush_err);
        if (rc == KD_OK && flushed != KD_OK) {
            rc = flushed;
            if (err != NULL)
                *err = flush_err;
        }
    }
    if (o->on_progress != NULL) {
        kd_progress progress = KD_PROGRESS_UNKNOWN;
        source->kind->progress(source, &progress);
        o->on_progress(o->progress_arg, kd_pipeline_counts(p), &progress,
                       kd_clock_mono_ms() - start, true);
    }
    return rc;
}
