/* as_of.h - the state as it was at a moment: a log, read up to it.
 *
 * Of the source's records, in its order, those are applied whose event time is `at` or earlier, as
 * a replay of the log cut there would. What the recommender already holds stays: a snapshot of an
 * earlier moment may be loaded into it first, and the source begin where that one ended.
 * @thread loop
 */
#ifndef KD_AS_OF_H
#define KD_AS_OF_H

#include "consumers/kd_source.h"
#include "operators/recommender.h"

typedef struct kd_as_of_options {
    kd_ms at;
    kd_str shopper;
    const volatile int *stop; /* nullable; non-zero: KD_RETRY */
} kd_as_of_options;

typedef struct kd_as_of {
    int64_t applied, after, bad; /* records up to `at`, after it, and refused as bad */
    bool has_met; /* an event of the shopper's was read, even after `at`, or is held already */
    bool has_trigger;
    kd_action action; /* of the shopper's last event in the log's order: the trigger of its list; if
                       * there is none, of the newest interaction that the recommender held already
                       */
    kd_ms time;
    kd_pos pos;     /* topic: borrowed while the source lives; NULL = it was held already */
    kd_str item_id; /* in `arena` */
} kd_as_of;

/* Starts the source, which is a bounded one, and reads it to its end. */
KD_CHECK kd_rc kd_as_of_read(const kd_as_of_options *o, kd_source *source, kd_recommender *r,
                             kd_arena *arena, kd_as_of *out, kd_err *err);

#endif
