/* kafka_catchup.h - what a starting instance says while it reads the log: how far, how fast, how
 * long still.
 *
 *   catching up: 1200000 of 3050000 records (39 %), 350000/s, 0:05 left
 *
 * The rate is that since the start, which jitters less than the last second's; what is left grows
 * with what comes meanwhile.   @thread any: no state but the caller's
 */
#ifndef KD_KAFKA_CATCHUP_H
#define KD_KAFKA_CATCHUP_H

#include "base/kd.h"

typedef struct kd_catchup {
    int64_t began_ms, said_ms; /* of the monotonic clock */
    int64_t total;             /* records to read, as it was known at the start */
} kd_catchup;

enum { KD_CATCHUP_TEXT = 160 };

/* True if it is time for a line; then the next one is due in five seconds. */
bool kd_catchup_is_due(kd_catchup *c, int64_t now_ms);
/* One line about what is under way: `done` records read, `left` behind. */
void kd_catchup_text(const kd_catchup *c, int64_t done, int64_t left, int64_t now_ms,
                     char out[KD_CATCHUP_TEXT]);
/* The line at the end. */
void kd_catchup_end_text(const kd_catchup *c, int64_t done, int64_t now_ms,
                         char out[KD_CATCHUP_TEXT]);

#endif
