/* helper.h - a thread beside the loop for what may block: one job at a time, in order.
 *
 * I1  what a job is given is its own until the job is over (kd_helper_is_busy is false)
 * I2  after a job that failed no other is done until kd_helper_result has told of it
 * All signals are blocked in it.   @thread one: the owner; jobs run on the helper's thread
 */
#ifndef KD_HELPER_H
#define KD_HELPER_H

#include "base/kd.h"

typedef struct kd_helper kd_helper;

KD_CHECK kd_rc kd_helper_new(kd_helper **out, kd_err *err);
/* Waits for the job that is under way. NULL is allowed. */
void kd_helper_free(kd_helper *h);

bool kd_helper_is_busy(kd_helper *h);
/* Must not be busy. */
void kd_helper_start(kd_helper *h, kd_rc (*job)(void *arg, kd_err *err), void *arg);
/* Waits until it is not busy; the failure since the last call, if there was one. */
KD_CHECK kd_rc kd_helper_result(kd_helper *h, kd_err *err);

#endif
