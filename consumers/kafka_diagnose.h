/* kafka_diagnose.h - why the brokers do not answer.
 *
 * Blocking calls of librdkafka end in "timed out" and "transport failure", whatever is wrong; the
 * cause (a refused password, an unknown certificate, another protocol) comes past them. So it is
 * asked for when a call has failed: by a client of its own with the same properties.
 * @thread any; blocks for up to 4 s
 */
#ifndef KD_KAFKA_DIAGNOSE_H
#define KD_KAFKA_DIAGNOSE_H

#include "base/opt.h"

/* Adds to *err, if that is KD_RETRY, what is wrong and what would be right; nothing if the brokers
 * answer after all, or as soon as *stop (nullable) is not 0. NULL is allowed. */
void kd_kafka_diagnose(const kd_property *properties, size_t n, const volatile int *stop,
                       kd_err *err);

#endif
