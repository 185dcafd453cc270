#include "operators/audience.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = KD_CHUNK_BYTES, CHUNK_MAX = CHUNK_BYTES / 4 };

static kd_ms time_of(const kd_posting_ctx *x, uint32_t u)
{
    kd_entries e = kd_entries_of(x->hist, u);
    uint32_t k = kd_entries_rep(&e, x->item);
    KD_ASSERT(k < e.n);
    return kd_entry_time(&e, k);
}

/* True if key a comes before key b. */
static bool before(const kd_posting_ctx *x, kd_ms ta, uint32_t a, kd_ms tb, uint32_t b)
{
    return ta != tb ? ta < tb : kd_ids_cmp(x->shoppers, a, b) < 0;
}

static uint32_t *slots_of(const kd_posting_ctx *x, uint32_t block)
{
    return kd_slab_ptr(x->slab, block);
}

/* From here on a chunk is worked on as a kd_chunk, also the single one of a short list. */

static bool reserve_dir(kd_posting *p, uint32_t need)
{
    if (need <= p->cap_dir)
        return true;
    uint32_t cap = p->cap_dir + p->cap_dir / 2 + 4;
    if (cap < need)
        cap = need;
    kd_chunk *dir = realloc(p->dir, cap * sizeof *dir);
    if (dir == NULL)
        return false;
    p->dir = dir;
    p->cap_dir = cap;
    return true;
}

/* A single block at its limit becomes the first chunk of a directory. */
static bool open_dir(const kd_posting_ctx *x, kd_posting *p)
{
    kd_chunk *dir = malloc(4 * sizeof *dir);
    if (dir == NULL)
        return false;
    uint32_t first = slots_of(x, p->block)[0];
    dir[0] = (kd_chunk){time_of(x, first), first, p->block, (uint16_t)p->n, p->cap};
    p->dir = dir;
    p->n_dir = 1;
    p->cap_dir = 4;
    p->block = 0;
    p->cap = 0;
    return true;
}

static bool grow_single(const kd_posting_ctx *x, kd_posting *p)
{
    size_t bytes = kd_slab_size(((size_t)p->n + 1 + p->n / 8) * sizeof(uint32_t));
    if (bytes > CHUNK_BYTES)
        bytes = CHUNK_BYTES;
    uint32_t block = kd_slab_alloc(x->slab, bytes);
    if (block == 0)
        return false;
    if (p->block != 0) {
        memcpy(slots_of(x, block), slots_of(x, p->block), p->n * sizeof(uint32_t));
        kd_slab_release(x->slab, p->block, p->cap * sizeof(uint32_t));
    }
    p->block = block;
    p->cap = (uint16_t)(bytes / sizeof(uint32_t));
    return true;
}

/* Room is asked for before the place is known, so any full chunk must be able to split: one spare
 * directory place and one spare block are put aside. */
kd_rc kd_posting_room(const kd_posting_ctx *x, kd_posting *p, kd_err *err)
{
    bool ok = true;
    if (p->dir == NULL && p->n == p->cap) {
        if (p->n < CHUNK_MAX)
            ok = grow_single(x, p);
        else
            ok = open_dir(x, p);
    }
    if (ok && p->dir != NULL) {
        if (*x->spare == 0)
            *x->spare = kd_slab_alloc(x->slab, CHUNK_BYTES);
        ok = *x->spare != 0 && reserve_dir(p, p->n_dir + 1);
    }
    return ok ? KD_OK : kd_fail(err, KD_ENOMEM, "no memory for an audience of %u", p->n + 1);
}

/* The chunk in which the key belongs: the last one whose first key is not after it, else 0. */
static uint32_t chunk_for(const kd_posting_ctx *x, const kd_posting *p, kd_ms time, uint32_t u)
{
    uint32_t lo = 0, hi = p->n_dir;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        const kd_chunk *c = &p->dir[mid];
        if (before(x, time, u, c->time, c->first))
            hi = mid;
        else
            lo = mid;
    }
    return lo;
}

/* The place of the key among n ascending slots, the last of which has the time `last`. The new end
 * is tried first: events mostly come in order, and each probe costs a look into another shopper's
 * history. */
static uint32_t place_in(const kd_posting_ctx *x, const uint32_t *slot, uint32_t n, kd_ms last,
                         kd_ms time, uint32_t u)
{
    if (n == 0 || before(x, last, slot[n - 1], time, u))
        return n;
    uint32_t lo = 0, hi = n - 1;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (before(x, time_of(x, slot[mid]), slot[mid], time, u))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void insert_slot(uint32_t *slot, uint32_t n, uint32_t k, uint32_t u)
{
    memmove(slot + k + 1, slot + k, (n - k) * sizeof *slot);
    slot[k] = u;
}

static uint32_t take_spare(const kd_posting_ctx *x)
{
    uint32_t block = *x->spare;
    KD_ASSERT(block != 0);
    *x->spare = 0;
    return block;
}

/* Gives a chunk that was a short list's block the full size. */
static void widen(const kd_posting_ctx *x, kd_chunk *c)
{
    uint32_t block = take_spare(x);
    memcpy(slots_of(x, block), slots_of(x, c->block), c->n * sizeof(uint32_t));
    kd_slab_release(x->slab, c->block, c->cap * sizeof(uint32_t));
    c->block = block;
    c->cap = CHUNK_MAX;
}

/* Splits chunk k. At the new end the left part stays full: lists mostly grow there. */
static void split(const kd_posting_ctx *x, kd_posting *p, uint32_t k)
{
    uint32_t block = take_spare(x);
    kd_chunk *c = &p->dir[k];
    uint32_t keep = k + 1 == p->n_dir ? c->n - c->n / 8u : c->n / 2u;
    uint32_t moved = c->n - keep;
    uint32_t *to = slots_of(x, block);
    memcpy(to, slots_of(x, c->block) + keep, moved * sizeof *to);
    kd_ms time = time_of(x, to[0]);
    memmove(p->dir + k + 2, p->dir + k + 1, (p->n_dir - k - 1) * sizeof *p->dir);
    p->dir[k].n = (uint16_t)keep;
    p->dir[k + 1] = (kd_chunk){time, to[0], block, (uint16_t)moved, CHUNK_MAX};
    p->n_dir++;
}

void kd_posting_insert(const kd_posting_ctx *x, kd_posting *p, uint32_t u, kd_ms time)
{
    if (p->dir == NULL) {
        KD_ASSERT(p->n < p->cap);
        uint32_t *slot = slots_of(x, p->block);
        uint32_t at = place_in(x, slot, p->n, p->last, time, u);
        insert_slot(slot, p->n, at, u);
        if (at == p->n++)
            p->last = time;
        return;
    }
    uint32_t k = chunk_for(x, p, time, u);
    if (p->dir[k].n == p->dir[k].cap) {
        if (p->dir[k].cap < CHUNK_MAX) {
            widen(x, &p->dir[k]);
        } else {
            split(x, p, k);
            k = chunk_for(x, p, time, u);
        }
    }
    kd_chunk *c = &p->dir[k];
    uint32_t *slot = slots_of(x, c->block);
    bool is_newest = k + 1 == p->n_dir;
    kd_ms last = is_newest || c->n == 0 ? p->last : time_of(x, slot[c->n - 1]);
    uint32_t at = place_in(x, slot, c->n, last, time, u);
    insert_slot(slot, c->n, at, u);
    if (at == c->n++ && is_newest)
        p->last = time;
    p->n++;
    if (at == 0) {
        c->time = time;
        c->first = u;
    }
}

static uint32_t build_block(const kd_posting_ctx *x, const kd_posting_key *key, uint32_t n,
                            size_t bytes)
{
    uint32_t block = kd_slab_alloc(x->slab, bytes);
    if (block == 0)
        return 0;
    uint32_t *slot = slots_of(x, block);
    for (uint32_t k = 0; k < n; k++)
        slot[k] = key[k].slot;
    return block;
}

kd_rc kd_posting_build(const kd_posting_ctx *x, kd_posting *p, const kd_posting_key *key,
                       uint32_t n, kd_err *err)
{
    enum { FILL = CHUNK_MAX - CHUNK_MAX / 8 }; /* as split() leaves them */
    KD_ASSERT(p->n == 0 && p->block == 0 && p->dir == NULL && n > 0);
    if (n <= CHUNK_MAX) {
        size_t bytes = kd_slab_size((size_t)n * sizeof(uint32_t));
        p->block = build_block(x, key, n, bytes);
        p->cap = (uint16_t)(bytes / sizeof(uint32_t));
        if (p->block == 0)
            return kd_fail(err, KD_ENOMEM, "no memory for an audience of %u", n);
    } else if (!reserve_dir(p, (n + FILL - 1) / FILL)) {
        return kd_fail(err, KD_ENOMEM, "no memory for an audience of %u", n);
    }
    for (uint32_t from = 0; p->dir != NULL && from < n; from += FILL) {
        uint32_t len = n - from < FILL ? n - from : FILL;
        uint32_t block = build_block(x, key + from, len, CHUNK_BYTES);
        if (block == 0)
            return kd_fail(err, KD_ENOMEM, "no memory for an audience of %u", n);
        p->dir[p->n_dir++] =
            (kd_chunk){key[from].time, key[from].slot, block, (uint16_t)len, CHUNK_MAX};
        p->n += len;
    }
    p->n = n;
    p->last = key[n - 1].time;
    return KD_OK;
}

static void drop_chunk(const kd_posting_ctx *x, kd_posting *p, uint32_t k)
{
    kd_slab_release(x->slab, p->dir[k].block, p->dir[k].cap * sizeof(uint32_t));
    memmove(p->dir + k, p->dir + k + 1, (p->n_dir - k - 1) * sizeof *p->dir);
    p->n_dir--;
}

/* Chunks k and k+1 that fit into half a chunk become one. */
static void join(const kd_posting_ctx *x, kd_posting *p, uint32_t k)
{
    if (k + 1 >= p->n_dir)
        return;
    kd_chunk *a = &p->dir[k], *b = &p->dir[k + 1];
    if (a->n + b->n > CHUNK_MAX / 2 || a->n + b->n > a->cap)
        return;
    memcpy(slots_of(x, a->block) + a->n, slots_of(x, b->block), b->n * sizeof(uint32_t));
    a->n = (uint16_t)(a->n + b->n);
    drop_chunk(x, p, k + 1);
}

/* A list that shrank to one chunk with room to spare goes back to a single block. */
static void close_dir(kd_posting *p)
{
    if (p->n_dir > 1 || p->n > CHUNK_MAX / 4)
        return;
    kd_chunk c = p->n_dir == 1 ? p->dir[0] : (kd_chunk){0};
    free(p->dir);
    *p = (kd_posting){.n = p->n, .block = c.block, .last = p->last, .cap = c.cap};
}

static void shrink_single(const kd_posting_ctx *x, kd_posting *p)
{
    if (p->n == 0) {
        kd_slab_release(x->slab, p->block, p->cap * sizeof(uint32_t));
        *p = (kd_posting){0};
    } else if (p->n <= p->cap / 2 || kd_slab_is_sparse(x->slab, p->block)) {
        size_t bytes = kd_slab_size((size_t)p->n * sizeof(uint32_t));
        uint32_t block = kd_slab_alloc(x->slab, bytes);
        if (block == 0)
            return; /* it stays where it is */
        memcpy(slots_of(x, block), slots_of(x, p->block), p->n * sizeof(uint32_t));
        kd_slab_release(x->slab, p->block, p->cap * sizeof(uint32_t));
        p->block = block;
        p->cap = (uint16_t)(bytes / sizeof(uint32_t));
    }
}

/* A vector of GCC and Clang; loaded from anywhere. */
typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));

static uint32_t find_in(const uint32_t *slot, uint32_t n, uint32_t u)
{
    enum { AT_ONCE = 16 }; /* compared without a branch */
    uint32_t k = n;
    while (k >= AT_ONCE) {
        const four *q = (const four *)(const void *)(slot + k - AT_ONCE);
        const four is_there = (q[0] == u) | (q[1] == u) | (q[2] == u) | (q[3] == u);
        if ((is_there[0] | is_there[1] | is_there[2] | is_there[3]) != 0)
            break;
        k -= AT_ONCE;
    }
    while (k-- > 0)
        if (slot[k] == u)
            return k;
    return n;
}

/* Takes u out; an emptied or sparse block is left for tidy(). */
static void take_out(const kd_posting_ctx *x, kd_posting *p, uint32_t u, kd_ms time)
{
    if (p->dir == NULL) {
        uint32_t *slot = slots_of(x, p->block);
        uint32_t at = find_in(slot, p->n, u);
        KD_ASSERT(at < p->n);
        p->n--;
        memmove(slot + at, slot + at + 1, (p->n - at) * sizeof *slot);
        if (at == p->n && at > 0)
            p->last = time_of(x, slot[at - 1]);
        return;
    }
    uint32_t k = chunk_for(x, p, time, u);
    kd_chunk *c = &p->dir[k];
    uint32_t *slot = slots_of(x, c->block);
    uint32_t at = find_in(slot, c->n, u);
    KD_ASSERT(at < c->n);
    c->n--;
    p->n--;
    memmove(slot + at, slot + at + 1, (c->n - at) * sizeof *slot);
    bool was_last = k + 1 == p->n_dir && at == c->n;
    if (c->n == 0) {
        drop_chunk(x, p, k);
    } else {
        if (at == 0) {
            c->first = slot[0];
            c->time = time_of(x, slot[0]);
        }
        if (c->n < CHUNK_MAX / 4) {
            join(x, p, k);
            if (k > 0)
                join(x, p, k - 1);
        }
    }
    if (was_last && p->n > 0) {
        const kd_chunk *end = &p->dir[p->n_dir - 1];
        p->last = time_of(x, slots_of(x, end->block)[end->n - 1]);
    }
}

void kd_posting_remove(const kd_posting_ctx *x, kd_posting *p, uint32_t u, kd_ms time)
{
    take_out(x, p, u, time);
    if (p->dir == NULL)
        shrink_single(x, p);
    else
        close_dir(p);
}

void kd_posting_move(const kd_posting_ctx *x, kd_posting *p, uint32_t u, kd_ms old_time, kd_ms time)
{
    if (time > old_time) { /* the most recent shopper again: nothing moves */
        kd_chunk *c = p->dir == NULL ? NULL : &p->dir[p->n_dir - 1];
        const uint32_t *slot = slots_of(x, c == NULL ? p->block : c->block);
        uint32_t n = c == NULL ? p->n : c->n;
        if (slot[n - 1] == u) {
            if (c != NULL && n == 1)
                c->time = time;
            p->last = time;
            return;
        }
    }
    take_out(x, p, u, old_time);
    if (p->dir != NULL && p->n_dir == 0) { /* u was alone: its chunk went with it */
        p->dir[0] = (kd_chunk){time, u, take_spare(x), 0, CHUNK_MAX};
        p->n_dir = 1;
        p->last = KD_MS_NONE;
    }
    kd_posting_insert(x, p, u, time);
}

void kd_posting_dispose(const kd_posting_ctx *x, kd_posting *p)
{
    KD_ASSERT(p->n == 0);
    if (p->block != 0)
        kd_slab_release(x->slab, p->block, p->cap * sizeof(uint32_t));
    free(p->dir);
    *p = (kd_posting){0};
}

size_t kd_posting_dir_bytes(const kd_posting *p)
{
    return p->dir == NULL ? 0 : p->cap_dir * sizeof *p->dir;
}

bool kd_posting_sane(const kd_posting_ctx *x, const kd_posting *p)
{
    uint32_t total = 0, prev = KD_NO_SLOT;
    kd_ms prev_time = KD_MS_NONE;
    uint32_t chunks = p->dir == NULL ? (p->n > 0) : p->n_dir;
    for (uint32_t c = chunks; c-- > 0;) {
        kd_run run = kd_posting_recent(x->slab, p, c, UINT32_MAX);
        if (run.n == 0)
            return false; /* I3 */
        const kd_chunk *d = p->dir == NULL ? NULL : &p->dir[p->n_dir - 1 - c];
        if (d != NULL && (d->first != run.slot[0] || d->time != time_of(x, run.slot[0])))
            return false; /* I2 */
        for (uint32_t k = 0; k < run.n; k++) {
            kd_ms t = time_of(x, run.slot[k]);
            if (prev != KD_NO_SLOT && !before(x, prev_time, prev, t, run.slot[k]))
                return false; /* I1 */
            prev = run.slot[k];
            prev_time = t;
        }
        total += run.n;
    }
    return total == p->n && (p->n == 0 || prev_time == p->last); /* I4 */
}
