/* links.h - who a session turned out to be: the set of (user, session) pairs that one event named
 * together, each with the latest such event's time.
 *
 * The owner of a session is the user of its greatest link by (time, user id bytes). A user's
 * sessions are those that it owns, most recent first by (time, session id bytes). Like all state
 * this is a function of the set of links, whatever the order they came in.
 *
 * I1  each pair is there at most once; a name without a link is not there
 * I2  the lists by user and by session hold the same links
 * I3  a user's list falls by (time, session id bytes), so that the most recent are found first
 * Memory: 32 bytes a link and 28 a name (users and sessions), beside the id itself.
 * @thread one writer; any readers between writes
 */
#ifndef KD_LINKS_H
#define KD_LINKS_H

#include "base/buf.h"
#include "operators/ids.h"

typedef struct kd_link {
    kd_ms time;
    uint32_t user, session;                               /* name slots */
    uint32_t next_of_user, prev_of_user, next_of_session; /* place + 1, 0 = none; of a free place
                                                             next_of_user is the next free one */
} kd_link;

typedef struct kd_links {
    kd_ids names;
    uint32_t *of_user, *of_session; /* [cap_names] by name slot: first link's place + 1, 0 = none */
    uint32_t cap_names;
    kd_link *link;                          /* [cap] */
    uint32_t n, n_used, cap, first_free;    /* first_free: place + 1 */
    void (*before)(void *arg, uint32_t at); /* nullable: link[at] is about to change */
    void *before_arg;
} kd_links;

KD_CHECK kd_rc kd_links_init(kd_links *l, kd_err *err);
void kd_links_dispose(kd_links *l);

/* Notes that an event at `time` named both. *out_old: the pair's time before, KD_MS_NONE if it was
 * not there. Keeps *digest. KD_ENOMEM leaves all as it was. */
KD_CHECK kd_rc kd_links_set(kd_links *l, kd_str user, kd_str session, kd_ms time, kd_ms *out_old,
                            kd_digest *digest, kd_err *err);
/* Takes back what kd_links_set did. */
void kd_links_undo(kd_links *l, kd_str user, kd_str session, kd_ms old, kd_digest *digest);

/* The slot of a name, KD_NO_SLOT if it has no link. */
uint32_t kd_links_name(const kd_links *l, kd_str id);
/* The pair's time, KD_MS_NONE if it is not there. */
kd_ms kd_links_time(const kd_links *l, kd_str user, kd_str session);
/* The user that owns the session with this name slot. */
uint32_t kd_links_owner(const kd_links *l, uint32_t session);
/* The most recent sessions that the user owns, greatest first; at most max. Returns how many. */
uint32_t kd_links_sessions(const kd_links *l, kd_str user, uint32_t max, uint32_t *out);

/* Removes the links of this name, as a user or as a session, up to and at `time`. */
void kd_links_cut_user(kd_links *l, kd_str user, kd_ms time, kd_digest *digest);
void kd_links_cut_session(kd_links *l, kd_str session, kd_ms time, kd_digest *digest);
/* Removes all links before `horizon`. */
void kd_links_expire(kd_links *l, kd_ms horizon, kd_digest *digest);

/* Slow twins. */
kd_digest kd_links_digest(const kd_links *l);
bool kd_links_sane(const kd_links *l);
/* Bytes without the id strings. */
size_t kd_links_bytes(const kd_links *l);

#endif
