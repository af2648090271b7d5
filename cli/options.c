/* From words, variables and configuration keys to values: one table says what each may be. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/name.h"
#include "base/timefmt.h"
#include "cli/cmd.h"

static unsigned option_count(const struct option *o)
{
	unsigned n = 0;

	while (o != NULL && o[n].name != NULL)
		n++;
	return n;
}

void options_prepare(struct cmd *cmd, const struct command *c)
{
	unsigned globals = option_count(surface_globals);
	unsigned own = c == NULL ? 0 : option_count(c->options);
	unsigned i;

	cmd->values = xreallocarray(cmd->values, globals + own, sizeof(*cmd->values));
	for (i = cmd->value_count; i < globals + own; i++) {
		cmd->values[i] = (struct opt_value){
			.option = i < globals ? &surface_globals[i] : &c->options[i - globals],
		};
	}
	cmd->value_count = globals + own;
	cmd->command = c;
}

static int parse_int(int64_t *out, const char *text, struct error *err)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if ((text[0] != '-' && (text[0] < '0' || text[0] > '9')) || *end != '\0' || errno != 0)
		return error_set(err, ERR_USAGE, "'%s' is not a number", text);
	return 0;
}

static int parse_flag(int64_t *out, const char *text, struct error *err)
{
	static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = i % 2;
			return 0;
		}
	}
	return error_set(err, ERR_USAGE, "'%s' is neither true nor false", text);
}

/* A bound, in the form that the value has. */
static const char *bound(char out[static 32], const struct option *o, int64_t n)
{
	if (o->type == OPT_DURATION)
		return duration_text(out, n);
	snprintf(out, 32, "%" PRId64, n);
	return out;
}

static int check_range(const struct option *o, int64_t n, const char *text, struct error *err)
{
	char least[32], most[32];
	bool any = o->min == 0 && o->max == 0;
	int64_t max = any ? INT64_MAX : o->max;

	if (n >= o->min && n <= max)
		return 0;
	if (any || o->max == INT64_MAX)
		return error_set(err, ERR_USAGE, "'%s' is less than %s", text, bound(least, o, o->min));
	return error_set(err, ERR_USAGE, "'%s' is not in %s to %s", text, bound(least, o, o->min), bound(most, o, o->max));
}

/* Are the parts of an item there that must be? */
static int check_parts(const struct option *o, const char *text, struct error *err)
{
	const char *rest = text;
	unsigned i;

	for (i = 0; o->members != NULL && i < o->needed; i++) {
		size_t len = o->members[i + 1] != NULL ? strcspn(rest, "=") : strlen(rest);

		if (len == 0)
			return error_set(err, ERR_USAGE, "'%s' is not %s: it has no %s", text, o->value, o->members[i]);
		rest += len + (rest[len] == '=');
	}
	return 0;
}

/* The number behind the text of a value; strings are fine as they are. */
static int parse_value(const struct option *o, const char *text, int64_t *number, struct error *err)
{
	int r = 0;

	switch (o->type) {
	case OPT_STRING:
	case OPT_LIST:
		return 0;
	case OPT_FLAG:
		return parse_flag(number, text, err);
	case OPT_INT:
		r = parse_int(number, text, err);
		break;
	case OPT_SIZE:
		r = size_parse(number, text, err);
		break;
	case OPT_DURATION:
		r = duration_parse(number, text, err);
		break;
	}
	return r < 0 ? -1 : check_range(o, *number, text, err);
}

static void add_item(struct opt_value *v, const char *text)
{
	v->items = xreallocarray(v->items, v->count + 1, sizeof(*v->items));
	v->items[v->count++] = text;
}

/* ---- the command line ---- */

static struct opt_value *find_value(struct cmd *cmd, struct slice name)
{
	unsigned i;

	for (i = 0; i < cmd->value_count; i++) {
		if (slice_equal_str(name, cmd->values[i].option->name))
			return &cmd->values[i];
	}
	return NULL;
}

static struct opt_value *find_letter(struct cmd *cmd, char letter)
{
	unsigned i;

	for (i = 0; i < cmd->value_count; i++) {
		if (cmd->values[i].option->letter == letter)
			return &cmd->values[i];
	}
	return NULL;
}

static const char *verb(const struct cmd *cmd)
{
	return cmd->command == NULL ? "meshanics" : cmd->command->name;
}

static int unknown_option(struct cmd *cmd, const char *word, struct slice name, struct error *err)
{
	const char *best = NULL;
	unsigned i, d, best_d = 3;
	char typed[64];

	error_set(err, ERR_USAGE, "'%s' has no option '%.*s'", verb(cmd),
		  (int)(name.len + (size_t)((const char *)name.ptr - word)), word);
	snprintf(typed, sizeof(typed), "%.*s", (int)(name.len < 63 ? name.len : 63), (const char *)name.ptr);
	for (i = 0; i < cmd->value_count && name.len > 1; i++) {
		d = name_distance(typed, cmd->values[i].option->name);
		if (d < best_d) {
			best = cmd->values[i].option->name;
			best_d = d;
		}
	}
	if (best != NULL)
		return error_hint(err, "did you mean '--%s'?", best);
	if (cmd->command == NULL)
		return error_hint(err, "options of a verb come after it; 'meshanics help' lists the verbs");
	return error_hint(err, "'meshanics help %s' lists them", verb(cmd));
}

/* One value from the line. */
static int set_from_line(struct opt_value *v, const char *text, struct error *err)
{
	const char *name = v->option->name;

	if (v->from == FROM_LINE && v->option->type != OPT_LIST && v->option->type != OPT_FLAG)
		return error_set(err, ERR_USAGE, "option --%s is given twice", name);
	if (v->option->type != OPT_FLAG &&
	    (parse_value(v->option, text, &v->number, err) < 0 || check_parts(v->option, text, err) < 0))
		return error_wrap(err, "option --%s", name);
	if (v->option->type == OPT_FLAG)
		v->number = 1;
	else
		add_item(v, text);
	v->from = FROM_LINE;
	if (v->option->check != NULL && v->option->check(v->items, v->count, err) < 0)
		return error_wrap(err, "option --%s", name);
	return 0;
}

/* --no-NAME, for a flag that something else could have set. Returns the flag, or NULL. */
static struct opt_value *find_negated(struct cmd *cmd, struct slice name)
{
	struct opt_value *v;

	if (!slice_starts(name, SLICE_LIT("no-")))
		return NULL;
	v = find_value(cmd, slice_sub(name, 3, name.len));
	if (v == NULL || v->option->type != OPT_FLAG || (v->option->config == NULL && !v->option->env))
		return NULL;
	return v;
}

/*
 * The option at argv[*at], and its value: behind '=', or the next word, over which *at moves.
 */
static int take_option(struct cmd *cmd, int argc, char **argv, int *at, struct error *err)
{
	const char *word = argv[*at];
	const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
	struct slice name = slice_str(word + (word[1] == '-' ? 2 : 1));
	struct opt_value *v;

	if (equals != NULL)
		name.len = (size_t)(equals - word) - 2;
	v = word[1] == '-' ? find_value(cmd, name) : name.len == 1 ? find_letter(cmd, word[1]) : NULL;
	if (v == NULL && equals == NULL && (v = find_negated(cmd, name)) != NULL) {
		v->from = FROM_LINE;
		v->number = 0;
		return 0;
	}
	if (v == NULL)
		return unknown_option(cmd, word, name, err);
	if (v->option->type == OPT_FLAG) {
		if (equals != NULL)
			return error_set(err, ERR_USAGE, "option --%s takes no value", v->option->name);
		return set_from_line(v, NULL, err);
	}
	if (equals != NULL)
		return set_from_line(v, equals + 1, err);
	if (*at + 1 >= argc)
		return error_set(err, ERR_USAGE, "option --%s wants a value (%s)", v->option->name,
				 v->option->value);
	return set_from_line(v, argv[++*at], err);
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

int options_global(struct cmd *cmd, int argc, char **argv, int *at, struct error *err)
{
	for (; *at < argc && is_option(argv[*at]); ++*at) {
		if (take_option(cmd, argc, argv, at, err) < 0)
			return -1;
	}
	return 0;
}

int options_line(struct cmd *cmd, int argc, char **argv, int at, struct error *err)
{
	bool options = true;

	cmd->operands = xcalloc((size_t)argc, sizeof(*cmd->operands));
	for (; at < argc; at++) {
		if (options && strcmp(argv[at], "--") == 0)
			options = false;
		else if (!options || !is_option(argv[at]))
			cmd->operands[cmd->operand_count++] = argv[at];
		else if (take_option(cmd, argc, argv, &at, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the environment ---- */

/* The parts of a text between commas; empty parts are dropped. */
static void add_parts(struct cmd *cmd, struct opt_value *v, const char *text)
{
	struct slice s = slice_str(text);
	size_t at = 0;

	while (at < s.len) {
		size_t end = slice_find(s, ',', at);
		struct slice part = slice_sub(s, at, (end == SIZE_MAX ? s.len : end) - at);

		if (part.len > 0)
			add_item(v, cmd_own(cmd, xstrndup_slice(part)));
		at = end == SIZE_MAX ? s.len : end + 1;
	}
}

int options_environment(struct cmd *cmd, struct error *err)
{
	char name[64];
	unsigned i, j;

	for (i = 0; i < cmd->value_count; i++) {
		struct opt_value *v = &cmd->values[i];
		const char *text;

		if (v->from != FROM_NOWHERE || surface_env_name(v->option, name) == NULL ||
		    (text = getenv(name)) == NULL || text[0] == '\0')
			continue;
		if (parse_value(v->option, text, &v->number, err) < 0)
			return error_wrap(err, "environment variable %s", name);
		if (v->option->type == OPT_LIST)
			add_parts(cmd, v, text);
		else
			add_item(v, text);
		for (j = 0; j < v->count; j++) {
			if (check_parts(v->option, v->items[j], err) < 0 ||
			    (v->option->check != NULL && v->option->check(v->items, j + 1, err) < 0))
				return error_wrap(err, "environment variable %s", name);
		}
		v->from = FROM_ENVIRONMENT;
	}
	return 0;
}

/* ---- the configuration file, and what is still missing ---- */

static bool wants_config(const struct cmd *cmd)
{
	unsigned i;

	if ((cmd->command->needs & NEEDS_CONFIG) != 0)
		return true;
	for (i = 0; i < cmd->value_count; i++) {
		if (cmd->values[i].option->config != NULL)
			return true;
	}
	return false;
}

/* Whether a value of the file may be. */
static int check_value(const struct cmd *cmd, const struct option *o, const struct yaml_entry *e, unsigned at,
		       struct error *err)
{
	if (o->check == NULL || o->check(e->values, at + 1, err) == 0)
		return 0;
	err->kind = ERR_USAGE;	/* the operator's words, whatever they ask for */
	return error_wrap(err, "%s:%u:%u: %s", surface_config_path(cmd), e->marks[at].line, e->marks[at].column, e->key);
}

/* The option that says what a key may be. */
static const struct option *checker_of(const char *key)
{
	const struct command *const *c;
	const struct option *o;

	for (c = surface_commands(); *c != NULL; c++) {
		for (o = (*c)->options; o != NULL && o->name != NULL; o++) {
			if (o->check != NULL && o->config != NULL && strcmp(o->config, key) == 0)
				return o;
		}
	}
	return NULL;
}

int surface_config_check(const struct cmd *cmd, const struct yaml *doc, struct error *err)
{
	unsigned i, j;

	for (i = 0; i < doc->count; i++) {
		const struct yaml_entry *e = &doc->entries[i];
		const struct option *o = checker_of(e->key);

		for (j = 0; o != NULL && j < e->count; j++) {
			if (check_value(cmd, o, e, j, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* The values of the file for one option. */
static int take_entry(struct cmd *cmd, struct opt_value *v, const struct yaml_entry *e, struct error *err)
{
	struct error wrong = ERROR_INIT;
	unsigned i;

	for (i = 0; i < e->count; i++) {
		if (check_value(cmd, v->option, e, i, &wrong) < 0) {
			if (!v->option->tolerated) {
				*err = wrong;
				return -1;
			}
			cmd_warn(cmd, "%s%s%s", wrong.text, wrong.hint[0] == '\0' ? "" : "; ", wrong.hint);
			wrong = ERROR_INIT;
		}
		add_item(v, e->values[i]);
	}
	v->number = e->number;
	v->from = FROM_CONFIG;
	return 0;
}

int options_config(struct cmd *cmd, struct error *err)
{
	unsigned i;

	if (!wants_config(cmd))
		return 0;
	if (surface_config_read(cmd, &cmd->config, err) < 0)
		return -1;
	for (i = 0; i < cmd->value_count; i++) {
		struct opt_value *v = &cmd->values[i];
		const struct yaml_entry *e;

		if (v->from != FROM_NOWHERE || v->option->config == NULL ||
		    (e = yaml_find(&cmd->config, v->option->config)) == NULL)
			continue;
		if (take_entry(cmd, v, e, err) < 0)
			return -1;
	}
	return 0;
}

static int check_operands(const struct cmd *cmd, struct error *err)
{
	const struct command *c = cmd->command;
	bool quotes;

	if (cmd->operand_count < c->operands_min)
		error_set(err, ERR_USAGE, "'%s' wants %s%u operand%s, not %u", c->name,
			  c->operands_max > c->operands_min ? "at least " : "", c->operands_min,
			  c->operands_min == 1 ? "" : "s", cmd->operand_count);
	else if (cmd->operand_count > c->operands_max)
		error_set(err, ERR_USAGE, "'%s' does not know what to do with '%s'", c->name,
			  cmd->operands[c->operands_max]);
	else
		return 0;
	quotes = cmd->operand_count > c->operands_max && c->operands_max > 0;
	return error_hint(err, "usage: meshanics %s [options]%s%s%s", c->name, c->usage[0] == '\0' ? "" : " ", c->usage,
			  quotes ? "; what has spaces wants quotes" : "");
}

int options_complete(struct cmd *cmd, struct error *err)
{
	unsigned i;

	for (i = 0; i < cmd->value_count; i++) {
		const struct opt_value *v = &cmd->values[i];

		if (v->option->required && v->from == FROM_NOWHERE) {
			error_set(err, ERR_USAGE, "'%s' wants --%s %s", verb(cmd), v->option->name,
				  v->option->value == NULL ? "" : v->option->value);
			return error_hint(err, "it means: %s", v->option->help);
		}
	}
	return check_operands(cmd, err);
}
