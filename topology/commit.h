/* commit.h - when what was answered becomes durable, and its positions with it.
 *
 * Without transactions the source commits what it marked once the sink has acknowledged everything
 * written before: a crash in between means that some triggers are answered again. With a
 * transactional sink positions go into its transactions, and nobody sees one without the other.
 *
 * I1  a mark is made between two epochs only, and one is under way at a time
 * I2  before partitions are given up everything answered for them is committed, or dropped
 * I3  when nobody knows what was committed nothing is published until the source has looked
 * @thread loop
 */
#ifndef KD_COMMIT_H
#define KD_COMMIT_H

#include "topology/pipeline.h"

typedef struct kd_committer {
    kd_pipeline *pipeline; /* borrowed, as the next two */
    kd_source *source;
    kd_sink *sink;
    void (*on_notice)(void *arg, const char *text); /* nullable */
    void *notice_arg;
    bool is_marked;  /* a mark waits for the sink, or a transaction is under way */
    uint64_t marked; /* outputs written at the mark */
    bool is_resync_due, is_retrying;
    kd_err lasting; /* of a revoke, given by the next tick */
} kd_committer;

/* `c` must stay where it is: the source calls it back. */
void kd_committer_init(kd_committer *c, kd_pipeline *p, kd_source *source, kd_sink *sink,
                       void (*on_notice)(void *arg, const char *text), void *notice_arg);
/* Now and then. Other than KD_OK: a failure that waiting does not mend. */
KD_CHECK kd_rc kd_committer_tick(kd_committer *c, kd_err *err);
/* The orderly end: everything answered goes out and is committed, within the time. */
KD_CHECK kd_rc kd_committer_end(kd_committer *c, int64_t timeout_ms, kd_err *err);

#endif
