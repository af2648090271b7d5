/* Inner packets: what is read stays inside, means the same to the data plane, and is answered by packets that are whole. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/inner.h"
#include "mesh/plane_packet.h"
#include "mesh/reject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_answers(const uint8_t *data, size_t size, const struct inner *p)
{
	static struct reject_limit limit;
	uint8_t out[REJECT_MAX];
	struct inner answer, about;

	for (enum reject_kind k = REJECT_UNREACHABLE; k <= REJECT_TOO_BIG; k++) {
		size_t n = reject_make(out, data, size, k, size > 3 ? data[3] * 16u : 0);

		if (n == 0)
			continue;
		must(n <= REJECT_MAX && p->kind != INNER_ERROR && p->kind != INNER_LATER_FRAGMENT);
		must(inner_parse(&answer, out, n) == INNER_OK && answer.length == n);
		must(answer.version == p->version && memcmp(answer.source, p->target, p->address_len) == 0 &&
		     memcmp(answer.target, p->source, p->address_len) == 0);
		/* An error that we made is one that we would take. */
		if (answer.kind == INNER_ERROR && p->kind != INNER_OTHER)
			must(inner_parse_quoted(&about, &answer, out) == INNER_OK && about.source_port == p->source_port);
		else
			must(answer.kind == INNER_ERROR || (answer.kind == INNER_TCP && answer.tcp_flags & INNER_RST));
	}
	(void)reject_allowed(&limit, data, size, (int64_t)size * 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum inner_fault f;
	struct plane_packet plane;
	struct inner p, quoted;

	f = inner_parse(&p, data, size);
	must(inner_fault_text(f)[0] != '\0');
	if (f != INNER_OK)
		return 0;
	must(p.length <= size && p.transport <= p.length);
	must(p.source >= data && p.target + p.address_len <= data + size);
	must(plane_packet_parse(data, size, &plane));
	must(plane.version == p.version && plane.len == p.length && plane.protocol == p.protocol && plane.l4 == p.transport);
	must(!p.fragmented || plane.fragment);
	if (p.kind == INNER_ERROR && inner_parse_quoted(&quoted, &p, data) == INNER_OK) {
		must(quoted.source >= data && quoted.target + quoted.address_len <= data + size);
		must(quoted.kind == INNER_TCP || quoted.kind == INNER_UDP || quoted.kind == INNER_ECHO_REQUEST ||
		     quoted.kind == INNER_ECHO_REPLY);
	}
	check_answers(data, size, &p);
	return 0;
}
