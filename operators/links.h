/* links.h - who a session turned out to be: the set of (user, session) pairs that one event named
 * together, each with the latest such event's time.
 *
 * The owner of a session is the user of its greatest link by (time, user id bytes). A user's
 * sessions are those that it owns, most recent first by (time, session id bytes). Like all state
 * this is a function of the set of links, whatever the order they came in.
 *
 * A link is one block: its head, and the session's id behind it. The links of a user form a list
 * from its shopper slot; an index finds the links of a session by the id's hash.
 *
 * I1  each pair is there at most once, in its user's list and in the index
 * I2  a user's list falls by (time, session id bytes), so that the most recent are found first
 * I3  of several links of a session each has KD_LINK_SHARED; KD_LINK_SHOPPER is as its owner, the
 *     state, has last said of the session
 * Memory: 16 bytes a link and 10 to 12.5 of index, beside the id; 4 bytes a shopper slot.
 * Cost: that of the newest link of a user, an event of a visit under way, is O(1); others are
 * O(links of the user).   @thread one writer; any readers between writes
 */
#ifndef KD_LINKS_H
#define KD_LINKS_H

#include "base/buf.h"
#include "operators/ids.h"

/* A block in kd_links.blocks. Its handle names the link. */
typedef struct kd_link {
    uint32_t user;    /* shopper slot */
    uint32_t next;    /* the user's next, less recent one; 0 = none */
    uint32_t time_lo; /* 48 bits of milliseconds, as in histories */
    uint16_t time_hi;
    uint16_t length; /* of session[], and two flags */
    char session[];
} kd_link;

#define KD_LINK_LENGTH  0x0fffu
#define KD_LINK_SHARED  0x4000u /* the session has, or had, a link to somebody else, too */
#define KD_LINK_SHOPPER 0x8000u /* the session is a shopper with interactions of its own */

typedef struct kd_links {
    const kd_ids *users; /* borrowed: the shoppers */
    kd_slab *blocks;     /* owned */
    uint32_t *of_user;   /* [cap_users] by shopper slot: the most recent link, 0 = none */
    kd_index by_session;
    uint32_t cap_users, n;
    size_t id_bytes; /* of the sessions' ids */
    /* Called before the links of a user change; nullable. A saver's. */
    void (*before)(void *arg, uint32_t user);
    void *before_arg;
} kd_links;

KD_CHECK kd_rc kd_links_init(kd_links *l, const kd_ids *users, kd_err *err);
void kd_links_dispose(kd_links *l);

static inline const kd_link *kd_links_at(const kd_links *l, uint32_t link)
{
    return kd_slab_ptr(l->blocks, link);
}

static inline kd_str kd_link_session(const kd_link *x)
{
    return (kd_str){x->session, x->length & KD_LINK_LENGTH};
}

static inline kd_ms kd_link_time(const kd_link *x)
{
    return (kd_ms)((uint64_t)x->time_hi << 32 | x->time_lo);
}

/* The user's most recent link, 0 = none. */
static inline uint32_t kd_links_of_user(const kd_links *l, uint32_t user)
{
    return user < l->cap_users ? l->of_user[user] : 0;
}

/* Notes that an event at `time` named both. *out_old: the pair's time before, KD_MS_NONE if it was
 * not there. Keeps *digest. KD_ENOMEM leaves all as it was. */
KD_CHECK kd_rc kd_links_set(kd_links *l, uint32_t user, kd_name session, kd_ms time, kd_ms *out_old,
                            kd_digest *digest, kd_err *err);
/* Says of all links of a session whether it is a shopper with interactions. A new link is not
 * flagged. */
void kd_links_flag(kd_links *l, kd_name session, bool is_shopper);
/* Takes back what kd_links_set did. */
void kd_links_undo(kd_links *l, uint32_t user, kd_name session, kd_ms old, kd_digest *digest);

/* The pair's time, KD_MS_NONE if it is not there. */
kd_ms kd_links_time(const kd_links *l, uint32_t user, kd_str session);
/* The user that owns the session, KD_NO_SLOT if it has no link. */
uint32_t kd_links_owner(const kd_links *l, kd_str session);
/* True if the session of this link belongs to the link's user. */
static inline bool kd_link_is_owned(const kd_links *l, const kd_link *x)
{
    return (x->length & KD_LINK_SHARED) == 0 || kd_links_owner(l, kd_link_session(x)) == x->user;
}

/* Fetches the first link of a session into the cache, the index being there already
 * (kd_index_prefetch of by_session). False if it has none. */
bool kd_links_ahead(const kd_links *l, uint64_t session_hash);

/* Removes the links of this user up to and at `time`. */
void kd_links_cut_user(kd_links *l, uint32_t user, kd_ms time, kd_digest *digest);
/* Removes one link of this session up to and at `time`. Returns its user, KD_NO_SLOT if there is
 * none. */
uint32_t kd_links_cut_one(kd_links *l, kd_str session, kd_ms time, kd_digest *digest);
/* Gives memory back after many were removed. */
void kd_links_tidy(kd_links *l);

/* Slow twins. */
kd_digest kd_links_digest(const kd_links *l);
bool kd_links_sane(const kd_links *l);
/* Bytes without the id strings. */
size_t kd_links_bytes(const kd_links *l);

#endif
