/* metric.h against cases computed by hand, and against ranx and scikit-learn (ranx/fixture.txt,
 * made by ranx/make_fixture.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluation/metric.h"

/* Sums of at most 20 terms of size 1, in another order or precision than ours. */
#define CLOSE 1e-12

static void close_to(double got, double want)
{
    if (!(fabs(got - want) <= CLOSE))
        fail_msg("%.17g, and %.17g is right", got, want);
}

/* Hits at ranks 2 and 5 of a list of 5; 4 items are relevant. */
static void test_by_hand(void **unused)
{
    (void)unused;
    const uint32_t list[] = {9, 3, 8, 7, 4}, relevant[] = {4, 1, 3, 2};
    uint32_t ranks[5];
    kd_hits h = kd_hits_find_u32(list, 5, relevant, 4, ranks);
    assert_int_equal(h.n, 2);
    assert_int_equal(h.ranks[0], 2);
    assert_int_equal(h.ranks[1], 5);

    close_to(kd_metric_hit_rate(&h, 1), 0);
    close_to(kd_metric_hit_rate(&h, 2), 1);
    close_to(kd_metric_precision(&h, 1), 0);
    close_to(kd_metric_precision(&h, 4), 0.25);
    close_to(kd_metric_precision(&h, 5), 0.4);
    close_to(kd_metric_precision(&h, 10), 0.2); /* the list ends at 5 */
    close_to(kd_metric_recall(&h, 4), 0.25);
    close_to(kd_metric_recall(&h, 10), 0.5);
    close_to(kd_metric_mrr(&h, 1), 0);
    close_to(kd_metric_mrr(&h, 20), 0.5);
    close_to(kd_metric_f1(kd_metric_precision(&h, 5), kd_metric_recall(&h, 5)),
             2 * 0.4 * 0.5 / 0.9);
    /* AP(5) = (1/2 + 2/5) / 4 */
    close_to(kd_metric_ap(&h, 5), 0.225);
    close_to(kd_metric_ap(&h, 4), 0.125);
    /* DCG(2) = 1/log2 3; IDCG(2) = 1/log2 2 + 1/log2 3 */
    double third = 1 / 1.584962500721156;
    close_to(kd_metric_ndcg(&h, 2), third / (1 + third));
    /* DCG(5) = 1/log2 3 + 1/log2 6; IDCG(5) = 1 + 1/log2 3 + 1/2 + 1/log2 5 */
    double sixth = 1 / 2.584962500721156, fifth = 1 / 2.321928094887362;
    close_to(kd_metric_ndcg(&h, 5), (third + sixth) / (1 + third + 0.5 + fifth));
}

static void test_best_and_worst(void **unused)
{
    (void)unused;
    const uint32_t list[] = {5, 6, 7}, relevant[] = {7, 5, 6, 8};
    uint32_t ranks[3];
    kd_hits all = kd_hits_find_u32(list, 3, relevant, 3, ranks); /* 5, 6, 7 of 7, 5, 6 */
    close_to(kd_metric_ndcg(&all, 3), 1);
    close_to(kd_metric_ap(&all, 3), 1);
    close_to(kd_metric_mrr(&all, 3), 1);
    close_to(kd_metric_recall(&all, 3), 1);
    close_to(kd_metric_precision(&all, 3), 1);
    kd_hits none = kd_hits_find_u32(list, 0, relevant, 4, ranks);
    assert_int_equal(none.n, 0);
    close_to(kd_metric_ndcg(&none, 3), 0);
    close_to(kd_metric_ap(&none, 3), 0);
    close_to(kd_metric_mrr(&none, 3), 0);
    close_to(kd_metric_f1(0, 0), 0);
}

static void test_strings_as_numbers(void **unused)
{
    (void)unused;
    const kd_str list[] = {{"a", 1}, {"ab", 2}, {"b", 1}}, relevant[] = {{"b", 1}, {"ab", 2}};
    uint32_t ranks[3];
    kd_hits h = kd_hits_find(list, 3, relevant, 2, ranks);
    assert_int_equal(h.n, 2);
    assert_int_equal(h.ranks[0], 2);
    assert_int_equal(h.ranks[1], 3);
}

static void test_of_lists_alone(void **unused)
{
    (void)unused;
    close_to(kd_metric_coverage(3, 12), 0.25);
    close_to(kd_metric_coverage(0, 0), 0);
    close_to(kd_metric_self_information(1, 8), 3);
    close_to(kd_metric_self_information(2, 8), 2);
    close_to(kd_metric_self_information(8, 8), 0);
    close_to(kd_metric_self_information(0, 8), 3);
    close_to(kd_metric_self_information(0, 0), 0);
    const uint32_t before[] = {1, 2, 3, 4}, now[] = {4, 9, 2, 8};
    close_to(kd_metric_churn_u32(before, 4, now, 4, 10), 0.5);
    close_to(kd_metric_churn_u32(before, 4, now, 4, 2), 1); /* 4 was not among the first two */
    close_to(kd_metric_churn_u32(before, 0, now, 4, 10), 1);
    close_to(kd_metric_churn_u32(before, 4, now, 0, 10), 0);
    const kd_str was[] = {{"x", 1}, {"y", 1}}, is[] = {{"y", 1}, {"x", 1}, {"z", 1}};
    close_to(kd_metric_churn(was, 2, is, 3, 10), 1.0 / 3);
    close_to(kd_metric_churn(was, 2, is, 2, 10), 0);
}

/* -- the fixture -- */

static uint32_t numbers(char *text, uint32_t out[64])
{
    uint32_t n = 0;
    char *rest = NULL;
    for (char *t = strtok_r(text, " ", &rest); t != NULL; t = strtok_r(NULL, " ", &rest))
        out[n++] = (uint32_t)strtoul(t, NULL, 10);
    return n;
}

static void compare_line(char *line)
{
    char *rest = NULL, *column[4];
    for (int k = 0; k < 4; k++) {
        column[k] = strtok_r(k == 0 ? line : NULL, "|", &rest);
        assert_non_null(column[k]);
    }
    uint32_t list[64], relevant[64], ranks[64];
    uint32_t n_list = numbers(column[0], list), n_relevant = numbers(column[1], relevant);
    uint32_t k = (uint32_t)strtoul(column[2], NULL, 10);
    kd_hits h = kd_hits_find_u32(list, n_list, relevant, n_relevant, ranks);
    double got[] = {kd_metric_hit_rate(&h, k),
                    kd_metric_precision(&h, k),
                    kd_metric_recall(&h, k),
                    kd_metric_f1(kd_metric_precision(&h, k), kd_metric_recall(&h, k)),
                    kd_metric_mrr(&h, k),
                    kd_metric_ndcg(&h, k),
                    kd_metric_ap(&h, k)};
    char *at = column[3];
    for (size_t m = 0; m < sizeof got / sizeof *got; m++) {
        char *end;
        double want = strtod(at, &end);
        assert_true(end != at);
        close_to(got[m], want);
        at = end;
    }
}

static void test_fixture(void **unused)
{
    (void)unused;
    FILE *f = fopen(KD_SOURCE_DIR "/tests/unit/evaluation/ranx/fixture.txt", "r");
    assert_non_null(f);
    char line[1024];
    int n = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (line[0] == '#')
            continue;
        compare_line(line);
        n++;
    }
    fclose(f);
    assert_int_equal(n, 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_best_and_worst),
        cmocka_unit_test(test_strings_as_numbers),
        cmocka_unit_test(test_of_lists_alone),
        cmocka_unit_test(test_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
