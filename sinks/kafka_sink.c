#include "sinks/kafka_sink.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sinks/kafka_out_internal.h"

enum { RING = 1 << 17 };

typedef struct kafka_sink {
    kd_sink base;
    char *name[KD_KAFKA_OUT_TYPES]; /* owned; by kd_out_type; NULL = not published */
    rd_kafka_topic_t *topic[KD_KAFKA_OUT_TYPES];
    kd_codec *codec;
    void (*on_notice)(void *arg, const char *text);
    void *notice_arg;
    rd_kafka_t *rk;
    kd_buf buf;
    /* Deliveries come back in any order over partitions. ring[seq % RING] counts what is still out
     * of output number seq; acked is the first with anything out. */
    uint8_t *ring;
    uint64_t acked;
    uint32_t next_part; /* of a KD_OUT_FORGOTTEN that was half taken */
    int64_t n_lost;
    bool is_away;
} kafka_sink;

static void notice(const kafka_sink *k, const char *fmt, ...) KD_PRINTF(2, 3);

static void notice(const kafka_sink *k, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (k->on_notice != NULL)
        k->on_notice(k->notice_arg, text);
}

/* @thread loop, from rd_kafka_poll */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    kafka_sink *k = opaque;
    (void)rk;
    uint64_t seq = (uint64_t)(uintptr_t)m->_private;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        k->n_lost++;
        notice(k, "an output for %s was refused: %s", rd_kafka_topic_name(m->rkt),
               rd_kafka_err2str(m->err));
    }
    k->is_away = false;
    k->ring[seq % RING]--;
    while (k->acked < k->base.written && k->ring[k->acked % RING] == 0)
        k->acked++;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    kafka_sink *k = opaque;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !k->is_away) {
        k->is_away = true;
        notice(k, "no broker can be reached (%s); trying again", reason);
    }
}

static kd_rc start(kd_sink *s, kd_err *err)
{
    kafka_sink *k = (kafka_sink *)s;
    for (int t = 0; t < KD_KAFKA_OUT_TYPES; t++)
        if (k->name[t] != NULL)
            KD_TRY(kd_codec_prepare(k->codec, k->name[t], kd_kafka_out_schema(t), err));
    return KD_OK;
}

/* One message of output number base.written; counts it as out. */
static kd_rc produce(kafka_sink *k, int type, kd_str key, const kd_buf *value, kd_err *err)
{
    uint8_t *out = &k->ring[k->base.written % RING];
    for (;;) {
        int rc = rd_kafka_produce(k->topic[type], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                  value == NULL ? NULL : value->p, value == NULL ? 0 : value->n,
                                  key.p, key.n, (void *)(uintptr_t)k->base.written);
        if (rc == 0) {
            (*out)++;
            return KD_OK;
        }
        rd_kafka_resp_err_t e = rd_kafka_last_error();
        if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(k->rk, 0);
            return kd_fail(err, KD_AGAIN, "the producer's queue is full");
        }
        if (e != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            return kd_fail(err, KD_EIO, "%s: %s", k->name[type], rd_kafka_err2str(e));
        k->n_lost++;
        notice(k, "one of the %s is too large for %s: %zu bytes", kd_kafka_out_name(type),
               k->name[type], value == NULL ? 0 : value->n);
        return KD_OK;
    }
}

/* A null on each topic that is compacted by shopper. */
static kd_rc forget(kafka_sink *k, kd_str shopper, kd_err *err)
{
    for (; k->next_part < KD_KAFKA_COMPACTED; k->next_part++)
        if (k->name[kd_kafka_compacted[k->next_part]] != NULL)
            KD_TRY(produce(k, kd_kafka_compacted[k->next_part], shopper, NULL, err));
    k->next_part = 0;
    return KD_OK;
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    kafka_sink *k = (kafka_sink *)s;
    if (s->written - k->acked >= RING) {
        rd_kafka_poll(k->rk, 0);
        return kd_fail(err, KD_AGAIN, "%d outputs are not acknowledged", RING);
    }
    if (out->type == KD_OUT_FORGOTTEN) {
        KD_TRY(forget(k, out->forgotten, err));
    } else if (k->name[out->type] != NULL) {
        kd_buf_clear(&k->buf);
        KD_TRY(kd_codec_encode_out(k->codec, k->name[out->type], out, &k->buf, err));
        KD_TRY(produce(k, (int)out->type, kd_kafka_out_key(out), &k->buf, err));
    }
    s->written++;
    while (k->acked < s->written && k->ring[k->acked % RING] == 0)
        k->acked++;
    return KD_OK;
}

static kd_rc poll(kd_sink *s, kd_err *err)
{
    kafka_sink *k = (kafka_sink *)s;
    rd_kafka_poll(k->rk, 0);
    char text[256];
    rd_kafka_resp_err_t e = rd_kafka_fatal_error(k->rk, text, sizeof text);
    return e == RD_KAFKA_RESP_ERR_NO_ERROR ? KD_OK
                                           : kd_fail(err, KD_EIO, "the producer failed: %s", text);
}

static uint64_t acked(const kd_sink *s)
{
    return ((const kafka_sink *)s)->acked;
}

static kd_rc flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    kafka_sink *k = (kafka_sink *)s;
    rd_kafka_flush(k->rk, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
    KD_TRY(poll(s, err));
    if (k->acked == s->written)
        return KD_OK;
    return kd_fail(err, KD_RETRY, "%llu outputs are not acknowledged after %lld ms",
                   (unsigned long long)(s->written - k->acked), (long long)timeout_ms);
}

static void close_sink(kd_sink *s)
{
    kafka_sink *k = (kafka_sink *)s;
    if (k->rk != NULL)
        rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    k->on_notice = NULL;
    for (int t = 0; t < KD_KAFKA_OUT_TYPES; t++) {
        if (k->topic[t] != NULL)
            rd_kafka_topic_destroy(k->topic[t]);
        free(k->name[t]);
    }
    if (k->rk != NULL) {
        rd_kafka_poll(k->rk, 0);
        rd_kafka_destroy(k->rk);
    }
    kd_buf_dispose(&k->buf);
    free(k->ring);
    free(k);
}

static const kd_sink_kind kind = {.name = "kafka",
                                  .start = start,
                                  .write = write_one,
                                  .poll = poll,
                                  .acked = acked,
                                  .flush = flush,
                                  .close = close_sink};

static kd_rc make_producer(kafka_sink *k, const kd_kafka_sink_options *o, kd_err *err)
{
    const char *const last[][2] = {{"message.timeout.ms", "0"},
                                   {NULL, NULL}}; /* nothing is given up */
    rd_kafka_conf_t *conf = NULL;
    KD_TRY(kd_kafka_out_conf(o, last, &conf, err));
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    return kd_kafka_out_producer(conf, &k->rk, err);
}

kd_rc kd_kafka_sink_new(const kd_kafka_sink_options *o, kd_sink **out, kd_err *err)
{
    kafka_sink *k = calloc(1, sizeof *k);
    if (k == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    k->base.kind = &kind;
    k->codec = o->codec;
    k->on_notice = o->on_notice;
    k->notice_arg = o->notice_arg;
    k->ring = calloc(RING, 1);
    kd_rc rc = k->ring == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a sink") : KD_OK;
    if (rc == KD_OK)
        rc = make_producer(k, o, err);
    const char *names[KD_KAFKA_OUT_TYPES] = {o->recommendations, o->similar, o->dead_letters, NULL,
                                             o->receipts,        o->needs};
    for (int t = 0; rc == KD_OK && t < KD_KAFKA_OUT_TYPES; t++) {
        if (names[t] == NULL || names[t][0] == '\0')
            continue;
        k->name[t] = strdup(names[t]);
        k->topic[t] = k->name[t] == NULL ? NULL : rd_kafka_topic_new(k->rk, names[t], NULL);
        if (k->topic[t] == NULL)
            rc = kd_fail(err, KD_ECONFIG, "topic \"%s\" cannot be written", names[t]);
    }
    if (rc != KD_OK) {
        close_sink(&k->base);
        return rc;
    }
    k->base.takes_encoded = k->name[KD_OUT_UPDATE] != NULL;
    *out = &k->base;
    return KD_OK;
}

int64_t kd_kafka_sink_lost(const kd_sink *s)
{
    KD_ASSERT(s->kind == &kind);
    return ((const kafka_sink *)s)->n_lost;
}
