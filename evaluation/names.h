/* names.h - ids to numbers from 0, in the order in which they are first met.
 *
 * I1 a name's number never changes; names are never taken away
 * I2 a name may be `forgotten`: it then gets a new number when it is met again, and the old number
 *    stays what it was
 * Open addressing on a 64-bit hash, at most 3/4 full: O(1) expected; 24 bytes a name at that load,
 * and its text once (or borrowed).
 * @thread one
 */
#ifndef KD_NAMES_H
#define KD_NAMES_H

#include "base/arena.h"

#define KD_NO_NAME UINT32_MAX

typedef struct kd_name {
    kd_str text; /* p == NULL: a free place */
    uint32_t number;
    uint32_t hash; /* upper half of it; the lower half says where to look */
} kd_name;

typedef struct kd_names {
    kd_name *table; /* owned, [cap] */
    uint32_t cap;   /* a power of two, or 0 */
    uint32_t used;  /* places taken */
    uint32_t next;  /* the next number */
    kd_arena *text; /* owned; NULL: texts are borrowed from whoever adds them */
} kd_names;

/* {0} is an empty one whose texts are borrowed; kd_names_init makes one that keeps its own. */
KD_CHECK kd_rc kd_names_init(kd_names *x, kd_err *err);
void kd_names_dispose(kd_names *x);
/* The number of a name, KD_NO_NAME if it was never added. */
uint32_t kd_names_find(const kd_names *x, kd_str name);
/* Fetches into the cache what a look-up of this name will touch: step 0 its place, step 1 the text
 * there. A matter of speed alone. */
void kd_names_ahead(const kd_names *x, kd_str name, int step);
/* The number of a name, which is new if *out_new (nullable) says so; *out_text (nullable) is its
 * text as kept. */
KD_CHECK kd_rc kd_names_add(kd_names *x, kd_str name, uint32_t *out, bool *out_new,
                            kd_str *out_text, kd_err *err);
/* Adds a name under a number of the caller's. The name must not be there. */
KD_CHECK kd_rc kd_names_put(kd_names *x, kd_str name, uint32_t number, kd_err *err);
/* The next kd_names_add of this name gives a new number. */
void kd_names_renumber(kd_names *x, kd_str name);

#endif
