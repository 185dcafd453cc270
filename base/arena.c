#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define KD_ARENA_DEBUG 1
#endif
#ifndef KD_ARENA_DEBUG
#define KD_ARENA_DEBUG 0
#endif

enum { FIRST_BLOCK = 4096, LAST_BLOCK = 1 << 20 };

typedef struct block {
    struct block *next;
    size_t cap;
    size_t used;
    max_align_t data[];
} block;

struct kd_arena {
    block *head; /* newest block */
    size_t cap_bytes;
    size_t taken;
    size_t handed;
};

kd_arena *kd_arena_new(size_t cap_bytes)
{
    kd_arena *a = calloc(1, sizeof *a);
    if (a != NULL)
        a->cap_bytes = cap_bytes;
    return a;
}

static void free_blocks(kd_arena *a, block *keep)
{
    block *b = a->head;
    while (b != NULL) {
        block *next = b->next;
        if (b != keep) {
            a->taken -= b->cap;
            free(b);
        }
        b = next;
    }
    a->head = keep;
    if (keep != NULL)
        keep->next = NULL;
}

void kd_arena_free(kd_arena *a)
{
    if (a == NULL)
        return;
    free_blocks(a, NULL);
    free(a);
}

void kd_arena_reset(kd_arena *a)
{
    block *last = a->head; /* the largest, but for one that was made for a single object */
    while (last != NULL && last->cap > LAST_BLOCK)
        last = last->next;
    /* Under ASan each object is a block of its own and none is kept: stale pointers show. */
    free_blocks(a, KD_ARENA_DEBUG ? NULL : last);
    if (a->head != NULL)
        a->head->used = 0;
    a->handed = 0;
}

static block *add_block(kd_arena *a, size_t n)
{
    size_t cap = a->head == NULL ? FIRST_BLOCK : a->head->cap * 2;
    if (cap > LAST_BLOCK)
        cap = LAST_BLOCK;
    if (cap < n || KD_ARENA_DEBUG)
        cap = n;
    if (a->cap_bytes != 0 && (a->taken > a->cap_bytes || a->cap_bytes - a->taken < cap)) {
        if (a->taken > a->cap_bytes || a->cap_bytes - a->taken < n)
            return NULL;
        cap = n;
    }
    if (cap > SIZE_MAX - sizeof(block))
        return NULL;
    block *b = malloc(sizeof(block) + cap);
    if (b == NULL)
        return NULL;
    b->next = a->head;
    b->cap = cap;
    b->used = 0;
    a->head = b;
    a->taken += cap;
    return b;
}

void *kd_arena_alloc(kd_arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    if (n > SIZE_MAX - align)
        return NULL;
    n = (n + align - 1) / align * align;
    if (n == 0)
        n = align;
    block *b = a->head;
    if (b == NULL || b->cap - b->used < n) {
        b = add_block(a, n);
        if (b == NULL)
            return NULL;
    }
    void *p = (char *)b->data + b->used;
    b->used += n;
    a->handed += n;
    return p;
}

void *kd_arena_calloc(kd_arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    void *p = kd_arena_alloc(a, n);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

kd_rc kd_arena_str(kd_arena *a, kd_str s, kd_str *out, kd_err *err)
{
    if (s.p == NULL) {
        *out = KD_STR_NULL;
        return KD_OK;
    }
    char *p = kd_arena_alloc(a, s.n);
    if (p == NULL)
        return kd_fail(err, KD_ENOMEM, "arena is full at %zu bytes", a->taken);
    memcpy(p, s.p, s.n);
    *out = (kd_str){p, s.n};
    return KD_OK;
}

char *kd_arena_strz(kd_arena *a, kd_str s)
{
    char *p = kd_arena_alloc(a, (size_t)s.n + 1);
    if (p == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

size_t kd_arena_used(const kd_arena *a)
{
    return a->handed;
}
