/* memory_source.c - scripted input for tests; what is handed out is spoilt at release(). */
#include "consumers/sources.h"

#include <stdlib.h>
#include <string.h>

/* The strings of one handed-out record. */
typedef struct copy {
    struct copy *next;
    size_t n, cap;
    max_align_t data[];
} copy;

typedef struct memory_source {
    kd_source base;
    kd_memory_options o;
    kd_arena *scratch;      /* owned; for make() */
    kd_memory_step *pushed; /* owned */
    size_t n_pushed, cap_pushed;
    size_t at; /* steps taken: first o.steps, then pushed */
    bool is_ended;
    int64_t numbered;
    copy *copies; /* owned; not yet released */
    kd_memory_seen seen;
    int n_commit_faults;
    kd_rc commit_fault;
    void (*wake)(void *arg);
    void *wake_arg;
} memory_source;

static kd_rc start(kd_source *src, kd_err *err)
{
    memory_source *s = (memory_source *)src;
    if (s->seen.is_started)
        return kd_fail(err, KD_EBUG, "start() twice");
    s->seen.is_started = true;
    return KD_OK;
}

enum { N_STRINGS = 10 };

static void strings_of(kd_record *r, kd_str *out[N_STRINGS])
{
    kd_str *all[N_STRINGS] = {&r->event_id, &r->order_id, &r->user_id, &r->session_id,
                              &r->item_id,  &r->currency, &r->title,   &r->description,
                              &r->category, &r->brand};
    memcpy(out, all, sizeof all);
}

static void *take(copy *c, const void *p, size_t n)
{
    char *to = (char *)c->data + c->n;
    if (n > 0)
        memcpy(to, p, n);
    c->n += n;
    return to;
}

/* Gives the record strings of its own, in one block that release() spoils. */
static kd_rc copy_strings(memory_source *s, kd_record *r, kd_err *err)
{
    kd_str *strings[N_STRINGS];
    strings_of(r, strings);
    size_t n = r->n_tags * sizeof(kd_str) + r->raw_key_len + r->raw_value_len + 1;
    for (size_t i = 0; i < N_STRINGS; i++)
        n += strings[i]->n;
    for (uint32_t i = 0; i < r->n_tags; i++)
        n += r->tags[i].n;
    copy *c = malloc(sizeof *c + n);
    if (c == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a record");
    c->next = s->copies;
    c->n = 0;
    c->cap = n;
    s->copies = c;
    kd_str *tags = take(c, r->tags, r->n_tags * sizeof(kd_str));
    for (uint32_t i = 0; i < r->n_tags; i++)
        tags[i].p = take(c, tags[i].p, tags[i].n);
    r->tags = r->n_tags == 0 ? NULL : tags;
    for (size_t i = 0; i < N_STRINGS; i++)
        if (strings[i]->p != NULL)
            strings[i]->p = take(c, strings[i]->p, strings[i]->n);
    if (r->raw_key != NULL)
        r->raw_key = take(c, r->raw_key, r->raw_key_len);
    if (r->raw_value != NULL)
        r->raw_value = take(c, r->raw_value, r->raw_value_len);
    return KD_OK;
}

static kd_rc hand_out(memory_source *s, kd_record *r, kd_record *out, kd_err *err)
{
    if (s->o.number_pos && r->pos.topic == NULL)
        r->pos = (kd_pos){"memory", 0, s->numbered++};
    KD_TRY(copy_strings(s, r, err));
    *out = *r;
    s->seen.handed++;
    return KD_OK;
}

static kd_rc give_step(memory_source *s, const kd_memory_step *step, kd_record *out, kd_err *err)
{
    if (step->rc == KD_OK || step->rc == KD_EDATA) {
        kd_record r = step->record;
        KD_TRY(hand_out(s, &r, out, err));
    }
    const char *msg = step->msg != NULL ? step->msg : "scripted by the test";
    if (step->rc == KD_EDATA)
        return kd_bad(err, step->reason, "%s", msg);
    if (step->rc != KD_OK && step->rc != KD_AGAIN && step->rc != KD_END)
        return kd_fail(err, step->rc, "%s", msg);
    return step->rc;
}

static kd_rc give_made(memory_source *s, kd_record *out, kd_err *err)
{
    kd_record r;
    kd_record_init(&r, KD_BROWSE);
    kd_rc rc = s->is_ended ? KD_END : s->o.make(s->o.make_arg, &r, s->scratch, err);
    if (rc == KD_OK || rc == KD_EDATA) {
        kd_rc copied = hand_out(s, &r, out, err);
        if (copied != KD_OK)
            rc = copied;
    }
    s->is_ended = rc == KD_END;
    kd_arena_reset(s->scratch);
    return rc;
}

static kd_rc next(kd_source *src, kd_record *out, kd_err *err)
{
    memory_source *s = (memory_source *)src;
    if (!s->seen.is_started)
        return kd_fail(err, KD_EBUG, "next() before start()");
    if (s->o.make != NULL)
        return give_made(s, out, err);
    size_t at = s->at;
    if (at < s->o.n_steps) {
        s->at++;
        return give_step(s, &s->o.steps[at], out, err);
    }
    if (at - s->o.n_steps < s->n_pushed) {
        s->at++;
        return give_step(s, &s->pushed[at - s->o.n_steps], out, err);
    }
    return s->o.is_live && !s->is_ended ? KD_AGAIN : KD_END;
}

static void release(kd_source *src)
{
    memory_source *s = (memory_source *)src;
    while (s->copies != NULL) {
        copy *c = s->copies;
        s->copies = c->next;
        memset(c->data, 0xDD, c->cap);
        __asm__ volatile(""
                         :
                         : "r"(c)
                         : "memory"); /* what is about to be freed is written all the same */
        free(c);
    }
    s->seen.released = s->seen.handed;
    s->seen.releases++;
}

static kd_rc commit(kd_source *src, kd_err *err)
{
    memory_source *s = (memory_source *)src;
    s->seen.commits++;
    if (s->n_commit_faults > 0) {
        s->n_commit_faults--;
        return kd_fail(err, s->commit_fault, "commit fails as the test wants");
    }
    s->seen.committed = s->seen.released;
    return KD_OK;
}

static void pause_source(kd_source *src, bool paused)
{
    memory_source *s = (memory_source *)src;
    s->seen.pauses += paused && !s->seen.is_paused;
    s->seen.is_paused = paused;
}

static void set_wake(kd_source *src, void (*wake)(void *), void *arg)
{
    memory_source *s = (memory_source *)src;
    s->wake = wake;
    s->wake_arg = arg;
}

static void progress(const kd_source *src, kd_progress *out)
{
    const memory_source *s = (const memory_source *)src;
    *out = (kd_progress){.records = s->seen.handed, .lag = -1, .done_bytes = -1, .total_bytes = -1};
    if (s->o.make == NULL)
        out->lag = (int64_t)(s->o.n_steps + s->n_pushed - s->at);
}

static void close_source(kd_source *src)
{
    memory_source *s = (memory_source *)src;
    if (s == NULL)
        return;
    release(src);
    kd_arena_free(s->scratch);
    free(s->pushed);
    free(s);
}

static const kd_source_kind memory_kind = {
    .name = "memory",
    .start = start,
    .next = next,
    .release = release,
    .commit = commit,
    .pause = pause_source,
    .set_wake = set_wake,
    .progress = progress,
    .close = close_source,
};

kd_rc kd_memory_source_new(const kd_memory_options *o, kd_source **out, kd_err *err)
{
    memory_source *s = calloc(1, sizeof *s);
    kd_arena *scratch = kd_arena_new(0);
    if (s == NULL || scratch == NULL) {
        free(s);
        kd_arena_free(scratch);
        return kd_fail(err, KD_ENOMEM, "no memory for a source");
    }
    s->base.kind = &memory_kind;
    s->o = *o;
    s->scratch = scratch;
    *out = &s->base;
    return KD_OK;
}

static memory_source *of(kd_source *src)
{
    KD_ASSERT(src->kind == &memory_kind);
    return (memory_source *)src;
}

kd_rc kd_memory_push(kd_source *src, const kd_memory_step *step, kd_err *err)
{
    memory_source *s = of(src);
    KD_ASSERT(s->o.is_live && !s->is_ended);
    if (s->n_pushed == s->cap_pushed) {
        size_t cap = s->cap_pushed == 0 ? 16 : s->cap_pushed * 2;
        kd_memory_step *p = realloc(s->pushed, cap * sizeof *p);
        if (p == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for %zu steps", cap);
        s->pushed = p;
        s->cap_pushed = cap;
    }
    s->pushed[s->n_pushed++] = *step;
    if (s->wake != NULL)
        s->wake(s->wake_arg);
    return KD_OK;
}

void kd_memory_end(kd_source *src)
{
    memory_source *s = of(src);
    s->is_ended = true;
    if (s->wake != NULL)
        s->wake(s->wake_arg);
}

void kd_memory_source_seen(const kd_source *src, kd_memory_seen *out)
{
    KD_ASSERT(src->kind == &memory_kind);
    *out = ((const memory_source *)src)->seen;
}

void kd_memory_fail_commits(kd_source *src, int n, kd_rc rc)
{
    memory_source *s = of(src);
    s->n_commit_faults = n;
    s->commit_fault = rc;
}
