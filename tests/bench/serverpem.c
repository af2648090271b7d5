/*
 * A certificate for 127.0.0.1 from the server CA of a control plane, as other servers read it: the chain into
 * CHAIN.pem, the private key into KEY.pem. What tests/bench/idle.sh gives to nginx.
 *
 *	serverpem HOME/control/ca CHAIN.pem KEY.pem
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/pem.h"
#include "fleet/ca.h"
#include "sys/clock.h"
#include "sys/file.h"

static struct error err;

static void must(int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "serverpem: %s\n", err.text);
	exit(1);
}

/* RFC 5915 with the public key, P-256: all lengths are fixed. */
static void put_key(struct buf *out, const struct seckey *k)
{
	static const uint8_t head[] = {0x30, 0x77, 2, 1, 1, 4, 32};
	static const uint8_t middle[] = {0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 0xa1, 0x44, 3, 0x42, 0};
	struct buf der = BUF_SECRET(256);

	buf_put(&der, head, sizeof(head));
	buf_put(&der, seckey_p256_scalar(k), 32);
	buf_put(&der, middle, sizeof(middle));
	buf_put(&der, seckey_public(k)->data, seckey_public(k)->len);
	pem_put(out, "EC PRIVATE KEY", buf_slice(&der));
	buf_release(&der);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"127.0.0.1"};
	struct buf chain = BUF_INIT(65536), key = BUF_SECRET(4096);
	struct server_identity id = {0};
	struct ca ca = {0};
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: serverpem CA-DIR CHAIN.pem KEY.pem\n");
		return 2;
	}
	must(crypto_start(&err));
	must(fd = file_open(AT_FDCWD, argv[1], O_RDONLY | O_DIRECTORY, 0, &err));
	must(ca_open(&ca, fd, CA_SERVER, true, &err));
	must(server_identity_make(&id, &ca, names, 1, clock_now_s(), &err));
	pem_put(&chain, X509_PEM_LABEL, buf_slice(&id.der));
	pem_put(&chain, X509_PEM_LABEL, buf_slice(&ca.der));
	put_key(&key, id.key);
	must(file_replace(AT_FDCWD, argv[2], 0644, buf_slice(&chain), &err));
	must(file_replace(AT_FDCWD, argv[3], 0600, buf_slice(&key), &err));
	server_identity_release(&id);
	ca_release(&ca);
	buf_release(&chain);
	buf_release(&key);
	file_close(&fd);
	return 0;
}
