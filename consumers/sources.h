/* sources.h - the doors in that need no broker: files, memory (for tests), the seeded shop.
 *
 * Each constructor gives a kd_source (consumers/kd_source.h); close() frees it. What differs by
 * source beyond the contract stands here. The Kafka source has a header of its own.
 * @thread loop
 */
#ifndef KD_SOURCES_H
#define KD_SOURCES_H

#include "consumers/kd_source.h"

/* ---- files -------------------------------------------------------------------------------------
 * Kind by file name: .jsonl (also .ndjson), .csv, .tsv, .avro, .txt (sessions, see
 * sessions_file.c), each also with .gz; content is unpacked by its first bytes, whatever the name
 * says. "-" is JSON lines from standard input.
 *
 * Position: topic = base name of the path, partition 0, offset = record number from 0. For JSON
 * lines and CSV that is the number of the data line (CSV: row, the header is none), bad ones
 * counted, blank ones not; the records that one CSV row gives share its offset. For sessions it is
 * the number of the item.
 *
 * I1  each file's own order is kept; several files are merged by the heads' (time, base name bytes,
 *     offset), at full equality in the order of `paths`. A bad record stands at the time of the
 * good one before it (before all others if there is none). I2  every record that comes out has
 * passed kd_record_check(latest); ts = event time. I3  a bad line costs itself only. KD_EDATA fills
 * pos, ts and raw_value (the line as it came, at most 64 KiB of it); err->where is "file:line"
 * (Avro: "file#record"). start() opens every file and reads CSV headers: KD_EIO for a file that
 * cannot be read, KD_ECONFIG for a name or a column that is unknown. A file that breaks later
 * (truncated gzip) is KD_EIO after everything complete before it.
 */
typedef struct kd_file_source_options {
    const char *const *paths; /* borrowed until return */
    size_t n_paths;           /* at least 1 */
    const char *map_path;     /* column mapping for CSV; NULL: no CSV among the paths */
    kd_ms latest;             /* times after it are refused (--now); inclusive */
    size_t line_max_bytes;    /* longest line or row; 0 = 1 MiB */
} kd_file_source_options;

/* KD_ECONFIG for a bad mapping (file:line:column) or an unknown kind of file. */
KD_CHECK kd_rc kd_file_source_new(const kd_file_source_options *o, kd_source **out, kd_err *err);

/* What became of the rows so far, over all files. Every row (line, Avro record) is in exactly one
 * of views..bad + ignored; catalogue records that CSV rows give beside an event are counted beside.
 * rows = browse + paid + cancelled + forget + bad + ignored + catalog_rows. */
typedef struct kd_file_counts {
    int64_t rows;   /* data rows read and handed out */
    int64_t browse; /* VIEW, LIKE, CART */
    int64_t paid;
    int64_t cancelled;
    int64_t forget;
    int64_t bad; /* handed out as KD_EDATA */
    int64_t bad_by_reason[KD_REASON_COUNT];
    int64_t ignored;      /* by the mapping: no event came out, and none was meant to */
    int64_t catalog_rows; /* rows that were a catalogue record and nothing else */
    int64_t catalog;      /* catalogue records handed out in all */
} kd_file_counts;

/* `s` must be a file source (KD_ASSERT). */
void kd_file_source_counts(const kd_source *s, kd_file_counts *out);
/* True if s came from kd_file_source_new. */
bool kd_is_file_source(const kd_source *s);

/* ---- memory: scripted input for tests
 * ------------------------------------------------------------ Steps are handed out in order.
 * Strings of a record are copied at each hand-out and overwritten with 0xDD, then freed, by
 * release(), so that a use after it shows.
 */
typedef struct kd_memory_step {
    kd_rc rc;         /* KD_OK: the record. KD_EDATA: a bad record at record.pos with its raw bytes.
                       * KD_AGAIN, KD_RETRY, KD_EIO ...: that code, once */
    kd_record record; /* borrowed while the source lives (as are its strings) */
    kd_reason reason; /* KD_EDATA */
    const char *msg;  /* error text; NULL gives a default */
} kd_memory_step;

typedef struct kd_memory_options {
    const kd_memory_step *steps; /* borrowed while the source lives; may be NULL */
    size_t n_steps;
    /* Instead of steps: called until it gives KD_END. Fill *out; strings may live in `scratch`,
     * which is reset after the call. */
    kd_rc (*make)(void *arg, kd_record *out, kd_arena *scratch, kd_err *err);
    void *make_arg;
    bool is_live; /* after the last step KD_AGAIN, not KD_END; see kd_memory_push, kd_memory_end */
    bool number_pos; /* pos := ("memory", 0, 0, 1, 2, ...) for records without a topic */
} kd_memory_options;

KD_CHECK kd_rc kd_memory_source_new(const kd_memory_options *o, kd_source **out, kd_err *err);
/* Live: appends one step (copied; its strings are borrowed while the source lives) and wakes. */
KD_CHECK kd_rc kd_memory_push(kd_source *s, const kd_memory_step *step, kd_err *err);
/* Live: after what is queued comes KD_END; wakes. */
void kd_memory_end(kd_source *s);

typedef struct kd_memory_seen {
    int64_t handed;    /* records and bad records handed out */
    int64_t released;  /* of them, before the last release() */
    int64_t committed; /* of them, covered by the last commit() */
    int releases, commits, pauses;
    bool is_paused, is_started;
} kd_memory_seen;
void kd_memory_source_seen(const kd_source *s, kd_memory_seen *out);
/* The next `n` commit() calls fail with `rc`. */
void kd_memory_fail_commits(kd_source *s, int n, kd_rc rc);

/* ---- generator: a seeded shop -------------------------------------------------------------------
 * First the catalogue (one CatalogItem an item, at `start`), then `events` events in time order
 * (but for the late ones). Shoppers have tastes over clusters of items, come in sessions, and item
 * popularity is Zipf over the whole shop. O(1) an event; memory O(shoppers + items). The same
 * options give the same records on every machine. pos = ("generated", 0, number from 0).
 * Zero-initialise, then kd_generator_defaults, then change what should differ.
 */
typedef struct kd_generator_options {
    uint64_t seed;
    int64_t shoppers, items, events;
    kd_ms start;   /* time of the first event */
    kd_ms span_ms; /* from the first event to the last */
    int tastes;    /* clusters of items */
    double zipf;   /* exponent of item popularity */
    double like_share, cart_share, purchase_share, cancel_share; /* of events; the rest are views;
                                                                  * cancel: of purchases */
    double anonymous_share;                                      /* of sessions: no user id */
    double login_share; /* of anonymous sessions: log in on the way (then both ids) */
    double late_share;  /* of events: event time set back by up to late_max_ms */
    kd_ms late_max_ms;
    double duplicate_share; /* of events: the one before it again, same event_id, as a new record */
    double session_length;  /* mean events a session */
    bool has_catalog;       /* false: events only */
} kd_generator_options;

/* 20,000 shoppers, 5,000 items, 200,000 events over 7 days from 2024-01-01, Zipf 1.0. */
void kd_generator_defaults(kd_generator_options *o);
/* KD_ECONFIG for an option out of range, named. */
KD_CHECK kd_rc kd_generator_new(const kd_generator_options *o, kd_source **out, kd_err *err);

#endif
