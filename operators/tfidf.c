#include "operators/tfidf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* A term of the document that is being set. */
typedef struct kd_merge {
    uint64_t hash;
    const kd_token *token; /* the first of its term */
    double tf;
    uint32_t term;
    bool is_new;
} kd_merge;

double kd_tfidf_log_1p(uint32_t df)
{
    return log(1.0 + df);
}

kd_rc kd_tfidf_new(kd_tfidf **out, kd_err *err)
{
    kd_tfidf *x = calloc(1, sizeof *x);
    if (x == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for terms");
    kd_rc rc = kd_ids_init(&x->terms, UINT32_MAX - 1, err);
    x->vectors = kd_slab_new();
    x->words = kd_slab_new();
    if (rc == KD_OK && (x->vectors == NULL || x->words == NULL))
        rc = kd_fail(err, KD_ENOMEM, "no memory for terms");
    if (rc != KD_OK) {
        kd_tfidf_free(x);
        return rc;
    }
    for (uint32_t df = 0; df < KD_LOGS; df++)
        x->log_1p[df] = kd_tfidf_log_1p(df);
    *out = x;
    return KD_OK;
}

void kd_tfidf_free(kd_tfidf *x)
{
    if (x == NULL)
        return;
    for (uint32_t t = 0; t < x->cap_terms; t++)
        free(x->term[t].post);
    kd_ids_dispose(&x->terms);
    kd_slab_free(x->vectors);
    kd_slab_free(x->words);
    free(x->term);
    free(x->doc);
    free(x->merge);
    free(x);
}

/* -- terms ------------------------------------------------------------------------------------ */

typedef struct word_head {
    uint16_t n;
} word_head;

/* The word beside a new term, where it is not the term itself. Running out of memory costs only the
 * looks of it. */
static void keep_word(kd_tfidf *x, kd_term *t, const kd_token *token)
{
    t->word = 0;
    if (token->word.n + 1 == token->term.n &&
        memcmp(token->word.p, token->term.p + 1, token->word.n) == 0)
        return;
    t->word = kd_slab_alloc(x->words, sizeof(word_head) + token->word.n);
    if (t->word == 0)
        return;
    word_head *h = kd_slab_ptr(x->words, t->word);
    h->n = (uint16_t)token->word.n;
    memcpy(h + 1, token->word.p, token->word.n);
}

kd_str kd_tfidf_word(const kd_tfidf *x, uint32_t term)
{
    if (x->term[term].word == 0) {
        kd_str s = kd_ids_get(&x->terms, term);
        return (kd_str){s.p + 1, s.n - 1};
    }
    const word_head *h = kd_slab_ptr(x->words, x->term[term].word);
    return (kd_str){(const char *)(h + 1), h->n};
}

bool kd_tfidf_is_number(const kd_tfidf *x, uint32_t term)
{
    if (kd_tfidf_kind(x, term) != KD_TERM_WORD)
        return false;
    kd_str s = kd_tfidf_word(x, term);
    for (uint32_t k = 0; k < s.n; k++)
        if ((s.p[k] < '0' || s.p[k] > '9') && s.p[k] != '.' && s.p[k] != ',')
            return false;
    return true;
}

static void release_if_unused(kd_tfidf *x, uint32_t term)
{
    kd_term *t = &x->term[term];
    if (t->df > 0 || t->pins > 0)
        return;
    if (t->word != 0) {
        word_head *h = kd_slab_ptr(x->words, t->word);
        kd_slab_release(x->words, t->word, sizeof *h + h->n);
    }
    free(t->post);
    *t = (kd_term){0};
    kd_ids_release(&x->terms, term);
}

/* Finds or makes the term, pins it, and makes room for one more document in its list. */
static kd_rc pin(kd_tfidf *x, kd_merge *m, kd_err *err)
{
    KD_TRY(kd_ids_intern(&x->terms, m->token->term, m->hash, &m->term, &m->is_new, err));
    if (!kd_grow((void **)&x->term, &x->cap_terms, m->term + 1, sizeof *x->term)) {
        kd_ids_release(&x->terms, m->term);
        return kd_fail(err, KD_ENOMEM, "no memory for %u terms", m->term + 1);
    }
    kd_term *t = &x->term[m->term];
    if (t->df == t->cap) {
        uint32_t cap = t->cap + t->cap / 2 + 1;
        kd_post *p = realloc(t->post, cap * sizeof *p);
        if (p == NULL) {
            if (m->is_new)
                kd_ids_release(&x->terms, m->term);
            return kd_fail(err, KD_ENOMEM, "no memory for %u documents of a term", cap);
        }
        t->post = p;
        t->cap = cap;
    }
    if (m->is_new)
        keep_word(x, t, m->token);
    t->pins++;
    return KD_OK;
}

static void unpin(kd_tfidf *x, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        x->term[x->merge[k].term].pins--;
        release_if_unused(x, x->merge[k].term);
    }
}

uint32_t kd_tfidf_term(const kd_tfidf *x, kd_str term)
{
    return kd_ids_find(&x->terms, term, kd_ids_hash(term));
}

int kd_tfidf_term_cmp(const kd_tfidf *x, uint32_t a, uint32_t b)
{
    uint64_t ha = x->terms.hash[a], hb = x->terms.hash[b];
    return ha != hb ? (ha < hb ? -1 : 1) : kd_ids_cmp(&x->terms, a, b);
}

/* -- documents -------------------------------------------------------------------------------- */

/* Sorts the tokens by (hash, bytes) into x->merge, equal terms summed in the order of the text. */
static kd_rc merge(kd_tfidf *x, const kd_token *tokens, uint32_t n, uint32_t *out_n, kd_err *err)
{
    if (!kd_grow((void **)&x->merge, &x->cap_merge, n, sizeof *x->merge))
        return kd_fail(err, KD_ENOMEM, "no memory for a document of %u terms", n);
    kd_merge *m = x->merge;
    uint32_t count = 0;
    for (uint32_t k = 0; k < n; k++) {
        const kd_token *t = &tokens[k];
        uint32_t at = count;
        int c = 1;
        while (at > 0) {
            c = m[at - 1].hash != t->hash ? (m[at - 1].hash < t->hash ? -1 : 1)
                                          : kd_str_cmp(m[at - 1].token->term, t->term);
            if (c <= 0)
                break;
            at--;
        }
        if (at > 0 && c == 0) {
            m[at - 1].tf += t->weight;
            continue;
        }
        memmove(&m[at + 1], &m[at], (count - at) * sizeof *m);
        m[at] = (kd_merge){.hash = t->hash, .token = t, .tf = t->weight};
        count++;
    }
    *out_n = count;
    return KD_OK;
}

/* True if the document is what x->merge says already. */
static bool is_same(const kd_tfidf *x, uint32_t doc, uint32_t n)
{
    if (!kd_tfidf_has(x, doc) || x->doc[doc].n != n)
        return false;
    kd_vector v = kd_tfidf_vector(x, doc);
    for (uint32_t k = 0; k < n; k++)
        if (v.tf[k].tf != (float)x->merge[k].tf ||
            x->terms.hash[v.tf[k].term] != x->merge[k].hash ||
            !kd_str_eq(kd_ids_get(&x->terms, v.tf[k].term), x->merge[k].token->term))
            return false;
    return true;
}

static kd_tf *entries_of(kd_tfidf *x, uint32_t doc)
{
    return kd_slab_ptr(x->vectors, x->doc[doc].block);
}

/* Takes the document out of the term's list; the last one takes its place. */
static void unlist(kd_tfidf *x, const kd_tf *e)
{
    kd_term *t = &x->term[e->term];
    kd_post last = t->post[--t->df];
    if (e->place == t->df)
        return;
    t->post[e->place] = last;
    kd_tf *other = entries_of(x, last.doc);
    while (other->term != e->term)
        other++;
    other->place = e->place;
}

static void set_n(kd_tfidf *x, uint32_t n)
{
    x->n = n;
    x->log_n = kd_tfidf_log_1p(n);
}

bool kd_tfidf_remove(kd_tfidf *x, uint32_t doc)
{
    if (!kd_tfidf_has(x, doc))
        return false;
    kd_doc *d = &x->doc[doc];
    if (d->n > 0) {
        kd_tf *e = entries_of(x, doc);
        for (uint32_t k = 0; k < d->n; k++) {
            unlist(x, &e[k]);
            release_if_unused(x, e[k].term);
        }
        kd_slab_release(x->vectors, d->block, d->n * sizeof *e);
    }
    x->n_entries -= d->n;
    *d = (kd_doc){0};
    set_n(x, x->n - 1);
    return true;
}

static void enlist(kd_tfidf *x, uint32_t doc, uint32_t block, uint32_t n)
{
    x->doc[doc] = (kd_doc){block, n, true};
    kd_tf *e = n == 0 ? NULL : kd_slab_ptr(x->vectors, block);
    for (uint32_t k = 0; k < n; k++) {
        const kd_merge *m = &x->merge[k];
        kd_term *t = &x->term[m->term];
        e[k] = (kd_tf){m->term, t->df, (float)m->tf};
        t->post[t->df++] = (kd_post){doc, (float)m->tf};
    }
    x->n_entries += n;
    set_n(x, x->n + 1);
}

kd_rc kd_tfidf_set(kd_tfidf *x, uint32_t doc, const kd_token *tokens, uint32_t n, bool *out_changed,
                   kd_err *err)
{
    uint32_t count = 0, pinned = 0, block = 0;
    KD_TRY(merge(x, tokens, n, &count, err));
    *out_changed = false;
    if (is_same(x, doc, count))
        return KD_OK;
    if (!kd_grow((void **)&x->doc, &x->cap_docs, doc + 1, sizeof *x->doc))
        return kd_fail(err, KD_ENOMEM, "no memory for %u documents", doc + 1);
    kd_rc rc = KD_OK;
    while (rc == KD_OK && pinned < count) {
        rc = pin(x, &x->merge[pinned], err);
        pinned += rc == KD_OK;
    }
    if (rc == KD_OK && count > 0) {
        block = kd_slab_alloc(x->vectors, count * sizeof(kd_tf));
        if (block == 0)
            rc = kd_fail(err, KD_ENOMEM, "no memory for a document of %u terms", count);
    }
    if (rc == KD_OK) {
        (void)kd_tfidf_remove(x, doc);
        enlist(x, doc, block, count);
        *out_changed = true;
    }
    unpin(x, pinned);
    return rc;
}

double kd_tfidf_norm(const kd_tfidf *x, uint32_t doc)
{
    kd_vector v = kd_tfidf_vector(x, doc);
    double sum = 0;
    for (uint32_t k = 0; k < v.n; k++) {
        double w = (double)v.tf[k].tf * kd_tfidf_idf(x, v.tf[k].term);
        sum += w * w;
    }
    return sqrt(sum);
}

/* -- checks ----------------------------------------------------------------------------------- */

static bool broken(const char *what, uint32_t at)
{
    fprintf(stderr, "tfidf: %s (%u)\n", what, at);
    return false;
}

static bool sane_doc(const kd_tfidf *x, uint32_t doc)
{
    kd_vector v = kd_tfidf_vector(x, doc);
    for (uint32_t k = 0; k < v.n; k++) {
        const kd_tf *e = &v.tf[k];
        const kd_term *t = &x->term[e->term];
        if (e->place >= t->df || t->post[e->place].doc != doc || t->post[e->place].tf != e->tf)
            return broken("I1: an entry is not where it says in the list", doc);
        if (k > 0 && kd_tfidf_term_cmp(x, v.tf[k - 1].term, e->term) >= 0)
            return broken("entries out of order", doc);
    }
    return true;
}

bool kd_tfidf_sane(const kd_tfidf *x)
{
    uint64_t entries = 0, posts = 0;
    uint32_t n = 0, terms = 0;
    for (uint32_t d = 0; d < x->cap_docs; d++) {
        if (!x->doc[d].is_here)
            continue;
        n++;
        entries += x->doc[d].n;
        if (!sane_doc(x, d))
            return false;
    }
    for (uint32_t t = 0; t < x->cap_terms; t++) {
        posts += x->term[t].df;
        terms += x->term[t].df > 0;
        if (x->term[t].pins > 0)
            return broken("a term is pinned", t);
    }
    if (n != x->n || entries != x->n_entries || posts != entries)
        return broken("I1: counts", n);
    return terms == x->terms.n_live ? true : broken("I2: terms", terms);
}

size_t kd_tfidf_bytes(const kd_tfidf *x)
{
    size_t posts = 0;
    for (uint32_t t = 0; t < x->cap_terms; t++)
        posts += (size_t)x->term[t].cap * sizeof(kd_post);
    return posts + x->cap_terms * sizeof(kd_term) + x->cap_docs * sizeof(kd_doc) +
           kd_slab_used_bytes(x->vectors) + kd_slab_used_bytes(x->words) + kd_ids_bytes(&x->terms) +
           kd_ids_text_bytes(&x->terms);
}
