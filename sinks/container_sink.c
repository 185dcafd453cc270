/* container_sink.c - outputs of one type in an Avro object container file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/container.h"
#include "sinks/sinks.h"

typedef struct container_sink {
    kd_sink base;
    char *path; /* owned */
    FILE *file;
    kd_out_type type;
    kd_container_writer *writer;
    uint64_t acked;
} container_sink;

static kd_rc write_bytes(void *arg, const void *p, size_t n, kd_err *err)
{
    container_sink *c = arg;
    if (fwrite(p, 1, n, c->file) != n)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", c->path, strerror(errno));
    return KD_OK;
}

static kd_schema_id schema_of(kd_out_type type)
{
    switch (type) {
    case KD_OUT_SIMILAR:
        return KD_SCHEMA_SIMILAR;
    case KD_OUT_DEAD_LETTER:
        return KD_SCHEMA_DEAD_LETTER;
    case KD_OUT_RECEIPT:
        return KD_SCHEMA_RECEIPT;
    case KD_OUT_NEEDS:
        return KD_SCHEMA_NEEDS;
    default:
        return KD_SCHEMA_UPDATE;
    }
}

static kd_rc start(kd_sink *s, kd_err *err)
{
    container_sink *c = (container_sink *)s;
    c->file = fopen(c->path, "wbe");
    if (c->file == NULL)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", c->path, strerror(errno));
    return kd_container_writer_new(schema_of(c->type), KD_CONTAINER_DEFLATE, write_bytes, c,
                                   &c->writer, err);
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    container_sink *c = (container_sink *)s;
    if (out->type == c->type)
        KD_TRY(kd_container_write_out(c->writer, out, err));
    s->written++;
    return KD_OK;
}

static uint64_t acked(const kd_sink *s)
{
    return ((const container_sink *)s)->acked;
}

static kd_rc flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    container_sink *c = (container_sink *)s;
    (void)timeout_ms;
    KD_TRY(kd_container_writer_flush(c->writer, err));
    if (fflush(c->file) != 0)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", c->path, strerror(errno));
    c->acked = s->written;
    return KD_OK;
}

static void close_sink(kd_sink *s)
{
    container_sink *c = (container_sink *)s;
    kd_container_writer_free(c->writer);
    if (c->file != NULL)
        fclose(c->file);
    free(c->path);
    free(c);
}

static const kd_sink_kind kind = {.name = "container",
                                  .start = start,
                                  .write = write_one,
                                  .poll = NULL,
                                  .acked = acked,
                                  .flush = flush,
                                  .close = close_sink};

kd_rc kd_container_sink_new(const char *path, kd_out_type type, kd_sink **out, kd_err *err)
{
    KD_ASSERT(type != KD_OUT_FORGOTTEN);
    container_sink *c = calloc(1, sizeof *c);
    char *copy = strdup(path);
    if (c == NULL || copy == NULL) {
        free(c);
        free(copy);
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    }
    c->base.kind = &kind;
    c->base.takes_encoded = type == KD_OUT_UPDATE;
    c->path = copy;
    c->type = type;
    *out = &c->base;
    return KD_OK;
}
