/* Sessions of the protocol as the data plane uses them: session.h and packet.h behind struct plane_crypto. */
#include "mesh/plane.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mesh/session.h"

_Static_assert(PLANE_HEADER_LEN == PACKET_HEADER_LEN && PLANE_TAG_LEN == PACKET_TAG_LEN, "one idea of a datagram");
_Static_assert(PLANE_FLAG_NO_CHECKSUM == PACKET_NO_CHECKSUM, "one idea of the flag");

/* Generations whose masks are tried, the current one first. */
struct masks {
	size_t n;
	struct subkeys of[2];
};

void *plane_masks_new(const struct subkeys *const *generations, size_t n)
{
	struct masks *m = xcalloc(1, sizeof(*m));

	for (; m->n < n && m->n < ARRAY_SIZE(m->of); m->n++)
		m->of[m->n] = *generations[m->n];
	return m;
}

static void masks_free(void *masks)
{
	sodium_memzero(masks, sizeof(struct masks));
	free(masks);
}

static bool seal(struct session *s, uint8_t *dgram, size_t n, uint8_t type, uint8_t flags)
{
	return session_seal(&s->tx, type, flags, dgram, n) != 0;
}

static bool peek(const void *masks, const uint8_t *dgram, size_t len, bool (*known)(void *arg, uint32_t index), void *arg,
		 struct plane_head *head)
{
	const struct masks *m = masks;
	struct packet_header h;

	for (size_t i = 0; m != NULL && i < m->n; i++) {
		if (packet_header_get(&m->of[i], dgram, len, &h, head->clear) < 0 || !packet_is_session(&h) ||
		    !known(arg, h.receiver))
			continue;
		head->index = h.receiver;
		head->counter = h.counter;
		head->type = h.type;
		head->flags = h.flags;
		return true;
	}
	return false;
}

static bool open_packet(struct session *s, const struct plane_head *head, uint8_t *dgram, size_t len)
{
	struct packet_header h = {.receiver = head->index, .type = head->type, .flags = head->flags,
				  .counter = head->counter};
	size_t n;

	if (s->kind == SESSION_ROTATION && head->type == PACKET_DATA)
		return false;
	return session_open(&s->rx, &h, head->clear, dgram, len, &n) == SESSION_OK;
}

const struct plane_crypto plane_session_crypto = {
	.type_data = PACKET_DATA,
	.seal = seal,
	.peek = peek,
	.open = open_packet,
	.session_free = session_free,
	.masks_free = masks_free,
};
