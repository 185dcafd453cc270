#include "operators/published.h"

#include <string.h>

#include "base/buf.h"
#include "operators/saver.h"

enum { LOW = 32 };

static uint64_t of_list(const kd_update *u, uint32_t term)
{
    uint64_t h = 1 + term;
    for (uint32_t k = 0; k < u->n_items; k++) {
        const kd_item *it = &u->items[k];
        h = kd_hash64(it->item_id.p, it->item_id.n, h);
        h = kd_hash64(&it->score, sizeof it->score, h);
        h = kd_hash64(it->parts, sizeof it->parts, h + it->has);
    }
    return h;
}

static uint64_t of_needs(const kd_needs *x, uint32_t term)
{
    const kd_need *lists[] = {x->terms, x->categories, x->brands};
    const uint32_t n[] = {x->n_terms, x->n_categories, x->n_brands};
    uint64_t h = 1 + term;
    for (int l = 0; l < 3; l++) {
        h = kd_hash64(&n[l], sizeof n[l], h);
        for (uint32_t k = 0; k < n[l]; k++)
            h = kd_hash64(lists[l][k].name.p, lists[l][k].name.n, h);
    }
    return h;
}

/* What is kept of a hash, both halves in one: an empty list's is its term alone, in the lower one.
 * 0 is for nothing. */
static uint32_t half_of(uint64_t h)
{
    uint32_t half = (uint32_t)(h >> LOW) ^ (uint32_t)h;
    return half == 0 ? 1 : half;
}

/* Puts a half into the shopper's word; true if it was another one. */
static bool note(kd_state *s, uint32_t slot, uint32_t half, int shift)
{
    if (!kd_grow((void **)&s->published, &s->published_cap, s->hist.cap, sizeof *s->published))
        return true; /* without a memory of it, publishing twice is the safe side */
    uint64_t before = s->published[slot];
    uint64_t after = (before & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)half << shift;
    if (before == after)
        return false;
    if (s->saver != NULL)
        kd_saver_shopper(s->saver, slot);
    s->published[slot] = after;
    return true;
}

uint32_t kd_published_of(const kd_update *u, uint32_t term)
{
    return half_of(of_list(u, term));
}

bool kd_published_differs(const kd_state *s, kd_str shopper, uint32_t fingerprint)
{
    uint32_t slot = kd_state_shopper(s, shopper);
    return slot == KD_NO_SLOT || slot >= s->published_cap ||
           (uint32_t)s->published[slot] != fingerprint;
}

bool kd_published_list(kd_state *s, kd_str shopper, uint32_t fingerprint)
{
    uint32_t slot = kd_state_shopper(s, shopper);
    return slot == KD_NO_SLOT || note(s, slot, fingerprint, 0);
}

bool kd_published_needs(kd_state *s, const kd_needs *x, uint32_t term)
{
    uint32_t slot = kd_state_shopper(s, x->shopper_id);
    bool is_empty = x->n_terms + x->n_categories + x->n_brands == 0;
    if (slot == KD_NO_SLOT)
        return !is_empty;
    return note(s, slot, is_empty ? 0 : half_of(of_needs(x, term)), LOW);
}

void kd_published_drop(kd_state *s, kd_str shopper)
{
    uint32_t slot = kd_state_shopper(s, shopper);
    if (slot == KD_NO_SLOT || slot >= s->published_cap)
        return;
    if (s->saver != NULL)
        kd_saver_shopper(s->saver, slot);
    s->published[slot] = 0;
}
