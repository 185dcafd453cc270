/* audience.h - who touched each item: P(i), whole, ordered by (time, shopper id bytes).
 *
 * A posting list is a sequence of chunks of shopper slots (4 bytes each, no time: the time of a
 * posting is that of the shopper's KD_REP entry of the item). Up to CHUNK_MAX shoppers it is one
 * block that grows; above, a directory keeps each chunk's first key, so that an insert or removal
 * in the middle of a million costs a binary search and the move of one chunk (2 KiB at most).
 *
 * P_m(i), the m most recent, is a read of the last m: kd_posting_recent.
 *
 * I1  slots in chunk order are ascending by (time, id bytes), without repetition
 * I2  directory[c].time and .first are the key of the first slot of chunk c
 * I3  no chunk is empty
 * I4  last is the time of the last slot
 * @thread one writer; any readers between writes
 */
#ifndef KD_AUDIENCE_H
#define KD_AUDIENCE_H

#include "operators/history.h"

typedef struct kd_chunk {
    kd_ms time;     /* of the first slot */
    uint32_t first; /* first slot */
    uint32_t block;
    uint16_t n, cap;
} kd_chunk;

typedef struct kd_posting {
    kd_chunk *dir;           /* owned; NULL while there is one chunk */
    uint32_t n;              /* |P(i)| */
    uint32_t n_dir, cap_dir; /* chunks */
    uint32_t block;          /* the one chunk, if dir == NULL */
    kd_ms last;              /* time of the last slot, if n > 0: most inserts ask for it */
    uint16_t cap;            /* of that chunk */
} kd_posting;

/* What a posting list needs to know of its surroundings. */
typedef struct kd_posting_ctx {
    kd_slab *slab;            /* chunks */
    uint32_t *spare;          /* a full-size block that room() puts aside for a split; 0 = none */
    const kd_histories *hist; /* times of postings */
    const kd_ids *shoppers;   /* order at equal times */
    uint32_t item;            /* whose list it is */
} kd_posting_ctx;

/* Makes sure that one insert cannot fail. KD_ENOMEM leaves the list as it was. */
KD_CHECK kd_rc kd_posting_room(const kd_posting_ctx *x, kd_posting *p, kd_err *err);
/* Adds shopper u at `time`. The times of the others must be in place; u must not be in the list,
 * and there must be room. */
void kd_posting_insert(const kd_posting_ctx *x, kd_posting *p, uint32_t u, kd_ms time);
/* A posting on its way into a list that is built as a whole. */
typedef struct kd_posting_key {
    kd_ms time;
    uint32_t slot;
} kd_posting_key;
/* Fills an empty list with n >= 1 postings, ascending by (time, id bytes). KD_ENOMEM leaves some of
 * them in: for a state that is given up then. */
KD_CHECK kd_rc kd_posting_build(const kd_posting_ctx *x, kd_posting *p, const kd_posting_key *key,
                                uint32_t n, kd_err *err);
/* Takes out u, whose key is `time`. */
void kd_posting_remove(const kd_posting_ctx *x, kd_posting *p, uint32_t u, kd_ms time);
/* Gives u, whose key was `old_time`, the key `time`; room as for an insert. */
void kd_posting_move(const kd_posting_ctx *x, kd_posting *p, uint32_t u, kd_ms old_time,
                     kd_ms time);
/* Bytes of a full chunk: what *spare is, for its owner to release. */
#define KD_CHUNK_BYTES 2048u
/* Frees everything of an empty list. */
void kd_posting_dispose(const kd_posting_ctx *x, kd_posting *p);
bool kd_posting_sane(const kd_posting_ctx *x, const kd_posting *p);

/* A run of slots; runs are handed out from the most recent chunk on, each ascending in itself. */
typedef struct kd_run {
    const uint32_t *slot;
    uint32_t n;
} kd_run;

/* The run of chunk `c` counted from the newest (0), cut so that at most `left` most recent slots
 * are in it. n = 0: no such chunk. */
static inline kd_run kd_posting_recent(const kd_slab *slab, const kd_posting *p, uint32_t c,
                                       uint32_t left)
{
    const uint32_t *slot;
    uint32_t n;
    if (p->dir == NULL) {
        if (c > 0 || p->n == 0)
            return (kd_run){NULL, 0};
        slot = kd_slab_ptr(slab, p->block);
        n = p->n;
    } else {
        if (c >= p->n_dir)
            return (kd_run){NULL, 0};
        const kd_chunk *k = &p->dir[p->n_dir - 1 - c];
        slot = kd_slab_ptr(slab, k->block);
        n = k->n;
    }
    if (n > left) {
        slot += n - left;
        n = left;
    }
    return (kd_run){slot, n};
}

/* Bytes of the directory, beside the slab. */
size_t kd_posting_dir_bytes(const kd_posting *p);

#endif
