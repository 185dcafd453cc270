#include "base/opt.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- reading a value ----------------------------------------------------------------------------
 */

typedef struct unit {
    const char *name;
    double factor;
} unit;

static const unit durations[] = {{"ms", 1},       {"s", 1000},      {"m", 60000}, {"h", 3600000},
                                 {"d", 86400000}, {"w", 604800000}, {"", 1},      {NULL, 0}};
static const unit bytes[] = {
    {"k", 1024.0},  {"m", 1048576.0},  {"g", 1073741824.0},  {"t", 1099511627776.0},
    {"kb", 1024.0}, {"mb", 1048576.0}, {"gb", 1073741824.0}, {"b", 1},
    {"", 1},        {NULL, 0}};

/* A number with a unit of the table; false if it is none, or does not fit an int64 exactly. */
static bool parse_units(const char *text, const unit *units, int64_t *out)
{
    char *end;
    errno = 0;
    double d = strtod(text, &end);
    if (end == text || errno != 0 || !isfinite(d))
        return false;
    for (const unit *u = units; u->name != NULL; u++) {
        if (strcasecmp(end, u->name) != 0)
            continue;
        d *= u->factor;
        if (d < -9.0e15 || d > 9.0e15 || d != floor(d))
            return false;
        *out = (int64_t)d;
        return true;
    }
    return false;
}

static bool parse_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (end == text || errno != 0)
        return false;
    if (*end == '\0') {
        *out = x;
        return true;
    }
    return parse_units(text, bytes, out);
}

static bool parse_bool(const char *text, int64_t *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        if (strcasecmp(text, words[k]) == 0) {
            *out = (int64_t)(k % 2);
            return true;
        }
    }
    return false;
}

static bool parse_choice(const char *text, const char *choices, int64_t *out)
{
    int64_t index = 0;
    for (const char *p = choices; p != NULL; index++) {
        size_t n = strcspn(p, "|");
        if (strlen(text) == n && strncasecmp(text, p, n) == 0) {
            *out = index;
            return true;
        }
        p = p[n] == '|' ? p + n + 1 : NULL;
    }
    return false;
}

static const char *what_is_right(kd_opt_type type)
{
    switch (type) {
    case KD_OPT_INT:
        return "a whole number";
    case KD_OPT_REAL:
        return "a number";
    case KD_OPT_BOOL:
        return "true or false";
    case KD_OPT_ENUM:
        return "one of";
    case KD_OPT_STRING:
    case KD_OPT_LIST:
        return "a text";
    case KD_OPT_DURATION:
        return "a time such as 100ms, 2s, 5m, 12h or 30d";
    case KD_OPT_BYTES:
        return "a size such as 64k, 512m or 2g";
    }
    return "another value";
}

static bool parse(const kd_opt *opt, const char *text, int64_t *i, double *d)
{
    bool ok = true;
    switch (opt->type) {
    case KD_OPT_INT:
        ok = parse_int(text, i);
        break;
    case KD_OPT_REAL: {
        char *end;
        *d = strtod(text, &end);
        return end != text && *end == '\0' && isfinite(*d);
    }
    case KD_OPT_BOOL:
        ok = parse_bool(text, i);
        break;
    case KD_OPT_ENUM:
        ok = parse_choice(text, opt->choices, i);
        break;
    case KD_OPT_STRING:
    case KD_OPT_LIST:
        *i = 0;
        break;
    case KD_OPT_DURATION:
        ok = parse_units(text, durations, i) && *i >= 0;
        break;
    case KD_OPT_BYTES:
        ok = parse_units(text, bytes, i) && *i >= 0;
        break;
    }
    *d = ok ? (double)*i : 0;
    return ok;
}

/* -- the table ----------------------------------------------------------------------------------
 */

static bool is_text(const kd_opt *opt)
{
    return opt->type == KD_OPT_STRING || opt->type == KD_OPT_LIST;
}

const kd_opt_value *kd_opt_find(const kd_opt_values *v, const char *name)
{
    for (size_t k = 0; k < v->n; k++)
        if (strcmp(v->rows[k].opt->name, name) == 0)
            return &v->rows[k];
    return NULL;
}

/* Levenshtein distance, cut at names of 63 bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b);
    if (n > 63)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

static const char *nearest_name(const kd_opt_values *v, const char *name)
{
    const char *best = NULL;
    size_t best_d = strlen(name) / 2 + 1;
    for (size_t k = 0; k < v->n; k++) {
        size_t d = distance(name, v->rows[k].opt->name);
        if (d < best_d) {
            best_d = d;
            best = v->rows[k].opt->name;
        }
    }
    return best;
}

/* No option has the name. It may be the group that usercf.neighbours is in. */
static kd_rc no_option(const kd_opt_values *v, const char *name, kd_err *err)
{
    const char *near = nearest_name(v, name), *first[3] = {NULL};
    const size_t n = strlen(name);
    size_t found = 0;
    for (size_t k = 0; k < v->n && found < 3; k++) {
        const char *is = v->rows[k].opt->name;
        if (n > 0 && strncmp(is, name, n) == 0 && is[n] == '.')
            first[found++] = is;
    }
    if (found > 0)
        return kd_fail(err, KD_ECONFIG, "%s is not an option but a group of them: %s%s%s%s%s ...",
                       name, first[0], found > 1 ? ", " : "", found > 1 ? first[1] : "",
                       found > 2 ? ", " : "", found > 2 ? first[2] : "");
    return near != NULL
               ? kd_fail(err, KD_ECONFIG, "there is no option %s; did you mean %s", name, near)
               : kd_fail(err, KD_ECONFIG, "there is no option %s; `kindred config` lists them",
                         name);
}

kd_rc kd_opt_set(kd_opt_values *v, const char *name, const char *text, const char *from,
                 kd_err *err)
{
    kd_opt_value *row = NULL;
    for (size_t k = 0; k < v->n && row == NULL; k++)
        if (strcmp(v->rows[k].opt->name, name) == 0)
            row = &v->rows[k];
    kd_rc rc = KD_OK;
    if (row == NULL) {
        rc = no_option(v, name, err);
        kd_err_at(err, "%s", from);
        return rc;
    }
    const kd_opt *opt = row->opt;
    int64_t i = 0;
    double d = 0;
    bool is_secret = strstr(name, "password") != NULL || strstr(name, "key") != NULL ||
                     strstr(name, "secret") != NULL || strstr(name, "auth") != NULL;
    if (!parse(opt, text, &i, &d))
        rc = kd_fail(err, KD_ECONFIG, "%s: \"%s\" is not %s%s%s", name, is_secret ? "***" : text,
                     what_is_right(opt->type), opt->type == KD_OPT_ENUM ? " " : "",
                     opt->type == KD_OPT_ENUM ? opt->choices : "");
    else if ((opt->min != 0 || opt->max != 0) && (d < opt->min || d > opt->max))
        rc = kd_fail(err, KD_ECONFIG, "%s: %s is out of range, %g to %g is right", name, text,
                     opt->min, opt->max);
    char *copy = rc == KD_OK ? strdup(text) : NULL;
    if (rc == KD_OK && copy == NULL)
        rc = kd_fail(err, KD_ENOMEM, "no memory for option %s", name);
    if (rc != KD_OK) {
        kd_err_at(err, "%s", from);
        return rc;
    }
    free(row->s);
    row->s = copy;
    row->i = i;
    row->d = d;
    snprintf(row->from, sizeof row->from, "%s", from);
    return KD_OK;
}

kd_rc kd_opt_values_add(kd_opt_values *v, const kd_opt *table, kd_err *err)
{
    size_t n = 0;
    while (table[n].name != NULL)
        n++;
    kd_opt_value *rows = realloc(v->rows, (v->n + n + 1) * sizeof *rows);
    if (rows == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %zu options", v->n + n);
    v->rows = rows;
    for (size_t k = 0; k < n; k++) {
        if (kd_opt_find(v, table[k].name) != NULL)
            return kd_fail(err, KD_EBUG, "option %s is there twice", table[k].name);
        v->rows[v->n++] = (kd_opt_value){.opt = &table[k]};
        if (kd_opt_set(v, table[k].name, table[k].dflt, "default", err) != KD_OK)
            return KD_EBUG;
    }
    return KD_OK;
}

void kd_opt_values_dispose(kd_opt_values *v)
{
    for (size_t k = 0; k < v->n; k++)
        free(v->rows[k].s);
    free(v->rows);
    *v = (kd_opt_values){0};
}

static const kd_opt_value *must_find(const kd_opt_values *v, const char *name)
{
    const kd_opt_value *row = kd_opt_find(v, name);
    KD_ASSERT(row != NULL);
    return row;
}

int64_t kd_opt_int(const kd_opt_values *v, const char *name)
{
    const kd_opt_value *row = must_find(v, name);
    KD_ASSERT(row->opt->type != KD_OPT_REAL && !is_text(row->opt));
    return row->i;
}

double kd_opt_real(const kd_opt_values *v, const char *name)
{
    const kd_opt_value *row = must_find(v, name);
    KD_ASSERT(row->opt->type == KD_OPT_REAL);
    return row->d;
}

const char *kd_opt_str(const kd_opt_values *v, const char *name)
{
    const kd_opt_value *row = must_find(v, name);
    KD_ASSERT(is_text(row->opt));
    return row->s;
}

const char *kd_opt_given(const kd_opt_values *v, const char *name)
{
    const char *s = kd_opt_str(v, name);
    return s[0] == '\0' ? NULL : s;
}
