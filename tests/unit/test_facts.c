/*
 * Verified facts: what they spare, when they do not hold, and above all that a client with facts never does anything
 * else than one without.
 */
#include "tap.h"

#include <fcntl.h>

#include "tuf/facts.h"
#include "tufkit.h"

/* One client with its store; facts NULL: it verifies everything each time. */
struct side {
	struct kit_store store;
	struct facts *facts;
	struct kit_run run;
	char log[sizeof(((struct kit *)NULL)->log)];
	bool recalled;
};

static struct kit k;
static struct side with, without;
static struct buf anchor;
static int64_t clock_s;

static void open_facts(struct side *s)
{
	struct error err = ERROR_INIT;

	s->facts = facts_open(&s->store.t, s->store.dir, &err);
	if (s->facts == NULL)
		printf("# %s\n", err.text);
	REQUIRE(s->facts != NULL);
}

static void set_up(void)
{
	kit_init(&k);
	kit_target(&k.targets, "top/one", "one");
	kit_delegate_one(&k.targets, "plant", &k.spare[0], "\"paths\": [\"plant/*\"]", true);
	kit_target(kit_role(&k, "plant", &k.spare[0]), "plant/plc", "plc");
	kit_publish(&k);
	anchor = BUF_INIT(TUF_ROOT_MAX);
	buf_put_slice(&anchor, buf_slice(&kit_file(&k, "1.root.json")->bytes));
	clock_s = KIT_NOW;
	kit_store_open(&with.store);
	kit_store_open(&without.store);
	open_facts(&with);
	without.facts = NULL;
}

static void tear_down(void)
{
	facts_close(with.facts);
	kit_store_close(&with.store);
	kit_store_close(&without.store);
	buf_release(&anchor);
	kit_release(&k);
}

/* As commands/tuf_client.c does it: refresh, then find each path (NULL: none). The client stays in run.c. */
static void update(struct side *s, const char *path)
{
	struct tuf_options options = {.mode = TUF_MODE_CLIENT, .clock_s = clock_s};
	struct tuf_facts facts;
	struct tuf_found known;
	struct error err = ERROR_INIT;

	REQUIRE(trusted_floor(&s->store.t, &options.floor_s, &err) == 0);
	if (s->facts != NULL && facts_read(s->facts, &facts))
		options.facts = &facts;
	kit_run_with(&k, &s->run, buf_slice(&anchor), &s->store.t, &options, NULL);
	s->recalled = false;
	if (s->run.r == 0 && s->facts != NULL)
		facts_keep(s->facts, s->run.c);
	if (s->run.r == 0 && path != NULL) {
		if (s->facts != NULL && facts_recall(s->facts, slice_str(path), &known) &&
		    tuf_client_recall(s->run.c, &known)) {
			s->recalled = true;
			s->run.r = tuf_client_result(s->run.c, &s->run.result, &s->run.err);
		} else {
			kit_lookup(&k, &s->run, &s->store.t, path);
			if (s->facts != NULL && s->run.r == 0) {
				facts_keep(s->facts, s->run.c);
				facts_keep_found(s->facts, s->run.c);
			}
		}
	}
	memcpy(s->log, k.log, sizeof(s->log));
}

static void done(struct side *s)
{
	kit_done(&s->run);
}

/* An update that reads no file of the store is one whose client has no parsed root. */
static bool was_quick(const struct side *s)
{
	return s->run.c != NULL && tuf_client_root(s->run.c) == NULL;
}

TEST(nothing_new_reads_nothing)
{
	set_up();
	update(&with, NULL);
	CHECK_ACCEPTED(with.run);
	CHECK(!was_quick(&with));
	CHECK_STR(with.log, "2.root.json timestamp.json 1.snapshot.json 1.targets.json ");
	done(&with);
	update(&with, NULL);
	CHECK_ACCEPTED(with.run);
	CHECK(was_quick(&with));
	CHECK_STR(with.log, "2.root.json timestamp.json ");
	CHECK_INT(tuf_client_version(with.run.c, TUF_ROOT), 1);
	CHECK_INT(tuf_client_version(with.run.c, TUF_TARGETS), 1);
	done(&with);
	tear_down();
}

TEST(a_target_found_before_is_recalled)
{
	struct tuf_result first;

	set_up();
	update(&with, "plant/plc");
	CHECK_ACCEPTED(with.run);
	CHECK(!with.recalled);
	first = with.run.result;
	done(&with);
	update(&with, "plant/plc");
	CHECK(with.recalled && was_quick(&with));
	CHECK_STR(with.run.result.role, "plant");
	CHECK(with.run.result.prefixed && with.run.result.length == 3);
	CHECK(memcmp(&with.run.result.hashes, &first.hashes, sizeof(first.hashes)) == 0);
	CHECK(slice_equal_str(with.run.result.path, "plant/plc"));
	CHECK(with.run.result.custom.len == 0);
	CHECK_STR(with.log, "2.root.json timestamp.json ");
	done(&with);
	/* Another one has to be searched, with the files of the store. */
	update(&with, "top/one");
	CHECK_ACCEPTED(with.run);
	CHECK(!with.recalled && !was_quick(&with));
	CHECK_STR(with.log, "2.root.json timestamp.json ");
	done(&with);
	update(&with, "plant/none");
	CHECK_REFUSED(with.run, "lists it");
	done(&with);
	tear_down();
}

TEST(what_is_new_is_not_recalled)
{
	set_up();
	update(&with, "plant/plc");
	done(&with);
	buf_clear(&k.roles[0].targets);
	k.roles[0].version++;
	kit_bump(&k);
	update(&with, "plant/plc");
	CHECK(!with.recalled);
	CHECK_REFUSED(with.run, "lists it");
	done(&with);
	tear_down();
}

/* The plant's file ends before all others: until then its target is recalled. */
TEST(what_has_expired_is_not_recalled)
{
	set_up();
	k.roles[0].expires = "2027-01-15T09:00:00Z";
	kit_publish_online(&k);
	update(&with, "plant/plc");
	CHECK_ACCEPTED(with.run);
	done(&with);
	clock_s = KIT_NOW + 3599;
	update(&with, "plant/plc");
	CHECK(with.recalled);
	done(&with);
	clock_s = KIT_NOW + 3600;
	update(&with, "plant/plc");
	CHECK(!with.recalled);
	CHECK_REFUSED(with.run, "expired");
	done(&with);
	tear_down();
}

/* Put other bytes in the place of a stored file. */
static void touch(const struct side *s, const char *name, const char *bytes)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_replace(s->store.t.dirfd, name, 0600, slice_str(bytes), &err), 0);
}

TEST(facts_hold_for_their_files_only)
{
	static const char *const names[] = {"root.json", "timestamp.json", "snapshot.json", "targets.json"};
	struct error err = ERROR_INIT;
	struct tuf_facts facts;
	size_t i;

	set_up();
	CHECK(!facts_read(with.facts, &facts));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		update(&with, NULL);
		CHECK_ACCEPTED(with.run);
		done(&with);
		CHECK(facts_read(with.facts, &facts));
		touch(&with, names[i], "torn");
		CHECK(!facts_read(with.facts, &facts));
		update(&with, NULL);
		CHECK_ACCEPTED(with.run);
		CHECK(!was_quick(&with));
		done(&with);
		CHECK_INT(file_unlink(with.store.t.dirfd, names[i], &err), 0);
		CHECK(!facts_read(with.facts, &facts));
	}
	tear_down();
}

TEST(another_anchor_ends_the_facts)
{
	set_up();
	update(&with, NULL);
	done(&with);
	buf_put_u8(&anchor, '\n');
	update(&with, NULL);
	CHECK_ACCEPTED(with.run);
	CHECK(!was_quick(&with));
	done(&with);
	/* One that does not hold is not passed over for the facts' sake. */
	buf_clear(&anchor);
	buf_put_str(&anchor, "{}");
	update(&with, NULL);
	CHECK_REFUSED(with.run, "trusted root");
	done(&with);
	tear_down();
}

TEST(a_damaged_database_is_replaced)
{
	static const char *const damages[] = {"", "no database at all", "SQLite format 3"};
	struct error err = ERROR_INIT;
	size_t i;

	set_up();
	update(&with, NULL);
	done(&with);
	for (i = 0; i < ARRAY_SIZE(damages); i++) {
		facts_close(with.facts);
		CHECK_INT(file_replace(with.store.t.dirfd, "facts", 0600, slice_str(damages[i]), &err), 0);
		open_facts(&with);
		update(&with, "plant/plc");
		CHECK_ACCEPTED(with.run);
		CHECK(!was_quick(&with));
		done(&with);
		update(&with, "plant/plc");
		CHECK(with.recalled);
		done(&with);
	}
	tear_down();
}

/* What is kept in one process is there in the next. */
TEST(facts_are_kept_on_disk)
{
	set_up();
	update(&with, "plant/plc");
	done(&with);
	facts_close(with.facts);
	open_facts(&with);
	update(&with, "plant/plc");
	CHECK(with.recalled);
	done(&with);
	tear_down();
}

/* ---- with facts and without: the same in everything ---- */

static uint32_t seed = 20261128;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void next_root(bool rotate)
{
	k.version[TUF_ROOT]++;
	if (rotate)
		kit_signers_set(&k.by[TUF_TIMESTAMP], 1, &k.spare[1 + dice(3)], NULL, NULL);
	kit_publish_root(&k);
	k.version[TUF_TIMESTAMP]++;
	kit_publish_online(&k);
}

/* Something happens to the repository, to the way to it, to the clock or to both stores. */
static const char *happens(void)
{
	static const char *const stored[] = {"root.json", "timestamp.json", "snapshot.json", "targets.json"};
	struct kit_file *f = kit_file(&k, "timestamp.json");
	struct error err = ERROR_INIT;
	const char *name;

	switch (dice(14)) {
	case 0:
	case 1:
		k.roles[0].version++;
		kit_bump(&k);
		return "something is published";
	case 2:
		k.version[TUF_TIMESTAMP]++;
		kit_publish_online(&k);
		return "the timestamp is signed anew";
	case 3:
		next_root(false);
		return "the next root";
	case 4:
		next_root(true);
		return "the next root, with another timestamp key";
	case 5:
		f->bytes.ptr[f->bytes.len / 2] ^= 1;
		return "the timestamp is damaged on the way";
	case 6:
		f->answer = ERR_RETRY;
		return "the timestamp cannot be had";
	case 7:
		kit_publish_online(&k);
		return "the server is itself again";
	case 8:
		clock_s += 5 * 24 * 3600;
		return "five days go by";
	case 9:
		clock_s = KIT_NOW;
		return "the clock is set back";
	case 10:
		name = stored[dice(4)];
		touch(&with, name, "{}");
		touch(&without, name, "{}");
		return "a stored file is damaged";
	case 11:
		name = stored[dice(4)];
		REQUIRE(file_unlink(with.store.t.dirfd, name, &err) == 0);
		REQUIRE(file_unlink(without.store.t.dirfd, name, &err) == 0);
		return "a stored file is lost";
	case 12:
		k.expires[dice(TUF_TYPES)] = dice(2) ? KIT_PAST : "2027-02-01T00:00:00Z";
		k.targets.expires = dice(2) ? KIT_EXPIRES : "2027-01-25T00:00:00Z";
		k.roles[0].expires = dice(2) ? KIT_EXPIRES : "2027-01-20T00:00:00Z";
		kit_bump(&k);
		return "something else expires first";
	default:
		k.expires[TUF_ROOT] = k.expires[TUF_TIMESTAMP] = k.expires[TUF_SNAPSHOT] = KIT_EXPIRES;
		return "nothing happens";
	}
}

static bool same_outcome(const char *path)
{
	const struct kit_run *a = &with.run, *b = &without.run;
	unsigned t;

	if (a->r != b->r || (a->r < 0 && (a->err.kind != b->err.kind || strcmp(a->err.text, b->err.text) != 0)))
		return false;
	if (strcmp(with.log, without.log) != 0)
		return false;
	for (t = 0; a->r == 0 && t < TUF_TYPES; t++)
		if (tuf_client_version(a->c, (enum tuf_type)t) != tuf_client_version(b->c, (enum tuf_type)t))
			return false;
	return a->r < 0 || path == NULL ||
	       (strcmp(a->result.role, b->result.role) == 0 && a->result.length == b->result.length &&
		memcmp(&a->result.hashes, &b->result.hashes, sizeof(a->result.hashes)) == 0);
}

/* The kit's table of files is small; old versions of all but roots are asked for by nobody. */
static void forget_old_files(void)
{
	unsigned i, n = 0;

	if (k.file_count < KIT_FILES - 16)
		return;
	for (i = 0; i < k.file_count; i++) {
		if (strstr(k.files[i].path, ".root.json") != NULL)
			k.files[n++] = k.files[i];
		else
			buf_release(&k.files[i].bytes);
	}
	k.file_count = n;
	kit_publish_online(&k);
}

TEST(a_client_with_facts_does_what_one_without_does)
{
	static const char *const paths[] = {NULL, "plant/plc", "top/one", "plant/none", "plant/plc"};
	unsigned i, quick = 0, recalled = 0, refused = 0;

	set_up();
	for (i = 0; i < 400; i++) {
		const char *path = paths[dice(ARRAY_SIZE(paths))], *what = happens();
		bool same;

		forget_old_files();
		update(&with, path);
		update(&without, path);
		same = same_outcome(path);
		quick += was_quick(&with);
		recalled += with.recalled;
		refused += with.run.r < 0;
		if (!same)
			printf("# round %u, %s: %d '%s' [%s]\n#   without facts: %d '%s' [%s]\n", i, what, with.run.r,
			       with.run.err.text, with.log, without.run.r, without.run.err.text, without.log);
		CHECK(same);
		done(&with);
		done(&without);
		if (!same)
			break;
	}
	printf("# %u rounds: %u quick, %u recalled, %u refused\n", i, quick, recalled, refused);
	CHECK(i == 400 && quick > 10 && recalled > 3 && refused > 20);
	tear_down();
}

