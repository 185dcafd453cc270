#include "operators/tombstones.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

enum { FIRST_CAP = 16 };

void kd_tombstones_init(kd_tombstones *t, const unsigned char key[KD_TOMBSTONE_KEY])
{
    _Static_assert(KD_TOMBSTONE_KEY == crypto_shorthash_siphashx24_KEYBYTES, "SipHash key");
    *t = (kd_tombstones){0};
    memcpy(t->key, key, KD_TOMBSTONE_KEY);
}

void kd_tombstones_dispose(kd_tombstones *t)
{
    free(t->table);
    *t = (kd_tombstones){0};
}

static kd_tombstone hash_of(const kd_tombstones *t, kd_str shopper)
{
    unsigned char out[crypto_shorthash_siphashx24_BYTES];
    crypto_shorthash_siphashx24(out, (const unsigned char *)shopper.p, shopper.n, t->key);
    kd_tombstone h = {0, 0, KD_MS_NONE};
    memcpy(&h.a, out, sizeof h.a);
    memcpy(&h.b, out + sizeof h.a, sizeof h.b);
    if (h.a == 0 && h.b == 0)
        h.b = 1;
    return h;
}

static kd_tombstone *probe(kd_tombstone *table, uint32_t cap, const kd_tombstone *h)
{
    for (uint32_t at = (uint32_t)h->a & (cap - 1);; at = (at + 1) & (cap - 1)) {
        kd_tombstone *e = &table[at];
        if ((e->a == 0 && e->b == 0) || (e->a == h->a && e->b == h->b))
            return e;
    }
}

kd_ms kd_tombstones_get(const kd_tombstones *t, kd_str shopper)
{
    if (t->n == 0)
        return KD_MS_NONE;
    kd_tombstone h = hash_of(t, shopper);
    const kd_tombstone *e = probe(t->table, t->cap, &h);
    return e->a == 0 && e->b == 0 ? KD_MS_NONE : e->time;
}

static bool resize(kd_tombstones *t, uint32_t cap)
{
    kd_tombstone *table = calloc(cap, sizeof *table);
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->table[i].a != 0 || t->table[i].b != 0)
            *probe(table, cap, &t->table[i]) = t->table[i];
    free(t->table);
    t->table = table;
    t->cap = cap;
    return true;
}

kd_rc kd_tombstones_room(kd_tombstones *t, uint32_t n, kd_err *err)
{
    uint64_t cap = t->cap == 0 ? FIRST_CAP : t->cap;
    while (((uint64_t)t->n + n) * 4 > cap * 3)
        cap *= 2;
    if (cap > t->cap && (cap > UINT32_MAX || !resize(t, (uint32_t)cap)))
        return kd_fail(err, KD_ENOMEM, "no memory for %u tombstones", t->n + n);
    return KD_OK;
}

kd_ms kd_tombstones_set(kd_tombstones *t, kd_str shopper, kd_ms time)
{
    kd_tombstone h = hash_of(t, shopper);
    kd_tombstone *e = probe(t->table, t->cap, &h);
    if (e->a == 0 && e->b == 0) {
        *e = h;
        e->time = time;
        t->n++;
        return KD_MS_NONE;
    }
    kd_ms old = e->time;
    if (time > old)
        e->time = time;
    return old;
}

void kd_tombstones_hex(const kd_tombstones *t, kd_str shopper, char out[33])
{
    kd_tombstone h = hash_of(t, shopper);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.a, (unsigned long long)h.b);
}

static kd_digest entry_digest(const kd_tombstone *e)
{
    struct {
        uint64_t tag, a, b;
        int64_t time;
    } x = {0x746f6d62 /* "tomb" */, e->a, e->b, e->time};
    return kd_hash128(&x, sizeof x, 0);
}

bool kd_tombstones_load(kd_tombstones *t, const kd_tombstone *x, kd_digest *digest)
{
    if (x->a == 0 && x->b == 0)
        return false;
    kd_tombstone *e = probe(t->table, t->cap, x);
    if (e->a != 0 || e->b != 0)
        return false;
    *e = *x;
    t->n++;
    kd_digest_add(digest, entry_digest(x));
    return true;
}

kd_digest kd_tombstone_digest(const kd_tombstones *t, kd_str shopper, kd_ms time)
{
    kd_tombstone h = hash_of(t, shopper);
    h.time = time;
    return entry_digest(&h);
}

kd_digest kd_tombstones_digest(const kd_tombstones *t)
{
    kd_digest sum = {0};
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->table[i].a != 0 || t->table[i].b != 0)
            kd_digest_add(&sum, entry_digest(&t->table[i]));
    return sum;
}

void kd_tombstones_expire(kd_tombstones *t, kd_ms horizon, kd_digest *digest)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->cap; i++)
        kept += (t->table[i].a != 0 || t->table[i].b != 0) && t->table[i].time >= horizon;
    if (kept == t->n)
        return;
    /* Removal would leave holes in the probing chains: lay the table anew at the size that fits. */
    uint32_t cap = FIRST_CAP;
    while ((uint64_t)(kept + 1) * 4 > (uint64_t)cap * 3)
        cap *= 2;
    kd_tombstone *table = calloc(cap, sizeof *table);
    if (table == NULL)
        return; /* the next day's horizon tries again */
    for (uint32_t i = 0; i < t->cap; i++) {
        const kd_tombstone *e = &t->table[i];
        if (e->a == 0 && e->b == 0)
            continue;
        if (e->time >= horizon)
            *probe(table, cap, e) = *e;
        else
            kd_digest_sub(digest, entry_digest(e));
    }
    free(t->table);
    t->table = table;
    t->cap = cap;
    t->n = kept;
}
