#include "operators/links.h"

#include <stdlib.h>
#include <string.h>

enum { DIGEST_SEED = 3 };

kd_rc kd_links_init(kd_links *l, kd_err *err)
{
    *l = (kd_links){0};
    return kd_ids_init(&l->names, UINT32_MAX - 1, err);
}

void kd_links_dispose(kd_links *l)
{
    kd_ids_dispose(&l->names);
    free(l->of_user);
    free(l->of_session);
    free(l->link);
    *l = (kd_links){0};
}

static kd_digest digest_of(const kd_links *l, const kd_link *x)
{
    uint64_t parts[3] = {l->names.hash[x->user], l->names.hash[x->session], (uint64_t)x->time};
    return kd_hash128(parts, sizeof parts, DIGEST_SEED);
}

uint32_t kd_links_name(const kd_links *l, kd_str id)
{
    return l->n == 0 ? KD_NO_SLOT : kd_ids_find(&l->names, id, kd_ids_hash(id));
}

/* Place + 1 of the link, 0 = none. Sessions mostly have one link, so their list is the one to walk.
 */
static uint32_t find(const kd_links *l, uint32_t user, uint32_t session)
{
    uint32_t at = l->of_session[session];
    while (at != 0 && l->link[at - 1].user != user)
        at = l->link[at - 1].next_of_session;
    return at;
}

static void release_name(kd_links *l, uint32_t name)
{
    if (l->of_user[name] == 0 && l->of_session[name] == 0)
        kd_ids_release(&l->names, name);
}

/* True if a comes before b in a user's list. */
static bool is_more_recent(const kd_links *l, const kd_link *a, const kd_link *b)
{
    return a->time != b->time ? a->time > b->time
                              : kd_ids_cmp(&l->names, a->session, b->session) > 0;
}

static void put_in_user_list(kd_links *l, uint32_t at)
{
    kd_link *x = &l->link[at - 1];
    uint32_t prev = 0, next = l->of_user[x->user];
    while (next != 0 && is_more_recent(l, &l->link[next - 1], x)) {
        prev = next;
        next = l->link[next - 1].next_of_user;
    }
    x->prev_of_user = prev;
    x->next_of_user = next;
    if (next != 0)
        l->link[next - 1].prev_of_user = at;
    *(prev == 0 ? &l->of_user[x->user] : &l->link[prev - 1].next_of_user) = at;
}

static void take_from_user_list(kd_links *l, uint32_t at)
{
    const kd_link *x = &l->link[at - 1];
    if (x->next_of_user != 0)
        l->link[x->next_of_user - 1].prev_of_user = x->prev_of_user;
    *(x->prev_of_user == 0 ? &l->of_user[x->user] : &l->link[x->prev_of_user - 1].next_of_user) =
        x->next_of_user;
}

static void about_to_change(kd_links *l, uint32_t at)
{
    if (l->before != NULL)
        l->before(l->before_arg, at - 1);
}

static void set_time(kd_links *l, uint32_t at, kd_ms time, kd_digest *digest)
{
    kd_link *x = &l->link[at - 1];
    about_to_change(l, at);
    kd_digest_sub(digest, digest_of(l, x));
    take_from_user_list(l, at);
    x->time = time;
    put_in_user_list(l, at);
    kd_digest_add(digest, digest_of(l, x));
}

/* Takes the link out of both lists and frees its place and the names that nothing uses any more. */
static void drop(kd_links *l, uint32_t at, kd_digest *digest)
{
    kd_link *x = &l->link[at - 1];
    about_to_change(l, at);
    kd_digest_sub(digest, digest_of(l, x));
    take_from_user_list(l, at);
    uint32_t *from = &l->of_session[x->session];
    while (*from != at)
        from = &l->link[*from - 1].next_of_session;
    *from = x->next_of_session;
    uint32_t user = x->user, session = x->session;
    *x = (kd_link){.time = KD_MS_NONE, .next_of_user = l->first_free};
    l->first_free = at;
    l->n--;
    release_name(l, user);
    if (session != user)
        release_name(l, session);
}

static kd_rc name_of(kd_links *l, kd_str id, uint32_t *out, kd_err *err)
{
    bool is_new;
    KD_TRY(kd_ids_intern(&l->names, id, kd_ids_hash(id), out, &is_new, err));
    uint32_t cap = l->cap_names;
    if (kd_grow((void **)&l->of_user, &cap, *out + 1, sizeof *l->of_user)) {
        cap = l->cap_names;
        if (kd_grow((void **)&l->of_session, &cap, *out + 1, sizeof *l->of_session)) {
            l->cap_names = cap;
            return KD_OK;
        }
    }
    kd_ids_release(&l->names, *out);
    return kd_fail(err, KD_ENOMEM, "no memory for %u names", *out + 1);
}

static uint32_t new_place(kd_links *l)
{
    if (l->first_free != 0) {
        uint32_t at = l->first_free;
        l->first_free = l->link[at - 1].next_of_user;
        return at;
    }
    if (!kd_grow((void **)&l->link, &l->cap, l->n_used + 1, sizeof *l->link))
        return 0;
    return ++l->n_used;
}

kd_rc kd_links_set(kd_links *l, kd_str user, kd_str session, kd_ms time, kd_ms *out_old,
                   kd_digest *digest, kd_err *err)
{
    uint32_t u, s, at = 0;
    *out_old = KD_MS_NONE;
    KD_TRY(name_of(l, user, &u, err));
    kd_rc rc = name_of(l, session, &s, err);
    if (rc != KD_OK) {
        release_name(l, u);
        return rc;
    }
    at = find(l, u, s);
    if (at != 0) {
        *out_old = l->link[at - 1].time;
        if (time > *out_old)
            set_time(l, at, time, digest);
        return KD_OK;
    }
    at = new_place(l);
    if (at == 0) {
        release_name(l, u);
        if (s != u)
            release_name(l, s);
        return kd_fail(err, KD_ENOMEM, "no memory for %u links", l->n + 1);
    }
    about_to_change(l, at);
    l->link[at - 1] = (kd_link){time, u, s, 0, 0, l->of_session[s]};
    l->of_session[s] = at;
    put_in_user_list(l, at);
    l->n++;
    kd_digest_add(digest, digest_of(l, &l->link[at - 1]));
    return KD_OK;
}

kd_ms kd_links_time(const kd_links *l, kd_str user, kd_str session)
{
    uint32_t u = kd_links_name(l, user), s = kd_links_name(l, session);
    uint32_t at = u == KD_NO_SLOT || s == KD_NO_SLOT ? 0 : find(l, u, s);
    return at == 0 ? KD_MS_NONE : l->link[at - 1].time;
}

void kd_links_undo(kd_links *l, kd_str user, kd_str session, kd_ms old, kd_digest *digest)
{
    uint32_t at = find(l, kd_links_name(l, user), kd_links_name(l, session));
    if (old == KD_MS_NONE)
        drop(l, at, digest);
    else
        set_time(l, at, old, digest);
}

uint32_t kd_links_owner(const kd_links *l, uint32_t session)
{
    const kd_link *best = NULL;
    for (uint32_t at = l->of_session[session]; at != 0; at = l->link[at - 1].next_of_session) {
        const kd_link *x = &l->link[at - 1];
        if (best == NULL || x->time > best->time ||
            (x->time == best->time && kd_ids_cmp(&l->names, x->user, best->user) > 0))
            best = x;
    }
    return best == NULL ? KD_NO_SLOT : best->user;
}

uint32_t kd_links_sessions(const kd_links *l, kd_str user, uint32_t max, uint32_t *out)
{
    uint32_t u = kd_links_name(l, user), n = 0;
    for (uint32_t at = u == KD_NO_SLOT ? 0 : l->of_user[u]; at != 0 && n < max;
         at = l->link[at - 1].next_of_user)
        if (kd_links_owner(l, l->link[at - 1].session) == u)
            out[n++] = l->link[at - 1].session;
    return n;
}

void kd_links_cut_user(kd_links *l, kd_str user, kd_ms time, kd_digest *digest)
{
    uint32_t u = kd_links_name(l, user);
    for (uint32_t at = u == KD_NO_SLOT ? 0 : l->of_user[u], next; at != 0; at = next) {
        next = l->link[at - 1].next_of_user;
        if (l->link[at - 1].time <= time)
            drop(l, at, digest);
    }
}

void kd_links_cut_session(kd_links *l, kd_str session, kd_ms time, kd_digest *digest)
{
    uint32_t s = kd_links_name(l, session);
    for (uint32_t at = s == KD_NO_SLOT ? 0 : l->of_session[s], next; at != 0; at = next) {
        next = l->link[at - 1].next_of_session;
        if (l->link[at - 1].time <= time)
            drop(l, at, digest);
    }
}

void kd_links_expire(kd_links *l, kd_ms horizon, kd_digest *digest)
{
    for (uint32_t at = 1; at <= l->n_used; at++)
        if (l->link[at - 1].time != KD_MS_NONE && l->link[at - 1].time < horizon)
            drop(l, at, digest);
}

kd_digest kd_links_digest(const kd_links *l)
{
    kd_digest sum = {0};
    for (uint32_t at = 1; at <= l->n_used; at++)
        if (l->link[at - 1].time != KD_MS_NONE)
            kd_digest_add(&sum, digest_of(l, &l->link[at - 1]));
    return sum;
}

bool kd_links_sane(const kd_links *l)
{
    uint32_t n = 0, by_user = 0, by_session = 0;
    for (uint32_t at = 1; at <= l->n_used; at++) {
        const kd_link *x = &l->link[at - 1];
        if (x->time == KD_MS_NONE)
            continue;
        n++;
        if (find(l, x->user, x->session) != at) /* of two only the first is found */
            return false;
        if (x->next_of_user != 0 && (!is_more_recent(l, x, &l->link[x->next_of_user - 1]) ||
                                     l->link[x->next_of_user - 1].prev_of_user != at))
            return false;
    }
    for (uint32_t name = 0; name < l->cap_names; name++) {
        for (uint32_t at = l->of_user[name]; at != 0; at = l->link[at - 1].next_of_user, by_user++)
            if (l->link[at - 1].user != name)
                return false;
        for (uint32_t at = l->of_session[name]; at != 0;
             at = l->link[at - 1].next_of_session, by_session++)
            if (l->link[at - 1].session != name)
                return false;
    }
    return n == l->n && by_user == n && by_session == n;
}

size_t kd_links_bytes(const kd_links *l)
{
    return kd_ids_bytes(&l->names) + (size_t)l->cap_names * 2 * sizeof *l->of_user +
           (size_t)l->cap * sizeof *l->link;
}
