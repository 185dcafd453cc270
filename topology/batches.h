/* batches.h - the log, cut into batches that are read once and shared by all who go through it.
 *
 * A batch holds copies of records with the truth about each; the source gets its memory back when
 * the batch is full. Where batches are cut has no meaning: readers see one sequence of records.
 *
 * I1 a batch that was read does not change until it is emptied
 * @thread one at a time, any thread, by the caller's locking
 */
#ifndef KD_BATCHES_H
#define KD_BATCHES_H

#include "consumers/kd_source.h"
#include "evaluation/truth.h"
#include "operators/recommender.h"

typedef struct kd_batch_item {
    kd_record record;
    kd_note note;
    const kd_err *bad; /* a bad record, and why; NULL = a good one */
} kd_batch_item;

typedef struct kd_batch {
    kd_arena *arena;      /* owned: texts of the records, closed units */
    kd_batch_item *items; /* owned, [cap] */
    uint32_t n, cap;
    bool is_last;         /* the log ends here, and these units were still open: */
    const kd_unit *units; /* [n_units] */
    uint32_t n_units;
} kd_batch;

KD_CHECK kd_rc kd_batch_new(uint32_t cap, kd_batch **out, kd_err *err);
void kd_batch_free(kd_batch *x);

/* What reading needs: all borrowed. */
typedef struct kd_batch_reader {
    kd_source *source;
    const kd_recommender *who; /* says whose a record is */
    kd_truth *truth;
    int64_t records, bad;
    kd_ms first, last; /* least and greatest event time; KD_MS_NONE = no event */
} kd_batch_reader;

/* Fills *x anew: full, or with the end of the log, or with what there is now. KD_AGAIN, KD_RETRY:
 * nothing now, and nothing is lost. */
KD_CHECK kd_rc kd_batch_read(kd_batch_reader *r, kd_batch *x, kd_err *err);

#endif
