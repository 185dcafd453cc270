#include "operators/links.h"

#include <stdlib.h>
#include <string.h>

enum { DIGEST_SEED = 3 };

kd_rc kd_links_init(kd_links *l, const kd_ids *users, kd_err *err)
{
    *l = (kd_links){.users = users, .blocks = kd_slab_new()};
    if (kd_index_init(&l->by_session) && l->blocks != NULL)
        return KD_OK;
    kd_links_dispose(l);
    return kd_fail(err, KD_ENOMEM, "no memory for links");
}

void kd_links_dispose(kd_links *l)
{
    kd_slab_free(l->blocks);
    free(l->of_user);
    kd_index_dispose(&l->by_session);
    *l = (kd_links){0};
}

static kd_link *at(const kd_links *l, uint32_t link)
{
    return kd_slab_ptr(l->blocks, link);
}

static void set_time(kd_link *x, kd_ms time)
{
    x->time_lo = (uint32_t)time;
    x->time_hi = (uint16_t)(time >> 32);
}

static kd_name name_of(const kd_link *x)
{
    return kd_name_of(kd_link_session(x));
}

/* `hash` is of the link's session. */
static kd_digest digest_of(const kd_links *l, const kd_link *x, uint64_t hash)
{
    uint64_t parts[3] = {l->users->hash[x->user], hash, (uint64_t)kd_link_time(x)};
    return kd_hash128(parts, sizeof parts, DIGEST_SEED);
}

/* -- by session -------------------------------------------------------------------------------- */

/* The next link of the session from *place on, which begins as its home; 0 = none is left. */
static uint32_t next_of_session(const kd_links *l, const kd_name *session, uint32_t *place)
{
    uint32_t link;
    while ((link = kd_index_next(&l->by_session, session->hash, place)) != 0)
        if (kd_str_eq(kd_link_session(at(l, link)), session->id))
            return link;
    return 0;
}

static uint32_t home(const kd_links *l, const kd_name *session)
{
    return kd_index_home(&l->by_session, session->hash);
}

static uint32_t find(const kd_links *l, uint32_t user, const kd_name *session)
{
    uint32_t newest = kd_links_of_user(l, user);
    if (newest == 0 || kd_str_eq(kd_link_session(at(l, newest)), session->id))
        return newest; /* the visit that is under way */
    for (uint32_t place = home(l, session), link;
         (link = next_of_session(l, session, &place)) != 0;)
        if (at(l, link)->user == user)
            return link;
    return 0;
}

void kd_links_tidy(kd_links *l)
{
    kd_index_tidy(&l->by_session);
}

/* -- by user ----------------------------------------------------------------------------------- */

static bool is_more_recent(const kd_link *a, const kd_link *b)
{
    kd_ms ta = kd_link_time(a), tb = kd_link_time(b);
    return ta != tb ? ta > tb : kd_str_cmp(kd_link_session(a), kd_link_session(b)) > 0;
}

static void put_in_list(kd_links *l, uint32_t link)
{
    kd_link *x = at(l, link);
    uint32_t *from = &l->of_user[x->user];
    while (*from != 0 && is_more_recent(at(l, *from), x))
        from = &at(l, *from)->next;
    x->next = *from;
    *from = link;
}

static void take_from_list(kd_links *l, uint32_t link)
{
    uint32_t *from = &l->of_user[at(l, link)->user];
    while (*from != link)
        from = &at(l, *from)->next;
    *from = at(l, link)->next;
}

/* -- changes ----------------------------------------------------------------------------------- */

static void before(const kd_links *l, uint32_t user)
{
    if (l->before != NULL)
        l->before(l->before_arg, user);
}

/* `hash` is of the link's session. */
static void change_time(kd_links *l, uint32_t link, uint64_t hash, kd_ms time, kd_digest *digest)
{
    kd_link *x = at(l, link);
    before(l, x->user);
    kd_digest_sub(digest, digest_of(l, x, hash));
    bool is_newest = l->of_user[x->user] == link && time > kd_link_time(x);
    if (!is_newest)
        take_from_list(l, link);
    set_time(x, time);
    if (!is_newest)
        put_in_list(l, link);
    kd_digest_add(digest, digest_of(l, x, hash));
}

static size_t bytes_of(size_t length)
{
    return sizeof(kd_link) + length;
}

static void drop(kd_links *l, uint32_t link, kd_digest *digest)
{
    kd_link *x = at(l, link);
    before(l, x->user);
    const uint64_t hash = name_of(x).hash;
    kd_digest_sub(digest, digest_of(l, x, hash));
    take_from_list(l, link);
    kd_index_remove(&l->by_session, hash, link);
    l->n--;
    uint32_t length = kd_link_session(x).n;
    l->id_bytes -= length;
    kd_slab_release(l->blocks, link, bytes_of(length));
}

static bool room(kd_links *l, uint32_t user)
{
    return kd_index_room(&l->by_session) &&
           kd_grow((void **)&l->of_user, &l->cap_users, user + 1, sizeof *l->of_user);
}

/* x is a new link of the session, not in the table yet. */
static void mark_shared(const kd_links *l, const kd_name *session, kd_link *x)
{
    for (uint32_t place = home(l, session), link;
         (link = next_of_session(l, session, &place)) != 0;) {
        at(l, link)->length |= KD_LINK_SHARED;
        x->length |= KD_LINK_SHARED | (at(l, link)->length & KD_LINK_SHOPPER);
    }
}

void kd_links_flag(kd_links *l, kd_name session, bool is_shopper)
{
    if (l->n == 0)
        return;
    for (uint32_t place = home(l, &session), link;
         (link = next_of_session(l, &session, &place)) != 0;) {
        uint16_t length = at(l, link)->length & (uint16_t)~KD_LINK_SHOPPER;
        at(l, link)->length = is_shopper ? length | KD_LINK_SHOPPER : length;
    }
}

bool kd_links_ahead(const kd_links *l, uint64_t session_hash)
{
    uint32_t place = kd_index_home(&l->by_session, session_hash);
    uint32_t link = kd_index_next(&l->by_session, session_hash, &place);
    if (link != 0)
        __builtin_prefetch(at(l, link));
    return link != 0;
}

kd_rc kd_links_set(kd_links *l, uint32_t user, kd_name session, kd_ms time, kd_ms *out_old,
                   kd_digest *digest, kd_err *err)
{
    uint32_t link = find(l, user, &session);
    *out_old = KD_MS_NONE;
    if (link != 0) {
        *out_old = kd_link_time(at(l, link));
        if (time > *out_old)
            change_time(l, link, session.hash, time, digest);
        return KD_OK;
    }
    link = room(l, user) ? kd_slab_alloc(l->blocks, bytes_of(session.id.n)) : 0;
    if (link == 0)
        return kd_fail(err, KD_ENOMEM, "no memory for %u links", l->n + 1);
    before(l, user);
    kd_link *x = at(l, link);
    x->user = user;
    x->length = (uint16_t)session.id.n;
    mark_shared(l, &session, x);
    memcpy(x->session, session.id.p, session.id.n);
    set_time(x, time);
    kd_index_add(&l->by_session, session.hash, link);
    put_in_list(l, link);
    l->n++;
    l->id_bytes += session.id.n;
    kd_digest_add(digest, digest_of(l, x, session.hash));
    return KD_OK;
}

void kd_links_undo(kd_links *l, uint32_t user, kd_name session, kd_ms old, kd_digest *digest)
{
    uint32_t link = find(l, user, &session);
    if (old == KD_MS_NONE)
        drop(l, link, digest);
    else
        change_time(l, link, session.hash, old, digest);
}

void kd_links_cut_user(kd_links *l, uint32_t user, kd_ms time, kd_digest *digest)
{
    for (uint32_t link = kd_links_of_user(l, user), next; link != 0; link = next) {
        next = at(l, link)->next;
        if (kd_link_time(at(l, link)) <= time)
            drop(l, link, digest);
    }
}

uint32_t kd_links_cut_one(kd_links *l, kd_str session, kd_ms time, kd_digest *digest)
{
    const kd_name name = kd_name_of(session);
    for (uint32_t place = home(l, &name), link; (link = next_of_session(l, &name, &place)) != 0;) {
        uint32_t user = at(l, link)->user;
        if (kd_link_time(at(l, link)) > time)
            continue;
        drop(l, link, digest);
        return user;
    }
    return KD_NO_SLOT;
}

/* -- reading ----------------------------------------------------------------------------------- */

kd_ms kd_links_time(const kd_links *l, uint32_t user, kd_str session)
{
    kd_name name = kd_name_of(session);
    uint32_t link = find(l, user, &name);
    return link == 0 ? KD_MS_NONE : kd_link_time(at(l, link));
}

uint32_t kd_links_owner(const kd_links *l, kd_str session)
{
    const kd_link *best = NULL;
    const kd_name name = kd_name_of(session);
    for (uint32_t place = home(l, &name), link; (link = next_of_session(l, &name, &place)) != 0;) {
        const kd_link *x = at(l, link);
        kd_ms t = kd_link_time(x), most = best == NULL ? KD_MS_NONE : kd_link_time(best);
        if (best == NULL || t > most ||
            (t == most && kd_ids_cmp(l->users, x->user, best->user) > 0))
            best = x;
    }
    return best == NULL ? KD_NO_SLOT : best->user;
}

/* -- slow twins -------------------------------------------------------------------------------- */

kd_digest kd_links_digest(const kd_links *l)
{
    kd_digest sum = {0};
    for (uint32_t user = 0; user < l->cap_users; user++)
        for (uint32_t link = l->of_user[user]; link != 0; link = at(l, link)->next)
            kd_digest_add(&sum, digest_of(l, at(l, link), name_of(at(l, link)).hash));
    return sum;
}

bool kd_links_sane(const kd_links *l)
{
    uint32_t n = 0;
    size_t id_bytes = 0;
    for (uint32_t user = 0; user < l->cap_users; user++)
        for (uint32_t link = l->of_user[user]; link != 0; link = at(l, link)->next, n++) {
            const kd_link *x = at(l, link);
            const kd_name name = name_of(x);
            uint32_t same = 0, all = 0;
            for (uint32_t place = home(l, &name), other;
                 (other = next_of_session(l, &name, &place)) != 0; all++)
                same += at(l, other)->user == user;
            if (x->user != user || same != 1)
                return false; /* I1 */
            if (all > 1 && (x->length & KD_LINK_SHARED) == 0)
                return false; /* I3 */
            if (x->next != 0 && !is_more_recent(x, at(l, x->next)))
                return false; /* I2 */
            id_bytes += kd_link_session(x).n;
        }
    return n == l->n && l->by_session.n == n && id_bytes == l->id_bytes &&
           kd_index_sane(&l->by_session);
}

size_t kd_links_bytes(const kd_links *l)
{
    return kd_slab_held_bytes(l->blocks) - l->id_bytes + (size_t)l->cap_users * sizeof *l->of_user +
           kd_index_bytes(&l->by_session);
}
