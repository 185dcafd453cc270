/* tune_space.h - the space that `kindred tune` searches: options with a range or a choice.
 *
 *   usercf.similarity: [cosine, jaccard]                 # one of these
 *   usercf.neighbours: {from: 50, to: 1000, log: true}   # a number, bytes or a time; log: by
 * factors
 *
 * A point of the search has one coordinate an option (evaluation/search.h); what it says is text as
 * a user would write it, with three digits, since a fourth would not mean anything.
 * @thread main
 */
#ifndef KD_TUNE_SPACE_H
#define KD_TUNE_SPACE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/opt.h"
#include "evaluation/search.h"

typedef struct kd_tuned {
    const kd_opt *opt;
    const char **choices; /* NULL: a range */
    double from, to;      /* in the unit of the option's values */
    bool is_log;
} kd_tuned;

typedef struct kd_tune_space {
    kd_tuned tuned[KD_SEARCH_DIMS];
    kd_dim dims[KD_SEARCH_DIMS];
    uint32_t n;
} kd_tune_space;

/* Errors are KD_ECONFIG with file:line:column. Every value of the space is one that its option
 * takes. Strings live in `arena`. */
KD_CHECK kd_rc kd_tune_space_load(const char *path, kd_arena *arena, kd_tune_space *out,
                                  kd_err *err);
/* The text of the k-th option at this coordinate. */
void kd_tune_space_text(const kd_tune_space *s, uint32_t k, double x, kd_buf *out);
/* What tells the settings of a point from others: two points of one text are one setting. */
uint64_t kd_tune_space_hash(const kd_tune_space *s, const double *point);
/* Makes of a point that was tried before (its hash is among tried[n]) one that was not, the same
 * one for the same seed and tried points. False: there is none. O(n) a point that is looked at. */
bool kd_tune_space_renew(const kd_tune_space *s, uint64_t seed, const uint64_t *tried, uint32_t n,
                         double *point);
/* All of it on one line, for the head of a journal. */
void kd_tune_space_print(const kd_tune_space *s, kd_buf *out);

#endif
