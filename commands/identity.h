/* What the verbs of identity share: writing a new secret to a file, and tables of answers. */
#ifndef MESHANICS_COMMANDS_IDENTITY_H
#define MESHANICS_COMMANDS_IDENTITY_H

#include "commands/command.h"
#include "commands/request.h"

/* ERR_CONFLICT when the file of --out exists already: asked before anything is asked of the server. */
WARN_UNUSED int identity_check_out(struct cmd *cmd, struct error *err);
/*
 * An answer with a member `token`. The token goes to the new file --out (0600), else to standard output on a line of
 * its own. With --json the answer is printed; without the token when that went to a file.
 */
WARN_UNUSED int identity_put_token(struct cmd *cmd, struct json_value answer, struct error *err);

/* Of the file of --root: members root_version and root_sha256. */
WARN_UNUSED int identity_put_root(struct cmd *cmd, struct json_writer *w, struct error *err);
/* An option that may be repeated as an array of strings; nothing when it was not given. */
void identity_put_list(struct cmd *cmd, struct json_writer *w, const char *option, const char *member);

/* A member that is a string, copied into out (size bytes) and made printable; "-" when it is null or absent. */
char *identity_text(struct json_value object, const char *name, char *out, size_t size);

/* DELETE prefix/NAME for each operand, through one door; says each on standard output. what: "token". */
WARN_UNUSED int identity_revoke_each(struct cmd *cmd, const char *prefix, const char *what, struct error *err);

#endif
