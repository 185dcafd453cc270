/* Any bytes as a product's fields: bounded, valid UTF-8 out, and twice the same. The first byte
 * chooses the options and the kind of the field. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operators/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static uint64_t terms(kd_text *t, kd_term_kind kind, kd_str s)
{
    uint32_t n;
    uint64_t h = 0;
    kd_text_begin(t);
    if (kd_text_add(t, kind, s, 1, NULL) != KD_OK ||
        kd_text_add(t, KD_TERM_WORD, s, 0.5, NULL) != KD_OK)
        abort();
    const kd_token *x = kd_text_end(t, &n);
    if (n > 128)
        abort();
    for (uint32_t k = 0; k < n; k++) {
        if (!kd_utf8_valid(x[k].term.p, x[k].term.n) || !kd_utf8_valid(x[k].word.p, x[k].word.n) ||
            x[k].term.n > 2 * (KD_NAME_MAX + 1))
            abort();
        h = kd_hash64(x[k].term.p, x[k].term.n, h);
    }
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static kd_text *text[4];
    static const char *const languages[] = {"auto", "auto", "german", "none"};
    static const kd_term_kind kinds[] = {KD_TERM_WORD, KD_TERM_BRAND, KD_TERM_CATEGORY};
    if (n == 0)
        return 0;
    unsigned which = p[0] & 3;
    if (text[which] == NULL) {
        kd_text_options o = {.language = languages[which],
                             .has_bigrams = which == 1,
                             .is_slow = which == 2,
                             .max_bytes = 1024,
                             .max_tokens = 64};
        if (kd_text_new(&o, &text[which], NULL) != KD_OK)
            abort();
    }
    kd_term_kind kind = kinds[(p[0] >> 2) % 3];
    char *copy = malloc(n); /* exactly as long, so that a read past the end is seen */
    if (copy == NULL)
        return 0;
    memcpy(copy, p + 1, n - 1);
    kd_str s = {copy, (uint32_t)n - 1};
    if (terms(text[which], kind, s) != terms(text[which], kind, s))
        abort();
    free(copy);
    return 0;
}
