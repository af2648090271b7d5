/* The one table of commands, and how a name is found in it. */
#include <stdio.h>

#include "base/name.h"
#include "commands/surface.h"

#define SECTION(title)
#define COMMAND(x) extern const struct command cmd_##x;
#include "cli/table.def"
#undef SECTION
#undef COMMAND

#define SECTION(title)
#define COMMAND(x) &cmd_##x,
static const struct command *const commands[] = {
#include "cli/table.def"
	NULL,
};
#undef SECTION
#undef COMMAND

/* Per row of table.def: the title of a section, or NULL for a command. */
#define SECTION(title) title,
#define COMMAND(x) NULL,
static const char *const rows[] = {
#include "cli/table.def"
};
#undef SECTION
#undef COMMAND

const struct option surface_globals[] = {
	{ .name = "home", .type = OPT_STRING, .value = "DIR", .env = true,
	  .help = "keep keys, repository and state below DIR" },
	{ .name = "config", .type = OPT_STRING, .value = "FILE", .env = true,
	  .help = "read the configuration from FILE" },
	{ .name = "json", .type = OPT_FLAG, .help = "print one JSON document for scripts" },
	{ .name = "quiet", .type = OPT_FLAG, .help = "print no notes and no progress" },
	{ .name = "verbose", .type = OPT_FLAG, .help = "tell more" },
	{ .name = "yes", .type = OPT_FLAG, .help = "answer every yes-or-no question with yes" },
	{ .name = "help", .type = OPT_FLAG, .letter = 'h', .help = "explain the verb instead of running it" },
	{ .name = NULL },
};

const struct command *const *surface_commands(void)
{
	return commands;
}

const char *surface_section(const struct command *c)
{
	const char *title = "";
	size_t i, at = 0;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i] != NULL)
			title = rows[i];
		else if (commands[at++] == c)
			break;
	}
	return title;
}

static const struct option *find_option(const struct option *o, struct slice name)
{
	for (; o != NULL && o->name != NULL; o++) {
		if (slice_equal_str(name, o->name))
			return o;
	}
	return NULL;
}

const struct option *surface_option(const struct command *c, struct slice name)
{
	const struct option *o = c == NULL ? NULL : find_option(c->options, name);

	return o != NULL ? o : find_option(surface_globals, name);
}

bool surface_under(const char *name, const char *const *words, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		size_t len = strlen(words[i]);

		if (strncmp(name, words[i], len) != 0 || (name[len] != ' ' && name[len] != '\0'))
			return false;
		name += len;
		if (*name == ' ')
			name++;
		else if (i + 1 < count)
			return false;
	}
	return true;
}

/* The number of words in a name. */
static unsigned word_count(const char *name)
{
	unsigned n = 1;

	for (; *name != '\0'; name++)
		n += *name == ' ';
	return n;
}

bool surface_is_group(const char *const *words, unsigned count)
{
	unsigned i;

	for (i = 0; commands[i] != NULL; i++) {
		if (surface_under(commands[i]->name, words, count))
			return true;
	}
	return false;
}

/* The first `count` words joined by spaces; cut to fit. */
static void join(char *out, size_t size, const char *const *words, unsigned count)
{
	size_t at = 0;
	unsigned i;

	out[0] = '\0';
	for (i = 0; i < count && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", i == 0 ? "" : " ", words[i]);
}

/* The beginning of name that has `words` words. */
static struct slice first_words(const char *name, unsigned words)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		if (name[i] == ' ' && --words == 0)
			break;
	}
	return slice_of(name, i);
}

/* A name near to what was typed, comparing as many words as it has, or NULL. */
static const char *nearest(const char *const *words, unsigned count)
{
	const char *best = NULL;
	char typed[128];
	unsigned i, d, best_d = 255;

	for (i = 0; commands[i] != NULL; i++) {
		unsigned n = word_count(commands[i]->name);

		join(typed, sizeof(typed), words, count < n ? count : n);
		d = name_distance(typed, commands[i]->name);
		if (d < best_d && d <= 1 + strlen(commands[i]->name) / 4) {
			best = commands[i]->name;
			best_d = d;
		}
	}
	return best;
}

/* A first word near to the one typed, or begun by it: "kye" for "key", whose verbs are all too long to be near. */
static bool nearest_first(const char *word, char *out, size_t size)
{
	unsigned i, d, best = 3;

	out[0] = '\0';
	for (i = 0; commands[i] != NULL; i++) {
		char first[64];

		snprintf(first, sizeof(first), "%.*s", SLICE_ARG(first_words(commands[i]->name, 1)));
		d = strncmp(word, first, strlen(word)) == 0 ? 1 : name_distance(word, first);
		if (d < best && d < strlen(first)) {
			best = d;
			snprintf(out, size, "%s", first);
		}
	}
	return out[0] != '\0';
}

static void complain(const char *const *words, unsigned count, struct error *err)
{
	unsigned group = 0;
	const char *near;
	char text[128], first[64];

	while (group < count && surface_is_group(words, group + 1))
		group++;
	join(text, sizeof(text), words, group);
	if (group == count)
		error_set(err, ERR_USAGE, "'%s' wants a verb", text);
	else if (group > 0)
		error_set(err, ERR_USAGE, "'%s' has no verb '%s'", text, words[group]);
	else
		error_set(err, ERR_USAGE, "no verb '%s'", words[0]);
	if (group < count && (near = nearest(words, count)) != NULL)
		error_hint(err, "did you mean '%s'?", near);
	else if (group == 0 && nearest_first(words[0], first, sizeof(first)))
		error_hint(err, "did you mean '%s'?", first);
	else
		error_hint(err, "'meshanics help%s%s' lists the verbs", group > 0 ? " " : "", text);
}

const struct command *surface_find(const char *const *words, unsigned count, unsigned *used, struct error *err)
{
	const struct command *best = NULL;
	unsigned i, n;

	*used = 0;
	for (i = 0; commands[i] != NULL; i++) {
		n = word_count(commands[i]->name);
		if (n > *used && n <= count && surface_under(commands[i]->name, words, n)) {
			best = commands[i];
			*used = n;
		}
	}
	if (best == NULL)
		complain(words, count, err);
	return best;
}

const char *surface_env_name(const struct option *o, char out[static 64])
{
	size_t i, n;

	if (!o->env && o->config == NULL)
		return NULL;
	n = (size_t)snprintf(out, 64, "MESHANICS_%s", o->name);
	for (i = 0; i < n && i < 63; i++) {
		if (out[i] >= 'a' && out[i] <= 'z')
			out[i] = (char)(out[i] - 'a' + 'A');
		else if (out[i] == '-')
			out[i] = '_';
	}
	return out;
}
