/* manifest.h - what a snapshot says about itself: manifest.yaml beside its sections.
 *
 *   format: 1                        of this file; another one is refused
 *   program, made                    for people
 *   options: {name: "value"}         those that decide what the state is
 *   state: {digest, shoppers, ...}   what is in it
 *   positions: [{topic, partition, offset, term}]
 *   sections: [{name, version, file, bytes, sum}]
 *   sum: XXH3 of everything above it
 * @thread any: no state
 */
#ifndef KD_MANIFEST_H
#define KD_MANIFEST_H

#include "base/arena.h"
#include "consumers/kd_source.h"
#include "operators/recommender.h"

enum { KD_MANIFEST_FORMAT = 1, KD_MANIFEST_SECTIONS = 4 };

typedef struct kd_section {
    const char *name, *file;
    uint32_t version;
    int64_t bytes;
    uint64_t sum; /* XXH3 of the whole file */
} kd_section;

typedef struct kd_manifest {
    const char *program;
    kd_ms made; /* wall clock */
    kd_saved_option options[KD_SAVED_OPTIONS];
    kd_saved saved;
    kd_source_pos *positions; /* [n_positions] */
    size_t n_positions;
    kd_section sections[KD_MANIFEST_SECTIONS];
    size_t n_sections;
} kd_manifest;

void kd_manifest_print(const kd_manifest *m, kd_buf *out);
/* Strings live in `arena`; `name` is what errors call the text. KD_EIO: damaged; KD_ESTATE: another
 * format, or what no version of it could say. */
KD_CHECK kd_rc kd_manifest_parse(const char *text, size_t n, const char *name, kd_arena *arena,
                                 kd_manifest *out, kd_err *err);

/* KD_ESTATE, naming the first option whose value differs. */
KD_CHECK kd_rc kd_manifest_fits(const kd_manifest *m, const kd_recommender *rec, kd_err *err);

/* True if a's state can stand for b's: made under the same options and with the same layout, and in
 * no partition of b's less far. */
bool kd_manifest_covers(const kd_manifest *a, const kd_manifest *b);
/* How many records a is further than b, over the partitions that both have. */
int64_t kd_manifest_ahead(const kd_manifest *a, const kd_manifest *b);

#endif
