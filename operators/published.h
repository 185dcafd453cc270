/* published.h - what was published last of each shopper, as fingerprints: 8 bytes a shopper, the
 * low half of its list, the high half of its needs. Delivery state: in snapshots, not in the
 * digest; gone with the shopper. A fingerprint counts under its term only (kd_record): who may have
 * missed what somebody else published since has another one.
 *
 * Two lists have one fingerprint by chance once in 2^32: then a list that changed is not published.
 * @thread loop
 */
#ifndef KD_PUBLISHED_H
#define KD_PUBLISHED_H

#include "operators/state.h"
#include "schemas/update.h"

/* The fingerprint of ids, scores and parts, never 0.   @thread any */
uint32_t kd_published_of(const kd_update *u, uint32_t term);
/* True if the shopper's list of this fingerprint is not the one that was published last.   @thread
 * any worker */
bool kd_published_differs(const kd_state *s, kd_str shopper, uint32_t fingerprint);
/* The same, and notes it as published. */
bool kd_published_list(kd_state *s, kd_str shopper, uint32_t fingerprint);
/* True if what the shopper looks for has other names, or another order of them: weights fade with
 * time alone and make no news. Looking for nothing is news only after something. */
bool kd_published_needs(kd_state *s, const kd_needs *x, uint32_t term);
/* A null was published: whatever comes next of the shopper is news. */
void kd_published_drop(kd_state *s, kd_str shopper);

#endif
