/* The rules that every record obeys, and deep copies. */
#include "support.h"

#include <math.h>

static const kd_ms now = KD_MS_2000 + 1000 * KD_MS_DAY;

static kd_record valid(kd_record_type type)
{
    kd_record r;
    kd_record_init(&r, type);
    r.item_id = kd_str_of("i");
    r.user_id = kd_str_of("u");
    r.time = now;
    return r;
}

static void assert_reason(const kd_record *r, kd_reason reason, const char *words)
{
    kd_err err = {0};
    kd_rc rc = kd_record_check(r, now, &err);
    if (rc != KD_EDATA || err.reason != reason || strstr(err.msg, words) == NULL)
        fail_msg("%s %s: %s", kd_rc_name(rc), kd_reason_text(err.reason), err.msg);
}

static void test_valid(void **state)
{
    (void)state;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        kd_record r = valid((kd_record_type)t);
        kd_err err;
        if (kd_record_check(&r, now, &err) != KD_OK)
            fail_msg("%s", err.msg);
        r.time = KD_MS_2000;
        assert_int_equal(kd_record_check(&r, now, NULL), KD_OK);
    }
}

static void test_ids(void **state)
{
    (void)state;
    char text[KD_ID_MAX + 1];
    memset(text, 'a', sizeof text);
    kd_record r = valid(KD_BROWSE);
    r.item_id = (kd_str){text, KD_ID_MAX};
    assert_int_equal(kd_record_check(&r, now, NULL), KD_OK);
    r.item_id.n++;
    assert_reason(&r, KD_REASON_ID, "513");
    r.item_id = KD_STR_NULL;
    assert_reason(&r, KD_REASON_ID, "item_id is missing");
    r.item_id = (kd_str){"", 0};
    assert_reason(&r, KD_REASON_ID, "item_id is empty");
    r = valid(KD_BROWSE);
    r.session_id = (kd_str){"", 0};
    assert_reason(&r, KD_REASON_ID, "session_id");
    r = valid(KD_PURCHASE);
    r.order_id = (kd_str){"\xc3", 1};
    assert_reason(&r, KD_REASON_UTF8, "order_id");
    r = valid(KD_FORGET);
    r.user_id = KD_STR_NULL;
    assert_reason(&r, KD_REASON_ID, "shopper_id is missing");
    r = valid(KD_CATALOG);
    kd_str tag = {"\xed\xa0\x80", 3}; /* a surrogate */
    r.tags = &tag;
    r.n_tags = 1;
    assert_reason(&r, KD_REASON_UTF8, "tags");
}

static void test_times_and_numbers(void **state)
{
    (void)state;
    kd_record r = valid(KD_BROWSE);
    r.time = KD_MS_2000 - 1;
    assert_reason(&r, KD_REASON_TIME, "time 1999-12-31T23:59:59.999Z is before 2000-01-01");
    r.time = now + 1;
    assert_reason(&r, KD_REASON_TIME,
                  "time 2002-09-27T00:00:00.001Z is later than 2002-09-27T00:00:00.000Z");
    r.time = KD_MS_2000 / 1000 + 5;
    assert_reason(&r, KD_REASON_TIME, "these seem to be seconds");
    r.time = KD_MS_NONE;
    assert_reason(&r, KD_REASON_TIME, "before");
    r = valid(KD_PURCHASE);
    r.price = (double)NAN;
    assert_reason(&r, KD_REASON_NUMBER, "NaN");
    r.price = (double)INFINITY;
    assert_reason(&r, KD_REASON_NUMBER, "infinite");
    r = valid(KD_PURCHASE);
    r.quantity = -1;
    assert_reason(&r, KD_REASON_NUMBER, "quantity");
    r = valid(KD_PURCHASE);
    r.action = KD_VIEW;
    assert_reason(&r, KD_REASON_FIELD, "status");
    r = valid(KD_BROWSE);
    r.action = KD_PAID;
    assert_reason(&r, KD_REASON_FIELD, "action");
}

static void test_copy(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_arena *a = kd_arena_new(0), *b = kd_arena_new(0);
    for (int i = 0; i < 400; i++) {
        kd_record r, copy, expected;
        kd_err err;
        rand_record(&rng, a, (kd_record_type)(i % KD_RECORD_TYPES), &r);
        r.ts = i;
        r.raw_value = &r;
        assert_int_equal(kd_record_copy(&r, b, &copy, &err), KD_OK);
        assert_int_equal(kd_record_copy(&r, b, &expected, &err), KD_OK);
        kd_arena_reset(a); /* the copy must not lean on it */
        assert_same_record(&copy, &expected);
        assert_true(copy.ts == i && copy.raw_value == NULL);
        kd_arena_reset(b);
    }
    kd_arena_free(a);
    kd_arena *tiny = kd_arena_new(16);
    kd_record r = valid(KD_BROWSE), out = valid(KD_CATALOG);
    assert_int_equal(kd_record_copy(&r, tiny, &out, NULL), KD_ENOMEM);
    assert_int_equal(out.type, KD_CATALOG);
    kd_arena_free(tiny);
    kd_arena_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_times_and_numbers),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
