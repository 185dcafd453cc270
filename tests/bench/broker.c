#include "bench/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

enum { WAIT_MS = 30000, BATCH = 512 };

static void fail(const char *doing, const char *why)
{
    fprintf(stderr, "%s: %s\n", doing, why);
    exit(1);
}

const char *broker_address(void)
{
    const char *brokers = getenv("KINDRED_TEST_BROKERS");
    if (!brokers || !*brokers) {
        fail("KINDRED_TEST_BROKERS", "is not set: './dev kafka up' starts a broker");
    }
    return brokers;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fail(name, why);
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    set(conf, "bootstrap.servers", broker_address());
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        fail("client", why);
    }
    return rk;
}

/* The outcome of one admin request, taken from its queue. */
static void admin_done(rd_kafka_queue_t *queue, const char *doing)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    if (!event) {
        fail(doing, "the broker did not answer in time");
    }
    if (rd_kafka_event_error(event)) {
        fail(doing, rd_kafka_event_error_string(event));
    }
    size_t n = 0;
    const rd_kafka_topic_result_t **results = NULL;
    const rd_kafka_CreateTopics_result_t *created = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_DeleteTopics_result_t *deleted = rd_kafka_event_DeleteTopics_result(event);
    if (created) {
        results = rd_kafka_CreateTopics_result_topics(created, &n);
    } else if (deleted) {
        results = rd_kafka_DeleteTopics_result_topics(deleted, &n);
    }
    for (size_t i = 0; i < n; i++) {
        if (rd_kafka_topic_result_error(results[i])) {
            fail(doing, rd_kafka_topic_result_error_string(results[i]));
        }
    }
    rd_kafka_event_destroy(event);
}

void broker_topics_create(const char *const *names, size_t n)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t **topics = calloc(n, sizeof *topics);
    for (size_t i = 0; i < n; i++) {
        char why[256];
        topics[i] = rd_kafka_NewTopic_new(names[i], BROKER_PARTITIONS, 1, why, sizeof why);
        /* the workload's times lie in the past: a broker would delete such records */
        rd_kafka_NewTopic_set_config(topics[i], "retention.ms", "-1");
    }
    rd_kafka_AdminOptions_t *wait = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    char why[256];
    rd_kafka_AdminOptions_set_operation_timeout(wait, WAIT_MS, why, sizeof why);
    rd_kafka_CreateTopics(rk, topics, n, wait, queue);
    admin_done(queue, "create topics");
    rd_kafka_AdminOptions_destroy(wait);
    rd_kafka_NewTopic_destroy_array(topics, n);
    free(topics);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

void broker_topics_delete(const char *const *names, size_t n)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t **topics = calloc(n, sizeof *topics);
    for (size_t i = 0; i < n; i++) {
        topics[i] = rd_kafka_DeleteTopic_new(names[i]);
    }
    rd_kafka_DeleteTopics(rk, topics, n, NULL, queue);
    admin_done(queue, "delete topics");
    rd_kafka_DeleteTopic_destroy_array(topics, n);
    free(topics);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

/* Messages the broker has acknowledged. A refused one ends the program. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    if (m->err) {
        fail("produce", rd_kafka_err2str(m->err));
    }
    ++*(int64_t *)opaque;
}

/* The settings of Kindred's own producer, as far as they cost or save time. */
static rd_kafka_t *producer(int64_t *delivered, const char *linger_ms)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "enable.idempotence", "true");
    set(conf, "partitioner", "murmur2_random");
    set(conf, "compression.codec", "lz4");
    set(conf, "linger.ms", linger_ms);
    set(conf, "queue.buffering.max.messages", "100000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, delivered);
    return client(RD_KAFKA_PRODUCER, conf);
}

static void produce(rd_kafka_t *rk, const char *topic, const void *key, size_t key_len,
                    const void *value, size_t value_len, int64_t timestamp)
{
    for (;;) {
        rd_kafka_resp_err_t err = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value_len),
            RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_END);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return;
        }
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fail("produce", rd_kafka_err2str(err));
        }
        rd_kafka_poll(rk, 10);
    }
}

static void flush(rd_kafka_t *rk, const int64_t *delivered, int64_t n)
{
    if (rd_kafka_flush(rk, 120000) != RD_KAFKA_RESP_ERR_NO_ERROR || *delivered != n) {
        fail("flush", "not everything was stored in time");
    }
}

void broker_produce_shop(const bench_shop *shop, const char *prefix)
{
    kd_err err = {0};
    kd_codec *codec = NULL;
    kd_buf bytes = {0};
    int64_t delivered = 0;
    rd_kafka_t *rk = producer(&delivered, "2");
    bench_must(kd_codec_new(&(kd_codec_options){0}, &codec, &err), &err, "codec");
    for (size_t i = 0; i < shop->n; i++) {
        const kd_record *r = &shop->records[i];
        char topic[128];
        snprintf(topic, sizeof topic, "%s%s", prefix, bench_topic(r->type));
        kd_buf_clear(&bytes);
        bench_must(kd_codec_prepare(codec, topic, bench_schema(r->type), &err), &err, "prepare");
        bench_must(kd_codec_encode_record(codec, topic, r, &bytes, &err), &err, "encode");
        kd_str key = bench_key(r);
        produce(rk, topic, key.p, key.n, bytes.p, bytes.n, r->time);
        rd_kafka_poll(rk, 0);
    }
    flush(rk, &delivered, (int64_t)shop->n);
    rd_kafka_destroy(rk);
    kd_buf_dispose(&bytes);
    kd_codec_free(codec);
}

/* A consumer that stands at the start of every partition of the topics. */
static rd_kafka_t *consumer_at_start(const char *const *topics, size_t n)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "bench");
    set(conf, "enable.auto.commit", "false");
    set(conf, "queued.min.messages", BROKER_QUEUED_MIN);
    set(conf, "fetch.wait.max.ms", BROKER_FETCH_WAIT);
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < n; i++) {
        for (int p = 0; p < BROKER_PARTITIONS; p++) {
            rd_kafka_topic_partition_list_add(list, topics[i], p)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
        }
    }
    rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err) {
        fail("assign", rd_kafka_err2str(err));
    }
    return rk;
}

double broker_raw_copy(const char *const *from, size_t n_from, const char *to, size_t n,
                       const void *instead, size_t instead_len)
{
    int64_t delivered = 0;
    double began = 0;
    rd_kafka_t *out = producer(&delivered, "2");
    produce(out, to, "warm", 4, "up", 2, 0); /* a producer's id takes half a second to be had */
    flush(out, &delivered, 1);
    rd_kafka_t *in = consumer_at_start(from, n_from);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(in);
    rd_kafka_message_t *batch[BATCH];
    for (size_t copied = 0; copied < n;) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 5, batch, BATCH);
        if (copied == 0 && got > 0) {
            began = bench_now();
        }
        for (ssize_t i = 0; i < got; i++) {
            const rd_kafka_message_t *m = batch[i];
            if (m->err) {
                fail("consume", rd_kafka_message_errstr(m));
            }
            produce(out, to, m->key, m->key_len, instead ? instead : m->payload,
                    instead ? instead_len : m->len, rd_kafka_message_timestamp(m, NULL));
            copied++;
            rd_kafka_message_destroy(batch[i]);
        }
        rd_kafka_poll(out, 0);
    }
    flush(out, &delivered, (int64_t)n + 1);
    double took = bench_now() - began;
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(in);
    rd_kafka_destroy(in);
    rd_kafka_destroy(out);
    return took;
}

double broker_consume(const char *const *from, size_t n_from, size_t n, void (*at_end)(void *arg),
                      void *arg)
{
    rd_kafka_t *in = consumer_at_start(from, n_from);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(in);
    rd_kafka_message_t *batch[BATCH];
    double began = 0;
    for (size_t done = 0; done < n;) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 5, batch, BATCH);
        began = began == 0 && got > 0 ? bench_now() : began;
        for (ssize_t i = 0; i < got; i++)
            rd_kafka_message_destroy(batch[i]);
        done += got > 0 ? (size_t)got : 0;
    }
    double took = bench_now() - began;
    at_end(arg);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(in);
    rd_kafka_destroy(in);
    return took;
}

void broker_commit(const char *group, const char *const *topics, size_t n, bool at_end)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", group);
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < n; i++) {
        for (int p = 0; p < BROKER_PARTITIONS; p++) {
            int64_t low = 0, high = 0;
            rd_kafka_resp_err_t err =
                rd_kafka_query_watermark_offsets(rk, topics[i], p, &low, &high, WAIT_MS);
            if (err) {
                fail(topics[i], rd_kafka_err2str(err));
            }
            rd_kafka_topic_partition_list_add(list, topics[i], p)->offset = at_end ? high : low;
        }
    }
    rd_kafka_resp_err_t err = rd_kafka_commit(rk, list, 0);
    if (err) {
        fail("commit", rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

struct broker_sender {
    rd_kafka_t *rk;
    int64_t sent, delivered;
};

broker_sender *broker_sender_new(void)
{
    broker_sender *s = calloc(1, sizeof *s);
    s->rk = producer(&s->delivered, "0");
    return s;
}

void broker_sender_send(broker_sender *s, const char *topic, kd_str key, kd_str value,
                        int64_t timestamp)
{
    produce(s->rk, topic, key.p, key.n, value.p, value.n, timestamp);
    s->sent++;
}

void broker_sender_poll(broker_sender *s)
{
    rd_kafka_poll(s->rk, 0);
}

void broker_sender_free(broker_sender *s)
{
    flush(s->rk, &s->delivered, s->sent);
    rd_kafka_destroy(s->rk);
    free(s);
}

struct broker_reader {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
};

broker_reader *broker_reader_new(const char *topic)
{
    broker_reader *r = calloc(1, sizeof *r);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "bench");
    set(conf, "enable.auto.commit", "false");
    r->rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(r->rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(BROKER_PARTITIONS);
    for (int p = 0; p < BROKER_PARTITIONS; p++) {
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t err =
            rd_kafka_query_watermark_offsets(r->rk, topic, p, &low, &high, WAIT_MS);
        if (err) {
            fail(topic, rd_kafka_err2str(err));
        }
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = high;
    }
    rd_kafka_resp_err_t err = rd_kafka_assign(r->rk, list);
    if (err) {
        fail("assign", rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(list);
    r->queue = rd_kafka_queue_get_consumer(r->rk);
    return r;
}

void broker_reader_poll(broker_reader *r, int timeout_ms,
                        void (*each)(void *arg, const void *value, size_t n, double at), void *arg)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, timeout_ms);
    if (!m) {
        return;
    }
    if (m->err) {
        fail("consume", rd_kafka_message_errstr(m));
    }
    each(arg, m->payload, m->len, bench_now());
    rd_kafka_message_destroy(m);
}

void broker_reader_free(broker_reader *r)
{
    rd_kafka_queue_destroy(r->queue);
    rd_kafka_consumer_close(r->rk);
    rd_kafka_destroy(r->rk);
    free(r);
}

int64_t broker_count(const char *topic)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, rd_kafka_conf_new());
    int64_t n = 0;
    for (int p = 0; p < BROKER_PARTITIONS; p++) {
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t err =
            rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, WAIT_MS);
        if (err) {
            fail(topic, rd_kafka_err2str(err));
        }
        n += high - low;
    }
    rd_kafka_destroy(rk);
    return n;
}
