/* recommender.h - the workshop as the pipeline sees it: apply records to state (one writer),
 * answer for a shopper (any number of readers), know the state digest.
 *
 *   kd_recommender *r = kd_recommender_new(&options, &err)
 *   per epoch:  kd_recommender_apply(r, rec, &applied) for each record, in order     @thread loop
 *               kd_recommender_prepare(r)                                             @thread loop
 *               kd_recommender_answer(r, query, &update) for each distinct shopper   @thread any
 * worker
 *
 * The shopper of a record is decided here (option `shopper`).
 */
#ifndef KD_RECOMMENDER_H
#define KD_RECOMMENDER_H

#include "base/opt.h"
#include "operators/kd_op.h"
#include "operators/saver.h"

typedef struct kd_recommender kd_recommender;

/* The option rows of all operators ({0}-ended): usercf.*, history.*, recommend.*, ...
 * kd_options structs are bound by name through base/opt.h. */
const kd_opt *kd_recommender_opts(void);

/* Owned by the caller. `values` holds one value for each row of kd_recommender_opts(). */
KD_CHECK kd_rc kd_recommender_new(const kd_opt_values *values, kd_recommender **out, kd_err *err);
void kd_recommender_free(kd_recommender *r);

/* The id of the shopper a record belongs to under the option `shopper`; null: the record has none
 * (then it is a dead letter, KD_REASON_NO_SHOPPER). Browse, purchase and forget only. */
kd_str kd_recommender_shopper(const kd_recommender *r, const kd_record *rec);

/* Fetches into the cache what apply() of this record will look at: steps 0 to KD_AHEAD_STEPS - 1 of
 * one record in this order, each a few records' work after the one before, since each follows
 * addresses that the one before fetched. A matter of speed alone: steps may be left out. */
void kd_recommender_ahead(const kd_recommender *r, const kd_record *rec, int step, kd_ahead *x);

/* Applies one checked record. */
KD_CHECK kd_rc kd_recommender_apply(kd_recommender *r, const kd_record *rec, kd_applied *out,
                                    kd_err *err);
/* The same for a record of which kd_recommender_ahead (step 0 at least) filled *x. */
KD_CHECK kd_rc kd_recommender_apply_named(kd_recommender *r, const kd_record *rec,
                                          const kd_ahead *x, kd_applied *out, kd_err *err);

/* Ends the writing of an epoch: what readers share is brought up to date. */
KD_CHECK kd_rc kd_recommender_prepare(kd_recommender *r, kd_err *err);

/* A reader's own workspace: one per worker thread. */
typedef struct kd_reader_space kd_reader_space;
KD_CHECK kd_rc kd_reader_space_new(const kd_recommender *r, kd_reader_space **out, kd_err *err);
void kd_reader_space_free(kd_reader_space *w);

/* One question: who, and what triggered it. */
typedef struct kd_query {
    kd_str shopper_id;
    kd_ms time;     /* event time of the trigger: "now" for ages */
    kd_str item_id; /* the trigger's own item: never listed */
    kd_pos trigger;
    kd_str event_id;
} kd_query;

/* Answers q into *out, and into *near the neighbours that voted (NULL: not wanted); everything in
 * them is borrowed from `arena` or from state, and valid until the next apply() or reset of
 * `arena`. An unknown shopper gets an answer too. */
KD_CHECK kd_rc kd_recommender_answer(const kd_recommender *r, kd_reader_space *w, const kd_query *q,
                                     kd_arena *arena, kd_update *out, kd_similar *near,
                                     kd_err *err);

/* The neighbours alone, best first; borrowed from `arena`. */
KD_CHECK kd_rc kd_recommender_neighbours(const kd_recommender *r, kd_reader_space *w,
                                         const kd_query *q, kd_arena *arena, kd_similar *out,
                                         kd_err *err);

/* What the shopper is looking for, by the texts of the catalogue; borrowed from `arena` and from
 * state. Empty lists without `content`. */
KD_CHECK kd_rc kd_recommender_needs(const kd_recommender *r, kd_reader_space *w, const kd_query *q,
                                    kd_arena *arena, kd_needs *out, kd_err *err);

/* What somebody unknown did, for a question that teaches nothing. */
typedef struct kd_interaction {
    kd_str item_id;
    kd_action action;
    kd_ms time;
} kd_interaction;

/* Answers as for a shopper whose interactions are these and who is in no audience: a what-if
 * question, or the prefix of a held-out session. The last one's item is the trigger's own, and is
 * listed only if nothing is excluded; `now` is where ages count from. Fills *out (but for ids and
 * trigger) and *near; as kd_recommender_answer otherwise. State does not change. */
KD_CHECK kd_rc kd_recommender_ask(const kd_recommender *r, kd_reader_space *w,
                                  const kd_interaction *events, uint32_t n, kd_ms now,
                                  kd_arena *arena, kd_update *out, kd_similar *near, kd_err *err);

/* `emit: on-change`: true if the update of this fingerprint (kd_published_of, under the record's
 * term) differs from the last one published for the shopper.   @thread any worker */
bool kd_recommender_differs(const kd_recommender *r, kd_str shopper, uint32_t fingerprint);
/* The same, and notes it as published. Delivery state: not in the digest.   @thread loop */
bool kd_recommender_is_news(kd_recommender *r, kd_str shopper, uint32_t fingerprint);
/* The same for a shopper's needs: other names, or another order of them. */
bool kd_recommender_needs_are_news(kd_recommender *r, const kd_needs *x, uint32_t term);
/* A null of the shopper was published, who may have done something since that was not forgotten. */
void kd_recommender_unpublish(kd_recommender *r, kd_str shopper);

/* The state underneath, for tests, benchmarks and reports; borrowed, read only. */
const kd_state *kd_recommender_state(const kd_recommender *r);

kd_digest kd_recommender_digest(const kd_recommender *r);
/* The digest by a full pass over the state; must equal kd_recommender_digest. Slow. */
kd_digest kd_recommender_digest_slow(const kd_recommender *r);

/* Options that decide what the state is: a state that was saved under other values of them is not
 * this one. `value` is the text that is compared and shown; of a secret a hash. */
typedef struct kd_saved_option {
    const char *name;
    char value[40];
} kd_saved_option;
enum { KD_SAVED_OPTIONS = 5 };
void kd_recommender_saved_options(const kd_recommender *r, kd_saved_option out[KD_SAVED_OPTIONS]);

/* operators/saver.h on the recommender's state. A failed load leaves it fit to be freed only. */
KD_CHECK kd_rc kd_recommender_save(kd_recommender *r, kd_saver **out, kd_err *err);
KD_CHECK kd_rc kd_recommender_load(kd_recommender *r, uint32_t version, const kd_block_source *from,
                                   const kd_load_options *o, kd_saved *out, kd_err *err);

/* Takes all products out of the state, for a catalogue that is read again from its start: what was
 * removed from it meanwhile, and is no longer said to be, is gone then.   @thread loop */
void kd_recommender_drop_products(kd_recommender *r);

/* Counters for reports, by name; rows end with name NULL. */
typedef struct kd_stat {
    const char *name;
    int64_t value;
    const char *unit; /* "bytes", "count" */
} kd_stat;
const kd_stat *kd_recommender_stats(kd_recommender *r);

#endif
