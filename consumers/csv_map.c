#include "consumers/csv_map.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(type) (1u << (type))
#define EVENTS    (BIT(KD_BROWSE) | BIT(KD_PURCHASE))
#define ALL       (EVENTS | BIT(KD_CATALOG) | BIT(KD_FORGET))

/* Which types have the field, and which must be given it. */
typedef struct field_row {
    const char *name;
    unsigned types, required;
} field_row;

static const field_row field_rows[KD_F_COUNT] = {
    [KD_F_ITEM_ID] = {"item_id", EVENTS | BIT(KD_CATALOG), EVENTS | BIT(KD_CATALOG)},
    [KD_F_USER_ID] = {"user_id", EVENTS, 0}, /* shopper_id of a ForgetRequest */
    [KD_F_SESSION_ID] = {"session_id", EVENTS, 0},
    [KD_F_EVENT_ID] = {"event_id", EVENTS, 0}, /* request_id of a ForgetRequest */
    [KD_F_ORDER_ID] = {"order_id", BIT(KD_PURCHASE), 0},
    [KD_F_TIME] = {"time", ALL, ALL},
    [KD_F_ACTION] = {"action", BIT(KD_BROWSE), BIT(KD_BROWSE)},
    [KD_F_STATUS] = {"status", BIT(KD_PURCHASE), 0},
    [KD_F_DWELL_MS] = {"dwell_ms", BIT(KD_BROWSE), 0},
    [KD_F_QUANTITY] = {"quantity", BIT(KD_PURCHASE), 0},
    [KD_F_PRICE] = {"price", BIT(KD_PURCHASE) | BIT(KD_CATALOG), 0},
    [KD_F_CURRENCY] = {"currency", BIT(KD_PURCHASE), 0},
    [KD_F_TITLE] = {"title", BIT(KD_CATALOG), 0},
    [KD_F_DESCRIPTION] = {"description", BIT(KD_CATALOG), 0},
    [KD_F_CATEGORY] = {"category", BIT(KD_CATALOG), 0},
    [KD_F_BRAND] = {"brand", BIT(KD_CATALOG), 0},
    [KD_F_TAGS] = {"tags", BIT(KD_CATALOG), 0},
    [KD_F_AVAILABLE] = {"available", BIT(KD_CATALOG), 0},
    [KD_F_REMOVED] = {"removed", BIT(KD_CATALOG), 0},
};

static const char *field_name(kd_record_type type, int id)
{
    if (type == KD_FORGET && id == KD_F_USER_ID)
        return "shopper_id";
    if (type == KD_FORGET && id == KD_F_EVENT_ID)
        return "request_id";
    return (field_rows[id].types & BIT(type)) != 0 ? field_rows[id].name : NULL;
}

static bool is_required(kd_record_type type, int id)
{
    return (field_rows[id].required & BIT(type)) != 0 || (type == KD_FORGET && id == KD_F_USER_ID);
}

typedef struct loader {
    kd_csv_maps *maps;
    kd_csv_map *map;
    kd_err *err;
} loader;

static kd_rc fail(loader *l, const kd_yaml_node *at, const char *msg)
{
    return kd_yaml_fail(l->maps->yaml, at, l->err, "%s", msg);
}

static kd_rc no_memory(loader *l)
{
    return kd_fail(l->err, KD_ENOMEM, "no memory for a column mapping");
}

static void *room(loader *l, size_t n, size_t size)
{
    return kd_arena_calloc(l->maps->arena, n, size);
}

static kd_rc word(loader *l, const kd_yaml_node *n, kd_str *out)
{
    if (n->kind != KD_YAML_SCALAR)
        return fail(l, n, "a text is wanted here");
    *out = kd_str_of(n->text);
    return KD_OK;
}

/* One text or a list of them. */
static kd_rc word_list(loader *l, const kd_yaml_node *n, kd_str **out, size_t *out_n)
{
    size_t count = n->kind == KD_YAML_SEQ ? n->n : 1;
    kd_str *list = room(l, count, sizeof *list);
    if (list == NULL)
        return no_memory(l);
    for (size_t i = 0; i < count; i++)
        KD_TRY(word(l, n->kind == KD_YAML_SEQ ? n->items[i] : n, &list[i]));
    *out = list;
    *out_n = count;
    return KD_OK;
}

/* One character; "tab" and "none" are words for what is hard to write. */
static kd_rc one_char(loader *l, const kd_yaml_node *n, bool may_be_none, char *out)
{
    if (n->kind == KD_YAML_SCALAR && strcmp(n->text, "tab") == 0)
        *out = '\t';
    else if (n->kind == KD_YAML_SCALAR && may_be_none && strcmp(n->text, "none") == 0)
        *out = '\0';
    else if (n->kind == KD_YAML_SCALAR && n->n == 1 && *n->text != '\n' && *n->text != '\r' &&
             (unsigned char)*n->text < 0x80)
        *out = *n->text;
    else
        return fail(l, n,
                    may_be_none ? "one ASCII character, tab or none is wanted here"
                                : "one ASCII character or tab is wanted here");
    return KD_OK;
}

/* The number of a column that is named in the mapping; the same column is listed once. */
static kd_rc column(loader *l, const kd_yaml_node *n, size_t *out)
{
    kd_csv_map *m = l->map;
    kd_csv_column c = {.node = n};
    if (n->kind != KD_YAML_SCALAR)
        return fail(l, n, "the name of a column is wanted here");
    if (m->has_header) {
        c.name = n->text;
    } else {
        int64_t number = 0;
        KD_TRY(kd_yaml_int(l->maps->yaml, n, &number, l->err));
        if (number < 1 || number > KD_CSV_FIELDS_MAX)
            return fail(l, n, "without a header a column is a number from 1");
        c.number = (size_t)number;
    }
    for (size_t i = 0; i < m->n_columns; i++) {
        bool same = c.name != NULL ? strcmp(m->columns[i].name, c.name) == 0
                                   : m->columns[i].number == c.number;
        if (same) {
            *out = i;
            return KD_OK;
        }
    }
    if ((m->n_columns & (m->n_columns - 1)) == 0) { /* full at each power of two */
        kd_csv_column *more = room(l, m->n_columns == 0 ? 1 : m->n_columns * 2, sizeof *more);
        if (more == NULL)
            return no_memory(l);
        if (m->n_columns > 0)
            memcpy(more, m->columns, m->n_columns * sizeof *more);
        m->columns = more;
    }
    *out = m->n_columns;
    m->columns[m->n_columns++] = c;
    return KD_OK;
}

static kd_rc column_list(loader *l, const kd_yaml_node *n, kd_csv_value *v)
{
    size_t count = n->kind == KD_YAML_SEQ ? n->n : 1;
    if (count == 0)
        return fail(l, n, "an empty list of columns");
    v->columns = room(l, count, sizeof *v->columns);
    if (v->columns == NULL)
        return no_memory(l);
    for (size_t i = 0; i < count; i++)
        KD_TRY(column(l, n->kind == KD_YAML_SEQ ? n->items[i] : n, &v->columns[i]));
    v->n_columns = count;
    return KD_OK;
}

typedef struct test_row {
    const char *name;
    kd_csv_test test;
    bool is_negated;
} test_row;

static const test_row test_rows[] = {
    {"equals", KD_CSV_EQUALS, false},
    {"not_equals", KD_CSV_EQUALS, true},
    {"in", KD_CSV_EQUALS, false},
    {"not_in", KD_CSV_EQUALS, true},
    {"starts_with", KD_CSV_STARTS_WITH, false},
    {"not_starts_with", KD_CSV_STARTS_WITH, true},
    {"ends_with", KD_CSV_ENDS_WITH, false},
    {"not_ends_with", KD_CSV_ENDS_WITH, true},
    {"contains", KD_CSV_CONTAINS, false},
    {"not_contains", KD_CSV_CONTAINS, true},
    {"empty", KD_CSV_EMPTY, false},
    {"less_than", KD_CSV_LESS_THAN, false},
    {"at_least", KD_CSV_LESS_THAN, true},
    {"more_than", KD_CSV_MORE_THAN, false},
    {"at_most", KD_CSV_MORE_THAN, true},
};
enum { N_TESTS = sizeof test_rows / sizeof *test_rows };

static kd_rc load_cond(loader *l, const kd_yaml_node *n, kd_csv_cond *out)
{
    const char *known[N_TESTS + 2] = {"column"};
    for (size_t i = 0; i < N_TESTS; i++)
        known[i + 1] = test_rows[i].name;
    KD_TRY(kd_yaml_only_keys(l->maps->yaml, n, known, l->err));
    const kd_yaml_node *col = kd_yaml_get(n, "column");
    if (col == NULL || n->n != 2)
        return fail(l, n,
                    "a condition is a column and one test, such as "
                    "{column: Quantity, more_than: 0}");
    KD_TRY(column(l, col, &out->column));
    for (size_t i = 0; i < N_TESTS; i++) {
        const kd_yaml_node *arg = kd_yaml_get(n, test_rows[i].name);
        if (arg == NULL)
            continue;
        out->test = test_rows[i].test;
        out->is_negated = test_rows[i].is_negated;
        if (out->test == KD_CSV_EMPTY) {
            bool wants = false;
            KD_TRY(kd_yaml_bool(l->maps->yaml, arg, &wants, l->err));
            out->is_negated = !wants;
        } else if (out->test == KD_CSV_LESS_THAN || out->test == KD_CSV_MORE_THAN) {
            KD_TRY(kd_yaml_real(l->maps->yaml, arg, &out->number, l->err));
        } else {
            KD_TRY(word_list(l, arg, &out->words, &out->n_words));
        }
    }
    return KD_OK;
}

static kd_rc load_conds(loader *l, const kd_yaml_node *n, kd_csv_conds *out)
{
    size_t count = n->kind == KD_YAML_SEQ ? n->n : 1;
    out->list = room(l, count, sizeof *out->list);
    if (out->list == NULL)
        return no_memory(l);
    for (size_t i = 0; i < count; i++)
        KD_TRY(load_cond(l, n->kind == KD_YAML_SEQ ? n->items[i] : n, &out->list[i]));
    out->n = count;
    return KD_OK;
}

static kd_rc load_values(loader *l, const kd_yaml_node *n, kd_csv_value *v)
{
    if (n->kind != KD_YAML_MAP)
        return fail(l, n, "pairs of the file's word and ours are wanted here");
    v->from = room(l, n->n, sizeof *v->from);
    v->to = room(l, n->n, sizeof *v->to);
    if (v->from == NULL || v->to == NULL)
        return no_memory(l);
    for (size_t i = 0; i < n->n; i++) {
        v->from[i] = kd_str_of(n->keys[i]->text);
        KD_TRY(word(l, n->items[i], &v->to[i]));
    }
    v->n_values = n->n;
    return KD_OK;
}

/* A constant, a default or the right side of `values` must be a word that the field knows. */
static kd_rc check_word(loader *l, int id, kd_str s, const kd_yaml_node *at)
{
    static const char *const actions[] = {"VIEW", "LIKE", "CART", NULL};
    static const char *const statuses[] = {"PAID", "CANCELLED", NULL};
    const char *const *known = id == KD_F_ACTION ? actions : id == KD_F_STATUS ? statuses : NULL;
    if (known == NULL || s.p == NULL)
        return KD_OK;
    for (size_t i = 0; known[i] != NULL; i++)
        if (strcmp(known[i], s.p) == 0)
            return KD_OK;
    const char *near = kd_nearest(s.p, known);
    return kd_yaml_fail(l->maps->yaml, at, l->err, "%s is one of %s, not \"%.40s\"%s%s",
                        field_rows[id].name,
                        id == KD_F_ACTION ? "VIEW, LIKE, CART" : "PAID, CANCELLED", s.p,
                        near == NULL ? "" : "; did you mean ", near == NULL ? "" : near);
}

static kd_rc check_words(loader *l, int id, const kd_yaml_node *n, const kd_csv_value *v)
{
    KD_TRY(check_word(l, id, v->constant, kd_yaml_get(n, "constant")));
    KD_TRY(check_word(l, id, v->dflt, kd_yaml_get(n, "default")));
    const kd_yaml_node *values = kd_yaml_get(n, "values");
    for (size_t i = 0; i < v->n_values; i++)
        KD_TRY(check_word(l, id, v->to[i], values->items[i]));
    return KD_OK;
}

static kd_rc load_time(loader *l, const kd_yaml_node *n, kd_csv_value *v)
{
    const kd_yaml_node *format = kd_yaml_get(n, "format");
    const kd_yaml_node *zone = kd_yaml_get(n, "zone");
    const char *f = "iso", *z = NULL;
    if (format != NULL)
        KD_TRY(kd_yaml_str(l->maps->yaml, format, &f, l->err));
    if (zone != NULL)
        KD_TRY(kd_yaml_str(l->maps->yaml, zone, &z, l->err));
    kd_err why = {0};
    if (kd_timefmt_init(&v->timefmt, f, z, &why) != KD_OK)
        return kd_yaml_fail(l->maps->yaml, strncmp(why.msg, "zone", 4) == 0 ? zone : format, l->err,
                            "%s", why.msg);
    if (v->constant.p != NULL &&
        kd_timefmt_parse(&v->timefmt, v->constant, &v->constant_time, &why) != KD_OK)
        return kd_yaml_fail(l->maps->yaml, kd_yaml_get(n, "constant"), l->err, "%s", why.msg);
    return KD_OK;
}

static kd_rc load_value_map(loader *l, int id, const kd_yaml_node *n, kd_csv_value *v)
{
    static const char *const known[] = {
        "column",       "columns",      "constant",    "format",     "zone",
        "strip_prefix", "strip_suffix", "add_prefix",  "null_words", "values",
        "default",      "absolute",     "keep_blanks", "split",      NULL};
    kd_yaml *y = l->maps->yaml;
    KD_TRY(kd_yaml_only_keys(y, n, known, l->err));
    const kd_yaml_node *one = kd_yaml_get(n, "column"), *many = kd_yaml_get(n, "columns");
    const kd_yaml_node *constant = kd_yaml_get(n, "constant");
    if ((one != NULL) + (many != NULL) + (constant != NULL) != 1)
        return fail(l, n, "one of column, columns and constant is wanted here");
    if (constant != NULL)
        KD_TRY(word(l, constant, &v->constant));
    else
        KD_TRY(column_list(l, one != NULL ? one : many, v));
    struct {
        const char *key;
        kd_str *to;
    } texts[] = {{"strip_prefix", &v->strip_prefix},
                 {"strip_suffix", &v->strip_suffix},
                 {"add_prefix", &v->add_prefix},
                 {"default", &v->dflt}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const kd_yaml_node *t = kd_yaml_get(n, texts[i].key);
        if (t != NULL)
            KD_TRY(word(l, t, texts[i].to));
    }
    const kd_yaml_node *x = kd_yaml_get(n, "null_words");
    if (x != NULL)
        KD_TRY(word_list(l, x, &v->nulls, &v->n_nulls));
    x = kd_yaml_get(n, "values");
    if (x != NULL)
        KD_TRY(load_values(l, x, v));
    x = kd_yaml_get(n, "absolute");
    if (x != NULL)
        KD_TRY(kd_yaml_bool(y, x, &v->absolute, l->err));
    x = kd_yaml_get(n, "keep_blanks");
    if (x != NULL)
        KD_TRY(kd_yaml_bool(y, x, &v->keeps_blanks, l->err));
    x = kd_yaml_get(n, "split");
    if (x != NULL)
        KD_TRY(one_char(l, x, false, &v->split));
    static const struct {
        const char *key;
        unsigned fields;
        const char *msg;
    } only[] = {
        {"format", 1u << KD_F_TIME, "format is for time alone"},
        {"zone", 1u << KD_F_TIME, "zone is for time alone"},
        {"absolute", 1u << KD_F_QUANTITY | 1u << KD_F_PRICE, "absolute is for quantity and price"},
        {"split", 1u << KD_F_TAGS, "split is for tags alone"},
    };
    for (size_t i = 0; i < sizeof only / sizeof *only; i++)
        if (kd_yaml_key(n, only[i].key) != NULL && (only[i].fields & 1u << id) == 0)
            return fail(l, kd_yaml_key(n, only[i].key), only[i].msg);
    return check_words(l, id, n, v);
}

static kd_rc load_value(loader *l, kd_record_type type, int id, const kd_yaml_node *n,
                        kd_csv_value *v)
{
    if (n->kind == KD_YAML_MAP)
        KD_TRY(load_value_map(l, id, n, v));
    else
        KD_TRY(column_list(l, n, v)); /* the short form: just the column */
    if (id == KD_F_TIME)
        KD_TRY(load_time(l, n, v));
    v->is_set = true;
    v->label = v->n_columns > 0 && l->map->has_header ? l->map->columns[v->columns[0]].name
                                                      : field_name(type, id);
    return KD_OK;
}

static kd_rc load_fields(loader *l, const kd_yaml_node *rule_node, kd_csv_rule *rule)
{
    const kd_yaml_node *n = kd_yaml_get(rule_node, "fields");
    if (n == NULL || n->kind != KD_YAML_MAP)
        return fail(l, n == NULL ? rule_node : n, "a record needs fields");
    const char *known[KD_F_COUNT + 1] = {NULL};
    size_t n_known = 0;
    for (int id = 0; id < KD_F_COUNT; id++)
        if (field_name(rule->type, id) != NULL)
            known[n_known++] = field_name(rule->type, id);
    KD_TRY(kd_yaml_only_keys(l->maps->yaml, n, known, l->err));
    for (int id = 0; id < KD_F_COUNT; id++) {
        const char *name = field_name(rule->type, id);
        const kd_yaml_node *v = name == NULL ? NULL : kd_yaml_get(n, name);
        if (v != NULL)
            KD_TRY(load_value(l, rule->type, id, v, &rule->fields[id]));
        else if (is_required(rule->type, id))
            return kd_yaml_fail(l->maps->yaml, n, l->err, "a %s needs %s",
                                kd_record_type_name(rule->type), name);
    }
    if (rule->has_cancelled_when && rule->fields[KD_F_STATUS].is_set)
        return fail(l, kd_yaml_key(rule_node, "cancelled_when"),
                    "either cancelled_when or a status field");
    return KD_OK;
}

static kd_rc load_rule(loader *l, const kd_yaml_node *n, kd_csv_rule *rule)
{
    static const char *const known[] = {"type",      "when",   "cancelled_when",
                                        "every_row", "fields", NULL};
    KD_TRY(kd_yaml_only_keys(l->maps->yaml, n, known, l->err));
    const kd_yaml_node *type = kd_yaml_get(n, "type");
    const char *types[KD_RECORD_TYPES + 1] = {NULL};
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        types[t] = kd_record_type_name((kd_record_type)t);
    int found = -1;
    for (int t = 0; t < KD_RECORD_TYPES && type != NULL; t++)
        if (type->kind == KD_YAML_SCALAR && strcmp(type->text, types[t]) == 0)
            found = t;
    if (found < 0) {
        const char *near = type == NULL ? NULL : kd_nearest(type->text, types);
        return kd_yaml_fail(l->maps->yaml, type == NULL ? n : type, l->err,
                            "type is BrowseEvent, PurchaseEvent, CatalogItem or ForgetRequest%s%s",
                            near == NULL ? "" : "; did you mean ", near == NULL ? "" : near);
    }
    rule->type = (kd_record_type)found;
    const kd_yaml_node *x = kd_yaml_get(n, "when");
    if (x != NULL)
        KD_TRY(load_conds(l, x, &rule->when));
    x = kd_yaml_get(n, "cancelled_when");
    if (x != NULL) {
        if (rule->type != KD_PURCHASE)
            return fail(l, kd_yaml_key(n, "cancelled_when"), "only a PurchaseEvent is cancelled");
        KD_TRY(load_conds(l, x, &rule->cancelled_when));
        rule->has_cancelled_when = true;
    }
    x = kd_yaml_get(n, "every_row");
    if (x != NULL) {
        if (rule->type != KD_CATALOG)
            return fail(l, kd_yaml_key(n, "every_row"), "every_row is for a CatalogItem");
        KD_TRY(kd_yaml_bool(l->maps->yaml, x, &rule->every_row, l->err));
    }
    KD_TRY(load_fields(l, n, rule));
    if (rule->type != KD_CATALOG)
        l->map->has_events = true;
    return KD_OK;
}

/* One of two words; is_second is false where the key is absent. */
static kd_rc either(loader *l, const kd_yaml_node *n, const char *key, const char *first,
                    const char *second, bool *is_second)
{
    const kd_yaml_node *v = kd_yaml_get(n, key);
    if (v == NULL)
        return KD_OK;
    if (v->kind == KD_YAML_SCALAR && strcmp(v->text, first) == 0)
        *is_second = false;
    else if (v->kind == KD_YAML_SCALAR && strcmp(v->text, second) == 0)
        *is_second = true;
    else
        return kd_yaml_fail(l->maps->yaml, v, l->err, "%s is %s or %s", key, first, second);
    return KD_OK;
}

static kd_rc load_dialect(loader *l, const kd_yaml_node *n)
{
    kd_csv_map *m = l->map;
    const kd_yaml_node *x = kd_yaml_get(n, "delimiter");
    m->dialect = (kd_csv_dialect){',', '"'};
    m->decimal = '.';
    m->has_header = true;
    if (x != NULL) {
        KD_TRY(one_char(l, x, false, &m->dialect.delimiter));
        m->has_delimiter = true;
    }
    x = kd_yaml_get(n, "quote");
    if (x != NULL)
        KD_TRY(one_char(l, x, true, &m->dialect.quote));
    if (m->dialect.quote == m->dialect.delimiter)
        return fail(l, x, "the quote and the delimiter are the same");
    x = kd_yaml_get(n, "decimal");
    if (x != NULL)
        KD_TRY(one_char(l, x, false, &m->decimal));
    x = kd_yaml_get(n, "header");
    if (x != NULL)
        KD_TRY(kd_yaml_bool(l->maps->yaml, x, &m->has_header, l->err));
    return KD_OK;
}

static kd_rc load_map(loader *l, const kd_yaml_node *n)
{
    static const char *const known[] = {"files",      "delimiter", "quote",   "header", "decimal",
                                        "no_shopper", "otherwise", "records", NULL};
    if (n->kind != KD_YAML_MAP)
        return fail(l, n, "a mapping with records is wanted here");
    KD_TRY(kd_yaml_only_keys(l->maps->yaml, n, known, l->err));
    const kd_yaml_node *files = kd_yaml_get(n, "files");
    if (files != NULL)
        KD_TRY(kd_yaml_str(l->maps->yaml, files, &l->map->files, l->err));
    KD_TRY(load_dialect(l, n));
    KD_TRY(either(l, n, "no_shopper", "dead-letter", "ignore", &l->map->ignores_no_shopper));
    KD_TRY(either(l, n, "otherwise", "ignore", "dead-letter", &l->map->reports_others));
    const kd_yaml_node *records = kd_yaml_get(n, "records");
    if (records == NULL || records->kind != KD_YAML_SEQ || records->n == 0)
        return fail(l, records == NULL ? n : records, "records must list what a row gives");
    if (records->n > KD_CSV_RULES_MAX)
        return kd_yaml_fail(l->maps->yaml, records, l->err, "at most %d records a row",
                            KD_CSV_RULES_MAX);
    l->map->rules = room(l, records->n, sizeof *l->map->rules);
    if (l->map->rules == NULL)
        return no_memory(l);
    l->map->n_rules = records->n;
    for (size_t i = 0; i < records->n; i++)
        KD_TRY(load_rule(l, records->items[i], &l->map->rules[i]));
    return KD_OK;
}

static kd_rc load_all(loader *l)
{
    static const char *const known[] = {"maps", NULL};
    const kd_yaml_node *root = kd_yaml_root(l->maps->yaml);
    const kd_yaml_node *list = kd_yaml_get(root, "maps");
    if (list != NULL) {
        KD_TRY(kd_yaml_only_keys(l->maps->yaml, root, known, l->err));
        if (list->kind != KD_YAML_SEQ || list->n == 0)
            return fail(l, list, "maps must list mappings");
    }
    l->maps->n = list == NULL ? 1 : list->n;
    l->maps->list = room(l, l->maps->n, sizeof *l->maps->list);
    if (l->maps->list == NULL)
        return no_memory(l);
    for (size_t i = 0; i < l->maps->n; i++) {
        l->map = &l->maps->list[i];
        KD_TRY(load_map(l, list == NULL ? root : list->items[i]));
    }
    return KD_OK;
}

/* Takes over yaml. */
static kd_rc load_yaml(kd_yaml *yaml, kd_csv_maps **out, kd_err *err)
{
    kd_csv_maps *m = calloc(1, sizeof *m);
    if (m == NULL) {
        kd_yaml_free(yaml);
        return kd_fail(err, KD_ENOMEM, "no memory for a column mapping");
    }
    loader l = {.maps = m, .err = err};
    m->yaml = yaml;
    m->arena = kd_arena_new(0);
    kd_rc rc = m->arena == NULL ? no_memory(&l) : load_all(&l);
    if (rc != KD_OK) {
        kd_csv_maps_free(m);
        return rc;
    }
    *out = m;
    return KD_OK;
}

kd_rc kd_csv_maps_parse(const char *text, size_t n, const char *name, kd_csv_maps **out,
                        kd_err *err)
{
    kd_yaml *yaml = NULL;
    KD_TRY(kd_yaml_parse(text, n, name, &yaml, err));
    return load_yaml(yaml, out, err);
}

kd_rc kd_csv_maps_load(const char *path, kd_csv_maps **out, kd_err *err)
{
    kd_yaml *yaml = NULL;
    KD_TRY(kd_yaml_load(path, &yaml, err));
    return load_yaml(yaml, out, err);
}

void kd_csv_maps_free(kd_csv_maps *m)
{
    if (m == NULL)
        return;
    kd_arena_free(m->arena);
    kd_yaml_free(m->yaml);
    free(m);
}

const kd_csv_map *kd_csv_maps_find(const kd_csv_maps *m, const char *base_name)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->list[i].files == NULL || fnmatch(m->list[i].files, base_name, 0) == 0)
            return &m->list[i];
    return NULL;
}
