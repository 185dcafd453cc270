/* generate_words.h - what the seeded shop sells: words for plausible titles, in two languages.
 * @thread any: constants.
 */
#ifndef KD_GENERATE_WORDS_H
#define KD_GENERATE_WORDS_H

enum {
    KD_GEN_NOUNS = 6,
    KD_GEN_DEPARTMENTS = 16,
    KD_GEN_ADJECTIVES = 16,
    KD_GEN_MATERIALS = 12,
    KD_GEN_COLOURS = 12,
    KD_GEN_BRANDS = 20
};

/* A word in English and in Chinese. */
typedef struct kd_gen_word {
    const char *en, *zh;
} kd_gen_word;

typedef struct kd_gen_department {
    kd_gen_word name;
    kd_gen_word nouns[KD_GEN_NOUNS];
    int price_lo, price_hi; /* whole currency units */
} kd_gen_department;

extern const kd_gen_department kd_gen_departments[KD_GEN_DEPARTMENTS];
extern const kd_gen_word kd_gen_adjectives[KD_GEN_ADJECTIVES];
extern const kd_gen_word kd_gen_materials[KD_GEN_MATERIALS];
extern const kd_gen_word kd_gen_colours[KD_GEN_COLOURS];
extern const kd_gen_word kd_gen_brands[KD_GEN_BRANDS];

#endif
