/* support.h - random records and outputs for the tests of this room, from a printed seed. */
#ifndef KD_TESTS_SCHEMAS_SUPPORT_H
#define KD_TESTS_SCHEMAS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "schemas/fields.h"
#include "schemas/json.h"

/* KINDRED_SEED, or 1; printed, so that a failure comes back. */
static inline uint64_t test_seed(void)
{
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 1 : strtoull(z, NULL, 10);
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* 1 to max characters of one to four bytes; with a quote, a control or a backslash now and then. */
static inline kd_str rand_text(kd_rng *r, kd_arena *a, size_t max)
{
    static const char *const letters[] = {"a", "Z", "7", "-",  " ",  "\"", "\\", "\n", "\x01",
                                          "/", "é", "ß", "日", "本", "€",  "😀",  "\t", "\x7f"};
    size_t n = 1 + kd_rng_below(r, max), used = 0;
    char *p = kd_arena_alloc(a, n * 4);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        bool is_plain = kd_rng_chance(r, 0.7);
        size_t k = kd_rng_below(r, is_plain ? 4 : sizeof letters / sizeof letters[0]);
        memcpy(p + used, letters[k], strlen(letters[k]));
        used += strlen(letters[k]);
    }
    return (kd_str){p, (uint32_t)used};
}

static inline kd_str rand_null_text(kd_rng *r, kd_arena *a, size_t max)
{
    return kd_rng_chance(r, 0.4) ? KD_STR_NULL : rand_text(r, a, max);
}

static inline int64_t rand_long(kd_rng *r)
{
    return (int64_t)(kd_rng_next(r) >> 1 >> kd_rng_below(r, 62));
}

static inline double rand_double(kd_rng *r)
{
    switch (kd_rng_below(r, 5)) {
    case 0:
        return (double)kd_rng_below(r, 1000);
    case 1:
        return kd_rng_real(r);
    case 2:
        return kd_rng_real(r) * 1e300;
    default:
        return (double)kd_rng_below(r, 100000) / 100.0;
    }
}

static inline void rand_record(kd_rng *r, kd_arena *a, kd_record_type type, kd_record *out)
{
    kd_record_init(out, type);
    size_t n;
    const kd_field *fields = kd_fields(type, &n);
    for (size_t i = 0; i < n; i++) {
        const kd_field *f = &fields[i];
        void *to = (char *)out + f->offset;
        bool is_null = f->is_nullable && kd_rng_chance(r, 0.4);
        switch (f->kind) {
        case KD_FIELD_STRING:
            *(kd_str *)to = is_null ? KD_STR_NULL : rand_text(r, a, 40);
            break;
        case KD_FIELD_TIME:
            *(kd_ms *)to = KD_MS_2000 + rand_long(r) % (20 * 365 * KD_MS_DAY);
            break;
        case KD_FIELD_LONG:
            *(int64_t *)to = is_null ? -1 : rand_long(r);
            break;
        case KD_FIELD_DOUBLE:
            *(double *)to = is_null ? -1.0 : rand_double(r);
            break;
        case KD_FIELD_BOOL:
            *(bool *)to = kd_rng_chance(r, 0.5);
            break;
        case KD_FIELD_ENUM: {
            size_t symbols = 0;
            while (f->symbols[symbols].name != NULL)
                symbols++;
            *(kd_action *)to = f->symbols[kd_rng_below(r, symbols)].action;
            break;
        }
        case KD_FIELD_TAGS: {
            uint32_t k = (uint32_t)kd_rng_below(r, 5);
            kd_str *tags = kd_arena_calloc(a, k, sizeof *tags);
            assert_non_null(tags);
            for (uint32_t t = 0; t < k; t++)
                tags[t] = rand_text(r, a, 12);
            out->tags = k == 0 ? NULL : tags;
            out->n_tags = k;
            break;
        }
        }
    }
}

static inline void assert_same_str(const char *field, kd_str a, kd_str b)
{
    if ((a.p == NULL) != (b.p == NULL) || !kd_str_eq(a, b))
        fail_msg("%s: \"" KD_STR_FMT "\" and \"" KD_STR_FMT "\"", field, KD_STR_ARG(a),
                 KD_STR_ARG(b));
}

static inline void assert_same_record(const kd_record *a, const kd_record *b)
{
    assert_int_equal(a->type, b->type);
    size_t n;
    const kd_field *fields = kd_fields(a->type, &n);
    for (size_t i = 0; i < n; i++) {
        const kd_field *f = &fields[i];
        const void *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
        switch (f->kind) {
        case KD_FIELD_STRING:
            assert_same_str(f->name, *(const kd_str *)x, *(const kd_str *)y);
            break;
        case KD_FIELD_TIME:
        case KD_FIELD_LONG:
            if (*(const int64_t *)x != *(const int64_t *)y)
                fail_msg("%s: %lld and %lld", f->name, (long long)*(const int64_t *)x,
                         (long long)*(const int64_t *)y);
            break;
        case KD_FIELD_DOUBLE:
            if (memcmp(x, y, sizeof(double)) != 0) /* bits, so that -0.0 and NaN count too */
                fail_msg("%s: %.17g and %.17g", f->name, *(const double *)x, *(const double *)y);
            break;
        case KD_FIELD_BOOL:
            assert_int_equal(*(const bool *)x, *(const bool *)y);
            break;
        case KD_FIELD_ENUM:
            assert_int_equal(*(const kd_action *)x, *(const kd_action *)y);
            break;
        case KD_FIELD_TAGS:
            assert_int_equal(a->n_tags, b->n_tags);
            for (uint32_t t = 0; t < a->n_tags; t++)
                assert_same_str("tags", a->tags[t], b->tags[t]);
            break;
        }
    }
}

/* ---- outputs ---- */

static inline void rand_item(kd_rng *r, kd_arena *a, kd_item *it)
{
    *it = (kd_item){.item_id = rand_text(r, a, 20), .score = rand_double(r)};
    it->has = (uint32_t)kd_rng_below(r, 1u << KD_PARTS);
    for (int p = 0; p < KD_PARTS; p++)
        if (kd_item_has(it, p)) /* it may be 0, of either sign */
            it->parts[p] = kd_rng_chance(r, 0.2)   ? 0
                           : kd_rng_chance(r, 0.2) ? -0.0
                           : kd_part_is_float(p)   ? (float)rand_double(r)
                                                   : rand_double(r);
    it->n_reasons = (uint32_t)kd_rng_below(r, 2 * KD_KINDS);
    kd_why *why = kd_arena_calloc(a, it->n_reasons, sizeof *why);
    assert_non_null(why);
    for (uint32_t i = 0; i < it->n_reasons; i++) {
        why[i].kind = (kd_why_kind)kd_rng_below(r, KD_KINDS);
        why[i].count = kd_rng_chance(r, 0.5) ? -1 : rand_long(r);
        why[i].n_ids = (uint32_t)kd_rng_below(r, 3);
        kd_str *ids = kd_arena_calloc(a, why[i].n_ids, sizeof *ids);
        assert_non_null(ids);
        for (uint32_t k = 0; k < why[i].n_ids; k++)
            ids[k] = rand_text(r, a, 20);
        why[i].ids = ids;
    }
    it->reasons = why;
}

static inline kd_pos rand_pos(kd_rng *r)
{
    return (kd_pos){"browse-events", (int32_t)kd_rng_below(r, 100), rand_long(r)};
}

static inline kd_out rand_update(kd_rng *r, kd_arena *a)
{
    kd_update *u = kd_arena_calloc(a, 1, sizeof *u);
    assert_non_null(u);
    u->shopper_id = rand_text(r, a, 20);
    u->time = rand_long(r);
    u->state_time = rand_long(r);
    u->trigger = rand_pos(r);
    u->event_id = rand_null_text(r, a, 20);
    u->n_items = (uint32_t)kd_rng_below(r, 11);
    kd_item *items = kd_arena_calloc(a, u->n_items, sizeof *items);
    assert_non_null(items);
    for (uint32_t i = 0; i < u->n_items; i++)
        rand_item(r, a, &items[i]);
    u->items = items;
    return (kd_out){.type = KD_OUT_UPDATE, .update = u};
}

static inline kd_out rand_similar(kd_rng *r, kd_arena *a)
{
    kd_similar *s = kd_arena_calloc(a, 1, sizeof *s);
    assert_non_null(s);
    s->shopper_id = rand_text(r, a, 20);
    s->time = rand_long(r);
    s->n_neighbours = (uint32_t)kd_rng_below(r, 6);
    kd_neighbour *list = kd_arena_calloc(a, s->n_neighbours, sizeof *list);
    assert_non_null(list);
    for (uint32_t i = 0; i < s->n_neighbours; i++)
        list[i] = (kd_neighbour){rand_text(r, a, 20), kd_rng_real(r)};
    s->neighbours = list;
    return (kd_out){.type = KD_OUT_SIMILAR, .similar = s};
}

static inline const kd_need *rand_needs_list(kd_rng *r, kd_arena *a, uint32_t *out_n)
{
    *out_n = (uint32_t)kd_rng_below(r, 6);
    kd_need *list = kd_arena_calloc(a, *out_n, sizeof *list);
    assert_non_null(list);
    for (uint32_t i = 0; i < *out_n; i++)
        list[i] = (kd_need){rand_text(r, a, 20), kd_rng_real(r)};
    return list;
}

static inline kd_out rand_needs(kd_rng *r, kd_arena *a)
{
    kd_needs *x = kd_arena_calloc(a, 1, sizeof *x);
    assert_non_null(x);
    x->shopper_id = rand_text(r, a, 20);
    x->time = rand_long(r);
    x->products = rand_long(r);
    x->terms = rand_needs_list(r, a, &x->n_terms);
    x->categories = rand_needs_list(r, a, &x->n_categories);
    x->brands = rand_needs_list(r, a, &x->n_brands);
    return (kd_out){.type = KD_OUT_NEEDS, .needs = x};
}

static inline const void *rand_bytes(kd_rng *r, kd_arena *a, size_t *out_n)
{
    *out_n = kd_rng_below(r, 30);
    unsigned char *p = kd_arena_alloc(a, *out_n);
    assert_non_null(p);
    for (size_t i = 0; i < *out_n; i++)
        p[i] = (unsigned char)kd_rng_next(r);
    return p;
}

static inline kd_out rand_dead_letter(kd_rng *r, kd_arena *a)
{
    kd_dead_letter *d = kd_arena_calloc(a, 1, sizeof *d);
    assert_non_null(d);
    d->pos = rand_pos(r);
    d->reason = (kd_reason)(1 + kd_rng_below(r, KD_REASON_COUNT - 1));
    d->message = "price \"cheap\" is no number";
    if (kd_rng_chance(r, 0.7))
        d->key = rand_bytes(r, a, &d->key_len);
    if (kd_rng_chance(r, 0.5))
        d->value = rand_bytes(r, a, &d->value_len);
    else if (kd_rng_chance(r, 0.7)) {
        kd_str s = rand_text(r, a, 20);
        d->value = s.p;
        d->value_len = s.n;
    }
    return (kd_out){.type = KD_OUT_DEAD_LETTER, .dead_letter = d};
}

static inline kd_out rand_receipt(kd_rng *r, kd_arena *a)
{
    kd_receipt *x = kd_arena_calloc(a, 1, sizeof *x);
    assert_non_null(x);
    x->request_id = rand_null_text(r, a, 20);
    x->shopper_hash = kd_str_of("00ff");
    x->time = rand_long(r);
    x->trigger = rand_pos(r);
    x->interactions = rand_long(r);
    x->postings = rand_long(r);
    x->sessions = rand_long(r);
    x->before = (kd_digest){kd_rng_next(r), kd_rng_next(r)};
    x->after = (kd_digest){kd_rng_next(r), kd_rng_next(r)};
    return (kd_out){.type = KD_OUT_RECEIPT, .receipt = x};
}

/* One of the five outputs that have a schema. */
static inline kd_out rand_out(kd_rng *r, kd_arena *a)
{
    switch (kd_rng_below(r, 5)) {
    case 0:
        return rand_update(r, a);
    case 1:
        return rand_similar(r, a);
    case 2:
        return rand_dead_letter(r, a);
    case 3:
        return rand_needs(r, a);
    default:
        return rand_receipt(r, a);
    }
}

#endif
