/* The sinks that need no broker: what they write, that a full one loses and doubles nothing, that
 * the digest knows order, that a table keeps its columns whatever the titles are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "schemas/avro.h"
#include "schemas/container.h"
#include "sinks/sinks.h"

static kd_item item_of(const char *id, double score, kd_part part)
{
    kd_item it = {.item_id = kd_str_of(id), .score = score, .has = 1u << part};
    it.parts[part] = score;
    return it;
}

static kd_update update_of(const kd_item *items, uint32_t n, int64_t offset)
{
    return (kd_update){.shopper_id = kd_str_of("u1"),
                       .time = 1700000000000,
                       .state_time = 1700000001000,
                       .trigger = {"t", 0, offset},
                       .items = items,
                       .n_items = n};
}

static void put(kd_sink *s, const kd_update *u, kd_rc want)
{
    kd_err err = {0};
    kd_out out = {.type = KD_OUT_UPDATE, .update = u};
    assert_int_equal(s->kind->write(s, &out, &err), want);
}

static char *slurp(const char *path)
{
    static char text[8192];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static const char *temp_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/kindred-sink-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return path;
}

static void test_jsonl_takes_what_it_is_for(void **unused)
{
    (void)unused;
    const char *path = temp_path();
    kd_sink *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_jsonl_sink_new(path, KD_TAKE_UPDATES, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_OK);
    kd_item items[] = {item_of("i1", 0.1, KD_PART_USERCF)};
    kd_update u = update_of(items, 1, 7);
    put(s, &u, KD_OK);
    kd_dead_letter d = {.pos = {"t", 0, 8}, .reason = KD_REASON_UTF8, .message = "no"};
    kd_out letter = {.type = KD_OUT_DEAD_LETTER, .dead_letter = &d};
    assert_int_equal(s->kind->write(s, &letter, &err), KD_OK);
    assert_int_equal(s->written, 2);
    assert_true(s->kind->acked(s) <= 2);
    assert_int_equal(s->kind->flush(s, 1000, &err), KD_OK);
    assert_int_equal(s->kind->acked(s), 2);
    s->kind->close(s);
    assert_string_equal(
        slurp(path),
        "{\"shopper_id\":\"u1\",\"time\":1700000000000,\"state_time\":1700000001000,\"trigger\":{"
        "\"topic\":\"t\",\"partition\":0,\"offset\":7,\"event_id\":null},\"items\":[{\"item_id\":"
        "\"i1\","
        "\"score\":0.10000000000000001,\"parts\":{\"usercf\":0.10000000000000001,"
        "\"together\":null,\"content\":null,\"popularity\":null,\"rule\":null,\"diversity\":null},"
        "\"reasons\":[]}]}"
        "\n");
    unlink(path);
}

static void test_a_path_that_cannot_be_written(void **unused)
{
    (void)unused;
    kd_sink *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_jsonl_sink_new("/nowhere/at/all.jsonl", KD_TAKE_UPDATES, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_EIO);
    assert_non_null(strstr(err.msg, "/nowhere/at/all.jsonl"));
    s->kind->close(s);
    assert_int_equal(kd_container_sink_new("/nowhere/x.avro", KD_OUT_UPDATE, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_EIO);
    s->kind->close(s);
}

static void test_container_begins_as_one(void **unused)
{
    (void)unused;
    const char *path = temp_path();
    kd_sink *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_container_sink_new(path, KD_OUT_UPDATE, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_OK);
    kd_update u = update_of(NULL, 0, 1);
    put(s, &u, KD_OK);
    assert_int_equal(s->kind->flush(s, 1000, &err), KD_OK);
    s->kind->close(s);
    assert_memory_equal(slurp(path), "Obj\x01", 4);
    unlink(path);
}

static kd_digest digest_of(const int64_t *offsets, size_t n)
{
    kd_sink *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_digest_sink_new(&s, &err), KD_OK);
    for (size_t k = 0; k < n; k++) {
        kd_update u = update_of(NULL, 0, offsets[k]);
        put(s, &u, KD_OK);
    }
    kd_digest d = kd_digest_sink_value(s);
    assert_int_equal(kd_digest_sink_updates(s), n);
    s->kind->close(s);
    return d;
}

static void test_digest_knows_order_and_content(void **unused)
{
    (void)unused;
    const int64_t a[] = {1, 2, 3}, b[] = {1, 3, 2}, c[] = {1, 2};
    assert_true(kd_digest_eq(digest_of(a, 3), digest_of(a, 3)));
    assert_false(kd_digest_eq(digest_of(a, 3), digest_of(b, 3)));
    assert_false(kd_digest_eq(digest_of(a, 3), digest_of(c, 2)));
}

/* One of three is full now and then: each gets every output once, in order. */
static void test_tee_with_a_full_sink(void **unused)
{
    (void)unused;
    kd_err err = {0};
    kd_sink *three[3] = {NULL}, *tee = NULL;
    for (int k = 0; k < 3; k++)
        assert_int_equal(kd_memory_sink_new(&three[k], &err), KD_OK);
    assert_int_equal(kd_tee_sink_new(three, 3, &tee, &err), KD_OK);
    assert_int_equal(tee->kind->start(tee, &err), KD_OK);
    for (int64_t offset = 0; offset < 50; offset++) {
        kd_update u = update_of(NULL, 0, offset);
        if (offset % 3 == 0)
            kd_memory_sink_refuse(three[offset % 2 + 1], 1, (uint64_t)(offset % 4), KD_AGAIN);
        kd_out out = {.type = KD_OUT_UPDATE, .update = &u};
        kd_rc rc;
        int tries = 0;
        while ((rc = tee->kind->write(tee, &out, &err)) == KD_AGAIN)
            assert_true(++tries < 10);
        assert_int_equal(rc, KD_OK);
    }
    assert_int_equal(tee->written, 50);
    assert_int_equal(tee->kind->acked(tee), 50);
    kd_str a = kd_memory_sink_text(three[0]);
    for (int k = 1; k < 3; k++)
        assert_true(kd_str_eq(a, kd_memory_sink_text(three[k])));
    tee->kind->close(tee);
}

static void test_columns(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        uint32_t columns;
    } rows[] = {{"", 0},
                {"abc", 3},
                {"\xE4\xB8\xAD\xE6\x96\x87", 4},
                {"e\xCC\x81", 1},
                {"\xF0\x9F\x98\x80", 2},
                {"\xFF\xFE", 2},
                {"\xEF\xBC\xA1", 2}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        assert_int_equal(kd_terminal_columns(rows[k].text, strlen(rows[k].text)), rows[k].columns);
}

static kd_str title_of(void *arg, kd_str item)
{
    (void)item;
    return kd_str_of(arg);
}

/* No title breaks the table: control characters do not reach the terminal, no row is wider than
 * asked. */
static void test_rows_keep_their_width(void **unused)
{
    (void)unused;
    static char titles[][64] = {
        "plain",           "中文中文中文中文中文中文中文中文",
        "a\x1b[2Jb\nc\rd", "\xE2\x80\xAEright to left",
        "\xFF\xFF\xFF",    "a title that is far too long for its column on any terminal"};
    kd_item items[] = {item_of("i1", 123.456, KD_PART_USERCF),
                       item_of("i2", 0.5, KD_PART_POPULARITY), item_of("i3", 0.25, KD_PART_USERCF)};
    for (size_t k = 0; k < sizeof titles / sizeof *titles; k++) {
        for (uint32_t width = 60; width <= 140; width += 20) {
            kd_terminal_options o = {.width = width, .title_of = title_of, .title_arg = titles[k]};
            kd_buf row = {0};
            kd_update u = update_of(items, 3, 1);
            kd_terminal_row(&o, &u, &row);
            assert_int_equal(row.p[row.n - 1], '\n');
            assert_true(kd_terminal_columns(row.p, row.n - 1) <= width);
            for (size_t b = 0; b + 1 < row.n; b++)
                assert_true((unsigned char)row.p[b] >= 0x20);
            kd_buf_dispose(&row);
        }
    }
}

/* Reasons go through Avro and come out as sentences, in both languages; unknown kinds show, and
 * what is no kind is refused. */
static void test_why(void **unused)
{
    (void)unused;
    kd_str own = kd_str_of("lamp\x1b[2J"), terms[] = {kd_str_of("oak"), kd_str_of("\xE7\x81\xAF")};
    kd_why why[] = {{KD_KIND_SIMILAR_SHOPPERS, 1, &own, 4},
                    {KD_KIND_SIMILAR_SHOPPERS, 0, NULL, 1},
                    {KD_KIND_TOGETHER, 1, &own, 1},
                    {KD_KIND_YOUR_ITEM, 1, &own, -1},
                    {KD_KIND_MATCHED_TERMS, 2, terms, -1},
                    {KD_KIND_POPULAR, 0, NULL, 87},
                    {KD_KIND_OTHER, 0, NULL, -1}};
    kd_item items[] = {item_of("i1", 1.5, KD_PART_USERCF), item_of("i2", 0.5, KD_PART_CONTENT)};
    items[0].reasons = why;
    items[0].n_reasons = sizeof why / sizeof *why;
    kd_update u = update_of(items, 2, 1), back;
    kd_buf avro = {0}, text = {0};
    kd_arena *a = kd_arena_new(0);
    kd_update_encode(&u, &avro);
    assert_int_equal(kd_update_decode(avro.p, avro.n, a, &back, NULL), KD_OK);
    assert_int_equal(back.items[0].n_reasons, items[0].n_reasons);
    assert_int_equal(back.items[1].n_reasons, 0);
    why[6].kind = KD_KINDS; /* no symbol of the schema */
    kd_update unknown;
    kd_buf_clear(&text);
    kd_update_encode(&u, &text);
    assert_int_equal(kd_update_decode(text.p, text.n, a, &unknown, NULL), KD_EDATA);
    kd_buf_clear(&text);
    kd_terminal_options o = {.has_why = true, .width = 400};
    kd_terminal_why(&o, &back, &text);
    kd_buf_addc(&text, '\0');
    assert_string_equal(text.p, "     1. i1: 4 shoppers who have lamp [2J like you have it; "
                                "1 shopper similar to you has it; "
                                "1 shopper took it together with your lamp [2J; "
                                "it resembles your lamp [2J; both say oak, \xE7\x81\xAF; "
                                "87 shoppers have it; OTHER\n"
                                "     2. i2: content 0.5\n");
    kd_buf_clear(&text);
    o.language = KD_WHY_CHINESE;
    kd_terminal_why(&o, &back, &text);
    kd_buf_addc(&text, '\0');
    assert_non_null(strstr(text.p, "4 位和您一样选了“lamp [2J”的顾客也选了它；"));
    assert_non_null(strstr(text.p, "都提到“oak”、“\xE7\x81\xAF”；共有 87 位顾客选了它"));
    assert_non_null(strstr(text.p, "\n     2. i2：内容相似 0.5\n"));
    for (int language = 0; language < 2; language++) /* of any width, none is wider */
        for (o.width = 60; o.width <= 200; o.width += 10) {
            kd_buf_clear(&text);
            o.language = (kd_why_language)language;
            kd_terminal_why(&o, &back, &text);
            for (size_t at = 0, n; at < text.n; at += n + 1) {
                n = (size_t)((char *)memchr(text.p + at, '\n', text.n - at) - (text.p + at));
                if (kd_terminal_columns(text.p + at, n) > o.width)
                    fail_msg("of %u columns: %.*s", o.width, (int)n, text.p + at);
            }
        }
    kd_buf_dispose(&avro);
    kd_buf_dispose(&text);
    kd_arena_free(a);
}

/* Needs go through Avro and come out as a line, in both languages, safe for a terminal. */
static void test_needs(void **unused)
{
    (void)unused;
    kd_need terms[] = {{kd_str_of("lamp\x1b[2J"), 0.5},
                       {kd_str_of("oak"), 0.25},
                       {kd_str_of("c"), 0},
                       {kd_str_of("d"), 0},
                       {kd_str_of("e"), 0},
                       {kd_str_of("f"), 0}};
    kd_need category = {kd_str_of("home > lamps"), 0.4}, brand = {kd_str_of("acme"), 0.2};
    kd_needs x = {kd_str_of("ann"), 1700000000000, 2, terms, &category, &brand, 6, 1, 1}, back;
    kd_out out = {.type = KD_OUT_NEEDS, .needs = &x};
    kd_buf avro = {0}, text = {0};
    kd_arena *a = kd_arena_new(0);
    kd_out_encode(&out, &avro);
    assert_int_equal(kd_needs_decode(avro.p, avro.n, a, &back, NULL), KD_OK);
    for (size_t n = 0; n < avro.n; n++)
        assert_int_equal(kd_needs_decode(avro.p, n, a, &back, NULL), KD_EDATA);
    assert_int_equal(kd_needs_decode(avro.p, avro.n, a, &back, NULL), KD_OK);
    kd_terminal_options o = {.language = KD_WHY_ENGLISH};
    kd_terminal_needs(&o, &back, &text);
    kd_buf_addc(&text, '\0');
    assert_string_equal(text.p,
                        "11-14 22:13  ann looks for lamp [2J 0.50, oak 0.25, c 0.00, d 0.00, "
                        "e 0.00;\n        category home > lamps 0.40; brand acme 0.20 (from 2 "
                        "products)\n");
    kd_buf_clear(&text);
    o.language = KD_WHY_CHINESE;
    back.n_terms = 1;
    back.products = 1;
    kd_terminal_needs(&o, &back, &text);
    kd_buf_addc(&text, '\0');
    assert_string_equal(text.p, "11-14 22:13  ann 在找：lamp [2J 0.50；类目：home > lamps 0.40；"
                                "品牌：acme 0.20（依据 1 件商品）\n");
    kd_buf_clear(&text);
    back.n_terms = back.n_categories = back.n_brands = 0;
    kd_terminal_needs(&o, &back, &text);
    kd_buf_addc(&text, '\0');
    assert_string_equal(text.p, "11-14 22:13  ann 还没有可描述的需求\n");
    kd_buf_dispose(&avro);
    kd_buf_dispose(&text);
    kd_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl_takes_what_it_is_for),
        cmocka_unit_test(test_a_path_that_cannot_be_written),
        cmocka_unit_test(test_container_begins_as_one),
        cmocka_unit_test(test_digest_knows_order_and_content),
        cmocka_unit_test(test_tee_with_a_full_sink),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_rows_keep_their_width),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
