/* csv_row.c - from a row and a mapping to records. */
#include "consumers/csv_map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Clinger 1990 (doi 10.1145/93542.93557): a mantissa up to 2^53 times or over a power of ten up to
 * 10^22, both exact, is rounded once and hence right; other texts go to strtod. */
static bool exact_number(uint64_t mantissa, int exp10, double *out)
{
    static const double pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (mantissa > UINT64_C(1) << 53 || exp10 < -22 || exp10 > 22)
        return false;
    *out = exp10 < 0 ? (double)mantissa / pow10[-exp10] : (double)mantissa * pow10[exp10];
    return true;
}

bool kd_csv_number(kd_str s, char decimal, double *out)
{
    char text[64]; /* the same number with a plain point, for strtod */
    uint64_t mantissa = 0;
    int digits = 0, exp10 = 0;
    uint32_t i = 0;
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    bool minus = s.p[0] == '-';
    if (s.p[0] == '-' || s.p[0] == '+')
        i++;
    bool seen_point = false, is_long = false;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == decimal && !seen_point) {
            seen_point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        digits++;
        if (mantissa > (UINT64_MAX - 9) / 10)
            is_long = true;
        else
            mantissa = mantissa * 10 + (uint64_t)(c - '0');
        exp10 -= seen_point;
    }
    if (digits == 0)
        return false;
    if (i < s.n) {
        if (s.p[i] != 'e' && s.p[i] != 'E')
            return false;
        i++;
        bool down = i < s.n && s.p[i] == '-';
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
            i++;
        int e = 0;
        uint32_t from = i;
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && e < 10000; i++)
            e = e * 10 + (s.p[i] - '0');
        if (i == from || i < s.n)
            return false;
        exp10 += down ? -e : e;
    }
    double x = 0;
    if (is_long || !exact_number(mantissa, exp10, &x)) {
        memcpy(text, s.p, s.n);
        text[s.n] = '\0';
        for (uint32_t k = 0; k < s.n; k++)
            if (text[k] == decimal)
                text[k] = '.';
        *out = strtod(text, NULL);
        return true;
    }
    *out = minus ? -x : x;
    return true;
}

static kd_str trim(kd_str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (kd_str){s.p + 1, s.n - 1};
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static bool begins(kd_str s, kd_str with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

static bool ends(kd_str s, kd_str with)
{
    return s.n >= with.n && memcmp(s.p + s.n - with.n, with.p, with.n) == 0;
}

static bool is_word_of(kd_str s, const kd_str *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (kd_str_eq(s, words[i]))
            return true;
    return false;
}

static kd_rc no_memory(kd_err *err)
{
    return kd_fail(err, KD_ENOMEM, "no memory for a CSV row");
}

typedef struct row_ctx {
    kd_csv_bound *b;
    const kd_csv_row *row;
    kd_arena *a;
    kd_err *err;
} row_ctx;

static kd_rc field_at(row_ctx *c, size_t column, const kd_csv_field **out)
{
    size_t i = c->b->at[column];
    if (i >= c->row->n)
        return kd_bad(c->err, KD_REASON_DECODE, "the row has %zu fields, column %zu is wanted",
                      c->row->n, i + 1);
    *out = &c->row->fields[i];
    return KD_OK;
}

/* ---- conditions ---- */

static bool test_words(const kd_csv_cond *k, kd_str s)
{
    for (size_t i = 0; i < k->n_words; i++) {
        kd_str w = k->words[i];
        bool hit = k->test == KD_CSV_EQUALS        ? kd_str_eq(s, w)
                   : k->test == KD_CSV_STARTS_WITH ? begins(s, w)
                   : k->test == KD_CSV_ENDS_WITH   ? ends(s, w)
                                                   : memmem(s.p, s.n, w.p, w.n) != NULL;
        if (hit)
            return true;
    }
    return false;
}

static kd_rc cond_holds(row_ctx *c, const kd_csv_cond *k, bool *out)
{
    const kd_csv_field *f = NULL;
    KD_TRY(field_at(c, k->column, &f));
    kd_str s = {f->p, f->n};
    if (f->has_escapes) {
        kd_buf_clear(&c->b->scratch);
        char *to = kd_buf_room(&c->b->scratch, f->n);
        if (to == NULL)
            return no_memory(c->err);
        s = (kd_str){to, kd_csv_unescape(f, c->b->map->dialect.quote, to)};
    }
    s = trim(s);
    double x = 0;
    switch (k->test) {
    case KD_CSV_EMPTY:
        *out = (s.n == 0) != k->is_negated;
        return KD_OK;
    case KD_CSV_LESS_THAN:
    case KD_CSV_MORE_THAN: /* what is no number is neither less nor more nor equal */
        *out = kd_csv_number(s, c->b->map->decimal, &x) &&
               (k->test == KD_CSV_LESS_THAN ? x < k->number : x > k->number) != k->is_negated;
        return KD_OK;
    case KD_CSV_EQUALS:
    case KD_CSV_STARTS_WITH:
    case KD_CSV_ENDS_WITH:
    case KD_CSV_CONTAINS:
        *out = test_words(k, s) != k->is_negated;
        return KD_OK;
    }
    return KD_OK;
}

static kd_rc all_hold(row_ctx *c, const kd_csv_conds *conds, bool *out)
{
    bool holds = true;
    for (size_t i = 0; i < conds->n && holds; i++)
        KD_TRY(cond_holds(c, &conds->list[i], &holds));
    *out = holds;
    return KD_OK;
}

/* ---- values ---- */

/* The text of one column as the mapping wants it read; null where there is none. */
static kd_rc column_text(row_ctx *c, const kd_csv_value *v, size_t column, kd_str *out)
{
    const kd_csv_field *f = NULL;
    KD_TRY(field_at(c, column, &f));
    kd_str s = {f->p, f->n};
    if (f->has_escapes) {
        char *to = kd_arena_alloc(c->a, f->n);
        if (to == NULL)
            return no_memory(c->err);
        s = (kd_str){to, kd_csv_unescape(f, c->b->map->dialect.quote, to)};
    }
    if (!v->keeps_blanks)
        s = trim(s);
    if (v->strip_prefix.n > 0 && begins(s, v->strip_prefix))
        s = (kd_str){s.p + v->strip_prefix.n, s.n - v->strip_prefix.n};
    if (v->strip_suffix.n > 0 && ends(s, v->strip_suffix))
        s.n -= v->strip_suffix.n;
    *out = s.n == 0 || is_word_of(s, v->nulls, v->n_nulls) ? KD_STR_NULL : s;
    return KD_OK;
}

static kd_rc join_columns(row_ctx *c, const kd_csv_value *v, kd_str *out)
{
    kd_str joined = KD_STR_NULL;
    for (size_t i = 0; i < v->n_columns; i++) {
        kd_str s = KD_STR_NULL;
        KD_TRY(column_text(c, v, v->columns[i], &s));
        if (s.p == NULL)
            continue;
        if (joined.p == NULL) {
            joined = s;
            continue;
        }
        char *to = kd_arena_alloc(c->a, (size_t)joined.n + 1 + s.n);
        if (to == NULL)
            return no_memory(c->err);
        memcpy(to, joined.p, joined.n);
        to[joined.n] = ' ';
        memcpy(to + joined.n + 1, s.p, s.n);
        joined = (kd_str){to, joined.n + 1 + s.n};
    }
    *out = joined;
    return KD_OK;
}

static kd_rc map_word(row_ctx *c, const kd_csv_value *v, kd_str s, kd_str *out)
{
    for (size_t i = 0; i < v->n_values; i++) {
        if (kd_str_eq(s, v->from[i])) {
            *out = v->to[i];
            return KD_OK;
        }
    }
    if (v->dflt.p == NULL)
        return kd_bad(c->err, KD_REASON_FIELD, "%s: \"%.*s\" is not in the mapping's values",
                      v->label, (int)(s.n > 60 ? 60 : s.n), s.p);
    *out = v->dflt;
    return KD_OK;
}

static kd_rc value_text(row_ctx *c, const kd_csv_value *v, kd_str *out)
{
    if (v->constant.p != NULL || !v->is_set) {
        *out = v->constant;
        return KD_OK;
    }
    kd_str s = KD_STR_NULL;
    if (v->n_columns == 1)
        KD_TRY(column_text(c, v, v->columns[0], &s));
    else
        KD_TRY(join_columns(c, v, &s));
    if (s.p == NULL) {
        *out = v->dflt;
        return KD_OK;
    }
    if (v->n_values > 0)
        KD_TRY(map_word(c, v, s, &s));
    if (v->add_prefix.n > 0) {
        char *to = kd_arena_alloc(c->a, (size_t)v->add_prefix.n + s.n);
        if (to == NULL)
            return no_memory(c->err);
        memcpy(to, v->add_prefix.p, v->add_prefix.n);
        memcpy(to + v->add_prefix.n, s.p, s.n);
        s = (kd_str){to, v->add_prefix.n + s.n};
    }
    *out = s;
    return KD_OK;
}

static kd_rc not_a(row_ctx *c, const kd_csv_value *v, kd_reason reason, kd_str s, const char *what)
{
    return kd_bad(c->err, reason, "%s: \"%.*s\" is not %s", v->label, (int)(s.n > 60 ? 60 : s.n),
                  s.p, what);
}

/* A null leaves *out alone: it holds the schema's default. */
static kd_rc value_real(row_ctx *c, const kd_csv_value *v, double *out)
{
    kd_str s = KD_STR_NULL;
    KD_TRY(value_text(c, v, &s));
    if (s.p == NULL)
        return KD_OK;
    double x = 0;
    if (!kd_csv_number(s, c->b->map->decimal, &x) || !isfinite(x))
        return not_a(c, v, KD_REASON_NUMBER, s, "a finite number");
    if (v->absolute)
        x = fabs(x);
    if (x < 0)
        return not_a(c, v, KD_REASON_NUMBER, s, "zero or more");
    *out = x == 0 ? 0 : x; /* no minus zero */
    return KD_OK;
}

static kd_rc value_int(row_ctx *c, const kd_csv_value *v, int64_t *out)
{
    double x = -1;
    KD_TRY(value_real(c, v, &x));
    if (x == -1)
        return KD_OK;
    if (x != floor(x) || x > 0x1p53)
        return kd_bad(c->err, KD_REASON_NUMBER, "%s: %g is not a whole number", v->label, x);
    *out = (int64_t)x;
    return KD_OK;
}

static kd_rc value_bool(row_ctx *c, const kd_csv_value *v, bool *out)
{
    static const char *const yes[] = {"true", "yes", "1", "t", "y"};
    static const char *const no[] = {"false", "no", "0", "f", "n"};
    kd_str s = KD_STR_NULL;
    KD_TRY(value_text(c, v, &s));
    if (s.p == NULL)
        return KD_OK;
    for (size_t i = 0; i < 5; i++) {
        if (s.n == strlen(yes[i]) && strncasecmp(s.p, yes[i], s.n) == 0) {
            *out = true;
            return KD_OK;
        }
        if (s.n == strlen(no[i]) && strncasecmp(s.p, no[i], s.n) == 0) {
            *out = false;
            return KD_OK;
        }
    }
    return not_a(c, v, KD_REASON_FIELD, s, "true or false");
}

static kd_rc value_time(row_ctx *c, const kd_csv_value *v, kd_ms *out)
{
    if (v->constant.p != NULL) {
        *out = v->constant_time;
        return KD_OK;
    }
    kd_str s = KD_STR_NULL;
    KD_TRY(value_text(c, v, &s));
    if (s.p == NULL)
        return kd_bad(c->err, KD_REASON_TIME, "%s is empty, a time is wanted", v->label);
    return kd_timefmt_parse(&v->timefmt, s, out, c->err);
}

static kd_rc value_tags(row_ctx *c, const kd_csv_value *v, kd_record *r)
{
    size_t n = 0;
    kd_str *tags = NULL;
    for (size_t i = 0; i < v->n_columns || (i == 0 && v->constant.p != NULL); i++) {
        kd_str s = v->constant;
        if (s.p == NULL)
            KD_TRY(column_text(c, v, v->columns[i], &s));
        if (s.p == NULL)
            continue;
        size_t pieces = 1;
        for (uint32_t k = 0; k < s.n && v->split != '\0'; k++)
            pieces += s.p[k] == v->split;
        kd_str *more = kd_arena_calloc(c->a, n + pieces, sizeof *more);
        if (more == NULL)
            return no_memory(c->err);
        if (n > 0)
            memcpy(more, tags, n * sizeof *more);
        tags = more;
        while (s.n > 0) {
            const char *cut = v->split == '\0' ? NULL : memchr(s.p, v->split, s.n);
            kd_str tag = trim((kd_str){s.p, cut == NULL ? s.n : (uint32_t)(cut - s.p)});
            uint32_t used = cut == NULL ? s.n : (uint32_t)(cut - s.p) + 1;
            s = (kd_str){s.p + used, s.n - used};
            if (tag.n > 0)
                tags[n++] = tag;
        }
    }
    r->tags = n == 0 ? NULL : tags;
    r->n_tags = (uint32_t)n;
    return KD_OK;
}

static kd_rc value_action(row_ctx *c, const kd_csv_value *v, kd_action *out)
{
    kd_str s = KD_STR_NULL;
    KD_TRY(value_text(c, v, &s));
    for (int a = 0; a < KD_ACTIONS && s.p != NULL; a++) {
        if (kd_str_eq(s, kd_str_of(kd_action_name((kd_action)a)))) {
            *out = (kd_action)a;
            return KD_OK;
        }
    }
    if (s.p == NULL)
        return v->is_set ? kd_bad(c->err, KD_REASON_FIELD, "%s is empty", v->label) : KD_OK;
    return not_a(c, v, KD_REASON_FIELD, s, "an action; the mapping needs values: for it");
}

/* ---- records ---- */

static kd_rc fill_event(row_ctx *c, const kd_csv_rule *rule, kd_record *r)
{
    const kd_csv_value *f = rule->fields;
    KD_TRY(value_text(c, &f[KD_F_USER_ID], &r->user_id));
    KD_TRY(value_text(c, &f[KD_F_SESSION_ID], &r->session_id));
    if (r->user_id.p == NULL && r->session_id.p == NULL)
        return kd_bad(c->err, KD_REASON_NO_SHOPPER, "the row names no shopper");
    KD_TRY(value_text(c, &f[KD_F_ITEM_ID], &r->item_id));
    KD_TRY(value_text(c, &f[KD_F_EVENT_ID], &r->event_id));
    KD_TRY(value_time(c, &f[KD_F_TIME], &r->time));
    if (rule->type == KD_BROWSE) {
        KD_TRY(value_action(c, &f[KD_F_ACTION], &r->action));
        return value_int(c, &f[KD_F_DWELL_MS], &r->dwell_ms);
    }
    KD_TRY(value_text(c, &f[KD_F_ORDER_ID], &r->order_id));
    KD_TRY(value_int(c, &f[KD_F_QUANTITY], &r->quantity));
    KD_TRY(value_real(c, &f[KD_F_PRICE], &r->price));
    KD_TRY(value_text(c, &f[KD_F_CURRENCY], &r->currency));
    if (rule->has_cancelled_when) {
        bool is_cancelled = false;
        KD_TRY(all_hold(c, &rule->cancelled_when, &is_cancelled));
        r->action = is_cancelled ? KD_CANCELLED : KD_PAID;
        return KD_OK;
    }
    return value_action(c, &f[KD_F_STATUS], &r->action);
}

static kd_rc fill_catalog(row_ctx *c, const kd_csv_rule *rule, kd_record *r)
{
    const kd_csv_value *f = rule->fields;
    KD_TRY(value_text(c, &f[KD_F_ITEM_ID], &r->item_id));
    KD_TRY(value_time(c, &f[KD_F_TIME], &r->time));
    KD_TRY(value_text(c, &f[KD_F_TITLE], &r->title));
    KD_TRY(value_text(c, &f[KD_F_DESCRIPTION], &r->description));
    KD_TRY(value_text(c, &f[KD_F_CATEGORY], &r->category));
    KD_TRY(value_text(c, &f[KD_F_BRAND], &r->brand));
    KD_TRY(value_real(c, &f[KD_F_PRICE], &r->price));
    KD_TRY(value_tags(c, &f[KD_F_TAGS], r));
    KD_TRY(value_bool(c, &f[KD_F_AVAILABLE], &r->available));
    return value_bool(c, &f[KD_F_REMOVED], &r->removed);
}

static kd_rc fill_forget(row_ctx *c, const kd_csv_rule *rule, kd_record *r)
{
    KD_TRY(value_text(c, &rule->fields[KD_F_USER_ID], &r->user_id));
    KD_TRY(value_text(c, &rule->fields[KD_F_EVENT_ID], &r->event_id));
    return value_time(c, &rule->fields[KD_F_TIME], &r->time);
}

/* ---- rows ---- */

static kd_rc rule_record(row_ctx *c, const kd_csv_rule *rule, kd_ms latest, kd_record *r)
{
    kd_record_init(r, rule->type);
    if (rule->type == KD_CATALOG)
        KD_TRY(fill_catalog(c, rule, r));
    else if (rule->type == KD_FORGET)
        KD_TRY(fill_forget(c, rule, r));
    else
        KD_TRY(fill_event(c, rule, r));
    r->ts = r->time;
    return kd_record_check(r, latest, c->err);
}

static kd_rc apply_rules(row_ctx *c, kd_ms latest, kd_csv_result *out, bool *out_matched,
                         bool *out_has_event, bool *out_no_shopper)
{
    const kd_csv_map *map = c->b->map;
    for (size_t i = 0; i < map->n_rules; i++) {
        const kd_csv_rule *rule = &map->rules[i];
        bool holds = false;
        KD_TRY(all_hold(c, &rule->when, &holds));
        if (!holds)
            continue;
        *out_matched = true;
        kd_record *r = &out->records[out->n];
        kd_err why;
        kd_err *err = c->err;
        c->err = &why;
        kd_rc rc = rule_record(c, rule, latest, r);
        c->err = err;
        if (rc == KD_EDATA && why.reason == KD_REASON_NO_SHOPPER) {
            *out_no_shopper = true;
            continue;
        }
        if (rc != KD_OK) {
            if (err != NULL)
                *err = why;
            return rc;
        }
        if (rule->type == KD_CATALOG && !rule->every_row && kd_csv_is_unchanged(c->b, r))
            continue;
        *out_has_event = *out_has_event || rule->type != KD_CATALOG;
        out->n++;
    }
    return KD_OK;
}

kd_rc kd_csv_row_records(kd_csv_bound *b, const kd_csv_row *row, kd_ms latest, kd_arena *a,
                         kd_csv_result *out, kd_err *err)
{
    row_ctx c = {b, row, a, err};
    bool matched = false, has_event = false, no_shopper = false;
    out->n = 0;
    out->is_ignored = false;
    kd_rc rc = apply_rules(&c, latest, out, &matched, &has_event, &no_shopper);
    if (rc != KD_OK) {
        out->n = 0; /* a bad row is one dead letter and nothing beside it */
        return rc;
    }
    for (size_t i = 0; i < out->n; i++)
        if (out->records[i].type == KD_CATALOG)
            KD_TRY(kd_csv_remember(b, &out->records[i], err));
    if (no_shopper && !has_event && !b->map->ignores_no_shopper)
        return kd_bad(err, KD_REASON_NO_SHOPPER, "the row names no shopper");
    if (!matched && b->map->reports_others)
        return kd_bad(err, KD_REASON_IGNORED, "the mapping has no record for such a row");
    out->is_ignored = b->map->has_events ? !has_event : out->n == 0;
    return KD_OK;
}
