#include "sinks/kafka_chunks.h"

#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "base/clock.h"
#include "sinks/kafka_out_internal.h"

enum { WAIT_MS = 30000, POLL_MS = 50 };

struct kd_kafka_chunks {
    rd_kafka_t *rk;
    char *topic;                 /* owned */
    rd_kafka_resp_err_t refused; /* the first one */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    kd_kafka_chunks *c = opaque;
    (void)rk;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR && c->refused == RD_KAFKA_RESP_ERR_NO_ERROR)
        c->refused = m->err;
}

static kd_rc check(const kd_kafka_chunks *c, kd_err *err)
{
    if (c->refused == RD_KAFKA_RESP_ERR_NO_ERROR)
        return KD_OK;
    kd_fail(err, KD_EIO, "a part is not stored: %s", rd_kafka_err2str(c->refused));
    kd_err_at(err, "topic %s", c->topic);
    return KD_EIO;
}

static kd_rc make(kd_kafka_chunks *c, const kd_property *properties, size_t n, kd_err *err)
{
    static const char *const last[][2] = {{"message.timeout.ms", "30000"}, {NULL, NULL}};
    kd_property *own = calloc(n + 1, sizeof *own);
    if (own == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a producer");
    kd_kafka_sink_options o = {.properties = own};
    for (size_t k = 0; k < n; k++)
        if (strcmp(properties[k].name, "transactional.id") != 0)
            own[o.n_properties++] = properties[k];
    rd_kafka_conf_t *conf = NULL;
    kd_rc rc = kd_kafka_out_conf(&o, last, &conf, err);
    free(own);
    KD_TRY(rc);
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kd_kafka_out_producer(conf, &c->rk, err);
}

kd_rc kd_kafka_chunks_new(const char *topic, const kd_property *properties, size_t n,
                          kd_kafka_chunks **out, kd_err *err)
{
    kd_kafka_chunks *c = calloc(1, sizeof *c);
    if (c == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a producer");
    c->topic = strdup(topic);
    kd_rc rc = c->topic == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a producer")
                                : make(c, properties, n, err);
    if (rc != KD_OK) {
        kd_kafka_chunks_free(c);
        return rc;
    }
    *out = c;
    return KD_OK;
}

void kd_kafka_chunks_free(kd_kafka_chunks *c)
{
    if (c == NULL)
        return;
    if (c->rk != NULL) {
        rd_kafka_purge(c->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(c->rk);
    }
    free(c->topic);
    free(c);
}

kd_rc kd_kafka_chunks_put(kd_kafka_chunks *c, const char *key, const void *value, size_t n,
                          kd_err *err)
{
    void *bytes = (void *)(uintptr_t)value, *id = (void *)(uintptr_t)key;
    for (int64_t until = kd_clock_mono_ms() + WAIT_MS;;) {
        KD_TRY(check(c, err));
        rd_kafka_resp_err_t e = rd_kafka_producev(
            c->rk, RD_KAFKA_V_TOPIC(c->topic), RD_KAFKA_V_KEY(id, strlen(key)),
            RD_KAFKA_V_VALUE(bytes, n), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        rd_kafka_poll(c->rk, e == RD_KAFKA_RESP_ERR__QUEUE_FULL ? POLL_MS : 0);
        if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
            return KD_OK;
        if (e != RD_KAFKA_RESP_ERR__QUEUE_FULL || kd_clock_mono_ms() > until)
            c->refused = e;
    }
}

kd_rc kd_kafka_chunks_flush(kd_kafka_chunks *c, kd_err *err)
{
    rd_kafka_resp_err_t e = rd_kafka_flush(c->rk, WAIT_MS);
    if (e != RD_KAFKA_RESP_ERR_NO_ERROR && c->refused == RD_KAFKA_RESP_ERR_NO_ERROR)
        c->refused = e;
    return check(c, err);
}
