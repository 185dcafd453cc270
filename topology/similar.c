#include "topology/similar.h"

#include <stdlib.h>
#include <string.h>

#include "base/recent.h"
#include "operators/state.h"

enum { REMEMBERED = 1 << 18 };

/* What was last published for a shopper; the key is the hash of its id. */
typedef struct published {
    uint32_t slot;  /* in the state, when it was published: its id, if that still has this hash */
    uint32_t n;     /* hashes in id[] */
    uint64_t epoch; /* in which it was queued, or dropped for the bound */
    bool is_queued;
    bool is_stale; /* names somebody who was forgotten: whatever comes is news */
    uint32_t id[]; /* [count] */
} published;

struct kd_similars {
    kd_similar_options opt;
    kd_recent *last;
    kd_str *queue; /* [cap] */
    uint32_t n, cap;
    uint64_t epoch;
};

kd_rc kd_similars_new(const kd_similar_options *o, kd_similars **out, kd_err *err)
{
    kd_similars *x = calloc(1, sizeof *x);
    if (x == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for neighbour lists");
    x->opt = *o;
    x->epoch = 1;
    size_t bytes = sizeof(published) + o->count * sizeof(uint32_t);
    kd_rc rc = kd_recent_new(REMEMBERED, (bytes + 7) / 8 * 8, &x->last, err);
    if (rc != KD_OK) {
        free(x);
        return rc;
    }
    *out = x;
    return KD_OK;
}

void kd_similars_free(kd_similars *x)
{
    if (x == NULL)
        return;
    kd_recent_free(x->last);
    free(x->queue);
    free(x);
}

static uint64_t hash_of(kd_str id)
{
    return kd_ids_hash(id); /* the one that the state keeps for its slots */
}

static bool holds(const published *p, uint32_t id)
{
    for (uint32_t k = 0; k < p->n; k++)
        if (p->id[k] == id)
            return true;
    return false;
}

bool kd_similars_is_news(kd_similars *x, const kd_recommender *rec, kd_similar *near)
{
    uint64_t key = hash_of(near->shopper_id);
    if (near->n_neighbours > x->opt.count)
        near->n_neighbours = x->opt.count;
    uint32_t n = near->n_neighbours, both = 0;
    published *p = kd_recent_find(x->last, key);
    if (p == NULL && n == 0)
        return false; /* nothing is what a reader takes it for already */
    for (uint32_t k = 0; p != NULL && k < n; k++)
        both += holds(p, (uint32_t)hash_of(near->neighbours[k].shopper_id));
    if (p != NULL) {
        uint32_t most = n > p->n ? n : p->n;
        if (!p->is_stale && (most == 0 || 1.0 - (double)both / most <= x->opt.threshold))
            return false;
    }
    p = kd_recent_use(x->last, key);
    p->slot = kd_state_shopper(kd_recommender_state(rec), near->shopper_id);
    p->n = n;
    p->is_stale = false;
    for (uint32_t k = 0; k < n; k++)
        p->id[k] = (uint32_t)hash_of(near->neighbours[k].shopper_id);
    return true;
}

static bool push(kd_similars *x, kd_str shopper)
{
    if (!kd_grow((void **)&x->queue, &x->cap, x->n + 1, sizeof *x->queue))
        return false;
    x->queue[x->n++] = shopper;
    return true;
}

uint32_t kd_similars_queue(kd_similars *x, const kd_similar *near,
                           bool (*except)(void *arg, kd_str shopper, uint64_t hash), void *arg)
{
    uint32_t dropped = 0;
    for (uint32_t k = 0; k < near->n_neighbours; k++) {
        kd_str id = near->neighbours[k].shopper_id;
        uint64_t key = hash_of(id);
        published *p = kd_recent_find(x->last, key);
        if (p == NULL || p->epoch == x->epoch || except(arg, id, key))
            continue;
        p->epoch = x->epoch;
        p->is_queued = x->n < x->opt.fanout_max && push(x, id);
        dropped += !p->is_queued;
    }
    return dropped;
}

kd_rc kd_similars_forget(kd_similars *x, const kd_recommender *rec, kd_str shopper, kd_err *err)
{
    const kd_state *s = kd_recommender_state(rec);
    uint64_t gone = hash_of(shopper), key;
    uint32_t at = 0;
    kd_recent_drop(x->last, gone);
    for (published *p; (p = kd_recent_next(x->last, &at, &key)) != NULL;) {
        if (!holds(p, (uint32_t)gone))
            continue;
        bool is_here = p->slot < s->hist.cap && s->hist.shopper[p->slot].n > 0 &&
                       s->shoppers.hash[p->slot] == key;
        if (!is_here)
            continue; /* retention has removed him: his list is as old as he is */
        p->is_stale = true;
        if (p->epoch == x->epoch && p->is_queued)
            continue;
        p->epoch = x->epoch;
        p->is_queued = true;
        if (!push(x, kd_ids_get(&s->shoppers, p->slot)))
            return kd_fail(err, KD_ENOMEM, "no memory for neighbour lists");
    }
    return KD_OK;
}

const kd_str *kd_similars_queued(const kd_similars *x, uint32_t *out_n)
{
    *out_n = x->n;
    return x->queue;
}

void kd_similars_end_epoch(kd_similars *x)
{
    x->n = 0;
    x->epoch++;
}
