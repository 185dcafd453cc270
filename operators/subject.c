#include "operators/subject.h"

#include <stdlib.h>
#include <string.h>

/* What is known of one item of a join. */
typedef struct kd_about {
    kd_ms cancelled; /* KD_MS_NONE = never */
    uint32_t place;  /* of one of its interactions */
    uint32_t seen;   /* actions that had a later time */
    uint32_t step;   /* events from the newest one to its newest */
    bool is_counted; /* it is in I */
} kd_about;

void kd_subject_space_dispose(kd_subject_space *w)
{
    free(w->items);
    free(w->step);
    free(w->bought);
    free(w->doing);
    free(w->about);
    free(w->table);
    free(w->self);
    *w = (kd_subject_space){0};
}

/* Room for a subject of n interactions. */
static kd_rc fit(kd_subject_space *w, uint32_t n, kd_err *err)
{
    if (kd_grow((void **)&w->items, &w->cap_items, n + 1, sizeof *w->items) &&
        kd_grow((void **)&w->step, &w->cap_step, n + 1, sizeof *w->step) &&
        kd_grow((void **)&w->bought, &w->cap_bought, n + 1, sizeof *w->bought))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no memory for a history of %u", n);
}

static void finish(kd_subject_space *w, kd_subject *out)
{
    out->items = w->items;
    out->step = w->step;
    out->bought = w->bought;
    out->self = w->self;
}

/* True if what was bought then must still not be listed. */
static bool is_kept_out(const kd_subject_options *o, kd_ms time, kd_ms now)
{
    return o->exclude_for_ms == 0 || now <= time || now - time < o->exclude_for_ms;
}

/* -- one shopper ------------------------------------------------------------------------------- */

/* I(u) newest first is the KD_REP entries from the end. */
static kd_rc of_one(const kd_state *s, const kd_subject_options *o, kd_subject_space *w,
                    uint32_t slot, kd_subject *out, kd_err *err)
{
    kd_entries e = kd_entries_of(&s->hist, slot);
    KD_TRY(fit(w, e.n, err));
    uint32_t n = 0;
    for (uint32_t k = e.n; k-- > 0;) {
        uint32_t item = kd_word_item(e.word[k]);
        if ((e.word[k] & KD_REP) != 0) {
            w->step[n] = n;
            w->items[n++] = item;
        }
        if (kd_word_action(e.word[k]) != KD_PAID)
            continue;
        uint32_t c = kd_entries_find(&e, item, KD_CANCELLED);
        if ((c == e.n || kd_entry_time(&e, k) > kd_entry_time(&e, c)) &&
            is_kept_out(o, kd_entry_time(&e, k), out->now))
            w->bought[out->n_bought++] = item;
    }
    out->n_items = out->size = out->length = n;
    finish(w, out);
    return KD_OK;
}

/* -- a union ----------------------------------------------------------------------------------- */

/* (time, item id bytes, action), greatest first: the order of H. */
static int by_recency(const void *pa, const void *pb)
{
    const kd_doing *a = pa, *b = pb;
    if (a->time != b->time)
        return a->time < b->time ? 1 : -1;
    int c = kd_str_cmp(b->item_id, a->item_id);
    return c != 0 ? c : (a->action < b->action) - (a->action > b->action);
}

/* The record of the item, made if it is new. */
static uint32_t about_item(kd_subject_space *w, uint32_t *n, uint32_t place)
{
    kd_str id = w->doing[place].item_id;
    uint32_t mask = w->cap_table - 1;
    for (uint32_t at = (uint32_t)kd_ids_hash(id) & mask;; at = (at + 1) & mask) {
        if (w->table[at] == 0) {
            w->about[*n] = (kd_about){.cancelled = KD_MS_NONE, .place = place};
            w->table[at] = ++*n;
            return *n - 1;
        }
        if (kd_str_eq(w->doing[w->about[w->table[at] - 1].place].item_id, id))
            return w->table[at] - 1;
    }
}

/* Room for a union of n interactions, with an empty table. */
static kd_rc fit_union(kd_subject_space *w, uint32_t n, kd_err *err)
{
    KD_TRY(fit(w, n, err));
    uint32_t cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    if (cap > w->cap_table) {
        uint32_t *table = realloc(w->table, cap * sizeof *table);
        if (table == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for %u items", n);
        w->table = table;
        w->cap_table = cap;
    }
    memset(w->table, 0, w->cap_table * sizeof *w->table);
    if (!kd_grow((void **)&w->about, &w->cap_about, n + 1, sizeof *w->about))
        return kd_fail(err, KD_ENOMEM, "no memory for %u items", n);
    return KD_OK;
}

/* From doing[0..n): the latest of each (item, action), I of the history.max greatest of them, and
 * what was bought. Steps: by event if has_steps, else by place in I. */
static kd_rc of_union(const kd_state *s, const kd_subject_options *o, kd_subject_space *w,
                      uint32_t n, bool has_steps, kd_subject *out, kd_err *err)
{
    uint32_t n_about = 0, n_kept = 0;
    KD_TRY(fit_union(w, n, err));
    if (n > 1)
        qsort(w->doing, n, sizeof *w->doing, by_recency);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t before = n_about, record = about_item(w, &n_about, k);
        kd_about *about = &w->about[record];
        kd_doing d = w->doing[k];
        if (n_about > before)
            about->step = k;
        if ((about->seen & 1u << d.action) != 0)
            continue;
        about->seen |= 1u << d.action;
        if (d.action == KD_CANCELLED)
            about->cancelled = d.time;
        if (about->place == k)
            about->place = n_kept;
        d.record = record;
        w->doing[n_kept++] = d;
    }
    for (uint32_t k = 0; k < n_kept; k++) {
        const kd_doing *d = &w->doing[k];
        kd_about *about = &w->about[d->record];
        if (d->action == KD_CANCELLED || (d->action == KD_PAID && d->time <= about->cancelled))
            continue;
        if (d->action == KD_PAID && d->item != KD_NO_SLOT && is_kept_out(o, d->time, out->now))
            w->bought[out->n_bought++] = d->item;
        if (k >= s->opt.history_max || about->is_counted)
            continue;
        about->is_counted = true;
        if (d->item != KD_NO_SLOT) {
            w->step[out->n_items] = has_steps ? about->step : out->size;
            w->items[out->n_items++] = d->item;
        }
        out->size++;
    }
    out->length = has_steps ? n : out->size;
    finish(w, out);
    return KD_OK;
}

/* -- whom a list is for ------------------------------------------------------------------------ */

/* Adds all that is kept of one shopper to doing[]. */
static kd_rc add_history(const kd_state *s, kd_subject_space *w, uint32_t slot, uint32_t *n,
                         kd_err *err)
{
    kd_entries e = kd_entries_of(&s->hist, slot);
    if (!kd_grow((void **)&w->doing, &w->cap_doing, *n + e.n, sizeof *w->doing))
        return kd_fail(err, KD_ENOMEM, "no memory for a history of %u", *n + e.n);
    for (uint32_t k = 0; k < e.n; k++) {
        uint32_t item = kd_word_item(e.word[k]);
        w->doing[(*n)++] = (kd_doing){.item_id = kd_ids_get(&s->items, item),
                                      .item = item,
                                      .action = kd_word_action(e.word[k]),
                                      .time = kd_entry_time(&e, k)};
    }
    return KD_OK;
}

/* Fills self[]: the shopper, if it has interactions, and its sessions that have. */
static kd_rc find_self(const kd_state *s, const kd_subject_options *o, kd_subject_space *w,
                       kd_str shopper, kd_subject *out, kd_err *err)
{
    if (!kd_grow((void **)&w->self, &w->cap_self, o->links_max + 1, sizeof *w->self))
        return kd_fail(err, KD_ENOMEM, "no memory for %u sessions", o->links_max);
    w->self[0] = kd_state_shopper(s, shopper);
    out->n_self = w->self[0] != KD_NO_SLOT;
    uint32_t u = out->n_self > 0 ? w->self[0] : kd_state_user(s, shopper), n = 0;
    uint32_t link = u == KD_NO_SLOT ? 0 : kd_links_of_user(&s->links, u);
    for (const kd_link *x; link != 0 && n < o->links_max; link = x->next) {
        x = kd_links_at(&s->links, link);
        if (!kd_link_is_owned(&s->links, x))
            continue;
        n++;
        if ((x->length & KD_LINK_SHOPPER) != 0)
            w->self[out->n_self++] = kd_state_shopper(s, kd_link_session(x));
    }
    return KD_OK;
}

kd_rc kd_subject_of(const kd_state *s, const kd_subject_options *o, kd_subject_space *w,
                    kd_str shopper, kd_ms now, kd_subject *out, kd_err *err)
{
    *out = (kd_subject){.now = now};
    KD_TRY(find_self(s, o, w, shopper, out, err));
    if (out->n_self == 1)
        return of_one(s, o, w, w->self[0], out, err);
    uint32_t n = 0;
    for (uint32_t k = 0; k < out->n_self; k++)
        KD_TRY(add_history(s, w, w->self[k], &n, err));
    return of_union(s, o, w, n, false, out, err);
}

kd_rc kd_subject_of_events(const kd_state *s, const kd_subject_options *o, kd_subject_space *w,
                           const kd_interaction *events, uint32_t n, kd_ms now, kd_subject *out,
                           kd_err *err)
{
    *out = (kd_subject){.now = now};
    if (!kd_grow((void **)&w->doing, &w->cap_doing, n, sizeof *w->doing))
        return kd_fail(err, KD_ENOMEM, "no memory for %u events", n);
    for (uint32_t k = 0; k < n; k++)
        w->doing[k] = (kd_doing){.item_id = events[k].item_id,
                                 .item = kd_state_item(s, events[k].item_id),
                                 .action = events[k].action,
                                 .time = events[k].time};
    return of_union(s, o, w, n, true, out, err);
}
