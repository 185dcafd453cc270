#include "topology/protocol.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "evaluation/metric.h"
#include "topology/pool.h"
#include "topology/protocol_internal.h"

kd_protocol_sizes kd_protocol_sizes_of(const kd_protocol *p)
{
    return p->sizes;
}

uint64_t kd_protocol_hash(const kd_protocol *p)
{
    return p->hash;
}

const uint16_t *kd_protocol_theirs(const kd_protocol *p)
{
    return p->theirs;
}

/* -- learning ------------------------------------------------------------------------------------
 */

static kd_str id_of(const kd_protocol *p, uint32_t slot)
{
    return slot == KD_NO_SLOT ? KD_STR_NULL : kd_ids_get(&p->ids, slot);
}

static kd_rc learn_all(const kd_protocol *p, kd_recommender *r, const volatile int *stop,
                       kd_err *err)
{
    for (uint32_t k = 0; k < p->n_train; k++) {
        const kd_learned *x = &p->train[k];
        kd_applied applied;
        kd_record rec;
        if (x->is_whole) {
            rec = *p->whole[x->item];
        } else {
            kd_record_init(&rec, (kd_record_type)x->type);
            rec.action = (kd_action)x->action;
            rec.time = x->time;
            rec.ts = x->ts;
            rec.user_id = id_of(p, x->user);
            rec.session_id = id_of(p, x->session);
            rec.item_id = id_of(p, x->item);
        }
        KD_TRY(kd_recommender_apply(r, &rec, &applied, err));
        if (k % 4096 == 0 && stop != NULL && *stop != 0)
            return kd_fail(err, KD_RETRY, "interrupted while learning");
    }
    return kd_recommender_prepare(r, err);
}

/* -- asking --------------------------------------------------------------------------------------
 */

typedef struct asker {
    kd_reader_space *space;
    kd_arena *arena;
    kd_err err;
    uint32_t n_empty;
} asker;

typedef struct asking {
    const kd_protocol *p;
    const kd_recommender *r;
    asker *askers;
    _Atomic uint8_t *listed; /* by slot of kd_protocol.ids */
    const volatile int *stop;
} asking;

static void ask(void *arg, uint32_t worker, uint32_t index)
{
    const asking *x = arg;
    asker *a = &x->askers[worker];
    const kd_position *at = &x->p->positions[index];
    if (a->err.rc != KD_OK || (x->stop != NULL && *x->stop != 0))
        return;
    const kd_interaction *events = x->p->events + at->first;
    kd_update u;
    if (kd_recommender_ask(x->r, a->space, events, at->n, events[at->n - 1].time, a->arena, &u,
                           NULL, &a->err) == KD_OK) {
        kd_str next = kd_ids_get(&x->p->ids, at->next);
        x->p->ranks[index] = 0;
        a->n_empty += u.n_items == 0;
        for (uint32_t k = u.n_items; k-- > 0;) {
            kd_str id = u.items[k].item_id;
            uint32_t slot = kd_ids_find(&x->p->ids, id, kd_ids_hash(id));
            if (slot != KD_NO_SLOT)
                atomic_store_explicit(&x->listed[slot], 1, memory_order_relaxed);
            if (kd_str_eq(id, next))
                x->p->ranks[index] = (uint16_t)(k + 1);
        }
    }
    kd_arena_reset(a->arena);
}

/* Every position on all workers. */
static kd_rc ask_all(const kd_protocol *p, const kd_recommender *r,
                     const kd_protocol_run_options *o, kd_protocol_result *out, kd_err *err)
{
    asking x = {.p = p, .r = r, .stop = o->stop};
    kd_pool *pool = NULL;
    x.askers = calloc(o->workers, sizeof *x.askers);
    x.listed = calloc((size_t)p->ids.cap + 1, sizeof *x.listed);
    kd_rc rc = x.askers == NULL || x.listed == NULL ? kd_fail(err, KD_ENOMEM, "no memory to ask")
                                                    : kd_pool_new(o->workers, &pool, err);
    for (uint32_t k = 0; rc == KD_OK && k < o->workers; k++) {
        rc = kd_reader_space_new(r, &x.askers[k].space, err);
        x.askers[k].arena = kd_arena_new(0);
        if (rc == KD_OK && x.askers[k].arena == NULL)
            rc = kd_fail(err, KD_ENOMEM, "no memory to ask");
    }
    if (rc == KD_OK)
        kd_pool_run(pool, p->n_positions, ask, &x);
    for (uint32_t k = 0; rc == KD_OK && k < o->workers; k++) {
        out->empty += x.askers[k].n_empty;
        if (x.askers[k].err.rc != KD_OK) {
            rc = x.askers[k].err.rc;
            if (err != NULL)
                *err = x.askers[k].err;
        }
    }
    if (rc == KD_OK && o->stop != NULL && *o->stop != 0)
        rc = kd_fail(err, KD_RETRY, "interrupted while asking");
    for (uint32_t k = 0; rc == KD_OK && k < p->ids.cap; k++)
        out->listed += x.listed[k];
    kd_pool_free(pool);
    for (uint32_t k = 0; x.askers != NULL && k < o->workers; k++) {
        kd_reader_space_free(x.askers[k].space);
        kd_arena_free(x.askers[k].arena);
    }
    free(x.askers);
    free(x.listed);
    return rc;
}

kd_rc kd_protocol_run(kd_protocol *p, const kd_protocol_run_options *o, kd_protocol_result *out,
                      kd_err *err)
{
    kd_protocol_result done = {.ranks = p->ranks};
    kd_recommender *r = NULL;
    kd_ms start = kd_clock_mono_ms();
    kd_rc rc = kd_recommender_new(o->values, &r, err);
    if (rc == KD_OK)
        rc = learn_all(p, r, o->stop, err);
    kd_ms learned = kd_clock_mono_ms();
    if (rc == KD_OK)
        rc = ask_all(p, r, o, &done, err);
    done.learn_ms = learned - start;
    done.ask_ms = kd_clock_mono_ms() - learned;
    for (const kd_stat *s = rc == KD_OK ? kd_recommender_stats(r) : NULL;
         s != NULL && s->name != NULL; s++)
        if (kd_str_eq(kd_str_of(s->name), kd_str_of("items")))
            done.items = (uint32_t)s->value;
    kd_recommender_free(r);
    if (rc == KD_OK)
        *out = done;
    return rc;
}

kd_protocol_figures kd_protocol_figures_at(const uint16_t *ranks, uint32_t n, uint32_t k)
{
    kd_protocol_figures f = {0};
    for (uint32_t j = 0; j < n; j++) {
        uint32_t rank = ranks[j];
        kd_hits h = {.ranks = &rank, .n = rank > 0, .n_relevant = 1};
        f.hit_rate += kd_metric_hit_rate(&h, k);
        f.mrr += kd_metric_mrr(&h, k);
        f.ndcg += kd_metric_ndcg(&h, k);
    }
    f.hit_rate /= n;
    f.mrr /= n;
    f.ndcg /= n;
    return f;
}
