/* From argv to a command that runs: the verb, its options from all sources, what it needs. */
#include <stdlib.h>

#include "cli/cmd.h"

/* The words from argv[at] on, up to the first option. */
static unsigned words_at(int argc, char **argv, int at)
{
	unsigned n = 0;

	while (at + (int)n < argc && argv[at + (int)n][0] != '-')
		n++;
	return n;
}

/* Is --help or -h among what is left, before a "--"? */
static bool asks_help(int argc, char **argv, int at)
{
	for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
		if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0)
			return true;
	}
	return false;
}

static void take_globals(struct cmd *cmd)
{
	cmd->json = cmd_flag(cmd, "json");
	cmd->quiet = cmd_flag(cmd, "quiet");
	cmd->verbose = cmd_flag(cmd, "verbose");
	cmd->yes = cmd_flag(cmd, "yes");
	cmd->help = cmd_flag(cmd, "help");
}

/* Everything between the line and run. */
static int run_command(struct cmd *cmd, struct error *err)
{
	if (options_environment(cmd, err) < 0 || home_find(cmd, err) < 0 || options_config(cmd, err) < 0 ||
	    options_complete(cmd, err) < 0)
		return -1;
	if ((cmd->command->needs & NEEDS_HOME) != 0 && home_make(cmd, err) < 0)
		return -1;
	return cmd->command->run(cmd, err);
}

int dispatch(struct cmd *cmd, int argc, char **argv, struct error *err)
{
	const struct command *c;
	const char *const *words;
	unsigned count, used;
	int at = 1;

	options_prepare(cmd, NULL);
	if (options_global(cmd, argc, argv, &at, err) < 0)
		return -1;
	/* The others wait for the whole line; until then cmd->json says whether --json is anywhere in it. */
	cmd->help = cmd_flag(cmd, "help");
	words = (const char *const *)(argv + at);
	count = words_at(argc, argv, at);
	if (count == 0 && cmd->help) {
		help_group(cmd, NULL, 0);
		return 0;
	}
	if (count == 0) {
		error_set(err, ERR_USAGE, "no verb given");
		return error_hint(err, "'meshanics help' lists the verbs");
	}
	c = surface_find(words, count, &used, err);
	if (c == NULL && (cmd->help || asks_help(argc, argv, at)) && surface_is_group(words, count)) {
		help_group(cmd, words, count);
		return 0;
	}
	if (c == NULL)
		return -1;
	options_prepare(cmd, c);
	if (options_line(cmd, argc, argv, at + (int)used, err) < 0)
		return -1;
	take_globals(cmd);
	if (cmd->help) {
		help_command(cmd, c);
		return 0;
	}
	return run_command(cmd, err);
}
