/* Token strings: what is read, written again, is the same token. */
#include <stdlib.h>

#include "base/encode.h"
#include "fleet/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void enrolment(struct slice text)
{
	struct buf once = BUF_SECRET(4096);
	struct error err = ERROR_INIT;
	struct enroll_token t, again;

	if (enroll_token_parse(&t, text, &err) == 0) {
		enroll_token_put(&once, &t);
		if (once.failed || enroll_token_parse(&again, buf_slice(&once), &err) < 0 ||
		    memcmp(&t, &again, sizeof(t)) != 0)
			abort();
	}
	buf_release(&once);
}

static void operators(struct slice text)
{
	struct buf once = BUF_SECRET(4096);
	struct error err = ERROR_INIT;
	struct operator_token t, again;

	if (operator_token_parse(&t, text, &err) == 0) {
		operator_token_put(&once, &t);
		if (once.failed || operator_token_parse(&again, buf_slice(&once), &err) < 0 ||
		    memcmp(&t, &again, sizeof(t)) != 0)
			abort();
	}
	buf_release(&once);
}

/* A checksum would stop every mutation: input that does not begin as a token is taken as a record to be sealed. */
static void record(struct slice bytes)
{
	struct buf sealed = BUF_INIT(8192), text = BUF_INIT(16384);
	uint8_t hash[SHA256_LEN];

	if (bytes.len > 1400)
		return;
	buf_put_str(&sealed, "mtk1");
	buf_put_slice(&sealed, bytes);
	sha256_of(buf_slice(&sealed), hash);
	buf_put(&sealed, hash, 4);
	buf_put_str(&text, "mtk1");
	base64url_put(&text, slice_sub(buf_slice(&sealed), 4, SIZE_MAX));
	enrolment(buf_slice(&text));
	buf_release(&sealed);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);

	(void)!token_url_check(s, &(struct error){.kind = ERR_NONE});
	if (slice_starts(s, SLICE_LIT("mtk")))
		enrolment(s);
	else if (slice_starts(s, SLICE_LIT("mop")))
		operators(s);
	else
		record(s);
	return 0;
}
