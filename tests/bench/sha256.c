/* Prints the SHA-256 of each file as the program computes it, and by which code: what hash.sh measures. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "crypto/hash.h"
#include "crypto/sha256_code.h"
#include "sys/file.h"

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	char hex[SHA256_HEX_LEN];
	uint8_t out[SHA256_LEN];
	uint64_t len;
	int fd;

	if (argc != 2 && (argc != 3 || sha256_force(argv[2], &err) < 0)) {
		fprintf(stderr, "usage: %s FILE [sha-ni|armv8|portable]\n", argv[0]);
		return 2;
	}
	fd = file_open(AT_FDCWD, argv[1], O_RDONLY, 0, &err);
	if (fd < 0 || sha256_file(fd, out, &len, NULL, NULL, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	hex_encode(hex, out, sizeof(out));
	printf("%s %s\n", hex, sha256_implementation());
	close(fd);
	return 0;
}
