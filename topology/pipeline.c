#include "topology/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "topology/pool.h"

/* What an applied record leaves to be emitted, in the order of the records. */
typedef enum ask_kind {
    ASK_LIST,   /* a list for the shopper: the last record of a unit */
    ASK_FORGET, /* a null for the shopper, and a receipt */
} ask_kind;

typedef struct ask {
    ask_kind kind;
    kd_query query;     /* LIST; of FORGET the shopper_id only */
    kd_receipt receipt; /* FORGET */
    char shopper_hash[65];
    kd_update update; /* LIST: the answer */
    kd_rc rc;
    kd_err err;
} ask;

/* The unit that the next record may continue. */
typedef struct unit {
    kd_str shopper, order; /* in `text` */
    kd_ms time;
    uint32_t ask; /* its place, or NO_ASK */
} unit;

#define NO_ASK UINT32_MAX

/* A shopper of the open epoch. */
typedef struct member {
    uint64_t hash;
    kd_str id;
    uint64_t epoch; /* 0 = empty, or of an epoch gone by */
} member;

typedef enum stage { FILLING, EMITTING } stage;

struct kd_pipeline {
    kd_pipeline_options opt;
    kd_source *source;   /* borrowed */
    kd_recommender *rec; /* borrowed */
    kd_sink *sink;       /* borrowed */
    kd_pool *pool;
    kd_reader_space **space; /* [workers] */
    kd_arena **answers;      /* [workers] lists of the epoch */
    kd_arena *text;          /* ids of the epoch's asks */
    kd_arena *kept_text;     /* the record that was pushed back */
    kd_record kept;
    bool has_kept;
    kd_record
        bad; /* a bad record whose letter the sink had no room for; raw bytes are the source's */
    kd_err bad_err;
    bool has_bad;
    stage stage;
    ask *asks; /* [epoch_max] */
    uint32_t n_asks, next_ask, ask_step;
    uint32_t n_records; /* in the open epoch */
    unit unit;
    bool has_unit;
    member *members; /* [members_cap], a power of two; open addressing */
    uint32_t members_cap;
    uint64_t epoch;
    bool is_over; /* the source ended */
    kd_ms time;   /* of the last record applied */
    kd_counts counts;
};

static uint32_t power_of_two(uint32_t n)
{
    uint32_t p = 16;
    while (p < n)
        p *= 2;
    return p;
}

kd_rc kd_pipeline_new(const kd_pipeline_options *o, kd_source *source, kd_recommender *rec,
                      kd_sink *sink, kd_pipeline **out, kd_err *err)
{
    KD_ASSERT(o->epoch_max >= 1 && o->workers >= 1);
    kd_pipeline *p = calloc(1, sizeof *p);
    if (p == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the pipeline");
    p->opt = *o;
    p->source = source;
    p->rec = rec;
    p->sink = sink;
    p->epoch = 1;
    p->time = KD_MS_NONE;
    p->members_cap = power_of_two(o->epoch_max * 2);
    p->members = calloc(p->members_cap, sizeof *p->members);
    p->asks = calloc(o->epoch_max, sizeof *p->asks);
    p->space = calloc(o->workers, sizeof *p->space);
    p->answers = calloc(o->workers, sizeof *p->answers);
    p->text = kd_arena_new(0);
    p->kept_text = kd_arena_new(0);
    kd_rc rc = KD_OK;
    if (p->members == NULL || p->asks == NULL || p->space == NULL || p->answers == NULL ||
        p->text == NULL || p->kept_text == NULL)
        rc = kd_fail(err, KD_ENOMEM, "no memory for epochs of %u records", o->epoch_max);
    if (rc == KD_OK)
        rc = kd_pool_new(o->workers, &p->pool, err);
    for (uint32_t k = 0; rc == KD_OK && k < o->workers; k++) {
        p->answers[k] = kd_arena_new(0);
        rc = p->answers[k] == NULL ? kd_fail(err, KD_ENOMEM, "no memory for worker %u", k)
                                   : kd_reader_space_new(rec, &p->space[k], err);
    }
    if (rc != KD_OK) {
        kd_pipeline_free(p);
        return rc;
    }
    *out = p;
    return KD_OK;
}

void kd_pipeline_free(kd_pipeline *p)
{
    if (p == NULL)
        return;
    kd_pool_free(p->pool);
    for (uint32_t k = 0; k < p->opt.workers; k++) {
        if (p->space != NULL)
            kd_reader_space_free(p->space[k]);
        if (p->answers != NULL)
            kd_arena_free(p->answers[k]);
    }
    kd_arena_free(p->text);
    kd_arena_free(p->kept_text);
    free(p->space);
    free(p->answers);
    free(p->members);
    free(p->asks);
    free(p);
}

const kd_counts *kd_pipeline_counts(const kd_pipeline *p)
{
    return &p->counts;
}

bool kd_pipeline_between(const kd_pipeline *p, const kd_pos **out_pending)
{
    *out_pending = p->has_kept ? &p->kept.pos : NULL;
    return p->stage == FILLING && p->n_records == 0 && !p->has_bad;
}

kd_ms kd_pipeline_time(const kd_pipeline *p)
{
    return p->time;
}

bool kd_pipeline_blocked(const kd_pipeline *p)
{
    return p->stage == EMITTING;
}

/* -- the cut ------------------------------------------------------------------------------------
 */

/* The place of the shopper among this epoch's; an entry of another epoch is free. */
static member *find_member(kd_pipeline *p, kd_str id, uint64_t hash)
{
    uint32_t mask = p->members_cap - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        member *m = &p->members[at];
        if (m->epoch != p->epoch || (m->hash == hash && kd_str_eq(m->id, id)))
            return m;
    }
}

/* True if the record belongs to the unit just before it: the same shopper, in one basket or at one
 * time. */
static bool continues_unit(const kd_pipeline *p, const kd_record *r, kd_str shopper)
{
    if (!p->has_unit || !kd_str_eq(p->unit.shopper, shopper))
        return false;
    bool same_basket =
        r->order_id.p != NULL && p->unit.order.p != NULL && kd_str_eq(r->order_id, p->unit.order);
    return same_basket || r->time == p->unit.time;
}

/* True if the record must wait for the next epoch. */
static bool closes_epoch(kd_pipeline *p, const kd_record *r, kd_str shopper, uint64_t hash)
{
    if (p->n_records >= p->opt.epoch_max)
        return true;
    if (r->type == KD_CATALOG)
        return false;
    if (find_member(p, shopper, hash)->epoch != p->epoch)
        return false;
    return r->type == KD_FORGET || !continues_unit(p, r, shopper);
}

static kd_rc push_back(kd_pipeline *p, const kd_record *r, kd_err *err)
{
    if (p->has_kept)
        return KD_OK; /* it is the one that was pushed back before */
    kd_arena_reset(p->kept_text);
    KD_TRY(kd_record_copy(r, p->kept_text, &p->kept, err));
    p->has_kept = true;
    return KD_OK;
}

/* -- apply --------------------------------------------------------------------------------------
 */

static void count_record(kd_counts *c, const kd_record *r, const kd_applied *a)
{
    static const size_t actions[KD_ACTIONS] = {
        [KD_VIEW] = offsetof(kd_counts, views),          [KD_LIKE] = offsetof(kd_counts, likes),
        [KD_CART] = offsetof(kd_counts, carts),          [KD_PAID] = offsetof(kd_counts, paid),
        [KD_CANCELLED] = offsetof(kd_counts, cancelled),
    };
    if (r->type == KD_CATALOG)
        c->catalog++;
    else if (r->type == KD_FORGET)
        c->forgets++;
    else
        (*(int64_t *)(void *)((char *)c + actions[r->action]))++;
    c->late += a->late;
    c->refused += a->refused;
}

static kd_rc copy_query(kd_pipeline *p, const kd_record *r, kd_str shopper, kd_query *q,
                        kd_err *err)
{
    q->time = r->time;
    q->trigger = r->pos;
    q->shopper_id = shopper; /* already in p->text */
    KD_TRY(kd_arena_str(p->text, r->item_id, &q->item_id, err));
    return kd_arena_str(p->text, r->event_id, &q->event_id, err);
}

static kd_rc ask_forget(kd_pipeline *p, const kd_record *r, kd_str shopper, const kd_applied *a,
                        kd_err *err)
{
    if (!r->emit)
        return KD_OK;
    ask *x = &p->asks[p->n_asks];
    *x = (ask){.kind = ASK_FORGET, .receipt = a->receipt};
    KD_TRY(kd_arena_str(p->text, shopper, &x->query.shopper_id, err));
    KD_TRY(kd_arena_str(p->text, r->event_id, &x->receipt.request_id, err));
    memcpy(x->shopper_hash, a->shopper_hash, sizeof x->shopper_hash);
    x->receipt.shopper_hash = kd_str_of(x->shopper_hash);
    p->n_asks++;
    return KD_OK;
}

/* A browse or purchase event: opens a unit, or takes the place of the one before it in its unit. */
static kd_rc ask_list(kd_pipeline *p, const kd_record *r, kd_str shopper, uint64_t hash,
                      bool is_due, kd_err *err)
{
    bool continues = continues_unit(p, r, shopper);
    if (!continues) {
        p->unit = (unit){.ask = NO_ASK};
        KD_TRY(kd_arena_str(p->text, shopper, &p->unit.shopper, err));
        member *m = find_member(p, shopper, hash);
        *m = (member){hash, p->unit.shopper, p->epoch};
        p->has_unit = true;
    }
    KD_TRY(kd_arena_str(p->text, r->order_id, &p->unit.order, err));
    p->unit.time = r->time;
    if (!is_due)
        return KD_OK;
    if (p->unit.ask == NO_ASK)
        p->unit.ask = p->n_asks++;
    else
        p->counts.coalesced++;
    ask *x = &p->asks[p->unit.ask];
    *x = (ask){.kind = ASK_LIST};
    return copy_query(p, r, p->unit.shopper, &x->query, err);
}

static kd_rc apply(kd_pipeline *p, const kd_record *r, kd_str shopper, uint64_t hash, kd_err *err)
{
    kd_applied a;
    KD_TRY(kd_recommender_apply(p->rec, r, &a, err));
    p->n_records++;
    p->time = r->time;
    count_record(&p->counts, r, &a);
    if (r->type == KD_CATALOG)
        return KD_OK;
    if (r->type != KD_FORGET)
        return ask_list(p, r, shopper, hash, r->emit && !a.refused && !p->opt.is_silent, err);
    p->has_unit = false;
    return ask_forget(p, r, shopper, &a, err);
}

/* -- bad records --------------------------------------------------------------------------------
 */

/* KD_AGAIN: the sink is full; the caller keeps the letter and comes back. */
static kd_rc dead_letter(kd_pipeline *p, const kd_record *r, const kd_err *why, kd_err *err)
{
    if (r->emit) {
        char message[sizeof why->where + sizeof why->msg + 2];
        size_t n = 0;
        if (why->where[0] != '\0') {
            n = strlen(why->where);
            memcpy(message, why->where, n);
            message[n++] = ':';
            message[n++] = ' ';
        }
        memcpy(message + n, why->msg, strlen(why->msg) + 1);
        kd_dead_letter d = {.pos = r->pos,
                            .reason = why->reason,
                            .message = message,
                            .key = r->raw_key,
                            .value = r->raw_value,
                            .key_len = r->raw_key_len,
                            .value_len = r->raw_value_len};
        kd_out out = {.type = KD_OUT_DEAD_LETTER, .dead_letter = &d};
        KD_TRY(p->sink->kind->write(p->sink, &out, err));
    }
    p->counts.dead_letters++;
    p->counts.dead_by_reason[why->reason]++;
    if (p->opt.max_dead_letters >= 0 && p->counts.dead_letters > p->opt.max_dead_letters) {
        kd_bad(err, why->reason, "more than %lld dead letters; the last one: %s",
               (long long)p->opt.max_dead_letters, why->msg);
        kd_err_at(err, "%s", why->where);
        return KD_EDATA;
    }
    return KD_OK;
}

static kd_rc bury(kd_pipeline *p, const kd_record *r, const kd_err *why, kd_err *err)
{
    kd_record bad = *r;
    kd_err reason = *why;
    kd_rc rc = dead_letter(p, &bad, &reason, err);
    p->has_bad = rc == KD_AGAIN;
    if (p->has_bad) {
        p->bad = bad;
        p->bad_err = reason;
    }
    return rc;
}

/* -- step 1 and 2: fill and apply ----------------------------------------------------------------
 */

/* KD_OK: the epoch is closed (and may be empty); others as kd_pipeline_step. */
static kd_rc fill(kd_pipeline *p, kd_err *err)
{
    if (p->has_bad)
        KD_TRY(bury(p, &p->bad, &p->bad_err, err));
    for (;;) {
        kd_record next;
        const kd_record *r = &next;
        kd_err why = {0};
        kd_rc rc = KD_OK;
        if (p->has_kept)
            r = &p->kept;
        else
            rc = p->source->kind->next(p->source, &next, &why);
        if (rc == KD_END) {
            p->is_over = true;
            return KD_OK;
        }
        if (rc == KD_AGAIN || rc == KD_RETRY) {
            if (p->opt.drain && p->n_records > 0)
                return KD_OK; /* what is here is answered first; the source says it again */
            if (err != NULL)
                *err = why;
            return rc;
        }
        if (rc == KD_OK && !p->has_kept)
            p->counts.records++;
        kd_str shopper = KD_STR_NULL;
        if (rc == KD_OK && r->type != KD_CATALOG) {
            shopper = kd_recommender_shopper(p->rec, r);
            if (shopper.p == NULL) {
                rc = kd_bad(&why, KD_REASON_NO_SHOPPER, "the record names no shopper");
                kd_err_at(&why, "%s[%d]@%lld", r->pos.topic, r->pos.partition,
                          (long long)r->pos.offset);
            }
        } else if (rc == KD_EDATA) {
            p->counts.records++;
        }
        if (rc == KD_EDATA) {
            KD_TRY(bury(p, r, &why, err));
            continue;
        }
        if (rc != KD_OK) {
            if (err != NULL)
                *err = why;
            return rc;
        }
        uint64_t hash = kd_hash64(shopper.p, shopper.n, 0);
        if (closes_epoch(p, r, shopper, hash))
            return push_back(p, r, err);
        KD_TRY(apply(p, r, shopper, hash, err));
        p->has_kept = false;
    }
}

/* -- step 3: recommend ----------------------------------------------------------------------------
 */

static void answer(void *arg, uint32_t worker, uint32_t index)
{
    kd_pipeline *p = arg;
    ask *x = &p->asks[index];
    if (x->kind == ASK_LIST)
        x->rc = kd_recommender_answer(p->rec, p->space[worker], &x->query, p->answers[worker],
                                      &x->update, NULL, &x->err);
}

static kd_rc recommend(kd_pipeline *p, kd_err *err)
{
    KD_TRY(kd_recommender_prepare(p->rec, err));
    kd_pool_run(p->pool, p->n_asks, answer, p);
    for (uint32_t k = 0; k < p->n_asks; k++) {
        if (p->asks[k].rc == KD_OK)
            continue;
        if (err != NULL)
            *err = p->asks[k].err;
        return p->asks[k].rc;
    }
    return KD_OK;
}

/* -- step 4: emit ---------------------------------------------------------------------------------
 */

static kd_rc write_out(kd_pipeline *p, const kd_out *out, kd_err *err)
{
    return p->sink->kind->write(p->sink, out, err);
}

/* ask_step remembers how far an ask got before the sink was full. */
static kd_rc emit_one(kd_pipeline *p, const ask *x, kd_err *err)
{
    if (x->kind == ASK_FORGET) {
        if (p->ask_step == 0) {
            kd_out out = {.type = KD_OUT_FORGOTTEN, .forgotten = x->query.shopper_id};
            KD_TRY(write_out(p, &out, err));
            p->ask_step = 1;
        }
        kd_out out = {.type = KD_OUT_RECEIPT, .receipt = &x->receipt};
        return write_out(p, &out, err);
    }
    if (p->ask_step == 0) {
        p->counts.answers++;
        if (!p->opt.emit_always && !kd_recommender_is_news(p->rec, &x->update))
            return KD_OK;
        p->ask_step = 1;
    }
    kd_out out = {.type = KD_OUT_UPDATE, .update = &x->update};
    KD_TRY(write_out(p, &out, err));
    p->counts.updates++;
    return KD_OK;
}

static kd_rc emit(kd_pipeline *p, kd_err *err)
{
    for (; p->next_ask < p->n_asks; p->next_ask++) {
        KD_TRY(emit_one(p, &p->asks[p->next_ask], err));
        p->ask_step = 0;
    }
    return KD_OK;
}

static void end_epoch(kd_pipeline *p)
{
    p->source->kind->release(p->source);
    kd_arena_reset(p->text);
    for (uint32_t k = 0; k < p->opt.workers; k++)
        kd_arena_reset(p->answers[k]);
    p->counts.epochs += p->n_records > 0;
    p->n_asks = p->next_ask = p->ask_step = 0;
    p->n_records = 0;
    p->has_unit = false;
    p->epoch++;
    p->stage = FILLING;
}

kd_rc kd_pipeline_step(kd_pipeline *p, kd_err *err)
{
    if (p->stage == FILLING) {
        if (p->is_over && !p->has_kept && !p->has_bad)
            return KD_END;
        KD_TRY(fill(p, err));
        KD_TRY(recommend(p, err));
        p->stage = EMITTING;
    }
    KD_TRY(emit(p, err));
    bool is_empty = p->n_records == 0;
    end_epoch(p);
    return is_empty && p->is_over ? KD_END : KD_OK;
}
