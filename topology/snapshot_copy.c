#include "topology/snapshot_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/helper.h"
#include "topology/snapshot_internal.h"
#include "topology/snapshot_topic.h"

enum {
    CHUNK = 1024 * 1024,
    LEFT_S = 3600,          /* a half-written copy that nobody touched for so long is nobody's */
    STALL_NS = 10 * 1000000 /* of the test's fault */
};

struct kd_copier {
    char *dir, *topic; /* owned, NULL = not there */
    kd_topic_options to;
    kd_topic_shelf *shelf; /* the job's */
    int64_t keep, max_age_ms;
    kd_helper *helper;
    _Atomic bool is_cancelled;
    char from[KD_SNAPSHOT_PATH], name[KD_SNAPSHOT_NAME];
    bool is_copied; /* the job's */
};

static kd_rc go_on(const kd_copier *c, kd_err *err)
{
    while (kd_fault_is("copy.stall", 1) && !atomic_load(&c->is_cancelled))
        nanosleep(&(struct timespec){.tv_nsec = STALL_NS}, NULL);
    return atomic_load(&c->is_cancelled) ? kd_fail(err, KD_RETRY, "it was given up") : KD_OK;
}

/* -- a file, @thread helper -------------------------------------------------------------------- */

typedef struct pump {
    const kd_copier *c;
    int out;
    const char *path;
} pump;

static kd_rc take(void *arg, const char *p, size_t n, kd_err *err)
{
    const pump *to = arg;
    KD_TRY(kd_disk_write(to->out, to->path, p, n, err));
    return go_on(to->c, err);
}

/* `s`: what the bytes have to be; NULL = the manifest, which was read and checked. */
static kd_rc copy_file(const kd_copier *c, const char *tmp, const char *file, const kd_section *s,
                       kd_err *err)
{
    char from[KD_SNAPSHOT_PATH], to[KD_SNAPSHOT_PATH];
    pump x = {.c = c, .path = to};
    KD_TRY(kd_snapshot_path(c->from, c->name, file, from, err));
    KD_TRY(kd_snapshot_path(tmp, NULL, file, to, err));
    KD_TRY(kd_disk_create(to, &x.out, err));
    kd_rc rc = kd_disk_read(from, s, CHUNK, take, &x, err);
    kd_rc end = kd_disk_finish(x.out, to, rc == KD_OK ? err : NULL);
    return rc == KD_OK ? end : rc;
}

/* -- a snapshot -------------------------------------------------------------------------------- */

/* True if a copy is there that is as good. */
static kd_rc is_needless(const kd_copier *c, const kd_manifest *m, kd_arena *arena, bool *out,
                         kd_err *err)
{
    const char *const *names = NULL;
    size_t n = 0;
    *out = false;
    KD_TRY(kd_snapshot_list(c->dir, arena, &names, &n, err));
    for (size_t k = 0; k < n && !*out; k++) {
        kd_manifest other;
        *out = strcmp(names[k], c->name) == 0 ||
               (kd_snapshot_manifest(c->dir, names[k], arena, &other, NULL) == KD_OK &&
                m->made - other.made < KD_MS_DAY && kd_manifest_covers(&other, m));
    }
    return KD_OK;
}

static kd_rc copy_into(const kd_copier *c, const kd_manifest *m, const char *tmp, kd_err *err)
{
    char to[KD_SNAPSHOT_PATH];
    KD_TRY(kd_snapshot_path(c->dir, c->name, NULL, to, err));
    for (size_t k = 0; k < m->n_sections; k++)
        KD_TRY(copy_file(c, tmp, m->sections[k].file, &m->sections[k], err));
    KD_TRY(copy_file(c, tmp, KD_MANIFEST_FILE, NULL, err));
    KD_TRY(kd_disk_sync_folder(tmp, err));
    if (rename(tmp, to) != 0)
        return kd_disk_fail(err, to, "cannot be renamed to");
    return kd_disk_sync_folder(c->dir, err);
}

static kd_rc copy(kd_copier *c, kd_arena *arena, kd_err *err)
{
    kd_manifest m;
    char tmp[KD_SNAPSHOT_PATH];
    bool is_there = false;
    KD_TRY(kd_snapshot_manifest(c->from, c->name, arena, &m, err));
    if (mkdir(c->dir, 0750) != 0 && errno != EEXIST)
        return kd_disk_fail(err, c->dir, "cannot be made");
    KD_TRY(is_needless(c, &m, arena, &is_there, err));
    if (is_there)
        return KD_OK;
    KD_TRY(kd_snapshot_tmp(c->dir, c->name, tmp, err));
    if (mkdir(tmp, 0750) != 0)
        return kd_disk_fail(err, tmp, "cannot be made");
    kd_rc rc = copy_into(c, &m, tmp, err);
    if (rc != KD_OK)
        kd_disk_remove_folder(tmp); /* after the rename there is none */
    c->is_copied = rc == KD_OK;
    return rc;
}

static kd_rc copy_to_folder(kd_copier *c, kd_err *err)
{
    kd_arena *arena = kd_arena_new(0);
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a copy") : go_on(c, err);
    if (rc == KD_OK)
        rc = copy(c, arena, err);
    if (rc != KD_RETRY) { /* bounds hold for what is there, whether this one came or not */
        (void)!kd_snapshot_prune(c->dir, c->keep, c->max_age_ms, "", NULL);
        kd_snapshot_clear(c->dir, LEFT_S);
    }
    kd_arena_free(arena);
    return rc;
}

/* One that fails does not keep the other. */
static kd_rc job(void *arg, kd_err *err)
{
    kd_copier *c = arg;
    c->is_copied = false;
    kd_rc rc = c->dir == NULL ? KD_OK : copy_to_folder(c, err);
    if (c->topic == NULL || rc == KD_RETRY)
        return rc;
    kd_rc other =
        kd_snapshot_to_topic(&c->to, &c->shelf, c->from, c->name, rc == KD_OK ? err : NULL);
    c->is_copied |= other == KD_OK;
    return rc != KD_OK || other == KD_END ? rc : other;
}

/* -- @thread loop ------------------------------------------------------------------------------ */

kd_rc kd_copier_new(const kd_copier_options *o, kd_copier **out, kd_err *err)
{
    kd_copier *c = calloc(1, sizeof *c);
    if (c == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for copies of snapshots");
    c->keep = o->keep;
    c->max_age_ms = o->max_age_ms;
    c->dir = o->dir == NULL ? NULL : strdup(o->dir);
    c->topic = o->topic == NULL ? NULL : strdup(o->topic);
    c->to = (kd_topic_options){.topic = c->topic,
                               .properties = o->properties,
                               .n_properties = o->n_properties,
                               .keep = o->keep,
                               .max_age_ms = o->max_age_ms,
                               .is_cancelled = &c->is_cancelled};
    kd_rc rc = (o->dir != NULL && c->dir == NULL) || (o->topic != NULL && c->topic == NULL)
                   ? kd_fail(err, KD_ENOMEM, "no memory for copies of snapshots")
                   : kd_helper_new(&c->helper, err);
    if (rc != KD_OK) {
        kd_copier_free(c);
        return rc;
    }
    *out = c;
    return KD_OK;
}

void kd_copier_free(kd_copier *c)
{
    if (c == NULL)
        return;
    atomic_store(&c->is_cancelled, true);
    kd_helper_free(c->helper);
    kd_topic_shelf_free(c->shelf);
    free(c->dir);
    free(c->topic);
    free(c);
}

void kd_copier_start(kd_copier *c, const char *from, const char *name)
{
    snprintf(c->from, sizeof c->from, "%s", from);
    snprintf(c->name, sizeof c->name, "%s", name);
    kd_helper_start(c->helper, job, c);
}

bool kd_copier_is_busy(kd_copier *c)
{
    return kd_helper_is_busy(c->helper);
}

kd_rc kd_copier_result(kd_copier *c, bool *out_copied, kd_err *err)
{
    kd_rc rc = kd_helper_result(c->helper, err);
    *out_copied = rc == KD_OK && c->is_copied;
    return rc;
}

const char *kd_copier_name(const kd_copier *c)
{
    return c->name;
}
