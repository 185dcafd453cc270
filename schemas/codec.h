/* codec.h - messages <-> records: framing, schema ids, the writer's schema resolved to ours.
 *
 *   with a registry     Confluent wire format: 0, big-endian schema id, Avro body
 *   without one         Avro single-object encoding: C3 01, little-endian CRC-64-AVRO fingerprint
 * of the schema's parsing canonical form, Avro body Both are read where a registry is configured;
 * without one only the schemas of this build (and those of kd_codec_add_schema) are known. A
 * writer's schema is compiled once into a plan that reads its bytes straight into a kd_record,
 * defaults included; decoding then allocates nothing but a catalogue item's tag list.
 *
 * I1 a hostile message costs time linear in its length and at most 64 levels of stack
 * I2 a schema that cannot be had for now, or is not there yet, is KD_RETRY, one that is not there
 * KD_EDATA (reason schema); the latter is remembered for a while, so that garbage ids do not hammer
 * the registry
 * @thread one: a codec belongs to one thread at a time (the bare encoders of avro.h to any).
 */
#ifndef KD_CODEC_H
#define KD_CODEC_H

#include "schemas/avro.h"
#include "schemas/registry.h"

typedef struct kd_codec kd_codec;

typedef struct kd_codec_options {
    kd_registry_options registry; /* .url NULL: no registry */
    bool require;                 /* our schemas must be registered already; false: register them */
    kd_ms (*now)(void *now_arg);  /* any clock, for the life of "no such schema"; NULL: that life is
                                     counted in look-ups (1000) instead of time (30 s) */
    void *now_arg;
    int64_t patience_ms; /* with a clock: the registry is waited for so long in each second;
                            0 = as long as an answer takes */
} kd_codec_options;

/* {0} is valid: no registry. Strings are copied. Nothing is asked of the registry yet. *out is
 * owned by the caller. */
KD_CHECK kd_rc kd_codec_new(const kd_codec_options *o, kd_codec **out, kd_err *err);
void kd_codec_free(kd_codec *c);

/* The registry of this codec, borrowed while the codec lives; NULL if it has none. */
kd_registry *kd_codec_registry(kd_codec *c);

/* Before writing `id` to `topic`: registers or looks up its schema under subject "<topic>-value".
 * Without a registry it only notes the pair. Idempotent. KD_RETRY, KD_ECONFIG as in registry.h. */
KD_CHECK kd_rc kd_codec_prepare(kd_codec *c, const char *topic, kd_schema_id id, kd_err *err);

/* Makes a writer's schema known by its fingerprint (an older version of ours, say). KD_ECONFIG if
 * it is not an Avro schema. */
KD_CHECK kd_rc kd_codec_add_schema(kd_codec *c, const char *text, kd_err *err);

/* Goes on with what the registry was asked, without waiting. True: it has answered. */
bool kd_codec_tend(kd_codec *c);

/* One message -> one record of type `expected`. Fills type and fields; out->pos, ts, emit and raw_*
 * stay as the caller left them. Strings are borrowed from `value` (and `key`), the tag list from
 * `a`. A null value (value == NULL) on a catalogue topic is a removal: item_id = key, time =
 * out->ts, so set out->ts before the call. Does not run kd_record_check. KD_EDATA: framing, schema,
 * decode, utf8, field, number. On failure only the fields are undefined. */
KD_CHECK kd_rc kd_codec_decode(kd_codec *c, kd_record_type expected, const void *key,
                               size_t key_len, const void *value, size_t value_len, kd_record *out,
                               kd_arena *a, kd_err *err);

/* Append the framed message for a topic that was prepared (KD_EBUG if it was not). A record with
 * `removed` is written in full; a KD_OUT_FORGOTTEN appends nothing: the message's value is null. */
KD_CHECK kd_rc kd_codec_encode_record(kd_codec *c, const char *topic, const kd_record *r,
                                      kd_buf *out, kd_err *err);
KD_CHECK kd_rc kd_codec_encode_out(kd_codec *c, const char *topic, const kd_out *o, kd_buf *out,
                                   kd_err *err);

/* Any framed message whose schema can be had -> one JSON object, by its writer's schema. A null
 * value is null. Bytes as in json.h; a union's value stands for itself, without its branch's name.
 * `name` (may be NULL) gets the writer's full name, borrowed while the codec lives. On failure what
 * was appended to out is taken back. */
KD_CHECK kd_rc kd_codec_to_json(kd_codec *c, const void *value, size_t value_len, kd_buf *out,
                                const char **name, kd_err *err);

#endif
