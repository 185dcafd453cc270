#include "base/index.h"

#include <stdlib.h>

enum { FIRST_CAP = 64 };

bool kd_index_init(kd_index *x)
{
    *x = (kd_index){.place = calloc(FIRST_CAP, sizeof *x->place), .cap = FIRST_CAP};
    return x->place != NULL;
}

void kd_index_dispose(kd_index *x)
{
    free(x->place);
    *x = (kd_index){0};
}

static uint32_t after(const kd_index *x, uint32_t at)
{
    return at + 1 == x->cap ? 0 : at + 1;
}

static void put(kd_index *x, kd_place p)
{
    uint32_t at = kd_index_home(x, p.hash);
    while (x->place[at].value != 0)
        at = after(x, at);
    x->place[at] = p;
}

static bool resize(kd_index *x, uint64_t cap)
{
    if (cap > UINT32_MAX)
        return false;
    kd_index to = {.place = calloc(cap, sizeof *to.place), .cap = (uint32_t)cap, .n = x->n};
    if (to.place == NULL)
        return false;
    for (uint32_t k = 0; k < x->cap; k++)
        if (x->place[k].value != 0)
            put(&to, x->place[k]);
    free(x->place);
    *x = to;
    return true;
}

bool kd_index_room(kd_index *x)
{
    return ((uint64_t)x->n + 1) * 5 <= (uint64_t)x->cap * 4 ||
           resize(x, (uint64_t)x->cap + x->cap / 4);
}

void kd_index_add(kd_index *x, uint64_t hash, uint32_t value)
{
    KD_ASSERT(value != 0 && x->n < x->cap);
    put(x, (kd_place){(uint32_t)hash, value});
    x->n++;
}

/* Places from a on to b, around the end. */
static uint32_t distance(const kd_index *x, uint32_t a, uint32_t b)
{
    return b >= a ? b - a : b + x->cap - a;
}

void kd_index_remove(kd_index *x, uint64_t hash, uint32_t value)
{
    uint32_t hole = kd_index_home(x, hash);
    while (x->place[hole].value != value) {
        KD_ASSERT(x->place[hole].value != 0);
        hole = after(x, hole);
    }
    /* Knuth, TAOCP 3, 6.4, algorithm R: what follows moves up where it may, so that no grave stones
     * are needed. */
    for (uint32_t k = after(x, hole); x->place[k].value != 0; k = after(x, k)) {
        uint32_t home = kd_index_home(x, x->place[k].hash);
        if (distance(x, home, k) < distance(x, hole, k))
            continue; /* it would come to stand before its home */
        x->place[hole] = x->place[k];
        hole = k;
    }
    x->place[hole] = (kd_place){0};
    x->n--;
}

void kd_index_tidy(kd_index *x)
{
    uint64_t cap = (uint64_t)x->n * 2;
    if (cap < FIRST_CAP)
        cap = FIRST_CAP;
    if (cap * 2 <= x->cap)
        (void)resize(x, cap);
}

bool kd_index_sane(const kd_index *x)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < x->cap; k++) {
        if (x->place[k].value == 0)
            continue;
        n++;
        for (uint32_t at = kd_index_home(x, x->place[k].hash); at != k; at = after(x, at))
            if (x->place[at].value == 0)
                return false;
    }
    return n == x->n && (uint64_t)n * 5 <= (uint64_t)x->cap * 4;
}

size_t kd_index_bytes(const kd_index *x)
{
    return (size_t)x->cap * sizeof *x->place;
}
