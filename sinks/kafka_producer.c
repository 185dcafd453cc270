#include "sinks/kafka_producer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

/* What a message carries besides its bytes. */
typedef struct sent {
    kd_pos pos;
    int64_t ts;
    int type;
    bool is_alone; /* sent a second time, in a batch of its own */
} sent;

struct kd_kafka_producer {
    char *name[KD_RECORD_TYPES];
    rd_kafka_topic_t *topic[KD_RECORD_TYPES], *topic_alone[KD_RECORD_TYPES];
    kd_codec *codec;
    void (*on_refused)(void *, const kd_pos *, kd_reason, const char *, const void *, size_t,
                       const void *, size_t);
    void *refused_arg;
    rd_kafka_t *rk, *alone;        /* `alone` sends batches of one record; made when first needed */
    const kd_property *properties; /* borrowed while the producer lives */
    size_t n_properties;
    kd_buf buf;
    int64_t n_delivered, n_refused, n_out;
};

static void refuse(kd_kafka_producer *p, const sent *s, rd_kafka_resp_err_t e,
                   const rd_kafka_message_t *m)
{
    kd_reason reason = e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE  ? KD_REASON_TOO_LARGE
                       : e == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ? KD_REASON_TIME
                                                                  : KD_REASON_FIELD;
    p->n_refused++;
    if (p->on_refused != NULL)
        p->on_refused(p->refused_arg, &s->pos, reason, rd_kafka_err2str(e), m->key, m->key_len,
                      m->payload, m->len);
}

static bool send_alone(kd_kafka_producer *p, sent *s, const rd_kafka_message_t *m);

/* A broker refuses a whole batch for one record's timestamp: each of it gets a second chance. */
static bool is_of_batch(rd_kafka_resp_err_t e)
{
    return e == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP || e == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
           e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || e == RD_KAFKA_RESP_ERR_INVALID_MSG;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    kd_kafka_producer *p = opaque;
    sent *s = m->_private;
    (void)rk;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->n_delivered++;
    } else if (is_of_batch(m->err) && !s->is_alone && send_alone(p, s, m)) {
        return;
    } else {
        refuse(p, s, m->err, m);
    }
    p->n_out--;
    free(s);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    /* Failures come back with each record. */
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static kd_rc make(kd_kafka_producer *p, bool is_alone, rd_kafka_t **out, kd_err *err)
{
    char text[256];
    const char *const own[][2] = {
        {"compression.codec", "lz4"},
        {"partitioner", "murmur2_random"},
        /* A batch that is refused must not stop the ones behind it, as it would with idempotence.
         */
        {"enable.idempotence", "false"},
        {"acks", "all"},
        {"socket.nagle.disable", "true"},
        {"allow.auto.create.topics", "false"}, /* with the broker's settings, which do not fit */
        {"linger.ms", is_alone ? "0" : "5"},
        {"batch.num.messages", is_alone ? "1" : "10000"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *name = NULL, *from = "kindred's own";
    for (size_t k = 0; k < sizeof own / sizeof *own && name == NULL; k++)
        if (rd_kafka_conf_set(conf, own[k][0], own[k][1], text, sizeof text) != RD_KAFKA_CONF_OK)
            name = own[k][0];
    for (size_t k = 0; k < p->n_properties && name == NULL; k++) {
        const kd_property *x = &p->properties[k];
        if (is_alone && strcmp(x->name, "batch.num.messages") == 0)
            continue;
        if (rd_kafka_conf_set(conf, x->name, x->value, text, sizeof text) != RD_KAFKA_CONF_OK) {
            name = x->name;
            from = x->from;
        }
    }
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (name == NULL) {
        *out = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
        if (*out != NULL)
            return KD_OK;
    }
    rd_kafka_conf_destroy(conf);
    kd_fail(err, KD_ECONFIG, "%s", text);
    kd_err_at(err, "%s", from);
    return KD_ECONFIG;
}

static rd_kafka_resp_err_t send_record(rd_kafka_t *rk, rd_kafka_topic_t *topic, sent *s,
                                       const void *key, size_t key_len, const void *value,
                                       size_t value_len)
{
    const rd_kafka_vu_t args[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key, key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)value, value_len}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = s->ts},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = s},
    };
    rd_kafka_error_t *e = rd_kafka_produceva(rk, args, sizeof args / sizeof *args);
    rd_kafka_resp_err_t code = e == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(e);
    if (e != NULL)
        rd_kafka_error_destroy(e);
    return code;
}

static bool send_alone(kd_kafka_producer *p, sent *s, const rd_kafka_message_t *m)
{
    if (p->alone == NULL && make(p, true, &p->alone, NULL) != KD_OK)
        return false;
    if (p->topic_alone[s->type] == NULL)
        p->topic_alone[s->type] = rd_kafka_topic_new(p->alone, p->name[s->type], NULL);
    if (p->topic_alone[s->type] == NULL)
        return false;
    s->is_alone = true;
    rd_kafka_resp_err_t e =
        send_record(p->alone, p->topic_alone[s->type], s, m->key, m->key_len, m->payload, m->len);
    return e == RD_KAFKA_RESP_ERR_NO_ERROR;
}

kd_rc kd_kafka_producer_new(const kd_kafka_producer_options *o, kd_kafka_producer **out,
                            kd_err *err)
{
    kd_kafka_producer *p = calloc(1, sizeof *p);
    if (p == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a producer");
    p->codec = o->codec;
    p->on_refused = o->on_refused;
    p->refused_arg = o->refused_arg;
    p->properties = o->properties;
    p->n_properties = o->n_properties;
    kd_rc rc = make(p, false, &p->rk, err);
    for (int t = 0; rc == KD_OK && t < KD_RECORD_TYPES; t++) {
        if (o->topic[t] == NULL || o->topic[t][0] == '\0')
            continue;
        p->name[t] = strdup(o->topic[t]);
        p->topic[t] = p->name[t] == NULL ? NULL : rd_kafka_topic_new(p->rk, p->name[t], NULL);
        if (p->topic[t] == NULL)
            rc = kd_fail(err, KD_ECONFIG, "topic \"%s\" cannot be written", o->topic[t]);
        else
            rc = kd_codec_prepare(p->codec, p->name[t], (kd_schema_id)t, err);
    }
    if (rc != KD_OK) {
        kd_kafka_producer_free(p);
        return rc;
    }
    *out = p;
    return KD_OK;
}

void kd_kafka_producer_free(kd_kafka_producer *p)
{
    if (p == NULL)
        return;
    p->on_refused = NULL;
    rd_kafka_t *both[] = {p->rk, p->alone};
    for (int k = 0; k < 2; k++) {
        if (both[k] == NULL)
            continue;
        rd_kafka_purge(both[k], RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_poll(both[k], 0);
    }
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        if (p->topic[t] != NULL)
            rd_kafka_topic_destroy(p->topic[t]);
        if (p->topic_alone[t] != NULL)
            rd_kafka_topic_destroy(p->topic_alone[t]);
        free(p->name[t]);
    }
    for (int k = 0; k < 2; k++)
        if (both[k] != NULL)
            rd_kafka_destroy(both[k]);
    kd_buf_dispose(&p->buf);
    free(p);
}

static kd_str key_of(const kd_record *r)
{
    if (r->type == KD_CATALOG)
        return r->item_id;
    return r->user_id.p != NULL ? r->user_id : r->session_id;
}

kd_rc kd_kafka_producer_put(kd_kafka_producer *p, const kd_record *r, kd_err *err)
{
    if (p->topic[r->type] == NULL)
        return kd_fail(err, KD_ECONFIG, "no topic for a %s", kd_record_type_name(r->type));
    kd_buf_clear(&p->buf);
    KD_TRY(kd_codec_encode_record(p->codec, p->name[r->type], r, &p->buf, err));
    sent *s = malloc(sizeof *s);
    if (s == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a record");
    *s = (sent){.pos = r->pos, .ts = r->time, .type = (int)r->type};
    kd_str key = key_of(r);
    rd_kafka_resp_err_t e =
        send_record(p->rk, p->topic[r->type], s, key.p, key.n, p->buf.p, p->buf.n);
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->n_out++;
        return KD_OK;
    }
    if (e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        const rd_kafka_message_t m = {.key = (void *)(uintptr_t)key.p,
                                      .key_len = key.n,
                                      .payload = p->buf.p,
                                      .len = p->buf.n};
        refuse(p, s, e, &m);
        free(s);
        return KD_OK;
    }
    free(s);
    if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return kd_fail(err, KD_AGAIN, "the producer's queue is full");
    return kd_fail(err, KD_EIO, "%s: %s", p->name[r->type], rd_kafka_err2str(e));
}

void kd_kafka_producer_poll(kd_kafka_producer *p, int timeout_ms)
{
    rd_kafka_poll(p->rk, timeout_ms);
    if (p->alone != NULL)
        rd_kafka_poll(p->alone, 0);
}

kd_rc kd_kafka_producer_flush(kd_kafka_producer *p, int timeout_ms, kd_err *err)
{
    rd_kafka_flush(p->rk, timeout_ms);
    if (p->alone != NULL)
        rd_kafka_flush(p->alone, timeout_ms);
    if (p->n_out == 0)
        return KD_OK;
    return kd_fail(err, KD_RETRY, "%lld records are not acknowledged after %d ms",
                   (long long)p->n_out, timeout_ms);
}

int64_t kd_kafka_producer_delivered(const kd_kafka_producer *p)
{
    return p->n_delivered;
}

int64_t kd_kafka_producer_refused(const kd_kafka_producer *p)
{
    return p->n_refused;
}
