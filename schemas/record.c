#include "schemas/record.h"

#include <math.h>
#include <string.h>

#include "base/timefmt.h"
#include "schemas/fields.h"

const char *kd_record_type_name(kd_record_type type)
{
    static const char *const names[KD_RECORD_TYPES] = {"BrowseEvent", "PurchaseEvent",
                                                       "CatalogItem", "ForgetRequest"};
    return (unsigned)type < KD_RECORD_TYPES ? names[type] : "unknown";
}

const char *kd_action_name(kd_action action)
{
    static const char *const names[KD_ACTIONS] = {"VIEW", "LIKE", "CART", "PAID", "CANCELLED"};
    return (unsigned)action < KD_ACTIONS ? names[action] : "unknown";
}

void kd_record_init(kd_record *r, kd_record_type type)
{
    memset(r, 0, sizeof *r);
    r->emit = true;
    r->ts = KD_MS_NONE;
    kd_fields_init(r, type);
}

kd_rc kd_record_copy(const kd_record *r, kd_arena *a, kd_record *out, kd_err *err)
{
    static const size_t strings[] = {
        offsetof(kd_record, event_id), offsetof(kd_record, order_id),
        offsetof(kd_record, user_id),  offsetof(kd_record, session_id),
        offsetof(kd_record, item_id),  offsetof(kd_record, currency),
        offsetof(kd_record, title),    offsetof(kd_record, description),
        offsetof(kd_record, category), offsetof(kd_record, brand)};
    kd_record copy = *r;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        kd_str *s = (kd_str *)(void *)((char *)&copy + strings[i]);
        if (s->p != NULL)
            KD_TRY(kd_arena_str(a, *s, s, err));
    }
    copy.tags = NULL;
    if (r->n_tags > 0) {
        kd_str *tags = kd_arena_calloc(a, r->n_tags, sizeof *tags);
        if (tags == NULL)
            return kd_fail(err, KD_ENOMEM, "no room for %u tags", r->n_tags);
        for (uint32_t i = 0; i < r->n_tags; i++)
            KD_TRY(kd_arena_str(a, r->tags[i], &tags[i], err));
        copy.tags = tags;
    }
    copy.raw_key = copy.raw_value = NULL;
    copy.raw_key_len = copy.raw_value_len = 0;
    *out = copy;
    return KD_OK;
}

static kd_rc check_text(const char *field, kd_str s, kd_err *err)
{
    if (s.p != NULL && !kd_utf8_valid(s.p, s.n))
        return kd_bad(err, KD_REASON_UTF8, "%s is not UTF-8", field);
    return KD_OK;
}

static kd_rc check_id(const char *field, kd_str s, bool is_required, kd_err *err)
{
    if (s.p == NULL) {
        if (is_required)
            return kd_bad(err, KD_REASON_ID, "%s is missing", field);
        return KD_OK;
    }
    if (s.n == 0)
        return kd_bad(err, KD_REASON_ID, "%s is empty", field);
    if (s.n > KD_ID_MAX)
        return kd_bad(err, KD_REASON_ID, "%s has %u bytes, at most %d are allowed", field, s.n,
                      KD_ID_MAX);
    return check_text(field, s, err);
}

/* Negative is null by now; whoever read the number refused a negative one. */
static kd_rc check_price(double price, kd_err *err)
{
    if (!isfinite(price))
        return kd_bad(err, KD_REASON_NUMBER, "price is %s, not a finite number",
                      isnan(price) ? "NaN" : "infinite");
    return KD_OK;
}

static kd_rc check_event(const kd_record *r, kd_err *err)
{
    KD_TRY(check_id("item_id", r->item_id, true, err));
    KD_TRY(check_id("user_id", r->user_id, false, err));
    KD_TRY(check_id("session_id", r->session_id, false, err));
    KD_TRY(check_id("event_id", r->event_id, false, err));
    if (r->type == KD_BROWSE) {
        if (r->action != KD_VIEW && r->action != KD_CART && r->action != KD_LIKE)
            return kd_bad(err, KD_REASON_FIELD, "action is none of VIEW, CART, LIKE");
        return KD_OK;
    }
    KD_TRY(check_id("order_id", r->order_id, false, err));
    if (r->action != KD_PAID && r->action != KD_CANCELLED)
        return kd_bad(err, KD_REASON_FIELD, "status is none of PAID, CANCELLED");
    if (r->quantity < 0)
        return kd_bad(err, KD_REASON_NUMBER, "quantity %lld is negative", (long long)r->quantity);
    KD_TRY(check_price(r->price, err));
    return check_text("currency", r->currency, err);
}

static kd_rc check_catalog(const kd_record *r, kd_err *err)
{
    KD_TRY(check_id("item_id", r->item_id, true, err));
    KD_TRY(check_text("title", r->title, err));
    KD_TRY(check_text("description", r->description, err));
    KD_TRY(check_text("category", r->category, err));
    KD_TRY(check_text("brand", r->brand, err));
    for (uint32_t i = 0; i < r->n_tags; i++)
        KD_TRY(check_text("tags", r->tags[i], err));
    return check_price(r->price, err);
}

static kd_rc bad_time(kd_ms time, kd_ms latest, kd_err *err)
{
    char is[32], most[32];
    kd_time_iso(time, is);
    kd_time_iso(latest, most);
    if (time >= KD_MS_2000)
        return kd_bad(err, KD_REASON_TIME, "time %s is later than %s, the latest allowed", is,
                      most);
    bool is_seconds = time >= KD_MS_2000 / 1000 && time <= latest / 1000;
    return kd_bad(err, KD_REASON_TIME, "time %s is before 2000-01-01%s", is,
                  is_seconds ? "; milliseconds are right, these seem to be seconds" : "");
}

kd_rc kd_record_check(const kd_record *r, kd_ms latest, kd_err *err)
{
    switch (r->type) {
    case KD_BROWSE:
    case KD_PURCHASE:
        KD_TRY(check_event(r, err));
        break;
    case KD_CATALOG:
        KD_TRY(check_catalog(r, err));
        break;
    case KD_FORGET:
        KD_TRY(check_id("shopper_id", r->user_id, true, err));
        KD_TRY(check_id("request_id", r->event_id, false, err));
        break;
    default:
        return kd_bad(err, KD_REASON_SCHEMA, "record type %d is unknown", (int)r->type);
    }
    return r->time < KD_MS_2000 || r->time > latest ? bad_time(r->time, latest, err) : KD_OK;
}
