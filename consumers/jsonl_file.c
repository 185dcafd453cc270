/* jsonl_file.c - a file of JSON lines, one event a line. */
#include "consumers/file_internal.h"

#include <string.h>

#include "consumers/jsonl_scan.h"
#include "schemas/json.h"

static kd_rc open_jsonl(kd_file *f, kd_err *err)
{
    return kd_text_skip_bom(&f->text, err);
}

kd_rc kd_file_next_line(kd_file *f, kd_str *out, bool *too_long, kd_err *err)
{
    kd_text *t = &f->text;
    size_t seen = 0;
    if (f->must_skip_line) {
        f->must_skip_line = false;
        kd_rc rc = kd_text_skip_line(t, err);
        if (rc != KD_OK)
            return rc;
    }
    for (;;) {
        size_t n = 0;
        const char *p = kd_text_here(t, &n);
        const char *nl = n == seen ? NULL : memchr(p + seen, '\n', n - seen);
        size_t len = nl != NULL ? (size_t)(nl - p) : n;
        bool at_eof = t->ended == KD_END;
        if (nl == NULL && n == 0 && at_eof)
            return KD_END;
        if (nl == NULL && n <= t->max_bytes + 1 && !at_eof) { /* + 1: a CR may belong to the end */
            seen = n;
            kd_rc rc = kd_text_more(t, err);
            if (rc != KD_OK && rc != KD_END)
                return rc;
            continue; /* the text may have moved, also at its end */
        }
        *too_long = len > t->max_bytes + 1 || (len > t->max_bytes && p[len - 1] != '\r');
        if (*too_long && nl == NULL)
            f->must_skip_line = true;
        if (len > 0 && p[len - 1] == '\r')
            len--;
        kd_text_cut(t, nl != NULL ? (size_t)(nl - p) + 1 : n, f->must_skip_line ? 0 : 1);
        seen = 0;
        bool is_blank = true;
        for (size_t i = 0; i < len && is_blank; i++)
            is_blank = p[i] == ' ' || p[i] == '\t' || p[i] == '\r';
        if (is_blank && !*too_long)
            continue;
        *out = (kd_str){p, (uint32_t)len};
        return KD_OK;
    }
}

static kd_rc next_jsonl(kd_file *f, kd_arena *a, kd_record *out, kd_err *err)
{
    kd_str line = KD_STR_NULL;
    bool too_long = false;
    KD_TRY(kd_file_next_line(f, &line, &too_long, err));
    kd_text_keep(&f->text);
    int64_t line_no = f->text.line + (f->must_skip_line ? 1 : 0);
    kd_err why = {0};
    kd_rc rc = KD_OK;
    if (too_long)
        rc = kd_bad(&why, KD_REASON_TOO_LARGE, "a line of more than %zu bytes", f->text.max_bytes);
    else if (!kd_jsonl_scan(line.p, line.n, a, out))
        rc = kd_json_event_parse(line.p, line.n, a, out, &why);
    if (rc == KD_OK)
        rc = kd_record_check(out, f->latest, &why);
    if (rc == KD_EDATA) {
        kd_file_bad(f, out, line.p, line.n, line_no, &why, err);
        return rc;
    }
    if (rc != KD_OK) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    kd_file_stamp(f, out, f->n_rows++, line.p, line.n);
    kd_file_count(&f->counts, out);
    return KD_OK;
}

static void close_jsonl(kd_file *f)
{
    (void)f;
}

const kd_file_kind kd_file_jsonl = {"jsonl", open_jsonl, next_jsonl, close_jsonl};
