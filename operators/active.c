#include "operators/active.h"

#include <stdlib.h>
#include <string.h>

/* One shopper in the cache. Places are linked from the most to the least recently seen. */
typedef struct member {
    uint32_t shopper;
    uint32_t newer, older; /* place + 1 */
    kd_ms seen;
    kd_active_counts counts;
} member;

/* Who of those that are here has the item. */
typedef struct watchers {
    uint32_t *place; /* [cap] of members */
    uint32_t n, cap;
} watchers;

struct kd_active {
    kd_active_options opt;
    member *member;              /* [opt.max] */
    uint32_t n_used, first_free; /* first_free: place + 1, linked through `older` */
    uint32_t newest, oldest, n;
    uint32_t *at; /* [cap_at] by shopper slot: place + 1 */
    uint32_t cap_at;
    watchers *item; /* [cap_items] by item slot */
    uint32_t cap_items;
    struct touch {
        uint32_t shopper;
        kd_ms time;
    } * touched; /* since the last settle */
    uint32_t n_touched, cap_touched;
    size_t bytes;
};

kd_rc kd_active_new(const kd_active_options *o, kd_active **out, kd_err *err)
{
    kd_active *x = calloc(1, sizeof *x);
    if (x == NULL || (x->member = calloc(o->max, sizeof *x->member)) == NULL) {
        free(x);
        return kd_fail(err, KD_ENOMEM, "no memory for %u active shoppers", o->max);
    }
    x->opt = *o;
    *out = x;
    return KD_OK;
}

void kd_active_free(kd_active *x)
{
    if (x == NULL)
        return;
    for (uint32_t k = 0; k < x->n_used; k++) {
        free(x->member[k].counts.slot);
        free(x->member[k].counts.count);
    }
    for (uint32_t i = 0; i < x->cap_items; i++)
        free(x->item[i].place);
    free(x->member);
    free(x->at);
    free(x->item);
    free(x->touched);
    free(x);
}

uint32_t kd_active_size(const kd_active *x)
{
    return x->n;
}

size_t kd_active_bytes(const kd_active *x)
{
    size_t n = x->bytes + x->opt.max * sizeof *x->member + x->cap_at * sizeof *x->at +
               x->cap_items * sizeof *x->item + x->cap_touched * sizeof *x->touched;
    for (uint32_t i = 0; i < x->cap_items; i++)
        n += x->item[i].cap * sizeof *x->item[i].place;
    return n;
}

const kd_active_counts *kd_active_of(const kd_active *x, uint32_t shopper)
{
    if (shopper >= x->cap_at || x->at[shopper] == 0)
        return NULL;
    return &x->member[x->at[shopper] - 1].counts;
}

/* -- counts ------------------------------------------------------------------------------------ */

static uint32_t place_of(const kd_active_counts *c, uint32_t v)
{
    uint32_t mask = c->cap - 1, at = (v * 2654435761u) & mask; /* Knuth's multiplicative hash */
    while (c->slot[at] != 0 && c->slot[at] != v + 1)
        at = (at + 1) & mask;
    return at;
}

static size_t bytes_of(uint32_t cap)
{
    return (size_t)cap * (sizeof(uint32_t) + sizeof(uint16_t));
}

/* Lays the table anew without graves, at most half full. */
static bool rehash(kd_active *x, kd_active_counts *c)
{
    uint32_t live = 0, cap = 64;
    for (uint32_t k = 0; k < c->cap; k++)
        live += c->count[k] > 0;
    while (cap < (live + 1) * 2)
        cap *= 2;
    kd_active_counts to = {calloc(cap, sizeof *to.slot), calloc(cap, sizeof *to.count), live, cap};
    if (to.slot == NULL || to.count == NULL) {
        free(to.slot);
        free(to.count);
        return false;
    }
    for (uint32_t k = 0; k < c->cap; k++) {
        if (c->count[k] == 0)
            continue;
        uint32_t at = place_of(&to, c->slot[k] - 1);
        to.slot[at] = c->slot[k];
        to.count[at] = c->count[k];
    }
    x->bytes += bytes_of(cap) - bytes_of(c->cap);
    free(c->slot);
    free(c->count);
    *c = to;
    return true;
}

static bool add(kd_active *x, kd_active_counts *c, uint32_t v, int by)
{
    if ((c->n + 1) * 4 > c->cap * 3 && !rehash(x, c))
        return false;
    uint32_t at = place_of(c, v);
    if (c->slot[at] == 0) {
        c->slot[at] = v + 1;
        c->n++;
    }
    c->count[at] = (uint16_t)(c->count[at] + by);
    return true;
}

/* Adds `by` to the counts of all of P_m(item). */
static bool add_audience(kd_active *x, const kd_state *s, kd_active_counts *c, uint32_t item,
                         int by)
{
    uint32_t left = x->opt.audience_max;
    for (uint32_t chunk = 0; left > 0; chunk++) {
        kd_run run = kd_posting_recent(s->postings, &s->item[item].posting, chunk, left);
        if (run.n == 0)
            break;
        for (uint32_t k = 0; k < run.n; k++)
            if (!add(x, c, run.slot[k], by))
                return false;
        left -= run.n;
    }
    return true;
}

/* -- who has the item -------------------------------------------------------------------------- */

static bool watch(kd_active *x, uint32_t item, uint32_t place)
{
    if (!kd_grow((void **)&x->item, &x->cap_items, item + 1, sizeof *x->item))
        return false;
    watchers *w = &x->item[item];
    if (!kd_grow((void **)&w->place, &w->cap, w->n + 1, sizeof *w->place))
        return false;
    w->place[w->n++] = place;
    return true;
}

static void unwatch(kd_active *x, uint32_t item, uint32_t place)
{
    watchers *w = item < x->cap_items ? &x->item[item] : NULL;
    for (uint32_t k = 0; w != NULL && k < w->n; k++)
        if (w->place[k] == place) {
            w->place[k] = w->place[--w->n];
            return;
        }
}

/* -- who is here ------------------------------------------------------------------------------- */

static void unlink_member(kd_active *x, uint32_t place)
{
    member *m = &x->member[place];
    *(m->newer == 0 ? &x->newest : &x->member[m->newer - 1].older) = m->older;
    *(m->older == 0 ? &x->oldest : &x->member[m->older - 1].newer) = m->newer;
}

static void link_newest(kd_active *x, uint32_t place)
{
    member *m = &x->member[place];
    m->newer = 0;
    m->older = x->newest;
    *(x->newest == 0 ? &x->oldest : &x->member[x->newest - 1].newer) = place + 1;
    x->newest = place + 1;
}

static void let_go(kd_active *x, const kd_state *s, uint32_t place)
{
    member *m = &x->member[place];
    kd_entries e = kd_entries_of(&s->hist, m->shopper);
    for (uint32_t k = 0; k < e.n; k++)
        if ((e.word[k] & KD_REP) != 0)
            unwatch(x, kd_word_item(e.word[k]), place);
    unlink_member(x, place);
    x->at[m->shopper] = 0;
    x->bytes -= bytes_of(m->counts.cap);
    free(m->counts.slot);
    free(m->counts.count);
    *m = (member){.older = x->first_free};
    x->first_free = place + 1;
    x->n--;
}

void kd_active_drop(kd_state *s, uint32_t shopper)
{
    kd_active *x = s->active;
    if (x != NULL && shopper < x->cap_at && x->at[shopper] != 0)
        let_go(x, s, x->at[shopper] - 1);
}

void kd_active_touch(kd_active *x, uint32_t shopper, kd_ms time)
{
    if (kd_grow((void **)&x->touched, &x->cap_touched, x->n_touched + 1, sizeof *x->touched))
        x->touched[x->n_touched++] = (struct touch){shopper, time};
}

/* Gathers the counts of somebody who has come. False: no memory, nothing changed. */
static void take_in(kd_active *x, kd_state *s, uint32_t u, kd_ms time)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    if (!kd_grow((void **)&x->at, &x->cap_at, u + 1, sizeof *x->at))
        return;
    if (x->n == x->opt.max)
        let_go(x, s, x->oldest - 1);
    uint32_t place = x->first_free != 0 ? x->first_free - 1 : x->n_used++;
    if (x->first_free != 0)
        x->first_free = x->member[place].older;
    x->member[place] = (member){.shopper = u, .seen = time};
    x->at[u] = place + 1;
    x->n++;
    link_newest(x, place);
    bool ok = true;
    for (uint32_t k = 0; ok && k < e.n; k++)
        if ((e.word[k] & KD_REP) != 0)
            ok = add_audience(x, s, &x->member[place].counts, kd_word_item(e.word[k]), 1) &&
                 watch(x, kd_word_item(e.word[k]), place);
    if (!ok)
        let_go(x, s, place);
}

void kd_active_settle(kd_state *s)
{
    kd_active *x = s->active;
    for (uint32_t k = 0; k < x->n_touched; k++) {
        uint32_t u = x->touched[k].shopper;
        if (s->hist.shopper[u].n == 0)
            continue;
        if (u >= x->cap_at || x->at[u] == 0) {
            take_in(x, s, u, x->touched[k].time);
            continue;
        }
        uint32_t place = x->at[u] - 1;
        if (x->touched[k].time > x->member[place].seen)
            x->member[place].seen = x->touched[k].time;
        unlink_member(x, place);
        link_newest(x, place);
    }
    x->n_touched = 0;
    while (x->n > 0 && (x->bytes > (size_t)x->opt.bytes ||
                        s->state_time - x->member[x->oldest - 1].seen > x->opt.keep_ms))
        let_go(x, s, x->oldest - 1);
}

/* -- changes ----------------------------------------------------------------------------------- */

/* The m-th most recent of P(i), KD_NO_SLOT if there are fewer. */
static uint32_t edge_of(const kd_state *s, uint32_t item, uint32_t m)
{
    const kd_posting *p = &s->item[item].posting;
    uint32_t left = m;
    if (p->n < m)
        return KD_NO_SLOT;
    for (uint32_t chunk = 0;; chunk++) {
        kd_run run = kd_posting_recent(s->postings, p, chunk, left);
        if (run.n == left)
            return run.slot[0];
        left -= run.n;
    }
}

static kd_ms time_in(const kd_state *s, uint32_t item, uint32_t v)
{
    kd_entries e = kd_entries_of(&s->hist, v);
    return kd_entry_time(&e, kd_entries_rep(&e, item));
}

/* True if u, who is in P(i) with key `time`, is not before the edge. */
static bool is_in(const kd_state *s, uint32_t item, uint32_t u, kd_ms time, uint32_t edge)
{
    if (edge == KD_NO_SLOT || edge == u)
        return true;
    kd_ms t = time_in(s, item, edge);
    return time != t ? time > t : kd_ids_cmp(&s->shoppers, u, edge) > 0;
}

void kd_active_before(kd_state *s, uint32_t item, uint32_t u, kd_ms old, kd_ms time,
                      kd_active_change *c)
{
    kd_active *x = s->active;
    bool has_watchers = item < x->cap_items && x->item[item].n > 0;
    bool is_here = u < x->cap_at && x->at[u] != 0;
    *c = (kd_active_change){.is_watched = has_watchers || is_here, .edge = KD_NO_SLOT};
    if (!c->is_watched)
        return;
    c->edge = edge_of(s, item, x->opt.audience_max);
    c->was_in = old != KD_MS_NONE && is_in(s, item, u, old, c->edge);
    if (!is_here || time != KD_MS_NONE)
        return;
    uint32_t place = x->at[u] - 1;
    unwatch(x, item, place);
    if (!add_audience(x, s, &x->member[place].counts, item, -1))
        let_go(x, s, place);
}

/* Adds to the counts of v of all who watch the item. */
static void add_to_watchers(kd_active *x, const kd_state *s, uint32_t item, uint32_t v, int by)
{
    if (v == KD_NO_SLOT || item >= x->cap_items)
        return;
    const watchers *w = &x->item[item];
    for (uint32_t k = w->n; k-- > 0;) /* from the end: letting go takes the last one's place */
        if (!add(x, &x->member[w->place[k]].counts, v, by))
            let_go(x, s, w->place[k]);
}

void kd_active_after(kd_state *s, uint32_t item, uint32_t u, kd_ms old, kd_ms time,
                     const kd_active_change *c)
{
    kd_active *x = s->active;
    if (!c->is_watched)
        return;
    uint32_t edge = edge_of(s, item, x->opt.audience_max);
    bool is_now_in = time != KD_MS_NONE && is_in(s, item, u, time, edge);
    if (is_now_in != c->was_in) { /* u changes places with whoever is at the edge without it */
        add_to_watchers(x, s, item, u, is_now_in ? 1 : -1);
        add_to_watchers(x, s, item, is_now_in ? c->edge : edge, is_now_in ? -1 : 1);
    }
    if (old != KD_MS_NONE || u >= x->cap_at || x->at[u] == 0)
        return;
    uint32_t place = x->at[u] - 1;
    if (!add_audience(x, s, &x->member[place].counts, item, 1) || !watch(x, item, place))
        let_go(x, s, place);
}

/* -- slow twin --------------------------------------------------------------------------------- */

static bool sane_member(const kd_active *x, const kd_state *s, uint32_t place, uint16_t *counts)
{
    const member *m = &x->member[place];
    kd_entries e = kd_entries_of(&s->hist, m->shopper);
    memset(counts, 0, s->hist.cap * sizeof *counts);
    for (uint32_t k = 0; k < e.n; k++) {
        if ((e.word[k] & KD_REP) == 0)
            continue;
        uint32_t item = kd_word_item(e.word[k]), left = x->opt.audience_max, listed = 0;
        for (uint32_t chunk = 0; left > 0; chunk++) {
            kd_run run = kd_posting_recent(s->postings, &s->item[item].posting, chunk, left);
            if (run.n == 0)
                break;
            for (uint32_t j = 0; j < run.n; j++)
                counts[run.slot[j]]++;
            left -= run.n;
        }
        for (uint32_t j = 0; item < x->cap_items && j < x->item[item].n; j++)
            listed += x->item[item].place[j] == place;
        if (listed != 1)
            return false;
    }
    for (uint32_t k = 0; k < m->counts.cap; k++)
        if (m->counts.slot[k] != 0) {
            if (counts[m->counts.slot[k] - 1] != m->counts.count[k])
                return false;
            counts[m->counts.slot[k] - 1] = 0;
        }
    for (uint32_t v = 0; v < s->hist.cap; v++)
        if (counts[v] != 0)
            return false;
    return true;
}

bool kd_active_sane(const kd_state *s)
{
    const kd_active *x = s->active;
    uint16_t *counts = calloc(s->hist.cap + 1, sizeof *counts);
    uint32_t n = 0, listed = 0, items = 0;
    bool ok = counts != NULL;
    for (uint32_t at = x->newest; ok && at != 0; at = x->member[at - 1].older, n++) {
        ok = x->at[x->member[at - 1].shopper] == at && sane_member(x, s, at - 1, counts);
        items += s->hist.n_items[x->member[at - 1].shopper];
    }
    for (uint32_t i = 0; i < x->cap_items; i++)
        listed += x->item[i].n;
    free(counts);
    return ok && n == x->n && listed == items;
}
