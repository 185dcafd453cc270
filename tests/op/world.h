/* world.h - random small worlds for the operators' tests: one list of records that both the
 * recommender and the oracle are fed with. Times and ids are few, so that ties, duplicates and
 * late records are the rule.
 */
#ifndef KD_WORLD_H
#define KD_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "operators/recommender.h"
#include "oracle/oracle.h"

typedef struct world_options {
    int shoppers, items, times; /* how many different ones */
    int sessions;               /* 0 = records name users only */
    int64_t step_ms;            /* between two times */
    int active;                 /* active.max */
    int64_t active_bytes;       /* active.bytes */
    int forgets;                /* per cent of records that are ForgetRequests */
    int catalog;                /* per cent that hide or show an item */
    bool has_texts;             /* and say what it is, or remove it */
    oracle_options opt;
} world_options;

/* What most worlds have in common. */
#define WORLD_ORDINARY                                                                             \
    .overlap_min = 1, .weight = {1, 1, 1, 1}, .fill_weight = 0.001, .links_max = 3,                \
    .idf_exponent = 1, .vsknn_weight = ORACLE_QUADRATIC, .vsknn_decay = ORACLE_DIV,                \
    .stan_recency = 1.02, .stan_distance = 2.05, .stan_age_ms = 432000000, .vote_shared = 1
/* Beside that, where every part of a blend has a say. */
#define WORLD_BLENDED                                                                              \
    .history_max = 10, .purchases_max = 5, .audience_max = 20, .neighbours = 10, .count = 5,       \
    .exclude = ORACLE_PURCHASED, .fill = true, .is_blended = true, .usercf = 1, .together = 0.5,   \
    .content = 0.5, .popularity = 0.2, .popularity_new = 0.5, .popularity_known = 1,               \
    .content_items = 3, .content_neighbours = 4, .together_audience = 4,                           \
    .together_within_ms = 7200000, .trend_half_life_ms = KD_MS_DAY

typedef struct world_record {
    kd_record rec;
    char shopper[16], item[16];
    char session[16]; /* empty = none; the shopper's own name = the record has no user */
    char title[32], category[16], brand[8]; /* of a catalogue record, where has_texts */
    bool has_texts;
} world_record;

static const int64_t world_start = 1700000000000;

/* A few words of few, so that products are alike, some the same, and some say nothing. */
static inline void world_texts(kd_rng *rng, world_record *r)
{
    static const char *const words[] = {"red", "blue", "lamp", "desk", "oak", "1.5m", "box"};
    static const char *const categories[] = {"", "home", "home > desks", "toys"};
    static const char *const brands[] = {"", "acme", "umbra"};
    size_t n = 0;
    int count = (int)kd_rng_below(rng, 5);
    r->has_texts = true;
    r->title[0] = '\0';
    for (int k = 0; k < count; k++)
        n += (size_t)snprintf(r->title + n, sizeof r->title - n, "%s%s", k == 0 ? "" : " ",
                              words[kd_rng_below(rng, sizeof words / sizeof *words)]);
    snprintf(r->category, sizeof r->category, "%s", categories[kd_rng_below(rng, 4)]);
    snprintf(r->brand, sizeof r->brand, "%s", brands[kd_rng_below(rng, 3)]);
    r->rec.removed = kd_rng_below(rng, 8) == 0;
}

static inline void world_make(kd_rng *rng, const world_options *w, world_record *out, int n)
{
    for (int k = 0; k < n; k++) {
        world_record *r = &out[k];
        int dice = (int)kd_rng_below(rng, 100);
        kd_record_type type = dice < w->forgets                ? KD_FORGET
                              : dice < w->forgets + w->catalog ? KD_CATALOG
                                                               : KD_BROWSE;
        snprintf(r->shopper, sizeof r->shopper, "u%d",
                 (int)kd_rng_below(rng, (uint64_t)w->shoppers));
        snprintf(r->item, sizeof r->item, "i%d", (int)kd_rng_below(rng, (uint64_t)w->items));
        kd_action action = (kd_action)kd_rng_below(rng, KD_ACTIONS);
        if (type == KD_BROWSE && action >= KD_PAID)
            type = KD_PURCHASE;
        kd_record_init(&r->rec, type);
        r->session[0] = '\0';
        if (type != KD_CATALOG && w->sessions > 0 && kd_rng_below(rng, 2) == 0) {
            snprintf(r->session, sizeof r->session, "s%d",
                     (int)kd_rng_below(rng, (uint64_t)w->sessions));
            if (type == KD_FORGET ? kd_rng_below(rng, 4) == 0 : kd_rng_below(rng, 2) == 0)
                memcpy(r->shopper, r->session, sizeof r->shopper);
        }
        r->rec.action = action;
        r->rec.time = world_start + w->step_ms * (int64_t)kd_rng_below(rng, (uint64_t)w->times);
        if (type == KD_CATALOG) { /* one version a time: the tie is a test of its own */
            r->rec.time = world_start + k;
            r->rec.available = kd_rng_below(rng, 2) == 0;
        }
        r->has_texts = false;
        if (type == KD_CATALOG && w->has_texts)
            world_texts(rng, r);
        r->rec.ts = r->rec.time;
        r->rec.emit = true;
        r->rec.pos = (kd_pos){"world", 0, k};
    }
}

/* Strings are set here, because records move when they are shuffled. */
static inline const kd_record *world_rec(world_record *r)
{
    bool is_event = r->rec.type == KD_BROWSE || r->rec.type == KD_PURCHASE;
    bool is_anonymous = is_event && strcmp(r->session, r->shopper) == 0;
    r->rec.user_id =
        r->rec.type == KD_CATALOG || is_anonymous ? KD_STR_NULL : kd_str_of(r->shopper);
    r->rec.session_id = is_event && r->session[0] != '\0' ? kd_str_of(r->session) : KD_STR_NULL;
    r->rec.item_id = r->rec.type == KD_FORGET ? KD_STR_NULL : kd_str_of(r->item);
    if (r->has_texts) {
        r->rec.title = kd_str_of(r->title);
        r->rec.category = kd_str_of(r->category[0] == '\0' ? NULL : r->category);
        r->rec.brand = kd_str_of(r->brand[0] == '\0' ? NULL : r->brand);
    }
    return &r->rec;
}

/* A refused event is no trigger and not accepted: the oracle learns the names in it, no more. */
static inline void world_feed_oracle(oracle *o, const world_record *r, bool is_refused)
{
    bool is_event = r->rec.type == KD_BROWSE || r->rec.type == KD_PURCHASE;
    if (is_event && r->session[0] != '\0' && strcmp(r->session, r->shopper) != 0)
        oracle_named(o, r->shopper, r->session, r->rec.time);
    if (is_refused && is_event)
        return;
    if (r->rec.type == KD_FORGET)
        oracle_forget(o, r->shopper, r->rec.time);
    else if (r->rec.type == KD_CATALOG && r->has_texts)
        oracle_product(o, r->item, r->title, r->category, r->brand, r->rec.removed, r->rec.time);
    if (r->rec.type == KD_CATALOG)
        oracle_catalog(o, r->item, !r->rec.available || r->rec.removed, r->rec.time);
    if (is_event)
        oracle_event(o, r->shopper, r->item, (int)r->rec.action, r->rec.time);
}

static inline void world_set(kd_opt_values *v, const char *name, const char *fmt, ...)
{
    char text[64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    kd_err err = {0};
    if (kd_opt_set(v, name, text, "test", &err) != KD_OK)
        fail_msg("%s=%s: %s", name, text, err.msg);
}

static inline void world_set_blend(kd_opt_values *v, const oracle_options *o)
{
    world_set(v, "content.language", "none");
    world_set(v, "content.drift", "0");
    world_set(v, "content.neighbours", "%d", o->content_neighbours);
    world_set(v, "blend.usercf", "%.17g", o->usercf);
    world_set(v, "blend.together", "%.17g", o->together);
    world_set(v, "blend.together.audience", "%d", o->together_audience);
    world_set(v, "blend.together.within", "%lldms", (long long)o->together_within_ms);
    world_set(v, "blend.content", "%.17g", o->content);
    world_set(v, "blend.content.items", "%d", o->content_items);
    world_set(v, "blend.popularity", "%.17g", o->popularity);
    world_set(v, "blend.new", "%lldms", (long long)o->new_ms);
    world_set(v, "blend.few", "%.17g", o->few);
    world_set(v, "blend.popularity.new", "%.17g", o->popularity_new);
    world_set(v, "blend.popularity.known", "%.17g", o->popularity_known);
    world_set(v, "blend.popularity.half-life", "%lldms", (long long)o->trend_half_life_ms);
    world_set(v, "blend.diversity", "%.17g", o->diversity);
    world_set(v, "recommend.category.max", "%d", o->category_max);
    if (o->boosted != NULL)
        world_set(v, "rules.boost", "item:%s=%.17g", o->boosted, o->boost);
}

/* A recommender with the world's options. */
static inline kd_recommender *world_recommender(const world_options *w)
{
    const oracle_options *o = &w->opt;
    static const char *const excludes[] = {"none", "purchased", "seen"};
    static const char *const weights[] = {"view", "like", "cart", "purchase"};
    kd_opt_values v = {0};
    kd_err err = {0};
    assert_int_equal(kd_opt_values_add(&v, kd_recommender_opts(), &err), KD_OK);
    static const char *const similarities[] = {"jaccard", "cosine", "idf-cosine", "vsknn", "stan"};
    static const char *const falls[] = {"same", "div", "linear", "log", "quadratic"};
    world_set(&v, "usercf.similarity", "%s", similarities[o->similarity]);
    world_set(&v, "usercf.window", "%lldms", (long long)o->window_ms);
    world_set(&v, "usercf.idf.exponent", "%.17g", o->idf_exponent);
    world_set(&v, "usercf.idf.shared", "%.17g", o->idf_shared);
    world_set(&v, "usercf.idf.score", "%.17g", o->idf_score);
    world_set(&v, "usercf.vsknn.weight", "%s", falls[o->vsknn_weight]);
    world_set(&v, "usercf.vsknn.decay", "%s", falls[o->vsknn_decay]);
    world_set(&v, "usercf.stan.recency", "%.17g", o->stan_recency);
    world_set(&v, "usercf.stan.distance", "%.17g", o->stan_distance);
    world_set(&v, "usercf.stan.age", "%lldms", (long long)o->stan_age_ms);
    world_set(&v, "usercf.vote.recency", "%.17g", o->vote_recency);
    world_set(&v, "usercf.vote.after", "%.17g", o->vote_after);
    world_set(&v, "usercf.vote.before", "%.17g", o->vote_before);
    world_set(&v, "usercf.vote.shared", "%.17g", o->vote_shared);
    world_set(&v, "recommend.exclude.for", "%lldms", (long long)o->exclude_for_ms);
    world_set(&v, "active.max", "%d", w->active);
    world_set(&v, "active.bytes", "%lld", (long long)w->active_bytes);
    world_set(&v, "active.for", "%lldms", (long long)(w->step_ms * 8));
    world_set(&v, "links.max", "%d", o->links_max);
    world_set(&v, "usercf.neighbours", "%d", o->neighbours);
    world_set(&v, "usercf.overlap.min", "%d", o->overlap_min);
    for (int a = 0; a < 4; a++) {
        char name[64];
        snprintf(name, sizeof name, "usercf.weight.%s", weights[a]);
        world_set(&v, name, "%.17g", o->weight[a]);
    }
    world_set(&v, "usercf.half-life", "%lldms", (long long)o->half_life_ms);
    world_set(&v, "history.max", "%d", o->history_max);
    world_set(&v, "purchases.max", "%d", o->purchases_max);
    world_set(&v, "audience.max", "%d", o->audience_max);
    world_set(&v, "retention", "%lldms", (long long)o->retention_ms);
    world_set(&v, "recommend.count", "%d", o->count);
    world_set(&v, "recommend.exclude", "%s", excludes[o->exclude]);
    world_set(&v, "recommend.fill", "%s", o->fill ? "popularity" : "none");
    world_set(&v, "recommend.fill.weight", "%.17g", o->fill_weight);
    world_set(&v, "blend", "%s", o->is_blended ? "on" : "off");
    world_set(&v, "content", "%s", w->has_texts ? "on" : "off");
    if (o->is_blended)
        world_set_blend(&v, o);
    kd_recommender *r = NULL;
    if (kd_recommender_new(&v, &r, &err) != KD_OK)
        fail_msg("%s", err.msg);
    kd_opt_values_dispose(&v);
    return r;
}

/* The seed of a run: KINDRED_SEED, or a fixed one; printed, so that a failure can be run again. */
static inline uint64_t world_seed(void)
{
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 20261124 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    return seed;
}

#endif
