/* jsonl_sink.c - outputs as JSON lines in a file or on standard output, through one buffer. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/json.h"
#include "sinks/sinks.h"

enum { FLUSH_AT = 256 * 1024 };

typedef struct jsonl_sink {
    kd_sink base;
    char *path; /* owned */
    int fd;     /* -1 = not open */
    uint32_t take;
    kd_buf buf;
    uint64_t acked;
} jsonl_sink;

static kd_rc start(kd_sink *s, kd_err *err)
{
    jsonl_sink *j = (jsonl_sink *)s;
    if (strcmp(j->path, "-") == 0)
        j->fd = STDOUT_FILENO;
    else
        j->fd = open(j->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (j->fd < 0)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", j->path, strerror(errno));
    return KD_OK;
}

static kd_rc write_out(jsonl_sink *j, kd_err *err)
{
    size_t done = 0;
    while (done < j->buf.n) {
        ssize_t n = write(j->fd, j->buf.p + done, j->buf.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            /* What is out is out: keep the rest, so that a retry does not write twice. */
            memmove(j->buf.p, j->buf.p + done, j->buf.n - done);
            j->buf.n -= done;
            return kd_fail(err, KD_EIO, "cannot write %s: %s", j->path, strerror(errno));
        }
        done += (size_t)n;
    }
    kd_buf_clear(&j->buf);
    j->acked = j->base.written;
    return KD_OK;
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    jsonl_sink *j = (jsonl_sink *)s;
    if ((j->take & 1u << out->type) != 0) {
        size_t before = j->buf.n;
        kd_json_out_print(out, &j->buf);
        kd_buf_addc(&j->buf, '\n');
        if (j->buf.failed) {
            j->buf.n = before;
            j->buf.failed = false;
            return kd_fail(err, KD_ENOMEM, "no memory for a line of output");
        }
    }
    s->written++;
    return j->buf.n >= FLUSH_AT ? write_out(j, err) : KD_OK;
}

static kd_rc poll(kd_sink *s, kd_err *err)
{
    return write_out((jsonl_sink *)s, err);
}

static uint64_t acked(const kd_sink *s)
{
    return ((const jsonl_sink *)s)->acked;
}

static kd_rc flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    (void)timeout_ms;
    return write_out((jsonl_sink *)s, err);
}

static void close_sink(kd_sink *s)
{
    jsonl_sink *j = (jsonl_sink *)s;
    if (j->fd >= 0 && j->fd != STDOUT_FILENO)
        close(j->fd);
    kd_buf_dispose(&j->buf);
    free(j->path);
    free(j);
}

static const kd_sink_kind kind = {.name = "jsonl",
                                  .start = start,
                                  .write = write_one,
                                  .poll = NULL,
                                  .acked = acked,
                                  .flush = flush,
                                  .close = close_sink};
static const kd_sink_kind live_kind = {.name = "jsonl",
                                       .start = start,
                                       .write = write_one,
                                       .poll = poll,
                                       .acked = acked,
                                       .flush = flush,
                                       .close = close_sink};

kd_rc kd_jsonl_sink_new(const char *path, uint32_t take, kd_sink **out, kd_err *err)
{
    jsonl_sink *j = calloc(1, sizeof *j);
    char *copy = strdup(path);
    if (j == NULL || copy == NULL) {
        free(j);
        free(copy);
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    }
    /* On standard output somebody may be watching: each epoch shows at once. */
    j->base.kind = strcmp(path, "-") == 0 && isatty(STDOUT_FILENO) ? &live_kind : &kind;
    j->path = copy;
    j->fd = -1;
    j->take = take;
    *out = &j->base;
    return KD_OK;
}
