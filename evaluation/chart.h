/* chart.h - charts as inline SVG, each a <figure> that stands alone: caption, legend, axes with
 * units, a description for those who do not see it, and the same numbers as a table.
 *
 * Colours are CSS variables of the page (report_html.c), so that light and dark look are one text;
 * series differ by mark and dash too. Charts are drawn for 440 units of width: on a phone that is
 * about the width of the screen, and letters stay legible. Nothing here is random or measured.
 * @thread any
 */
#ifndef KD_CHART_H
#define KD_CHART_H

#include "base/buf.h"

/* Text with & < > " escaped. */
void kd_html_text(kd_buf *out, const char *z);

typedef struct kd_chart {
    const char *id;           /* unique in the page */
    const char *title;        /* what is shown, with its unit */
    const char *note;         /* a sentence more; may be NULL */
    const char *axis;         /* of values, with unit */
    const char *const *names; /* [n] series */
    uint32_t n;
    uint32_t first; /* number of the first series: its colour and mark */
} kd_chart;

/* Value i of series s: y[s * n_points + i], not finite = there is none. */
typedef struct kd_points {
    const double *y;
    const double *low, *high; /* interval, or NULL */
    uint32_t n;               /* of each series */
} kd_points;

/* Lines over time. x: [n] ascending positions; labels: [n] what they are called. */
void kd_chart_lines(const kd_chart *c, const kd_points *p, const double *x,
                    const char *const *labels, const char *x_axis, kd_buf *out);
/* Rows of dots with intervals, one dot a series; hollow where is_hollow[s * n + i] (nullable).
 * `log`: powers of ten on the axis (all values positive). */
void kd_chart_dots(const kd_chart *c, const kd_points *p, const char *const *rows,
                   const bool *is_hollow, bool log, kd_buf *out);
/* One bar a row, of shares that make up to 1 each; the series are its parts. */
void kd_chart_shares(const kd_chart *c, const kd_points *p, const char *const *rows, kd_buf *out);

#endif
