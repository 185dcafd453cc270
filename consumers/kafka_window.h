/* kafka_window.h - what was fetched and not handed out: a queue for each partition, and
 * which of them has the oldest record.
 *
 * librdkafka hands over a partition's records by the megabyte. An instance that catches up would
 * apply minutes of one partition, then the same minutes of the next, and each of those would go
 * into the middle of every list that is kept by time. So the heads of the partitions are merged by
 * the records' timestamps, as far as they are in hand: nobody waits for a partition that has
 * nothing. The order within a partition stays; the state does not depend on the order at all, only
 * how fast it comes.
 *
 * I1  `heap` holds the partitions that have something, the least (time, partition) first
 * I2  news of a partition (its end, an error) has no time and is handed out as soon as it is a head
 * Cost: O(log partitions) a message, 24 bytes a message in hand (amortised; an empty queue keeps at
 * most 96 KiB).   @thread loop
 */
#ifndef KD_KAFKA_WINDOW_H
#define KD_KAFKA_WINDOW_H

#include "base/kd.h"

/* The time of what is news of a partition, not a record. */
#define KD_KAFKA_NEWS INT64_MIN

typedef struct kd_kafka_waiting {
    int64_t time;
    void *m; /* owned: a message of librdkafka */
    size_t bytes;
} kd_kafka_waiting;

typedef struct kd_kafka_queue {
    kd_kafka_waiting *at; /* [cap] owned, a ring; cap is a power of two, or 0 */
    uint32_t cap, first, n;
} kd_kafka_queue;

typedef struct kd_kafka_window {
    kd_kafka_queue *queue; /* [n_parts] owned */
    int *heap;             /* [n_parts] owned: partitions that have something */
    int n_parts, n_heap;
    size_t bytes; /* of everything in hand */
    void (*destroy)(void *m);
} kd_kafka_window;

/* {0} is an empty one without partitions. Empties it first. `destroy` is for what is thrown away.
 */
KD_CHECK kd_rc kd_kafka_window_init(kd_kafka_window *w, int n_parts, void (*destroy)(void *m),
                                    kd_err *err);
void kd_kafka_window_dispose(kd_kafka_window *w);

/* Behind what the partition has. False: no memory, and m stays the caller's. */
bool kd_kafka_window_put(kd_kafka_window *w, int part, int64_t time, void *m, size_t bytes);
/* The oldest head, NULL = there is nothing; its partition in *out_part. */
void *kd_kafka_window_head(const kd_kafka_window *w, int *out_part);
/* Takes the head out; it is the caller's now. */
void kd_kafka_window_take(kd_kafka_window *w);
/* Throws away what there is of a partition. */
void kd_kafka_window_drop(kd_kafka_window *w, int part);

#endif
