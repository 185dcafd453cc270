/* slab.h - many small blocks behind 32-bit handles, in size classes, given back page by page.
 *
 * State of the pipeline lives here: a handle is half a pointer, a block has no header, and the
 * pages of a slab (64 KiB) whose last block is freed go back to the system. Addresses are taken in
 * regions of REGION_SLABS, so that a big state does not run into the limit of mappings a process
 * may have.
 *
 * I1  a handle is valid from kd_slab_alloc until kd_slab_release; 0 is "no block"
 * I2  a block's address is stable while the handle is valid
 * I3  bytes in use = sum of the class sizes of live blocks; bytes held = slabs with a live block
 * Alloc and release are O(1).   @thread one writer; any readers between writes
 */
#ifndef KD_SLAB_H
#define KD_SLAB_H

#include "base/kd.h"

enum {
    KD_SLAB_UNIT = 16,       /* bytes; every class size is a multiple */
    KD_SLAB_SHIFT = 12,      /* units per slab: 2^12, 64 KiB */
    KD_SLAB_MAX = 48 * 1024, /* largest block in bytes */
};

typedef struct kd_slab kd_slab;

/* Owned by the caller; NULL when out of memory. */
kd_slab *kd_slab_new(void);
void kd_slab_free(kd_slab *s);

/* The class size that a request of n bytes (1..KD_SLAB_MAX) gets. */
size_t kd_slab_size(size_t n);
/* A block of kd_slab_size(n) bytes, 16-byte aligned, not cleared. 0 when out of memory or when the
 * 64 GiB that handles can name are used up. */
uint32_t kd_slab_alloc(kd_slab *s, size_t n);
/* n as given to alloc (or any n of the same class). h = 0 is allowed. */
void kd_slab_release(kd_slab *s, uint32_t h, size_t n);

/* True if moving this block would help to give a slab back: its slab is less than half full
 * and not the one that its class allocates from. */
bool kd_slab_is_sparse(const kd_slab *s, uint32_t h);

size_t kd_slab_used_bytes(const kd_slab *s);
size_t kd_slab_held_bytes(const kd_slab *s);

/* The head of struct kd_slab, in the open so that kd_slab_ptr is two loads. */
struct kd_slab_view {
    char **base;
};

/* The address of a live block. */
static inline void *kd_slab_ptr(const kd_slab *s, uint32_t h)
{
    const struct kd_slab_view *v = (const struct kd_slab_view *)(const void *)s;
    return v->base[h >> KD_SLAB_SHIFT] + (size_t)(h & ((1u << KD_SLAB_SHIFT) - 1)) * KD_SLAB_UNIT;
}

#endif
