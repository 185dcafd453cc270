/* The public data sets beside the project, where they are: every row in exactly one count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "files.h"

static const char *map_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/consumers/maps/%s.yaml", KD_SOURCE_DIR, name);
    return path;
}

/* Reads to the end; what came out of next() must agree with what the source counted. */
static void read_through(kd_source *s, kd_file_counts *out)
{
    kd_record r;
    kd_err err = {0};
    kd_rc rc;
    int64_t n = 0, seen[KD_RECORD_TYPES] = {0}, cancelled = 0, bad = 0;
    while ((rc = s->kind->next(s, &r, &err)) == KD_OK || rc == KD_EDATA) {
        if (rc == KD_OK) {
            seen[r.type]++;
            cancelled += r.action == KD_CANCELLED;
        }
        bad += rc == KD_EDATA;
        if (++n % 512 == 0)
            s->kind->release(s);
    }
    if (rc != KD_END)
        fail_msg("%s", err.msg);
    kd_file_source_counts(s, out);
    s->kind->close(s);
    assert_int_equal(out->browse, seen[KD_BROWSE]);
    assert_int_equal(out->paid + out->cancelled, seen[KD_PURCHASE]);
    assert_int_equal(out->cancelled, cancelled);
    assert_int_equal(out->catalog, seen[KD_CATALOG]);
    assert_int_equal(out->bad, bad);
    assert_int_equal(out->rows, out->browse + out->paid + out->cancelled + out->forget + out->bad +
                                    out->ignored + out->catalog_rows);
    print_message(
        "rows %lld: browse %lld, paid %lld, cancelled %lld, dead letters %lld (no shopper "
        "%lld), ignored %lld, catalogue only %lld; catalogue records %lld\n",
        (long long)out->rows, (long long)out->browse, (long long)out->paid,
        (long long)out->cancelled, (long long)out->bad,
        (long long)out->bad_by_reason[KD_REASON_NO_SHOPPER], (long long)out->ignored,
        (long long)out->catalog_rows, (long long)out->catalog);
}

static void online_retail(void **state)
{
    (void)state;
    const char *data = files_data("online_retail.csv.gz");
    if (data == NULL)
        skip();
    kd_file_counts c;
    read_through(files_open1(map_path("online_retail"), data), &c);
    assert_int_equal(c.rows, 541909);
    assert_int_equal(c.paid, 397924);
    assert_int_equal(c.cancelled, 8905);
    assert_int_equal(c.bad, 135080);
    assert_int_equal(c.bad_by_reason[KD_REASON_NO_SHOPPER], 135080);
    assert_int_equal(c.ignored, 0);
    assert_true(c.catalog > 3000 && c.catalog < 10000);
}

/* The same with the mapping's option the other way: what were dead letters is ignored. */
static void online_retail_ignoring(void **state)
{
    (void)state;
    const char *data = files_data("online_retail.csv.gz");
    if (data == NULL)
        skip();
    kd_buf map = {0};
    FILE *f = fopen(map_path("online_retail"), "r");
    assert_non_null(f);
    map.n = fread(kd_buf_room(&map, 16384), 1, 16383, f);
    fclose(f);
    kd_buf_addc(&map, '\0');
    char *at = strstr(map.p, "no_shopper: dead-letter");
    assert_non_null(at);
    memcpy(at, "no_shopper: ignore     ", 23);
    kd_file_counts c;
    read_through(files_open1(files_write("ignore.yaml", map.p), data), &c);
    kd_buf_dispose(&map);
    assert_int_equal(c.rows, 541909);
    assert_int_equal(c.paid, 397924);
    assert_int_equal(c.cancelled, 8905);
    assert_int_equal(c.bad, 0);
    assert_int_equal(c.ignored, 135080);
}

static void retailrocket(void **state)
{
    (void)state;
    const char *data = files_data("retailrocket.csv.gz");
    if (data == NULL)
        skip();
    kd_file_counts c;
    read_through(files_open1(map_path("retailrocket"), data), &c);
    assert_int_equal(c.rows, 97381);
    assert_int_equal(c.browse, 75374 + 12456);
    assert_int_equal(c.paid, 9551);
    assert_int_equal(c.bad, 0);
}

static void complete_journey(void **state)
{
    (void)state;
    if (files_data("complete_journey_products.csv.gz") == NULL)
        skip();
    char products[512];
    snprintf(products, sizeof products, "%s", files_data("complete_journey_products.csv.gz"));
    const char *paths[2] = {products, files_data("complete_journey_transactions.csv.gz")};
    kd_file_counts c;
    read_through(files_open(map_path("complete_journey"), paths, 2), &c);
    assert_int_equal(c.rows, 92331 + 1469307);
    assert_int_equal(c.paid, 1469307);
    assert_int_equal(c.catalog_rows, 92331);
}

static void rsc15(void **state)
{
    (void)state;
    const char *data = files_data("rsc15_100k/train.tsv.gz");
    if (data == NULL)
        skip();
    kd_file_counts c;
    read_through(files_open1(map_path("rsc15"), data), &c);
    assert_int_equal(c.rows, 70278);
    assert_int_equal(c.browse, 70278);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(online_retail), cmocka_unit_test(online_retail_ignoring),
        cmocka_unit_test(retailrocket),  cmocka_unit_test(complete_journey),
        cmocka_unit_test(rsc15),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
