/* generate_source.c - a seeded shop: shoppers with tastes, sessions, Zipf popularity, a catalogue.
 *
 * Items have a popularity rank r = 0, 1, ...; cluster r mod tastes, weight (r + 1)^-zipf. A session
 * looks at its shopper's first taste (7 of 10), second taste (2 of 10) or anything (1 of 10);
 * tastes are drawn by the weight of their cluster, so that over all shoppers an item's popularity
 * is its weight: Zipf as asked for. The sessions under way take turns, slightly shuffled, as people
 * who need time to look; one that ends makes place for the next shopper. Everything that an item or
 * a shopper is (titles, prices, tastes) is a function of seed and number, so nothing of it is
 * stored.
 */
#include "consumers/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/rng.h"
#include "consumers/generate_words.h"

enum {
    SESSIONS_MAX = 256,
    SHOPPERS_PER_SESSION = 20,
    IDS_BYTES = 120, /* of the ids of one event */
};

typedef struct session {
    int64_t number;   /* from 0 */
    int64_t shopper;  /* also of an anonymous one: whose tastes it has */
    int64_t left;     /* events to come */
    int64_t login_in; /* events until the user id shows; 0: it shows, -1: never */
    uint32_t tastes[2];
    int64_t seen;   /* item looked at last, -1: none */
    int64_t bought; /* anonymous: item bought last, -1: none */
} session;

typedef struct generator {
    kd_source base;
    kd_generator_options o;
    kd_rng rng;
    kd_choice *shopper_choice; /* owned; some come more often than others */
    kd_choice *cluster_choice; /* owned */
    kd_choice **item_choices;  /* owned, one a cluster: rank / tastes within it */
    uint32_t *item_of_rank;    /* owned: ids tell nothing of popularity */
    int32_t *bought;           /* owned: item a shopper bought last, -1: none */
    session *sessions;         /* owned */
    size_t n_sessions, turn;
    int64_t n_begun;   /* sessions */
    int64_t n_catalog; /* catalogue records handed out */
    int64_t n_events;
    int item_digits, shopper_digits;
    kd_arena *arena; /* owned: what was handed out since release() */
    kd_record last;  /* for a duplicate; its ids stand in last_ids */
    char last_ids[IDS_BYTES];
    size_t last_ids_n;
    bool is_started;
} generator;

static int digits_of(int64_t n)
{
    int d = 1;
    while (n >= 10) {
        n /= 10;
        d++;
    }
    return d;
}

/* Appends a letter and a number of at least `width` digits to ids. */
static kd_str put_id(char *ids, size_t *n, char letter, int64_t number, int width)
{
    char *p = ids + *n;
    int d = digits_of(number);
    if (d < width)
        d = width;
    p[0] = letter;
    for (int i = d; i >= 1; i--) {
        p[i] = (char)('0' + number % 10);
        number /= 10;
    }
    *n += (size_t)d + 1;
    return (kd_str){p, (uint32_t)d + 1};
}

/* The generator of what a thing is: a function of seed, kind and number. */
static void rng_of(const generator *g, char kind, int64_t number, kd_rng *out)
{
    int64_t key[2] = {kind, number};
    kd_rng_init(out, kd_hash64(key, sizeof key, g->o.seed));
}

/* ---- catalogue ---- */

typedef struct item_facts {
    const kd_gen_department *department;
    const kd_gen_word *noun, *adjective, *material, *colour, *brand;
    bool is_zh, has_description;
    double price;
} item_facts;

/* rank: the item's popularity rank; it decides the cluster, and that what is sold there. */
static void facts_of(const generator *g, int64_t rank, item_facts *out)
{
    kd_rng r;
    rng_of(g, 'i', rank, &r);
    int64_t cluster = rank % g->o.tastes;
    const kd_gen_department *d = &kd_gen_departments[cluster % KD_GEN_DEPARTMENTS];
    uint64_t noun = (uint64_t)(cluster / KD_GEN_DEPARTMENTS) * 2 + kd_rng_below(&r, 3);
    out->department = d;
    out->noun = &d->nouns[noun % KD_GEN_NOUNS];
    out->adjective = &kd_gen_adjectives[kd_rng_below(&r, KD_GEN_ADJECTIVES)];
    out->material = &kd_gen_materials[kd_rng_below(&r, KD_GEN_MATERIALS)];
    out->colour = &kd_gen_colours[kd_rng_below(&r, KD_GEN_COLOURS)];
    out->brand = &kd_gen_brands[kd_rng_below(&r, KD_GEN_BRANDS)];
    out->is_zh = kd_rng_chance(&r, 0.4);
    out->has_description = kd_rng_chance(&r, 0.5);
    int64_t cents = kd_rng_between(&r, (int64_t)d->price_lo * 100, (int64_t)d->price_hi * 100);
    out->price = (double)(cents / 10 * 10 + 9) / 100;
}

static const char *in_language(const kd_gen_word *w, bool is_zh)
{
    return is_zh ? w->zh : w->en;
}

static kd_rc keep(generator *g, const char *text, kd_str *out, kd_err *err)
{
    return kd_arena_str(g->arena, kd_str_of(text), out, err);
}

static kd_rc catalog_record(generator *g, int64_t rank, kd_record *out, kd_err *err)
{
    item_facts f;
    facts_of(g, rank, &f);
    kd_record_init(out, KD_CATALOG);
    char text[256];
    const char *adjective = in_language(f.adjective, f.is_zh), *noun = in_language(f.noun, f.is_zh);
    const char *material = in_language(f.material, f.is_zh);
    const char *colour = in_language(f.colour, f.is_zh), *brand = in_language(f.brand, f.is_zh);
    if (f.is_zh)
        snprintf(text, sizeof text, "%s%s%s%s %s", brand, adjective, material, noun, colour);
    else
        snprintf(text, sizeof text, "%s %s %s %s, %s", brand, adjective, material, noun, colour);
    KD_TRY(keep(g, text, &out->title, err));
    if (f.has_description) {
        if (f.is_zh)
            snprintf(text, sizeof text, "%s%s，%s，%s款，适合日常使用与送礼", material, noun,
                     adjective, colour);
        else
            snprintf(text, sizeof text,
                     "A %s %s made of %s material, in %s. For every day and as a present.",
                     adjective, noun, material, colour);
        KD_TRY(keep(g, text, &out->description, err));
    }
    kd_str *tags = kd_arena_calloc(g->arena, 3, sizeof *tags);
    char *ids = kd_arena_alloc(g->arena, IDS_BYTES);
    if (tags == NULL || ids == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a catalogue record");
    tags[0] = kd_str_of(adjective);
    tags[1] = kd_str_of(material);
    tags[2] = kd_str_of(colour);
    out->tags = tags;
    out->n_tags = 3;
    out->category = kd_str_of(in_language(&f.department->name, f.is_zh));
    out->brand = kd_str_of(brand);
    out->price = f.price;
    size_t n = 0;
    out->item_id = put_id(ids, &n, 'i', g->item_of_rank[rank], g->item_digits);
    out->time = out->ts = g->o.start;
    return KD_OK;
}

/* ---- sessions ---- */

/* A shopper's two tastes, which it keeps. */
static void tastes_of(const generator *g, int64_t shopper, uint32_t out[2])
{
    kd_rng r;
    rng_of(g, 'u', shopper, &r);
    out[0] = (uint32_t)kd_choice_draw(g->cluster_choice, &r);
    out[1] = (uint32_t)kd_choice_draw(g->cluster_choice, &r);
}

static void begin_session(generator *g, session *s)
{
    kd_rng *r = &g->rng;
    s->number = g->n_begun++;
    s->shopper = (int64_t)kd_choice_draw(g->shopper_choice, r);
    s->seen = s->bought = -1;
    /* Geometric with the mean asked for, cut at 20 times that. */
    s->left = 1;
    while (s->left < (int64_t)(20 * g->o.session_length) &&
           !kd_rng_chance(r, 1 / g->o.session_length))
        s->left++;
    s->login_in = 0;
    if (kd_rng_chance(r, g->o.anonymous_share))
        s->login_in = kd_rng_chance(r, g->o.login_share) ? kd_rng_between(r, 1, s->left) : -1;
    tastes_of(g, s->shopper, s->tastes);
}

/* Whose turn it is: round and round, each turn swapped with one of the next quarter. */
static session *next_session(generator *g)
{
    size_t n = g->n_sessions;
    size_t with = g->turn + (size_t)kd_rng_below(&g->rng, n / 4 + 1);
    if (with >= n)
        with -= n;
    session *s = &g->sessions[g->turn];
    if (with != g->turn) {
        session t = *s;
        *s = g->sessions[with];
        g->sessions[with] = t;
    }
    g->turn = g->turn + 1 == n ? 0 : g->turn + 1;
    if (s->left == 0)
        begin_session(g, s);
    return s;
}

/* The rank of an item that the session looks at. */
static int64_t look_at(generator *g, const session *s)
{
    uint64_t x = kd_rng_below(&g->rng, 10);
    size_t cluster = x < 7   ? s->tastes[0]
                     : x < 9 ? s->tastes[1]
                             : kd_choice_draw(g->cluster_choice, &g->rng);
    size_t place = kd_choice_draw(g->item_choices[cluster], &g->rng);
    return (int64_t)place * g->o.tastes + (int64_t)cluster;
}

static void purchase(generator *g, session *s, bool is_anonymous, int64_t *rank, kd_record *r)
{
    int64_t before = is_anonymous ? s->bought : g->bought[s->shopper];
    r->quantity = 1;
    while (r->quantity < 6 && kd_rng_chance(&g->rng, 0.2))
        r->quantity++;
    if (kd_rng_chance(&g->rng, g->o.cancel_share) && before >= 0) {
        r->action = KD_CANCELLED; /* the one bought last comes back */
        *rank = before;
        before = -1;
    } else {
        before = *rank;
    }
    if (is_anonymous)
        s->bought = before;
    else
        g->bought[s->shopper] = (int32_t)before;
}

/* The i-th of n events: an even share of the span, and a random part of that. */
static kd_ms time_of(generator *g, int64_t i)
{
    __extension__ typedef unsigned __int128 u128;
    uint64_t part = kd_rng_below(&g->rng, (uint64_t)g->o.span_ms + 1);
    u128 ahead = (u128)(uint64_t)g->o.span_ms * (uint64_t)i + part;
    return g->o.start + (kd_ms)(ahead / (uint64_t)g->o.events);
}

static void event_record(generator *g, char *ids, size_t *n, kd_record *r)
{
    session *s = next_session(g);
    double x = kd_rng_real(&g->rng);
    const kd_generator_options *o = &g->o;
    bool is_purchase = x < o->purchase_share;
    kd_record_init(r, is_purchase ? KD_PURCHASE : KD_BROWSE);
    s->left--;
    if (s->login_in > 0)
        s->login_in--;
    bool is_anonymous = s->login_in != 0;
    if (is_purchase || x < o->purchase_share + o->cart_share)
        r->action = is_purchase ? KD_PAID : KD_CART;
    else if (x < o->purchase_share + o->cart_share + o->like_share)
        r->action = KD_LIKE;
    /* What is liked, put in the cart or bought is mostly what was looked at before. */
    bool again = r->action != KD_VIEW && s->seen >= 0 && kd_rng_chance(&g->rng, 0.8);
    int64_t rank = again ? s->seen : look_at(g, s);
    s->seen = rank;
    if (is_purchase) {
        purchase(g, s, is_anonymous, &rank, r);
        item_facts f;
        facts_of(g, rank, &f);
        r->price = f.price;
        r->currency = kd_str_of("EUR");
        r->order_id = put_id(ids, n, 'o', s->number, 8);
    } else if (r->action == KD_VIEW && kd_rng_chance(&g->rng, 0.8)) {
        r->dwell_ms = kd_rng_between(&g->rng, 2000, 120000);
    }
    r->event_id = put_id(ids, n, 'e', g->n_events, 9);
    r->session_id = put_id(ids, n, 's', s->number, 8);
    r->item_id = put_id(ids, n, 'i', g->item_of_rank[rank], g->item_digits);
    if (!is_anonymous)
        r->user_id = put_id(ids, n, 'u', s->shopper, g->shopper_digits);
    r->time = r->ts = time_of(g, g->n_events);
    if (kd_rng_chance(&g->rng, o->late_share))
        r->time -= kd_rng_between(&g->rng, 0, o->late_max_ms);
}

static void move_str(kd_str *s, const char *from, size_t n, char *to)
{
    if (s->p != NULL && s->p >= from && s->p < from + n)
        s->p = to + (s->p - from);
}

/* The same event once more: its own strings, the time of its own arrival. */
static void repeat_last(generator *g, char *ids, size_t *n, kd_record *r)
{
    *r = g->last;
    memcpy(ids, g->last_ids, g->last_ids_n);
    *n = g->last_ids_n;
    kd_str *all[] = {&r->event_id, &r->order_id, &r->session_id, &r->item_id, &r->user_id};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        move_str(all[i], g->last_ids, *n, ids);
    r->ts = time_of(g, g->n_events);
}

static void remember_last(generator *g, const char *ids, size_t n, const kd_record *r)
{
    g->last = *r;
    memcpy(g->last_ids, ids, n);
    g->last_ids_n = n;
    kd_str *all[] = {&g->last.event_id, &g->last.order_id, &g->last.session_id, &g->last.item_id,
                     &g->last.user_id};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        move_str(all[i], ids, n, g->last_ids);
}

/* ---- the source ---- */

static int64_t catalog_size(const generator *g)
{
    return g->o.has_catalog ? g->o.items : 0;
}

static kd_rc next(kd_source *src, kd_record *out, kd_err *err)
{
    generator *g = (generator *)src;
    if (!g->is_started)
        return kd_fail(err, KD_EBUG, "next() before start()");
    kd_record r;
    if (g->n_catalog < catalog_size(g)) {
        KD_TRY(catalog_record(g, g->n_catalog, &r, err));
        g->n_catalog++;
    } else if (g->n_events < g->o.events) {
        char *ids = kd_arena_alloc(g->arena, IDS_BYTES);
        size_t n = 0;
        if (ids == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for an event");
        if (g->n_events > 0 && kd_rng_chance(&g->rng, g->o.duplicate_share)) {
            repeat_last(g, ids, &n, &r);
        } else {
            event_record(g, ids, &n, &r);
            if (g->o.duplicate_share > 0)
                remember_last(g, ids, n, &r);
        }
        g->n_events++;
    } else {
        return KD_END;
    }
    r.pos = (kd_pos){"generated", 0, g->n_catalog + g->n_events - 1};
    *out = r;
    return KD_OK;
}

static void release(kd_source *src)
{
    kd_arena_reset(((generator *)src)->arena);
}

static void progress(const kd_source *src, kd_progress *out)
{
    const generator *g = (const generator *)src;
    int64_t handed = g->n_catalog + g->n_events;
    *out = (kd_progress){.records = handed,
                         .lag = catalog_size(g) + g->o.events - handed,
                         .done_bytes = -1,
                         .total_bytes = -1};
}

static kd_rc start(kd_source *src, kd_err *err)
{
    generator *g = (generator *)src;
    if (g->is_started)
        return kd_fail(err, KD_EBUG, "start() twice");
    g->is_started = true;
    return KD_OK;
}

static void close_source(kd_source *src)
{
    generator *g = (generator *)src;
    if (g == NULL)
        return;
    kd_choice_free(g->shopper_choice);
    kd_choice_free(g->cluster_choice);
    for (int i = 0; g->item_choices != NULL && i < g->o.tastes; i++)
        kd_choice_free(g->item_choices[i]);
    free(g->item_choices);
    free(g->item_of_rank);
    free(g->bought);
    free(g->sessions);
    kd_arena_free(g->arena);
    free(g);
}

static const kd_source_kind generator_kind = {
    .name = "generator",
    .start = start,
    .next = next,
    .release = release,
    .progress = progress,
    .close = close_source,
};

void kd_generator_defaults(kd_generator_options *o)
{
    *o = (kd_generator_options){
        .seed = 1,
        .shoppers = 20000,
        .items = 5000,
        .events = 200000,
        .start = INT64_C(1704067200000), /* 2024-01-01 */
        .span_ms = 7 * KD_MS_DAY,
        .tastes = 40,
        .zipf = 1.0,
        .like_share = 0.04,
        .cart_share = 0.08,
        .purchase_share = 0.05,
        .cancel_share = 0.04,
        .anonymous_share = 0.1,
        .login_share = 0.3,
        .late_max_ms = 3600000,
        .session_length = 5,
        .has_catalog = true,
    };
}

static kd_rc check_options(const kd_generator_options *o, kd_err *err)
{
    const struct {
        const char *name;
        int64_t value, lo, hi;
    } whole[] = {
        {"shoppers", o->shoppers, 1, INT32_MAX},
        {"items", o->items, 1, INT32_MAX},
        {"events", o->events, 0, INT64_C(1000000000000)},
        {"tastes", o->tastes, 1, o->items < 100000 ? o->items : 100000},
        {"span_ms", o->span_ms, 0, 36525 * KD_MS_DAY},
        {"late_max_ms", o->late_max_ms, 0, 36525 * KD_MS_DAY},
        {"start", o->start, KD_MS_2000 + (o->late_share > 0 ? o->late_max_ms : 0),
         INT64_C(4102444800000)},
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (whole[i].value < whole[i].lo || whole[i].value > whole[i].hi)
            return kd_fail(err, KD_ECONFIG, "%s is %lld, want %lld to %lld", whole[i].name,
                           (long long)whole[i].value, (long long)whole[i].lo,
                           (long long)whole[i].hi);
    const struct {
        const char *name;
        double value, lo, hi;
    } real[] = {
        {"zipf", o->zipf, 0, 8},
        {"like_share", o->like_share, 0, 1},
        {"cart_share", o->cart_share, 0, 1},
        {"purchase_share", o->purchase_share, 0, 1},
        {"the sum of like_share, cart_share and purchase_share",
         o->like_share + o->cart_share + o->purchase_share, 0, 1},
        {"cancel_share", o->cancel_share, 0, 1},
        {"anonymous_share", o->anonymous_share, 0, 1},
        {"login_share", o->login_share, 0, 1},
        {"late_share", o->late_share, 0, 1},
        {"duplicate_share", o->duplicate_share, 0, 1},
        {"session_length", o->session_length, 1, 10000},
    };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        if (!(real[i].value >= real[i].lo && real[i].value <= real[i].hi))
            return kd_fail(err, KD_ECONFIG, "%s is %g, want %g to %g", real[i].name, real[i].value,
                           real[i].lo, real[i].hi);
    return KD_OK;
}

/* Weights of the clusters, and within each of its items. */
static kd_rc make_popularity(generator *g, kd_err *err)
{
    const kd_generator_options *o = &g->o;
    size_t tastes = (size_t)o->tastes, items = (size_t)o->items;
    size_t longest = (items + tastes - 1) / tastes;
    double *weights = calloc(longest, sizeof *weights);
    double *sums = calloc(tastes, sizeof *sums);
    g->item_choices = calloc(tastes, sizeof *g->item_choices);
    kd_rc rc = KD_OK;
    if (weights == NULL || sums == NULL || g->item_choices == NULL)
        rc = kd_fail(err, KD_ENOMEM, "no memory for %zu items", items);
    for (size_t c = 0; c < tastes && rc == KD_OK; c++) {
        size_t n = 0;
        for (size_t rank = c; rank < items; rank += tastes) {
            weights[n] = kd_zipf_weight(rank + 1, o->zipf);
            sums[c] += weights[n++];
        }
        rc = kd_choice_new(weights, n, &g->item_choices[c], err);
    }
    if (rc == KD_OK)
        rc = kd_choice_new(sums, tastes, &g->cluster_choice, err);
    free(weights);
    free(sums);
    return rc;
}

static kd_rc make_shop(generator *g, kd_err *err)
{
    const kd_generator_options *o = &g->o;
    g->arena = kd_arena_new(0);
    g->item_of_rank = calloc((size_t)o->items, sizeof *g->item_of_rank);
    g->bought = malloc((size_t)o->shoppers * sizeof *g->bought);
    int64_t n = o->shoppers / SHOPPERS_PER_SESSION;
    g->n_sessions = n < 1 ? 1 : n > SESSIONS_MAX ? SESSIONS_MAX : (size_t)n;
    g->sessions = calloc(g->n_sessions, sizeof *g->sessions);
    if (g->arena == NULL || g->item_of_rank == NULL || g->bought == NULL || g->sessions == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %lld shoppers and %lld items",
                       (long long)o->shoppers, (long long)o->items);
    for (int64_t i = 0; i < o->items; i++)
        g->item_of_rank[i] = (uint32_t)i;
    kd_rng_shuffle(&g->rng, g->item_of_rank, (size_t)o->items, sizeof *g->item_of_rank);
    for (int64_t i = 0; i < o->shoppers; i++)
        g->bought[i] = -1;
    g->item_digits = digits_of(o->items - 1);
    g->shopper_digits = digits_of(o->shoppers - 1);
    KD_TRY(kd_zipf_new((size_t)o->shoppers, 0.5, &g->shopper_choice, err));
    return make_popularity(g, err);
}

kd_rc kd_generator_new(const kd_generator_options *o, kd_source **out, kd_err *err)
{
    KD_TRY(check_options(o, err));
    generator *g = calloc(1, sizeof *g);
    if (g == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a generator");
    g->base.kind = &generator_kind;
    g->o = *o;
    kd_rng_init(&g->rng, o->seed);
    kd_rc rc = make_shop(g, err);
    if (rc != KD_OK) {
        close_source(&g->base);
        return rc;
    }
    *out = &g->base;
    return KD_OK;
}
