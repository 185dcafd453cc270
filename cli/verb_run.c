/* verb_run.c - the live pipeline, from Kafka to Kafka. */
#include <stdio.h>

#include "cli/cli.h"
#include "topology/live.h"

static const char help[] =
    "usage: kindred run [-c kindred.yaml] [-X bootstrap.servers=HOST:PORT] [flags]\n\n"
    "Reads the event topics, keeps the state, publishes updates; SIGINT or SIGTERM ends it in "
    "order.\n"
    "  --quiet                 no progress\n"
    "  --stats                 what the state holds, at the end\n";

static void print_reasons(const kd_counts *c)
{
    const char *before = "dead letters: ";
    for (int r = 0; r < KD_REASON_COUNT; r++) {
        if (c->dead_by_reason[r] == 0)
            continue;
        fprintf(stderr, "%s%lld %s", before, (long long)c->dead_by_reason[r],
                kd_reason_text((kd_reason)r));
        before = ", ";
    }
    if (c->dead_letters > 0)
        fputc('\n', stderr);
}

static void print_end(const kd_live *x, bool with_stats)
{
    const kd_counts *c = kd_pipeline_counts(x->pipeline);
    char hex[33];
    fprintf(stderr, "%lld records, %lld dead letters, %lld lists, %lld updates, %lld epochs\n",
            (long long)c->records, (long long)c->dead_letters, (long long)c->answers,
            (long long)c->updates, (long long)c->epochs);
    print_reasons(c);
    if (x->snapshots != NULL) {
        const kd_snapshot_counts *n = kd_snapshots_counts(x->snapshots);
        fprintf(stderr, "%lld snapshots, %lld that failed; %lld copies of them, %lld that failed\n",
                (long long)n->written, (long long)n->failed, (long long)n->copied,
                (long long)n->copies_failed);
    }
    if (with_stats)
        for (const kd_stat *s = kd_recommender_stats(x->rec); s->name != NULL; s++)
            fprintf(stderr, "  %-28s %14lld\n", s->name, (long long)s->value);
    kd_digest_hex(kd_recommender_digest(x->rec), hex);
    fprintf(stderr, "state digest %s\n", hex);
}

static kd_rc run(kd_common *common, const kd_flag *flags, kd_err *err)
{
    kd_progress_line line;
    kd_progress_line_init(&line, "updates");
    line.is_quiet = kd_flag_given(flags, "quiet");
    kd_run_options o = {
        .commit_interval_ms = kd_opt_int(&common->config.values, "commit_interval_ms"),
        .handle_signals = true,
        .on_progress = kd_progress_show,
        .progress_arg = &line,
        .on_notice = kd_progress_notice,
        .notice_arg = &line,
    };
    kd_live x;
    KD_TRY(kd_live_open(&x, &common->config, &o, err));
    kd_rc rc = kd_live_run(&x, &o, kd_stop_on_signals(), err);
    if (rc != KD_ECONFIG || kd_pipeline_counts(x.pipeline)->records > 0) /* else it never began */
        print_end(&x, kd_flag_given(flags, "stats"));
    kd_live_close(&x);
    return rc;
}

static int verb_run(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {{.name = "quiet"}, {.name = "stats"}, {0}};
    kd_arena *arena = kd_arena_new(0);
    kd_common common = {0};
    kd_rc rc = arena == NULL ? kd_fail(err, KD_ENOMEM, "no memory")
                             : kd_flags_parse(argc, argv, flags, arena, &common, NULL, NULL, err);
    if (rc == KD_OK && common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = run(&common, flags, err);
    kd_common_dispose(&common);
    kd_arena_free(arena);
    return kd_exit_of(rc);
}

const kd_verb kd_verb_run = {"run", "the live pipeline, from Kafka to Kafka", help, verb_run};
