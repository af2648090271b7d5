/* What fuzzers of archives share: headers whose checksums are mended, so that changes reach what lies behind them. */
#ifndef MESHANICS_TESTS_ARCHIVE_INPUT_H
#define MESHANICS_TESTS_ARCHIVE_INPUT_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/tar.h"

static inline void mend_checksums(uint8_t *bytes, size_t size)
{
	size_t at;

	for (at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		uint8_t *block = bytes + at;
		unsigned sum = 0, i;
		char text[8];

		if (memcmp(block + 257, "ustar", 5) != 0)
			continue;
		memset(block + 148, ' ', 8);
		for (i = 0; i < TAR_BLOCK; i++)
			sum += block[i];
		snprintf(text, sizeof(text), "%06o", sum);
		memcpy(block + 148, text, 7);
	}
}

static inline int input_fd(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert(fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
	return fd;
}

#endif
