/* The key with which an artifact is published: --key, or the publisher's own in this home's repository. */
#ifndef MESHANICS_COMMANDS_PUBLISHER_KEY_H
#define MESHANICS_COMMANDS_PUBLISHER_KEY_H

#include "commands/command.h"
#include "control/publication.h"

#define PUBLISHER_KEY_OPTIONS                                                                             \
	{ .name = "publisher", .type = OPT_STRING, .value = "NAME",                                       \
	  .help = "refuse when the slice is not that of publisher NAME" },                                \
	{ .name = "key", .type = OPT_STRING, .value = "NAME",                                             \
	  .help = "the publisher's key, by its name in this home or by path; else the repository's own" }, \
	{ .name = "also-by", .type = OPT_LIST, .value = "PUB",                                            \
	  .help = "another key of this publisher, whose files are built upon; repeat" },                  \
	{ .name = "at-least", .type = OPT_INT, .value = "VERSION", .min = 1, .max = TUF_VERSION_MAX,      \
	  .help = "refuse when an older version of the file to be built upon is shown" },                 \
	PASSPHRASE_OPTIONS

struct publisher_key {
	struct cmd *cmd;
	struct seckey *given;	/* of --key, until it is taken */
	struct pubkey also[ONLINE_RECORD_KEYS_MAX];	/* of --also-by */
	unsigned also_count;
};

/* Opens --key where it is given: to be called before the door may change who we are. Release in every case. */
WARN_UNUSED int publisher_key_begin(struct publisher_key *k, struct cmd *cmd, struct error *err);
/* What the publication has to know of it, once its door is open. */
void publisher_key_terms(const struct publisher_key *k, struct publication *p);
/* A publication_key (control/publication.h); arg is the struct publisher_key. */
struct seckey *publisher_key_get(void *arg, const char *publisher, struct error *err);
void publisher_key_release(struct publisher_key *k);

#endif
