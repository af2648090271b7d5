/* What the verbs of bundles share: opening one, finding the root of its site, and telling what it is. */
#ifndef MESHANICS_COMMANDS_BUNDLES_H
#define MESHANICS_COMMANDS_BUNDLES_H

#include "bundle/check.h"
#include "commands/command.h"

#define BUNDLE_ROOT_OPTION \
	{ .name = "root", .type = OPT_STRING, .value = "FILE", \
	  .help = "check against this root of the bundle's site; default: what is kept in this home" }

/* The bundle, or the volumes, that the operands name. NULL with err. */
WARN_UNUSED struct bundle_reader *bundle_of_operands(struct cmd *cmd, struct error *err);

/*
 * find of struct bundle_check_options, arg is the cmd: --root FILE, else the newest root of the bundle's site that the
 * repository of this home has or keeps. Leaves out empty when there is none.
 */
int bundle_find_root(void *arg, const struct manifest *m, struct buf *out, struct error *err);

/* "the repository of site 'depot-7'", "devices of site 'main'" */
const char *bundle_for(char out[static 96], const struct manifest *m);
/* Members of an object that is open: what its first line says, and its name. */
void bundle_put_manifest(struct json_writer *w, const struct manifest *m);
/* The same for people, some lines. */
void bundle_print_manifest(struct cmd *cmd, const struct manifest *m);

#endif
