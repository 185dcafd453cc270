#include "topology/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/helper.h"
#include "base/timefmt.h"
#include "topology/snapshot_copy.h"
#include "topology/snapshot_internal.h"

enum { CHUNK = 1024 * 1024 }; /* what the helper is given at once */

/* What is being written. The helper's while it is busy; the loop's otherwise. */
typedef struct draft {
    char name[KD_SNAPSHOT_NAME];
    char tmp[KD_SNAPSHOT_PATH], final[KD_SNAPSHOT_PATH], file[KD_SNAPSHOT_PATH];
    int fd;
    kd_sum *sum;
    kd_buf writing; /* bytes for the file */
    kd_arena *arena;
    kd_manifest manifest;
} draft;

struct kd_snapshots {
    kd_snapshot_options opt;
    char *dir; /* owned */
    int lock;
    kd_helper *helper;
    draft draft;
    kd_saver *saver; /* NULL: all is walked, or nothing is under way */
    kd_buf filling;  /* the loop's */
    bool is_open, is_walked, is_finishing;
    kd_ms last_made;
    char last[KD_SNAPSHOT_NAME];
    kd_copier *copier; /* NULL: nothing is copied */
    bool is_copy_due, is_copying;
    char pinned[KD_SNAPSHOT_NAME]; /* what is being copied while the helper tidies up */
    kd_snapshot_counts counts;
};

/* -- the disk: @thread helper, but for open and close ---------------------------------------------
 */

static kd_rc job_write(void *arg, kd_err *err)
{
    draft *d = arg;
    KD_TRY(kd_disk_write(d->fd, d->file, d->writing.p, d->writing.n, err));
    kd_sum_add(d->sum, d->writing.p, d->writing.n);
    d->manifest.sections[0].bytes += (int64_t)d->writing.n;
    kd_buf_clear(&d->writing);
    return KD_OK;
}

static kd_rc write_manifest(const draft *d, kd_err *err)
{
    char path[KD_SNAPSHOT_PATH];
    kd_buf text = {0};
    int fd = -1;
    KD_TRY(kd_snapshot_path(d->tmp, NULL, KD_MANIFEST_FILE, path, err));
    kd_manifest_print(&d->manifest, &text);
    kd_rc rc = text.failed ? kd_fail(err, KD_ENOMEM, "no memory for a manifest")
                           : kd_disk_create(path, &fd, err);
    if (rc == KD_OK) {
        rc = kd_disk_write(fd, path, text.p, text.n, err);
        kd_rc end = kd_disk_finish(fd, path, rc == KD_OK ? err : NULL);
        rc = rc == KD_OK ? end : rc;
    }
    kd_buf_dispose(&text);
    return rc;
}

static kd_rc job_finish(void *arg, kd_err *err)
{
    kd_snapshots *s = arg;
    draft *d = &s->draft;
    d->manifest.sections[0].sum = kd_sum_value(d->sum);
    int fd = d->fd;
    d->fd = -1;
    KD_TRY(kd_disk_finish(fd, d->file, err));
    KD_TRY(write_manifest(d, err));
    KD_TRY(kd_disk_sync_folder(d->tmp, err));
    if (rename(d->tmp, d->final) != 0)
        return kd_disk_fail(err, d->final, "cannot be renamed to");
    KD_TRY(kd_disk_sync_folder(s->dir, err));
    (void)!kd_snapshot_prune(s->dir, s->opt.keep, s->opt.max_age_ms, s->pinned,
                             NULL); /* the next one tries again */
    return KD_OK;
}

/* -- life -------------------------------------------------------------------------------------- */

static kd_rc lock_folder(kd_snapshots *s, kd_err *err)
{
    char path[KD_SNAPSHOT_PATH];
    if (mkdir(s->dir, 0750) != 0 && errno != EEXIST)
        return kd_disk_fail(err, s->dir, "cannot be made");
    KD_TRY(kd_snapshot_path(s->dir, NULL, "lock", path, err));
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock < 0)
        return kd_disk_fail(err, path, "cannot be opened");
    if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
        return KD_OK;
    return kd_fail(err, KD_ECONFIG,
                   "another process keeps its snapshots in %s; each instance needs a folder of its "
                   "own (snapshot.dir)",
                   s->dir);
}

kd_rc kd_snapshots_open(const kd_snapshot_options *o, kd_snapshots **out, kd_err *err)
{
    KD_ASSERT(o->keep >= 1);
    kd_snapshots *s = calloc(1, sizeof *s);
    if (s == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for snapshots");
    s->opt = *o;
    s->lock = s->draft.fd = -1;
    s->dir = strdup(o->dir);
    kd_rc rc =
        s->dir == NULL ? kd_fail(err, KD_ENOMEM, "no memory for snapshots") : lock_folder(s, err);
    if (rc == KD_OK)
        rc = kd_helper_new(&s->helper, err);
    kd_copier_options co = {.dir = o->copy_dir,
                            .topic = o->copy_topic,
                            .properties = o->properties,
                            .n_properties = o->n_properties,
                            .keep = o->keep,
                            .max_age_ms = o->max_age_ms};
    if (rc == KD_OK && (co.dir != NULL || co.topic != NULL))
        rc = kd_copier_new(&co, &s->copier, err);
    if (rc != KD_OK) {
        kd_snapshots_close(s);
        return rc;
    }
    kd_snapshot_clear(s->dir, 0);
    *out = s;
    return KD_OK;
}

/* Lets go of the draft, whose folder is removed unless it became a snapshot. */
static void drop_draft(kd_snapshots *s)
{
    draft *d = &s->draft;
    kd_err ignored = {0};
    (void)(s->helper == NULL || kd_helper_result(s->helper, &ignored) == KD_OK);
    kd_saver_end(s->saver);
    s->saver = NULL;
    if (d->fd >= 0)
        close(d->fd);
    if (d->tmp[0] != '\0')
        kd_disk_remove_folder(d->tmp); /* after the rename there is none */
    kd_sum_free(d->sum);
    kd_buf_dispose(&d->writing);
    kd_arena_free(d->arena);
    *d = (draft){.fd = -1};
    kd_buf_clear(&s->filling);
    s->is_open = s->is_walked = s->is_finishing = false;
}

void kd_snapshots_close(kd_snapshots *s)
{
    if (s == NULL)
        return;
    kd_copier_free(s->copier);
    drop_draft(s);
    kd_helper_free(s->helper);
    kd_buf_dispose(&s->filling);
    if (s->lock >= 0)
        close(s->lock);
    free(s->dir);
    free(s);
}

/* -- writing ----------------------------------------------------------------------------------- */

/* "20260131T120000.000Z-1f3a": sorts by time, and no two instances make the same. */
static void name_draft(draft *d)
{
    char iso[32];
    uint16_t tail = 0;
    (void)kd_time_iso(d->manifest.made, iso);
    (void)!getrandom(&tail, sizeof tail, GRND_NONBLOCK);
    size_t n = 0;
    for (const char *c = iso; *c != '\0' && n < 20; c++)
        if (*c != '-' && *c != ':')
            d->name[n++] = *c;
    snprintf(d->name + n, sizeof d->name - n, "-%04x", tail);
}

static kd_rc copy_positions(draft *d, const kd_source_pos *positions, size_t n, kd_err *err)
{
    kd_source_pos *copy = kd_arena_calloc(d->arena, n + 1, sizeof *copy);
    if (copy == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %zu positions", n);
    for (size_t k = 0; k < n; k++) {
        copy[k] = positions[k];
        copy[k].pos.topic = kd_arena_strz(d->arena, kd_str_of(positions[k].pos.topic));
        if (copy[k].pos.topic == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for %zu positions", n);
    }
    d->manifest.positions = copy;
    d->manifest.n_positions = n;
    return KD_OK;
}

static kd_rc open_draft(kd_snapshots *s, kd_err *err)
{
    draft *d = &s->draft;
    /* A clock that was set back must not make a new snapshot look older than the last. */
    d->manifest.made = kd_clock_wall_ms();
    if (d->manifest.made <= s->last_made)
        d->manifest.made = s->last_made + 1;
    if (kd_fault_is("snapshot.stale", 1))
        d->manifest.made -= 2 * KD_MS_DAY;
    name_draft(d);
    KD_TRY(kd_snapshot_path(s->dir, d->name, NULL, d->final, err));
    KD_TRY(kd_snapshot_tmp(s->dir, d->name, d->tmp, err));
    KD_TRY(kd_snapshot_path(d->tmp, NULL, KD_SNAPSHOT_FILE, d->file, err));
    if (mkdir(d->tmp, 0750) != 0)
        return kd_disk_fail(err, d->tmp, "cannot be made");
    return kd_disk_create(d->file, &d->fd, err);
}

kd_rc kd_snapshots_begin(kd_snapshots *s, kd_recommender *rec, const kd_source_pos *positions,
                         size_t n, kd_err *err)
{
    KD_ASSERT(!s->is_open);
    draft *d = &s->draft;
    d->manifest = (kd_manifest){.program = "kindred " KD_VERSION, .n_sections = 1};
    d->manifest.sections[0] = (kd_section){
        .name = KD_SNAPSHOT_STATE, .file = KD_SNAPSHOT_FILE, .version = KD_STATE_VERSION};
    if (kd_fault_is("snapshot.newer", 1)) /* as another version of this program would write it */
        d->manifest.sections[0].version++;
    if (kd_fault_is("snapshot.older", 1))
        d->manifest.sections[0].version--;
    kd_recommender_saved_options(rec, d->manifest.options);
    d->arena = kd_arena_new(0);
    d->sum = kd_sum_new();
    kd_rc rc = d->arena == NULL || d->sum == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory for a snapshot")
                   : copy_positions(d, positions, n, err);
    if (rc == KD_OK)
        rc = open_draft(s, err);
    if (rc == KD_OK)
        rc = kd_recommender_save(rec, &s->saver, err);
    if (rc != KD_OK) {
        s->counts.failed++;
        drop_draft(s);
        return rc;
    }
    s->is_open = true;
    return KD_OK;
}

bool kd_snapshots_is_open(const kd_snapshots *s)
{
    return s->is_open;
}

/* The helper is idle: it gets the next thing to do, if there is one. */
static void give_work(kd_snapshots *s)
{
    draft *d = &s->draft;
    if (s->filling.n >= CHUNK || (s->is_walked && s->filling.n > 0)) {
        kd_buf empty = d->writing;
        d->writing = s->filling;
        s->filling = empty;
        kd_helper_start(s->helper, job_write, d);
    } else if (s->is_walked && !s->is_finishing) {
        s->is_finishing = true;
        snprintf(s->pinned, sizeof s->pinned, "%s", s->is_copying ? kd_copier_name(s->copier) : "");
        kd_helper_start(s->helper, job_finish, s);
    }
}

static kd_rc walk(kd_snapshots *s, kd_err *err)
{
    KD_TRY(
        kd_saver_step(s->saver, KD_SLICE_SLOTS, KD_SLICE_BYTES, &s->filling, &s->is_walked, err));
    if (s->is_walked) {
        s->draft.manifest.saved = *kd_saver_saved(s->saver);
        kd_saver_end(s->saver);
        s->saver = NULL;
    }
    return KD_OK;
}

static kd_rc step(kd_snapshots *s, bool wait, kd_err *err)
{
    for (;;) {
        if (!s->is_walked && s->filling.n < CHUNK)
            KD_TRY(walk(s, err));
        if (wait || !kd_helper_is_busy(s->helper)) {
            KD_TRY(kd_helper_result(s->helper, err));
            if (s->is_finishing)
                return KD_OK;
            give_work(s);
        }
        if (!wait)
            return KD_AGAIN;
    }
}

kd_rc kd_snapshots_step(kd_snapshots *s, bool wait, kd_err *err)
{
    KD_ASSERT(s->is_open);
    kd_err why = {0};
    kd_rc rc = step(s, wait, &why);
    if (rc == KD_AGAIN)
        return rc;
    if (rc == KD_OK) {
        memcpy(s->last, s->draft.name, sizeof s->last);
        s->last_made = s->draft.manifest.made;
        s->is_copy_due = s->copier != NULL;
        s->counts.written++;
    } else {
        s->counts.failed++;
        if (err != NULL)
            *err = why;
    }
    drop_draft(s);
    return rc;
}

const char *kd_snapshots_last(const kd_snapshots *s)
{
    return s->last[0] == '\0' ? NULL : s->last;
}

/* -- copies ------------------------------------------------------------------------------------ */

kd_rc kd_snapshots_tend(kd_snapshots *s, kd_err *err)
{
    kd_rc rc = KD_OK;
    if (s->is_copying && !kd_copier_is_busy(s->copier)) {
        bool is_copied = false;
        kd_err why = {0};
        s->is_copying = false;
        rc = kd_copier_result(s->copier, &is_copied, &why);
        s->counts.copied += is_copied;
        s->counts.copies_failed += rc != KD_OK;
        if (rc != KD_OK)
            return kd_fail(err, KD_EIO, "no copy of snapshot %s: %s%s%s", kd_copier_name(s->copier),
                           why.where, why.where[0] == '\0' ? "" : ": ", why.msg);
    }
    /* What a snapshot that is being finished pushes out must not be begun with. */
    if (s->is_copy_due && !s->is_copying && !s->is_finishing) {
        s->is_copy_due = false;
        s->is_copying = true;
        kd_copier_start(s->copier, s->dir, s->last);
    }
    return s->is_copying ? KD_AGAIN : KD_OK;
}

const kd_snapshot_counts *kd_snapshots_counts(const kd_snapshots *s)
{
    return &s->counts;
}
