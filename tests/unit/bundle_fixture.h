/*
 * Bundles for tests, in memory: a manifest and the tar that goes with it, in the right order or, to be damaged, piece by
 * piece.
 *
 *	struct fixture f;
 *	fixture_init(&f, BUNDLE_SITE);			   versions, times and names are filled in; change f.m as you like
 *	fixture_add(&f, "metadata/1.root.json", content);  in the order of the manifest; content is copied
 *	fixture_manifest(&f);				   fills f.m; counts and versions follow from the members
 *	fixture_tar(&f, &out);				   or fixture_pieces, change, pieces_put; or fixture_volumes
 */
#ifndef MESHANICS_TESTS_BUNDLE_FIXTURE_H
#define MESHANICS_TESTS_BUNDLE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/encode.h"
#include "bundle/manifest.h"
#include "crypto/sshsig.h"

#define FIXTURE_MEMBERS_MAX 64
#define FIXTURE_PIECES_MAX 80
#define FIXTURE_SIGNATURE "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"

struct fixture {
	struct manifest m;
	const struct seckey *key;	/* borrowed; NULL: FIXTURE_SIGNATURE stands in its place */
	struct fixture_member {
		struct member member;
		uint8_t *content;	/* owned */
	} members[FIXTURE_MEMBERS_MAX];
	unsigned count;
	struct buf signature;
};

/* One member of a tar as it is going to be written; content need not be as long as `size` says. */
struct piece {
	char name[TAR_NAME_MAX + 1];
	char type;
	uint64_t size;
	struct slice content;	/* borrowed */
	bool no_padding;
};
struct pieces {
	struct piece list[FIXTURE_PIECES_MAX];
	unsigned count;
};

static inline void fixture_init(struct fixture *f, enum bundle_kind kind)
{
	memset(f, 0, sizeof(*f));
	f->m = MANIFEST_INIT;
	f->m.kind = kind;
	snprintf(f->m.site, sizeof(f->m.site), "depot-7");
	snprintf(f->m.origin, sizeof(f->m.origin), kind == BUNDLE_SITE ? "main" : "depot-7");
	f->m.sequence = 3;
	f->m.created_s = 1795843200;
	f->m.valid_until_s = 1795843200 + 30 * 86400;
	f->m.complete = true;
	f->m.audit.seq = 41;
	memset(f->m.audit.hash, 0xab, SHA256_LEN);
	f->m.versions.root = 1;
	f->m.versions.targets = 1;
	if (kind == BUNDLE_DEVICE)
		f->m.versions.snapshot = 1, f->m.versions.timestamp = 1;
	f->signature = BUF_INIT(SSHSIG_SIZE_MAX);
}

static inline void fixture_release(struct fixture *f)
{
	unsigned i;

	for (i = 0; i < f->count; i++)
		free(f->members[i].content);
	manifest_release(&f->m);
	buf_release(&f->signature);
	f->count = 0;
}

/* name NULL: an artifact, named by its content. */
static inline struct member *fixture_add(struct fixture *f, const char *name, struct slice content)
{
	struct fixture_member *m = &f->members[f->count++];
	char hex[SHA256_HEX_LEN];

	memset(m, 0, sizeof(*m));
	m->content = malloc(content.len + 1);
	memcpy(m->content, content.len > 0 ? content.ptr : m->content, content.len);
	m->member.length = content.len;
	sha256_of(content, m->member.sha256);
	hex_encode(hex, m->member.sha256, SHA256_LEN);
	if (name == NULL)
		snprintf(m->member.name, sizeof(m->member.name), "targets/%s", hex);
	else
		snprintf(m->member.name, sizeof(m->member.name), "%s", name);
	return &m->member;
}

/* An artifact of n bytes that look random but follow from seed. */
static inline struct member *fixture_add_artifact(struct fixture *f, uint32_t seed, size_t n)
{
	uint8_t *content = malloc(n + 1);
	struct member *m;
	size_t i;

	for (i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		content[i] = (uint8_t)(seed >> 24);
	}
	m = fixture_add(f, NULL, slice_of(content, n));
	free(content);
	return m;
}

static inline int fixture_by_place(const void *a, const void *b)
{
	const struct fixture_member *x = a, *y = b;
	bool p = strncmp(x->member.name, "targets/", 8) == 0, q = strncmp(y->member.name, "targets/", 8) == 0;

	return p && q ? strcmp(x->member.name, y->member.name) : p != q ? p - q : (x > y) - (x < y);
}

/* The manifest's text as it follows from the members, checked or not: what is off in it is the test's aim. */
static inline void fixture_text(struct fixture *f, struct error *err)
{
	unsigned i;

	f->m.members = f->count;
	f->m.bytes = 0;
	for (i = 0; i < f->count; i++)
		f->m.bytes += f->members[i].member.length;
	if (manifest_begin(&f->m, err) < 0)
		return;
	for (i = 0; i < f->count; i++)
		manifest_add(&f->m, &f->members[i].member);
}

/* Puts artifacts in order, makes and signs the manifest. 0, or -1 when manifest_end refuses. */
static inline int fixture_manifest(struct fixture *f, struct error *err)
{
	size_t first = 0;

	while (first < f->count && strncmp(f->members[first].member.name, "targets/", 8) != 0)
		first++;
	qsort(f->members + first, f->count - first, sizeof(f->members[0]), fixture_by_place);
	fixture_text(f, err);
	if (manifest_end(&f->m, err) < 0)
		return -1;
	buf_clear(&f->signature);
	if (f->key != NULL)
		return sshsig_sign_sha256(f->key, BUNDLE_NAMESPACE, f->m.id, &f->signature, err);
	buf_put_str(&f->signature, FIXTURE_SIGNATURE);
	return 0;
}

/* ---- the tar ---- */

static inline struct piece *pieces_add(struct pieces *p, const char *name, struct slice content)
{
	struct piece *new = &p->list[p->count++];

	memset(new, 0, sizeof(*new));
	snprintf(new->name, sizeof(new->name), "%s", name);
	new->type = '0';
	new->size = content.len;
	new->content = content;
	return new;
}

/* Piece `from` moves to the place `to`. */
static inline void pieces_move(struct pieces *p, unsigned from, unsigned to)
{
	struct piece moved = p->list[from];

	memmove(p->list + from, p->list + from + 1, (p->count - from - 1) * sizeof(moved));
	memmove(p->list + to + 1, p->list + to, (p->count - 1 - to) * sizeof(moved));
	p->list[to] = moved;
}

static inline void pieces_drop(struct pieces *p, unsigned at)
{
	pieces_move(p, at, p->count - 1);
	p->count--;
}

/* All that stands in a bundle; borrows from f. */
static inline void fixture_pieces(const struct fixture *f, struct pieces *p)
{
	unsigned i;

	p->count = 0;
	pieces_add(p, BUNDLE_MANIFEST, buf_slice(&f->m.text));
	pieces_add(p, BUNDLE_SIGNATURE, buf_slice(&f->signature));
	for (i = 0; i < f->count; i++)
		pieces_add(p, f->members[i].member.name,
			   slice_of(f->members[i].content, (size_t)f->members[i].member.length));
}

/* Field of a header at `at`, and the checksum again. */
static inline void header_set(uint8_t *block, size_t at, const void *bytes, size_t n)
{
	unsigned sum = 0, i;
	char text[8];

	memcpy(block + at, bytes, n);
	memset(block + 148, ' ', 8);
	for (i = 0; i < TAR_BLOCK; i++)
		sum += block[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(block + 148, text, 7);
}

static inline void put_zeros(struct buf *out, size_t n)
{
	for (; n > 0; n--)
		buf_put_u8(out, 0);
}

static inline void piece_put(struct buf *out, const struct piece *p)
{
	struct tar_entry e = {.mode = 0644, .size = p->size, .mtime_s = 1795843200};
	struct error err = ERROR_INIT;
	size_t at = out->len;

	snprintf(e.name, sizeof(e.name), "x");
	if (tar_put(out, &e, &err) < 0)
		abort();
	/* Names that tar_put would refuse are what some tests are about. */
	if (strlen(p->name) <= 100) {
		uint8_t name[100] = {0};

		memcpy(name, p->name, strlen(p->name));
		header_set(out->ptr + at, 0, name, sizeof(name));
	} else {
		out->len = at;
		snprintf(e.name, sizeof(e.name), "%s", p->name);
		if (tar_put(out, &e, &err) < 0)
			abort();
	}
	header_set(out->ptr + at, 156, &p->type, 1);
	buf_put_slice(out, p->content);
	if (!p->no_padding)
		put_zeros(out, tar_padding(p->content.len));
}

static inline void pieces_put(struct buf *out, const struct pieces *p)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		piece_put(out, &p->list[i]);
	put_zeros(out, 2 * TAR_BLOCK);
}

static inline void fixture_tar(const struct fixture *f, struct buf *out)
{
	struct pieces p;

	fixture_pieces(f, &p);
	pieces_put(out, &p);
}

/* A descriptor that gives these bytes, from its beginning. */
static inline int fixture_fd(struct slice bytes)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes.ptr, bytes.len, 0) != (ssize_t)bytes.len)
		abort();
	return fd;
}

/* ---- volumes ---- */

/* Bytes that a member of n bytes takes. */
static inline uint64_t fixture_taken(uint64_t n)
{
	return TAR_BLOCK + n + tar_padding(n);
}

/*
 * Cut so that each volume holds at most `room` bytes of members (headers and padding included, manifest and volume.json
 * not). Fills out[i].text; the number of volumes. Two passes, as the number is in each of them.
 */
struct fixture_volume {
	struct buf text;
	struct volume v;
	struct pieces p;
};
static inline unsigned fixture_cut(const struct fixture *f, uint64_t room, struct fixture_volume *out, unsigned max)
{
	uint64_t left = room, offset = 0;
	unsigned n = 0, i = 0;

	memset(&out[0].v, 0, sizeof(out[0].v));
	out[0].p.count = 0;
	while (i < f->count) {
		const struct fixture_member *m = &f->members[i];
		struct slice rest = slice_sub(slice_of(m->content, (size_t)m->member.length), (size_t)offset,
					      (size_t)m->member.length);
		char name[TAR_NAME_MAX + 1];

		if (fixture_taken(rest.len) > left && left < 2 * TAR_BLOCK) {
			if (++n == max)
				abort();
			memset(&out[n].v, 0, sizeof(out[n].v));
			out[n].p.count = 0;
			out[n].v.member = i;
			out[n].v.offset = offset;
			left = room;
			continue;
		}
		snprintf(name, sizeof(name), "%s", m->member.name);
		if (fixture_taken(rest.len) > left)
			rest.len = (size_t)(left - TAR_BLOCK) / TAR_BLOCK * TAR_BLOCK;
		if (rest.len < m->member.length)
			snprintf(name, sizeof(name), "%.200s.part-%llu", m->member.name, (unsigned long long)offset);
		pieces_add(&out[n].p, name, rest);
		left -= fixture_taken(rest.len);
		offset += rest.len;
		if (offset == m->member.length)
			i++, offset = 0;
	}
	return n + 1;
}

/* The archives of what has been cut; volume 1 begins with the manifest. */
static inline void fixture_volume_text(const struct fixture *f, struct fixture_volume *v)
{
	struct buf json = BUF_INIT(VOLUME_MAX);
	struct pieces all;
	unsigned i;

	all.count = 0;
	volume_put(&json, &v->v);
	if (v->v.volume == 1) {
		pieces_add(&all, BUNDLE_MANIFEST, buf_slice(&f->m.text));
		pieces_add(&all, BUNDLE_SIGNATURE, buf_slice(&f->signature));
	}
	pieces_add(&all, BUNDLE_VOLUME, buf_slice(&json));
	for (i = 0; i < v->p.count; i++)
		all.list[all.count++] = v->p.list[i];
	buf_clear(&v->text);
	pieces_put(&v->text, &all);
	buf_release(&json);
}

static inline unsigned fixture_volumes(const struct fixture *f, uint64_t room, struct fixture_volume *out, unsigned max)
{
	unsigned n = fixture_cut(f, room, out, max), i;

	for (i = 0; i < n; i++) {
		memcpy(out[i].v.bundle, f->m.id, SHA256_LEN);
		out[i].v.volume = i + 1;
		out[i].v.volumes = n;
		out[i].v.last = i + 1 == n;
		out[i].text = BUF_INIT(64u << 20);
		fixture_volume_text(f, &out[i]);
	}
	return n;
}

#endif
