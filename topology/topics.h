/* topics.h - the topics that the configuration names: what they are, told apart, and looked for
 * before a start.
 *
 * I1  nothing here makes a topic, on no broker
 * @thread one
 */
#ifndef KD_TOPICS_H
#define KD_TOPICS_H

#include "schemas/record.h"
#include "topology/config.h"

typedef struct kd_topic {
    const char *option;
    bool is_input, is_keyed_by_shopper;
    bool is_needed;        /* nothing starts without it, if it is named */
    const char *config[7]; /* name, value, ..., NULL: what fits */
} kd_topic;

/* Inputs first; a null option ends them. */
extern const kd_topic kd_topics[];

/* The inputs by type, NULL = not named; in `named` (nullable) those that are, of which the number
 * is returned. */
size_t kd_topics_inputs(const kd_opt_values *v, const char *out[KD_RECORD_TYPES],
                        const char *named[KD_RECORD_TYPES]);

/* KD_ECONFIG: two of them are one topic, which would read what it publishes, or mix its outputs. */
KD_CHECK kd_rc kd_topics_differ(const kd_opt_values *v, kd_err *err);

/* Inputs first, then outputs. KD_ECONFIG: one does not exist; KD_RETRY: no broker, or *stop
 * (nullable) became non-zero. */
KD_CHECK kd_rc kd_topics_look(const kd_config *c, const volatile int *stop, kd_err *err);

#endif
