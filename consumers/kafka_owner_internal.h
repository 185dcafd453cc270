/* kafka_owner_internal.h - who answers a partition, beside its committed offset, and how a dead
 * owner's open transaction is ended.
 *
 * An instance that answers in transactions writes its transactional id as metadata of the offsets:
 * when it gains a partition, before it answers, and with each commit; an empty one when it gives
 * the partition up in order. So whoever gains a partition next finds the id of an owner that did
 * not give it up, and fences it (init_transactions under that id), which aborts what it left open:
 * otherwise offsets and read-committed readers would wait for the transaction's timeout.
 * @thread loop
 */
#ifndef KD_KAFKA_OWNER_INTERNAL_H
#define KD_KAFKA_OWNER_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "base/opt.h"

/* Fences every owner but `own` that the group's offsets of these partitions name, and says so. An
 * owner that could not be fenced is left to its timeout. */
void kd_kafka_fence_owners(const kd_property *properties, size_t n_properties, const char *group,
                           const char *own, const rd_kafka_topic_partition_list_t *partitions,
                           void (*say)(void *arg, const char *text), void *arg);

#endif
