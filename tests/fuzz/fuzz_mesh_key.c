/* Keys of the mesh as text, as bytes, and inside rotations, whose stay lists this program signs. */
#include <sodium.h>
#include <stdlib.h>

#include "base/encode.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "mesh/stay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t owner_seed[32] = {5};

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void text(struct slice s)
{
	struct buf once = BUF_SECRET(4096);
	struct error err = ERROR_INIT;
	struct netkey k, again;
	struct ownerkey o;
	struct nodekey n;
	struct range r;
	char shown[RANGE_TEXT_LEN];

	if (netkey_parse(&k, s, &err) == 0) {
		netkey_put(&once, &k);
		need(!once.failed && netkey_parse(&again, buf_slice(&once), &err) == 0);
		need(memcmp(&k, &again, sizeof(k)) == 0);
	}
	(void)!ownerkey_parse(&o, s, &err);
	(void)!nodekey_parse(&n, s, &err);
	if (range_parse(&r, s, &err) == 0)
		need(slice_equal_str(s, range_text(shown, &r)));
	buf_release(&once);
}

/* Bytes of a key, and the same as text with a checksum that holds. */
static void bytes(struct slice s)
{
	struct buf once = BUF_SECRET(4096), sealed = BUF_SECRET(4096);
	struct error err = ERROR_INIT;
	struct netkey k, again;
	struct subkeys sub;
	uint8_t hash[SHA256_LEN];

	if (netkey_decode(&k, s, &err) == 0) {
		netkey_encode(&once, &k);
		need(slice_equal(buf_slice(&once), s));
		netkey_subkeys(&sub, &k);
		buf_put_str(&sealed, "mrk1");
		buf_put_slice(&sealed, s);
		sha256_of(buf_slice(&sealed), hash);
		buf_put(&sealed, hash, 4);
		buf_clear(&once);
		buf_put_str(&once, "mrk1");
		base64url_put(&once, slice_sub(buf_slice(&sealed), 4, SIZE_MAX));
		need(netkey_parse(&again, buf_slice(&once), &err) == 0 && memcmp(&k, &again, sizeof(k)) == 0);
	}
	buf_release(&once);
	buf_release(&sealed);
}

static void rotation(struct slice s)
{
	struct error err = ERROR_INIT;
	struct netkey have = {.id = {7}, .generation = 1, .created_s = 1795843200, .name = "home"}, next;
	uint8_t secret[64], self[NODE_ID_LEN] = {3}, *exact;
	struct buf whole = BUF_INIT(STAY_LEN_MAX);
	struct staylist list;

	have.range = (struct range){.v4 = 0xc6122000, .prefix = 19};
	crypto_sign_seed_keypair(have.owner, secret, owner_seed);
	(void)!rotation_parse(&next, &list, s, &have, self, &err);
	/* As a list, with a signature that holds. */
	if (s.len + 64 > STAY_LEN_MAX || s.len < 17)
		return;
	exact = xmalloc(s.len + 64);
	memcpy(exact, s.ptr, s.len);
	memcpy(exact + 1, have.id, NETWORK_ID_LEN);
	buf_put(&whole, "meshanics-mesh-1 stay", 22);
	buf_put(&whole, exact, s.len);
	crypto_sign_detached(exact + s.len, NULL, whole.ptr, whole.len, secret);
	if (staylist_parse(&list, slice_of(exact, s.len + 64), &have, &err) == 0) {
		need(list.generation >= 2 && list.count <= STAY_IDS_MAX);
		(void)staylist_has(&list, self);
	}
	free(exact);
	buf_release(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;

	if (size == 0 || crypto_start(&err) < 0)
		return 0;
	if (data[0] == 1)
		bytes(slice_of(data + 1, size - 1));
	else if (data[0] == 2)
		rotation(slice_of(data + 1, size - 1));
	else
		text(slice_of(data, size));
	return 0;
}
