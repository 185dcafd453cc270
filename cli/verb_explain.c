/* verb_explain.c - what would have been recommended to a shopper at a moment, and why: the state is
 * rebuilt from the log up to then. Other shoppers are numbers, unless their names are asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "cli/files.h"
#include "consumers/kafka_range_source.h"
#include "operators/explain.h"
#include "operators/state.h"
#include "schemas/json.h"
#include "sinks/sinks.h"
#include "topology/as_of.h"
#include "topology/live.h"
#include "topology/restore.h"
#include "topology/topics.h"

static const char help[] =
    "usage: kindred explain --shopper X --at TIME --in EVENTS... [flags]\n"
    "       kindred explain --shopper X --at TIME -c my.yaml [flags]\n\n"
    "  --shopper X             the id of a shopper (see the option `shopper`)\n"
    "  --at TIME               the moment, such as 2024-01-31T12:00:00Z, inclusive\n"
    "  --in EVENTS...          the log: .jsonl, .csv, .tsv, .avro, .txt, each also .gz\n"
    "  --map MAP.yaml, --now TIME    as for replay\n"
    "  --topics                the log is the input topics of the configuration; no group is\n"
    "                          joined and nothing committed (the default without --in). With\n"
    "                          snapshot.dir the newest fitting snapshot before TIME comes first\n"
    "  --item ITEM             as if an event with this item had asked (default: the shopper's\n"
    "                          last one up to then); it is not listed. Empty: none had\n"
    "  --identities            name the similar shoppers instead of numbering them\n"
    "  --json                  one JSON object instead of text\n\n"
    "The events whose time is --at or earlier make the state, in the order of a replay. The list\n"
    "is then computed as it would have been, with ages counted from --at.\n";

typedef struct explaining {
    kd_common common;
    kd_arena *arena;
    kd_source *source;
    kd_codec *codec;
    kd_recommender *rec;
    kd_restored snapshot; /* name: NULL = none; its recommender is `rec` */
    kd_query query;
    kd_as_of log;
    kd_explanation e;
    bool has_names;
    kd_buf out;
} explaining;

/* -- text ----------------------------------------------------------------------------------------
 */

static const char *iso(kd_ms t, char text[32])
{
    kd_time_iso(t, text);
    return text;
}

static void add_str(kd_buf *b, kd_str s)
{
    kd_buf_add(b, s.p, s.n);
}

enum { PAGE = 100, MORE = 15 }; /* columns of a line, and of " and 12345 more" */

static uint32_t columns_from(const kd_buf *b, size_t line)
{
    return kd_terminal_columns(b->p + line, b->n - line);
}

/* The product's title, as far as the line that began at `line` has room; false: there is none. */
static bool add_title(explaining *x, kd_str item_id, size_t line)
{
    kd_str title = kd_state_title(kd_recommender_state(x->rec), item_id);
    uint32_t at = columns_from(&x->out, line);
    if (title.p == NULL || title.n == 0 || at + 12 > PAGE)
        return false;
    kd_buf_adds(&x->out, "  ");
    kd_terminal_text(&x->out, title, PAGE - 2 - at);
    return true;
}

static void text_head(explaining *x)
{
    char at[32], then[32];
    kd_buf *b = &x->out;
    add_str(b, x->query.shopper_id);
    kd_buf_addf(b, " at %s\n", iso(x->query.time, at));
    if (x->log.has_trigger) {
        kd_buf_addf(b, "last event    %s ", kd_action_name(x->log.action));
        add_str(b, x->log.item_id);
        kd_buf_addf(b, " at %s", iso(x->log.time, then));
        if (x->log.pos.topic != NULL)
            kd_buf_addf(b, ", %s/%d@%lld", x->log.pos.topic, (int)x->log.pos.partition,
                        (long long)x->log.pos.offset);
        kd_buf_addc(b, '\n');
    } else {
        kd_buf_addf(b, "last event    none up to then%s\n",
                    x->log.has_met ? "" : ": never seen in this log");
    }
    if (x->snapshot.name != NULL)
        kd_buf_addf(b, "snapshot      %s, and what came after it\n", x->snapshot.name);
    kd_buf_addf(b, "state         %lld events, %u shoppers; %lld events are later\n",
                (long long)x->log.applied, x->e.n_shoppers, (long long)x->log.after);
    if (x->log.bad > 0)
        kd_buf_addf(b, "refused       %lld bad records\n", (long long)x->log.bad);
}

static void text_own(explaining *x)
{
    kd_buf *b = &x->out;
    kd_buf_addf(b, "\n%u items of the shopper's own, newest first\n", x->e.n_own);
    for (uint32_t k = 0; k < x->e.n_own; k++) {
        const kd_own *own = &x->e.own[k];
        char then[32];
        size_t line = b->n;
        kd_buf_addf(b, "  %-9s %s  ", kd_action_name(own->action), iso(own->time, then));
        add_str(b, own->item_id);
        kd_buf_addf(b, "  (%u shopper%s%s)", own->shoppers, own->shoppers == 1 ? "" : "s",
                    own->is_bought ? ", bought" : "");
        (void)add_title(x, own->item_id, line);
        kd_buf_addc(b, '\n');
    }
    if (x->e.n_sessions > 0)
        kd_buf_addf(b, "  joined with %u sessions of the shopper's\n", x->e.n_sessions);
}

static void text_voters(explaining *x)
{
    kd_buf *b = &x->out;
    const char *similarity = kd_opt_find(&x->common.config.values, "usercf.similarity")->s;
    kd_buf_addf(b, "\n%u similar shoppers vote (%s)\n", x->e.n_voters, similarity);
    for (uint32_t t = 0; t < x->e.n_voters; t++) {
        const kd_voter *v = &x->e.voters[t];
        const size_t line = b->n;
        kd_buf_addf(b, "  #%-4u %.4f  ", t + 1, v->similarity);
        if (x->has_names) {
            add_str(b, v->shopper_id);
            kd_buf_adds(b, "  ");
        }
        kd_buf_addf(b, "shares %u of %u:", v->n_shared, v->n_items);
        for (uint32_t k = 0; k < v->n_shared; k++) {
            kd_str id = x->e.own[v->shared[k]].item_id;
            if (k > 0 && columns_from(b, line) + kd_terminal_columns(id.p, id.n) + MORE > PAGE) {
                kd_buf_addf(b, " and %u more", v->n_shared - k);
                break;
            }
            kd_buf_addc(b, ' ');
            add_str(b, id);
        }
        kd_buf_addc(b, '\n');
    }
}

/* Who voted how much for one item, as many as have room. */
static void text_votes(explaining *x, const kd_explained *why)
{
    kd_buf *b = &x->out;
    const size_t line = b->n;
    char vote[48];
    kd_buf_addf(b, "      %u of them voted:", why->n_given);
    for (uint32_t j = 0; j < why->n_given; j++) {
        int n = snprintf(vote, sizeof vote, "%s #%u %.4g", j == 0 ? "" : ",",
                         why->given[j].voter + 1, why->given[j].vote);
        if (columns_from(b, line) + (uint32_t)n + MORE > PAGE) {
            kd_buf_addf(b, " and %u more", why->n_given - j);
            break;
        }
        kd_buf_adds(b, vote);
    }
    if (why->factor != 1.0)
        kd_buf_addf(b, "\n      times %.4g for rarity", why->factor);
    kd_buf_addc(b, '\n');
}

static void text_items(explaining *x)
{
    kd_buf *b = &x->out;
    kd_buf_addf(b, "\nthe list: %u items\n", x->e.list.n_items);
    for (uint32_t k = 0; k < x->e.list.n_items; k++) {
        const kd_item *it = &x->e.list.items[k];
        const kd_explained *why = &x->e.items[k];
        const size_t line = b->n;
        kd_buf_addf(b, "  %2u. ", k + 1);
        add_str(b, it->item_id);
        if (add_title(x, it->item_id, line))
            kd_buf_adds(b, "\n    ");
        kd_buf_addf(b, "  %.6g =", it->score);
        for (int p = 0, n = 0; p < KD_PARTS; p++)
            if (kd_item_has(it, p))
                kd_buf_addf(b, "%s %s %.6g", n++ == 0 ? "" : " +", kd_part_name((kd_part)p),
                            it->parts[p]);
        kd_buf_addc(b, '\n');
        if (why->n_given > 0)
            text_votes(x, why);
    }
}

/* -- JSON ----------------------------------------------------------------------------------------
 */

static void json_head(explaining *x)
{
    kd_buf *b = &x->out;
    kd_buf_adds(b, "{\"shopper_id\":");
    kd_json_str(b, x->query.shopper_id);
    kd_buf_addf(b,
                ",\"at\":%lld,\"state_time\":%lld,\"events\":%lld,\"later\":%lld,\"bad\":%lld,"
                "\"shoppers\":%u,\"snapshot\":",
                (long long)x->query.time, (long long)x->e.list.state_time,
                (long long)x->log.applied, (long long)x->log.after, (long long)x->log.bad,
                x->e.n_shoppers);
    if (x->snapshot.name == NULL)
        kd_buf_adds(b, "null");
    else
        kd_json_str(b, kd_str_of(x->snapshot.name));
    kd_buf_adds(b, ",\"last_event\":");
    if (!x->log.has_trigger) {
        kd_buf_adds(b, "null");
        return;
    }
    kd_buf_addf(b, "{\"action\":\"%s\",\"item_id\":", kd_action_name(x->log.action));
    kd_json_str(b, x->log.item_id);
    kd_buf_addf(b, ",\"time\":%lld,\"topic\":", (long long)x->log.time);
    if (x->log.pos.topic == NULL) {
        kd_buf_adds(b, "null}");
        return;
    }
    kd_json_str(b, kd_str_of(x->log.pos.topic));
    kd_buf_addf(b, ",\"partition\":%d,\"offset\":%lld}", (int)x->log.pos.partition,
                (long long)x->log.pos.offset);
}

static void json_own(explaining *x)
{
    kd_buf *b = &x->out;
    kd_buf_adds(b, ",\"own\":[");
    for (uint32_t k = 0; k < x->e.n_own; k++) {
        const kd_own *own = &x->e.own[k];
        kd_buf_adds(b, k == 0 ? "{\"item_id\":" : ",{\"item_id\":");
        kd_json_str(b, own->item_id);
        kd_buf_addf(b,
                    ",\"action\":\"%s\",\"time\":%lld,\"step\":%u,\"shoppers\":%u,\"bought\":%s}",
                    kd_action_name(own->action), (long long)own->time, own->step, own->shoppers,
                    own->is_bought ? "true" : "false");
    }
    kd_buf_adds(b, "],\"sessions\":[");
    for (uint32_t k = 0; k < x->e.n_sessions; k++) {
        kd_buf_adds(b, k == 0 ? "" : ",");
        kd_json_str(b, x->e.sessions[k]);
    }
    kd_buf_addc(b, ']');
}

static void json_voters(explaining *x)
{
    kd_buf *b = &x->out;
    kd_buf_adds(b, ",\"neighbours\":[");
    for (uint32_t t = 0; t < x->e.n_voters; t++) {
        const kd_voter *v = &x->e.voters[t];
        kd_buf_addf(b, "%s{\"number\":%u,", t == 0 ? "" : ",", t + 1);
        if (x->has_names) {
            kd_buf_adds(b, "\"shopper_id\":");
            kd_json_str(b, v->shopper_id);
            kd_buf_addc(b, ',');
        }
        kd_buf_adds(b, "\"similarity\":");
        kd_json_real(b, v->similarity);
        kd_buf_addf(b, ",\"items\":%u,\"shared\":[", v->n_items);
        for (uint32_t k = 0; k < v->n_shared; k++) {
            kd_buf_adds(b, k == 0 ? "" : ",");
            kd_json_str(b, x->e.own[v->shared[k]].item_id);
        }
        kd_buf_adds(b, "]}");
    }
    kd_buf_addc(b, ']');
}

static void json_items(explaining *x)
{
    kd_buf *b = &x->out;
    kd_buf_adds(b, ",\"items\":[");
    for (uint32_t k = 0; k < x->e.list.n_items; k++) {
        const kd_item *it = &x->e.list.items[k];
        const kd_explained *why = &x->e.items[k];
        kd_buf_adds(b, k == 0 ? "{\"item_id\":" : ",{\"item_id\":");
        kd_json_str(b, it->item_id);
        kd_buf_adds(b, ",\"score\":");
        kd_json_real(b, it->score);
        kd_buf_adds(b, ",\"parts\":");
        kd_json_parts(b, it);
        kd_buf_adds(b, ",\"factor\":");
        kd_json_real(b, why->factor);
        kd_buf_adds(b, ",\"votes\":[");
        for (uint32_t j = 0; j < why->n_given; j++) {
            kd_buf_addf(b, "%s{\"neighbour\":%u,\"vote\":", j == 0 ? "" : ",",
                        why->given[j].voter + 1);
            kd_json_real(b, why->given[j].vote);
            kd_buf_addc(b, '}');
        }
        kd_buf_adds(b, "]}");
    }
    kd_buf_adds(b, "]}\n");
}

/* -- the verb ------------------------------------------------------------------------------------
 */

static kd_rc open_topics(explaining *x, kd_ms at, kd_err *err)
{
    const kd_config *c = &x->common.config;
    const kd_opt_values *v = &c->values;
    kd_kafka_range_options o = {.properties = c->kafka,
                                .n_properties = c->n_kafka,
                                .from = KD_MS_NONE,
                                .to = KD_MS_NONE}; /* what is later is counted */
    const char *topics[KD_RECORD_TYPES];
    kd_restore_options ro = {.values = v,
                             .topics = topics,
                             .n_topics = kd_topics_inputs(v, o.topic, topics),
                             .at = at,
                             .copies = kd_opt_given(v, "snapshot.copy.dir")};
    KD_TRY(kd_restore(&ro, kd_opt_given(v, "snapshot.dir"), x->arena, &x->snapshot, err));
    x->rec = x->snapshot.rec;
    if (x->snapshot.name != NULL) {
        o.begin = x->snapshot.manifest.positions;
        o.n_begin = x->snapshot.manifest.n_positions;
    }
    KD_TRY(kd_live_codec(c, 0, &x->codec, err));
    o.codec = x->codec;
    return kd_kafka_range_source_new(&o, &x->source, err);
}

static kd_rc run(explaining *x, const kd_flag *flags, kd_err *err)
{
    const char *shopper = kd_flag_value(flags, "shopper"), *at = kd_flag_value(flags, "at");
    const char *item = kd_flag_value(flags, "item");
    bool has_files = kd_flag_given(flags, "in");
    if (shopper == NULL || at == NULL)
        return kd_fail(err, KD_ECONFIG, "--%s is missing; --help shows how",
                       shopper == NULL ? "shopper X" : "at TIME");
    if (has_files && kd_flag_given(flags, "topics"))
        return kd_fail(err, KD_ECONFIG, "one of --in and --topics is right");
    x->query.shopper_id = kd_str_of(shopper);
    if (kd_time_parse_iso(kd_str_of(at), &x->query.time, err) != KD_OK)
        return kd_fail(err, KD_ECONFIG, "--at: \"%s\" is no time such as 2024-01-31T12:00:00Z", at);
    KD_TRY(has_files ? kd_files_open(x->arena, flags, &x->source, NULL, err)
                     : open_topics(x, x->query.time, err));
    if (x->rec == NULL)
        KD_TRY(kd_recommender_new(&x->common.config.values, &x->rec, err));
    kd_as_of_options o = {
        .at = x->query.time, .shopper = x->query.shopper_id, .stop = kd_stop_on_signals()};
    KD_TRY(kd_as_of_read(&o, x->source, x->rec, x->arena, &x->log, err));
    if (item == NULL && x->log.has_trigger)
        x->query.item_id = x->log.item_id;
    else if (item != NULL && item[0] != '\0')
        x->query.item_id = kd_str_of(item);
    KD_TRY(kd_recommender_explain(x->rec, &x->query, x->arena, &x->e, err));
    x->has_names = kd_flag_given(flags, "identities");
    bool is_json = kd_flag_given(flags, "json");
    (is_json ? json_head : text_head)(x);
    (is_json ? json_own : text_own)(x);
    (is_json ? json_voters : text_voters)(x);
    (is_json ? json_items : text_items)(x);
    fwrite(x->out.p, 1, x->out.n, stdout);
    return KD_OK;
}

static int verb_explain(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {
        {.name = "shopper", .has_value = true},
        {.name = "at", .has_value = true},
        {.name = "in", .has_value = true, .many = true},
        {.name = "topics"},
        {.name = "map", .has_value = true},
        {.name = "now", .has_value = true},
        {.name = "item", .has_value = true},
        {.name = "identities"},
        {.name = "json"},
        {0},
    };
    explaining x = {.arena = kd_arena_new(0)};
    kd_rc rc = x.arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, x.arena, &x.common, NULL, NULL, err);
    if (rc == KD_OK && x.common.help)
        fputs(verb->help, stdout);
    else if (rc == KD_OK)
        rc = run(&x, flags, err);
    bool is_stopped = rc == KD_RETRY && *kd_stop_on_signals() != 0;
    kd_recommender_free(x.rec);
    if (x.source != NULL)
        x.source->kind->close(x.source);
    kd_codec_free(x.codec);
    kd_buf_dispose(&x.out);
    kd_common_dispose(&x.common);
    kd_arena_free(x.arena);
    return is_stopped ? KD_EXIT_INTERRUPTED : kd_exit_of(rc);
}

const kd_verb kd_verb_explain = {"explain",
                                 "what a shopper would have been recommended at a moment, and why",
                                 help, verb_explain};
