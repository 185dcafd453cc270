/* YAML trees: places, refusals, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/yaml.h"

static kd_yaml *parse(const char *text)
{
    kd_yaml *y = NULL;
    kd_err err = {0};
    if (kd_yaml_parse(text, strlen(text), "t.yaml", &y, &err) != KD_OK)
        fail_msg("%s: %s", err.where, err.msg);
    return y;
}

static void refused(const char *text, const char *where, const char *part)
{
    kd_yaml *y = NULL;
    kd_err err = {0};
    kd_rc rc = kd_yaml_parse(text, strlen(text), "t.yaml", &y, &err);
    if (rc != KD_ECONFIG || strstr(err.msg, part) == NULL || strcmp(err.where, where) != 0)
        fail_msg("%.60s: %s %s: %s (want %s: ...%s...)", text, kd_rc_name(rc), err.where, err.msg,
                 where, part);
    assert_null(y);
}

static void tree(void **state)
{
    (void)state;
    kd_yaml *y = parse("a: 1\nb:\n  - x\n  - {c: 'true', d: ~}\n\"e f\": \"\"\n");
    const kd_yaml_node *root = kd_yaml_root(y);
    assert_int_equal(root->kind, KD_YAML_MAP);
    assert_int_equal(root->n, 3);
    assert_string_equal(root->keys[2]->text, "e f");
    const kd_yaml_node *b = kd_yaml_get(root, "b");
    assert_int_equal(b->kind, KD_YAML_SEQ);
    assert_string_equal(b->items[0]->text, "x");
    assert_int_equal(b->items[0]->line, 3);
    assert_int_equal(b->items[0]->column, 5);
    const kd_yaml_node *c = kd_yaml_get(b->items[1], "c");
    assert_true(c->is_quoted);
    assert_int_equal(kd_yaml_get(b->items[1], "d")->kind, KD_YAML_NULL);
    assert_int_equal(kd_yaml_get(root, "e f")->kind, KD_YAML_SCALAR);
    assert_int_equal(kd_yaml_key(root, "e f")->line, 5);
    assert_null(kd_yaml_get(root, "nope"));
    assert_null(kd_yaml_get(b, "b"));
    assert_null(kd_yaml_get(NULL, "b"));
    assert_string_equal(kd_yaml_name(y), "t.yaml");
    kd_yaml_free(y);
    y = parse("");
    assert_int_equal(kd_yaml_root(y)->kind, KD_YAML_NULL);
    kd_yaml_free(y);
    kd_yaml_free(NULL);
}

static void aliases(void **state)
{
    (void)state;
    kd_yaml *y = parse("base: &b {k: [1, 2]}\none: *b\ntwo: *b\n");
    const kd_yaml_node *one = kd_yaml_get(kd_yaml_root(y), "one");
    assert_ptr_equal(one, kd_yaml_get(kd_yaml_root(y), "two"));
    assert_int_equal(one->line, 1);
    assert_int_equal(kd_yaml_get(one, "k")->n, 2);
    kd_yaml_free(y);
}

static void refusals(void **state)
{
    (void)state;
    refused("a: 1\nb: 2\na: 3\n", "t.yaml:3:1", "twice");
    refused("a: [1, 2\nb: 3\n", "t.yaml:2:2", "");
    refused("a: 1\n---\nb: 2\n", "t.yaml:3:1", "second document");
    refused("? [x]\n: 1\n", "t.yaml:1:3", "key");
    refused("a: &x {b: 1}\nc: {<<: *x}\n", "t.yaml:2:5", "merge");
    refused("a: &x [*x]\n", "t.yaml:1:4", "alias inside");
    refused("a: *nope\n", "t.yaml:1:4", "alias");
    refused("a: \"\\0\"\n", "t.yaml:1:4", "NUL");
    refused("a:\n\t- 1\n", "t.yaml:2:1", "");
    refused("a: \xff\n", "t.yaml:1:1", "UTF-8");
}

static void bounds(void **state)
{
    (void)state;
    kd_buf t = {0};
    for (int i = 0; i < 80; i++)
        kd_buf_addc(&t, '[');
    for (int i = 0; i < 80; i++)
        kd_buf_addc(&t, ']');
    kd_buf_addc(&t, '\0');
    refused(t.p, "t.yaml:1:65", "deeper than 64");
    kd_buf_clear(&t);
    kd_buf_adds(&t, "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++) {
        kd_buf_addf(&t, "l%d: &l%d [", i, i);
        for (int k = 0; k < 10; k++)
            kd_buf_addf(&t, "%s*l%d", k == 0 ? "" : ", ", i - 1);
        kd_buf_adds(&t, "]\n");
    }
    kd_buf_addc(&t, '\0');
    refused(t.p, "t.yaml:6:5", "1000000 values");
    kd_buf_dispose(&t);
}

static void typed(void **state)
{
    (void)state;
    kd_yaml *y = parse("i: -12\nr: 2.5e3\nb: Yes\ns: text\nl: [1]\n");
    const kd_yaml_node *root = kd_yaml_root(y);
    kd_err err = {0};
    int64_t i = 0;
    double r = 0;
    bool b = false;
    const char *s = NULL;
    assert_int_equal(kd_yaml_int(y, kd_yaml_get(root, "i"), &i, &err), KD_OK);
    assert_int_equal(i, -12);
    assert_int_equal(kd_yaml_real(y, kd_yaml_get(root, "r"), &r, &err), KD_OK);
    assert_true(r == 2500);
    assert_int_equal(kd_yaml_bool(y, kd_yaml_get(root, "b"), &b, &err), KD_OK);
    assert_true(b);
    assert_int_equal(kd_yaml_str(y, kd_yaml_get(root, "s"), &s, &err), KD_OK);
    assert_string_equal(s, "text");
    assert_int_equal(kd_yaml_int(y, kd_yaml_get(root, "s"), &i, &err), KD_ECONFIG);
    assert_string_equal(err.where, "t.yaml:4:4");
    assert_int_equal(kd_yaml_real(y, kd_yaml_get(root, "s"), &r, &err), KD_ECONFIG);
    assert_int_equal(kd_yaml_bool(y, kd_yaml_get(root, "i"), &b, &err), KD_ECONFIG);
    assert_int_equal(kd_yaml_str(y, kd_yaml_get(root, "l"), &s, &err), KD_ECONFIG);
    assert_int_equal(i, -12);
    kd_yaml_free(y);
}

static void nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"usercf.neighbours", "CustomerID", "emit", "k", NULL};
    assert_string_equal(kd_nearest("usercf.neighbors", words), "usercf.neighbours");
    assert_string_equal(kd_nearest("CustomerId", words), "CustomerID");
    assert_string_equal(kd_nearest("eimt", words), "emit");
    assert_string_equal(kd_nearest("emti", words), "emit");
    assert_null(kd_nearest("quite different", words));
    assert_null(kd_nearest("emot!!", words));
    kd_yaml *y = parse("emit: 1\nemti: 2\n");
    kd_err err = {0};
    assert_int_equal(kd_yaml_only_keys(y, kd_yaml_root(y), words, &err), KD_ECONFIG);
    assert_string_equal(err.where, "t.yaml:2:1");
    assert_non_null(strstr(err.msg, "\"emit\""));
    kd_yaml_free(y);
}

static void missing_file(void **state)
{
    (void)state;
    kd_yaml *y = NULL;
    kd_err err = {0};
    assert_int_equal(kd_yaml_load("/nonexistent/a.yaml", &y, &err), KD_EIO);
    assert_int_equal(kd_yaml_load("/tmp", &y, &err), KD_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree),         cmocka_unit_test(aliases), cmocka_unit_test(refusals),
        cmocka_unit_test(bounds),       cmocka_unit_test(typed),   cmocka_unit_test(nearest),
        cmocka_unit_test(missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
