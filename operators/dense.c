#include "operators/dense.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "base/buf.h"

struct kd_dense {
    uint32_t dimension;
    uint64_t seed;
    float *rows; /* [cap_rows x dimension], row-major; cap_rows is a multiple of KD_DENSE_TILE */
    uint32_t cap_rows;
    float *query; /* [KD_DENSE_QUERIES x dimension] */
    float *score; /* [KD_DENSE_QUERIES x KD_DENSE_TILE] */
    float *heap;  /* [KD_DENSE_QUERIES x cap_heap] least first */
    uint32_t cap_heap;
};

kd_rc kd_dense_new(uint32_t dimension, uint64_t seed, kd_dense **out, kd_err *err)
{
    KD_ASSERT(dimension >= 64 && dimension % 64 == 0);
    kd_dense *d = calloc(1, sizeof *d);
    if (d == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for vectors");
    d->dimension = dimension;
    d->seed = seed;
    d->query = calloc((size_t)KD_DENSE_QUERIES * dimension, sizeof *d->query);
    d->score = calloc((size_t)KD_DENSE_QUERIES * KD_DENSE_TILE, sizeof *d->score);
    if (d->query == NULL || d->score == NULL) {
        kd_dense_free(d);
        return kd_fail(err, KD_ENOMEM, "no memory for vectors");
    }
    openblas_set_num_threads(1);
    *out = d;
    return KD_OK;
}

void kd_dense_free(kd_dense *d)
{
    if (d == NULL)
        return;
    free(d->rows);
    free(d->query);
    free(d->score);
    free(d->heap);
    free(d);
}

kd_rc kd_dense_fit(kd_dense *d, uint32_t n_rows, kd_err *err)
{
    if (n_rows <= d->cap_rows)
        return KD_OK;
    uint64_t want = (uint64_t)d->cap_rows + d->cap_rows / 4;
    want = want > n_rows ? want : n_rows;
    want = (want + KD_DENSE_TILE - 1) / KD_DENSE_TILE * KD_DENSE_TILE;
    size_t row = d->dimension * sizeof(float);
    float *p = want <= UINT32_MAX && want <= SIZE_MAX / row ? realloc(d->rows, want * row) : NULL;
    if (p == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u vectors", n_rows);
    memset(p + (size_t)d->cap_rows * d->dimension, 0, (want - d->cap_rows) * row);
    d->rows = p;
    d->cap_rows = (uint32_t)want;
    return KD_OK;
}

/* splitmix64 (Steele, Lea, Flood 2014): the bits are the signs. */
static uint64_t next_bits(uint64_t *s)
{
    uint64_t z = *s += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void kd_dense_set(kd_dense *d, uint32_t row, const kd_dense_entry *entries, uint32_t n, double norm)
{
    float *out = d->rows + (size_t)row * d->dimension;
    memset(out, 0, d->dimension * sizeof *out);
    double scale = norm > 0 ? 1 / (norm * sqrt(d->dimension)) : 0;
    for (uint32_t k = 0; k < n; k++) {
        uint64_t s = entries[k].hash ^ d->seed;
        float w = (float)(entries[k].weight * scale);
        for (uint32_t c = 0; c < d->dimension; c += 64) {
            uint64_t bits = next_bits(&s);
            for (uint32_t b = 0; b < 64; b++)
                out[c + b] += (bits >> b & 1) != 0 ? w : -w;
        }
    }
}

/* Keeps the greatest `max` of score and row in a heap with the least on top. */
static uint32_t keep(float *heap, uint32_t *rows, uint32_t n, uint32_t max, float s, uint32_t row)
{
    uint32_t at;
    if (n < max) {
        for (at = n++; at > 0 && heap[(at - 1) / 2] > s; at = (at - 1) / 2) {
            heap[at] = heap[(at - 1) / 2];
            rows[at] = rows[(at - 1) / 2];
        }
    } else {
        at = 0;
        for (uint32_t c; (c = 2 * at + 1) < n; at = c) {
            c += c + 1 < n && heap[c + 1] < heap[c];
            if (heap[c] >= s)
                break;
            heap[at] = heap[c];
            rows[at] = rows[c];
        }
    }
    heap[at] = s;
    rows[at] = row;
    return n;
}

kd_rc kd_dense_search(kd_dense *d, const uint32_t *rows, uint32_t n, uint32_t max, uint32_t *out,
                      uint32_t *out_n, kd_err *err)
{
    KD_ASSERT(n <= KD_DENSE_QUERIES && max >= 1);
    if (!kd_grow((void **)&d->heap, &d->cap_heap, KD_DENSE_QUERIES * max, sizeof *d->heap))
        return kd_fail(err, KD_ENOMEM, "no memory for %u proposals", max);
    size_t dim = d->dimension;
    memset(d->query, 0, KD_DENSE_QUERIES * dim * sizeof *d->query);
    for (uint32_t q = 0; q < n; q++) {
        memcpy(d->query + q * dim, d->rows + rows[q] * dim, dim * sizeof *d->query);
        out_n[q] = 0;
    }
    for (uint32_t tile = 0; tile < d->cap_rows; tile += KD_DENSE_TILE) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, KD_DENSE_QUERIES, KD_DENSE_TILE,
                    (int)dim, 1.0f, d->query, (int)dim, d->rows + tile * dim, (int)dim, 0.0f,
                    d->score, KD_DENSE_TILE);
        for (uint32_t q = 0; q < n; q++) {
            const float *s = d->score + (size_t)q * KD_DENSE_TILE;
            float *heap = d->heap + (size_t)q * max;
            uint32_t *best = out + (size_t)q * max;
            for (uint32_t k = 0; k < KD_DENSE_TILE; k++)
                if (s[k] > 0 && tile + k != rows[q] && (out_n[q] < max || s[k] > heap[0]))
                    out_n[q] = keep(heap, best, out_n[q], max, s[k], tile + k);
        }
    }
    return KD_OK;
}

size_t kd_dense_bytes(const kd_dense *d)
{
    return (size_t)d->cap_rows * d->dimension * sizeof *d->rows;
}
