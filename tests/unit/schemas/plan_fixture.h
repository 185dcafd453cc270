/* plan_fixture.h - a writer's schema resolved against one of ours, for the tests of plans. */
#ifndef KD_TESTS_SCHEMAS_PLAN_FIXTURE_H
#define KD_TESTS_SCHEMAS_PLAN_FIXTURE_H

#include "support.h"

#include "schemas/avro.h"
#include "schemas/plan.h"

typedef struct fixture {
    kd_avsc *writer, *reader;
    kd_plan *plan;
    kd_arena *a;
    kd_buf bytes;
} fixture;

static inline kd_avsc *parse(const char *text)
{
    kd_avsc *s = NULL;
    kd_err err;
    if (kd_avsc_parse(text, strlen(text), &s, &err) != KD_OK)
        fail_msg("%s: %s", text, err.msg);
    return s;
}

static inline kd_rc open_with(fixture *f, const char *writer, const char *reader,
                              kd_record_type type, kd_err *err)
{
    *f = (fixture){.writer = parse(writer), .reader = parse(reader), .a = kd_arena_new(0)};
    return kd_plan_compile(kd_avsc_root(f->writer), kd_avsc_nodes(f->writer),
                           kd_avsc_root(f->reader), type, &f->plan, err);
}

static inline kd_rc open_plan(fixture *f, const char *writer, kd_record_type type, kd_err *err)
{
    return open_with(f, writer, kd_schema_text((kd_schema_id)type), type, err);
}

static inline void close_plan(fixture *f)
{
    kd_plan_free(f->plan);
    kd_avsc_free(f->writer);
    kd_avsc_free(f->reader);
    kd_arena_free(f->a);
    kd_buf_dispose(&f->bytes);
}

#endif
