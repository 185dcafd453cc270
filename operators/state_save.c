/* state_save.c - the state of one moment, written while it changes (see saver.h).
 * @thread loop
 */
#include <stdlib.h>
#include <string.h>

#include "operators/saver_internal.h"

enum { PAYLOAD = 128 * 1024 }; /* a block is closed when it is this long */

/* A walk over slots: which are written, or were not there at begin. */
typedef struct walk {
    uint64_t *done; /* [n] bits */
    uint32_t n, next;
} walk;

struct kd_saver {
    kd_state *s; /* borrowed */
    kd_saved saved;
    walk shoppers, products, links; /* links: by user */
    uint32_t *number; /* [cap_number] by item slot: its number + 1, 0 = not named yet */
    uint32_t cap_number;
    kd_tombstone *tombs; /* [n_tombs] as of begin */
    uint32_t n_tombs, next_tomb;
    kd_buf open[KD_BLOCK_KINDS]; /* payloads that are being filled */
    uint32_t n[KD_BLOCK_KINDS];
    kd_buf ready; /* finished blocks */
    uint32_t seq;
    bool is_failed, is_done;
};

/* -- blocks ------------------------------------------------------------------------------------ */

static void close_block(kd_saver *v, kd_block_kind kind)
{
    kd_buf *b = &v->open[kind];
    if (v->n[kind] == 0)
        return;
    /* Items are named before they are used. */
    if (kind == KD_BLOCK_SHOPPERS || kind == KD_BLOCK_PRODUCTS)
        close_block(v, KD_BLOCK_ITEMS);
    v->is_failed |= b->failed;
    kd_block block = {kind, v->n[kind], b->p, b->n};
    kd_block_write(&v->ready, v->seq++, &block);
    v->is_failed |= v->ready.failed;
    kd_buf_clear(b);
    v->n[kind] = 0;
}

static void added(kd_saver *v, kd_block_kind kind)
{
    v->n[kind]++;
    if (v->open[kind].n >= PAYLOAD)
        close_block(v, kind);
}

static bool take(walk *w, uint32_t slot)
{
    if (slot >= w->n || (w->done[slot / 64] >> slot % 64 & 1) != 0)
        return false;
    w->done[slot / 64] |= UINT64_C(1) << slot % 64;
    return true;
}

/* -- one thing --------------------------------------------------------------------------------- */

/* An item's slot goes to another one only when no interaction of begin is left to be written that
 * names it, so its number need not be taken back. */
static uint32_t number_of(kd_saver *v, uint32_t item)
{
    if (item >= v->cap_number &&
        !kd_grow((void **)&v->number, &v->cap_number, v->s->item_cap, sizeof *v->number)) {
        v->is_failed = true;
        return 0;
    }
    if (v->number[item] == 0) {
        kd_str id = kd_ids_get(&v->s->items, item);
        uint16_t n = (uint16_t)id.n;
        kd_buf_add(&v->open[KD_BLOCK_ITEMS], &n, sizeof n);
        kd_buf_add(&v->open[KD_BLOCK_ITEMS], id.p, n);
        v->n[KD_BLOCK_ITEMS]++;
        v->number[item] = (uint32_t)++v->saved.items;
    }
    return v->number[item] - 1;
}

static void write_shopper(kd_saver *v, uint32_t u)
{
    const kd_state *s = v->s;
    kd_entries e = kd_entries_of(&s->hist, u);
    if (e.n == 0)
        return;
    kd_str id = kd_ids_get(&s->shoppers, u);
    kd_saved_shopper head = {u < s->published_cap ? s->published[u] : 0, (uint16_t)e.n,
                             (uint16_t)id.n};
    kd_buf *b = &v->open[KD_BLOCK_SHOPPERS];
    kd_buf_add(b, &head, sizeof head);
    kd_buf_add(b, id.p, id.n);
    for (uint32_t k = 0; k < e.n; k++) {
        uint32_t word =
            number_of(v, kd_word_item(e.word[k])) << KD_ITEM_SHIFT | (e.word[k] & KD_SAVED_FLAGS);
        kd_buf_add(b, &word, sizeof word);
    }
    kd_buf_add(b, e.lo, e.n * sizeof *e.lo);
    kd_buf_add(b, e.hi, e.n * sizeof *e.hi);
    v->saved.shoppers++;
    v->saved.interactions += e.n;
    added(v, KD_BLOCK_SHOPPERS);
}

static void write_product(kd_saver *v, uint32_t i)
{
    const kd_item_state *it = &v->s->item[i];
    if (it->catalog == 0)
        return;
    kd_saved_product head = {number_of(v, i), it->catalog_bytes};
    kd_buf *b = &v->open[KD_BLOCK_PRODUCTS];
    kd_buf_add(b, &head, sizeof head);
    kd_buf_add(b, kd_slab_ptr(v->s->catalog_text, it->catalog), it->catalog_bytes);
    v->saved.products++;
    added(v, KD_BLOCK_PRODUCTS);
}

/* All links of a user. */
static void write_links(kd_saver *v, uint32_t u)
{
    const kd_links *l = &v->s->links;
    for (uint32_t link = kd_links_of_user(l, u); link != 0; link = kd_links_at(l, link)->next) {
        const kd_link *x = kd_links_at(l, link);
        kd_str user = kd_ids_get(&v->s->shoppers, u), session = kd_link_session(x);
        kd_saved_link head = {kd_link_time(x), (uint16_t)user.n, (uint16_t)session.n};
        kd_buf *b = &v->open[KD_BLOCK_LINKS];
        kd_buf_add(b, &head, sizeof head);
        kd_buf_add(b, user.p, user.n);
        kd_buf_add(b, session.p, session.n);
        v->saved.links++;
        added(v, KD_BLOCK_LINKS);
    }
}

static void write_tombstone(kd_saver *v, const kd_tombstone *t)
{
    kd_buf_add(&v->open[KD_BLOCK_TOMBSTONES], t, sizeof *t);
    v->saved.tombstones++;
    added(v, KD_BLOCK_TOMBSTONES);
}

/* -- before-images ----------------------------------------------------------------------------- */

void kd_saver_shopper(kd_saver *v, uint32_t u)
{
    if (take(&v->shoppers, u))
        write_shopper(v, u);
}

void kd_saver_product(kd_saver *v, uint32_t i)
{
    if (take(&v->products, i))
        write_product(v, i);
}

static void before_links(void *arg, uint32_t u)
{
    kd_saver *v = arg;
    if (take(&v->links, u))
        write_links(v, u);
}

/* -- life -------------------------------------------------------------------------------------- */

static bool walk_of(walk *w, uint32_t n)
{
    *w = (walk){.done = calloc(n / 64 + 1, sizeof *w->done), .n = n};
    return w->done != NULL;
}

static bool copy_tombstones(kd_saver *v)
{
    const kd_tombstones *t = &v->s->tombs;
    v->tombs = malloc((t->n + 1u) * sizeof *v->tombs);
    for (uint32_t k = 0; v->tombs != NULL && k < t->cap; k++)
        if (t->table[k].a != 0 || t->table[k].b != 0)
            v->tombs[v->n_tombs++] = t->table[k];
    return v->tombs != NULL;
}

kd_rc kd_saver_begin(kd_state *s, kd_saver **out, kd_err *err)
{
    KD_ASSERT(s->saver == NULL);
    kd_saver *v = calloc(1, sizeof *v);
    if (v == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a snapshot");
    v->s = s;
    v->saved = (kd_saved){.digest = s->digest,
                          .state_time = s->state_time,
                          .horizon_base = s->horizon_base,
                          .floor = s->floor};
    v->number = calloc(s->item_cap + 1u, sizeof *v->number);
    v->cap_number = s->item_cap;
    if (!walk_of(&v->shoppers, s->hist.cap) || !walk_of(&v->products, s->item_cap) ||
        !walk_of(&v->links, s->links.cap_users) || v->number == NULL || !copy_tombstones(v)) {
        kd_saver_end(v);
        return kd_fail(err, KD_ENOMEM, "no memory for a snapshot");
    }
    kd_buf_add(&v->open[KD_BLOCK_META], &v->saved, sizeof v->saved);
    v->n[KD_BLOCK_META] = 1;
    close_block(v, KD_BLOCK_META);
    s->saver = v;
    s->links.before = before_links;
    s->links.before_arg = v;
    *out = v;
    return KD_OK;
}

/* One slot of the walk that is under way; false when all are over. */
static bool one_more(kd_saver *v)
{
    if (v->shoppers.next < v->shoppers.n)
        kd_saver_shopper(v, v->shoppers.next++);
    else if (v->products.next < v->products.n)
        kd_saver_product(v, v->products.next++);
    else if (v->links.next < v->links.n)
        before_links(v, v->links.next++);
    else if (v->next_tomb < v->n_tombs)
        write_tombstone(v, &v->tombs[v->next_tomb++]);
    else
        return false;
    return true;
}

static void close_all(kd_saver *v)
{
    for (int kind = KD_BLOCK_ITEMS; kind < KD_BLOCK_END; kind++)
        close_block(v, (kd_block_kind)kind);
    kd_buf_add(&v->open[KD_BLOCK_END], &v->saved, sizeof v->saved);
    v->n[KD_BLOCK_END] = 1;
    close_block(v, KD_BLOCK_END);
    v->is_done = true;
}

kd_rc kd_saver_step(kd_saver *v, uint32_t max_slots, size_t max_bytes, kd_buf *out, bool *out_done,
                    kd_err *err)
{
    for (uint32_t k = 0; k < max_slots && v->ready.n < max_bytes && !v->is_done; k++)
        if (!one_more(v))
            close_all(v);
    kd_buf_add(out, v->ready.p, v->ready.n);
    kd_buf_clear(&v->ready);
    if (v->is_failed || out->failed)
        return kd_fail(err, KD_ENOMEM, "no memory for a snapshot");
    *out_done = v->is_done;
    return KD_OK;
}

const kd_saved *kd_saver_saved(const kd_saver *v)
{
    return &v->saved;
}

void kd_saver_end(kd_saver *v)
{
    if (v == NULL)
        return;
    if (v->s->saver == v) {
        v->s->saver = NULL;
        v->s->links.before = NULL;
    }
    for (int kind = 0; kind < KD_BLOCK_KINDS; kind++)
        kd_buf_dispose(&v->open[kind]);
    kd_buf_dispose(&v->ready);
    free(v->shoppers.done);
    free(v->products.done);
    free(v->links.done);
    free(v->number);
    free(v->tombs);
    free(v);
}
