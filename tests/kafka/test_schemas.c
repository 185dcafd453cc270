/* Schemas through a real registry ($KINDRED_TEST_REGISTRY, see `./dev kafka up`): every schema
 * there and back, writers older and newer than ours, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "schemas/codec.h"

typedef struct fixture {
    const char *url;
    char run[17]; /* part of every topic's name, so that runs do not meet */
} fixture;

static kd_codec *open_codec(const fixture *f, bool require)
{
    kd_codec_options o = {.registry = {.url = f->url, .timeout_ms = 20000}, .require = require};
    kd_codec *c;
    kd_err err;
    if (kd_codec_new(&o, &c, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return c;
}

static const char *topic_of(const fixture *f, const char *name, char *to, size_t n)
{
    snprintf(to, n, "schemas-test-%s-%s", f->run, name);
    return to;
}

/* PUT /config/SUBJECT: the level is set by whoever runs a registry, so our client has no call. */
static void set_backward(const fixture *f, const char *topic)
{
    char url[512];
    snprintf(url, sizeof url, "%s/config/%s-value", f->url, topic);
    CURL *h = curl_easy_init();
    struct curl_slist *head =
        curl_slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json");
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, "{\"compatibility\":\"BACKWARD\"}");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, head);
    curl_easy_setopt(h, CURLOPT_FAILONERROR, 1L);
    FILE *none = fopen("/dev/null", "w");
    assert_non_null(none);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, none);
    CURLcode code = curl_easy_perform(h);
    if (code != CURLE_OK)
        fail_msg("%s: %s", url, curl_easy_strerror(code));
    fclose(none);
    curl_slist_free_all(head);
    curl_easy_cleanup(h);
}

static int32_t put_schema(kd_codec *c, const char *topic, const char *text)
{
    char subject[128];
    kd_err err;
    int32_t id;
    snprintf(subject, sizeof subject, "%s-value", topic);
    if (kd_registry_register(kd_codec_registry(c), subject, text, &id, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return id;
}

static void test_every_schema(void **state)
{
    const fixture *f = *state;
    char topic[96];
    kd_err err;
    kd_codec *c = open_codec(f, true);
    for (int id = 0; id < KD_SCHEMAS; id++) {
        topic_of(f, kd_schema_name((kd_schema_id)id), topic, sizeof topic);
        assert_int_equal(kd_codec_prepare(c, topic, (kd_schema_id)id, &err), KD_ECONFIG);
        assert_non_null(strstr(err.msg, "not registered"));
    }
    kd_codec *w = open_codec(f, false);
    for (int id = 0; id < KD_SCHEMAS; id++) {
        topic_of(f, kd_schema_name((kd_schema_id)id), topic, sizeof topic);
        for (kd_codec *x = w; x != NULL; x = x == w ? c : NULL) /* then it is there for both */
            if (kd_codec_prepare(x, topic, (kd_schema_id)id, &err) != KD_OK)
                fail_msg("%s", err.msg);
    }
    kd_record r, back;
    kd_arena *a = kd_arena_new(0);
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        kd_buf msg = {0}, json = {0};
        const char *name;
        topic_of(f, kd_schema_name((kd_schema_id)t), topic, sizeof topic);
        kd_record_init(&r, (kd_record_type)t);
        r.user_id = kd_str_of("u1");
        r.item_id = kd_str_of("ítem");
        r.time = 1291191960000;
        assert_int_equal(kd_codec_encode_record(w, topic, &r, &msg, &err), KD_OK);
        kd_record_init(&back, KD_BROWSE);
        kd_codec *fresh = open_codec(f, false);
        if (kd_codec_decode(fresh, (kd_record_type)t, NULL, 0, msg.p, msg.n, &back, a, &err) !=
            KD_OK)
            fail_msg("%s", err.msg);
        assert_true(back.time == r.time && back.type == r.type);
        assert_true(kd_str_eq(t == KD_FORGET ? back.user_id : back.item_id,
                              t == KD_FORGET ? r.user_id : r.item_id));
        assert_int_equal(kd_codec_to_json(fresh, msg.p, msg.n, &json, &name, &err), KD_OK);
        assert_string_equal(strchr(name, '.') + 1, kd_record_type_name((kd_record_type)t));
        kd_codec_free(fresh);
        kd_buf_dispose(&msg);
        kd_buf_dispose(&json);
    }
    kd_update u = {.shopper_id = {"u1", 2}, .time = 5, .state_time = 5, .trigger = {"t", 0, 1}};
    kd_out o = {.type = KD_OUT_UPDATE, .update = &u};
    kd_buf msg = {0}, json = {0};
    topic_of(f, "RecommendationUpdate", topic, sizeof topic);
    assert_int_equal(kd_codec_encode_out(w, topic, &o, &msg, &err), KD_OK);
    assert_int_equal(kd_codec_to_json(c, msg.p, msg.n, &json, NULL, &err), KD_OK);
    kd_buf_addc(&json, '\0');
    assert_string_equal(json.p, "{\"shopper_id\":\"u1\",\"time\":5,\"state_time\":5,\"trigger\":{"
                                "\"topic\":\"t\",\"partition\":0,\"offset\":1,\"event_id\":null},"
                                "\"items\":[]}");
    kd_buf_dispose(&msg);
    kd_buf_dispose(&json);
    kd_arena_free(a);
    kd_codec_free(c);
    kd_codec_free(w);
}

/* A message of the given id: its fields by hand. */
static void put_head(kd_buf *b, int32_t id)
{
    char head[5] = {0, (char)(id >> 24), (char)(id >> 16), (char)(id >> 8), (char)id};
    kd_buf_clear(b);
    kd_buf_add(b, head, sizeof head);
}

/* Older writer -> our reader, newer writer -> our reader, in a subject that the registry itself
 * holds to BACKWARD (which is what our reader's defaults make true). */
static void test_evolution(void **state)
{
    const fixture *f = *state;
    const char *older = "{\"type\":\"record\",\"name\":\"ForgetRequest\",\"namespace\":\"kindred\","
                        "\"fields\":[{\"name\":\"time\",\"type\":\"int\"},{\"name\":\"shopper_id\","
                        "\"type\":\"string\"}]}";
    const char *newer =
        "{\"type\":\"record\",\"name\":\"ForgetRequest\",\"namespace\":\"kindred\","
        "\"fields\":[{\"name\":\"why\",\"type\":[\"null\",{\"type\":\"map\","
        "\"values\":\"string\"}],\"default\":null},{\"name\":\"shopper_id\",\"type\""
        ":\"string\"},{\"name\":\"time\",\"type\":{\"type\":\"long\","
        "\"logicalType\":\"timestamp-millis\"}}]}";
    const char *unfit =
        "{\"type\":\"record\",\"name\":\"ForgetRequest\",\"namespace\":\"kindred\","
        "\"fields\":[{\"name\":\"shopper_id\",\"type\":\"string\"},{\"name\":\"time\""
        ",\"type\":\"long\"},{\"name\":\"must\",\"type\":\"string\"}]}";
    char topic[96], subject[112];
    topic_of(f, "evolving", topic, sizeof topic);
    snprintf(subject, sizeof subject, "%s-value", topic);
    kd_codec *c = open_codec(f, false);
    kd_registry *r = kd_codec_registry(c);
    kd_arena *a = kd_arena_new(0);
    kd_buf msg = {0}, why = {0};
    kd_record x;
    kd_err err;
    bool fits = false;
    int32_t old_id = put_schema(c, topic, older);
    set_backward(f, topic);
    const char *ours = kd_schema_text(KD_SCHEMA_FORGET);
    assert_int_equal(kd_registry_compatible(r, subject, ours, &fits, &why, &err), KD_OK);
    assert_true(fits);
    if (kd_codec_prepare(c, topic, KD_SCHEMA_FORGET, &err) != KD_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kd_registry_compatible(r, subject, newer, &fits, &why, &err), KD_OK);
    assert_true(fits);
    int32_t new_id = put_schema(c, topic, newer);
    put_head(&msg, old_id);
    kd_buf_add(&msg, "\x0e\4u1", 4);
    kd_record_init(&x, KD_BROWSE);
    if (kd_codec_decode(c, KD_FORGET, NULL, 0, msg.p, msg.n, &x, a, &err) != KD_OK)
        fail_msg("older: %s", err.msg);
    assert_true(x.time == 7 && kd_str_eq(x.user_id, kd_str_of("u1")) && x.event_id.p == NULL);
    put_head(&msg, new_id);
    kd_buf_add(&msg, "\2\2\2k\2v\0\4u2\x10", 11);
    if (kd_codec_decode(c, KD_FORGET, NULL, 0, msg.p, msg.n, &x, a, &err) != KD_OK)
        fail_msg("newer: %s", err.msg);
    assert_true(x.time == 8 && kd_str_eq(x.user_id, kd_str_of("u2")) && x.event_id.p == NULL);
    assert_int_equal(kd_registry_compatible(r, subject, unfit, &fits, &why, &err), KD_OK);
    assert_false(fits);
    int32_t id;
    assert_int_equal(kd_registry_register(r, subject, unfit, &id, &err), KD_ECONFIG);
    print_message("refused as it should be: %s\n", err.msg);
    kd_buf_dispose(&msg);
    kd_buf_dispose(&why);
    kd_arena_free(a);
    kd_codec_free(c);
}

static void find_subject(void *arg, const char *subject)
{
    char **wanted = arg;
    if (*wanted != NULL && strcmp(*wanted, subject) == 0)
        *wanted = NULL;
}

static void test_what_is_not_there(void **state)
{
    const fixture *f = *state;
    char topic[96], subject[112];
    kd_codec *c = open_codec(f, false);
    kd_registry *r = kd_codec_registry(c);
    kd_record x;
    kd_arena *a = kd_arena_new(0);
    kd_buf out = {0};
    kd_err err;
    bool fits = false;
    kd_record_init(&x, KD_BROWSE);
    kd_rc rc = kd_codec_decode(c, KD_BROWSE, NULL, 0, "\0\x7f\xff\xff\xf0z", 6, &x, a, &err);
    if (rc != KD_EDATA || err.reason != KD_REASON_SCHEMA)
        fail_msg("%s: %s", kd_rc_name(rc), err.msg);
    rc = kd_codec_decode(c, KD_BROWSE, NULL, 0, "\0\xff\xff\xff\xf0z", 6, &x, a, &err);
    if (rc != KD_EDATA || err.reason != KD_REASON_SCHEMA)
        fail_msg("%s: %s", kd_rc_name(rc), err.msg);
    topic_of(f, "nowhere", topic, sizeof topic);
    snprintf(subject, sizeof subject, "%s-value", topic);
    assert_int_equal(kd_registry_latest(r, subject, NULL, NULL, &out, &err), KD_ECONFIG);
    assert_int_equal(
        kd_registry_compatible(r, subject, kd_schema_text(KD_SCHEMA_BROWSE), &fits, NULL, &err),
        KD_OK);
    assert_true(fits);
    assert_int_equal(kd_codec_prepare(c, topic, KD_SCHEMA_BROWSE, &err), KD_OK);
    int32_t version = 0, id = -1;
    assert_int_equal(kd_registry_latest(r, subject, &version, &id, &out, &err), KD_OK);
    assert_int_equal(version, 1);
    char *wanted = subject;
    assert_int_equal(kd_registry_subjects(r, find_subject, &wanted, &err), KD_OK);
    assert_null(wanted);
    kd_buf_dispose(&out);
    kd_arena_free(a);
    kd_codec_free(c);
}

int main(void)
{
    fixture f = {.url = getenv("KINDRED_TEST_REGISTRY")};
    unsigned char seed[8];
    if (f.url == NULL || f.url[0] == '\0') {
        fprintf(stderr, "skipped: KINDRED_TEST_REGISTRY is not set, see ./dev kafka up\n");
        return 77;
    }
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return 1;
    for (int i = 0; i < 8; i++)
        snprintf(f.run + 2 * i, 3, "%02x", seed[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_every_schema, &f),
        cmocka_unit_test_prestate(test_evolution, &f),
        cmocka_unit_test_prestate(test_what_is_not_there, &f),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
