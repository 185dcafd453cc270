#include "base/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
    TEXT_MAX = 16 << 20,
    DEPTH_MAX = 64,
    NODES_MAX = 1000000,
};

struct kd_yaml {
    kd_arena *arena; /* owned; nodes and texts live here */
    char *name;      /* owned by the arena */
    const kd_yaml_node *root;
};

/* One libyaml node on its way into our tree. */
typedef struct built {
    kd_yaml_node *node; /* NULL: not met yet */
    bool is_open;       /* being built: an alias to it would be a ring */
    int height;         /* levels below and including it */
    int64_t weight;     /* nodes, aliases expanded */
} built;

typedef struct builder {
    kd_yaml *y;
    yaml_document_t *doc;
    built *memo; /* owned; by libyaml's node id - 1 */
    kd_err *err;
} builder;

static kd_rc fail_at(const kd_yaml *y, int line, int column, kd_err *err, const char *msg)
{
    kd_rc rc = kd_fail(err, KD_ECONFIG, "%s", msg);
    kd_err_at(err, "%s:%d:%d", y->name, line, column);
    return rc;
}

kd_rc kd_yaml_fail(const kd_yaml *y, const kd_yaml_node *at, kd_err *err, const char *fmt, ...)
{
    char msg[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return fail_at(y, at == NULL ? 1 : at->line, at == NULL ? 1 : at->column, err, msg);
}

static kd_rc no_memory(kd_err *err)
{
    return kd_fail(err, KD_ENOMEM, "no memory for a YAML document");
}

static kd_rc build(builder *b, int id, int depth, const kd_yaml_node **out);

static bool is_null_word(const char *s)
{
    return *s == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0 || strcmp(s, "Null") == 0 ||
           strcmp(s, "NULL") == 0;
}

static kd_rc build_scalar(builder *b, const yaml_node_t *from, kd_yaml_node *to)
{
    const char *p = (const char *)from->data.scalar.value;
    size_t n = from->data.scalar.length;
    if (memchr(p, '\0', n) != NULL)
        return kd_yaml_fail(b->y, to, b->err, "a NUL character inside a value");
    char *text = kd_arena_strz(b->y->arena, (kd_str){p, (uint32_t)n});
    if (text == NULL)
        return no_memory(b->err);
    to->is_quoted = from->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    to->kind = !to->is_quoted && is_null_word(text) ? KD_YAML_NULL : KD_YAML_SCALAR;
    to->text = to->kind == KD_YAML_NULL ? "" : text;
    to->n = to->kind == KD_YAML_NULL ? 0 : n;
    return KD_OK;
}

static int by_text_then_place(const void *a, const void *b)
{
    const kd_yaml_node *x = *(const kd_yaml_node *const *)a;
    const kd_yaml_node *y = *(const kd_yaml_node *const *)b;
    int c = strcmp(x->text, y->text);
    if (c == 0)
        c = (x->line > y->line) - (x->line < y->line);
    return c != 0 ? c : (x->column > y->column) - (x->column < y->column);
}

static kd_rc check_keys(builder *b, const kd_yaml_node *map, const kd_yaml_node **room)
{
    for (size_t i = 0; i < map->n; i++) {
        const kd_yaml_node *k = map->keys[i];
        if (k->kind != KD_YAML_SCALAR)
            return kd_yaml_fail(b->y, k, b->err, "a key must be a plain word");
        if (strcmp(k->text, "<<") == 0 && !k->is_quoted)
            return kd_yaml_fail(b->y, k, b->err, "merge keys (<<) are not understood");
        room[i] = k;
    }
    qsort(room, map->n, sizeof *room, by_text_then_place);
    for (size_t i = 1; i < map->n; i++)
        if (strcmp(room[i - 1]->text, room[i]->text) == 0)
            return kd_yaml_fail(b->y, room[i], b->err, "\"%s\" is there twice, first in line %d",
                                room[i]->text, room[i - 1]->line);
    return KD_OK;
}

static kd_rc build_map(builder *b, const yaml_node_t *from, int depth, kd_yaml_node *to)
{
    const yaml_node_pair_t *pairs = from->data.mapping.pairs.start;
    size_t n = (size_t)(from->data.mapping.pairs.top - pairs);
    const kd_yaml_node **keys = kd_arena_calloc(b->y->arena, n, sizeof *keys);
    const kd_yaml_node **items = kd_arena_calloc(b->y->arena, n, sizeof *items);
    const kd_yaml_node **room = kd_arena_calloc(b->y->arena, n, sizeof *room);
    if (keys == NULL || items == NULL || room == NULL)
        return no_memory(b->err);
    for (size_t i = 0; i < n; i++) {
        KD_TRY(build(b, pairs[i].key, depth + 1, &keys[i]));
        KD_TRY(build(b, pairs[i].value, depth + 1, &items[i]));
    }
    to->kind = KD_YAML_MAP;
    to->n = n;
    to->keys = keys;
    to->items = items;
    return check_keys(b, to, room);
}

static kd_rc build_seq(builder *b, const yaml_node_t *from, int depth, kd_yaml_node *to)
{
    const yaml_node_item_t *entries = from->data.sequence.items.start;
    size_t n = (size_t)(from->data.sequence.items.top - entries);
    const kd_yaml_node **items = kd_arena_calloc(b->y->arena, n, sizeof *items);
    if (items == NULL)
        return no_memory(b->err);
    for (size_t i = 0; i < n; i++)
        KD_TRY(build(b, entries[i], depth + 1, &items[i]));
    to->kind = KD_YAML_SEQ;
    to->n = n;
    to->items = items;
    return KD_OK;
}

/* Height and weight of a node from those of its children (I2). */
static kd_rc weigh(builder *b, const yaml_node_t *from, built *m, int depth)
{
    m->height = 1;
    m->weight = 1;
    size_t n = 0;
    const yaml_node_pair_t *pairs = NULL;
    const yaml_node_item_t *entries = NULL;
    if (from->type == YAML_MAPPING_NODE) {
        pairs = from->data.mapping.pairs.start;
        n = 2 * (size_t)(from->data.mapping.pairs.top - pairs);
    } else if (from->type == YAML_SEQUENCE_NODE) {
        entries = from->data.sequence.items.start;
        n = (size_t)(from->data.sequence.items.top - entries);
    }
    for (size_t i = 0; i < n; i++) {
        int id = entries != NULL ? entries[i] : i % 2 == 0 ? pairs[i / 2].key : pairs[i / 2].value;
        const built *child = &b->memo[id - 1];
        m->weight += child->weight;
        if (child->height >= m->height)
            m->height = child->height + 1;
        if (m->weight > NODES_MAX)
            return kd_yaml_fail(b->y, m->node, b->err, "more than %d values, aliases expanded",
                                NODES_MAX);
    }
    if (depth + m->height > DEPTH_MAX + 1)
        return kd_yaml_fail(b->y, m->node, b->err, "nested deeper than %d levels", DEPTH_MAX);
    return KD_OK;
}

static kd_rc build(builder *b, int id, int depth, const kd_yaml_node **out)
{
    const yaml_node_t *from = yaml_document_get_node(b->doc, id);
    built *m = &b->memo[id - 1];
    if (m->node != NULL) {
        if (m->is_open)
            return kd_yaml_fail(b->y, m->node, b->err, "an alias inside the value that it names");
        if (depth + m->height > DEPTH_MAX + 1)
            return kd_yaml_fail(b->y, m->node, b->err, "nested deeper than %d levels", DEPTH_MAX);
        *out = m->node;
        return KD_OK;
    }
    kd_yaml_node *to = kd_arena_calloc(b->y->arena, 1, sizeof *to);
    if (to == NULL)
        return no_memory(b->err);
    to->line = (int)from->start_mark.line + 1;
    to->column = (int)from->start_mark.column + 1;
    to->text = "";
    if (depth > DEPTH_MAX)
        return kd_yaml_fail(b->y, to, b->err, "nested deeper than %d levels", DEPTH_MAX);
    m->node = to;
    m->is_open = true;
    switch (from->type) {
    case YAML_SCALAR_NODE:
        KD_TRY(build_scalar(b, from, to));
        break;
    case YAML_MAPPING_NODE:
        KD_TRY(build_map(b, from, depth, to));
        break;
    case YAML_SEQUENCE_NODE:
        KD_TRY(build_seq(b, from, depth, to));
        break;
    case YAML_NO_NODE:
        break;
    }
    m->is_open = false;
    KD_TRY(weigh(b, from, m, depth));
    *out = to;
    return KD_OK;
}

static kd_rc parser_failed(const kd_yaml *y, const yaml_parser_t *p, kd_err *err)
{
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(err);
    yaml_mark_t at = p->problem_mark;
    const char *problem = p->problem == NULL ? "not YAML" : p->problem;
    char msg[256];
    if (p->error == YAML_READER_ERROR) {
        snprintf(msg, sizeof msg, "%s at byte %zu", problem, p->problem_offset);
        at = p->mark;
    } else if (p->context != NULL) {
        snprintf(msg, sizeof msg, "%s, %s", problem, p->context);
    } else {
        snprintf(msg, sizeof msg, "%s", problem);
    }
    return fail_at(y, (int)at.line + 1, (int)at.column + 1, err, msg);
}

static kd_rc build_document(kd_yaml *y, yaml_document_t *doc, kd_err *err)
{
    builder b = {.y = y, .doc = doc, .err = err};
    size_t n = (size_t)(doc->nodes.top - doc->nodes.start);
    b.memo = calloc(n, sizeof *b.memo);
    if (b.memo == NULL)
        return no_memory(err);
    kd_rc rc = build(&b, 1, 1, &y->root);
    free(b.memo);
    return rc;
}

static kd_rc parse_into(kd_yaml *y, const char *text, size_t n, kd_err *err)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    if (!yaml_parser_initialize(&parser))
        return no_memory(err);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    kd_rc rc = KD_OK;
    if (!yaml_parser_load(&parser, &doc)) {
        rc = parser_failed(y, &parser, err);
        goto out;
    }
    if (yaml_document_get_root_node(&doc) != NULL)
        rc = build_document(y, &doc, err);
    yaml_document_delete(&doc);
    if (rc != KD_OK || y->root == NULL)
        goto out;
    if (!yaml_parser_load(&parser, &doc)) {
        rc = parser_failed(y, &parser, err);
        goto out;
    }
    const yaml_node_t *second = yaml_document_get_root_node(&doc);
    if (second != NULL)
        rc = fail_at(y, (int)second->start_mark.line + 1, (int)second->start_mark.column + 1, err,
                     "a second document: one is wanted");
    yaml_document_delete(&doc);
out:
    yaml_parser_delete(&parser);
    return rc;
}

kd_rc kd_yaml_parse(const char *text, size_t n, const char *name, kd_yaml **out, kd_err *err)
{
    kd_yaml *y = calloc(1, sizeof *y);
    kd_rc rc = KD_OK;
    if (y == NULL)
        return no_memory(err);
    y->arena = kd_arena_new(0);
    y->name = y->arena == NULL ? NULL : kd_arena_strz(y->arena, kd_str_of(name));
    if (y->name == NULL) {
        rc = no_memory(err);
        goto out;
    }
    if (n > TEXT_MAX) {
        rc = fail_at(y, 1, 1, err, "longer than 16 MiB");
        goto out;
    }
    rc = parse_into(y, text, n, err);
    if (rc == KD_OK && y->root == NULL) {
        kd_yaml_node *empty = kd_arena_calloc(y->arena, 1, sizeof *empty);
        if (empty == NULL) {
            rc = no_memory(err);
            goto out;
        }
        *empty = (kd_yaml_node){.kind = KD_YAML_NULL, .line = 1, .column = 1, .text = ""};
        y->root = empty;
    }
out:
    if (rc != KD_OK) {
        kd_yaml_free(y);
        return rc;
    }
    *out = y;
    return KD_OK;
}

kd_rc kd_yaml_load(const char *path, kd_yaml **out, kd_err *err)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return kd_fail(err, KD_EIO, "cannot open %s: %s", path, strerror(errno));
    kd_buf text = {0};
    kd_rc rc = KD_OK;
    for (;;) {
        char *to = kd_buf_room(&text, 65536);
        if (to == NULL) {
            rc = no_memory(err);
            break;
        }
        size_t n = fread(to, 1, 65536, f);
        text.n += n;
        if (n == 0 || text.n > TEXT_MAX)
            break;
    }
    if (rc == KD_OK && ferror(f))
        rc = kd_fail(err, KD_EIO, "cannot read %s: %s", path, strerror(errno));
    if (rc == KD_OK)
        rc = kd_yaml_parse(text.p, text.n, path, out, err);
    fclose(f);
    kd_buf_dispose(&text);
    return rc;
}

void kd_yaml_free(kd_yaml *y)
{
    if (y == NULL)
        return;
    kd_arena_free(y->arena);
    free(y);
}

const kd_yaml_node *kd_yaml_root(const kd_yaml *y)
{
    return y->root;
}

const char *kd_yaml_name(const kd_yaml *y)
{
    return y->name;
}

static bool find_key(const kd_yaml_node *map, const char *key, size_t *out)
{
    if (map == NULL || map->kind != KD_YAML_MAP)
        return false;
    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->keys[i]->text, key) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

const kd_yaml_node *kd_yaml_get(const kd_yaml_node *map, const char *key)
{
    size_t i = 0;
    return find_key(map, key, &i) ? map->items[i] : NULL;
}

const kd_yaml_node *kd_yaml_key(const kd_yaml_node *map, const char *key)
{
    size_t i = 0;
    return find_key(map, key, &i) ? map->keys[i] : NULL;
}

kd_rc kd_yaml_str(const kd_yaml *y, const kd_yaml_node *n, const char **out, kd_err *err)
{
    if (n->kind != KD_YAML_SCALAR)
        return kd_yaml_fail(y, n, err, "a text is wanted here");
    *out = n->text;
    return KD_OK;
}

kd_rc kd_yaml_int(const kd_yaml *y, const kd_yaml_node *n, int64_t *out, kd_err *err)
{
    char *end = NULL;
    errno = 0;
    long long v = n->kind == KD_YAML_SCALAR ? strtoll(n->text, &end, 10) : 0;
    if (n->kind != KD_YAML_SCALAR || n->n == 0 || *end != '\0' || errno != 0 ||
        isspace((unsigned char)n->text[0]))
        return kd_yaml_fail(y, n, err, "a whole number is wanted here, not \"%.40s\"", n->text);
    *out = v;
    return KD_OK;
}

kd_rc kd_yaml_real(const kd_yaml *y, const kd_yaml_node *n, double *out, kd_err *err)
{
    char *end = NULL;
    double v = n->kind == KD_YAML_SCALAR ? strtod(n->text, &end) : 0;
    if (n->kind != KD_YAML_SCALAR || n->n == 0 || *end != '\0' || !isfinite(v) ||
        isspace((unsigned char)n->text[0]))
        return kd_yaml_fail(y, n, err, "a number is wanted here, not \"%.40s\"", n->text);
    *out = v;
    return KD_OK;
}

kd_rc kd_yaml_bool(const kd_yaml *y, const kd_yaml_node *n, bool *out, kd_err *err)
{
    static const char *const yes[] = {"true", "yes", "on"};
    static const char *const no[] = {"false", "no", "off"};
    for (size_t i = 0; i < 3 && n->kind == KD_YAML_SCALAR; i++) {
        if (strcasecmp(n->text, yes[i]) == 0 || strcasecmp(n->text, no[i]) == 0) {
            *out = strcasecmp(n->text, yes[i]) == 0;
            return KD_OK;
        }
    }
    return kd_yaml_fail(y, n, err, "true or false is wanted here, not \"%.40s\"", n->text);
}

kd_rc kd_yaml_only_keys(const kd_yaml *y, const kd_yaml_node *map, const char *const *known,
                        kd_err *err)
{
    if (map->kind == KD_YAML_NULL)
        return KD_OK;
    if (map->kind != KD_YAML_MAP)
        return kd_yaml_fail(y, map, err, "names with values are wanted here");
    for (size_t i = 0; i < map->n; i++) {
        const char *word = map->keys[i]->text;
        size_t k = 0;
        while (known[k] != NULL && strcmp(known[k], word) != 0)
            k++;
        if (known[k] != NULL)
            continue;
        const char *near = kd_nearest(word, known);
        if (near != NULL)
            return kd_yaml_fail(y, map->keys[i], err, "no \"%.60s\" here; did you mean \"%s\"?",
                                word, near);
        char list[160] = "";
        for (size_t j = 0, used = 0; known[j] != NULL; j++) {
            int n = snprintf(list + used, sizeof list - used, "%s%s", j == 0 ? "" : ", ", known[j]);
            if (n < 0 || (size_t)n >= sizeof list - used)
                break;
            used += (size_t)n;
        }
        return kd_yaml_fail(y, map->keys[i], err, "no \"%.60s\" here; known are %s", word, list);
    }
    return KD_OK;
}

enum { WORD_MAX = 64 };

/* Optimal string alignment: insertions, deletions, changes, swaps of neighbours; case ignored. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), z = tolower((unsigned char)b[j - 1]);
            size_t best = last[j - 1] + (x != z);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                z == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t *t = before;
        before = last;
        last = now;
        now = t;
    }
    return last[m];
}

const char *kd_nearest(const char *word, const char *const *words)
{
    size_t n = strlen(word);
    const char *best = NULL;
    size_t best_d = n / 3 < 1 ? 2 : n / 3 + 1; /* below this */
    if (n > WORD_MAX)
        return NULL;
    for (size_t i = 0; words[i] != NULL; i++) {
        size_t m = strlen(words[i]);
        if (m > WORD_MAX || (m > n ? m - n : n - m) >= best_d)
            continue;
        size_t d = distance(word, n, words[i], m);
        if (d < best_d) {
            best_d = d;
            best = words[i];
        }
    }
    return best;
}
