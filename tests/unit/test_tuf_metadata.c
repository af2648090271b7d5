/* Parsing of TUF metadata: what is accepted, and every way of being malformed that we know. */
#include "tap.h"

#include "tufkit.h"

#include "tuf/delegation.h"

static struct kit kit;

/* A copy of text with the first `from` replaced by `to`; from NULL: as it is. */
static void mutate(struct buf *out, struct slice text, const char *from, const char *to)
{
	const uint8_t *at;

	buf_clear(out);
	if (from == NULL) {
		buf_put_slice(out, text);
		return;
	}
	at = memmem(text.ptr, text.len, from, strlen(from));
	if (at == NULL)
		printf("# no '%s' in %.*s\n", from, SLICE_ARG(text));
	REQUIRE(at != NULL);
	buf_put(out, text.ptr, (size_t)(at - text.ptr));
	buf_put_str(out, to);
	buf_put(out, at + strlen(from), text.len - (size_t)(at - text.ptr) - strlen(from));
}

/* Parse as this type and free again: 0 or -1. */
static int parse(enum tuf_type type, struct slice text, struct error *err)
{
	struct tuf_root *r = NULL;
	struct tuf_timestamp *t = NULL;
	struct tuf_snapshot *s = NULL;
	struct tuf_targets *g = NULL;
	bool ok;

	if (type == TUF_ROOT)
		ok = (r = tuf_root_parse(text, err)) != NULL;
	else if (type == TUF_TIMESTAMP)
		ok = (t = tuf_timestamp_parse(text, err)) != NULL;
	else if (type == TUF_SNAPSHOT)
		ok = (s = tuf_snapshot_parse(text, err)) != NULL;
	else
		ok = (g = tuf_targets_parse(text, err)) != NULL;
	tuf_root_free(r);
	tuf_timestamp_free(t);
	tuf_snapshot_free(s);
	tuf_targets_free(g);
	return ok ? 0 : -1;
}

struct mutation {
	const char *from, *to;
	const char *says;	/* part of the refusal; NULL: accepted */
};

static void try_all(enum tuf_type type, struct slice text, const struct mutation *list, size_t count)
{
	struct buf m = BUF_INIT(KIT_TEXT_MAX);
	size_t i;

	for (i = 0; i < count; i++) {
		struct error err = ERROR_INIT;
		int r;

		mutate(&m, text, list[i].from, list[i].to);
		r = parse(type, buf_slice(&m), &err);
		if ((r == 0) != (list[i].says == NULL) ||
		    (r < 0 && (strstr(err.text, list[i].says) == NULL || error_exit_status(err.kind) != 3))) {
			printf("# '%s' -> '%s': %s\n", list[i].from ? list[i].from : "", list[i].to ? list[i].to : "",
			       r == 0 ? "accepted" : err.text);
			tap_failures++;
		}
	}
	buf_release(&m);
}

static struct slice published(const char *path)
{
	struct kit_file *f = kit_file(&kit, path);

	REQUIRE(f != NULL);
	return buf_slice(&f->bytes);
}

TEST(heads_are_read_strictly)
{
	static const struct mutation list[] = {
		{NULL, NULL, NULL},
		{"\"_type\": \"timestamp\"", "\"_type\": \"snapshot\"", "_type is 'snapshot', not 'timestamp'"},
		{"\"_type\": \"timestamp\", ", "", "_type"},
		{"\"1.0.34\"", "\"1\"", NULL},
		{"\"1.0.34\"", "\"1.0\"", NULL},
		{"\"1.0.34\"", "\"1.99.0\"", NULL},
		{"\"1.0.34\"", "\"2.0.0\"", "not 1.x"},
		{"\"1.0.34\"", "\"10.0\"", "not 1.x"},
		{"\"1.0.34\"", "\"0.9\"", "not 1.x"},
		{"\"1.0.34\"", "\"1.\"", "no version"},
		{"\"1.0.34\"", "\"1..0\"", "no version"},
		{"\"1.0.34\"", "\"1.0.3.4\"", "no version"},
		{"\"1.0.34\"", "\"one\"", "no version"},
		{"\"1.0.34\"", "\"\"", "no version"},
		{"\"1.0.34\"", "1", "spec_version"},
		{"\"version\": 1", "\"version\": 0", "version"},
		{"\"version\": 1", "\"version\": -1", "version"},
		{"\"version\": 1", "\"version\": true", "version"},
		{"\"version\": 1", "\"version\": 1.0", ""},
		{"\"version\": 1", "\"version\": 1e0", ""},
		{"\"version\": 1", "\"version\": \"1\"", "version"},
		{"\"version\": 1", "\"version\": null", "version"},
		{"\"version\": 1", "\"version\": 9007199254740991", NULL},
		{"\"version\": 1", "\"version\": 9007199254740992", "version"},
		{"\"version\": 1", "\"version\": 99999999999999999999", ""},
		{"\"version\": 1,", "", "version"},
		{"\"version\": 1,", "\"version\": 1, \"version\": 2,", ""},
		{KIT_EXPIRES, "never", "expires"},
		{KIT_EXPIRES, "", "expires"},
		{KIT_EXPIRES, "2027-02-30T00:00:00Z", "expires"},
		{KIT_EXPIRES, "2027-02-15T08:00:00+00:00", "expires"},
		{KIT_EXPIRES, "2027-02-15T08:00:00.5Z", "expires"},
		{KIT_EXPIRES, "2027-02-15 08:00:00Z", "expires"},
		{KIT_EXPIRES, "2027-02-15T08:00:00", "expires"},
		{"\"" KIT_EXPIRES "\"", "1800000000", "expires"},
		{"\"signatures\"", "\"signature\"", "signatures"},
		{"\"signed\"", "\"unsigned\"", "signed"},
		{"{\"signatures\"", "[{\"signatures\"", ""},
		{"\"_type\"", "\"x-unknown\": {\"deep\": [1, null, true]}, \"_type\"", NULL},
	};

	kit_init(&kit);
	kit_publish(&kit);
	try_all(TUF_TIMESTAMP, published("timestamp.json"), list, ARRAY_SIZE(list));
	kit_release(&kit);
}

TEST(signatures_are_shaped_before_they_are_counted)
{
	struct buf text = BUF_INIT(KIT_TEXT_MAX), from = BUF_INIT(1000), to = BUF_INIT(KIT_TEXT_MAX);
	struct error err = ERROR_INIT;
	unsigned i;

	kit_init(&kit);
	kit_publish(&kit);
	const struct mutation list[] = {
		{"\"sig\":", "\"sign\":", "sig"},
		{"\"keyid\":", "\"key\":", "keyid"},
		{"{\"keyid\":", "{\"note\":\"hello\",\"keyid\":", NULL},
		{"[{\"keyid\":", "[{\"keyid\":\"unknown\",\"sig\":\"\"},{\"keyid\":", NULL},
		{"[{\"keyid\":", "[{\"keyid\":\"x\",\"sig\":\"\"},{\"keyid\":\"x\",\"sig\":\"00\"},{\"keyid\":",
		 "two signatures under key id 'x'"},
		{"[{\"keyid\":", "[7,{\"keyid\":", "not an object"},
		{"[{\"keyid\":", "[{\"keyid\":7,\"sig\":\"\"},{\"keyid\":", "keyid"},
		{"[{\"keyid\":", "[{\"keyid\":\"x\",\"sig\":null},{\"keyid\":", "sig"},
	};
	try_all(TUF_TIMESTAMP, published("timestamp.json"), list, ARRAY_SIZE(list));
	buf_put_str(&to, "[");
	for (i = 0; i < TUF_SIGNATURES_MAX; i++)
		buf_printf(&to, "{\"keyid\":\"%u\",\"sig\":\"\"},", i);
	buf_put_str(&to, "{\"keyid\":");
	mutate(&text, published("timestamp.json"), "[{\"keyid\":", buf_cstr(&to));
	CHECK(parse(TUF_TIMESTAMP, buf_slice(&text), &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&text);
	buf_release(&from);
	buf_release(&to);
	kit_release(&kit);
}

TEST(a_root_lists_its_keys_by_their_true_ids)
{
	struct error err = ERROR_INIT;
	struct tuf_root *root;
	char wrong[TUF_KEYID_LEN];

	kit_init(&kit);
	kit_publish(&kit);
	memset(wrong, 'a', sizeof(wrong) - 1);
	wrong[sizeof(wrong) - 1] = '\0';
	const struct mutation list[] = {
		{NULL, NULL, NULL},
		{"\"keytype\"", "\"x-owner\":\"@me\",\"keytype\"", "has another id than its content"},
		{"\"scheme\":", "\"schema\":", "scheme"},
		{"\"keyval\":", "\"keyvalue\":", "keyval"},
		{"\"public\":", "\"private\":", "public"},
		{"\"keys\": {", "\"keys\": {\"x\": 1, ", "key 'x'"},
		{"\"keys\": {", "\"keys\": [], \"not\": {", "keys"},
		{"\"threshold\": 1", "\"threshold\": 0", "threshold"},
		{"\"threshold\": 1", "\"threshold\": -1", "threshold"},
		{"\"threshold\": 1", "\"threshold\": true", "threshold"},
		{"\"threshold\": 1", "\"threshold\": \"1\"", "threshold"},
		{"\"threshold\": 1", "\"threshold\": 2", NULL},
		{"\"keyids\": [", "\"keyids\": [7, ", "key id is"},
		{"\"keyids\": [", "\"keyids\": [\"short\", ", "not 64 hex digits"},
		{"\"keyids\": [", "\"keyids\": [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", ", NULL},
		{"\"roles\": {", "\"roles\": {\"mirrors\": {\"keyids\": [], \"threshold\": 1}, ", NULL},
		{"\"roles\": {", "\"roles\": {\"admin\": {}, ", "unknown role 'admin'"},
		{"\"snapshot\": {", "\"mirrors\": {", "snapshot"},
		{"\"consistent_snapshot\": true", "\"consistent_snapshot\": 1", "consistent_snapshot"},
		{"\"consistent_snapshot\": true, ", "", NULL},
		{"\"keys\"", "\"x-meshanics\": {\"site\": \"depot-7\"}, \"keys\"", NULL},
		{"\"keys\"", "\"x-meshanics\": {}, \"keys\"", "site"},
		{"\"keys\"", "\"x-meshanics\": null, \"keys\"", "x-meshanics"},
		{"\"keys\"", "\"x-meshanics\": {\"site\": \"Depot/7\"}, \"keys\"", "site name"},
		{"\"keys\"", "\"x-meshanics\": {\"site\": \"..\"}, \"keys\"", "site name"},
		{"\"keys\"", "\"x-meshanics\": {\"site\": \"d\", \"record_keys\": {\"export\": [7]}}, \"keys\"", "export"},
		{"\"keys\"", "\"x-meshanics\": {\"site\": \"d\", \"record_keys\": []}, \"keys\"", "record_keys"},
	};
	try_all(TUF_ROOT, published("1.root.json"), list, ARRAY_SIZE(list));

	/* A key that is listed under a name of somebody's choosing. */
	struct buf from = BUF_INIT(100), to = BUF_INIT(100), m = BUF_INIT(KIT_TEXT_MAX);
	buf_printf(&from, "\"%s\": {", kit.root_key.id);
	buf_printf(&to, "\"%s\": {", wrong);
	mutate(&m, published("1.root.json"), buf_cstr(&from), buf_cstr(&to));
	CHECK(parse(TUF_ROOT, buf_slice(&m), &err) < 0);
	CHECK(strstr(err.text, "has another id than its content") != NULL);
	/* One id twice in a role. */
	buf_clear(&from), buf_clear(&to);
	buf_printf(&from, "\"keyids\": [\"%s\"]", kit.root_key.id);
	buf_printf(&to, "\"keyids\": [\"%s\", \"%s\"]", kit.root_key.id, kit.root_key.id);
	to.max = 1000;
	buf_clear(&to);
	buf_printf(&to, "\"keyids\": [\"%s\", \"%s\"]", kit.root_key.id, kit.root_key.id);
	mutate(&m, published("1.root.json"), buf_cstr(&from), buf_cstr(&to));
	CHECK(parse(TUF_ROOT, buf_slice(&m), &err) < 0);
	CHECK(strstr(err.text, "listed twice") != NULL);

	root = tuf_root_parse(published("1.root.json"), &err);
	REQUIRE(root != NULL);
	CHECK_STR(root->roles[TUF_SNAPSHOT].keys.list[0].id, kit.snapshot_key.id);
	CHECK(root->consistent_snapshot);
	CHECK_STR(root->site, "");
	tuf_root_free(root);
	buf_release(&from);
	buf_release(&to);
	buf_release(&m);
	kit_release(&kit);
}

TEST(a_root_names_its_site_and_record_keys)
{
	struct buf extra = BUF_INIT(8192);
	struct error err = ERROR_INIT;
	struct tuf_root *root;

	kit_init(&kit);
	buf_printf(&extra, ", \"x-meshanics\": {\"site\": \"depot-7\", \"record_keys\": {\"export\": [%.*s], \"site\": [%.*s]}}",
		   SLICE_ARG(buf_slice(&kit.spare[0].object)), SLICE_ARG(buf_slice(&kit.spare[1].object)));
	kit.extra[TUF_ROOT] = buf_cstr(&extra);
	kit_publish(&kit);
	REQUIRE((root = tuf_root_parse(published("1.root.json"), &err)) != NULL);
	CHECK_STR(root->site, "depot-7");
	CHECK_INT(root->export_keys.count, 1);
	CHECK_STR(root->export_keys.list[0].id, kit.spare[0].id);
	CHECK(pubkey_equal(&root->site_keys.list[0].pub, seckey_public(kit.spare[1].sec)));
	tuf_root_free(root);
	buf_release(&extra);
	kit_release(&kit);
}

/* The id of a key object text. */
static int key_of(struct tuf_key *key, const char *text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, slice_str(text), JSON_STRICT, err) == 0)
		r = tuf_key_parse(key, json_root(&doc), err);
	json_release(&doc);
	return r;
}

TEST(keys_of_unknown_kinds_are_kept_but_unusable)
{
	static const struct {
		const char *text;
		enum key_scheme scheme;
	} list[] = {
		/* RFC 8032 test 1 */
		{"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":"
		 "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"}}", KEY_ED25519},
		{"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":\"d75a98\"}}", KEY_NONE},
		{"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":"
		 "\"0000000000000000000000000000000000000000000000000000000000000000\"}}", KEY_NONE},
		{"{\"keytype\":\"ed25519\",\"scheme\":\"ed448\",\"keyval\":{\"public\":\"00\"}}", KEY_NONE},
		{"{\"keytype\":\"sphincs\",\"scheme\":\"sphincs\",\"keyval\":{\"public\":\"\"}}", KEY_NONE},
		{"{\"keytype\":\"ecdsa\",\"scheme\":\"ecdsa-sha2-nistp256\",\"keyval\":{\"public\":\"no PEM\"}}", KEY_NONE},
		/* the base point of P-256 in hex, as old go-tuf wrote points */
		{"{\"keytype\":\"ecdsa\",\"scheme\":\"ecdsa-sha2-nistp256\",\"keyval\":{\"public\":"
		 "\"046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
		 "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5\"}}", KEY_ECDSA_P256},
		{"{\"keytype\":\"ecdsa\",\"scheme\":\"ecdsa-sha2-nistp256\",\"keyval\":{\"public\":"
		 "\"046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
		 "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f6\"}}", KEY_NONE},
	};
	struct error err = ERROR_INIT;
	struct tuf_key key;
	size_t i;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < ARRAY_SIZE(list); i++) {
		CHECK_INT(key_of(&key, list[i].text, &err), 0);
		CHECK_INT(key.pub.scheme, list[i].scheme);
	}
	CHECK(key_of(&key, "{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":7}}", &err) < 0);
	CHECK(key_of(&key, "{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"\"}}", &err) < 0);
	CHECK(key_of(&key, "[]", &err) < 0);
}

/* Key id and content as the specification's canonical form has them, computed with another program. */
TEST(key_ids_cover_unknown_fields)
{
	static const char plain[] = "{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":"
				    "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"}}";
	static const char owned[] = "{\"x-owner\":\"@a\",\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":"
				    "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"}}";
	struct error err = ERROR_INIT;
	struct tuf_key a, b;
	char id[TUF_KEYID_LEN];

	REQUIRE(crypto_start(&err) == 0);
	CHECK_INT(key_of(&a, plain, &err), 0);
	CHECK_STR(a.id, "74c181c7ad8a0855d4b55e44d2ba87aabdddb196832571f15f92fece332e4916");
	CHECK_INT(key_of(&b, owned, &err), 0);
	CHECK(strcmp(a.id, b.id) != 0);
	CHECK(pubkey_equal(&a.pub, &b.pub));
	key_id(id, &a.pub);
	CHECK_STR(id, a.id);
}

TEST(our_key_objects_have_our_key_ids)
{
	static const enum key_scheme schemes[] = {KEY_ED25519, KEY_ECDSA_P256};
	struct error err = ERROR_INIT;
	struct tuf_key parsed;
	size_t i;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct kit_key key;

		kit_key_init(&key, schemes[i]);
		CHECK_INT(key_of(&parsed, buf_cstr(&key.object), &err), 0);
		CHECK_STR(parsed.id, key.id);
		CHECK(pubkey_equal(&parsed.pub, seckey_public(key.sec)));
		kit_key_release(&key);
	}
}

TEST(timestamps_name_one_snapshot)
{
	static const struct mutation list[] = {
		{"\"snapshot.json\"", "\"snapshot\"", "snapshot.json"},
		{"\"meta\": {", "\"meta\": {\"other.json\": 7, ", NULL},
		{"\"meta\": {", "\"metas\": {", "meta"},
		{"\"length\": ", "\"length\": -", "length"},
		{"\"sha256\": \"", "\"sha256\": \"0", "hash sha256"},
		{"\"sha256\": \"", "\"sha256\": 7, \"x\": \"", "not a string"},
		{"\"sha256\": \"", "\"md5\": \"", NULL},
		{"\"hashes\": {", "\"hashes\": {}, \"other\": {", "hashes are empty"},
		{"\"hashes\": {", "\"hashes\": [], \"other\": {", "hashes"},
		{"\"snapshot.json\": {\"version\": 1", "\"snapshot.json\": {\"version\": 0", "version"},
		{"\"snapshot.json\": {\"version\": 1", "\"snapshot.json\": {\"version\": true", "version"},
		{"\"snapshot.json\": {\"version\": 1,", "\"snapshot.json\": {", "version"},
		{"\"meta\"", "\"x-meshanics-signed-at\": \"2027-01-15T07:00:00Z\", \"meta\"", NULL},
		{"\"meta\"", "\"x-meshanics-signed-at\": \"" KIT_EXPIRES "\", \"meta\"", NULL},
		{"\"meta\"", "\"x-meshanics-signed-at\": \"2027-02-15T08:00:01Z\", \"meta\"", "later than expires"},
		{"\"meta\"", "\"x-meshanics-signed-at\": \"now\", \"meta\"", "x-meshanics-signed-at"},
		{"\"meta\"", "\"x-meshanics-signed-at\": \"\", \"meta\"", "x-meshanics-signed-at"},
		{"\"meta\"", "\"x-meshanics-signed-at\": 1800000000, \"meta\"", "x-meshanics-signed-at"},
	};

	kit_init(&kit);
	kit_publish(&kit);
	try_all(TUF_TIMESTAMP, published("timestamp.json"), list, ARRAY_SIZE(list));
	kit_release(&kit);
}

TEST(snapshots_list_roles)
{
	static const struct mutation list[] = {
		{NULL, NULL, NULL},
		{"\"targets.json\"", "\"target.json\"", "does not list targets.json"},
		{"\"meta\": {", "\"meta\": {\"a\": {\"version\": 1}, ", "meta 'a'"},
		{"\"meta\": {", "\"meta\": {\".json\": {\"version\": 1}, ", "meta '.json'"},
		{"\"meta\": {", "\"meta\": {\"a.json\": {\"version\": 1}, ", NULL},
		{"\"meta\": {", "\"meta\": {\"a.json\": {\"version\": 0}, ", "meta 'a.json'"},
		{"\"meta\": {", "\"meta\": {\"a.json\": {}, ", "meta 'a.json'"},
		{"\"meta\": {", "\"meta\": {\"a.json\": 1, ", "meta 'a.json'"},
		{"\"meta\": {", "\"meta\": {\"a.json\": {\"version\": 1}, \"a.json\": {\"version\": 2}, ", ""},
		{"\"meta\": {", "\"meta\": {\"a.json\": {\"version\": 1, \"length\": 1.5}, ", ""},
	};
	struct error err = ERROR_INIT;
	struct tuf_metafile meta;
	struct tuf_snapshot *s;

	kit_init(&kit);
	kit_publish(&kit);
	try_all(TUF_SNAPSHOT, published("1.snapshot.json"), list, ARRAY_SIZE(list));
	REQUIRE((s = tuf_snapshot_parse(published("1.snapshot.json"), &err)) != NULL);
	CHECK_INT(tuf_snapshot_find(s, SLICE_LIT("targets"), &meta, &err), 0);
	CHECK_INT(meta.version, 1);
	CHECK(meta.hashes.has_sha256 && !meta.hashes.has_sha512);
	CHECK_INT(tuf_snapshot_find(s, SLICE_LIT("publisher"), &meta, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	tuf_snapshot_free(s);
	kit_release(&kit);
}

TEST(targets_list_targets)
{
	struct buf long_path = BUF_INIT(2 * KIT_TEXT_MAX);
	struct error err = ERROR_INIT;
	struct tuf_targets *t;
	struct tuf_target target;
	unsigned i;

	buf_put_str(&long_path, "\"a/b/1\", \"x\": \"");
	buf_clear(&long_path);
	buf_put_str(&long_path, "\"");
	for (i = 0; i < 10000; i++)
		buf_put_u8(&long_path, 'a');
	buf_put_str(&long_path, "\": {");
	kit_init(&kit);
	kit_target(&kit.targets, "a/b/1", "content");
	kit_target(&kit.targets, "a/b/2", "other");
	kit_publish(&kit);
	const struct mutation list[] = {
		{NULL, NULL, NULL},
		{"\"targets\": {\"a", "\"target\": {\"a", "targets"},
		{"\"length\": 7", "\"length\": -7", "target 'a/b/1'"},
		{"\"length\": 7", "\"length\": 9223372036854775807", NULL},
		{"\"length\": 7", "\"length\": 9223372036854775808", ""},
		{"\"length\": 7, ", "", "length"},
		{"\"hashes\"", "\"hash\"", "hashes"},
		{"\"sha256\"", "\"blake3\"", NULL},
		{"\"length\": 7", "\"custom\": {\"meshanics\": {}}, \"length\": 7", NULL},
		{"\"length\": 7", "\"custom\": [], \"length\": 7", "custom"},
		{"\"a/b/1\": {", "\"\": {", "target path is empty"},
		{"\"a/b/1\": {", "\"a\\u0000b\": {", "control character"},
		{"\"a/b/1\": {", "\"a\\nb\": {", "control character"},
		{"\"a/b/1\": {", buf_cstr(&long_path), "longer than 1024"},
		{"\"a/b/1\": {", "\"a/b/2\": {", ""},
	};
	try_all(TUF_TARGETS, published("1.targets.json"), list, ARRAY_SIZE(list));
	REQUIRE((t = tuf_targets_parse(published("1.targets.json"), &err)) != NULL);
	CHECK_INT(tuf_targets_find(t, SLICE_LIT("a/b/2"), &target, &err), 0);
	CHECK_INT(target.length, 5);
	CHECK_INT(tuf_targets_find(t, SLICE_LIT("a/b/3"), &target, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	tuf_targets_free(t);
	buf_release(&long_path);
	kit_release(&kit);
}

TEST(delegations_are_read_strictly)
{
	static const char scope[] = "\"paths\": [\"plant/*\"]";

	kit_init(&kit);
	const struct kit_delegation two[] = {
		{"publisher", &kit.spare[0], scope, true},
		{"second", &kit.spare[1], "\"path_hash_prefixes\": [\"0a\", \"b\"]", false},
	};
	kit_delegate(&kit.targets, two, 2);
	kit_publish(&kit);
	const struct mutation list[] = {
		{NULL, NULL, NULL},
		{"\"name\": \"second\"", "\"name\": \"publisher\"", "role 'publisher' is listed twice"},
		{"\"name\": \"second\"", "\"name\": \"root\"", "has the name 'root'"},
		{"\"name\": \"second\"", "\"name\": \"targets\"", "has the name 'targets'"},
		{"\"name\": \"second\"", "\"name\": \"\"", "role name is empty"},
		{"\"name\": \"second\"", "\"name\": \"a\\u0000b\"", "control character"},
		{"\"name\": \"second\"", "\"name\": \"../second\"", NULL},
		{"\"name\": \"second\", ", "", "name"},
		{scope, "\"paths\": \"plant/*\"", "paths"},
		{scope, "\"paths\": [7]", "path pattern"},
		{scope, "\"paths\": [], \"path_hash_prefixes\": []", "exactly one of paths"},
		{scope, "\"none\": []", "exactly one of paths"},
		{scope, "\"paths\": []", NULL},
		{"\"0a\"", "\"0A\"", "lower-case hex"},
		{"\"0a\"", "\"\"", "lower-case hex"},
		{"\"0a\"", "\"xy\"", "lower-case hex"},
		{"\"0a\"", "7", "lower-case hex"},
		{", \"terminating\": true", "", "terminating"},
		{"\"terminating\": true", "\"terminating\": 1", "terminating"},
		{"\"threshold\": 1", "\"threshold\": 0", "threshold"},
		{"\"roles\": [", "\"roles\": [7, ", "not an object"},
		{"\"roles\": [", "\"succinct_roles\": {}, \"roles\": [", "exactly one of roles and succinct_roles"},
		{"\"roles\": [", "\"rules\": [", "exactly one of roles and succinct_roles"},
		{"\"keys\": {", "\"keys\": {\"x\": {}, ", "key 'x'"},
		{"\"keys\"", "\"kays\"", "keys"},
		{"\"delegations\": {", "\"delegations\": 7, \"x\": {", "delegations"},
	};
	try_all(TUF_TARGETS, published("1.targets.json"), list, ARRAY_SIZE(list));
	kit_release(&kit);
}

TEST(succinct_roles_are_read_strictly)
{
	static const struct mutation list[] = {
		{NULL, NULL, NULL},
		{"\"bit_length\": 10", "\"bit_length\": 0", "bit_length"},
		{"\"bit_length\": 10", "\"bit_length\": 33", "bit_length"},
		{"\"bit_length\": 10", "\"bit_length\": 32", NULL},
		{"\"bit_length\": 10, ", "", "bit_length"},
		{"\"name_prefix\": \"bin\"", "\"name_prefix\": \"\"", "name_prefix"},
		{"\"name_prefix\": \"bin\"", "\"name_prefix\": 7", "name_prefix"},
		{"\"threshold\": 1, \"bit", "\"threshold\": 0, \"bit", "threshold"},
	};
	kit_init(&kit);
	buf_printf(&kit.targets.delegations,
		   "{\"keys\": {\"%s\": %.*s}, \"succinct_roles\": {\"keyids\": [\"%s\"], \"threshold\": 1, "
		   "\"bit_length\": 10, \"name_prefix\": \"bin\"}}",
		   kit.spare[0].id, SLICE_ARG(buf_slice(&kit.spare[0].object)), kit.spare[0].id);
	kit_publish(&kit);
	try_all(TUF_TARGETS, published("1.targets.json"), list, ARRAY_SIZE(list));
	kit_release(&kit);
}

TEST(patterns_never_cross_a_slash)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} list[] = {
		{"*", "a", true},
		{"*", "a/b", false},
		{"*", "", true},
		{"a/*", "a/b", true},
		{"a/*", "a/b/c", false},
		{"a/*", "a", false},
		{"a/*/c", "a/b/c", true},
		{"a/*/c", "a/b/b/c", false},
		{"*/*", "a/b", true},
		{"foo-?.tgz", "foo-2.tgz", true},
		{"foo-?.tgz", "foo-22.tgz", false},
		{"foo-?.tgz", "foo-.tgz", false},
		{"foo-?", "foo-/", false},
		{"a?c", "a/c", false},
		{"a*c", "abbbc", true},
		{"a*c", "abbbcd", false},
		{"a**c", "ac", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"*ab", "aab", true},
		{"[ab]", "a", false},
		{"[ab]", "[ab]", true},
		{"\\*", "\\x", true},
		{"a", "A", false},
		{"/a", "a", false},
		{"a/", "a", false},
		{"?", "\xc3\xa9", true},
		{"??", "\xc3\xa9", false},
		{"*?x", "\xc3\xa9x", true},
		{"*?", "", false},
		{"", "", true},
		{"", "a", false},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(list); i++)
		if (tuf_pattern_match(slice_str(list[i].pattern), slice_str(list[i].path)) != list[i].match) {
			printf("# '%s' and '%s'\n", list[i].pattern, list[i].path);
			tap_failures++;
		}
}

/* CVE-2026-6968: no target leads out of the directory it is put into. */
TEST(paths_that_may_be_asked_for)
{
	static const struct {
		const char *path;
		bool good;
	} list[] = {
		{"a", true},	  {"a/b/c", true},	{"a b/c%/\xc3\xa9", true}, {"..a/b..", true},	{"", false},
		{"/a", false},	  {"a/", false},	{"a//b", false},	   {".", false},	{"..", false},
		{"a/../b", false}, {"a/./b", false},	{"../a", false},	   {"a\n", false},	{"a\x7f", false},
	};
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(list); i++)
		if ((tuf_path_check(slice_str(list[i].path), &err) == 0) != list[i].good) {
			printf("# '%s'\n", list[i].path);
			tap_failures++;
		}
	CHECK(tuf_path_check(SLICE_LIT("a\0b"), &err) < 0);
}

TEST(percent_encoding_keeps_little)
{
	static const char *const list[][2] = {
		{"plain-1.0_~", "plain-1.0_~"},	     {"?", "%3F"},	     {"/delegatedrole", "%2Fdelegatedrole"},
		{"../delegatedrole", "..%2Fdelegatedrole"}, {"a b", "a%20b"}, {"\xc3\xa9", "%C3%A9"}, {"%", "%25"},
	};
	struct buf out = BUF_INIT(1000);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(list); i++) {
		buf_clear(&out);
		tuf_percent_put(&out, slice_str(list[i][0]), false);
		CHECK_STR(buf_cstr(&out), list[i][1]);
	}
	buf_clear(&out);
	tuf_percent_put(&out, SLICE_LIT("a/b?"), true);
	CHECK_STR(buf_cstr(&out), "a/b%3F");
	buf_release(&out);
}

TEST(hashes_are_compared_all)
{
	struct error err = ERROR_INIT;
	struct tuf_hashes h = {.has_sha256 = true};
	struct sha512 wide;

	REQUIRE(crypto_start(&err) == 0);
	sha256_of(SLICE_LIT("x"), h.sha256);
	CHECK_INT(tuf_hashes_check(&h, SLICE_LIT("x"), "file", &err), 0);
	CHECK_INT(tuf_hashes_check(&h, SLICE_LIT("y"), "file", &err), -1);
	h.has_sha512 = true;
	CHECK_INT(tuf_hashes_check(&h, SLICE_LIT("x"), "file", &err), -1);
	CHECK(strstr(err.text, "SHA-512") != NULL);
	sha512_init(&wide);
	sha512_update(&wide, "x", 1);
	sha512_final(&wide, h.sha512);
	CHECK_INT(tuf_hashes_check(&h, SLICE_LIT("x"), "file", &err), 0);
	h = (struct tuf_hashes){.only_unknown = true};
	CHECK_INT(tuf_hashes_check(&h, SLICE_LIT("x"), "file", &err), -1);
	h = (struct tuf_hashes){.has_sha256 = false};
	CHECK_INT(tuf_hashes_check(&h, SLICE_LIT("x"), "file", &err), 0);
}
