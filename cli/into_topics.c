#include "cli/into_topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/timefmt.h"
#include "topology/live.h"

enum { FLUSH_MS = 60000 };

static const kd_run_options notice = {.on_notice = kd_progress_notice};

static kd_rc connect_producer(void *arg, kd_err *err)
{
    kd_into_topics *x = arg;
    return kd_kafka_producer_new(&x->options, &x->producer, err);
}

kd_rc kd_into_topics_open(kd_into_topics *x, const kd_config *c, const volatile int *stop,
                          void (*on_refused)(void *arg, const kd_pos *pos, kd_reason reason,
                                             const char *message, const void *key, size_t key_len,
                                             const void *value, size_t value_len),
                          void *arg, kd_err *err)
{
    static const char *const names[] = {"topics.browse", "topics.purchase", "topics.catalog",
                                        "topics.forget"};
    *x = (kd_into_topics){.stop = stop, .now = kd_clock_wall_ms()};
    x->options = (kd_kafka_producer_options){.properties = c->kafka,
                                             .n_properties = c->n_kafka,
                                             .on_refused = on_refused,
                                             .refused_arg = arg};
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        x->options.topic[t] = kd_opt_str(&c->values, names[t]);
        x->retention_ms[t] = INT64_MIN;
    }
    KD_TRY(kd_live_codec(c, 0, &x->codec, err));
    x->options.codec = x->codec;
    KD_TRY(kd_kafka_admin_new(c->kafka, c->n_kafka, &x->admin, err));
    return kd_live_patiently(connect_producer, x, c->kafka, c->n_kafka, &notice, stop, err);
}

typedef struct question {
    kd_into_topics *x;
    kd_record_type type;
} question;

static kd_rc ask_retention(void *arg, kd_err *err)
{
    const question *q = arg;
    kd_into_topics *x = q->x;
    const char *topic = x->options.topic[q->type];
    char text[64];
    int n = 0;
    KD_TRY(kd_kafka_topic_partitions(x->admin, topic, &n, err));
    if (n == 0)
        return kd_fail(err, KD_ECONFIG, "topic %s does not exist; `kindred topics create` makes it",
                       topic);
    KD_TRY(kd_kafka_topic_config(x->admin, topic, "cleanup.policy", text, sizeof text, err));
    int64_t retention = -1;
    if (strstr(text, "delete") != NULL) {
        KD_TRY(kd_kafka_topic_config(x->admin, topic, "retention.ms", text, sizeof text, err));
        retention = text[0] == '\0' ? -1 : strtoll(text, NULL, 10);
    }
    x->retention_ms[q->type] = retention;
    return KD_OK;
}

/* Before the first record of a type: a topic that would drop it by its time is refused. */
static kd_rc check_retention(kd_into_topics *x, const kd_record *r, kd_err *err)
{
    const int64_t *retention = &x->retention_ms[r->type];
    if (*retention == INT64_MIN) {
        question q = {x, r->type};
        KD_TRY(kd_live_patiently(ask_retention, &q, x->options.properties, x->options.n_properties,
                                 &notice, x->stop, err));
    }
    if (*retention < 0 || r->time >= x->now - *retention)
        return KD_OK;
    char time[32];
    kd_time_iso(r->time, time);
    return kd_fail(err, KD_ECONFIG,
                   "topic %s keeps %lld ms and would drop a record of %s at once; set "
                   "retention.ms=-1 on it",
                   x->options.topic[r->type], (long long)*retention, time);
}

kd_rc kd_into_topics_put(kd_into_topics *x, const kd_record *r, kd_err *err)
{
    KD_TRY(check_retention(x, r, err));
    for (;;) {
        kd_rc rc = kd_kafka_producer_put(x->producer, r, err);
        if (rc != KD_AGAIN)
            return rc;
        kd_kafka_producer_poll(x->producer, 50);
    }
}

kd_rc kd_into_topics_flush(const kd_into_topics *x, kd_err *err)
{
    return kd_kafka_producer_flush(x->producer, FLUSH_MS, err);
}

void kd_into_topics_close(kd_into_topics *x)
{
    kd_kafka_producer_free(x->producer);
    kd_kafka_admin_free(x->admin);
    kd_codec_free(x->codec);
    *x = (kd_into_topics){0};
}
