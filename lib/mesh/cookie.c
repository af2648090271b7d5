/* Cookies: made of an endpoint and a secret that does not live long, so that nothing is kept for an asker. */
#include "mesh/cookie.h"

#include <sodium.h>

#include "mesh/bytes.h"
#include "sys/rng.h"

void cookie_jar_init(struct cookie_jar *j, int64_t now_ms)
{
	rng_bytes(j->secret, sizeof(j->secret));
	j->made_ms = now_ms;
}

static void refresh(struct cookie_jar *j, int64_t now_ms)
{
	if (now_ms - j->made_ms < COOKIE_SECRET_MS)
		return;
	/* After a long pause the older one would be younger than it seems: then both are new. */
	if (now_ms - j->made_ms < 2 * COOKIE_SECRET_MS)
		memcpy(j->secret[1], j->secret[0], sizeof(j->secret[1]));
	else
		rng_bytes(j->secret[1], sizeof(j->secret[1]));
	rng_bytes(j->secret[0], sizeof(j->secret[0]));
	j->made_ms = now_ms;
}

static void make(const uint8_t secret[static 32], const struct endpoint *from, uint8_t out[static COOKIE_LEN])
{
	uint8_t wire[ENDPOINT_WIRE_LEN], hash[MESH_HASH_LEN];
	struct slice part = slice_of(wire, sizeof(wire));

	endpoint_put(wire, from);
	mesh_keyed_hash(hash, secret, "cookie", &part, 1);
	memcpy(out, hash, COOKIE_LEN);
	sodium_memzero(hash, sizeof(hash));
}

void cookie_make(struct cookie_jar *j, const struct endpoint *from, int64_t now_ms, uint8_t out[static COOKIE_LEN])
{
	refresh(j, now_ms);
	make(j->secret[0], from, out);
}

bool cookie_holds(struct cookie_jar *j, const struct endpoint *from, int64_t now_ms, const uint8_t *datagram, size_t len,
		  const struct packet_header *h)
{
	uint8_t cookie[COOKIE_LEN];
	bool holds = false;
	int i;

	refresh(j, now_ms);
	for (i = 0; i < 2 && !holds; i++) {
		make(j->secret[i], from, cookie);
		holds = packet_mac2_holds(datagram, len, h, cookie);
	}
	sodium_memzero(cookie, sizeof(cookie));
	return holds;
}

void cookie_jar_wipe(struct cookie_jar *j)
{
	sodium_memzero(j, sizeof(*j));
}
