/* content_search.c - the lists of content.h: search, offer, and what is due when.
 *
 * Search goes through the posting lists of the product's terms, the rarest first, and sums dot
 * products. As the vectors have length 1, whoever was not seen yet has a cosine of at most the
 * length of the query's rest; where that is below the k-th best seen, the long lists of frequent
 * terms need not be read (max-score pruning: Turtle, Flood 1995, Information Processing and
 * Management 31(6)). Those that can still enter are then worked out exactly, in the canonical
 * order.
 * @thread loop
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operators/content_internal.h"
#include "operators/dense.h"

/* Shorter posting lists are read without asking whether they need to be. */
enum { SHORT_LIST = 128 };
/* Room for the rounding of sums in another order. */
static const double slack = 1e-9;

void kd_content_space_dispose(kd_content_space *w)
{
    free(w->sum);
    free(w->touched);
    free(w->weight);
    free(w->query);
    free(w->best);
    free(w->entries);
    free(w->proposed);
    free(w->n_proposed);
}

static kd_rc fit_dense(kd_content *x, kd_err *err)
{
    kd_content_space *w = x->space;
    KD_TRY(kd_dense_fit(x->dense, x->cap_items, err));
    if (kd_grow((void **)&w->proposed, &w->cap_proposed, KD_DENSE_QUERIES * x->opt.candidates,
                sizeof *w->proposed) &&
        kd_grow((void **)&w->n_proposed, &w->cap_n_proposed, KD_DENSE_QUERIES,
                sizeof *w->n_proposed))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no memory for %u proposals", x->opt.candidates);
}

static kd_rc fit(kd_content *x, kd_err *err)
{
    kd_content_space *w = x->space;
    if (kd_grow((void **)&w->sum, &w->cap_items, x->cap_items, sizeof *w->sum) &&
        kd_grow((void **)&w->touched, &w->cap_touched, x->cap_items + 1, sizeof *w->touched) &&
        kd_grow((void **)&w->weight, &w->cap_terms, x->tfidf->cap_terms, sizeof *w->weight) &&
        kd_grow((void **)&w->best, &w->cap_best, x->opt.neighbours + 1, sizeof *w->best))
        return x->dense == NULL ? KD_OK : fit_dense(x, err);
    return kd_fail(err, KD_ENOMEM, "no memory to compare %u products", x->cap_items);
}

/* -- search ----------------------------------------------------------------------------------- */

static kd_rc make_query(kd_content *x, uint32_t item, kd_err *err)
{
    kd_content_space *w = x->space;
    kd_vector v = kd_tfidf_vector(x->tfidf, item);
    if (!kd_grow((void **)&w->query, &w->cap_query, v.n, sizeof *w->query))
        return kd_fail(err, KD_ENOMEM, "no memory for %u terms", v.n);
    for (uint32_t k = 0; k < v.n; k++) {
        uint32_t term = v.tf[k].term, at = k;
        kd_content_query q = {.term = term, .df = x->tfidf->term[term].df};
        q.weight = (double)v.tf[k].tf * kd_tfidf_idf(x->tfidf, term);
        for (; at > 0 && w->query[at - 1].df > q.df; at--)
            w->query[at] = w->query[at - 1];
        w->query[at] = q;
        w->weight[term] = q.weight;
    }
    w->n_query = v.n;
    return KD_OK;
}

static void clear(kd_content_space *w)
{
    for (uint32_t k = 0; k < w->n_touched; k++)
        w->sum[w->touched[k]] = 0;
    for (uint32_t k = 0; k < w->n_query; k++)
        w->weight[w->query[k].term] = 0;
    w->n_touched = w->n_query = w->n_best = 0;
}

/* The k-th greatest cosine among those seen, as far as it is summed; 0 if there are fewer. */
static double kth_best(const kd_content *x, uint32_t item, double norm)
{
    const kd_content_space *w = x->space;
    uint32_t k = x->opt.neighbours, n = 0;
    double heap[256];
    k = k < 256 ? k : 256;
    for (uint32_t t = 0; t < w->n_touched; t++) {
        uint32_t other = w->touched[t];
        if (other == item || x->item[other].is_hidden)
            continue;
        double l = w->sum[other] / (norm * x->item[other].norm);
        if (n == k && l <= heap[0])
            continue;
        uint32_t at;
        if (n < k) { /* sift up */
            for (at = n++; at > 0 && heap[(at - 1) / 2] > l; at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
        } else { /* the least goes: sift down */
            at = 0;
            for (uint32_t c; (c = 2 * at + 1) < n; at = c) {
                c += c + 1 < n && heap[c + 1] < heap[c];
                if (heap[c] >= l)
                    break;
                heap[at] = heap[c];
            }
        }
        heap[at] = l;
    }
    return n == k ? heap[0] : 0;
}

/* Adds what a term gives; `is_closed`: only to those that were seen before. */
static void read_list(kd_content *x, const kd_content_query *q, bool is_closed)
{
    kd_content_space *w = x->space;
    const kd_term *t = &x->tfidf->term[q->term];
    double idf = kd_tfidf_idf(x->tfidf, q->term), weight = q->weight * idf;
    for (uint32_t k = 0; k < t->df; k++) {
        uint32_t doc = t->post[k].doc;
        if (w->sum[doc] == 0) {
            if (is_closed)
                continue;
            w->touched[w->n_touched++] = doc;
        }
        w->sum[doc] += weight * (double)t->post[k].tf;
    }
}

/* How many of those seen may still reach the bar if they gain `most`. */
static uint32_t count_open(const kd_content *x, double norm, double bar, double most)
{
    const kd_content_space *w = x->space;
    uint32_t n = 0;
    for (uint32_t t = 0; t < w->n_touched; t++) {
        uint32_t other = w->touched[t];
        n += w->sum[other] + (most + slack - bar) * norm * x->item[other].norm >= 0;
    }
    return n;
}

/* Sums up what is needed. Returns the most that a cosine can still gain; *out_bar is the k-th best.
 * Comparing one product exactly costs about as much as EXACT_COST steps in a list. */
static double gather(kd_content *x, uint32_t item, double norm, double *out_bar)
{
    enum { EXACT_COST = 32 };
    kd_content_space *w = x->space;
    double rest = 0;
    bool is_closed = false;
    for (uint32_t k = 0; k < w->n_query; k++)
        rest += w->query[k].weight * w->query[k].weight;
    for (uint32_t k = 0; k < w->n_query; k++) {
        const kd_content_query *q = &w->query[k];
        if (q->df > SHORT_LIST && w->n_touched > x->opt.neighbours) {
            double most = sqrt(rest) / norm, bar = kth_best(x, item, norm);
            is_closed = is_closed || most + slack < bar;
            if (is_closed && count_open(x, norm, bar, most) < q->df / EXACT_COST) {
                *out_bar = bar;
                return most;
            }
        }
        read_list(x, q, is_closed);
        rest -= q->weight * q->weight;
        rest = rest > 0 ? rest : 0;
    }
    *out_bar = kth_best(x, item, norm);
    return 0;
}

/* The cosine, exactly: sums in the order of the other's entries, which is the canonical one. */
static double likeness(kd_content *x, double norm, uint32_t other)
{
    const kd_content_space *w = x->space;
    kd_vector v = kd_tfidf_vector(x->tfidf, other);
    double dot = 0, square = 0;
    for (uint32_t k = 0; k < v.n; k++) {
        double b = (double)v.tf[k].tf * kd_tfidf_idf(x->tfidf, v.tf[k].term);
        dot += w->weight[v.tf[k].term] * b;
        square += b * b;
    }
    x->n_scored++;
    double norms = norm * sqrt(square);
    return norms > 0 ? dot / norms : 0;
}

/* Puts an entry into a list of n at its place; the last one falls out of a full one. Returns the
 * new length. */
static uint32_t put(const kd_content *x, kd_alike *list, uint32_t n, kd_alike a)
{
    uint32_t max = x->opt.neighbours;
    if (n == max &&
        !kd_content_is_better(x, a.likeness, a.item, list[n - 1].likeness, list[n - 1].item))
        return n;
    uint32_t at = n < max ? n : n - 1;
    n = at + 1;
    for (; at > 0 &&
           kd_content_is_better(x, a.likeness, a.item, list[at - 1].likeness, list[at - 1].item);
         at--)
        list[at] = list[at - 1];
    list[at] = a;
    return n;
}

static void set_list(kd_content *x, uint32_t item, uint32_t block, uint32_t n)
{
    kd_content_item *it = &x->item[item];
    const kd_alike *list = kd_slab_ptr(x->lists, block);
    it->list = block;
    it->n_list = n;
    it->bar = n == x->opt.neighbours ? list[n - 1].likeness : 0;
}

/* All lists have the same size: the block of a full one. */
static size_t list_bytes(const kd_content *x)
{
    return x->opt.neighbours * sizeof(kd_alike);
}

void kd_content_drop_list(kd_content *x, uint32_t item)
{
    kd_content_item *it = &x->item[item];
    if (it->list == 0)
        return;
    kd_slab_release(x->lists, it->list, list_bytes(x));
    it->list = it->n_list = 0;
    it->bar = 0;
    x->n_lists--;
}

/* A block for the list of a product, if it has none. */
static kd_rc list_room(kd_content *x, uint32_t item, kd_err *err)
{
    kd_content_item *it = &x->item[item];
    if (it->list != 0)
        return KD_OK;
    it->list = kd_slab_alloc(x->lists, list_bytes(x));
    it->n_list = 0;
    it->bar = 0;
    if (it->list == 0)
        return kd_fail(err, KD_ENOMEM, "no memory for a list of products");
    x->n_lists++;
    return KD_OK;
}

/* Offers the product to another's list. */
static kd_rc offer(kd_content *x, uint32_t to, kd_alike a, kd_err *err)
{
    KD_TRY(list_room(x, to, err));
    kd_content_item *it = &x->item[to];
    kd_alike *list = kd_slab_ptr(x->lists, it->list);
    uint32_t n = 0;
    for (uint32_t k = 0; k < it->n_list; k++)
        if (list[k].item != a.item) /* an older version of it goes */
            list[n++] = list[k];
    set_list(x, to, it->list, put(x, list, n, a));
    return KD_OK;
}

/* Scores one other product exactly and puts it where it belongs. */
static kd_rc compare(kd_content *x, uint32_t item, uint32_t other, bool is_in, bool is_offered,
                     kd_err *err)
{
    kd_content_space *w = x->space;
    const kd_content_item *it = &x->item[item], *o = &x->item[other];
    double l = likeness(x, it->norm, other);
    if (is_in && l > 0)
        w->n_best = put(x, w->best, w->n_best, (kd_alike){l, other, x->gen[other]});
    if (is_offered && l >= o->bar && l > 0)
        return offer(x, other, (kd_alike){l, item, x->gen[item]}, err);
    return KD_OK;
}

static void take_list(kd_content *x, uint32_t item)
{
    kd_content_space *w = x->space;
    memcpy(kd_slab_ptr(x->lists, x->item[item].list), w->best, w->n_best * sizeof *w->best);
    set_list(x, item, x->item[item].list, w->n_best);
    clear(w);
}

/* Works out the list of a product; with `offers` it enters those of others. */
static kd_rc search(kd_content *x, uint32_t item, bool offers, kd_err *err)
{
    kd_content_space *w = x->space;
    kd_content_item *it = &x->item[item];
    double norm = it->norm = kd_tfidf_norm(x->tfidf, item), bar;
    if (norm == 0) {
        kd_content_drop_list(x, item);
        return KD_OK;
    }
    KD_TRY(list_room(x, item, err));
    KD_TRY(make_query(x, item, err));
    x->n_searches++;
    double more = gather(x, item, norm, &bar);
    kd_rc rc = KD_OK;
    offers = offers && !it->is_hidden;
    for (uint32_t k = 0; k < w->n_touched && rc == KD_OK; k++) {
        uint32_t other = w->touched[k];
        const kd_content_item *o = &x->item[other];
        double most = w->sum[other] / (norm * o->norm) + more + slack;
        bool is_in = !o->is_hidden && most >= bar, is_offered = offers && most >= o->bar;
        if (other != item && (is_in || is_offered))
            rc = compare(x, item, other, is_in, is_offered, err);
    }
    take_list(x, item);
    return rc;
}

/* -- dense ------------------------------------------------------------------------------------ */

static kd_rc project(kd_content *x, uint32_t item, kd_err *err)
{
    kd_content_space *w = x->space;
    kd_vector v = kd_tfidf_vector(x->tfidf, item);
    if (!kd_grow((void **)&w->entries, &w->cap_entries, v.n, sizeof *w->entries))
        return kd_fail(err, KD_ENOMEM, "no memory for %u terms", v.n);
    for (uint32_t k = 0; k < v.n; k++)
        w->entries[k] = (kd_dense_entry){x->tfidf->terms.hash[v.tf[k].term],
                                         (double)v.tf[k].tf * kd_tfidf_idf(x->tfidf, v.tf[k].term)};
    x->item[item].norm = kd_tfidf_norm(x->tfidf, item);
    kd_dense_set(x->dense, item, w->entries, v.n, x->item[item].norm);
    return KD_OK;
}

static kd_rc rescore(kd_content *x, uint32_t item, const uint32_t *proposed, uint32_t n,
                     bool offers, kd_err *err)
{
    kd_content_item *it = &x->item[item];
    if (it->norm == 0) {
        kd_content_drop_list(x, item);
        return KD_OK;
    }
    KD_TRY(list_room(x, item, err));
    KD_TRY(make_query(x, item, err));
    x->n_searches++;
    kd_rc rc = KD_OK;
    for (uint32_t k = 0; k < n && rc == KD_OK; k++)
        if (kd_tfidf_has(x->tfidf, proposed[k]))
            rc = compare(x, item, proposed[k], !x->item[proposed[k]].is_hidden,
                         offers && !it->is_hidden, err);
    take_list(x, item);
    return rc;
}

/* The lists of up to KD_DENSE_QUERIES products, which are projected already. */
static kd_rc search_dense(kd_content *x, const uint32_t *items, uint32_t n, bool offers,
                          kd_err *err)
{
    kd_content_space *w = x->space;
    uint32_t max = x->opt.candidates;
    KD_TRY(kd_dense_search(x->dense, items, n, max, w->proposed, w->n_proposed, err));
    for (uint32_t q = 0; q < n; q++)
        KD_TRY(rescore(x, items[q], w->proposed + (size_t)q * max, w->n_proposed[q], offers, err));
    return KD_OK;
}

/* The lists of n products, by whichever search. */
static kd_rc search_all(kd_content *x, const uint32_t *items, uint32_t n, bool offers, kd_err *err)
{
    for (uint32_t k = 0; k < n; k++) {
        if (x->dense == NULL)
            x->item[items[k]].norm = kd_tfidf_norm(x->tfidf, items[k]);
        else
            KD_TRY(project(x, items[k], err));
    }
    for (uint32_t k = 0; k < n && x->dense == NULL; k++)
        KD_TRY(search(x, items[k], offers, err));
    for (uint32_t k = 0; k < n && x->dense != NULL; k += KD_DENSE_QUERIES) {
        uint32_t some = n - k < KD_DENSE_QUERIES ? n - k : KD_DENSE_QUERIES;
        KD_TRY(search_dense(x, items + k, some, offers, err));
    }
    return KD_OK;
}

/* -- what is due ------------------------------------------------------------------------------ */

/* Takes due[from..to) out. */
static void no_longer_due(kd_content *x, uint32_t from, uint32_t to)
{
    for (uint32_t k = from; k < to; k++)
        x->item[x->due[k]].is_due = false;
    if (to < x->n_due)
        memmove(x->due + from, x->due + to, (x->n_due - to) * sizeof *x->due);
    x->n_due -= to - from;
}

/* Notes the next n products of the circle as due; one that has lost its text is passed over. */
static kd_rc turn(kd_content *x, uint32_t n, kd_err *err)
{
    if (!kd_grow((void **)&x->due, &x->cap_due, x->n_due + n, sizeof *x->due))
        return kd_fail(err, KD_ENOMEM, "no memory for %u products", n);
    for (uint32_t steps = x->cap_items; n > 0 && steps > 0; steps--) {
        x->next = x->next + 1 < x->cap_items ? x->next + 1 : 0;
        kd_content_item *it = &x->item[x->next];
        if (it->is_due || !kd_tfidf_has(x->tfidf, x->next))
            continue;
        it->is_due = true;
        x->due[x->n_due++] = x->next;
        n--;
    }
    return KD_OK;
}

kd_rc kd_content_rebuild(kd_content *x, kd_err *err)
{
    KD_TRY(fit(x, err));
    KD_TRY(turn(x, x->cap_items, err));
    KD_TRY(search_all(x, x->due, x->n_due, false, err));
    no_longer_due(x, 0, x->n_due);
    x->owed = 0;
    return KD_OK;
}

kd_rc kd_content_settle(kd_content *x, kd_err *err)
{
    if (x->n_due == 0 && x->owed < 1)
        return KD_OK;
    const uint32_t n = x->tfidf->n, n_due = x->n_due;
    const bool is_all = x->opt.drift == 0, is_loaded = x->n_lists >= n / 2;
    x->owed = x->owed < n ? x->owed : n;
    if (n_due + x->owed >= n && (is_all || !is_loaded)) /* all anew is less work */
        return kd_content_rebuild(x, err);
    const uint32_t most = is_all ? UINT32_MAX : KD_CONTENT_AT_ONCE;
    const uint32_t fresh = n_due < most ? n_due : most;
    const uint32_t again = x->owed < most - fresh ? (uint32_t)x->owed : most - fresh;
    KD_TRY(fit(x, err));
    KD_TRY(search_all(x, x->due, fresh, true, err));
    KD_TRY(turn(x, again, err));
    KD_TRY(search_all(x, x->due + n_due, x->n_due - n_due, false, err));
    no_longer_due(x, n_due, x->n_due);
    no_longer_due(x, 0, fresh);
    x->owed -= again;
    return KD_OK;
}
