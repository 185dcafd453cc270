#include "cli/tune_space.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/yaml.h"
#include "operators/recommender.h"

static const kd_opt *find_opt(const char *name)
{
    for (const kd_opt *o = kd_recommender_opts(); o->name != NULL; o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

static kd_rc unknown(const kd_yaml *y, const kd_yaml_node *key, kd_err *err)
{
    const char *names[128] = {NULL};
    size_t n = 0;
    for (const kd_opt *o = kd_recommender_opts(); o->name != NULL && n < 127; o++)
        names[n++] = o->name;
    const char *near = kd_nearest(key->text, names);
    return kd_yaml_fail(y, key, err, "no option \"%s\" that a list depends on%s%s", key->text,
                        near == NULL ? "" : ", did you mean ", near == NULL ? "" : near);
}

/* Tries the text as a value of the option; *out is its number. */
static kd_rc try_value(const kd_yaml *y, const kd_yaml_node *at, const kd_opt *opt, double *out,
                       kd_err *err)
{
    if (at->kind != KD_YAML_SCALAR)
        return kd_yaml_fail(y, at, err, "a value of %s is right here", opt->name);
    kd_opt_values v = {0};
    kd_err why = {0};
    kd_rc rc = kd_opt_values_add(&v, kd_recommender_opts(), err);
    if (rc == KD_OK && kd_opt_set(&v, opt->name, at->text, "space", &why) != KD_OK)
        rc = kd_yaml_fail(y, at, err, "%s", why.msg);
    if (rc == KD_OK) {
        const kd_opt_value *x = kd_opt_find(&v, opt->name);
        *out = opt->type == KD_OPT_REAL ? x->d : (double)x->i;
    }
    kd_opt_values_dispose(&v);
    return rc;
}

static kd_rc load_choices(const kd_yaml *y, const kd_yaml_node *list, kd_arena *arena,
                          kd_tuned *out, kd_dim *dim, kd_err *err)
{
    if (list->n < 2)
        return kd_yaml_fail(y, list, err, "a choice is between two values at least");
    out->choices = kd_arena_calloc(arena, list->n, sizeof(char *));
    if (out->choices == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %zu values", list->n);
    for (size_t k = 0; k < list->n; k++) {
        double unused;
        KD_TRY(try_value(y, list->items[k], out->opt, &unused, err));
        out->choices[k] =
            kd_arena_strz(arena, (kd_str){list->items[k]->text, (uint32_t)list->items[k]->n});
        if (out->choices[k] == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for %zu values", list->n);
    }
    dim->n_choices = (uint32_t)list->n;
    return KD_OK;
}

static kd_rc load_range(const kd_yaml *y, const kd_yaml_node *at, kd_tuned *out, kd_err *err)
{
    static const char *const known[] = {"from", "to", "log", NULL};
    KD_TRY(kd_yaml_only_keys(y, at, known, err));
    const kd_yaml_node *from = kd_yaml_get(at, "from"), *to = kd_yaml_get(at, "to");
    const kd_yaml_node *log_scale = kd_yaml_get(at, "log");
    kd_opt_type type = out->opt->type;
    if (type == KD_OPT_ENUM || type == KD_OPT_STRING || type == KD_OPT_LIST || type == KD_OPT_BOOL)
        return kd_yaml_fail(y, at, err, "%s has no range, a list of values is right",
                            out->opt->name);
    if (from == NULL || to == NULL)
        return kd_yaml_fail(y, at, err,
                            "a range is {from: A, to: B} or {from: A, to: B, log: true}");
    KD_TRY(try_value(y, from, out->opt, &out->from, err));
    KD_TRY(try_value(y, to, out->opt, &out->to, err));
    if (log_scale != NULL)
        KD_TRY(kd_yaml_bool(y, log_scale, &out->is_log, err));
    if (out->from >= out->to)
        return kd_yaml_fail(y, to, err, "a range ends above its beginning");
    if (out->is_log && !(out->from > 0))
        return kd_yaml_fail(y, from, err, "a range by factors begins above 0");
    return KD_OK;
}

static kd_rc load(const kd_yaml *y, kd_arena *arena, kd_tune_space *out, kd_err *err)
{
    const kd_yaml_node *root = kd_yaml_root(y);
    if (root->kind != KD_YAML_MAP || root->n == 0 || root->n > KD_SEARCH_DIMS)
        return kd_yaml_fail(y, root, err, "a space is a map of 1 to %d options", KD_SEARCH_DIMS);
    for (size_t k = 0; k < root->n; k++) {
        kd_tuned *t = &out->tuned[out->n];
        t->opt = find_opt(root->keys[k]->text);
        if (t->opt == NULL)
            return unknown(y, root->keys[k], err);
        const kd_yaml_node *item = root->items[k];
        if (item->kind == KD_YAML_SEQ)
            KD_TRY(load_choices(y, item, arena, t, &out->dims[out->n], err));
        else if (item->kind == KD_YAML_MAP)
            KD_TRY(load_range(y, item, t, err));
        else
            return kd_yaml_fail(y, item, err, "a list of values or {from: A, to: B} is right");
        out->n++;
    }
    return KD_OK;
}

kd_rc kd_tune_space_load(const char *path, kd_arena *arena, kd_tune_space *out, kd_err *err)
{
    kd_yaml *y = NULL;
    kd_tune_space s = {.n = 0};
    kd_rc rc = kd_yaml_load(path, &y, err);
    if (rc == KD_OK)
        rc = load(y, arena, &s, err);
    kd_yaml_free(y);
    if (rc == KD_OK)
        *out = s;
    return rc;
}

/* Rounded to three digits, and not out of the range by that. */
static double rounded(double x, double from, double to, bool is_whole)
{
    double unit = x == 0 ? 1 : pow(10, floor(log10(fabs(x))) - 2);
    double r = round(x / unit) * unit;
    if (is_whole)
        r = round(r);
    return r < from ? from : r > to ? to : r;
}

static void add_duration(double ms, kd_buf *out)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    int64_t x = (int64_t)ms;
    for (size_t k = 0;; k++) /* the unit in which it is whole */
        if (x % units[k].ms == 0) {
            kd_buf_addf(out, "%lld%s", (long long)(x / units[k].ms), units[k].unit);
            return;
        }
}

/* To the unit below the greatest one that fits, so that a time stays readable. */
static double rounded_time(double ms)
{
    double unit = ms >= 48.0 * 3600000 ? 3600000 : ms >= 7200000 ? 60000 : ms >= 120000 ? 1000 : 1;
    return round(ms / unit) * unit;
}

void kd_tune_space_text(const kd_tune_space *s, uint32_t k, double x, kd_buf *out)
{
    const kd_tuned *t = &s->tuned[k];
    if (t->choices != NULL) {
        kd_buf_adds(out, t->choices[(uint32_t)x]);
        return;
    }
    double value = t->is_log ? t->from * pow(t->to / t->from, x) : t->from + x * (t->to - t->from);
    if (t->opt->type == KD_OPT_REAL)
        kd_buf_addf(out, "%.12g", rounded(value, t->from, t->to, false));
    else if (t->opt->type == KD_OPT_DURATION)
        add_duration(fmin(t->to, fmax(t->from, rounded_time(value))), out);
    else
        kd_buf_addf(out, "%.0f", rounded(value, t->from, t->to, true));
}

uint64_t kd_tune_space_hash(const kd_tune_space *s, const double *point)
{
    kd_buf text = {0};
    for (uint32_t k = 0; k < s->n; k++) {
        kd_tune_space_text(s, k, point[k], &text);
        kd_buf_addc(&text, '\n');
    }
    uint64_t hash = kd_hash64(text.p, text.n, 0);
    kd_buf_dispose(&text);
    return hash;
}

static bool is_tried(const kd_tune_space *s, const uint64_t *tried, uint32_t n, const double *point)
{
    uint64_t hash = kd_tune_space_hash(s, point);
    for (uint32_t k = 0; k < n; k++)
        if (tried[k] == hash)
            return true;
    return false;
}

/* How many values an option has; 0: too many to count. */
static uint64_t values_of(const kd_tune_space *s, uint32_t k)
{
    const kd_tuned *t = &s->tuned[k];
    if (t->choices != NULL)
        return s->dims[k].n_choices;
    bool is_countable = t->opt->type == KD_OPT_INT && t->to <= 999; /* text has three digits */
    return is_countable ? (uint64_t)(t->to - t->from) + 1 : 0;
}

static double nth_value(const kd_tune_space *s, uint32_t k, uint64_t i)
{
    const kd_tuned *t = &s->tuned[k];
    if (t->choices != NULL)
        return (double)i;
    double v = t->from + (double)i;
    double x =
        t->is_log ? log(v / t->from) / log(t->to / t->from) : (v - t->from) / (t->to - t->from);
    return fmin(1, fmax(0, x));
}

/* The number of settings; 0: more than MOST, or too many to count. */
static uint64_t size_of(const kd_tune_space *s)
{
    const uint64_t MOST = UINT64_C(1) << 24;
    uint64_t n = 1;
    for (uint32_t k = 0; k < s->n && n > 0; k++) {
        uint64_t values = values_of(s, k);
        n = values > MOST || n * values > MOST ? 0 : n * values;
    }
    return n;
}

/* All settings in turn, from a drawn one on. */
static bool walk(const kd_tune_space *s, kd_rng *rng, const uint64_t *tried, uint32_t n,
                 double *point)
{
    uint64_t size = size_of(s), start = size == 0 ? 0 : kd_rng_below(rng, size);
    for (uint64_t i = 0; i < size; i++) {
        uint64_t at = (start + i) % size;
        for (uint32_t k = 0; k < s->n; k++) {
            point[k] = nth_value(s, k, at % values_of(s, k));
            at /= values_of(s, k);
        }
        if (!is_tried(s, tried, n, point))
            return true;
    }
    return false;
}

bool kd_tune_space_renew(const kd_tune_space *s, uint64_t seed, const uint64_t *tried, uint32_t n,
                         double *point)
{
    enum { DRAWS = 256 };
    const kd_search any = {s->dims, s->n, seed};
    kd_rng rng;
    kd_rng_init(&rng, seed * UINT64_C(0xD1B54A32D192ED03) + n);
    bool is_new = !is_tried(s, tried, n, point);
    for (int d = 0; d < DRAWS && !is_new; d++) {
        kd_search_uniform(&any, &rng, point);
        is_new = !is_tried(s, tried, n, point);
    }
    return is_new || walk(s, &rng, tried, n, point);
}

void kd_tune_space_print(const kd_tune_space *s, kd_buf *out)
{
    for (uint32_t k = 0; k < s->n; k++) {
        const kd_tuned *t = &s->tuned[k];
        kd_buf_addf(out, "%s%s", k == 0 ? "" : "; ", t->opt->name);
        if (t->choices == NULL)
            kd_buf_addf(out, " %.12g..%.12g%s", t->from, t->to, t->is_log ? " log" : "");
        for (uint32_t j = 0; t->choices != NULL && j < s->dims[k].n_choices; j++)
            kd_buf_addf(out, "%c%s", j == 0 ? ' ' : '|', t->choices[j]);
    }
}
