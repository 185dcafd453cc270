/* kafka_group.c - which partitions this instance answers, and from where on: the member of the
 * group.
 *
 * Partitions come and go in the rebalance callback, which is served between two epochs only. A
 * gained one is answered from its committed offset on; if the reader is past it, it goes back:
 * state is a set, so what is applied again changes nothing. With a transactional sink the owner's
 * id is written beside the offsets (kafka_owner_internal.h), and a revoke commits or drops before
 * it lets go.
 * @thread loop
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "consumers/kafka_owner_internal.h"
#include "consumers/kafka_source_internal.h"

/* Committed offsets that a transaction holds back are waited for so long. */
enum { OFFSETS_MS = 90000 };

/* The whole call may fail, or the one partition of it. */
static kd_rc seek(kafka_source *k, const part *p, int64_t offset, kd_err *err)
{
    const char *topic = k->topic[p->type];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, p->number)->offset = offset;
    rd_kafka_error_t *e = NULL;
    if (kd_fault_is("seek.fail", ++k->n_seeks))
        list->elems[0].err = RD_KAFKA_RESP_ERR__STATE;
    else
        e = rd_kafka_seek_partitions(k->reader, list, KD_KAFKA_CALL_MS);
    rd_kafka_resp_err_t rc = e != NULL ? rd_kafka_error_code(e) : list->elems[0].err;
    if (e != NULL)
        rd_kafka_error_destroy(e);
    rd_kafka_topic_partition_list_destroy(list);
    if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
        return KD_OK;
    kd_fail(err, KD_RETRY, "cannot go back to %lld: %s", (long long)offset, rd_kafka_err2str(rc));
    kd_err_at(err, "%s[%d]", topic, p->number);
    return KD_RETRY;
}

/* Back to `offset`: what was fetched of the partition and not handed out is dropped. Until that
 * has come about nothing of it is handed out: it waits, and the end of a wait goes back. */
void kd_kafka_seek_back(kafka_source *k, part *p, int64_t offset)
{
    kd_err why = {0};
    kd_kafka_window_drop(&k->window, (int)(p - k->parts));
    p->next = offset;
    p->is_caught_up = false;
    p->end_reached = -1;
    if (!p->is_waiting && seek(k, p, offset, &why) != KD_OK)
        kd_kafka_wait(k, p, offset, &why);
}

/* Somebody else may have answered in between: what was published is not known to be the last word.
 */
static void begin_term(kafka_source *k, const rd_kafka_topic_partition_list_t *list, bool is_known)
{
    for (int i = 0; i < list->cnt; i++) {
        const part *p = kd_kafka_part(k, list->elems[i].topic, list->elems[i].partition);
        bool is_settled =
            p != NULL && is_known && p->settled >= 0 && p->settled == list->elems[i].offset;
        if (p != NULL && p->type != KD_CATALOG && !is_settled)
            k->term[p->number]++;
    }
}

static void say(void *arg, const char *text)
{
    kd_kafka_notice(arg, "%s", text);
}

/* The committed offsets, once nothing holds them back. False: `fatal` says why. */
static bool find_committed(kafka_source *k, rd_kafka_topic_partition_list_t *list)
{
    if (k->owner != NULL)
        kd_kafka_fence_owners(k->properties, k->n_properties, k->group, k->owner, list, say, k);
    for (int64_t until = kd_clock_mono_ms() + OFFSETS_MS;;) {
        rd_kafka_resp_err_t rc = rd_kafka_committed(k->member, list, KD_KAFKA_CALL_MS);
        for (int i = 0; rc == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
            rc = list->elems[i].err;
        if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
            return true;
        if (kd_clock_mono_ms() < until)
            continue; /* the call itself waits */
        kd_fail(&k->fatal, KD_EIO, "committed offsets are not to be had: %s", rd_kafka_err2str(rc));
        return false;
    }
}

/* A committed offset that the broker does not have: what lay there cannot be answered any more, or
 * the topic is another one than the group knows. No client can tell the two apart reliably. */
static int64_t check_committed(kafka_source *k, const part *p, int64_t committed)
{
    const char *topic = k->topic[p->type];
    int64_t low = p->low_at_start, high = p->end_at_start, from = committed;
    if (committed < 0 || (committed >= low && committed <= (p->next > high ? p->next : high)))
        return committed;
    rd_kafka_resp_err_t rc = rd_kafka_query_watermark_offsets(k->reader, topic, p->number, &low,
                                                              &high, KD_KAFKA_CALL_MS);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR || (committed >= low && committed <= high))
        return committed;
    from = low;
    if (k->stop_out_of_range)
        kd_fail(&k->fatal, KD_EIO,
                "%s[%d]: the group is at %lld, the broker has %lld to %lld, and "
                "offset.out-of-range is stop",
                topic, p->number, (long long)committed, (long long)low, (long long)high);
    else
        kd_kafka_notice(k,
                        "%s[%d]: the group is at %lld, the broker has %lld to %lld; answering from "
                        "%lld on",
                        topic, p->number, (long long)committed, (long long)low, (long long)high,
                        (long long)from);
    return from;
}

/* Where nobody answered yet: output goes on there, and the reader goes back if it is past it. */
static void answer_from(kafka_source *k, part *p, int64_t committed)
{
    committed = check_committed(k, p, committed);
    p->is_owned = true;
    p->settled = -1; /* what is answered from here on may be dropped: give_up() knows */
    p->marked = -1;
    p->committed = committed >= 0 ? committed : -1;
    p->answer_from = committed >= 0    ? committed
                     : k->start_latest ? p->end_at_start
                                       : p->low_at_start;
    if (p->next > p->answer_from)
        kd_kafka_seek_back(k, p, p->answer_from);
}

/* Says whose the partitions are now, before anything is answered. */
static bool write_owner(kafka_source *k, rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *e = &list->elems[i];
        const part *p = kd_kafka_part(k, e->topic, e->partition);
        if (p == NULL)
            continue;
        e->offset = p->answer_from;
        free(e->metadata);
        e->metadata = strdup(k->owner);
        e->metadata_size = e->metadata == NULL ? 0 : strlen(k->owner);
    }
    rd_kafka_resp_err_t rc = rd_kafka_commit(k->member, list, 0);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR && rc != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        kd_kafka_notice(k, "the group did not take its new owner: %s", rd_kafka_err2str(rc));
        return false;
    }
    for (int i = 0; i < k->n_parts; i++)
        if (k->parts[i].is_owned)
            k->parts[i].committed = k->parts[i].answer_from;
    return true;
}

/* Nobody reads a partition that came after the start: its shoppers would never be answered. */
static void check_known(kafka_source *k, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        if (kd_kafka_part(k, list->elems[i].topic, list->elems[i].partition) == NULL)
            kd_fail(&k->fatal, KD_EIO,
                    "%s[%d] was added while this instance ran; a restart reads it, too",
                    list->elems[i].topic, list->elems[i].partition);
}

/* Events that lie before the point where a group without positions begins to answer. */
static int64_t unanswered(const part *p)
{
    bool is_event = p->type == KD_BROWSE || p->type == KD_PURCHASE;
    return is_event && p->committed < 0 ? p->answer_from - p->low_at_start : 0;
}

static void say_unanswered(kafka_source *k, int64_t n)
{
    if (n <= 0 || k->has_said_before)
        return;
    k->has_said_before = true;
    kd_kafka_notice(k,
                    "%lld events from before the group's first start are read for the state only; "
                    "a group that starts with output.start: earliest answers them, too",
                    (long long)n);
}

static void gain(kafka_source *k, rd_kafka_topic_partition_list_t *list)
{
    check_known(k, list);
    bool ok = find_committed(k, list);
    int64_t n_unanswered = 0;
    begin_term(k, list, ok);
    for (int i = 0; ok && i < list->cnt; i++) {
        part *p = kd_kafka_part(k, list->elems[i].topic, list->elems[i].partition);
        if (p == NULL)
            continue;
        answer_from(k, p, list->elems[i].offset);
        n_unanswered += unanswered(p);
    }
    say_unanswered(k, n_unanswered);
    if (ok && k->owner != NULL && k->fatal.rc == KD_OK)
        (void)write_owner(k, list); /* a group that went on has another rebalance for us */
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_END;
}

static void give_up(kafka_source *k)
{
    bool is_lost = rd_kafka_assignment_lost(k->member) != 0;
    if (k->revoke != NULL && k->is_member)
        k->revoke(k->revoke_arg, is_lost);
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        if (p->is_owned)
            p->settled = p->next == p->committed ? p->next : -1;
        p->is_owned = false;
    }
    if (is_lost)
        kd_kafka_notice(k, "the group took this instance for dead; it joins again");
}

void kd_kafka_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
                           rd_kafka_topic_partition_list_t *list, void *opaque)
{
    kafka_source *k = opaque;
    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        /* Assigned first: the group's generation is that of the commit in gain(). */
        rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_copy(list);
        for (int i = 0; i < paused->cnt; i++)
            paused->elems[i].offset = RD_KAFKA_OFFSET_END;
        rd_kafka_assign(rk, paused);
        rd_kafka_pause_partitions(rk, paused); /* the member fetches nothing */
        rd_kafka_topic_partition_list_destroy(paused);
        gain(k, list);
        k->is_member = true;
        kd_kafka_notice(k, "the group gave this instance %d partitions", list->cnt);
        return;
    }
    give_up(k);
    rd_kafka_assign(rk, NULL);
    k->is_member = false;
}

/* -- marks of a transactional sink --------------------------------------------------------------
 */

kd_rc kd_kafka_take_mark(kd_source *s, bool is_last, kd_mark *out, kd_err *err)
{
    kafka_source *k = (kafka_source *)s;
    size_t n = 0;
    for (int i = 0; i < k->n_parts; i++) {
        const part *p = &k->parts[i];
        bool is_news = p->is_owned && p->marked >= 0;
        int64_t offset = p->marked >= 0 ? p->marked : p->committed;
        if (is_news || (is_last && p->is_owned && offset >= 0))
            k->mark_pos[n++] = (kd_pos){k->topic[p->type], p->number, offset};
    }
    *out = (kd_mark){.pos = k->mark_pos, .n = n, .note = is_last ? "" : k->owner};
    rd_kafka_mem_free(k->member, k->mark_group);
    k->mark_group = NULL;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(k->member);
    if (group == NULL)
        return kd_fail(err, KD_EBUG, "the member has no group");
    rd_kafka_error_t *e =
        rd_kafka_consumer_group_metadata_write(group, &k->mark_group, &out->group_len);
    rd_kafka_consumer_group_metadata_destroy(group);
    out->group = k->mark_group;
    if (e == NULL)
        return KD_OK;
    kd_fail(err, KD_EBUG, "the group cannot be written: %s", rd_kafka_error_string(e));
    rd_kafka_error_destroy(e);
    return KD_EBUG;
}

void kd_kafka_settle(kd_source *s)
{
    kafka_source *k = (kafka_source *)s;
    for (int i = 0; i < k->n_parts; i++) {
        part *p = &k->parts[i];
        if (p->is_owned && p->marked >= 0)
            p->committed = p->marked;
        p->marked = -1;
    }
}

kd_rc kd_kafka_resync(kd_source *s, kd_err *err)
{
    kafka_source *k = (kafka_source *)s;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(k->n_parts);
    for (int i = 0; i < k->n_parts; i++)
        if (k->parts[i].is_owned)
            rd_kafka_topic_partition_list_add(list, k->topic[k->parts[i].type], k->parts[i].number);
    if (list->cnt > 0)
        gain(k, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (k->fatal.rc != KD_OK && err != NULL)
        *err = k->fatal;
    return k->fatal.rc;
}

void kd_kafka_set_revoke(kd_source *s, void (*revoke)(void *arg, bool is_lost), void *arg)
{
    kafka_source *k = (kafka_source *)s;
    k->revoke = revoke;
    k->revoke_arg = arg;
}

/* One that is read again is answered then. */
bool kd_kafka_is_due(const kd_source *s, const kd_pos *pos)
{
    const kafka_source *k = (const kafka_source *)s;
    for (int i = 0; i < k->n_parts; i++) {
        const part *p = &k->parts[i];
        if (k->topic[p->type] == pos->topic && p->number == pos->partition)
            return p->is_owned && pos->offset >= p->answer_from && pos->offset < p->next;
    }
    return true;
}
