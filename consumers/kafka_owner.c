#include "consumers/kafka_owner_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "consumers/kafka_conf_internal.h"

enum { CALL_MS = 5000, FIRST_TRY_MS = 80, IDS = 64 };

/* A producer with our connection and a transactional id. */
static kd_rc make_client(const kd_property *properties, size_t n, const char *id, rd_kafka_t **out,
                         kd_err *err)
{
    const char *const own[][2] = {{"transactional.id", id}, {NULL, NULL}};
    rd_kafka_conf_t *conf = NULL;
    KD_TRY(kd_kafka_conf_aside(properties, n, own, &conf, err));
    return kd_kafka_client(RD_KAFKA_PRODUCER, conf, out, err);
}

/* The offsets as they are, without waiting for open transactions, into `list`. By a consumer that
 * joins nothing: the admin API's question ends the process when the coordinator goes away meanwhile
 * (librdkafka's issue 4605). */
static kd_rc list_offsets(const kd_property *properties, size_t n, const char *group,
                          rd_kafka_topic_partition_list_t *list, kd_err *err)
{
    const char *const own[][2] = {{"group.id", group},
                                  {"isolation.level", "read_uncommitted"},
                                  {"enable.auto.commit", "false"},
                                  {NULL, NULL}};
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *rk = NULL;
    KD_TRY(kd_kafka_conf_aside(properties, n, own, &conf, err));
    KD_TRY(kd_kafka_client(RD_KAFKA_CONSUMER, conf, &rk, err));
    rd_kafka_resp_err_t rc = rd_kafka_committed(rk, list, CALL_MS);
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); /* it is in no group */
    return rc == RD_KAFKA_RESP_ERR_NO_ERROR ? KD_OK
                                            : kd_fail(err, KD_RETRY, "%s", rd_kafka_err2str(rc));
}

/* Ends what the id left open. KD_RETRY: not in `timeout_ms`, and worth another try. */
static kd_rc init(const kd_property *properties, size_t n, const char *id, int timeout_ms,
                  kd_err *err)
{
    rd_kafka_t *rk = NULL;
    KD_TRY(make_client(properties, n, id, &rk, err));
    rd_kafka_error_t *e = rd_kafka_init_transactions(rk, timeout_ms);
    kd_rc rc = KD_OK;
    if (e != NULL) {
        rc = kd_fail(err, rd_kafka_error_is_retriable(e) != 0 ? KD_RETRY : KD_EIO, "%s",
                     rd_kafka_error_string(e));
        rd_kafka_error_destroy(e);
    }
    rd_kafka_destroy(rk);
    return rc;
}

/* The first request makes the broker abort, and is told to come back; librdkafka does so after half
 * a second, a new client at once. */
static void fence(const kd_property *properties, size_t n_properties, const char *id,
                  void (*say)(void *arg, const char *text), void *arg)
{
    kd_err why = {0};
    char text[sizeof why.msg + 400];
    kd_rc rc = KD_RETRY;
    int64_t until = kd_clock_mono_ms() + CALL_MS * 2;
    for (int try_ms = FIRST_TRY_MS; rc == KD_RETRY && kd_clock_mono_ms() < until;
         try_ms = try_ms * 2 < CALL_MS ? try_ms * 2 : CALL_MS)
        rc = init(properties, n_properties, id, try_ms, &why);
    if (rc == KD_OK)
        snprintf(text, sizeof text, "%s did not give its partitions up; its transaction is ended",
                 id);
    else
        snprintf(text, sizeof text, "%s did not give its partitions up and cannot be fenced: %s",
                 id, why.msg);
    say(arg, text);
}

/* Adds the id to the set if it is another's and not in it; ids are copied. */
static int note_id(char *ids[IDS], int n, const rd_kafka_topic_partition_t *p, const char *own)
{
    char id[256];
    if (p->metadata == NULL || p->metadata_size == 0 || p->metadata_size >= sizeof id)
        return n;
    memcpy(id, p->metadata, p->metadata_size);
    id[p->metadata_size] = '\0';
    if (id[0] == '\0' || strcmp(id, own) == 0 || n == IDS)
        return n;
    for (int k = 0; k < n; k++)
        if (strcmp(ids[k], id) == 0)
            return n;
    ids[n] = strdup(id);
    return ids[n] == NULL ? n : n + 1;
}

void kd_kafka_fence_owners(const kd_property *properties, size_t n_properties, const char *group,
                           const char *own, const rd_kafka_topic_partition_list_t *partitions,
                           void (*say)(void *arg, const char *text), void *arg)
{
    char *ids[IDS];
    int n = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(partitions);
    if (list_offsets(properties, n_properties, group, list, NULL) == KD_OK)
        for (int i = 0; i < list->cnt; i++)
            n = note_id(ids, n, &list->elems[i], own);
    else
        say(arg, "who answered before is not to be learned; an open transaction is waited for");
    rd_kafka_topic_partition_list_destroy(list);
    for (int k = 0; k < n; k++) {
        fence(properties, n_properties, ids[k], say, arg);
        free(ids[k]);
    }
}
