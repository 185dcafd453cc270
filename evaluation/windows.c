#include "evaluation/windows.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define MINUTE INT64_C(60000)
#define ORIGIN (4 * KD_MS_DAY) /* Monday, 1970-01-05 */
enum { FIXED_MAX = 400 };

static const kd_ms ladder[] = {MINUTE,           5 * MINUTE,       15 * MINUTE,    60 * MINUTE,
                               180 * MINUTE,     360 * MINUTE,     720 * MINUTE,   KD_MS_DAY,
                               7 * KD_MS_DAY,    28 * KD_MS_DAY,   84 * KD_MS_DAY, 336 * KD_MS_DAY,
                               3360 * KD_MS_DAY, 33600 * KD_MS_DAY};

void kd_windows_init(kd_windows *w, kd_ms width)
{
    *w = (kd_windows){.width = width == 0 ? ladder[0] : width, .is_fixed = width != 0};
}

void kd_windows_dispose(kd_windows *w)
{
    free(w->window);
    *w = (kd_windows){0};
}

/* Rounds down, also before the origin. */
static int64_t index_of(kd_ms time, kd_ms width)
{
    int64_t x = time - ORIGIN;
    return x >= 0 ? x / width : -((-x + width - 1) / width);
}

kd_ms kd_windows_start(const kd_windows *w, uint32_t k)
{
    return ORIGIN + w->window[k].index * w->width;
}

static void join(kd_window *to, const kd_window *x)
{
    for (int k = 0; k < KD_ROW_MAX; k++)
        to->row[k] += x->row[k];
    for (int g = 0; g < KD_WINDOW_GROUPS; g++)
        for (int k = 0; k < 1 + KD_METRICS; k++)
            to->group[g][k] += x->group[g][k];
    to->lists.lists += x->lists.lists;
    to->lists.items += x->lists.items;
    to->lists.popular += x->lists.popular;
    to->lists.novelty += x->lists.novelty;
    to->lists.churn += x->lists.churn;
    to->lists.followed += x->lists.followed;
}

static void widen(kd_windows *w)
{
    size_t at = 0;
    while (ladder[at] != w->width)
        at++;
    if (at + 1 == sizeof ladder / sizeof *ladder)
        return;
    uint32_t n = 0;
    for (uint32_t k = 0; k < w->n; k++) {
        int64_t index = index_of(kd_windows_start(w, k), ladder[at + 1]);
        if (n > 0 && w->window[n - 1].index == index) {
            join(&w->window[n - 1], &w->window[k]);
            continue;
        }
        if (n != k)
            w->window[n] = w->window[k];
        w->window[n++].index = index;
    }
    w->n = n;
    w->last = 0;
    w->width = ladder[at + 1];
}

/* Where the window of this index is, or would be. */
static uint32_t find(const kd_windows *w, int64_t index)
{
    uint32_t lo = 0, hi = w->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (w->window[mid].index < index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

kd_rc kd_windows_at(kd_windows *w, kd_ms time, kd_window **out, kd_err *err)
{
    int64_t index = index_of(time, w->width);
    if (w->last < w->n && w->window[w->last].index == index) {
        *out = &w->window[w->last];
        return KD_OK;
    }
    uint32_t at = find(w, index);
    while (!w->is_fixed && w->n == KD_WINDOWS && (at == w->n || w->window[at].index != index)) {
        kd_ms was = w->width;
        widen(w);
        if (w->width == was)
            break;
        index = index_of(time, w->width);
        at = find(w, index);
    }
    if (at == w->n || w->window[at].index != index) {
        if (w->n == FIXED_MAX)
            return kd_fail(err, KD_ECONFIG, "--window: more than %d windows, a longer one is right",
                           FIXED_MAX);
        if (!kd_grow((void **)&w->window, &w->cap, w->n + 1, sizeof *w->window))
            return kd_fail(err, KD_ENOMEM, "no memory for %u windows", w->n + 1);
        memmove(&w->window[at + 1], &w->window[at], (w->n - at) * sizeof *w->window);
        memset(&w->window[at], 0, sizeof *w->window);
        w->window[at].index = index;
        w->n++;
    }
    w->last = at;
    *out = &w->window[at];
    return KD_OK;
}
