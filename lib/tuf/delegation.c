/* Delegations: whom a targets file trusts for which paths. */
#include "tuf/delegation.h"

#include <stdlib.h>

#include "base/encode.h"
#include "tuf/metadata_parts.h"

#define PATTERN_MAX 4096 /* bytes of one path pattern */

/* ---- shape ---- */

/* Paths: an array of pattern strings. */
static int patterns_check(struct json_value paths, struct error *err)
{
	struct json_iter it = json_iter(paths);

	while (json_next(&it)) {
		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "path pattern is %s, not a string",
					 json_type_name(json_type(it.value)));
		if (json_string(it.value).len > PATTERN_MAX)
			return error_set(err, ERR_LIMIT,
					 "path pattern of %zu bytes is longer than %d",
					 json_string(it.value).len, PATTERN_MAX);
	}
	return 0;
}

static bool is_hex(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
			return false;
	return true;
}

/*
 * Hash prefixes: lower-case hex, at most a whole hash; an empty one would cover everything unsaid.
 */
static int prefixes_check(struct json_value prefixes, struct error *err)
{
	struct json_iter it = json_iter(prefixes);

	while (json_next(&it)) {
		struct slice s =
			json_type(it.value) == JSON_STRING ? json_string(it.value) : SLICE_EMPTY;

		if (s.len < 1 || s.len > 2 * SHA256_LEN || !is_hex(s))
			return error_set(err, ERR_MALFORMED,
					 "path_hash_prefixes holds what is not 1 to 64 lower-case "
					 "hex digits");
	}
	return 0;
}

/* 4.5: exactly one of paths and path_hash_prefixes. */
static int role_scope_check(struct json_value role, struct error *err)
{
	struct json_value paths = {NULL, 0}, prefixes = {NULL, 0};

	if (json_opt_array(role, "paths", &paths, err) < 0 ||
	    json_opt_array(role, "path_hash_prefixes", &prefixes, err) < 0)
		return -1;
	if ((json_type(paths) == JSON_NONE) == (json_type(prefixes) == JSON_NONE))
		return error_set(err, ERR_MALFORMED,
				 "exactly one of paths and path_hash_prefixes is needed");
	if (patterns_check(paths, err) < 0)
		return -1;
	return prefixes_check(prefixes, err);
}

static int role_entry_check(struct json_value role, struct slice *name, struct error *err)
{
	bool terminating;

	if (tuf_role_check(role, err) < 0 || json_need_string(role, "name", name, err) < 0 ||
	    tuf_role_name_check(*name, err) < 0)
		return -1;
	if (json_need_bool(role, "terminating", &terminating, err) < 0 ||
	    role_scope_check(role, err) < 0)
		return error_wrap(err, "role '%.*s'", SLICE_ARG(slice_sub(*name, 0, 80)));
	return 0;
}

static int compare_slices(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* One role is one entry: with two under a name, which keys hold would depend on the reader. */
static int roles_check(struct json_value roles, struct error *err)
{
	struct json_iter it = json_iter(roles);
	size_t n = json_count(roles), count = 0, i;
	struct slice *names;
	int r = -1;

	if (n > TUF_DELEGATIONS_MAX)
		return error_set(err, ERR_LIMIT, "%zu roles are more than %d", n,
				 TUF_DELEGATIONS_MAX);
	names = xcalloc(n, sizeof(*names));
	while (json_next(&it))
		if (role_entry_check(it.value, &names[count++], err) < 0)
			goto out;
	qsort(names, count, sizeof(*names), compare_slices);
	for (i = 1; i < count; i++)
		if (slice_equal(names[i - 1], names[i])) {
			error_set(err, ERR_MALFORMED, "role '%.*s' is listed twice",
				  SLICE_ARG(slice_sub(names[i], 0, 80)));
			goto out;
		}
	r = 0;
out:
	free(names);
	return r;
}

/* TAP 15: 2^bit_length bins, named prefix-HEX. */
static int succinct_check(struct json_value succinct, struct error *err)
{
	struct slice prefix;
	int64_t bits;

	if (tuf_role_check(succinct, err) < 0 ||
	    json_need_int(succinct, "bit_length", 1, 32, &bits, err) < 0 ||
	    json_need_string(succinct, "name_prefix", &prefix, err) < 0 ||
	    tuf_name_bytes_check(prefix, TUF_ROLE_NAME_MAX - 9, "name_prefix", err) < 0)
		return error_wrap(err, "succinct_roles");
	return 0;
}

int tuf_delegations_check(struct json_value delegations, struct error *err)
{
	struct json_value keys, roles = {NULL, 0}, succinct = {NULL, 0};

	if (json_need_object(delegations, "keys", &keys, err) < 0 ||
	    tuf_key_table_check(keys, err) < 0 ||
	    json_opt_array(delegations, "roles", &roles, err) < 0 ||
	    json_opt_object(delegations, "succinct_roles", &succinct, err) < 0)
		return -1;
	if ((json_type(roles) == JSON_NONE) == (json_type(succinct) == JSON_NONE))
		return error_set(err, ERR_MALFORMED,
				 "exactly one of roles and succinct_roles is needed");
	return json_type(roles) != JSON_NONE ? roles_check(roles, err)
					     : succinct_check(succinct, err);
}

/* ---- which role speaks for which path ---- */

/*
 * The length of the UTF-8 character at the head of s (which is valid UTF-8 or, for a path asked
 * for, anything).
 */
static size_t char_len(struct slice s)
{
	size_t n = 1;

	while (n < s.len && n < 4 && (s.ptr[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/*
 * One part of a pattern against one part of a path. Greedy with one point of return: linear times
 * the last star.
 */
static bool part_match(struct slice pattern, struct slice part)
{
	size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;

	while (t < part.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			resume = t;
		} else if (p < pattern.len && pattern.ptr[p] == '?') {
			t += char_len(slice_sub(part, t, part.len));
			p++;
		} else if (p < pattern.len && pattern.ptr[p] == part.ptr[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

bool tuf_pattern_match(struct slice pattern, struct slice path)
{
	size_t p = 0, t = 0;

	for (;;) {
		size_t p_end = slice_find(pattern, '/', p), t_end = slice_find(path, '/', t);
		bool p_last = p_end == SIZE_MAX, t_last = t_end == SIZE_MAX;

		if (p_last != t_last)
			return false;
		if (!part_match(slice_sub(pattern, p, (p_last ? pattern.len : p_end) - p),
				slice_sub(path, t, (t_last ? path.len : t_end) - t)))
			return false;
		if (p_last)
			return true;
		p = p_end + 1;
		t = t_end + 1;
	}
}

static bool role_covers(struct json_value role, struct slice path,
			const uint8_t hash[static SHA256_LEN])
{
	char hex[SHA256_HEX_LEN];
	struct json_iter it;

	for (it = json_iter(json_get(role, "paths")); json_next(&it);)
		if (tuf_pattern_match(json_string(it.value), path))
			return true;
	hex_encode(hex, hash, SHA256_LEN);
	for (it = json_iter(json_get(role, "path_hash_prefixes")); json_next(&it);)
		if (slice_starts(slice_str(hex), json_string(it.value)))
			return true;
	return false;
}

/* TAP 15: the bin is the first bit_length bits of the path's SHA-256. */
static uint64_t succinct_bin(unsigned bits, const uint8_t hash[static SHA256_LEN])
{
	uint32_t head = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 |
			hash[3];

	return head >> (32 - bits);
}

struct tuf_delegation_iter tuf_delegation_iter(const struct tuf_targets *delegator,
					       struct slice path)
{
	struct tuf_delegation_iter it = {.delegator = delegator, .path = path};
	struct json_value succinct = json_get(delegator->delegations, "succinct_roles");
	unsigned bits;

	it.roles = json_iter(json_get(delegator->delegations, "roles"));
	sha256_of(path, it.hash);
	if (json_type(succinct) == JSON_NONE)
		return it;
	bits = (unsigned)json_int(json_get(succinct, "bit_length"));
	if (path.ptr == NULL) {
		it.bins = UINT64_C(1) << bits;
	} else {
		it.bin = succinct_bin(bits, it.hash);
		it.bins = it.bin + 1;
	}
	return it;
}

/* prefix-HEX, the hex as wide as that of the last bin. */
static void bin_name(struct json_value succinct, uint64_t bin, struct tuf_delegation *out)
{
	struct slice prefix = json_string(json_get(succinct, "name_prefix"));
	unsigned bits = (unsigned)json_int(json_get(succinct, "bit_length"));
	char hex[17];

	snprintf(hex, sizeof(hex), "-%0*llx", (int)(bits + 3) / 4, (unsigned long long)bin);
	memcpy(out->name, prefix.ptr, prefix.len);
	memcpy(out->name + prefix.len, hex, strlen(hex) + 1);
}

bool tuf_delegation_next(struct tuf_delegation_iter *it, struct tuf_delegation *out)
{
	if (it->bin < it->bins) {
		out->entry = json_get(it->delegator->delegations, "succinct_roles");
		out->terminating = true;
		bin_name(out->entry, it->bin++, out);
		return true;
	}
	while (json_next(&it->roles)) {
		struct json_value role = it->roles.value;
		struct slice name = json_string(json_get(role, "name"));

		if (it->path.ptr != NULL && !role_covers(role, it->path, it->hash))
			continue;
		memcpy(out->name, name.ptr, name.len);
		out->name[name.len] = '\0';
		out->terminating = json_bool(json_get(role, "terminating"));
		out->entry = role;
		return true;
	}
	return false;
}

struct slice tuf_bin_prefix(struct slice role)
{
	size_t n = role.len;

	while (n > 0 && is_hex(slice_sub(role, n - 1, 1)))
		n--;
	if (n == role.len || n < 6 || !slice_ends(slice_sub(role, 0, n), SLICE_LIT("-bin-")))
		return SLICE_EMPTY;
	return slice_sub(role, 0, n - 1);
}

int tuf_delegation_role(const struct tuf_targets *delegator, const struct tuf_delegation *d,
			struct tuf_role *out, struct error *err)
{
	if (tuf_role_parse(out, d->entry, json_get(delegator->delegations, "keys"), NULL, err) < 0)
		return error_wrap(err, "delegation of '%s'", d->name);
	return 0;
}
