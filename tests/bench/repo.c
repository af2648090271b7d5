/*
 * Fills the hash bins of a repository that is in force, and times it: what tests/bench/repo.sh runs.
 *
 *	repo HOME TARGETS [MORE]	one change with TARGETS artifacts (0: none); then opens the repository anew and
 *					publishes one more, 9 times or MORE times
 *
 * The artifacts of the large change have no bytes: their metadata is built, signed, checked and committed as in any
 * change, only the look at stored blobs is left out. The one more is published with all checks.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/publish_internal.h"

#define MORE 9

static struct error err = ERROR_INIT;

#define MUST(call)                                                                 \
	do {                                                                       \
		if ((call) < 0) {                                                  \
			fprintf(stderr, "%s: %s\n", #call, err.text);              \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void path_of(char out[static 64], uint32_t i)
{
	snprintf(out, 64, "plant/artifact-%07u/1.0", i);
}

static struct seckey *publisher_key(const char *home, const struct repo_role *publisher)
{
	char path[4096];
	struct seckey *k;

	snprintf(path, sizeof(path), "%s/repo/keys/%s.key", home, publisher->name);
	if ((k = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err)) == NULL)
		MUST(-1);
	return k;
}

/* The numbers of all artifacts, bin by bin; starts[b] is where those of bin b begin. */
static uint32_t *by_bin(const struct repo_role *publisher, uint32_t count, uint32_t *starts)
{
	unsigned bins = 1u << publisher->bin_bits, b;
	uint16_t *of = xcalloc(count, sizeof(*of));
	uint32_t *list = xcalloc(count, sizeof(*list)), i;
	char path[64];

	for (i = 0; i < count; i++) {
		path_of(path, i);
		of[i] = (uint16_t)repo_bin_of(publisher, slice_str(path));
		starts[of[i] + 1]++;
	}
	for (b = 0; b < bins; b++)
		starts[b + 1] += starts[b];
	for (i = 0; i < count; i++)
		list[starts[of[i]]++] = i;
	for (b = bins; b > 0; b--)
		starts[b] = starts[b - 1];
	starts[0] = 0;
	free(of);
	return list;
}

static const struct descriptor plain = {.kind = PAYLOAD_FILE, .release = 1, .placement.mode = DESCRIPTOR_MODE_DEFAULT};

/* The next file of one bin, which is empty so far, with the artifacts of `list` in it. */
static void fill_bin(struct repo *r, const struct repo_role *publisher, unsigned bin, const uint32_t *list,
		     uint32_t count, const struct publish_terms *terms, struct repo_change *change)
{
	struct publish_change *changes = xcalloc(count, sizeof(*changes));
	char(*paths)[64] = xcalloc(count, sizeof(*paths));
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	struct publish_terms t = *terms;
	struct tuf_metafile meta = {.version = 0};
	char name[NAME_LEN_MAX + 1];
	uint32_t i;

	repo_bin_name(publisher->name, publisher->bin_bits, bin, name);
	if (repo_index_find(&r->state.index, name, &meta))
		t.last_version = meta.version;
	for (i = 0; i < count; i++) {
		path_of(paths[i], list[i]);
		changes[i] = (struct publish_change){.path = paths[i], .length = 1000, .descriptor = &plain};
		sha256_of(slice_str(paths[i]), changes[i].sha256);
	}
	MUST(publish_build(&file, SLICE_EMPTY, changes, count, &t, NULL, &err));
	MUST(repo_change_write(change, r, name, t.last_version + 1 > t.now_s ? t.last_version + 1 : t.now_s,
			       buf_slice(&file), &err));
	buf_release(&file);
	free(paths);
	free(changes);
}

static void fill(const char *home, uint32_t count)
{
	struct repo *r = repo_open(home, &err);
	struct repo_change change = {.files = NULL};
	struct repo_lives lives;
	struct publish_terms terms = {.now_s = clock_now_s()};
	struct seal_options o = {.now_s = terms.now_s};
	const struct repo_role *publisher;
	struct tuf_signer signer;
	double t0, t1, c0;
	uint32_t *starts, *list;
	unsigned bins, b;

	if (r == NULL)
		MUST(-1);
	publisher = repo_role_at(r, 0);
	if (publisher == NULL || publisher->bin_bits == 0) {
		fprintf(stderr, "'%s' has no hash bins\n", home);
		exit(2);
	}
	lives = repo_lives(r);
	o.lives = &lives;
	tuf_signer_init(&signer, publisher_key(home, publisher));
	terms.life_s = lives.publisher_s;
	terms.signers = &signer;
	terms.signer_count = 1;
	bins = 1u << publisher->bin_bits;
	t0 = now_ms();
	c0 = cpu_ms();
	starts = xcalloc(bins + 1, sizeof(*starts));
	list = by_bin(publisher, count, starts);
	for (b = 0; b < bins; b++)
		fill_bin(r, publisher, b, list + starts[b], starts[b + 1] - starts[b], &terms, &change);
	t1 = now_ms();
	MUST(repo_seal(r, &change, &o, &err));
	MUST(repo_apply(r, &change, terms.now_s, &err));
	printf("%u targets in %u bins: %.0f ms (%.0f ms of it the commit), %.0f ms of processor, peak %ld KiB\n", count, bins,
	       now_ms() - t0, now_ms() - t1, cpu_ms() - c0, peak_kib());
	repo_change_release(&change);
	seckey_free((struct seckey *)(uintptr_t)signer.key);
	free(starts);
	free(list);
	repo_free(r);
}

/* One file as `sign` publishes it, from the blob that is staged already. */
static void publish_one(struct repo *r, const char *home, unsigned n)
{
	const struct repo_role *publisher = repo_role_at(r, 0), *role;
	struct descriptor d = plain;
	struct publish_change change = {.descriptor = &d};
	struct publish_terms terms = {.now_s = clock_now_s(), .life_s = repo_lives(r).publisher_s, .signer_count = 1};
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	struct publish_result result;
	struct tuf_signer signer;
	struct publish_blob blob;
	struct seckey *key = publisher_key(home, publisher);
	char path[64];
	FILE *tmp = tmpfile();
	double t0, c0;

	fprintf(tmp, "one more %u of %d\n", n, (int)getpid());
	fflush(tmp);
	snprintf(path, sizeof(path), "plant/more/%d.%u", (int)getpid(), n);
	change.path = path;
	MUST(publish_stage_file(repo_dirfd(r), fileno(tmp), &blob, NULL, NULL, NULL, &err));
	fclose(tmp);
	change.length = blob.len;
	memcpy(change.sha256, blob.sha256, SHA256_LEN);
	tuf_signer_init(&signer, key);
	terms.signers = &signer;
	t0 = now_ms();
	c0 = cpu_ms();
	role = repo_file_of_path(r, publisher, slice_str(path));
	terms.last_version = role->version;
	MUST(publish_next_release(buf_slice(&role->text), path, publish_release_floor(r), &d.release, &err));
	MUST(publish_build(&file, buf_slice(&role->text), &change, 1, &terms, NULL, &err));
	MUST(publish_commit(r, slice_str(role->name), role->version, buf_slice(&file), terms.now_s, &result, &err));
	printf("one more: %.1f ms, %.1f ms of processor\n", now_ms() - t0, cpu_ms() - c0);
	seckey_free(key);
	buf_release(&file);
}

int main(int argc, char **argv)
{
	struct repo *r;
	double t0, c0;
	unsigned n, more;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: %s HOME TARGETS [MORE]\n", argv[0]);
		return 2;
	}
	MUST(crypto_start(&err));
	if (strcmp(argv[2], "0") != 0)
		fill(argv[1], (uint32_t)strtoul(argv[2], NULL, 10));
	more = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : MORE;
	t0 = now_ms();
	c0 = cpu_ms();
	if ((r = repo_open(argv[1], &err)) == NULL)
		MUST(-1);
	printf("open: %.1f ms, %.1f ms of processor\n", now_ms() - t0, cpu_ms() - c0);
	for (n = 0; n < more; n++)
		publish_one(r, argv[1], n);
	printf("peak %ld KiB\n", peak_kib());
	repo_free(r);
	return 0;
}
