/* verb_topics.c - the topics that the configuration names: made, or checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "consumers/kafka_admin.h"
#include "consumers/kafka_diagnose.h"
#include "consumers/kafka_tail.h"
#include "topology/topics.h"

static const char help[] =
    "usage: kindred topics create|check [--partitions N] [--replication N] [common flags]\n\n"
    "  create        makes the topics of the configuration that are not there yet; exit code 4 if\n"
    "                one that was there does not fit\n"
    "  check         partition counts, keys, retention, compaction; exit code 4 if something is "
    "wrong\n"
    "  --partitions N    of the topics that are keyed by shopper or item (default 6)\n"
    "  --replication N   (default: the broker's)\n";

static const char *reason(const kd_topic *t, const char *property)
{
    if (t->is_input)
        return ": older records would be dropped, and the state with them";
    return strcmp(property, "message.timestamp.type") == 0
               ? ": what an instance with a wrong clock publishes would be refused"
               : "";
}

/* What is found on the way through the table. */
typedef struct job {
    kd_kafka_admin *admin;
    const kd_config *config;
    int partitions;  /* of topics that are made */
    bool is_asked;   /* somebody said how many partitions: what is there must have as many */
    int replication; /* -1 = the broker's */
    int sisters;     /* partitions of the first input that is keyed by shopper; 0 = none yet */
    int n_wrong;
} job;

static kd_rc check_config(job *j, const kd_topic *t, const char *name, kd_err *err)
{
    for (const char *const *c = t->config; *c != NULL; c += 2) {
        char value[128];
        KD_TRY(kd_kafka_topic_config(j->admin, name, c[0], value, sizeof value, err));
        if (strcmp(value, c[1]) == 0)
            continue;
        printf("%-24s %s is %s; %s is right%s\n", name, c[0], value, c[1], reason(t, c[0]));
        j->n_wrong++;
    }
    return KD_OK;
}

static void check_partitions(job *j, const kd_topic *t, const char *name, int n)
{
    bool is_sister = t->is_input && t->is_keyed_by_shopper;
    if (j->is_asked && n != j->partitions) {
        printf("%-24s has %d partitions; --partitions says %d\n", name, n, j->partitions);
        j->n_wrong++;
    } else if (!j->is_asked && is_sister && j->sisters != 0 && n != j->sisters) {
        printf("%-24s has %d partitions; %d, as its sisters have, is right: one shopper has "
               "one owner\n",
               name, n, j->sisters);
        j->n_wrong++;
    }
    if (is_sister && j->sisters == 0)
        j->sisters = n;
}

/* A look at the first records of a topic: are they keyed, and by the partitioner of Java clients?
 */
typedef struct sample {
    int partitions;
    int64_t n, without_key, elsewhere;
} sample;

enum { SAMPLE = 1000, SAMPLE_WAIT_MS = 200, SAMPLE_TRIES = 25 };

static void look(void *arg, const kd_tail_message *m)
{
    sample *s = arg;
    if (s->n >= SAMPLE)
        return;
    s->n++;
    if (m->key == NULL)
        s->without_key++;
    else if (kd_kafka_partition_of(m->key, m->key_len, s->partitions) != m->partition)
        s->elsewhere++;
}

static kd_rc check_keys(job *j, const char *name, int partitions, kd_err *err)
{
    const kd_config *c = j->config;
    sample s = {.partitions = partitions};
    kd_tail *tail = NULL;
    kd_tail_options o = {
        .topic = name, .properties = c->kafka, .n_properties = c->n_kafka, .from_beginning = true};
    KD_TRY(kd_tail_new(&o, &tail, err));
    kd_rc rc = KD_OK;
    for (int k = 0; k < SAMPLE_TRIES && s.n < SAMPLE && rc != KD_END; k++) {
        rc = kd_tail_poll(tail, SAMPLE_WAIT_MS, look, &s, err);
        if (rc != KD_OK && rc != KD_AGAIN && rc != KD_END)
            break;
    }
    kd_tail_free(tail);
    if (rc != KD_OK && rc != KD_AGAIN && rc != KD_END)
        return rc;
    if (s.without_key > 0 || s.elsewhere > 0) {
        printf(
            "%-24s of its first %lld records %lld have no key and %lld are not where murmur2, the "
            "partitioner of Java clients, puts their key: one shopper would have several owners\n",
            name, (long long)s.n, (long long)s.without_key, (long long)s.elsewhere);
        j->n_wrong++;
    }
    return KD_OK;
}

static kd_rc check(job *j, const kd_topic *t, const char *name, kd_err *err)
{
    int n = 0, wrong = j->n_wrong;
    KD_TRY(kd_kafka_topic_partitions(j->admin, name, &n, err));
    if (n == 0) {
        printf("%-24s does not exist; `kindred topics create` makes it\n", name);
        j->n_wrong++;
        return KD_OK;
    }
    check_partitions(j, t, name, n);
    KD_TRY(check_config(j, t, name, err));
    if (t->is_input && t->is_keyed_by_shopper)
        KD_TRY(check_keys(j, name, n, err));
    if (j->n_wrong == wrong)
        printf("%-24s ok, %d partitions\n", name, n);
    return KD_OK;
}

/* What was there, made by somebody else or by the broker, is not touched: it may hold records. */
static kd_rc create(job *j, const kd_topic *t, const char *name, kd_err *err)
{
    kd_topic_spec spec = {name, j->partitions, j->replication, t->config};
    bool is_made = false;
    int n = 0, wrong = j->n_wrong;
    KD_TRY(kd_kafka_topic_create(j->admin, &spec, &is_made, err));
    KD_TRY(kd_kafka_topic_await(j->admin, name, 30000, err));
    KD_TRY(kd_kafka_topic_partitions(j->admin, name, &n, err));
    check_partitions(j, t, name, n);
    if (!is_made)
        KD_TRY(check_config(j, t, name, err));
    if (is_made)
        printf("%-24s made, %d partitions\n", name, n);
    else if (j->n_wrong == wrong)
        printf("%-24s was there, %d partitions\n", name, n);
    return KD_OK;
}

static kd_rc each(job *j, kd_rc (*what)(job *, const kd_topic *, const char *, kd_err *),
                  kd_err *err)
{
    for (const kd_topic *t = kd_topics; t->option != NULL; t++) {
        const char *name = kd_opt_str(&j->config->values, t->option);
        if (name[0] != '\0')
            KD_TRY(what(j, t, name, err));
    }
    return KD_OK;
}

static int run(const kd_common *common, const kd_flag *flags, const char *what, kd_err *err)
{
    const kd_config *c = &common->config;
    int64_t partitions, replication;
    bool is_create = strcmp(what, "create") == 0;
    job j = {.config = c, .is_asked = kd_flag_given(flags, "partitions")};
    kd_rc rc = kd_flag_int(flags, "partitions", 6, 1, &partitions, err);
    if (rc == KD_OK)
        rc = kd_flag_int(flags, "replication", -1, 1, &replication, err);
    if (rc == KD_OK)
        rc = kd_kafka_admin_new(c->kafka, c->n_kafka, &j.admin, err);
    if (rc == KD_OK) {
        j.partitions = (int)partitions;
        j.replication = (int)replication;
        rc = each(&j, is_create ? create : check, err);
    }
    kd_kafka_admin_free(j.admin);
    kd_kafka_diagnose(c->kafka, c->n_kafka, NULL, err);
    return rc == KD_OK && j.n_wrong > 0 ? KD_EXIT_CHECK : (int)kd_exit_of(rc);
}

static int verb_topics(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "partitions", .has_value = true}, {.name = "replication", .has_value = true}, {0}};
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
            n_rest == 1 && (strcmp(rest[0], "create") == 0 || strcmp(rest[0], "check") == 0);
        if (is_known)
            code = run(&common, flags, rest[0], err);
        else
            rc = kd_fail(err, KD_ECONFIG, "kindred topics create, or kindred topics check");
    }
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return rc == KD_OK ? code : (int)kd_exit_of(rc);
}

const kd_verb kd_verb_topics = {"topics", "make or check the topics of the configuration", help,
                                verb_topics};
