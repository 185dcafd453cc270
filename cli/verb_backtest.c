/* verb_backtest.c - yesterday's events through several configurations: which is better, and how
 * sure is that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/timefmt.h"
#include "cli/files.h"
#include "cli/variants.h"
#include "consumers/kafka_range_source.h"
#include "topology/backtest.h"
#include "topology/live.h"
#include "topology/topics.h"

static const char help[] =
    "usage: kindred backtest --in FILE... [flags]\n"
    "       kindred backtest --from TIME --to TIME [flags]\n\n"
    "  --in FILE...            events: .jsonl, .csv, .tsv, .avro, each also .gz\n"
    "  --map MAP.yaml          how columns of CSV become events\n"
    "  --from TIME --to TIME   instead of files: the input topics of the (first) configuration,\n"
    "                          the events from this time on and before that one, in the order of\n"
    "                          their times wherever they stand; without --to to the end that the\n"
    "                          topics have now. The catalogue is read from its start. Nothing is\n"
    "                          committed or produced\n"
    "  -c FILE...              configurations, each with -c; the first is what the others are\n"
    "                          compared with\n"
    "  --grid OPTION=V,V,...   each of these values; several grids multiply, also with the files\n"
    "  --at K,K,...            cut-offs of the metrics (default: of 1,5,10,20 what lists have)\n"
    "  --score-from TIME       earlier events only teach\n"
    "  --score-shoppers K/N    the K-th of N parts of the shoppers, by hash; the others only "
    "teach,\n"
    "                          so settings found on 1/2 can be judged on 2/2\n"
    "  --window 7d             width of the windows over time (default: by itself)\n"
    "  --resamples N           of the bootstrap (default 1000)\n"
    "  --seed N                of all resampling (default 1)\n"
    "  --threads N             threads (default: all cores); no output depends on it\n"
    "  --json FILE|-           the report as JSON (- is standard output)\n"
    "  --csv FILE|-            as CSV, a line a number\n"
    "  --html FILE|-           as a page to look at, in one file\n"
    "  --max-dead-letters N    end with exit code 3 when there are more\n"
    "  --now TIME              events in files after this time are refused (default: the clock)\n"
    "  --quiet                 no progress\n\n"
    "Each event is judged by the list that had been published to its shopper before it; all of a\n"
    "basket by the list before the basket. docs/evaluation.md says exactly what is counted.\n\n"
    "  kindred backtest --in events.jsonl.gz --grid usercf.neighbours=20,50,100 --html r.html\n";

typedef struct backtest {
    kd_common common;
    kd_arena *arena;
    kd_variants variants;
    kd_source *source;
    kd_codec *codec; /* of topics */
    kd_backtest *bt;
    const kd_flag *flags;
    kd_backtest_options o;
    const char *input; /* for people */
} backtest;

/* -- flags --------------------------------------------------------------------------------------
 */

static kd_rc flag_time(const kd_flag *flags, const char *name, kd_ms *out, kd_err *err)
{
    const char *text = kd_flag_value(flags, name);
    *out = KD_MS_NONE;
    if (text != NULL && kd_time_parse_iso(kd_str_of(text), out, err) != KD_OK)
        return kd_fail(err, KD_ECONFIG, "--%s: \"%s\" is no time such as 2024-01-31T12:00:00Z",
                       name, text);
    return KD_OK;
}

static kd_rc flag_part(const kd_flag *flags, const char *name, kd_truth_options *out, kd_err *err)
{
    enum { MOST = 1000 };
    const char *text = kd_flag_value(flags, name);
    if (text == NULL)
        return KD_OK;
    char *end;
    unsigned long part = strtoul(text, &end, 10);
    unsigned long parts = *end == '/' && end[1] != '-' ? strtoul(end + 1, &end, 10) : 0;
    if (*text == '-' || *end != '\0' || part < 1 || part > parts || parts > MOST)
        return kd_fail(err, KD_ECONFIG, "--%s: \"%s\" is no part K/N, 1 <= K <= N <= %d", name,
                       text, MOST);
    out->part = (uint32_t)part;
    out->parts = (uint32_t)parts;
    return KD_OK;
}

static kd_rc parse_cutoffs(const char *text, kd_cutoffs *out, kd_err *err)
{
    for (const char *p = text;; p++) {
        char *end;
        unsigned long k = strtoul(p, &end, 10);
        uint32_t before = out->n == 0 ? 0 : out->k[out->n - 1];
        if (end == p || *p == '-' || (*end != '\0' && *end != ',') || k <= before || k > 254 ||
            out->n == KD_CUTOFFS_MAX)
            return kd_fail(err, KD_ECONFIG,
                           "--at: \"%s\" is not up to %d growing numbers from 1 to 254, such as "
                           "5,10,20",
                           text, KD_CUTOFFS_MAX);
        out->k[out->n++] = (uint32_t)k;
        p = end;
        if (*p == '\0')
            return KD_OK;
    }
}

static kd_rc choose_cutoffs(const backtest *x, kd_cutoffs *out, kd_err *err)
{
    const uint32_t usual[] = {1, 5, 10, 20};
    const char *text = kd_flag_value(x->flags, "at");
    *out = (kd_cutoffs){0};
    if (text != NULL)
        KD_TRY(parse_cutoffs(text, out, err));
    int64_t longest = 0;
    for (uint32_t k = 0; k < x->variants.n; k++) {
        int64_t n = kd_opt_int(&x->variants.all[k].config.values, "recommend.count");
        longest = n > longest ? n : longest;
    }
    for (size_t k = 0; text == NULL && k < sizeof usual / sizeof *usual; k++)
        if (usual[k] <= longest)
            out->k[out->n++] = usual[k];
    for (uint32_t k = 0; k < out->n; k++) /* what is shown alone: 10, or what is next below */
        if (out->k[k] <= 10)
            out->head = k;
    return KD_OK;
}

static kd_rc parse_window(const backtest *x, kd_ms *out, kd_err *err)
{
    static const kd_opt row[] = {{"window", KD_OPT_DURATION, "0", 0, 0, NULL, ""}, {0}};
    const char *text = kd_flag_value(x->flags, "window");
    kd_opt_values v = {0};
    *out = 0;
    if (text == NULL)
        return KD_OK;
    kd_rc rc = kd_opt_values_add(&v, row, err);
    if (rc == KD_OK)
        rc = kd_opt_set(&v, "window", text, "--window", err);
    if (rc == KD_OK)
        *out = kd_opt_int(&v, "window");
    kd_opt_values_dispose(&v);
    return rc;
}

static kd_rc fill_options(backtest *x, kd_err *err)
{
    int64_t threads, seed, resamples, max_dead;
    KD_TRY(kd_flag_int(x->flags, "threads", kd_cores(256), 1, &threads, err));
    KD_TRY(kd_flag_int(x->flags, "seed", 1, 0, &seed, err));
    KD_TRY(kd_flag_int(x->flags, "resamples", 1000, 100, &resamples, err));
    KD_TRY(kd_flag_int(x->flags, "max-dead-letters",
                       kd_opt_int(&x->variants.all[0].config.values, "max.dead-letters"), -1,
                       &max_dead, err));
    if (threads > 256 || resamples > 100000)
        return kd_fail(err, KD_ECONFIG, "--threads is up to 256, --resamples up to 100000");
    x->o.threads = (uint32_t)threads;
    x->o.seed = (uint64_t)seed;
    x->o.resamples = (uint32_t)resamples;
    x->o.max_dead_letters = max_dead;
    KD_TRY(parse_window(x, &x->o.window, err));
    KD_TRY(flag_time(x->flags, "score-from", &x->o.score.score_from, err));
    KD_TRY(flag_part(x->flags, "score-shoppers", &x->o.score, err));
    return choose_cutoffs(x, &x->o.cutoffs, err);
}

/* -- the source ---------------------------------------------------------------------------------
 */

static kd_rc open_topics(backtest *x, kd_err *err)
{
    const kd_config *c = &x->variants.all[0].config;
    kd_kafka_range_options o = {.properties = c->kafka, .n_properties = c->n_kafka};
    (void)kd_topics_inputs(&c->values, o.topic, NULL);
    KD_TRY(flag_time(x->flags, "from", &o.from, err));
    KD_TRY(flag_time(x->flags, "to", &o.to, err));
    if (o.from != KD_MS_NONE && o.to != KD_MS_NONE && o.from >= o.to)
        return kd_fail(err, KD_ECONFIG, "--to must be later than --from");
    KD_TRY(kd_live_codec(c, 0, &x->codec, err));
    o.codec = x->codec;
    const char *from = kd_flag_value(x->flags, "from"), *to = kd_flag_value(x->flags, "to");
    char text[200];
    snprintf(text, sizeof text, "topics from %s to %s", from == NULL ? "their start" : from,
             to == NULL ? "their end" : to);
    x->input = kd_arena_strz(x->arena, kd_str_of(text));
    return kd_kafka_range_source_new(&o, &x->source, err);
}

/* Base names, so that a report is the same wherever the files lie. */
static const char *describe_files(const backtest *x)
{
    const kd_flag *in = x->flags;
    while (strcmp(in->name, "in") != 0)
        in++;
    char text[1000];
    size_t n = 0;
    for (int k = 0; k < in->n && n < sizeof text; k++) {
        const char *slash = strrchr(in->values[k], '/');
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", k == 0 ? "" : ", ",
                              slash == NULL ? in->values[k] : slash + 1);
    }
    return kd_arena_strz(x->arena, kd_str_of(text));
}

static kd_rc open_source(backtest *x, kd_err *err)
{
    bool is_topics = kd_flag_given(x->flags, "from") || kd_flag_given(x->flags, "to");
    if (is_topics && kd_flag_given(x->flags, "in"))
        return kd_fail(err, KD_ECONFIG,
                       "--in is for files, --from and --to are for topics: one of "
                       "the two");
    if (is_topics)
        return open_topics(x, err);
    if (!kd_flag_given(x->flags, "in"))
        return kd_fail(err, KD_ECONFIG,
                       "--in FILE is missing, or --from TIME for topics; --help shows how");
    KD_TRY(kd_files_open(x->arena, x->flags, &x->source, NULL, err));
    x->input = describe_files(x);
    return x->input == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a name") : KD_OK;
}

static kd_rc open_all(backtest *x, kd_err *err)
{
    const kd_flag *grid = x->flags;
    while (strcmp(grid->name, "grid") != 0)
        grid++;
    KD_TRY(kd_variants_make(x->arena, &x->common, grid->values, grid->n, &x->variants, err));
    KD_TRY(fill_options(x, err));
    KD_TRY(open_source(x, err));
    const kd_config **configs = kd_arena_calloc(x->arena, x->variants.n, sizeof(kd_config *));
    if (configs == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u configurations", x->variants.n);
    for (uint32_t k = 0; k < x->variants.n; k++)
        configs[k] = &x->variants.all[k].config;
    return kd_backtest_new(&x->o, x->source, configs, x->variants.n, &x->bt, err);
}

/* -- the report ---------------------------------------------------------------------------------
 */

static kd_rc make_report(const backtest *x, kd_report *r, kd_err *err)
{
    kd_backtest_log log = kd_backtest_log_of(x->bt);
    kd_report_run *runs = kd_arena_calloc(x->arena, x->variants.n, sizeof *runs);
    if (runs == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a report");
    for (uint32_t k = 0; k < x->variants.n; k++) {
        const kd_counts *c = kd_backtest_counts(x->bt, k);
        kd_pace p = kd_backtest_pace(x->bt, k);
        runs[k] = (kd_report_run){.name = x->variants.all[k].name,
                                  .events = c->views + c->likes + c->carts + c->paid + c->cancelled,
                                  .lists = c->answers,
                                  .updates = c->updates,
                                  .scorer = kd_backtest_scorer(x->bt, k),
                                  .pace = {(double)p.busy_us / 1e6, (double)p.judge_us / 1e6,
                                           p.p50_us, p.p90_us, p.p99_us}};
        kd_digest_hex(kd_backtest_output_digest(x->bt, k), runs[k].output_digest);
        kd_digest_hex(kd_backtest_state_digest(x->bt, k), runs[k].state_digest);
    }
    *r = (kd_report){.version = KD_VERSION,
                     .input = x->input,
                     .runs = runs,
                     .n = x->variants.n,
                     .options = x->variants.options,
                     .n_options = x->variants.n_options,
                     .compare = kd_backtest_compare(x->bt),
                     .cutoffs = x->o.cutoffs,
                     .records = log.records,
                     .dead_letters = kd_backtest_counts(x->bt, 0)->dead_letters,
                     .shoppers = log.shoppers,
                     .items = log.items,
                     .first = log.first,
                     .last = log.last,
                     .score_from = x->o.score.score_from,
                     .score_part = x->o.score.part,
                     .score_parts = x->o.score.parts,
                     .seed = x->o.seed,
                     .resamples = x->o.resamples,
                     .threads = x->o.threads,
                     .elapsed_s = (double)log.elapsed_us / 1e6,
                     .read_s = (double)log.read_us / 1e6,
                     .compare_s = (double)log.compare_us / 1e6};
    return KD_OK;
}

static kd_rc write_file(const char *path, const kd_buf *text, kd_err *err)
{
    bool is_out = strcmp(path, "-") == 0;
    FILE *f = is_out ? stdout : fopen(path, "wb");
    if (f == NULL)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", path, strerror(errno));
    bool is_bad = fwrite(text->p, 1, text->n, f) != text->n;
    is_bad |= (is_out ? fflush(f) : fclose(f)) != 0;
    return is_bad ? kd_fail(err, KD_EIO, "cannot write %s: %s", path, strerror(errno)) : KD_OK;
}

static bool is_any_judged(const backtest *x)
{
    return kd_scorer_units(kd_backtest_scorer(x->bt, 0))->scored > 0;
}

static kd_rc write_reports(const backtest *x, kd_err *err)
{
    static const struct {
        const char *flag;
        void (*make)(const kd_report *r, kd_buf *out);
    } forms[] = {{"json", kd_report_json}, {"csv", kd_report_csv}, {"html", kd_report_html}};
    kd_report r;
    KD_TRY(make_report(x, &r, err));
    kd_buf text = {0};
    kd_rc rc = KD_OK;
    bool is_out_taken = false;
    for (size_t k = 0; rc == KD_OK && k < sizeof forms / sizeof *forms; k++) {
        const char *path = kd_flag_value(x->flags, forms[k].flag);
        if (path == NULL)
            continue;
        is_out_taken |= strcmp(path, "-") == 0;
        kd_buf_clear(&text);
        forms[k].make(&r, &text);
        rc = text.failed ? kd_fail(err, KD_ENOMEM, "no memory for a report")
                         : write_file(path, &text, err);
    }
    if (rc == KD_OK && !is_out_taken && is_any_judged(x)) {
        kd_buf_clear(&text);
        kd_report_text(&r, &text);
        rc = text.failed ? kd_fail(err, KD_ENOMEM, "no memory for a report")
                         : write_file("-", &text, err);
    }
    kd_buf_dispose(&text);
    return rc;
}

/* A report that cannot be written is found out before hours of work. */
static kd_rc check_writable(const backtest *x, kd_err *err)
{
    const char *const names[] = {"json", "csv", "html"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const char *path = kd_flag_value(x->flags, names[k]);
        if (path == NULL || strcmp(path, "-") == 0)
            continue;
        FILE *f = fopen(path, "ab");
        if (f == NULL || fclose(f) != 0)
            return kd_fail(err, KD_EIO, "cannot write %s: %s", path, strerror(errno));
    }
    return KD_OK;
}

/* Of topics: what a reader of the report cannot see in it. */
static void tell_order(const backtest *x)
{
    if (x->codec == NULL)
        return;
    kd_kafka_range_counts c = kd_kafka_range_counts_of(x->source);
    if (c.later > 0)
        fprintf(stderr, "%lld record%s later than the range\n", (long long)c.later,
                c.later == 1 ? " is" : "s are");
    if (c.sorted > 0)
        fprintf(stderr,
                "%lld record%s stood behind newer ones in their partition: sorted by time\n",
                (long long)c.sorted, c.sorted == 1 ? "" : "s");
}

/* No figure of such a report says anything. */
static void tell_nothing(const backtest *x)
{
    kd_backtest_log log = kd_backtest_log_of(x->bt);
    char first[32], last[32];
    if (log.first == KD_MS_NONE) {
        fprintf(stderr, "no event in this range was judged: there is none (%s)\n", x->input);
        return;
    }
    kd_time_iso(log.first, first);
    kd_time_iso(log.last, last);
    fprintf(
        stderr,
        "no event in this range was judged: they are from %s to %s,\nand each was its shopper's "
        "first, a cancellation, or only taught (--score-from, --score-shoppers)\n",
        first, last);
}

static int run_backtest(backtest *x, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "in", .has_value = true, .many = true},
        {.name = "map", .has_value = true},
        {.name = "from", .has_value = true},
        {.name = "to", .has_value = true},
        {.name = "grid", .has_value = true, .many = true},
        {.name = "at", .has_value = true},
        {.name = "score-from", .has_value = true},
        {.name = "score-shoppers", .has_value = true},
        {.name = "window", .has_value = true},
        {.name = "resamples", .has_value = true},
        {.name = "seed", .has_value = true},
        {.name = "threads", .has_value = true},
        {.name = "json", .has_value = true},
        {.name = "csv", .has_value = true},
        {.name = "html", .has_value = true},
        {.name = "max-dead-letters", .has_value = true},
        {.name = "now", .has_value = true},
        {.name = "quiet"},
        {0},
    };
    kd_progress_line line;
    kd_progress_line_init(&line, "updates");
    x->flags = flags;
    kd_rc rc = kd_flags_parse(argc, argv, flags, x->arena, &x->common, NULL, NULL, err);
    if (rc == KD_OK && x->common.help) {
        fputs(help, stdout);
        return KD_EXIT_OK;
    }
    line.is_quiet = rc == KD_OK && kd_flag_given(flags, "quiet");
    x->o.on_progress = kd_progress_show;
    x->o.progress_arg = &line;
    x->o.stop = kd_stop_on_signals();
    if (rc == KD_OK)
        rc = open_all(x, err);
    if (rc == KD_OK)
        rc = check_writable(x, err);
    if (rc == KD_OK)
        rc = kd_backtest_go(x->bt, err);
    if (rc == KD_OK && kd_backtest_compare(x->bt) == NULL) {
        fputs("interrupted: the configurations were at different places, so there is nothing to "
              "compare\n",
              stderr);
        return KD_EXIT_INTERRUPTED;
    }
    if (rc == KD_OK)
        tell_order(x);
    if (rc == KD_OK)
        rc = write_reports(x, err);
    if (rc == KD_OK && !is_any_judged(x)) {
        tell_nothing(x);
        return KD_EXIT_USAGE;
    }
    return kd_exit_of(rc);
}

static int verb_backtest(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    (void)verb;
    backtest x = {.arena = kd_arena_new(0)};
    int code = x.arena == NULL ? KD_EXIT_BUG : run_backtest(&x, argc, argv, err);
    kd_backtest_free(x.bt);
    if (x.source != NULL)
        x.source->kind->close(x.source);
    kd_codec_free(x.codec);
    kd_variants_dispose(&x.variants);
    kd_common_dispose(&x.common);
    kd_arena_free(x.arena);
    return code;
}

const kd_verb kd_verb_backtest = {
    "backtest", "events through several configurations: metrics and a report", help, verb_backtest};
