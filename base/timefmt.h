/* timefmt.h - times as text: ISO 8601 and strptime-like formats to kd_ms and back.
 *
 * Civil-date arithmetic is our own (proleptic Gregorian, years 0000 to 9999): no libc time zone, no
 * locale. A text without a zone is in the format's zone, UTC unless said. Fractions are cut to
 * milliseconds (towards the past, before 1970 too). A second of 60 is refused.
 * @thread any: no state.
 */
#ifndef KD_TIMEFMT_H
#define KD_TIMEFMT_H

#include "base/kd.h"

/* Days since 1970-01-01 of a civil date (Hinnant 2013, "chrono-compatible low-level date
 * algorithms"); m 1..12, d 1..31 are not checked. */
int64_t kd_days_from_civil(int64_t y, unsigned m, unsigned d);

/* "2010-12-01", "2010-12-01T08:26", "2010-12-01 08:26:00.123", each time with or without "Z",
 * "+hh", "+hh:mm" or "+hhmm"; surrounding blanks are not allowed. KD_EDATA (reason "time"). */
KD_CHECK kd_rc kd_time_parse_iso(kd_str s, kd_ms *out, kd_err *err);

/* "2010-12-01T08:26:00.123Z"; always 24 characters for the years 0000 to 9999, outside of them the
 * number of milliseconds. `out` gets a NUL; returns the length. */
size_t kd_time_iso(kd_ms t, char out[32]);

/* A compiled format. */
typedef enum kd_timefmt_kind {
    KD_TIMEFMT_ISO,
    KD_TIMEFMT_UNIX,    /* seconds since 1970, fraction allowed */
    KD_TIMEFMT_UNIX_MS, /* milliseconds since 1970 */
    KD_TIMEFMT_PATTERN,
} kd_timefmt_kind;

typedef struct kd_timefmt {
    kd_timefmt_kind kind;
    kd_ms zone_ms;    /* east of UTC; for texts that name no zone */
    char pattern[64]; /* PATTERN only */
} kd_timefmt;

/* `format` is "iso", "unix", "unix_ms", or a pattern of literal characters, blanks (any run of
 * blanks) and
 *   %Y year  %y year 69-99 -> 19xx, 00-68 -> 20xx  %m month  %d %e day  %b %B English month name
 *   %H hour  %I hour 1-12  %p AM/PM  %M minute  %S second  %f fraction, 1 to 9 digits
 *   %z zone (Z, +hh, +hhmm, +hh:mm)  %F = %Y-%m-%d  %T = %H:%M:%S  %R = %H:%M  %D = %m/%d/%y  %%
 * `zone` is NULL, "UTC", "Z" or an offset such as "+08:00". KD_ECONFIG for anything else, for a
 * pattern without year, month and day, and for one that names a part twice. */
KD_CHECK kd_rc kd_timefmt_init(kd_timefmt *f, const char *format, const char *zone, kd_err *err);
/* KD_EDATA (reason "time") if s is not a time of that format or not a date of the calendar. */
KD_CHECK kd_rc kd_timefmt_parse(const kd_timefmt *f, kd_str s, kd_ms *out, kd_err *err);

#endif
