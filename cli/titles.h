/* titles.h - titles of products by id, as a catalogue's records come.
 * Memory: the ids and titles, and 30 bytes a product.   @thread one
 */
#ifndef KD_CLI_TITLES_H
#define KD_CLI_TITLES_H

#include "base/kd.h"

typedef struct kd_titles kd_titles;

KD_CHECK kd_rc kd_titles_new(kd_titles **out, kd_err *err);
void kd_titles_free(kd_titles *t);
/* The newest title of a product; one of no bytes, or null: it has none. */
KD_CHECK kd_rc kd_titles_set(kd_titles *t, kd_str item_id, kd_str title, kd_err *err);
/* Null if there is none; borrowed until the next set. Fit for kd_terminal_options.title_of. */
kd_str kd_titles_of(void *titles, kd_str item_id);

#endif
