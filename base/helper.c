#include "base/helper.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct kd_helper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    kd_rc (*job)(void *arg, kd_err *err); /* NULL = idle */
    void *arg;
    bool is_over;
    kd_rc rc;
    kd_err err;
};

/* @thread the helper's */
static void *work(void *arg)
{
    kd_helper *h = arg;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (h->job == NULL && !h->is_over)
            pthread_cond_wait(&h->changed, &h->lock);
        if (h->job == NULL)
            break;
        kd_err err = {0};
        kd_rc rc = h->rc;
        if (rc == KD_OK) {
            pthread_mutex_unlock(&h->lock);
            rc = h->job(h->arg, &err);
            pthread_mutex_lock(&h->lock);
            h->rc = rc;
            h->err = err;
        }
        h->job = NULL;
        pthread_cond_broadcast(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

kd_rc kd_helper_new(kd_helper **out, kd_err *err)
{
    kd_helper *h = calloc(1, sizeof *h);
    if (h == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a thread");
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&h->thread, NULL, work, h);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        pthread_cond_destroy(&h->changed);
        pthread_mutex_destroy(&h->lock);
        free(h);
        return kd_fail(err, KD_ENOMEM, "a thread does not start");
    }
    *out = h;
    return KD_OK;
}

void kd_helper_free(kd_helper *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->is_over = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

bool kd_helper_is_busy(kd_helper *h)
{
    pthread_mutex_lock(&h->lock);
    bool is_busy = h->job != NULL;
    pthread_mutex_unlock(&h->lock);
    return is_busy;
}

void kd_helper_start(kd_helper *h, kd_rc (*job)(void *arg, kd_err *err), void *arg)
{
    pthread_mutex_lock(&h->lock);
    KD_ASSERT(h->job == NULL);
    h->job = job;
    h->arg = arg;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

kd_rc kd_helper_result(kd_helper *h, kd_err *err)
{
    pthread_mutex_lock(&h->lock);
    while (h->job != NULL)
        pthread_cond_wait(&h->changed, &h->lock);
    kd_rc rc = h->rc;
    if (rc != KD_OK && err != NULL)
        *err = h->err;
    h->rc = KD_OK;
    pthread_mutex_unlock(&h->lock);
    return rc;
}
