/* recent.h against a slow twin: a list of (set, key, tick, value), searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/recent.h"
#include "base/rng.h"

enum { PLACES = 32, WAYS = 4, KEYS = 90, STEPS = 20000 };

typedef struct twin {
    uint64_t key, used, value;
} twin;

static twin *find(twin *t, uint64_t key)
{
    for (int k = 0; k < PLACES; k++)
        if (t[k].used != 0 && t[k].key == key)
            return &t[k];
    return NULL;
}

/* The place of a new key: a free one of its set, else the one that was not used for longest. */
static twin *place(twin *t, uint64_t key)
{
    twin *set = t + key % (PLACES / WAYS) * WAYS, *best = set;
    for (int k = 1; k < WAYS; k++)
        best = set[k].used < best->used ? &set[k] : best;
    return best;
}

static void test_equals_twin(void **unused)
{
    (void)unused;
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 20261129 : strtoull(z, NULL, 0), tick = 0;
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    kd_err err = {0};
    kd_recent *r = NULL;
    twin t[PLACES] = {{0}};
    int replaced = 0;
    assert_int_equal(kd_recent_new(PLACES - 3, sizeof(uint64_t), &r, &err), KD_OK);
    for (int step = 0; step < STEPS; step++) {
        uint64_t key = kd_rng_below(&rng, KEYS);
        twin *want = find(t, key);
        uint64_t *got = kd_recent_find(r, key);
        assert_true((got != NULL) == (want != NULL));
        assert_true(got == NULL || *got == want->value);
        if (kd_rng_below(&rng, 8) == 0) {
            kd_recent_drop(r, key);
            if (want != NULL)
                want->used = 0;
            continue;
        }
        if (want == NULL) {
            want = place(t, key);
            replaced += want->used != 0;
            *want = (twin){.key = key};
        }
        want->used = ++tick;
        got = kd_recent_use(r, key);
        assert_true(*got == want->value);
        *got = want->value = step + 1;
    }
    assert_true(replaced > STEPS / 4);
    uint32_t at = 0, n = 0, n_want = 0;
    uint64_t key;
    for (const uint64_t *v; (v = kd_recent_next(r, &at, &key)) != NULL; n++)
        assert_true(find(t, key) != NULL && find(t, key)->value == *v);
    for (int k = 0; k < PLACES; k++)
        n_want += t[k].used != 0;
    assert_int_equal(n, n_want);
    kd_recent_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_twin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
