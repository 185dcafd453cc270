/* plan.h - a writer's schema resolved against one of our record types, compiled to steps.
 *
 * Avro 1.11.1, "Schema Resolution": fields by name or reader's alias, in the writer's order;
 * writer's extra fields are skipped whatever they are; the reader's missing ones take their
 * defaults; unions branch by branch; int, long, float, double and string, bytes promote; enums by
 * symbol. One step per writer's field; what is decided by the schemas alone is decided at compile.
 * I1 decoding reads each byte a bounded number of times, allocates only a tag list (from `a`), and
 *    nests at most KD_CURSOR_DEPTH_MAX
 * @thread any: a plan is constant once compiled.
 */
#ifndef KD_PLAN_H
#define KD_PLAN_H

#include "schemas/avsc.h"
#include "schemas/cursor.h"
#include "schemas/record.h"

typedef struct kd_plan kd_plan;

/* `reader` is our own schema of that type (its aliases count) or an evolved one in tests; both
 * nodes need to live until return only. KD_EDATA (schema) says what does not resolve. *out is
 * owned. */
KD_CHECK kd_rc kd_plan_compile(const kd_avro_node *writer, uint32_t writer_nodes,
                               const kd_avro_node *reader, kd_record_type type, kd_plan **out,
                               kd_err *err);
void kd_plan_free(kd_plan *p);

/* One record from the cursor, which moves behind it. Fills type and fields; see codec.h. */
KD_CHECK kd_rc kd_plan_decode(const kd_plan *p, kd_cursor *c, kd_record *out, kd_arena *a,
                              kd_err *err);
/* The same for n bytes that are one record and nothing else. */
KD_CHECK kd_rc kd_plan_decode_all(const kd_plan *p, const void *bytes, size_t n, kd_record *out,
                                  kd_arena *a, kd_err *err);

/* A plan that only passes over values of any schema. */
KD_CHECK kd_rc kd_plan_compile_skip(const kd_avro_node *writer, uint32_t writer_nodes,
                                    kd_plan **out, kd_err *err);
/* Moves the cursor behind one value; false with c->fault set if it is broken. For plans of
 * kd_plan_compile_skip. */
KD_CHECK bool kd_plan_skip(const kd_plan *p, kd_cursor *c);

/* KD_EDATA out of a cursor's fault; `field` may be NULL. */
kd_rc kd_cursor_err(const kd_cursor *c, const char *field, kd_err *err);

#endif
