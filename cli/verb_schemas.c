/* verb_schemas.c - our schemas and the registry: registered, checked, listed. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "schemas/avro.h"
#include "topology/live.h"

static const char help[] =
    "usage: kindred schemas register|check|list [common flags]\n\n"
    "  register      every topic of the configuration: its schema under subject TOPIC-value\n"
    "  check         is each compatible with what is registered? exit code 4 if one is not\n"
    "  list          the subjects of the registry\n";

typedef struct row {
    const char *option;
    kd_schema_id schema;
} row;

static const row rows[] = {
    {"topics.browse", KD_SCHEMA_BROWSE},
    {"topics.purchase", KD_SCHEMA_PURCHASE},
    {"topics.catalog", KD_SCHEMA_CATALOG},
    {"topics.forget", KD_SCHEMA_FORGET},
    {"topics.recommendations", KD_SCHEMA_UPDATE},
    {"topics.dead-letters", KD_SCHEMA_DEAD_LETTER},
    {"topics.receipts", KD_SCHEMA_RECEIPT},
    {"topics.similar", KD_SCHEMA_SIMILAR},
    {"topics.needs", KD_SCHEMA_NEEDS},
};

static kd_rc one(kd_registry *r, const char *topic, kd_schema_id schema, bool is_check,
                 int *n_wrong, kd_err *err)
{
    char subject[300];
    snprintf(subject, sizeof subject, "%s-value", topic);
    if (!is_check) {
        int32_t id;
        KD_TRY(kd_registry_register(r, subject, kd_schema_text(schema), &id, err));
        printf("%-32s id %d\n", subject, id);
        return KD_OK;
    }
    bool ok = false;
    kd_buf why = {0};
    kd_rc rc = kd_registry_compatible(r, subject, kd_schema_text(schema), &ok, &why, err);
    if (rc == KD_OK) {
        printf("%-32s %s\n", subject, ok ? "compatible" : "NOT compatible");
        if (!ok)
            printf("%.*s\n", (int)why.n, why.p);
        *n_wrong += !ok;
    }
    kd_buf_dispose(&why);
    return rc;
}

static void print_subject(void *arg, const char *subject)
{
    (void)arg;
    puts(subject);
}

static int run(const kd_config *c, const char *what, kd_err *err)
{
    kd_codec *codec = NULL;
    int n_wrong = 0;
    kd_rc rc = kd_live_codec(c, 0, &codec, err);
    kd_registry *r = rc == KD_OK ? kd_codec_registry(codec) : NULL;
    if (rc == KD_OK && r == NULL)
        rc = kd_fail(err, KD_ECONFIG, "schema.registry.url is not set");
    if (rc == KD_OK && strcmp(what, "list") == 0)
        rc = kd_registry_subjects(r, print_subject, NULL, err);
    for (size_t k = 0; rc == KD_OK && strcmp(what, "list") != 0 && k < sizeof rows / sizeof *rows;
         k++) {
        const char *topic = kd_opt_str(&c->values, rows[k].option);
        if (topic[0] != '\0')
            rc = one(r, topic, rows[k].schema, strcmp(what, "check") == 0, &n_wrong, err);
    }
    kd_codec_free(codec);
    return rc == KD_OK && n_wrong > 0 ? KD_EXIT_CHECK : (int)kd_exit_of(rc);
}

static int verb_schemas(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {{0}};
    const char **rest = NULL;
    int n_rest = 0, code = KD_EXIT_OK;
    kd_arena *arena = kd_arena_new(0);
    kd_common common = {0};
    kd_rc rc = arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, arena, &common, &rest, &n_rest, err);
    if (rc == KD_OK && common.help) {
        fputs(verb->help, stdout);
    } else if (rc == KD_OK) {
        bool is_known =
            n_rest == 1 && (strcmp(rest[0], "register") == 0 || strcmp(rest[0], "check") == 0 ||
                            strcmp(rest[0], "list") == 0);
        if (is_known)
            code = run(&common.config, rest[0], err);
        else
            rc = kd_fail(err, KD_ECONFIG, "kindred schemas register, check or list");
    }
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return rc == KD_OK ? code : (int)kd_exit_of(rc);
}

const kd_verb kd_verb_schemas = {"schemas", "register or check the schemas in the registry", help,
                                 verb_schemas};
