/* verb_replay.c - yesterday's events from files through the whole pipeline, to files or a terminal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/files.h"
#include "consumers/sources.h"
#include "operators/state.h"
#include "sinks/sinks.h"
#include "topology/snapshot.h"

static const char help[] =
    "usage: kindred replay --in FILE... [--out FILE|-] [flags]\n\n"
    "  --in FILE...            events: .jsonl, .csv, .tsv, .avro, each also .gz; - is standard "
    "input\n"
    "  --map MAP.yaml          how columns of CSV become events; shipped: online_retail, "
    "others\n"
    "  --out FILE|-            updates as JSON lines (.jsonl, or - for standard output) or Avro "
    "(.avro)\n"
    "  --table                 a readable table on standard output instead, with titles\n"
    "  --why                   with --table: why each item is listed (needs `blend`)\n"
    "  --lang en|zh            language of these sentences (default en)\n"
    "  --dead-letters FILE     bad records as JSON lines\n"
    "  --needs FILE            what shoppers look for, when it changes, likewise (needs "
    "`content: on`)\n"
    "  --similar FILE          neighbour lists that changed, as JSON lines (.jsonl) or Avro "
    "(.avro)\n"
    "  --receipts FILE         who was forgotten (null updates) and the receipts, as JSON lines\n"
    "  --snapshot DIR          keep the state in DIR, for `kindred recommend` and `kindred state`\n"
    "  --max-dead-letters N    end with exit code 3 when there are more\n"
    "  --now TIME              events after this time are refused (default: the clock)\n"
    "  --speed max|1x|60x      pace in event time; changes no byte of the output\n"
    "  --stats                 what the state holds, by component\n"
    "  --verify                check every invariant of the state at the end (slow)\n"
    "  --quiet                 no progress\n\n"
    "The last lines on standard error are the totals, `output digest` and `state digest`.\n";

/* Everything that is opened, for one way out. */
typedef struct replay {
    kd_common common;
    kd_arena *arena;
    kd_source *source;
    kd_sink *sink, *digest; /* digest is borrowed from sink */
    kd_recommender *rec;
    kd_pipeline *pipeline;
} replay;

static kd_rc parse_speed(const char *text, double *out, kd_err *err)
{
    *out = 0;
    if (text == NULL || strcmp(text, "max") == 0)
        return KD_OK;
    char *end;
    *out = strtod(text, &end);
    if (end == text || (*end != '\0' && strcmp(end, "x") != 0) || !(*out > 0) || *out > 1e9)
        return kd_fail(err, KD_ECONFIG, "--speed: \"%s\" is not max, 1x, 60x ...", text);
    return KD_OK;
}

/* --out, --similar and --needs, each of the kind that its name says. */
static kd_rc open_outputs(const kd_flag *flags, kd_sink **list, uint32_t *n, kd_err *err)
{
    static const struct {
        const char *flag;
        kd_out_type type;
    } rows[] = {{"out", KD_OUT_UPDATE}, {"similar", KD_OUT_SIMILAR}, {"needs", KD_OUT_NEEDS}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        const char *path = kd_flag_value(flags, rows[k].flag);
        bool is_avro;
        if (path == NULL)
            continue;
        KD_TRY(kd_files_is_avro(rows[k].flag, path, &is_avro, err));
        kd_sink **to = &list[(*n)++];
        KD_TRY(is_avro ? kd_container_sink_new(path, rows[k].type, to, err)
                       : kd_jsonl_sink_new(path, 1u << rows[k].type, to, err));
    }
    return KD_OK;
}

/* What goes with --table, and what does not. */
static kd_rc check_table(const kd_flag *flags, const kd_opt_values *v, kd_err *err)
{
    const char *out = kd_flag_value(flags, "out");
    bool has_table = kd_flag_given(flags, "table");
    if (has_table && out != NULL && strcmp(out, "-") == 0)
        return kd_fail(err, KD_ECONFIG, "--table and --out - are both for standard output");
    if (!has_table && (kd_flag_given(flags, "why") || kd_flag_given(flags, "lang")))
        return kd_fail(err, KD_ECONFIG, "--%s goes with --table, which is not given",
                       kd_flag_given(flags, "why") ? "why" : "lang");
    if (kd_flag_given(flags, "why") &&
        (kd_opt_int(v, "blend") == 0 || kd_opt_int(v, "recommend.reasons") == 0))
        fputs(
            "warning: --why: reasons come with blend: on and recommend.reasons: true; the parts of "
            "scores are shown\n",
            stderr);
    return KD_OK;
}

static kd_str title_of(void *arg, kd_str item_id)
{
    const replay *x = arg;
    return kd_state_title(kd_recommender_state(x->rec), item_id);
}

static kd_rc open_sinks(replay *x, const kd_flag *flags, kd_err *err)
{
    kd_sink *list[7] = {NULL};
    uint32_t n = 0;
    const char *dead = kd_flag_value(flags, "dead-letters");
    const char *receipts = kd_flag_value(flags, "receipts");
    KD_TRY(check_table(flags, &x->common.config.values, err));
    kd_rc rc = kd_digest_sink_new(&list[n++], err);
    x->digest = list[0];
    if (rc == KD_OK && kd_flag_given(flags, "table")) {
        const char *columns = getenv("COLUMNS");
        kd_terminal_options to = {.fd = STDOUT_FILENO,
                                  .width =
                                      columns == NULL ? 0 : (uint32_t)strtoul(columns, NULL, 10),
                                  .colour = isatty(STDOUT_FILENO) == 1,
                                  .title_of = title_of,
                                  .title_arg = x};
        rc = kd_files_why(flags, &to, err);
        if (rc == KD_OK)
            rc = kd_terminal_sink_new(&to, &list[n++], err);
    }
    if (rc == KD_OK)
        rc = open_outputs(flags, list, &n, err);
    if (rc == KD_OK && dead != NULL)
        rc = kd_jsonl_sink_new(dead, KD_TAKE_DEAD_LETTERS, &list[n++], err);
    if (rc == KD_OK && receipts != NULL)
        rc = kd_jsonl_sink_new(receipts, KD_TAKE_FORGOTTEN | KD_TAKE_RECEIPTS, &list[n++], err);
    if (rc == KD_OK)
        return kd_tee_sink_new(list, n, &x->sink, err);
    for (uint32_t k = 0; k < n; k++)
        if (list[k] != NULL)
            list[k]->kind->close(list[k]);
    return rc;
}

static kd_rc open_all(replay *x, const kd_flag *flags, kd_progress_line *line, kd_err *err)
{
    const kd_opt_values *v = &x->common.config.values;
    int64_t max_dead;
    KD_TRY(kd_flag_int(flags, "max-dead-letters", kd_opt_int(v, "max.dead-letters"), -1, &max_dead,
                       err));
    KD_TRY(kd_files_open(x->arena, flags, &x->source, NULL, err));
    KD_TRY(open_sinks(x, flags, err));
    KD_TRY(kd_recommender_new(v, &x->rec, err));
    kd_pipeline_options po = kd_config_pipeline(v);
    po.max_dead_letters = max_dead;
    po.on_notice = kd_progress_notice;
    po.notice_arg = line;
    po.similar_count = 0;
    po.has_needs = kd_flag_value(flags, "needs") != NULL;
    if (po.has_needs && kd_opt_int(v, "content") == 0)
        return kd_fail(err, KD_ECONFIG,
                       "--needs: they come from the catalogue's texts, add "
                       "--set content=on");
    if (kd_flag_value(flags, "similar") != NULL)
        po.similar_count = (uint32_t)kd_opt_int(v, "similar.count");
    KD_TRY(kd_pipeline_new(&po, x->source, x->rec, x->sink, &x->pipeline, err));
    KD_TRY(x->source->kind->start(x->source, err));
    return x->sink->kind->start(x->sink, err);
}

static void print_row(const char *name, int64_t n)
{
    fprintf(stderr, "  %-28s %14lld\n", name, (long long)n);
}

static void print_totals(const replay *x, int64_t elapsed_ms)
{
    const kd_counts *c = kd_pipeline_counts(x->pipeline);
    kd_file_counts f;
    kd_file_source_counts(x->source, &f);
    fputs("totals\n", stderr);
    print_row("rows read", f.rows);
    print_row("records", c->records);
    print_row("  views", c->views);
    print_row("  likes", c->likes);
    print_row("  carts", c->carts);
    print_row("  paid", c->paid);
    print_row("  cancelled", c->cancelled);
    print_row("  catalogue", c->catalog);
    print_row("  forget requests", c->forgets);
    print_row("  dead letters", c->dead_letters);
    for (int k = 0; k < KD_REASON_COUNT; k++) {
        char name[40];
        snprintf(name, sizeof name, "    %s", kd_reason_text((kd_reason)k));
        if (c->dead_by_reason[k] > 0)
            print_row(name, c->dead_by_reason[k]);
    }
    print_row("rows ignored by the mapping", f.ignored);
    print_row("late", c->late);
    print_row("refused", c->refused);
    print_row("epochs", c->epochs);
    print_row("lists computed", c->answers);
    print_row("events answered by a later", c->coalesced);
    print_row("  of them over the rate", c->over_rate);
    print_row("updates", c->updates);
    if (c->needs > 0)
        print_row("shoppers' needs", c->needs);
    if (c->similar > 0) {
        print_row("neighbour lists", c->similar);
        print_row("  others looked at again", c->similar_fanout);
        print_row("  others dropped", c->similar_dropped);
    }
    fprintf(stderr, "  %-28s %14.3f s, %lld records/s\n", "time", (double)elapsed_ms / 1000,
            (long long)(elapsed_ms > 0 ? c->records * 1000 / elapsed_ms : 0));
}

static void print_stats(const replay *x)
{
    fputs("state\n", stderr);
    int64_t interactions = 0, total = 0;
    for (const kd_stat *s = kd_recommender_stats(x->rec); s->name != NULL; s++) {
        fprintf(stderr, "  %-28s %14lld %s\n", s->name, (long long)s->value,
                strcmp(s->unit, "bytes") == 0 ? "bytes" : "");
        if (strcmp(s->name, "interactions") == 0)
            interactions = s->value;
        if (strcmp(s->name, "memory.total") == 0)
            total = s->value;
    }
    if (interactions > 0)
        fprintf(stderr, "  %-28s %14.2f\n", "bytes an interaction",
                (double)total / (double)interactions);
}

static int finish(const replay *x, const kd_flag *flags, int64_t elapsed_ms, kd_rc rc)
{
    char hex[33];
    print_totals(x, elapsed_ms);
    if (kd_flag_given(flags, "stats"))
        print_stats(x);
    int code = kd_exit_of(rc);
    if (kd_flag_given(flags, "verify")) {
        bool is_same =
            kd_digest_eq(kd_recommender_digest(x->rec), kd_recommender_digest_slow(x->rec));
        fprintf(stderr, "state verified: %s\n", is_same ? "yes" : "NO, the digest differs");
        code = is_same ? code : KD_EXIT_BUG;
    }
    kd_digest_hex(kd_digest_sink_value(x->digest), hex);
    fprintf(stderr, "output digest %s\n", hex);
    kd_digest_hex(kd_recommender_digest(x->rec), hex);
    fprintf(stderr, "state digest %s\n", hex);
    return code;
}

/* The state as it is at the end; there are no positions to go on from. */
static kd_rc keep_state(const replay *x, const char *dir, kd_err *err)
{
    kd_snapshot_options o = {.dir = dir,
                             .keep = kd_opt_int(&x->common.config.values, "snapshot.keep")};
    kd_snapshots *s = NULL;
    KD_TRY(kd_snapshots_open(&o, &s, err));
    kd_rc rc = kd_snapshots_begin(s, x->rec, NULL, 0, err);
    if (rc == KD_OK)
        rc = kd_snapshots_step(s, true, err);
    kd_snapshots_close(s);
    return rc;
}

static int run_replay(replay *x, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "in", .has_value = true, .many = true},
        {.name = "map", .has_value = true},
        {.name = "out", .has_value = true},
        {.name = "why"},
        {.name = "lang", .has_value = true},
        {.name = "table"},
        {.name = "dead-letters", .has_value = true},
        {.name = "receipts", .has_value = true},
        {.name = "similar", .has_value = true},
        {.name = "needs", .has_value = true},
        {.name = "snapshot", .has_value = true},
        {.name = "max-dead-letters", .has_value = true},
        {.name = "now", .has_value = true},
        {.name = "speed", .has_value = true},
        {.name = "stats"},
        {.name = "verify"},
        {.name = "quiet"},
        {0},
    };
    kd_progress_line line;
    kd_progress_line_init(&line, "updates");
    kd_replay_options o = {
        .on_progress = kd_progress_show, .progress_arg = &line, .stop = kd_stop_on_signals()};
    kd_rc rc = kd_flags_parse(argc, argv, flags, x->arena, &x->common, NULL, NULL, err);
    if (rc == KD_OK && x->common.help) {
        fputs(help, stdout);
        return KD_EXIT_OK;
    }
    line.is_quiet = rc == KD_OK && kd_flag_given(flags, "quiet");
    if (rc == KD_OK)
        rc = parse_speed(kd_flag_value(flags, "speed"), &o.speed, err);
    if (rc == KD_OK)
        rc = open_all(x, flags, &line, err);
    if (rc != KD_OK)
        return kd_exit_of(rc);
    int64_t start = kd_clock_mono_ms();
    rc = kd_replay(&o, x->pipeline, x->source, x->sink, err);
    if (rc == KD_OK && *o.stop == 0 && kd_flag_given(flags, "snapshot"))
        rc = keep_state(x, kd_flag_value(flags, "snapshot"), err);
    int code = finish(x, flags, kd_clock_mono_ms() - start, rc);
    return code == KD_EXIT_OK && *o.stop != 0 ? KD_EXIT_INTERRUPTED : code;
}

static int verb_replay(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    (void)verb;
    replay x = {.arena = kd_arena_new(0)};
    int code = x.arena == NULL ? KD_EXIT_BUG : run_replay(&x, argc, argv, err);
    kd_pipeline_free(x.pipeline);
    kd_recommender_free(x.rec);
    if (x.source != NULL)
        x.source->kind->close(x.source);
    if (x.sink != NULL)
        x.sink->kind->close(x.sink);
    kd_common_dispose(&x.common);
    kd_arena_free(x.arena);
    return code;
}

const kd_verb kd_verb_replay = {
    "replay", "events from files through the pipeline, to files or a table", help, verb_replay};
