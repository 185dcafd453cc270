/* report_html.c - the report as one page: no script, no font, no picture from elsewhere. It is
 * well-formed XML too, so that programs can check it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "evaluation/chart.h"
#include "evaluation/report.h"
#include "evaluation/report_page.h"

/* What is gathered for one chart; room is taken once, for the largest. */
typedef struct page {
    const kd_report *r;
    kd_buf *out;
    const char **names; /* [n] configurations */
    double *y, *low, *high, *x;
    bool *hollow;
    const char **labels;
    char (*label_text)[24];
    uint32_t most; /* points of a series */
} page;

static bool page_open(page *p, const kd_report *r, kd_buf *out)
{
    *p = (page){.r = r, .out = out};
    uint32_t n_windows = kd_scorer_windows(r->runs[0].scorer)->n;
    p->most = n_windows + r->n + KD_SEGMENTS + KD_METRICS + KD_SCORE_PARTS;
    size_t n = (size_t)p->most * (r->n + KD_SCORE_PARTS);
    p->names = calloc(r->n, sizeof(const char *));
    p->y = calloc(n, sizeof(double));
    p->low = calloc(n, sizeof(double));
    p->high = calloc(n, sizeof(double));
    p->x = calloc(p->most, sizeof(double));
    p->hollow = calloc(n, sizeof(bool));
    p->labels = calloc(p->most, sizeof(const char *));
    p->label_text = calloc(p->most, sizeof *p->label_text);
    for (uint32_t k = 0; p->names != NULL && k < r->n; k++)
        p->names[k] = r->runs[k].name;
    return p->names != NULL && p->y != NULL && p->low != NULL && p->high != NULL && p->x != NULL &&
           p->hollow != NULL && p->labels != NULL && p->label_text != NULL;
}

static void page_close(page *p)
{
    free(p->names);
    free(p->y);
    free(p->low);
    free(p->high);
    free(p->x);
    free(p->hollow);
    free(p->labels);
    free(p->label_text);
}

static uint32_t head_k(const page *p)
{
    return p->r->cutoffs.k[p->r->cutoffs.head];
}

static const kd_verdict *verdict(const page *p, uint32_t k)
{
    return kd_compare_verdict(p->r->compare, k);
}

static bool is_significant(const kd_versus *v)
{
    return v->p >= 0 && v->p < KD_SIGNIFICANT;
}

/* -- in short -----------------------------------------------------------------------------------
 */

static void add_heading(const page *p)
{
    const kd_report *r = p->r;
    const kd_unit_counts *u = kd_scorer_units(r->runs[0].scorer);
    char first[32] = "–", last[32] = "–";
    if (r->first != KD_MS_NONE) {
        kd_time_iso(r->first, first);
        kd_time_iso(r->last, last);
        first[10] = last[10] = '\0';
    }
    kd_buf_addf(p->out, "<header><h1>Backtest</h1><p>%u configuration%s over ", r->n,
                r->n == 1 ? "" : "s");
    kd_html_text(p->out, r->input);
    kd_buf_addf(p->out,
                ": %lld records, %s to %s, %lld shoppers, %lld items. %lld questions of %lld "
                "shoppers were judged, each by the list that had been published before it.</p>"
                "</header>\n",
                (long long)r->records, first, last, (long long)r->shoppers, (long long)r->items,
                (long long)u->scored, (long long)kd_compare_shoppers(r->compare));
}

static void add_finding(const page *p, uint32_t k, kd_metric m)
{
    const kd_versus *v = &verdict(p, k)->total_versus[m][p->r->cutoffs.head];
    double base = verdict(p, 0)->total[m][p->r->cutoffs.head].value;
    bool is_sure = is_significant(v), is_better = v->diff.value > 0;
    kd_buf_addf(p->out, "<li class=\"%s\"><b>", !is_sure ? "same" : is_better ? "better" : "worse");
    kd_html_text(p->out, p->r->runs[k].name);
    kd_buf_addf(p->out, "</b>: %s@%u %+.5f", kd_metric_name(m), head_k(p), v->diff.value);
    if (base > 0)
        kd_buf_addf(p->out, " (%+.1f %%)", 100 * v->diff.value / base);
    kd_buf_addf(p->out, ", 95 %% interval %+.5f to %+.5f: %s than ", v->diff.low, v->diff.high,
                !is_sure    ? "not shown to be other"
                : is_better ? "better"
                            : "worse");
    kd_html_text(p->out, p->r->runs[0].name);
    kd_buf_addf(p->out, ", p = %.4f</li>\n", v->p);
}

static void add_findings(const page *p)
{
    kd_buf_adds(p->out, "<section><h2>In short</h2>\n");
    if (p->r->n > 1) {
        kd_buf_adds(p->out, "<ul class=\"findings\">\n");
        for (uint32_t k = 1; k < p->r->n; k++)
            add_finding(p, k, KD_NDCG);
        kd_buf_adds(p->out, "</ul>\n");
    }
}

/* -- tables -------------------------------------------------------------------------------------
 */

static void add_mark(const page *p, const kd_versus *v)
{
    if (!is_significant(v))
        return;
    bool is_better = v->diff.value > 0;
    const char *word = is_better ? "better" : "worse";
    kd_buf_addf(p->out,
                " <abbr class=\"%s\" role=\"img\" aria-label=\"%s than the first\" title=\"%s than "
                "the first, p = %.4f\">%s</abbr>",
                word, word, word, v->p, is_better ? "▲" : "▼");
}

static void add_estimate(const page *p, const kd_estimate *e, const kd_versus *v)
{
    kd_buf_addf(p->out, "<td>%.5f", e->value);
    if (v != NULL)
        add_mark(p, v);
    kd_buf_addf(p->out, "<small>%.4f–%.4f</small></td>", e->low, e->high);
}

static void begin_table(const page *p, const char *caption, const char *first)
{
    kd_buf_adds(p->out, "<div class=\"scroll\" tabindex=\"0\"><table><caption><span>");
    kd_html_text(p->out, caption);
    kd_buf_addf(p->out, "</span></caption><thead><tr><th scope=\"col\">%s</th>", first);
}

static void add_head(const page *p, const char *text)
{
    kd_buf_adds(p->out, "<th scope=\"col\">");
    kd_html_text(p->out, text);
    kd_buf_adds(p->out, "</th>");
}

static void begin_row(const page *p, const char *name)
{
    kd_buf_adds(p->out, "<tr><th scope=\"row\">");
    kd_html_text(p->out, name);
    kd_buf_adds(p->out, "</th>");
}

static void end_table(const page *p)
{
    kd_buf_adds(p->out, "</tbody></table></div>\n");
}

static void add_cutoff(const page *p, uint32_t c)
{
    char caption[120];
    snprintf(caption, sizeof caption,
             "Means over all questions at the first %u items, with 95 %% intervals",
             p->r->cutoffs.k[c]);
    begin_table(p, caption, "configuration");
    for (uint32_t m = 0; m < KD_METRICS; m++)
        add_head(p, kd_metric_name((kd_metric)m));
    add_head(p, "F1, mean of shoppers");
    add_head(p, "F1 of the means");
    kd_buf_adds(p->out, "</tr></thead><tbody>");
    for (uint32_t k = 0; k < p->r->n; k++) {
        const kd_verdict *v = verdict(p, k);
        begin_row(p, p->names[k]);
        for (uint32_t m = 0; m < KD_METRICS; m++)
            add_estimate(p, &v->total[m][c], k == 0 ? NULL : &v->total_versus[m][c]);
        add_estimate(p, &v->by_shopper[KD_F1][c], NULL);
        add_estimate(p, &v->f1_of_means[c], NULL);
        kd_buf_adds(p->out, "</tr>");
    }
    end_table(p);
}

static void add_tables(const page *p)
{
    const kd_cutoffs *c = &p->r->cutoffs;
    add_cutoff(p, c->head);
    if (p->r->n > 1) {
        kd_buf_adds(p->out, "<p class=\"note\">▲ better, ▼ worse than <b>");
        kd_html_text(p->out, p->names[0]);
        kd_buf_addf(p->out,
                    "</b> with p &lt; %g, corrected for everything compared in these tables "
                    "together (sign-flip permutations of shoppers, max-T).</p>\n",
                    KD_SIGNIFICANT);
    }
    if (c->n > 1) {
        kd_buf_adds(p->out, "<details><summary>Other cut-offs</summary>\n");
        for (uint32_t k = 0; k < c->n; k++)
            if (k != c->head)
                add_cutoff(p, k);
        kd_buf_adds(p->out, "</details>\n");
    }
    kd_buf_adds(p->out, "</section>\n");
}

/* -- differences --------------------------------------------------------------------------------
 */

static void add_differences(page *p)
{
    uint32_t n = p->r->n - 1, c = p->r->cutoffs.head;
    for (uint32_t m = 0; m < KD_METRICS; m++) {
        double base = verdict(p, 0)->total[m][c].value;
        p->labels[m] = kd_metric_name((kd_metric)m);
        for (uint32_t k = 0; k < n; k++) {
            const kd_versus *v = &verdict(p, k + 1)->total_versus[m][c];
            size_t at = (size_t)k * KD_METRICS + m;
            p->y[at] = base > 0 ? 100 * v->diff.value / base : NAN;
            p->low[at] = base > 0 ? 100 * v->diff.low / base : NAN;
            p->high[at] = base > 0 ? 100 * v->diff.high / base : NAN;
            p->hollow[at] = !is_significant(v);
        }
    }
    char title[160], note[200];
    snprintf(title, sizeof title,
             "Difference from the first configuration at %u items, in per cent", head_k(p));
    snprintf(
        note, sizeof note,
        "Right of 0 is better than %.60s. Filled: significant; hollow: it may be chance. Lines "
        "are 95 %% intervals, paired.",
        p->names[0]);
    kd_chart chart = {.id = "differences",
                      .title = title,
                      .note = note,
                      .axis = "difference [% of the first configuration]",
                      .names = p->names + 1,
                      .n = n,
                      .first = 1};
    kd_points points = {p->y, p->low, p->high, KD_METRICS};
    kd_chart_dots(&chart, &points, p->labels, p->hollow, false, p->out);
}

/* -- over time ----------------------------------------------------------------------------------
 */

static const char *width_text(kd_ms ms, char out[48])
{
    static const struct {
        kd_ms ms;
        const char *name;
    } units[] = {{7 * KD_MS_DAY, "week"}, {KD_MS_DAY, "day"}, {3600000, "hour"}, {60000, "minute"}};
    for (size_t k = 0; k < sizeof units / sizeof *units; k++)
        if (ms >= units[k].ms && ms % units[k].ms == 0) {
            long long n = (long long)(ms / units[k].ms);
            snprintf(out, 48, "window of %lld %s%s, from (UTC)", n, units[k].name,
                     n == 1 ? "" : "s");
            return out;
        }
    snprintf(out, 48, "window of %lld ms, from (UTC)", (long long)ms);
    return out;
}

static void label_windows(page *p, const kd_windows *w)
{
    bool is_dates = w->width >= KD_MS_DAY;
    for (uint32_t i = 0; i < w->n; i++) {
        char iso[32];
        p->x[i] = (double)kd_windows_start(w, i);
        kd_time_iso(kd_windows_start(w, i), iso);
        iso[10] = ' ';
        snprintf(p->label_text[i], sizeof p->label_text[i], "%.*s", is_dates ? 10 : 11,
                 is_dates ? iso : iso + 5);
        p->labels[i] = p->label_text[i];
    }
}

static void add_metric_over_time(page *p, kd_metric m)
{
    const kd_windows *w = kd_scorer_windows(p->r->runs[0].scorer);
    for (uint32_t k = 0; k < p->r->n; k++)
        for (uint32_t i = 0; i < w->n; i++) {
            const kd_windows *mine = kd_scorer_windows(p->r->runs[k].scorer);
            size_t at = (size_t)k * w->n + i;
            p->y[at] = p->low[at] = p->high[at] = NAN;
            if (mine->window[i].row[0] <= 0)
                continue;
            kd_estimate e = kd_compare_window(p->r->compare, k, i, m);
            p->y[at] = e.value;
            p->low[at] = e.low;
            p->high[at] = e.high;
        }
    char id[40], title[80], width[48], axis[40];
    snprintf(id, sizeof id, "time-%s", kd_metric_name(m));
    snprintf(title, sizeof title, "%s@%u over time", kd_metric_name(m), head_k(p));
    snprintf(axis, sizeof axis, "%s@%u [0 to 1]", kd_metric_name(m), head_k(p));
    bool has_bands = p->r->n <= 3; /* more of them hide each other; the table has all */
    kd_chart chart = {.id = id,
                      .title = title,
                      .note = has_bands ? "Shaded: 95 % interval." : NULL,
                      .axis = axis,
                      .names = p->names,
                      .n = p->r->n};
    kd_points points = {p->y, has_bands ? p->low : NULL, has_bands ? p->high : NULL, w->n};
    kd_chart_lines(&chart, &points, p->x, p->labels, width_text(w->width, width), p->out);
}

typedef enum list_measure { CHURN, NOVELTY, POPULAR, LIST_MEASURES } list_measure;

static double measure_of(const kd_list_sums *l, list_measure what)
{
    if (what == CHURN)
        return l->followed > 0 ? 100 * l->churn / (double)l->followed : NAN;
    if (l->items == 0)
        return NAN;
    return what == NOVELTY ? l->novelty / (double)l->items
                           : 100 * (double)l->popular / (double)l->items;
}

static void add_lists_over_time(page *p, list_measure what)
{
    static const struct {
        const char *id, *title, *note, *axis;
    } texts[LIST_MEASURES] = {
        {"churn", "Churn: what changes from list to list",
         "Share of a shopper's list that was not in the list before it.", "new in the list [%]"},
        {"novelty", "Novelty: how surprising the listed items are",
         "1 bit: half of all shoppers had to do with it; 10 bits: one in a thousand.",
         "self-information [bit]"},
        {"popular", "Popular items in the lists",
         "Popular: among the 1 % of items that most shoppers had to do with.",
         "popular [% of the items]"},
    };
    const kd_windows *w = kd_scorer_windows(p->r->runs[0].scorer);
    for (uint32_t k = 0; k < p->r->n; k++)
        for (uint32_t i = 0; i < w->n; i++)
            p->y[(size_t)k * w->n + i] =
                measure_of(&kd_scorer_windows(p->r->runs[k].scorer)->window[i].lists, what);
    char width[48];
    kd_chart chart = {.id = texts[what].id,
                      .title = texts[what].title,
                      .note = texts[what].note,
                      .axis = texts[what].axis,
                      .names = p->names,
                      .n = p->r->n};
    kd_points points = {p->y, NULL, NULL, w->n};
    kd_chart_lines(&chart, &points, p->x, p->labels, width_text(w->width, width), p->out);
}

static void add_time_charts(page *p)
{
    static const kd_metric shown[] = {KD_NDCG, KD_HIT_RATE, KD_MRR, KD_RECALL};
    label_windows(p, kd_scorer_windows(p->r->runs[0].scorer));
    kd_buf_adds(p->out, "<section><h2>Over time</h2><div class=\"charts\">\n");
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
        add_metric_over_time(p, shown[k]);
    kd_buf_adds(p->out, "</div></section>\n");
}

/* -- segments -----------------------------------------------------------------------------------
 */

static void add_segment_chart(page *p, kd_metric m)
{
    uint32_t n = 0;
    uint32_t rows[KD_SEGMENTS];
    for (uint32_t s = 0; s < KD_SEGMENTS; s++)
        if (kd_compare_segment_units(p->r->compare, (kd_segment)s) > 0) {
            p->labels[n] = kd_segment_name((kd_segment)s);
            rows[n++] = s;
        }
    for (uint32_t k = 0; k < p->r->n; k++)
        for (uint32_t i = 0; i < n; i++) {
            const kd_verdict *v = verdict(p, k);
            const kd_versus *versus = rows[i] == KD_SEG_ALL
                                          ? &v->total_versus[m][p->r->cutoffs.head]
                                          : &v->segment_versus[rows[i]][m];
            size_t at = (size_t)k * n + i;
            p->y[at] = v->segment[rows[i]][m].value;
            p->low[at] = v->segment[rows[i]][m].low;
            p->high[at] = v->segment[rows[i]][m].high;
            p->hollow[at] = k > 0 && !is_significant(versus);
        }
    char id[40], title[80], axis[40];
    snprintf(id, sizeof id, "segment-%s", kd_metric_name(m));
    snprintf(title, sizeof title, "%s@%u by segment", kd_metric_name(m), head_k(p));
    snprintf(axis, sizeof axis, "%s@%u [0 to 1]", kd_metric_name(m), head_k(p));
    kd_chart chart = {
        .id = id,
        .title = title,
        .note = p->r->n > 1 ? "Lines are 95 % intervals. Hollow: not shown to differ from the "
                              "first configuration there."
                            : "Lines are 95 % intervals.",
        .axis = axis,
        .names = p->names,
        .n = p->r->n};
    kd_points points = {p->y, p->low, p->high, n};
    kd_chart_dots(&chart, &points, p->labels, p->hollow, false, p->out);
}

static void add_segments(page *p)
{
    kd_buf_adds(p->out, "<section><h2>By segment</h2><div class=\"charts\">\n");
    add_segment_chart(p, KD_NDCG);
    add_segment_chart(p, KD_HIT_RATE);
    kd_buf_adds(p->out, "</div>\n<p class=\"note\">Questions in each: ");
    bool is_first = true;
    for (uint32_t s = 0; s < KD_SEGMENTS; s++) {
        long long n = (long long)kd_compare_segment_units(p->r->compare, (kd_segment)s);
        if (n > 0)
            kd_buf_addf(p->out, "%s%s %lld", is_first ? "" : "; ", kd_segment_name((kd_segment)s),
                        n);
        is_first &= n == 0;
    }
    kd_buf_adds(p->out, ". A basket may ask for items of several kinds.</p></section>\n");
}

/* -- the lists themselves -----------------------------------------------------------------------
 */

static void add_parts(page *p)
{
    const char *names[KD_SCORE_PARTS];
    uint32_t n = 0, n_parts;
    for (uint32_t k = 0; k < p->r->n; k++) {
        const kd_part_sums *x = kd_scorer_parts(p->r->runs[k].scorer, &n_parts);
        for (uint32_t i = 0; i < n_parts; i++) {
            uint32_t at = 0;
            while (at < n && strcmp(names[at], x[i].name) != 0)
                at++;
            if (at == n && n < KD_SCORE_PARTS)
                names[n++] = x[i].name;
        }
    }
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t k = 0; k < p->r->n; k++) {
            const kd_part_sums *x = kd_scorer_parts(p->r->runs[k].scorer, &n_parts);
            int64_t total = kd_scorer_lists(p->r->runs[k].scorer)->items, mine = 0;
            for (uint32_t i = 0; i < n_parts; i++)
                mine += strcmp(x[i].name, names[s]) == 0 ? x[i].items : 0;
            p->y[(size_t)s * p->r->n + k] = 100 * kd_metric_share((uint64_t)mine, (uint64_t)total);
        }
    kd_chart chart = {.id = "parts",
                      .title = "Where the listed items come from",
                      .note = NULL,
                      .axis = "share of the items [%]",
                      .names = names,
                      .n = n};
    kd_points points = {p->y, NULL, NULL, p->r->n};
    kd_chart_shares(&chart, &points, p->names, p->out);
}

static void add_list_table(const page *p)
{
    begin_table(p, "The lists as a whole", "configuration");
    const char *const heads[] = {"lists published", "catalogue coverage [%]", "novelty [bit]",
                                 "popular items [%]", "churn [%]"};
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
        add_head(p, heads[k]);
    kd_buf_adds(p->out, "</tr></thead><tbody>");
    for (uint32_t k = 0; k < p->r->n; k++) {
        const kd_list_sums *l = kd_scorer_lists(p->r->runs[k].scorer);
        begin_row(p, p->names[k]);
        kd_buf_addf(p->out, "<td>%lld</td><td>%.2f</td>", (long long)l->lists,
                    100 * kd_metric_coverage(kd_scorer_listed(p->r->runs[k].scorer),
                                             (uint64_t)p->r->items));
        for (int m = 0; m < 3; m++) {
            double v = measure_of(l, m == 0 ? NOVELTY : m == 1 ? POPULAR : CHURN);
            kd_buf_addf(p->out, "<td>%.2f</td>", isfinite(v) ? v : 0);
        }
        kd_buf_adds(p->out, "</tr>");
    }
    end_table(p);
}

static void add_lists(page *p)
{
    label_windows(p, kd_scorer_windows(p->r->runs[0].scorer));
    kd_buf_adds(p->out, "<section><h2>The lists</h2>\n");
    add_list_table(p);
    kd_buf_adds(p->out, "<div class=\"charts\">\n");
    for (list_measure what = CHURN; what < LIST_MEASURES; what++)
        add_lists_over_time(p, what);
    add_parts(p);
    kd_buf_adds(p->out, "</div></section>\n");
}

/* -- measured -----------------------------------------------------------------------------------
 */

static void add_measured(page *p)
{
    static const char *const quantiles[] = {"p50", "p90", "p99"}, *const one[] = {"events"};
    uint32_t n = p->r->n;
    kd_buf_addf(
        p->out,
        "<section><h2>Speed</h2><p class=\"note\">Measured on this machine in this run (%u "
        "threads, other work beside it): no digest and no other number of this page depends "
        "on it. %.1f s in all, of which %.1f s of reading beside the runs and %.1f s of "
        "resampling after them.</p><div class=\"charts\">\n",
        p->r->threads, p->r->elapsed_s + p->r->compare_s, p->r->read_s, p->r->compare_s);
    for (uint32_t k = 0; k < n; k++) {
        const double q[] = {p->r->runs[k].pace.p50_us, p->r->runs[k].pace.p90_us,
                            p->r->runs[k].pace.p99_us};
        for (uint32_t i = 0; i < 3; i++)
            p->y[(size_t)i * n + k] = q[i] > 0 ? q[i] : NAN;
    }
    kd_chart latency = {.id = "latency",
                        .title = "Time for a list",
                        .note = "An epoch's time, from its records to its lists, over its lists.",
                        .axis = "time [µs], by powers of ten",
                        .names = quantiles,
                        .n = 3};
    kd_points points = {p->y, NULL, NULL, n};
    kd_chart_dots(&latency, &points, p->names, NULL, true, p->out);
    for (uint32_t k = 0; k < n; k++) {
        double busy = p->r->runs[k].pace.busy_s;
        p->y[k] = busy > 0 ? (double)p->r->runs[k].events / busy / 1000 : NAN;
    }
    kd_chart rate = {.id = "throughput",
                     .title = "Throughput of a run on one thread",
                     .note = NULL,
                     .axis = "thousand events a second",
                     .names = one,
                     .n = 1};
    kd_chart_dots(&rate, &points, p->names, NULL, false, p->out);
    kd_buf_adds(p->out, "</div></section>\n");
}

/* -- what was run -------------------------------------------------------------------------------
 */

static void add_digests(const page *p)
{
    begin_table(p, "Digests: equal for equal events and options, on any machine", "configuration");
    const char *const heads[] = {"output", "state", "events", "lists computed", "published"};
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
        add_head(p, heads[k]);
    kd_buf_adds(p->out, "</tr></thead><tbody>");
    for (uint32_t k = 0; k < p->r->n; k++) {
        const kd_report_run *x = &p->r->runs[k];
        begin_row(p, x->name);
        kd_buf_addf(p->out,
                    "<td class=\"hex\">%s</td><td class=\"hex\">%s</td><td>%lld</td><td>%lld</td>"
                    "<td>%lld</td></tr>",
                    x->output_digest, x->state_digest, (long long)x->events, (long long)x->lists,
                    (long long)x->updates);
    }
    end_table(p);
}

static void add_options(const page *p)
{
    if (p->r->n_options == 0) {
        kd_buf_adds(p->out, "<p>Every option is at its default.</p>\n");
        return;
    }
    begin_table(p, "Options that are not at their default; bold: they differ", "option");
    add_head(p, "default");
    for (uint32_t k = 0; k < p->r->n; k++)
        add_head(p, p->names[k]);
    kd_buf_adds(p->out, "</tr></thead><tbody>");
    for (uint32_t i = 0; i < p->r->n_options; i++) {
        const kd_report_option *o = &p->r->options[i];
        begin_row(p, o->name);
        kd_buf_adds(p->out, "<td>");
        kd_html_text(p->out, o->dflt[0] == '\0' ? "(empty)" : o->dflt);
        kd_buf_adds(p->out, "</td>");
        for (uint32_t k = 0; k < p->r->n; k++) {
            kd_buf_adds(p->out, o->differs ? "<td><b>" : "<td>");
            kd_html_text(p->out, o->values[k][0] == '\0' ? "(empty)" : o->values[k]);
            kd_buf_adds(p->out, o->differs ? "</b></td>" : "</td>");
        }
        kd_buf_adds(p->out, "</tr>");
    }
    end_table(p);
}

static void add_what_was_run(const page *p)
{
    const kd_unit_counts *u = kd_scorer_units(p->r->runs[0].scorer);
    kd_buf_adds(p->out, "<section><h2>What was run</h2>\n");
    kd_buf_addf(p->out, "<p>kindred %s; resampling with seed %llu, %u resamples of shoppers. ",
                p->r->version, (unsigned long long)p->r->seed, p->r->resamples);
    if (p->r->score_from != KD_MS_NONE) {
        char iso[32];
        kd_time_iso(p->r->score_from, iso);
        kd_buf_addf(p->out, "Events before %s only taught. ", iso);
    }
    if (p->r->score_parts > 0)
        kd_buf_addf(p->out, "Judged is part %u of %u of the shoppers; the others only taught. ",
                    p->r->score_part, p->r->score_parts);
    kd_buf_addf(p->out,
                "Questions: %lld judged, %lld whose shopper had no list yet, %lld that were "
                "cancellations, %lld that only taught. %lld dead letters.</p>\n",
                (long long)u->scored, (long long)u->unanswered, (long long)u->empty,
                (long long)u->only_learnt, (long long)p->r->dead_letters);
    add_options(p);
    add_digests(p);
    kd_buf_adds(p->out, kd_report_how_to_read);
    kd_buf_adds(p->out, "</section>\n");
}

void kd_report_html(const kd_report *r, kd_buf *out)
{
    page p;
    if (!page_open(&p, r, out)) {
        out->failed = true;
        page_close(&p);
        return;
    }
    for (const char *const *z = kd_report_page_begin; *z != NULL; z++)
        kd_buf_adds(out, *z);
    add_heading(&p);
    kd_buf_adds(out, "<main>\n");
    add_findings(&p);
    add_tables(&p);
    if (r->n > 1) {
        kd_buf_adds(out, "<section><h2>Differences</h2><div class=\"charts\">\n");
        add_differences(&p);
        kd_buf_adds(out, "</div></section>\n");
    }
    add_time_charts(&p);
    add_segments(&p);
    add_lists(&p);
    add_measured(&p);
    add_what_was_run(&p);
    kd_buf_adds(out, "</main></body></html>\n");
    page_close(&p);
}
