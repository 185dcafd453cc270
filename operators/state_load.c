/* state_load.c - a state from the bytes that state_save.c wrote (see saver.h).
 *
 *   blocks -> ids, histories, products, links, tombstones, digest -> audiences, popularity
 *
 * Audiences are the histories turned over: the items are cut into ranges whose postings fit into
 * RANGE keys; for each range one pass over all histories collects (time, shopper), and each item's
 * are sorted and laid into chunks. With one range the cost is O(postings); more of them trade a
 * pass over the words for memory that does not grow with the state.
 * @thread loop
 */
#include <stdlib.h>
#include <string.h>

#include "operators/popularity.h"
#include "operators/saver_internal.h"
#include "operators/trend.h"

enum {
    RANGE = 16 * 1024 * 1024, /* postings that are sorted at once, 16 bytes each */
    PROGRESS = 256,           /* blocks */
    SMALL = 24,               /* lists that insertion sorts faster */
    BIG = 400,                /* lists that counting digits sorts faster */
};

typedef struct loader {
    kd_state *s;
    uint32_t *slot; /* [cap_slot] item slots by number */
    uint32_t cap_slot;
    uint32_t *count; /* [cap_count] postings to come, by item slot */
    uint32_t cap_count;
    kd_saved saved; /* counted while reading */
} loader;

/* A place in a block. */
typedef struct cursor {
    const char *p;
    size_t left;
} cursor;

static kd_rc take(cursor *c, size_t n, const void **out, kd_err *err)
{
    if (n > c->left)
        return kd_fail(err, KD_EIO, "a block ends too early");
    *out = c->p;
    c->p += n;
    c->left -= n;
    return KD_OK;
}

static kd_rc copy(cursor *c, void *to, size_t n, kd_err *err)
{
    const void *p = NULL;
    KD_TRY(take(c, n, &p, err));
    memcpy(to, p, n);
    return KD_OK;
}

static kd_rc take_id(cursor *c, uint16_t n, kd_str *out, kd_err *err)
{
    const void *p = NULL;
    KD_TRY(take(c, n, &p, err));
    *out = (kd_str){p, n};
    return n == 0 ? kd_fail(err, KD_EIO, "an id is empty") : KD_OK;
}

/* -- blocks ------------------------------------------------------------------------------------ */

static kd_rc load_item(loader *l, cursor *c, kd_err *err)
{
    uint16_t n = 0;
    kd_str id;
    bool is_new;
    uint32_t k = (uint32_t)l->saved.items;
    KD_TRY(copy(c, &n, sizeof n, err));
    KD_TRY(take_id(c, n, &id, err));
    if (!kd_grow((void **)&l->slot, &l->cap_slot, k + 1, sizeof *l->slot))
        return kd_fail(err, KD_ENOMEM, "no memory for %u items", k + 1);
    KD_TRY(kd_state_item_intern(l->s, kd_name_of(id), &l->slot[k], &is_new, err));
    if (!kd_grow((void **)&l->count, &l->cap_count, l->s->item_cap, sizeof *l->count))
        return kd_fail(err, KD_ENOMEM, "no memory for %u items", k + 1);
    l->saved.items++;
    return KD_OK;
}

/* Entry k of the shopper, from the words as saved. */
static kd_rc load_entry(loader *l, uint32_t u, kd_entries *e, uint32_t k, kd_err *err)
{
    kd_state *s = l->s;
    uint32_t number = kd_word_item(e->word[k]);
    if (number >= l->saved.items || kd_word_action(e->word[k]) >= KD_ACTIONS ||
        (k > 0 && kd_entry_time(e, k - 1) > kd_entry_time(e, k)))
        return kd_fail(err, KD_EIO, "an interaction is none");
    uint32_t item = l->slot[number];
    e->word[k] = item << KD_ITEM_SHIFT | (e->word[k] & KD_SAVED_FLAGS);
    s->item[item].refs++;
    if ((e->word[k] & KD_REP) != 0) {
        l->count[item]++;
        s->hist.n_items[u]++;
        s->n_postings++;
    }
    kd_digest_add(&s->digest, kd_state_entry_digest(s, u, e->word[k], kd_entry_time(e, k)));
    return KD_OK;
}

static kd_rc note_published(kd_state *s, uint32_t u, uint64_t published, kd_err *err)
{
    if (published == 0)
        return KD_OK;
    if (!kd_grow((void **)&s->published, &s->published_cap, s->hist.cap, sizeof *s->published))
        return kd_fail(err, KD_ENOMEM, "no memory for %u fingerprints", s->hist.cap);
    s->published[u] = published;
    return KD_OK;
}

static kd_rc load_shopper(loader *l, cursor *c, kd_err *err)
{
    kd_state *s = l->s;
    kd_saved_shopper head;
    kd_str id;
    uint32_t u;
    KD_TRY(copy(c, &head, sizeof head, err));
    KD_TRY(take_id(c, head.length, &id, err));
    KD_TRY(kd_state_slot(s, kd_name_of(id), &u, err)); /* there already, if his links came first */
    if (s->hist.shopper[u].n > 0 || head.n == 0 || head.n > 2 * KD_HISTORY_LIMIT)
        return kd_fail(err, KD_EIO, "a shopper comes twice, or has %u interactions", head.n);
    kd_entries e;
    KD_TRY(kd_history_fill(&s->hist, u, head.n, &e, err));
    KD_TRY(copy(c, e.word, e.n * sizeof *e.word, err));
    KD_TRY(copy(c, e.lo, e.n * sizeof *e.lo, err));
    KD_TRY(copy(c, e.hi, e.n * sizeof *e.hi, err));
    for (uint32_t k = 0; k < e.n; k++)
        KD_TRY(load_entry(l, u, &e, k, err));
    s->hist.last[u] = kd_entry_time(&e, e.n - 1);
    s->n_entries += e.n;
    s->n_shoppers++;
    kd_links_flag(&s->links, kd_name_of(id), true);
    l->saved.shoppers++;
    l->saved.interactions += e.n;
    if (kd_state_expires(s)) {
        KD_TRY(kd_expiry_reserve(&s->expiry, u, err));
        kd_expiry_note(&s->expiry, u, kd_entry_time(&e, 0));
    }
    return note_published(s, u, head.published, err);
}

static kd_rc load_product(loader *l, cursor *c, kd_err *err)
{
    kd_saved_product head;
    const void *p = NULL;
    KD_TRY(copy(c, &head, sizeof head, err));
    KD_TRY(take(c, head.bytes, &p, err));
    if (head.item >= l->saved.items)
        return kd_fail(err, KD_EIO, "a product names no item");
    l->saved.products++;
    return kd_state_catalog_load(l->s, l->slot[head.item], p, head.bytes, err);
}

static kd_rc load_link(loader *l, cursor *c, kd_err *err)
{
    kd_saved_link head;
    kd_str user, session;
    kd_ms old;
    KD_TRY(copy(c, &head, sizeof head, err));
    KD_TRY(take_id(c, head.user, &user, err));
    KD_TRY(take_id(c, head.session, &session, err));
    uint32_t u;
    KD_TRY(kd_state_slot(l->s, kd_name_of(user), &u, err));
    KD_TRY(kd_state_link(l->s, u, kd_name_of(session), head.time, &old, err));
    if (old != KD_MS_NONE)
        return kd_fail(err, KD_EIO, "a link comes twice");
    l->saved.links++;
    return KD_OK;
}

static kd_rc load_tombstone(loader *l, cursor *c, kd_err *err)
{
    kd_tombstone t;
    KD_TRY(copy(c, &t, sizeof t, err));
    KD_TRY(kd_tombstones_room(&l->s->tombs, 1, err));
    if (!kd_tombstones_load(&l->s->tombs, &t, &l->s->digest))
        return kd_fail(err, KD_EIO, "a tombstone comes twice");
    l->saved.tombstones++;
    return KD_OK;
}

static kd_rc load_meta(loader *l, cursor *c, kd_err *err)
{
    kd_saved m;
    KD_TRY(copy(c, &m, sizeof m, err));
    l->saved.digest = m.digest;
    l->s->state_time = l->saved.state_time = m.state_time;
    l->s->horizon_base = l->saved.horizon_base = m.horizon_base;
    l->s->floor = l->saved.floor = m.floor;
    return KD_OK;
}

static kd_rc load_end(loader *l, cursor *c, kd_err *err)
{
    kd_saved m;
    KD_TRY(copy(c, &m, sizeof m, err));
    const kd_saved *n = &l->saved;
    if (m.shoppers != n->shoppers || m.interactions != n->interactions || m.items != n->items ||
        m.products != n->products || m.links != n->links || m.tombstones != n->tombstones)
        return kd_fail(err, KD_EIO,
                       "it holds %lld interactions of %lld shoppers, and says %lld of %lld",
                       (long long)n->interactions, (long long)n->shoppers,
                       (long long)m.interactions, (long long)m.shoppers);
    if (!kd_digest_eq(m.digest, l->s->digest))
        return kd_fail(err, KD_EIO, "what it holds has another digest than it says");
    return KD_OK;
}

static kd_rc load_block(loader *l, const kd_block *b, kd_err *err)
{
    static kd_rc (*const load[KD_BLOCK_KINDS])(loader *, cursor *, kd_err *) = {
        [KD_BLOCK_META] = load_meta,        [KD_BLOCK_ITEMS] = load_item,
        [KD_BLOCK_SHOPPERS] = load_shopper, [KD_BLOCK_PRODUCTS] = load_product,
        [KD_BLOCK_LINKS] = load_link,       [KD_BLOCK_TOMBSTONES] = load_tombstone,
        [KD_BLOCK_END] = load_end,
    };
    if (b->kind >= KD_BLOCK_KINDS || load[b->kind] == NULL)
        return kd_fail(err, KD_EIO, "a block is of no known kind");
    cursor c = {b->p, b->bytes};
    for (uint32_t k = 0; k < b->n; k++)
        KD_TRY(load[b->kind](l, &c, err));
    return c.left == 0 ? KD_OK : kd_fail(err, KD_EIO, "a block is too long");
}

/* -- audiences --------------------------------------------------------------------------------- */

static int compare(const kd_ids *ids, const kd_posting_key *a, const kd_posting_key *b)
{
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return kd_ids_cmp(ids, a->slot, b->slot);
}

static void insertion_sort(const kd_ids *ids, kd_posting_key *a, uint32_t n)
{
    for (uint32_t k = 1; k < n; k++) {
        kd_posting_key x = a[k];
        uint32_t at = k;
        for (; at > 0 && compare(ids, &a[at - 1], &x) > 0; at--)
            a[at] = a[at - 1];
        a[at] = x;
    }
}

/* Bottom-up; `room` is as long as `a`. */
static void merge_sort(const kd_ids *ids, kd_posting_key *a, uint32_t n, kd_posting_key *room)
{
    for (uint32_t from = 0; from < n; from += SMALL)
        insertion_sort(ids, a + from, n - from < SMALL ? n - from : SMALL);
    kd_posting_key *src = a, *dst = room;
    for (uint32_t run = SMALL; run < n; run *= 2) {
        for (uint32_t from = 0; from < n; from += 2 * run) {
            uint32_t mid = n - from < run ? n : from + run;
            uint32_t end = n - from < 2 * run ? n : from + 2 * run;
            uint32_t i = from, j = mid;
            for (uint32_t k = from; k < end; k++)
                dst[k] = i < mid && (j == end || compare(ids, &src[i], &src[j]) <= 0) ? src[i++]
                                                                                      : src[j++];
        }
        kd_posting_key *other = src;
        src = dst;
        dst = other;
    }
    if (src != a)
        memcpy(a, src, n * sizeof *a);
}

/* Radix sort by time, lowest digits first, only as many as the span of times has; then equal times
 * by id. Knuth TAOCP 3, 5.2.5. */
static void radix_sort(const kd_ids *ids, kd_posting_key *a, uint32_t n, kd_posting_key *room)
{
    enum { BITS = 11, DIGITS = 1 << BITS };
    kd_ms first = a[0].time, last = a[0].time;
    for (uint32_t k = 1; k < n; k++) {
        first = a[k].time < first ? a[k].time : first;
        last = a[k].time > last ? a[k].time : last;
    }
    kd_posting_key *src = a, *dst = room;
    for (int shift = 0; (uint64_t)(last - first) >> shift != 0; shift += BITS) {
        uint32_t place[DIGITS] = {0};
        for (uint32_t k = 0; k < n; k++)
            place[(uint64_t)(src[k].time - first) >> shift & (DIGITS - 1)]++;
        for (uint32_t d = 0, sum = 0; d < DIGITS; d++) {
            uint32_t count = place[d];
            place[d] = sum;
            sum += count;
        }
        for (uint32_t k = 0; k < n; k++)
            dst[place[(uint64_t)(src[k].time - first) >> shift & (DIGITS - 1)]++] = src[k];
        kd_posting_key *other = src;
        src = dst;
        dst = other;
    }
    if (src != a)
        memcpy(a, src, n * sizeof *a);
    for (uint32_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && a[to].time == a[from].time; to++)
            ;
        if (to - from <= SMALL)
            insertion_sort(ids, a + from, to - from);
        else
            merge_sort(ids, a + from, to - from, room);
    }
}

static void sort(const kd_ids *ids, kd_posting_key *a, uint32_t n, kd_posting_key *room)
{
    if (n < BIG)
        merge_sort(ids, a, n, room);
    else
        radix_sort(ids, a, n, room);
}

typedef struct range {
    uint32_t from, to; /* item slots */
    uint64_t *place;   /* [to - from] next free place in `key` */
    kd_posting_key *key, *room;
} range;

/* One pass over all histories. */
static void collect(const loader *l, range *r)
{
    const kd_histories *h = &l->s->hist;
    for (uint32_t u = 0; u < h->cap; u++) {
        kd_entries e = kd_entries_of(h, u);
        for (uint32_t k = 0; k < e.n; k++) {
            uint32_t item = kd_word_item(e.word[k]);
            if ((e.word[k] & KD_REP) != 0 && item >= r->from && item < r->to)
                r->key[r->place[item - r->from]++] = (kd_posting_key){kd_entry_time(&e, k), u};
        }
    }
}

static kd_rc build_range(loader *l, range *r, kd_err *err)
{
    kd_state *s = l->s;
    uint64_t at = 0;
    for (uint32_t i = r->from; i < r->to; i++) {
        r->place[i - r->from] = at;
        at += l->count[i];
    }
    collect(l, r);
    for (uint32_t i = r->from; i < r->to; i++) {
        uint32_t n = l->count[i];
        if (n == 0)
            continue;
        kd_posting_key *key = r->key + r->place[i - r->from] - n;
        sort(&s->shoppers, key, n, r->room);
        kd_posting_ctx x = kd_state_posting_ctx(s, i);
        KD_TRY(kd_posting_build(&x, &s->item[i].posting, key, n, err));
        KD_TRY(kd_popularity_room(s, n, err));
        kd_popularity_changed(s, i, 0);
    }
    return KD_OK;
}

/* Where the range that begins at `from` ends: RANGE postings, and one item at least. */
static uint32_t end_of(const loader *l, uint32_t from, uint64_t *out_n, uint32_t *out_most)
{
    uint32_t to = from;
    *out_n = 0;
    for (; to < l->s->item_cap && (to == from || *out_n + l->count[to] <= RANGE); to++) {
        *out_n += l->count[to];
        if (l->count[to] > *out_most)
            *out_most = l->count[to];
    }
    return to;
}

static kd_rc build_audiences(loader *l, kd_err *err)
{
    kd_rc rc = KD_OK;
    for (uint32_t from = 0; rc == KD_OK && from < l->s->item_cap;) {
        uint64_t n;
        uint32_t most = 0;
        range r = {.from = from, .to = end_of(l, from, &n, &most)};
        r.place = malloc((r.to - r.from + 1u) * sizeof *r.place);
        r.key = malloc((n + 1) * sizeof *r.key);
        r.room = malloc((most + 1u) * sizeof *r.room);
        rc = r.place == NULL || r.key == NULL || r.room == NULL
                 ? kd_fail(err, KD_ENOMEM, "no memory for %llu postings", (unsigned long long)n)
                 : build_range(l, &r, err);
        free(r.place);
        free(r.key);
        free(r.room);
        from = r.to;
    }
    return rc;
}

/* What is popular now, counted anew from the histories. */
static kd_rc build_trend(kd_state *s, kd_err *err)
{
    if (s->item_cap > 0)
        KD_TRY(kd_trend_room(s->trend, s->item_cap - 1, err));
    if (s->state_time != KD_MS_NONE)
        kd_trend_advance(s->trend, s->state_time);
    for (uint32_t u = 0; u < s->hist.cap; u++) {
        kd_entries e = kd_entries_of(&s->hist, u);
        for (uint32_t k = 0; k < e.n; k++)
            if ((e.word[k] & KD_REP) != 0)
                kd_trend_move(s->trend, kd_word_item(e.word[k]), KD_MS_NONE, kd_entry_time(&e, k));
    }
    return KD_OK;
}

/* -- all of it --------------------------------------------------------------------------------- */

static kd_rc load_blocks(loader *l, const kd_block_source *from, const kd_load_options *o,
                         kd_buf *room, kd_err *err)
{
    kd_block b = {0};
    for (uint32_t seq = 0; b.kind != KD_BLOCK_END; seq++) {
        KD_TRY(kd_block_read(from, seq, room, &b, err));
        if ((seq == 0) != (b.kind == KD_BLOCK_META) || b.n == 0)
            return kd_fail(err, KD_EIO, "block %u is of the wrong kind", seq);
        KD_TRY(load_block(l, &b, err));
        if (o->on_progress != NULL && seq % PROGRESS == 0)
            o->on_progress(o->arg, l->saved.interactions);
    }
    for (uint32_t k = 0; k < l->saved.items; k++)
        if (l->s->item[l->slot[k]].refs == 0)
            return kd_fail(err, KD_EIO, "nobody has item number %u", k);
    return KD_OK;
}

kd_rc kd_state_load(kd_state *s, uint32_t version, const kd_block_source *from,
                    const kd_load_options *o, kd_saved *out, kd_err *err)
{
    if (version != KD_STATE_VERSION)
        return kd_fail(err, KD_ESTATE, "it is of state version %u, this program knows %d", version,
                       KD_STATE_VERSION);
    KD_ASSERT(s->n_entries == 0 && s->shoppers.n_live == 0 && s->items.n_live == 0);
    loader l = {.s = s};
    kd_buf room = {0};
    kd_rc rc = load_blocks(&l, from, o, &room, err);
    kd_buf_dispose(&room);
    if (rc == KD_OK)
        rc = build_audiences(&l, err);
    if (rc == KD_OK && s->trend != NULL)
        rc = build_trend(s, err);
    if (rc == KD_OK && s->content != NULL)
        rc = kd_state_catalog_read(s, err);
    free(l.slot);
    free(l.count);
    if (rc == KD_OK)
        *out = l.saved;
    return rc;
}
