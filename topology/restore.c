#include "topology/restore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "topology/snapshot_internal.h"

enum { SAY_MS = 1000 };
typedef struct watch {
    const kd_restore_options *o;
    const char *name;
    int64_t total, began_ms, said_ms;
} watch;

static void say(const kd_restore_options *o, const char *text)
{
    if (o->on_notice != NULL)
        o->on_notice(o->notice_arg, text);
}

void kd_restore_text(const char *name, int64_t n, int64_t total, int64_t spent_ms,
                     char out[KD_RESTORE_TEXT])
{
    double rate = (double)n * 1000 / (double)(spent_ms > 0 ? spent_ms : 1);
    double left = total > n ? (double)(total - n) : 0;
    snprintf(out, KD_RESTORE_TEXT,
             "snapshot %s: %lld of %lld interactions (%.0f %%), %.0f/s, %.0f s left", name,
             (long long)n, (long long)total, total > 0 ? (double)n / (double)total * 100 : 100.0,
             rate, n > 0 ? left / rate : 0.0);
}

static void on_progress(void *arg, int64_t n)
{
    watch *w = arg;
    int64_t now = kd_clock_mono_ms();
    char text[KD_RESTORE_TEXT];
    if (now - w->said_ms < SAY_MS || n == 0)
        return;
    w->said_ms = now;
    kd_restore_text(w->name, n, w->total, now - w->began_ms, text);
    say(w->o, text);
}

static kd_rc check_topics(const kd_restore_options *o, const kd_manifest *m, kd_err *err)
{
    for (size_t t = 0; t < o->n_topics; t++) {
        bool is_there = false;
        for (size_t k = 0; k < m->n_positions; k++)
            is_there |= strcmp(m->positions[k].pos.topic, o->topics[t]) == 0;
        if (!is_there)
            return kd_fail(err, KD_ESTATE, "it has no position in topic %s", o->topics[t]);
    }
    for (size_t k = 0; o->n_topics > 0 && k < m->n_positions; k++) {
        bool is_read = false;
        for (size_t t = 0; t < o->n_topics; t++)
            is_read |= strcmp(m->positions[k].pos.topic, o->topics[t]) == 0;
        if (!is_read)
            return kd_fail(err, KD_ESTATE, "it holds what topic %s said, which is not read now",
                           m->positions[k].pos.topic);
    }
    return KD_OK;
}

static kd_rc check_time(const kd_restore_options *o, const kd_manifest *m, kd_err *err)
{
    if (o->at == 0 || (m->made <= o->at && m->saved.state_time <= o->at))
        return KD_OK;
    return kd_fail(err, KD_ESTATE, "it was made later than the moment that is asked for");
}

static kd_rc load(const kd_restore_options *o, const char *dir, const char *name, kd_arena *arena,
                  kd_restored *out, kd_err *err)
{
    kd_manifest m;
    kd_recommender *rec = NULL;
    KD_TRY(kd_snapshot_manifest(dir, name, arena, &m, err));
    KD_TRY(check_time(o, &m, err));
    KD_TRY(check_topics(o, &m, err));
    KD_TRY(kd_recommender_new(o->values, &rec, err));
    int64_t now = kd_clock_mono_ms();
    watch w = {o, name, m.saved.interactions, now, now};
    kd_load_options lo = {.on_progress = on_progress, .arg = &w};
    kd_rc rc = kd_manifest_fits(&m, rec, err);
    if (rc == KD_OK)
        rc = kd_snapshot_load(dir, name, &m, rec, &lo, err);
    if (rc != KD_OK) {
        kd_recommender_free(rec);
        return rc;
    }
    *out = (kd_restored){.rec = rec, .name = name, .manifest = m};
    return KD_OK;
}

/* The snapshots of a folder, newest first, and how far the one at hand is. */
typedef struct shelf {
    const char *dir;
    const char *const *names;
    size_t n, at;
    bool is_known; /* `m` is that of names[at] */
    kd_manifest m;
} shelf;

static void look(shelf *s, kd_arena *arena)
{
    s->is_known =
        s->at < s->n && kd_snapshot_manifest(s->dir, s->names[s->at], arena, &s->m, NULL) == KD_OK;
}

static kd_rc open_shelf(shelf *s, const char *dir, kd_arena *arena, kd_err *err)
{
    *s = (shelf){.dir = dir};
    if (dir == NULL || dir[0] == '\0')
        return KD_OK;
    KD_TRY(kd_snapshot_list(dir, arena, &s->names, &s->n, err));
    look(s, arena);
    return KD_OK;
}

/* A folder of copies may be away; one that nobody has copied to is not there. */
static void open_copies(shelf *s, const kd_restore_options *o, kd_arena *arena)
{
    kd_err why = {0};
    char text[sizeof why.msg + 100];
    *s = (shelf){0};
    if (o->copies == NULL || (access(o->copies, F_OK) != 0 && errno == ENOENT) ||
        open_shelf(s, o->copies, arena, &why) == KD_OK)
        return;
    *s = (shelf){0};
    snprintf(text, sizeof text, "copies of snapshots are not looked at: %s", why.msg);
    say(o, text);
}

/* The one to try next. What cannot be read is got over with first. */
static shelf *next_of(shelf *own, shelf *copies)
{
    if (copies->at == copies->n)
        return own;
    if (own->at == own->n)
        return copies;
    if (!own->is_known || !copies->is_known)
        return own->is_known ? copies : own;
    return kd_manifest_ahead(&copies->m, &own->m) > 0 ? copies : own;
}

static void refuse(const kd_restore_options *o, const shelf *s, const char *name, bool is_last,
                   const kd_err *why)
{
    char text[sizeof why->where + sizeof why->msg + 400];
    snprintf(text, sizeof text, "snapshot %s%s%.200s is refused: %s%s%s; %s", name,
             o->copies == s->dir ? " in " : "", o->copies == s->dir ? s->dir : "", why->where,
             why->where[0] == '\0' ? "" : ": ", why->msg,
             is_last ? "reading the topics from their start" : "trying the one before");
    say(o, text);
}

kd_rc kd_restore(const kd_restore_options *o, const char *dir, kd_arena *arena, kd_restored *out,
                 kd_err *err)
{
    shelf own, copies;
    int n_refused = 0;
    KD_TRY(open_shelf(&own, dir, arena, err));
    open_copies(&copies, o, arena);
    for (;;) {
        shelf *s = next_of(&own, &copies);
        if (s->at == s->n)
            break;
        kd_err why = {0};
        const char *name = s->names[s->at];
        kd_rc rc = load(o, s->dir, name, arena, out, &why);
        if (rc == KD_OK) {
            out->is_copy = s == &copies;
            out->n_refused = n_refused;
            return KD_OK;
        }
        if (rc != KD_EIO && rc != KD_ESTATE) {
            if (err != NULL)
                *err = why;
            return rc;
        }
        s->at++;
        look(s, arena);
        n_refused++;
        refuse(o, s, name, own.at == own.n && copies.at == copies.n, &why);
    }
    *out = (kd_restored){.n_refused = n_refused};
    return kd_recommender_new(o->values, &out->rec, err);
}

kd_rc kd_restore_find(const char *path, kd_arena *arena, const char **out_dir,
                      const char **out_name, kd_err *err)
{
    char manifest[KD_SNAPSHOT_PATH];
    char *whole = kd_arena_strz(arena, kd_str_of(path));
    if (whole == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a path");
    for (size_t n = strlen(whole); n > 1 && whole[n - 1] == '/'; n--)
        whole[n - 1] = '\0';
    KD_TRY(kd_snapshot_path(whole, NULL, KD_MANIFEST_FILE, manifest, err));
    if (access(manifest, F_OK) == 0) {
        char *slash = strrchr(whole, '/');
        *out_name = slash == NULL ? whole : slash + 1;
        *out_dir = slash == NULL ? "." : slash == whole ? "/" : whole;
        if (slash != NULL)
            *slash = '\0';
        return KD_OK;
    }
    const char *const *names = NULL;
    size_t n = 0;
    KD_TRY(kd_snapshot_list(whole, arena, &names, &n, err));
    if (n == 0)
        return kd_fail(err, KD_ECONFIG, "there is no snapshot in %s", path);
    *out_dir = whole;
    *out_name = names[0];
    return KD_OK;
}

kd_rc kd_restore_one(const kd_restore_options *o, const char *path, kd_arena *arena,
                     kd_restored *out, kd_err *err)
{
    const char *dir = NULL, *name = NULL;
    KD_TRY(kd_restore_find(path, arena, &dir, &name, err));
    kd_rc rc = load(o, dir, name, arena, out, err);
    if (rc != KD_OK)
        kd_err_at(err, "%s/%s", dir, name);
    return rc;
}
