/* csv_map.h - the column mapping: what a CSV row means. The language stands in README.md.
 *
 * kd_csv_map_load reads and checks the YAML once; kd_csv_map_bind ties the columns that it names to
 * those of one file; kd_csv_map_row (csv_row.c) makes records of a row.
 * @thread one; a loaded map is only read.
 */
#ifndef KD_CSV_MAP_H
#define KD_CSV_MAP_H

#include "base/buf.h"
#include "base/timefmt.h"
#include "base/yaml.h"
#include "consumers/csv_split.h"
#include "schemas/record.h"

enum { KD_CSV_RULES_MAX = 8 };

/* The fields of the schemas that a mapping may fill. */
typedef enum kd_csv_field_id {
    KD_F_ITEM_ID,
    KD_F_USER_ID,
    KD_F_SESSION_ID,
    KD_F_EVENT_ID,
    KD_F_ORDER_ID,
    KD_F_TIME,
    KD_F_ACTION,
    KD_F_STATUS,
    KD_F_DWELL_MS,
    KD_F_QUANTITY,
    KD_F_PRICE,
    KD_F_CURRENCY,
    KD_F_TITLE,
    KD_F_DESCRIPTION,
    KD_F_CATEGORY,
    KD_F_BRAND,
    KD_F_TAGS,
    KD_F_AVAILABLE,
    KD_F_REMOVED,
    KD_F_COUNT
} kd_csv_field_id;

/* A column as the mapping names it; an index into kd_csv_map.columns. */
typedef struct kd_csv_column {
    const char *name;         /* borrowed from the YAML tree; NULL: by number */
    size_t number;            /* from 1; 0: by name */
    const kd_yaml_node *node; /* where it is named first */
} kd_csv_column;

typedef enum kd_csv_test {
    KD_CSV_EQUALS, /* one of `words` */
    KD_CSV_STARTS_WITH,
    KD_CSV_ENDS_WITH,
    KD_CSV_CONTAINS,
    KD_CSV_EMPTY,
    KD_CSV_LESS_THAN,
    KD_CSV_MORE_THAN,
} kd_csv_test;

typedef struct kd_csv_cond {
    size_t column;
    kd_csv_test test;
    bool is_negated;
    kd_str *words; /* n_words entries */
    size_t n_words;
    double number;
} kd_csv_cond;

typedef struct kd_csv_conds {
    kd_csv_cond *list;
    size_t n;
} kd_csv_conds;

typedef struct kd_csv_value {
    bool is_set;
    kd_str constant; /* p != NULL: no column is read */
    size_t *columns; /* joined by a blank; for tags each is one */
    size_t n_columns;
    bool keeps_blanks; /* around the text */
    bool absolute;
    char split; /* tags: between entries; NUL: none */
    kd_str strip_prefix, strip_suffix, add_prefix;
    kd_str *nulls; /* texts that mean null */
    size_t n_nulls;
    kd_str *from, *to; /* value map, n_values pairs */
    size_t n_values;
    kd_str dflt; /* for a null; p == NULL: none */
    kd_timefmt timefmt;
    kd_ms constant_time;
    const char *label; /* for messages: the first column's name or the field's */
} kd_csv_value;

typedef struct kd_csv_rule {
    kd_record_type type;
    kd_csv_conds when;
    kd_csv_conds cancelled_when;
    bool has_cancelled_when;
    bool every_row; /* catalogue: also when the text has not changed */
    kd_csv_value fields[KD_F_COUNT];
} kd_csv_rule;

/* One mapping; a file of several has one for each kind of CSV file. */
typedef struct kd_csv_map {
    const char *files; /* pattern over the base name; NULL: all */
    kd_csv_dialect dialect;
    bool has_delimiter; /* else by the file's name */
    bool has_header;
    char decimal;
    bool ignores_no_shopper; /* else dead letters */
    bool reports_others;     /* rows without a rule: dead letters, not ignored */
    bool has_events;         /* a rule is no catalogue */
    kd_csv_rule *rules;
    size_t n_rules;
    kd_csv_column *columns;
    size_t n_columns;
} kd_csv_map;

typedef struct kd_csv_maps {
    kd_yaml *yaml;   /* owned */
    kd_arena *arena; /* owned: everything below */
    kd_csv_map *list;
    size_t n;
} kd_csv_maps;

/* KD_ECONFIG with file:line:column. *out is owned by the caller. */
KD_CHECK kd_rc kd_csv_maps_parse(const char *text, size_t n, const char *name, kd_csv_maps **out,
                                 kd_err *err);
KD_CHECK kd_rc kd_csv_maps_load(const char *path, kd_csv_maps **out, kd_err *err);
void kd_csv_maps_free(kd_csv_maps *m);
/* The first map whose pattern fits the base name, or NULL. */
const kd_csv_map *kd_csv_maps_find(const kd_csv_maps *m, const char *base_name);

/* A map tied to the columns of one file. */
typedef struct kd_csv_bound {
    const kd_csv_map *map;
    size_t *at;      /* owned: index in the row of each of the map's columns */
    size_t n_fields; /* a row must have so many; 0: any number that has the columns */
    kd_buf scratch;  /* for conditions */
    uint64_t
        *texts; /* owned: item hash, text hash, ... open addressing; what was said of an item */
    size_t texts_cap, texts_n;
} kd_csv_bound;

/* header: the first row, or NULL where the map has none. KD_ECONFIG at the map's place for a column
 * that is not there. */
KD_CHECK kd_rc kd_csv_bind(const kd_csv_maps *m, const kd_csv_map *map, const kd_csv_row *header,
                           const char *file, kd_csv_bound *out, kd_err *err);
void kd_csv_bound_dispose(kd_csv_bound *b);
/* True if the file's last catalogue record of the item had the same text (price and time aside).
 * The memory of that is 16 bytes for each item of the file, by 64-bit hashes of id and text. */
bool kd_csv_is_unchanged(const kd_csv_bound *b, const kd_record *r);
KD_CHECK kd_rc kd_csv_remember(kd_csv_bound *b, const kd_record *r, kd_err *err);

/* What a row gave: records in order, then perhaps a fault. */
typedef struct kd_csv_result {
    kd_record records[KD_CSV_RULES_MAX];
    size_t n;
    bool is_ignored; /* no event came out and none was meant to */
} kd_csv_result;

/* The records of a row, checked; strings live in the row's text or in `a`. KD_EDATA: the row is
 * bad; out->n records stand beside that (catalogue records of a row without a shopper), 0
 * otherwise. */
KD_CHECK kd_rc kd_csv_row_records(kd_csv_bound *b, const kd_csv_row *row, kd_ms latest, kd_arena *a,
                                  kd_csv_result *out, kd_err *err);

/* Decimal text to the nearest double, '.' or another point; no blanks, no hexadecimal, no words.
 * Locale-free on the usual path. */
bool kd_csv_number(kd_str s, char decimal, double *out);

#endif
