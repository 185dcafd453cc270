/* cores.h - how many threads this process can have running at once.   @thread any */
#ifndef KD_CORES_H
#define KD_CORES_H

#include "base/kd.h"

/* The cores that the process may use, by its affinity and by the quota of its container (control
 * groups, version 2), rounded up: one with half of a core has one. A quota outside a container, as
 * of a systemd unit, is not seen. 1 to `max`. */
uint32_t kd_cores(uint32_t max);

/* What a cpu.max file says: "QUOTA PERIOD" in microseconds, or "max PERIOD"; UINT32_MAX if there is
 * no limit, or none that can be understood. */
uint32_t kd_cores_of_quota(const char *text);

#endif
