#include "topology/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cores.h"
#include "base/yaml.h"
#include "operators/recommender.h"

enum { WORKERS_MAX = 256 };

static const kd_opt opts[] = {
    {"epoch.max", KD_OPT_INT, "512", 1, 65536, NULL,
     "Most records of an epoch; one makes every list reflect exactly the events before it."},
    {"shopper.rate.max", KD_OPT_INT, "600", 0, 1000000000, NULL,
     "Events of one shopper in a minute; what comes above is applied, but answered together with "
     "others of its epoch, so that a bot does not cut epochs short; 0 = no limit."},
    {"similar.count", KD_OPT_INT, "10", 1, 1000, NULL, "Neighbours in a SimilarShoppers record."},
    {"similar.threshold", KD_OPT_REAL, "0.2", 0, 1, NULL,
     "A neighbour list is published when more than this share of it changed."},
    {"similar.fanout.max", KD_OPT_INT, "100", 0, 1000000, NULL,
     "Other shoppers whose neighbour lists are looked at again in an epoch; the rest is dropped."},
    {"workers", KD_OPT_INT, "0", 0, WORKERS_MAX, NULL,
     "Threads that compute lists; 0 = one a core. No output depends on it."},
    {"emit", KD_OPT_ENUM, "on-change", 0, 0, "always|on-change",
     "Publish a list after every event, or only when it differs from the last one published."},
    {"delivery", KD_OPT_ENUM, "at-least-once", 0, 0, "at-least-once|exactly-once",
     "What a reader of the output may rely on. Nothing is lost; after a crash an update may come "
     "again, with the same trigger; or, in transactions, never to a read-committed reader."},
    {"commit_interval_ms", KD_OPT_INT, "100", 1, 600000, NULL,
     "How often input positions are committed, in milliseconds."},
    {"max.dead-letters", KD_OPT_INT, "-1", -1, 9e15, NULL,
     "End the run when there are more dead letters than this; -1 = never."},
    {"group.id", KD_OPT_STRING, "kindred", 0, 0, NULL,
     "Consumer group; instances of one group divide the work."},
    {"topics.browse", KD_OPT_STRING, "browse-events", 0, 0, NULL,
     "Input: BrowseEvent, keyed by shopper."},
    {"topics.purchase", KD_OPT_STRING, "purchase-events", 0, 0, NULL,
     "Input: PurchaseEvent, keyed by shopper."},
    {"topics.catalog", KD_OPT_STRING, "catalog-items", 0, 0, NULL,
     "Input: CatalogItem, keyed by item; a null value removes."},
    {"topics.forget", KD_OPT_STRING, "forget-requests", 0, 0, NULL,
     "Input: ForgetRequest, keyed by shopper."},
    {"topics.recommendations", KD_OPT_STRING, "recommendations", 0, 0, NULL,
     "Output: RecommendationUpdate, keyed by shopper."},
    {"topics.similar", KD_OPT_STRING, "", 0, 0, NULL,
     "Output: SimilarShoppers, keyed by shopper; empty = not published."},
    {"topics.needs", KD_OPT_STRING, "", 0, 0, NULL,
     "Output: ShopperNeeds, keyed by shopper, such as shopper-needs; needs `content: on`; empty = "
     "not published."},
    {"topics.dead-letters", KD_OPT_STRING, "dead-letters", 0, 0, NULL,
     "Output: DeadLetter, with the key of the bad record."},
    {"topics.receipts", KD_OPT_STRING, "forget-receipts", 0, 0, NULL,
     "Output: ForgetReceipt, keyed by the shopper's keyed hash; empty = not published."},
    {"output.start", KD_OPT_ENUM, "latest", 0, 0, "latest|earliest",
     "Where a group without committed offsets begins to answer."},
    {"ready.lag", KD_OPT_INT, "1000", 0, 9e15, NULL,
     "An instance joins its group when it is fewer records than this behind."},
    {"offset.out-of-range", KD_OPT_ENUM, "earliest", 0, 0, "earliest|stop",
     "What to do when a position is no longer on the broker."},
    {"snapshot.dir", KD_OPT_STRING, "", 0, 0, NULL,
     "Folder for this instance's snapshots of state and positions, from which a restart goes on; "
     "empty = none, the topics are read from their start."},
    {"snapshot.interval", KD_OPT_DURATION, "5m", 100, 9e15, NULL,
     "Time between two snapshots; there is one at an orderly end, too."},
    {"snapshot.keep", KD_OPT_INT, "3", 1, 1000, NULL, "Snapshots that are kept."},
    {"snapshot.max-age", KD_OPT_DURATION, "7d", 0, 0, NULL,
     "Older snapshots than this are deleted, so that who was forgotten leaves them too; 0 = none "
     "for its age."},
    {"snapshot.copy.dir", KD_OPT_STRING, "", 0, 0, NULL,
     "Folder, such as a network mount, that snapshots are copied to and a start looks through, "
     "too, "
     "so that a new machine starts from another's; instances share it. snapshot.keep and "
     "snapshot.max-age hold there, too; empty = none."},
    {"snapshot.copy.topic", KD_OPT_STRING, "", 0, 0, NULL,
     "Compacted topic that snapshots are copied to, for machines that share no "
     "folder; looked into by a start that finds no snapshot in its folders. One or two instances "
     "that write there are enough; empty = none."},
    {"schema.registry.url", KD_OPT_STRING, "", 0, 0, NULL,
     "Schema registry (Confluent API); empty = Avro single-object encoding without one."},
    {"schema.registry.basic.auth", KD_OPT_STRING, "", 0, 0, NULL,
     "user:password for the registry."},
    {"schema.registry.ca.file", KD_OPT_STRING, "", 0, 0, NULL,
     "PEM file of the authorities to trust; empty = the system's."},
    {"schema.registry.mode", KD_OPT_ENUM, "register", 0, 0, "register|require",
     "Register the output schemas at start, or require that they are there."},
    {"schema.registry.timeout", KD_OPT_DURATION, "5s", 1, 600000, NULL, "Limit of one request."},
    {0},
};

/* Variables that are not options: what the tests and ./dev use, and where files are looked for. */
static const char *const reserved[] = {"KINDRED_BIN",    "KINDRED_DATA",  "KINDRED_SEED",
                                       "KINDRED_SOURCE", "KINDRED_BUILD", "KINDRED_MAPS",
                                       "KINDRED_CONFIG", "KINDRED_FAULT"};
static const char reserved_prefix[] = "KINDRED_TEST_", property_prefix[] = "KINDRED_KAFKA_";

const kd_opt *kd_topology_opts(void)
{
    return opts;
}

kd_rc kd_config_init(kd_config *c, kd_err *err)
{
    *c = (kd_config){0};
    kd_rc rc = kd_opt_values_add(&c->values, opts, err);
    if (rc == KD_OK)
        rc = kd_opt_values_add(&c->values, kd_recommender_opts(), err);
    if (rc != KD_OK)
        kd_config_dispose(c);
    return rc;
}

void kd_config_dispose(kd_config *c)
{
    kd_opt_values_dispose(&c->values);
    for (size_t k = 0; k < c->n_kafka; k++) {
        free(c->kafka[k].name);
        free(c->kafka[k].value);
    }
    free(c->kafka);
    *c = (kd_config){0};
}

bool kd_config_is_secret(const char *name)
{
    static const char *const words[] = {"password",           "secret",  "privacy.key", ".auth",
                                        "oauthbearer.config", "key.pem", "ssl.key"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (strstr(name, words[k]) != NULL)
            return true;
    return false;
}

static kd_rc set_property(kd_config *c, const char *name, const char *value, const char *from,
                          kd_err *err)
{
    char *n = strdup(name), *v = strdup(value);
    kd_property *list = realloc(c->kafka, (c->n_kafka + 1) * sizeof *list);
    if (list != NULL)
        c->kafka = list;
    if (n == NULL || v == NULL || list == NULL) {
        free(n);
        free(v);
        return kd_fail(err, KD_ENOMEM, "no memory for property %s", name);
    }
    size_t at = 0;
    while (at < c->n_kafka && strcmp(c->kafka[at].name, name) != 0)
        at++;
    if (at == c->n_kafka) {
        c->n_kafka++;
    } else {
        free(c->kafka[at].name);
        free(c->kafka[at].value);
    }
    c->kafka[at] = (kd_property){.name = n, .value = v};
    snprintf(c->kafka[at].from, sizeof c->kafka[at].from, "%s", from);
    return KD_OK;
}

/* -- YAML -----------------------------------------------------------------------------------------
 */

enum { MOST_NAMES = 512 }; /* what is beyond is not looked at: there are not so many */

typedef struct walk {
    kd_config *c;
    const kd_yaml *yaml;
    bool opts[MOST_NAMES], properties[MOST_NAMES]; /* by place in *c: set by this document */
} walk;

/* The same name dotted and nested: the parser of YAML sees two different keys. */
static kd_rc check_first(const walk *w, const char *name, const kd_yaml_node *key, const char *from,
                         bool *taken, size_t at, kd_err *err)
{
    if (at >= MOST_NAMES)
        return KD_OK;
    if (taken[at])
        return kd_yaml_fail(w->yaml, key, err, "%s is there twice, first at %s", name, from);
    taken[at] = true;
    return KD_OK;
}

static kd_rc take_scalar(walk *w, const char *name, const kd_yaml_node *key,
                         const kd_yaml_node *value, kd_err *err)
{
    char from[160];
    const kd_yaml_node *at = value->line > 0 ? value : key;
    snprintf(from, sizeof from, "%.100s:%d:%d", kd_yaml_name(w->yaml), at->line, at->column);
    const kd_config *c = w->c;
    if (strncmp(name, "kafka.", 6) == 0) {
        size_t k = 0;
        while (k < c->n_kafka && strcmp(c->kafka[k].name, name + 6) != 0)
            k++;
        KD_TRY(check_first(w, name, key, k < c->n_kafka ? c->kafka[k].from : "", w->properties, k,
                           err));
        return set_property(w->c, name + 6, value->text, from, err);
    }
    if (strcmp(name, "kafka") == 0)
        return kd_yaml_fail(w->yaml, at, err,
                            "kafka: a map of librdkafka's properties is right, such as "
                            "{bootstrap.servers: \"HOST:PORT\"}");
    const kd_opt_value *row = kd_opt_find(&c->values, name);
    if (row != NULL)
        KD_TRY(check_first(w, name, key, row->from, w->opts, (size_t)(row - c->values.rows), err));
    else
        snprintf(from, sizeof from, "%.100s:%d:%d", kd_yaml_name(w->yaml), key->line, key->column);
    return kd_opt_set(&w->c->values, name, value->text, from, err);
}

/* A list as the value of an option that has entries: as if they stood behind each other. */
static kd_rc take_list(walk *w, const char *name, const kd_yaml_node *key, const kd_yaml_node *list,
                       kd_err *err)
{
    const kd_opt_value *row = kd_opt_find(&w->c->values, name);
    const bool is_property = strncmp(name, "kafka.", 6) == 0;
    if (row == NULL && !is_property) /* says so */
        return take_scalar(w, name, key, list, err);
    if (is_property || row->opt->type != KD_OPT_LIST)
        return kd_yaml_fail(w->yaml, list, err, "%s: a list is not an option's value", name);
    kd_buf text = {0};
    for (size_t k = 0; k < list->n; k++) {
        const kd_yaml_node *x = list->items[k];
        if (x->kind != KD_YAML_SCALAR || strchr(x->text, ';') != NULL) {
            kd_buf_dispose(&text);
            return kd_yaml_fail(w->yaml, x, err, "%s: an entry is a text without \";\"%s", name,
                                x->kind == KD_YAML_MAP ? "; with \": \" in it, in quotes" : "");
        }
        kd_buf_adds(&text, k == 0 ? "" : "; ");
        kd_buf_add(&text, x->text, x->n);
    }
    kd_buf_addc(&text, '\0');
    if (text.failed) {
        kd_buf_dispose(&text);
        return kd_fail(err, KD_ENOMEM, "no memory for %s", name);
    }
    kd_yaml_node all = *list;
    all.kind = KD_YAML_SCALAR;
    all.text = text.p;
    kd_rc rc = take_scalar(w, name, key, &all, err);
    kd_buf_dispose(&text);
    return rc;
}

static kd_rc take_map(walk *w, const char *prefix, const kd_yaml_node *map, kd_err *err)
{
    for (size_t k = 0; k < map->n; k++) {
        const kd_yaml_node *key = map->keys[k], *value = map->items[k];
        char name[160];
        int n =
            snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", key->text);
        if (n < 0 || (size_t)n >= sizeof name)
            return kd_yaml_fail(w->yaml, key, err, "a name of %d bytes is too long", n);
        if (value->kind == KD_YAML_SEQ)
            KD_TRY(take_list(w, name, key, value, err));
        if (value->kind == KD_YAML_MAP)
            KD_TRY(take_map(w, name, value, err));
        else if (value->kind == KD_YAML_SCALAR || value->is_quoted)
            KD_TRY(take_scalar(w, name, key, value, err));
    }
    return KD_OK;
}

static kd_rc take_yaml(kd_config *c, kd_yaml *yaml, kd_err *err)
{
    const kd_yaml_node *root = kd_yaml_root(yaml);
    walk w = {.c = c, .yaml = yaml};
    kd_rc rc = KD_OK;
    if (root->kind == KD_YAML_MAP)
        rc = take_map(&w, "", root, err);
    else if (root->kind != KD_YAML_NULL)
        rc = kd_yaml_fail(yaml, root, err, "a configuration is a map of names to values");
    kd_yaml_free(yaml);
    return rc;
}

kd_rc kd_config_file(kd_config *c, const char *path, kd_err *err)
{
    kd_yaml *yaml = NULL;
    KD_TRY(kd_yaml_load(path, &yaml, err));
    return take_yaml(c, yaml, err);
}

kd_rc kd_config_text(kd_config *c, const char *text, size_t n, const char *name, kd_err *err)
{
    kd_yaml *yaml = NULL;
    KD_TRY(kd_yaml_parse(text, n, name, &yaml, err));
    return take_yaml(c, yaml, err);
}

/* -- environment and flags
 * -------------------------------------------------------------------------- */

/* usercf.half-life -> KINDRED_USERCF_HALF_LIFE */
static void variable_of(const char *name, char out[160])
{
    size_t n = (size_t)snprintf(out, 160, "KINDRED_%s", name);
    for (size_t k = 8; k < n && k < 159; k++)
        out[k] = out[k] == '.' || out[k] == '-' ? '_' : (char)toupper((unsigned char)out[k]);
}

static bool is_reserved(const char *variable, size_t n)
{
    for (size_t k = 0; k < sizeof reserved / sizeof *reserved; k++)
        if (strlen(reserved[k]) == n && strncmp(variable, reserved[k], n) == 0)
            return true;
    return strncmp(variable, reserved_prefix, sizeof reserved_prefix - 1) == 0;
}

/* KINDRED_KAFKA_SASL_PASSWORD -> sasl.password: so a secret needs neither file nor command line. */
static kd_rc take_property(kd_config *c, const char *variable, size_t n, const char *from,
                           kd_err *err)
{
    const size_t skip = sizeof property_prefix - 1;
    char name[160];
    if (n == skip || n - skip >= sizeof name) {
        kd_fail(err, KD_ECONFIG, "no property of librdkafka is named here");
        kd_err_at(err, "%s", from);
        return KD_ECONFIG;
    }
    for (size_t k = skip; k < n; k++)
        name[k - skip] = variable[k] == '_' ? '.' : (char)tolower((unsigned char)variable[k]);
    name[n - skip] = '\0';
    return set_property(c, name, variable + n + 1, from, err);
}

static kd_rc take_variable(kd_config *c, const char *variable, kd_err *err)
{
    const char *eq = strchr(variable, '=');
    size_t n = eq == NULL ? 0 : (size_t)(eq - variable);
    if (eq == NULL || is_reserved(variable, n))
        return KD_OK;
    char from[160];
    snprintf(from, sizeof from, "environment %.*s", (int)(n < 100 ? n : 100), variable);
    for (size_t k = 0; k < c->values.n; k++) {
        char want[160];
        variable_of(c->values.rows[k].opt->name, want);
        if (strlen(want) == n && strncmp(want, variable, n) == 0)
            return kd_opt_set(&c->values, c->values.rows[k].opt->name, eq + 1, from, err);
    }
    if (strncmp(variable, property_prefix, sizeof property_prefix - 1) == 0)
        return take_property(c, variable, n, from, err);
    kd_fail(err, KD_ECONFIG, "there is no option of this name; `kindred config` lists them");
    kd_err_at(err, "%s", from);
    return KD_ECONFIG;
}

kd_rc kd_config_environment(kd_config *c, const char *const *environ, kd_err *err)
{
    for (; *environ != NULL; environ++)
        if (strncmp(*environ, "KINDRED_", 8) == 0)
            KD_TRY(take_variable(c, *environ, err));
    return KD_OK;
}

static kd_rc cut(const char *assignment, const char *flag, char name[160], const char **value,
                 kd_err *err)
{
    const char *eq = strchr(assignment, '=');
    if (eq == NULL || eq == assignment || eq - assignment >= 160) {
        kd_fail(err, KD_ECONFIG, "\"%s\" is not name=value", assignment);
        kd_err_at(err, "%s", flag);
        return KD_ECONFIG;
    }
    memcpy(name, assignment, (size_t)(eq - assignment));
    name[eq - assignment] = '\0';
    *value = eq + 1;
    return KD_OK;
}

kd_rc kd_config_set(kd_config *c, const char *assignment, kd_err *err)
{
    char name[160];
    const char *value;
    KD_TRY(cut(assignment, "--set", name, &value, err));
    if (strncmp(name, "kafka.", 6) == 0)
        return set_property(c, name + 6, value, "--set", err);
    return kd_opt_set(&c->values, name, value, "--set", err);
}

kd_rc kd_config_kafka(kd_config *c, const char *assignment, kd_err *err)
{
    char name[160];
    const char *value;
    KD_TRY(cut(assignment, "-X", name, &value, err));
    return set_property(c, name, value, "-X", err);
}

uint32_t kd_config_workers(const kd_opt_values *v)
{
    int64_t n = kd_opt_int(v, "workers");
    return n == 0 ? kd_cores(WORKERS_MAX) : (uint32_t)n;
}

kd_pipeline_options kd_config_pipeline(const kd_opt_values *v)
{
    bool has_similar = kd_opt_given(v, "topics.similar") != NULL;
    return (kd_pipeline_options){.epoch_max = (uint32_t)kd_opt_int(v, "epoch.max"),
                                 .workers = kd_config_workers(v),
                                 .rate_max = kd_opt_int(v, "shopper.rate.max"),
                                 .emit_always = kd_opt_int(v, "emit") == 0,
                                 .similar_count =
                                     has_similar ? (uint32_t)kd_opt_int(v, "similar.count") : 0,
                                 .has_needs = kd_opt_given(v, "topics.needs") != NULL,
                                 .similar_threshold = kd_opt_real(v, "similar.threshold"),
                                 .similar_fanout = (uint32_t)kd_opt_int(v, "similar.fanout.max"),
                                 .max_dead_letters = kd_opt_int(v, "max.dead-letters")};
}
