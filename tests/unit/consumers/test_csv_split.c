/* The CSV splitter against a slow one that walks character by character and copies everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "consumers/csv_split.h"

/* The twin: every row of the text as "<field>|<field>|" or "BAD:<first line>", each followed by
 * LF. Written from the rules in csv_split.h alone: first it looks whether the row parses, then it
 * says what it is. */
static bool slow_field(const char *t, size_t n, size_t *i, char delim, kd_buf *out)
{
    if (*i < n && t[*i] == '"') {
        (*i)++;
        for (;;) {
            if (*i == n)
                return false;
            if (t[*i] != '"') {
                kd_buf_addc(out, t[(*i)++]);
            } else if (*i + 1 < n && t[*i + 1] == '"') {
                kd_buf_addc(out, '"');
                *i += 2;
            } else {
                (*i)++;
                break;
            }
        }
        size_t j = *i;
        if (j < n && t[j] == '\r')
            j++;
        return *i == n || t[*i] == delim || j == n || t[j] == '\n';
    }
    while (*i < n && t[*i] != delim && t[*i] != '\n') {
        bool ends = t[*i] == '\r' && (*i + 1 == n || t[*i + 1] == '\n');
        if (!ends)
            kd_buf_addc(out, t[*i]);
        (*i)++;
    }
    return true;
}

static void slow_rows(const char *t, size_t n, char delim, kd_buf *out)
{
    size_t i = 0;
    while (i < n) {
        size_t from = i;
        kd_buf row = {0};
        bool ok = true, more = true;
        size_t fields = 0;
        while (ok && more) {
            ok = slow_field(t, n, &i, delim, &row);
            kd_buf_addc(&row, '|');
            fields++;
            if (ok && i < n && t[i] == '\r')
                i++;
            more = i < n && t[i] == delim;
            i += more;
        }
        if (ok) {
            i += i < n;
        } else {
            i = from;
            kd_buf_clear(&row);
            kd_buf_adds(&row, "BAD:");
            while (i < n && t[i] != '\n')
                i++;
            size_t len = i - from;
            kd_buf_add(&row, t + from, len > 0 && t[i - 1] == '\r' ? len - 1 : len);
            i += i < n;
        }
        bool is_blank = ok && fields == 1 && row.n == 1 && t[from] != '"';
        if (!is_blank) {
            kd_buf_add(out, row.p, row.n);
            kd_buf_addc(out, '\n');
        }
        kd_buf_dispose(&row);
    }
}

static void fast_rows(const char *t, size_t n, char delim, kd_buf *out)
{
    kd_csv_dialect d = {delim, '"'};
    kd_csv_row row = {0};
    size_t i = 0;
    while (i < n) {
        kd_csv_found found = kd_csv_split(&d, t + i, n - i, true, &row);
        if (found == KD_CSV_ROW) {
            for (size_t f = 0; f < row.n; f++) {
                char *to = kd_buf_room(out, row.fields[f].n + 1);
                assert_non_null(to);
                if (row.fields[f].has_escapes)
                    out->n += kd_csv_unescape(&row.fields[f], '"', to);
                else
                    kd_buf_add(out, row.fields[f].p, row.fields[f].n);
                kd_buf_addc(out, '|');
            }
            if (row.n > 0)
                kd_buf_addc(out, '\n');
        } else {
            assert_true(found == KD_CSV_UNCLOSED || found == KD_CSV_STRAY);
            kd_buf_adds(out, "BAD:");
            kd_buf_add(out, t + i, row.text_bytes);
            kd_buf_addc(out, '\n');
        }
        assert_true(row.bytes > 0 && row.bytes <= n - i);
        assert_true(row.text_bytes <= row.bytes);
        i += row.bytes;
    }
    kd_csv_row_dispose(&row);
}

/* What a part of the text already tells must be what the whole of it tells. */
static void prefixes_agree(const char *t, size_t n, char delim)
{
    kd_csv_dialect d = {delim, '"'};
    kd_csv_row whole = {0}, part = {0};
    kd_csv_found want = kd_csv_split(&d, t, n, true, &whole);
    for (size_t k = 0; k <= n; k++) {
        kd_csv_found found = kd_csv_split(&d, t, k, false, &part);
        if (found == KD_CSV_MORE)
            continue;
        assert_int_equal(found, want);
        assert_int_equal(part.n, whole.n);
        assert_int_equal(part.bytes, whole.bytes);
        assert_int_equal(part.text_bytes, whole.text_bytes);
        assert_int_equal(part.lines, whole.lines);
    }
    kd_csv_row_dispose(&whole);
    kd_csv_row_dispose(&part);
}

static void corners(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a,b,c\n1,2,3\n", "a|b|c|\n1|2|3|\n"},
        {"a,b\r\n\r\n\n1,2", "a|b|\n1|2|\n"},
        {"\"a,b\",c\n", "a,b|c|\n"},
        {"\"say \"\"hi\"\"\",\"\"\n", "say \"hi\"||\n"},
        {"\"two\nlines\",x\ny,z\n", "two\nlines|x|\ny|z|\n"},
        {"\"crlf\r\ninside\"\r\nx\r\n", "crlf\r\ninside|\nx|\n"},
        {"a\"b,\"c\"\n", "a\"b|c|\n"},
        {",\n,,\n", "||\n|||\n"},
        {"\"\"\n", "|\n"},
        {"\"a\"b,c\nnext,1\n", "BAD:\"a\"b,c\nnext|1|\n"},
        {"\"open,c\nnext,1\n", "BAD:\"open,c\nnext|1|\n"},
        {"x,\"a\nb\"c,d\nlast,1\n", "BAD:x,\"a\nb\"c|d|\nlast|1|\n"},
        {"a,b\r", "a|b|\n"},
        {"\"a\"\r", "a|\n"},
        {"\"a\"\rb\n", "BAD:\"a\"\rb\n"},
        {"a\rb\n", "a\rb|\n"},
        {"\xE7\x83\xAD,\xE6\xB0\xB4\n", "\xE7\x83\xAD|\xE6\xB0\xB4|\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kd_buf fast = {0}, slow = {0};
        fast_rows(rows[i].text, strlen(rows[i].text), ',', &fast);
        slow_rows(rows[i].text, strlen(rows[i].text), ',', &slow);
        kd_buf_addc(&fast, '\0');
        kd_buf_addc(&slow, '\0');
        assert_string_equal(fast.p, rows[i].want);
        assert_string_equal(slow.p, rows[i].want);
        prefixes_agree(rows[i].text, strlen(rows[i].text), ',');
        kd_buf_dispose(&fast);
        kd_buf_dispose(&slow);
    }
}

static void random_against_twin(void **state)
{
    (void)state;
    const uint64_t seed = 2024;
    print_message("seed %llu\n", (unsigned long long)seed);
    static const char letters[] = "ab,\"\"\r\n,\n;";
    kd_rng r;
    kd_rng_init(&r, seed);
    for (int round = 0; round < 30000; round++) {
        char text[40];
        size_t n = (size_t)kd_rng_below(&r, sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = letters[kd_rng_below(&r, sizeof letters - 1)];
        char delim = round % 2 == 0 ? ',' : ';';
        kd_buf fast = {0}, slow = {0};
        char *exact = malloc(n == 0 ? 1 : n); /* so that a read past the end shows */
        assert_non_null(exact);
        memcpy(exact, text, n);
        fast_rows(exact, n, delim, &fast);
        slow_rows(exact, n, delim, &slow);
        if (!kd_str_eq(kd_buf_str(&fast), kd_buf_str(&slow)))
            fail_msg("round %d: [%.*s] gives [%.*s], want [%.*s]", round, (int)n, text, (int)fast.n,
                     fast.p, (int)slow.n, slow.p);
        if (n > 0)
            prefixes_agree(exact, n, delim);
        free(exact);
        kd_buf_dispose(&fast);
        kd_buf_dispose(&slow);
    }
}

static void too_wide(void **state)
{
    (void)state;
    kd_buf t = {0};
    for (int i = 0; i < KD_CSV_FIELDS_MAX; i++)
        kd_buf_addc(&t, ',');
    kd_buf_addc(&t, '\n');
    kd_csv_dialect d = {',', '"'};
    kd_csv_row row = {0};
    assert_int_equal(kd_csv_split(&d, t.p, t.n, true, &row), KD_CSV_TOO_WIDE);
    assert_int_equal(row.bytes, t.n);
    assert_int_equal(kd_csv_split(&d, t.p + 1, t.n - 1, true, &row), KD_CSV_ROW);
    assert_int_equal(row.n, KD_CSV_FIELDS_MAX);
    kd_csv_row_dispose(&row);
    kd_buf_dispose(&t);
}

static void no_quoting(void **state)
{
    (void)state;
    kd_csv_dialect d = {'\t', '\0'};
    kd_csv_row row = {0};
    const char t[] = "\"a\t5\" nail\n";
    assert_int_equal(kd_csv_split(&d, t, sizeof t - 1, true, &row), KD_CSV_ROW);
    assert_int_equal(row.n, 2);
    assert_int_equal(row.fields[1].n, 7);
    kd_csv_row_dispose(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corners),
        cmocka_unit_test(random_against_twin),
        cmocka_unit_test(too_wide),
        cmocka_unit_test(no_quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
