/* rules.h - what the shop wants shown more, or less: factors for items, brands and categories.
 *
 *   "brand:ACME=1.5; category:Home > Lamps=0.5; item:p-17=0"
 *
 * A score is multiplied with the factors of all rules that fit the item; 0 keeps it out. A category
 * fits an item in it or anywhere below it; names are folded as kd_text folds them. The factors are
 * multiplied in the order of the text where two rules have one name, the item's own first, then
 * those of the item's terms in their order, so that no slot number shows in a score.
 * There may be many: asking costs one search by the id's hash, which the state has, and one in a
 * small table for each term of the item, however many rules there are.
 * @thread loop to read and resolve; any readers between
 */
#ifndef KD_RULES_H
#define KD_RULES_H

#include "base/opt.h"
#include "operators/content.h"
#include "operators/state.h"

typedef struct kd_rules kd_rules;

/* Of the option `rules.boost`, which may be empty. KD_ECONFIG names the rule that cannot be read,
 * and where the option is from. */
KD_CHECK kd_rc kd_rules_of(const kd_opt_values *v, kd_rules **out, kd_err *err);
void kd_rules_free(kd_rules *r);
/* Different names in them. */
uint32_t kd_rules_count(const kd_rules *r);
/* Looks up which slots the brands and categories have now; before readers come.  O(those) */
void kd_rules_resolve(kd_rules *r, const kd_state *s);
/* The product of the factors that fit. */
double kd_rules_factor(const kd_rules *r, const kd_state *s, uint32_t item);

#endif
