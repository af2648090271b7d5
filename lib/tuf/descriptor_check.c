/* What a descriptor may say, whoever made it, and what it asks of a device. */
#include "tuf/descriptor.h"

#include <stdlib.h>

#include "base/name.h"

static const char *const kind_names[] = {
	[PAYLOAD_FILE] = "file",	   [PAYLOAD_MODEL] = "model", [PAYLOAD_CONFIG] = "config",
	[PAYLOAD_CONTAINER] = "container", [PAYLOAD_AGENT] = "agent",
};
static const char *const probe_names[] = {
	[PROBE_HTTP] = "http",
	[PROBE_TCP] = "tcp",
	[PROBE_FILE] = "file",
	[PROBE_EXEC] = "exec",
};

/* The index of name in names (0 is no name), or 0. */
static unsigned by_name(const char *const *names, size_t count, struct slice name)
{
	unsigned i;

	for (i = 1; i < count; i++) {
		if (slice_equal_str(name, names[i]))
			return i;
	}
	return 0;
}

const char *payload_kind_name(enum payload_kind kind)
{
	return kind >= PAYLOAD_FILE && kind <= PAYLOAD_AGENT ? kind_names[kind] : "unknown";
}

enum payload_kind payload_kind_by_name(struct slice name)
{
	return (enum payload_kind)by_name(kind_names, ARRAY_SIZE(kind_names), name);
}

const char *probe_type_name(enum probe_type type)
{
	return type >= PROBE_HTTP && type <= PROBE_EXEC ? probe_names[type] : "unknown";
}

enum probe_type probe_type_by_name(struct slice name)
{
	return (enum probe_type)by_name(probe_names, ARRAY_SIZE(probe_names), name);
}

/* "/a/b": absolute, no part empty, "." or "..". */
static int check_path(const char *path, const char *what, struct error *err)
{
	const char *p = path;

	if (*p != '/')
		return error_set(err, ERR_MALFORMED, "'%s' is '%s', not an absolute path", what,
				 path);
	while (*p == '/') {
		size_t n = strcspn(++p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return error_set(err, ERR_MALFORMED,
					 "'%s' is '%s', which has an empty, '.' or '..' part", what,
					 path);
		p += n;
	}
	return 0;
}

/* "HOST:PORT" or "[ADDRESS]:PORT". */
static int check_host_port(const char *target, struct error *err)
{
	const char *colon = strrchr(target, ':');
	const char *bracket = strchr(target, ']');
	unsigned port = 0;
	const char *p;

	if (colon == NULL || colon == target || strpbrk(target, " /@?#") != NULL)
		return error_set(err, ERR_MALFORMED, "target '%s' is not host:port", target);
	if (target[0] == '[' ? bracket == NULL || bracket + 1 != colon
			     : strchr(target, ':') != colon)
		return error_set(err, ERR_MALFORMED,
				 "target '%s' is not host:port; IPv6 wants brackets", target);
	for (p = colon + 1; *p >= '0' && *p <= '9' && port <= 65535; p++)
		port = port * 10 + (unsigned)(*p - '0');
	if (p == colon + 1 || *p != '\0' || port == 0 || port > 65535)
		return error_set(err, ERR_MALFORMED, "target '%s' has no port from 1 to 65535",
				 target);
	return 0;
}

static int check_argv(const struct text_list *argv, const char *what, struct error *err)
{
	if (argv->count == 0 || argv->count > DESCRIPTOR_ARGV_MAX)
		return error_set(err, ERR_MALFORMED, "'%s' has %u entries instead of 1 to %d", what,
				 argv->count, DESCRIPTOR_ARGV_MAX);
	return check_path(argv->items[0], what, err);
}

static int check_range(int64_t v, int64_t min, int64_t max, const char *what, struct error *err)
{
	if (v < min || v > max)
		return error_set(err, ERR_MALFORMED, "'%s' is %lld, not %lld to %lld", what,
				 (long long)v, (long long)min, (long long)max);
	return 0;
}

static int check_probe(const struct probe *p, struct error *err)
{
	if (check_range(p->timeout_s, 1, PROBE_TIMEOUT_MAX_S, "timeout", err) < 0 ||
	    check_range(p->attempts, 1, PROBE_ATTEMPTS_MAX, "attempts", err) < 0 ||
	    check_range(p->delay_s, 0, PROBE_DELAY_MAX_S, "delay", err) < 0)
		return -1;
	if (p->type == PROBE_EXEC && p->target != NULL)
		return error_set(err, ERR_MALFORMED, "type exec has 'argv', not 'target'");
	if (p->type == PROBE_EXEC)
		return check_argv(&p->argv, "argv", err);
	if (p->argv.count > 0)
		return error_set(err, ERR_MALFORMED, "'argv' belongs to type exec only");
	if (p->target == NULL)
		return error_set(err, ERR_MALFORMED, "'target' is missing");
	switch (p->type) {
	case PROBE_HTTP:
		if (strncmp(p->target, "http://", 7) != 0 || strchr("/:?#", p->target[7]) != NULL ||
		    strchr(p->target, ' ') != NULL)
			return error_set(err, ERR_MALFORMED,
					 "target '%s' is not a URL http://host...", p->target);
		return 0;
	case PROBE_TCP:
		return check_host_port(p->target, err);
	case PROBE_FILE:
		return check_path(p->target, "target", err);
	case PROBE_EXEC:
		break;
	}
	return error_set(err, ERR_REFUSED, "unknown type %d", (int)p->type);
}

static int check_config(const struct placement *p, struct error *err)
{
	if (p->destination == NULL)
		return error_set(err, ERR_MALFORMED, "'destination' is missing");
	if (p->reload_unit != NULL && p->reload_argv.count > 0)
		return error_set(err, ERR_MALFORMED,
				 "'reload_unit' and 'reload_argv' exclude each other");
	if (p->reload_argv.count > 0 && check_argv(&p->reload_argv, "reload_argv", err) < 0)
		return -1;
	if (p->reload_unit != NULL && filename_check(slice_str(p->reload_unit), err) < 0)
		return error_wrap(err, "'reload_unit'");
	return check_path(p->destination, "destination", err);
}

/* `word` is NULL or one of the three. */
static int check_word(const char *word, const char *what, const char *const words[static 3],
		      struct error *err)
{
	if (word == NULL || strcmp(word, words[0]) == 0 || strcmp(word, words[1]) == 0 ||
	    strcmp(word, words[2]) == 0)
		return 0;
	return error_set(err, ERR_MALFORMED, "'%s' is '%s', not %s, %s or %s", what, word, words[0],
			 words[1], words[2]);
}

static int check_container(const struct placement *p, struct error *err)
{
	static const char *const restart[] = {"no", "on-failure", "always"};
	static const char *const network[] = {"none", "bridge", "host"};

	if (p->image == NULL)
		return error_set(err, ERR_MALFORMED, "'image' is missing");
	if (strncmp(p->image, "sha256:", 7) != 0 || strlen(p->image) != 7 + 64 ||
	    strspn(p->image + 7, "0123456789abcdef") != 64)
		return error_set(err, ERR_MALFORMED,
				 "'image' is '%s', not sha256: and 64 hex digits", p->image);
	if (check_word(p->restart, "restart", restart, err) < 0)
		return -1;
	return check_word(p->network, "network", network, err);
}

static int check_placement(const struct descriptor *d, struct error *err)
{
	const struct placement *p = &d->placement;

	if (p->mode > 0777)
		return error_set(err, ERR_MALFORMED, "'mode' is %04o, more than 0777", p->mode);
	if (d->kind == PAYLOAD_CONFIG)
		return check_config(p, err);
	if (d->kind == PAYLOAD_CONTAINER)
		return check_container(p, err);
	return p->filename == NULL ? 0 : filename_check(slice_str(p->filename), err);
}

/* "1.2.3" into three numbers. */
static int parse_triple(int64_t out[static 3], const char *text)
{
	unsigned i;

	for (i = 0; i < 3; i++) {
		const char *start = text;

		for (out[i] = 0; *text >= '0' && *text <= '9' && text - start < 9; text++)
			out[i] = out[i] * 10 + (*text - '0');
		if (text == start || *text != (i < 2 ? '.' : '\0'))
			return -1;
		text++;
	}
	return 0;
}

int descriptor_check(const struct descriptor *d, struct error *err)
{
	int64_t triple[3];
	unsigned i;

	if (d->kind < PAYLOAD_FILE || d->kind > PAYLOAD_AGENT)
		return error_set(err, ERR_REFUSED, "unknown kind %d", (int)d->kind);
	if (check_range(d->release, 1, DESCRIPTOR_RELEASE_MAX, "release", err) < 0)
		return -1;
	if (d->downgrade_from != 0 && d->downgrade_from <= d->release)
		return error_set(err, ERR_MALFORMED,
				 "'downgrade_from' is %lld, which is not above release %lld",
				 (long long)d->downgrade_from, (long long)d->release);
	if (d->compat.agent_min != NULL && parse_triple(triple, d->compat.agent_min) < 0)
		return error_set(err, ERR_MALFORMED,
				 "'agent_min' is '%s', not three numbers like 1.2.3",
				 d->compat.agent_min);
	if (check_placement(d, err) < 0)
		return error_wrap(err, "placement");
	if (d->probe_count > DESCRIPTOR_PROBES_MAX)
		return error_set(err, ERR_LIMIT, "%u probes, more than %d", d->probe_count,
				 DESCRIPTOR_PROBES_MAX);
	for (i = 0; i < d->probe_count; i++) {
		if (check_probe(&d->probes[i], err) < 0)
			return error_wrap(err, "probe %u", i + 1);
	}
	return 0;
}

/* ---- the device ---- */

static bool list_has(const struct text_list *l, const char *word)
{
	unsigned i;

	for (i = 0; word != NULL && i < l->count; i++) {
		if (strcmp(l->items[i], word) == 0)
			return true;
	}
	return false;
}

static int not_for(const char *what, const char *have, const struct text_list *wanted,
		   struct error *err)
{
	return error_set(err, ERR_REFUSED, "this device's %s is %s, the artifact is for %s%s", what,
			 have == NULL ? "unknown" : have, wanted->items[0],
			 wanted->count > 1 ? " and others" : "");
}

static int check_os(const struct text_list *wanted, const struct device_profile *p,
		    struct error *err)
{
	char both[2 * DESCRIPTOR_STRING_MAX + 2];

	if (wanted->count == 0 || list_has(wanted, p->os_id))
		return 0;
	if (p->os_id == NULL || p->os_version_id == NULL)
		return not_for("operating system", p->os_id, wanted, err);
	snprintf(both, sizeof(both), "%s-%s", p->os_id, p->os_version_id);
	return list_has(wanted, both) ? 0 : not_for("operating system", both, wanted, err);
}

static int check_accelerators(const struct text_list *wanted, const struct device_profile *p,
			      struct error *err)
{
	unsigned i, j;

	for (i = 0; i < wanted->count; i++) {
		for (j = 0; j < p->accelerator_count; j++) {
			if (strcmp(wanted->items[i], p->accelerators[j]) == 0)
				break;
		}
		if (j == p->accelerator_count)
			return error_set(err, ERR_REFUSED, "this device has no accelerator '%s'",
					 wanted->items[i]);
	}
	return 0;
}

static int check_agent(const char *least, const char *have, struct error *err)
{
	int64_t a[3], b[3];
	unsigned i;

	if (least == NULL)
		return 0;
	if (have == NULL || parse_triple(a, have) < 0 || parse_triple(b, least) < 0)
		return error_set(err, ERR_REFUSED,
				 "the agent's version is unknown, the artifact wants %s", least);
	for (i = 0; i < 2 && a[i] == b[i];)
		i++;
	if (a[i] < b[i])
		return error_set(err, ERR_REFUSED,
				 "agent version %s is below %s, which the artifact wants", have,
				 least);
	return 0;
}

int descriptor_check_device(const struct descriptor *d, const struct device_profile *p,
			    struct error *err)
{
	const struct compatibility *c = &d->compat;

	if (c->arch.count > 0 && !list_has(&c->arch, p->arch))
		return not_for("architecture", p->arch, &c->arch, err);
	if (c->model.count > 0 && !list_has(&c->model, p->model))
		return not_for("model", p->model, &c->model, err);
	if (c->memory_min > p->memory)
		return error_set(err, ERR_REFUSED,
				 "this device has %lld bytes of memory, the artifact wants %lld",
				 (long long)p->memory, (long long)c->memory_min);
	if (check_os(&c->os, p, err) < 0 || check_accelerators(&c->accelerator, p, err) < 0)
		return -1;
	return check_agent(c->agent_min, p->agent_version, err);
}

int descriptor_check_release(const struct descriptor *d, int64_t mark, int64_t *mark_after,
			     struct error *err)
{
	if (d->release < mark && d->downgrade_from != mark) {
		error_set(err, ERR_REFUSED,
			  "release %lld is below release %lld, which this device has run",
			  (long long)d->release, (long long)mark);
		return error_hint(err,
				  "a deliberate downgrade is published with --downgrade-from %lld",
				  (long long)mark);
	}
	*mark_after = d->release;
	return 0;
}
