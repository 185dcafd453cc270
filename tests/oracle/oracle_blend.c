#include "oracle/oracle_blend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { DAY = 86400000, DAYS = 28, MAX_TERMS = 16, POOL = 8 };

/* -- texts --------------------------------------------------------------------------------------
 */

typedef struct doc {
    bool is_here;
    int n;
    char term[MAX_TERMS][40]; /* kind first; in the order of (hash, bytes) */
    double tf[MAX_TERMS];
} doc;

static uint64_t hash_of(const char *term)
{
    return kd_hash64(term, strlen(term), 0);
}

static void add_term(doc *d, char kind, const char *name, size_t n)
{
    char term[40] = {kind};
    memcpy(term + 1, name, n);
    int at = 0;
    while (at < d->n && (hash_of(d->term[at]) < hash_of(term) ||
                         (hash_of(d->term[at]) == hash_of(term) && strcmp(d->term[at], term) < 0)))
        at++;
    if (at < d->n && strcmp(d->term[at], term) == 0) {
        d->tf[at]++;
        return;
    }
    memmove(d->term[at + 1], d->term[at], (size_t)(d->n - at) * sizeof *d->term);
    memmove(&d->tf[at + 1], &d->tf[at], (size_t)(d->n - at) * sizeof *d->tf);
    memcpy(d->term[at], term, sizeof term);
    d->tf[at] = 1;
    d->n++;
}

static const oracle_text *newest_of(const oracle_blend *b, int i)
{
    const oracle_text *newest = NULL;
    for (int k = 0; k < b->n_text; k++)
        if (strcmp(b->text[k].item, b->item[i]) == 0 &&
            (newest == NULL || b->text[k].time > newest->time))
            newest = &b->text[k];
    return newest == NULL || newest->is_removed ? NULL : newest;
}

static void read_doc(const oracle_blend *b, int i, doc *d)
{
    const oracle_text *t = newest_of(b, i);
    memset(d, 0, sizeof *d);
    if (t == NULL)
        return;
    d->is_here = true;
    for (const char *p = t->title; *p != '\0';) {
        size_t n = strcspn(p, " ");
        add_term(d, 'w', p, n);
        p += n + (p[n] == ' ');
    }
    if (t->brand[0] != '\0')
        add_term(d, 'b', t->brand, strlen(t->brand));
    for (const char *p = t->category; *p != '\0';) { /* each prefix of the path */
        p += strcspn(p, " ");
        add_term(d, 'c', t->category, (size_t)(p - t->category));
        p += strncmp(p, " > ", 3) == 0 ? 3 : 0;
    }
}

static double idf(const doc *docs, int n_docs, const char *term)
{
    int n = 0, df = 0;
    for (int d = 0; d < n_docs; d++) {
        n += docs[d].is_here;
        for (int k = 0; k < docs[d].n; k++)
            df += strcmp(docs[d].term[k], term) == 0;
    }
    return log(1.0 + n) - log(1.0 + df) + 1.0;
}

static double cosine(const doc *docs, int n_docs, int a, int b)
{
    double dot = 0, square_a = 0, square_b = 0;
    for (int k = 0; k < docs[a].n; k++) {
        double w = docs[a].tf[k] * idf(docs, n_docs, docs[a].term[k]);
        square_a += w * w;
        for (int j = 0; j < docs[b].n; j++)
            if (strcmp(docs[a].term[k], docs[b].term[j]) == 0)
                dot += w * (docs[b].tf[j] * idf(docs, n_docs, docs[b].term[j]));
    }
    for (int j = 0; j < docs[b].n; j++) {
        double w = docs[b].tf[j] * idf(docs, n_docs, docs[b].term[j]);
        square_b += w * w;
    }
    return square_a > 0 && square_b > 0 ? dot / (sqrt(square_a) * sqrt(square_b)) : 0;
}

/* -- parts --------------------------------------------------------------------------------------
 */

typedef struct row {
    double part[ORACLE_PARTS];
    double score; /* without diversity */
    bool is_in, is_taken;
} row;

/* j is in the list of i: fewer than content_neighbours others that may be shown come before it. */
static bool is_listed(const oracle_blend *b, double (*likeness)[64], int i, int j)
{
    int before = 0;
    if (i == j || b->is_hidden[j] || likeness[i][j] <= 0)
        return false;
    for (int x = 0; x < b->n_items; x++)
        before += x != i && x != j && !b->is_hidden[x] &&
                  (likeness[i][x] > likeness[i][j] ||
                   (likeness[i][x] == likeness[i][j] && strcmp(b->item[x], b->item[j]) < 0));
    return before < b->opt->content_neighbours;
}

/* The likeness of the last one in the list of i; 0 if the list is not full. */
static double end_of(const oracle_blend *b, double (*likeness)[64], int i)
{
    int n = 0;
    double end = 2; /* a cosine of equals may be an ulp above 1 */
    for (int j = 0; j < b->n_items; j++)
        if (is_listed(b, likeness, i, j)) {
            n++;
            end = likeness[i][j] < end ? likeness[i][j] : end;
        }
    return n < b->opt->content_neighbours ? 0 : end;
}

static void add_content(const oracle_blend *b, double (*likeness)[64], row *rows)
{
    int n = b->n_own < b->opt->content_items ? b->n_own : b->opt->content_items;
    double all = 0;
    for (int k = 0; k < n; k++)
        all += 1.0 / (k + 1);
    for (int k = 0; k < n; k++)
        for (int j = 0; j < b->n_items; j++)
            if (is_listed(b, likeness, b->own[k], j))
                rows[j].part[ORACLE_CONTENT] +=
                    b->opt->content / (k + 1) / all *
                    (likeness[b->own[k]][j] - end_of(b, likeness, b->own[k]));
}

static void add_together(const oracle_blend *b, row *rows)
{
    if (b->n_own == 0 || b->opt->together == 0)
        return;
    int newest = b->own[0], looked = 0, took[64] = {0};
    for (int v = 0; v < b->n_shoppers; v++) {
        int before = 0;
        for (int x = 0; x < b->n_shoppers; x++)
            before += b->in[x][newest] && x != v &&
                      (b->since[x][newest] > b->since[v][newest] ||
                       (b->since[x][newest] == b->since[v][newest] &&
                        strcmp(b->shopper[x], b->shopper[v]) > 0));
        if (!b->in[v][newest] || before >= b->opt->together_audience || b->is_self[v])
            continue;
        looked++;
        for (int j = 0; j < b->n_items; j++)
            took[j] += b->in[v][j] && j != newest &&
                       llabs(b->since[v][j] - b->since[v][newest]) <= b->opt->together_within_ms;
    }
    for (int j = 0; j < b->n_items; j++)
        if (took[j] > 0)
            rows[j].part[ORACLE_TOGETHER] = b->opt->together * ((double)took[j] / looked);
}

static void add_popularity(const oracle_blend *b, row *rows)
{
    int64_t trend[64] = {0}, total = 0, postings = 0, today = b->newest / DAY;
    double half_life = (double)b->opt->trend_half_life_ms / DAY;
    for (int i = 0; i < b->n_items; i++) {
        for (int v = 0; v < b->n_shoppers; v++) {
            int64_t age = today - b->since[v][i] / DAY;
            postings += b->in[v][i];
            if (!b->in[v][i] || age >= DAYS)
                continue;
            long weight = lround(1048576.0 * exp2((double)-age / half_life));
            trend[i] += weight < 1 ? 1 : weight;
        }
        total += trend[i];
    }
    double unknown = b->opt->popularity_known / (b->opt->popularity_known + b->n_own);
    double weight = b->opt->popularity + b->opt->popularity_new * (unknown * unknown);
    double expected =
        total > 0 ? (double)postings / (b->all_shoppers + b->opt->few) / (double)total : 0;
    for (int i = 0; i < b->n_items; i++) {
        double share = expected * (double)trend[i];
        rows[i].part[ORACLE_POPULARITY] = weight * (share < 1 ? share : 1);
    }
}

static void score_all(const oracle_blend *b, double (*likeness)[64], row *rows)
{
    if (b->opt->content > 0)
        add_content(b, likeness, rows);
    add_together(b, rows);
    add_popularity(b, rows);
    for (int i = 0; i < b->n_items; i++) {
        double *p = rows[i].part;
        for (int k = 0; k < ORACLE_PARTS; k++)
            p[k] = (float)p[k]; /* all but user-CF's and the rules' */
        if (b->votes[i] > 0)
            p[ORACLE_USERCF] =
                b->opt->usercf * (b->n_near / (b->n_near + b->opt->few)) / b->sims * b->votes[i];
        double sum =
            p[ORACLE_USERCF] + p[ORACLE_TOGETHER] + p[ORACLE_CONTENT] + p[ORACLE_POPULARITY];
        if (b->opt->boosted != NULL && strcmp(b->opt->boosted, b->item[i]) == 0)
            p[ORACLE_RULE] = sum * (b->opt->boost - 1);
        rows[i].score = sum + p[ORACLE_RULE];
        rows[i].is_in = !b->is_out[i] && !b->is_hidden[i] && rows[i].score > 0;
    }
}

static bool has_room(const oracle_blend *b, const int *taken, int n, int i)
{
    const oracle_text *t = newest_of(b, i);
    int same = 0;
    if (b->opt->category_max == 0 || t == NULL || t->category[0] == '\0')
        return true;
    for (int k = 0; k < n; k++) {
        const oracle_text *other = newest_of(b, taken[k]);
        same += other != NULL && strcmp(other->category, t->category) == 0;
    }
    return same < b->opt->category_max;
}

/* Diversity and caps choose from the best few only. */
static void cut_pool(const oracle_blend *b, row *rows)
{
    bool is_cut[64] = {0};
    for (int i = 0; i < b->n_items; i++) {
        int before = 0;
        for (int x = 0; x < b->n_items; x++)
            before += rows[x].is_in && x != i &&
                      (rows[x].score > rows[i].score ||
                       (rows[x].score == rows[i].score && strcmp(b->item[x], b->item[i]) < 0));
        is_cut[i] = before >= POOL * b->opt->count;
    }
    for (int i = 0; i < b->n_items; i++)
        rows[i].is_in = rows[i].is_in && !is_cut[i];
}

static double cost_of(const oracle_blend *b, double (*likeness)[64], const int *taken, int n, int i)
{
    double cost = 0;
    for (int k = 0; k < n; k++)
        if (b->opt->diversity * likeness[taken[k]][i] > cost)
            cost = b->opt->diversity * likeness[taken[k]][i];
    return (float)cost;
}

static void write_row(const oracle_blend *b, row *rows, int i, double cost, oracle_row *out)
{
    rows[i].is_taken = true;
    rows[i].part[ORACLE_DIVERSITY] = -cost;
    memset(out, 0, sizeof *out);
    memcpy(out->id, b->item[i], strlen(b->item[i]));
    memcpy(out->part, rows[i].part, sizeof out->part);
    out->value = rows[i].score - cost;
}

static bool is_new(const oracle_blend *b, int i)
{
    const oracle_text *t = newest_of(b, i);
    if (t == NULL || b->newest - t->time >= b->opt->new_ms)
        return false;
    for (int v = 0; v < b->n_shoppers; v++)
        if (b->in[v][i])
            return false;
    return true;
}

/* The last place of a full list of 5 for what nobody has had and is most like the newest item. */
static void admit_new(const oracle_blend *b, double (*likeness)[64], row *rows, const int *taken,
                      int n, oracle_row *out)
{
    if (b->opt->new_ms == 0 || n < b->opt->count || n < 5 || b->opt->content == 0 || b->n_own == 0)
        return;
    for (int k = 0; k < n; k++)
        if (is_new(b, taken[k]))
            return;
    int best = -1, own = b->own[0];
    for (int i = 0; i < b->n_items; i++) {
        double score = rows[i].score - cost_of(b, likeness, taken, n - 1, i);
        if (!is_listed(b, likeness, own, i) || !is_new(b, i) || b->is_out[i] || score <= 0 ||
            !has_room(b, taken, n - 1, i) || score > out[n - 2].value ||
            (score == out[n - 2].value && strcmp(b->item[i], out[n - 2].id) < 0))
            continue;
        if (best < 0 || likeness[own][i] > likeness[own][best] ||
            (likeness[own][i] == likeness[own][best] && strcmp(b->item[i], b->item[best]) < 0))
            best = i;
    }
    if (best >= 0)
        write_row(b, rows, best, cost_of(b, likeness, taken, n - 1, best), &out[n - 1]);
}

int oracle_blend_list(const oracle_blend *b, oracle_row *out)
{
    doc *docs = calloc(64, sizeof *docs);
    row *rows = calloc(64, sizeof *rows);
    double(*likeness)[64] = calloc(64, sizeof *likeness);
    int taken[64], n = 0;
    for (int i = 0; i < b->n_items; i++)
        read_doc(b, i, &docs[i]);
    for (int i = 0; i < b->n_items; i++)
        for (int j = 0; j < b->n_items; j++)
            likeness[i][j] = cosine(docs, b->n_items, i, j);
    score_all(b, likeness, rows);
    cut_pool(b, rows);
    while (n < b->opt->count) {
        int best = -1;
        double best_score = 0, best_cost = 0;
        for (int i = 0; i < b->n_items; i++) {
            double cost = cost_of(b, likeness, taken, n, i);
            double score = rows[i].score - cost;
            if (!rows[i].is_in || rows[i].is_taken || score <= 0 || !has_room(b, taken, n, i))
                continue;
            if (best >= 0 && (score < best_score ||
                              (score == best_score && strcmp(b->item[i], b->item[best]) > 0)))
                continue;
            best = i;
            best_score = score;
            best_cost = cost;
        }
        if (best < 0)
            break;
        write_row(b, rows, best, best_cost, &out[n]);
        taken[n++] = best;
    }
    admit_new(b, likeness, rows, taken, n, out);
    free(docs);
    free(rows);
    free(likeness);
    return n;
}

static int by_score(const void *pa, const void *pb)
{
    const oracle_row *a = pa, *b = pb;
    if (a->value != b->value)
        return a->value < b->value ? 1 : -1;
    return strcmp(a->id, b->id);
}

static int index_of(const oracle_blend *b, const char *id)
{
    int i = 0;
    while (strcmp(b->item[i], id) != 0)
        i++;
    return i;
}

int oracle_blend_fill(const oracle_blend *b, oracle_row *out, int n)
{
    oracle_row *more = calloc(64, sizeof *more);
    int n_more = 0, taken[64], n_taken = n;
    bool is_listed[64] = {0};
    for (int k = 0; k < n; k++) {
        taken[k] = index_of(b, out[k].id);
        is_listed[taken[k]] = true;
    }
    for (int i = 0; i < b->n_items; i++) {
        int audience = 0;
        for (int v = 0; v < b->n_shoppers; v++)
            audience += b->in[v][i];
        bool is_kept_out = b->opt->boosted != NULL && b->opt->boost == 0 &&
                           strcmp(b->opt->boosted, b->item[i]) == 0;
        if (audience == 0 || b->is_out[i] || b->votes[i] > 0 || b->is_hidden[i] || is_listed[i] ||
            is_kept_out)
            continue;
        memcpy(more[n_more].id, b->item[i], strlen(b->item[i]));
        more[n_more].is_fill = true;
        more[n_more++].value = (float)(b->opt->fill_weight * ((double)audience / b->all_shoppers));
    }
    qsort(more, (size_t)n_more, sizeof *more, by_score);
    for (int k = 0; k < n_more && n < b->opt->count; k++) {
        int i = index_of(b, more[k].id);
        if (!has_room(b, taken, n_taken, i))
            continue;
        taken[n_taken++] = i;
        out[n++] = more[k];
    }
    qsort(out, (size_t)n, sizeof *out, by_score);
    free(more);
    return n;
}
