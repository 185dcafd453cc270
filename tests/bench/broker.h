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

/* Settings of every consumer whose throughput is measured, Kindred's and the raw one. 200,000 small
 * messages are so few that librdkafka's defaults would be what is measured: a partition with
 * 100,000 of them in hand is not fetched again for up to a second, and a fetch that waits at the
 * end of one partition keeps the others waiting for half a second. */
#define BROKER_QUEUED_MIN "1000000"
#define BROKER_FETCH_WAIT "10"

const char *broker_address(void);

/* Creates the topics; waits until the broker leads every partition of them. */
void broker_topics_create(const char *const *names, size_t n);
void broker_topics_delete(const char *const *names, size_t n);

/* Encodes the shop's records as Kindred's own messages and produces them to prefix + topic: single
 * object encoding, keyed as bench_key says. Waits until all are stored. */
void broker_produce_shop(const bench_shop *shop, const char *prefix);

/* Seconds that it takes to read `n` messages of the topics from their start and produce the same
 * bytes to `to` (or, if given, the bytes `instead`, each time), from the first message in hand
 * until the broker has acknowledged the last. */
double broker_raw_copy(const char *const *from, size_t n_from, const char *to, size_t n,
                       const void *instead, size_t instead_len);

/* Seconds that it takes to read `n` messages of the topics from their start and drop them, from the
 * first one in hand; `at_end` is called while the consumer's threads still live. */
double broker_consume(const char *const *from, size_t n_from, size_t n, void (*at_end)(void *arg),
                      void *arg);

/* Commits for the group the start (or the end) of every partition of the topics, so that a member
 * of it answers everything (or nothing) that is there now. */
void broker_commit(const char *group, const char *const *topics, size_t n, bool at_end);

/* The open-loop sender of the latency benchmark: hands its messages over at the times they are due,
 * whatever becomes of them. */
typedef struct broker_sender broker_sender;
broker_sender *broker_sender_new(void);
void broker_sender_send(broker_sender *s, const char *topic, kd_str key, kd_str value,
                        int64_t timestamp);
/* Serves delivery reports; to be called now and then. */
void broker_sender_poll(broker_sender *s);
void broker_sender_free(broker_sender *s);

/* Reads a topic from its present end on; each message is given to `each` with the time it came. */
typedef struct broker_reader broker_reader;
broker_reader *broker_reader_new(const char *topic);
void broker_reader_poll(broker_reader *r, int timeout_ms,
                        void (*each)(void *arg, const void *value, size_t n, double at), void *arg);
void broker_reader_free(broker_reader *r);

/* Number of messages in a topic: the sum over the partitions of (end - start). */
int64_t broker_count(const char *topic);

#endif
