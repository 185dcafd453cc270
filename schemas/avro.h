/* avro.h - our schemas: their names, texts and fingerprints, and the bare Avro bytes of our types.
 *
 * The texts are those of schemas/avro/NAME.avsc, byte for byte (avro_texts.c, checked by a test).
 * @thread any: constant data, pure functions.
 */
#ifndef KD_AVRO_H
#define KD_AVRO_H

#include "schemas/record.h"
#include "schemas/update.h"

/* The first four are those of kd_record_type, in its order. */
typedef enum kd_schema_id {
    KD_SCHEMA_BROWSE = KD_BROWSE,
    KD_SCHEMA_PURCHASE = KD_PURCHASE,
    KD_SCHEMA_CATALOG = KD_CATALOG,
    KD_SCHEMA_FORGET = KD_FORGET,
    KD_SCHEMA_UPDATE,
    KD_SCHEMA_SIMILAR,
    KD_SCHEMA_DEAD_LETTER,
    KD_SCHEMA_RECEIPT,
    KD_SCHEMA_NEEDS,
    KD_SCHEMAS
} kd_schema_id;

/* "BrowseEvent" ... "ShopperNeeds"; never NULL. */
const char *kd_schema_name(kd_schema_id id);
/* The schema's text as in the .avsc file, NUL-terminated. */
const char *kd_schema_text(kd_schema_id id);
/* By name, with or without the namespace; false if it is none of ours. */
bool kd_schema_by_name(kd_str name, kd_schema_id *out);
/* The schema that an output is written with; KD_OUT_FORGOTTEN has none (it is a null): KD_SCHEMAS.
 */
kd_schema_id kd_schema_of_out(kd_out_type type);

/* Bare Avro bodies (no framing), appended to out; out->failed says when memory ran out. The digest
 * of a replay's output is taken over kd_update_encode. A KD_OUT_FORGOTTEN appends nothing. */
void kd_update_encode(const kd_update *u, kd_buf *out);
void kd_record_encode(const kd_record *r, kd_buf *out);
/* Takes o->encoded if it is there. */
void kd_out_encode(const kd_out *o, kd_buf *out);

/* The body of an update that was written with this build's schema. Strings
 * borrow from the bytes, lists live in `a`. KD_EDATA otherwise. */
KD_CHECK kd_rc kd_update_decode(const void *p, size_t n, kd_arena *a, kd_update *out, kd_err *err);
/* The same for a shopper's needs. */
KD_CHECK kd_rc kd_needs_decode(const void *p, size_t n, kd_arena *a, kd_needs *out, kd_err *err);

#endif
