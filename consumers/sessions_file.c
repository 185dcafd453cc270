/* sessions_file.c - a file of sessions, one a line: item ids in the order of the clicks, separated
 * by blanks or tabs, as data sets for next-item recommendation are passed around. There are no
 * times in it: the order of the lines is the time.
 *
 * The k-th item (from 0) of line n (from 1) is a VIEW by session "n" at 2000-01-01 + n minutes + k
 * milliseconds: strictly increasing, so that what is a function of the set of interactions sees the
 * order. A session of more than 60,000 items would run into the next minute and is a bad line.
 */
#include "consumers/file_internal.h"

#include <stdio.h>
#include <string.h>

enum { MINUTE_MS = 60000 };

static kd_rc open_sessions(kd_file *f, kd_err *err)
{
    f->rest = KD_STR_NULL;
    return kd_text_skip_bom(&f->text, err);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the first word off *rest; empty at the end. */
static kd_str next_word(kd_str *rest)
{
    while (rest->n > 0 && is_space(rest->p[0]))
        *rest = (kd_str){rest->p + 1, rest->n - 1};
    kd_str word = {rest->p, 0};
    while (word.n < rest->n && !is_space(word.p[word.n]))
        word.n++;
    *rest = (kd_str){rest->p + word.n, rest->n - word.n};
    return word;
}

/* Fills *out with the next item of the line at hand; its strings live in the text and in `a`. */
static kd_rc next_item(kd_file *f, kd_arena *a, kd_record *out, kd_err *err)
{
    kd_record_init(out, KD_BROWSE);
    out->action = KD_VIEW;
    out->item_id = next_word(&f->rest);
    out->time = KD_MS_2000 + f->session * MINUTE_MS + f->place;
    if (f->place++ >= MINUTE_MS)
        return kd_bad(err, KD_REASON_TOO_LARGE, "a session of more than %d items", MINUTE_MS);
    char number[24];
    int n = snprintf(number, sizeof number, "%lld", (long long)f->session);
    KD_TRY(kd_arena_str(a, (kd_str){number, (uint32_t)n}, &out->session_id, err));
    return kd_record_check(out, f->latest, err);
}

/* A bad item costs the rest of its line. */
static kd_rc next_sessions(kd_file *f, kd_arena *a, kd_record *out, kd_err *err)
{
    kd_err why = {0};
    kd_rc rc = KD_OK;
    if (f->rest.n == 0) {
        bool too_long = false;
        KD_TRY(kd_file_next_line(f, &f->session_text, &too_long, err));
        f->session = f->text.line + (f->must_skip_line ? 1 : 0);
        f->place = 0;
        f->rest = f->session_text;
        while (f->rest.n > 0 && is_space(f->rest.p[f->rest.n - 1]))
            f->rest.n--;
        if (too_long)
            rc = kd_bad(&why, KD_REASON_TOO_LARGE, "a line of more than %zu bytes",
                        f->text.max_bytes);
    }
    kd_text_keep(&f->text);
    if (rc == KD_OK)
        rc = next_item(f, a, out, &why);
    if (rc == KD_EDATA) {
        f->rest = KD_STR_NULL;
        kd_file_bad(f, out, f->session_text.p, f->session_text.n, f->session, &why, err);
        return rc;
    }
    if (rc != KD_OK) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    kd_file_stamp(f, out, f->n_rows++, f->session_text.p, f->session_text.n);
    kd_file_count(&f->counts, out);
    return KD_OK;
}

static void close_sessions(kd_file *f)
{
    (void)f;
}

const kd_file_kind kd_file_sessions = {"sessions", open_sessions, next_sessions, close_sessions};
