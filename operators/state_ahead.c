/* state_ahead.c - fetching what the next records will touch. With a million shoppers hardly
 * anything that apply() reads is in the cache, and each address is found in what the one before
 * points to. So each step fetches one more link of the chain, for a record that is some records
 * away:
 *
 *   0 id tables, table of links -> 1 hashes of the candidates, first link of the session -> 2 slots
 *   -> 3 history, id text, end of the audience, newest link of the user -> 4 last chunk of a long
 *   audience, item that a full history will push out
 *
 * Nothing is decided here: a wrong guess costs a fetch.
 * @thread loop
 */
#include "operators/state_internal.h"

enum { LINE = 64, PROBES = 3 };

static void fetch_hashes(const kd_ids *ids, uint64_t hash)
{
    uint32_t mask = ids->table_cap - 1;
    for (uint32_t p = 0; p < PROBES; p++) {
        uint32_t slot1 = ids->table[((uint32_t)hash + p) & mask];
        if (slot1 == 0)
            return;
        __builtin_prefetch(&ids->hash[slot1 - 1]);
    }
}

static uint32_t guess(const kd_ids *ids, uint64_t hash)
{
    uint32_t mask = ids->table_cap - 1;
    for (uint32_t p = 0; p < PROBES; p++) {
        uint32_t slot1 = ids->table[((uint32_t)hash + p) & mask];
        if (slot1 == 0)
            break;
        if (ids->hash[slot1 - 1] == hash) {
            __builtin_prefetch(&ids->block[slot1 - 1]);
            return slot1 - 1;
        }
    }
    return KD_NO_SLOT;
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
    if (x->item != KD_NO_SLOT) {
        const kd_posting *p = &s->item[x->item].posting;
        const kd_chunk *c = p->dir == NULL ? NULL : &p->dir[p->n_dir - 1];
        if (c != NULL)
            __builtin_prefetch((const uint32_t *)kd_slab_ptr(s->postings, c->block) + c->n - 1);
    }
    if (x->shopper != KD_NO_SLOT) {
        kd_entries e = kd_entries_of(&s->hist, x->shopper);
        if (e.n >= s->opt.history_max)
            __builtin_prefetch(&s->item[kd_word_item(e.word[e.n - s->opt.history_max])]);
    }
}

void kd_state_ahead(const kd_state *s, int step, kd_ahead *x)
{
    if (x->is_linked && step < 2)
        kd_links_ahead(&s->links, x->session_hash, step);
    switch (step) {
    case 0:
        kd_ids_prefetch(&s->shoppers, x->shopper_hash);
        kd_ids_prefetch(&s->items, x->item_hash);
        break;
    case 1:
        fetch_hashes(&s->shoppers, x->shopper_hash);
        fetch_hashes(&s->items, x->item_hash);
        break;
    case 2:
        x->shopper = guess(&s->shoppers, x->shopper_hash);
        x->item = guess(&s->items, x->item_hash);
        if (x->shopper != KD_NO_SLOT) {
            __builtin_prefetch(&s->hist.shopper[x->shopper]);
            __builtin_prefetch(&s->hist.n_items[x->shopper]);
            __builtin_prefetch(&s->hist.last[x->shopper]);
            if (x->shopper < s->links.cap_users)
                __builtin_prefetch(&s->links.of_user[x->shopper]);
        }
        if (x->item != KD_NO_SLOT)
            __builtin_prefetch(&s->item[x->item]);
        break;
    case 3:
        if (x->shopper != KD_NO_SLOT) {
            fetch_history(s, x->shopper);
            uint32_t link = kd_links_of_user(&s->links, x->shopper);
            if (link != 0)
                __builtin_prefetch(kd_links_at(&s->links, link));
        }
        if (x->item != KD_NO_SLOT)
            fetch_audience(s, x->item);
        break;
    default:
        fetch_ends(s, x);
    }
}
