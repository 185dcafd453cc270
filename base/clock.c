#include "base/clock.h"

#include <time.h>

kd_ms kd_clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (kd_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t kd_clock_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t kd_clock_mono_ms(void)
{
    return kd_clock_mono_us() / 1000;
}
