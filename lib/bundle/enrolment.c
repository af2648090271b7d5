/* Requests and answers of enrolment by media: one signed line of JSON each. */
#include "bundle/enrolment.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "crypto/sshsig.h"
#include "sys/rng.h"
#include "tuf/metadata.h"

#define REQUEST_FORMAT "meshanics-enroll-request-1"
#define ANSWER_FORMAT "meshanics-enroll-answer-1"
#define REQUEST_NAMESPACE "meshanics-enroll-request"
#define ANSWER_NAMESPACE "meshanics-enroll"
#define ROOT_MAX (512u << 10)

static const char signature_end[] = "-----END SSH SIGNATURE-----\n";

/* ---- a line and its signatures ---- */

/* The next armored signature off the front of *rest, its last newline included. */
static int take_signature(struct slice *rest, struct slice *out, struct error *err)
{
	const uint8_t *end = rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, signature_end, sizeof(signature_end) - 1);
	size_t len;

	if (end == NULL)
		return error_set(err, ERR_MALFORMED, "a signature is missing or cut short");
	len = (size_t)(end - rest->ptr) + sizeof(signature_end) - 1;
	*out = slice_sub(*rest, 0, len);
	*rest = slice_sub(*rest, len, SIZE_MAX);
	return 0;
}

/* The line with its newline; what follows it stays in *rest. */
static int take_line(struct slice *rest, struct slice *line, struct error *err)
{
	size_t end = slice_find(*rest, '\n', 0);

	if (end == SIZE_MAX)
		return error_set(err, ERR_MALFORMED, "the first line does not end");
	*line = slice_sub(*rest, 0, end + 1);
	*rest = slice_sub(*rest, end + 1, SIZE_MAX);
	return 0;
}

static int check_end(struct slice rest, struct error *err)
{
	return rest.len == 0 ? 0 : error_set(err, ERR_MALFORMED, "%zu bytes follow the last signature", rest.len);
}

static int sign_line(struct buf *out, struct slice line, const struct seckey *key, const char *namespace_, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(line, hash);
	return sshsig_sign_sha256(key, namespace_, hash, out, err);
}

static int verify_line(struct slice line, const struct pubkey *key, const char *namespace_, struct slice armored,
		       struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_of(line, hash);
	return sshsig_verify_sha256(key, namespace_, hash, armored, err);
}

/* ---- members ---- */

static int need_format(struct json_value obj, const char *format, struct error *err)
{
	struct slice text;

	if (json_need_string(obj, "format", &text, err) < 0)
		return -1;
	if (slice_equal_str(text, format))
		return 0;
	error_set(err, ERR_MALFORMED, "the format is not %s", format);
	return error_hint(err, "it may be of a newer meshanics");
}

static int need_hex(struct json_value obj, const char *name, uint8_t *out, size_t n, struct error *err)
{
	struct slice text;
	size_t i;

	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	for (i = 0; i < text.len; i++)
		if (text.ptr[i] >= 'A' && text.ptr[i] <= 'F')
			return error_set(err, ERR_MALFORMED, "%s: hex digits in upper case", name);
	return hex_decode(out, n, text, err) < 0 ? error_wrap(err, "%s", name) : 0;
}

static int need_time(struct json_value obj, const char *name, int64_t *out, struct error *err)
{
	struct slice text;

	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	return time_parse(out, text, err) < 0 ? error_wrap(err, "%s", name) : 0;
}

static int need_base64(struct json_value obj, const char *name, struct buf *out, struct error *err)
{
	struct slice text;

	buf_clear(out);
	if (json_need_string(obj, name, &text, err) < 0)
		return -1;
	return base64_decode(out, text, err) < 0 ? error_wrap(err, "%s", name) : 0;
}

static int need_name(struct json_value obj, const char *name, char out[static NAME_LEN_MAX + 1], struct error *err)
{
	struct slice text;

	if (json_need_string(obj, name, &text, err) < 0 || name_check(text, name, err) < 0)
		return -1;
	snprintf(out, NAME_LEN_MAX + 1, "%.*s", SLICE_ARG(text));
	return 0;
}

static void put_base64(struct json_writer *w, const char *name, struct slice bytes)
{
	struct buf text = BUF_INIT(bytes.len / 3 * 4 + 8);

	base64_put(&text, bytes);
	json_put_slice(w, name, buf_slice(&text));
	buf_release(&text);
}

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	json_put_string(w, name, time_text(text, t_s));
}

/* ---- request ---- */

void enrolment_request_release(struct enrolment_request *q)
{
	buf_release(&q->csr);
	buf_release(&q->profile);
	buf_release(&q->line);
	buf_release(&q->present);
}

int enrolment_file_check(struct slice name, struct error *err)
{
	if (name_check(name, "name", err) < 0 || media_name_check(name, err) < 0) {
		err->kind = ERR_USAGE;
		return error_hint(err, "give another name with --name");
	}
	return 0;
}

void enrolment_nonce(struct enrolment_request *q)
{
	rng_bytes(q->nonce, sizeof(q->nonce));
}

void enrolment_fingerprint(char out[static SHA256_HEX_LEN], const struct pubkey *key)
{
	struct buf der = BUF_INIT(PUBKEY_LEN_MAX + 64);
	uint8_t hash[SHA256_LEN];

	pubkey_put_spki(&der, key);
	sha256_of(buf_slice(&der), hash);
	hex_encode(out, hash, sizeof(hash));
	buf_release(&der);
}

static void put_request(struct json_writer *w, const struct enrolment_request *q, struct slice csr)
{
	json_open_object(w, NULL);
	json_put_string(w, "format", REQUEST_FORMAT);
	json_put_string(w, "kind", q->renew ? "renew" : "enroll");
	json_put_string(w, "file", q->file);
	put_time(w, "created", q->created_s);
	json_put_hex(w, "nonce", q->nonce, sizeof(q->nonce));
	json_put_string(w, "hostname", q->hostname);
	put_base64(w, "csr", csr);
	if (q->profile.len > 0)
		json_put_raw(w, "profile", buf_slice(&q->profile));
	else
		json_put_null(w, "profile");
	if (q->root_version == 0) {
		json_put_null(w, "root");
	} else {
		json_open_object(w, "root");
		json_put_int(w, "version", q->root_version);
		json_put_hex(w, "sha256", q->root_sha256, SHA256_LEN);
		json_close(w);
	}
	if (!q->renew) {
		json_put_null(w, "renew");
	} else {
		json_open_object(w, "renew");
		json_put_string(w, "device", q->device);
		json_put_string(w, "site", q->site);
		json_put_hex(w, "certificate", q->certificate, SHA256_LEN);
		json_close(w);
	}
	json_close(w);
}

int enrolment_request_put(struct buf *out, const struct enrolment_request *q, const struct seckey *key,
			  const struct seckey *present, struct error *err)
{
	struct buf line = BUF_INIT(ENROLMENT_REQUEST_MAX), csr = BUF_INIT(X509_SIZE_MAX);
	struct json_writer w = JSON_WRITER(&line);
	int r = -1;

	if (csr_issue(&csr, "device", key, err) < 0)
		goto out;
	put_request(&w, q, buf_slice(&csr));
	buf_put_u8(&line, '\n');
	buf_put_slice(out, buf_slice(&line));
	if (sign_line(out, buf_slice(&line), key, REQUEST_NAMESPACE, err) < 0 ||
	    (q->renew && sign_line(out, buf_slice(&line), present, REQUEST_NAMESPACE, err) < 0))
		goto out;
	if (line.failed || out->failed || out->len > ENROLMENT_REQUEST_MAX)
		error_set(err, ERR_LIMIT, "the request would be larger than %d bytes", ENROLMENT_REQUEST_MAX);
	else
		r = 0;
out:
	buf_release(&line);
	buf_release(&csr);
	return r;
}

/* Member `root` of a request: null, or which one. */
static int read_pin(struct enrolment_request *q, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"version", "sha256", NULL};
	struct json_value root;

	q->root_version = 0;
	if (json_type(json_get(obj, "root")) == JSON_NULL)
		return 0;
	if (json_need_object(obj, "root", &root, err) < 0)
		return -1;
	if (json_only(root, names, err) < 0 || json_need_int(root, "version", 1, INT32_MAX, &q->root_version, err) < 0 ||
	    need_hex(root, "sha256", q->root_sha256, SHA256_LEN, err) < 0)
		return error_wrap(err, "root");
	return 0;
}

static int read_renew(struct enrolment_request *q, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"device", "site", "certificate", NULL};
	struct json_value renew;

	if (!q->renew)
		return json_type(json_get(obj, "renew")) == JSON_NULL
			       ? 0
			       : error_set(err, ERR_MALFORMED, "renew is not null in a request to enrol");
	if (json_need_object(obj, "renew", &renew, err) < 0)
		return -1;
	if (json_only(renew, names, err) < 0 || need_name(renew, "device", q->device, err) < 0 ||
	    need_name(renew, "site", q->site, err) < 0 ||
	    need_hex(renew, "certificate", q->certificate, SHA256_LEN, err) < 0)
		return error_wrap(err, "renew");
	return q->root_version != 0 ? 0 : error_set(err, ERR_MALFORMED, "a request to renew names no root");
}

static int read_words(struct enrolment_request *q, struct json_value obj, struct error *err)
{
	struct json_value profile = json_get(obj, "profile");
	struct slice kind, file, hostname;

	if (need_format(obj, REQUEST_FORMAT, err) < 0 || json_need_string(obj, "kind", &kind, err) < 0 ||
	    json_need_string(obj, "file", &file, err) < 0 || json_need_string(obj, "hostname", &hostname, err) < 0)
		return -1;
	q->renew = slice_equal_str(kind, "renew");
	if (!q->renew && !slice_equal_str(kind, "enroll"))
		return error_set(err, ERR_MALFORMED, "the kind is neither enroll nor renew");
	if (file.len > ENROLMENT_FILE_MAX || media_name_check(file, err) < 0)
		return error_set(err, ERR_MALFORMED, "file: not a name for a stick");
	if (hostname.len > ENROLMENT_HOSTNAME_MAX || slice_find(hostname, '\0', 0) != SIZE_MAX)
		return error_set(err, ERR_MALFORMED, "hostname: longer than %d bytes, or with a NUL",
				 ENROLMENT_HOSTNAME_MAX);
	if (json_type(profile) != JSON_NULL && json_type(profile) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "profile: neither null nor an object");
	snprintf(q->file, sizeof(q->file), "%.*s", SLICE_ARG(file));
	snprintf(q->hostname, sizeof(q->hostname), "%.*s", SLICE_ARG(hostname));
	buf_clear(&q->profile);
	if (json_type(profile) == JSON_OBJECT)
		buf_put_slice(&q->profile, json_raw(profile));
	return 0;
}

static int read_request(struct enrolment_request *q, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"format", "kind", "file",	 "created", "nonce", "hostname",
					    "csr",    "root", "profile", "renew",   NULL};
	struct csr csr;

	if (json_type(obj) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "the line is no object");
	if (json_only(obj, names, err) < 0 || read_words(q, obj, err) < 0 ||
	    need_time(obj, "created", &q->created_s, err) < 0 ||
	    need_hex(obj, "nonce", q->nonce, sizeof(q->nonce), err) < 0 || read_pin(q, obj, err) < 0 ||
	    read_renew(q, obj, err) < 0 || need_base64(obj, "csr", &q->csr, err) < 0)
		return -1;
	if (csr_read(&csr, buf_slice(&q->csr), err) < 0)
		return error_wrap(err, "csr");
	q->key = csr.key;
	return 0;
}

static int parse_request(struct enrolment_request *q, struct slice text, struct error *err)
{
	struct slice rest = text, line, own, present = SLICE_EMPTY;
	struct json doc = JSON_INIT;
	int r = -1;

	if (text.len > ENROLMENT_REQUEST_MAX)
		return error_set(err, ERR_LIMIT, "it is larger than %d bytes", ENROLMENT_REQUEST_MAX);
	if (take_line(&rest, &line, err) < 0 || json_parse(&doc, line, JSON_STRICT, err) < 0 ||
	    read_request(q, json_root(&doc), err) < 0 || take_signature(&rest, &own, err) < 0 ||
	    (q->renew && take_signature(&rest, &present, err) < 0) || check_end(rest, err) < 0)
		goto out;
	if (verify_line(line, &q->key, REQUEST_NAMESPACE, own, err) < 0) {
		error_wrap(err, "it was changed after it was signed");
		goto out;
	}
	buf_clear(&q->line);
	buf_put_slice(&q->line, line);
	buf_clear(&q->present);
	buf_put_slice(&q->present, present);
	sha256_of(text, q->id);
	r = 0;
out:
	json_release(&doc);
	return r;
}

int enrolment_request_parse(struct enrolment_request *q, struct slice text, struct error *err)
{
	return parse_request(q, text, err) < 0 ? error_wrap(err, "enrolment request") : 0;
}

int enrolment_request_check(const struct enrolment_request *q, const struct pubkey *present, struct error *err)
{
	if (!q->renew)
		return error_set(err, ERR_REFUSED, "the request is not one to renew");
	if (verify_line(buf_slice(&q->line), present, REQUEST_NAMESPACE, buf_slice(&q->present), err) < 0)
		return error_wrap(err, "the request is not by the device that it names");
	return 0;
}

/* ---- answer ---- */

void enrolment_answer_release(struct enrolment_answer *a)
{
	buf_release(&a->root);
}

void enrolment_answer_begin(struct json_writer *w, const struct enrolment_request *q, int64_t now_s)
{
	json_open_object(w, NULL);
	json_put_string(w, "format", ANSWER_FORMAT);
	put_time(w, "created", now_s);
	json_put_hex(w, "request", q->id, sizeof(q->id));
	json_put_hex(w, "nonce", q->nonce, sizeof(q->nonce));
}

int enrolment_answer_end(struct buf *out, struct json_writer *w, const struct seckey *record_key, struct error *err)
{
	json_close(w);
	buf_put_u8(w->out, '\n');
	buf_put_slice(out, buf_slice(w->out));
	if (sign_line(out, buf_slice(w->out), record_key, ANSWER_NAMESPACE, err) < 0)
		return -1;
	if (w->out->failed || out->failed || out->len > ENROLMENT_ANSWER_MAX)
		return error_set(err, ERR_LIMIT, "the answer would be larger than %u bytes", ENROLMENT_ANSWER_MAX);
	return 0;
}

/* The root inside is what the line says of it. */
static int read_root(struct enrolment_answer *a, struct json_value obj, struct error *err)
{
	struct tuf_root *root = NULL;
	uint8_t hash[SHA256_LEN];
	int r = -1;

	if (json_need_int(obj, "root_version", 1, INT32_MAX, &a->root_version, err) < 0 ||
	    need_hex(obj, "root_sha256", a->root_sha256, SHA256_LEN, err) < 0 ||
	    need_base64(obj, "root", &a->root, err) < 0)
		return -1;
	sha256_of(buf_slice(&a->root), hash);
	if (memcmp(hash, a->root_sha256, sizeof(hash)) != 0)
		return error_set(err, ERR_REFUSED, "the root inside has another SHA-256 than the answer says");
	if (a->root.len > ROOT_MAX)
		return error_set(err, ERR_LIMIT, "the root inside is larger than %u bytes", ROOT_MAX);
	if ((root = tuf_root_parse(buf_slice(&a->root), err)) == NULL)
		return error_wrap(err, "root");
	if (root->head.version != a->root_version || strcmp(root->site, a->site) != 0)
		error_set(err, ERR_REFUSED, "the root inside is version %lld of site '%s', the answer says %lld of '%s'",
			  (long long)root->head.version, root->site, (long long)a->root_version, a->site);
	else
		r = 0;
	tuf_root_free(root);
	return r;
}

static int read_answer(struct enrolment_answer *a, struct json_value obj, struct error *err)
{
	static const char *const names[] = {"format",	   "created",	"request",    "nonce",	    "device",
					    "site",	   "certificate", "device_ca", "server_ca", "not_after",
					    "renew_at",	   "device_url", "repository_url", "root",  "root_version",
					    "root_sha256", NULL};
	int64_t created_s;

	if (json_type(obj) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "the line is no object");
	if (json_only(obj, names, err) < 0 || need_format(obj, ANSWER_FORMAT, err) < 0 ||
	    need_time(obj, "created", &created_s, err) < 0 ||
	    need_hex(obj, "request", a->request, sizeof(a->request), err) < 0 ||
	    need_hex(obj, "nonce", a->nonce, sizeof(a->nonce), err) < 0 ||
	    need_name(obj, "device", a->device, err) < 0 || need_name(obj, "site", a->site, err) < 0)
		return -1;
	return read_root(a, obj, err);
}

int enrolment_answer_parse(struct enrolment_answer *a, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	struct slice rest = text;
	int r = -1;

	if (text.len > ENROLMENT_ANSWER_MAX)
		error_set(err, ERR_LIMIT, "it is larger than %u bytes", ENROLMENT_ANSWER_MAX);
	else if (take_line(&rest, &a->line, err) == 0 && json_parse(&doc, a->line, JSON_STRICT, err) == 0 &&
		 read_answer(a, json_root(&doc), err) == 0 && take_signature(&rest, &a->signature, err) == 0)
		r = check_end(rest, err);
	json_release(&doc);
	return r < 0 ? error_wrap(err, "enrolment answer") : 0;
}

static int check_signature(const struct enrolment_answer *a, struct error *err)
{
	struct tuf_root *root = tuf_root_parse(buf_slice(&a->root), err);
	struct error why = ERROR_INIT;
	int r = -1;
	unsigned i;

	if (root == NULL)
		return error_wrap(err, "root");
	for (i = 0; r < 0 && i < root->site_keys.count; i++)
		if (root->site_keys.list[i].pub.scheme != KEY_NONE)
			r = verify_line(a->line, &root->site_keys.list[i].pub, ANSWER_NAMESPACE, a->signature, &why);
	if (r < 0) {
		error_set(err, ERR_REFUSED, "no site record key of root version %lld of site '%s' has signed it%s%s",
			  (long long)a->root_version, a->site, why.kind == ERR_NONE ? "" : ": ", why.text);
		error_hint(err, "it was changed on its way, or another site made it");
	}
	tuf_root_free(root);
	return r;
}

int enrolment_answer_check(const struct enrolment_answer *a, const struct enrolment_request *q, struct error *err)
{
	if (memcmp(a->request, q->id, sizeof(q->id)) != 0 || memcmp(a->nonce, q->nonce, sizeof(q->nonce)) != 0) {
		error_set(err, ERR_REFUSED, "it answers another request than the one this device made last");
		error_hint(err, "make a request with 'meshanics enroll request' and have it answered");
		return error_wrap(err, "enrolment answer");
	}
	return check_signature(a, err) < 0 ? error_wrap(err, "enrolment answer") : 0;
}
