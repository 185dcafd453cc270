#include "base/gz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

enum { IN_BYTES = 65536, WINDOW_BYTES = 65536 };

typedef enum mode {
    MODE_UNKNOWN, /* nothing read yet */
    MODE_PLAIN,
    MODE_GZIP,
    MODE_PADDING, /* behind a gzip member: another one, zeros, or the end */
} mode;

struct kd_reader {
    char *path; /* owned */
    int fd;
    bool owns_fd;
    mode mode;
    z_stream z;
    bool z_open;
    int64_t total_bytes;
    int64_t taken_bytes; /* from the file, in[] included */
    bool at_eof;         /* the file has no more bytes */
    kd_rc ended;         /* KD_OK while there may be more; KD_END or KD_EIO are for ever (I1) */
    kd_err fault;
    unsigned char in[IN_BYTES];
    size_t in_pos, in_end;

    /* For lines: unpacked bytes not yet given. */
    char *window; /* owned */
    size_t win_cap, win_pos, win_end;
    bool skipping; /* the rest of an over-long line is in the way */
    int64_t line_no;
};

kd_rc kd_reader_open(const char *path, kd_reader **out, kd_err *err)
{
    kd_reader *r = calloc(1, sizeof *r);
    char *copy = strdup(path);
    if (r == NULL || copy == NULL) {
        free(r);
        free(copy);
        return kd_fail(err, KD_ENOMEM, "no memory to read %s", path);
    }
    r->path = copy;
    r->total_bytes = -1;
    r->owns_fd = strcmp(path, "-") != 0;
    r->fd = r->owns_fd ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    struct stat st;
    kd_rc rc = KD_OK;
    if (r->fd < 0 || fstat(r->fd, &st) != 0)
        rc = kd_fail(err, KD_EIO, "cannot open %s: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        rc = kd_fail(err, KD_EIO, "cannot open %s: it is a folder", path);
    else if (S_ISREG(st.st_mode))
        r->total_bytes = st.st_size;
    if (rc != KD_OK) {
        kd_reader_close(r);
        return rc;
    }
    *out = r;
    return KD_OK;
}

void kd_reader_close(kd_reader *r)
{
    if (r == NULL)
        return;
    if (r->z_open)
        inflateEnd(&r->z);
    if (r->owns_fd && r->fd >= 0)
        close(r->fd);
    free(r->window);
    free(r->path);
    free(r);
}

static int64_t offset(const kd_reader *r)
{
    return r->taken_bytes - (int64_t)(r->in_end - r->in_pos);
}

static kd_rc end_with(kd_reader *r, kd_rc rc)
{
    r->ended = rc;
    return rc;
}

/* One read() into in[], which must be used up. */
static kd_rc fill_raw(kd_reader *r, void *to, size_t cap, size_t *out_n)
{
    ssize_t n;
    do {
        n = read(r->fd, to, cap);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        kd_fail(&r->fault, KD_EIO, "cannot read %s at byte %lld: %s", r->path,
                (long long)r->taken_bytes, strerror(errno));
        return end_with(r, KD_EIO);
    }
    r->at_eof = n == 0;
    r->taken_bytes += n;
    *out_n = (size_t)n;
    return KD_OK;
}

static kd_rc fill_in(kd_reader *r)
{
    if (r->in_pos < r->in_end || r->at_eof)
        return KD_OK;
    r->in_pos = r->in_end = 0;
    return fill_raw(r, r->in, IN_BYTES, &r->in_end);
}

/* The first two bytes tell; a pipe may give them one at a time. */
static kd_rc sniff(kd_reader *r)
{
    while (r->in_end < 2 && !r->at_eof) {
        size_t n = 0;
        KD_TRY(fill_raw(r, r->in + r->in_end, IN_BYTES - r->in_end, &n));
        r->in_end += n;
    }
    bool is_gzip = r->in_end >= 2 && r->in[0] == 0x1F && r->in[1] == 0x8B;
    if (is_gzip) {
        if (inflateInit2(&r->z, 15 + 16) != Z_OK) {
            kd_fail(&r->fault, KD_ENOMEM, "no memory to unpack %s", r->path);
            return end_with(r, KD_ENOMEM);
        }
        r->z_open = true;
    }
    r->mode = is_gzip ? MODE_GZIP : MODE_PLAIN;
    return KD_OK;
}

static kd_rc read_plain(kd_reader *r, void *to, size_t cap, size_t *out_n)
{
    size_t left = r->in_end - r->in_pos;
    if (left > 0) {
        size_t n = left < cap ? left : cap;
        memcpy(to, r->in + r->in_pos, n);
        r->in_pos += n;
        *out_n = n;
        return KD_OK;
    }
    size_t n = 0;
    if (!r->at_eof)
        KD_TRY(fill_raw(r, to, cap, &n));
    if (n == 0)
        return end_with(r, KD_END);
    *out_n = n;
    return KD_OK;
}

/* Behind a member: zeros, then the end or the next member (I2). */
static kd_rc pass_padding(kd_reader *r)
{
    for (;;) {
        KD_TRY(fill_in(r));
        if (r->in_pos == r->in_end)
            return end_with(r, KD_END);
        if (r->in[r->in_pos] == 0) {
            r->in_pos++;
            continue;
        }
        if (r->in[r->in_pos] == 0x1F)
            break;
        kd_fail(&r->fault, KD_EIO, "%s: byte %lld behind the gzip data is not gzip", r->path,
                (long long)offset(r));
        return end_with(r, KD_EIO);
    }
    (void)inflateReset(&r->z);
    r->mode = MODE_GZIP;
    return KD_OK;
}

static kd_rc read_gzip(kd_reader *r, void *to, size_t cap, size_t *out_n)
{
    size_t got = 0;
    unsigned room = cap > (1u << 30) ? (1u << 30) : (unsigned)cap;
    while (got == 0) {
        if (r->mode == MODE_PADDING)
            KD_TRY(pass_padding(r));
        KD_TRY(fill_in(r));
        bool is_dry = r->in_pos == r->in_end;
        r->z.next_in = r->in + r->in_pos;
        r->z.avail_in = (unsigned)(r->in_end - r->in_pos);
        r->z.next_out = to;
        r->z.avail_out = room;
        int code = inflate(&r->z, Z_NO_FLUSH);
        r->in_pos = r->in_end - r->z.avail_in;
        got = room - r->z.avail_out;
        if (code == Z_STREAM_END) {
            r->mode = MODE_PADDING;
        } else if (code == Z_OK || code == Z_BUF_ERROR) {
            if (got == 0 && is_dry) {
                kd_fail(&r->fault, KD_EIO, "%s is cut off: the gzip data ends early, at byte %lld",
                        r->path, (long long)offset(r));
                r->ended = KD_EIO;
                break;
            }
        } else {
            kd_fail(&r->fault, code == Z_MEM_ERROR ? KD_ENOMEM : KD_EIO,
                    "%s is damaged near byte %lld: %s", r->path, (long long)offset(r),
                    r->z.msg == NULL ? "not gzip data" : r->z.msg);
            r->ended = r->fault.rc;
            break;
        }
    }
    *out_n = got; /* a fault waits for the next call if there is something to deliver (I1) */
    return got > 0 ? KD_OK : r->ended;
}

static kd_rc report(const kd_reader *r, kd_rc rc, kd_err *err)
{
    if (rc != KD_OK && rc != KD_END && err != NULL)
        *err = r->fault;
    return rc;
}

kd_rc kd_reader_read(kd_reader *r, void *to, size_t cap, size_t *out_n, kd_err *err)
{
    KD_ASSERT(cap > 0);
    kd_rc rc = r->ended;
    if (rc == KD_OK && r->mode == MODE_UNKNOWN)
        rc = sniff(r);
    if (rc == KD_OK)
        rc = r->mode == MODE_PLAIN ? read_plain(r, to, cap, out_n) : read_gzip(r, to, cap, out_n);
    return report(r, rc, err);
}

/* More bytes into the window; what is not yet given moves to its front. */
static kd_rc fill_window(kd_reader *r, kd_err *err)
{
    if (r->win_pos > 0) {
        memmove(r->window, r->window + r->win_pos, r->win_end - r->win_pos);
        r->win_end -= r->win_pos;
        r->win_pos = 0;
    }
    if (r->win_cap - r->win_end < WINDOW_BYTES / 2) {
        size_t cap = r->win_cap == 0 ? WINDOW_BYTES : r->win_cap * 2;
        char *p = realloc(r->window, cap);
        if (p == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for a line of %s", r->path);
        r->window = p;
        r->win_cap = cap;
    }
    size_t n = 0;
    KD_TRY(kd_reader_read(r, r->window + r->win_end, r->win_cap - r->win_end, &n, err));
    r->win_end += n;
    return KD_OK;
}

static kd_rc skip_line(kd_reader *r, kd_err *err)
{
    while (r->skipping) {
        char *nl = r->win_pos == r->win_end
                       ? NULL
                       : memchr(r->window + r->win_pos, '\n', r->win_end - r->win_pos);
        if (nl != NULL) {
            r->win_pos = (size_t)(nl - r->window) + 1;
            r->skipping = false;
        } else {
            r->win_pos = r->win_end;
            KD_TRY(fill_window(r, err));
        }
    }
    return KD_OK;
}

static kd_rc give_line(kd_reader *r, size_t n, size_t max_bytes, kd_str *out, kd_err *err)
{
    const char *p = r->window + r->win_pos;
    r->line_no++;
    if (n <= max_bytes) {
        *out = (kd_str){p, (uint32_t)n};
        return KD_OK;
    }
    *out = (kd_str){p, (uint32_t)max_bytes};
    kd_bad(err, KD_REASON_TOO_LARGE, "a line of more than %zu bytes", max_bytes);
    kd_err_at(err, "%s:%lld", r->path, (long long)r->line_no);
    return KD_EDATA;
}

kd_rc kd_reader_line(kd_reader *r, size_t max_bytes, kd_str *out, kd_err *err)
{
    KD_ASSERT(max_bytes > 0 && max_bytes < UINT32_MAX / 2);
    KD_TRY(skip_line(r, err));
    size_t seen = 0; /* bytes of the line already searched */
    for (;;) {
        size_t have = r->win_end - r->win_pos;
        char *from = r->window == NULL ? NULL : r->window + r->win_pos;
        char *nl = have == seen ? NULL : memchr(from + seen, '\n', have - seen);
        if (nl != NULL) {
            size_t n = (size_t)(nl - from);
            kd_rc rc = give_line(r, n > 0 && from[n - 1] == '\r' ? n - 1 : n, max_bytes, out, err);
            r->win_pos += n + 1;
            return rc;
        }
        if (have > max_bytes + 1) {
            kd_rc rc = give_line(r, have, max_bytes, out, err);
            r->win_pos = r->win_end;
            r->skipping = true;
            return rc;
        }
        seen = have;
        kd_rc rc = fill_window(r, err);
        if (rc == KD_END && have > 0) {
            from = r->window + r->win_pos;
            size_t n = from[have - 1] == '\r' ? have - 1 : have;
            rc = give_line(r, n, max_bytes, out, err);
            r->win_pos = r->win_end;
            return rc;
        }
        KD_TRY(rc);
    }
}

int64_t kd_reader_line_no(const kd_reader *r)
{
    return r->line_no;
}

int64_t kd_reader_done_bytes(const kd_reader *r)
{
    return offset(r);
}

int64_t kd_reader_total_bytes(const kd_reader *r)
{
    return r->total_bytes;
}

bool kd_reader_is_gzip(const kd_reader *r)
{
    return r->mode == MODE_GZIP || r->mode == MODE_PADDING;
}

const char *kd_reader_path(const kd_reader *r)
{
    return r->path;
}
