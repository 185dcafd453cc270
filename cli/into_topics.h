/* into_topics.h - input records into the topics that the configuration names: what `produce` and
 * `forget` share. Brokers and registry are waited for, with a notice on stderr.
 * @thread main
 */
#ifndef KD_CLI_INTO_TOPICS_H
#define KD_CLI_INTO_TOPICS_H

#include "cli/cli.h"
#include "consumers/kafka_admin.h"
#include "sinks/kafka_producer.h"

typedef struct kd_into_topics {
    kd_codec *codec;
    kd_kafka_admin *admin;
    kd_kafka_producer *producer;
    kd_kafka_producer_options options;
    const volatile int *stop;
    kd_ms now;
    int64_t retention_ms[KD_RECORD_TYPES]; /* -1 = for ever; INT64_MIN = not asked yet */
} kd_into_topics;

/* on_refused and its argument as in kd_kafka_producer_options. KD_RETRY: *stop was raised while
 * something was waited for. */
KD_CHECK kd_rc kd_into_topics_open(kd_into_topics *x, const kd_config *c, const volatile int *stop,
                                   void (*on_refused)(void *arg, const kd_pos *pos,
                                                      kd_reason reason, const char *message,
                                                      const void *key, size_t key_len,
                                                      const void *value, size_t value_len),
                                   void *arg, kd_err *err);
/* KD_ECONFIG: the topic is not there, or its retention would drop the record at once. */
KD_CHECK kd_rc kd_into_topics_put(kd_into_topics *x, const kd_record *r, kd_err *err);
/* Until everything is acknowledged. */
KD_CHECK kd_rc kd_into_topics_flush(const kd_into_topics *x, kd_err *err);
/* {0} is closed. */
void kd_into_topics_close(kd_into_topics *x);

#endif
