/* kafka_out_internal.h - what the two Kafka sinks share: which output goes where, and how a
 * producer is set up. The only header of this room that shows librdkafka's.
 * @thread any: no state
 */
#ifndef KD_KAFKA_OUT_INTERNAL_H
#define KD_KAFKA_OUT_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "sinks/kafka_sink.h"

enum { KD_KAFKA_OUT_TYPES = KD_OUT_NEEDS + 1, KD_KAFKA_COMPACTED = 3 };

/* Output types whose topics are compacted by shopper: where a forgotten one leaves a null. */
extern const int kd_kafka_compacted[KD_KAFKA_COMPACTED];

kd_schema_id kd_kafka_out_schema(int type);
/* "updates", "dead letters", ... for messages. */
const char *kd_kafka_out_name(int type);
kd_str kd_kafka_out_key(const kd_out *out);

/* Our defaults, the user's properties, what must be so, and `last` (ended by NULL), which must be,
 * too. The caller's, for kd_kafka_out_producer. */
KD_CHECK kd_rc kd_kafka_out_conf(const kd_kafka_sink_options *o, const char *const (*last)[2],
                                 rd_kafka_conf_t **out, kd_err *err);
/* Learns of the topics before the first output: one for a topic that is not known yet waits for up
 * to a second, librdkafka's next look. What is not learned in `timeout_ms` is looked for then. */
void kd_kafka_out_look(rd_kafka_t *rk, char *const names[KD_KAFKA_OUT_TYPES], int timeout_ms);
/* Takes the configuration, whatever comes of it. */
KD_CHECK kd_rc kd_kafka_out_producer(rd_kafka_conf_t *conf, rd_kafka_t **out, kd_err *err);

#endif
