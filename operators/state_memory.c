/* state_memory.c - what the state weighs: by component for reports, and the limit memory_max.
 * @thread loop
 */
#include "operators/active.h"
#include "operators/state_internal.h"

void kd_state_memory_of(const kd_state *s, kd_state_memory *out)
{
    *out = (kd_state_memory){0};
    out->histories = kd_slab_held_bytes(s->hist.blocks);
    out->postings = kd_slab_held_bytes(s->postings);
    for (uint32_t i = 0; i < s->item_cap; i++)
        out->directories += kd_posting_dir_bytes(&s->item[i].posting);
    out->shopper_slots = (size_t)s->hist.cap * (sizeof *s->hist.shopper + sizeof *s->hist.n_items +
                                                sizeof *s->hist.last) +
                         kd_ids_bytes(&s->shoppers) + s->published_cap * sizeof *s->published;
    out->item_slots = (size_t)s->item_cap * sizeof *s->item + kd_ids_bytes(&s->items);
    out->links = kd_links_bytes(&s->links);
    out->active = s->active == NULL ? 0 : kd_active_bytes(s->active);
    out->other = (size_t)s->pop_cap * sizeof *s->pop + (size_t)s->expiry.cap_slots * 16 +
                 (size_t)s->tombs.cap * sizeof *s->tombs.table;
    out->total = out->histories + out->postings + out->directories + out->shopper_slots +
                 out->item_slots + out->links + out->active + out->other;
    out->id_text =
        kd_ids_text_bytes(&s->shoppers) + kd_ids_text_bytes(&s->items) + s->links.id_bytes;
    out->catalog_text = kd_slab_held_bytes(s->catalog_text);
}

/* What a slot of each kind costs beside its blocks; 11 bytes of index on average (base/index.h). */
enum {
    INDEX_BYTES = 11,
    ID_BYTES = sizeof(uint64_t) + sizeof(uint32_t) + INDEX_BYTES,
    SHOPPER_BYTES = sizeof(kd_shopper) + sizeof(uint16_t) + sizeof(kd_ms) + sizeof(uint64_t) +
                    16 /* expiry */ + ID_BYTES,
    ITEM_BYTES = sizeof(kd_item_state) + ID_BYTES,
    LINK_BYTES = INDEX_BYTES + sizeof(uint32_t), /* beside its block: and the head of the list */
};

size_t kd_state_used(const kd_state *s)
{
    size_t n = kd_slab_used_bytes(s->hist.blocks) + kd_slab_used_bytes(s->postings) +
               kd_slab_used_bytes(s->catalog_text) + kd_slab_used_bytes(s->shoppers.text) +
               kd_slab_used_bytes(s->items.text) + kd_slab_used_bytes(s->links.blocks);
    n += (size_t)s->shoppers.n_live * SHOPPER_BYTES + (size_t)s->items.n_live * ITEM_BYTES +
         (size_t)s->links.n * LINK_BYTES + (size_t)s->tombs.cap * sizeof *s->tombs.table;
    for (uint32_t i = 0; i < s->item_cap; i++)
        n += kd_posting_dir_bytes(&s->item[i].posting);
    return n;
}

void kd_state_limit(kd_state *s)
{
    enum { LEAST = 64, ITEMS_A_LOOK = 4 };
    if (s->opt.memory_max == 0 || s->until_check-- > 0)
        return;
    s->until_check = LEAST + s->item_cap / ITEMS_A_LOOK; /* so that looking costs little an event */
    const size_t max = (size_t)s->opt.memory_max;
    if (kd_state_used(s) <= max)
        return;
    s->n_floors++;
    uint32_t u;
    kd_ms oldest;
    while (kd_state_used(s) > max - max / 16 && kd_expiry_first(&s->expiry, &u, &oldest)) {
        /* A sixteenth of the time that is kept at once: the oldest are mostly the sparse ones. */
        kd_ms old = kd_state_horizon(s);
        kd_ms step = s->state_time > oldest ? (s->state_time - oldest) / 16 : 0;
        s->floor = oldest + step + 1;
        kd_state_expire(s, old);
    }
}
