/* Reading plain and gzip files: content decides, faults come after what is complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/gz.h"
#include "base/rng.h"

static char path[] = "/tmp/kd_test_gz_XXXXXX";

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int drop_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* One gzip member of n bytes, appended to out. */
static void add_member(kd_buf *out, const void *p, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t cap = deflateBound(&z, (unsigned long)n) + 64;
    unsigned char *to = (unsigned char *)kd_buf_room(out, cap);
    assert_non_null(to);
    kd_buf in = {0};
    kd_buf_add(&in, p, n);
    z.next_in = (unsigned char *)in.p;
    z.avail_in = (unsigned)n;
    z.next_out = to;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n += cap - z.avail_out;
    deflateEnd(&z);
    kd_buf_dispose(&in);
}

/* Reads all; the fault's rc is returned (KD_END for none). */
static kd_rc read_all(kd_buf *out, kd_err *err, size_t piece)
{
    kd_reader *r = NULL;
    assert_int_equal(kd_reader_open(path, &r, err), KD_OK);
    kd_rc rc = KD_OK;
    while (rc == KD_OK) {
        size_t n = 0;
        char *to = kd_buf_room(out, piece);
        assert_non_null(to);
        rc = kd_reader_read(r, to, piece, &n, err);
        if (rc == KD_OK) {
            assert_true(n > 0 && n <= piece);
            out->n += n;
        }
    }
    kd_err again = {0};
    size_t n = 0;
    char c;
    assert_int_equal(kd_reader_read(r, &c, 1, &n, &again), rc); /* for ever the same (I1) */
    if (rc == KD_EIO)
        assert_string_equal(again.msg, err->msg);
    kd_reader_close(r);
    return rc;
}

static void fill(kd_buf *b, size_t n, uint64_t seed)
{
    kd_rng r;
    kd_rng_init(&r, seed);
    for (size_t i = 0; i < n; i++)
        kd_buf_addc(b, (char)('a' + kd_rng_below(&r, 20)));
}

static void plain_and_gzip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 3, 65535, 65536, 65537, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        kd_buf want = {0}, got = {0}, packed = {0};
        kd_err err = {0};
        fill(&want, sizes[i], i);
        write_file(want.p == NULL ? "" : want.p, want.n);
        assert_int_equal(read_all(&got, &err, 1000), KD_END);
        assert_true(kd_str_eq(kd_buf_str(&got), kd_buf_str(&want)));
        kd_buf_clear(&got);
        add_member(&packed, want.p, want.n);
        write_file(packed.p, packed.n);
        assert_int_equal(read_all(&got, &err, 70000), KD_END);
        assert_true(kd_str_eq(kd_buf_str(&got), kd_buf_str(&want)));
        kd_buf_dispose(&want);
        kd_buf_dispose(&got);
        kd_buf_dispose(&packed);
    }
}

static void members_and_padding(void **state)
{
    (void)state;
    kd_buf packed = {0}, got = {0};
    kd_err err = {0};
    add_member(&packed, "one,", 4);
    add_member(&packed, "", 0);
    add_member(&packed, "two", 3);
    for (int i = 0; i < 600; i++)
        kd_buf_addc(&packed, '\0');
    write_file(packed.p, packed.n);
    assert_int_equal(read_all(&got, &err, 3), KD_END);
    assert_int_equal(got.n, 7);
    assert_memory_equal(got.p, "one,two", 7);

    kd_buf_clear(&got);
    kd_buf_adds(&packed, "garbage");
    write_file(packed.p, packed.n);
    assert_int_equal(read_all(&got, &err, 3), KD_EIO);
    assert_memory_equal(got.p, "one,two", 7);
    assert_non_null(strstr(err.msg, "not gzip"));
    kd_buf_dispose(&packed);
    kd_buf_dispose(&got);
}

/* Cut anywhere: a prefix of the content, then a fault that names file and offset. */
static void truncated(void **state)
{
    (void)state;
    kd_buf want = {0}, packed = {0}, got = {0};
    fill(&want, 200000, 9);
    add_member(&packed, want.p, want.n);
    for (size_t cut = 2; cut < packed.n; cut += packed.n / 23) {
        kd_err err = {0};
        kd_buf_clear(&got);
        write_file(packed.p, cut);
        assert_int_equal(read_all(&got, &err, 4096), KD_EIO);
        assert_true(got.n <= want.n);
        assert_memory_equal(got.p == NULL ? "" : got.p, want.p, got.n);
        assert_non_null(strstr(err.msg, path));
        char at[32];
        snprintf(at, sizeof at, "byte %zu", cut);
        assert_non_null(strstr(err.msg, at));
    }
    assert_true(got.n > want.n / 2); /* the last cut leaves most of it */

    kd_err err = {0};
    kd_buf_clear(&got);
    packed.p[packed.n - 6] ^= 1; /* the checksum: all content is there by then */
    write_file(packed.p, packed.n);
    assert_int_equal(read_all(&got, &err, 4096), KD_EIO);
    assert_int_equal(got.n, want.n);
    assert_non_null(strstr(err.msg, "damaged"));
    kd_buf_dispose(&want);
    kd_buf_dispose(&got);
    kd_buf_dispose(&packed);
}

static void no_such_file(void **state)
{
    (void)state;
    kd_reader *r = NULL;
    kd_err err = {0};
    assert_int_equal(kd_reader_open("/nonexistent/x.csv", &r, &err), KD_EIO);
    assert_non_null(strstr(err.msg, "/nonexistent/x.csv"));
    assert_int_equal(kd_reader_open("/tmp", &r, &err), KD_EIO);
    assert_null(r);
    kd_reader_close(NULL);
}

static void lines(void **state)
{
    (void)state;
    const char text[] = "first\r\n\nthird\nfar too long a line\nfifth\rx\r\nlast\r";
    write_file(text, sizeof text - 1);
    kd_reader *r = NULL;
    kd_err err = {0};
    assert_int_equal(kd_reader_open(path, &r, &err), KD_OK);
    static const char *const want[] = {"first", "", "third", "far too ", "fifth\rx", "last"};
    for (size_t i = 0; i < 6; i++) {
        kd_str line = KD_STR_NULL;
        kd_rc rc = kd_reader_line(r, 8, &line, &err);
        assert_int_equal(rc, i == 3 ? KD_EDATA : KD_OK);
        assert_true(kd_str_eq(line, kd_str_of(want[i])));
        assert_int_equal(kd_reader_line_no(r), i + 1);
        if (i == 3) {
            assert_int_equal(err.reason, KD_REASON_TOO_LARGE);
            assert_non_null(strstr(err.where, ":4"));
        }
    }
    kd_str line = KD_STR_NULL;
    assert_int_equal(kd_reader_line(r, 8, &line, &err), KD_END);
    assert_int_equal(kd_reader_line(r, 8, &line, &err), KD_END);
    assert_int_equal(kd_reader_done_bytes(r), sizeof text - 1);
    assert_int_equal(kd_reader_total_bytes(r), sizeof text - 1);
    kd_reader_close(r);
}

/* Random lines of many lengths, limits around them, against a plain split in memory. */
static void lines_against_split(void **state)
{
    (void)state;
    const uint64_t seed = 21;
    print_message("seed %llu\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    for (int round = 0; round < 20; round++) {
        kd_buf text = {0};
        size_t max = 1 + kd_rng_below(&rng, round % 2 == 0 ? 40 : 100000);
        for (int i = 0; i < 30; i++) {
            size_t n = (size_t)kd_rng_below(&rng, max * 2 + 3);
            for (size_t k = 0; k < n; k++)
                kd_buf_addc(&text, kd_rng_below(&rng, 9) == 0 ? '\r' : 'x');
            if (i < 29 || round % 3 != 0)
                kd_buf_addc(&text, '\n');
        }
        write_file(text.p, text.n);
        kd_reader *r = NULL;
        kd_err err = {0};
        assert_int_equal(kd_reader_open(path, &r, &err), KD_OK);
        const char *p = text.p, *end = text.p + text.n;
        while (p < end) {
            const char *nl = memchr(p, '\n', (size_t)(end - p));
            size_t n = nl == NULL ? (size_t)(end - p) : (size_t)(nl - p);
            size_t len = n > 0 && p[n - 1] == '\r' ? n - 1 : n;
            kd_str line = KD_STR_NULL;
            kd_rc rc = kd_reader_line(r, max, &line, &err);
            assert_int_equal(rc, len > max ? KD_EDATA : KD_OK);
            assert_int_equal(line.n, len > max ? max : len);
            assert_memory_equal(line.p, p, line.n);
            p += n + (nl != NULL);
        }
        kd_str line = KD_STR_NULL;
        assert_int_equal(kd_reader_line(r, max, &line, &err), KD_END);
        kd_reader_close(r);
        kd_buf_dispose(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_gzip), cmocka_unit_test(members_and_padding),
        cmocka_unit_test(truncated),      cmocka_unit_test(no_such_file),
        cmocka_unit_test(lines),          cmocka_unit_test(lines_against_split),
    };
    return cmocka_run_group_tests(tests, make_path, drop_path);
}
