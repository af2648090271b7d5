/*
 * What the control socket answers, one file a question. Requests and answers are JSON; errors have the kind, text and
 * hint of struct error. All of it in the loop's thread.
 *
 *	GET /status, GET /names		status.c
 *	POST /explain			explain.c: {"target", "what", "from" or null}; answered when the far end has been asked
 *	POST /ping			ping.c: {"target", "family": 4 or 6, "sequence", "timeout_ms"}; answered when it is known
 */
#ifndef MESHANICS_MESHLAN_DOOR_H
#define MESHANICS_MESHLAN_DOOR_H

#include "base/json.h"
#include "meshlan/internal.h"
#include "net/server.h"

/* Whom a word means: a name, with or without suffix and label, an address, or a node id (4 digits or more of it). */
struct found {
	struct lan *lan;
	struct names_entry entry;	/* name is empty where only the id is known */
	bool self;			/* this node, or a forward of it */
	uint32_t peer;			/* the engine's number; ENGINE_NOBODY where self, or not a peer */
};
/* ERR_NOT_FOUND with what comes near, ERR_CONFLICT when it may mean several. */
WARN_UNUSED int door_find(struct meshlan *m, struct slice word, struct found *out, struct error *err);
/* The network of a names_entry. */
struct lan *door_lan(struct meshlan *m, const struct names_network *n);
#define DOOR_ADDRESS_LEN 46
const char *door_v4_text(char out[static DOOR_ADDRESS_LEN], uint32_t v4);
const char *door_v6_text(char out[static DOOR_ADDRESS_LEN], const uint8_t v6[static 16]);
/* How a peer is reached now: "direct", "lan", "peer" (through another one), or "none". */
const char *door_path(const struct mesh_peer_info *i);
/* The peer of a number, or false. */
bool door_peer(const struct lan *l, uint32_t peer, struct mesh_peer_info *out);
/* The slot of a peer in the plane and the filter, or PLANE_NOBODY. */
uint32_t door_slot(const struct lan *l, uint32_t peer);
/* The answer to an exchange: what is in body, or why not (err != NULL). Takes body's memory. */
void door_answer(struct exchange *x, struct buf *body, const struct error *err);

void status_put(struct meshlan *m, struct json_writer *w);
void names_put(struct meshlan *m, struct json_writer *w);
/* These answer the exchange, now or later. -1: they have not, and err says why. */
WARN_UNUSED int explain_begin(struct meshlan *m, struct exchange *x, struct json_value q, struct error *err);
WARN_UNUSED int ping_begin(struct meshlan *m, struct exchange *x, struct json_value q, struct error *err);
void explain_stop_all(struct meshlan *m);
void ping_stop_all(struct meshlan *m);

/* What meshlan.door is: what has not been answered yet. */
struct door {
	struct ping *pings;
	struct asking *askings;
};

#endif
