#include "schemas/fields.h"

#include <string.h>

#define AT(member) (uint16_t) offsetof(kd_record, member)
#define NULLABLE_STRING(name, member)                                                              \
    {                                                                                              \
        name, KD_FIELD_STRING, true, true, AT(member), NULL, NULL                                  \
    }

static const kd_symbol actions[] = {
    {"VIEW", KD_VIEW}, {"CART", KD_CART}, {"LIKE", KD_LIKE}, {NULL, 0}};
static const kd_symbol statuses[] = {{"PAID", KD_PAID}, {"CANCELLED", KD_CANCELLED}, {NULL, 0}};

static const kd_field browse[] = {
    NULLABLE_STRING("event_id", event_id),
    NULLABLE_STRING("user_id", user_id),
    NULLABLE_STRING("session_id", session_id),
    {"item_id", KD_FIELD_STRING, false, false, AT(item_id), NULL, NULL},
    {"action", KD_FIELD_ENUM, false, false, AT(action), actions, "VIEW, CART, LIKE"},
    {"time", KD_FIELD_TIME, false, false, AT(time), NULL, NULL},
    {"dwell_ms", KD_FIELD_LONG, true, true, AT(dwell_ms), NULL, NULL},
};

static const kd_field purchase[] = {
    NULLABLE_STRING("event_id", event_id),
    NULLABLE_STRING("order_id", order_id),
    NULLABLE_STRING("user_id", user_id),
    NULLABLE_STRING("session_id", session_id),
    {"item_id", KD_FIELD_STRING, false, false, AT(item_id), NULL, NULL},
    {"quantity", KD_FIELD_LONG, false, true, AT(quantity), NULL, NULL},
    {"price", KD_FIELD_DOUBLE, true, true, AT(price), NULL, NULL},
    NULLABLE_STRING("currency", currency),
    {"status", KD_FIELD_ENUM, false, false, AT(action), statuses, "PAID, CANCELLED"},
    {"time", KD_FIELD_TIME, false, false, AT(time), NULL, NULL},
};

static const kd_field catalog[] = {
    {"item_id", KD_FIELD_STRING, false, false, AT(item_id), NULL, NULL},
    NULLABLE_STRING("title", title),
    NULLABLE_STRING("description", description),
    NULLABLE_STRING("category", category),
    NULLABLE_STRING("brand", brand),
    {"price", KD_FIELD_DOUBLE, true, true, AT(price), NULL, NULL},
    {"tags", KD_FIELD_TAGS, false, true, AT(tags), NULL, NULL},
    {"available", KD_FIELD_BOOL, false, true, AT(available), NULL, NULL},
    {"time", KD_FIELD_TIME, false, false, AT(time), NULL, NULL},
    {"removed", KD_FIELD_BOOL, false, true, AT(removed), NULL, NULL},
};

static const kd_field forget[] = {
    NULLABLE_STRING("request_id", event_id),
    {"shopper_id", KD_FIELD_STRING, false, false, AT(user_id), NULL, NULL},
    {"time", KD_FIELD_TIME, false, false, AT(time), NULL, NULL},
};

const kd_field *kd_fields(kd_record_type type, size_t *out_n)
{
    static const struct {
        const kd_field *fields;
        size_t n;
    } tables[KD_RECORD_TYPES] = {
        [KD_BROWSE] = {browse, sizeof browse / sizeof browse[0]},
        [KD_PURCHASE] = {purchase, sizeof purchase / sizeof purchase[0]},
        [KD_CATALOG] = {catalog, sizeof catalog / sizeof catalog[0]},
        [KD_FORGET] = {forget, sizeof forget / sizeof forget[0]},
    };
    KD_ASSERT((unsigned)type < KD_RECORD_TYPES);
    *out_n = tables[type].n;
    return tables[type].fields;
}

/* The record's own fields lie between `time` and `removed`; what its source sets is around them. */
_Static_assert(offsetof(kd_record, ts) < offsetof(kd_record, time) &&
                   offsetof(kd_record, removed) < offsetof(kd_record, raw_key),
               "kd_fields_init clears from time to raw_key");

void kd_fields_init(kd_record *r, kd_record_type type)
{
    memset(&r->time, 0, offsetof(kd_record, raw_key) - offsetof(kd_record, time));
    r->type = type;
    r->time = KD_MS_NONE;
    r->action = type == KD_PURCHASE ? KD_PAID : KD_VIEW;
    r->dwell_ms = -1;
    r->quantity = 1;
    r->price = -1.0;
    r->available = true;
}
