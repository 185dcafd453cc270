/* blend.h - a list from several methods at once: each gives an item a part, the score is the sum.
 *
 *   usercf      weight * share of the neighbours' similarity that votes for the item; the weight
 *               falls where there are few of them
 *   together    weight * share of the recent shoppers of the subject's newest item that took the
 *               item near it in time
 *   content     weight * mean likeness to the subject's newest items, by their lists of similar
 *               products, beyond the likeness at the list's end; the k-th newest counts 1 / k
 *   popularity  weight * share of the shoppers that one would expect to have it (trend.h); the
 *               weight falls with the subject's own items
 *   rule        what the shop's factors add or take (rules.h)
 *   diversity   -weight * greatest cosine to an item further up in the list (MMR: Carbonell,
 *               Goldstein 1998, SIGIR), so a list is still ordered by its scores
 *
 * Each share is in [0, 1] (with interaction weights of 1). Parts that are 0 are left out. Some are
 * floats (kd_part_is_float), and a score is its parts added as doubles in this order, exactly: the
 * parts are the explanation.
 *
 * Candidates are what neighbours voted for, what was taken together, what is like the newest items,
 * and the head of the trends (KD_TREND_TOP). Hidden and excluded items are none. Diversity and caps
 * of categories choose from the best KD_BLEND_POOL candidates for each place of the list.
 *
 * A full list of KD_BLEND_NEW_COUNT and more has a product that is new and that nobody has had, at
 * its last place if nowhere else, if there is one in the list of the newest item.
 * @thread any worker: reads state, writes its space
 */
#ifndef KD_BLEND_H
#define KD_BLEND_H

#include "operators/rules.h"
#include "operators/usercf_core.h"

enum { KD_BLEND_POOL = 8, KD_BLEND_NEW_COUNT = 5, KD_BLEND_CELLS = 256 };

typedef struct kd_blend_options {
    double usercf, together, content, popularity, diversity; /* weights, >= 0 */
    double few;                 /* neighbours at which user-CF's weight is half */
    double popularity_new;      /* more of popularity's, for a subject without items */
    double popularity_known;    /* own items at which a quarter of that is left */
    uint32_t count;             /* length of a list */
    uint32_t content_items;     /* newest items whose lists are read, >= 1 */
    uint32_t together_audience; /* recent shoppers of the newest item that are looked at */
    int64_t together_within_ms;
    uint32_t category_max; /* items of one category in a list, 0 = any number */
    int64_t new_ms;        /* how long a product is new that nobody has had, 0 = none is */
    bool has_reasons;
    const kd_rules *rules; /* borrowed; NULL = none */
} kd_blend_options;

/* An item that is like the newest ones. */
typedef struct kd_candidate {
    double content;      /* part */
    double gain;         /* the most that one own item gave to it */
    uint32_t item, from; /* from: that own item, if there was a gain */
} kd_candidate;

typedef struct kd_pick {
    double score;
    float diversity;     /* part */
    uint32_t item, slot; /* slot: of its other parts in the space */
} kd_pick;

/* A worker's room; {0} is empty. */
typedef struct kd_blend_space {
    uint16_t *company; /* [cap_company] by item slot: the shoppers that took it near the newest
                          item; zero between calls */
    uint32_t *taken;   /* [cap_taken] items with company, in order of first touch */
    uint32_t n_taken, cap_taken, cap_company;
    uint32_t together_item; /* that newest item, or KD_NO_SLOT */
    uint32_t looked;        /* shoppers of it that were looked at */
    uint32_t *mark;         /* [cap_mark] by item slot: candidate + 1; zero between calls */
    uint32_t cap_mark;
    kd_candidate *candidate; /* [cap_candidates], zero from n_candidates on */
    uint32_t n_candidates, cap_candidates;
    kd_pick *pool;                                   /* [cap_pool] */
    double (*parts)[KD_PARTS];                       /* [cap_parts] of picks, by their slots */
    uint32_t n_pool, cap_pool, cap_parts, free_slot; /* free_slot: of no pick */
    double share;                                    /* of one unit of user-CF's score */
    double popularity;                               /* weight, for this subject */
    double expected; /* share of the shoppers for one unit of trend */
    double bar;      /* what is surely below it does not come into the pool */
    float *about;    /* [cap_about] scores up to rounding */
    uint32_t cap_about;
    struct kd_like_list *list;   /* [n_list] of the newest items */
    float given[KD_BLEND_CELLS]; /* of these lists, to items by slot % KD_BLEND_CELLS */
    uint32_t *at;                /* [cap_at] entries of one list, or of about[] */
    uint32_t n_list, cap_list, cap_at;
    struct kd_blend_reasons *reasons;
} kd_blend_space;

void kd_blend_space_dispose(kd_blend_space *w);

/* Fetches into the cache what kd_blend of this subject will look at, step 0 some work before step 1
 * and that before the call. A matter of speed alone. */
void kd_blend_ahead(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                    int step);

/* The best of all, in order: picks[0..*out_n), at most o->count; after kd_usercf_score. */
KD_CHECK kd_rc kd_blend(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                        const kd_usercf_space *cf, kd_blend_space *w, kd_pick *picks,
                        uint32_t *out_n, kd_err *err);
/* True if the item may fill up a list of picks[0..n): its category has room, no rule keeps it out.
 */
bool kd_blend_may_fill(const kd_state *s, const kd_blend_options *o, const kd_pick *picks,
                       uint32_t n, uint32_t item);

/* Fills parts and score of a picked item; reasons too, into `arena`, if the options say so. */
KD_CHECK kd_rc kd_blend_items(const kd_state *s, const kd_blend_options *o,
                              const kd_subject *subject, const kd_usercf_space *cf,
                              kd_blend_space *w, const kd_pick *picks, uint32_t n, kd_arena *arena,
                              kd_item *out, kd_err *err);
/* Back to empty, for the next question. */
void kd_blend_clear(kd_blend_space *w);

#endif
