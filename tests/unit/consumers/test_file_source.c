/* Files: positions, bad lines, the merge against a sort, truncated gzip, memory across release().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "files.h"
#include "schemas/container.h"

#define VIEW(user, item, time)                                                                     \
    "{\"type\":\"BrowseEvent\",\"user_id\":\"" user "\",\"item_id\":\"" item                       \
    "\",\"action\":\"VIEW\",\"time\":" time "}"
#define SEEN(user, item, time)                                                                     \
    "{\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":\"" user                              \
    "\",\"session_id\":null,\"item_id\":\"" item "\",\"action\":\"VIEW\",\"time\":" time           \
    ",\"dwell_ms\":null}"

static void bad_lines_keep_the_rest(void **state)
{
    (void)state;
    const char text[] = "\xEF\xBB\xBF" VIEW(
        "u1", "i1",
        "1400000000000") "\r\n"
                         "\n   \n"
                         "{\"type\":\n"
                         "garbage \x01\xff\n" VIEW("u1", "i2", "1400000000001") "\n" VIEW("u1", "", "1400000000002") "\n" VIEW(
                             "u1", "i3",
                             "5000000000000") "\n" VIEW("u1", "i3",
                                                        "1") "\n" VIEW("u\xff", "i3",
                                                                       "1400000000003") "\n"
                                                                                        "{}\n" VIEW(
                                                                                            "u1",
                                                                                            "i4",
                                                                                            "\"2014"
                                                                                            "-05-"
                                                                                            "13T16:"
                                                                                            "53:20."
                                                                                            "004Z"
                                                                                            "\"");
    files_expect(
        files_open1(NULL, files_write("e.jsonl", text)),
        "e.jsonl@0 " SEEN(
            "u1", "i1",
            "1400000000000") "\n"
                             "e.jsonl@1 BAD decode e.jsonl:4 [{\"type\":]\n"
                             "e.jsonl@2 BAD decode e.jsonl:5 [garbage \x01\xff]\n"
                             "e.jsonl@3 " SEEN(
                                 "u1", "i2",
                                 "1400000000001") "\n"
                                                  "e.jsonl@4 BAD id e.jsonl:7 "
                                                  "[{\"type\":\"BrowseEvent\",\"user_id]\n"
                                                  "e.jsonl@5 BAD time e.jsonl:8 "
                                                  "[{\"type\":\"BrowseEvent\",\"user_id]\n"
                                                  "e.jsonl@6 BAD time e.jsonl:9 "
                                                  "[{\"type\":\"BrowseEvent\",\"user_id]\n"
                                                  "e.jsonl@7 BAD utf8 e.jsonl:10 "
                                                  "[{\"type\":\"BrowseEvent\",\"user_id]\n"
                                                  "e.jsonl@8 BAD field e.jsonl:11 [{}]\n"
                                                  "e.jsonl@9 " SEEN("u1", "i4",
                                                                    "1400000000004") "\n"
                                                                                     "END\n");
    files_expect(files_open1(NULL, files_write("empty.jsonl", "")), "END\n");
    files_expect(files_open1(NULL, files_write("blank.jsonl.gz", "\n\n")), "END\n");
}

/* A session a line; a bad item costs the rest of its line. */
static void sessions_have_the_order_as_time(void **state)
{
    (void)state;
    kd_source *s =
        files_open1(NULL, files_write_n("s.txt.gz", "a b  a\r\n\n\tc\xff d\n e\n", 18, true));
    files_expect(s, "s.txt.gz@0 {\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":null,"
                    "\"session_id\":\"1\",\"item_id\":\"a\",\"action\":\"VIEW\","
                    "\"time\":946684860000,\"dwell_ms\":null}\n"
                    "s.txt.gz@1 {\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":null,"
                    "\"session_id\":\"1\",\"item_id\":\"b\",\"action\":\"VIEW\","
                    "\"time\":946684860001,\"dwell_ms\":null}\n"
                    "s.txt.gz@2 {\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":null,"
                    "\"session_id\":\"1\",\"item_id\":\"a\",\"action\":\"VIEW\","
                    "\"time\":946684860002,\"dwell_ms\":null}\n"
                    "s.txt.gz@3 BAD utf8 s.txt.gz:3 [\tc\xff d]\n"
                    "s.txt.gz@4 {\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":null,"
                    "\"session_id\":\"4\",\"item_id\":\"e\",\"action\":\"VIEW\","
                    "\"time\":946685040000,\"dwell_ms\":null}\n"
                    "END\n");
}

/* A line longer than allowed, than a chunk, and than two chunks. */
static void long_lines(void **state)
{
    (void)state;
    static const size_t sizes[] = {1024 * 1024, 1024 * 1024 + 1, 1024 * 1024 + 2, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int end = 0; end < 2; end++) {
            kd_buf t = {0};
            kd_buf_adds(&t, VIEW("u1", "i1", "1400000000000") "\n");
            size_t from = t.n;
            kd_buf_adds(&t, "{\"x\":\"");
            while (t.n - from < sizes[i] - 2)
                kd_buf_addc(&t, '-');
            kd_buf_adds(&t, "\"}");
            if (end == 1)
                kd_buf_adds(&t, "\r\n" VIEW("u1", "i2", "1400000000001"));
            kd_source *s = files_open1(NULL, files_write_n("long.jsonl", t.p, t.n, i % 2 == 1));
            kd_record r;
            kd_err err = {0};
            assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
            assert_int_equal(s->kind->next(s, &r, &err), KD_EDATA);
            assert_int_equal(err.reason, i == 0 ? KD_REASON_FIELD : KD_REASON_TOO_LARGE);
            assert_non_null(strstr(err.where, "long.jsonl:2"));
            assert_int_equal(r.raw_value_len, 65536);
            assert_memory_equal(r.raw_value, "{\"x\":\"---", 9);
            s->kind->release(s);
            if (end == 1) {
                assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
                assert_int_equal(r.pos.offset, 2);
                assert_memory_equal(r.item_id.p, "i2", 2);
            }
            assert_int_equal(s->kind->next(s, &r, &err), KD_END);
            s->kind->close(s);
            kd_buf_dispose(&t);
        }
    }
}

static const char map_text[] =
    "records:\n  - type: BrowseEvent\n    fields: {item_id: i, user_id: u, "
    "time: {column: t, format: unix}, action: {constant: VIEW}}\n";

/* Stray quotes cost the line that they stand in. */
static void bad_rows_keep_the_rest(void **state)
{
    (void)state;
    const char *map = files_write("m.yaml", map_text);
    const char *csv = files_write("e.csv", "t,i,u\r\n"
                                           "1400000000,\"i\n1\",u1\r\n"
                                           "1400000001,\"i2\"x,u1\r\n"
                                           "1400000002,i3\r\n"
                                           "1400000003,i4,u1,more\r\n"
                                           "\r\n"
                                           "1400000004,\"i5,u1\r\n"
                                           "1400000005,i6,u1\r\n"
                                           "1400000006,\"i7\",u1\r\n"
                                           "1400000007,i8,\"u1");
    files_expect(
        files_open1(map, csv),
        "e.csv@0 " SEEN(
            "u1", "i\\n1",
            "1400000000000") "\n"
                             "e.csv@1 BAD decode e.csv:4 [1400000001,\"i2\"x,u1]\n"
                             "e.csv@2 BAD decode e.csv:5 [1400000002,i3]\n"
                             "e.csv@3 BAD decode e.csv:6 [1400000003,i4,u1,more]\n"
                             "e.csv@4 BAD decode e.csv:8 [1400000004,\"i5,u1]\n"
                             "e.csv@5 " SEEN(
                                 "u1", "i6",
                                 "1400000005000") "\n"
                                                  "e.csv@6 " SEEN(
                                                      "u1", "i7",
                                                      "1400000006000") "\n"
                                                                       "e.csv@7 BAD decode "
                                                                       "e.csv:11 "
                                                                       "[1400000007,i8,\"u1]\n"
                                                                       "END\n");
    /* Quoted text over line ends, of the wrong width: the first line is bad, the others are read.
     */
    csv = files_write("w.csv", "t,i,u\n1400000000,\"i1,u1\n1400000001,i2,u1\n1400000002,\"i3\n");
    files_expect(files_open1(map, csv),
                 "w.csv@0 BAD decode w.csv:2 [1400000000,\"i1,u1]\n"
                 "w.csv@1 " SEEN("u1", "i2",
                                 "1400000001000") "\n"
                                                  "w.csv@2 BAD decode w.csv:4 [1400000002,\"i3]\n"
                                                  "END\n");
    csv = files_write("x.csv",
                      "t,i,u\n1400000000,\"i1,u1\n1400000001,i2,u1\n1400000002,i3\",x,y,z\n");
    files_expect(
        files_open1(map, csv),
        "x.csv@0 BAD decode x.csv:2 [1400000000,\"i1,u1]\n"
        "x.csv@1 " SEEN("u1", "i2",
                        "1400000001000") "\n"
                                         "x.csv@2 BAD decode x.csv:4 [1400000002,i3\",x,y,z]\n"
                                         "END\n");
    csv = files_write("h.csv", "t,i,u\n");
    files_expect(files_open1(map, csv), "END\n");
}

static void long_rows(void **state)
{
    (void)state;
    const char *map = files_write("m.yaml", map_text);
    kd_buf t = {0};
    kd_buf_adds(&t, "t,i,u\n1400000000,\"");
    for (int i = 0; i < 300000; i++)
        kd_buf_adds(&t, i % 100 == 99 ? "\"\"\n" : "longer");
    kd_buf_adds(&t, "\",u1\n1400000001,i2,u1\n");
    kd_source *s = files_open1(map, files_write_n("long.csv.gz", t.p, t.n, true));
    kd_record r;
    kd_err err = {0};
    assert_int_equal(s->kind->next(s, &r, &err),
                     KD_EDATA); /* its first line, of over 1 MiB of row */
    assert_int_equal(err.reason, KD_REASON_TOO_LARGE);
    int64_t bad = 0;
    kd_rc rc;
    while ((rc = s->kind->next(s, &r, &err)) == KD_EDATA) {
        bad++;
        s->kind->release(s);
    }
    assert_int_equal(rc, KD_OK); /* the row after it is found again */
    assert_memory_equal(r.item_id.p, "i2", 2);
    assert_int_equal(bad, 3000); /* its other lines, each on its own */
    assert_int_equal(s->kind->next(s, &r, &err), KD_END);
    s->kind->close(s);
    kd_buf_dispose(&t);
}

static void truncated_gzip(void **state)
{
    (void)state;
    kd_buf t = {0};
    for (int i = 0; i < 20000; i++)
        kd_buf_addf(&t,
                    "{\"type\":\"BrowseEvent\",\"user_id\":\"u%d\",\"item_id\":\"i%d\",\"action\":"
                    "\"VIEW\",\"time\":%lld}\n",
                    i % 97, i * 7919 % 1000, 1400000000000LL + i);
    const char *path = files_write_n("t.jsonl.gz", t.p, t.n, true);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *packed = malloc(t.n);
    assert_non_null(packed);
    size_t n = fread(packed, 1, t.n, f);
    fclose(f);
    path = files_write_n("t.jsonl.gz", packed, n / 2, false);
    kd_source *s = files_open1(NULL, path);
    kd_record r;
    kd_err err = {0};
    int64_t records = 0;
    kd_rc rc;
    while ((rc = s->kind->next(s, &r, &err)) == KD_OK) {
        assert_int_equal(r.pos.offset, records);
        assert_int_equal(r.time, 1400000000000LL + records);
        records++;
    }
    assert_int_equal(rc, KD_EIO);
    assert_true(records > 5000 && records < 20000);
    assert_non_null(strstr(err.msg, "cut off"));
    char at[32];
    snprintf(at, sizeof at, "byte %zu", n / 2);
    assert_non_null(strstr(err.msg, at));
    assert_int_equal(s->kind->next(s, &r, &err), KD_EIO); /* and stays so */
    s->kind->close(s);
    free(packed);
    kd_buf_dispose(&t);
}

typedef struct row {
    kd_ms time, at; /* at: where it stands, for a bad one the time before it */
    int file;
    int64_t offset;
    bool is_bad;
} row;

/* What a merge of heads gives, done slowly: of the files' first rows take the least, again and
 * again. (A sort of all rows would differ where a file is not in time order.) */
static void slow_merge(row *const *files, const size_t *n, int k, row *out)
{
    size_t at[8] = {0};
    for (size_t i = 0;; i++) {
        int best = -1;
        for (int f = 0; f < k; f++) {
            if (at[f] == n[f])
                continue;
            const row *a = &files[f][at[f]], *b = best < 0 ? NULL : &files[best][at[best]];
            if (b == NULL || a->at < b->at) /* files are named in order: the first wins a tie */
                best = f;
        }
        if (best < 0)
            return;
        out[i] = files[best][at[best]++];
    }
}

static int by_time_file_offset(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->file != y->file)
        return x->file - y->file;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void merge(void **state)
{
    (void)state;
    const uint64_t seed = 31;
    print_message("seed %llu\n", (unsigned long long)seed);
    kd_rng r;
    kd_rng_init(&r, seed);
    for (int round = 0; round < 60; round++) {
        int k = (int)kd_rng_between(&r, 1, 6);
        bool in_order = round % 2 == 0;
        row *files[8];
        size_t n[8];
        char paths[8][512];
        const char *list[8];
        size_t total = 0;
        for (int f = 0; f < k; f++) {
            kd_buf t = {0};
            n[f] = (size_t)kd_rng_below(&r, 60);
            files[f] = calloc(n[f] + 1, sizeof(row));
            assert_non_null(files[f]);
            kd_ms time = 1400000000000, at = KD_MS_NONE;
            for (size_t i = 0; i < n[f]; i++) {
                row *w = &files[f][i];
                time = in_order ? time + (kd_ms)kd_rng_below(&r, 3)
                                : 1400000000000 + (kd_ms)kd_rng_below(&r, 50);
                w->is_bad = kd_rng_below(&r, 8) == 0;
                w->file = f;
                w->offset = (int64_t)i;
                w->time = time;
                at = w->is_bad ? at : time;
                w->at = at;
                kd_buf_addf(&t, w->is_bad ? "bad %lld\n" : VIEW("u", "i", "%lld") "\n",
                            (long long)time);
            }
            char name[32];
            snprintf(name, sizeof name, "m%d.jsonl%s", f, f % 2 == 1 ? ".gz" : "");
            snprintf(paths[f], sizeof paths[f], "%s",
                     files_write_n(name, t.p == NULL ? "" : t.p, t.n, f % 2 == 1));
            total += n[f];
            kd_buf_dispose(&t);
        }
        for (int f = 0; f < k; f++)
            list[f] = paths[(f + round) % k]; /* the order of the arguments does not matter */
        row *want = calloc(total + 1, sizeof *want);
        assert_non_null(want);
        slow_merge(files, n, k, want);
        if (in_order) {
            for (size_t i = 1; i < total; i++)
                assert_true(by_time_file_offset(&want[i - 1], &want[i]) < 0);
        }
        kd_source *s = files_open(NULL, list, (size_t)k);
        for (size_t i = 0; i < total; i++) {
            kd_record out;
            kd_err err = {0};
            kd_rc rc = s->kind->next(s, &out, &err);
            assert_int_equal(rc, want[i].is_bad ? KD_EDATA : KD_OK);
            assert_int_equal(out.pos.topic[1] - '0', want[i].file);
            assert_int_equal(out.pos.offset, want[i].offset);
            assert_int_equal(out.ts, want[i].at);
            if (kd_rng_below(&r, 5) == 0)
                s->kind->release(s);
        }
        kd_record out;
        assert_int_equal(s->kind->next(s, &out, NULL), KD_END);
        s->kind->close(s);
        for (int f = 0; f < k; f++)
            free(files[f]);
        free(want);
    }
}

static kd_rc write_bytes(void *arg, const void *p, size_t n, kd_err *err)
{
    (void)err;
    kd_buf_add(arg, p, n);
    return KD_OK;
}

/* The same records as JSON lines and as a container file, packed once more. */
static void avro_container(void **state)
{
    (void)state;
    kd_buf bytes = {0};
    kd_err err = {0};
    kd_container_writer *w = NULL;
    assert_int_equal(kd_container_writer_new(KD_SCHEMA_BROWSE, KD_CONTAINER_DEFLATE, write_bytes,
                                             &bytes, &w, &err),
                     KD_OK);
    kd_buf want = {0};
    for (int i = 0; i < 3000; i++) {
        char item[16];
        snprintf(item, sizeof item, "i%d", i * 37 % 101);
        kd_record r;
        kd_record_init(&r, KD_BROWSE);
        r.user_id = kd_str_of("u1");
        r.item_id = kd_str_of(item);
        r.time = i % 1000 == 999 ? 1 : 1400000000000 + i;
        assert_int_equal(kd_container_write_record(w, &r, &err), KD_OK);
        if (i % 1000 == 999)
            kd_buf_addf(&want, "a.avro.gz@%d BAD time a.avro.gz#%d\n", i, i);
        else
            kd_buf_addf(&want, "a.avro.gz@%d " SEEN("u1", "%s", "%lld") "\n", i, item,
                        (long long)r.time);
    }
    assert_int_equal(kd_container_writer_flush(w, &err), KD_OK);
    kd_container_writer_free(w);
    kd_buf_adds(&want, "END\n");
    kd_buf_addc(&want, '\0');
    kd_source *s = files_open1(NULL, files_write_n("a.avro.gz", bytes.p, bytes.n, true));
    kd_buf got = {0};
    files_read_all(s, &got, 100);
    kd_buf_addc(&got, '\0');
    char *p = got.p; /* bare Avro bytes in the bad ones' raw text: cut off */
    kd_buf shown = {0};
    while (*p != '\0') {
        size_t n = strcspn(p, "\n");
        size_t k = n;
        if (memmem(p, n, " BAD ", 5) != NULL)
            k = (size_t)((const char *)memchr(p, '[', n) - p) - 1;
        kd_buf_add(&shown, p, k);
        kd_buf_addc(&shown, '\n');
        p += n + 1;
    }
    kd_buf_addc(&shown, '\0');
    assert_string_equal(shown.p, want.p);
    s->kind->close(s);
    kd_buf_dispose(&shown);
    kd_buf_dispose(&got);
    kd_buf_dispose(&want);
    kd_buf_dispose(&bytes);
}

static void config_faults(void **state)
{
    (void)state;
    const char *path = files_write("x.doc", "");
    kd_file_source_options o = {.paths = &path, .n_paths = 1};
    kd_source *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_file_source_new(&o, &s, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, ".jsonl"));
    o.n_paths = 0;
    assert_int_equal(kd_file_source_new(&o, &s, &err), KD_ECONFIG);
    path = "/nonexistent/x.jsonl";
    o.n_paths = 1;
    assert_int_equal(kd_file_source_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_EIO);
    s->kind->close(s);
    o.map_path = "/nonexistent/m.yaml";
    assert_int_equal(kd_file_source_new(&o, &s, &err), KD_EIO);
    path = files_write("junk.avro", "this is no container");
    o.map_path = NULL;
    assert_int_equal(kd_file_source_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "no Avro file"));
    s->kind->close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_have_the_order_as_time),
        cmocka_unit_test(bad_lines_keep_the_rest),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(bad_rows_keep_the_rest),
        cmocka_unit_test(long_rows),
        cmocka_unit_test(truncated_gzip),
        cmocka_unit_test(merge),
        cmocka_unit_test(avro_container),
        cmocka_unit_test(config_faults),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
