#include "topology/snapshot_topic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "consumers/kafka_tail.h"
#include "sinks/kafka_chunks.h"
#include "topology/snapshot_internal.h"

enum { KEY_MAX = 128, TAIL_MS = 500, CHUNKS_MAX = 1000000 };

/* -- what lies in the topic -------------------------------------------------------------------- */

typedef struct lying {
    char name[KD_SNAPSHOT_NAME];
    char file[KD_SNAPSHOT_NAME]; /* of its chunks: there is one section */
    int n_chunks;                /* the greatest number seen, plus one */
    bool is_whole;               /* its manifest came */
    bool stays;                  /* prune()'s */
    kd_ms ts;                    /* of its newest record */
} lying;

struct kd_topic_shelf {
    lying *all; /* owned */
    uint32_t n, cap;
    uint64_t last; /* what was written last: state and positions */
    kd_ms last_at;
};

void kd_topic_shelf_free(kd_topic_shelf *s)
{
    if (s != NULL)
        free(s->all);
    free(s);
}

static lying *find(kd_topic_shelf *s, const char *name)
{
    for (uint32_t k = 0; k < s->n; k++)
        if (strcmp(s->all[k].name, name) == 0)
            return &s->all[k];
    if (!kd_grow((void **)&s->all, &s->cap, s->n + 1, sizeof *s->all))
        return NULL;
    lying *x = &s->all[s->n++];
    *x = (lying){0};
    snprintf(x->name, sizeof x->name, "%s", name);
    return x;
}

/* A key in its parts. `chunk` is -1 for a manifest. False: it is none of ours. */
typedef struct key {
    char name[KEY_MAX], *file;
    int chunk;
} key;

static bool parse_key(const kd_tail_message *m, key *out)
{
    if (m->key == NULL || m->key_len >= KEY_MAX)
        return false;
    memcpy(out->name, m->key, m->key_len);
    out->name[m->key_len] = '\0';
    char *slash = strchr(out->name, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    out->file = slash + 1;
    out->chunk = -1;
    if (!kd_snapshot_is_name(out->name) || strlen(out->name) >= KD_SNAPSHOT_NAME)
        return false;
    if (strcmp(out->file, KD_MANIFEST_FILE) == 0)
        return true;
    slash = strchr(out->file, '/');
    if (slash == NULL || slash - out->file >= KD_SNAPSHOT_NAME)
        return false;
    *slash = '\0';
    char *end = NULL;
    long n = strtol(slash + 1, &end, 10);
    out->chunk = (int)n;
    return strcmp(out->file, KD_SNAPSHOT_FILE) == 0 && *end == '\0' && end != slash + 1 && n >= 0 &&
           n < CHUNKS_MAX;
}

/* -- reading the topic from end to end -----------------------------------------------------------
 */

typedef struct reading {
    kd_topic_shelf *shelf;
    const char *dir; /* NULL: bytes are not wanted */
    kd_rc rc;
    kd_err err;
} reading;

/* Bytes of a snapshot into its folder in the making. */
static kd_rc store(const char *dir, const key *k, const kd_tail_message *m, kd_err *err)
{
    char tmp[KD_SNAPSHOT_PATH], path[KD_SNAPSHOT_PATH];
    KD_TRY(kd_snapshot_tmp(dir, k->name, tmp, err));
    if (mkdir(tmp, 0750) != 0 && errno != EEXIST)
        return kd_disk_fail(err, tmp, "cannot be made");
    KD_TRY(kd_snapshot_path(tmp, NULL, k->file, path, err));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return kd_disk_fail(err, path, "cannot be made");
    off_t at = k->chunk < 0 ? 0 : (off_t)k->chunk * KD_PIECE_BYTES;
    kd_rc rc = lseek(fd, at, SEEK_SET) == at ? kd_disk_write(fd, path, m->value, m->value_len, err)
                                             : kd_disk_fail(err, path, "cannot be written");
    close(fd);
    return rc;
}

static void take(void *arg, const kd_tail_message *m)
{
    reading *r = arg;
    key k;
    if (r->rc != KD_OK || !parse_key(m, &k))
        return;
    lying *x = find(r->shelf, k.name);
    if (x == NULL) {
        r->rc = kd_fail(&r->err, KD_ENOMEM, "no memory for what lies in a topic");
        return;
    }
    if (k.chunk < 0)
        x->is_whole = m->value != NULL;
    else if (k.chunk >= x->n_chunks)
        x->n_chunks = k.chunk + 1;
    if (m->ts > x->ts)
        x->ts = m->ts;
    if (r->dir != NULL && m->value != NULL)
        r->rc = store(r->dir, &k, m, &r->err);
}

static kd_rc check_cancelled(const kd_topic_options *o, kd_err *err)
{
    return o->is_cancelled != NULL && atomic_load(o->is_cancelled)
               ? kd_fail(err, KD_RETRY, "it was given up")
               : KD_OK;
}

static kd_rc read_topic(const kd_topic_options *o, reading *r, kd_err *err)
{
    kd_tail *tail = NULL;
    kd_tail_options to = {.topic = o->topic,
                          .properties = o->properties,
                          .n_properties = o->n_properties,
                          .from_beginning = true};
    KD_TRY(kd_tail_new(&to, &tail, err));
    kd_rc rc;
    do {
        rc = check_cancelled(o, err);
        if (rc == KD_OK)
            rc = kd_tail_poll(tail, TAIL_MS, take, r, err);
    } while ((rc == KD_OK || rc == KD_AGAIN) && r->rc == KD_OK);
    kd_tail_free(tail);
    if (r->rc != KD_OK && err != NULL)
        *err = r->err;
    return r->rc != KD_OK ? r->rc : rc == KD_END ? KD_OK : rc;
}

static int newer_first(const void *a, const void *b)
{
    return -strcmp(((const lying *)a)->name, ((const lying *)b)->name);
}

/* -- writing ----------------------------------------------------------------------------------- */

static void print_key(const char *name, const char *file, int chunk, char out[KEY_MAX])
{
    if (chunk < 0)
        snprintf(out, KEY_MAX, "%s/%s", name, file);
    else
        snprintf(out, KEY_MAX, "%s/%s/%06d", name, file, chunk);
}

typedef struct putting {
    const kd_topic_options *o;
    kd_kafka_chunks *to;
    const char *name, *file;
    int chunk;
} putting;

static kd_rc put_piece(void *arg, const char *p, size_t n, kd_err *err)
{
    putting *x = arg;
    char id[KEY_MAX];
    print_key(x->name, x->file, x->chunk++, id);
    KD_TRY(kd_kafka_chunks_put(x->to, id, p, n, err));
    return check_cancelled(x->o, err);
}

/* A sum that is another one is found before the manifest is written. */
static kd_rc put_file(const kd_topic_options *o, kd_kafka_chunks *to, const char *dir,
                      const char *name, const kd_section *s, kd_err *err)
{
    char path[KD_SNAPSHOT_PATH];
    putting x = {o, to, name, s->file, 0};
    KD_TRY(kd_snapshot_path(dir, name, s->file, path, err));
    return kd_disk_read(path, s, KD_PIECE_BYTES, put_piece, &x, err);
}

static kd_rc put_nulls(kd_kafka_chunks *to, const lying *x, kd_err *err)
{
    char id[KEY_MAX];
    print_key(x->name, KD_MANIFEST_FILE, -1, id);
    KD_TRY(kd_kafka_chunks_put(to, id, NULL, 0, err));
    for (int k = 0; k < x->n_chunks; k++) {
        print_key(x->name, KD_SNAPSHOT_FILE, k, id);
        KD_TRY(kd_kafka_chunks_put(to, id, NULL, 0, err));
    }
    return KD_OK;
}

/* What is over the bounds, and what somebody left half-written. */
static kd_rc prune(const kd_topic_options *o, kd_topic_shelf *s, kd_kafka_chunks *to, kd_err *err)
{
    int64_t whole = 0;
    uint32_t kept = 0;
    kd_ms now = kd_clock_wall_ms();
    qsort(s->all, s->n, sizeof *s->all, newer_first);
    for (uint32_t k = 0; k < s->n; k++) {
        lying *x = &s->all[k];
        bool is_old = o->max_age_ms > 0 && now - x->ts > o->max_age_ms && whole > 0;
        x->stays = x->is_whole ? whole < o->keep && !is_old : now - x->ts < KD_MS_DAY;
        whole += x->is_whole;
        if (!x->stays)
            KD_TRY(put_nulls(to, x, err));
    }
    KD_TRY(kd_kafka_chunks_flush(to, err)); /* what is not stored is tried again the next time */
    for (uint32_t k = 0; k < s->n; k++)
        if (s->all[k].stays)
            s->all[kept++] = s->all[k];
    s->n = kept;
    return KD_OK;
}

static kd_rc put_manifest(kd_kafka_chunks *to, const char *name, const kd_manifest *m, kd_err *err)
{
    char id[KEY_MAX];
    kd_buf text = {0};
    kd_manifest_print(m, &text);
    print_key(name, KD_MANIFEST_FILE, -1, id);
    kd_rc rc = text.failed ? kd_fail(err, KD_ENOMEM, "no memory for a manifest")
                           : kd_kafka_chunks_put(to, id, text.p, text.n, err);
    kd_buf_dispose(&text);
    return rc == KD_OK ? kd_kafka_chunks_flush(to, err) : rc;
}

static kd_rc put_snapshot(const kd_topic_options *o, kd_topic_shelf *shelf, kd_kafka_chunks *to,
                          const char *dir, const char *name, const kd_manifest *m, kd_err *err)
{
    lying *x = find(shelf, name);
    if (x == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for what lies in a topic");
    x->ts = kd_clock_wall_ms();
    x->n_chunks = (int)((m->sections[0].bytes + KD_PIECE_BYTES - 1) / KD_PIECE_BYTES);
    KD_TRY(put_file(o, to, dir, name, &m->sections[0], err));
    KD_TRY(kd_kafka_chunks_flush(to, err)); /* before its manifest says that it is there */
    KD_TRY(put_manifest(to, name, m, err));
    x->is_whole = true;
    return prune(o, shelf, to, err);
}

static uint64_t essence(const kd_manifest *m)
{
    uint64_t h = kd_hash64(&m->saved.digest, sizeof m->saved.digest, 1);
    for (size_t k = 0; k < m->n_positions; k++)
        h = kd_hash64(&m->positions[k].pos.offset, sizeof m->positions[k].pos.offset, h);
    return h;
}

/* Into a shelf that is known. KD_END: nothing happened since the last one. */
static kd_rc write_one(const kd_topic_options *o, kd_topic_shelf *shelf, const char *dir,
                       const char *name, const kd_manifest *m, kd_err *err)
{
    kd_kafka_chunks *to = NULL;
    kd_ms now = kd_clock_wall_ms();
    uint64_t h = essence(m);
    if (shelf->last == h && now - shelf->last_at < KD_MS_DAY)
        return KD_END;
    KD_TRY(kd_kafka_chunks_new(o->topic, o->properties, o->n_properties, &to, err));
    kd_rc rc = put_snapshot(o, shelf, to, dir, name, m, err);
    kd_kafka_chunks_free(to);
    if (rc == KD_OK) {
        shelf->last = h;
        shelf->last_at = now;
    }
    return rc;
}

kd_rc kd_snapshot_to_topic(const kd_topic_options *o, kd_topic_shelf **shelf, const char *dir,
                           const char *name, kd_err *err)
{
    kd_manifest m;
    kd_arena *arena = kd_arena_new(0);
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a copy")
                             : kd_snapshot_manifest(dir, name, arena, &m, err);
    if (rc == KD_OK && (m.n_sections != 1 || strcmp(m.sections[0].file, KD_SNAPSHOT_FILE) != 0))
        rc = kd_fail(err, KD_ESTATE, "it has other sections than this program writes");
    if (rc == KD_OK && *shelf == NULL) {
        kd_topic_shelf *s = calloc(1, sizeof *s);
        reading r = {.shelf = s};
        rc = s == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a copy") : read_topic(o, &r, err);
        if (rc == KD_OK)
            *shelf = s;
        else
            kd_topic_shelf_free(s);
    }
    if (rc == KD_OK)
        rc = write_one(o, *shelf, dir, name, &m, err);
    kd_arena_free(arena);
    return rc;
}

/* -- reading one back -------------------------------------------------------------------------- */

static kd_rc look_at(void *arg, const char *p, size_t n, kd_err *err)
{
    (void)arg;
    (void)p;
    (void)n;
    (void)err;
    return KD_OK;
}

/* What came has the length and the checksum that it should, and is on the disk. */
static kd_rc check_file(const char *tmp, const kd_section *s, kd_err *err)
{
    char path[KD_SNAPSHOT_PATH];
    KD_TRY(kd_snapshot_path(tmp, NULL, s->file, path, err));
    KD_TRY(kd_disk_read(path, s, KD_PIECE_BYTES, look_at, NULL, err));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? kd_disk_fail(err, path, "cannot be opened") : kd_disk_finish(fd, path, err);
}

/* The folder in the making becomes a snapshot. */
static kd_rc adopt(const char *dir, const char *name, kd_arena *arena, kd_err *err)
{
    char tmp[KD_SNAPSHOT_PATH], path[KD_SNAPSHOT_PATH];
    kd_manifest m;
    KD_TRY(kd_snapshot_tmp(dir, name, tmp, err));
    KD_TRY(kd_snapshot_path(dir, name, NULL, path, err));
    KD_TRY(kd_snapshot_manifest(dir, strrchr(tmp, '/') + 1, arena, &m, err));
    for (size_t k = 0; k < m.n_sections; k++)
        KD_TRY(check_file(tmp, &m.sections[k], err));
    KD_TRY(kd_disk_sync_folder(tmp, err));
    kd_disk_remove_folder(path); /* one of this name was of no use */
    if (rename(tmp, path) != 0)
        return kd_disk_fail(err, path, "cannot be renamed to");
    return kd_disk_sync_folder(dir, err);
}

kd_rc kd_snapshot_from_topic(const kd_topic_options *o, const char *dir, kd_arena *arena,
                             void (*on_refused)(void *arg, const char *name, const kd_err *why),
                             void *arg, const char **out_name, kd_err *err)
{
    kd_topic_shelf s = {0};
    reading r = {.shelf = &s, .dir = dir};
    kd_rc rc = read_topic(o, &r, err);
    *out_name = NULL;
    if (s.n > 0)
        qsort(s.all, s.n, sizeof *s.all, newer_first);
    for (uint32_t k = 0; rc == KD_OK && *out_name == NULL && k < s.n; k++) {
        kd_err why = {0};
        if (!s.all[k].is_whole)
            continue;
        if (adopt(dir, s.all[k].name, arena, &why) == KD_OK)
            *out_name = kd_arena_strz(arena, kd_str_of(s.all[k].name));
        else
            on_refused(arg, s.all[k].name, &why);
    }
    free(s.all);
    kd_snapshot_clear(dir, 0);
    return rc;
}
