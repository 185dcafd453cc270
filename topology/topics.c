#include "topology/topics.h"

#include <string.h>

#include "consumers/kafka_admin.h"

/* Inputs are kept for ever: state is rebuilt from them, and a broker drops records that are stamped
 * in the past by their own time. Outputs keep the newest list of each shopper, and bear the
 * broker's time: it refuses what is stamped more than an hour ahead, by an instance whose clock
 * went wrong. */
#define OUTPUT_TIME "message.timestamp.type", "LogAppendTime"
const kd_topic kd_topics[] = {
    {"topics.browse", true, true, true, {"retention.ms", "-1"}},
    {"topics.purchase", true, true, true, {"retention.ms", "-1"}},
    {"topics.forget", true, true, true, {"retention.ms", "-1"}},
    {"topics.catalog", true, false, true, {"cleanup.policy", "compact", "retention.ms", "-1"}},
    {"topics.recommendations", false, true, true, {"cleanup.policy", "compact", OUTPUT_TIME}},
    {"topics.dead-letters", false, false, true, {OUTPUT_TIME}},
    {"topics.similar", false, true, true, {"cleanup.policy", "compact", OUTPUT_TIME}},
    {"topics.needs", false, true, true, {"cleanup.policy", "compact", OUTPUT_TIME}},
    {"topics.receipts", false, false, true, {"retention.ms", "-1", OUTPUT_TIME}},
    {"snapshot.copy.topic", false, false, false, {"cleanup.policy", "compact", OUTPUT_TIME}},
    {0},
};

size_t kd_topics_inputs(const kd_opt_values *v, const char *out[KD_RECORD_TYPES],
                        const char *named[KD_RECORD_TYPES])
{
    static const char *const options[KD_RECORD_TYPES] = {[KD_BROWSE] = "topics.browse",
                                                         [KD_PURCHASE] = "topics.purchase",
                                                         [KD_CATALOG] = "topics.catalog",
                                                         [KD_FORGET] = "topics.forget"};
    size_t n = 0;
    for (int t = 0; t < KD_RECORD_TYPES; t++) {
        out[t] = kd_opt_given(v, options[t]);
        if (out[t] != NULL && named != NULL)
            named[n] = out[t];
        n += out[t] != NULL;
    }
    return n;
}

kd_rc kd_topics_differ(const kd_opt_values *v, kd_err *err)
{
    for (const kd_topic *t = kd_topics; t->option != NULL; t++) {
        const char *name = kd_opt_str(v, t->option);
        for (const kd_topic *other = kd_topics; other < t && name[0] != '\0'; other++) {
            if (strcmp(kd_opt_str(v, other->option), name) != 0)
                continue;
            kd_fail(err, KD_ECONFIG, "%s and %s are both %.100s; each needs a topic of its own",
                    other->option, t->option, name);
            kd_err_at(err, "%s", kd_opt_find(v, t->option)->from);
            return KD_ECONFIG;
        }
    }
    return KD_OK;
}

kd_rc kd_topics_look(const kd_config *c, const volatile int *stop, kd_err *err)
{
    kd_kafka_admin *admin = NULL;
    KD_TRY(kd_kafka_admin_new(c->kafka, c->n_kafka, &admin, err));
    kd_kafka_admin_stop_when(admin, stop);
    kd_rc rc = KD_OK;
    for (const kd_topic *t = kd_topics; rc == KD_OK && t->option != NULL; t++) {
        const char *name = kd_opt_str(&c->values, t->option);
        int n = 1;
        if (t->is_needed && name[0] != '\0')
            rc = kd_kafka_topic_partitions(admin, name, &n, err);
        if (rc == KD_OK && n == 0)
            rc = kd_fail(err, KD_ECONFIG,
                         "%s: topic %s does not exist; `kindred topics create` makes it", t->option,
                         name);
    }
    kd_kafka_admin_free(admin);
    return rc;
}
