#include "base/cores.h"

#include <sched.h>
#include <stdio.h>

uint32_t kd_cores_of_quota(const char *text)
{
    unsigned long quota = 0, period = 0;
    if (sscanf(text, "%lu %lu", &quota, &period) != 2 || quota == 0 || period == 0)
        return UINT32_MAX;
    unsigned long cores = quota / period + (quota % period != 0);
    return cores < UINT32_MAX ? (uint32_t)cores : UINT32_MAX;
}

static uint32_t by_affinity(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : UINT32_MAX;
}

static uint32_t by_quota(void)
{
    char text[64] = "";
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (f == NULL)
        return UINT32_MAX;
    uint32_t n = fgets(text, sizeof text, f) == NULL ? UINT32_MAX : kd_cores_of_quota(text);
    fclose(f);
    return n;
}

uint32_t kd_cores(uint32_t max)
{
    uint32_t affinity = by_affinity(), quota = by_quota();
    uint32_t n = affinity < quota ? affinity : quota;
    n = n < max ? n : max;
    return n < 1 ? 1 : n;
}
