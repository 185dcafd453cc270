#include "topology/as_of.h"

#include "operators/state.h"

enum { RELEASE_EVERY = 4096 };

/* An event of the shopper that was accepted is what a list of its own would have answered. */
static kd_rc note_trigger(const kd_record *rec, kd_arena *arena, kd_as_of *out, kd_err *err)
{
    if (!kd_str_eq(out->item_id, rec->item_id))
        KD_TRY(kd_arena_str(arena, rec->item_id, &out->item_id, err));
    out->has_trigger = true;
    out->action = rec->action;
    out->time = rec->time;
    out->pos = rec->pos;
    return KD_OK;
}

/* What was forgotten is not told either. */
static void forget_trigger(const kd_as_of_options *o, const kd_record *rec, const kd_applied *a,
                           kd_as_of *out)
{
    bool is_reached = kd_str_eq(rec->user_id, o->shopper);
    for (int64_t k = 0; k < a->receipt.sessions; k++)
        is_reached |= kd_str_eq(a->sessions[k], o->shopper);
    if (!is_reached || !out->has_trigger || out->time > rec->time)
        return;
    out->has_trigger = false;
    out->item_id = KD_STR_NULL;
}

static kd_rc take(const kd_as_of_options *o, const kd_record *rec, kd_recommender *r,
                  kd_arena *arena, kd_as_of *out, kd_err *err)
{
    bool is_event = rec->type <= KD_PURCHASE;
    kd_str shopper = is_event ? kd_recommender_shopper(r, rec) : KD_STR_NULL;
    out->has_met |= is_event && shopper.p != NULL && kd_str_eq(shopper, o->shopper);
    if (rec->time > o->at) {
        out->after++;
        return KD_OK;
    }
    if (is_event && shopper.p == NULL) {
        out->bad++;
        return KD_OK;
    }
    kd_applied applied;
    KD_TRY(kd_recommender_apply(r, rec, &applied, err));
    out->applied++;
    if (applied.is_forget)
        forget_trigger(o, rec, &applied, out);
    if (is_event && !applied.refused && kd_str_eq(shopper, o->shopper))
        return note_trigger(rec, arena, out, err);
    return KD_OK;
}

/* Of somebody whose events all lie before the log begins. */
static kd_rc find_trigger(const kd_as_of_options *o, const kd_state *s, kd_arena *arena,
                          kd_as_of *out, kd_err *err)
{
    uint32_t u = kd_state_shopper(s, o->shopper);
    out->has_met |= u != KD_NO_SLOT;
    if (out->has_trigger || u == KD_NO_SLOT)
        return KD_OK;
    kd_entries e = kd_entries_of(&s->hist, u);
    uint32_t word = e.word[e.n - 1];
    KD_TRY(kd_arena_str(arena, kd_ids_get(&s->items, kd_word_item(word)), &out->item_id, err));
    out->has_trigger = true;
    out->action = kd_word_action(word);
    out->time = kd_entry_time(&e, e.n - 1);
    out->pos = (kd_pos){0};
    return KD_OK;
}

kd_rc kd_as_of_read(const kd_as_of_options *o, kd_source *source, kd_recommender *r,
                    kd_arena *arena, kd_as_of *out, kd_err *err)
{
    kd_as_of x = {0};
    KD_TRY(source->kind->start(source, err));
    for (uint64_t n = 1;; n++) {
        kd_record rec;
        if (o->stop != NULL && *o->stop != 0)
            return kd_fail(err, KD_RETRY, "interrupted while reading");
        kd_rc rc = source->kind->next(source, &rec, err);
        if (rc == KD_END)
            break;
        if (rc == KD_OK)
            KD_TRY(take(o, &rec, r, arena, &x, err));
        else if (rc == KD_EDATA)
            x.bad++;
        else if (rc != KD_AGAIN) /* which a source of topics says after it has waited */
            return rc;
        if (n % RELEASE_EVERY == 0)
            source->kind->release(source);
    }
    KD_TRY(kd_recommender_prepare(r, err));
    KD_TRY(find_trigger(o, kd_recommender_state(r), arena, &x, err));
    *out = x;
    return KD_OK;
}
