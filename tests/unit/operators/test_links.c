/* links.h against a slow twin: a table of times by (user, session), searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "operators/links.h"

enum { USERS = 20, SESSIONS = 120, TIMES = 40, STEPS = 30000 };

typedef struct world {
    kd_ids users;
    kd_links links;
    kd_digest digest;
    uint32_t slot[USERS];
    char user[USERS][8], session[SESSIONS][40];
    kd_ms time[USERS][SESSIONS]; /* the twin; KD_MS_NONE = no such pair */
} world;

static kd_str session_of(const world *w, int s)
{
    return kd_str_of(w->session[s]);
}

static void make(world *w)
{
    kd_err err = {0};
    memset(w, 0, sizeof *w);
    assert_int_equal(kd_ids_init(&w->users, 1000, &err), KD_OK);
    for (int u = 0; u < USERS; u++) {
        bool is_new;
        snprintf(w->user[u], sizeof w->user[u], "u%d", u * 7 % USERS);
        kd_str id = kd_str_of(w->user[u]);
        assert_int_equal(kd_ids_intern(&w->users, id, kd_ids_hash(id), &w->slot[u], &is_new, &err),
                         KD_OK);
        for (int s = 0; s < SESSIONS; s++)
            w->time[u][s] = KD_MS_NONE;
    }
    for (int s = 0; s < SESSIONS; s++) /* of many lengths */
        snprintf(w->session[s], sizeof w->session[s], "s%0*d", 1 + s % 30, s);
    assert_int_equal(kd_links_init(&w->links, &w->users, &err), KD_OK);
}

static bool comes_first(const char *id, kd_ms time, const char *other, kd_ms other_time)
{
    return time != other_time ? time > other_time : strcmp(id, other) > 0;
}

static void compare(const world *w)
{
    uint32_t n = 0;
    assert_true(kd_links_sane(&w->links));
    assert_true(kd_digest_eq(w->digest, kd_links_digest(&w->links)));
    for (int u = 0; u < USERS; u++) {
        int n_listed = 0, last = -1;
        for (int s = 0; s < SESSIONS; s++) {
            n_listed += w->time[u][s] != KD_MS_NONE;
            assert_true(kd_links_time(&w->links, w->slot[u], session_of(w, s)) == w->time[u][s]);
        }
        n += (uint32_t)n_listed;
        for (uint32_t link = kd_links_of_user(&w->links, w->slot[u]); link != 0; n_listed--) {
            const kd_link *x = kd_links_at(&w->links, link);
            int s = 0;
            while (!kd_str_eq(session_of(w, s), kd_link_session(x)))
                s++;
            assert_true(kd_link_time(x) == w->time[u][s]);
            assert_true(last < 0 || comes_first(w->session[last], w->time[u][last], w->session[s],
                                                w->time[u][s]));
            last = s;
            link = x->next;
        }
        assert_int_equal(n_listed, 0);
    }
    assert_int_equal(w->links.n, n);
    for (int s = 0; s < SESSIONS; s++) {
        int best = -1;
        for (int u = 0; u < USERS; u++)
            if (w->time[u][s] != KD_MS_NONE &&
                (best < 0 ||
                 comes_first(w->user[u], w->time[u][s], w->user[best], w->time[best][s])))
                best = u;
        assert_int_equal(kd_links_owner(&w->links, session_of(w, s)),
                         best < 0 ? KD_NO_SLOT : w->slot[best]);
    }
}

static void cut_session(world *w, int s, kd_ms time)
{
    int want = 0, got = 0;
    for (int u = 0; u < USERS; u++)
        if (w->time[u][s] != KD_MS_NONE && w->time[u][s] <= time) {
            w->time[u][s] = KD_MS_NONE;
            want++;
        }
    while (kd_links_cut_one(&w->links, session_of(w, s), time, &w->digest) != KD_NO_SLOT)
        got++;
    assert_int_equal(got, want);
}

static void cut_user(world *w, int u, kd_ms time)
{
    for (int s = 0; s < SESSIONS; s++)
        if (w->time[u][s] <= time)
            w->time[u][s] = KD_MS_NONE;
    kd_links_cut_user(&w->links, w->slot[u], time, &w->digest);
}

static void test_equals_twin(void **unused)
{
    (void)unused;
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 20261129 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    kd_err err = {0};
    static world w;
    make(&w);
    uint32_t most = 0;
    for (int step = 0; step < STEPS; step++) {
        int u = (int)kd_rng_below(&rng, USERS), s = (int)kd_rng_below(&rng, SESSIONS);
        kd_ms time = 1700000000000 + (kd_ms)kd_rng_below(&rng, TIMES);
        int dice = (int)kd_rng_below(&rng, 200);
        if (dice == 0) {
            cut_user(&w, u, time);
            kd_links_tidy(&w.links);
        } else if (dice < 6) {
            cut_session(&w, s, time);
        } else {
            kd_ms old;
            assert_int_equal(kd_links_set(&w.links, w.slot[u], kd_name_of(session_of(&w, s)), time,
                                          &old, &w.digest, &err),
                             KD_OK);
            assert_true(old == w.time[u][s]);
            if (dice < 60 && time > old) /* as if what came after it had failed */
                kd_links_undo(&w.links, w.slot[u], kd_name_of(session_of(&w, s)), old, &w.digest);
            else if (time > old)
                w.time[u][s] = time;
        }
        most = w.links.n > most ? w.links.n : most;
        if (step % 50 == 0)
            compare(&w);
    }
    assert_true(most > 500);
    for (int u = 0; u < USERS; u++)
        cut_user(&w, u, INT64_MAX);
    kd_links_tidy(&w.links);
    compare(&w);
    assert_int_equal(w.links.n, 0);
    assert_int_equal(w.links.by_session.cap, 64);
    assert_true(kd_digest_eq(w.digest, (kd_digest){0, 0}));
    kd_links_dispose(&w.links);
    kd_ids_dispose(&w.users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_twin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
