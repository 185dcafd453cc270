#include "evaluation/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The drawing, in its own units. */
enum {
    WIDTH = 440,
    LINES_HEIGHT = 250,
    LEFT = 58,
    RIGHT = 12,
    TOP = 12,
    BOTTOM = 46,
    ROW_TOP = 6,
    ROW_TEXT = 18,   /* a row's name stands above its dots */
    ROW_SERIES = 13, /* each series of a row */
    ROW_GAP = 8,
    BAR = 22,
    COLOURS = 8,
};

void kd_html_text(kd_buf *out, const char *z)
{
    for (; *z != '\0'; z++)
        switch (*z) {
        case '&':
            kd_buf_adds(out, "&amp;");
            break;
        case '<':
            kd_buf_adds(out, "&lt;");
            break;
        case '>':
            kd_buf_adds(out, "&gt;");
            break;
        case '"':
            kd_buf_adds(out, "&quot;");
            break;
        default:
            kd_buf_addc(out, *z);
        }
}

/* -- scales -------------------------------------------------------------------------------------
 */

typedef struct scale {
    double min, max, step; /* values; with is_log their logarithms, step 1 */
    double from, to;       /* drawing */
    bool is_log;
} scale;

static double at(const scale *s, double v)
{
    double x = s->is_log ? log10(v) : v;
    return s->from + (x - s->min) / (s->max - s->min) * (s->to - s->from);
}

/* Steps of 1, 2 or 5 times a power of ten, about four of them. */
static scale make_scale(double min, double max, double from, double to)
{
    if (!(max > min))
        max = min + 1;
    double raw = (max - min) / 4, power = pow(10, floor(log10(raw))), part = raw / power;
    double step = (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
    return (scale){.min = floor(min / step + 1e-9) * step,
                   .max = ceil(max / step - 1e-9) * step,
                   .step = step,
                   .from = from,
                   .to = to};
}

static scale make_log_scale(double min, double max, double from, double to)
{
    scale s = {.min = floor(log10(min)),
               .max = ceil(log10(max)),
               .step = 1,
               .from = from,
               .to = to,
               .is_log = true};
    s.max = s.max > s.min ? s.max : s.min + 1;
    return s;
}

static double tick(const scale *s, int k)
{
    double v = s->min + k * s->step;
    return s->is_log ? pow(10, v) : fabs(v) < s->step * 1e-6 ? 0 : v;
}

static int ticks(const scale *s)
{
    return (int)floor((s->max - s->min) / s->step + 1.5);
}

/* As many decimals as the step has. */
static void tick_text(const scale *s, double v, char out[32])
{
    int decimals = s->is_log || s->step >= 1 ? 0 : (int)ceil(-log10(s->step) - 1e-9);
    snprintf(out, 32, "%.*f", decimals < 9 ? decimals : 9, v);
}

static scale scale_of(const kd_chart *c, const kd_points *p, bool from_zero, bool log, double from,
                      double to)
{
    double min = from_zero ? 0 : INFINITY, max = from_zero ? 0 : -INFINITY;
    for (size_t k = 0; k < (size_t)c->n * p->n; k++) {
        double lo = p->low != NULL && isfinite(p->low[k]) ? p->low[k] : p->y[k];
        double hi = p->high != NULL && isfinite(p->high[k]) ? p->high[k] : p->y[k];
        if (!isfinite(p->y[k]))
            continue;
        min = lo < min ? lo : min;
        max = hi > max ? hi : max;
    }
    if (!isfinite(min))
        min = max = log ? 1 : 0;
    return log ? make_log_scale(min, max, from, to) : make_scale(min, max, from, to);
}

/* -- the frame of a figure ----------------------------------------------------------------------
 */

/* A series has its own colour, mark and dash; colours come again after COLOURS of them. */
static uint32_t colour(const kd_chart *c, uint32_t s)
{
    return (c->first + s) % COLOURS;
}

static const char *dash(const kd_chart *c, uint32_t s)
{
    return c->first + s >= COLOURS ? " dash" : "";
}

static void add_legend(const kd_chart *c, kd_buf *out)
{
    kd_buf_adds(out, "<ul class=\"legend\">");
    for (uint32_t s = 0; s < c->n; s++) {
        kd_buf_addf(out, "<li><svg class=\"key s%u\" viewBox=\"0 0 26 12\" aria-hidden=\"true\">",
                    colour(c, s));
        kd_buf_addf(out,
                    "<path class=\"line%s\" d=\"M1 6H25\"/><use href=\"#m%u\" x=\"13\" "
                    "y=\"6\"/></svg>",
                    dash(c, s), colour(c, s));
        kd_html_text(out, c->names[s]);
        kd_buf_adds(out, "</li>");
    }
    kd_buf_adds(out, "</ul>");
}

static void begin(const kd_chart *c, int height, const char *desc, kd_buf *out)
{
    kd_buf_addf(out, "<figure id=\"%s\"><figcaption>", c->id);
    kd_html_text(out, c->title);
    if (c->note != NULL) {
        kd_buf_adds(out, "<small>");
        kd_html_text(out, c->note);
        kd_buf_adds(out, "</small>");
    }
    kd_buf_adds(out, "</figcaption>");
    add_legend(c, out);
    kd_buf_addf(out,
                "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" "
                "aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">",
                WIDTH, height, c->id, c->id, c->id);
    kd_html_text(out, c->title);
    kd_buf_addf(out, "</title><desc id=\"%s-d\">", c->id);
    kd_html_text(out, desc);
    kd_buf_adds(out, " The numbers are in the table below.</desc>");
}

static void add_value(const kd_points *p, size_t k, kd_buf *out)
{
    if (!isfinite(p->y[k])) {
        kd_buf_adds(out, "<td>–</td>");
        return;
    }
    kd_buf_addf(out, "<td>%.5g", p->y[k]);
    if (p->low != NULL && isfinite(p->low[k]))
        kd_buf_addf(out, " <small>%.4g to %.4g</small>", p->low[k], p->high[k]);
    kd_buf_adds(out, "</td>");
}

/* The same numbers, for everybody: a row a label, a column a series. */
static void finish(const kd_chart *c, const kd_points *p, const char *const *labels,
                   const char *head, kd_buf *out)
{
    kd_buf_adds(out, "</svg><details><summary>Numbers</summary><div class=\"scroll\" "
                     "tabindex=\"0\"><table><caption><span>");
    kd_html_text(out, c->title);
    kd_buf_adds(out, "</span></caption><thead><tr><th scope=\"col\">");
    kd_html_text(out, head);
    kd_buf_adds(out, "</th>");
    for (uint32_t s = 0; s < c->n; s++) {
        kd_buf_adds(out, "<th scope=\"col\">");
        kd_html_text(out, c->names[s]);
        kd_buf_adds(out, "</th>");
    }
    kd_buf_adds(out, "</tr></thead><tbody>");
    for (uint32_t i = 0; i < p->n; i++) {
        kd_buf_adds(out, "<tr><th scope=\"row\">");
        kd_html_text(out, labels[i]);
        kd_buf_adds(out, "</th>");
        for (uint32_t s = 0; s < c->n; s++)
            add_value(p, (size_t)s * p->n + i, out);
        kd_buf_adds(out, "</tr>");
    }
    kd_buf_adds(out, "</tbody></table></div></details></figure>\n");
}

static void add_axis_text(const char *z, double x, double y, const char *how, kd_buf *out)
{
    kd_buf_addf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", how, x, y);
    kd_html_text(out, z);
    kd_buf_adds(out, "</text>");
}

/* -- lines --------------------------------------------------------------------------------------
 */

static void add_value_axis(const kd_chart *c, const scale *y, kd_buf *out)
{
    for (int k = 0; k < ticks(y); k++) {
        char text[32];
        double v = tick(y, k), py = at(y, v);
        tick_text(y, v, text);
        kd_buf_addf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, py, WIDTH - RIGHT);
        add_axis_text(text, LEFT - 6, py + 4, "tick end", out);
    }
    double middle = (y->from + y->to) / 2;
    kd_buf_addf(out, "<text class=\"axis\" transform=\"translate(13 %.1f) rotate(-90)\">", middle);
    kd_html_text(out, c->axis);
    kd_buf_adds(out, "</text>");
}

/* Names at most four of the positions, evenly. */
static void add_time_axis(const scale *x, const double *pos, const char *const *labels, uint32_t n,
                          const char *name, kd_buf *out)
{
    double y = LINES_HEIGHT - BOTTOM;
    kd_buf_addf(out, "<path class=\"base\" d=\"M%d %.1fH%d\"/>", LEFT, y, WIDTH - RIGHT);
    uint32_t steps = n < 4 ? (n < 2 ? 1 : n - 1) : 3;
    for (uint32_t k = 0; k <= steps && n > 0; k++) {
        uint32_t i = n == 1 ? 0 : k * (n - 1) / steps;
        if (n == 1 && k > 0)
            break;
        double px = at(x, pos[i]);
        kd_buf_addf(out, "<path class=\"base\" d=\"M%.1f %.1fv4\"/>", px, y);
        bool is_last = n > 1 && k == steps; /* which would stand over the edge */
        add_axis_text(labels[i], px, y + 17, is_last ? "tick end" : "tick middle", out);
    }
    add_axis_text(name, (LEFT + WIDTH - RIGHT) / 2.0, LINES_HEIGHT - 7, "axis", out);
}

static void add_band(const kd_chart *c, const kd_points *p, uint32_t s, const scale *x,
                     const scale *y, const double *pos, kd_buf *out)
{
    const double *low = p->low + (size_t)s * p->n, *high = p->high + (size_t)s * p->n;
    bool is_first = true;
    kd_buf_addf(out, "<path class=\"band s%u\" d=\"", colour(c, s));
    for (uint32_t i = 0; i < p->n; i++)
        if (isfinite(high[i])) {
            kd_buf_addf(out, "%c%.1f %.1f", is_first ? 'M' : 'L', at(x, pos[i]), at(y, high[i]));
            is_first = false;
        }
    for (uint32_t i = p->n; i-- > 0;)
        if (isfinite(low[i]))
            kd_buf_addf(out, "L%.1f %.1f", at(x, pos[i]), at(y, low[i]));
    kd_buf_adds(out, is_first ? "\"/>" : "Z\"/>");
}

static void add_line(const kd_chart *c, const kd_points *p, uint32_t s, const scale *x,
                     const scale *y, const double *pos, kd_buf *out)
{
    const double *v = p->y + (size_t)s * p->n;
    bool is_new = true;
    kd_buf_addf(out, "<g class=\"s%u\"><path class=\"line%s\" d=\"", colour(c, s), dash(c, s));
    for (uint32_t i = 0; i < p->n; i++) {
        if (!isfinite(v[i])) {
            is_new = true;
            continue;
        }
        kd_buf_addf(out, "%c%.1f %.1f", is_new ? 'M' : 'L', at(x, pos[i]), at(y, v[i]));
        is_new = false;
    }
    kd_buf_adds(out, "\"/>");
    uint32_t every = p->n <= 16 ? 1 : (p->n + 11) / 12; /* marks tell lines apart, not points */
    for (uint32_t i = s % every; i < p->n; i += every)
        if (isfinite(v[i]))
            kd_buf_addf(out, "<use href=\"#m%u\" x=\"%.1f\" y=\"%.1f\"/>", colour(c, s),
                        at(x, pos[i]), at(y, v[i]));
    kd_buf_adds(out, "</g>");
}

static void describe(const kd_chart *c, const kd_points *p, char out[400])
{
    size_t n = (size_t)snprintf(out, 400, "%u series, %u values each.", c->n, p->n);
    for (uint32_t s = 0; s < c->n && n < 330; s++) {
        double least = INFINITY, most = -INFINITY;
        for (uint32_t i = 0; i < p->n; i++) {
            double v = p->y[(size_t)s * p->n + i];
            least = v < least ? v : least;
            most = v > most ? v : most;
        }
        if (most >= least)
            n += (size_t)snprintf(out + n, 400 - n, " %.40s: %.4g to %.4g.", c->names[s], least,
                                  most);
    }
}

void kd_chart_lines(const kd_chart *c, const kd_points *p, const double *x,
                    const char *const *labels, const char *x_axis, kd_buf *out)
{
    char desc[400];
    describe(c, p, desc);
    scale sy = scale_of(c, p, true, false, LINES_HEIGHT - BOTTOM, TOP);
    double first = p->n > 0 ? x[0] : 0, last = p->n > 1 ? x[p->n - 1] : first + 1;
    scale sx = {.min = first, .max = last, .from = LEFT + 4, .to = WIDTH - RIGHT - 4};
    begin(c, LINES_HEIGHT, desc, out);
    add_value_axis(c, &sy, out);
    add_time_axis(&sx, x, labels, p->n, x_axis, out);
    for (uint32_t s = 0; p->low != NULL && s < c->n; s++)
        add_band(c, p, s, &sx, &sy, x, out);
    for (uint32_t s = 0; s < c->n; s++)
        add_line(c, p, s, &sx, &sy, x, out);
    finish(c, p, labels, x_axis, out);
}

/* -- dots ---------------------------------------------------------------------------------------
 */

static void add_row_axis(const kd_chart *c, const scale *x, double bottom, kd_buf *out)
{
    for (int k = 0; k < ticks(x); k++) {
        char text[32];
        double v = tick(x, k), px = at(x, v);
        tick_text(x, v, text);
        bool is_zero = !x->is_log && v == 0;
        kd_buf_addf(out, "<path class=\"%s\" d=\"M%.1f %dV%.1f\"/>", is_zero ? "base" : "grid", px,
                    ROW_TOP, bottom);
        const char *how = k == 0 ? "tick start" : k + 1 == ticks(x) ? "tick end" : "tick middle";
        add_axis_text(text, px, bottom + 16, how, out);
    }
    add_axis_text(c->axis, WIDTH / 2.0, bottom + 36, "axis", out);
}

static void add_dot(const kd_chart *c, const kd_points *p, size_t k, uint32_t s, const scale *x,
                    double y, bool is_hollow, kd_buf *out)
{
    if (!isfinite(p->y[k]))
        return;
    kd_buf_addf(out, "<g class=\"s%u%s\">", colour(c, s), is_hollow ? " hollow" : "");
    if (p->low != NULL && isfinite(p->low[k]))
        kd_buf_addf(out, "<path class=\"whisker\" d=\"M%.1f %.1fH%.1f\"/>", at(x, p->low[k]), y,
                    at(x, p->high[k]));
    kd_buf_addf(out, "<use href=\"#m%u\" x=\"%.1f\" y=\"%.1f\"/></g>", colour(c, s), at(x, p->y[k]),
                y);
}

void kd_chart_dots(const kd_chart *c, const kd_points *p, const char *const *rows,
                   const bool *is_hollow, bool log, kd_buf *out)
{
    char desc[400];
    describe(c, p, desc);
    int row = ROW_TEXT + ROW_SERIES * (int)c->n + ROW_GAP;
    int bottom = ROW_TOP + row * (int)p->n;
    scale sx = scale_of(c, p, !log, log, 12, WIDTH - 12);
    begin(c, bottom + 44, desc, out);
    add_row_axis(c, &sx, bottom, out);
    for (uint32_t i = 0; i < p->n; i++) {
        double y = ROW_TOP + row * (double)i;
        add_axis_text(rows[i], 18, y + 13, "row", out);
        for (uint32_t s = 0; s < c->n; s++) {
            size_t k = (size_t)s * p->n + i;
            add_dot(c, p, k, s, &sx, y + ROW_TEXT + ROW_SERIES * (s + 0.5),
                    is_hollow != NULL && is_hollow[k], out);
        }
    }
    finish(c, p, rows, "", out);
}

/* -- shares -------------------------------------------------------------------------------------
 */

void kd_chart_shares(const kd_chart *c, const kd_points *p, const char *const *rows, kd_buf *out)
{
    char desc[400];
    describe(c, p, desc);
    int row = ROW_TEXT + BAR + ROW_GAP, bottom = ROW_TOP + row * (int)p->n;
    scale sx = make_scale(0, 100, 12, WIDTH - 12);
    begin(c, bottom + 44, desc, out);
    add_row_axis(c, &sx, bottom, out);
    for (uint32_t i = 0; i < p->n; i++) {
        double y = ROW_TOP + row * (double)i, from = 0;
        add_axis_text(rows[i], 18, y + 13, "row", out);
        for (uint32_t s = 0; s < c->n; s++) {
            double v = p->y[(size_t)s * p->n + i];
            if (!isfinite(v))
                continue;
            kd_buf_addf(out,
                        "<rect class=\"bar s%u\" x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" "
                        "height=\"%d\"/>",
                        colour(c, s), at(&sx, from), y + ROW_TEXT,
                        at(&sx, from + v) - at(&sx, from), BAR);
            from += v;
        }
    }
    finish(c, p, rows, "", out);
}
