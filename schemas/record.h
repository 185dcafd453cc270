/* record.h - what a record is, as the pipeline sees it: one flat struct for the four input types.
 *
 * Strings are borrowed from whoever filled the record (the Kafka message, the arena of a file
 * source) and live until that source's release(). A null string has p == NULL.
 * The meaning of each field stands in schemas/avro, which is generated from nothing and is the text
 * that the registry gets.
 * @thread any: plain data.
 */
#ifndef KD_RECORD_H
#define KD_RECORD_H

#include "base/arena.h"
#include "base/kd.h"

typedef enum kd_record_type {
    KD_BROWSE = 0,
    KD_PURCHASE = 1,
    KD_CATALOG = 2,
    KD_FORGET = 3,
    KD_RECORD_TYPES
} kd_record_type;

/* "BrowseEvent", "PurchaseEvent", "CatalogItem", "ForgetRequest". */
const char *kd_record_type_name(kd_record_type type);

/* The order of the values is part of the definition of H(u): (time, item id bytes, action). */
typedef enum kd_action {
    KD_VIEW = 0,
    KD_LIKE = 1,
    KD_CART = 2,
    KD_PAID = 3,
    KD_CANCELLED = 4,
    KD_ACTIONS
} kd_action;

const char *kd_action_name(kd_action action);

/* Where a record stands in its log. */
typedef struct kd_pos {
    const char *topic; /* borrowed while the source lives; a file's base name for a file */
    int32_t partition;
    int64_t offset;
} kd_pos;

#define KD_ID_MAX 512 /* longest id in bytes; longer ones are dead-lettered */

typedef struct kd_record {
    kd_record_type type;
    bool emit;     /* false: apply only (another instance answers it, or it was answered before) */
    uint32_t term; /* of the answers to the shopper's partition: see kd_source_pos; 0 in files */
    kd_pos pos;
    kd_ms ts;         /* the record's own timestamp (Kafka); the event time in a file */
    kd_ms time;       /* event time */
    kd_action action; /* BROWSE: VIEW LIKE CART; PURCHASE: PAID CANCELLED */

    kd_str event_id;   /* nullable; request_id of a ForgetRequest */
    kd_str order_id;   /* PURCHASE, nullable: the basket */
    kd_str user_id;    /* nullable; shopper_id of a ForgetRequest */
    kd_str session_id; /* nullable */
    kd_str item_id;

    int64_t dwell_ms; /* BROWSE; -1 = null */
    int64_t quantity; /* PURCHASE */
    double price;     /* PURCHASE, CATALOG; negative = null (a negative input is refused) */
    kd_str currency;  /* PURCHASE, nullable */

    kd_str title, description, category, brand; /* CATALOG, nullable */
    const kd_str *tags; /* CATALOG; n_tags entries, borrowed like a string */
    uint32_t n_tags;
    bool available; /* CATALOG */
    bool removed;   /* CATALOG; also what a null value becomes */

    /* The raw bytes as they came, for the dead letter; NULL where the source has none. */
    const void *raw_key, *raw_value;
    size_t raw_key_len, raw_value_len;
} kd_record;

/* A record with every nullable field null and the schema's defaults elsewhere. */
void kd_record_init(kd_record *r, kd_record_type type);

/* A deep copy whose strings live in `a` (raw bytes are not copied and become NULL). */
KD_CHECK kd_rc kd_record_copy(const kd_record *r, kd_arena *a, kd_record *out, kd_err *err);

/* The rules that every record obeys, whatever door it came in by: ids present, at most KD_ID_MAX
 * bytes and UTF-8; 2000-01-01 <= time <= latest (see kd_time_limit); numbers finite and not
 * negative. KD_EDATA with its reason otherwise. `latest` is inclusive. */
KD_CHECK kd_rc kd_record_check(const kd_record *r, kd_ms latest, kd_err *err);

#endif
