/* kafka_txn.h - the door out to Kafka, exactly once: outputs and input positions in transactions.
 *
 *   write -> batch (memory) -> producer        commit -> { send offsets, commit } on a helper
 * thread ^ again, if it is aborted     write meanwhile -> next batch
 *
 * Errors, as librdkafka means them: a retriable one is the same call again; one that requires an
 * abort aborts, and the batch goes out again from memory; a fatal one (fenced by a take-over, or
 * the outcome of a commit is unknown) makes a new producer under the same transactional id and
 * drops the batch, since the source must see first what was committed. I1  a transaction holds
 * outputs of records before its positions, and all of those since the last I2  while the helper is
 * at it, the loop touches neither producer nor batch I3  an output too large for the broker is
 * counted, said, and left out when the rest goes again Memory: what was written since the last
 * commit, at most BATCH_MAX and a half epoch.
 * @thread loop
 */
#ifndef KD_KAFKA_TXN_H
#define KD_KAFKA_TXN_H

#include "sinks/kafka_sink.h"

/* As kd_kafka_sink_new. `id` is the transactional id, no other live process's. start() gives
 * KD_RETRY while there is no coordinator. */
KD_CHECK kd_rc kd_kafka_txn_new(const kd_kafka_sink_options *o, const char *id, kd_sink **out,
                                kd_err *err);
/* Outputs that the broker refused for good. */
int64_t kd_kafka_txn_lost(const kd_sink *s);

#endif
