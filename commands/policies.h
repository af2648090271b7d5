/* Rules of a network as an operator gives and sees them, for the verbs of policy. They need NEEDS_HOME. */
#ifndef MESHANICS_COMMANDS_POLICIES_H
#define MESHANICS_COMMANDS_POLICIES_H

#include "commands/called.h"

#define POLICY_RULES_MAX ALLOW_MAX	/* operands of one line */
#define POLICY_DOCUMENT_MAX (4u << 20)
#define POLICY_OPTIONS                                                                                           \
	NETWORK_OPTION, { .name = "from", .type = OPT_LIST, .value = "NODE", .help = "for this caller alone, by name or id" }, \
	{                                                                                                        \
		.name = "to", .type = OPT_STRING, .value = "FORWARD",                                            \
		.help = "to this forward alone, or . for this node alone"                                        \
	}

/* A change of the rules of one network, with the store locked. */
struct policy {
	struct cmd *cmd;
	struct netstore store;
	struct network network;
	struct members members;
	struct allow asked[POLICY_RULES_MAX];	/* the operands, with --to */
	size_t asked_count;
	bool to_given;
	char (*from)[MESH_NAME_MAX + 1];	/* owned; each --from as a name, or digits of an id */
	unsigned from_count;
	struct allow_list done;		/* what was added, or taken away */
};

/* Read operands, lock the store, read network and nodes, --from and --to. Ended by policy_end, also after an error. */
WARN_UNUSED int policy_begin(struct policy *p, struct cmd *cmd, struct error *err);
void policy_end(struct policy *p);

/* Is what a rule is for there: the node and all forwards, the node, or a forward that is known? */
bool policy_target_there(const struct network *n, const struct allow *a);
/* A rule in --json; m may tell what its caller is called now. */
void policy_put_rule(struct json_writer *w, const struct network *n, const struct members *m, const struct allow *a);
/* An array of all rules, and who gets an answer to echo. */
void policy_put_rules(struct json_writer *w, const struct network *n, const struct members *m);
/* The whole answer of a verb that changed something; what: "allowed" or "removed", the name of the array of p->done. */
void policy_report_json(struct policy *p, const char *what);

#endif
