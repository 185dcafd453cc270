/* history.h - what each shopper did: one block of entries a shopper, oldest first.
 *
 * A block of capacity c is three arrays side by side, so that gathering reads items only:
 *   uint32 word[c]   item << 5 | KD_MULTI | KD_REP | action
 *   uint32 lo[c]     low 32 bits of the time
 *   uint16 hi[c]     high bits of the time: 48 bits of milliseconds, lossless for 2000..10889
 * Entries are ordered ascending by (time, item id bytes, action).
 * This file knows the layout; what an entry means for audiences is state.c's.
 * @thread one writer; any readers between writes
 */
#ifndef KD_HISTORY_H
#define KD_HISTORY_H

#include "base/slab.h"
#include "operators/ids.h"
#include "schemas/record.h"

#define KD_HISTORY_LIMIT 2000u      /* of history.max and of purchases.max */
#define KD_ITEM_LIMIT    (1u << 27) /* item slots that fit into a word */

#define KD_ACTION_MASK 7u
#define KD_REP         8u  /* the latest live entry of its item in H: the item is in I(u) by it */
#define KD_MULTI       16u /* on a KD_REP entry: the item has another live entry in H */
#define KD_ITEM_SHIFT  5

typedef struct kd_shopper {
    uint32_t block; /* 0 = free slot */
    uint16_t n, cap;
} kd_shopper;

typedef struct kd_histories {
    kd_slab *blocks;     /* owned */
    kd_shopper *shopper; /* [cap] by slot */
    uint16_t *n_items;   /* [cap] |I(u)|, apart because similarity reads nothing else */
    kd_ms *last;         /* [cap] time of the newest entry: breaks ties among neighbours */
    uint32_t cap;
} kd_histories;

/* One block, opened. Valid until the shopper's next insert or remove. */
typedef struct kd_entries {
    uint32_t *word;
    uint32_t *lo;
    uint16_t *hi;
    uint32_t n;
} kd_entries;

static inline kd_entries kd_entries_of(const kd_histories *h, uint32_t slot)
{
    const kd_shopper *s = &h->shopper[slot];
    if (s->block == 0)
        return (kd_entries){NULL, NULL, NULL, 0};
    uint32_t *word = kd_slab_ptr(h->blocks, s->block);
    uint32_t *lo = word + s->cap;
    return (kd_entries){word, lo, (uint16_t *)(void *)(lo + s->cap), s->n};
}

static inline kd_ms kd_entry_time(const kd_entries *e, uint32_t k)
{
    return (kd_ms)((uint64_t)e->hi[k] << 32 | e->lo[k]);
}

static inline uint32_t kd_word_item(uint32_t word)
{
    return word >> KD_ITEM_SHIFT;
}

static inline kd_action kd_word_action(uint32_t word)
{
    return (kd_action)(word & KD_ACTION_MASK);
}

static inline bool kd_action_is_purchase(kd_action a)
{
    return a >= KD_PAID;
}

/* The first entry of H(u): the ones before it are older purchases. */
static inline uint32_t kd_history_begin(const kd_entries *e, uint32_t history_max)
{
    return e->n > history_max ? e->n - history_max : 0;
}

KD_CHECK kd_rc kd_histories_init(kd_histories *h, kd_err *err);
void kd_histories_dispose(kd_histories *h);
/* Makes room for slot. */
KD_CHECK kd_rc kd_histories_reserve(kd_histories *h, uint32_t slot, kd_err *err);

/* The place of (item, action), or e->n. */
uint32_t kd_entries_find(const kd_entries *e, uint32_t item, kd_action action);
/* The place where (time, item, action) goes; `items` decides equal times by id bytes. */
uint32_t kd_entries_place(const kd_entries *e, const kd_ids *items, kd_ms time, uint32_t item,
                          kd_action action);
/* The KD_REP entry of the item, or e->n. */
static inline uint32_t kd_entries_rep(const kd_entries *e, uint32_t item)
{
    const uint32_t want = item << KD_ITEM_SHIFT | KD_REP;
    const uint32_t mask = ~(KD_ACTION_MASK | KD_MULTI);
    for (uint32_t k = e->n; k-- > 0;) /* newest first: that is what comes again */
        if ((e->word[k] & mask) == want)
            return k;
    return e->n;
}

/* Makes sure that one more entry fits; the only call here that can fail (KD_ENOMEM, unchanged). */
KD_CHECK kd_rc kd_history_room(kd_histories *h, uint32_t slot, kd_err *err);
/* Inserts at place k; there must be room. */
void kd_history_insert(kd_histories *h, uint32_t slot, uint32_t k, kd_ms time, uint32_t item,
                       kd_action action);
/* Fills an empty slot, for which there is room (kd_histories_reserve), with n >= 1 entries in
 * order; n_items and last are the caller's. KD_ENOMEM leaves it empty. */
KD_CHECK kd_rc kd_history_fill(kd_histories *h, uint32_t slot, uint32_t n, kd_entries *out,
                               kd_err *err);
/* Removes n entries from place k on. */
void kd_history_remove(kd_histories *h, uint32_t slot, uint32_t k, uint32_t n);
/* Moves the block to a smaller class where it fits one (never fails; keeps the old one if it must),
 * or out of a sparse slab, so that slabs empty. Frees it when there is no entry. */
void kd_history_shrink(kd_histories *h, uint32_t slot);

#endif
