#include "operators/blend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "operators/blend_internal.h"
#include "operators/trend.h"

enum { LANES = 16 }; /* of floor_of */

void kd_blend_space_dispose(kd_blend_space *w)
{
    free(w->company);
    free(w->mark);
    free(w->candidate);
    free(w->pool);
    free(w->parts);
    free(w->about);
    free(w->at);
    free(w->list);
    free(w->taken);
    kd_blend_reasons_free(w->reasons);
}

void kd_blend_clear(kd_blend_space *w)
{
    for (uint32_t k = 0; k < w->n_candidates; k++)
        w->mark[w->candidate[k].item] = 0;
    if (w->n_candidates > 0)
        memset(w->candidate, 0, w->n_candidates * sizeof *w->candidate);
    for (uint32_t k = 0; k < w->n_taken; k++)
        w->company[w->taken[k]] = 0;
    w->n_taken = 0;
    w->n_candidates = 0;
    w->n_pool = 0;
}

/* -- what will be looked at, on its way from memory ---------------------------------------------
 */

static uint32_t content_items(const kd_state *s, const kd_blend_options *o,
                              const kd_subject *subject)
{
    if (s->content == NULL || o->content == 0)
        return 0;
    return subject->n_items < o->content_items ? subject->n_items : o->content_items;
}

static bool has_together(const kd_blend_options *o, const kd_subject *subject)
{
    return o->together > 0 && subject->n_items > 0;
}

void kd_blend_ahead(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                    int step)
{
    const uint32_t n = content_items(s, o, subject);
    for (uint32_t k = 0; k < n && step == 0; k++)
        if (subject->items[k] < s->content->cap_items)
            __builtin_prefetch(&s->content->item[subject->items[k]]);
    for (uint32_t k = 0; k < n && step == 1; k++) {
        uint32_t n_list;
        const char *list = (const char *)kd_content_list(s->content, subject->items[k], &n_list);
        for (uint32_t b = 0; b < n_list * sizeof(kd_alike); b += 64)
            __builtin_prefetch(list + b);
    }
    if (!has_together(o, subject))
        return;
    kd_run run = kd_posting_recent(s->postings, &s->item[subject->items[0]].posting, 0,
                                   o->together_audience);
    for (uint32_t k = 0; k < run.n && step == 0; k++)
        __builtin_prefetch(&s->hist.shopper[run.slot[k]]);
    for (uint32_t k = 0; k < run.n && step == 1; k++) {
        enum { LINES = 3, NEWEST = 16 };
        const kd_entries e = kd_entries_of(&s->hist, run.slot[k]);
        const uint32_t at = e.n > NEWEST ? e.n - NEWEST : 0;
        const char *const p[LINES] = {(const char *)(e.word + at), (const char *)(e.lo + at),
                                      (const char *)(e.hi + e.n)};
        for (int line = 0; line < LINES; line++)
            __builtin_prefetch(p[line]);
    }
}

/* One own item's list: what an entry adds is weight * (likeness - end), so that what is not in a
 * full list, and is no more like the item than its end, gets the same as the end; and what a
 * hundred products are alike says nothing about one of them. */
typedef struct kd_like_list {
    const kd_alike *entry; /* [n], best first */
    uint32_t n, own;       /* own: whose list it is */
    double weight, end;
} kd_like_list;

/* -- candidates ------------------------------------------------------------------------------- */

static uint32_t pool_size(const kd_blend_options *o)
{
    return o->diversity > 0 || o->category_max > 0 ? o->count * KD_BLEND_POOL : o->count;
}

/* Room for everything that can become a candidate; nothing after it fails. */
static kd_rc fit(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                 const kd_usercf_space *cf, kd_blend_space *w, kd_err *err)
{
    uint64_t alike = 0, taken = 0;
    if (s->content != NULL)
        alike = (uint64_t)content_items(s, o, subject) * s->content->opt.neighbours;
    if (has_together(o, subject))
        taken = (uint64_t)o->together_audience * s->opt.history_max;
    taken = taken < s->item_cap ? taken : s->item_cap;
    alike = alike < s->item_cap ? alike : s->item_cap;
    uint64_t at = taken + cf->n_items + alike + KD_TREND_TOP;
    if (kd_grow((void **)&w->mark, &w->cap_mark, s->item_cap, sizeof *w->mark) &&
        kd_grow((void **)&w->company, &w->cap_company, s->item_cap, sizeof *w->company) &&
        kd_grow((void **)&w->candidate, &w->cap_candidates, (uint32_t)alike + 1,
                sizeof *w->candidate) &&
        kd_grow((void **)&w->taken, &w->cap_taken, (uint32_t)taken + 1, sizeof *w->taken) &&
        kd_grow((void **)&w->about, &w->cap_about, (uint32_t)at + LANES, sizeof *w->about) &&
        kd_grow((void **)&w->at, &w->cap_at, (uint32_t)at, sizeof *w->at) &&
        kd_grow((void **)&w->list, &w->cap_list, content_items(s, o, subject), sizeof *w->list) &&
        kd_grow((void **)&w->parts, &w->cap_parts, pool_size(o) + 1, sizeof *w->parts) &&
        kd_grow((void **)&w->pool, &w->cap_pool, pool_size(o) + 1, sizeof *w->pool))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no room for %llu candidates",
                   (unsigned long long)(alike + taken));
}

/* The item as a candidate, a new one if it is none yet. Without a branch: half of them are. */
static kd_candidate *candidate_of(kd_blend_space *w, uint32_t item)
{
    const uint32_t mark = w->mark[item];
    const uint32_t at = mark == 0 ? w->n_candidates : mark - 1;
    w->n_candidates += mark == 0;
    w->mark[item] = at + 1;
    w->candidate[at].item = item;
    return &w->candidate[at];
}

static bool is_self(const kd_subject *subject, uint32_t v)
{
    for (uint32_t k = 0; k < subject->n_self; k++)
        if (subject->self[k] == v)
            return true;
    return false;
}

/* Counts one entry of a history, without a branch. */
static inline uint32_t count_one(uint32_t word, uint16_t *restrict company,
                                 uint32_t *restrict taken, uint32_t n)
{
    const uint32_t item = kd_word_item(word);
    const uint16_t is_rep = (word & KD_REP) != 0;
    taken[n] = item;
    n += (company[item] == 0) & is_rep;
    company[item] = (uint16_t)(company[item] + is_rep);
    return n;
}

/* Counts what shopper v took near the item in time; n of taken[] are there. Returns how many then
 * are. */
static uint32_t count_near(const kd_state *s, uint64_t within, uint32_t v, uint32_t item,
                           uint16_t *restrict company, uint32_t *restrict taken, uint32_t n)
{
    const kd_entries e = kd_entries_of(&s->hist, v);
    const uint32_t begin = kd_history_begin(&e, s->opt.history_max), at = kd_entries_rep(&e, item);
    if (at == e.n)
        return n; /* not in I(v) */
    const uint64_t time = (uint64_t)kd_entry_time(&e, at);
    for (uint32_t k = at; k-- > begin && time - (uint64_t)kd_entry_time(&e, k) <= within;)
        n = count_one(e.word[k], company, taken, n);
    for (uint32_t k = at + 1; k < e.n && (uint64_t)kd_entry_time(&e, k) - time <= within; k++)
        n = count_one(e.word[k], company, taken, n);
    return n;
}

/* What the recent shoppers of the newest item took with it. */
static void add_together(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                         kd_blend_space *w)
{
    const uint32_t item = subject->items[0];
    const uint64_t within = (uint64_t)o->together_within_ms;
    uint32_t left = o->together_audience, n = 0, looked = 0;
    for (uint32_t c = 0; left > 0; c++) {
        kd_run run = kd_posting_recent(s->postings, &s->item[item].posting, c, left);
        if (run.n == 0)
            break;
        left -= run.n;
        for (uint32_t k = run.n; k-- > 0;) { /* newest first */
            if (is_self(subject, run.slot[k]))
                continue;
            looked++;
            n = count_near(s, within, run.slot[k], item, w->company, w->taken, n);
        }
    }
    w->together_item = item;
    w->looked = looked;
    w->n_taken = n;
}

static double together_of(const kd_blend_options *o, const kd_blend_space *w, uint32_t item)
{
    return w->company[item] == 0 ? 0 : o->together * ((double)w->company[item] / w->looked);
}

/* -- scores ----------------------------------------------------------------------------------- */

/* Out of all that shoppers took lately the item is trend / total; of as many items as a shopper has
 * on average that makes a share of the shoppers. It is what the neighbours' share is if neighbours
 * are nothing special, so the two can be added. */
static double popularity_of(const kd_state *s, const kd_blend_space *w, uint32_t item)
{
    double share = w->expected * (s->trend == NULL ? 0 : (double)kd_trend_of(s->trend, item));
    return w->popularity * (share < 1 ? share : 1);
}

static void weigh_popularity(const kd_state *s, const kd_blend_options *o,
                             const kd_subject *subject, kd_blend_space *w)
{
    bool is_there = s->trend != NULL && s->trend->total > 0;
    double unknown = o->popularity_known / (o->popularity_known + subject->n_items);
    w->popularity = o->popularity + o->popularity_new * (unknown * unknown);
    w->expected =
        is_there ? (double)s->n_postings / (s->n_shoppers + o->few) / (double)s->trend->total : 0;
}

/* The parts of an item but for diversity, each with the bits that it is published with
 * (kd_part_is_float), and their sum in order. */
static double parts_of(const kd_state *s, const kd_blend_options *o, const kd_usercf_space *cf,
                       const kd_blend_space *w, uint32_t item, double part[KD_PARTS])
{
    uint32_t mark = w->mark[item];
    double votes = cf->score[item];
    part[KD_PART_USERCF] = votes > 0 ? w->share * votes : 0;
    part[KD_PART_TOGETHER] = (float)together_of(o, w, item);
    part[KD_PART_CONTENT] = mark == 0 ? 0 : (float)w->candidate[mark - 1].content;
    part[KD_PART_POPULARITY] = (float)popularity_of(s, w, item);
    double sum = part[KD_PART_USERCF] + part[KD_PART_TOGETHER] + part[KD_PART_CONTENT] +
                 part[KD_PART_POPULARITY];
    part[KD_PART_RULE] = part[KD_PART_DIVERSITY] = 0;
    if (o->rules == NULL)
        return sum;
    part[KD_PART_RULE] = sum * (kd_rules_factor(o->rules, s, item) - 1);
    return sum + part[KD_PART_RULE];
}

/* What is surely below a score: one that is worked out in floats is within this factor of it. 0
 * where floats get coarse. */
static double surely_below(double score)
{
    return score > 1e-30 ? score * (1 - 1e-6) : 0;
}

/* What tells what an item comes to, nearly and but for content. A loop takes a copy, so that it
 * stays in registers whatever the loop writes. */
typedef struct rates {
    const double *score;     /* [by item slot], user-CF's */
    const uint16_t *company; /* [by item slot] */
    const float *trend;      /* [n_trend] */
    float share, together;   /* of one unit of score; of one shopper who took it, too */
    float unit, whole;       /* of a trend of 1; the most of any */
    uint32_t n_trend;
} rates;

/* What decides who comes into the pool. */
typedef struct door {
    rates rates;
    uint32_t most;
    bool asks_hidden;
} door;

static door door_of(const kd_state *s, const kd_blend_options *o, const kd_usercf_space *cf,
                    const kd_blend_space *w)
{
    rates r = {.score = cf->score, .company = w->company, .share = (float)w->share};
    r.together = w->n_taken == 0 ? 0 : (float)(o->together / w->looked);
    const double unit = w->popularity * w->expected; /* may be too small for a float */
    r.unit = (float)unit;
    r.whole = (float)w->popularity;
    if (s->trend != NULL && unit > 0) {
        r.trend = s->trend->rough;
        r.n_trend = s->trend->cap_score;
    }
    return (door){.rates = r, .most = pool_size(o)};
}

static float about_trend(const rates *r, uint32_t item)
{
    float x = item < r->n_trend ? r->unit * r->trend[item] : 0;
    return x < r->whole ? x : r->whole;
}

static void offer(const kd_state *s, const kd_blend_options *o, const kd_usercf_space *cf,
                  kd_blend_space *w, uint32_t item, const door *d)
{
    const double score = parts_of(s, o, cf, w, item, w->parts[w->free_slot]);
    const uint32_t n = w->n_pool, most = d->most;
    kd_pick *pool = w->pool;
    if (score <= 0 ||
        (n == most && !kd_state_is_better(s, score, item, pool[n - 1].score, pool[n - 1].item)) ||
        (d->asks_hidden && s->item[item].is_hidden))
        return;
    if (w->mark[item] != 0)
        __builtin_prefetch(&s->content->tfidf->doc[item]); /* for reasons */
    const uint32_t slot = w->free_slot;
    uint32_t at = n < most ? n : n - 1;
    w->free_slot = n < most ? n + 1 : pool[at].slot;
    w->n_pool = at + 1;
    for (; at > 0 && kd_state_is_better(s, score, item, pool[at - 1].score, pool[at - 1].item);
         at--)
        pool[at] = pool[at - 1];
    pool[at] = (kd_pick){.score = score, .item = item, .slot = slot};
    if (w->n_pool == most && o->rules == NULL)
        w->bar = surely_below(pool[most - 1].score);
}

/* What an item comes to, up to rounding and but for content; no number, or below 0, if excluded. */
static inline __attribute__((always_inline)) float about_of(const rates *r, uint32_t item)
{
    return r->share * (float)r->score[item] + r->together * (float)r->company[item] +
           about_trend(r, item);
}

/* Into about[]: first what neighbours voted for, then what was taken together and has no votes.
 * Without a branch, since which way one would go cannot be foreseen. Returns how many these are. */
static uint32_t estimate(const kd_usercf_space *cf, kd_blend_space *w, const door *d)
{
    static const float never[] = {0, -INFINITY};
    const rates r = d->rates;
    const uint32_t *const items = cf->items, *const taken = w->taken;
    const uint32_t n_items = cf->n_items, n_taken = w->n_taken;
    float *about = w->about;
    for (uint32_t k = 0; k < n_items; k++)
        about[k] = about_of(&r, items[k]);
    about += n_items;
    for (uint32_t k = 0; k < n_taken; k++)
        about[k] = about_of(&r, taken[k]) + never[r.score[taken[k]] != 0];
    return n_items + n_taken;
}

static uint32_t known_item(const kd_usercf_space *cf, const kd_blend_space *w, uint32_t k)
{
    return k < cf->n_items ? cf->items[k] : w->taken[k - cf->n_items];
}

/* A number that at least `most` of about[0..n) reach, and not many more: the greatest in each of a
 * few lanes, and of these the most-th. 0 if there are not enough lanes. Loops of a fixed length,
 * which compilers make vectors of. */
static float floor_of(float *about, uint32_t n, uint32_t most)
{
    float lane[LANES] = {0}, reached[LANES], least = INFINITY;
    int32_t above[LANES] = {0};
    if (most > LANES - LANES / 4)
        return 0;
    for (uint32_t k = n; k % LANES != 0; k++)
        about[k] = 0;
    for (uint32_t k = 0; k < n; k += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] = about[k + j] > lane[j] ? about[k + j] : lane[j];
    for (uint32_t i = 0; i < LANES; i++)
        for (uint32_t j = 0; j < LANES; j++)
            above[j] += lane[i] > lane[j];
    for (uint32_t j = 0; j < LANES; j++)
        reached[j] = above[j] < (int32_t)most ? lane[j] : INFINITY;
    for (uint32_t j = 0; j < LANES; j++)
        least = reached[j] < least ? reached[j] : least;
    return least;
}

/* -- content ----------------------------------------------------------------------------------
 */

static double gain_of(const kd_like_list *x, uint32_t k)
{
    return x->weight * (x->entry[k].likeness - x->end);
}

/* 1 + 1/2 + ... + 1/n */
static double harmonic(uint32_t n)
{
    double sum = 0;
    for (uint32_t k = 1; k <= n; k++)
        sum += 1.0 / k;
    return sum;
}

/* The list of the k-th newest item, which weighs 1 / k of `all`, the sum of these. */
static kd_like_list list_of(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                            uint32_t k, double all)
{
    kd_like_list x = {.own = subject->items[k], .weight = o->content / (k + 1) / all};
    x.entry = kd_content_list(s->content, x.own, &x.n);
    x.end = x.n < s->content->opt.neighbours ? 0 : x.entry[x.n - 1].likeness;
    return x;
}

static void add_alike(const kd_state *s, const kd_like_list *x, uint32_t k, kd_blend_space *w)
{
    if (!kd_content_is_current(s->content, &x->entry[k]))
        return;
    kd_candidate *c = candidate_of(w, x->entry[k].item);
    double gain = gain_of(x, k);
    c->content += gain;
    if (gain > c->gain) {
        c->gain = gain;
        c->from = x->own;
    }
}

/* The lists of the newest items, and what they give, added up by cells of items; what else is known
 * of these products is on its way from memory. */
static void find_lists(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                       const kd_usercf_space *cf, kd_blend_space *w)
{
    w->n_list = content_items(s, o, subject);
    if (w->n_list == 0)
        return;
    const double *const score = cf->score;
    const uint16_t *const company = w->company;
    const float *const trend = s->trend == NULL ? NULL : s->trend->rough;
    float *const given = w->given;
    const double all = harmonic(w->n_list);
    memset(given, 0, sizeof w->given);
    for (uint32_t k = 0; k < w->n_list; k++) {
        const kd_like_list x = w->list[k] = list_of(s, o, subject, k, all);
        for (uint32_t j = 0; j < x.n; j++) {
            const uint32_t item = x.entry[j].item;
            given[item % KD_BLEND_CELLS] += (float)gain_of(&x, j);
            __builtin_prefetch(score + item);
            __builtin_prefetch(company + item);
            if (trend != NULL)
                __builtin_prefetch(trend + item);
        }
    }
}

/* What is like the newest items, as far as it reaches the bar with all that its likeness gives: at
 * most what the lists give to all items of its cell. Without a branch, since which way one would go
 * cannot be foreseen. */
static void add_content(const kd_state *s, kd_blend_space *w, const door *d)
{
    const float more = 1.001F; /* than adding up hundreds of floats loses */
    const rates r = d->rates;
    const float bar = (float)w->bar;
    const float *const given = w->given;
    uint32_t *const at = w->at;
    for (uint32_t k = 0; k < w->n_list; k++) {
        const kd_like_list x = w->list[k];
        uint32_t n = 0;
        for (uint32_t j = 0; j < x.n; j++) {
            const uint32_t item = x.entry[j].item;
            at[n] = j;
            n += about_of(&r, item) + more * given[item % KD_BLEND_CELLS] >= bar;
        }
        for (uint32_t j = 0; j < n; j++)
            add_alike(s, &x, at[j], w);
    }
}

static void drop_content(kd_candidate *c)
{
    c->content = c->gain = 0;
}

/* All the content of one item, whatever it comes to. */
static void add_content_of(const kd_state *s, uint32_t item, kd_blend_space *w)
{
    drop_content(candidate_of(w, item));
    for (uint32_t k = 0; k < w->n_list; k++) {
        const kd_like_list x = w->list[k];
        for (uint32_t j = 0; j < x.n; j++)
            if (x.entry[j].item == item)
                add_alike(s, &x, j, w);
    }
}

/* -- the pool ---------------------------------------------------------------------------------
 */

/* What reaches the bar, each item once: of about[0..n), of what is like the newest items, and of
 * the trends' head as far as that goes. Into at[], and what each comes to, nearly, into about[]
 * again: there is never more written than read. Returns their number. */
static uint32_t find_reaching(const kd_state *s, const kd_usercf_space *cf, kd_blend_space *w,
                              const door *d, uint32_t n)
{
    const rates r = d->rates;
    const float bar = (float)w->bar;
    const uint32_t *const mark = w->mark;
    const uint32_t n_candidates = w->n_candidates;
    const kd_candidate *const candidate = w->candidate;
    float *const about = w->about;
    uint32_t *const at = w->at;
    uint32_t found = 0, n_at = 0;
    for (uint32_t k = 0; k < n; k++) { /* without a branch */
        at[found] = k;
        found += about[k] >= bar;
    }
    for (uint32_t k = 0; k < found; k++) {
        const uint32_t item = known_item(cf, w, at[k]);
        about[n_at] = about[at[k]];
        at[n_at] = item;
        n_at += mark[item] == 0;
    }
    for (uint32_t k = 0; k < n_candidates; k++) {
        const float x = about_of(&r, candidate[k].item) + (float)candidate[k].content;
        about[n_at] = x;
        at[n_at] = candidate[k].item;
        n_at += x >= bar;
    }
    for (uint32_t k = 0; r.n_trend > 0 && k < s->trend->n_top; k++) {
        const uint32_t item = s->trend->set[k];
        const float x = about_trend(&r, item);
        if (x < bar)
            break;
        about[n_at] = x;
        at[n_at] = item;
        n_at += r.score[item] == 0 && r.company[item] == 0 && mark[item] == 0;
    }
    return n_at;
}

/* at[0..n) and about[0..n) by what they come to, the most first, if they are few: so they mostly go
 * into the pool in its order. By counting, without a branch. */
static void sort_reaching(float *about, uint32_t *at, uint32_t n)
{
    enum { FEW = 3 * LANES };
    float value[FEW];
    int32_t above[FEW] = {0};
    uint32_t item[FEW];
    uint64_t is_given = 0;
    if (n > FEW)
        return;
    memcpy(value, about, n * sizeof *value);
    memcpy(item, at, n * sizeof *item);
    for (uint32_t k = n; k % LANES != 0; k++)
        value[k] = -INFINITY;
    for (uint32_t j = 0; j < n; j += LANES)
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t l = 0; l < LANES; l++)
                above[j + l] += value[i] > value[j + l];
    for (uint32_t k = 0; k < n; k++) {
        uint32_t place = (uint32_t)above[k];
        while ((is_given >> place & 1) != 0) /* to one that is equal */
            place++;
        is_given |= 1ull << place;
        at[place] = item[k];
        about[place] = value[k];
    }
}

/* The best candidates into the pool: of all but few, what they come to is below the bar. */
static void collect(const kd_state *s, const kd_blend_options *o, const kd_usercf_space *cf,
                    kd_blend_space *w, const door *d)
{
    const uint32_t n = estimate(cf, w, d);
    for (uint32_t k = 0; d->asks_hidden && k < n; k++)
        if (s->item[known_item(cf, w, k)].is_hidden)
            w->about[k] = -1;
    w->n_pool = w->free_slot = 0;
    w->bar = o->rules == NULL ? surely_below(floor_of(w->about, n, d->most)) : 0;
    add_content(s, w, d);
    const uint32_t n_at = find_reaching(s, cf, w, d, n);
    sort_reaching(w->about, w->at, n_at);
    for (uint32_t k = 0; k < n_at; k++)
        if (w->about[k] >= w->bar)
            offer(s, o, cf, w, w->at[k], d);
}

/* Hidden items are rare, and whether one is hidden is far away in memory: it is asked of those that
 * got in, and of all only if one of them should not have. */
static void fill_pool(const kd_state *s, const kd_blend_options *o, const kd_usercf_space *cf,
                      kd_blend_space *w)
{
    door d = door_of(s, o, cf, w);
    bool has_hidden = false;
    collect(s, o, cf, w, &d);
    for (uint32_t k = 0; k < w->n_pool; k++)
        has_hidden |= s->item[w->pool[k].item].is_hidden;
    if (!has_hidden)
        return;
    d.asks_hidden = true;
    for (uint32_t k = 0; k < w->n_candidates; k++)
        drop_content(&w->candidate[k]);
    collect(s, o, cf, w, &d);
}

/* -- the choice ------------------------------------------------------------------------------- */

static bool admits(const kd_state *s, const kd_blend_options *o, const kd_pick *picks, uint32_t n,
                   uint32_t item)
{
    if (o->category_max == 0 || s->content == NULL || !kd_tfidf_has(s->content->tfidf, item))
        return true;
    uint32_t category = s->content->item[item].category, same = 0;
    for (uint32_t k = 0; k < n && category != KD_NO_SLOT; k++)
        same += kd_tfidf_has(s->content->tfidf, picks[k].item) &&
                s->content->item[picks[k].item].category == category;
    return same < o->category_max;
}

bool kd_blend_may_fill(const kd_state *s, const kd_blend_options *o, const kd_pick *picks,
                       uint32_t n, uint32_t item)
{
    bool is_kept_out = o->rules != NULL && kd_rules_factor(o->rules, s, item) == 0;
    return !is_kept_out && admits(s, o, picks, n, item);
}

static void resemble(const kd_state *s, const kd_blend_options *o, uint32_t placed, kd_pick *x)
{
    float cost = (float)(o->diversity * kd_content_cosine(s->content, placed, x->item));
    x->diversity = -cost < x->diversity ? -cost : x->diversity;
}

/* Greedily: each place goes to the best of the pool after what it resembles of those placed. */
static uint32_t choose(const kd_state *s, const kd_blend_options *o, kd_blend_space *w,
                       kd_pick *picks)
{
    uint32_t n = 0;
    while (n < o->count) {
        uint32_t best = w->n_pool;
        double best_score = 0;
        for (uint32_t k = 0; k < w->n_pool; k++) {
            const kd_pick *x = &w->pool[k];
            double score = x->score + x->diversity;
            if (x->item == KD_NO_SLOT || score <= 0 ||
                (best < w->n_pool &&
                 !kd_state_is_better(s, score, x->item, best_score, w->pool[best].item)) ||
                !admits(s, o, picks, n, x->item))
                continue;
            best = k;
            best_score = score;
        }
        if (best == w->n_pool)
            break;
        picks[n] = w->pool[best];
        picks[n].score = best_score;
        w->pool[best].item = KD_NO_SLOT;
        for (uint32_t k = 0; k < w->n_pool && o->diversity > 0 && s->content != NULL; k++) {
            kd_pick *x = &w->pool[k];
            if (x->item == KD_NO_SLOT)
                continue;
            resemble(s, o, picks[n].item, x);
        }
        n++;
    }
    return n;
}

/* In the catalogue for less than new_ms, and nobody has had it. What has a trend somebody has had,
 * and that is near. */
static bool is_new(const kd_state *s, const kd_blend_options *o, uint32_t item)
{
    bool is_trend = s->trend != NULL && kd_trend_of(s->trend, item) > 0;
    return !is_trend && s->item[item].posting.n == 0 && s->item[item].catalog != 0 &&
           s->state_time - kd_state_catalog_time(s, item) < o->new_ms;
}

/* A full list without a new product gives its last place to the one that is most like the newest
 * item: only what is shown can be taken. */
static void admit_new(const kd_state *s, const kd_blend_options *o, const kd_usercf_space *cf,
                      kd_blend_space *w, kd_pick *picks, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (is_new(s, o, picks[k].item))
            return;
    const kd_like_list *newest = &w->list[0];
    for (uint32_t j = 0; j < newest->n; j++) {
        uint32_t item = newest->entry[j].item;
        if (!is_new(s, o, item) || !kd_content_is_current(s->content, &newest->entry[j]) ||
            s->item[item].is_hidden || cf->score[item] < 0)
            continue;
        add_content_of(s, item, w);
        kd_pick x = {.item = item, .slot = w->free_slot};
        x.score = parts_of(s, o, cf, w, item, w->parts[x.slot]);
        if (o->diversity > 0)
            for (uint32_t k = 0; k + 1 < n; k++)
                resemble(s, o, picks[k].item, &x);
        x.score += x.diversity;
        if (x.score <= 0 || !admits(s, o, picks, n - 1, item) ||
            !kd_state_is_better(s, picks[n - 2].score, picks[n - 2].item, x.score, item))
            continue;
        picks[n - 1] = x;
        return;
    }
}

kd_rc kd_blend(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
               const kd_usercf_space *cf, kd_blend_space *w, kd_pick *picks, uint32_t *out_n,
               kd_err *err)
{
    KD_TRY(fit(s, o, subject, cf, w, err));
    double near = cf->n_near;
    w->share = cf->sims > 0 ? o->usercf * (near / (near + o->few)) / cf->sims : 0;
    w->together_item = KD_NO_SLOT;
    if (has_together(o, subject))
        add_together(s, o, subject, w);
    weigh_popularity(s, o, subject, w);
    find_lists(s, o, subject, cf, w);
    fill_pool(s, o, cf, w);
    if (o->diversity > 0 || o->category_max > 0) {
        *out_n = choose(s, o, w, picks);
    } else {
        memcpy(picks, w->pool, w->n_pool * sizeof *picks);
        *out_n = w->n_pool;
    }
    if (o->new_ms > 0 && *out_n == o->count && o->count >= KD_BLEND_NEW_COUNT && w->n_list > 0)
        admit_new(s, o, cf, w, picks, *out_n);
    return KD_OK;
}

static uint32_t content_docs(const kd_state *s)
{
    return s->content == NULL ? 0 : s->content->tfidf->cap_docs;
}

kd_rc kd_blend_items(const kd_state *s, const kd_blend_options *o, const kd_subject *subject,
                     const kd_usercf_space *cf, kd_blend_space *w, const kd_pick *picks, uint32_t n,
                     kd_arena *arena, kd_item *out, kd_err *err)
{
    const bool has_reasons = o->has_reasons && n > 0;
    for (uint32_t k = 0; k < n; k++) { /* on their way from memory, all of them */
        __builtin_prefetch(kd_slab_ptr(s->items.text, s->items.block[picks[k].item]));
        const uint32_t mark = w->mark[picks[k].item];
        if (has_reasons && mark != 0 && picks[k].item < content_docs(s)) {
            __builtin_prefetch(kd_tfidf_vector(s->content->tfidf, picks[k].item).tf);
            __builtin_prefetch(kd_tfidf_vector(s->content->tfidf, w->candidate[mark - 1].from).tf);
        }
    }
    if (has_reasons)
        KD_TRY(kd_blend_explain_begin(s, subject, cf, w, picks, n, arena, err));
    for (uint32_t k = 0; k < n; k++) {
        kd_item *it = &out[k];
        it->item_id = kd_ids_get(&s->items, picks[k].item);
        memcpy(it->parts, w->parts[picks[k].slot], sizeof it->parts);
        it->parts[KD_PART_DIVERSITY] = picks[k].diversity;
        it->score = picks[k].score;
        it->has = 0;
        for (int p = 0; p < KD_PARTS; p++)
            it->has |= (uint32_t)(it->parts[p] != 0) << p;
        it->n_reasons = 0;
        it->reasons = NULL;
        if (has_reasons)
            kd_blend_explain(s, subject, cf, w, k, picks[k].item, it);
    }
    return KD_OK;
}
