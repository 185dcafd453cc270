/* The formulas of similarity.h at points that were computed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "operators/similarity.h"

static void is_near(double got, double want)
{
    if (!(got > want - 1e-12 && got < want + 1e-12))
        fail_msg("%.17g, %.17g is right", got, want);
}

static void test_votes_fall_with_steps(void **unused)
{
    (void)unused;
    const kd_vote off = {.shared = 1}, root = {.recency = 0.5, .shared = 1};
    const kd_vote div = {.recency = 1, .shared = 1}, quadratic = {.recency = 2, .shared = 1};
    for (uint32_t step = 0; step < 12; step++) {
        is_near(kd_vote_recency(&off, step), 1.0);
        is_near(kd_vote_recency(&div, step), kd_vsknn_decay(KD_FALL_DIV, step + 1));
        is_near(kd_vote_recency(&quadratic, step), kd_vsknn_decay(KD_FALL_QUADRATIC, step + 1));
    }
    is_near(kd_vote_recency(&root, 3), 0.5);
}

static void test_votes_fall_with_places(void **unused)
{
    (void)unused;
    const kd_vote off = {.shared = 1};
    const kd_vote both = {.after = 2, .before = 1, .shared = 0.25};
    const kd_vote after = {.after = 4, .shared = 1};
    is_near(kd_vote_place(&off, 7), 1.0);
    is_near(kd_vote_place(&off, 0), 1.0);
    is_near(kd_vote_place(&off, -7), 1.0);
    is_near(kd_vote_place(&both, 0), 0.25);
    is_near(kd_vote_place(&both, 2), 0.36787944117144233); /* 1 / e */
    is_near(kd_vote_place(&both, -2), 0.1353352832366127); /* 1 / e^2 */
    is_near(kd_vote_place(&after, -3), 1.0);
    is_near(kd_vote_place(&after, 4), 0.36787944117144233);
}

static void test_sets(void **unused)
{
    (void)unused;
    is_near(kd_similarity_value(KD_JACCARD, 2, 3, 5), 2.0 / 6);
    is_near(kd_similarity_value(KD_COSINE, 2, 4, 9), 2.0 / 6);
    is_near(kd_stan_similarity(1.5, 4, 9, 0.5), 0.125);
    is_near(kd_idf_share(7, 0, 3), 1.0);
    is_near(kd_idf_share(7, 7, 1), 0.3247342047137871); /* 1 / (ln 8 + 1) */
    is_near(kd_idf_share(7, 1, 2), 0.6004876802851384); /* ((ln 4 + 1) / (ln 8 + 1))^2 */
    is_near(kd_vsknn_weight(KD_FALL_QUADRATIC, 1, 4), 0.5625);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_votes_fall_with_steps),
        cmocka_unit_test(test_votes_fall_with_places),
        cmocka_unit_test(test_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
