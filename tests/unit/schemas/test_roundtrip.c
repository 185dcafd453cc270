/* Our encoders and decoders against Avro-C's generic values, the slow twin, both ways. */
#include "support.h"

#include <avro.h>

#include "schemas/avro.h"
#include "schemas/plan.h"
#include "schemas/walk.h"

enum { ROUNDS = 400 };

/* One of our schemas for Avro-C and for us. */
typedef struct twin {
    avro_schema_t theirs;
    avro_value_iface_t *iface;
    kd_avsc *ours;
    kd_plan *plan; /* records only */
} twin;

static void twin_open(twin *t, kd_schema_id id)
{
    const char *text = kd_schema_text(id);
    kd_err err;
    *t = (twin){0};
    if (avro_schema_from_json_length(text, strlen(text), &t->theirs) != 0)
        fail_msg("Avro-C refuses %s: %s", kd_schema_name(id), avro_strerror());
    t->iface = avro_generic_class_from_schema(t->theirs);
    assert_non_null(t->iface);
    assert_int_equal(kd_avsc_parse(text, strlen(text), &t->ours, &err), KD_OK);
    if (id < (kd_schema_id)KD_RECORD_TYPES)
        assert_int_equal(kd_plan_compile(kd_avsc_root(t->ours), kd_avsc_nodes(t->ours),
                                         kd_avsc_root(t->ours), (kd_record_type)id, &t->plan, &err),
                         KD_OK);
}

static void twin_close(twin *t)
{
    kd_plan_free(t->plan);
    kd_avsc_free(t->ours);
    avro_value_iface_decref(t->iface);
    avro_schema_decref(t->theirs);
}

/* Reads n bytes by Avro-C; all of them must be used. */
static void twin_read(twin *t, const char *p, size_t n, avro_value_t *out)
{
    avro_reader_t r = avro_reader_memory(p, (int64_t)n);
    assert_int_equal(avro_generic_value_new(t->iface, out), 0);
    if (avro_value_read(r, out) != 0)
        fail_msg("Avro-C does not read what we wrote: %s", avro_strerror());
    char rest;
    assert_int_not_equal(avro_read(r, &rest, 1), 0);
    avro_reader_free(r);
}

static size_t twin_write(avro_value_t *v, char *to, size_t cap)
{
    avro_writer_t w = avro_writer_memory(to, (int64_t)cap);
    assert_int_equal(avro_value_write(w, v), 0);
    size_t n = (size_t)avro_writer_tell(w);
    avro_writer_free(w);
    return n;
}

static bool branch_of(avro_value_t *v, avro_value_t *out)
{
    int i;
    assert_int_equal(avro_value_get_discriminant(v, &i), 0);
    assert_int_equal(avro_value_get_current_branch(v, out), 0);
    return i == 1;
}

static void assert_their_string(const char *field, avro_value_t *v, kd_str mine)
{
    const char *p;
    size_t n;
    assert_int_equal(avro_value_get_string(v, &p, &n), 0);
    assert_same_str(field, (kd_str){p, (uint32_t)n - 1}, mine); /* theirs counts the NUL */
}

static void assert_their_field(const kd_record *r, const kd_field *f, avro_value_t *v)
{
    const void *at = (const char *)r + f->offset;
    avro_value_t inner = *v;
    if (f->is_nullable && !branch_of(v, &inner)) {
        if (f->kind == KD_FIELD_STRING)
            assert_null(((const kd_str *)at)->p);
        else if (f->kind == KD_FIELD_LONG)
            assert_int_equal(*(const int64_t *)at, -1);
        else
            assert_true(*(const double *)at < 0);
        return;
    }
    switch (f->kind) {
    case KD_FIELD_STRING:
        assert_their_string(f->name, &inner, *(const kd_str *)at);
        break;
    case KD_FIELD_TIME:
    case KD_FIELD_LONG: {
        int64_t x;
        assert_int_equal(avro_value_get_long(&inner, &x), 0);
        assert_true(x == *(const int64_t *)at);
        break;
    }
    case KD_FIELD_DOUBLE: {
        double x;
        assert_int_equal(avro_value_get_double(&inner, &x), 0);
        assert_memory_equal(&x, at, sizeof x);
        break;
    }
    case KD_FIELD_BOOL: {
        int x;
        assert_int_equal(avro_value_get_boolean(&inner, &x), 0);
        assert_int_equal(x, *(const bool *)at);
        break;
    }
    case KD_FIELD_ENUM: {
        int x;
        assert_int_equal(avro_value_get_enum(&inner, &x), 0);
        assert_int_equal(f->symbols[x].action, *(const kd_action *)at);
        break;
    }
    case KD_FIELD_TAGS: {
        size_t n;
        assert_int_equal(avro_value_get_size(&inner, &n), 0);
        assert_int_equal(n, r->n_tags);
        for (size_t i = 0; i < n; i++) {
            avro_value_t tag;
            assert_int_equal(avro_value_get_by_index(&inner, i, &tag, NULL), 0);
            assert_their_string("tags", &tag, r->tags[i]);
        }
        break;
    }
    }
}

static void test_records(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_arena *a = kd_arena_new(0);
    char *theirs = malloc(1 << 20);
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        twin tw;
        twin_open(&tw, (kd_schema_id)t);
        size_t n;
        const kd_field *fields = kd_fields((kd_record_type)t, &n);
        for (int round = 0; round < ROUNDS; round++) {
            kd_record r, back;
            kd_buf out = {0};
            kd_err err;
            kd_arena_reset(a);
            rand_record(&rng, a, (kd_record_type)t, &r);
            kd_record_encode(&r, &out);
            assert_false(out.failed);
            avro_value_t v;
            twin_read(&tw, out.p, out.n, &v);
            for (size_t i = 0; i < n; i++) {
                avro_value_t field;
                assert_int_equal(avro_value_get_by_name(&v, fields[i].name, &field, NULL), 0);
                assert_their_field(&r, &fields[i], &field);
            }
            size_t m = twin_write(&v, theirs, 1 << 20);
            assert_int_equal(m, out.n);
            assert_memory_equal(theirs, out.p, m);
            kd_record_init(&back, KD_BROWSE);
            if (kd_plan_decode_all(tw.plan, theirs, m, &back, a, &err) != KD_OK)
                fail_msg("%s", err.msg);
            assert_same_record(&r, &back);
            avro_value_decref(&v);
            kd_buf_dispose(&out);
        }
        twin_close(&tw);
    }
    free(theirs);
    kd_arena_free(a);
}

/* What we read of an update that we wrote is all of it: written again, it is the same bytes. */
static void assert_read_whole(const kd_buf *bytes, kd_arena *a)
{
    kd_update back;
    kd_err err;
    kd_buf again = {0};
    if (kd_update_decode(bytes->p, bytes->n, a, &back, &err) != KD_OK)
        fail_msg("%s", err.msg);
    kd_update_encode(&back, &again);
    assert_int_equal(again.n, bytes->n);
    assert_memory_equal(again.p, bytes->p, bytes->n);
    kd_buf_dispose(&again);
}

/* Avro-C reads and rewrites our bytes unchanged (the encoding is right), and our walk over them
 * prints what our JSON printer prints of the value (what is encoded is the value). */
static void test_outputs(void **state)
{
    (void)state;
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_arena *a = kd_arena_new(0);
    char *theirs = malloc(1 << 20);
    twin tw[KD_SCHEMAS];
    for (int id = KD_SCHEMA_UPDATE; id < KD_SCHEMAS; id++)
        twin_open(&tw[id], (kd_schema_id)id);
    for (int round = 0; round < 4 * ROUNDS; round++) {
        kd_arena_reset(a);
        kd_out o = rand_out(&rng, a);
        twin *t = &tw[kd_schema_of_out(o.type)];
        kd_buf bytes = {0}, walked = {0}, printed = {0};
        kd_err err;
        kd_out_encode(&o, &bytes);
        avro_value_t v;
        twin_read(t, bytes.p, bytes.n, &v);
        size_t m = twin_write(&v, theirs, 1 << 20);
        assert_int_equal(m, bytes.n);
        assert_memory_equal(theirs, bytes.p, m);
        avro_value_decref(&v);
        kd_cursor c = kd_cursor_of(bytes.p, bytes.n);
        assert_int_equal(kd_walk_json(kd_avsc_root(t->ours), &c, &walked, &err), KD_OK);
        assert_ptr_equal(c.p, c.end);
        if (o.type == KD_OUT_UPDATE)
            assert_read_whole(&bytes, a);
        kd_json_out_print(&o, &printed);
        kd_buf_addc(&walked, '\0');
        kd_buf_addc(&printed, '\0');
        assert_string_equal(walked.p, printed.p);
        kd_buf_dispose(&bytes);
        kd_buf_dispose(&walked);
        kd_buf_dispose(&printed);
    }
    for (int id = KD_SCHEMA_UPDATE; id < KD_SCHEMAS; id++)
        twin_close(&tw[id]);
    free(theirs);
    kd_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
