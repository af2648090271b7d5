/*
 * Every single-field mutation of valid metadata. Six files (a successor root, timestamp, snapshot, targets with
 * delegations by paths and by hash prefixes, a role with succinct bins, a bin) are taken apart; each member, element and
 * scalar is deleted, doubled, renamed, given every other type and every odd value; and a client that knows an older state
 * is fed the result, twice:
 *
 *	as it is: the old signatures stand over the new content. Refused, or nothing that is signed has changed.
 *	signed:	  anew, by the keys that may. What the checks of meaning let pass has to be listed.
 *
 * What is accepted must match a line of tests/data/mutations/harmless, which says why that is right; a line that matches
 * nothing is a failure, too.
 */
#include "tap.h"

#include <fnmatch.h>

#include "tufkit.h"

#define HARMLESS "tests/data/mutations/harmless"
#define RULES_MAX 200

/* ---- documents as trees ---- */

struct node {
	enum json_type type;
	char *key;		/* as JSON text between the quotes; NULL in arrays */
	char *scalar;		/* JSON text, unless array or object */
	struct node *kids[64];
	unsigned count;
};

static char *text_of(struct slice s)
{
	char *t = xcalloc(s.len + 1, 1);

	memcpy(t, s.ptr, s.len);
	return t;
}

static struct node *tree(struct json_value v, const struct slice *key)
{
	struct node *n = xcalloc(1, sizeof(*n));
	struct json_iter it;

	n->type = json_type(v);
	if (key != NULL)
		n->key = text_of(*key);
	if (n->type != JSON_OBJECT && n->type != JSON_ARRAY) {
		n->scalar = text_of(json_raw(v));
		return n;
	}
	for (it = json_iter(v); json_next(&it);) {
		REQUIRE(n->count < ARRAY_SIZE(n->kids));
		n->kids[n->count++] = tree(it.value, n->type == JSON_OBJECT ? &it.key : NULL);
	}
	return n;
}

static void tree_free(struct node *n)
{
	unsigned i;

	for (i = 0; i < n->count; i++)
		tree_free(n->kids[i]);
	free(n->key);
	free(n->scalar);
	free(n);
}

static void put_tree(struct buf *out, const struct node *n)
{
	unsigned i;

	if (n->key != NULL)
		buf_printf(out, "\"%s\":", n->key);
	if (n->scalar != NULL) {
		buf_put_str(out, n->scalar);
		return;
	}
	buf_put_u8(out, n->type == JSON_OBJECT ? '{' : '[');
	for (i = 0; i < n->count; i++) {
		if (i > 0)
			buf_put_u8(out, ',');
		put_tree(out, n->kids[i]);
	}
	buf_put_u8(out, n->type == JSON_OBJECT ? '}' : ']');
}

static struct node *child(struct node *n, const char *key)
{
	unsigned i;

	for (i = 0; i < n->count; i++)
		if (strcmp(n->kids[i]->key, key) == 0)
			return n->kids[i];
	REQUIRE(false);
	return NULL;
}

/* ---- the repository, and a client of it ---- */

struct document {
	const char *name, *path;
	const struct kit_signers *by, *also;	/* also: a root's former keys */
	struct slice text;
	struct buf owned;
};

static struct kit kit;
static struct kit_store store;
static struct buf anchor = BUF_INIT(KIT_TEXT_MAX);
static struct kit_signers old_root;
static struct document documents[6];
static const char *const targets_asked[] = {"plain", "hash/y", "bins/x"};
static char bin_role[32];

/* Hash prefixes and bins follow from SHA-256 of the path. */
static void put_prefix(char *out, size_t len, const char *path)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	sha256_of(slice_str(path), hash);
	hex_encode(hex, hash, sizeof(hash));
	memcpy(out, hex, len);
	out[len] = '\0';
}

static void put_role(struct buf *b, const char *name, const struct kit_key *key, const char *scope, bool terminating)
{
	buf_printf(b, "{\"name\": \"%s\", \"keyids\": [\"%s\"], \"threshold\": 1, %s, \"terminating\": %s}", name, key->id,
		   scope, terminating ? "true" : "false");
}

static void put_key(struct buf *b, const struct kit_key *key)
{
	buf_printf(b, "\"%s\": %.*s", key->id, SLICE_ARG(buf_slice(&key->object)));
}

/* targets -> "by-hash" (prefixes; lists hash/y) and "by-path" (paths) -> bins of two bits (one lists bins/x). */
static void delegations_make(void)
{
	struct kit_targets *by_hash = kit_role(&kit, "by-hash", &kit.spare[0]);
	struct kit_targets *by_path = kit_role(&kit, "by-path", &kit.spare[1]), *bin;
	char scope[200], prefix[4];
	unsigned number, i;

	put_prefix(prefix, 3, "hash/y");
	snprintf(scope, sizeof(scope), "\"path_hash_prefixes\": [\"%s\", \"00000\"]", prefix);
	buf_put_str(&kit.targets.delegations, "{\"keys\": {");
	put_key(&kit.targets.delegations, &kit.spare[0]);
	buf_put_str(&kit.targets.delegations, ", ");
	put_key(&kit.targets.delegations, &kit.spare[1]);
	buf_put_str(&kit.targets.delegations, "}, \"roles\": [");
	put_role(&kit.targets.delegations, "by-hash", &kit.spare[0], scope, false);
	buf_put_str(&kit.targets.delegations, ", ");
	put_role(&kit.targets.delegations, "by-path", &kit.spare[1], "\"paths\": [\"bins/*\", \"other/?\"]", true);
	buf_put_str(&kit.targets.delegations, "]}");
	kit_target(by_hash, "hash/y", "content of y");

	buf_put_str(&by_path->delegations, "{\"keys\": {");
	put_key(&by_path->delegations, &kit.spare[2]);
	buf_printf(&by_path->delegations, "}, \"succinct_roles\": {\"keyids\": [\"%s\"], \"threshold\": 1, "
		   "\"bit_length\": 2, \"name_prefix\": \"bin\"}}", kit.spare[2].id);
	put_prefix(prefix, 1, "bins/x");
	number = (unsigned)strtoul(prefix, NULL, 16) >> 2;
	for (i = 0; i < 4; i++) {
		char name[16];

		snprintf(name, sizeof(name), "bin-%u", i);
		bin = kit_role(&kit, name, &kit.spare[2]);
		if (i == number) {
			kit_target(bin, "bins/x", "content of x");
			snprintf(bin_role, sizeof(bin_role), "%s", name);
		}
	}
}

static void versions_set(int64_t version)
{
	unsigned i;

	kit.version[TUF_TIMESTAMP] = kit.version[TUF_SNAPSHOT] = kit.targets.version = version;
	for (i = 0; i < kit.role_count; i++)
		kit.roles[i].version = version;
}

static void document_take(struct document *d, const char *name, const char *path, const struct kit_signers *by)
{
	d->name = name;
	d->path = path;
	d->by = by;
	d->owned = BUF_INIT(KIT_TEXT_MAX);
	buf_put_slice(&d->owned, buf_slice(&kit_file(&kit, path)->bytes));
	d->text = buf_slice(&d->owned);
}

/*
 * State 5 goes into the store, state 6 is served: a listing of lengths and hashes where that is what is mutated
 * (snapshot and timestamp), none elsewhere, so that no hash hides what a mutation does.
 */
static void repository_make(void)
{
	static char bin_path[64];
	struct kit_run run;

	kit_init(&kit);
	kit_store_open(&store);
	kit.extra[TUF_ROOT] = ", \"x-meshanics\": {\"site\": \"main\", \"record_keys\": {\"export\": [], \"site\": []}}";
	kit.extra[TUF_TIMESTAMP] = ", \"x-meshanics-signed-at\": \"2027-01-15T07:00:00Z\"";
	kit_signers_set(&kit.by[TUF_ROOT], 2, &kit.root_key, &kit.spare[3], &kit.spare[4]);
	kit_target(&kit.targets, "plain", "content");
	kit.targets.targets.len -= 1;
	buf_put_str(&kit.targets.targets, ", \"custom\": {\"a\":[1]}}");
	delegations_make();
	versions_set(5);
	kit_publish(&kit);
	buf_put_slice(&anchor, buf_slice(&kit_file(&kit, "1.root.json")->bytes));
	kit_run(&kit, &run, &store.t, "bins/x");
	CHECK_ACCEPTED(run);
	CHECK_STR(run.result.role, bin_role);
	kit_done(&run);

	versions_set(6);
	kit.version[TUF_ROOT] = 2;
	old_root = kit.by[TUF_ROOT];
	kit_publish(&kit);
	document_take(&documents[0], "root", "2.root.json", &old_root);
	document_take(&documents[1], "timestamp", "timestamp.json", &kit.by[TUF_TIMESTAMP]);
	document_take(&documents[2], "snapshot", "6.snapshot.json", &kit.by[TUF_SNAPSHOT]);
	document_take(&documents[3], "targets", "6.targets.json", &kit.by[TUF_TARGETS]);
	document_take(&documents[4], "by-path", "6.by-path.json", &kit.roles[1].by);
	snprintf(bin_path, sizeof(bin_path), "6.%s.json", bin_role);
	document_take(&documents[5], "bin", bin_path, &kit.roles[2].by);
	kit.lengths = false;
	kit_publish(&kit);
}

static void serve(const char *path, struct slice bytes)
{
	buf_put_slice(&kit_file_reset(&kit, path)->bytes, bytes);
}

/* Custom data is handed on as it was written; its meaning is its canonical form. */
static void put_custom(struct buf *out, struct slice custom)
{
	struct error err = ERROR_INIT;
	struct json json = JSON_INIT;

	if (custom.len > 0 && json_parse(&json, custom, JSON_STRICT, &err) == 0 &&
	    json_canonical(out, json_root(&json), &err) < 0)
		buf_put_str(out, err.text);
	json_release(&json);
}

/* All that a caller of the engine gets to see, as text; -1 when anything at all failed. */
static int client_outcome(struct buf *out)
{
	const struct tuf_source source = {kit_get, &kit};
	struct tuf_options options = kit_options();
	struct error err = ERROR_INIT;
	struct tuf_result result;
	struct tuf_client *c;
	int r = -1;
	unsigned i;

	kit.log[0] = '\0';
	if ((c = tuf_client_new(buf_slice(&anchor), &options, &err)) == NULL || tuf_drive(c, &store.t, &source, &err) < 0)
		goto out;
	buf_printf(out, "root %lld timestamp %lld snapshot %lld targets %lld floor %lld\n",
		   (long long)tuf_client_root(c)->head.version, (long long)tuf_client_timestamp(c)->head.version,
		   (long long)tuf_client_snapshot(c)->head.version, (long long)tuf_client_targets(c)->head.version,
		   (long long)tuf_client_floor(c));
	for (i = 0; i < ARRAY_SIZE(targets_asked); i++) {
		if (tuf_client_lookup(c, slice_str(targets_asked[i]), &err) < 0 || tuf_drive(c, &store.t, &source, &err) < 0 ||
		    tuf_client_result(c, &result, &err) < 0)
			goto out;
		buf_printf(out, "%s: %s %llu %d%d %02x%02x ", targets_asked[i], result.role,
			   (unsigned long long)result.length, result.hashes.has_sha256, result.hashes.has_sha512,
			   result.hashes.sha256[0], result.hashes.sha256[31]);
		put_custom(out, result.custom);
		tuf_result_put_path(out, &result);
		buf_put_u8(out, '\n');
	}
	r = 0;
out:
	tuf_client_free(c);
	return r;
}

/* ---- what may be accepted ---- */

struct rule {
	char how[16], where[200], what[80];
	unsigned line;
};
static struct rule rules[RULES_MAX];
static unsigned rule_count;
static unsigned *rules_used;	/* shared by the tests, each of which is a process */

__attribute__((constructor)) static void rules_share(void)
{
	rules_used = mmap(NULL, RULES_MAX * sizeof(*rules_used), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(rules_used != MAP_FAILED);
}

/* HOW <tab> DOCUMENT:PATH <tab> MUTATION <tab> reason; patterns of fnmatch(3); # begins a comment. */
static void rules_read(void)
{
	FILE *f = fopen(HARMLESS, "r");
	char line[500];
	unsigned n = 0;

	REQUIRE(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		struct rule *r = &rules[rule_count];
		char reason[200];

		n++;
		if (line[0] == '#' || line[0] == '\n')
			continue;
		REQUIRE(rule_count < RULES_MAX);
		if (sscanf(line, "%15[^\t]\t%199[^\t]\t%79[^\t]\t%199[^\n]", r->how, r->where, r->what, reason) != 4) {
			printf("# %s:%u: not four fields\n", HARMLESS, n);
			tap_failures++;
			continue;
		}
		r->line = n;
		rule_count++;
	}
	fclose(f);
}

static bool is_listed(const char *how, const char *where, const char *what)
{
	unsigned i;

	for (i = 0; i < rule_count; i++)
		if (strcmp(rules[i].how, how) == 0 && fnmatch(rules[i].where, where, 0) == 0 &&
		    fnmatch(rules[i].what, what, 0) == 0) {
			rules_used[i]++;
			return true;
		}
	return false;
}

/* ---- one mutation ---- */

static const struct document *doc;
static struct node *whole;			/* of doc */
static struct buf baseline = BUF_INIT(1 << 16);
static struct buf signed_before = BUF_INIT(KIT_TEXT_MAX);	/* canonical */
static unsigned tried, refused, same, effects, unsignable;

static bool signed_is_unchanged(struct slice file)
{
	struct buf canonical = BUF_INIT(KIT_TEXT_MAX);
	struct error err = ERROR_INIT;
	struct json json = JSON_INIT;
	bool yes = json_parse(&json, file, JSON_STRICT, &err) == 0 &&
		   json_canonical(&canonical, json_get(json_root(&json), "signed"), &err) == 0 &&
		   slice_equal(buf_slice(&canonical), buf_slice(&signed_before));

	json_release(&json);
	buf_release(&canonical);
	return yes;
}

static void complain(const char *how, const char *where, const char *what, const char *why)
{
	if (tap_failures++ < 40)
		printf("# %s\t%s:%s\t%s\t(%s)\n", how, doc->name, where, what, why);
}

/* Feed the file to a client. */
static void try_file(const char *how, const char *where, const char *what, struct slice file, bool resigned)
{
	struct buf outcome = BUF_INIT(1 << 16);
	char full[300];

	tried++;
	serve(doc->path, file);
	if (client_outcome(&outcome) < 0) {
		refused++;
		goto out;
	}
	snprintf(full, sizeof(full), "%s:%s", doc->name, where);
	if (slice_equal(buf_slice(&outcome), buf_slice(&baseline)))
		same++;
	else
		effects++;
	if (!resigned && !signed_is_unchanged(file))
		complain(how, where, what, "accepted, though what is signed has changed");
	else if (!resigned && !slice_equal(buf_slice(&outcome), buf_slice(&baseline)))
		complain(how, where, what, "accepted to effect without a signature");
	else if (!is_listed(how, full, what))
		complain(how, where, what, slice_equal(buf_slice(&outcome), buf_slice(&baseline)) ? "no effect" : "effect");
out:
	buf_release(&outcome);
}

static void sign_whole(struct buf *file)
{
	struct buf body = BUF_INIT(KIT_TEXT_MAX);
	struct tuf_signer signers[KIT_KEYS];
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < whole->count; i++)
		if (strcmp(whole->kids[i]->key, "signed") == 0) {
			char *key = whole->kids[i]->key;

			whole->kids[i]->key = NULL;
			put_tree(&body, whole->kids[i]);
			whole->kids[i]->key = key;
			break;
		}
	for (i = 0; i < doc->by->sign_count; i++)
		tuf_signer_init(&signers[i], doc->by->sign[i]->sec);
	if (tuf_sign_envelope(file, buf_slice(&body), signers, doc->by->sign_count, &err) < 0)
		buf_clear(file);
	buf_release(&body);
}

/* Whether there is a `signed` to sign that the mutation is in. */
static bool is_inside_signed(const char *where, const char *what)
{
	static const char *const outside[] = {"deleted", "doubled", "exchanged*", "renamed*", "name *"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(outside) && strcmp(where, "/signed") == 0; i++)
		if (fnmatch(outside[i], what, 0) == 0)
			return false;
	return strncmp(where, "/signed", 7) == 0;
}

/* The tree has been changed: try it in both ways. */
static void attempt(const char *where, const char *what)
{
	struct buf file = BUF_INIT(KIT_TEXT_MAX);

	put_tree(&file, whole);
	try_file("as-it-is", where, what, buf_slice(&file), false);
	buf_clear(&file);
	if (is_inside_signed(where, what)) {
		sign_whole(&file);
		if (file.len > 0)
			try_file("signed", where, what, buf_slice(&file), true);
		else
			unsignable++;
	}
	buf_release(&file);
}

/* ---- the mutations of one value ---- */

/* Give n this JSON text for a while. */
static void with_scalar(struct node *n, const char *where, const char *what, const char *text)
{
	struct node was = *n;

	if (n->scalar != NULL ? strcmp(n->scalar, text) == 0
			      : n->count == 0 && strcmp(text, n->type == JSON_OBJECT ? "{}" : "[]") == 0)
		return;
	n->scalar = text_of(slice_str(text));
	attempt(where, what);
	free(n->scalar);
	*n = was;
}

static void with_key(struct node *n, const char *where, const char *what, const char *key)
{
	char *was = n->key;

	if (strcmp(was, key) == 0)
		return;
	n->key = text_of(slice_str(key));
	attempt(where, what);
	free(n->key);
	n->key = was;
}

static void mutate_types(struct node *n, const char *where)
{
	static const struct {
		const char *what, *text;
	} values[] = {
		{"null", "null"}, {"true", "true"}, {"false", "false"}, {"0", "0"}, {"1", "1"}, {"-1", "-1"},
		{"2^53", "9007199254740992"}, {"2^63", "9223372036854775808"}, {"2^64+1", "18446744073709551617"},
		{"fraction", "1.5"}, {"exponent", "1e0"}, {"minus zero", "-0"}, {"empty string", "\"\""}, {"string", "\"zz\""},
		{"array", "[]"}, {"array of null", "[null]"}, {"object", "{}"}, {"object of null", "{\"zz\":null}"},
		{"nothing", ""}, {"bare word", "never"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(values); i++)
		with_scalar(n, where, values[i].what, values[i].text);
}

static void mutate_int(struct node *n, const char *where)
{
	long long value = strtoll(n->scalar, NULL, 10);
	char text[64];

	snprintf(text, sizeof(text), "%lld", value + 1);
	with_scalar(n, where, "plus one", text);
	snprintf(text, sizeof(text), "%lld", value - 1);
	with_scalar(n, where, "minus one", text);
	snprintf(text, sizeof(text), "%lld", -value);
	with_scalar(n, where, "negative", text);
	snprintf(text, sizeof(text), "%lld.0", value);
	with_scalar(n, where, "as a fraction", text);
	snprintf(text, sizeof(text), "%llde0", value);
	with_scalar(n, where, "as an exponent", text);
	snprintf(text, sizeof(text), "0%lld", value);
	with_scalar(n, where, "with a zero in front", text);
	snprintf(text, sizeof(text), "+%lld", value);
	with_scalar(n, where, "with a plus", text);
	snprintf(text, sizeof(text), "\"%lld\"", value);
	with_scalar(n, where, "as a string", text);
	snprintf(text, sizeof(text), "9007199254740991");
	with_scalar(n, where, "2^53-1", text);
}

/* The text between the quotes with one change; what says which. */
static void mutate_string(struct node *n, const char *where)
{
	size_t len = strlen(n->scalar) - 2, i;
	char *inner = text_of(slice_of((const uint8_t *)n->scalar + 1, len));
	struct buf b = BUF_INIT(1 << 16);

#define WITH(what_, ...)                                          \
	do {                                                      \
		buf_clear(&b);                                    \
		buf_printf(&b, __VA_ARGS__);                      \
		with_scalar(n, where, what_, buf_cstr(&b));       \
	} while (0)
	WITH("space in front", "\" %s\"", inner);
	WITH("space at the end", "\"%s \"", inner);
	WITH("newline at the end", "\"%s\\n\"", inner);
	WITH("NUL at the end", "\"%s\\u0000\"", inner);
	WITH("doubled", "\"%s%s\"", inner, inner);
	WITH("unquoted", "%s", inner);
	WITH("one quote", "\"%s", inner);
	if (len > 0) {
		WITH("last character gone", "\"%.*s\"", (int)(len - 1), inner);
		WITH("first character gone", "\"%s\"", inner + 1);
		WITH("first half", "\"%.*s\"", (int)(len / 2), inner);
		WITH("first character escaped", "\"\\u%04x%s\"", (unsigned)(unsigned char)inner[0], inner + 1);
		WITH("last character changed", "\"%.*s%c\"", (int)(len - 1), inner, inner[len - 1] == '0' ? '1' : '0');
		WITH("first character changed", "\"%c%s\"", inner[0] == 'f' ? 'e' : 'f', inner + 1);
	}
#undef WITH
	buf_clear(&b);
	buf_put_u8(&b, '"');
	for (i = 0; i < len; i++)
		buf_put_u8(&b, (uint8_t)(inner[i] >= 'a' && inner[i] <= 'z' ? inner[i] - 32 : inner[i]));
	buf_put_u8(&b, '"');
	if (strchr(inner, '\\') == NULL)
		with_scalar(n, where, "in capitals", buf_cstr(&b));
	buf_release(&b);
	free(inner);
}

/* Members and elements of n: gone, doubled, exchanged, added to. */
static void mutate_inside(struct node *n, const char *where)
{
	struct node was = *n;
	struct node unknown = {.type = JSON_INT, .key = n->type == JSON_OBJECT ? (char *)(uintptr_t)"zz-unknown" : NULL,
			       .scalar = (char *)(uintptr_t)"1"};
	unsigned i;

	REQUIRE(n->count + 1 < ARRAY_SIZE(n->kids));
	n->kids[n->count++] = &unknown;
	attempt(where, n->type == JSON_OBJECT ? "unknown member" : "unknown element");
	*n = was;
	if (n->count > 1) {
		for (i = 0; i < n->count; i++)
			n->kids[i] = was.kids[was.count - 1 - i];
		attempt(where, "order reversed");
		*n = was;
	}
	for (i = 0; i < was.count; i++) {
		unsigned k;

		char below[300];

		if (was.type == JSON_OBJECT)
			snprintf(below, sizeof(below), "%s/%s", where, strlen(was.kids[i]->key) == 64 ? "KEYID" : was.kids[i]->key);
		else
			snprintf(below, sizeof(below), "%s/%u", where, i);
		for (k = i; k + 1 < was.count; k++)
			n->kids[k] = was.kids[k + 1];
		n->count--;
		attempt(below, "deleted");
		*n = was;
		n->kids[n->count++] = was.kids[i];
		attempt(below, "doubled");
		*n = was;
		for (k = i + 1; k < was.count && was.type == JSON_OBJECT; k++) {
			/* Two members exchange their names. */
			char *key = was.kids[i]->key;

			if (was.kids[i]->type != was.kids[k]->type)
				continue;
			was.kids[i]->key = was.kids[k]->key;
			was.kids[k]->key = key;
			attempt(below, "exchanged with another");
			was.kids[k]->key = was.kids[i]->key;
			was.kids[i]->key = key;
		}
	}
}

static void mutate_key(struct node *n, const char *where)
{
	struct buf b = BUF_INIT(1 << 12);

	with_key(n, where, "renamed", "zz-renamed");
	with_key(n, where, "renamed to nothing", "");
	buf_printf(&b, "%s ", n->key);
	with_key(n, where, "name with a space", buf_cstr(&b));
	buf_clear(&b);
	buf_printf(&b, "%c%s", n->key[0] ^ 0x20, n->key + 1);
	if (n->key[0] >= 'A')
		with_key(n, where, "name in another case", buf_cstr(&b));
	buf_clear(&b);
	buf_printf(&b, "%s\\u0000", n->key);
	with_key(n, where, "name with a NUL", buf_cstr(&b));
	buf_clear(&b);
	buf_printf(&b, "\\u%04x%s", (unsigned)(unsigned char)n->key[0], n->key + 1);
	with_key(n, where, "name escaped", buf_cstr(&b));
	buf_release(&b);
}

static void mutate(struct node *n, const char *where)
{
	unsigned i;

	mutate_types(n, where);
	if (n->key != NULL && n->key[0] != '\0')
		mutate_key(n, where);
	if (n->type == JSON_INT)
		mutate_int(n, where);
	if (n->type == JSON_STRING)
		mutate_string(n, where);
	if (n->type != JSON_OBJECT && n->type != JSON_ARRAY)
		return;
	mutate_inside(n, where);
	for (i = 0; i < n->count; i++) {
		char below[300];

		if (n->type == JSON_OBJECT)
			snprintf(below, sizeof(below), "%s/%s", where, strlen(n->kids[i]->key) == 64 ? "KEYID" : n->kids[i]->key);
		else
			snprintf(below, sizeof(below), "%s/%u", where, i);
		mutate(n->kids[i], below);
	}
}

/* ---- signatures ---- */

/* A signature by a key that has no say, a valid one of another file, bits, and lengths. */
static void mutate_signatures(void)
{
	struct node *signatures = child(whole, "signatures"), *sig, *keyid;
	struct buf other = BUF_INIT(KIT_TEXT_MAX), body = BUF_INIT(KIT_TEXT_MAX), text = BUF_INIT(1000);
	const struct kit_signers stranger = {.sign = {&kit.spare[5]}, .sign_count = 1};
	struct error err = ERROR_INIT;
	struct json json = JSON_INIT;
	struct json_iter it;
	size_t i;

	sig = child(signatures->kids[0], "sig");
	keyid = child(signatures->kids[0], "keyid");
	for (i = 0; i < 128; i += 3) {
		char *t = text_of(slice_str(sig->scalar));

		t[1 + i] = t[1 + i] == '0' ? '1' : '0';
		with_scalar(sig, "/signatures/0/sig", "one digit changed", t);
		free(t);
	}
	/* The same content signed by somebody else, under the id that counts and under his own. */
	kit_put_head(&body, "x", 1, KIT_EXPIRES);
	buf_put_str(&body, "}");
	kit_sign(&other, &body, &stranger);
	REQUIRE(json_parse(&json, buf_slice(&other), JSON_STRICT, &err) == 0);
	it = json_iter(json_get(json_root(&json), "signatures"));
	REQUIRE(json_next(&it));
	buf_printf(&text, "\"%.*s\"", SLICE_ARG(json_string(json_get(it.value, "sig"))));
	with_scalar(sig, "/signatures/0/sig", "of another key over something else", buf_cstr(&text));
	buf_clear(&text);
	buf_printf(&text, "\"%s\"", kit.spare[5].id);
	with_scalar(keyid, "/signatures/0/keyid", "of another key", buf_cstr(&text));
	json_release(&json);
	buf_release(&other);
	buf_release(&body);
	buf_release(&text);
}

/* White space between any two tokens is nothing. */
static void mutate_space(void)
{
	struct buf file = BUF_INIT(KIT_TEXT_MAX), spaced = BUF_INIT(KIT_TEXT_MAX);
	bool quoted = false;
	size_t i;

	put_tree(&file, whole);
	for (i = 0; i < file.len; i++) {
		uint8_t c = file.ptr[i];
		bool token = !quoted && strchr("{}[]:,", c) != NULL;

		if (token)
			buf_put_str(&spaced, " \t");
		buf_put_u8(&spaced, c);
		if (token)
			buf_put_str(&spaced, "\r\n");
		if (c == '\\' && quoted)
			buf_put_u8(&spaced, file.ptr[++i]);
		if (c == '"')
			quoted = !quoted;
	}
	try_file("as-it-is", "", "white space", buf_slice(&spaced), false);
	buf_put_str(&spaced, "x");
	try_file("as-it-is", "", "a letter at the end", buf_slice(&spaced), false);
	buf_clear(&spaced);
	buf_put_str(&spaced, "\xef\xbb\xbf");
	buf_put_slice(&spaced, buf_slice(&file));
	try_file("as-it-is", "", "a byte order mark", buf_slice(&spaced), false);
	buf_release(&file);
	buf_release(&spaced);
}

/* ---- the test ---- */

static void document_mutate(const struct document *d)
{
	struct error err = ERROR_INIT;
	struct json json = JSON_INIT;
	struct buf file = BUF_INIT(KIT_TEXT_MAX);

	doc = d;
	tried = refused = same = effects = unsignable = 0;
	/* What a timestamp with hashes lists is the snapshot with hashes. */
	kit_publish_online(&kit);
	kit_file(&kit, documents[0].path)->answer = strcmp(d->name, "root") == 0 ? ERR_NONE : ERR_NOT_FOUND;
	if (strcmp(d->name, "timestamp") == 0)
		serve(documents[2].path, documents[2].text);
	REQUIRE(json_parse(&json, d->text, JSON_STRICT, &err) == 0);
	whole = tree(json_root(&json), NULL);
	buf_clear(&signed_before);
	REQUIRE(json_canonical(&signed_before, json_get(json_root(&json), "signed"), &err) == 0);
	buf_clear(&baseline);
	serve(d->path, d->text);
	REQUIRE(client_outcome(&baseline) == 0);
	/* Taken apart, put together and signed anew, nothing has changed: the ground that all else stands on. */
	put_tree(&file, whole);
	try_file("as-it-is", "", "nothing", buf_slice(&file), false);
	buf_clear(&file);
	sign_whole(&file);
	try_file("signed", "", "nothing", buf_slice(&file), true);
	CHECK_INT(same, 2);

	mutate(whole, "");
	mutate_signatures();
	mutate_space();
	printf("# %s: %u mutations, %u refused, %u accepted without effect, %u accepted to effect, %u cannot be signed\n",
	       d->name, tried, refused, same, effects, unsignable);
	CHECK(refused > 100);
	tree_free(whole);
	json_release(&json);
	buf_release(&file);
	serve(d->path, d->text);
}

/* Each in a process, and with the time, of its own. */
static void document_test(unsigned i)
{
	rules_read();
	repository_make();
	document_mutate(&documents[i]);
	for (i = 0; i < ARRAY_SIZE(documents); i++)
		buf_release(&documents[i].owned);
	buf_release(&anchor);
	buf_release(&baseline);
	buf_release(&signed_before);
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(every_mutation_of_a_successor_root_is_refused_or_listed)
{
	document_test(0);
}

TEST(every_mutation_of_the_timestamp_is_refused_or_listed)
{
	document_test(1);
}

TEST(every_mutation_of_the_snapshot_is_refused_or_listed)
{
	document_test(2);
}

TEST(every_mutation_of_the_targets_is_refused_or_listed)
{
	document_test(3);
}

TEST(every_mutation_of_a_delegated_role_with_bins_is_refused_or_listed)
{
	document_test(4);
}

TEST(every_mutation_of_a_bin_is_refused_or_listed)
{
	document_test(5);
}

TEST(what_is_listed_as_harmless_occurs)
{
	unsigned i;

	rules_read();
	CHECK(rule_count > 10);
	for (i = 0; i < rule_count; i++)
		if (rules_used[i] == 0) {
			printf("# %s:%u: matches nothing\n", HARMLESS, rules[i].line);
			tap_failures++;
		}
}
