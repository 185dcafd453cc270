/* fault.h - places where a test may kill the process: in builds with KD_FAULTS only, when the
 * variable KINDRED_FAULT names the place and the number of the pass ("txn.before-commit:3").
 * @thread any
 */
#ifndef KD_FAULT_H
#define KD_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* Stands still for ten seconds at pass number n of the place. */
void kd_fault_stall(const char *place, int64_t n);
/* SIGKILL at pass number n of the place. */
void kd_fault(const char *place, int64_t n);
/* True at pass number n of the place: the test's own way to go wrong there. */
bool kd_fault_is(const char *place, int64_t n);

#endif
