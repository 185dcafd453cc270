/* The registry's client against a scripted server: what it asks, and what it makes of each answer.
 */
#include "support.h"

#include "http.h"
#include "schemas/registry.h"

typedef struct script {
    http_server server;
    http_request last;
    http_answer next;
} script;

static void on_request(void *arg, const http_request *q, http_answer *a)
{
    script *s = arg;
    s->last = *q;
    *a = s->next;
}

static kd_registry *open_registry(script *s, const char *path, const char *auth)
{
    char url[128];
    kd_registry *r;
    kd_err err;
    snprintf(url, sizeof url, "%s%s", s->server.url, path);
    kd_registry_options o = {.url = url, .basic_auth = auth, .timeout_ms = 300};
    if (kd_registry_new(&o, &r, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return r;
}

static void answer(script *s, int status, const char *body)
{
    s->next.status = status;
    snprintf(s->next.body, sizeof s->next.body, "%s", body);
}

static int start(void **state)
{
    script *s = calloc(1, sizeof *s);
    *state = s;
    return s != NULL && http_start(&s->server, on_request, s) ? 0 : -1;
}

static int stop(void **state)
{
    script *s = *state;
    http_stop(&s->server);
    free(s);
    return 0;
}

static void test_register_and_lookup(void **state)
{
    script *s = *state;
    kd_registry *r = open_registry(s, "/apis/ccompat/v7/", NULL);
    kd_err err;
    int32_t id = -1;
    answer(s, 200, "{\"id\":17}");
    assert_int_equal(kd_registry_register(r, "a topic/ä-value", "{\"x\":\"\\n\"}", &id, &err),
                     KD_OK);
    assert_int_equal(id, 17);
    assert_string_equal(s->last.method, "POST");
    assert_string_equal(s->last.path,
                        "/apis/ccompat/v7/subjects/a%20topic%2F%C3%A4-value/versions");
    assert_string_equal(s->last.body, "{\"schema\":\"{\\\"x\\\":\\\"\\\\n\\\"}\"}");
    answer(s, 409, "{\"error_code\":409,\"message\":\"field gone\"}");
    assert_int_equal(kd_registry_register(r, "t-value", "{}", &id, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "incompatible"));
    assert_non_null(strstr(err.msg, "field gone"));
    answer(s, 422, "{\"error_code\":42201,\"message\":\"no avro\"}");
    assert_int_equal(kd_registry_register(r, "t-value", "{}", &id, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "no avro"));
    answer(s, 200, "{\"subject\":\"t-value\",\"version\":1,\"id\":3,\"schema\":\"{}\"}");
    assert_int_equal(kd_registry_lookup(r, "t-value", "{}", &id, &err), KD_OK);
    assert_int_equal(id, 3);
    assert_string_equal(s->last.path, "/apis/ccompat/v7/subjects/t-value");
    answer(s, 404, "{\"error_code\":40401,\"message\":\"Subject not found\"}");
    assert_int_equal(kd_registry_lookup(r, "t-value", "{}", &id, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "schemas register"));
    assert_int_equal(id, 3); /* untouched on failure */
    assert_true(kd_registry_requests(r) == 5);
    kd_registry_free(r);
}

static void test_get(void **state)
{
    script *s = *state;
    kd_registry *r = open_registry(s, "", NULL);
    kd_err err;
    kd_buf out = {0};
    answer(s, 200, "{\"schema\":\"\\\"int\\\"\"}");
    assert_int_equal(kd_registry_get(r, 7, &out, &err), KD_OK);
    assert_string_equal(s->last.path, "/schemas/ids/7");
    assert_string_equal(s->last.method, "GET");
    assert_string_equal(out.p, "\"int\"");
    assert_int_equal(out.n, 5);
    answer(s, 404, "{\"error_code\":40403,\"message\":\"Schema not found\"}");
    assert_int_equal(kd_registry_get(r, -2, &out, &err), KD_EDATA);
    assert_string_equal(s->last.path, "/schemas/ids/4294967294");
    assert_int_equal(err.reason, KD_REASON_SCHEMA);
    answer(s, 404, "<html>not found</html>"); /* a wrong path, not a missing schema */
    assert_int_equal(kd_registry_get(r, 7, &out, &err), KD_ECONFIG);
    assert_non_null(strstr(err.msg, "path"));
    answer(s, 200, "{\"schema\":\"x\",\"schemaType\":\"PROTOBUF\"}");
    assert_int_equal(kd_registry_get(r, 7, &out, &err), KD_EDATA);
    assert_non_null(strstr(err.msg, "PROTOBUF"));
    assert_int_equal(out.n, 5);
    kd_buf_dispose(&out);
    kd_registry_free(r);
}

static void test_trouble_is_transient(void **state)
{
    script *s = *state;
    kd_registry *r = open_registry(s, "", NULL);
    kd_err err;
    kd_buf out = {0};
    const int statuses[] = {500, 502, 503, 429};
    for (size_t i = 0; i < 4; i++) {
        answer(s, statuses[i], "{\"error_code\":50001,\"message\":\"store is down\"}");
        assert_int_equal(kd_registry_get(r, 1, &out, &err), KD_RETRY);
        assert_non_null(strstr(err.msg, "store is down"));
    }
    static const char *const garbage[] = {"", "{", "[]", "7", "{\"schema\":3}", "<html>", "{}"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        answer(s, 200, garbage[i]);
        assert_int_equal(kd_registry_get(r, 1, &out, &err), KD_RETRY);
        int32_t id;
        answer(s, 200, garbage[i]);
        assert_int_equal(kd_registry_register(r, "x", "{}", &id, &err), KD_RETRY);
    }
    answer(s, 200, "{\"id\":99999999999}");
    int32_t id;
    assert_int_equal(kd_registry_register(r, "x", "{}", &id, &err), KD_RETRY);
    s->next.status = 0; /* says nothing: the timeout ends it */
    assert_int_equal(kd_registry_get(r, 1, &out, &err), KD_RETRY);
    kd_buf_dispose(&out);
    kd_registry_free(r);
    /* nobody listens: a port that was just closed */
    http_server gone;
    assert_true(http_start(&gone, on_request, s));
    http_stop(&gone);
    kd_registry_options o = {.url = gone.url, .timeout_ms = 300};
    assert_int_equal(kd_registry_new(&o, &r, &err), KD_OK);
    assert_int_equal(kd_registry_get(r, 1, &out, &err), KD_RETRY);
    assert_non_null(strstr(err.msg, gone.url));
    kd_registry_free(r);
}

static void test_secrets_stay_secret(void **state)
{
    script *s = *state;
    kd_err err;
    kd_buf out = {0};
    kd_registry *r = open_registry(s, "", "me:se:cret");
    answer(s, 401, "{}");
    assert_int_equal(kd_registry_get(r, 1, &out, &err), KD_ECONFIG);
    assert_string_equal(s->last.auth, "Basic bWU6c2U6Y3JldA==");
    assert_null(strstr(err.msg, "cret"));
    kd_registry_free(r);
    char url[128];
    snprintf(url, sizeof url, "http://me:hush%%21@%s", s->server.url + strlen("http://"));
    kd_registry_options o = {.url = url, .timeout_ms = 300};
    assert_int_equal(kd_registry_new(&o, &r, &err), KD_OK);
    answer(s, 403, "{}");
    assert_int_equal(kd_registry_get(r, 1, &out, &err), KD_ECONFIG);
    assert_string_equal(s->last.auth, "Basic bWU6aHVzaCE=");
    assert_null(strstr(err.msg, "hush"));
    kd_registry_free(r);
    static const char *const bad[] = {"", "kafka:9092", "ftp://x/", "http://me:hush@",
                                      "file:///etc"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.url = bad[i];
        if (kd_registry_new(&o, &r, &err) != KD_ECONFIG)
            fail_msg("\"%s\" passes", bad[i]);
        assert_null(strstr(err.msg, "hush"));
    }
    o.url = s->server.url;
    o.basic_auth = "nocolon-hush";
    assert_int_equal(kd_registry_new(&o, &r, &err), KD_ECONFIG);
    assert_null(strstr(err.msg, "hush"));
    kd_buf_dispose(&out);
}

static void collect(void *arg, const char *subject)
{
    kd_buf_addf(arg, "%s;", subject);
}

static void test_compatible_latest_subjects(void **state)
{
    script *s = *state;
    kd_registry *r = open_registry(s, "", NULL);
    kd_err err;
    kd_buf why = {0}, list = {0}, text = {0};
    bool fits = false;
    answer(s, 200, "{\"is_compatible\":true}");
    assert_int_equal(kd_registry_compatible(r, "t-value", "{}", &fits, &why, &err), KD_OK);
    assert_true(fits);
    assert_string_equal(s->last.path,
                        "/compatibility/subjects/t-value/versions/latest?verbose=true");
    answer(s, 200, "{\"is_compatible\":false,\"messages\":[\"one\",\"two\"]}");
    assert_int_equal(kd_registry_compatible(r, "t-value", "{}", &fits, &why, &err), KD_OK);
    assert_false(fits);
    kd_buf_addc(&why, '\0');
    assert_string_equal(why.p, "one\ntwo\n");
    answer(s, 404, "{\"error_code\":40401,\"message\":\"no subject\"}");
    assert_int_equal(kd_registry_compatible(r, "t-value", "{}", &fits, NULL, &err), KD_OK);
    assert_true(fits);
    answer(s, 200, "{}");
    assert_int_equal(kd_registry_compatible(r, "t-value", "{}", &fits, NULL, &err), KD_RETRY);
    answer(s, 200, "[\"a-value\",\"b-value\"]");
    assert_int_equal(kd_registry_subjects(r, collect, &list, &err), KD_OK);
    kd_buf_addc(&list, '\0');
    assert_string_equal(list.p, "a-value;b-value;");
    int32_t version, id;
    answer(s, 200, "{\"subject\":\"t\",\"id\":4,\"version\":2,\"schema\":\"S\"}");
    assert_int_equal(kd_registry_latest(r, "t", &version, &id, &text, &err), KD_OK);
    assert_true(version == 2 && id == 4 && strcmp(text.p, "S") == 0);
    answer(s, 404, "{\"error_code\":40401,\"message\":\"no subject\"}");
    assert_int_equal(kd_registry_latest(r, "t", NULL, NULL, &text, &err), KD_ECONFIG);
    kd_buf_dispose(&why);
    kd_buf_dispose(&list);
    kd_buf_dispose(&text);
    kd_registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_register_and_lookup, start, stop),
        cmocka_unit_test_setup_teardown(test_get, start, stop),
        cmocka_unit_test_setup_teardown(test_trouble_is_transient, start, stop),
        cmocka_unit_test_setup_teardown(test_secrets_stay_secret, start, stop),
        cmocka_unit_test_setup_teardown(test_compatible_latest_subjects, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
