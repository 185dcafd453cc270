#include "operators/trend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

kd_rc kd_trend_new(double half_life, kd_trend **out, kd_err *err)
{
    KD_ASSERT(half_life > 0);
    kd_trend *t = calloc(1, sizeof *t);
    if (t == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for trends");
    t->today = INT64_MIN;
    for (int a = 0; a < KD_TREND_DAYS; a++) {
        long w = lround(1048576.0 * exp2(-a / half_life));
        t->weight[a] = w < 1 ? 1 : (uint32_t)w; /* so a score of 0 means empty buckets */
    }
    *out = t;
    return KD_OK;
}

void kd_trend_free(kd_trend *t)
{
    if (t == NULL)
        return;
    free(t->count);
    free(t->score);
    free(t->rough);
    free(t->is_in);
    free(t);
}

kd_rc kd_trend_room(kd_trend *t, uint32_t item, kd_err *err)
{
    if (kd_grow((void **)&t->count, &t->cap, item + 1, KD_TREND_DAYS * sizeof *t->count) &&
        kd_grow((void **)&t->is_in, &t->cap_in, item + 1, sizeof *t->is_in) &&
        kd_grow((void **)&t->rough, &t->cap_rough, item + 1, sizeof *t->rough) &&
        kd_grow((void **)&t->score, &t->cap_score, item + 1, sizeof *t->score))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no memory for the trends of %u items", item + 1);
}

static int64_t day_of(kd_ms time)
{
    return (time - ((time % KD_MS_DAY) + KD_MS_DAY) % KD_MS_DAY) / KD_MS_DAY;
}

static uint32_t bucket_of(int64_t day)
{
    return (uint32_t)(((day % KD_TREND_DAYS) + KD_TREND_DAYS) % KD_TREND_DAYS);
}

/* The buckets of days that come into the window still hold those that leave it. */
static void renew(kd_trend *t, uint32_t item, int64_t from, int64_t to)
{
    uint32_t *c = t->count + (size_t)item * KD_TREND_DAYS;
    for (int64_t d = from; d <= to; d++)
        c[bucket_of(d)] = 0;
    uint64_t sum = 0;
    for (int a = 0; a < KD_TREND_DAYS; a++)
        sum += (uint64_t)c[bucket_of(to - a)] * t->weight[a];
    t->score[item] = sum;
    t->rough[item] = (float)sum;
}

void kd_trend_advance(kd_trend *t, kd_ms time)
{
    int64_t day = day_of(time);
    if (day <= t->today)
        return;
    int64_t from = t->today == INT64_MIN || day - t->today > KD_TREND_DAYS ? day - KD_TREND_DAYS + 1
                                                                           : t->today + 1;
    t->total = 0;
    for (uint32_t i = 0; i < t->cap_score; i++) {
        if (t->score[i] > 0)
            renew(t, i, from, day);
        t->total += t->score[i];
    }
    t->today = day;
    t->is_stale = true;
}

/* The weight of a key in the window, and its bucket. */
static uint32_t weight_of(const kd_trend *t, kd_ms time, uint32_t *out_bucket)
{
    int64_t day = time == KD_MS_NONE ? INT64_MIN : day_of(time);
    if (time == KD_MS_NONE || day > t->today || day <= t->today - KD_TREND_DAYS)
        return 0;
    *out_bucket = bucket_of(day);
    return t->weight[t->today - day];
}

void kd_trend_move(kd_trend *t, uint32_t item, kd_ms before, kd_ms after)
{
    uint32_t *c = t->count + (size_t)item * KD_TREND_DAYS, bucket = 0;
    uint32_t w = weight_of(t, before, &bucket);
    if (w > 0) {
        c[bucket]--;
        t->score[item] -= w;
        t->total -= w;
    }
    w = weight_of(t, after, &bucket);
    if (w > 0) {
        c[bucket]++;
        t->score[item] += w;
        t->total += w;
    }
    t->rough[item] = (float)t->score[item];
    t->is_changed = true;
    if (t->is_in[item] || t->score[item] <= t->rest)
        return;
    if (t->n_set == KD_TREND_SET) {
        t->is_stale = true;
        return;
    }
    t->set[t->n_set++] = item;
    t->is_in[item] = 1;
}

static bool is_better(const kd_trend *t, const kd_ids *items, uint32_t a, uint32_t b)
{
    return t->score[a] != t->score[b] ? t->score[a] > t->score[b] : kd_ids_cmp(items, a, b) < 0;
}

/* Collects the best half of what the set can hold, anew. */
static void collect(kd_trend *t, const kd_ids *items)
{
    enum { MOST = KD_TREND_SET / 2 };
    for (uint32_t k = 0; k < t->n_set; k++)
        t->is_in[t->set[k]] = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->cap_score; i++) {
        if (t->score[i] == 0 || (n == MOST && !is_better(t, items, i, t->set[n - 1])))
            continue;
        uint32_t at = n < MOST ? n++ : n - 1;
        for (; at > 0 && is_better(t, items, i, t->set[at - 1]); at--)
            t->set[at] = t->set[at - 1];
        t->set[at] = i;
    }
    for (uint32_t k = 0; k < n; k++)
        t->is_in[t->set[k]] = 1;
    t->n_set = n;
    t->rest = n == MOST ? t->score[t->set[n - 1]] : 0;
    t->n_top = n < KD_TREND_TOP ? n : KD_TREND_TOP;
    t->is_stale = false;
}

static void settle(kd_trend *t, const kd_ids *items)
{
    uint32_t n = 0, over = 0;
    for (uint32_t k = 0; k < t->n_set && !t->is_stale; k++) { /* nearly in order already */
        uint32_t item = t->set[k], at = n;
        if (t->score[item] == 0) {
            t->is_in[item] = 0;
            continue;
        }
        for (; at > 0 && is_better(t, items, item, t->set[at - 1]); at--)
            t->set[at] = t->set[at - 1];
        t->set[at] = item;
        over += t->score[item] > t->rest;
        n++;
    }
    if (t->is_stale || (t->rest > 0 && over < KD_TREND_TOP)) {
        collect(t, items);
        return;
    }
    t->n_set = n;
    t->n_top = over < KD_TREND_TOP ? over : KD_TREND_TOP;
}

void kd_trend_settle(kd_trend *t, const kd_ids *items)
{
    if (!t->is_changed && !t->is_stale)
        return;
    t->is_changed = false;
    settle(t, items);
    t->greatest = t->n_set > 0 ? t->score[t->set[0]] : 0;
}

bool kd_trend_sane(const kd_trend *t, const kd_ids *items)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < t->cap_score; i++) {
        uint64_t sum = 0;
        for (int a = 0; a < KD_TREND_DAYS; a++)
            sum += (uint64_t)t->count[(size_t)i * KD_TREND_DAYS + bucket_of(t->today - a)] *
                   t->weight[a];
        total += sum;
        if (sum != t->score[i] || t->rough[i] != (float)sum) {
            fprintf(stderr, "trend: I1, I3: the score of slot %u\n", i);
            return false;
        }
    }
    if (total != t->total) {
        fprintf(stderr, "trend: I1: the sum of all\n");
        return false;
    }
    if (t->is_changed || t->is_stale)
        return true;
    uint32_t positive = 0;
    for (uint32_t i = 0; i < t->cap_score; i++) {
        uint32_t before = 0;
        positive += t->score[i] > 0;
        for (uint32_t j = 0; j < t->cap_score && t->score[i] > 0; j++)
            before += t->score[j] > 0 && j != i && is_better(t, items, j, i);
        if (t->score[i] > 0 && before < t->n_top && t->set[before] != i) {
            fprintf(stderr, "trend: I2: place %u of the top\n", before);
            return false;
        }
    }
    uint32_t most = positive < KD_TREND_TOP ? positive : KD_TREND_TOP;
    return t->n_top == most;
}
