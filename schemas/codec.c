#include "schemas/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/fields.h"
#include "schemas/plan.h"
#include "schemas/walk.h"

enum {
    CONFLUENT_HEAD = 5,
    SINGLE_HEAD = 10,
    UNKNOWN_LOOKUPS = 1000,  /* life of "no such schema" without a clock, in look-ups of it */
    UNKNOWN_LIFE_MS = 30000, /* ... and with one */
    AWAY_MS = 1000,          /* a registry that did not answer is left alone, with a clock: at least
                                so long, ... */
    AWAY_TIMES = 4,          /* ... and so many times as long as the answer was waited for */
    UNKNOWN_MAX = 4096,      /* such entries kept; all go when there are more */
    TOPICS_MAX = 64,
    SECOND_MS = 1000,
};

/* A writer's schema: what an id or a fingerprint stands for. */
typedef struct writer {
    kd_avsc *schema; /* owned; NULL: there is none with that id, or it is no schema */
    kd_err why;      /* schema == NULL: what to tell */
    kd_ms since;
    uint32_t lookups;
    kd_plan *plans[KD_RECORD_TYPES];  /* owned; compiled at first use */
    kd_err *misfits[KD_RECORD_TYPES]; /* owned; why it does not resolve to that type */
} writer;

/* Keys (ids and fingerprints apart) to writers: open addressing, linear probing. */
typedef struct writer_map {
    uint64_t *keys;
    writer **vals; /* NULL = free */
    size_t cap, n; /* cap is a power of two, or 0 */
} writer_map;

typedef struct topic_schema {
    char *topic; /* owned */
    kd_schema_id id;
    unsigned char head[SINGLE_HEAD];
    size_t head_len;
} topic_schema;

struct kd_codec {
    kd_registry *registry; /* owned; NULL without one */
    bool require;
    kd_ms (*now)(void *);
    void *now_arg;
    writer_map by_id, by_fingerprint;
    size_t n_unknown; /* entries of by_id without a schema */
    kd_ms away_until; /* the registry did not answer, and why */
    kd_err away;
    bool is_asked; /* for the schema with id `asked`, since then */
    uint32_t asked;
    kd_ms asked_since;
    int64_t patience_ms;           /* see the options */
    kd_ms second_began, waited_ms; /* how much of it was used since */
    kd_avsc *own[KD_SCHEMAS];      /* owned by by_fingerprint's writers */
    topic_schema topics[TOPICS_MAX];
    size_t n_topics;
    uint64_t last_key; /* the id looked up last, and its writer */
    writer *last;
};

/* ---- writers ---- */

static void writer_free(writer *w)
{
    if (w == NULL)
        return;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        kd_plan_free(w->plans[t]);
        free(w->misfits[t]);
    }
    kd_avsc_free(w->schema);
    free(w);
}

static size_t slot_of(const writer_map *m, uint64_t key)
{
    size_t i = (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (m->cap - 1);
    while (m->vals[i] != NULL && m->keys[i] != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static writer *map_get(const writer_map *m, uint64_t key)
{
    return m->cap == 0 ? NULL : m->vals[slot_of(m, key)];
}

static kd_rc map_grow(writer_map *m, kd_err *err)
{
    writer_map grown = {.cap = m->cap == 0 ? 64 : m->cap * 2};
    grown.keys = calloc(grown.cap, sizeof *grown.keys);
    grown.vals = calloc(grown.cap, sizeof *grown.vals);
    if (grown.keys == NULL || grown.vals == NULL) {
        free(grown.keys);
        free(grown.vals);
        return kd_fail(err, KD_ENOMEM, "no room for %zu schemas", grown.cap);
    }
    for (size_t i = 0; i < m->cap; i++) {
        if (m->vals[i] == NULL)
            continue;
        size_t to = slot_of(&grown, m->keys[i]);
        grown.keys[to] = m->keys[i];
        grown.vals[to] = m->vals[i];
        grown.n++;
    }
    free(m->keys);
    free(m->vals);
    *m = grown;
    return KD_OK;
}

/* Gives w to the map; a writer that was there under that key is freed. On failure w is freed. */
static kd_rc map_put(writer_map *m, uint64_t key, writer *w, kd_err *err)
{
    if (m->n * 2 >= m->cap) {
        kd_rc rc = map_grow(m, err);
        if (rc != KD_OK) {
            writer_free(w);
            return rc;
        }
    }
    size_t i = slot_of(m, key);
    if (m->vals[i] == NULL)
        m->n++;
    else
        writer_free(m->vals[i]);
    m->keys[i] = key;
    m->vals[i] = w;
    return KD_OK;
}

static void map_dispose(writer_map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        writer_free(m->vals[i]);
    free(m->keys);
    free(m->vals);
    *m = (writer_map){0};
}

/* Forgets the entries without a schema. Rebuilt in place of deleting: it happens rarely. */
static kd_rc drop_unknown(kd_codec *c, kd_err *err)
{
    writer_map kept = {0}, *m = &c->by_id;
    while (kept.cap < m->cap)
        KD_TRY(map_grow(&kept, err));
    for (size_t i = 0; i < m->cap; i++) {
        if (m->vals[i] == NULL)
            continue;
        if (m->vals[i]->schema == NULL) {
            writer_free(m->vals[i]);
            continue;
        }
        size_t to = slot_of(&kept, m->keys[i]);
        kept.keys[to] = m->keys[i];
        kept.vals[to] = m->vals[i];
        kept.n++;
    }
    free(m->keys);
    free(m->vals);
    *m = kept;
    c->n_unknown = 0;
    c->last = NULL;
    return KD_OK;
}

static kd_rc add_schema(kd_codec *c, const char *text, kd_avsc **out, kd_err *err)
{
    kd_avsc *schema;
    KD_TRY(kd_avsc_parse(text, strlen(text), &schema, err));
    uint64_t fingerprint = kd_avsc_fingerprint(schema);
    writer *known = map_get(&c->by_fingerprint, fingerprint);
    if (known != NULL) { /* the same canonical form decodes the same */
        kd_avsc_free(schema);
        *out = known->schema;
        return KD_OK;
    }
    writer *w = calloc(1, sizeof *w);
    if (w == NULL) {
        kd_avsc_free(schema);
        return kd_fail(err, KD_ENOMEM, "no room for a schema");
    }
    w->schema = schema;
    *out = schema;
    return map_put(&c->by_fingerprint, fingerprint, w, err);
}

kd_rc kd_codec_new(const kd_codec_options *o, kd_codec **out, kd_err *err)
{
    kd_codec *c = calloc(1, sizeof *c);
    if (c == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a codec");
    c->require = o->require;
    c->now = o->now;
    c->now_arg = o->now_arg;
    c->patience_ms = o->patience_ms;
    kd_rc rc = KD_OK;
    if (o->registry.url != NULL)
        rc = kd_registry_new(&o->registry, &c->registry, err);
    for (int i = 0; i < KD_SCHEMAS && rc == KD_OK; i++)
        rc = add_schema(c, kd_schema_text((kd_schema_id)i), &c->own[i], err);
    if (rc != KD_OK) {
        kd_codec_free(c);
        return rc;
    }
    *out = c;
    return KD_OK;
}

void kd_codec_free(kd_codec *c)
{
    if (c == NULL)
        return;
    map_dispose(&c->by_id);
    map_dispose(&c->by_fingerprint);
    for (size_t i = 0; i < c->n_topics; i++)
        free(c->topics[i].topic);
    kd_registry_free(c->registry);
    free(c);
}

kd_registry *kd_codec_registry(kd_codec *c)
{
    return c->registry;
}

kd_rc kd_codec_add_schema(kd_codec *c, const char *text, kd_err *err)
{
    kd_avsc *schema;
    return add_schema(c, text, &schema, err);
}

/* ---- from framing to writer ---- */

static bool is_fresh(kd_codec *c, writer *w)
{
    if (w->schema != NULL)
        return true;
    if (c->now != NULL)
        return c->now(c->now_arg) - w->since < UNKNOWN_LIFE_MS;
    return ++w->lookups <= UNKNOWN_LOOKUPS;
}

static kd_ms now_of(const kd_codec *c)
{
    return c->now != NULL ? c->now(c->now_arg) : 0;
}

/* How long the answer to a new question may be waited for; < 0: to its end. */
static int64_t patience_at(kd_codec *c, kd_ms now)
{
    if (c->now == NULL || c->patience_ms == 0)
        return -1;
    if (now - c->second_began >= SECOND_MS) {
        c->second_began = now;
        c->waited_ms = 0;
    }
    return c->waited_ms < c->patience_ms ? c->patience_ms - c->waited_ms : 0;
}

/* Who waits for an answer that does not come has no time for anything else, so the question stays
 * under way, and KD_RETRY says so. */
static kd_rc ask_registry(kd_codec *c, uint32_t id, kd_buf *out, kd_err *err)
{
    kd_ms began = now_of(c);
    if (c->now != NULL && began < c->away_until) {
        *err = c->away;
        return c->away.rc;
    }
    int64_t wait_ms = c->is_asked ? 0 : patience_at(c, began);
    if (!c->is_asked)
        c->asked_since = began;
    c->is_asked = true;
    c->asked = id;
    kd_rc rc = kd_registry_ask(c->registry, (int32_t)id, wait_ms, out, err);
    kd_ms end = now_of(c);
    c->waited_ms += end - began;
    if (rc == KD_AGAIN)
        return err->rc = KD_RETRY;
    c->is_asked = false;
    if (rc == KD_RETRY && c->now != NULL) {
        kd_ms pause = (end - c->asked_since) * AWAY_TIMES;
        c->away_until = end + (pause < AWAY_MS ? AWAY_MS : pause);
        c->away = *err;
    }
    return rc;
}

/* Asks the registry. KD_OK gives a writer that is in by_id, with or without a schema. */
static kd_rc fetch_one(kd_codec *c, uint32_t id, writer **out, kd_err *err)
{
    kd_buf text = {0};
    kd_err why = {0};
    kd_avsc *schema = NULL;
    kd_rc rc = ask_registry(c, id, &text, &why);
    if (rc == KD_OK)
        rc = kd_avsc_parse(text.p, text.n, &schema, &why);
    kd_buf_dispose(&text);
    if (rc == KD_ECONFIG && schema == NULL &&
        why.rc == KD_ECONFIG) { /* there, but no Avro schema */
        char msg[sizeof why.msg];
        memcpy(msg, why.msg, sizeof msg);
        rc = kd_bad(&why, KD_REASON_SCHEMA, "schema id %u: %.200s", id, msg);
    }
    if (rc != KD_OK && rc != KD_EDATA) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    if (schema == NULL && c->n_unknown >= UNKNOWN_MAX)
        KD_TRY(drop_unknown(c, err));
    writer *w = calloc(1, sizeof *w);
    if (w == NULL) {
        kd_avsc_free(schema);
        return kd_fail(err, KD_ENOMEM, "no room for a schema");
    }
    w->schema = schema;
    w->why = why;
    w->since = now_of(c);
    c->last = NULL;
    writer *before = map_get(&c->by_id, id);
    if (before != NULL && before->schema == NULL)
        c->n_unknown--;
    KD_TRY(map_put(&c->by_id, id, w, err));
    if (schema == NULL)
        c->n_unknown++;
    *out = w;
    return KD_OK;
}

/* One question after the other: what another one gave is kept. */
static kd_rc fetch_writer(kd_codec *c, uint32_t id, writer **out, kd_err *err)
{
    writer *other;
    if (c->is_asked && c->asked != id)
        KD_TRY(fetch_one(c, c->asked, &other, err));
    return fetch_one(c, id, out, err);
}

bool kd_codec_tend(kd_codec *c)
{
    writer *w;
    kd_err why = {0};
    if (!c->is_asked)
        return false;
    return fetch_one(c, c->asked, &w, &why) == KD_OK;
}

static kd_rc writer_of_id(kd_codec *c, uint32_t id, writer **out, kd_err *err)
{
    if (c->last != NULL && c->last_key == id) {
        *out = c->last;
        return KD_OK;
    }
    if (c->registry == NULL)
        return kd_bad(
            err, KD_REASON_FRAMING,
            "the value has a registry's framing (schema id %u), no registry is configured: set "
            "schema.registry.url",
            id);
    writer *w = map_get(&c->by_id, id);
    if (w == NULL || !is_fresh(c, w))
        KD_TRY(fetch_writer(c, id, &w, err));
    if (w->schema == NULL) {
        if (err != NULL)
            *err = w->why;
        return KD_EDATA;
    }
    c->last = w;
    c->last_key = id;
    *out = w;
    return KD_OK;
}

/* The writer of a framed message, and its body. */
static kd_rc unframe(kd_codec *c, const unsigned char *p, size_t n, writer **out, kd_cursor *body,
                     kd_err *err)
{
    if (n >= CONFLUENT_HEAD && p[0] == 0) {
        uint32_t id = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
        KD_TRY(writer_of_id(c, id, out, err));
        *body = kd_cursor_of(p + CONFLUENT_HEAD, n - CONFLUENT_HEAD);
        return KD_OK;
    }
    if (n >= SINGLE_HEAD && p[0] == 0xC3 && p[1] == 0x01) {
        uint64_t fingerprint = 0;
        for (int i = 0; i < 8; i++)
            fingerprint |= (uint64_t)p[2 + i] << (8 * i);
        *out = map_get(&c->by_fingerprint, fingerprint);
        if (*out == NULL)
            return kd_bad(err, KD_REASON_SCHEMA, "no schema with fingerprint %016llx is known",
                          (unsigned long long)fingerprint);
        *body = kd_cursor_of(p + SINGLE_HEAD, n - SINGLE_HEAD);
        return KD_OK;
    }
    if (n == 0)
        return kd_bad(err, KD_REASON_FRAMING, "the value is empty");
    return kd_bad(err, KD_REASON_FRAMING,
                  "the value (%zu bytes, first 0x%02x) is neither in a registry's framing nor an "
                  "Avro single object",
                  n, p[0]);
}

static kd_rc plan_of(kd_codec *c, writer *w, kd_record_type type, const kd_plan **out, kd_err *err)
{
    if (w->plans[type] != NULL) {
        *out = w->plans[type];
        return KD_OK;
    }
    if (w->misfits[type] == NULL) {
        kd_err why = {0};
        kd_rc rc = kd_plan_compile(kd_avsc_root(w->schema), kd_avsc_nodes(w->schema),
                                   kd_avsc_root(c->own[type]), type, &w->plans[type], &why);
        if (rc == KD_OK) {
            *out = w->plans[type];
            return KD_OK;
        }
        if (rc == KD_EDATA)
            w->misfits[type] = malloc(sizeof why);
        if (w->misfits[type] == NULL) {
            if (err != NULL)
                *err = why;
            return rc;
        }
        *w->misfits[type] = why;
    }
    if (err != NULL)
        *err = *w->misfits[type];
    return KD_EDATA;
}

static kd_rc decode_null(kd_record_type expected, const void *key, size_t key_len, kd_record *out,
                         kd_err *err)
{
    if (expected != KD_CATALOG)
        return kd_bad(err, KD_REASON_FRAMING, "the value of a %s is null",
                      kd_record_type_name(expected));
    if (key == NULL || key_len == 0)
        return kd_bad(err, KD_REASON_ID, "a null value without a key removes nothing");
    if (key_len > KD_ID_MAX)
        return kd_bad(err, KD_REASON_ID, "the key has %zu bytes, at most %d are allowed", key_len,
                      KD_ID_MAX);
    kd_ms at = out->ts;
    kd_fields_init(out, KD_CATALOG);
    out->item_id = (kd_str){key, (uint32_t)key_len};
    out->time = at;
    out->removed = true;
    return KD_OK;
}

kd_rc kd_codec_decode(kd_codec *c, kd_record_type expected, const void *key, size_t key_len,
                      const void *value, size_t value_len, kd_record *out, kd_arena *a, kd_err *err)
{
    if (value == NULL)
        return decode_null(expected, key, key_len, out, err);
    writer *w;
    kd_cursor body;
    const kd_plan *plan;
    KD_TRY(unframe(c, value, value_len, &w, &body, err));
    KD_TRY(plan_of(c, w, expected, &plan, err));
    return kd_plan_decode_all(plan, body.p, kd_cursor_left(&body), out, a, err);
}

kd_rc kd_codec_to_json(kd_codec *c, const void *value, size_t value_len, kd_buf *out,
                       const char **name, kd_err *err)
{
    if (value == NULL) {
        kd_buf_adds(out, "null");
        if (name != NULL)
            *name = "null";
        return KD_OK;
    }
    writer *w;
    kd_cursor body;
    KD_TRY(unframe(c, value, value_len, &w, &body, err));
    const kd_avro_node *root = kd_avsc_root(w->schema);
    size_t before = out->n;
    kd_rc rc = kd_walk_json(root, &body, out, err);
    if (rc == KD_OK && body.p != body.end)
        rc = kd_bad(err, KD_REASON_DECODE, "%zu bytes are left behind the record",
                    kd_cursor_left(&body));
    if (rc != KD_OK) {
        out->n = before;
        return rc;
    }
    if (name != NULL)
        *name = root->name != NULL ? root->name : "";
    return KD_OK;
}

/* ---- writing ---- */

static topic_schema *find_topic(kd_codec *c, const char *topic, kd_schema_id id)
{
    for (size_t i = 0; i < c->n_topics; i++)
        if (c->topics[i].id == id && strcmp(c->topics[i].topic, topic) == 0)
            return &c->topics[i];
    return NULL;
}

static kd_rc confluent_head(kd_codec *c, const char *topic, topic_schema *t, kd_err *err)
{
    size_t n = strlen(topic) + sizeof "-value";
    char *subject = malloc(n);
    if (subject == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a subject");
    snprintf(subject, n, "%s-value", topic);
    int32_t id = 0;
    const char *text = kd_schema_text(t->id);
    kd_rc rc = c->require ? kd_registry_lookup(c->registry, subject, text, &id, err)
                          : kd_registry_register(c->registry, subject, text, &id, err);
    free(subject);
    KD_TRY(rc);
    t->head[0] = 0;
    for (int i = 0; i < 4; i++)
        t->head[1 + i] = (unsigned char)((uint32_t)id >> (24 - 8 * i));
    t->head_len = CONFLUENT_HEAD;
    return KD_OK;
}

static void single_head(const kd_codec *c, topic_schema *t)
{
    uint64_t fingerprint = kd_avsc_fingerprint(c->own[t->id]);
    t->head[0] = 0xC3;
    t->head[1] = 0x01;
    for (int i = 0; i < 8; i++)
        t->head[2 + i] = (unsigned char)(fingerprint >> (8 * i));
    t->head_len = SINGLE_HEAD;
}

kd_rc kd_codec_prepare(kd_codec *c, const char *topic, kd_schema_id id, kd_err *err)
{
    if (find_topic(c, topic, id) != NULL)
        return KD_OK;
    if (c->n_topics >= TOPICS_MAX)
        return kd_fail(err, KD_ECONFIG, "more than %d pairs of topic and schema", (int)TOPICS_MAX);
    topic_schema t = {.id = id};
    if (c->registry != NULL)
        KD_TRY(confluent_head(c, topic, &t, err));
    else
        single_head(c, &t);
    t.topic = strdup(topic);
    if (t.topic == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a topic");
    c->topics[c->n_topics++] = t;
    return KD_OK;
}

static kd_rc put_head(kd_codec *c, const char *topic, kd_schema_id id, kd_buf *out, kd_err *err)
{
    const topic_schema *t = find_topic(c, topic, id);
    if (t == NULL)
        return kd_fail(err, KD_EBUG, "%s was not prepared for topic %s", kd_schema_name(id), topic);
    kd_buf_add(out, t->head, t->head_len);
    return KD_OK;
}

static kd_rc check_room(kd_buf *out, kd_err *err)
{
    return out->failed ? kd_fail(err, KD_ENOMEM, "no room for a message") : KD_OK;
}

kd_rc kd_codec_encode_record(kd_codec *c, const char *topic, const kd_record *r, kd_buf *out,
                             kd_err *err)
{
    KD_TRY(put_head(c, topic, (kd_schema_id)r->type, out, err));
    kd_record_encode(r, out);
    return check_room(out, err);
}

kd_rc kd_codec_encode_out(kd_codec *c, const char *topic, const kd_out *o, kd_buf *out, kd_err *err)
{
    if (o->type == KD_OUT_FORGOTTEN)
        return KD_OK;
    KD_TRY(put_head(c, topic, kd_schema_of_out(o->type), out, err));
    kd_out_encode(o, out);
    return check_room(out, err);
}
