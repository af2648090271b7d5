/* Selectors: whatever parses answers for a device, and for one that told nothing. */
#include "fleet/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char profile_text[] =
	"{\"model\":\"Press 9\",\"arch\":\"arm64\",\"memory_mb\":2048,\"cores\":4,\"accelerators\":[\"npu\"]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct selector_subject known = {.name = SLICE_LIT("press-3"), .tags = SLICE_LIT("canary,line-2")};
	const struct selector_subject silent = {.name = SLICE_LIT("x")};
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	struct selector *s = selector_parse_text(slice_of(data, size), &err);
	unsigned n = 0;

	if (s == NULL)
		return 0;
	if (json_parse(&doc, slice_str(profile_text), JSON_STRICT, &err) == 0) {
		known.profile = json_root(&doc);
		(void)selector_matches(s, &known);
	}
	(void)selector_matches(s, &silent);
	while (selector_device(s, n) != NULL)
		n++;
	json_release(&doc);
	selector_free(s);
	return 0;
}
