/* broker.h - what the benchmarks need of a real broker, straight through librdkafka: topics that
 * come and go, messages in, messages counted out. Nothing of Kindred's own is used here.
 *
 * The broker's address is KINDRED_TEST_BROKERS. Every function ends the program when it fails.
 * @thread any, one handle a thread
 */
#ifndef KD_BENCH_BROKER_H
#define KD_BENCH_BROKER_H

#include "bench/bench.h"

enum { BROKER_PARTITIONS = 2 };

const char *broker_address(void);

/* Creates the topics; waits until the broker leads every partition of them. */
void broker_topics_create(const char *const *names, size_t n);
void broker_topics_delete(const char *const *names, size_t n);

/* Encodes the shop's records as Kindred's own messages and produces them to prefix + topic: single
 * object encoding, keyed as bench_key says. Waits until all are stored. */
void broker_produce_shop(const bench_shop *shop, const char *prefix);

/* Seconds that it takes to read `n` messages of the topics from their start and produce the same
 * bytes to `to` (or, if given, the bytes `instead`, each time), from the first message in hand until
 * the broker has acknowledged the last. */
double broker_raw_copy(const char *const *from, size_t n_from, const char *to, size_t n,
                       const void *instead, size_t instead_len);

/* Number of messages in a topic: the sum over the partitions of (end - start). */
int64_t broker_count(const char *topic);

#endif
