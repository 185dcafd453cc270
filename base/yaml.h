/* yaml.h - a YAML document as a tree in which every node knows its line and column.
 *
 * One document a file. Keys are scalars and unique within their map; the order of the file is kept.
 * Scalars stay text: what "yes" or "08" means is decided by who asks for a type. A plain (unquoted)
 * scalar `~`, `null` or nothing is null; a quoted one never is.
 * I1  aliases point at the node they name (which has its own place), merge keys (<<) are refused
 * I2  bounded: 16 MiB of text, depth 64, 1,000,000 nodes counted with every alias expanded
 * Errors are KD_ECONFIG with where = "file:line:column" (both from 1).
 * @thread one; a finished tree may be read by any.
 */
#ifndef KD_YAML_H
#define KD_YAML_H

#include "base/kd.h"

typedef enum kd_yaml_kind {
    KD_YAML_NULL,
    KD_YAML_SCALAR,
    KD_YAML_MAP,
    KD_YAML_SEQ,
} kd_yaml_kind;

typedef struct kd_yaml kd_yaml;           /* the document; owns everything below it */
typedef struct kd_yaml_node kd_yaml_node; /* borrowed while the document lives */

struct kd_yaml_node {
    kd_yaml_kind kind;
    bool is_quoted; /* SCALAR */
    int line, column;
    const char *text;                 /* SCALAR: NUL-terminated, no NUL inside; "" for null */
    size_t n;                         /* MAP: pairs, SEQ: entries, SCALAR: bytes of text */
    const kd_yaml_node *const *keys;  /* MAP: n scalars */
    const kd_yaml_node *const *items; /* MAP: n values, SEQ: n entries */
};

/* An empty file gives a root of kind NULL. `name` is what errors call the text. *out is owned by
 * the caller. KD_EIO if the file cannot be read. */
KD_CHECK kd_rc kd_yaml_load(const char *path, kd_yaml **out, kd_err *err);
KD_CHECK kd_rc kd_yaml_parse(const char *text, size_t n, const char *name, kd_yaml **out,
                             kd_err *err);
void kd_yaml_free(kd_yaml *y);

const kd_yaml_node *kd_yaml_root(const kd_yaml *y);
const char *kd_yaml_name(const kd_yaml *y);

/* The value of a key, or the key node itself; NULL if absent or `map` is no map. */
const kd_yaml_node *kd_yaml_get(const kd_yaml_node *map, const char *key);
const kd_yaml_node *kd_yaml_key(const kd_yaml_node *map, const char *key);

/* Typed reads of a scalar: KD_ECONFIG with its place and what would be right. */
KD_CHECK kd_rc kd_yaml_str(const kd_yaml *y, const kd_yaml_node *n, const char **out, kd_err *err);
KD_CHECK kd_rc kd_yaml_int(const kd_yaml *y, const kd_yaml_node *n, int64_t *out, kd_err *err);
KD_CHECK kd_rc kd_yaml_real(const kd_yaml *y, const kd_yaml_node *n, double *out, kd_err *err);
/* true/false/yes/no/on/off in any case. */
KD_CHECK kd_rc kd_yaml_bool(const kd_yaml *y, const kd_yaml_node *n, bool *out, kd_err *err);

/* KD_ECONFIG at a node's place: `return kd_yaml_fail(y, node, err, "no field \"%s\"", name);` */
kd_rc kd_yaml_fail(const kd_yaml *y, const kd_yaml_node *at, kd_err *err, const char *fmt, ...)
    KD_PRINTF(4, 5);

/* KD_ECONFIG at the first key of `map` that is not in `known` (ended by NULL), naming the nearest
 * known one; also when `map` is neither map nor null. */
KD_CHECK kd_rc kd_yaml_only_keys(const kd_yaml *y, const kd_yaml_node *map,
                                 const char *const *known, kd_err *err);

/* The entry of `words` (ended by NULL) nearest to `word` by edit distance with swaps, or NULL if
 * none is near (more than a third of the letters, at least 1, differ). */
const char *kd_nearest(const char *word, const char *const *words);

#endif
