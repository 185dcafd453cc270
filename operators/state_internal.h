/* state_internal.h - what state.c, catalog.c, popularity.c and state_check.c share.
 * @thread one writer
 */
#ifndef KD_STATE_INTERNAL_H
#define KD_STATE_INTERNAL_H

#include "operators/state.h"

kd_posting_ctx kd_state_posting_ctx(kd_state *s, uint32_t item);
/* The hash that an entry adds to the state digest. */
kd_digest kd_state_entry_digest(const kd_state *s, uint32_t u, uint32_t word, kd_ms time);
KD_CHECK kd_rc kd_state_item_intern(kd_state *s, kd_name id, uint32_t *out, bool *is_new,
                                    kd_err *err);
/* The shopper's slot, made if it is new; whoever asks for it sees to it that something names it. */
KD_CHECK kd_rc kd_state_slot(kd_state *s, kd_name shopper, uint32_t *out, kd_err *err);
/* As kd_links_set, and flags the link if the session is a shopper. */
KD_CHECK kd_rc kd_state_link(kd_state *s, uint32_t user, kd_name session, kd_ms time,
                             kd_ms *out_old, kd_err *err);
/* Gives back one reference; the last one frees the slot. With refs == 0 (a fresh slot) frees it. */
void kd_state_item_unref(kd_state *s, uint32_t i);
bool kd_state_shopper_has(const kd_state *s, uint32_t u, uint32_t item);
void kd_state_advance(kd_state *s, kd_ms time, kd_ms ts);
/* Expires what is before the horizon, which was at old_horizon. */
void kd_state_expire(kd_state *s, kd_ms old_horizon);
/* True if the state must know who has the oldest entry. */
static inline bool kd_state_expires(const kd_state *s)
{
    return s->opt.retention_ms > 0 || s->opt.memory_max > 0;
}
/* Midnight before t. Tombstones and links go by whole days, so that they are looked through once a
 * day and not per event. */
static inline kd_ms kd_state_day(kd_ms t)
{
    return t - ((t % KD_MS_DAY) + KD_MS_DAY) % KD_MS_DAY;
}
/* Gives an item without one the catalogue entry whose block has these bytes; KD_EIO if they are
 * none.
 */
KD_CHECK kd_rc kd_state_catalog_load(kd_state *s, uint32_t i, const void *p, uint32_t bytes,
                                     kd_err *err);
/* Takes every catalogue entry out: the catalogue is to be read again from its start. */
void kd_state_catalog_drop(kd_state *s);
/* The hash that a catalogue entry adds to the state digest. */
kd_digest kd_state_catalog_digest(const kd_state *s, uint32_t i);

#endif
