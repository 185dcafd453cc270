/* oracle_blend.h - the slow and obvious twin of the blend, on plain arrays: oracle.c fills them. */
#ifndef KD_ORACLE_BLEND_H
#define KD_ORACLE_BLEND_H

#include "oracle/oracle.h"

typedef struct oracle_text {
    char item[ORACLE_ID], title[32], category[16], brand[8];
    bool is_removed;
    int64_t time;
} oracle_text;

typedef struct oracle_blend {
    const oracle_options *opt;
    int n_items, n_shoppers, n_text, n_own;
    int all_shoppers;        /* with an interaction */
    const oracle_text *text; /* [n_text] versions, of any order */
    const char *item[64], *shopper[64];
    bool is_hidden[64], is_out[64], is_self[64];
    double votes[64]; /* user-CF's score */
    double sims;      /* of all neighbours */
    double n_near;    /* neighbours */
    int own[64];      /* the subject's items, newest first */
    bool in[64][64];  /* [shopper][item] */
    int64_t since[64][64];
    int64_t newest; /* event time */
} oracle_blend;

/* Best first, at most opt->count rows. */
int oracle_blend_list(const oracle_blend *b, oracle_row *out);
/* Fills a list of n rows up by the share of all shoppers that have an item. */
int oracle_blend_fill(const oracle_blend *b, oracle_row *out, int n);

#endif
