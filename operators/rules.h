/* rules.h - what the shop wants shown more, or less: factors for items, brands and categories.
 *
 *   "brand:ACME=1.5; category:Home > Lamps=0.5; item:p-17=0"
 *
 * A score is multiplied with the factors of all rules that fit the item; 0 keeps it out. A category
 * fits an item in it or anywhere below it; names are folded as kd_text folds them. The factors are
 * multiplied in the order of the text where two rules have one name, the item's own first, then
 * those of the item's terms in their order, so that no slot number shows in a score.
 * There may be many: asking costs a search by the id's hash, and one by that of each term of the
 * item, which the state has, however many rules there are.
 * @thread loop to read; any readers
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
/* The product of the factors that fit. */
double kd_rules_factor(const kd_rules *r, const kd_state *s, uint32_t item);

#endif
