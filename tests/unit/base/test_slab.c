/* Blocks keep their bytes whatever else is allocated and released, and empty slabs go back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/slab.h"

static void test_blocks_keep_their_bytes(void **unused)
{
    (void)unused;
    enum { N = 4000 };
    const uint64_t seed = 11;
    print_message("seed %llu\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    static uint32_t h[N];
    static size_t size[N];
    kd_slab *s = kd_slab_new();
    size_t used = 0;
    for (int k = 0; k < 200000; k++) {
        size_t x = (size_t)kd_rng_below(&rng, N);
        if (h[x] != 0) {
            const unsigned char *p = kd_slab_ptr(s, h[x]);
            assert_int_equal(p[0], (unsigned char)x);
            assert_int_equal(p[size[x] - 1], (unsigned char)x);
            kd_slab_release(s, h[x], size[x]);
            used -= kd_slab_size(size[x]);
            h[x] = 0;
        } else {
            size[x] = 1 + (size_t)kd_rng_below(&rng, x % 10 == 0 ? 5000 : 300);
            h[x] = kd_slab_alloc(s, size[x]);
            assert_true(h[x] != 0);
            assert_true(kd_slab_size(size[x]) >= size[x]);
            memset(kd_slab_ptr(s, h[x]), (int)(x & 0xff), size[x]);
            used += kd_slab_size(size[x]);
        }
        assert_int_equal(kd_slab_used_bytes(s), used);
    }
    for (int x = 0; x < N; x++)
        kd_slab_release(s, h[x], h[x] == 0 ? 1 : size[x]);
    assert_int_equal(kd_slab_used_bytes(s), 0);
    assert_true(kd_slab_held_bytes(s) < 64 * 1024);
    kd_slab_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks_keep_their_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
