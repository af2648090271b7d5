/* Networks as an operator names and sees them, for the verbs of mgmt-keys. They need NEEDS_HOME. */
#ifndef MESHANICS_COMMANDS_MGMT_KEYS_H
#define MESHANICS_COMMANDS_MGMT_KEYS_H

#include "base/json.h"
#include "commands/command.h"
#include "mesh/store.h"

#define ID_SHORT 12	/* digits of an id that people are shown */

/* The network that a word means, read whole. */
WARN_UNUSED int mgmt_keys_read(const struct netstore *s, const char *word, struct network *n, struct error *err);
/* The network of --network, or without it the only one there is. */
WARN_UNUSED int mgmt_keys_network(const struct cmd *cmd, const struct netstore *s, struct network *n, struct error *err);
/* All networks, in the order in which they were joined. */
WARN_UNUSED int mgmt_keys_ids(const struct netstore *s, struct network_ids *ids, struct error *err);
/* Each network in that order, or the one of --network, for reading. An `each` that returns -1 ends it. */
WARN_UNUSED int mgmt_keys_each(const struct cmd *cmd, int (*each)(void *arg, const struct netstore *s,
								  const struct network *n, struct error *err),
			       void *arg, struct error *err);
/* Tells a user who is not root, and has said nothing of a home, that the mesh of this machine has another one. */
void mgmt_keys_note_home(struct cmd *cmd);
#define NETWORK_OPTION                                                        \
	{ .name = "network", .type = OPT_STRING, .value = "NETWORK",          \
	  .help = "by name or id; may be left out where there is only one" }
/*
 * When a key expires that is made now, by --expires-in and --never-expires: 0 for never. *said: either was given; else
 * *expires_s is 0. ERR_USAGE for both.
 */
WARN_UNUSED int mgmt_keys_expiry(const struct cmd *cmd, int64_t now_s, int64_t *expires_s, bool *said,
				 struct error *err);
#define EXPIRES_MAX_S (INT64_C(100) * 365 * 86400)
#define EXPIRY_OPTIONS                                                                                      \
	{ .name = "expires-in", .type = OPT_DURATION, .value = "TIME", .min = 60, .max = EXPIRES_MAX_S,     \
	  .help = "the new key ends then (30d); nodes have to have the next one before" },                  \
	{ .name = "never-expires", .type = OPT_FLAG, .help = "the new key does not end by itself" }

/* "never", a time, or a time and "expired". Returns out. */
#define EXPIRY_TEXT_LEN 48
const char *mgmt_keys_expiry_text(char out[static EXPIRY_TEXT_LEN], const struct netkey *k, int64_t now_s);
/* Rules joined by commas; "nothing" for none. Appends. */
void mgmt_keys_put_allow(struct buf *out, const struct allow_list *l);
/* This node's own IPv4 and IPv6 address, if its claims tell; false otherwise. */
#define ADDRESS_TEXT_LEN 46
bool mgmt_keys_addresses(const struct network *n, char v4[static ADDRESS_TEXT_LEN], char v6[static ADDRESS_TEXT_LEN]);
/* The same of any place in this node's blocks. */
bool mgmt_keys_place(const struct network *n, unsigned ordinal, unsigned slot, char v4[static ADDRESS_TEXT_LEN],
		     char v6[static ADDRESS_TEXT_LEN]);
/* What every verb says of a network in --json; with its secret when asked. */
void mgmt_keys_put_json(struct json_writer *w, const struct network *n, int64_t now_s, bool secret);
/* The same for people, one fact a line, without the secret. */
void mgmt_keys_print(struct cmd *cmd, const struct network *n, int64_t now_s);
/* One network as the whole answer of a verb. */
void mgmt_keys_report(struct cmd *cmd, const struct network *n, int64_t now_s);

#endif
