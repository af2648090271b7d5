/* Signed files in the making: envelopes, signatures that come one by one, and the tally of who has signed. */
#include "tap.h"

#include "tufkit.h"

static const char body_text[] =
	"{\"_type\": \"timestamp\",\n \"spec_version\": \"1.0.34\", \"version\": 1, \"expires\": \"" KIT_EXPIRES "\",\n"
	" \"meta\": {\"snapshot.json\": {\"version\": 1}}}";

static struct kit_key keys[4];
static struct tuf_signer signers[4];

static void begin(void)
{
	struct error err = ERROR_INIT;
	unsigned i;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < 4; i++) {
		kit_key_init(&keys[i], i == 3 ? KEY_ECDSA_P256 : KEY_ED25519);
		tuf_signer_init(&signers[i], keys[i].sec);
	}
}

static void end(void)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		kit_key_release(&keys[i]);
}

/* A role of all four keys. */
static void role_of_all(struct tuf_role *role, unsigned threshold)
{
	unsigned i;

	*role = (struct tuf_role){.threshold = threshold};
	role->keys.list = xcalloc(4, sizeof(*role->keys.list));
	role->keys.count = 4;
	for (i = 0; i < 4; i++) {
		memcpy(role->keys.list[i].id, keys[i].id, TUF_KEYID_LEN);
		role->keys.list[i].pub = *seckey_public(keys[i].sec);
	}
}

/* How many have signed file validly; the tally as letters: g(ood) m(issing) b(ad) u(nusable) r(epeated). */
static const char *tally_of(struct slice file, const struct tuf_role *role)
{
	static const char letters[] = "mgrbu";
	static char text[8];
	struct error err = ERROR_INIT;
	struct tuf_timestamp *t = tuf_timestamp_parse(file, &err);
	struct tuf_tally tally;
	unsigned i;
	int r;

	if (t == NULL) {
		snprintf(text, sizeof(text), "none");
		printf("# %s\n", err.text);
		return text;
	}
	r = tuf_verify_role(role, &t->head, &tally, "timestamp", "5.4.2", &err);
	CHECK((r == 0) == (tally.good >= tally.threshold));
	for (i = 0; i < role->keys.count; i++)
		text[i] = letters[tally.state[i]];
	text[i] = '\0';
	tuf_timestamp_free(t);
	return text;
}

TEST(an_envelope_keeps_its_content_as_written)
{
	struct buf file = BUF_INIT(1 << 16);
	struct error err = ERROR_INIT;
	struct tuf_role role;

	begin();
	role_of_all(&role, 2);
	CHECK_INT(tuf_sign_envelope(&file, slice_str(body_text), NULL, 0, &err), 0);
	CHECK_STR(tally_of(buf_slice(&file), &role), "mmmm");
	buf_clear(&file);
	CHECK_INT(tuf_sign_envelope(&file, slice_str(body_text), signers, 4, &err), 0);
	CHECK(memmem(file.ptr, file.len, body_text, strlen(body_text)) != NULL);
	CHECK_STR(tally_of(buf_slice(&file), &role), "gggg");
	tuf_role_release(&role);
	buf_release(&file);
	end();
}

TEST(signatures_are_added_and_replaced)
{
	struct buf a = BUF_INIT(1 << 16), b = BUF_INIT(1 << 16), c = BUF_INIT(1 << 16);
	struct error err = ERROR_INIT;
	struct tuf_role role;

	begin();
	role_of_all(&role, 2);
	CHECK_INT(tuf_sign_envelope(&a, slice_str(body_text), &signers[0], 1, &err), 0);
	CHECK_INT(tuf_sign_add(&b, buf_slice(&a), &signers[3], 1, &err), 0);
	CHECK_STR(tally_of(buf_slice(&b), &role), "gmmg");
	CHECK_INT(tuf_sign_add(&c, buf_slice(&b), &signers[0], 2, &err), 0);
	CHECK_STR(tally_of(buf_slice(&c), &role), "ggmg");
	/* A wrong signature, then the right one in its place. */
	buf_clear(&a);
	CHECK_INT(tuf_sign_attach(&a, buf_slice(&c), keys[1].id, SLICE_LIT("nonsense"), &err), 0);
	CHECK_STR(tally_of(buf_slice(&a), &role), "gbmg");
	buf_clear(&b);
	CHECK_INT(tuf_sign_add(&b, buf_slice(&a), &signers[1], 1, &err), 0);
	CHECK_STR(tally_of(buf_slice(&b), &role), "ggmg");
	tuf_role_release(&role);
	buf_release(&a);
	buf_release(&b);
	buf_release(&c);
	end();
}

TEST(answers_of_two_signers_are_joined)
{
	struct buf a = BUF_INIT(1 << 16), b = BUF_INIT(1 << 16), both = BUF_INIT(1 << 16), other = BUF_INIT(1 << 16);
	struct error err = ERROR_INIT;
	struct tuf_role role;

	begin();
	role_of_all(&role, 2);
	CHECK_INT(tuf_sign_envelope(&a, slice_str(body_text), &signers[0], 2, &err), 0);
	CHECK_INT(tuf_sign_envelope(&b, slice_str(body_text), &signers[1], 2, &err), 0);
	CHECK_INT(tuf_sign_merge(&both, buf_slice(&a), buf_slice(&b), &err), 0);
	CHECK_STR(tally_of(buf_slice(&both), &role), "gggm");
	/* An empty signature gives way. */
	buf_clear(&a), buf_clear(&both);
	CHECK_INT(tuf_sign_envelope(&a, slice_str(body_text), NULL, 0, &err), 0);
	buf_clear(&other);
	CHECK_INT(tuf_sign_attach(&other, buf_slice(&a), keys[1].id, SLICE_EMPTY, &err), 0);
	CHECK_INT(tuf_sign_merge(&both, buf_slice(&other), buf_slice(&b), &err), 0);
	CHECK_STR(tally_of(buf_slice(&both), &role), "mggm");
	/* Layout differs, content does not. */
	buf_clear(&other), buf_clear(&both);
	CHECK_INT(tuf_sign_envelope(&other, SLICE_LIT("{\"version\":1,\"_type\":\"timestamp\",\"spec_version\":\"1.0.34\","
						      "\"expires\":\"" KIT_EXPIRES "\",\"meta\":{\"snapshot.json\":"
						      "{\"version\":1}}}"),
				    &signers[3], 1, &err), 0);
	CHECK_INT(tuf_sign_merge(&both, buf_slice(&b), buf_slice(&other), &err), 0);
	CHECK_STR(tally_of(buf_slice(&both), &role), "mggg");
	/* Content differs. */
	buf_clear(&other), buf_clear(&both);
	CHECK_INT(tuf_sign_envelope(&other, SLICE_LIT("{\"version\":2}"), &signers[3], 1, &err), 0);
	CHECK_INT(tuf_sign_merge(&both, buf_slice(&b), buf_slice(&other), &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	tuf_role_release(&role);
	buf_release(&a);
	buf_release(&b);
	buf_release(&both);
	buf_release(&other);
	end();
}

TEST(a_signature_made_elsewhere_is_attached)
{
	struct buf a = BUF_INIT(1 << 16), b = BUF_INIT(1 << 16), payload = BUF_INIT(1 << 16), sig = BUF_INIT(1000);
	struct error err = ERROR_INIT;
	struct tuf_role role;

	begin();
	role_of_all(&role, 1);
	CHECK_INT(tuf_sign_envelope(&a, slice_str(body_text), NULL, 0, &err), 0);
	CHECK_INT(tuf_sign_payload(&payload, buf_slice(&a), &err), 0);
	CHECK_STR(buf_cstr(&payload), "{\"_type\":\"timestamp\",\"expires\":\"" KIT_EXPIRES "\",\"meta\":{\"snapshot.json\":"
				      "{\"version\":1}},\"spec_version\":\"1.0.34\",\"version\":1}");
	CHECK_INT(seckey_sign(keys[2].sec, buf_slice(&payload), &sig, &err), 0);
	CHECK_INT(tuf_sign_attach(&b, buf_slice(&a), keys[2].id, buf_slice(&sig), &err), 0);
	CHECK_STR(tally_of(buf_slice(&b), &role), "mmgm");
	CHECK_INT(tuf_sign_attach(&b, buf_slice(&a), "an id that is far longer than sixty-four hex digits could ever be, really",
				  buf_slice(&sig), &err), -1);
	tuf_role_release(&role);
	buf_release(&a);
	buf_release(&b);
	buf_release(&payload);
	buf_release(&sig);
	end();
}

TEST(the_tally_says_what_each_key_has_done)
{
	struct buf a = BUF_INIT(1 << 16);
	struct error err = ERROR_INIT;
	struct tuf_role role;

	begin();
	role_of_all(&role, 3);
	CHECK_INT(tuf_sign_envelope(&a, slice_str(body_text), signers, 4, &err), 0);
	role.keys.list[1].pub.scheme = KEY_NONE;
	role.keys.list[2].pub = role.keys.list[0].pub;
	CHECK_STR(tally_of(buf_slice(&a), &role), "gubg");
	memcpy(role.keys.list[2].id, "x", 2);
	CHECK_STR(tally_of(buf_slice(&a), &role), "gumg");
	CHECK_STR(tuf_sig_state_name(TUF_SIG_REPEATED), "repeated");
	CHECK_STR(tuf_sig_state_name(TUF_SIG_MISSING), "missing");
	/* A role without a threshold is never satisfied. */
	role.threshold = 0;
	struct tuf_timestamp *t = tuf_timestamp_parse(buf_slice(&a), &err);
	CHECK_INT(tuf_verify_role(&role, &t->head, NULL, "timestamp", "5.4.2", &err), -1);
	tuf_timestamp_free(t);
	tuf_role_release(&role);
	buf_release(&a);
	end();
}

TEST(what_is_no_envelope_is_refused)
{
	static const char *const bodies[] = {"", "[]", "7", "{\"a\": 1.5}", "{\"a\": 1, \"a\": 2}", "{"};
	static const char *const files[] = {"", "[]", "{}", "{\"signed\": {}}", "{\"signed\": [], \"signatures\": []}",
					    "{\"signed\": {}, \"signatures\": {}}"};
	struct buf out = BUF_INIT(1 << 16), small = BUF_INIT(100);
	struct error err = ERROR_INIT;
	size_t i;

	begin();
	for (i = 0; i < ARRAY_SIZE(bodies); i++)
		CHECK_INT(tuf_sign_envelope(&out, slice_str(bodies[i]), signers, 1, &err), -1);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		CHECK_INT(tuf_sign_add(&out, slice_str(files[i]), signers, 1, &err), -1);
		CHECK_INT(tuf_sign_merge(&out, slice_str(files[i]), slice_str(files[i]), &err), -1);
		CHECK_INT(tuf_sign_payload(&out, slice_str(files[i]), &err), -1);
	}
	CHECK_INT(tuf_sign_envelope(&small, slice_str(body_text), signers, 1, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&out);
	buf_release(&small);
	end();
}
