/* Relaying: datagrams of one member that another one passes on, on both ends and in between. */
#include "mesh/engine_internal.h"

void mesh_engine_out(struct mesh_engine *e, uint32_t peer, struct slice datagram, int64_t now_ms)
{
	(void)now_ms;
	if (node_of(e, peer) == NULL || datagram.len < PACKET_LEN_MIN)
		e->stats.relay_refused++;
}
