/* The fast reader of JSON lines against the one with a tree: where it says yes, both say the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "consumers/jsonl_scan.h"
#include "consumers/sources.h"
#include "schemas/json.h"

/* All fields of a record, as text that two equal ones share. */
static void print(const kd_record *r, kd_buf *out)
{
    kd_json_event_print(r, out);
    kd_buf_addf(out, " %d %.17g %lld %lld", (int)r->action, r->price, (long long)r->dwell_ms,
                (long long)r->quantity);
}

/* Returns what the scan said. The line is copied to a block of its size, so that a read past it
 * shows. */
static bool compare(const char *line, size_t n)
{
    char *exact = malloc(n == 0 ? 1 : n);
    kd_arena *a = kd_arena_new(0), *b = kd_arena_new(0);
    assert_non_null(exact);
    memcpy(exact, line, n);
    kd_record fast, slow;
    memset(&fast, 0x5A, sizeof fast);
    memset(&slow, 0x5A, sizeof slow);
    bool took = kd_jsonl_scan(exact, n, a, &fast);
    kd_err err = {0};
    kd_rc rc = kd_json_event_parse(exact, n, b, &slow, &err);
    if (took) {
        if (rc != KD_OK)
            fail_msg("taken, but wrong (%s): %.*s", err.msg, (int)n, line);
        kd_buf x = {0}, y = {0};
        print(&fast, &x);
        print(&slow, &y);
        if (!kd_str_eq(kd_buf_str(&x), kd_buf_str(&y)))
            fail_msg("%.*s\ngives %.*s\nwant  %.*s", (int)n, line, (int)x.n, x.p, (int)y.n, y.p);
        assert_int_equal(fast.ts, slow.ts); /* what is not a field is left alone */
        assert_int_equal(fast.pos.offset, slow.pos.offset);
        kd_buf_dispose(&x);
        kd_buf_dispose(&y);
    } else {
        assert_int_equal(fast.type, 0x5A5A5A5A);
    }
    kd_arena_free(a);
    kd_arena_free(b);
    free(exact);
    return took;
}

static const char *const taken[] = {
    "{\"type\":\"BrowseEvent\",\"item_id\":\"i\",\"action\":\"VIEW\",\"time\":1}",
    " { \"type\" : \"BrowseEvent\" , \"time\" : 0 ,\t\"action\":\"LIKE\",\"item_id\":\"\" } ",
    "{\"type\":\"PurchaseEvent\",\"item_id\":\"i\",\"status\":\"PAID\",\"time\":1,\"price\":2.55,"
    "\"quantity\":999999999999999999,\"order_id\":null,\"user_id\":\"\xE7\x83\xAD\"}",
    "{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"tags\":[\"a\" , "
    "\"b\"],\"price\":12,\"available\":"
    "false,\"removed\":true,\"time\":1400000000000}",
    "{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"tags\":[ ],\"price\":0.1000000000000000055,"
    "\"time\":1}",
    "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":1}",
};
enum { N_TAKEN = sizeof taken / sizeof *taken };

static void usual_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TAKEN; i++)
        if (!compare(taken[i], strlen(taken[i])))
            fail_msg("not taken: %s", taken[i]);
    static const char *const left[] = {
        "",
        "{}",
        "[]",
        "{\"type\":\"BrowseEvent\"}",
        "{\"time\":1,\"type\":\"ForgetRequest\",\"shopper_id\":\"u\"}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":1,\"time\":2}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":1,\"more\":2}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":01}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":-1}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":1e3}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":1.0}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":1}x",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":1,}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":null,\"time\":1}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\\n\",\"time\":1}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\n\",\"time\":1}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"\xff\",\"time\":1}",
        "{\"type\":\"ForgetRequest\",\"shopper_id\":\"u\",\"time\":9999999999999999999}",
        "{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"price\":1.}",
        "{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"tags\":[\"a\",]}",
        "{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"available\":null}",
        "{\"type\":\"CatalogItem\",\"item_id\":\"i\",\"time\":1,\"available\":truee}",
        "{\"type\":\"BrowseEvent\",\"item_id\":\"i\",\"action\":\"PAID\",\"time\":1}",
    };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (compare(left[i], strlen(left[i])))
            fail_msg("taken: %s", left[i]);
}

/* Lines with some bytes changed, dropped, doubled: about half of them are still JSON. */
static void changed_lines(void **state)
{
    (void)state;
    const uint64_t seed = 4711;
    print_message("seed %llu\n", (unsigned long long)seed);
    static const char bytes[] = "{}[]\",:.0123456789eE+-\\ \t\nnulltruefalse\x01\xC3\xA9";
    kd_rng r;
    kd_rng_init(&r, seed);
    int took = 0, rounds = 60000;
    for (int round = 0; round < rounds; round++) {
        char line[512];
        const char *from = taken[kd_rng_below(&r, N_TAKEN)];
        size_t n = strlen(from);
        memcpy(line, from, n);
        for (uint64_t k = kd_rng_below(&r, 3); k > 0 && n > 1; k--) {
            size_t i = (size_t)kd_rng_below(&r, n);
            uint64_t how = kd_rng_below(&r, 3);
            if (how == 0) {
                line[i] = bytes[kd_rng_below(&r, sizeof bytes - 1)];
            } else if (how == 1) {
                memmove(line + i, line + i + 1, n - i - 1);
                n--;
            } else {
                memmove(line + i + 1, line + i, n - i);
                n++;
            }
        }
        took += compare(line, n);
    }
    assert_in_range(took, rounds / 4, rounds * 9 / 10);
}

/* What our own writer writes is taken, but for titles with quotes in them. */
static void own_lines(void **state)
{
    (void)state;
    kd_generator_options o;
    kd_generator_defaults(&o);
    o.events = 5000;
    o.items = 500;
    o.tastes = 10;
    kd_source *s = NULL;
    kd_err err = {0};
    assert_int_equal(kd_generator_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_OK);
    kd_record r;
    kd_buf line = {0};
    while (s->kind->next(s, &r, &err) == KD_OK) {
        kd_buf_clear(&line);
        kd_json_event_print(&r, &line);
        assert_true(compare(line.p, line.n));
        s->kind->release(s);
    }
    kd_buf_dispose(&line);
    s->kind->close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_lines),
        cmocka_unit_test(changed_lines),
        cmocka_unit_test(own_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
