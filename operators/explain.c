#include "operators/explain.h"

#include <string.h>

#include "operators/audience.h"
#include "operators/subject.h"
#include "operators/usercf_core.h"

/* What explains: the question asked again, in a room of its own. */
typedef struct explain {
    const kd_state *s;
    const kd_usercf_options *o;
    kd_usercf_space cf;
    kd_subject_space room;
    kd_subject subject;
    kd_arena *arena;
} explain;

static void *take(explain *x, size_t n, size_t size, kd_err *err)
{
    void *p = kd_arena_calloc(x->arena, n + 1, size);
    if (p == NULL)
        (void)kd_fail(err, KD_ENOMEM, "no room for an explanation");
    return p;
}

/* -- the shopper's own ---------------------------------------------------------------------------
 */

static bool is_live(const kd_entries *e, uint32_t k)
{
    kd_action a = kd_word_action(e->word[k]);
    if (a == KD_CANCELLED)
        return false;
    uint32_t c = a == KD_PAID ? kd_entries_find(e, kd_word_item(e->word[k]), KD_CANCELLED) : e->n;
    return c == e->n || kd_entry_time(e, k) > kd_entry_time(e, c);
}

/* The newest live interaction with the item in any history that is the shopper's. */
static void find_newest(const explain *x, uint32_t item, kd_own *out)
{
    out->time = KD_MS_NONE;
    for (uint32_t j = 0; j < x->subject.n_self; j++) {
        kd_entries e = kd_entries_of(&x->s->hist, x->subject.self[j]);
        for (uint32_t k = 0; k < e.n; k++) {
            if (kd_word_item(e.word[k]) != item || !is_live(&e, k) ||
                kd_entry_time(&e, k) < out->time)
                continue;
            out->time = kd_entry_time(&e, k);
            out->action = kd_word_action(e.word[k]);
        }
    }
}

static kd_rc explain_own(explain *x, kd_explanation *out, kd_err *err)
{
    const kd_subject *u = &x->subject;
    kd_own *own = take(x, u->n_items, sizeof *own, err);
    kd_str *sessions = take(x, u->n_self, sizeof *sessions, err);
    if (own == NULL || sessions == NULL)
        return KD_ENOMEM;
    for (uint32_t k = 0; k < u->n_items; k++) {
        own[k] = (kd_own){.item_id = kd_ids_get(&x->s->items, u->items[k]),
                          .step = u->step[k],
                          .shoppers = x->s->item[u->items[k]].posting.n};
        find_newest(x, u->items[k], &own[k]);
        for (uint32_t j = 0; j < u->n_bought; j++)
            own[k].is_bought |= u->bought[j] == u->items[k];
    }
    for (uint32_t k = 0; k < u->n_self; k++) {
        kd_str id = kd_ids_get(&x->s->shoppers, u->self[k]);
        if (!kd_str_eq(id, out->list.shopper_id))
            sessions[out->n_sessions++] = id;
    }
    out->own = own;
    out->n_own = u->n_items;
    out->sessions = sessions;
    return KD_OK;
}

/* -- neighbours ----------------------------------------------------------------------------------
 */

/* True if v is in P_m of the item. */
static bool is_in_audience(const explain *x, uint32_t item, uint32_t v)
{
    uint32_t left = x->o->audience_max;
    for (uint32_t c = 0; left > 0; c++) {
        kd_run run = kd_posting_recent(x->s->postings, &x->s->item[item].posting, c, left);
        if (run.n == 0)
            return false;
        for (uint32_t k = 0; k < run.n; k++)
            if (run.slot[k] == v)
                return true;
        left -= run.n;
    }
    return false;
}

static kd_rc explain_voters(explain *x, kd_explanation *out, kd_err *err)
{
    kd_voter *voters = take(x, x->cf.n_near, sizeof *voters, err);
    if (voters == NULL)
        return KD_ENOMEM;
    for (uint32_t t = 0; t < x->cf.n_near; t++) {
        const kd_near *near = &x->cf.near[t];
        uint32_t *shared = take(x, near->c, sizeof *shared, err), n = 0;
        if (shared == NULL)
            return KD_ENOMEM;
        for (uint32_t k = 0; k < x->subject.n_items; k++)
            if (is_in_audience(x, x->subject.items[k], near->slot)) {
                KD_ASSERT(n < near->c);
                shared[n++] = k;
            }
        KD_ASSERT(n == near->c);
        voters[t] = (kd_voter){.shopper_id = kd_ids_get(&x->s->shoppers, near->slot),
                               .similarity = x->cf.sim[t],
                               .n_items = x->s->hist.n_items[near->slot],
                               .shared = shared,
                               .n_shared = n};
    }
    out->voters = voters;
    out->n_voters = x->cf.n_near;
    return KD_OK;
}

/* -- the list ------------------------------------------------------------------------------------
 */

/* One neighbour after the other votes alone; what it gives each listed item is noted. */
static kd_rc explain_items(explain *x, kd_explanation *out, kd_err *err)
{
    const uint32_t n = out->list.n_items;
    kd_explained *items = take(x, n, sizeof *items, err);
    kd_voted **given = take(x, n, sizeof *given, err);
    uint32_t *slot = take(x, n, sizeof *slot, err);
    if (items == NULL || given == NULL || slot == NULL)
        return KD_ENOMEM;
    for (uint32_t k = 0; k < n; k++) {
        slot[k] = kd_state_item(x->s, out->list.items[k].item_id);
        given[k] = take(x, out->n_voters, sizeof **given, err);
        if (given[k] == NULL)
            return KD_ENOMEM;
        items[k].given = given[k];
        items[k].factor = 1.0;
        if (x->o->idf_score > 0 && slot[k] != KD_NO_SLOT && x->s->item[slot[k]].posting.n > 0)
            items[k].factor +=
                x->o->idf_score * kd_idf(x->s->n_shoppers, x->s->item[slot[k]].posting.n);
    }
    for (uint32_t t = 0; t < out->n_voters; t++) {
        kd_usercf_score_of(x->s, x->o, &x->subject, t, &x->cf);
        for (uint32_t k = 0; k < n; k++) {
            double vote = slot[k] == KD_NO_SLOT ? 0 : x->cf.score[slot[k]];
            if (vote > 0)
                given[k][items[k].n_given++] = (kd_voted){t, vote};
        }
        kd_usercf_clear(&x->cf);
    }
    out->items = items;
    return KD_OK;
}

static kd_rc answer(const kd_recommender *r, const kd_query *q, kd_arena *arena, kd_update *out,
                    kd_err *err)
{
    kd_reader_space *w = NULL;
    KD_TRY(kd_reader_space_new(r, &w, err));
    kd_rc rc = kd_recommender_answer(r, w, q, arena, out, NULL, err);
    kd_reader_space_free(w);
    return rc;
}

static kd_rc explain_all(explain *x, const kd_subject_options *so, const kd_query *q,
                         kd_explanation *out, kd_err *err)
{
    KD_TRY(kd_usercf_space_fit(&x->cf, x->s, err));
    KD_TRY(kd_subject_of(x->s, so, &x->room, q->shopper_id, q->time, &x->subject, err));
    KD_TRY(explain_own(x, out, err));
    KD_TRY(kd_usercf_neighbours(x->s, x->o, &x->subject, &x->cf, err));
    KD_TRY(explain_voters(x, out, err));
    return explain_items(x, out, err);
}

kd_rc kd_recommender_explain(const kd_recommender *r, const kd_query *q, kd_arena *arena,
                             kd_explanation *out, kd_err *err)
{
    const kd_subject_options *so;
    explain x = {.s = kd_recommender_state(r), .arena = arena};
    x.o = kd_recommender_core(r, &so);
    kd_explanation e = {.n_shoppers = x.s->n_shoppers};
    kd_rc rc = answer(r, q, arena, &e.list, err);
    if (rc == KD_OK)
        rc = explain_all(&x, so, q, &e, err);
    kd_usercf_space_dispose(&x.cf);
    kd_subject_space_dispose(&x.room);
    if (rc == KD_OK)
        *out = e;
    return rc;
}
