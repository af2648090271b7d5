/* Throwaway keys, with which a ceremony is practised. */
#include <stdlib.h>

#include "tuf/ceremony.h"

static int make_signer(int dirfd, unsigned n, int64_t now_s, struct ceremony_signer *out,
		       struct error *err)
{
	struct seckey *k = seckey_generate(KEY_ED25519, err);
	int r = -1;

	if (k == NULL)
		return -1;
	snprintf(out->label, sizeof(out->label), "rehearsal-%u", n);
	out->key = *seckey_public(k);
	r = keyfile_write(dirfd, out->label, k, SLICE_EMPTY,
			  CEREMONY_REHEARSAL_COMMENT " only, throw away", now_s, err);
	seckey_free(k);
	return r;
}

/* A key of which only the public half ever leaves this function. */
static int make_public(struct pubkey *out, struct error *err)
{
	struct seckey *k = seckey_generate(KEY_ED25519, err);

	if (k == NULL)
		return -1;
	*out = *seckey_public(k);
	seckey_free(k);
	return 0;
}

static int make_online(struct online_keys *k, const char *site, struct error *err)
{
	struct repo_publisher *p;

	*k = (struct online_keys){.rehearsal = true, .lives = REPO_LIVES_DEFAULT};
	if (name_check(slice_str(site), "site", err) < 0)
		return -1;
	snprintf(k->site, sizeof(k->site), "%s", site);
	k->record_site = xcalloc(1, sizeof(*k->record_site));
	k->record_site_count = 1;
	k->publishers = p = xcalloc(1, sizeof(*p));
	k->publisher_count = 1;
	snprintf(p->name, sizeof(p->name), "rehearsal");
	p->keys = xcalloc(1, sizeof(*p->keys));
	p->key_count = 1;
	text_list_add(&p->slices, "rehearsal/*/*");
	if (make_public(&k->snapshot, err) < 0 || make_public(&k->timestamp, err) < 0 ||
	    make_public(k->record_site, err) < 0)
		return -1;
	return make_public(p->keys, err);
}

int ceremony_rehearsal_keys(int dirfd, const char *site, unsigned count, int64_t now_s,
			    struct ceremony_signer *signers, struct online_keys *online,
			    struct error *err)
{
	unsigned i;

	if (make_online(online, site, err) < 0)
		goto fail;
	for (i = 0; i < count; i++) {
		if (make_signer(dirfd, i + 1, now_s, &signers[i], err) < 0)
			goto fail;
	}
	return 0;
fail:
	online_keys_release(online);
	return -1;
}
