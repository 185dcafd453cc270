#include "cli/titles.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operators/ids.h"

enum { LONGEST = 512 }; /* bytes; a table shows less */

struct kd_titles {
    kd_ids ids;
    kd_slab *text;
    uint32_t *block; /* [cap] by slot: { uint32 length, bytes } in `text`, 0 = none */
    uint32_t cap;
};

kd_rc kd_titles_new(kd_titles **out, kd_err *err)
{
    kd_titles *t = calloc(1, sizeof *t);
    if (t == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for titles");
    t->text = kd_slab_new();
    kd_rc rc = t->text == NULL ? kd_fail(err, KD_ENOMEM, "no memory for titles")
                               : kd_ids_init(&t->ids, KD_NO_SLOT - 1, err);
    if (rc != KD_OK) {
        kd_slab_free(t->text);
        free(t);
        return rc;
    }
    *out = t;
    return KD_OK;
}

void kd_titles_free(kd_titles *t)
{
    if (t == NULL)
        return;
    kd_ids_dispose(&t->ids);
    kd_slab_free(t->text);
    free(t->block);
    free(t);
}

static kd_str title_at(const kd_titles *t, uint32_t slot)
{
    if (slot == KD_NO_SLOT || t->block[slot] == 0)
        return KD_STR_NULL;
    const char *p = kd_slab_ptr(t->text, t->block[slot]);
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return (kd_str){p + sizeof n, n};
}

kd_rc kd_titles_set(kd_titles *t, kd_str item_id, kd_str title, kd_err *err)
{
    uint32_t slot, block = 0;
    bool is_new;
    KD_TRY(kd_ids_intern(&t->ids, item_id, kd_ids_hash(item_id), &slot, &is_new, err));
    if (!kd_grow((void **)&t->block, &t->cap, slot + 1, sizeof *t->block))
        return kd_fail(err, KD_ENOMEM, "no memory for titles");
    title.n = title.n < LONGEST ? title.n : LONGEST;
    if (title.p != NULL && title.n > 0) {
        block = kd_slab_alloc(t->text, sizeof title.n + title.n);
        if (block == 0)
            return kd_fail(err, KD_ENOMEM, "no memory for a title of %u bytes", title.n);
        char *p = kd_slab_ptr(t->text, block);
        memcpy(p, &title.n, sizeof title.n);
        memcpy(p + sizeof title.n, title.p, title.n);
    }
    if (t->block[slot] != 0)
        kd_slab_release(t->text, t->block[slot], sizeof(uint32_t) + title_at(t, slot).n);
    t->block[slot] = block;
    return KD_OK;
}

kd_str kd_titles_of(void *titles, kd_str item_id)
{
    const kd_titles *t = titles;
    return title_at(t, kd_ids_find(&t->ids, item_id, kd_ids_hash(item_id)));
}
