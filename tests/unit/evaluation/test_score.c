/* score.h, tally.h, compare.h: the list that a unit is judged by, sums by shopper where shoppers
 * share groups, and verdicts that do not depend on who makes the replicates. The whole of it is
 * also held to a second program (tests/cli/test_backtest.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluation/compare.h"

enum { ITEMS = 10 };

static const kd_cutoffs cutoffs = {{1, 3}, 2, 1};
static const char *const ids[ITEMS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};

static kd_scorer *new_scorer(void)
{
    kd_scorer *s = NULL;
    assert_int_equal(kd_scorer_new(&cutoffs, 0, &s, NULL), KD_OK);
    for (uint32_t k = 0; k < ITEMS; k++) { /* a catalogue, so that items are known */
        kd_note n = {
            .time = KD_MS_2000, .shopper = UINT32_MAX, .item = k, .item_id = kd_str_of(ids[k])};
        assert_int_equal(kd_scorer_note(s, &n, NULL), KD_OK);
    }
    return s;
}

static void event(kd_scorer *s, uint32_t shopper, uint32_t item, bool starts, const kd_unit *closed)
{
    kd_note n = {.time = KD_MS_2000,
                 .is_event = true,
                 .starts_unit = starts,
                 .is_first_contact = true,
                 .shopper = shopper,
                 .item = item,
                 .item_id = kd_str_of(ids[item]),
                 .closed = closed};
    assert_int_equal(kd_scorer_note(s, &n, NULL), KD_OK);
}

static void publish(kd_scorer *s, uint32_t shopper, const char *items)
{
    kd_item list[ITEMS];
    uint32_t n = (uint32_t)strlen(items);
    for (uint32_t k = 0; k < n; k++)
        list[k] = (kd_item){.item_id = {items + k, 1},
                            .score = 1,
                            .has = 1u << KD_PART_USERCF | 1u << KD_PART_POPULARITY,
                            .parts = {[KD_PART_USERCF] = 0.25 + k, [KD_PART_POPULARITY] = 1}};
    kd_update u = {.time = KD_MS_2000, .items = list, .n_items = n};
    assert_int_equal(kd_scorer_publish(s, shopper, &u, NULL), KD_OK);
}

static kd_unit unit_of(uint32_t shopper, const kd_want *wants, uint32_t n)
{
    return (kd_unit){.shopper = shopper,
                     .time = KD_MS_2000,
                     .n_before = 1,
                     .is_scored = true,
                     .n_events = n,
                     .n_wants = n,
                     .wants = wants};
}

static double mean(const kd_scorer *s, uint32_t group, kd_metric m, uint32_t cutoff)
{
    const double *row = kd_scorer_row(s, group, KD_SEG_ALL);
    return row[0] > 0 ? row[kd_row_column(&cutoffs, m, cutoff)] / row[0] : -1;
}

static void test_the_list_before_the_unit(void **unused)
{
    (void)unused;
    kd_scorer *s = new_scorer();
    const kd_want wants_b = {.item = 1, .is_purchase = true};
    kd_unit first = unit_of(0, &wants_b, 1), second = unit_of(0, &wants_b, 1);
    event(s, 0, 1, true, NULL);
    publish(s, 0, "cb"); /* knows the unit's first event, must not judge its others */
    event(s, 0, 1, false, NULL);
    publish(s, 0, "bcd");
    event(s, 0, 1, true, &first); /* which had no list */
    assert_int_equal(kd_scorer_units(s)->unanswered, 1);
    publish(s, 0, "fgh");
    assert_int_equal(kd_scorer_unit(s, &second, NULL), KD_OK); /* judged by "bcd" */
    assert_int_equal(kd_scorer_units(s)->scored, 1);
    assert_true(mean(s, 0, KD_HIT_RATE, 0) == 1 && mean(s, 0, KD_MRR, 1) == 1);
    assert_true(kd_scorer_row(s, 0, KD_SEG_PURCHASES)[0] == 1);
    assert_true(kd_scorer_row(s, 0, KD_SEG_NEW)[0] == 1);
    assert_true(kd_scorer_row(s, 0, KD_SEG_KNOWN)[0] == 0);
    assert_true(kd_scorer_row(s, 0, KD_SEG_H1)[0] == 1);
    uint32_t n;
    const kd_part_sums *p = kd_scorer_parts(s, &n); /* 0.25 and 1.25, 2.25 against 1 */
    assert_int_equal(n, 2);
    assert_string_equal(p[0].name, "popularity");
    assert_int_equal(p[0].items, 3);
    assert_int_equal(p[0].hits, 1);
    assert_int_equal(p[1].items, 5);
    assert_int_equal(kd_scorer_listed(s), 6);
    assert_true(kd_scorer_lists(s)->followed == 2 && kd_scorer_lists(s)->churn == 1.0 / 3 + 1);
    kd_scorer_free(s);
}

static void test_counted_and_not_judged(void **unused)
{
    (void)unused;
    kd_scorer *s = new_scorer();
    const kd_want want = {.item = 2};
    kd_unit early = unit_of(0, &want, 1), empty = unit_of(0, NULL, 0);
    early.is_scored = false;
    event(s, 0, 1, true, NULL);
    assert_int_equal(kd_scorer_unit(s, &early, NULL), KD_OK);
    assert_int_equal(kd_scorer_unit(s, &empty, NULL), KD_OK);
    const kd_unit_counts *u = kd_scorer_units(s);
    assert_true(u->only_learnt == 1 && u->empty == 1 && u->scored == 0 && u->unanswered == 0);
    kd_update nonsense = {.items = (kd_item[]){{.item_id = {"zz", 2}}}, .n_items = 1};
    assert_int_equal(kd_scorer_publish(s, 0, &nonsense, NULL), KD_EBUG);
    kd_scorer_free(s);
}

static void test_segments_of_history(void **unused)
{
    (void)unused;
    const int64_t n[] = {1, 2, 3, 9, 10, 49, 50, 1000};
    const kd_segment want[] = {KD_SEG_H1,  KD_SEG_H1,  KD_SEG_H3,  KD_SEG_H3,
                               KD_SEG_H10, KD_SEG_H10, KD_SEG_H50, KD_SEG_H50};
    for (size_t k = 0; k < sizeof n / sizeof *n; k++)
        assert_int_equal(kd_segment_of_history(n[k]), want[k]);
}

/* Shopper k has k % 3 + 1 units with a list "abc"; he wants item `shift + (k * unit) % 5`. */
enum { SHOPPERS = KD_GROUPS + 1500 };

static kd_scorer *crowd(uint32_t shift, double *out_hits, double *out_units, double *out_by_shopper)
{
    kd_scorer *s = new_scorer();
    *out_hits = *out_units = *out_by_shopper = 0;
    for (uint32_t k = 0; k < SHOPPERS; k++) {
        event(s, k, 0, true, NULL);
        publish(s, k, "abc");
        uint32_t n = k % 3 + 1, own = 0;
        for (uint32_t i = 0; i < n; i++) {
            kd_want want = {.item = shift + k * (i + 1) % 5};
            kd_unit u = unit_of(k, &want, 1);
            event(s, k, want.item, true, NULL);
            assert_int_equal(kd_scorer_unit(s, &u, NULL), KD_OK);
            own += want.item < 3;
        }
        *out_hits += own;
        *out_units += n;
        *out_by_shopper += (double)own / n / SHOPPERS;
    }
    return s;
}

static void test_shoppers_who_share_groups(void **unused)
{
    (void)unused;
    double hits, units, by_shopper, sum[2] = {0}, own[2] = {0}, row[KD_ROW_MAX];
    kd_scorer *s = crowd(0, &hits, &units, &by_shopper);
    assert_int_equal(kd_scorer_groups(s), KD_GROUPS);
    for (uint32_t g = 0; g < KD_GROUPS; g++) {
        const double *r = kd_scorer_row(s, g, KD_SEG_ALL);
        sum[0] += r[0];
        sum[1] += r[kd_row_column(&cutoffs, KD_HIT_RATE, 1)];
        kd_scorer_by_shopper(s, g, row);
        own[0] += row[0];
        own[1] += row[kd_row_column(&cutoffs, KD_HIT_RATE, 1)];
    }
    assert_true(sum[0] == units && sum[1] == hits && own[0] == SHOPPERS);
    assert_true(fabs(own[1] / SHOPPERS - by_shopper) < 1e-9);
    kd_scorer_free(s);
}

static kd_compare *compare(kd_scorer *const *s, uint32_t n, bool backwards)
{
    kd_compare_options o = {.seed = 4, .resamples = 200, .permutations = 199, .workers = 2};
    kd_compare *c = NULL;
    assert_int_equal(kd_compare_new(&o, s, n, &c, NULL), KD_OK);
    uint32_t total = kd_compare_replicates(c);
    assert_int_equal(total, n > 1 ? 399 : 200);
    for (uint32_t r = 0; r < total; r++)
        kd_compare_replicate(c, backwards ? r % 2 : 0, backwards ? total - 1 - r : r);
    assert_int_equal(kd_compare_finish(c, NULL), KD_OK);
    return c;
}

static void test_verdicts(void **unused)
{
    (void)unused;
    double hits[2], units[2], by_shopper[2];
    kd_scorer *a = crowd(0, &hits[0], &units[0], &by_shopper[0]);
    kd_scorer *b = crowd(2, &hits[1], &units[1], &by_shopper[1]);
    kd_scorer *const three[] = {a, b, a};
    kd_compare *c = compare(three, 3, false), *again = compare(three, 3, true);
    const kd_verdict *v[3];
    for (uint32_t k = 0; k < 3; k++) {
        v[k] = kd_compare_verdict(c, k);
        assert_memory_equal(v[k], kd_compare_verdict(again, k), sizeof *v[k]);
        const kd_estimate *e = &v[k]->total[KD_HIT_RATE][1];
        assert_true(fabs(e->value - hits[k % 2] / units[k % 2]) < 1e-12);
        assert_true(e->low < e->value && e->value < e->high);
        assert_true(fabs(v[k]->by_shopper[KD_HIT_RATE][1].value - by_shopper[k % 2]) < 1e-9);
        double p = v[k]->total[KD_PRECISION][1].value, r = v[k]->total[KD_RECALL][1].value;
        assert_true(fabs(v[k]->f1_of_means[1].value - 2 * p * r / (p + r)) < 1e-12);
    }
    const kd_versus *worse = &v[1]->total_versus[KD_HIT_RATE][1];
    assert_true(worse->diff.high < 0 && fabs(worse->p - 1.0 / 200) < 1e-12);
    const kd_versus *same = &v[2]->total_versus[KD_HIT_RATE][1];
    assert_true(same->p == 1 && same->diff.low == 0 && same->diff.high == 0);
    assert_true(v[1]->segment_versus[KD_SEG_NEW][KD_HIT_RATE].p < 0.05);
    assert_true(v[1]->segment_versus[KD_SEG_NEW][KD_MAP].p < 0); /* is not tested */
    assert_int_equal(kd_compare_segment_units(c, KD_SEG_ALL), (int64_t)units[0]);
    assert_int_equal(kd_compare_shoppers(c), SHOPPERS);
    kd_estimate w = kd_compare_window(c, 0, 0, KD_HIT_RATE);
    assert_true(fabs(w.value - hits[0] / units[0]) < 1e-12 && w.low < w.value && w.value < w.high);
    kd_compare_free(c);
    kd_compare_free(again);
    kd_scorer_free(a);
    kd_scorer_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_before_the_unit),
        cmocka_unit_test(test_counted_and_not_judged),
        cmocka_unit_test(test_segments_of_history),
        cmocka_unit_test(test_shoppers_who_share_groups),
        cmocka_unit_test(test_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
