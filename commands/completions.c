/* `completions`: scripts for the shells, so thin that they cannot drift: they ask `help --complete`. */
#include "base/json.h"
#include "commands/command.h"

static const char bash_script[] =
	"# bash completion for meshanics: the program itself says what can follow.\n"
	"_meshanics()\n"
	"{\n"
	"\tlocal IFS=$'\\n'\n"
	"\tCOMPREPLY=($(\"$1\" help --complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null | cut -f1))\n"
	"}\n"
	"complete -o bashdefault -o default -F _meshanics meshanics\n";

static const char zsh_script[] =
	"#compdef meshanics\n"
	"# zsh completion for meshanics: the program itself says what can follow.\n"
	"_meshanics()\n"
	"{\n"
	"\tlocal -a found\n"
	"\tfound=(${${(f)\"$(\"$words[1]\" help --complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"}/$'\\t'/:})\n"
	"\tif (( $#found )); then _describe meshanics found; else _files; fi\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _meshanics ]; then _meshanics \"$@\"; else compdef _meshanics meshanics; fi\n";

static const char fish_script[] =
	"# fish completion for meshanics: the program itself says what can follow.\n"
	"function __meshanics_complete\n"
	"\tset -l words (commandline -opc) (commandline -ct)\n"
	"\t$words[1] help --complete -- $words[2..-1] 2>/dev/null\n"
	"end\n"
	"complete -c meshanics -a '(__meshanics_complete)'\n";

static const struct {
	const char *shell, *text;
} scripts[] = {
	{"bash", bash_script},
	{"zsh", zsh_script},
	{"fish", fish_script},
};

static void print_script(struct cmd *cmd, const char *shell, const char *text)
{
	struct buf b = BUF_INIT(65536);
	struct json_writer w = JSON_WRITER(&b);

	if (!cmd_json(cmd)) {
		cmd_write(cmd, slice_str(text));
		return;
	}
	json_open_object(&w, NULL);
	json_put_string(&w, "shell", shell);
	json_put_string(&w, "script", text);
	json_close(&w);
	cmd_write_json(cmd, &b);
	buf_release(&b);
}

static int completions_run(struct cmd *cmd, struct error *err)
{
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
