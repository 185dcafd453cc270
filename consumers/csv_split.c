#include "consumers/csv_split.h"

#include <stdlib.h>
#include <string.h>

void kd_csv_row_dispose(kd_csv_row *row)
{
    free(row->fields);
    *row = (kd_csv_row){0};
}

static kd_csv_field *add_field(kd_csv_row *row)
{
    if (row->n == row->cap) {
        size_t cap = row->cap == 0 ? 32 : row->cap * 2;
        kd_csv_field *p = realloc(row->fields, cap * sizeof *p);
        if (p == NULL)
            return NULL;
        row->fields = p;
        row->cap = cap;
    }
    return &row->fields[row->n++];
}

bool kd_csv_first_line(const char *p, size_t n, bool at_eof, kd_csv_row *row)
{
    const char *nl = n == 0 ? NULL : memchr(p, '\n', n);
    if (nl == NULL && !at_eof)
        return false;
    size_t text = nl == NULL ? n : (size_t)(nl - p);
    row->bytes = nl == NULL ? n : text + 1;
    row->text_bytes = text > 0 && p[text - 1] == '\r' ? text - 1 : text;
    row->lines = 1;
    row->n = 0;
    return true;
}

static kd_csv_found give_up(const char *p, size_t n, bool at_eof, kd_csv_row *row, kd_csv_found why)
{
    return kd_csv_first_line(p, n, at_eof, row) ? why : KD_CSV_MORE;
}

/* The quoted field whose opening quote is at *at; on KD_CSV_ROW *at is behind the closing one. */
static kd_csv_found quoted_field(const kd_csv_dialect *d, const char **at, const char *end,
                                 bool at_eof, kd_csv_row *row, kd_csv_field *f)
{
    const char *s = *at + 1;
    const char *q = s;
    bool has_escapes = false;
    for (;;) {
        q = q == end ? NULL : memchr(q, d->quote, (size_t)(end - q));
        if (q == NULL)
            return at_eof ? KD_CSV_UNCLOSED : KD_CSV_MORE;
        if (q + 1 < end && q[1] == d->quote) {
            has_escapes = true;
            q += 2;
            continue;
        }
        if (q + 1 == end && !at_eof)
            return KD_CSV_MORE; /* the next byte may double it */
        break;
    }
    for (const char *l = s; l < q && (l = memchr(l, '\n', (size_t)(q - l))) != NULL; l++)
        row->lines++;
    *f = (kd_csv_field){s, (uint32_t)(q - s), true, has_escapes};
    *at = q + 1;
    return KD_CSV_ROW;
}

kd_csv_found kd_csv_split(const kd_csv_dialect *d, const char *p, size_t n, bool at_eof,
                          kd_csv_row *row)
{
    const char *end = p + n;
    const char *s = p;
    row->n = 0;
    row->lines = 1;
    for (;;) {
        if (row->n == KD_CSV_FIELDS_MAX)
            return give_up(p, n, at_eof, row, KD_CSV_TOO_WIDE);
        kd_csv_field *f = add_field(row);
        if (f == NULL)
            return KD_CSV_NO_MEMORY;
        if (d->quote != '\0' && s < end && *s == d->quote) {
            kd_csv_found found = quoted_field(d, &s, end, at_eof, row, f);
            if (found != KD_CSV_ROW)
                return found == KD_CSV_MORE ? found : give_up(p, n, at_eof, row, found);
        } else {
            const char *from = s;
            while (s < end && *s != d->delimiter && *s != '\n')
                s++;
            *f = (kd_csv_field){from, (uint32_t)(s - from), false, false};
        }
        if (s < end && *s == d->delimiter) {
            s++;
            continue;
        }
        const char *stop = s;
        if (f->is_quoted && s < end && *s == '\r') {
            s++; /* CR between the closing quote and the row's end */
        } else if (!f->is_quoted && f->n > 0 && s[-1] == '\r') {
            stop--;
            f->n--;
        }
        if (s == end && !at_eof)
            return KD_CSV_MORE;
        if (s < end && *s != '\n')
            return give_up(p, n, at_eof, row, KD_CSV_STRAY);
        row->text_bytes = (size_t)(stop - p);
        row->bytes = (size_t)(s - p) + (s < end);
        if (row->n == 1 && f->n == 0 && !f->is_quoted)
            row->n = 0; /* a blank line */
        return KD_CSV_ROW;
    }
}

uint32_t kd_csv_unescape(const kd_csv_field *f, char quote, char *to)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        to[n++] = f->p[i];
        if (f->p[i] == quote)
            i++; /* its double */
    }
    return n;
}
