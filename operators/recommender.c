#include "operators/recommender.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "operators/active.h"
#include "operators/blend.h"
#include "operators/blend_options.h"
#include "operators/content.h"
#include "operators/needs.h"
#include "operators/popularity.h"
#include "operators/published.h"
#include "operators/saver.h"
#include "operators/state_internal.h"
#include "operators/subject.h"
#include "operators/trend.h"
#include "operators/usercf_core.h"

enum { SHOPPER_USER, SHOPPER_SESSION, SHOPPER_EITHER };
enum { EXCLUDE_NONE, EXCLUDE_PURCHASED, EXCLUDE_SEEN };
enum { FILL_NONE, FILL_POPULARITY };
enum { N_STATS = 24 };
/* Popular items are looked up in lists of growing length: after each event the short one is made
 * anew, the longer ones only for somebody who has nearly all of it. */
enum { N_POPULAR = 3, SHORT_POPULAR = 64, LONGER_POPULAR = 512 };
enum { TIDY_EVERY = 2 }; /* records to each shopper that is looked at */

struct kd_recommender {
    kd_state *state;
    kd_usercf_options usercf;
    kd_subject_options subject;
    int shopper, exclude, fill;
    uint32_t count;
    double fill_weight;
    bool is_blended;
    bool has_events, has_products; /* came since the last kd_recommender_prepare */
    kd_blend_options blend;
    kd_rules *rules;
    kd_needs_options needs;
    kd_popular popular[N_POPULAR];
    kd_stat stats[N_STATS];
    int64_t n_forgotten;
    uint32_t tidy_due; /* shoppers to look at when the epoch's writing ends */
};

struct kd_reader_space {
    kd_usercf_space cf;
    kd_subject_space subject;
    kd_blend_space blend;
    kd_needs_space needs;
    kd_popular *popular; /* [N_POPULAR] borrowed: shared by readers, each locks itself */
};

static const kd_opt opts[] = {
    {"shopper", KD_OPT_ENUM, "user-or-session", 0, 0, "user|session|user-or-session",
     "Who a shopper is: the user id, the session id, or the user id and else the session id."},
    {"links.max", KD_OPT_INT, "3", 0, 100, NULL,
     "Sessions whose anonymous events are joined to a user's own: the most recently linked ones."},
    {"usercf.similarity", KD_OPT_ENUM, "jaccard", 0, 0, "jaccard|cosine|idf-cosine|vsknn|stan",
     "Similarity of two shoppers' item sets."},
    {"usercf.neighbours", KD_OPT_INT, "50", 1, 100000, NULL, "Neighbours that vote (k)."},
    {"usercf.overlap.min", KD_OPT_INT, "1", 1, KD_HISTORY_LIMIT, NULL,
     "Least number of shared items of a neighbour."},
    {"usercf.weight.view", KD_OPT_REAL, "1", 0, 1e6, NULL, "Weight of a neighbour's view."},
    {"usercf.weight.like", KD_OPT_REAL, "1", 0, 1e6, NULL, "Weight of a neighbour's like."},
    {"usercf.weight.cart", KD_OPT_REAL, "1", 0, 1e6, NULL, "Weight of a neighbour's cart."},
    {"usercf.weight.purchase", KD_OPT_REAL, "1", 0, 1e6, NULL, "Weight of a neighbour's purchase."},
    {"usercf.half-life", KD_OPT_DURATION, "0", 0, 0, NULL,
     "Age at which a neighbour's interaction counts half; 0 = ages do not matter."},
    {"usercf.window", KD_OPT_DURATION, "0", 0, 0, NULL,
     "Age from which a neighbour's interaction does not count; 0 = ages do not matter."},
    {"usercf.idf.exponent", KD_OPT_REAL, "1", 0, 4, NULL,
     "idf-cosine: an item weighs its smoothed IDF to this power; 0 = the cosine of sets."},
    {"usercf.idf.shared", KD_OPT_REAL, "0", 0, 16, NULL,
     "vsknn, stan: the weight of a shared item is multiplied with its smoothed IDF, as a share of "
     "the greatest one, to this power."},
    {"usercf.idf.score", KD_OPT_REAL, "0", 0, 1000, NULL,
     "A score is multiplied with 1 + this * ln(shoppers / shoppers of the item)."},
    {"usercf.vsknn.weight", KD_OPT_ENUM, "quadratic", 0, 0, "same|div|linear|log|quadratic",
     "vsknn: how the weight of the shopper's own items falls with their steps before the newest."},
    {"usercf.vsknn.decay", KD_OPT_ENUM, "div", 0, 0, "same|div|linear|log|quadratic",
     "vsknn: how a neighbour's vote falls with the steps before its most recent shared item."},
    {"usercf.stan.recency", KD_OPT_REAL, "1.02", 0, 1e6, NULL,
     "stan: steps in which the weight of the shopper's own items falls to 1/e; 0 = it does not."},
    {"usercf.stan.age", KD_OPT_DURATION, "5d", 0, 0, NULL,
     "stan: age in which a neighbour's similarity falls to 1/e; 0 = it does not."},
    {"usercf.stan.distance", KD_OPT_REAL, "2.05", 0, 1e6, NULL,
     "stan: places from the shared item in which a neighbour's vote falls to 1/e; 0 = it does "
     "not."},
    {"usercf.vote.recency", KD_OPT_REAL, "0", 0, 100, NULL,
     "A neighbour's vote is divided by this power of 1 + the steps from the shopper's newest event "
     "to the most recent item that both have; 0 = it is not."},
    {"usercf.vote.after", KD_OPT_REAL, "0", 0, 1e6, NULL,
     "Places after that item in the neighbour's history in which its vote falls to 1/e; 0 = none."},
    {"usercf.vote.before", KD_OPT_REAL, "0", 0, 1e6, NULL, "The same for places before it."},
    {"usercf.vote.shared", KD_OPT_REAL, "1", 0, 1, NULL,
     "Share of the vote that this item itself gets, where it may be listed again."},
    {"history.max", KD_OPT_INT, "50", 1, KD_HISTORY_LIMIT, NULL,
     "Interactions kept of each shopper: the most recent ones."},
    {"purchases.max", KD_OPT_INT, "200", 0, KD_HISTORY_LIMIT, NULL,
     "Purchases and cancellations remembered of each shopper when browsing has pushed them out."},
    {"audience.max", KD_OPT_INT, "500", 1, 10000000, NULL,
     "Most recent shoppers of an item that are looked at for neighbours."},
    {"active.max", KD_OPT_INT, "0", 0, 10000000, NULL,
     "Shoppers whose intersection counts are kept up to date instead of gathered; 0 = none. "
     "Results are the same; see docs/performance.md for when it pays."},
    {"active.bytes", KD_OPT_BYTES, "256m", 0, 0, NULL, "Memory for these counts."},
    {"active.for", KD_OPT_DURATION, "30m", 0, 0, NULL,
     "They are kept for this long after a shopper's last event, in event time."},
    {"retention", KD_OPT_DURATION, "0", 0, 0, NULL,
     "Interactions older than this, in event time, leave the state; 0 = kept for ever."},
    {"memory.max", KD_OPT_BYTES, "0", 0, 0, NULL,
     "Bytes that the state may use; above, the oldest interactions leave it; 0 = no limit."},
    {"recommend.count", KD_OPT_INT, "10", 1, 1000, NULL, "Length of a list."},
    {"recommend.exclude", KD_OPT_ENUM, "purchased", 0, 0, "none|purchased|seen",
     "Items of the shopper's own that are not listed."},
    {"recommend.exclude.for", KD_OPT_DURATION, "0", 0, 0, NULL,
     "Time after which something bought may be listed again (a re-buy); 0 = never."},
    {"recommend.fill", KD_OPT_ENUM, "popularity", 0, 0, "none|popularity",
     "What fills a list that neighbours leave short; such items carry the part `popularity`."},
    {"recommend.fill.weight", KD_OPT_REAL, "0.001", 0, 1, NULL,
     "Score of an item that every shopper has, when it fills a list; others in proportion."},
    {"recommend.reasons", KD_OPT_BOOL, "true", 0, 0, NULL,
     "With `blend`: say of each item why it is listed."},
    {"recommend.category.max", KD_OPT_INT, "0", 0, 1000, NULL,
     "With `blend`: most items of one category in a list; 0 = any number."},
    {"rules.boost", KD_OPT_LIST, "", 0, 0, NULL,
     "With `blend`: factors of scores, such as `brand:ACME=1.5; category:Home > Lamps=0.5; "
     "item:p-17=0`; 0 keeps out. There may be thousands."},
    {"blend", KD_OPT_ENUM, "off", 0, 0, "off|on",
     "Whether a list is user-CF alone, or the weighted sum of several methods' parts."},
    {"blend.usercf", KD_OPT_REAL, "1", 0, 1000, NULL,
     "Weight of the share of the neighbours that votes for an item."},
    {"blend.together", KD_OPT_REAL, "0.07", 0, 1000, NULL,
     "Weight of the share of the newest item's recent shoppers that took an item with it."},
    {"blend.together.audience", KD_OPT_INT, "20", 1, 10000, NULL,
     "How many of them are looked at."},
    {"blend.together.within", KD_OPT_DURATION, "1h", 0, 0, NULL,
     "How far apart in time two things may be taken together."},
    {"blend.content", KD_OPT_REAL, "0.2", 0, 1000, NULL,
     "Weight of the likeness to the shopper's newest items, by the catalogue's texts."},
    {"blend.content.items", KD_OPT_INT, "3", 1, 1000, NULL,
     "How many of the newest items are looked at; the k-th newest counts 1/k."},
    {"blend.popularity", KD_OPT_REAL, "0.15", 0, 1000, NULL,
     "Weight of an item's popularity: the share of the shoppers that has it, by what is taken "
     "lately."},
    {"blend.popularity.new", KD_OPT_REAL, "3", 0, 1000, NULL,
     "How much greater it is for a shopper of whom nothing is known: times (k / (k + items))^2."},
    {"blend.popularity.known", KD_OPT_REAL, "4", 0.01, 1000, NULL,
     "This k: own items at which a quarter of that is left."},
    {"blend.popularity.half-life", KD_OPT_DURATION, "7d", 0, 0, NULL,
     "Age, in days, at which a shopper counts half for popularity; after 28 days not at all."},
    {"blend.few", KD_OPT_REAL, "20", 0, 1000, NULL,
     "Neighbours, or shoppers in all, at which a share of them counts half: n / (n + this)."},
    {"blend.new", KD_OPT_DURATION, "7d", 0, 0, NULL,
     "How long a product that nobody has had is new: a full list of 5 or more gives its last place "
     "to one that is like the newest item; 0 = it does not."},
    {"blend.diversity", KD_OPT_REAL, "0", 0, 1000, NULL,
     "Weight that the greatest likeness to an item further up takes away (MMR)."},
    {"content", KD_OPT_ENUM, "off", 0, 0, "off|on",
     "Whether the catalogue's texts are read: TF-IDF of all products, and lists of similar ones."},
    {"content.language", KD_OPT_ENUM, "auto", 0, 0, KD_TEXT_LANGUAGES,
     "Language of stems and stop words; auto: of each product, by script and stop words, English "
     "if in doubt. A shop with one language should name it."},
    {"content.stop-words", KD_OPT_BOOL, "false", 0, 0, NULL, "Keep stop words as terms."},
    {"content.bigrams", KD_OPT_BOOL, "false", 0, 0, NULL, "Pairs of adjacent words are terms too."},
    {"content.bytes.max", KD_OPT_BYTES, "8k", 64, 32768, NULL,
     "Bytes of a product's texts that are read, in the order title, category, brand, tags, "
     "description."},
    {"content.terms.max", KD_OPT_INT, "200", 1, 2000, NULL, "Terms of a product that are read."},
    {"content.weight.title", KD_OPT_REAL, "1", 0, 1000, NULL, "Weight of a title's terms."},
    {"content.weight.description", KD_OPT_REAL, "0.5", 0, 1000, NULL,
     "Weight of a description's terms."},
    {"content.weight.category", KD_OPT_REAL, "1", 0, 1000, NULL,
     "Weight of each step of the category's path."},
    {"content.weight.brand", KD_OPT_REAL, "1", 0, 1000, NULL, "Weight of the brand."},
    {"content.weight.tags", KD_OPT_REAL, "1", 0, 1000, NULL, "Weight of the tags' terms."},
    {"content.neighbours", KD_OPT_INT, "20", 1, 200, NULL,
     "Length of a product's list of similar ones."},
    {"content.drift", KD_OPT_REAL, "0.1", 0, 1, NULL,
     "Share of the products that may change before every list has been worked out anew; 0 = all "
     "after each change."},
    {"content.search", KD_OPT_ENUM, "exact", 0, 0, "exact|dense",
     "How similar products are found: through lists of terms, or by projected vectors whose best "
     "are rescored (slower, and not quite all are found)."},
    {"content.dimension", KD_OPT_INT, "256", 64, 4096, NULL,
     "dense: length of a vector, a multiple of 64."},
    {"content.candidates", KD_OPT_INT, "200", 1, 100000, NULL, "dense: how many are rescored."},
    {"content.seed", KD_OPT_INT, "1", 0, 0, NULL, "dense: seed of the projection."},
    {"needs.count", KD_OPT_INT, "10", 1, 1000, NULL,
     "Terms in a ShopperNeeds record; half as many and one categories and brands."},
    {"needs.half-life", KD_OPT_DURATION, "30d", 0, 0, NULL,
     "Age at which an interaction counts half for a shopper's needs; 0 = ages do not matter."},
    {"needs.weight.view", KD_OPT_REAL, "1", 0, 1e6, NULL, "Weight of a view for them."},
    {"needs.weight.like", KD_OPT_REAL, "2", 0, 1e6, NULL, "Weight of a like."},
    {"needs.weight.cart", KD_OPT_REAL, "3", 0, 1e6, NULL, "Weight of putting into the cart."},
    {"needs.weight.purchase", KD_OPT_REAL, "3", 0, 1e6, NULL, "Weight of a purchase."},
    {"privacy.key", KD_OPT_STRING, "", 0, 0, NULL,
     "Secret of at least 16 bytes for the hashes that tombstones and receipts hold instead of ids; "
     "empty: a key that is public, fit for trials only."},
    {0},
};

const kd_opt *kd_recommender_opts(void)
{
    return opts;
}

static kd_rc key_of(const kd_opt_values *v, unsigned char out[KD_TOMBSTONE_KEY], kd_err *err)
{
    const char *secret = kd_opt_str(v, "privacy.key");
    size_t n = secret == NULL ? 0 : strlen(secret);
    if (n > 0 && n < 16)
        return kd_fail(err, KD_ECONFIG, "privacy.key has %zu bytes, 16 or more are right", n);
    crypto_generichash(out, KD_TOMBSTONE_KEY, (const unsigned char *)secret, n, NULL, 0);
    return KD_OK;
}

static kd_rc open_content(kd_recommender *r, const kd_opt_values *v, kd_err *err)
{
    char language[32];
    kd_content_options o;
    KD_TRY(kd_content_options_of(v, language, &o, err));
    return kd_content_new(&o, &r->state->items, &r->state->content, err);
}

static kd_rc open_blend(kd_recommender *r, const kd_opt_values *v, kd_err *err)
{
    double half_life;
    r->needs = kd_needs_options_of(v);
    KD_TRY(kd_blend_options_of(v, &r->blend, &half_life, err));
    KD_TRY(kd_rules_of(v, &r->rules, err));
    if (kd_rules_count(r->rules) > 0)
        r->blend.rules = r->rules;
    if (!r->is_blended || (r->blend.popularity == 0 && r->blend.popularity_new == 0))
        return KD_OK;
    return kd_trend_new(half_life, &r->state->trend, err);
}

kd_rc kd_recommender_new(const kd_opt_values *v, kd_recommender **out, kd_err *err)
{
    if (sodium_init() < 0)
        return kd_fail(err, KD_EBUG, "libsodium does not start");
    kd_recommender *r = calloc(1, sizeof *r);
    if (r == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the recommender");
    r->usercf = (kd_usercf_options){
        .similarity = (kd_similarity)kd_opt_int(v, "usercf.similarity"),
        .neighbours = (uint32_t)kd_opt_int(v, "usercf.neighbours"),
        .overlap_min = (uint32_t)kd_opt_int(v, "usercf.overlap.min"),
        .audience_max = (uint32_t)kd_opt_int(v, "audience.max"),
        .weight = {[KD_VIEW] = kd_opt_real(v, "usercf.weight.view"),
                   [KD_LIKE] = kd_opt_real(v, "usercf.weight.like"),
                   [KD_CART] = kd_opt_real(v, "usercf.weight.cart"),
                   [KD_PAID] = kd_opt_real(v, "usercf.weight.purchase")},
        .half_life_ms = kd_opt_int(v, "usercf.half-life"),
        .window_ms = kd_opt_int(v, "usercf.window"),
        .idf_exponent = kd_opt_real(v, "usercf.idf.exponent"),
        .idf_shared = kd_opt_real(v, "usercf.idf.shared"),
        .idf_score = kd_opt_real(v, "usercf.idf.score"),
        .vsknn_weight = (kd_fall)kd_opt_int(v, "usercf.vsknn.weight"),
        .vsknn_decay = (kd_fall)kd_opt_int(v, "usercf.vsknn.decay"),
        .stan_recency = kd_opt_real(v, "usercf.stan.recency"),
        .stan_age_ms = kd_opt_int(v, "usercf.stan.age"),
        .stan_distance = kd_opt_real(v, "usercf.stan.distance"),
        .vote = {.recency = kd_opt_real(v, "usercf.vote.recency"),
                 .after = kd_opt_real(v, "usercf.vote.after"),
                 .before = kd_opt_real(v, "usercf.vote.before"),
                 .shared = kd_opt_real(v, "usercf.vote.shared")},
    };
    r->subject = (kd_subject_options){.links_max = (uint32_t)kd_opt_int(v, "links.max"),
                                      .exclude_for_ms = kd_opt_int(v, "recommend.exclude.for")};
    kd_usercf_options_ready(&r->usercf);
    r->shopper = (int)kd_opt_int(v, "shopper");
    r->exclude = (int)kd_opt_int(v, "recommend.exclude");
    r->fill = (int)kd_opt_int(v, "recommend.fill");
    r->fill_weight = kd_opt_real(v, "recommend.fill.weight");
    r->count = (uint32_t)kd_opt_int(v, "recommend.count");
    kd_state_options so = {.history_max = (uint32_t)kd_opt_int(v, "history.max"),
                           .purchases_max = (uint32_t)kd_opt_int(v, "purchases.max"),
                           .retention_ms = kd_opt_int(v, "retention"),
                           .memory_max = kd_opt_int(v, "memory.max")};
    kd_rc rc = key_of(v, so.tombstone_key, err);
    if (rc == KD_OK)
        rc = kd_state_new(&so, &r->state, err);
    kd_active_options ao = {.max = (uint32_t)kd_opt_int(v, "active.max"),
                            .bytes = kd_opt_int(v, "active.bytes"),
                            .keep_ms = kd_opt_int(v, "active.for"),
                            .audience_max = r->usercf.audience_max};
    if (rc == KD_OK && ao.max > 0 && !r->usercf.has_first)
        rc = kd_active_new(&ao, &r->state->active, err);
    /* Enough popular items that some are left when everything of the shopper's own is excluded. */
    uint32_t own = (r->subject.links_max + 1) * (so.history_max + so.purchases_max);
    const uint32_t lengths[N_POPULAR] = {SHORT_POPULAR, LONGER_POPULAR, r->count + own + 1};
    r->is_blended = kd_opt_int(v, "blend") != 0;
    if (rc == KD_OK && kd_opt_int(v, "content") != 0)
        rc = open_content(r, v, err);
    if (rc == KD_OK)
        rc = open_blend(r, v, err);
    for (int k = 0; rc == KD_OK && k < N_POPULAR; k++)
        rc = kd_popular_init(&r->popular[k], lengths[k], err);
    if (rc != KD_OK) {
        kd_recommender_free(r);
        return rc;
    }
    *out = r;
    return KD_OK;
}

void kd_recommender_free(kd_recommender *r)
{
    if (r == NULL)
        return;
    kd_state_free(r->state);
    kd_rules_free(r->rules);
    for (int k = 0; k < N_POPULAR; k++)
        kd_popular_dispose(&r->popular[k]);
    free(r);
}

const kd_state *kd_recommender_state(const kd_recommender *r)
{
    return r->state;
}

const kd_usercf_options *kd_recommender_core(const kd_recommender *r,
                                             const kd_subject_options **out_subject)
{
    *out_subject = &r->subject;
    return &r->usercf;
}

/* -- writing ----------------------------------------------------------------------------------- */

kd_str kd_recommender_shopper(const kd_recommender *r, const kd_record *rec)
{
    if (rec->type == KD_FORGET || r->shopper == SHOPPER_USER)
        return rec->user_id;
    if (r->shopper == SHOPPER_SESSION)
        return rec->session_id;
    return rec->user_id.p != NULL ? rec->user_id : rec->session_id;
}

static void name_of(const kd_recommender *r, const kd_record *rec, kd_ahead *out)
{
    kd_str shopper = kd_recommender_shopper(r, rec);
    out->is_event = rec->type <= KD_PURCHASE && shopper.p != NULL;
    if (!out->is_event)
        return;
    out->session.id = KD_STR_NULL;
    out->shopper_slot = out->item_slot = KD_NO_SLOT;
    out->shopper = kd_name_of(shopper);
    out->item = kd_name_of(rec->item_id);
    if (r->shopper == SHOPPER_EITHER && rec->user_id.p != NULL && rec->session_id.p != NULL)
        out->session = kd_name_of(rec->session_id);
}

kd_rc kd_recommender_apply(kd_recommender *r, const kd_record *rec, kd_applied *out, kd_err *err)
{
    kd_ahead x;
    kd_recommender_ahead(r, rec, 0, &x);
    return kd_recommender_apply_named(r, rec, &x, out, err);
}

kd_rc kd_recommender_apply_named(kd_recommender *r, const kd_record *rec, const kd_ahead *x,
                                 kd_applied *out, kd_err *err)
{
    out->changed = out->refused = out->late = out->is_forget = false;
    r->tidy_due++;
    r->has_products |= rec->type == KD_CATALOG;
    if (rec->type == KD_CATALOG)
        return kd_state_catalog(r->state, rec, out, err);
    kd_str shopper = kd_recommender_shopper(r, rec);
    if (shopper.p == NULL)
        return kd_bad(err, KD_REASON_NO_SHOPPER, "the record names no shopper");
    r->has_events = true;
    if (rec->type != KD_FORGET) {
        kd_state_limit(r->state);
        const kd_named_event event = {x->shopper,  x->session, x->item,
                                      rec->action, rec->time,  rec->ts};
        return kd_state_interact(r->state, &event, out, err);
    }
    *out = (kd_applied){0};
    KD_TRY(kd_state_forget(r->state, shopper, rec->time, rec->ts, out, err));
    r->n_forgotten++;
    kd_tombstones_hex(&r->state->tombs, shopper, out->shopper_hash);
    out->receipt.request_id = rec->event_id;
    out->receipt.time = rec->time;
    out->receipt.trigger = rec->pos;
    return KD_OK;
}

void kd_recommender_ahead(const kd_recommender *r, const kd_record *rec, int step, kd_ahead *x)
{
    if (step == 0)
        name_of(r, rec, x);
    if (x->is_event)
        kd_state_ahead(r->state, step, x);
}

kd_rc kd_recommender_prepare(kd_recommender *r, kd_err *err)
{
    kd_state *s = r->state;
    if (s->active != NULL)
        kd_active_settle(s);
    if (s->trend != NULL)
        kd_trend_settle(s->trend, &s->items);
    /* While products come and nobody asks, as when a catalogue is loaded, what is due gathers. */
    if (s->content != NULL && (r->has_events || !r->has_products))
        KD_TRY(kd_content_settle(s->content, err));
    r->has_events = r->has_products = false;
    kd_state_tidy(r->state, r->tidy_due / TIDY_EVERY);
    r->tidy_due %= TIDY_EVERY;
    return KD_OK;
}

/* -- reading ----------------------------------------------------------------------------------- */

kd_rc kd_reader_space_new(const kd_recommender *r, kd_reader_space **out, kd_err *err)
{
    kd_reader_space *w = calloc(1, sizeof *w);
    if (w == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a reader");
    /* The cache of popular items is shared by readers and guards itself: no state is written. */
    w->popular = (kd_popular *)(uintptr_t)r->popular;
    w->cf.wants_voters = r->is_blended && r->blend.has_reasons;
    *out = w;
    return KD_OK;
}

void kd_reader_space_free(kd_reader_space *w)
{
    if (w == NULL)
        return;
    kd_usercf_space_dispose(&w->cf);
    kd_subject_space_dispose(&w->subject);
    kd_blend_space_dispose(&w->blend);
    kd_needs_space_dispose(&w->needs);
    free(w);
}

/* What `recommend.exclude` names, and the trigger's own item. */
static kd_rc exclude_own(const kd_recommender *r, kd_reader_space *w, const kd_subject *subject,
                         uint32_t trigger, kd_err *err)
{
    if (trigger != KD_NO_SLOT)
        KD_TRY(kd_usercf_exclude(&w->cf, trigger, err));
    for (uint32_t k = 0; r->exclude != EXCLUDE_NONE && k < subject->n_bought; k++)
        KD_TRY(kd_usercf_exclude(&w->cf, subject->bought[k], err));
    for (uint32_t k = 0; r->exclude == EXCLUDE_SEEN && k < subject->n_items; k++)
        KD_TRY(kd_usercf_exclude(&w->cf, subject->items[k], err));
    return KD_OK;
}

typedef struct scored {
    double score;
    uint32_t item;
    kd_part part; /* KD_PARTS: those of the blend */
} scored;

/* The best `max` of the scored items, in order, by insertion: the bar is high after the first few.
 */
static uint32_t take_best(const kd_state *s, const kd_usercf_space *w, scored *best, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < w->n_items; k++) {
        uint32_t item = w->items[k];
        double score = w->score[item];
        if (score < 0 || s->item[item].is_hidden)
            continue;
        if (n == max && !kd_state_is_better(s, score, item, best[n - 1].score, best[n - 1].item))
            continue;
        uint32_t at = n < max ? n++ : n - 1;
        for (; at > 0 && kd_state_is_better(s, score, item, best[at - 1].score, best[at - 1].item);
             at--)
            best[at] = best[at - 1];
        best[at] = (scored){score, item, KD_PART_USERCF};
    }
    return n;
}

/* `picks`: what a blend has chosen, NULL = none. */
static uint32_t fill_popular(const kd_recommender *r, kd_reader_space *w, scored *best, uint32_t n,
                             kd_pick *picks)
{
    uint32_t n_picks = n;
    const kd_state *s = r->state;
    uint32_t k = 0, from = n;
    for (int list = 0; list < N_POPULAR && n < r->count; list++) {
        uint32_t n_top;
        const uint32_t *top = kd_popular_top(&w->popular[list], s, &n_top);
        for (; k < n_top && n < r->count; k++) {
            uint32_t item = top[k];
            if (w->cf.score[item] != 0.0) /* excluded, or in the list */
                continue;
            if (picks != NULL && !kd_blend_may_fill(s, &r->blend, picks, n_picks, item))
                continue;
            double share = (double)s->item[item].posting.n / s->n_shoppers;
            if (picks != NULL)
                picks[n_picks++] = (kd_pick){.item = item};
            best[n++] = (scored){(float)(r->fill_weight * share), item, KD_PART_POPULARITY};
        }
    }
    /* Filling keeps the order of the whole list, should a faded user-CF score be the smaller. */
    for (k = from; k < n; k++) {
        scored x = best[k];
        uint32_t at = k;
        for (; at > 0 &&
               kd_state_is_better(s, x.score, x.item, best[at - 1].score, best[at - 1].item);
             at--)
            best[at] = best[at - 1];
        best[at] = x;
    }
    return n;
}

/* One whose score is one part alone. */
static kd_item item_of(const kd_recommender *r, const scored *x)
{
    kd_item it = {
        .item_id = kd_ids_get(&r->state->items, x->item), .score = x->score, .has = 1u << x->part};
    it.parts[x->part] = x->score;
    return it;
}

static kd_rc list_items(const kd_recommender *r, kd_reader_space *w, kd_arena *arena,
                        kd_update *out, kd_err *err)
{
    scored *best = kd_arena_alloc(arena, r->count * sizeof *best);
    kd_item *items = kd_arena_alloc(arena, r->count * sizeof *items);
    if (best == NULL || items == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a list of %u", r->count);
    uint32_t n = take_best(r->state, &w->cf, best, r->count);
    if (n < r->count && r->fill == FILL_POPULARITY)
        n = fill_popular(r, w, best, n, NULL);
    for (uint32_t k = 0; k < n; k++) {
        items[k] = item_of(r, &best[k]);
    }
    out->items = items;
    out->n_items = n;
    return KD_OK;
}

static kd_rc take_items(const kd_recommender *r, const scored *best, uint32_t n, kd_item *items,
                        const kd_item *blended, kd_arena *arena, kd_err *err)
{
    uint32_t b = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (best[k].part == KD_PARTS) { /* blended ones keep their order among those that fill */
            items[k] = blended[b++];
            continue;
        }
        items[k] = item_of(r, &best[k]);
        if (!r->blend.has_reasons)
            continue;
        kd_why *why = kd_arena_alloc(arena, sizeof *why);
        if (why == NULL)
            return kd_fail(err, KD_ENOMEM, "no room for a reason");
        *why = (kd_why){.kind = KD_KIND_POPULAR, .count = r->state->item[best[k].item].posting.n};
        items[k].reasons = why;
        items[k].n_reasons = 1;
    }
    return KD_OK;
}

/* The list of a blend, filled by popularity where it stays short. */
static kd_rc blend_items(const kd_recommender *r, kd_reader_space *w, const kd_subject *subject,
                         kd_arena *arena, kd_update *out, kd_err *err)
{
    kd_pick *picks = kd_arena_alloc(arena, (r->count + 1) * sizeof *picks);
    kd_item *blended = kd_arena_alloc(arena, r->count * sizeof *blended);
    if (picks == NULL || blended == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a list of %u", r->count);
    uint32_t n = 0;
    KD_TRY(kd_blend(r->state, &r->blend, subject, &w->cf, &w->blend, picks, &n, err));
    KD_TRY(kd_blend_items(r->state, &r->blend, subject, &w->cf, &w->blend, picks, n, arena, blended,
                          err));
    out->items = blended;
    out->n_items = n;
    if (n == r->count || r->fill != FILL_POPULARITY)
        return KD_OK;
    scored *best = kd_arena_alloc(arena, r->count * sizeof *best);
    kd_item *items = kd_arena_alloc(arena, r->count * sizeof *items);
    if (best == NULL || items == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for a list of %u", r->count);
    for (uint32_t k = 0; k < n; k++) {
        best[k] = (scored){picks[k].score, picks[k].item, KD_PARTS};
        KD_TRY(kd_usercf_exclude(&w->cf, picks[k].item, err));
    }
    n = fill_popular(r, w, best, n, picks);
    KD_TRY(take_items(r, best, n, items, blended, arena, err));
    out->items = items;
    out->n_items = n;
    return KD_OK;
}

static kd_rc copy_near(const kd_recommender *r, const kd_usercf_space *cf, kd_arena *arena,
                       kd_similar *out, kd_err *err)
{
    kd_neighbour *near = kd_arena_alloc(arena, cf->n_near * sizeof *near);
    if (near == NULL)
        return kd_fail(err, KD_ENOMEM, "no room for %u neighbours", cf->n_near);
    for (uint32_t k = 0; k < cf->n_near; k++)
        near[k] = (kd_neighbour){kd_ids_get(&r->state->shoppers, cf->near[k].slot), cf->sim[k]};
    out->neighbours = near;
    out->n_neighbours = cf->n_near;
    return KD_OK;
}

/* The list and the neighbours (NULL: not wanted) of a subject, into the ids and times that *out
 * has. */
static kd_rc answer(const kd_recommender *r, kd_reader_space *w, const kd_subject *subject,
                    uint32_t trigger, kd_arena *arena, kd_update *out, kd_similar *near,
                    kd_err *err)
{
    const kd_state *s = r->state;
    if (r->is_blended)
        kd_blend_ahead(s, &r->blend, subject, 0);
    KD_TRY(kd_usercf_neighbours(s, &r->usercf, subject, &w->cf, err));
    kd_rc rc = exclude_own(r, w, subject, trigger, err);
    if (r->is_blended)
        kd_blend_ahead(s, &r->blend, subject, 1);
    if (rc == KD_OK) {
        kd_usercf_score(s, &r->usercf, subject, &w->cf);
        rc = r->is_blended ? blend_items(r, w, subject, arena, out, err)
                           : list_items(r, w, arena, out, err);
    }
    if (rc == KD_OK && near != NULL) {
        *near = (kd_similar){.shopper_id = out->shopper_id, .time = out->time};
        rc = copy_near(r, &w->cf, arena, near, err);
    }
    kd_usercf_clear(&w->cf);
    kd_blend_clear(&w->blend);
    return rc;
}

kd_rc kd_recommender_answer(const kd_recommender *r, kd_reader_space *w, const kd_query *q,
                            kd_arena *arena, kd_update *out, kd_similar *near, kd_err *err)
{
    const kd_state *s = r->state;
    *out = (kd_update){.shopper_id = q->shopper_id,
                       .time = q->time,
                       .state_time = s->state_time == KD_MS_NONE ? q->time : s->state_time,
                       .trigger = q->trigger,
                       .event_id = q->event_id};
    kd_subject subject;
    KD_TRY(kd_usercf_space_fit(&w->cf, s, err));
    KD_TRY(kd_subject_of(s, &r->subject, &w->subject, q->shopper_id, q->time, &subject, err));
    uint32_t trigger = q->item_id.p == NULL ? KD_NO_SLOT : kd_state_item(s, q->item_id);
    return answer(r, w, &subject, trigger, arena, out, near, err);
}

kd_rc kd_recommender_neighbours(const kd_recommender *r, kd_reader_space *w, const kd_query *q,
                                kd_arena *arena, kd_similar *out, kd_err *err)
{
    const kd_state *s = r->state;
    kd_subject subject;
    KD_TRY(kd_usercf_space_fit(&w->cf, s, err));
    KD_TRY(kd_subject_of(s, &r->subject, &w->subject, q->shopper_id, q->time, &subject, err));
    KD_TRY(kd_usercf_neighbours(s, &r->usercf, &subject, &w->cf, err));
    *out = (kd_similar){.shopper_id = q->shopper_id, .time = q->time};
    return copy_near(r, &w->cf, arena, out, err);
}

kd_rc kd_recommender_needs(const kd_recommender *r, kd_reader_space *w, const kd_query *q,
                           kd_arena *arena, kd_needs *out, kd_err *err)
{
    kd_subject subject;
    *out = (kd_needs){.shopper_id = q->shopper_id, .time = q->time};
    KD_TRY(
        kd_subject_of(r->state, &r->subject, &w->subject, q->shopper_id, q->time, &subject, err));
    return kd_needs_of(r->state, &r->needs, &subject, &w->needs, arena, out, err);
}

kd_rc kd_recommender_ask(const kd_recommender *r, kd_reader_space *w, const kd_interaction *events,
                         uint32_t n, kd_ms now, kd_arena *arena, kd_update *out, kd_similar *near,
                         kd_err *err)
{
    const kd_state *s = r->state;
    *out =
        (kd_update){.time = now, .state_time = s->state_time == KD_MS_NONE ? now : s->state_time};
    kd_subject subject;
    KD_TRY(kd_usercf_space_fit(&w->cf, s, err));
    KD_TRY(kd_subject_of_events(s, &r->subject, &w->subject, events, n, now, &subject, err));
    bool has_trigger = n > 0 && r->exclude != EXCLUDE_NONE;
    uint32_t trigger = has_trigger ? kd_state_item(s, events[n - 1].item_id) : KD_NO_SLOT;
    return answer(r, w, &subject, trigger, arena, out, near, err);
}

/* -- delivery state ------------------------------------------------------------------------------
 */

bool kd_recommender_differs(const kd_recommender *r, kd_str shopper, uint32_t fingerprint)
{
    return kd_published_differs(r->state, shopper, fingerprint);
}

bool kd_recommender_is_news(kd_recommender *r, kd_str shopper, uint32_t fingerprint)
{
    return kd_published_list(r->state, shopper, fingerprint);
}

bool kd_recommender_needs_are_news(kd_recommender *r, const kd_needs *x, uint32_t term)
{
    return kd_published_needs(r->state, x, term);
}

void kd_recommender_unpublish(kd_recommender *r, kd_str shopper)
{
    kd_published_drop(r->state, shopper);
}

/* -- saving ------------------------------------------------------------------------------------ */

void kd_recommender_saved_options(const kd_recommender *r, kd_saved_option out[KD_SAVED_OPTIONS])
{
    static const char *const who[] = {"user", "session", "user-or-session"};
    const kd_state_options *o = &r->state->opt;
    unsigned char key[12];
    crypto_generichash(key, sizeof key, o->tombstone_key, sizeof o->tombstone_key, NULL, 0);
    out[0] = (kd_saved_option){.name = "shopper"};
    snprintf(out[0].value, sizeof out[0].value, "%s", who[r->shopper]);
    out[1] = (kd_saved_option){.name = "history.max"};
    snprintf(out[1].value, sizeof out[1].value, "%u", o->history_max);
    out[2] = (kd_saved_option){.name = "purchases.max"};
    snprintf(out[2].value, sizeof out[2].value, "%u", o->purchases_max);
    out[3] = (kd_saved_option){.name = "retention"};
    snprintf(out[3].value, sizeof out[3].value, "%lldms", (long long)o->retention_ms);
    out[4] = (kd_saved_option){.name = "privacy.key"};
    sodium_bin2hex(out[4].value, sizeof out[4].value, key, sizeof key);
}

kd_rc kd_recommender_save(kd_recommender *r, kd_saver **out, kd_err *err)
{
    return kd_saver_begin(r->state, out, err);
}

kd_rc kd_recommender_load(kd_recommender *r, uint32_t version, const kd_block_source *from,
                          const kd_load_options *o, kd_saved *out, kd_err *err)
{
    return kd_state_load(r->state, version, from, o, out, err);
}

void kd_recommender_drop_products(kd_recommender *r)
{
    kd_state_catalog_drop(r->state);
}

kd_digest kd_recommender_digest(const kd_recommender *r)
{
    return r->state->digest;
}

kd_digest kd_recommender_digest_slow(const kd_recommender *r)
{
    return kd_state_digest_slow(r->state);
}

const kd_stat *kd_recommender_stats(kd_recommender *r)
{
    const kd_state *s = r->state;
    kd_state_memory m;
    kd_state_memory_of(s, &m);
    const kd_stat rows[] = {
        {"shoppers", s->n_shoppers, "count"},
        {"items", s->items.n_live, "count"},
        {"interactions", s->n_entries, "count"},
        {"postings", s->n_postings, "count"},
        {"links", s->links.n, "count"},
        {"active", s->active == NULL ? 0 : kd_active_size(s->active), "count"},
        {"tombstones", s->tombs.n, "count"},
        {"expired", s->n_expired, "count"},
        {"forgotten", r->n_forgotten, "count"},
        {"memory.limited", s->n_floors, "count"},
        {"memory.histories", (int64_t)m.histories, "bytes"},
        {"memory.postings", (int64_t)m.postings, "bytes"},
        {"memory.directories", (int64_t)m.directories, "bytes"},
        {"memory.shopper-slots", (int64_t)m.shopper_slots, "bytes"},
        {"memory.item-slots", (int64_t)m.item_slots, "bytes"},
        {"memory.links", (int64_t)m.links, "bytes"},
        {"memory.active", (int64_t)m.active, "bytes"},
        {"memory.other", (int64_t)m.other, "bytes"},
        {"memory.total", (int64_t)m.total, "bytes"},
        {"memory.id-strings", (int64_t)m.id_text, "bytes"},
        {"memory.catalogue", (int64_t)m.catalog_text, "bytes"},
        {NULL, 0, NULL},
    };
    _Static_assert(sizeof rows <= sizeof r->stats, "N_STATS");
    memcpy(r->stats, rows, sizeof rows);
    return r->stats;
}
