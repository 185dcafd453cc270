/* report.h - a backtest told to people and to programs: a table for the terminal, JSON, CSV, and
 * one self-contained HTML page. All four say the same numbers.
 *
 * What is measured (times) stands apart from what was computed, so that the rest of two reports of
 * one log and configuration is equal byte for byte.
 * @thread one
 */
#ifndef KD_REPORT_H
#define KD_REPORT_H

#include "evaluation/compare.h"

typedef struct kd_report_run {
    const char *name; /* short, unique */
    char output_digest[33], state_digest[33];
    int64_t events, lists, updates; /* answered for, computed, published */
    const kd_scorer *scorer;        /* borrowed */
    struct {                        /* measured */
        double busy_s, judge_s, p50_us, p90_us, p99_us;
    } pace;
} kd_report_run;

/* An option that differs between configurations, or from its default in any of them. */
typedef struct kd_report_option {
    const char *name, *dflt;
    const char *const *values; /* [n] */
    bool differs;              /* between configurations */
} kd_report_option;

typedef struct kd_report {
    const char *version;
    const char *input;         /* what was read, for people */
    const kd_report_run *runs; /* [n]; the first is what the others are compared with */
    uint32_t n;
    const kd_report_option *options; /* [n_options] */
    uint32_t n_options;
    const kd_compare *compare;
    kd_cutoffs cutoffs;
    int64_t records, dead_letters, shoppers, items;
    kd_ms first, last;                /* event times; KD_MS_NONE = no event */
    kd_ms score_from;                 /* KD_MS_NONE = all */
    uint32_t score_part, score_parts; /* of the shoppers; parts 0 = all */
    uint64_t seed;
    uint32_t resamples;
    uint32_t threads;                    /* measured with */
    double elapsed_s, read_s, compare_s; /* measured */
} kd_report;

/* p below this is called significant. */
#define KD_SIGNIFICANT 0.05

/* Each appends to `out`; out->failed tells that memory ran out. */
void kd_report_text(const kd_report *r, kd_buf *out);
void kd_report_json(const kd_report *r, kd_buf *out);
/* One line a number: config, scope, segment, window_start, metric, k, value, low, high, diff,
 * diff_low, diff_high, p. */
void kd_report_csv(const kd_report *r, kd_buf *out);
void kd_report_html(const kd_report *r, kd_buf *out);

#endif
