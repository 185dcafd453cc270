#include "sinks/kafka_txn.h"

#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/helper.h"
#include "sinks/kafka_out_internal.h"

enum {
    CALL_MS = 1000, /* of one blocking call; it is repeated until it is known what came of it */
    BATCH_MAX = 64 * 1024 * 1024,
    RENEWALS = 5, /* producers in RENEWAL_MS that were fenced: then somebody else has the id */
    RENEWAL_MS = 60000,
};

/* One message in a batch. */
typedef struct message {
    int32_t type;
    uint32_t key_len, value_len; /* NONE = null */
    uint32_t is_lost;            /* the broker does not take it */
} message;
#define NONE UINT32_MAX

typedef struct batch {
    kd_buf bytes; /* { message, key, value } */
    uint64_t n;   /* outputs */
    size_t sent;  /* bytes that the producer has */
} batch;

typedef enum state { CLOSED, OPEN, COMMITTING, RENEWING } state;
typedef enum outcome { COMMITTED, ABORTED, LOST, CANCELLED } outcome;

typedef struct kafka_txn {
    kd_sink base;
    char *name[KD_KAFKA_OUT_TYPES]; /* owned; NULL = not published */
    char *id;                       /* owned */
    kd_codec *codec;
    void (*on_notice)(void *arg, const char *text);
    void *notice_arg;
    rd_kafka_t *rk;
    /* For a new producer; strings are the caller's until close. */
    kd_kafka_sink_options opt;
    kd_helper *helper;
    _Atomic bool is_cancelled;
    state state;
    batch batch, next;
    uint64_t acked;
    kd_buf value;
    /* The helper's while it is busy. */
    rd_kafka_topic_partition_list_t *offsets;
    rd_kafka_consumer_group_metadata_t *group;
    outcome outcome;
    kd_err why;
    int64_t n_commits, n_lost, n_lost_said;
    int lost_type;
    int64_t renewed_ms;
    int n_renewals;
    bool is_away;
} kafka_txn;

static void notice(const kafka_txn *k, const char *fmt, ...) KD_PRINTF(2, 3);

static void notice(const kafka_txn *k, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (k->on_notice != NULL)
        k->on_notice(k->notice_arg, text);
}

/* -- the producer ------------------------------------------------------------------------------ */

/* @thread whoever polls: the helper while it is busy, else the loop */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    kafka_txn *k = opaque;
    (void)rk;
    if (m->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return; /* everything else shows in the transaction as a whole */
    size_t at = (size_t)(uintptr_t)m->_private;
    message head;
    if (at + sizeof head > k->batch.bytes.n)
        return; /* of a batch that was dropped */
    memcpy(&head, k->batch.bytes.p + at, sizeof head);
    head.is_lost = 1;
    memcpy(k->batch.bytes.p + at, &head, sizeof head);
    k->n_lost++;
    k->lost_type = head.type;
}

static kd_rc make_producer(kafka_txn *k, kd_err *err)
{
    const char *const last[][2] = {{"transactional.id", k->id}, {NULL, NULL}};
    rd_kafka_conf_t *conf = NULL;
    KD_TRY(kd_kafka_out_conf(&k->opt, last, &conf, err));
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kd_kafka_out_producer(conf, &k->rk, err);
}

static void free_producer(kafka_txn *k)
{
    if (k->rk == NULL)
        return;
    rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(k->rk);
    k->rk = NULL;
}

/* What an error of a transactional call asks for; takes it. */
typedef enum move { GO_ON, AGAIN, ABORT, RENEW } move;

static move move_of(kafka_txn *k, rd_kafka_error_t *e)
{
    if (e == NULL)
        return GO_ON;
    move m = rd_kafka_error_is_fatal(e)             ? RENEW
             : rd_kafka_error_txn_requires_abort(e) ? ABORT
             : rd_kafka_error_is_retriable(e)       ? AGAIN
                                                    : RENEW;
    kd_fail(&k->why, m == RENEW ? KD_EIO : KD_RETRY, "transaction: %s", rd_kafka_error_string(e));
    rd_kafka_error_destroy(e);
    return m;
}

/* -- jobs: @thread helper ---------------------------------------------------------------------- */

static bool is_cancelled(const kafka_txn *k)
{
    return atomic_load(&k->is_cancelled);
}

static outcome abort_it(kafka_txn *k)
{
    for (;;) {
        kd_err why = k->why; /* of what made it necessary */
        move m = move_of(k, rd_kafka_abort_transaction(k->rk, CALL_MS));
        if (m == GO_ON) {
            k->why = why;
            return ABORTED;
        }
        if (m != AGAIN)
            return LOST;
        if (is_cancelled(k))
            return CANCELLED;
    }
}

static outcome commit_it(kafka_txn *k)
{
    move m;
    while (k->offsets->cnt > 0 &&
           (m = move_of(k, rd_kafka_send_offsets_to_transaction(k->rk, k->offsets, k->group,
                                                                CALL_MS))) != GO_ON) {
        if (m != AGAIN)
            return m == ABORT ? abort_it(k) : LOST;
        if (is_cancelled(k))
            return CANCELLED;
    }
    kd_fault("txn.before-commit", k->n_commits);
    while ((m = move_of(k, rd_kafka_commit_transaction(k->rk, CALL_MS))) != GO_ON) {
        if (m != AGAIN)
            return m == ABORT ? abort_it(k) : LOST;
        if (is_cancelled(k))
            return CANCELLED;
    }
    kd_fault("txn.after-commit", k->n_commits);
    return COMMITTED;
}

/* Faults that tests/chaos must find: a batch is lost and its offsets are committed; a batch that is
 * committed is taken for aborted, so that it goes out twice. */
static outcome commit_wrongly(kafka_txn *k)
{
    if (kd_fault_is("txn.lose", k->n_commits)) {
        (void)abort_it(k);
        rd_kafka_error_t *e = rd_kafka_begin_transaction(k->rk);
        if (e != NULL)
            rd_kafka_error_destroy(e);
    }
    outcome o = commit_it(k);
    return o == COMMITTED && kd_fault_is("txn.twice", k->n_commits) ? ABORTED : o;
}

static kd_rc job_commit(void *arg, kd_err *err)
{
    kafka_txn *k = arg;
    (void)err;
    k->n_commits++;
    k->outcome = kd_fault_is("txn.abort", k->n_commits)  ? abort_it(k)
                 : kd_fault_is("txn.dark", k->n_commits) ? LOST
                                                         : commit_wrongly(k);
    return KD_OK;
}

static kd_rc job_abort(void *arg, kd_err *err)
{
    kafka_txn *k = arg;
    (void)err;
    k->outcome = abort_it(k);
    return KD_OK;
}

static kd_rc job_renew(void *arg, kd_err *err)
{
    kafka_txn *k = arg;
    free_producer(k);
    KD_TRY(make_producer(k, err));
    for (;;) {
        rd_kafka_error_t *e = rd_kafka_init_transactions(k->rk, CALL_MS);
        bool is_retriable = e != NULL && rd_kafka_error_is_retriable(e);
        if (move_of(k, e) == GO_ON)
            break;
        if (!is_retriable) {
            if (err != NULL)
                *err = k->why;
            return KD_EIO;
        }
        if (is_cancelled(k))
            return kd_fail(err, KD_RETRY, "%s", k->why.msg);
    }
    kd_kafka_out_look(k->rk, k->name, CALL_MS);
    k->outcome = LOST;
    return KD_OK;
}

/* -- the batch --------------------------------------------------------------------------------- */

static void clear(batch *b)
{
    kd_buf_clear(&b->bytes);
    b->n = 0;
    b->sent = 0;
}

/* Gives the producer what it does not have yet, as far as it takes it. */
static kd_rc pump(kafka_txn *k, kd_err *err)
{
    batch *b = &k->batch;
    while (k->state == OPEN && b->sent < b->bytes.n) {
        message head;
        memcpy(&head, b->bytes.p + b->sent, sizeof head);
        char *at = b->bytes.p + b->sent + sizeof head;
        size_t key_len = head.key_len == NONE ? 0 : head.key_len;
        size_t value_len = head.value_len == NONE ? 0 : head.value_len;
        void *key = head.key_len == NONE ? NULL : at;
        void *value = head.value_len == NONE ? NULL : at + key_len;
        if (head.is_lost == 0) {
            rd_kafka_resp_err_t e = rd_kafka_producev(
                k->rk, RD_KAFKA_V_TOPIC(k->name[head.type]), RD_KAFKA_V_KEY(key, key_len),
                RD_KAFKA_V_VALUE(value, value_len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                RD_KAFKA_V_OPAQUE((void *)(uintptr_t)b->sent), RD_KAFKA_V_END);
            if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL)
                break;
            if (e == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
                k->n_lost++;
                k->lost_type = head.type;
                head.is_lost = 1;
                memcpy(b->bytes.p + b->sent, &head, sizeof head);
            } else if (e != RD_KAFKA_RESP_ERR_NO_ERROR && e != RD_KAFKA_RESP_ERR__STATE &&
                       e != RD_KAFKA_RESP_ERR__FATAL && e != RD_KAFKA_RESP_ERR__FENCED) {
                return kd_fail(err, KD_EIO, "%s: %s", k->name[head.type], rd_kafka_err2str(e));
            } /* otherwise the transaction is broken already: its end tells, and the batch stays */
        }
        b->sent += sizeof head + key_len + value_len;
    }
    return KD_OK;
}

static void add(kafka_txn *k, batch *b, int type, kd_str key, const kd_buf *value)
{
    message head = {type, key.p == NULL ? NONE : key.n, value == NULL ? NONE : (uint32_t)value->n,
                    0};
    (void)k;
    kd_buf_add(&b->bytes, &head, sizeof head);
    kd_buf_add(&b->bytes, key.p, key.p == NULL ? 0 : key.n);
    if (value != NULL)
        kd_buf_add(&b->bytes, value->p, value->n);
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    kafka_txn *k = (kafka_txn *)s;
    batch *b = k->state == OPEN ? &k->batch : &k->next;
    if (k->batch.bytes.n + k->next.bytes.n > BATCH_MAX)
        return kd_fail(err, KD_AGAIN, "%d MiB wait for their commit", BATCH_MAX >> 20);
    size_t before = b->bytes.n;
    if (out->type == KD_OUT_FORGOTTEN) {
        for (int c = 0; c < KD_KAFKA_COMPACTED; c++)
            if (k->name[kd_kafka_compacted[c]] != NULL)
                add(k, b, kd_kafka_compacted[c], out->forgotten, NULL);
    } else if (k->name[out->type] != NULL) {
        kd_buf_clear(&k->value);
        KD_TRY(kd_codec_encode_out(k->codec, k->name[out->type], out, &k->value, err));
        add(k, b, (int)out->type, kd_kafka_out_key(out), &k->value);
    }
    if (b->bytes.failed) {
        b->bytes.failed = false;
        b->bytes.n = before;
        return kd_fail(err, KD_ENOMEM, "no memory for the outputs of a transaction");
    }
    b->n++;
    s->written++;
    return pump(k, err);
}

/* -- committing -------------------------------------------------------------------------------- */

static kd_rc begin(kafka_txn *k, kd_err *err)
{
    rd_kafka_error_t *e = rd_kafka_begin_transaction(k->rk);
    if (e != NULL) {
        kd_fail(err, KD_EIO, "a transaction does not begin: %s", rd_kafka_error_string(e));
        rd_kafka_error_destroy(e);
        return KD_EIO;
    }
    k->state = OPEN;
    return KD_OK;
}

static void free_commit(kafka_txn *k)
{
    if (k->offsets != NULL)
        rd_kafka_topic_partition_list_destroy(k->offsets);
    if (k->group != NULL)
        rd_kafka_consumer_group_metadata_destroy(k->group);
    k->offsets = NULL;
    k->group = NULL;
}

static kd_rc prepare(kafka_txn *k, const kd_commit *c, kd_err *err)
{
    k->offsets = rd_kafka_topic_partition_list_new((int)c->n);
    for (size_t i = 0; i < c->n; i++) {
        rd_kafka_topic_partition_t *p =
            rd_kafka_topic_partition_list_add(k->offsets, c->pos[i].topic, c->pos[i].partition);
        p->offset = c->pos[i].offset;
        p->metadata = strdup(c->note);
        p->metadata_size = p->metadata == NULL ? 0 : strlen(c->note);
    }
    if (c->n == 0)
        return KD_OK;
    rd_kafka_error_t *e = rd_kafka_consumer_group_metadata_read(&k->group, c->group, c->group_len);
    if (e == NULL)
        return KD_OK;
    kd_fail(err, KD_EBUG, "the group's metadata cannot be read: %s", rd_kafka_error_string(e));
    rd_kafka_error_destroy(e);
    return KD_EBUG;
}

static kd_rc commit(kd_sink *s, const kd_commit *c, kd_err *err)
{
    kafka_txn *k = (kafka_txn *)s;
    if (k->state != OPEN)
        return kd_fail(err, KD_AGAIN, "a commit is under way");
    KD_TRY(pump(k, err));
    if (k->batch.sent < k->batch.bytes.n) {
        rd_kafka_poll(k->rk, 0);
        return kd_fail(err, KD_AGAIN, "the producer's queue is full");
    }
    kd_rc rc = prepare(k, c, err);
    if (rc != KD_OK) {
        free_commit(k);
        return rc;
    }
    k->state = COMMITTING;
    kd_helper_start(k->helper, job_commit, k);
    return KD_OK;
}

/* What was written meanwhile goes behind what is left of the batch. */
static kd_rc join_next(kafka_txn *k, kd_err *err)
{
    kd_buf_add(&k->batch.bytes, k->next.bytes.p, k->next.bytes.n);
    if (k->batch.bytes.failed)
        return kd_fail(err, KD_ENOMEM, "no memory for the outputs of a transaction");
    k->batch.n += k->next.n;
    clear(&k->next);
    return pump(k, err);
}

static void say_lost(kafka_txn *k)
{
    if (k->n_lost == k->n_lost_said)
        return;
    notice(k, "%lld of the %s are too large for %s and left out",
           (long long)(k->n_lost - k->n_lost_said), kd_kafka_out_name(k->lost_type),
           k->name[k->lost_type]);
    k->n_lost_said = k->n_lost;
}

/* Fenced, or in the dark: a new producer, which aborts what the old one left open. */
static kd_rc renew(kafka_txn *k, kd_err *err)
{
    int64_t now = kd_clock_mono_ms();
    if (now - k->renewed_ms > RENEWAL_MS)
        k->n_renewals = 0;
    k->renewed_ms = now;
    if (++k->n_renewals > RENEWALS)
        return kd_fail(err, KD_EIO,
                       "is there another instance with transactional.id %s? %d producers in a "
                       "minute ended with \"%s\"",
                       k->id, k->n_renewals, k->why.msg);
    notice(k, "%s; beginning anew from what is committed", k->why.msg);
    clear(&k->batch);
    clear(&k->next);
    k->state = RENEWING;
    kd_helper_start(k->helper, job_renew, k);
    return KD_AGAIN;
}

static kd_rc committed(kd_sink *s, bool wait, kd_err *err)
{
    kafka_txn *k = (kafka_txn *)s;
    for (;;) {
        if (k->state == OPEN || k->state == CLOSED)
            return KD_OK;
        if (!wait && kd_helper_is_busy(k->helper))
            return KD_AGAIN;
        KD_TRY(kd_helper_result(k->helper, err));
        free_commit(k);
        say_lost(k);
        if (k->state == RENEWING) {
            clear(&k->next); /* what came meanwhile was answered from before */
            KD_TRY(begin(k, err));
            kd_fail(err, KD_END, "%s", k->why.msg);
            return KD_END;
        }
        if (k->outcome == CANCELLED)
            return kd_fail(err, KD_EIO, "%s; it was not waited for any longer", k->why.msg);
        if (k->outcome == LOST) {
            kd_rc rc = renew(k, err);
            if (rc != KD_AGAIN)
                return rc;
            continue;
        }
        KD_TRY(begin(k, err));
        if (k->outcome == COMMITTED) {
            k->acked += k->batch.n;
            clear(&k->batch);
            return join_next(k, err);
        }
        k->batch.sent = 0;
        KD_TRY(join_next(k, err));
        if (err != NULL)
            *err = k->why;
        return KD_RETRY;
    }
}

static kd_rc drop(kd_sink *s, kd_err *err)
{
    kafka_txn *k = (kafka_txn *)s;
    kd_rc rc = committed(s, true, err);
    if (rc != KD_OK && rc != KD_RETRY && rc != KD_END)
        return rc;
    bool was_empty = k->batch.bytes.n == 0;
    clear(&k->next);
    if (was_empty)
        return KD_OK;
    k->state = COMMITTING;
    kd_fail(&k->why, KD_RETRY, "the partitions are another instance's now");
    kd_helper_start(k->helper, job_abort, k);
    KD_TRY(kd_helper_result(k->helper, err));
    if (k->outcome == ABORTED) {
        clear(&k->batch);
        return begin(k, err);
    }
    rc = committed(s, true, err);
    return rc == KD_END || rc == KD_RETRY ? KD_OK : rc;
}

/* -- the rest of the contract ------------------------------------------------------------------ */

static kd_rc start(kd_sink *s, kd_err *err)
{
    kafka_txn *k = (kafka_txn *)s;
    for (int t = 0; t < KD_KAFKA_OUT_TYPES; t++)
        if (k->name[t] != NULL)
            KD_TRY(kd_codec_prepare(k->codec, k->name[t], kd_kafka_out_schema(t), err));
    rd_kafka_error_t *e = rd_kafka_init_transactions(k->rk, CALL_MS * 5);
    bool is_retriable = e != NULL && rd_kafka_error_is_retriable(e);
    if (move_of(k, e) != GO_ON)
        return kd_fail(err, is_retriable ? KD_RETRY : KD_EIO, "%s", k->why.msg);
    kd_kafka_out_look(k->rk, k->name, CALL_MS);
    return begin(k, err);
}

static kd_rc poll(kd_sink *s, kd_err *err)
{
    kafka_txn *k = (kafka_txn *)s;
    if (k->state != OPEN)
        return KD_OK;
    rd_kafka_poll(k->rk, 0);
    return pump(k, err);
}

static uint64_t acked(const kd_sink *s)
{
    return ((const kafka_txn *)s)->acked;
}

/* Everything becomes durable with its commit; the runtime does that. */
static kd_rc flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    (void)timeout_ms;
    return poll(s, err);
}

static void close_sink(kd_sink *s)
{
    kafka_txn *k = (kafka_txn *)s;
    kd_err ignored = {0};
    atomic_store(&k->is_cancelled, true);
    k->on_notice = NULL;
    (void)(k->helper == NULL || kd_helper_result(k->helper, &ignored) == KD_OK);
    if (k->state == OPEN && k->batch.bytes.n > 0) { /* nothing of it is to be seen */
        kd_helper_start(k->helper, job_abort, k);
        (void)(kd_helper_result(k->helper, &ignored) == KD_OK);
    }
    kd_helper_free(k->helper);
    free_commit(k);
    free_producer(k);
    for (int t = 0; t < KD_KAFKA_OUT_TYPES; t++)
        free(k->name[t]);
    kd_buf_dispose(&k->batch.bytes);
    kd_buf_dispose(&k->next.bytes);
    kd_buf_dispose(&k->value);
    free(k->id);
    free(k);
}

static const kd_sink_kind kind = {
    .name = "kafka-transactions",
    .start = start,
    .write = write_one,
    .poll = poll,
    .acked = acked,
    .flush = flush,
    .close = close_sink,
    .commit = commit,
    .committed = committed,
    .drop = drop,
};

kd_rc kd_kafka_txn_new(const kd_kafka_sink_options *o, const char *id, kd_sink **out, kd_err *err)
{
    kafka_txn *k = calloc(1, sizeof *k);
    if (k == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    k->base.kind = &kind;
    k->codec = o->codec;
    k->on_notice = o->on_notice;
    k->notice_arg = o->notice_arg;
    k->opt = *o;
    k->renewed_ms = INT64_MIN / 2;
    k->id = strdup(id);
    kd_rc rc = k->id == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a sink")
                             : kd_helper_new(&k->helper, err);
    if (rc == KD_OK)
        rc = make_producer(k, err);
    const char *names[KD_KAFKA_OUT_TYPES] = {o->recommendations, o->similar, o->dead_letters, NULL,
                                             o->receipts,        o->needs};
    for (int t = 0; rc == KD_OK && t < KD_KAFKA_OUT_TYPES; t++) {
        if (names[t] == NULL || names[t][0] == '\0')
            continue;
        k->name[t] = strdup(names[t]);
        if (k->name[t] == NULL)
            rc = kd_fail(err, KD_ENOMEM, "no memory for a sink");
    }
    if (rc != KD_OK) {
        close_sink(&k->base);
        return rc;
    }
    k->base.takes_encoded = k->name[KD_OUT_UPDATE] != NULL;
    *out = &k->base;
    return KD_OK;
}

int64_t kd_kafka_txn_lost(const kd_sink *s)
{
    KD_ASSERT(s->kind == &kind);
    return ((const kafka_txn *)s)->n_lost;
}
