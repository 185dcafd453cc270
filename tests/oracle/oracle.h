/* oracle.h - the slow and obvious twin of the recommender: keeps every record it was given and
 * computes everything anew from the definitions of DESIGN sections 2 and 3, on id strings.
 * Includes no header of operators/.
 *
 * Records are kept as given; nothing is incremental. O(n^2) and worse: for small worlds.
 */
#ifndef KD_ORACLE_H
#define KD_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

enum { ORACLE_VIEW, ORACLE_LIKE, ORACLE_CART, ORACLE_PAID, ORACLE_CANCELLED };
enum { ORACLE_NONE, ORACLE_PURCHASED, ORACLE_SEEN };
enum { ORACLE_JACCARD, ORACLE_COSINE, ORACLE_IDF_COSINE, ORACLE_VSKNN, ORACLE_STAN };
enum { ORACLE_SAME, ORACLE_DIV, ORACLE_LINEAR, ORACLE_LOG, ORACLE_QUADRATIC };

enum { ORACLE_ID = 16, ORACLE_ROWS = 512 };

typedef struct oracle_options {
    int history_max, purchases_max, audience_max, neighbours, count, exclude, similarity;
    int overlap_min;
    bool fill;
    double fill_weight;
    int64_t retention_ms; /* 0 = none */
    double weight[4];
    int64_t half_life_ms, window_ms, exclude_for_ms; /* 0 = none */
    int links_max;
    double idf_exponent, idf_shared, idf_score;
    int vsknn_weight, vsknn_decay;
    double stan_recency, stan_distance;
    int64_t stan_age_ms;
    double vote_recency, vote_after, vote_before, vote_shared;
    bool is_blended; /* the rest is the blend's */
    double usercf, together, content, popularity, diversity;
    double popularity_new, popularity_known, few;
    int64_t new_ms;
    int content_items, content_neighbours, together_audience, category_max;
    int64_t together_within_ms, trend_half_life_ms;
    const char *boosted; /* one item with this factor; NULL = none */
    double boost;
} oracle_options;

enum {
    ORACLE_USERCF,
    ORACLE_TOGETHER,
    ORACLE_CONTENT,
    ORACLE_POPULARITY,
    ORACLE_RULE,
    ORACLE_DIVERSITY,
    ORACLE_PARTS
};

typedef struct oracle oracle;

oracle *oracle_new(const oracle_options *o);
void oracle_free(oracle *o);

void oracle_event(oracle *o, const char *shopper, const char *item, int action, int64_t time);
/* A record named both a user and a session; to be told also when the record was refused. */
void oracle_named(oracle *o, const char *user, const char *session, int64_t time);
void oracle_forget(oracle *o, const char *shopper, int64_t time);
/* The newest version wins; equal times are not used with different content. */
void oracle_catalog(oracle *o, const char *item, bool is_hidden, int64_t time);

/* What a catalogue version says; told beside oracle_catalog, `is_removed` takes the texts out.
 * Words of a title are separated by single blanks, steps of a category by " > "; all is lower case.
 */
void oracle_product(oracle *o, const char *item, const char *title, const char *category,
                    const char *brand, bool is_removed, int64_t time);

typedef struct oracle_row {
    char id[ORACLE_ID];
    double value;
    bool is_fill; /* lists: comes from popularity */
    double part[ORACLE_PARTS];
} oracle_row;

/* Best first; the return value is the number of rows (at most ORACLE_ROWS). */
int oracle_neighbours(const oracle *o, const char *shopper, int64_t now, oracle_row *out);
int oracle_list(const oracle *o, const char *shopper, const char *trigger_item, int64_t now,
                oracle_row *out);
/* Number of entries that the state must hold. */
int oracle_entries(const oracle *o);

#endif
