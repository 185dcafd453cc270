/* state.h - the interaction state: who did what when, kept both ways (H by shopper, P by item).
 *
 * State is a set (DESIGN section 2): an interaction is keyed (shopper, item, action), its value is
 * the latest event time seen. Everything here is a function of the set of accepted records.
 *
 * Kept for shopper u, oldest first by (time, item id bytes, action):
 *   H(u)  the greatest history.max entries (the tail of the list)
 *   older purchases and cancellations before them, up to purchases.max of those two actions
 *   I(u)  the items with a live entry in H(u); PAID is live iff t(PAID) > t(CANCELLED), CANCELLED
 *         never is. Exactly one entry of each item of I(u) carries KD_REP: its latest live one.
 * Kept for item i: P(i) = { u : i in I(u) }, ordered by (time of u's KD_REP entry, id bytes of u).
 *
 * I1  P is exactly the inverse of I                       (kd_state_sane)
 * I2  n_items[u] = |I(u)|; last[u] = time of u's newest entry
 * I3  every live shopper slot has an entry or a link; every live item slot has refs > 0; n_shoppers
 *     have an entry
 * I4  digest = the sum of the hashes of all entries, links, tombstones and catalogue entries
 * I5  no entry's time is before the horizon, or at or before its shopper's tombstone
 * I6  no link's time is before the horizon's day, or at or before its user's or session's tombstone
 * Memory: 10 bytes an entry, 4 bytes a posting, rounded up to block sizes; see kd_state_memory.
 * @thread one writer; any readers between writes
 */
#ifndef KD_STATE_H
#define KD_STATE_H

#include "base/buf.h"
#include "operators/audience.h"
#include "operators/expiry.h"
#include "operators/history.h"
#include "operators/ids.h"
#include "operators/kd_op.h"
#include "operators/links.h"
#include "operators/tombstones.h"

typedef struct kd_state_options {
    uint32_t history_max;   /* 1..KD_HISTORY_LIMIT */
    uint32_t purchases_max; /* 0..KD_HISTORY_LIMIT */
    int64_t retention_ms;   /* 0 = for ever */
    int64_t memory_max;     /* bytes in use (kd_state_used), 0 = no limit */
    unsigned char tombstone_key[KD_TOMBSTONE_KEY];
} kd_state_options;

typedef struct kd_catalog_entry kd_catalog_entry;
typedef struct kd_active kd_active;   /* operators/active.h */
typedef struct kd_content kd_content; /* operators/content.h */

typedef struct kd_item_state {
    kd_posting posting;
    uint32_t refs;    /* entries that name the item, plus one for a catalogue entry */
    uint32_t catalog; /* block of the catalogue entry, 0 = none */
    uint32_t catalog_bytes;
    bool is_hidden; /* removed from the catalogue, or not available: never recommended */
    uint32_t pop_prev, pop_next; /* in the list of items with the same |P(i)| (popularity.h) */
} kd_item_state;

/* The items that a certain number of shoppers have. */
typedef struct kd_pop_count {
    uint32_t first;        /* item slot + 1, 0 = none */
    uint32_t above, below; /* the next counts that have items; of 0: the least and the greatest */
} kd_pop_count;

struct kd_state {
    kd_state_options opt;
    kd_ids shoppers, items;
    kd_histories hist;   /* by shopper slot */
    kd_item_state *item; /* [item_cap] by item slot */
    uint32_t item_cap;
    kd_slab *postings;     /* owned: posting chunks */
    uint32_t spare_chunk;  /* block put aside for the next split of a posting list, 0 = none */
    kd_slab *catalog_text; /* owned: catalogue entries */
    kd_expiry expiry;      /* by shopper slot; used with retention or memory_max only */
    kd_tombstones tombs;
    kd_links links;
    kd_active *active;      /* owned; counts of the shoppers who are here, NULL = none are kept */
    struct kd_trend *trend; /* owned; what is popular now, NULL = not kept */
    kd_saver *saver;        /* borrowed; a snapshot that is being written, NULL = none */
    kd_content *content;    /* owned; what the catalogue's texts say, NULL = they are not read */
    kd_arena *forgotten;    /* owned: ids of the sessions that the last forget reached */
    kd_pop_count *pop;      /* [pop_cap] by |P(i)| (popularity.h) */
    uint32_t pop_cap;
    uint64_t pop_version; /* raised whenever a |P(i)| or is_hidden changes */
    uint64_t *published;  /* [published_cap] delivery state by shopper slot, 0 = none */
    uint32_t published_cap;
    kd_ms state_time;    /* newest event time of an accepted event or forget request */
    kd_ms horizon_base;  /* max(min(event time, record timestamp)) */
    kd_ms floor;         /* memory_max has put the horizon here; KD_MS_NONE = never */
    uint32_t n_shoppers; /* with an entry */
    int64_t n_entries, n_postings, n_expired, n_floors;
    uint32_t until_check; /* interactions until memory_max is looked at again */
    uint32_t tidy_next;   /* shopper slot that kd_state_tidy looks at next */
    kd_digest digest;
};

KD_CHECK kd_rc kd_state_new(const kd_state_options *opt, kd_state **out, kd_err *err);
void kd_state_free(kd_state *s);

/* Who did what when. `session` is another name that the record gives the shopper, or null: it links
 * the two. */
typedef struct kd_named_event {
    kd_name shopper, session, item;
    kd_action action;
    kd_ms time, ts; /* of the event and of its record */
} kd_named_event;

/* out->late: before the horizon; out->refused: behind the shopper's tombstone.
 * KD_ENOMEM leaves the state as it was. */
KD_CHECK kd_rc kd_state_interact(kd_state *s, const kd_named_event *x, kd_applied *out,
                                 kd_err *err);

/* Removes what the shopper did up to and at `time` and keeps a tombstone; the same for each session
 * linked to it, up to the link's time or `time`, whichever is earlier. Fills out->receipt's counts
 * and digests, and out->sessions. */
KD_CHECK kd_rc kd_state_forget(kd_state *s, kd_str shopper, kd_ms time, kd_ms ts, kd_applied *out,
                               kd_err *err);

/* Time of the newest version of a product that is in the catalogue. */
kd_ms kd_state_catalog_time(const kd_state *s, uint32_t item);
/* The newest title of a product; null if there is none. Borrowed until the next apply. */
kd_str kd_state_title(const kd_state *s, kd_str item_id);
/* Last writer by (time, canonical bytes). out->refused: an older version. */
KD_CHECK kd_rc kd_state_catalog(kd_state *s, const kd_record *rec, kd_applied *out, kd_err *err);

/* Reads all products into s->content, which is empty: for a state that was loaded. */
KD_CHECK kd_rc kd_state_catalog_read(kd_state *s, kd_err *err);

/* See kd_recommender_ahead; the hashes of *x are filled. */
void kd_state_ahead(const kd_state *s, int step, kd_ahead *x);

/* Looks at the next n shoppers, in a circle, and moves histories out of sparse slabs, so that what
 * growing and shrinking left behind goes back to the system. Changes no content.  O(n) */
void kd_state_tidy(kd_state *s, uint32_t n);

/* The slot of a shopper that has entries, or KD_NO_SLOT. */
uint32_t kd_state_shopper(const kd_state *s, kd_str id);
uint32_t kd_state_item(const kd_state *s, kd_str id);
/* The same, also if there are only links of this user. */
uint32_t kd_state_user(const kd_state *s, kd_str id);

/* The order of a list: true if (score, id) of item a comes before that of b. */
static inline bool kd_state_is_better(const kd_state *s, double score_a, uint32_t a, double score_b,
                                      uint32_t b)
{
    return score_a != score_b ? score_a > score_b : kd_ids_cmp(&s->items, a, b) < 0;
}

/* Everything before this time is out of the state; KD_MS_NONE: nothing is. */
kd_ms kd_state_horizon(const kd_state *s);

/* The digest by a full pass (slow twin of s->digest). */
kd_digest kd_state_digest_slow(const kd_state *s);
/* All invariants by a full pass; false after printing the first broken one to stderr. */
bool kd_state_sane(const kd_state *s);

/* Bytes in use: what an entry, a shopper, an item or a link costs, times how many there are. What
 * memory_max limits; fragmentation and spare room come on top.  O(items) */
size_t kd_state_used(const kd_state *s);
/* With memory_max: looks whether it is passed, now and then; if so, lets go of the oldest until a
 * sixteenth below it, by moving the horizon (`floor`, n_floors). */
void kd_state_limit(kd_state *s);

/* Bytes by component. Everything but id strings and catalogue text is counted in `total`. */
typedef struct kd_state_memory {
    size_t histories, postings, directories, shopper_slots, item_slots, links, active, other, total;
    size_t id_text, catalog_text;
} kd_state_memory;
void kd_state_memory_of(const kd_state *s, kd_state_memory *out);

#endif
