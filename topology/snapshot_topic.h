/* snapshot_topic.h - snapshots in a compacted topic: for machines that share no folder.
 *
 *   key NAME/state.kds/000017   the bytes of a section, KD_PIECE_BYTES at a time
 *   key NAME/manifest.yaml      comes last: without it there is no snapshot
 *   null values                 of the manifest first, then of the rest, once `keep` newer ones are
 *                               there or it is older than max_age; compaction takes them away
 *
 * Reading goes to the end of every partition, and what came together is checked against the sums of
 * its manifest, so that partitions and compaction may do as they like.
 * What a writer left half-written is found by the next writer, and taken out when a day old.
 * @thread one at a time; calls wait
 */
#ifndef KD_SNAPSHOT_TOPIC_H
#define KD_SNAPSHOT_TOPIC_H

#include <stdatomic.h>

#include "base/opt.h"
#include "base/arena.h"

enum { KD_PIECE_BYTES = 256 * 1024 };

typedef struct kd_topic_options {
    const char *topic;
    const kd_property *properties;
    size_t n_properties; /* borrowed, as all here */
    int64_t keep, max_age_ms;
    const _Atomic bool *is_cancelled; /* nullable: gives up where it is */
} kd_topic_options;

/* What lies in the topic, as far as this process knows. */
typedef struct kd_topic_shelf kd_topic_shelf;
void kd_topic_shelf_free(kd_topic_shelf *s);

/* Writes dir/name, whose bytes are checked on the way, and takes out what is over the bounds.
 * KD_END: nothing happened since the last one was written, which stands. *shelf: {NULL} the first
 * time, when the topic is looked through; owned by the caller. */
KD_CHECK kd_rc kd_snapshot_to_topic(const kd_topic_options *o, kd_topic_shelf **shelf,
                                    const char *dir, const char *name, kd_err *err);

/* Brings the newest whole one into `dir`, as if it had been written there, in the place of one of
 * its name. *out_name in `arena`, NULL: there is none. What is not whole is told to on_refused and
 * passed over. */
KD_CHECK kd_rc kd_snapshot_from_topic(const kd_topic_options *o, const char *dir, kd_arena *arena,
                                      void (*on_refused)(void *arg, const char *name,
                                                         const kd_err *why),
                                      void *arg, const char **out_name, kd_err *err);

#endif
