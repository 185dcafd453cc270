/* content_internal.h - what content.c and content_search.c share.
 * @thread one writer
 */
#ifndef KD_CONTENT_INTERNAL_H
#define KD_CONTENT_INTERNAL_H

#include "operators/content.h"

/* A term of the product whose list is made. */
typedef struct kd_content_query {
    double weight; /* tf * idf */
    uint32_t term, df;
} kd_content_query;

/* The writer's room for searches. */
typedef struct kd_content_space {
    double *sum;       /* [cap_items] dot products so far, zero between calls */
    uint32_t *touched; /* [cap_touched] items with a sum */
    double *weight;    /* [cap_terms] of the query's terms, zero between calls */
    kd_content_query *query;
    kd_alike *best;                  /* [neighbours] the list being made */
    struct kd_dense_entry *entries;  /* a vector to be projected */
    uint32_t *proposed, *n_proposed; /* [KD_DENSE_QUERIES * candidates], DENSE */
    uint32_t cap_items, cap_touched, cap_terms, cap_query, cap_best, cap_entries, cap_proposed;
    uint32_t cap_n_proposed;
    uint32_t n_touched, n_query, n_best;
} kd_content_space;

void kd_content_space_dispose(kd_content_space *w);

/* Gives the block of a product's list back, if it has one. */
void kd_content_drop_list(kd_content *x, uint32_t item);

/* True if (likeness, id) of a comes before that of b in a list. */
bool kd_content_is_better(const kd_content *x, double la, uint32_t a, double lb, uint32_t b);

#endif
