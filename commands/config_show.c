/* `config show`: every key there is, what it is set to, and by whom. */
#include <stdlib.h>

#include "base/json.h"
#include "commands/surface.h"

/* What holds for one key: the environment goes before the file. */
struct setting {
	const struct option *option;
	const char *from;		/* "environment", "file" or NULL */
	const char *const *values;	/* of the file */
	unsigned count;
	const char *variable;		/* of the environment */
};

static struct setting setting_of(struct cmd *cmd, const struct yaml *doc, const struct option *o)
{
	const struct yaml_entry *e = yaml_find(doc, o->config);
	struct setting s = {.option = o};
	char env[64];

	s.variable = surface_env_name(o, env) == NULL ? NULL : cmd_env(cmd, env);
	if (s.variable != NULL && s.variable[0] != '\0') {
		s.from = "environment";
	} else if (e != NULL) {
		s.variable = NULL;
		s.from = "file";
		s.values = e->values;
		s.count = e->count;
	}
	return s;
}

static void value_text(struct buf *out, const struct setting *s)
{
	unsigned i;

	if (s->from != NULL && s->count == 0)
		buf_put_str(out, s->variable == NULL ? "[]" : s->variable);
	for (i = 0; i < s->count; i++)
		buf_printf(out, "%s%s", i == 0 ? "" : ", ", s->values[i]);
}

static void add_row(struct table *t, const struct setting *s)
{
	struct buf text = BUF_INIT(1u << 20);
	char env[64];

	value_text(&text, s);
	table_row(t, (const char *const[]){
			     s->option->config,
			     buf_cstr(&text),
			     s->from,
			     surface_env_name(s->option, env),
		     });
	buf_release(&text);
}

static void add_json(struct json_writer *w, const struct setting *s)
{
	unsigned i;
	char env[64];

	json_open_object(w, NULL);
	json_put_string(w, "key", s->option->config);
	json_put_string(w, "option", s->option->name);
	json_put_string(w, "environment", surface_env_name(s->option, env));
	json_put_string(w, "from", s->from);
	json_open_array(w, "values");
	if (s->from != NULL && s->count == 0 && s->variable != NULL)
		json_put_string(w, NULL, s->variable);
	for (i = 0; i < s->count; i++)
		json_put_string(w, NULL, s->values[i]);
	json_close(w);
	json_close(w);
}

/* The option that first claims a key; several verbs may share one. */
static const struct option *option_of_key(const char *key)
{
	const struct command *const *c;
	const struct option *o;

	for (c = surface_commands(); *c != NULL; c++) {
		for (o = (*c)->options; o != NULL && o->name != NULL; o++) {
			if (o->config != NULL && strcmp(o->config, key) == 0)
				return o;
		}
	}
	return NULL;
}

static void show(struct cmd *cmd, const struct yaml *doc, const struct yaml_key *keys)
{
	static const char *const columns[] = {"KEY", "VALUE", "FROM", "ENVIRONMENT"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct buf b = BUF_INIT(4u << 20);
	struct json_writer w = JSON_WRITER(&b);

	json_open_object(&w, NULL);
	json_put_string(&w, "file", surface_config_path(cmd));
	json_put_string(&w, "home", cmd_home(cmd));
	json_open_array(&w, "keys");
	for (; keys->key != NULL; keys++) {
		struct setting s = setting_of(cmd, doc, option_of_key(keys->key));

		add_row(t, &s);
		add_json(&w, &s);
	}
	json_close(&w);
	json_close(&w);
	if (cmd_json(cmd)) {
		cmd_write_json(cmd, &b);
	} else {
		cmd_printf(cmd, "file  %s\nhome  %s\n\n", surface_config_path(cmd), cmd_home(cmd));
		table_print(cmd, t);
	}
	table_free(t);
	buf_release(&b);
}

static int config_show_run(struct cmd *cmd, struct error *err)
{
	struct yaml_key *keys = NULL;
	struct yaml doc = YAML_INIT;
	int r = -1;

	if (surface_config_read(cmd, &doc, err) < 0)
		goto out;
	keys = surface_config_keys();
	show(cmd, &doc, keys);
	r = 0;
out:
	free(keys);
	yaml_release(&doc);
	return r;
}

const struct command cmd_config_show = {
	.name = "config show",
	.usage = "",
	.summary = "show every key of the configuration, its value and where it comes from",
	.run = config_show_run,
};
