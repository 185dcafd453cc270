#include "operators/blend_options.h"

#include <string.h>

kd_rc kd_content_options_of(const kd_opt_values *v, char language[KD_LANGUAGE_NAME],
                            kd_content_options *out, kd_err *err)
{
    static const char *const languages = KD_TEXT_LANGUAGES;
    const char *p = languages;
    for (int64_t k = kd_opt_int(v, "content.language"); k > 0; k--)
        p = strchr(p, '|') + 1;
    size_t n = strcspn(p, "|");
    KD_ASSERT(n < KD_LANGUAGE_NAME);
    memcpy(language, p, n);
    language[n] = '\0';
    kd_content_options o = {
        .text = {.language = language,
                 .keeps_stop_words = kd_opt_int(v, "content.stop-words") != 0,
                 .has_bigrams = kd_opt_int(v, "content.bigrams") != 0,
                 .max_bytes = (uint32_t)kd_opt_int(v, "content.bytes.max"),
                 .max_tokens = (uint32_t)kd_opt_int(v, "content.terms.max")},
        .title = kd_opt_real(v, "content.weight.title"),
        .description = kd_opt_real(v, "content.weight.description"),
        .category = kd_opt_real(v, "content.weight.category"),
        .brand = kd_opt_real(v, "content.weight.brand"),
        .tags = kd_opt_real(v, "content.weight.tags"),
        .neighbours = (uint32_t)kd_opt_int(v, "content.neighbours"),
        .drift = kd_opt_real(v, "content.drift"),
        .search = (kd_content_search)kd_opt_int(v, "content.search"),
        .dimension = (uint32_t)kd_opt_int(v, "content.dimension"),
        .candidates = (uint32_t)kd_opt_int(v, "content.candidates"),
        .seed = (uint64_t)kd_opt_int(v, "content.seed"),
    };
    if (o.dimension % 64 != 0)
        return kd_fail(err, KD_ECONFIG, "content.dimension: %u is not a multiple of 64",
                       o.dimension);
    if (o.candidates < o.neighbours)
        return kd_fail(err, KD_ECONFIG,
                       "content.candidates: %u is less than content.neighbours, %u", o.candidates,
                       o.neighbours);
    *out = o;
    return KD_OK;
}

kd_rc kd_blend_options_of(const kd_opt_values *v, kd_blend_options *out, double *out_half_life,
                          kd_err *err)
{
    int64_t half_life = kd_opt_int(v, "blend.popularity.half-life");
    if (half_life <= 0)
        return kd_fail(err, KD_ECONFIG, "blend.popularity.half-life: more than 0 is right");
    *out_half_life = (double)half_life / (double)KD_MS_DAY;
    *out = (kd_blend_options){
        .usercf = kd_opt_real(v, "blend.usercf"),
        .together = kd_opt_real(v, "blend.together"),
        .content = kd_opt_real(v, "blend.content"),
        .popularity = kd_opt_real(v, "blend.popularity"),
        .few = kd_opt_real(v, "blend.few"),
        .popularity_new = kd_opt_real(v, "blend.popularity.new"),
        .popularity_known = kd_opt_real(v, "blend.popularity.known"),
        .diversity = kd_opt_real(v, "blend.diversity"),
        .count = (uint32_t)kd_opt_int(v, "recommend.count"),
        .content_items = (uint32_t)kd_opt_int(v, "blend.content.items"),
        .together_audience = (uint32_t)kd_opt_int(v, "blend.together.audience"),
        .together_within_ms = kd_opt_int(v, "blend.together.within"),
        .category_max = (uint32_t)kd_opt_int(v, "recommend.category.max"),
        .new_ms = kd_opt_int(v, "blend.new"),
        .has_reasons = kd_opt_int(v, "recommend.reasons") != 0,
    };
    return KD_OK;
}

const kd_opt_value *kd_blend_unused(const kd_opt_values *v, size_t k)
{
    if (kd_opt_int(v, "blend") != 0)
        return NULL;
    for (size_t i = 0; i < v->n; i++) {
        const kd_opt_value *row = &v->rows[i];
        const char *name = row->opt->name;
        bool is_blends = strncmp(name, "blend.", 6) == 0 ||
                         strcmp(name, "recommend.category.max") == 0 ||
                         strcmp(name, "rules.boost") == 0;
        if (is_blends && strcmp(row->s, row->opt->dflt) != 0 && k-- == 0)
            return row;
    }
    return NULL;
}

kd_needs_options kd_needs_options_of(const kd_opt_values *v)
{
    return (kd_needs_options){
        .count = (uint32_t)kd_opt_int(v, "needs.count"),
        .weigh = {.weight = {[KD_VIEW] = kd_opt_real(v, "needs.weight.view"),
                             [KD_LIKE] = kd_opt_real(v, "needs.weight.like"),
                             [KD_CART] = kd_opt_real(v, "needs.weight.cart"),
                             [KD_PAID] = kd_opt_real(v, "needs.weight.purchase")},
                  .half_life_ms = kd_opt_int(v, "needs.half-life")}};
}
