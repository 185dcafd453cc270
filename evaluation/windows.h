/* windows.h - numbers over event time: windows of one width, which becomes wider when there would
 * be more than KD_WINDOWS of them.
 *
 * Widths are of a ladder (a minute ... a day, a week, four weeks ...), each a multiple of the one
 * before, so that windows join without loss; weeks begin on Monday, UTC. How a run of times is cut
 * depends on the times alone. Windows in which nothing happened do not exist.
 * @thread one writer
 */
#ifndef KD_WINDOWS_H
#define KD_WINDOWS_H

#include "evaluation/tally.h"

enum { KD_WINDOWS = 64, KD_WINDOW_GROUPS = 64 };

/* What is published, whether right or not. */
typedef struct kd_list_sums {
    int64_t lists, items; /* published; items in them, cut at the longest cut-off */
    int64_t popular;      /* items that were popular when they were listed */
    double novelty;       /* sum over items of their self-information [bits] */
    double churn;         /* sum over lists that had one before them */
    int64_t followed;     /* such lists */
} kd_list_sums;

typedef struct kd_window {
    int64_t index; /* of its width since the origin */
    double row[KD_ROW_MAX];
    /* [group][0] units, [group][1 + metric] sums at the shown cut-off, for the interval */
    double group[KD_WINDOW_GROUPS][1 + KD_METRICS];
    kd_list_sums lists;
} kd_window;

typedef struct kd_windows {
    kd_ms width;
    bool is_fixed;
    kd_window *window; /* owned, [n] by index */
    uint32_t n, cap, last;
} kd_windows;

/* width 0: of the ladder. {0} is an empty one of the ladder. */
void kd_windows_init(kd_windows *w, kd_ms width);
void kd_windows_dispose(kd_windows *w);
/* The window of a time; valid until the next call. KD_ECONFIG: a fixed width gives too many. */
KD_CHECK kd_rc kd_windows_at(kd_windows *w, kd_ms time, kd_window **out, kd_err *err);
/* When a window begins. */
kd_ms kd_windows_start(const kd_windows *w, uint32_t k);

#endif
