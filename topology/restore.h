/* restore.h - the state that a start begins with: the newest snapshot that is whole and fits, or
 * none.
 * @thread loop
 */
#ifndef KD_RESTORE_H
#define KD_RESTORE_H

#include "topology/snapshot.h"

typedef struct kd_restore_options {
    const kd_opt_values *values; /* borrowed: the recommender's options */
    const char *const *topics;   /* [n_topics] that must have positions */
    size_t n_topics;             /* 0 = any */
    const char *copies; /* nullable: a folder with copies (snapshot_copy.h), looked through, too */
    kd_ms at;           /* made, and with events, up to this moment; 0 = whenever it was made */
    void (*on_notice)(void *arg, const char *text); /* nullable: what is refused and why; how far */
    void *notice_arg;
} kd_restore_options;

typedef struct kd_restored {
    kd_recommender *rec;  /* the caller's; never NULL on KD_OK */
    const char *name;     /* in `arena`; NULL: no snapshot was fit, and the state is empty */
    bool is_copy;         /* it lies among the copies */
    int n_refused;        /* that were looked at and are not fit */
    kd_manifest manifest; /* in `arena`, if there is a name */
} kd_restored;

/* Looks through `dir` (NULL or "" = there is none) and the copies, each from the newest snapshot
 * on; of two newest ones the one first that is further in the topics, of equal ones that in `dir`.
 * One that is damaged or does not fit is said with its name and passed over. */
KD_CHECK kd_rc kd_restore(const kd_restore_options *o, const char *dir, kd_arena *arena,
                          kd_restored *out, kd_err *err);
/* What is said each second while a snapshot is loaded: n of total interactions so far. */
enum { KD_RESTORE_TEXT = 200 };
void kd_restore_text(const char *name, int64_t n, int64_t total, int64_t spent_ms,
                     char out[KD_RESTORE_TEXT]);

/* This one and no other. `path` is DIR/NAME, or DIR for the newest in it. */
KD_CHECK kd_rc kd_restore_one(const kd_restore_options *o, const char *path, kd_arena *arena,
                              kd_restored *out, kd_err *err);
/* DIR/NAME in two, or DIR and the newest name in it. KD_ECONFIG: there is no snapshot. */
KD_CHECK kd_rc kd_restore_find(const char *path, kd_arena *arena, const char **out_dir,
                               const char **out_name, kd_err *err);

#endif
