#include "consumers/kafka_conf_internal.h"

#include <stdio.h>
#include <string.h>

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    /* What a person can act on comes back from calls and through the other callbacks. */
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
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

static kd_rc set_own(rd_kafka_conf_t *conf, kd_kafka_pairs pairs, kd_err *err)
{
    for (size_t k = 0; pairs != NULL && pairs[k][0] != NULL; k++)
        KD_TRY(set(conf, pairs[k][0], pairs[k][1], "kindred's own", err));
    return KD_OK;
}

/* `without`: a property that is left out, nullable. */
static kd_rc set_given(rd_kafka_conf_t *conf, const kd_property *given, size_t n,
                       const char *without, kd_err *err)
{
    for (size_t k = 0; k < n; k++)
        if (without == NULL || strcmp(given[k].name, without) != 0)
            KD_TRY(set(conf, given[k].name, given[k].value, given[k].from, err));
    return KD_OK;
}

static kd_rc make(kd_kafka_pairs first, const kd_property *given, size_t n, const char *without,
                  kd_kafka_pairs fixed, rd_kafka_conf_t **out, kd_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    kd_rc rc = set_own(conf, first, err);
    if (rc == KD_OK)
        rc = set_given(conf, given, n, without, err);
    if (rc == KD_OK)
        rc = set_own(conf, fixed, err);
    if (rc == KD_OK)
        *out = conf;
    else
        rd_kafka_conf_destroy(conf);
    return rc;
}

kd_rc kd_kafka_conf(kd_kafka_pairs first, const kd_property *given, size_t n, kd_kafka_pairs fixed,
                    rd_kafka_conf_t **out, kd_err *err)
{
    return make(first, given, n, NULL, fixed, out, err);
}

kd_rc kd_kafka_conf_aside(const kd_property *given, size_t n, kd_kafka_pairs fixed,
                          rd_kafka_conf_t **out, kd_err *err)
{
    return make(NULL, given, n, "transactional.id", fixed, out, err);
}

/* librdkafka names the property whose file it cannot use ("ssl.key.location failed: ..."), but not
 * the file. */
static kd_rc say_refusal(const rd_kafka_conf_t *conf, const char *who, const char *text,
                         kd_err *err)
{
    static const char mark[] = ".location failed: ";
    char name[64], file[160];
    size_t cap = sizeof file;
    const char *at = strstr(text, mark);
    size_t n = at == NULL ? 0 : (size_t)(at - text) + sizeof ".location" - 1;
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    if (n > 0 && n < sizeof name && rd_kafka_conf_get(conf, name, file, &cap) == RD_KAFKA_CONF_OK)
        return kd_fail(err, KD_ECONFIG, "%s: %s cannot be used: %s", name, file,
                       at + sizeof mark - 1);
    if (strncmp(text, "Private key check", sizeof "Private key check" - 1) == 0)
        return kd_fail(err, KD_ECONFIG,
                       "ssl.certificate.location is not set or not for ssl.key.location: %s", text);
    return kd_fail(err, KD_ECONFIG, "the %s cannot be made: %s", who, text);
}

kd_rc kd_kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out, kd_err *err)
{
    char text[256];
    *out = rd_kafka_new(type, conf, text, sizeof text);
    if (*out != NULL)
        return KD_OK; /* which owns conf now */
    kd_rc rc = say_refusal(conf, type == RD_KAFKA_CONSUMER ? "consumer" : "client", text, err);
    rd_kafka_conf_destroy(conf);
    return rc;
}

kd_rc kd_kafka_need_address(const kd_property *given, size_t n, kd_err *err)
{
    for (size_t k = 0; k < n; k++)
        if ((strcmp(given[k].name, "bootstrap.servers") == 0 ||
             strcmp(given[k].name, "metadata.broker.list") == 0) &&
            given[k].value[0] != '\0')
            return KD_OK;
    return kd_fail(err, KD_ECONFIG,
                   "kafka: bootstrap.servers is not set, so no address was tried; set it below "
                   "kafka: or with -X bootstrap.servers=HOST:PORT");
}

kd_rc kd_kafka_count_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int *out,
                                kd_err *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t rc =
        rkt == NULL ? rd_kafka_last_error() : rd_kafka_metadata(rk, 0, rkt, &md, timeout_ms);
    if (rkt != NULL)
        rd_kafka_topic_destroy(rkt);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_RETRY, "no answer from the brokers: %s", rd_kafka_err2str(rc));
    rc = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *out = md->topic_cnt == 1 ? md->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(md);
    if (rc == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return kd_fail(err, KD_ECONFIG, "topic %s does not exist; `kindred topics create` makes it",
                       topic);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR || *out == 0)
        return kd_fail(err, KD_RETRY, "topic %s: %s", topic, rd_kafka_err2str(rc));
    return KD_OK;
}
