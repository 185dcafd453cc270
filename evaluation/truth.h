/* truth.h - what shoppers took, as the judge of lists sees it: one reading of the log that all
 * configurations of a backtest are judged by.
 *
 * Test, then learn ("prequential", Gama, Sebastiao and Rodrigues 2013, Machine Learning 90(3)):
 * each event is a question to the list that had been published for its shopper before it. What is
 * asked together is a *unit*: one event, or the events of one shopper that follow each other with
 * one order_id or at one time (records of other shoppers may stand between them). All of a unit is
 * judged by the list before its first event; its wanted items are the distinct items of its events
 * but for cancellations.
 *
 * A wanted item is, by what its shopper did before the unit,
 *   new     he had nothing to do with it,
 *   re-buy  he had bought it (and not given it back) and buys it again,
 *   known   anything else: looked at before, or bought and now looked at.
 * A forget request makes of the shopper somebody new.
 *
 * I1 the truth depends on the records and their order alone, not on any configuration but the
 *    option `shopper`, which says who the shopper of a record is
 * I2 a unit is told (closed) when its shopper's next one begins, or at the end of the log: once
 * O(1) expected a record; 16 bytes a (shopper, item) pair at most, and about 100 a shopper.
 * @thread one
 */
#ifndef KD_TRUTH_H
#define KD_TRUTH_H

#include "base/arena.h"
#include "schemas/record.h"

typedef enum kd_wanted { KD_WANT_NEW, KD_WANT_KNOWN, KD_WANT_REBUY, KD_WANTS } kd_wanted;

enum { KD_UNIT_MAX = 4096 }; /* most wanted items of a unit: what follows is another one */

typedef struct kd_want {
    uint32_t item;
    bool is_purchase;         /* it was bought in this unit */
    bool was_met, was_bought; /* by its shopper, before the unit */
} kd_want;

kd_wanted kd_want_kind(const kd_want *w);

/* A closed unit. */
typedef struct kd_unit {
    uint32_t shopper;
    kd_ms time;        /* of its first event */
    int64_t n_before;  /* the shopper's earlier events */
    bool is_scored;    /* false: of the time, or of the shoppers, that only teach */
    uint32_t n_events; /* cancellations too */
    uint32_t n_wants;
    const kd_want *wants; /* in the order of the events */
} kd_unit;

/* What the truth says about one record. */
typedef struct kd_note {
    kd_ms time;    /* the record's */
    bool is_event; /* browse or purchase: shopper and item are numbers */
    bool starts_unit;
    bool is_first_contact; /* of this shopper with this item */
    bool is_new_shopper;
    uint32_t shopper;
    uint32_t item;         /* of catalogue records too */
    kd_str item_id;        /* as the truth keeps it: lives as long as the truth */
    const kd_unit *closed; /* the shopper's unit before the one that starts; NULL = none */
} kd_note;

typedef struct kd_truth kd_truth;

/* Which units are scored; the others only teach. */
typedef struct kd_truth_options {
    kd_ms score_from;     /* those that begin then or later; KD_MS_NONE = all */
    uint32_t part, parts; /* those of the shoppers whose id hashes to `part`, 1 to `parts`;
                             parts 0 = all */
} kd_truth_options;

KD_CHECK kd_rc kd_truth_new(const kd_truth_options *o, kd_truth **out, kd_err *err);
void kd_truth_free(kd_truth *t);
/* Takes the next record; `shopper` is whom it belongs to (null for catalogue records). What *out
 * borrows lives in `arena`. */
KD_CHECK kd_rc kd_truth_take(kd_truth *t, const kd_record *r, kd_str shopper, kd_arena *arena,
                             kd_note *out, kd_err *err);
/* Fetches what kd_truth_take of this record will touch: steps 0 to KD_TRUTH_STEPS - 1, each a few
 * records' work before the next. A matter of speed alone: it may be left out. */
enum { KD_TRUTH_STEPS = 3 };
void kd_truth_ahead(const kd_truth *t, const kd_record *r, kd_str shopper, int step);
/* At the end of the log: the units that are still open, by shopper number. */
KD_CHECK kd_rc kd_truth_end(kd_truth *t, kd_arena *arena, const kd_unit **out, uint32_t *out_n,
                            kd_err *err);
/* Shoppers and items met so far. */
uint32_t kd_truth_shoppers(const kd_truth *t);
uint32_t kd_truth_items(const kd_truth *t);

#endif
