/* The next root: what a rotation changes, what it leaves alone, and all that it refuses. */
#include "tap.h"

#include "repo_fixture.h"
#include "tuf/verify.h"

/* A fixture whose root and targets are in force, one more signer, and a rotation that only moves the date. */
struct rotated {
	struct fixture f;
	struct seckey *dave;
	struct ceremony_signer dave_signer;
	struct ceremony_rotation r;
};

static void start(struct rotated *t)
{
	static const uint8_t nonce[16] = {3};

	fix_start(&t->f, "main");
	fix_ceremony(&t->f);
	t->dave = fix_key(&t->dave_signer, "dave");
	t->r = (struct ceremony_rotation){
		.next = {.root = buf_slice(&t->f.root_file),
			 .life_s = 180 * FIX_DAY,
			 .now_s = FIX_NOW + FIX_DAY,
			 .nonce = nonce},
		.root_life_s = 365 * FIX_DAY,
	};
}

static void end(struct rotated *t)
{
	seckey_free(t->dave);
	fix_end(&t->f);
}

static struct ceremony *rotate(struct rotated *t)
{
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct ceremony *c;

	MUST(ceremony_rotate(&text, &t->r, &err));
	c = ceremony_parse(buf_slice(&text), &err);
	REQUIRE(c != NULL);
	buf_release(&text);
	return c;
}

static struct ceremony_removal by_key(const struct ceremony_signer *s, unsigned roles)
{
	return (struct ceremony_removal){.key = &s->key, .said = s->label, .roles = roles};
}

/* The statement has all of these, NULL-terminated. */
static void check_says(const struct ceremony *c, int64_t now_s, const char *const *words)
{
	struct buf out = BUF_INIT(1 << 16);

	ceremony_statement(&out, c, now_s);
	for (; *words != NULL; words++) {
		if (strstr(buf_cstr(&out), *words) == NULL)
			printf("# '%s' is not in:\n%s", *words, buf_cstr(&out));
		CHECK(strstr(buf_cstr(&out), *words) != NULL);
	}
	buf_release(&out);
}

/* A copy with the first `from` after the first `anchor` replaced by `to`. */
static struct buf edited(struct slice text, const char *anchor, const char *from, const char *to)
{
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX);
	const uint8_t *start_at = memmem(text.ptr, text.len, anchor, strlen(anchor)), *at;

	REQUIRE(start_at != NULL);
	at = memmem(start_at, text.len - (size_t)(start_at - text.ptr), from, strlen(from));
	if (at == NULL)
		printf("# '%s' is not in the text\n", from);
	REQUIRE(at != NULL);
	buf_put(&out, text.ptr, (size_t)(at - text.ptr));
	buf_put_str(&out, to);
	buf_put_slice(&out, slice_sub(text, (size_t)(at - text.ptr) + strlen(from), SIZE_MAX));
	return out;
}

TEST(a_renewal_moves_the_date_alone)
{
	static const char *const words[] = {"Against root version 1, which the request calls in force", "(SHA-256 ",
					    "the keys are those of that root; the date changes",
					    "version 2, valid until", "(for 365d)", NULL};
	struct error err = ERROR_INIT;
	struct tuf_root *before, *after;
	struct buf file = BUF_INIT(FIX_FILE_MAX);
	struct rotated t;
	struct ceremony *c;
	enum tuf_type type;

	start(&t);
	c = rotate(&t);
	CHECK_INT(ceremony_document_count(c), 1);
	check_says(c, FIX_NOW + FIX_DAY + 1, words);
	fix_answer(c, t.f.root[0], FIX_NOW);
	fix_answer(c, t.f.root[2], FIX_NOW);
	MUST(ceremony_finish(c, 0, FIX_NOW, &file, &err));
	before = tuf_root_parse(buf_slice(&t.f.root_file), &err);
	after = tuf_root_parse(buf_slice(&file), &err);
	REQUIRE(before != NULL && after != NULL);
	CHECK_INT(tuf_root_check(before, after, &err), 0);
	for (type = TUF_ROOT; type < TUF_TYPES; type++) {
		CHECK(tuf_keys_same(&before->roles[type].keys, &after->roles[type].keys));
		CHECK_INT(before->roles[type].threshold, after->roles[type].threshold);
	}
	CHECK(tuf_keys_same(&before->site_keys, &after->site_keys));
	CHECK(tuf_keys_same(&before->export_keys, &after->export_keys));
	CHECK(!tuf_root_rotates_online(before, after));
	CHECK_STR(after->site, "main");
	tuf_root_free(before);
	tuf_root_free(after);
	buf_release(&file);
	ceremony_free(c);
	end(&t);
}

/* The statement has none of these, NULL-terminated. */
static void check_hides(const struct ceremony *c, const char *const *words)
{
	struct buf out = BUF_INIT(1 << 16);

	ceremony_statement(&out, c, FIX_NOW);
	for (; *words != NULL; words++)
		CHECK(strstr(buf_cstr(&out), *words) == NULL);
	buf_release(&out);
}

TEST(what_is_in_force_is_doubted_until_it_is_confirmed)
{
	static const char *const doubts[] = {"nothing here has checked that this root is the one in force",
					     "nothing here has checked that this targets is the one in force",
					     "--root FILE", "--targets FILE", "signed by key ",
					     "the keys are those of that root", "the publishers are those of that targets",
					     NULL};
	static const char *const bare[] = {"no key changes", "no publisher changes", "which is in force", "as before", NULL};
	static const char *const sure[] = {"Against root version 1, which is in force by your own copy:",
					   "Against targets version 1, which is in force by your own copy:",
					   "no key changes; the date does", "no publisher changes; the date does", NULL};
	static const char *const root_only[] = {"Against root version 1, which is in force by your own copy:",
						"Against targets version 1, which the request calls in force", NULL};
	struct buf spaced = BUF_INIT(FIX_FILE_MAX), other = BUF_INIT(FIX_FILE_MAX);
	struct error err = ERROR_INIT;
	struct rotated t;
	struct ceremony *c;

	start(&t);
	t.r.next.targets = buf_slice(&t.f.targets_file);
	c = rotate(&t);
	CHECK(ceremony_unconfirmed(c, CEREMONY_ROOT) && ceremony_unconfirmed(c, CEREMONY_TARGETS));
	check_says(c, FIX_NOW, doubts);
	check_hides(c, bare);
	/* Another file, be it one byte, is refused and confirms nothing. */
	other = edited(buf_slice(&t.f.root_file), "", "\"version\"", " \"version\"");
	REFUSED(ceremony_confirm(c, CEREMONY_ROOT, buf_slice(&other), &err), ERR_REFUSED, "calls another root in force");
	CHECK(strstr(err.hint, "do not sign") != NULL);
	REFUSED(ceremony_confirm(c, CEREMONY_ROOT, SLICE_EMPTY, &err), ERR_REFUSED, "calls another root in force");
	REFUSED(ceremony_confirm(c, CEREMONY_TARGETS, buf_slice(&t.f.root_file), &err), ERR_REFUSED,
		"calls another targets in force");
	check_says(c, FIX_NOW, doubts);
	/* One does not vouch for the other. White space around the file is nobody's. */
	buf_put_str(&spaced, "\n ");
	buf_put_slice(&spaced, buf_slice(&t.f.root_file));
	buf_put_str(&spaced, "\n");
	CHECK_INT(ceremony_confirm(c, CEREMONY_ROOT, buf_slice(&spaced), &err), 0);
	CHECK(!ceremony_unconfirmed(c, CEREMONY_ROOT) && ceremony_unconfirmed(c, CEREMONY_TARGETS));
	check_says(c, FIX_NOW, root_only);
	CHECK_INT(ceremony_confirm(c, CEREMONY_TARGETS, buf_slice(&t.f.targets_file), &err), 0);
	check_says(c, FIX_NOW, sure);
	check_hides(c, doubts);
	ceremony_free(c);
	/* Targets that nobody signs are not in the request. */
	t.r.next.targets = SLICE_EMPTY;
	c = rotate(&t);
	REFUSED(ceremony_confirm(c, CEREMONY_TARGETS, buf_slice(&t.f.targets_file), &err), ERR_USAGE,
		"calls no targets in force");
	CHECK(!ceremony_unconfirmed(c, CEREMONY_TARGETS));
	ceremony_free(c);
	buf_release(&spaced);
	buf_release(&other);
	end(&t);
}

TEST(a_lost_key_goes_by_the_thresholds_of_both_roots)
{
	static const char *const words[] = {"'bob' (", "may NO LONGER help to replace this root",
					    "'dave' (", "may now help to replace this root", NULL};
	struct ceremony_way ways[CEREMONY_WAYS_MAX];
	struct ceremony_removal gone;
	struct ceremony_name name;
	struct error err = ERROR_INIT;
	struct rotated t;
	struct ceremony *c;

	start(&t);
	key_id(name.keyid, &t.f.root_signers[1].key);
	snprintf(name.label, sizeof(name.label), "bob");
	gone = (struct ceremony_removal){.keyid = name.keyid, .said = "bob", .roles = CEREMONY_ROOT | CEREMONY_TARGETS};
	t.r.removed = &gone;
	t.r.removed_count = 1;
	t.r.root_added = &t.dave_signer;
	t.r.root_added_count = 1;
	t.r.next.names = &name;
	t.r.next.name_count = 1;
	c = rotate(&t);
	check_says(c, FIX_NOW, words);
	CHECK_INT(ceremony_document_at(c, 0)->demand_count, 2);
	/* alice and carol are in both roots: the only two who are enough by themselves. */
	CHECK_INT(ceremony_ways(c, ways), 1);
	CHECK_INT(ways[0].count, 2);
	fix_answer(c, t.f.root[0], FIX_NOW);
	fix_answer(c, t.dave, FIX_NOW);
	REFUSED(ceremony_complete(c, &err), ERR_REFUSED, "root has 1 of the 2 signatures that the root in force asks for");
	/* Bob's own signature still counts for the root in force, if he finds his key again: so does carol's. */
	CHECK_INT(ceremony_ways(c, ways), 2);
	CHECK_INT(ways[0].count, 1);
	fix_answer(c, t.f.root[2], FIX_NOW);
	CHECK_INT(ceremony_complete(c, &err), 0);
	CHECK_INT(ceremony_ways(c, ways), 0);
	ceremony_free(c);
	end(&t);
}

TEST(new_keys_alone_make_no_root)
{
	struct ceremony_removal gone[2];
	struct error err = ERROR_INIT;
	struct seckey *erin;
	struct ceremony_signer added[2];
	struct rotated t;
	struct ceremony *c;

	start(&t);
	erin = fix_key(&added[1], "erin");
	added[0] = t.dave_signer;
	gone[0] = by_key(&t.f.root_signers[0], CEREMONY_ROOT);
	gone[1] = by_key(&t.f.root_signers[1], CEREMONY_ROOT);
	t.r.removed = gone;
	t.r.removed_count = 2;
	t.r.root_added = added;
	t.r.root_added_count = 2;
	c = rotate(&t);
	fix_answer(c, t.dave, FIX_NOW);
	fix_answer(c, erin, FIX_NOW);
	REFUSED(ceremony_complete(c, &err), ERR_REFUSED, "root has 0 of the 2 signatures that the root in force");
	fix_answer(c, t.f.root[0], FIX_NOW);
	fix_answer(c, t.f.root[1], FIX_NOW);
	CHECK_INT(ceremony_complete(c, &err), 0);
	ceremony_free(c);
	seckey_free(erin);
	end(&t);
}

TEST(targets_come_along_when_their_keys_change)
{
	static const char *const words[] = {"'dave' (", "may now help to say who publishes what",
					    "it takes 2 of 3 keys to say who publishes what; before, it took 1 of 2",
					    "TARGETS of site 'main', version 2", "the publishers are those of that targets; the date changes", NULL};
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct rotated t;
	struct ceremony *c;

	start(&t);
	t.r.targets_added = &t.dave_signer;
	t.r.targets_added_count = 1;
	t.r.targets_threshold = 2;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_USAGE, "targets has to be signed anew");
	t.r.next.targets = buf_slice(&t.f.targets_file);
	c = rotate(&t);
	CHECK_INT(ceremony_document_count(c), 2);
	check_says(c, FIX_NOW, words);
	fix_answer(c, t.f.root[0], FIX_NOW);
	fix_answer(c, t.f.root[1], FIX_NOW);
	fix_answer(c, t.f.targets[0], FIX_NOW);
	REFUSED(ceremony_complete(c, &err), ERR_REFUSED, "targets has 1 of the 2 signatures");
	fix_answer(c, t.dave, FIX_NOW);
	buf_clear(&out);
	CHECK_INT(ceremony_finish(c, 0, FIX_NOW, &out, &err), 0);
	CHECK_INT(ceremony_finish(c, 1, FIX_NOW, &out, &err), 0);
	ceremony_free(c);
	buf_release(&out);
	end(&t);
}

TEST(what_makes_no_sense_is_refused)
{
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony_removal gone[2];
	struct ceremony_signer twice[2];
	struct error err = ERROR_INIT;
	struct online_keys online;
	struct rotated t;
	char id[KEY_FINGERPRINT_LEN];

	start(&t);
	t.r.root_threshold = 4;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_USAGE, "root would want 4 signatures of 3 keys");
	t.r.root_threshold = 0;
	gone[0] = by_key(&t.f.root_signers[0], CEREMONY_ROOT);
	gone[1] = by_key(&t.f.root_signers[1], CEREMONY_ROOT);
	t.r.removed = gone;
	t.r.removed_count = 2;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_USAGE, "root would want 2 signatures of 1 key");
	CHECK(strstr(err.hint, "--add-root-key") != NULL);
	t.r.removed_count = 1;
	gone[0] = by_key(&t.dave_signer, CEREMONY_ROOT | CEREMONY_TARGETS);
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_NOT_FOUND, "'dave' is not among the root or targets keys of root 1");
	gone[0] = by_key(&t.f.targets_signers[0], CEREMONY_ROOT);
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_NOT_FOUND, "is not among the root keys");
	key_id(id, &t.f.root_signers[0].key);
	id[7] = '\0';
	gone[0] = (struct ceremony_removal){.keyid = id, .said = id, .roles = CEREMONY_ROOT};
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_USAGE, "at least 8 digits");
	gone[0] = by_key(&t.f.root_signers[0], CEREMONY_ROOT);
	t.r.root_added = &t.f.root_signers[0];
	t.r.root_added_count = 1;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "is both added to root and removed");
	t.r.removed_count = 0;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "is a key of this role already");
	twice[0] = twice[1] = t.dave_signer;
	t.r.root_added = twice;
	t.r.root_added_count = 2;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "is added twice");
	t.r.root_added_count = 1;
	twice[0].key = t.f.online.timestamp;
	buf_clear(&out);
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "is also the online key of timestamp");
	twice[0].key = *t.f.online.record_site;
	buf_clear(&out);
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "is also the online key that signs receipts");
	t.r.root_added_count = 0;
	online = t.f.online;
	t.r.online = &online;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "the online keys in force");
	online.snapshot = t.f.root_signers[2].key;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "the online keys in force");
	online.timestamp = t.dave_signer.key;
	buf_clear(&out);
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "is also the online key of snapshot");
	online.rehearsal = true;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "throwaway keys of a rehearsal");
	snprintf(online.site, sizeof(online.site), "depot");
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_REFUSED, "are of site 'depot', the root is of site 'main'");
	t.r.online = NULL;
	t.r.next.removed_count = 1;
	t.r.next.removed = (const char *const[]){"releases"};
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_USAGE, "give the targets in force");
	t.r.next.removed_count = 0;
	t.r.root_life_s = 0;
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_USAGE, "root lives from");
	t.r.root_life_s = FIX_DAY;
	t.r.next.root = buf_slice(&t.f.targets_file);
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_MALFORMED, "root in force");
	buf_release(&out);
	end(&t);
}

TEST(a_prefix_means_one_key)
{
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony_removal gone = {.keyid = "", .said = "", .roles = CEREMONY_ROOT};
	struct error err = ERROR_INIT;
	struct rotated t;

	start(&t);
	t.r.removed = &gone;
	t.r.removed_count = 1;
	/* The shortest prefix that is allowed never means two keys here; shorter ones are not looked up at all. */
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_USAGE, "at least 8 digits");
	gone.keyid = gone.said = "0000000000";
	REFUSED(ceremony_rotate(&out, &t.r, &err), ERR_NOT_FOUND, "'0000000000' is not among");
	buf_release(&out);
	end(&t);
}

TEST(a_rehearsal_stays_one)
{
	static const char *const words[] = {"REHEARSAL. ", "the keys are those of that root", NULL};
	struct keyfile real = {.name = "alice", .comment = "alice's"};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX), bad;
	struct error err = ERROR_INIT;
	struct rotated t;
	struct ceremony *c;

	start(&t);
	t.f.online.rehearsal = t.f.plan.rehearsal = true;
	fix_ceremony(&t.f);
	t.r.next.root = buf_slice(&t.f.root_file);
	t.r.next.targets = buf_slice(&t.f.targets_file);
	c = rotate(&t);
	CHECK(ceremony_rehearsal(c));
	check_says(c, FIX_NOW, words);
	real.pub = t.f.root_signers[0].key;
	REFUSED(ceremony_check_key(c, &real, &err), ERR_REFUSED, "throwaway keys");
	ceremony_free(c);
	t.f.online.rehearsal = false;
	t.r.online = &t.f.online;
	REFUSED(ceremony_rotate(&text, &t.r, &err), ERR_REFUSED, "does not take real online keys");
	t.r.online = NULL;
	buf_clear(&text);
	MUST(ceremony_rotate(&text, &t.r, &err));
	bad = edited(buf_slice(&text), "", "\"rehearsal\": true,", "");
	err = ERROR_INIT;
	CHECK(ceremony_parse(buf_slice(&bad), &err) == NULL);
	CHECK(strstr(err.text, "disagree on whether this is a rehearsal") != NULL);
	buf_release(&bad);
	buf_release(&text);
	end(&t);
}

TEST(the_last_key_that_may_be_lost_is_told)
{
	static const char *const words[] = {"NOTE: when one of the root keys is lost, nobody can replace this root", NULL};
	struct ceremony_removal gone;
	struct rotated t;
	struct ceremony *c;

	start(&t);
	gone = by_key(&t.f.root_signers[1], CEREMONY_ROOT);
	t.r.removed = &gone;
	t.r.removed_count = 1;
	c = rotate(&t);
	check_says(c, FIX_NOW, words);
	ceremony_free(c);
	end(&t);
}

TEST(an_expired_root_can_be_followed)
{
	static const char *const words[] = {"though it expired at ", "devices still take its successor", NULL};
	struct rotated t;
	struct ceremony *c;

	start(&t);
	t.r.next.now_s = FIX_NOW + 400 * FIX_DAY;
	c = rotate(&t);
	check_says(c, t.r.next.now_s, words);
	CHECK(ceremony_expires_s(c) == t.r.next.now_s + 365 * FIX_DAY);
	ceremony_free(c);
	end(&t);
}

#define SOME_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

TEST(tampered_rotations_are_refused)
{
	static const struct {
		const char *anchor, *from, *to;
		enum error_kind kind;
		const char *says;
	} tampers[] = {
		{"", "\"version\": 2", "\"version\": 3", ERR_REFUSED, "root has version 3 instead of 2"},
		{"", "\"version\": 2", "\"version\": 1", ERR_REFUSED, "root has version 1 instead of 2"},
		{"", "\"purpose\": \"rotate\"", "\"purpose\": \"create\"", ERR_MALFORMED, "purpose"},
		{"", "\"purpose\": \"rotate\"", "\"purpose\": \"delegate\"", ERR_MALFORMED, "purpose"},
		{"\"root\"", "\"site\": \"main\"", "\"site\": \"depot\"", ERR_REFUSED, "root is for site 'depot'"},
		{"\"root_in_force\"", "\"threshold\": 2", "\"threshold\": 1", ERR_REFUSED, "root in force"},
		{"\"root_in_force\"", "\"site\": \"main\"", "\"site\": \"depot\"", ERR_REFUSED, "root in force"},
		{"\"targets_in_force\"", "plant/*/*", "plant/?/*", ERR_REFUSED, "targets in force"},
		{"\"root_in_force\"", "\"targets_in_force\"", "\"targets_in_farce\"", ERR_MALFORMED, "targets_in_farce"},
		{"", "\"threshold\": 2", "\"threshold\": 9", ERR_REFUSED, "root wants 9"},
		/* An artifact that no publisher answers for, slipped in where nobody looks. */
		{"\"targets\": {\n    \"_type\"", "\"targets\": {}",
		 "\"targets\": {\"a/b/c\": {\"length\": 1, \"hashes\": {\"sha256\": \"" SOME_HASH "\"}}}", ERR_REFUSED,
		 "names artifacts itself"},
	};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct rotated t;
	struct ceremony *c;
	size_t i;

	start(&t);
	t.r.next.targets = buf_slice(&t.f.targets_file);
	MUST(ceremony_rotate(&text, &t.r, &err));
	for (i = 0; i < ARRAY_SIZE(tampers); i++) {
		struct buf bad = edited(buf_slice(&text), tampers[i].anchor, tampers[i].from, tampers[i].to);

		err = ERROR_INIT;
		c = ceremony_parse(buf_slice(&bad), &err);
		CHECK(c == NULL);
		if (err.kind != tampers[i].kind || strstr(err.text, tampers[i].says) == NULL)
			printf("# %s -> %s: %s\n", tampers[i].from, tampers[i].to, err.text);
		CHECK_INT(err.kind, tampers[i].kind);
		CHECK(strstr(err.text, tampers[i].says) != NULL);
		ceremony_free(c);
		buf_release(&bad);
	}
	/* Targets in force that nobody signs anew, under other keys: whoever edits them out is found out. */
	buf_clear(&text);
	t.r.next.targets = SLICE_EMPTY;
	MUST(ceremony_rotate(&text, &t.r, &err));
	{
		struct buf bad = edited(buf_slice(&text), "\"targets\"", "\"threshold\": 1", "\"threshold\": 2");

		err = ERROR_INIT;
		CHECK(ceremony_parse(buf_slice(&bad), &err) == NULL);
		CHECK(strstr(err.text, "no targets signed by them come along") != NULL);
		buf_release(&bad);
	}
	/* What this program does not know may be there, and is never signed unseen. */
	{
		static const char *const words[] = {"it also holds 'mirrors', which this program does not know", NULL};
		struct buf more = edited(buf_slice(&text), "", "\"consistent_snapshot\"",
					 "\"mirrors\": [], \"consistent_snapshot\"");

		c = ceremony_parse(buf_slice(&more), &err);
		REQUIRE(c != NULL);
		check_says(c, FIX_NOW, words);
		ceremony_free(c);
		buf_release(&more);
	}
	buf_release(&text);
	end(&t);
}

TEST(nothing_unknown_is_signed_unseen_however_deep)
{
	static const struct {
		const char *anchor, *from, *to, *says;
	} hidden[] = {
		{"\"root\"", "\"roles\": {", "\"roles\": {\"mirrors\": {}, ", "also holds 'mirrors' in its roles,"},
		{"\"roles\"", "\"threshold\"", "\"quorum\": 1, \"threshold\"", "also holds 'quorum' in one of its roles,"},
		{"\"root\"", "\"record_keys\": {", "\"record_keys\": {\"spare\": [], ", "also holds 'spare' in its record keys,"},
		{"\"record_keys\"", "\"keytype\"", "\"more\": 1, \"keytype\"", "also holds 'more' in one of its record keys,"},
		{"\"root\"", "\"x-meshanics\": {", "\"x-meshanics\": {\"own\": 1, ", "also holds 'own' in x-meshanics,"},
		{"\"targets\": {\n    \"_type\"", "\"delegations\": {", "\"delegations\": {\"extra\": [], ",
		 "also holds 'extra' in its delegations,"},
		{"\"targets\": {\n    \"_type\"", "\"terminating\"", "\"until\": 1, \"terminating\"",
		 "also holds 'until' in what it says of a publisher,"},
		{"\"targets\": {\n    \"_type\"", "\"version\"", "\"custom\": {}, \"version\"", "also holds 'custom', which"},
	};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX), told = BUF_INIT(1 << 16);
	struct error err = ERROR_INIT;
	struct rotated t;
	struct ceremony *c;
	size_t i;

	start(&t);
	t.r.next.targets = buf_slice(&t.f.targets_file);
	c = rotate(&t);
	ceremony_statement(&told, c, FIX_NOW);
	CHECK(strstr(buf_cstr(&told), "also holds") == NULL);
	ceremony_free(c);
	MUST(ceremony_rotate(&text, &t.r, &err));
	for (i = 0; i < ARRAY_SIZE(hidden); i++) {
		struct buf more = edited(buf_slice(&text), hidden[i].anchor, hidden[i].from, hidden[i].to);
		const char *const words[] = {hidden[i].says, NULL};

		c = ceremony_parse(buf_slice(&more), &err);
		if (c == NULL)
			printf("# %s: %s\n", hidden[i].to, err.text);
		REQUIRE(c != NULL);
		check_says(c, FIX_NOW, words);
		ceremony_free(c);
		buf_release(&more);
	}
	buf_release(&text);
	buf_release(&told);
	end(&t);
}

TEST(two_keys_of_one_name_are_refused)
{
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX), bad;
	struct error err = ERROR_INIT;
	struct ceremony_name names[3];
	struct rotated t;
	unsigned i;

	start(&t);
	for (i = 0; i < 3; i++) {
		key_id(names[i].keyid, &t.f.root_signers[i].key);
		snprintf(names[i].label, sizeof(names[i].label), "signer-%u", i);
	}
	t.r.next.names = names;
	t.r.next.name_count = 3;
	MUST(ceremony_rotate(&text, &t.r, &err));
	bad = edited(buf_slice(&text), "", "\"signer-2\"", "\"signer-0\"");
	CHECK(ceremony_parse(buf_slice(&bad), &err) == NULL);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "'labels' calls two keys 'signer-0'") != NULL);
	CHECK(strstr(err.hint, "renames one of them") != NULL);
	buf_release(&bad);
	/* Nor is one made. */
	snprintf(names[2].label, sizeof(names[2].label), "signer-1");
	buf_clear(&text);
	err = (struct error)ERROR_INIT;
	REFUSED(ceremony_rotate(&text, &t.r, &err), ERR_REFUSED, "calls two keys 'signer-1'");
	buf_release(&text);
	end(&t);
}

TEST(the_thresholds_of_the_box_are_told_too)
{
	static const char *const words[] = {"it takes 2 of 2 keys to say what is newest; before, it took 1 of 1",
					    "may now help to say what is newest", NULL};
	static const char *const snapshot[] = {
		"it takes 1 of 2 keys to say which versions belong together; before, it took 1 of 1", NULL};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX), one, two;
	char id[KEY_FINGERPRINT_LEN], more[100];
	struct error err = ERROR_INIT;
	struct rotated t;
	struct ceremony *c;

	start(&t);
	MUST(ceremony_rotate(&text, &t.r, &err));
	key_id(id, &t.f.online.snapshot);
	snprintf(more, sizeof(more), "\"keyids\": [\"%s\", ", id);
	one = edited(buf_slice(&text), "\"timestamp\": {", "\"keyids\": [", more);
	two = edited(buf_slice(&one), "\"timestamp\": {", "\"threshold\": 1", "\"threshold\": 2");
	c = ceremony_parse(buf_slice(&two), &err);
	if (c == NULL)
		printf("# %s\n", err.text);
	REQUIRE(c != NULL);
	check_says(c, FIX_NOW, words);
	ceremony_free(c);
	buf_release(&one);
	buf_release(&two);
	key_id(id, &t.f.online.timestamp);
	snprintf(more, sizeof(more), "\"keyids\": [\"%s\", ", id);
	one = edited(buf_slice(&text), "\"snapshot\": {", "\"keyids\": [", more);
	c = ceremony_parse(buf_slice(&one), &err);
	REQUIRE(c != NULL);
	check_says(c, FIX_NOW, snapshot);
	ceremony_free(c);
	buf_release(&one);
	buf_release(&text);
	end(&t);
}

/* ---- verify ---- */

/* Two homes: the table, which makes the request, signs with alice and finishes; and carol's. */
struct past {
	struct rotated t;
	char carol[80];
	struct buf request, alice, carols, root, table_transcript, carol_transcript;
	struct ceremony_file files[3], transcripts[2];
	struct ceremony_evidence e;
	char told[4096];
};

static void step(const char *home, const char *name, const char *fingerprint, const char *file, struct slice content,
		 const char *detail, char head[static TRANSCRIPT_HEAD_LEN])
{
	uint8_t hash[1][SHA256_LEN];
	struct transcript_step s = {.step = name, .fingerprint = fingerprint, .detail = detail, .files = &file,
				    .hashes = (const uint8_t (*)[SHA256_LEN])hash, .file_count = 1,
				    .now_s = FIX_NOW + FIX_DAY};
	struct error err = ERROR_INIT;

	sha256_of(content, hash[0]);
	MUST(transcript_append(home, &s, head, &err));
}

static void sign(const char *home, struct ceremony *c, const struct seckey *k, const char *file,
		 struct buf *out)
{
	char head[TRANSCRIPT_HEAD_LEN], id[KEY_FINGERPRINT_LEN], detail[100];
	struct buf text = BUF_INIT(TRANSCRIPT_SIZE_MAX);
	struct error err = ERROR_INIT;

	MUST(transcript_read(home, &text, head, &err));
	MUST(ceremony_sign(out, c, k, FIX_NOW + FIX_DAY, head, &err));
	key_id(id, seckey_public(k));
	snprintf(detail, sizeof(detail), "signed with %s", id);
	step(home, "sign", ceremony_fingerprint(c), file, buf_slice(out), detail, head);
	MUST(ceremony_add_answer(c, buf_slice(out), NULL, &err));
	buf_release(&text);
}

static void past_start(struct past *p)
{
	char head[TRANSCRIPT_HEAD_LEN];
	struct error err = ERROR_INIT;
	struct ceremony *c;

	memset(p, 0, sizeof(*p));
	start(&p->t);
	p->request = BUF_INIT(CEREMONY_REQUEST_MAX);
	p->alice = p->carols = BUF_INIT(CEREMONY_ANSWER_MAX);
	p->root = BUF_INIT(FIX_FILE_MAX);
	p->table_transcript = p->carol_transcript = BUF_INIT(TRANSCRIPT_SIZE_MAX);
	snprintf(p->carol, sizeof(p->carol), "%s/carol", p->t.f.home);
	step(p->t.f.home, "finish", "an earlier ceremony", "root.json", SLICE_LIT("x"), "", head);
	step(p->carol, "sign", "an earlier ceremony", "answer.json", SLICE_LIT("y"), "", head);
	MUST(transcript_read(p->t.f.home, &p->table_transcript, head, &err));
	buf_clear(&p->table_transcript);
	p->t.r.next.transcript_head = head;
	MUST(ceremony_rotate(&p->request, &p->t.r, &err));
	c = ceremony_parse(buf_slice(&p->request), &err);
	REQUIRE(c != NULL);
	step(p->t.f.home, "rotate", ceremony_fingerprint(c), "request.json", buf_slice(&p->request), "", head);
	sign(p->t.f.home, c, p->t.f.root[0], "answer-alice.json", &p->alice);
	sign(p->carol, c, p->t.f.root[2], "answer-carol.json", &p->carols);
	MUST(ceremony_finish(c, 0, FIX_NOW, &p->root, &err));
	step(p->t.f.home, "finish", ceremony_fingerprint(c), "root.json", buf_slice(&p->root), "", head);
	MUST(transcript_read(p->t.f.home, &p->table_transcript, head, &err));
	MUST(transcript_read(p->carol, &p->carol_transcript, head, &err));
	ceremony_free(c);
	p->files[0] = (struct ceremony_file){.name = "sub/answer-alice.json", .text = buf_slice(&p->alice)};
	p->files[1] = (struct ceremony_file){.name = "answer-carol.json", .text = buf_slice(&p->carols)};
	p->files[2] = (struct ceremony_file){.name = "root.json", .text = buf_slice(&p->root)};
	p->transcripts[0] = (struct ceremony_file){.name = "table", .text = buf_slice(&p->table_transcript)};
	p->transcripts[1] = (struct ceremony_file){.name = "carol", .text = buf_slice(&p->carol_transcript)};
	p->e = (struct ceremony_evidence){.request = {.name = "request.json", .text = buf_slice(&p->request)},
					  .files = p->files, .file_count = 3, .transcripts = p->transcripts,
					  .transcript_count = 2, .strict = true,
					  .root = {.name = "own.json", .text = buf_slice(&p->t.f.root_file)}};
}

static void past_end(struct past *p)
{
	buf_release(&p->request);
	buf_release(&p->alice);
	buf_release(&p->carols);
	buf_release(&p->root);
	buf_release(&p->table_transcript);
	buf_release(&p->carol_transcript);
	end(&p->t);
}

/* An unbroken past but for one edit of one of its files, which is found. */
static void check_broken(struct past *p, struct slice *which, const char *anchor, const char *from, const char *to,
			 const char *says)
{
	struct slice whole = *which;
	struct buf bad = edited(whole, anchor, from, to);
	struct error err = ERROR_INIT;

	*which = buf_slice(&bad);
	REFUSED(ceremony_verify(&p->e, &err), ERR_REFUSED, says);
	*which = whole;
	buf_release(&bad);
}

TEST(an_unchanged_past_holds)
{
	struct error err = ERROR_INIT;
	struct past p;

	past_start(&p);
	CHECK_INT(ceremony_verify(&p.e, &err), 0);
	if (err.kind != ERR_NONE)
		printf("# %s\n", err.text);
	/* Without carol's transcript her answer is unproven, which only strictness refuses. */
	p.e.transcript_count = 1;
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'answer-carol.json': no transcript");
	p.e.strict = false;
	CHECK_INT(ceremony_verify(&p.e, &err), 0);
	/* A home that had no part in it has nothing to say. */
	p.e.strict = true;
	p.e.transcript_count = 2;
	p.transcripts[1].text = SLICE_EMPTY;
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'carol': it has no line of this ceremony");
	p.transcripts[1].own = true;
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'answer-carol.json': no transcript");
	p.e.strict = false;
	CHECK_INT(ceremony_verify(&p.e, &err), 0);
	past_end(&p);
}

/* All findings, a line each, into the told of a past. */
static void note_finding(void *arg, const struct ceremony_finding *f)
{
	struct past *p = arg;
	size_t n = strlen(p->told);

	snprintf(p->told + n, sizeof(p->told) - n, "%d %s: %s\n", (int)f->verdict, f->file, f->text);
}

TEST(a_root_in_force_that_is_the_requests_own_word_proves_nothing)
{
	struct error err = ERROR_INIT;
	struct past p;

	past_start(&p);
	p.e.tell = note_finding;
	p.e.arg = &p;
	CHECK_INT(ceremony_verify(&p.e, &err), 0);
	CHECK(strstr(p.told, "own.json: the root that the request calls in force") != NULL);
	CHECK(strstr(p.told, "root.json: the root of the request, signed as a device wants it") != NULL);
	/* Without it only the lenient are content, and nobody speaks of devices. */
	p.e.root.name = NULL;
	p.told[0] = '\0';
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'request.json': the root in force is the request's own word");
	CHECK(strstr(p.told, "as a device wants it") == NULL);
	CHECK(strstr(p.told, "signed as the root wants it that the request calls in force") != NULL);
	p.e.strict = false;
	CHECK_INT(ceremony_verify(&p.e, &err), 0);
	/* Another one is worse than none. */
	p.e.root = (struct ceremony_file){.name = "own.json", .text = buf_slice(&p.root)};
	p.told[0] = '\0';
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'own.json': the request calls another root in force");
	CHECK(strstr(p.told, "as a device wants it") == NULL);
	p.e.root.text = SLICE_EMPTY;
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'own.json': the request calls another root in force");
	past_end(&p);
}

TEST(a_changed_past_does_not_hold)
{
	struct error err = ERROR_INIT;
	struct slice whole, last;
	struct past p;

	past_start(&p);
	check_broken(&p, &p.e.request.text, "", "\"nonce\": \"03", "\"nonce\": \"04", "answers another request");
	check_broken(&p, &p.files[0].text, "", "\"signed_at\": \"20", "\"signed_at\": \"21", "proof");
	check_broken(&p, &p.files[1].text, "", "{", "{ ", "speaks of another file");
	check_broken(&p, &p.files[2].text, "", "\"version\": 2", "\"version\": 3", "it is not the root of the request");
	check_broken(&p, &p.files[2].text, "", "\"sig\"", "\"gis\"", "sig");
	check_broken(&p, &p.transcripts[0].text, "\n", "\"step\":\"rotate\"", "\"step\":\"new\"", "'table': transcript, line 3");
	check_broken(&p, &p.transcripts[1].text, "", "\"n\":2", "\"n\":3", "'carol': transcript, line 2: it has number 3");
	check_broken(&p, &p.transcripts[1].text, "\n", "\"time\":\"20", "\"time\":\"21", "bears another time than line 2");
	check_broken(&p, &p.transcripts[1].text, "\n", "answer-carol.json\",\"sha256\":\"", "answer-carol.json\",\"sha256\":\"x",
		     "'carol': transcript, line 2: 'files'");
	check_broken(&p, &p.transcripts[1].text, "\n", "\"step\":\"sign\"", "\"step\":\"look\"", "'answer-carol.json'");
	/* A line that is cut off, and another in its place. */
	whole = p.transcripts[1].text;
	p.transcripts[1].text = slice_sub(whole, 0, slice_find(whole, '\n', 0) + 1);
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'answer-carol.json': 'carol' ends where the line");
	p.transcripts[1].text = whole;
	/* All of the answers that were finished with have to be there, and nothing else is an answer. */
	last = p.files[1].text;
	p.files[1].text = p.files[0].text;
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "is in none of the answers");
	p.files[1].text = SLICE_LIT("{}");
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'answer-carol.json': answer");
	p.files[1].text = last;
	p.files[2].text = buf_slice(&p.t.f.root_file);
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'root.json': it is not the root of the request");
	p.files[2].text = buf_slice(&p.t.f.targets_file);
	REFUSED(ceremony_verify(&p.e, &err), ERR_REFUSED, "'root.json': the request is about no targets");
	p.e.request.text = buf_slice(&p.root);
	CHECK_INT(ceremony_verify(&p.e, &err), -1);
	past_end(&p);
}

TEST(a_step_between_is_told)
{
	struct transcript_step s = {.step = "sign", .fingerprint = "00", .detail = "", .now_s = FIX_NOW};
	char head[TRANSCRIPT_HEAD_LEN], begun[TRANSCRIPT_HEAD_LEN];
	struct error err = ERROR_INIT;
	struct rotated t;

	start(&t);
	MUST(transcript_append(t.f.home, &s, begun, &err));
	s.head = begun;
	MUST(transcript_append(t.f.home, &s, head, &err));
	REFUSED(transcript_append(t.f.home, &s, head, &err), ERR_RETRY, "another step");
	s.head = NULL;
	CHECK_INT(transcript_append(t.f.home, &s, head, &err), 0);
	end(&t);
}
