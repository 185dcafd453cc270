#include "consumers/kafka_source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "consumers/kafka_conf_internal.h"
#include "consumers/kafka_source_internal.h"

/* Of back-pressure; a short one is met by not asking for more. */
enum { PAUSE_AFTER_MS = 2000, HEARTBEAT_MS = 200 };
/* An answer that was on its way when the brokers went away is older than this. */
enum { BACK_AFTER_MS = 2000 };
/* A partition that has nothing in hand is looked for every so many records. */
enum { TAKES = 64 };

void kd_kafka_notice(const kafka_source *k, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (k->on_notice != NULL)
        k->on_notice(k->notice_arg, text);
}

part *kd_kafka_part(kafka_source *k, const char *topic, int32_t number)
{
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        if (k->topic[t] != NULL && strcmp(k->topic[t], topic) == 0 && number >= 0 &&
            number < k->first[t + 1] - k->first[t])
            return &k->parts[k->first[t] + number];
    return NULL;
}

static bool is_event(kd_record_type t)
{
    return t == KD_BROWSE || t == KD_PURCHASE;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    kafka_source *k = opaque;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !k->is_away) {
        k->is_away = true;
        k->away_ms = kd_clock_mono_ms();
        kd_kafka_notice(k, "no broker can be reached (%s); trying again", reason);
    }
}

/* -- start
 * ------------------------------------------------------------------------------------------ */

static kd_rc make_consumer(kafka_source *k, const kd_kafka_source_options *o, bool is_reader,
                           rd_kafka_t **out, kd_err *err)
{
    char group[300];
    snprintf(group, sizeof group, "%s%s", o->group_id, is_reader ? ".reader" : "");
    const char *const first[][2] = {
        {"queued.max.messages.kbytes", "131072"},
        /* librdkafka 2.0 looks away for a second when a partition has this many waiting: the bytes
         * above are the bound, or a replay would stand still between bursts. */
        {"queued.min.messages", "1000000"},
        /* A small request must not wait for the acknowledgement of the one before. */
        {"socket.nagle.disable", "true"},
        /* A fetch that waits at the end of one partition holds up the others of its broker, and
         * whoever goes back or resumes. */
        {"fetch.wait.max.ms", "50"},
        /* A member that is asked to join again should not hear of it late. */
        {"heartbeat.interval.ms", is_reader ? "3000" : "200"},
        {NULL, NULL},
    };
    const char *const fixed[][2] = {
        {"group.id", group},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"partition.assignment.strategy", "range"},
        {"enable.partition.eof", is_reader ? "true" : "false"},
        {"auto.offset.reset", o->stop_out_of_range && is_reader ? "error" : "earliest"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = NULL;
    KD_TRY(kd_kafka_conf(first, o->properties, o->n_properties, fixed, &conf, err));
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (!is_reader)
        rd_kafka_conf_set_rebalance_cb(conf, kd_kafka_on_rebalance);
    return kd_kafka_client(RD_KAFKA_CONSUMER, conf, out, err);
}

static void destroy_message(void *m)
{
    rd_kafka_message_destroy(m);
}

/* One shopper must have one owner: the topics that are keyed by shopper have equal partitions. */
static kd_rc find_partitions(kafka_source *k, kd_err *err)
{
    int n[KD_RECORD_TYPES] = {0}, total = 0;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        k->first[t] = total;
        if (k->topic[t] != NULL)
            KD_TRY(kd_kafka_count_partitions(k->reader, k->topic[t], KD_KAFKA_CALL_MS, &n[t], err));
        total += n[t];
    }
    k->first[KD_RECORD_TYPES] = total;
    static const kd_record_type keyed[] = {KD_PURCHASE, KD_FORGET};
    for (size_t i = 0; i < sizeof keyed / sizeof *keyed; i++)
        if (n[KD_BROWSE] > 0 && n[keyed[i]] > 0 && n[keyed[i]] != n[KD_BROWSE])
            return kd_fail(
                err, KD_ECONFIG,
                "%s has %d partitions and %s has %d; topics that are keyed by shopper must "
                "have the same number",
                k->topic[KD_BROWSE], n[KD_BROWSE], k->topic[keyed[i]], n[keyed[i]]);
    free(k->parts);
    free(k->term);
    free(k->mark_pos);
    k->parts = calloc((size_t)total + 1, sizeof *k->parts);
    k->term = calloc((size_t)total + 1, sizeof *k->term);
    k->mark_pos = calloc((size_t)total + 1, sizeof *k->mark_pos);
    if (k->parts == NULL || k->term == NULL || k->mark_pos == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %d partitions", total);
    KD_TRY(kd_kafka_window_init(&k->window, total, destroy_message, err));
    k->n_parts = total;
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        for (int i = 0; i < n[t]; i++)
            k->parts[k->first[t] + i] = (part){.type = (kd_record_type)t,
                                               .number = i,
                                               .next = -1,
                                               .end_reached = -1,
                                               .settled = -1,
                                               .marked = -1,
                                               .committed = -1};
    return KD_OK;
}

/* Where the snapshot says to go on. */
static void go_on_from(kafka_source *k)
{
    for (size_t i = 0; i < k->n_from; i++) {
        const kd_source_pos *from = &k->from[i];
        part *p = kd_kafka_part(k, from->pos.topic, from->pos.partition);
        if (p == NULL)
            continue;
        p->next = p->settled = from->pos.offset;
        if (from->term > k->term[p->number])
            k->term[p->number] = from->term;
    }
}

/* The state is read from the topics once more: they may not have all of it any more. */
static kd_rc check_reach(const kafka_source *k, const part *p, int64_t low, kd_err *err)
{
    const char *topic = k->topic[p->type];
    if (!k->is_rebuilt || p->next >= 0 || low == 0)
        return KD_OK;
    if (k->stop_out_of_range)
        return kd_fail(
            err, KD_EIO,
            "%s[%d]: no snapshot is fit, the topic begins at %lld, so the state cannot be "
            "rebuilt whole, and offset.out-of-range is stop",
            topic, p->number, (long long)low);
    kd_kafka_notice(
        k,
        "%s[%d]: no snapshot is fit, and the topic begins at %lld: the state is rebuilt "
        "without the records before",
        topic, p->number, (long long)low);
    return KD_OK;
}

/* A position that the broker does not have: records are gone, or the topic is another one than the
 * snapshot knows. No client can tell the two apart reliably. */
static kd_rc check_range(kafka_source *k, part *p, int64_t low, int64_t high, kd_err *err)
{
    if (p->next < 0 || (p->next >= low && p->next <= high))
        return KD_OK;
    const char *topic = k->topic[p->type];
    if (k->stop_out_of_range)
        return kd_fail(err, KD_EIO,
                       "%s[%d]: the snapshot ends at %lld, the broker has %lld to %lld, and "
                       "offset.out-of-range is stop",
                       topic, p->number, (long long)p->next, (long long)low, (long long)high);
    kd_kafka_notice(
        k, "%s[%d]: the snapshot ends at %lld, the broker has %lld to %lld; reading on from %lld",
        topic, p->number, (long long)p->next, (long long)low, (long long)high, (long long)low);
    p->next = low;
    p->settled = -1;
    return KD_OK;
}

static rd_kafka_topic_partition_list_t *list_of(const kafka_source *k, bool events_only)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(k->n_parts);
    for (int i = 0; i < k->n_parts; i++) {
        const part *p = &k->parts[i];
        if (!events_only || is_event(p->type))
            rd_kafka_topic_partition_list_add(list, k->topic[p->type], p->number)->offset =
                p->next < 0 ? RD_KAFKA_OFFSET_BEGINNING : p->next;
    }
    return list;
}

static void set_fetching(kafka_source *k, bool events_only, bool on)
{
    rd_kafka_topic_partition_list_t *list = list_of(k, events_only);
    if (on)
        rd_kafka_resume_partitions(k->reader, list);
    else
        rd_kafka_pause_partitions(k->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Records that were not handed out, as far as it is known what there is. */
static int64_t behind(const kafka_source *k, const part *p)
{
    int64_t low = -1, high = -1;
    rd_kafka_get_watermark_offsets(k->reader, k->topic[p->type], p->number, &low, &high);
    if (high < p->end_at_start)
        high = p->end_at_start;
    int64_t from = p->next < 0 ? (low < 0 ? 0 : low) : p->next;
    from = from < p->end_reached ? p->end_reached : from;
    return high > from ? high - from : 0;
}

/* Of the partitions whose end was not reached yet: what comes under load does not count. */
static int64_t lag_of(const kafka_source *k)
{
    int64_t lag = 0;
    for (int i = 0; i < k->n_parts; i++)
        if (!k->parts[i].is_caught_up)
            lag += behind(k, &k->parts[i]);
    return lag;
}

static void begin_catchup(kafka_source *k)
{
    int64_t now = kd_clock_mono_ms();
    k->catchup = (kd_catchup){.began_ms = now, .said_ms = now, .total = lag_of(k)};
    if (k->catchup.total > k->ready_lag)
        kd_kafka_notice(k, "catching up: %lld records to read in %d partitions",
                        (long long)k->catchup.total, k->n_parts);
}

static kd_rc start(kd_source *s, kd_err *err)
{
    kafka_source *k = (kafka_source *)s;
    KD_TRY(find_partitions(k, err));
    go_on_from(k);
    bool has_first = false;
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t rc = rd_kafka_query_watermark_offsets(
            k->reader, k->topic[p->type], p->number, &low, &high, KD_KAFKA_CALL_MS);
        if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kd_fail(err, KD_RETRY, "%s[%d]: %s", k->topic[p->type], p->number,
                           rd_kafka_err2str(rc));
        KD_TRY(check_range(k, p, low, high, err));
        KD_TRY(check_reach(k, p, low, err));
        p->low_at_start = low;
        p->end_at_start = high;
        p->is_caught_up = low == high || p->next == high;
        p->end_reached = p->is_caught_up ? high : -1;
        has_first |= !is_event(p->type) && !p->is_caught_up;
    }
    rd_kafka_topic_partition_list_t *list = list_of(k, false);
    rd_kafka_resp_err_t rc = rd_kafka_assign(k->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_EIO, "the partitions cannot be read: %s", rd_kafka_err2str(rc));
    k->events_paused = has_first;
    if (has_first)
        set_fetching(k, true, false);
    begin_catchup(k);
    return KD_OK;
}

/* -- handing out
 * -------------------------------------------------------------------------------------- */

/* Now and then while there is much to read; and when there is not any more. */
static void say_how_far(kafka_source *k, int64_t lag)
{
    char text[KD_CATCHUP_TEXT];
    int64_t now = kd_clock_mono_ms();
    bool is_over = lag <= k->ready_lag && !k->events_paused;
    if (k->catchup.total == 0 || k->catchup.total <= k->ready_lag)
        return; /* nothing was said at the start either */
    if (is_over) {
        kd_catchup_end_text(&k->catchup, k->n_records, now, text);
        k->catchup.total = 0;
    } else if (kd_catchup_is_due(&k->catchup, now) || kd_fault_is("catchup.say", 1)) {
        kd_catchup_text(&k->catchup, k->n_records, lag, now, text);
    } else {
        return;
    }
    kd_kafka_notice(k, "%s", text);
}

/* Catalogue and forget requests first, then events; the group when little is left to read. */
static void advance(kafka_source *k)
{
    if (k->events_paused) {
        for (int i = 0; i < k->n_parts; i++)
            if (!is_event(k->parts[i].type) && !k->parts[i].is_caught_up &&
                k->parts[i].next < k->parts[i].end_at_start) {
                say_how_far(k, lag_of(k));
                return;
            }
        k->events_paused = false;
        set_fetching(k, true, true);
    }
    if (k->is_subscribed)
        return;
    int64_t lag = lag_of(k);
    say_how_far(k, lag);
    if (lag > k->ready_lag)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(KD_RECORD_TYPES);
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        if (k->topic[t] != NULL)
            rd_kafka_topic_partition_list_add(list, k->topic[t], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t rc = rd_kafka_subscribe(k->member, list);
    rd_kafka_topic_partition_list_destroy(list);
    k->is_subscribed = rc == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* librdkafka's threads wait until a moment of the wall clock. When that is set back they sleep on,
 * and an idle member sends no heartbeats, unless somebody asks for something. */
static void wake_member(kafka_source *k)
{
    int64_t now = kd_clock_mono_ms();
    if (now - k->woken_ms < HEARTBEAT_MS)
        return;
    k->woken_ms = now;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(k->member);
    if (group != NULL)
        rd_kafka_consumer_group_metadata_destroy(group);
}

/* Partitions come and go between two epochs only: what was handed out is answered by one owner. */
static void serve(kd_source *s)
{
    kafka_source *k = (kafka_source *)s;
    advance(k);
    wake_member(k);
    kd_kafka_end_waits(k);
    if (k->is_away && kd_kafka_pulse_heard_ms(k->pulse) > k->away_ms + BACK_AFTER_MS)
        k->is_away = false;
    for (int i = 0; i < 64; i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k->member, 0);
        if (m == NULL)
            return;
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
            m->err != RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED && !k->is_away)
            kd_kafka_notice(k, "group: %s", rd_kafka_message_errstr(m));
        rd_kafka_message_destroy(m);
    }
}

/* The part of a message; NULL: it is of none. Topics are told apart by librdkafka's own handle,
 * which lives as long as the reader is assigned to them. */
static part *part_of(kafka_source *k, const rd_kafka_message_t *m)
{
    if (m->rkt == NULL)
        return NULL;
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        if (k->rkt[t] == m->rkt && m->partition >= 0 &&
            m->partition < k->first[t + 1] - k->first[t])
            return &k->parts[k->first[t] + m->partition];
    part *p = kd_kafka_part(k, rd_kafka_topic_name(m->rkt), m->partition);
    if (p != NULL)
        k->rkt[p->type] = m->rkt;
    return p;
}

/* True if a partition that is being caught up with has nothing in hand, so that its place among
 * the others is not known. */
static bool is_short(const kafka_source *k)
{
    for (int i = 0; i < k->n_parts; i++) {
        const part *p = &k->parts[i];
        if (!p->is_caught_up && !p->is_waiting && k->window.queue[i].n == 0 &&
            !(k->events_paused && is_event(p->type)))
            return true;
    }
    return false;
}

static kd_rc take_event(kafka_source *k, const rd_kafka_message_t *m, part *p, kd_err *err);

static bool put(kafka_source *k, const part *p, rd_kafka_message_t *m)
{
    enum { OWN_BYTES = 256 }; /* what a message costs beside its text */
    rd_kafka_timestamp_type_t kind;
    int64_t time =
        m->err != RD_KAFKA_RESP_ERR_NO_ERROR ? KD_KAFKA_NEWS : rd_kafka_message_timestamp(m, &kind);
    return kd_kafka_window_put(&k->window, (int)(p - k->parts), time, m,
                               m->len + m->key_len + OWN_BYTES);
}

/* One batch from librdkafka into the window. KD_AGAIN: there is none. */
static kd_rc fetch_batch(kafka_source *k, kd_err *err)
{
    ssize_t n = rd_kafka_consume_batch_queue(k->queue, 0, k->batch, KD_KAFKA_BATCH);
    kd_rc rc = n > 0 ? KD_OK : KD_AGAIN;
    for (ssize_t i = 0; i < n; i++) {
        rd_kafka_message_t *m = k->batch[i];
        part *p = part_of(k, m);
        bool is_kept = rc == KD_OK && p != NULL;
        if (is_kept && !put(k, p, m)) {
            rc = kd_fail(err, KD_ENOMEM, "no memory for a batch");
            is_kept = false;
        }
        if (rc == KD_OK && p == NULL)
            rc = take_event(k, m, NULL, err);
        if (!is_kept)
            rd_kafka_message_destroy(m);
    }
    return rc;
}

/* Something to hand out, and while catching up something of every partition, if it is there. */
static kd_rc fetch(kafka_source *k, kd_err *err)
{
    bool is_empty = k->window.n_heap == 0;
    if (!is_empty && k->until_fetch-- > 0)
        return KD_OK;
    k->until_fetch = TAKES;
    while (is_empty || (k->window.bytes < KD_KAFKA_WINDOW && is_short(k))) {
        kd_rc rc = fetch_batch(k, err);
        if (rc != KD_OK)
            return rc == KD_AGAIN && !is_empty ? KD_OK : rc;
        is_empty = k->window.n_heap == 0;
    }
    return KD_OK;
}

/* A message that is news of a partition, not a record. */
static kd_rc take_event(kafka_source *k, const rd_kafka_message_t *m, part *p, kd_err *err)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && p != NULL) {
        if (p->is_waiting)
            return KD_OK; /* what lies before the end is read again */
        p->is_caught_up = true;
        p->end_reached = m->offset;
    } else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && k->stop_out_of_range) {
        return kd_fail(err, KD_EIO,
                       "%s[%d]: the position is no longer on the broker, and "
                       "offset.out-of-range is stop",
                       p == NULL ? "?" : k->topic[p->type], m->partition);
    } else {
        kd_kafka_notice(k, "%s", rd_kafka_message_errstr(m));
    }
    return KD_OK;
}

static bool hold(kafka_source *k, rd_kafka_message_t *m)
{
    if (!kd_grow((void **)&k->held, &k->cap_held, k->n_held + 1, sizeof *k->held))
        return false;
    k->held[k->n_held++] = m;
    return true;
}

static kd_rc decode(kafka_source *k, const rd_kafka_message_t *m, part *p, kd_record *out,
                    kd_err *err)
{
    rd_kafka_timestamp_type_t kind;
    int64_t ts = rd_kafka_message_timestamp(m, &kind);
    if (kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
        ts = kd_clock_wall_ms();
    /* The codec fills the fields; what the position says stays (kd_codec_decode). */
    out->pos = (kd_pos){k->topic[p->type], p->number, m->offset};
    out->ts = ts;
    out->emit = p->is_owned && m->offset >= p->answer_from;
    if (kd_fault_is("source.skip", m->offset / 64)) /* some in a row, whoever reads them */
        out->emit = false;
    out->term = k->term[p->number];
    out->raw_key = m->key;
    out->raw_key_len = m->key_len;
    out->raw_value = m->payload;
    out->raw_value_len = m->len;
    kd_rc rc = kd_codec_decode(k->codec, p->type, m->key, m->key_len, m->payload, m->len, out,
                               k->arena, err);
    if (rc == KD_OK)
        rc = kd_record_check(out, ts + KD_MS_DAY, err);
    if (rc == KD_EDATA || rc == KD_RETRY)
        kd_err_at(err, "%s[%d]@%lld", k->topic[p->type], p->number, (long long)m->offset);
    return rc;
}

static kd_rc next(kd_source *s, kd_record *out, kd_err *err)
{
    kafka_source *k = (kafka_source *)s;
    for (;;) {
        if (k->fatal.rc != KD_OK) {
            if (err != NULL)
                *err = k->fatal;
            return k->fatal.rc;
        }
        KD_TRY(fetch(k, err));
        int at = 0;
        rd_kafka_message_t *m = kd_kafka_window_head(&k->window, &at);
        part *p = &k->parts[at];
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            kd_rc rc = take_event(k, m, p, err);
            kd_kafka_window_take(&k->window);
            rd_kafka_message_destroy(m);
            if (rc != KD_OK)
                return rc;
            continue;
        }
        *out = (kd_record){0};
        kd_err why = {0};
        kd_rc rc = p->is_waiting ? KD_RETRY : decode(k, m, p, out, &why);
        if (rc == KD_RETRY) { /* it is read again */
            if (!p->is_waiting)
                kd_kafka_wait(k, p, m->offset, &why);
            kd_kafka_window_take(&k->window);
            rd_kafka_message_destroy(m);
            continue;
        }
        if (rc != KD_OK && err != NULL)
            *err = why;
        if (rc != KD_OK && rc != KD_EDATA)
            return rc; /* the message stays: it is tried again */
        if (p->wait_ms > 0)
            kd_kafka_notice(k, "%s[%d] goes on", k->topic[p->type], p->number);
        p->wait_ms = 0;
        if (!hold(k, m))
            return kd_fail(err, KD_ENOMEM, "no memory for a batch");
        kd_kafka_window_take(&k->window);
        k->n_records++;
        kd_fault_stall("source.stall", k->n_records);
        k->is_away = false;
        p->next = m->offset + 1;
        return rc;
    }
}

static void release(kd_source *s)
{
    kafka_source *k = (kafka_source *)s;
    for (uint32_t i = 0; i < k->n_held; i++)
        rd_kafka_message_destroy(k->held[i]);
    k->n_held = 0;
    kd_arena_reset(k->arena);
}

/* -- positions
 * ------------------------------------------------------------------------------------------ */

static void mark(kd_source *s, const kd_pos *pending)
{
    kafka_source *k = (kafka_source *)s;
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        /* What lies before answer_from is nobody's to answer: the position is known from the start,
         * so that what comes while no instance runs is answered by the next one. */
        int64_t to = p->next < p->answer_from ? p->answer_from : p->next;
        if (pending != NULL && pending->topic == k->topic[p->type] &&
            pending->partition == p->number)
            to = pending->offset;
        p->marked = p->is_owned && to > p->committed && to >= p->answer_from ? to : -1;
    }
    if (k->is_full && !k->is_full_paused &&
        kd_clock_mono_ms() - k->full_since_ms > PAUSE_AFTER_MS) {
        k->is_full_paused = true;
        set_fetching(k, false, false);
    }
}

static size_t positions(const kd_source *s, const kd_pos *pending, kd_source_pos *out, size_t max)
{
    const kafka_source *k = (const kafka_source *)s;
    for (int i = 0; i < k->n_parts && (size_t)i < max; i++) {
        const part *p = &k->parts[i];
        bool is_pending = pending != NULL && pending->topic == k->topic[p->type] &&
                          pending->partition == p->number;
        int64_t next = is_pending ? pending->offset : p->next < 0 ? p->low_at_start : p->next;
        out[i] = (kd_source_pos){{k->topic[p->type], p->number, next}, k->term[p->number]};
    }
    return (size_t)k->n_parts;
}

static kd_rc commit_marked(kafka_source *k, bool is_async)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(k->n_parts);
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        if (!p->is_owned || p->marked < 0)
            continue;
        rd_kafka_topic_partition_list_add(list, k->topic[p->type], p->number)->offset = p->marked;
        p->committed = p->marked;
        p->marked = -1;
    }
    rd_kafka_resp_err_t rc =
        list->cnt == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_commit(k->member, list, is_async);
    rd_kafka_topic_partition_list_destroy(list);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        kd_kafka_notice(k, "commit: %s; the next one says the same again", rd_kafka_err2str(rc));
    return KD_OK; /* a lost commit means that more is read again, and nothing else */
}

static kd_rc commit(kd_source *s, kd_err *err)
{
    kafka_source *k = (kafka_source *)s;
    (void)err;
    return commit_marked(k, true);
}

/* -- the rest
 * -------------------------------------------------------------------------------------------- */

static void pause_source(kd_source *s, bool is_paused)
{
    kafka_source *k = (kafka_source *)s;
    k->is_full = is_paused;
    k->full_since_ms = kd_clock_mono_ms();
    if (!is_paused && k->is_full_paused) {
        k->is_full_paused = false;
        set_fetching(k, false, true);
        if (k->events_paused)
            set_fetching(k, true, false); /* the catalogue is not read yet */
    }
}

/* @thread librdkafka's: does nothing but wake the loop */
static void on_queue(rd_kafka_t *rk, void *opaque)
{
    kafka_source *k = opaque;
    (void)rk;
    k->wake(k->wake_arg);
}

static void set_wake(kd_source *s, void (*wake)(void *), void *arg)
{
    kafka_source *k = (kafka_source *)s;
    rd_kafka_queue_cb_event_enable(k->queue, NULL, NULL);
    rd_kafka_queue_cb_event_enable(k->member_queue, NULL, NULL);
    k->wake = wake;
    k->wake_arg = arg;
    if (wake == NULL)
        return;
    rd_kafka_queue_cb_event_enable(k->queue, on_queue, k);
    rd_kafka_queue_cb_event_enable(k->member_queue, on_queue, k);
}

static void progress(const kd_source *s, kd_progress *out)
{
    const kafka_source *k = (const kafka_source *)s;
    *out = (kd_progress){
        .records = k->n_records, .done_bytes = -1, .total_bytes = -1, .partitions = k->n_parts};
    for (int i = 0; i < k->n_parts; i++) {
        out->lag += behind(k, &k->parts[i]);
        out->answered += k->parts[i].is_owned ? 1 : 0;
    }
    if (k->n_parts > 0)
        out->silent_ms = kd_kafka_pulse_beat(k->pulse, k->member, k->topic[k->parts[0].type]);
}

bool kd_kafka_source_is_member(const kd_source *s)
{
    return ((const kafka_source *)s)->is_member;
}

static void close_source(kd_source *s)
{
    kafka_source *k = (kafka_source *)s;
    if (k->queue != NULL)
        set_wake(s, NULL, NULL);
    release(s);
    kd_kafka_window_dispose(&k->window);
    if (k->member != NULL && k->is_member && k->owner == NULL)
        (void)commit_marked(k, false);
    k->revoke = NULL; /* whoever runs this has given everything up */
    if (k->mark_group != NULL)
        rd_kafka_mem_free(k->member, k->mark_group);
    kd_kafka_pulse_free(k->pulse);
    if (k->queue != NULL)
        rd_kafka_queue_destroy(k->queue);
    if (k->member_queue != NULL)
        rd_kafka_queue_destroy(k->member_queue);
    rd_kafka_t *both[] = {k->member, k->reader};
    for (int i = 0; i < 2; i++) {
        if (both[i] == NULL)
            continue;
        rd_kafka_consumer_close(both[i]);
        rd_kafka_destroy(both[i]);
    }
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        free(k->topic[t]);
    free(k->parts);
    free(k->term);
    free(k->mark_pos);
    free(k->group);
    free(k->owner);
    free(k->held);
    kd_arena_free(k->arena);
    free(k);
}

static const kd_source_kind kind = {
    .name = "kafka",
    .start = start,
    .next = next,
    .release = release,
    .commit = commit,
    .pause = pause_source,
    .set_wake = set_wake,
    .progress = progress,
    .close = close_source,
    .mark = mark,
    .serve = serve,
    .take_mark = kd_kafka_take_mark,
    .settle = kd_kafka_settle,
    .resync = kd_kafka_resync,
    .set_revoke = kd_kafka_set_revoke,
    .is_due = kd_kafka_is_due,
    .positions = positions,
};

kd_rc kd_kafka_source_new(const kd_kafka_source_options *o, kd_source **out, kd_err *err)
{
    kafka_source *k = calloc(1, sizeof *k);
    if (k == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a source");
    k->base.kind = &kind;
    k->codec = o->codec;
    k->start_latest = o->start_latest;
    k->stop_out_of_range = o->stop_out_of_range;
    k->ready_lag = o->ready_lag;
    k->from = o->from;
    k->n_from = o->n_from;
    k->is_rebuilt = o->is_rebuilt;
    k->on_notice = o->on_notice;
    k->notice_arg = o->notice_arg;
    k->arena = kd_arena_new(0);
    kd_rc rc = k->arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a source") : KD_OK;
    for (int t = 0; rc == KD_OK && t < KD_RECORD_TYPES; t++) {
        if (o->topic[t] == NULL || o->topic[t][0] == '\0')
            continue;
        k->topic[t] = strdup(o->topic[t]);
        if (k->topic[t] == NULL)
            rc = kd_fail(err, KD_ENOMEM, "no memory for a source");
    }
    if (rc == KD_OK && o->transactional_id != NULL) {
        k->properties = o->properties;
        k->n_properties = o->n_properties;
        k->owner = strdup(o->transactional_id);
        k->group = strdup(o->group_id);
        if (k->owner == NULL || k->group == NULL)
            rc = kd_fail(err, KD_ENOMEM, "no memory for a source");
    }
    if (rc == KD_OK)
        rc = make_consumer(k, o, true, &k->reader, err);
    if (rc == KD_OK)
        rc = make_consumer(k, o, false, &k->member, err);
    if (rc == KD_OK) {
        k->pulse = kd_kafka_pulse_new(k->member);
        if (k->pulse == NULL)
            rc = kd_fail(err, KD_ENOMEM, "no memory for a source");
    }
    if (rc == KD_OK) {
        rd_kafka_poll_set_consumer(k->reader);
        rd_kafka_poll_set_consumer(k->member);
        k->queue = rd_kafka_queue_get_consumer(k->reader);
        k->member_queue = rd_kafka_queue_get_consumer(k->member);
        *out = &k->base;
        return KD_OK;
    }
    close_source(&k->base);
    return rc;
}
