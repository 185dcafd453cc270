/* kafka_chunks.h - large things into a compacted topic, piece by piece under keys of their own;
 * what was put is stored when flush() says so.
 *
 * Calls wait, so this is for a thread beside the loop. `transactional.id` is left out of the
 * properties: this is another producer than the sink's.
 * @thread one at a time
 */
#ifndef KD_KAFKA_CHUNKS_H
#define KD_KAFKA_CHUNKS_H

#include "base/opt.h"

typedef struct kd_kafka_chunks kd_kafka_chunks;

KD_CHECK kd_rc kd_kafka_chunks_new(const char *topic, const kd_property *properties, size_t n,
                                   kd_kafka_chunks **out, kd_err *err);
/* Drops what is not stored. NULL is allowed. */
void kd_kafka_chunks_free(kd_kafka_chunks *c);

/* Copies the bytes; value NULL: a null, which takes the key out of the topic. Waits for room.
 * KD_EIO: one before was refused, or the broker takes nothing. */
KD_CHECK kd_rc kd_kafka_chunks_put(kd_kafka_chunks *c, const char *key, const void *value, size_t n,
                                   kd_err *err);
/* All is stored. KD_EIO: something is not. */
KD_CHECK kd_rc kd_kafka_chunks_flush(kd_kafka_chunks *c, kd_err *err);

#endif
