/* The user-CF engine against the oracle, after every record of random small worlds (S2), and the
 * state digest under shuffling and duplication (S1), forgetting (S4). */
#include "op/world.h"

#include <math.h>

#include "operators/explain.h"
#include "operators/state.h"

enum { N_RECORDS = 60 };

/* Caps bind: histories, purchases, audiences, neighbours and lists of one or two are common. */
static void random_options(kd_rng *rng, world_options *w)
{
    memset(w, 0, sizeof *w);
    w->shoppers = 2 + (int)kd_rng_below(rng, 7);
    w->items = 2 + (int)kd_rng_below(rng, 8);
    w->times = 2 + (int)kd_rng_below(rng, 30);
    w->step_ms = 3600000;
    w->forgets = kd_rng_below(rng, 3) == 0 ? 8 : 0;
    w->catalog = kd_rng_below(rng, 3) == 0 ? 8 : 0;
    oracle_options *o = &w->opt;
    o->history_max = 1 + (int)kd_rng_below(rng, 6);
    o->purchases_max = (int)kd_rng_below(rng, 4);
    o->audience_max = 1 + (int)kd_rng_below(rng, 5);
    o->neighbours = 1 + (int)kd_rng_below(rng, 5);
    o->count = 1 + (int)kd_rng_below(rng, 6);
    o->exclude = (int)kd_rng_below(rng, 3);
    o->similarity = (int)kd_rng_below(rng, 5);
    w->sessions = kd_rng_below(rng, 2) == 0 ? 0 : 1 + (int)kd_rng_below(rng, 4);
    w->active = (int)kd_rng_below(rng, 5); /* fewer places than shoppers, and none */
    w->active_bytes = kd_rng_below(rng, 3) == 0 ? 1500 : 1 << 20;
    o->links_max = (int)kd_rng_below(rng, 4);
    o->idf_exponent = (double)kd_rng_below(rng, 5) / 2;
    o->idf_score = kd_rng_below(rng, 3) == 0 ? 5 : 0;
    o->idf_shared = kd_rng_below(rng, 3) == 0 ? 2.5 : 0;
    o->vsknn_weight = (int)kd_rng_below(rng, 5);
    o->vsknn_decay = (int)kd_rng_below(rng, 5);
    o->stan_recency = kd_rng_below(rng, 3) == 0 ? 0 : 1.02;
    o->stan_distance = kd_rng_below(rng, 3) == 0 ? 0 : 2.05;
    o->stan_age_ms = kd_rng_below(rng, 3) == 0 ? 0 : 5 * w->step_ms;
    o->vote_recency = kd_rng_below(rng, 3) == 0 ? 1.5 : 0;
    o->vote_after = kd_rng_below(rng, 3) == 0 ? 3 : 0;
    o->vote_before = kd_rng_below(rng, 3) == 0 ? 1.2 : 0;
    o->vote_shared = kd_rng_below(rng, 3) == 0 ? (double)kd_rng_below(rng, 3) / 4 : 1;
    o->window_ms = kd_rng_below(rng, 4) == 0 ? 4 * w->step_ms : 0;
    o->exclude_for_ms = kd_rng_below(rng, 3) == 0 ? 3 * w->step_ms : 0;
    o->overlap_min = 1 + (int)(kd_rng_below(rng, 4) == 0);
    o->fill = kd_rng_below(rng, 2) == 0;
    o->fill_weight = 0.001;
    o->retention_ms =
        kd_rng_below(rng, 2) == 0 ? 0 : w->step_ms * (1 + (int64_t)kd_rng_below(rng, 20));
    bool is_weighted = kd_rng_below(rng, 3) == 0;
    for (int a = 0; a < 4; a++)
        o->weight[a] = is_weighted ? (double)kd_rng_below(rng, 5) / 2 : 1;
    o->half_life_ms = kd_rng_below(rng, 4) == 0 ? w->step_ms * 3 : 0;
}

typedef struct reader {
    const kd_recommender *r;
    kd_reader_space *space;
    kd_arena *arena;
} reader;

static void compare_neighbours(const reader *x, const oracle *o, const char *shopper, kd_ms now)
{
    kd_err err = {0};
    kd_query q = {.shopper_id = kd_str_of(shopper), .time = now};
    kd_similar got;
    oracle_row want[ORACLE_ROWS];
    assert_int_equal(kd_recommender_neighbours(x->r, x->space, &q, x->arena, &got, &err), KD_OK);
    int n = oracle_neighbours(o, shopper, now, want);
    assert_int_equal(got.n_neighbours, n);
    for (int k = 0; k < n; k++) {
        assert_int_equal(kd_str_cmp(got.neighbours[k].shopper_id, kd_str_of(want[k].id)), 0);
        assert_true(got.neighbours[k].similarity == want[k].value);
        assert_true(want[k].value > 0 && want[k].value <= 1);
    }
}

static void compare_list(const reader *x, const oracle *o, const char *shopper, const char *item,
                         kd_ms now)
{
    kd_err err = {0};
    kd_query q = {.shopper_id = kd_str_of(shopper), .item_id = kd_str_of(item), .time = now};
    kd_update got;
    oracle_row want[ORACLE_ROWS];
    assert_int_equal(kd_recommender_answer(x->r, x->space, &q, x->arena, &got, NULL, &err), KD_OK);
    int n = oracle_list(o, shopper, item, now, want);
    if ((int)got.n_items != n)
        fail_msg("%s: %u items, the oracle says %d", shopper, got.n_items, n);
    for (int k = 0; k < n; k++) {
        const kd_item *it = &got.items[k];
        if (kd_str_cmp(it->item_id, kd_str_of(want[k].id)) != 0)
            fail_msg("place %d: %.*s, the oracle says %s", k, KD_STR_ARG(it->item_id), want[k].id);
        if (it->score != want[k].value) /* same sums in the same order: the same bits */
            fail_msg("place %d: %s has %.17g, the oracle says %.17g", k, want[k].id, it->score,
                     want[k].value);
        const kd_part part = want[k].is_fill ? KD_PART_POPULARITY : KD_PART_USERCF;
        assert_true(it->parts[part] == it->score && it->has == 1u << part);
    }
}

/* An explanation is the answer, and its votes are the scores to the bit. */
static void compare_explanation(const reader *x, const char *shopper, const char *item, kd_ms now)
{
    kd_err err = {0};
    kd_query q = {.shopper_id = kd_str_of(shopper), .item_id = kd_str_of(item), .time = now};
    kd_update want;
    kd_similar near;
    kd_explanation got;
    assert_int_equal(kd_recommender_answer(x->r, x->space, &q, x->arena, &want, &near, &err),
                     KD_OK);
    assert_int_equal(kd_recommender_explain(x->r, &q, x->arena, &got, &err), KD_OK);
    assert_int_equal(got.list.n_items, want.n_items);
    assert_int_equal(got.n_voters, near.n_neighbours);
    for (uint32_t k = 0; k < got.n_voters; k++) {
        assert_true(kd_str_eq(got.voters[k].shopper_id, near.neighbours[k].shopper_id));
        assert_true(got.voters[k].similarity == near.neighbours[k].similarity);
        assert_true(got.voters[k].n_shared >= 1);
        assert_true(got.voters[k].n_shared <= got.voters[k].n_items);
    }
    for (uint32_t k = 0; k < got.n_own; k++)
        assert_true(got.own[k].time != KD_MS_NONE && got.own[k].action != KD_CANCELLED);
    for (uint32_t k = 0; k < want.n_items; k++) {
        double sum = 0;
        for (uint32_t j = 0; j < got.items[k].n_given; j++) {
            assert_true(j == 0 || got.items[k].given[j - 1].voter < got.items[k].given[j].voter);
            sum += got.items[k].given[j].vote;
        }
        assert_true(kd_str_eq(got.list.items[k].item_id, want.items[k].item_id));
        if (kd_item_has(&want.items[k], KD_PART_USERCF))
            assert_true(sum * got.items[k].factor == want.items[k].parts[KD_PART_USERCF]);
        else
            assert_int_equal(got.items[k].n_given, 0);
    }
}

static void test_equals_oracle(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed());
    kd_err err = {0};
    for (int round = 0; round < 400; round++) {
        world_options w;
        random_options(&rng, &w);
        world_record rec[N_RECORDS];
        world_make(&rng, &w, rec, N_RECORDS);
        kd_recommender *r = world_recommender(&w);
        oracle *o = oracle_new(&w.opt);
        reader x = {.r = r, .arena = kd_arena_new(0)};
        assert_int_equal(kd_reader_space_new(r, &x.space, &err), KD_OK);
        for (int k = 0; k < N_RECORDS; k++) {
            kd_applied applied;
            assert_int_equal(kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err), KD_OK);
            world_feed_oracle(o, &rec[k], applied.refused);
            if (kd_rng_below(&rng, 3) == 0) /* who is active is seen to when an epoch ends */
                assert_int_equal(kd_recommender_prepare(r, &err), KD_OK);
            assert_true(kd_state_sane(kd_recommender_state(r)));
            assert_int_equal(kd_recommender_state(r)->n_entries, oracle_entries(o));
            for (int u = 0; u < w.shoppers + w.sessions; u++) {
                char shopper[16];
                snprintf(shopper, sizeof shopper, u < w.shoppers ? "u%d" : "s%d",
                         u < w.shoppers ? u : u - w.shoppers);
                compare_neighbours(&x, o, shopper, rec[k].rec.time);
                compare_list(&x, o, shopper, rec[k].item, rec[k].rec.time);
                if (k % 40 == u)
                    compare_explanation(&x, shopper, rec[k].item, rec[k].rec.time);
            }
            kd_arena_reset(x.arena);
        }
        kd_reader_space_free(x.space);
        kd_arena_free(x.arena);
        oracle_free(o);
        kd_recommender_free(r);
    }
}

static kd_digest digest_of(const world_options *w, world_record *rec, int n)
{
    kd_recommender *r = world_recommender(w);
    kd_err err = {0};
    for (int k = 0; k < n; k++) {
        kd_applied applied;
        assert_int_equal(kd_recommender_apply(r, world_rec(&rec[k]), &applied, &err), KD_OK);
    }
    assert_true(kd_state_sane(kd_recommender_state(r)));
    kd_digest d = kd_recommender_digest(r);
    kd_recommender_free(r);
    return d;
}

/* S1: any order, any duplication, the same digest. */
static void test_order_does_not_matter(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed() + 1);
    for (int round = 0; round < 400; round++) {
        world_options w;
        random_options(&rng, &w);
        world_record rec[2 * N_RECORDS];
        int n = 6 + (int)kd_rng_below(&rng, N_RECORDS - 6);
        world_make(&rng, &w, rec, n);
        kd_digest want = digest_of(&w, rec, n);
        for (int again = 0; again < 6; again++) {
            int m = n; /* duplicates first, then a shuffle of all */
            for (int k = 0; k < n; k++)
                if (kd_rng_below(&rng, 3) == 0)
                    rec[m++] = rec[k];
            for (int k = m - 1; k > 0; k--) {
                int j = (int)kd_rng_below(&rng, (uint64_t)k + 1);
                world_record t = rec[k];
                rec[k] = rec[j];
                rec[j] = t;
            }
            kd_digest got = digest_of(&w, rec, m);
            assert_true(kd_digest_eq(got, want));
            /* Drop the duplicates again: any set that covers the records will do. */
            int kept = 0;
            for (int k = 0; k < m; k++) {
                bool is_there = false;
                for (int j = 0; j < kept; j++)
                    is_there |= rec[j].rec.pos.offset == rec[k].rec.pos.offset;
                if (!is_there)
                    rec[kept++] = rec[k];
            }
            assert_int_equal(kept, n);
        }
    }
}

/* What forgetting u0 does to the sessions it was named with, asked for one by one: each up to the
 * latest record that names both. */
static void forget_sessions(kd_recommender *r, const world_options *w, const world_record *rec,
                            const world_record *forget)
{
    for (int s = 0; s < w->sessions; s++) {
        world_record x = *forget;
        snprintf(x.shopper, sizeof x.shopper, "s%d", s);
        x.rec.time = KD_MS_NONE;
        for (int k = 0; k < N_RECORDS; k++)
            if (rec[k].rec.type != KD_CATALOG && strcmp(rec[k].shopper, "u0") == 0 &&
                strcmp(rec[k].session, x.shopper) == 0 && rec[k].rec.time > x.rec.time)
                x.rec.time = rec[k].rec.time;
        kd_applied applied;
        kd_err err = {0};
        if (x.rec.time != KD_MS_NONE)
            assert_int_equal(kd_recommender_apply(r, world_rec(&x), &applied, &err), KD_OK);
    }
}

/* S4: after a forget, lists equal those of a run that never saw the shopper. */
static void test_forget_leaves_nothing(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed() + 2);
    for (int round = 0; round < 300; round++) {
        world_options w;
        random_options(&rng, &w);
        w.forgets = 0;
        world_record rec[N_RECORDS + 1];
        world_make(&rng, &w, rec, N_RECORDS);
        world_record *forget = &rec[N_RECORDS];
        memset(forget, 0, sizeof *forget);
        kd_record_init(&forget->rec, KD_FORGET);
        snprintf(forget->shopper, sizeof forget->shopper, "u0");
        forget->rec.time = forget->rec.ts = world_start + w.step_ms * w.times;
        int at = (int)kd_rng_below(&rng, N_RECORDS); /* late records come after it */
        kd_recommender *a = world_recommender(&w), *b = world_recommender(&w);
        kd_err err = {0};
        kd_applied applied;
        for (int k = 0; k <= N_RECORDS; k++) {
            if (k == at) {
                assert_int_equal(kd_recommender_apply(a, world_rec(forget), &applied, &err), KD_OK);
                forget_sessions(b, &w, rec, forget);
                assert_int_equal(kd_recommender_apply(b, world_rec(forget), &applied, &err), KD_OK);
                assert_true(applied.is_forget);
                assert_int_equal(applied.receipt.interactions, 0);
            }
            if (k == N_RECORDS)
                break;
            const kd_record *x = world_rec(&rec[k]);
            bool is_hers = x->type != KD_CATALOG && strcmp(rec[k].shopper, "u0") == 0;
            assert_int_equal(kd_recommender_apply(a, x, &applied, &err), KD_OK);
            assert_true(applied.refused || !is_hers || k < at);
            if (!is_hers)
                assert_int_equal(kd_recommender_apply(b, x, &applied, &err), KD_OK);
        }
        assert_true(kd_digest_eq(kd_recommender_digest(a), kd_recommender_digest(b)));
        assert_int_equal(kd_recommender_state(a)->n_shoppers, kd_recommender_state(b)->n_shoppers);
        assert_true(kd_state_shopper(kd_recommender_state(a), kd_str_of("u0")) == KD_NO_SLOT);
        kd_recommender_free(a);
        kd_recommender_free(b);
    }
}

/* A question about somebody unknown is answered as if he were here, where no audience is capped. */
static void test_ask_equals_answer(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed() + 3);
    kd_err err = {0};
    for (int round = 0; round < 300; round++) {
        world_options w;
        random_options(&rng, &w);
        w.forgets = 0;
        w.opt.audience_max = 1000;
        w.opt.purchases_max = 1000;
        w.opt.retention_ms = 0;
        w.opt.fill = false; /* popularity counts him, of course, and so does IDF */
        w.opt.idf_score = w.opt.idf_shared = 0;
        if (w.opt.similarity == ORACLE_IDF_COSINE)
            w.opt.similarity = ORACLE_COSINE;
        w.sessions = 0;
        bool has_steps = w.opt.similarity >= ORACLE_VSKNN || w.opt.vote_recency > 0;
        if (has_steps) /* then each event of a question is a step, and must be one in I(u) */
            w.opt.history_max = N_RECORDS;
        world_record rec[N_RECORDS];
        world_make(&rng, &w, rec, N_RECORDS);
        kd_recommender *with = world_recommender(&w), *without = world_recommender(&w);
        kd_interaction his[N_RECORDS];
        uint32_t n = 0;
        for (int k = 0; k < N_RECORDS; k++) {
            kd_applied applied;
            const kd_record *x = world_rec(&rec[k]);
            bool is_step = x->action != KD_CANCELLED;
            for (uint32_t j = 0; j < n; j++)
                is_step &= !kd_str_eq(his[j].item_id, x->item_id);
            if (has_steps && strcmp(rec[k].shopper, "u0") == 0 && !is_step)
                continue;
            assert_int_equal(kd_recommender_apply(with, x, &applied, &err), KD_OK);
            if (x->type != KD_CATALOG && strcmp(rec[k].shopper, "u0") == 0)
                his[n++] = (kd_interaction){x->item_id, x->action, x->time};
            else
                assert_int_equal(kd_recommender_apply(without, x, &applied, &err), KD_OK);
        }
        kd_reader_space *a, *b;
        kd_arena *arena = kd_arena_new(0);
        assert_int_equal(kd_reader_space_new(with, &a, &err), KD_OK);
        assert_int_equal(kd_reader_space_new(without, &b, &err), KD_OK);
        kd_ms now = world_start + w.step_ms * w.times;
        kd_query q = {.shopper_id = kd_str_of("u0"), .time = now};
        q.item_id = n == 0 || w.opt.exclude == ORACLE_NONE ? KD_STR_NULL : his[n - 1].item_id;
        kd_update want, got;
        kd_similar near, near_got;
        assert_int_equal(kd_recommender_answer(with, a, &q, arena, &want, NULL, &err), KD_OK);
        assert_int_equal(kd_recommender_neighbours(with, a, &q, arena, &near, &err), KD_OK);
        for (int again = 0; again < 2; again++) { /* the first question taught nothing */
            assert_int_equal(
                kd_recommender_ask(without, b, his, n, now, arena, &got, &near_got, &err), KD_OK);
            assert_int_equal(near_got.n_neighbours, near.n_neighbours);
            for (uint32_t k = 0; k < near.n_neighbours; k++) {
                assert_true(
                    kd_str_eq(near_got.neighbours[k].shopper_id, near.neighbours[k].shopper_id));
                assert_true(near_got.neighbours[k].similarity == near.neighbours[k].similarity);
            }
            assert_int_equal(got.n_items, want.n_items);
            for (uint32_t k = 0; k < want.n_items; k++) {
                assert_true(kd_str_eq(got.items[k].item_id, want.items[k].item_id));
                assert_true(got.items[k].score == want.items[k].score);
            }
        }
        kd_reader_space_free(a);
        kd_reader_space_free(b);
        kd_arena_free(arena);
        kd_recommender_free(with);
        kd_recommender_free(without);
    }
}

static void browse(kd_recommender *r, const char *shopper, const char *item, kd_ms time)
{
    kd_err err = {0};
    kd_applied applied;
    kd_record rec;
    kd_record_init(&rec, KD_BROWSE);
    rec.user_id = kd_str_of(shopper);
    rec.item_id = kd_str_of(item);
    rec.time = rec.ts = time;
    assert_int_equal(kd_recommender_apply(r, &rec, &applied, &err), KD_OK);
}

enum { OTHERS = 300, MANY_ITEMS = 12, MANY_TIMES = 20 };

typedef struct other {
    char id[16];
    uint32_t items; /* bit i: of I(v) */
    kd_ms last;
    uint32_t over, under; /* its similarity to u0, or, of the cosine, the square, as a fraction */
} other;

static int by_nearness(const void *pa, const void *pb)
{
    const other *a = pa, *b = pb;
    const uint32_t left = a->over * b->under, right = b->over * a->under;
    if (left != right)
        return left < right ? 1 : -1;
    if (a->last != b->last)
        return a->last < b->last ? 1 : -1;
    return -strcmp(a->id, b->id);
}

static void others_browse(kd_rng *rng, kd_recommender *r, other *others)
{
    for (int f = 0; f < OTHERS; f++) {
        others[f] = (other){.last = KD_MS_NONE};
        snprintf(others[f].id, sizeof others[f].id, "u%d", f);
        for (int k = 1 + (int)kd_rng_below(rng, 6); k > 0; k--) {
            const uint32_t i = (uint32_t)kd_rng_below(rng, MANY_ITEMS);
            const kd_ms time = world_start + (kd_ms)kd_rng_below(rng, MANY_TIMES);
            char item[16];
            snprintf(item, sizeof item, "i%u", i);
            browse(r, others[f].id, item, time);
            others[f].items |= 1u << i;
            others[f].last = time > others[f].last ? time : others[f].last;
        }
    }
}

static void compare_others(bool is_cosine, other *others)
{
    const uint32_t own = others[0].items, a = (uint32_t)__builtin_popcount(own);
    for (int f = 0; f < OTHERS; f++) {
        const uint32_t b = (uint32_t)__builtin_popcount(others[f].items);
        const uint32_t both = f == 0 ? 0 : (uint32_t)__builtin_popcount(own & others[f].items);
        others[f].over = is_cosine ? both * both : both;
        others[f].under = is_cosine ? a * b : a + b - both;
    }
    qsort(others, OTHERS, sizeof *others, by_nearness);
}

/* Hundreds of neighbours, many of them as near as others, and as recent. */
static void test_many_neighbours(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, world_seed() + 4);
    for (int round = 0; round < 60; round++) {
        const bool is_cosine = kd_rng_below(&rng, 2) == 0;
        const int k = 1 + (int)kd_rng_below(&rng, OTHERS);
        world_options w = {.step_ms = 1,
                           .opt = {WORLD_ORDINARY,
                                   .similarity = is_cosine ? ORACLE_COSINE : ORACLE_JACCARD,
                                   .history_max = MANY_ITEMS, .audience_max = OTHERS,
                                   .neighbours = k, .count = 1}};
        kd_recommender *r = world_recommender(&w);
        kd_arena *arena = kd_arena_new(0);
        kd_reader_space *space;
        kd_err err = {0};
        kd_similar got;
        other others[OTHERS];
        others_browse(&rng, r, others);
        compare_others(is_cosine, others);
        kd_query q = {.shopper_id = kd_str_of("u0"), .time = world_start + MANY_TIMES};
        assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
        assert_int_equal(kd_recommender_neighbours(r, space, &q, arena, &got, &err), KD_OK);
        int n = 0;
        for (; n < k && others[n].over > 0; n++) {
            const double x = (double)others[n].over / others[n].under;
            assert_true(n < (int)got.n_neighbours);
            assert_true(kd_str_eq(got.neighbours[n].shopper_id, kd_str_of(others[n].id)));
            assert_true(fabs(got.neighbours[n].similarity - (is_cosine ? sqrt(x) : x)) < 1e-15);
        }
        assert_int_equal(got.n_neighbours, n);
        kd_reader_space_free(space);
        kd_arena_free(arena);
        kd_recommender_free(r);
    }
}

/* Somebody who has all of the most popular items still gets a full list: of 700 items u0 has seen
 * 640, and the others have each a fan or two. */
static void test_fill_reaches_far(void **unused)
{
    (void)unused;
    enum { ITEMS = 700, SEEN = 640 };
    world_options w = {.step_ms = 1000,
                       .opt = {.history_max = 1000,
                               .purchases_max = 1,
                               .audience_max = 10,
                               .neighbours = 1,
                               .count = 20,
                               .exclude = ORACLE_SEEN,
                               .overlap_min = 2,
                               .fill = true,
                               .fill_weight = 0.5,
                               .vote_shared = 1,
                               .weight = {1, 1, 1, 1}}};
    kd_recommender *r = world_recommender(&w);
    kd_reader_space *space;
    kd_arena *arena = kd_arena_new(0);
    kd_err err = {0};
    for (int i = 0; i < ITEMS; i++) /* i has as many fans as the hundreds that it is below 700 */
        for (int fan = i < SEEN ? 0 : 1; fan <= 7 - i / 100; fan++) {
            char shopper[16], item[16];
            snprintf(shopper, sizeof shopper, fan == 0 ? "u0" : "u%d-%d", fan, i);
            snprintf(item, sizeof item, "i%03d", i);
            browse(r, shopper, item, world_start + i);
        }
    kd_query q = {.shopper_id = kd_str_of("u0"), .time = world_start};
    kd_update got;
    assert_int_equal(kd_reader_space_new(r, &space, &err), KD_OK);
    assert_int_equal(kd_recommender_answer(r, space, &q, arena, &got, NULL, &err), KD_OK);
    assert_int_equal(got.n_items, 20);
    for (int k = 0; k < 20; k++) {
        char item[16];
        snprintf(item, sizeof item, "i%03d", SEEN + k);
        assert_true(kd_str_eq(got.items[k].item_id, kd_str_of(item)));
    }
    kd_reader_space_free(space);
    kd_arena_free(arena);
    kd_recommender_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_oracle),         cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_forget_leaves_nothing), cmocka_unit_test(test_ask_equals_answer),
        cmocka_unit_test(test_many_neighbours),       cmocka_unit_test(test_fill_reaches_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
