/* The blend against the oracle, after every record of random small worlds: parts, scores and order,
 * bit for bit; parts add up to the score; reasons say what is so; order of records does not show.
 */
#include "op/world.h"

#include "operators/content.h"
#include "operators/explain.h"
#include "operators/state.h"
#include "operators/trend.h"

enum { N_RECORDS = 60 };

static void random_options(kd_rng *rng, world_options *w)
{
    static const double weights[] = {0, 0.1, 0.5, 1, 2};
    memset(w, 0, sizeof *w);
    w->shoppers = 2 + (int)kd_rng_below(rng, 7);
    w->items = 2 + (int)kd_rng_below(rng, 10);
    w->times = 2 + (int)kd_rng_below(rng, 30);
    w->step_ms = kd_rng_below(rng, 2) == 0 ? 3600000 : 3 * KD_MS_DAY; /* days go by, or do not */
    w->forgets = kd_rng_below(rng, 3) == 0 ? 8 : 0;
    w->catalog = 25;
    w->has_texts = kd_rng_below(rng, 5) != 0;
    w->sessions = kd_rng_below(rng, 2) == 0 ? 0 : 1 + (int)kd_rng_below(rng, 4);
    oracle_options *o = &w->opt;
    *o = (oracle_options){.links_max = 3,
                          .idf_exponent = 1,
                          .overlap_min = 1,
                          .fill_weight = 0.001,
                          .vote_shared = 1,
                          .weight = {1, 1, 1, 1},
                          .is_blended = true};
    o->history_max = 1 + (int)kd_rng_below(rng, 8);
    o->purchases_max = (int)kd_rng_below(rng, 4);
    o->audience_max = 1 + (int)kd_rng_below(rng, 6);
    o->neighbours = 1 + (int)kd_rng_below(rng, 6);
    o->count = 1 + (int)kd_rng_below(rng, 8);
    o->exclude = (int)kd_rng_below(rng, 3);
    o->similarity = (int)kd_rng_below(rng, 3);
    o->fill = kd_rng_below(rng, 2) == 0;
    o->retention_ms =
        kd_rng_below(rng, 2) == 0 ? 0 : w->step_ms * (1 + (int64_t)kd_rng_below(rng, 20));
    o->usercf = weights[kd_rng_below(rng, 5)];
    o->together = weights[kd_rng_below(rng, 5)];
    o->content = weights[kd_rng_below(rng, 5)];
    o->popularity = weights[kd_rng_below(rng, 5)];
    o->popularity_new = weights[kd_rng_below(rng, 5)];
    o->new_ms = w->step_ms * (int64_t)kd_rng_below(rng, 30);
    o->few = weights[kd_rng_below(rng, 5)];
    o->popularity_known = 0.5 + (double)kd_rng_below(rng, 4);
    o->diversity = kd_rng_below(rng, 3) == 0 ? weights[kd_rng_below(rng, 4)] : 0;
    o->content_items = 1 + (int)kd_rng_below(rng, 4);
    o->content_neighbours = 1 + (int)kd_rng_below(rng, 5);
    o->together_audience = 1 + (int)kd_rng_below(rng, 5);
    o->together_within_ms = w->step_ms * (int64_t)kd_rng_below(rng, 4);
    o->trend_half_life_ms = KD_MS_DAY * (1 + (int64_t)kd_rng_below(rng, 9));
    o->category_max = (int)kd_rng_below(rng, 3);
    if (kd_rng_below(rng, 3) == 0) {
        o->boosted = "i1";
        o->boost = weights[kd_rng_below(rng, 5)];
    }
    if (kd_rng_below(rng, 4) == 0) { /* votes that are too small for a float */
        o->half_life_ms = w->step_ms / (1 + (int64_t)kd_rng_below(rng, 12));
        o->popularity = o->popularity_new = o->content = 0;
        o->count = 1 + (int)kd_rng_below(rng, 3);
    }
    if (kd_rng_below(rng, 8) == 0) { /* popularity that is nearly too small for one */
        o->usercf = o->together = o->content = o->popularity_new = 0;
        o->popularity = 1e-40;
    }
    if (kd_rng_below(rng, 5) == 0) { /* few shoppers with long histories */
        w->shoppers = 2 + (int)kd_rng_below(rng, 2);
        w->items = 5 + (int)kd_rng_below(rng, 40);
        w->times = 5 + (int)kd_rng_below(rng, 50);
        w->sessions = 0;
        o->history_max = 12 + (int)kd_rng_below(rng, 20);
        o->audience_max = 20;
        o->together = 1;
        o->usercf = o->popularity = 0.1;
        o->together_within_ms = w->step_ms * (1 + (int64_t)kd_rng_below(rng, 12));
        o->retention_ms = 0;
        return;
    }
    if (kd_rng_below(rng, 4) != 0)
        return;
    /* A shop of texts: short lists, for which what is in several lists of similar ones counts. */
    w->items = 20 + (int)kd_rng_below(rng, 20);
    w->catalog = 60;
    w->has_texts = true;
    o->history_max = 4 + (int)kd_rng_below(rng, 5);
    o->count = 1 + (int)kd_rng_below(rng, 2);
    o->usercf = o->popularity = 0.1;
    o->content = 1;
    o->content_items = 3 + (int)kd_rng_below(rng, 3);
    o->content_neighbours = 4 + (int)kd_rng_below(rng, 6);
    o->diversity = o->category_max = 0;
    o->boosted = NULL;
}

static void check_parts(const kd_item *it, const oracle_row *want)
{
    double sum = 0;
    for (int p = 0; p < KD_PARTS; p++)
        sum += it->parts[p];
    assert_true(sum == it->score);
    for (int p = 0; p < KD_PARTS; p++) {
        assert_true(kd_item_has(it, p) ==
                    (want->is_fill ? p == KD_PART_POPULARITY : want->part[p] != 0));
        double part = !want->is_fill ? want->part[p] : p == KD_PART_POPULARITY ? it->score : 0;
        assert_true(!kd_part_is_float(p) || it->parts[p] == (float)it->parts[p]);
        if (it->parts[p] != part)
            fail_msg("%s of %s: %.17g, the oracle says %.17g", kd_part_name((kd_part)p), want->id,
                     it->parts[p], part);
    }
}

/* What can be said without knowing the world: kinds, weightiest first, no shopper's name. */
static void check_reasons(const kd_item *it, int shoppers)
{
    assert_true(it->n_reasons > 0);
    for (uint32_t k = 0; k < it->n_reasons; k++) {
        const kd_why *why = &it->reasons[k];
        bool is_similar = why->kind == KD_KIND_SIMILAR_SHOPPERS;
        bool is_popular = why->kind == KD_KIND_POPULAR;
        bool is_terms = why->kind == KD_KIND_MATCHED_TERMS;
        bool is_own = why->kind == KD_KIND_YOUR_ITEM, is_both = why->kind == KD_KIND_TOGETHER;
        assert_true(is_similar || is_popular || is_terms || is_own || is_both);
        if (is_similar || is_popular || is_both)
            assert_in_range(why->count, 1, shoppers);
        if (is_own || is_both)
            assert_int_equal(why->n_ids, 1);
        if (is_terms)
            assert_in_range(why->n_ids, 1, 3);
        for (uint32_t j = 0; j < why->n_ids; j++)
            assert_true(is_terms || why->ids[j].p[0] == 'i');
    }
}

static bool is_listed(const kd_update *u, kd_str id)
{
    for (uint32_t k = 0; k < u->n_items; k++)
        if (kd_str_cmp(u->items[k].item_id, id) == 0)
            return true;
    return false;
}

/* True if the item is in I(v). */
static bool has_item(const kd_state *s, kd_str shopper, kd_str item)
{
    kd_entries e = kd_entries_of(&s->hist, kd_state_shopper(s, shopper));
    uint32_t at = kd_entries_rep(&e, kd_state_item(s, item));
    return at < e.n && at >= kd_history_begin(&e, s->opt.history_max);
}

/* Who voted for the k-th item, and what most of them share, from the explanation and histories. */
static void check_similar(const kd_state *s, const kd_explanation *x, uint32_t k, const kd_why *why)
{
    const kd_explained *it = &x->items[k];
    uint32_t most = 0, best = 0;
    assert_int_equal(why->count, it->n_given);
    for (uint32_t o = 0; o < x->n_own && o < 32; o++) {
        uint32_t n = 0;
        for (uint32_t g = 0; g < it->n_given && !is_listed(&x->list, x->own[o].item_id); g++)
            n += has_item(s, x->voters[it->given[g].voter].shopper_id, x->own[o].item_id);
        if (n > most) {
            most = n;
            best = o;
        }
    }
    assert_int_equal(why->n_ids, most > 0);
    if (most > 0)
        assert_int_equal(kd_str_cmp(why->ids[0], x->own[best].item_id), 0);
}

/* What the reasons say of similar shoppers is what an explanation of the same list shows. */
static void check_voters(const kd_recommender *r, const kd_query *q, const kd_update *got)
{
    kd_err err = {0};
    kd_explanation x;
    kd_arena *arena = kd_arena_new(0);
    assert_int_equal(kd_recommender_explain(r, q, arena, &x, &err), KD_OK);
    assert_int_equal(x.list.n_items, got->n_items);
    for (uint32_t k = 0; k < got->n_items; k++)
        for (uint32_t j = 0; j < got->items[k].n_reasons; j++)
            if (got->items[k].reasons[j].kind == KD_KIND_SIMILAR_SHOPPERS)
                check_similar(kd_recommender_state(r), &x, k, &got->items[k].reasons[j]);
    kd_arena_free(arena);
}

static void compare(const kd_recommender *r, kd_reader_space *space, kd_arena *arena,
                    const oracle *o, const world_options *w, const world_record *rec, kd_ms now)
{
    kd_err err = {0};
    kd_query q = {
        .shopper_id = kd_str_of(rec->shopper), .item_id = kd_str_of(rec->item), .time = now};
    kd_update got;
    static oracle_row want[ORACLE_ROWS];
    assert_int_equal(kd_recommender_answer(r, space, &q, arena, &got, NULL, &err), KD_OK);
    int n = oracle_list(o, rec->shopper, rec->item, now, want);
    if ((int)got.n_items != n)
        fail_msg("%s: %u items, the oracle says %d", rec->shopper, got.n_items, n);
    for (int k = 0; k < n; k++) {
        const kd_item *it = &got.items[k];
        if (kd_str_cmp(it->item_id, kd_str_of(want[k].id)) != 0)
            fail_msg("place %d: %.*s with %.17g, the oracle says %s with %.17g", k,
                     KD_STR_ARG(it->item_id), it->score, want[k].id, want[k].value);
        if (it->score != want[k].value)
            fail_msg("place %d: %s has %.17g, the oracle says %.17g", k, want[k].id, it->score,
                     want[k].value);
        check_parts(it, &want[k]);
        check_reasons(it, w->shoppers + w->sessions);
    }
    check_voters(r, &q, &got);
}

static void test_equals_oracle(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    for (int round = 0; round < 400; round++) {
        world_options w;
        random_options(&rng, &w);
        world_record rec[N_RECORDS];
        world_make(&rng, &w, rec, N_RECORDS);
        kd_recommender *r = world_recommender(&w);
        oracle *o = oracle_new(&w.opt);
        kd_arena *arena = kd_arena_new(0);
        kd_reader_space *space = NULL;
        kd_err err = {0};
        assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
        kd_ms now = world_start + w.times * w.step_ms;
        for (int k = 0; k < N_RECORDS; k++) {
            kd_applied applied;
            assert_int_equal(kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err), KD_OK);
            assert_int_equal(kd_recommender_prepare(r, &err), KD_OK);
            world_feed_oracle(o, &rec[k], applied.refused);
            const kd_state *s = kd_recommender_state(r);
            assert_true(kd_state_sane(s));
            if (s->trend != NULL)
                assert_true(kd_trend_sane(s->trend, &s->items));
            if (s->content != NULL)
                assert_true(kd_content_sane(s->content));
            if (rec[k].rec.type <= KD_PURCHASE)
                compare(r, space, arena, o, &w, &rec[k], now);
            kd_arena_reset(arena);
        }
        kd_arena_free(arena);
        kd_reader_space_free(space);
        kd_recommender_free(r);
        oracle_free(o);
    }
}

static void product(kd_recommender *r, const char *id, const char *title, bool is_available)
{
    kd_record rec;
    kd_applied applied;
    kd_record_init(&rec, KD_CATALOG);
    rec.item_id = kd_str_of(id);
    rec.title = kd_str_of(title);
    rec.available = is_available;
    rec.time = rec.ts = world_start;
    assert_int_equal(kd_recommender_apply(r, &rec, &applied, NULL), KD_OK);
}

/* Ten things are remembered of everybody, and a list has five. */
static world_options small_shop(int exclude, double content, double popularity, kd_ms new_ms)
{
    return (world_options){.has_texts = true,
                           .opt = {.overlap_min = 1,
                                   .vote_shared = 1,
                                   .fill_weight = 0.001,
                                   .weight = {1, 1, 1, 1},
                                   .history_max = 10,
                                   .purchases_max = 5,
                                   .audience_max = 10,
                                   .neighbours = 5,
                                   .count = 5,
                                   .exclude = exclude,
                                   .is_blended = true,
                                   .usercf = 1,
                                   .content = content,
                                   .popularity = popularity,
                                   .popularity_known = 1,
                                   .content_items = 3,
                                   .content_neighbours = 5,
                                   .together_audience = 5,
                                   .new_ms = new_ms,
                                   .trend_half_life_ms = KD_MS_DAY}};
}

/* The first event of an unknown shopper has an answer; a product is reachable from its first
 * catalogue record, before anybody has touched it. */
static void test_cold_start(void **unused)
{
    (void)unused;
    const world_options w = small_shop(ORACLE_SEEN, 1, 0.1, 0);
    kd_recommender *r = world_recommender(&w);
    kd_reader_space *space = NULL;
    kd_arena *arena = kd_arena_new(0);
    kd_err err = {0};
    kd_applied applied;
    assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
    static const char *const titles[] = {"oak desk", "red lamp", "red lamp 1.5m"};
    for (int k = 0; k < 3; k++) {
        char id[8];
        snprintf(id, sizeof id, "i%d", k);
        product(r, id, titles[k], true);
    }
    kd_record view;
    kd_record_init(&view, KD_BROWSE);
    view.user_id = kd_str_of("u0");
    view.item_id = kd_str_of("i1");
    view.time = view.ts = world_start;
    assert_int_equal(kd_recommender_apply(r, &view, &applied, &err), KD_OK);
    assert_int_equal(kd_recommender_prepare(r, &err), KD_OK);
    kd_query q = {.shopper_id = view.user_id, .item_id = view.item_id, .time = view.time};
    kd_update got;
    assert_int_equal(kd_recommender_answer(r, space, &q, arena, &got, NULL, &err), KD_OK);
    assert_int_equal(got.n_items, 1);
    assert_int_equal(kd_str_cmp(got.items[0].item_id, kd_str_of("i2")), 0);
    assert_true(got.items[0].parts[KD_PART_CONTENT] > 0);
    assert_int_equal(got.items[0].reasons[0].kind, KD_KIND_YOUR_ITEM);
    assert_int_equal(got.items[0].reasons[1].kind, KD_KIND_MATCHED_TERMS);
    assert_int_equal(got.items[0].reasons[1].n_ids, 2);
    kd_arena_free(arena);
    kd_reader_space_free(space);
    kd_recommender_free(r);
}

/* Six items that everybody has fill a list of five; a product that came just now, like the newest
 * item, is in it nevertheless, and one that may not be shown is not. */
static void test_new_product_is_reachable(void **unused)
{
    (void)unused;
    for (int is_on = 0; is_on < 2; is_on++) {
        const world_options w = small_shop(ORACLE_NONE, 0.1, 1, is_on * KD_MS_DAY);
        kd_recommender *r = world_recommender(&w);
        kd_reader_space *space = NULL;
        kd_arena *arena = kd_arena_new(0);
        kd_err err = {0};
        kd_applied applied;
        kd_record view;
        char id[8], who[8];
        assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
        product(r, "i0", "red lamp", true);
        for (int k = 0; k < 42; k++) {
            snprintf(who, sizeof who, "u%d", k / 7);
            snprintf(id, sizeof id, "i%d", 6 - k % 7);
            kd_record_init(&view, KD_BROWSE);
            view.user_id = kd_str_of(who);
            view.item_id = kd_str_of(id);
            view.time = view.ts = world_start + k;
            assert_int_equal(kd_recommender_apply(r, &view, &applied, &err), KD_OK);
        }
        product(r, "i7", "red lamp new", false);
        product(r, "i8", "lamp new", true);
        assert_int_equal(kd_recommender_prepare(r, &err), KD_OK);
        kd_query q = {.shopper_id = view.user_id, .item_id = view.item_id, .time = view.time};
        kd_update got;
        assert_int_equal(kd_recommender_answer(r, space, &q, arena, &got, NULL, &err), KD_OK);
        assert_int_equal(got.n_items, 5);
        bool is_last = kd_str_cmp(got.items[4].item_id, kd_str_of("i8")) == 0;
        assert_true(is_last == (is_on != 0));
        for (int k = 0; k < 4; k++) {
            assert_true(got.items[k].score >= got.items[k + 1].score);
            assert_true(got.items[k].item_id.p[1] < '7');
        }
        kd_arena_free(arena);
        kd_reader_space_free(space);
        kd_recommender_free(r);
    }
}

static void test_bad_rules(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"brand:acme",   "acme=2",       "brand:=2",  "item:x=-1",
                                      "category:/=2", "brand:a=1.5x", "item:x=nan"};
    kd_err err = {0};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        kd_opt_values v = {0};
        kd_recommender *r = NULL;
        assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
        world_set(&v, "rules.boost", "%s", bad[k]);
        assert_int_equal(kd_recommender_new(&v, &r, &err), KD_ECONFIG);
        assert_non_null(strstr(err.msg, "rules.boost"));
        kd_opt_values_dispose(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_oracle),
        cmocka_unit_test(test_cold_start),
        cmocka_unit_test(test_new_product_is_reachable),
        cmocka_unit_test(test_bad_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
