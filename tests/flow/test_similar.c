/* Neighbour lists as an output (topology/similar.h) against a slow twin: after every record the
 * lists of the answered shopper and of its neighbours are worked out again, and what changed by
 * more than the threshold is what the pipeline must have published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "consumers/sources.h"
#include "operators/recommender.h"
#include "sinks/sinks.h"
#include "topology/pipeline.h"

enum { N = 300, SHOPPERS = 12, COUNT = 4, TEXT = 512, NO_BOUND = 1000 };
static const double threshold = 0.3;

typedef struct world {
    kd_memory_step step[N];
    char shopper[N][8], item[N][8];
} world;

static uint64_t seed_of(void)
{
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 20261129 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    return seed;
}

/* Every record at a time of its own, so that each is an epoch with epoch_max = 1. */
static void make(world *w, kd_rng *rng)
{
    memset(w, 0, sizeof *w);
    for (int k = 0; k < N; k++) {
        kd_record *r = &w->step[k].record;
        bool is_forget = kd_rng_below(rng, 25) == 0;
        kd_record_init(r, is_forget ? KD_FORGET : KD_BROWSE);
        snprintf(w->shopper[k], 8, "u%d", (int)kd_rng_below(rng, SHOPPERS));
        snprintf(w->item[k], 8, "i%d", (int)kd_rng_below(rng, 10));
        r->user_id = kd_str_of(w->shopper[k]);
        r->item_id = is_forget ? KD_STR_NULL : kd_str_of(w->item[k]);
        r->time = r->ts = 1700000000000 + k;
        r->pos = (kd_pos){"memory", 0, k};
        r->emit = true;
    }
}

static kd_recommender *recommender(void)
{
    kd_opt_values v = {0};
    kd_err err = {0};
    kd_recommender *r = NULL;
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    assert_int_equal(kd_opt_set(&v, "usercf.neighbours", "6", "test", &err), KD_OK);
    assert_int_equal(kd_recommender_new(&v, &r, &err), KD_OK);
    kd_opt_values_dispose(&v);
    return r;
}

/* -- the pipeline ------------------------------------------------------------------------------ */

typedef struct collector {
    kd_sink base;
    int n, n_forgotten;
    char line[N * SHOPPERS][TEXT]; /* "shopper: neighbour ..." of each published list */
    int at[N * SHOPPERS];          /* forget requests and updates before it */
    int n_before;
    char last[SHOPPERS][TEXT]; /* what a reader of the compacted topic has, "" = nothing */
} collector;

static int number(const char *shopper)
{
    return (int)strtol(shopper + 1, NULL, 10);
}

static void print_list(char *to, const kd_similar *s)
{
    int n = snprintf(to, TEXT, "%.*s:", KD_STR_ARG(s->shopper_id));
    for (uint32_t k = 0; k < s->n_neighbours; k++)
        n += snprintf(to + n, (size_t)(TEXT - n), " %.*s", KD_STR_ARG(s->neighbours[k].shopper_id));
}

static kd_rc collect(kd_sink *s, const kd_out *out, kd_err *err)
{
    (void)err;
    collector *c = (collector *)s;
    s->written++;
    if (out->type == KD_OUT_SIMILAR) {
        c->at[c->n] = c->n_before;
        print_list(c->line[c->n], out->similar);
        memcpy(c->last[number(c->line[c->n])], c->line[c->n], TEXT);
        c->n++;
    } else if (out->type == KD_OUT_FORGOTTEN) {
        char name[8];
        snprintf(name, sizeof name, "%.*s", KD_STR_ARG(out->forgotten));
        c->last[number(name)][0] = '\0';
    }
    c->n_before += out->type == KD_OUT_UPDATE || out->type == KD_OUT_RECEIPT;
    return KD_OK;
}

static kd_counts run(const world *w, collector *c, uint32_t epoch_max, uint32_t workers,
                     uint32_t fanout)
{
    static const kd_sink_kind kind = {.name = "collector", .write = collect};
    kd_err err = {0};
    kd_memory_options mo = {.steps = w->step, .n_steps = N};
    kd_source *source = NULL;
    kd_recommender *rec = recommender();
    kd_pipeline *p = NULL;
    memset(c, 0, sizeof *c);
    c->base.kind = &kind;
    assert_int_equal(kd_memory_source_new(&mo, &source, &err), KD_OK);
    assert_int_equal(source->kind->start(source, &err), KD_OK);
    kd_pipeline_options po = {.epoch_max = epoch_max,
                              .workers = workers,
                              .emit_always = true,
                              .similar_count = COUNT,
                              .similar_threshold = threshold,
                              .similar_fanout = fanout,
                              .max_dead_letters = -1};
    assert_int_equal(kd_pipeline_new(&po, source, rec, &c->base, &p, &err), KD_OK);
    kd_rc rc;
    while ((rc = kd_pipeline_step(p, &err)) == KD_OK)
        ;
    assert_int_equal(rc, KD_END);
    kd_counts counts = *kd_pipeline_counts(p);
    kd_pipeline_free(p);
    source->kind->close(source);
    kd_recommender_free(rec);
    return counts;
}

/* -- the twin ---------------------------------------------------------------------------------- */

typedef struct twin {
    kd_recommender *rec;
    kd_reader_space *space;
    kd_arena *arena;
    char last[SHOPPERS][TEXT]; /* what was published, "" = never */
    bool is_stale[SHOPPERS];   /* names somebody who was forgotten */
} twin;

static void list_of(twin *t, const char *shopper, kd_ms now, char *to)
{
    kd_err err = {0};
    kd_similar s;
    kd_query q = {.shopper_id = kd_str_of(shopper), .time = now};
    assert_int_equal(kd_recommender_neighbours(t->rec, t->space, &q, t->arena, &s, &err), KD_OK);
    s.n_neighbours = s.n_neighbours < COUNT ? s.n_neighbours : COUNT;
    print_list(to, &s);
}

static int words(const char *list, char names[COUNT + 1][8])
{
    char text[TEXT];
    int n = 0;
    snprintf(text, sizeof text, "%s", list);
    for (char *save = NULL, *word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save))
        snprintf(names[n++], 8, "%s", word);
    return n - 1; /* the first is the shopper */
}

static bool names(const char *list, const char *shopper)
{
    char name[COUNT + 1][8];
    int n = words(list, name);
    for (int k = 1; k <= n; k++)
        if (strcmp(name[k], shopper) == 0)
            return true;
    return false;
}

static bool is_news(const twin *t, const char *shopper, const char *list)
{
    const char *last = t->last[number(shopper)];
    char a[COUNT + 1][8], b[COUNT + 1][8];
    int n_a = words(list, a), n_b = last[0] == '\0' ? 0 : words(last, b), both = 0;
    if (last[0] == '\0')
        return n_a > 0;
    for (int k = 1; k <= n_a; k++)
        both += names(last, a[k]);
    int most = n_a > n_b ? n_a : n_b;
    return t->is_stale[number(shopper)] || (most > 0 && 1.0 - (double)both / most > threshold);
}

static int publish(twin *t, const char *shopper, kd_ms now, char out[][TEXT], int n)
{
    char list[TEXT];
    list_of(t, shopper, now, list);
    if (!is_news(t, shopper, list))
        return n;
    snprintf(t->last[number(shopper)], TEXT, "%s", list);
    t->is_stale[number(shopper)] = false;
    snprintf(out[n++], TEXT, "%s", list);
    return n;
}

/* What is to be published after this record. */
static int expect(twin *t, const kd_record *r, const char *shopper, char out[][TEXT])
{
    kd_err err = {0};
    kd_applied applied;
    char again[SHOPPERS][8], near[8];
    int n_again = 0, n = 0;
    assert_int_equal(kd_recommender_apply(t->rec, r, &applied, &err), KD_OK);
    assert_int_equal(kd_recommender_prepare(t->rec, &err), KD_OK);
    if (r->type == KD_FORGET) {
        t->last[number(shopper)][0] = '\0';
        t->is_stale[number(shopper)] = false;
        for (int u = 0; u < SHOPPERS; u++)
            if (t->last[u][0] != '\0' && names(t->last[u], shopper)) {
                t->is_stale[u] = true;
                snprintf(again[n_again++], 8, "u%d", u);
            }
    } else {
        kd_similar s;
        kd_query q = {.shopper_id = r->user_id, .time = r->time};
        assert_int_equal(kd_recommender_neighbours(t->rec, t->space, &q, t->arena, &s, &err),
                         KD_OK);
        for (uint32_t k = 0; k < s.n_neighbours; k++) { /* all that voted, not only the COUNT */
            snprintf(near, sizeof near, "%.*s", KD_STR_ARG(s.neighbours[k].shopper_id));
            if (t->last[number(near)][0] != '\0')
                memcpy(again[n_again++], near, sizeof near);
        }
    }
    for (int k = 0; k < n_again; k++)
        n = publish(t, again[k], r->time, out, n);
    if (r->type != KD_FORGET)
        n = publish(t, shopper, r->time, out, n);
    kd_arena_reset(t->arena);
    return n;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void test_equals_twin(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of());
    static world w;
    static collector c;
    kd_err err = {0};
    int published = 0, forgotten = 0;
    for (int round = 0; round < 20; round++) {
        make(&w, &rng);
        kd_counts counts = run(&w, &c, 1, 1 + (uint32_t)round % 3, NO_BOUND);
        twin t = {.rec = recommender(), .arena = kd_arena_new(0)};
        assert_int_equal(kd_reader_space_new(t.rec, &t.space, &err), KD_OK);
        int at = 0;
        for (int k = 0; k < N; k++) {
            char want[SHOPPERS + 1][TEXT];
            int n = expect(&t, &w.step[k].record, w.shopper[k], want);
            qsort(want, (size_t)n, TEXT, by_text);
            assert_true(at + n <= c.n);
            qsort(c.line[at], (size_t)n, TEXT, by_text);
            for (int j = 0; j < n; j++, at++) {
                assert_string_equal(c.line[at], want[j]);
                assert_int_equal(c.at[at], k + 1);
            }
            forgotten += w.step[k].record.type == KD_FORGET && n > 0;
        }
        assert_int_equal(at, c.n);
        assert_int_equal(counts.similar, c.n);
        assert_int_equal(counts.similar_dropped, 0);
        published += at;
        kd_reader_space_free(t.space);
        kd_arena_free(t.arena);
        kd_recommender_free(t.rec);
    }
    assert_true(published > 1000 && forgotten > 20);
}

/* With a bound, what is over it is counted; workers change nothing; nobody who was forgotten stays
 * in what is published last. */
static void test_bound_and_workers(void **unused)
{
    (void)unused;
    kd_rng rng;
    kd_rng_init(&rng, seed_of() + 1);
    static world w;
    static collector a, b;
    for (int round = 0; round < 10; round++) {
        make(&w, &rng);
        kd_counts free_of_it = run(&w, &a, 16, 1, NO_BOUND), bound = run(&w, &a, 16, 1, 2);
        (void)run(&w, &b, 16, 8, 2);
        assert_int_equal(free_of_it.similar_dropped, 0);
        assert_true(bound.similar_dropped > 0 && bound.similar_fanout < free_of_it.similar_fanout);
        assert_int_equal(a.n, b.n);
        for (int k = 0; k < a.n; k++)
            assert_string_equal(a.line[k], b.line[k]);
        for (int u = 0; u < SHOPPERS; u++) {
            char gone[8];
            int last_forget = -1, seen_after = 0;
            snprintf(gone, sizeof gone, "u%d", u);
            for (int k = 0; k < N; k++)
                if (strcmp(w.shopper[k], gone) == 0)
                    last_forget = w.step[k].record.type == KD_FORGET ? k : -1;
            if (last_forget < 0)
                continue; /* he came back */
            for (int v = 0; v < SHOPPERS; v++)
                seen_after += a.last[v][0] != '\0' && names(a.last[v], gone);
            assert_int_equal(seen_after, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_twin),
        cmocka_unit_test(test_bound_and_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
