/* jval.h - a JSON text as a tree. The only door to jansson in this room.
 *
 * A duplicate key's last value holds, and keys keep their order. Numbers: an integer within int64
 * is INT, others REAL; 1e999 and integers beyond int64 are refused. "\u0000" is refused. Depth is
 * bounded by jansson (2048), size by the caller.
 * @thread any: trees are independent.
 */
#ifndef KD_JVAL_H
#define KD_JVAL_H

#include "base/arena.h"
#include "base/kd.h"

typedef struct kd_jval kd_jval; /* a node; borrowed while its root lives */

typedef enum kd_jkind {
    KD_JNULL,
    KD_JBOOL,
    KD_JINT,
    KD_JREAL,
    KD_JSTR,
    KD_JARRAY,
    KD_JOBJECT
} kd_jkind;

/* One value, any kind, nothing behind it. KD_EDATA (decode, utf8 or number) names the column,
 * from 1. *out is owned by the caller. */
KD_CHECK kd_rc kd_jval_parse(const char *p, size_t n, kd_jval **out, kd_err *err);
void kd_jval_free(kd_jval *root);

kd_jkind kd_jval_kind(const kd_jval *v);
/* "a string", "null", ...: what messages call it. */
const char *kd_jval_kind_name(const kd_jval *v);

bool kd_jval_bool(const kd_jval *v);
int64_t kd_jval_int(const kd_jval *v);
double kd_jval_real(const kd_jval *v); /* INT too */
kd_str kd_jval_str(const kd_jval *v);  /* null unless STR; NUL-terminated */

size_t kd_jval_size(const kd_jval *v); /* entries of an array or object, else 0 */
const kd_jval *kd_jval_at(const kd_jval *array, size_t i);
/* NULL if absent or no object (or v is NULL). */
const kd_jval *kd_jval_get(const kd_jval *object, const char *key);

/* Compact JSON text in the order of the input, NUL-terminated, in `a`; NULL when out of memory. */
const char *kd_jval_dump(const kd_jval *v, kd_arena *a);

#endif
