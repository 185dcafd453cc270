/* container.h - Avro object container files: reading records of our types, writing any of ours.
 *
 * Reading: the writer's schema is the file's own; it is one of our four record types by its name
 * (or a union of them, then each record says which). Codecs null and deflate. A damaged block is
 * reported once, with the record numbers from which it is not sure, and reading goes on behind the
 * next sync marker; nothing else is lost. Memory: one block (at most 64 MiB unpacked), packed and
 * unpacked. Writing: blocks of about 64 KiB, the sync marker is a hash of schema and codec, so that
 * the same records give the same bytes.
 * @thread one
 */
#ifndef KD_CONTAINER_H
#define KD_CONTAINER_H

#include "schemas/avro.h"

/* Up to cap bytes, at least one on KD_OK; KD_END at the end. As kd_reader_read. */
typedef kd_rc (*kd_container_read_fn)(void *arg, void *to, size_t cap, size_t *out_n, kd_err *err);
/* Takes all n bytes or fails. */
typedef kd_rc (*kd_container_write_fn)(void *arg, const void *p, size_t n, kd_err *err);

typedef struct kd_container kd_container;

/* Reads the header. `arg` is borrowed while the container lives. KD_EDATA if this is no container
 * file or its schema none of ours. *out is owned by the caller. */
KD_CHECK kd_rc kd_container_open(kd_container_read_fn read, void *arg, kd_container **out,
                                 kd_err *err);
/* The same over n bytes at p, borrowed while the container lives. */
KD_CHECK kd_rc kd_container_open_mem(const void *p, size_t n, kd_container **out, kd_err *err);
void kd_container_close(kd_container *c);

/* The next record. out->pos.offset is set to its number from 0 in every case; topic, partition, ts
 * and emit stay as the caller left them; raw_* is the record's bare Avro body where there is one,
 * else NULL. Strings (and raw bytes) live in `a`. Does not run kd_record_check. KD_EDATA: a record
 * that does not decode, or a damaged block (one report for it); go on. KD_END, KD_EIO from the
 * reader. After a damaged block numbers go on with what the block said it held. */
KD_CHECK kd_rc kd_container_next(kd_container *c, kd_arena *a, kd_record *out, kd_err *err);
/* The full name of the file's schema ("union" for one), borrowed while it lives. */
const char *kd_container_schema_name(const kd_container *c);

typedef enum kd_container_codec {
    KD_CONTAINER_NULL,
    KD_CONTAINER_DEFLATE,
} kd_container_codec;

typedef struct kd_container_writer kd_container_writer;

/* Writes the header. `arg` is borrowed while the writer lives. *out is owned by the caller. */
KD_CHECK kd_rc kd_container_writer_new(kd_schema_id id, kd_container_codec codec,
                                       kd_container_write_fn write, void *arg,
                                       kd_container_writer **out, kd_err *err);
/* The same for records of all four types in one file: its schema is the union of them. */
KD_CHECK kd_rc kd_container_events_writer_new(kd_container_codec codec, kd_container_write_fn write,
                                              void *arg, kd_container_writer **out, kd_err *err);
/* The record or output must be of the writer's type (KD_EBUG); a KD_OUT_FORGOTTEN is left out. */
KD_CHECK kd_rc kd_container_write_record(kd_container_writer *w, const kd_record *r, kd_err *err);
KD_CHECK kd_rc kd_container_write_out(kd_container_writer *w, const kd_out *o, kd_err *err);
/* Hands the block begun to `write`. */
KD_CHECK kd_rc kd_container_writer_flush(kd_container_writer *w, kd_err *err);
/* Does not flush: call kd_container_writer_flush first. NULL is allowed. */
void kd_container_writer_free(kd_container_writer *w);

#endif
