#include "oracle/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "oracle/oracle_blend.h"

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

typedef struct pair { /* a user and a session that one record named */
    char user[ORACLE_ID], session[ORACLE_ID];
    int64_t time;
} pair;

struct oracle {
    oracle_options opt;
    pair *pair;
    int n_pair;
    event *event;
    int n_event, cap_event;
    mark *forget, *catalog;
    int n_forget, n_catalog;
    oracle_text *text;
    int n_text;
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
    free(o->pair);
    free(o->forget);
    free(o->catalog);
    free(o->text);
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

void oracle_product(oracle *o, const char *item, const char *title, const char *category,
                    const char *brand, bool is_removed, int64_t time)
{
    o->text = realloc(o->text, (size_t)(o->n_text + 1) * sizeof *o->text);
    oracle_text *t = &o->text[o->n_text++];
    *t = (oracle_text){.time = time, .is_removed = is_removed};
    set_id(t->item, item);
    memcpy(t->title, title, strlen(title));
    memcpy(t->category, category, strlen(category));
    memcpy(t->brand, brand, strlen(brand));
}

void oracle_named(oracle *o, const char *user, const char *session, int64_t time)
{
    o->pair = realloc(o->pair, (size_t)(o->n_pair + 1) * sizeof *o->pair);
    pair *p = &o->pair[o->n_pair++];
    set_id(p->user, user);
    set_id(p->session, session);
    p->time = time;
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

/* What this id did up to and at this time is forgotten: by a request of its own, or as a session by
 * one of a user it was named with, up to then. */
static int64_t dead_until(const oracle *o, const char *id)
{
    int64_t dead = INT64_MIN;
    for (int k = 0; k < o->n_forget; k++) {
        const mark *f = &o->forget[k];
        if (strcmp(f->id, id) == 0 && f->time > dead)
            dead = f->time;
        for (int j = 0; j < o->n_pair; j++) {
            const pair *p = &o->pair[j];
            int64_t until = p->time < f->time ? p->time : f->time;
            if (strcmp(p->session, id) == 0 && strcmp(p->user, f->id) == 0 && until > dead)
                dead = until;
        }
    }
    return dead;
}

/* The kept entries of a shopper, most recent first; the first *out_h of them are H(u). */
static int entries_of(const oracle *o, const char *shopper, event *out, int *out_h)
{
    int64_t from = horizon(o), dead = dead_until(o, shopper);
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
    int order[64][64];     /* items of I(u), newest first */
    int64_t last[64];      /* most recent activity, INT64_MIN: nothing kept */
    int size[64];          /* |I(u)| */
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
            if (k >= h)
                continue;
            double weight = o->opt.weight[list[k].action];
            if (o->opt.window_ms > 0 && now - list[k].time > o->opt.window_ms)
                weight = 0;
            if (o->opt.half_life_ms > 0 && now > list[k].time)
                weight *= exp2(-(double)(now - list[k].time) / (double)o->opt.half_life_ms);
            if (!w->in[u][i] || weight > w->weight[u][i])
                w->weight[u][i] = weight;
            if (!w->in[u][i]) {
                w->in[u][i] = true;
                w->since[u][i] = list[k].time;
                w->order[u][w->size[u]++] = i;
            }
        }
    }
    free(list);
    return w;
}

/* -- whom a list is for: the user with the sessions that it owns --------------------------------
 */

typedef struct subject {
    bool is_self[64]; /* shoppers */
    bool in[64], bought[64];
    int order[64], size; /* items newest first */
    int64_t now;
} subject;

static int64_t midnight(int64_t t)
{
    const int64_t day = 86400000;
    return t == INT64_MIN ? t : t / day * day;
}

/* A link is there while neither side is forgotten up to it and its day is not over the horizon. */
static bool is_link(const oracle *o, const pair *p)
{
    return p->time > dead_until(o, p->user) && p->time > dead_until(o, p->session) &&
           p->time >= midnight(horizon(o));
}

static bool is_owner(const oracle *o, const pair *p)
{
    for (int k = 0; k < o->n_pair; k++) {
        const pair *q = &o->pair[k];
        if (strcmp(q->session, p->session) == 0 && is_link(o, q) &&
            (q->time > p->time || (q->time == p->time && strcmp(q->user, p->user) > 0)))
            return false;
    }
    return true;
}

/* The user's links by (time, session) falling, one a session; at most links.max. */
static int links_of(const oracle *o, const char *user, pair *out)
{
    int n = 0;
    for (int k = 0; k < o->n_pair; k++) {
        const pair *p = &o->pair[k];
        if (strcmp(p->user, user) != 0 || !is_link(o, p) || !is_owner(o, p))
            continue;
        bool is_there = false;
        for (int j = 0; j < n; j++)
            is_there |= strcmp(out[j].session, p->session) == 0;
        if (is_there)
            continue;
        int at = n++;
        for (; at > 0 &&
               (out[at - 1].time < p->time ||
                (out[at - 1].time == p->time && strcmp(out[at - 1].session, p->session) < 0));
             at--)
            out[at] = out[at - 1];
        out[at] = *p;
    }
    return n < o->opt.links_max ? n : o->opt.links_max;
}

static subject subject_of(const oracle *o, world *w, const char *shopper, int64_t now)
{
    subject s = {.now = now};
    event *list = malloc((size_t)(o->n_event + 1) * 8 * sizeof *list);
    pair *links = malloc((size_t)(o->n_pair + 1) * sizeof *links);
    int h, n = entries_of(o, shopper, list, &h), n_links = links_of(o, shopper, links);
    for (int v = 0; v < w->n_shoppers; v++)
        s.is_self[v] = strcmp(w->shopper[v], shopper) == 0;
    for (int k = 0; k < n_links; k++) {
        for (int v = 0; v < w->n_shoppers; v++)
            s.is_self[v] |= strcmp(w->shopper[v], links[k].session) == 0;
        int more = entries_of(o, links[k].session, list + n, &h), kept = n;
        for (int j = n; j < n + more; j++) {
            int at = 0;
            while (at < n &&
                   (strcmp(list[at].item, list[j].item) != 0 || list[at].action != list[j].action))
                at++;
            if (at == n)
                list[kept++] = list[j];
            else if (list[j].time > list[at].time)
                list[at].time = list[j].time;
        }
        n = kept;
    }
    qsort(list, (size_t)n, sizeof *list, by_recency);
    for (int k = 0; k < n; k++) {
        int i = index_of(w->item, &w->n_items, list[k].item);
        if (!is_live(list, n, &list[k]))
            continue;
        s.bought[i] |= list[k].action == ORACLE_PAID &&
                       (o->opt.exclude_for_ms == 0 || now - list[k].time < o->opt.exclude_for_ms);
        if (k < o->opt.history_max && !s.in[i]) {
            s.in[i] = true;
            s.order[s.size++] = i;
        }
    }
    free(links);
    free(list);
    return s;
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

static int shoppers_of(const world *w)
{
    int n = 0;
    for (int v = 0; v < w->n_shoppers; v++)
        n += w->last[v] != INT64_MIN;
    return n;
}

static int audience_of(const world *w, int i)
{
    int n = 0;
    for (int v = 0; v < w->n_shoppers; v++)
        n += w->in[v][i];
    return n;
}

typedef struct candidate {
    int v, step;      /* of the most recent shared item, 0 = the newest */
    int64_t num, den; /* the similarity (or its square) as a fraction, where it is one */
    double sim;
} candidate;

/* The weight of item i in the IDF-weighted cosine, squared. */
static double idf_square(const oracle *o, const world *w, int i)
{
    double idf = log((1.0 + shoppers_of(w)) / (1.0 + audience_of(w, i))) + 1.0;
    double weight = pow(idf, o->opt.idf_exponent);
    return weight * weight;
}

static double fall(int kind, int step, int length)
{
    double p = (double)(length - step) / length;
    return kind == ORACLE_DIV         ? p
           : kind == ORACLE_LINEAR    ? (step < 10 ? 1.0 - step / 10.0 : 0.0)
           : kind == ORACLE_LOG       ? log10(1.7) / log10(step + 1.7)
           : kind == ORACLE_QUADRATIC ? p * p
                                      : 1.0;
}

static double decay(int kind, int step)
{
    return kind == ORACLE_DIV         ? 1.0 / step
           : kind == ORACLE_LINEAR    ? (step < 10 ? 1.0 - step / 10.0 : 0.0)
           : kind == ORACLE_LOG       ? 1.0 / log10(step + 1.7)
           : kind == ORACLE_QUADRATIC ? 1.0 / ((double)step * step)
                                      : 1.0;
}

static double weighted(const oracle *o, const world *w, const subject *s, int v)
{
    double sum = 0, norm_u = 0, norm_v = 0;
    for (int k = 0; k < s->size; k++) {
        bool is_shared = in_audience(o, w, v, s->order[k]);
        double weight = o->opt.similarity == ORACLE_VSKNN ? fall(o->opt.vsknn_weight, k, s->size)
                        : o->opt.similarity == ORACLE_IDF_COSINE ? idf_square(o, w, s->order[k])
                        : o->opt.stan_recency > 0                ? exp(-k / o->opt.stan_recency)
                                                                 : 1.0;
        if (o->opt.similarity != ORACLE_IDF_COSINE && o->opt.idf_shared > 0) {
            double most = log(1.0 + shoppers_of(w)) + 1.0;
            double idf = log((1.0 + shoppers_of(w)) / (1.0 + audience_of(w, s->order[k]))) + 1.0;
            weight *= pow(idf / most, o->opt.idf_shared);
        }
        norm_u += weight;
        if (is_shared)
            sum += weight;
    }
    if (o->opt.similarity == ORACLE_VSKNN)
        return sum / s->size;
    if (o->opt.similarity == ORACLE_STAN) {
        int64_t age = s->now > w->last[v] ? s->now - w->last[v] : 0;
        return fmin(1.0, sum / sqrt((double)s->size * w->size[v])) *
               (o->opt.stan_age_ms > 0 ? exp(-(double)age / (double)o->opt.stan_age_ms) : 1.0);
    }
    for (int k = 0; k < w->size[v]; k++)
        norm_v += idf_square(o, w, w->order[v][k]);
    return fmin(1.0, sum / sqrt(norm_u * norm_v));
}

static bool is_more_similar(const oracle *o, const candidate *x, const candidate *y)
{
    if (o->opt.similarity <= ORACLE_COSINE)
        return x->num * y->den > y->num * x->den;
    return x->sim > y->sim;
}

static int neighbours_in(const oracle *o, const world *w, const subject *s, candidate *out)
{
    int n = 0;
    for (int v = 0; v < w->n_shoppers; v++) {
        int64_t c = 0, a = s->size, b = w->size[v];
        int step = 0;
        for (int k = s->size; k-- > 0;)
            if (in_audience(o, w, v, s->order[k])) {
                c++;
                step = k;
            }
        if (s->is_self[v] || c < o->opt.overlap_min || c == 0)
            continue;
        candidate x = {v, step, c, a + b - c, (double)c / (double)(a + b - c)};
        if (o->opt.similarity == ORACLE_COSINE)
            x = (candidate){v, step, c * c, a * b, (double)c / sqrt((double)(a * b))};
        else if (o->opt.similarity > ORACLE_COSINE)
            x.sim = weighted(o, w, s, v);
        if (x.sim == 0)
            continue;
        int at = n++;
        for (; at > 0; at--) {
            const candidate *y = &out[at - 1];
            bool is_better = is_more_similar(o, &x, y)   ? true
                             : is_more_similar(o, y, &x) ? false
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

int oracle_neighbours(const oracle *o, const char *shopper, int64_t now, oracle_row *out)
{
    world *w = world_of(o, now);
    candidate near[64];
    subject of = subject_of(o, w, shopper, now);
    int n = neighbours_in(o, w, &of, near);
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
    int shoppers = shoppers_of(w), from = n, room = o->opt.count - n;
    for (int i = 0; i < w->n_items; i++) {
        int audience = audience_of(w, i);
        if (audience == 0 || is_out[i] || is_hidden(o, w->item[i]))
            continue;
        set_id(out[n].id, w->item[i]);
        out[n].is_fill = true;
        out[n++].value = (float)(o->opt.fill_weight * ((double)audience / shoppers));
    }
    qsort(out + from, (size_t)(n - from), sizeof *out, by_score);
    if (n - from > room)
        n = from + room;
    qsort(out, (size_t)n, sizeof *out, by_score);
    return n;
}

/* What neighbour x gives item i. */
static double vote(const oracle *o, const world *w, const subject *s, const candidate *x, int i)
{
    double sim = x->sim;
    if (o->opt.similarity == ORACLE_VSKNN)
        sim *= decay(o->opt.vsknn_decay, x->step + 1);
    if (o->opt.vote_recency > 0)
        sim *= pow(1.0 + x->step, -o->opt.vote_recency);
    int at = 0, shared = 0; /* newest = 0 */
    for (int k = 0; k < w->size[x->v]; k++) {
        at = w->order[x->v][k] == i ? k : at;
        shared = w->order[x->v][k] == s->order[x->step] ? k : shared;
    }
    double fall = at < shared ? o->opt.vote_after : o->opt.vote_before, distance = abs(at - shared);
    double share = at == shared ? o->opt.vote_shared : fall > 0 ? exp(-distance / fall) : 1.0;
    if (o->opt.similarity == ORACLE_STAN && o->opt.stan_distance > 0)
        share *= exp(-distance / o->opt.stan_distance);
    return sim * w->weight[x->v][i] * share;
}

/* Everything that a blend is made from, as plain numbers. */
static int blended(const oracle *o, world *w, const subject *of, const candidate *near, int n_near,
                   const char *trigger_item, oracle_row *out)
{
    oracle_blend *b = calloc(1, sizeof *b);
    for (int k = 0; k < o->n_text; k++)
        index_of(w->item, &w->n_items, o->text[k].item);
    for (int k = 0; k < o->n_event; k++)
        b->newest = o->event[k].time > b->newest ? o->event[k].time : b->newest;
    for (int k = 0; k < o->n_forget; k++)
        b->newest = o->forget[k].time > b->newest ? o->forget[k].time : b->newest;
    *b = (oracle_blend){.opt = &o->opt,
                        .n_items = w->n_items,
                        .n_shoppers = w->n_shoppers,
                        .newest = b->newest,
                        .text = o->text,
                        .n_text = o->n_text,
                        .n_own = of->size,
                        .n_near = n_near,
                        .all_shoppers = shoppers_of(w)};
    memcpy(b->own, of->order, sizeof b->own);
    memcpy(b->is_self, of->is_self, sizeof b->is_self);
    memcpy(b->in, w->in, sizeof b->in);
    memcpy(b->since, w->since, sizeof b->since);
    for (int v = 0; v < w->n_shoppers; v++)
        b->shopper[v] = w->shopper[v];
    for (int k = 0; k < n_near; k++)
        b->sims += near[k].sim;
    for (int i = 0; i < w->n_items; i++) {
        b->item[i] = w->item[i];
        b->is_hidden[i] = is_hidden(o, w->item[i]);
        b->is_out[i] = strcmp(w->item[i], trigger_item) == 0 ||
                       (o->opt.exclude != ORACLE_NONE && of->bought[i]) ||
                       (o->opt.exclude == ORACLE_SEEN && of->in[i]);
        for (int k = 0; k < n_near; k++)
            if (w->in[near[k].v][i])
                b->votes[i] += vote(o, w, of, &near[k], i);
        if (o->opt.idf_score > 0 && b->votes[i] > 0)
            b->votes[i] *= 1.0 + o->opt.idf_score * log((double)shoppers_of(w) / audience_of(w, i));
    }
    int n = oracle_blend_list(b, out);
    if (n < o->opt.count && o->opt.fill)
        n = oracle_blend_fill(b, out, n);
    free(b);
    return n;
}

int oracle_list(const oracle *o, const char *shopper, const char *trigger_item, int64_t now,
                oracle_row *out)
{
    world *w = world_of(o, now);
    candidate near[64];
    int n = 0;
    subject of = subject_of(o, w, shopper, now);
    int n_near = neighbours_in(o, w, &of, near);
    bool is_out[64] = {0};
    memset(out, 0, ORACLE_ROWS * sizeof *out);
    if (o->opt.is_blended) {
        n = blended(o, w, &of, near, n_near, trigger_item, out);
        free(w);
        return n;
    }
    for (int i = 0; i < w->n_items; i++) {
        is_out[i] = strcmp(w->item[i], trigger_item) == 0 ||
                    (o->opt.exclude != ORACLE_NONE && of.bought[i]) ||
                    (o->opt.exclude == ORACLE_SEEN && of.in[i]);
        double score = 0;
        for (int k = 0; k < n_near; k++)
            if (w->in[near[k].v][i])
                score += vote(o, w, &of, &near[k], i);
        if (o->opt.idf_score > 0 && score > 0)
            score *= 1.0 + o->opt.idf_score * log((double)shoppers_of(w) / audience_of(w, i));
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
