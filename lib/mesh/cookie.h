/* Cookies: under load, whoever asks for a handshake must first show that it receives where it sends from. */
#ifndef MESHANICS_MESH_COOKIE_H
#define MESHANICS_MESH_COOKIE_H

#include "mesh/endpoint.h"
#include "mesh/packet.h"

#define COOKIE_SECRET_MS 120000	/* life of the secret; cookies of the one before still hold */
#define COOKIE_HOLD_MS 120000	/* how long an asker uses a cookie */

/* The maker's side: two secrets. */
struct cookie_jar {
	uint8_t secret[2][32];	/* [0] is the newer one */
	int64_t made_ms;
};

void cookie_jar_init(struct cookie_jar *j, int64_t now_ms);
/* The cookie of an asker at that endpoint; changes the secret when its time has come. */
void cookie_make(struct cookie_jar *j, const struct endpoint *from, int64_t now_ms, uint8_t out[static COOKIE_LEN]);
/* Whether the datagram has a mac2 by a cookie that this jar made for that endpoint, at most 240 s ago. */
bool cookie_holds(struct cookie_jar *j, const struct endpoint *from, int64_t now_ms, const uint8_t *datagram, size_t len,
		  const struct packet_header *h);
void cookie_jar_wipe(struct cookie_jar *j);

#endif
