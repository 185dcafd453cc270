/* JSON lines: round trips, defaults, and what is refused with which reason and words. */
#include "support.h"

#include <float.h>
#include <math.h>

static void test_round_trip(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_arena *a = kd_arena_new(0);
    for (int i = 0; i < 2000; i++) {
        kd_arena_reset(a);
        kd_record r, back;
        kd_buf out = {0};
        kd_err err;
        rand_record(&rng, a, (kd_record_type)(i % KD_RECORD_TYPES), &r);
        kd_json_event_print(&r, &out);
        kd_record_init(&back, KD_FORGET);
        if (kd_json_event_parse(out.p, out.n, a, &back, &err) != KD_OK)
            fail_msg("%.*s: %s", (int)out.n, out.p, err.msg);
        assert_same_record(&r, &back);
        assert_null(memchr(out.p, '\n', out.n));
        kd_buf_dispose(&out);
    }
    kd_arena_free(a);
}

static void test_defaults_and_times(void **state)
{
    (void)state;
    kd_arena *a = kd_arena_new(0);
    kd_record r;
    kd_err err;
    kd_record_init(&r, KD_BROWSE);
    r.ts = 77;
    r.pos = (kd_pos){"file.jsonl", 0, 5};
    const char *line = "{\"type\":\"PurchaseEvent\",\"item_id\":\"i\",\"status\":\"PAID\","
                       "\"time\":\"2010-12-01T08:26:00Z\",\"unheard_of\":{\"a\":[1,2.5,null]}}";
    assert_int_equal(kd_json_event_parse(line, strlen(line), a, &r, &err), KD_OK);
    assert_int_equal(r.type, KD_PURCHASE);
    assert_int_equal(r.quantity, 1);
    assert_true(r.price < 0);
    assert_null(r.user_id.p);
    assert_true(r.time == INT64_C(1291191960000));
    assert_true(r.ts == 77 && r.pos.offset == 5); /* as the caller left them */
    line = "{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1291191960000,\"title\":null}";
    assert_int_equal(kd_json_event_parse(line, strlen(line), a, &r, &err), KD_OK);
    assert_true(r.available && !r.removed && r.n_tags == 0 && r.title.p == NULL);
    line = "{\"type\":\"CatalogItem\",\"item_id\":\"\\u65e5\\ud83d\\ude00\",\"time\":1,"
           "\"price\":3,\"tags\":[\"x\",\"\"]}";
    assert_int_equal(kd_json_event_parse(line, strlen(line), a, &r, &err), KD_OK);
    assert_true(kd_str_eq(r.item_id, kd_str_of("日😀")));
    assert_true(r.price == 3.0 && r.n_tags == 2 && r.tags[1].p != NULL && r.tags[1].n == 0);
    kd_arena_free(a);
}

static const struct {
    const char *line;
    kd_reason reason;
    const char *words; /* that the message has */
} bad[] = {
    {"", KD_REASON_DECODE, "column"},
    {"{\"type\":", KD_REASON_DECODE, "column"},
    {"{\"type\":\"BrowseEvent\"} x", KD_REASON_DECODE, "column 24"},
    {"[1]", KD_REASON_DECODE, "an array"},
    {"{\"type\":\"\xff\"}", KD_REASON_UTF8, "column"},
    {"{}", KD_REASON_FIELD, "type is missing"},
    {"{\"type\":3}", KD_REASON_FIELD, "an integer"},
    {"{\"type\":\"Browse\"}", KD_REASON_FIELD, "\"Browse\" is none of BrowseEvent"},
    {"{\"type\":\"BrowseEvent\",\"action\":\"VIEW\",\"time\":1}", KD_REASON_FIELD,
     "item_id is missing"},
    {"{\"type\":\"BrowseEvent\",\"item_id\":null,\"action\":\"VIEW\",\"time\":1}", KD_REASON_FIELD,
     "item_id is null where a string belongs"},
    {"{\"type\":\"BrowseEvent\",\"item_id\":7,\"action\":\"VIEW\",\"time\":1}", KD_REASON_FIELD,
     "item_id is an integer where a string"},
    {"{\"type\":\"BrowseEvent\",\"item_id\":\"i\",\"action\":\"PAID\",\"time\":1}", KD_REASON_FIELD,
     "VIEW, CART, LIKE"},
    {"{\"type\":\"BrowseEvent\",\"item_id\":\"i\",\"action\":\"VIEW\",\"time\":1.5}",
     KD_REASON_FIELD, "time is a number where an integer"},
    {"{\"type\":\"BrowseEvent\",\"item_id\":\"i\",\"action\":\"VIEW\",\"time\":\"soon\"}",
     KD_REASON_TIME, ""},
    {"{\"type\":\"BrowseEvent\",\"item_id\":\"i\",\"action\":\"VIEW\",\"time\":1,\"dwell_ms\":-1}",
     KD_REASON_NUMBER, "negative"},
    {"{\"type\":\"BrowseEvent\",\"item_id\":\"i\",\"action\":\"VIEW\",\"time\":1,\"user_id\":[]}",
     KD_REASON_FIELD, "a string or null belongs"},
    {"{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"price\":-0.5}", KD_REASON_NUMBER,
     "negative"},
    {"{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"price\":NaN}", KD_REASON_NUMBER, ""},
    {"{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"price\":1e999}", KD_REASON_NUMBER,
     ""},
    {"{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"price\":\"1\"}", KD_REASON_FIELD,
     "a number or null"},
    {"{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"tags\":[1]}", KD_REASON_FIELD,
     "tags[0]"},
    {"{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"tags\":\"a\"}", KD_REASON_FIELD,
     "array of strings"},
    {"{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"available\":1}", KD_REASON_FIELD,
     "true or false"},
    {"{\"type\":\"ForgetRequest\",\"time\":1}", KD_REASON_FIELD, "shopper_id is missing"},
};

static void test_refusals(void **state)
{
    (void)state;
    kd_arena *a = kd_arena_new(0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kd_record r, before;
        kd_err err = {0};
        kd_record_init(&r, KD_FORGET);
        before = r;
        kd_rc rc = kd_json_event_parse(bad[i].line, strlen(bad[i].line), a, &r, &err);
        if (rc != KD_EDATA || err.reason != bad[i].reason || !strstr(err.msg, bad[i].words))
            fail_msg("%s: %s %s \"%s\"", bad[i].line, kd_rc_name(rc), kd_reason_text(err.reason),
                     err.msg);
        assert_memory_equal(&r, &before, sizeof r);
        assert_null(strchr(err.msg, '\n'));
        assert_true(kd_utf8_valid(err.msg, strlen(err.msg)));
    }
    kd_arena_free(a);
}

static void test_numbers_read_back(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    const double special[] = {
        0.0,  -0.0, 1.0,     -1.0,    0.1,          1.0 / 3, 1e15, 1e15 - 1, 123456789012345.0,
        1e16, 1e22, DBL_MIN, DBL_MAX, DBL_TRUE_MIN, 2.5};
    for (int i = 0; i < 20000; i++) {
        double x;
        uint64_t bits = kd_rng_next(&rng);
        if ((size_t)i < sizeof special / sizeof special[0])
            x = special[i];
        else
            memcpy(&x, &bits, sizeof x);
        if (!isfinite(x))
            continue;
        kd_buf out = {0};
        char wanted[40];
        kd_json_real(&out, x);
        kd_buf_addc(&out, '\0');
        double back = strtod(out.p, NULL);
        assert_memory_equal(&back, &x, sizeof x);
        snprintf(wanted, sizeof wanted, "%.17g", x);
        assert_string_equal(out.p, wanted);
        kd_buf_dispose(&out);
    }
    const int64_t longs[] = {0, -1, INT64_MIN, INT64_MAX, 1000, -1000};
    for (size_t i = 0; i < sizeof longs / sizeof longs[0]; i++) {
        kd_buf out = {0};
        kd_json_int(&out, longs[i]);
        kd_buf_addc(&out, '\0');
        assert_true(strtoll(out.p, NULL, 10) == longs[i]);
        kd_buf_dispose(&out);
    }
}

static void assert_json(kd_buf *out, const char *wanted)
{
    kd_buf_addc(out, '\0');
    assert_string_equal(out->p, wanted);
    kd_buf_clear(out);
}

static void test_pieces(void **state)
{
    (void)state;
    kd_buf out = {0};
    kd_json_bytes(&out, NULL, 0);
    assert_json(&out, "null");
    kd_json_bytes(&out, "", 0);
    assert_json(&out, "\"\"");
    kd_json_bytes(&out, "a\"b", 3);
    assert_json(&out, "\"a\\\"b\"");
    kd_json_bytes(&out, "\xff", 1);
    assert_json(&out, "{\"base64\":\"/w==\"}");
    kd_json_bytes(&out, "\0\1", 2);
    assert_json(&out, "{\"base64\":\"AAE=\"}");
    kd_json_bytes(&out, "\xfe\xfe\xfe", 3);
    assert_json(&out, "{\"base64\":\"/v7+\"}");
    kd_json_real(&out, NAN);
    assert_json(&out, "null");
    kd_json_str(&out, kd_str_of("a\xff"
                                "b"));
    assert_json(&out, "\"a\xEF\xBF\xBD"
                      "b\"");
    kd_out o = {.type = KD_OUT_FORGOTTEN, .forgotten = kd_str_of("u1")};
    kd_json_out_print(&o, &out);
    assert_json(&out, "{\"shopper_id\":\"u1\",\"forgotten\":true}");
    kd_buf_dispose(&out);
}

static void test_update_text(void **state)
{
    (void)state;
    kd_str ids[] = {{"i9", 2}};
    kd_why why = {KD_KIND_YOUR_ITEM, 1, ids, 3};
    kd_item item = {.item_id = {"i1", 2},
                    .score = 0.1,
                    .n_reasons = 1,
                    .has = 1u << KD_PART_USERCF,
                    .parts = {[KD_PART_USERCF] = 0.1},
                    .reasons = &why};
    kd_update u = {.shopper_id = {"u1", 2},
                   .time = 5,
                   .state_time = 6,
                   .trigger = {"browse", 2, 7},
                   .items = &item,
                   .n_items = 1};
    kd_out o = {.type = KD_OUT_UPDATE, .update = &u};
    kd_buf out = {0};
    kd_json_out_print(&o, &out);
    assert_json(&out, "{\"shopper_id\":\"u1\",\"time\":5,\"state_time\":6,\"trigger\":{\"topic\":"
                      "\"browse\",\"partition\":2,\"offset\":7,\"event_id\":null},\"items\":[{"
                      "\"item_id\":\"i1\",\"score\":0.10000000000000001,\"parts\":{\"usercf\":"
                      "0.10000000000000001,\"together\":null,\"content\":null,"
                      "\"popularity\":null,\"rule\":null,\"diversity\":null},\"reasons\":[{"
                      "\"kind\":\"YOUR_ITEM\",\"ids\":[\"i9\"],"
                      "\"count\":3}]}]}");
    kd_buf_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_defaults_and_times),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_numbers_read_back),
        cmocka_unit_test(test_pieces),     cmocka_unit_test(test_update_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
