/* saver.h - state to bytes and back, without stopping the world.
 *
 * A saver writes the state of the moment it began while records go on being applied. It walks the
 * shoppers (and products, and links) in slices between epochs; whoever is about to change one that
 * was not written yet calls the saver first, and the old one is written then (a before-image). So a
 * pause is one slice long, nothing is copied beforehand but the tombstones, and no fork is needed
 * beside librdkafka's threads.
 *
 *   begin -> { step -> bytes -> file }* -> end          apply -> kd_saver_* -> before-images
 *
 * The bytes are blocks (base/block.h): META, then any mix of ITEMS, SHOPPERS, PRODUCTS, LINKS and
 * TOMBSTONES, then END with the counts. An item is named once, in an ITEMS block before its first
 * use, and known by its number from then on. Audiences, counts and everything else that follows
 * from the histories is worked out on loading.
 *
 * I1  what is loaded has the digest that the state had at begin
 * I2  a shopper, product or link is written once at most; what came after begin is not
 * I3  running out of memory in a before-image spoils the snapshot, never the state
 * Bytes differ with the order of arrival; the digest does not.
 * Memory: one bit a shopper, product and link, 4 bytes an item, the tombstones, before-images that
 * no step has taken yet.   @thread loop
 */
#ifndef KD_SAVER_H
#define KD_SAVER_H

#include "base/block.h"
#include "operators/kd_op.h"

/* Raise when other bytes are written. */
enum { KD_STATE_VERSION = 1 };

/* What a snapshot holds. */
typedef struct kd_saved {
    kd_digest digest;
    kd_ms state_time, horizon_base, floor;
    int64_t shoppers, interactions, items, products, links, tombstones;
} kd_saved;

/* One at a time for each state. Owned by the caller. */
KD_CHECK kd_rc kd_saver_begin(kd_state *s, kd_saver **out, kd_err *err);
/* Looks at max_slots more places of the walk, or fewer if max_bytes are ready; appends what is
 * ready (may be nothing) to *out. *out_done: that was all. KD_ENOMEM: the snapshot is spoilt. */
KD_CHECK kd_rc kd_saver_step(kd_saver *v, uint32_t max_slots, size_t max_bytes, kd_buf *out,
                             bool *out_done, kd_err *err);
/* The counts are complete when step() is done; digest and times from begin on. */
const kd_saved *kd_saver_saved(const kd_saver *v);
/* Ends it, done or not; NULL is allowed. Before the state is freed. */
void kd_saver_end(kd_saver *v);

/* What state.c calls before it changes something (v is not NULL). */
void kd_saver_shopper(kd_saver *v, uint32_t shopper);
void kd_saver_product(kd_saver *v, uint32_t item);

/* Fills an empty state. `version` is that of the bytes. Other than KD_OK: free the state, it is
 * half full; KD_EIO: the bytes are damaged, KD_ESTATE: of a version that is not known. */
typedef struct kd_load_options {
    void (*on_progress)(void *arg, int64_t interactions); /* nullable; now and then */
    void *arg;
} kd_load_options;
KD_CHECK kd_rc kd_state_load(kd_state *s, uint32_t version, const kd_block_source *from,
                             const kd_load_options *o, kd_saved *out, kd_err *err);

#endif
