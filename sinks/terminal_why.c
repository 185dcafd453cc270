/* terminal_why.c - reasons and needs as sentences for people, in English and Chinese. Of reasons
 * shoppers are counted, never named; an own item shows with its title where one is known.
 * @thread one
 */
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "sinks/sinks.h"

enum { NAME_WIDTH = 40, TERM_WIDTH = 20, MOST_TERMS = 5, MOST_OTHERS = 3 };

/* %s is what the reason names, %d its number; [0] where it is one. Kinds that are not here show by
 * their names, so that a newer writer's reasons are not lost. */
typedef struct sentence {
    const char *kind;
    bool has_name;
    const char *text[2][2]; /* [language][one, many] */
} sentence;

static const sentence sentences[] = {
    {"similar-shoppers",
     true,
     {{"%d shopper who has %s like you has it", "%d shoppers who have %s like you have it"},
      {"%d 位和您一样选了 %s 的顾客也选了它", "%d 位和您一样选了 %s 的顾客也选了它"}}},
    {"similar-shoppers",
     false,
     {{"%d shopper similar to you has it", "%d shoppers similar to you have it"},
      {"%d 位与您相似的顾客选了它", "%d 位与您相似的顾客选了它"}}},
    {"together",
     true,
     {{"%d shopper took it together with your %s", "%d shoppers took it together with your %s"},
      {"%d 位顾客把它和您选的 %s 一起选购", "%d 位顾客把它和您选的 %s 一起选购"}}},
    {"your-item",
     true,
     {{"it resembles your %s", "it resembles your %s"},
      {"它与您选的 %s 相似", "它与您选的 %s 相似"}}},
    {"matched-terms", true, {{"both say %s", "both say %s"}, {"共同的词：%s", "共同的词：%s"}}},
    {"popular",
     false,
     {{"%d shopper has it", "%d shoppers have it"},
      {"共有 %d 位顾客选了它", "共有 %d 位顾客选了它"}}},
};

static const sentence *sentence_of(const kd_why *why)
{
    for (size_t k = 0; k < sizeof sentences / sizeof *sentences; k++)
        if (strcmp(sentences[k].kind, why->kind) == 0 && sentences[k].has_name == (why->n_ids > 0))
            return &sentences[k];
    return NULL;
}

static kd_str title_of(const kd_terminal_options *o, kd_str id)
{
    kd_str title = o->title_of == NULL ? KD_STR_NULL : o->title_of(o->title_arg, id);
    return title.p == NULL || title.n == 0 ? id : title;
}

static void add_names(const kd_terminal_options *o, const kd_why *why, kd_buf *out)
{
    bool is_terms = strcmp(why->kind, "matched-terms") == 0;
    const char *comma = o->language == KD_WHY_CHINESE ? "、" : ", ";
    for (uint32_t k = 0; k < why->n_ids; k++) {
        if (k > 0)
            kd_buf_adds(out, comma);
        if (is_terms)
            kd_terminal_text(out, why->ids[k], TERM_WIDTH);
        else
            kd_terminal_text(out, title_of(o, why->ids[k]), NAME_WIDTH);
    }
}

static void add_sentence(const kd_terminal_options *o, const kd_why *why, kd_buf *out)
{
    const sentence *s = sentence_of(why);
    if (s == NULL) {
        kd_terminal_text(out, kd_str_of(why->kind), NAME_WIDTH);
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

void kd_terminal_why(const kd_terminal_options *o, const kd_update *u, kd_buf *out)
{
    const char *between = o->language == KD_WHY_CHINESE ? "；" : "; ";
    const char *colon = o->language == KD_WHY_CHINESE ? "：" : ": ";
    for (uint32_t k = 0; k < u->n_items; k++) {
        const kd_item *it = &u->items[k];
        kd_buf_addf(out, "    %2u. ", k + 1);
        kd_terminal_text(out, title_of(o, it->item_id), NAME_WIDTH);
        kd_buf_adds(out, colon);
        for (uint32_t r = 0; r < it->n_reasons; r++) {
            if (r > 0)
                kd_buf_adds(out, between);
            add_sentence(o, &it->reasons[r], out);
        }
        for (uint32_t p = 0; it->n_reasons == 0 && p < it->n_parts; p++) /* no reasons: the parts */
            kd_buf_addf(out, "%s%s %.3f", p > 0 ? between : "", it->parts[p].name,
                        it->parts[p].value);
        kd_buf_addc(out, '\n');
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
     " (from ",
     {" product)", " products)"}},
    {"在找：",
     {"", "类目：", "品牌："},
     "、",
     "；",
     "还没有可描述的需求",
     "（依据 ",
     {" 件商品）", " 件商品）"}},
};

static void add_needs(const kd_terminal_options *o, int kind, const kd_need *list, uint32_t n,
                      kd_buf *out)
{
    uint32_t most = kind == 0 ? MOST_TERMS : MOST_OTHERS;
    for (uint32_t k = 0; k < n && k < most; k++) {
        kd_buf_adds(out, k > 0 ? words[o->language].comma : words[o->language].kinds[kind]);
        kd_terminal_text(out, list[k].name, NAME_WIDTH);
        kd_buf_addf(out, " %.2f", list[k].weight);
    }
}

void kd_terminal_needs(const kd_terminal_options *o, const kd_needs *x, kd_buf *out)
{
    enum { TIME_WIDTH = 11, SHOPPER_WIDTH = 24 };
    const kd_need *lists[] = {x->terms, x->categories, x->brands};
    const uint32_t n[] = {x->n_terms, x->n_categories, x->n_brands};
    char time[32];
    bool is_first = true;
    kd_time_iso(x->time, time);
    time[10] = ' ';
    kd_buf_add(out, time + 5, TIME_WIDTH); /* month, day, hour, minute, as in the table */
    kd_buf_adds(out, "  ");
    kd_terminal_text(out, x->shopper_id, SHOPPER_WIDTH);
    kd_buf_addc(out, ' ');
    for (int kind = 0; kind < 3; kind++) {
        if (n[kind] == 0)
            continue;
        kd_buf_adds(out, is_first ? words[o->language].begin : words[o->language].between);
        is_first = false;
        add_needs(o, kind, lists[kind], n[kind], out);
    }
    if (is_first)
        kd_buf_adds(out, words[o->language].nothing);
    else
        kd_buf_addf(out, "%s%lld%s", words[o->language].from, (long long)x->products,
                    words[o->language].products[x->products != 1]);
    kd_buf_addc(out, '\n');
}
