/* snapshot_internal.h - what snapshot.c and snapshot_read.c share. */
#ifndef KD_SNAPSHOT_INTERNAL_H
#define KD_SNAPSHOT_INTERNAL_H

#include <limits.h>

#include "base/gz.h"
#include "topology/snapshot.h"

#define KD_MANIFEST_FILE  "manifest.yaml"
#define KD_SNAPSHOT_STATE "state"
#define KD_SNAPSHOT_FILE  "state.kds"
#define KD_SNAPSHOT_TMP   ".tmp-"
#define KD_SNAPSHOT_PATH  1024
#define KD_SNAPSHOT_NAME  32

/* dir/name/file; name and file may be NULL. KD_ECONFIG: too long. */
KD_CHECK kd_rc kd_snapshot_path(const char *dir, const char *name, const char *file,
                                char out[KD_SNAPSHOT_PATH], kd_err *err);
/* True if the name is one that snapshot.c gives. */
bool kd_snapshot_is_name(const char *name);

#endif
