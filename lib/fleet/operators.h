/*
 * Operators: people and scripts who use the API over the network. Each has a name, a role and one token
 * ("mop1...", shown once, stored hashed) that pins the server it may be shown to. Local users who can open
 * control.sock are admin, audited as local:UID, and are not listed here.
 */
#ifndef MESHANICS_FLEET_OPERATORS_H
#define MESHANICS_FLEET_OPERATORS_H

#include "fleet/tokens.h"

struct db;

/*
 * viewer reads. operator also runs the fleet: tags, tokens, rollouts. approver reads and approves waves, and
 * deliberately cannot start them, so that two people are needed. admin may do everything.
 */
enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_APPROVER, ROLE_ADMIN };

const char *role_name(enum role role);
enum role role_by_name(struct slice name);	/* ROLE_NONE when unknown */
/*
 * The only yes is 0: the role has the permission ("rollout.create"). ERR_DENIED names the permission and the
 * roles that have it; a permission that is in no table is denied to everybody.
 */
WARN_UNUSED int permission_check(enum role role, const char *permission, struct error *err);
/* The n-th permission and the set of roles (1 << enum role) that have it; NULL after the last. For the manual. */
const char *permission_at(unsigned n, unsigned *roles);

struct operator {
	char name[NAME_LEN_MAX + 1];
	enum role role;
};

/*
 * Add an operator; out gets the token (wipe it), which pins server_ca. expires_s 0: never. ERR_CONFLICT when a live one
 * has the name (a revoked name may be taken again), ERR_MALFORMED for the name.
 */
WARN_UNUSED int operator_add(struct db *db, struct slice name, enum role role, int64_t expires_s,
			     const uint8_t server_ca[static SHA256_LEN], const char *actor, int64_t now_s,
			     struct operator_token *out, struct error *err);
/* Effective at the next request. Idempotent; ERR_NOT_FOUND. */
WARN_UNUSED int operator_revoke(struct db *db, struct slice name, int64_t now_s, struct error *err);
/*
 * The only yes is 0: text is the token of a live operator, made for this server. ERR_DENIED otherwise, in one
 * wording for unknown and wrong, so that an answer tells nothing about which tokens exist.
 */
WARN_UNUSED int operator_authenticate(struct db *db, struct slice text, const uint8_t server_ca[static SHA256_LEN],
				      int64_t now_s, struct operator *out, struct error *err);

#endif
