#include "base/recent.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 4 };

typedef struct place {
    uint64_t key;
    uint64_t used; /* tick of the last use, 0 = empty */
} place;

struct kd_recent {
    place *places;        /* [n] */
    unsigned char *value; /* [n * bytes] */
    uint32_t n;
    size_t bytes;
    uint64_t tick;
};

kd_rc kd_recent_new(uint32_t places, size_t value_bytes, kd_recent **out, kd_err *err)
{
    uint32_t n = WAYS;
    while (n < places && n < 1u << 30)
        n *= 2;
    kd_recent *r = calloc(1, sizeof *r);
    if (r != NULL) {
        r->places = calloc(n, sizeof *r->places);
        r->value = calloc(n, value_bytes);
        r->n = n;
        r->bytes = value_bytes;
    }
    if (r == NULL || r->places == NULL || r->value == NULL) {
        kd_recent_free(r);
        return kd_fail(err, KD_ENOMEM, "no memory to remember %u keys", n);
    }
    *out = r;
    return KD_OK;
}

void kd_recent_free(kd_recent *r)
{
    if (r == NULL)
        return;
    free(r->places);
    free(r->value);
    free(r);
}

static uint32_t set_of(const kd_recent *r, uint64_t key)
{
    return (uint32_t)(key & (r->n / WAYS - 1)) * WAYS;
}

static void *value_at(kd_recent *r, uint32_t at)
{
    return r->value + at * r->bytes;
}

void *kd_recent_find(kd_recent *r, uint64_t key)
{
    uint32_t set = set_of(r, key);
    for (uint32_t at = set; at < set + WAYS; at++)
        if (r->places[at].used != 0 && r->places[at].key == key)
            return value_at(r, at);
    return NULL;
}

void *kd_recent_use(kd_recent *r, uint64_t key)
{
    uint32_t set = set_of(r, key), oldest = set;
    for (uint32_t at = set; at < set + WAYS; at++) {
        place *p = &r->places[at];
        if (p->used != 0 && p->key == key) {
            p->used = ++r->tick;
            return value_at(r, at);
        }
        if (p->used < r->places[oldest].used)
            oldest = at;
    }
    r->places[oldest] = (place){key, ++r->tick};
    memset(value_at(r, oldest), 0, r->bytes);
    return value_at(r, oldest);
}

void kd_recent_drop(kd_recent *r, uint64_t key)
{
    uint32_t set = set_of(r, key);
    for (uint32_t at = set; at < set + WAYS; at++)
        if (r->places[at].key == key)
            r->places[at].used = 0;
}

void *kd_recent_next(kd_recent *r, uint32_t *at, uint64_t *out_key)
{
    for (; *at < r->n; (*at)++)
        if (r->places[*at].used != 0) {
            *out_key = r->places[*at].key;
            return value_at(r, (*at)++);
        }
    return NULL;
}
