/*
 * A client through several updates against one store, fed by a server that may do anything but sign. Five states of one
 * repository (first, next, keys rotated and versions back at 1, without consistent snapshots, expired) and one of a
 * stranger are signed beforehand; the bytes of the input choose the answer to each want: the right file of the current
 * state, the same of another state, any file at all, one with a byte changed or the end cut off, none, a broken
 * connection. In between: a new update, another state, a target to look up, time that passes. What the client has
 * verified is given to it again as facts, as long as its store has not changed.
 *
 * Whatever comes: nothing that was not signed for its role becomes trusted, versions go back only with rotated keys, and
 * what is ready fits together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* tufkit.h is written for tap.h. */
#define REQUIRE(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)
#define CHECK(cond) REQUIRE(cond)
#define CHECK_INT(got, want) REQUIRE((got) == (want))
static int tap_failures;

#include "../unit/tufkit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORLDS 6
#define STRANGER 5
#define ROLES_KNOWN 24
#define STEPS_MAX 500

struct served {
	char path[64];
	unsigned world;
	struct buf bytes;
	char role[64];
	uint8_t digest[SHA256_LEN];	/* of the canonical `signed` */
};
static struct served files[400];
static unsigned file_count;
static struct buf anchor = BUF_INIT(KIT_TEXT_MAX);
static struct kit kit;

/* ---- the repository, once ---- */

/* "7.by%20name.json" is of the role "by name"; no role here has a dot or a percent sign. */
static void role_of(char role[static 64], const char *path)
{
	const char *from = path + strspn(path, "0123456789");

	from += from > path && *from == '.';
	snprintf(role, 64, "%.*s", (int)(strlen(from) - 5), from);
}

static int signed_digest(uint8_t digest[static SHA256_LEN], struct slice file)
{
	struct buf canonical = BUF_INIT(KIT_TEXT_MAX);
	struct error err = ERROR_INIT;
	struct json json = JSON_INIT;
	int r = -1;

	if (json_parse(&json, file, JSON_STRICT, &err) == 0 &&
	    json_canonical(&canonical, json_get(json_root(&json), "signed"), &err) == 0) {
		sha256_of(buf_slice(&canonical), digest);
		r = 0;
	}
	json_release(&json);
	buf_release(&canonical);
	return r;
}

/* Keep what the kit has published as a state of the repository. */
static void world_keep(unsigned world)
{
	unsigned i;

	for (i = 0; i < kit.file_count; i++) {
		struct served *s = &files[file_count++];

		REQUIRE(file_count < ARRAY_SIZE(files));
		snprintf(s->path, sizeof(s->path), "%.63s", kit.files[i].path);
		s->world = world;
		s->bytes = BUF_INIT(KIT_TEXT_MAX);
		buf_put_slice(&s->bytes, buf_slice(&kit.files[i].bytes));
		role_of(s->role, s->path);
		REQUIRE(signed_digest(s->digest, buf_slice(&s->bytes)) == 0);
	}
}

static void versions_set(int64_t online, int64_t targets)
{
	unsigned i;

	kit.version[TUF_TIMESTAMP] = kit.version[TUF_SNAPSHOT] = online;
	kit.targets.version = targets;
	for (i = 0; i < kit.role_count; i++)
		kit.roles[i].version = targets;
}

/* targets -> a, b; a -> c; b -> c (another key), a (a cycle); c -> four bins. */
static void roles_make(void)
{
	struct kit_targets *a = kit_role(&kit, "a", &kit.spare[0]), *b = kit_role(&kit, "b", &kit.spare[1]);
	struct kit_targets *c = kit_role(&kit, "c", &kit.spare[2]), *bin;
	const struct kit_delegation top[] = {{"a", &kit.spare[0], "\"paths\": [\"a/*\", \"c/*\"]", false},
					     {"b", &kit.spare[1], "\"path_hash_prefixes\": [\"0\", \"1\", \"2\", \"3\", \"4\", \"5\", "
								  "\"6\", \"7\", \"8\", \"9\", \"a\", \"b\", \"c\"]", true}};
	const struct kit_delegation of_b[] = {{"c", &kit.spare[3], "\"paths\": [\"*/?\"]", false},
					      {"a", &kit.spare[0], "\"paths\": [\"*/*\"]", true}};
	unsigned i;

	kit_target(&kit.targets, "plain", "content");
	kit_target(a, "a/1", "one");
	kit_target(b, "b/2", "two");
	kit_delegate(&kit.targets, top, ARRAY_SIZE(top));
	kit_delegate_one(a, "c", &kit.spare[2], "\"paths\": [\"c/*\"]", false);
	kit_delegate(b, of_b, ARRAY_SIZE(of_b));
	kit_signers_set(&c->by, 1, &kit.spare[2], &kit.spare[3], NULL);
	buf_printf(&c->delegations, "{\"keys\": {\"%s\": %.*s}, \"succinct_roles\": {\"keyids\": [\"%s\"], \"threshold\": 1, "
		   "\"bit_length\": 2, \"name_prefix\": \"bin\"}}", kit.spare[4].id,
		   SLICE_ARG(buf_slice(&kit.spare[4].object)), kit.spare[4].id);
	for (i = 0; i < 4; i++) {
		char name[16];

		snprintf(name, sizeof(name), "bin-%u", i);
		bin = kit_role(&kit, name, &kit.spare[4]);
		kit_target(bin, "c/3", "three");
	}
}

static void repository_make(void)
{
	static struct kit_key new_timestamp, new_root;
	struct kit_signers honest[TUF_TYPES];
	unsigned i;

	kit_init(&kit);
	roles_make();
	kit.extra[TUF_TIMESTAMP] = ", \"x-meshanics-signed-at\": \"2027-01-10T08:00:00Z\"";
	kit_publish(&kit);
	buf_put_slice(&anchor, buf_slice(&kit_file(&kit, "1.root.json")->bytes));
	world_keep(0);
	versions_set(3, 2);
	kit.lengths = false;
	kit_publish_online(&kit);
	world_keep(1);
	/* Rotated: a new timestamp key and a second root key, versions at 1 again. */
	kit_key_init(&new_timestamp, KEY_ED25519);
	kit_key_init(&new_root, KEY_ED25519);
	kit_signers_set(&kit.by[TUF_TIMESTAMP], 1, &new_timestamp, NULL, NULL);
	kit_signers_set(&kit.by[TUF_ROOT], 2, &kit.root_key, &new_root, NULL);
	kit.version[TUF_ROOT] = 2;
	kit.lengths = true;
	versions_set(1, 1);
	kit_publish(&kit);
	world_keep(2);
	kit.version[TUF_ROOT] = 3;
	kit.consistent = false;
	versions_set(4, 3);
	kit_publish(&kit);
	world_keep(3);
	kit.expires[TUF_TIMESTAMP] = kit.expires[TUF_SNAPSHOT] = kit.targets.expires = KIT_PAST;
	versions_set(5, 4);
	kit_publish_online(&kit);
	world_keep(4);
	/* A stranger: the same shape, other keys. */
	memcpy(honest, kit.by, sizeof(honest));
	for (i = 0; i < TUF_TYPES; i++)
		kit_signers_set(&kit.by[i], 1, &kit.spare[5], NULL, NULL);
	for (i = 0; i < kit.role_count; i++)
		kit_signers_set(&kit.roles[i].by, 1, &kit.spare[5], NULL, NULL);
	kit.expires[TUF_TIMESTAMP] = kit.expires[TUF_SNAPSHOT] = kit.targets.expires = KIT_EXPIRES;
	kit.consistent = true;
	for (i = 1; i < 5; i++) {
		kit.version[TUF_ROOT] = i;
		versions_set(i, i);
		kit_publish(&kit);
	}
	world_keep(STRANGER);
}

/* ---- what the input says ---- */

struct script {
	const uint8_t *at, *end;
};

static unsigned take(struct script *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

/* ---- the store of the client ---- */

struct held {
	char role[64];
	struct buf bytes;
	int64_t version;
	bool free;		/* what held its version up is gone: it may go back once */
};

static const char *const paths[8] = {"plain", "a/1", "b/2", "c/3", "c/none", "none", "a/none", "b/x"};

struct device {
	struct held held[ROLES_KNOWN];
	unsigned count;
	unsigned world;
	int64_t clock_s, floor_s;
	int64_t root_version;
	bool has_facts;
	struct tuf_facts facts;
	struct tuf_found found[ARRAY_SIZE(paths)];	/* path.len 0: not found yet; as long as the facts hold */
};

static struct held *held_find(struct device *d, const char *role)
{
	unsigned i;

	for (i = 0; i < d->count; i++)
		if (strcmp(d->held[i].role, role) == 0)
			return &d->held[i];
	return NULL;
}

/* The oracle: these bytes say what somebody honest has signed for this role. */
static void must_be_signed(const char *role, struct slice bytes)
{
	uint8_t digest[SHA256_LEN];
	unsigned i;

	REQUIRE(signed_digest(digest, bytes) == 0);
	for (i = 0; i < file_count; i++)
		if (files[i].world != STRANGER && strcmp(files[i].role, role) == 0 &&
		    memcmp(files[i].digest, digest, sizeof(digest)) == 0)
			return;
	abort();
}

/*
 * Versions are held up by the timestamp and the snapshot. Where rotated keys or a damaged store have taken these away, each
 * role may go back once, in this update or in a later one.
 */
static void held_set_free(struct device *d)
{
	unsigned i;

	for (i = 0; i < d->count; i++)
		d->held[i].free = strcmp(d->held[i].role, "root") != 0;
}

static void store_change(struct device *d, const struct tuf_change *change, bool faithful)
{
	struct held *h = held_find(d, change->role);

	if (change->bytes.ptr == NULL) {
		REQUIRE(h == NULL || h->free);
		if (h != NULL) {
			buf_release(&h->bytes);
			*h = d->held[--d->count];
		}
		return;
	}
	must_be_signed(change->role, change->bytes);
	if (h == NULL) {
		REQUIRE(d->count < ARRAY_SIZE(d->held));
		h = &d->held[d->count++];
		*h = (struct held){.bytes = BUF_INIT(KIT_TEXT_MAX)};
		snprintf(h->role, sizeof(h->role), "%s", change->role);
	} else {
		REQUIRE(!faithful || h->free || change->version >= h->version);
	}
	h->free = false;
	h->version = change->version;
	buf_clear(&h->bytes);
	buf_put_slice(&h->bytes, change->bytes);
}

/* What an update has verified is stored, also when it failed further on. */
static void store_all(struct device *d, struct tuf_client *c, bool faithful)
{
	const struct tuf_change *list;
	unsigned n = tuf_client_changes(c, &list), i;

	if (!faithful || tuf_client_version(c, TUF_ROOT) > d->root_version)
		held_set_free(d);
	if (n > 0)
		d->has_facts = false;
	for (i = 0; i < n; i++)
		store_change(d, &list[i], faithful);
	REQUIRE(tuf_client_root(c) == NULL || tuf_client_floor(c) <= tuf_client_root(c)->head.expires_s);
	REQUIRE(tuf_client_time(c) >= d->clock_s);
	d->floor_s = tuf_client_floor(c);
	d->root_version = tuf_client_version(c, TUF_ROOT);
	tuf_client_stored(c);
	REQUIRE(tuf_client_changes(c, &list) == 0 || list[0].bytes.ptr == NULL);
}

/* ---- answers ---- */

static const struct served *file_at(const char *path, unsigned world)
{
	unsigned i;

	for (i = 0; i < file_count; i++)
		if (files[i].world == world % WORLDS && strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

static void damage(struct buf *bytes, struct script *s, unsigned how)
{
	size_t at = (size_t)take(s) << 8;

	at |= take(s);
	if (bytes->len == 0)
		return;
	at %= bytes->len;
	if (how == 4)
		bytes->ptr[at] ^= (uint8_t)(take(s) | 1);
	else
		bytes->len = at;
}

/* The answer to the open want; *faithful is lost when the store lies. */
static int answer(struct device *d, struct tuf_client *c, struct script *s, bool *faithful, struct error *err)
{
	const struct tuf_want *w = tuf_client_want(c);
	unsigned op = take(s), how = op & 7;
	struct buf bytes = BUF_INIT(KIT_TEXT_MAX);
	struct error cut = ERROR_INIT;
	const struct served *f;

	if (w->stored && how != 0)
		*faithful = false;
	if (how == 2)
		return tuf_client_absent(c, err);
	if (how == 3) {
		error_set(&cut, ERR_RETRY, "connection reset");
		return tuf_client_fail(c, &cut, err);
	}
	if (w->stored && how != 1 && how != 6) {
		const struct held *h = held_find(d, w->role);

		if (h == NULL)
			return tuf_client_absent(c, err);
		buf_put_slice(&bytes, buf_slice(&h->bytes));
	} else {
		f = how == 6 ? &files[take(s) % file_count]
			     : file_at(w->stored ? "timestamp.json" : w->path, how == 1 ? op >> 3 : d->world);
		if (f == NULL)
			return tuf_client_absent(c, err);
		buf_put_slice(&bytes, buf_slice(&f->bytes));
	}
	if (how == 4 || how == 5)
		damage(&bytes, s, how);
	return tuf_client_feed(c, &bytes, err);
}

/* Facts alone have answered: they are of this store, and nothing in them has expired. */
static void check_quick(const struct device *d, const struct tuf_client *c)
{
	static const char *const roles[TUF_TYPES] = {"root", "timestamp", "snapshot", "targets"};
	unsigned i;

	REQUIRE(d->has_facts);
	for (i = 0; i < TUF_TYPES; i++) {
		const struct held *h = held_find((struct device *)(uintptr_t)d, roles[i]);

		REQUIRE(h != NULL && h->version == tuf_client_version(c, (enum tuf_type)i));
		REQUIRE(d->facts.roles[i].expires_s > tuf_client_time(c));
	}
}

static void check_ready(struct tuf_client *c)
{
	const struct tuf_timestamp *t = tuf_client_timestamp(c);
	const struct tuf_snapshot *s = tuf_client_snapshot(c);
	const struct tuf_targets *g = tuf_client_targets(c);
	struct error err = ERROR_INIT;
	struct tuf_metafile meta;
	int64_t now_s = tuf_client_time(c);

	REQUIRE(t != NULL && s != NULL && g != NULL);
	REQUIRE(t->head.expires_s > now_s && s->head.expires_s > now_s && g->head.expires_s > now_s);
	REQUIRE(tuf_client_root(c)->head.expires_s > now_s);
	REQUIRE(s->head.version == t->snapshot.version);
	REQUIRE(tuf_snapshot_find(s, SLICE_LIT("targets"), &meta, &err) == 0 && meta.version == g->head.version);
}

/* Also what was in the store already, and so is no change. */
static void check_signed(struct tuf_client *c)
{
	must_be_signed("root", tuf_client_root(c)->head.text);
	must_be_signed("timestamp", tuf_client_timestamp(c)->head.text);
	must_be_signed("snapshot", tuf_client_snapshot(c)->head.text);
	must_be_signed("targets", tuf_client_targets(c)->head.text);
}

static int serve_wants(struct device *d, struct tuf_client *c, struct script *s, bool *faithful)
{
	struct error err = ERROR_INIT;
	unsigned n;

	for (n = 0; n < STEPS_MAX && tuf_client_want(c) != NULL; n++)
		if (answer(d, c, s, faithful, &err) < 0)
			return -1;
	return tuf_client_want(c) == NULL ? 0 : -1;
}

/* Look a target up, or recall it; what was found is kept. */
static void lookup(struct device *d, struct tuf_client *c, struct script *s, bool *faithful, unsigned which)
{
	struct tuf_found *known = &d->found[which];
	struct error err = ERROR_INIT;
	struct tuf_result result;
	bool recalled = d->has_facts && known->target.path.len > 0 && tuf_client_recall(c, known);

	if (!recalled && (tuf_client_lookup(c, slice_str(paths[which]), &err) < 0 || serve_wants(d, c, s, faithful) < 0))
		return;
	if (tuf_client_result(c, &result, &err) < 0)
		return;
	REQUIRE(slice_equal_str(result.path, paths[which]));
	REQUIRE(result.length >= 3 && result.length <= 7 && result.hashes.has_sha256);
	if (recalled || !tuf_client_found(c, known))
		return;
	known->target.path = slice_str(paths[which]);
	known->target.custom = SLICE_EMPTY;
}

static void lookups(struct device *d, struct tuf_client *c, struct script *s, bool *faithful)
{
	unsigned n = take(s) & 7;

	while (n-- > 0) {
		lookup(d, c, s, faithful, take(s) & 7);
		if (tuf_client_ready(c) && tuf_client_root(c) != NULL)
			check_ready(c);
	}
}

/*
 * Facts of an update that is through take the place of older ones; what was found under these is forgotten. From a store that
 * was not read as it is none can be made.
 */
static void facts_take(struct device *d, const struct tuf_client *c, bool faithful)
{
	struct tuf_facts facts;

	d->has_facts = d->has_facts && faithful;
	if (!faithful || !tuf_client_facts(c, &facts))
		return;
	if (!d->has_facts || memcmp(facts.timestamp, d->facts.timestamp, SHA256_LEN) != 0 ||
	    memcmp(facts.roles, d->facts.roles, sizeof(facts.roles)) != 0)
		memset(d->found, 0, sizeof(d->found));
	d->facts = facts;
	d->has_facts = true;
}

/* One update: the clock goes on, or back; the server is in some state. */
static void update(struct device *d, struct script *s)
{
	struct tuf_options options = {.mode = TUF_MODE_CLIENT};
	struct error err = ERROR_INIT;
	unsigned how = take(s);
	struct tuf_client *c;
	bool faithful = true, ready;

	d->world = (how & 15) % WORLDS;
	d->clock_s = KIT_NOW + ((how >> 4) & 7) * 86400 * 5 - 4 * 86400;
	options.clock_s = d->clock_s;
	options.floor_s = d->floor_s;
	options.facts = d->has_facts ? &d->facts : NULL;
	REQUIRE((c = tuf_client_new(buf_slice(&anchor), &options, &err)) != NULL);
	ready = serve_wants(d, c, s, &faithful) == 0;
	if (ready) {
		REQUIRE(tuf_client_ready(c));
		if (tuf_client_root(c) == NULL) {
			check_quick(d, c);
		} else {
			check_ready(c);
			check_signed(c);
		}
	}
	store_all(d, c, faithful);
	if (!ready)
		goto out;
	facts_take(d, c, faithful);
	lookups(d, c, s, &faithful);
	store_all(d, c, faithful);
	facts_take(d, c, faithful);
out:
	tuf_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;
	struct script s = {data, data + size};
	struct device d = {.root_version = 0};
	unsigned n, i;

	(void)tap_failures;
	if (!made)
		repository_make();
	made = true;
	for (n = 0; n < 6 && s.at < s.end; n++)
		update(&d, &s);
	for (i = 0; i < d.count; i++)
		buf_release(&d.held[i].bytes);
	return 0;
}
