/* live.h - the pipeline from Kafka to Kafka, wired from a configuration: codec, source, operators,
 * sink. What `kindred run` and the demonstration run.
 * @thread loop
 */
#ifndef KD_LIVE_H
#define KD_LIVE_H

#include "schemas/codec.h"
#include "topology/config.h"
#include "topology/restore.h"
#include "topology/run.h"

typedef struct kd_live {
    kd_arena *arena;         /* what the snapshot says about itself */
    kd_snapshots *snapshots; /* NULL = none are kept */
    kd_restored restored;
    const char *transactional_id; /* in arena; NULL = at least once */
    const kd_config *config;      /* borrowed */
    const volatile int *stop;     /* nullable, borrowed: of kd_live_run */
    const kd_run_options *notice; /* borrowed: of kd_live_run */
    kd_codec *codec;
    kd_source *source;
    kd_recommender *rec;
    kd_sink *sink;
    kd_pipeline *pipeline;
    kd_run *run;
} kd_live;

/* A codec with the registry that the configuration names (none: single-object encoding), which is
 * waited for as kd_codec_options says of patience_ms. */
KD_CHECK kd_rc kd_live_codec(const kd_config *c, int64_t patience_ms, kd_codec **out, kd_err *err);

/* Calls again and again while it says KD_RETRY (brokers or registry may come later than this
 * process), with a notice when it begins to wait, which says why if it is because of these
 * properties of librdkafka's, and when it is back. KD_RETRY: *stop (nullable) became non-zero. */
KD_CHECK kd_rc kd_live_patiently(kd_rc (*call)(void *arg, kd_err *err), void *arg,
                                 const kd_property *kafka, size_t n_kafka,
                                 const kd_run_options *notice, const volatile int *stop,
                                 kd_err *err);

/* Wires everything; nothing is asked of brokers or registry yet. {0} is an empty one. */
KD_CHECK kd_rc kd_live_open(kd_live *x, const kd_config *c, const kd_run_options *o, kd_err *err);
/* Starts source and sink, waiting (with notices) while brokers or registry are away, until
 * *stop (KD_OK); then runs the loop to its end. */
KD_CHECK kd_rc kd_live_run(kd_live *x, const kd_run_options *o, const volatile int *stop,
                           kd_err *err);
void kd_live_close(kd_live *x);

#endif
