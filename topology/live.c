#include "topology/live.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "consumers/kafka_admin.h"
#include "consumers/kafka_diagnose.h"
#include "consumers/kafka_source.h"
#include "sinks/kafka_txn.h"
#include "topology/snapshot_topic.h"
#include "topology/topics.h"

enum {
    START_RETRY_MS = 500,
    SCHEMA_WAIT_MS = 100, /* in a second, by the loop, for schemas that it does not know yet */
};

static kd_ms mono(void *arg)
{
    (void)arg;
    return kd_clock_mono_ms();
}

kd_rc kd_live_codec(const kd_config *c, int64_t patience_ms, kd_codec **out, kd_err *err)
{
    const kd_opt_values *v = &c->values;
    kd_codec_options o = {
        .registry = {.url = kd_opt_given(v, "schema.registry.url"),
                     .basic_auth = kd_opt_given(v, "schema.registry.basic.auth"),
                     .ca_file = kd_opt_given(v, "schema.registry.ca.file"),
                     .timeout_ms = kd_opt_int(v, "schema.registry.timeout")},
        .require = kd_opt_int(v, "schema.registry.mode") == 1,
        .now = mono,
        .patience_ms = patience_ms,
    };
    return kd_codec_new(&o, out, err);
}

/* An id of this process's own: who comes after it finds it beside the committed offsets. */
static kd_rc choose_id(kd_live *x, const kd_config *c, kd_err *err)
{
    const kd_opt_values *v = &c->values;
    const char *given_id = NULL;
    char host[64] = "host", id[256];
    uint64_t tail = 0;
    for (size_t k = 0; k < c->n_kafka; k++)
        if (strcmp(c->kafka[k].name, "transactional.id") == 0)
            given_id = c->kafka[k].value;
    if (kd_opt_int(v, "delivery") == 0)
        return given_id == NULL ? KD_OK
                                : kd_fail(err, KD_ECONFIG,
                                          "transactional.id is for delivery: "
                                          "exactly-once");
    (void)gethostname(host, sizeof host - 1);
    (void)!getrandom(&tail, sizeof tail, 0);
    snprintf(id, sizeof id, "%s-%s-%d-%08llx", kd_opt_str(v, "group.id"), host, (int)getpid(),
             (unsigned long long)(tail & UINT32_MAX));
    x->transactional_id = kd_arena_strz(x->arena, kd_str_of(given_id == NULL ? id : given_id));
    return x->transactional_id == NULL ? kd_fail(err, KD_ENOMEM, "no memory for an id") : KD_OK;
}

static kd_rc open_source(kd_live *x, const kd_config *c, const kd_run_options *o, kd_err *err)
{
    const kd_opt_values *v = &c->values;
    kd_kafka_source_options so = {
        .group_id = kd_opt_str(v, "group.id"),
        .properties = c->kafka,
        .n_properties = c->n_kafka,
        .codec = x->codec,
        .start_latest = kd_opt_int(v, "output.start") == 0,
        .stop_out_of_range = kd_opt_int(v, "offset.out-of-range") == 1,
        .ready_lag = kd_opt_int(v, "ready.lag"),
        .transactional_id = x->transactional_id,
        .from = x->restored.manifest.positions,
        .n_from = x->restored.manifest.n_positions,
        .is_rebuilt = x->restored.name == NULL && x->restored.n_refused > 0,
        .on_notice = o->on_notice,
        .notice_arg = o->notice_arg,
    };
    (void)kd_topics_inputs(v, so.topic, NULL);
    return kd_kafka_source_new(&so, &x->source, err);
}

static kd_rc open_sink(kd_live *x, const kd_config *c, const kd_run_options *o, kd_err *err)
{
    const kd_opt_values *v = &c->values;
    if (kd_config_pipeline(v).has_needs && kd_opt_int(v, "content") == 0)
        return kd_fail(err, KD_ECONFIG,
                       "topics.needs: what shoppers need comes from the "
                       "catalogue's texts, set content: on");
    kd_kafka_sink_options so = {
        .recommendations = kd_opt_given(v, "topics.recommendations"),
        .similar = kd_opt_given(v, "topics.similar"),
        .dead_letters = kd_opt_given(v, "topics.dead-letters"),
        .receipts = kd_opt_given(v, "topics.receipts"),
        .needs = kd_opt_given(v, "topics.needs"),
        .properties = c->kafka,
        .n_properties = c->n_kafka,
        .codec = x->codec,
        .on_notice = o->on_notice,
        .notice_arg = o->notice_arg,
    };
    if (x->transactional_id != NULL)
        return kd_kafka_txn_new(&so, x->transactional_id, &x->sink, err);
    return kd_kafka_sink_new(&so, &x->sink, err);
}

/* -- what is there already --------------------------------------------------------------------- */

typedef struct refusals {
    const kd_restore_options *o;
    int n;
} refusals;

static void refuse(void *arg, const char *name, const kd_err *why)
{
    refusals *r = arg;
    char text[sizeof why->where + sizeof why->msg + 120];
    snprintf(text, sizeof text, "snapshot %s in the topic of copies is refused: %s%s%s", name,
             why->where, why->where[0] == '\0' ? "" : ": ", why->msg);
    r->n++;
    if (r->o->on_notice != NULL)
        r->o->on_notice(r->o->notice_arg, text);
}

/* There is nothing in the folders: the newest of the topic comes into ours, and is loaded there.
 * What cannot be read there counts as refused: there may have been a state. */
static kd_rc restore_from_topic(kd_live *x, const kd_config *c, kd_restore_options *ro,
                                const char *dir, kd_err *err)
{
    kd_err why = {0};
    char text[sizeof why.msg + 300];
    const char *name = NULL;
    refusals refused = {ro, x->restored.n_refused};
    kd_topic_options to = {.topic = kd_opt_str(&c->values, "snapshot.copy.topic"),
                           .properties = c->kafka,
                           .n_properties = c->n_kafka};
    kd_rc rc = kd_snapshot_from_topic(&to, dir, x->arena, refuse, &refused, &name, &why);
    x->restored.n_refused = refused.n + (rc != KD_OK && rc != KD_ECONFIG);
    if (rc == KD_OK && name == NULL)
        return KD_OK;
    if (rc == KD_OK)
        snprintf(text, sizeof text, "snapshot %s came from topic %.200s", name, to.topic);
    else
        snprintf(text, sizeof text, "no snapshot from topic %.200s: %s", to.topic, why.msg);
    if (ro->on_notice != NULL)
        ro->on_notice(ro->notice_arg, text);
    if (rc != KD_OK)
        return KD_OK; /* the log has everything, too */
    kd_recommender_free(x->restored.rec);
    x->restored = (kd_restored){0};
    KD_TRY(kd_restore(ro, dir, x->arena, &x->restored, err));
    x->restored.n_refused += refused.n;
    return KD_OK;
}

static kd_rc restore(kd_live *x, const kd_config *c, kd_run_options *o, kd_err *err)
{
    const kd_opt_values *v = &c->values;
    const char *dir = kd_opt_given(v, "snapshot.dir");
    const char *inputs[KD_RECORD_TYPES], *topics[KD_RECORD_TYPES];
    kd_restore_options ro = {.values = v,
                             .topics = topics,
                             .n_topics = kd_topics_inputs(v, inputs, topics),
                             .copies = kd_opt_given(v, "snapshot.copy.dir"),
                             .on_notice = o->on_notice,
                             .notice_arg = o->notice_arg};
    x->arena = kd_arena_new(0);
    if (x->arena == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the pipeline");
    const char *copy_topic = kd_opt_given(v, "snapshot.copy.topic");
    if (dir == NULL && (ro.copies != NULL || copy_topic != NULL))
        return kd_fail(err, KD_ECONFIG,
                       "%s: what is copied are the snapshots in snapshot.dir, which is not set",
                       copy_topic != NULL ? "snapshot.copy.topic" : "snapshot.copy.dir");
    if (dir != NULL) {
        kd_snapshot_options so = {.dir = dir,
                                  .keep = kd_opt_int(v, "snapshot.keep"),
                                  .max_age_ms = kd_opt_int(v, "snapshot.max-age"),
                                  .copy_dir = ro.copies,
                                  .copy_topic = copy_topic,
                                  .properties = c->kafka,
                                  .n_properties = c->n_kafka};
        KD_TRY(kd_snapshots_open(&so, &x->snapshots, err));
    }
    KD_TRY(kd_restore(&ro, dir, x->arena, &x->restored, err));
    if (x->restored.name == NULL && copy_topic != NULL)
        KD_TRY(restore_from_topic(x, c, &ro, dir, err));
    x->rec = x->restored.rec;
    if (x->restored.name != NULL) {
        char text[500];
        snprintf(text, sizeof text, "snapshot %s%s%.200s: %lld interactions of %lld shoppers",
                 x->restored.name, x->restored.is_copy ? ", the copy in " : "",
                 x->restored.is_copy ? ro.copies : "",
                 (long long)x->restored.manifest.saved.interactions,
                 (long long)x->restored.manifest.saved.shoppers);
        if (o->on_notice != NULL)
            o->on_notice(o->notice_arg, text);
    }
    o->snapshots = x->snapshots;
    o->rec = x->rec;
    o->snapshot_interval_ms = kd_opt_int(v, "snapshot.interval");
    return KD_OK;
}

kd_rc kd_live_open(kd_live *x, const kd_config *c, const kd_run_options *o, kd_err *err)
{
    const kd_opt_values *v = &c->values;
    *x = (kd_live){.config = c};
    kd_pipeline_options po = kd_config_pipeline(v);
    po.drain = true;
    po.on_notice = o->on_notice;
    po.notice_arg = o->notice_arg;
    kd_run_options ro = *o;
    kd_rc rc = kd_live_codec(c, SCHEMA_WAIT_MS, &x->codec, err);
    if (rc == KD_OK)
        rc = restore(x, c, &ro, err);
    if (rc == KD_OK)
        rc = choose_id(x, c, err);
    if (rc == KD_OK)
        rc = open_source(x, c, o, err);
    if (rc == KD_OK)
        rc = open_sink(x, c, o, err);
    if (rc == KD_OK)
        rc = kd_pipeline_new(&po, x->source, x->rec, x->sink, &x->pipeline, err);
    if (rc == KD_OK)
        rc = kd_run_new(&ro, x->pipeline, x->source, x->sink, &x->run, err);
    if (rc != KD_OK)
        kd_live_close(x);
    return rc;
}

void kd_live_close(kd_live *x)
{
    kd_run_free(x->run);
    kd_pipeline_free(x->pipeline);
    if (x->sink != NULL)
        x->sink->kind->close(x->sink);
    if (x->source != NULL)
        x->source->kind->close(x->source);
    kd_snapshots_close(x->snapshots); /* which may still walk through the state */
    kd_recommender_free(x->rec);
    kd_codec_free(x->codec);
    kd_arena_free(x->arena);
    *x = (kd_live){0};
}

static void wait_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

kd_rc kd_live_patiently(kd_rc (*call)(void *arg, kd_err *err), void *arg, const kd_property *kafka,
                        size_t n_kafka, const kd_run_options *o, const volatile int *stop,
                        kd_err *err)
{
    bool is_said = false;
    for (;;) {
        kd_err why = {0};
        kd_rc rc = call(arg, &why);
        bool is_over = stop != NULL && *stop != 0;
        if (rc != KD_RETRY || is_over) {
            if (rc == KD_OK && is_said && o->on_notice != NULL)
                o->on_notice(o->notice_arg, "back to work");
            if (rc != KD_OK && err != NULL)
                *err = why;
            return rc;
        }
        if (!is_said && o->on_notice != NULL) {
            char text[sizeof why.msg + 32];
            kd_kafka_diagnose(kafka, n_kafka, stop, &why);
            snprintf(text, sizeof text, "%s; trying again", why.msg);
            o->on_notice(o->notice_arg, text);
        }
        is_said = true;
        wait_ms(START_RETRY_MS);
    }
}

/* A topic that is not there ends the start, before anything asks for it. */
static kd_rc look(void *arg, kd_err *err)
{
    const kd_live *x = arg;
    return kd_topics_look(x->config, x->stop, err);
}

/* How long the topic keeps a removal: what it says, or the broker's default where it will not tell.
 */
static kd_rc removals_kept_ms(const kd_live *x, const char *topic, kd_ms *out, kd_err *err)
{
    kd_kafka_admin *admin = NULL;
    char text[32] = "", *end = text;
    KD_TRY(kd_kafka_admin_new(x->config->kafka, x->config->n_kafka, &admin, err));
    kd_kafka_admin_stop_when(admin, x->stop);
    kd_rc rc = kd_kafka_topic_config(admin, topic, "delete.retention.ms", text, sizeof text, err);
    kd_kafka_admin_free(admin);
    if (rc == KD_RETRY)
        return rc;
    kd_ms kept = strtoll(text, &end, 10);
    *out = end == text || *end != '\0' ? KD_MS_DAY : kept;
    return KD_OK;
}

/* The removals of an older catalogue may be gone from the topic: it is read anew. */
static kd_rc renew_catalogue(void *arg, kd_err *err)
{
    kd_live *x = arg;
    kd_manifest *m = &x->restored.manifest;
    const char *topic = kd_opt_given(&x->config->values, "topics.catalog");
    kd_ms kept = 0;
    if (x->restored.name == NULL || topic == NULL)
        return KD_OK;
    KD_TRY(removals_kept_ms(x, topic, &kept, err));
    if (kd_clock_wall_ms() - m->made < kept)
        return KD_OK;
    kd_recommender_drop_products(x->rec);
    for (size_t k = 0; k < m->n_positions; k++)
        if (strcmp(m->positions[k].pos.topic, topic) == 0)
            m->positions[k].pos.offset = -1;
    if (x->notice->on_notice != NULL)
        x->notice->on_notice(x->notice->notice_arg,
                             "the snapshot is older than its topic keeps removals from the "
                             "catalogue (delete.retention.ms): reading the catalogue anew");
    return KD_OK;
}

static kd_rc start_sink(void *arg, kd_err *err)
{
    kd_live *x = arg;
    return x->sink->kind->start(x->sink, err);
}

static kd_rc start_source(void *arg, kd_err *err)
{
    kd_live *x = arg;
    return x->source->kind->start(x->source, err);
}

kd_rc kd_live_run(kd_live *x, const kd_run_options *o, const volatile int *stop, kd_err *err)
{
    kd_rc (*const steps[])(void *, kd_err *) = {look, renew_catalogue, start_sink, start_source};
    const kd_config *c = x->config;
    kd_rc rc = KD_OK;
    x->stop = stop;
    x->notice = o;
    for (size_t k = 0; rc == KD_OK && k < sizeof steps / sizeof *steps; k++)
        rc = kd_live_patiently(steps[k], x, c->kafka, c->n_kafka, o, stop, err);
    if (rc == KD_RETRY) { /* asked to end while it waited: nothing was taken, all is in order */
        if (err != NULL)
            *err = (kd_err){0};
        return KD_OK;
    }
    if (rc != KD_OK)
        return rc;
    if (kd_fault_is("live.stop", 1))
        raise(SIGTERM); /* when the start no longer looks, and the loop does not yet */
    kd_run_stop_when(x->run, stop);
    return kd_run_loop(x->run, err);
}
