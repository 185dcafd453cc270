/* verb_generate.c - a seeded shop's events as a file: the same seed, the same bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "base/clock.h"
#include "cli/files.h"
#include "consumers/sources.h"
#include "schemas/container.h"
#include "schemas/json.h"

static const char help[] =
    "usage: kindred generate --out FILE.jsonl|FILE.avro|- [flags]\n\n"
    "  --out FILE              JSON lines (- is standard output), or an Avro container (.avro)\n"
    "  --seed N --shoppers N --items N --events N     (default 1, 20000, 5000, 200000)\n"
    "  --start TIME            first event (default 2024-01-01)\n"
    "  --days N                from the first event to the last (default 7)\n"
    "  --late-share X          of events: late, out of order (default 0)\n"
    "  --duplicate-share X     of events: come twice (default 0)\n"
    "  --anonymous-share X     of sessions: without a user id\n"
    "  --no-catalog            events only\n"
    "  --quiet                 no progress\n";

typedef struct output {
    const char *path;
    FILE *file;
    kd_container_writer *avro; /* NULL: JSON lines */
    kd_buf line;
} output;

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
    if (days > 36525)
        return kd_fail(err, KD_ECONFIG, "--days: 36525 at most");
    if (o->tastes > o->items) /* a shop of few items has as few tastes */
        o->tastes = (int)o->items;
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

static kd_rc write_bytes(void *arg, const void *p, size_t n, kd_err *err)
{
    const output *to = arg;
    if (fwrite(p, 1, n, to->file) != n)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", to->path, strerror(errno));
    return KD_OK;
}

static kd_rc open_output(output *to, const char *path, kd_err *err)
{
    if (path == NULL)
        return kd_fail(err, KD_ECONFIG, "--out FILE.jsonl, FILE.avro or - is missing");
    bool is_avro;
    KD_TRY(kd_files_is_avro("out", path, &is_avro, err));
    to->path = path;
    to->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (to->file == NULL)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", path, strerror(errno));
    return is_avro ? kd_container_events_writer_new(KD_CONTAINER_DEFLATE, write_bytes, to,
                                                    &to->avro, err)
                   : KD_OK;
}

static kd_rc write_one(output *to, const kd_record *r, kd_err *err)
{
    if (to->avro != NULL)
        return kd_container_write_record(to->avro, r, err);
    kd_buf_clear(&to->line);
    kd_json_event_print(r, &to->line);
    kd_buf_addc(&to->line, '\n');
    if (to->line.failed)
        return kd_fail(err, KD_ENOMEM, "no memory for a line");
    return write_bytes(to, to->line.p, to->line.n, err);
}

/* What was begun is brought to an end even after a failure, which stays the one that is told. */
static kd_rc close_output(output *to, kd_rc rc, kd_err *err)
{
    if (rc == KD_OK && to->avro != NULL)
        rc = kd_container_writer_flush(to->avro, err);
    kd_container_writer_free(to->avro);
    kd_buf_dispose(&to->line);
    if (to->file == NULL)
        return rc;
    int bad = to->file == stdout ? fflush(stdout) : fclose(to->file);
    if (rc == KD_OK && bad != 0)
        rc = kd_fail(err, KD_EIO, "cannot write %s: %s", to->path, strerror(errno));
    return rc;
}

static kd_rc write_all(kd_source *s, output *to, int64_t expected, bool is_quiet,
                       int64_t by_type[KD_RECORD_TYPES], kd_err *err)
{
    const volatile int *stop = kd_stop_on_signals();
    kd_progress_line line;
    kd_progress_line_init(&line, "written");
    line.is_quiet = is_quiet;
    kd_counts counts = {0};
    kd_progress progress = {.lag = -1, .total_bytes = expected};
    int64_t start = kd_clock_mono_ms();
    kd_record r;
    kd_rc rc = s->kind->start(s, err);
    while (rc == KD_OK && *stop == 0 && (rc = s->kind->next(s, &r, err)) == KD_OK) {
        by_type[r.type]++;
        rc = write_one(to, &r, err);
        s->kind->release(s);
        progress.done_bytes = counts.updates = ++counts.records;
        if (counts.records % 4096 == 0)
            kd_progress_show(&line, &counts, &progress, kd_clock_mono_ms() - start, false);
    }
    kd_progress_show(&line, &counts, &progress, kd_clock_mono_ms() - start, true);
    return rc == KD_END ? KD_OK : rc;
}

static int generate(const kd_flag *flags, kd_err *err)
{
    kd_generator_options o;
    kd_source *s = NULL;
    output to = {0};
    int64_t by_type[KD_RECORD_TYPES] = {0};
    kd_rc rc = options(flags, &o, err);
    if (rc == KD_OK)
        rc = kd_generator_new(&o, &s, err);
    if (rc == KD_OK)
        rc = open_output(&to, kd_flag_value(flags, "out"), err);
    if (rc == KD_OK)
        rc = write_all(s, &to, o.events + (o.has_catalog ? o.items : 0),
                       kd_flag_given(flags, "quiet"), by_type, err);
    rc = close_output(&to, rc, err);
    if (s != NULL)
        s->kind->close(s);
    for (int t = 0; rc == KD_OK && t < KD_RECORD_TYPES; t++)
        if (by_type[t] > 0)
            fprintf(stderr, "%-14s %12lld\n", kd_record_type_name((kd_record_type)t),
                    (long long)by_type[t]);
    return rc == KD_OK && *kd_stop_on_signals() != 0 ? KD_EXIT_INTERRUPTED : (int)kd_exit_of(rc);
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
        {.name = "quiet"},
        {0},
    };
    kd_arena *arena = kd_arena_new(0);
    kd_common common = {0};
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory")
                             : kd_flags_parse(argc, argv, flags, arena, &common, NULL, NULL, err);
    if (rc == KD_OK && common.help)
        fputs(verb->help, stdout);
    int code = rc == KD_OK && !common.help ? generate(flags, err) : (int)kd_exit_of(rc);
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return code;
}

const kd_verb kd_verb_generate = {"generate", "a seeded shop's events as a file", help,
                                  verb_generate};
