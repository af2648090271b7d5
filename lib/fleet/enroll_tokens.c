/* Making and revoking of enrolment tokens. */
#include <stdio.h>

#include "base/encode.h"
#include "fleet/enroll_internal.h"
#include "store/devices.h"
#include "store/tokens.h"
#include "sys/rng.h"

int enroll_check_names(struct slice device, struct slice name_prefix, const char *what, struct error *err)
{
	if (device.len > 0 && name_prefix.len > 0)
		return error_set(err, ERR_USAGE, "%s has a device or a name prefix, not both", what);
	if (device.len > 0 && name_check(device, "device name", err) < 0)
		return -1;
	if (name_prefix.len > ENROLL_PREFIX_MAX)
		return error_set(err, ERR_USAGE, "name prefix is longer than %d bytes", ENROLL_PREFIX_MAX);
	return name_prefix.len > 0 ? name_check(name_prefix, "name prefix", err) : 0;
}

static int check_names(const struct enroll_token_spec *s, int64_t uses, struct error *err)
{
	if (s->device.len > 0 && s->name_prefix.len == 0 && uses != 1)
		return error_set(err, ERR_USAGE, "a token for one device has one use, not %lld", (long long)uses);
	return enroll_check_names(s->device, s->name_prefix, "a token", err);
}

static int check_urls(const struct enroll_token_spec *s, struct error *err)
{
	size_t i;

	if (s->url_count < 1 || s->url_count > TOKEN_URLS_MAX)
		return error_set(err, ERR_USAGE, "a token has 1 to %d addresses, not %zu", TOKEN_URLS_MAX,
				 s->url_count);
	for (i = 0; i < s->url_count; i++) {
		if (token_url_check(slice_str(s->urls[i]), err) < 0) {
			err->kind = ERR_USAGE;
			return -1;
		}
	}
	return 0;
}

static int check_spec(const struct enroll_token_spec *s, int64_t life_s, int64_t uses, struct error *err)
{
	if (life_s < ENROLL_TOKEN_LIFE_MIN_S || life_s > ENROLL_TOKEN_LIFE_MAX_S)
		return error_set(err, ERR_USAGE, "the life of a token is 1 minute to 90 days");
	if (uses < 1 || uses > ENROLL_TOKEN_USES_MAX)
		return error_set(err, ERR_USAGE, "the uses of a token are 1 to %d", ENROLL_TOKEN_USES_MAX);
	if (s->note.len > TOKEN_NOTE_MAX)
		return error_set(err, ERR_USAGE, "the note is longer than %d bytes", TOKEN_NOTE_MAX);
	if (s->root_version < 1 || s->root_version > INT32_MAX)
		return error_set(err, ERR_USAGE, "root version %lld is out of range", (long long)s->root_version);
	return check_names(s, uses, err) < 0 ? -1 : check_urls(s, err);
}

/* Tags are names, so that joining by commas loses nothing. */
int enroll_join_tags(char *out, size_t size, const struct slice *tags, size_t count, struct error *err)
{
	size_t i, at = 0;

	out[0] = '\0';
	if (count > DEVICE_TAGS_MAX)
		return error_set(err, ERR_USAGE, "more than %d tags", DEVICE_TAGS_MAX);
	for (i = 0; i < count; i++) {
		if (name_check(tags[i], "tag", err) < 0)
			return -1;
		at += (size_t)snprintf(out + at, size - at, "%s%.*s", i > 0 ? "," : "", SLICE_ARG(tags[i]));
	}
	return 0;
}

static void fill_token(struct enroll_token *t, const struct enroll_server *server,
		       const struct enroll_token_spec *spec)
{
	uint8_t id[TOKEN_ID_LEN];
	size_t i;

	*t = (struct enroll_token){.root_version = spec->root_version, .url_count = (unsigned)spec->url_count};
	rng_bytes(id, sizeof(id));
	hex_encode(t->id, id, sizeof(id));
	rng_bytes(t->secret, sizeof(t->secret));
	snprintf(t->site, sizeof(t->site), "%s", server->site);
	memcpy(t->server_ca, server->ca[CA_SERVER].fingerprint, sizeof(t->server_ca));
	memcpy(t->root_sha256, spec->root_sha256, sizeof(t->root_sha256));
	for (i = 0; i < spec->url_count; i++)
		snprintf(t->urls[i], sizeof(t->urls[i]), "%s", spec->urls[i]);
}

int enroll_token_create(struct db *db, const struct enroll_server *server, const struct enroll_token_spec *spec,
			const char *actor, int64_t now_s, struct enroll_token *out, struct error *err)
{
	int64_t life_s = spec->life_s == 0 ? ENROLL_TOKEN_LIFE_DEFAULT_S : spec->life_s;
	int64_t uses = spec->uses == 0 ? 1 : spec->uses;
	struct token_row row = {.uses_max = uses, .uses_left = uses, .created_s = now_s};
	uint8_t hash[SHA256_LEN];

	if (check_spec(spec, life_s, uses, err) < 0 ||
	    enroll_join_tags(row.tags, sizeof(row.tags), spec->tags, spec->tag_count, err) < 0)
		return -1;
	fill_token(out, server, spec);
	memcpy(row.id, out->id, sizeof(row.id));
	sha256_of(slice_of(out->secret, sizeof(out->secret)), hash);
	hex_encode(row.secret_hash, hash, sizeof(hash));
	snprintf(row.device, sizeof(row.device), "%.*s", SLICE_ARG(spec->device));
	snprintf(row.name_prefix, sizeof(row.name_prefix), "%.*s", SLICE_ARG(spec->name_prefix));
	printable(row.note, sizeof(row.note), spec->note);
	snprintf(row.created_by, sizeof(row.created_by), "%s", actor);
	row.expires_s = now_s + life_s;
	if (token_insert(db, &row, err) < 0) {
		enroll_token_wipe(out);
		return -1;
	}
	return 0;
}

int enroll_token_revoke(struct db *db, struct slice id, int64_t now_s, struct error *err)
{
	char text[TOKEN_ID_TEXT];
	uint8_t raw[TOKEN_ID_LEN];
	struct token_row row;
	int r;

	if (hex_decode(raw, sizeof(raw), id, err) < 0)
		return error_wrap(err, "token id");
	hex_encode(text, raw, sizeof(raw));
	if ((r = token_find(db, text, &row, err)) < 0)
		return -1;
	if (r == 0) {
		error_set(err, ERR_NOT_FOUND, "no token %s", text);
		return error_hint(err, "'meshanics enroll token list' shows them");
	}
	return token_set_revoked(db, text, now_s, err);
}
