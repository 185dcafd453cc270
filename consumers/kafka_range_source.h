/* kafka_range_source.h - yesterday's topics: what lies between two times, and then the end.
 *
 * A bounded source: where each partition begins and ends is looked up once, at start. Records come
 * merged by (event time, topic, partition, offset), so that the same log gives the same sequence
 * however fast which partition arrives; a partition that is not in time order keeps its own order,
 * and a bad record stands at the time of the good one before it.
 *
 * I1  no group is joined, nothing is committed
 * I2  of a topic: from the first record stamped `from` or later up to the first one stamped `to` or
 *     later (the broker's index of record timestamps), at most to its end at start; the catalogue
 *     from its oldest record on
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

#endif
