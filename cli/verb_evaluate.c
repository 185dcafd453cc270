/* verb_evaluate.c - published protocols: learn one part, ask every prefix of another, no learning
 * from it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/files.h"
#include "cli/held_out.h"
#include "schemas/json.h"

static const char help[] =
    "usage: kindred evaluate --train EVENTS... (--test FILE... | --holdout N|P%) "
    "[flags]\n\n" KD_HELD_OUT_HELP "  --lists LISTS.csv       another program's lists, "
    "SessionId;Position;Recommendations;Scores:\n"
    "                          only these positions are asked, and its figures stand beside ours\n"
    "  --at K,K,...            cut-offs (default 5,10,20); the greatest is recommend.count\n"
    "  --json                  one JSON object instead of a table\n\n"
    "The next item is looked for in the whole ranking. It may be one that the session already has\n"
    "where recommend.exclude=none says that such items are listed.\n";

enum { MAX_CUTS = 16 };

typedef struct evaluate {
    kd_common common;
    kd_arena *arena;
    kd_protocol *protocol;
    uint32_t cuts[MAX_CUTS], n_cuts;
} evaluate;

static kd_rc parse_cuts(evaluate *x, const char *text, kd_err *err)
{
    const char *at = text;
    for (x->n_cuts = 0; x->n_cuts < MAX_CUTS;) {
        char *end;
        long k = strtol(at, &end, 10);
        if (end == at || k < 1 || k > 1000 || (*end != ',' && *end != '\0'))
            break;
        x->cuts[x->n_cuts++] = (uint32_t)k;
        if (*end == '\0')
            return KD_OK;
        at = end + 1;
    }
    return kd_fail(err, KD_ECONFIG, "--at: \"%s\" is no list of up to %d numbers from 1 to 1000",
                   text, MAX_CUTS);
}

/* A row of the table: one metric at every cut-off. */
static void print_row(const evaluate *x, const char *name, const kd_protocol_figures *f,
                      size_t offset)
{
    printf("%-12s", name);
    for (uint32_t k = 0; k < x->n_cuts; k++)
        printf(" %8.4f", *(const double *)(const void *)((const char *)&f[k] + offset));
    putchar('\n');
}

static void print_figures(const evaluate *x, const char *who, const kd_protocol_figures *f)
{
    printf("%-12s", who);
    for (uint32_t k = 0; k < x->n_cuts; k++) {
        char at[16];
        snprintf(at, sizeof at, "@%u", x->cuts[k]);
        printf(" %8s", at);
    }
    putchar('\n');
    print_row(x, "  HR", f, offsetof(kd_protocol_figures, hit_rate));
    print_row(x, "  MRR", f, offsetof(kd_protocol_figures, mrr));
    print_row(x, "  NDCG", f, offsetof(kd_protocol_figures, ndcg));
}

static void json_figures(const evaluate *x, const char *who, const kd_protocol_figures *f,
                         kd_buf *b)
{
    kd_buf_addf(b, ",\"%s\":{", who);
    for (uint32_t k = 0; k < x->n_cuts; k++) {
        kd_buf_addf(b, "%s\"%u\":{\"hr\":", k == 0 ? "" : ",", x->cuts[k]);
        kd_json_real(b, f[k].hit_rate);
        kd_buf_adds(b, ",\"mrr\":");
        kd_json_real(b, f[k].mrr);
        kd_buf_adds(b, ",\"ndcg\":");
        kd_json_real(b, f[k].ndcg);
        kd_buf_addc(b, '}');
    }
    kd_buf_addc(b, '}');
}

static void figures_of(const evaluate *x, const uint16_t *ranks, kd_protocol_figures *out)
{
    uint32_t n = kd_protocol_sizes_of(x->protocol).positions;
    for (uint32_t k = 0; k < x->n_cuts; k++)
        out[k] = kd_protocol_figures_at(ranks, n, x->cuts[k]);
}

static void print_json(const evaluate *x, const kd_protocol_sizes *s, const kd_protocol_result *r,
                       const kd_protocol_figures *ours, const kd_protocol_figures *theirs)
{
    kd_buf b = {0};
    kd_buf_addf(&b,
                "{\"events\":%u,\"sessions\":%u,\"held_out\":%u,\"positions\":%u,\"unknown\":%u,"
                "\"bad\":%u,\"empty\":%u,\"items\":%u,\"listed\":%u,\"learn_ms\":%lld,"
                "\"ask_ms\":%lld",
                s->events, s->sessions, s->held_out, s->positions, s->unknown, s->bad, r->empty,
                r->items, r->listed, (long long)r->learn_ms, (long long)r->ask_ms);
    json_figures(x, "at", ours, &b);
    if (theirs != NULL)
        json_figures(x, "lists_at", theirs, &b);
    kd_buf_adds(&b, "}\n");
    fwrite(b.p, 1, b.n, stdout);
    kd_buf_dispose(&b);
}

static void print_table(const evaluate *x, const kd_protocol_sizes *s, const kd_protocol_result *r,
                        const kd_protocol_figures *ours, const kd_protocol_figures *theirs)
{
    printf("learned      %u events of %u sessions, %u items\n", s->events, s->sessions, r->items);
    printf("asked        %u positions of %u held out; the next item was never learned at %u\n",
           s->positions, s->held_out, s->unknown);
    if (s->bad > 0)
        printf("refused      %u records\n", s->bad);
    print_figures(x, "kindred", ours);
    if (theirs != NULL)
        print_figures(x, "lists", theirs);
    printf("coverage     %.4f of the items were in a list, %u lists were empty\n",
           r->items == 0 ? 0.0 : (double)r->listed / r->items, r->empty);
    printf("time         learned in %.2f s, asked in %.2f s, %.0f positions/s\n",
           (double)r->learn_ms / 1000, (double)r->ask_ms / 1000,
           1000.0 * s->positions / (double)(r->ask_ms > 0 ? r->ask_ms : 1));
}

static kd_rc run(evaluate *x, const kd_flag *flags, kd_err *err)
{
    const char *at = kd_flag_value(flags, "at");
    char count[16];
    uint32_t most = 0;
    kd_opt_values *v = &x->common.config.values;
    KD_TRY(parse_cuts(x, at == NULL ? "5,10,20" : at, err));
    for (uint32_t k = 0; k < x->n_cuts; k++)
        most = x->cuts[k] > most ? x->cuts[k] : most;
    snprintf(count, sizeof count, "%u", most);
    KD_TRY(kd_opt_set(v, "recommend.count", count, "--at", err));
    KD_TRY(kd_held_out_load(x->arena, flags, v, kd_flag_value(flags, "lists"), &x->protocol, err));
    kd_protocol_run_options o = {
        .values = v, .workers = kd_config_workers(v), .stop = kd_stop_on_signals()};
    kd_protocol_result r;
    KD_TRY(kd_protocol_run(x->protocol, &o, &r, err));
    kd_protocol_sizes s = kd_protocol_sizes_of(x->protocol);
    kd_protocol_figures ours[MAX_CUTS], theirs[MAX_CUTS];
    const uint16_t *other = kd_protocol_theirs(x->protocol);
    figures_of(x, r.ranks, ours);
    if (other != NULL)
        figures_of(x, other, theirs);
    if (kd_flag_given(flags, "json"))
        print_json(x, &s, &r, ours, other == NULL ? NULL : theirs);
    else
        print_table(x, &s, &r, ours, other == NULL ? NULL : theirs);
    return KD_OK;
}

static int verb_evaluate(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        KD_HELD_OUT_FLAGS,
        {.name = "lists", .has_value = true},
        {.name = "at", .has_value = true},
        {.name = "json"},
        {0},
    };
    evaluate x = {.arena = kd_arena_new(0)};
    kd_rc rc = x.arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, x.arena, &x.common, NULL, NULL, err);
    if (rc == KD_OK && x.common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = run(&x, flags, err);
    kd_protocol_free(x.protocol);
    kd_common_dispose(&x.common);
    kd_arena_free(x.arena);
    return rc == KD_RETRY ? KD_EXIT_INTERRUPTED : kd_exit_of(rc);
}

const kd_verb kd_verb_evaluate = {
    "evaluate", "figures of published protocols: every prefix of held-out sessions", help,
    verb_evaluate};
