/*
 * The program as data, for the verbs that speak about the program itself: help, completions, config, doctor.
 * Implemented by cli/, where the table of commands is.
 */
#ifndef MESHANICS_COMMANDS_SURFACE_H
#define MESHANICS_COMMANDS_SURFACE_H

#include "base/yaml.h"
#include "commands/command.h"

/* Every command in the order of help; ends with NULL. */
const struct command *const *surface_commands(void);
/* The heading under which help shows a command ("offline trust"). */
const char *surface_section(const struct command *c);
/* The options that every verb has; ends with name == NULL. */
extern const struct option surface_globals[];
/* The option of a command, or a global one, by name (c may be NULL); NULL when there is none. */
const struct option *surface_option(const struct command *c, struct slice name);

/* Does name ("key generate") begin with these words, each whole? Any name begins with no words. */
bool surface_under(const char *name, const char *const *words, unsigned count);
/* Is there a command under these words? */
bool surface_is_group(const char *const *words, unsigned count);
/*
 * The command whose name is the longest beginning of words; *used is how many it took.
 * NULL when there is none, with the complaint and the nearest name in err (ERR_USAGE).
 */
const struct command *surface_find(const char *const *words, unsigned count, unsigned *used, struct error *err);

/* MESHANICS_<OPTION> into out (64 bytes); NULL when the option has no twin in the environment. */
const char *surface_env_name(const struct option *o, char out[static 64]);

/* The keys that config.yaml may hold: the union of all options' config keys. Ends with key == NULL; free it. */
struct yaml_key *surface_config_keys(void);
/* The configuration file in use (--config, MESHANICS_CONFIG, or the default); "" when nothing tells where. */
const char *surface_config_path(const struct cmd *cmd);
/* Read and check it whole. A default file that is absent is empty; one that was asked for must exist. */
WARN_UNUSED int surface_config_read(const struct cmd *cmd, struct yaml *doc, struct error *err);
/* Whether each value in it may be (option.check). -1 with ERR_USAGE: the first that may not, "FILE:LINE:COLUMN: KEY: why". */
WARN_UNUSED int surface_config_check(const struct cmd *cmd, const struct yaml *doc, struct error *err);

/* Help for a command, as `meshanics help VERB` and `VERB --help` print it (commands/help.c). */
void help_command(struct cmd *cmd, const struct command *c);
/* Help for the verbs under some words ("key"), or for the whole program when count is 0. */
void help_group(struct cmd *cmd, const char *const *words, unsigned count);

#endif
