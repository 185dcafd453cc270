#include "cli/variants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRIDS_MAX = 16, NAME_MAX_BYTES = 400 };

typedef struct grid {
    const char *option; /* in the arena, NUL-terminated, as are the values */
    const char **values;
    uint32_t n;
} grid;

static kd_rc parse_grid(kd_arena *arena, const char *text, grid *out, kd_err *err)
{
    const char *eq = strchr(text, '=');
    if (eq == NULL || eq == text || eq[1] == '\0')
        return kd_fail(err, KD_ECONFIG,
                       "--grid: \"%s\" is not OPTION=VALUE,VALUE such as usercf.neighbours=20,50",
                       text);
    size_t most = 1;
    for (const char *p = eq; *p != '\0'; p++)
        most += *p == ',';
    *out = (grid){.option = kd_arena_strz(arena, (kd_str){text, (uint32_t)(eq - text)}),
                  .values = kd_arena_calloc(arena, most, sizeof(const char *))};
    if (out->option == NULL || out->values == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for --grid %s", text);
    for (const char *p = eq + 1;; p++) {
        size_t n = strcspn(p, ",");
        out->values[out->n] = kd_arena_strz(arena, (kd_str){p, (uint32_t)n});
        if (out->values[out->n++] == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for --grid %s", text);
        p += n;
        if (*p == '\0')
            return KD_OK;
    }
}

/* "path/to/a.yaml" -> "a" */
static kd_str short_name(const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash == NULL ? file : slash + 1;
    size_t n = strlen(base);
    const char *dot = strrchr(base, '.');
    if (dot != NULL && dot != base && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        n = (size_t)(dot - base);
    return (kd_str){base, (uint32_t)n};
}

/* What everybody tunes goes by its short name. */
static const char *short_option(const char *name)
{
    static const char *const prefixes[] = {"usercf.", "recommend."};
    for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++)
        if (strncmp(name, prefixes[k], strlen(prefixes[k])) == 0)
            return name + strlen(prefixes[k]);
    return name;
}

static const char *name_of(kd_arena *arena, const kd_variants *v, const char *file,
                           const grid *grids, int n_grids, const uint32_t *at)
{
    char text[NAME_MAX_BYTES];
    size_t n = 0;
    if (file != NULL)
        n = (size_t)snprintf(text, sizeof text, KD_STR_FMT, KD_STR_ARG(short_name(file)));
    for (int g = 0; g < n_grids && n < sizeof text; g++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s=%s", n == 0 ? "" : " ",
                              short_option(grids[g].option), grids[g].values[at[g]]);
    if (n == 0)
        n = (size_t)snprintf(text, sizeof text, "defaults");
    uint32_t same = 1;
    for (uint32_t k = 0; k < v->n; k++) /* two files of one name in two folders */
        same += strcmp(v->all[k].name, text) == 0;
    if (same > 1 && n < sizeof text)
        snprintf(text + n, sizeof text - n, " (%u)", v->n + 1);
    return kd_arena_strz(arena, kd_str_of(text));
}

/* One configuration: a file, and one value of each grid. */
static kd_rc add_variant(kd_arena *arena, const kd_common *common, const char *file,
                         const grid *grids, int n_grids, const uint32_t *at, kd_variants *v,
                         kd_err *err)
{
    kd_variant *x = &v->all[v->n];
    x->name = name_of(arena, v, file, grids, n_grids, at);
    v->n++; /* disposed of from here on */
    if (x->name == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a name");
    KD_TRY(kd_common_config(common, file, &x->config, err));
    for (int g = 0; g < n_grids; g++)
        KD_TRY(
            kd_opt_set(&x->config.values, grids[g].option, grids[g].values[at[g]], "--grid", err));
    return KD_OK;
}

/* -- what differs -- */

static const char *shown(const kd_opt_value *o)
{
    return kd_config_is_secret(o->opt->name) && o->s[0] != '\0' ? "***" : o->s;
}

/* Equal in meaning: 1m and 60s are. */
static bool is_equal(const kd_opt_value *a, const kd_opt_value *b)
{
    if (a->opt->type == KD_OPT_STRING || a->opt->type == KD_OPT_LIST)
        return strcmp(a->s, b->s) == 0;
    return a->i == b->i && memcmp(&a->d, &b->d, sizeof a->d) == 0;
}

static kd_rc find_options(kd_arena *arena, kd_variants *v, kd_err *err)
{
    kd_config defaults;
    kd_rc rc = kd_config_init(&defaults, err);
    size_t n = defaults.values.n;
    v->options = kd_arena_calloc(arena, n + 1, sizeof *v->options);
    for (size_t k = 0; rc == KD_OK && k < n; k++) {
        const kd_opt_value *dflt = &defaults.values.rows[k];
        bool differs = false, is_other = false;
        const char **values = kd_arena_calloc(arena, v->n, sizeof(const char *));
        if (values == NULL || v->options == NULL) {
            rc = kd_fail(err, KD_ENOMEM, "no memory for %zu options", n);
            break;
        }
        for (uint32_t i = 0; i < v->n; i++) {
            const kd_opt_value *x = &v->all[i].config.values.rows[k];
            values[i] = shown(x);
            differs |= !is_equal(x, &v->all[0].config.values.rows[k]);
            is_other |= !is_equal(x, dflt);
        }
        if (differs || is_other)
            v->options[v->n_options++] = (kd_report_option){.name = dflt->opt->name,
                                                            .dflt = dflt->opt->dflt,
                                                            .values = values,
                                                            .differs = differs};
    }
    kd_config_dispose(&defaults);
    return rc;
}

kd_rc kd_variants_make(kd_arena *arena, const kd_common *common, const char *const *grid_texts,
                       int n_grids, kd_variants *out, kd_err *err)
{
    grid grids[GRIDS_MAX];
    uint32_t n_files = common->given.n_file > 0 ? (uint32_t)common->given.n_file : 1;
    uint64_t n = n_files;
    *out = (kd_variants){0};
    if (n_grids > GRIDS_MAX)
        return kd_fail(err, KD_ECONFIG, "more than %d grids", GRIDS_MAX);
    for (int g = 0; g < n_grids; g++) {
        KD_TRY(parse_grid(arena, grid_texts[g], &grids[g], err));
        n *= grids[g].n;
        if (n > KD_COMPARE_MAX)
            break;
    }
    if (n > KD_COMPARE_MAX)
        return kd_fail(err, KD_ECONFIG, "more than %d configurations in one backtest",
                       KD_COMPARE_MAX);
    out->all = kd_arena_calloc(arena, n, sizeof *out->all);
    if (out->all == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %llu configurations", (unsigned long long)n);
    for (uint32_t f = 0; f < n_files; f++) {
        const char *file =
            common->given.n_file > 0 ? common->given.file[f] : getenv("KINDRED_CONFIG");
        for (uint64_t way = 0; way < n / n_files; way++) {
            uint32_t at[GRIDS_MAX];
            uint64_t rest = way;
            for (int g = n_grids - 1; g >= 0; g--) { /* the last grid goes fastest */
                at[g] = (uint32_t)(rest % grids[g].n);
                rest /= grids[g].n;
            }
            KD_TRY(add_variant(arena, common, file, grids, n_grids, at, out, err));
        }
    }
    return find_options(arena, out, err);
}

void kd_variants_dispose(kd_variants *v)
{
    for (uint32_t k = 0; k < v->n; k++)
        kd_config_dispose(&v->all[k].config);
    *v = (kd_variants){0};
}
