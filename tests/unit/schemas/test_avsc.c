/* Schemas as texts and trees: the embedded texts, the field table, canonical forms, fingerprints,
 * and what is no schema. */
#include "support.h"

#include "base/gz.h"
#include "schemas/avro.h"
#include "schemas/avsc.h"

static kd_avsc *parse(const char *text)
{
    kd_avsc *s = NULL;
    kd_err err;
    if (kd_avsc_parse(text, strlen(text), &s, &err) != KD_OK)
        fail_msg("%s: %s", text, err.msg);
    return s;
}

static void test_texts_are_the_files(void **state)
{
    (void)state;
    for (int id = 0; id < KD_SCHEMAS; id++) {
        char path[512];
        kd_err err;
        kd_reader *r;
        kd_buf text = {0};
        snprintf(path, sizeof path, "%s/schemas/avro/%s.avsc", KD_SOURCE_DIR,
                 kd_schema_name((kd_schema_id)id));
        assert_int_equal(kd_reader_open(path, &r, &err), KD_OK);
        char chunk[4096];
        size_t n;
        while (kd_reader_read(r, chunk, sizeof chunk, &n, &err) == KD_OK)
            kd_buf_add(&text, chunk, n);
        kd_reader_close(r);
        kd_buf_addc(&text, '\0');
        if (strcmp(text.p, kd_schema_text((kd_schema_id)id)) != 0)
            fail_msg("%s is not what is built in: run cmake -P schemas/embed.cmake", path);
        assert_true(text.n < 4095); /* the longest literal that C promises */
        kd_buf_dispose(&text);
    }
}

static const kd_avro_node *not_null(const kd_avro_node *node, bool *out_nullable)
{
    *out_nullable = node->kind == KD_AVRO_UNION;
    if (!*out_nullable)
        return node;
    assert_int_equal(node->n, 2);
    assert_int_equal(node->branches[0]->kind, KD_AVRO_NULL);
    return node->branches[1];
}

/* What a field is when it is left out, as the schema says it in JSON. */
static void assert_default(const kd_avro_field *f, const kd_field *mine, const kd_record *init)
{
    const void *at = (const char *)init + mine->offset;
    if (f->default_json == NULL)
        return;
    if (mine->is_nullable) {
        assert_string_equal(f->default_json, "null");
        if (mine->kind == KD_FIELD_STRING)
            assert_null(((const kd_str *)at)->p);
        else if (mine->kind == KD_FIELD_LONG)
            assert_true(*(const int64_t *)at < 0);
        else
            assert_true(*(const double *)at < 0);
    } else if (mine->kind == KD_FIELD_LONG) {
        assert_int_equal(strtoll(f->default_json, NULL, 10), *(const int64_t *)at);
    } else if (mine->kind == KD_FIELD_BOOL) {
        assert_string_equal(f->default_json, *(const bool *)at ? "true" : "false");
    } else {
        assert_int_equal(mine->kind, KD_FIELD_TAGS);
        assert_string_equal(f->default_json, "[]");
        assert_int_equal(init->n_tags, 0);
    }
}

static void test_fields_are_the_schemas(void **state)
{
    (void)state;
    static const kd_avro_kind kinds[] = {
        [KD_FIELD_STRING] = KD_AVRO_STRING, [KD_FIELD_TIME] = KD_AVRO_LONG,
        [KD_FIELD_LONG] = KD_AVRO_LONG,     [KD_FIELD_DOUBLE] = KD_AVRO_DOUBLE,
        [KD_FIELD_BOOL] = KD_AVRO_BOOLEAN,  [KD_FIELD_ENUM] = KD_AVRO_ENUM,
        [KD_FIELD_TAGS] = KD_AVRO_ARRAY};
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        kd_avsc *s = parse(kd_schema_text((kd_schema_id)t));
        const kd_avro_node *root = kd_avsc_root(s);
        size_t n;
        const kd_field *fields = kd_fields((kd_record_type)t, &n);
        kd_record init;
        kd_record_init(&init, (kd_record_type)t);
        assert_string_equal(kd_avro_unqualified(root->name),
                            kd_record_type_name((kd_record_type)t));
        assert_int_equal(root->n, n);
        assert_true(n <= KD_FIELDS_MAX);
        for (size_t i = 0; i < n; i++) {
            bool is_nullable;
            const kd_avro_node *node = not_null(root->fields[i].type, &is_nullable);
            assert_string_equal(root->fields[i].name, fields[i].name);
            assert_int_equal(is_nullable, fields[i].is_nullable);
            assert_int_equal(root->fields[i].default_json != NULL, fields[i].is_optional);
            assert_int_equal(node->kind, kinds[fields[i].kind]);
            if (fields[i].kind == KD_FIELD_TIME)
                assert_string_equal(node->logical, "timestamp-millis");
            for (size_t k = 0; node->kind == KD_AVRO_ENUM && k < node->n; k++)
                assert_string_equal(node->symbols[k], fields[i].symbols[k].name);
            assert_default(&root->fields[i], &fields[i], &init);
        }
        kd_avsc_free(s);
    }
}

/* Rows of share/test/data/schema-tests.txt of Apache Avro 1.11.1: schema, canonical form, CRC. */
static const struct {
    const char *schema, *canonical;
    int64_t crc;
} vectors[] = {
    {"\"null\"", "\"null\"", INT64_C(7195948357588979594)},
    {"{\"type\":\"null\"}", "\"null\"", INT64_C(7195948357588979594)},
    {"\"boolean\"", "\"boolean\"", INT64_C(-6970731678124411036)},
    {"\"int\"", "\"int\"", INT64_C(8247732601305521295)},
    {"\"long\"", "\"long\"", INT64_C(-3434872931120570953)},
    {"\"float\"", "\"float\"", INT64_C(5583340709985441680)},
    {"\"double\"", "\"double\"", INT64_C(-8181574048448539266)},
    {"\"bytes\"", "\"bytes\"", INT64_C(5746618253357095269)},
    {"\"string\"", "\"string\"", INT64_C(-8142146995180207161)},
    {"[ \"int\"  ]", "[\"int\"]", INT64_C(-5232228896498058493)},
    {"[ \"int\" , {\"type\":\"boolean\"} ]", "[\"int\",\"boolean\"]", INT64_C(5392556393470105090)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\"}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(-4824392279771201922)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"namespace\":\"x.y\"}",
     "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(5916914534497305771)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"a.b.foo\", \"namespace\":\"x.y\"}",
     "{\"name\":\"a.b.foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(-4616218487480524110)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"doc\":\"Useful info\"}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(-4824392279771201922)},
    {"{\"fields\":[{\"type\":{\"type\":\"boolean\"}, \"name\":\"f1\"}], \"type\":\"record\", "
     "\"name\":\"foo\"}",
     "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"}]}",
     INT64_C(7843277075252814651)},
    {"{\"type\":\"enum\", \"name\":\"foo\", \"symbols\":[\"A1\"]}",
     "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}", INT64_C(-6342190197741309591)},
    {"{\"namespace\":\"x.y.z\", \"type\":\"enum\", \"name\":\"foo\", \"doc\":\"foo bar\", "
     "\"symbols\":[\"A1\", \"A2\"]}",
     "{\"name\":\"x.y.z.foo\",\"type\":\"enum\",\"symbols\":[\"A1\",\"A2\"]}",
     INT64_C(-4448647247586288245)},
    {"{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}",
     "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}", INT64_C(1756455273707447556)},
    {"{ \"items\":{\"type\":\"null\"}, \"type\":\"array\"}",
     "{\"type\":\"array\",\"items\":\"null\"}", INT64_C(-589620603366471059)},
    {"{ \"values\":\"string\", \"type\":\"map\"}", "{\"type\":\"map\",\"values\":\"string\"}",
     INT64_C(-8732877298790414990)},
};

static void test_canonical_forms_and_fingerprints(void **state)
{
    (void)state;
    assert_true(kd_avro_crc64("\"int\"", 5) == UINT64_C(0x7275d51a3f395c8f));
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        kd_avsc *s = parse(vectors[i].schema);
        kd_buf out = {0};
        kd_avsc_canonical(s, &out);
        kd_buf_addc(&out, '\0');
        assert_string_equal(out.p, vectors[i].canonical);
        if ((int64_t)kd_avsc_fingerprint(s) != vectors[i].crc)
            fail_msg("%s: %lld, expected %lld", vectors[i].schema,
                     (long long)kd_avsc_fingerprint(s), (long long)vectors[i].crc);
        kd_buf_dispose(&out);
        kd_avsc_free(s);
    }
}

static void test_recursive_and_referenced_names(void **state)
{
    (void)state;
    kd_avsc *s = parse("{\"type\":\"record\",\"name\":\"Node\",\"namespace\":\"a.b\",\"fields\":["
                       "{\"name\":\"v\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}},"
                       "{\"name\":\"next\",\"type\":[\"null\",\"Node\"]},"
                       "{\"name\":\"w\",\"type\":\"a.b.F\"}]}");
    const kd_avro_node *root = kd_avsc_root(s);
    assert_ptr_equal(root->fields[1].type->branches[1], root);
    assert_ptr_equal(root->fields[2].type, root->fields[0].type);
    assert_true(root->fields[0].type->is_empty);
    assert_false(root->is_empty);
    kd_buf out = {0};
    kd_avsc_canonical(s, &out);
    kd_buf_addc(&out, '\0');
    assert_string_equal(
        out.p, "{\"name\":\"a.b.Node\",\"type\":\"record\",\"fields\":["
               "{\"name\":\"v\",\"type\":{\"name\":\"a.b.F\",\"type\":\"fixed\",\"size\":0}},"
               "{\"name\":\"next\",\"type\":[\"null\",\"a.b.Node\"]},"
               "{\"name\":\"w\",\"type\":\"a.b.F\"}]}");
    kd_buf_dispose(&out);
    kd_avsc_free(s);
}

static void test_what_is_no_schema(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "7",
        "\"strin\"",
        "[]",
        "[[\"null\"]]",
        "[\"int\",\"int\"]",
        "{}",
        "{\"type\":\"record\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"9\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"a..b\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"R\"}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\"}]}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
        "{\"name\":\"a\",\"type\":\"int\"}]}",
        "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}",
        "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[1]}",
        "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}",
        "{\"type\":\"array\"}",
        "{\"type\":\"map\",\"items\":\"int\"}",
        "[{\"type\":\"fixed\",\"name\":\"F\",\"size\":1},{\"type\":\"fixed\",\"name\":\"F\","
        "\"size\":1}]",
        "{\"type\":\"record\",\"name\":\"R\",\"aliases\":3,\"fields\":[]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kd_avsc *s = NULL;
        kd_err err = {0};
        if (kd_avsc_parse(bad[i], strlen(bad[i]), &s, &err) != KD_ECONFIG)
            fail_msg("%s passes", bad[i]);
        assert_null(s);
        assert_true(err.msg[0] != '\0' && err.rc == KD_ECONFIG);
    }
    kd_buf deep = {0};
    for (int i = 0; i < 1000; i++)
        kd_buf_adds(&deep, "{\"type\":\"array\",\"items\":");
    kd_buf_adds(&deep, "\"int\"");
    for (int i = 0; i < 1000; i++)
        kd_buf_adds(&deep, "}");
    kd_avsc *s;
    assert_int_equal(kd_avsc_parse(deep.p, deep.n, &s, NULL), KD_ECONFIG);
    kd_buf_dispose(&deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_the_files),
        cmocka_unit_test(test_fields_are_the_schemas),
        cmocka_unit_test(test_canonical_forms_and_fingerprints),
        cmocka_unit_test(test_recursive_and_referenced_names),
        cmocka_unit_test(test_what_is_no_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
