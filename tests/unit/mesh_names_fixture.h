/* Two networks with a table of names: what tests of names and DNS begin with. */
#ifndef MESHANICS_TESTS_MESH_NAMES_FIXTURE_H
#define MESHANICS_TESTS_MESH_NAMES_FIXTURE_H

#include <stdio.h>

#include "crypto/key.h"
#include "mesh/dns.h"

#define FIXTURE_CREATED INT64_C(1795843200)

struct named_net {
	struct addressing addressing;
	struct claims *claims;
	struct names_network *net;
};

struct named {
	struct names *names;
	struct named_net home, work;	/* 198.18.32.0/19, label "home"; 10.1.2.64/26, no label */
};

static UNUSED int net_add(struct named *n, struct named_net *net, uint8_t id, uint32_t v4, uint8_t prefix,
			  const char *label)
{
	struct range range = {.v4 = v4, .prefix = prefix};
	uint8_t network[NETWORK_ID_LEN] = {id};
	struct error err = ERROR_INIT;

	addressing_init(&net->addressing, network, &range, FIXTURE_CREATED);
	net->claims = claims_new(&net->addressing);
	return names_network_add(n->names, &net->addressing, net->claims, slice_str(label), &net->net, &err);
}

static UNUSED int named_init(struct named *n)
{
	struct error err = ERROR_INIT;

	if (crypto_start(&err) < 0)
		return -1;
	n->names = names_new();
	return net_add(n, &n->home, 7, 0xc6122000, 19, "home") == 0 && net_add(n, &n->work, 8, 0x0a010240, 26, "") == 0 ?
	       0 : -1;
}

static UNUSED void named_release(struct named *n)
{
	names_free(n->names);
	claims_free(n->home.claims);
	claims_free(n->work.claims);
}

/* A record as record_parse gives it: id filled with `id`, one claim, the forward "NAME-cam" if asked for. */
static UNUSED struct mesh_record record_of(uint8_t id, const char *name, uint32_t named_s, bool forward)
{
	struct mesh_record r;

	memset(&r, 0, sizeof(r));
	memset(r.id, id, sizeof(r.id));
	snprintf(r.name, sizeof(r.name), "%s", name);
	r.named_s = named_s;
	r.claims_count = 1;
	r.claims[0] = (struct claim){.ordinal = 0, .attempt = id, .claimed_at_s = FIXTURE_CREATED + named_s};
	if (forward) {
		r.forwards_count = 1;
		r.forwards[0] = (struct record_forward){.ordinal = 0, .slot = 3, .named_s = named_s};
		snprintf(r.forwards[0].name, sizeof(r.forwards[0].name), "%s-cam", name);
	}
	return r;
}

static UNUSED int node_add(struct named_net *net, const struct mesh_record *r)
{
	struct error err = ERROR_INIT;

	if (claims_set(net->claims, r->id, r->claims, r->claims_count, &err) < 0)
		return -1;
	return names_set(net->net, r, &err);
}

/* The address that a node's slot must have, computed from hash and claim alone. */
static UNUSED uint32_t address_of(const struct named_net *net, const struct mesh_record *r, unsigned slot)
{
	return net->addressing.range.v4 +
	       BLOCK_SIZE * block_index(&net->addressing, r->id, 0, r->claims[0].attempt) + slot;
}

#endif
