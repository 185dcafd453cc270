/* kafka_source_internal.h - what kafka_source.c (reading) and kafka_group.c (the group) share.
 * @thread loop
 */
#ifndef KD_KAFKA_SOURCE_INTERNAL_H
#define KD_KAFKA_SOURCE_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "consumers/kafka_catchup.h"
#include "consumers/kafka_source.h"
#include "consumers/kafka_window.h"

enum {
    KD_KAFKA_BATCH = 1024,
    KD_KAFKA_WINDOW = 64 * 1024 * 1024, /* bytes in hand above which no partition is looked for */
    KD_KAFKA_CALL_MS = 5000,            /* of blocking calls at start and on assignment */
};

typedef struct part {
    kd_record_type type;
    int32_t number;
    int64_t next;        /* offset after the last record handed out; -1 = none yet */
    int64_t answer_from; /* of an owned partition: records before it were answered */
    int64_t low_at_start, end_at_start;
    int64_t end_reached; /* everything before it was handed out, or is no record; -1 = unknown */
    int64_t
        settled; /* everything before it is answered and nobody else answered since; -1 = unknown */
    int64_t marked;                 /* to be committed, -1 = nothing */
    int64_t committed;              /* last given to the member */
    int64_t wait_ms, wait_until_ms; /* kafka_wait.c; 0 = it does not wait */
    bool is_owned, is_caught_up, is_waiting;
} part;

typedef struct kd_kafka_pulse kd_kafka_pulse;

typedef struct kafka_source {
    kd_source base;
    char *topic[KD_RECORD_TYPES]; /* owned */
    kd_codec *codec;
    bool start_latest, stop_out_of_range, is_rebuilt;
    int64_t ready_lag;
    void (*on_notice)(void *arg, const char *text);
    void *notice_arg;
    rd_kafka_t *reader, *member;
    rd_kafka_queue_t *queue, *member_queue;
    part *parts; /* [n_parts], by (type, number) */
    int n_parts;
    uint32_t *term;            /* [n_parts] by partition number: see kd_source_pos */
    const kd_source_pos *from; /* [n_from] borrowed */
    size_t n_from;
    int first[KD_RECORD_TYPES + 1];            /* parts of a type: first[type] .. first[type + 1) */
    rd_kafka_message_t *batch[KD_KAFKA_BATCH]; /* scratch of fetch() */
    kd_kafka_window window;                    /* fetched, not handed out; by part */
    const rd_kafka_topic_t *rkt[KD_RECORD_TYPES]; /* librdkafka's own, as seen in a message */
    int n_waiting;
    int until_fetch;           /* takes until a partition is looked for again */
    rd_kafka_message_t **held; /* handed out, not released */
    uint32_t n_held, cap_held;
    kd_arena *arena;
    bool has_said_before; /* what the group's first start leaves unanswered */
    bool events_paused, is_subscribed, is_member, is_away, is_full, is_full_paused;
    int64_t full_since_ms, woken_ms, away_ms;
    int64_t n_records, n_seeks;
    kd_catchup catchup;    /* until it is subscribed */
    kd_err fatal;          /* set by a callback, given by the next call */
    kd_kafka_pulse *pulse; /* owned */
    /* With a transactional sink only. */
    char *group, *owner;           /* owned; owner is the transactional id */
    const kd_property *properties; /* borrowed */
    size_t n_properties;
    kd_pos *mark_pos; /* [n_parts] */
    void *mark_group; /* librdkafka's malloc */
    void (*revoke)(void *arg, bool is_lost);
    void *revoke_arg;
    void (*wake)(void *);
    void *wake_arg;
} kafka_source;

void kd_kafka_notice(const kafka_source *k, const char *fmt, ...) KD_PRINTF(2, 3);
part *kd_kafka_part(kafka_source *k, const char *topic, int32_t number);

/* kafka_pulse.c: NULL = no memory. A beat asks anew, about a topic, and says for how long the
 * brokers have been silent; 0 = they answer. */
kd_kafka_pulse *kd_kafka_pulse_new(rd_kafka_t *rk);
void kd_kafka_pulse_free(kd_kafka_pulse *x);
int64_t kd_kafka_pulse_beat(kd_kafka_pulse *x, rd_kafka_t *rk, const char *topic);
/* When an answer was last seen, monotonic. */
int64_t kd_kafka_pulse_heard_ms(const kd_kafka_pulse *x);

/* kafka_wait.c: the record at `offset` cannot be read for now; looks whose time has come. */
void kd_kafka_wait(kafka_source *k, part *p, int64_t offset, const kd_err *why);
void kd_kafka_end_waits(kafka_source *k);
/* kafka_group.c: reads a partition from `offset` on; what was fetched of it and not handed out is
 * dropped. */
void kd_kafka_seek_back(kafka_source *k, part *p, int64_t offset);
/* kafka_group.c: the member's rebalance callback, and the source's functions about ownership. */
void kd_kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
                           rd_kafka_topic_partition_list_t *list, void *opaque);
KD_CHECK kd_rc kd_kafka_take_mark(kd_source *s, bool is_last, kd_mark *out, kd_err *err);
void kd_kafka_settle(kd_source *s);
KD_CHECK kd_rc kd_kafka_resync(kd_source *s, kd_err *err);
void kd_kafka_set_revoke(kd_source *s, void (*revoke)(void *arg, bool is_lost), void *arg);
bool kd_kafka_is_due(const kd_source *s, const kd_pos *pos);

#endif
