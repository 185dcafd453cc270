/* kafka_range_source.h - yesterday's topics: what lies between two times, and then the end.
 *
 * A bounded source: where each partition begins and ends is looked up once, at start. Records come
 * sorted by (event time, topic, partition, offset), so that the same log gives the same sequence
 * however fast which partition arrives, and history that was produced after newer events comes
 * before them. A bad record stands at the time of the good one before it in its partition.
 *
 * For that a partition is read twice: what of it is in the range, and in which order, is known
 * before its first record is handed out. In a partition that is not in time order a record waits
 * in memory until nothing older is still to be read; one in order keeps nothing.
 *
 * I1  no group is joined, nothing is committed
 * I2  of a topic: the records whose event time (a bad one: stamp) is `from` or later and before
 *     `to`, wherever they stand before its end at start; of the catalogue also the older ones
 * I3  a record is handed out only when the head of every partition that has not ended is known
 * @thread one at a time
 */
#ifndef KD_KAFKA_RANGE_SOURCE_H
#define KD_KAFKA_RANGE_SOURCE_H

#include "base/opt.h"
#include "consumers/kd_source.h"
#include "schemas/codec.h"

typedef struct kd_kafka_range_options {
    const char *topic[KD_RECORD_TYPES]; /* by kd_record_type; NULL or "" = not read */
    const kd_property
        *properties; /* librdkafka's; bootstrap.servers among them. Borrowed till close */
    size_t n_properties;
    kd_codec *codec;            /* borrowed while the source lives */
    kd_ms from, to;             /* KD_MS_NONE = the oldest record, the end */
    const kd_source_pos *begin; /* [n_begin] where to begin in these partitions instead of `from`;
                                 * borrowed until start() returns */
    size_t n_begin;
} kd_kafka_range_options;

/* Strings are copied. KD_ECONFIG for a property that librdkafka refuses. start() gives KD_RETRY
 * when the brokers cannot be reached, KD_ECONFIG for a missing topic. next() gives KD_AGAIN, and
 * after 20 s KD_RETRY, while brokers are silent, KD_EIO if a record of the range is gone
 * (retention). */
KD_CHECK kd_rc kd_kafka_range_source_new(const kd_kafka_range_options *o, kd_source **out,
                                         kd_err *err);
/* What the first reading met, known once next() gave a record or KD_END: records of `to` or later,
 * which are left out, and records that stood behind a newer one in their partition. */
typedef struct kd_kafka_range_counts {
    int64_t later, sorted;
} kd_kafka_range_counts;
kd_kafka_range_counts kd_kafka_range_counts_of(const kd_source *s);

#endif
