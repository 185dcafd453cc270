/* kafka_conf_internal.h - what every client of this room is made with: properties, no log; and
 * the partitions of a topic. For kafka_*.c alone, since it shows librdkafka.
 * @thread any
 */
#ifndef KD_KAFKA_CONF_INTERNAL_H
#define KD_KAFKA_CONF_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "base/opt.h"

/* Names and values; a null name ends them. NULL: there are none. */
typedef const char *const (*kd_kafka_pairs)[2];

/* Our own defaults, what the user gave, and what nobody may change; no log. KD_ECONFIG says what
 * librdkafka refuses, and where it was set (`from`). */
KD_CHECK kd_rc kd_kafka_conf(kd_kafka_pairs first, const kd_property *given, size_t n,
                             kd_kafka_pairs fixed, rd_kafka_conf_t **out, kd_err *err);
/* Of a client beside those that work: the user's `transactional.id` is theirs. */
KD_CHECK kd_rc kd_kafka_conf_aside(const kd_property *given, size_t n, kd_kafka_pairs fixed,
                                   rd_kafka_conf_t **out, kd_err *err);
/* Owns conf, whatever comes of it. */
KD_CHECK kd_rc kd_kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out,
                               kd_err *err);
/* KD_ECONFIG: no address of a broker is given; librdkafka would wait for nobody. */
KD_CHECK kd_rc kd_kafka_need_address(const kd_property *given, size_t n, kd_err *err);
/* KD_RETRY: the brokers do not answer, or not yet; KD_ECONFIG: there is no such topic. */
KD_CHECK kd_rc kd_kafka_count_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms,
                                         int *out, kd_err *err);

#endif
