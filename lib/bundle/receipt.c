/* Receipts: receipt.json, and the archive that holds it with the list of artifacts. */
#include "bundle/receipt.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/json.h"
#include "bundle/tarfile.h"
#include "bundle/fields.h"
#include "crypto/sshsig.h"
#include "sys/file.h"
#include "tuf/metadata.h"

#define RECEIPT_JSON "receipt.json"
#define RECEIPT_SIGNATURE "receipt.json.sig"
#define RECEIPT_HELD "held"
#define HELD_LINE (2 * SHA256_LEN + 1)	/* 64 hex digits and a newline */
#define PART_MAX (256u << 10)		/* of what is written at once */

void held_release(struct held *h)
{
	free(h->list);
	*h = (struct held){.count = 0};
}

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_LEN);
}

bool held_find(const struct held *h, const uint8_t sha256[static SHA256_LEN])
{
	return h->count > 0 && bsearch(sha256, h->list, h->count, SHA256_LEN, compare_hashes) != NULL;
}

void receipt_release(struct receipt *r)
{
	free(r->versions);
	*r = (struct receipt){.version_count = 0};
}

int64_t receipt_version(const struct receipt *r, const char *role)
{
	uint32_t i;

	for (i = 0; i < r->version_count; i++)
		if (strcmp(r->versions[i].role, role) == 0)
			return r->versions[i].version;
	return 0;
}

/* ---- receipt.json ---- */

void receipt_put(struct buf *out, const struct receipt *r)
{
	struct json_writer w = JSON_WRITER(out);
	uint32_t i;

	json_open_object(&w, NULL);
	field_put_audit(&w, &r->audit);
	field_put_hash(&w, "bundle", r->has_bundle, r->bundle);
	field_put_time(&w, "created", r->created_s);
	json_put_string(&w, "format", RECEIPT_FORMAT);
	json_open_object(&w, "held");
	json_put_int(&w, "count", r->held_count);
	json_put_hex(&w, "sha256", r->held_sha256, SHA256_LEN);
	json_close(&w);
	json_put_int(&w, "sequence", r->sequence);
	json_put_string(&w, "site", r->site);
	json_open_object(&w, "versions");
	for (i = 0; i < r->version_count; i++)
		json_put_int(&w, r->versions[i].role, r->versions[i].version);
	json_close(&w);
	json_close(&w);
	buf_put_str(out, "\n");
}

/* Where a role stands: root, targets, then the others. */
static int rank(const char *role)
{
	return strcmp(role, "root") == 0 ? 0 : strcmp(role, "targets") == 0 ? 1 : 2;
}

static int parse_version(struct receipt *r, struct slice key, struct json_value value, struct error *err)
{
	struct receipt_version *now = &r->versions[r->version_count];
	const struct receipt_version *last = r->version_count == 0 ? NULL : now - 1;

	if (name_check(key, "role", err) < 0)
		return -1;
	memcpy(now->role, key.ptr, key.len);
	now->role[key.len] = '\0';
	if (strcmp(now->role, "snapshot") == 0 || strcmp(now->role, "timestamp") == 0)
		return error_set(err, ERR_MALFORMED, "'%s' has no place in a receipt", now->role);
	if (last == NULL ? rank(now->role) != 0
			 : rank(now->role) < rank(last->role) ||
				   (rank(now->role) == rank(last->role) && strcmp(now->role, last->role) <= 0))
		return error_set(err, ERR_MALFORMED, "'%s' is out of order", now->role);
	if (json_type(value) != JSON_INT || json_int(value) < 1 || json_int(value) > TUF_VERSION_MAX)
		return error_set(err, ERR_MALFORMED, "'%s' has no version", now->role);
	now->version = json_int(value);
	r->version_count++;
	return 0;
}

static int parse_versions(struct receipt *r, struct json_value obj, struct error *err)
{
	struct json_value versions;
	struct json_iter it;

	if (json_need_object(obj, "versions", &versions, err) < 0)
		return -1;
	if (json_count(versions) == 0)
		return error_set(err, ERR_MALFORMED, "member 'versions' is empty");
	r->versions = xreallocarray(NULL, json_count(versions), sizeof(r->versions[0]));
	for (it = json_iter(versions); json_next(&it);)
		if (parse_version(r, it.key, it.value, err) < 0)
			return error_wrap(err, "member 'versions'");
	return 0;
}

static int parse_held(struct receipt *r, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"count", "sha256", NULL};
	struct json_value held;
	int64_t count;

	if (json_need_object(obj, "held", &held, err) < 0)
		return -1;
	if (json_only(held, names, err) < 0 || json_need_int(held, "count", 0, BUNDLE_MEMBERS_MAX, &count, err) < 0 ||
	    field_hash(held, "sha256", r->held_sha256, err) < 0)
		return error_wrap(err, "member 'held'");
	r->held_count = (uint32_t)count;
	return 0;
}

static int parse_fields(struct receipt *r, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"audit", "bundle", "created", "format", "held", "sequence", "site",
		"versions", NULL};

	if (field_format(obj, RECEIPT_FORMAT, err) < 0 || json_only(obj, names, err) < 0 ||
	    field_name(obj, "site", r->site, err) < 0 || field_time(obj, "created", &r->created_s, err) < 0 ||
	    field_hash_or_null(obj, "bundle", &r->has_bundle, r->bundle, err) < 0 ||
	    json_need_int(obj, "sequence", 0, FIELD_NUMBER_MAX, &r->sequence, err) < 0 ||
	    field_audit(obj, &r->audit, err) < 0 || parse_versions(r, obj, err) < 0 || parse_held(r, obj, err) < 0)
		return -1;
	if (r->has_bundle != (r->sequence > 0))
		return error_set(err, ERR_MALFORMED, "members 'bundle' and 'sequence' do not go together");
	return 0;
}

int receipt_parse(struct receipt *r, struct slice text, struct error *err)
{
	struct buf again = BUF_INIT(RECEIPT_MAX);
	struct json doc = JSON_INIT;
	int result = -1;

	*r = (struct receipt){.version_count = 0};
	if (text.len > RECEIPT_MAX) {
		error_set(err, ERR_LIMIT, "larger than %u bytes", RECEIPT_MAX);
		goto out;
	}
	if (json_parse(&doc, text, JSON_STRICT, err) < 0 || parse_fields(r, json_root(&doc), err) < 0)
		goto out;
	receipt_put(&again, r);
	if (!slice_equal(buf_slice(&again), text)) {
		error_set(err, ERR_MALFORMED, "its members are not in order, or it is not one line");
		goto out;
	}
	sha256_of(text, r->id);
	result = 0;
out:
	buf_release(&again);
	json_release(&doc);
	if (result == 0)
		return 0;
	receipt_release(r);
	return error_wrap(err, RECEIPT_JSON);
}

/* ---- writing the archive ---- */

static int write_part(int fd, struct buf *part, struct error *err)
{
	int r = part->failed ? error_set(err, ERR_LIMIT, "a part of the receipt is too large")
			     : file_write_all(fd, buf_slice(part), "the receipt", err);

	buf_clear(part);
	return r;
}

static int put_header(struct buf *out, const char *name, uint64_t size, int64_t created_s, struct error *err)
{
	struct tar_entry e = {.mode = 0644, .size = size, .mtime_s = created_s};

	memcpy(e.name, name, strlen(name) + 1);
	return tar_put(out, &e, err);
}

static void put_padding(struct buf *out, uint64_t size)
{
	static const uint8_t zeros[TAR_BLOCK];

	buf_put(out, zeros, tar_padding(size));
}

static int write_member(int fd, struct buf *part, const char *name, struct slice content, int64_t created_s,
			struct error *err)
{
	if (put_header(part, name, content.len, created_s, err) < 0 || write_part(fd, part, err) < 0 ||
	    file_write_all(fd, content, "the receipt", err) < 0)
		return -1;
	put_padding(part, content.len);
	return write_part(fd, part, err);
}

static int write_held(int fd, struct buf *part, const struct held *held, int64_t created_s, struct error *err)
{
	uint64_t size = (uint64_t)held->count * HELD_LINE;
	char line[HELD_LINE + 1];
	uint32_t i;

	if (put_header(part, RECEIPT_HELD, size, created_s, err) < 0)
		return -1;
	for (i = 0; i < held->count; i++) {
		hex_encode(line, held->list[i], SHA256_LEN);
		line[HELD_LINE - 1] = '\n';
		buf_put(part, line, HELD_LINE);
		if (part->len > PART_MAX - 2 * TAR_BLOCK && write_part(fd, part, err) < 0)
			return -1;
	}
	put_padding(part, size);
	return write_part(fd, part, err);
}

int receipt_write(int fd, struct slice text, struct slice signature, const struct held *held, int64_t created_s,
		  struct error *err)
{
	static const uint8_t end[2 * TAR_BLOCK];
	struct buf part = BUF_INIT(PART_MAX);
	int r = -1;

	if (write_member(fd, &part, RECEIPT_JSON, text, created_s, err) == 0 &&
	    write_member(fd, &part, RECEIPT_SIGNATURE, signature, created_s, err) == 0 &&
	    write_held(fd, &part, held, created_s, err) == 0)
		r = file_write_all(fd, slice_of(end, sizeof(end)), "the receipt", err);
	buf_release(&part);
	return r;
}

/* ---- reading it ---- */

static int expect_member(struct tarfile *a, const char *name, struct tar_entry *e, struct error *err)
{
	int kind = tarfile_header(a, e, err);

	if (kind < 0)
		return -1;
	if (kind == 1 && strcmp(e->name, name) == 0)
		return 0;
	if (kind == 0)
		return error_set(err, ERR_MALFORMED, "'%s' is missing", name);
	error_set(err, ERR_MALFORMED, "'%s' stands where '%s' should", e->name, name);
	if (strcmp(e->name, BUNDLE_MANIFEST) == 0)
		error_hint(err, "this is a bundle, not a receipt");
	return -1;
}

/* Append the content of the next member to out; it alone goes into *content. */
static int read_member(struct tarfile *a, const char *name, size_t max, struct buf *out, struct slice *content,
		       struct error *err)
{
	size_t before = out->len;
	struct tar_entry e;

	if (expect_member(a, name, &e, err) < 0)
		return -1;
	if (e.size > max)
		return error_set(err, ERR_LIMIT, "'%s' has %" PRIu64 " bytes, more than %zu", name, e.size, max);
	if (tarfile_read_all(a, out, err) < 0)
		return error_wrap(err, "'%s'", name);
	*content = slice_sub(buf_slice(out), before, out->len);
	return 0;
}

static int take_held_line(struct held *h, const uint8_t line[static HELD_LINE], struct error *err)
{
	uint8_t *hash = h->list[h->count];

	if (line[HELD_LINE - 1] != '\n' || hash_parse(hash, slice_of(line, HELD_LINE - 1), err) < 0)
		return error_set(err, ERR_MALFORMED, "line %u is not 64 hex digits", h->count + 1);
	if (h->count > 0 && memcmp(h->list[h->count - 1], hash, SHA256_LEN) >= 0)
		return error_set(err, ERR_MALFORMED, "line %u is out of order or doubled", h->count + 1);
	h->count++;
	return 0;
}

/* Lines from pieces that end anywhere. The size is known to be whole lines, and as many as the list has room for. */
static int read_lines(struct tarfile *a, struct held *h, struct sha256 *hash, struct error *err)
{
	uint8_t line[HELD_LINE];
	size_t len = 0;
	struct slice piece;

	do {
		if (tarfile_piece(a, &piece, err) < 0)
			return -1;
		sha256_update(hash, piece.ptr, piece.len);
		while (piece.len + len >= HELD_LINE) {
			memcpy(line + len, piece.ptr, HELD_LINE - len);
			piece = slice_sub(piece, HELD_LINE - len, piece.len);
			len = 0;
			if (take_held_line(h, line, err) < 0)
				return -1;
		}
		if (piece.len == 0)
			continue;
		memcpy(line + len, piece.ptr, piece.len);
		len += piece.len;
	} while (a->left > 0);
	return 0;
}

static int read_held(struct tarfile *a, const struct receipt *r, struct held *h, struct error *err)
{
	uint8_t got[SHA256_LEN];
	struct sha256 hash;
	struct tar_entry e;

	if (expect_member(a, RECEIPT_HELD, &e, err) < 0)
		return -1;
	if (e.size != (uint64_t)r->held_count * HELD_LINE)
		return error_set(err, ERR_MALFORMED, "'" RECEIPT_HELD "' has %" PRIu64 " bytes, and not %u lines", e.size,
				 r->held_count);
	h->list = xcalloc(r->held_count + 1, SHA256_LEN);
	sha256_init(&hash);
	if (read_lines(a, h, &hash, err) < 0)
		return error_wrap(err, "'" RECEIPT_HELD "'");
	sha256_final(&hash, got);
	if (memcmp(got, r->held_sha256, SHA256_LEN) != 0)
		return error_set(err, ERR_MALFORMED, "'" RECEIPT_HELD "': its SHA-256 is not the one in " RECEIPT_JSON);
	return 0;
}

static int read_archive(struct tarfile *a, struct buf *text, struct buf *signature, struct receipt *r,
			struct held *held, struct error *err)
{
	struct slice content, ignored;
	struct tar_entry e;
	int kind;

	if (read_member(a, RECEIPT_JSON, RECEIPT_MAX, text, &content, err) < 0 ||
	    receipt_parse(r, content, err) < 0 ||
	    read_member(a, RECEIPT_SIGNATURE, SSHSIG_SIZE_MAX, signature, &ignored, err) < 0 ||
	    read_held(a, r, held, err) < 0)
		return -1;
	kind = tarfile_header(a, &e, err);
	if (kind == 1)
		error_set(err, ERR_MALFORMED, "'%s' stands where the end should be", e.name);
	return kind != 0 ? -1 : tarfile_tail(a, err);
}

int receipt_read(int fd, struct buf *text, struct buf *signature, struct receipt *r, struct held *held,
		 struct error *err)
{
	struct tarfile a = TARFILE_INIT;
	int result;

	*r = (struct receipt){.version_count = 0};
	*held = (struct held){.count = 0};
	tarfile_open(&a, fd);
	result = read_archive(&a, text, signature, r, held, err);
	tarfile_release(&a);
	if (result == 0)
		return 0;
	receipt_release(r);
	held_release(held);
	return -1;
}
