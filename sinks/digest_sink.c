/* digest_sink.c - the output digest: a chain, so that order counts: d = H(d, encoding). */
#include <stdlib.h>
#include <string.h>

#include "schemas/codec.h"
#include "sinks/sinks.h"

typedef struct digest_sink {
    kd_sink base;
    kd_digest value;
    int64_t n_updates;
    kd_buf buf;
} digest_sink;

static kd_rc start(kd_sink *s, kd_err *err)
{
    (void)s;
    (void)err;
    return KD_OK;
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    digest_sink *d = (digest_sink *)s;
    if (out->type == KD_OUT_UPDATE) {
        kd_buf_clear(&d->buf);
        kd_buf_add(&d->buf, &d->value, sizeof d->value);
        kd_out_encode(out, &d->buf);
        if (d->buf.failed)
            return kd_fail(err, KD_ENOMEM, "no memory for an update");
        d->value = kd_hash128(d->buf.p, d->buf.n, 0);
        d->n_updates++;
    }
    s->written++;
    return KD_OK;
}

static uint64_t acked(const kd_sink *s)
{
    return s->written;
}

static kd_rc flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    (void)timeout_ms;
    return start(s, err);
}

static void close_sink(kd_sink *s)
{
    digest_sink *d = (digest_sink *)s;
    kd_buf_dispose(&d->buf);
    free(d);
}

static const kd_sink_kind kind = {.name = "digest",
                                  .start = start,
                                  .write = write_one,
                                  .poll = NULL,
                                  .acked = acked,
                                  .flush = flush,
                                  .close = close_sink};

kd_rc kd_digest_sink_new(kd_sink **out, kd_err *err)
{
    digest_sink *d = calloc(1, sizeof *d);
    if (d == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    d->base.kind = &kind;
    d->base.takes_encoded = true;
    *out = &d->base;
    return KD_OK;
}

kd_digest kd_digest_sink_value(const kd_sink *s)
{
    KD_ASSERT(s->kind == &kind);
    return ((const digest_sink *)s)->value;
}

int64_t kd_digest_sink_updates(const kd_sink *s)
{
    KD_ASSERT(s->kind == &kind);
    return ((const digest_sink *)s)->n_updates;
}
