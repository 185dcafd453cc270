/* snapshot_read.c - finding, checking and loading snapshots (see snapshot.h).
 * @thread any: no state
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topology/snapshot_internal.h"

enum { MANIFEST_MAX = 16 * 1024 * 1024, CHUNK = 1024 * 1024 };

/* -- names ------------------------------------------------------------------------------------- */

bool kd_snapshot_is_name(const char *name)
{
    static const char shape[] = "dddddddd dddddd.dddZ-xxxx";
    if (strlen(name) != sizeof shape - 1)
        return false;
    for (size_t k = 0; k < sizeof shape - 1; k++) {
        char c = name[k];
        bool is_digit = c >= '0' && c <= '9';
        bool fits = shape[k] == 'd'   ? is_digit
                    : shape[k] == 'x' ? is_digit || (c >= 'a' && c <= 'f')
                    : shape[k] == ' ' ? c == 'T'
                                      : c == shape[k];
        if (!fits)
            return false;
    }
    return true;
}

static int newer_first(const void *a, const void *b)
{
    return -strcmp(*(const char *const *)a, *(const char *const *)b);
}

kd_rc kd_snapshot_list(const char *dir, kd_arena *arena, const char *const **out, size_t *out_n,
                       kd_err *err)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return kd_fail(err, KD_EIO, "cannot read %s: %s", dir, strerror(errno));
    const char **names = NULL;
    uint32_t n = 0, cap = 0;
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d)) != NULL;) {
        if (!kd_snapshot_is_name(e->d_name))
            continue;
        ok = kd_grow((void **)&names, &cap, n + 1, sizeof *names);
        if (ok)
            names[n++] = kd_arena_strz(arena, kd_str_of(e->d_name));
        ok = ok && names[n - 1] != NULL;
    }
    closedir(d);
    const char **list = ok ? kd_arena_alloc(arena, (n + 1) * sizeof *list) : NULL;
    if (list != NULL && n > 0) {
        memcpy(list, names, n * sizeof *list);
        qsort(list, n, sizeof *list, newer_first);
    }
    free(names);
    if (list == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the names in %s", dir);
    *out = list;
    *out_n = n;
    return KD_OK;
}

/* -- a file ------------------------------------------------------------------------------------ */

typedef struct file {
    int fd;
    const char *path;
    kd_sum *sum;
    int64_t taken,
        left;   /* of what the manifest says; not read yet from the descriptor or the room */
    char *room; /* [CHUNK] */
    size_t at, n;
} file;

static kd_rc fill(file *f, kd_err *err)
{
    ssize_t n;
    do {
        n = read(f->fd, f->room, CHUNK);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return kd_fail(err, KD_EIO, "cannot be read: %s", strerror(errno));
    if (n == 0)
        return kd_fail(err, KD_EIO, "it ends at byte %lld", (long long)f->taken);
    kd_sum_add(f->sum, f->room, (size_t)n);
    f->taken += n;
    f->at = 0;
    f->n = (size_t)n;
    return KD_OK;
}

static kd_rc read_exactly(void *arg, void *p, size_t n, kd_err *err)
{
    file *f = arg;
    char *to = p;
    while (n > 0) {
        if (f->at == f->n)
            KD_TRY(fill(f, err));
        size_t part = f->n - f->at < n ? f->n - f->at : n;
        memcpy(to, f->room + f->at, part);
        f->at += part;
        to += part;
        n -= part;
    }
    return KD_OK;
}

static kd_rc open_file(file *f, const char *path, kd_err *err)
{
    *f = (file){.fd = open(path, O_RDONLY | O_CLOEXEC), .path = path};
    if (f->fd < 0)
        return kd_fail(err, KD_EIO, "cannot be opened: %s", strerror(errno));
    f->sum = kd_sum_new();
    f->room = malloc(CHUNK);
    return f->sum == NULL || f->room == NULL ? kd_fail(err, KD_ENOMEM, "no memory to read %s", path)
                                             : KD_OK;
}

static void close_file(file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    kd_sum_free(f->sum);
    free(f->room);
}

/* Nothing follows, and it was all as the manifest says. */
static kd_rc check_end(file *f, const kd_section *s, kd_err *err)
{
    char more;
    if (f->at != f->n || read(f->fd, &more, 1) != 0 || f->taken != s->bytes)
        return kd_fail(err, KD_EIO, "it is longer or shorter than %lld bytes", (long long)s->bytes);
    if (kd_sum_value(f->sum) != s->sum)
        return kd_fail(err, KD_EIO, "it is damaged: its checksum is another one");
    return KD_OK;
}

/* -- a snapshot -------------------------------------------------------------------------------- */

kd_rc kd_snapshot_manifest(const char *dir, const char *name, kd_arena *arena, kd_manifest *out,
                           kd_err *err)
{
    char path[KD_SNAPSHOT_PATH];
    kd_buf text = {0};
    kd_reader *r = NULL;
    KD_TRY(kd_snapshot_path(dir, name, KD_MANIFEST_FILE, path, err));
    kd_rc rc = kd_reader_open(path, &r, err);
    while (rc == KD_OK && text.n < MANIFEST_MAX) {
        size_t n = 0;
        char *room = kd_buf_room(&text, 4096);
        rc = room == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a manifest")
                          : kd_reader_read(r, room, 4096, &n, err);
        text.n += n;
    }
    kd_reader_close(r);
    if (rc == KD_END)
        rc = kd_manifest_parse(text.p == NULL ? "" : text.p, text.n, path, arena, out, err);
    else if (rc == KD_OK)
        rc = kd_fail(err, KD_EIO, "%s is too long", path);
    kd_buf_dispose(&text);
    return rc;
}

static const kd_section *find_section(const kd_manifest *m, const char *name)
{
    for (size_t k = 0; k < m->n_sections; k++)
        if (strcmp(m->sections[k].name, name) == 0)
            return &m->sections[k];
    return NULL;
}

static bool is_as_said(const kd_saved *a, const kd_saved *b)
{
    return kd_digest_eq(a->digest, b->digest) && a->state_time == b->state_time &&
           a->horizon_base == b->horizon_base && a->floor == b->floor &&
           a->shoppers == b->shoppers && a->interactions == b->interactions &&
           a->items == b->items && a->products == b->products && a->links == b->links &&
           a->tombstones == b->tombstones;
}

kd_rc kd_snapshot_load(const char *dir, const char *name, const kd_manifest *m, kd_recommender *rec,
                       const kd_load_options *o, kd_err *err)
{
    char path[KD_SNAPSHOT_PATH];
    const kd_section *s = find_section(m, KD_SNAPSHOT_STATE);
    if (s == NULL || m->n_sections != 1)
        return kd_fail(err, KD_ESTATE, "it has other sections than this program writes");
    KD_TRY(kd_snapshot_path(dir, name, s->file, path, err));
    file f;
    kd_saved saved;
    kd_block_source from = {read_exactly, &f};
    kd_rc rc = open_file(&f, path, err);
    if (rc == KD_OK)
        rc = kd_recommender_load(rec, s->version, &from, o, &saved, err);
    if (rc == KD_OK)
        rc = check_end(&f, s, err);
    if (rc == KD_OK && !is_as_said(&saved, &m->saved))
        rc = kd_fail(err, KD_EIO, "it holds another state than its manifest says");
    close_file(&f);
    if (rc != KD_OK)
        kd_err_at(err, "%s", path);
    return rc;
}
