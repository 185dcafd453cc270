/* stream.h - Kindred's own source and sink on the real broker, ready to be measured: the instance
 * is a member of its group, nothing has been handed out that counts, the sink is warm.
 * @thread one
 */
#ifndef KD_BENCH_STREAM_H
#define KD_BENCH_STREAM_H

#include "bench/bench.h"
#include "sinks/kd_sink.h"

typedef struct stream {
    kd_codec *in_codec, *out_codec; /* owned, as what follows */
    kd_source *source;
    kd_sink *sink;
    int wake_fd; /* an eventfd that the source's wake writes to */
    size_t
        n_dropped; /* records to be answered that came in the call that joined the group: 0 or 1 */
} stream;

/* Topics are prefix + bench_topic(); `topics` are the same in full. The group is a new one that has
 * committed the start of every partition, so that everything there is gets answered, or (at_end)
 * the end, so that only what comes is. */
void stream_open(stream *s, const char *prefix, const char *const *topics, size_t n_topics,
                 const char *to, bool at_end);
/* Waits for the source to wake, a few milliseconds at most. */
void stream_wait(const stream *s);
/* Lets the sink serve its delivery reports. */
void stream_poll(const stream *s);
/* Until everything written is acknowledged. */
void stream_flush(const stream *s);
void stream_close(stream *s);

#endif
