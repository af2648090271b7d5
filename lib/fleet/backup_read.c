/* Reading a backup: unsealing, the tar inside, and what may stand in it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "fleet/backup_internal.h"
#include "sys/file.h"

#define READ_SIZE (128u << 10)

/* ---- backup.json ---- */

void backup_info_put(struct buf *out, const struct backup_info *info)
{
	struct json_writer w = {.out = out, .indent = 2};
	char when[TIME_TEXT_LEN];

	json_open_object(&w, NULL);
	json_put_string(&w, "format", BACKUP_FORMAT);
	json_put_string(&w, "created", time_text(when, info->created_s));
	json_put_string(&w, "site", info->site);
	json_put_string(&w, "version", info->version);
	json_put_int(&w, "audit_seq", info->audit_seq);
	json_put_string(&w, "audit_fault", info->audit_fault);
	json_close(&w);
	buf_put_str(out, "\n");
}

static int parse_members(struct json_value v, struct backup_info *info, struct error *err)
{
	static const char *const members[] = {"format", "created", "site", "version", "audit_seq", "audit_fault", NULL};
	struct slice format, created, site, version, fault;

	if (json_only(v, members, err) < 0 || json_need_string(v, "format", &format, err) < 0 ||
	    json_need_string(v, "created", &created, err) < 0 || json_need_string(v, "site", &site, err) < 0 ||
	    json_need_string(v, "version", &version, err) < 0 ||
	    json_need_int(v, "audit_seq", 0, INT64_MAX, &info->audit_seq, err) < 0 ||
	    json_need_string(v, "audit_fault", &fault, err) < 0 || time_parse(&info->created_s, created, err) < 0)
		return -1;
	if (!slice_equal_str(format, BACKUP_FORMAT)) {
		error_set(err, ERR_REFUSED, "the format of this backup is '%.*s', not '" BACKUP_FORMAT "'",
			  SLICE_ARG(slice_sub(format, 0, 40)));
		return error_hint(err, "read it with the newer meshanics that made it");
	}
	printable(info->site, sizeof(info->site), site);
	printable(info->version, sizeof(info->version), version);
	printable(info->audit_fault, sizeof(info->audit_fault), fault);
	return 0;
}

int backup_info_parse(struct slice text, struct backup_info *info, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, text, JSON_STRICT, err) == 0)
		r = parse_members(json_root(&doc), info, err);
	json_release(&doc);
	return r < 0 ? error_wrap(err, BACKUP_INFO_NAME) : 0;
}

/* ---- the archive ---- */

/*
 *	         header            content over       padding over
 *	HEADER ---------> CONTENT -------------> PADDING --------> HEADER
 *	   | zero block
 *	   v
 *	TAIL (zeros only, to the end of the sealed stream)
 */
enum archive_state { HEADER, CONTENT, PADDING, TAIL };

struct archive {
	const struct archive_handler *handler;
	struct backup_info *info;
	enum archive_state state;
	struct tar_reader tar;
	struct tar_entry entry;
	uint8_t block[TAR_BLOCK];
	size_t block_len;
	uint64_t left;			/* of content or padding */
	bool is_info, has_info, has_database;
	struct buf text;		/* backup.json */
};

static int check_place(const struct archive *a, const struct tar_entry *e, struct error *err)
{
	struct slice name = slice_str(e->name);

	if (slice_equal_str(name, BACKUP_DB_NAME))
		return !e->is_dir && !a->has_database
			       ? 0
			       : error_set(err, ERR_MALFORMED, "the database is there twice");
	if (slice_equal_str(name, "repo") || slice_equal_str(name, "control/ca"))
		return e->is_dir ? 0 : error_set(err, ERR_MALFORMED, "'%s' is not a directory", e->name);
	if (slice_starts(name, SLICE_LIT("repo/")) || slice_starts(name, SLICE_LIT("control/ca/")))
		return 0;
	return error_set(err, ERR_REFUSED, "'%s' has no place in a backup", e->name);
}

static int begin_member(struct archive *a, struct error *err)
{
	const struct tar_entry *e = &a->entry;

	a->is_info = strcmp(e->name, BACKUP_INFO_NAME) == 0;
	if (a->is_info == a->has_info)
		return error_set(err, ERR_MALFORMED, "'" BACKUP_INFO_NAME "' does not stand first, and once");
	a->has_info = true;
	if (++a->info->files > BACKUP_FILES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d files", BACKUP_FILES_MAX);
	if (a->is_info)
		return e->is_dir || e->size > BACKUP_INFO_MAX
			       ? error_set(err, ERR_LIMIT, "'" BACKUP_INFO_NAME "' is too large")
			       : 0;
	if (check_place(a, e, err) < 0)
		return -1;
	a->has_database = a->has_database || strcmp(e->name, BACKUP_DB_NAME) == 0;
	return a->handler == NULL || a->handler->begin == NULL ? 0 : a->handler->begin(a->handler->arg, e, err);
}

static int end_member(struct archive *a, struct error *err)
{
	if (a->is_info)
		return backup_info_parse(buf_slice(&a->text), a->info, err);
	if (a->entry.is_dir || a->handler == NULL || a->handler->end == NULL)
		return 0;
	return a->handler->end(a->handler->arg, err);
}

static int take_content(struct archive *a, struct slice part, struct error *err)
{
	a->left -= part.len;
	if (a->is_info) {
		buf_put_slice(&a->text, part);
	} else {
		a->info->bytes += part.len;
		if (a->handler != NULL && a->handler->data != NULL &&
		    a->handler->data(a->handler->arg, part, err) < 0)
			return -1;
	}
	if (a->left > 0)
		return 0;
	if (end_member(a, err) < 0)
		return -1;
	a->left = tar_padding(a->entry.size);
	a->state = a->left > 0 ? PADDING : HEADER;
	return 0;
}

/* A whole block of a header is at hand. */
static int take_header(struct archive *a, struct error *err)
{
	int kind = tar_get(&a->tar, a->block, &a->entry, err);

	a->block_len = 0;
	if (kind < 0 || kind == TAR_MORE)
		return kind < 0 ? -1 : 0;
	if (kind == TAR_END) {
		a->state = TAIL;
		return 0;
	}
	if (begin_member(a, err) < 0)
		return -1;
	a->left = a->entry.size;
	if (a->left > 0)
		a->state = CONTENT;
	return a->left > 0 ? 0 : end_member(a, err);
}

static int take_zeros(struct slice part, struct error *err)
{
	size_t i;

	for (i = 0; i < part.len; i++)
		if (part.ptr[i] != 0)
			return error_set(err, ERR_MALFORMED, "something stands where only zeros may be");
	return 0;
}

/* The next piece in the present state; how much of it was used goes into *used. */
static int take_piece(struct archive *a, struct slice piece, size_t *used, struct error *err)
{
	switch (a->state) {
	case HEADER:
		piece = slice_sub(piece, 0, TAR_BLOCK - a->block_len);
		*used = piece.len;
		memcpy(a->block + a->block_len, piece.ptr, piece.len);
		a->block_len += piece.len;
		return a->block_len == TAR_BLOCK ? take_header(a, err) : 0;
	case CONTENT:
		piece = slice_sub(piece, 0, a->left < piece.len ? (size_t)a->left : piece.len);
		*used = piece.len;
		return take_content(a, piece, err);
	case PADDING:
		piece = slice_sub(piece, 0, a->left < piece.len ? (size_t)a->left : piece.len);
		*used = piece.len;
		a->left -= piece.len;
		if (a->left == 0)
			a->state = HEADER;
		return take_zeros(piece, err);
	case TAIL:
		break;
	}
	*used = piece.len;
	return take_zeros(piece, err);
}

static int take_all(struct archive *a, struct buf *plain, struct error *err)
{
	struct slice rest = buf_slice(plain);
	size_t used;

	while (rest.len > 0) {
		if (take_piece(a, rest, &used, err) < 0)
			return -1;
		rest = slice_sub(rest, used, rest.len);
	}
	buf_clear(plain);
	return 0;
}

static int check_whole(const struct archive *a, struct error *err)
{
	if (a->state != TAIL)
		return error_set(err, ERR_MALFORMED, "the archive ends in the middle of a member");
	if (!a->has_database)
		return error_set(err, ERR_MALFORMED, "the archive holds no database");
	return 0;
}

/* Unseal from `at` on, and hand on what is verified. */
static int read_stream(struct archive *a, struct unsealer *u, int fd, uint64_t at,
		       const struct backup_progress *progress, struct error *err)
{
	struct buf plain = BUF_SECRET(READ_SIZE + 2 * SEALED_CHUNK_MAX);
	uint8_t *part = xmalloc(READ_SIZE);
	ssize_t n;
	int r = -1;

	while ((n = file_pread(fd, part, READ_SIZE, at, "the backup", err)) > 0) {
		at += (uint64_t)n;
		if (unsealer_put(u, slice_of(part, (size_t)n), &plain, err) < 0 || take_all(a, &plain, err) < 0)
			goto out;
		if (progress != NULL && progress->tell != NULL)
			progress->tell(progress->arg, "backup", at, 0);
	}
	if (n < 0 || unsealer_end(u, &plain, err) < 0 || take_all(a, &plain, err) < 0)
		goto out;
	r = check_whole(a, err);
out:
	free(part);
	buf_release(&plain);
	return r;
}

int archive_read(int fd, struct slice passphrase, const struct archive_handler *handler,
		 const struct backup_progress *progress, struct backup_info *info, struct error *err)
{
	struct archive a = {.handler = handler, .info = info, .text = BUF_INIT(BACKUP_INFO_MAX)};
	uint8_t header[SEALED_HEADER_LEN];
	struct unsealer *u = NULL;
	ssize_t n = file_pread(fd, header, sizeof(header), 0, "the backup", err);
	int r = -1;

	*info = (struct backup_info){.files = 0};
	if (n >= 0)
		u = unsealer_new(slice_of(header, (size_t)n), passphrase, err);
	if (u != NULL)
		r = read_stream(&a, u, fd, sizeof(header), progress, err);
	unsealer_free(u);
	buf_release(&a.text);
	return r;
}

int backup_verify(int fd, struct slice passphrase, const struct backup_progress *progress, struct backup_info *info,
		  struct error *err)
{
	return archive_read(fd, passphrase, NULL, progress, info, err);
}
