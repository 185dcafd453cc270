/* bench_content.c - texts, TF-IDF and lists of similar products, on one core, without a broker.
 *
 *   bench_content (--csv FILE MAP | --titles FILE) [--products 50000] [--docs 20000] [--reps 3]
 *                 [--neighbours 20] [--recall 0|1]
 *
 * documents   texts into an empty TF-IDF one by one, each document's weights worked out after it
 * build       all products and all lists
 * one new     one more product into all of them: its list, its place in the lists of others, and
 *             the lists that drift asks to be worked out again
 * all changed  every product gets another text at once: what an epoch waits for the lists then
 * recall      of the dense search against the exact one, at 20, for several dimensions; a found
 *             product counts if its exact likeness reaches that of the 20th
 * Run beside it: tests/bench/content_sklearn.py (scikit-learn and River on the same texts). */
#include "bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/gz.h"
#include "base/rng.h"
#include "operators/content.h"

typedef struct texts {
    kd_product *product;
    uint32_t n, cap;
    kd_arena *arena;
} texts;

static void add(texts *t, const kd_product *p)
{
    kd_err err = {0};
    if (!kd_grow((void **)&t->product, &t->cap, t->n + 1, sizeof *t->product))
        bench_must(KD_ENOMEM, NULL, "texts");
    kd_product *q = &t->product[t->n++];
    *q = *p;
    bench_must(kd_arena_str(t->arena, p->title, &q->title, &err), &err, "texts");
    bench_must(kd_arena_str(t->arena, p->category, &q->category, &err), &err, "texts");
    bench_must(kd_arena_str(t->arena, p->brand, &q->brand, &err), &err, "texts");
    for (uint32_t k = 0; k < p->n_tags; k++)
        bench_must(kd_arena_str(t->arena, p->tags[k], &q->tags[k], &err), &err, "texts");
}

/* The first catalogue record of each item. */
static void read_csv(texts *t, const char *path, const char *map)
{
    kd_err err = {0};
    kd_source *s = NULL;
    kd_file_source_options o = {.paths = &path, .n_paths = 1, .map_path = map, .latest = INT64_MAX};
    bench_must(kd_file_source_new(&o, &s, &err), &err, path);
    bench_must(s->kind->start(s, &err), &err, path);
    kd_ids seen;
    bench_must(kd_ids_init(&seen, UINT32_MAX - 1, &err), &err, "ids");
    kd_record r;
    for (kd_rc rc; (rc = s->kind->next(s, &r, &err)) != KD_END;) {
        uint32_t slot;
        bool is_new = false;
        if (rc == KD_OK && r.type == KD_CATALOG)
            bench_must(
                kd_ids_intern(&seen, r.item_id, kd_ids_hash(r.item_id), &slot, &is_new, &err), &err,
                "ids");
        else if (rc != KD_OK && rc != KD_EDATA)
            bench_must(rc, &err, path);
        if (is_new) {
            kd_product p = {.title = r.title, .category = r.category, .brand = r.brand};
            for (; p.n_tags < r.n_tags && p.n_tags < KD_TAGS_MAX; p.n_tags++)
                p.tags[p.n_tags] = r.tags[p.n_tags];
            add(t, &p);
        }
        s->kind->release(s);
    }
    kd_ids_dispose(&seen);
    s->kind->close(s);
}

static void read_titles(texts *t, const char *path)
{
    kd_err err = {0};
    kd_reader *r = NULL;
    kd_str line;
    bench_must(kd_reader_open(path, &r, &err), &err, path);
    while (kd_reader_line(r, 1 << 16, &line, &err) == KD_OK) {
        kd_product p = {.title = line};
        add(t, &p);
    }
    kd_reader_close(r);
}

static kd_content_options options(uint32_t neighbours)
{
    return (kd_content_options){.text = {.language = "auto", .max_bytes = 8192, .max_tokens = 200},
                                .title = 1,
                                .description = 0.5,
                                .category = 1,
                                .brand = 1,
                                .tags = 1,
                                .neighbours = neighbours,
                                .drift = 0.1,
                                .dimension = 256,
                                .candidates = 200,
                                .seed = 1};
}

/* -- documents a second -------------------------------------------------------------------------
 */

static void bench_documents(const texts *t, uint32_t docs, int reps)
{
    kd_err err = {0};
    kd_content_options o = options(20);
    bench_numbers rates = {0}, cut = {0};
    uint32_t n = docs < t->n ? docs : t->n;
    double sum = 0;
    for (int rep = 0; rep < reps; rep++) {
        kd_text *text = NULL;
        kd_tfidf *x = NULL;
        bench_must(kd_text_new(&o.text, &text, &err), &err, "text");
        bench_must(kd_tfidf_new(&x, &err), &err, "tfidf");
        double began = bench_now();
        for (uint32_t d = 0; d < n; d++) {
            const kd_product *p = &t->product[d];
            uint32_t tokens;
            bool changed;
            kd_text_begin(text);
            bench_must(kd_text_add(text, KD_TERM_WORD, p->title, 1, &err), &err, "text");
            bench_must(kd_text_add(text, KD_TERM_CATEGORY, p->category, 1, &err), &err, "text");
            bench_must(kd_text_add(text, KD_TERM_BRAND, p->brand, 1, &err), &err, "text");
            const kd_token *token = kd_text_end(text, &tokens);
            bench_must(kd_tfidf_set(x, d, token, tokens, &changed, &err), &err, "tfidf");
            double norm = kd_tfidf_norm(x, d);
            kd_vector v = kd_tfidf_vector(x, d);
            for (uint32_t k = 0; k < v.n; k++)
                sum += (double)v.tf[k].tf * kd_tfidf_idf(x, v.tf[k].term) / norm;
        }
        double took = bench_now() - began;
        bench_numbers_add(&rates, n / took);
        began = bench_now();
        for (uint32_t d = 0; d < n; d++) {
            uint32_t tokens;
            kd_text_begin(text);
            bench_must(kd_text_add(text, KD_TERM_WORD, t->product[d].title, 1, &err), &err, "text");
            (void)kd_text_end(text, &tokens);
        }
        bench_numbers_add(&cut, n / (bench_now() - began));
        kd_text_free(text);
        kd_tfidf_free(x);
    }
    if (sum < 0)
        return; /* never: the weights are not optimised away */
    bench_result("documents", "text, tf-idf and weights", "documents/s",
                 bench_quantile(&rates, 0.5), "1/s", rates.n);
    bench_result("documents", "titles to terms alone", "documents/s", bench_quantile(&cut, 0.5),
                 "1/s", cut.n);
    bench_numbers_dispose(&rates);
    bench_numbers_dispose(&cut);
}

/* -- lists --------------------------------------------------------------------------------------
 */

typedef struct shop {
    kd_ids ids;
    kd_content *content;
} shop;

static void put_as(shop *s, uint32_t k, const kd_product *p)
{
    kd_err err = {0};
    char id[16];
    uint32_t slot;
    bool is_new;
    snprintf(id, sizeof id, "%07u", k);
    kd_str x = kd_str_of(id);
    bench_must(kd_ids_intern(&s->ids, x, kd_ids_hash(x), &slot, &is_new, &err), &err, "ids");
    bench_must(kd_content_set(s->content, slot, p, &err), &err, "product");
}

static void put(shop *s, const texts *t, uint32_t k)
{
    put_as(s, k, &t->product[k]);
}

static void shop_open(shop *s, const kd_content_options *o)
{
    kd_err err = {0};
    bench_must(kd_ids_init(&s->ids, UINT32_MAX - 1, &err), &err, "ids");
    bench_must(kd_content_new(o, &s->ids, &s->content, &err), &err, "content");
}

static void shop_close(shop *s)
{
    kd_content_free(s->content);
    kd_ids_dispose(&s->ids);
}

/* Every product gets the text of the next one, then epochs without a catalogue record. */
static void bench_feed(shop *s, const texts *t, uint32_t n, const char *kase)
{
    kd_err err = {0};
    bench_numbers each = {0};
    for (uint32_t k = 0; k < n; k++) {
        kd_product p = t->product[k];
        p.title = t->product[(k + 1) % n].title;
        put_as(s, k, &p);
    }
    for (uint64_t before = UINT64_MAX; before != s->content->n_searches;) {
        double began = bench_now();
        before = s->content->n_searches;
        bench_must(kd_content_settle(s->content, &err), &err, "settle");
        bench_numbers_add(&each, (bench_now() - began) * 1e3);
    }
    bench_result("all changed", kase, "epochs until all lists are new", (double)each.n, "", 1);
    bench_result("all changed", kase, "p50 of an epoch", bench_quantile(&each, 0.5), "ms", each.n);
    bench_result("all changed", kase, "longest epoch", bench_quantile(&each, 1), "ms", each.n);
    bench_numbers_dispose(&each);
}

/* Builds, then adds what is left of the texts one by one. */
static void bench_lists(const texts *t, uint32_t products, const kd_content_options *o,
                        const char *kase)
{
    kd_err err = {0};
    shop s;
    shop_open(&s, o);
    uint32_t n = products < t->n ? products : t->n * 9 / 10;
    double began = bench_now();
    for (uint32_t k = 0; k < n; k++)
        put(&s, t, k);
    double texts_took = bench_now() - began;
    bench_must(kd_content_settle(s.content, &err), &err, "settle");
    double took = bench_now() - began;
    bench_result("build", kase, "products", n, "", 1);
    bench_result("build", kase, "seconds", took, "s", 1);
    bench_result("build", kase, "of them texts", texts_took, "s", 1);
    bench_result("build", kase, "bytes a product", (double)kd_content_bytes(s.content) / n, "bytes",
                 1);
    bench_numbers each = {0};
    for (uint32_t k = n; k < t->n && k < n + 2000; k++) {
        began = bench_now();
        put(&s, t, k);
        bench_must(kd_content_settle(s.content, &err), &err, "settle");
        bench_numbers_add(&each, (bench_now() - began) * 1e3);
    }
    bench_result("one new", kase, "p50", bench_quantile(&each, 0.5), "ms", each.n);
    bench_result("one new", kase, "p99", bench_quantile(&each, 0.99), "ms", each.n);
    bench_numbers_dispose(&each);
    bench_feed(&s, t, n, kase);
    shop_close(&s);
}

static void bench_recall(const texts *t, uint32_t products)
{
    kd_err err = {0};
    uint32_t n = products < t->n ? products : t->n;
    kd_content_options o = options(20);
    shop exact;
    shop_open(&exact, &o);
    for (uint32_t k = 0; k < n; k++)
        put(&exact, t, k);
    bench_must(kd_content_settle(exact.content, &err), &err, "settle");
    static const uint32_t settings[][2] = {{128, 200}, {256, 100}, {256, 200},
                                           {256, 400}, {512, 200}, {512, 400}};
    for (size_t c = 0; c < sizeof settings / sizeof *settings; c++) {
        o.search = KD_SEARCH_DENSE;
        o.dimension = settings[c][0];
        o.candidates = settings[c][1];
        shop dense;
        shop_open(&dense, &o);
        for (uint32_t k = 0; k < n; k++)
            put(&dense, t, k);
        double began = bench_now();
        bench_must(kd_content_settle(dense.content, &err), &err, "settle");
        double took = bench_now() - began;
        uint64_t found = 0, all = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t na, nb;
            const kd_alike *a = kd_content_list(exact.content, i, &na);
            const kd_alike *b = kd_content_list(dense.content, i, &nb);
            all += na;
            for (uint32_t k = 0; k < nb && na > 0; k++)
                found += b[k].likeness >= a[na - 1].likeness;
        }
        char kase[64];
        snprintf(kase, sizeof kase, "dimension %u, %u rescored", o.dimension, o.candidates);
        bench_result("recall at 20", kase, "share", (double)found / (double)all, "", all);
        bench_result("recall at 20", kase, "seconds", took, "s", 1);
        shop_close(&dense);
    }
    shop_close(&exact);
}

int main(int argc, char **argv)
{
    texts t = {.arena = kd_arena_new(0)};
    int at = 1;
    if (argc > 3 && strcmp(argv[1], "--csv") == 0) {
        read_csv(&t, argv[2], argv[3]);
        at = 4;
    } else if (argc > 2 && strcmp(argv[1], "--titles") == 0) {
        read_titles(&t, argv[2]);
        at = 3;
    } else {
        fprintf(stderr,
                "usage: bench_content (--csv FILE MAP | --titles FILE) [--products N] ...\n");
        return 2;
    }
    argc -= at - 1;
    argv += at - 1;
    int reps = (int)bench_arg(argc, argv, "--reps", 3);
    uint32_t products = (uint32_t)bench_arg(argc, argv, "--products", 50000);
    bench_result("texts", "", "products", t.n, "", 1);
    bench_documents(&t, (uint32_t)bench_arg(argc, argv, "--docs", 20000), reps);
    kd_content_options o = options((uint32_t)bench_arg(argc, argv, "--neighbours", 20));
    bench_lists(&t, products, &o, "exact");
    if (bench_arg(argc, argv, "--recall", 0) != 0) {
        o.search = KD_SEARCH_DENSE;
        bench_lists(&t, products, &o, "dense");
        bench_recall(&t, products);
    }
    free(t.product);
    kd_arena_free(t.arena);
    return 0;
}
