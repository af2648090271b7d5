/* Who may do what, and who is who among those with a token. */
#include "fleet/operators.h"

#include <assert.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "crypto/key.h"
#include "store/operators.h"
#include "sys/rng.h"

static const char *const role_names[] = {
	[ROLE_NONE] = "none",	  [ROLE_VIEWER] = "viewer", [ROLE_OPERATOR] = "operator",
	[ROLE_APPROVER] = "approver", [ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
	return (size_t)role < ARRAY_SIZE(role_names) ? role_names[role] : role_names[ROLE_NONE];
}

enum role role_by_name(struct slice name)
{
	unsigned role;

	for (role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
		if (slice_equal_str(name, role_names[role]))
			return (enum role)role;
	return ROLE_NONE;
}

#define V (1u << ROLE_VIEWER)
#define O (1u << ROLE_OPERATOR)
#define A (1u << ROLE_APPROVER)
#define ADMIN (1u << ROLE_ADMIN)

/* In the order of the manual (meshanics-operator(1)). */
static const struct permission {
	const char *name;
	unsigned roles;
} permissions[] = {
	{"device.read", V | O | A | ADMIN},
	{"device.write", O | ADMIN},		/* tags */
	{"device.revoke", O | ADMIN},
	{"rollout.read", V | O | A | ADMIN},
	{"rollout.create", O | ADMIN},
	{"rollout.control", O | ADMIN},		/* pause, resume, abort */
	{"rollout.approve", A | ADMIN},
	{"artifact.read", V | O | A | ADMIN},
	{"artifact.publish", O | ADMIN},	/* bytes and signed metadata; trust is in the signatures */
	{"repository.read", V | O | A | ADMIN},
	{"repository.write", ADMIN},		/* a new root, re-signing on demand */
	{"bundle.read", V | O | A | ADMIN},
	{"bundle.write", O | ADMIN},		/* exports, imports, receipts; trust is in the signatures */
	{"token.read", V | O | A | ADMIN},
	{"token.write", O | ADMIN},
	{"ca.read", V | O | A | ADMIN},
	{"ca.write", ADMIN},
	{"operator.read", V | O | A | ADMIN},
	{"operator.write", ADMIN},
	{"audit.read", V | O | A | ADMIN},
	{"status.read", V | O | A | ADMIN},	/* metrics, and the description of the API itself */
	{"backup.create", ADMIN},
};

const char *permission_at(unsigned n, unsigned *roles)
{
	if (n >= ARRAY_SIZE(permissions))
		return NULL;
	*roles = permissions[n].roles;
	return permissions[n].name;
}

/* "operator or admin" */
static const char *list_roles(char out[static 64], unsigned roles)
{
	unsigned role;

	out[0] = '\0';
	for (role = ROLE_VIEWER; role <= ROLE_ADMIN; role++) {
		size_t at = strlen(out);

		if (roles & 1u << role)
			snprintf(out + at, 64 - at, "%s%s", at > 0 ? " or " : "", role_names[role]);
	}
	return out;
}

int permission_check(enum role role, const char *permission, struct error *err)
{
	char who[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(permissions); i++) {
		if (strcmp(permissions[i].name, permission) != 0)
			continue;
		if (role != ROLE_NONE && (permissions[i].roles & 1u << role) != 0)
			return 0;
		error_set(err, ERR_DENIED, "the role '%s' lacks the permission '%s'", role_name(role), permission);
		return error_hint(err, "it takes the role %s", list_roles(who, permissions[i].roles));
	}
	return error_set(err, ERR_DENIED, "no role has the permission '%s'", permission);
}

static void hash_hex(char out[static SHA256_HEX_LEN], struct slice secret)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(secret, hash);
	hex_encode(out, hash, sizeof(hash));
}

static void make_token(struct operator_token *t, const uint8_t server_ca[static SHA256_LEN])
{
	uint8_t id[TOKEN_ID_LEN];

	rng_bytes(id, sizeof(id));
	hex_encode(t->id, id, sizeof(id));
	rng_bytes(t->secret, sizeof(t->secret));
	memcpy(t->server_ca, server_ca, sizeof(t->server_ca));
}

int operator_add(struct db *db, struct slice name, enum role role, int64_t expires_s,
		 const uint8_t server_ca[static SHA256_LEN], const char *actor, int64_t now_s,
		 struct operator_token *out, struct error *err)
{
	struct operator_row row;
	int r;

	assert(role != ROLE_NONE);
	if (name_check(name, "operator name", err) < 0)
		return -1;
	if (expires_s != 0 && expires_s <= now_s)
		return error_set(err, ERR_USAGE, "the operator's token would be over at once");
	if ((r = operator_find(db, name, &row, err)) < 0)
		return -1;
	if (r > 0 && row.revoked_s == 0) {
		error_set(err, ERR_CONFLICT, "operator '%s' exists already", row.name);
		return error_hint(err, "'meshanics operator revoke %s' first, for a new token or role", row.name);
	}
	make_token(out, server_ca);
	row = (struct operator_row){.created_s = now_s, .expires_s = expires_s};
	snprintf(row.name, sizeof(row.name), "%.*s", SLICE_ARG(name));
	snprintf(row.role, sizeof(row.role), "%s", role_name(role));
	snprintf(row.created_by, sizeof(row.created_by), "%s", actor);
	memcpy(row.token_id, out->id, sizeof(row.token_id));
	hash_hex(row.secret_hash, slice_of(out->secret, sizeof(out->secret)));
	if (operator_put(db, &row, err) < 0) {
		operator_token_wipe(out);
		return -1;
	}
	return 0;
}

int operator_revoke(struct db *db, struct slice name, int64_t now_s, struct error *err)
{
	struct operator_row row;
	int r = operator_find(db, name, &row, err);

	if (r < 0)
		return -1;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no operator '%.*s'", SLICE_ARG(name));
	return operator_set_revoked(db, name, now_s, err);
}

/* The token has been recognised: from here on its holder may know why it is refused. */
static int check_row(const struct operator_row *row, int64_t now_s, struct error *err)
{
	char text[TIME_TEXT_LEN];

	if (row->revoked_s != 0)
		return error_set(err, ERR_DENIED, "the token of operator '%s' was revoked at %s", row->name,
				 time_text(text, row->revoked_s));
	if (row->expires_s != 0 && now_s > row->expires_s)
		return error_set(err, ERR_DENIED, "the token of operator '%s' ended at %s", row->name,
				 time_text(text, row->expires_s));
	return 0;
}

int operator_authenticate(struct db *db, struct slice text, const uint8_t server_ca[static SHA256_LEN],
			  int64_t now_s, struct operator *out, struct error *err)
{
	struct operator_row row = {.name = ""};
	struct operator_token t;
	char hash[SHA256_HEX_LEN];
	int r = -1, found;

	if (operator_token_parse(&t, text, err) < 0) {
		err->kind = ERR_DENIED;
		return -1;
	}
	if (memcmp(t.server_ca, server_ca, sizeof(t.server_ca)) != 0) {
		error_set(err, ERR_DENIED, "the operator token was made for another server");
		goto out;
	}
	if ((found = operator_find_token(db, t.id, &row, err)) < 0)
		goto out;
	hash_hex(hash, slice_of(t.secret, sizeof(t.secret)));
	if (!secret_equal(slice_str(hash), slice_str(row.secret_hash)) || found == 0) {
		error_set(err, ERR_DENIED, "the operator token is not known here");
		goto out;
	}
	if (check_row(&row, now_s, err) < 0)
		goto out;
	memcpy(out->name, row.name, sizeof(out->name));
	out->role = role_by_name(slice_str(row.role));
	r = 0;
out:
	operator_token_wipe(&t);
	return r;
}
