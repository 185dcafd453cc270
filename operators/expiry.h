/* expiry.h - which shopper has the oldest entry: an indexed min-heap over shopper slots, used with
 * retention. Keys may lag behind (be older than the truth); the reader corrects them when they
 * come up, so that an ordinary event costs nothing here.
 *
 * I1  every slot with entries is in the heap, with key <= time of its oldest entry
 * Memory: 16 bytes a shopper, and none without retention.   @thread one
 */
#ifndef KD_EXPIRY_H
#define KD_EXPIRY_H

#include "base/kd.h"

typedef struct kd_expiry {
    uint32_t *heap; /* [cap_heap] slots */
    uint32_t n, cap_heap;
    kd_ms *key;   /* [cap_slots] by slot */
    uint32_t *at; /* [cap_slots] by slot: place in heap + 1, 0 = not in it */
    uint32_t cap_slots;
} kd_expiry;

void kd_expiry_dispose(kd_expiry *x);
/* Room for slot; KD_ENOMEM leaves all as it was. */
KD_CHECK kd_rc kd_expiry_reserve(kd_expiry *x, uint32_t slot, kd_err *err);
/* Notes that slot has an entry of this time: adds it, or lowers its key. */
void kd_expiry_note(kd_expiry *x, uint32_t slot, kd_ms time);
/* The slot with the smallest key; false when empty. */
bool kd_expiry_first(const kd_expiry *x, uint32_t *out_slot, kd_ms *out_key);
/* Raises the key of a slot in the heap. */
void kd_expiry_raise(kd_expiry *x, uint32_t slot, kd_ms time);
void kd_expiry_remove(kd_expiry *x, uint32_t slot);

#endif
