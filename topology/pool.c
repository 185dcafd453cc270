#include "topology/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RUN = 4, ALONE = 8 }; /* indexes taken at once; below ALONE waking others costs more */

typedef struct worker {
    kd_pool *pool;
    pthread_t thread;
    uint32_t number;
} worker;

struct kd_pool {
    uint32_t n_workers;
    worker *workers; /* [n_workers]; 0 is the caller and has no thread */
    uint32_t n_started;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    uint32_t n_wanted; /* threads that should still join the run */
    uint32_t n_active; /* threads that should, or have, and are not done */
    bool is_stopping;
    kd_job job;
    void *arg;
    uint32_t n;
    _Atomic uint32_t next;
};

static void work(kd_pool *p, uint32_t number)
{
    for (;;) {
        uint32_t from = atomic_fetch_add_explicit(&p->next, RUN, memory_order_relaxed);
        if (from >= p->n)
            return;
        uint32_t to = p->n - from < RUN ? p->n : from + RUN;
        for (uint32_t k = from; k < to; k++)
            p->job(p->arg, number, k);
    }
}

static void *thread_main(void *arg)
{
    worker *w = arg;
    kd_pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->n_wanted == 0 && !p->is_stopping)
            pthread_cond_wait(&p->start, &p->lock);
        if (p->is_stopping)
            break;
        p->n_wanted--;
        pthread_mutex_unlock(&p->lock);
        work(p, w->number);
        pthread_mutex_lock(&p->lock);
        if (--p->n_active == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

kd_rc kd_pool_new(uint32_t n_workers, kd_pool **out, kd_err *err)
{
    KD_ASSERT(n_workers >= 1);
    kd_pool *p = calloc(1, sizeof *p);
    worker *workers = calloc(n_workers, sizeof *workers);
    if (p == NULL || workers == NULL) {
        free(p);
        free(workers);
        return kd_fail(err, KD_ENOMEM, "no memory for %u workers", n_workers);
    }
    p->workers = workers;
    p->n_workers = n_workers;
    p->n_started = 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    for (uint32_t k = 1; k < n_workers; k++) {
        workers[k] = (worker){.pool = p, .number = k};
        if (pthread_create(&workers[k].thread, NULL, thread_main, &workers[k]) != 0) {
            kd_pool_free(p);
            return kd_fail(err, KD_ENOMEM, "cannot start worker %u", k);
        }
        p->n_started++;
    }
    *out = p;
    return KD_OK;
}

void kd_pool_free(kd_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t k = 1; k < p->n_started; k++)
        pthread_join(p->workers[k].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

void kd_pool_run(kd_pool *p, uint32_t n, kd_job job, void *arg)
{
    if (p->n_workers == 1 || n < ALONE) {
        for (uint32_t k = 0; k < n; k++)
            job(arg, 0, k);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->job = job;
    p->arg = arg;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    const uint32_t n_runs = (n + RUN - 1) / RUN;
    p->n_wanted = p->n_active = (n_runs < p->n_workers ? n_runs : p->n_workers) - 1;
    for (uint32_t k = 0; k < p->n_active; k++)
        pthread_cond_signal(&p->start);
    pthread_mutex_unlock(&p->lock);
    work(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->n_active > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
