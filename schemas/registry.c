#include "schemas/registry.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "schemas/json.h"
#include "schemas/jval.h"

enum { ANSWER_MAX = 4 << 20, TIMEOUT_DEFAULT_MS = 5000, LOOK_MS = 1000 };
#define NOTHING INT64_MIN

struct kd_registry {
    CURLM *multi;               /* owned; keeps the connection */
    CURL *curl;                 /* owned; in multi while a request is under way */
    struct curl_slist *headers; /* owned */
    char *base;                 /* owned; without user, password, trailing slash */
    kd_buf url, body, answer;
    uint64_t requests;
    int64_t asked; /* id of the schema that is being asked for, or NOTHING */
    char curl_error[CURL_ERROR_SIZE];
};

static size_t on_answer(char *p, size_t size, size_t n, void *arg)
{
    kd_registry *r = arg;
    n *= size;
    if (r->answer.n + n > ANSWER_MAX)
        return 0; /* ends the transfer with CURLE_WRITE_ERROR */
    kd_buf_add(&r->answer, p, n);
    return r->answer.failed ? 0 : n;
}

/* Splits user and password off the URL, since the URL shows in messages. */
static kd_rc set_url(kd_registry *r, const char *url, kd_err *err)
{
    CURLU *u = curl_url();
    char *user = NULL, *password = NULL, *clean = NULL, *scheme = NULL;
    bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (ok) {
        if (curl_url_get(u, CURLUPART_USER, &user, CURLU_URLDECODE) == CURLUE_OK)
            curl_easy_setopt(r->curl, CURLOPT_USERNAME, user);
        if (curl_url_get(u, CURLUPART_PASSWORD, &password, CURLU_URLDECODE) == CURLUE_OK)
            curl_easy_setopt(r->curl, CURLOPT_PASSWORD, password);
        curl_url_set(u, CURLUPART_USER, NULL, 0);
        curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(u, CURLUPART_QUERY, NULL, 0);
        curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
        ok = curl_url_get(u, CURLUPART_URL, &clean, 0) == CURLUE_OK;
    }
    if (ok) {
        size_t n = strlen(clean);
        while (n > 0 && clean[n - 1] == '/')
            clean[--n] = '\0';
        r->base = strdup(clean);
    }
    curl_free(user);
    curl_free(password);
    curl_free(scheme);
    curl_free(clean);
    curl_url_cleanup(u);
    if (!ok) /* not repeated: it may hold a password */
        return kd_fail(err, KD_ECONFIG,
                       "the registry's URL is none: http://host:port[/path] or "
                       "https://... is wanted");
    return r->base == NULL ? kd_fail(err, KD_ENOMEM, "no room for a URL") : KD_OK;
}

static kd_rc set_options(kd_registry *r, const kd_registry_options *o, kd_err *err)
{
    long timeout_ms = o->timeout_ms > 0 ? (long)o->timeout_ms : TIMEOUT_DEFAULT_MS;
    CURL *h = r->curl;
    bool ok = true;
    ok = ok && curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK;
    ok = ok && curl_easy_setopt(h, CURLOPT_WRITEDATA, r) == CURLE_OK;
    ok = ok && curl_easy_setopt(h, CURLOPT_ERRORBUFFER, r->curl_error) == CURLE_OK;
    ok = ok && curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok = ok && curl_easy_setopt(h, CURLOPT_USERAGENT, "kindred/" KD_VERSION) == CURLE_OK;
    r->headers = curl_slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json");
    struct curl_slist *more = curl_slist_append(
        r->headers, "Accept: application/vnd.schemaregistry.v1+json, application/json");
    ok = ok && more != NULL;
    ok = ok && curl_easy_setopt(h, CURLOPT_HTTPHEADER, r->headers) == CURLE_OK;
    if (o->basic_auth != NULL) {
        if (strchr(o->basic_auth, ':') == NULL)
            return kd_fail(err, KD_ECONFIG, "the registry's user info is not user:password");
        ok = ok && curl_easy_setopt(h, CURLOPT_USERPWD, o->basic_auth) == CURLE_OK;
    }
    ok = ok && curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK;
    if (o->ca_file != NULL)
        ok = ok && curl_easy_setopt(h, CURLOPT_CAINFO, o->ca_file) == CURLE_OK;
    return ok ? KD_OK : kd_fail(err, KD_ENOMEM, "libcurl takes no options");
}

/* Of a question whose answer nobody waits for any more. */
static void give_up(kd_registry *r)
{
    if (r->asked != NOTHING)
        curl_multi_remove_handle(r->multi, r->curl);
    r->asked = NOTHING;
}

kd_rc kd_registry_new(const kd_registry_options *o, kd_registry **out, kd_err *err)
{
    kd_registry *r = calloc(1, sizeof *r);
    if (r == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a registry client");
    /* Counted by libcurl, and safe on any thread since its 7.84 on systems with atomics. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(r);
        return kd_fail(err, KD_EIO, "libcurl does not start");
    }
    r->asked = NOTHING;
    r->curl = curl_easy_init();
    r->multi = curl_multi_init();
    kd_rc rc = r->curl == NULL || r->multi == NULL
                   ? kd_fail(err, KD_ENOMEM, "no room for a registry client")
                   : KD_OK;
    if (rc == KD_OK)
        rc = set_url(r, o->url == NULL ? "" : o->url, err);
    if (rc == KD_OK)
        rc = set_options(r, o, err);
    if (rc != KD_OK) {
        kd_registry_free(r);
        return rc;
    }
    *out = r;
    return KD_OK;
}

void kd_registry_free(kd_registry *r)
{
    if (r == NULL)
        return;
    give_up(r);
    curl_easy_cleanup(r->curl);
    curl_multi_cleanup(r->multi);
    curl_slist_free_all(r->headers);
    free(r->base);
    kd_buf_dispose(&r->url);
    kd_buf_dispose(&r->body);
    kd_buf_dispose(&r->answer);
    curl_global_cleanup();
    free(r);
}

uint64_t kd_registry_requests(const kd_registry *r)
{
    return r->requests;
}

/* ---- one call ---- */

static void begin(kd_registry *r)
{
    give_up(r);
    kd_buf_clear(&r->url);
    kd_buf_clear(&r->body);
    kd_buf_adds(&r->url, r->base);
}

/* Appends "/subjects/NAME" with the name made safe for a path. */
static void add_subject(kd_registry *r, const char *lead, const char *subject)
{
    char *safe = curl_easy_escape(r->curl, subject, 0);
    kd_buf_adds(&r->url, lead);
    kd_buf_adds(&r->url, safe == NULL ? "" : safe);
    r->url.failed = r->url.failed || safe == NULL;
    curl_free(safe);
}

static void add_schema_body(kd_registry *r, const char *schema)
{
    kd_buf_adds(&r->body, "{\"schema\":");
    kd_json_str(&r->body, kd_str_of(schema));
    kd_buf_adds(&r->body, "}");
}

static kd_rc transport_err(const kd_registry *r, CURLcode code, kd_err *err)
{
    const char *text = r->curl_error[0] != '\0' ? r->curl_error : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return kd_fail(err, KD_ENOMEM, "no room to talk to the registry");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return kd_fail(err, KD_ECONFIG, "registry %.90s: %.120s", r->base, text);
    default:
        return kd_fail(err, KD_RETRY, "registry %.90s: %.120s", r->base, text);
    }
}

/* Begins to send what begin() and add_*() laid out; POST if there is a body. */
static kd_rc send_request(kd_registry *r, kd_err *err)
{
    kd_buf_addc(&r->url, '\0');
    if (r->url.failed || r->body.failed)
        return kd_fail(err, KD_ENOMEM, "no room for a request");
    kd_buf_clear(&r->answer);
    r->curl_error[0] = '\0';
    curl_easy_setopt(r->curl, CURLOPT_URL, r->url.p);
    if (r->body.n > 0) {
        curl_easy_setopt(r->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(r->curl, CURLOPT_POSTFIELDS, r->body.p);
        curl_easy_setopt(r->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
    } else {
        curl_easy_setopt(r->curl, CURLOPT_HTTPGET, 1L);
    }
    r->requests++;
    if (curl_multi_add_handle(r->multi, r->curl) != CURLM_OK)
        return kd_fail(err, KD_ENOMEM, "no room to talk to the registry");
    return KD_OK;
}

/* Goes on with the request for at most wait_ms (< 0: to its end, which comes by its timeout).
 * KD_AGAIN: it is not over; else it is, and KD_OK for any HTTP answer. */
static kd_rc receive(kd_registry *r, int64_t wait_ms, long *out_status, kd_err *err)
{
    int64_t until = kd_clock_mono_ms() + wait_ms;
    int n_running = 0, n_left = 0;
    for (;;) {
        CURLMcode code = curl_multi_perform(r->multi, &n_running);
        int64_t left = wait_ms < 0 ? LOOK_MS : until - kd_clock_mono_ms();
        if (code != CURLM_OK || n_running == 0)
            break;
        if (left <= 0)
            return kd_fail(err, KD_AGAIN, "registry %.90s has not answered yet", r->base);
        curl_multi_poll(r->multi, NULL, 0, left < LOOK_MS ? (int)left : LOOK_MS, NULL);
    }
    const CURLMsg *end = curl_multi_info_read(r->multi, &n_left);
    CURLcode code = end == NULL ? CURLE_RECV_ERROR : end->data.result;
    curl_multi_remove_handle(r->multi, r->curl);
    if (r->answer.failed)
        return kd_fail(err, KD_ENOMEM, "no room for the registry's answer");
    if (code != CURLE_OK)
        return transport_err(r, code, err);
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, out_status);
    return KD_OK;
}

static kd_rc perform(kd_registry *r, long *out_status, kd_err *err)
{
    KD_TRY(send_request(r, err));
    return receive(r, -1, out_status, err);
}

static void keep_printable(char *z)
{
    for (; *z != '\0'; z++)
        if ((unsigned char)*z < 0x20 || (unsigned char)*z >= 0x7f)
            *z = ' ';
}

typedef struct refusal {
    int64_t code;   /* the registry's own, such as 40403; 0 if the answer has none */
    char text[160]; /* its message, one line */
} refusal;

static refusal read_refusal(const kd_registry *r)
{
    refusal f = {0};
    kd_jval *v = NULL;
    if (r->answer.n > 0 && kd_jval_parse(r->answer.p, r->answer.n, &v, NULL) == KD_OK) {
        const kd_jval *code = kd_jval_get(v, "error_code");
        kd_str text = kd_jval_str(kd_jval_get(v, "message"));
        if (code != NULL && kd_jval_kind(code) == KD_JINT)
            f.code = kd_jval_int(code);
        size_t n = text.n < sizeof f.text ? text.n : sizeof f.text - 1;
        if (text.p != NULL)
            memcpy(f.text, text.p, n);
        keep_printable(f.text);
    }
    kd_jval_free(v);
    return f;
}

static bool is_not_there(long status, const refusal *f)
{
    return status == 404 && f->code >= 40400 && f->code <= 40499;
}

/* What every call makes of a status that it does not know better. */
static kd_rc status_err(const kd_registry *r, long status, const refusal *f, kd_err *err)
{
    if (status == 401 || status == 403)
        return kd_fail(err, KD_ECONFIG,
                       "registry %.90s refuses access (%ld): set "
                       "schema.registry.basic.auth",
                       r->base, status);
    if (status == 429 || status >= 500)
        return kd_fail(err, KD_RETRY, "registry %.80s answers %ld: %.100s", r->base, status,
                       f->text);
    if (status == 404)
        return kd_fail(err, KD_ECONFIG, "registry %.90s answers 404: is the path of its URL right",
                       r->base);
    return kd_fail(err, KD_ECONFIG, "registry %.80s answers %ld: %.100s", r->base, status, f->text);
}

static kd_rc garbage(const kd_registry *r, kd_err *err)
{
    return kd_fail(err, KD_RETRY, "%.120s answers, but not as a schema registry does", r->base);
}

/* The answer of a 200 as an object or array. *out is owned. */
static kd_rc parse_answer(const kd_registry *r, kd_jkind kind, kd_jval **out, kd_err *err)
{
    kd_jval *v;
    kd_rc rc = kd_jval_parse(r->answer.p == NULL ? "" : r->answer.p, r->answer.n, &v, NULL);
    if (rc == KD_ENOMEM)
        return kd_fail(err, rc, "no room for the registry's answer");
    if (rc != KD_OK)
        return garbage(r, err);
    if (kd_jval_kind(v) != kind) {
        kd_jval_free(v);
        return garbage(r, err);
    }
    *out = v;
    return KD_OK;
}

static bool get_int32(const kd_jval *v, const char *key, int32_t *out)
{
    const kd_jval *x = kd_jval_get(v, key);
    if (x == NULL || kd_jval_kind(x) != KD_JINT || kd_jval_int(x) < 0 || kd_jval_int(x) > INT32_MAX)
        return false;
    *out = (int32_t)kd_jval_int(x);
    return true;
}

static kd_rc read_id(const kd_registry *r, int32_t *out_id, kd_err *err)
{
    kd_jval *v;
    KD_TRY(parse_answer(r, KD_JOBJECT, &v, err));
    bool ok = get_int32(v, "id", out_id);
    kd_jval_free(v);
    return ok ? KD_OK : garbage(r, err);
}

kd_rc kd_registry_register(kd_registry *r, const char *subject, const char *schema, int32_t *out_id,
                           kd_err *err)
{
    long status;
    begin(r);
    add_subject(r, "/subjects/", subject);
    kd_buf_adds(&r->url, "/versions");
    add_schema_body(r, schema);
    KD_TRY(perform(r, &status, err));
    if (status == 200 || status == 201)
        return read_id(r, out_id, err);
    refusal f = read_refusal(r);
    if (status == 409)
        return kd_fail(err, KD_ECONFIG,
                       "subject %.60s has an incompatible schema: write to another "
                       "topic or change the subject's compatibility (%.90s)",
                       subject, f.text);
    if (status == 422)
        return kd_fail(err, KD_ECONFIG, "the registry finds our schema of %.60s invalid: %.120s",
                       subject, f.text);
    return status_err(r, status, &f, err);
}

kd_rc kd_registry_lookup(kd_registry *r, const char *subject, const char *schema, int32_t *out_id,
                         kd_err *err)
{
    long status;
    begin(r);
    add_subject(r, "/subjects/", subject);
    add_schema_body(r, schema);
    KD_TRY(perform(r, &status, err));
    if (status == 200)
        return read_id(r, out_id, err);
    refusal f = read_refusal(r);
    if (is_not_there(status, &f))
        return kd_fail(err, KD_ECONFIG,
                       "the schema of subject %.80s is not registered: run `kindred "
                       "schemas register`, or allow it at start",
                       subject);
    return status_err(r, status, &f, err);
}

kd_rc kd_registry_get(kd_registry *r, int32_t id, kd_buf *out, kd_err *err)
{
    return kd_registry_ask(r, id, -1, out, err);
}

kd_rc kd_registry_ask(kd_registry *r, int32_t id, int64_t wait_ms, kd_buf *out, kd_err *err)
{
    long status;
    if (r->asked != id) {
        begin(r);
        kd_buf_addf(&r->url, "/schemas/ids/%lu", (unsigned long)(uint32_t)id);
        KD_TRY(send_request(r, err));
        r->asked = id;
    }
    kd_rc got = receive(r, wait_ms, &status, err);
    if (got != KD_AGAIN)
        r->asked = NOTHING;
    KD_TRY(got);
    if (status != 200) {
        refusal f = read_refusal(r);
        if (is_not_there(status, &f) || status == 400 || status == 422)
            return kd_bad(err, KD_REASON_SCHEMA, "the registry has no schema with id %lu",
                          (unsigned long)(uint32_t)id);
        return status_err(r, status, &f, err);
    }
    kd_jval *v;
    KD_TRY(parse_answer(r, KD_JOBJECT, &v, err));
    kd_str text = kd_jval_str(kd_jval_get(v, "schema"));
    kd_str type = kd_jval_str(kd_jval_get(v, "schemaType"));
    kd_rc rc = KD_OK;
    if (text.p == NULL)
        rc = garbage(r, err);
    else if (type.p != NULL && !kd_str_eq(type, kd_str_of("AVRO")))
        rc = kd_bad(err, KD_REASON_SCHEMA, "the schema with id %lu is %.20s, not Avro",
                    (unsigned long)(uint32_t)id, type.p);
    else
        kd_buf_add(out, text.p, (size_t)text.n + 1);
    kd_jval_free(v);
    KD_TRY(rc);
    if (out->failed)
        return kd_fail(err, KD_ENOMEM, "no room for a schema");
    out->n--;
    return KD_OK;
}

kd_rc kd_registry_latest(kd_registry *r, const char *subject, int32_t *out_version, int32_t *out_id,
                         kd_buf *out, kd_err *err)
{
    long status;
    begin(r);
    add_subject(r, "/subjects/", subject);
    kd_buf_adds(&r->url, "/versions/latest");
    KD_TRY(perform(r, &status, err));
    if (status != 200) {
        refusal f = read_refusal(r);
        if (is_not_there(status, &f))
            return kd_fail(err, KD_ECONFIG, "the registry has no subject %.80s", subject);
        return status_err(r, status, &f, err);
    }
    kd_jval *v;
    KD_TRY(parse_answer(r, KD_JOBJECT, &v, err));
    kd_str text = kd_jval_str(kd_jval_get(v, "schema"));
    int32_t version, id;
    bool ok = text.p != NULL && get_int32(v, "version", &version) && get_int32(v, "id", &id);
    if (ok) {
        kd_buf_add(out, text.p, (size_t)text.n + 1);
        if (!out->failed)
            out->n--;
        if (out_version != NULL)
            *out_version = version;
        if (out_id != NULL)
            *out_id = id;
    }
    kd_jval_free(v);
    if (!ok)
        return garbage(r, err);
    return out->failed ? kd_fail(err, KD_ENOMEM, "no room for a schema") : KD_OK;
}

static void put_messages(const kd_jval *v, kd_buf *why)
{
    const kd_jval *list = kd_jval_get(v, "messages");
    for (size_t i = 0; list != NULL && kd_jval_kind(list) == KD_JARRAY && i < kd_jval_size(list);
         i++) {
        kd_str s = kd_jval_str(kd_jval_at(list, i));
        if (s.p == NULL)
            continue;
        kd_buf_add(why, s.p, s.n);
        kd_buf_addc(why, '\n');
    }
}

kd_rc kd_registry_compatible(kd_registry *r, const char *subject, const char *schema, bool *out,
                             kd_buf *why, kd_err *err)
{
    long status;
    begin(r);
    add_subject(r, "/compatibility/subjects/", subject);
    kd_buf_adds(&r->url, "/versions/latest?verbose=true");
    add_schema_body(r, schema);
    KD_TRY(perform(r, &status, err));
    if (status != 200) {
        refusal f = read_refusal(r);
        if (!is_not_there(status, &f))
            return status_err(r, status, &f, err);
        *out = true;
        return KD_OK;
    }
    kd_jval *v;
    KD_TRY(parse_answer(r, KD_JOBJECT, &v, err));
    const kd_jval *answer = kd_jval_get(v, "is_compatible");
    bool ok = answer != NULL && kd_jval_kind(answer) == KD_JBOOL;
    if (ok) {
        *out = kd_jval_bool(answer);
        if (why != NULL)
            put_messages(v, why);
    }
    kd_jval_free(v);
    return ok ? KD_OK : garbage(r, err);
}

kd_rc kd_registry_subjects(kd_registry *r, void (*each)(void *arg, const char *subject), void *arg,
                           kd_err *err)
{
    long status;
    begin(r);
    kd_buf_adds(&r->url, "/subjects");
    KD_TRY(perform(r, &status, err));
    if (status != 200) {
        refusal f = read_refusal(r);
        return status_err(r, status, &f, err);
    }
    kd_jval *v;
    KD_TRY(parse_answer(r, KD_JARRAY, &v, err));
    for (size_t i = 0; i < kd_jval_size(v); i++) {
        kd_str s = kd_jval_str(kd_jval_at(v, i));
        if (s.p != NULL)
            each(arg, s.p);
    }
    kd_jval_free(v);
    return KD_OK;
}
