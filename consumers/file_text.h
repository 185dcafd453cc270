/* file_text.h - the text of an open file, cut piece by piece without copying what is cut.
 *
 * Text is read into chunks. A piece that was cut and kept (kd_text_keep) stays where it is until
 * kd_text_release, which keeps the newest chunk alone: the piece cut last is always in it (I1), so
 * a record that was read ahead survives the release of those before it. Chunks of which nothing was
 * kept are used again, so passing over text takes no memory.
 * @thread one
 */
#ifndef KD_FILE_TEXT_H
#define KD_FILE_TEXT_H

#include "base/gz.h"

typedef struct kd_text_chunk kd_text_chunk;

typedef struct kd_text {
    kd_reader *in;        /* owned */
    size_t max_bytes;     /* longest piece */
    kd_text_chunk *now;   /* owned; NULL before the first byte */
    kd_text_chunk *old;   /* owned; cut from, and not yet released */
    kd_text_chunk *spare; /* owned; at most one */
    size_t pos;           /* first byte of `now` not yet cut */
    bool is_kept;         /* somebody reads what was cut from `now` */
    kd_rc ended;          /* KD_END or a fault came out of `in` */
    kd_err fault;
    int64_t line; /* physical lines passed */
} kd_text;

/* Takes over `in`. Does not read. */
void kd_text_init(kd_text *t, kd_reader *in, size_t max_bytes);
void kd_text_dispose(kd_text *t);
void kd_text_release(kd_text *t);

/* What is there to be cut; borrowed until kd_text_more. */
const char *kd_text_here(const kd_text *t, size_t *out_n);
/* More text behind it (all of it may move, whatever comes back). KD_END, KD_EIO: there is no more.
 */
KD_CHECK kd_rc kd_text_more(kd_text *t, kd_err *err);
/* Passes n bytes (at most what is there) that hold `lines` line ends. */
void kd_text_cut(kd_text *t, size_t n, int64_t lines);
/* The pieces cut so far from the newest chunk stay until kd_text_release. */
void kd_text_keep(kd_text *t);
/* Passes everything up to and with the next line end, however far; counts the line. */
KD_CHECK kd_rc kd_text_skip_line(kd_text *t, kd_err *err);
/* Passes a UTF-8 byte order mark if the text begins with one. */
KD_CHECK kd_rc kd_text_skip_bom(kd_text *t, kd_err *err);

#endif
