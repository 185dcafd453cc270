/* walk.h - any Avro value as JSON, by its writer's schema alone: what `tail` shows.
 *
 * A union's value stands for itself. Bytes and fixed as kd_json_bytes; not a finite number is null.
 * I1 time and output linear in the message (entries that take no bytes: at most 10,000 a list)
 * @thread any
 */
#ifndef KD_WALK_H
#define KD_WALK_H

#include "schemas/avsc.h"
#include "schemas/cursor.h"

/* One value from the cursor. KD_EDATA; what was appended to out is then to be thrown away. */
KD_CHECK kd_rc kd_walk_json(const kd_avro_node *node, kd_cursor *c, kd_buf *out, kd_err *err);

#endif
