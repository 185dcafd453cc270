/* state_ahead.c - fetching what the next records will touch. With a million shoppers hardly
 * anything that apply() reads is in the cache, and each address is found in what the one before
 * points to. So each step fetches one more link of the chain, for a record that is some records
 * away:
 *
 *   0 indexes of ids and links -> 1 slots, first link of the session -> 2 history, id text, end of
 *   the audience, newest link of the user -> 3 last chunk of a long audience, item that a full
 *   history will push out
 *
 * Nothing is decided here: a wrong guess costs a fetch.
 * @thread loop
 */
#include "operators/state_internal.h"

enum { LINE = 64 };

/* The slot of the first id with this hash, of which the slot's own lines are fetched. */
static uint32_t guess(const kd_ids *ids, uint64_t hash)
{
    uint32_t at = kd_index_home(&ids->index, hash), slot1 = kd_index_next(&ids->index, hash, &at);
    if (slot1 == 0)
        return KD_NO_SLOT;
    __builtin_prefetch(&ids->block[slot1 - 1]);
    __builtin_prefetch(&ids->hash[slot1 - 1]); /* the digest's */
    return slot1 - 1;
}

static void fetch_bytes(const void *p, size_t n)
{
    for (size_t at = 0; at < n; at += LINE)
        __builtin_prefetch((const char *)p + at);
}

static void fetch_history(const kd_state *s, uint32_t u)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    if (e.n == 0)
        return; /* the slot may be free by now, and have no id */
    __builtin_prefetch(kd_slab_ptr(s->shoppers.text, s->shoppers.block[u]));
    fetch_bytes(e.word, e.n * sizeof *e.word);
    __builtin_prefetch(&e.lo[e.n - 1]);
    __builtin_prefetch(&e.hi[e.n - 1]);
}

static void fetch_audience(const kd_state *s, uint32_t i)
{
    const kd_posting *p = &s->item[i].posting;
    if (s->item[i].refs == 0)
        return;
    __builtin_prefetch(kd_slab_ptr(s->items.text, s->items.block[i]));
    if (p->dir != NULL)
        __builtin_prefetch(&p->dir[p->n_dir - 1]);
    else if (p->n > 0)
        __builtin_prefetch((const uint32_t *)kd_slab_ptr(s->postings, p->block) + p->n - 1);
}

static void fetch_ends(const kd_state *s, const kd_ahead *x)
{
    if (x->item_slot != KD_NO_SLOT) {
        const kd_posting *p = &s->item[x->item_slot].posting;
        const kd_chunk *c = p->dir == NULL ? NULL : &p->dir[p->n_dir - 1];
        if (c != NULL)
            __builtin_prefetch((const uint32_t *)kd_slab_ptr(s->postings, c->block) + c->n - 1);
    }
    if (x->shopper_slot != KD_NO_SLOT) {
        kd_entries e = kd_entries_of(&s->hist, x->shopper_slot);
        if (e.n >= s->opt.history_max)
            __builtin_prefetch(&s->item[kd_word_item(e.word[e.n - s->opt.history_max])]);
    }
}

void kd_state_ahead(const kd_state *s, int step, kd_ahead *x)
{
    const bool is_linked = x->session.id.p != NULL;
    switch (step) {
    case 0:
        if (is_linked)
            kd_index_prefetch(&s->links.by_session, x->session.hash);
        kd_ids_prefetch(&s->shoppers, x->shopper.hash);
        kd_ids_prefetch(&s->items, x->item.hash);
        break;
    case 1:
        if (is_linked && !kd_links_ahead(&s->links, x->session.hash))
            kd_ids_prefetch(&s->shoppers, x->session.hash); /* a new one: is it a shopper? */
        x->shopper_slot = guess(&s->shoppers, x->shopper.hash);
        x->item_slot = guess(&s->items, x->item.hash);
        if (x->shopper_slot != KD_NO_SLOT) {
            __builtin_prefetch(&s->hist.shopper[x->shopper_slot]);
            __builtin_prefetch(&s->hist.n_items[x->shopper_slot]);
            __builtin_prefetch(&s->hist.last[x->shopper_slot]);
            if (x->shopper_slot < s->links.cap_users)
                __builtin_prefetch(&s->links.of_user[x->shopper_slot]);
        }
        if (x->item_slot != KD_NO_SLOT)
            __builtin_prefetch(&s->item[x->item_slot]);
        break;
    case 2:
        if (x->shopper_slot != KD_NO_SLOT) {
            fetch_history(s, x->shopper_slot);
            uint32_t link = kd_links_of_user(&s->links, x->shopper_slot);
            if (link != 0)
                __builtin_prefetch(kd_links_at(&s->links, link));
        }
        if (x->item_slot != KD_NO_SLOT)
            fetch_audience(s, x->item_slot);
        break;
    default:
        fetch_ends(s, x);
    }
}
