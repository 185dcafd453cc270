/* opt.h - option tables: one row names, types, bounds, defaults and documents an option; values
 * remember where they came from. docs/OPTIONS.md and `kindred config` are made from the rows.
 *
 * Names are dotted ("usercf.neighbours"); in YAML the dots may be nesting or stand as they are.
 * @thread one
 */
#ifndef KD_OPT_H
#define KD_OPT_H

#include "base/kd.h"

typedef enum kd_opt_type {
    KD_OPT_INT,      /* i: int64, bounded by min/max; k/m/g suffixes allowed for bytes */
    KD_OPT_REAL,     /* d: double, bounded by min/max */
    KD_OPT_BOOL,     /* i: 0 or 1; true/false/yes/no/on/off */
    KD_OPT_ENUM,     /* i: index into `choices` (separated by |) */
    KD_OPT_STRING,   /* s */
    KD_OPT_LIST,     /* s: entries separated by ';'; in YAML a list of them, too */
    KD_OPT_DURATION, /* i: milliseconds; "100", "100ms", "2s", "5m", "12h", "30d"; 0 = off */
    KD_OPT_BYTES,    /* i: bytes; "64k", "512m", "2g" */
} kd_opt_type;

typedef struct kd_opt {
    const char *name; /* NULL ends the table */
    kd_opt_type type;
    const char *dflt;    /* written as a user would write it */
    double min, max;     /* inclusive, for numbers; 0,0 = unbounded */
    const char *choices; /* ENUM: "a|b|c" */
    const char *help;    /* one sentence: what it does, its unit */
} kd_opt;

typedef struct kd_opt_value {
    const kd_opt *opt;
    int64_t i;
    double d;
    char *s;        /* owned; STRING and LIST, and the text as given for all types */
    char from[160]; /* "default", "kindred.yaml:3:14", "environment KINDRED_X", "--set" */
} kd_opt_value;

typedef struct kd_opt_values {
    kd_opt_value *rows; /* owned */
    size_t n;
} kd_opt_values;

/* Adds a table's rows at their defaults; may be called for several tables. {0} is empty.
 * KD_EBUG on a default that its own row refuses, or on a name that is there twice. */
KD_CHECK kd_rc kd_opt_values_add(kd_opt_values *v, const kd_opt *table, kd_err *err);
void kd_opt_values_dispose(kd_opt_values *v);

/* Sets by name from text. KD_ECONFIG, with what would be right (bounds, choices, the nearest
 * name), otherwise; err->where is `from`. */
KD_CHECK kd_rc kd_opt_set(kd_opt_values *v, const char *name, const char *text, const char *from,
                          kd_err *err);

/* Getters: the row must exist and have the type (KD_ASSERT). */
int64_t kd_opt_int(const kd_opt_values *v, const char *name); /* INT BOOL ENUM DURATION BYTES */
double kd_opt_real(const kd_opt_values *v, const char *name);
const char *kd_opt_str(const kd_opt_values *v, const char *name);
const char *kd_opt_given(const kd_opt_values *v, const char *name); /* the same; NULL if empty */
const kd_opt_value *kd_opt_find(const kd_opt_values *v, const char *name); /* NULL: no such */

/* A property that is passed through to a library (librdkafka), and where it came from. */
typedef struct kd_property {
    char *name, *value; /* owned by whoever made the list */
    char from[160];
} kd_property;

#endif
