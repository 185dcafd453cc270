/* variants.h - the configurations of a backtest: each file that was named, times each way through
 * the grids.   @thread main
 */
#ifndef KD_VARIANTS_H
#define KD_VARIANTS_H

#include "cli/cli.h"
#include "evaluation/report.h"

typedef struct kd_variant {
    kd_config config;
    const char *name; /* of the file and the grids' values; each another one */
} kd_variant;

typedef struct kd_variants {
    kd_variant *all; /* [n] */
    uint32_t n;
    kd_report_option *options; /* [n_options] what differs, from each other or the defaults */
    uint32_t n_options;
} kd_variants;

/* `grids`: [n] "option=value,value,...". Everything lives in `arena`, but for the configurations.
 * KD_ECONFIG: a grid that is none, a value that its option refuses, too many configurations. */
KD_CHECK kd_rc kd_variants_make(kd_arena *arena, const kd_common *common, const char *const *grids,
                                int n_grids, kd_variants *out, kd_err *err);
void kd_variants_dispose(kd_variants *v);

#endif
