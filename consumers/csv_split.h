/* csv_split.h - cutting text into CSV rows: RFC 4180, and what is met beside it.
 *
 * A row ends at LF (a CR before it belongs to the end) outside quotes. A field that begins with the
 * quote ends at the next single quote, which must be followed by a delimiter or the row's end; two
 * quotes in it are one; it may hold line ends. A quote anywhere else is a letter.
 * I1  one pass, no copy: fields point into the text; one with doubled quotes is unescaped on
 * demand. I2  a malformed row costs its first physical line; reading goes on with the line after
 * it.
 * @thread any: no state.
 */
#ifndef KD_CSV_SPLIT_H
#define KD_CSV_SPLIT_H

#include "base/kd.h"

enum { KD_CSV_FIELDS_MAX = 4096 };

typedef struct kd_csv_dialect {
    char delimiter;
    char quote; /* NUL: no quoting */
} kd_csv_dialect;

typedef struct kd_csv_field {
    const char *p; /* borrowed from the text; without the quotes around it */
    uint32_t n;
    bool is_quoted;
    bool has_escapes; /* doubled quotes inside: kd_csv_unescape */
} kd_csv_field;

/* Reused from row to row; {0} is empty. */
typedef struct kd_csv_row {
    kd_csv_field *fields; /* owned */
    size_t n, cap;
    size_t text_bytes; /* of the row, without its line end */
    size_t bytes;      /* with it: where the next row begins */
    size_t lines;      /* physical lines taken */
} kd_csv_row;

typedef enum kd_csv_found {
    KD_CSV_ROW,      /* row is filled; n == 0 for a blank line */
    KD_CSV_MORE,     /* the text ends inside the row; call again with more of it */
    KD_CSV_UNCLOSED, /* at the end of the input: a quote is not closed; see I2 */
    KD_CSV_STRAY,    /* something else than delimiter or row end behind a closing quote; see I2 */
    KD_CSV_TOO_WIDE, /* more than KD_CSV_FIELDS_MAX fields */
    KD_CSV_NO_MEMORY,
} kd_csv_found;

/* Cuts the row that begins at p. at_eof: no text comes after p + n (n > 0 then still gives a row).
 * After UNCLOSED, STRAY and TOO_WIDE, bytes/text_bytes/lines are those of the first physical line.
 */
kd_csv_found kd_csv_split(const kd_csv_dialect *d, const char *p, size_t n, bool at_eof,
                          kd_csv_row *row);
/* The first physical line at p, for I2. False if its end is not in the text and at_eof is not set.
 */
bool kd_csv_first_line(const char *p, size_t n, bool at_eof, kd_csv_row *row);
/* Writes the field's text, doubled quotes made single, to `to` (room for f->n); returns its length.
 */
uint32_t kd_csv_unescape(const kd_csv_field *f, char quote, char *to);
void kd_csv_row_dispose(kd_csv_row *row);

#endif
