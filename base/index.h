/* index.h - where something is, by its hash: 32-bit values found by 32 bits of a hash, several of
 * which may be equal. Whoever asks compares what a value names with what he looks for.
 *
 * Open addressing with linear probing. A place holds the bits of the hash beside the value, so that
 * neither a search nor a removal nor growth touches what the values name. The home of a hash rises
 * with it, so that the table need not be a power of two, and growing writes it front to back.
 *
 * I1  from the home of a value's hash to its place no place is empty
 * I2  the table is at most four fifths full
 * Memory: 8 bytes a place; 10 to 12.5 a value while it only grows.
 * Cost: a value in a full table is found after 3 places, and that there is none after 13, on
 * average, which is one or two cache lines.   @thread one writer; any readers between writes
 */
#ifndef KD_INDEX_H
#define KD_INDEX_H

#include "base/kd.h"

typedef struct kd_place {
    uint32_t hash;
    uint32_t value; /* 0 = empty */
} kd_place;

typedef struct kd_index {
    kd_place *place; /* [cap] owned */
    uint32_t cap, n;
} kd_index;

bool kd_index_init(kd_index *x);
void kd_index_dispose(kd_index *x);

static inline uint32_t kd_index_home(const kd_index *x, uint64_t hash)
{
    return (uint32_t)((uint64_t)(uint32_t)hash * x->cap >> 32);
}

/* The next value of this hash from *at on, which begins as kd_index_home(); 0 = there is no more.
 */
static inline uint32_t kd_index_next(const kd_index *x, uint64_t hash, uint32_t *at)
{
    for (;;) {
        const kd_place p = x->place[*at];
        if (p.value == 0)
            return 0;
        *at = *at + 1 == x->cap ? 0 : *at + 1;
        if (p.hash == (uint32_t)hash)
            return p.value;
    }
}

/* Fetches into the cache what a search for this hash will read. */
static inline void kd_index_prefetch(const kd_index *x, uint64_t hash)
{
    const kd_place *home = x->place + kd_index_home(x, hash);
    __builtin_prefetch(home);
    __builtin_prefetch(home + 5); /* two searches in three end before it */
}

/* Makes sure that one more value fits; the only call here that can fail, and changes nothing then.
 */
bool kd_index_room(kd_index *x);
/* Adds a value > 0; there must be room. */
void kd_index_add(kd_index *x, uint64_t hash, uint32_t value);
/* Removes this value, which is there. */
void kd_index_remove(kd_index *x, uint64_t hash, uint32_t value);
/* Gives memory back after many were removed. */
void kd_index_tidy(kd_index *x);

/* I1 and I2, and n, by a full pass. */
bool kd_index_sane(const kd_index *x);
size_t kd_index_bytes(const kd_index *x);

#endif
