/* Fetching metadata and targets of a TUF repository over HTTP. */
#include "net/mirror.h"

#include <fcntl.h>
#include <unistd.h>

#include "sys/file.h"

#define READ_CHUNK 65536

/* ---- opening ---- */

/* A client for the base URL, or the one that is there already for the same origin. */
static struct client *client_for(const char *text, char path[static URL_LEN_MAX + 1],
				 struct tls_config *tls, const struct url *first,
				 struct client *there, struct error *err)
{
	struct client_params params = CLIENT_PARAMS_INIT;
	struct url url;

	if (url_parse(&url, slice_str(text), URL_BASE | (tls == NULL ? URL_HTTP : URL_HTTPS),
		      err) < 0)
		return NULL;
	memcpy(path, url.target, sizeof(url.target));
	if (first != NULL && first->tls == url.tls && first->port == url.port &&
	    strcmp(first->host, url.host) == 0)
		return there;
	params.url = &url;
	params.tls = tls;
	return client_new(&params, err);
}

int mirror_open(struct mirror *r, const char *metadata_url, const char *targets_url,
		struct tls_config *tls, int64_t now_s, struct error *err)
{
	struct url first;

	*r = (struct mirror){.now_s = now_s};
	r->metadata = client_for(metadata_url, r->metadata_path, tls, NULL, NULL, err);
	if (r->metadata == NULL)
		return error_wrap(err, "metadata URL '%s'", metadata_url);
	if (targets_url == NULL)
		return 0;
	if (url_parse(&first, slice_str(metadata_url), URL_BASE | URL_HTTPS | URL_HTTP, err) < 0 ||
	    (r->targets = client_for(targets_url, r->targets_path, tls, &first, r->metadata,
				     err)) == NULL) {
		mirror_close(r);
		return error_wrap(err, "targets URL '%s'", targets_url);
	}
	return 0;
}

void mirror_close(struct mirror *r)
{
	if (r->targets != r->metadata)
		client_free(r->targets);
	client_free(r->metadata);
	*r = (struct mirror){.now_s = 0};
}

/* ---- one exchange ---- */

/* What a status other than success says about this file. */
static int status_check(int status, struct error *err)
{
	if (status == 200)
		return 0;
	if (status == 403 || status == 404)
		return error_set(err, ERR_NOT_FOUND, "the server answers %d", status);
	return error_set(err, status >= 500 || status == 429 ? ERR_RETRY : ERR_FAILED,
			 "the server answers %d", status);
}

/* GET base/path, its body into the sink. */
static int
get(struct client *client, const char *base, const char *path, int64_t now_s, uint64_t max,
    int (*sink)(void *arg, const struct http_head *head, struct slice part, struct error *err),
    void *arg, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response r = CLIENT_RESPONSE_INIT;
	struct buf target = BUF_INIT(2 * URL_LEN_MAX + TUF_URL_PATH_MAX);
	int result = -1;

	buf_printf(&target, "%s/%s", base, path);
	q.method = "GET";
	q.target = buf_cstr(&target);
	q.now_s = now_s;
	q.body_max = max;
	q.sink = sink;
	q.sink_arg = arg;
	if (client_do(client, &q, &r, err) == 0)
		result = status_check(r.status, err);
	client_response_release(&r);
	buf_release(&target);
	return result;
}

/* ---- metadata ---- */

static int metadata_sink(void *arg, const struct http_head *head, struct slice part,
			 struct error *err)
{
	struct buf *out = arg;

	(void)head;
	buf_put_slice(out, part);
	return out->failed ? error_set(err, ERR_LIMIT, "more than the %zu bytes allowed", out->max)
			   : 0;
}

int mirror_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err)
{
	struct mirror *r = arg;

	return get(r->metadata, r->metadata_path, w->path, r->now_s, w->max_len, metadata_sink, out,
		   err);
}

/* ---- targets ---- */

/* The hashes of a stream, against those that are signed. */
struct measure {
	const struct tuf_result *target;
	struct sha256 sha256;
	struct sha512 sha512;
	uint64_t len;
	struct newfile *file; /* NULL: only measured */
};

static void measure_start(struct measure *m, const struct tuf_result *target, struct newfile *file)
{
	m->target = target;
	m->file = file;
	m->len = 0;
	sha256_init(&m->sha256);
	sha512_init(&m->sha512);
}

/* Only what is listed is computed: large files pass here. */
static void measure_add(struct measure *m, struct slice part)
{
	if (m->target->hashes.has_sha256)
		sha256_update(&m->sha256, part.ptr, part.len);
	if (m->target->hashes.has_sha512)
		sha512_update(&m->sha512, part.ptr, part.len);
	m->len += part.len;
}

static int measure_check(struct measure *m, struct error *err)
{
	const struct tuf_hashes *want = &m->target->hashes;
	uint8_t narrow[SHA256_LEN], wide[SHA512_LEN];

	sha256_final(&m->sha256, narrow);
	sha512_final(&m->sha512, wide);
	if (m->len != m->target->length)
		return error_set(err, ERR_REFUSED,
				 "it has %llu bytes where %llu are signed (5.7.3)",
				 (unsigned long long)m->len, (unsigned long long)m->target->length);
	if ((!want->has_sha256 && !want->has_sha512) ||
	    (want->has_sha256 && memcmp(narrow, want->sha256, SHA256_LEN) != 0) ||
	    (want->has_sha512 && memcmp(wide, want->sha512, SHA512_LEN) != 0))
		return error_set(err, ERR_REFUSED,
				 "its hash is not the one that is signed (5.7.3)");
	return 0;
}

/* 0 when the file is there and right. */
static int held_already(const struct tuf_result *target, int dirfd, const char *name,
			struct error *err)
{
	int fd = file_open(dirfd, name, O_RDONLY | O_NOFOLLOW, 0, err);
	uint8_t chunk[READ_CHUNK];
	struct measure m;
	ssize_t n = 1;
	int r = -1;

	if (fd < 0)
		return -1;
	measure_start(&m, target, NULL);
	while (n > 0 && m.len <= target->length) {
		n = file_pread(fd, chunk, sizeof(chunk), m.len, name, err);
		if (n < 0)
			goto out;
		measure_add(&m, slice_of(chunk, (size_t)n));
	}
	r = measure_check(&m, err);
out:
	file_close(&fd);
	return r;
}

static int target_sink(void *arg, const struct http_head *head, struct slice part,
		       struct error *err)
{
	struct measure *m = arg;

	(void)head;
	measure_add(m, part);
	return newfile_write(m->file, part, err);
}

int mirror_target(struct mirror *r, const struct tuf_result *target, int dirfd, const char *name,
		  bool *fetched, struct error *err)
{
	struct buf path = BUF_INIT(TUF_URL_PATH_MAX);
	struct newfile file = NEWFILE_INIT;
	struct error ignored = ERROR_INIT;
	struct measure m;
	int result = -1;

	*fetched = false;
	if (held_already(target, dirfd, name, &ignored) == 0)
		return 0;
	tuf_result_put_path(&path, target);
	if (newfile_open(&file, dirfd, name, 0644, err) < 0)
		goto out;
	measure_start(&m, target, &file);
	if (get(r->targets, r->targets_path, buf_cstr(&path), r->now_s, target->length, target_sink,
		&m, err) < 0 ||
	    measure_check(&m, err) < 0 || newfile_commit(&file, err) < 0)
		goto out;
	*fetched = true;
	result = 0;
out:
	newfile_abort(&file);
	buf_release(&path);
	return result < 0 ? error_wrap(err, "target '%.*s'",
				       SLICE_ARG(slice_sub(target->path, 0, 200)))
			  : 0;
}
