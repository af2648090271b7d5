/* Records of a trail that speak of bundles and receipts: action, object and verdict, a line each, then the detail. */
#include <stdlib.h>

#include "fleet/custody_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice next_line(struct slice *rest)
{
	size_t at = slice_find(*rest, '\n', 0);
	struct slice line = slice_sub(*rest, 0, at);

	*rest = at == SIZE_MAX ? SLICE_EMPTY : slice_sub(*rest, at + 1, SIZE_MAX);
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size);
	struct audit_record r = {.seq = 1};
	struct error err = ERROR_INIT;
	struct custody_event e;
	int found;

	r.action = next_line(&rest);
	r.object = next_line(&rest);
	r.verdict = next_line(&rest);
	r.detail = rest;
	found = custody_event_read(&r, &e, &err);
	if (found < 0 && err.text[0] == '\0')
		abort();
	if (found > 0 && (e.site[0] == '\0' || (e.action <= CUSTODY_IMPORT && !e.has_bundle)))
		abort();
	return 0;
}
