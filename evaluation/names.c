#include "evaluation/names.h"

#include <stdlib.h>

#include "base/buf.h"

enum { LEAST = 1024 };

kd_rc kd_names_init(kd_names *x, kd_err *err)
{
    *x = (kd_names){.text = kd_arena_new(0)};
    return x->text == NULL ? kd_fail(err, KD_ENOMEM, "no memory for names") : KD_OK;
}

void kd_names_dispose(kd_names *x)
{
    free(x->table);
    kd_arena_free(x->text);
    *x = (kd_names){0};
}

/* The place of the name, or the free one where it would go. */
static kd_name *place(const kd_names *x, kd_str name, uint64_t hash)
{
    uint32_t mask = x->cap - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        kd_name *e = &x->table[at];
        if (e->text.p == NULL || (e->hash == (uint32_t)(hash >> 32) && kd_str_eq(e->text, name)))
            return e;
    }
}

static kd_rc grow(kd_names *x, kd_err *err)
{
    if (x->used < x->cap / 4 * 3)
        return KD_OK;
    uint32_t cap = x->cap == 0 ? LEAST : x->cap * 2;
    kd_name *table = cap == 0 ? NULL : calloc(cap, sizeof *table);
    if (table == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u names", x->used + 1);
    kd_names old = *x;
    x->table = table;
    x->cap = cap;
    for (uint32_t k = 0; k < old.cap; k++)
        if (old.table[k].text.p != NULL) {
            kd_str t = old.table[k].text;
            *place(x, t, kd_hash64(t.p, t.n, 0)) = old.table[k];
        }
    free(old.table);
    return KD_OK;
}

void kd_names_ahead(const kd_names *x, kd_str name, int step)
{
    if (x->cap == 0)
        return;
    const kd_name *e = &x->table[(uint32_t)kd_hash64(name.p, name.n, 0) & (x->cap - 1)];
    if (step == 0)
        __builtin_prefetch(e);
    else if (e->text.p != NULL)
        __builtin_prefetch(e->text.p);
}

uint32_t kd_names_find(const kd_names *x, kd_str name)
{
    if (x->cap == 0)
        return KD_NO_NAME;
    const kd_name *e = place(x, name, kd_hash64(name.p, name.n, 0));
    return e->text.p == NULL ? KD_NO_NAME : e->number;
}

static kd_rc enter(kd_names *x, kd_name *e, kd_str name, uint64_t hash, uint32_t number,
                   kd_err *err)
{
    kd_str kept = {name.p == NULL ? "" : name.p, name.n};
    if (x->text != NULL)
        KD_TRY(kd_arena_str(x->text, kept, &kept, err));
    *e = (kd_name){.text = kept, .number = number, .hash = (uint32_t)(hash >> 32)};
    x->used++;
    return KD_OK;
}

kd_rc kd_names_add(kd_names *x, kd_str name, uint32_t *out, bool *out_new, kd_str *out_text,
                   kd_err *err)
{
    KD_TRY(grow(x, err));
    uint64_t hash = kd_hash64(name.p, name.n, 0);
    kd_name *e = place(x, name, hash);
    bool is_new = e->text.p == NULL || e->number == KD_NO_NAME;
    if (is_new && x->next == KD_NO_NAME)
        return kd_fail(err, KD_ENOMEM, "no number is left for a name");
    if (e->text.p == NULL)
        KD_TRY(enter(x, e, name, hash, KD_NO_NAME, err));
    if (is_new)
        e->number = x->next++;
    *out = e->number;
    if (out_new != NULL)
        *out_new = is_new;
    if (out_text != NULL)
        *out_text = e->text;
    return KD_OK;
}

kd_rc kd_names_put(kd_names *x, kd_str name, uint32_t number, kd_err *err)
{
    KD_TRY(grow(x, err));
    uint64_t hash = kd_hash64(name.p, name.n, 0);
    kd_name *e = place(x, name, hash);
    KD_ASSERT(e->text.p == NULL);
    return enter(x, e, name, hash, number, err);
}

void kd_names_renumber(kd_names *x, kd_str name)
{
    kd_name *e = x->cap == 0 ? NULL : place(x, name, kd_hash64(name.p, name.n, 0));
    if (e != NULL && e->text.p != NULL)
        e->number = KD_NO_NAME;
}
