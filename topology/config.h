/* config.h - the effective configuration: defaults < YAML file < environment < flags, each value
 * with where it came from.
 *
 * In YAML the dots of a name may be nesting or stand as they are. What stands below `kafka:` are
 * librdkafka's own properties, passed through. In the environment usercf.neighbours is
 * KINDRED_USERCF_NEIGHBOURS, and librdkafka's sasl.password is KINDRED_KAFKA_SASL_PASSWORD (every
 * underscore a dot); on the command line --set usercf.neighbours=20 and -X property=value.
 * Errors are KD_ECONFIG with file:line:column (or the flag) and what would be right.
 * @thread one
 */
#ifndef KD_CONFIG_H
#define KD_CONFIG_H

#include "base/opt.h"
#include "topology/pipeline.h"

typedef struct kd_config {
    kd_opt_values values;
    kd_property *kafka; /* owned, in order; a later one of the same name has replaced the earlier */
    size_t n_kafka;
} kd_config;

/* The topology's own option rows ({0}-ended); the operators' are kd_recommender_opts(). */
const kd_opt *kd_topology_opts(void);

/* All options at their defaults. */
KD_CHECK kd_rc kd_config_init(kd_config *c, kd_err *err);
void kd_config_dispose(kd_config *c);

KD_CHECK kd_rc kd_config_file(kd_config *c, const char *path, kd_err *err);
/* Text as of a file called `name`. */
KD_CHECK kd_rc kd_config_text(kd_config *c, const char *text, size_t n, const char *name,
                              kd_err *err);
/* Takes every KINDRED_* variable of `environ` (NULL-ended, as the process has it) that names an
 * option or a property; another KINDRED_* is KD_ECONFIG, but for the few that tests and ./dev use.
 */
KD_CHECK kd_rc kd_config_environment(kd_config *c, const char *const *environ, kd_err *err);
/* "name=value" from a flag. */
KD_CHECK kd_rc kd_config_set(kd_config *c, const char *assignment, kd_err *err);
KD_CHECK kd_rc kd_config_kafka(kd_config *c, const char *assignment, kd_err *err);

/* A value must not be shown: its name speaks of passwords, keys or secrets. */
bool kd_config_is_secret(const char *name);

/* `workers`: what is set, or one a core. 1 to 256. */
uint32_t kd_config_workers(const kd_opt_values *v);

/* What the options say about the pipeline; the rest (drain, is_silent) is the caller's. */
kd_pipeline_options kd_config_pipeline(const kd_opt_values *v);

#endif
