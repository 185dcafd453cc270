/* Every rule of consumers/kd_source.h, run over each source that needs no broker. A new source is
 * one row in `sources`. */
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
#include "schemas/json.h"

static const char *const map_text =
    "no_shopper: dead-letter\nrecords:\n"
    "  - type: CatalogItem\n    fields:\n      item_id: i\n      title: title\n"
    "      tags: {columns: [title, u], split: \" \"}\n      time: {column: t, format: unix_ms}\n"
    "  - type: BrowseEvent\n    fields:\n      item_id: {column: i, add_prefix: \"x\"}\n"
    "      user_id: u\n      action: {constant: VIEW}\n"
    "      time: {column: t2, format: unix_ms}\n";

static kd_source *file_source(const char *map, const char *const *paths, size_t n)
{
    kd_file_source_options o = {
        .paths = paths, .n_paths = n, .map_path = map, .latest = INT64_C(1500000000000)};
    kd_source *s = NULL;
    kd_err err = {0};
    if (kd_file_source_new(&o, &s, &err) != KD_OK)
        fail_msg("%s %s", err.where, err.msg);
    return s;
}

/* About 900 KiB, so that chunks change and are used again, with bad lines among it. */
static const char *lines_file(const char *name, int step)
{
    kd_buf t = {0};
    for (int i = 0; i < 7000; i++) {
        if (i % 17 == 5)
            kd_buf_adds(&t, "{\"type\":\"BrowseEvent\"}\n");
        else if (i % 3 == 0) /* read without a tree: strings in the file's text */
            kd_buf_addf(
                &t,
                "{\"type\":\"BrowseEvent\",\"item_id\":\"i%d\",\"user_id\":\"u%d\",\"action\":"
                "\"CART\",\"time\":%lld}\n",
                i, i % 77, 1400000000000LL + (long long)i * step);
        else
            kd_buf_addf(
                &t,
                "{\"type\":\"CatalogItem\",\"item_id\":\"i%d\",\"title\":\"a \\\"title\\\" %d "
                "\xE7\x83\xAD\xE6\xB0\xB4\xE8\xA2\x8B\",\"tags\":[\"t%d\",\"u\"],"
                "\"description\":\"%060d\",\"time\":%lld}\n",
                i, i, i, i, 1400000000000LL + (long long)i * step);
    }
    const char *path = files_write_n(name, t.p, t.n, strstr(name, ".gz") != NULL);
    kd_buf_dispose(&t);
    return path;
}

/* The event of a row is later than its catalogue record, which other files may come between. */
static const char *rows_file(const char *name)
{
    kd_buf t = {0};
    kd_buf_adds(&t, "t,i,title,u,t2\n");
    for (int i = 0; i < 16000; i++) {
        if (i % 13 == 7)
            kd_buf_addf(&t, "%lld,i%d,\"new \"\"title\"\" %d\",,\n", 1400000000000LL + i, i % 50,
                        i);
        else if (i % 29 == 3)
            kd_buf_adds(&t, "too,few\n");
        else
            kd_buf_addf(&t, "%lld,i%d,\"a \"\"title\"\" of %d\",u%d,%lld\n", 1400000000000LL + i,
                        i % 50, i % 3, i % 90, 1400000000000LL + i + i % 5);
    }
    const char *path = files_write_n(name, t.p, t.n, false);
    kd_buf_dispose(&t);
    return path;
}

static kd_source *make_jsonl(void)
{
    const char *path = lines_file("a.jsonl", 1);
    return file_source(NULL, &path, 1);
}

static kd_source *make_csv(void)
{
    const char *map = files_write("m.yaml", map_text);
    const char *path = rows_file("r.csv");
    return file_source(map, &path, 1);
}

/* Lines of 0 to 40 items, some with an id that is too long among them. */
static kd_source *make_sessions(void)
{
    kd_buf t = {0};
    for (int i = 0; i < 9000; i++) {
        for (int k = 0; k < i % 41; k++)
            kd_buf_addf(&t, k % 3 == 0 ? "item-%d\t" : "%d ", (i * 7 + k) % 999);
        if (i % 19 == 3)
            kd_buf_addf(&t, "%0600d after", i);
        kd_buf_adds(&t, i % 2 == 0 ? "\n" : "\r\n");
    }
    const char *path = files_write_n("s.txt", t.p, t.n, false);
    kd_buf_dispose(&t);
    return file_source(NULL, &path, 1);
}

static kd_rc write_bytes(void *arg, const void *p, size_t n, kd_err *err)
{
    (void)err;
    kd_buf_add(arg, p, n);
    return KD_OK;
}

/* Several blocks, with records that the rules refuse among them. */
static kd_source *make_avro(void)
{
    kd_buf t = {0};
    kd_err err = {0};
    kd_container_writer *w = NULL;
    assert_int_equal(
        kd_container_writer_new(KD_SCHEMA_CATALOG, KD_CONTAINER_DEFLATE, write_bytes, &t, &w, &err),
        KD_OK);
    for (int i = 0; i < 4000; i++) {
        char title[64], item[16];
        snprintf(title, sizeof title, "a title of some length, number %d", i);
        snprintf(item, sizeof item, "i%d", i % 300);
        kd_str tags[2] = {kd_str_of(item), kd_str_of("tag")};
        kd_record r;
        kd_record_init(&r, KD_CATALOG);
        r.item_id = kd_str_of(item);
        r.title = kd_str_of(title);
        r.tags = tags;
        r.n_tags = 2;
        r.time = i % 19 == 4 ? 5 : 1400000000000 + i;
        assert_int_equal(kd_container_write_record(w, &r, &err), KD_OK);
    }
    assert_int_equal(kd_container_writer_flush(w, &err), KD_OK);
    kd_container_writer_free(w);
    const char *path = files_write_n("c.avro", t.p, t.n, false);
    kd_buf_dispose(&t);
    return file_source(NULL, &path, 1);
}

static kd_source *make_merged(void)
{
    const char *paths[4];
    const char *map = files_write("m.yaml", map_text);
    paths[0] = lines_file("a.jsonl", 1);
    paths[1] = lines_file("b.jsonl.gz", 3);
    paths[2] = rows_file("r.csv");
    paths[3] = files_write("empty.jsonl", "");
    return file_source(map, paths, 4);
}

static kd_source *make_memory(void)
{
    static kd_memory_step steps[300];
    static const kd_str tags[2] = {{"one", 3}, {"two", 3}};
    for (int i = 0; i < 300; i++) {
        kd_memory_step *m = &steps[i];
        kd_record_init(&m->record, i % 3 == 0 ? KD_CATALOG : KD_PURCHASE);
        m->rc = i % 11 == 10 ? KD_EDATA : KD_OK;
        m->reason = KD_REASON_DECODE;
        m->record.item_id = kd_str_of(i % 2 == 0 ? "even" : "odd");
        m->record.user_id = kd_str_of("user");
        m->record.time = m->record.ts = 1400000000000 + i;
        m->record.tags = tags;
        m->record.n_tags = i % 3 == 0 ? 2 : 0;
        m->record.raw_value = "raw bytes";
        m->record.raw_value_len = 9;
    }
    kd_memory_options o = {.steps = steps, .n_steps = 300, .number_pos = true};
    kd_source *s = NULL;
    assert_int_equal(kd_memory_source_new(&o, &s, NULL), KD_OK);
    return s;
}

static kd_source *make_generator(void)
{
    kd_generator_options o;
    kd_generator_defaults(&o);
    o.items = 300;
    o.shoppers = 200;
    o.events = 3000;
    o.duplicate_share = 0.1;
    o.late_share = 0.1;
    kd_source *s = NULL;
    assert_int_equal(kd_generator_new(&o, &s, NULL), KD_OK);
    return s;
}

static const struct {
    const char *name;
    kd_source *(*make)(void);
    bool has_bad;
} sources[] = {
    {"jsonl", make_jsonl, true},       {"csv", make_csv, true},
    {"avro", make_avro, true},         {"merged", make_merged, true},
    {"memory", make_memory, true},     {"generator", make_generator, false},
    {"sessions", make_sessions, true},
};
enum { N_SOURCES = sizeof sources / sizeof *sources };

static kd_source *started(size_t i)
{
    kd_source *s = sources[i].make();
    kd_err err = {0};
    if (s->kind->start(s, &err) != KD_OK)
        fail_msg("%s: %s %s", sources[i].name, err.where, err.msg);
    return s;
}

/* All that a record says, its bytes as they came included. */
static void print(const kd_record *r, kd_rc rc, kd_buf *out)
{
    kd_buf_addf(out, "%s %s/%d@%lld %lld ", kd_rc_name(rc), r->pos.topic, (int)r->pos.partition,
                (long long)r->pos.offset, (long long)r->ts);
    if (rc == KD_OK)
        kd_json_event_print(r, out);
    kd_buf_add(out, r->raw_value, r->raw_value_len);
    kd_buf_addc(out, '\n');
}

static void has_the_callbacks(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SOURCES; i++) {
        kd_source *s = sources[i].make();
        assert_non_null(s->kind->name);
        assert_non_null(s->kind->start);
        assert_non_null(s->kind->next);
        assert_non_null(s->kind->release);
        assert_non_null(s->kind->progress);
        s->kind->close(s); /* also without a start */
        s = sources[i].make();
        kd_record r;
        kd_err err = {0};
        assert_int_equal(s->kind->next(s, &r, &err), KD_EBUG);
        assert_int_equal(s->kind->start(s, &err), KD_OK);
        assert_int_equal(s->kind->start(s, &err), KD_EBUG);
        s->kind->release(s);
        assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
        s->kind->close(s); /* with a record still out */
    }
}

/* The end stays the end, release() may come at any time. */
static void end_is_for_ever(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SOURCES; i++) {
        kd_source *s = started(i);
        kd_record r;
        kd_err err = {0};
        int64_t n = 0, bad = 0;
        kd_rc rc;
        while ((rc = s->kind->next(s, &r, &err)) == KD_OK || rc == KD_EDATA) {
            n++;
            bad += rc == KD_EDATA;
            kd_progress p;
            s->kind->progress(s, &p);
            assert_int_equal(p.records, n);
            assert_true(p.done_bytes <= p.total_bytes || p.total_bytes == -1);
        }
        assert_int_equal(rc, KD_END);
        s->kind->release(s);
        s->kind->release(s);
        assert_int_equal(s->kind->next(s, &r, &err), KD_END);
        assert_int_equal(s->kind->next(s, &r, NULL), KD_END);
        assert_true(n > 250);
        assert_int_equal(bad > 0, sources[i].has_bad);
        kd_progress p;
        s->kind->progress(s, &p);
        assert_int_equal(p.done_bytes, p.total_bytes);
        s->kind->close(s);
    }
}

/* Positions: a stable topic pointer, offsets that do not go back; bad records say why and show
 * their bytes; good ones obey the rules of all records. */
static void what_comes_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SOURCES; i++) {
        kd_source *s = started(i);
        struct {
            const char *topic;
            int64_t offset;
        } seen[8] = {{0}};
        kd_rc rc;
        for (;;) {
            kd_record r;
            memset(&r, 0xEE, sizeof r);
            kd_err err = {0};
            rc = s->kind->next(s, &r, &err);
            if (rc != KD_OK && rc != KD_EDATA)
                break;
            assert_true(r.emit);
            assert_non_null(r.pos.topic);
            assert_int_equal(r.pos.partition, 0);
            size_t t = 0;
            while (seen[t].topic != NULL && strcmp(seen[t].topic, r.pos.topic) != 0)
                t++;
            assert_true(seen[t].topic == NULL || seen[t].topic == r.pos.topic);
            assert_true(seen[t].topic == NULL || seen[t].offset <= r.pos.offset);
            seen[t].topic = r.pos.topic;
            seen[t].offset = r.pos.offset;
            if (rc == KD_OK) {
                assert_int_equal(kd_record_check(&r, INT64_C(1800000000000), &err), KD_OK);
                assert_true(r.ts != KD_MS_NONE);
                assert_true(r.type != KD_CATALOG || r.n_tags == 0 || r.tags[0].n > 0);
            } else {
                assert_int_equal(err.rc, KD_EDATA);
                assert_int_not_equal(err.reason, KD_REASON_NONE);
                assert_true(err.msg[0] != '\0');
                assert_non_null(r.raw_value);
            }
        }
        assert_int_equal(rc, KD_END);
        s->kind->close(s);
    }
}

/* Records handed out since the last release() keep their bytes until the next one, however many
 * there are and whatever is read beside; what comes out does not depend on when release() is
 * called. */
static void memory_until_release(void **state)
{
    (void)state;
    enum { HELD_MAX = 700 };
    const uint64_t seed = 77;
    print_message("seed %llu\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    for (size_t i = 0; i < N_SOURCES; i++) {
        kd_buf first = {0};
        static const int pauses[] = {0, 1, 2, 7, 512, -1};
        for (size_t k = 0; k < sizeof pauses / sizeof *pauses; k++) {
            kd_source *s = started(i);
            kd_record *held = calloc(HELD_MAX, sizeof *held);
            kd_rc *rcs = calloc(HELD_MAX, sizeof *rcs);
            assert_non_null(held);
            assert_non_null(rcs);
            kd_buf now = {0}, later = {0};
            size_t n = 0, until = 1;
            kd_rc rc = KD_OK;
            while (rc == KD_OK || rc == KD_EDATA) {
                rc = s->kind->next(s, &held[n], NULL);
                if (rc == KD_OK || rc == KD_EDATA) {
                    print(&held[n], rc, &now);
                    rcs[n++] = rc;
                }
                bool due = pauses[k] > 0 ? n == (size_t)pauses[k] : pauses[k] < 0 && n >= until;
                if (due || n == HELD_MAX || rc == KD_END) {
                    for (size_t h = 0; h < n; h++)
                        print(&held[h], rcs[h], &later);
                    if (pauses[k] != 0)
                        s->kind->release(s);
                    n = 0;
                    until = 1 + (size_t)kd_rng_below(&rng, 40);
                }
            }
            assert_int_equal(rc, KD_END);
            assert_true(kd_str_eq(kd_buf_str(&now), kd_buf_str(&later)));
            if (k == 0)
                first = now;
            else
                assert_true(kd_str_eq(kd_buf_str(&now), kd_buf_str(&first)));
            if (k != 0)
                kd_buf_dispose(&now);
            kd_buf_dispose(&later);
            free(held);
            free(rcs);
            s->kind->close(s);
        }
        kd_buf_dispose(&first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_callbacks),
        cmocka_unit_test(end_is_for_ever),
        cmocka_unit_test(what_comes_out),
        cmocka_unit_test(memory_until_release),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
