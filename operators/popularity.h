/* popularity.h - items by |P(i)|, the number of shoppers whose I(u) they are in: a count derived
 * from the set, adjusted by one as members enter and leave.
 *
 * Items of one count form a list, and the counts that have items a ring, so a change is O(1);
 * readers ask for the greatest n in the order (count descending, id bytes ascending), which is
 * worked out once after a change. I1  an item is in the list of its count iff its count > 0 and it
 * is not hidden I2  the ring of counts holds exactly those whose list is not empty, ascending from
 * 0
 * @thread loop for changes; kd_popular_top is shared by readers under its own lock
 */
#ifndef KD_POPULARITY_H
#define KD_POPULARITY_H

#include <pthread.h>
#include <stdatomic.h>

#include "operators/state.h"

/* Makes room for the count n; the only call for changes that can fail. */
KD_CHECK kd_rc kd_popularity_room(kd_state *s, uint32_t n, kd_err *err);
/* |P(i)| was `before` and is another one now. */
void kd_popularity_changed(kd_state *s, uint32_t item, uint32_t before);
/* Hides an item from the lists, or shows it again. */
void kd_popularity_hide(kd_state *s, uint32_t item, bool is_hidden);

typedef struct kd_popular {
    pthread_mutex_t lock;
    _Atomic uint64_t version; /* state's pop_version + 1 that `item` was made for; 0 = never */
    uint32_t *item;           /* owned, [n] slots, best first */
    uint32_t n, cap;
} kd_popular;

KD_CHECK kd_rc kd_popular_init(kd_popular *p, uint32_t cap, kd_err *err);
void kd_popular_dispose(kd_popular *p);
/* Brings the cap greatest up to date (the first reader after a change does the work) and gives
 * them; borrowed until the next change of state.   @thread any reader */
const uint32_t *kd_popular_top(kd_popular *p, const kd_state *s, uint32_t *out_n);

#endif
