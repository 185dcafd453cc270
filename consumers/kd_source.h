/* kd_source.h - the contract of a door in. Kafka, files, the generator and memory all look like
 * this to the pipeline.
 *
 * A source is a struct that begins with kd_source; its constructor (in its own header) fills
 * `kind`. Order of calls: start, then any mix of next / release / commit / pause / resume, then
 * close (safe after a failed start; frees the source).
 *
 * next() hands out one record at a time, in the source's order, decoded and checked:
 *   KD_OK     *out is filled; its strings are valid until release()
 *   KD_EDATA  a bad record: out->pos, out->emit and out->raw_* are filled, err says why; go on
 *   KD_AGAIN  nothing now (live sources only); the wake callback will be called
 *   KD_END    a bounded source is finished
 *   KD_RETRY  transient (registry or broker away): call again after a pause; err says what
 *   others    stop
 * release() gives back the memory behind every record handed out so far. The pipeline calls it
 * between epochs and copies the one record it may have pushed back.
 * mark(), called between epochs, notes the position after the last record handed out of each
 * partition; `pending` (nullable) is the one that the pipeline pushed back and has not worked on:
 * its partition is noted up to it. commit() makes the noted positions durable (asynchronously where
 * the outside allows it). Between the two the runtime waits until everything written before the
 * mark is durable. Without mark() commit() is for the last released records, and called only when
 * nothing is under way. Sources without positions leave both NULL.
 *
 * positions() tells, between epochs, where a source that is opened anew should go on so that
 * nothing is missed after what was handed out so far: what a snapshot keeps beside the state.
 *
 * @thread loop; only the wake callback may be called from another thread.
 */
#ifndef KD_SOURCE_H
#define KD_SOURCE_H

#include "schemas/record.h"

typedef struct kd_source kd_source;

/* Where to go on in one partition. `term` counts the times that somebody else may have answered for
 * its shoppers: what was published under another term is not known to be the last word. */
typedef struct kd_source_pos {
    kd_pos pos; /* topic is borrowed from the source, or from whoever loaded it */
    uint32_t term;
} kd_source_pos;

/* What a transactional sink has to know to commit (kd_sink.h has the same words). */
typedef struct kd_mark {
    const kd_pos *pos;
    size_t n;
    const char *note;
    const void *group;
    size_t group_len;
} kd_mark;

/* What progress lines show; -1 = unknown. */
typedef struct kd_progress {
    int64_t records;                 /* handed out */
    int64_t lag;                     /* records behind the end, live sources */
    int64_t done_bytes, total_bytes; /* files */
    int64_t silent_ms;        /* the brokers have said nothing for so long, and the lag is that of
                                 then; 0 = they answer */
    int partitions, answered; /* live sources: all, and those that this instance answers */
} kd_progress;

#define KD_PROGRESS_UNKNOWN                                                                        \
    {                                                                                              \
        .records = -1, .lag = -1, .done_bytes = -1, .total_bytes = -1                              \
    }

typedef struct kd_source_kind {
    const char *name;
    kd_rc (*start)(kd_source *s, kd_err *err);
    kd_rc (*next)(kd_source *s, kd_record *out, kd_err *err);
    void (*release)(kd_source *s);
    kd_rc (*commit)(kd_source *s, kd_err *err);                      /* NULL: no positions */
    void (*pause)(kd_source *s, bool paused);                        /* NULL: pull only */
    void (*set_wake)(kd_source *s, void (*wake)(void *), void *arg); /* NULL: pull only */
    void (*progress)(const kd_source *s, kd_progress *out);
    void (*close)(kd_source *s);
    void (*mark)(kd_source *s, const kd_pos *pending); /* NULL: see commit */
    /* Called at the start of an epoch, before anything is handed out: what must not happen within
     * one (partitions coming and going) happens here. NULL: nothing does. */
    void (*serve)(kd_source *s);
    /* With a transactional sink, which commits what mark() noted: fills *out (its arrays are the
     * source's until the next call); `is_last`: this instance gives its partitions up. */
    kd_rc (*take_mark)(kd_source *s, bool is_last, kd_mark *out, kd_err *err);
    /* What take_mark() gave is committed. */
    void (*settle)(kd_source *s);
    /* Nobody knows what is: looks it up, and goes back to where nobody answered. */
    kd_rc (*resync)(kd_source *s, kd_err *err);
    /* Called before partitions are given up, between epochs; is_lost: they are already. */
    void (*set_revoke)(kd_source *s, void (*revoke)(void *arg, bool is_lost), void *arg);
    /* True if a record that was handed out and kept back is still to be answered; NULL: it is. */
    bool (*is_due)(const kd_source *s, const kd_pos *pos);
    /* Writes at most max positions, returns how many there are; NULL: the source has none. */
    size_t (*positions)(const kd_source *s, const kd_pos *pending, kd_source_pos *out, size_t max);
} kd_source_kind;

struct kd_source {
    const kd_source_kind *kind;
};

#endif
