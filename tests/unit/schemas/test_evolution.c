/* Random evolution: Avro-C writes values of random variations of our schemas, so that what is read
 * here was not written by the code under test; a dumb resolution says what is expected. */
#include "plan_fixture.h"

#include <avro.h>

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_evolution)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
