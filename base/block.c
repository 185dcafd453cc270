#include "base/block.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are written as they lie");

enum { MAGIC = 0x314b4442 /* "BDK1" */ };

typedef struct head {
    uint32_t magic, kind, n, seq;
    uint64_t bytes, sum;
} head;

static uint64_t sum_of(const head *h, const char *p)
{
    return kd_hash64(p, h->bytes, kd_hash64(h, offsetof(head, sum), 0));
}

void kd_block_write(kd_buf *out, uint32_t seq, const kd_block *b)
{
    KD_ASSERT(b->bytes <= KD_BLOCK_MAX);
    head h = {MAGIC, b->kind, b->n, seq, b->bytes, 0};
    h.sum = sum_of(&h, b->p);
    kd_buf_add(out, &h, sizeof h);
    kd_buf_add(out, b->p, b->bytes);
}

kd_rc kd_block_read(const kd_block_source *from, uint32_t seq, kd_buf *room, kd_block *out,
                    kd_err *err)
{
    head h;
    KD_TRY(from->read(from->arg, &h, sizeof h, err));
    if (h.magic != MAGIC || h.seq != seq || h.bytes > KD_BLOCK_MAX)
        return kd_fail(err, KD_EIO, "block %u is damaged: its head is none", seq);
    kd_buf_clear(room);
    char *p = kd_buf_room(room, h.bytes);
    if (p == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a block of %llu bytes",
                       (unsigned long long)h.bytes);
    KD_TRY(from->read(from->arg, p, h.bytes, err));
    if (sum_of(&h, p) != h.sum)
        return kd_fail(err, KD_EIO, "block %u is damaged: its checksum is another one", seq);
    *out = (kd_block){h.kind, h.n, p, h.bytes};
    return KD_OK;
}
