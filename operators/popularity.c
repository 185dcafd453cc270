#include "operators/popularity.h"

#include <stdlib.h>

/* List heads and links hold slot + 1, so that zeroed memory means "none". */

kd_rc kd_popularity_room(kd_state *s, uint32_t n, kd_err *err)
{
    if (kd_grow((void **)&s->pop, &s->pop_cap, n + 1, sizeof *s->pop))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no memory for a popularity of %u", n);
}

/* Counts that have items form a ring through 0, in order, since between the counts of the most
 * popular items there are long gaps. `near` is a count in it, or 0, not far from n. */
static void open_count(kd_state *s, uint32_t n, uint32_t near)
{
    uint32_t below = near;
    while (below > n)
        below = s->pop[below].below;
    while (s->pop[below].above != 0 && s->pop[below].above < n)
        below = s->pop[below].above;
    uint32_t above = s->pop[below].above;
    s->pop[n].below = below;
    s->pop[n].above = above;
    s->pop[below].above = n;
    s->pop[above].below = n;
}

static void close_count(kd_state *s, uint32_t n)
{
    s->pop[s->pop[n].below].above = s->pop[n].above;
    s->pop[s->pop[n].above].below = s->pop[n].below;
}

static void link_item(kd_state *s, uint32_t item, uint32_t n, uint32_t near)
{
    kd_item_state *it = &s->item[item];
    it->pop_next = s->pop[n].first;
    if (it->pop_next != 0)
        s->item[it->pop_next - 1].pop_prev = item + 1;
    else
        open_count(s, n, near);
    s->pop[n].first = item + 1;
    it->pop_prev = 0;
}

/* Takes the item out of its list; a count that has none left is to be closed. */
static void unlink_item(kd_state *s, uint32_t item, uint32_t n)
{
    kd_item_state *it = &s->item[item];
    if (it->pop_prev != 0)
        s->item[it->pop_prev - 1].pop_next = it->pop_next;
    else
        s->pop[n].first = it->pop_next;
    if (it->pop_next != 0)
        s->item[it->pop_next - 1].pop_prev = it->pop_prev;
    it->pop_prev = it->pop_next = 0;
}

void kd_popularity_changed(kd_state *s, uint32_t item, uint32_t before)
{
    kd_item_state *it = &s->item[item];
    s->pop_version++;
    if (it->is_hidden)
        return;
    if (before > 0)
        unlink_item(s, item, before);
    if (it->posting.n > 0)
        link_item(s, item, it->posting.n, before); /* the old count is still in the ring */
    if (before > 0 && s->pop[before].first == 0)
        close_count(s, before);
}

void kd_popularity_hide(kd_state *s, uint32_t item, bool is_hidden)
{
    kd_item_state *it = &s->item[item];
    if (it->is_hidden == is_hidden)
        return;
    it->is_hidden = is_hidden;
    s->pop_version++;
    uint32_t n = it->posting.n;
    if (n == 0)
        return;
    if (!is_hidden) {
        link_item(s, item, n, 0);
        return;
    }
    unlink_item(s, item, n);
    if (s->pop[n].first == 0)
        close_count(s, n);
}

kd_rc kd_popular_init(kd_popular *p, uint32_t cap, kd_err *err)
{
    *p = (kd_popular){.cap = cap};
    p->item = malloc((cap == 0 ? 1 : cap) * sizeof *p->item);
    if (p->item == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u popular items", cap);
    pthread_mutex_init(&p->lock, NULL);
    return KD_OK;
}

void kd_popular_dispose(kd_popular *p)
{
    if (p->item != NULL)
        pthread_mutex_destroy(&p->lock);
    free(p->item);
    p->item = NULL;
}

/* Keeps the `room` items with the smallest ids of one count, ascending, by insertion: the list of
 * a count that crosses the cut may be long, but only few of it are taken. */
static uint32_t take_smallest(const kd_state *s, uint32_t head, uint32_t *out, uint32_t room)
{
    uint32_t n = 0;
    for (uint32_t at = head; at != 0; at = s->item[at - 1].pop_next) {
        uint32_t item = at - 1;
        if (n == room && kd_ids_cmp(&s->items, item, out[n - 1]) > 0)
            continue;
        uint32_t lo = 0, hi = n;
        while (lo < hi) {
            uint32_t mid = (lo + hi) / 2;
            if (kd_ids_cmp(&s->items, out[mid], item) < 0)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (n < room)
            n++;
        for (uint32_t k = n - 1; k > lo; k--)
            out[k] = out[k - 1];
        out[lo] = item;
    }
    return n;
}

const uint32_t *kd_popular_top(kd_popular *p, const kd_state *s, uint32_t *out_n)
{
    if (atomic_load_explicit(&p->version, memory_order_acquire) != s->pop_version + 1) {
        pthread_mutex_lock(&p->lock);
        if (atomic_load_explicit(&p->version, memory_order_relaxed) != s->pop_version + 1) {
            uint32_t n = 0;
            uint32_t c = s->pop_cap > 0 ? s->pop[0].below : 0; /* the greatest */
            for (; c > 0 && n < p->cap; c = s->pop[c].below)
                n += take_smallest(s, s->pop[c].first, p->item + n, p->cap - n);
            p->n = n;
            atomic_store_explicit(&p->version, s->pop_version + 1, memory_order_release);
        }
        pthread_mutex_unlock(&p->lock);
    }
    *out_n = p->n;
    return p->item;
}
