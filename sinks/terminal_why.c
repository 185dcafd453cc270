/* terminal_why.c - reasons and needs as sentences for people, in English and Chinese. Of reasons
 * shoppers are counted, never named; an own item shows with its title where one is known.
 * @thread one
 */
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "sinks/sinks.h"

enum { MARK = 2, NAME_WIDTH = 40, TERM_WIDTH = 20, MOST_TERMS = 5, MOST_OTHERS = 3, INDENT = 8 };

/* -- lines of many pieces: one that would pass the width begins on the next ----------------------
 */

typedef struct lines {
    kd_buf *out;
    kd_buf piece;
    uint32_t width, at; /* at: columns of the line so far */
} lines;

static lines lines_of(const kd_terminal_options *o, kd_buf *out, size_t from)
{
    return (lines){.out = out,
                   .width = kd_terminal_width(o),
                   .at = kd_terminal_columns(out->p + from, out->n - from)};
}

/* Puts the piece out, after what stands between it and the one before, which stays at the end of
 * the line: MARK columns are kept for it. */
static void put(lines *l, const char *between)
{
    uint32_t mark = kd_terminal_columns(between, strlen(between));
    uint32_t columns = kd_terminal_columns(l->piece.p, l->piece.n);
    size_t n = strlen(between);
    if (l->at > INDENT && l->at + mark + columns + MARK > l->width) {
        while (n > 0 && between[n - 1] == ' ')
            n--;
        kd_buf_add(l->out, between, n);
        kd_buf_addf(l->out, "\n%*s", INDENT, "");
        l->at = INDENT + columns;
    } else {
        kd_buf_add(l->out, between, n);
        l->at += mark + columns;
    }
    kd_buf_add(l->out, l->piece.p, l->piece.n);
    kd_buf_clear(&l->piece);
}

/* -- reasons ------------------------------------------------------------------------------------
 */

/* %s is what the reason names, %d its number; [0] where it is one. Kinds that are not here show by
 * their names, so that a newer writer's reasons are not lost. */
typedef struct sentence {
    kd_why_kind kind;
    bool has_name;
    const char *text[2][2]; /* [language][one, many] */
} sentence;

static const sentence sentences[] = {
    {KD_KIND_SIMILAR_SHOPPERS,
     true,
     {{"%d shopper who has %s like you has it", "%d shoppers who have %s like you have it"},
      {"%d 位和您一样选了%s的顾客也选了它", "%d 位和您一样选了%s的顾客也选了它"}}},
    {KD_KIND_SIMILAR_SHOPPERS,
     false,
     {{"%d shopper similar to you has it", "%d shoppers similar to you have it"},
      {"%d 位与您喜好相近的顾客选了它", "%d 位与您喜好相近的顾客选了它"}}},
    {KD_KIND_TOGETHER,
     true,
     {{"%d shopper took it together with your %s", "%d shoppers took it together with your %s"},
      {"%d 位顾客把它和您选过的%s一起选购", "%d 位顾客把它和您选过的%s一起选购"}}},
    {KD_KIND_YOUR_ITEM,
     true,
     {{"it resembles your %s", "it resembles your %s"}, {"与您选过的%s相似", "与您选过的%s相似"}}},
    {KD_KIND_MATCHED_TERMS, true, {{"both say %s", "both say %s"}, {"都提到%s", "都提到%s"}}},
    {KD_KIND_POPULAR,
     false,
     {{"%d shopper has it", "%d shoppers have it"},
      {"共有 %d 位顾客选了它", "共有 %d 位顾客选了它"}}},
};

static const sentence *sentence_of(const kd_why *why)
{
    for (size_t k = 0; k < sizeof sentences / sizeof *sentences; k++)
        if (sentences[k].kind == why->kind && sentences[k].has_name == (why->n_ids > 0))
            return &sentences[k];
    return NULL;
}

static kd_str title_of(const kd_terminal_options *o, kd_str id)
{
    kd_str title = o->title_of == NULL ? KD_STR_NULL : o->title_of(o->title_arg, id);
    return title.p == NULL || title.n == 0 ? id : title;
}

/* In Chinese in quotes, since no blanks set a title off. */
static void add_names(const kd_terminal_options *o, const kd_why *why, kd_buf *out)
{
    bool is_terms = why->kind == KD_KIND_MATCHED_TERMS;
    bool is_chinese = o->language == KD_WHY_CHINESE;
    for (uint32_t k = 0; k < why->n_ids; k++) {
        if (k > 0)
            kd_buf_adds(out, is_chinese ? "、" : ", ");
        kd_buf_adds(out, is_chinese ? "“" : "");
        if (is_terms)
            kd_terminal_text(out, why->ids[k], TERM_WIDTH);
        else
            kd_terminal_text(out, title_of(o, why->ids[k]), NAME_WIDTH);
        kd_buf_adds(out, is_chinese ? "”" : "");
    }
}

static void add_sentence(const kd_terminal_options *o, const kd_why *why, kd_buf *out)
{
    const sentence *s = sentence_of(why);
    if (s == NULL) {
        kd_buf_adds(out, kd_why_kind_name(why->kind));
        return;
    }
    for (const char *p = s->text[o->language][why->count != 1]; *p != '\0'; p++) {
        if (p[0] == '%' && p[1] == 's')
            add_names(o, why, out);
        else if (p[0] == '%' && p[1] == 'd')
            kd_buf_addf(out, "%lld", (long long)why->count);
        else {
            kd_buf_addc(out, *p);
            continue;
        }
        p++;
    }
}

/* Without reasons there are the parts. A list that was filled says no more than that. */
static void add_part(const kd_terminal_options *o, const kd_item *it, kd_part p, kd_buf *out)
{
    static const char *const chinese[KD_PARTS] = {"相似顾客", "搭配选购", "内容相似",
                                                  "热门程度", "运营规则", "多样性"};
    const char *name = o->language == KD_WHY_CHINESE ? chinese[p] : kd_part_name(p);
    kd_buf_addf(out, "%s %.3g", name, it->parts[p]);
}

void kd_terminal_why(const kd_terminal_options *o, const kd_update *u, kd_buf *out)
{
    const char *between = o->language == KD_WHY_CHINESE ? "；" : "; ";
    const char *colon = o->language == KD_WHY_CHINESE ? "：" : ": ";
    for (uint32_t k = 0; k < u->n_items; k++) {
        const kd_item *it = &u->items[k];
        const size_t from = out->n;
        kd_buf_addf(out, "    %2u. ", k + 1);
        kd_terminal_text(out, title_of(o, it->item_id), NAME_WIDTH);
        lines l = lines_of(o, out, from);
        for (uint32_t r = 0; r < it->n_reasons; r++) {
            add_sentence(o, &it->reasons[r], &l.piece);
            put(&l, r > 0 ? between : colon);
        }
        for (int p = 0, n = 0; it->n_reasons == 0 && p < KD_PARTS; p++) {
            if (!kd_item_has(it, p))
                continue;
            add_part(o, it, (kd_part)p, &l.piece);
            put(&l, n++ > 0 ? between : colon);
        }
        kd_buf_addc(out, '\n');
        kd_buf_dispose(&l.piece);
    }
}

/* -- needs --------------------------------------------------------------------------------------
 */

static const struct {
    const char *begin;
    const char *kinds[3]; /* terms, categories, brands: before the first of them */
    const char *comma, *between, *nothing, *from, *products[2];
} words[] = {
    {"looks for ",
     {"", "category ", "brand "},
     ", ",
     "; ",
     "looks for nothing that has a text",
     "(from ",
     {" product)", " products)"}},
    {"在找：",
     {"", "类目：", "品牌："},
     "、",
     "；",
     "还没有可描述的需求",
     "（依据 ",
     {" 件商品）", " 件商品）"}},
};

/* One kind's entries; *first: nothing stands before them. */
static void add_needs(const kd_terminal_options *o, int kind, const kd_need *list, uint32_t n,
                      bool *first, lines *l)
{
    uint32_t most = kind == 0 ? MOST_TERMS : MOST_OTHERS;
    for (uint32_t k = 0; k < n && k < most; k++) {
        if (k == 0)
            kd_buf_adds(&l->piece, words[o->language].kinds[kind]);
        kd_terminal_text(&l->piece, list[k].name, NAME_WIDTH);
        kd_buf_addf(&l->piece, " %.2f", list[k].weight);
        put(l, k > 0    ? words[o->language].comma
               : *first ? words[o->language].begin
                        : words[o->language].between);
        *first = false;
    }
}

void kd_terminal_needs(const kd_terminal_options *o, const kd_needs *x, kd_buf *out)
{
    enum { TIME_WIDTH = 11, SHOPPER_WIDTH = 24 };
    const kd_need *lists[] = {x->terms, x->categories, x->brands};
    const uint32_t n[] = {x->n_terms, x->n_categories, x->n_brands};
    const size_t from = out->n;
    char time[32];
    bool is_first = true;
    kd_time_iso(x->time, time);
    time[10] = ' ';
    kd_buf_add(out, time + 5, TIME_WIDTH); /* month, day, hour, minute, as in the table */
    kd_buf_adds(out, "  ");
    kd_terminal_text(out, x->shopper_id, SHOPPER_WIDTH);
    kd_buf_addc(out, ' ');
    lines l = lines_of(o, out, from);
    for (int kind = 0; kind < 3; kind++)
        add_needs(o, kind, lists[kind], n[kind], &is_first, &l);
    if (is_first) {
        kd_buf_adds(out, words[o->language].nothing);
    } else {
        kd_buf_addf(&l.piece, "%s%lld%s", words[o->language].from, (long long)x->products,
                    words[o->language].products[x->products != 1]);
        put(&l, o->language == KD_WHY_CHINESE ? "" : " ");
    }
    kd_buf_addc(out, '\n');
    kd_buf_dispose(&l.piece);
}
