/* What an operator's word for a node or a forward means. */
#include "commands/called.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "commands/surface.h"
#include "mesh/names.h"
#include "meshlan/meshlan.h"

#define SUFFIX_LEN 128
#define NEAR 3	/* more edits than that are another name */

/* ---- the suffix ---- */

/*
 * What names end with here, as far as the environment and the configuration tell. A file that is wrong stops the verbs
 * that read it, and this is not one of them.
 */
static void read_suffix(struct cmd *cmd, char out[static SUFFIX_LEN])
{
	const char *env = cmd_env(cmd, "MESHANICS_DNS_SUFFIX");
	struct error ignored = ERROR_INIT;
	struct yaml doc = YAML_INIT;
	const struct yaml_entry *e;

	snprintf(out, SUFFIX_LEN, "%s", env != NULL && env[0] != '\0' ? env : MESHLAN_SUFFIX);
	if ((env == NULL || env[0] == '\0') && surface_config_read(cmd, &doc, &ignored) == 0 &&
	    (e = yaml_find(&doc, "meshlan.dns_suffix")) != NULL)
		snprintf(out, SUFFIX_LEN, "%s", e->values[0]);
	yaml_release(&doc);
}

/* ---- whose address ---- */

static bool same_address(const char *word, const char *text)
{
	uint8_t a[16], b[16];

	return (inet_pton(AF_INET, word, a) == 1 && inet_pton(AF_INET, text, b) == 1 && memcmp(a, b, 4) == 0) ||
	       (inet_pton(AF_INET6, word, a) == 1 && inet_pton(AF_INET6, text, b) == 1 && memcmp(a, b, 16) == 0);
}

/* The forward of this node with that address, in the mesh or beside it; NULL: none. */
static const struct forward *forward_at(const struct network *n, const char *word)
{
	char v4[ADDRESS_TEXT_LEN], v6[ADDRESS_TEXT_LEN], target[FORWARD_TARGET_TEXT_LEN];
	size_t i;

	for (i = 0; i < n->forwards.count; i++) {
		const struct forward *f = &n->forwards.all[i];

		if (same_address(word, forward_target_text(target, &f->target)) ||
		    (mgmt_keys_place(n, f->ordinal, f->slot, v4, v6) && (same_address(word, v4) || same_address(word, v6))))
			return f;
	}
	return NULL;
}

struct owner {
	struct claims *claims;
	struct names *names;
	struct names_network *net;
};

static int take_record(void *arg, const struct mesh_record *r, struct slice bytes, struct error *err)
{
	struct owner *o = arg;

	(void)bytes;
	if (claims_set(o->claims, r->id, r->claims, r->claims_count, err) < 0)
		return -1;
	return names_set(o->net, r, err);
}

/* The name behind an address of the mesh, by the records that this node keeps; empty when nobody is known to have it. */
static void owner_of(const struct netstore *s, const struct network *n, const char *word,
		     char out[static MESH_NAME_MAX + 1])
{
	struct addressing a;
	struct owner o = {.names = names_new()};
	struct error ignored = ERROR_INIT;
	struct names_entry e = {.slot = 0};
	struct in6_addr six;
	struct in_addr four;
	size_t left_out;
	bool found = false;

	addressing_init(&a, n->key.id, &n->key.range, n->key.created_s);
	o.claims = claims_new(&a);
	if (names_network_add(o.names, &a, o.claims, SLICE_EMPTY, &o.net, &ignored) == 0 &&
	    network_records(s, n, take_record, &o, &left_out, &ignored) == 0)
		found = inet_pton(AF_INET, word, &four) == 1 ? names_of_v4(o.names, ntohl(four.s_addr), &e) :
			inet_pton(AF_INET6, word, &six) == 1 && names_of_v6(o.names, six.s6_addr, &e);
	snprintf(out, MESH_NAME_MAX + 1, "%s", found && e.holds ? e.name : "");
	names_free(o.names);
	claims_free(o.claims);
}

static int is_address(const struct netstore *s, const struct network *n, const char *word, struct error *err)
{
	const struct forward *f = forward_at(n, word);
	char name[MESH_NAME_MAX + 1] = "";

	if (f != NULL)
		snprintf(name, sizeof(name), "%s", f->name);
	else
		owner_of(s, n, word, name);
	if (name[0] == '\0')
		return -1;
	err->hint[0] = '\0';	/* a better one is known */
	return error_hint(err, "that is '%s': give the name", name);
}

/* ---- names ---- */

int called_name(struct cmd *cmd, const struct netstore *s, const struct network *n, const char *word,
		char out[static MESH_NAME_MAX + 1], struct error *err)
{
	char suffix[SUFFIX_LEN];

	read_suffix(cmd, suffix);
	if (meshlan_name_parse(out, slice_str(word), suffix, n->key.name, err) == 0)
		return 0;
	return meshlan_is_address(slice_str(word)) ? is_address(s, n, word, err) : -1;
}

int called_member(struct cmd *cmd, const struct netstore *s, const struct network *n, const struct members *m,
		  const char *word, size_t *index, struct error *err)
{
	char name[MESH_NAME_MAX + 1];

	if (called_name(cmd, s, n, word, name, err) < 0)
		return -1;
	return members_find(m, n->key.name, name, index, err);
}

const char *called_nearest_forward(const struct network *n, const char *name)
{
	const char *best = NULL;
	unsigned d, least = NEAR;
	size_t i;

	for (i = 0; i < n->forwards.count; i++) {
		if ((d = name_distance(name, n->forwards.all[i].name)) < least) {
			best = n->forwards.all[i].name;
			least = d;
		}
	}
	return best;
}
