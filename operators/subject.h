/* subject.h - whom a list is for: I(u), what must not be listed, and the steps of weighted
 * similarities; of a shopper in the state, of a user joined with its sessions, or of a question.
 *
 *   H(u) [+ H of its few most recent sessions]  |  events of a question  ->  kd_subject
 *
 * A join is the union of the kept interactions of all of them: the same (item, action) with the
 * later time; H is its history.max greatest, and I and what was bought follow as for one shopper.
 * @thread any worker: reads state, writes its space
 */
#ifndef KD_SUBJECT_H
#define KD_SUBJECT_H

#include "operators/recommender.h"
#include "operators/usercf_core.h"

/* One interaction of a join or of a question. */
typedef struct kd_doing {
    kd_str item_id;
    kd_ms time;
    uint32_t item;   /* slot, KD_NO_SLOT: the state does not know it */
    uint32_t record; /* of the item in kd_subject_space.about */
    kd_action action;
} kd_doing;

/* A worker's room; {0} is empty. */
typedef struct kd_subject_space {
    uint32_t *items, *step, *bought; /* what kd_subject points to */
    uint32_t cap_items, cap_step, cap_bought;
    kd_doing *doing;
    uint32_t cap_doing;
    struct kd_about *about; /* one for each item of doing[] */
    uint32_t cap_about;
    uint32_t *table; /* [cap_table] item ids to about[] + 1, open addressing */
    uint32_t cap_table;
    uint32_t *self; /* slots of the shopper and its sessions */
    uint32_t cap_self;
} kd_subject_space;

void kd_subject_space_dispose(kd_subject_space *w);

typedef struct kd_subject_options {
    uint32_t links_max;     /* sessions that are joined */
    int64_t exclude_for_ms; /* what was bought longer ago is not among `bought`; 0 = for ever */
} kd_subject_options;

/* The shopper with this id, joined with its sessions. An unknown one has no items. The result
 * points into the space and is valid until its next use. */
KD_CHECK kd_rc kd_subject_of(const kd_state *s, const kd_subject_options *o, kd_subject_space *w,
                             kd_str shopper, kd_ms now, kd_subject *out, kd_err *err);

/* Somebody who did just this. Each event is a step, a repeated one too. */
KD_CHECK kd_rc kd_subject_of_events(const kd_state *s, const kd_subject_options *o,
                                    kd_subject_space *w, const kd_interaction *events, uint32_t n,
                                    kd_ms now, kd_subject *out, kd_err *err);

/* What a recommender computes with: for explain.c. Borrowed while r lives. */
const kd_usercf_options *kd_recommender_core(const kd_recommender *r,
                                             const kd_subject_options **out_subject);

#endif
