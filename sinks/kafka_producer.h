/* kafka_producer.h - input records into their topics: what `kindred produce` and the demonstration
 * do.
 *
 * Topic by record type; key = the shopper (user id, else session id), the item of a CatalogItem,
 * the shopper of a ForgetRequest; the record's timestamp is its event time, so that what is read
 * later is judged by the time it belongs to. The partitioner is that of the sink and of Java
 * clients. A record that the broker refuses (its timestamp, its size) is reported on its own; the
 * valid ones beside it go through, because a refused batch is sent again record by record.
 * @thread one
 */
#ifndef KD_KAFKA_PRODUCER_H
#define KD_KAFKA_PRODUCER_H

#include "base/opt.h"
#include "schemas/codec.h"

typedef struct kd_kafka_producer kd_kafka_producer;

typedef struct kd_kafka_producer_options {
    const char *topic[KD_RECORD_TYPES]; /* by kd_record_type */
    const kd_property *properties;
    size_t n_properties;
    kd_codec *codec; /* borrowed while the producer lives */
    /* A record that was refused for good: borrowed until return. */
    void (*on_refused)(void *arg, const kd_pos *pos, kd_reason reason, const char *message,
                       const void *key, size_t key_len, const void *value, size_t value_len);
    void *refused_arg;
} kd_kafka_producer_options;

/* Gets the schemas ready. KD_RETRY while the registry is away. */
KD_CHECK kd_rc kd_kafka_producer_new(const kd_kafka_producer_options *o, kd_kafka_producer **out,
                                     kd_err *err);
/* KD_AGAIN: the queue is full; call kd_kafka_producer_poll and try again. */
KD_CHECK kd_rc kd_kafka_producer_put(kd_kafka_producer *p, const kd_record *r, kd_err *err);
void kd_kafka_producer_poll(kd_kafka_producer *p, int timeout_ms);
/* KD_RETRY: not all delivered in time. */
KD_CHECK kd_rc kd_kafka_producer_flush(kd_kafka_producer *p, int timeout_ms, kd_err *err);
int64_t kd_kafka_producer_delivered(const kd_kafka_producer *p);
int64_t kd_kafka_producer_refused(const kd_kafka_producer *p);
void kd_kafka_producer_free(kd_kafka_producer *p);

#endif
