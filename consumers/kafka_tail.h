/* kafka_tail.h - reading a topic to look at it: every partition, no group, nothing committed.
 * @thread one
 */
#ifndef KD_KAFKA_TAIL_H
#define KD_KAFKA_TAIL_H

#include "base/opt.h"

typedef struct kd_tail kd_tail;

typedef struct kd_tail_options {
    const char *topic;
    const kd_property *properties;
    size_t n_properties;
    bool from_beginning; /* else only what comes from now on */
} kd_tail_options;

/* Borrowed until the callback returns. */
typedef struct kd_tail_message {
    int32_t partition;
    int64_t offset;
    kd_ms ts;
    const void *key, *value; /* NULL = null */
    size_t key_len, value_len;
} kd_tail_message;

/* KD_ECONFIG: no such topic, or a refused property; KD_RETRY: no broker. */
KD_CHECK kd_rc kd_tail_new(const kd_tail_options *o, kd_tail **out, kd_err *err);
void kd_tail_free(kd_tail *t);
/* Waits at most timeout_ms for messages and gives each to the callback. KD_AGAIN: none came;
 * KD_END: none came and every partition has been read to the end that it had when reading began. */
KD_CHECK kd_rc kd_tail_poll(kd_tail *t, int timeout_ms,
                            void (*each)(void *arg, const kd_tail_message *m), void *arg,
                            kd_err *err);

#endif
