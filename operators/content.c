#include "operators/content.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operators/content_internal.h"
#include "operators/dense.h"

kd_rc kd_content_new(const kd_content_options *o, const kd_ids *ids, kd_content **out, kd_err *err)
{
    KD_ASSERT(o->neighbours >= 1 && o->drift >= 0);
    kd_content *x = calloc(1, sizeof *x);
    if (x == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for products' texts");
    x->opt = *o;
    x->ids = ids;
    x->lists = kd_slab_new();
    x->space = calloc(1, sizeof *x->space);
    kd_rc rc = x->lists == NULL || x->space == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory for products' texts")
                   : KD_OK;
    if (rc == KD_OK)
        rc = kd_text_new(&o->text, &x->text, err);
    x->opt.text.language = NULL; /* the caller's */
    if (rc == KD_OK)
        rc = kd_tfidf_new(&x->tfidf, err);
    if (rc == KD_OK && o->search == KD_SEARCH_DENSE)
        rc = kd_dense_new(o->dimension, o->seed, &x->dense, err);
    if (rc != KD_OK) {
        kd_content_free(x);
        return rc;
    }
    *out = x;
    return KD_OK;
}

void kd_content_free(kd_content *x)
{
    if (x == NULL)
        return;
    if (x->space != NULL)
        kd_content_space_dispose(x->space);
    free(x->space);
    kd_text_free(x->text);
    kd_tfidf_free(x->tfidf);
    kd_dense_free(x->dense);
    kd_slab_free(x->lists);
    free(x->item);
    free(x->gen);
    free(x->due);
    free(x);
}

/* -- one product ------------------------------------------------------------------------------ */

static uint64_t hash_str(kd_str s, uint64_t seed)
{
    return kd_hash64(s.p == NULL ? "" : s.p, s.n, seed + (s.p == NULL));
}

static uint64_t hash_of(const kd_product *p)
{
    uint64_t h = hash_str(p->title, 1);
    h = hash_str(p->description, h);
    h = hash_str(p->category, h);
    h = hash_str(p->brand, h);
    for (uint32_t t = 0; t < p->n_tags; t++)
        h = hash_str(p->tags[t], h);
    return h;
}

static kd_rc read_text(kd_content *x, const kd_product *p, const kd_token **out, uint32_t *out_n,
                       kd_err *err)
{
    kd_text *t = x->text;
    kd_text_begin(t);
    KD_TRY(kd_text_add(t, KD_TERM_WORD, p->title, x->opt.title, err));
    KD_TRY(kd_text_add(t, KD_TERM_CATEGORY, p->category, x->opt.category, err));
    KD_TRY(kd_text_add(t, KD_TERM_BRAND, p->brand, x->opt.brand, err));
    for (uint32_t k = 0; k < p->n_tags; k++)
        KD_TRY(kd_text_add(t, KD_TERM_WORD, p->tags[k], x->opt.tags, err));
    KD_TRY(kd_text_add(t, KD_TERM_WORD, p->description, x->opt.description, err));
    *out = kd_text_end(t, out_n);
    return KD_OK;
}

/* The whole path is the longest of the terms of a kind: the others are its prefixes. */
static uint32_t name_of(const kd_tfidf *x, uint32_t item, kd_term_kind kind)
{
    uint32_t best = KD_NO_SLOT, length = 0;
    kd_vector v = kd_tfidf_vector(x, item);
    for (uint32_t k = 0; k < v.n; k++) {
        kd_str s = kd_ids_get(&x->terms, v.tf[k].term);
        if (s.p[0] == (char)kind && s.n > length) {
            best = v.tf[k].term;
            length = s.n;
        }
    }
    return best;
}

/* Everything that can fail besides the text itself. */
static kd_rc make_room(kd_content *x, uint32_t item, kd_err *err)
{
    if (kd_grow((void **)&x->gen, &x->cap_gen, item + 1, sizeof *x->gen) &&
        kd_grow((void **)&x->item, &x->cap_items, item + 1, sizeof *x->item) &&
        kd_grow((void **)&x->due, &x->cap_due, x->n_due + 1, sizeof *x->due))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no memory for %u products", item + 1);
}

static void note_due(kd_content *x, uint32_t item)
{
    if (x->item[item].is_due)
        return;
    x->item[item].is_due = true;
    x->due[x->n_due++] = item;
}

/* What a change makes due of others' lists. */
static void owe(kd_content *x)
{
    x->owed += x->opt.drift > 0 ? 1 / x->opt.drift : INFINITY;
}

kd_rc kd_content_set(kd_content *x, uint32_t item, const kd_product *p, kd_err *err)
{
    KD_TRY(make_room(x, item, err));
    kd_content_item *it = &x->item[item];
    uint64_t hash = hash_of(p);
    bool was_here = kd_tfidf_has(x->tfidf, item), changed = false;
    if (p->is_removed) {
        changed = kd_tfidf_remove(x->tfidf, item);
    } else if (!was_here || it->text_hash != hash) {
        const kd_token *tokens;
        uint32_t n;
        KD_TRY(read_text(x, p, &tokens, &n, err));
        KD_TRY(kd_tfidf_set(x->tfidf, item, tokens, n, &changed, err));
        it->text_hash = hash;
    }
    bool shows_again = it->is_hidden && !p->is_hidden;
    bool hides = was_here && !it->is_hidden && p->is_hidden; /* its place in a list is another's */
    it->is_hidden = p->is_hidden;
    if (changed) {
        x->gen[item]++;
        it->category = name_of(x->tfidf, item, KD_TERM_CATEGORY);
        it->brand = name_of(x->tfidf, item, KD_TERM_BRAND);
        it->norm = kd_tfidf_norm(x->tfidf, item);
    }
    if (changed || hides)
        owe(x);
    if (changed || shows_again)
        note_due(x, item);
    return KD_OK;
}

void kd_content_drop(kd_content *x, uint32_t item)
{
    if (item >= x->cap_items)
        return;
    kd_content_item *it = &x->item[item];
    it->is_hidden = false;
    kd_content_drop_list(x, item);
    if (!kd_tfidf_remove(x->tfidf, item))
        return;
    x->gen[item]++;
    it->category = it->brand = KD_NO_SLOT;
    it->norm = 0;
    owe(x);
}

/* -- likeness --------------------------------------------------------------------------------- */

double kd_content_cosine(const kd_content *x, uint32_t a, uint32_t b)
{
    const kd_tfidf *m = x->tfidf;
    kd_vector va = kd_tfidf_vector(m, a), vb = kd_tfidf_vector(m, b);
    double dot = 0;
    uint32_t j = 0;
    for (uint32_t k = 0; k < va.n; k++) {
        int c = 1;
        while (j < vb.n && (c = kd_tfidf_term_cmp(m, vb.tf[j].term, va.tf[k].term)) < 0)
            j++;
        if (j == vb.n)
            break;
        if (c == 0) {
            double idf = kd_tfidf_idf(m, va.tf[k].term);
            dot += (double)va.tf[k].tf * idf * ((double)vb.tf[j].tf * idf);
        }
    }
    double norms = kd_tfidf_norm(m, a) * kd_tfidf_norm(m, b);
    return norms > 0 ? dot / norms : 0;
}

uint32_t kd_content_matched(const kd_content *x, uint32_t a, uint32_t b, uint32_t *out,
                            uint32_t max)
{
    const kd_tfidf *m = x->tfidf;
    kd_vector va = kd_tfidf_vector(m, a), vb = kd_tfidf_vector(m, b);
    enum { MOST = 8 };
    double gain[MOST];
    uint32_t n = 0;
    uint64_t seen = 0; /* of b's terms the low bits: most terms of a are not among them */
    max = max < MOST ? max : MOST;
    for (uint32_t j = 0; j < vb.n; j++)
        seen |= 1ull << (vb.tf[j].term & 63);
    for (uint32_t k = 0; k < va.n; k++) {
        uint32_t term = va.tf[k].term, j = 0;
        if ((seen >> (term & 63) & 1) == 0)
            continue;
        while (j < vb.n && vb.tf[j].term != term) /* titles are short: no order is needed */
            j++;
        if (j == vb.n)
            continue;
        double idf = kd_tfidf_idf(m, term);
        double g = (double)va.tf[k].tf * idf * ((double)vb.tf[j].tf * idf);
        if ((n == max && g <= gain[n - 1]) || kd_tfidf_is_number(m, term))
            continue;
        uint32_t at = n < max ? n++ : n - 1;
        for (; at > 0 && gain[at - 1] < g; at--) {
            gain[at] = gain[at - 1];
            out[at] = out[at - 1];
        }
        gain[at] = g;
        out[at] = term;
    }
    return n;
}

/* -- checks ----------------------------------------------------------------------------------- */

bool kd_content_is_better(const kd_content *x, double la, uint32_t a, double lb, uint32_t b)
{
    return la != lb ? la > lb : kd_ids_cmp(x->ids, a, b) < 0;
}

uint32_t kd_content_list_slow(const kd_content *x, uint32_t item, kd_alike *out)
{
    uint32_t n = 0;
    for (uint32_t other = 0; other < x->cap_items; other++) {
        if (other == item || x->item[other].is_hidden || !kd_tfidf_has(x->tfidf, other))
            continue;
        double l = kd_content_cosine(x, item, other);
        if (l <= 0 || (n == x->opt.neighbours &&
                       !kd_content_is_better(x, l, other, out[n - 1].likeness, out[n - 1].item)))
            continue;
        uint32_t at = n < x->opt.neighbours ? n++ : n - 1;
        for (; at > 0 && kd_content_is_better(x, l, other, out[at - 1].likeness, out[at - 1].item);
             at--)
            out[at] = out[at - 1];
        out[at] = (kd_alike){l, other, x->gen[other]};
    }
    return n;
}

static bool broken(const char *what, uint32_t item)
{
    fprintf(stderr, "content: %s (slot %u)\n", what, item);
    return false;
}

bool kd_content_sane(const kd_content *x)
{
    uint32_t n_due = 0, n_lists = 0;
    for (uint32_t i = 0; i < x->cap_items; i++) {
        const kd_content_item *it = &x->item[i];
        uint32_t n;
        const kd_alike *list = kd_content_list(x, i, &n);
        n_due += it->is_due;
        n_lists += it->list != 0;
        if (n > x->opt.neighbours)
            return broken("a list is too long", i);
        if (!it->is_due && it->bar != (n == x->opt.neighbours ? list[n - 1].likeness : 0))
            return broken("the bar is not the last of a full list", i);
        for (uint32_t k = 0; k < n; k++) {
            if (list[k].item == i || list[k].item >= x->cap_items)
                return broken("a list names itself, or nothing", i);
            if (k > 0 && !kd_content_is_better(x, list[k - 1].likeness, list[k - 1].item,
                                               list[k].likeness, list[k].item))
                return broken("a list is out of order", i);
        }
    }
    if (n_due != x->n_due)
        return broken("count of due ones", n_due);
    if (n_lists != x->n_lists)
        return broken("count of lists", n_lists);
    return kd_tfidf_sane(x->tfidf);
}

size_t kd_content_bytes(const kd_content *x)
{
    return kd_tfidf_bytes(x->tfidf) + kd_slab_used_bytes(x->lists) +
           x->cap_items * sizeof *x->item + x->cap_due * sizeof *x->due +
           (x->dense == NULL ? 0 : kd_dense_bytes(x->dense));
}
