/* blend_internal.h - what blend.c and blend_reasons.c share.   @thread any worker */
#ifndef KD_BLEND_INTERNAL_H
#define KD_BLEND_INTERNAL_H

#include "operators/blend.h"

void kd_blend_reasons_free(struct kd_blend_reasons *r);

/* Before the reasons of a list. */
KD_CHECK kd_rc kd_blend_explain_begin(const kd_state *s, const kd_subject *subject,
                                      const kd_usercf_space *cf, kd_blend_space *w,
                                      const kd_pick *picks, uint32_t n, kd_arena *arena,
                                      kd_err *err);
/* Fills the reasons of the item at `place`, weightiest first, for parts of a tenth of its score and
 * more:
 *   SIMILAR_SHOPPERS  ids: the own item that most of those who voted for it have; count: voters
 *   TOGETHER          ids: the newest own item; count: shoppers that took both
 *   YOUR_ITEM         ids: the own item it is most like
 *   MATCHED_TERMS     ids: the words that make it so, at most 3, no numbers
 *   POPULAR           count: shoppers that have it */
void kd_blend_explain(const kd_state *s, const kd_subject *subject, const kd_usercf_space *cf,
                      const kd_blend_space *w, uint32_t place, uint32_t item, kd_item *out);

#endif
