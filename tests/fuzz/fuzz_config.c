/* The configuration from arbitrary text: an error or a configuration, never a crash or a leak. */
#include <stddef.h>
#include <stdint.h>

#include "topology/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kd_config c;
    kd_err err = {0};
    if (kd_config_init(&c, &err) != KD_OK)
        return 0;
    kd_rc rc = kd_config_text(&c, (const char *)data, size, "fuzz.yaml", &err);
    KD_ASSERT(rc == KD_OK || (rc == KD_ECONFIG && err.where[0] != '\0' && err.msg[0] != '\0'));
    kd_config_dispose(&c);
    return 0;
}
