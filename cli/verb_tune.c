/* verb_tune.c - searches settings on held-out sessions, in a journal that a later run goes on with.
 *
 * The journal is JSON lines, appended to and never rewritten: the first says what is searched, each
 * other one is a trial with its point, the options that it stands for and what came of it. A run
 * reads it, proposes as if it had made those trials itself, and adds what is missing to the budget.
 * A line that a crash left half written is cut off.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/gz.h"
#include "cli/held_out.h"
#include "cli/tune_space.h"
#include "schemas/json.h"
#include "schemas/jval.h"

static const char help[] =
    "usage: kindred tune --train EVENTS... --holdout N|P% --space SPACE.yaml --journal FILE "
    "[flags]\n\n" KD_HELD_OUT_HELP "  --space SPACE.yaml      what is searched, by option:\n"
    "                            usercf.similarity: [cosine, jaccard]\n"
    "                            usercf.neighbours: {from: 50, to: 1000, log: true}\n"
    "  --journal FILE          trials as JSON lines; if it is there the search goes on\n"
    "  --trials N              budget, with those in the journal (default 100); no setting is "
    "tried\n"
    "                          twice, and a space without another one ends the search\n"
    "  --objective SUM         what shall be great (default hr@20+mrr@20): a sum of hr@K, mrr@K,\n"
    "                          ndcg@K, each with a factor if wanted: hr@20+0.5*mrr@10\n"
    "  --seed N                of the search (default 1): same seed, data and space, same trials\n"
    "  --out FILE|-            the best settings as YAML for -c (default -)\n"
    "  --quiet                 nothing on standard error\n\n"
    "-c and --set give what is not searched. Figures that are to be published are made with\n"
    "`kindred evaluate` on a test that no trial has seen.\n";

enum { MAX_TERMS = 8 };

typedef struct term {
    char metric[8];
    uint32_t at;
    double factor;
} term;

typedef struct trial {
    double value;
    kd_protocol_figures at; /* at the greatest cut-off of the objective */
} trial;

typedef struct tune {
    kd_common common;
    kd_arena *arena;
    kd_protocol *protocol;
    kd_tune_space space;
    term terms[MAX_TERMS];
    uint32_t n_terms, most_at;
    const char *objective, *journal;
    int64_t seed, budget;
    FILE *file;
    double *points, *values; /* [n x space.n], [n] */
    trial *trials;
    uint32_t *order;
    uint64_t *tried; /* [n] kd_tune_space_hash */
    uint32_t n;
    bool is_quiet;
} tune;

/* -- the objective -------------------------------------------------------------------------------
 */

static kd_rc parse_objective(tune *x, const char *text, kd_err *err)
{
    const char *at = text;
    x->objective = text;
    for (;;) {
        term *t = &x->terms[x->n_terms];
        int used = 0;
        t->factor = 1;
        if (sscanf(at, "%lf*%n", &t->factor, &used) == 1 && used > 0)
            at += used;
        used = 0;
        bool is_term = x->n_terms < MAX_TERMS &&
                       sscanf(at, "%7[a-z]@%" SCNu32 "%n", t->metric, &t->at, &used) == 2 &&
                       used > 0 && t->at >= 1 && t->at <= 1000 &&
                       (strcmp(t->metric, "hr") == 0 || strcmp(t->metric, "mrr") == 0 ||
                        strcmp(t->metric, "ndcg") == 0);
        if (!is_term || (at[used] != '+' && at[used] != '\0'))
            return kd_fail(err, KD_ECONFIG,
                           "--objective: \"%s\" is no sum of hr@K, mrr@K and ndcg@K", text);
        x->most_at = t->at > x->most_at ? t->at : x->most_at;
        x->n_terms++;
        if (at[used] == '\0')
            return KD_OK;
        at += used + 1;
    }
}

static trial judge(const tune *x, const uint16_t *ranks)
{
    uint32_t n = kd_protocol_sizes_of(x->protocol).positions;
    trial t = {.at = kd_protocol_figures_at(ranks, n, x->most_at)};
    for (uint32_t k = 0; k < x->n_terms; k++) {
        kd_protocol_figures f = kd_protocol_figures_at(ranks, n, x->terms[k].at);
        const char *m = x->terms[k].metric;
        t.value += x->terms[k].factor * (m[0] == 'h' ? f.hit_rate : m[0] == 'm' ? f.mrr : f.ndcg);
    }
    return t;
}

/* -- the journal ---------------------------------------------------------------------------------
 */

/* What the search is: another one must not go on with its journal. */
static void print_head(const tune *x, kd_buf *b)
{
    const kd_opt_values *v = &x->common.config.values;
    uint64_t base = 0;
    for (const kd_opt *o = kd_recommender_opts(); o->name != NULL; o++) {
        const char *text = kd_opt_find(v, o->name)->s;
        base = kd_hash64(text, strlen(text), base);
    }
    kd_buf space = {0};
    kd_tune_space_print(&x->space, &space);
    kd_buf_adds(b, "{\"tune\":1,\"space\":");
    kd_json_str(b, (kd_str){space.p, (uint32_t)space.n});
    kd_buf_adds(b, ",\"objective\":");
    kd_json_str(b, kd_str_of(x->objective));
    kd_buf_addf(b,
                ",\"seed\":%" PRId64 ",\"data\":\"%016" PRIx64 "\",\"other options\":\"%016" PRIx64
                "\"}\n",
                x->seed, kd_protocol_hash(x->protocol), base);
    kd_buf_dispose(&space);
}

static kd_rc take_trial(tune *x, kd_str line, kd_err *err)
{
    kd_jval *v = NULL;
    KD_TRY(kd_jval_parse(line.p, line.n, &v, err));
    const kd_jval *point = kd_jval_get(v, "point"), *value = kd_jval_get(v, "value");
    bool is_trial = kd_jval_size(point) == x->space.n && value != NULL &&
                    kd_jval_int(kd_jval_get(v, "trial")) == (int64_t)x->n + 1;
    for (uint32_t k = 0; is_trial && k < x->space.n; k++) {
        double c = kd_jval_real(kd_jval_at(point, k));
        uint32_t n = x->space.dims[k].n_choices;
        is_trial = c >= 0 && (n > 0 ? c == (double)(uint32_t)c && c < n : c <= 1);
        x->points[(size_t)x->n * x->space.n + k] = c;
    }
    if (is_trial) {
        trial *t = &x->trials[x->n];
        t->value = x->values[x->n] = kd_jval_real(value);
        t->at = (kd_protocol_figures){kd_jval_real(kd_jval_get(v, "hr")),
                                      kd_jval_real(kd_jval_get(v, "mrr")),
                                      kd_jval_real(kd_jval_get(v, "ndcg"))};
        x->tried[x->n] = kd_tune_space_hash(&x->space, x->points + (size_t)x->n * x->space.n);
        x->n++;
    }
    kd_jval_free(v);
    return is_trial
               ? KD_OK
               : kd_bad(err, KD_REASON_FIELD, "no trial %u of this search stands here", x->n + 1);
}

/* The whole lines of the journal; *out_bytes: how far they reach. */
static kd_rc read_lines(tune *x, kd_str text, kd_str head, size_t *out_bytes, kd_err *err)
{
    int64_t line_no = 0;
    *out_bytes = 0;
    while (text.n > *out_bytes && x->n < x->budget) {
        const char *p = text.p + *out_bytes, *nl = memchr(p, '\n', text.n - *out_bytes);
        if (nl == NULL)
            return KD_OK; /* cut off by a crash */
        kd_str line = {p, (uint32_t)(nl - p) + 1};
        kd_rc rc = KD_OK;
        if (line_no++ > 0)
            rc = take_trial(x, line, err);
        else if (!kd_str_eq(line, head))
            rc = kd_fail(err, KD_ECONFIG,
                         "it is the journal of another search (space, objective, seed, data or "
                         "other options differ); take another file");
        if (rc != KD_OK) {
            kd_err_at(err, "%s:%lld", x->journal, (long long)line_no);
            return rc == KD_EDATA ? KD_ECONFIG : rc;
        }
        *out_bytes += line.n;
    }
    if (x->n == x->budget)
        *out_bytes = text.n; /* what is beyond the budget stays */
    return KD_OK;
}

static kd_rc write_line(tune *x, const kd_buf *line, kd_err *err)
{
    if (fwrite(line->p, 1, line->n, x->file) == line->n && fflush(x->file) == 0 &&
        fsync(fileno(x->file)) == 0)
        return KD_OK;
    return kd_fail(err, KD_EIO, "cannot write %s: %s", x->journal, strerror(errno));
}

static kd_rc read_text(FILE *f, kd_buf *out, const char *name, kd_err *err)
{
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        kd_buf_add(out, piece, n);
    if (ferror(f) != 0 || out->n >= UINT32_MAX)
        return kd_fail(err, KD_EIO, "cannot read %s", name);
    return KD_OK;
}

static kd_rc open_journal(tune *x, kd_err *err)
{
    kd_buf head = {0}, text = {0};
    size_t whole = 0;
    print_head(x, &head);
    x->file = fopen(x->journal, "a+e");
    kd_rc rc = x->file == NULL
                   ? kd_fail(err, KD_EIO, "cannot open %s: %s", x->journal, strerror(errno))
                   : read_text(x->file, &text, x->journal, err);
    if (rc == KD_OK)
        rc = read_lines(x, (kd_str){text.p, (uint32_t)text.n}, (kd_str){head.p, (uint32_t)head.n},
                        &whole, err);
    if (rc == KD_OK && whole < text.n && ftruncate(fileno(x->file), (off_t)whole) != 0)
        rc = kd_fail(err, KD_EIO, "cannot cut %s: %s", x->journal, strerror(errno));
    if (rc == KD_OK && whole == 0)
        rc = write_line(x, &head, err);
    kd_buf_dispose(&head);
    kd_buf_dispose(&text);
    return rc;
}

/* -- trials --------------------------------------------------------------------------------------
 */

static kd_rc set_options(tune *x, uint32_t n, kd_err *err)
{
    kd_buf text = {0};
    kd_rc rc = KD_OK;
    for (uint32_t k = 0; rc == KD_OK && k < x->space.n; k++) {
        kd_buf_clear(&text);
        kd_tune_space_text(&x->space, k, x->points[(size_t)n * x->space.n + k], &text);
        kd_buf_addc(&text, '\0');
        rc = kd_opt_set(&x->common.config.values, x->space.tuned[k].opt->name, text.p, "tune", err);
    }
    kd_buf_dispose(&text);
    return rc;
}

static void print_trial(const tune *x, uint32_t n, const kd_protocol_result *r, kd_buf *b)
{
    const trial *t = &x->trials[n];
    kd_buf_addf(b, "{\"trial\":%u,\"value\":", n + 1);
    kd_json_real(b, t->value);
    kd_buf_adds(b, ",\"hr\":");
    kd_json_real(b, t->at.hit_rate);
    kd_buf_adds(b, ",\"mrr\":");
    kd_json_real(b, t->at.mrr);
    kd_buf_adds(b, ",\"ndcg\":");
    kd_json_real(b, t->at.ndcg);
    kd_buf_addf(b, ",\"learn_ms\":%lld,\"ask_ms\":%lld,\"options\":{", (long long)r->learn_ms,
                (long long)r->ask_ms);
    for (uint32_t k = 0; k < x->space.n; k++) {
        const char *name = x->space.tuned[k].opt->name;
        kd_buf_adds(b, k == 0 ? "" : ",");
        kd_json_str(b, kd_str_of(name));
        kd_buf_addc(b, ':');
        kd_json_str(b, kd_str_of(kd_opt_find(&x->common.config.values, name)->s));
    }
    kd_buf_adds(b, "},\"point\":[");
    for (uint32_t k = 0; k < x->space.n; k++) {
        kd_buf_adds(b, k == 0 ? "" : ",");
        kd_json_real(b, x->points[(size_t)n * x->space.n + k]);
    }
    kd_buf_adds(b, "]}\n");
}

static uint32_t best_of(const tune *x)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < x->n; k++)
        if (x->values[k] > x->values[best])
            best = k;
    return best;
}

/* KD_END: there is no setting that was not tried. */
static kd_rc try_next(tune *x, kd_err *err)
{
    const uint32_t n = x->n;
    kd_search s = {x->space.dims, x->space.n, (uint64_t)x->seed};
    double *point = x->points + (size_t)n * x->space.n;
    kd_search_propose(&s, x->points, x->values, n, x->order, point);
    if (!kd_tune_space_renew(&x->space, s.seed, x->tried, n, point))
        return KD_END;
    x->tried[n] = kd_tune_space_hash(&x->space, point);
    KD_TRY(set_options(x, n, err));
    kd_protocol_run_options o = {.values = &x->common.config.values,
                                 .workers = kd_config_workers(&x->common.config.values),
                                 .stop = kd_stop_on_signals()};
    kd_protocol_result r;
    KD_TRY(kd_protocol_run(x->protocol, &o, &r, err));
    x->trials[n] = judge(x, r.ranks);
    x->values[n] = x->trials[n].value;
    kd_buf line = {0};
    print_trial(x, n, &r, &line);
    kd_rc rc = write_line(x, &line, err);
    kd_buf_dispose(&line);
    KD_TRY(rc);
    x->n++;
    if (!x->is_quiet)
        fprintf(stderr, "trial %u of %lld  %.5f  best %.5f (trial %u)  %.1f s\n", x->n,
                (long long)x->budget, x->values[n], x->values[best_of(x)], best_of(x) + 1,
                (double)(r.learn_ms + r.ask_ms) / 1000);
    return KD_OK;
}

/* All options that a list depends on and that are not at their defaults. */
static kd_rc write_best(tune *x, const char *path, kd_err *err)
{
    uint32_t best = best_of(x);
    kd_buf b = {0};
    kd_rc rc = set_options(x, best, err);
    kd_buf_addf(
        &b,
        "# kindred tune: trial %u of %u, %s = %.5f (HR@%u %.4f, MRR@%u %.4f) on %u held-out "
        "positions; seed %lld\n",
        best + 1, x->n, x->objective, x->values[best], x->most_at, x->trials[best].at.hit_rate,
        x->most_at, x->trials[best].at.mrr, kd_protocol_sizes_of(x->protocol).positions,
        (long long)x->seed);
    for (const kd_opt *o = kd_recommender_opts(); o->name != NULL; o++) {
        const kd_opt_value *v = kd_opt_find(&x->common.config.values, o->name);
        if (strcmp(v->from, "default") == 0 || strcmp(v->from, "--objective") == 0 ||
            kd_config_is_secret(o->name))
            continue;
        kd_buf_addf(&b, "%s: ", o->name);
        kd_json_str(&b, kd_str_of(v->s)); /* what JSON escapes, YAML reads back */
        kd_buf_addc(&b, '\n');
    }
    bool is_stdout = path == NULL || strcmp(path, "-") == 0;
    FILE *to = is_stdout ? stdout : fopen(path, "we");
    bool is_bad = to == NULL || fwrite(b.p, 1, b.n, to) != b.n;
    if (!is_stdout && to != NULL)
        is_bad |= fclose(to) != 0;
    kd_buf_dispose(&b);
    if (rc == KD_OK && is_bad)
        rc = kd_fail(err, KD_EIO, "cannot write %s: %s", is_stdout ? "standard output" : path,
                     strerror(errno));
    return rc;
}

/* -- the verb ------------------------------------------------------------------------------------
 */

static kd_rc open_all(tune *x, const kd_flag *flags, kd_err *err)
{
    const char *space = kd_flag_value(flags, "space");
    const char *objective = kd_flag_value(flags, "objective");
    kd_opt_values *v = &x->common.config.values;
    x->journal = kd_flag_value(flags, "journal");
    x->is_quiet = kd_flag_given(flags, "quiet");
    if (space == NULL || x->journal == NULL)
        return kd_fail(err, KD_ECONFIG, "--%s is missing; --help shows how",
                       space == NULL ? "space SPACE.yaml" : "journal FILE");
    KD_TRY(kd_flag_int(flags, "trials", 100, 1, &x->budget, err));
    KD_TRY(kd_flag_int(flags, "seed", 1, 0, &x->seed, err));
    if (x->budget > 100000)
        return kd_fail(err, KD_ECONFIG, "--trials: 1 to 100000 is right");
    KD_TRY(parse_objective(x, objective == NULL ? "hr@20+mrr@20" : objective, err));
    KD_TRY(kd_tune_space_load(space, x->arena, &x->space, err));
    char count[16];
    snprintf(count, sizeof count, "%u", x->most_at);
    KD_TRY(kd_opt_set(v, "recommend.count", count, "--objective", err));
    size_t n = (size_t)x->budget + 1;
    x->points = kd_arena_calloc(x->arena, n * x->space.n, sizeof *x->points);
    x->values = kd_arena_calloc(x->arena, n, sizeof *x->values);
    x->trials = kd_arena_calloc(x->arena, n, sizeof *x->trials);
    x->order = kd_arena_calloc(x->arena, n, sizeof *x->order);
    x->tried = kd_arena_calloc(x->arena, n, sizeof *x->tried);
    if (x->points == NULL || x->values == NULL || x->trials == NULL || x->order == NULL ||
        x->tried == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %lld trials", (long long)x->budget);
    KD_TRY(kd_held_out_load(x->arena, flags, v, NULL, &x->protocol, err));
    return open_journal(x, err);
}

static kd_rc run(tune *x, const kd_flag *flags, kd_err *err)
{
    KD_TRY(open_all(x, flags, err));
    if (!x->is_quiet && x->n > 0)
        fprintf(stderr, "%u trials in %s\n", x->n, x->journal);
    kd_rc rc = KD_OK;
    while (rc == KD_OK && x->n < x->budget)
        rc = try_next(x, err);
    if (rc != KD_OK && rc != KD_END)
        return rc;
    if (rc == KD_END && !x->is_quiet)
        fprintf(stderr, "%u trials, and no other setting is in the space: the search ends\n", x->n);
    return write_best(x, kd_flag_value(flags, "out"), err);
}

static int verb_tune(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        KD_HELD_OUT_FLAGS,
        {.name = "space", .has_value = true},
        {.name = "journal", .has_value = true},
        {.name = "trials", .has_value = true},
        {.name = "objective", .has_value = true},
        {.name = "seed", .has_value = true},
        {.name = "out", .has_value = true},
        {.name = "quiet"},
        {0},
    };
    tune x = {.arena = kd_arena_new(0)};
    kd_rc rc = x.arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, x.arena, &x.common, NULL, NULL, err);
    if (rc == KD_OK && x.common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = run(&x, flags, err);
    if (x.file != NULL)
        fclose(x.file);
    kd_protocol_free(x.protocol);
    kd_common_dispose(&x.common);
    kd_arena_free(x.arena);
    return rc == KD_RETRY ? KD_EXIT_INTERRUPTED : kd_exit_of(rc);
}

const kd_verb kd_verb_tune = {
    "tune", "search settings on held-out sessions; a journal lets it go on", help, verb_tune};
