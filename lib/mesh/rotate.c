/* Generations of the network's key: which ones hold, and what a newer one does to sessions and members. */
#include "base/buf.h"
#include "mesh/engine_internal.h"

const struct netkey *mesh_engine_key(const struct mesh_engine *e)
{
	return &e->key;
}

const struct netkey *mesh_engine_key_before(const struct mesh_engine *e)
{
	(void)e;
	return NULL;
}

int mesh_engine_rotate(struct mesh_engine *e, const struct netkey *next, struct slice staylist, int64_t grace_ms,
		       int64_t now_ms, struct error *err)
{
	struct mesh_act a = {.kind = MESH_ACT_MASKS, .peer = ENGINE_NOBODY, .relay = ENGINE_NOBODY};
	struct staylist list;
	uint32_t i;

	(void)grace_ms;
	if (!netkey_same_network(next, &e->key))
		return error_set(err, ERR_REFUSED, "the key is of another network than '%s'", e->key.name);
	if (next->generation <= e->key.generation)
		return error_set(err, ERR_REFUSED, "generation %u of '%s' is not newer than %u", next->generation, e->key.name,
				 e->key.generation);
	if (staylist.len > 0 && staylist_parse(&list, staylist, next, err) < 0)
		return -1;
	e->key = *next;
	netkey_subkeys(&e->subkeys, &e->key);
	e->self.generation = e->key.generation;
	for (i = 0; i < e->nodes_top; i++) {
		if (e->nodes[i] != NULL) {
			call_end(e, e->nodes[i]);
			calls_drop(e, e->nodes[i]);
		}
	}
	act(e, &a);
	engine_due(e, now_ms);
	return 0;
}
