/* main.c - kindred VERB: finds the verb, runs it, prints the one error it came back with. */
#include <stdio.h>
#include <string.h>

#include "base/yaml.h"
#include "cli/cli.h"

static const kd_verb *const verbs[] = {
    &kd_verb_demo,     &kd_verb_run,     &kd_verb_replay,   &kd_verb_recommend, &kd_verb_backtest,
    &kd_verb_tune,     &kd_verb_explain, &kd_verb_evaluate, &kd_verb_produce,   &kd_verb_forget,
    &kd_verb_generate, &kd_verb_tail,    &kd_verb_topics,   &kd_verb_schemas,   &kd_verb_state,
    &kd_verb_config,   &kd_verb_version,
};
enum { N_VERBS = sizeof verbs / sizeof *verbs };

static void print_help(FILE *to)
{
    fprintf(to,
            "kindred %s: recommendation updates from a shop's events, as they happen\n\n"
            "usage: kindred VERB [flags]        kindred VERB --help\n\n",
            KD_VERSION);
    for (size_t k = 0; k < N_VERBS; k++)
        fprintf(to, "  %-10s %s\n", verbs[k]->name, verbs[k]->summary);
    fputs(
        "\nevery verb takes\n"
        "  -c FILE               configuration (YAML)\n"
        "  --set NAME=VALUE      one option; kindred config lists them\n"
        "  -X PROPERTY=VALUE     one property of librdkafka\n"
        "  --help\n"
        "and every option from the environment: usercf.neighbours is KINDRED_USERCF_NEIGHBOURS\n\n"
        "exit codes\n",
        to);
#define KD_EXIT_ROW(name, value, text) fprintf(to, "  %3d  %s\n", value, text);
    KD_EXIT_MAP(KD_EXIT_ROW)
#undef KD_EXIT_ROW
}

static const kd_verb *find_verb(const char *name)
{
    for (size_t k = 0; k < N_VERBS; k++)
        if (strcmp(verbs[k]->name, name) == 0)
            return verbs[k];
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *names[N_VERBS + 1] = {NULL};
    for (size_t k = 0; k < N_VERBS; k++)
        names[k] = verbs[k]->name;
    const char *near = kd_nearest(name, names);
    fprintf(stderr, "kindred: there is no verb %s%s%s; kindred help lists them\n", name,
            near == NULL ? "" : ", did you mean ", near == NULL ? "" : near);
    return KD_EXIT_USAGE;
}

/* What was printed may have gone to a full disk or a closed pipe: that is a failure, too. */
static int after_output(int code)
{
    bool is_bad = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !is_bad)
        return code;
    if (code != KD_EXIT_OK)
        return code;
    fprintf(stderr, "kindred: cannot write standard output\n");
    return KD_EXIT_IO;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return KD_EXIT_USAGE;
    }
    const char *name = argv[1];
    bool is_help = strcmp(name, "help") == 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        (is_help && (argc == 2 || strcmp(argv[2], "help") == 0 || argv[2][0] == '-'))) {
        print_help(stdout);
        return after_output(KD_EXIT_OK);
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    const kd_verb *verb = find_verb(is_help ? argv[2] : name);
    if (verb == NULL)
        return unknown_verb(is_help ? argv[2] : name);
    char help_flag[] = "--help", *help_argv[] = {help_flag, NULL};
    kd_err err = {0};
    int code =
        is_help ? verb->run(verb, 1, help_argv, &err) : verb->run(verb, argc - 2, argv + 2, &err);
    if (err.msg[0] != '\0')
        fprintf(stderr, "kindred: %s%s%s\n", err.where, err.where[0] == '\0' ? "" : ": ", err.msg);
    return after_output(code);
}
