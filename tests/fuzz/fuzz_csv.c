/* fuzz_csv.c: the CSV splitter, the mapping language and a whole CSV file on arbitrary bytes.
 *
 * First byte: which delimiter and quote, and what the rest is: a mapping of its own (1 in 8), else
 * rows. Checked beside "no crash": a split row lies within its text and says the same when the text
 * came in two pieces; every record obeys the rules of all records; every row is in one count.
 * @thread main */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumers/csv_map.h"
#include "consumers/sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const kd_ms latest = INT64_C(4102444800000);

static const char map_text[] =
    "header: false\nno_shopper: dead-letter\notherwise: dead-letter\nrecords:\n"
    "  - type: CatalogItem\n    when: [{column: 2, empty: false}, {column: 5, more_than: 0}]\n"
    "    fields:\n      item_id: 1\n      title: {columns: [2, 3]}\n      price: 5\n"
    "      tags: {column: 3, split: \"|\"}\n      available: 6\n"
    "      time: {column: 4, format: \"%Y-%m-%d %H:%M\", zone: \"+01:00\"}\n"
    "  - type: PurchaseEvent\n    when: {column: 6, not_in: [view, gone]}\n"
    "    cancelled_when: {column: 6, starts_with: C}\n    fields:\n      item_id: 1\n"
    "      user_id: {column: 3, strip_suffix: \".0\", add_prefix: u, null_words: [NA]}\n"
    "      quantity: {column: 5, absolute: true}\n      time: {column: 4, format: \"%F %R\"}\n"
    "  - type: BrowseEvent\n    when: {column: 6, contains: vie}\n    fields:\n      item_id: 1\n"
    "      session_id: 3\n      action: {column: 6, values: {view: VIEW}, default: CART}\n"
    "      time: {column: 4, format: unix}\n";

static void split_all(const kd_csv_dialect *d, const char *p, size_t n)
{
    kd_csv_row row = {0}, part = {0};
    for (size_t i = 0; i < n;) {
        kd_csv_found found = kd_csv_split(d, p + i, n - i, true, &row);
        KD_ASSERT(found != KD_CSV_MORE && row.bytes > 0 && row.bytes <= n - i);
        KD_ASSERT(row.text_bytes <= row.bytes && row.lines > 0);
        for (size_t f = 0; found == KD_CSV_ROW && f < row.n; f++)
            KD_ASSERT(row.fields[f].p >= p + i &&
                      row.fields[f].p + row.fields[f].n <= p + i + row.text_bytes);
        size_t cut = (n - i) / 2;
        kd_csv_found early = kd_csv_split(d, p + i, cut, false, &part);
        KD_ASSERT(early == KD_CSV_MORE || (early == found && part.bytes == row.bytes));
        i += row.bytes;
    }
    kd_csv_row_dispose(&row);
    kd_csv_row_dispose(&part);
}

static void write_all(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    KD_ASSERT(f != NULL);
    KD_ASSERT(fwrite(p, 1, n, f) == n);
    KD_ASSERT(fclose(f) == 0);
}

/* One file for the life of the process, overwritten by each input. */
static void read_file(const uint8_t *p, size_t n)
{
    char csv[64], map[64];
    snprintf(csv, sizeof csv, "/tmp/kd_fuzz_csv_%ld.csv", (long)getpid());
    snprintf(map, sizeof map, "/tmp/kd_fuzz_csv_%ld.yaml", (long)getpid());
    write_all(csv, p, n);
    write_all(map, map_text, sizeof map_text - 1);
    const char *path = csv;
    kd_file_source_options o = {
        .paths = &path, .n_paths = 1, .map_path = map, .latest = latest, .line_max_bytes = 64};
    kd_source *s = NULL;
    kd_err err = {0};
    KD_ASSERT(kd_file_source_new(&o, &s, &err) == KD_OK);
    kd_rc rc = s->kind->start(s, &err);
    kd_record r = {0};
    int64_t bad = 0;
    while (rc == KD_OK || rc == KD_EDATA) {
        rc = s->kind->next(s, &r, &err);
        if (rc == KD_OK)
            KD_ASSERT(kd_record_check(&r, latest, &err) == KD_OK);
        bad += rc == KD_EDATA;
        if (r.pos.offset % 3 == 0)
            s->kind->release(s);
    }
    KD_ASSERT(rc == KD_END || rc == KD_EIO); /* EIO: the bytes begin like gzip */
    kd_file_counts c;
    kd_file_source_counts(s, &c);
    KD_ASSERT(c.bad == bad);
    KD_ASSERT(c.rows ==
              c.browse + c.paid + c.cancelled + c.forget + c.bad + c.ignored + c.catalog_rows);
    s->kind->close(s);
    (void)unlink(csv);
    (void)unlink(map);
}

static void read_mapping(const uint8_t *p, size_t n)
{
    kd_csv_maps *m = NULL;
    kd_err err = {0};
    kd_rc rc = kd_csv_maps_parse((const char *)p, n, "fuzz.yaml", &m, &err);
    KD_ASSERT(rc == KD_OK || rc == KD_ECONFIG);
    KD_ASSERT(rc == KD_OK || (err.where[0] != '\0' && err.msg[0] != '\0'));
    if (rc == KD_OK)
        kd_csv_maps_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static const char delimiters[] = {',', ';', '\t', '|'};
    kd_csv_dialect d = {delimiters[data[0] % 4], data[0] & 4 ? '\0' : '"'};
    if (data[0] % 8 == 7) {
        read_mapping(data + 1, size - 1);
        return 0;
    }
    split_all(&d, (const char *)data + 1, size - 1);
    read_file(data + 1, size - 1);
    return 0;
}
