#include "consumers/kafka_window.h"

#include <stdlib.h>

enum { FIRST_CAP = 64, KEPT_CAP = 4096, AHEAD = 3, LINE = 64 };

kd_rc kd_kafka_window_init(kd_kafka_window *w, int n_parts, void (*destroy)(void *m), kd_err *err)
{
    kd_kafka_window_dispose(w);
    w->queue = calloc((size_t)n_parts + 1, sizeof *w->queue);
    w->heap = calloc((size_t)n_parts + 1, sizeof *w->heap);
    if (w->queue == NULL || w->heap == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %d partitions", n_parts);
    w->n_parts = n_parts;
    w->destroy = destroy;
    return KD_OK;
}

void kd_kafka_window_dispose(kd_kafka_window *w)
{
    for (int p = 0; p < w->n_parts; p++) {
        kd_kafka_window_drop(w, p);
        free(w->queue[p].at);
    }
    free(w->queue);
    free(w->heap);
    *w = (kd_kafka_window){0};
}

/* -- the heap ---------------------------------------------------------------------------------- */

static const kd_kafka_waiting *head_of(const kd_kafka_window *w, int part)
{
    const kd_kafka_queue *q = &w->queue[part];
    return &q->at[q->first];
}

static bool is_before(const kd_kafka_window *w, int a, int b)
{
    int64_t ta = head_of(w, a)->time, tb = head_of(w, b)->time;
    return ta != tb ? ta < tb : a < b;
}

static void sift_down(kd_kafka_window *w, int at)
{
    int part = w->heap[at];
    for (int child; (child = 2 * at + 1) < w->n_heap; at = child) {
        if (child + 1 < w->n_heap && is_before(w, w->heap[child + 1], w->heap[child]))
            child++;
        if (!is_before(w, w->heap[child], part))
            break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = part;
}

static void sift_up(kd_kafka_window *w, int at)
{
    int part = w->heap[at];
    for (; at > 0 && is_before(w, part, w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = part;
}

static void leave_heap(kd_kafka_window *w, int at)
{
    if (at == --w->n_heap)
        return;
    w->heap[at] = w->heap[w->n_heap];
    sift_down(w, at);
    sift_up(w, at);
}

/* -- the queues -------------------------------------------------------------------------------- */

static bool make_room(kd_kafka_queue *q)
{
    if (q->n < q->cap)
        return true;
    uint32_t cap = q->cap == 0 ? FIRST_CAP : q->cap * 2;
    kd_kafka_waiting *at = malloc(cap * sizeof *at);
    if (at == NULL)
        return false;
    for (uint32_t k = 0; k < q->n; k++)
        at[k] = q->at[(q->first + k) & (q->cap - 1)];
    free(q->at);
    q->at = at;
    q->cap = cap;
    q->first = 0;
    return true;
}

/* Whoever had a burst does not keep the room for it: the window's bound is for all together. */
static void give_back(kd_kafka_queue *q)
{
    if (q->cap <= KEPT_CAP)
        return;
    free(q->at);
    *q = (kd_kafka_queue){0};
}

bool kd_kafka_window_put(kd_kafka_window *w, int part, int64_t time, void *m, size_t bytes)
{
    kd_kafka_queue *q = &w->queue[part];
    if (!make_room(q))
        return false;
    q->at[(q->first + q->n++) & (q->cap - 1)] = (kd_kafka_waiting){time, m, bytes};
    w->bytes += bytes;
    if (q->n == 1) {
        w->heap[w->n_heap] = part;
        sift_up(w, w->n_heap++);
    }
    return true;
}

void *kd_kafka_window_head(const kd_kafka_window *w, int *out_part)
{
    if (w->n_heap == 0)
        return NULL;
    *out_part = w->heap[0];
    return head_of(w, w->heap[0])->m;
}

void kd_kafka_window_take(kd_kafka_window *w)
{
    kd_kafka_queue *q = &w->queue[w->heap[0]];
    w->bytes -= q->at[q->first].bytes;
    q->first = (q->first + 1) & (q->cap - 1);
    if (--q->n == 0) {
        leave_heap(w, 0);
        give_back(q);
        return;
    }
    if (q->n > AHEAD) { /* another thread wrote it, some time ago */
        const char *later = q->at[(q->first + AHEAD) & (q->cap - 1)].m;
        __builtin_prefetch(later);
        __builtin_prefetch(later + LINE);
    }
    sift_down(w, 0);
}

void kd_kafka_window_drop(kd_kafka_window *w, int part)
{
    kd_kafka_queue *q = &w->queue[part];
    if (q->n == 0)
        return;
    for (int at = 0; at < w->n_heap; at++)
        if (w->heap[at] == part) {
            leave_heap(w, at);
            break;
        }
    for (; q->n > 0; q->n--) {
        w->bytes -= q->at[q->first].bytes;
        w->destroy(q->at[q->first].m);
        q->first = (q->first + 1) & (q->cap - 1);
    }
    give_back(q);
}
