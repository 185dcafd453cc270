/* bench_kafka.c - through a real broker: a raw copy, the pass-through, the whole pipeline; latency.
 *
 *   bench_kafka [--events 200000] [--reps 3]
 *
 * The three throughputs read the same topics, write as many messages, and take turns, so that what
 * the machine does beside weighs on all of them alike. */
#include "bench/broker.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    bench_shop shop;
static char buf[800];
    bench_shop_make(&shop, bench_arg(argc, argv, "--events", 200000));
    static const char *const topics[] = {"e-catalog-items", "e-browse-events", "e-purchase-events"};
    static const char *const out[] = {"e-raw"};
    broker_topics_create(topics, 3);
    broker_produce_shop(&shop, "e-");
    for (int rep = 0; rep < 3; rep++) {
        broker_topics_create(out, 1);
        double took = broker_raw_copy(topics, 3, "e-raw", shop.n, rep==2?buf:NULL, 800);
        bench_result("raw copy", "", "events/s", (double)shop.n / took, "1/s", 1);
        fprintf(stderr, "%lld\n", (long long)broker_count("e-raw"));
        broker_topics_delete(out, 1);
    }
    broker_topics_delete(topics, 3);
    bench_shop_dispose(&shop);
    return 0;
}
