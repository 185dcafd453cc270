/* index.h against a slow twin: a list of (hash, value), searched from end to end. Hashes come from
 * few values around both ends of their range, so that many are equal, runs are long, and some go
 * around the end of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/index.h"
#include "base/rng.h"

enum { VALUES = 3000, STEPS = 60000 };

typedef struct twin {
    uint64_t hash[VALUES + 1]; /* of value v, where is_in[v] */
    bool is_in[VALUES + 1];
    uint32_t n;
} twin;

static uint64_t draw_hash(kd_rng *rng)
{
    uint64_t high = kd_rng_below(rng, 1u << 16) << 32; /* not looked at */
    switch (kd_rng_below(rng, 3)) {
    case 0:
        return high | kd_rng_below(rng, 20);
    case 1:
        return high | (UINT32_MAX - kd_rng_below(rng, 20));
    default:
        return high | kd_rng_below(rng, UINT32_MAX);
    }
}

static void compare(const kd_index *x, const twin *t, uint64_t hash)
{
    bool seen[VALUES + 1] = {false};
    uint32_t at = kd_index_home(x, hash), value, n = 0;
    while ((value = kd_index_next(x, hash, &at)) != 0) {
        assert_true(value <= VALUES && t->is_in[value] && !seen[value]);
        assert_true((uint32_t)t->hash[value] == (uint32_t)hash);
        seen[value] = true;
        n++;
    }
    for (uint32_t v = 1; v <= VALUES; v++)
        n -= t->is_in[v] && (uint32_t)t->hash[v] == (uint32_t)hash;
    assert_int_equal(n, 0);
}

static void test_equals_twin(void **unused)
{
    (void)unused;
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 20261130 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    kd_index x;
    static twin t;
    uint32_t most = 0;
    t = (twin){.n = 0};
    assert_true(kd_index_init(&x));
    for (int step = 0; step < STEPS; step++) {
        uint32_t v = 1 + (uint32_t)kd_rng_below(&rng, VALUES);
        /* It fills and empties in turns. */
        bool is_filling = step / 8000 % 2 == 0;
        if (!t.is_in[v] && (is_filling || kd_rng_below(&rng, 4) == 0)) {
            t.hash[v] = draw_hash(&rng);
            t.is_in[v] = true;
            t.n++;
            assert_true(kd_index_room(&x));
            kd_index_add(&x, t.hash[v], v);
        } else if (t.is_in[v] && (!is_filling || kd_rng_below(&rng, 4) == 0)) {
            t.is_in[v] = false;
            t.n--;
            kd_index_remove(&x, t.hash[v], v);
        }
        if (step % 100 == 0)
            compare(&x, &t, draw_hash(&rng));
        if (step % 1000 == 0) {
            assert_true(kd_index_sane(&x));
            kd_index_tidy(&x);
            assert_true(kd_index_sane(&x));
        }
        assert_int_equal(x.n, t.n);
        most = t.n > most ? t.n : most;
    }
    assert_true(most > VALUES / 2);
    for (uint32_t v = 1; v <= VALUES; v++)
        if (t.is_in[v])
            kd_index_remove(&x, t.hash[v], v);
    kd_index_tidy(&x);
    assert_int_equal(x.n, 0);
    assert_int_equal(x.cap, 64);
    kd_index_dispose(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_twin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
