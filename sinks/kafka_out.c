#include "sinks/kafka_out_internal.h"

#include <string.h>

#include "base/clock.h"

const int kd_kafka_compacted[KD_KAFKA_COMPACTED] = {KD_OUT_UPDATE, KD_OUT_SIMILAR, KD_OUT_NEEDS};

kd_schema_id kd_kafka_out_schema(int type)
{
    static const kd_schema_id schemas[KD_KAFKA_OUT_TYPES] = {
        KD_SCHEMA_UPDATE, KD_SCHEMA_SIMILAR, KD_SCHEMA_DEAD_LETTER,
        KD_SCHEMA_UPDATE, KD_SCHEMA_RECEIPT, KD_SCHEMA_NEEDS};
    return schemas[type];
}

const char *kd_kafka_out_name(int type)
{
    static const char *const names[KD_KAFKA_OUT_TYPES] = {
        "updates", "similar shoppers", "dead letters", "nulls", "receipts", "shoppers' needs"};
    return names[type];
}

kd_str kd_kafka_out_key(const kd_out *out)
{
    switch (out->type) {
    case KD_OUT_UPDATE:
        return out->update->shopper_id;
    case KD_OUT_SIMILAR:
        return out->similar->shopper_id;
    case KD_OUT_DEAD_LETTER:
        return (kd_str){out->dead_letter->key, (uint32_t)out->dead_letter->key_len};
    case KD_OUT_NEEDS:
        return out->needs->shopper_id;
    case KD_OUT_FORGOTTEN:
        return out->forgotten;
    case KD_OUT_RECEIPT:
        return out->receipt->shopper_hash;
    }
    return KD_STR_NULL;
}

static kd_rc set(rd_kafka_conf_t *conf, const char *name, const char *value, const char *from,
                 kd_err *err)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return KD_OK;
    kd_fail(err, KD_ECONFIG, "%s", text);
    kd_err_at(err, "%s", from);
    return KD_ECONFIG;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    /* What a person can act on comes through error callbacks and delivery reports. */
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

kd_rc kd_kafka_out_conf(const kd_kafka_sink_options *o, const char *const (*last)[2],
                        rd_kafka_conf_t **out, kd_err *err)
{
    /* linger.ms: what a batch may wait; short, since somebody is looking at the page. */
    const char *const first[][2] = {{"linger.ms", "2"},
                                    {"compression.codec", "lz4"},
                                    {"socket.nagle.disable", "true"},
                                    {"queue.buffering.max.kbytes", "131072"}};
    /* A topic that the broker makes on first sight is neither compacted nor has it our partitions.
     */
    const char *const fixed[][2] = {{"enable.idempotence", "true"},
                                    {"allow.auto.create.topics", "false"},
                                    {"partitioner", "murmur2_random"}};
    const char *own = "kindred's own";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kd_rc rc = KD_OK;
    for (size_t p = 0; rc == KD_OK && p < sizeof first / sizeof *first; p++)
        rc = set(conf, first[p][0], first[p][1], own, err);
    for (size_t p = 0; rc == KD_OK && p < o->n_properties; p++)
        rc = set(conf, o->properties[p].name, o->properties[p].value, o->properties[p].from, err);
    for (size_t p = 0; rc == KD_OK && p < sizeof fixed / sizeof *fixed; p++)
        rc = set(conf, fixed[p][0], fixed[p][1], own, err);
    for (; rc == KD_OK && (*last)[0] != NULL; last++)
        rc = set(conf, (*last)[0], (*last)[1], own, err);
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (rc == KD_OK)
        *out = conf;
    else
        rd_kafka_conf_destroy(conf);
    return rc;
}

void kd_kafka_out_look(rd_kafka_t *rk, char *const names[KD_KAFKA_OUT_TYPES], int timeout_ms)
{
    int64_t until = kd_clock_mono_ms() + timeout_ms;
    for (int t = 0; t < KD_KAFKA_OUT_TYPES; t++) {
        int64_t left = until - kd_clock_mono_ms();
        rd_kafka_topic_t *topic = names[t] == NULL ? NULL : rd_kafka_topic_new(rk, names[t], NULL);
        const struct rd_kafka_metadata *md = NULL;
        if (topic == NULL)
            continue;
        if (left > 0 &&
            rd_kafka_metadata(rk, 0, topic, &md, (int)left) == RD_KAFKA_RESP_ERR_NO_ERROR)
            rd_kafka_metadata_destroy(md);
        rd_kafka_topic_destroy(topic); /* its partitions keep it */
    }
}

kd_rc kd_kafka_out_producer(rd_kafka_conf_t *conf, rd_kafka_t **out, kd_err *err)
{
    char text[256];
    *out = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (*out != NULL)
        return KD_OK; /* which owns conf now */
    rd_kafka_conf_destroy(conf);
    return kd_fail(err, KD_ECONFIG, "the producer cannot be made: %s", text);
}
