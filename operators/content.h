/* content.h - which products are alike by what the catalogue says of them: TF-IDF vectors of all
 * products, and of each the list of its most similar ones.
 *
 *   catalogue record -> text -> tfidf (at once) -> due -> settle (epoch's end) -> lists
 *
 * Likeness is the cosine of two TF-IDF vectors, worked out exactly in double, its sums in the order
 * of tfidf.h, so that no slot number, search method or batch shows in it. A list holds the best
 * `neighbours` products that may be shown, by (likeness descending, id bytes ascending), with the
 * likeness that was exact when the list was last worked out.
 *
 * Every product changes every idf a little. Bound: a list has been worked out anew before the
 * products added, changed, hidden or removed since exceed drift * n, in a circle, 1 / drift lists a
 * change (amortised); drift 0: all after each change, then lists are a function of the catalogue
 * alone. Whatever a new text brings shows at once: its own list is made and it is offered to all
 * others. With drift, and once half of the products have lists, no epoch works out more than
 * KD_CONTENT_AT_ONCE of them, the new texts' first, so that a feed that changes everything holds
 * nobody up: until its turn a list says what it said, without what has another text by now.
 *
 * I1  a list names only products whose text is still the one that was compared (gen), or skips them
 * I2  norm[i] is at most as old as list i
 * Derived from the catalogue: not in the digest.
 * @thread one writer; any readers between writes
 */
#ifndef KD_CONTENT_H
#define KD_CONTENT_H

#include "operators/tfidf.h"

enum { KD_CONTENT_AT_ONCE = 256 };

typedef enum kd_content_search {
    KD_SEARCH_EXACT, /* inverted lists, cut off where nothing unseen can enter */
    KD_SEARCH_DENSE, /* projections by BLAS, the best rescored */
} kd_content_search;

typedef struct kd_content_options {
    kd_text_options text;
    double title, description, category, brand, tags; /* weights of the fields, 0 = left out */
    uint32_t neighbours;                              /* of a list, >= 1 */
    double drift;
    kd_content_search search;
    uint32_t dimension;  /* DENSE */
    uint32_t candidates; /* DENSE: rescored ones, >= neighbours */
    uint64_t seed;       /* DENSE: of the projection */
} kd_content_options;

/* What the catalogue says, as far as text goes. */
enum { KD_TAGS_MAX = 64 };
typedef struct kd_product {
    kd_str title, description, category, brand;
    kd_str tags[KD_TAGS_MAX];
    uint32_t n_tags;
    bool is_removed, is_hidden; /* hidden: removed, or not available */
} kd_product;

typedef struct kd_alike {
    double likeness; /* in (0, 1], up to rounding */
    uint32_t item;
    uint32_t gen;
} kd_alike;

typedef struct kd_content_item {
    double norm;
    double bar; /* least likeness of a full list, else 0: what an offer must beat */
    uint64_t text_hash;
    uint32_t list; /* block of kd_alike[n_list], 0 = none */
    uint32_t n_list;
    uint32_t category, brand; /* terms, KD_NO_SLOT = none; the category's whole path */
    bool is_hidden, is_due;
} kd_content_item;

typedef struct kd_content {
    kd_content_options opt;
    const kd_ids *ids; /* of items; borrowed */
    kd_text *text;
    kd_tfidf *tfidf;
    kd_content_item *item; /* [cap_items] by item slot */
    uint32_t *gen; /* [cap_gen] by item slot: raised whenever the text becomes another one */
    uint32_t cap_items, cap_gen;
    kd_slab *lists;
    uint32_t *due; /* [n_due] items whose text is another one, or that may be shown again */
    uint32_t n_due, cap_due;
    double owed;      /* lists to be worked out anew, at most one circle after settling */
    uint32_t n_lists; /* products that have one */
    uint32_t next;    /* the circle's hand */
    struct kd_content_space *space;
    struct kd_dense *dense; /* NULL: EXACT */
    uint64_t n_searches, n_scored;
} kd_content;

/* `ids` gives the order of equals; borrowed until free. */
KD_CHECK kd_rc kd_content_new(const kd_content_options *o, const kd_ids *ids, kd_content **out,
                              kd_err *err);
void kd_content_free(kd_content *x);

/* Takes in a product's newest version. KD_ENOMEM leaves all as it was. */
KD_CHECK kd_rc kd_content_set(kd_content *x, uint32_t item, const kd_product *p, kd_err *err);
/* The catalogue says nothing of the product any more, not even that it was removed. */
void kd_content_drop(kd_content *x, uint32_t item);
/* Brings the lists up to date, as far as they are due. KD_ENOMEM: some are still due. */
KD_CHECK kd_rc kd_content_settle(kd_content *x, kd_err *err);
/* Every list anew. */
KD_CHECK kd_rc kd_content_rebuild(kd_content *x, kd_err *err);

/* The list of an item, best first. Skip an entry for which kd_content_is_current is false, and what
 * is hidden by now. */
static inline const kd_alike *kd_content_list(const kd_content *x, uint32_t item, uint32_t *out_n)
{
    if (item >= x->cap_items || x->item[item].list == 0) {
        *out_n = 0;
        return NULL;
    }
    *out_n = x->item[item].n_list;
    return kd_slab_ptr(x->lists, x->item[item].list);
}
static inline bool kd_content_is_current(const kd_content *x, const kd_alike *a)
{
    return x->gen[a->item] == a->gen;
}

/* The cosine of two products by the weights of now; 0 if one has no text. */
double kd_content_cosine(const kd_content *x, uint32_t a, uint32_t b);
/* The terms that two products share, but for numbers, by what they add to the cosine, greatest
 * first. Returns how many are in out[max]. */
uint32_t kd_content_matched(const kd_content *x, uint32_t a, uint32_t b, uint32_t *out,
                            uint32_t max);

/* Slow twin of a list: every product compared. Returns the length. */
uint32_t kd_content_list_slow(const kd_content *x, uint32_t item, kd_alike *out);
bool kd_content_sane(const kd_content *x);
size_t kd_content_bytes(const kd_content *x);

#endif
