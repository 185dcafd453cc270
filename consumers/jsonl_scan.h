/* jsonl_scan.h - the usual JSON line, read in one pass without a tree.
 *
 * Most lines are flat objects with "type" first, known fields once each, strings without escapes
 * and plain numbers. Those are read here, strings borrowed from the line, at several times the
 * speed of a JSON library. Everything else, valid or not, is left to kd_json_event_parse, which
 * also says what is wrong: this never refuses, it only steps aside. I1  where kd_jsonl_scan says
 * true, kd_json_event_parse would have given the same record (a test holds the two together).
 * @thread any: no state.
 */
#ifndef KD_JSONL_SCAN_H
#define KD_JSONL_SCAN_H

#include "schemas/record.h"

/* True: *out is as kd_json_event_parse fills it, but for strings, which point into p; tags live in
 * `a`. False: *out is untouched. */
bool kd_jsonl_scan(const char *p, size_t n, kd_arena *a, kd_record *out);

#endif
