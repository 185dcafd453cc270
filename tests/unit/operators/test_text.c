/* Text to terms: what ICU, Snowball and the stop words make of real titles; ASCII's short way
 * against ICU's; hostile text; the same document always the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "operators/stem.h"
#include "operators/text.h"

static const kd_text_options ordinary = {.language = "auto", .max_bytes = 8192, .max_tokens = 256};

static kd_text *text_of(const kd_text_options *o)
{
    kd_text *t = NULL;
    kd_err err = {0};
    if (kd_text_new(o, &t, &err) != KD_OK)
        fail_msg("%s", err.msg);
    return t;
}

/* All terms of one field, joined by '|'. Borrowed until the next call. */
static const char *terms_of(kd_text *t, kd_term_kind kind, kd_str s)
{
    static kd_buf b;
    kd_err err = {0};
    uint32_t n;
    kd_buf_clear(&b);
    kd_text_begin(t);
    assert_int_equal(kd_text_add(t, kind, s, 1, &err), KD_OK);
    const kd_token *x = kd_text_end(t, &n);
    for (uint32_t k = 0; k < n; k++) {
        assert_int_equal(x[k].hash, kd_hash64(x[k].term.p, x[k].term.n, 0));
        assert_int_equal(x[k].term.p[0], kind);
        assert_true(kd_utf8_valid(x[k].term.p, x[k].term.n));
        assert_true(kd_utf8_valid(x[k].word.p, x[k].word.n));
        if (k > 0)
            kd_buf_addc(&b, '|');
        kd_buf_add(&b, x[k].term.p + 1, x[k].term.n - 1);
    }
    kd_buf_addc(&b, '\0');
    return b.p;
}

static void check(kd_text *t, const char *text, const char *language, const char *terms)
{
    assert_string_equal(terms_of(t, KD_TERM_WORD, kd_str_of(text)), terms);
    if (language != NULL)
        assert_string_equal(kd_text_language(t), language);
}

static void test_words(void **unused)
{
    (void)unused;
    kd_text *t = text_of(&ordinary);
    check(t, "WHITE HANGING HEART T-LIGHT HOLDERS", "english", "white|hang|heart|t|light|holder");
    check(t, "The lamps of the house", "english", "lamp|hous");
    check(t, "Tischlampen mit Schirm für das Wohnzimmer", "german", "tischlamp|schirm|wohnzimm");
    check(t, "Lampes de chevet pour la chambre", "french", "lamp|chevet|chambr");
    check(t, "настольные лампы для дома", "russian", "настольн|ламп|дом");
    /* words of Chinese, Japanese and Thai, not single characters */
    check(t, "我的手机壳", NULL, "手机|壳");
    /* what ICU cuts into characters: pairs, the last three together; not over particles, numbers'
     * measures, blanks */
    check(t, "阿迪达斯男鞋路由器", NULL, "阿迪|达斯|男鞋|路由器");
    check(t, "专柜正品", NULL, "专柜|正品");
    check(t, "包邮 吸顶灯,卫衣", NULL, "包邮|吸顶灯|卫衣");
    check(t, "10片装,3袋包邮", NULL, "10|片|装|3|袋|包邮");
    check(t, "鞋和包", NULL, "鞋|包");
    check(t, "灯led灯", NULL, "灯|led|灯");
    check(t, "男t恤 U盘,t", NULL, "男|t恤|u盘|t");
    check(t, "サーバーのノートパソコン", NULL, "サーバー|ノート|パソコン");
    check(t, "ภาษาไทยสวัสดี", NULL, "ภาษา|ไทย|สวัสดี");
    /* width, case, ligatures, marks written apart, what cannot be seen */
    check(t, "ＬＥＤ　Ｌａｍｐ", NULL, "led|lamp");
    check(t, "ﬁne Cafe\xCC\x81 sof\xC2\xADt", NULL, "fine|café|soft");
    check(t, "STRASSE straße", NULL, "strass|strass");
    /* numbers, joined and not; addresses; emoji and punctuation alone are nothing */
    check(t, "1.5m 3,000 3/4 50%", NULL, "1.5m|3,000|3|4|50");
    /* a comma makes a number, or a list */
    check(t, "1,234,567 0,75l 2,3,4 iphone4,4s", NULL, "1,234,567|0,75l|2|3|4|iphone4|4s");
    check(t, "\xEF\xBC\x92，3，4号 1,234,56", NULL, "2|3|4|号|1|234|56");
    check(t, "🎈 party 🎉🎉 -- ___ ...", NULL, "parti");
    check(t, "don't o'clock", NULL, "don't|o'clock");
    /* right to left */
    check(t, "مصباح طاولة", "arabic", "مصباح|طاول");
    check(t, "", NULL, "");
    kd_text_free(t);
}

static void test_fixed_language_and_none(void **unused)
{
    (void)unused;
    kd_text_options o = ordinary;
    o.language = "german";
    kd_text *t = text_of(&o);
    check(t, "LAMPEN the", "german", "lamp|the");
    kd_text_free(t);
    o.language = "none";
    t = text_of(&o);
    check(t, "The Lamps", "none", "the|lamps");
    kd_text_free(t);
    kd_err err = {0};
    o.language = "klingon";
    assert_int_equal(kd_text_new(&o, &t, &err), KD_ECONFIG);
    o = ordinary;
    o.keeps_stop_words = true;
    t = text_of(&o);
    check(t, "The Lamps", "english", "the|lamp");
    kd_text_free(t);
    /* every choice of the option is a language of Snowball */
    char names[] = KD_TEXT_LANGUAGES, *save = NULL;
    for (char *z = strtok_r(names, "|", &save); z != NULL; z = strtok_r(NULL, "|", &save)) {
        o.language = z;
        t = text_of(&o);
        kd_text_free(t);
    }
}

static void test_bigrams_do_not_cross_fields(void **unused)
{
    (void)unused;
    kd_text_options o = ordinary;
    o.has_bigrams = true;
    kd_text *t = text_of(&o);
    check(t, "red lamps of Paris", NULL, "red|lamp|pari|red lamp|lamp pari");
    kd_err err = {0};
    uint32_t n;
    kd_text_begin(t);
    assert_int_equal(kd_text_add(t, KD_TERM_WORD, kd_str_of("red lamp"), 1, &err), KD_OK);
    assert_int_equal(kd_text_add(t, KD_TERM_WORD, kd_str_of("the blue box"), 0.5, &err), KD_OK);
    const kd_token *x = kd_text_end(t, &n);
    assert_int_equal(n, 6);
    assert_memory_equal(x[4].term.p, "wred lamp", 9);
    assert_memory_equal(x[5].term.p, "wblue box", 9);
    assert_true(x[5].weight == 0.5 && x[4].weight == 1);
    kd_text_free(t);
}

static void test_names(void **unused)
{
    (void)unused;
    kd_text *t = text_of(&ordinary);
    char out[KD_NAME_MAX + 1];
    assert_string_equal(terms_of(t, KD_TERM_BRAND, kd_str_of("  ACME \t Inc. ")), "acme inc.");
    assert_string_equal(terms_of(t, KD_TERM_CATEGORY, kd_str_of("Home > Ｌａｍｐｓ/Desk | ")),
                        "home|home > lamps|home > lamps > desk");
    uint32_t n = kd_text_name(t, KD_TERM_CATEGORY, kd_str_of("home/LAMPS"), out);
    assert_memory_equal(out, "chome > lamps", n);
    assert_int_equal(kd_text_name(t, KD_TERM_CATEGORY, kd_str_of(" // "), out), 0);
    char longest[1000];
    memset(longest, 'x', sizeof longest);
    for (int k = 0; k + 3 <= (int)sizeof longest; k += 3)
        memcpy(longest + k, "灯", 3);
    n = kd_text_name(t, KD_TERM_BRAND, (kd_str){longest, 999}, out);
    assert_int_equal(n, 1 + KD_NAME_MAX / 3 * 3);
    assert_true(kd_utf8_valid(out, n));
    kd_text_free(t);
}

/* ASCII by the short way and by ICU: the same terms, for every string of few bytes and for longer
 * random ones of the bytes that matter. */
static void test_ascii_equals_icu(void **unused)
{
    (void)unused;
    const char *z = getenv("KINDRED_SEED");
    uint64_t seed = z == NULL ? 11 : strtoull(z, NULL, 0);
    print_message("seed %llu (KINDRED_SEED)\n", (unsigned long long)seed);
    kd_rng rng;
    kd_rng_init(&rng, seed);
    kd_text_options o = ordinary;
    o.keeps_stop_words = true;
    kd_text *quick = text_of(&o);
    o.is_slow = true;
    kd_text *slow = text_of(&o);
    static const char pool[] = "aZ09_.',;:@-/ b1\"&+#$%()\t\n\r\x01\x7F";
    for (int k = 0; k < 60000; k++) {
        char s[40];
        uint32_t n = (uint32_t)kd_rng_below(&rng, k % 2 == 0 ? 6 : sizeof s);
        for (uint32_t j = 0; j < n; j++)
            s[j] =
                k % 8 == 7 ? (char)kd_rng_below(&rng, 128) : pool[kd_rng_below(&rng, sizeof pool)];
        char expected[256];
        snprintf(expected, sizeof expected, "%s", terms_of(slow, KD_TERM_WORD, (kd_str){s, n}));
        const char *got = terms_of(quick, KD_TERM_WORD, (kd_str){s, n});
        if (strcmp(got, expected) != 0)
            fail_msg("\"%.*s\": %s, ICU says %s", (int)n, s, got, expected);
    }
    kd_text_free(quick);
    kd_text_free(slow);
}

static void test_hostile(void **unused)
{
    (void)unused;
    kd_text *t = text_of(&ordinary);
    size_t n = 1 << 20;
    char *s = malloc(n);
    assert_non_null(s);
    static const char *const fill[] = {
        "a",    "a ",           "\xEF\xB7\xBA", "\xF0\x9F\x8E\x88",      "灯",
        "\xFF", "\xE0\xB8\x81", "\xCC\x81",     "\xE2\x80\xAE\xD7\x90 ", "\0"};
    for (size_t k = 0; k < sizeof fill / sizeof *fill; k++) {
        size_t piece = fill[k][0] == '\0' ? 1 : strlen(fill[k]);
        for (size_t at = 0; at < n; at++)
            s[at] = fill[k][at % piece];
        (void)terms_of(t, KD_TERM_WORD, (kd_str){s, (uint32_t)n});
        uint64_t cut = kd_text_counts_of(t).cut;
        assert_int_equal(cut, 3 * k + 1);
        (void)terms_of(t, KD_TERM_CATEGORY, (kd_str){s, (uint32_t)n});
        (void)terms_of(t, KD_TERM_BRAND, (kd_str){s, (uint32_t)n});
    }
    /* invalid bytes separate */
    assert_string_equal(terms_of(t, KD_TERM_WORD, kd_str_of("red\xFF\xC3lamp\xED\xA0\x80")),
                        "red|lamp");
    free(s);
    kd_text_free(t);
}

/* I1: what came before leaves no trace. */
static void test_no_memory(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"Tischlampen mit Schirm",
                                        "lamps of the house",
                                        "手机壳",
                                        "lampes de chevet",
                                        "лампы для дома",
                                        "lampen",
                                        "lamps"};
    enum { N = sizeof texts / sizeof *texts };
    char first[N][128];
    kd_rng rng;
    kd_rng_init(&rng, 5);
    for (int k = 0; k < N; k++) {
        kd_text *t = text_of(&ordinary);
        snprintf(first[k], sizeof first[k], "%s", terms_of(t, KD_TERM_WORD, kd_str_of(texts[k])));
        kd_text_free(t);
    }
    kd_text *t = text_of(&ordinary);
    for (int k = 0; k < 300; k++) {
        size_t j = kd_rng_below(&rng, N);
        assert_string_equal(terms_of(t, KD_TERM_WORD, kd_str_of(texts[j])), first[j]);
    }
    kd_text_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_fixed_language_and_none),
        cmocka_unit_test(test_bigrams_do_not_cross_fields),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_ascii_equals_icu),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
