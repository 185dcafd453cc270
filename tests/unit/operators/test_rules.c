/* rules.h against a slow twin: thousands of rules, read one after the other for every item; items
 * come, go and come again in other slots between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "operators/recommender.h"
#include "operators/rules.h"

enum { ITEMS = 3000, BRANDS = 300, CATEGORIES = 40, RULES = 4000 };

static const double values[] = {0, 0.5, 1, 2, 4, 0.25}; /* products are exact in any order */

typedef struct product {
    bool is_here;
    int brand, category, below; /* -1 = none */
} product;

typedef struct world {
    kd_rng rng;
    kd_opt_values options;
    kd_rules *rules;
    kd_state *state; /* of content and items only */
    product product[ITEMS];
    int kind[RULES], name[RULES]; /* item, brand, category */
    double value[RULES];
    int64_t n_records;
} world;

static int below(world *w, int n)
{
    return (int)kd_rng_below(&w->rng, (uint64_t)n);
}

static void make_rules(world *w)
{
    static const char *const forms[] = {"item:p%d=%g", "brand:B %d = %g", "category:C%d=%g"};
    static const int most[] = {ITEMS, BRANDS, CATEGORIES};
    kd_buf text = {0};
    kd_err err = {0};
    for (int k = 0; k < RULES; k++) {
        w->kind[k] = below(w, 10) < 8 ? 0 : 1 + below(w, 2);
        w->name[k] = below(w, most[w->kind[k]]);
        w->value[k] = values[below(w, sizeof values / sizeof *values)];
        kd_buf_adds(&text, k == 0 ? "" : below(w, 2) == 0 ? ";" : " ; ");
        kd_buf_addf(&text, forms[w->kind[k]], w->name[k], w->value[k]);
    }
    kd_buf_addc(&text, '\0');
    assert_int_equal(kd_opt_values_add(&w->options, kd_recommender_opts(), &err), KD_OK);
    assert_int_equal(kd_opt_set(&w->options, "rules.boost", text.p, "test", &err), KD_OK);
    assert_int_equal(kd_rules_of(&w->options, &w->rules, &err), KD_OK);
    kd_buf_dispose(&text);
}

static double twin(const world *w, int item)
{
    const product *p = &w->product[item];
    double factor = 1;
    for (int k = 0; k < RULES; k++) {
        bool fits = w->kind[k] == 0   ? w->name[k] == item
                    : w->kind[k] == 1 ? p->is_here && w->name[k] == p->brand
                                      : p->is_here && w->name[k] == p->category;
        factor *= fits ? w->value[k] : 1;
    }
    return factor;
}

static void set_product(world *w, kd_recommender *r, int item)
{
    product *p = &w->product[item];
    kd_record rec;
    kd_err err = {0};
    kd_applied done;
    char id[16], brand[16], category[32], title[16];
    kd_record_init(&rec, KD_CATALOG);
    p->is_here = below(w, 4) != 0;
    p->brand = below(w, BRANDS);
    p->category = below(w, CATEGORIES);
    snprintf(id, sizeof id, "p%d", item);
    snprintf(brand, sizeof brand, "b %d", p->brand); /* folded as the rule's is */
    snprintf(category, sizeof category, "c%d%s", p->category, below(w, 2) == 0 ? "" : " > more");
    snprintf(title, sizeof title, "word%d", below(w, 100));
    rec.item_id = kd_str_of(id);
    rec.title = kd_str_of(title);
    rec.brand = kd_str_of(brand);
    rec.category = kd_str_of(category);
    rec.available = true;
    rec.removed = !p->is_here;
    rec.time = rec.ts = 1700000000000 + ++w->n_records;
    rec.pos = (kd_pos){"test", 0, w->n_records};
    assert_int_equal(kd_recommender_apply(r, &rec, &done, &err), KD_OK);
}

static void test_equals_twin(void **unused)
{
    (void)unused;
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 5 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    static world w;
    kd_err err = {0};
    kd_recommender *r = NULL;
    kd_rng_init(&w.rng, seed);
    make_rules(&w);
    assert_int_equal(kd_opt_set(&w.options, "content", "on", "test", &err), KD_OK);
    assert_int_equal(kd_opt_set(&w.options, "blend", "on", "test", &err), KD_OK);
    assert_int_equal(kd_opt_set(&w.options, "content.drift", "1", "test", &err), KD_OK);
    assert_int_equal(kd_recommender_new(&w.options, &r, &err), KD_OK);
    const kd_state *s = kd_recommender_state(r);
    int compared = 0, other = 0;
    for (int round = 0; round < 4; round++) {
        for (int k = 0; k < ITEMS / 2; k++)
            set_product(&w, r, below(&w, ITEMS));
        for (int k = 0; k < ITEMS; k++) {
            char id[16];
            snprintf(id, sizeof id, "p%d", k);
            uint32_t slot = kd_ids_find(&s->items, kd_str_of(id), kd_ids_hash(kd_str_of(id)));
            if (slot == KD_NO_SLOT)
                continue;
            double want = twin(&w, k), got = kd_rules_factor(w.rules, s, slot);
            if (got != want)
                fail_msg("p%d in round %d: %g, not %g", k, round, got, want);
            compared++;
            other += want != 1;
        }
    }
    assert_true(compared > ITEMS && other > compared / 2);
    kd_rules_free(w.rules);
    kd_recommender_free(r);
    kd_opt_values_dispose(&w.options);
}

static void test_a_bad_one_is_named(void **unused)
{
    (void)unused;
    kd_opt_values v = {0};
    kd_err err = {0};
    kd_rules *r = NULL;
    char text[700] = "item:a=1; item:";
    memset(text + strlen(text), 'y', 600);
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    assert_int_equal(kd_opt_set(&v, "rules.boost", text, "shop.yaml:7:3", &err), KD_OK);
    assert_int_equal(kd_rules_of(&v, &r, &err), KD_ECONFIG);
    assert_string_equal(err.where, "shop.yaml:7:3");
    assert_non_null(strstr(err.msg, "\"item:yyy"));
    assert_non_null(strstr(err.msg, "FACTOR from 0 to 1000")); /* is not cut off */
    kd_opt_values_dispose(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_twin),
        cmocka_unit_test(test_a_bad_one_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
