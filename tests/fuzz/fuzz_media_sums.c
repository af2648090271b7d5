/* SHA256SUMS of a stick: what is read, written again, is the same list, and each of its paths is found. */
#include <stdlib.h>

#include "bundle/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once = BUF_INIT(2 * MEDIA_SUMS_MAX), twice = BUF_INIT(2 * MEDIA_SUMS_MAX);
	struct error err = ERROR_INIT;
	struct media_sums s, again;
	unsigned i;

	(void)!media_name_check(slice_of(data, size), &err);
	for (i = 0; i < MEDIA_KINDS; i++)
		(void)media_name_is((enum media_kind)i, slice_of(data, size));
	if (media_sums_parse(&s, slice_of(data, size), &err) < 0)
		return 0;
	media_sums_put(&once, &s);
	if (once.failed || media_sums_parse(&again, buf_slice(&once), &err) < 0 || again.count != s.count)
		abort();
	media_sums_put(&twice, &again);
	if (!slice_equal(buf_slice(&once), buf_slice(&twice)))
		abort();
	for (i = 0; i < s.count; i++)
		if (media_sums_find(&again, s.list[i].path) == NULL)
			abort();
	while (again.count > 0)
		if (media_sums_set(&again, again.list[again.count / 2].path, NULL, &err) < 0)
			abort();
	media_sums_release(&s);
	media_sums_release(&again);
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
