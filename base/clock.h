/* clock.h - the one place that asks the machine for the time. What the pipeline computes never
 * depends on it: records carry their own time.
 * @thread any
 */
#ifndef KD_CLOCK_H
#define KD_CLOCK_H

#include "base/kd.h"

/* Wall clock: milliseconds since 1970 UTC. */
kd_ms kd_clock_wall_ms(void);
/* Monotonic clock, for durations: milliseconds and microseconds since some start. */
int64_t kd_clock_mono_ms(void);
int64_t kd_clock_mono_us(void);

#endif
