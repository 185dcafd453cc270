/* score.h - the judge of one configuration: knows the last list that was published to each
 * shopper, and holds each unit of the truth against the list that was there when it began.
 *
 *   per epoch:  kd_scorer_note for each of its records, in order
 *               kd_scorer_publish for each list of it, in order
 *   at the end: kd_scorer_unit for each unit that is still open
 *
 * I1 a unit is judged by the list that its shopper had when it began, whatever is published while
 *    it lasts; one without a list then is counted (`unanswered`) and not judged
 * I2 lists are cut at the longest cut-off
 * I3 popularity, for novelty and the share of popular items, is what it was when a list was
 *    published: shoppers who had to do with an item so far. Popular are the items that at least as
 *    many shoppers took as the one at POPULAR of 100 in that order, at the start of the window, and
 *    10 items at least
 * O(longest cut-off * wanted items) a unit, one look-up a listed item. A shopper costs two lists
 * and a row of sums.   @thread one
 */
#ifndef KD_SCORE_H
#define KD_SCORE_H

#include "base/buf.h"
#include "evaluation/windows.h"
#include "schemas/update.h"

enum { KD_SCORE_PARTS = KD_PARTS + 1 }; /* and "none" */
enum { KD_POPULAR_PERCENT = 1, KD_POPULAR_LEAST = 10 };

/* What one part of the answers (user-CF, popularity, ...) did. An item's part is the one that
 * gave it most of its score. */
typedef struct kd_part_sums {
    const char *name;
    int64_t items; /* listed */
    int64_t lists; /* that hold one of them */
    int64_t hits;  /* that were wanted, of all units */
} kd_part_sums;

typedef struct kd_scorer kd_scorer;

KD_CHECK kd_rc kd_scorer_new(const kd_cutoffs *c, kd_ms window, kd_scorer **out, kd_err *err);
void kd_scorer_free(kd_scorer *s);

/* What the truth said about the next record (kd_truth_take). */
KD_CHECK kd_rc kd_scorer_note(kd_scorer *s, const kd_note *n, kd_err *err);
/* A list went out to a shopper, by the truth's number. */
KD_CHECK kd_rc kd_scorer_publish(kd_scorer *s, uint32_t shopper, const kd_update *u, kd_err *err);
KD_CHECK kd_rc kd_scorer_unit(kd_scorer *s, const kd_unit *u, kd_err *err);

/* -- what came of it; borrowed while the scorer lives -- */

const kd_cutoffs *kd_scorer_cutoffs(const kd_scorer *s);
/* Groups of shoppers that there are rows for. */
uint32_t kd_scorer_groups(const kd_scorer *s);
const double *kd_scorer_row(const kd_scorer *s, uint32_t group, kd_segment segment);
/* [kd_row_columns] means over a group's shoppers' own means, as sums: [0] is how many shoppers. */
void kd_scorer_by_shopper(const kd_scorer *s, uint32_t group, double row[KD_ROW_MAX]);
const kd_windows *kd_scorer_windows(const kd_scorer *s);
const kd_list_sums *kd_scorer_lists(const kd_scorer *s);
const kd_part_sums *kd_scorer_parts(const kd_scorer *s, uint32_t *out_n);
/* Items that were listed at least once. */
uint32_t kd_scorer_listed(const kd_scorer *s);

typedef struct kd_unit_counts {
    int64_t scored;      /* judged */
    int64_t unanswered;  /* no list had been published to the shopper */
    int64_t empty;       /* nothing was wanted: cancellations */
    int64_t only_learnt; /* of the time before the scored one */
} kd_unit_counts;
const kd_unit_counts *kd_scorer_units(const kd_scorer *s);

#endif
