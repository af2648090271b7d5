/*
 * What a request calls in force. It is checked against its own keys only, which anybody can do who
 * makes such a file: a statement of changes is worth as much as the base that they are told
 * against. So the base is named, and doubted until the reader's own copy has confirmed it.
 */
#include <ctype.h>
#include <inttypes.h>

#include "base/encode.h"
#include "tuf/ceremony_internal.h"
#include "tuf/verify.h"

static const char *role_name(enum ceremony_roles role)
{
	return role == CEREMONY_TARGETS ? "targets" : "root";
}

static const char *option_name(enum ceremony_roles role)
{
	return role == CEREMONY_LIKE ? "like" : role_name(role);
}

static const struct tuf_root *root_of(const struct ceremony *c, enum ceremony_roles role)
{
	return role == CEREMONY_LIKE ? c->like : c->root_in_force;
}

static const struct tuf_head *head_in_force(const struct ceremony *c, enum ceremony_roles role)
{
	return role == CEREMONY_TARGETS ? &c->targets_in_force->head : &root_of(c, role)->head;
}

static struct slice text_in_force(const struct ceremony *c, enum ceremony_roles role)
{
	static const char *const members[] = {[CEREMONY_ROOT] = "root_in_force",
					      [CEREMONY_TARGETS] = "targets_in_force",
					      [CEREMONY_LIKE] = "like"};

	return json_raw(json_get(json_root(&c->doc), members[role]));
}

static bool has_in_force(const struct ceremony *c, enum ceremony_roles role)
{
	return role == CEREMONY_TARGETS ? c->targets_in_force != NULL : root_of(c, role) != NULL;
}

/* As sha256sum shows it for the file of `ceremony finish`, which ends with a line feed. */
static void hash_text(char out[static 2 * SHA256_LEN + 1], struct slice text)
{
	struct buf file = BUF_INIT(CEREMONY_REQUEST_MAX + 1);
	uint8_t hash[SHA256_LEN];

	buf_put_slice(&file, text);
	buf_put_u8(&file, '\n');
	sha256_of(buf_slice(&file), hash);
	hex_encode(out, hash, sizeof(hash));
	buf_release(&file);
}

/* As a value in a request stands: without white space around it. */
static struct slice trimmed(struct slice s)
{
	while (s.len > 0 && isspace(s.ptr[s.len - 1]))
		s.len--;
	while (s.len > 0 && isspace(s.ptr[0]))
		s = slice_sub(s, 1, SIZE_MAX);
	return s;
}

int ceremony_confirm(struct ceremony *c, enum ceremony_roles role, struct slice own,
		     struct error *err)
{
	char theirs[2 * SHA256_LEN + 1], mine[2 * SHA256_LEN + 1];
	const char *name = role_name(role);

	if (!has_in_force(c, role) && role == CEREMONY_LIKE)
		return error_set(err, ERR_USAGE, "the request is not made like a root of another site");
	if (!has_in_force(c, role))
		return error_set(err, ERR_USAGE,
				 "the request calls no %s in force that could be compared", name);
	own = trimmed(own);
	if (slice_equal(text_in_force(c, role), own)) {
		c->confirmed |= role;
		return 0;
	}
	hash_text(theirs, text_in_force(c, role));
	hash_text(mine, own);
	error_set(err, ERR_REFUSED,
		  "the request calls another %s in force (SHA-256 %s) than this one (%s)", name,
		  theirs, mine);
	return error_hint(err,
			  "do not sign: the request is forged, or one of the two %s files is not "
			  "the newest; find out which",
			  name);
}

bool ceremony_unconfirmed(const struct ceremony *c, enum ceremony_roles role)
{
	return has_in_force(c, role) && !(c->confirmed & role);
}

/* Whose signatures the file in force bears, by the root that the request brings along. */
static void put_signers(struct buf *out, const struct ceremony *c, enum ceremony_roles role)
{
	const struct tuf_role *r =
		&root_of(c, role)->roles[role == CEREMONY_TARGETS ? TUF_TARGETS : TUF_ROOT];
	const struct tuf_head *head = head_in_force(c, role);
	struct error ignored = ERROR_INIT;
	struct tuf_tally tally;
	const char *between = "";
	unsigned i;

	if (tuf_verify_role(r, head, &tally, "", "", &ignored) < 0)
		return; /* a request with such a file is not parsed */
	for (i = 0; i < r->keys.count; i++) {
		if (tally.state[i] != TUF_SIG_GOOD)
			continue;
		buf_put_str(out, between);
		ceremony_put_who(out, c, r->keys.list[i].id);
		between = ", ";
	}
}

void ceremony_put_against(struct buf *out, const struct ceremony *c, enum ceremony_roles role)
{
	const struct tuf_head *head = head_in_force(c, role);
	char hash[2 * SHA256_LEN + 1];

	if (role == CEREMONY_LIKE)
		buf_printf(out, "  Root keys, targets keys and thresholds are those of root version %" PRId64 "\n"
				"  of site '%s', which ",
			   head->version, c->like->site);
	else
		buf_printf(out, "  Against %s version %" PRId64 ", which ", role_name(role), head->version);
	if (!ceremony_unconfirmed(c, role)) {
		buf_put_str(out, "is in force by your own copy");
		return;
	}
	hash_text(hash, text_in_force(c, role));
	buf_printf(out, "the request calls in force\n    (SHA-256 %s,\n    signed by ", hash);
	put_signers(out, c, role);
	buf_put_u8(out, ')');
}

void ceremony_put_doubt(struct buf *out, const struct ceremony *c, enum ceremony_roles role)
{
	const char *name = role_name(role);

	if (role == CEREMONY_LIKE && ceremony_unconfirmed(c, role))
		buf_printf(out,
			   "    NOTE: nothing here has checked that this root is the one in force at "
			   "'%s'. Compare it\n    with your own copy, --like FILE.\n",
			   c->like->site);
	else if (ceremony_unconfirmed(c, role))
		buf_printf(out,
			   "    NOTE: nothing here has checked that this %s is the one in force. A "
			   "forged or an old one\n    hides changes: compare it with your own "
			   "copy, --%s FILE.\n",
			   name, option_name(role));
}

void ceremony_put_like(struct buf *out, const struct ceremony *c)
{
	if (c->like == NULL)
		return;
	buf_printf(out,
		   "\nTARGETS of site '%s': none are signed here.\n"
		   "  It takes the targets of site '%s' as they are: who says there who publishes what\n"
		   "  says it here, too.\n",
		   c->site, c->like->site);
	ceremony_put_against(out, c, CEREMONY_LIKE);
	buf_put_str(out, ".\n");
	ceremony_put_doubt(out, c, CEREMONY_LIKE);
}
