#include "consumers/kafka_tail.h"

#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

enum { CALL_MS = 5000, BATCH = 256 };

struct kd_tail {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int64_t *end; /* [n] offset that each partition has to reach; reached ones are -1 */
    int n, n_open;
};

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    /* Failures come back from the calls. */
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static kd_rc make_consumer(kd_tail *t, const kd_tail_options *o, kd_err *err)
{
    char text[256];
    const char *from = "kindred's own";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const own[][2] = {
        {"group.id", "kindred.tail"}, /* never joined: assign needs a name */
        {"enable.auto.commit", "false"},
        {"fetch.wait.max.ms", "20"},
        {"socket.nagle.disable", "true"},
        {"enable.partition.eof", "true"}};
    rd_kafka_conf_res_t rc = RD_KAFKA_CONF_OK;
    for (size_t k = 0; rc == RD_KAFKA_CONF_OK && k < sizeof own / sizeof *own; k++)
        rc = rd_kafka_conf_set(conf, own[k][0], own[k][1], text, sizeof text);
    for (size_t k = 0; rc == RD_KAFKA_CONF_OK && k < o->n_properties; k++) {
        from = o->properties[k].from;
        rc = rd_kafka_conf_set(conf, o->properties[k].name, o->properties[k].value, text,
                               sizeof text);
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (rc == RD_KAFKA_CONF_OK) {
        t->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
        if (t->rk != NULL)
            return KD_OK; /* which owns conf now */
    }
    rd_kafka_conf_destroy(conf);
    kd_fail(err, KD_ECONFIG, "%s", text);
    kd_err_at(err, "%s", from);
    return KD_ECONFIG;
}

static kd_rc count_partitions(kd_tail *t, const char *topic, kd_err *err)
{
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(t->rk, topic, NULL);
    rd_kafka_resp_err_t e = rd_kafka_metadata(t->rk, 0, rkt, &md, CALL_MS);
    rd_kafka_topic_destroy(rkt);
    if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_RETRY, "no answer from the brokers: %s", rd_kafka_err2str(e));
    t->n = md->topic_cnt == 1 && md->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? md->topics[0].partition_cnt
               : 0;
    rd_kafka_metadata_destroy(md);
    return t->n > 0 ? KD_OK : kd_fail(err, KD_ECONFIG, "topic %s does not exist", topic);
}

static kd_rc assign(kd_tail *t, const kd_tail_options *o, kd_err *err)
{
    t->end = calloc((size_t)t->n, sizeof *t->end);
    if (t->end == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %d partitions", t->n);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(t->n);
    kd_rc rc = KD_OK;
    for (int p = 0; rc == KD_OK && p < t->n; p++) {
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t e =
            rd_kafka_query_watermark_offsets(t->rk, o->topic, p, &low, &high, CALL_MS);
        if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
            rc = kd_fail(err, KD_RETRY, "%s[%d]: %s", o->topic, p, rd_kafka_err2str(e));
        t->end[p] = o->from_beginning && low < high ? high : -1;
        t->n_open += t->end[p] >= 0;
        rd_kafka_topic_partition_list_add(list, o->topic, p)->offset =
            o->from_beginning ? low : high;
    }
    if (rc == KD_OK && rd_kafka_assign(t->rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        rc = kd_fail(err, KD_EIO, "%s cannot be read", o->topic);
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}

kd_rc kd_tail_new(const kd_tail_options *o, kd_tail **out, kd_err *err)
{
    kd_tail *t = calloc(1, sizeof *t);
    if (t == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a consumer");
    kd_rc rc = make_consumer(t, o, err);
    if (rc == KD_OK) {
        rd_kafka_poll_set_consumer(t->rk);
        t->queue = rd_kafka_queue_get_consumer(t->rk);
        rc = count_partitions(t, o->topic, err);
    }
    if (rc == KD_OK)
        rc = assign(t, o, err);
    if (rc != KD_OK) {
        kd_tail_free(t);
        return rc;
    }
    *out = t;
    return KD_OK;
}

void kd_tail_free(kd_tail *t)
{
    if (t == NULL)
        return;
    if (t->queue != NULL)
        rd_kafka_queue_destroy(t->queue);
    if (t->rk != NULL) {
        rd_kafka_consumer_close(t->rk);
        rd_kafka_destroy(t->rk);
    }
    free(t->end);
    free(t);
}

static void reached(kd_tail *t, int32_t p, int64_t offset)
{
    if (p >= 0 && p < t->n && t->end[p] >= 0 && offset >= t->end[p]) {
        t->end[p] = -1;
        t->n_open--;
    }
}

kd_rc kd_tail_poll(kd_tail *t, int timeout_ms, void (*each)(void *arg, const kd_tail_message *m),
                   void *arg, kd_err *err)
{
    rd_kafka_message_t *batch[BATCH];
    ssize_t n = rd_kafka_consume_batch_queue(t->queue, timeout_ms, batch, BATCH);
    bool any = false;
    kd_rc rc = KD_OK;
    for (ssize_t k = 0; k < n; k++) {
        const rd_kafka_message_t *m = batch[k];
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            reached(t, m->partition, m->offset);
        } else if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (rd_kafka_fatal_error(t->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
                rc = kd_fail(err, KD_EIO, "%s", rd_kafka_message_errstr(m));
        } else {
            rd_kafka_timestamp_type_t kind;
            kd_tail_message x = {m->partition, m->offset,  rd_kafka_message_timestamp(m, &kind),
                                 m->key,       m->payload, m->key_len,
                                 m->len};
            each(arg, &x);
            reached(t, m->partition, m->offset + 1);
            any = true;
        }
        rd_kafka_message_destroy(batch[k]);
    }
    if (rc != KD_OK || any)
        return rc;
    return t->n_open == 0 ? KD_END : KD_AGAIN;
}
