/* The transcript of one machine: a line a step, each with the hash of the line before. */
#include <fcntl.h>
#include <inttypes.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "sys/file.h"
#include "tuf/ceremony_internal.h"

#define TRANSCRIPT_FILE "transcript"

/* ---- reading ---- */

void transcript_start(struct transcript_reader *t, struct slice text)
{
	static const uint8_t none[SHA256_LEN] = {0};

	*t = (struct transcript_reader){.text = text, .doc = JSON_INIT};
	hex_encode(t->head, none, sizeof(none));
}

void transcript_stop(struct transcript_reader *t)
{
	json_release(&t->doc);
}

static int check_files(struct json_value files, struct error *err)
{
	static const char *const names[] = {"name", "sha256", NULL};
	struct slice name = SLICE_EMPTY, hex = SLICE_EMPTY;
	uint8_t hash[SHA256_LEN];
	struct json_iter it;

	for (it = json_iter(files); json_next(&it);) {
		if (json_type(it.value) != JSON_OBJECT)
			return error_set(err, ERR_MALFORMED, "'files' does not hold objects");
		if (json_only(it.value, names, err) < 0 ||
		    json_need_string(it.value, "name", &name, err) < 0 ||
		    json_need_string(it.value, "sha256", &hex, err) < 0 ||
		    hex_decode(hash, sizeof(hash), hex, err) < 0)
			return error_wrap(err, "'files'");
	}
	return 0;
}

static int read_line(struct transcript_reader *t, struct error *err)
{
	static const char *const names[] = {"n",       "prev",	"time",	  "step",
					    "request", "files", "detail", NULL};
	struct json_value top = json_root(&t->doc);
	struct slice time = SLICE_EMPTY;
	int64_t number = 0;

	if (json_only(top, names, err) < 0 ||
	    json_need_int(top, "n", 1, INT64_MAX, &number, err) < 0 ||
	    json_need_string(top, "prev", &t->prev, err) < 0)
		return -1;
	if (number != t->n + 1)
		return error_set(err, ERR_REFUSED, "it has number %" PRId64, number);
	if (!slice_equal_str(t->prev, t->head))
		return error_set(err, ERR_REFUSED, "it does not follow the line before");
	if (json_need_string(top, "time", &time, err) < 0 ||
	    time_parse(&t->time_s, time, err) < 0 ||
	    json_need_string(top, "step", &t->step, err) < 0 ||
	    json_need_string(top, "request", &t->request, err) < 0 ||
	    json_need_string(top, "detail", &t->detail, err) < 0 ||
	    json_need_array(top, "files", &t->files, err) < 0)
		return -1;
	return check_files(t->files, err);
}

int transcript_next(struct transcript_reader *t, struct error *err)
{
	size_t end = slice_find(t->text, '\n', t->at);
	struct slice line = slice_sub(t->text, t->at, end == SIZE_MAX ? SIZE_MAX : end - t->at);
	uint8_t hash[SHA256_LEN];

	if (t->at >= t->text.len)
		return 0;
	json_release(&t->doc);
	if (end == SIZE_MAX)
		error_set(err, ERR_REFUSED, "it is cut short");
	else if (json_parse(&t->doc, line, JSON_STRICT, err) == 0 && read_line(t, err) == 0)
		goto good;
	error_wrap(err, "transcript, line %" PRId64, t->n + 1);
	return error_hint(err, "somebody has changed this file; keep it and find out who");
good:
	sha256_of(line, hash);
	hex_encode(t->head, hash, sizeof(hash));
	t->n++;
	t->at = end + 1;
	return 1;
}

/* Check the chain; head and *lines are those of its end. */
static int check_chain(struct slice text, char head[static TRANSCRIPT_HEAD_LEN], int64_t *lines,
		       struct error *err)
{
	struct transcript_reader t;
	int r;

	transcript_start(&t, text);
	while ((r = transcript_next(&t, err)) > 0)
		;
	memcpy(head, t.head, TRANSCRIPT_HEAD_LEN);
	*lines = t.n;
	transcript_stop(&t);
	return r;
}

/* ---- the file ---- */

static int open_dir(const char *home, int *fd, struct error *err)
{
	char path[4096];

	if (file_mkdirs(AT_FDCWD, path_join(path, home, "ceremony"), 0700, err) < 0)
		return -1;
	return (*fd = file_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, err)) < 0 ? -1 : 0;
}

/* An absent file is an empty transcript. */
static int read_chain(int dirfd, struct buf *text, char head[static TRANSCRIPT_HEAD_LEN],
		      int64_t *lines, struct error *err)
{
	if (file_exists(dirfd, TRANSCRIPT_FILE) && file_read(dirfd, TRANSCRIPT_FILE, text, err) < 0)
		return -1;
	return check_chain(buf_slice(text), head, lines, err);
}

static void put_line(struct buf *out, const struct transcript_step *s, int64_t n, const char *head)
{
	struct json_writer w = JSON_WRITER(out);
	char text[TIME_TEXT_LEN];
	unsigned i;

	json_open_object(&w, NULL);
	json_put_int(&w, "n", n);
	json_put_string(&w, "prev", head);
	json_put_string(&w, "time", time_text(text, s->now_s));
	json_put_string(&w, "step", s->step);
	json_put_string(&w, "request", s->fingerprint);
	json_open_array(&w, "files");
	for (i = 0; i < s->file_count; i++) {
		json_open_object(&w, NULL);
		json_put_string(&w, "name", s->files[i]);
		json_put_hex(&w, "sha256", s->hashes[i], SHA256_LEN);
		json_close(&w);
	}
	json_close(&w);
	json_put_string(&w, "detail", s->detail);
	json_close(&w);
}

/* The lines so far and one more, in place of the file. */
static int append(int dirfd, const struct transcript_step *s, char head[static TRANSCRIPT_HEAD_LEN],
		  struct error *err)
{
	struct buf text = BUF_INIT(TRANSCRIPT_SIZE_MAX);
	uint8_t hash[SHA256_LEN];
	int64_t lines;
	size_t from;
	int r = -1;

	if (read_chain(dirfd, &text, head, &lines, err) < 0)
		goto out;
	if (s->head != NULL && strcmp(s->head, head) != 0) {
		error_set(err, ERR_RETRY,
			  "another step of a ceremony was taken on this machine meanwhile");
		error_hint(err, "repeat this one");
		goto out;
	}
	from = text.len;
	put_line(&text, s, lines + 1, head);
	sha256_of(slice_sub(buf_slice(&text), from, SIZE_MAX), hash);
	buf_put_u8(&text, '\n');
	if (text.failed) {
		error_set(err, ERR_LIMIT, "the transcript would be larger than %u bytes",
			  TRANSCRIPT_SIZE_MAX);
		error_hint(err, "move it to an archive; a new one begins by itself");
		goto out;
	}
	if ((r = file_replace(dirfd, TRANSCRIPT_FILE, 0600, buf_slice(&text), err)) == 0)
		hex_encode(head, hash, sizeof(hash));
out:
	buf_release(&text);
	return r;
}

int transcript_append(const char *home, const struct transcript_step *step,
		      char head[static TRANSCRIPT_HEAD_LEN], struct error *err)
{
	int dirfd = -1, lock = -1, r = -1;

	if (open_dir(home, &dirfd, err) == 0 && (lock = file_lock(dirfd, "lock", err)) >= 0)
		r = append(dirfd, step, head, err);
	file_close(&lock);
	file_close(&dirfd);
	return r;
}

int transcript_read(const char *home, struct buf *out, char head[static TRANSCRIPT_HEAD_LEN],
		    struct error *err)
{
	struct buf text = BUF_INIT(TRANSCRIPT_SIZE_MAX);
	int dirfd = -1, r = -1;
	int64_t lines;

	if (open_dir(home, &dirfd, err) == 0)
		r = read_chain(dirfd, &text, head, &lines, err);
	buf_put_slice(out, buf_slice(&text));
	if (r == 0 && out->failed)
		r = error_set(err, ERR_LIMIT, "the transcript is larger than %zu bytes", out->max);
	buf_release(&text);
	file_close(&dirfd);
	return r;
}
