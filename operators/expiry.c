#include "operators/expiry.h"

#include <stdlib.h>

#include "base/buf.h"
#include "operators/ids.h"

void kd_expiry_dispose(kd_expiry *x)
{
    free(x->heap);
    free(x->key);
    free(x->at);
    *x = (kd_expiry){0};
}

kd_rc kd_expiry_reserve(kd_expiry *x, uint32_t slot, kd_err *err)
{
    uint32_t cap_key = x->cap_slots, cap_at = x->cap_slots;
    if (slot < x->cap_slots)
        return KD_OK;
    if (!kd_grow((void **)&x->key, &cap_key, slot + 1, sizeof *x->key) ||
        !kd_grow((void **)&x->heap, &x->cap_heap, slot + 1, sizeof *x->heap) ||
        !kd_grow((void **)&x->at, &cap_at, slot + 1, sizeof *x->at))
        return kd_fail(err, KD_ENOMEM, "no memory for the expiry of %u shoppers", slot + 1);
    x->cap_slots = cap_key < x->cap_heap ? cap_key : x->cap_heap;
    return KD_OK;
}

static void put(kd_expiry *x, uint32_t at, uint32_t slot)
{
    x->heap[at] = slot;
    x->at[slot] = at + 1;
}

static void sift_up(kd_expiry *x, uint32_t at, uint32_t slot)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 4;
        if (x->key[x->heap[parent]] <= x->key[slot])
            break;
        put(x, at, x->heap[parent]);
        at = parent;
    }
    put(x, at, slot);
}

static void sift_down(kd_expiry *x, uint32_t at, uint32_t slot)
{
    for (;;) {
        uint32_t child = at * 4 + 1, best = child;
        if (child >= x->n)
            break;
        for (uint32_t c = child + 1; c < child + 4 && c < x->n; c++)
            if (x->key[x->heap[c]] < x->key[x->heap[best]])
                best = c;
        if (x->key[x->heap[best]] >= x->key[slot])
            break;
        put(x, at, x->heap[best]);
        at = best;
    }
    put(x, at, slot);
}

void kd_expiry_note(kd_expiry *x, uint32_t slot, kd_ms time)
{
    if (x->at[slot] == 0) {
        x->key[slot] = time;
        sift_up(x, x->n++, slot);
    } else if (time < x->key[slot]) {
        x->key[slot] = time;
        sift_up(x, x->at[slot] - 1, slot);
    }
}

bool kd_expiry_first(const kd_expiry *x, uint32_t *out_slot, kd_ms *out_key)
{
    if (x->n == 0)
        return false;
    *out_slot = x->heap[0];
    *out_key = x->key[x->heap[0]];
    return true;
}

void kd_expiry_raise(kd_expiry *x, uint32_t slot, kd_ms time)
{
    x->key[slot] = time;
    sift_down(x, x->at[slot] - 1, slot);
}

void kd_expiry_remove(kd_expiry *x, uint32_t slot)
{
    if (slot >= x->cap_slots || x->at[slot] == 0)
        return;
    uint32_t at = x->at[slot] - 1, last = x->heap[--x->n];
    x->at[slot] = 0;
    if (last == slot)
        return;
    put(x, at, last);
    sift_up(x, at, last);
    sift_down(x, x->at[last] - 1, last);
}
