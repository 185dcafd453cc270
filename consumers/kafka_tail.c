#include "consumers/kafka_tail.h"

#include <stdlib.h>
#include <string.h>

#include "consumers/kafka_conf_internal.h"

enum { CALL_MS = 5000, BATCH = 256 };

struct kd_tail {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int64_t *end; /* [n] offset that each partition has to reach; reached ones are -1 */
    int n, n_open;
};

static kd_rc make_consumer(kd_tail *t, const kd_tail_options *o, kd_err *err)
{
    const char *const own[][2] = {
        {"group.id", "kindred.tail"}, /* never joined: assign needs a name */
        {"enable.auto.commit", "false"},
        {"fetch.wait.max.ms", "20"},
        {"socket.nagle.disable", "true"},
        {"enable.partition.eof", "true"},
        {NULL, NULL}};
    rd_kafka_conf_t *conf = NULL;
    KD_TRY(kd_kafka_conf(own, o->properties, o->n_properties, NULL, &conf, err));
    return kd_kafka_client(RD_KAFKA_CONSUMER, conf, &t->rk, err);
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
    KD_TRY(kd_kafka_need_address(o->properties, o->n_properties, err));
    kd_tail *t = calloc(1, sizeof *t);
    if (t == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a consumer");
    kd_rc rc = make_consumer(t, o, err);
    if (rc == KD_OK) {
        rd_kafka_poll_set_consumer(t->rk);
        t->queue = rd_kafka_queue_get_consumer(t->rk);
        rc = kd_kafka_count_partitions(t->rk, o->topic, CALL_MS, &t->n, err);
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
