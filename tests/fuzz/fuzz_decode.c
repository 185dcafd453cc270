/* Everything that takes bytes from outside in the schemas room, by the first byte:
 *   0 message (single object), 1 JSON line, 2 container file, 3 a writer's schema, NUL, its bytes,
 *   4 bare body of a record type (second byte)
 * What is read must be written and read again to the same text.
 * @thread main */
#include <stdlib.h>
#include <string.h>

#include "schemas/codec.h"
#include "schemas/container.h"
#include "schemas/json.h"
#include "schemas/plan.h"
#include "schemas/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record that was read prints, parses and prints to the same line. */
static void check_record(const kd_record *r, kd_arena *a)
{
    kd_buf line = {0}, again = {0};
    kd_record back;
    kd_err err;
    kd_record_init(&back, KD_BROWSE);
    if (kd_record_check(r, INT64_MAX, &err) == KD_OK) {
        kd_json_event_print(r, &line);
        kd_rc rc = kd_json_event_parse(line.p, line.n, a, &back, &err);
        /* jansson has no NUL in a string; a record may */
        KD_ASSERT(rc == KD_OK || memmem(line.p, line.n, "\\u0000", 6) != NULL);
        if (rc == KD_OK) {
            kd_json_event_print(&back, &again);
            KD_ASSERT(again.n == line.n && memcmp(again.p, line.p, line.n) == 0);
        }
    }
    kd_buf_dispose(&line);
    kd_buf_dispose(&again);
}

static void feed_message(const uint8_t *p, size_t n, kd_arena *a)
{
    kd_codec_options o = {0};
    kd_codec *c;
    kd_err err;
    kd_buf json = {0};
    if (kd_codec_new(&o, &c, &err) != KD_OK)
        return;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        kd_record r;
        kd_record_init(&r, KD_BROWSE);
        if (kd_codec_decode(c, (kd_record_type)t, p, n, p, n, &r, a, &err) == KD_OK)
            check_record(&r, a);
    }
    kd_rc rc = kd_codec_to_json(c, p, n, &json, NULL, &err);
    KD_ASSERT(rc == KD_OK || rc == KD_EDATA);
    kd_buf_dispose(&json);
    kd_codec_free(c);
}

static void feed_json(const uint8_t *p, size_t n, kd_arena *a)
{
    kd_record r;
    kd_err err;
    kd_record_init(&r, KD_BROWSE);
    kd_rc rc = kd_json_event_parse((const char *)p, n, a, &r, &err);
    KD_ASSERT(rc == KD_OK || rc == KD_EDATA);
    if (rc == KD_OK)
        check_record(&r, a);
}

static void feed_container(const uint8_t *p, size_t n, kd_arena *a)
{
    kd_container *c;
    kd_record r;
    kd_err err;
    if (kd_container_open_mem(p, n, &c, &err) != KD_OK)
        return;
    for (kd_rc rc = KD_OK; rc == KD_OK || rc == KD_EDATA;) {
        kd_record_init(&r, KD_BROWSE);
        rc = kd_container_next(c, a, &r, &err);
        if (rc == KD_OK)
            check_record(&r, a);
    }
    kd_container_close(c);
}

/* A plan and the generic walk take the same bytes for a value. */
static void feed_body(const char *schema, size_t len, const uint8_t *p, size_t n, kd_arena *a)
{
    kd_avsc *writer = NULL;
    kd_err err;
    if (kd_avsc_parse(schema, len, &writer, &err) != KD_OK)
        return;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        const char *text = kd_schema_text((kd_schema_id)t);
        kd_avsc *reader = NULL;
        kd_plan *plan = NULL;
        kd_record r;
        kd_record_init(&r, KD_BROWSE);
        kd_rc rc = kd_avsc_parse(text, strlen(text), &reader, &err);
        KD_ASSERT(rc == KD_OK);
        rc = kd_plan_compile(kd_avsc_root(writer), kd_avsc_nodes(writer), kd_avsc_root(reader),
                             (kd_record_type)t, &plan, &err);
        if (rc == KD_OK && kd_plan_decode_all(plan, p, n, &r, a, &err) == KD_OK)
            check_record(&r, a);
        kd_plan_free(plan);
        kd_avsc_free(reader);
    }
    kd_buf json = {0};
    kd_cursor c = kd_cursor_of(p, n);
    if (kd_walk_json(kd_avsc_root(writer), &c, &json, &err) == KD_OK) {
        kd_plan *skip = NULL;
        kd_cursor s = kd_cursor_of(p, n);
        if (kd_plan_compile_skip(kd_avsc_root(writer), kd_avsc_nodes(writer), &skip, &err) == KD_OK)
            KD_ASSERT(kd_plan_skip(skip, &s));
        kd_plan_free(skip);
    }
    kd_buf_dispose(&json);
    kd_avsc_free(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    kd_arena *a = kd_arena_new(64 << 20);
    const uint8_t *p = data + 1;
    size_t n = size - 1;
    if (a == NULL)
        return 0;
    switch (data[0] % 5) {
    case 0:
        feed_message(p, n, a);
        break;
    case 1:
        feed_json(p, n, a);
        break;
    case 2:
        feed_container(p, n, a);
        break;
    case 3: {
        const uint8_t *nul = memchr(p, 0, n);
        if (nul != NULL)
            feed_body((const char *)p, (size_t)(nul - p), nul + 1, n - (size_t)(nul - p) - 1, a);
        break;
    }
    default:
        if (n > 0) {
            const char *text = kd_schema_text((kd_schema_id)(p[0] % KD_SCHEMAS));
            feed_body(text, strlen(text), p + 1, n - 1, a);
        }
    }
    kd_arena_free(a);
    return 0;
}
