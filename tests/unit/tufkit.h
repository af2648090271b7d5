/*
 * A TUF repository in memory for tests: real keys, real signatures, and a server that can be made to lie. A test
 * fills in struct kit, changes what it wants to be wrong, publishes, and drives the engine against it.
 *
 *	struct kit k;
 *	kit_init(&k);			one key a role, thresholds 1, consistent snapshots, everything at version 1
 *	kit_target(&k.targets, "a/b/1", "content");
 *	kit_publish(&k);
 *	...
 *	kit_release(&k);
 */
#ifndef MESHANICS_TESTS_TUFKIT_H
#define MESHANICS_TESTS_TUFKIT_H

#include "base/encode.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/keyfile.h"
#include "sys/file.h"
#include "tuf/engine.h"
#include "tuf/engine_drive.h"
#include "tuf/metadata.h"
#include "tuf/metadata_sign.h"
#include "tuf/trusted.h"
#include "tuf/verify.h"

#define KIT_NOW INT64_C(1800000000)	/* 2027-01-15T08:00:00Z */
#define KIT_EXPIRES "2027-02-15T08:00:00Z"
#define KIT_PAST "2027-01-15T08:00:00Z"	/* exactly now: expired */
#define KIT_KEYS 8
#define KIT_ROLES 48
#define KIT_FILES 512
#define KIT_TEXT_MAX (4u << 20)

struct kit_key {
	struct seckey *sec;
	char id[TUF_KEYID_LEN];
	struct buf object;	/* the key object as JSON */
};

/* Who should sign, as the delegator lists it, and who does. */
struct kit_signers {
	const struct kit_key *keys[KIT_KEYS];
	unsigned count;
	unsigned threshold;
	const struct kit_key *sign[KIT_KEYS];	/* those who really sign */
	unsigned sign_count;
};

/* A targets file. */
struct kit_targets {
	char name[300];
	int64_t version;
	const char *expires;
	struct buf targets;		/* members of `targets` */
	struct buf delegations;		/* the value of `delegations`, or empty */
	struct kit_signers by;		/* delegated roles: who signs; the delegation's own keys are written separately */
	const char *extra;		/* further members of `signed`, each with a comma in front */
	bool unlisted;			/* the snapshot does not list it */
};

struct kit_file {
	char path[800];
	struct buf bytes;
	enum error_kind answer;	/* ERR_NONE: served; else the kind of failure */
};

struct kit {
	struct kit_key root_key, targets_key, snapshot_key, timestamp_key, spare[6];
	struct kit_signers by[TUF_TYPES];
	const char *expires[TUF_TYPES];
	int64_t version[TUF_TYPES];	/* of root, timestamp, snapshot; targets has its own */
	const char *extra[TUF_TYPES];	/* further members of `signed` */
	bool consistent, lengths;
	struct kit_targets targets;
	struct kit_targets roles[KIT_ROLES];
	unsigned role_count;
	struct kit_file files[KIT_FILES];
	unsigned file_count;
	char log[8192];			/* paths asked for, a space after each */
};

/* ---- keys ---- */

static UNUSED void kit_key_init(struct kit_key *key, enum key_scheme scheme)
{
	struct error err = ERROR_INIT;
	struct json_writer w;

	*key = (struct kit_key){.object = BUF_INIT(8192)};
	REQUIRE((key->sec = seckey_generate(scheme, &err)) != NULL);
	w = JSON_WRITER(&key->object);
	tuf_key_put(&w, NULL, seckey_public(key->sec));
	key_id(key->id, seckey_public(key->sec));
}

static UNUSED void kit_key_release(struct kit_key *key)
{
	seckey_free(key->sec);
	buf_release(&key->object);
	key->sec = NULL;
}

static UNUSED void kit_signers_set(struct kit_signers *s, unsigned threshold, const struct kit_key *a,
				   const struct kit_key *b, const struct kit_key *c)
{
	*s = (struct kit_signers){.threshold = threshold};
	s->keys[s->count++] = a;
	if (b != NULL)
		s->keys[s->count++] = b;
	if (c != NULL)
		s->keys[s->count++] = c;
	memcpy(s->sign, s->keys, sizeof(s->sign));
	s->sign_count = s->count;
}

static UNUSED void kit_sign(struct buf *out, const struct buf *body, const struct kit_signers *by)
{
	struct tuf_signer signers[KIT_KEYS];
	struct error err = ERROR_INIT;
	unsigned i;

	REQUIRE(!body->failed);
	for (i = 0; i < by->sign_count; i++) {
		signers[i].key = by->sign[i]->sec;
		memcpy(signers[i].keyid, by->sign[i]->id, TUF_KEYID_LEN);
	}
	if (tuf_sign_envelope(out, buf_slice(body), signers, by->sign_count, &err) < 0) {
		printf("# %s\n", err.text);
		REQUIRE(false);
	}
}

/* ---- the repository ---- */

static UNUSED void kit_targets_init(struct kit_targets *t, const char *name, const struct kit_key *key)
{
	*t = (struct kit_targets){
		.version = 1,
		.expires = KIT_EXPIRES,
		.targets = BUF_INIT(KIT_TEXT_MAX),
		.delegations = BUF_INIT(KIT_TEXT_MAX),
		.extra = "",
	};
	snprintf(t->name, sizeof(t->name), "%s", name);
	kit_signers_set(&t->by, 1, key, NULL, NULL);
}

static UNUSED void kit_init(struct kit *k)
{
	const struct kit_key *const keys[] = {&k->root_key, &k->timestamp_key, &k->snapshot_key, &k->targets_key};
	struct error err = ERROR_INIT;
	unsigned i;

	memset(k, 0, sizeof(*k));
	REQUIRE(crypto_start(&err) == 0);
	kit_key_init(&k->root_key, KEY_ED25519);
	kit_key_init(&k->targets_key, KEY_ED25519);
	kit_key_init(&k->snapshot_key, KEY_ED25519);
	kit_key_init(&k->timestamp_key, KEY_ED25519);
	for (i = 0; i < ARRAY_SIZE(k->spare); i++)
		kit_key_init(&k->spare[i], KEY_ED25519);
	for (i = 0; i < TUF_TYPES; i++) {
		k->version[i] = 1;
		k->expires[i] = KIT_EXPIRES;
		k->extra[i] = "";
		kit_signers_set(&k->by[i], 1, keys[i], NULL, NULL);
	}
	k->consistent = true;
	k->lengths = true;
	kit_targets_init(&k->targets, "targets", &k->targets_key);
}

static UNUSED void kit_targets_release(struct kit_targets *t)
{
	buf_release(&t->targets);
	buf_release(&t->delegations);
}

static UNUSED void kit_release(struct kit *k)
{
	unsigned i;

	kit_key_release(&k->root_key);
	kit_key_release(&k->targets_key);
	kit_key_release(&k->snapshot_key);
	kit_key_release(&k->timestamp_key);
	for (i = 0; i < ARRAY_SIZE(k->spare); i++)
		kit_key_release(&k->spare[i]);
	kit_targets_release(&k->targets);
	for (i = 0; i < k->role_count; i++)
		kit_targets_release(&k->roles[i]);
	for (i = 0; i < k->file_count; i++)
		buf_release(&k->files[i].bytes);
}

/* A new delegated role, signed by key; it still has to be delegated. */
static UNUSED struct kit_targets *kit_role(struct kit *k, const char *name, const struct kit_key *key)
{
	REQUIRE(k->role_count < KIT_ROLES);
	kit_targets_init(&k->roles[k->role_count], name, key);
	return &k->roles[k->role_count++];
}

/* A further target of t: a file of that content. */
static UNUSED void kit_target(struct kit_targets *t, const char *path, const char *content)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	sha256_of(slice_str(content), hash);
	hex_encode(hex, hash, sizeof(hash));
	buf_printf(&t->targets, "%s\"%s\": {\"length\": %zu, \"hashes\": {\"sha256\": \"%s\"}}",
		   t->targets.len > 0 ? ", " : "", path, strlen(content), hex);
}

/* One delegated role for kit_delegate: scope is `"paths": [...]` or `"path_hash_prefixes": [...]`. */
struct kit_delegation {
	const char *name;
	const struct kit_key *key;
	const char *scope;
	bool terminating;
};

static UNUSED void kit_delegate(struct kit_targets *t, const struct kit_delegation *list, unsigned count)
{
	struct buf *b = &t->delegations;
	unsigned i, j;

	buf_clear(b);
	buf_put_str(b, "{\"keys\": {");
	for (i = 0; i < count; i++) {
		for (j = 0; j < i && list[j].key != list[i].key; j++)
			;
		if (j == i)
			buf_printf(b, "%s\"%s\": %.*s", i > 0 ? ", " : "", list[i].key->id,
				   SLICE_ARG(buf_slice(&list[i].key->object)));
	}
	buf_put_str(b, "}, \"roles\": [");
	for (i = 0; i < count; i++)
		buf_printf(b, "%s{\"name\": \"%s\", \"keyids\": [\"%s\"], \"threshold\": 1, %s, \"terminating\": %s}",
			   i > 0 ? ", " : "", list[i].name, list[i].key->id, list[i].scope,
			   list[i].terminating ? "true" : "false");
	buf_put_str(b, "]}");
}

static UNUSED void kit_delegate_one(struct kit_targets *t, const char *name, const struct kit_key *key,
				    const char *scope, bool terminating)
{
	const struct kit_delegation one = {name, key, scope, terminating};

	kit_delegate(t, &one, 1);
}

/* ---- files ---- */

static UNUSED struct kit_file *kit_file(struct kit *k, const char *path)
{
	unsigned i;

	for (i = 0; i < k->file_count; i++)
		if (strcmp(k->files[i].path, path) == 0)
			return &k->files[i];
	return NULL;
}

/* The file at path, made if need be, empty and served. */
static UNUSED struct kit_file *kit_file_reset(struct kit *k, const char *path)
{
	struct kit_file *f = kit_file(k, path);

	if (f == NULL) {
		REQUIRE(k->file_count < KIT_FILES);
		f = &k->files[k->file_count++];
		*f = (struct kit_file){.bytes = BUF_INIT(2 * KIT_TEXT_MAX)};
		snprintf(f->path, sizeof(f->path), "%s", path);
	}
	buf_clear(&f->bytes);
	f->answer = ERR_NONE;
	return f;
}

static UNUSED void kit_put_head(struct buf *b, const char *type, int64_t version, const char *expires)
{
	buf_printf(b, "{\"_type\": \"%s\", \"spec_version\": \"1.0.34\", \"version\": %lld, \"expires\": \"%s\"", type,
		   (long long)version, expires);
}

static UNUSED void kit_root_body(const struct kit *k, struct buf *b)
{
	unsigned i, j, n = 0;

	kit_put_head(b, "root", k->version[TUF_ROOT], k->expires[TUF_ROOT]);
	buf_printf(b, ", \"consistent_snapshot\": %s%s, \"keys\": {", k->consistent ? "true" : "false",
		   k->extra[TUF_ROOT]);
	for (i = 0; i < TUF_TYPES; i++)
		for (j = 0; j < k->by[i].count; j++) {
			char probe[TUF_KEYID_LEN + 2];

			snprintf(probe, sizeof(probe), "\"%s\"", k->by[i].keys[j]->id);
			if (strstr(buf_cstr(b), probe) == NULL)
				buf_printf(b, "%s%s: %.*s", n++ > 0 ? ", " : "", probe,
					   SLICE_ARG(buf_slice(&k->by[i].keys[j]->object)));
		}
	buf_put_str(b, "}, \"roles\": {");
	for (i = 0; i < TUF_TYPES; i++) {
		buf_printf(b, "%s\"%s\": {\"keyids\": [", i > 0 ? ", " : "", tuf_type_name((enum tuf_type)i));
		for (j = 0; j < k->by[i].count; j++)
			buf_printf(b, "%s\"%s\"", j > 0 ? ", " : "", k->by[i].keys[j]->id);
		buf_printf(b, "], \"threshold\": %u}", k->by[i].threshold);
	}
	buf_put_str(b, "}}");
}

/* Publish the root as VERSION.root.json; also by keys of the former root, which the caller adds to sign. */
static UNUSED struct kit_file *kit_publish_root(struct kit *k)
{
	struct buf body = BUF_INIT(KIT_TEXT_MAX);
	char path[64];
	struct kit_file *f;

	snprintf(path, sizeof(path), "%lld.root.json", (long long)k->version[TUF_ROOT]);
	f = kit_file_reset(k, path);
	kit_root_body(k, &body);
	kit_sign(&f->bytes, &body, &k->by[TUF_ROOT]);
	buf_release(&body);
	return f;
}

/* One entry of `meta`. */
static UNUSED void kit_put_meta(const struct kit *k, struct buf *b, const char *role, int64_t version,
				const struct buf *file)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	buf_printf(b, "\"%s.json\": {\"version\": %lld", role, (long long)version);
	if (k->lengths) {
		sha256_of(buf_slice(file), hash);
		hex_encode(hex, hash, sizeof(hash));
		buf_printf(b, ", \"length\": %zu, \"hashes\": {\"sha256\": \"%s\"}", file->len, hex);
	}
	buf_put_str(b, "}");
}

static UNUSED struct kit_file *kit_versioned(struct kit *k, const char *role, int64_t version)
{
	struct buf path = BUF_INIT(790);
	struct kit_file *f;

	if (k->consistent)
		buf_printf(&path, "%lld.", (long long)version);
	tuf_percent_put(&path, slice_str(role), false);
	buf_put_str(&path, ".json");
	f = kit_file_reset(k, buf_cstr(&path));
	buf_release(&path);
	return f;
}

static UNUSED struct kit_file *kit_publish_targets(struct kit *k, const struct kit_targets *t)
{
	struct kit_file *f = kit_versioned(k, t->name, t->version);
	struct buf body = BUF_INIT(KIT_TEXT_MAX);

	kit_put_head(&body, "targets", t->version, t->expires);
	buf_printf(&body, "%s, \"targets\": {%.*s}", t->extra, SLICE_ARG(buf_slice(&t->targets)));
	if (t->delegations.len > 0)
		buf_printf(&body, ", \"delegations\": %.*s", SLICE_ARG(buf_slice(&t->delegations)));
	buf_put_str(&body, "}");
	kit_sign(&f->bytes, &body, t == &k->targets ? &k->by[TUF_TARGETS] : &t->by);
	buf_release(&body);
	return f;
}

static UNUSED struct kit_file *kit_publish_snapshot(struct kit *k)
{
	struct kit_file *f = kit_versioned(k, "snapshot", k->version[TUF_SNAPSHOT]);
	struct buf body = BUF_INIT(KIT_TEXT_MAX);
	unsigned i;

	kit_put_head(&body, "snapshot", k->version[TUF_SNAPSHOT], k->expires[TUF_SNAPSHOT]);
	buf_printf(&body, "%s, \"meta\": {", k->extra[TUF_SNAPSHOT]);
	kit_put_meta(k, &body, "targets", k->targets.version, &kit_publish_targets(k, &k->targets)->bytes);
	for (i = 0; i < k->role_count; i++) {
		struct kit_file *role = kit_publish_targets(k, &k->roles[i]);

		if (k->roles[i].unlisted)
			continue;
		buf_put_str(&body, ", ");
		kit_put_meta(k, &body, k->roles[i].name, k->roles[i].version, &role->bytes);
	}
	buf_put_str(&body, "}}");
	kit_sign(&f->bytes, &body, &k->by[TUF_SNAPSHOT]);
	buf_release(&body);
	return f;
}

static UNUSED struct kit_file *kit_publish_timestamp(struct kit *k, const struct kit_file *snapshot)
{
	struct kit_file *f = kit_file_reset(k, "timestamp.json");
	struct buf body = BUF_INIT(KIT_TEXT_MAX);

	kit_put_head(&body, "timestamp", k->version[TUF_TIMESTAMP], k->expires[TUF_TIMESTAMP]);
	buf_printf(&body, "%s, \"meta\": {", k->extra[TUF_TIMESTAMP]);
	kit_put_meta(k, &body, "snapshot", k->version[TUF_SNAPSHOT], &snapshot->bytes);
	buf_put_str(&body, "}}");
	kit_sign(&f->bytes, &body, &k->by[TUF_TIMESTAMP]);
	buf_release(&body);
	return f;
}

/* Everything but the root as the kit now says. */
static UNUSED void kit_publish_online(struct kit *k)
{
	kit_publish_timestamp(k, kit_publish_snapshot(k));
}

static UNUSED void kit_publish(struct kit *k)
{
	kit_publish_root(k);
	kit_publish_online(k);
}

/* Targets, snapshot and timestamp one version on, published. */
static UNUSED void kit_bump(struct kit *k)
{
	k->targets.version++;
	k->version[TUF_SNAPSHOT]++;
	k->version[TUF_TIMESTAMP]++;
	kit_publish_online(k);
}

/* ---- a client against it ---- */

static UNUSED int kit_get(void *arg, const struct tuf_want *w, struct buf *out, struct error *err)
{
	struct kit_file *f = kit_file(arg, w->path);
	struct kit *k = arg;
	size_t used = strlen(k->log);

	snprintf(k->log + used, sizeof(k->log) - used, "%s ", w->path);
	if (f == NULL)
		return error_set(err, ERR_NOT_FOUND, "404");
	if (f->answer != ERR_NONE)
		return error_set(err, f->answer, "connection reset");
	buf_put_slice(out, buf_slice(&f->bytes));
	if (out->failed)
		return error_set(err, ERR_LIMIT, "more than %llu bytes", (unsigned long long)w->max_len);
	return 0;
}

/* One client run: refresh, and look up path unless NULL. The client stays for questions; free it with kit_done. */
struct kit_run {
	struct tuf_client *c;
	int r;
	struct error err;
	struct tuf_result result;
};

static UNUSED struct tuf_options kit_options(void)
{
	return (struct tuf_options){.mode = TUF_MODE_CLIENT, .clock_s = KIT_NOW};
}

static UNUSED int kit_lookup(struct kit *k, struct kit_run *run, struct trusted *store, const char *path)
{
	const struct tuf_source source = {kit_get, k};

	run->err = ERROR_INIT;
	run->r = -1;
	if (tuf_client_lookup(run->c, slice_str(path), &run->err) == 0 &&
	    tuf_drive(run->c, store, &source, &run->err) == 0 &&
	    tuf_client_result(run->c, &run->result, &run->err) == 0)
		run->r = 0;
	if (store != NULL) {
		struct error err = ERROR_INIT;

		REQUIRE(trusted_commit_client(store, run->c, &err) == 0);
	}
	return run->r;
}

static UNUSED int kit_run_with(struct kit *k, struct kit_run *run, struct slice anchor, struct trusted *store,
			       const struct tuf_options *options, const char *path)
{
	const struct tuf_source source = {kit_get, k};
	struct error err = ERROR_INIT;

	*run = (struct kit_run){.r = -1};
	k->log[0] = '\0';
	if ((run->c = tuf_client_new(anchor, options, &run->err)) == NULL)
		return -1;
	run->r = tuf_drive(run->c, store, &source, &run->err);
	if (store != NULL)
		REQUIRE(trusted_commit_client(store, run->c, &err) == 0);
	if (run->r == 0 && path != NULL)
		return kit_lookup(k, run, store, path);
	return run->r;
}

/* With the first root as anchor, the ordinary clock, and the store's floor. */
static UNUSED int kit_run(struct kit *k, struct kit_run *run, struct trusted *store, const char *path)
{
	struct tuf_options options = kit_options();
	struct error err = ERROR_INIT;

	REQUIRE(kit_file(k, "1.root.json") != NULL);
	if (store != NULL)
		REQUIRE(trusted_floor(store, &options.floor_s, &err) == 0);
	return kit_run_with(k, run, buf_slice(&kit_file(k, "1.root.json")->bytes), store, &options, path);
}

static UNUSED void kit_done(struct kit_run *run)
{
	tuf_client_free(run->c);
	run->c = NULL;
}

/* The run failed, and its error says `text`. */
#define CHECK_REFUSED(run_, text_)                                                                         \
	do {                                                                                               \
		CHECK_INT((run_).r, -1);                                                                   \
		if (strstr((run_).err.text, (text_)) == NULL) {                                            \
			printf("# %s:%d: error is \"%s\"\n#   wanted \"%s\" in it\n", __FILE__, __LINE__,  \
			       (run_).err.text, (text_));                                                  \
			tap_failures++;                                                                    \
		}                                                                                          \
	} while (0)

#define CHECK_ACCEPTED(run_)                                                                               \
	do {                                                                                               \
		if ((run_).r != 0) {                                                                       \
			printf("# %s:%d: refused: %s\n", __FILE__, __LINE__, (run_).err.text);             \
			tap_failures++;                                                                    \
		}                                                                                          \
	} while (0)

/* ---- a store in a temporary directory ---- */

struct kit_store {
	struct trusted t;
	char dir[64];
};

static UNUSED void kit_store_open(struct kit_store *s)
{
	struct error err = ERROR_INIT;

	s->t = TRUSTED_INIT;
	snprintf(s->dir, sizeof(s->dir), "/tmp/tufkit.XXXXXX");
	REQUIRE(mkdtemp(s->dir) != NULL);
	REQUIRE(trusted_open(&s->t, AT_FDCWD, s->dir, &err) == 0);
}

static UNUSED void kit_store_close(struct kit_store *s)
{
	struct error err = ERROR_INIT;

	trusted_close(&s->t);
	CHECK(file_remove_tree(AT_FDCWD, s->dir, &err) == 0);
}

/* The version of a stored role, 0 when it is not there, -1 when it is no good. */
static UNUSED int64_t kit_stored_version(struct trusted *t, const char *role)
{
	struct buf text = BUF_INIT(KIT_TEXT_MAX);
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	int64_t version = -1;

	if (trusted_read(t, role, &text, &err) < 0)
		version = err.kind == ERR_NOT_FOUND ? 0 : -1;
	else if (json_parse(&doc, buf_slice(&text), JSON_STRICT, &err) == 0)
		version = json_int(json_get(json_get(json_root(&doc), "signed"), "version"));
	json_release(&doc);
	buf_release(&text);
	return version;
}

#endif
