/* verb_produce.c - events from files into their topics, as Avro. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/into_topics.h"
#include "consumers/sources.h"
#include "schemas/json.h"

static const char help[] =
    "usage: kindred produce --in FILE... [-X bootstrap.servers=HOST:PORT] [flags]\n\n"
    "  --in FILE...            events: .jsonl, .csv, .tsv, .avro, each also .gz\n"
    "  --map MAP.yaml          how columns of CSV become events\n"
    "  --dead-letters FILE     bad and refused records as JSON lines\n"
    "  --max-dead-letters N    end with exit code 3 when there are more\n"
    "  --now TIME              events after this time are refused (default: the clock)\n"
    "  --quiet                 no progress\n\n"
    "Brokers and registry are waited for. Records are stamped with their event time. A topic "
    "whose\n"
    "retention.ms would drop them at once is refused: make it with `kindred topics create`, or "
    "set\n"
    "retention.ms=-1.\n";

typedef struct produce {
    kd_common common;
    kd_arena *arena;
    kd_source *source;
    kd_into_topics into;
    const volatile int *stop;
    FILE *dead;
    const char *dead_path;
    bool is_dead_lost;
    int64_t n_dead, max_dead;
    int64_t dead_by_reason[KD_REASON_COUNT], by_type[KD_RECORD_TYPES];
    kd_buf line;
} produce;

static void bury(produce *x, const kd_dead_letter *d)
{
    x->n_dead++;
    if (x->dead_by_reason[d->reason]++ == 0)
        fprintf(stderr, "kindred: dead letter (%s, the first of this reason): %s\n",
                kd_reason_text(d->reason), d->message);
    if (x->dead == NULL)
        return;
    kd_out out = {.type = KD_OUT_DEAD_LETTER, .dead_letter = d};
    kd_buf_clear(&x->line);
    kd_json_out_print(&out, &x->line);
    kd_buf_addc(&x->line, '\n');
    if (x->line.failed || fwrite(x->line.p, 1, x->line.n, x->dead) != x->line.n)
        x->is_dead_lost = true;
}

/* A dead letter that could not be written is a failure of the run: nothing is lost unsaid. */
static kd_rc check_dead(const produce *x, kd_err *err)
{
    if (x->is_dead_lost)
        return kd_fail(err, KD_EIO, "cannot write %s: dead letters are lost", x->dead_path);
    if (x->max_dead >= 0 && x->n_dead > x->max_dead)
        return kd_bad(err, KD_REASON_NONE, "more than %lld dead letters", (long long)x->max_dead);
    return KD_OK;
}

static void on_refused(void *arg, const kd_pos *pos, kd_reason reason, const char *message,
                       const void *key, size_t key_len, const void *value, size_t value_len)
{
    kd_dead_letter d = {*pos, reason, message, key, value, key_len, value_len};
    bury(arg, &d);
}

static kd_rc put(produce *x, const kd_record *r, kd_err *err)
{
    KD_TRY(kd_into_topics_put(&x->into, r, err));
    x->by_type[r->type]++;
    return KD_OK;
}

static kd_rc one(produce *x, kd_err *err)
{
    kd_record r;
    kd_err why = {0};
    kd_rc rc = x->source->kind->next(x->source, &r, &why);
    if (rc == KD_EDATA) {
        char message[sizeof why.where + sizeof why.msg + 2];
        snprintf(message, sizeof message, "%s: %s", why.where, why.msg);
        kd_dead_letter d = {r.pos,       why.reason,    message,        r.raw_key,
                            r.raw_value, r.raw_key_len, r.raw_value_len};
        bury(x, &d);
        rc = KD_OK;
    } else if (rc == KD_OK) {
        rc = put(x, &r, err);
    } else if (err != NULL) {
        *err = why;
    }
    x->source->kind->release(x->source);
    return rc == KD_OK ? check_dead(x, err) : rc;
}

static kd_rc copy_all(produce *x, bool is_quiet, kd_err *err)
{
    kd_progress_line line;
    kd_progress_line_init(&line, "acknowledged");
    line.is_quiet = is_quiet;
    int64_t start = kd_clock_mono_ms();
    kd_counts counts = {0};
    kd_progress progress = KD_PROGRESS_UNKNOWN;
    kd_rc rc = KD_OK;
    for (int64_t n = 0; rc == KD_OK && *x->stop == 0; n++) {
        rc = one(x, err);
        if (n % 1000 != 0)
            continue;
        kd_kafka_producer_poll(x->into.producer, 0);
        counts.records = n;
        counts.updates = kd_kafka_producer_delivered(x->into.producer);
        counts.dead_letters = x->n_dead;
        x->source->kind->progress(x->source, &progress);
        kd_progress_show(&line, &counts, &progress, kd_clock_mono_ms() - start, false);
    }
    kd_err late = {0};
    kd_rc flushed = kd_into_topics_flush(&x->into, &late);
    kd_progress_show(&line, &counts, &progress, kd_clock_mono_ms() - start, true);
    rc = rc == KD_END ? KD_OK : rc;
    if (rc == KD_OK && flushed != KD_OK) {
        *err = late;
        return KD_EIO;
    }
    if (x->dead != NULL && fflush(x->dead) != 0)
        x->is_dead_lost = true;
    return rc == KD_OK ? check_dead(x, err) : rc;
}

static kd_rc open_all(produce *x, const kd_flag *flags, kd_err *err)
{
    const kd_config *c = &x->common.config;
    KD_TRY(kd_flag_int(flags, "max-dead-letters", kd_opt_int(&c->values, "max.dead-letters"), -1,
                       &x->max_dead, err));
    KD_TRY(kd_files_open(x->arena, flags, &x->source, NULL, err));
    KD_TRY(x->source->kind->start(x->source, err));
    const char *dead = kd_flag_value(flags, "dead-letters");
    x->dead_path = dead;
    if (dead != NULL && (x->dead = fopen(dead, "we")) == NULL)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", dead, strerror(errno));
    return kd_into_topics_open(&x->into, c, x->stop, on_refused, x, err);
}

static void print_totals(const produce *x)
{
    fprintf(stderr, "totals\n");
    for (int t = 0; t < KD_RECORD_TYPES; t++)
        if (x->by_type[t] > 0)
            fprintf(stderr, "  %-28s %12lld -> %s\n", kd_record_type_name((kd_record_type)t),
                    (long long)x->by_type[t], x->into.options.topic[t]);
    fprintf(stderr, "  %-28s %12lld\n", "acknowledged",
            (long long)kd_kafka_producer_delivered(x->into.producer));
    fprintf(stderr, "  %-28s %12lld\n", "dead letters", (long long)x->n_dead);
    for (int k = 0; k < KD_REASON_COUNT; k++)
        if (x->dead_by_reason[k] > 0)
            fprintf(stderr, "    %-26s %12lld\n", kd_reason_text((kd_reason)k),
                    (long long)x->dead_by_reason[k]);
    if (kd_is_file_source(x->source)) {
        kd_file_counts f;
        kd_file_source_counts(x->source, &f);
        fprintf(stderr, "  %-28s %12lld\n", "rows ignored by the mapping", (long long)f.ignored);
    }
}

static int verb_produce(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "in", .has_value = true, .many = true},
        {.name = "map", .has_value = true},
        {.name = "dead-letters", .has_value = true},
        {.name = "max-dead-letters", .has_value = true},
        {.name = "now", .has_value = true},
        {.name = "quiet"},
        {0},
    };
    produce x = {.arena = kd_arena_new(0), .stop = kd_stop_on_signals()};
    kd_rc rc = x.arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, x.arena, &x.common, NULL, NULL, err);
    bool is_help = rc == KD_OK && x.common.help;
    if (is_help)
        fputs(verb->help, stdout);
    if (rc == KD_OK && !is_help)
        rc = open_all(&x, flags, err);
    if (rc == KD_OK && !is_help) {
        rc = copy_all(&x, kd_flag_given(flags, "quiet"), err);
        print_totals(&x);
    }
    bool is_stopped = *x.stop != 0 && (rc == KD_OK || rc == KD_RETRY);
    if (is_stopped)
        *err = (kd_err){0}; /* what it waited for is no longer of interest */
    int code = is_stopped ? KD_EXIT_INTERRUPTED : (int)kd_exit_of(rc);
    kd_into_topics_close(&x.into);
    if (x.source != NULL)
        x.source->kind->close(x.source);
    if (x.dead != NULL)
        fclose(x.dead);
    kd_buf_dispose(&x.line);
    kd_common_dispose(&x.common);
    kd_arena_free(x.arena);
    return code;
}

const kd_verb kd_verb_produce = {"produce", "events from files into their topics", help,
                                 verb_produce};
