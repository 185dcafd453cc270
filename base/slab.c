#include "base/slab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SLAB_BYTES = KD_SLAB_UNIT << KD_SLAB_SHIFT,
    N_CLASSES = 48,
    MAX_SLABS = 1 << (32 - KD_SLAB_SHIFT),
    REGION_SLABS = 64,
    LARGE_PAGE = 2 << 20, /* bytes */
};

#define NONE UINT32_MAX

/* One slab serves one class. Free blocks are chained through their first four bytes. */
typedef struct slab {
    uint32_t class_no;
    uint32_t live;
    uint32_t fresh;      /* blocks never handed out yet start here */
    uint32_t free_unit;  /* first free block's unit number, NONE at the end */
    uint32_t prev, next; /* in the class's list of slabs with room */
} slab;

struct kd_slab {
    struct kd_slab_view view; /* first: kd_slab_ptr reads it */
    slab *slabs;
    uint32_t n, cap;
    uint32_t spare; /* slabs without a block, chained through `next` */
    uint32_t room[N_CLASSES];
    size_t used, held;
};

/* Class sizes: steps of 16 bytes up to 256, then four steps to each doubling. */
static size_t class_bytes(uint32_t c)
{
    if (c < 16)
        return (size_t)(c + 1) * KD_SLAB_UNIT;
    uint32_t octave = (c - 16) / 4, step = (c - 16) % 4;
    return ((size_t)256 << octave) / 4 * (5 + step);
}

static uint32_t class_of(size_t n)
{
    if (n <= 256)
        return n == 0 ? 0 : (uint32_t)((n - 1) / KD_SLAB_UNIT);
    uint32_t top = 31 - (uint32_t)__builtin_clz((uint32_t)(n - 1)); /* 2^top <= n - 1 */
    return 16 + (top - 8) * 4 + ((uint32_t)(n - 1) >> (top - 2) & 3);
}

kd_slab *kd_slab_new(void)
{
    kd_slab *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->spare = NONE;
    for (int c = 0; c < N_CLASSES; c++)
        s->room[c] = NONE;
    return s;
}

void kd_slab_free(kd_slab *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->n; i += REGION_SLABS)
        munmap(s->view.base[i], (size_t)SLAB_BYTES * REGION_SLABS);
    free(s->view.base);
    free(s->slabs);
    free(s);
}

size_t kd_slab_size(size_t n)
{
    return class_bytes(class_of(n));
}

static void list_add(kd_slab *s, uint32_t i)
{
    slab *b = &s->slabs[i];
    b->prev = NONE;
    b->next = s->room[b->class_no];
    if (b->next != NONE)
        s->slabs[b->next].prev = i;
    s->room[b->class_no] = i;
}

static void list_remove(kd_slab *s, uint32_t i)
{
    slab *b = &s->slabs[i];
    if (b->prev != NONE)
        s->slabs[b->prev].next = b->next;
    else
        s->room[b->class_no] = b->next;
    if (b->next != NONE)
        s->slabs[b->next].prev = b->prev;
}

/* A region is as long as two large pages and begins with one: with random reads all over a big
 * state a small page costs a walk through the page tables for each line. A small state does
 * without. */
static char *map_region(bool is_large)
{
    const size_t bytes = (size_t)SLAB_BYTES * REGION_SLABS, before = is_large ? LARGE_PAGE : 0;
    char *p =
        mmap(NULL, bytes + before, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (!is_large)
        return p;
    size_t head = (size_t)(-(uintptr_t)p & (LARGE_PAGE - 1));
    if (head > 0)
        munmap(p, head);
    if (head < before)
        munmap(p + head + bytes, before - head);
    (void)madvise(p + head, bytes, MADV_HUGEPAGE); /* where there are none, small pages do */
    return p + head;
}

/* Maps a region and chains its slabs as spare ones. False when out of memory. */
static bool add_region(kd_slab *s)
{
    if (s->n + REGION_SLABS > s->cap) {
        uint32_t cap = s->cap == 0 ? REGION_SLABS : s->cap * 2;
        if (cap > MAX_SLABS)
            return false;
        char **base = realloc(s->view.base, cap * sizeof *base);
        if (base != NULL)
            s->view.base = base;
        slab *slabs = realloc(s->slabs, cap * sizeof *slabs);
        if (slabs != NULL)
            s->slabs = slabs;
        if (base == NULL || slabs == NULL)
            return false;
        s->cap = cap;
    }
    char *p = map_region(s->n > 0);
    if (p == NULL)
        return false;
    for (uint32_t k = REGION_SLABS; k-- > 0;) {
        uint32_t i = s->n + k;
        s->view.base[i] = p + (size_t)k * SLAB_BYTES;
        s->slabs[i] = (slab){.next = s->spare};
        s->spare = i;
    }
    s->n += REGION_SLABS;
    return true;
}

/* Gives a spare slab to class c; NONE when out of memory. */
static uint32_t add_slab(kd_slab *s, uint32_t c)
{
    if (s->spare == NONE && !add_region(s))
        return NONE;
    uint32_t i = s->spare;
    s->spare = s->slabs[i].next;
    /* Slab 0 leaves its first unit out, so that handle 0 names nothing. */
    s->slabs[i] = (slab){.class_no = c, .fresh = i == 0 ? 1 : 0, .free_unit = NONE};
    list_add(s, i);
    s->held += SLAB_BYTES;
    return i;
}

uint32_t kd_slab_alloc(kd_slab *s, size_t n)
{
    KD_ASSERT(n <= KD_SLAB_MAX);
    uint32_t c = class_of(n);
    uint32_t units = (uint32_t)(class_bytes(c) / KD_SLAB_UNIT);
    uint32_t i = s->room[c];
    if (i == NONE) {
        i = add_slab(s, c);
        if (i == NONE)
            return 0;
    }
    slab *b = &s->slabs[i];
    uint32_t unit = b->free_unit;
    if (unit != NONE) {
        memcpy(&b->free_unit, s->view.base[i] + (size_t)unit * KD_SLAB_UNIT, sizeof unit);
    } else {
        unit = b->fresh;
        b->fresh += units;
    }
    b->live++;
    if (b->free_unit == NONE && b->fresh + units > (1u << KD_SLAB_SHIFT))
        list_remove(s, i);
    s->used += class_bytes(c);
    return i << KD_SLAB_SHIFT | unit;
}

void kd_slab_release(kd_slab *s, uint32_t h, size_t n)
{
    if (h == 0)
        return;
    uint32_t i = h >> KD_SLAB_SHIFT, unit = h & ((1u << KD_SLAB_SHIFT) - 1);
    slab *b = &s->slabs[i];
    uint32_t c = b->class_no;
    KD_ASSERT(c == class_of(n) && b->live > 0);
    uint32_t units = (uint32_t)(class_bytes(c) / KD_SLAB_UNIT);
    bool had_room = b->free_unit != NONE || b->fresh + units <= (1u << KD_SLAB_SHIFT);
    s->used -= class_bytes(c);
    b->live--;
    if (b->live == 0) {
        if (had_room)
            list_remove(s, i);
        madvise(s->view.base[i], SLAB_BYTES, MADV_DONTNEED);
        s->held -= SLAB_BYTES;
        b->next = s->spare;
        s->spare = i;
        return;
    }
    memcpy(s->view.base[i] + (size_t)unit * KD_SLAB_UNIT, &b->free_unit, sizeof unit);
    b->free_unit = unit;
    if (!had_room)
        list_add(s, i);
}

bool kd_slab_is_sparse(const kd_slab *s, uint32_t h)
{
    const slab *b = &s->slabs[h >> KD_SLAB_SHIFT];
    uint32_t units = (uint32_t)(class_bytes(b->class_no) / KD_SLAB_UNIT);
    return (uint64_t)b->live * units * 2 < (1u << KD_SLAB_SHIFT) &&
           s->room[b->class_no] != h >> KD_SLAB_SHIFT;
}

size_t kd_slab_used_bytes(const kd_slab *s)
{
    return s->used;
}

size_t kd_slab_held_bytes(const kd_slab *s)
{
    return s->held + s->cap * (sizeof *s->slabs + sizeof *s->view.base);
}
