#include "topology/topics.h"

#include <string.h>

#include "consumers/kafka_admin.h"

/* Inputs first; copies of snapshots last: they are not needed for a start. */
static const char *const options[] = {
    "topics.browse",          "topics.purchase",     "topics.catalog", "topics.forget",
    "topics.recommendations", "topics.dead-letters", "topics.similar", "topics.needs",
    "topics.receipts",        "snapshot.copy.topic"};
enum { N_OPTIONS = sizeof options / sizeof *options, N_NEEDED = N_OPTIONS - 1 };

kd_rc kd_topics_differ(const kd_opt_values *v, kd_err *err)
{
    for (size_t k = 0; k < N_OPTIONS; k++) {
        const char *name = kd_opt_str(v, options[k]);
        for (size_t i = 0; i < k && name[0] != '\0'; i++) {
            if (strcmp(kd_opt_str(v, options[i]), name) != 0)
                continue;
            kd_fail(err, KD_ECONFIG, "%s and %s are both %.100s; each needs a topic of its own",
                    options[i], options[k], name);
            kd_err_at(err, "%s", kd_opt_find(v, options[k])->from);
            return KD_ECONFIG;
        }
    }
    return KD_OK;
}

kd_rc kd_topics_look(const kd_config *c, kd_err *err)
{
    kd_kafka_admin *admin = NULL;
    KD_TRY(kd_kafka_admin_new(c->kafka, c->n_kafka, &admin, err));
    kd_rc rc = KD_OK;
    for (size_t k = 0; rc == KD_OK && k < N_NEEDED; k++) {
        const char *name = kd_opt_str(&c->values, options[k]);
        int n = 1;
        if (name[0] != '\0')
            rc = kd_kafka_topic_partitions(admin, name, &n, err);
        if (rc == KD_OK && n == 0)
            rc = kd_fail(err, KD_ECONFIG,
                         "%s: topic %s does not exist; `kindred topics create` makes it",
                         options[k], name);
    }
    kd_kafka_admin_free(admin);
    return rc;
}
