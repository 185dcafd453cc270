/* explain.h - why a list is what it is: the answer to a question once more, with everything that
 * went into it. For a person who asks about one shopper; slower than an answer, and the same.
 *
 * I1  list is what kd_recommender_answer says to the same question
 * I2  the part `usercf` of an item is the sum of its votes, nearest neighbour first, times
 * `factor`, to the bit; with `blend: on` the blend has scaled it, and votes are what it was made
 * from
 * @thread any reader
 */
#ifndef KD_EXPLAIN_H
#define KD_EXPLAIN_H

#include "operators/recommender.h"

/* An item of the shopper's own that neighbours are sought by, newest first. */
typedef struct kd_own {
    kd_str item_id;
    kd_action action; /* of the newest live interaction with it, of the shopper or a session */
    kd_ms time;
    uint32_t step;     /* events from the newest to it */
    bool is_bought;    /* and not cancelled since: `recommend.exclude=purchased` leaves it out */
    uint32_t shoppers; /* |P(i)| */
} kd_own;

/* A shopper that votes. */
typedef struct kd_voter {
    kd_str shopper_id; /* for those who may know: everybody else is told the number */
    double similarity;
    uint32_t n_items;       /* |I(v)| */
    const uint32_t *shared; /* [n_shared] places in own[]; v is in P_m of each */
    uint32_t n_shared;
} kd_voter;

/* What one of them gave an item. */
typedef struct kd_voted {
    uint32_t voter; /* place in voters[] */
    double vote;
} kd_voted;

typedef struct kd_explained {
    const kd_voted *given; /* [n_given], nearest first */
    uint32_t n_given;
    double factor; /* 1 + usercf.idf.score * idf */
} kd_explained;

typedef struct kd_explanation {
    kd_update list;
    const kd_explained *items; /* [list.n_items] */
    const kd_own *own;
    uint32_t n_own;
    const kd_str *sessions; /* linked sessions that were joined */
    uint32_t n_sessions;
    const kd_voter *voters; /* nearest first */
    uint32_t n_voters;
    uint32_t n_shoppers; /* in the state */
} kd_explanation;

/* Everything in *out lives in `arena` or in the state, until the next apply() or reset. */
KD_CHECK kd_rc kd_recommender_explain(const kd_recommender *r, const kd_query *q, kd_arena *arena,
                                      kd_explanation *out, kd_err *err);

#endif
