/* A network of the mesh with nodes in it: what tests of handshakes, records and packets begin with. */
#ifndef MESHANICS_TESTS_MESH_FIXTURE_H
#define MESHANICS_TESTS_MESH_FIXTURE_H

#include "crypto/key.h"
#include "mesh/handshake.h"
#include "mesh/message.h"

#define FIXTURE_CREATED INT64_C(1795843200)

struct mesh_net {
	struct netkey key;
	struct ownerkey owner;
	struct subkeys subkeys;
	struct addressing addressing;
};

struct mesh_node {
	struct nodekey key;
	struct mesh_record record;
	struct buf bytes;	/* the record, signed */
	struct handshake_self self;
};

static UNUSED int net_init(struct mesh_net *n)
{
	struct range range = {.v4 = 0xc6122000, .prefix = 19};
	struct error err = ERROR_INIT;

	if (crypto_start(&err) < 0 ||
	    netkey_generate(&n->key, &n->owner, SLICE_LIT("home"), &range, FIXTURE_CREATED, 0, &err) < 0)
		return -1;
	netkey_subkeys(&n->subkeys, &n->key);
	addressing_init(&n->addressing, n->key.id, &n->key.range, n->key.created_s);
	return 0;
}

/* The same in every field; between fields there may be anything. */
static UNUSED bool same_netkey(const struct netkey *a, const struct netkey *b)
{
	struct buf x = BUF_INIT(1024), y = BUF_INIT(1024);
	bool same;

	netkey_put(&x, a);
	netkey_put(&y, b);
	same = x.len > 0 && slice_equal(buf_slice(&x), buf_slice(&y));
	buf_release(&x);
	buf_release(&y);
	return same;
}

/* A node with one claim, one endpoint and one forward. */
static UNUSED int node_init(struct mesh_node *n, const struct mesh_net *net, const char *name)
{
	struct error err = ERROR_INIT;

	memset(n, 0, sizeof(*n));
	nodekey_generate(&n->key);
	n->bytes = BUF_INIT(RECORD_LEN_MAX);
	n->record.sequence = 7;
	n->record.boot_epoch = 3;
	n->record.made_at_s = FIXTURE_CREATED + 100;
	n->record.ciphers = aead_ciphers();
	n->record.named_s = 60;
	snprintf(n->record.name, sizeof(n->record.name), "%s", name);
	n->record.claims_count = 1;
	n->record.claims[0] = (struct claim){.ordinal = 0, .attempt = 0, .claimed_at_s = FIXTURE_CREATED + 60};
	n->record.endpoints_count = 1;
	n->record.endpoints[0] = (struct record_endpoint){
		ENDPOINT_OWN, {ENDPOINT_V4, {192, 0, 2, 7}, 7783}};
	n->record.forwards_count = 1;
	n->record.forwards[0] = (struct record_forward){.ordinal = 0, .slot = 2, .named_s = 70, .name = "printer"};
	if (record_put(&n->bytes, &n->record, &n->key, &net->addressing, &err) < 0)
		return -1;
	n->self = (struct handshake_self){
		.key = &n->key, .subkeys = &net->subkeys, .generation = net->key.generation,
		.ciphers = aead_ciphers(), .mtu = 1420, .boot_epoch = 3,
		.record = buf_slice(&n->bytes), .sequence = 7,
	};
	memcpy(n->self.network_id, net->key.id, NETWORK_ID_LEN);
	return 0;
}

static UNUSED void node_release(struct mesh_node *n)
{
	buf_release(&n->bytes);
}

/* A generator that gives the same numbers each time (splitmix64), so that what failed fails again. */
static UNUSED uint64_t mesh_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

#endif
