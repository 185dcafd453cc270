/* snapshot.h - state and positions on disk, saved together and found again.
 *
 *   DIR/lock                            one process writes here
 *   DIR/20260131T120000.000Z-1f3a/      a snapshot: manifest.yaml and its sections
 *   DIR/.tmp-...                        one that is being written, or was when a process died
 *
 * A snapshot becomes one by the rename of its folder, after everything in it, and before its name
 * in DIR, was synced. Its name begins with the time it was made, so the newest is the greatest.
 * Slices are taken on the loop between two epochs; a thread of its own writes, syncs and renames.
 *
 * I1  a folder without `.tmp-` is whole, unless the disk lost what it said it had
 * I2  what begin() saw is what is loaded: state, and positions from which nothing is missed
 * I3  a failure (disk full, ...) costs this snapshot, nothing else; the one before stays
 * I4  after a snapshot at most `keep` are there, none of them but the newest older than max_age
 * @thread loop
 */
#ifndef KD_SNAPSHOT_H
#define KD_SNAPSHOT_H

#include "topology/manifest.h"

enum {
    KD_SLICE_BYTES = 256 * 1024, /* of one step */
    KD_SLICE_SLOTS = 32 * 1024,
};

typedef struct kd_snapshots kd_snapshots;

typedef struct kd_snapshot_options {
    const char *dir;               /* made if it is not there, its parent is */
    int64_t keep;                  /* >= 1 */
    int64_t max_age_ms;            /* 0 = as old as they get */
    const char *copy_dir;          /* nullable: where each one is copied to (snapshot_copy.h) */
    const char *copy_topic;        /* nullable, the same */
    const kd_property *properties; /* of the topic's cluster; borrowed till close */
    size_t n_properties;
} kd_snapshot_options;

typedef struct kd_snapshot_counts {
    int64_t written, failed, copied, copies_failed;
} kd_snapshot_counts;

/* Locks the folder and clears away what died half-written. KD_ECONFIG: another process has it. */
KD_CHECK kd_rc kd_snapshots_open(const kd_snapshot_options *o, kd_snapshots **out, kd_err *err);
/* Gives up a snapshot that is under way. NULL is allowed. */
void kd_snapshots_close(kd_snapshots *s);

/* -- writing */

/* Begins one of this very moment. Positions are copied. */
KD_CHECK kd_rc kd_snapshots_begin(kd_snapshots *s, kd_recommender *rec,
                                  const kd_source_pos *positions, size_t n, kd_err *err);
bool kd_snapshots_is_open(const kd_snapshots *s);
/* One slice, between two epochs. KD_AGAIN: there is more to do. KD_OK: it is there. Others: it is
 * given up, err says why. With `wait` it blocks until there is nothing left to do. */
KD_CHECK kd_rc kd_snapshots_step(kd_snapshots *s, bool wait, kd_err *err);
/* Name of the last one written, NULL = none yet; borrowed until the next begin. */
const char *kd_snapshots_last(const kd_snapshots *s);

/* Copies, to be called now and then: sees what became of the one under way, begins the next.
 * KD_AGAIN: one is under way. KD_EIO: err says why there is none of which. */
KD_CHECK kd_rc kd_snapshots_tend(kd_snapshots *s, kd_err *err);
const kd_snapshot_counts *kd_snapshots_counts(const kd_snapshots *s);

/* -- reading (no lock is needed) */

/* Reads and checks the manifest of DIR/name. */
KD_CHECK kd_rc kd_snapshot_manifest(const char *dir, const char *name, kd_arena *arena,
                                    kd_manifest *out, kd_err *err);
/* Fills an empty recommender from it; whether its options are those of the snapshot is the caller's
 * to see (kd_manifest_fits). After a failure it is fit to be freed only. KD_ESTATE: made by another
 * version; KD_EIO: damaged. */
KD_CHECK kd_rc kd_snapshot_load(const char *dir, const char *name, const kd_manifest *m,
                                kd_recommender *rec, const kd_load_options *o, kd_err *err);
/* Names in DIR, newest first; in `arena`. A folder that is a snapshot itself is not looked into. */
KD_CHECK kd_rc kd_snapshot_list(const char *dir, kd_arena *arena, const char *const **out,
                                size_t *out_n, kd_err *err);

#endif
