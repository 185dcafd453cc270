/* held_out.h - what `kindred evaluate` and `kindred tune` share: the flags that name what is
 * learned and what is asked.
 * @thread main
 */
#ifndef KD_HELD_OUT_H
#define KD_HELD_OUT_H

#include "cli/cli.h"
#include "topology/protocol.h"

#define KD_HELD_OUT_HELP                                                                           \
    "  --train EVENTS...       learned: .jsonl, .csv, .tsv, .avro, or .txt with one session a\n"   \
    "                          line, item ids in order; each also .gz\n"                           \
    "  --test FILE...          asked: events of the same kinds, every prefix of each session\n"    \
    "  --prefixes              a line of --test is a prefix, a tab and the next item instead\n"    \
    "  --holdout N|P%          instead of a test: the last N sessions (or P per cent) of train\n"  \
    "  --map MAP.yaml, --now TIME    as for replay; the map is for train and test\n"

#define KD_HELD_OUT_FLAGS                                                                          \
    {.name = "train", .has_value = true, .many = true},                                            \
        {.name = "test", .has_value = true, .many = true}, {.name = "prefixes"},                   \
        {.name = "holdout", .has_value = true}, {.name = "map", .has_value = true},                \
    {                                                                                              \
        .name = "now", .has_value = true                                                           \
    }

/* Loads what the flags name; `lists` may be NULL. *out is owned by the caller. */
KD_CHECK kd_rc kd_held_out_load(kd_arena *arena, const kd_flag *flags, const kd_opt_values *v,
                                const char *lists, kd_protocol **out, kd_err *err);

#endif
