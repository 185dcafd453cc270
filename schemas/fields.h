/* fields.h - how the fields of our four input schemas lie in a kd_record: the reader's side of JSON
 * and of Avro's schema resolution. A test holds it against the .avsc files.
 *
 * What a field is when its writer leaves it out is what kd_record_init says; is_optional tells
 * whether the schema has a default at all. A nullable number is null as a negative one, so a
 * negative input is refused where it is read.
 * @thread any: constant data.
 */
#ifndef KD_FIELDS_H
#define KD_FIELDS_H

#include "schemas/record.h"

typedef enum kd_field_kind {
    KD_FIELD_STRING, /* kd_str */
    KD_FIELD_TIME,   /* kd_ms */
    KD_FIELD_LONG,   /* int64_t */
    KD_FIELD_DOUBLE, /* double */
    KD_FIELD_BOOL,   /* bool */
    KD_FIELD_ENUM,   /* kd_action, by `symbols` */
    KD_FIELD_TAGS,   /* kd_str * with n_tags */
} kd_field_kind;

typedef struct kd_symbol {
    const char *name;
    kd_action action;
} kd_symbol;

typedef struct kd_field {
    const char *name;
    kd_field_kind kind;
    bool is_nullable;
    bool is_optional;
    uint16_t offset;          /* in kd_record */
    const kd_symbol *symbols; /* ENUM: in the schema's order, ended by {NULL} */
    const char *symbols_text; /* ENUM: for messages */
} kd_field;

enum { KD_FIELDS_MAX = 16 };

/* n fields in the schema's order. */
const kd_field *kd_fields(kd_record_type type, size_t *out_n);
/* Fills type and fields as kd_record_init does, and leaves pos, ts, emit and raw_* alone. */
void kd_fields_init(kd_record *r, kd_record_type type);

#endif
