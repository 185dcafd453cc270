#include "evaluation/truth.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "evaluation/names.h"

enum { LEAST_PAIRS = 1 << 16 };

/* (shopper, item) and what there was between them, in one word; 0 is a free place. */
#define PAIR_IS   (UINT64_C(1) << 63) /* the place is taken */
#define PAIR_PAID (UINT64_C(1) << 62) /* bought, at least once */
#define PAIR_KEY  (PAIR_PAID - 1)
#define SHOPPERS  (UINT32_C(1) << 30) /* most shoppers that a key has room for */

typedef struct shopper {
    int64_t n_events;              /* all so far */
    int64_t n_before;              /* when the open unit began */
    kd_ms start, last;             /* times of the open unit's first and last event */
    uint64_t order;                /* hash of its last event's order_id; 0 = none */
    kd_want *wants;                /* owned, [cap] */
    uint32_t n_wants, cap, n_open; /* n_open: events of the open unit, 0 = none is open */
    bool is_scored;                /* is of the part of the shoppers that is judged */
} shopper;

struct kd_truth {
    kd_truth_options opt;
    kd_names shoppers, items;
    shopper *shopper; /* owned, by number */
    uint32_t shopper_cap;
    uint64_t *pairs; /* owned, open addressing */
    uint64_t pairs_cap, n_pairs;
};

kd_rc kd_truth_new(const kd_truth_options *o, kd_truth **out, kd_err *err)
{
    kd_truth *t = calloc(1, sizeof *t);
    if (t == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the truth");
    t->opt = *o;
    t->pairs_cap = LEAST_PAIRS;
    t->pairs = calloc(t->pairs_cap, sizeof *t->pairs);
    kd_rc rc = t->pairs == NULL ? kd_fail(err, KD_ENOMEM, "no memory for the truth") : KD_OK;
    if (rc == KD_OK)
        rc = kd_names_init(&t->shoppers, err);
    if (rc == KD_OK)
        rc = kd_names_init(&t->items, err);
    if (rc != KD_OK) {
        kd_truth_free(t);
        return rc;
    }
    *out = t;
    return KD_OK;
}

void kd_truth_free(kd_truth *t)
{
    if (t == NULL)
        return;
    for (uint32_t k = 0; k < t->shopper_cap; k++)
        free(t->shopper[k].wants);
    free(t->shopper);
    free(t->pairs);
    kd_names_dispose(&t->shoppers);
    kd_names_dispose(&t->items);
    free(t);
}

uint32_t kd_truth_shoppers(const kd_truth *t)
{
    return t->shoppers.next;
}

uint32_t kd_truth_items(const kd_truth *t)
{
    return t->items.next;
}

/* -- pairs --------------------------------------------------------------------------------------
 */

/* A finalizer of splitmix64 (Steele, Lea, Flood 2014): keys are dense, places must not be. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Asks for the place's memory before it is needed. */
static void pair_ahead(const kd_truth *t, uint64_t key)
{
    __builtin_prefetch(&t->pairs[mix(key) & (t->pairs_cap - 1)], 1);
}

static uint64_t *pair_place(uint64_t *pairs, uint64_t cap, uint64_t key)
{
    for (uint64_t at = mix(key) & (cap - 1);; at = (at + 1) & (cap - 1))
        if (pairs[at] == 0 || (pairs[at] & PAIR_KEY) == key)
            return &pairs[at];
}

static kd_rc grow_pairs(kd_truth *t, kd_err *err)
{
    if (t->n_pairs < t->pairs_cap / 2)
        return KD_OK;
    uint64_t cap = t->pairs_cap * 2;
    uint64_t *pairs = calloc(cap, sizeof *pairs);
    if (pairs == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %llu pairs", (unsigned long long)cap);
    enum { APART = 64 };
    for (uint64_t k = 0; k < t->pairs_cap; k++) {
        uint64_t later = k + APART < t->pairs_cap ? t->pairs[k + APART] : 0;
        if (later != 0)
            __builtin_prefetch(&pairs[mix(later & PAIR_KEY) & (cap - 1)], 1);
        if (t->pairs[k] != 0)
            *pair_place(pairs, cap, t->pairs[k] & PAIR_KEY) = t->pairs[k];
    }
    free(t->pairs);
    t->pairs = pairs;
    t->pairs_cap = cap;
    return KD_OK;
}

kd_wanted kd_want_kind(const kd_want *w)
{
    if (!w->was_met)
        return KD_WANT_NEW;
    return w->was_bought && w->is_purchase ? KD_WANT_REBUY : KD_WANT_KNOWN;
}

/* -- units --------------------------------------------------------------------------------------
 */

static bool continues(const shopper *s, const kd_record *r, uint64_t order)
{
    return s->n_open > 0 && s->n_wants < KD_UNIT_MAX &&
           ((order != 0 && order == s->order) || r->time == s->last);
}

/* Parts are cut by the hash of the id, so they are the same for every log and order. */
static bool is_of_part(const kd_truth_options *o, kd_str who)
{
    enum { SEED = 2 };
    return o->parts == 0 || kd_hash64(who.p, who.n, SEED) % o->parts == o->part - 1;
}

static kd_unit told(const kd_truth *t, const shopper *s, uint32_t number)
{
    return (kd_unit){.shopper = number,
                     .time = s->start,
                     .n_before = s->n_before,
                     .is_scored = s->is_scored && (t->opt.score_from == KD_MS_NONE ||
                                                   s->start >= t->opt.score_from),
                     .n_events = s->n_open,
                     .n_wants = s->n_wants,
                     .wants = s->wants};
}

static kd_rc close_unit(kd_truth *t, uint32_t number, kd_arena *arena, const kd_unit **out,
                        kd_err *err)
{
    shopper *s = &t->shopper[number];
    if (s->n_open == 0)
        return KD_OK;
    kd_unit *u = kd_arena_alloc(arena, sizeof *u);
    kd_want *wants = kd_arena_alloc(arena, s->n_wants * sizeof *wants);
    if (u == NULL || wants == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a unit of %u items", s->n_wants);
    *u = told(t, s, number);
    if (s->n_wants > 0)
        memcpy(wants, s->wants, s->n_wants * sizeof *wants);
    u->wants = wants;
    s->n_open = s->n_wants = 0;
    *out = u;
    return KD_OK;
}

/* The item is wanted in the open unit; what it was before the unit is `had`. */
static kd_rc want(shopper *s, uint32_t item, bool is_purchase, uint64_t had, kd_err *err)
{
    uint32_t at = 0;
    while (at < s->n_wants && s->wants[at].item != item)
        at++;
    if (at == s->n_wants) {
        if (!kd_grow((void **)&s->wants, &s->cap, at + 1, sizeof *s->wants))
            return kd_fail(err, KD_ENOMEM, "no memory for a unit of %u items", at + 1);
        s->n_wants++;
        s->wants[at] =
            (kd_want){.item = item, .was_met = had != 0, .was_bought = (had & PAIR_PAID) != 0};
    }
    s->wants[at].is_purchase |= is_purchase;
    return KD_OK;
}

void kd_truth_ahead(const kd_truth *t, const kd_record *r, kd_str who, int step)
{
    if (r->type != KD_BROWSE && r->type != KD_PURCHASE)
        return;
    if (step < 2) {
        kd_names_ahead(&t->items, r->item_id, step);
        kd_names_ahead(&t->shoppers, who, step);
        return;
    }
    uint32_t item = kd_names_find(&t->items, r->item_id);
    uint32_t number = kd_names_find(&t->shoppers, who);
    if (item != KD_NO_NAME && number != KD_NO_NAME) {
        pair_ahead(t, (uint64_t)number << 32 | item);
        __builtin_prefetch(&t->shopper[number]);
    }
}

static kd_rc take_event(kd_truth *t, const kd_record *r, kd_note *out, kd_err *err)
{
    shopper *s = &t->shopper[out->shopper];
    uint64_t key = (uint64_t)out->shopper << 32 | out->item;
    KD_TRY(grow_pairs(t, err));
    uint64_t *pair = pair_place(t->pairs, t->pairs_cap, key);
    uint64_t had = *pair;
    bool is_purchase = r->action == KD_PAID;
    if (r->action != KD_CANCELLED)
        KD_TRY(want(s, out->item, is_purchase, had, err));
    out->is_first_contact = had == 0;
    t->n_pairs += had == 0;
    *pair = had | PAIR_IS | key | (is_purchase ? PAIR_PAID : 0);
    if (r->action == KD_CANCELLED)
        *pair &= ~PAIR_PAID;
    s->n_events++;
    s->n_open++;
    s->last = r->time;
    return KD_OK;
}

kd_rc kd_truth_take(kd_truth *t, const kd_record *r, kd_str who, kd_arena *arena, kd_note *out,
                    kd_err *err)
{
    *out = (kd_note){.time = r->time, .shopper = KD_NO_NAME, .item = KD_NO_NAME};
    if (r->type == KD_FORGET) {
        uint32_t old = kd_names_find(&t->shoppers, who);
        if (old != KD_NO_NAME)
            KD_TRY(close_unit(t, old, arena, &out->closed, err));
        kd_names_renumber(&t->shoppers, who);
        return KD_OK;
    }
    KD_TRY(kd_names_add(&t->items, r->item_id, &out->item, NULL, &out->item_id, err));
    if (r->type == KD_CATALOG)
        return KD_OK;
    KD_TRY(kd_names_add(&t->shoppers, who, &out->shopper, &out->is_new_shopper, NULL, err));
    if (out->shopper >= SHOPPERS)
        return kd_fail(err, KD_ENOMEM, "more than %u shoppers", SHOPPERS);
    if (!kd_grow((void **)&t->shopper, &t->shopper_cap, out->shopper + 1, sizeof *t->shopper))
        return kd_fail(err, KD_ENOMEM, "no memory for %u shoppers", out->shopper + 1);
    out->is_event = true;
    shopper *s = &t->shopper[out->shopper];
    if (out->is_new_shopper)
        s->is_scored = is_of_part(&t->opt, who);
    uint64_t order = r->order_id.p == NULL ? 0 : kd_hash64(r->order_id.p, r->order_id.n, 1) | 1;
    if (!continues(s, r, order)) {
        KD_TRY(close_unit(t, out->shopper, arena, &out->closed, err));
        out->starts_unit = true;
        s->start = r->time;
        s->n_before = s->n_events;
    }
    s->order = order;
    return take_event(t, r, out, err);
}

kd_rc kd_truth_end(kd_truth *t, kd_arena *arena, const kd_unit **out, uint32_t *out_n, kd_err *err)
{
    uint32_t n = 0, n_shoppers = kd_truth_shoppers(t);
    for (uint32_t k = 0; k < n_shoppers; k++)
        n += t->shopper[k].n_open > 0;
    kd_unit *units = kd_arena_alloc(arena, (n + 1) * sizeof *units);
    if (units == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u units", n);
    n = 0;
    for (uint32_t k = 0; k < n_shoppers; k++)
        if (t->shopper[k].n_open > 0)
            units[n++] = told(t, &t->shopper[k], k);
    *out = units;
    *out_n = n;
    return KD_OK;
}
