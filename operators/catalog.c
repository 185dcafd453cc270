/* catalog.c - what the state knows of a product: the newest version by (time, canonical bytes).
 *
 * Canonical bytes: the fields in schema order, each length-prefixed, null as length 0xFFFFFFFF,
 * then the flags. Of a longer one than KEEP_BYTES the head is kept and the rest is hashed: still a
 * total order, the same on every instance. A removal is a version like any other, so that an older
 * record that comes late does not bring the product back.
 * @thread loop
 */
#include <string.h>

#include "operators/content.h"
#include "operators/popularity.h"
#include "operators/saver.h"
#include "operators/state_internal.h"

enum { KEEP_BYTES = 32 * 1024 };

/* In front of the canonical bytes in the block. */
typedef struct entry_head {
    kd_ms time;
    uint32_t n; /* canonical bytes that follow */
    uint16_t is_hidden, is_removed;
} entry_head;

static void add_str(kd_buf *b, kd_str s)
{
    uint32_t n = s.p == NULL ? UINT32_MAX : s.n;
    kd_buf_add(b, &n, sizeof n);
    if (s.p != NULL)
        kd_buf_add(b, s.p, s.n);
}

static bool canonical(const kd_record *r, kd_buf *b)
{
    add_str(b, r->title);
    add_str(b, r->description);
    add_str(b, r->category);
    add_str(b, r->brand);
    double price = r->price < 0 ? -1.0 : r->price + 0.0; /* null is -1, and -0.0 is 0.0 */
    kd_buf_add(b, &price, sizeof price);
    kd_buf_add(b, &r->n_tags, sizeof r->n_tags);
    for (uint32_t t = 0; t < r->n_tags; t++)
        add_str(b, r->tags[t]);
    kd_buf_addc(b, r->available ? 1 : 0);
    kd_buf_addc(b, r->removed ? 1 : 0);
    if (b->n > KEEP_BYTES) {
        kd_digest rest = kd_hash128(b->p, b->n, 0);
        b->n = KEEP_BYTES;
        kd_buf_add(b, &rest, sizeof rest);
    }
    return !b->failed;
}

static const entry_head *head_of(const kd_state *s, uint32_t i)
{
    return kd_slab_ptr(s->catalog_text, s->item[i].catalog);
}

kd_ms kd_state_catalog_time(const kd_state *s, uint32_t item)
{
    KD_ASSERT(s->item[item].catalog != 0);
    return head_of(s, item)->time;
}

kd_digest kd_state_catalog_digest(const kd_state *s, uint32_t i)
{
    const entry_head *h = head_of(s, i);
    kd_digest bytes = kd_hash128(h + 1, h->n, 2);
    uint64_t x[4] = {s->items.hash[i], (uint64_t)h->time, bytes.lo, bytes.hi};
    return kd_hash128(x, sizeof x, 2);
}

static bool is_newer(const entry_head *h, kd_ms time, const kd_buf *b)
{
    if (time != h->time)
        return time > h->time;
    return kd_str_cmp(kd_buf_str(b), (kd_str){(const char *)(h + 1), h->n}) > 0;
}

/* -- back from the canonical bytes, for the texts ---------------------------------------------- */

typedef struct cut {
    const char *p, *end;
} cut;

/* The next n bytes; of what was cut off, what there is. */
static kd_str take(cut *c, size_t n)
{
    size_t left = (size_t)(c->end - c->p);
    kd_str s = {c->p, (uint32_t)(n < left ? n : left)};
    c->p += s.n;
    return s;
}

static uint32_t take_u32(cut *c)
{
    uint32_t n = 0;
    kd_str s = take(c, sizeof n);
    if (s.n == sizeof n)
        memcpy(&n, s.p, sizeof n);
    return n;
}

static kd_str take_str(cut *c)
{
    uint32_t n = take_u32(c);
    return n == UINT32_MAX ? KD_STR_NULL : take(c, n);
}

/* Strings borrow from the bytes. Of a product that was over KEEP_BYTES the fields as far as they
 * were kept; so what is made of it is a function of the state. */
static void read_product(const char *p, size_t n, kd_product *out)
{
    bool is_whole = n <= KEEP_BYTES;
    cut c = {p, p + (is_whole ? n : KEEP_BYTES)};
    out->title = take_str(&c);
    out->description = take_str(&c);
    out->category = take_str(&c);
    out->brand = take_str(&c);
    (void)take(&c, sizeof(double));
    uint32_t n_tags = take_u32(&c);
    out->n_tags = 0;
    for (uint32_t t = 0; t < n_tags && c.p < c.end; t++) {
        kd_str tag = take_str(&c);
        if (out->n_tags < KD_TAGS_MAX)
            out->tags[out->n_tags++] = tag;
    }
}

kd_str kd_state_title(const kd_state *s, kd_str item_id)
{
    uint32_t i = kd_ids_find(&s->items, item_id, kd_ids_hash(item_id));
    if (i == KD_NO_SLOT || s->item[i].catalog == 0)
        return KD_STR_NULL;
    const entry_head *h = head_of(s, i);
    cut c = {(const char *)(h + 1),
             (const char *)(h + 1) + (h->n < KEEP_BYTES ? h->n : KEEP_BYTES)};
    return take_str(&c);
}

static kd_rc set_content(kd_state *s, uint32_t i, const char *p, size_t n, bool is_removed,
                         bool is_hidden, kd_err *err)
{
    kd_product product;
    read_product(p, n, &product);
    product.is_removed = is_removed;
    product.is_hidden = is_hidden;
    return kd_content_set(s->content, i, &product, err);
}

kd_rc kd_state_catalog_read(kd_state *s, kd_err *err)
{
    for (uint32_t i = 0; i < s->item_cap; i++) {
        if (s->item[i].catalog == 0)
            continue;
        const entry_head *h = head_of(s, i);
        KD_TRY(set_content(s, i, (const char *)(h + 1), h->n, h->is_removed, h->is_hidden, err));
    }
    return KD_OK;
}

/* -- one record --------------------------------------------------------------------------------
 */

static void replace(kd_state *s, uint32_t i, uint32_t block, uint32_t bytes)
{
    kd_item_state *it = &s->item[i];
    if (s->saver != NULL)
        kd_saver_product(s->saver, i);
    if (it->catalog != 0) {
        kd_digest_sub(&s->digest, kd_state_catalog_digest(s, i));
        kd_slab_release(s->catalog_text, it->catalog, it->catalog_bytes);
    } else {
        it->refs++;
    }
    it->catalog = block;
    it->catalog_bytes = bytes;
    kd_digest_add(&s->digest, kd_state_catalog_digest(s, i));
    kd_popularity_hide(s, i, head_of(s, i)->is_hidden != 0);
}

kd_rc kd_state_catalog(kd_state *s, const kd_record *rec, kd_applied *out, kd_err *err)
{
    kd_buf b = {0};
    uint32_t i, block = 0;
    bool is_new = false;
    kd_rc rc = canonical(rec, &b) ? KD_OK : kd_fail(err, KD_ENOMEM, "no memory for a product");
    if (rc == KD_OK)
        rc = kd_state_item_intern(s, kd_name_of(rec->item_id), &i, &is_new, err);
    if (rc != KD_OK)
        goto out;
    if (s->item[i].catalog != 0 && !is_newer(head_of(s, i), rec->time, &b)) {
        out->refused = true;
        goto out;
    }
    size_t bytes = sizeof(entry_head) + b.n;
    block = kd_slab_alloc(s->catalog_text, bytes);
    if (block == 0) {
        rc = kd_fail(err, KD_ENOMEM, "no memory for a product of %zu bytes", b.n);
        if (is_new)
            kd_state_item_unref(s, i);
        goto out;
    }
    entry_head *h = kd_slab_ptr(s->catalog_text, block);
    *h = (entry_head){rec->time, (uint32_t)b.n, rec->removed || !rec->available, rec->removed};
    memcpy(h + 1, b.p, b.n);
    if (s->content != NULL)
        rc = set_content(s, i, b.p, b.n, rec->removed, h->is_hidden != 0, err);
    if (rc != KD_OK) {
        kd_slab_release(s->catalog_text, block, bytes);
        if (is_new)
            kd_state_item_unref(s, i);
        goto out;
    }
    replace(s, i, block, (uint32_t)bytes);
    out->changed = true;
out:
    kd_buf_dispose(&b);
    return rc;
}

kd_rc kd_state_catalog_load(kd_state *s, uint32_t i, const void *p, uint32_t bytes, kd_err *err)
{
    entry_head h;
    if (bytes < sizeof h || s->item[i].catalog != 0)
        return kd_fail(err, KD_EIO, "a product comes twice, or is too short");
    memcpy(&h, p, sizeof h);
    if (h.n != bytes - sizeof h || bytes > KD_SLAB_MAX)
        return kd_fail(err, KD_EIO, "a product has another length than it says");
    uint32_t block = kd_slab_alloc(s->catalog_text, bytes);
    if (block == 0)
        return kd_fail(err, KD_ENOMEM, "no memory for a product of %u bytes", bytes);
    memcpy(kd_slab_ptr(s->catalog_text, block), p, bytes);
    replace(s, i, block, bytes);
    return KD_OK;
}

void kd_state_catalog_drop(kd_state *s)
{
    KD_ASSERT(s->saver == NULL);
    for (uint32_t i = 0; i < s->item_cap; i++) {
        kd_item_state *it = &s->item[i];
        if (it->catalog == 0)
            continue;
        kd_digest_sub(&s->digest, kd_state_catalog_digest(s, i));
        kd_slab_release(s->catalog_text, it->catalog, it->catalog_bytes);
        it->catalog = it->catalog_bytes = 0;
        kd_popularity_hide(s, i, false);
        if (s->content != NULL)
            kd_content_drop(s->content, i);
        kd_state_item_unref(s, i);
    }
}
