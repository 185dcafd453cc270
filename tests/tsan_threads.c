/* tsan_threads.c - C11 threads on top of POSIX ones, in ThreadSanitizer builds only.
 *
 * librdkafka makes its threads and takes its locks through <threads.h>. The sanitizer knows the
 * POSIX calls alone: a thread made by glibc's thrd_create has no state of the sanitizer's and
 * crashes in the first callback of ours, and locks it did not see look like races. Defined in the
 * program, these functions come before glibc's for the libraries too. glibc's mtx_t, cnd_t and
 * thrd_t have the size of their POSIX counterparts, which is checked; an object is only ever
 * touched through here.
 * @thread any */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "mtx_t holds a POSIX mutex");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "cnd_t holds a POSIX condition");
_Static_assert(sizeof(thrd_t) >= sizeof(pthread_t), "thrd_t holds a POSIX thread");

static pthread_mutex_t *mutex_of(mtx_t *m)
{
    return (pthread_mutex_t *)(void *)m;
}

static pthread_cond_t *cond_of(cnd_t *c)
{
    return (pthread_cond_t *)(void *)c;
}

static int result_of(int error)
{
    return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}

typedef struct call {
    thrd_start_t start;
    void *arg;
} call;

static void *run(void *arg)
{
    call c = *(call *)arg;
    free(arg);
    return (void *)(intptr_t)c.start(c.arg);
}

int thrd_create(thrd_t *out, thrd_start_t start, void *arg)
{
    call *c = malloc(sizeof *c);
    if (!c) {
        return thrd_nomem;
    }
    *c = (call){start, arg};
    int error = pthread_create(out, NULL, run, c);
    if (error) {
        free(c);
    }
    return result_of(error);
}

int thrd_join(thrd_t thread, int *out)
{
    void *value = NULL;
    int error = pthread_join(thread, &value);
    if (!error && out) {
        *out = (int)(intptr_t)value;
    }
    return result_of(error);
}

int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE
                                                          : PTHREAD_MUTEX_NORMAL);
    int error = pthread_mutex_init(mutex_of(m), &attr);
    pthread_mutexattr_destroy(&attr);
    return result_of(error);
}

void mtx_destroy(mtx_t *m)
{
    pthread_mutex_destroy(mutex_of(m));
}

int mtx_lock(mtx_t *m)
{
    return result_of(pthread_mutex_lock(mutex_of(m)));
}

int mtx_unlock(mtx_t *m)
{
    return result_of(pthread_mutex_unlock(mutex_of(m)));
}

int cnd_init(cnd_t *c)
{
    return result_of(pthread_cond_init(cond_of(c), NULL));
}

void cnd_destroy(cnd_t *c)
{
    pthread_cond_destroy(cond_of(c));
}

int cnd_signal(cnd_t *c)
{
    return result_of(pthread_cond_signal(cond_of(c)));
}

int cnd_broadcast(cnd_t *c)
{
    return result_of(pthread_cond_broadcast(cond_of(c)));
}

int cnd_wait(cnd_t *c, mtx_t *m)
{
    return result_of(pthread_cond_wait(cond_of(c), mutex_of(m)));
}

int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
    return result_of(pthread_cond_timedwait(cond_of(c), mutex_of(m), until));
}
