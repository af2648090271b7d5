/* Staged payloads: their names, their room, their truth. */
#include "agent/staged.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "sys/file.h"
#include "sys/space.h"

static int remove_other_parts(int dirfd, const char *keep, struct error *err)
{
	int fd = file_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (slice_ends(slice_str(e->d_name), SLICE_LIT(".part")) && strcmp(e->d_name, keep) != 0)
			r = file_unlink(dirfd, e->d_name, err);
	closedir(d);
	return r;
}

int staged_open(int dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t length, char name[static STAGED_NAME_LEN],
		uint64_t *at, struct error *err)
{
	char hex[SHA256_HEX_LEN];
	struct stat st;
	int fd;

	hex_encode(hex, sha256, SHA256_LEN);
	snprintf(name, STAGED_NAME_LEN, "%s.part", hex);
	if (remove_other_parts(dirfd, name, err) < 0)
		return -1;
	fd = file_open(dirfd, name, O_RDWR | O_CREAT, 0600, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > length)
		st.st_size = 0;
	*at = (uint64_t)st.st_size;
	if (space_take(fd, length, "the download", err) == 0)
		return fd;
	close(fd);
	return -1;
}

int staged_check(int fd, const uint8_t sha256[static SHA256_LEN], uint64_t length, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	uint64_t len;

	if (sha256_file(fd, hash, &len, NULL, NULL, err) < 0)
		return -1;
	if (len != length || memcmp(hash, sha256, sizeof(hash)) != 0)
		return error_set(err, ERR_REFUSED, "the payload's bytes do not match the signed SHA-256");
	return 0;
}
