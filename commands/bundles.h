/* What the verbs of bundles share: opening one, finding the root of its site, and telling what it is. */
#ifndef MESHANICS_COMMANDS_BUNDLES_H
#define MESHANICS_COMMANDS_BUNDLES_H

#include "bundle/check.h"
#include "commands/command.h"
#include "sys/outfiles.h"

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

/* A receipt to be read: "-" is standard input. Before the door is opened. The descriptor, or -1. */
WARN_UNUSED int receipt_in_open(const char *path, struct error *err);

/* A receipt's way to a file (or "-") that whoever runs the verb may write, although the verb becomes somebody else. */
struct receipt_out {
	const char *path;	/* NULL: nowhere */
	bool to_stdout;
	struct outfiles files;
	char name[OUTFILES_NAME_MAX + 1];
};
#define RECEIPT_OUT_INIT ((struct receipt_out){.files = OUTFILES_INIT})
/* Before the door is opened. */
WARN_UNUSED int receipt_out_open(struct receipt_out *o, const char *path, struct error *err);
/* HOME/repo/receipt to there. */
WARN_UNUSED int receipt_out_write(struct receipt_out *o, struct cmd *cmd, struct error *err);
void receipt_out_close(struct receipt_out *o);

#endif
