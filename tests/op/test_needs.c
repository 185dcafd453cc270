/* Shoppers' needs: the profile against sums written out by hand, ages and actions included; what is
 * published, and when it is taken back. */
#include "op/world.h"

#include <math.h>

#include "operators/content.h"
#include "operators/state.h"

static kd_recommender *make(void)
{
    kd_opt_values v = {0};
    kd_err err = {0};
    kd_recommender *r = NULL;
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    world_set(&v, "content", "on");
    world_set(&v, "content.language", "none");
    world_set(&v, "needs.count", "3");
    world_set(&v, "needs.half-life", "10d");
    world_set(&v, "needs.weight.purchase", "4");
    if (kd_recommender_new(&v, &r, &err) != KD_OK)
        fail_msg("%s", err.msg);
    kd_opt_values_dispose(&v);
    return r;
}

static void product(kd_recommender *r, const char *id, const char *title, const char *category,
                    const char *brand)
{
    kd_record rec;
    kd_applied applied;
    kd_record_init(&rec, KD_CATALOG);
    rec.item_id = kd_str_of(id);
    rec.title = kd_str_of(title);
    rec.category = kd_str_of(category);
    rec.brand = kd_str_of(brand);
    rec.time = rec.ts = world_start;
    assert_int_equal(kd_recommender_apply(r, &rec, &applied, NULL), KD_OK);
}

static void event(kd_recommender *r, const char *shopper, const char *item, kd_action action,
                  kd_ms time)
{
    kd_record rec;
    kd_applied applied;
    kd_record_init(&rec, action >= KD_PAID ? KD_PURCHASE : KD_BROWSE);
    rec.user_id = kd_str_of(shopper);
    rec.item_id = kd_str_of(item);
    rec.action = action;
    rec.time = rec.ts = time;
    assert_int_equal(kd_recommender_apply(r, &rec, &applied, NULL), KD_OK);
}

static kd_needs needs_of(const kd_recommender *r, kd_reader_space *space, kd_arena *arena,
                         kd_ms now)
{
    kd_needs x;
    kd_err err = {0};
    kd_query q = {.shopper_id = kd_str_of("ann"), .time = now};
    if (kd_recommender_needs(r, space, &q, arena, &x, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return x;
}

static void check(const kd_need *got, const char *name, double weight)
{
    assert_true(kd_str_eq(got->name, kd_str_of(name)));
    if (fabs(got->weight - weight) > 1e-12)
        fail_msg("%s: %.17g, %.17g is right", name, got->weight, weight);
}

static void test_by_hand(void **unused)
{
    (void)unused;
    kd_recommender *r = make();
    kd_reader_space *space = NULL;
    kd_arena *arena = kd_arena_new(0);
    assert_int_equal(kd_reader_space_new(r, &space, NULL), KD_OK);
    product(r, "desk", "oak desk", "home > desks", "acme");
    product(r, "lamp", "oak lamp lamp", "home", NULL);
    product(r, "ball", "ball", NULL, "acme");
    const kd_ms now = world_start + 20 * KD_MS_DAY;
    assert_int_equal(needs_of(r, space, arena, now).n_terms, 0); /* nobody yet */
    event(r, "ann", "desk", KD_PAID, now - 10 * KD_MS_DAY);      /* 4 / 2 */
    event(r, "ann", "lamp", KD_VIEW, now);                       /* 1 */
    event(r, "ann", "ball", KD_PAID, now);
    event(r, "ann", "ball", KD_CANCELLED, now); /* not live */
    event(r, "ann", "unknown", KD_VIEW, now);   /* no text */
    kd_needs x = needs_of(r, space, arena, now);
    /* n = 3: two of three documents have oak, home and acme, one has the others */
    double two = log(4.0 / 3) + 1, one = log(4.0 / 2) + 1;
    double desk = sqrt(3 * two * two + 2 * one * one); /* oak, home, acme; desk, home > desks */
    double lamp = sqrt(two * two + two * two + 4 * one * one); /* oak, home; lamp twice */
    assert_int_equal(x.products, 2);
    assert_int_equal(x.n_terms, 3);
    check(&x.terms[0], "oak", (2 * two / desk + two / lamp) / 3);
    check(&x.terms[1], "desk", 2 * one / desk / 3);
    check(&x.terms[2], "lamp", 2 * one / lamp / 3);
    assert_int_equal(x.n_categories, 2);
    check(&x.categories[0], "home", (2 * two / desk + two / lamp) / 3);
    check(&x.categories[1], "home > desks", 2 * one / desk / 3);
    assert_int_equal(x.n_brands, 1);
    check(&x.brands[0], "acme", 2 * two / desk / 3);
    kd_reader_space_free(space);
    kd_arena_free(arena);
    kd_recommender_free(r);
}

static void test_numbers_are_no_needs(void **unused)
{
    (void)unused;
    kd_recommender *r = make();
    kd_reader_space *space = NULL;
    kd_arena *arena = kd_arena_new(0);
    assert_int_equal(kd_reader_space_new(r, &space, NULL), KD_OK);
    product(r, "pump", "10 1,5 2024 m3 \xE6\xB3\xB5", NULL, NULL);
    event(r, "ann", "pump", KD_VIEW, world_start);
    kd_needs x = needs_of(r, space, arena, world_start);
    assert_int_equal(x.n_terms, 2);
    assert_true(kd_str_eq(x.terms[0].name, kd_str_of("m3")));
    assert_true(kd_str_eq(x.terms[1].name, kd_str_of("\xE6\xB3\xB5")));
    kd_arena_free(arena);
    kd_reader_space_free(space);
    kd_recommender_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand),
                                       cmocka_unit_test(test_numbers_are_no_needs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
