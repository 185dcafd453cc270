#include "topology/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/recent.h"
#include "operators/published.h"
#include "schemas/avro.h"
#include "topology/pool.h"
#include "topology/similar.h"

enum { RATES = 1 << 16 }; /* shoppers whose rate is known */

/* What an applied record leaves to be emitted, in the order of the records. */
typedef enum ask_kind {
    ASK_LIST,   /* a list for the shopper: the last record of a unit */
    ASK_FORGET, /* a null for the shopper, and a receipt */
} ask_kind;

typedef struct ask {
    ask_kind kind;
    kd_query query;     /* LIST; of FORGET the shopper_id only */
    uint32_t term;      /* LIST */
    kd_receipt receipt; /* FORGET */
    char shopper_hash[65];
    const kd_str *sessions; /* FORGET: [receipt.sessions] nulls for these too */
    kd_update update;       /* LIST: the answer */
    uint32_t fingerprint;   /* of the answer, unless every one is published */
    kd_str encoded;         /* null, or its bytes */
    kd_needs needs;         /* LIST, where needs are published */
    kd_similar near;        /* LIST, where neighbour lists are published */
    kd_rc rc;
    kd_err err;
} ask;

#define NO_ASK UINT32_MAX

/* A record of the open epoch, between the cut and apply. Its strings are the source's until
 * release.
 */
typedef struct entry {
    kd_record rec;
    kd_str shopper; /* null for a catalogue record */
    uint32_t first; /* the entry that opened its unit, or that it is coalesced with */
    uint32_t ask;   /* of the first one: where the answer is, or NO_ASK */
    bool is_over_rate;
    kd_ahead ahead;
} entry;

/* A shopper of the open epoch. */
typedef struct member {
    uint64_t hash;
    kd_str id;
    uint64_t epoch; /* 0 = empty, or of an epoch gone by */
    uint32_t first; /* its last unit's first entry */
} member;

/* How many events of a shopper there were in one minute. */
typedef struct rate {
    int64_t minute;
    int64_t n;
} rate;

typedef enum stage { FILLING, EMITTING } stage;

struct kd_pipeline {
    kd_pipeline_options opt;
    kd_source *source;   /* borrowed */
    kd_recommender *rec; /* borrowed */
    kd_sink *sink;       /* borrowed */
    kd_pool *pool;
    kd_reader_space **space; /* [workers] */
    kd_arena **answers;      /* [workers] lists of the epoch, or their bytes */
    kd_arena **list;         /* [workers] one list, if its bytes are all that is kept */
    kd_buf *bytes;           /* [workers] of one list */
    kd_arena *text;          /* ids of forgotten sessions */
    kd_similars *similars;   /* NULL = not published */
    kd_similar *similar;     /* [cap_similar] to be published after the updates */
    kd_rc *similar_rc;       /* [cap_similar] */
    uint32_t n_similar, next_similar, cap_similar;
    kd_arena *kept_text[2]; /* records that were pushed back: this epoch's first, the next one's */
    entry kept;
    bool has_kept;
    kd_record
        bad; /* a bad record whose letter the sink had no room for; raw bytes are the source's */
    kd_err bad_err;
    bool has_bad;
    stage stage;
    ask *asks; /* [epoch_max] */
    uint32_t n_asks, n_forgets, next_ask, ask_step;
    entry *entries; /* [epoch_max + 1] the open epoch, and room for the record that is looked at */
    uint32_t n_entries;
    bool has_emit;    /* a record of the open epoch is to be answered */
    uint32_t last;    /* the last entry that is not a catalogue record, or NO_ASK */
    kd_recent *rates; /* NULL = no limit */
    member *members;  /* [members_cap], a power of two; open addressing */
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
    p->list = calloc(o->workers, sizeof *p->list);
    p->bytes = calloc(o->workers, sizeof *p->bytes);
    p->entries = calloc((size_t)o->epoch_max + 1, sizeof *p->entries);
    p->last = NO_ASK;
    p->text = kd_arena_new(0);
    p->kept_text[0] = kd_arena_new(0);
    p->kept_text[1] = kd_arena_new(0);
    kd_rc rc = KD_OK;
    if (o->rate_max > 0)
        rc = kd_recent_new(RATES, sizeof(rate), &p->rates, err);
    kd_similar_options so = {o->similar_count, o->similar_threshold, o->similar_fanout};
    if (rc == KD_OK && so.count > 0)
        rc = kd_similars_new(&so, &p->similars, err);
    if (p->members == NULL || p->asks == NULL || p->space == NULL || p->answers == NULL ||
        p->list == NULL || p->bytes == NULL || p->entries == NULL || p->text == NULL ||
        p->kept_text[0] == NULL || p->kept_text[1] == NULL)
        rc = kd_fail(err, KD_ENOMEM, "no memory for epochs of %u records", o->epoch_max);
    if (rc == KD_OK)
        rc = kd_pool_new(o->workers, &p->pool, err);
    for (uint32_t k = 0; rc == KD_OK && k < o->workers; k++) {
        p->answers[k] = kd_arena_new(0);
        p->list[k] = kd_arena_new(0);
        rc = p->answers[k] == NULL || p->list[k] == NULL
                 ? kd_fail(err, KD_ENOMEM, "no memory for worker %u", k)
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
        if (p->list != NULL)
            kd_arena_free(p->list[k]);
        if (p->bytes != NULL)
            kd_buf_dispose(&p->bytes[k]);
    }
    kd_arena_free(p->kept_text[0]);
    kd_arena_free(p->kept_text[1]);
    kd_arena_free(p->text);
    kd_similars_free(p->similars);
    free(p->similar);
    free(p->similar_rc);
    kd_recent_free(p->rates);
    free(p->entries);
    free(p->space);
    free(p->answers);
    free(p->list);
    free(p->bytes);
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
    *out_pending = p->has_kept ? &p->kept.rec.pos : NULL;
    return p->stage == FILLING && p->n_entries == 0 && !p->has_bad;
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
static bool continues_unit(const kd_pipeline *p, const entry *x)
{
    const entry *last = p->last == NO_ASK ? NULL : &p->entries[p->last];
    if (last == NULL || last->rec.type == KD_FORGET || !kd_str_eq(last->shopper, x->shopper))
        return false;
    bool same_basket = x->rec.order_id.p != NULL && last->rec.order_id.p != NULL &&
                       kd_str_eq(x->rec.order_id, last->rec.order_id);
    return same_basket || x->rec.time == last->rec.time;
}

/* Counts the event. True if its shopper has more than rate_max of its minute. Minutes gone by are
 * not counted any more. */
static bool is_over_rate(kd_pipeline *p, const kd_record *r, uint64_t hash)
{
    if (p->rates == NULL)
        return false;
    enum { MINUTE = 60000 };
    int64_t minute = r->time / MINUTE;
    rate *x = kd_recent_use(p->rates, hash);
    if (x->minute < minute)
        *x = (rate){.minute = minute};
    return x->minute == minute && ++x->n > p->opt.rate_max;
}

/* True if the record must wait for the next epoch. */
static bool closes_epoch(kd_pipeline *p, const entry *x, uint64_t hash)
{
    if (p->n_entries >= p->opt.epoch_max)
        return true;
    if (!x->rec.emit && !p->has_emit)
        return false; /* nobody's list is due: a log that is only read needs no cuts */
    if (x->rec.type == KD_CATALOG || find_member(p, x->shopper, hash)->epoch != p->epoch)
        return false;
    return x->rec.type == KD_FORGET || (!x->is_over_rate && !continues_unit(p, x));
}

static kd_rc push_back(kd_pipeline *p, const entry *x, kd_err *err)
{
    if (p->has_kept)
        return KD_OK; /* it is the one that was pushed back before */
    /* The one kept before may be in the epoch that now closes, with its strings. */
    kd_arena *text = p->kept_text[1];
    p->kept_text[1] = p->kept_text[0];
    p->kept_text[0] = text;
    kd_arena_reset(text);
    p->kept = *x;
    KD_TRY(kd_record_copy(&x->rec, text, &p->kept.rec, err));
    if (x->rec.type != KD_CATALOG)
        p->kept.shopper = kd_recommender_shopper(p->rec, &p->kept.rec);
    p->has_kept = true;
    return KD_OK;
}

/* Takes the record into the epoch; fill() has read it right where it belongs, but for a kept one.
 */
static void admit(kd_pipeline *p, const entry *x, uint64_t hash)
{
    uint32_t k = p->n_entries++;
    entry *e = &p->entries[k];
    if (e != x)
        *e = *x;
    p->has_emit |= x->rec.emit;
    e->ask = NO_ASK;
    e->first = k;
    if (x->rec.type == KD_CATALOG)
        return;
    bool is_unit = x->rec.type != KD_FORGET && continues_unit(p, x);
    if (is_unit)
        e->first = p->entries[p->last].first;
    p->last = k;
    if (x->rec.type == KD_FORGET || !p->has_emit)
        return; /* nobody's list is due: whoever comes back then finds nobody */
    member *m = find_member(p, x->shopper, hash);
    if (!is_unit && x->is_over_rate && m->epoch == p->epoch) {
        e->first = m->first;
        p->counts.over_rate++;
    }
    *m = (member){hash, x->shopper, p->epoch, e->first};
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

static kd_rc ask_forget(kd_pipeline *p, const entry *e, const kd_applied *a, kd_err *err)
{
    if (!e->rec.emit)
        return KD_OK;
    size_t n = (size_t)a->receipt.sessions;
    kd_str *sessions = kd_arena_alloc(p->text, (n + 1) * sizeof *sessions);
    if (sessions == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %zu sessions", n);
    for (size_t k = 0; k < n; k++)
        KD_TRY(kd_arena_str(p->text, a->sessions[k], &sessions[k], err));
    ask *x = &p->asks[p->n_asks++];
    p->n_forgets++;
    *x = (ask){.kind = ASK_FORGET,
               .query.shopper_id = e->shopper,
               .sessions = sessions,
               .receipt = a->receipt};
    memcpy(x->shopper_hash, a->shopper_hash, sizeof x->shopper_hash);
    x->receipt.shopper_hash = kd_str_of(x->shopper_hash);
    return KD_OK;
}

/* The answer is due: the unit's first one makes its place, the last one is what is asked. */
static void ask_list(kd_pipeline *p, const entry *e)
{
    entry *first = &p->entries[e->first];
    if (first->ask == NO_ASK)
        first->ask = p->n_asks++;
    else
        p->counts.coalesced++;
    p->asks[first->ask] = (ask){.kind = ASK_LIST,
                                .term = e->rec.term,
                                .query = {.shopper_id = e->shopper,
                                          .time = e->rec.time,
                                          .item_id = e->rec.item_id,
                                          .trigger = e->rec.pos,
                                          .event_id = e->rec.event_id}};
}

static kd_rc apply_one(kd_pipeline *p, const entry *e, kd_err *err)
{
    kd_applied a;
    KD_TRY(kd_recommender_apply_named(p->rec, &e->rec, &e->ahead, &a, err));
    p->time = e->rec.time;
    count_record(&p->counts, &e->rec, &a);
    if (e->rec.type == KD_FORGET)
        return ask_forget(p, e, &a, err);
    if (e->rec.type != KD_CATALOG && e->rec.emit && !a.refused && !p->opt.is_silent)
        ask_list(p, e);
    return KD_OK;
}

/* In order, one writer; what the records further on will touch is fetched meanwhile. */
static kd_rc apply(kd_pipeline *p, kd_err *err)
{
    enum { APART = 4, AHEAD = APART * KD_AHEAD_STEPS };
    uint32_t n = p->n_entries;
    for (uint32_t k = 0; k < n + AHEAD; k++) {
        for (uint32_t step = 0; step < KD_AHEAD_STEPS; step++) {
            uint32_t at = k - step * APART; /* wraps below 0 */
            if (at < n)
                kd_recommender_ahead(p->rec, &p->entries[at].rec, (int)step, &p->entries[at].ahead);
        }
        if (k >= AHEAD)
            KD_TRY(apply_one(p, &p->entries[k - AHEAD], err));
    }
    return KD_OK;
}

/* -- bad records --------------------------------------------------------------------------------
 */

/* One of each reason: who runs this should not have to read the topic to see what is wrong, and a
 * topic full of them should not fill the log. */
static void say_first(const kd_pipeline *p, const kd_record *r, const kd_err *why)
{
    char text[sizeof why->msg + 400], place[300];
    if (p->opt.on_notice == NULL || p->counts.dead_by_reason[why->reason] != 1)
        return;
    if (why->where[0] != '\0') /* a file's line */
        snprintf(place, sizeof place, "%s", why->where);
    else
        snprintf(place, sizeof place, "%.250s[%d]@%lld", r->pos.topic, (int)r->pos.partition,
                 (long long)r->pos.offset);
    snprintf(text, sizeof text,
             "dead letter (%s, the first of this reason; the others are counted): %s: %s",
             kd_reason_text(why->reason), place, why->msg);
    p->opt.on_notice(p->opt.notice_arg, text);
}

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
    say_first(p, r, why);
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

/* -- step 1: fill -----------------------------------------------------------------------------
 */

/* KD_OK: the epoch is closed (and may be empty); others as kd_pipeline_step. */
static kd_rc fill(kd_pipeline *p, kd_err *err)
{
    if (p->has_bad)
        KD_TRY(bury(p, &p->bad, &p->bad_err, err));
    for (;;) {
        entry *next = &p->entries[p->n_entries];
        const entry *x = p->has_kept ? &p->kept : next;
        kd_err why = {0};
        kd_rc rc = KD_OK;
        if (!p->has_kept) {
            next->shopper = KD_STR_NULL;
            next->is_over_rate = false;
            rc = p->source->kind->next(p->source, &next->rec, &why);
        }
        if (rc == KD_END) {
            p->is_over = true;
            return KD_OK;
        }
        if (rc == KD_AGAIN || rc == KD_RETRY) {
            if (p->opt.drain && p->n_entries > 0)
                return KD_OK; /* what is here is answered first; the source says it again */
            if (err != NULL)
                *err = why;
            return rc;
        }
        if (!p->has_kept && (rc == KD_OK || rc == KD_EDATA))
            p->counts.records++;
        if (!p->has_kept && rc == KD_OK && next->rec.type != KD_CATALOG) {
            next->shopper = kd_recommender_shopper(p->rec, &next->rec);
            if (next->shopper.p == NULL) {
                rc = kd_bad(&why, KD_REASON_NO_SHOPPER, "the record names no shopper");
                kd_err_at(&why, "%s[%d]@%lld", next->rec.pos.topic, next->rec.pos.partition,
                          (long long)next->rec.pos.offset);
            }
        }
        if (rc == KD_EDATA) {
            KD_TRY(bury(p, &next->rec, &why, err));
            continue;
        }
        if (rc != KD_OK) {
            if (err != NULL)
                *err = why;
            return rc;
        }
        bool is_asked = x->rec.emit || p->has_emit; /* else nothing of this costs anything */
        uint64_t hash = is_asked ? kd_hash64(x->shopper.p, x->shopper.n, 0) : 0;
        if (!p->has_kept && next->rec.type <= KD_PURCHASE && next->rec.emit)
            next->is_over_rate = is_over_rate(p, &next->rec, hash);
        if (closes_epoch(p, x, hash))
            return push_back(p, x, err);
        if (p->has_kept && p->kept.rec.emit && p->source->kind->is_due != NULL)
            p->kept.rec.emit = p->source->kind->is_due(p->source, &p->kept.rec.pos);
        admit(p, x, hash);
        p->has_kept = false;
    }
}

/* -- step 3: recommend ----------------------------------------------------------------------------
 */

/* True if of a list nothing but its bytes is kept: then the next one takes its place in the cache.
 */
static bool keeps_bytes(const kd_pipeline *p)
{
    return p->sink->takes_encoded && p->similars == NULL;
}

static kd_rc encode(kd_pipeline *p, uint32_t worker, ask *x)
{
    kd_buf *b = &p->bytes[worker];
    kd_buf_clear(b);
    kd_update_encode(&x->update, b);
    if (b->failed)
        return kd_fail(&x->err, KD_ENOMEM, "no memory for an update");
    return kd_arena_str(p->answers[worker], kd_buf_str(b), &x->encoded, &x->err);
}

/* True if the list may be published. Sessions of a shopper that is forgotten in this epoch are news
 * once its nulls are out. */
static bool may_be_news(const kd_pipeline *p, const ask *x)
{
    return p->opt.emit_always || p->n_forgets > 0 ||
           kd_recommender_differs(p->rec, x->query.shopper_id, x->fingerprint);
}

static kd_rc answer_one(kd_pipeline *p, uint32_t worker, ask *x)
{
    kd_arena *kept = p->answers[worker], *list = keeps_bytes(p) ? p->list[worker] : kept;
    kd_rc rc = kd_recommender_answer(p->rec, p->space[worker], &x->query, list, &x->update,
                                     p->similars == NULL ? NULL : &x->near, &x->err);
    if (rc == KD_OK && !p->opt.emit_always)
        x->fingerprint = kd_published_of(&x->update, x->term);
    if (list != kept) {
        if (rc == KD_OK && may_be_news(p, x))
            rc = encode(p, worker, x);
        x->update.items = NULL;
        x->update.n_items = 0;
        kd_arena_reset(list);
    }
    if (rc != KD_OK || !p->opt.has_needs)
        return rc;
    return kd_recommender_needs(p->rec, p->space[worker], &x->query, kept, &x->needs, &x->err);
}

static void answer(void *arg, uint32_t worker, uint32_t index)
{
    kd_pipeline *p = arg;
    ask *x = &p->asks[index];
    if (x->kind == ASK_LIST)
        x->rc = answer_one(p, worker, x);
}

/* -- neighbour lists -- */

static bool is_answered(void *arg, kd_str shopper, uint64_t hash)
{
    kd_pipeline *p = arg;
    return find_member(p, shopper, hash)->epoch == p->epoch;
}

static void look_again(void *arg, uint32_t worker, uint32_t index)
{
    kd_pipeline *p = arg;
    uint32_t n;
    kd_query q = {.shopper_id = kd_similars_queued(p->similars, &n)[index], .time = p->time};
    p->similar_rc[index] = kd_recommender_neighbours(p->rec, p->space[worker], &q,
                                                     p->answers[worker], &p->similar[index], NULL);
}

/* What is to be published of neighbour lists when the updates are out. */
static kd_rc find_similar(kd_pipeline *p, kd_err *err)
{
    for (uint32_t k = 0; k < p->n_asks; k++) {
        ask *x = &p->asks[k];
        if (x->kind == ASK_LIST) {
            p->counts.similar_dropped += kd_similars_queue(p->similars, &x->near, is_answered, p);
            continue;
        }
        KD_TRY(kd_similars_forget(p->similars, p->rec, x->query.shopper_id, err));
        for (int64_t s = 0; s < x->receipt.sessions; s++)
            KD_TRY(kd_similars_forget(p->similars, p->rec, x->sessions[s], err));
    }
    uint32_t n, cap = p->cap_similar;
    (void)kd_similars_queued(p->similars, &n);
    if (!kd_grow((void **)&p->similar_rc, &cap, n + p->n_asks, sizeof *p->similar_rc) ||
        !kd_grow((void **)&p->similar, &p->cap_similar, n + p->n_asks, sizeof *p->similar))
        return kd_fail(err, KD_ENOMEM, "no memory for %u neighbour lists", n + p->n_asks);
    kd_pool_run(p->pool, n, look_again, p);
    p->counts.similar_fanout += n;
    uint32_t news = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (p->similar_rc[k] != KD_OK)
            return kd_fail(err, p->similar_rc[k], "no memory for a neighbour list");
        if (kd_similars_is_news(p->similars, p->rec, &p->similar[k]))
            p->similar[news++] = p->similar[k];
    }
    for (uint32_t k = 0; k < p->n_asks; k++)
        if (p->asks[k].kind == ASK_LIST &&
            kd_similars_is_news(p->similars, p->rec, &p->asks[k].near))
            p->similar[news++] = p->asks[k].near;
    p->n_similar = news;
    return KD_OK;
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
    return p->similars == NULL || p->n_asks == 0 ? KD_OK : find_similar(p, err);
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
        for (; p->ask_step <= x->receipt.sessions; p->ask_step++) {
            kd_str id = p->ask_step == 0 ? x->query.shopper_id : x->sessions[p->ask_step - 1];
            kd_out out = {.type = KD_OUT_FORGOTTEN, .forgotten = id};
            KD_TRY(write_out(p, &out, err));
            kd_recommender_unpublish(p->rec, id);
        }
        kd_out out = {.type = KD_OUT_RECEIPT, .receipt = &x->receipt};
        return write_out(p, &out, err);
    }
    if (p->ask_step == 0) {
        p->counts.answers++;
        bool is_left_out = keeps_bytes(p) && x->encoded.p == NULL; /* nothing new, a worker found */
        bool is_news =
            p->opt.emit_always ||
            (!is_left_out && kd_recommender_is_news(p->rec, x->query.shopper_id, x->fingerprint));
        p->ask_step = is_news ? 1 : 2;
    }
    if (p->ask_step == 1) {
        kd_out out = {.type = KD_OUT_UPDATE, .encoded = x->encoded, .update = &x->update};
        KD_TRY(write_out(p, &out, err));
        p->counts.updates++;
        p->ask_step = 2;
    }
    if (!p->opt.has_needs ||
        (p->ask_step == 2 && !kd_recommender_needs_are_news(p->rec, &x->needs, x->term)))
        return KD_OK;
    p->ask_step = 3;
    kd_out out = {.type = KD_OUT_NEEDS, .needs = &x->needs};
    KD_TRY(write_out(p, &out, err));
    p->counts.needs++;
    return KD_OK;
}

static kd_rc emit(kd_pipeline *p, kd_err *err)
{
    for (; p->next_ask < p->n_asks; p->next_ask++) {
        KD_TRY(emit_one(p, &p->asks[p->next_ask], err));
        p->ask_step = 0;
    }
    for (; p->next_similar < p->n_similar; p->next_similar++) {
        kd_out out = {.type = KD_OUT_SIMILAR, .similar = &p->similar[p->next_similar]};
        KD_TRY(write_out(p, &out, err));
        p->counts.similar++;
    }
    return KD_OK;
}

static void end_epoch(kd_pipeline *p)
{
    p->source->kind->release(p->source);
    for (uint32_t k = 0; k < p->opt.workers; k++)
        kd_arena_reset(p->answers[k]);
    p->counts.epochs += p->n_entries > 0;
    p->n_asks = p->n_forgets = p->next_ask = p->ask_step = 0;
    p->n_entries = 0;
    p->has_emit = false;
    p->n_similar = p->next_similar = 0;
    p->last = NO_ASK;
    kd_arena_reset(p->text);
    if (p->similars != NULL)
        kd_similars_end_epoch(p->similars);
    p->epoch++;
    p->stage = FILLING;
}

kd_rc kd_pipeline_step(kd_pipeline *p, kd_err *err)
{
    if (p->stage == FILLING) {
        if (p->is_over && !p->has_kept && !p->has_bad)
            return KD_END;
        if (p->n_entries == 0 && !p->has_bad && p->source->kind->serve != NULL)
            p->source->kind->serve(p->source);
        KD_TRY(fill(p, err));
        KD_TRY(apply(p, err));
        KD_TRY(recommend(p, err));
        p->stage = EMITTING;
    }
    KD_TRY(emit(p, err));
    bool is_empty = p->n_entries == 0;
    end_epoch(p);
    return is_empty && p->is_over ? KD_END : KD_OK;
}
