/* The lines of a starting instance: what they say, not when it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/kafka_catchup.h"

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        int64_t done, left, spent_ms;
        const char *text;
    } cases[] = {
        {1200000, 1850000, 3500,
         "catching up: 1200000 of 3050000 records (39 %), 342857/s, 0:05 left"},
        {1000, 999000, 1000, "catching up: 1000 of 1000000 records (0 %), 1000/s, 16:39 left"},
        {100, 999900, 1000, "catching up: 100 of 1000000 records (0 %), 100/s, 2:46:39 left"},
        {0, 5, 10000, "catching up: 0 of 5 records (0 %), nothing came yet"},
        {0, 0, 10, "catching up: 0 of 0 records (100 %), nothing came yet"},
        {5, 0, 0, "catching up: 5 of 5 records (100 %), 5000/s, 0:00 left"},
        {7, 3, 7000, "catching up: 7 of 10 records (70 %), 1/s, 0:03 left"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        kd_catchup c = {.began_ms = 777};
        char text[KD_CATCHUP_TEXT];
        kd_catchup_text(&c, cases[k].done, cases[k].left, 777 + cases[k].spent_ms, text);
        assert_string_equal(text, cases[k].text);
    }
}

static void test_the_longest_fits(void **state)
{
    (void)state;
    kd_catchup c = {.began_ms = 0};
    char text[KD_CATCHUP_TEXT];
    kd_catchup_text(&c, 1, INT64_MAX, INT64_C(1000000000), text);
    assert_true(strlen(text) < KD_CATCHUP_TEXT - 1);
    assert_non_null(strstr(text, "9999:00:00 left")); /* which is long enough */
    kd_catchup_end_text(&c, INT64_MAX, INT64_MAX, text);
    assert_true(strlen(text) < KD_CATCHUP_TEXT - 1);
    assert_non_null(strstr(text, "joining the group"));
}

static void test_the_end(void **state)
{
    (void)state;
    kd_catchup c = {.began_ms = 1000};
    char text[KD_CATCHUP_TEXT];
    kd_catchup_end_text(&c, 3050000, 7100, text);
    assert_string_equal(text, "caught up: 3050000 records in 6.1 s, 500000/s; joining the group");
    kd_catchup_end_text(&c, 0, 1000, text);
    assert_string_equal(text, "caught up: 0 records in 0.0 s, 0/s; joining the group");
}

static void test_when(void **state)
{
    (void)state;
    kd_catchup c = {.began_ms = 1000, .said_ms = 1000};
    assert_false(kd_catchup_is_due(&c, 1000));
    assert_false(kd_catchup_is_due(&c, 5999));
    assert_true(kd_catchup_is_due(&c, 6000));
    assert_false(kd_catchup_is_due(&c, 6001));
    assert_true(kd_catchup_is_due(&c, 99999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_the_longest_fits),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
