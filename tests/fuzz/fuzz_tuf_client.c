/*
 * The whole client fed by a scripted server. The input is a list of records, each ended by byte 0x1e; the first holds
 * the options ('i': import, 'f': floor of 2030, 'n': no floor), every other answers one want:
 *	{...}	a `signed` value, which is signed here with the one key that the anchor trusts (a thief's view)
 *	=...	bytes as they are		!	no such file		~	the connection breaks
 * A first letter '@' makes it a target path to look up instead. What must hold of any answer is checked at the end.
 */
#include <stdlib.h>

#include "tuf/engine.h"
#include "tuf/metadata_sign.h"
#include "tuf/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1800000000)
#define TEXT_MAX (1u << 20)
#define WANTS_MAX 400

static struct tuf_signer signer;

static struct slice next_record(struct slice *input)
{
	size_t end = slice_find(*input, 0x1e, 0);
	struct slice record = slice_sub(*input, 0, end == SIZE_MAX ? input->len : end);

	*input = slice_sub(*input, record.len + 1, input->len);
	return record;
}

static void put_signed(struct buf *out, struct slice body)
{
	struct error err = ERROR_INIT;

	if (tuf_sign_envelope(out, body, &signer, 1, &err) < 0) {
		buf_clear(out);
		buf_put_slice(out, body);
	}
}

/* A root whose four roles are all held by our key. */
static void put_anchor(struct buf *out)
{
	struct buf body = BUF_INIT(TEXT_MAX);
	struct json_writer w = JSON_WRITER(&body);
	int i;

	json_open_object(&w, NULL);
	json_put_string(&w, "_type", "root");
	json_put_string(&w, "spec_version", "1.0");
	json_put_int(&w, "version", 1);
	json_put_string(&w, "expires", "2040-01-01T00:00:00Z");
	json_put_bool(&w, "consistent_snapshot", true);
	json_open_object(&w, "keys");
	tuf_key_put(&w, signer.keyid, seckey_public(signer.key));
	json_close(&w);
	json_open_object(&w, "roles");
	for (i = 0; i < TUF_TYPES; i++) {
		json_open_object(&w, tuf_type_name((enum tuf_type)i));
		json_open_array(&w, "keyids");
		json_put_string(&w, NULL, signer.keyid);
		json_close(&w);
		json_put_int(&w, "threshold", 1);
		json_close(&w);
	}
	json_close(&w);
	json_close(&w);
	put_signed(out, buf_slice(&body));
	buf_release(&body);
}

static int answer(struct tuf_client *c, struct slice record, struct error *err)
{
	struct buf bytes = BUF_INIT(TEXT_MAX);
	struct error cut = ERROR_INIT;

	if (record.len == 0 || record.ptr[0] == '!')
		return tuf_client_absent(c, err);
	if (record.ptr[0] == '~') {
		error_set(&cut, ERR_RETRY, "connection reset");
		return tuf_client_fail(c, &cut, err);
	}
	if (record.ptr[0] == '=')
		buf_put_slice(&bytes, slice_sub(record, 1, record.len));
	else
		put_signed(&bytes, record);
	return tuf_client_feed(c, &bytes, err);
}

static void check_ready(struct tuf_client *c)
{
	const struct tuf_timestamp *t = tuf_client_timestamp(c);
	const struct tuf_snapshot *s = tuf_client_snapshot(c);
	const struct tuf_targets *g = tuf_client_targets(c);
	struct error err = ERROR_INIT;
	struct tuf_metafile meta;

	if (!tuf_client_ready(c) || t == NULL)
		return;
	if (s->head.version != t->snapshot.version || tuf_snapshot_find(s, SLICE_LIT("targets"), &meta, &err) < 0 ||
	    meta.version != g->head.version || g->head.expires_s <= tuf_client_time(c))
		abort();
}

static void check_changes(struct tuf_client *c)
{
	const struct tuf_change *list;
	unsigned n = tuf_client_changes(c, &list), i, j;

	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			if (strcmp(list[i].role, list[j].role) == 0)
				abort();
	if (tuf_client_floor(c) > tuf_client_time(c) || tuf_client_time(c) < NOW)
		abort();
	tuf_client_stored(c);
}

static void run(struct tuf_client *c, struct slice input)
{
	struct error err = ERROR_INIT;
	struct tuf_result result;
	unsigned wants = 0;

	while (wants++ < WANTS_MAX) {
		struct slice record = next_record(&input);

		if (record.len > 0 && record.ptr[0] == '@') {
			if (tuf_client_lookup(c, slice_sub(record, 1, record.len), &err) < 0)
				continue;
		} else if (tuf_client_want(c) != NULL) {
			if (answer(c, record, &err) < 0 && !tuf_client_ready(c))
				break;
		} else if (input.len == 0) {
			break;
		}
		check_ready(c);
		if (tuf_client_want(c) == NULL && tuf_client_result(c, &result, &err) == 0 && result.path.len == 0)
			abort();
	}
	check_changes(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = {1};
	struct tuf_options options = {.mode = TUF_MODE_CLIENT, .clock_s = NOW};
	struct slice input = slice_of(data, size), flags = next_record(&input);
	struct buf anchor = BUF_INIT(TEXT_MAX);
	struct error err = ERROR_INIT;
	struct seckey *key;
	struct tuf_client *c;

	if (crypto_start(&err) < 0 ||
	    (key = seckey_from_raw(KEY_ED25519, slice_of(seed, sizeof(seed)), &err)) == NULL)
		abort();
	tuf_signer_init(&signer, key);
	options.mode = slice_find(flags, 'i', 0) != SIZE_MAX ? TUF_MODE_IMPORT : TUF_MODE_CLIENT;
	options.no_floor = slice_find(flags, 'n', 0) != SIZE_MAX;
	if (slice_find(flags, 'f', 0) != SIZE_MAX)
		options.floor_s = INT64_C(1893456000);
	put_anchor(&anchor);
	if ((c = tuf_client_new(buf_slice(&anchor), &options, &err)) == NULL)
		abort();
	run(c, input);
	tuf_client_free(c);
	buf_release(&anchor);
	seckey_free(key);
	return 0;
}
