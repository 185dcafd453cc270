#include "operators/stem.h"

#include <stdlib.h>
#include <string.h>

#include <libstemmer.h>

#include "base/buf.h"

enum { N_SEEN = 1 << 13, SEEN_WORD = 22, N_STOPS = 1 << 12 };

/* A word seen before, 64 bytes: what is longer is not remembered. */
typedef struct seen {
    uint64_t hash; /* of the word */
    uint32_t stops;
    int8_t language; /* of `stem`; KD_NO_LANGUAGE: not stemmed yet */
    uint8_t n_word, n_stem, is_used;
    char word[SEEN_WORD], stem[SEEN_WORD];
} seen;

typedef struct stop {
    kd_str word; /* borrowed from the lists */
    uint32_t languages;
} stop;

struct kd_stem {
    struct sb_stemmer *stemmer[KD_LANGUAGES_MAX];
    const char *name[KD_LANGUAGES_MAX]; /* borrowed from Snowball */
    int n;
    stop stops[N_STOPS]; /* open addressing by hash */
    seen *seen;          /* [N_SEEN] by hash, one place each */
};

static stop *find_stop(kd_stem *s, kd_str word, uint64_t hash)
{
    for (uint64_t at = hash;; at++) {
        stop *x = &s->stops[at & (N_STOPS - 1)];
        if (x->word.p == NULL || kd_str_eq(x->word, word))
            return x;
    }
}

static void add_stops(kd_stem *s, const char *words, uint32_t languages)
{
    for (const char *p = words; *p != '\0';) {
        size_t n = strcspn(p, " ");
        kd_str word = {p, (uint32_t)n};
        stop *x = find_stop(s, word, kd_hash64(p, n, 0));
        x->word = word;
        x->languages |= languages;
        p += n + (p[n] == ' ');
    }
}

kd_rc kd_stem_new(const char *only, kd_stem **out, kd_err *err)
{
    kd_stem *s = calloc(1, sizeof *s);
    if (s == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for stems");
    s->seen = calloc(N_SEEN, sizeof *s->seen);
    const char **names = sb_stemmer_list();
    bool is_here = s->seen != NULL;
    for (; is_here && *names != NULL && s->n < KD_LANGUAGES_MAX; names++) {
        if (strcmp(*names, "porter") == 0 || (only != NULL && strcmp(*names, only) != 0))
            continue; /* porter is English's predecessor, not a language */
        s->stemmer[s->n] = sb_stemmer_new(*names, NULL);
        is_here = s->stemmer[s->n] != NULL;
        s->name[s->n++] = *names;
    }
    kd_rc rc = KD_OK;
    if (!is_here)
        rc = kd_fail(err, KD_ENOMEM, "no memory for stems");
    else if (s->n == 0)
        rc = kd_fail(err, KD_ECONFIG, "Snowball has no language \"%s\"", only);
    if (rc != KD_OK) {
        kd_stem_free(s);
        return rc;
    }
    for (const kd_stop_list *l = kd_stop_lists(); l->language != NULL; l++) {
        int language = kd_stem_language(s, l->language);
        if (language != KD_NO_LANGUAGE)
            add_stops(s, l->words, 1u << language);
        else if (strcmp(l->language, "*") == 0)
            add_stops(s, l->words, KD_STOP_ALWAYS);
    }
    *out = s;
    return KD_OK;
}

void kd_stem_free(kd_stem *s)
{
    if (s == NULL)
        return;
    for (int k = 0; k < s->n; k++)
        sb_stemmer_delete(s->stemmer[k]);
    free(s->seen);
    free(s);
}

int kd_stem_language(const kd_stem *s, const char *name)
{
    for (int k = 0; k < s->n; k++)
        if (strcmp(s->name[k], name) == 0)
            return k;
    return KD_NO_LANGUAGE;
}

const char *kd_stem_name(const kd_stem *s, int language)
{
    return language == KD_NO_LANGUAGE ? "none" : s->name[language];
}

/* The word's place, taken over from another word if need be; NULL: too long to be remembered. */
static seen *look(kd_stem *s, kd_str word, uint64_t hash)
{
    if (word.n > SEEN_WORD)
        return NULL;
    seen *x = &s->seen[hash & (N_SEEN - 1)];
    if (x->is_used && x->hash == hash && x->n_word == word.n &&
        memcmp(x->word, word.p, word.n) == 0)
        return x;
    *x = (seen){.hash = hash, .is_used = 1, .language = KD_NO_LANGUAGE, .n_word = (uint8_t)word.n};
    memcpy(x->word, word.p, word.n);
    x->stops = find_stop(s, word, hash)->languages;
    return x;
}

uint32_t kd_stem_stops(kd_stem *s, kd_str word, uint64_t hash)
{
    const seen *x = look(s, word, hash);
    return x != NULL ? x->stops : find_stop(s, word, hash)->languages;
}

kd_str kd_stem_of(kd_stem *s, int language, kd_str word, uint64_t hash)
{
    if (language == KD_NO_LANGUAGE)
        return word;
    seen *x = look(s, word, hash);
    if (x != NULL && x->language == language)
        return (kd_str){x->stem, x->n_stem};
    struct sb_stemmer *stemmer = s->stemmer[language];
    const void *p = sb_stemmer_stem(stemmer, (const sb_symbol *)word.p, (int)word.n);
    int n = p == NULL ? 0 : sb_stemmer_length(stemmer);
    kd_str stem = n <= 0 || n > KD_STEM_MAX ? word : (kd_str){p, (uint32_t)n};
    if (x != NULL && stem.n <= SEEN_WORD) {
        memcpy(x->stem, stem.p, stem.n);
        x->n_stem = (uint8_t)stem.n;
        x->language = (int8_t)language;
    }
    return stem;
}
