/* verb_recommend.c - questions to a learned state, each answered without learning from it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/gz.h"
#include "base/timefmt.h"
#include "cli/files.h"
#include "consumers/sources.h"
#include "schemas/json.h"
#include "schemas/jval.h"
#include "sinks/sinks.h"
#include "topology/restore.h"

static const char help[] =
    "usage: kindred recommend --in EVENTS...|--snapshot DIR --ask QUESTIONS.jsonl [--out FILE|-] "
    "[flags]\n\n"
    "  --in EVENTS...          learned first: .jsonl, .csv, .tsv, .avro, each also .gz\n"
    "  --snapshot DIR          instead: the state of a snapshot, or of the newest one in DIR\n"
    "  --map MAP.yaml, --now TIME, --dead-letters FILE    as for replay\n"
    "  --ask QUESTIONS.jsonl   one question a line:\n"
    "       {\"shopper_id\":\"u1\"}                         somebody known\n"
    "       "
    "{\"id\":\"q1\",\"events\":[{\"item_id\":\"i1\",\"time\":1700000000000,\"action\":\"VIEW\"}]}\n"
    "                          somebody unknown who did this; `time` is \"now\", else the last "
    "event's\n"
    "  --out FILE|-            one answer a line, in the order of the questions (default -)\n\n"
    "No question teaches anything: the next one is asked of the same state. One that cannot be\n"
    "answered gets {\"line\":N,\"error\":\"...\"} in its place; the others are answered, and the "
    "exit\n"
    "code is 1.\n";

typedef struct recommend {
    kd_common common;
    kd_arena *arena, *scratch;
    kd_source *source;
    kd_sink *sink;
    kd_recommender *rec;
    kd_pipeline *pipeline;
    kd_reader_space *space;
    kd_ms now; /* when a question names no time */
    kd_reader *ask;
    FILE *out;
    kd_buf line;
    int64_t n_questions, n_faults, first_fault;
} recommend;

enum { FAULTS_SHOWN = 20 };

/* -- questions ------------------------------------------------------------------------------------
 */

static kd_rc read_time(const kd_jval *v, kd_ms *out, kd_err *err)
{
    if (kd_jval_kind(v) == KD_JINT) {
        *out = kd_jval_int(v);
        return KD_OK;
    }
    if (kd_jval_kind(v) == KD_JSTR)
        return kd_time_parse_iso(kd_jval_str(v), out, err);
    return kd_bad(err, KD_REASON_FIELD, "time is %s, milliseconds or ISO 8601 is right",
                  kd_jval_kind_name(v));
}

static kd_rc read_action(const kd_jval *v, kd_action *out, kd_err *err)
{
    *out = KD_VIEW;
    if (v == NULL)
        return KD_OK;
    for (int a = 0; a < KD_ACTIONS; a++) {
        *out = (kd_action)a;
        if (kd_str_eq(kd_jval_str(v), kd_str_of(kd_action_name(*out))))
            return KD_OK;
    }
    return kd_bad(err, KD_REASON_FIELD, "action is none of VIEW, LIKE, CART, PAID, CANCELLED");
}

static kd_rc read_events(const kd_jval *list, kd_arena *a, kd_interaction **out, uint32_t *out_n,
                         kd_err *err)
{
    uint32_t n = (uint32_t)kd_jval_size(list);
    kd_interaction *events = kd_arena_calloc(a, (size_t)n + 1, sizeof *events);
    if (kd_jval_kind(list) != KD_JARRAY || events == NULL)
        return kd_bad(err, KD_REASON_FIELD, "events is %s, a list is right",
                      kd_jval_kind_name(list));
    for (uint32_t k = 0; k < n; k++) {
        const kd_jval *e = kd_jval_at(list, k), *time = kd_jval_get(e, "time");
        events[k].item_id = kd_jval_str(kd_jval_get(e, "item_id"));
        if (events[k].item_id.p == NULL || events[k].item_id.n == 0)
            return kd_bad(err, KD_REASON_ID, "event %u has no item_id", k);
        KD_TRY(read_action(kd_jval_get(e, "action"), &events[k].action, err));
        events[k].time = k > 0 ? events[k - 1].time : KD_MS_2000;
        if (time != NULL) /* without times the order of the list is all there is */
            KD_TRY(read_time(time, &events[k].time, err));
        else
            events[k].time++;
    }
    *out = events;
    *out_n = n;
    return KD_OK;
}

static void print_answer(recommend *x, const char *name, kd_str id, const kd_update *u,
                         const kd_similar *near)
{
    kd_buf *b = &x->line;
    kd_buf_clear(b);
    kd_buf_addf(b, "{\"%s\":", name);
    kd_json_str(b, id);
    kd_buf_adds(b, ",\"items\":[");
    for (uint32_t k = 0; k < u->n_items; k++) {
        const kd_item *it = &u->items[k];
        kd_buf_adds(b, k == 0 ? "{\"item_id\":" : ",{\"item_id\":");
        kd_json_str(b, it->item_id);
        kd_buf_adds(b, ",\"score\":");
        kd_json_real(b, it->score);
        kd_buf_adds(b, ",\"parts\":");
        kd_json_parts(b, it);
        kd_buf_addc(b, '}');
    }
    kd_buf_adds(b, "],\"neighbours\":[");
    for (uint32_t k = 0; k < near->n_neighbours; k++) {
        kd_buf_adds(b, k == 0 ? "{\"shopper_id\":" : ",{\"shopper_id\":");
        kd_json_str(b, near->neighbours[k].shopper_id);
        kd_buf_adds(b, ",\"similarity\":");
        kd_json_real(b, near->neighbours[k].similarity);
        kd_buf_addc(b, '}');
    }
    kd_buf_adds(b, "]}\n");
}

static kd_rc answer(recommend *x, const kd_jval *q, kd_err *err)
{
    const kd_jval *shopper = kd_jval_get(q, "shopper_id"), *events = kd_jval_get(q, "events");
    const kd_jval *time = kd_jval_get(q, "time");
    kd_update u;
    kd_similar near;
    if (events != NULL) {
        kd_interaction *list = NULL;
        uint32_t n = 0;
        KD_TRY(read_events(events, x->scratch, &list, &n, err));
        kd_ms now = n > 0 ? list[n - 1].time : KD_MS_2000;
        if (time != NULL)
            KD_TRY(read_time(time, &now, err));
        KD_TRY(kd_recommender_ask(x->rec, x->space, list, n, now, x->scratch, &u, &near, err));
        print_answer(x, "id", kd_jval_str(kd_jval_get(q, "id")), &u, &near);
        return KD_OK;
    }
    kd_query asked = {.shopper_id = kd_jval_str(shopper), .time = x->now};
    if (asked.shopper_id.p == NULL)
        return kd_bad(err, KD_REASON_FIELD, "a question has a shopper_id, or an id and events");
    if (time != NULL)
        KD_TRY(read_time(time, &asked.time, err));
    KD_TRY(kd_recommender_answer(x->rec, x->space, &asked, x->scratch, &u, &near, err));
    print_answer(x, "shopper_id", asked.shopper_id, &u, &near);
    return KD_OK;
}

/* In the place of the answer, so that the k-th line still belongs to the k-th question; and on
 * standard error, for who looks at that. */
static void print_fault(recommend *x, const kd_jval *q, int64_t line, const char *path,
                        const kd_err *why)
{
    static const char *const names[] = {"shopper_id", "id"};
    kd_buf *b = &x->line;
    kd_buf_clear(b);
    kd_buf_addc(b, '{');
    for (int k = 0; k < 2; k++) {
        kd_str id = q == NULL ? KD_STR_NULL : kd_jval_str(kd_jval_get(q, names[k]));
        if (id.p == NULL)
            continue;
        kd_buf_addf(b, "\"%s\":", names[k]);
        kd_json_str(b, id);
        kd_buf_addc(b, ',');
    }
    kd_buf_addf(b, "\"line\":%lld,\"error\":", (long long)line);
    kd_json_str(b, kd_str_of(why->msg));
    kd_buf_adds(b, "}\n");
    if (x->n_faults++ == 0)
        x->first_fault = line;
    if (x->n_faults <= FAULTS_SHOWN)
        fprintf(stderr, "kindred: %s:%lld: %s\n", path, (long long)line, why->msg);
}

static kd_rc ask_all(recommend *x, const char *path, kd_err *err)
{
    for (;;) {
        kd_str text;
        kd_err why = {0};
        kd_jval *q = NULL;
        kd_rc rc = kd_reader_line(x->ask, 1 << 24, &text, &why);
        if (rc == KD_END)
            return KD_OK;
        if (rc == KD_OK && text.n == 0)
            continue;
        if (rc == KD_OK)
            rc = kd_jval_parse(text.p, text.n, &q, &why);
        if (rc == KD_OK)
            rc = answer(x, q, &why);
        int64_t line = kd_reader_line_no(x->ask);
        x->n_questions++;
        if (rc == KD_EDATA)
            print_fault(x, q, line, path, &why);
        kd_jval_free(q);
        kd_arena_reset(x->scratch);
        if (rc != KD_OK && rc != KD_EDATA) {
            *err = why;
            kd_err_at(err, "%s:%lld", path, (long long)line);
            return rc;
        }
        if (fwrite(x->line.p, 1, x->line.n, x->out) != x->line.n)
            return kd_fail(err, KD_EIO, "cannot write: %s", strerror(errno));
    }
}

/* A wrong question is the asker's to mend. */
static kd_rc tell_faults(const recommend *x, const char *path, kd_err *err)
{
    if (x->n_faults == 0)
        return KD_OK;
    return kd_fail(err, KD_ECONFIG,
                   "%s: %lld of %lld questions could not be answered, the first in line %lld", path,
                   (long long)x->n_faults, (long long)x->n_questions, (long long)x->first_fault);
}

/* -- learning
 * --------------------------------------------------------------------------------------- */

static kd_rc load(recommend *x, const kd_flag *flags, kd_err *err)
{
    kd_restore_options o = {.values = &x->common.config.values, .on_notice = kd_progress_notice};
    kd_restored r;
    if (kd_flag_given(flags, "in"))
        return kd_fail(err, KD_ECONFIG, "--in or --snapshot, not both");
    KD_TRY(kd_restore_one(&o, kd_flag_value(flags, "snapshot"), x->arena, &r, err));
    x->rec = r.rec;
    x->now = r.manifest.saved.state_time;
    KD_TRY(kd_recommender_prepare(x->rec, err));
    return kd_reader_space_new(x->rec, &x->space, err);
}

static kd_rc learn(recommend *x, const kd_flag *flags, kd_err *err)
{
    if (kd_flag_given(flags, "snapshot"))
        return load(x, flags, err);
    const kd_opt_values *v = &x->common.config.values;
    const char *dead = kd_flag_value(flags, "dead-letters");
    KD_TRY(kd_files_open(x->arena, flags, &x->source, NULL, err));
    KD_TRY(dead != NULL ? kd_jsonl_sink_new(dead, KD_TAKE_DEAD_LETTERS, &x->sink, err)
                        : kd_tee_sink_new(NULL, 0, &x->sink, err));
    KD_TRY(kd_recommender_new(v, &x->rec, err));
    kd_pipeline_options po = kd_config_pipeline(v);
    po.workers = 1;
    po.is_silent = true;
    po.on_notice = kd_progress_notice;
    KD_TRY(kd_pipeline_new(&po, x->source, x->rec, x->sink, &x->pipeline, err));
    KD_TRY(x->source->kind->start(x->source, err));
    KD_TRY(x->sink->kind->start(x->sink, err));
    kd_replay_options o = {.stop = kd_stop_on_signals()};
    KD_TRY(kd_replay(&o, x->pipeline, x->source, x->sink, err));
    x->now = kd_pipeline_time(x->pipeline);
    return kd_reader_space_new(x->rec, &x->space, err);
}

static kd_rc run(recommend *x, const kd_flag *flags, kd_err *err)
{
    const char *ask = kd_flag_value(flags, "ask"), *out = kd_flag_value(flags, "out");
    if (ask == NULL)
        return kd_fail(err, KD_ECONFIG, "--ask QUESTIONS.jsonl is missing; --help shows how");
    KD_TRY(kd_reader_open(ask, &x->ask, err));
    bool is_stdout = out == NULL || strcmp(out, "-") == 0;
    KD_TRY(learn(x, flags, err));
    x->out = is_stdout ? stdout : fopen(out, "we");
    if (x->out == NULL)
        return kd_fail(err, KD_EIO, "cannot write %s: %s", out, strerror(errno));
    kd_rc rc = ask_all(x, ask, err);
    if (fflush(x->out) != 0 && rc == KD_OK)
        rc = kd_fail(err, KD_EIO, "cannot write: %s", strerror(errno));
    return rc == KD_OK ? tell_faults(x, ask, err) : rc;
}

static int verb_recommend(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "in", .has_value = true, .many = true},
        {.name = "snapshot", .has_value = true},
        {.name = "map", .has_value = true},
        {.name = "now", .has_value = true},
        {.name = "dead-letters", .has_value = true},
        {.name = "ask", .has_value = true},
        {.name = "out", .has_value = true},
        {0},
    };
    recommend x = {.arena = kd_arena_new(0), .scratch = kd_arena_new(0)};
    kd_rc rc = x.arena == NULL || x.scratch == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, x.arena, &x.common, NULL, NULL, err);
    if (rc == KD_OK && x.common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = run(&x, flags, err);
    if (x.out != NULL && x.out != stdout)
        fclose(x.out);
    kd_reader_space_free(x.space);
    kd_pipeline_free(x.pipeline);
    kd_recommender_free(x.rec);
    if (x.source != NULL)
        x.source->kind->close(x.source);
    if (x.sink != NULL)
        x.sink->kind->close(x.sink);
    kd_reader_close(x.ask);
    kd_buf_dispose(&x.line);
    kd_common_dispose(&x.common);
    kd_arena_free(x.scratch);
    kd_arena_free(x.arena);
    return kd_exit_of(rc);
}

const kd_verb kd_verb_recommend = {
    "recommend", "questions to a learned state, which learns nothing", help, verb_recommend};
