/* memory_sink.c - keeps what went out as JSON lines; can be scripted to be full or to fail. */
#include <stdlib.h>

#include "schemas/avro.h"
#include "schemas/json.h"
#include "sinks/sinks.h"

typedef struct memory_sink {
    kd_sink base;
    kd_buf text;
    kd_arena *update; /* that was decoded; NULL: updates are taken as they are */
    uint64_t n_calls, refuse_from, refuse_times;
    kd_rc refuse_rc;
} memory_sink;

static kd_rc start(kd_sink *s, kd_err *err)
{
    (void)s;
    (void)err;
    return KD_OK;
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    memory_sink *m = (memory_sink *)s;
    m->n_calls++;
    if (m->refuse_times > 0 && m->n_calls >= m->refuse_from) {
        m->refuse_times--;
        return kd_fail(err, m->refuse_rc, "refused by the test");
    }
    kd_out shown = *out;
    kd_update u;
    if (m->update != NULL && out->type == KD_OUT_UPDATE) {
        kd_arena_reset(m->update);
        KD_TRY(kd_update_decode(out->encoded.p, out->encoded.n, m->update, &u, err));
        shown.update = &u;
    }
    kd_json_out_print(&shown, &m->text);
    kd_buf_addc(&m->text, '\n');
    s->written++;
    return m->text.failed ? kd_fail(err, KD_ENOMEM, "no memory") : KD_OK;
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
    memory_sink *m = (memory_sink *)s;
    kd_buf_dispose(&m->text);
    kd_arena_free(m->update);
    free(m);
}

static const kd_sink_kind kind = {.name = "memory",
                                  .start = start,
                                  .write = write_one,
                                  .poll = NULL,
                                  .acked = acked,
                                  .flush = flush,
                                  .close = close_sink};

kd_rc kd_memory_sink_new(kd_sink **out, kd_err *err)
{
    memory_sink *m = calloc(1, sizeof *m);
    if (m == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    m->base.kind = &kind;
    *out = &m->base;
    return KD_OK;
}

kd_rc kd_memory_sink_take_encoded(kd_sink *s, kd_err *err)
{
    KD_ASSERT(s->kind == &kind);
    memory_sink *m = (memory_sink *)s;
    m->update = kd_arena_new(0);
    s->takes_encoded = m->update != NULL;
    return s->takes_encoded ? KD_OK : kd_fail(err, KD_ENOMEM, "no memory for a sink");
}

kd_str kd_memory_sink_text(const kd_sink *s)
{
    return kd_buf_str(&((const memory_sink *)s)->text);
}

void kd_memory_sink_refuse(kd_sink *s, uint64_t nth, uint64_t times, kd_rc rc)
{
    memory_sink *m = (memory_sink *)s;
    m->refuse_from = m->n_calls + nth;
    m->refuse_times = times;
    m->refuse_rc = rc;
}
