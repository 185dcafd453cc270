/* text.h - what a product's texts say, as terms: segmentation, folding, stop words, stems.
 *
 *   begin -> add(field) ... -> end -> token[0..n)
 *
 * A text is folded by NFKC_Casefold (case, width, ligatures) and cut into words by ICU (UAX #29;
 * Chinese, Japanese and Thai by ICU's dictionaries; Chinese characters that these leave alone are
 * joined to words of two or three, and lists such as "2,3,4" are cut at their commas). A word is
 * stemmed by Snowball in the language of the document, and left out if it is a stop word of it.
 * Categories and brands are terms as a whole, of kinds of their own, so that no word equals a
 * brand.
 *
 * The language, where none is fixed: by script; among those of the Latin script the one most of
 * whose stop words occur in the document, English if there is none.
 *
 * Hostile text is bounded: max_bytes and max_tokens a document, KD_TERM_MAX bytes a term; what is
 * over is left out and counted. Bytes that are no UTF-8 are U+FFFD, which separates words. Plain
 * ASCII takes a short way that gives the same words as ICU (tests/unit/operators/test_text.c).
 * I1  equal fields give equal tokens: there is no memory of earlier documents
 * @thread one: a kd_text belongs to one owner at a time
 */
#ifndef KD_TEXT_H
#define KD_TEXT_H

#include "base/kd.h"

enum { KD_TERM_MAX = 64 }; /* bytes of a word, folded; a category or brand may have KD_NAME_MAX */
enum { KD_NAME_MAX = 200 };

/* The first byte of a term's bytes. */
typedef enum kd_term_kind {
    KD_TERM_BRAND = 'b',
    KD_TERM_CATEGORY = 'c',
    KD_TERM_WORD = 'w',
} kd_term_kind;

typedef struct kd_text_options {
    const char *language; /* "auto", "none", or a Snowball algorithm's name */
    bool keeps_stop_words;
    bool has_bigrams;    /* pairs of adjacent words are terms too */
    bool is_slow;        /* everything by ICU, for tests */
    uint32_t max_bytes;  /* of all fields of a document; >= 1 */
    uint32_t max_tokens; /* of a document; >= 1 */
} kd_text_options;

typedef struct kd_token {
    kd_str term;   /* kind byte, then the stem */
    kd_str word;   /* as it is to be shown: folded, not stemmed */
    uint64_t hash; /* kd_hash64(term) */
    double weight; /* of its field */
} kd_token;

typedef struct kd_text kd_text;

/* The choices of the option content.language, separated by |. */
#define KD_TEXT_LANGUAGES                                                                          \
    "auto|none|arabic|armenian|basque|catalan|danish|dutch|english|finnish|french|german|greek|"   \
    "hindi|hungarian|indonesian|irish|italian|lithuanian|nepali|norwegian|portuguese|romanian|"    \
    "russian|serbian|spanish|swedish|tamil|turkish|yiddish"

/* KD_ECONFIG: no such language. */
KD_CHECK kd_rc kd_text_new(const kd_text_options *o, kd_text **out, kd_err *err);
void kd_text_free(kd_text *t);

void kd_text_begin(kd_text *t);
/* Adds a field; null is nothing. Of a category's path ("Home > Lamps") each prefix is a term. */
KD_CHECK kd_rc kd_text_add(kd_text *t, kd_term_kind kind, kd_str s, double weight, kd_err *err);
/* The tokens in the order of the text, bigrams last; borrowed until the next begin. */
const kd_token *kd_text_end(kd_text *t, uint32_t *out_n);

/* The language that kd_text_end took ("english"), or "none". */
const char *kd_text_language(const kd_text *t);

/* The term of one name, as kd_text_add makes it of a brand or of a whole category: appended to
 * out[KD_NAME_MAX + 1]. Returns its length, 0: it says nothing. */
uint32_t kd_text_name(kd_text *t, kd_term_kind kind, kd_str name, char *out);

typedef struct kd_text_counts {
    uint64_t documents, tokens;
    uint64_t cut;       /* documents over max_bytes or max_tokens */
    uint64_t long_ones; /* words over KD_TERM_MAX, left out */
} kd_text_counts;
kd_text_counts kd_text_counts_of(const kd_text *t);

#endif
