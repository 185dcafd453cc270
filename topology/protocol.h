/* protocol.h - evaluation as published work does it: one part of the data is learned, another is
 * asked about, and nothing is learned from the answers (next item, full ranking).
 *
 *   load:  train records, and positions: what a held-out session did so far -> what came next
 *   run:   a fresh recommender learns all of train, then every position is asked on all workers
 *
 * Held out is one of: the sessions of another source, every prefix of each; lines of
 * "prefix TAB next item"; or the last sessions of train itself, by (time of the last event, id),
 * which are then not learned. A session is what option `shopper` says a shopper is. Its events are
 * its views, likes, carts and purchases in the order of their times, and in the source's order at
 * one time; a position is asked with all events before it, as of somebody who is in no audience.
 * An item that was never learned counts as a miss where it comes next.
 *
 * I1  a run changes nothing of what was loaded: equal options give equal ranks, whatever the number
 *     of workers
 * Memory: 40 bytes an event, and the ids once.
 * @thread one at a time; a run has threads of its own (topology/pool.h)
 */
#ifndef KD_PROTOCOL_H
#define KD_PROTOCOL_H

#include "base/opt.h"
#include "consumers/kd_source.h"

typedef struct kd_protocol kd_protocol;

typedef struct kd_protocol_options {
    kd_source *train;            /* not started; borrowed until return */
    kd_source *test;             /* the same, or NULL */
    const char *prefixes;        /* file of "prefix TAB next item", or NULL */
    double holdout_share;        /* of train's sessions, in (0, 1); 0 = not by share */
    uint32_t holdout;            /* or this many */
    const char *lists;           /* another program's lists (session-rec's form), or NULL: only the
                                  * positions that are in it are asked */
    const kd_opt_values *values; /* who a shopper is */
    const volatile int *stop;    /* nullable; non-zero: KD_RETRY */
} kd_protocol_options;

/* Exactly one of test, prefixes and holdout is given. *out is owned by the caller. */
KD_CHECK kd_rc kd_protocol_load(const kd_protocol_options *o, kd_protocol **out, kd_err *err);
void kd_protocol_free(kd_protocol *p);

/* What was loaded. */
typedef struct kd_protocol_sizes {
    uint32_t events, sessions;   /* to be learned */
    uint32_t held_out;           /* sessions with a position (lines of prefixes: of each its own) */
    uint32_t positions, unknown; /* unknown: what comes next was never learned */
    uint32_t bad;                /* records that were refused */
} kd_protocol_sizes;
kd_protocol_sizes kd_protocol_sizes_of(const kd_protocol *p);

/* A hash of everything loaded: two of equal value ask the same. */
uint64_t kd_protocol_hash(const kd_protocol *p);

typedef struct kd_protocol_run_options {
    const kd_opt_values
        *values;              /* recommend.count is the length of the ranking that is looked at */
    uint32_t workers;         /* >= 1 */
    const volatile int *stop; /* nullable; non-zero: KD_RETRY */
} kd_protocol_run_options;

typedef struct kd_protocol_result {
    const uint16_t
        *ranks; /* [positions] from 1; 0 = not in the list. Borrowed until the next run */
    uint32_t listed, items; /* different items that were in a list; items learned */
    uint32_t empty;         /* positions whose list was empty */
    int64_t learn_ms, ask_ms;
} kd_protocol_result;

KD_CHECK kd_rc kd_protocol_run(kd_protocol *p, const kd_protocol_run_options *o,
                               kd_protocol_result *out, kd_err *err);

/* Ranks of the other program's lists; NULL without them. */
const uint16_t *kd_protocol_theirs(const kd_protocol *p);

/* Means over all positions, cut at rank k: what is at lower ranks is not there. */
typedef struct kd_protocol_figures {
    double hit_rate, mrr, ndcg;
} kd_protocol_figures;
kd_protocol_figures kd_protocol_figures_at(const uint16_t *ranks, uint32_t n, uint32_t k);

#endif
