/* tombstones.h - who was forgotten, without saying who: a map from a keyed 128-bit hash of the
 * shopper id (SipHash-2-4-128, key privacy.key) to the time of the newest ForgetRequest. Records of
 * that shopper up to and at that time are refused, whenever they come.
 *
 * I1  the time of a tombstone never goes back
 * Memory: 24 bytes / 0.75 a tombstone. With retention, tombstones before the horizon are dropped:
 * the horizon refuses what they would have refused.   @thread one writer
 */
#ifndef KD_TOMBSTONES_H
#define KD_TOMBSTONES_H

#include "base/buf.h"
#include "base/kd.h"

enum { KD_TOMBSTONE_KEY = 16 };

typedef struct kd_tombstone {
    uint64_t a, b; /* keyed hash; both 0 = empty place */
    kd_ms time;
} kd_tombstone;

typedef struct kd_tombstones {
    kd_tombstone *table; /* [cap] linear probing */
    uint32_t n, cap;
    unsigned char key[KD_TOMBSTONE_KEY];
} kd_tombstones;

void kd_tombstones_init(kd_tombstones *t, const unsigned char key[KD_TOMBSTONE_KEY]);
void kd_tombstones_dispose(kd_tombstones *t);

/* The tombstone's time, KD_MS_NONE without one. */
kd_ms kd_tombstones_get(const kd_tombstones *t, kd_str shopper);
/* Makes room for n more, so that as many kd_tombstones_set cannot fail. */
KD_CHECK kd_rc kd_tombstones_room(kd_tombstones *t, uint32_t n, kd_err *err);
/* Keeps the later time. There must be room. Returns the time before (KD_MS_NONE: none). */
kd_ms kd_tombstones_set(kd_tombstones *t, kd_str shopper, kd_ms time);
/* Puts in a tombstone that was saved (same key), with its hash into *digest. There must be room.
 * False: it is there already, or none. */
bool kd_tombstones_load(kd_tombstones *t, const kd_tombstone *x, kd_digest *digest);
/* The keyed hash as 32 hex digits. */
void kd_tombstones_hex(const kd_tombstones *t, kd_str shopper, char out[33]);
/* Drops those before `horizon`, taking their hashes out of *digest. */
void kd_tombstones_expire(kd_tombstones *t, kd_ms horizon, kd_digest *digest);
/* The entry hash of a tombstone, for the state digest. */
kd_digest kd_tombstone_digest(const kd_tombstones *t, kd_str shopper, kd_ms time);
/* Sum of all of them. */
kd_digest kd_tombstones_digest(const kd_tombstones *t);

#endif
