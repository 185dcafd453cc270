/* sinks.h - the doors out that need no broker: files, terminal, digest, tee, memory.
 * Each constructor gives an owned sink; kind->close frees it. See kd_sink.h for the contract.
 * @thread loop
 */
#ifndef KD_SINKS_H
#define KD_SINKS_H

#include "sinks/kd_sink.h"

/* Which outputs a file takes; the others are ignored. */
enum {
    KD_TAKE_UPDATES = 1u << KD_OUT_UPDATE,
    KD_TAKE_SIMILAR = 1u << KD_OUT_SIMILAR,
    KD_TAKE_DEAD_LETTERS = 1u << KD_OUT_DEAD_LETTER,
    KD_TAKE_FORGOTTEN = 1u << KD_OUT_FORGOTTEN,
    KD_TAKE_RECEIPTS = 1u << KD_OUT_RECEIPT,
    KD_TAKE_NEEDS = 1u << KD_OUT_NEEDS,
};

/* JSON lines, one object an output. path "-" is standard output. The file is made (emptied) at
 * start(); KD_EIO on failure, also for a write that fails later (disk full). */
KD_CHECK kd_rc kd_jsonl_sink_new(const char *path, uint32_t take, kd_sink **out, kd_err *err);

/* An Avro object container of one output type: KD_OUT_UPDATE, _SIMILAR, _DEAD_LETTER, _RECEIPT or
 * _NEEDS.
 */
KD_CHECK kd_rc kd_container_sink_new(const char *path, kd_out_type type, kd_sink **out,
                                     kd_err *err);

/* The languages of sentences. */
typedef enum kd_why_language { KD_WHY_ENGLISH, KD_WHY_CHINESE } kd_why_language;

/* A readable table of updates on a stream; `title_of` (nullable) gives an item's title. Columns are
 * counted as a terminal shows them: East Asian wide characters take two. */
typedef struct kd_terminal_options {
    int fd;
    uint32_t width; /* columns; 0 = 100 */
    uint32_t items; /* shown of each list; 0 = 3 */
    bool colour;
    bool has_why; /* below each row, a line for each item: why it is there */
    kd_why_language language;
    kd_str (*title_of)(void *arg, kd_str item_id);
    void *title_arg;
} kd_terminal_options;
KD_CHECK kd_rc kd_terminal_sink_new(const kd_terminal_options *o, kd_sink **out, kd_err *err);
/* The table's heading and one row, appended to `out`; what the sink writes, for others to use. */
void kd_terminal_heading(const kd_terminal_options *o, kd_buf *out);
void kd_terminal_row(const kd_terminal_options *o, const kd_update *u, kd_buf *out);
/* Why the items of an update are listed: a line each, sentences in o->language. */
void kd_terminal_why(const kd_terminal_options *o, const kd_update *u, kd_buf *out);
/* What a shopper is looking for, as one line: the weightiest few, in o->language. */
void kd_terminal_needs(const kd_terminal_options *o, const kd_needs *x, kd_buf *out);
/* Appends s in at most `max` columns, safe for a terminal, cut with an ellipsis; returns the
 * columns used. */
uint32_t kd_terminal_text(kd_buf *out, kd_str s, uint32_t max);
/* Columns of a line: those asked for, at least 60. */
uint32_t kd_terminal_width(const kd_terminal_options *o);
/* Columns that n bytes of UTF-8 take on a terminal. */
uint32_t kd_terminal_columns(const char *p, size_t n);

/* Sums up what goes out: XXH3-128 chained over the bare Avro encoding of each update, in order. The
 * output digest of replay, the same for equal bytes only. */
KD_CHECK kd_rc kd_digest_sink_new(kd_sink **out, kd_err *err);
kd_digest kd_digest_sink_value(const kd_sink *s);
int64_t kd_digest_sink_updates(const kd_sink *s);

/* Gives every output to each of n sinks, which it owns from then on (on failure too). */
KD_CHECK kd_rc kd_tee_sink_new(kd_sink **sinks, uint32_t n, kd_sink **out, kd_err *err);

/* Keeps each output as its JSON line, for tests. */
KD_CHECK kd_rc kd_memory_sink_new(kd_sink **out, kd_err *err);
/* From now on of an update only the bytes that it comes with are looked at. */
KD_CHECK kd_rc kd_memory_sink_take_encoded(kd_sink *s, kd_err *err);
/* The kept lines, joined by newlines; borrowed until the next write. */
kd_str kd_memory_sink_text(const kd_sink *s);
/* The n-th write from now on (1 = the next) and those after it, `times` in all, return rc. */
void kd_memory_sink_refuse(kd_sink *s, uint64_t nth, uint64_t times, kd_rc rc);

#endif
