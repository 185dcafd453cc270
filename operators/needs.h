/* needs.h - what a shopper is looking for: a profile in the space of terms (demand analysis).
 *
 *   profile(t) = sum over items i of I(u) with a text of  w(u, i) * weight(i, t)  /  sum of w(u, i)
 *
 * weight(i, t) is the TF-IDF weight of tfidf.h, w(u, i) the greatest weight of u's live actions
 * with i, halved with each half-life of its age. A shopper's linked sessions count like its own
 * history. Sums go through the histories, oldest first, and the entries of a product in their
 * order. Words that are digits alone ("10", "1,5") are not listed.
 * @thread any worker: reads state, writes its space
 */
#ifndef KD_NEEDS_H
#define KD_NEEDS_H

#include "operators/content.h"
#include "operators/usercf_core.h"

typedef struct kd_needs_options {
    kd_usercf_options weigh; /* weight[] and half_life_ms are used */
    uint32_t count;          /* terms; half as many categories and brands */
} kd_needs_options;

/* A worker's room; {0} is empty. */
typedef struct kd_needs_space {
    double *profile; /* [cap_profile] by term slot; zero between calls */
    uint32_t *touched;
    uint32_t cap_profile, cap_touched, n_touched;
} kd_needs_space;

void kd_needs_space_dispose(kd_needs_space *w);

/* Fills *out but for id and time; lists live in `arena`, names are borrowed from the state until
 * the next apply. Without texts (state's content NULL, too) the lists are empty. */
KD_CHECK kd_rc kd_needs_of(const kd_state *s, const kd_needs_options *o, const kd_subject *subject,
                           kd_needs_space *w, kd_arena *arena, kd_needs *out, kd_err *err);

#endif
