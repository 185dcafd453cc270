/* clock_shim.c - a wall clock that a test can set, for a program that runs with this preloaded.
 *
 * The file named by KINDRED_TEST_CLOCK holds the milliseconds (int64) by which the wall clock is
 * off; it is mapped, so that a write to it is a jump, at once and also for who is waiting: C11
 * condition variables wait until a moment of the wall clock, and librdkafka's threads wait on
 * those. Neither libfaketime nor a time namespace does that. The monotonic clock does not jump; nor
 * does it on a machine whose clock is set.
 * @thread any */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_MS = 5, NS_PER_MS = 1000000, MS_PER_S = 1000 };

static const _Atomic int64_t *off_ms;

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("KINDRED_TEST_CLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *off_ms, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        off_ms = p;
}

static struct timespec plus(struct timespec t, int64_t ms)
{
    int64_t ns = t.tv_nsec + ms % MS_PER_S * NS_PER_MS;
    t.tv_sec += ms / MS_PER_S;
    if (ns < 0 || ns >= (int64_t)MS_PER_S * NS_PER_MS) {
        t.tv_sec += ns < 0 ? -1 : 1;
        ns += ns < 0 ? (int64_t)MS_PER_S * NS_PER_MS : -(int64_t)MS_PER_S * NS_PER_MS;
    }
    t.tv_nsec = ns;
    return t;
}

static bool is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static int real_gettime(clockid_t id, struct timespec *t)
{
    int (*get)(clockid_t, struct timespec *) = NULL;
    *(void **)&get = dlsym(RTLD_NEXT, "clock_gettime");
    return get(id, t);
}

static struct timespec real_now(void)
{
    struct timespec t = {0};
    (void)real_gettime(CLOCK_REALTIME, &t);
    return t;
}

static struct timespec now(void)
{
    return plus(real_now(), off_ms == NULL ? 0 : *off_ms);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
        return real_gettime(id, t);
    *t = now();
    return 0;
}

int timespec_get(struct timespec *t, int base)
{
    if (base != TIME_UTC)
        return 0;
    *t = now();
    return base;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec x = now();
    (void)zone;
    *t = (struct timeval){.tv_sec = x.tv_sec, .tv_usec = x.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    time_t t = now().tv_sec;
    if (out != NULL)
        *out = t;
    return t;
}

/* Until this clock says so: in slices of the real one. */
int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
    int (*wait)(cnd_t *, mtx_t *, const struct timespec *) = NULL;
    *(void **)&wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    while (is_before(now(), *until)) {
        struct timespec left = plus(*until, off_ms == NULL ? 0 : -*off_ms), real = real_now();
        struct timespec slice = plus(real, SLICE_MS);
        int rc = wait(c, m, is_before(left, slice) ? &left : &slice);
        if (rc != thrd_timedout)
            return rc;
    }
    return thrd_timedout;
}
