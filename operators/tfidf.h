/* tfidf.h - documents as sparse vectors of term counts, kept up as they come, change and go.
 *
 * Kept are tf of each document, df of each term and n: never a product of them, since one new
 * document changes every idf. A weight is worked out when it is asked for:
 *
 *   idf(t) = ln((1 + n) / (1 + df(t))) + 1        weight(d, t) = tf(d, t) * idf(t) / norm(d)
 *   norm(d) = sqrt(sum over t of (tf(d, t) * idf(t))^2)
 *
 * which is what scikit-learn's TfidfVectorizer computes by default (smooth_idf, norm "l2",
 * sublinear_tf off); n counts documents without a term too. tf is the sum of the weights of the
 * term's tokens, so with weights of 1 a count.
 *
 * A document's entries are ordered by (hash of the term, its bytes): sums over them do not depend
 * on term numbers, which depend on arrival.
 * I1  df(t) = the number of documents with t = the length of t's posting list, and the entry of
 *     such a document says where in the list it is
 * I2  a term is here iff a document has it
 * Cost: setting a document costs its own terms only (old and new), each O(terms of one other
 * document). Memory: 12 bytes an entry, 8 a posting, about 60 a term besides its bytes.
 * @thread one writer; any readers between writes
 */
#ifndef KD_TFIDF_H
#define KD_TFIDF_H

#include "operators/ids.h"
#include "operators/text.h"

typedef struct kd_tf {
    uint32_t term;
    uint32_t place; /* in the term's posting list */
    float tf;
} kd_tf;

/* A document with a term; the order of a posting list means nothing. */
typedef struct kd_post {
    uint32_t doc;
    float tf;
} kd_post;

typedef struct kd_term {
    kd_post *post; /* owned, [cap] */
    uint32_t df, cap;
    uint32_t pins; /* keeps a term that is being set */
    uint32_t word; /* block in `words`, 0 = the term itself is what is shown */
} kd_term;

typedef struct kd_doc {
    uint32_t block; /* in `vectors` */
    uint32_t n;
    bool is_here;
} kd_doc;

enum { KD_LOGS = 4096 };

typedef struct kd_tfidf {
    kd_ids terms;  /* by kind byte and stem */
    kd_term *term; /* [cap_terms] by slot */
    kd_doc *doc;   /* [cap_docs] by the caller's number */
    uint32_t cap_terms, cap_docs;
    uint32_t n; /* documents */
    double log_n;
    double log_1p[KD_LOGS];
    kd_slab *vectors, *words; /* owned */
    struct kd_merge *merge;   /* [cap_merge] the document that is being set */
    uint32_t cap_merge;
    uint64_t n_entries;
} kd_tfidf;

typedef struct kd_vector {
    const kd_tf *tf;
    uint32_t n;
} kd_vector;

KD_CHECK kd_rc kd_tfidf_new(kd_tfidf **out, kd_err *err);
void kd_tfidf_free(kd_tfidf *x);

/* Sets a document, new or not. *out_changed: it is another one now. KD_ENOMEM leaves all as it
 * was. */
KD_CHECK kd_rc kd_tfidf_set(kd_tfidf *x, uint32_t doc, const kd_token *tokens, uint32_t n,
                            bool *out_changed, kd_err *err);
/* False: it was not here. Cannot fail. */
bool kd_tfidf_remove(kd_tfidf *x, uint32_t doc);

static inline bool kd_tfidf_has(const kd_tfidf *x, uint32_t doc)
{
    return doc < x->cap_docs && x->doc[doc].is_here;
}

/* Entries of a document (none if it is not here); borrowed until the next change. */
static inline kd_vector kd_tfidf_vector(const kd_tfidf *x, uint32_t doc)
{
    if (!kd_tfidf_has(x, doc) || x->doc[doc].n == 0)
        return (kd_vector){NULL, 0};
    return (kd_vector){kd_slab_ptr(x->vectors, x->doc[doc].block), x->doc[doc].n};
}

double kd_tfidf_log_1p(uint32_t df);

static inline double kd_tfidf_idf(const kd_tfidf *x, uint32_t term)
{
    uint32_t df = x->term[term].df;
    return x->log_n - (df < KD_LOGS ? x->log_1p[df] : kd_tfidf_log_1p(df)) + 1.0;
}

double kd_tfidf_norm(const kd_tfidf *x, uint32_t doc);

/* By kind byte and stem; KD_NO_SLOT: no document has it. */
uint32_t kd_tfidf_term(const kd_tfidf *x, kd_str term);
/* As it is to be shown: the word that first brought the term. Borrowed while it is here. */
kd_str kd_tfidf_word(const kd_tfidf *x, uint32_t term);
/* A word of digits alone, as of sizes and years: it counts for likeness, and says nothing to a
 * reader. */
bool kd_tfidf_is_number(const kd_tfidf *x, uint32_t term);
static inline kd_term_kind kd_tfidf_kind(const kd_tfidf *x, uint32_t term)
{
    return (kd_term_kind)kd_ids_get(&x->terms, term).p[0];
}
/* (hash, bytes) of two terms. */
int kd_tfidf_term_cmp(const kd_tfidf *x, uint32_t a, uint32_t b);

/* I1 and I2 by a full pass, for tests. */
bool kd_tfidf_sane(const kd_tfidf *x);
size_t kd_tfidf_bytes(const kd_tfidf *x);

#endif
