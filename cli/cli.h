/* cli.h - what the verbs share: the table of verbs, exit codes, common flags, progress lines.
 *
 * A verb is one file verb_x.c with one row in main.c. It parses its flags, wires rooms together and
 * runs; errors come back as kd_err and are printed once, in main.
 * @thread main
 */
#ifndef KD_CLI_H
#define KD_CLI_H

#include <stdio.h>

#include "topology/config.h"
#include "topology/replay.h"

/* What the process says to its caller. */
#define KD_EXIT_MAP(X)                                                                             \
    X(KD_EXIT_OK, 0, "done")                                                                       \
    X(KD_EXIT_USAGE, 1, "wrong flags or configuration; the message says what would be right")      \
    X(KD_EXIT_IO, 2, "a file, broker or registry failed")                                          \
    X(KD_EXIT_DEAD_LETTERS, 3, "more dead letters than --max-dead-letters allows")                 \
    X(KD_EXIT_CHECK, 4, "a check found a difference (topics check, schemas check, state)")         \
    X(KD_EXIT_BUG, 5, "an invariant is broken, or memory ran out")                                 \
    X(KD_EXIT_INTERRUPTED, 130, "interrupted before the end")

typedef enum kd_exit {
#define KD_EXIT_ENUM(name, value, text) name = (value),
    KD_EXIT_MAP(KD_EXIT_ENUM)
#undef KD_EXIT_ENUM
} kd_exit;

typedef struct kd_verb {
    const char *name;
    const char *summary; /* one line of `kindred help` */
    const char *help;    /* flags and examples, without the common flags */
    int (*run)(const struct kd_verb *verb, int argc, char **argv, kd_err *err);
} kd_verb;

extern const kd_verb kd_verb_recommend, kd_verb_explain, kd_verb_backtest, kd_verb_tune,
    kd_verb_evaluate, kd_verb_replay, kd_verb_generate, kd_verb_demo, kd_verb_run, kd_verb_produce,
    kd_verb_forget, kd_verb_tail, kd_verb_topics, kd_verb_schemas, kd_verb_state, kd_verb_config,
    kd_verb_version;

const kd_verb *kd_verbs(size_t *out_n);

/* The exit code that a failure means. */
kd_exit kd_exit_of(kd_rc rc);

/* Common flags: -c FILE, --set NAME=VALUE, -X PROPERTY=VALUE, --help; they fill the configuration
 * in the right order whatever their order on the line. */
typedef struct kd_given {
    const char **file, **set, **property; /* as often as they were given; strings are argv's */
    int n_file, n_set, n_property;
} kd_given;

typedef struct kd_common {
    kd_config config; /* of the last file that was named, or of KINDRED_CONFIG */
    kd_given given;
    bool help;
} kd_common;

/* The configuration that the flags give with this file (NULL: none); for verbs that take several.
 * Disposed of by the caller, after a failure too. */
KD_CHECK kd_rc kd_common_config(const kd_common *common, const char *file, kd_config *out,
                                kd_err *err);

/* A flag of a verb's own: given once or many times. */
typedef struct kd_flag {
    const char *name; /* without dashes; NULL ends the table */
    bool has_value;
    bool many;           /* takes all the words that follow, too (--in a b c) */
    const char **values; /* filled: [n]; room for argc of them, from kd_flags_parse's arena */
    int n;
} kd_flag;

/* Parses argv (without the program and verb names). Words without a flag go to *rest (NULL: they
 * are an error). KD_ECONFIG names the wrong flag and the nearest right one. Strings are argv's. */
KD_CHECK kd_rc kd_flags_parse(int argc, char **argv, kd_flag *flags, kd_arena *arena,
                              kd_common *common, const char ***rest, int *n_rest, kd_err *err);
void kd_common_dispose(kd_common *c);

/* The value of a flag, NULL if it was not given. */
const char *kd_flag_value(const kd_flag *flags, const char *name);
bool kd_flag_given(const kd_flag *flags, const char *name);
KD_CHECK kd_rc kd_flag_int(const kd_flag *flags, const char *name, int64_t dflt, int64_t min,
                           int64_t *out, kd_err *err);

/* Progress on stderr: one line that is written over on a terminal, plain lines otherwise. The
 * argument is a kd_progress_line. */
typedef struct kd_progress_line {
    bool is_terminal, is_quiet, has_line;
    const char *done; /* what counts->updates are here: "updates", "acknowledged" */
    int64_t shown_ms, last_records, last_ms;
} kd_progress_line;
/* A line of its own, above the progress if there is one: `arg` is a kd_progress_line, nullable. */
void kd_progress_notice(void *arg, const char *text);
void kd_progress_line_init(kd_progress_line *p, const char *done);
void kd_progress_show(void *arg, const kd_counts *counts, const kd_progress *progress,
                      int64_t elapsed_ms, bool is_last);

/* SIGINT and SIGTERM raise the flag; a second one ends the process at once. */
const volatile int *kd_stop_on_signals(void);

#endif
