/* Framing, schema ids, fingerprints: messages there and back, with a registry and without. */
#include "support.h"

#include "http.h"
#include "schemas/avsc.h"
#include "schemas/codec.h"

/* A registry with room for a few schemas; ids are 100, 101, ... */
typedef struct store {
    http_server server;
    char *texts[32]; /* as JSON strings, as they came */
    int n;
    int gets, posts;
    bool is_down;
    pthread_mutex_t gate; /* no schema is given while the test has it */
} store;

static void on_request(void *arg, const http_request *q, http_answer *a)
{
    store *s = arg;
    int id;
    if (s->is_down) {
        a->status = 503;
        return;
    }
    if (sscanf(q->path, "/r/schemas/ids/%d", &id) == 1) {
        pthread_mutex_lock(&s->gate);
        pthread_mutex_unlock(&s->gate);
        s->gets++;
        a->status = 404;
        snprintf(a->body, sizeof a->body, "{\"error_code\":40403,\"message\":\"none\"}");
        if (id >= 100 && id < 100 + s->n) {
            a->status = 200;
            snprintf(a->body, sizeof a->body, "%s", s->texts[id - 100]);
        }
        return;
    }
    s->posts++;
    for (id = 0; id < s->n && strcmp(s->texts[id], q->body) != 0; id++) {
    }
    bool is_register = strstr(q->path, "/versions") != NULL;
    if (id == s->n && is_register)
        s->texts[s->n++] = strdup(q->body);
    if (id == s->n) {
        a->status = 404;
        snprintf(a->body, sizeof a->body, "{\"error_code\":40403,\"message\":\"none\"}");
        return;
    }
    a->status = 200;
    snprintf(a->body, sizeof a->body, "{\"id\":%d}", 100 + id);
}

static int start(void **state)
{
    store *s = calloc(1, sizeof *s);
    *state = s;
    return s != NULL && pthread_mutex_init(&s->gate, NULL) == 0 &&
                   http_start(&s->server, on_request, s)
               ? 0
               : -1;
}

static int stop(void **state)
{
    store *s = *state;
    http_stop(&s->server);
    pthread_mutex_destroy(&s->gate);
    for (int i = 0; i < s->n; i++)
        free(s->texts[i]);
    free(s);
    return 0;
}

static kd_codec *open_with(store *s, kd_codec_options o)
{
    char url[128];
    if (s != NULL) {
        snprintf(url, sizeof url, "%s/r", s->server.url);
        o.registry = (kd_registry_options){.url = url, .timeout_ms = 1000};
    }
    kd_codec *c;
    kd_err err;
    if (kd_codec_new(&o, &c, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return c;
}

static kd_codec *open_codec(store *s, bool require, kd_ms (*now)(void *), void *arg)
{
    return open_with(s, (kd_codec_options){.require = require, .now = now, .now_arg = arg});
}

static kd_codec *open_codec_patient(store *s, int64_t patience_ms, kd_ms (*now)(void *), void *arg)
{
    return open_with(s, (kd_codec_options){.now = now, .now_arg = arg, .patience_ms = patience_ms});
}

static void round_trip(kd_codec *c, const char *head, size_t head_len)
{
    kd_rng rng;
    kd_rng_init(&rng, test_seed());
    kd_arena *a = kd_arena_new(0);
    kd_err err;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        char topic[32];
        snprintf(topic, sizeof topic, "topic-%d", t);
        if (kd_codec_prepare(c, topic, (kd_schema_id)t, &err) != KD_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(kd_codec_prepare(c, topic, (kd_schema_id)t, &err), KD_OK);
        for (int i = 0; i < 50; i++) {
            kd_record r, back;
            kd_buf out = {0}, json = {0}, printed = {0};
            const char *name = NULL;
            rand_record(&rng, a, (kd_record_type)t, &r);
            assert_int_equal(kd_codec_encode_record(c, topic, &r, &out, &err), KD_OK);
            assert_memory_equal(out.p, head, head_len);
            kd_record_init(&back, KD_FORGET);
            back.ts = 42;
            if (kd_codec_decode(c, (kd_record_type)t, NULL, 0, out.p, out.n, &back, a, &err) !=
                KD_OK)
                fail_msg("%s", err.msg);
            assert_same_record(&r, &back);
            assert_true(back.ts == 42);
            assert_int_equal(kd_codec_to_json(c, out.p, out.n, &json, &name, &err), KD_OK);
            kd_json_event_print(&r, &printed); /* the same behind {"type":"...", */
            kd_str tail = {memchr(printed.p, ',', printed.n), 0};
            tail.n = (uint32_t)(printed.p + printed.n - tail.p);
            assert_int_equal(json.n, tail.n);
            assert_memory_equal(json.p + 1, tail.p + 1, tail.n - 1);
            assert_string_equal(kd_avro_unqualified(name), kd_record_type_name((kd_record_type)t));
            kd_record_type other = (kd_record_type)((t + 1) % KD_RECORD_TYPES);
            assert_int_equal(kd_codec_decode(c, other, NULL, 0, out.p, out.n, &back, a, &err),
                             KD_EDATA);
            assert_int_equal(err.reason, KD_REASON_SCHEMA);
            kd_buf_dispose(&out);
            kd_buf_dispose(&json);
            kd_buf_dispose(&printed);
        }
    }
    for (int i = 0; i < 100; i++) {
        kd_buf out = {0}, json = {0}, printed = {0};
        kd_out o = rand_out(&rng, a);
        assert_int_equal(kd_codec_prepare(c, "outs", kd_schema_of_out(o.type), &err), KD_OK);
        assert_int_equal(kd_codec_encode_out(c, "outs", &o, &out, &err), KD_OK);
        assert_int_equal(kd_codec_to_json(c, out.p, out.n, &json, NULL, &err), KD_OK);
        kd_json_out_print(&o, &printed);
        assert_int_equal(json.n, printed.n);
        assert_memory_equal(json.p, printed.p, json.n);
        kd_buf_dispose(&out);
        kd_buf_dispose(&json);
        kd_buf_dispose(&printed);
    }
    kd_buf none = {0};
    kd_out gone = {.type = KD_OUT_FORGOTTEN, .forgotten = kd_str_of("u")};
    assert_int_equal(kd_codec_encode_out(c, "outs", &gone, &none, &err), KD_OK);
    assert_int_equal(none.n, 0);
    kd_record r;
    kd_record_init(&r, KD_BROWSE);
    assert_int_equal(kd_codec_encode_record(c, "never prepared", &r, &none, &err), KD_EBUG);
    kd_arena_free(a);
}

static void test_single_object(void **state)
{
    (void)state;
    kd_codec *c = open_codec(NULL, false, NULL, NULL);
    assert_null(kd_codec_registry(c));
    round_trip(c, "\xC3\x01", 2);
    kd_codec_free(c);
}

static void test_confluent(void **state)
{
    store *s = *state;
    kd_codec *c = open_codec(s, false, NULL, NULL);
    round_trip(c, "\0\0\0\0", 4);
    assert_int_equal(s->n, KD_SCHEMAS);
    assert_int_equal(s->gets, KD_SCHEMAS); /* one a schema: ids are remembered */
    /* another one finds them, also where they are required */
    kd_codec *d = open_codec(s, true, NULL, NULL);
    round_trip(d, "\0\0\0\0", 4);
    kd_codec_free(c);
    kd_codec_free(d);
}

static void test_required_and_missing(void **state)
{
    store *s = *state;
    kd_codec *c = open_codec(s, true, NULL, NULL);
    kd_err err;
    assert_int_equal(kd_codec_prepare(c, "t", KD_SCHEMA_UPDATE, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "t-value"));
    s->is_down = true;
    assert_int_equal(kd_codec_prepare(c, "t", KD_SCHEMA_UPDATE, &err), KD_RETRY);
    kd_codec_free(c);
}

static kd_ms hand_moved(void *arg)
{
    return *(kd_ms *)arg;
}

static kd_rc decode_bytes(kd_codec *c, const char *p, size_t n, kd_err *err)
{
    kd_record r;
    kd_arena *a = kd_arena_new(0);
    kd_record_init(&r, KD_BROWSE);
    kd_rc rc = kd_codec_decode(c, KD_BROWSE, NULL, 0, p, n, &r, a, err);
    kd_arena_free(a);
    return rc;
}

static void test_a_registry_that_is_away_is_left_alone(void **state)
{
    store *s = *state;
    kd_ms now = 1000;
    kd_err err;
    kd_codec *c = open_codec(s, false, hand_moved, &now);
    s->is_down = true;
    uint64_t asked = kd_registry_requests(kd_codec_registry(c));
    for (int i = 0; i < 100; i++)
        assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_RETRY);
    assert_int_equal(kd_registry_requests(kd_codec_registry(c)), asked + 1);
    s->is_down = false;
    assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_RETRY); /* not known yet */
    now += 1001;
    assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_EDATA);
    kd_codec_free(c);
}

/* The answers wait for the test; it is asked once, and one question after the other. */
static void test_a_slow_registry_is_not_waited_for(void **state)
{
    store *s = *state;
    kd_ms now = 1000;
    kd_err err;
    kd_codec *c = open_codec_patient(s, 1, hand_moved, &now);
    kd_registry *r = kd_codec_registry(c);
    pthread_mutex_lock(&s->gate);
    assert_false(kd_codec_tend(c));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_RETRY);
        assert_non_null(strstr(err.msg, "has not answered yet"));
        assert_int_equal(decode_bytes(c, "\0\0\0\0\x8x", 6, &err), KD_RETRY);
        assert_false(kd_codec_tend(c));
    }
    assert_int_equal(kd_registry_requests(r), 1);
    pthread_mutex_unlock(&s->gate);
    while (!kd_codec_tend(c)) {
    }
    assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_EDATA);
    assert_int_equal(kd_registry_requests(r), 1);
    kd_rc rc = KD_RETRY; /* the other one's turn */
    while ((rc = decode_bytes(c, "\0\0\0\0\x8x", 6, &err)) == KD_RETRY) {
    }
    assert_int_equal(rc, KD_EDATA);
    assert_int_equal(kd_registry_requests(r), 2);
    assert_false(kd_codec_tend(c));
    /* Another call in between: the question is asked again. */
    pthread_mutex_lock(&s->gate);
    assert_int_equal(decode_bytes(c, "\0\0\0\0\x9x", 6, &err), KD_RETRY);
    pthread_mutex_unlock(&s->gate);
    if (kd_codec_prepare(c, "topic", KD_SCHEMA_BROWSE, &err) != KD_OK)
        fail_msg("%s", err.msg);
    while ((rc = decode_bytes(c, "\0\0\0\0\x9x", 6, &err)) == KD_RETRY) {
    }
    assert_int_equal(rc, KD_EDATA);
    kd_codec_free(c);
    /* One that is dropped while it asks. */
    c = open_codec_patient(s, 1, hand_moved, &now);
    pthread_mutex_lock(&s->gate);
    assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_RETRY);
    kd_codec_free(c);
    pthread_mutex_unlock(&s->gate);
}

static void test_unknown_ids_are_remembered(void **state)
{
    store *s = *state;
    kd_ms now = 1000;
    kd_err err;
    kd_codec *c = open_codec(s, false, hand_moved, &now);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_EDATA);
        assert_int_equal(err.reason, KD_REASON_SCHEMA);
    }
    assert_int_equal(s->gets, 1);
    now += 31000; /* then asked again */
    assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_EDATA);
    assert_int_equal(s->gets, 2);
    kd_codec_free(c);
    c = open_codec(s, false, NULL, NULL); /* without a clock, counted */
    for (int i = 0; i < 1500; i++)
        assert_int_equal(decode_bytes(c, "\0\0\0\0\7x", 6, &err), KD_EDATA);
    assert_int_equal(s->gets, 4);
    s->is_down = true;
    assert_int_equal(decode_bytes(c, "\0\0\0\0\x8x", 6, &err), KD_RETRY);
    s->is_down = false;
    assert_int_equal(decode_bytes(c, "\0\0\0\0\x8x", 6, &err), KD_EDATA);
    kd_codec_free(c);
}

static void test_schemas_that_are_none(void **state)
{
    store *s = *state;
    kd_err err;
    s->texts[s->n++] = strdup("{\"schema\":\"{\\\"type\\\":\\\"recor\\\"}\"}");
    s->texts[s->n++] = strdup("{\"schema\":\"syntax\",\"schemaType\":\"PROTOBUF\"}");
    kd_codec *c = open_codec(s, false, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(decode_bytes(c, "\0\0\0\0\x64x", 6, &err), KD_EDATA);
        assert_int_equal(err.reason, KD_REASON_SCHEMA);
        assert_non_null(strstr(err.msg, "100"));
        assert_int_equal(decode_bytes(c, "\0\0\0\0\x65x", 6, &err), KD_EDATA);
        assert_non_null(strstr(err.msg, "PROTOBUF"));
    }
    assert_int_equal(s->gets, 2);
    kd_codec_free(c);
}

static void test_framing(void **state)
{
    (void)state;
    kd_codec *c = open_codec(NULL, false, NULL, NULL);
    kd_err err;
    const struct {
        const char *p;
        size_t n;
        kd_reason reason;
    } rows[] = {{"", 0, KD_REASON_FRAMING},
                {"\0\0\0\0", 4, KD_REASON_FRAMING},
                {"\0\0\0\0\1x", 6, KD_REASON_FRAMING},
                {"{\"a\":1}", 7, KD_REASON_FRAMING},
                {"\xC3\x01\1\2\3\4\5\6\7", 9, KD_REASON_FRAMING},
                {"\xC3\x01\1\2\3\4\5\6\7\x8", 10, KD_REASON_SCHEMA}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(decode_bytes(c, rows[i].p, rows[i].n, &err), KD_EDATA);
        if (err.reason != rows[i].reason)
            fail_msg("row %zu: %s %s", i, kd_reason_text(err.reason), err.msg);
    }
    kd_codec_free(c);
}

static void test_null_values(void **state)
{
    (void)state;
    kd_codec *c = open_codec(NULL, false, NULL, NULL);
    kd_arena *a = kd_arena_new(0);
    kd_record r;
    kd_err err;
    kd_buf json = {0};
    kd_record_init(&r, KD_BROWSE);
    r.ts = 7777;
    r.title = kd_str_of("of the record before");
    assert_int_equal(kd_codec_decode(c, KD_CATALOG, "item", 4, NULL, 0, &r, a, &err), KD_OK);
    assert_true(r.type == KD_CATALOG && r.removed && r.time == 7777 && r.title.p == NULL);
    assert_true(kd_str_eq(r.item_id, kd_str_of("item")));
    assert_int_equal(kd_codec_decode(c, KD_CATALOG, NULL, 0, NULL, 0, &r, a, &err), KD_EDATA);
    assert_int_equal(err.reason, KD_REASON_ID);
    assert_int_equal(kd_codec_decode(c, KD_BROWSE, "k", 1, NULL, 0, &r, a, &err), KD_EDATA);
    assert_int_equal(err.reason, KD_REASON_FRAMING);
    assert_int_equal(kd_codec_to_json(c, NULL, 0, &json, NULL, &err), KD_OK);
    assert_memory_equal(json.p, "null", 4);
    kd_buf_dispose(&json);
    kd_arena_free(a);
    kd_codec_free(c);
}

/* An older version of ours by its fingerprint, once it is made known. */
static void test_added_schema(void **state)
{
    (void)state;
    const char *text =
        "{\"type\":\"record\",\"name\":\"kindred.ForgetRequest\",\"fields\":[{\"name\":"
        "\"shopper_id\",\"type\":\"string\"},{\"name\":\"time\",\"type\":\"long\"}]}";
    kd_avsc *s;
    kd_err err;
    assert_int_equal(kd_avsc_parse(text, strlen(text), &s, &err), KD_OK);
    unsigned char msg[] = "\xC3\x01........\x02u\x0e";
    for (int i = 0; i < 8; i++)
        msg[2 + i] = (unsigned char)(kd_avsc_fingerprint(s) >> (8 * i));
    kd_avsc_free(s);
    kd_codec *c = open_codec(NULL, false, NULL, NULL);
    kd_arena *a = kd_arena_new(0);
    kd_record r;
    kd_record_init(&r, KD_BROWSE);
    assert_int_equal(kd_codec_decode(c, KD_FORGET, NULL, 0, msg, 13, &r, a, &err), KD_EDATA);
    assert_int_equal(kd_codec_add_schema(c, text, &err), KD_OK);
    assert_int_equal(kd_codec_add_schema(c, text, &err), KD_OK);
    assert_int_equal(kd_codec_add_schema(c, "{", &err), KD_ECONFIG);
    assert_int_equal(kd_codec_decode(c, KD_FORGET, NULL, 0, msg, 13, &r, a, &err), KD_OK);
    assert_true(kd_str_eq(r.user_id, kd_str_of("u")) && r.time == 7 && r.event_id.p == NULL);
    kd_arena_free(a);
    kd_codec_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_object),
        cmocka_unit_test_setup_teardown(test_confluent, start, stop),
        cmocka_unit_test_setup_teardown(test_required_and_missing, start, stop),
        cmocka_unit_test_setup_teardown(test_a_registry_that_is_away_is_left_alone, start, stop),
        cmocka_unit_test_setup_teardown(test_a_slow_registry_is_not_waited_for, start, stop),
        cmocka_unit_test_setup_teardown(test_unknown_ids_are_remembered, start, stop),
        cmocka_unit_test_setup_teardown(test_schemas_that_are_none, start, stop),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_null_values),
        cmocka_unit_test(test_added_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
