#include "consumers/kafka_range_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "consumers/kafka_conf_internal.h"
#include "consumers/kafka_diagnose.h"

enum {
    BATCH = 256,
    CALL_MS = 5000,
    WAIT_MS = 100,
    SILENCE_MS = 20000, /* what is waited for is known to be there */
    STRETCH = 1024,     /* offsets that share a floor */
};

/* A record of a partition that is not in time order, read before its turn. */
typedef struct early {
    kd_ms time;
    rd_kafka_message_t *m; /* owned */
} early;

/* A partition, and the record at its head. It is read twice: to learn what of it is in the range
 * and in which order it stands, then to hand it out. */
typedef struct part {
    kd_record_type type;
    const char *topic; /* of the source */
    rd_kafka_topic_t *rkt;
    int32_t number;
    int64_t begin, end; /* offsets; end is not in it */
    int64_t next;       /* offset that is read next */
    bool is_started, is_scanned, is_over;
    rd_kafka_message_t *batch[BATCH];
    int n_batch, at;
    /* of the first reading: */
    int64_t first, last, n_in, n_late; /* of the range: first and last offset, records, those that
                                          an earlier one is newer than */
    kd_ms newest;
    int64_t floor_base;
    kd_ms *floor; /* owned, [n_floor] by stretch from floor_base on: nothing in it or after it is
                     older */
    uint32_t n_floor, cap_floor;
    /* of the second: */
    early *early; /* owned, a heap by (time, offset) */
    uint32_t n_early, cap_early;
    rd_kafka_message_t *head; /* owned, NULL = none; decoded: */
    kd_rc rc;                 /* KD_OK or KD_EDATA */
    kd_ms time;               /* where it stands in the merge */
    kd_ms read_time;          /* of the last good one that was read */
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
    uint32_t n_held, cap_held;
    kd_arena *arena;   /* tag lists of what was handed out */
    kd_arena *scratch; /* of a head */
    int64_t n_records, n_total, n_later;
    int64_t heard_ms;              /* when the brokers last sent something */
    const kd_property *properties; /* borrowed */
    size_t n_properties;
} range_source;

/* -- start --------------------------------------------------------------------------------------
 */

static kd_rc make_consumer(range_source *k, const kd_kafka_range_options *o, kd_err *err)
{
    const char *const first[][2] = {{"queued.max.messages.kbytes", "16384"}, {NULL, NULL}};
    const char *const fixed[][2] = {
        {"group.id", "kindred.backtest"}, /* never joined */
        {"enable.auto.commit", "false"},
        {"auto.commit.enable", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = NULL;
    KD_TRY(kd_kafka_conf(first, o->properties, o->n_properties, fixed, &conf, err));
    return kd_kafka_client(RD_KAFKA_CONSUMER, conf, &k->rk, err);
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
                                            .newest = KD_MS_NONE,
                                            .read_time = KD_MS_NONE};
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
    if (k->from != KD_MS_NONE && p->type != KD_CATALOG) /* no event is a day newer than its stamp */
        KD_TRY(
            offset_at(k, p, k->from > KD_MS_DAY ? k->from - KD_MS_DAY : 0, high, &p->begin, err));
    for (size_t b = 0; b < k->n_begin; b++)
        if (k->begin[b].pos.partition == p->number && strcmp(k->begin[b].pos.topic, p->topic) == 0)
            p->begin = k->begin[b].pos.offset > low ? k->begin[b].pos.offset : low;
    p->next = p->floor_base = p->begin;
    p->is_over = p->begin >= p->end;
    k->n_total += p->is_over ? 0 : p->end - p->begin;
    return KD_OK;
}

static kd_rc begin_reading(part *p, kd_err *err)
{
    if (rd_kafka_consume_start(p->rkt, p->number, p->begin) != 0)
        return kd_fail(err, KD_EIO, "%s[%d] cannot be read: %s", p->topic, p->number,
                       rd_kafka_err2str(rd_kafka_last_error()));
    p->is_started = true;
    p->next = p->begin;
    return KD_OK;
}

static kd_rc start(kd_source *s, kd_err *err)
{
    range_source *k = (range_source *)s;
    kd_rc rc = find_parts(k, err);
    if (rc != KD_OK) {
        kd_kafka_diagnose(k->properties, k->n_properties, NULL, err);
        return rc;
    }
    for (int i = 0; i < k->n_parts; i++)
        KD_TRY(find_range(k, &k->parts[i], err));
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        if (!p->is_over)
            KD_TRY(begin_reading(p, err));
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

static void end_reading(part *p)
{
    for (; p->at < p->n_batch; p->at++)
        rd_kafka_message_destroy(p->batch[p->at]);
    if (p->is_started)
        rd_kafka_consume_stop(p->rkt, p->number);
    p->is_started = false;
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

/* The next message of the partition, which stays in the batch; NULL: there is no more. KD_AGAIN:
 * nothing came in time. */
static kd_rc peek(range_source *k, part *p, rd_kafka_message_t **out, kd_err *err)
{
    *out = NULL;
    if (p->next >= p->end)
        return KD_OK;
    if (p->at == p->n_batch)
        KD_TRY(fetch(k, p, err));
    rd_kafka_message_t *m = p->batch[p->at];
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
        (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset >= p->end)) {
        p->next = p->end;
        return KD_OK;
    }
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kd_fail(err, KD_EIO, "%s[%d]: %s", p->topic, p->number, rd_kafka_message_errstr(m));
    *out = m;
    return KD_OK;
}

static rd_kafka_message_t *take(part *p)
{
    rd_kafka_message_t *m = p->batch[p->at++];
    p->next = m->offset + 1;
    return m;
}

static kd_rc decode_head(range_source *k, part *p, const rd_kafka_message_t *m, kd_err *err)
{
    p->err = (kd_err){0};
    kd_arena_reset(k->scratch);
    p->rc = decode(k, p, m, k->scratch, &p->record, &p->err);
    if (p->rc == KD_OK || p->rc == KD_EDATA)
        return KD_OK;
    if (err != NULL)
        *err = p->err;
    return p->rc; /* it is tried again */
}

/* Of a bad record only the stamp is known. */
static bool is_in_range(const range_source *k, const part *p, bool *is_later)
{
    kd_ms at = p->rc == KD_OK ? p->record.time : p->record.ts;
    *is_later = k->to != KD_MS_NONE && at >= k->to;
    return !*is_later && (k->from == KD_MS_NONE || p->type == KD_CATALOG || at >= k->from);
}

/* -- the first reading --------------------------------------------------------------------------
 */

static kd_rc note_place(part *p, int64_t offset, kd_err *err)
{
    if (p->rc == KD_OK)
        p->read_time = p->record.time;
    p->first = p->n_in++ == 0 ? offset : p->first;
    p->n_late += p->read_time < p->newest;
    p->newest = p->read_time > p->newest ? p->read_time : p->newest;
    uint32_t at = (uint32_t)((offset - p->floor_base) / STRETCH);
    if (!kd_grow((void **)&p->floor, &p->cap_floor, at + 1, sizeof *p->floor))
        return kd_fail(err, KD_ENOMEM, "no memory for the order of %s[%d]", p->topic, p->number);
    for (; p->n_floor <= at; p->n_floor++)
        p->floor[p->n_floor] = INT64_MAX;
    p->floor[at] = p->read_time < p->floor[at] ? p->read_time : p->floor[at];
    return KD_OK;
}

/* Goes back to the first record of the range; the second reading ends after the last one. */
static kd_rc turn_back(range_source *k, part *p, kd_err *err)
{
    end_reading(p);
    k->n_total += p->n_in - (p->end - p->begin);
    p->is_scanned = true;
    for (uint32_t i = p->n_floor; i-- > 1;)
        p->floor[i - 1] = p->floor[i] < p->floor[i - 1] ? p->floor[i] : p->floor[i - 1];
    p->begin = p->first;
    p->end = p->last + 1;
    p->read_time = KD_MS_NONE;
    p->is_over = p->n_in == 0;
    return p->is_over ? KD_OK : begin_reading(p, err);
}

static kd_rc scan(range_source *k, part *p, kd_err *err)
{
    for (;;) {
        rd_kafka_message_t *m;
        bool is_later;
        KD_TRY(peek(k, p, &m, err));
        if (m == NULL)
            return turn_back(k, p, err);
        KD_TRY(decode_head(k, p, m, err));
        if (is_in_range(k, p, &is_later)) {
            KD_TRY(note_place(p, m->offset, err));
            p->last = m->offset;
        }
        k->n_later += is_later;
        rd_kafka_message_destroy(take(p));
    }
}

/* -- heads --------------------------------------------------------------------------------------
 */

static bool is_earlier(const early *a, const early *b)
{
    return a->time != b->time ? a->time < b->time : a->m->offset < b->m->offset;
}

static kd_rc push_early(part *p, early x, kd_err *err)
{
    if (!kd_grow((void **)&p->early, &p->cap_early, p->n_early + 1, sizeof *p->early))
        return kd_fail(err, KD_ENOMEM, "no memory to put %s[%d] in order", p->topic, p->number);
    uint32_t i = p->n_early++;
    for (; i > 0 && is_earlier(&x, &p->early[(i - 1) / 2]); i = (i - 1) / 2)
        p->early[i] = p->early[(i - 1) / 2];
    p->early[i] = x;
    return KD_OK;
}

static early pop_early(part *p)
{
    early top = p->early[0], x = p->early[--p->n_early];
    uint32_t i = 0;
    for (uint32_t k = 1; k < p->n_early; k = 2 * i + 1) {
        k += k + 1 < p->n_early && is_earlier(&p->early[k + 1], &p->early[k]);
        if (!is_earlier(&p->early[k], &x))
            break;
        p->early[i] = p->early[k];
        i = k;
    }
    p->early[i] = x;
    return top;
}

/* True if nothing that is still to be read comes before the first of the early ones. */
static bool is_early_due(const part *p)
{
    uint64_t at = (uint64_t)(p->next - p->floor_base) / STRETCH;
    return p->n_early > 0 &&
           (p->next >= p->end || at >= p->n_floor || p->early[0].time <= p->floor[at]);
}

/* The next record of the range in the partition's own order, decoded and left in the batch; NULL:
 * there is no more. */
static kd_rc read_on(range_source *k, part *p, rd_kafka_message_t **out, kd_err *err)
{
    for (;;) {
        bool is_later;
        KD_TRY(peek(k, p, out, err));
        if (*out == NULL)
            return KD_OK;
        KD_TRY(decode_head(k, p, *out, err));
        if (is_in_range(k, p, &is_later)) {
            p->read_time = p->rc == KD_OK ? p->record.time : p->read_time;
            return KD_OK;
        }
        rd_kafka_message_destroy(take(p));
    }
}

/* A partition in disorder: what came too early waits until its turn. */
static kd_rc find_sorted_head(range_source *k, part *p, kd_err *err)
{
    rd_kafka_message_t *m;
    while (!is_early_due(p) && p->next < p->end) {
        KD_TRY(read_on(k, p, &m, err));
        if (m == NULL)
            break;
        KD_TRY(push_early(p, (early){p->read_time, m}, err));
        take(p);
    }
    if (p->n_early == 0)
        return KD_OK;
    KD_TRY(decode_head(k, p, p->early[0].m, err));
    early first = pop_early(p);
    p->time = first.time;
    p->head = first.m;
    return KD_OK;
}

/* Finds a partition's head. KD_AGAIN: nothing came in time. */
static kd_rc find_head(range_source *k, part *p, kd_err *err)
{
    if (p->n_late > 0) {
        KD_TRY(find_sorted_head(k, p, err));
    } else {
        rd_kafka_message_t *m;
        KD_TRY(read_on(k, p, &m, err));
        p->time = p->read_time;
        p->head = m == NULL ? NULL : take(p);
    }
    if (p->head == NULL) {
        end_reading(p);
        p->is_over = true;
    }
    return KD_OK;
}

static kd_rc find_heads(range_source *k, kd_err *err)
{
    for (int i = 0; i < k->n_parts; i++)
        if (!k->parts[i].is_scanned && !k->parts[i].is_over)
            KD_TRY(scan(k, &k->parts[i], err));
    for (int i = 0; i < k->n_parts; i++)
        if (k->parts[i].head == NULL && !k->parts[i].is_over)
            KD_TRY(find_head(k, &k->parts[i], err));
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
    if (!kd_grow((void **)&k->held, &k->cap_held, k->n_held + 1, sizeof *k->held))
        return false;
    k->held[k->n_held++] = m;
    return true;
}

static kd_rc next(kd_source *s, kd_record *out, kd_err *err)
{
    range_source *k = (range_source *)s;
    KD_TRY(find_heads(k, err));
    part *first = NULL;
    for (int i = 0; i < k->n_parts; i++)
        if (k->parts[i].head != NULL && (first == NULL || comes_before(&k->parts[i], first)))
            first = &k->parts[i];
    if (first == NULL)
        return KD_END;
    rd_kafka_message_t *m = first->head;
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
    first->head = NULL;
    k->n_records++;
    return rc;
}

static void release(kd_source *s)
{
    range_source *k = (range_source *)s;
    for (uint32_t i = 0; i < k->n_held; i++)
        rd_kafka_message_destroy(k->held[i]);
    k->n_held = 0;
    kd_arena_reset(k->arena);
}

static void progress(const kd_source *s, kd_progress *out)
{
    const range_source *k = (const range_source *)s;
    *out = (kd_progress){.records = k->n_records,
                         .lag = k->n_total - k->n_records,
                         .done_bytes = -1,
                         .total_bytes = -1};
}

static void close_part(part *p)
{
    end_reading(p);
    for (uint32_t i = 0; i < p->n_early; i++)
        rd_kafka_message_destroy(p->early[i].m);
    if (p->head != NULL)
        rd_kafka_message_destroy(p->head);
    free(p->early);
    free(p->floor);
}

static void close_source(kd_source *s)
{
    range_source *k = (range_source *)s;
    release(s);
    for (int i = 0; i < k->n_parts; i++)
        close_part(&k->parts[i]);
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
    KD_TRY(kd_kafka_need_address(o->properties, o->n_properties, err));
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

kd_kafka_range_counts kd_kafka_range_counts_of(const kd_source *s)
{
    const range_source *k = (const range_source *)s;
    kd_kafka_range_counts c = {.later = k->n_later};
    for (int i = 0; i < k->n_parts; i++)
        c.sorted += k->parts[i].n_late;
    return c;
}
