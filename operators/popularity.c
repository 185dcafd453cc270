#include "operators/popularity.h"

#include <stdlib.h>

/* List heads and links hold slot + 1, so that zeroed memory means "none". */

kd_rc kd_popularity_room(kd_state *s, uint32_t n, kd_err *err)
{
    if (kd_grow((void **)&s->pop_head, &s->pop_cap, n + 1, sizeof *s->pop_head))
        return KD_OK;
    return kd_fail(err, KD_ENOMEM, "no memory for a popularity of %u", n);
}

static void unlink_item(kd_state *s, uint32_t item, uint32_t n)
{
    kd_item_state *it = &s->item[item];
    if (it->pop_prev != 0)
        s->item[it->pop_prev - 1].pop_next = it->pop_next;
    else
        s->pop_head[n] = it->pop_next;
    if (it->pop_next != 0)
        s->item[it->pop_next - 1].pop_prev = it->pop_prev;
    it->pop_prev = it->pop_next = 0;
    while (s->pop_max > 0 && s->pop_head[s->pop_max] == 0)
        s->pop_max--;
}

static void link_item(kd_state *s, uint32_t item, uint32_t n)
{
    kd_item_state *it = &s->item[item];
    it->pop_next = s->pop_head[n];
    if (it->pop_next != 0)
        s->item[it->pop_next - 1].pop_prev = item + 1;
    s->pop_head[n] = item + 1;
    if (n > s->pop_max)
        s->pop_max = n;
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
        link_item(s, item, it->posting.n);
}

void kd_popularity_hide(kd_state *s, uint32_t item, bool is_hidden)
{
    kd_item_state *it = &s->item[item];
    if (it->is_hidden == is_hidden)
        return;
    it->is_hidden = is_hidden;
    s->pop_version++;
    if (it->posting.n == 0)
        return;
    if (is_hidden)
        unlink_item(s, item, it->posting.n);
    else
        link_item(s, item, it->posting.n);
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
            for (uint32_t c = s->pop_max; c > 0 && n < p->cap; c--)
                if (s->pop_head[c] != 0)
                    n += take_smallest(s, s->pop_head[c], p->item + n, p->cap - n);
            p->n = n;
            atomic_store_explicit(&p->version, s->pop_version + 1, memory_order_release);
        }
        pthread_mutex_unlock(&p->lock);
    }
    *out_n = p->n;
    return p->item;
}
