/* pool.h - the workers of step 3: the same function for every index of a range, on all cores.
 *
 * The calling thread works too, so one worker means no thread at all. Indexes are handed out in
 * small runs; which worker takes which is left to chance, so a job must not depend on it.
 * I1  kd_pool_run returns when every index is done; what jobs wrote is then visible to the caller
 * @thread loop for the calls; jobs run on any worker
 */
#ifndef KD_POOL_H
#define KD_POOL_H

#include "base/kd.h"

typedef struct kd_pool kd_pool;

/* job(arg, worker, index), worker in 0..n_workers-1: the index of the workspace to use. */
typedef void (*kd_job)(void *arg, uint32_t worker, uint32_t index);

KD_CHECK kd_rc kd_pool_new(uint32_t n_workers, kd_pool **out, kd_err *err);
void kd_pool_free(kd_pool *p);
void kd_pool_run(kd_pool *p, uint32_t n, kd_job job, void *arg);

#endif
