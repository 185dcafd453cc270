#include "evaluation/score.h"

#include <stdlib.h>
#include <string.h>

#include "evaluation/names.h"

enum { NO_LIST = UINT8_MAX, LIST_MAX = NO_LIST - 1 };

typedef struct listed {
    uint32_t item;
    uint8_t part;
} listed;

/* The lists of a shopper: the last one published, and the one that the open unit is judged by. */
typedef struct holder {
    uint8_t n_last, n_base; /* items, NO_LIST = none */
} holder;

struct kd_scorer {
    kd_cutoffs cutoffs;
    uint32_t columns, longest;
    kd_names items;   /* texts are the truth's */
    uint32_t *takers; /* owned, by item: shoppers who had to do with it */
    bool *is_listed, *is_known;
    uint32_t takers_cap, listed_cap, known_cap, n_items, n_listed;
    uint32_t n_shoppers;
    holder *holder; /* owned, by shopper */
    listed *lists;  /* owned, [shopper][2][longest]: last, base */
    double *own;    /* owned, [shopper][columns] */
    uint32_t holder_cap, lists_cap, own_cap;
    double *rows; /* owned, [group][segment][columns] */
    uint32_t rows_cap, n_groups;
    kd_windows windows;
    int64_t popular_window; /* the window that popular_from was made for */
    uint32_t popular_from;  /* takers of a popular item, at least */
    kd_list_sums sums;
    kd_part_sums parts[KD_SCORE_PARTS];
    uint32_t n_parts;
    kd_unit_counts units;
    uint32_t *ranks;     /* owned, [longest] */
    const kd_want **hit; /* owned, [longest] the wanted item at each hit */
};

kd_rc kd_scorer_new(const kd_cutoffs *c, kd_ms window, kd_scorer **out, kd_err *err)
{
    KD_ASSERT(c->n >= 1 && c->n <= KD_CUTOFFS_MAX);
    uint32_t longest = c->k[c->n - 1];
    if (longest > LIST_MAX)
        return kd_fail(err, KD_ECONFIG, "lists are judged at %u items or fewer, not at %u",
                       LIST_MAX, longest);
    kd_scorer *s = calloc(1, sizeof *s);
    if (s == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory for a judge");
    s->cutoffs = *c;
    s->columns = kd_row_columns(c);
    s->longest = longest;
    s->popular_window = INT64_MIN;
    s->popular_from = 1;
    kd_windows_init(&s->windows, window);
    s->ranks = calloc(longest, sizeof *s->ranks);
    s->hit = calloc(longest, sizeof(const kd_want *));
    if (s->ranks == NULL || s->hit == NULL) {
        kd_scorer_free(s);
        return kd_fail(err, KD_ENOMEM, "no memory for a judge");
    }
    *out = s;
    return KD_OK;
}

void kd_scorer_free(kd_scorer *s)
{
    if (s == NULL)
        return;
    kd_names_dispose(&s->items);
    kd_windows_dispose(&s->windows);
    free(s->takers);
    free(s->is_listed);
    free(s->is_known);
    free(s->holder);
    free(s->lists);
    free(s->own);
    free(s->rows);
    free(s->ranks);
    free(s->hit);
    free(s);
}

/* -- room ---------------------------------------------------------------------------------------
 */

static kd_rc meet_item(kd_scorer *s, const kd_note *n, kd_err *err)
{
    if (n->item < s->n_items && s->is_known[n->item])
        return KD_OK;
    if (!kd_grow((void **)&s->takers, &s->takers_cap, n->item + 1, sizeof *s->takers) ||
        !kd_grow((void **)&s->is_listed, &s->listed_cap, n->item + 1, sizeof *s->is_listed) ||
        !kd_grow((void **)&s->is_known, &s->known_cap, n->item + 1, sizeof *s->is_known))
        return kd_fail(err, KD_ENOMEM, "no memory for %u items", n->item + 1);
    KD_TRY(kd_names_put(&s->items, n->item_id, n->item, err));
    s->is_known[n->item] = true;
    if (n->item >= s->n_items)
        s->n_items = n->item + 1;
    return KD_OK;
}

static kd_rc meet_shopper(kd_scorer *s, uint32_t number, kd_err *err)
{
    if (number < s->n_shoppers)
        return KD_OK;
    uint32_t n = number + 1;
    if (!kd_grow((void **)&s->holder, &s->holder_cap, n, sizeof *s->holder) ||
        !kd_grow((void **)&s->lists, &s->lists_cap, n, 2 * s->longest * sizeof *s->lists) ||
        !kd_grow((void **)&s->own, &s->own_cap, n, s->columns * sizeof *s->own))
        return kd_fail(err, KD_ENOMEM, "no memory for %u shoppers", n);
    for (uint32_t k = s->n_shoppers; k < n; k++)
        s->holder[k] = (holder){NO_LIST, NO_LIST};
    s->n_shoppers = n;
    uint32_t groups = n < KD_GROUPS ? n : KD_GROUPS;
    if (!kd_grow((void **)&s->rows, &s->rows_cap, groups,
                 KD_SEGMENTS * s->columns * sizeof *s->rows))
        return kd_fail(err, KD_ENOMEM, "no memory for %u groups", groups);
    s->n_groups = groups;
    return KD_OK;
}

static listed *last_list(const kd_scorer *s, uint32_t shopper)
{
    return s->lists + (size_t)shopper * 2 * s->longest;
}

static listed *base_list(const kd_scorer *s, uint32_t shopper)
{
    return last_list(s, shopper) + s->longest;
}

/* -- units --------------------------------------------------------------------------------------
 */

static bool is_in_segment(const kd_want *w, kd_segment segment)
{
    switch (segment) {
    case KD_SEG_PURCHASES:
        return w->is_purchase;
    case KD_SEG_NEW:
        return kd_want_kind(w) == KD_WANT_NEW;
    case KD_SEG_KNOWN:
        return kd_want_kind(w) == KD_WANT_KNOWN;
    case KD_SEG_REBUY:
        return kd_want_kind(w) == KD_WANT_REBUY;
    default:
        return true;
    }
}

/* `columns` is 1 for a row without a hit, all of which but the first is 0: most are so. */
static void add_row(double *to, const double *row, uint32_t columns)
{
    for (uint32_t k = 0; k < columns; k++)
        to[k] += row[k];
}

static double *row_at(const kd_scorer *s, uint32_t shopper, kd_segment segment)
{
    size_t group = shopper % KD_GROUPS;
    return s->rows + (group * KD_SEGMENTS + segment) * s->columns;
}

static kd_rc add_all(kd_scorer *s, const kd_unit *u, const double *row, uint32_t columns,
                     kd_err *err)
{
    add_row(row_at(s, u->shopper, KD_SEG_ALL), row, columns);
    add_row(row_at(s, u->shopper, kd_segment_of_history(u->n_before)), row, columns);
    add_row(s->own + (size_t)u->shopper * s->columns, row, columns);
    kd_window *w;
    KD_TRY(kd_windows_at(&s->windows, u->time, &w, err));
    add_row(w->row, row, columns);
    double *group = w->group[u->shopper % KD_WINDOW_GROUPS];
    group[0] += 1;
    for (uint32_t m = 0; columns > 1 && m < KD_METRICS; m++)
        group[1 + m] += row[kd_row_column(&s->cutoffs, (kd_metric)m, s->cutoffs.head)];
    return KD_OK;
}

/* The part of the unit that a segment is about; nothing if it wants nothing of it. */
static void add_part(kd_scorer *s, const kd_unit *u, const kd_hits *all, const double *all_row,
                     kd_segment segment)
{
    uint32_t n = 0, n_hits = 0, ranks[LIST_MAX];
    for (uint32_t k = 0; k < u->n_wants; k++)
        n += is_in_segment(&u->wants[k], segment);
    if (n == 0)
        return;
    double *to = row_at(s, u->shopper, segment);
    if (all->n == 0) {
        to[0] += 1;
        return;
    }
    if (n == u->n_wants) {
        add_row(to, all_row, s->columns);
        return;
    }
    for (uint32_t k = 0; k < all->n; k++)
        if (is_in_segment(s->hit[k], segment))
            ranks[n_hits++] = all->ranks[k];
    kd_hits h = {ranks, n_hits, n};
    double row[KD_ROW_MAX] = {0};
    kd_row_of_hits(&s->cutoffs, &h, row);
    add_row(to, row, s->columns);
}

static kd_hits find_hits(kd_scorer *s, const kd_unit *u)
{
    const listed *list = base_list(s, u->shopper);
    uint32_t n = s->holder[u->shopper].n_base;
    kd_hits h = {.ranks = s->ranks, .n_relevant = u->n_wants};
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < u->n_wants; i++)
            if (list[k].item == u->wants[i].item) {
                s->hit[h.n] = &u->wants[i];
                s->ranks[h.n++] = k + 1;
                s->parts[list[k].part].hits++;
                break;
            }
    return h;
}

kd_rc kd_scorer_unit(kd_scorer *s, const kd_unit *u, kd_err *err)
{
    KD_ASSERT(u->shopper < s->n_shoppers);
    if (u->n_wants == 0) {
        s->units.empty++;
        return KD_OK;
    }
    if (!u->is_scored) {
        s->units.only_learnt++;
        return KD_OK;
    }
    if (s->holder[u->shopper].n_base == NO_LIST) {
        s->units.unanswered++;
        return KD_OK;
    }
    s->units.scored++;
    kd_hits h = find_hits(s, u);
    double row[KD_ROW_MAX];
    row[0] = 1;
    if (h.n > 0)
        kd_row_of_hits(&s->cutoffs, &h, row);
    for (kd_segment x = KD_SEG_PURCHASES; x <= KD_SEG_REBUY; x++)
        add_part(s, u, &h, row, x);
    return add_all(s, u, row, h.n > 0 ? s->columns : 1, err);
}

/* -- records and lists --------------------------------------------------------------------------
 */

/* Takers of the item at POPULAR of 100, most taken first: by counting, since few counts are big. */
static kd_rc find_popular(kd_scorer *s, kd_err *err)
{
    enum { SMALL = 1 << 12 };
    uint32_t *count = calloc(SMALL + 1, sizeof *count), n = 0;
    if (count == NULL)
        return kd_fail(err, KD_ENOMEM, "no memory to find what is popular");
    for (uint32_t k = 0; k < s->n_items; k++) {
        uint32_t t = s->takers[k];
        n += t > 0;
        count[t < SMALL ? t : SMALL]++;
    }
    uint32_t want = n / 100 * KD_POPULAR_PERCENT, have = 0, at = SMALL;
    if (want < KD_POPULAR_LEAST)
        want = KD_POPULAR_LEAST;
    for (; at > 1; at--) {
        have += count[at];
        if (have >= want)
            break;
    }
    free(count);
    s->popular_from = at;
    return KD_OK;
}

kd_rc kd_scorer_note(kd_scorer *s, const kd_note *n, kd_err *err)
{
    if (n->item != KD_NO_NAME)
        KD_TRY(meet_item(s, n, err));
    if (n->is_event)
        KD_TRY(meet_shopper(s, n->shopper, err));
    if (n->closed != NULL)
        KD_TRY(kd_scorer_unit(s, n->closed, err));
    if (!n->is_event)
        return KD_OK;
    /* So that windows are cut by the events, and alike whatever a configuration publishes. */
    kd_window *w;
    KD_TRY(kd_windows_at(&s->windows, n->time, &w, err));
    if (n->is_first_contact)
        s->takers[n->item]++;
    if (n->starts_unit) {
        holder *h = &s->holder[n->shopper];
        h->n_base = h->n_last;
        if (h->n_last != NO_LIST)
            memcpy(base_list(s, n->shopper), last_list(s, n->shopper), h->n_last * sizeof(listed));
    }
    return KD_OK;
}

/* The number of the item's part in parts[], in order of first use. */
static uint8_t part_of(kd_scorer *s, const kd_item *it)
{
    const char *name = "none";
    bool is_none = true;
    double most = 0;
    for (int p = 0; p < KD_PARTS; p++)
        if (kd_item_has(it, p) && (is_none || it->parts[p] > most)) {
            is_none = false;
            most = it->parts[p];
            name = kd_part_name((kd_part)p);
        }
    uint32_t at = 0;
    while (at < s->n_parts && strcmp(s->parts[at].name, name) != 0)
        at++;
    if (at == s->n_parts)
        s->parts[s->n_parts++].name = name;
    return (uint8_t)at;
}

static void count_item(kd_scorer *s, const listed *x, kd_list_sums *of_list)
{
    of_list->items++;
    of_list->popular += s->takers[x->item] >= s->popular_from;
    of_list->novelty += kd_metric_self_information(s->takers[x->item], s->n_shoppers);
    s->parts[x->part].items++;
    if (!s->is_listed[x->item]) {
        s->is_listed[x->item] = true;
        s->n_listed++;
    }
}

static void count_churn(const kd_scorer *s, uint32_t shopper, const uint32_t *now, uint32_t n,
                        kd_list_sums *of_list)
{
    uint32_t before[LIST_MAX], n_before = s->holder[shopper].n_last;
    if (n_before == NO_LIST)
        return;
    for (uint32_t k = 0; k < n_before; k++)
        before[k] = last_list(s, shopper)[k].item;
    of_list->followed = 1;
    of_list->churn = kd_metric_churn_u32(before, n_before, now, n, s->longest);
}

static void add_lists(kd_list_sums *to, const kd_list_sums *x)
{
    to->lists += x->lists;
    to->items += x->items;
    to->popular += x->popular;
    to->novelty += x->novelty;
    to->churn += x->churn;
    to->followed += x->followed;
}

kd_rc kd_scorer_publish(kd_scorer *s, uint32_t shopper, const kd_update *u, kd_err *err)
{
    KD_ASSERT(shopper < s->n_shoppers);
    uint32_t n = u->n_items < s->longest ? u->n_items : s->longest, now[LIST_MAX], in_list = 0;
    kd_list_sums sums = {.lists = 1};
    kd_window *w;
    KD_TRY(kd_windows_at(&s->windows, u->time, &w, err));
    if (w->index != s->popular_window) {
        s->popular_window = w->index;
        KD_TRY(find_popular(s, err));
    }
    listed list[LIST_MAX];
    for (int step = 0; step < 2; step++)
        for (uint32_t k = 0; k < n; k++)
            kd_names_ahead(&s->items, u->items[k].item_id, step);
    for (uint32_t k = 0; k < n; k++) {
        now[k] = list[k].item = kd_names_find(&s->items, u->items[k].item_id);
        if (now[k] == KD_NO_NAME)
            return kd_fail(err, KD_EBUG, "an item is listed that no record named: " KD_STR_FMT,
                           KD_STR_ARG(u->items[k].item_id));
        list[k].part = part_of(s, &u->items[k]);
        count_item(s, &list[k], &sums);
        in_list |= 1u << list[k].part;
    }
    for (uint32_t p = 0; p < s->n_parts; p++)
        s->parts[p].lists += in_list >> p & 1;
    count_churn(s, shopper, now, n, &sums);
    memcpy(last_list(s, shopper), list, n * sizeof *list);
    s->holder[shopper].n_last = (uint8_t)n;
    add_lists(&s->sums, &sums);
    add_lists(&w->lists, &sums);
    return KD_OK;
}

/* -- results ------------------------------------------------------------------------------------
 */

const kd_cutoffs *kd_scorer_cutoffs(const kd_scorer *s)
{
    return &s->cutoffs;
}

uint32_t kd_scorer_groups(const kd_scorer *s)
{
    return s->n_groups;
}

const double *kd_scorer_row(const kd_scorer *s, uint32_t group, kd_segment segment)
{
    return s->rows + ((size_t)group * KD_SEGMENTS + segment) * s->columns;
}

void kd_scorer_by_shopper(const kd_scorer *s, uint32_t group, double row[KD_ROW_MAX])
{
    memset(row, 0, KD_ROW_MAX * sizeof *row);
    for (uint32_t k = group; k < s->n_shoppers; k += KD_GROUPS) {
        const double *own = s->own + (size_t)k * s->columns;
        if (own[0] <= 0)
            continue;
        row[0] += 1;
        for (uint32_t c = 1; c < s->columns; c++)
            row[c] += own[c] / own[0];
    }
}

const kd_windows *kd_scorer_windows(const kd_scorer *s)
{
    return &s->windows;
}

const kd_list_sums *kd_scorer_lists(const kd_scorer *s)
{
    return &s->sums;
}

const kd_part_sums *kd_scorer_parts(const kd_scorer *s, uint32_t *out_n)
{
    *out_n = s->n_parts;
    return s->parts;
}

uint32_t kd_scorer_listed(const kd_scorer *s)
{
    return s->n_listed;
}

const kd_unit_counts *kd_scorer_units(const kd_scorer *s)
{
    return &s->units;
}
