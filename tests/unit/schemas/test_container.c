/* Container files: round trips by both codecs, Avro-C as the slow twin, damage of every kind. */
#include "support.h"

#include <avro.h>
#include <unistd.h>

#include "schemas/avsc.h"
#include "schemas/container.h"

static kd_rc to_buf(void *arg, const void *p, size_t n, kd_err *err)
{
    (void)err;
    kd_buf_add(arg, p, n);
    return KD_OK;
}

static kd_container *open_mem(const kd_buf *file)
{
    kd_container *c;
    kd_err err;
    if (kd_container_open_mem(file->p, file->n, &c, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return c;
}

/* n records of a type, each with its number in its time; a block now and then. */
static void write_file(kd_buf *file, kd_record_type type, kd_container_codec codec, int n,
                       int per_block, kd_rng *rng)
{
    kd_container_writer *w;
    kd_err err;
    kd_arena *a = kd_arena_new(0);
    assert_int_equal(kd_container_writer_new((kd_schema_id)type, codec, to_buf, file, &w, &err),
                     KD_OK);
    for (int i = 0; i < n; i++) {
        kd_record r;
        rand_record(rng, a, type, &r);
        r.time = i;
        assert_int_equal(kd_container_write_record(w, &r, &err), KD_OK);
        if ((i + 1) % per_block == 0)
            assert_int_equal(kd_container_writer_flush(w, &err), KD_OK);
    }
    assert_int_equal(kd_container_writer_flush(w, &err), KD_OK);
    kd_container_writer_free(w);
    kd_arena_free(a);
}

typedef struct tally {
    int good, bad;
    int64_t next_number;
} tally;

/* Reads to the end; each good record's number is the one it was written with, if `is_exact`. */
static tally read_all(const kd_buf *file, bool is_exact)
{
    kd_container *c = open_mem(file);
    kd_arena *a = kd_arena_new(0);
    tally t = {0};
    for (;;) {
        kd_record r;
        kd_err err = {0};
        kd_record_init(&r, KD_BROWSE);
        kd_rc rc = kd_container_next(c, a, &r, &err);
        if (rc == KD_END)
            break;
        assert_true(r.pos.offset >= t.next_number);
        t.next_number = r.pos.offset + 1;
        if (rc == KD_OK) {
            if (is_exact) /* else a time may be what was damaged: a body has no checksum */
                assert_int_equal(r.pos.offset, r.time);
            t.good++;
            assert_non_null(r.raw_value);
        } else {
            assert_int_equal(rc, KD_EDATA);
            assert_true(err.reason != KD_REASON_NONE && err.msg[0] != '\0');
            t.bad++;
            assert_true(t.bad < 10000);
        }
    }
    kd_arena_free(a);
    kd_container_close(c);
    return t;
}

static void test_round_trip(void **state)
{
    (void)state;
    kd_rng rng, again;
    kd_rng_init(&rng, test_seed());
    for (int codec = 0; codec < 2; codec++) {
        for (int t = 0; t < KD_RECORD_TYPES; t++) {
            kd_buf file = {0}, twin = {0};
            again = rng;
            write_file(&file, (kd_record_type)t, (kd_container_codec)codec, 3000, 1000000, &rng);
            write_file(&twin, (kd_record_type)t, (kd_container_codec)codec, 3000, 1000000, &again);
            assert_int_equal(file.n, twin.n); /* the same records, the same bytes */
            assert_memory_equal(file.p, twin.p, file.n);
            tally got = read_all(&file, true);
            assert_true(got.good == 3000 && got.bad == 0);
            kd_buf_dispose(&file);
            kd_buf_dispose(&twin);
        }
    }
}

static void test_fields_survive(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_arena *a = kd_arena_new(0);
    kd_buf file = {0};
    kd_container_writer *w;
    kd_err err;
    kd_record in[50];
    assert_int_equal(
        kd_container_writer_new(KD_SCHEMA_CATALOG, KD_CONTAINER_DEFLATE, to_buf, &file, &w, &err),
        KD_OK);
    for (int i = 0; i < 50; i++) {
        rand_record(&rng, a, KD_CATALOG, &in[i]);
        assert_int_equal(kd_container_write_record(w, &in[i], &err), KD_OK);
    }
    kd_record other;
    kd_record_init(&other, KD_BROWSE);
    assert_int_equal(kd_container_write_record(w, &other, &err), KD_EBUG);
    assert_int_equal(kd_container_writer_flush(w, &err), KD_OK);
    kd_container_writer_free(w);
    kd_container *c = open_mem(&file);
    assert_string_equal(kd_container_schema_name(c), "kindred.CatalogItem");
    for (int i = 0; i < 50; i++) {
        kd_record r;
        kd_record_init(&r, KD_BROWSE);
        r.ts = 5;
        assert_int_equal(kd_container_next(c, a, &r, &err), KD_OK);
        assert_same_record(&in[i], &r);
        assert_true(r.ts == 5 && r.pos.offset == i);
    }
    kd_container_close(c);
    kd_buf_dispose(&file);
    kd_arena_free(a);
}

/* All types in one file: what went in comes out, in order, with its type. */
static void test_events_of_all_types(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    for (int codec = 0; codec < 2; codec++) {
        kd_arena *a = kd_arena_new(0);
        kd_buf file = {0};
        kd_container_writer *w;
        kd_err err;
        kd_record in[200];
        assert_int_equal(
            kd_container_events_writer_new((kd_container_codec)codec, to_buf, &file, &w, &err),
            KD_OK);
        for (int i = 0; i < 200; i++) {
            rand_record(&rng, a, (kd_record_type)kd_rng_below(&rng, KD_RECORD_TYPES), &in[i]);
            assert_int_equal(kd_container_write_record(w, &in[i], &err), KD_OK);
        }
        kd_out out = rand_update(&rng, a);
        assert_int_equal(kd_container_write_out(w, &out, &err), KD_EBUG);
        assert_int_equal(kd_container_writer_flush(w, &err), KD_OK);
        kd_container_writer_free(w);
        kd_container *c = open_mem(&file);
        assert_string_equal(kd_container_schema_name(c), "union");
        for (int i = 0; i < 200; i++) {
            kd_record r;
            kd_record_init(&r, KD_BROWSE);
            assert_int_equal(kd_container_next(c, a, &r, &err), KD_OK);
            assert_same_record(&in[i], &r);
        }
        kd_record r;
        assert_int_equal(kd_container_next(c, a, &r, NULL), KD_END);
        kd_container_close(c);
        kd_buf_dispose(&file);
        kd_arena_free(a);
    }
}

static void write_path(char *path, const kd_buf *file)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file->p, file->n), (ssize_t)file->n);
    close(fd);
}

/* Avro-C reads our files, updates too. */
static void test_avro_c_reads_ours(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    for (int codec = 0; codec < 2; codec++) {
        kd_arena *a = kd_arena_new(0);
        kd_buf file = {0};
        kd_container_writer *w;
        kd_err err;
        kd_str shoppers[40];
        assert_int_equal(kd_container_writer_new(KD_SCHEMA_UPDATE, (kd_container_codec)codec,
                                                 to_buf, &file, &w, &err),
                         KD_OK);
        for (int i = 0; i < 40; i++) {
            kd_out o = rand_update(&rng, a);
            shoppers[i] = o.update->shopper_id;
            assert_int_equal(kd_container_write_out(w, &o, &err), KD_OK);
            kd_out gone = {.type = KD_OUT_FORGOTTEN, .forgotten = shoppers[i]};
            assert_int_equal(kd_container_write_out(w, &gone, &err), KD_OK);
        }
        assert_int_equal(kd_container_writer_flush(w, &err), KD_OK);
        kd_container_writer_free(w);
        char path[] = "/tmp/kd_test_container_XXXXXX";
        write_path(path, &file);
        avro_file_reader_t r;
        if (avro_file_reader(path, &r) != 0)
            fail_msg("%s", avro_strerror());
        avro_schema_t schema = avro_file_reader_get_writer_schema(r); /* a reference of our own */
        avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
        avro_value_t v;
        avro_generic_value_new(iface, &v);
        int n = 0;
        while (avro_file_reader_read_value(r, &v) == 0) {
            avro_value_t id;
            const char *z;
            size_t len;
            avro_value_get_by_name(&v, "shopper_id", &id, NULL);
            avro_value_get_string(&id, &z, &len);
            assert_same_str("shopper_id", (kd_str){z, (uint32_t)len - 1}, shoppers[n++]);
            avro_value_reset(&v);
        }
        assert_int_equal(n, 40);
        avro_value_decref(&v);
        avro_value_iface_decref(iface);
        avro_schema_decref(schema);
        avro_file_reader_close(r);
        unlink(path);
        kd_container *c;
        assert_int_equal(kd_container_open_mem(file.p, file.n, &c, &err), KD_EDATA);
        assert_non_null(strstr(err.msg, "RecommendationUpdate"));
        kd_buf_dispose(&file);
        kd_arena_free(a);
    }
}

/* A file of two of our types and one that is none, by Avro-C, with its codec deflate. */
static void test_union_file_of_avro_c(void **state)
{
    (void)state;
    const char *text =
        "[{\"type\":\"record\",\"name\":\"BrowseEvent\",\"fields\":[{\"name\":\"item_id\",\"type\":"
        "\"string\"},{\"name\":\"time\",\"type\":\"long\"},{\"name\":\"action\",\"type\":{\"type\":"
        "\"enum\",\"name\":\"Action\",\"symbols\":[\"LIKE\",\"STARE\"]}}]},{\"type\":\"record\","
        "\"name\":\"shop.ForgetRequest\",\"fields\":[{\"name\":\"time\",\"type\":\"long\"},{"
        "\"name\":\"shopper_id\",\"type\":\"string\"}]},{\"type\":\"record\",\"name\":\"Noise\","
        "\"fields\":[{\"name\":\"x\",\"type\":\"long\"}]}]";
    char path[] = "/tmp/kd_test_container_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    avro_schema_t schema;
    assert_int_equal(avro_schema_from_json_length(text, strlen(text), &schema), 0);
    avro_file_writer_t w;
    if (avro_file_writer_create_with_codec(path, schema, &w, "deflate", 1024) != 0)
        fail_msg("%s", avro_strerror());
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    for (int i = 0; i < 600; i++) {
        avro_value_t v, branch, field;
        avro_generic_value_new(iface, &v);
        avro_value_set_branch(&v, i % 3, &branch);
        if (i % 3 == 2) {
            avro_value_get_by_name(&branch, "x", &field, NULL);
            avro_value_set_long(&field, i);
        } else {
            avro_value_get_by_name(&branch, "time", &field, NULL);
            avro_value_set_long(&field, i);
            avro_value_get_by_name(&branch, i % 3 ? "shopper_id" : "item_id", &field, NULL);
            avro_value_set_string(&field, "id");
        }
        if (i % 3 == 0) {
            avro_value_get_by_name(&branch, "action", &field, NULL);
            avro_value_set_enum(&field, i % 2); /* every other one is unknown to us */
        }
        assert_int_equal(avro_file_writer_append_value(w, &v), 0);
        avro_value_decref(&v);
    }
    avro_file_writer_close(w);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    kd_buf file = {0};
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        kd_buf_add(&file, chunk, n);
    fclose(f);
    unlink(path);
    kd_container *c = open_mem(&file);
    kd_arena *a = kd_arena_new(0);
    assert_string_equal(kd_container_schema_name(c), "union");
    for (int i = 0; i < 600; i++) {
        kd_record r;
        kd_err err = {0};
        kd_record_init(&r, KD_CATALOG);
        kd_rc rc = kd_container_next(c, a, &r, &err);
        assert_int_equal(r.pos.offset, i);
        if (i % 3 == 2) {
            assert_int_equal(rc, KD_EDATA);
            assert_int_equal(err.reason, KD_REASON_SCHEMA);
        } else if (i % 3 == 0 && i % 2 == 1) { /* a bad record, and the one behind it is read */
            assert_int_equal(rc, KD_EDATA);
            assert_int_equal(err.reason, KD_REASON_FIELD);
            assert_non_null(strstr(err.msg, "STARE"));
        } else {
            assert_int_equal(rc, KD_OK);
            assert_int_equal(r.type, i % 3 == 0 ? KD_BROWSE : KD_FORGET);
            assert_int_equal(r.time, i);
        }
    }
    kd_record r;
    assert_int_equal(kd_container_next(c, a, &r, NULL), KD_END);
    assert_int_equal(kd_container_next(c, a, &r, NULL), KD_END);
    kd_container_close(c);
    kd_arena_free(a);
    kd_buf_dispose(&file);
}

/* Where the blocks begin: behind the header's sync marker and behind every other one. */
static size_t find_blocks(const kd_buf *file, size_t *starts, size_t max)
{
    const char *sync = file->p + file->n - 16;
    size_t n = 0;
    for (size_t at = 0; at + 16 <= file->n; at++)
        if (memcmp(file->p + at, sync, 16) == 0 && n < max)
            starts[n++] = at + 16;
    return n;
}

static void test_damage_is_local(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    for (int codec = 0; codec < 2; codec++) {
        kd_buf file = {0};
        size_t starts[32];
        write_file(&file, KD_PURCHASE, (kd_container_codec)codec, 200, 10, &rng);
        size_t n = find_blocks(&file, starts, 32);
        assert_int_equal(n, 21); /* 20 blocks and the end */
        for (int i = 0; i < 2000; i++) {
            size_t block = kd_rng_below(&rng, 20);
            size_t len = starts[block + 1] - starts[block];
            size_t at = starts[block] + kd_rng_below(&rng, len);
            char old = file.p[at];
            file.p[at] = (char)kd_rng_next(&rng);
            tally t = read_all(&file, false);
            bool is_marker =
                at >= starts[block + 1] - 16; /* where it is damaged, nothing is lost */
            if (t.good < (is_marker ? 200 : 190) || (t.good < 200 && t.bad == 0))
                fail_msg("byte %zu of block %zu: %d good, %d bad", at - starts[block], block,
                         t.good, t.bad);
            file.p[at] = old;
        }
        /* the numbers behind a damaged body stay what they were */
        memset(file.p + starts[2] + 4, 0xff, starts[3] - starts[2] - 20);
        tally t = read_all(&file, true);
        assert_true(t.good == 190 && t.bad == 1);
        kd_buf_dispose(&file);
    }
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    for (int codec = 0; codec < 2; codec++) {
        kd_buf file = {0};
        size_t starts[8];
        write_file(&file, KD_BROWSE, (kd_container_codec)codec, 30, 10, &rng);
        assert_int_equal(find_blocks(&file, starts, 8), 4);
        for (size_t n = 0; n < file.n; n++) {
            kd_buf cut = {0};
            kd_container *c;
            kd_buf_add(&cut, file.p, n);
            if (n < starts[0]) {
                kd_err err = {0};
                assert_int_equal(kd_container_open_mem(n == 0 ? "" : cut.p, n, &c, &err), KD_EDATA);
            } else {
                tally t = read_all(&cut, true);
                bool is_whole = n == starts[0] || n == starts[1] || n == starts[2];
                assert_int_equal(t.good, n >= starts[2] ? 20 : n >= starts[1] ? 10 : 0);
                assert_int_equal(t.bad, is_whole ? 0 : 1);
            }
            kd_buf_dispose(&cut);
        }
        kd_buf_dispose(&file);
    }
}

/* A reader that gives one byte at a time, then fails once. */
typedef struct drip {
    const kd_buf *file;
    size_t at, fail_at;
} drip;

static kd_rc drip_read(void *arg, void *to, size_t cap, size_t *out_n, kd_err *err)
{
    drip *d = arg;
    (void)cap;
    if (d->at == d->fail_at) {
        d->fail_at = SIZE_MAX;
        return kd_fail(err, KD_EIO, "the disk is gone");
    }
    if (d->at == d->file->n)
        return KD_END;
    memcpy(to, d->file->p + d->at++, 1);
    *out_n = 1;
    return KD_OK;
}

static void test_slow_and_failing_reader(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_buf file = {0};
    write_file(&file, KD_FORGET, KD_CONTAINER_DEFLATE, 30, 10, &rng);
    kd_arena *a = kd_arena_new(0);
    kd_container *c;
    kd_record r;
    kd_err err;
    drip d = {.file = &file, .fail_at = SIZE_MAX};
    assert_int_equal(kd_container_open(drip_read, &d, &c, &err), KD_OK);
    int n = 0;
    while (kd_container_next(c, a, &r, &err) == KD_OK)
        assert_int_equal(r.time, n++);
    assert_int_equal(n, 30);
    kd_container_close(c);
    d = (drip){.file = &file, .fail_at = 40};
    assert_int_equal(kd_container_open(drip_read, &d, &c, &err), KD_EIO);
    assert_string_equal(err.msg, "the disk is gone");
    kd_arena_free(a);
    kd_buf_dispose(&file);
}

static void test_what_is_no_container(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "Obj", "Obj\x02xxxxxxxxxxxxxxxxxxxxxxxxx", "{\"type\":1}",
                                      "Obj\x01\x00 0123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kd_container *c = NULL;
        kd_err err = {0};
        size_t n = i == 4 ? 40 : strlen(bad[i]);
        char *exact = malloc(n + 1);
        memset(exact, 0, n + 1);
        memcpy(exact, bad[i], i == 4 ? 38 : n);
        assert_int_equal(kd_container_open_mem(exact, n, &c, &err), KD_EDATA);
        assert_true(err.msg[0] != '\0');
        assert_null(c);
        free(exact);
    }
}

static void test_random_bytes(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_buf file = {0};
    write_file(&file, KD_CATALOG, KD_CONTAINER_NULL, 20, 5, &rng);
    for (int i = 0; i < 4000; i++) {
        kd_buf x = {0};
        kd_container *c;
        kd_arena *a = kd_arena_new(0);
        kd_err err;
        kd_buf_add(&x, file.p, file.n);
        size_t hits = 1 + kd_rng_below(&rng, 6);
        for (size_t k = 0; k < hits; k++)
            x.p[kd_rng_below(&rng, x.n)] = (char)kd_rng_next(&rng);
        if (kd_container_open_mem(x.p, x.n, &c, &err) == KD_OK) {
            kd_record r;
            int n = 0;
            for (kd_rc rc = KD_OK; rc != KD_END && n < 10000; n++) {
                kd_record_init(&r, KD_BROWSE);
                rc = kd_container_next(c, a, &r, &err);
                assert_true(rc == KD_OK || rc == KD_EDATA || rc == KD_END);
            }
            assert_true(n < 10000);
            kd_container_close(c);
        }
        kd_arena_free(a);
        kd_buf_dispose(&x);
    }
    kd_buf_dispose(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),           cmocka_unit_test(test_fields_survive),
        cmocka_unit_test(test_events_of_all_types),  cmocka_unit_test(test_avro_c_reads_ours),
        cmocka_unit_test(test_union_file_of_avro_c), cmocka_unit_test(test_damage_is_local),
        cmocka_unit_test(test_cut_anywhere),         cmocka_unit_test(test_slow_and_failing_reader),
        cmocka_unit_test(test_what_is_no_container), cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
