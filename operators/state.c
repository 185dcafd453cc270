#include "operators/state.h"

#include <stdlib.h>
#include <string.h>

#include "operators/active.h"
#include "operators/content.h"
#include "operators/popularity.h"
#include "operators/saver.h"
#include "operators/state_internal.h"
#include "operators/trend.h"

kd_rc kd_state_new(const kd_state_options *opt, kd_state **out, kd_err *err)
{
    KD_ASSERT(opt->history_max >= 1 && opt->history_max <= KD_HISTORY_LIMIT &&
              opt->purchases_max <= KD_HISTORY_LIMIT && opt->retention_ms >= 0);
    kd_state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the state");
    s->opt = *opt;
    s->state_time = KD_MS_NONE;
    s->horizon_base = KD_MS_NONE;
    s->floor = KD_MS_NONE;
    kd_tombstones_init(&s->tombs, opt->tombstone_key);
    kd_rc rc = kd_ids_init(&s->shoppers, UINT32_MAX - 1, err);
    if (rc == KD_OK)
        rc = kd_ids_init(&s->items, KD_ITEM_LIMIT - 1, err);
    if (rc == KD_OK)
        rc = kd_histories_init(&s->hist, err);
    if (rc == KD_OK)
        rc = kd_links_init(&s->links, &s->shoppers, err);
    s->postings = kd_slab_new();
    s->catalog_text = kd_slab_new();
    s->forgotten = kd_arena_new(0);
    if (rc == KD_OK && (s->postings == NULL || s->catalog_text == NULL || s->forgotten == NULL))
        rc = kd_fail(err, KD_ENOMEM, "no memory for the state");
    if (rc != KD_OK) {
        kd_state_free(s);
        return rc;
    }
    *out = s;
    return KD_OK;
}

void kd_state_free(kd_state *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->item_cap; i++)
        free(s->item[i].posting.dir);
    kd_ids_dispose(&s->shoppers);
    kd_ids_dispose(&s->items);
    kd_histories_dispose(&s->hist);
    kd_slab_free(s->postings);
    kd_slab_free(s->catalog_text);
    kd_expiry_dispose(&s->expiry);
    kd_tombstones_dispose(&s->tombs);
    kd_links_dispose(&s->links);
    kd_active_free(s->active);
    kd_content_free(s->content);
    kd_trend_free(s->trend);
    kd_arena_free(s->forgotten);
    free(s->item);
    free(s->pop);
    free(s->published);
    free(s);
}

uint32_t kd_state_shopper(const kd_state *s, kd_str id)
{
    uint32_t u = kd_ids_find(&s->shoppers, id, kd_ids_hash(id));
    return u != KD_NO_SLOT && s->hist.shopper[u].n > 0 ? u : KD_NO_SLOT;
}

uint32_t kd_state_user(const kd_state *s, kd_str id)
{
    return kd_ids_find(&s->shoppers, id, kd_ids_hash(id));
}

uint32_t kd_state_item(const kd_state *s, kd_str id)
{
    return kd_ids_find(&s->items, id, kd_ids_hash(id));
}

kd_ms kd_state_horizon(const kd_state *s)
{
    if (s->opt.retention_ms == 0 || s->horizon_base == KD_MS_NONE)
        return s->floor;
    kd_ms kept = s->horizon_base - s->opt.retention_ms;
    return kept > s->floor ? kept : s->floor;
}

kd_posting_ctx kd_state_posting_ctx(kd_state *s, uint32_t item)
{
    return (kd_posting_ctx){s->postings, &s->spare_chunk, &s->hist, &s->shoppers, item};
}

kd_digest kd_state_entry_digest(const kd_state *s, uint32_t u, uint32_t word, kd_ms time)
{
    uint64_t x[3] = {s->shoppers.hash[u], s->items.hash[kd_word_item(word)],
                     (uint64_t)time << 3 | (uint64_t)kd_word_action(word)};
    return kd_hash128(x, sizeof x, 1);
}

/* -- items ------------------------------------------------------------------------------------ */

kd_rc kd_state_item_intern(kd_state *s, kd_name id, uint32_t *out, bool *is_new, kd_err *err)
{
    uint32_t i;
    KD_TRY(kd_ids_intern(&s->items, id.id, id.hash, &i, is_new, err));
    if (!kd_grow((void **)&s->item, &s->item_cap, i + 1, sizeof *s->item)) {
        kd_ids_release(&s->items, i);
        return kd_fail(err, KD_ENOMEM, "no memory for %u items", i + 1);
    }
    *out = i;
    return KD_OK;
}

void kd_state_item_unref(kd_state *s, uint32_t i)
{
    kd_item_state *it = &s->item[i];
    if (it->refs > 0 && --it->refs > 0)
        return;
    kd_posting_ctx x = kd_state_posting_ctx(s, i);
    kd_posting_dispose(&x, &it->posting);
    *it = (kd_item_state){0};
    kd_ids_release(&s->items, i);
}

/* u's key in P(i) goes from `before` to `after`; KD_MS_NONE = not in P(i). */
static void set_posting(kd_state *s, uint32_t i, uint32_t u, kd_ms before, kd_ms after)
{
    if (before == after)
        return;
    kd_posting *p = &s->item[i].posting;
    kd_posting_ctx x = kd_state_posting_ctx(s, i);
    uint32_t n = p->n;
    if (s->trend != NULL)
        kd_trend_move(s->trend, i, before, after);
    kd_active_change change;
    if (s->active != NULL)
        kd_active_before(s, i, u, before, after, &change);
    if (before == KD_MS_NONE)
        kd_posting_insert(&x, p, u, after);
    else if (after == KD_MS_NONE)
        kd_posting_remove(&x, p, u, before);
    else
        kd_posting_move(&x, p, u, before, after);
    if (p->n != n) {
        s->n_postings += p->n > n ? 1 : -1;
        s->hist.n_items[u] = (uint16_t)(s->hist.n_items[u] + p->n - n);
        kd_popularity_changed(s, i, n);
    }
    if (s->active != NULL)
        kd_active_after(s, i, u, before, after, &change);
}

/* -- what is live ------------------------------------------------------------------------------ */

/* Marks the latest live entry of the item in H with KD_REP (and KD_MULTI), unmarks the others.
 * Returns the marked entry's time, KD_MS_NONE if the item is not in I(u). */
static kd_ms relabel(const kd_state *s, uint32_t u, uint32_t item)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    uint32_t begin = kd_history_begin(&e, s->opt.history_max);
    kd_ms cancelled = KD_MS_NONE;
    for (uint32_t k = 0; k < e.n; k++) {
        if (kd_word_item(e.word[k]) != item)
            continue;
        e.word[k] &= ~(KD_REP | KD_MULTI);
        if (kd_word_action(e.word[k]) == KD_CANCELLED)
            cancelled = kd_entry_time(&e, k);
    }
    uint32_t rep = e.n;
    for (uint32_t k = e.n; k-- > begin;) {
        if (kd_word_item(e.word[k]) != item)
            continue;
        kd_action a = kd_word_action(e.word[k]);
        if (a == KD_CANCELLED || (a == KD_PAID && kd_entry_time(&e, k) <= cancelled))
            continue;
        if (rep == e.n) {
            rep = k;
            e.word[k] |= KD_REP;
        } else {
            e.word[rep] |= KD_MULTI;
        }
    }
    return rep == e.n ? KD_MS_NONE : kd_entry_time(&e, rep);
}

static kd_ms rep_time(const kd_entries *e, uint32_t item)
{
    uint32_t k = kd_entries_rep(e, item);
    return k == e->n ? KD_MS_NONE : kd_entry_time(e, k);
}

/* -- removing ---------------------------------------------------------------------------------- */

/* Takes entry k out of the list, the digest and the item's references; not out of P. */
static void drop_entry(kd_state *s, uint32_t u, uint32_t k)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    uint32_t word = e.word[k];
    kd_digest_sub(&s->digest, kd_state_entry_digest(s, u, word, kd_entry_time(&e, k)));
    kd_history_remove(&s->hist, u, k, 1);
    s->n_entries--;
    kd_state_item_unref(s, kd_word_item(word));
}

/* The id goes when neither an entry nor a link names the shopper. */
static void release_shopper(kd_state *s, uint32_t u)
{
    if (s->hist.shopper[u].n == 0 && kd_links_of_user(&s->links, u) == 0)
        kd_ids_release(&s->shoppers, u);
}

static kd_name shopper_name(const kd_state *s, uint32_t u)
{
    return (kd_name){kd_ids_get(&s->shoppers, u), s->shoppers.hash[u]};
}

/* The last entry is gone: nothing is left behind but links, and a tombstone, if there is one. */
static void retire_shopper(kd_state *s, uint32_t u)
{
    KD_ASSERT(s->hist.n_items[u] == 0 && s->hist.shopper[u].n == 0);
    kd_active_drop(s, u);
    kd_history_shrink(&s->hist, u);
    s->hist.last[u] = KD_MS_NONE;
    if (u < s->published_cap)
        s->published[u] = 0;
    kd_expiry_remove(&s->expiry, u);
    s->n_shoppers--;
    kd_links_flag(&s->links, shopper_name(s, u), false);
    release_shopper(s, u);
}

/* Removes u's entries before `time` (they are the head of the list). Returns how many. */
static uint32_t cut(kd_state *s, uint32_t u, kd_ms time, int64_t *out_postings)
{
    uint32_t n = 0;
    if (s->saver != NULL)
        kd_saver_shopper(s->saver, u);
    for (;;) {
        kd_entries e = kd_entries_of(&s->hist, u);
        if (e.n == 0 || kd_entry_time(&e, 0) >= time)
            break;
        uint32_t word = e.word[0], item = kd_word_item(word);
        if ((word & KD_REP) != 0) { /* the latest live one goes, so no other is left */
            set_posting(s, item, u, kd_entry_time(&e, 0), KD_MS_NONE);
            (*out_postings)++;
        }
        drop_entry(s, u, 0);
        if ((word & KD_REP) == 0 && kd_state_shopper_has(s, u, item))
            (void)relabel(s, u, item); /* KD_MULTI of the one that stays */
        n++;
    }
    if (n > 0 && s->hist.shopper[u].n == 0)
        retire_shopper(s, u);
    else if (n > 0)
        kd_history_shrink(&s->hist, u);
    return n;
}

bool kd_state_shopper_has(const kd_state *s, uint32_t u, uint32_t item)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    for (uint32_t k = 0; k < e.n; k++)
        if (kd_word_item(e.word[k]) == item)
            return true;
    return false;
}

/* -- time -------------------------------------------------------------------------------------- */

static void expire_links(kd_state *s, kd_ms day)
{
    for (uint32_t u = 0; u < s->links.cap_users; u++) {
        if (s->links.of_user[u] == 0)
            continue;
        kd_links_cut_user(&s->links, u, day - 1, &s->digest);
        release_shopper(s, u);
    }
    kd_links_tidy(&s->links);
}

void kd_state_expire(kd_state *s, kd_ms old_horizon)
{
    kd_ms horizon = kd_state_horizon(s);
    if (horizon == KD_MS_NONE || horizon == old_horizon)
        return;
    uint32_t u;
    kd_ms key;
    int64_t postings = 0;
    while (kd_expiry_first(&s->expiry, &u, &key) && key < horizon) {
        kd_entries e = kd_entries_of(&s->hist, u);
        kd_ms oldest = kd_entry_time(&e, 0);
        if (oldest < horizon) {
            uint32_t left = e.n;
            uint32_t n = cut(s, u, horizon, &postings);
            s->n_expired += n;
            if (n == left)
                continue;
            e = kd_entries_of(&s->hist, u);
            oldest = kd_entry_time(&e, 0);
        }
        kd_expiry_raise(&s->expiry, u, oldest);
    }
    kd_ms day = kd_state_day(horizon);
    if (old_horizon != KD_MS_NONE && day == kd_state_day(old_horizon))
        return;
    if (s->tombs.n > 0)
        kd_tombstones_expire(&s->tombs, day, &s->digest);
    if (s->links.n > 0)
        expire_links(s, day);
}

/* Notes an accepted record's times and lets go of what the horizon has passed. */
void kd_state_advance(kd_state *s, kd_ms time, kd_ms ts)
{
    if (time > s->state_time) {
        s->state_time = time;
        if (s->trend != NULL)
            kd_trend_advance(s->trend, time);
    }
    kd_ms base = time < ts ? time : ts;
    if (base <= s->horizon_base)
        return;
    kd_ms old = kd_state_horizon(s);
    s->horizon_base = base;
    kd_state_expire(s, old);
}

/* -- one interaction ----------------------------------------------------------------------------
 */

/* What inserting (time, item, action) will do to u's list. */
typedef struct plan {
    uint32_t old;    /* place of the entry that it replaces, or n */
    uint32_t place;  /* where it goes once `old` is out */
    uint32_t leaver; /* place of the entry that it pushes out of H, or n; before any change */
    bool is_kept;    /* false: below H, and not a purchase within purchases.max */
} plan;

static uint32_t count_purchases(const kd_entries *e, uint32_t from)
{
    uint32_t n = 0;
    for (uint32_t k = from; k < e->n; k++)
        n += kd_action_is_purchase(kd_word_action(e->word[k]));
    return n;
}

static plan plan_insert(const kd_state *s, const kd_entries *e, uint32_t old, uint32_t item,
                        kd_action action, kd_ms time)
{
    plan p = {.old = old, .leaver = e->n, .is_kept = true};
    uint32_t begin = kd_history_begin(e, s->opt.history_max);
    uint32_t place = kd_entries_place(e, &s->items, time, item, action);
    p.place = place - (old < place);
    bool was_in_h = old < e->n && old >= begin;
    bool is_full = e->n - begin == s->opt.history_max;
    if (was_in_h || !is_full)
        return p;
    /* H is full and the entry is not in it: either it pushes out the first of H, or it stays below.
     */
    if (place > begin)
        p.leaver = begin;
    else
        p.is_kept = kd_action_is_purchase(action) &&
                    count_purchases(e, place) - (old < e->n && old >= place) < s->opt.purchases_max;
    return p;
}

/* After an insert: the one that left H stays only as a purchase, and only purchases.max of those.
 */
static void trim(kd_state *s, uint32_t u)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    uint32_t begin = kd_history_begin(&e, s->opt.history_max);
    if (begin > 0 && !kd_action_is_purchase(kd_word_action(e.word[begin - 1]))) {
        drop_entry(s, u, begin - 1);
        e = kd_entries_of(&s->hist, u);
        begin--;
    }
    if (begin > 0 && count_purchases(&e, 0) > s->opt.purchases_max)
        drop_entry(s, u, 0);
}

/* Everything that can fail, before anything is changed. */
static kd_rc make_room(kd_state *s, uint32_t u, uint32_t i, uint32_t other, kd_err *err)
{
    KD_TRY(kd_history_room(&s->hist, u, err));
    kd_posting_ctx x = kd_state_posting_ctx(s, i);
    KD_TRY(kd_posting_room(&x, &s->item[i].posting, err));
    if (other != KD_NO_SLOT) {
        x = kd_state_posting_ctx(s, other);
        KD_TRY(kd_posting_room(&x, &s->item[other].posting, err));
    }
    KD_TRY(kd_popularity_room(s, s->item[i].posting.n + 1, err));
    if (s->trend != NULL)
        KD_TRY(kd_trend_room(s->trend, i, err));
    if (kd_state_expires(s))
        KD_TRY(kd_expiry_reserve(&s->expiry, u, err));
    return KD_OK;
}

/* What u's list has of an item. */
typedef struct of_item {
    uint32_t n;   /* entries of it */
    uint32_t old; /* the one with the action, or the length of the list */
    uint32_t rep; /* the one with KD_REP, or the length of the list */
} of_item;

static of_item look_for(const kd_entries *e, uint32_t item, kd_action action)
{
    of_item x = {.old = e->n, .rep = e->n};
    for (uint32_t k = 0; k < e->n; k++) {
        if (kd_word_item(e->word[k]) != item)
            continue;
        x.n++;
        if (kd_word_action(e->word[k]) == action)
            x.old = k;
        if ((e->word[k] & KD_REP) != 0)
            x.rep = k;
    }
    return x;
}

/* The place-th entry is new and the only one of its item: as relabel() would have it. */
static kd_ms label_only(const kd_state *s, const kd_entries *e, uint32_t place)
{
    if (place < kd_history_begin(e, s->opt.history_max) ||
        kd_word_action(e->word[place]) == KD_CANCELLED)
        return KD_MS_NONE;
    e->word[place] |= KD_REP;
    return kd_entry_time(e, place);
}

/* Entry k has left H, and P of its item follows. */
static void leave(kd_state *s, uint32_t u, uint32_t k)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    uint32_t item = kd_word_item(e.word[k]);
    kd_ms before = rep_time(&e, item), after = KD_MS_NONE;
    if ((e.word[k] & (KD_REP | KD_MULTI)) == KD_REP)
        e.word[k] &= ~KD_REP; /* no other live one is in H */
    else
        after = relabel(s, u, item);
    set_posting(s, item, u, before, after);
}

static kd_rc insert(kd_state *s, uint32_t u, uint32_t i, kd_action action, kd_ms time,
                    bool *out_changed, kd_err *err)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    const of_item had = look_for(&e, i, action);
    const bool has_old = had.old < e.n;
    if (has_old && kd_entry_time(&e, had.old) >= time)
        return KD_OK;
    plan p = plan_insert(s, &e, had.old, i, action, time);
    if (!p.is_kept)
        return KD_OK;
    bool is_first = e.n == 0;
    uint32_t other = p.leaver < e.n ? kd_word_item(e.word[p.leaver]) : KD_NO_SLOT;
    KD_TRY(make_room(s, u, i, other == i ? KD_NO_SLOT : other, err));
    if (s->saver != NULL)
        kd_saver_shopper(s->saver, u);

    e = kd_entries_of(&s->hist, u);
    kd_ms before_i = had.rep < e.n ? kd_entry_time(&e, had.rep) : KD_MS_NONE;
    s->item[i].refs++;
    if (has_old)
        drop_entry(s, u, p.old);
    kd_history_insert(&s->hist, u, p.place, time, i, action);
    s->n_entries++;
    if (is_first) {
        s->n_shoppers++;
        kd_links_flag(&s->links, shopper_name(s, u), true);
    }
    e = kd_entries_of(&s->hist, u);
    kd_digest_add(&s->digest, kd_state_entry_digest(s, u, e.word[p.place], time));
    s->hist.last[u] = kd_entry_time(&e, e.n - 1);

    if (other != KD_NO_SLOT && other != i)
        leave(s, u, p.leaver - (p.old < p.leaver));
    kd_ms after_i = had.n == has_old ? label_only(s, &e, p.place) : relabel(s, u, i);
    set_posting(s, i, u, before_i, after_i);
    trim(s, u);
    if (kd_state_expires(s))
        kd_expiry_note(&s->expiry, u, time);
    *out_changed = true;
    return KD_OK;
}

/* -- forgetting --------------------------------------------------------------------------------
 */

/* Removes what the shopper did, and how the session was linked, up to and at `time`, and keeps a
 * tombstone, for which there must be room. Returns how many interactions went. */
static uint32_t bury(kd_state *s, kd_str shopper, kd_ms time, int64_t *out_postings)
{
    kd_ms old = kd_tombstones_set(&s->tombs, shopper, time);
    if (time > old) {
        if (old != KD_MS_NONE)
            kd_digest_sub(&s->digest, kd_tombstone_digest(&s->tombs, shopper, old));
        kd_digest_add(&s->digest, kd_tombstone_digest(&s->tombs, shopper, time));
    }
    uint32_t u;
    while ((u = kd_links_cut_one(&s->links, shopper, time, &s->digest)) != KD_NO_SLOT)
        release_shopper(s, u);
    u = kd_state_shopper(s, shopper);
    return u == KD_NO_SLOT ? 0 : cut(s, u, time + 1, out_postings);
}

/* True if the horizon lets nothing in that a tombstone of this time would keep out. */
static bool is_needless(const kd_state *s, kd_ms time)
{
    kd_ms horizon = kd_state_horizon(s);
    return horizon != KD_MS_NONE && time < kd_state_day(horizon);
}

/* A user who was forgotten at `tomb` is named together with a session: the session is his up to
 * then, whether the record itself is still accepted or not. So it does not matter whether the
 * ForgetRequest or the record came first. */
static kd_rc reach(kd_state *s, kd_str session, kd_ms time, kd_ms tomb, kd_applied *out,
                   kd_err *err)
{
    kd_ms until = time < tomb ? time : tomb;
    if (is_needless(s, until) || kd_tombstones_get(&s->tombs, session) >= until)
        return KD_OK;
    KD_TRY(kd_tombstones_room(&s->tombs, 1, err));
    int64_t postings = 0;
    (void)bury(s, session, until, &postings);
    out->changed = true;
    return KD_OK;
}

/* Copies the ids of the user's sessions, of any link: only their owner reads them, but each that
 * was named with him is reached. */
static kd_rc sessions_of(kd_state *s, kd_str user, const kd_str **out, uint32_t *out_n, kd_err *err)
{
    const kd_links *l = &s->links;
    uint32_t u = kd_state_user(s, user), n = 0;
    kd_arena_reset(s->forgotten);
    uint32_t first = u == KD_NO_SLOT ? 0 : kd_links_of_user(l, u);
    for (uint32_t link = first; link != 0; link = kd_links_at(l, link)->next)
        n++;
    kd_str *ids = kd_arena_alloc(s->forgotten, (n + 1) * sizeof *ids);
    if (ids == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u sessions", n);
    *out = ids;
    *out_n = n;
    for (uint32_t link = first; link != 0; link = kd_links_at(l, link)->next)
        KD_TRY(kd_arena_str(s->forgotten, kd_link_session(kd_links_at(l, link)), ids++, err));
    return KD_OK;
}

kd_rc kd_state_forget(kd_state *s, kd_str shopper, kd_ms time, kd_ms ts, kd_applied *out,
                      kd_err *err)
{
    uint32_t n = 0;
    KD_TRY(sessions_of(s, shopper, &out->sessions, &n, err));
    KD_TRY(kd_tombstones_room(&s->tombs, n + 1, err));
    kd_state_advance(s, time, ts);
    kd_digest before = s->digest;
    int64_t postings = 0, entries = 0;
    out->late = is_needless(s, time); /* then all of it is gone already */
    if (!out->late) {
        out->changed = kd_tombstones_get(&s->tombs, shopper) < time;
        entries = bury(s, shopper, time, &postings);
        for (uint32_t k = 0; k < n; k++) {
            /* Looked up anew: the slot goes with the last link, should a session be this one. */
            uint32_t u = kd_state_user(s, shopper);
            kd_ms linked =
                u == KD_NO_SLOT ? KD_MS_NONE : kd_links_time(&s->links, u, out->sessions[k]);
            kd_ms until = linked < time ? linked : time;
            if (until != KD_MS_NONE && !is_needless(s, until))
                entries += bury(s, out->sessions[k], until, &postings);
        }
        uint32_t u = kd_state_user(s, shopper);
        if (u != KD_NO_SLOT) {
            kd_links_cut_user(&s->links, u, time, &s->digest);
            release_shopper(s, u);
        }
    }
    out->is_forget = true;
    out->receipt.interactions = entries;
    out->receipt.postings = postings;
    out->receipt.sessions = n;
    out->receipt.before = before;
    out->receipt.after = s->digest;
    return KD_OK;
}

/* -- one record --------------------------------------------------------------------------------
 */

kd_rc kd_state_slot(kd_state *s, kd_name shopper, uint32_t *out, kd_err *err)
{
    bool is_new;
    KD_TRY(kd_ids_intern(&s->shoppers, shopper.id, shopper.hash, out, &is_new, err));
    kd_rc rc = kd_histories_reserve(&s->hist, *out, err);
    if (rc != KD_OK && is_new)
        kd_ids_release(&s->shoppers, *out);
    return rc;
}

/* The interaction alone, for which time and tombstones have been looked at. */
static kd_rc enter(kd_state *s, uint32_t u, const kd_named_event *x, kd_applied *out, kd_err *err)
{
    uint32_t i = KD_NO_SLOT;
    bool new_i = false;
    kd_rc rc = kd_state_item_intern(s, x->item, &i, &new_i, err);
    if (rc == KD_OK)
        rc = insert(s, u, i, x->action, x->time, &out->changed, err);
    if (rc == KD_OK && s->active != NULL)
        kd_active_touch(s->active, u, x->time);
    if (i != KD_NO_SLOT && new_i && s->item[i].refs == 0)
        kd_state_item_unref(s, i);
    return rc;
}

kd_rc kd_state_link(kd_state *s, uint32_t user, kd_name session, kd_ms time, kd_ms *out_old,
                    kd_err *err)
{
    KD_TRY(kd_links_set(&s->links, user, session, time, out_old, &s->digest, err));
    if (*out_old != KD_MS_NONE)
        return KD_OK;
    uint32_t u = kd_ids_find(&s->shoppers, session.id, session.hash);
    if (u != KD_NO_SLOT && s->hist.shopper[u].n > 0)
        kd_links_flag(&s->links, session, true);
    return KD_OK;
}

kd_rc kd_state_interact(kd_state *s, const kd_named_event *x, kd_applied *out, kd_err *err)
{
    const kd_str shopper = x->shopper.id, session = x->session.id;
    const kd_ms time = x->time;
    bool is_linked = session.p != NULL && !kd_str_eq(session, shopper);
    if (s->tombs.n > 0) {
        kd_ms tomb = kd_tombstones_get(&s->tombs, shopper);
        if (is_linked && tomb != KD_MS_NONE)
            KD_TRY(reach(s, session, time, tomb, out, err));
        if (time <= tomb) {
            out->refused = true;
            return KD_OK;
        }
        is_linked = is_linked && time > kd_tombstones_get(&s->tombs, session);
    }
    kd_state_advance(s, time, x->ts);
    kd_ms old = KD_MS_NONE, horizon = kd_state_horizon(s);
    is_linked = is_linked && !is_needless(s, time);
    out->late = horizon != KD_MS_NONE && time < horizon;
    if (out->late && !is_linked)
        return KD_OK;
    uint32_t u;
    KD_TRY(kd_state_slot(s, x->shopper, &u, err));
    kd_rc rc = KD_OK;
    if (is_linked)
        rc = kd_state_link(s, u, x->session, time, &old, err);
    if (rc == KD_OK && !out->late) {
        rc = enter(s, u, x, out, err);
        if (rc != KD_OK && is_linked && time > old)
            kd_links_undo(&s->links, u, x->session, old, &s->digest);
    }
    if (rc == KD_OK && is_linked)
        out->changed |= time > old;
    release_shopper(s, u);
    return rc;
}

void kd_state_tidy(kd_state *s, uint32_t n)
{
    uint32_t end = s->shoppers.n_used;
    for (n = n < end ? n : end; n > 0; n--) {
        s->tidy_next = s->tidy_next + 1 < end ? s->tidy_next + 1 : 0;
        if (s->hist.shopper[s->tidy_next].n > 0)
            kd_history_shrink(&s->hist, s->tidy_next);
    }
}
