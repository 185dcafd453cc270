/* snapshot_copy.h - snapshots copied to another folder, such as a network mount, so that a new
 * machine starts from another's.
 *
 *   snapshot.dir/NAME -> COPIES/.tmp-NAME -> COPIES/NAME       and, or, a topic (snapshot_topic.h)
 *
 * Any number of instances copy into one folder: state is replicated, so one's snapshot is as good
 * as the other's, and names are nobody else's. A thread of its own does it, so a slow disk there
 * holds up nothing here.
 *
 * I1  a folder without `.tmp-` is whole: its bytes are those that its manifest names, checked on
 *     the way, and were synced before the rename
 * I2  a copy of the same options that is as far in every partition stays the newest: an instance
 *     that is still catching up does not push out what is better
 * I3  a failure costs this copy, nothing else
 * I4  after a copy at most `keep` are there, none of them but the newest older than max_age
 * @thread loop
 */
#ifndef KD_SNAPSHOT_COPY_H
#define KD_SNAPSHOT_COPY_H

#include "base/opt.h"

typedef struct kd_copier kd_copier;

typedef struct kd_copier_options {
    const char *dir;               /* nullable; made by the first copy, its parent is there */
    const char *topic;             /* nullable; see snapshot_topic.h */
    const kd_property *properties; /* of the topic's cluster; borrowed while the copier lives */
    size_t n_properties;
    int64_t keep, max_age_ms;
} kd_copier_options;

/* `dir`, `topic` or both. */
KD_CHECK kd_rc kd_copier_new(const kd_copier_options *o, kd_copier **out, kd_err *err);
/* Gives up a copy that is under way. NULL is allowed. */
void kd_copier_free(kd_copier *c);

/* Must not be busy. The snapshot must stay where it is until the copy is over. */
void kd_copier_start(kd_copier *c, const char *from, const char *name);
bool kd_copier_is_busy(kd_copier *c);
/* Of the last one, when it is over. KD_OK: *out_copied, or a better one was there. Others: err says
 * why there is none. */
KD_CHECK kd_rc kd_copier_result(kd_copier *c, bool *out_copied, kd_err *err);
/* What is being copied, or was last. */
const char *kd_copier_name(const kd_copier *c);

#endif
