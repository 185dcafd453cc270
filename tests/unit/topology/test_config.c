/* The effective configuration: every option set and read back, who wins over whom, errors with
 * their place and what would be right, properties passed through with their origin, secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "topology/config.h"
#include "topology/topics.h"

static kd_config made(void)
{
    kd_config c;
    kd_err err = {0};
    if (kd_config_init(&c, &err) != KD_OK)
        fail_msg("%s: %s", err.where, err.msg);
    return c;
}

static void take(kd_config *c, const char *text)
{
    kd_err err = {0};
    if (kd_config_text(c, text, strlen(text), "shop.yaml", &err) != KD_OK)
        fail_msg("%s: %s\n%s", err.where, err.msg, text);
}

static const char *from(const kd_config *c, const char *name)
{
    const kd_opt_value *v = kd_opt_find(&c->values, name);
    assert_non_null(v);
    return v->from;
}

static const kd_property *property(const kd_config *c, const char *name)
{
    for (size_t k = 0; k < c->n_kafka; k++)
        if (strcmp(c->kafka[k].name, name) == 0)
            return &c->kafka[k];
    return NULL;
}

/* Two values that the row takes, each other than the first one's. */
static void values_of(const kd_opt *o, char out[2][64])
{
    long long low = (long long)o->min, high = low + 1;
    switch (o->type) {
    case KD_OPT_ENUM: {
        size_t n = strcspn(o->choices, "|");
        const char *last = strrchr(o->choices, '|');
        snprintf(out[0], 64, "%.*s", (int)n, o->choices);
        snprintf(out[1], 64, "%s", last == NULL ? o->choices : last + 1);
        return;
    }
    case KD_OPT_BOOL:
        snprintf(out[0], 64, "true");
        snprintf(out[1], 64, "false");
        return;
    case KD_OPT_STRING:
    case KD_OPT_LIST:
        snprintf(out[0], 64, "a-text-of-32-bytes-or-a-bit-more");
        snprintf(out[1], 64, "another \"text\" that has # and : in");
        return;
    case KD_OPT_REAL:
        snprintf(out[0], 64, "%.17g", o->min);
        snprintf(out[1], 64, "%.17g", o->max > o->min ? (o->min + o->max) / 2 : 0.25);
        return;
    default:
        snprintf(out[0], 64, "%lld", low);
        snprintf(out[1], 64, "%lld", high);
    }
}

static void quoted(char *out, size_t cap, const char *name, const char *value)
{
    size_t n = (size_t)snprintf(out, cap, "%s: \"", name);
    for (; *value != '\0' && n + 4 < cap; value++) {
        if (*value == '"')
            out[n++] = '\\';
        out[n++] = *value;
    }
    snprintf(out + n, cap - n, "\"\n");
}

/* In the file, in the environment and by flag: what is set is read back, with its origin. */
static void test_every_option_by_every_way(void **unused)
{
    (void)unused;
    kd_config all = made();
    assert_true(all.values.n > 30);
    for (size_t k = 0; k < all.values.n; k++) {
        const kd_opt *o = all.values.rows[k].opt;
        char value[2][64], line[300], variable[300], flag[300];
        values_of(o, value);
        kd_err err = {0};
        kd_config c = made();
        assert_string_equal(from(&c, o->name), "default");
        quoted(line, sizeof line, o->name, value[0]);
        take(&c, line);
        assert_string_equal(kd_opt_find(&c.values, o->name)->s, value[0]);
        assert_memory_equal(from(&c, o->name), "shop.yaml:1:", 12);

        size_t n = (size_t)snprintf(variable, sizeof variable, "KINDRED_%s", o->name);
        for (size_t b = 8; b < n; b++)
            variable[b] = strchr(".-", variable[b]) != NULL ? '_'
                          : variable[b] >= 'a' && variable[b] <= 'z'
                              ? (char)(variable[b] - 'a' + 'A')
                              : variable[b];
        snprintf(variable + n, sizeof variable - n, "=%s", value[1]);
        const char *environment[] = {"PATH=/bin", variable, NULL};
        if (kd_config_environment(&c, environment, &err) != KD_OK)
            fail_msg("%s: %s", variable, err.msg);
        assert_string_equal(kd_opt_find(&c.values, o->name)->s, value[1]);
        assert_memory_equal(from(&c, o->name), "environment KINDRED_", 20);

        snprintf(flag, sizeof flag, "%s=%s", o->name, value[0]);
        assert_int_equal(kd_config_set(&c, flag, &err), KD_OK);
        assert_string_equal(kd_opt_find(&c.values, o->name)->s, value[0]);
        assert_string_equal(from(&c, o->name), "--set");
        kd_config_dispose(&c);
    }
    kd_config_dispose(&all);
}

/* No two options may have one name in the environment. */
static void test_variables_are_told_apart(void **unused)
{
    (void)unused;
    kd_config c = made();
    for (size_t k = 0; k < c.values.n; k++)
        for (size_t j = 0; j < k; j++) {
            const char *a = c.values.rows[k].opt->name, *b = c.values.rows[j].opt->name;
            while (*a != '\0' && (*a == *b || (strchr(".-_", *a) && *b && strchr(".-_", *b))))
                a++, b++;
            if (*a == *b)
                fail_msg("%s and %s", c.values.rows[k].opt->name, c.values.rows[j].opt->name);
        }
    kd_config_dispose(&c);
}

static void test_nesting_and_dots_are_one(void **unused)
{
    (void)unused;
    static const char *const forms[] = {
        "usercf:\n  neighbours: 7\ntopics:\n  dead-letters: bad\n",
        "usercf.neighbours: 7\ntopics.dead-letters: bad\n",
        "{usercf: {neighbours: 7}, topics: {dead-letters: bad}}",
        "{\"usercf.neighbours\": \"7\", \"topics\": {\"dead-letters\": \"bad\"}}",
    };
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        kd_config c = made();
        take(&c, forms[k]);
        assert_int_equal(kd_opt_int(&c.values, "usercf.neighbours"), 7);
        assert_string_equal(kd_opt_str(&c.values, "topics.dead-letters"), "bad");
        kd_config_dispose(&c);
    }
    static const char *const nothing[] = {"", "# only this\n", "usercf:\n", "kafka: {}\n", "---\n"};
    for (size_t k = 0; k < sizeof nothing / sizeof *nothing; k++) {
        kd_config c = made();
        take(&c, nothing[k]);
        assert_string_equal(from(&c, "usercf.neighbours"), "default");
        kd_config_dispose(&c);
    }
}

static void test_errors_say_where_and_what(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *where, *says;
    } rows[] = {
        {"usercf:\n  neighbours: 5\n  similarity: jacard\n", "shop.yaml:3:15", "jaccard"},
        {"usercf.neighbors: 5\n", "shop.yaml:1:1", "usercf.neighbours"},
        {"workers: 1\nhistory:\n    maks: 5\n", "shop.yaml:3:5", "history.max"},
        {"history.max: 0\n", "shop.yaml:1:14", "1 to 2000"},
        {"history.max: many\n", "shop.yaml:1:14", "whole number"},
        {"history.max: 1.5\n", "shop.yaml:1:14", "whole number"},
        {"workers: [1, 2]\n", "shop.yaml:1:10", "list"},
        {"- workers\n", "shop.yaml:1:1", "map"},
        {"workers: 1\nworkers: 2\n", "shop.yaml:2:1", "workers"},
        {"usercf.neighbours: 5\nusercf:\n  neighbours: 6\n", "shop.yaml:3:3",
         "first at shop.yaml:1:20"},
        {"kafka: {client.id: a}\nkafka.client.id: b\n", "shop.yaml:2:1", "first at shop.yaml:1:20"},
        {"workers: {a: 1}\n", "shop.yaml:1:11", "workers.a"},
        {"usercf: 5\n", "shop.yaml:1:1", "group of them: usercf.similarity, usercf.neighbours"},
        {"usercf.vote: [1]\n", "shop.yaml:1:1", "usercf.vote.recency"},
        {"shop: 5\n", "shop.yaml:1:1", "`kindred config` lists them"},
        {"workers: 1\nkafka: 5\n", "shop.yaml:2:8", "bootstrap.servers"},
        {"kafka: [5]\n", "shop.yaml:1:8", "bootstrap.servers"},
        {"a: [1\n", "shop.yaml:", ""},
        {"schema.registry.timeout: soon\n", "shop.yaml:1:26", "5m"},
    };
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        kd_config c = made();
        kd_err err = {0};
        assert_int_equal(kd_config_text(&c, rows[k].text, strlen(rows[k].text), "shop.yaml", &err),
                         KD_ECONFIG);
        if (strncmp(err.where, rows[k].where, strlen(rows[k].where)) != 0 ||
            strstr(err.msg, rows[k].says) == NULL)
            fail_msg("%s gave %s: %s", rows[k].text, err.where, err.msg);
        kd_config_dispose(&c);
    }
    kd_config c = made();
    kd_err err = {0};
    assert_int_equal(kd_config_file(&c, "/nonexistent/shop.yaml", &err), KD_EIO);
    static const char *const flags[] = {"workers", "=3", "", "workers=-1", "nobody=1", "workers=x"};
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
        err = (kd_err){0};
        assert_int_equal(kd_config_set(&c, flags[k], &err), KD_ECONFIG);
        assert_string_equal(err.where, "--set");
    }
    assert_int_equal(kd_config_kafka(&c, "bootstrap.servers", &err), KD_ECONFIG);
    assert_string_equal(from(&c, "workers"), "default"); /* what failed changed nothing */
    kd_config_dispose(&c);
}

static void test_the_environment(void **unused)
{
    (void)unused;
    static const char *const fine[] = {"KINDRED_BIN=x",
                                       "KINDRED_TEST_BROKERS=x",
                                       "KINDRED_CONFIG=x",
                                       "KINDREDX=1",
                                       "HOME=/root",
                                       "KINDRED_WORKERS=3",
                                       "KINDRED_EMIT=always",
                                       "KINDRED_NOEQUALSIGN",
                                       "KINDRED_KAFKA_SASL_PASSWORD=s=e",
                                       NULL};
    kd_config c = made();
    kd_err err = {0};
    take(&c, "workers: 2\nkafka: {sasl.password: file}\n");
    assert_int_equal(kd_config_environment(&c, fine, &err), KD_OK);
    assert_int_equal(kd_opt_int(&c.values, "workers"), 3);
    assert_string_equal(from(&c, "workers"), "environment KINDRED_WORKERS");
    assert_int_equal(c.n_kafka, 1);
    assert_string_equal(property(&c, "sasl.password")->value, "s=e");
    assert_string_equal(property(&c, "sasl.password")->from,
                        "environment KINDRED_KAFKA_SASL_PASSWORD");
    static const char *const wrong[] = {"KINDRED_WORKER=3", "KINDRED_WORKERS=none", "KINDRED_=1",
                                        "KINDRED_BINARY=x", "KINDRED_KAFKA_=x"};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        const char *one[] = {wrong[k], NULL};
        err = (kd_err){0};
        if (kd_config_environment(&c, one, &err) != KD_ECONFIG ||
            strncmp(err.where, "environment KINDRED_", 20) != 0)
            fail_msg("%s: %s %s", wrong[k], err.where, err.msg);
    }
    kd_config_dispose(&c);
}

static void test_properties_pass_through(void **unused)
{
    (void)unused;
    kd_config c = made();
    kd_err err = {0};
    take(&c, "kafka:\n  client.id: a\n  ssl:\n    ca:\n      location: /x\n  linger.ms: 5\n");
    assert_int_equal(c.n_kafka, 3);
    assert_string_equal(property(&c, "ssl.ca.location")->value, "/x");
    assert_string_equal(property(&c, "ssl.ca.location")->from, "shop.yaml:5:17");
    assert_int_equal(kd_config_kafka(&c, "client.id=b=c", &err), KD_OK);
    assert_int_equal(kd_config_set(&c, "kafka.linger.ms=9", &err), KD_OK);
    assert_int_equal(kd_config_kafka(&c, "acks=", &err), KD_OK);
    assert_int_equal(c.n_kafka, 4);
    assert_string_equal(c.kafka[0].name, "client.id"); /* it kept its place */
    assert_string_equal(property(&c, "client.id")->value, "b=c");
    assert_string_equal(property(&c, "client.id")->from, "-X");
    assert_string_equal(property(&c, "linger.ms")->from, "--set");
    assert_string_equal(property(&c, "acks")->value, "");
    kd_config_dispose(&c);
    kd_config_dispose(&c); /* twice is fine */
}

static void test_secrets(void **unused)
{
    (void)unused;
    static const char *const secret[] = {"sasl.password",
                                         "ssl.key.password",
                                         "ssl.keystore.password",
                                         "ssl.key.pem",
                                         "privacy.key",
                                         "schema.registry.basic.auth",
                                         "sasl.oauthbearer.client.secret",
                                         "sasl.oauthbearer.config"};
    static const char *const open[] = {"sasl.username", "bootstrap.servers", "group.id",
                                       "topics.browse", "schema.registry.url"};
    for (size_t k = 0; k < sizeof secret / sizeof *secret; k++)
        if (!kd_config_is_secret(secret[k]))
            fail_msg("%s would be shown", secret[k]);
    for (size_t k = 0; k < sizeof open / sizeof *open; k++)
        assert_false(kd_config_is_secret(open[k]));
}

/* What has entries may have them as a list, in which a bad one has a place of its own. */
static void test_a_list(void **unused)
{
    (void)unused;
    static const struct {
        const char *yaml, *where, *msg;
    } bad[] = {
        {"rules.boost:\n  - item:a=2\n  - item: b=2\n", "shop.yaml:3:5", "in quotes"},
        {"rules.boost:\n  - item:a=2; item:b=3\n", "shop.yaml:2:5", "without \";\""},
        {"rules.boost: [item:a=2, ]\nrules:\n  boost: x\n", "shop.yaml:3:3", "is there twice"},
        {"group.id: [a, b]\n", "shop.yaml:1:11", "group.id: a list is not an option's value"},
        {"kafka:\n  bootstrap.servers: [a:9092, b:9092]\n", "shop.yaml:2:22",
         "kafka.bootstrap.servers: a list is not an option's value"},
        {"rules.bost: [a]\n", "shop.yaml:1:1", "did you mean rules.boost"},
    };
    kd_config c = made();
    take(&c, "rules:\n  boost:\n    - item:a=2\n    - \"category:Home > Lamps = 0.5\"\n");
    assert_string_equal(kd_opt_str(&c.values, "rules.boost"),
                        "item:a=2; category:Home > Lamps = 0.5");
    assert_string_equal(kd_opt_find(&c.values, "rules.boost")->from, "shop.yaml:3:5");
    take(&c, "rules.boost: []\n");
    assert_string_equal(kd_opt_str(&c.values, "rules.boost"), "");
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        kd_err err = {0};
        assert_int_equal(kd_config_text(&c, bad[k].yaml, strlen(bad[k].yaml), "shop.yaml", &err),
                         KD_ECONFIG);
        assert_string_equal(err.where, bad[k].where);
        assert_non_null(strstr(err.msg, bad[k].msg));
    }
    kd_config_dispose(&c);
}

/* Each pair of options that name topics; not set is no name. */
static void test_topics_differ(void **state)
{
    static const char *const names[] = {
        "topics.browse",   "topics.purchase",        "topics.catalog", "topics.forget",
        "topics.similar",  "topics.recommendations", "topics.needs",   "topics.dead-letters",
        "topics.receipts", "snapshot.copy.topic"};
    enum { N = sizeof names / sizeof *names };
    (void)state;
    for (size_t a = 0; a < N; a++)
        for (size_t b = 0; b < N; b++) {
            kd_config c = made();
            kd_err err = {0};
            char text[200];
            assert_int_equal(kd_topics_differ(&c.values, NULL), KD_OK);
            snprintf(text, sizeof text, "%s: same\n", names[a]);
            take(&c, text);
            assert_int_equal(kd_topics_differ(&c.values, NULL), KD_OK);
            snprintf(text, sizeof text, "%s: same\n", names[b]);
            take(&c, text);
            assert_int_equal(kd_topics_differ(&c.values, &err), a == b ? KD_OK : KD_ECONFIG);
            if (a != b) {
                assert_non_null(strstr(err.msg, names[a]));
                assert_non_null(strstr(err.msg, names[b]));
                assert_non_null(strstr(err.where, "shop.yaml:1"));
            }
            kd_config_dispose(&c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_by_every_way),
        cmocka_unit_test(test_variables_are_told_apart),
        cmocka_unit_test(test_nesting_and_dots_are_one),
        cmocka_unit_test(test_errors_say_where_and_what),
        cmocka_unit_test(test_the_environment),
        cmocka_unit_test(test_properties_pass_through),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_a_list),
        cmocka_unit_test(test_topics_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
