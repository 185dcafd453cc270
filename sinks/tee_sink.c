/* tee_sink.c - one output to several sinks. If one of them is full the others already have the
 * output: the tee remembers where it was and goes on from there when it is called again, which it
 * is with the same output. */
#include <stdlib.h>

#include "sinks/sinks.h"

typedef struct tee_sink {
    kd_sink base;
    kd_sink **sinks; /* owned, and each of them */
    uint32_t n;
    uint32_t next; /* the sink that said KD_AGAIN */
} tee_sink;

static kd_rc start(kd_sink *s, kd_err *err)
{
    tee_sink *t = (tee_sink *)s;
    for (uint32_t k = 0; k < t->n; k++)
        KD_TRY(t->sinks[k]->kind->start(t->sinks[k], err));
    return KD_OK;
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    tee_sink *t = (tee_sink *)s;
    for (; t->next < t->n; t->next++)
        KD_TRY(t->sinks[t->next]->kind->write(t->sinks[t->next], out, err));
    t->next = 0;
    s->written++;
    return KD_OK;
}

static kd_rc poll(kd_sink *s, kd_err *err)
{
    tee_sink *t = (tee_sink *)s;
    for (uint32_t k = 0; k < t->n; k++)
        if (t->sinks[k]->kind->poll != NULL)
            KD_TRY(t->sinks[k]->kind->poll(t->sinks[k], err));
    return KD_OK;
}

/* Each sink counts every output it was given, so the least count is the tee's. */
static uint64_t acked(const kd_sink *s)
{
    const tee_sink *t = (const tee_sink *)s;
    uint64_t least = s->written;
    for (uint32_t k = 0; k < t->n; k++) {
        uint64_t a = t->sinks[k]->kind->acked(t->sinks[k]);
        least = a < least ? a : least;
    }
    return least;
}

static kd_rc flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    tee_sink *t = (tee_sink *)s;
    kd_rc first = KD_OK;
    for (uint32_t k = 0; k < t->n; k++) { /* all of them, also after a failure */
        kd_rc rc = t->sinks[k]->kind->flush(t->sinks[k], timeout_ms, first == KD_OK ? err : NULL);
        first = first == KD_OK ? rc : first;
    }
    return first;
}

static void close_sink(kd_sink *s)
{
    tee_sink *t = (tee_sink *)s;
    for (uint32_t k = 0; k < t->n; k++)
        t->sinks[k]->kind->close(t->sinks[k]);
    free(t->sinks);
    free(t);
}

static const kd_sink_kind kind = {.name = "tee",
                                  .start = start,
                                  .write = write_one,
                                  .poll = poll,
                                  .acked = acked,
                                  .flush = flush,
                                  .close = close_sink};

kd_rc kd_tee_sink_new(kd_sink **sinks, uint32_t n, kd_sink **out, kd_err *err)
{
    tee_sink *t = calloc(1, sizeof *t);
    kd_sink **copy = calloc(n + 1, sizeof(kd_sink *));
    if (t == NULL || copy == NULL) {
        free(t);
        free(copy);
        for (uint32_t k = 0; k < n; k++)
            sinks[k]->kind->close(sinks[k]);
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    }
    t->base.kind = &kind;
    t->base.takes_encoded = n > 0;
    for (uint32_t k = 0; k < n; k++) {
        copy[k] = sinks[k];
        t->base.takes_encoded &= sinks[k]->takes_encoded;
    }
    t->sinks = copy;
    t->n = n;
    *out = &t->base;
    return KD_OK;
}
