/* state_check.c - the slow twins of state.c: every invariant and the digest by a full pass. For
 * tests and `--verify`.   @thread loop
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operators/active.h"
#include "operators/state_internal.h"

static bool broken(const char *what, uint32_t slot)
{
    fprintf(stderr, "state: %s (slot %u)\n", what, slot);
    return false;
}

kd_digest kd_state_digest_slow(const kd_state *s)
{
    kd_digest sum = kd_tombstones_digest(&s->tombs);
    kd_digest_add(&sum, kd_links_digest(&s->links));
    for (uint32_t u = 0; u < s->hist.cap; u++) {
        kd_entries e = kd_entries_of(&s->hist, u);
        for (uint32_t k = 0; k < e.n; k++)
            kd_digest_add(&sum, kd_state_entry_digest(s, u, e.word[k], kd_entry_time(&e, k)));
    }
    for (uint32_t i = 0; i < s->item_cap; i++)
        if (s->item[i].catalog != 0)
            kd_digest_add(&sum, kd_state_catalog_digest(s, i));
    return sum;
}

static bool posting_has(const kd_state *s, uint32_t i, uint32_t u)
{
    for (uint32_t c = 0;; c++) {
        kd_run run = kd_posting_recent(s->postings, &s->item[i].posting, c, UINT32_MAX);
        if (run.n == 0)
            return false;
        for (uint32_t k = 0; k < run.n; k++)
            if (run.slot[k] == u)
                return true;
    }
}

/* The definition of I(u), word for word. */
static bool is_live(const kd_entries *e, uint32_t k)
{
    kd_action a = kd_word_action(e->word[k]);
    if (a != KD_PAID)
        return a != KD_CANCELLED;
    for (uint32_t j = 0; j < e->n; j++)
        if (kd_word_item(e->word[j]) == kd_word_item(e->word[k]) &&
            kd_word_action(e->word[j]) == KD_CANCELLED &&
            kd_entry_time(e, j) >= kd_entry_time(e, k))
            return false;
    return true;
}

static bool sane_shopper(const kd_state *s, uint32_t u, int64_t *entries, uint32_t *refs)
{
    kd_entries e = kd_entries_of(&s->hist, u);
    uint32_t begin = kd_history_begin(&e, s->opt.history_max), n_items = 0, n_purchases = 0;
    for (uint32_t k = 0; k < e.n; k++) {
        uint32_t item = kd_word_item(e.word[k]);
        kd_ms t = kd_entry_time(&e, k);
        refs[item]++;
        n_purchases += kd_action_is_purchase(kd_word_action(e.word[k]));
        if (k > 0) {
            kd_ms before = kd_entry_time(&e, k - 1);
            int c = kd_ids_cmp(&s->items, kd_word_item(e.word[k - 1]), item);
            if (before > t || (before == t && c > 0) ||
                (before == t && c == 0 &&
                 kd_word_action(e.word[k - 1]) >= kd_word_action(e.word[k])))
                return broken("entries out of order", u);
        }
        bool has_later = false, has_other = false;
        for (uint32_t j = begin; j < e.n; j++)
            if (j != k && kd_word_item(e.word[j]) == item && is_live(&e, j)) {
                has_later |= j > k;
                has_other = true;
            }
        bool is_rep = k >= begin && is_live(&e, k) && !has_later;
        if (is_rep != ((e.word[k] & KD_REP) != 0))
            return broken("KD_REP is not the latest live entry", u);
        if ((is_rep && has_other) != ((e.word[k] & KD_MULTI) != 0))
            return broken("KD_MULTI does not say whether there are others", u);
        if (is_rep && !posting_has(s, item, u))
            return broken("I1: the shopper is missing from P(i)", u);
        n_items += is_rep;
        if (k < begin && !kd_action_is_purchase(kd_word_action(e.word[k])))
            return broken("an entry below H is no purchase", u);
    }
    if (n_purchases > s->opt.purchases_max && begin > 0)
        return broken("more purchases than purchases.max below H", u);
    if (e.n > 0 && s->hist.last[u] != kd_entry_time(&e, e.n - 1))
        return broken("I2: last is not the newest entry's time", u);
    if (e.n > 0 && kd_entry_time(&e, 0) < kd_state_horizon(s))
        return broken("I5: an entry is before the horizon", u);
    if (n_items != s->hist.n_items[u])
        return broken("I2: n_items is not |I(u)|", u);
    if (e.n > 0 &&
        kd_entry_time(&e, 0) <= kd_tombstones_get(&s->tombs, kd_ids_get(&s->shoppers, u)))
        return broken("I5: an entry is behind its tombstone", u);
    *entries += e.n;
    return true;
}

static bool sane_item(const kd_state *s, uint32_t i, uint32_t refs, int64_t *postings)
{
    const kd_item_state *it = &s->item[i];
    if (it->refs != refs + (it->catalog != 0))
        return broken("I3: refs of the item", i);
    kd_posting_ctx x = {s->postings, NULL, &s->hist, &s->shoppers, i};
    if (it->posting.n > 0 && !kd_posting_sane(&x, &it->posting))
        return broken("posting list", i);
    *postings += it->posting.n;
    bool is_listed = false;
    for (uint32_t at = it->posting.n < s->pop_cap ? s->pop[it->posting.n].first : 0; at != 0;
         at = s->item[at - 1].pop_next)
        is_listed |= at == i + 1;
    if (it->refs > 0 && is_listed != (it->posting.n > 0 && !it->is_hidden))
        return broken("popularity list", i);
    return true;
}

static bool sane_popularity(const kd_state *s)
{
    uint32_t in_ring = 0, in_use = 0, last = 0;
    for (uint32_t n = s->pop_cap > 0 ? s->pop[0].above : 0; n != 0; n = s->pop[n].above) {
        if (n <= last || s->pop[n].first == 0 || s->pop[n].below != last)
            return broken("ring of counts", n);
        last = n;
        in_ring++;
    }
    for (uint32_t n = 1; n < s->pop_cap; n++)
        in_use += s->pop[n].first != 0;
    if (s->pop_cap > 0 && (s->pop[0].below != last || in_ring != in_use))
        return broken("ring of counts", 0);
    return true;
}

static bool sane_links(const kd_state *s)
{
    const kd_links *l = &s->links;
    kd_ms horizon = kd_state_horizon(s);
    if (!kd_links_sane(l))
        return broken("links", 0);
    for (uint32_t u = 0; u < l->cap_users; u++)
        for (uint32_t link = l->of_user[u]; link != 0; link = kd_links_at(l, link)->next) {
            const kd_link *x = kd_links_at(l, link);
            kd_ms t = kd_link_time(x);
            if ((horizon != KD_MS_NONE && t < kd_state_day(horizon)) ||
                t <= kd_tombstones_get(&s->tombs, kd_ids_get(&s->shoppers, u)) ||
                t <= kd_tombstones_get(&s->tombs, kd_link_session(x)))
                return broken("I6: a link is behind the horizon or a tombstone", u);
            bool is_shopper = kd_state_shopper(s, kd_link_session(x)) != KD_NO_SLOT;
            if (is_shopper != ((x->length & KD_LINK_SHOPPER) != 0))
                return broken("a link's session is a shopper, or is none", u);
        }
    return true;
}

bool kd_state_sane(const kd_state *s)
{
    uint32_t *refs = calloc((size_t)s->item_cap + 1, sizeof *refs);
    if (refs == NULL)
        return broken("no memory for the check", 0);
    int64_t entries = 0, postings = 0;
    uint32_t n_shoppers = 0, n_named = 0;
    bool ok = true;
    for (uint32_t u = 0; ok && u < s->hist.cap; u++) {
        n_named += s->hist.shopper[u].n > 0 || kd_links_of_user(&s->links, u) != 0;
        if (s->hist.shopper[u].n == 0)
            continue;
        n_shoppers++;
        ok = sane_shopper(s, u, &entries, refs);
    }
    if (ok && (n_shoppers != s->n_shoppers || n_named != s->shoppers.n_live))
        ok = broken("I3: slots of shoppers", 0);
    for (uint32_t i = 0; ok && i < s->item_cap; i++)
        ok = sane_item(s, i, refs[i], &postings);
    free(refs);
    ok = ok && sane_popularity(s) && sane_links(s);
    if (ok && s->active != NULL && !kd_active_sane(s))
        ok = broken("counts of the active shoppers", 0);
    if (ok && (entries != s->n_entries || postings != s->n_postings))
        ok = broken("counts of entries and postings", 0);
    if (ok && !kd_digest_eq(s->digest, kd_state_digest_slow(s)))
        ok = broken("I4: the digest", 0);
    return ok;
}
