/* recent.h - a table of fixed size that remembers the most recently used: 64-bit keys, values of
 * one size, four places a set; a new key takes the place of the one of its set that was not used
 * for longest. What it forgets depends on the order of calls alone, so a replay forgets the same.
 *
 * For memories that may be short: rates, what was published last. Keys are hashes of ids; two ids
 * of equal hash share a place.   @thread one
 */
#ifndef KD_RECENT_H
#define KD_RECENT_H

#include "base/kd.h"

typedef struct kd_recent kd_recent;

/* At least `places` places (rounded up to a power of two, 4 at least) of value_bytes each. */
KD_CHECK kd_rc kd_recent_new(uint32_t places, size_t value_bytes, kd_recent **out, kd_err *err);
void kd_recent_free(kd_recent *r);

/* The value of the key, or NULL. Does not count as a use. */
void *kd_recent_find(kd_recent *r, uint64_t key);
/* The value of the key, zeroed if it was not there; most recently used now. Valid until the next
 * kd_recent_use. */
void *kd_recent_use(kd_recent *r, uint64_t key);
void kd_recent_drop(kd_recent *r, uint64_t key);
/* Walks all values; *at starts at 0. NULL: no more. */
void *kd_recent_next(kd_recent *r, uint32_t *at, uint64_t *out_key);

#endif
