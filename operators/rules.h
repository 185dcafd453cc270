/* rules.h - what the shop wants shown more, or less: factors for items, brands and categories.
 *
 *   "brand:ACME=1.5; category:Home > Lamps=0.5; item:p-17=0"
 *
 * A score is multiplied with the factors of all rules that fit the item; 0 keeps it out. A category
 * fits an item in it or anywhere below it; names are folded as kd_text folds them.
 * @thread loop to read and resolve; any readers between
 */
#ifndef KD_RULES_H
#define KD_RULES_H

#include "operators/content.h"
#include "operators/state.h"

typedef struct kd_rules kd_rules;

/* KD_ECONFIG names the rule that cannot be read. `text` may be empty. */
KD_CHECK kd_rc kd_rules_new(const char *text, kd_rules **out, kd_err *err);
void kd_rules_free(kd_rules *r);
uint32_t kd_rules_count(const kd_rules *r);
/* Looks up which slots the names have now; before readers come. */
void kd_rules_resolve(kd_rules *r, const kd_state *s);
/* The product of the factors that fit. */
double kd_rules_factor(const kd_rules *r, const kd_state *s, uint32_t item);

#endif
