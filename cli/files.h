/* files.h - flags that several verbs have: --in, --map and --now, as a file source; the kind of a
 * file that is written; --why and --lang.
 * @thread main
 */
#ifndef KD_CLI_FILES_H
#define KD_CLI_FILES_H

#include "cli/cli.h"
#include "sinks/sinks.h"

/* A source over --in, with the mapping of --map (a path, or the name of a shipped one) and --now
 * (default: the clock; nullable *out_now gets it). Flags in, map and now must be in the table. */
KD_CHECK kd_rc kd_files_open(kd_arena *arena, const kd_flag *flags, kd_source **out, kd_ms *out_now,
                             kd_err *err);

/* The same from a flag of another name. */
KD_CHECK kd_rc kd_files_open_as(kd_arena *arena, const kd_flag *flags, const char *name,
                                kd_source **out, kd_ms *out_now, kd_err *err);

/* How a file that a flag names is written, told by its ending: .jsonl (or none, or "-") or .avro.
 * KD_ECONFIG for another one, and for .gz, which is read only. */
KD_CHECK kd_rc kd_files_is_avro(const char *flag, const char *path, bool *out, kd_err *err);

/* The flags --why and --lang, into the table's options. */
KD_CHECK kd_rc kd_files_why(const kd_flag *flags, kd_terminal_options *table, kd_err *err);

#endif
