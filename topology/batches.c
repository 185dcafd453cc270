#include "topology/batches.h"

#include <stdlib.h>
#include <string.h>

kd_rc kd_batch_new(uint32_t cap, kd_batch **out, kd_err *err)
{
    kd_batch *x = calloc(1, sizeof *x);
    if (x != NULL) {
        x->cap = cap;
        x->arena = kd_arena_new(0);
        x->items = calloc(cap, sizeof *x->items);
    }
    if (x == NULL || x->arena == NULL || x->items == NULL) {
        kd_batch_free(x);
        return kd_fail(err, KD_ENOMEM, "no memory for a batch of %u records", cap);
    }
    *out = x;
    return KD_OK;
}

void kd_batch_free(kd_batch *x)
{
    if (x == NULL)
        return;
    kd_arena_free(x->arena);
    free(x->items);
    free(x);
}

static kd_rc copy_bytes(kd_arena *a, const void **p, size_t n, kd_err *err)
{
    if (*p == NULL)
        return KD_OK;
    void *to = kd_arena_alloc(a, n);
    if (to == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a bad record of %zu bytes", n);
    memcpy(to, *p, n);
    *p = to;
    return KD_OK;
}

/* A bad record keeps what its dead letter shows. */
static kd_rc keep_bad(kd_batch *x, const kd_record *rec, const kd_err *why, kd_err *err)
{
    kd_batch_item *it = &x->items[x->n];
    kd_err *kept = kd_arena_alloc(x->arena, sizeof *kept);
    if (kept == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a bad record");
    *kept = *why;
    *it = (kd_batch_item){.record = {.pos = rec->pos,
                                     .ts = rec->ts,
                                     .emit = rec->emit,
                                     .raw_key = rec->raw_key,
                                     .raw_value = rec->raw_value,
                                     .raw_key_len = rec->raw_key_len,
                                     .raw_value_len = rec->raw_value_len},
                          .bad = kept};
    KD_TRY(copy_bytes(x->arena, &it->record.raw_key, rec->raw_key_len, err));
    return copy_bytes(x->arena, &it->record.raw_value, rec->raw_value_len, err);
}

/* Copies a good record; the truth about it follows. */
static kd_rc keep(kd_batch_reader *r, kd_batch *x, const kd_record *rec, kd_err *err)
{
    kd_batch_item *it = &x->items[x->n];
    it->bad = NULL;
    KD_TRY(kd_record_copy(rec, x->arena, &it->record, err));
    if (rec->type == KD_BROWSE || rec->type == KD_PURCHASE) {
        r->first = r->first == KD_MS_NONE || rec->time < r->first ? rec->time : r->first;
        r->last = rec->time > r->last ? rec->time : r->last;
    }
    return KD_OK;
}

static kd_str shopper_of(const kd_batch_reader *r, const kd_batch_item *it)
{
    return it->record.type == KD_CATALOG ? KD_STR_NULL
                                         : kd_recommender_shopper(r->who, &it->record);
}

static kd_rc tell_one(kd_batch_reader *r, kd_batch *x, kd_batch_item *it, kd_err *err)
{
    kd_str shopper = shopper_of(r, it);
    it->note = (kd_note){.item = UINT32_MAX};
    if (it->bad != NULL || (it->record.type != KD_CATALOG && shopper.p == NULL))
        return KD_OK; /* a dead letter of every run */
    return kd_truth_take(r->truth, &it->record, shopper, x->arena, &it->note, err);
}

static void look_ahead(const kd_batch_reader *r, const kd_batch *x, uint32_t at, int step)
{
    if (at >= x->n || x->items[at].bad != NULL)
        return;
    kd_str shopper = shopper_of(r, &x->items[at]);
    if (shopper.p != NULL)
        kd_truth_ahead(r->truth, &x->items[at].record, shopper, step);
}

/* The truth about each record, in order; what is further on is fetched meanwhile. */
static kd_rc tell(kd_batch_reader *r, kd_batch *x, kd_err *err)
{
    enum { APART = 5, AHEAD = APART * KD_TRUTH_STEPS };
    for (uint32_t k = 0; k < x->n + AHEAD; k++) {
        for (uint32_t step = 0; step < KD_TRUTH_STEPS; step++)
            look_ahead(r, x, k - step * APART, (int)step); /* wraps below 0 */
        if (k >= AHEAD)
            KD_TRY(tell_one(r, x, &x->items[k - AHEAD], err));
    }
    return KD_OK;
}

kd_rc kd_batch_read(kd_batch_reader *r, kd_batch *x, kd_err *err)
{
    kd_arena_reset(x->arena);
    x->n = x->n_units = 0;
    x->is_last = false;
    kd_rc rc = KD_OK;
    while (x->n < x->cap) {
        kd_record rec;
        kd_err why = {0};
        rc = r->source->kind->next(r->source, &rec, &why);
        if (rc == KD_END) {
            x->is_last = true;
            rc = KD_OK;
            break;
        }
        if (rc != KD_OK && rc != KD_EDATA) {
            if (rc == KD_AGAIN || rc == KD_RETRY)
                rc = x->n > 0 ? KD_OK : rc;
            if (rc != KD_OK && err != NULL)
                *err = why;
            break;
        }
        rc = rc == KD_EDATA ? keep_bad(x, &rec, &why, err) : keep(r, x, &rec, err);
        if (rc != KD_OK)
            break;
        r->records++;
        r->bad += x->items[x->n].bad != NULL;
        x->n++;
    }
    r->source->kind->release(r->source);
    if (rc == KD_OK)
        rc = tell(r, x, err);
    if (rc == KD_OK && x->is_last)
        rc = kd_truth_end(r->truth, x->arena, &x->units, &x->n_units, err);
    return rc;
}
