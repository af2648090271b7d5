/*
 * Publishes very many small artifacts with their bytes in one change: what tests/bench/bundle.sh exports.
 *
 *	bundle_fill HOME COUNT BYTES	plant/small-N/1.0, each of BYTES bytes, all of them different
 *
 * The repository's publisher `plant` has no hash bins, and its key is held there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crypto/keyfile.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/publish.h"

static struct error err = ERROR_INIT;

#define MUST(call)                                                                 \
	do {                                                                       \
		if ((call) < 0) {                                                  \
			fprintf(stderr, "%s: %s\n", #call, err.text);              \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

static const struct descriptor plain = {.kind = PAYLOAD_FILE, .release = 1, .placement.mode = DESCRIPTOR_MODE_DEFAULT};

/* Its bytes are zeros but for its number at the beginning. */
static void stage(const struct repo *r, int fd, unsigned i, size_t bytes, struct publish_change *change)
{
	struct publish_blob blob;
	char number[16];

	snprintf(number, sizeof(number), "%015u", i);
	MUST(file_truncate(fd, bytes, "memory", &err));
	MUST(file_pwrite_all(fd, slice_of(number, 15), 0, "memory", &err));
	MUST(publish_stage_file(repo_dirfd(r), fd, &blob, NULL, NULL, NULL, &err));
	change->length = blob.len;
	memcpy(change->sha256, blob.sha256, SHA256_LEN);
	change->descriptor = &plain;
}

static void publish(struct repo *r, const char *home, const struct publish_change *changes, unsigned count)
{
	const struct repo_role *publisher = repo_role_find(r, SLICE_LIT("plant"));
	struct publish_terms terms = {.now_s = clock_now_s(), .life_s = repo_lives(r).publisher_s, .signer_count = 1};
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	struct publish_result result;
	struct tuf_signer signer;
	struct seckey *key;
	char path[4096];

	snprintf(path, sizeof(path), "%s/repo/keys/plant.key", home);
	if ((key = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err)) == NULL)
		MUST(-1);
	tuf_signer_init(&signer, key);
	terms.signers = &signer;
	terms.last_version = publisher->version;
	MUST(publish_build(&file, buf_slice(&publisher->text), changes, count, &terms, NULL, &err));
	MUST(publish_commit(r, SLICE_LIT("plant"), publisher->version, buf_slice(&file), terms.now_s, &result, &err));
	seckey_free(key);
	buf_release(&file);
}

int main(int argc, char **argv)
{
	struct publish_change *changes;
	char(*paths)[64];
	unsigned count, i;
	struct repo *r;
	size_t bytes;
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: %s HOME COUNT BYTES\n", argv[0]);
		return 2;
	}
	MUST(crypto_start(&err));
	count = (unsigned)strtoul(argv[2], NULL, 10);
	bytes = strtoul(argv[3], NULL, 10);
	changes = xcalloc(count, sizeof(*changes));
	paths = xcalloc(count, sizeof(*paths));
	if ((r = repo_open(argv[1], &err)) == NULL || (fd = memfd_create("artifact", MFD_CLOEXEC)) < 0)
		MUST(-1);
	for (i = 0; i < count; i++) {
		snprintf(paths[i], sizeof(paths[i]), "plant/small-%u/1.0", i);
		changes[i].path = paths[i];
		stage(r, fd, i, bytes, &changes[i]);
	}
	publish(r, argv[1], changes, count);
	repo_free(r);
	free(paths);
	free(changes);
	return 0;
}
