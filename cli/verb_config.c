/* verb_config.c - the effective configuration, and where each value comes from. docs/OPTIONS.md is
 * what --markdown prints. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "schemas/json.h"
#include "sinks/sinks.h"

static const char help[] =
    "usage: kindred config [--yaml | --json | --markdown] [--secrets] [common flags]\n\n"
    "Prints every option with its value and where that came from; secrets are hidden.\n"
    "  --yaml        as a file that reads back to the same configuration, but for secrets:\n"
    "                a comment stands where one is set\n"
    "  --secrets     show them, too\n"
    "  --json        one object: by name the value as text, and where it is from\n"
    "  --markdown    the table of all options with defaults (docs/OPTIONS.md)\n";

/* What is shown. */
typedef struct view {
    const kd_config *c;
    bool has_secrets; /* are shown */
} view;

static bool is_hidden(const view *w, const char *name, const char *value)
{
    return !w->has_secrets && value[0] != '\0' && kd_config_is_secret(name);
}

static const char *shown(const view *w, const char *name, const char *value)
{
    return is_hidden(w, name, value) ? "***" : value;
}

/* What is longer than this is cut in the table: thousands of rules are not to be looked at there.
 */
enum { VALUE_MAX = 60 };

static void print_row(const char *name, const char *value, const char *from)
{
    kd_buf b = {0};
    uint32_t used = kd_terminal_text(&b, kd_str_of(value), VALUE_MAX);
    printf("%-28s %.*s%*s %s\n", name, (int)b.n, b.n == 0 ? "" : b.p,
           used < 24 ? 24 - (int)used : 0, "", from);
    kd_buf_dispose(&b);
}

static void print_table(const view *w)
{
    const kd_config *c = w->c;
    for (size_t k = 0; k < c->values.n; k++) {
        const kd_opt_value *v = &c->values.rows[k];
        print_row(v->opt->name, shown(w, v->opt->name, v->s), v->from);
    }
    for (size_t k = 0; k < c->n_kafka; k++) {
        const kd_property *p = &c->kafka[k];
        char name[200];
        snprintf(name, sizeof name, "kafka.%s", p->name);
        print_row(name, shown(w, p->name, p->value), p->from);
    }
}

/* As YAML's double-quoted style wants it, and as JSON does: what JSON escapes, YAML reads back. */
static void print_quoted(const char *s)
{
    kd_buf b = {0};
    kd_json_str(&b, kd_str_of(s));
    fwrite(b.p, 1, b.n, stdout);
    kd_buf_dispose(&b);
}

/* "name: value", or a comment that there is one. */
static void print_pair(const view *w, const char *indent, const char *name, const char *value,
                       const char *from)
{
    if (is_hidden(w, name, value)) {
        printf("%s# %s is set (%s) and not shown; --secrets shows it\n", indent, name, from);
        return;
    }
    fputs(indent, stdout);
    if (indent[0] == '\0')
        fputs(name, stdout);
    else
        print_quoted(name);
    fputs(": ", stdout);
    print_quoted(value);
    putchar('\n');
}

static void print_yaml(const view *w)
{
    const kd_config *c = w->c;
    for (size_t k = 0; k < c->values.n; k++) {
        const kd_opt_value *v = &c->values.rows[k];
        print_pair(w, "", v->opt->name, v->s, v->from);
    }
    if (c->n_kafka > 0)
        puts("kafka:");
    for (size_t k = 0; k < c->n_kafka; k++)
        print_pair(w, "  ", c->kafka[k].name, c->kafka[k].value, c->kafka[k].from);
}

static void print_json_row(const char *prefix, const char *name, const char *value,
                           const char *from, bool is_first)
{
    char full[200];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    fputs(is_first ? "  " : ",\n  ", stdout);
    print_quoted(full);
    fputs(": {\"value\": ", stdout);
    print_quoted(value);
    fputs(", \"from\": ", stdout);
    print_quoted(from);
    putchar('}');
}

static void print_json(const view *w)
{
    const kd_config *c = w->c;
    puts("{");
    for (size_t k = 0; k < c->values.n; k++) {
        const kd_opt_value *v = &c->values.rows[k];
        print_json_row("", v->opt->name, shown(w, v->opt->name, v->s), v->from, k == 0);
    }
    for (size_t k = 0; k < c->n_kafka; k++)
        print_json_row("kafka.", c->kafka[k].name, shown(w, c->kafka[k].name, c->kafka[k].value),
                       c->kafka[k].from, false);
    puts("\n}");
}

static void print_range(const kd_opt *o)
{
    switch (o->type) {
    case KD_OPT_ENUM:
        for (const char *p = o->choices; *p != '\0'; p++)
            fputs(*p == '|' ? ", " : (char[]){*p, '\0'}, stdout);
        break;
    case KD_OPT_INT:
    case KD_OPT_REAL:
        if (o->min != 0 || o->max != 0)
            printf("%.15g to %.15g", o->min, o->max);
        break;
    case KD_OPT_DURATION:
        fputs("a time: 100ms, 2s, 5m, 12h, 30d", stdout);
        break;
    case KD_OPT_BYTES:
        fputs("a size: 64k, 512m, 2g", stdout);
        break;
    case KD_OPT_BOOL:
        fputs("true, false", stdout);
        break;
    case KD_OPT_STRING:
        fputs("text", stdout);
        break;
    case KD_OPT_LIST:
        fputs("text, entries separated by `;`; in YAML also a list", stdout);
        break;
    }
}

static void print_markdown(const kd_config *c)
{
    puts("# Options\n\n"
         "Made by `kindred config --markdown`; a test compares. Set them in the file (`-c`), in "
         "the\n"
         "environment (`KINDRED_USERCF_NEIGHBOURS`) or with `--set name=value`; the later wins.\n\n"
         "| option | default | values | meaning |\n|---|---|---|---|");
    for (size_t k = 0; k < c->values.n; k++) {
        const kd_opt *o = c->values.rows[k].opt;
        printf("| `%s` | %s%s%s | ", o->name, o->dflt[0] == '\0' ? "" : "`", o->dflt,
               o->dflt[0] == '\0' ? "" : "`");
        print_range(o);
        printf(" | %s |\n", o->help);
    }
    puts("\nEverything below `kafka:` is a property of librdkafka, passed through: `-X "
         "sasl.password=...` on the\n"
         "command line, `KINDRED_KAFKA_SASL_PASSWORD` in the environment.");
}

static int verb_config(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "yaml"}, {.name = "json"}, {.name = "markdown"}, {.name = "secrets"}, {0}};
    kd_arena *arena = kd_arena_new(0);
    kd_common common = {0};
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory")
                             : kd_flags_parse(argc, argv, flags, arena, &common, NULL, NULL, err);
    view w = {&common.config, rc == KD_OK && kd_flag_given(flags, "secrets")};
    if (rc == KD_OK && common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK && kd_flag_given(flags, "yaml"))
        print_yaml(&w);
    else if (rc == KD_OK && kd_flag_given(flags, "json"))
        print_json(&w);
    else if (rc == KD_OK && kd_flag_given(flags, "markdown"))
        print_markdown(&common.config);
    else if (rc == KD_OK)
        print_table(&w);
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return kd_exit_of(rc);
}

const kd_verb kd_verb_config = {
    "config", "the effective configuration, and where each value is from", help, verb_config};
