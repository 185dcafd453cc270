/* report_data.c - the report as JSON and as CSV. Numbers are written so that reading them gives the
 * same double. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "evaluation/report.h"

/* -- JSON ---------------------------------------------------------------------------------------
 */

static void add_text(kd_buf *out, const char *z)
{
    kd_buf_addc(out, '"');
    for (; *z != '\0'; z++) {
        unsigned char c = (unsigned char)*z;
        if (c == '"' || c == '\\')
            kd_buf_addf(out, "\\%c", c);
        else if (c < 0x20)
            kd_buf_addf(out, "\\u%04x", c);
        else
            kd_buf_addc(out, (char)c);
    }
    kd_buf_addc(out, '"');
}

static void add_number(kd_buf *out, double x)
{
    kd_buf_addf(out, "%.17g", isfinite(x) ? x : 0);
}

static void add_time(kd_buf *out, kd_ms t)
{
    char text[32];
    if (t == KD_MS_NONE) {
        kd_buf_adds(out, "null");
        return;
    }
    kd_time_iso(t, text);
    kd_buf_addf(out, "\"%s\"", text);
}

static void add_estimate(kd_buf *out, const kd_estimate *e)
{
    kd_buf_adds(out, "{\"value\": ");
    add_number(out, e->value);
    kd_buf_adds(out, ", \"low\": ");
    add_number(out, e->low);
    kd_buf_adds(out, ", \"high\": ");
    add_number(out, e->high);
    kd_buf_addc(out, '}');
}

static void add_versus(kd_buf *out, const kd_versus *v)
{
    kd_buf_adds(out, ", \"versus\": {\"diff\": ");
    add_number(out, v->diff.value);
    kd_buf_adds(out, ", \"low\": ");
    add_number(out, v->diff.low);
    kd_buf_adds(out, ", \"high\": ");
    add_number(out, v->diff.high);
    if (v->p >= 0) {
        kd_buf_adds(out, ", \"p\": ");
        add_number(out, v->p);
        kd_buf_addf(out, ", \"significant\": %s", v->p < KD_SIGNIFICANT ? "true" : "false");
    }
    kd_buf_addc(out, '}');
}

static void add_metrics(const kd_report *r, uint32_t k, kd_buf *out)
{
    const kd_verdict *v = kd_compare_verdict(r->compare, k);
    kd_buf_adds(out, "      \"metrics\": [");
    for (uint32_t m = 0; m < KD_METRICS; m++)
        for (uint32_t c = 0; c < r->cutoffs.n; c++) {
            kd_buf_addf(out, "%s\n        {\"metric\": \"%s\", \"k\": %u, \"mean\": ",
                        m + c == 0 ? "" : ",", kd_metric_name((kd_metric)m), r->cutoffs.k[c]);
            add_estimate(out, &v->total[m][c]);
            kd_buf_adds(out, ", \"mean_of_shoppers\": ");
            add_estimate(out, &v->by_shopper[m][c]);
            if (k > 0)
                add_versus(out, &v->total_versus[m][c]);
            kd_buf_addc(out, '}');
        }
    kd_buf_adds(out, "\n      ],\n      \"f1_of_means\": [");
    for (uint32_t c = 0; c < r->cutoffs.n; c++) {
        kd_buf_addf(out, "%s{\"k\": %u, \"mean\": ", c == 0 ? "" : ", ", r->cutoffs.k[c]);
        add_estimate(out, &v->f1_of_means[c]);
        kd_buf_addc(out, '}');
    }
    kd_buf_adds(out, "],\n");
}

static void add_segments(const kd_report *r, uint32_t k, kd_buf *out)
{
    const kd_verdict *v = kd_compare_verdict(r->compare, k);
    kd_buf_addf(out, "      \"segments_at\": %u,\n      \"segments\": [",
                r->cutoffs.k[r->cutoffs.head]);
    for (uint32_t s = 0; s < KD_SEGMENTS; s++) {
        kd_buf_addf(out, "%s\n        {\"segment\": \"%s\", \"questions\": %lld", s == 0 ? "" : ",",
                    kd_segment_name((kd_segment)s),
                    (long long)kd_compare_segment_units(r->compare, (kd_segment)s));
        for (uint32_t m = 0; m < KD_METRICS; m++) {
            kd_buf_addf(out, ", \"%s\": {\"mean\": ", kd_metric_name((kd_metric)m));
            add_estimate(out, &v->segment[s][m]);
            if (k > 0)
                add_versus(out, s == KD_SEG_ALL ? &v->total_versus[m][r->cutoffs.head]
                                                : &v->segment_versus[s][m]);
            kd_buf_addc(out, '}');
        }
        kd_buf_addc(out, '}');
    }
    kd_buf_adds(out, "\n      ],\n");
}

static void add_list_sums(const kd_list_sums *l, kd_buf *out)
{
    kd_buf_addf(out,
                "\"lists\": %lld, \"listed_items\": %lld, \"novelty_bits\": ", (long long)l->lists,
                (long long)l->items);
    add_number(out, l->items > 0 ? l->novelty / (double)l->items : 0);
    kd_buf_adds(out, ", \"popular_share\": ");
    add_number(out, kd_metric_share((uint64_t)l->popular, (uint64_t)l->items));
    kd_buf_adds(out, ", \"churn\": ");
    add_number(out, l->followed > 0 ? l->churn / (double)l->followed : 0);
}

static void add_lists(const kd_report *r, uint32_t k, kd_buf *out)
{
    const kd_scorer *s = r->runs[k].scorer;
    const kd_list_sums *l = kd_scorer_lists(s);
    uint32_t n_parts;
    const kd_part_sums *p = kd_scorer_parts(s, &n_parts);
    kd_buf_adds(out, "      \"lists\": {");
    add_list_sums(l, out);
    kd_buf_adds(out, ", \"coverage\": ");
    add_number(out, kd_metric_coverage(kd_scorer_listed(s), (uint64_t)r->items));
    kd_buf_adds(out, ",\n        \"parts\": [");
    for (uint32_t i = 0; i < n_parts; i++) {
        kd_buf_addf(out, "%s{\"part\": ", i == 0 ? "" : ", ");
        add_text(out, p[i].name);
        kd_buf_addf(out, ", \"items\": %lld, \"lists\": %lld, \"hits\": %lld, \"share\": ",
                    (long long)p[i].items, (long long)p[i].lists, (long long)p[i].hits);
        add_number(out, kd_metric_share((uint64_t)p[i].items, (uint64_t)l->items));
        kd_buf_addc(out, '}');
    }
    kd_buf_adds(out, "]},\n");
}

static void add_windows(const kd_report *r, uint32_t k, kd_buf *out)
{
    const kd_windows *w = kd_scorer_windows(r->runs[k].scorer);
    kd_buf_addf(out, "      \"window_ms\": %lld,\n      \"windows\": [", (long long)w->width);
    for (uint32_t i = 0; i < w->n; i++) {
        const kd_window *x = &w->window[i];
        kd_buf_addf(out, "%s\n        {\"start\": ", i == 0 ? "" : ",");
        add_time(out, kd_windows_start(w, i));
        kd_buf_addf(out, ", \"questions\": %.0f, ", x->row[0]);
        add_list_sums(&x->lists, out);
        for (uint32_t m = 0; m < KD_METRICS; m++) {
            kd_estimate e = kd_compare_window(r->compare, k, i, (kd_metric)m);
            kd_buf_addf(out, ", \"%s\": ", kd_metric_name((kd_metric)m));
            add_estimate(out, &e);
        }
        kd_buf_addc(out, '}');
    }
    kd_buf_adds(out, "\n      ]\n");
}

static void add_run(const kd_report *r, uint32_t k, kd_buf *out)
{
    const kd_report_run *x = &r->runs[k];
    const kd_unit_counts *u = kd_scorer_units(x->scorer);
    kd_buf_adds(out, k == 0 ? "\n    {\n      \"name\": " : ",\n    {\n      \"name\": ");
    add_text(out, x->name);
    kd_buf_addf(out,
                ",\n      \"output_digest\": \"%s\", \"state_digest\": \"%s\",\n"
                "      \"events\": %lld, \"lists_computed\": %lld, \"updates\": %lld,\n"
                "      \"questions\": {\"judged\": %lld, \"no_list_yet\": %lld, \"cancellations\": "
                "%lld, \"only_taught\": %lld},\n",
                x->output_digest, x->state_digest, (long long)x->events, (long long)x->lists,
                (long long)x->updates, (long long)u->scored, (long long)u->unanswered,
                (long long)u->empty, (long long)u->only_learnt);
    add_metrics(r, k, out);
    add_segments(r, k, out);
    add_lists(r, k, out);
    add_windows(r, k, out);
    kd_buf_adds(out, "    }");
}

static void add_options(const kd_report *r, kd_buf *out)
{
    kd_buf_adds(out, "  \"options\": [");
    for (uint32_t k = 0; k < r->n_options; k++) {
        const kd_report_option *o = &r->options[k];
        kd_buf_addf(out, "%s\n    {\"name\": \"%s\", \"default\": ", k == 0 ? "" : ",", o->name);
        add_text(out, o->dflt);
        kd_buf_addf(out, ", \"differs\": %s, \"values\": [", o->differs ? "true" : "false");
        for (uint32_t i = 0; i < r->n; i++) {
            kd_buf_adds(out, i == 0 ? "" : ", ");
            add_text(out, o->values[i]);
        }
        kd_buf_adds(out, "]}");
    }
    kd_buf_adds(out, r->n_options > 0 ? "\n  ],\n" : "],\n");
}

static void add_measured(const kd_report *r, kd_buf *out)
{
    kd_buf_addf(out,
                "  \"measured\": {\"threads\": %u, \"elapsed_s\": %.3f, \"read_s\": %.3f, "
                "\"resample_s\": %.3f, \"runs\": [",
                r->threads, r->elapsed_s, r->read_s, r->compare_s);
    for (uint32_t k = 0; k < r->n; k++)
        kd_buf_addf(out,
                    "%s{\"busy_s\": %.3f, \"judge_s\": %.3f, \"list_us\": {\"p50\": %.2f, "
                    "\"p90\": %.2f, \"p99\": %.2f}}",
                    k == 0 ? "" : ", ", r->runs[k].pace.busy_s, r->runs[k].pace.judge_s,
                    r->runs[k].pace.p50_us, r->runs[k].pace.p90_us, r->runs[k].pace.p99_us);
    kd_buf_adds(out, "]}\n}\n");
}

void kd_report_json(const kd_report *r, kd_buf *out)
{
    kd_buf_adds(out, "{\n  \"version\": ");
    add_text(out, r->version);
    kd_buf_adds(out, ",\n  \"input\": ");
    add_text(out, r->input);
    kd_buf_addf(out,
                ",\n  \"records\": %lld, \"dead_letters\": %lld, \"shoppers\": %lld, \"items\": "
                "%lld, \"judged_shoppers\": %lld,\n  \"first\": ",
                (long long)r->records, (long long)r->dead_letters, (long long)r->shoppers,
                (long long)r->items, (long long)kd_compare_shoppers(r->compare));
    add_time(out, r->first);
    kd_buf_adds(out, ", \"last\": ");
    add_time(out, r->last);
    kd_buf_adds(out, ", \"score_from\": ");
    add_time(out, r->score_from);
    if (r->score_parts > 0)
        kd_buf_addf(out, ", \"score_shoppers\": \"%u/%u\"", r->score_part, r->score_parts);
    kd_buf_addf(out, ",\n  \"seed\": %llu, \"resamples\": %u, \"level\": 0.95, \"cutoffs\": [",
                (unsigned long long)r->seed, r->resamples);
    for (uint32_t c = 0; c < r->cutoffs.n; c++)
        kd_buf_addf(out, "%s%u", c == 0 ? "" : ", ", r->cutoffs.k[c]);
    kd_buf_adds(out, "],\n");
    add_options(r, out);
    kd_buf_adds(out, "  \"runs\": [");
    for (uint32_t k = 0; k < r->n; k++)
        add_run(r, k, out);
    kd_buf_adds(out, "\n  ],\n");
    add_measured(r, out);
}

/* -- CSV: RFC 4180 ------------------------------------------------------------------------------
 */

typedef struct cell {
    const char *scope, *segment, *window, *metric;
    uint32_t k; /* 0 = none */
} cell;

static void add_cell(kd_buf *out, const char *z)
{
    if (strpbrk(z, ",\"\r\n") == NULL) {
        kd_buf_adds(out, z);
        return;
    }
    kd_buf_addc(out, '"');
    for (; *z != '\0'; z++) {
        if (*z == '"')
            kd_buf_addc(out, '"');
        kd_buf_addc(out, *z);
    }
    kd_buf_addc(out, '"');
}

/* interval and versus may be NULL. */
static void add_line(const kd_report *r, uint32_t run, const cell *c, double value,
                     const kd_estimate *interval, const kd_versus *versus, kd_buf *out)
{
    add_cell(out, r->runs[run].name);
    kd_buf_addf(out, ",%s,%s,%s,%s,", c->scope, c->segment, c->window, c->metric);
    if (c->k > 0)
        kd_buf_addf(out, "%u", c->k);
    kd_buf_addf(out, ",%.17g,", value);
    if (interval != NULL)
        kd_buf_addf(out, "%.17g,%.17g", interval->low, interval->high);
    else
        kd_buf_addc(out, ',');
    if (versus != NULL && run > 0)
        kd_buf_addf(out, ",%.17g,%.17g,%.17g,", versus->diff.value, versus->diff.low,
                    versus->diff.high);
    else
        kd_buf_adds(out, ",,,,");
    if (versus != NULL && run > 0 && versus->p >= 0)
        kd_buf_addf(out, "%.17g", versus->p);
    kd_buf_adds(out, "\r\n");
}

static void add_line_lists(const kd_report *r, uint32_t k, const char *window,
                           const kd_list_sums *l, kd_buf *out)
{
    cell c = {"lists", "", window, "novelty", 0};
    add_line(r, k, &c, l->items > 0 ? l->novelty / (double)l->items : 0, NULL, NULL, out);
    c.metric = "popular";
    add_line(r, k, &c, kd_metric_share((uint64_t)l->popular, (uint64_t)l->items), NULL, NULL, out);
    c.metric = "churn";
    add_line(r, k, &c, l->followed > 0 ? l->churn / (double)l->followed : 0, NULL, NULL, out);
}

static void add_totals(const kd_report *r, uint32_t k, kd_buf *out)
{
    const kd_verdict *v = kd_compare_verdict(r->compare, k);
    for (uint32_t m = 0; m < KD_METRICS; m++)
        for (uint32_t c = 0; c < r->cutoffs.n; c++) {
            cell x = {"mean", "all events", "", kd_metric_name((kd_metric)m), r->cutoffs.k[c]};
            add_line(r, k, &x, v->total[m][c].value, &v->total[m][c], &v->total_versus[m][c], out);
            x.scope = "mean of shoppers";
            add_line(r, k, &x, v->by_shopper[m][c].value, &v->by_shopper[m][c], NULL, out);
        }
    for (uint32_t c = 0; c < r->cutoffs.n; c++) {
        cell x = {"of means", "all events", "", "F1", r->cutoffs.k[c]};
        add_line(r, k, &x, v->f1_of_means[c].value, &v->f1_of_means[c], NULL, out);
    }
    for (uint32_t s = KD_SEG_ALL + 1; s < KD_SEGMENTS; s++)
        for (uint32_t m = 0; m < KD_METRICS; m++) {
            cell x = {"mean", kd_segment_name((kd_segment)s), "", kd_metric_name((kd_metric)m),
                      r->cutoffs.k[r->cutoffs.head]};
            add_line(r, k, &x, v->segment[s][m].value, &v->segment[s][m], &v->segment_versus[s][m],
                     out);
        }
    add_line_lists(r, k, "", kd_scorer_lists(r->runs[k].scorer), out);
    cell x = {"lists", "", "", "coverage", 0};
    add_line(r, k, &x, kd_metric_coverage(kd_scorer_listed(r->runs[k].scorer), (uint64_t)r->items),
             NULL, NULL, out);
}

void kd_report_csv(const kd_report *r, kd_buf *out)
{
    kd_buf_adds(out, "config,scope,segment,window_start,metric,k,value,low,high,diff,diff_low,"
                     "diff_high,p\r\n");
    for (uint32_t k = 0; k < r->n; k++) {
        add_totals(r, k, out);
        const kd_windows *w = kd_scorer_windows(r->runs[k].scorer);
        for (uint32_t i = 0; i < w->n; i++) {
            char start[32];
            kd_time_iso(kd_windows_start(w, i), start);
            for (uint32_t m = 0; m < KD_METRICS; m++) {
                kd_estimate e = kd_compare_window(r->compare, k, i, (kd_metric)m);
                cell x = {"mean", "all events", start, kd_metric_name((kd_metric)m),
                          r->cutoffs.k[r->cutoffs.head]};
                add_line(r, k, &x, e.value, &e, NULL, out);
            }
            add_line_lists(r, k, start, &w->window[i].lists, out);
        }
    }
}
