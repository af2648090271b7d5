/* One place that knows which byte sequences are UTF-8. */
#include "base/utf8.h"

#include <assert.h>

size_t utf8_decode(struct slice s, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t v;
	size_t n, i;

	if (s.len == 0)
		return 0;
	*cp = v = s.ptr[0];
	if (v < 0x80)
		return 1;
	if (v < 0xc2 || v > 0xf4)
		return 0;
	n = v < 0xe0 ? 2 : v < 0xf0 ? 3 : 4;
	if (s.len < n)
		return 0;
	v &= 0x7fu >> n;
	for (i = 1; i < n; i++) {
		if ((s.ptr[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (s.ptr[i] & 0x3f);
	}
	if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*cp = v;
	return n;
}

size_t utf8_encode(uint8_t out[static 4], uint32_t cp)
{
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	size_t i;

	assert(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
	for (i = n - 1; i > 0; i--) {
		out[i] = (uint8_t)(0x80 | (cp & 0x3f));
		cp >>= 6;
	}
	out[0] = (uint8_t)(lead[n] | cp);
	return n;
}
