/* flags.c - the flags of all verbs, and how they fill the configuration. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/yaml.h"
#include "cli/cli.h"
#include "operators/blend_options.h"
#include "topology/topics.h"

kd_exit kd_exit_of(kd_rc rc)
{
    switch (rc) {
    case KD_OK:
    case KD_END:
        return KD_EXIT_OK;
    case KD_ECONFIG:
        return KD_EXIT_USAGE;
    case KD_EDATA:
        return KD_EXIT_DEAD_LETTERS;
    case KD_ENOMEM:
    case KD_EBUG:
        return KD_EXIT_BUG;
    default:
        return KD_EXIT_IO;
    }
}

static kd_flag *find_flag(kd_flag *flags, const char *name, size_t n)
{
    for (kd_flag *f = flags; f->name != NULL; f++)
        if (strlen(f->name) == n && strncmp(f->name, name, n) == 0)
            return f;
    return NULL;
}

static kd_rc unknown_flag(const kd_flag *flags, const char *word, kd_err *err)
{
    const char *names[64] = {"set", "config", "help"};
    size_t n = 3;
    for (const kd_flag *f = flags; f->name != NULL && n < 63; f++)
        names[n++] = f->name;
    const char *near = kd_nearest(word[1] == '-' ? word + 2 : word + 1, names);
    return kd_fail(err, KD_ECONFIG, "there is no flag %s%s%s here; --help lists them", word,
                   near == NULL ? "" : ", did you mean --", near == NULL ? "" : near);
}

kd_rc kd_common_config(const kd_common *common, const char *file, kd_config *c, kd_err *err)
{
    const kd_given *g = &common->given;
    KD_TRY(kd_config_init(c, err));
    if (file != NULL)
        KD_TRY(kd_config_file(c, file, err));
    KD_TRY(kd_config_environment(c, (const char *const *)environ, err));
    for (int k = 0; k < g->n_set; k++)
        KD_TRY(kd_config_set(c, g->set[k], err));
    for (int k = 0; k < g->n_property; k++)
        KD_TRY(kd_config_kafka(c, g->property[k], err));
    return kd_topics_differ(&c->values, err);
}

static const char **words(kd_arena *arena, int argc)
{
    return kd_arena_calloc(arena, (size_t)argc + 1, sizeof(const char *));
}

/* The value of the flag at argv[*k]: behind '=', or the next word. */
static const char *value_at(int argc, char **argv, int *k)
{
    const char *eq = argv[*k][0] == '-' && argv[*k][1] == '-' ? strchr(argv[*k], '=') : NULL;
    if (eq != NULL)
        return eq + 1;
    return *k + 1 < argc ? argv[++*k] : NULL;
}

static kd_rc take_flag(int argc, char **argv, int *k, kd_flag *f, kd_err *err)
{
    const char *word = argv[*k];
    if (!f->has_value) {
        f->n++;
        return strchr(word, '=') == NULL ? KD_OK
                                         : kd_fail(err, KD_ECONFIG, "%s takes no value", word);
    }
    const char *value = value_at(argc, argv, k);
    if (value == NULL)
        return kd_fail(err, KD_ECONFIG, "%s needs a value", word);
    f->values[f->n++] = value;
    while (f->many && *k + 1 < argc && (argv[*k + 1][0] != '-' || argv[*k + 1][1] == '\0'))
        f->values[f->n++] = argv[++*k];
    if (f->n > 1 && !f->many)
        return kd_fail(err, KD_ECONFIG, "--%s is given %d times, once is right", f->name, f->n);
    return KD_OK;
}

static kd_rc take_common(int argc, char **argv, int *k, kd_common *common, bool *out, kd_err *err)
{
    kd_given *g = &common->given;
    const char *word = argv[*k];
    *out = true;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        common->help = true;
        return KD_OK;
    }
    size_t name = word[0] == '-' && word[1] == '-' ? strcspn(word, "=") : strlen(word);
    bool is_file = strcmp(word, "-c") == 0 || (name == 8 && strncmp(word, "--config", 8) == 0);
    bool is_set = name == 5 && strncmp(word, "--set", 5) == 0;
    bool is_property = strncmp(word, "-X", 2) == 0;
    if (!is_file && !is_set && !is_property) {
        *out = false;
        return KD_OK;
    }
    const char *value = is_property && word[2] != '\0' ? word + 2 : value_at(argc, argv, k);
    if (value == NULL)
        return kd_fail(err, KD_ECONFIG, "%s needs a value", word);
    if (is_file)
        g->file[g->n_file++] = value;
    else if (is_set)
        g->set[g->n_set++] = value;
    else
        g->property[g->n_property++] = value;
    return KD_OK;
}

/* What is set and has no effect. A grid or a space may be what turns `blend` on. */
static void warn_unused(kd_flag *flags, const kd_opt_values *v)
{
    const kd_flag *grid = find_flag(flags, "grid", 4), *space = find_flag(flags, "space", 5);
    if ((grid != NULL && grid->n > 0) || (space != NULL && space->n > 0))
        return;
    const kd_opt_value *row;
    for (size_t k = 0; (row = kd_blend_unused(v, k)) != NULL; k++)
        fprintf(stderr, "warning: %s: %s has no effect while blend is off; blend: on is right\n",
                row->from, row->opt->name);
}

kd_rc kd_flags_parse(int argc, char **argv, kd_flag *flags, kd_arena *arena, kd_common *common,
                     const char ***rest, int *n_rest, kd_err *err)
{
    *common = (kd_common){0};
    common->given = (kd_given){
        .file = words(arena, argc), .set = words(arena, argc), .property = words(arena, argc)};
    const kd_given *g = &common->given;
    const char **others = words(arena, argc);
    int n_others = 0;
    if (g->file == NULL || g->set == NULL || g->property == NULL || others == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %d arguments", argc);
    for (kd_flag *f = flags; f->name != NULL; f++) {
        f->values = words(arena, argc);
        f->n = 0;
        if (f->values == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for %d arguments", argc);
    }
    for (int k = 0; k < argc; k++) {
        const char *word = argv[k];
        bool is_taken = false;
        KD_TRY(take_common(argc, argv, &k, common, &is_taken, err));
        if (is_taken)
            continue;
        if (word[0] != '-' || word[1] == '\0') {
            if (rest == NULL)
                return kd_fail(err, KD_ECONFIG, "\"%s\" is not expected here; --help shows what is",
                               word);
            others[n_others++] = word;
            continue;
        }
        kd_flag *f = word[1] == '-' ? find_flag(flags, word + 2, strcspn(word + 2, "=")) : NULL;
        if (f == NULL)
            return unknown_flag(flags, word, err);
        KD_TRY(take_flag(argc, argv, &k, f, err));
    }
    if (rest != NULL) {
        *rest = others;
        *n_rest = n_others;
    }
    if (common->help)
        return KD_OK;
    if (g->n_file > 1 && find_flag(flags, "grid", 4) == NULL) /* which has one for each */
        return kd_fail(err, KD_ECONFIG, "-c is given %d times, once is right", g->n_file);
    const char *file = g->n_file > 0 ? g->file[g->n_file - 1] : getenv("KINDRED_CONFIG");
    KD_TRY(kd_common_config(common, file, &common->config, err));
    warn_unused(flags, &common->config.values);
    return KD_OK;
}

void kd_common_dispose(kd_common *c)
{
    kd_config_dispose(&c->config);
}

static const kd_flag *flag_of(const kd_flag *flags, const char *name)
{
    const kd_flag *f = flags;
    while (f->name != NULL && strcmp(f->name, name) != 0)
        f++;
    KD_ASSERT(f->name != NULL);
    return f;
}

bool kd_flag_given(const kd_flag *flags, const char *name)
{
    return flag_of(flags, name)->n > 0;
}

const char *kd_flag_value(const kd_flag *flags, const char *name)
{
    const kd_flag *f = flag_of(flags, name);
    return f->n == 0 ? NULL : f->values[f->n - 1];
}

/* What a double holds exactly, as for the options of the configuration. */
#define MOST INT64_C(9000000000000000)

kd_rc kd_flag_int(const kd_flag *flags, const char *name, int64_t dflt, int64_t min, int64_t *out,
                  kd_err *err)
{
    const char *text = kd_flag_value(flags, name);
    if (text == NULL) {
        *out = dflt;
        return KD_OK;
    }
    char *end;
    long long x = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || x < min || x > MOST)
        return kd_fail(err, KD_ECONFIG, "--%s: \"%s\" is not a whole number from %lld to %lld",
                       name, text, (long long)min, (long long)MOST);
    *out = x;
    return KD_OK;
}
