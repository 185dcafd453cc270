/* Times as text, against libc's own calendar and against a list of what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/timefmt.h"

static kd_ms iso(const char *s)
{
    kd_ms t = -1;
    kd_err err = {0};
    if (kd_time_parse_iso(kd_str_of(s), &t, &err) != KD_OK)
        fail_msg("%s: %s", s, err.msg);
    return t;
}

static void iso_forms(void **state)
{
    (void)state;
    assert_int_equal(iso("1970-01-01"), 0);
    assert_int_equal(iso("2010-12-01"), INT64_C(1291161600000));
    assert_int_equal(iso("2010-12-01T08:26"), INT64_C(1291191960000));
    assert_int_equal(iso("2010-12-01 08:26:00"), INT64_C(1291191960000));
    assert_int_equal(iso("2010-12-01T08:26:00Z"), INT64_C(1291191960000));
    assert_int_equal(iso("2010-12-01T08:26:00.5"), INT64_C(1291191960500));
    assert_int_equal(iso("2010-12-01T08:26:00,123456789Z"), INT64_C(1291191960123));
    assert_int_equal(iso("2010-12-01T08:26:00+08:00"), INT64_C(1291163160000));
    assert_int_equal(iso("2010-12-01T08:26:00-0330"), INT64_C(1291204560000));
    assert_int_equal(iso("2010-12-01T08:26+08"), INT64_C(1291163160000));
    assert_int_equal(iso("2000-02-29"), INT64_C(951782400000));
    assert_int_equal(iso("0000-01-01"), INT64_C(-62167219200000));
    assert_int_equal(iso("9999-12-31T23:59:59.999Z"), INT64_C(253402300799999));
}

static void iso_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2010",
        "2010-12",
        "2010-13-01",
        "2010-00-10",
        "2010-12-32",
        "2010-02-29",
        "1900-02-29",
        "2010-12-01T",
        "2010-12-01T8:26",
        "2010-12-01T24:00",
        "2010-12-01T08:60",
        "2010-12-01T08:26:60",
        "2010-12-01T08:26:00.",
        "2010-12-01T08:26:00.1234567890",
        "2010-12-01T08:26:00+",
        "2010-12-01T08:26:00+8",
        "2010-12-01T08:26:00+24:00",
        "2010-12-01T08:26:00+08:60",
        "2010-12-01T08:26:00Zx",
        " 2010-12-01",
        "2010-12-01 ",
        "2010/12/01",
        "-010-12-01",
        "2010-12-01Z ",
        "2010-12-01T08:26:00+08:",
        "١٢٣٤-01-01",
        "99999-01-01",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kd_ms t = 42;
        kd_err err = {0};
        if (kd_time_parse_iso(kd_str_of(bad[i]), &t, &err) != KD_EDATA)
            fail_msg("\"%s\" was taken for %lld", bad[i], (long long)t);
        assert_int_equal(err.reason, KD_REASON_TIME);
        assert_int_equal(t, 42);
    }
}

/* Any time prints and reads back, and names the day that libc names. */
static void round_trip_against_libc(void **state)
{
    (void)state;
    const uint64_t seed = 7;
    print_message("seed %llu\n", (unsigned long long)seed);
    kd_rng r;
    kd_rng_init(&r, seed);
    for (int i = 0; i < 200000; i++) {
        kd_ms t = kd_rng_between(&r, INT64_C(-62167219200000), INT64_C(253402300799999));
        char text[32], want[40];
        assert_int_equal(kd_time_iso(t, text), 24);
        time_t s = (time_t)((t - (t % 1000 + 1000) % 1000) / 1000);
        struct tm tm;
        assert_non_null(gmtime_r(&s, &tm));
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (int)((t % 1000 + 1000) % 1000));
        assert_string_equal(text, want);
        assert_int_equal(iso(text), t);
    }
    char far[32];
    kd_time_iso(INT64_C(253402300800000), far);
    assert_string_equal(far, "253402300800000");
}

static kd_rc with(const char *format, const char *zone, const char *text, kd_ms *out)
{
    kd_timefmt f;
    kd_err err = {0};
    if (kd_timefmt_init(&f, format, zone, &err) != KD_OK)
        fail_msg("%s: %s", format, err.msg);
    return kd_timefmt_parse(&f, kd_str_of(text), out, &err);
}

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *format, *zone, *text, *same;
    } rows[] = {
        {"%Y-%m-%d %H:%M:%S", NULL, "2010-12-01 08:26:00", "2010-12-01T08:26:00Z"},
        {"%Y-%m-%d %H:%M:%S", "+08:00", "2010-12-01 08:26:00", "2010-12-01T00:26:00Z"},
        {"%F %T", "UTC", "2010-12-01   08:26:07", "2010-12-01T08:26:07Z"},
        {"%m/%d/%Y %H:%M", NULL, "12/1/2010 8:26", "2010-12-01T08:26:00Z"},
        {"%D %R", NULL, "12/01/10 08:26", "2010-12-01T08:26:00Z"},
        {"%d %b %Y %I:%M %p", NULL, "1 Dec 2010 12:05 am", "2010-12-01T00:05:00Z"},
        {"%e %B %y %I:%M%p", NULL, "31 december 69 12:05PM", "1969-12-31T12:05:00Z"},
        {"%Y%%%m%d", NULL, "2010%1201", "2010-12-01T00:00:00Z"},
        {"%Y-%m-%dT%H:%M:%S.%f%z", "+01:00", "2010-12-01T08:26:00.25-02:00",
         "2010-12-01T10:26:00.250Z"},
        {"iso", "+02:00", "2010-12-01 08:26", "2010-12-01T06:26:00Z"},
        {"unix", NULL, "1430623510", "2015-05-03T03:25:10Z"},
        {"unix", NULL, "1396437466.94", "2014-04-02T11:17:46.940Z"},
        {"unix", NULL, "1.9999", "1970-01-01T00:00:01.999Z"},
        {"unix", NULL, "-0.0001", "1969-12-31T23:59:59.999Z"},
        {"unix_ms", NULL, "1430623510001", "2015-05-03T03:25:10.001Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kd_ms t = 0;
        if (with(rows[i].format, rows[i].zone, rows[i].text, &t) != KD_OK)
            fail_msg("%s does not read %s", rows[i].format, rows[i].text);
        if (t != iso(rows[i].same))
            fail_msg("%s of %s is %lld", rows[i].text, rows[i].format, (long long)t);
    }
}

static void patterns_refused(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text;
    } rows[] = {
        {"%Y-%m-%d", "2010-12-01 "},
        {"%Y-%m-%d", "10-12-01"},
        {"%Y-%m-%d %H:%M", "2010-12-01 25:00"},
        {"%d %b %Y", "1 Foo 2010"},
        {"%F %I:%M %p", "2010-12-01 13:00 PM"},
        {"%F %I:%M %p", "2010-12-01 10:00 XM"},
        {"unix", ""},
        {"unix", "12e3"},
        {"unix", "."},
        {"unix", "1."},
        {"unix", "0x10"},
        {"unix", "99999999999999999999"},
        {"unix_ms", "12345678901234567"},
        {"unix", "nan"},
        {"iso", "1430623510"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kd_ms t = 0;
        if (with(rows[i].format, NULL, rows[i].text, &t) != KD_EDATA)
            fail_msg("%s took %s", rows[i].format, rows[i].text);
    }
    static const struct {
        const char *format, *zone;
    } bad[] = {
        {"%Y-%m", NULL},
        {"%Y-%m-%d %Y", NULL},
        {"%Y-%m-%d %q", NULL},
        {"seconds", NULL},
        {"%Y-%m-%d %I", NULL},
        {"%Y-%m-%d %", NULL},
        {"%Y-%b-%m-%d", NULL},
        {"%F", "Berlin"},
        {"%F", "+25:00"},
        {"%F aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kd_timefmt f;
        kd_err err = {0};
        if (kd_timefmt_init(&f, bad[i].format, bad[i].zone, &err) != KD_ECONFIG)
            fail_msg("format %s was taken", bad[i].format);
        assert_true(err.msg[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_forms),
        cmocka_unit_test(iso_refused),
        cmocka_unit_test(round_trip_against_libc),
        cmocka_unit_test(patterns),
        cmocka_unit_test(patterns_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
