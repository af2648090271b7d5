/* Members that manifests, volumes and receipts have in common: checked when read, and always written the same way. */
#ifndef MESHANICS_BUNDLE_FIELDS_H
#define MESHANICS_BUNDLE_FIELDS_H

#include "base/json.h"
#include "bundle/manifest.h"

#define FIELD_NUMBER_MAX ((INT64_C(1) << 53) - 1)	/* exact in every JSON reader */

/* Member `name` of obj. All: 0, or -1 with ERR_MALFORMED naming the member. */
WARN_UNUSED int field_hash(struct json_value obj, const char *name, uint8_t out[static SHA256_LEN], struct error *err);
/* The same, or null: *has tells. */
WARN_UNUSED int field_hash_or_null(struct json_value obj, const char *name, bool *has, uint8_t out[static SHA256_LEN],
				   struct error *err);
WARN_UNUSED int field_time(struct json_value obj, const char *name, int64_t *out, struct error *err);
WARN_UNUSED int field_name(struct json_value obj, const char *name, char out[static NAME_LEN_MAX + 1],
			   struct error *err);
/* "audit": seq 0 and a hash of zeros go together. */
WARN_UNUSED int field_audit(struct json_value obj, struct bundle_witness *out, struct error *err);
/* "format" is this one, or ERR_REFUSED. */
WARN_UNUSED int field_format(struct json_value obj, const char *want, struct error *err);
/* Exactly 64 lower-case hex digits. */
WARN_UNUSED int hash_parse(uint8_t out[static SHA256_LEN], struct slice text, struct error *err);

void field_put_hash(struct json_writer *w, const char *name, bool has, const uint8_t hash[static SHA256_LEN]);
void field_put_time(struct json_writer *w, const char *name, int64_t t_s);
void field_put_audit(struct json_writer *w, const struct bundle_witness *audit);

#endif
