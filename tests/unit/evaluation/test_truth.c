/* truth.h: units, what is wanted in them, and what it was before; worked out by hand. The whole of
 * it is also held to a second program (tests/cli/test_backtest.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluation/truth.h"

#define T0 KD_MS_2000

typedef struct world {
    kd_truth *truth;
    kd_arena *arena;
    kd_note note;
} world;

static int set_up(void **state)
{
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->arena = kd_arena_new(0);
    assert_int_equal(kd_truth_new(&(kd_truth_options){.score_from = KD_MS_NONE}, &w->truth, NULL),
                     KD_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    kd_truth_free(w->truth);
    kd_arena_free(w->arena);
    free(w);
    return 0;
}

/* One record; action -1 is a forget request, -2 a catalogue record. */
static const kd_note *take(world *w, const char *who, const char *item, int action, kd_ms time,
                           const char *order)
{
    kd_record r;
    kd_record_init(&r, action == -1        ? KD_FORGET
                       : action == -2      ? KD_CATALOG
                       : action >= KD_PAID ? KD_PURCHASE
                                           : KD_BROWSE);
    r.action = action < 0 ? KD_VIEW : (kd_action)action;
    r.time = r.ts = T0 + time;
    r.user_id = kd_str_of(who);
    r.item_id = kd_str_of(item);
    r.order_id = kd_str_of(order);
    assert_int_equal(kd_truth_take(w->truth, &r, r.user_id, w->arena, &w->note, NULL), KD_OK);
    return &w->note;
}

static void test_units(void **state)
{
    world *w = *state;
    const kd_note *n = take(w, "ann", "a", KD_VIEW, 1, NULL);
    assert_true(n->is_event && n->starts_unit && n->is_new_shopper && n->is_first_contact);
    assert_null(n->closed);
    n = take(w, "ann", "b", KD_VIEW, 1, NULL); /* at one time: one unit */
    assert_false(n->starts_unit);
    n = take(w, "bob", "a", KD_VIEW, 1, NULL);
    assert_int_equal(n->shopper, 1);
    assert_int_equal(n->item, 0);
    n = take(w, "ann", "c", KD_PAID, 2, "o1");
    assert_true(n->starts_unit);
    assert_non_null(n->closed);
    assert_int_equal(n->closed->n_wants, 2);
    assert_int_equal(n->closed->n_before, 0);
    assert_int_equal(n->closed->n_events, 2);
    take(w, "bob", "d", KD_VIEW, 3, NULL);
    n = take(w, "ann", "d", KD_PAID, 9, "o1"); /* one basket, with bob in between */
    assert_false(n->starts_unit);
    n = take(w, "ann", "d", KD_PAID, 10, "o2");
    assert_int_equal(n->closed->n_wants, 2);
    assert_int_equal(n->closed->n_before, 2);
    assert_int_equal(n->closed->time, T0 + 2);
    const kd_unit *open;
    uint32_t n_open;
    assert_int_equal(kd_truth_end(w->truth, w->arena, &open, &n_open, NULL), KD_OK);
    assert_int_equal(n_open, 2);
    assert_int_equal(open[0].shopper, 0);
    assert_int_equal(open[0].n_before, 4);
    assert_int_equal(open[1].shopper, 1);
    assert_int_equal(kd_truth_shoppers(w->truth), 2);
    assert_int_equal(kd_truth_items(w->truth), 4);
}

/* What the open unit of the only shopper wants, as letters: n k r (new, known, re-buy). */
static void expect_kinds(world *w, const char *want)
{
    const kd_unit *open;
    uint32_t n_open;
    char got[16] = "";
    assert_int_equal(kd_truth_end(w->truth, w->arena, &open, &n_open, NULL), KD_OK);
    assert_int_equal(n_open, 1);
    for (uint32_t k = 0; k < open[0].n_wants; k++)
        got[k] = "nkr"[kd_want_kind(&open[0].wants[k])];
    assert_string_equal(got, want);
}

static void test_kinds(void **state)
{
    world *w = *state;
    take(w, "ann", "a", KD_VIEW, 1, NULL);
    expect_kinds(w, "n");
    take(w, "ann", "a", KD_PAID, 2, "o1");
    take(w, "ann", "b", KD_PAID, 2, "o1");
    take(w, "ann", "a", KD_PAID, 2, "o1"); /* twice in one basket is no re-buy */
    expect_kinds(w, "kn");
    take(w, "ann", "a", KD_VIEW, 3, NULL);
    expect_kinds(w, "k");
    take(w, "ann", "a", KD_PAID, 3, NULL); /* the same unit, and now it is one */
    expect_kinds(w, "r");
    take(w, "ann", "a", KD_CANCELLED, 4, NULL);
    expect_kinds(w, "");
    take(w, "ann", "a", KD_PAID, 5, NULL); /* given back, so bought for the first time again */
    take(w, "ann", "b", KD_PAID, 5, NULL);
    expect_kinds(w, "kr");
}

static void test_forgotten_is_new(void **state)
{
    world *w = *state;
    take(w, "ann", "a", KD_PAID, 1, NULL);
    const kd_note *n = take(w, "ann", NULL, -1, 2, NULL);
    assert_false(n->is_event);
    assert_non_null(n->closed);
    n = take(w, "ann", NULL, -1, 3, NULL);
    assert_null(n->closed);
    n = take(w, "ann", "a", KD_PAID, 4, NULL);
    assert_true(n->is_new_shopper && n->is_first_contact);
    assert_int_equal(n->shopper, 1);
    expect_kinds(w, "n");
    n = take(w, NULL, "z", -2, 5, NULL);
    assert_false(n->is_event);
    assert_int_equal(n->item, 1);
    assert_true(kd_str_eq(n->item_id, kd_str_of("z")));
}

static void test_a_unit_is_bounded(void **state)
{
    world *w = *state;
    char item[16];
    int closed = 0;
    for (int k = 0; k < 2 * KD_UNIT_MAX + 10; k++) {
        snprintf(item, sizeof item, "i%d", k);
        closed += take(w, "ann", item, KD_VIEW, 1, NULL)->closed != NULL;
    }
    assert_int_equal(closed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_units, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgotten_is_new, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_unit_is_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
