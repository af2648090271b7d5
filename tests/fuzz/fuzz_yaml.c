/* Configuration text against a table with every type: whatever is accepted obeys the table. */
#include <stdlib.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const members[] = {"name", "target", "network", NULL};
static const struct yaml_key keys[] = {
	{.key = "site", .type = YAML_STRING},
	{.key = "serve.workers", .type = YAML_INT, .min = 1, .max = 64},
	{.key = "serve.public_names", .type = YAML_LIST},
	{.key = "serve.metrics", .type = YAML_BOOL},
	{.key = "agent.interval", .type = YAML_DURATION},
	{.key = "agent.reserve", .type = YAML_SIZE},
	{.key = "forward.*.target", .type = YAML_STRING},
	{.key = "mesh.devices", .type = YAML_MAPS, .members = members, .needed = 2},
	{.key = NULL},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct yaml_entry *e;
	struct yaml doc;
	struct error err;
	size_t sum = 0;
	unsigned i, v;

	if (yaml_parse(&doc, slice_of(data, size), "fuzz.yaml", keys, &err) < 0)
		return 0;
	for (i = 0; i < doc.count; i++) {
		e = &doc.entries[i];
		if (yaml_find(&doc, e->key) != e || e->line == 0 || e->column == 0)
			abort();
		if (e->known->type != YAML_LIST && e->known->type != YAML_MAPS && e->count != 1)
			abort();
		if (e->known->max != 0 && (e->number < e->known->min || e->number > e->known->max))
			abort();
		for (v = 0; v < e->count; v++) {
			sum += strlen(e->values[v]);
			if (e->known->type == YAML_MAPS &&
			    (e->values[v][0] == '=' || strchr(e->values[v], '=') == NULL || strchr(e->values[v], '=')[1] == '\0'))
				abort();
		}
	}
	if (sum > size * 4)
		abort();
	yaml_release(&doc);
	return 0;
}
