/*
 * Reading a descriptor from the tape: types and sizes here, meaning in descriptor_check.c. The
 * order is always the same: which members may occur, then each member.
 */
#include "tuf/descriptor.h"

#include <stdlib.h>

#define PROBE_TIMEOUT_DEFAULT_S 10
#define PROBE_ATTEMPTS_DEFAULT 3
#define PROBE_DELAY_DEFAULT_S 2

void text_list_add(struct text_list *l, const char *s)
{
	l->items = xreallocarray(l->items, l->count + 1, sizeof(l->items[0]));
	l->items[l->count++] = xstrdup(s);
}

static void text_list_release(struct text_list *l)
{
	unsigned i;

	for (i = 0; i < l->count; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct text_list){.items = NULL};
}

static void placement_release(struct placement *p)
{
	free(p->filename);
	free(p->destination);
	free(p->owner);
	free(p->group);
	free(p->reload_unit);
	text_list_release(&p->reload_argv);
	free(p->image);
	free(p->restart);
	free(p->network);
}

void descriptor_release(struct descriptor *d)
{
	unsigned i;

	free(d->note);
	text_list_release(&d->compat.arch);
	text_list_release(&d->compat.os);
	text_list_release(&d->compat.model);
	text_list_release(&d->compat.accelerator);
	free(d->compat.agent_min);
	placement_release(&d->placement);
	for (i = 0; i < d->probe_count; i++) {
		free(d->probes[i].target);
		text_list_release(&d->probes[i].argv);
	}
	free(d->probes);
	*d = (struct descriptor){.kind = 0};
}

/* 1 to max bytes that a terminal shows as they are: no control bytes, good UTF-8, no NUL. */
static int check_text(struct slice s, size_t max, struct error *err)
{
	char shown[DESCRIPTOR_NOTE_MAX + 8];

	if (s.len == 0 || s.len > max)
		return error_set(err, ERR_MALFORMED, "a string of %zu bytes instead of 1 to %zu",
				 s.len, max);
	if (!slice_equal_str(s, printable(shown, sizeof(shown), s)))
		return error_set(err, ERR_MALFORMED, "'%s' is not printable text", shown);
	return 0;
}

/* An optional string member into *out, which stays NULL when absent. */
static int take_text(struct json_value obj, const char *name, size_t max, char **out,
		     struct error *err)
{
	struct slice s = SLICE_EMPTY;

	if (json_opt_string(obj, name, &s, err) < 0)
		return -1;
	if (json_type(json_get(obj, name)) == JSON_NONE)
		return 0;
	if (check_text(s, max, err) < 0)
		return error_wrap(err, "'%s'", name);
	*out = xstrndup_slice(s);
	return 0;
}

/* An optional list of 1 to 32 strings. */
static int take_list(struct json_value obj, const char *name, struct text_list *out,
		     struct error *err)
{
	struct json_value list;
	struct json_iter it;

	if (json_type(json_get(obj, name)) == JSON_NONE)
		return 0;
	if (json_need_array(obj, name, &list, err) < 0)
		return -1;
	if (json_count(list) == 0 || json_count(list) > DESCRIPTOR_LIST_MAX)
		return error_set(err, ERR_MALFORMED, "'%s' has %zu entries instead of 1 to %d",
				 name, json_count(list), DESCRIPTOR_LIST_MAX);
	for (it = json_iter(list); json_next(&it);) {
		char *s;

		if (json_type(it.value) != JSON_STRING)
			return error_set(err, ERR_MALFORMED, "'%s' holds %s instead of a string",
					 name, json_type_name(json_type(it.value)));
		if (check_text(json_string(it.value), DESCRIPTOR_STRING_MAX, err) < 0)
			return error_wrap(err, "'%s'", name);
		s = xstrndup_slice(json_string(it.value));
		text_list_add(out, s);
		free(s);
	}
	return 0;
}

static int parse_compat(struct compatibility *c, struct json_value v, struct error *err)
{
	static const char *const names[] = {"arch",	  "os",	       "model", "accelerators",
					    "memory_min", "agent_min", NULL};

	if (json_only(v, names, err) < 0 || take_list(v, "arch", &c->arch, err) < 0 ||
	    take_list(v, "os", &c->os, err) < 0 || take_list(v, "model", &c->model, err) < 0 ||
	    take_list(v, "accelerators", &c->accelerator, err) < 0 ||
	    json_opt_int(v, "memory_min", 1, INT64_MAX, &c->memory_min, err) < 0)
		return -1;
	return take_text(v, "agent_min", DESCRIPTOR_STRING_MAX, &c->agent_min, err);
}

/* "0644": four octal digits, so that nobody wonders whether 644 was meant in octal. */
static int parse_mode(uint32_t *mode, struct json_value v, struct error *err)
{
	struct slice s = SLICE_EMPTY;
	uint32_t bits = 0;
	size_t i;

	if (json_type(json_get(v, "mode")) == JSON_NONE)
		return 0;
	if (json_need_string(v, "mode", &s, err) < 0)
		return -1;
	for (i = 0; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '7' && i < 4; i++)
		bits = bits << 3 | (uint32_t)(s.ptr[i] - '0');
	if (s.len != 4 || i != 4 || bits > 0777)
		return error_set(err, ERR_MALFORMED, "'mode' is not four octal digits up to 0777");
	*mode = bits;
	return 0;
}

static int parse_file_placement(struct placement *p, struct json_value v, struct error *err)
{
	static const char *const names[] = {"filename", "mode", NULL};

	if (json_only(v, names, err) < 0 || parse_mode(&p->mode, v, err) < 0)
		return -1;
	return take_text(v, "filename", DESCRIPTOR_STRING_MAX, &p->filename, err);
}

static int parse_config_placement(struct placement *p, struct json_value v, struct error *err)
{
	static const char *const names[] = {"destination", "mode",	  "owner", "group",
					    "reload_unit", "reload_argv", NULL};

	if (json_only(v, names, err) < 0 || parse_mode(&p->mode, v, err) < 0 ||
	    take_text(v, "destination", DESCRIPTOR_STRING_MAX, &p->destination, err) < 0 ||
	    take_text(v, "owner", NAME_LEN_MAX, &p->owner, err) < 0 ||
	    take_text(v, "group", NAME_LEN_MAX, &p->group, err) < 0 ||
	    take_text(v, "reload_unit", DESCRIPTOR_STRING_MAX, &p->reload_unit, err) < 0)
		return -1;
	return take_list(v, "reload_argv", &p->reload_argv, err);
}

static int parse_container_placement(struct placement *p, struct json_value v, struct error *err)
{
	static const char *const names[] = {"image", "restart", "network", NULL};

	if (json_only(v, names, err) < 0 ||
	    take_text(v, "image", DESCRIPTOR_STRING_MAX, &p->image, err) < 0 ||
	    take_text(v, "restart", DESCRIPTOR_STRING_MAX, &p->restart, err) < 0)
		return -1;
	return take_text(v, "network", DESCRIPTOR_STRING_MAX, &p->network, err);
}

/* v may be JSON_NONE: then only the defaults hold. */
static int parse_placement(struct descriptor *d, struct json_value v, struct error *err)
{
	static const char *const none[] = {NULL};

	if (v.doc == NULL)
		return 0;
	switch (d->kind) {
	case PAYLOAD_FILE:
	case PAYLOAD_MODEL:
		return parse_file_placement(&d->placement, v, err);
	case PAYLOAD_CONFIG:
		return parse_config_placement(&d->placement, v, err);
	case PAYLOAD_CONTAINER:
		return parse_container_placement(&d->placement, v, err);
	case PAYLOAD_AGENT:
		break;
	}
	return json_only(v, none, err);
}

static int parse_probe(struct probe *p, struct json_value v, struct error *err)
{
	static const char *const names[] = {"type",	"target", "argv", "timeout",
					    "attempts", "delay",  NULL};
	struct slice type = SLICE_EMPTY;

	p->timeout_s = PROBE_TIMEOUT_DEFAULT_S;
	p->attempts = PROBE_ATTEMPTS_DEFAULT;
	p->delay_s = PROBE_DELAY_DEFAULT_S;
	if (json_need_string(v, "type", &type, err) < 0)
		return -1;
	if ((p->type = probe_type_by_name(type)) == 0) {
		char shown[64];

		return error_set(err, ERR_REFUSED, "unknown type '%s'",
				 printable(shown, sizeof(shown), type));
	}
	if (json_only(v, names, err) < 0 ||
	    take_text(v, "target", DESCRIPTOR_STRING_MAX, &p->target, err) < 0 ||
	    take_list(v, "argv", &p->argv, err) < 0 ||
	    json_opt_int(v, "timeout", 1, PROBE_TIMEOUT_MAX_S, &p->timeout_s, err) < 0 ||
	    json_opt_int(v, "attempts", 1, PROBE_ATTEMPTS_MAX, &p->attempts, err) < 0)
		return -1;
	return json_opt_int(v, "delay", 0, PROBE_DELAY_MAX_S, &p->delay_s, err);
}

static int parse_probes(struct descriptor *d, struct json_value list, struct error *err)
{
	struct json_iter it;

	if (list.doc == NULL)
		return 0;
	if (json_count(list) > DESCRIPTOR_PROBES_MAX)
		return error_set(err, ERR_LIMIT, "%zu probes, more than %d", json_count(list),
				 DESCRIPTOR_PROBES_MAX);
	d->probes = xcalloc(json_count(list), sizeof(d->probes[0]));
	for (it = json_iter(list); json_next(&it);) {
		if (parse_probe(&d->probes[d->probe_count++], it.value, err) < 0)
			return error_wrap(err, "probe %u", d->probe_count);
	}
	return 0;
}

/* What says how the rest is to be read: a newer program's descriptor is refused as such, not as
 * malformed. */
static int parse_head(struct descriptor *d, struct json_value v, struct error *err)
{
	struct slice kind = SLICE_EMPTY;
	int64_t format = 0;
	char shown[64];

	if (json_need_int(v, "format", 1, INT64_MAX, &format, err) < 0)
		return -1;
	if (format != DESCRIPTOR_FORMAT) {
		error_set(err, ERR_REFUSED, "format %lld is not known here", (long long)format);
		return error_hint(err, "a newer meshanics is needed");
	}
	if (json_need_string(v, "kind", &kind, err) < 0)
		return -1;
	if ((d->kind = payload_kind_by_name(kind)) == 0)
		return error_set(err, ERR_REFUSED, "unknown kind '%s'",
				 printable(shown, sizeof(shown), kind));
	return 0;
}

static int parse(struct descriptor *d, struct json_value v, struct error *err)
{
	static const char *const names[] = {"format",	      "kind",	"release",
					    "downgrade_from", "note",	"compatibility",
					    "placement",      "probes", NULL};
	struct json_value compat = {NULL, 0}, placement = {NULL, 0}, probes = {NULL, 0};

	if (json_raw(v).len > DESCRIPTOR_SIZE_MAX)
		return error_set(err, ERR_LIMIT, "more than %u bytes", DESCRIPTOR_SIZE_MAX);
	if (parse_head(d, v, err) < 0 || json_only(v, names, err) < 0 ||
	    json_need_int(v, "release", 1, DESCRIPTOR_RELEASE_MAX, &d->release, err) < 0 ||
	    json_opt_int(v, "downgrade_from", 1, DESCRIPTOR_RELEASE_MAX, &d->downgrade_from, err) <
		    0 ||
	    take_text(v, "note", DESCRIPTOR_NOTE_MAX, &d->note, err) < 0 ||
	    json_opt_object(v, "compatibility", &compat, err) < 0 ||
	    json_opt_object(v, "placement", &placement, err) < 0 ||
	    json_opt_array(v, "probes", &probes, err) < 0)
		return -1;
	if (compat.doc != NULL && parse_compat(&d->compat, compat, err) < 0)
		return error_wrap(err, "compatibility");
	if (parse_placement(d, placement, err) < 0)
		return error_wrap(err, "placement");
	return parse_probes(d, probes, err);
}

int descriptor_parse(struct descriptor *d, struct json_value v, struct error *err)
{
	*d = (struct descriptor){.placement.mode = DESCRIPTOR_MODE_DEFAULT};
	if (parse(d, v, err) < 0 || descriptor_check(d, err) < 0) {
		descriptor_release(d);
		return error_wrap(err, "descriptor");
	}
	return 0;
}

int descriptor_parse_text(struct descriptor *d, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	*d = (struct descriptor){.kind = 0};
	if (text.len > DESCRIPTOR_SIZE_MAX)
		return error_set(err, ERR_LIMIT, "descriptor: more than %u bytes",
				 DESCRIPTOR_SIZE_MAX);
	if (json_parse(&doc, text, JSON_STRICT, err) < 0)
		error_wrap(err, "descriptor");
	else
		r = descriptor_parse(d, json_root(&doc), err);
	json_release(&doc);
	return r;
}

int descriptor_of_target(struct descriptor *d, struct json_value target, struct error *err)
{
	struct json_value v = json_get(json_get(target, "custom"), "meshanics");

	*d = (struct descriptor){.kind = 0};
	if (v.doc == NULL)
		return error_set(err, ERR_NOT_FOUND,
				 "the target has no descriptor (custom.meshanics)");
	return descriptor_parse(d, v, err);
}
