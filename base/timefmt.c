#include "base/timefmt.h"

#include <stdio.h>
#include <string.h>

/* Hinnant 2013: days of the shifted year that begins on 1 March, in eras of 400 years. */
int64_t kd_days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (int64_t)(m > 2 ? m - 3 : m + 9) + 2) / 5 + (int64_t)d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

static unsigned days_in_month(int64_t y, unsigned m)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

/* What a text has told so far. */
typedef struct parts {
    int64_t year;
    unsigned month, day, hour, minute, second, ms;
    bool has_zone, has_pm, is_pm;
    kd_ms zone_ms;
} parts;

typedef struct cursor {
    const char *p, *end;
} cursor;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* From min to max digits. */
static bool take_number(cursor *c, int min, int max, unsigned *out)
{
    unsigned v = 0;
    int n = 0;
    while (n < max && c->p < c->end && is_digit(*c->p)) {
        v = v * 10 + (unsigned)(*c->p++ - '0');
        n++;
    }
    if (n < min)
        return false;
    *out = v;
    return true;
}

static bool take_char(cursor *c, char want)
{
    if (c->p == c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

/* 1 to 9 digits after the point, cut to milliseconds. */
static bool take_fraction(cursor *c, unsigned *out_ms)
{
    unsigned ms = 0;
    int n = 0;
    while (c->p < c->end && is_digit(*c->p)) {
        if (++n > 9)
            return false;
        if (n <= 3)
            ms = ms * 10 + (unsigned)(*c->p - '0');
        c->p++;
    }
    if (n == 0)
        return false;
    for (int i = n; i < 3; i++)
        ms *= 10;
    *out_ms = ms;
    return true;
}

static bool take_zone(cursor *c, kd_ms *out_ms)
{
    if (take_char(c, 'Z') || take_char(c, 'z')) {
        *out_ms = 0;
        return true;
    }
    bool minus = take_char(c, '-');
    if (!minus && !take_char(c, '+'))
        return false;
    unsigned h = 0, m = 0;
    if (!take_number(c, 2, 2, &h))
        return false;
    bool colon = take_char(c, ':');
    bool more = c->p < c->end && is_digit(*c->p);
    if (colon || more)
        if (!take_number(c, 2, 2, &m))
            return false;
    if (h > 23 || m > 59)
        return false;
    kd_ms ms = ((kd_ms)h * 60 + m) * 60000;
    *out_ms = minus ? -ms : ms;
    return true;
}

static bool to_ms(const parts *t, kd_ms zone_ms, kd_ms *out)
{
    if (t->month < 1 || t->month > 12 || t->day < 1 || t->day > days_in_month(t->year, t->month) ||
        t->hour > 23 || t->minute > 59 || t->second > 59)
        return false;
    kd_ms day = kd_days_from_civil(t->year, t->month, t->day) * KD_MS_DAY;
    kd_ms in_day = (((kd_ms)t->hour * 60 + t->minute) * 60 + t->second) * 1000 + t->ms;
    *out = day + in_day - (t->has_zone ? t->zone_ms : zone_ms);
    return true;
}

static bool scan_iso(kd_str s, kd_ms zone_ms, kd_ms *out)
{
    cursor c = {s.p, s.p + s.n};
    parts t = {0};
    unsigned year = 0;
    if (!take_number(&c, 4, 4, &year) || !take_char(&c, '-') || !take_number(&c, 2, 2, &t.month) ||
        !take_char(&c, '-') || !take_number(&c, 2, 2, &t.day))
        return false;
    t.year = year;
    if (c.p == c.end)
        return to_ms(&t, zone_ms, out);
    if (!take_char(&c, 'T') && !take_char(&c, 't') && !take_char(&c, ' '))
        return false;
    if (!take_number(&c, 2, 2, &t.hour) || !take_char(&c, ':') || !take_number(&c, 2, 2, &t.minute))
        return false;
    if (take_char(&c, ':')) {
        if (!take_number(&c, 2, 2, &t.second))
            return false;
        if ((take_char(&c, '.') || take_char(&c, ',')) && !take_fraction(&c, &t.ms))
            return false;
    }
    if (c.p != c.end) {
        t.has_zone = true;
        if (!take_zone(&c, &t.zone_ms))
            return false;
    }
    return c.p == c.end && to_ms(&t, zone_ms, out);
}

/* "[-]digits[.digits]" times `unit_ms`, cut towards the past. */
static bool scan_count(kd_str s, kd_ms unit_ms, kd_ms *out)
{
    cursor c = {s.p, s.p + s.n};
    bool minus = take_char(&c, '-');
    int64_t v = 0;
    int n = 0;
    while (c.p < c.end && is_digit(*c.p) && n < 16) {
        v = v * 10 + (*c.p++ - '0');
        n++;
    }
    if (n == 0 || (c.p < c.end && is_digit(*c.p)))
        return false;
    if (__builtin_mul_overflow(v, unit_ms, &v))
        return false;
    bool rest = false; /* something below a millisecond was cut off */
    if (take_char(&c, '.')) {
        kd_ms place = unit_ms;
        int digits = 0;
        while (c.p < c.end && is_digit(*c.p)) {
            int d = *c.p++ - '0';
            digits++;
            if (place >= 10) {
                place /= 10;
                v += place * d;
            } else if (d != 0) {
                rest = true;
            }
        }
        if (digits == 0)
            return false;
    }
    if (c.p != c.end)
        return false;
    *out = minus ? -v - (rest ? 1 : 0) : v;
    return true;
}

/* Index from 1 of the month whose English name (in full, or its first three letters) stands here.
 */
static bool take_month_name(cursor *c, unsigned *out)
{
    static const char *const names[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};
    for (unsigned m = 0; m < 12; m++) {
        size_t n = 0;
        while (c->p + n < c->end && names[m][n] != '\0' && (c->p[n] | 0x20) == names[m][n])
            n++;
        if (n >= 3) {
            c->p += names[m][n] == '\0' ? n : 3;
            *out = m + 1;
            return true;
        }
    }
    return false;
}

static bool take_part(cursor *c, char what, parts *t)
{
    unsigned v = 0;
    switch (what) {
    case 'Y':
        if (!take_number(c, 4, 4, &v))
            return false;
        t->year = v;
        return true;
    case 'y':
        if (!take_number(c, 2, 2, &v))
            return false;
        t->year = v >= 69 ? 1900 + v : 2000 + v;
        return true;
    case 'm':
        return take_number(c, 1, 2, &t->month);
    case 'd':
        return take_number(c, 1, 2, &t->day);
    case 'b':
        return take_month_name(c, &t->month);
    case 'H':
        return take_number(c, 1, 2, &t->hour);
    case 'I':
        return take_number(c, 1, 2, &t->hour) && t->hour >= 1 && t->hour <= 12;
    case 'p':
        if (c->end - c->p < 2 || (c->p[1] | 0x20) != 'm')
            return false;
        t->has_pm = true;
        t->is_pm = (c->p[0] | 0x20) == 'p';
        c->p += 2;
        return t->is_pm || (c->p[-2] | 0x20) == 'a';
    case 'M':
        return take_number(c, 1, 2, &t->minute);
    case 'S':
        return take_number(c, 1, 2, &t->second);
    case 'f':
        return take_fraction(c, &t->ms);
    case 'z':
        t->has_zone = true;
        return take_zone(c, &t->zone_ms);
    default:
        return false;
    }
}

static bool scan_pattern(const kd_timefmt *f, kd_str s, kd_ms *out)
{
    cursor c = {s.p, s.p + s.n};
    parts t = {0};
    for (const char *q = f->pattern; *q != '\0'; q++) {
        if (*q == '%' && q[1] != '%') {
            if (!take_part(&c, *++q, &t))
                return false;
        } else if (*q == ' ') {
            if (!take_char(&c, ' '))
                return false;
            while (take_char(&c, ' ')) {
            }
        } else {
            q += *q == '%';
            if (!take_char(&c, *q))
                return false;
        }
    }
    if (t.has_pm)
        t.hour = t.hour % 12 + (t.is_pm ? 12 : 0);
    return c.p == c.end && to_ms(&t, f->zone_ms, out);
}

static kd_rc bad_time(kd_err *err, kd_str s, const char *format)
{
    kd_str head = {s.p, s.n > 40 ? 40 : s.n};
    return kd_bad(err, KD_REASON_TIME, "\"" KD_STR_FMT "\" is not a time of the form %s",
                  KD_STR_ARG(head), format);
}

kd_rc kd_time_parse_iso(kd_str s, kd_ms *out, kd_err *err)
{
    return scan_iso(s, 0, out) ? KD_OK : bad_time(err, s, "2010-12-01T08:26:00.000Z");
}

kd_rc kd_timefmt_parse(const kd_timefmt *f, kd_str s, kd_ms *out, kd_err *err)
{
    switch (f->kind) {
    case KD_TIMEFMT_ISO:
        return scan_iso(s, f->zone_ms, out) ? KD_OK : bad_time(err, s, "2010-12-01T08:26:00.000Z");
    case KD_TIMEFMT_UNIX:
        return scan_count(s, 1000, out) ? KD_OK : bad_time(err, s, "seconds since 1970");
    case KD_TIMEFMT_UNIX_MS:
        return scan_count(s, 1, out) ? KD_OK : bad_time(err, s, "milliseconds since 1970");
    case KD_TIMEFMT_PATTERN:
        break;
    }
    return scan_pattern(f, s, out) ? KD_OK : bad_time(err, s, f->pattern);
}

/* Copies the pattern with its short forms spelled out. */
static bool expand(const char *format, char *to, size_t cap)
{
    size_t n = 0;
    for (const char *p = format; *p != '\0'; p++) {
        char one[3] = {*p, '\0', '\0'};
        const char *add = one;
        if (*p == '%') {
            switch (*++p) {
            case 'F':
                add = "%Y-%m-%d";
                break;
            case 'T':
                add = "%H:%M:%S";
                break;
            case 'R':
                add = "%H:%M";
                break;
            case 'D':
                add = "%m/%d/%y";
                break;
            case 'e':
                add = "%d";
                break;
            case 'B':
                add = "%b";
                break;
            case '\0':
                return false;
            default:
                one[1] = *p;
            }
        } else if (*p == '\t') {
            one[0] = ' ';
        }
        if (add[0] == ' ' && n > 0 && to[n - 1] == ' ')
            continue;
        size_t len = strlen(add);
        if (n + len >= cap)
            return false;
        memcpy(to + n, add, len);
        n += len;
    }
    to[n] = '\0';
    return true;
}

static kd_rc check_pattern(const char *pattern, const char *format, kd_err *err)
{
    unsigned seen[256] = {0};
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%')
            continue;
        unsigned char what = (unsigned char)*++p;
        if (strchr("YymdbHIpMSfz%", what) == NULL)
            return kd_fail(err, KD_ECONFIG,
                           "time format \"%s\": %%%c is none of Y y m d e b B H I "
                           "p M S f z F T R D",
                           format, what);
        if (what != '%' && ++seen[what] > 1)
            return kd_fail(err, KD_ECONFIG, "time format \"%s\" names %%%c twice", format, what);
    }
    if (seen['Y'] + seen['y'] != 1 || seen['m'] + seen['b'] != 1 || seen['d'] != 1 ||
        seen['H'] + seen['I'] > 1)
        return kd_fail(err, KD_ECONFIG,
                       "time format \"%s\" must name one year, month and day, and at most one hour",
                       format);
    if (seen['I'] != seen['p'])
        return kd_fail(err, KD_ECONFIG, "time format \"%s\": %%I and %%p go together", format);
    return KD_OK;
}

kd_rc kd_timefmt_init(kd_timefmt *f, const char *format, const char *zone, kd_err *err)
{
    kd_timefmt t = {0};
    if (zone != NULL && strcmp(zone, "UTC") != 0) {
        cursor c = {zone, zone + strlen(zone)};
        if (!take_zone(&c, &t.zone_ms) || c.p != c.end)
            return kd_fail(err, KD_ECONFIG, "zone \"%s\" is not UTC or an offset such as +08:00",
                           zone);
    }
    if (strcmp(format, "iso") == 0) {
        t.kind = KD_TIMEFMT_ISO;
    } else if (strcmp(format, "unix") == 0) {
        t.kind = KD_TIMEFMT_UNIX;
    } else if (strcmp(format, "unix_ms") == 0) {
        t.kind = KD_TIMEFMT_UNIX_MS;
    } else {
        t.kind = KD_TIMEFMT_PATTERN;
        if (strchr(format, '%') == NULL)
            return kd_fail(err, KD_ECONFIG,
                           "time format \"%s\" is not iso, unix, unix_ms or a pattern such as "
                           "%%Y-%%m-%%d %%H:%%M:%%S",
                           format);
        if (!expand(format, t.pattern, sizeof t.pattern))
            return kd_fail(err, KD_ECONFIG,
                           "time format \"%s\" is longer than %zu characters or ends in %%", format,
                           sizeof t.pattern - 1);
        KD_TRY(check_pattern(t.pattern, format, err));
    }
    *f = t;
    return KD_OK;
}

static void put(char *to, int64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

size_t kd_time_iso(kd_ms t, char out[32])
{
    int64_t days = t / KD_MS_DAY;
    int64_t in_day = t % KD_MS_DAY;
    if (in_day < 0) {
        in_day += KD_MS_DAY;
        days--;
    }
    int64_t y = 0;
    unsigned m = 0, d = 0;
    civil_from_days(days, &y, &m, &d);
    if (y < 0 || y > 9999)
        return (size_t)snprintf(out, 32, "%lld", (long long)t);
    memcpy(out, "0000-00-00T00:00:00.000Z", 25);
    put(out, y, 4);
    put(out + 5, m, 2);
    put(out + 8, d, 2);
    put(out + 11, in_day / 3600000, 2);
    put(out + 14, in_day / 60000 % 60, 2);
    put(out + 17, in_day / 1000 % 60, 2);
    put(out + 20, in_day % 1000, 3);
    return 24;
}
