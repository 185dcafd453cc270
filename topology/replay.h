/* replay.h - a bounded source through the pipeline: yesterday's files, or a topic between two
 * times. The records' own time is the clock; the pace is for people who watch, and changes no byte.
 * @thread loop
 */
#ifndef KD_REPLAY_H
#define KD_REPLAY_H

#include "topology/pipeline.h"

/* Called about twice a second and at the end; elapsed_ms of wall clock since the start. */
typedef void (*kd_progress_fn)(void *arg, const kd_counts *counts, const kd_progress *progress,
                               int64_t elapsed_ms, bool is_last);

typedef struct kd_replay_options {
    double speed;               /* seconds of event time per second; 0 = as fast as it goes */
    const volatile int *stop;   /* nullable; non-zero ends the run after the current epoch */
    kd_progress_fn on_progress; /* nullable */
    void *progress_arg;
} kd_replay_options;

/* Runs until the source ends (KD_OK), *stop (KD_OK), or a failure. Flushes the sink. */
KD_CHECK kd_rc kd_replay(const kd_replay_options *o, kd_pipeline *p, kd_source *source,
                         kd_sink *sink, kd_err *err);

#endif
