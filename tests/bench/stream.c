#include "bench/stream.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/broker.h"
#include "consumers/kafka_source.h"
#include "sinks/kafka_sink.h"

static void wake(void *arg)
{
    uint64_t one = 1;
    ssize_t n = write(((const stream *)arg)->wake_fd, &one, sizeof one);
    (void)n; /* a full counter is awake enough */
}

static void notice(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "  %s\n", text);
}

static void open_ends(stream *s, const char *prefix, const char *group, const char *to)
{
    kd_err err = {0};
    char names[KD_RECORD_TYPES][128], brokers_name[] = "bootstrap.servers";
    char queued_name[] = "queued.min.messages", queued[] = BROKER_QUEUED_MIN;
    char wait_name[] = "fetch.wait.max.ms", wait[] = BROKER_FETCH_WAIT;
    char *brokers = strdup(broker_address());
    const kd_property properties[] = {{.name = brokers_name, .value = brokers},
                                      {.name = queued_name, .value = queued},
                                      {.name = wait_name, .value = wait}};
    kd_kafka_source_options in = {.group_id = group,
                                  .properties = properties,
                                  .n_properties = 3,
                                  .codec = s->in_codec,
                                  .ready_lag = INT64_MAX,
                                  .on_notice = notice};
    for (int t = 0; t < KD_FORGET; t++) {
        snprintf(names[t], sizeof names[t], "%s%s", prefix, bench_topic((kd_record_type)t));
        in.topic[t] = names[t];
    }
    kd_kafka_sink_options out = {.recommendations = to,
                                 .properties = properties,
                                 .n_properties = 1,
                                 .codec = s->out_codec,
                                 .on_notice = notice};
    bench_must(kd_kafka_source_new(&in, &s->source, &err), &err, "source");
    bench_must(kd_kafka_sink_new(&out, &s->sink, &err), &err, "sink");
    free(brokers);
}

/* Records that come before the group has given its partitions are dropped: the source goes back to
 * the committed offset then. */
static void wait_for_group(stream *s)
{
    kd_err err = {0};
    double until = bench_now() + 30;
    while (!kd_kafka_source_is_member(s->source)) {
        kd_record r;
        s->source->kind->serve(s->source);
        kd_rc rc = s->source->kind->next(s->source, &r, &err);
        s->n_dropped += rc == KD_OK && r.emit;
        s->source->kind->release(s->source);
        if (rc == KD_AGAIN) {
            stream_wait(s);
        } else {
            bench_must(rc, &err, "join the group");
        }
        if (bench_now() > until) {
            bench_must(KD_EIO, NULL, "the group gave no partitions in 30 s");
        }
    }
}

void stream_open(stream *s, const char *prefix, const char *const *topics, size_t n_topics,
                 const char *to, bool at_end)
{
    kd_err err = {0};
    char group[64];
    snprintf(group, sizeof group, "bench-%d-%.0f", (int)getpid(), bench_now() * 1e6);
    broker_commit(group, topics, n_topics, at_end);
    *s = (stream){.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    bench_must(kd_codec_new(&(kd_codec_options){0}, &s->in_codec, &err), &err, "codec");
    bench_must(kd_codec_new(&(kd_codec_options){0}, &s->out_codec, &err), &err, "codec");
    open_ends(s, prefix, group, to);
    bench_must(s->source->kind->start(s->source, &err), &err, "start the source");
    bench_must(s->sink->kind->start(s->sink, &err), &err, "start the sink");
    s->source->kind->set_wake(s->source, wake, s);
    kd_update nothing = {.shopper_id = kd_str_of("warm-up"), .trigger = {.topic = "warm-up"}};
    kd_out out = {.type = KD_OUT_UPDATE, .update = &nothing};
    bench_must(s->sink->kind->write(s->sink, &out, &err), &err, "warm up");
    stream_flush(s);
    if (!at_end) {
        wait_for_group(s);
    }
}

void stream_wait(const stream *s)
{
    struct pollfd fd = {.fd = s->wake_fd, .events = POLLIN};
    if (poll(&fd, 1, 2) > 0) {
        uint64_t n;
        ssize_t got = read(s->wake_fd, &n, sizeof n);
        (void)got;
    }
}

void stream_poll(const stream *s)
{
    kd_err err = {0};
    kd_rc rc = s->sink->kind->poll(s->sink, &err);
    if (rc != KD_RETRY) {
        bench_must(rc, &err, "poll the sink");
    }
}

void stream_flush(const stream *s)
{
    kd_err err = {0};
    bench_must(s->sink->kind->flush(s->sink, 120000, &err), &err, "flush");
}

void stream_close(stream *s)
{
    s->source->kind->set_wake(s->source, NULL, NULL);
    s->source->kind->close(s->source);
    s->sink->kind->close(s->sink);
    kd_codec_free(s->in_codec);
    kd_codec_free(s->out_codec);
    close(s->wake_fd);
}
