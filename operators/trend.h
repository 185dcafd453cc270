/* trend.h - what is popular now: items by how many of P(i) were active on each of the last days.
 *
 *   count(i, d) = shoppers of P(i) whose latest live interaction with i is on day d
 *   trend(i)    = sum over the last KD_TREND_DAYS days of count(i, d) * weight(today - d)
 *   weight(a)   = max(1, round(2^20 * 2^(-a / half-life)))
 *
 * Days are UTC; today is the day of the newest event time (state_time). Counts and weights are
 * integers, so the sum is exact and what leaves is taken away again: it is a function of the set.
 * I1  score[i] = trend(i), total their sum; buckets of days not in (today - KD_TREND_DAYS, today]
 *     are zero
 * I2  top[0..n_top) is the head of all items by (trend descending, id bytes ascending), after
 *     kd_trend_settle
 * I3  rough[i] = score[i] as a float
 * Cost: a change O(1); a new day O(items); settle mostly O(the set of likely ones).
 * Memory: 4 * KD_TREND_DAYS + 13 bytes an item.
 * @thread one writer; any readers between writes
 */
#ifndef KD_TREND_H
#define KD_TREND_H

#include "operators/ids.h"

enum { KD_TREND_DAYS = 28, KD_TREND_TOP = 64, KD_TREND_SET = 4 * KD_TREND_TOP };

typedef struct kd_trend {
    uint32_t *count; /* [cap * KD_TREND_DAYS], bucket = day modulo KD_TREND_DAYS */
    uint64_t *score; /* [cap_score] */
    float *rough;    /* [cap_rough] for who looks at many items: half the memory */
    uint8_t *is_in;  /* [cap_in] in the set */
    uint32_t cap, cap_score, cap_rough, cap_in;
    int64_t today; /* days since 1970; INT64_MIN: none yet */
    uint32_t weight[KD_TREND_DAYS];
    uint32_t set[KD_TREND_SET]; /* every item with a score over `rest`, and some more */
    uint32_t n_set, n_top;      /* the first n_top of it are the top */
    uint64_t rest, greatest;    /* greatest: the top's first score */
    uint64_t total;             /* of all scores */
    bool is_stale, is_changed;
} kd_trend;

/* half_life in days, > 0. */
KD_CHECK kd_rc kd_trend_new(double half_life, kd_trend **out, kd_err *err);
void kd_trend_free(kd_trend *t);

/* Room for the item; the only call for changes that can fail. */
KD_CHECK kd_rc kd_trend_room(kd_trend *t, uint32_t item, kd_err *err);
/* The newest event time is this one now. */
void kd_trend_advance(kd_trend *t, kd_ms time);
/* A shopper's key in P(item) goes from `before` to `after`; KD_MS_NONE = not in it. */
void kd_trend_move(kd_trend *t, uint32_t item, kd_ms before, kd_ms after);
/* Brings the top up to date; `items` decides equal scores. */
void kd_trend_settle(kd_trend *t, const kd_ids *items);

static inline uint64_t kd_trend_of(const kd_trend *t, uint32_t item)
{
    return item < t->cap_score ? t->score[item] : 0;
}

/* Slow twin of I2. */
bool kd_trend_sane(const kd_trend *t, const kd_ids *items);

#endif
