/* The scripted source: codes where the script says, a live end, commits, spoilt memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "consumers/sources.h"

static kd_memory_step event(const char *item)
{
    kd_memory_step m = {.rc = KD_OK};
    kd_record_init(&m.record, KD_BROWSE);
    m.record.item_id = kd_str_of(item);
    m.record.user_id = kd_str_of("u1");
    m.record.time = m.record.ts = 1400000000000;
    return m;
}

static void scripted_codes(void **state)
{
    (void)state;
    kd_memory_step steps[] = {
        event("i1"), {.rc = KD_AGAIN}, {.rc = KD_RETRY, .msg = "registry away"},
        event("i2"), event("i3"),      {.rc = KD_EIO}};
    steps[4].rc = KD_EDATA;
    steps[4].reason = KD_REASON_SCHEMA;
    kd_memory_options o = {.steps = steps, .n_steps = 6, .number_pos = true};
    kd_source *s = NULL;
    kd_err err = {0};
    kd_record r;
    assert_int_equal(kd_memory_source_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_OK);
    assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
    assert_string_equal(r.pos.topic, "memory");
    assert_int_equal(r.pos.offset, 0);
    assert_int_equal(s->kind->next(s, &r, &err), KD_AGAIN);
    assert_int_equal(s->kind->next(s, &r, &err), KD_RETRY);
    assert_string_equal(err.msg, "registry away");
    assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
    assert_int_equal(r.pos.offset, 1);
    assert_int_equal(s->kind->next(s, &r, &err), KD_EDATA);
    assert_int_equal(err.reason, KD_REASON_SCHEMA);
    assert_int_equal(r.pos.offset, 2);
    assert_int_equal(s->kind->next(s, &r, &err), KD_EIO);
    assert_int_equal(s->kind->next(s, &r, &err), KD_END);
    s->kind->close(s);
}

static void count_wake(void *arg)
{
    ++*(int *)arg;
}

static void live(void **state)
{
    (void)state;
    kd_memory_options o = {.is_live = true};
    kd_source *s = NULL;
    kd_err err = {0};
    kd_record r;
    int wakes = 0;
    assert_int_equal(kd_memory_source_new(&o, &s, &err), KD_OK);
    s->kind->set_wake(s, count_wake, &wakes);
    assert_int_equal(s->kind->start(s, &err), KD_OK);
    assert_int_equal(s->kind->next(s, &r, &err), KD_AGAIN);
    for (int i = 0; i < 40; i++) {
        kd_memory_step m = event("i1");
        assert_int_equal(kd_memory_push(s, &m, &err), KD_OK);
    }
    assert_int_equal(wakes, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
    assert_int_equal(s->kind->next(s, &r, &err), KD_AGAIN);
    kd_memory_end(s);
    assert_int_equal(wakes, 41);
    assert_int_equal(s->kind->next(s, &r, &err), KD_END);
    s->kind->close(s);
}

static void positions(void **state)
{
    (void)state;
    kd_memory_step steps[] = {event("i1"), event("i2"), event("i3")};
    kd_memory_options o = {.steps = steps, .n_steps = 3};
    kd_source *s = NULL;
    kd_err err = {0};
    kd_record r;
    kd_memory_seen seen;
    assert_int_equal(kd_memory_source_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_OK);
    assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
    assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
    s->kind->release(s);
    assert_int_equal(s->kind->next(s, &r, &err), KD_OK);
    kd_memory_fail_commits(s, 1, KD_RETRY);
    assert_int_equal(s->kind->commit(s, &err), KD_RETRY);
    kd_memory_source_seen(s, &seen);
    assert_int_equal(seen.committed, 0);
    assert_int_equal(s->kind->commit(s, &err), KD_OK);
    s->kind->pause(s, true);
    s->kind->pause(s, true);
    kd_memory_source_seen(s, &seen);
    assert_int_equal(seen.committed, 2); /* the third is not released */
    assert_int_equal(seen.handed, 3);
    assert_int_equal(seen.commits, 2);
    assert_int_equal(seen.pauses, 1);
    assert_true(seen.is_paused);
    s->kind->close(s);
}

static kd_rc make_three(void *arg, kd_record *out, kd_arena *scratch, kd_err *err)
{
    int *n = arg;
    if (*n == 3)
        return KD_END;
    kd_str item = {"made up", 7};
    KD_TRY(kd_arena_str(scratch, item, &out->item_id, err));
    out->time = out->ts = 1400000000000 + (*n)++;
    return KD_OK;
}

static void closures(void **state)
{
    (void)state;
    int n = 0;
    kd_memory_options o = {.make = make_three, .make_arg = &n, .number_pos = true};
    kd_source *s = NULL;
    kd_err err = {0};
    kd_record r[3];
    assert_int_equal(kd_memory_source_new(&o, &s, &err), KD_OK);
    assert_int_equal(s->kind->start(s, &err), KD_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s->kind->next(s, &r[i], &err), KD_OK);
        assert_int_equal(r[i].pos.offset, i);
    }
    for (int i = 0; i < 3; i++)
        assert_memory_equal(r[i].item_id.p, "made up", 7);
    assert_int_equal(s->kind->next(s, &r[0], &err), KD_END);
    assert_int_equal(s->kind->next(s, &r[0], &err), KD_END);
    s->kind->close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripted_codes),
        cmocka_unit_test(live),
        cmocka_unit_test(positions),
        cmocka_unit_test(closures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
