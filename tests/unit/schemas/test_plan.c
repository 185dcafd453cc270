/* Schema resolution: writers older, newer and stranger than ours; and hostile bytes.
 *
 * Avro-C writes the random values of the writers' schemas, so what is read here was not written by
 * the code under test. */
#include "support.h"

#include <avro.h>
#include <math.h>

#include "schemas/avro.h"
#include "schemas/plan.h"
#include "schemas/walk.h"

typedef struct fixture {
    kd_avsc *writer, *reader;
    kd_plan *plan;
    kd_arena *a;
    kd_buf bytes;
} fixture;

static kd_avsc *parse(const char *text)
{
    kd_avsc *s = NULL;
    kd_err err;
    if (kd_avsc_parse(text, strlen(text), &s, &err) != KD_OK)
        fail_msg("%s: %s", text, err.msg);
    return s;
}

static kd_rc open_with(fixture *f, const char *writer, const char *reader, kd_record_type type,
                       kd_err *err)
{
    *f = (fixture){.writer = parse(writer), .reader = parse(reader), .a = kd_arena_new(0)};
    return kd_plan_compile(kd_avsc_root(f->writer), kd_avsc_nodes(f->writer),
                           kd_avsc_root(f->reader), type, &f->plan, err);
}

static kd_rc open_plan(fixture *f, const char *writer, kd_record_type type, kd_err *err)
{
    return open_with(f, writer, kd_schema_text((kd_schema_id)type), type, err);
}

static void close_plan(fixture *f)
{
    kd_plan_free(f->plan);
    kd_avsc_free(f->writer);
    kd_avsc_free(f->reader);
    kd_arena_free(f->a);
    kd_buf_dispose(&f->bytes);
}

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

/* ---- random evolution: Avro-C writes by a random variation of our schema ---- */

typedef struct variant {
    kd_buf text;
    bool has[KD_FIELDS_MAX];
} variant;

static const char *extra_types[] = {"\"null\"",
                                    "\"boolean\"",
                                    "\"int\"",
                                    "\"long\"",
                                    "\"float\"",
                                    "\"double\"",
                                    "\"bytes\"",
                                    "\"string\"",
                                    "{\"type\":\"array\",\"items\":\"long\"}",
                                    "{\"type\":\"map\",\"values\":\"string\"}",
                                    "[\"null\",\"string\",\"double\"]"};

static void put_field_type(kd_buf *out, const kd_field *f, const kd_avro_node *ours, kd_rng *rng)
{
    const char *inner = NULL;
    char text[256];
    switch (f->kind) {
    case KD_FIELD_STRING:
        inner = kd_rng_chance(rng, 0.2) ? "\"bytes\"" : "\"string\"";
        break;
    case KD_FIELD_TIME:
    case KD_FIELD_LONG:
        inner = kd_rng_chance(rng, 0.2) ? "\"int\"" : "\"long\"";
        break;
    case KD_FIELD_DOUBLE: {
        static const char *const numbers[] = {"\"int\"", "\"long\"", "\"float\"", "\"double\""};
        inner = numbers[kd_rng_below(rng, 4)];
        break;
    }
    case KD_FIELD_BOOL:
        inner = "\"boolean\"";
        break;
    case KD_FIELD_ENUM:
        snprintf(text, sizeof text,
                 "{\"type\":\"enum\",\"name\":\"%s\",\"symbols\":[\"%s\",\"%s\"]}", ours->name,
                 f->symbols[1].name, f->symbols[0].name);
        inner = text;
        break;
    case KD_FIELD_TAGS:
        inner = "{\"type\":\"array\",\"items\":\"string\"}";
        break;
    }
    switch (f->is_nullable ? kd_rng_below(rng, 4) : 3) {
    case 0:
        kd_buf_addf(out, "[\"null\",%s]", inner);
        break;
    case 1:
        kd_buf_addf(out, "[%s,\"null\"]", inner);
        break;
    case 2:
        kd_buf_adds(out, "\"null\"");
        break;
    default:
        kd_buf_adds(out, inner);
    }
}

static void rand_variant(kd_rng *rng, kd_record_type type, const kd_avro_node *ours, variant *v)
{
    size_t n, order[KD_FIELDS_MAX];
    const kd_field *fields = kd_fields(type, &n);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    kd_rng_shuffle(rng, order, n, sizeof order[0]);
    *v = (variant){0};
    kd_buf_addf(&v->text, "{\"type\":\"record\",\"name\":\"other.%s\",\"fields\":[",
                kd_record_type_name(type));
    bool is_first = true;
    for (size_t i = 0; i < n; i++) {
        const kd_field *f = &fields[order[i]];
        if (kd_rng_chance(rng, 0.3))
            kd_buf_addf(&v->text, "%s{\"name\":\"extra%zu\",\"type\":%s}", is_first ? "" : ",", i,
                        extra_types[kd_rng_below(rng, sizeof extra_types / sizeof *extra_types)]);
        else if (i == 0)
            kd_buf_adds(&v->text, "{\"name\":\"first\",\"type\":\"int\"}");
        is_first = is_first && v->text.p[v->text.n - 1] == '[';
        if (f->is_optional && kd_rng_chance(rng, 0.3))
            continue;
        v->has[order[i]] = true;
        kd_buf_addf(&v->text, "%s{\"name\":\"%s\",\"type\":", is_first ? "" : ",", f->name);
        const kd_avro_node *node = ours->fields[order[i]].type;
        put_field_type(&v->text, f, node, rng);
        kd_buf_addc(&v->text, '}');
        is_first = false;
    }
    kd_buf_adds(&v->text, "]}");
    kd_buf_addc(&v->text, '\0');
    v->text.n--;
}

/* Fills any Avro-C value at random; small numbers, so that every promotion is exact. */
static void rand_value(kd_rng *rng, avro_value_t *v)
{
    avro_value_t kid;
    size_t n;
    switch (avro_value_get_type(v)) {
    case AVRO_NULL:
        avro_value_set_null(v);
        return;
    case AVRO_BOOLEAN:
        avro_value_set_boolean(v, (int)kd_rng_below(rng, 2));
        return;
    case AVRO_INT32:
        avro_value_set_int(v, (int32_t)kd_rng_below(rng, 100000));
        return;
    case AVRO_INT64:
        avro_value_set_long(v, (int64_t)kd_rng_below(rng, 1000000));
        return;
    case AVRO_FLOAT:
        avro_value_set_float(v, (float)kd_rng_below(rng, 1000) / 8);
        return;
    case AVRO_DOUBLE:
        avro_value_set_double(v, kd_rng_real(rng) * 100);
        return;
    case AVRO_BYTES: {
        char text[] = "bytes?";
        text[5] = (char)('0' + kd_rng_below(rng, 10));
        avro_value_set_bytes(v, text, strlen(text));
        return;
    }
    case AVRO_STRING: {
        char text[] = "str?";
        text[3] = (char)('0' + kd_rng_below(rng, 10));
        avro_value_set_string(v, text);
        return;
    }
    case AVRO_ENUM:
        avro_value_set_enum(v, (int)kd_rng_below(rng, 2));
        return;
    case AVRO_ARRAY:
        for (size_t i = kd_rng_below(rng, 4); i > 0; i--) {
            avro_value_append(v, &kid, NULL);
            rand_value(rng, &kid);
        }
        return;
    case AVRO_MAP:
        for (size_t i = kd_rng_below(rng, 4); i > 0; i--) {
            char key[] = {(char)('a' + i), '\0'};
            avro_value_add(v, key, &kid, NULL, NULL);
            rand_value(rng, &kid);
        }
        return;
    case AVRO_UNION: {
        avro_schema_t schema = avro_value_get_schema(v);
        int branch = (int)kd_rng_below(rng, avro_schema_union_size(schema));
        avro_value_set_branch(v, branch, &kid);
        rand_value(rng, &kid);
        return;
    }
    default:
        avro_value_get_size(v, &n);
        for (size_t i = 0; i < n; i++) {
            avro_value_get_by_index(v, i, &kid, NULL);
            rand_value(rng, &kid);
        }
    }
}

static double number_of(avro_value_t *v)
{
    int32_t i;
    int64_t l;
    float f;
    double d;
    if (avro_value_get_int(v, &i) == 0)
        return i;
    if (avro_value_get_long(v, &l) == 0)
        return (double)l;
    if (avro_value_get_float(v, &f) == 0)
        return (double)f;
    assert_int_equal(avro_value_get_double(v, &d), 0);
    return d;
}

static kd_str text_of(avro_value_t *v)
{
    const char *z;
    const void *p;
    size_t n;
    if (avro_value_get_type(v) == AVRO_BYTES) {
        avro_value_get_bytes(v, &p, &n);
        return (kd_str){p, (uint32_t)n};
    }
    assert_int_equal(avro_value_get_string(v, &z, &n), 0);
    return (kd_str){z, (uint32_t)n - 1};
}

/* The dumb resolution of one field: what is there, as we would have it. */
static void expect_field(const kd_field *f, avro_value_t *v, kd_arena *a, kd_record *r)
{
    void *at = (char *)r + f->offset;
    avro_value_t x = *v;
    if (avro_value_get_type(&x) == AVRO_UNION)
        avro_value_get_current_branch(v, &x);
    if (avro_value_get_type(&x) == AVRO_NULL)
        return; /* init has null already */
    int i;
    size_t n;
    switch (f->kind) {
    case KD_FIELD_STRING:
        *(kd_str *)at = text_of(&x);
        break;
    case KD_FIELD_TIME:
    case KD_FIELD_LONG:
        *(int64_t *)at = (int64_t)number_of(&x);
        break;
    case KD_FIELD_DOUBLE:
        *(double *)at = number_of(&x);
        break;
    case KD_FIELD_BOOL:
        avro_value_get_boolean(&x, &i);
        *(bool *)at = i != 0;
        break;
    case KD_FIELD_ENUM:
        avro_value_get_enum(&x, &i);
        *(kd_action *)at = f->symbols[1 - i].action;
        break;
    case KD_FIELD_TAGS: {
        avro_value_get_size(&x, &n);
        kd_str *tags = kd_arena_calloc(a, n, sizeof *tags);
        for (size_t k = 0; k < n; k++) {
            avro_value_t tag;
            avro_value_get_by_index(&x, k, &tag, NULL);
            tags[k] = text_of(&tag);
        }
        r->tags = tags;
        r->n_tags = (uint32_t)n;
        break;
    }
    }
}

static void test_random_evolution(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    char *bytes = malloc(1 << 16);
    for (int i = 0; i < 2000; i++) {
        kd_record_type type = (kd_record_type)(i % KD_RECORD_TYPES);
        kd_avsc *ours = parse(kd_schema_text((kd_schema_id)type));
        variant v;
        rand_variant(&rng, type, kd_avsc_root(ours), &v);
        fixture f;
        kd_err err;
        if (open_plan(&f, v.text.p, type, &err) != KD_OK)
            fail_msg("%s: %s", v.text.p, err.msg);
        avro_schema_t theirs;
        if (avro_schema_from_json_length(v.text.p, v.text.n, &theirs) != 0)
            fail_msg("%s: %s", v.text.p, avro_strerror());
        avro_value_iface_t *iface = avro_generic_class_from_schema(theirs);
        for (int k = 0; k < 5; k++) {
            avro_value_t value;
            avro_generic_value_new(iface, &value);
            rand_value(&rng, &value);
            avro_writer_t w = avro_writer_memory(bytes, 1 << 16);
            assert_int_equal(avro_value_write(w, &value), 0);
            kd_record expected, got;
            kd_record_init(&expected, type);
            size_t n;
            const kd_field *fields = kd_fields(type, &n);
            for (size_t x = 0; x < n; x++) {
                avro_value_t field;
                if (!v.has[x])
                    continue;
                avro_value_get_by_name(&value, fields[x].name, &field, NULL);
                expect_field(&fields[x], &field, f.a, &expected);
            }
            kd_record_init(&got, KD_FORGET);
            if (kd_plan_decode_all(f.plan, bytes, (size_t)avro_writer_tell(w), &got, f.a, &err) !=
                KD_OK)
                fail_msg("%s: %s", v.text.p, err.msg);
            assert_same_record(&expected, &got);
            avro_writer_free(w);
            avro_value_decref(&value);
        }
        avro_value_iface_decref(iface);
        avro_schema_decref(theirs);
        kd_buf_dispose(&v.text);
        kd_avsc_free(ours);
        close_plan(&f);
    }
    free(bytes);
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
        cmocka_unit_test(test_random_evolution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
