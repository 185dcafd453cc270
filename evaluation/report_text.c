/* report_text.c - the report as tables on a terminal, none wider than 100 columns. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "evaluation/report.h"

/* Longer names than NAME_MOST, and those of more configurations than two rows of columns hold, make
 * room for numbers; narrower columns than NARROWEST hold no value. */
enum { PAGE = 100, NAME_MOST = 20, NARROWEST = 8, NAME_ROOM = NAME_MOST + 1, SEGMENT_ROOM = 37 };

/* Of names that are options and file names: mostly ASCII. */
static size_t widest_name(const kd_report *r)
{
    size_t most = 0;
    for (uint32_t k = 0; k < r->n; k++)
        most = strlen(r->runs[k].name) > most ? strlen(r->runs[k].name) : most;
    return most;
}

/* Of columns with a value of each configuration, beside the names of segments. */
static uint32_t columns_of(size_t width)
{
    return (uint32_t)((PAGE - SEGMENT_ROOM) / (width + 2));
}

static bool is_numbered(const kd_report *r)
{
    size_t most = widest_name(r);
    return most > NAME_MOST || r->n > 2 * columns_of(most < NARROWEST ? NARROWEST : most);
}

static int name_width(const kd_report *r)
{
    size_t most = widest_name(r);
    return is_numbered(r) || most < NARROWEST ? NARROWEST : (int)most;
}

/* What a configuration is called in the tables: its name, or its number in the legend. */
static const char *called(const kd_report *r, uint32_t k, char out[NAME_ROOM])
{
    if (is_numbered(r))
        snprintf(out, NAME_ROOM, "#%u", k + 1);
    else
        snprintf(out, NAME_ROOM, "%s", r->runs[k].name);
    return out;
}

/* Numbers and whole names: two names may differ in their last letter alone. */
static void add_legend(const kd_report *r, kd_buf *out)
{
    if (!is_numbered(r))
        return;
    kd_buf_addc(out, '\n');
    for (uint32_t k = 0; k < r->n; k++) {
        char name[NAME_ROOM];
        kd_buf_addf(out, "%-*s  %s\n", NARROWEST, called(r, k, name), r->runs[k].name);
    }
}

static char mark_of(const kd_versus *v)
{
    if (v->p < 0 || v->p >= KD_SIGNIFICANT)
        return ' ';
    return v->diff.value > 0 ? '+' : '-';
}

static void add_log(const kd_report *r, kd_buf *out)
{
    char first[32] = "-", last[32] = "-";
    if (r->first != KD_MS_NONE) {
        kd_time_iso(r->first, first);
        kd_time_iso(r->last, last);
    }
    kd_buf_addf(out, "%s\n", r->input);
    kd_buf_addf(out, "%lld records, %lld dead letters, %lld shoppers, %lld items\n%s to %s\n",
                (long long)r->records, (long long)r->dead_letters, (long long)r->shoppers,
                (long long)r->items, first, last);
    const kd_unit_counts *u = kd_scorer_units(r->runs[0].scorer);
    kd_buf_addf(out,
                "%lld questions judged (%lld shoppers)\n%lld had no list yet, %lld were "
                "cancellations, %lld only taught\n",
                (long long)u->scored, (long long)kd_compare_shoppers(r->compare),
                (long long)u->unanswered, (long long)u->empty, (long long)u->only_learnt);
}

static void add_digests(const kd_report *r, int width, kd_buf *out)
{
    kd_buf_addf(out, "\n%-*s  %-32s  %-32s  %10s\n", width, "", "output digest", "state digest",
                "updates");
    char name[NAME_ROOM];
    for (uint32_t k = 0; k < r->n; k++)
        kd_buf_addf(out, "%-*s  %s  %s  %10lld\n", width, called(r, k, name),
                    r->runs[k].output_digest, r->runs[k].state_digest,
                    (long long)r->runs[k].updates);
}

/* Each metric at one cut-off, a row a configuration. */
static void add_cutoff(const kd_report *r, int width, uint32_t c, kd_buf *out)
{
    char name[NAME_ROOM];
    snprintf(name, sizeof name, "@%u", r->cutoffs.k[c]);
    kd_buf_addf(out, "\n%-*s", width, name);
    for (uint32_t m = 0; m < KD_METRICS; m++)
        kd_buf_addf(out, "%10s ", kd_metric_name((kd_metric)m));
    kd_buf_adds(out, "\n");
    for (uint32_t k = 0; k < r->n; k++) {
        const kd_verdict *v = kd_compare_verdict(r->compare, k);
        kd_buf_addf(out, "%-*s", width, called(r, k, name));
        for (uint32_t m = 0; m < KD_METRICS; m++)
            kd_buf_addf(out, "%10.5f%c", v->total[m][c].value,
                        k == 0 ? ' ' : mark_of(&v->total_versus[m][c]));
        kd_buf_addf(out, "\n%*s", width, "");
        for (uint32_t m = 0; m < KD_METRICS; m++) {
            char half[24];
            double reach = (v->total[m][c].high - v->total[m][c].low) / 2;
            snprintf(half, sizeof half, "±%.5f", reach);
            kd_buf_addf(out, "%11s ", half); /* ± takes two bytes, one column */
        }
        kd_buf_adds(out, "\n");
    }
}

/* F1 as others mean it: a column a cut-off. */
static void add_f1(const kd_report *r, int width, bool is_by_shopper, kd_buf *out)
{
    char name[NAME_ROOM];
    kd_buf_addf(out, "\nF1, %s\n%-*s",
                is_by_shopper ? "the mean over shoppers of theirs"
                              : "of the means of precision and recall",
                width, "");
    for (uint32_t c = 0; c < r->cutoffs.n; c++) {
        snprintf(name, sizeof name, "@%u", r->cutoffs.k[c]);
        kd_buf_addf(out, "%10s", name);
    }
    kd_buf_adds(out, "\n");
    for (uint32_t k = 0; k < r->n; k++) {
        const kd_verdict *v = kd_compare_verdict(r->compare, k);
        kd_buf_addf(out, "%-*s", width, called(r, k, name));
        for (uint32_t c = 0; c < r->cutoffs.n; c++)
            kd_buf_addf(out, "%10.5f",
                        is_by_shopper ? v->by_shopper[KD_F1][c].value : v->f1_of_means[c].value);
        kd_buf_adds(out, "\n");
    }
}

static void add_lists(const kd_report *r, int width, kd_buf *out)
{
    char name[NAME_ROOM];
    kd_buf_addf(out, "\n%-*s  %9s  %8s  %8s  %8s\n", width, "", "coverage", "novelty", "popular",
                "churn");
    for (uint32_t k = 0; k < r->n; k++) {
        const kd_list_sums *l = kd_scorer_lists(r->runs[k].scorer);
        kd_buf_addf(out, "%-*s  %8.2f%%  %8.3f  %7.2f%%  %7.2f%%\n", width, called(r, k, name),
                    100 *
                        kd_metric_coverage(kd_scorer_listed(r->runs[k].scorer), (uint64_t)r->items),
                    l->items > 0 ? l->novelty / (double)l->items : 0,
                    100 * kd_metric_share((uint64_t)l->popular, (uint64_t)l->items),
                    l->followed > 0 ? 100 * l->churn / (double)l->followed : 0);
    }
}

static void add_parts(const kd_report *r, int width, kd_buf *out)
{
    char name[NAME_ROOM], part[64];
    kd_buf_adds(out, "\nparts of the listed items\n");
    for (uint32_t k = 0; k < r->n; k++) {
        const kd_list_sums *l = kd_scorer_lists(r->runs[k].scorer);
        uint32_t n_parts;
        const kd_part_sums *p = kd_scorer_parts(r->runs[k].scorer, &n_parts);
        kd_buf_addf(out, "%-*s", width, called(r, k, name));
        int at = width;
        for (uint32_t i = 0; i < n_parts; i++) {
            int n = snprintf(part, sizeof part, "  %s %.2f%%", p[i].name,
                             100 * kd_metric_share((uint64_t)p[i].items, (uint64_t)l->items));
            if (at + n > PAGE) {
                kd_buf_addf(out, "\n%*s", width, "");
                at = width;
            }
            kd_buf_adds(out, part);
            at += n;
        }
        kd_buf_adds(out, "\n");
    }
}

/* One metric of configurations first to end, a row a segment. */
static void add_segment_rows(const kd_report *r, int width, kd_metric metric, uint32_t first,
                             uint32_t end, kd_buf *out)
{
    char name[NAME_ROOM];
    kd_buf_addf(out, "\n%s@%u by segment\n%-26s  %9s", kd_metric_name(metric),
                r->cutoffs.k[r->cutoffs.head], "", "questions");
    for (uint32_t k = first; k < end; k++)
        kd_buf_addf(out, "  %*s", width, called(r, k, name));
    kd_buf_adds(out, "\n");
    for (uint32_t s = 0; s < KD_SEGMENTS; s++) {
        int64_t n = kd_compare_segment_units(r->compare, (kd_segment)s);
        if (n == 0)
            continue;
        kd_buf_addf(out, "%-26s  %9lld", kd_segment_name((kd_segment)s), (long long)n);
        for (uint32_t k = first; k < end; k++) {
            const kd_verdict *v = kd_compare_verdict(r->compare, k);
            const kd_versus *versus = s == KD_SEG_ALL ? &v->total_versus[metric][r->cutoffs.head]
                                                      : &v->segment_versus[s][metric];
            kd_buf_addf(out, "  %*.5f%c", width - 1, v->segment[s][metric].value,
                        k == 0 ? ' ' : mark_of(versus));
        }
        kd_buf_adds(out, "\n");
    }
}

static void add_segments(const kd_report *r, int width, kd_buf *out)
{
    const kd_metric shown[] = {KD_HIT_RATE, KD_NDCG};
    const uint32_t most = columns_of((size_t)width);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        for (uint32_t k = 0; k < r->n; k += most)
            add_segment_rows(r, width, shown[i], k, r->n - k < most ? r->n : k + most, out);
}

static void add_measured(const kd_report *r, int width, kd_buf *out)
{
    kd_buf_addf(out, "\n%-*s  %10s  %12s  %10s  %10s  %10s\n", width, "measured", "busy s",
                "events/s", "p50 us", "p99 us", "judging s");
    for (uint32_t k = 0; k < r->n; k++) {
        const kd_report_run *x = &r->runs[k];
        char name[NAME_ROOM];
        kd_buf_addf(out, "%-*s  %10.3f  %12.0f  %10.1f  %10.1f  %10.3f\n", width,
                    called(r, k, name), x->pace.busy_s,
                    x->pace.busy_s > 0 ? (double)x->events / x->pace.busy_s : 0, x->pace.p50_us,
                    x->pace.p99_us, x->pace.judge_s);
    }
    kd_buf_addf(out,
                "%.3f s in all on %u threads; of them %.3f s reading beside it, %.3f s resampling "
                "after it\n",
                r->elapsed_s + r->compare_s, r->threads, r->read_s, r->compare_s);
}

void kd_report_text(const kd_report *r, kd_buf *out)
{
    int width = name_width(r);
    add_log(r, out);
    add_legend(r, out);
    add_digests(r, width, out);
    for (uint32_t c = 0; c < r->cutoffs.n; c++)
        add_cutoff(r, width, c, out);
    add_f1(r, width, true, out);
    add_f1(r, width, false, out);
    add_lists(r, width, out);
    add_parts(r, width, out);
    add_segments(r, width, out);
    add_measured(r, width, out);
    kd_buf_addf(out,
                "\n± half of the 95 %% interval (bootstrap over shoppers, %u resamples, seed "
                "%llu).",
                r->resamples, (unsigned long long)r->seed);
    char name[NAME_ROOM];
    if (r->n > 1)
        kd_buf_addf(out,
                    "\n+ and -: better or worse than %s, p < %g, corrected for all comparisons "
                    "in the table.",
                    called(r, 0, name), KD_SIGNIFICANT);
    kd_buf_adds(out, "\n");
}
