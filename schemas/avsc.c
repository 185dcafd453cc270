#include "schemas/avsc.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "schemas/jval.h"

enum { ARENA_CAP = 32 << 20, NAME_MAX_BYTES = 1024 };

struct kd_avsc {
    kd_arena *arena; /* owned; the tree lives in it */
    kd_avro_node *root;
    kd_avro_node **named; /* types by name, in order of definition */
    size_t n_named;
    uint32_t n_nodes;
    uint64_t fingerprint;
};

typedef struct parser {
    kd_avsc *s;
    kd_err *err;
    unsigned depth;
} parser;

static const char *const primitive_names[KD_AVRO_PRIMITIVES] = {
    "null", "boolean", "int", "long", "float", "double", "bytes", "string"};

static kd_rc no_room(parser *ps)
{
    return kd_fail(ps->err, KD_ENOMEM, "no room for the schema");
}

static kd_rc new_node(parser *ps, kd_avro_kind kind, kd_avro_node **out)
{
    if (ps->s->n_nodes >= KD_AVSC_NODES_MAX)
        return kd_fail(ps->err, KD_ECONFIG, "the schema has more than %d types",
                       (int)KD_AVSC_NODES_MAX);
    kd_avro_node *node = kd_arena_calloc(ps->s->arena, 1, sizeof *node);
    if (node == NULL)
        return no_room(ps);
    node->kind = kind;
    node->index = ps->s->n_nodes++;
    node->is_empty = kind == KD_AVRO_NULL;
    *out = node;
    return KD_OK;
}

static bool is_name(kd_str s)
{
    if (s.n == 0)
        return false;
    for (uint32_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return true;
}

static bool is_dotted_name(kd_str s)
{
    uint32_t from = 0;
    for (uint32_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != '.')
            continue;
        if (!is_name((kd_str){s.p + from, i - from}))
            return false;
        from = i + 1;
    }
    return s.n < NAME_MAX_BYTES;
}

static bool has_dot(kd_str s)
{
    return s.n > 0 && memchr(s.p, '.', s.n) != NULL;
}

/* name, or ns.name where it has no dot and there is a namespace. NULL when out of memory. */
static const char *full_name(parser *ps, kd_str name, kd_str ns)
{
    if (has_dot(name) || ns.n == 0)
        return kd_arena_strz(ps->s->arena, name);
    size_t n = (size_t)ns.n + 1 + name.n + 1;
    char *full = kd_arena_alloc(ps->s->arena, n);
    if (full != NULL)
        snprintf(full, n, KD_STR_FMT "." KD_STR_FMT, KD_STR_ARG(ns), KD_STR_ARG(name));
    return full;
}

static kd_avro_node *find_named(const parser *ps, const char *full)
{
    for (size_t i = 0; i < ps->s->n_named; i++)
        if (strcmp(ps->s->named[i]->name, full) == 0)
            return ps->s->named[i];
    return NULL;
}

static kd_rc parse_node(parser *ps, const kd_jval *v, kd_str ns, kd_avro_node **out);

static kd_rc parse_reference(parser *ps, kd_str name, kd_str ns, kd_avro_node **out)
{
    for (int k = 0; k < KD_AVRO_PRIMITIVES; k++)
        if (kd_str_eq(name, kd_str_of(primitive_names[k])))
            return new_node(ps, (kd_avro_kind)k, out);
    const char *full = full_name(ps, name, ns);
    if (full == NULL)
        return no_room(ps);
    kd_avro_node *node = find_named(ps, full);
    if (node == NULL)
        return kd_fail(ps->err, KD_ECONFIG,
                       "type \"%.60s\" is neither primitive nor defined before", full);
    *out = node;
    return KD_OK;
}

static kd_rc parse_union(parser *ps, const kd_jval *v, kd_str ns, kd_avro_node **out)
{
    kd_avro_node *node;
    KD_TRY(new_node(ps, KD_AVRO_UNION, &node));
    size_t n = kd_jval_size(v);
    if (n == 0)
        return kd_fail(ps->err, KD_ECONFIG, "a union has no branches");
    const kd_avro_node **branches = kd_arena_calloc(ps->s->arena, n, sizeof *branches);
    if (branches == NULL)
        return no_room(ps);
    for (size_t i = 0; i < n; i++) {
        kd_avro_node *branch;
        KD_TRY(parse_node(ps, kd_jval_at(v, i), ns, &branch));
        if (branch->kind == KD_AVRO_UNION)
            return kd_fail(ps->err, KD_ECONFIG, "a union stands directly in a union");
        for (size_t k = 0; k < i; k++) {
            bool is_same =
                branch->name == NULL ? branches[k]->kind == branch->kind : branches[k] == branch;
            if (is_same)
                return kd_fail(ps->err, KD_ECONFIG, "a union has two branches of one type");
        }
        branches[i] = branch;
    }
    node->branches = branches;
    node->n = n;
    *out = node;
    return KD_OK;
}

/* A list of names; `ns` non-null makes them full. */
static kd_rc parse_aliases(parser *ps, const kd_jval *v, kd_str ns, bool is_full,
                           const char *const **out, size_t *out_n)
{
    if (v == NULL)
        return KD_OK;
    if (kd_jval_kind(v) != KD_JARRAY)
        return kd_fail(ps->err, KD_ECONFIG, "aliases are no array");
    size_t n = kd_jval_size(v);
    const char **list = kd_arena_calloc(ps->s->arena, n, sizeof *list);
    if (list == NULL)
        return no_room(ps);
    for (size_t i = 0; i < n; i++) {
        kd_str s = kd_jval_str(kd_jval_at(v, i));
        if (s.p == NULL || !is_dotted_name(s))
            return kd_fail(ps->err, KD_ECONFIG, "an alias is no name");
        list[i] = is_full ? full_name(ps, s, ns) : kd_arena_strz(ps->s->arena, s);
        if (list[i] == NULL)
            return no_room(ps);
    }
    *out = list;
    *out_n = n;
    return KD_OK;
}

/* Gives the node its full name, makes it known, and sets *ns to the namespace it opens. */
static kd_rc define_name(parser *ps, const kd_jval *v, kd_str *ns, kd_avro_node *node)
{
    kd_str name = kd_jval_str(kd_jval_get(v, "name"));
    if (name.p == NULL || !is_dotted_name(name))
        return kd_fail(ps->err, KD_ECONFIG, "a named type has no valid name");
    kd_str own = kd_jval_str(kd_jval_get(v, "namespace"));
    if (own.p != NULL && own.n > 0 && !is_dotted_name(own))
        return kd_fail(ps->err, KD_ECONFIG, "namespace of \"%.60s\" is no name", name.p);
    node->name = full_name(ps, name, own.p != NULL ? own : *ns);
    if (node->name == NULL)
        return no_room(ps);
    const char *last = strrchr(node->name, '.');
    *ns = last == NULL ? (kd_str){"", 0} : (kd_str){node->name, (uint32_t)(last - node->name)};
    if (find_named(ps, node->name) != NULL)
        return kd_fail(ps->err, KD_ECONFIG, "type \"%.60s\" is defined twice", node->name);
    ps->s->named[ps->s->n_named++] = node; /* room for KD_AVSC_NODES_MAX */
    return parse_aliases(ps, kd_jval_get(v, "aliases"), *ns, true, &node->aliases,
                         &node->n_aliases);
}

static kd_rc parse_field(parser *ps, const kd_jval *v, kd_str ns, kd_avro_field *out)
{
    kd_str name = kd_jval_str(kd_jval_get(v, "name"));
    if (name.p == NULL || !is_name(name))
        return kd_fail(ps->err, KD_ECONFIG, "a field has no valid name");
    out->name = kd_arena_strz(ps->s->arena, name);
    if (out->name == NULL)
        return no_room(ps);
    const kd_jval *type = kd_jval_get(v, "type");
    if (type == NULL)
        return kd_fail(ps->err, KD_ECONFIG, "field \"%.60s\" has no type", out->name);
    kd_avro_node *node;
    KD_TRY(parse_node(ps, type, ns, &node));
    out->type = node;
    const kd_jval *def = kd_jval_get(v, "default");
    if (def != NULL) {
        out->default_json = kd_jval_dump(def, ps->s->arena);
        if (out->default_json == NULL)
            return no_room(ps);
    }
    return parse_aliases(ps, kd_jval_get(v, "aliases"), ns, false, &out->aliases, &out->n_aliases);
}

static kd_rc parse_record(parser *ps, const kd_jval *v, kd_str ns, kd_avro_node **out)
{
    kd_avro_node *node;
    KD_TRY(new_node(ps, KD_AVRO_RECORD, &node));
    KD_TRY(define_name(ps, v, &ns, node));
    const kd_jval *list = kd_jval_get(v, "fields");
    if (list == NULL || kd_jval_kind(list) != KD_JARRAY)
        return kd_fail(ps->err, KD_ECONFIG, "record \"%.60s\" has no array of fields", node->name);
    size_t n = kd_jval_size(list);
    if (n > KD_AVSC_NODES_MAX)
        return kd_fail(ps->err, KD_ECONFIG, "record \"%.60s\" has %zu fields", node->name, n);
    kd_avro_field *fields = kd_arena_calloc(ps->s->arena, n, sizeof *fields);
    if (fields == NULL)
        return no_room(ps);
    for (size_t i = 0; i < n; i++) {
        KD_TRY(parse_field(ps, kd_jval_at(list, i), ns, &fields[i]));
        for (size_t k = 0; k < i; k++)
            if (strcmp(fields[k].name, fields[i].name) == 0)
                return kd_fail(ps->err, KD_ECONFIG, "field \"%.60s\" is defined twice",
                               fields[i].name);
    }
    node->fields = fields;
    node->n = n;
    *out = node;
    return KD_OK;
}

static kd_rc parse_enum(parser *ps, const kd_jval *v, kd_str ns, kd_avro_node **out)
{
    kd_avro_node *node;
    KD_TRY(new_node(ps, KD_AVRO_ENUM, &node));
    KD_TRY(define_name(ps, v, &ns, node));
    const kd_jval *list = kd_jval_get(v, "symbols");
    if (list == NULL || kd_jval_kind(list) != KD_JARRAY)
        return kd_fail(ps->err, KD_ECONFIG, "enum \"%.60s\" has no array of symbols", node->name);
    size_t n = kd_jval_size(list);
    if (n > KD_AVSC_NODES_MAX)
        return kd_fail(ps->err, KD_ECONFIG, "enum \"%.60s\" has %zu symbols", node->name, n);
    const char **symbols = kd_arena_calloc(ps->s->arena, n, sizeof *symbols);
    if (symbols == NULL)
        return no_room(ps);
    for (size_t i = 0; i < n; i++) {
        kd_str s = kd_jval_str(kd_jval_at(list, i));
        if (s.p == NULL || !is_name(s))
            return kd_fail(ps->err, KD_ECONFIG, "a symbol of \"%.60s\" is no name", node->name);
        symbols[i] = kd_arena_strz(ps->s->arena, s);
        if (symbols[i] == NULL)
            return no_room(ps);
        for (size_t k = 0; k < i; k++)
            if (strcmp(symbols[k], symbols[i]) == 0)
                return kd_fail(ps->err, KD_ECONFIG, "symbol \"%.60s\" stands twice in \"%.60s\"",
                               symbols[i], node->name);
    }
    node->symbols = symbols;
    node->n = n;
    *out = node;
    return KD_OK;
}

static kd_rc parse_fixed(parser *ps, const kd_jval *v, kd_str ns, kd_avro_node **out)
{
    kd_avro_node *node;
    KD_TRY(new_node(ps, KD_AVRO_FIXED, &node));
    KD_TRY(define_name(ps, v, &ns, node));
    const kd_jval *size = kd_jval_get(v, "size");
    if (size == NULL || kd_jval_kind(size) != KD_JINT || kd_jval_int(size) < 0)
        return kd_fail(ps->err, KD_ECONFIG, "fixed \"%.60s\" has no valid size", node->name);
    node->size = kd_jval_int(size);
    *out = node;
    return KD_OK;
}

static kd_rc parse_items(parser *ps, kd_avro_kind kind, const kd_jval *items, kd_str ns,
                         kd_avro_node **out)
{
    kd_avro_node *node, *below;
    KD_TRY(new_node(ps, kind, &node));
    if (items == NULL)
        return kd_fail(ps->err, KD_ECONFIG, "%s has no %s",
                       kind == KD_AVRO_MAP ? "a map" : "an array",
                       kind == KD_AVRO_MAP ? "values" : "items");
    KD_TRY(parse_node(ps, items, ns, &below));
    node->items = below;
    *out = node;
    return KD_OK;
}

static kd_rc parse_object(parser *ps, const kd_jval *v, kd_str ns, kd_avro_node **out)
{
    const kd_jval *type = kd_jval_get(v, "type");
    if (type == NULL)
        return kd_fail(ps->err, KD_ECONFIG, "a schema object has no type");
    kd_str word = kd_jval_str(type);
    if (word.p == NULL) /* {"type": {...}}: what is inside counts */
        return parse_node(ps, type, ns, out);
    if (kd_str_eq(word, kd_str_of("record")) || kd_str_eq(word, kd_str_of("error")))
        return parse_record(ps, v, ns, out);
    if (kd_str_eq(word, kd_str_of("enum")))
        return parse_enum(ps, v, ns, out);
    if (kd_str_eq(word, kd_str_of("fixed")))
        return parse_fixed(ps, v, ns, out);
    if (kd_str_eq(word, kd_str_of("array")))
        return parse_items(ps, KD_AVRO_ARRAY, kd_jval_get(v, "items"), ns, out);
    if (kd_str_eq(word, kd_str_of("map")))
        return parse_items(ps, KD_AVRO_MAP, kd_jval_get(v, "values"), ns, out);
    return parse_reference(ps, word, ns, out);
}

static kd_rc parse_node(parser *ps, const kd_jval *v, kd_str ns, kd_avro_node **out)
{
    if (ps->depth >= KD_AVSC_DEPTH_MAX)
        return kd_fail(ps->err, KD_ECONFIG, "the schema is nested deeper than %d",
                       (int)KD_AVSC_DEPTH_MAX);
    ps->depth++;
    kd_rc rc;
    switch (kd_jval_kind(v)) {
    case KD_JSTR:
        rc = parse_reference(ps, kd_jval_str(v), ns, out);
        break;
    case KD_JARRAY:
        rc = parse_union(ps, v, ns, out);
        break;
    case KD_JOBJECT: {
        rc = parse_object(ps, v, ns, out);
        kd_str logical = kd_jval_str(kd_jval_get(v, "logicalType"));
        if (rc == KD_OK && logical.p != NULL && (*out)->logical == NULL)
            (*out)->logical = kd_arena_strz(ps->s->arena, logical);
        break;
    }
    default:
        rc = kd_fail(ps->err, KD_ECONFIG, "%s stands where a schema belongs", kd_jval_kind_name(v));
    }
    ps->depth--;
    return rc;
}

/* Least fixed point of "is always no bytes": starts at "no" everywhere, so a record that holds
 * itself, whose encoding has no end, is not taken for an empty one. */
static void mark_empty(kd_avsc *s)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < s->n_named; i++) {
            kd_avro_node *node = s->named[i];
            if (node->is_empty || node->kind == KD_AVRO_ENUM)
                continue;
            bool is_empty = node->kind == KD_AVRO_RECORD || node->size == 0;
            for (size_t k = 0; node->kind == KD_AVRO_RECORD && k < node->n && is_empty; k++)
                is_empty = node->fields[k].type->is_empty;
            node->is_empty = is_empty;
            changed = changed || is_empty;
        }
    }
}

kd_rc kd_avsc_parse(const char *text, size_t n, kd_avsc **out, kd_err *err)
{
    if (n > KD_AVSC_TEXT_MAX)
        return kd_fail(err, KD_ECONFIG, "the schema has %zu bytes, at most %d are allowed", n,
                       (int)KD_AVSC_TEXT_MAX);
    kd_jval *json;
    kd_err why;
    kd_rc rc = kd_jval_parse(text, n, &json, &why);
    if (rc != KD_OK)
        return kd_fail(err, rc == KD_EDATA ? KD_ECONFIG : rc, "the schema is no JSON: %.200s",
                       why.msg);
    kd_arena *arena = kd_arena_new(ARENA_CAP);
    kd_avsc *s = arena == NULL ? NULL : kd_arena_calloc(arena, 1, sizeof *s);
    if (s != NULL) {
        s->arena = arena;
        s->named = kd_arena_calloc(arena, KD_AVSC_NODES_MAX, sizeof *s->named);
    }
    if (s == NULL || s->named == NULL) {
        rc = kd_fail(err, KD_ENOMEM, "no room for a schema");
    } else {
        parser ps = {.s = s, .err = err};
        rc = parse_node(&ps, json, KD_STR_NULL, &s->root);
    }
    kd_jval_free(json);
    if (rc != KD_OK) {
        kd_arena_free(arena);
        return rc;
    }
    mark_empty(s);
    kd_buf canonical = {0};
    kd_avsc_canonical(s, &canonical);
    s->fingerprint = kd_avro_crc64(canonical.p, canonical.n);
    bool failed = canonical.failed;
    kd_buf_dispose(&canonical);
    if (failed) {
        kd_arena_free(arena);
        return kd_fail(err, KD_ENOMEM, "no room for the schema's canonical form");
    }
    *out = s;
    return KD_OK;
}

void kd_avsc_free(kd_avsc *s)
{
    if (s != NULL)
        kd_arena_free(s->arena); /* s itself lives in it */
}

const kd_avro_node *kd_avsc_root(const kd_avsc *s)
{
    return s->root;
}

uint32_t kd_avsc_nodes(const kd_avsc *s)
{
    return s->n_nodes;
}

const char *kd_avro_unqualified(const char *name)
{
    const char *last = strrchr(name, '.');
    return last == NULL ? name : last + 1;
}

const char *kd_avro_node_text(const kd_avro_node *node, char *to, size_t n)
{
    static const char *const names[] = {
        [KD_AVRO_RECORD] = "record", [KD_AVRO_ENUM] = "enum", [KD_AVRO_FIXED] = "fixed",
        [KD_AVRO_ARRAY] = "array",   [KD_AVRO_MAP] = "map",   [KD_AVRO_UNION] = "union"};
    if (node->kind < KD_AVRO_PRIMITIVES)
        return primitive_names[node->kind];
    if (node->name == NULL)
        return names[node->kind];
    snprintf(to, n, "%s %s", names[node->kind], node->name);
    return to;
}

/* ---- canonical form: no attribute but what decides about the bytes, in one fixed order ---- */

static void put_node(const kd_avro_node *node, bool *seen, kd_buf *out);

static void put_name(const char *lead, const char *name, kd_buf *out)
{
    kd_buf_adds(out, lead);
    kd_buf_addc(out, '"');
    kd_buf_adds(out, name);
    kd_buf_addc(out, '"');
}

static void put_named(const kd_avro_node *node, bool *seen, kd_buf *out)
{
    if (seen[node->index]) {
        put_name("", node->name, out);
        return;
    }
    seen[node->index] = true;
    put_name("{\"name\":", node->name, out);
    if (node->kind == KD_AVRO_FIXED) {
        kd_buf_addf(out, ",\"type\":\"fixed\",\"size\":%lld}", (long long)node->size);
        return;
    }
    if (node->kind == KD_AVRO_ENUM) {
        kd_buf_adds(out, ",\"type\":\"enum\",\"symbols\":[");
        for (size_t i = 0; i < node->n; i++)
            put_name(i > 0 ? "," : "", node->symbols[i], out);
        kd_buf_adds(out, "]}");
        return;
    }
    kd_buf_adds(out, ",\"type\":\"record\",\"fields\":[");
    for (size_t i = 0; i < node->n; i++) {
        put_name(i > 0 ? ",{\"name\":" : "{\"name\":", node->fields[i].name, out);
        kd_buf_adds(out, ",\"type\":");
        put_node(node->fields[i].type, seen, out);
        kd_buf_addc(out, '}');
    }
    kd_buf_adds(out, "]}");
}

static void put_node(const kd_avro_node *node, bool *seen, kd_buf *out)
{
    switch (node->kind) {
    case KD_AVRO_RECORD:
    case KD_AVRO_ENUM:
    case KD_AVRO_FIXED:
        put_named(node, seen, out);
        return;
    case KD_AVRO_ARRAY:
    case KD_AVRO_MAP:
        kd_buf_adds(out, node->kind == KD_AVRO_MAP ? "{\"type\":\"map\",\"values\":"
                                                   : "{\"type\":\"array\",\"items\":");
        put_node(node->items, seen, out);
        kd_buf_addc(out, '}');
        return;
    case KD_AVRO_UNION:
        for (size_t i = 0; i < node->n; i++) {
            kd_buf_addc(out, i > 0 ? ',' : '[');
            put_node(node->branches[i], seen, out);
        }
        kd_buf_addc(out, ']');
        return;
    default:
        put_name("", primitive_names[node->kind], out);
    }
}

void kd_avsc_canonical(const kd_avsc *s, kd_buf *out)
{
    bool seen[KD_AVSC_NODES_MAX] = {false};
    put_node(s->root, seen, out);
}

uint64_t kd_avsc_fingerprint(const kd_avsc *s)
{
    return s->fingerprint;
}

/* CRC-64-AVRO (Rabin fingerprint), Avro 1.11.1 specification, "Schema Fingerprints":
 *   f <- EMPTY; for each byte b: f <- (f >> 8) ^ table[(f ^ b) & 255]
 * bit by bit: it runs once a schema. */
uint64_t kd_avro_crc64(const void *p, size_t n)
{
    const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
    const unsigned char *s = p;
    uint64_t f = empty;
    for (size_t i = 0; i < n; i++) {
        uint64_t t = (f ^ s[i]) & 0xff;
        for (int k = 0; k < 8; k++)
            t = (t >> 1) ^ (empty & (0 - (t & 1)));
        f = (f >> 8) ^ t;
    }
    return f;
}
