/* dense.h - a block of dense float vectors, one a row, and who in it is nearest to whom, by BLAS.
 *
 * A row is the random projection of a sparse vector of length 1: each term stands for a vector of
 * +1 and -1 that its hash and the seed give (Achlioptas 2003, Journal of Computer and System
 * Sciences 66(4)), so no table is kept. A dot product of two rows is their cosine with a standard
 * error of about 1 / sqrt(dimension).
 *
 * One routine (sgemm), one shape (KD_DENSE_QUERIES x KD_DENSE_TILE x dimension, padded with
 * zeros), one thread. The last bits still depend on the kernel that BLAS takes on this machine, so
 * what comes from here is only ever a proposal: it is rescored exactly.
 * Memory: 4 * dimension bytes a row.   @thread one
 */
#ifndef KD_DENSE_H
#define KD_DENSE_H

#include "base/kd.h"

enum { KD_DENSE_QUERIES = 32, KD_DENSE_TILE = 1024 };

typedef struct kd_dense kd_dense;

typedef struct kd_dense_entry {
    uint64_t hash;
    double weight;
} kd_dense_entry;

/* dimension: a multiple of 64, at least 64. */
KD_CHECK kd_rc kd_dense_new(uint32_t dimension, uint64_t seed, kd_dense **out, kd_err *err);
void kd_dense_free(kd_dense *d);

/* Room for rows below n_rows; new ones are zero. */
KD_CHECK kd_rc kd_dense_fit(kd_dense *d, uint32_t n_rows, kd_err *err);
/* Projects n entries, divided by `norm`, into a row; n = 0 clears it. */
void kd_dense_set(kd_dense *d, uint32_t row, const kd_dense_entry *entries, uint32_t n,
                  double norm);

/* The `max` rows with the greatest dot products with each of the n (<= KD_DENSE_QUERIES) rows in
 * `rows`, in no order: out[q * max ...], how many in out_n[q]. Zero and negative ones are left
 * out. */
KD_CHECK kd_rc kd_dense_search(kd_dense *d, const uint32_t *rows, uint32_t n, uint32_t max,
                               uint32_t *out, uint32_t *out_n, kd_err *err);
size_t kd_dense_bytes(const kd_dense *d);

#endif
