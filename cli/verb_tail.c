/* verb_tail.c - a topic to look at: updates as a table, shoppers' needs as sentences, or any topic
 * as JSON lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/files.h"
#include "cli/titles.h"
#include "consumers/kafka_diagnose.h"
#include "consumers/kafka_tail.h"
#include "schemas/json.h"
#include "sinks/sinks.h"
#include "topology/live.h"

static const char help[] =
    "usage: kindred tail TOPIC [flags]\n\n"
    "  --json                  one JSON object a line: partition, offset, timestamp, key, value\n"
    "  --why                   below each list, why its items are there (needs `blend` with "
    "reasons)\n"
    "  --lang en|zh            language of these sentences (default en)\n"
    "  --titles                titles instead of ids, from the topic of topics.catalog, which is "
    "read\n"
    "                          from its start\n"
    "  --from beginning|end    (default end)\n"
    "  --max N                 stop after N messages\n"
    "  --until-end             stop at the end that the topic had at the start\n\n"
    "Updates show as a table and shoppers' needs as sentences unless --json is given; a null (a\n"
    "forgotten shopper) as such.\n";

typedef struct tail {
    kd_common common;
    kd_arena *arena;
    kd_codec *codec;
    kd_buf line, value;
    kd_terminal_options table;
    kd_titles *titles; /* NULL: ids are shown */
    kd_tail *catalog;  /* where they come from */
    bool is_json, has_heading;
    int64_t n, max;
    kd_rc rc; /* of the codec: the registry is away */
    kd_err err;
} tail;

static void print_json(tail *t, const kd_tail_message *m, const kd_err *bad)
{
    kd_buf *b = &t->line;
    kd_buf_addf(b,
                "{\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld,\"key\":", (int)m->partition,
                (long long)m->offset, (long long)m->ts);
    kd_json_bytes(b, m->key, m->key_len);
    if (bad != NULL) {
        kd_buf_adds(b, ",\"error\":");
        kd_json_str(b, kd_str_of(bad->msg));
        kd_buf_adds(b, ",\"raw\":");
        kd_json_bytes(b, m->value, m->value_len);
    } else {
        kd_buf_adds(b, ",\"value\":");
        kd_buf_add(b, t->value.p, t->value.n);
    }
    kd_buf_adds(b, "}\n");
}

/* A row of the table, or a line, if the message is an update or needs by this build's schema. */
static bool print_row(tail *t, const kd_tail_message *m, const char *name)
{
    kd_update u;
    kd_needs needs;
    size_t frame = ((const unsigned char *)m->value)[0] == 0 ? 5 : 10, n = m->value_len - frame;
    const char *body = (const char *)m->value + frame;
    if (strstr(name, "ShopperNeeds") != NULL &&
        kd_needs_decode(body, n, t->arena, &needs, NULL) == KD_OK) {
        kd_terminal_needs(&t->table, &needs, &t->line);
        return true;
    }
    if (strstr(name, "RecommendationUpdate") == NULL ||
        kd_update_decode(body, n, t->arena, &u, NULL) != KD_OK)
        return false;
    if (!t->has_heading)
        kd_terminal_heading(&t->table, &t->line);
    t->has_heading = true;
    kd_terminal_row(&t->table, &u, &t->line);
    if (t->table.has_why)
        kd_terminal_why(&t->table, &u, &t->line);
    return true;
}

/* -- titles --------------------------------------------------------------------------------------
 */

static void note_title(void *arg, const kd_tail_message *m)
{
    tail *t = arg;
    kd_err err = {0};
    kd_record r;
    kd_record_init(&r, KD_CATALOG);
    r.ts = m->ts;
    kd_rc rc = kd_codec_decode(t->codec, KD_CATALOG, m->key, m->key_len, m->value, m->value_len, &r,
                               t->arena, &err);
    if (rc == KD_OK)
        rc = kd_titles_set(t->titles, r.item_id, r.removed ? KD_STR_NULL : r.title, &err);
    if (rc != KD_OK && rc != KD_EDATA) /* a bad record is for those who run the shop */
        fprintf(stderr, "kindred: %s\n", err.msg);
    kd_arena_reset(t->arena);
}

/* Reads the catalogue to the end that it has now; later ones come in as they are produced. */
static kd_rc open_titles(tail *t, kd_err *err)
{
    const kd_config *c = &t->common.config;
    kd_tail_options o = {.topic = kd_opt_str(&c->values, "topics.catalog"),
                         .properties = c->kafka,
                         .n_properties = c->n_kafka,
                         .from_beginning = true};
    const volatile int *stop = kd_stop_on_signals();
    KD_TRY(kd_titles_new(&t->titles, err));
    KD_TRY(kd_tail_new(&o, &t->catalog, err));
    t->table.title_of = kd_titles_of;
    t->table.title_arg = t->titles;
    kd_rc rc = KD_OK;
    while (*stop == 0 && (rc == KD_OK || rc == KD_AGAIN))
        rc = kd_tail_poll(t->catalog, 100, note_title, t, err);
    return rc == KD_END || *stop != 0 ? KD_OK : rc;
}

static void more_titles(tail *t)
{
    while (t->catalog != NULL && kd_tail_poll(t->catalog, 0, note_title, t, NULL) == KD_OK)
        continue;
}

static void each(void *arg, const kd_tail_message *m)
{
    tail *t = arg;
    kd_err err = {0};
    const char *name = "";
    if (t->max >= 0 && t->n >= t->max)
        return;
    t->n++;
    kd_buf_clear(&t->line);
    kd_buf_clear(&t->value);
    kd_rc rc = KD_OK;
    if (m->value == NULL)
        kd_buf_adds(&t->value, "null");
    else
        rc = kd_codec_to_json(t->codec, m->value, m->value_len, &t->value, &name, &err);
    if (rc == KD_RETRY)
        fprintf(stderr, "kindred: %s\n", err.msg);
    bool is_row = !t->is_json && rc == KD_OK && m->value != NULL && print_row(t, m, name);
    if (!is_row && !t->is_json && rc == KD_OK && m->value == NULL)
        kd_buf_addf(&t->line, "%.*s %s\n", (int)m->key_len, (const char *)m->key,
                    t->table.language == KD_WHY_CHINESE ? "已被遗忘（null）" : "forgotten (null)");
    else if (!is_row)
        print_json(t, m, rc == KD_OK ? NULL : &err);
    fwrite(t->line.p, 1, t->line.n, stdout);
    kd_arena_reset(t->arena);
}

static kd_rc read_topic(tail *t, const kd_flag *flags, const char *topic, kd_err *err)
{
    const kd_config *c = &t->common.config;
    const char *from = kd_flag_value(flags, "from");
    bool until_end = kd_flag_given(flags, "until-end");
    if (from != NULL && strcmp(from, "beginning") != 0 && strcmp(from, "end") != 0)
        return kd_fail(err, KD_ECONFIG, "--from: \"%s\" is not beginning or end", from);
    kd_tail_options o = {.topic = topic,
                         .properties = c->kafka,
                         .n_properties = c->n_kafka,
                         .from_beginning =
                             from != NULL ? strcmp(from, "beginning") == 0 : until_end};
    kd_tail *consumer = NULL;
    KD_TRY(kd_live_codec(c, 0, &t->codec, err));
    if (from == NULL && !until_end) /* silence would look like a fault */
        fprintf(stderr,
                "kindred: waiting for what comes to %s from now on; --from beginning shows what "
                "is there\n",
                topic);
    kd_rc rc = kd_flag_given(flags, "titles") ? open_titles(t, err) : KD_OK;
    if (rc == KD_OK)
        rc = kd_tail_new(&o, &consumer, err);
    if (rc != KD_OK) {
        kd_kafka_diagnose(c->kafka, c->n_kafka, NULL, err);
        return rc;
    }
    const volatile int *stop = kd_stop_on_signals();
    while (*stop == 0 && (t->max < 0 || t->n < t->max)) {
        more_titles(t);
        rc = kd_tail_poll(consumer, 100, each, t, err);
        fflush(stdout);
        if (rc == KD_END && until_end)
            break;
        if (rc != KD_OK && rc != KD_AGAIN && rc != KD_END)
            break;
    }
    kd_tail_free(consumer);
    return rc == KD_AGAIN || rc == KD_END ? KD_OK : rc;
}

static int verb_tail(const kd_verb *verb, int argc, char **argv, kd_err *err)
{
    kd_flag flags[] = {{.name = "json"},
                       {.name = "from", .has_value = true},
                       {.name = "max", .has_value = true},
                       {.name = "until-end"},
                       {.name = "why"},
                       {.name = "titles"},
                       {.name = "lang", .has_value = true},
                       {0}};
    tail t = {.arena = kd_arena_new(0), .max = -1};
    const char **rest = NULL, *columns = getenv("COLUMNS");
    int n_rest = 0;
    kd_rc rc = t.arena == NULL
                   ? kd_fail(err, KD_ENOMEM, "no memory")
                   : kd_flags_parse(argc, argv, flags, t.arena, &t.common, &rest, &n_rest, err);
    if (rc == KD_OK && t.common.help) {
        fputs(verb->help, stdout);
    } else if (rc == KD_OK) {
        /* What the words point to is argv's, and the arena is reset for each message. */
        const char *topic = n_rest == 1 ? rest[0] : NULL;
        t.is_json = kd_flag_given(flags, "json");
        if (t.is_json && (kd_flag_given(flags, "why") || kd_flag_given(flags, "lang") ||
                          kd_flag_given(flags, "titles")))
            rc = kd_fail(err, KD_ECONFIG,
                         "--why, --lang and --titles are for people, not for --json");
        t.table = (kd_terminal_options){
            .fd = STDOUT_FILENO,
            .width = columns == NULL ? 0 : (uint32_t)strtoul(columns, NULL, 10),
            .colour = isatty(STDOUT_FILENO) == 1};
        if (rc == KD_OK && topic == NULL)
            rc = kd_fail(err, KD_ECONFIG, "kindred tail TOPIC: one topic is right");
        if (rc == KD_OK)
            rc = kd_flag_int(flags, "max", -1, 0, &t.max, err);
        kd_arena *words = t.arena; /* keeps the flags until the end */
        t.arena = kd_arena_new(0);
        if (rc == KD_OK && t.arena == NULL)
            rc = kd_fail(err, KD_ENOMEM, "no memory");
        if (rc == KD_OK)
            rc = kd_files_why(flags, &t.table, err);
        if (rc == KD_OK)
            rc = read_topic(&t, flags, topic, err);
        kd_arena_free(words);
    }
    kd_tail_free(t.catalog);
    kd_titles_free(t.titles);
    kd_codec_free(t.codec);
    kd_buf_dispose(&t.line);
    kd_buf_dispose(&t.value);
    kd_common_dispose(&t.common);
    kd_arena_free(t.arena);
    return kd_exit_of(rc);
}

const kd_verb kd_verb_tail = {"tail", "look at a topic: a table, sentences, or JSON lines", help,
                              verb_tail};
