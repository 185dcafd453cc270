/* verb_generate.c - a seeded shop's events as JSON lines: the same seed, the same bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "cli/cli.h"
#include "consumers/sources.h"
#include "schemas/json.h"

static const char help[] =
    "usage: kindred generate --out FILE.jsonl|- [flags]\n\n"
    "  --seed N --shoppers N --items N --events N     (default 1, 20000, 5000, 200000)\n"
    "  --start TIME            first event (default 2024-01-01)\n"
    "  --days N                from the first event to the last (default 7)\n"
    "  --late-share X          of events: late, out of order (default 0)\n"
    "  --duplicate-share X     of events: come twice (default 0)\n"
    "  --anonymous-share X     of sessions: without a user id\n"
    "  --no-catalog            events only\n";

static kd_rc share(const kd_flag *flags, const char *name, double *out, kd_err *err)
{
    const char *text = kd_flag_value(flags, name);
    if (text == NULL)
        return KD_OK;
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x >= 0 && x <= 1))
        return kd_fail(err, KD_ECONFIG, "--%s: \"%s\" is not a share from 0 to 1", name, text);
    *out = x;
    return KD_OK;
}

static kd_rc options(const kd_flag *flags, kd_generator_options *o, kd_err *err)
{
    int64_t seed, days;
    *o = (kd_generator_options){0};
    kd_generator_defaults(o);
    KD_TRY(kd_flag_int(flags, "seed", 1, 0, &seed, err));
    KD_TRY(kd_flag_int(flags, "shoppers", o->shoppers, 1, &o->shoppers, err));
    KD_TRY(kd_flag_int(flags, "items", o->items, 1, &o->items, err));
    KD_TRY(kd_flag_int(flags, "events", o->events, 0, &o->events, err));
    KD_TRY(kd_flag_int(flags, "days", o->span_ms / KD_MS_DAY, 1, &days, err));
    KD_TRY(share(flags, "late-share", &o->late_share, err));
    KD_TRY(share(flags, "duplicate-share", &o->duplicate_share, err));
    KD_TRY(share(flags, "anonymous-share", &o->anonymous_share, err));
    o->seed = (uint64_t)seed;
    o->span_ms = days * KD_MS_DAY;
    o->has_catalog = !kd_flag_given(flags, "no-catalog");
    const char *start = kd_flag_value(flags, "start");
    if (start != NULL && kd_time_parse_iso(kd_str_of(start), &o->start, NULL) != KD_OK)
        return kd_fail(err, KD_ECONFIG, "--start: \"%s\" is no time such as 2024-01-31", start);
    return KD_OK;
}

static kd_rc write_all(kd_source *s, FILE *to, int64_t by_type[KD_RECORD_TYPES], kd_err *err)
{
    kd_buf line = {0};
    kd_record r;
    kd_rc rc = s->kind->start(s, err);
    while (rc == KD_OK && (rc = s->kind->next(s, &r, err)) == KD_OK) {
        kd_buf_clear(&line);
        kd_json_event_print(&r, &line);
        kd_buf_addc(&line, '\n');
        by_type[r.type]++;
        if (line.failed || fwrite(line.p, 1, line.n, to) != line.n)
            rc = kd_fail(err, KD_EIO, "cannot write: %s", strerror(errno));
        s->kind->release(s);
    }
    kd_buf_dispose(&line);
    if (rc == KD_END && fflush(to) != 0)
        return kd_fail(err, KD_EIO, "cannot write: %s", strerror(errno));
    return rc == KD_END ? KD_OK : rc;
}

static kd_rc generate(const kd_flag *flags, kd_err *err)
{
    kd_generator_options o;
    kd_source *s = NULL;
    int64_t by_type[KD_RECORD_TYPES] = {0};
    const char *out = kd_flag_value(flags, "out");
    if (out == NULL)
        return kd_fail(err, KD_ECONFIG, "--out FILE.jsonl or - is missing");
    KD_TRY(options(flags, &o, err));
    KD_TRY(kd_generator_new(&o, &s, err));
    FILE *to = strcmp(out, "-") == 0 ? stdout : fopen(out, "we");
    kd_rc rc = to == NULL ? kd_fail(err, KD_EIO, "cannot write %s: %s", out, strerror(errno))
                          : write_all(s, to, by_type, err);
    if (to != NULL && to != stdout && fclose(to) != 0 && rc == KD_OK)
        rc = kd_fail(err, KD_EIO, "cannot write %s: %s", out, strerror(errno));
    s->kind->close(s);
    for (int t = 0; rc == KD_OK && t < KD_RECORD_TYPES; t++)
        if (by_type[t] > 0)
            fprintf(stderr, "%-14s %12lld\n", kd_record_type_name((kd_record_type)t),
                    (long long)by_type[t]);
    return rc;
}

static int verb_generate(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "out", .has_value = true},
        {.name = "seed", .has_value = true},
        {.name = "shoppers", .has_value = true},
        {.name = "items", .has_value = true},
        {.name = "events", .has_value = true},
        {.name = "start", .has_value = true},
        {.name = "days", .has_value = true},
        {.name = "late-share", .has_value = true},
        {.name = "duplicate-share", .has_value = true},
        {.name = "anonymous-share", .has_value = true},
        {.name = "no-catalog"},
        {0},
    };
    kd_arena *arena = kd_arena_new(0);
    kd_common common = {0};
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory")
                             : kd_flags_parse(argc, argv, flags, arena, &common, NULL, NULL, err);
    if (rc == KD_OK && common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = generate(flags, err);
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return kd_exit_of(rc);
}

const kd_verb kd_verb_generate = {"generate", "a seeded shop's events as JSON lines", help,
                                  verb_generate};
