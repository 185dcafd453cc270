#include "schemas/plan.h"

#include <stdio.h>

#include "schemas/fields.h"

enum { PLAN_ARENA_CAP = 64 << 20 };

typedef enum op {
    /* skip */
    OP_SKIP_VARINT,
    OP_SKIP_FIXED, /* size */
    OP_SKIP_BYTES,
    OP_SKIP_ARRAY,  /* kids: 1, the entry */
    OP_SKIP_MAP,    /* kids: 1, the value */
    OP_SKIP_RECORD, /* list */
    OP_SKIP_UNION,  /* list: one step a branch */
    /* read into base + offset */
    OP_UNION,  /* list: one step a branch */
    OP_FAIL,   /* a branch that does not resolve; name says why */
    OP_RECORD, /* list */
    OP_NULL,
    OP_STRING,
    OP_NULL_STRING, /* union of null and string, of which size is the string's branch */
    OP_LONG,
    OP_INT,
    OP_DOUBLE,
    OP_DOUBLE_FROM_FLOAT,
    OP_DOUBLE_FROM_LONG,
    OP_DOUBLE_FROM_INT,
    OP_BOOL,
    OP_ENUM, /* map */
    OP_TAGS, /* kids: 1, the entry */
} op;

typedef struct step step;

typedef struct step_list {
    size_t n;
    step *steps;
} step_list;

struct step {
    op op;
    bool is_nullable; /* a number that stands for null when negative: refuse negative input */
    bool is_empty;    /* ARRAY: the entry takes no bytes */
    uint16_t offset;  /* in the record */
    int64_t size;
    const char *name; /* for messages: the writer's field */
    const kd_field *field;
    const int16_t *map;         /* ENUM: writer's symbol -> kd_action, -1 unknown; size entries */
    const char *const *symbols; /* ENUM: the writer's names, for messages */
    step_list *list;
};

struct kd_plan {
    kd_arena *arena; /* owned; everything lives in it */
    kd_record_type type;
    step root;
};

/* ---- compile ---- */

typedef struct compiler {
    kd_arena *arena;
    step_list **skips; /* by node index: lists of records already begun, so recursion ends */
    kd_err *err;
    char why[192]; /* the last reason for "does not resolve" */
} compiler;

static kd_rc no_room(compiler *co)
{
    return kd_fail(co->err, KD_ENOMEM, "no room for a decoding plan");
}

static step_list *new_list(compiler *co, size_t n)
{
    step_list *list = kd_arena_calloc(co->arena, 1, sizeof *list);
    if (list == NULL)
        return NULL;
    list->steps = kd_arena_calloc(co->arena, n, sizeof *list->steps);
    list->n = n;
    return list->steps == NULL ? NULL : list;
}

static kd_rc compile_skip(compiler *co, const kd_avro_node *w, const char *name, step *out);

static kd_rc compile_skip_record(compiler *co, const kd_avro_node *w, step *out)
{
    out->op = OP_SKIP_RECORD;
    out->list = co->skips[w->index];
    if (out->list != NULL)
        return KD_OK;
    out->list = co->skips[w->index] = new_list(co, w->n);
    if (out->list == NULL)
        return no_room(co);
    for (size_t i = 0; i < w->n; i++) {
        const char *name = kd_arena_strz(co->arena, kd_str_of(w->fields[i].name));
        if (name == NULL)
            return no_room(co);
        KD_TRY(compile_skip(co, w->fields[i].type, name, &out->list->steps[i]));
    }
    return KD_OK;
}

static kd_rc compile_skip(compiler *co, const kd_avro_node *w, const char *name, step *out)
{
    *out = (step){.name = name, .is_empty = w->is_empty};
    switch (w->kind) {
    case KD_AVRO_NULL:
    case KD_AVRO_FIXED:
    case KD_AVRO_BOOLEAN:
    case KD_AVRO_FLOAT:
    case KD_AVRO_DOUBLE:
        out->op = OP_SKIP_FIXED;
        out->size = w->kind == KD_AVRO_NULL      ? 0
                    : w->kind == KD_AVRO_BOOLEAN ? 1
                    : w->kind == KD_AVRO_FLOAT   ? 4
                    : w->kind == KD_AVRO_DOUBLE  ? 8
                                                 : w->size;
        return KD_OK;
    case KD_AVRO_INT:
    case KD_AVRO_LONG:
    case KD_AVRO_ENUM:
        out->op = OP_SKIP_VARINT;
        return KD_OK;
    case KD_AVRO_BYTES:
    case KD_AVRO_STRING:
        out->op = OP_SKIP_BYTES;
        return KD_OK;
    case KD_AVRO_RECORD:
        return compile_skip_record(co, w, out);
    case KD_AVRO_ARRAY:
    case KD_AVRO_MAP:
        out->op = w->kind == KD_AVRO_MAP ? OP_SKIP_MAP : OP_SKIP_ARRAY;
        out->is_empty = w->kind == KD_AVRO_ARRAY && w->items->is_empty;
        out->list = new_list(co, 1);
        if (out->list == NULL)
            return no_room(co);
        return compile_skip(co, w->items, name, &out->list->steps[0]);
    case KD_AVRO_UNION:
        break;
    }
    out->op = OP_SKIP_UNION;
    out->list = new_list(co, w->n);
    if (out->list == NULL)
        return no_room(co);
    for (size_t i = 0; i < w->n; i++)
        KD_TRY(compile_skip(co, w->branches[i], name, &out->list->steps[i]));
    return KD_OK;
}

/* What a step that reads a value shares with others. */
static step read_step(op code, const kd_field *f)
{
    return (step){.op = code,
                  .is_nullable = f->is_nullable,
                  .offset = f->offset,
                  .name = f->name,
                  .field = f};
}

static bool names_match(const kd_avro_node *w, const kd_avro_node *r)
{
    if (strcmp(kd_avro_unqualified(w->name), kd_avro_unqualified(r->name)) == 0)
        return true;
    for (size_t i = 0; i < r->n_aliases; i++)
        if (strcmp(w->name, r->aliases[i]) == 0)
            return true;
    return false;
}

/* The node inside [null, T], or the node itself. */
static const kd_avro_node *not_null(const kd_avro_node *r)
{
    for (size_t i = 0; r->kind == KD_AVRO_UNION && i < r->n; i++)
        if (r->branches[i]->kind != KD_AVRO_NULL)
            return r->branches[i];
    return r;
}

static kd_rc unresolved(compiler *co, const kd_avro_node *w, const kd_field *f, bool *out_fits)
{
    static const char *const wanted[] = {
        [KD_FIELD_STRING] = "string",       [KD_FIELD_TIME] = "long",
        [KD_FIELD_LONG] = "long",           [KD_FIELD_DOUBLE] = "double",
        [KD_FIELD_BOOL] = "boolean",        [KD_FIELD_ENUM] = "the enum",
        [KD_FIELD_TAGS] = "array of string"};
    char text[96];
    snprintf(co->why, sizeof co->why, "%s is %s in the writer's schema and %s%s in ours", f->name,
             kd_avro_node_text(w, text, sizeof text), wanted[f->kind],
             f->is_nullable ? " or null" : "");
    *out_fits = false;
    return KD_OK;
}

static kd_rc compile_read(compiler *co, const kd_avro_node *w, const kd_avro_node *r,
                          const kd_field *f, step *out, bool *out_fits);

static kd_rc compile_enum(compiler *co, const kd_avro_node *w, const kd_avro_node *r,
                          const kd_field *f, step *out, bool *out_fits)
{
    const kd_avro_node *own = not_null(r);
    if (own->kind == KD_AVRO_ENUM && !names_match(w, own)) {
        snprintf(co->why, sizeof co->why,
                 "%s is enum %s in the writer's schema and enum %s in ours", f->name, w->name,
                 own->name);
        *out_fits = false;
        return KD_OK;
    }
    int16_t *map = kd_arena_calloc(co->arena, w->n, sizeof *map);
    const char **symbols = kd_arena_calloc(co->arena, w->n, sizeof *symbols);
    if (map == NULL || symbols == NULL)
        return no_room(co);
    for (size_t i = 0; i < w->n; i++) {
        map[i] = -1;
        for (const kd_symbol *s = f->symbols; s->name != NULL; s++)
            if (strcmp(s->name, w->symbols[i]) == 0)
                map[i] = (int16_t)s->action;
        symbols[i] = kd_arena_strz(co->arena, kd_str_of(w->symbols[i]));
        if (symbols[i] == NULL)
            return no_room(co);
    }
    *out = read_step(OP_ENUM, f);
    out->map = map;
    out->symbols = symbols;
    out->size = (int64_t)w->n;
    return KD_OK;
}

static kd_rc compile_union(compiler *co, const kd_avro_node *w, const kd_avro_node *r,
                           const kd_field *f, step *out, bool *out_fits)
{
    if (f->kind == KD_FIELD_STRING && f->is_nullable && w->n == 2) {
        int at = w->branches[1]->kind == KD_AVRO_STRING ? 1 : 0;
        if (w->branches[at]->kind == KD_AVRO_STRING && w->branches[1 - at]->kind == KD_AVRO_NULL) {
            *out = read_step(OP_NULL_STRING, f);
            out->size = at;
            return KD_OK;
        }
    }
    *out = read_step(OP_UNION, f);
    out->list = new_list(co, w->n);
    if (out->list == NULL)
        return no_room(co);
    bool any_fits = false;
    for (size_t i = 0; i < w->n; i++) {
        bool fits = true;
        KD_TRY(compile_read(co, w->branches[i], r, f, &out->list->steps[i], &fits));
        if (!fits) { /* told when a message takes this branch */
            out->list->steps[i] = read_step(OP_FAIL, f);
            out->list->steps[i].name = kd_arena_strz(co->arena, kd_str_of(co->why));
            if (out->list->steps[i].name == NULL)
                return no_room(co);
        }
        any_fits = any_fits || fits;
    }
    *out_fits = any_fits;
    return KD_OK;
}

static kd_rc compile_tags(compiler *co, const kd_avro_node *w, const kd_avro_node *r,
                          const kd_field *f, step *out, bool *out_fits)
{
    static const kd_field tag = {"tags", KD_FIELD_STRING, false, false, 0, NULL, NULL};
    *out = read_step(OP_TAGS, f);
    out->is_empty = w->items->is_empty;
    out->list = new_list(co, 2); /* how to read an entry, how to pass over it */
    if (out->list == NULL)
        return no_room(co);
    KD_TRY(compile_skip(co, w->items, f->name, &out->list->steps[1]));
    return compile_read(co, w->items, not_null(r), &tag, &out->list->steps[0], out_fits);
}

/* *out_fits is true on entry and set to false where writer and reader do not resolve. */
static kd_rc compile_read(compiler *co, const kd_avro_node *w, const kd_avro_node *r,
                          const kd_field *f, step *out, bool *out_fits)
{
    if (w->kind == KD_AVRO_UNION)
        return compile_union(co, w, r, f, out, out_fits);
    if (w->kind == KD_AVRO_NULL && f->is_nullable) {
        *out = read_step(OP_NULL, f);
        return KD_OK;
    }
    switch (f->kind) {
    case KD_FIELD_STRING:
        if (w->kind != KD_AVRO_STRING && w->kind != KD_AVRO_BYTES)
            break;
        *out = read_step(OP_STRING, f);
        return KD_OK;
    case KD_FIELD_TIME:
    case KD_FIELD_LONG:
        if (w->kind != KD_AVRO_INT && w->kind != KD_AVRO_LONG)
            break;
        *out = read_step(w->kind == KD_AVRO_INT ? OP_INT : OP_LONG, f);
        return KD_OK;
    case KD_FIELD_DOUBLE:
        if (w->kind < KD_AVRO_INT || w->kind > KD_AVRO_DOUBLE)
            break;
        *out = read_step(w->kind == KD_AVRO_DOUBLE  ? OP_DOUBLE
                         : w->kind == KD_AVRO_FLOAT ? OP_DOUBLE_FROM_FLOAT
                         : w->kind == KD_AVRO_LONG  ? OP_DOUBLE_FROM_LONG
                                                    : OP_DOUBLE_FROM_INT,
                         f);
        return KD_OK;
    case KD_FIELD_BOOL:
        if (w->kind != KD_AVRO_BOOLEAN)
            break;
        *out = read_step(OP_BOOL, f);
        return KD_OK;
    case KD_FIELD_ENUM:
        if (w->kind != KD_AVRO_ENUM)
            break;
        return compile_enum(co, w, r, f, out, out_fits);
    case KD_FIELD_TAGS:
        if (w->kind != KD_AVRO_ARRAY)
            break;
        return compile_tags(co, w, r, f, out, out_fits);
    }
    return unresolved(co, w, f, out_fits);
}

static bool has_field(const kd_avro_node *record, const char *name)
{
    for (size_t i = 0; i < record->n; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return true;
    return false;
}

/* The reader's field that a writer's field is for: by name, else by an alias of a reader's field
 * that the writer does not have under its own name. */
static const kd_field *find_field(const kd_avro_node *writer, const kd_avro_node *reader,
                                  kd_record_type type, const char *name,
                                  const kd_avro_node **out_type)
{
    size_t n;
    const kd_field *fields = kd_fields(type, &n);
    const kd_avro_field *found = NULL;
    for (size_t i = 0; i < reader->n && found == NULL; i++)
        if (strcmp(reader->fields[i].name, name) == 0)
            found = &reader->fields[i];
    for (size_t i = 0; i < reader->n && found == NULL; i++)
        for (size_t k = 0; k < reader->fields[i].n_aliases; k++)
            if (strcmp(reader->fields[i].aliases[k], name) == 0 &&
                !has_field(writer, reader->fields[i].name))
                found = &reader->fields[i];
    for (size_t i = 0; found != NULL && i < n; i++) {
        if (strcmp(fields[i].name, found->name) == 0) {
            *out_type = found->type;
            return &fields[i];
        }
    }
    return NULL;
}

static kd_rc compile_record(compiler *co, const kd_avro_node *w, const kd_avro_node *reader,
                            kd_record_type type, step *out, bool *out_fits)
{
    if (w->kind != KD_AVRO_RECORD || !names_match(w, reader)) {
        char text[96];
        snprintf(co->why, sizeof co->why, "the writer's schema is %s, %s is read here",
                 kd_avro_node_text(w, text, sizeof text), kd_record_type_name(type));
        *out_fits = false;
        return KD_OK;
    }
    bool has[KD_FIELDS_MAX] = {false};
    size_t n_fields;
    const kd_field *fields = kd_fields(type, &n_fields);
    *out = (step){.op = OP_RECORD, .name = kd_record_type_name(type), .list = new_list(co, w->n)};
    if (out->list == NULL)
        return no_room(co);
    for (size_t i = 0; i < w->n && *out_fits; i++) {
        const kd_avro_node *r = NULL;
        const kd_field *f = find_field(w, reader, type, w->fields[i].name, &r);
        if (f != NULL && !has[f - fields]) {
            has[f - fields] = true;
            KD_TRY(compile_read(co, w->fields[i].type, r, f, &out->list->steps[i], out_fits));
            continue;
        }
        const char *name = kd_arena_strz(co->arena, kd_str_of(w->fields[i].name));
        if (name == NULL)
            return no_room(co);
        KD_TRY(compile_skip(co, w->fields[i].type, name, &out->list->steps[i]));
    }
    for (size_t i = 0; i < n_fields && *out_fits; i++) {
        if (!has[i] && !fields[i].is_optional) {
            snprintf(co->why, sizeof co->why, "%s has no default and is not in the writer's schema",
                     fields[i].name);
            *out_fits = false;
        }
    }
    return KD_OK;
}

static kd_rc compile_root(compiler *co, const kd_avro_node *w, const kd_avro_node *reader,
                          kd_record_type type, step *out)
{
    bool any_fits = true;
    if (w->kind != KD_AVRO_UNION) {
        KD_TRY(compile_record(co, w, reader, type, out, &any_fits));
    } else {
        *out = (step){.op = OP_UNION, .list = new_list(co, w->n)};
        if (out->list == NULL)
            return no_room(co);
        any_fits = false;
        for (size_t i = 0; i < w->n; i++) {
            bool fits = true;
            step *branch = &out->list->steps[i];
            KD_TRY(compile_record(co, w->branches[i], reader, type, branch, &fits));
            if (!fits)
                *branch =
                    (step){.op = OP_FAIL, .name = kd_arena_strz(co->arena, kd_str_of(co->why))};
            if (!fits && branch->name == NULL)
                return no_room(co);
            any_fits = any_fits || fits;
        }
    }
    return any_fits ? KD_OK : kd_bad(co->err, KD_REASON_SCHEMA, "%s", co->why);
}

/* reader == NULL: only pass over. */
static kd_rc compile(const kd_avro_node *writer, uint32_t writer_nodes, const kd_avro_node *reader,
                     kd_record_type type, kd_plan **out, kd_err *err)
{
    kd_arena *arena = kd_arena_new(PLAN_ARENA_CAP);
    kd_arena *scratch = kd_arena_new(0);
    kd_plan *p = arena == NULL ? NULL : kd_arena_calloc(arena, 1, sizeof *p);
    compiler co = {.arena = arena, .err = err};
    co.skips = scratch == NULL ? NULL : kd_arena_calloc(scratch, writer_nodes, sizeof *co.skips);
    kd_rc rc;
    if (p == NULL || co.skips == NULL) {
        rc = no_room(&co);
    } else {
        p->arena = arena;
        p->type = type;
        rc = reader == NULL ? compile_skip(&co, writer, NULL, &p->root)
                            : compile_root(&co, writer, reader, type, &p->root);
    }
    kd_arena_free(scratch);
    if (rc != KD_OK) {
        kd_arena_free(arena);
        return rc;
    }
    *out = p;
    return KD_OK;
}

kd_rc kd_plan_compile(const kd_avro_node *writer, uint32_t writer_nodes, const kd_avro_node *reader,
                      kd_record_type type, kd_plan **out, kd_err *err)
{
    return compile(writer, writer_nodes, reader, type, out, err);
}

kd_rc kd_plan_compile_skip(const kd_avro_node *writer, uint32_t writer_nodes, kd_plan **out,
                           kd_err *err)
{
    return compile(writer, writer_nodes, NULL, KD_RECORD_TYPES, out, err);
}

void kd_plan_free(kd_plan *p)
{
    if (p != NULL)
        kd_arena_free(p->arena); /* p itself lives in it */
}

/* ---- decode ---- */

typedef struct runner {
    kd_cursor c;
    kd_record *r;
    kd_arena *a;
    const char *field;   /* being read when a fault was found */
    const char *unknown; /* the symbol that has no meaning here */
} runner;

static bool run_skip(kd_cursor *c, const step *s);

static bool skip_entries(kd_cursor *c, const step *s)
{
    const step *entry = &s->list->steps[0];
    int64_t n, bytes;
    do {
        if (!kd_cursor_block(c, s->is_empty, &n, &bytes))
            return false;
        if (bytes >= 0) {
            c->p += bytes;
            continue;
        }
        for (int64_t i = 0; i < n && !s->is_empty; i++) {
            if (s->op == OP_SKIP_MAP) {
                kd_str key;
                if (!kd_cursor_bytes(c, &key))
                    return false;
            }
            if (!run_skip(c, entry))
                return false;
        }
    } while (n != 0);
    return true;
}

static bool skip_union(kd_cursor *c, const step *s)
{
    int64_t i;
    if (!kd_cursor_long(c, &i))
        return false;
    if (i < 0 || (uint64_t)i >= s->list->n)
        return kd_cursor_fault(c, KD_REASON_DECODE, "a union has no such branch");
    return run_skip(c, &s->list->steps[i]);
}

static bool skip_record(kd_cursor *c, const step *s)
{
    for (size_t i = 0; i < s->list->n; i++)
        if (!run_skip(c, &s->list->steps[i]))
            return false;
    return true;
}

static bool run_skip(kd_cursor *c, const step *s)
{
    int64_t x;
    kd_str bytes;
    switch (s->op) {
    case OP_SKIP_VARINT:
        return kd_cursor_long(c, &x);
    case OP_SKIP_FIXED:
        return kd_cursor_skip(c, (uint64_t)s->size);
    case OP_SKIP_BYTES:
        return kd_cursor_bytes(c, &bytes);
    default:
        break;
    }
    if (!kd_cursor_enter(c))
        return false;
    bool ok = s->op == OP_SKIP_UNION    ? skip_union(c, s)
              : s->op == OP_SKIP_RECORD ? skip_record(c, s)
                                        : skip_entries(c, s);
    kd_cursor_leave(c);
    return ok;
}

static bool run(runner *ru, const step *s, void *base);

static bool put_long(runner *ru, const step *s, void *base, int64_t x)
{
    if (x < 0 && s->is_nullable)
        return kd_cursor_fault(&ru->c, KD_REASON_NUMBER, "the number is negative");
    *(int64_t *)(void *)((char *)base + s->offset) = x;
    return true;
}

static bool put_double(runner *ru, const step *s, void *base, double x)
{
    if (x < 0 && s->is_nullable)
        return kd_cursor_fault(&ru->c, KD_REASON_NUMBER, "the number is negative");
    *(double *)(void *)((char *)base + s->offset) = x;
    return true;
}

static bool run_number(runner *ru, const step *s, void *base)
{
    int64_t x;
    double d;
    switch (s->op) {
    case OP_LONG:
        return kd_cursor_long(&ru->c, &x) && put_long(ru, s, base, x);
    case OP_INT:
        return kd_cursor_int(&ru->c, &x) && put_long(ru, s, base, x);
    case OP_DOUBLE:
        return kd_cursor_double(&ru->c, &d) && put_double(ru, s, base, d);
    case OP_DOUBLE_FROM_FLOAT:
        return kd_cursor_float(&ru->c, &d) && put_double(ru, s, base, d);
    case OP_DOUBLE_FROM_LONG:
        return kd_cursor_long(&ru->c, &x) && put_double(ru, s, base, (double)x);
    default:
        return kd_cursor_int(&ru->c, &x) && put_double(ru, s, base, (double)x);
    }
}

static bool run_null(const step *s, void *base)
{
    void *at = (char *)base + s->offset;
    switch (s->field->kind) {
    case KD_FIELD_STRING:
        *(kd_str *)at = KD_STR_NULL;
        break;
    case KD_FIELD_DOUBLE:
        *(double *)at = -1.0;
        break;
    default:
        *(int64_t *)at = -1;
        break;
    }
    return true;
}

static bool run_enum(runner *ru, const step *s, void *base)
{
    int64_t x;
    if (!kd_cursor_long(&ru->c, &x))
        return false;
    if (x < 0 || x >= s->size)
        return kd_cursor_fault(&ru->c, KD_REASON_DECODE, "the enum has no such symbol");
    if (s->map[x] < 0) {
        ru->unknown = s->symbols[x];
        return kd_cursor_fault(&ru->c, KD_REASON_FIELD, "unknown symbol");
    }
    *(kd_action *)(void *)((char *)base + s->offset) = (kd_action)s->map[x];
    return true;
}

static bool run_null_string(runner *ru, const step *s, void *base)
{
    kd_str *to = (kd_str *)(void *)((char *)base + s->offset);
    int64_t branch;
    if (!kd_cursor_long(&ru->c, &branch))
        return false;
    if (branch == s->size)
        return kd_cursor_str(&ru->c, to);
    if (branch != 1 - s->size)
        return kd_cursor_fault(&ru->c, KD_REASON_DECODE, "a union has no such branch");
    *to = KD_STR_NULL;
    return true;
}

/* Two passes, count then fill: the list is one piece of the arena, and a block's count is believed
 * only as far as there are bytes behind it. */
static bool run_tags(runner *ru, const step *s, kd_record *r)
{
    kd_cursor count = ru->c;
    uint64_t total = 0;
    int64_t n, bytes;
    do {
        if (!kd_cursor_block(&count, s->is_empty, &n, &bytes)) {
            ru->c = count;
            return false;
        }
        for (int64_t i = 0; i < n; i++) {
            if (!run_skip(&count, &s->list->steps[1])) {
                ru->c = count;
                return false;
            }
        }
        total += (uint64_t)n;
    } while (n != 0);
    if (total > UINT32_MAX)
        return kd_cursor_fault(&ru->c, KD_REASON_DECODE, "a count is out of range");
    kd_str *tags = kd_arena_calloc(ru->a, total, sizeof *tags);
    if (tags == NULL)
        return kd_cursor_fault(&ru->c, KD_REASON_TOO_LARGE, "there is no room for the list");
    uint32_t at = 0;
    do {
        if (!kd_cursor_block(&ru->c, s->is_empty, &n, &bytes))
            return false;
        const uint8_t *from = ru->c.p;
        for (int64_t i = 0; i < n; i++)
            if (!run(ru, &s->list->steps[0], &tags[at++]))
                return false;
        if (!kd_cursor_block_ends(&ru->c, from, bytes))
            return false;
    } while (n != 0);
    r->tags = total == 0 ? NULL : tags;
    r->n_tags = (uint32_t)total;
    return true;
}

static bool run_union(runner *ru, const step *s, void *base)
{
    int64_t i;
    if (!kd_cursor_long(&ru->c, &i))
        return false;
    if (i < 0 || (uint64_t)i >= s->list->n)
        return kd_cursor_fault(&ru->c, KD_REASON_DECODE, "a union has no such branch");
    const step *branch = &s->list->steps[i];
    if (branch->op == OP_FAIL) {
        ru->field = NULL;
        return kd_cursor_fault(&ru->c, KD_REASON_SCHEMA, branch->name);
    }
    return run(ru, branch, base);
}

static bool run_record(runner *ru, const step *s, void *base)
{
    const step *end = s->list->steps + s->list->n;
    for (const step *at = s->list->steps; at < end; at++) {
        if (!run(ru, at, base)) {
            if (ru->c.reason != KD_REASON_SCHEMA)
                ru->field = at->name;
            return false;
        }
    }
    return true;
}

static bool run(runner *ru, const step *s, void *base)
{
    switch (s->op) {
    case OP_NULL_STRING:
        return run_null_string(ru, s, base);
    case OP_STRING:
        return kd_cursor_str(&ru->c, (kd_str *)(void *)((char *)base + s->offset));
    case OP_LONG:
    case OP_INT:
    case OP_DOUBLE:
    case OP_DOUBLE_FROM_FLOAT:
    case OP_DOUBLE_FROM_LONG:
    case OP_DOUBLE_FROM_INT:
        return run_number(ru, s, base);
    case OP_ENUM:
        return run_enum(ru, s, base);
    case OP_BOOL:
        return kd_cursor_bool(&ru->c, (bool *)base + s->offset);
    case OP_NULL:
        return run_null(s, base);
    case OP_TAGS:
        return run_tags(ru, s, base);
    case OP_UNION:
        return run_union(ru, s, base);
    case OP_RECORD:
        return run_record(ru, s, base);
    default:
        return run_skip(&ru->c, s);
    }
}

bool kd_plan_skip(const kd_plan *p, kd_cursor *c)
{
    return run_skip(c, &p->root);
}

kd_rc kd_cursor_err(const kd_cursor *c, const char *field, kd_err *err)
{
    return kd_bad(err, c->reason, "%s%s%s (byte %zu of %zu)", field == NULL ? "" : field,
                  field == NULL ? "" : ": ", c->fault, (size_t)(c->p - c->base),
                  (size_t)(c->end - c->base));
}

kd_rc kd_plan_decode(const kd_plan *p, kd_cursor *c, kd_record *out, kd_arena *a, kd_err *err)
{
    runner ru = {.c = *c, .r = out, .a = a};
    kd_fields_init(out, p->type);
    bool ok = run(&ru, &p->root, out);
    *c = ru.c;
    if (ok)
        return KD_OK;
    if (ru.unknown != NULL)
        return kd_bad(err, KD_REASON_FIELD, "%s \"%.60s\" of the writer's schema is unknown here",
                      ru.field, ru.unknown);
    if (ru.c.reason == KD_REASON_SCHEMA)
        return kd_bad(err, KD_REASON_SCHEMA, "%s", ru.c.fault);
    return kd_cursor_err(&ru.c, ru.field, err);
}

kd_rc kd_plan_decode_all(const kd_plan *p, const void *bytes, size_t n, kd_record *out, kd_arena *a,
                         kd_err *err)
{
    kd_cursor c = kd_cursor_of(bytes, n);
    KD_TRY(kd_plan_decode(p, &c, out, a, err));
    if (c.p != c.end)
        return kd_bad(err, KD_REASON_DECODE, "%zu bytes are left behind the record",
                      kd_cursor_left(&c));
    return KD_OK;
}
