#include "operators/text.h"

#include <stdlib.h>
#include <string.h>

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "base/buf.h"
#include "operators/stem.h"

/* NFKC_Casefold makes at most 18 UTF-16 units of one character (U+FDFA), which has 3 bytes. */
enum { UNITS_PER_BYTE = 6, TOKEN_BYTES = 4 * (KD_TERM_MAX + 2) };

typedef enum script {
    OTHER,
    LATIN,
    CYRILLIC,
    GREEK,
    ARABIC,
    ARMENIAN,
    DEVANAGARI,
    TAMIL,
    N_SCRIPTS
} script;

/* A word of the document, before its language is known. */
typedef struct piece {
    kd_str word;
    uint64_t hash;
    double weight;
    uint32_t stops;
    bool is_first; /* of its field: no bigram reaches back over it */
} piece;

struct kd_text {
    kd_text_options opt;
    kd_stem *stem;
    int fixed; /* language, where the options name one */
    int script_language[N_SCRIPTS];
    UBreakIterator *words;
    const UNormalizer2 *fold;
    UChar *wide, *folded; /* [max_bytes], [max_bytes * UNITS_PER_BYTE] */
    char *bytes;          /* [cap_bytes] the document's words and terms */
    size_t n_bytes, cap_bytes;
    piece *piece;                      /* [max_tokens] */
    kd_token *token;                   /* [2 * max_tokens] */
    uint32_t n_pieces, n_tokens, room; /* room: bytes of text that the document may still have */
    uint32_t n_script[N_SCRIPTS];
    bool is_cut;
    int language;
    kd_text_counts counts;
};

/* -- open and close --------------------------------------------------------------------------- */

static kd_rc icu_failed(UErrorCode e, kd_err *err)
{
    return kd_fail(err, e == U_MEMORY_ALLOCATION_ERROR ? KD_ENOMEM : KD_EBUG, "ICU: %s",
                   u_errorName(e));
}

static kd_rc open_icu(kd_text *t, kd_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    t->words = ubrk_open(UBRK_WORD, "", NULL, 0, &e);
    t->fold = U_SUCCESS(e) ? unorm2_getNFKCCasefoldInstance(&e) : NULL;
    if (U_SUCCESS(e))
        return KD_OK;
    return icu_failed(e, err);
}

static kd_rc open_languages(kd_text *t, kd_err *err)
{
    static const char *const of_script[N_SCRIPTS] = {
        [OTHER] = "english", [LATIN] = "english",     [CYRILLIC] = "russian", [GREEK] = "greek",
        [ARABIC] = "arabic", [ARMENIAN] = "armenian", [DEVANAGARI] = "hindi", [TAMIL] = "tamil",
    };
    bool is_auto = strcmp(t->opt.language, "auto") == 0;
    bool is_none = strcmp(t->opt.language, "none") == 0;
    KD_TRY(kd_stem_new(is_auto || is_none ? NULL : t->opt.language, &t->stem, err));
    t->fixed = is_auto || is_none ? KD_NO_LANGUAGE : 0;
    for (int s = 0; s < N_SCRIPTS; s++)
        t->script_language[s] = is_auto ? kd_stem_language(t->stem, of_script[s]) : t->fixed;
    return KD_OK;
}

kd_rc kd_text_new(const kd_text_options *o, kd_text **out, kd_err *err)
{
    KD_ASSERT(o->max_bytes >= 1 && o->max_tokens >= 1);
    kd_text *t = calloc(1, sizeof *t);
    if (t == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for texts");
    t->opt = *o;
    t->cap_bytes = (size_t)o->max_tokens * TOKEN_BYTES + KD_NAME_MAX;
    t->wide = calloc(o->max_bytes + 1, sizeof *t->wide);
    t->folded = calloc((size_t)o->max_bytes * UNITS_PER_BYTE + 1, sizeof *t->folded);
    t->bytes = malloc(t->cap_bytes);
    t->piece = calloc(o->max_tokens, sizeof *t->piece);
    t->token = calloc((size_t)o->max_tokens * 2, sizeof *t->token);
    kd_rc rc = KD_OK;
    if (t->wide == NULL || t->folded == NULL || t->bytes == NULL || t->piece == NULL ||
        t->token == NULL)
        rc = kd_fail(err, KD_ENOMEM, "no memory for texts");
    if (rc == KD_OK)
        rc = open_languages(t, err);
    t->opt.language = NULL; /* the caller's */
    if (rc == KD_OK)
        rc = open_icu(t, err);
    if (rc != KD_OK) {
        kd_text_free(t);
        return rc;
    }
    *out = t;
    return KD_OK;
}

void kd_text_free(kd_text *t)
{
    if (t == NULL)
        return;
    if (t->words != NULL)
        ubrk_close(t->words);
    kd_stem_free(t->stem);
    free(t->wide);
    free(t->folded);
    free(t->bytes);
    free(t->piece);
    free(t->token);
    free(t);
}

void kd_text_begin(kd_text *t)
{
    t->n_bytes = 0;
    t->n_pieces = t->n_tokens = 0;
    t->room = t->opt.max_bytes;
    t->is_cut = false;
    memset(t->n_script, 0, sizeof t->n_script);
}

/* -- words ------------------------------------------------------------------------------------ */

static script script_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        script s;
    } ranges[] = {
        {0x41, 0x24F, LATIN},       {0x370, 0x3FF, GREEK},  {0x400, 0x52F, CYRILLIC},
        {0x531, 0x58F, ARMENIAN},   {0x600, 0x6FF, ARABIC}, {0x750, 0x77F, ARABIC},
        {0x900, 0x97F, DEVANAGARI}, {0xB80, 0xBFF, TAMIL},  {0x1E00, 0x1EFF, LATIN},
        {0x1F00, 0x1FFF, GREEK},
    };
    for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++)
        if (c >= ranges[k].first && c <= ranges[k].last)
            return ranges[k].s;
    return OTHER;
}

/* n more bytes of the document's store, or NULL: it is full. */
static char *store(kd_text *t, size_t n)
{
    if (t->cap_bytes - t->n_bytes < n) {
        t->is_cut = true;
        return NULL;
    }
    t->n_bytes += n;
    return t->bytes + t->n_bytes - n;
}

static void add_one(kd_text *t, kd_str word, uint32_t c, double weight, bool is_first)
{
    if (word.n > KD_TERM_MAX) {
        t->counts.long_ones++;
        return;
    }
    char *p = t->n_pieces < t->opt.max_tokens ? store(t, word.n) : NULL;
    if (p == NULL) {
        t->is_cut = true;
        return;
    }
    memcpy(p, word.p, word.n);
    piece *x = &t->piece[t->n_pieces++];
    *x = (piece){.word = {p, word.n}, .weight = weight, .is_first = is_first};
    x->hash = kd_hash64(p, word.n, 0);
    x->stops = kd_stem_stops(t->stem, x->word, x->hash);
    t->n_script[script_of(c)]++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A comma or semicolon between digits joins them to ICU. It does in "3,000" and "0,75l"; "2,3,4"
 * and "iphone4,4s" are lists. */
static bool is_list(kd_str word)
{
    uint32_t n_commas = 0, group = 0;
    bool is_thousands = true;
    for (uint32_t k = 0; k <= word.n; k++) {
        bool is_comma = k < word.n && (word.p[k] == ',' || word.p[k] == ';');
        if (k == word.n || is_comma)
            is_thousands &= n_commas == 0 || group == 3;
        n_commas += is_comma;
        group = is_comma ? 0 : group + 1;
    }
    return n_commas > (is_digit(word.p[0]) ? 1 : 0) && !(is_thousands && is_digit(word.p[0]));
}

/* A folded word, whose first character is c. */
static void add_word(kd_text *t, kd_str word, uint32_t c, double weight, bool is_first)
{
    if (word.n > KD_TERM_MAX || !is_list(word)) {
        add_one(t, word, c, weight, is_first);
        return;
    }
    for (uint32_t from = 0, to; from < word.n; from = to + 1) {
        for (to = from; to < word.n && word.p[to] != ',' && word.p[to] != ';';)
            to++;
        if (to > from)
            add_one(t, (kd_str){word.p + from, to - from}, from == 0 ? c : '0', weight,
                    is_first && from == 0);
    }
}

/* UAX #29 on ASCII, as ICU has it: what stands between two letters or two digits may join them. */
typedef enum ascii_class {
    A_BREAK = 0,
    A_LETTER = 1,
    A_DIGIT = 2,
    A_JOIN = 4,       /* _ joins anything */
    A_MID_LETTER = 8, /* between letters */
    A_MID_DIGIT = 16, /* between digits */
} ascii_class;

static unsigned class_of(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return A_LETTER;
    if (c >= '0' && c <= '9')
        return A_DIGIT;
    switch (c) {
    case '_':
        return A_JOIN;
    case '.':
    case '\'':
        return A_MID_LETTER | A_MID_DIGIT;
    case ',':
    case ';':
        return A_MID_DIGIT;
    default:
        return A_BREAK;
    }
}

/* The end of the word that begins at `at`. */
static uint32_t ascii_word(const char *p, uint32_t n, uint32_t at, unsigned *out_classes)
{
    unsigned before = 0, all = 0;
    for (; at < n; at++) {
        unsigned c = class_of((unsigned char)p[at]);
        if ((c & (A_LETTER | A_DIGIT | A_JOIN)) == 0) {
            unsigned after = at + 1 < n ? class_of((unsigned char)p[at + 1]) : A_BREAK;
            unsigned joins = before == A_LETTER  ? A_MID_LETTER
                             : before == A_DIGIT ? A_MID_DIGIT
                                                 : 0;
            if ((c & joins) == 0 || after != before)
                break;
        }
        before = c;
        all |= c;
    }
    *out_classes = all;
    return at;
}

static bool is_ascii(const char *p, uint32_t n)
{
    unsigned char all = 0;
    for (uint32_t k = 0; k < n; k++)
        all |= (unsigned char)p[k];
    return all < 0x80;
}

static void lower(char *out, const char *p, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        out[k] = (char)(p[k] >= 'A' && p[k] <= 'Z' ? p[k] | 0x20 : p[k]);
}

static void add_ascii(kd_text *t, const char *p, uint32_t n, double weight)
{
    bool is_first = true;
    char word[KD_TERM_MAX + 1];
    for (uint32_t at = 0; at < n;) {
        if ((class_of((unsigned char)p[at]) & (A_LETTER | A_DIGIT | A_JOIN)) == 0) {
            at++;
            continue;
        }
        unsigned classes;
        uint32_t end = ascii_word(p, n, at, &classes), length = end - at;
        if ((classes & (A_LETTER | A_DIGIT)) != 0) {
            uint32_t kept = length <= KD_TERM_MAX ? length : KD_TERM_MAX + 1;
            lower(word, p + at, kept);
            add_word(t, (kd_str){word, kept}, (unsigned char)word[0], weight, is_first);
            is_first = false;
        }
        at = end;
    }
}

/* The text, folded, in t->folded. */
static kd_rc fold(kd_text *t, const char *p, uint32_t n, int32_t *out_n, kd_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    int32_t wide = 0;
    u_strFromUTF8WithSub(t->wide, (int32_t)t->opt.max_bytes + 1, &wide, p, (int32_t)n, 0xFFFD, NULL,
                         &e);
    if (U_FAILURE(e))
        return icu_failed(e, err);
    int32_t cap = (int32_t)(t->opt.max_bytes * UNITS_PER_BYTE);
    *out_n = unorm2_normalize(t->fold, t->wide, wide, t->folded, cap, &e);
    for (int32_t k = 0; U_SUCCESS(e) && k < *out_n; k++)
        if (t->folded[k] == '@') /* ICU would keep a mail address, and what looks like one, whole */
            t->folded[k] = ' ';
    return U_FAILURE(e) ? icu_failed(e, err) : KD_OK;
}

static bool has_alnum(const UChar *p, int32_t n)
{
    for (int32_t at = 0; at < n;) {
        UChar32 c;
        U16_NEXT(p, at, n, c);
        if (u_isalnum(c) || (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0)
            return true;
    }
    return false;
}

/* n units of folded text as a word. */
static void add_units(kd_text *t, const UChar *w, int32_t n, double weight, bool *is_first)
{
    char word[KD_TERM_MAX * 3];
    int32_t bytes = KD_TERM_MAX + 1, at = 0;
    UErrorCode e = U_ZERO_ERROR;
    UChar32 c;
    if (n <= KD_TERM_MAX)
        u_strToUTF8(word, (int32_t)sizeof word, &bytes, w, n, &e);
    if (U_FAILURE(e)) /* half a surrogate pair cannot come out of u_strFromUTF8 */
        return;
    U16_NEXT(w, at, n, c);
    add_word(t, (kd_str){word, (uint32_t)bytes}, (uint32_t)c, weight, *is_first);
    *is_first = false;
}

/* Chinese characters in a row that are each a word to ICU: its dictionary knows few of the words
 * that shops use, and half of what it makes of their titles are such. Two or three are a word, more
 * are pairs with the last three together, since most words have two. */
static void add_run(kd_text *t, const UChar *w, int32_t n, double weight, bool *is_first)
{
    for (int32_t at = 0, take; at < n; at += take) {
        take = n - at <= 3 ? n - at : 2;
        add_units(t, w + at, take, weight, is_first);
    }
}

static bool is_chinese(UChar c)
{
    return c >= 0x3400 && c <= 0x9FFF;
}

/* The letter that a run begins with: t恤, u盘. Behind the text is a 0. */
static bool is_letter(const UChar *w, int32_t n)
{
    return n == 1 && w[0] >= 'a' && w[0] <= 'z' && is_chinese(w[1]);
}

/* A character that may be part of a run: not a particle, and not the measure of a number ("10片").
 */
static bool is_lone(kd_text *t, const UChar *w, int32_t n, bool is_measure)
{
    char word[4];
    int32_t bytes = 0;
    UErrorCode e = U_ZERO_ERROR;
    if (n != 1 || is_measure || !is_chinese(w[0]))
        return false;
    u_strToUTF8(word, (int32_t)sizeof word, &bytes, w, 1, &e);
    kd_str s = {word, (uint32_t)bytes};
    return U_SUCCESS(e) &&
           (kd_stem_stops(t->stem, s, kd_hash64(s.p, s.n, 0)) & KD_STOP_ALWAYS) == 0;
}

static kd_rc add_wide(kd_text *t, const char *p, uint32_t n, double weight, kd_err *err)
{
    int32_t length;
    KD_TRY(fold(t, p, n, &length, err));
    UErrorCode e = U_ZERO_ERROR;
    ubrk_setText(t->words, t->folded, length, &e);
    if (U_FAILURE(e))
        return icu_failed(e, err);
    bool is_first = true;
    int32_t from = ubrk_first(t->words), to, run = from; /* of lone characters, up to `from` */
    for (; t->n_pieces < t->opt.max_tokens && (to = ubrk_next(t->words)) != UBRK_DONE; from = to) {
        const UChar *w = t->folded + from;
        bool begins = is_letter(w, to - from);
        if (begins) {
            add_run(t, t->folded + run, from - run, weight, &is_first);
            run = from;
        }
        if (begins || is_lone(t, w, to - from, from > 0 && u_isdigit(w[-1])))
            continue;
        add_run(t, t->folded + run, from - run, weight, &is_first);
        run = to;
        if (has_alnum(w, to - from))
            add_units(t, w, to - from, weight, &is_first);
    }
    if (t->n_pieces < t->opt.max_tokens)
        add_run(t, t->folded + run, from - run, weight, &is_first);
    else
        t->is_cut |= from < length;
    return KD_OK;
}

/* -- names ------------------------------------------------------------------------------------ */

/* Folds a name, trims it, and makes one blank of each run of blanks. Returns its length in
 * out[KD_NAME_MAX]; a longer one is cut at a character's end. */
static uint32_t fold_name(kd_text *t, const char *p, uint32_t n, char *out)
{
    char room[KD_NAME_MAX * 6 + 8];
    int32_t length = (int32_t)n, bytes = 0;
    UErrorCode e = U_ZERO_ERROR;
    if (is_ascii(p, n)) {
        bytes = (int32_t)(n < sizeof room ? n : sizeof room);
        lower(room, p, (uint32_t)bytes);
    } else if (fold(t, p, n, &length, NULL) == KD_OK) {
        int32_t most = KD_NAME_MAX * 2 < length ? KD_NAME_MAX * 2 : length;
        U16_SET_CP_START(t->folded, 0, most);
        u_strToUTF8(room, (int32_t)sizeof room, &bytes, t->folded, most, &e);
        if (U_FAILURE(e))
            return 0;
    }
    uint32_t k = 0;
    for (int32_t at = 0; at < bytes; at++) {
        bool is_blank = (unsigned char)room[at] <= ' ' || room[at] == 0x7F;
        if (is_blank && (k == 0 || out[k - 1] == ' '))
            continue;
        if (k == KD_NAME_MAX)
            break;
        out[k++] = is_blank ? ' ' : room[at];
    }
    while (k > 0 && ((unsigned char)out[k - 1] & 0xC0) == 0x80 && !kd_utf8_valid(out, k))
        k--;
    if (k > 0 && (unsigned char)out[k - 1] >= 0xC0)
        k--;
    while (k > 0 && out[k - 1] == ' ')
        k--;
    return k;
}

static bool is_path(char c)
{
    return c == '>' || c == '|' || c == '/';
}

/* Appends the next part of a category's path to out, of length *n ("home" -> "home > lamps").
 * Returns the place after it in s. */
static uint32_t next_part(kd_text *t, kd_str s, uint32_t at, char *out, uint32_t *n)
{
    uint32_t end = at;
    while (end < s.n && !is_path(s.p[end]))
        end++;
    char part[KD_NAME_MAX];
    uint32_t length = fold_name(t, s.p + at, end - at, part);
    uint32_t joint = *n == 0 ? 0 : 3;
    if (length > 0 && *n + joint + length <= KD_NAME_MAX) {
        memcpy(out + *n, " > ", joint);
        memcpy(out + *n + joint, part, length);
        *n += joint + length;
    }
    return end + 1;
}

uint32_t kd_text_name(kd_text *t, kd_term_kind kind, kd_str name, char *out)
{
    kd_str s = {name.p, name.n < t->opt.max_bytes ? name.n : t->opt.max_bytes};
    uint32_t n = 0;
    out[0] = (char)kind;
    if (kind == KD_TERM_CATEGORY)
        for (uint32_t at = 0; at < s.n;)
            at = next_part(t, s, at, out + 1, &n);
    else
        n = fold_name(t, s.p, s.n, out + 1);
    return n == 0 ? 0 : n + 1;
}

static void add_term(kd_text *t, kd_str term, kd_str word, double weight)
{
    if (t->n_tokens == 2 * t->opt.max_tokens) {
        t->is_cut = true;
        return;
    }
    t->token[t->n_tokens++] = (kd_token){term, word, kd_hash64(term.p, term.n, 0), weight};
}

static void add_name(kd_text *t, kd_term_kind kind, const char *name, uint32_t n, double weight)
{
    char *p = store(t, n + 1);
    if (p == NULL)
        return;
    p[0] = (char)kind;
    memcpy(p + 1, name, n);
    add_term(t, (kd_str){p, n + 1}, (kd_str){p + 1, n}, weight);
}

static void add_names(kd_text *t, kd_term_kind kind, kd_str s, double weight)
{
    char name[KD_NAME_MAX + 1];
    uint32_t n = 0, before = 0;
    if (kind != KD_TERM_CATEGORY) {
        n = kd_text_name(t, kind, s, name);
        if (n > 0)
            add_name(t, kind, name + 1, n - 1, weight);
        return;
    }
    for (uint32_t at = 0; at < s.n; before = n) {
        at = next_part(t, s, at, name, &n);
        if (n > before)
            add_name(t, kind, name, n, weight);
    }
}

kd_rc kd_text_add(kd_text *t, kd_term_kind kind, kd_str s, double weight, kd_err *err)
{
    if (s.p == NULL || s.n == 0 || weight <= 0)
        return KD_OK;
    if (s.n > t->room) {
        t->is_cut = true;
        s.n = t->room;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
            s.n--; /* not in the middle of a character */
    }
    t->room -= s.n;
    if (kind != KD_TERM_WORD)
        add_names(t, kind, s, weight);
    else if (!t->opt.is_slow && is_ascii(s.p, s.n))
        add_ascii(t, s.p, s.n, weight);
    else
        return add_wide(t, s.p, s.n, weight, err);
    return KD_OK;
}

/* -- the end ---------------------------------------------------------------------------------- */

static int language_of(const kd_text *t)
{
    if (t->script_language[LATIN] == t->fixed)
        return t->fixed; /* one for all, or none */
    script most = LATIN;
    for (int s = LATIN + 1; s < N_SCRIPTS; s++)
        if (t->n_script[s] > t->n_script[most])
            most = (script)s;
    int language = t->script_language[most];
    if (most != LATIN)
        return language;
    uint32_t hits[KD_LANGUAGES_MAX + 1] = {0};
    for (uint32_t k = 0; k < t->n_pieces; k++)
        for (uint32_t bits = t->piece[k].stops & ~KD_STOP_ALWAYS; bits != 0; bits &= bits - 1)
            hits[__builtin_ctz(bits)]++;
    for (int l = 0; l < KD_LANGUAGES_MAX; l++)
        if (hits[l] > hits[language])
            language = l;
    return language;
}

static bool add_stem(kd_text *t, const piece *x)
{
    kd_str stem = kd_stem_of(t->stem, t->language, x->word, x->hash);
    char *p = store(t, stem.n + 1);
    if (p == NULL)
        return false;
    p[0] = KD_TERM_WORD;
    memcpy(p + 1, stem.p, stem.n);
    add_term(t, (kd_str){p, stem.n + 1}, x->word, x->weight);
    return true;
}

/* "a b" of two adjacent words' tokens. */
static void add_bigram(kd_text *t, const kd_token *a, const kd_token *b)
{
    char *p = store(t, a->term.n + b->term.n + a->word.n + b->word.n + 1);
    if (p == NULL)
        return;
    char *w = p;
    memcpy(w, a->term.p, a->term.n);
    w += a->term.n;
    *w = ' ';
    memcpy(w + 1, b->term.p + 1, b->term.n - 1);
    w += b->term.n;
    kd_str term = {p, (uint32_t)(w - p)};
    memcpy(w, a->word.p, a->word.n);
    w[a->word.n] = ' ';
    memcpy(w + a->word.n + 1, b->word.p, b->word.n);
    add_term(t, term, (kd_str){w, a->word.n + b->word.n + 1}, b->weight);
}

const kd_token *kd_text_end(kd_text *t, uint32_t *out_n)
{
    t->language = language_of(t);
    uint32_t drops = t->opt.keeps_stop_words         ? 0
                     : t->language == KD_NO_LANGUAGE ? 0
                                                     : 1u << t->language | KD_STOP_ALWAYS;
    uint32_t first = t->n_tokens;
    for (uint32_t k = 0; k < t->n_pieces; k++) {
        piece *x = &t->piece[k];
        if ((x->stops & drops) != 0 || !add_stem(t, x)) {
            if (x->is_first && k + 1 < t->n_pieces)
                t->piece[k + 1].is_first = true;
            x->hash = 0; /* out */
            x->word.p = NULL;
        }
    }
    uint32_t at = first, end = t->n_tokens;
    for (uint32_t k = 0; t->opt.has_bigrams && k < t->n_pieces && at < end; k++) {
        if (t->piece[k].word.p == NULL)
            continue;
        if (at > first && !t->piece[k].is_first) {
            kd_token a = t->token[at - 1], b = t->token[at];
            add_bigram(t, &a, &b);
        }
        at++;
    }
    t->counts.documents++;
    t->counts.tokens += t->n_tokens;
    t->counts.cut += t->is_cut;
    *out_n = t->n_tokens;
    return t->token;
}

const char *kd_text_language(const kd_text *t)
{
    return kd_stem_name(t->stem, t->language);
}

kd_text_counts kd_text_counts_of(const kd_text *t)
{
    return t->counts;
}
