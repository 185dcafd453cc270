/* The mapping language: what each key does, and where a wrong one is said to stand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "consumers/csv_map.h"
#include "files.h"

#define RECORDS "records:\n  - type: BrowseEvent\n    fields:\n"
#define VIEW    "      item_id: item\n      user_id: user\n      action: {constant: VIEW}\n"
#define TIME    "      time: {column: t, format: unix}\n"

static void refused(const char *map, const char *where, const char *part)
{
    const char *path = files_write("m.yaml", map);
    kd_csv_maps *m = NULL;
    kd_err err = {0};
    kd_rc rc = kd_csv_maps_load(path, &m, &err);
    char at[600];
    snprintf(at, sizeof at, "%s:%s", path, where);
    if (rc != KD_ECONFIG || strstr(err.msg, part) == NULL || strcmp(err.where, at) != 0)
        fail_msg("%s\n%s %s: %s (want %s: ...%s...)", map, kd_rc_name(rc), err.where, err.msg,
                 where, part);
}

static void wrong_mappings(void **state)
{
    (void)state;
    refused("recods: []\n", "1:1", "\"records\"");
    refused("records: []\n", "1:10", "records must list");
    refused("delimiter: \",,\"\n" RECORDS VIEW TIME, "1:12", "one ASCII character");
    refused("quote: \",\"\n" RECORDS VIEW TIME, "1:8", "the same");
    refused("no_shopper: drop\n" RECORDS VIEW TIME, "1:13", "dead-letter or ignore");
    refused("records:\n  - type: BrowsEvent\n    fields: {}\n", "2:11", "did you mean BrowseEvent");
    refused(RECORDS VIEW, "4:7", "a BrowseEvent needs time");
    refused(RECORDS VIEW TIME "      prise: p\n", "8:7", "no \"prise\" here");
    refused(RECORDS VIEW TIME "      dwel_ms: p\n", "8:7", "\"dwell_ms\"");
    refused(RECORDS VIEW "      time: {column: t, format: \"%Y-%q\"}\n", "7:33", "%q");
    refused(RECORDS VIEW "      time: {column: t, zone: Mars}\n", "7:31", "zone \"Mars\"");
    refused(RECORDS VIEW "      time: {constant: yesterday}\n", "7:24", "not a time");
    refused(RECORDS VIEW "      time: {colum: t}\n", "7:14", "\"column\"");
    refused(RECORDS VIEW "      time: {format: iso}\n", "7:13", "one of column");
    refused(RECORDS "      item_id: {column: i, format: iso}\n" TIME, "4:28", "format is for time");
    refused(RECORDS "      item_id: {column: i, split: \"|\"}\n" TIME, "4:28", "split is for tags");
    refused(RECORDS "      item_id: i\n      action: {constant: VEIW}\n" TIME, "5:26",
            "did you mean VIEW");
    refused(RECORDS "      item_id: i\n      action: {column: e, values: {v: BUY}}\n" TIME, "5:39",
            "VIEW, LIKE, CART");
    refused(
        "records:\n  - type: BrowseEvent\n    when: {column: a, equal: b}\n    fields:\n" VIEW TIME,
        "3:23", "\"equals\"");
    refused("records:\n  - type: BrowseEvent\n    when: {column: a}\n    fields:\n" VIEW TIME,
            "3:11", "one test");
    refused(
        "records:\n  - type: BrowseEvent\n    when: {column: a, more_than: x}\n    fields:\n" VIEW
            TIME,
        "3:34", "a number");
    refused("records:\n  - type: BrowseEvent\n    cancelled_when: {column: a, empty: true}\n    "
            "fields:\n" VIEW TIME,
            "3:5", "PurchaseEvent");
    refused("header: false\n" RECORDS VIEW TIME, "5:16", "whole number");
    refused("maps: 3\n", "1:7", "maps must list");
}

static void wrong_columns(void **state)
{
    (void)state;
    const char *map = files_write("m.yaml", RECORDS VIEW TIME);
    const char *csv = files_write("e.csv", "t,Item,user\n1430000000,a,b\n");
    kd_file_source_options o = {
        .paths = &csv, .n_paths = 1, .map_path = map, .latest = INT64_C(4102444800000)};
    kd_source *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_file_source_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_ECONFIG);
    assert_non_null(strstr(err.where, "m.yaml:4:16"));
    assert_non_null(strstr(err.msg, "e.csv has no column \"item\"; did you mean \"Item\"?"));
    s->kind->close(s);
    o.map_path = NULL;
    assert_int_equal(kd_file_source_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "needs a column mapping"));
    s->kind->close(s);
}

static void values(void **state)
{
    (void)state;
    const char *map = files_write(
        "m.yaml", "decimal: \",\"\ndelimiter: \";\"\nrecords:\n"
                  "  - type: PurchaseEvent\n"
                  "    when:\n      - {column: kind, in: [buy, back]}\n"
                  "    cancelled_when: {column: kind, equals: back}\n"
                  "    fields:\n"
                  "      user_id: {column: user, strip_suffix: \".0\", add_prefix: \"u-\", "
                  "null_words: [\"-\", none]}\n"
                  "      session_id: {column: s}\n"
                  "      item_id: {columns: [item, size]}\n"
                  "      price: {column: price, strip_prefix: \"EUR \"}\n"
                  "      quantity: {column: n, default: \"3\", absolute: true}\n"
                  "      time: {column: t, format: \"%d.%m.%Y %H:%M\", zone: \"+02:00\"}\n"
                  "  - type: BrowseEvent\n"
                  "    when: {column: kind, not_in: [buy, back, gone]}\n"
                  "    fields:\n"
                  "      session_id: s\n"
                  "      item_id: {column: item, keep_blanks: true}\n"
                  "      action: {column: kind, values: {look: VIEW, basket: CART}}\n"
                  "      dwell_ms: n\n"
                  "      time: {column: t, format: \"%d.%m.%Y %H:%M\"}\n");
    const char *csv = files_write("v.csv", "kind;user;s;item;size;price;n;t\n"
                                           "buy;17850.0;; i1 ;XL;EUR 2,55;-4;1.12.2010 10:26\n"
                                           "back; - ;s1;i1;;0,10;;1.12.2010 10:26\n"
                                           "look;;s1; i 2 ;;;;1.12.2010 8:26\n"
                                           "basket;;s1;i2;;;90,0;1.12.2010 8:26\n"
                                           "gone;;;;;;;\n"
                                           "what;;s1;i2;;;;1.12.2010 8:26\n"
                                           "look;;s1;i2;;;1,5;1.12.2010 8:26\n"
                                           "buy;none;;i2;;;;1.12.2010 8:26\n"
                                           "buy;7;;i2;;EUR -1;;1.12.2010 8:26\n"
                                           "buy;7;;i2;;1.5;;1.12.2010 8:26\n"
                                           "buy;7;;;;;;1.12.2010 8:26\n"
                                           "buy;7;;i2;;;;31.02.2010 8:26\n"
                                           "buy;7;;i2;;;;31.12.1999 8:26\n");
    files_expect(
        files_open1(map, csv),
        "v.csv@0 "
        "{\"type\":\"PurchaseEvent\",\"event_id\":null,\"order_id\":null,\"user_id\":\"u-17850\","
        "\"session_id\":null,\"item_id\":\"i1 XL\",\"quantity\":4,\"price\":2.5499999999999998,"
        "\"currency\":null,\"status\":\"PAID\",\"time\":1291191960000}\n"
        "v.csv@1 {\"type\":\"PurchaseEvent\",\"event_id\":null,\"order_id\":null,\"user_id\":null,"
        "\"session_id\":\"s1\",\"item_id\":\"i1\",\"quantity\":3,\"price\":0.10000000000000001,"
        "\"currency\":null,\"status\":\"CANCELLED\",\"time\":1291191960000}\n"
        "v.csv@2 "
        "{\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":null,\"session_id\":\"s1\","
        "\"item_id\":\" i 2 \",\"action\":\"VIEW\",\"time\":1291191960000,\"dwell_ms\":null}\n"
        "v.csv@3 "
        "{\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":null,\"session_id\":\"s1\","
        "\"item_id\":\"i2\",\"action\":\"CART\",\"time\":1291191960000,\"dwell_ms\":90}\n"
        "v.csv@5 BAD field v.csv:7 [what;;s1;i2;;;;1.12.2010 8:26]\n"
        "v.csv@6 BAD number v.csv:8 [look;;s1;i2;;;1,5;1.12.2010 8:]\n"
        "v.csv@7 BAD no-shopper v.csv:9 [buy;none;;i2;;;;1.12.2010 8:26]\n"
        "v.csv@8 BAD number v.csv:10 [buy;7;;i2;;EUR -1;;1.12.2010 8]\n"
        "v.csv@9 BAD number v.csv:11 [buy;7;;i2;;1.5;;1.12.2010 8:26]\n"
        "v.csv@10 BAD id v.csv:12 [buy;7;;;;;;1.12.2010 8:26]\n"
        "v.csv@11 BAD time v.csv:13 [buy;7;;i2;;;;31.02.2010 8:26]\n"
        "v.csv@12 BAD time v.csv:14 [buy;7;;i2;;;;31.12.1999 8:26]\n"
        "END\n");
}

static void catalogue(void **state)
{
    (void)state;
    const char *map = files_write(
        "m.yaml", "no_shopper: ignore\nrecords:\n"
                  "  - type: CatalogItem\n    when: {column: title, empty: false}\n    fields:\n"
                  "      item_id: i\n      title: title\n      price: p\n"
                  "      tags: {column: tags, split: \"|\"}\n      removed: gone\n"
                  "      time: {column: t, format: unix}\n"
                  "  - type: PurchaseEvent\n    fields:\n      item_id: i\n      user_id: u\n"
                  "      time: {column: t, format: unix}\n");
    const char *csv = files_write("c.csv.gz", "t,i,title,p,tags,gone,u\n"
                                              "1430000000,i1,\"a \"\"b\"\"\",1,x| y ||z,,u1\n"
                                              "1430000001,i1,\"a \"\"b\"\"\",2,x| y ||z,,u1\n"
                                              "1430000002,i1,a b,2,x| y ||z,no,\n"
                                              "1430000003,i1,a b,2,x|y|z,0,\n"
                                              "1430000004,i1,a b,2,,true,\n"
                                              "1430000005,i1,,2,,maybe,\n"
                                              "1430000006,i2,\xff,2,,,u1\n"
                                              "1430000007,i2,ok,2,,maybe,u1\n"
                                              "1430000008,i1,new,2,,,\xff\n"
                                              "1430000009,i1,new,2,,,u1\n");
    kd_source *s = files_open1(map, csv);
    kd_buf got = {0};
    files_read_all(s, &got, 1);
    kd_buf_addc(&got, '\0');
#define CAT   "{\"type\":\"CatalogItem\",\"item_id\":\"i1\",\"title\":"
#define NULLS ",\"description\":null,\"category\":null,\"brand\":null,\"price\":"
#define PAID                                                                                       \
    "{\"type\":\"PurchaseEvent\",\"event_id\":null,\"order_id\":null,\"user_id\":\"u1\","          \
    "\"session_id\":null,\"item_id\":\"i1\",\"quantity\":1,\"price\":null,\"currency\":null,"      \
    "\"status\":\"PAID\",\"time\":"
    assert_string_equal(got.p, "c.csv.gz@0 " CAT "\"a \\\"b\\\"\"" NULLS
                               "1,\"tags\":[\"x\",\"y\",\"z\"],\"available\":true,"
                               "\"time\":1430000000000,\"removed\":false}\n"
                               "c.csv.gz@0 " PAID "1430000000000}\n"
                               "c.csv.gz@1 " PAID "1430000001000}\n"
                               "c.csv.gz@2 " CAT "\"a b\"" NULLS
                               "2,\"tags\":[\"x\",\"y\",\"z\"],\"available\":true,"
                               "\"time\":1430000002000,\"removed\":false}\n"
                               "c.csv.gz@4 " CAT "\"a b\"" NULLS "2,\"tags\":[],\"available\":true,"
                               "\"time\":1430000004000,\"removed\":true}\n"
                               "c.csv.gz@6 BAD utf8 c.csv.gz:8 [1430000006,i2,\xff,2,,,u1]\n"
                               "c.csv.gz@7 BAD field c.csv.gz:9 [1430000007,i2,ok,2,,maybe,u1]\n"
                               "c.csv.gz@8 BAD utf8 c.csv.gz:10 [1430000008,i1,new,2,,,\xff]\n"
                               "c.csv.gz@9 " CAT "\"new\"" NULLS "2,\"tags\":[],\"available\":true,"
                               "\"time\":1430000009000,\"removed\":false}\n"
                               "c.csv.gz@9 " PAID "1430000009000}\n"
                               "END\n");
    kd_file_counts c;
    kd_file_source_counts(s, &c);
    assert_int_equal(c.rows, 10);
    assert_int_equal(c.paid, 3);
    assert_int_equal(c.bad, 3);
    assert_int_equal(c.ignored, 4);
    assert_int_equal(c.catalog, 4);
    assert_int_equal(c.catalog_rows, 0);
    kd_buf_dispose(&got);
    s->kind->close(s);
}

static void several_maps_and_no_header(void **state)
{
    (void)state;
    const char *map = files_write("m.yaml", "maps:\n"
                                            "  - files: \"*forget*\"\n    header: false\n"
                                            "    quote: none\n    otherwise: dead-letter\n"
                                            "    records:\n      - type: ForgetRequest\n"
                                            "        when: {column: 1, starts_with: [u, v]}\n"
                                            "        fields: {shopper_id: 1, time: 3}\n"
                                            "  - files: \"*.csv\"\n    records:\n"
                                            "      - type: BrowseEvent\n"
                                            "        fields: {item_id: i, user_id: u, time: t,"
                                            " action: {constant: LIKE}}\n");
    const char *paths[2];
    paths[0] = files_write("forget.tsv", "u\"1\tx\t2015-01-02\nw\tx\t2015-01-03\nu3\tx\n");
    paths[1] = files_write("e.csv", "\xEF\xBB\xBFi,u,t\na,b,2015-01-01\n");
    files_expect(files_open(map, paths, 2),
                 "e.csv@0 {\"type\":\"BrowseEvent\",\"event_id\":null,\"user_id\":\"b\","
                 "\"session_id\":null,\"item_id\":\"a\",\"action\":\"LIKE\",\"time\":1420070400000,"
                 "\"dwell_ms\":null}\n"
                 "forget.tsv@0 {\"type\":\"ForgetRequest\",\"request_id\":null,"
                 "\"shopper_id\":\"u\\\"1\",\"time\":1420156800000}\n"
                 "forget.tsv@1 BAD ignored forget.tsv:2 [w\tx\t2015-01-03]\n"
                 "forget.tsv@2 BAD decode forget.tsv:3 [u3\tx]\n"
                 "END\n");
}

static void numbers_against_strtod(void **state)
{
    (void)state;
    const uint64_t seed = 99;
    print_message("seed %llu\n", (unsigned long long)seed);
    kd_rng r;
    kd_rng_init(&r, seed);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        double x = ldexp(kd_rng_real(&r), (int)kd_rng_between(&r, -80, 80));
        if (i % 4 == 0)
            snprintf(text, sizeof text, "%.17g", x);
        else if (i % 4 == 1)
            snprintf(text, sizeof text, "-%.2f", kd_rng_real(&r) * 10000);
        else if (i % 4 == 2)
            snprintf(text, sizeof text, "%.3e", x);
        else
            snprintf(text, sizeof text, "%llu", (unsigned long long)kd_rng_next(&r));
        double got = 0;
        assert_true(kd_csv_number(kd_str_of(text), '.', &got));
        if (got != strtod(text, NULL))
            fail_msg("%s reads as %.17g", text, got);
    }
    static const char *const bad[] = {"",   ".",  "-",   "1e",    "1e+", "0x1",  "inf", "nan",
                                      " 1", "1 ", "1,5", "1.2.3", "--1", "1e5x", "e5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double x = 0;
        if (kd_csv_number(kd_str_of(bad[i]), '.', &x))
            fail_msg("\"%s\" is taken for %g", bad[i], x);
    }
}

static void shipped_maps_load(void **state)
{
    (void)state;
    static const char *const names[] = {"online_retail", "retailrocket", "complete_journey",
                                        "rsc15"};
    for (size_t i = 0; i < 4; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/consumers/maps/%s.yaml", KD_SOURCE_DIR, names[i]);
        kd_csv_maps *m = NULL;
        kd_err err = {0};
        if (kd_csv_maps_load(path, &m, &err) != KD_OK)
            fail_msg("%s: %s", err.where, err.msg);
        kd_csv_maps_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_mappings),
        cmocka_unit_test(wrong_columns),
        cmocka_unit_test(values),
        cmocka_unit_test(catalogue),
        cmocka_unit_test(several_maps_and_no_header),
        cmocka_unit_test(numbers_against_strtod),
        cmocka_unit_test(shipped_maps_load),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
