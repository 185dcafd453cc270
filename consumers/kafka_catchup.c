#include "consumers/kafka_catchup.h"

#include <stdio.h>

enum { EVERY_MS = 5000, MINUTE_S = 60, HOUR_S = 3600, LONGEST_S = 9999 * HOUR_S };

bool kd_catchup_is_due(kd_catchup *c, int64_t now_ms)
{
    if (now_ms - c->said_ms < EVERY_MS)
        return false;
    c->said_ms = now_ms;
    return true;
}

/* Records a second; -1: nothing was read yet. */
static double rate_of(const kd_catchup *c, int64_t done, int64_t now_ms)
{
    int64_t spent = now_ms - c->began_ms;
    return done <= 0 ? -1 : (double)done * 1000 / (double)(spent > 0 ? spent : 1);
}

void kd_catchup_text(const kd_catchup *c, int64_t done, int64_t left, int64_t now_ms,
                     char out[KD_CATCHUP_TEXT])
{
    double rate = rate_of(c, done, now_ms);
    double total = (double)done + (double)left;
    int n = snprintf(out, KD_CATCHUP_TEXT, "catching up: %lld of %.0f records (%d %%)",
                     (long long)done, total, total > 0 ? (int)((double)done / total * 100) : 100);
    if (rate < 0) {
        snprintf(out + n, (size_t)(KD_CATCHUP_TEXT - n), ", nothing came yet");
        return;
    }
    double exact = (double)left / rate + 0.5;
    int64_t s = exact < LONGEST_S ? (int64_t)exact : LONGEST_S;
    n += snprintf(out + n, (size_t)(KD_CATCHUP_TEXT - n), ", %.0f/s, ", rate);
    if (s >= HOUR_S)
        snprintf(out + n, (size_t)(KD_CATCHUP_TEXT - n), "%lld:%02d:%02d left",
                 (long long)(s / HOUR_S), (int)(s % HOUR_S / MINUTE_S), (int)(s % MINUTE_S));
    else
        snprintf(out + n, (size_t)(KD_CATCHUP_TEXT - n), "%d:%02d left", (int)(s / MINUTE_S),
                 (int)(s % MINUTE_S));
}

void kd_catchup_end_text(const kd_catchup *c, int64_t done, int64_t now_ms,
                         char out[KD_CATCHUP_TEXT])
{
    snprintf(out, KD_CATCHUP_TEXT, "caught up: %lld records in %.1f s, %.0f/s; joining the group",
             (long long)done, (double)(now_ms - c->began_ms) / 1000,
             done > 0 ? rate_of(c, done, now_ms) : 0.0);
}
