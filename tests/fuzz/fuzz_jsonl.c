/* fuzz_jsonl.c: the fast reader of JSON lines against the one with a tree, on arbitrary bytes:
 * where the fast one takes a line, both must give the same record.
 * @thread main */
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "consumers/jsonl_scan.h"
#include "schemas/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    kd_arena *a = kd_arena_new(0);
    KD_ASSERT(a != NULL);
    kd_record fast, slow;
    kd_record_init(&fast, KD_BROWSE);
    kd_record_init(&slow, KD_BROWSE);
    if (kd_jsonl_scan(p, size, a, &fast)) {
        kd_err err = {0};
        kd_buf x = {0}, y = {0};
        KD_ASSERT(kd_json_event_parse(p, size, a, &slow, &err) == KD_OK);
        kd_json_event_print(&fast, &x);
        kd_json_event_print(&slow, &y);
        KD_ASSERT(kd_str_eq(kd_buf_str(&x), kd_buf_str(&y)));
        kd_buf_dispose(&x);
        kd_buf_dispose(&y);
    }
    kd_arena_free(a);
    return 0;
}
