/* terminal_sink.c - updates as rows of a table for people: when, who, and the first few items with
 * their scores. Widths are counted in columns, so Chinese titles keep the table straight. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "sinks/sinks.h"

enum { DEFAULT_WIDTH = 100, DEFAULT_ITEMS = 3, TIME_WIDTH = 11, SHOPPER_WIDTH = 10 };

typedef struct range {
    uint32_t from, to;
} range;

/* Unicode 15 EastAsianWidth W and F, and emoji presentation, in coarse ranges. */
static const range wide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2E80, 0x303E},   {0x3041, 0x33FF},
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},
    {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
    {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF},
    {0x20000, 0x3FFFD},
};
/* Combining marks, joiners and direction marks: no column of their own. */
static const range none[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x064B, 0x065F}, {0x0E31, 0x0E31},
    {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x200B, 0x200F}, {0x202A, 0x202E}, {0x2060, 0x2064},
    {0x20D0, 0x20F0}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF},
};

static bool is_in(const range *r, size_t n, uint32_t c)
{
    for (size_t k = 0; k < n; k++)
        if (c >= r[k].from && c <= r[k].to)
            return true;
    return false;
}

static uint32_t columns_of(uint32_t c)
{
    if (is_in(none, sizeof none / sizeof *none, c))
        return 0;
    return is_in(wide, sizeof wide / sizeof *wide, c) ? 2 : 1;
}

/* The character at p (n >= 1 bytes left) and its length; a byte that is none gives U+FFFD. */
static uint32_t next_char(const char *p, size_t n, size_t *out_len)
{
    unsigned char b = (unsigned char)*p;
    size_t len = b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
    *out_len = 1;
    if (len > n || !kd_utf8_valid(p, len))
        return 0xFFFD;
    *out_len = len;
    uint32_t c = len == 1 ? b : b & (0x7Fu >> len);
    for (size_t k = 1; k < len; k++)
        c = c << 6 | ((unsigned char)p[k] & 0x3F);
    return c;
}

uint32_t kd_terminal_columns(const char *p, size_t n)
{
    uint32_t columns = 0;
    for (size_t at = 0, len; at < n; at += len)
        columns += columns_of(next_char(p + at, n - at, &len));
    return columns;
}

/* Appends s in at most `max` columns, control characters as spaces (a title must not steer the
 * terminal), cut with an ellipsis. Returns the columns used. */
uint32_t kd_terminal_text(kd_buf *out, kd_str s, uint32_t max)
{
    bool is_cut = kd_terminal_columns(s.p, s.n) > max;
    uint32_t used = 0, room = is_cut ? max - 1 : max;
    for (size_t at = 0, len; at < s.n; at += len) {
        uint32_t c = next_char(s.p + at, s.n - at, &len), w = columns_of(c);
        if (used + w > room)
            break;
        if (c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E))
            kd_buf_addc(out, ' ');
        else if (c == 0xFFFD)
            kd_buf_adds(out, "\xEF\xBF\xBD");
        else
            kd_buf_add(out, s.p + at, len);
        used += c >= 0x202A && c <= 0x202E ? 1 : w;
    }
    if (is_cut) {
        kd_buf_adds(out, "\xE2\x80\xA6");
        used++;
    }
    return used;
}

static void pad(kd_buf *out, uint32_t used, uint32_t width)
{
    for (; used < width; used++)
        kd_buf_addc(out, ' ');
}

uint32_t kd_terminal_width(const kd_terminal_options *o)
{
    uint32_t width = o->width == 0 ? DEFAULT_WIDTH : o->width;
    return width < 60 ? 60 : width;
}

void kd_terminal_heading(const kd_terminal_options *o, kd_buf *out)
{
    const char *on = o->colour ? "\x1b[1m" : "", *off = o->colour ? "\x1b[0m" : "";
    bool is_chinese = o->language == KD_WHY_CHINESE;
    kd_buf_addf(out, "%s%-*s  ", on, TIME_WIDTH, "UTC");
    pad(out, kd_terminal_text(out, kd_str_of(is_chinese ? "顾客" : "shopper"), SHOPPER_WIDTH),
        SHOPPER_WIDTH);
    kd_buf_addf(out, "  %s%s\n",
                is_chinese ? "推荐商品及得分（~ 表示按热门程度补足）"
                           : "recommended, with scores (~ from popularity)",
                off);
}

void kd_terminal_row(const kd_terminal_options *o, const kd_update *u, kd_buf *out)
{
    char time[32];
    kd_time_iso(u->time, time);
    time[10] = ' ';
    kd_buf_add(out, time + 5, TIME_WIDTH); /* month, day, hour, minute */
    kd_buf_adds(out, "  ");
    pad(out, kd_terminal_text(out, u->shopper_id, SHOPPER_WIDTH), SHOPPER_WIDTH);
    uint32_t n = o->items == 0 ? DEFAULT_ITEMS : o->items;
    n = n < u->n_items ? n : u->n_items;
    uint32_t room = kd_terminal_width(o) - TIME_WIDTH - SHOPPER_WIDTH - 2;
    uint32_t each = n == 0 ? room : room / n;
    for (uint32_t k = 0; k < n; k++) {
        const kd_item *it = &u->items[k];
        kd_str title = o->title_of == NULL ? KD_STR_NULL : o->title_of(o->title_arg, it->item_id);
        if (title.p == NULL || title.n == 0)
            title = it->item_id;
        char score[32];
        bool is_popular = it->has == 1u << KD_PART_POPULARITY;
        int w = snprintf(score, sizeof score, is_popular ? "~" : "%.2f", it->score);
        kd_buf_adds(out, "  ");
        uint32_t used = 2 + kd_terminal_text(out, title, each - 4 - (uint32_t)w);
        kd_buf_adds(out, o->colour ? " \x1b[2m" : " ");
        kd_buf_adds(out, score);
        kd_buf_adds(out, o->colour ? "\x1b[0m" : "");
        used += 1 + (uint32_t)w;
        if (k + 1 < n)
            pad(out, used, each);
    }
    if (n == 0)
        kd_buf_adds(out, o->language == KD_WHY_CHINESE ? "  （暂无推荐）"
                                                       : "  (nothing to recommend yet)");
    kd_buf_addc(out, '\n');
}

/* -- the sink -----------------------------------------------------------------------------------
 */

typedef struct terminal_sink {
    kd_sink base;
    kd_terminal_options opt;
    kd_buf buf;
} terminal_sink;

static kd_rc write_out(terminal_sink *t, kd_err *err)
{
    size_t done = 0;
    while (done < t->buf.n) {
        ssize_t n = write(t->opt.fd, t->buf.p + done, t->buf.n - done);
        if (n < 0 && errno != EINTR)
            return kd_fail(err, KD_EIO, "cannot write to the terminal: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    kd_buf_clear(&t->buf);
    return KD_OK;
}

static kd_rc start(kd_sink *s, kd_err *err)
{
    terminal_sink *t = (terminal_sink *)s;
    kd_terminal_heading(&t->opt, &t->buf);
    return write_out(t, err);
}

static kd_rc write_one(kd_sink *s, const kd_out *out, kd_err *err)
{
    terminal_sink *t = (terminal_sink *)s;
    if (out->type == KD_OUT_UPDATE)
        kd_terminal_row(&t->opt, out->update, &t->buf);
    if (out->type == KD_OUT_UPDATE && t->opt.has_why)
        kd_terminal_why(&t->opt, out->update, &t->buf);
    s->written++;
    return t->buf.n > 64 * 1024 ? write_out(t, err) : KD_OK;
}

static kd_rc poll(kd_sink *s, kd_err *err)
{
    return write_out((terminal_sink *)s, err);
}

static uint64_t acked(const kd_sink *s)
{
    return s->written;
}

static kd_rc flush(kd_sink *s, int64_t timeout_ms, kd_err *err)
{
    (void)timeout_ms;
    return write_out((terminal_sink *)s, err);
}

static void close_sink(kd_sink *s)
{
    kd_buf_dispose(&((terminal_sink *)s)->buf);
    free(s);
}

static const kd_sink_kind kind = {.name = "terminal",
                                  .start = start,
                                  .write = write_one,
                                  .poll = poll,
                                  .acked = acked,
                                  .flush = flush,
                                  .close = close_sink};

kd_rc kd_terminal_sink_new(const kd_terminal_options *o, kd_sink **out, kd_err *err)
{
    terminal_sink *t = calloc(1, sizeof *t);
    if (t == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a sink");
    t->base.kind = &kind;
    t->opt = *o;
    *out = &t->base;
    return KD_OK;
}
