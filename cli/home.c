/* Where things are: the home directory and the configuration file, and the reading of the latter. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "sys/file.h"

/* $variable/tail, or $HOME/fallback/tail, or NULL; owned. The XDG rules: a relative path counts as not set. */
static char *xdg_path(const char *variable, const char *fallback, const char *tail)
{
	const char *base = getenv(variable), *home = getenv("HOME");
	struct buf b = BUF_INIT(PATH_MAX - 1);
	char *path = NULL;

	if (base != NULL && base[0] == '/')
		buf_printf(&b, "%s/%s", base, tail);
	else if (home != NULL && home[0] == '/')
		buf_printf(&b, "%s/%s/%s", home, fallback, tail);
	if (b.len > 0 && !b.failed)
		path = xstrdup(buf_cstr(&b));
	buf_release(&b);
	return path;
}

/* An absolute form of path, owned: a long-lived process changes directory. NULL with err. */
static char *absolute(const char *path, struct error *err)
{
	struct buf b = BUF_INIT(PATH_MAX - 1);
	char cwd[PATH_MAX], *out = NULL;

	if (path[0] == '/') {
		buf_put_str(&b, path);
	} else if (getcwd(cwd, sizeof(cwd)) == NULL) {
		error_errno(err, errno, "cannot tell the current directory");
		return NULL;
	} else {
		buf_printf(&b, "%s/%s", cwd, path);
	}
	if (b.failed)
		error_set(err, ERR_USAGE, "path of %zu bytes is too long", strlen(path));
	else
		out = xstrdup(buf_cstr(&b));
	buf_release(&b);
	return out;
}

int home_find(struct cmd *cmd, struct error *err)
{
	const char *home = cmd_string(cmd, "home", NULL), *config = cmd_string(cmd, "config", NULL);

	if (home != NULL)
		cmd->home = absolute(home, err);
	else if (geteuid() == 0)
		cmd->home = xstrdup("/var/lib/meshanics");
	else
		cmd->home = xdg_path("XDG_STATE_HOME", ".local/state", "meshanics");
	if (home != NULL && cmd->home == NULL)
		return -1;
	cmd->config_asked = config != NULL;
	if (config != NULL)
		cmd->config_path = xstrdup(config);
	else if (geteuid() == 0)
		cmd->config_path = xstrdup("/etc/meshanics/config.yaml");
	else
		cmd->config_path = xdg_path("XDG_CONFIG_HOME", ".config", "meshanics/config.yaml");
	return 0;
}

int home_make(struct cmd *cmd, struct error *err)
{
	if (cmd->home == NULL) {
		error_set(err, ERR_USAGE, "nothing tells where the home directory is");
		return error_hint(err, "give --home DIR, or set MESHANICS_HOME or HOME");
	}
	/* Root's home is passed through by the users that own what lies below; nobody else has a way in. */
	if (file_mkdirs(AT_FDCWD, cmd->home, geteuid() == 0 ? 0755 : 0700, err) < 0)
		return error_wrap(err, "cannot use the home directory");
	return 0;
}

static enum yaml_type yaml_type_of(const struct option *o)
{
	switch (o->type) {
	case OPT_FLAG:
		return YAML_BOOL;
	case OPT_INT:
		return YAML_INT;
	case OPT_SIZE:
		return YAML_SIZE;
	case OPT_DURATION:
		return YAML_DURATION;
	case OPT_LIST:
		return o->members != NULL ? YAML_MAPS : YAML_LIST;
	case OPT_STRING:
		break;
	}
	return YAML_STRING;
}

static bool key_listed(const struct yaml_key *keys, size_t count, const char *key)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (strcmp(keys[i].key, key) == 0)
			return true;
	}
	return false;
}

struct yaml_key *surface_config_keys(void)
{
	struct yaml_key *keys = NULL;
	const struct command *const *c;
	const struct option *o;
	size_t count = 0;

	for (c = surface_commands(); *c != NULL; c++) {
		for (o = (*c)->options; o != NULL && o->name != NULL; o++) {
			if (o->config == NULL || key_listed(keys, count, o->config))
				continue;
			keys = xreallocarray(keys, count + 1, sizeof(*keys));
			keys[count++] = (struct yaml_key){
				.key = o->config,
				.type = yaml_type_of(o),
				.min = o->min,
				.max = o->min == 0 && o->max == 0 ? INT64_MAX : o->max,
				.members = o->members,
				.needed = o->needed,
			};
		}
	}
	keys = xreallocarray(keys, count + 1, sizeof(*keys));
	keys[count] = (struct yaml_key){.key = NULL};
	return keys;
}

const char *surface_config_path(const struct cmd *cmd)
{
	return cmd->config_path == NULL ? "" : cmd->config_path;
}

/* The entries borrow the rows of `keys`, which therefore lives as long as the process. */
static const struct yaml_key *known_keys(void)
{
	static struct yaml_key *keys;

	if (keys == NULL)
		keys = surface_config_keys();
	return keys;
}

int surface_config_read(const struct cmd *cmd, struct yaml *doc, struct error *err)
{
	struct buf text = BUF_INIT(YAML_FILE_MAX);
	int fd, r = -1;

	*doc = YAML_INIT;
	if (cmd->config_path == NULL)
		return 0;
	/* Not file_read: the operator may well keep it elsewhere, behind a link. */
	fd = file_open(AT_FDCWD, cmd->config_path, O_RDONLY | O_NONBLOCK, 0, err);
	if (fd < 0 && err->kind == ERR_NOT_FOUND && !cmd->config_asked)
		return 0;
	if (fd < 0)
		return error_wrap(err, "cannot read the configuration");
	if (file_read_fd(fd, &text, cmd->config_path, err) < 0)
		error_wrap(err, "cannot read the configuration");
	else
		r = yaml_parse(doc, buf_slice(&text), cmd->config_path, known_keys(), err);
	if (r < 0 && (err->kind == ERR_MALFORMED || err->kind == ERR_LIMIT))
		err->kind = ERR_USAGE;	/* the operator's words, not a stranger's bytes */
	buf_release(&text);
	file_close(&fd);
	return r;
}
