#include "oracle/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct event {
    char shopper[ORACLE_ID], item[ORACLE_ID];
    int action;
    int64_t time;
} event;

typedef struct mark { /* a forget request, or a catalogue version */
    char id[ORACLE_ID];
    int64_t time;
    bool is_hidden;
} mark;

struct oracle {
    oracle_options opt;
    event *event;
    int n_event, cap_event;
    mark *forget, *catalog;
    int n_forget, n_catalog;
};

oracle *oracle_new(const oracle_options *opt)
{
    oracle *o = calloc(1, sizeof *o);
    o->opt = *opt;
    return o;
}

void oracle_free(oracle *o)
{
    free(o->event);
    free(o->forget);
    free(o->catalog);
    free(o);
}

static void set_id(char to[ORACLE_ID], const char *from)
{
    memset(to, 0, ORACLE_ID);
    memcpy(to, from, strlen(from));
}

void oracle_event(oracle *o, const char *shopper, const char *item, int action, int64_t time)
{
    o->event = realloc(o->event, (size_t)(o->n_event + 1) * sizeof *o->event);
    event *e = &o->event[o->n_event++];
    set_id(e->shopper, shopper);
    set_id(e->item, item);
    e->action = action;
    e->time = time;
}

static void add_mark(mark **list, int *n, const char *id, int64_t time, bool is_hidden)
{
    *list = realloc(*list, (size_t)(*n + 1) * sizeof **list);
    mark *m = &(*list)[(*n)++];
    set_id(m->id, id);
    m->time = time;
    m->is_hidden = is_hidden;
}

void oracle_forget(oracle *o, const char *shopper, int64_t time)
{
    add_mark(&o->forget, &o->n_forget, shopper, time, false);
}

void oracle_catalog(oracle *o, const char *item, bool is_hidden, int64_t time)
{
    add_mark(&o->catalog, &o->n_catalog, item, time, is_hidden);
}

/* -- the definitions --------------------------------------------------------------------------- */

static int64_t horizon(const oracle *o)
{
    if (o->opt.retention_ms == 0)
        return INT64_MIN;
    int64_t newest = INT64_MIN;
    for (int k = 0; k < o->n_event; k++)
        if (o->event[k].time > newest)
            newest = o->event[k].time;
    for (int k = 0; k < o->n_forget; k++)
        if (o->forget[k].time > newest)
            newest = o->forget[k].time;
    return newest == INT64_MIN ? INT64_MIN : newest - o->opt.retention_ms;
}

/* (time, item id bytes, action), greatest first */
static int by_recency(const void *pa, const void *pb)
{
    const event *a = pa, *b = pb;
    if (a->time != b->time)
        return a->time < b->time ? 1 : -1;
    int c = strcmp(a->item, b->item);
    if (c != 0)
        return c < 0 ? 1 : -1;
    return a->action < b->action ? 1 : a->action > b->action ? -1 : 0;
}

static bool is_purchase(int action)
{
    return action == ORACLE_PAID || action == ORACLE_CANCELLED;
}

/* The kept entries of a shopper, most recent first; the first *out_h of them are H(u). */
static int entries_of(const oracle *o, const char *shopper, event *out, int *out_h)
{
    int64_t from = horizon(o), dead = INT64_MIN;
    for (int k = 0; k < o->n_forget; k++)
        if (strcmp(o->forget[k].id, shopper) == 0 && o->forget[k].time > dead)
            dead = o->forget[k].time;
    int n = 0;
    for (int k = 0; k < o->n_event; k++) {
        const event *e = &o->event[k];
        if (strcmp(e->shopper, shopper) != 0 || e->time < from || e->time <= dead)
            continue;
        int at = 0;
        while (at < n && (strcmp(out[at].item, e->item) != 0 || out[at].action != e->action))
            at++;
        if (at == n)
            out[n++] = *e;
        else if (e->time > out[at].time)
            out[at].time = e->time;
    }
    qsort(out, (size_t)n, sizeof *out, by_recency);
    int h = n < o->opt.history_max ? n : o->opt.history_max, kept = 0, purchases = 0;
    for (int k = 0; k < n; k++) {
        bool keep = k < h;
        if (is_purchase(out[k].action) && purchases++ < o->opt.purchases_max)
            keep = true;
        if (keep)
            out[kept++] = out[k];
    }
    *out_h = h;
    return kept;
}

static bool is_live(const event *list, int n, const event *e)
{
    if (e->action == ORACLE_CANCELLED)
        return false;
    if (e->action != ORACLE_PAID)
        return true;
    for (int k = 0; k < n; k++)
        if (strcmp(list[k].item, e->item) == 0 && list[k].action == ORACLE_CANCELLED &&
            list[k].time >= e->time)
            return false;
    return true;
}

typedef struct world {
    int n_shoppers, n_items;
    char shopper[64][ORACLE_ID], item[64][ORACLE_ID];
    bool in[64][64];       /* i in I(u) */
    int64_t since[64][64]; /* latest live time */
    double weight[64][64]; /* greatest weight of the live ones, at `now` */
    bool bought[64][64];
    int64_t last[64]; /* most recent activity, INT64_MIN: nothing kept */
    int size[64];     /* |I(u)| */
} world;

static int index_of(char ids[64][ORACLE_ID], int *n, const char *id)
{
    for (int k = 0; k < *n; k++)
        if (strcmp(ids[k], id) == 0)
            return k;
    set_id(ids[*n], id);
    return (*n)++;
}

static world *world_of(const oracle *o, int64_t now)
{
    world *w = calloc(1, sizeof *w);
    event *list = malloc((size_t)(o->n_event + 1) * sizeof *list);
    for (int k = 0; k < o->n_event; k++) {
        index_of(w->shopper, &w->n_shoppers, o->event[k].shopper);
        index_of(w->item, &w->n_items, o->event[k].item);
    }
    for (int u = 0; u < w->n_shoppers; u++) {
        int h, n = entries_of(o, w->shopper[u], list, &h);
        w->last[u] = n > 0 ? list[0].time : INT64_MIN;
        for (int k = 0; k < n; k++) {
            int i = index_of(w->item, &w->n_items, list[k].item);
            if (!is_live(list, n, &list[k]))
                continue;
            w->bought[u][i] |= list[k].action == ORACLE_PAID;
            if (k >= h)
                continue;
            double weight = o->opt.weight[list[k].action];
            if (o->opt.half_life_ms > 0 && now > list[k].time)
                weight *= exp2(-(double)(now - list[k].time) / (double)o->opt.half_life_ms);
            if (!w->in[u][i] || weight > w->weight[u][i])
                w->weight[u][i] = weight;
            if (!w->in[u][i]) {
                w->in[u][i] = true;
                w->since[u][i] = list[k].time;
                w->size[u]++;
            }
        }
    }
    free(list);
    return w;
}

/* The shopper asked for, who may have no event at all. */
static int shopper_of(world *w, const char *shopper)
{
    int known = w->n_shoppers;
    int u = index_of(w->shopper, &w->n_shoppers, shopper);
    if (u == known)
        w->last[u] = INT64_MIN;
    return u;
}

/* v in P_m(i): fewer than m shoppers are more recent, greater id bytes being the more recent. */
static bool in_audience(const oracle *o, const world *w, int v, int i)
{
    int before = 0;
    for (int x = 0; x < w->n_shoppers; x++)
        if (w->in[x][i] && x != v &&
            (w->since[x][i] > w->since[v][i] ||
             (w->since[x][i] == w->since[v][i] && strcmp(w->shopper[x], w->shopper[v]) > 0)))
            before++;
    return w->in[v][i] && before < o->opt.audience_max;
}

typedef struct candidate {
    int v;
    int64_t num, den; /* the similarity (or its square) as a fraction */
    double sim;
} candidate;

static int neighbours_in(const oracle *o, const world *w, int u, candidate *out)
{
    int n = 0;
    for (int v = 0; v < w->n_shoppers; v++) {
        int64_t c = 0, a = w->size[u], b = w->size[v];
        for (int i = 0; i < w->n_items; i++)
            c += w->in[u][i] && in_audience(o, w, v, i);
        if (v == u || c < o->opt.overlap_min || c == 0)
            continue;
        candidate x = {v, c, a + b - c, (double)c / (double)(a + b - c)};
        if (o->opt.similarity == ORACLE_COSINE)
            x = (candidate){v, c * c, a * b, (double)c / sqrt((double)(a * b))};
        int at = n++;
        for (; at > 0; at--) {
            const candidate *y = &out[at - 1];
            int64_t left = x.num * y->den, right = y->num * x.den;
            bool is_better = left != right ? left > right
                             : w->last[v] != w->last[y->v]
                                 ? w->last[v] > w->last[y->v]
                                 : strcmp(w->shopper[v], w->shopper[y->v]) > 0;
            if (!is_better)
                break;
            out[at] = out[at - 1];
        }
        out[at] = x;
    }
    return n < o->opt.neighbours ? n : o->opt.neighbours;
}

int oracle_neighbours(const oracle *o, const char *shopper, oracle_row *out)
{
    world *w = world_of(o, 0);
    candidate near[64];
    int u = shopper_of(w, shopper);
    int n = neighbours_in(o, w, u, near);
    for (int k = 0; k < n; k++) {
        set_id(out[k].id, w->shopper[near[k].v]);
        out[k].value = near[k].sim;
    }
    free(w);
    return n;
}

static bool is_hidden(const oracle *o, const char *item)
{
    const mark *newest = NULL;
    for (int k = 0; k < o->n_catalog; k++)
        if (strcmp(o->catalog[k].id, item) == 0 &&
            (newest == NULL || o->catalog[k].time > newest->time))
            newest = &o->catalog[k];
    return newest != NULL && newest->is_hidden;
}

static int by_score(const void *pa, const void *pb)
{
    const oracle_row *a = pa, *b = pb;
    if (a->value != b->value)
        return a->value < b->value ? 1 : -1;
    return strcmp(a->id, b->id);
}

/* Popular items that are neither excluded nor in the list, by (shoppers descending, id). */
static int fill(const oracle *o, const world *w, const bool *is_out, oracle_row *out, int n)
{
    int shoppers = 0, from = n, room = o->opt.count - n;
    for (int v = 0; v < w->n_shoppers; v++)
        shoppers += w->last[v] != INT64_MIN;
    for (int i = 0; i < w->n_items; i++) {
        int audience = 0;
        for (int v = 0; v < w->n_shoppers; v++)
            audience += w->in[v][i];
        if (audience == 0 || is_out[i] || is_hidden(o, w->item[i]))
            continue;
        set_id(out[n].id, w->item[i]);
        out[n].is_fill = true;
        out[n++].value = o->opt.fill_weight * ((double)audience / shoppers);
    }
    qsort(out + from, (size_t)(n - from), sizeof *out, by_score);
    if (n - from > room)
        n = from + room;
    qsort(out, (size_t)n, sizeof *out, by_score);
    return n;
}

int oracle_list(const oracle *o, const char *shopper, const char *trigger_item, int64_t now,
                oracle_row *out)
{
    world *w = world_of(o, now);
    candidate near[64];
    int u = shopper_of(w, shopper), n = 0;
    int n_near = neighbours_in(o, w, u, near);
    bool is_out[64] = {0};
    memset(out, 0, ORACLE_ROWS * sizeof *out);
    for (int i = 0; i < w->n_items; i++) {
        is_out[i] = strcmp(w->item[i], trigger_item) == 0 ||
                    (o->opt.exclude != ORACLE_NONE && w->bought[u][i]) ||
                    (o->opt.exclude == ORACLE_SEEN && w->in[u][i]);
        double score = 0;
        for (int k = 0; k < n_near; k++)
            if (w->in[near[k].v][i])
                score += near[k].sim * w->weight[near[k].v][i];
        if (is_out[i] || score == 0)
            continue;
        is_out[i] = true;
        if (is_hidden(o, w->item[i]))
            continue;
        set_id(out[n].id, w->item[i]);
        out[n++].value = score;
    }
    qsort(out, (size_t)n, sizeof *out, by_score);
    if (n > o->opt.count)
        n = o->opt.count;
    if (n < o->opt.count && o->opt.fill)
        n = fill(o, w, is_out, out, n);
    free(w);
    return n;
}

int oracle_entries(const oracle *o)
{
    world *w = world_of(o, 0);
    event *list = malloc((size_t)(o->n_event + 1) * sizeof *list);
    int total = 0, h;
    for (int u = 0; u < w->n_shoppers; u++)
        total += entries_of(o, w->shopper[u], list, &h);
    free(list);
    free(w);
    return total;
}
