/* Writing a descriptor. What has its default value is left out, so equal descriptors have equal
 * text. */
#include "tuf/descriptor.h"

static void put_list(struct json_writer *w, const char *name, const struct text_list *l)
{
	unsigned i;

	if (l->count == 0)
		return;
	json_open_array(w, name);
	for (i = 0; i < l->count; i++)
		json_put_string(w, NULL, l->items[i]);
	json_close(w);
}

static void put_text(struct json_writer *w, const char *name, const char *text)
{
	if (text != NULL)
		json_put_string(w, name, text);
}

static void put_compat(struct json_writer *w, const struct compatibility *c)
{
	if (c->arch.count + c->os.count + c->model.count + c->accelerator.count == 0 &&
	    c->memory_min == 0 && c->agent_min == NULL)
		return;
	json_open_object(w, "compatibility");
	put_list(w, "arch", &c->arch);
	put_list(w, "os", &c->os);
	put_list(w, "model", &c->model);
	put_list(w, "accelerators", &c->accelerator);
	if (c->memory_min > 0)
		json_put_int(w, "memory_min", c->memory_min);
	put_text(w, "agent_min", c->agent_min);
	json_close(w);
}

static void put_placement(struct json_writer *w, const struct descriptor *d)
{
	const struct placement *p = &d->placement;
	bool file = d->kind == PAYLOAD_FILE || d->kind == PAYLOAD_MODEL;
	char mode[8];

	if (d->kind == PAYLOAD_AGENT ||
	    (file && p->filename == NULL && p->mode == DESCRIPTOR_MODE_DEFAULT))
		return;
	json_open_object(w, "placement");
	if (d->kind != PAYLOAD_CONTAINER && p->mode != DESCRIPTOR_MODE_DEFAULT) {
		snprintf(mode, sizeof(mode), "%04o", p->mode & 0777);
		json_put_string(w, "mode", mode);
	}
	if (file) {
		put_text(w, "filename", p->filename);
	} else if (d->kind == PAYLOAD_CONFIG) {
		put_text(w, "destination", p->destination);
		put_text(w, "owner", p->owner);
		put_text(w, "group", p->group);
		put_text(w, "reload_unit", p->reload_unit);
		put_list(w, "reload_argv", &p->reload_argv);
	} else {
		put_text(w, "image", p->image);
		put_text(w, "restart", p->restart);
		put_text(w, "network", p->network);
	}
	json_close(w);
}

static void put_probe(struct json_writer *w, const struct probe *p)
{
	json_open_object(w, NULL);
	json_put_string(w, "type", probe_type_name(p->type));
	put_text(w, "target", p->target);
	put_list(w, "argv", &p->argv);
	json_put_int(w, "timeout", p->timeout_s);
	json_put_int(w, "attempts", p->attempts);
	json_put_int(w, "delay", p->delay_s);
	json_close(w);
}

void descriptor_put(struct json_writer *w, const char *name, const struct descriptor *d)
{
	unsigned i;

	json_open_object(w, name);
	json_put_int(w, "format", DESCRIPTOR_FORMAT);
	json_put_string(w, "kind", payload_kind_name(d->kind));
	json_put_int(w, "release", d->release);
	if (d->downgrade_from != 0)
		json_put_int(w, "downgrade_from", d->downgrade_from);
	put_text(w, "note", d->note);
	put_compat(w, &d->compat);
	put_placement(w, d);
	if (d->probe_count > 0) {
		json_open_array(w, "probes");
		for (i = 0; i < d->probe_count; i++)
			put_probe(w, &d->probes[i]);
		json_close(w);
	}
	json_close(w);
}
