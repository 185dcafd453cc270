/* ids.h - external ids (bytes) to slots (small integers) and back.
 *
 * A slot is an array index for everything that is kept about a shopper or an item. Slots are
 * reused after release; nothing that leaves Kindred may depend on a slot number, because it
 * depends on arrival (DESIGN section 2).
 *
 * I1  find(id(slot)) == slot for every live slot
 * Memory: 12 bytes a slot, 10 to 12.5 bytes of index, and the id itself (2 + length, rounded to 16)
 * beside it.   @thread one writer; any readers between writes
 */
#ifndef KD_IDS_H
#define KD_IDS_H

#include "base/index.h"
#include "base/slab.h"

#define KD_NO_SLOT UINT32_MAX

typedef struct kd_ids {
    kd_slab *text;   /* owned: blocks of { uint16 length, bytes } */
    uint64_t *hash;  /* [cap] XXH3 of the id; also what entry hashes are made of */
    uint32_t *block; /* [cap] handle in `text`; of a free slot: the next free one */
    kd_index index;  /* slot + 1 */
    uint32_t n_live, n_used, cap, first_free;
    uint32_t max_slots;
} kd_ids;

/* max_slots: the largest number of live ids; past it kd_ids_intern fails. */
KD_CHECK kd_rc kd_ids_init(kd_ids *ids, uint32_t max_slots, kd_err *err);
void kd_ids_dispose(kd_ids *ids);

uint64_t kd_ids_hash(kd_str id);

/* An id with its hash, which is worked out once a record. */
typedef struct kd_name {
    kd_str id;
    uint64_t hash; /* kd_ids_hash; of a null id: anything */
} kd_name;

kd_name kd_name_of(kd_str id);

/* KD_NO_SLOT if unknown. */
uint32_t kd_ids_find(const kd_ids *ids, kd_str id, uint64_t hash);
/* Finds or adds; KD_ENOMEM leaves the table as it was. */
KD_CHECK kd_rc kd_ids_intern(kd_ids *ids, kd_str id, uint64_t hash, uint32_t *out_slot,
                             bool *out_is_new, kd_err *err);
void kd_ids_release(kd_ids *ids, uint32_t slot);

/* The id of a live slot, borrowed until it is released. */
static inline kd_str kd_ids_get(const kd_ids *ids, uint32_t slot)
{
    const char *p = kd_slab_ptr(ids->text, ids->block[slot]);
    uint16_t n;
    __builtin_memcpy(&n, p, sizeof n);
    return (kd_str){p + sizeof n, n};
}

/* Byte order of two live slots' ids. */
static inline int kd_ids_cmp(const kd_ids *ids, uint32_t a, uint32_t b)
{
    return a == b ? 0 : kd_str_cmp(kd_ids_get(ids, a), kd_ids_get(ids, b));
}

/* Touches the table line that a find of this hash will read. */
static inline void kd_ids_prefetch(const kd_ids *ids, uint64_t hash)
{
    kd_index_prefetch(&ids->index, hash);
}

/* Bytes of the slots and the table, and bytes of the id strings. */
size_t kd_ids_bytes(const kd_ids *ids);
size_t kd_ids_text_bytes(const kd_ids *ids);

#endif
