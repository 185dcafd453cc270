/* arena.h - memory by lifetime: bump allocation that is given back as a whole.
 *
 * I1  every pointer from an arena lives until the arena is reset or freed, or until a mark taken
 *     before it is restored.
 * I2  cap_bytes bounds what the arena takes from malloc; past it kd_arena_alloc returns NULL.
 * A reset keeps one block, the last that grew (1 MiB at most): a steady state that fits into it
 * allocates nothing.
 * @thread one: an arena belongs to one thread at a time.
 */
#ifndef KD_ARENA_H
#define KD_ARENA_H

#include "base/kd.h"

typedef struct kd_arena kd_arena;

/* Owned by the caller; cap_bytes 0 means no cap. NULL when out of memory. */
kd_arena *kd_arena_new(size_t cap_bytes);
void kd_arena_free(kd_arena *a);
/* Gives everything back at once; one block is kept. */
void kd_arena_reset(kd_arena *a);

/* n bytes, aligned for any type, not cleared; n = 0 gives a valid pointer. NULL over the cap. */
void *kd_arena_alloc(kd_arena *a, size_t n);
/* count * size bytes, overflow-checked and zeroed. */
void *kd_arena_calloc(kd_arena *a, size_t count, size_t size);
/* Copies a string into the arena (null stays null); *out is untouched on failure. */
KD_CHECK kd_rc kd_arena_str(kd_arena *a, kd_str s, kd_str *out, kd_err *err);
/* A NUL-terminated copy, or NULL. */
char *kd_arena_strz(kd_arena *a, kd_str s);

/* Bytes handed out since the last reset. */
size_t kd_arena_used(const kd_arena *a);

#endif
