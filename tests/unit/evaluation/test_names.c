/* names.h against a slow twin: a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "evaluation/names.h"

enum { IDS = 3000, STEPS = 20000 };

static void test_equals_twin(void **unused)
{
    (void)unused;
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 5 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    kd_names x;
    kd_err err = {0};
    assert_int_equal(kd_names_init(&x, &err), KD_OK);
    uint32_t *twin = malloc(IDS * sizeof *twin), next = 0;
    assert_non_null(twin);
    for (int k = 0; k < IDS; k++)
        twin[k] = KD_NO_NAME;
    for (int step = 0; step < STEPS; step++) {
        uint32_t id = (uint32_t)kd_rng_below(&rng, IDS);
        char text[16];
        kd_str name = {text, (uint32_t)snprintf(text, sizeof text, "%u", id)}, kept;
        if (kd_rng_below(&rng, 10) == 0) {
            kd_names_renumber(&x, name);
            twin[id] = KD_NO_NAME;
        }
        assert_int_equal(kd_names_find(&x, name), twin[id]);
        uint32_t got;
        bool is_new;
        assert_int_equal(kd_names_add(&x, name, &got, &is_new, &kept, &err), KD_OK);
        assert_true(is_new == (twin[id] == KD_NO_NAME));
        if (is_new)
            twin[id] = next++;
        assert_int_equal(got, twin[id]);
        assert_true(kd_str_eq(kept, name) && kept.p != name.p);
    }
    kd_names_dispose(&x);
    free(twin);
}

static void test_borrowed_and_own_numbers(void **unused)
{
    (void)unused;
    kd_names x = {0};
    kd_err err = {0};
    const kd_str a = {"a", 1}, empty = {"", 0};
    assert_int_equal(kd_names_find(&x, a), KD_NO_NAME);
    kd_names_renumber(&x, a);
    assert_int_equal(kd_names_put(&x, a, 7, &err), KD_OK);
    assert_int_equal(kd_names_put(&x, empty, 9, &err), KD_OK);
    assert_int_equal(kd_names_find(&x, a), 7);
    assert_int_equal(kd_names_find(&x, empty), 9);
    kd_names_dispose(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_twin),
        cmocka_unit_test(test_borrowed_and_own_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
