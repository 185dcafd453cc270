/* kd.h - the words every room speaks: result codes, errors, borrowed strings, times, asserts.
 *
 * Result codes come from one table; each tells the caller what to do next. An error is filled
 * once, where the fault is found (kd_fail), and passed up unchanged (KD_TRY). Nobody below
 * main() exits, and nobody logs and returns an error.
 *
 * @thread any: nothing here has state.
 */
#ifndef KD_KD_H
#define KD_KD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KD_RC_MAP(X)                                                                               \
    X(KD_OK, 0, "ok")                                                                              \
    X(KD_AGAIN, -1, "nothing taken, call again later")                                             \
    X(KD_END, -2, "end of a bounded input")                                                        \
    X(KD_RETRY, -3, "transient, the same call may succeed")                                        \
    X(KD_EDATA, -4, "bad record: dead-letter it and go on")                                        \
    X(KD_ECONFIG, -5, "bad configuration or topology")                                             \
    X(KD_ENOMEM, -6, "out of memory or over budget")                                               \
    X(KD_EIO, -7, "i/o failed")                                                                    \
    X(KD_ESTATE, -8, "checkpoint does not fit this build")                                         \
    X(KD_EBUG, -9, "invariant broken: stop")

typedef enum kd_rc {
#define KD_RC_ENUM(name, value, text) name = (value),
    KD_RC_MAP(KD_RC_ENUM)
#undef KD_RC_ENUM
} kd_rc;

/* The text of a code from the table above; never NULL. */
const char *kd_rc_text(kd_rc rc);
/* The name of a code ("KD_EDATA"); never NULL. */
const char *kd_rc_name(kd_rc rc);

/* Why a record went to the dead letters: the stable code that readers of the topic switch on. */
#define KD_REASON_MAP(X)                                                                           \
    X(KD_REASON_NONE, "none")                                                                      \
    X(KD_REASON_FRAMING, "framing")       /* no known wire format */                               \
    X(KD_REASON_SCHEMA, "schema")         /* unknown or incompatible writer's schema */            \
    X(KD_REASON_DECODE, "decode")         /* truncated, trailing or impossible bytes */            \
    X(KD_REASON_UTF8, "utf8")             /* a string is not UTF-8 */                              \
    X(KD_REASON_ID, "id")                 /* empty, over-long or missing id */                     \
    X(KD_REASON_TIME, "time")             /* before 2000, or later than allowed */                 \
    X(KD_REASON_NUMBER, "number")         /* NaN, infinite, negative or out of range */            \
    X(KD_REASON_FIELD, "field")           /* a field is missing or of the wrong type */            \
    X(KD_REASON_NO_SHOPPER, "no-shopper") /* neither user nor session where one is needed */       \
    X(KD_REASON_IGNORED, "ignored")       /* the mapping says: report such rows */                 \
    X(KD_REASON_TOO_LARGE, "too-large")   /* the broker or a limit refuses the size */

typedef enum kd_reason {
#define KD_REASON_ENUM(name, text) name,
    KD_REASON_MAP(KD_REASON_ENUM)
#undef KD_REASON_ENUM
        KD_REASON_COUNT
} kd_reason;

/* The stable text of a reason code, as it stands in a DeadLetter; never NULL. */
const char *kd_reason_text(kd_reason reason);

/* One error, by value. `where` says which input (topic[partition]@offset, file:line:column),
 * `msg` is one line without a full stop. `reason` is set for KD_EDATA. */
typedef struct kd_err {
    kd_rc rc;
    kd_reason reason;
    char where[96];
    char msg[256];
} kd_err;

#define KD_CHECK             __attribute__((warn_unused_result))
#define KD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Fills *err (may be NULL) and returns rc: `return kd_fail(err, KD_EIO, "cannot open %s", path);`
 */
kd_rc kd_fail(kd_err *err, kd_rc rc, const char *fmt, ...) KD_PRINTF(3, 4);
/* The same for a bad record: returns KD_EDATA with its dead-letter reason. */
kd_rc kd_bad(kd_err *err, kd_reason reason, const char *fmt, ...) KD_PRINTF(3, 4);
/* Sets err->where (err may be NULL); the first `where` wins, so inner places stay. */
void kd_err_at(kd_err *err, const char *fmt, ...) KD_PRINTF(2, 3);

/* Passes a failure up unchanged. */
#define KD_TRY(expr)                                                                               \
    do {                                                                                           \
        kd_rc kd_try_rc_ = (expr);                                                                 \
        if (kd_try_rc_ != KD_OK)                                                                   \
            return kd_try_rc_;                                                                     \
    } while (0)

/* Programming errors only, kept in release builds; data is never asserted. */
#define KD_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            kd_assert_failed(#cond, __FILE__, __LINE__);                                           \
    } while (0)
_Noreturn void kd_assert_failed(const char *cond, const char *file, int line);

/* Milliseconds since 1970-01-01 UTC. */
typedef int64_t kd_ms;
#define KD_MS_NONE INT64_MIN             /* no time yet */
#define KD_MS_2000 INT64_C(946684800000) /* 2000-01-01: the earliest time a record may have */
#define KD_MS_DAY  INT64_C(86400000)

/* A borrowed string: not NUL-terminated, p == NULL means null (absent). */
typedef struct kd_str {
    const char *p;
    uint32_t n;
} kd_str;

#define KD_STR_NULL   ((kd_str){NULL, 0})
#define KD_STR_FMT    "%.*s"
#define KD_STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

/* Borrows a NUL-terminated string; NULL gives null. */
kd_str kd_str_of(const char *z);
/* Byte order, a shorter prefix first; null equals the empty string. -1, 0 or 1. */
int kd_str_cmp(kd_str a, kd_str b);
bool kd_str_eq(kd_str a, kd_str b);
/* True if the n bytes at p are well-formed UTF-8 (no surrogates, no overlong forms). */
bool kd_utf8_valid(const char *p, size_t n);

#endif
