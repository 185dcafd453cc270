/* registry.h - a client of the Confluent schema registry REST API (Apicurio's ccompat speaks it).
 *
 * Calls block, up to timeout_ms. Who calls decides about retries:
 *   KD_RETRY   no connection, timeout, 429 or 5xx, an answer that is no registry's
 *   KD_EDATA   reason schema: there is no schema with that id
 *   KD_ECONFIG incompatible or invalid schema, not authorised, subject not there: msg says what to
 * do The password never shows in a message.
 * @thread one: a registry belongs to one thread at a time.
 */
#ifndef KD_REGISTRY_H
#define KD_REGISTRY_H

#include "base/buf.h"

typedef struct kd_registry kd_registry;

typedef struct kd_registry_options {
    const char *url;        /* may have a path: http://host:8080/apis/ccompat/v7 */
    const char *basic_auth; /* "user:password", or NULL */
    const char *ca_file;    /* PEM file of the authorities to trust, or NULL for the system's */
    int64_t timeout_ms;     /* of one call; <= 0 means 5000 */
} kd_registry_options;

/* Copies the options. *out is owned by the caller. KD_ECONFIG if the URL is none. */
KD_CHECK kd_rc kd_registry_new(const kd_registry_options *o, kd_registry **out, kd_err *err);
void kd_registry_free(kd_registry *r);

/* Registers the schema (a no-op if it is there already) and gives its id. */
KD_CHECK kd_rc kd_registry_register(kd_registry *r, const char *subject, const char *schema,
                                    int32_t *out_id, kd_err *err);
/* The id of a schema that must be there already: KD_ECONFIG if it is not. */
KD_CHECK kd_rc kd_registry_lookup(kd_registry *r, const char *subject, const char *schema,
                                  int32_t *out_id, kd_err *err);
/* Appends the schema's text and a NUL that does not count in out->n. */
KD_CHECK kd_rc kd_registry_get(kd_registry *r, int32_t id, kd_buf *out, kd_err *err);
/* The same without having to wait for it: KD_AGAIN means that the answer is not there after wait_ms
 * (< 0: it is waited for), and the same call goes on with the question. Any other call gives the
 * question up. */
KD_CHECK kd_rc kd_registry_ask(kd_registry *r, int32_t id, int64_t wait_ms, kd_buf *out,
                               kd_err *err);
/* Appends the latest text of a subject (version and id are optional). KD_ECONFIG: no such subject.
 */
KD_CHECK kd_rc kd_registry_latest(kd_registry *r, const char *subject, int32_t *out_version,
                                  int32_t *out_id, kd_buf *out, kd_err *err);
/* Is the schema compatible with the subject's latest version? A subject that is not there is
 * compatible with anything. `why` (may be NULL) gets the registry's messages, one a line. */
KD_CHECK kd_rc kd_registry_compatible(kd_registry *r, const char *subject, const char *schema,
                                      bool *out, kd_buf *why, kd_err *err);
/* Calls `each` with the name of every subject, in the registry's order. */
KD_CHECK kd_rc kd_registry_subjects(kd_registry *r, void (*each)(void *arg, const char *subject),
                                    void *arg, kd_err *err);
/* HTTP requests made so far; for tests and for --verbose. */
uint64_t kd_registry_requests(const kd_registry *r);

#endif
