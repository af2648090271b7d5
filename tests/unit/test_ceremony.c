/* Ceremonies: what m of n may do, and everything that fewer, others or tamperers may not. */
#include "tap.h"

#include "base/encode.h"
#include "crypto/fingerprint.h"
#include "repo_fixture.h"

static struct buf request_text(struct fixture *f)
{
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;

	MUST(ceremony_new(&text, &f->plan, &err));
	return text;
}

/* A copy with the first `from` replaced by `to`. */
static struct buf edited(struct slice text, const char *from, const char *to)
{
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX);
	const uint8_t *at = memmem(text.ptr, text.len, from, strlen(from));

	if (at == NULL)
		printf("# '%s' is not in the text\n", from);
	REQUIRE(at != NULL);
	buf_put(&out, text.ptr, (size_t)(at - text.ptr));
	buf_put_str(&out, to);
	buf_put_slice(&out, slice_sub(text, (size_t)(at - text.ptr) + strlen(from), SIZE_MAX));
	return out;
}

TEST(ceremony_makes_root_and_targets_that_clients_take)
{
	struct error err = ERROR_INIT;
	struct tuf_targets *targets;
	struct tuf_root *root;
	struct fixture f;

	fix_start(&f, "depot-7");
	fix_ceremony(&f);
	root = tuf_root_parse(buf_slice(&f.root_file), &err);
	targets = tuf_targets_parse(buf_slice(&f.targets_file), &err);
	REQUIRE(root != NULL && targets != NULL);
	CHECK_STR(root->site, "depot-7");
	CHECK_INT(root->roles[TUF_ROOT].threshold, 2);
	CHECK_INT(root->roles[TUF_ROOT].keys.count, 3);
	CHECK_INT(root->roles[TUF_TIMESTAMP].keys.count, 1);
	CHECK_INT(root->site_keys.count, 1);
	CHECK_INT(root->export_keys.count, 0);
	CHECK(root->consistent_snapshot);
	CHECK_INT(root->head.expires_s, FIX_NOW + 365 * FIX_DAY);
	CHECK(!repo_is_rehearsal(&root->head));
	tuf_root_free(root);
	tuf_targets_free(targets);
	fix_end(&f);
}

TEST(statement_says_what_is_signed)
{
	static const char *const words[] = {
		"ROOT of site 'main', version 1", "any 2 of these 3 keys may replace this root",
		"any 1 of these 2 keys may say who publishes what", "called 'carol' in the request",
		"TARGETS of site 'main', version 1", "publisher 'releases' may publish what matches", "plant/*/*",
		"Nobody may publish anything else", "Bundles are signed by", "timestamps for 1d"};
	struct buf out = BUF_INIT(1 << 16);
	struct ceremony *c;
	struct fixture f;
	size_t i;

	fix_start(&f, "main");
	c = fix_request(&f);
	ceremony_statement(&out, c, FIX_NOW);
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (strstr(buf_cstr(&out), words[i]) == NULL)
			printf("# '%s' is not in:\n%s", words[i], buf_cstr(&out));
		CHECK(strstr(buf_cstr(&out), words[i]) != NULL);
	}
	CHECK(strstr(buf_cstr(&out), "REHEARSAL") == NULL);
	buf_release(&out);
	ceremony_free(c);
	fix_end(&f);
}

TEST(too_few_signatures_do_not_finish)
{
	struct error err = ERROR_INIT;
	struct buf out = BUF_INIT(1 << 20);
	struct ceremony_tally t;
	struct ceremony *c;
	struct fixture f;

	fix_start(&f, "main");
	c = fix_request(&f);
	REFUSED(ceremony_complete(c, &err), ERR_REFUSED, "root has 0 of the 2");
	fix_answer(c, f.root[1], FIX_NOW);
	REFUSED(ceremony_complete(c, &err), ERR_REFUSED, "root has 1 of the 2");
	CHECK(strstr(err.text, "alice") != NULL && strstr(err.text, "bob") == NULL);
	ceremony_tally(c, 0, 0, &t);
	CHECK_INT(t.signed_count, 1);
	CHECK(!t.has_signed[0] && t.has_signed[1] && !t.has_signed[2]);
	fix_answer(c, f.root[0], FIX_NOW);
	REFUSED(ceremony_finish(c, 0, FIX_NOW, &out, &err), ERR_REFUSED, "targets has 0 of the 1");
	fix_answer(c, f.targets[0], FIX_NOW);
	CHECK_INT(ceremony_complete(c, &err), 0);
	CHECK_INT(ceremony_finish(c, 0, FIX_NOW, &out, &err), 0);
	/* What has expired by the time it is finished is not finished. */
	REFUSED(ceremony_finish(c, 1, FIX_NOW + 200 * FIX_DAY, &out, &err), ERR_REFUSED, "expired");
	buf_release(&out);
	ceremony_free(c);
	fix_end(&f);
}

TEST(answers_count_once_and_only_for_their_request)
{
	struct buf answer = BUF_INIT(CEREMONY_ANSWER_MAX), other = BUF_INIT(CEREMONY_ANSWER_MAX);
	static const uint8_t nonce[16] = {7};
	struct error err = ERROR_INIT;
	struct ceremony_signer stranger;
	struct seckey *foreign;
	struct ceremony *c, *d;
	struct fixture f;

	fix_start(&f, "main");
	c = fix_request(&f);
	f.plan.nonce = nonce;
	d = fix_request(&f);
	CHECK(strcmp(ceremony_fingerprint(c), ceremony_fingerprint(d)) != 0);
	MUST(ceremony_sign(&answer, c, f.root[0], FIX_NOW, NULL, &err));
	MUST(ceremony_add_answer(c, buf_slice(&answer), NULL, &err));
	REFUSED(ceremony_add_answer(c, buf_slice(&answer), NULL, &err), ERR_CONFLICT, "has answered already");
	REFUSED(ceremony_add_answer(d, buf_slice(&answer), NULL, &err), ERR_REFUSED, "answers another request");
	foreign = fix_key(&stranger, "mallory");
	REFUSED(ceremony_sign(&other, c, foreign, FIX_NOW, NULL, &err), ERR_REFUSED, "not named");
	seckey_free(foreign);
	ceremony_free(c);
	ceremony_free(d);
	buf_release(&answer);
	buf_release(&other);
	fix_end(&f);
}

TEST(tampered_answers_are_refused)
{
	static const struct {
		const char *from, *to;
		enum error_kind kind;
		const char *says;
	} tampers[] = {
		{"\"site\": \"main\"", "\"site\": \"depot\"", ERR_REFUSED, "for site 'depot'"},
		{"2096-10-02", "2096-10-03", ERR_REFUSED, "proof"},
		{"\"request\": \"", "\"request\": \"0", ERR_REFUSED, "another request"},
		{"\"root\": \"", "\"root\": \"00", ERR_REFUSED, "proof"},
		{"\"root\": \"", "\"targets\": \"\", \"root\": \"", ERR_REFUSED, "proof"},
		{"\"root\"", "\"snapshot\"", ERR_MALFORMED, "snapshot"},
		{"answer 1", "answer 2", ERR_MALFORMED, "format"},
		{"\"proof\"", "\"proofs\"", ERR_MALFORMED, "proofs"},
		{"BEGIN SSH", "BEGIN SSL", ERR_MALFORMED, ""},
		{"{", "[", ERR_MALFORMED, "answer"},
		{"\"signed_at\"", "\"site\": \"main\", \"signed_at\"", ERR_MALFORMED, "site"},
	};
	struct buf answer = BUF_INIT(CEREMONY_ANSWER_MAX);
	struct error err = ERROR_INIT;
	struct ceremony *c;
	struct fixture f;
	size_t i;

	fix_start(&f, "main");
	c = fix_request(&f);
	MUST(ceremony_sign(&answer, c, f.root[0], FIX_NOW, NULL, &err));
	for (i = 0; i < ARRAY_SIZE(tampers); i++) {
		struct buf bad = edited(buf_slice(&answer), tampers[i].from, tampers[i].to);

		REFUSED(ceremony_add_answer(c, buf_slice(&bad), NULL, &err), tampers[i].kind, tampers[i].says);
		buf_release(&bad);
	}
	while (answer.len <= CEREMONY_ANSWER_MAX - 1)
		buf_put_u8(&answer, ' ');
	CHECK_INT(ceremony_add_answer(c, buf_slice(&answer), NULL, &err), 0);
	buf_release(&answer);
	ceremony_free(c);
	fix_end(&f);
}

TEST(tampered_requests_are_refused_or_another_request)
{
	static const struct {
		const char *from, *to;
		enum error_kind kind;
		const char *says;
	} tampers[] = {
		{"request 1", "request 2", ERR_MALFORMED, "format"},
		{"\"site\": \"main\"", "\"site\": \"depot\"", ERR_REFUSED, "root is for site 'main'"},
		{"\"purpose\": \"create\"", "\"purpose\": \"rotate\"", ERR_MALFORMED, "purpose"},
		{"\"purpose\"", "\"rehearsal\": true, \"purpose\"", ERR_REFUSED, "rehearsal"},
		{"\"version\": 1", "\"version\": 2", ERR_REFUSED, "root has version 2"},
		{"\"threshold\": 2", "\"threshold\": 4", ERR_REFUSED, "root wants 4"},
		{"\"threshold\": 2", "\"threshold\": 0", ERR_MALFORMED, "threshold"},
		{"\"consistent_snapshot\": true", "\"consistent_snapshot\": false", ERR_REFUSED, "consistent"},
		{"plant/*/*", "../*/*", ERR_MALFORMED, "slice"},
		{"\"nonce\": \"01", "\"nonce\": \"0", ERR_MALFORMED, "nonce"},
		{"\"labels\": {", "\"labels\": {\"x\": \"y\", ", ERR_MALFORMED, "labels"},
		{"\"terminating\": true", "\"terminating\": false", ERR_REFUSED, "terminating"},
		{"\"targets\": {}", "\"targets\": {\"a/b/c\": {\"length\": 1, \"hashes\": {}}}", ERR_MALFORMED, "hashes"},
		{"\"created\"", "\"extra\": 1, \"created\"", ERR_MALFORMED, "extra"},
	};
	struct error err = ERROR_INIT;
	struct ceremony *c;
	struct fixture f;
	struct buf text;
	size_t i;

	fix_start(&f, "main");
	text = request_text(&f);
	for (i = 0; i < ARRAY_SIZE(tampers); i++) {
		struct buf bad = edited(buf_slice(&text), tampers[i].from, tampers[i].to);

		err = ERROR_INIT;
		CHECK(ceremony_parse(buf_slice(&bad), &err) == NULL);
		if (err.kind != tampers[i].kind || strstr(err.text, tampers[i].says) == NULL)
			printf("# %s -> %s: %s\n", tampers[i].from, tampers[i].to, err.text);
		CHECK_INT(err.kind, tampers[i].kind);
		CHECK(strstr(err.text, tampers[i].says) != NULL);
		buf_release(&bad);
	}
	{
		struct buf moved = edited(buf_slice(&text), "plant/*/*", "*/*/*");
		const char *first;

		c = ceremony_parse(buf_slice(&text), &err);
		first = xstrdup(ceremony_fingerprint(c));
		ceremony_free(c);
		c = ceremony_parse(buf_slice(&moved), &err);
		REQUIRE(c != NULL);
		CHECK(strcmp(first, ceremony_fingerprint(c)) != 0);
		ceremony_free(c);
		free((void *)(uintptr_t)first);
		buf_release(&moved);
	}
	buf_release(&text);
	fix_end(&f);
}

TEST(plans_that_make_no_sense_are_refused)
{
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct repo_publisher p[2];
	struct fixture f;

	fix_start(&f, "main");
	f.plan.root_threshold = 4;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_USAGE, "threshold of 4 with 3 keys");
	f.plan.root_threshold = 0;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_USAGE, "threshold of 0");
	f.plan.root_threshold = 2;
	f.root_signers[1].key = f.root_signers[0].key;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_REFUSED, "are the same key");
	f.root_signers[1].key = f.online.timestamp;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_REFUSED, "is an online key");
	f.root_signers[1].key = *seckey_public(f.root[1]);
	MUST(publisher_parse_word(&p[0], "a:x/*/*", &err));
	MUST(publisher_parse_word(&p[1], "b:*/y/*", &err));
	f.plan.publishers = p;
	f.plan.publisher_count = 1;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_USAGE, "has no key");
	p[0].keys = xcalloc(1, sizeof(*p[0].keys));
	p[1].keys = xcalloc(1, sizeof(*p[1].keys));
	*p[0].keys = f.root_signers[0].key;
	*p[1].keys = f.root_signers[1].key;
	p[0].key_count = p[1].key_count = 1;
	f.plan.publisher_count = 2;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_REFUSED, "overlaps");
	f.plan.publisher_count = 1;
	f.plan.rehearsal = true;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_REFUSED, "real online keys");
	f.plan.rehearsal = false;
	f.online.rehearsal = true;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_REFUSED, "throwaway");
	f.online.rehearsal = false;
	f.plan.targets_life_s = 0;
	REFUSED(ceremony_new(&out, &f.plan, &err), ERR_USAGE, "live from");
	repo_publisher_release(&p[0]);
	repo_publisher_release(&p[1]);
	buf_release(&out);
	fix_end(&f);
}

TEST(slices_meet_or_do_not)
{
	static const struct {
		const char *a, *b;
		bool meet;
	} pairs[] = {
		{"plant/*/*", "plant/plc/1.0", true}, {"plant/*/*", "depot/*/*", false}, {"*/*/*", "a/b/c", true},
		{"a/b*/c", "a/*d/c", true},	      {"a/b*/c", "a/c*/c", false},	 {"a/b?/c", "a/b/c", false},
		{"a/b?/c", "a/b*/c", true},	      {"a/*x*/c", "a/*y*/c", true},	 {"a/*/1", "a/*/2", false},
		{"a/?/c", "a/?x?/c", false},	      {"a/b/c", "a/b/c", true},		 {"a/*a/c", "a/*b/c", false},
	};
	struct error err = ERROR_INIT;
	struct repo_publisher p;
	char many[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		CHECK_INT(slice_patterns_overlap(pairs[i].a, pairs[i].b), pairs[i].meet);
		CHECK_INT(slice_patterns_overlap(pairs[i].b, pairs[i].a), pairs[i].meet);
	}
	/* The worst pattern is no work: the table of pairs is 64 by 64. */
	memset(many, 0, sizeof(many));
	memcpy(many, "a/", 2);
	for (i = 2; i < 50; i += 2)
		memcpy(many + i, "*a", 2);
	memcpy(many + 50, "/b", 3);
	CHECK(!slice_patterns_overlap(many, "a/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab/b"));
	REFUSED(slice_pattern_check(SLICE_LIT("plant/*"), &err), ERR_MALFORMED, "slice");
	REFUSED(slice_pattern_check(SLICE_LIT("plant/*/*/*"), &err), ERR_MALFORMED, "slice");
	REFUSED(slice_pattern_check(SLICE_LIT("Plant/*/*"), &err), ERR_MALFORMED, "slice");
	REFUSED(slice_pattern_check(SLICE_LIT("/*/*"), &err), ERR_MALFORMED, "slice");
	REFUSED(publisher_parse_word(&p, "targets:a/*/*", &err), ERR_USAGE, "targets");
	REFUSED(publisher_parse_word(&p, "x:a/*", &err), ERR_USAGE, "slice");
	REFUSED(publisher_parse_word(&p, "", &err), ERR_USAGE, "empty");
	MUST(publisher_parse_word(&p, "x:a/*/*,b/c/*", &err));
	CHECK_INT(p.slices.count, 2);
	repo_publisher_release(&p);
}

TEST(fingerprint_is_typed_not_clicked)
{
	struct error err = ERROR_INIT;
	struct ceremony *c;
	char prefix[FINGERPRINT_GROUPS_LEN], *last;
	struct fixture f;

	fix_start(&f, "main");
	c = fix_request(&f);
	fingerprint_groups(prefix, ceremony_fingerprint(c), FINGERPRINT_DIGITS_MIN);
	CHECK_INT(ceremony_check_prefix(c, prefix, &err), 0);
	CHECK_INT(ceremony_check_prefix(c, ceremony_fingerprint(c), &err), 0);
	REFUSED(ceremony_check_prefix(c, "1234567", &err), ERR_USAGE, "given 7 digits of the fingerprint, at least the first 16");
	CHECK(strstr(err.hint, "on the screen of the one who made the request") != NULL);
	REFUSED(ceremony_check_prefix(c, "", &err), ERR_USAGE, "0 digits");
	last = &prefix[strlen(prefix) - 1];
	*last = *last == '0' ? '1' : '0';
	REFUSED(ceremony_check_prefix(c, prefix, &err), ERR_REFUSED, "does not begin");
	CHECK(strstr(err.hint, "not the request that the others sign") != NULL);
	*last = 'g';
	REFUSED(ceremony_check_prefix(c, prefix, &err), ERR_USAGE, "no digit");
	*last = '\0';
	REFUSED(ceremony_check_prefix(c, prefix, &err), ERR_USAGE, "given 15 digits");
	REFUSED(ceremony_check_time(c, FIX_NOW + 181 * FIX_DAY, &err), ERR_REFUSED, "targets of this request expired");
	CHECK_INT(ceremony_check_time(c, FIX_NOW, &err), 0);
	ceremony_free(c);
	fix_end(&f);
}

TEST(rehearsals_stay_apart)
{
	struct keyfile real = {.name = "alice", .comment = "alice's"}, throwaway = {.comment = "rehearsal only"};
	struct ceremony_signer signers[2];
	struct error err = ERROR_INIT;
	struct online_keys online;
	struct ceremony *c;
	struct seckey *k;
	struct fixture f;
	char path[128];
	int dirfd;

	fix_start(&f, "main");
	dirfd = file_open(AT_FDCWD, f.home, O_RDONLY | O_DIRECTORY, 0, &err);
	MUST(ceremony_rehearsal_keys(dirfd, "main", 2, FIX_NOW, signers, &online, &err));
	f.plan.online = &online;
	f.plan.rehearsal = true;
	f.plan.root_signers = f.plan.targets_signers = signers;
	f.plan.root_count = f.plan.targets_count = 2;
	f.plan.root_threshold = f.plan.targets_threshold = 1;
	c = fix_request(&f);
	CHECK(ceremony_rehearsal(c));
	real.pub = signers[0].key;
	throwaway.pub = signers[0].key;
	REFUSED(ceremony_check_key(c, &real, &err), ERR_REFUSED, "throwaway keys");
	CHECK_INT(ceremony_check_key(c, &throwaway, &err), 0);
	snprintf(path, sizeof(path), "%s/rehearsal-1.key", f.home);
	k = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err);
	REQUIRE(k != NULL);
	fix_answer(c, k, FIX_NOW);
	MUST(ceremony_finish(c, 0, FIX_NOW, &f.root_file, &err));
	MUST(ceremony_finish(c, 1, FIX_NOW, &f.targets_file, &err));
	seckey_free(k);
	ceremony_free(c);
	{
		struct repo *r = fix_open(&f);

		REFUSED(fix_adopt(&f, r, FIX_NOW, &err), ERR_REFUSED, "rehearsal");
		repo_free(r);
	}
	f.plan.online = &f.online;
	f.plan.rehearsal = false;
	c = fix_request(&f);
	REFUSED(ceremony_check_key(c, &throwaway, &err), ERR_REFUSED, "throwaway key of a rehearsal");
	real.pub = f.online.snapshot;
	REFUSED(ceremony_check_key(c, &real, &err), ERR_REFUSED, "not named");
	ceremony_free(c);
	online_keys_release(&online);
	close(dirfd);
	fix_end(&f);
}

TEST(delegation_follows_what_is_in_force)
{
	static const char *const removed[] = {"releases"}, *const unknown[] = {"nobody"};
	struct buf out = BUF_INIT(CEREMONY_REQUEST_MAX), statement = BUF_INIT(1 << 16);
	struct ceremony_delegation d = {.life_s = 1};
	struct error err = ERROR_INIT;
	struct ceremony_signer ci;
	struct repo_publisher p;
	struct tuf_targets *t;
	struct seckey *key;
	struct ceremony *c;
	struct fixture f;

	fix_start(&f, "main");
	fix_ceremony(&f);
	key = fix_key(&ci, "ci");
	MUST(publisher_parse_word(&p, "ci:lab/*/*", &err));
	d = (struct ceremony_delegation){.publishers = &p, .publisher_count = 1, .life_s = FIX_DAY, .now_s = FIX_NOW,
					 .nonce = (const uint8_t[16]){1},
					 .root = buf_slice(&f.root_file), .targets = buf_slice(&f.targets_file)};
	REFUSED(ceremony_delegate(&out, &d, &err), ERR_USAGE, "needs a key");
	p.keys = xcalloc(1, sizeof(*p.keys));
	p.key_count = 1;
	*p.keys = ci.key;
	d.removed = unknown;
	d.removed_count = 1;
	REFUSED(ceremony_delegate(&out, &d, &err), ERR_NOT_FOUND, "'nobody'");
	d.removed = removed;
	buf_clear(&out);
	MUST(ceremony_delegate(&out, &d, &err));
	c = ceremony_parse(buf_slice(&out), &err);
	REQUIRE(c != NULL);
	CHECK_INT(ceremony_document_count(c), 1);
	ceremony_statement(&statement, c, FIX_NOW);
	CHECK(strstr(buf_cstr(&statement), "publisher 'ci' is new") != NULL);
	CHECK(strstr(buf_cstr(&statement), "publisher 'releases' may publish NOTHING any more") != NULL);
	/* Root signers have no say in targets. */
	buf_clear(&out);
	REFUSED(ceremony_sign(&out, c, f.root[0], FIX_NOW, NULL, &err), ERR_REFUSED, "not named");
	ceremony_free(c);
	d.removed_count = 0;
	d.root = buf_slice(&f.targets_file);
	REFUSED(ceremony_delegate(&out, &d, &err), ERR_MALFORMED, "root");
	fix_delegate(&f, &d);
	t = tuf_targets_parse(buf_slice(&f.targets_file), &err);
	REQUIRE(t != NULL);
	CHECK_INT(t->head.version, 2);
	CHECK_INT(json_count(json_get(t->delegations, "roles")), 2);
	tuf_targets_free(t);
	repo_publisher_release(&p);
	seckey_free(key);
	buf_release(&out);
	buf_release(&statement);
	fix_end(&f);
}

TEST(transcript_shows_a_changed_line)
{
	static const char *const files[] = {"request.json", "request.json"};
	static const uint8_t hashes[2][SHA256_LEN] = {{1}, {2}};
	struct transcript_step s = {.step = "new", .fingerprint = "00", .detail = "made", .files = files,
				    .hashes = hashes, .file_count = 2, .now_s = FIX_NOW};
	struct buf text = BUF_INIT(TRANSCRIPT_SIZE_MAX), bad;
	char head[TRANSCRIPT_HEAD_LEN], again[TRANSCRIPT_HEAD_LEN], path[128];
	struct error err = ERROR_INIT;
	struct fixture f;

	fix_start(&f, "main");
	MUST(transcript_read(f.home, &text, head, &err));
	CHECK_INT(text.len, 0);
	CHECK_INT(strspn(head, "0"), 64);
	MUST(transcript_append(f.home, &s, head, &err));
	s.step = "sign";
	MUST(transcript_append(f.home, &s, head, &err));
	MUST(transcript_append(f.home, &s, head, &err));
	MUST(transcript_read(f.home, &text, again, &err));
	CHECK_STR(again, head);
	snprintf(path, sizeof(path), "%s/ceremony/transcript", f.home);
	bad = edited(buf_slice(&text), "made", "fake");
	MUST(file_replace(AT_FDCWD, path, 0600, buf_slice(&bad), &err));
	REFUSED(transcript_append(f.home, &s, head, &err), ERR_REFUSED, "line 2: it does not follow");
	buf_release(&bad);
	bad = edited(buf_slice(&text), "\"n\":2", "\"n\":3");
	MUST(file_replace(AT_FDCWD, path, 0600, buf_slice(&bad), &err));
	REFUSED(transcript_append(f.home, &s, head, &err), ERR_REFUSED, "line 2: it has number 3");
	MUST(file_replace(AT_FDCWD, path, 0600, slice_sub(buf_slice(&text), 0, text.len - 1), &err));
	REFUSED(transcript_append(f.home, &s, head, &err), ERR_REFUSED, "line 3: it is cut short");
	buf_release(&bad);
	buf_release(&text);
	fix_end(&f);
}
