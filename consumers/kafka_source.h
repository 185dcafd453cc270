/* kafka_source.h - the door in from Kafka.
 *
 * Two consumers (DESIGN section 5): the *reader* assigns every partition of the event topics, from
 * the oldest record on, and is the only one that fetches: each instance builds the whole state. The
 * *member* subscribes in the group, fetches nothing, and serves for ownership and committed
 * offsets. A record is to be answered (record.emit) if its partition is owned and it is at or past
 * the offset from which on nobody has answered. When a partition is gained whose committed offset
 * is behind the reader, the reader goes back: state is a set, so what is applied again changes
 * nothing.
 *
 * I1  catalogue and forget topics are read to their end before events are handed out
 * I2  the instance joins the group when its lag is at most ready_lag
 * I3  nothing is committed that was not marked (kd_source.h), or for a partition not owned
 * @thread loop, but for the wake callback
 */
#ifndef KD_KAFKA_SOURCE_H
#define KD_KAFKA_SOURCE_H

#include "base/opt.h"
#include "consumers/kd_source.h"
#include "schemas/codec.h"

typedef struct kd_kafka_source_options {
    const char *topic[KD_RECORD_TYPES]; /* by kd_record_type; NULL or "" = not read */
    const char *group_id;
    const kd_property *properties; /* librdkafka's; bootstrap.servers among them */
    size_t n_properties;
    kd_codec *codec;   /* borrowed while the source lives */
    bool start_latest; /* a group without committed offsets answers only what comes from now on */
    bool stop_out_of_range;    /* a position that the broker no longer has ends the run; else: go on
                                  from the oldest */
    int64_t ready_lag;         /* records */
    const kd_source_pos *from; /* [n_from] where to go on, with the state of a snapshot; a partition
                                  that is not in it is read from its start. Borrowed till close */
    size_t n_from;
    bool is_rebuilt; /* there was a state, which is of no use: records that are no longer on the
                        broker are treated as a position that is out of range is */
    const char *transactional_id; /* NULL: commits itself; else a transactional sink under this id
                                     does (kd_source.h, take_mark) */
    void (*on_notice)(void *arg, const char *text); /* nullable; one line when something changes */
    void *notice_arg;
} kd_kafka_source_options;

/* Strings are copied. KD_ECONFIG for a property that librdkafka refuses. start() gives KD_RETRY
 * while the brokers cannot be reached, and KD_ECONFIG for missing topics or unequal partitions. */
KD_CHECK kd_rc kd_kafka_source_new(const kd_kafka_source_options *o, kd_source **out, kd_err *err);

/* True once the group has given this instance its partitions; for tests and the demonstration. */
bool kd_kafka_source_is_member(const kd_source *s);

#endif
