/* Names of roles and targets, their form in a URL, and the hashes of files. */
#include "tuf/metadata.h"

#include "base/encode.h"
#include "tuf/metadata_parts.h"

const char *tuf_type_name(enum tuf_type type)
{
	static const char *const names[TUF_TYPES] = {"root", "timestamp", "snapshot", "targets"};

	return names[type];
}

int tuf_name_bytes_check(struct slice name, size_t max, const char *what, struct error *err)
{
	size_t i;

	if (name.len == 0)
		return error_set(err, ERR_MALFORMED, "%s is empty", what);
	if (name.len > max)
		return error_set(err, ERR_LIMIT, "%s of %zu bytes is longer than %zu", what,
				 name.len, max);
	for (i = 0; i < name.len; i++)
		if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
			return error_set(err, ERR_MALFORMED, "%s '%.*s' has a control character",
					 what, SLICE_ARG(slice_sub(name, 0, 80)));
	return 0;
}

int tuf_role_name_check(struct slice name, struct error *err)
{
	int i;

	if (tuf_name_bytes_check(name, TUF_ROLE_NAME_MAX, "role name", err) < 0)
		return -1;
	for (i = 0; i < TUF_TYPES; i++)
		if (slice_equal_str(name, tuf_type_name((enum tuf_type)i)))
			return error_set(err, ERR_MALFORMED, "delegated role has the name '%s'",
					 tuf_type_name((enum tuf_type)i));
	return 0;
}

int tuf_path_check(struct slice path, struct error *err)
{
	size_t from = 0;

	if (tuf_name_bytes_check(path, TUF_PATH_MAX, "target path", err) < 0)
		return -1;
	while (from <= path.len) {
		size_t slash = slice_find(path, '/', from);
		struct slice part =
			slice_sub(path, from, (slash == SIZE_MAX ? path.len : slash) - from);

		if (part.len == 0 || slice_equal_str(part, ".") || slice_equal_str(part, ".."))
			return error_set(err, ERR_MALFORMED,
					 "target path '%.*s' has an empty, '.' or '..' part",
					 SLICE_ARG(slice_sub(path, 0, 80)));
		if (slash == SIZE_MAX)
			break;
		from = slash + 1;
	}
	return 0;
}

void tuf_percent_put(struct buf *out, struct slice s, bool keep_slash)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~";
	size_t i;

	for (i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];

		if ((c != '\0' && strchr(safe, c) != NULL) || (keep_slash && c == '/'))
			buf_put_u8(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

int tuf_hashes_parse(struct tuf_hashes *out, struct json_value hashes, struct error *err)
{
	struct json_iter it = json_iter(hashes);

	*out = (struct tuf_hashes){.only_unknown = true};
	if (json_count(hashes) == 0)
		return error_set(err, ERR_MALFORMED, "hashes are empty");
	while (json_next(&it)) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "hash '%.*s' is %s, not a string",
					 SLICE_ARG(slice_sub(it.key, 0, 40)),
					 json_type_name(json_type(it.value)));
		if (slice_equal_str(it.key, "sha256")) {
			if (hex_decode(out->sha256, SHA256_LEN, json_string(it.value), err) < 0)
				return error_wrap(err, "hash sha256");
			out->has_sha256 = true;
		} else if (slice_equal_str(it.key, "sha512")) {
			if (hex_decode(out->sha512, SHA512_LEN, json_string(it.value), err) < 0)
				return error_wrap(err, "hash sha512");
			out->has_sha512 = true;
		}
	}
	out->only_unknown = !out->has_sha256 && !out->has_sha512;
	return 0;
}

int tuf_hashes_check(const struct tuf_hashes *h, struct slice bytes, const char *what,
		     struct error *err)
{
	uint8_t got[SHA512_LEN];
	struct sha512 wide;

	if (h->only_unknown)
		return error_set(err, ERR_REFUSED,
				 "%s: none of the listed hashes is of a kind known here", what);
	if (h->has_sha256) {
		sha256_of(bytes, got);
		if (memcmp(got, h->sha256, SHA256_LEN) != 0)
			return error_set(err, ERR_REFUSED,
					 "%s: SHA-256 is not the one that is signed", what);
	}
	if (h->has_sha512) {
		sha512_init(&wide);
		sha512_update(&wide, bytes.ptr, bytes.len);
		sha512_final(&wide, got);
		if (memcmp(got, h->sha512, SHA512_LEN) != 0)
			return error_set(err, ERR_REFUSED,
					 "%s: SHA-512 is not the one that is signed", what);
	}
	return 0;
}
