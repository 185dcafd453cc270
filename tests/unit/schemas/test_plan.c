/* Schema resolution: writers older, newer and stranger than ours; and hostile bytes. */
#include "plan_fixture.h"

#include <math.h>

#include "schemas/walk.h"

static void put_long(fixture *f, int64_t x)
{
    uint64_t z = ((uint64_t)x << 1) ^ (uint64_t)(x >> 63);
    for (; z >= 0x80; z >>= 7)
        kd_buf_addc(&f->bytes, (char)(z | 0x80));
    kd_buf_addc(&f->bytes, (char)z);
}

static void put_str(fixture *f, const char *z)
{
    put_long(f, (int64_t)strlen(z));
    kd_buf_adds(&f->bytes, z);
}

static void put_raw(fixture *f, const void *p, size_t n)
{
    kd_buf_add(&f->bytes, p, n);
}

static kd_rc decode(fixture *f, kd_record *r, kd_err *err)
{
    kd_record_init(r, KD_FORGET);
    return kd_plan_decode_all(f->plan, f->bytes.p, f->bytes.n, r, f->a, err);
}

static void must_decode(fixture *f, kd_record *r)
{
    kd_err err;
    if (decode(f, r, &err) != KD_OK)
        fail_msg("%s", err.msg);
}

static void must_refuse(fixture *f, kd_reason reason, const char *words)
{
    kd_record r;
    kd_err err = {0};
    kd_rc rc = decode(f, &r, &err);
    if (rc != KD_EDATA || err.reason != reason || strstr(err.msg, words) == NULL)
        fail_msg("%s %s: %s", kd_rc_name(rc), kd_reason_text(err.reason), err.msg);
}

#define BROWSE(fields) "{\"type\":\"record\",\"name\":\"BrowseEvent\",\"fields\":[" fields "]}"
#define ITEM           "{\"name\":\"item_id\",\"type\":\"string\"}"
#define TIME           "{\"name\":\"time\",\"type\":\"long\"}"
#define ACTION                                                                                     \
    "{\"name\":\"action\",\"type\":{\"type\":\"enum\",\"name\":\"Action\",\"symbols\":[\"VIEW\","  \
    "\"CART\",\"LIKE\"]}}"
#define CATALOG(fields)                                                                            \
    "{\"type\":\"record\",\"name\":\"CatalogItem\",\"fields\":[" ITEM "," TIME fields "]}"

/* An old writer: only what has no default, in another order, without our namespace. */
static void test_missing_and_reordered(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    assert_int_equal(open_plan(&f, BROWSE(TIME "," ACTION "," ITEM), KD_BROWSE, NULL), KD_OK);
    put_long(&f, 123);
    put_long(&f, 2);
    put_str(&f, "item");
    must_decode(&f, &r);
    assert_int_equal(r.type, KD_BROWSE);
    assert_true(r.time == 123 && r.action == KD_LIKE && kd_str_eq(r.item_id, kd_str_of("item")));
    assert_true(r.user_id.p == NULL && r.dwell_ms == -1);
    close_plan(&f);
    assert_int_equal(open_plan(&f, CATALOG(""), KD_CATALOG, NULL), KD_OK);
    put_str(&f, "i");
    put_long(&f, 5);
    must_decode(&f, &r);
    assert_true(r.available && !r.removed && r.n_tags == 0 && r.price < 0);
    close_plan(&f);
}

/* A new writer: extra fields of every type, before, between and after ours. */
static void test_extra_fields(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    assert_int_equal(
        open_plan(&f,
                  BROWSE("{\"name\":\"x1\",\"type\":{\"type\":\"map\",\"values\":{\"type\":"
                         "\"array\",\"items\":\"string\"}}}," ITEM
                         ",{\"name\":\"x2\",\"type\":{\"type\":\"record\",\"name\":\"T\","
                         "\"fields\":[{\"name\":\"v\",\"type\":\"float\"},{\"name\":\"kids\","
                         "\"type\":{\"type\":\"array\",\"items\":\"T\"}}]}}," ACTION
                         ",{\"name\":\"x3\",\"type\":[\"null\",\"double\",{\"type\":\"fixed\","
                         "\"name\":\"F\",\"size\":3}]}," TIME
                         ",{\"name\":\"x4\",\"type\":\"bytes\"},{\"name\":\"x5\",\"type\":"
                         "\"boolean\"},{\"name\":\"x6\",\"type\":\"null\"},{\"name\":\"x7\","
                         "\"type\":{\"type\":\"array\",\"items\":\"null\"}}"),
                  KD_BROWSE, NULL),
        KD_OK);
    put_long(&f, 1); /* x1: one entry, in a block without a size */
    put_str(&f, "key");
    put_long(&f, -2); /* its array: two entries in a block with a size */
    put_long(&f, 4);
    put_str(&f, "a");
    put_str(&f, "b");
    put_long(&f, 0);
    put_long(&f, 0);
    put_str(&f, "item");
    put_raw(&f, "\0\0\0\0", 4); /* x2: T{0, [T{0, []}]} */
    put_long(&f, 1);
    put_raw(&f, "\0\0\0\0", 4);
    put_long(&f, 0);
    put_long(&f, 0);
    put_long(&f, 1); /* action */
    put_long(&f, 2); /* x3: the fixed */
    put_raw(&f, "abc", 3);
    put_long(&f, 99); /* time */
    put_str(&f, "bytes");
    put_raw(&f, "\1", 1);
    put_long(&f, INT64_C(1) << 60); /* x7: very many nothings, passed over at once */
    put_long(&f, 0);
    must_decode(&f, &r);
    assert_true(r.time == 99 && r.action == KD_CART && kd_str_eq(r.item_id, kd_str_of("item")));
    close_plan(&f);
}

static void test_promotions(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    const struct {
        const char *type, *bytes;
        size_t n;
        double price;
    } rows[] = {{"int", "\x06", 1, 3.0},
                {"long", "\x80\x80\x80\x80\x80\x01", 6, 17179869184.0},
                {"float", "\0\0\0\x3f", 4, 0.5},
                {"double", "\0\0\0\0\0\0\xe0\x3f", 8, 0.5}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, CATALOG(",{\"name\":\"price\",\"type\":\"%s\"}"), rows[i].type);
        assert_int_equal(open_plan(&f, text, KD_CATALOG, NULL), KD_OK);
        put_str(&f, "i");
        put_long(&f, 5);
        put_raw(&f, rows[i].bytes, rows[i].n);
        must_decode(&f, &r);
        assert_true(r.price == rows[i].price);
        close_plan(&f);
    }
    assert_int_equal(
        open_plan(&f,
                  BROWSE("{\"name\":\"item_id\",\"type\":\"bytes\"}," ACTION
                         ",{\"name\":\"time\",\"type\":\"int\"},{\"name\":\"dwell_ms\","
                         "\"type\":\"int\"}"),
                  KD_BROWSE, NULL),
        KD_OK);
    put_str(&f, "b");
    put_long(&f, 0);
    put_long(&f, INT32_MIN);
    put_long(&f, INT32_MAX);
    must_decode(&f, &r);
    assert_true(kd_str_eq(r.item_id, kd_str_of("b")) && r.time == INT32_MIN &&
                r.dwell_ms == INT32_MAX);
    kd_buf_clear(&f.bytes);
    put_str(&f, "b");
    put_long(&f, 0);
    put_long(&f, INT64_C(1) << 31);
    put_long(&f, 0);
    must_refuse(&f, KD_REASON_DECODE, "time: an int has more than 32 bits");
    kd_buf_clear(&f.bytes);
    put_str(&f, "\xff");
    must_refuse(&f, KD_REASON_UTF8, "item_id");
    close_plan(&f);
}

static void test_unions(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    /* union where we have none; string, then null; a union of three, one of which fits nothing */
    assert_int_equal(
        open_plan(&f,
                  BROWSE("{\"name\":\"item_id\",\"type\":[\"null\",\"string\",\"bytes\"]}," ACTION
                         "," TIME ",{\"name\":\"user_id\",\"type\":[\"string\",\"null\"]},"
                         "{\"name\":\"session_id\",\"type\":[\"int\",\"string\"]},"
                         "{\"name\":\"dwell_ms\",\"type\":[\"null\",\"int\",\"long\"]}"),
                  KD_BROWSE, NULL),
        KD_OK);
    const struct {
        int item, user, session, dwell;
    } rows[] = {{1, 0, 1, 0}, {2, 1, 1, 1}, {1, 1, 1, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kd_buf_clear(&f.bytes);
        put_long(&f, rows[i].item);
        put_str(&f, "it");
        put_long(&f, 0);
        put_long(&f, 8);
        put_long(&f, rows[i].user);
        if (rows[i].user == 0)
            put_str(&f, "us");
        put_long(&f, rows[i].session);
        put_str(&f, "se");
        put_long(&f, rows[i].dwell);
        if (rows[i].dwell > 0)
            put_long(&f, 60);
        must_decode(&f, &r);
        assert_true(kd_str_eq(r.item_id, kd_str_of("it")));
        assert_int_equal(r.user_id.p == NULL, rows[i].user == 1);
        assert_true(kd_str_eq(r.session_id, kd_str_of("se")));
        assert_int_equal(r.dwell_ms, rows[i].dwell == 0 ? -1 : 60);
    }
    kd_buf_clear(&f.bytes);
    put_long(&f, 0);
    must_refuse(&f, KD_REASON_SCHEMA, "item_id is null in the writer's schema and string in ours");
    kd_buf_clear(&f.bytes);
    put_long(&f, 3);
    must_refuse(&f, KD_REASON_DECODE, "no such branch");
    kd_buf_clear(&f.bytes);
    put_long(&f, -1);
    must_refuse(&f, KD_REASON_DECODE, "no such branch");
    close_plan(&f);
}

static void test_union_at_the_root(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    assert_int_equal(
        open_plan(&f, "[\"null\"," BROWSE(ITEM "," ACTION "," TIME) "]", KD_BROWSE, NULL), KD_OK);
    put_long(&f, 1);
    put_str(&f, "i");
    put_long(&f, 0);
    put_long(&f, 7);
    must_decode(&f, &r);
    assert_true(r.time == 7);
    kd_buf_clear(&f.bytes);
    put_long(&f, 0);
    must_refuse(&f, KD_REASON_SCHEMA, "BrowseEvent is read here");
    close_plan(&f);
}

static void test_enums(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    assert_int_equal(open_plan(&f,
                               BROWSE(ITEM "," TIME ",{\"name\":\"action\",\"type\":{\"type\":"
                                           "\"enum\",\"name\":\"x.Action\",\"symbols\":[\"WISH\","
                                           "\"LIKE\",\"VIEW\"]}}"),
                               KD_BROWSE, NULL),
                     KD_OK);
    put_str(&f, "i");
    put_long(&f, 1);
    put_long(&f, 1);
    must_decode(&f, &r);
    assert_int_equal(r.action, KD_LIKE);
    f.bytes.n--;
    put_long(&f, 0);
    must_refuse(&f, KD_REASON_FIELD, "action \"WISH\"");
    f.bytes.n--;
    put_long(&f, 3);
    must_refuse(&f, KD_REASON_DECODE, "no such symbol");
    close_plan(&f);
}

static void test_aliases(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    const char *reader =
        "{\"type\":\"record\",\"name\":\"ForgetRequest\",\"namespace\":\"kindred\",\"aliases\":["
        "\"old.Erase\"],\"fields\":[{\"name\":\"shopper_id\",\"type\":\"string\",\"aliases\":["
        "\"customer\",\"client\"]}," TIME "]}";
    const char *old = "{\"type\":\"record\",\"name\":\"old.Erase\",\"fields\":[" TIME
                      ",{\"name\":\"client\",\"type\":\"string\"}]}";
    assert_int_equal(open_with(&f, old, reader, KD_FORGET, NULL), KD_OK);
    put_long(&f, 4);
    put_str(&f, "u");
    must_decode(&f, &r);
    assert_true(kd_str_eq(r.user_id, kd_str_of("u")));
    close_plan(&f);
    /* where the writer has the name itself, the alias is a field like others */
    const char *both =
        "{\"type\":\"record\",\"name\":\"ForgetRequest\",\"fields\":[{\"name\":"
        "\"client\",\"type\":\"string\"}," TIME ",{\"name\":\"shopper_id\",\"type\":\"string\"}]}";
    assert_int_equal(open_with(&f, both, reader, KD_FORGET, NULL), KD_OK);
    put_str(&f, "no");
    put_long(&f, 4);
    put_str(&f, "yes");
    must_decode(&f, &r);
    assert_true(kd_str_eq(r.user_id, kd_str_of("yes")));
    close_plan(&f);
}

static void test_what_does_not_resolve(void **state)
{
    (void)state;
    const struct {
        const char *writer, *words;
    } rows[] = {
        {"\"string\"", "the writer's schema is string"},
        {"{\"type\":\"record\",\"name\":\"Other\",\"fields\":[" ITEM "," ACTION "," TIME "]}",
         "record Other"},
        {BROWSE(ITEM "," TIME), "action has no default and is not in the writer's"},
        {BROWSE("{\"name\":\"item_id\",\"type\":\"long\"}," ACTION "," TIME),
         "item_id is long in the writer's schema and string in ours"},
        {BROWSE(ITEM "," ACTION ",{\"name\":\"time\",\"type\":\"double\"}"), "time is double"},
        {BROWSE(ITEM "," ACTION "," TIME ",{\"name\":\"user_id\",\"type\":[\"int\",\"long\"]}"),
         "user_id is long in the writer's schema and string or null in ours"},
        {BROWSE(ITEM "," TIME ",{\"name\":\"action\",\"type\":\"string\"}"), "action is string"},
        {BROWSE(ITEM "," TIME ",{\"name\":\"action\",\"type\":{\"type\":\"enum\",\"name\":\"Deed\","
                     "\"symbols\":[\"VIEW\"]}}"),
         "enum Deed"},
        {"[\"null\",\"int\"]", "BrowseEvent is read here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture f;
        kd_err err = {0};
        kd_rc rc = open_plan(&f, rows[i].writer, KD_BROWSE, &err);
        if (rc != KD_EDATA || err.reason != KD_REASON_SCHEMA || !strstr(err.msg, rows[i].words))
            fail_msg("%s: %s %s", rows[i].writer, kd_rc_name(rc), err.msg);
        close_plan(&f);
    }
}

static void test_tags(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    assert_int_equal(open_plan(&f,
                               CATALOG(",{\"name\":\"tags\",\"type\":{\"type\":\"array\","
                                       "\"items\":[\"null\",\"string\"]}}"),
                               KD_CATALOG, NULL),
                     KD_OK);
    put_str(&f, "i");
    put_long(&f, 5);
    const size_t head = f.bytes.n;
    put_long(&f, 1);
    put_long(&f, 1);
    put_str(&f, "a");
    put_long(&f, -1);
    put_long(&f, 3);
    put_long(&f, 1);
    put_str(&f, "b");
    put_long(&f, 0);
    must_decode(&f, &r);
    assert_true(r.n_tags == 2 && kd_str_eq(r.tags[1], kd_str_of("b")));
    const struct {
        int64_t count, size;
        const char *words;
    } bad[] = {{INT64_MAX, 0, "a count is greater"},
               {INT64_MIN, 0, "a count is out of range"},
               {-1, -5, "a block's size"},
               {-1, INT64_MAX, "a block's size"},
               {50, 0, "a count is greater"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        f.bytes.n = head;
        put_long(&f, bad[i].count);
        put_long(&f, bad[i].size);
        put_long(&f, 0);
        must_refuse(&f, KD_REASON_DECODE, bad[i].words);
    }
    f.bytes.n = head;
    put_long(&f, -1);
    put_long(&f, 4); /* it takes three */
    put_long(&f, 1);
    put_str(&f, "a");
    put_long(&f, 0);
    must_refuse(&f, KD_REASON_DECODE, "a block's size is not what its entries take");
    f.bytes.n = head;
    put_long(&f, 1);
    put_long(&f, 0);
    put_long(&f, 0);
    must_refuse(&f, KD_REASON_SCHEMA, "tags is null");
    close_plan(&f);
}

static void test_numbers_that_would_be_null(void **state)
{
    (void)state;
    fixture f;
    kd_record r;
    assert_int_equal(
        open_plan(&f, CATALOG(",{\"name\":\"price\",\"type\":\"double\"}"), KD_CATALOG, NULL),
        KD_OK);
    const double prices[] = {-1.0, -0.001, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        kd_buf_clear(&f.bytes);
        put_str(&f, "i");
        put_long(&f, 5);
        put_raw(&f, &prices[i], 8);
        must_refuse(&f, KD_REASON_NUMBER, "price: the number is negative");
    }
    const double nan = NAN;
    f.bytes.n -= 8;
    put_raw(&f, &nan, 8);
    must_decode(&f, &r); /* kept, so that kd_record_check refuses it by name */
    assert_true(isnan(r.price));
    close_plan(&f);
}

static void test_deep_values_end(void **state)
{
    (void)state;
    fixture f;
    assert_int_equal(open_plan(&f,
                               BROWSE("{\"name\":\"x\",\"type\":{\"type\":\"record\",\"name\":"
                                      "\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\","
                                      "\"L\"]}]}}," ITEM "," ACTION "," TIME),
                               KD_BROWSE, NULL),
                     KD_OK);
    for (int i = 0; i < 1000000; i++)
        kd_buf_addc(&f.bytes, 2);
    must_refuse(&f, KD_REASON_DECODE, "nested too deep");
    close_plan(&f);
    /* a record that holds itself has no finite value */
    assert_int_equal(
        open_plan(&f,
                  BROWSE("{\"name\":\"x\",\"type\":{\"type\":\"record\",\"name\":"
                         "\"L\",\"fields\":[{\"name\":\"next\",\"type\":\"L\"}]}}," ITEM "," ACTION
                         "," TIME),
                  KD_BROWSE, NULL),
        KD_OK);
    put_long(&f, 0);
    must_refuse(&f, KD_REASON_DECODE, "nested too deep");
    close_plan(&f);
}

/* Every cut of a valid message is refused, and so is one more byte. */
static void test_truncated_everywhere(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    for (int i = 0; i < 200; i++) {
        kd_record_type type = (kd_record_type)(i % KD_RECORD_TYPES);
        fixture f;
        kd_record r, back;
        kd_err err;
        assert_int_equal(open_plan(&f, kd_schema_text((kd_schema_id)type), type, NULL), KD_OK);
        rand_record(&rng, f.a, type, &r);
        kd_record_encode(&r, &f.bytes);
        for (size_t n = 0; n < f.bytes.n; n++) {
            char *cut = malloc(n + 1); /* of its own, so that ASan sees a byte too far */
            memcpy(cut, f.bytes.p, n);
            assert_int_equal(kd_plan_decode_all(f.plan, cut, n, &back, f.a, &err), KD_EDATA);
            if (err.reason != KD_REASON_DECODE && err.reason != KD_REASON_UTF8)
                fail_msg("%s", err.msg);
            free(cut);
        }
        kd_buf_addc(&f.bytes, 0);
        must_refuse(&f, KD_REASON_DECODE, "1 bytes are left");
        close_plan(&f);
    }
}

/* Random and mutated bytes: refused or read, never worse; what is read is written and read again.
 */
static void test_hostile_bytes(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    fixture f[KD_RECORD_TYPES];
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        assert_int_equal(open_plan(&f[t], kd_schema_text((kd_schema_id)t), (kd_record_type)t, NULL),
                         KD_OK);
    size_t n_read = 0;
    for (int i = 0; i < 60000; i++) {
        fixture *x = &f[i % KD_RECORD_TYPES];
        kd_record r, again;
        kd_err err;
        kd_buf out = {0};
        kd_arena_reset(x->a);
        kd_buf_clear(&x->bytes);
        if (kd_rng_chance(&rng, 0.3)) {
            size_t n = kd_rng_below(&rng, 64);
            for (size_t k = 0; k < n; k++)
                kd_buf_addc(&x->bytes, (char)kd_rng_next(&rng));
        } else {
            rand_record(&rng, x->a, (kd_record_type)(i % KD_RECORD_TYPES), &r);
            kd_record_encode(&r, &x->bytes);
            for (size_t k = 0; k <= kd_rng_below(&rng, 3); k++)
                x->bytes.p[kd_rng_below(&rng, x->bytes.n)] = (char)kd_rng_next(&rng);
        }
        char *exact = malloc(x->bytes.n + 1);
        memcpy(exact, x->bytes.p == NULL ? "" : x->bytes.p, x->bytes.n);
        kd_rc rc = kd_plan_decode_all(x->plan, exact, x->bytes.n, &r, x->a, &err);
        assert_true(rc == KD_OK || rc == KD_EDATA);
        kd_cursor c = kd_cursor_of(exact, x->bytes.n);
        kd_rc walked = kd_walk_json(kd_avsc_root(x->writer), &c, &out, &err);
        if (rc == KD_OK) {
            n_read++;
            assert_int_equal(walked, KD_OK);
            kd_buf_clear(&out);
            kd_record_encode(&r, &out);
            if (r.price >= 0 || r.price < 0) { /* NaN is written as null */
                assert_int_equal(kd_plan_decode_all(x->plan, out.p, out.n, &again, x->a, &err),
                                 KD_OK);
                assert_same_record(&r, &again);
            }
        }
        kd_buf_dispose(&out);
        free(exact);
    }
    print_message("%zu of 60000 were read\n", n_read);
    assert_true(n_read > 1000);
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        close_plan(&f[t]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_and_reordered),
        cmocka_unit_test(test_extra_fields),
        cmocka_unit_test(test_promotions),
        cmocka_unit_test(test_unions),
        cmocka_unit_test(test_union_at_the_root),
        cmocka_unit_test(test_enums),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_what_does_not_resolve),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_numbers_that_would_be_null),
        cmocka_unit_test(test_deep_values_end),
        cmocka_unit_test(test_truncated_everywhere),
        cmocka_unit_test(test_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
