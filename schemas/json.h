/* json.h - records and outputs as JSON text, one object a line, with the schemas' field names.
 *
 * In:  {"type":"BrowseEvent","user_id":"u1","item_id":"i1","action":"VIEW","time":1290000000000}
 *      Fields with a default in the schema may be left out; unknown ones are ignored; times are
 *      integer milliseconds since 1970 UTC or ISO 8601 text.
 * Out: every field is written, null as null, times as integer milliseconds, doubles so that they
 *      read back to the same bits (%.17g). Bytes (a dead letter's key and value) are a JSON string
 *      where they are UTF-8, else {"base64":"..."}. Hashes and digests are hexadecimal.
 * @thread any: no state.
 */
#ifndef KD_JSON_H
#define KD_JSON_H

#include "schemas/record.h"
#include "schemas/update.h"

enum { KD_JSON_LINE_MAX = 16 * 1024 * 1024 }; /* longer ones are KD_EDATA, reason too-large */

/* Parses one object. Fills out->type and the fields; out->pos, ts, emit and raw_* stay as the
 * caller left them (set before or after, as it likes). Strings live in `a`. Does not run
 * kd_record_check. KD_EDATA: decode (bad JSON, with its column), utf8, field (missing, or of the
 * wrong type: the message names it and says what would be right), time, number (negative or not
 * finite where null is kept as a negative). *out is untouched on failure. */
KD_CHECK kd_rc kd_json_event_parse(const char *p, size_t n, kd_arena *a, kd_record *out,
                                   kd_err *err);

/* Appends one object, no newline. What is appended reads back to the same record. */
void kd_json_event_print(const kd_record *r, kd_buf *out);
/* Appends one object, no newline. KD_OUT_FORGOTTEN is {"shopper_id":...,"forgotten":true}: the null
 * that it is on a compacted topic has no place in a file of lines. */
void kd_json_out_print(const kd_out *o, kd_buf *out);

/* The pieces, for others who print JSON. A null string is null; invalid UTF-8 becomes U+FFFD. */
void kd_json_str(kd_buf *out, kd_str s);
/* The parts of an item as an object; null where there is none. */
void kd_json_parts(kd_buf *out, const kd_item *it);
void kd_json_bytes(kd_buf *out, const void *p, size_t n); /* p NULL is null */
void kd_json_int(kd_buf *out, int64_t x);
void kd_json_real(kd_buf *out, double x); /* not finite is null: JSON has no word for it */

#endif
