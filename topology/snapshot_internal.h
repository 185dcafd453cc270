/* snapshot_internal.h - what snapshot.c, snapshot_read.c, snapshot_copy.c and snapshot_disk.c
 * share. */
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
/* Where the snapshot is while it is not one yet, or not any more. */
KD_CHECK kd_rc kd_snapshot_tmp(const char *dir, const char *name, char out[KD_SNAPSHOT_PATH],
                               kd_err *err);
/* True if the name is one that snapshot.c gives. */
bool kd_snapshot_is_name(const char *name);

/* KD_EIO with the text of errno. */
kd_rc kd_disk_fail(kd_err *err, const char *path, const char *what);
KD_CHECK kd_rc kd_disk_create(const char *path, int *out_fd, kd_err *err);
KD_CHECK kd_rc kd_disk_write(int fd, const char *path, const char *p, size_t n, kd_err *err);
/* Reads a file and hands it out in pieces of this size, the last one shorter. KD_EIO: it does not
 * have the section's length and checksum (`s` NULL: nothing is known of it), found when all but
 * what is too much was handed out; else what `take` said. */
KD_CHECK kd_rc kd_disk_read(const char *path, const kd_section *s, size_t piece,
                            kd_rc (*take)(void *arg, const char *p, size_t n, kd_err *err),
                            void *arg, kd_err *err);
/* Synced and closed; closed in any case. */
KD_CHECK kd_rc kd_disk_finish(int fd, const char *path, kd_err *err);
KD_CHECK kd_rc kd_disk_sync_folder(const char *path, kd_err *err);
/* With the files in it; as far as it goes. */
void kd_disk_remove_folder(const char *path);

/* Removes what was half-written and not touched for so long. */
void kd_snapshot_clear(const char *dir, int64_t min_idle_s);
/* What is over the bounds goes, but for the newest and `pinned` ("" = none); what cannot be removed
 * now is tried again the next time. */
KD_CHECK kd_rc kd_snapshot_prune(const char *dir, int64_t keep, int64_t max_age_ms,
                                 const char *pinned, kd_err *err);

#endif
