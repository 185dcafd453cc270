/* similar.h - which neighbour lists are worth publishing: of the shoppers that were answered, and
 * of those whose own list that may have changed.
 *
 *   answered, with neighbours -> is it news? -> out
 *                             -> others to look at again -> workers -> is it news? -> out
 *
 * What was last published is remembered as 32-bit hashes, of at most REMEMBERED shoppers; who is
 * forgotten here is published again at the next chance. Delivery state: best effort, outside what
 * is promised about every update. So is this: a list that names somebody who was forgotten is
 * published anew while it is remembered and its own shopper is in the state.   @thread loop
 */
#ifndef KD_TOPOLOGY_SIMILAR_H
#define KD_TOPOLOGY_SIMILAR_H

#include "operators/recommender.h"

typedef struct kd_similar_options {
    uint32_t count;      /* neighbours in a published list, >= 1 */
    double threshold;    /* a list is news if it changed by more: 1 - |A and B| / max(|A|, |B|) */
    uint32_t fanout_max; /* other shoppers looked at again in an epoch */
} kd_similar_options;

typedef struct kd_similars kd_similars;

KD_CHECK kd_rc kd_similars_new(const kd_similar_options *o, kd_similars **out, kd_err *err);
void kd_similars_free(kd_similars *x);

/* Cuts the list to `count`. True if it is news; it is noted as published then. */
bool kd_similars_is_news(kd_similars *x, const kd_recommender *rec, kd_similar *near);

/* Queues the neighbours that have a published list, unless they are queued in this epoch already.
 * Returns how many were over the bound. `except` says who is answered in this epoch anyway. */
uint32_t kd_similars_queue(kd_similars *x, const kd_similar *near,
                           bool (*except)(void *arg, kd_str shopper, uint64_t hash), void *arg);
/* Somebody was forgotten: what was published about him is, and whoever's list names him is queued,
 * whatever the bound. */
kd_rc kd_similars_forget(kd_similars *x, const kd_recommender *rec, kd_str shopper, kd_err *err);

/* The queue: ids borrowed from the state, until the next apply. */
const kd_str *kd_similars_queued(const kd_similars *x, uint32_t *out_n);
/* Empties the queue: the next epoch begins. */
void kd_similars_end_epoch(kd_similars *x);

#endif
