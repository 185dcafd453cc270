#include "operators/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { ENTRY_BYTES = 10 };

kd_rc kd_histories_init(kd_histories *h, kd_err *err)
{
    *h = (kd_histories){0};
    h->blocks = kd_slab_new();
    return h->blocks == NULL ? kd_fail(err, KD_ENOMEM, "no memory for histories") : KD_OK;
}

void kd_histories_dispose(kd_histories *h)
{
    kd_slab_free(h->blocks);
    free(h->shopper);
    free(h->n_items);
    free(h->last);
    *h = (kd_histories){0};
}

kd_rc kd_histories_reserve(kd_histories *h, uint32_t slot, kd_err *err)
{
    if (slot < h->cap)
        return KD_OK;
    uint32_t cap_a = h->cap, cap_b = h->cap, cap_c = h->cap;
    if (!kd_grow((void **)&h->shopper, &cap_a, slot + 1, sizeof *h->shopper) ||
        !kd_grow((void **)&h->n_items, &cap_b, slot + 1, sizeof *h->n_items) ||
        !kd_grow((void **)&h->last, &cap_c, slot + 1, sizeof *h->last))
        return kd_fail(err, KD_ENOMEM, "no memory for %u shoppers", slot + 1);
    h->cap = cap_a;
    return KD_OK;
}

uint32_t kd_entries_find(const kd_entries *e, uint32_t item, kd_action action)
{
    const uint32_t want = item << KD_ITEM_SHIFT | (uint32_t)action;
    const uint32_t mask = ~(KD_REP | KD_MULTI);
    for (uint32_t k = e->n; k-- > 0;) /* newest first: that is what comes again */
        if ((e->word[k] & mask) == want)
            return k;
    return e->n;
}

uint32_t kd_entries_place(const kd_entries *e, const kd_ids *items, kd_ms time, uint32_t item,
                          kd_action action)
{
    uint32_t k = e->n; /* from the new end: events mostly come in order */
    while (k > 0) {
        kd_ms t = kd_entry_time(e, k - 1);
        if (t < time)
            break;
        if (t == time) {
            int c = kd_ids_cmp(items, kd_word_item(e->word[k - 1]), item);
            if (c < 0 || (c == 0 && kd_word_action(e->word[k - 1]) < action))
                break;
        }
        k--;
    }
    return k;
}

static uint16_t cap_of(size_t bytes)
{
    return (uint16_t)(bytes / ENTRY_BYTES);
}

/* Moves the block of slot into one for `cap` or more entries; false when there is none. */
static bool move(kd_histories *h, uint32_t slot, uint32_t cap)
{
    kd_shopper *s = &h->shopper[slot];
    size_t bytes = kd_slab_size((size_t)cap * ENTRY_BYTES);
    uint32_t block = kd_slab_alloc(h->blocks, bytes);
    if (block == 0)
        return false;
    kd_entries old = kd_entries_of(h, slot);
    uint32_t old_block = s->block;
    size_t old_bytes = (size_t)s->cap * ENTRY_BYTES;
    s->block = block;
    s->cap = cap_of(bytes);
    kd_entries e = kd_entries_of(h, slot);
    if (old_block != 0) {
        memcpy(e.word, old.word, old.n * sizeof *e.word);
        memcpy(e.lo, old.lo, old.n * sizeof *e.lo);
        memcpy(e.hi, old.hi, old.n * sizeof *e.hi);
        kd_slab_release(h->blocks, old_block, old_bytes);
    }
    return true;
}

kd_rc kd_history_room(kd_histories *h, uint32_t slot, kd_err *err)
{
    const kd_shopper *s = &h->shopper[slot];
    if (s->n < s->cap || move(h, slot, (uint32_t)s->n + 1))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no memory for a history of %u entries", s->n + 1u);
}

kd_rc kd_history_fill(kd_histories *h, uint32_t slot, uint32_t n, kd_entries *out, kd_err *err)
{
    KD_ASSERT(h->shopper[slot].block == 0);
    if (!move(h, slot, n))
        return kd_fail(err, KD_ENOMEM, "no memory for a history of %u entries", n);
    h->shopper[slot].n = (uint16_t)n;
    *out = kd_entries_of(h, slot);
    return KD_OK;
}

void kd_history_insert(kd_histories *h, uint32_t slot, uint32_t k, kd_ms time, uint32_t item,
                       kd_action action)
{
    kd_entries e = kd_entries_of(h, slot);
    uint32_t tail = e.n - k;
    if (tail > 0) {
        memmove(e.word + k + 1, e.word + k, tail * sizeof *e.word);
        memmove(e.lo + k + 1, e.lo + k, tail * sizeof *e.lo);
        memmove(e.hi + k + 1, e.hi + k, tail * sizeof *e.hi);
    }
    e.word[k] = item << KD_ITEM_SHIFT | (uint32_t)action;
    e.lo[k] = (uint32_t)time;
    e.hi[k] = (uint16_t)(time >> 32);
    h->shopper[slot].n++;
}

void kd_history_remove(kd_histories *h, uint32_t slot, uint32_t k, uint32_t n)
{
    kd_entries e = kd_entries_of(h, slot);
    KD_ASSERT(k + n <= e.n);
    uint32_t tail = e.n - k - n;
    memmove(e.word + k, e.word + k + n, tail * sizeof *e.word);
    memmove(e.lo + k, e.lo + k + n, tail * sizeof *e.lo);
    memmove(e.hi + k, e.hi + k + n, tail * sizeof *e.hi);
    h->shopper[slot].n = (uint16_t)(e.n - n);
}

void kd_history_shrink(kd_histories *h, uint32_t slot)
{
    kd_shopper *s = &h->shopper[slot];
    if (s->block == 0)
        return;
    size_t bytes = (size_t)s->cap * ENTRY_BYTES;
    if (s->n == 0) {
        kd_slab_release(h->blocks, s->block, bytes);
        *s = (kd_shopper){0};
        return;
    }
    if (kd_slab_size((size_t)s->n * ENTRY_BYTES) < kd_slab_size(bytes) ||
        kd_slab_is_sparse(h->blocks, s->block))
        (void)move(h, slot, s->n);
}
