/* active.h - the intersection counts c(u, v) of the shoppers who are here, kept instead of
 * gathered.
 *
 * For a shopper u in this cache the count of every v is adjusted as the audiences of u's items
 * change: by u's own events, by those of others, by what retention, caps and forgetting remove. A
 * reader takes the counts as they are; for everybody else it gathers them. Both ways give the same
 * numbers.
 *
 *   set_posting (state.c) -> before/after -> counts        apply -> touch -> settle (epoch's end)
 *
 * I1  counts of u = a gather over I(u), zeros left out        (kd_active_sane)
 * I2  item i lists u iff u is here and i in I(u)
 * I3  at most max shoppers and max_bytes bytes; nobody whose last event is older than keep_ms
 * Derived from the state: not in the digest, never a part of a snapshot. Running out of memory
 * drops a shopper, nothing else.
 * @thread one writer; any readers between writes
 */
#ifndef KD_ACTIVE_H
#define KD_ACTIVE_H

#include "operators/state.h"

typedef struct kd_active_options {
    uint32_t max;    /* shoppers */
    int64_t bytes;   /* of all counts */
    int64_t keep_ms; /* of event time since the last event */
    uint32_t audience_max;
} kd_active_options;

/* The counts of one shopper: open addressing by slot. A count of 0 is an empty place's grave. */
typedef struct kd_active_counts {
    uint32_t *slot; /* [cap] slot + 1, 0 = empty */
    uint16_t *count;
    uint32_t n, cap; /* n: places in use, graves included */
} kd_active_counts;

KD_CHECK kd_rc kd_active_new(const kd_active_options *o, kd_active **out, kd_err *err);
void kd_active_free(kd_active *x);

/* The counts of a shopper, or NULL: gather. */
const kd_active_counts *kd_active_of(const kd_active *x, uint32_t shopper);

/* An event of this shopper at this time. */
void kd_active_touch(kd_active *x, uint32_t shopper, kd_ms time);
/* Takes in who was touched, lets go of who is over a bound. */
void kd_active_settle(kd_state *s);
/* The shopper's slot goes. */
void kd_active_drop(kd_state *s, uint32_t shopper);

/* Around a change of shopper u's key in P(i) from `old` to `time`; KD_MS_NONE = not in P(i). */
typedef struct kd_active_change {
    bool is_watched, was_in;
    uint32_t edge; /* the m-th most recent before the change, KD_NO_SLOT if there are fewer */
} kd_active_change;
void kd_active_before(kd_state *s, uint32_t item, uint32_t u, kd_ms old, kd_ms time,
                      kd_active_change *c);
void kd_active_after(kd_state *s, uint32_t item, uint32_t u, kd_ms old, kd_ms time,
                     const kd_active_change *c);

/* Slow twin: I1 and I2 by gathering everybody's counts anew. */
bool kd_active_sane(const kd_state *s);
size_t kd_active_bytes(const kd_active *x);
uint32_t kd_active_size(const kd_active *x);

#endif
