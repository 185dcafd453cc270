#include "base/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool kd_fault_is(const char *place, int64_t n)
{
#if KD_FAULTS
    const char *want = getenv("KINDRED_FAULT");
    size_t len = strlen(place);
    return want != NULL && strncmp(want, place, len) == 0 && want[len] == ':' &&
           strtoll(want + len + 1, NULL, 10) == n;
#else
    (void)place;
    (void)n;
    return false;
#endif
}

void kd_fault_stall(const char *place, int64_t n)
{
    if (kd_fault_is(place, n))
        nanosleep(&(struct timespec){.tv_sec = 10}, NULL);
}

void kd_fault(const char *place, int64_t n)
{
    if (kd_fault_is(place, n))
        raise(SIGKILL);
}
