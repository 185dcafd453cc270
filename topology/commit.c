#include "topology/commit.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

enum { REVOKE_MS = 10000, PAUSE_NS = 500000 };

static bool is_transactional(const kd_committer *c)
{
    return c->sink->kind->commit != NULL && c->source->kind->take_mark != NULL;
}

static void notice(const kd_committer *c, const char *text)
{
    if (c->on_notice != NULL)
        c->on_notice(c->notice_arg, text);
}

/* -- acknowledgements ----------------------------------------------------------------------------
 */

/* One mark is under way at a time: noted, then committed when its outputs are durable. */
static kd_rc tick_acked(kd_committer *c, kd_err *err)
{
    const kd_source_kind *k = c->source->kind;
    if (k->commit == NULL)
        return KD_OK;
    uint64_t acked = c->sink->kind->acked(c->sink);
    const kd_pos *pending;
    bool is_between = kd_pipeline_between(c->pipeline, &pending);
    bool is_durable = k->mark == NULL ? acked == c->sink->written && is_between
                                      : c->is_marked && acked >= c->marked;
    if (is_durable) {
        kd_rc rc = k->commit(c->source, err);
        if (rc == KD_OK)
            c->is_marked = false;
        else if (rc != KD_RETRY && rc != KD_AGAIN)
            return rc;
    }
    if (k->mark != NULL && !c->is_marked && is_between) {
        k->mark(c->source, pending);
        c->marked = c->sink->written;
        c->is_marked = true;
    }
    return KD_OK;
}

static kd_rc end_acked(kd_committer *c, int64_t timeout_ms, kd_err *err)
{
    const kd_source_kind *k = c->source->kind;
    const kd_pos *pending;
    KD_TRY(c->sink->kind->flush(c->sink, timeout_ms, err));
    if (k->commit == NULL || !kd_pipeline_between(c->pipeline, &pending))
        return KD_OK;
    if (k->mark != NULL)
        k->mark(c->source, pending);
    return k->commit(c->source, err);
}

/* -- transactions ------------------------------------------------------------------------------ */

/* Of the transaction that is under way. KD_AGAIN, KD_OK: none is any more; others stop. */
static kd_rc learn_outcome(kd_committer *c, kd_err *err)
{
    kd_err why = {0};
    if (!c->is_marked)
        return KD_OK;
    kd_rc rc = c->sink->kind->committed(c->sink, false, &why);
    if (rc == KD_AGAIN)
        return rc;
    c->is_marked = false;
    if (rc == KD_OK) {
        c->source->kind->settle(c->source);
        if (c->is_retrying)
            notice(c, "committed");
        c->is_retrying = false;
        return KD_OK;
    }
    if (rc == KD_END) {
        c->is_resync_due = true;
        return KD_OK;
    }
    if (rc != KD_RETRY) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    if (!c->is_retrying) {
        char text[sizeof why.msg + 64];
        snprintf(text, sizeof text, "%s; publishing it again", why.msg);
        notice(c, text);
    }
    c->is_retrying = true;
    return KD_OK;
}

/* KD_AGAIN: it did not begin yet. */
static kd_rc begin_commit(kd_committer *c, const kd_pos *pending, bool is_last, kd_err *err)
{
    kd_mark m;
    c->source->kind->mark(c->source, pending);
    KD_TRY(c->source->kind->take_mark(c->source, is_last, &m, err));
    if (m.n == 0 && c->sink->kind->acked(c->sink) == c->sink->written)
        return KD_OK;
    kd_commit commit = {m.pos, m.n, m.note, m.group, m.group_len};
    kd_rc rc = c->sink->kind->commit(c->sink, &commit, err);
    c->is_marked = rc == KD_OK;
    return rc;
}

/* What is open is of no use: the source goes back to what is committed. */
static kd_rc resync(kd_committer *c, kd_err *err)
{
    KD_TRY(c->sink->kind->drop(c->sink, err));
    KD_TRY(c->source->kind->resync(c->source, err));
    c->is_resync_due = false;
    return KD_OK;
}

static kd_rc tick_transaction(kd_committer *c, kd_err *err)
{
    const kd_pos *pending;
    kd_rc rc = learn_outcome(c, err);
    if (rc != KD_OK)
        return rc == KD_AGAIN ? KD_OK : rc;
    if (!kd_pipeline_between(c->pipeline, &pending))
        return KD_OK;
    if (c->is_resync_due)
        return resync(c, err);
    rc = begin_commit(c, pending, false, err);
    return rc == KD_AGAIN ? KD_OK : rc;
}

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

/* Commits everything that was answered, as the last words for its partitions. KD_AGAIN: not in
 * time. KD_END: what is open is dropped, and whoever gets the partitions next looks. */
static kd_rc commit_last(kd_committer *c, int64_t timeout_ms, kd_err *err)
{
    const kd_pos *pending;
    bool has_begun = false;
    for (int64_t until = kd_clock_mono_ms() + timeout_ms; kd_clock_mono_ms() < until;) {
        kd_rc rc = learn_outcome(c, err);
        if (rc == KD_AGAIN) {
            pause_shortly();
            continue;
        }
        KD_TRY(rc);
        if (c->is_resync_due)
            return KD_END;
        if (has_begun && !c->is_retrying)
            return KD_OK;
        if (!kd_pipeline_between(c->pipeline, &pending))
            break;
        KD_TRY(c->sink->kind->poll(c->sink, err));
        rc = begin_commit(c, pending, true, err);
        if (rc == KD_OK && !c->is_marked)
            return KD_OK; /* there is nothing */
        if (rc != KD_OK && rc != KD_AGAIN)
            return rc;
        has_begun = rc == KD_OK;
        pause_shortly();
    }
    return KD_AGAIN;
}

/* @thread loop, from the source, between two epochs */
static void on_revoke(void *arg, bool is_lost)
{
    kd_committer *c = arg;
    kd_err why = {0};
    kd_rc rc = is_lost ? KD_AGAIN : commit_last(c, REVOKE_MS, &why);
    if (rc == KD_AGAIN || rc == KD_END) {
        c->is_marked = false;
        rc = c->sink->kind->drop(c->sink, &why);
    }
    c->is_resync_due = false; /* whoever gets the partitions looks */
    c->is_retrying = false;
    if (rc != KD_OK)
        c->lasting = why;
}

/* -- both -------------------------------------------------------------------------------------- */

void kd_committer_init(kd_committer *c, kd_pipeline *p, kd_source *source, kd_sink *sink,
                       void (*on_notice)(void *arg, const char *text), void *notice_arg)
{
    *c = (kd_committer){.pipeline = p,
                        .source = source,
                        .sink = sink,
                        .on_notice = on_notice,
                        .notice_arg = notice_arg};
    if (is_transactional(c))
        source->kind->set_revoke(source, on_revoke, c);
}

kd_rc kd_committer_tick(kd_committer *c, kd_err *err)
{
    if (c->lasting.rc != KD_OK) {
        if (err != NULL)
            *err = c->lasting;
        return c->lasting.rc;
    }
    return is_transactional(c) ? tick_transaction(c, err) : tick_acked(c, err);
}

kd_rc kd_committer_end(kd_committer *c, int64_t timeout_ms, kd_err *err)
{
    if (!is_transactional(c))
        return end_acked(c, timeout_ms, err);
    c->source->kind->set_revoke(c->source, NULL, NULL);
    kd_rc rc = commit_last(c, timeout_ms, err);
    if (rc == KD_END) {
        notice(c, "what is not committed is left to whoever answers these partitions next");
        return KD_OK;
    }
    if (rc != KD_AGAIN)
        return rc;
    return kd_fail(err, KD_RETRY,
                   "the last outputs are not committed after %lld ms; whoever answers their "
                   "partitions next publishes them",
                   (long long)timeout_ms);
}
