/*
 * Writes static TUF repositories for tuf-client.sh: DIR/metadata, DIR/targets with the one target that is fetched,
 * DIR/root.json for the client to start from, and DIR/target, that target's path.
 *
 *	tuf_make DIR flat COUNT [loose]		COUNT targets in targets.json, 136 bytes each when canonical
 *	tuf_make DIR bins COUNT BITS [loose]	COUNT targets in 2^BITS succinct hash bins
 *	tuf_make DIR roots COUNT [loose]	one target, and COUNT roots after the first, each with a new root key
 *
 * Signed parts are canonical JSON, as our own repository writes them; with `loose`, indented by one blank as
 * python-tuf does. The target that is fetched is the one in the middle.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "crypto/keyfile.h"
#include "sys/file.h"
#include "tuf/metadata_sign.h"

#define FILE_MAX (256u << 20)
#define EXPIRES_S INT64_C(4000000000)	/* 2096 */
#define BITS_MAX 16

enum { TIMESTAMP_KEY, SNAPSHOT_KEY, TARGETS_KEY, BINS_KEY, KEYS };

struct maker {
	int dirfd;
	unsigned indent, count, bits;
	struct seckey *keys[KEYS];
};

static struct error err = ERROR_INIT;

static void must(int r)
{
	if (r < 0) {
		fprintf(stderr, "tuf_make: %s\n", err.text);
		exit(1);
	}
}

static struct seckey *new_key(void)
{
	struct seckey *k = seckey_generate(KEY_ED25519, &err);

	must(k == NULL ? -1 : 0);
	return k;
}

/* Not synced: nothing of this has to survive. */
static void write_file(const struct maker *m, const char *path, struct slice text)
{
	int fd = file_open(m->dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &err);

	must(fd);
	must(file_write_all(fd, text, path, &err));
	close(fd);
}

/* ---- parts of a file, members in canonical order ---- */

static struct json_writer begin(const struct maker *m, struct buf *body, const char *type)
{
	struct json_writer w = JSON_WRITER(body);

	w.indent = m->indent;
	json_open_object(&w, NULL);
	json_put_string(&w, "_type", type);
	return w;
}

static void put_expires(struct json_writer *w)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, "expires", time_text(text, EXPIRES_S));
}

static int by_id(const void *a, const void *b)
{
	const struct tuf_signer *x = a, *y = b;

	return strcmp(x->keyid, y->keyid);
}

/* "keys": {...} in the order of their ids. */
static void put_keys(struct json_writer *w, const struct seckey *const *keys, unsigned count)
{
	struct tuf_signer sorted[KEYS + 1];
	unsigned i;

	for (i = 0; i < count; i++)
		tuf_signer_init(&sorted[i], keys[i]);
	qsort(sorted, count, sizeof(sorted[0]), by_id);
	json_open_object(w, "keys");
	for (i = 0; i < count; i++)
		tuf_key_put(w, sorted[i].keyid, seckey_public(sorted[i].key));
	json_close(w);
}

static void put_role(struct json_writer *w, const char *name, const struct seckey *key)
{
	struct tuf_signer s;

	tuf_signer_init(&s, key);
	json_open_object(w, name);
	json_open_array(w, "keyids");
	json_put_string(w, NULL, s.keyid);
	json_close(w);
	json_put_int(w, "threshold", 1);
	json_close(w);
}

static void put_metafile(struct json_writer *w, const char *name, struct slice text)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(text, hash);
	json_open_object(w, name);
	json_open_object(w, "hashes");
	json_put_hex(w, "sha256", hash, sizeof(hash));
	json_close(w);
	json_put_int(w, "length", (int64_t)text.len);
	json_put_int(w, "version", 1);
	json_close(w);
}

/* Sign the body and write it below metadata/; the text stays in file. */
static void finish(const struct maker *m, const char *name, struct json_writer *w, struct buf *body,
		   const struct seckey *const *keys, unsigned count, struct buf *file)
{
	struct tuf_signer signers[2];
	char path[128];
	unsigned i;

	json_close(w);
	must(body->failed ? -1 : 0);
	for (i = 0; i < count; i++)
		tuf_signer_init(&signers[i], keys[i]);
	must(tuf_sign_envelope(file, buf_slice(body), signers, count, &err));
	snprintf(path, sizeof(path), "metadata/%s", name);
	write_file(m, path, buf_slice(file));
	buf_release(body);
}

/* ---- targets ---- */

static void target_path(char out[static 64], unsigned i)
{
	snprintf(out, 64, "bench/artifact-%07u/1.0.0-arm", i);
}

static void target_content(char out[static 64], unsigned i)
{
	snprintf(out, 64, "the bytes of artifact %u\n", i);
}

static void put_target(struct json_writer *w, unsigned i)
{
	char path[64], content[64];
	uint8_t hash[SHA256_LEN];

	target_path(path, i);
	target_content(content, i);
	sha256_of(slice_str(content), hash);
	json_open_object(w, path);
	json_open_object(w, "hashes");
	json_put_hex(w, "sha256", hash, sizeof(hash));
	json_close(w);
	json_put_int(w, "length", (int64_t)strlen(content));
	json_close(w);
}

/* The targets of one bin (or all of them with bits 0). next[i] is the target after i in its bin, or UINT32_MAX. */
static void put_targets(const struct maker *m, struct json_writer *w, uint32_t first, const uint32_t *next)
{
	uint32_t i;

	json_open_object(w, "targets");
	if (next == NULL && first != UINT32_MAX) {
		for (i = 0; i < m->count; i++)
			put_target(w, i);
	}
	for (i = first; next != NULL && i != UINT32_MAX; i = next[i])
		put_target(w, i);
	json_close(w);
}

static void end_targets(const struct maker *m, const char *name, struct json_writer *w, struct buf *body,
			const struct seckey *key, struct buf *file)
{
	char full[64];

	json_put_int(w, "version", 1);
	snprintf(full, sizeof(full), "1.%s.json", name);
	finish(m, full, w, body, &key, 1, file);
}

static void make_targets(struct maker *m, struct json_writer *meta)
{
	struct buf body = BUF_INIT(FILE_MAX), file = BUF_INIT(FILE_MAX);
	struct json_writer w = begin(m, &body, "targets");
	const struct seckey *bins = m->keys[BINS_KEY];
	struct tuf_signer signer;

	if (m->bits > 0) {
		tuf_signer_init(&signer, bins);
		json_open_object(&w, "delegations");
		put_keys(&w, &bins, 1);
		json_open_object(&w, "succinct_roles");
		json_put_int(&w, "bit_length", m->bits);
		json_open_array(&w, "keyids");
		json_put_string(&w, NULL, signer.keyid);
		json_close(&w);
		json_put_string(&w, "name_prefix", "bin");
		json_put_int(&w, "threshold", 1);
		json_close(&w);
		json_close(&w);
	}
	put_expires(&w);
	json_put_string(&w, "spec_version", "1.0.31");
	put_targets(m, &w, m->bits > 0 ? UINT32_MAX : 0, NULL);
	end_targets(m, "targets", &w, &body, m->keys[TARGETS_KEY], &file);
	put_metafile(meta, "targets.json", buf_slice(&file));
	buf_release(&file);
}

/* The bin of a path: the first bits of its SHA-256. */
static uint32_t bin_of(const struct maker *m, unsigned i)
{
	uint8_t hash[SHA256_LEN];
	char path[64];

	target_path(path, i);
	sha256_of(slice_str(path), hash);
	return (uint32_t)((hash[0] << 16 | hash[1] << 8 | hash[2]) >> (24 - m->bits));
}

static void make_bins(struct maker *m, struct json_writer *meta)
{
	uint32_t bins = 1u << m->bits, *first = xcalloc(bins, sizeof(*first)), *next = xcalloc(m->count, sizeof(*next));
	int digits = snprintf(NULL, 0, "%x", bins - 1);
	uint32_t i;

	memset(first, 0xff, bins * sizeof(*first));
	for (i = m->count; i-- > 0;) {
		uint32_t bin = bin_of(m, i);

		next[i] = first[bin];
		first[bin] = i;
	}
	for (i = 0; i < bins; i++) {
		struct buf body = BUF_INIT(FILE_MAX), file = BUF_INIT(FILE_MAX);
		struct json_writer w = begin(m, &body, "targets");
		char name[32], full[40];

		snprintf(name, sizeof(name), "bin-%0*x", digits, i);
		put_expires(&w);
		json_put_string(&w, "spec_version", "1.0.31");
		put_targets(m, &w, first[i], next);
		end_targets(m, name, &w, &body, m->keys[BINS_KEY], &file);
		snprintf(full, sizeof(full), "%s.json", name);
		put_metafile(meta, full, buf_slice(&file));
		buf_release(&file);
	}
	free(first);
	free(next);
}

/* ---- the other roles ---- */

static void make_timestamp(const struct maker *m, struct slice snapshot)
{
	struct buf body = BUF_INIT(FILE_MAX), file = BUF_INIT(FILE_MAX);
	struct json_writer w = begin(m, &body, "timestamp");
	const struct seckey *key = m->keys[TIMESTAMP_KEY];

	put_expires(&w);
	json_open_object(&w, "meta");
	put_metafile(&w, "snapshot.json", snapshot);
	json_close(&w);
	json_put_string(&w, "spec_version", "1.0.31");
	json_put_int(&w, "version", 1);
	finish(m, "timestamp.json", &w, &body, &key, 1, &file);
	buf_release(&file);
}

/* Snapshot with all targets files, which are made on the way, and the timestamp. */
static void make_snapshot(struct maker *m)
{
	struct buf body = BUF_INIT(FILE_MAX), file = BUF_INIT(FILE_MAX);
	struct json_writer w = begin(m, &body, "snapshot");
	const struct seckey *key = m->keys[SNAPSHOT_KEY];

	put_expires(&w);
	json_open_object(&w, "meta");
	if (m->bits > 0)
		make_bins(m, &w);
	make_targets(m, &w);
	json_close(&w);
	json_put_string(&w, "spec_version", "1.0.31");
	json_put_int(&w, "version", 1);
	finish(m, "1.snapshot.json", &w, &body, &key, 1, &file);
	make_timestamp(m, buf_slice(&file));
	buf_release(&file);
}

static void make_root(const struct maker *m, unsigned version, const struct seckey *before, const struct seckey *own)
{
	const struct seckey *listed[] = {own, m->keys[TIMESTAMP_KEY], m->keys[SNAPSHOT_KEY], m->keys[TARGETS_KEY]};
	const struct seckey *signers[] = {own, before};
	struct buf body = BUF_INIT(FILE_MAX), file = BUF_INIT(FILE_MAX);
	struct json_writer w = begin(m, &body, "root");
	char name[64];

	json_put_bool(&w, "consistent_snapshot", true);
	put_expires(&w);
	put_keys(&w, listed, 4);
	json_open_object(&w, "roles");
	put_role(&w, "root", own);
	put_role(&w, "snapshot", m->keys[SNAPSHOT_KEY]);
	put_role(&w, "targets", m->keys[TARGETS_KEY]);
	put_role(&w, "timestamp", m->keys[TIMESTAMP_KEY]);
	json_close(&w);
	json_put_string(&w, "spec_version", "1.0.31");
	json_put_int(&w, "version", version);
	snprintf(name, sizeof(name), "%u.root.json", version);
	finish(m, name, &w, &body, signers, before == NULL ? 1 : 2, &file);
	if (version == 1)
		write_file(m, "root.json", buf_slice(&file));
	buf_release(&file);
}

static void make_roots(const struct maker *m, unsigned rotations)
{
	struct seckey *before = NULL, *own;
	unsigned i;

	for (i = 0; i <= rotations; i++) {
		own = new_key();
		make_root(m, i + 1, before, own);
		seckey_free(before);
		before = own;
	}
	seckey_free(before);
}

/* The one artifact that is there. */
static void make_blob(const struct maker *m)
{
	char path[64], dir[80], file[200], content[64], hex[SHA256_HEX_LEN];
	uint8_t hash[SHA256_LEN];

	target_path(path, m->count / 2);
	target_content(content, m->count / 2);
	write_file(m, "target", slice_str(path));
	sha256_of(slice_str(content), hash);
	hex_encode(hex, hash, sizeof(hash));
	snprintf(dir, sizeof(dir), "targets/%.*s", (int)(strrchr(path, '/') - path), path);
	must(file_mkdirs(m->dirfd, dir, 0755, &err));
	snprintf(file, sizeof(file), "%s/%s.%s", dir, hex, strrchr(path, '/') + 1);
	write_file(m, file, slice_str(content));
}

static unsigned number(const char *text, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n == 0 || n > max) {
		fprintf(stderr, "tuf_make: '%s' is not a number from 1 to %u\n", text, max);
		exit(2);
	}
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	struct maker m = {.count = 1};
	unsigned rotations = 0, i;

	if (argc > 4 && strcmp(argv[argc - 1], "loose") == 0) {
		m.indent = 1;
		argc--;
	}
	if (argc == 4 && strcmp(argv[2], "flat") == 0) {
		m.count = number(argv[3], 10000000);
	} else if (argc == 5 && strcmp(argv[2], "bins") == 0) {
		m.count = number(argv[3], 10000000);
		m.bits = number(argv[4], BITS_MAX);
	} else if (argc == 4 && strcmp(argv[2], "roots") == 0) {
		rotations = number(argv[3], 10000);
	} else {
		fprintf(stderr, "usage: %s DIR flat COUNT | bins COUNT BITS | roots COUNT  [loose]\n", argv[0]);
		return 2;
	}
	must(crypto_start(&err));
	must(file_mkdirs(AT_FDCWD, argv[1], 0755, &err));
	must(m.dirfd = file_open(AT_FDCWD, argv[1], O_RDONLY | O_DIRECTORY, 0, &err));
	must(file_mkdirs(m.dirfd, "metadata", 0755, &err));
	for (i = 0; i < KEYS; i++)
		m.keys[i] = new_key();
	make_roots(&m, rotations);
	make_snapshot(&m);
	make_blob(&m);
	for (i = 0; i < KEYS; i++)
		seckey_free(m.keys[i]);
	close(m.dirfd);
	return 0;
}
