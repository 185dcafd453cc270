/* blend_options.h - from option values to what texts, blend and needs are made with.   @thread any
 */
#ifndef KD_BLEND_OPTIONS_H
#define KD_BLEND_OPTIONS_H

#include "base/opt.h"
#include "operators/blend.h"
#include "operators/needs.h"

enum { KD_LANGUAGE_NAME = 32 };

/* `language` is what out->text.language points to. KD_ECONFIG names the option. */
KD_CHECK kd_rc kd_content_options_of(const kd_opt_values *v, char language[KD_LANGUAGE_NAME],
                                     kd_content_options *out, kd_err *err);
/* Without rules. *out_half_life: of popularity, in days. */
KD_CHECK kd_rc kd_blend_options_of(const kd_opt_values *v, kd_blend_options *out,
                                   double *out_half_life, kd_err *err);
/* The k-th option that is not at its default and works only with `blend`, which is off; NULL: no
 * more. */
const kd_opt_value *kd_blend_unused(const kd_opt_values *v, size_t k);
kd_needs_options kd_needs_options_of(const kd_opt_values *v);

#endif
