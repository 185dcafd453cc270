/* file_internal.h - one open input file, whatever its kind; file_source.c merges several.
 *
 * next() gives one record of the file after the other, in its order, checked. Strings live in the
 * arena given or in the file's text; the text behind the record handed out last survives release().
 * @thread loop
 */
#ifndef KD_FILE_INTERNAL_H
#define KD_FILE_INTERNAL_H

#include "consumers/csv_map.h"
#include "consumers/file_text.h"
#include "consumers/sources.h"
#include "schemas/container.h"

enum {
    KD_FILE_RAW_MAX = 64 * 1024,    /* of a bad record's bytes */
    KD_FILE_LINE_MAX = 1024 * 1024, /* default of line_max_bytes */
};

typedef struct kd_file kd_file;

typedef struct kd_file_kind {
    const char *name;
    kd_rc (*open)(kd_file *f, kd_err *err); /* f->text is set; reads headers */
    kd_rc (*next)(kd_file *f, kd_arena *a, kd_record *out, kd_err *err);
    void (*close)(kd_file *f); /* of what open() made; safe after a failed open */
} kd_file_kind;

struct kd_file {
    const kd_file_kind *kind;
    char *path;        /* owned */
    const char *topic; /* base name; borrowed from path */
    const char *shown; /* in messages: the path, or the base name where that is long */
    kd_ms latest;
    kd_text text;
    int64_t n_rows; /* rows met: the offset of the next one */
    kd_file_counts counts;

    /* CSV */
    const kd_csv_maps *maps;
    kd_csv_dialect dialect;
    kd_csv_bound bound;
    kd_csv_row row;
    kd_csv_result result; /* the records of `row`, of which next_record.. are still to come */
    size_t next_record;
    kd_rc row_rc; /* what comes after them: KD_EDATA with row_err, or KD_OK */
    kd_err row_err;
    int64_t row_line;
    kd_str row_text;
    bool must_skip_line; /* the rest of an over-long line stands in the way; of JSON lines, too */

    /* Sessions */
    kd_str session_text, rest; /* the line at hand, and its items still to come */
    int64_t session, place;    /* number of the line, and of the next item in it */

    /* Avro */
    kd_container *container;
};

extern const kd_file_kind kd_file_jsonl;
extern const kd_file_kind kd_file_csv;
extern const kd_file_kind kd_file_sessions;
extern const kd_file_kind kd_file_container;

/* The next line that is not blank, without its end; *too_long: its first bytes. */
kd_rc kd_file_next_line(kd_file *f, kd_str *out, bool *too_long, kd_err *err);
/* Counts a row that gave one record (csv counts for itself). */
void kd_file_count(kd_file_counts *c, const kd_record *r);
/* Counts a bad row and sets out to stand for it: type unchanged, position, raw bytes. */
void kd_file_bad(kd_file *f, kd_record *out, const void *raw, size_t n, int64_t line,
                 const kd_err *why, kd_err *err);
/* Sets what every record of a file has. */
void kd_file_stamp(const kd_file *f, kd_record *out, int64_t row, const void *raw, size_t n);

#endif
