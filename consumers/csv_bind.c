/* csv_bind.c - a mapping tied to one file: where its columns stand, what the file said of an item.
 */
#include "consumers/csv_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A header's name, blanks around it and escapes gone, NUL-terminated. */
static kd_rc header_name(const kd_csv_field *f, char quote, char *to, size_t cap)
{
    char text[256];
    uint32_t n = f->n;
    if (n >= sizeof text)
        n = sizeof text - 1;
    kd_csv_field head = *f;
    head.n = n;
    if (f->has_escapes)
        n = kd_csv_unescape(&head, quote, text);
    else if (n > 0)
        memcpy(text, f->p, n);
    uint32_t from = 0;
    while (from < n && (text[from] == ' ' || text[from] == '\t'))
        from++;
    while (n > from && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    snprintf(to, cap, "%.*s", (int)(n - from), text + from);
    return KD_OK;
}

static kd_rc bind_names(const kd_csv_maps *m, const kd_csv_map *map, const kd_csv_row *header,
                        const char *file, kd_csv_bound *out, kd_err *err)
{
    enum { NAME_BYTES = 128 };
    char *text = calloc(header->n + 1, NAME_BYTES);
    const char **names = calloc(header->n + 1, sizeof *names);
    kd_rc rc = KD_OK;
    if (text == NULL || names == NULL) {
        rc = kd_fail(err, KD_ENOMEM, "no memory for the header of %s", file);
        goto out;
    }
    for (size_t i = 0; i < header->n; i++) {
        char *name = text + i * NAME_BYTES;
        rc = header_name(&header->fields[i], map->dialect.quote, name, NAME_BYTES);
        names[i] = name;
    }
    for (size_t c = 0; c < map->n_columns && rc == KD_OK; c++) {
        size_t i = 0;
        while (i < header->n && strcmp(names[i], map->columns[c].name) != 0)
            i++;
        out->at[c] = i;
        if (i < header->n)
            continue;
        const char *near = kd_nearest(map->columns[c].name, names);
        rc = kd_yaml_fail(m->yaml, map->columns[c].node, err, "%s has no column \"%.60s\"%s%.60s%s",
                          file, map->columns[c].name, near == NULL ? "" : "; did you mean \"",
                          near == NULL ? "" : near, near == NULL ? "" : "\"?");
    }
    out->n_fields = header->n;
out:
    free(names);
    free(text);
    return rc;
}

kd_rc kd_csv_bind(const kd_csv_maps *m, const kd_csv_map *map, const kd_csv_row *header,
                  const char *file, kd_csv_bound *out, kd_err *err)
{
    kd_csv_bound b = {.map = map};
    b.at = calloc(map->n_columns + 1, sizeof *b.at);
    if (b.at == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for the columns of %s", file);
    if (map->has_header) {
        kd_rc rc = bind_names(m, map, header, file, &b, err);
        if (rc != KD_OK) {
            free(b.at);
            return rc;
        }
    } else {
        for (size_t c = 0; c < map->n_columns; c++)
            b.at[c] = map->columns[c].number - 1;
    }
    *out = b;
    return KD_OK;
}

void kd_csv_bound_dispose(kd_csv_bound *b)
{
    free(b->at);
    free(b->texts);
    kd_buf_dispose(&b->scratch);
    *b = (kd_csv_bound){0};
}

/* ---- what was said of an item: a catalogue record goes out when its text is another one ---- */

static uint64_t hash_str(kd_str s, uint64_t seed)
{
    return s.p == NULL ? seed * UINT64_C(0x9E3779B97F4A7C15) + 1 : kd_hash64(s.p, s.n, seed);
}

/* Price and time are not text: they change with every row. */
static uint64_t text_hash(const kd_record *r)
{
    uint64_t h = hash_str(r->title, 1);
    h = hash_str(r->description, h);
    h = hash_str(r->category, h);
    h = hash_str(r->brand, h);
    for (uint32_t i = 0; i < r->n_tags; i++)
        h = hash_str(r->tags[i], h);
    return h * 4 + (uint64_t)r->available * 2 + (uint64_t)r->removed;
}

static uint64_t item_hash(const kd_record *r)
{
    uint64_t h = kd_hash64(r->item_id.p, r->item_id.n, 0);
    return h == 0 ? 1 : h; /* 0 marks a free slot */
}

/* The slot of an item in pairs (item, text), or the free one where it would go. */
static uint64_t *slot_of(const kd_csv_bound *b, uint64_t item)
{
    size_t i = (size_t)item & (b->texts_cap - 1);
    while (b->texts[2 * i] != 0 && b->texts[2 * i] != item)
        i = (i + 1) & (b->texts_cap - 1);
    return &b->texts[2 * i];
}

bool kd_csv_is_unchanged(const kd_csv_bound *b, const kd_record *r)
{
    if (b->texts_cap == 0)
        return false;
    const uint64_t *slot = slot_of(b, item_hash(r));
    return slot[0] != 0 && slot[1] == text_hash(r);
}

kd_rc kd_csv_remember(kd_csv_bound *b, const kd_record *r, kd_err *err)
{
    if (b->texts_n * 3 >= b->texts_cap * 2) {
        kd_csv_bound more = *b;
        more.texts_cap = b->texts_cap == 0 ? 1024 : b->texts_cap * 2;
        more.texts = calloc(more.texts_cap, 2 * sizeof *more.texts);
        if (more.texts == NULL)
            return kd_fail(err, KD_ENOMEM, "no memory for what was said of %zu items", b->texts_n);
        for (size_t i = 0; i < b->texts_cap; i++) {
            if (b->texts[2 * i] != 0)
                memcpy(slot_of(&more, b->texts[2 * i]), &b->texts[2 * i], 2 * sizeof *b->texts);
        }
        free(b->texts);
        *b = more;
    }
    uint64_t item = item_hash(r);
    uint64_t *slot = slot_of(b, item);
    b->texts_n += slot[0] == 0;
    slot[0] = item;
    slot[1] = text_hash(r);
    return KD_OK;
}
