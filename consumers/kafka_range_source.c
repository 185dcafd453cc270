#include "consumers/kafka_range_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "consumers/kafka_conf_internal.h"
#include "consumers/kafka_diagnose.h"

enum {
    BATCH = 256,
    CALL_MS = 5000,
    WAIT_MS = 100,
    SILENCE_MS = 20000, /* what is waited for is known to be there */
};

/* A partition, and the record at its head. */
typedef struct part {
    kd_record_type type;
    const char *topic; /* of the source */
    rd_kafka_topic_t *rkt;
    int32_t number;
    int64_t begin, end; /* offsets; end is not in it */
    bool is_started, is_over;
    rd_kafka_message_t *batch[BATCH];
    int n_batch, at;
    bool has_head; /* batch[at], decoded: */
    kd_rc rc;      /* KD_OK or KD_EDATA */
    kd_ms time;    /* where it stands in the merge */
    kd_record record;
    kd_err err;
} part;

typedef struct range_source {
    kd_source base;
    char *topic[KD_RECORD_TYPES]; /* owned */
    rd_kafka_topic_t *rkt[KD_RECORD_TYPES];
    kd_codec *codec;
    kd_ms from, to;
    const kd_source_pos *begin; /* [n_begin] borrowed until start() returns */
    size_t n_begin;
    rd_kafka_t *rk;
    part *parts; /* [n_parts] */
    int n_parts;
    rd_kafka_message_t **held; /* handed out, not released */
    size_t n_held, cap_held;
    kd_arena *arena;   /* tag lists of what was handed out */
    kd_arena *scratch; /* of a head */
    int64_t n_records, n_total;
    int64_t heard_ms;              /* when the brokers last sent something */
    const kd_property *properties; /* borrowed */
    size_t n_properties;
} range_source;

/* -- start --------------------------------------------------------------------------------------
 */

static kd_rc make_consumer(range_source *k, const kd_kafka_range_options *o, kd_err *err)
{
    const char *const first[][2] = {{"queued.max.messages.kbytes", "16384"}};
    const char *const fixed[][2] = {
        {"group.id", "kindred.backtest"}, /* never joined */
        {"enable.auto.commit", "false"},  {"auto.commit.enable", "false"},
        {"enable.partition.eof", "true"}, {"auto.offset.reset", "error"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kd_rc rc = kd_kafka_set_own(conf, first, sizeof first / sizeof *first, err);
    if (rc == KD_OK)
        rc = kd_kafka_set_given(conf, o->properties, o->n_properties, err);
    if (rc == KD_OK)
        rc = kd_kafka_set_own(conf, fixed, sizeof fixed / sizeof *fixed, err);
    if (rc == KD_OK)
        return kd_kafka_make_consumer(conf, &k->rk, err);
    rd_kafka_conf_destroy(conf);
    return rc;
}

static kd_rc open_topic(range_source *k, int t, int *out_n, kd_err *err)
{
    KD_TRY(kd_kafka_count_partitions(k->rk, k->topic[t], CALL_MS, out_n, err));
    if (k->rkt[t] == NULL)
        k->rkt[t] = rd_kafka_topic_new(k->rk, k->topic[t], NULL);
    return k->rkt[t] != NULL ? KD_OK
                             : kd_fail(err, KD_RETRY, "topic %s: %s", k->topic[t],
                                       rd_kafka_err2str(rd_kafka_last_error()));
}

static kd_rc find_parts(range_source *k, kd_err *err)
{
    int n[KD_RECORD_TYPES] = {0}, total = 0;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        if (k->topic[t] != NULL)
            KD_TRY(open_topic(k, t, &n[t], err));
        total += n[t];
    }
    k->parts = calloc((size_t)total + 1, sizeof *k->parts);
    if (k->parts == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %d partitions", total);
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        for (int i = 0; i < n[t]; i++)
            k->parts[k->n_parts++] = (part){.type = (kd_record_type)t,
                                            .topic = k->topic[t],
                                            .rkt = k->rkt[t],
                                            .number = i,
                                            .time = KD_MS_NONE};
    return KD_OK;
}

/* The first offset stamped `at` or later; `otherwise` if there is none. */
static kd_rc offset_at(range_source *k, const part *p, kd_ms at, int64_t otherwise, int64_t *out,
                       kd_err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *x = rd_kafka_topic_partition_list_add(list, p->topic, p->number);
    x->offset = at;
    rd_kafka_resp_err_t rc = rd_kafka_offsets_for_times(k->rk, list, CALL_MS);
    if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
        rc = list->elems[0].err;
    int64_t found = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_RETRY, "%s[%d]: %s", p->topic, p->number, rd_kafka_err2str(rc));
    *out = found < 0 || found > otherwise ? otherwise : found;
    return KD_OK;
}

static kd_rc find_range(range_source *k, part *p, kd_err *err)
{
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t rc =
        rd_kafka_query_watermark_offsets(k->rk, p->topic, p->number, &low, &high, CALL_MS);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_RETRY, "%s[%d]: %s", p->topic, p->number, rd_kafka_err2str(rc));
    p->begin = low;
    p->end = high;
    if (k->from != KD_MS_NONE && p->type != KD_CATALOG)
        KD_TRY(offset_at(k, p, k->from, high, &p->begin, err));
    for (size_t b = 0; b < k->n_begin; b++)
        if (k->begin[b].pos.partition == p->number && strcmp(k->begin[b].pos.topic, p->topic) == 0)
            p->begin = k->begin[b].pos.offset > low ? k->begin[b].pos.offset : low;
    if (k->to != KD_MS_NONE)
        KD_TRY(offset_at(k, p, k->to, high, &p->end, err));
    p->is_over = p->begin >= p->end;
    k->n_total += p->is_over ? 0 : p->end - p->begin;
    return KD_OK;
}

static kd_rc start(kd_source *s, kd_err *err)
{
    range_source *k = (range_source *)s;
    kd_rc rc = find_parts(k, err);
    if (rc != KD_OK) {
        kd_kafka_diagnose(k->properties, k->n_properties, err);
        return rc;
    }
    for (int i = 0; i < k->n_parts; i++)
        KD_TRY(find_range(k, &k->parts[i], err));
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        if (p->is_over)
            continue;
        if (rd_kafka_consume_start(p->rkt, p->number, p->begin) != 0)
            return kd_fail(err, KD_EIO, "%s[%d] cannot be read: %s", p->topic, p->number,
                           rd_kafka_err2str(rd_kafka_last_error()));
        p->is_started = true;
    }
    k->heard_ms = kd_clock_mono_ms();
    return KD_OK;
}

/* -- heads --------------------------------------------------------------------------------------
 */

static kd_rc decode(range_source *k, const part *p, const rd_kafka_message_t *m, kd_arena *arena,
                    kd_record *out, kd_err *err)
{
    rd_kafka_timestamp_type_t kind;
    *out = (kd_record){0};
    out->pos = (kd_pos){p->topic, p->number, m->offset};
    out->ts = rd_kafka_message_timestamp(m, &kind);
    out->emit = true;
    out->raw_key = m->key;
    out->raw_key_len = m->key_len;
    out->raw_value = m->payload;
    out->raw_value_len = m->len;
    kd_rc rc =
        kd_codec_decode(k->codec, p->type, m->key, m->key_len, m->payload, m->len, out, arena, err);
    if (rc == KD_OK)
        rc = kd_record_check(out, out->ts + KD_MS_DAY, err);
    if (rc == KD_EDATA || rc == KD_RETRY)
        kd_err_at(err, "%s[%d]@%lld", p->topic, p->number, (long long)m->offset);
    return rc;
}

static void finish(part *p)
{
    for (; p->at < p->n_batch; p->at++)
        rd_kafka_message_destroy(p->batch[p->at]);
    if (p->is_started)
        rd_kafka_consume_stop(p->rkt, p->number);
    p->is_started = false;
    p->is_over = true;
}

/* Looks at batch[at]: a head, the end of the partition, or news. */
static kd_rc take(range_source *k, part *p, kd_err *err)
{
    const rd_kafka_message_t *m = p->batch[p->at];
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
        (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset >= p->end)) {
        finish(p);
        return KD_OK;
    }
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_EIO, "%s[%d]: %s", p->topic, p->number, rd_kafka_message_errstr(m));
    p->err = (kd_err){0};
    kd_arena_reset(k->scratch);
    p->rc = decode(k, p, m, k->scratch, &p->record, &p->err);
    if (p->rc != KD_OK && p->rc != KD_EDATA) {
        if (err != NULL)
            *err = p->err;
        return p->rc; /* it is tried again */
    }
    if (p->rc == KD_OK)
        p->time = p->record.time;
    p->has_head = true;
    return KD_OK;
}

static kd_rc fetch(range_source *k, part *p, kd_err *err)
{
    rd_kafka_poll(k->rk, 0);
    p->at = p->n_batch = 0;
    ssize_t n = rd_kafka_consume_batch(p->rkt, p->number, WAIT_MS, p->batch, BATCH);
    int64_t now = kd_clock_mono_ms();
    if (n > 0) {
        p->n_batch = (int)n;
        k->heard_ms = now;
        return KD_OK;
    }
    if (now - k->heard_ms < SILENCE_MS)
        return KD_AGAIN;
    return kd_fail(err, KD_RETRY, "%s[%d]: nothing has come for %d s, and more is there", p->topic,
                   p->number, SILENCE_MS / 1000);
}

/* Finds a partition's head. KD_AGAIN: nothing came in time. */
static kd_rc find_head(range_source *k, part *p, kd_err *err)
{
    while (!p->has_head && !p->is_over) {
        if (p->at == p->n_batch)
            KD_TRY(fetch(k, p, err));
        KD_TRY(take(k, p, err));
    }
    return KD_OK;
}

static kd_rc find_heads(range_source *k, kd_err *err)
{
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        if (!p->has_head && !p->is_over)
            KD_TRY(find_head(k, p, err));
    }
    return KD_OK;
}

static bool comes_before(const part *a, const part *b)
{
    if (a->time != b->time)
        return a->time < b->time;
    int c = strcmp(a->topic, b->topic);
    return c != 0 ? c < 0 : a->number < b->number; /* offsets: one head a partition */
}

/* -- handing out --------------------------------------------------------------------------------
 */

static bool hold(range_source *k, rd_kafka_message_t *m)
{
    if (k->n_held == k->cap_held) {
        size_t cap = k->cap_held == 0 ? BATCH : k->cap_held * 2;
        rd_kafka_message_t **held = realloc(k->held, cap * sizeof *held);
        if (held == NULL)
            return false;
        k->held = held;
        k->cap_held = cap;
    }
    k->held[k->n_held++] = m;
    return true;
}

static kd_rc next(kd_source *s, kd_record *out, kd_err *err)
{
    range_source *k = (range_source *)s;
    KD_TRY(find_heads(k, err));
    part *first = NULL;
    for (int i = 0; i < k->n_parts; i++)
        if (k->parts[i].has_head && (first == NULL || comes_before(&k->parts[i], first)))
            first = &k->parts[i];
    if (first == NULL)
        return KD_END;
    rd_kafka_message_t *m = first->batch[first->at];
    kd_rc rc = first->rc;
    if (rc == KD_OK && first->type == KD_CATALOG) /* its tag list was in the scratch arena */
        rc = decode(k, first, m, k->arena, &first->record, &first->err);
    if (rc != KD_OK && err != NULL)
        *err = first->err;
    if (rc != KD_OK && rc != KD_EDATA)
        return rc;
    if (!hold(k, m))
        return kd_fail(err, KD_ENOMEM, "no memory for a batch");
    *out = first->record;
    first->at++;
    first->has_head = false;
    k->n_records++;
    return rc;
}

static void release(kd_source *s)
{
    range_source *k = (range_source *)s;
    for (size_t i = 0; i < k->n_held; i++)
        rd_kafka_message_destroy(k->held[i]);
    k->n_held = 0;
    kd_arena_reset(k->arena);
}

static void progress(const kd_source *s, kd_progress *out)
{
    const range_source *k = (const range_source *)s;
    *out = (kd_progress){k->n_records, k->n_total - k->n_records, -1, -1};
}

static void close_source(kd_source *s)
{
    range_source *k = (range_source *)s;
    release(s);
    for (int i = 0; i < k->n_parts; i++)
        finish(&k->parts[i]);
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        if (k->rkt[t] != NULL)
            rd_kafka_topic_destroy(k->rkt[t]);
        free(k->topic[t]);
    }
    if (k->rk != NULL)
        rd_kafka_destroy(k->rk);
    free(k->parts);
    free(k->held);
    kd_arena_free(k->arena);
    kd_arena_free(k->scratch);
    free(k);
}

static const kd_source_kind kind = {
    .name = "kafka-range",
    .start = start,
    .next = next,
    .release = release,
    .progress = progress,
    .close = close_source,
};

kd_rc kd_kafka_range_source_new(const kd_kafka_range_options *o, kd_source **out, kd_err *err)
{
    range_source *k = calloc(1, sizeof *k);
    if (k == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a source");
    k->base.kind = &kind;
    k->codec = o->codec;
    k->from = o->from;
    k->to = o->to;
    k->properties = o->properties;
    k->n_properties = o->n_properties;
    k->begin = o->begin;
    k->n_begin = o->n_begin;
    k->arena = kd_arena_new(0);
    k->scratch = kd_arena_new(0);
    bool is_short = k->arena == NULL || k->scratch == NULL;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        if (o->topic[t] == NULL || o->topic[t][0] == '\0')
            continue;
        k->topic[t] = strdup(o->topic[t]);
        is_short |= k->topic[t] == NULL;
    }
    kd_rc rc =
        is_short ? kd_fail(err, KD_ENOMEM, "no memory for a source") : make_consumer(k, o, err);
    if (rc != KD_OK) {
        close_source(&k->base);
        return rc;
    }
    *out = &k->base;
    return KD_OK;
}
