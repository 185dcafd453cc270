/* kafka_pulse.c - whether the brokers answer.
 *
 * Where a partition ends is known from the last fetch; while the brokers say nothing, what came
 * behind that is not known, and a lag is none. So whoever shows progress has the brokers asked for
 * something small, one question at a time and without waiting; what the answer says is of no
 * interest, a refusal is as good. (The group's committed offsets would tell more, but a question
 * to its coordinator that times out ends the process: an assertion of librdkafka 2.0.)
 *
 * Limit: one broker answers for all. If another one alone is away, the end of its partitions is the
 * one that was seen last.
 * Cost: one request of a few KB a call.   @thread loop
 */
#include <stdlib.h>

#include "base/clock.h"
#include "consumers/kafka_source_internal.h"

enum { SILENT_MS = 3000 };

struct kd_kafka_pulse {
    rd_kafka_queue_t *queue; /* owned */
    int64_t heard_ms;        /* 0 before the first beat */
    bool is_asked;
};

kd_kafka_pulse *kd_kafka_pulse_new(rd_kafka_t *rk)
{
    kd_kafka_pulse *x = calloc(1, sizeof *x);
    if (x != NULL)
        x->queue = rd_kafka_queue_new(rk);
    return x;
}

void kd_kafka_pulse_free(kd_kafka_pulse *x)
{
    if (x == NULL)
        return;
    rd_kafka_queue_destroy(x->queue);
    free(x);
}

static void ask(kd_kafka_pulse *x, rd_kafka_t *rk, const char *topic)
{
    char text[128];
    rd_kafka_ConfigResource_t *about = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_AdminOptions_set_request_timeout(o, SILENT_MS, text, sizeof text);
    rd_kafka_DescribeConfigs(rk, &about, 1, o, x->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_ConfigResource_destroy(about);
    x->is_asked = true;
}

static void take_answer(kd_kafka_pulse *x, int64_t now)
{
    rd_kafka_event_t *e = rd_kafka_queue_poll(x->queue, 0);
    if (e == NULL)
        return;
    x->is_asked = false;
    rd_kafka_resp_err_t rc = rd_kafka_event_error(e);
    if (rc >= RD_KAFKA_RESP_ERR_NO_ERROR || rc == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
        x->heard_ms = now; /* the other ones below 0 are librdkafka's own */
    rd_kafka_event_destroy(e);
}

int64_t kd_kafka_pulse_beat(kd_kafka_pulse *x, rd_kafka_t *rk, const char *topic)
{
    int64_t now = kd_clock_mono_ms();
    if (x->heard_ms == 0)
        x->heard_ms = now; /* at the start they answered */
    if (x->is_asked)
        take_answer(x, now);
    if (!x->is_asked)
        ask(x, rk, topic);
    return now - x->heard_ms > SILENT_MS ? now - x->heard_ms : 0;
}

int64_t kd_kafka_pulse_heard_ms(const kd_kafka_pulse *x)
{
    return x->heard_ms;
}
