#include "operators/ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { FIRST_TABLE = 64 };

kd_rc kd_ids_init(kd_ids *ids, uint32_t max_slots, kd_err *err)
{
    *ids = (kd_ids){.first_free = KD_NO_SLOT, .max_slots = max_slots};
    ids->text = kd_slab_new();
    ids->table = calloc(FIRST_TABLE, sizeof *ids->table);
    if (ids->text == NULL || ids->table == NULL) {
        kd_ids_dispose(ids);
        return kd_fail(err, KD_ENOMEM, "no memory for an id table");
    }
    ids->table_cap = FIRST_TABLE;
    return KD_OK;
}

void kd_ids_dispose(kd_ids *ids)
{
    kd_slab_free(ids->text);
    free(ids->hash);
    free(ids->block);
    free(ids->table);
    *ids = (kd_ids){0};
}

uint64_t kd_ids_hash(kd_str id)
{
    return kd_hash64(id.p, id.n, 0);
}

/* The table place of the id, or of the empty place where it would go. */
static uint32_t probe(const kd_ids *ids, kd_str id, uint64_t hash)
{
    uint32_t mask = ids->table_cap - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        uint32_t slot1 = ids->table[at];
        if (slot1 == 0)
            return at;
        if (ids->hash[slot1 - 1] == hash && kd_str_eq(kd_ids_get(ids, slot1 - 1), id))
            return at;
    }
}

uint32_t kd_ids_find(const kd_ids *ids, kd_str id, uint64_t hash)
{
    uint32_t slot1 = ids->table[probe(ids, id, hash)];
    return slot1 == 0 ? KD_NO_SLOT : slot1 - 1;
}

static bool rehash(kd_ids *ids, uint32_t cap)
{
    uint32_t *table = calloc(cap, sizeof *table);
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < ids->table_cap; i++) {
        uint32_t slot1 = ids->table[i];
        if (slot1 == 0)
            continue;
        uint32_t at = (uint32_t)ids->hash[slot1 - 1] & (cap - 1);
        while (table[at] != 0)
            at = (at + 1) & (cap - 1);
        table[at] = slot1;
    }
    free(ids->table);
    ids->table = table;
    ids->table_cap = cap;
    return true;
}

static bool make_room(kd_ids *ids)
{
    if ((uint64_t)(ids->n_live + 1) * 4 > (uint64_t)ids->table_cap * 3 &&
        !rehash(ids, ids->table_cap * 2))
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
    ids->table[probe(ids, id, hash)] = slot + 1;
    ids->n_live++;
    *out_slot = slot;
    *out_is_new = true;
    return KD_OK;
}

void kd_ids_release(kd_ids *ids, uint32_t slot)
{
    kd_str id = kd_ids_get(ids, slot);
    uint32_t mask = ids->table_cap - 1;
    uint32_t at = probe(ids, id, ids->hash[slot]);
    KD_ASSERT(ids->table[at] == slot + 1);
    /* Knuth TAOCP 3, 6.4, algorithm R: pull later entries of the run back, so that no grave
     * stones are needed. */
    uint32_t hole = at;
    ids->table[hole] = 0;
    for (uint32_t i = (hole + 1) & mask; ids->table[i] != 0; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)ids->hash[ids->table[i] - 1] & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            ids->table[hole] = ids->table[i];
            ids->table[i] = 0;
            hole = i;
        }
    }
    kd_slab_release(ids->text, ids->block[slot], sizeof(uint16_t) + id.n);
    ids->block[slot] = ids->first_free;
    ids->first_free = slot;
    ids->n_live--;
}

size_t kd_ids_bytes(const kd_ids *ids)
{
    return (size_t)ids->cap * (sizeof *ids->hash + sizeof *ids->block) +
           (size_t)ids->table_cap * sizeof *ids->table;
}

size_t kd_ids_text_bytes(const kd_ids *ids)
{
    return kd_slab_held_bytes(ids->text);
}
