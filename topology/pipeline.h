/* pipeline.h - the epoch: the one piece of machinery that run, replay, backtest and the tests
 * share. Source, clock and sinks differ; this does not.
 *
 *   source -> [ fill -> apply -> recommend (workers) -> emit ] -> sink
 *
 * fill cuts the epoch, by shopper ids and times alone; the records stay the source's until the
 * epoch is over, so that apply can look ahead in them.
 *
 * An epoch closes when it holds epoch.max records, when a shopper comes back (unless the record
 * continues the unit just before it: adjacent records of one shopper with one order_id, or at one
 * time, are answered once, for the last of them), and, with `drain`, when the source says
 * KD_AGAIN. Under replay the cut depends on positions alone. An event of a shopper with more than
 * rate_max of them in its minute does not close an epoch: it is applied, and answered together with
 * the shopper's others of the epoch. Events that are not to be answered are not counted, and close
 * no epoch in which none is: a log that is caught up with is applied in full epochs.
 *
 * I1 every record handed out by the source is either answered, coalesced into a unit that is
 *    answered, refused (counted), not this instance's to answer, or dead-lettered
 * I2 one epoch is in flight at a time; nothing of it is left when kd_pipeline_step returns KD_OK
 * @thread loop
 */
#ifndef KD_PIPELINE_H
#define KD_PIPELINE_H

#include "consumers/kd_source.h"
#include "operators/recommender.h"
#include "sinks/kd_sink.h"

typedef struct kd_pipeline kd_pipeline;

typedef struct kd_pipeline_options {
    uint32_t epoch_max; /* >= 1 */
    uint32_t workers;   /* >= 1; 1 = the loop thread alone */
    int64_t rate_max; /* events of a shopper in a minute of event time that close epochs; 0 = all */
    bool drain;       /* live: KD_AGAIN closes the epoch */
    bool emit_always;
    bool is_silent; /* learn only: no list is computed, dead letters and receipts still go out */
    uint32_t similar_count;   /* neighbours in a published list; 0 = none is published */
    bool has_needs;           /* shoppers' needs are published when they change */
    double similar_threshold; /* see topology/similar.h */
    uint32_t similar_fanout;
    int64_t max_dead_letters; /* -1 = no limit; past it kd_pipeline_step returns KD_EDATA */
    void (*on_notice)(void *arg,
                      const char *text); /* nullable: the first dead letter of a reason */
    void *notice_arg;
} kd_pipeline_options;

/* Where every record went: each is in exactly one of the counts below `records`. */
typedef struct kd_counts {
    int64_t records;
    int64_t views, likes, carts, paid, cancelled, catalog, forgets; /* accepted */
    int64_t dead_letters;
    int64_t dead_by_reason[KD_REASON_COUNT];
    int64_t late, refused; /* accepted ones that changed nothing: among the counts above */
    int64_t epochs;
    int64_t answers;         /* lists computed */
    int64_t updates;         /* lists published (on-change drops the rest) */
    int64_t coalesced;       /* events answered by a later one of their unit */
    int64_t similar;         /* neighbour lists published */
    int64_t similar_fanout;  /* other shoppers' lists looked at again */
    int64_t similar_dropped; /* those that were over the bound */
    int64_t needs;           /* shoppers' needs published */
    int64_t over_rate;       /* events past rate_max: answered with a later one of the epoch */
} kd_counts;

/* Borrows all three until kd_pipeline_free. */
KD_CHECK kd_rc kd_pipeline_new(const kd_pipeline_options *o, kd_source *source, kd_recommender *rec,
                               kd_sink *sink, kd_pipeline **out, kd_err *err);
void kd_pipeline_free(kd_pipeline *p);

/* One epoch at most. KD_OK: progress was made; KD_AGAIN: nothing to do now, or the sink is full
 * (the rest of the epoch is emitted by the next call); KD_END; KD_RETRY: source transient, err
 * says what; KD_EDATA: more dead letters than allowed; others: stop. */
KD_CHECK kd_rc kd_pipeline_step(kd_pipeline *p, kd_err *err);

const kd_counts *kd_pipeline_counts(const kd_pipeline *p);
/* True if no record is between source and sink, but for the one that was pushed back: its position
 * is *out_pending then, else NULL. */
bool kd_pipeline_between(const kd_pipeline *p, const kd_pos **out_pending);
/* Event time of the last record applied; KD_MS_NONE before the first. */
kd_ms kd_pipeline_time(const kd_pipeline *p);
/* True while an epoch waits for a full sink. */
bool kd_pipeline_blocked(const kd_pipeline *p);

#endif
