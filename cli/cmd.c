/* What a command may ask about its invocation: the reading half of commands/command.h. */
#include <assert.h>
#include <stdlib.h>

#include "cli/cmd.h"

const char *cmd_own(struct cmd *cmd, char *text)
{
	cmd->owned = xreallocarray(cmd->owned, cmd->owned_count + 1, sizeof(*cmd->owned));
	cmd->owned[cmd->owned_count++] = text;
	return text;
}

struct opt_value *cmd_value(const struct cmd *cmd, const char *name)
{
	unsigned i;

	for (i = 0; i < cmd->value_count; i++) {
		if (strcmp(cmd->values[i].option->name, name) == 0)
			return &cmd->values[i];
	}
	assert(0 && "a command asks for an option that is not in its table");
	abort();
}

void cmd_release(struct cmd *cmd)
{
	unsigned i;

	for (i = 0; i < cmd->value_count; i++)
		free(cmd->values[i].items);
	for (i = 0; i < cmd->owned_count; i++)
		free(cmd->owned[i]);
	free(cmd->values);
	free(cmd->owned);
	free(cmd->operands);
	free(cmd->home);
	free(cmd->config_path);
	yaml_release(&cmd->config);
	*cmd = (struct cmd){.command = NULL};
}

const char *cmd_home(const struct cmd *cmd)
{
	return cmd->home;
}

unsigned cmd_operand_count(const struct cmd *cmd)
{
	return cmd->operand_count;
}

const char *cmd_operand(const struct cmd *cmd, unsigned i)
{
	return i < cmd->operand_count ? cmd->operands[i] : NULL;
}

bool cmd_has(const struct cmd *cmd, const char *option)
{
	return cmd_value(cmd, option)->from != FROM_NOWHERE;
}

bool cmd_given(const struct cmd *cmd, const char *option)
{
	return cmd_value(cmd, option)->from == FROM_LINE;
}

bool cmd_flag(const struct cmd *cmd, const char *option)
{
	return cmd_value(cmd, option)->number != 0;
}

const char *cmd_string(const struct cmd *cmd, const char *option, const char *fallback)
{
	const struct opt_value *v = cmd_value(cmd, option);

	return v->count == 0 ? fallback : v->items[0];
}

int64_t cmd_int(const struct cmd *cmd, const char *option, int64_t fallback)
{
	const struct opt_value *v = cmd_value(cmd, option);

	return v->from == FROM_NOWHERE ? fallback : v->number;
}

unsigned cmd_list_count(const struct cmd *cmd, const char *option)
{
	return cmd_value(cmd, option)->count;
}

const char *cmd_list(const struct cmd *cmd, const char *option, unsigned i)
{
	const struct opt_value *v = cmd_value(cmd, option);

	return i < v->count ? v->items[i] : NULL;
}

const char *cmd_part(struct cmd *cmd, const char *option, unsigned i, unsigned n)
{
	const struct opt_value *v = cmd_value(cmd, option);
	struct slice rest = slice_str(i < v->count ? v->items[i] : "");
	size_t end = 0;
	unsigned at;

	for (at = 0; at <= n; at++) {
		if (at > 0)
			rest = slice_sub(rest, end < rest.len ? end + 1 : rest.len, rest.len);
		/* The last member is all that is left. */
		end = v->option->members[at + 1] == NULL ? rest.len : slice_find(rest, '=', 0);
		if (end == SIZE_MAX)
			end = rest.len;
	}
	return end == 0 ? NULL : cmd_own(cmd, xstrndup_slice(slice_sub(rest, 0, end)));
}

bool cmd_json(const struct cmd *cmd)
{
	return cmd->json;
}

bool cmd_verbose(const struct cmd *cmd)
{
	return cmd->verbose;
}

bool cmd_quiet(const struct cmd *cmd)
{
	return cmd->quiet;
}

const char *cmd_env(const struct cmd *cmd, const char *name)
{
	(void)cmd;
	return getenv(name);
}
