/* `help`: what the program can do, from the table of commands itself; also for scripts and completions. */
#include <assert.h>
#include <stdio.h>

#include "base/json.h"
#include "commands/surface.h"

#define WIDTH 80
#define OPTION_COLUMN 28	/* where the explanation of an option begins */

/* ---- text in 80 columns ---- */

/* Words of text from column `at` (already used) on; continuation lines begin at `indent`. Ends the line. */
static void put_wrapped(struct cmd *cmd, const char *text, size_t at, size_t indent)
{
	bool gap = false;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (gap && at + 1 + word > WIDTH) {
			cmd_printf(cmd, "\n%*s", (int)indent, "");
			at = indent;
		} else if (gap) {
			cmd_printf(cmd, " ");
			at++;
		}
		gap = true;
		cmd_printf(cmd, "%.*s", (int)word, text);
		at += word;
		text += word;
		text += strspn(text, " ");
	}
	cmd_printf(cmd, "\n");
}

/* left, then right from column `column` on; on a line of its own when left is too long. */
static void put_pair(struct cmd *cmd, const char *left, const char *right, size_t column)
{
	size_t len = strlen(left);

	cmd_printf(cmd, "  %s", left);
	if (len + 4 > column)
		cmd_printf(cmd, "\n%*s", (int)column, "");
	else
		cmd_printf(cmd, "%*s", (int)(column - len - 2), "");
	put_wrapped(cmd, right, column, column);
}

/* "-o, --output FILE" */
static const char *option_left(const struct option *o, char *out, size_t size)
{
	char letter[8] = "";

	if (o->letter != 0)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(out, size, "%s--%s%s%s", letter, o->name, o->value == NULL ? "" : " ",
		 o->value == NULL ? "" : o->value);
	return out;
}

/* The explanation, with the other places where the value may come from. */
static void put_option(struct cmd *cmd, const struct option *o, bool globals)
{
	char left[128], right[512], env[64];
	const char *variable = globals ? NULL : surface_env_name(o, env);

	snprintf(right, sizeof(right), "%s%s%s%s%s%s", o->help, o->required ? " (required)" : "",
		 o->config == NULL ? "" : "; key ", o->config == NULL ? "" : o->config,
		 variable == NULL || o->config != NULL ? "" : "; ",
		 variable == NULL || o->config != NULL ? "" : variable);
	put_pair(cmd, option_left(o, left, sizeof(left)), right, OPTION_COLUMN);
}

static void put_options(struct cmd *cmd, const char *title, const struct option *o, bool globals)
{
	if (o == NULL || o->name == NULL)
		return;
	cmd_printf(cmd, "\n%s:\n", title);
	for (; o->name != NULL; o++)
		put_option(cmd, o, globals);
}

/* The verb, what it cannot do without, and its operands. */
static void put_usage(struct cmd *cmd, const struct command *c)
{
	struct buf usage = BUF_INIT(4096);
	const struct option *o;

	buf_printf(&usage, "usage: meshanics %s", c->name);
	for (o = c->options; o != NULL && o->name != NULL; o++) {
		if (o->required)
			buf_printf(&usage, " --%s %s", o->name, o->value);
	}
	buf_printf(&usage, " [options] %s", c->usage);
	put_wrapped(cmd, buf_cstr(&usage), 0, strlen("usage: meshanics "));
	buf_release(&usage);
}

void help_command(struct cmd *cmd, const struct command *c)
{
	int first = (int)strcspn(c->name, " ");

	put_usage(cmd, c);
	cmd_printf(cmd, "\n");
	put_wrapped(cmd, c->summary, 0, 0);
	put_options(cmd, "options", c->options, false);
	put_options(cmd, "every verb", surface_globals, true);
	cmd_printf(cmd, "\nman meshanics-%.*s has the details.\n", first, c->name);
}

/* ---- groups of verbs ---- */

static void put_summaries(struct cmd *cmd, const char *const *words, unsigned count)
{
	const struct command *const *c;
	size_t column = 0;

	for (c = surface_commands(); *c != NULL; c++) {
		if (surface_under((*c)->name, words, count) && strlen((*c)->name) + 4 > column)
			column = strlen((*c)->name) + 4;
	}
	for (c = surface_commands(); *c != NULL; c++) {
		if (surface_under((*c)->name, words, count))
			put_pair(cmd, (*c)->name, (*c)->summary, column);
	}
}

/* Do two names share their first word? */
static bool same_first(const char *a, const char *b)
{
	size_t n = strcspn(a, " ");

	return n == strcspn(b, " ") && strncmp(a, b, n) == 0;
}

/* "key generate|list|show": all commands in a row that share a first word. Returns the first one behind them. */
static const struct command *const *put_family(struct cmd *cmd, const struct command *const *c)
{
	const struct command *const *first = c;
	size_t word = strcspn((*c)->name, " "), at = 2 + word, len;

	cmd_printf(cmd, "  %.*s", (int)word, (*c)->name);
	for (; *c != NULL && same_first((*first)->name, (*c)->name); c++) {
		const char *rest = (*c)->name + word;

		len = strlen(rest);
		if (len == 0)
			continue;
		if (at + len > WIDTH) {
			cmd_printf(cmd, "|\n%*s", (int)word + 3, "");
			at = word + 3;
			cmd_printf(cmd, "%s", rest + 1);
			at += len - 1;
			continue;
		}
		cmd_printf(cmd, "%s%s", at == 2 + word ? " " : "|", rest + 1);
		at += len;
	}
	cmd_printf(cmd, "\n");
	return c;
}

static void help_all(struct cmd *cmd)
{
	const struct command *const *c = surface_commands();
	const char *section = NULL;

	cmd_printf(cmd, "usage: meshanics VERB [options] [operands]\n");
	while (*c != NULL) {
		const char *title = surface_section(*c);

		if (section == NULL || strcmp(section, title) != 0)
			cmd_printf(cmd, "\n%s\n", title);
		section = title;
		c = put_family(cmd, c);
	}
	cmd_printf(cmd, "\n'meshanics help VERB' or 'meshanics VERB --help' explains one verb,\n"
			"'man meshanics' the whole. Exit status: 0 done, 1 failed, 2 usage,\n"
			"3 refused, 4 try again.\n");
}

void help_group(struct cmd *cmd, const char *const *words, unsigned count)
{
	if (count == 0) {
		help_all(cmd);
		return;
	}
	cmd_printf(cmd, "usage: meshanics ");
	for (unsigned i = 0; i < count; i++)
		cmd_printf(cmd, "%s ", words[i]);
	cmd_printf(cmd, "VERB [options] [operands]\n\n");
	put_summaries(cmd, words, count);
}

/* ---- for scripts ---- */

static void option_json(struct json_writer *w, const struct option *o)
{
	static const char *const types[] = {
		[OPT_FLAG] = "flag", [OPT_STRING] = "string",	  [OPT_INT] = "int",
		[OPT_SIZE] = "size", [OPT_DURATION] = "duration", [OPT_LIST] = "list",
	};
	char env[64];

	json_open_object(w, NULL);
	json_put_string(w, "name", o->name);
	json_put_string(w, "type", types[o->type]);
	if (o->letter != 0)
		json_put_slice(w, "letter", slice_of(&o->letter, 1));
	if (o->value != NULL)
		json_put_string(w, "value", o->value);
	json_put_string(w, "help", o->help);
	json_put_bool(w, "required", o->required);
	if (o->config != NULL)
		json_put_string(w, "config", o->config);
	if (surface_env_name(o, env) != NULL)
		json_put_string(w, "environment", env);
	json_close(w);
}

static void command_json(struct json_writer *w, const struct command *c)
{
	const struct option *o;

	json_open_object(w, NULL);
	json_put_string(w, "name", c->name);
	json_put_string(w, "usage", c->usage);
	json_put_string(w, "summary", c->summary);
	json_put_string(w, "section", surface_section(c));
	json_open_array(w, "options");
	for (o = c->options; o != NULL && o->name != NULL; o++)
		option_json(w, o);
	json_close(w);
	json_close(w);
}

static int help_json(struct cmd *cmd, const char *const *words, unsigned count, struct error *err)
{
	struct buf b = BUF_INIT(4u << 20);
	struct json_writer w = JSON_WRITER(&b);
	const struct command *const *c;
	unsigned used;

	/* A word that leads nowhere is a mistake here, too, not an empty list. */
	if (count > 0 && !surface_is_group(words, count) && surface_find(words, count, &used, err) == NULL)
		return -1;
	json_open_array(&w, NULL);
	for (c = surface_commands(); *c != NULL; c++) {
		if (surface_under((*c)->name, words, count))
			command_json(&w, *c);
	}
	json_close(&w);
	cmd_write_json(cmd, &b);
	buf_release(&b);
	return 0;
}

static void put_names(struct cmd *cmd, const char *const *words, unsigned count)
{
	const struct command *const *c;

	for (c = surface_commands(); *c != NULL; c++) {
		if (surface_under((*c)->name, words, count))
			cmd_printf(cmd, "%s\n", (*c)->name);
	}
}

/* --name, the word for its value, whether it must be there, what it does, with tabs between. */
static void put_option_lines(struct cmd *cmd, const struct option *o)
{
	for (; o != NULL && o->name != NULL; o++)
		cmd_printf(cmd, "--%s\t%s\t%s\t%s\n", o->name, o->value == NULL ? "" : o->value,
			   o->required ? "required" : "optional", o->help);
}

/* ---- completion: the shell hands in the words, the last one unfinished ---- */

/* The next word of each verb under the words, once, with the summary when it ends there. */
static void complete_verbs(struct cmd *cmd, const char *const *words, unsigned count, const char *begun)
{
	const struct command *const *c;
	struct slice last = SLICE_EMPTY;
	unsigned i;

	for (c = surface_commands(); *c != NULL; c++) {
		const char *next = (*c)->name;
		struct slice word;

		if (!surface_under(next, words, count))
			continue;
		for (i = 0; i < count; i++)
			next += strcspn(next, " ") + (next[strcspn(next, " ")] == ' ');
		word = slice_of(next, strcspn(next, " "));
		if (word.len == 0 || !slice_starts(word, slice_str(begun)) || slice_equal(word, last))
			continue;
		last = word;
		cmd_printf(cmd, "%.*s\t%s\n", SLICE_ARG(word), next[word.len] == '\0' ? (*c)->summary : "");
	}
}

static void complete_options(struct cmd *cmd, const struct option *o, const char *begun)
{
	for (; o != NULL && o->name != NULL; o++) {
		if (strncmp(o->name, begun, strlen(begun)) == 0)
			cmd_printf(cmd, "--%s\t%s\n", o->name, o->help);
	}
}

/* Does the word before the unfinished one wait for a value? */
static bool wants_value(const struct command *c, const char *word)
{
	const struct option *o;

	if (strncmp(word, "--", 2) != 0 || strchr(word, '=') != NULL)
		return false;
	o = surface_option(c, slice_str(word + 2));
	return o != NULL && o->type != OPT_FLAG;
}

static void complete(struct cmd *cmd)
{
	unsigned count = cmd_operand_count(cmd), plain = 0, used = 0, i;
	const char *words[16], *begun = count == 0 ? "" : cmd_operand(cmd, count - 1);
	const struct command *c = NULL;
	struct error ignored = ERROR_INIT;

	for (i = 0; i + 1 < count && plain < ARRAY_SIZE(words); i++) {
		if (wants_value(NULL, cmd_operand(cmd, i)))
			i++;
		else if (cmd_operand(cmd, i)[0] != '-')
			words[plain++] = cmd_operand(cmd, i);
	}
	if (plain > 0)
		c = surface_find(words, plain, &used, &ignored);
	if (count > 1 && wants_value(c, cmd_operand(cmd, count - 2)))
		return;	/* the shell offers files */
	if (begun[0] == '-') {
		complete_options(cmd, c == NULL ? NULL : c->options, begun[1] == '-' ? begun + 2 : begun + 1);
		complete_options(cmd, surface_globals, begun[1] == '-' ? begun + 2 : begun + 1);
	} else if (c == NULL || used == plain) {
		complete_verbs(cmd, words, plain, begun);
	}
}

/* ---- the verb ---- */

static const struct option help_options[] = {
	{ .name = "names", .type = OPT_FLAG, .help = "list the verbs, one a line" },
	{ .name = "options", .type = OPT_FLAG, .help = "list the options of the verb: name, value, meaning" },
	{ .name = "summaries", .type = OPT_FLAG, .help = "list the verbs with what they do" },
	{ .name = "complete", .type = OPT_FLAG,
	  .help = "list what can follow the words given after --, of which the last is unfinished" },
	{ .name = NULL },
};

static int help_words(struct cmd *cmd, const char *const *words, unsigned count, struct error *err)
{
	const struct command *c;
	unsigned used;

	c = surface_find(words, count, &used, err);
	if (c != NULL && used == count) {
		help_command(cmd, c);
		return 0;
	}
	if (surface_is_group(words, count)) {
		help_group(cmd, words, count);
		return 0;
	}
	if (c == NULL)
		return -1;
	error_set(err, ERR_USAGE, "'%s' is a verb, but '%s' behind it is not", c->name, words[used]);
	return error_hint(err, "'meshanics help %s' explains it", c->name);
}

static int help_options_of(struct cmd *cmd, const char *const *words, unsigned count, struct error *err)
{
	const struct command *c = NULL;
	unsigned used;

	if (count > 0 && (c = surface_find(words, count, &used, err)) == NULL)
		return -1;
	put_option_lines(cmd, c == NULL ? NULL : c->options);
	put_option_lines(cmd, surface_globals);
	return 0;
}

static int help_run(struct cmd *cmd, struct error *err)
{
	unsigned count = cmd_operand_count(cmd), i;
	const char *words[8];

	if (cmd_flag(cmd, "complete")) {
		complete(cmd);
		return 0;
	}
	if (count > ARRAY_SIZE(words))
		return error_set(err, ERR_USAGE, "no verb has %u words", count);
	for (i = 0; i < count; i++)
		words[i] = cmd_operand(cmd, i);
	if (cmd_flag(cmd, "options"))
		return help_options_of(cmd, words, count, err);
	if (cmd_json(cmd))
		return help_json(cmd, words, count, err);
	if (cmd_flag(cmd, "names"))
		put_names(cmd, words, count);
	else if (cmd_flag(cmd, "summaries"))
		put_summaries(cmd, words, count);
	else if (count > 0)
		return help_words(cmd, words, count, err);
	else
		help_group(cmd, NULL, 0);
	return 0;
}

const struct command cmd_help = {
	.name = "help",
	.usage = "[VERB...]",
	.summary = "explain the program or one of its verbs",
	.options = help_options,
	.operands_max = 64,
	.run = help_run,
};
