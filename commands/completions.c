/* `completions`: scripts for the shells, so thin that they cannot drift: they ask `help --complete`. */
#include "base/embed.h"
#include "base/json.h"
#include "commands/command.h"

EMBED(completions_bash, "completions/meshanics.bash");
EMBED(completions_zsh, "completions/meshanics.zsh");
EMBED(completions_fish, "completions/meshanics.fish");

static void print_script(struct cmd *cmd, const char *shell, struct slice text)
{
	struct buf b = BUF_INIT(65536);
	struct json_writer w = JSON_WRITER(&b);

	if (!cmd_json(cmd)) {
		cmd_write(cmd, text);
		return;
	}
	json_open_object(&w, NULL);
	json_put_string(&w, "shell", shell);
	json_put_slice(&w, "script", text);
	json_close(&w);
	cmd_write_json(cmd, &b);
	buf_release(&b);
}

static int completions_run(struct cmd *cmd, struct error *err)
{
	const struct {
		const char *shell;
		struct slice text;
	} scripts[] = {
		{"bash", EMBEDDED(completions_bash)},
		{"zsh", EMBEDDED(completions_zsh)},
		{"fish", EMBEDDED(completions_fish)},
	};
	const char *shell = cmd_operand(cmd, 0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (strcmp(shell, scripts[i].shell) == 0) {
			print_script(cmd, shell, scripts[i].text);
			return 0;
		}
	}
	error_set(err, ERR_USAGE, "no completions for shell '%s'", shell);
	return error_hint(err, "there are some for bash, zsh and fish");
}

const struct command cmd_completions = {
	.name = "completions",
	.usage = "bash|zsh|fish",
	.summary = "print a completion script for a shell",
	.operands_min = 1,
	.operands_max = 1,
	.run = completions_run,
};
