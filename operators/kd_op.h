/* kd_op.h - the contract of an operator, and the question it helps to answer.
 *
 * Laws (the contract suite in tests/op holds every operator to them):
 *  1 state depends only on the options and the set of applied records; output only on state and
 *    the query: no clock, file, socket, global, unseeded random
 *  2 a record is borrowed until apply() returns; what is kept is copied
 *  3 apply() of a checked record does not fail but for KD_ENOMEM (state as before) or KD_EBUG
 *  4 equal state gives an equal digest, and so does what was saved and loaded (operators/saver.h)
 *  5 cutting the stream into other epochs changes no state
 *  6 state per key is bounded and says by what
 *  7 options are refused at open(), not at the first record
 *  8 recommend() allocates only from its query's scratch arena, and only reads the operator
 */
#ifndef KD_OP_H
#define KD_OP_H

#include "base/arena.h"
#include "base/buf.h"
#include "operators/ids.h"
#include "schemas/update.h"

typedef struct kd_op kd_op;
typedef struct kd_state kd_state; /* operators/state.h */
typedef struct kd_saver kd_saver; /* operators/saver.h */

/* What apply() reports back about one record. */
typedef struct kd_applied {
    bool changed;       /* the state is another one now */
    bool refused;       /* behind a tombstone or a newer version: no answer is due */
    bool late;          /* older than the retention horizon: kept out of the state */
    bool is_forget;     /* receipt is filled */
    kd_receipt receipt; /* its strings live in the state until the next apply */
    const kd_str
        *sessions; /* [receipt.sessions] linked sessions that were forgotten too; as long */
    char shopper_hash[65];
} kd_applied;

/* What is known beforehand about a record that will be applied soon (kd_recommender_ahead). The
 * names' bytes are the record's. */
typedef struct kd_ahead {
    kd_name shopper, session, item;   /* of an event; without a session its id is null */
    uint32_t shopper_slot, item_slot; /* a guess */
    bool is_event;
} kd_ahead;

enum { KD_AHEAD_STEPS = 4 };

#endif
