/* Incremental TF-IDF against a from-scratch count over random sequences of additions, changes and
 * removals, and against weights that scikit-learn gave (tests/fixtures/tfidf/make.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/gz.h"
#include "base/rng.h"
#include "operators/tfidf.h"

static kd_rng rng;

static void seed_rng(void)
{
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 31 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng_init(&rng, seed);
}

static kd_tfidf *tfidf_new(void)
{
    kd_tfidf *x = NULL;
    kd_err err = {0};
    assert_int_equal(kd_tfidf_new(&x, &err), KD_OK);
    return x;
}

/* -- a from-scratch twin: documents as arrays of small numbers ---------------------------------
 */

enum { DOCS = 40, TERMS = 60, LONGEST = 12 };

typedef struct plain {
    bool is_here;
    int n, term[LONGEST];
    double weight[LONGEST];
} plain;

static uint32_t to_tokens(const plain *d, kd_token *out, char (*names)[16])
{
    for (int k = 0; k < d->n; k++) {
        int length = snprintf(names[k], sizeof names[k], "wt%d", d->term[k]);
        kd_str term = {names[k], (uint32_t)length};
        out[k] = (kd_token){term, {names[k] + 1, (uint32_t)length - 1}, 0, d->weight[k]};
        out[k].hash = kd_hash64(term.p, term.n, 0);
    }
    return (uint32_t)d->n;
}

static void random_doc(plain *d)
{
    *d = (plain){.is_here = true, .n = (int)kd_rng_below(&rng, LONGEST + 1)};
    for (int k = 0; k < d->n; k++) {
        uint64_t a = kd_rng_below(&rng, TERMS), b = kd_rng_below(&rng, TERMS);
        d->term[k] = (int)(a < b ? a : b);
        d->weight[k] = kd_rng_below(&rng, 3) == 0 ? 0.5 : 1;
    }
}

static double plain_tf(const plain *d, int term)
{
    double sum = 0;
    for (int k = 0; k < d->n; k++)
        sum += d->term[k] == term ? d->weight[k] : 0;
    return sum;
}

static void check_all(const kd_tfidf *x, const plain *docs)
{
    int n = 0, df[TERMS] = {0};
    for (int d = 0; d < DOCS; d++) {
        n += docs[d].is_here;
        for (int t = 0; t < TERMS; t++)
            df[t] += docs[d].is_here && plain_tf(&docs[d], t) > 0;
    }
    assert_int_equal(x->n, n);
    for (int t = 0; t < TERMS; t++) {
        char name[16];
        snprintf(name, sizeof name, "wt%d", t);
        uint32_t term = kd_tfidf_term(x, kd_str_of(name));
        assert_int_equal(term != KD_NO_SLOT, df[t] > 0);
        if (df[t] > 0) {
            assert_int_equal(x->term[term].df, df[t]);
            double idf = log((1.0 + n) / (1.0 + df[t])) + 1;
            assert_true(fabs(kd_tfidf_idf(x, term) - idf) < 1e-12);
        }
    }
    for (int d = 0; d < DOCS; d++) {
        double sum = 0;
        kd_vector v = kd_tfidf_vector(x, (uint32_t)d);
        assert_int_equal(kd_tfidf_has(x, (uint32_t)d), docs[d].is_here);
        for (uint32_t k = 0; k < v.n; k++) {
            kd_str word = kd_tfidf_word(x, v.tf[k].term);
            char digits[16] = {0};
            memcpy(digits, word.p + 1, word.n - 1);
            int t = (int)strtol(digits, NULL, 10);
            double tf = plain_tf(&docs[d], t), idf = log((1.0 + n) / (1.0 + df[t])) + 1;
            assert_true(tf > 0 && tf == (double)v.tf[k].tf);
            sum += tf * idf * tf * idf;
        }
        assert_true(fabs(kd_tfidf_norm(x, (uint32_t)d) - sqrt(sum)) < 1e-9);
    }
}

static void test_random_sequences(void **unused)
{
    (void)unused;
    seed_rng();
    for (int round = 0; round < 20; round++) {
        kd_tfidf *x = tfidf_new();
        plain docs[DOCS] = {0};
        for (int step = 0; step < 200; step++) {
            uint32_t d = (uint32_t)kd_rng_below(&rng, DOCS);
            if (kd_rng_below(&rng, 3) == 0) {
                assert_int_equal(kd_tfidf_remove(x, d), docs[d].is_here);
                docs[d].is_here = false;
                docs[d].n = 0;
            } else {
                kd_token tokens[LONGEST];
                char names[LONGEST][16];
                bool changed;
                random_doc(&docs[d]);
                uint32_t n = to_tokens(&docs[d], tokens, names);
                assert_int_equal(kd_tfidf_set(x, d, tokens, n, &changed, NULL), KD_OK);
                assert_int_equal(kd_tfidf_set(x, d, tokens, n, &changed, NULL), KD_OK);
                assert_false(changed);
            }
            assert_true(kd_tfidf_sane(x));
            if (step % 20 == 0)
                check_all(x, docs);
        }
        check_all(x, docs);
        for (uint32_t d = 0; d < DOCS; d++)
            (void)kd_tfidf_remove(x, d);
        assert_true(kd_tfidf_sane(x));
        assert_int_equal(x->terms.n_live, 0);
        assert_int_equal(x->n_entries, 0);
        kd_tfidf_free(x);
    }
}

/* -- scikit-learn -------------------------------------------------------------------------------
 */

typedef struct corpus {
    kd_str *doc;
    uint32_t n, cap;
    kd_arena *text;
} corpus;

static void add_doc(corpus *c, kd_str s)
{
    assert_true(kd_grow((void **)&c->doc, &c->cap, c->n + 1, sizeof *c->doc));
    assert_int_equal(kd_arena_str(c->text, s, &c->doc[c->n], NULL), KD_OK);
    c->n++;
}

/* The third column of a line of CSV. */
static kd_str description(kd_str line, char *out)
{
    uint32_t column = 0, n = 0;
    bool is_quoted = false;
    for (uint32_t k = 0; k < line.n; k++) {
        char c = line.p[k];
        if (c == '"' && is_quoted && k + 1 < line.n && line.p[k + 1] == '"')
            k++;
        else if (c == '"') {
            is_quoted = !is_quoted;
            continue;
        }
        if (c == ',' && !is_quoted)
            column++;
        else if (column == 2)
            out[n++] = c;
    }
    return (kd_str){out, n};
}

static bool read_corpus(const char *name, corpus *c)
{
    const char *dir = getenv("KINDRED_DATA");
    char path[512];
    if (dir == NULL)
        snprintf(path, sizeof path, "%s/../shared/data/%s", KD_SOURCE_DIR, name);
    else
        snprintf(path, sizeof path, "%s/%s", dir, name);
    kd_reader *r = NULL;
    if (kd_reader_open(path, &r, NULL) != KD_OK) {
        print_message("skipped: %s is not there (set KINDRED_DATA)\n", path);
        return false;
    }
    *c = (corpus){.text = kd_arena_new(0)};
    bool is_csv = strstr(name, ".csv") != NULL, is_head = is_csv;
    kd_ids seen;
    assert_int_equal(kd_ids_init(&seen, UINT32_MAX - 1, NULL), KD_OK);
    char room[4096];
    kd_str line;
    while (kd_reader_line(r, 1 << 16, &line, NULL) == KD_OK) {
        kd_str s = is_csv ? description(line, room) : line;
        uint32_t slot;
        bool is_new = true;
        if (s.n == 0 || is_head) {
            is_head = false;
            continue;
        }
        if (is_csv)
            assert_int_equal(kd_ids_intern(&seen, s, kd_ids_hash(s), &slot, &is_new, NULL), KD_OK);
        if (is_new)
            add_doc(c, s);
    }
    kd_ids_dispose(&seen);
    kd_reader_close(r);
    return true;
}

/* The tokens of make.py; terms live in `room`. */
static uint32_t cut(kd_str s, kd_token *out, char *room)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < s.n;) {
        unsigned char c = (unsigned char)s.p[k];
        char *term = room;
        *room++ = 'w';
        uint32_t from = k;
        if (c >= 0x80) {
            do
                *room++ = s.p[k++];
            while (k < s.n && ((unsigned char)s.p[k] & 0xC0) == 0x80);
        } else {
            for (; k < s.n; k++) {
                char l = s.p[k];
                l = (char)(l >= 'A' && l <= 'Z' ? l + 32 : l);
                if (!((l >= 'a' && l <= 'z') || (l >= '0' && l <= '9')))
                    break;
                *room++ = l;
            }
        }
        if (k == from) {
            k++;
            room = term;
            continue;
        }
        kd_str t = {term, (uint32_t)(room - term)};
        out[n++] = (kd_token){t, {t.p + 1, t.n - 1}, kd_hash64(t.p, t.n, 0), 1};
    }
    return n;
}

static void set_doc(kd_tfidf *x, uint32_t d, kd_str text)
{
    static kd_token tokens[4096];
    static char room[16384];
    bool changed;
    assert_int_equal(kd_tfidf_set(x, d, tokens, cut(text, tokens, room), &changed, NULL), KD_OK);
}

/* Ends at document d = text d, by a random way. */
static void wander(kd_tfidf *x, const corpus *c)
{
    uint32_t *order = malloc(c->n * sizeof *order);
    for (uint32_t k = 0; k < c->n; k++)
        order[k] = k;
    kd_rng_shuffle(&rng, order, c->n, sizeof *order);
    for (uint32_t k = 0; k < c->n; k++) {
        set_doc(x, order[k], c->doc[kd_rng_below(&rng, c->n)]);
        if (k % 3 == 0)
            set_doc(x, c->n + k, c->doc[k]); /* is removed again */
        if (k % 4 == 0)
            (void)kd_tfidf_remove(x, order[k / 2]);
    }
    kd_rng_shuffle(&rng, order, c->n, sizeof *order);
    for (uint32_t k = 0; k < c->n; k++) {
        set_doc(x, order[k], c->doc[order[k]]);
        (void)kd_tfidf_remove(x, c->n + k);
    }
    free(order);
}

static void compare(const char *data, const char *fixture)
{
    corpus c;
    if (!read_corpus(data, &c))
        skip();
    seed_rng();
    kd_tfidf *x = tfidf_new();
    wander(x, &c);
    assert_true(kd_tfidf_sane(x));
    char path[512];
    snprintf(path, sizeof path, "%s/tests/fixtures/tfidf/%s", KD_SOURCE_DIR, fixture);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    unsigned n, d, place, checked = 0;
    double expected, worst = 0;
    assert_int_equal(fscanf(f, "%u", &n), 1);
    assert_int_equal(n, c.n);
    while (fscanf(f, "%u %u %lf", &d, &place, &expected) == 3) {
        kd_token tokens[4096];
        static char room[16384];
        assert_in_range(place, 0, cut(c.doc[d], tokens, room) - 1);
        uint32_t term = kd_tfidf_term(x, tokens[place].term);
        kd_vector v = kd_tfidf_vector(x, d);
        double got = -1;
        for (uint32_t k = 0; k < v.n; k++)
            if (v.tf[k].term == term)
                got = (double)v.tf[k].tf * kd_tfidf_idf(x, term) / kd_tfidf_norm(x, d);
        worst = fmax(worst, fabs(got - expected));
        checked++;
    }
    fclose(f);
    print_message("%s: %u documents, %u weights, worst difference %.3g\n", data, n, checked, worst);
    assert_true(checked > 100 && worst < 1e-6);
    kd_tfidf_free(x);
    free(c.doc);
    kd_arena_free(c.text);
}

static void test_online_retail(void **unused)
{
    (void)unused;
    compare("online_retail.csv.gz", "online_retail.txt");
}

static void test_taobao_titles(void **unused)
{
    (void)unused;
    compare("taobao_titles.txt.gz", "taobao_titles.txt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_sequences),
        cmocka_unit_test(test_online_retail),
        cmocka_unit_test(test_taobao_titles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
