/*
 * A command is a value: one file in commands/, one exported constant, one line in cli/table.c.
 * This header is the port between cli/ (which parses, asks and prints) and commands/ (which name
 * one operation of lib/ each): commands see a terminal only through the functions below, and cli/
 * implements them.
 */
#ifndef MESHANICS_COMMANDS_COMMAND_H
#define MESHANICS_COMMANDS_COMMAND_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* What cli/ must have at hand before run is called. */
enum command_needs {
	NEEDS_NOTHING = 0,
	NEEDS_HOME = 1 << 0,	/* cmd_home is an existing directory (made if absent: 0700, by root 0755) */
	NEEDS_CONFIG = 1 << 1,	/* the configuration file is read and checked; implied by options with a config key */
};

enum option_type {
	OPT_FLAG,	/* --json */
	OPT_STRING,	/* --name VALUE */
	OPT_INT,	/* --threshold 2; min and max are checked */
	OPT_SIZE,	/* --rate 512K; bytes, suffixes K M G (binary) */
	OPT_DURATION,	/* --expires 90d; seconds, suffixes s m h d w y */
	OPT_LIST,	/* may be given more than once; in the environment separated by commas */
};

struct option {
	const char *name;	/* without the dashes; also the key in the configuration file */
	enum option_type type;
	const char *value;	/* the word for the value in help ("FILE"), NULL for flags */
	const char *help;	/* one line, lower case, no full stop */
	int64_t min, max;	/* of numbers, sizes and durations; both 0: any that is not negative */
	bool required;		/* from whichever source */
	char letter;		/* 'o' for a short form -o; 0 for none */
	const char *config;	/* dotted key in config.yaml ("serve.listen.api"), or NULL: not in the file */
	bool env;		/* has an environment twin; every option with a config key has one */
	/*
	 * Of a list whose items have parts, "NAME=TARGET" on the line: in the file each item is a map with these members, of
	 * which the first `needed` must be there. Ends with NULL; a command splits an item with cmd_part.
	 */
	const char *const *members;
	unsigned needed;
	/*
	 * Whether the last of the items may be, after those before it, each of which may; a value that is no list is the only
	 * one. 0, or -1 with err: why not, and what to do. The same question for the line, the environment and the file,
	 * which cli/ names. NULL: every text may be.
	 */
	int (*check)(const char *const *items, unsigned count, struct error *err);
	bool tolerated;		/* what may not be in the file is warned of alone, since the command goes on without it */
};

/*
 * Where a value comes from: the line, else the environment, else the configuration file, else the fallback that the
 * command names. The environment twin of --listen-api is MESHANICS_LISTEN_API; empty counts as not set. A flag with
 * a twin or a key can be switched off on the line by --no-NAME.
 */

struct cmd;	/* one invocation: options, operands, where to print */

struct command {
	const char *name;	/* "bundle import" */
	const char *usage;	/* operands only: "FILE..." or ""; the man page's SYNOPSIS equals it */
	const char *summary;	/* one line, lower case, no full stop */
	const struct option *options;	/* ends with name == NULL; may be NULL */
	unsigned needs;
	unsigned operands_min, operands_max;	/* of positional arguments */
	bool fails_with_1;	/* whatever fails, also in the line itself: its callers know 0 and 1 alone */
	/* Returns 0, or -1 with err; cli/ prints the error and turns its kind into the exit status. */
	int (*run)(struct cmd *cmd, struct error *err);
};

/* ---- what was asked (borrowed for the life of cmd) ---- */
/* --home, MESHANICS_HOME or the default, absolute. NULL only without NEEDS_HOME, when nothing tells. */
const char *cmd_home(const struct cmd *cmd);
unsigned cmd_operand_count(const struct cmd *cmd);
const char *cmd_operand(const struct cmd *cmd, unsigned i);
bool cmd_has(const struct cmd *cmd, const char *option);	/* given on the line, environment or configuration */
bool cmd_given(const struct cmd *cmd, const char *option);	/* on the line itself */
bool cmd_flag(const struct cmd *cmd, const char *option);
const char *cmd_string(const struct cmd *cmd, const char *option, const char *fallback);
int64_t cmd_int(const struct cmd *cmd, const char *option, int64_t fallback);	/* also OPT_SIZE, OPT_DURATION */
unsigned cmd_list_count(const struct cmd *cmd, const char *option);
const char *cmd_list(const struct cmd *cmd, const char *option, unsigned i);
/* The n-th member of an item of such a list, for the life of cmd; NULL when it is absent or empty. */
const char *cmd_part(struct cmd *cmd, const char *option, unsigned i, unsigned n);
bool cmd_json(const struct cmd *cmd);	/* --json was given; every verb has it */
bool cmd_verbose(const struct cmd *cmd);
bool cmd_quiet(const struct cmd *cmd);
/* An environment variable by name, or NULL: lib/ never reads the environment itself. */
const char *cmd_env(const struct cmd *cmd, const char *name);

/* ---- results: standard output; cli/ checks that they arrived ---- */
/* For people: control bytes that the arguments bring along, other than newline and tab, come out as \xNN. */
void cmd_printf(struct cmd *cmd, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Bytes as they are (a --json document, an exported key). */
void cmd_write(struct cmd *cmd, struct slice bytes);
/* A whole --json document and its newline; asserts that the buf has not failed. */
void cmd_write_json(struct cmd *cmd, const struct buf *document);
/* For streams: pass on what was printed. -1 when standard output is full or gone, so that long work can stop. */
WARN_UNUSED int cmd_flush(struct cmd *cmd, struct error *err);

/* A table: columns from a header, rows of cells. Cells are made printable, columns aligned. */
struct table;
struct table *table_new(const char *const *columns, unsigned count);	/* free with table_free */
void table_row(struct table *t, const char *const *cells);	/* copies; NULL cell prints "-" */
void table_print(struct cmd *cmd, const struct table *t);
void table_free(struct table *t);

/* ---- the rest: standard error ---- */
/* For people: silent with --quiet and with --json. */
void cmd_note(struct cmd *cmd, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "warning: ..."; with --json {"warning":"..."} on a line. */
void cmd_warn(struct cmd *cmd, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Progress of long work in bytes: drawn on a terminal, silent in a pipe. total 0: unknown. Call it often: it draws ten times a second. */
void cmd_progress(struct cmd *cmd, const char *what, uint64_t done, uint64_t total);
void cmd_progress_end(struct cmd *cmd);

/* ---- questions; each has a flag that answers it ---- */
/*
 * A passphrase: from --passphrase-file (whole file, one trailing newline dropped), --passphrase-fd (its next line, so
 * that one descriptor can answer several questions; options every such verb lists with PASSPHRASE_OPTIONS) or the
 * terminal (asked twice when `confirm`). out must be BUF_SECRET with a ceiling of PASSPHRASE_MAX or more. Empty is ERR_USAGE;
 * ERR_USAGE with a hint when there is no terminal and no flag; ERR_REFUSED when others can read the file.
 * which: names the key in the question. option_prefix: "" or "new-" (--new-passphrase-file).
 */
#define PASSPHRASE_MAX 1024	/* bytes */
WARN_UNUSED int cmd_passphrase(struct cmd *cmd, const char *which, const char *option_prefix, bool confirm,
			       struct buf *out, struct error *err);
#define PASSPHRASE_OPTIONS                                                                          \
	{ .name = "passphrase-file", .type = OPT_STRING, .value = "FILE",                           \
	  .help = "read the passphrase from FILE", .env = true },                                   \
	{ .name = "passphrase-fd", .type = OPT_INT, .value = "N", .min = 0, .max = 1023,            \
	  .help = "read the passphrase from descriptor N" }
/* A line from the terminal (fingerprint parts, names). ERR_USAGE naming `flag` when there is no terminal. */
WARN_UNUSED int cmd_ask(struct cmd *cmd, const char *question, const char *flag, struct buf *answer,
			struct error *err);
/* yes/no; --yes answers it. Returns 0 for yes, -1 with ERR_REFUSED for no. */
WARN_UNUSED int cmd_confirm(struct cmd *cmd, const char *question, struct error *err);

#endif
