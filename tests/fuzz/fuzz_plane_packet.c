/*
 * Buffers of the interface and packets of peers, as the data plane reads them: whatever they say, they are cut and
 * joined within their own bytes, and what is cut from a buffer is joined to the same payload. The first byte
 * chooses the side.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/plane_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[TUN_PACKET_MAX + PLANE_HEADERS_MAX];

static void from_interface(uint8_t *bytes, size_t len)
{
	struct plane_buffer b;
	struct plane_cut c;
	size_t n, payload = 0;

	if (!plane_buffer_parse(bytes, len, &b))
		return;
	assert(b.packet.len <= len - TUN_HEADER_LEN && b.packet.l4 <= b.packet.len);
	plane_clamp_mss(&b.packet, bytes + TUN_HEADER_LEN, 1280, b.open);
	if (b.packet.segment == 0)
		return;
	plane_cut_start(&c, &b, b.packet.segment);
	while ((n = plane_cut_next_len(&c)) > 0) {
		struct plane_packet p;

		plane_cut_next(&c, out);
		assert(plane_packet_parse(out, n, &p) && p.len == n);
		payload += n - b.headers;
	}
	assert(payload == b.packet.len - b.headers);
}

/* Two packets, one behind the other, of lengths that the third byte divides. */
static void from_peers(uint8_t *bytes, size_t len)
{
	size_t first = len > 1 ? 1 + (size_t)bytes[0] * (len - 1) / 256 : len, written = 0;
	struct plane_packet p, q;
	struct plane_join j;
	int n;

	if (!plane_packet_parse(bytes + 1, first - 1, &p))
		return;
	plane_clamp_mss(&p, bytes + 1, 1280, false);
	plane_checksum_fill(&p, bytes + 1);
	if (!plane_join_start(&j, &p, bytes + 1, (bytes[0] & 1) != 0, true))
		return;
	if (plane_packet_parse(bytes + first, len - first, &q))
		(void)plane_join_add(&j, &q, true);
	n = plane_join_finish(&j);
	for (int i = 1; i < n; i++)
		written += j.iov[i].iov_len;
	assert(written <= TUN_PACKET_MAX && written >= p.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 2)
		return 0;
	/* A room of its own size, so that a byte beyond is seen. */
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		from_peers(copy, size - 1);
	else
		from_interface(copy, size - 1);
	free(copy);
	return 0;
}
