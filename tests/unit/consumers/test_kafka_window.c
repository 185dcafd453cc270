/* The window of fetched records against a slow twin: the least (time, partition) of all heads,
 * order within a partition kept, whatever is put, taken and thrown away in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "consumers/kafka_window.h"

enum { PARTS = 7, STEPS = 20000, MANY = 40000 };

typedef struct message {
    int64_t time;
    int part;
    bool is_destroyed;
} message;

/* What is in hand, in the order it came. */
typedef struct twin {
    message *in[MANY];
    int n;
} twin;

static void destroy(void *m)
{
    message *x = m;
    assert_false(x->is_destroyed);
    x->is_destroyed = true;
}

static bool is_head(const twin *t, int k)
{
    for (int j = 0; j < k; j++)
        if (t->in[j]->part == t->in[k]->part)
            return false;
    return true;
}

static int oldest(const twin *t)
{
    int best = -1;
    for (int k = 0; k < t->n; k++) {
        if (!is_head(t, k))
            continue;
        const message *a = t->in[k], *b = best < 0 ? NULL : t->in[best];
        if (b == NULL || a->time < b->time || (a->time == b->time && a->part < b->part))
            best = k;
    }
    return best;
}

static void remove_at(twin *t, int k)
{
    memmove(&t->in[k], &t->in[k + 1], (size_t)(t->n - k - 1) * sizeof *t->in);
    t->n--;
}

static void drop(twin *t, int part)
{
    for (int k = t->n - 1; k >= 0; k--)
        if (t->in[k]->part == part)
            remove_at(t, k);
}

static void check(const kd_kafka_window *w, const twin *t)
{
    int part = -1, k = oldest(t);
    const message *head = kd_kafka_window_head(w, &part);
    if (k < 0) {
        assert_null(head);
        assert_int_equal(w->bytes, 0);
        return;
    }
    assert_ptr_equal(head, t->in[k]);
    assert_int_equal(part, head->part);
    assert_int_equal(w->bytes, (size_t)t->n * 10);
}

static void test_equals_twin(void **state)
{
    (void)state;
    const char *text = getenv("KINDRED_SEED");
    uint64_t seed = text == NULL ? 42 : strtoull(text, NULL, 10);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    printf("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    static message all[MANY];
    static twin t;
    kd_kafka_window w = {0};
    kd_err err = {0};
    int used = 0;
    assert_int_equal(kd_kafka_window_init(&w, PARTS, destroy, &err), KD_OK);
    for (int step = 0; step < STEPS; step++) {
        uint64_t dice = kd_rng_below(&rng, 1000);
        int part = (int)kd_rng_below(&rng, PARTS);
        uint64_t puts = step / 500 % 2 == 0 ? 700 : 300; /* it fills, it empties */
        if (dice < puts && t.n < 300) {
            message *m = &all[used++];
            bool is_news = kd_rng_below(&rng, 20) == 0;
            *m = (message){is_news ? KD_KAFKA_NEWS : (int64_t)kd_rng_below(&rng, 40), part, false};
            assert_true(kd_kafka_window_put(&w, part, m->time, m, 10));
            t.in[t.n++] = m;
        } else if (dice < 998 && t.n > 0) {
            remove_at(&t, oldest(&t));
            kd_kafka_window_take(&w);
        } else if (dice >= 998) {
            drop(&t, part);
            kd_kafka_window_drop(&w, part);
            assert_int_equal(w.queue[part].n, 0);
        }
        check(&w, &t);
    }
    int left = t.n;
    kd_kafka_window_dispose(&w);
    for (int k = 0; k < left; k++)
        assert_true(t.in[k]->is_destroyed);
}

/* Each partition in turn has all that fits into a window: what is gone costs nothing. */
static void test_bursts_leave_no_room_behind(void **state)
{
    (void)state;
    enum { BURST = 200000, LITTLE = 128 * 1024 };
    static message m;
    kd_kafka_window w = {0};
    kd_err err = {0};
    assert_int_equal(kd_kafka_window_init(&w, PARTS, destroy, &err), KD_OK);
    for (int part = 0; part < PARTS; part++) {
        int head = -1;
        for (int k = 0; k < BURST; k++)
            assert_true(kd_kafka_window_put(&w, part, k, &m, 1));
        for (int k = 0; k < BURST - part % 2; k++) /* the last one is dropped, every other time */
            kd_kafka_window_take(&w);
        m.is_destroyed = false;
        kd_kafka_window_drop(&w, part);
        assert_null(kd_kafka_window_head(&w, &head));
        assert_true(w.queue[part].cap * sizeof *w.queue[part].at <= LITTLE);
        assert_true(kd_kafka_window_put(&w, part, 1, &m, 1));
        assert_ptr_equal(kd_kafka_window_head(&w, &head), &m);
        kd_kafka_window_take(&w);
    }
    kd_kafka_window_dispose(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_twin),
                                       cmocka_unit_test(test_bursts_leave_no_room_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
