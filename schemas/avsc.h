/* avsc.h - an Avro schema's text as a tree, with its parsing canonical form and fingerprint.
 *
 * Our own reader of schemas, because Avro-C 1.11 drops defaults, aliases and logical types and
 * keeps its errors in a variable of the process. Specification: Apache Avro 1.11.1, "Schema
 * Declaration", "Transforming into Parsing Canonical Form", "Schema Fingerprints". I1 a tree has at
 * most KD_AVSC_NODES_MAX nodes and is nested at most KD_AVSC_DEPTH_MAX deep; named types may be
 * recursive, so the graph may have cycles through records
 * @thread any: a finished tree is constant.
 */
#ifndef KD_AVSC_H
#define KD_AVSC_H

#include "base/buf.h"

enum { KD_AVSC_TEXT_MAX = 1 << 20, KD_AVSC_NODES_MAX = 8192, KD_AVSC_DEPTH_MAX = 64 };

typedef enum kd_avro_kind {
    KD_AVRO_NULL,
    KD_AVRO_BOOLEAN,
    KD_AVRO_INT,
    KD_AVRO_LONG,
    KD_AVRO_FLOAT,
    KD_AVRO_DOUBLE,
    KD_AVRO_BYTES,
    KD_AVRO_STRING,
    KD_AVRO_PRIMITIVES,
    KD_AVRO_RECORD = KD_AVRO_PRIMITIVES,
    KD_AVRO_ENUM,
    KD_AVRO_FIXED,
    KD_AVRO_ARRAY,
    KD_AVRO_MAP,
    KD_AVRO_UNION,
} kd_avro_kind;

typedef struct kd_avro_node kd_avro_node; /* everything below is borrowed while the schema lives */

typedef struct kd_avro_field {
    const char *name;
    const char *const *aliases;
    size_t n_aliases;
    const kd_avro_node *type;
    const char *default_json; /* as compact JSON text; NULL if it has none */
} kd_avro_field;

struct kd_avro_node {
    kd_avro_kind kind;
    uint32_t index;   /* of the node, from 0 */
    bool is_empty;    /* its encoding is always no bytes: null, fixed of 0, records of such */
    const char *name; /* RECORD ENUM FIXED: the full name; else NULL */
    const char *const *aliases; /* full names */
    size_t n_aliases;
    const char *logical;                 /* logicalType, or NULL */
    size_t n;                            /* fields, symbols, branches */
    const kd_avro_field *fields;         /* RECORD */
    const char *const *symbols;          /* ENUM */
    const kd_avro_node *const *branches; /* UNION */
    const kd_avro_node *items;           /* ARRAY items, MAP values */
    int64_t size;                        /* FIXED */
};

typedef struct kd_avsc kd_avsc;

/* *out is owned by the caller. KD_ECONFIG, saying what is wrong with the schema. */
KD_CHECK kd_rc kd_avsc_parse(const char *text, size_t n, kd_avsc **out, kd_err *err);
void kd_avsc_free(kd_avsc *s);

const kd_avro_node *kd_avsc_root(const kd_avsc *s);
uint32_t kd_avsc_nodes(const kd_avsc *s);
/* "long", "record kindred.BrowseEvent": for messages. Uses to (n bytes) for named ones. */
const char *kd_avro_node_text(const kd_avro_node *node, char *to, size_t n);
/* The part of a full name behind the last dot. */
const char *kd_avro_unqualified(const char *name);

void kd_avsc_canonical(const kd_avsc *s, kd_buf *out);
/* CRC-64-AVRO of the canonical form. */
uint64_t kd_avsc_fingerprint(const kd_avsc *s);
uint64_t kd_avro_crc64(const void *p, size_t n);

#endif
