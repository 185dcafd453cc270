#include "schemas/jval.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static const json_t *peek(const kd_jval *v)
{
    return (const json_t *)(const void *)v;
}

static const kd_jval *wrap(const json_t *j)
{
    return (const kd_jval *)(const void *)j;
}

static kd_reason reason_of(const json_error_t *e)
{
    switch (json_error_code(e)) {
    case json_error_invalid_utf8:
        return KD_REASON_UTF8;
    case json_error_numeric_overflow:
        return KD_REASON_NUMBER;
    default: /* NaN and infinities are no JSON, but what was meant is plain */
        if (strstr(e->text, "near 'NaN") != NULL || strstr(e->text, "near 'Infinity") != NULL ||
            strstr(e->text, "near '-Infinity") != NULL)
            return KD_REASON_NUMBER;
        return KD_REASON_DECODE;
    }
}

kd_rc kd_jval_parse(const char *p, size_t n, kd_jval **out, kd_err *err)
{
    json_error_t e;
    json_t *j = json_loadb(p, n, JSON_DECODE_ANY, &e);
    if (j != NULL) {
        *out = (kd_jval *)(void *)j;
        return KD_OK;
    }
    if (json_error_code(&e) == json_error_out_of_memory)
        return kd_fail(err, KD_ENOMEM, "no room for %zu bytes of JSON", n);
    for (char *c = e.text; *c != '\0'; c++) /* it quotes the input */
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    return kd_bad(err, reason_of(&e), "column %d: %s", e.position > 0 ? e.position : 1,
                  kd_utf8_valid(e.text, strlen(e.text)) ? e.text : "invalid UTF-8");
}

void kd_jval_free(kd_jval *root)
{
    json_decref((json_t *)(void *)root);
}

kd_jkind kd_jval_kind(const kd_jval *v)
{
    switch (json_typeof(peek(v))) {
    case JSON_OBJECT:
        return KD_JOBJECT;
    case JSON_ARRAY:
        return KD_JARRAY;
    case JSON_STRING:
        return KD_JSTR;
    case JSON_INTEGER:
        return KD_JINT;
    case JSON_REAL:
        return KD_JREAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return KD_JBOOL;
    case JSON_NULL:
        break;
    }
    return KD_JNULL;
}

const char *kd_jval_kind_name(const kd_jval *v)
{
    static const char *const names[] = {
        [KD_JNULL] = "null",       [KD_JBOOL] = "a boolean", [KD_JINT] = "an integer",
        [KD_JREAL] = "a number",   [KD_JSTR] = "a string",   [KD_JARRAY] = "an array",
        [KD_JOBJECT] = "an object"};
    return names[kd_jval_kind(v)];
}

bool kd_jval_bool(const kd_jval *v)
{
    return json_is_true(peek(v));
}

int64_t kd_jval_int(const kd_jval *v)
{
    return json_integer_value(peek(v));
}

double kd_jval_real(const kd_jval *v)
{
    return json_number_value(peek(v));
}

kd_str kd_jval_str(const kd_jval *v)
{
    if (v == NULL || !json_is_string(peek(v)))
        return KD_STR_NULL;
    return (kd_str){json_string_value(peek(v)), (uint32_t)json_string_length(peek(v))};
}

size_t kd_jval_size(const kd_jval *v)
{
    if (v == NULL)
        return 0;
    return json_is_array(peek(v)) ? json_array_size(peek(v)) : json_object_size(peek(v));
}

const kd_jval *kd_jval_at(const kd_jval *array, size_t i)
{
    return wrap(json_array_get(peek(array), i));
}

const kd_jval *kd_jval_get(const kd_jval *object, const char *key)
{
    return object == NULL ? NULL : wrap(json_object_get(peek(object), key));
}

const char *kd_jval_dump(const kd_jval *v, kd_arena *a)
{
    char *text = json_dumps(peek(v), JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL)
        return NULL;
    const char *copy = kd_arena_strz(a, kd_str_of(text));
    free(text);
    return copy;
}
