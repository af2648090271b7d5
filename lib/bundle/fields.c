/* Members that manifests, volumes and receipts have in common. */
#include "bundle/fields.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/timefmt.h"

int hash_parse(uint8_t out[static SHA256_LEN], struct slice text, struct error *err)
{
	size_t i;

	for (i = 0; i < text.len; i++)
		if (text.ptr[i] >= 'A' && text.ptr[i] <= 'F')
			return error_set(err, ERR_MALFORMED, "not 64 hex digits in lower case");
	return hex_decode(out, SHA256_LEN, text, err);
}

int field_hash(struct json_value obj, const char *name, uint8_t out[static SHA256_LEN], struct error *err)
{
	struct slice text;

	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	return hash_parse(out, text, err) < 0 ? error_wrap(err, "member '%s'", name) : 0;
}

int field_hash_or_null(struct json_value obj, const char *name, bool *has, uint8_t out[static SHA256_LEN],
		       struct error *err)
{
	*has = json_type(json_get(obj, name)) != JSON_NULL;
	memset(out, 0, SHA256_LEN);
	return *has ? field_hash(obj, name, out, err) : 0;
}

int field_time(struct json_value obj, const char *name, int64_t *out, struct error *err)
{
	struct slice text;

	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	return time_parse(out, text, err) < 0 ? error_wrap(err, "member '%s'", name) : 0;
}

int field_name(struct json_value obj, const char *name, char out[static NAME_LEN_MAX + 1], struct error *err)
{
	struct slice text;

	if (json_need_string(obj, name, &text, err) < 0 || name_check(text, name, err) < 0)
		return -1;
	memcpy(out, text.ptr, text.len);
	out[text.len] = '\0';
	return 0;
}

int field_audit(struct json_value obj, struct bundle_witness *out, struct error *err)
{
	static const char *const members[] = {"seq", "hash", NULL};
	static const uint8_t zeros[SHA256_LEN];
	struct json_value v;

	if (json_need_object(obj, "audit", &v, err) < 0)
		return -1;
	if (json_only(v, members, err) < 0 || json_need_int(v, "seq", 0, FIELD_NUMBER_MAX, &out->seq, err) < 0 ||
	    field_hash(v, "hash", out->hash, err) < 0)
		return error_wrap(err, "member 'audit'");
	if ((out->seq == 0) != (memcmp(out->hash, zeros, SHA256_LEN) == 0))
		return error_set(err, ERR_MALFORMED, "member 'audit': seq 0 and a hash of zeros go together");
	return 0;
}

int field_format(struct json_value obj, const char *want, struct error *err)
{
	struct slice format;

	if (json_need_string(obj, "format", &format, err) < 0)
		return -1;
	if (slice_equal_str(format, want))
		return 0;
	error_set(err, ERR_REFUSED, "the format is '%.*s', not '%s'", SLICE_ARG(slice_sub(format, 0, 40)), want);
	return error_hint(err, "read it with the newer meshanics that made it");
}

void field_put_hash(struct json_writer *w, const char *name, bool has, const uint8_t hash[static SHA256_LEN])
{
	if (has)
		json_put_hex(w, name, hash, SHA256_LEN);
	else
		json_put_null(w, name);
}

void field_put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, name, time_text(text, t_s));
}

void field_put_audit(struct json_writer *w, const struct bundle_witness *audit)
{
	json_open_object(w, "audit");
	json_put_hex(w, "hash", audit->hash, SHA256_LEN);
	json_put_int(w, "seq", audit->seq);
	json_close(w);
}
