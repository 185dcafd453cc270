/* saver_internal.h - the layout that state_save.c writes and state_load.c reads.
 *
 *   META       kd_saved of the begin (counts are 0)
 *   ITEMS      { u16 length; bytes }            numbered from 0 in order of appearance
 *   SHOPPERS   { u64 published; u16 n, length; bytes; u32 word[n], lo[n]; u16 hi[n] }
 *              as in history.h, with the item's number in the word; published.h
 *   PRODUCTS   { u32 item; u32 bytes; block }   as it lies in catalog_text
 *   LINKS      { i64 time; u16 user, session (lengths); bytes, bytes }
 *   TOMBSTONES { u64 a, b; i64 time }
 *   END        kd_saved, with the counts
 * @thread loop
 */
#ifndef KD_SAVER_INTERNAL_H
#define KD_SAVER_INTERNAL_H

#include "operators/saver.h"
#include "operators/state_internal.h"

typedef enum kd_block_kind {
    KD_BLOCK_META = 1,
    KD_BLOCK_ITEMS,
    KD_BLOCK_SHOPPERS,
    KD_BLOCK_PRODUCTS,
    KD_BLOCK_LINKS,
    KD_BLOCK_TOMBSTONES,
    KD_BLOCK_END,
} kd_block_kind;
enum { KD_BLOCK_KINDS = KD_BLOCK_END + 1 };

typedef struct kd_saved_shopper {
    uint64_t published;
    uint16_t n, length;
} __attribute__((packed)) kd_saved_shopper;

typedef struct kd_saved_product {
    uint32_t item, bytes;
} kd_saved_product;

typedef struct kd_saved_link {
    kd_ms time;
    uint16_t user, session;
} __attribute__((packed)) kd_saved_link;

enum { KD_SAVED_FLAGS = KD_ACTION_MASK | KD_REP | KD_MULTI };

#endif
