/* Walks whatever the DER reader accepts; each typed reader moves past exactly one element or not at all. */
#include <stdlib.h>

#include "crypto/der.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* After a reader: r is its answer, `at` its cursor, `next` where the whole element ends. */
static void check_step(int r, const struct der *at, const struct der *before, const struct der *next)
{
	const struct der *want = r == 0 ? next : before;

	if (at->rest.ptr != want->rest.ptr || at->rest.len != want->rest.len)
		abort();
}

static void try_all(const struct der *before, const struct der *next)
{
	struct error err = ERROR_INIT;
	struct slice s;
	uint32_t flags;
	int64_t v;
	bool b;

#define TRY(call)                                       \
	do {                                            \
		struct der at = *before;                \
		int r = call;                           \
		check_step(r, &at, before, next);       \
	} while (0)
	TRY(der_integer(&at, &s, "x", &err));
	TRY(der_uint(&at, &s, "x", &err));
	TRY(der_int(&at, -100, 100, &v, "x", &err));
	TRY(der_bool(&at, &b, "x", &err));
	TRY(der_null(&at, "x", &err));
	TRY(der_oid(&at, &s, "x", &err));
	TRY(der_bits(&at, &s, "x", &err));
	TRY(der_flags(&at, &flags, "x", &err));
	TRY(der_time(&at, &v, "x", &err));
	TRY(der_text(&at, &s, "x", &err));
#undef TRY
}

static void walk(struct der d, unsigned depth)
{
	struct error err = ERROR_INIT;
	struct slice content, whole;
	uint8_t tag;

	while (!der_done(&d)) {
		struct der before = d;

		if (der_any(&d, &tag, &content, &whole, "x", &err) < 0) {
			check_step(-1, &d, &before, NULL);
			return;
		}
		if (whole.ptr + whole.len != d.rest.ptr && d.rest.len != 0)
			abort();
		try_all(&before, &d);
		if ((tag & 0x20) != 0 && depth < 32)
			walk(der_of(content), depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	walk(der_of(slice_of(data, size)), 0);
	return 0;
}
