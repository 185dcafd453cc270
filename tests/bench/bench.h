/* bench.h - what the benchmarks share: the workload, a clock, order statistics, result lines.
 *
 * A result is one JSON object a line on stdout: {"bench", "case", "metric", "value", "unit", "n"}.
 * Everything else goes to stderr. tests/bench/report.py makes the table.
 * Benchmarks report; nothing here fails on a time. A benchmark that cannot do its work ends the
 * program, which is a test program's privilege.
 * @thread one
 */
#ifndef KD_BENCH_H
#define KD_BENCH_H

#include "base/opt.h"
#include "consumers/sources.h"
#include "schemas/codec.h"

/* Monotonic seconds. */
double bench_now(void);
/* Seconds of processor time of this thread: what one core does, whatever else the machine is busy
 * with. A call costs some hundred nanoseconds, so it is for spans, not for single lists. */
double bench_cpu_now(void);
/* The same of all threads of the process together. */
double bench_cpu_all(void);

/* Ends the program when rc is not KD_OK. */
void bench_must(kd_rc rc, const kd_err *err, const char *doing);

/* A row of numbers that grows. {0} is empty. */
typedef struct bench_numbers {
    double *v; /* owned */
    size_t n, cap;
} bench_numbers;

void bench_numbers_add(bench_numbers *b, double x);
void bench_numbers_dispose(bench_numbers *b);
/* The smallest number that at least the share q of them does not exceed (nearest rank), 0 < q <= 1;
 * sorts. NaN when there is none. */
double bench_quantile(bench_numbers *b, double q);

/* One result line; `n` is how many measurements stand behind the value. */
void bench_result(const char *bench, const char *kase, const char *metric, double value,
                  const char *unit, size_t n);

/* The most memory this process has had, in bytes. */
double bench_peak_bytes(void);

/* The generated shop: 20,000 shoppers, 5,000 items, item popularity Zipf 1.0. */
#define BENCH_SHOPPERS 20000
#define BENCH_ITEMS    5000

typedef struct bench_shop {
    kd_record *records; /* owned; strings live in arena; the catalogue first, then the events */
    size_t n, n_catalog;
    kd_arena *arena; /* owned */
} bench_shop;

void bench_shop_make(bench_shop *shop, int64_t shoppers, int64_t items, int64_t events);
void bench_shop_dispose(bench_shop *shop);

/* "browse-events" and so on: the topic of a record in the benchmarks. */
const char *bench_topic(kd_record_type type);
kd_schema_id bench_schema(kd_record_type type);
/* The message key: the shopper, or the item of a catalogue record. */
kd_str bench_key(const kd_record *r);

/* Recommender options of the workload: history.max 50, recommend.count 10 and the two given. */
void bench_options(kd_opt_values *v, int neighbours, int audience);

/* User-CF alone, and the blend with and without content and reasons: what is compared. */
enum { BENCH_WAYS = 5 };
typedef struct bench_way {
    const char *name, *blend, *content, *reasons; /* values of the options */
} bench_way;
extern const bench_way bench_ways[BENCH_WAYS];
/* Sets the options of a way. */
void bench_way_options(kd_opt_values *v, const bench_way *way);

/* The value of "--name N" on the command line, or dflt. Refuses what is no number. */
int64_t bench_arg(int argc, char **argv, const char *name, int64_t dflt);

#endif
