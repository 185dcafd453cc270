/* snapshot_disk.c - folders and files of snapshots: written through to the disk, tidied up.
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

#include "base/buf.h"
#include "base/clock.h"
#include "topology/snapshot_internal.h"

kd_rc kd_snapshot_path(const char *dir, const char *name, const char *file,
                       char out[KD_SNAPSHOT_PATH], kd_err *err)
{
    int n = snprintf(out, KD_SNAPSHOT_PATH, "%s%s%s%s%s", dir, name == NULL ? "" : "/",
                     name == NULL ? "" : name, file == NULL ? "" : "/", file == NULL ? "" : file);
    return n < KD_SNAPSHOT_PATH
               ? KD_OK
               : kd_fail(err, KD_ECONFIG, "a path of %d bytes is too long, below %d is right", n,
                         KD_SNAPSHOT_PATH);
}

kd_rc kd_disk_fail(kd_err *err, const char *path, const char *what)
{
    kd_fail(err, KD_EIO, "%s: %s", what, strerror(errno));
    kd_err_at(err, "%s", path);
    return KD_EIO;
}

kd_rc kd_disk_write(int fd, const char *path, const char *p, size_t n, kd_err *err)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return kd_disk_fail(err, path, "cannot be written");
        p += done;
        n -= (size_t)done;
    }
    return KD_OK;
}

static kd_rc fill(int fd, const char *path, char *room, size_t piece, size_t *out_n, kd_err *err)
{
    for (*out_n = 0; *out_n < piece;) {
        ssize_t n = read(fd, room + *out_n, piece - *out_n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kd_disk_fail(err, path, "cannot be read");
        if (n == 0)
            break;
        *out_n += (size_t)n;
    }
    return KD_OK;
}

kd_rc kd_disk_read(const char *path, const kd_section *s, size_t piece,
                   kd_rc (*take)(void *arg, const char *p, size_t n, kd_err *err), void *arg,
                   kd_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kd_disk_fail(err, path, "cannot be opened");
    char *room = malloc(piece);
    kd_sum *sum = kd_sum_new();
    kd_rc rc =
        room == NULL || sum == NULL ? kd_fail(err, KD_ENOMEM, "no memory to read a file") : KD_OK;
    int64_t taken = 0;
    for (size_t n = piece; rc == KD_OK && n == piece && (s == NULL || taken <= s->bytes);) {
        rc = fill(fd, path, room, piece, &n, err);
        if (rc != KD_OK || n == 0)
            break;
        taken += (int64_t)n;
        kd_sum_add(sum, room, n);
        if (s == NULL || taken <= s->bytes)
            rc = take(arg, room, n, err);
    }
    if (rc == KD_OK && s != NULL && (taken != s->bytes || kd_sum_value(sum) != s->sum)) {
        rc = kd_fail(err, KD_EIO, "it is damaged or not whole: length or checksum are other ones");
        kd_err_at(err, "%s", path);
    }
    kd_sum_free(sum);
    free(room);
    close(fd);
    return rc;
}

kd_rc kd_disk_create(const char *path, int *out_fd, kd_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return kd_disk_fail(err, path, "cannot be made");
    *out_fd = fd;
    return KD_OK;
}

kd_rc kd_disk_finish(int fd, const char *path, kd_err *err)
{
    kd_rc rc = fsync(fd) == 0 ? KD_OK : kd_disk_fail(err, path, "cannot be synced");
    if (close(fd) != 0 && rc == KD_OK)
        rc = kd_disk_fail(err, path, "cannot be closed");
    return rc;
}

kd_rc kd_disk_sync_folder(const char *path, kd_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return kd_disk_fail(err, path, "cannot be opened");
    kd_rc rc = fsync(fd) == 0 ? KD_OK : kd_disk_fail(err, path, "cannot be synced");
    close(fd);
    return rc;
}

/* There are no folders in ours. */
void kd_disk_remove_folder(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char file[KD_SNAPSHOT_PATH];
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            kd_snapshot_path(path, NULL, e->d_name, file, NULL) == KD_OK)
            (void)unlink(file);
    }
    if (d != NULL)
        closedir(d);
    (void)rmdir(path);
}

/* Seconds since something in the folder was last touched. */
static int64_t idle_s(const char *path)
{
    struct stat st;
    int64_t newest = stat(path, &st) == 0 ? (int64_t)st.st_mtime : 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char file[KD_SNAPSHOT_PATH];
        if (strcmp(e->d_name, "..") != 0 &&
            kd_snapshot_path(path, NULL, e->d_name, file, NULL) == KD_OK && stat(file, &st) == 0 &&
            (int64_t)st.st_mtime > newest)
            newest = (int64_t)st.st_mtime;
    }
    if (d != NULL)
        closedir(d);
    return kd_clock_wall_ms() / 1000 - newest;
}

void kd_snapshot_clear(const char *dir, int64_t min_idle_s)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[KD_SNAPSHOT_PATH];
        if (strncmp(e->d_name, KD_SNAPSHOT_TMP, sizeof KD_SNAPSHOT_TMP - 1) == 0 &&
            kd_snapshot_path(dir, NULL, e->d_name, path, NULL) == KD_OK &&
            (min_idle_s == 0 || idle_s(path) >= min_idle_s))
            kd_disk_remove_folder(path);
    }
    if (d != NULL)
        closedir(d);
}

kd_rc kd_snapshot_tmp(const char *dir, const char *name, char out[KD_SNAPSHOT_PATH], kd_err *err)
{
    char tmp[KD_SNAPSHOT_NAME + sizeof KD_SNAPSHOT_TMP];
    snprintf(tmp, sizeof tmp, KD_SNAPSHOT_TMP "%s", name);
    return kd_snapshot_path(dir, tmp, NULL, out, err);
}

/* Out of sight first, so that nobody begins to read what is going. */
static kd_rc remove_snapshot(const char *dir, const char *name, kd_err *err)
{
    char path[KD_SNAPSHOT_PATH], tmp[KD_SNAPSHOT_PATH];
    KD_TRY(kd_snapshot_path(dir, name, NULL, path, err));
    KD_TRY(kd_snapshot_tmp(dir, name, tmp, err));
    if (rename(path, tmp) == 0)
        kd_disk_remove_folder(tmp);
    return KD_OK;
}

kd_rc kd_snapshot_prune(const char *dir, int64_t keep, int64_t max_age_ms, const char *pinned,
                        kd_err *err)
{
    kd_arena *arena = kd_arena_new(0);
    const char *const *names = NULL;
    size_t n = 0;
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory to tidy up")
                             : kd_snapshot_list(dir, arena, &names, &n, err);
    for (size_t k = 1; rc == KD_OK && k < n; k++) {
        kd_manifest m;
        bool is_old =
            max_age_ms > 0 && (kd_snapshot_manifest(dir, names[k], arena, &m, NULL) != KD_OK ||
                               kd_clock_wall_ms() - m.made > max_age_ms);
        if (strcmp(names[k], pinned) != 0 && ((int64_t)k >= keep || is_old))
            rc = remove_snapshot(dir, names[k], err);
    }
    kd_arena_free(arena);
    return rc;
}
