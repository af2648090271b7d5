/* Token strings: a fixed record of bytes, written and read in one order (man/meshanics-token.5). */
#include "fleet/tokens.h"

#include <assert.h>

#include "base/encode.h"
#include "crypto/x509.h"

#define PREFIX_LEN 4
#define ENROLL_PREFIX "mtk1"
#define OPERATOR_PREFIX "mop1"
#define CHECKSUM_LEN 4
#define ROOT_VERSION_MAX 0x7fffffff

static void checksum(uint8_t out[static CHECKSUM_LEN], const char *prefix, struct slice record)
{
	uint8_t hash[SHA256_LEN];
	struct sha256 h;

	sha256_init(&h);
	sha256_update(&h, prefix, PREFIX_LEN);
	sha256_update(&h, record.ptr, record.len);
	sha256_final(&h, hash);
	memcpy(out, hash, CHECKSUM_LEN);
}

/* Append prefix, record and checksum as text; takes record's content and wipes it. */
static void put_text(struct buf *secret_out, const char *prefix, struct buf *record)
{
	uint8_t sum[CHECKSUM_LEN];

	checksum(sum, prefix, buf_slice(record));
	buf_put(record, sum, sizeof(sum));
	assert(!record->failed && secret_out->secret);
	buf_put_str(secret_out, prefix);
	base64url_put(secret_out, buf_slice(record));
	buf_release(record);
}

static void put_id(struct buf *record, const char id[static TOKEN_ID_TEXT])
{
	struct error err = ERROR_INIT;
	uint8_t raw[TOKEN_ID_LEN];
	int r = hex_decode(raw, sizeof(raw), slice_str(id), &err);

	assert(r == 0);
	(void)r;
	buf_put(record, raw, sizeof(raw));
}

/* A length byte and the text. */
static void put_short(struct buf *record, const char *text)
{
	size_t n = strlen(text);

	assert(n >= 1 && n <= 255);
	buf_put_u8(record, (uint8_t)n);
	buf_put(record, text, n);
}

void enroll_token_put(struct buf *secret_out, const struct enroll_token *t)
{
	struct buf record = BUF_SECRET(TOKEN_TEXT_MAX);
	unsigned i;

	assert(t->root_version >= 1 && t->root_version <= ROOT_VERSION_MAX);
	assert(t->url_count >= 1 && t->url_count <= TOKEN_URLS_MAX);
	put_id(&record, t->id);
	buf_put(&record, t->secret, sizeof(t->secret));
	buf_put(&record, t->server_ca, sizeof(t->server_ca));
	buf_put_u32be(&record, (uint32_t)t->root_version);
	buf_put(&record, t->root_sha256, sizeof(t->root_sha256));
	put_short(&record, t->site);
	buf_put_u8(&record, (uint8_t)t->url_count);
	for (i = 0; i < t->url_count; i++)
		put_short(&record, t->urls[i]);
	put_text(secret_out, ENROLL_PREFIX, &record);
}

static struct slice trim(struct slice s)
{
	while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL && s.ptr[0] != '\0')
		s = slice_sub(s, 1, SIZE_MAX);
	while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL && s.ptr[s.len - 1] != '\0')
		s.len--;
	return s;
}

/* The record of a token text with that prefix into `record`, without its checksum, which was right. */
static int get_record(struct buf *record, const char *prefix, const char *what, struct slice text,
		      struct error *err)
{
	uint8_t sum[CHECKSUM_LEN];

	text = trim(text);
	if (text.len > TOKEN_TEXT_MAX)
		return error_set(err, ERR_MALFORMED, "%s has more than %d characters", what, TOKEN_TEXT_MAX);
	if (!slice_starts(text, slice_str(prefix))) {
		if (slice_starts(text, slice_of(prefix, PREFIX_LEN - 1)))
			return error_set(err, ERR_MALFORMED, "%s is of a version that this program does not know",
					 what);
		return error_set(err, ERR_MALFORMED, "%s does not begin with '%s'", what, prefix);
	}
	if (base64url_decode(record, slice_sub(text, PREFIX_LEN, SIZE_MAX), err) < 0)
		return error_wrap(err, "%s", what);
	if (record->len < CHECKSUM_LEN)
		return error_set(err, ERR_MALFORMED, "%s is cut short", what);
	record->len -= CHECKSUM_LEN;
	checksum(sum, prefix, buf_slice(record));
	if (memcmp(sum, record->ptr + record->len, CHECKSUM_LEN) != 0) {
		error_set(err, ERR_MALFORMED, "%s has a wrong checksum", what);
		return error_hint(err, "copy it again, whole and unchanged");
	}
	return 0;
}

/* The next n bytes of the record; false when there are not so many. */
static bool take(struct slice *rest, void *out, size_t n)
{
	if (rest->len < n)
		return false;
	memcpy(out, rest->ptr, n);
	*rest = slice_sub(*rest, n, SIZE_MAX);
	return true;
}

static bool take_id(struct slice *rest, char id[static TOKEN_ID_TEXT])
{
	uint8_t raw[TOKEN_ID_LEN];

	if (!take(rest, raw, sizeof(raw)))
		return false;
	hex_encode(id, raw, sizeof(raw));
	return true;
}

/* A length byte and so much text, which the caller checks before it is used. */
static bool take_short(struct slice *rest, struct slice *text)
{
	uint8_t n;

	if (!take(rest, &n, 1) || rest->len < n)
		return false;
	*text = slice_sub(*rest, 0, n);
	*rest = slice_sub(*rest, n, SIZE_MAX);
	return true;
}

static int take_urls(struct slice *rest, struct enroll_token *t, struct error *err)
{
	struct slice url;
	uint8_t n;
	unsigned i;

	if (!take(rest, &n, 1))
		return error_set(err, ERR_MALFORMED, "enrolment token is cut short");
	if (n < 1 || n > TOKEN_URLS_MAX)
		return error_set(err, ERR_MALFORMED, "enrolment token has %u addresses, not 1 to %d", n,
				 TOKEN_URLS_MAX);
	for (i = 0; i < n; i++) {
		if (!take_short(rest, &url))
			return error_set(err, ERR_MALFORMED, "enrolment token is cut short");
		if (token_url_check(url, err) < 0)
			return error_wrap(err, "enrolment token");
		memcpy(t->urls[i], url.ptr, url.len);
		t->urls[i][url.len] = '\0';
	}
	t->url_count = n;
	return 0;
}

static int take_enroll_fields(struct slice rest, struct enroll_token *t, struct error *err)
{
	struct slice site;
	uint8_t be[4];

	if (!take_id(&rest, t->id) || !take(&rest, t->secret, sizeof(t->secret)) ||
	    !take(&rest, t->server_ca, sizeof(t->server_ca)) || !take(&rest, be, sizeof(be)) ||
	    !take(&rest, t->root_sha256, sizeof(t->root_sha256)) || !take_short(&rest, &site))
		return error_set(err, ERR_MALFORMED, "enrolment token is cut short");
	t->root_version = (int64_t)((uint32_t)be[0] << 24 | (uint32_t)be[1] << 16 | (uint32_t)be[2] << 8 | be[3]);
	if (t->root_version < 1 || t->root_version > ROOT_VERSION_MAX)
		return error_set(err, ERR_MALFORMED, "enrolment token has a root version out of range");
	if (name_check(site, "site", err) < 0)
		return error_wrap(err, "enrolment token");
	memcpy(t->site, site.ptr, site.len);
	t->site[site.len] = '\0';
	if (take_urls(&rest, t, err) < 0)
		return -1;
	if (rest.len > 0)
		return error_set(err, ERR_MALFORMED, "enrolment token has %zu bytes too many", rest.len);
	return 0;
}

int enroll_token_parse(struct enroll_token *t, struct slice text, struct error *err)
{
	struct buf record = BUF_SECRET(TOKEN_TEXT_MAX);
	int r = -1;

	*t = (struct enroll_token){.url_count = 0};
	if (get_record(&record, ENROLL_PREFIX, "enrolment token", text, err) == 0)
		r = take_enroll_fields(buf_slice(&record), t, err);
	if (r < 0)
		enroll_token_wipe(t);
	buf_release(&record);
	return r;
}

void enroll_token_wipe(struct enroll_token *t)
{
	explicit_bzero(t, sizeof(*t));
}

/* "443" and the like: 1 to 65535 without leading zero. */
static bool is_port(struct slice s)
{
	unsigned v = 0;
	size_t i;

	if (s.len == 0 || s.len > 5 || s.ptr[0] == '0')
		return false;
	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		v = v * 10 + (s.ptr[i] - '0');
	}
	return v <= 65535;
}

/* Split "HOST[:PORT]" or "[IPV6][:PORT]"; port is empty when there is none. False for any other shape. */
static bool split_authority(struct slice text, struct slice *host, bool *bracketed, struct slice *port)
{
	size_t end;

	*bracketed = text.len > 0 && text.ptr[0] == '[';
	end = slice_find(text, *bracketed ? ']' : ':', 0);
	if (*bracketed) {
		if (end == SIZE_MAX)
			return false;
		*host = slice_sub(text, 1, end - 1);
		text = slice_sub(text, end + 1, SIZE_MAX);
	} else {
		*host = slice_sub(text, 0, end);
		text = slice_sub(text, end, SIZE_MAX);
	}
	*port = slice_sub(text, 1, SIZE_MAX);
	return text.len == 0 || (text.ptr[0] == ':' && is_port(*port));
}

/* IPv6 in brackets, IPv4 and names without. */
static bool is_host(struct slice host, bool bracketed)
{
	struct error ignored = ERROR_INIT;
	char text[TOKEN_URL_MAX + 1];
	struct x509_san san;
	uint8_t ip[16];

	if (host.len == 0 || host.len > TOKEN_URL_MAX || slice_find(host, '\0', 0) != SIZE_MAX)
		return false;
	memcpy(text, host.ptr, host.len);
	text[host.len] = '\0';
	if (x509_san_of_host(&san, ip, text, &ignored) < 0)
		return false;
	return bracketed == (san.type == X509_SAN_IP && san.value.len == 16);
}

int token_url_check(struct slice url, struct error *err)
{
	static const char scheme[] = "https://";
	struct slice host, port;
	bool bracketed;

	if (url.len == 0 || url.len > TOKEN_URL_MAX)
		return error_set(err, ERR_MALFORMED, "address has %zu bytes, not 1 to %d", url.len, TOKEN_URL_MAX);
	if (!slice_starts(url, slice_str(scheme)) ||
	    !split_authority(slice_sub(url, strlen(scheme), SIZE_MAX), &host, &bracketed, &port) ||
	    !is_host(host, bracketed))
		return error_set(err, ERR_MALFORMED, "address '%.*s' is not https://HOST[:PORT]",
				 SLICE_ARG(url));
	return 0;
}

void operator_token_put(struct buf *secret_out, const struct operator_token *t)
{
	struct buf record = BUF_SECRET(TOKEN_TEXT_MAX);

	put_id(&record, t->id);
	buf_put(&record, t->secret, sizeof(t->secret));
	buf_put(&record, t->server_ca, sizeof(t->server_ca));
	put_text(secret_out, OPERATOR_PREFIX, &record);
}

int operator_token_parse(struct operator_token *t, struct slice text, struct error *err)
{
	struct buf record = BUF_SECRET(TOKEN_TEXT_MAX);
	struct slice rest;
	int r = -1;

	*t = (struct operator_token){.id = ""};
	if (get_record(&record, OPERATOR_PREFIX, "operator token", text, err) < 0)
		goto out;
	rest = buf_slice(&record);
	if (!take_id(&rest, t->id) || !take(&rest, t->secret, sizeof(t->secret)) ||
	    !take(&rest, t->server_ca, sizeof(t->server_ca)) || rest.len > 0)
		error_set(err, ERR_MALFORMED, "operator token has a wrong length");
	else
		r = 0;
out:
	if (r < 0)
		operator_token_wipe(t);
	buf_release(&record);
	return r;
}

void operator_token_wipe(struct operator_token *t)
{
	explicit_bzero(t, sizeof(*t));
}
