/* kafka_wait.c - records that cannot be had for now: their schema is not there, or the reader did
 * not go back to them.
 *
 * Whether there is such a schema is not known while the registry is away, so the record is neither
 * read nor a dead letter: it waits, and its partition with it, since order within a partition
 * stays. The partition is paused and read again from that record on, at longer and longer
 * intervals; the others go on. So does one where the reader could not be set back: what it would
 * hand out there is not what comes next.
 * @thread loop
 */
#include "base/clock.h"
#include "consumers/kafka_source_internal.h"

enum { WAIT_MIN_MS = 500, WAIT_MAX_MS = 8000 };

static void set_paused(kafka_source *k, const part *p, bool is_paused)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, k->topic[p->type], p->number);
    if (is_paused)
        rd_kafka_pause_partitions(k->reader, list);
    else
        rd_kafka_resume_partitions(k->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void kd_kafka_wait(kafka_source *k, part *p, int64_t offset, const kd_err *why)
{
    if (p->wait_ms == 0)
        kd_kafka_notice(k, "%s: %s; this partition waits", why->where, why->msg);
    p->wait_ms = p->wait_ms == 0            ? WAIT_MIN_MS
                 : p->wait_ms < WAIT_MAX_MS ? p->wait_ms * 2
                                            : p->wait_ms;
    p->wait_until_ms = kd_clock_mono_ms() + p->wait_ms;
    p->next = offset;
    p->is_waiting = true;
    p->is_caught_up = false;
    p->end_reached = -1;
    k->n_waiting++;
    set_paused(k, p, true);
}

void kd_kafka_end_waits(kafka_source *k)
{
    int64_t now = kd_clock_mono_ms();
    bool is_news = k->n_waiting > 0 && kd_codec_tend(k->codec);
    for (int i = 0; i < k->n_parts && k->n_waiting > 0; i++) {
        part *p = &k->parts[i];
        if (!p->is_waiting || (!is_news && now < p->wait_until_ms))
            continue;
        p->is_waiting = false;
        k->n_waiting--;
        set_paused(k, p, false);
        kd_kafka_seek_back(k, p, p->next);
    }
}
