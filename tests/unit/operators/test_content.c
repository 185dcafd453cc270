/* Lists of similar products against a comparison of everything with everything; what drift, removal
 * and hiding do to them; the dense search against the exact one, and under other kernels of BLAS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "operators/content.h"

static kd_rng rng;
static const char *self;

static void seed_rng(void)
{
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 77 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng_init(&rng, seed);
}

static const kd_content_options ordinary = {
    .text = {.language = "auto", .max_bytes = 4096, .max_tokens = 64},
    .title = 1,
    .description = 0.5,
    .category = 1,
    .brand = 1,
    .tags = 1,
    .neighbours = 5,
    .drift = 0,
    .dimension = 128,
    .candidates = 60,
};

typedef struct shop {
    kd_ids ids;
    kd_content *content;
} shop;

static void shop_open(shop *s, const kd_content_options *o)
{
    kd_err err = {0};
    assert_int_equal(kd_ids_init(&s->ids, 1 << 20, &err), KD_OK);
    assert_int_equal(kd_content_new(o, &s->ids, &s->content, &err), KD_OK);
}

static void shop_close(shop *s)
{
    kd_content_free(s->content);
    kd_ids_dispose(&s->ids);
}

static uint32_t slot_of(shop *s, int number)
{
    char id[16];
    uint32_t slot;
    bool is_new;
    snprintf(id, sizeof id, "p%d", number);
    kd_str x = kd_str_of(id);
    assert_int_equal(kd_ids_intern(&s->ids, x, kd_ids_hash(x), &slot, &is_new, NULL), KD_OK);
    return slot;
}

/* A product of frequent and rare words, some with the words of another. */
static void random_product(kd_product *p, char *title, size_t cap)
{
    size_t n = 0;
    *p = (kd_product){0};
    int words = (int)kd_rng_below(&rng, 7);
    for (int k = 0; k < words; k++) {
        uint64_t a = kd_rng_below(&rng, 400), b = kd_rng_below(&rng, 400);
        uint64_t c = kd_rng_below(&rng, 400);
        a = a < b ? a : b;
        n += (size_t)snprintf(title + n, cap - n, "q%llux ", (unsigned long long)(a < c ? a : c));
    }
    title[n] = '\0';
    p->title = (kd_str){title, (uint32_t)n};
    static const char *const brands[] = {"acme", "Umbra", NULL};
    static const char *const categories[] = {"home > lamps", "home > desks", "toys", NULL};
    p->brand = kd_str_of(brands[kd_rng_below(&rng, 3)]);
    p->category = kd_str_of(categories[kd_rng_below(&rng, 4)]);
    p->is_removed = kd_rng_below(&rng, 12) == 0;
    p->is_hidden = p->is_removed || kd_rng_below(&rng, 10) == 0;
}

static void set(shop *s, int number, const kd_product *p)
{
    kd_err err = {0};
    assert_int_equal(kd_content_set(s->content, slot_of(s, number), p, &err), KD_OK);
}

static void settle(shop *s)
{
    kd_err err = {0};
    assert_int_equal(kd_content_settle(s->content, &err), KD_OK);
    assert_true(kd_content_sane(s->content));
}

/* Every list is that of the slow twin. */
static void check_lists(const shop *s)
{
    for (uint32_t i = 0; i < s->content->cap_items; i++) {
        kd_alike slow[5];
        uint32_t n_list, n_slow = 0;
        const kd_alike *list = kd_content_list(s->content, i, &n_list);
        if (kd_tfidf_has(s->content->tfidf, i))
            n_slow = kd_content_list_slow(s->content, i, slow);
        assert_int_equal(n_list, n_slow);
        for (uint32_t k = 0; k < n_list; k++) {
            assert_true(kd_content_is_current(s->content, &list[k]));
            assert_true(list[k].likeness == slow[k].likeness);
            assert_int_equal(list[k].item, slow[k].item);
        }
    }
}

/* With drift 0 every list is that of the slow twin, to the last bit. */
static void test_lists_equal_the_slow_twin(void **unused)
{
    (void)unused;
    seed_rng();
    for (int round = 0; round < 12; round++) {
        shop s;
        shop_open(&s, &ordinary);
        int n = round < 6 ? 40 : 400; /* long posting lists are cut off */
        for (int step = 0; step < n * 2; step++) {
            char title[128];
            kd_product p;
            random_product(&p, title, sizeof title);
            set(&s, (int)kd_rng_below(&rng, (uint64_t)n), &p);
            if (kd_rng_below(&rng, 60) == 0)
                settle(&s);
        }
        settle(&s);
        check_lists(&s);
        shop_close(&s);
    }
}

/* The order in which products came shows nowhere: the same ids, likenesses and order. */
static void test_order_does_not_show(void **unused)
{
    (void)unused;
    seed_rng();
    enum { N = 120 };
    kd_product p[N];
    char title[N][128];
    int order[N];
    kd_buf bytes[2] = {{0}};
    for (int k = 0; k < N; k++) {
        random_product(&p[k], title[k], sizeof title[k]);
        order[k] = k;
    }
    for (int run = 0; run < 2; run++) {
        shop s;
        shop_open(&s, &ordinary);
        for (int k = 0; k < N; k++) {
            set(&s, order[k], &p[(order[k] + run * 7) % N]);
            if (run == 1 && k % 10 == 0)
                settle(&s);
        }
        for (int k = 0; k < N; k++)
            set(&s, order[k], &p[order[k]]);
        settle(&s);
        for (int k = 0; k < N; k++) {
            uint32_t n;
            const kd_alike *list = kd_content_list(s.content, slot_of(&s, k), &n);
            for (uint32_t j = 0; j < n; j++) {
                kd_str id = kd_ids_get(&s.ids, list[j].item);
                kd_buf_add(&bytes[run], id.p, id.n);
                kd_buf_add(&bytes[run], &list[j].likeness, sizeof list[j].likeness);
            }
        }
        shop_close(&s);
        kd_rng_shuffle(&rng, order, N, sizeof *order);
    }
    assert_int_equal(bytes[0].n, bytes[1].n);
    assert_memory_equal(bytes[0].p, bytes[1].p, bytes[0].n);
    kd_buf_dispose(&bytes[0]);
    kd_buf_dispose(&bytes[1]);
}

static bool list_has(shop *s, int of, int what)
{
    uint32_t n;
    const kd_alike *list = kd_content_list(s->content, slot_of(s, of), &n);
    for (uint32_t k = 0; k < n; k++)
        if (list[k].item == slot_of(s, what) && kd_content_is_current(s->content, &list[k]) &&
            !s->content->item[list[k].item].is_hidden)
            return true;
    return false;
}

/* With drift a new product is found at once, a removed or changed one is not, and no list is older
 * than the bound says. */
static void test_drift(void **unused)
{
    (void)unused;
    seed_rng();
    kd_content_options o = ordinary;
    o.drift = 0.25;
    shop s;
    shop_open(&s, &o);
    for (int k = 0; k < 300; k++) {
        char title[128];
        kd_product p;
        random_product(&p, title, sizeof title);
        set(&s, k, &p);
    }
    settle(&s);
    uint64_t searches = s.content->n_searches;
    kd_product lamp = {.title = kd_str_of("zebra lamp quasar")};
    set(&s, 1000, &lamp);
    settle(&s);
    set(&s, 1001, &lamp);
    settle(&s);
    assert_true(list_has(&s, 1000, 1001) && list_has(&s, 1001, 1000));
    assert_true(s.content->n_searches - searches <= 2 * (1 + 4)); /* 1 / drift each */
    lamp.is_hidden = true;
    set(&s, 1001, &lamp);
    settle(&s);
    assert_false(list_has(&s, 1000, 1001));
    lamp.is_hidden = false;
    set(&s, 1001, &lamp);
    settle(&s);
    assert_true(list_has(&s, 1000, 1001));
    kd_product other = {.title = kd_str_of("something else")};
    set(&s, 1001, &other);
    settle(&s);
    assert_false(list_has(&s, 1000, 1001));
    other.is_removed = other.is_hidden = true;
    set(&s, 1000, &other);
    settle(&s);
    assert_false(list_has(&s, 1001, 1000));
    /* each list is worked out again while a quarter of the products change */
    searches = s.content->n_searches;
    uint32_t n = s.content->tfidf->n;
    for (uint32_t k = 0; k < n / 4 + 1; k++) {
        char title[32];
        snprintf(title, sizeof title, "fresh%u lamp", k);
        kd_product p = {.title = kd_str_of(title)};
        set(&s, 2000 + (int)k, &p);
        settle(&s);
    }
    assert_true(s.content->n_searches - searches >= n);
    shop_close(&s);
}

static void fill(shop *s, int n)
{
    kd_rng_init(&rng, 4711);
    for (int k = 0; k < n; k++) {
        char title[128];
        kd_product p;
        random_product(&p, title, sizeof title);
        set(s, k, &p);
    }
    settle(s);
}

/* A feed that changes every text: a piece of the lists at a time, none of which names what is no
 * longer so, and in the end all are there. */
static void test_a_feed_in_pieces(void **unused)
{
    (void)unused;
    enum { N = 3 * KD_CONTENT_AT_ONCE };
    seed_rng();
    kd_content_options o = ordinary;
    o.drift = 0.1;
    shop s;
    shop_open(&s, &o);
    fill(&s, N);
    assert_in_range(s.content->n_lists, N / 2, N);
    for (int k = 0; k < N; k++) {
        char title[128], changed[160];
        kd_product p;
        random_product(&p, title, sizeof title);
        snprintf(changed, sizeof changed, "%s anew", title);
        p.title = kd_str_of(changed);
        set(&s, k, &p);
    }
    int n_pieces = 0;
    for (uint64_t before = 0; s.content->n_searches != before; n_pieces++) {
        before = s.content->n_searches;
        settle(&s);
        assert_true(s.content->n_searches - before <= KD_CONTENT_AT_ONCE);
        assert_true(kd_content_sane(s.content));
        KD_ASSERT(n_pieces < 100);
    }
    assert_true(n_pieces > N / KD_CONTENT_AT_ONCE);
    check_lists(&s);
    shop_close(&s);
}

/* Proposals by BLAS: the same likenesses, and nearly all of the exact lists. */
static void test_dense(void **unused)
{
    (void)unused;
    kd_content_options o = ordinary;
    shop exact, dense;
    shop_open(&exact, &o);
    o.search = KD_SEARCH_DENSE;
    shop_open(&dense, &o);
    fill(&exact, 1500);
    fill(&dense, 1500);
    uint32_t hits = 0, all = 0;
    for (uint32_t i = 0; i < exact.content->cap_items; i++) {
        uint32_t n, m;
        const kd_alike *a = kd_content_list(exact.content, i, &n);
        const kd_alike *b = kd_content_list(dense.content, i, &m);
        all += n;
        for (uint32_t k = 0; k < m; k++) {
            assert_true(b[k].likeness == kd_content_cosine(dense.content, i, b[k].item));
            hits += n > 0 && b[k].likeness >= a[n - 1].likeness;
        }
    }
    print_message("dense: %u of %u found\n", hits, all);
    assert_true(hits > all * 0.9 && all > 1000);
    shop_close(&exact);
    shop_close(&dense);
}

static void print_digest(void)
{
    kd_content_options o = ordinary;
    o.search = KD_SEARCH_DENSE;
    shop s;
    shop_open(&s, &o);
    fill(&s, 600);
    uint64_t h = 0;
    for (uint32_t i = 0; i < s.content->cap_items; i++) {
        uint32_t n;
        const kd_alike *a = kd_content_list(s.content, i, &n);
        for (uint32_t k = 0; k < n; k++) {
            h = kd_hash64(&a[k].likeness, sizeof a[k].likeness, h);
            h = kd_hash64(&a[k].item, sizeof a[k].item, h);
        }
    }
    printf("digest %016llx\n", (unsigned long long)h);
    shop_close(&s);
}

/* What is published does not depend on the kernel that BLAS takes. */
static void test_kernels(void **unused)
{
    (void)unused;
    static const char *const kernels[] = {"", "OPENBLAS_CORETYPE=Haswell",
                                          "OPENBLAS_CORETYPE=Prescott"};
    char first[64] = "";
    for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
        char command[512], line[64] = "", digest[64] = "";
        snprintf(command, sizeof command, "%s '%s' digest", kernels[k], self);
        FILE *f = popen(command, "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f) != NULL)
            if (strncmp(line, "digest ", 7) == 0)
                memcpy(digest, line, sizeof digest);
        assert_int_equal(pclose(f), 0);
        assert_true(strlen(digest) > 16);
        if (k == 0)
            memcpy(first, digest, sizeof first);
        assert_string_equal(digest, first);
    }
}

static void test_matched_terms(void **unused)
{
    (void)unused;
    shop s;
    shop_open(&s, &ordinary);
    kd_product a = {.title = kd_str_of("Red Lamps 10 1,5"), .brand = kd_str_of("ACME")};
    kd_product b = {.title = kd_str_of("blue lamp 10 1,5"), .brand = kd_str_of("acme")};
    kd_product c = {.title = kd_str_of("table by acme"), .brand = kd_str_of("acme")};
    set(&s, 0, &a);
    set(&s, 1, &b);
    set(&s, 2, &c);
    settle(&s);
    uint32_t terms[3], n = kd_content_matched(s.content, slot_of(&s, 0), slot_of(&s, 1), terms, 3);
    assert_int_equal(n, 2);
    kd_str word = kd_tfidf_word(s.content->tfidf, terms[0]); /* the rarer one first */
    assert_true(kd_str_eq(word, kd_str_of("lamps")));
    assert_int_equal(kd_tfidf_kind(s.content->tfidf, terms[1]), KD_TERM_BRAND);
    shop_close(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_equal_the_slow_twin),
        cmocka_unit_test(test_order_does_not_show),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_a_feed_in_pieces),
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_matched_terms),
    };
    self = argv[0];
    if (argc > 1) {
        print_digest();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
