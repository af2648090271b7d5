/*
 * A responder that is fed initiations: the input says how to change a good one, at which of its layers (wire, body,
 * payload), and only an unchanged one may be answered. Payloads are changed before they are sealed: those reach its reader.
 */
#include <sodium.h>
#include <stdlib.h>

#include "crypto/key.h"
#include "mesh/bytes.h"
#include "mesh/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nodekey alice, bob;
static struct subkeys keys = {.psk = {3}, .outer = {1}, .mask = {2}};
static struct handshake_self self;

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void start(void)
{
	static bool done;
	struct error err = ERROR_INIT;

	if (done)
		return;
	need(crypto_start(&err) == 0);
	nodekey_generate(&alice);
	nodekey_generate(&bob);
	self = (struct handshake_self){.key = &bob, .subkeys = &keys, .generation = 1, .ciphers = CIPHER_CHACHA20_POLY1305,
				       .mtu = 1420, .boot_epoch = 1, .sequence = 1};
	done = true;
}

/* What the responder makes of a datagram: 0 when it would answer, and then it does. */
static int feed(const uint8_t *d, size_t len, struct handshake_peer *peer)
{
	static const struct endpoint seen = {ENDPOINT_V4, {192, 0, 2, 1}, 1};
	uint8_t body[PACKET_OUTER_MAX], out[PACKET_OUTER_MAX];
	struct session_params params;
	struct packet_header h;
	struct noise noise;
	uint32_t remote;
	size_t n;

	if (packet_header_get(&keys, d, len, &h, NULL) < 0 || h.type != PACKET_INITIATION ||
	    packet_open(&keys, d, len, &h, body, &n) < 0 ||
	    handshake_read_initiation(&noise, &self, slice_of(body, n), peer, &remote) < 0)
		return -1;
	need(handshake_respond(&noise, &self, peer, remote, 5, SESSION_FULL, &seen, true, &params, out) > 0);
	return 0;
}

/* Triples of input, each a place (16 bits) and what to xor there; whether anything has changed. */
static bool change(uint8_t *p, size_t len, const uint8_t *data, size_t size)
{
	uint8_t was[PACKET_OUTER_MAX];

	memcpy(was, p, len);
	for (; size >= 3 && len > 0; data += 3, size -= 3)
		p[get_be16(data) % len] ^= data[2];
	return memcmp(was, p, len) != 0;
}

/* A good initiation, changed on the wire, or in its body by somebody who seals it again. */
static void changed(const uint8_t *data, size_t size, bool wire)
{
	struct handshake_self caller = self;
	uint8_t d[PACKET_OUTER_MAX], body[PACKET_OUTER_MAX];
	struct handshake_peer peer;
	struct packet_header h;
	struct handshake hs;
	struct noise noise;
	uint32_t remote;
	size_t len, n;
	bool other;

	caller.key = &alice;
	len = handshake_initiate(&hs, &caller, bob.id, bob.static_public, 9, 1, false, NULL, d);
	need(len > 0);
	if (wire) {
		other = change(d, len, data, size);
		need((feed(d, len, &peer) == 0) == !other);
		return;
	}
	need(packet_header_get(&keys, d, len, &h, NULL) == 0 && packet_open(&keys, d, len, &h, body, &n) == 0);
	n = 6 + (size_t)get_be16(body + 4);
	/* Behind the sender index, which is the sender's own affair. */
	other = change(body + 4, n - 4, data, size);
	need((handshake_read_initiation(&noise, &self, slice_of(body, n), &peer, &remote) == 0) == !other);
}

/* The input is the payload of a member that says what it likes. */
static void payload(const uint8_t *data, size_t size)
{
	uint8_t prologue[36] = "meshanics-mesh-1", message[NOISE_MESSAGE_1_LEN + 1100], d[PACKET_OUTER_MAX];
	struct packet_initiation p = {.sender = 1};
	struct handshake_peer peer;
	struct noise noise;
	size_t len;

	if (size > 1054)
		return;
	put_be32(prologue + 32, 1);
	noise_init(&noise, true, slice_of(prologue, sizeof(prologue)), alice.static_secret, alice.static_public,
		   bob.static_public, keys.psk);
	need(noise_write(&noise, slice_of(data, size), message, sizeof(message), &len) == 0);
	p.noise = slice_of(message, len);
	len = packet_put_initiation(&keys, &p, NULL, d);
	if (feed(d, len, &peer) == 0)
		need(peer.mtu >= MESH_MTU_MIN && peer.mtu <= MESH_MTU_MAX && (peer.ciphers & CIPHER_CHACHA20_POLY1305) != 0 &&
		     peer.record_len <= RECORD_LEN_MAX && peer.record_len + 54 == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	if (size == 0)
		return 0;
	if (data[0] % 3 == 0)
		changed(data + 1, size - 1, true);
	else if (data[0] % 3 == 1)
		changed(data + 1, size - 1, false);
	else
		payload(data + 1, size - 1);
	return 0;
}
