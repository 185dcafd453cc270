/* protocol_load.c - reads what a protocol learns and what it asks. */
#include "topology/protocol_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/gz.h"

enum { LINE_MAX_BYTES = 1 << 24 };

/* Events before it is known whether they are learned or asked. */
typedef struct event_log {
    kd_learned *rows;
    uint32_t n, cap;
} event_log;

static kd_rc intern(kd_protocol *p, kd_str id, uint32_t *out, kd_err *err)
{
    bool is_new;
    *out = KD_NO_SLOT;
    if (id.p == NULL)
        return KD_OK;
    return kd_ids_intern(&p->ids, id, kd_ids_hash(id), out, &is_new, err);
}

static kd_rc keep_whole(kd_protocol *p, const kd_record *rec, kd_learned *row, kd_err *err)
{
    kd_record *copy = kd_arena_alloc(p->arena, sizeof *copy);
    if (copy == NULL ||
        !kd_grow((void **)&p->whole, &p->cap_whole, p->n_whole + 1, sizeof(kd_record *)))
        return kd_fail(err, KD_ENOMEM, "no memory for %u records", p->n_whole + 1);
    KD_TRY(kd_record_copy(rec, p->arena, copy, err));
    row->is_whole = true;
    row->item = p->n_whole;
    row->shopper = KD_NO_SLOT;
    p->whole[p->n_whole++] = copy;
    return KD_OK;
}

static kd_rc add_seen(kd_protocol *p, const kd_recommender *who, const kd_record *rec,
                      event_log *to, kd_err *err)
{
    if (!kd_grow((void **)&to->rows, &to->cap, to->n + 1, sizeof *to->rows))
        return kd_fail(err, KD_ENOMEM, "no memory for %u events", to->n + 1);
    kd_learned *row = &to->rows[to->n];
    *row = (kd_learned){.time = rec->time,
                        .ts = rec->ts,
                        .type = (uint8_t)rec->type,
                        .action = (uint8_t)rec->action};
    if (rec->type > KD_PURCHASE) {
        KD_TRY(keep_whole(p, rec, row, err));
    } else {
        kd_str shopper = kd_recommender_shopper(who, rec);
        if (shopper.p == NULL) {
            p->sizes.bad++;
            return KD_OK;
        }
        KD_TRY(intern(p, shopper, &row->shopper, err));
        KD_TRY(intern(p, rec->user_id, &row->user, err));
        KD_TRY(intern(p, rec->session_id, &row->session, err));
        KD_TRY(intern(p, rec->item_id, &row->item, err));
    }
    to->n++;
    return KD_OK;
}

static kd_rc read_all(kd_protocol *p, const kd_recommender *who, kd_source *source, event_log *to,
                      const volatile int *stop, kd_err *err)
{
    KD_TRY(source->kind->start(source, err));
    for (uint64_t n = 1;; n++) {
        kd_record rec;
        kd_rc rc = source->kind->next(source, &rec, err);
        if (rc == KD_END)
            return KD_OK;
        if (rc == KD_EDATA)
            p->sizes.bad++;
        else if (rc != KD_OK)
            return rc;
        else
            KD_TRY(add_seen(p, who, &rec, to, err));
        if (n % 4096 == 0)
            source->kind->release(source);
        if (n % 4096 == 0 && stop != NULL && *stop != 0)
            return kd_fail(err, KD_RETRY, "interrupted while reading");
    }
}

static kd_rc learn(kd_protocol *p, const kd_learned *row, kd_err *err)
{
    if (!kd_grow((void **)&p->train, &p->cap_train, p->n_train + 1, sizeof *p->train))
        return kd_fail(err, KD_ENOMEM, "no memory for %u events", p->n_train + 1);
    p->train[p->n_train++] = *row;
    return KD_OK;
}

/* -- positions -----------------------------------------------------------------------------------
 */

static kd_rc add_event(kd_protocol *p, uint32_t item, kd_action action, kd_ms time, kd_err *err)
{
    if (!kd_grow((void **)&p->events, &p->cap_events, p->n_events + 1, sizeof *p->events))
        return kd_fail(err, KD_ENOMEM, "no memory for %u events", p->n_events + 1);
    p->events[p->n_events++] = (kd_interaction){kd_ids_get(&p->ids, item), action, time};
    return KD_OK;
}

static kd_rc add_position(kd_protocol *p, kd_position x, kd_err *err)
{
    if (!kd_grow((void **)&p->positions, &p->cap_positions, p->n_positions + 1,
                 sizeof *p->positions))
        return kd_fail(err, KD_ENOMEM, "no memory for %u positions", p->n_positions + 1);
    p->positions[p->n_positions++] = x;
    return KD_OK;
}

static bool is_asked(const kd_learned *row)
{
    return row->type <= KD_PURCHASE && row->action != KD_CANCELLED;
}

/* Rows of one session stand together, by (time, order of the source). */
typedef struct by_session {
    uint32_t session; /* number in order of first event */
    kd_ms time;
    uint32_t row;
} by_session;

static int session_order(const void *pa, const void *pb)
{
    const by_session *a = pa, *b = pb;
    if (a->session != b->session)
        return a->session < b->session ? -1 : 1;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return a->row < b->row ? -1 : 1;
}

/* Every prefix of one session, whose rows are x[0..n). */
static kd_rc ask_prefixes(kd_protocol *p, const event_log *from, const by_session *x, uint32_t n,
                          kd_err *err)
{
    uint32_t first = p->n_events;
    p->sizes.held_out += n > 1;
    for (uint32_t k = 0; k < n; k++) {
        const kd_learned *row = &from->rows[x[k].row];
        if (k > 0)
            KD_TRY(add_position(p, (kd_position){first, k, row->shopper, row->item}, err));
        if (k + 1 < n)
            KD_TRY(add_event(p, row->item, (kd_action)row->action, row->time, err));
    }
    return KD_OK;
}

/* Makes positions of the rows whose shopper is held out (`out` by slot; NULL: all are). */
static kd_rc ask_sessions(kd_protocol *p, const event_log *from, const bool *out, kd_err *err)
{
    by_session *x = malloc(((size_t)from->n + 1) * sizeof *x);
    uint32_t *number = calloc((size_t)p->ids.cap + 1, sizeof *number), n = 0, n_sessions = 0;
    kd_rc rc = x == NULL || number == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory to sort %u events", from->n)
                   : KD_OK;
    for (uint32_t k = 0; rc == KD_OK && k < from->n; k++) {
        const kd_learned *row = &from->rows[k];
        if (!is_asked(row) || (out != NULL && !out[row->shopper]))
            continue;
        if (number[row->shopper] == 0)
            number[row->shopper] = ++n_sessions;
        x[n++] = (by_session){number[row->shopper], row->time, k};
    }
    if (rc == KD_OK && n > 1)
        qsort(x, n, sizeof *x, session_order);
    for (uint32_t k = 0, end; rc == KD_OK && k < n; k = end) {
        for (end = k + 1; end < n && x[end].session == x[k].session;)
            end++;
        rc = ask_prefixes(p, from, x + k, end - k, err);
    }
    free(x);
    free(number);
    return rc;
}

/* -- the last sessions of train ------------------------------------------------------------------
 */

typedef struct ending {
    kd_ms last;
    uint32_t shopper;
    kd_str id;
} ending;

static int by_ending(const void *pa, const void *pb)
{
    const ending *a = pa, *b = pb;
    if (a->last != b->last)
        return a->last < b->last ? -1 : 1;
    return kd_str_cmp(a->id, b->id);
}

/* Marks the last `want` of all shoppers in out[slot]. */
static kd_rc choose_last(const kd_protocol *p, const kd_protocol_options *o, const event_log *from,
                         bool *out, kd_err *err)
{
    ending *x = calloc((size_t)p->ids.cap + 1, sizeof *x);
    if (x == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u sessions", p->ids.cap);
    for (uint32_t k = 0; k < from->n; k++) {
        const kd_learned *row = &from->rows[k];
        if (row->shopper == KD_NO_SLOT)
            continue;
        ending *e = &x[row->shopper];
        if (e->id.p == NULL)
            *e = (ending){row->time, row->shopper, kd_ids_get(&p->ids, row->shopper)};
        e->last = row->time > e->last ? row->time : e->last;
    }
    uint32_t n = 0;
    for (uint32_t k = 0; k < p->ids.cap; k++)
        if (x[k].id.p != NULL)
            x[n++] = x[k];
    uint32_t want = o->holdout > 0 ? o->holdout : (uint32_t)(o->holdout_share * n);
    kd_rc rc = KD_OK;
    if (want == 0 || want >= n)
        rc = kd_fail(err, KD_ECONFIG, "%u of %u sessions cannot be held out", want, n);
    else
        qsort(x, n, sizeof *x, by_ending);
    for (uint32_t k = n - want; rc == KD_OK && k < n; k++)
        out[x[k].shopper] = true;
    free(x);
    return rc;
}

static kd_rc hold_out(kd_protocol *p, const kd_protocol_options *o, const event_log *from,
                      kd_err *err)
{
    bool *out = calloc((size_t)p->ids.cap + 1, sizeof *out);
    if (out == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u sessions", p->ids.cap);
    kd_rc rc = choose_last(p, o, from, out, err);
    for (uint32_t k = 0; rc == KD_OK && k < from->n; k++)
        if (from->rows[k].shopper == KD_NO_SLOT || !out[from->rows[k].shopper])
            rc = learn(p, &from->rows[k], err);
    if (rc == KD_OK)
        rc = ask_sessions(p, from, out, err);
    free(out);
    return rc;
}

/* -- lines of "prefix TAB next item" -------------------------------------------------------------
 */

/* Cuts the first word off *rest; empty at the end. */
static kd_str next_word(kd_str *rest)
{
    while (rest->n > 0 && *rest->p == ' ')
        *rest = (kd_str){rest->p + 1, rest->n - 1};
    kd_str word = {rest->p, 0};
    while (word.n < rest->n && word.p[word.n] != ' ')
        word.n++;
    *rest = (kd_str){rest->p + word.n, rest->n - word.n};
    return word;
}

/* A line's events begin at `start`, a millisecond apart. */
static kd_rc take_prefix(kd_protocol *p, kd_str line, kd_ms start, kd_err *err)
{
    const char *tab = memchr(line.p, '\t', line.n);
    if (tab == NULL)
        return kd_bad(err, KD_REASON_DECODE, "no tab between the prefix and the next item");
    kd_str prefix = {line.p, (uint32_t)(tab - line.p)};
    kd_str rest = {tab + 1, line.n - prefix.n - 1}, next = next_word(&rest);
    kd_position x = {.first = p->n_events, .session = KD_NO_SLOT};
    if (next.n == 0 || next_word(&rest).n > 0)
        return kd_bad(err, KD_REASON_DECODE, "one item stands behind the tab");
    for (kd_str word = next_word(&prefix); word.n > 0; word = next_word(&prefix)) {
        uint32_t item;
        if (word.n > KD_ID_MAX || next.n > KD_ID_MAX)
            return kd_bad(err, KD_REASON_ID, "an item of more than %d bytes", KD_ID_MAX);
        KD_TRY(intern(p, word, &item, err));
        KD_TRY(add_event(p, item, KD_VIEW, start + x.n++, err));
    }
    if (x.n == 0)
        return kd_bad(err, KD_REASON_DECODE, "the prefix is empty");
    KD_TRY(intern(p, next, &x.next, err));
    return add_position(p, x, err);
}

/* The questions are asked a minute after the last event that is learned. */
static kd_rc read_prefixes(kd_protocol *p, const char *path, kd_err *err)
{
    enum { MINUTE_MS = 60000 };
    kd_ms start = KD_MS_2000;
    for (uint32_t k = 0; k < p->n_train; k++)
        start = p->train[k].time + MINUTE_MS > start ? p->train[k].time + MINUTE_MS : start;
    kd_reader *in;
    KD_TRY(kd_reader_open(path, &in, err));
    kd_rc rc;
    for (;;) {
        kd_str line;
        rc = kd_reader_line(in, LINE_MAX_BYTES, &line, err);
        if (rc == KD_OK && line.n > 0)
            rc = take_prefix(p, line, start, err);
        if (rc != KD_OK)
            break;
    }
    if (rc == KD_END)
        rc = KD_OK;
    else
        kd_err_at(err, "%s:%lld", path, (long long)kd_reader_line_no(in));
    kd_reader_close(in);
    p->sizes.held_out = p->n_positions;
    return rc == KD_EDATA ? KD_ECONFIG : rc;
}

/* -- another program's lists ---------------------------------------------------------------------
 */

/* Cuts off what is before `sep`, or all. */
static kd_str cut(kd_str *rest, char sep)
{
    const char *at = rest->n == 0 ? NULL : memchr(rest->p, sep, rest->n);
    kd_str field = {rest->p, at == NULL ? rest->n : (uint32_t)(at - rest->p)};
    uint32_t used = field.n + (at != NULL);
    *rest = (kd_str){rest->p + used, rest->n - used};
    return field;
}

/* The position of session and place; n_positions if there is none. first[slot] is the session's
 * first position + 1. */
static uint32_t find_position(const kd_protocol *p, const uint32_t *first, kd_str session,
                              kd_str place)
{
    uint32_t slot = kd_ids_find(&p->ids, session, kd_ids_hash(session)), n = 0;
    if (slot == KD_NO_SLOT || first[slot] == 0 || place.n == 0 || place.n > 6)
        return p->n_positions;
    for (uint32_t k = 0; k < place.n; k++) {
        if (place.p[k] < '0' || place.p[k] > '9')
            return p->n_positions;
        n = n * 10 + (uint32_t)(place.p[k] - '0');
    }
    uint32_t at = first[slot] - 1 + n;
    bool is_there = at < p->n_positions && p->positions[at].session == slot;
    return is_there ? at : p->n_positions;
}

/* Appends the position of a line to *kept. */
static kd_rc take_list(kd_protocol *p, const uint32_t *first, kd_str line, kd_position *kept,
                       uint32_t *n, kd_err *err)
{
    kd_str session = cut(&line, ';'), place = cut(&line, ';'), list = cut(&line, ';');
    uint32_t at = find_position(p, first, session, place);
    if (at == p->n_positions || *n == p->n_positions)
        return kd_bad(err, KD_REASON_DECODE,
                      "session %.*s has no position %.*s in the test, or twice; a line is "
                      "SessionId;Position;Recommendations;Scores",
                      KD_STR_ARG(session), KD_STR_ARG(place));
    kd_str next = kd_ids_get(&p->ids, p->positions[at].next);
    p->theirs[*n] = 0;
    for (uint32_t rank = 1; list.n > 0 && rank < UINT16_MAX; rank++)
        if (kd_str_eq(cut(&list, ','), next) && p->theirs[*n] == 0)
            p->theirs[*n] = (uint16_t)rank;
    kept[(*n)++] = p->positions[at];
    return KD_OK;
}

/* Keeps the positions that are in the file, in its order. */
static kd_rc read_lists(kd_protocol *p, const char *path, kd_err *err)
{
    uint32_t *first = calloc((size_t)p->ids.cap + 1, sizeof *first), n = 0;
    kd_position *kept = calloc((size_t)p->n_positions + 1, sizeof *kept);
    p->theirs = calloc((size_t)p->n_positions + 1, sizeof *p->theirs);
    kd_reader *in = NULL;
    kd_rc rc = first == NULL || kept == NULL || p->theirs == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory for lists")
                   : kd_reader_open(path, &in, err);
    for (uint32_t k = p->n_positions; rc == KD_OK && k-- > 0;)
        if (p->positions[k].session != KD_NO_SLOT)
            first[p->positions[k].session] = k + 1;
    while (rc == KD_OK) {
        kd_str line;
        rc = kd_reader_line(in, LINE_MAX_BYTES, &line, err);
        if (rc == KD_OK && kd_reader_line_no(in) > 1) /* the first names the columns */
            rc = take_list(p, first, line, kept, &n, err);
    }
    if (rc == KD_END)
        rc = KD_OK;
    else if (in != NULL)
        kd_err_at(err, "%s:%lld", path, (long long)kd_reader_line_no(in));
    kd_reader_close(in);
    free(first);
    if (rc == KD_OK) {
        free(p->positions);
        p->positions = kept;
        p->n_positions = n;
        kept = NULL;
    }
    free(kept);
    return rc == KD_EDATA ? KD_ECONFIG : rc;
}

/* -- all of it -----------------------------------------------------------------------------------
 */

static kd_rc count_all(kd_protocol *p, kd_err *err)
{
    bool *is_item = calloc((size_t)p->ids.cap + 1, 1),
         *is_shopper = calloc((size_t)p->ids.cap + 1, 1);
    kd_rc rc = is_item == NULL || is_shopper == NULL ? kd_fail(err, KD_ENOMEM, "no memory to count")
                                                     : KD_OK;
    uint64_t h = 0;
    for (uint32_t k = 0; rc == KD_OK && k < p->n_train; k++) {
        const kd_learned *x = &p->train[k];
        kd_ms times[] = {x->time, x->ts};
        uint8_t kinds[] = {x->type, x->action, x->is_whole};
        h = kd_hash64(times, sizeof times, h);
        h = kd_hash64(kinds, sizeof kinds, h);
        if (x->is_whole)
            continue;
        uint32_t ids[] = {x->user, x->session, x->item};
        for (int j = 0; j < 3; j++)
            h = ids[j] == KD_NO_SLOT ? h + 1 : kd_hash64(&p->ids.hash[ids[j]], sizeof h, h);
        p->sizes.sessions += !is_shopper[x->shopper];
        is_shopper[x->shopper] = is_item[x->item] = true;
    }
    for (uint32_t k = 0; rc == KD_OK && k < p->n_positions; k++) {
        const kd_position *x = &p->positions[k];
        for (uint32_t j = x->first; j < x->first + x->n; j++)
            h = kd_hash64(p->events[j].item_id.p, p->events[j].item_id.n, h);
        h = kd_hash64(&p->ids.hash[x->next], sizeof h, h);
        p->sizes.unknown += !is_item[x->next];
    }
    free(is_item);
    free(is_shopper);
    p->sizes.events = p->n_train;
    p->sizes.positions = p->n_positions;
    p->hash = h;
    return rc;
}

static kd_rc load(kd_protocol *p, const kd_protocol_options *o, const kd_recommender *who,
                  event_log *train, event_log *test, kd_err *err)
{
    KD_TRY(read_all(p, who, o->train, train, o->stop, err));
    if (o->test != NULL)
        KD_TRY(read_all(p, who, o->test, test, o->stop, err));
    bool is_holdout = o->holdout > 0 || o->holdout_share > 0;
    if (is_holdout)
        KD_TRY(hold_out(p, o, train, err));
    for (uint32_t k = 0; !is_holdout && k < train->n; k++)
        KD_TRY(learn(p, &train->rows[k], err));
    if (o->test != NULL)
        KD_TRY(ask_sessions(p, test, NULL, err));
    if (o->prefixes != NULL)
        KD_TRY(read_prefixes(p, o->prefixes, err));
    if (o->lists != NULL)
        KD_TRY(read_lists(p, o->lists, err));
    if (p->n_positions == 0)
        return kd_fail(err, KD_ECONFIG, "nothing to ask: no session held out has two events");
    p->ranks = calloc(p->n_positions, sizeof *p->ranks);
    if (p->ranks == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for %u ranks", p->n_positions);
    return count_all(p, err);
}

kd_rc kd_protocol_load(const kd_protocol_options *o, kd_protocol **out, kd_err *err)
{
    int ways = (o->test != NULL) + (o->prefixes != NULL) + (o->holdout > 0 || o->holdout_share > 0);
    if (ways != 1)
        return kd_fail(err, KD_ECONFIG, "one test or one part to hold out, %d are given", ways);
    kd_protocol *p = calloc(1, sizeof *p);
    kd_recommender *who = NULL;
    event_log train = {0}, test = {0};
    kd_rc rc = p == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a protocol") : KD_OK;
    if (rc == KD_OK && (p->arena = kd_arena_new(0)) == NULL)
        rc = kd_fail(err, KD_ENOMEM, "no memory for a protocol");
    if (rc == KD_OK)
        rc = kd_ids_init(&p->ids, INT_MAX, err);
    if (rc == KD_OK)
        rc = kd_recommender_new(o->values, &who, err);
    if (rc == KD_OK)
        rc = load(p, o, who, &train, &test, err);
    free(train.rows);
    free(test.rows);
    kd_recommender_free(who);
    if (rc != KD_OK) {
        kd_protocol_free(p);
        return rc;
    }
    *out = p;
    return KD_OK;
}

void kd_protocol_free(kd_protocol *p)
{
    if (p == NULL)
        return;
    kd_ids_dispose(&p->ids);
    kd_arena_free(p->arena);
    free(p->train);
    free(p->whole);
    free(p->events);
    free(p->positions);
    free(p->ranks);
    free(p->theirs);
    free(p);
}
