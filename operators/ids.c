#include "operators/ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

kd_rc kd_ids_init(kd_ids *ids, uint32_t max_slots, kd_err *err)
{
    *ids = (kd_ids){.first_free = KD_NO_SLOT, .max_slots = max_slots};
    ids->text = kd_slab_new();
    if (kd_index_init(&ids->index) && ids->text != NULL)
        return KD_OK;
    kd_ids_dispose(ids);
    return kd_fail(err, KD_ENOMEM, "no memory for an id table");
}

void kd_ids_dispose(kd_ids *ids)
{
    kd_slab_free(ids->text);
    free(ids->hash);
    free(ids->block);
    kd_index_dispose(&ids->index);
    *ids = (kd_ids){0};
}

uint64_t kd_ids_hash(kd_str id)
{
    return kd_hash64(id.p, id.n, 0);
}

kd_name kd_name_of(kd_str id)
{
    return (kd_name){id, kd_ids_hash(id)};
}

uint32_t kd_ids_find(const kd_ids *ids, kd_str id, uint64_t hash)
{
    uint32_t at = kd_index_home(&ids->index, hash), slot1;
    while ((slot1 = kd_index_next(&ids->index, hash, &at)) != 0)
        if (kd_str_eq(kd_ids_get(ids, slot1 - 1), id))
            return slot1 - 1;
    return KD_NO_SLOT;
}

static bool make_room(kd_ids *ids)
{
    if (!kd_index_room(&ids->index))
        return false;
    if (ids->first_free != KD_NO_SLOT || ids->n_used < ids->cap)
        return true;
    uint32_t cap = ids->cap;
    if (!kd_grow((void **)&ids->hash, &cap, ids->n_used + 1, sizeof *ids->hash))
        return false;
    cap = ids->cap;
    if (!kd_grow((void **)&ids->block, &cap, ids->n_used + 1, sizeof *ids->block))
        return false;
    ids->cap = cap;
    return true;
}

kd_rc kd_ids_intern(kd_ids *ids, kd_str id, uint64_t hash, uint32_t *out_slot, bool *out_is_new,
                    kd_err *err)
{
    uint32_t slot = kd_ids_find(ids, id, hash);
    if (slot != KD_NO_SLOT) {
        *out_slot = slot;
        *out_is_new = false;
        return KD_OK;
    }
    if (ids->n_live >= ids->max_slots)
        return kd_fail(err, KD_ENOMEM, "more than %u ids", ids->max_slots);
    uint16_t n = (uint16_t)id.n;
    KD_ASSERT(n == id.n);
    uint32_t block = make_room(ids) ? kd_slab_alloc(ids->text, sizeof n + n) : 0;
    if (block == 0)
        return kd_fail(err, KD_ENOMEM, "no memory for an id of %u bytes", id.n);
    char *p = kd_slab_ptr(ids->text, block);
    memcpy(p, &n, sizeof n);
    if (n > 0)
        memcpy(p + sizeof n, id.p, n);
    slot = ids->first_free;
    if (slot != KD_NO_SLOT)
        ids->first_free = ids->block[slot];
    else
        slot = ids->n_used++;
    ids->hash[slot] = hash;
    ids->block[slot] = block;
    kd_index_add(&ids->index, hash, slot + 1);
    ids->n_live++;
    *out_slot = slot;
    *out_is_new = true;
    return KD_OK;
}

void kd_ids_release(kd_ids *ids, uint32_t slot)
{
    kd_str id = kd_ids_get(ids, slot);
    kd_index_remove(&ids->index, ids->hash[slot], slot + 1);
    kd_slab_release(ids->text, ids->block[slot], sizeof(uint16_t) + id.n);
    ids->block[slot] = ids->first_free;
    ids->first_free = slot;
    ids->n_live--;
}

size_t kd_ids_bytes(const kd_ids *ids)
{
    return (size_t)ids->cap * (sizeof *ids->hash + sizeof *ids->block) +
           kd_index_bytes(&ids->index);
}

size_t kd_ids_text_bytes(const kd_ids *ids)
{
    return kd_slab_held_bytes(ids->text);
}
