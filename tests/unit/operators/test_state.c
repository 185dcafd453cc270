/* The structures under the state at sizes where posting lists have directories: long audiences with
 * removals from the middle, ties of time, retention, forgetting; slots and slabs that are reused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "operators/popularity.h"
#include "operators/state.h"

static uint64_t seed_of(void)
{
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 7 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    return seed;
}

static kd_state *state_of(uint32_t history, int64_t retention)
{
    kd_state_options o = {.history_max = history, .purchases_max = 3, .retention_ms = retention};
    kd_state *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_state_new(&o, &s, &err), KD_OK);
    return s;
}

static const kd_ms start = 1700000000000;

static kd_applied interact_at(kd_state *s, const char *shopper, const char *item, kd_action a,
                              kd_ms t, kd_ms ts)
{
    const kd_named_event x = {.shopper = kd_name_of(kd_str_of(shopper)),
                              .item = kd_name_of(kd_str_of(item)),
                              .action = a,
                              .time = t,
                              .ts = ts};
    kd_applied applied = {0};
    kd_err err = {0};
    assert_int_equal(kd_state_interact(s, &x, &applied, &err), KD_OK);
    return applied;
}

static void interact(kd_state *s, uint64_t u, uint64_t i, kd_action a, kd_ms t)
{
    char shopper[24], item[24];
    snprintf(shopper, sizeof shopper, "shopper-%llu", (unsigned long long)u);
    snprintf(item, sizeof item, "item-%llu", (unsigned long long)i);
    (void)interact_at(s, shopper, item, a, t, t);
}

static void forget(kd_state *s, uint64_t u, kd_ms t)
{
    char shopper[24];
    snprintf(shopper, sizeof shopper, "shopper-%llu", (unsigned long long)u);
    kd_applied applied = {0};
    kd_err err = {0};
    assert_int_equal(kd_state_forget(s, kd_str_of(shopper), t, t, &applied, &err), KD_OK);
}

/* Three items and thousands of shoppers at few times: directories, splits, joins, ties by id. */
static void test_long_audiences(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of());
    kd_state *s = state_of(2, 0);
    for (int k = 0; k < 60000; k++) {
        kd_ms t = start + (kd_ms)kd_rng_below(&rng, 50);
        if (k % 3 == 0)
            t = start + k; /* mostly in order */
        interact(s, kd_rng_below(&rng, 6000), kd_rng_below(&rng, 3),
                 (kd_action)kd_rng_below(&rng, KD_ACTIONS), t);
        if (k % 7500 == 0)
            assert_true(kd_state_sane(s));
    }
    assert_true(s->n_postings > 3000);
    bool has_directory = false;
    for (uint32_t i = 0; i < s->item_cap; i++)
        has_directory |= s->item[i].posting.dir != NULL && s->item[i].posting.n_dir > 2;
    assert_true(has_directory);
    assert_true(kd_state_sane(s));
    for (uint64_t u = 0; u < 6000; u++)
        if (u % 100 != 0)
            forget(s, u, start + 100000);
    assert_true(kd_state_sane(s));
    for (uint64_t u = 0; u < 6000; u += 100)
        forget(s, u, start + 100000);
    assert_true(kd_state_sane(s));
    assert_int_equal(s->n_entries, 0);
    assert_int_equal(s->items.n_live, 0);
    assert_int_equal(s->shoppers.n_live, 0);
    assert_int_equal(s->tombs.n, 6000);
    kd_state_free(s);
}

/* S3: what retention lets go of is given back to the system. */
static void test_retention_returns_memory(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of());
    kd_state *s = state_of(50, 30 * KD_MS_DAY);
    for (int k = 0; k < 200000; k++)
        interact(s, kd_rng_below(&rng, 20000), kd_rng_below(&rng, 3000), KD_VIEW, start + k * 1000);
    kd_state_memory before, after;
    kd_state_memory_of(s, &before);
    for (int k = 0; k < 2000; k++)
        interact(s, kd_rng_below(&rng, 200), kd_rng_below(&rng, 300), KD_VIEW,
                 start + 40 * KD_MS_DAY + k * 1000);
    kd_state_memory_of(s, &after);
    assert_true(kd_state_sane(s));
    assert_true(s->n_expired > 190000);
    print_message("histories %zu -> %zu bytes, postings %zu -> %zu bytes\n", before.histories,
                  after.histories, before.postings, after.postings);
    assert_true(after.histories < before.histories / 2);
    assert_true(after.postings < before.postings / 2);
    /* A record from before the horizon is accepted and kept out. */
    int64_t n = s->n_entries;
    assert_true(interact_at(s, "late", "item-1", KD_VIEW, start, start).late);
    assert_int_equal(s->n_entries, n);
    kd_state_free(s);
}

/* memory_max lets go of the oldest, and only of those: what is left is what a state without a limit
 * makes of the records from the floor on. */
static void test_memory_max(void **unused)
{
    (void)unused;
    enum { N = 60000, MAX = 1 << 20 };
    kd_state_options limited = {.history_max = 20, .purchases_max = 5, .memory_max = MAX};
    kd_state_options free_of_it = {.history_max = 20, .purchases_max = 5};
    kd_state *s, *twin;
    kd_err err = {0};
    assert_int_equal(kd_state_new(&limited, &s, &err), KD_OK);
    assert_int_equal(kd_state_new(&free_of_it, &twin, &err), KD_OK);
    kd_rng rng;
    size_t most = 0;
    for (int pass = 0; pass < 2; pass++) {
        kd_rng_init(&rng, 7);
        for (int k = 0; k < N; k++) {
            uint64_t u = kd_rng_below(&rng, 4000), i = kd_rng_below(&rng, 500);
            kd_action a = (kd_action)kd_rng_below(&rng, KD_ACTIONS);
            /* mostly in order, some an hour late */
            kd_ms t = start + k * 1000 - (kd_rng_below(&rng, 10) == 0 ? 3600000 : 0);
            if (pass == 0) {
                interact(s, u, i, a, t);
                kd_state_limit(s);
                most = kd_state_used(s) > most ? kd_state_used(s) : most;
            } else if (t >= s->floor) {
                interact(twin, u, i, a, t);
            }
        }
    }
    assert_true(s->n_floors > 1 && s->floor > start);
    assert_true(kd_state_sane(s));
    /* A look every 64 + items / 4 records: what those can add comes on top. */
    assert_true(most < MAX + MAX / 16);
    assert_true(s->n_entries > 0 && s->n_entries == twin->n_entries);
    assert_true(kd_digest_eq(s->digest, twin->digest));
    kd_state_free(s);
    kd_state_free(twin);
}

/* A record with a wrong clock moves the horizon only as far as its own timestamp. */
static void test_future_event_expires_nothing(void **unused)
{
    (void)unused;
    kd_state *s = state_of(50, KD_MS_DAY);
    interact(s, 1, 1, KD_VIEW, start);
    (void)interact_at(s, "b", "x", KD_VIEW, start + 3 * KD_MS_DAY, start + 1000);
    assert_int_equal(s->n_expired, 0);
    assert_int_equal(s->n_entries, 2);
    assert_int_equal(kd_state_horizon(s), start + 1000 - KD_MS_DAY);
    kd_state_free(s);
}

/* kd_popular_top against a sort of everything. */
static void test_popular_top(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of());
    kd_state *s = state_of(5, 0);
    kd_popular p;
    kd_err err = {0};
    assert_int_equal(kd_popular_init(&p, 12, &err), KD_OK);
    for (int k = 0; k < 4000; k++) {
        interact(s, kd_rng_below(&rng, 60), kd_rng_below(&rng, 40), KD_VIEW,
                 start + (kd_ms)kd_rng_below(&rng, 5000));
        uint32_t n;
        const uint32_t *top = kd_popular_top(&p, s, &n);
        uint32_t live = 0;
        for (uint32_t i = 0; i < s->item_cap; i++)
            live += s->item[i].posting.n > 0;
        assert_int_equal(n, live < 12 ? live : 12);
        bool *is_taken = calloc(s->item_cap, 1);
        for (uint32_t r = 0; r < n; r++) {
            uint32_t best = KD_NO_SLOT;
            for (uint32_t i = 0; i < s->item_cap; i++) {
                uint32_t size = s->item[i].posting.n;
                if (size == 0 || is_taken[i])
                    continue;
                if (best == KD_NO_SLOT || size > s->item[best].posting.n ||
                    (size == s->item[best].posting.n && kd_ids_cmp(&s->items, i, best) < 0))
                    best = i;
            }
            assert_int_equal(top[r], best);
            is_taken[best] = true;
        }
        free(is_taken);
    }
    kd_popular_dispose(&p);
    kd_state_free(s);
}

static void test_ids_against_list(void **unused)
{
    (void)unused;
    enum { N = 500 };
    kd_rng rng;
    kd_rng_init(&rng, seed_of());
    kd_ids ids;
    kd_err err = {0};
    uint32_t slot[N];
    bool is_in[N] = {0};
    assert_int_equal(kd_ids_init(&ids, 300, &err), KD_OK);
    for (int k = 0; k < 40000; k++) {
        uint32_t x = (uint32_t)kd_rng_below(&rng, N);
        char id[64];
        int n = snprintf(id, sizeof id, "id-%u-%.*s", x, (int)(x % 40),
                         "0123456789012345678901234567890123456789");
        kd_str str = {id, (uint32_t)n};
        uint32_t found = kd_ids_find(&ids, str, kd_ids_hash(str));
        assert_int_equal(found, is_in[x] ? slot[x] : KD_NO_SLOT);
        if (is_in[x] && kd_rng_below(&rng, 2) == 0) {
            kd_ids_release(&ids, slot[x]);
            is_in[x] = false;
            continue;
        }
        bool is_new;
        uint32_t live = ids.n_live;
        kd_rc rc = kd_ids_intern(&ids, str, kd_ids_hash(str), &slot[x], &is_new, &err);
        if (!is_in[x] && live == 300) {
            assert_int_equal(rc, KD_ENOMEM);
            continue;
        }
        assert_int_equal(rc, KD_OK);
        assert_int_equal(is_new, !is_in[x]);
        is_in[x] = true;
        assert_true(kd_str_eq(kd_ids_get(&ids, slot[x]), str));
    }
    kd_ids_dispose(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_audiences), cmocka_unit_test(test_retention_returns_memory),
        cmocka_unit_test(test_memory_max),     cmocka_unit_test(test_future_event_expires_nothing),
        cmocka_unit_test(test_popular_top),    cmocka_unit_test(test_ids_against_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
