/* csv_file.c - a CSV file read through its mapping, row by row. */
#include "consumers/file_internal.h"

#include <string.h>

/* Cuts the next row into f->row; blank lines are passed over. KD_EDATA: a row that is none (why is
 * filled); f->row_text, f->row_line tell where in either case. */
static kd_rc next_row(kd_file *f, kd_err *why)
{
    kd_text *t = &f->text;
    if (f->must_skip_line) {
        f->must_skip_line = false;
        KD_TRY(kd_text_skip_line(t, why));
    }
    for (;;) {
        size_t n = 0;
        const char *p = kd_text_here(t, &n);
        if (n == 0) {
            KD_TRY(kd_text_more(t, why));
            continue;
        }
        bool at_eof = t->ended == KD_END;
        kd_csv_found found = kd_csv_split(&f->dialect, p, n, at_eof, &f->row);
        if (found == KD_CSV_MORE && n <= t->max_bytes) {
            kd_rc rc = kd_text_more(t, why);
            if (rc != KD_OK && rc != KD_END)
                return rc;
            continue;
        }
        if (found == KD_CSV_NO_MEMORY)
            return kd_fail(why, KD_ENOMEM, "no memory for a row of %s", f->shown);
        bool too_long =
            found == KD_CSV_MORE || (found == KD_CSV_ROW && f->row.text_bytes > t->max_bytes);
        if (too_long && !kd_csv_first_line(p, n, at_eof, &f->row)) {
            f->row.text_bytes = f->row.bytes = n; /* its end is further on */
            f->row.lines = 0;
            f->must_skip_line = true;
        }
        f->row_text = (kd_str){p, (uint32_t)f->row.text_bytes};
        f->row_line = t->line + 1;
        kd_text_cut(t, f->row.bytes, (int64_t)f->row.lines);
        if (too_long)
            return kd_bad(why, KD_REASON_TOO_LARGE, "a row of more than %zu bytes", t->max_bytes);
        if (found == KD_CSV_UNCLOSED)
            return kd_bad(why, KD_REASON_DECODE,
                          "a quote that begins in this line is never closed");
        if (found == KD_CSV_STRAY)
            return kd_bad(why, KD_REASON_DECODE,
                          "text behind a closing quote, before the next delimiter");
        if (found == KD_CSV_TOO_WIDE)
            return kd_bad(why, KD_REASON_DECODE, "more than %d fields", KD_CSV_FIELDS_MAX);
        if (f->row.n > 0)
            return KD_OK;
    }
}

/* A row of the wrong width that spans lines is more likely a stray quote than a row: it costs its
 * first line, and the others are read on their own (I2 of csv_split.h). */
static kd_rc wrong_width(kd_file *f, kd_err *why)
{
    size_t fields = f->row.n;
    if (f->row.lines > 1) {
        kd_text *t = &f->text;
        size_t bytes = f->row.bytes, lines = f->row.lines;
        (void)kd_csv_first_line(f->row_text.p, bytes, true, &f->row);
        t->pos -= bytes - f->row.bytes;
        t->line -= (int64_t)(lines - f->row.lines);
        f->row_text.n = (uint32_t)f->row.text_bytes;
    }
    return kd_bad(why, KD_REASON_DECODE, "the row has %zu fields, the header has %zu", fields,
                  f->bound.n_fields);
}

static kd_rc no_map(const kd_file *f, kd_err *err)
{
    if (f->maps == NULL)
        return kd_fail(err, KD_ECONFIG,
                       "%s is CSV and needs a column mapping (--map FILE.yaml; online_retail, "
                       "retailrocket and others are shipped)",
                       f->shown);
    return kd_fail(err, KD_ECONFIG, "no mapping in %s has a `files:` pattern for %s",
                   kd_yaml_name(f->maps->yaml), f->topic);
}

/* The fault stands at the mapping's place, or at the file's. */
static kd_rc open_csv(kd_file *f, kd_err *err)
{
    const kd_csv_map *map = f->maps == NULL ? NULL : kd_csv_maps_find(f->maps, f->topic);
    if (map == NULL)
        return no_map(f, err);
    f->dialect = map->dialect;
    if (!map->has_delimiter && strstr(f->topic, ".tsv") != NULL)
        f->dialect.delimiter = '\t';
    f->row_rc = KD_OK;
    KD_TRY(kd_text_skip_bom(&f->text, err));
    if (!map->has_header)
        return kd_csv_bind(f->maps, map, NULL, f->topic, &f->bound, err);
    kd_rc rc = next_row(f, err);
    if (rc == KD_END)
        return kd_fail(err, KD_ECONFIG, "%s is empty, its mapping wants a header", f->shown);
    if (rc == KD_EDATA) {
        kd_err why = {0};
        if (err != NULL)
            why = *err;
        return kd_fail(err, KD_ECONFIG, "the header of %s is no CSV row: %s", f->shown, why.msg);
    }
    KD_TRY(rc);
    return kd_csv_bind(f->maps, map, &f->row, f->topic, &f->bound, err);
}

static void count_row(kd_file *f)
{
    int64_t catalog = 0;
    int64_t events = 0;
    for (size_t i = 0; i < f->result.n; i++) {
        if (f->result.records[i].type == KD_CATALOG) {
            catalog++;
        } else {
            if (events++ == 0)
                kd_file_count(&f->counts, &f->result.records[i]);
        }
    }
    f->counts.catalog += catalog;
    if (events > 0 || f->row_rc != KD_OK)
        return;
    f->counts.rows++;
    if (f->result.is_ignored)
        f->counts.ignored++;
    else
        f->counts.catalog_rows++;
}

/* Reads rows until one gives something. */
static kd_rc read_row(kd_file *f, kd_arena *a, kd_err *err)
{
    for (;;) {
        f->result.n = 0;
        f->next_record = 0;
        kd_rc rc = next_row(f, &f->row_err);
        if (rc == KD_OK && f->bound.n_fields != 0 && f->row.n != f->bound.n_fields)
            rc = wrong_width(f, &f->row_err);
        else if (rc == KD_OK)
            rc = kd_csv_row_records(&f->bound, &f->row, f->latest, a, &f->result, &f->row_err);
        if (rc != KD_OK && rc != KD_EDATA) {
            if (rc != KD_END && err != NULL)
                *err = f->row_err;
            return rc;
        }
        f->row_rc = rc;
        f->n_rows++;
        count_row(f);
        if (f->result.n > 0 || rc != KD_OK) {
            kd_text_keep(&f->text);
            return KD_OK;
        }
    }
}

static kd_rc next_csv(kd_file *f, kd_arena *a, kd_record *out, kd_err *err)
{
    if (f->next_record == f->result.n && f->row_rc == KD_OK)
        KD_TRY(read_row(f, a, err));
    if (f->next_record < f->result.n) {
        *out = f->result.records[f->next_record++];
        kd_file_stamp(f, out, f->n_rows - 1, f->row_text.p, f->row_text.n);
        return KD_OK;
    }
    f->row_rc = KD_OK;
    f->n_rows--; /* kd_file_bad counts the row */
    kd_file_bad(f, out, f->row_text.p, f->row_text.n, f->row_line, &f->row_err, err);
    return KD_EDATA;
}

static void close_csv(kd_file *f)
{
    kd_csv_bound_dispose(&f->bound);
    kd_csv_row_dispose(&f->row);
}

const kd_file_kind kd_file_csv = {"csv", open_csv, next_csv, close_csv};
