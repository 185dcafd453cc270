/* update_read.c - a RecommendationUpdate or ShopperNeeds of our own writing, back from its bytes:
 * for the demonstration and for tables. Other writers' schemas go through kd_codec_to_json. */
#include "schemas/codec.h"
#include "schemas/cursor.h"

enum { LIST_MAX = 100000 };

static bool read_str(kd_cursor *c, kd_str *out)
{
    return kd_cursor_str(c, out);
}

/* Whether a value that may be null is there. */
static bool read_branch(kd_cursor *c, bool *is_there)
{
    int64_t branch;
    if (!kd_cursor_long(c, &branch))
        return false;
    if (branch != 0 && branch != 1)
        return kd_cursor_fault(c, KD_REASON_DECODE, "no such branch of a union");
    *is_there = branch == 1;
    return true;
}

static bool read_nullable(kd_cursor *c, kd_str *out)
{
    bool is_there;
    *out = KD_STR_NULL;
    return read_branch(c, &is_there) && (!is_there || read_str(c, out));
}

/* The length of the next block of an array or map; 0 at its end. */
static bool read_block(kd_cursor *c, int64_t *out)
{
    int64_t bytes;
    if (!kd_cursor_long(c, out))
        return false;
    if (*out < 0) {
        *out = -*out;
        if (!kd_cursor_long(c, &bytes))
            return false;
    }
    if (*out < 0 || (uint64_t)*out > kd_cursor_left(c) || *out > LIST_MAX)
        return kd_cursor_fault(c, KD_REASON_DECODE, "a list is longer than its message");
    return true;
}

static const char *read_name(kd_cursor *c, kd_arena *a)
{
    kd_str s;
    if (!read_str(c, &s))
        return NULL;
    const char *z = kd_arena_strz(a, s);
    if (z == NULL)
        kd_cursor_fault(c, KD_REASON_TOO_LARGE, "no room for a name");
    return z;
}

static bool read_parts(kd_cursor *c, kd_item *it)
{
    for (int p = 0; p < KD_PARTS; p++) {
        bool is_there;
        if (!read_branch(c, &is_there))
            return false;
        if (is_there && !(kd_part_is_float(p) ? kd_cursor_float(c, &it->parts[p])
                                              : kd_cursor_double(c, &it->parts[p])))
            return false;
        it->has |= (uint32_t)is_there << p;
    }
    return true;
}

/* The ids of a reason, which may come in several blocks. */
static bool read_ids(kd_cursor *c, kd_arena *a, kd_why *why)
{
    int64_t n;
    while (read_block(c, &n) && n > 0) {
        kd_str *ids = kd_arena_calloc(a, why->n_ids + (size_t)n, sizeof *ids);
        if (ids == NULL)
            return kd_cursor_fault(c, KD_REASON_TOO_LARGE, "no room for a reason");
        for (uint32_t k = 0; k < why->n_ids; k++)
            ids[k] = why->ids[k];
        why->ids = ids;
        for (int64_t k = 0; k < n; k++)
            if (!read_str(c, &ids[why->n_ids++]))
                return false;
    }
    return c->fault == NULL;
}

static bool read_reason(kd_cursor *c, kd_arena *a, kd_why *why)
{
    int64_t kind;
    bool is_counted;
    *why = (kd_why){.count = -1};
    if (!kd_cursor_long(c, &kind))
        return false;
    if (kind < 0 || kind >= KD_KINDS)
        return kd_cursor_fault(c, KD_REASON_DECODE, "the enum has no such symbol");
    why->kind = (kd_why_kind)kind;
    return read_ids(c, a, why) && read_branch(c, &is_counted) &&
           (!is_counted || kd_cursor_long(c, &why->count));
}

static bool read_reasons(kd_cursor *c, kd_arena *a, kd_item *it)
{
    int64_t n;
    while (read_block(c, &n) && n > 0) {
        kd_why *reasons = kd_arena_calloc(a, it->n_reasons + (size_t)n, sizeof *reasons);
        if (reasons == NULL)
            return kd_cursor_fault(c, KD_REASON_TOO_LARGE, "no room for reasons");
        for (uint32_t k = 0; k < it->n_reasons; k++)
            reasons[k] = it->reasons[k];
        it->reasons = reasons;
        for (int64_t k = 0; k < n; k++)
            if (!read_reason(c, a, &reasons[it->n_reasons++]))
                return false;
    }
    return c->fault == NULL;
}

static bool read_items(kd_cursor *c, kd_arena *a, kd_update *u)
{
    int64_t n;
    while (read_block(c, &n) && n > 0) {
        kd_item *items = kd_arena_calloc(a, u->n_items + (size_t)n, sizeof *items);
        if (items == NULL)
            return kd_cursor_fault(c, KD_REASON_TOO_LARGE, "no room for a list");
        for (uint32_t k = 0; k < u->n_items; k++)
            items[k] = u->items[k];
        u->items = items;
        for (int64_t k = 0; k < n; k++) {
            kd_item *it = &items[u->n_items];
            if (!read_str(c, &it->item_id) || !kd_cursor_double(c, &it->score) ||
                !read_parts(c, it) || !read_reasons(c, a, it))
                return false;
            u->n_items++;
        }
    }
    return c->fault == NULL;
}

kd_rc kd_update_decode(const void *p, size_t n, kd_arena *a, kd_update *out, kd_err *err)
{
    kd_cursor c = kd_cursor_of(p, n);
    kd_update u = {0};
    int64_t partition = 0;
    bool ok = read_str(&c, &u.shopper_id) && kd_cursor_long(&c, &u.time) &&
              kd_cursor_long(&c, &u.state_time);
    if (ok)
        u.trigger.topic = read_name(&c, a);
    ok = ok && u.trigger.topic != NULL && kd_cursor_int(&c, &partition) &&
         kd_cursor_long(&c, &u.trigger.offset) && read_nullable(&c, &u.event_id) &&
         read_items(&c, a, &u);
    if (ok && kd_cursor_left(&c) > 0)
        ok = kd_cursor_fault(&c, KD_REASON_DECODE, "bytes are left over");
    if (!ok)
        return kd_bad(err, c.reason, "an update: %s", c.fault == NULL ? "broken" : c.fault);
    u.trigger.partition = (int32_t)partition;
    *out = u;
    return KD_OK;
}

static bool read_needs(kd_cursor *c, kd_arena *a, const kd_need **out, uint32_t *out_n)
{
    int64_t n;
    while (read_block(c, &n) && n > 0) {
        kd_need *list = kd_arena_calloc(a, *out_n + (size_t)n, sizeof *list);
        if (list == NULL)
            return kd_cursor_fault(c, KD_REASON_TOO_LARGE, "no room for needs");
        for (uint32_t k = 0; k < *out_n; k++)
            list[k] = (*out)[k];
        *out = list;
        for (int64_t k = 0; k < n; k++, ++*out_n)
            if (!read_str(c, &list[*out_n].name) || !kd_cursor_double(c, &list[*out_n].weight))
                return false;
    }
    return c->fault == NULL;
}

kd_rc kd_needs_decode(const void *p, size_t n, kd_arena *a, kd_needs *out, kd_err *err)
{
    kd_cursor c = kd_cursor_of(p, n);
    kd_needs x = {0};
    bool ok = read_str(&c, &x.shopper_id) && kd_cursor_long(&c, &x.time) &&
              kd_cursor_long(&c, &x.products) && read_needs(&c, a, &x.terms, &x.n_terms) &&
              read_needs(&c, a, &x.categories, &x.n_categories) &&
              read_needs(&c, a, &x.brands, &x.n_brands);
    if (ok && kd_cursor_left(&c) > 0)
        ok = kd_cursor_fault(&c, KD_REASON_DECODE, "bytes are left over");
    if (!ok)
        return kd_bad(err, c.reason, "needs: %s", c.fault == NULL ? "broken" : c.fault);
    *out = x;
    return KD_OK;
}
