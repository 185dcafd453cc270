/* update.h - what goes out: recommendation updates, neighbour lists, dead letters, null for a
 * forgotten shopper. Plain data; everything is borrowed until the call it is passed to returns.
 * @thread any
 */
#ifndef KD_UPDATE_H
#define KD_UPDATE_H

#include "base/buf.h"
#include "schemas/record.h"

/* What can add to the score of an item, in the order in which it is added up. */
typedef enum kd_part {
    KD_PART_USERCF,
    KD_PART_TOGETHER,
    KD_PART_CONTENT,
    KD_PART_POPULARITY,
    KD_PART_RULE,
    KD_PART_DIVERSITY,
    KD_PARTS
} kd_part;

/* User-CF's part, and what a rule makes of it, keep all bits; the others are floats: shares and
 * likenesses. */
static inline bool kd_part_is_float(int part)
{
    return part != KD_PART_USERCF && part != KD_PART_RULE;
}

/* "usercf" ... "diversity"; never NULL. */
const char *kd_part_name(kd_part part);

/* Which sentence a reason is: the symbols of the schema, in its order. */
typedef enum kd_why_kind {
    KD_KIND_SIMILAR_SHOPPERS,
    KD_KIND_TOGETHER,
    KD_KIND_YOUR_ITEM,
    KD_KIND_MATCHED_TERMS,
    KD_KIND_POPULAR,
    KD_KIND_OTHER, /* one that this build does not know */
    KD_KINDS
} kd_why_kind;

/* "SIMILAR_SHOPPERS" ... "OTHER"; never NULL. */
const char *kd_why_kind_name(kd_why_kind kind);

/* One reason of an item; what is unused is empty. */
typedef struct kd_why {
    kd_why_kind kind;
    uint32_t n_ids;
    const kd_str *ids; /* items or terms it speaks of */
    int64_t count;     /* -1 = none */
} kd_why;

/* score == the sum of parts[0..KD_PARTS) added in this order, exactly. */
typedef struct kd_item {
    kd_str item_id;
    double score;
    double parts[KD_PARTS]; /* 0 where there is none; a float's value where it is a float */
    const kd_why *reasons;
    uint32_t n_reasons;
    uint32_t has; /* bit p: there is part p; it may be 0, as of what fills a list with weight 0 */
} kd_item;

static inline bool kd_item_has(const kd_item *it, int part)
{
    return (it->has >> part & 1) != 0;
}

/* RecommendationUpdate: items ordered by (score descending, id bytes ascending). */
typedef struct kd_update {
    kd_str shopper_id;
    kd_ms time;       /* event time of the trigger */
    kd_ms state_time; /* newest event time the list reflects */
    kd_pos trigger;
    kd_str event_id; /* of the trigger, nullable */
    const kd_item *items;
    uint32_t n_items;
} kd_update;

typedef struct kd_neighbour {
    kd_str shopper_id;
    double similarity;
} kd_neighbour;

/* SimilarShoppers: ordered by (similarity descending, most recent activity, id). */
typedef struct kd_similar {
    kd_str shopper_id;
    kd_ms time;
    const kd_neighbour *neighbours;
    uint32_t n_neighbours;
} kd_similar;

typedef struct kd_need {
    kd_str name;
    double weight;
} kd_need;

/* ShopperNeeds: each list weightiest first, at equal weights by the bytes of the term. */
typedef struct kd_needs {
    kd_str shopper_id;
    kd_ms time;
    int64_t products; /* of the history that have a text */
    const kd_need *terms, *categories, *brands;
    uint32_t n_terms, n_categories, n_brands;
} kd_needs;

typedef struct kd_dead_letter {
    kd_pos pos;
    kd_reason reason;
    const char *message;     /* NUL-terminated */
    const void *key, *value; /* raw bytes; NULL = null */
    size_t key_len, value_len;
} kd_dead_letter;

/* ForgetReceipt: what was removed for one ForgetRequest. No id: a keyed hash. */
typedef struct kd_receipt {
    kd_str request_id;   /* nullable */
    kd_str shopper_hash; /* hex of the tombstone's keyed hash */
    kd_ms time;
    kd_pos trigger;
    int64_t interactions, postings, sessions; /* removed */
    kd_digest before, after;                  /* state digests */
} kd_receipt;

typedef enum kd_out_type {
    KD_OUT_UPDATE,
    KD_OUT_SIMILAR,
    KD_OUT_DEAD_LETTER,
    KD_OUT_FORGOTTEN, /* a null for this shopper on every compacted output topic */
    KD_OUT_RECEIPT,
    KD_OUT_NEEDS,
} kd_out_type;

typedef struct kd_out {
    kd_out_type type;
    kd_str encoded; /* what kd_out_encode appends, if it is made already; else null */
    union {
        const kd_update *update;
        const kd_similar *similar;
        const kd_dead_letter *dead_letter;
        kd_str forgotten; /* shopper id */
        const kd_receipt *receipt;
        const kd_needs *needs;
    };
} kd_out;

#endif
