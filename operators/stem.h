/* stem.h - a word's stem (Snowball) and the languages in which it is a stop word, with a memory of
 * the words seen most recently: a shop's words come again and again.
 *
 * The stop word lists are our own, short ones of function words (stopwords.c); a language without a
 * list has none. The memory changes no result.
 * @thread one
 */
#ifndef KD_STEM_H
#define KD_STEM_H

#include "base/kd.h"

typedef struct kd_stem kd_stem;

/* A language is a number below KD_LANGUAGES_MAX, or KD_NO_LANGUAGE. */
enum { KD_NO_LANGUAGE = -1, KD_LANGUAGES_MAX = 31 };
#define KD_STOP_ALWAYS (1u << 31) /* of any language: particles of scripts that are not stemmed */

/* `only`: the one language, NULL = all. KD_ECONFIG if there is no such. */
KD_CHECK kd_rc kd_stem_new(const char *only, kd_stem **out, kd_err *err);
void kd_stem_free(kd_stem *s);

/* By Snowball's name; KD_NO_LANGUAGE if it was not opened. */
int kd_stem_language(const kd_stem *s, const char *name);
const char *kd_stem_name(const kd_stem *s, int language);

/* The languages (bits by number) in whose list the word is. `hash` is kd_hash64(word). */
uint32_t kd_stem_stops(kd_stem *s, kd_str word, uint64_t hash);
/* The stem; borrowed until the next call. At most KD_STEM_MAX bytes: a longer one is the word. */
enum { KD_STEM_MAX = 64 };
kd_str kd_stem_of(kd_stem *s, int language, kd_str word, uint64_t hash);

/* Rows of { Snowball's name or "*", words separated by blanks }, ended by NULL. */
typedef struct kd_stop_list {
    const char *language, *words;
} kd_stop_list;
const kd_stop_list *kd_stop_lists(void);

#endif
