/* One invocation, as cli/ sees it: what was asked, where it came from, where to print. Not for commands/. */
#ifndef MESHANICS_CLI_CMD_H
#define MESHANICS_CLI_CMD_H

#include <stdio.h>

#include "base/yaml.h"
#include "commands/command.h"
#include "commands/surface.h"

enum source { FROM_NOWHERE = 0, FROM_LINE, FROM_ENVIRONMENT, FROM_CONFIG };

/* The value of one option; items are borrowed from argv, the environment, the configuration or cmd->owned. */
struct opt_value {
	const struct option *option;
	enum source from;
	const char **items;	/* owned array */
	unsigned count;
	int64_t number;		/* of numbers, sizes, durations; 0 or 1 for a flag */
};

struct progress {
	int64_t started_ms, drawn_ms;	/* monotonic; 0: not begun */
	bool shown;			/* a line stands on the terminal, without its newline */
};

struct cmd {
	const struct command *command;	/* NULL while it is not known */
	struct opt_value *values;	/* of all options, global ones first; owned */
	unsigned value_count;
	const char **operands;		/* owned array, borrowed words */
	unsigned operand_count;
	struct yaml config;		/* what the file says; empty when it was not read */
	char *home;			/* owned; NULL when nothing tells */
	char *config_path;		/* owned */
	bool config_asked;		/* the path was given, so the file must exist */
	bool json, quiet, verbose, yes, help;
	char **owned;			/* copies that values point into */
	unsigned owned_count;
	FILE *out;			/* standard output */
	int out_errno;			/* the first failure to write it */
	struct progress progress;
};

/* Keep text for as long as cmd lives; returns it. */
const char *cmd_own(struct cmd *cmd, char *text);
/* The value of an option that exists (asserted); from tells whether it was given. */
struct opt_value *cmd_value(const struct cmd *cmd, const char *name);
void cmd_release(struct cmd *cmd);

/* ---- options.c ---- */
/* Make cmd->values for a command's options; what the global ones hold already stays. */
void options_prepare(struct cmd *cmd, const struct command *c);
/*
 * Global options in front of the verb: *at moves to the first word that is none. After it, options and operands of
 * the verb in any order. -1 with ERR_USAGE.
 */
WARN_UNUSED int options_global(struct cmd *cmd, int argc, char **argv, int *at, struct error *err);
WARN_UNUSED int options_line(struct cmd *cmd, int argc, char **argv, int at, struct error *err);
/* The environment, then the configuration file, for what the line left open; then what is required. */
WARN_UNUSED int options_environment(struct cmd *cmd, struct error *err);
WARN_UNUSED int options_config(struct cmd *cmd, struct error *err);
WARN_UNUSED int options_complete(struct cmd *cmd, struct error *err);

/* ---- home.c: where things are ---- */
WARN_UNUSED int home_find(struct cmd *cmd, struct error *err);
WARN_UNUSED int home_make(struct cmd *cmd, struct error *err);

/* ---- dispatch.c ---- */
/* Find the verb, gather its options, run it. */
WARN_UNUSED int dispatch(struct cmd *cmd, int argc, char **argv, struct error *err);

/* ---- output.c ---- */
void output_start(struct cmd *cmd);
/* Close standard output; -1 when what was printed did not arrive. Ends the process by SIGPIPE when its reader went away. */
WARN_UNUSED int output_finish(struct cmd *cmd, struct error *err);
void output_error(struct cmd *cmd, const struct error *err, int status);	/* status: what the process will exit with */
/* May standard error be drawn upon: a terminal that is not dumb? May it be coloured: also no NO_COLOR? */
bool output_can_draw(void);
bool output_can_colour(int fd);
/* Columns that printable UTF-8 text takes on a terminal. */
size_t text_columns(const char *s);

#endif
