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
 * A transactional sink (commit is not NULL) makes its outputs visible together with the positions
 * of the inputs that caused them. What is written is kept until it is committed, so that an aborted
 * transaction is published again from memory. commit() starts; committed() tells what came of it:
 *   KD_AGAIN  it is under way; what is written meanwhile belongs to the next one
 *   KD_OK     all of it is visible
 *   KD_RETRY  nothing of it is; it goes out with the next commit, err says why
 *   KD_END    it is not known, or another one took over: what is not committed is dropped, and the
 *             source has to look from where on nobody answered
 *   others    stop
 * @thread loop
 */
#ifndef KD_SINK_H
#define KD_SINK_H

#include "schemas/update.h"

typedef struct kd_sink kd_sink;

/* Positions to be committed together with everything written before. All borrowed until commit()
 * returns. */
typedef struct kd_commit {
    const kd_pos *pos; /* [n] where to go on in each partition */
    size_t n;
    const char *note;  /* kept beside each position: who answers the partition, "" = nobody */
    const void *group; /* who commits: opaque bytes of the source's */
    size_t group_len;
} kd_commit;

typedef struct kd_sink_kind {
    const char *name;
    kd_rc (*start)(kd_sink *s, kd_err *err);
    kd_rc (*write)(kd_sink *s, const kd_out *out, kd_err *err);
    kd_rc (*poll)(kd_sink *s, kd_err *err); /* serve callbacks; a lasting error shows here */
    uint64_t (*acked)(const kd_sink *s);    /* <= written */
    kd_rc (*flush)(kd_sink *s, int64_t timeout_ms,
                   kd_err *err); /* KD_RETRY: not all durable in time */
    void (*close)(kd_sink *s);   /* safe after a failed start; frees */
    /* NULL: not transactional. KD_AGAIN: not everything is on its way yet, or one is under way. */
    kd_rc (*commit)(kd_sink *s, const kd_commit *c, kd_err *err);
    kd_rc (*committed)(kd_sink *s, bool wait, kd_err *err);
    /* Drops what is not committed: somebody else answers it. Waits. */
    kd_rc (*drop)(kd_sink *s, kd_err *err);
} kd_sink_kind;

struct kd_sink {
    const kd_sink_kind *kind;
    uint64_t written;   /* outputs taken by write() */
    bool takes_encoded; /* of an update it needs no more than kd_out.encoded and the shopper */
};

#endif
