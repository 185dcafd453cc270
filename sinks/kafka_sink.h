/* kafka_sink.h - the door out to Kafka: one idempotent producer, every output type to its topic.
 *
 * Key: the shopper id (receipts: the keyed hash; dead letters: the bad record's key), partitioned
 * by murmur2 as Java clients do, so that any client finds one shopper in one partition. The
 * record's timestamp is the producer's clock: with the event's own time a broker would drop
 * replayed history by retention within minutes. A forgotten shopper gets a null on the compacted
 * topics. I1  acked() counts from the first output on: a delivery that is still out holds back
 * later ones I2  an output too large for the broker is counted, said, and lost on its own
 * @thread loop
 */
#ifndef KD_KAFKA_SINK_H
#define KD_KAFKA_SINK_H

#include "base/opt.h"
#include "schemas/codec.h"
#include "sinks/kd_sink.h"

typedef struct kd_kafka_sink_options {
    const char *recommendations; /* topic names; NULL or "" = this output is not published */
    const char *similar;
    const char *dead_letters;
    const char *receipts;
    const char *needs;
    const kd_property *properties; /* librdkafka's; bootstrap.servers among them */
    size_t n_properties;
    kd_codec *codec;                                /* borrowed while the sink lives */
    void (*on_notice)(void *arg, const char *text); /* nullable */
    void *notice_arg;
} kd_kafka_sink_options;

/* Strings are copied. KD_ECONFIG for a refused property. start() gets the schemas ready (KD_RETRY
 * while the registry is away). */
KD_CHECK kd_rc kd_kafka_sink_new(const kd_kafka_sink_options *o, kd_sink **out, kd_err *err);
/* Outputs that the broker refused for good. */
int64_t kd_kafka_sink_lost(const kd_sink *s);

#endif
