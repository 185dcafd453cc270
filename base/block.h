/* block.h - how state lies in a file: a sequence of typed, numbered, checksummed blocks.
 *
 *   { u32 magic, kind, n, seq; u64 bytes, sum } payload[bytes]      all little-endian
 *
 * I1  sum is the XXH3 of the payload seeded with kind, n, seq and bytes: a block that is damaged,
 *     missing, repeated, or in another place than it was written is refused
 * I2  a reader never takes more memory than MAX_BYTES for what a damaged head says
 * @thread one
 */
#ifndef KD_BLOCK_H
#define KD_BLOCK_H

#include "base/buf.h"

enum { KD_BLOCK_MAX = 64 * 1024 * 1024 };

typedef struct kd_block {
    uint32_t kind;
    uint32_t n;    /* things in it; what they are is the kind's */
    const char *p; /* borrowed until the next read */
    size_t bytes;
} kd_block;

/* Appends block number `seq` to *out, which says if there was no memory (kd_buf.failed). */
void kd_block_write(kd_buf *out, uint32_t seq, const kd_block *b);

/* Where blocks come from: exactly n bytes, or KD_EIO. */
typedef struct kd_block_source {
    kd_rc (*read)(void *arg, void *p, size_t n, kd_err *err);
    void *arg;
} kd_block_source;

/* Reads block number `seq` through *room. KD_EIO: it is not what was written there. */
KD_CHECK kd_rc kd_block_read(const kd_block_source *from, uint32_t seq, kd_buf *room, kd_block *out,
                             kd_err *err);

#endif
