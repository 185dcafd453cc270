/* avro_texts.h - the texts of schemas/avro/NAME.avsc as constants; see embed.cmake.
 * @thread any
 */
#ifndef KD_AVRO_TEXTS_H
#define KD_AVRO_TEXTS_H

#include "schemas/avro.h"

extern const char *const kd_avro_texts[KD_SCHEMAS];

#endif
