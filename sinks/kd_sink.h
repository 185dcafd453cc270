/* kd_sink.h - the contract of a door out: Kafka, JSON lines, Avro container, terminal, evaluation,
 * memory.
 *
 * A sink is a struct that begins with kd_sink. write() takes one output; what it borrows is valid
 * until it returns, so a sink encodes or copies at once. KD_AGAIN means "full, nothing taken":
 * the pipeline pauses its source and calls again. A sink ignores output types it has no place for.
 *
 * Durability: `written` counts the outputs taken; acked() says how many of them, from the first
 * on, are durable (delivery reports in, bytes handed to the file). The runtime commits a source's
 * positions when acked() has reached the count it noted with them.
 * @thread loop
 */
#ifndef KD_SINK_H
#define KD_SINK_H

#include "schemas/update.h"

typedef struct kd_sink kd_sink;

typedef struct kd_sink_kind {
    const char *name;
    kd_rc (*start)(kd_sink *s, kd_err *err);
    kd_rc (*write)(kd_sink *s, const kd_out *out, kd_err *err);
    kd_rc (*poll)(kd_sink *s, kd_err *err); /* serve callbacks; a lasting error shows here */
    uint64_t (*acked)(const kd_sink *s);    /* <= written */
    kd_rc (*flush)(kd_sink *s, int64_t timeout_ms,
                   kd_err *err); /* KD_RETRY: not all durable in time */
    void (*close)(kd_sink *s);   /* safe after a failed start; frees */
} kd_sink_kind;

struct kd_sink {
    const kd_sink_kind *kind;
    uint64_t written; /* outputs taken by write() */
};

#endif
