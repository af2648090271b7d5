/* The newest file that a publisher's key is known to have signed. */
#include "control/lastsigned.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/encode.h"
#include "base/json.h"
#include "sys/file.h"
#include "tuf/metadata.h"

#define RECORD_MAX 512
#define LOCK_TRIES 1000		/* of 10 ms; it is held while two files are synced */

/* HOME/published/KEYID[/PUBLISHER[/FILE.json]]: as many parts as are not NULL. */
static int path_of(char out[static 4096], const char *home, const char *keyid, const char *publisher, const char *file,
		   struct error *err)
{
	int n = snprintf(out, 4096, "%s/published/%s%s%s%s%s%s", home, keyid, publisher == NULL ? "" : "/",
			 publisher == NULL ? "" : publisher, file == NULL ? "" : "/", file == NULL ? "" : file,
			 file == NULL ? "" : ".json");

	return n > 0 && n < 4096 ? 0 : error_set(err, ERR_USAGE, "the name of the home is too long");
}

static int parse(struct lastsigned *l, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	struct slice hex;
	int r = -1;

	if (json_parse(&doc, text, JSON_STRICT, err) == 0 &&
	    json_need_bool(json_root(&doc), "bins", &l->bins, err) == 0 &&
	    json_need_int(json_root(&doc), "version", 1, TUF_VERSION_MAX, &l->version, err) == 0 &&
	    json_need_string(json_root(&doc), "sha256", &hex, err) == 0)
		r = hex_decode(l->sha256, SHA256_LEN, hex, err);
	json_release(&doc);
	return r;
}

int lastsigned_read(struct lastsigned *l, struct error *err)
{
	struct buf text = BUF_INIT(RECORD_MAX);
	char path[4096];
	int r = -1;

	l->version = 0;
	l->bins = false;
	if (path_of(path, l->home, l->keyid, l->publisher, l->file, err) < 0)
		goto out;
	if (file_read(AT_FDCWD, path, &text, err) < 0) {
		r = err->kind == ERR_NOT_FOUND ? 0 : -1;
		goto out;
	}
	if ((r = parse(l, buf_slice(&text), err)) < 0) {
		error_wrap(err, "'%s', the record of what this key has signed", path);
		error_hint(err, "remove it only when you know that what the server shows is the newest");
	}
out:
	buf_release(&text);
	return r;
}

/* Whoever knows better than the record takes it away: an option for it would end up in a script. */
static int refuse_hint(const struct lastsigned *known, struct error *err)
{
	char path[4096];

	if (path_of(path, known->home, known->keyid, known->publisher, known->file, err) < 0)
		return -1;
	return error_hint(err, "an old copy brings back what was withdrawn; if it is known why (a restored backup), remove '%s'",
			  path);
}

int lastsigned_check(const struct lastsigned *known, const struct lastsigned *seen, struct error *err)
{
	if ((seen->version > known->version && (seen->bins || !known->bins)) ||
	    (seen->version == known->version && memcmp(seen->sha256, known->sha256, SHA256_LEN) == 0))
		return 0;
	if (seen->version == 0 && known->version == 0)
		return 0;
	if (seen->version == 0)
		error_set(err, ERR_REFUSED,
			  "nothing is said to be published by '%s', of which this key has signed version %" PRId64,
			  known->file, known->version);
	else if (seen->version > known->version)
		error_set(err, ERR_REFUSED, "version %" PRId64 " is said to be published by '%s', and has no hash bins as version %" PRId64 " had",
			  seen->version, known->file, known->version);
	else if (seen->version < known->version)
		error_set(err, ERR_REFUSED,
			  "version %" PRId64 " is said to be published by '%s', of which this key has signed version %" PRId64,
			  seen->version, known->file, known->version);
	else
		error_set(err, ERR_REFUSED, "version %" PRId64 " of '%s' is not the file of that version that was published before",
			  seen->version, known->file);
	return refuse_hint(known, err);
}

/* ---- raising it ---- */

/* Others who sign with this home hold it for as long as two files are synced. */
static int lock_wait(const char *path, struct error *err)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	unsigned n;
	int fd;

	for (n = 0; (fd = file_lock(AT_FDCWD, path, err)) < 0 && err->kind == ERR_RETRY && n < LOCK_TRIES; n++)
		nanosleep(&pause, NULL);
	return fd;
}

static int put(const struct lastsigned *l, const char *path, struct error *err)
{
	struct buf text = BUF_INIT(RECORD_MAX);
	struct json_writer w = JSON_WRITER(&text);
	int r;

	json_open_object(&w, NULL);
	json_put_bool(&w, "bins", l->bins);
	json_put_hex(&w, "sha256", l->sha256, SHA256_LEN);
	json_put_int(&w, "version", l->version);
	json_close(&w);
	buf_put_u8(&text, '\n');
	r = file_replace(AT_FDCWD, path, 0600, buf_slice(&text), err);
	buf_release(&text);
	return r;
}

int lastsigned_raise(const struct lastsigned *l, struct error *err)
{
	char dir[4096], key[4096], lock_path[4096 + 8], path[4096];
	struct lastsigned known = *l;
	int lock = -1, r = -1;

	if (path_of(path, l->home, l->keyid, l->publisher, l->file, err) < 0 ||
	    path_of(dir, l->home, l->keyid, l->publisher, NULL, err) < 0 ||
	    path_of(key, l->home, l->keyid, NULL, NULL, err) < 0)
		return -1;
	snprintf(lock_path, sizeof(lock_path), "%s.lock", key);	/* fits: it is shorter than path */
	if (file_mkdirs(AT_FDCWD, dir, 0700, err) < 0 || (lock = lock_wait(lock_path, err)) < 0 ||
	    lastsigned_read(&known, err) < 0)
		goto out;
	if (known.version < l->version)
		r = put(l, path, err);
	else
		r = known.version > l->version ? 0 : lastsigned_check(&known, l, err);
out:
	file_close(&lock);
	if (r < 0 && err->kind == ERR_CONFLICT)	/* something else in the way of a directory; callers take it for a lost race */
		err->kind = ERR_FAILED;
	return r == 0 ? 0 : error_wrap(err, "the record of what this key has signed");
}

bool lastsigned_strange(const char *home, const char *keyid, const char *publisher)
{
	char key[4096], his[4096];
	struct error err = ERROR_INIT;

	return path_of(key, home, keyid, NULL, NULL, &err) == 0 && path_of(his, home, keyid, publisher, NULL, &err) == 0 &&
	       file_exists(AT_FDCWD, key) && !file_exists(AT_FDCWD, his);
}
