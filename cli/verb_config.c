/* verb_config.c - the effective configuration, and where each value comes from. docs/OPTIONS.md is
 * what --markdown prints. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "schemas/json.h"

static const char help[] =
    "usage: kindred config [--yaml | --json | --markdown] [common flags]\n\n"
    "Prints every option with its value and where that came from; secrets are hidden.\n"
    "  --yaml        as a file that reads back to the same configuration\n"
    "  --json        one object: by name the value as text, and where it is from\n"
    "  --markdown    the table of all options with defaults (docs/OPTIONS.md)\n";

static const char *shown(const kd_opt_value *v)
{
    return kd_config_is_secret(v->opt->name) && v->s[0] != '\0' ? "***" : v->s;
}

static const char *shown_property(const kd_property *p)
{
    return kd_config_is_secret(p->name) ? "***" : p->value;
}

static void print_table(const kd_config *c)
{
    for (size_t k = 0; k < c->values.n; k++) {
        const kd_opt_value *v = &c->values.rows[k];
        printf("%-28s %-24s %s\n", v->opt->name, shown(v), v->from);
    }
    for (size_t k = 0; k < c->n_kafka; k++)
        printf("kafka.%-22s %-24s %s\n", c->kafka[k].name, shown_property(&c->kafka[k]),
               c->kafka[k].from);
}

/* As YAML's double-quoted style wants it, and as JSON does: what JSON escapes, YAML reads back. */
static void print_quoted(const char *s)
{
    kd_buf b = {0};
    kd_json_str(&b, kd_str_of(s));
    fwrite(b.p, 1, b.n, stdout);
    kd_buf_dispose(&b);
}

static void print_yaml(const kd_config *c)
{
    for (size_t k = 0; k < c->values.n; k++) {
        const kd_opt_value *v = &c->values.rows[k];
        printf("%s: ", v->opt->name);
        print_quoted(shown(v));
        putchar('\n');
    }
    if (c->n_kafka > 0)
        puts("kafka:");
    for (size_t k = 0; k < c->n_kafka; k++) {
        fputs("  ", stdout);
        print_quoted(c->kafka[k].name);
        fputs(": ", stdout);
        print_quoted(shown_property(&c->kafka[k]));
        putchar('\n');
    }
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

static void print_json(const kd_config *c)
{
    puts("{");
    for (size_t k = 0; k < c->values.n; k++) {
        const kd_opt_value *v = &c->values.rows[k];
        print_json_row("", v->opt->name, shown(v), v->from, k == 0);
    }
    for (size_t k = 0; k < c->n_kafka; k++)
        print_json_row("kafka.", c->kafka[k].name, shown_property(&c->kafka[k]), c->kafka[k].from,
                       false);
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
    kd_flag flags[] = {{.name = "yaml"}, {.name = "json"}, {.name = "markdown"}, {0}};
    kd_arena *arena = kd_arena_new(0);
    kd_common common = {0};
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory")
                             : kd_flags_parse(argc, argv, flags, arena, &common, NULL, NULL, err);
    if (rc == KD_OK && common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK && kd_flag_given(flags, "yaml"))
        print_yaml(&common.config);
    else if (rc == KD_OK && kd_flag_given(flags, "json"))
        print_json(&common.config);
    else if (rc == KD_OK && kd_flag_given(flags, "markdown"))
        print_markdown(&common.config);
    else if (rc == KD_OK)
        print_table(&common.config);
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return kd_exit_of(rc);
}

const kd_verb kd_verb_config = {
    "config", "the effective configuration, and where each value is from", help, verb_config};
