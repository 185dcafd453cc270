#include "consumers/kafka_diagnose.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "consumers/kafka_conf_internal.h"

/* The first release whose SCRAM a broker of Kafka 4 takes (librdkafka's pull request 4895). */
#define SCRAM_FOR_KAFKA_4 0x02060100

enum { LIMIT_MS = 4000, STEP_MS = 200 };

typedef struct finding {
    rd_kafka_resp_err_t code;
    char text[256];
} finding;

/* @thread the caller's, from rd_kafka_poll. The first thing said is the cause. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    finding *f = opaque;
    (void)rk;
    if (f->text[0] != '\0' || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return;
    f->code = (rd_kafka_resp_err_t)code;
    const char *end = strstr(reason, " (after ");
    size_t n = end == NULL ? strlen(reason) : (size_t)(end - reason);
    snprintf(f->text, sizeof f->text, "%.*s", (int)(n > 250 ? 250 : n), reason);
}

static rd_kafka_t *make_client(const kd_property *properties, size_t n, finding *f)
{
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *rk = NULL;
    if (kd_kafka_conf_aside(properties, n, NULL, &conf, NULL) != KD_OK)
        return NULL;
    rd_kafka_conf_set_opaque(conf, f);
    rd_kafka_conf_set_error_cb(conf, on_error);
    (void)!kd_kafka_client(RD_KAFKA_PRODUCER, conf, &rk, NULL);
    return rk;
}

static bool uses_scram(const kd_property *properties, size_t n)
{
    bool is_scram = false;
    for (size_t k = 0; k < n; k++)
        if (strcmp(properties[k].name, "sasl.mechanisms") == 0 ||
            strcmp(properties[k].name, "sasl.mechanism") == 0)
            is_scram = strncmp(properties[k].value, "SCRAM", 5) == 0;
    return is_scram;
}

/* An alert comes from the broker: it wants a certificate of ours, or does not like the one it got.
 */
static bool is_our_certificate_refused(const finding *f)
{
    return strstr(f->text, " alert ") != NULL &&
           (strstr(f->text, "certificate") != NULL || strstr(f->text, "unknown ca") != NULL);
}

/* What would be right, before what was said, which may be too long for a message. */
static const char *advice(const kd_property *properties, size_t n, const finding *f)
{
    if (strstr(f->text, "Unsupported SASL mechanism") != NULL)
        return "check sasl.mechanisms: ";
    if (f->code == RD_KAFKA_RESP_ERR__AUTHENTICATION && uses_scram(properties, n) &&
        rd_kafka_version() < SCRAM_FOR_KAFKA_4)
        return "check sasl.username and sasl.password; and Kafka 4 refuses the SCRAM of librdkafka "
               "before 2.6.1, as this one is: ";
    if (f->code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return "check sasl.username and sasl.password: ";
    if (is_our_certificate_refused(f))
        return "check ssl.certificate.location and ssl.key.location: ";
    if (strstr(f->text, "certificate") != NULL)
        return "check ssl.ca.location: ";
    if (f->code == RD_KAFKA_RESP_ERR__SSL || strstr(f->text, "SSL routines") != NULL ||
        strstr(f->text, "security.protocol") != NULL)
        return "check security.protocol: ";
    return "";
}

void kd_kafka_diagnose(const kd_property *properties, size_t n, const volatile int *stop,
                       kd_err *err)
{
    finding f = {0};
    if (err == NULL || err->rc != KD_RETRY)
        return;
    rd_kafka_t *rk = make_client(properties, n, &f);
    bool is_there = rk == NULL;
    for (int64_t until = kd_clock_mono_ms() + LIMIT_MS; !is_there && f.text[0] == '\0' &&
                                                        kd_clock_mono_ms() < until &&
                                                        (stop == NULL || *stop == 0);) {
        const struct rd_kafka_metadata *md = NULL;
        is_there = rd_kafka_metadata(rk, 0, NULL, &md, STEP_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (is_there)
            rd_kafka_metadata_destroy(md);
        rd_kafka_poll(rk, 0);
    }
    if (rk != NULL)
        rd_kafka_destroy(rk);
    if (is_there || f.text[0] == '\0')
        return;
    snprintf(err->msg, sizeof err->msg, "the brokers cannot be used; %s%s",
             advice(properties, n, &f), f.text);
}
