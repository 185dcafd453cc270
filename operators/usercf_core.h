/* usercf_core.h - user-based collaborative filtering on the state: gather, neighbours, scores.
 * Pure functions on state; all memory is the reader's own space. DESIGN section 3.
 *
 *   gather      c(v) = number of items i of the subject with v in P_m(i)       O(|I(u)| * m)
 *   neighbours  the k best v by (similarity, most recent activity, id bytes), greatest first
 *   score       s(i) = sum over neighbours v, in that order, of sim(v) * weight(v, i)
 *
 * The weighted similarities share the gather and sum a weight of u's item beside the count; what
 * they are is in similarity.h.
 *
 * The subject is a list of items and the shoppers that it is (a user and its linked sessions), so
 * that a question about somebody unknown is asked the same way.
 * @thread any worker: reads state, writes its space
 */
#ifndef KD_USERCF_CORE_H
#define KD_USERCF_CORE_H

#include "operators/similarity.h"
#include "operators/state.h"

enum { KD_VOTE_NEAR = 32 };

typedef struct kd_usercf_options {
    kd_similarity similarity;
    uint32_t neighbours;       /* k >= 1 */
    uint32_t overlap_min;      /* least c of a neighbour, >= 1 */
    uint32_t audience_max;     /* m >= 1 */
    double weight[KD_ACTIONS]; /* of an interaction by its action; CANCELLED is not used */
    int64_t half_life_ms;      /* 0 = none: weight of an interaction halves with this age */
    int64_t window_ms;         /* 0 = none: an interaction older than this has weight 0 */
    double idf_exponent;       /* KD_IDF_COSINE, >= 0 */
    double idf_shared;         /* KD_VSKNN, KD_STAN: power of kd_idf_share in an item's weight */
    double idf_score;          /* score of item i is multiplied with 1 + idf_score * idf(i) */
    kd_fall vsknn_weight, vsknn_decay;
    double stan_recency, stan_distance; /* steps; 0 = off */
    int64_t stan_age_ms;                /* 0 = off */
    kd_vote vote;
    /* kd_usercf_options_ready sets what follows: */
    bool is_plain;  /* all interactions have weight 1 */
    bool has_place; /* a vote depends on the place of the shared item in the neighbour's history */
    bool has_first; /* it depends on which item is the shared one */
    double share[2 * KD_VOTE_NEAR + 1]; /* what places up to KD_VOTE_NEAR away get of a vote */
} kd_usercf_options;

void kd_usercf_options_ready(kd_usercf_options *o);

/* What the list is for. */
typedef struct kd_subject {
    const uint32_t *items; /* distinct slots of I(u) that the state knows */
    uint32_t n_items;
    const uint32_t *step;   /* [n_items] events from the newest one to the item's; ascending */
    uint32_t size;          /* |I(u)|, with those that it does not know */
    uint32_t length;        /* events in all: step < length */
    const uint32_t *bought; /* slots of what was bought and not cancelled: for exclusion */
    uint32_t n_bought;
    const uint32_t *self; /* slots that are the shopper itself: no neighbours */
    uint32_t n_self;
    kd_ms now; /* ages count from here */
} kd_subject;

typedef struct kd_near {
    double rank; /* orders as the similarity does, exactly (see kd_similarity_rank) */
    kd_ms last;  /* most recent activity */
    uint32_t slot;
    uint32_t c;
    uint32_t first; /* place in the subject's items of the most recent shared one (has_first) */
} kd_near;

/* Candidates of equal (c, |I(v)|) have equal similarity: a cell. With at most this many cells the
 * k best are found by counting instead of comparing. */
#define KD_CELLS 65536u

/* A reader's room. After kd_usercf_neighbours: near[0..n_near) and
 * sim[0..n_near), best first. After kd_usercf_score: score[] of
 * items[0..n_items), until kd_usercf_clear. An item excluded beforehand has score -infinity. */
typedef struct kd_usercf_space {
    uint16_t *count;   /* [cap_shoppers] zero between calls */
    uint32_t *touched; /* [cap_shoppers + 1] */
    uint32_t cap_shoppers;
    struct kd_mass *mass; /* [cap_mass] weighted: by shopper; valid where count > 0 */
    uint32_t cap_mass;
    double *weight; /* [cap_weight] weighted: of the subject's items */
    uint32_t cap_weight;
    double *score;   /* [cap_items] zero between calls */
    uint32_t *items; /* [cap_items + 1] items with votes, in order of first touch; has_voters: the
                        excluded among them, too */
    uint32_t cap_items, n_items;
    uint64_t *voters; /* [cap_voters] has_voters: bit t = neighbour t has the item; else zero */
    uint32_t cap_voters;
    bool wants_voters;  /* set by the owner */
    bool has_voters;    /* until kd_usercf_clear */
    uint32_t *excluded; /* [cap_excluded] */
    uint32_t n_excluded, cap_excluded;
    kd_near *near, *spare; /* [cap_near] */
    double *sim;           /* [cap_near] similarity of near[] */
    double sims;           /* after kd_usercf_score: their sum, in this order */
    uint32_t n_near, cap_near;
    uint16_t *cell; /* [cap_cell] cell of touched[] */
    uint32_t cap_cell;
    uint32_t *cell_n; /* [KD_CELLS] candidates in a cell; zero between calls */
    bool *is_marked;  /* [KD_CELLS] false between calls */
    uint16_t *marked; /* [KD_CELLS] the marked cells, best first */
} kd_usercf_space;

void kd_usercf_space_dispose(kd_usercf_space *w);
/* Grows the space to the state's size. */
KD_CHECK kd_rc kd_usercf_space_fit(kd_usercf_space *w, const kd_state *s, kd_err *err);

KD_CHECK kd_rc kd_usercf_neighbours(const kd_state *s, const kd_usercf_options *o,
                                    const kd_subject *subject, kd_usercf_space *w, kd_err *err);

/* Marks an item that must not be listed; before kd_usercf_score. */
KD_CHECK kd_rc kd_usercf_exclude(kd_usercf_space *w, uint32_t item, kd_err *err);
bool kd_usercf_is_excluded(const kd_usercf_space *w, uint32_t item);
/* Where each interaction weighs 1 and no more than 64 neighbours vote, who votes for an item is
 * noted on the way, if wanted. */
void kd_usercf_score(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                     kd_usercf_space *w);
/* The same from the t-th neighbour alone, before what idf_score multiplies. */
void kd_usercf_score_of(const kd_state *s, const kd_usercf_options *o, const kd_subject *subject,
                        uint32_t t, kd_usercf_space *w);
/* Back to zero, for the next question. */
void kd_usercf_clear(kd_usercf_space *w);

/* weight(v, item of entry k) = the greatest weight(action) * 2^(-age / half-life) over v's live
 * interactions with the item in H(v); k is its KD_REP entry. age = max(0, now - time). Evaluated
 * when read, from the time that is stored: nothing is rescanned as time goes by. */
double kd_interaction_weight(const kd_usercf_options *o, const kd_entries *e, uint32_t begin,
                             uint32_t k, kd_ms now);

#endif
