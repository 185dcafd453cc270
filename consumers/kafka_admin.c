#include "consumers/kafka_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/clock.h"
#include "consumers/kafka_conf_internal.h"

/* A call, and how long it does not look whether it is still wanted: at most, where the question has
 * to be asked anew each time. */
enum { CALL_MS = 10000, LOOK_MS = 100, LOOK_MAX_MS = 1000 };

struct kd_kafka_admin {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    const volatile int *stop; /* nullable, borrowed */
};

static kd_rc make_client(const kd_property *properties, size_t n, rd_kafka_t **out, kd_err *err)
{
    /* Who asks for a topic that is not there does not want the broker to make one of its own. */
    static const char *const own[][2] = {{"allow.auto.create.topics", "false"}, {NULL, NULL}};
    rd_kafka_conf_t *conf = NULL;
    KD_TRY(kd_kafka_conf(own, properties, n, NULL, &conf, err));
    return kd_kafka_client(RD_KAFKA_PRODUCER, conf, out, err);
}

kd_rc kd_kafka_admin_new(const kd_property *properties, size_t n, kd_kafka_admin **out, kd_err *err)
{
    KD_TRY(kd_kafka_need_address(properties, n, err));
    kd_kafka_admin *a = calloc(1, sizeof *a);
    if (a == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a client");
    kd_rc rc = make_client(properties, n, &a->rk, err);
    if (rc != KD_OK) {
        free(a);
        return rc;
    }
    a->queue = rd_kafka_queue_new(a->rk);
    *out = a;
    return KD_OK;
}

void kd_kafka_admin_free(kd_kafka_admin *a)
{
    if (a == NULL)
        return;
    rd_kafka_queue_destroy(a->queue);
    rd_kafka_destroy(a->rk);
    free(a);
}

void kd_kafka_admin_stop_when(kd_kafka_admin *a, const volatile int *stop)
{
    a->stop = stop;
}

static kd_rc rc_of(rd_kafka_resp_err_t e)
{
    switch (e) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return KD_OK;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
        return KD_RETRY;
    default:
        return KD_EIO;
    }
}

static bool is_over(const kd_kafka_admin *a, int64_t until)
{
    return (a->stop != NULL && *a->stop != 0) || kd_clock_mono_ms() >= until;
}

/* Every request of the admin API ends in one event on the queue. */
static kd_rc await_event(kd_kafka_admin *a, rd_kafka_event_t **out, kd_err *err)
{
    int64_t until = kd_clock_mono_ms() + 2 * CALL_MS;
    do
        *out = rd_kafka_queue_poll(a->queue, LOOK_MS);
    while (*out == NULL && !is_over(a, until));
    if (*out == NULL)
        return kd_fail(err, KD_RETRY, "no answer from the brokers");
    rd_kafka_resp_err_t e = rd_kafka_event_error(*out);
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
        return KD_OK;
    kd_rc rc = kd_fail(err, rc_of(e), "%s", rd_kafka_event_error_string(*out));
    rd_kafka_event_destroy(*out);
    *out = NULL;
    return rc;
}

static rd_kafka_AdminOptions_t *options(kd_kafka_admin *a, rd_kafka_admin_op_t op)
{
    char text[128];
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(a->rk, op);
    rd_kafka_AdminOptions_set_request_timeout(o, CALL_MS, text, sizeof text);
    return o;
}

kd_rc kd_kafka_topic_create(kd_kafka_admin *a, const kd_topic_spec *t, bool *out_made, kd_err *err)
{
    char text[256];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(t->name, t->partitions, t->replication, text, sizeof text);
    if (topic == NULL)
        return kd_fail(err, KD_ECONFIG, "topic %s: %s", t->name, text);
    for (const char *const *c = t->config; c != NULL && *c != NULL; c += 2)
        rd_kafka_NewTopic_set_config(topic, c[0], c[1]);
    rd_kafka_AdminOptions_t *o = options(a, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(a->rk, &topic, 1, o, a->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_event_t *event = NULL;
    KD_TRY(await_event(a, &event, err));
    size_t n = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    rd_kafka_resp_err_t e =
        n == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR_UNKNOWN;
    kd_rc rc = KD_OK;
    *out_made = e == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (e != RD_KAFKA_RESP_ERR_NO_ERROR && e != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        const char *why = n == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL;
        rc = kd_fail(err, e == RD_KAFKA_RESP_ERR_INVALID_CONFIG ? KD_ECONFIG : rc_of(e),
                     "topic %s: %s", t->name, why == NULL ? rd_kafka_err2str(e) : why);
    }
    rd_kafka_event_destroy(event);
    return rc;
}

/* A call of librdkafka's that cannot be ended: with somebody who may want that, short ones, each
 * longer than the one before, as brokers may be slow. */
static rd_kafka_resp_err_t ask_metadata(const kd_kafka_admin *a, rd_kafka_topic_t *rkt,
                                        const struct rd_kafka_metadata **out)
{
    int64_t until = kd_clock_mono_ms() + CALL_MS;
    for (int ms = a->stop == NULL ? CALL_MS : LOOK_MS;;
         ms = ms * 2 < LOOK_MAX_MS ? ms * 2 : LOOK_MAX_MS) {
        rd_kafka_resp_err_t e = rd_kafka_metadata(a->rk, 0, rkt, out, ms);
        if (rc_of(e) != KD_RETRY || is_over(a, until))
            return e;
    }
}

kd_rc kd_kafka_topic_partitions(kd_kafka_admin *a, const char *name, int *out, kd_err *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(a->rk, name, NULL);
    if (rkt == NULL)
        return kd_fail(err, KD_ECONFIG, "\"%s\" is no topic name", name);
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t e = ask_metadata(a, rkt, &md);
    rd_kafka_topic_destroy(rkt);
    if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_RETRY, "no answer from the brokers: %s", rd_kafka_err2str(e));
    *out = md->topic_cnt == 1 && md->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? md->topics[0].partition_cnt
               : 0;
    rd_kafka_metadata_destroy(md);
    return KD_OK;
}

kd_rc kd_kafka_topic_config(kd_kafka_admin *a, const char *name, const char *property, char *out,
                            size_t cap, kd_err *err)
{
    rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
    rd_kafka_AdminOptions_t *o = options(a, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(a->rk, &res, 1, o, a->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_ConfigResource_destroy(res);
    rd_kafka_event_t *event = NULL;
    KD_TRY(await_event(a, &event, err));
    size_t n = 0, m = 0;
    const rd_kafka_ConfigResource_t **results =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
    const rd_kafka_ConfigEntry_t **entries =
        n == 1 ? rd_kafka_ConfigResource_configs(results[0], &m) : NULL;
    snprintf(out, cap, "%s", "");
    for (size_t k = 0; k < m; k++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[k]);
        if (strcmp(rd_kafka_ConfigEntry_name(entries[k]), property) == 0 && value != NULL)
            snprintf(out, cap, "%s", value);
    }
    rd_kafka_event_destroy(event);
    return KD_OK;
}

kd_rc kd_kafka_topic_await(kd_kafka_admin *a, const char *name, int64_t timeout_ms, kd_err *err)
{
    int64_t until = kd_clock_mono_ms() + timeout_ms;
    for (;;) {
        int n = 0;
        kd_rc rc = kd_kafka_topic_partitions(a, name, &n, err);
        if (rc == KD_OK && n > 0)
            return KD_OK;
        if (kd_clock_mono_ms() > until)
            return rc != KD_OK ? rc : kd_fail(err, KD_RETRY, "topic %s does not appear", name);
        rd_kafka_poll(a->rk, 20);
    }
}

int kd_kafka_partition_of(const void *key, size_t key_len, int n)
{
    return rd_kafka_msg_partitioner_murmur2(NULL, key, key_len, n, NULL, NULL);
}

/* -- the embedded cluster
 * ---------------------------------------------------------------------------- */

struct kd_mock_cluster {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
};

kd_rc kd_mock_cluster_new(kd_mock_cluster **out, kd_err *err)
{
    kd_mock_cluster *m = calloc(1, sizeof *m);
    if (m == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a cluster");
    kd_rc rc = make_client(NULL, 0, &m->rk, err);
    if (rc == KD_OK) {
        m->cluster = rd_kafka_mock_cluster_new(m->rk, 1);
        if (m->cluster == NULL)
            rc = kd_fail(err, KD_EIO, "the embedded cluster does not start");
    }
    if (rc != KD_OK) {
        kd_mock_cluster_free(m);
        return rc;
    }
    *out = m;
    return KD_OK;
}

const char *kd_mock_cluster_bootstrap(const kd_mock_cluster *m)
{
    return rd_kafka_mock_cluster_bootstraps(m->cluster);
}

kd_rc kd_mock_cluster_topic(kd_mock_cluster *m, const char *name, int partitions, kd_err *err)
{
    rd_kafka_resp_err_t e = rd_kafka_mock_topic_create(m->cluster, name, partitions, 1);
    return e == RD_KAFKA_RESP_ERR_NO_ERROR
               ? KD_OK
               : kd_fail(err, KD_EIO, "topic %s: %s", name, rd_kafka_err2str(e));
}

void kd_mock_cluster_free(kd_mock_cluster *m)
{
    if (m == NULL)
        return;
    if (m->cluster != NULL)
        rd_kafka_mock_cluster_destroy(m->cluster);
    if (m->rk != NULL)
        rd_kafka_destroy(m->rk);
    free(m);
}
