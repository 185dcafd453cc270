#include "topology/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "base/yaml.h"

static const char sum_key[] = "\nsum: ";

/* -- printing ---------------------------------------------------------------------------------- */

static void print_ms(kd_buf *out, const char *name, kd_ms t)
{
    if (t == KD_MS_NONE)
        kd_buf_addf(out, "  %s: none\n", name);
    else
        kd_buf_addf(out, "  %s: %lld\n", name, (long long)t);
}

static void print_state(const kd_saved *s, kd_buf *out)
{
    char hex[33];
    kd_digest_hex(s->digest, hex);
    kd_buf_addf(out, "state:\n  digest: \"%s\"\n", hex);
    print_ms(out, "state_time", s->state_time);
    print_ms(out, "horizon_base", s->horizon_base);
    print_ms(out, "floor", s->floor);
    const struct {
        const char *name;
        int64_t n;
    } rows[] = {{"shoppers", s->shoppers}, {"interactions", s->interactions},
                {"items", s->items},       {"products", s->products},
                {"links", s->links},       {"tombstones", s->tombstones}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        kd_buf_addf(out, "  %s: %lld\n", rows[k].name, (long long)rows[k].n);
}

void kd_manifest_print(const kd_manifest *m, kd_buf *out)
{
    char made[32];
    (void)kd_time_iso(m->made, made);
    size_t begin = out->n;
    kd_buf_addf(out, "format: %d\nprogram: \"%s\"\nmade: \"%s\"\nmade_ms: %lld\noptions:\n",
                KD_MANIFEST_FORMAT, m->program, made, (long long)m->made);
    for (int k = 0; k < KD_SAVED_OPTIONS; k++)
        kd_buf_addf(out, "  %s: \"%s\"\n", m->options[k].name, m->options[k].value);
    print_state(&m->saved, out);
    kd_buf_adds(out, m->n_positions == 0 ? "positions: []\n" : "positions:\n");
    for (size_t k = 0; k < m->n_positions; k++) {
        const kd_source_pos *p = &m->positions[k];
        kd_buf_addf(out, "  - {topic: \"%s\", partition: %d, offset: %lld, term: %u}\n",
                    p->pos.topic, p->pos.partition, (long long)p->pos.offset, p->term);
    }
    kd_buf_adds(out, "sections:\n");
    for (size_t k = 0; k < m->n_sections; k++) {
        const kd_section *s = &m->sections[k];
        kd_buf_addf(out, "  - {name: %s, version: %u, file: %s, bytes: %lld, sum: \"%016llx\"}\n",
                    s->name, s->version, s->file, (long long)s->bytes, (unsigned long long)s->sum);
    }
    uint64_t sum = out->failed ? 0 : kd_hash64(out->p + begin, out->n - begin, 0);
    kd_buf_addf(out, "sum: \"%016llx\"\n", (unsigned long long)sum);
}

/* -- parsing ----------------------------------------------------------------------------------- */

typedef struct parser {
    const kd_yaml *y;
    kd_arena *arena;
} parser;

static kd_rc want(const kd_yaml_node *map, const char *key, const kd_yaml_node **out, kd_err *err)
{
    *out = kd_yaml_get(map, key);
    if (*out == NULL || (*out)->kind != KD_YAML_SCALAR)
        return kd_fail(err, KD_ESTATE, "it has no %s", key);
    return KD_OK;
}

static kd_rc get_str(const parser *x, const kd_yaml_node *map, const char *key, const char **out,
                     kd_err *err)
{
    const kd_yaml_node *n = NULL;
    KD_TRY(want(map, key, &n, err));
    *out = kd_arena_strz(x->arena, kd_str_of(n->text));
    return *out == NULL ? kd_fail(err, KD_ENOMEM, "no memory for a manifest") : KD_OK;
}

static kd_rc get_int(const parser *x, const kd_yaml_node *map, const char *key, int64_t *out,
                     kd_err *err)
{
    const kd_yaml_node *n = NULL;
    KD_TRY(want(map, key, &n, err));
    return kd_yaml_int(x->y, n, out, err);
}

static kd_rc get_ms(const parser *x, const kd_yaml_node *map, const char *key, kd_ms *out,
                    kd_err *err)
{
    const kd_yaml_node *n = NULL;
    KD_TRY(want(map, key, &n, err));
    if (strcmp(n->text, "none") == 0) {
        *out = KD_MS_NONE;
        return KD_OK;
    }
    return kd_yaml_int(x->y, n, out, err);
}

static kd_rc get_hex(const parser *x, const kd_yaml_node *map, const char *key, uint64_t *out,
                     int n, kd_err *err)
{
    const char *s = NULL;
    KD_TRY(get_str(x, map, key, &s, err));
    if (strlen(s) != (size_t)n * 16 || strspn(s, "0123456789abcdef") != (size_t)n * 16)
        return kd_fail(err, KD_ESTATE, "%s is \"%s\", %d hexadecimal digits are right", key, s,
                       n * 16);
    for (int k = 0; k < n; k++) {
        char part[17] = {0};
        memcpy(part, s + (size_t)k * 16, 16);
        out[k] = strtoull(part, NULL, 16);
    }
    return KD_OK;
}

static kd_rc parse_options(const parser *x, const kd_yaml_node *map, kd_manifest *m, kd_err *err)
{
    if (map == NULL || map->kind != KD_YAML_MAP || map->n != KD_SAVED_OPTIONS)
        return kd_fail(err, KD_ESTATE, "it names other options than this program");
    for (size_t k = 0; k < map->n; k++) {
        const char *value = NULL;
        KD_TRY(get_str(x, map, map->keys[k]->text, &value, err));
        m->options[k].name = kd_arena_strz(x->arena, kd_str_of(map->keys[k]->text));
        if (m->options[k].name == NULL || strlen(value) >= sizeof m->options[k].value)
            return kd_fail(err, KD_ESTATE, "the value of option %zu is too long", k);
        memcpy(m->options[k].value, value, strlen(value) + 1);
    }
    return KD_OK;
}

static kd_rc parse_state(const parser *x, const kd_yaml_node *map, kd_saved *s, kd_err *err)
{
    uint64_t digest[2];
    KD_TRY(get_hex(x, map, "digest", digest, 2, err));
    s->digest = (kd_digest){.hi = digest[0], .lo = digest[1]};
    KD_TRY(get_ms(x, map, "state_time", &s->state_time, err));
    KD_TRY(get_ms(x, map, "horizon_base", &s->horizon_base, err));
    KD_TRY(get_ms(x, map, "floor", &s->floor, err));
    KD_TRY(get_int(x, map, "shoppers", &s->shoppers, err));
    KD_TRY(get_int(x, map, "interactions", &s->interactions, err));
    KD_TRY(get_int(x, map, "items", &s->items, err));
    KD_TRY(get_int(x, map, "products", &s->products, err));
    KD_TRY(get_int(x, map, "links", &s->links, err));
    return get_int(x, map, "tombstones", &s->tombstones, err);
}

static kd_rc parse_positions(const parser *x, const kd_yaml_node *list, kd_manifest *m, kd_err *err)
{
    if (list == NULL || list->kind != KD_YAML_SEQ)
        return kd_fail(err, KD_ESTATE, "it has no list of positions");
    m->positions = kd_arena_calloc(x->arena, list->n + 1, sizeof *m->positions);
    if (m->positions == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a manifest");
    for (size_t k = 0; k < list->n; k++) {
        kd_source_pos *p = &m->positions[k];
        int64_t partition = 0, term = 0;
        KD_TRY(get_str(x, list->items[k], "topic", &p->pos.topic, err));
        KD_TRY(get_int(x, list->items[k], "partition", &partition, err));
        KD_TRY(get_int(x, list->items[k], "offset", &p->pos.offset, err));
        KD_TRY(get_int(x, list->items[k], "term", &term, err));
        if (partition < 0 || partition > INT32_MAX || p->pos.offset < 0 || term < 0 ||
            term > UINT32_MAX)
            return kd_fail(err, KD_ESTATE, "position %zu is none", k);
        p->pos.partition = (int32_t)partition;
        p->term = (uint32_t)term;
    }
    m->n_positions = list->n;
    return KD_OK;
}

static kd_rc parse_sections(const parser *x, const kd_yaml_node *list, kd_manifest *m, kd_err *err)
{
    if (list == NULL || list->kind != KD_YAML_SEQ || list->n > KD_MANIFEST_SECTIONS)
        return kd_fail(err, KD_ESTATE, "it has no list of sections");
    for (size_t k = 0; k < list->n; k++) {
        kd_section *s = &m->sections[k];
        int64_t version = 0;
        KD_TRY(get_str(x, list->items[k], "name", &s->name, err));
        KD_TRY(get_str(x, list->items[k], "file", &s->file, err));
        KD_TRY(get_int(x, list->items[k], "version", &version, err));
        KD_TRY(get_int(x, list->items[k], "bytes", &s->bytes, err));
        KD_TRY(get_hex(x, list->items[k], "sum", &s->sum, 1, err));
        if (strchr(s->file, '/') != NULL || version < 0 || version > UINT32_MAX)
            return kd_fail(err, KD_ESTATE, "section %zu is none", k);
        s->version = (uint32_t)version;
    }
    m->n_sections = list->n;
    return KD_OK;
}

static kd_rc parse(const parser *x, kd_manifest *m, kd_err *err)
{
    const kd_yaml_node *root = kd_yaml_root(x->y);
    int64_t format = 0;
    KD_TRY(get_int(x, root, "format", &format, err));
    if (format != KD_MANIFEST_FORMAT)
        return kd_fail(err, KD_ESTATE, "it is of format %lld, this program knows %d",
                       (long long)format, KD_MANIFEST_FORMAT);
    KD_TRY(get_str(x, root, "program", &m->program, err));
    KD_TRY(get_int(x, root, "made_ms", &m->made, err));
    KD_TRY(parse_options(x, kd_yaml_get(root, "options"), m, err));
    KD_TRY(parse_state(x, kd_yaml_get(root, "state"), &m->saved, err));
    KD_TRY(parse_positions(x, kd_yaml_get(root, "positions"), m, err));
    return parse_sections(x, kd_yaml_get(root, "sections"), m, err);
}

/* The checksum is looked at first, so that damage is called damage. */
static kd_rc check_sum(const char *text, size_t n, kd_err *err)
{
    enum { LINE = sizeof sum_key - 1 + 18 + 1 }; /* with quotes and LF */
    if (n >= LINE) {
        size_t kept = n - LINE + 1;
        uint64_t sum = kd_hash64(text, kept, 0);
        kd_buf b = {0};
        kd_buf_addf(&b, "%s\"%016llx\"\n", sum_key, (unsigned long long)sum);
        bool is_equal = !b.failed && b.n == LINE && memcmp(b.p, text + n - LINE, LINE) == 0;
        kd_buf_dispose(&b);
        if (is_equal)
            return KD_OK;
    }
    return kd_fail(err, KD_EIO, "it is damaged: its checksum is another one");
}

kd_rc kd_manifest_parse(const char *text, size_t n, const char *name, kd_arena *arena,
                        kd_manifest *out, kd_err *err)
{
    kd_yaml *y = NULL;
    kd_manifest m = {0};
    kd_rc rc = check_sum(text, n, err);
    if (rc == KD_OK)
        rc = kd_yaml_parse(text, n, name, &y, err);
    if (rc == KD_OK) {
        parser x = {y, arena};
        rc = parse(&x, &m, err);
    }
    kd_yaml_free(y);
    if (rc == KD_ECONFIG) /* whole, and yet not what this program writes */
        rc = KD_ESTATE;
    if (rc != KD_OK)
        kd_err_at(err, "%s", name);
    if (rc == KD_OK)
        *out = m;
    return rc;
}

kd_rc kd_manifest_fits(const kd_manifest *m, const kd_recommender *rec, kd_err *err)
{
    kd_saved_option now[KD_SAVED_OPTIONS];
    kd_recommender_saved_options(rec, now);
    for (int k = 0; k < KD_SAVED_OPTIONS; k++) {
        if (strcmp(now[k].name, m->options[k].name) != 0)
            return kd_fail(err, KD_ESTATE, "it names other options than this program");
        if (strcmp(now[k].value, m->options[k].value) == 0)
            continue;
        if (strcmp(now[k].name, "privacy.key") == 0)
            return kd_fail(err, KD_ESTATE, "it was made with another privacy.key");
        return kd_fail(err, KD_ESTATE, "it was made with %s=%s, and now it is %s", now[k].name,
                       m->options[k].value, now[k].value);
    }
    return KD_OK;
}

/* -- two of them ------------------------------------------------------------------------------- */

static const kd_source_pos *find_position(const kd_manifest *m, const kd_pos *pos)
{
    for (size_t k = 0; k < m->n_positions; k++)
        if (m->positions[k].pos.partition == pos->partition &&
            strcmp(m->positions[k].pos.topic, pos->topic) == 0)
            return &m->positions[k];
    return NULL;
}

bool kd_manifest_covers(const kd_manifest *a, const kd_manifest *b)
{
    if (a->n_sections != b->n_sections || a->n_positions != b->n_positions)
        return false;
    for (int k = 0; k < KD_SAVED_OPTIONS; k++)
        if (strcmp(a->options[k].name, b->options[k].name) != 0 ||
            strcmp(a->options[k].value, b->options[k].value) != 0)
            return false;
    for (size_t k = 0; k < b->n_sections; k++)
        if (strcmp(a->sections[k].name, b->sections[k].name) != 0 ||
            a->sections[k].version != b->sections[k].version)
            return false;
    for (size_t k = 0; k < b->n_positions; k++) {
        const kd_source_pos *p = find_position(a, &b->positions[k].pos);
        if (p == NULL || p->pos.offset < b->positions[k].pos.offset)
            return false;
    }
    return true;
}

int64_t kd_manifest_ahead(const kd_manifest *a, const kd_manifest *b)
{
    int64_t n = 0;
    for (size_t k = 0; k < b->n_positions; k++) {
        const kd_source_pos *p = find_position(a, &b->positions[k].pos);
        if (p != NULL)
            n += p->pos.offset - b->positions[k].pos.offset;
    }
    return n;
}
