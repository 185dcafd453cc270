/* kafka_admin.h - what is done to a cluster before events flow: topics made and checked; and an
 * embedded cluster for trials (librdkafka's, which keeps 100,000 messages a partition).
 * @thread one
 */
#ifndef KD_KAFKA_ADMIN_H
#define KD_KAFKA_ADMIN_H

#include "base/opt.h"

typedef struct kd_kafka_admin kd_kafka_admin;

/* KD_ECONFIG for a refused property, or without bootstrap.servers. *out is owned by the caller. */
KD_CHECK kd_rc kd_kafka_admin_new(const kd_property *properties, size_t n, kd_kafka_admin **out,
                                  kd_err *err);
void kd_kafka_admin_free(kd_kafka_admin *a);
/* Questions give KD_RETRY as soon as *stop is not 0. Borrowed; NULL: they wait for their answers.
 */
void kd_kafka_admin_stop_when(kd_kafka_admin *a, const volatile int *stop);

typedef struct kd_topic_spec {
    const char *name;
    int partitions;
    int replication;           /* -1 = the broker's default */
    const char *const *config; /* name, value, name, value ..., NULL; nullable */
} kd_topic_spec;

/* KD_OK also if it is there already (*out_made says which). KD_RETRY: no broker. */
KD_CHECK kd_rc kd_kafka_topic_create(kd_kafka_admin *a, const kd_topic_spec *t, bool *out_made,
                                     kd_err *err);
/* The number of partitions; 0 if the topic does not exist, and it is not made by the question. */
KD_CHECK kd_rc kd_kafka_topic_partitions(kd_kafka_admin *a, const char *name, int *out,
                                         kd_err *err);
/* A topic's effective configuration value, "" if there is none of that name. */
KD_CHECK kd_rc kd_kafka_topic_config(kd_kafka_admin *a, const char *name, const char *property,
                                     char *out, size_t cap, kd_err *err);
/* Waits until each topic is known with its partitions to the brokers. */
KD_CHECK kd_rc kd_kafka_topic_await(kd_kafka_admin *a, const char *name, int64_t timeout_ms,
                                    kd_err *err);

/* The partition that Java clients (murmur2) and Kindred give a key, of n. */
int kd_kafka_partition_of(const void *key, size_t key_len, int n);

/* An embedded cluster of one broker, in this process. */
typedef struct kd_mock_cluster kd_mock_cluster;
KD_CHECK kd_rc kd_mock_cluster_new(kd_mock_cluster **out, kd_err *err);
const char *kd_mock_cluster_bootstrap(const kd_mock_cluster *m);
KD_CHECK kd_rc kd_mock_cluster_topic(kd_mock_cluster *m, const char *name, int partitions,
                                     kd_err *err);
void kd_mock_cluster_free(kd_mock_cluster *m);

#endif
