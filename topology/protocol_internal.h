/* protocol_internal.h - what was loaded (protocol_load.c) and is run (protocol.c). */
#ifndef KD_PROTOCOL_INTERNAL_H
#define KD_PROTOCOL_INTERNAL_H

#include "base/arena.h"
#include "operators/ids.h"
#include "operators/recommender.h"
#include "topology/protocol.h"

/* An event to be learned; ids are slots of kd_protocol.ids. */
typedef struct kd_learned {
    kd_ms time, ts;
    uint32_t user, session, item; /* KD_NO_SLOT = null */
    uint32_t shopper;             /* KD_NO_SLOT: a record of another kind */
    uint8_t type, action;
    bool is_whole; /* a record of another kind: whole[item] */
} kd_learned;

/* events[first .. first + n) came before `next`. */
typedef struct kd_position {
    uint32_t first, n;
    uint32_t session; /* slot of its id, KD_NO_SLOT for a line of prefixes */
    uint32_t next;    /* slot of the item */
} kd_position;

struct kd_protocol {
    kd_arena *arena; /* whole records */
    kd_ids ids;
    kd_learned *train;
    uint32_t n_train, cap_train;
    const kd_record **whole;
    uint32_t n_whole, cap_whole;
    kd_interaction *events;
    uint32_t n_events, cap_events;
    kd_position *positions;
    uint32_t n_positions, cap_positions;
    uint16_t *ranks, *theirs;
    kd_protocol_sizes sizes;
    uint64_t hash;
};

#endif
