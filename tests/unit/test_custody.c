/* The chain of custody: a journey between two sites, and every way in which two trails can contradict each other. */
#include "tap.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "base/encode.h"
#include "fleet/custody.h"
#include "store/schema.h"

static char dir[] = "/tmp/test_custody.XXXXXX";

static void leave(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

enum { HQ, DEPOT };
static const char *const names[] = {"main", "depot-7"};

/* Two control planes, as far as their trails go. */
struct world {
	struct db *db[2];
	int64_t time_s;
};

static void world_open(struct world *w)
{
	struct error err = ERROR_INIT;
	char path[64];
	unsigned i;

	*w = (struct world){.time_s = 1795203000};
	REQUIRE(crypto_start(&err) == 0 && mkdtemp(dir) != NULL);
	atexit(leave);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s.db", dir, names[i]);
		w->db[i] = db_open(path, DB_CREATE, &control_schema, &err);
		REQUIRE(w->db[i] != NULL);
	}
}

static void world_close(struct world *w)
{
	db_close(w->db[0]);
	db_close(w->db[1]);
}

static struct audit_head head(const struct world *w, unsigned side)
{
	struct error err = ERROR_INIT;
	struct audit_head h;

	REQUIRE(audit_head(w->db[side], &h, &err) == 0);
	return h;
}

static int64_t say(struct world *w, unsigned side, const char *action, const char *object, const char *verdict,
		   const char *fmt, ...) PRINTF_LIKE(6, 7);

static int64_t say(struct world *w, unsigned side, const char *action, const char *object, const char *verdict,
		   const char *fmt, ...)
{
	struct error err = ERROR_INIT;
	char site[80], detail[2048];
	struct audit_entry e = {.time_s = w->time_s++, .actor = "local:0", .action = action, .object = site, .verdict = verdict};
	va_list ap;

	snprintf(site, sizeof(site), "%s%s", strchr(object, ':') == NULL && object[0] != '\0' ? "site:" : "", object);
	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	e.detail = slice_str(detail);
	if (audit_append(w->db[side], &e, &err) < 0)
		printf("# %s\n", err.text);
	return head(w, side).seq;
}

/* "...", a head as details have it. One buffer each for the heads of one row. */
static const char *head_text(struct audit_head h)
{
	static char text[128];
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, h.hash, SHA256_LEN);
	snprintf(text, sizeof(text), "{\"seq\":%lld,\"hash\":\"%s\"}", (long long)h.seq, hex);
	return text;
}

/* Names: 64 digits of one letter. */
static const char *id(char c)
{
	static char text[2][65];
	static unsigned turn;
	char *t = text[turn++ % 2];

	memset(t, c, 64);
	t[64] = '\0';
	return t;
}

static int64_t exported(struct world *w, char name, int sequence, struct audit_head h)
{
	return say(w, HQ, "bundle.export", "depot-7", "ok",
		   "{\"bundle\":\"%s\",\"sequence\":%d,\"members\":3,\"bytes\":100,\"since\":null,\"head\":%s}", id(name),
		   sequence, head_text(h));
}

static int64_t imported(struct world *w, char name, int sequence, struct audit_head h)
{
	return say(w, DEPOT, "bundle.import", "main", "ok", "{\"bundle\":\"%s\",\"sequence\":%d,\"origin_head\":%s,\"root\":1}",
		   id(name), sequence, head_text(h));
}

static int64_t made(struct world *w, char name, char bundle, struct audit_head h)
{
	return say(w, DEPOT, "receipt.make", "depot-7", "ok", "{\"receipt\":\"%s\",\"bundle\":\"%s\",\"head\":%s}", id(name),
		   id(bundle), head_text(h));
}

static int64_t accepted(struct world *w, char name, char bundle, struct audit_head h)
{
	return say(w, HQ, "receipt.accept", "depot-7", "ok", "{\"receipt\":\"%s\",\"bundle\":\"%s\",\"site_head\":%s}", id(name),
		   id(bundle), head_text(h));
}

/* ---- judging ---- */

static int write_export(struct world *w, unsigned side, int64_t from)
{
	struct buf out = BUF_INIT(16u << 20), text = BUF_INIT(AUDIT_HEAD_TEXT_MAX);
	int fd = memfd_create("export", MFD_CLOEXEC);
	struct error err = ERROR_INIT;
	struct audit_head h = head(w, side);
	struct audit_walk walk;

	audit_walk_open(&walk, w->db[side], &(struct audit_filter){.from_seq = from});
	while (audit_walk_next(&walk, &err) > 0) {
		audit_record_put(&out, &walk.record);
		buf_put_u8(&out, '\n');
	}
	audit_walk_close(&walk);
	audit_head_put(&text, &h, names[side], w->time_s, NULL);
	audit_trailer_put(&out, buf_slice(&text), SLICE_EMPTY);
	buf_put_u8(&out, '\n');
	REQUIRE(fd >= 0 && write(fd, out.ptr, out.len) == (ssize_t)out.len);
	buf_release(&out);
	buf_release(&text);
	return fd;
}

struct judged {
	struct custody *c;
	const struct custody_link *links;
	unsigned count, contradictions;
	struct error err;
};

/* Sides in this order: HQ first, or the depot. */
static int judge_from(struct world *w, unsigned first, const struct audit_head *witness, struct judged *j)
{
	struct audit_export_report reports[2] = {{.has_signature = false}, {.has_signature = false}};
	const char (*list)[CUSTODY_TEXT_MAX];
	int fds[2], r = 0;
	unsigned i;

	*j = (struct judged){.c = custody_new(), .err = ERROR_INIT};
	if (witness != NULL)
		reports[0].chain.witness = *witness;
	for (i = 0; i < 2; i++) {
		fds[i] = write_export(w, i == 0 ? first : 1 - first, i == 0 && witness != NULL ? witness->seq + 1 : 0);
		if (r == 0)
			r = custody_read(j->c, i, fds[i], NULL, 0, &reports[i], &j->err);
	}
	if (r == 0)
		r = custody_judge(j->c, &j->err);
	j->count = custody_links(j->c, &j->links);
	(void)custody_contradictions(j->c, &list, &j->contradictions);
	for (i = 0; i < 2; i++)
		close(fds[i]);
	return r;
}

/* The trails contradict each other in just this, from whichever side one looks. */
static void refuse(struct world *w, const char *says)
{
	unsigned first;

	for (first = 0; first < 2; first++) {
		const char (*list)[CUSTODY_TEXT_MAX];
		unsigned total, n, i;
		struct judged j;
		bool found = false;

		CHECK_INT(judge_from(w, first, NULL, &j), -1);
		CHECK_INT(j.err.kind, ERR_REFUSED);
		n = custody_contradictions(j.c, &list, &total);
		for (i = 0; i < n; i++)
			found = found || strstr(list[i], says) != NULL;
		if (!found) {
			printf("# nobody says: %s\n", says);
			for (i = 0; i < n; i++)
				printf("#   %s\n", list[i]);
		}
		CHECK(found);
		custody_free(j.c);
	}
}

static void hold(struct world *w, struct judged *j)
{
	int r = judge_from(w, HQ, NULL, j);

	if (r < 0)
		printf("# %s\n", j->err.text);
	CHECK_INT(r, 0);
	CHECK_INT(j->contradictions, 0);
}

/* HQ 1: something, 2: export a; depot 1: something, 2: import a, 3: receipt; HQ 3: accept. */
static void journey(struct world *w)
{
	struct audit_head h;

	say(w, HQ, "artifact.publish", "artifact:x", "ok", "{}");
	say(w, DEPOT, "device.register", "device:y", "ok", "{}");
	h = head(w, HQ);
	exported(w, 'a', 12, h);
	imported(w, 'a', 12, h);
	h = head(w, DEPOT);
	made(w, 'e', 'a', h);
	accepted(w, 'e', 'a', h);
}

TEST(a_whole_journey_is_told_by_its_records)
{
	struct judged j;
	struct world w;

	world_open(&w);
	journey(&w);
	hold(&w, &j);
	REQUIRE(j.count == 1);
	CHECK_INT(j.links[0].state, CUSTODY_ACKNOWLEDGED);
	CHECK_INT(j.links[0].from, 0);
	CHECK_INT(j.links[0].exported->seq, 2);
	CHECK_INT(j.links[0].exported->sequence, 12);
	CHECK_INT(j.links[0].imported->seq, 2);
	CHECK_INT(j.links[0].receipt->seq, 3);
	CHECK_INT(j.links[0].accepted->seq, 3);
	CHECK(j.links[0].refused == NULL);
	custody_free(j.c);
	/* The same from the other side. */
	CHECK_INT(judge_from(&w, DEPOT, NULL, &j), 0);
	REQUIRE(j.count == 1);
	CHECK_INT(j.links[0].from, 1);
	CHECK_STR(custody_site(j.c, 0), "depot-7");
	custody_free(j.c);
	world_close(&w);
}

TEST(what_is_under_way_is_open_and_no_contradiction)
{
	struct audit_head h;
	struct judged j;
	struct world w;

	world_open(&w);
	journey(&w);
	exported(&w, 'b', 13, head(&w, HQ));	/* never arrives */
	h = head(&w, HQ);
	exported(&w, 'c', 14, h);
	imported(&w, 'c', 14, h);		/* without a receipt */
	h = head(&w, HQ);
	exported(&w, 'd', 15, h);
	say(&w, DEPOT, "bundle.import", "main", "refused",
	    "{\"bundle\":\"%s\",\"sequence\":15,\"origin_head\":%s,\"kind\":\"refused\",\"text\":\"too \\u001b old\"}", id('d'),
	    head_text(h));
	exported(&w, 'f', 16, h);
	say(&w, DEPOT, "bundle.import", "main", "refused", "{\"bundle\":\"%s\",\"kind\":\"refused\",\"text\":\"torn\"}", id('f'));
	imported(&w, 'f', 16, h);
	made(&w, '9', 'f', head(&w, DEPOT));
	/* Of others, and for others: not of this journey. */
	say(&w, HQ, "bundle.export", "depot-8", "ok", "{\"bundle\":\"%s\",\"sequence\":1,\"head\":%s}", id('0'), head_text(h));
	say(&w, HQ, "receipt.accept", "depot-8", "ok", "{\"receipt\":\"%s\",\"bundle\":null,\"site_head\":%s}", id('1'),
	    head_text((struct audit_head){.seq = 900}));
	say(&w, HQ, "bundle.export", "depot-7", "refused", "{\"error\":\"no\"}");
	say(&w, DEPOT, "bundle.import", "", "refused", "{\"error\":\"no permission\"}");
	say(&w, DEPOT, "bundle.import", "elsewhere", "failed", "{\"bundle\":\"%s\"}", id('2'));
	hold(&w, &j);
	REQUIRE(j.count == 5);
	CHECK_INT(j.links[0].state, CUSTODY_ACKNOWLEDGED);
	CHECK_INT(j.links[1].state, CUSTODY_UNDER_WAY);
	CHECK_INT(j.links[2].state, CUSTODY_IMPORTED);
	CHECK(j.links[2].receipt != NULL && j.links[2].accepted == NULL);
	CHECK_INT(j.links[3].state, CUSTODY_REFUSED);
	CHECK_STR(j.links[3].refused->why, "too \\x1b old");
	CHECK(j.links[4].state == CUSTODY_IMPORTED && j.links[4].refused != NULL && j.links[4].receipt != NULL);
	custody_free(j.c);
	/* A later receipt covers all that came before it. */
	accepted(&w, '9', 'f', (struct audit_head){.seq = 0});
	refuse(&w, "receipt 999999999999: record");
	world_close(&w);
}

TEST(a_later_receipt_covers_the_bundles_before_it)
{
	struct audit_head h;
	struct judged j;
	struct world w;

	world_open(&w);
	journey(&w);
	h = head(&w, HQ);
	exported(&w, 'b', 13, h);
	imported(&w, 'b', 13, h);
	h = head(&w, HQ);
	exported(&w, 'c', 14, h);
	imported(&w, 'c', 14, h);
	h = head(&w, DEPOT);
	made(&w, 'f', 'c', h);
	accepted(&w, 'f', 'c', h);
	hold(&w, &j);
	REQUIRE(j.count == 3);
	CHECK(j.links[1].state == CUSTODY_ACKNOWLEDGED && j.links[2].state == CUSTODY_ACKNOWLEDGED);
	CHECK(j.links[1].accepted == j.links[2].accepted);
	custody_free(j.c);
	world_close(&w);
}

TEST(a_refused_bundle_that_nobody_exported_is_told_and_contradicts_nothing)
{
	struct judged j;
	struct world w;

	world_open(&w);
	journey(&w);
	say(&w, DEPOT, "bundle.import", "main", "refused",
	    "{\"bundle\":\"%s\",\"sequence\":99,\"origin_head\":%s,\"kind\":\"refused\",\"text\":\"not signed\"}", id('7'),
	    head_text((struct audit_head){.seq = 4711}));
	hold(&w, &j);
	REQUIRE(j.count == 2);
	CHECK(j.links[1].exported == NULL && j.links[1].state == CUSTODY_REFUSED);
	custody_free(j.c);
	world_close(&w);
}

TEST(an_import_that_was_never_exported_is_a_contradiction)
{
	struct world w;

	world_open(&w);
	journey(&w);
	imported(&w, 'b', 13, head(&w, HQ));
	refuse(&w, "bundle bbbbbbbbbbbb: record 4 of 'depot-7' imported it, and no record of 'main' exported it");
	world_close(&w);
}

TEST(a_receipt_that_was_never_made_is_a_contradiction)
{
	struct world w;

	world_open(&w);
	journey(&w);
	accepted(&w, 'f', 'a', head(&w, DEPOT));
	refuse(&w, "receipt ffffffffffff: record 4 of 'main' accepted it, and no record of 'depot-7' made it");
	world_close(&w);
}

TEST(another_head_or_number_on_arrival_is_a_contradiction)
{
	struct audit_head h, bent;
	struct world w;

	world_open(&w);
	journey(&w);
	h = head(&w, HQ);
	exported(&w, 'b', 13, h);
	bent = h;
	bent.hash[3] ^= 1;
	imported(&w, 'b', 13, bent);
	refuse(&w, "record 4 of 'main' exported it with head 3, record 4 of 'depot-7' imported it with another head 3");
	refuse(&w, "with head 3, which is not the record of this number in the trail of 'main'");
	h = head(&w, HQ);
	exported(&w, 'c', 14, h);
	imported(&w, 'c', 15, h);
	refuse(&w, "exported it as number 14, record 5 of 'depot-7' imported it as number 15");
	world_close(&w);
}

TEST(a_receipt_accepted_other_than_it_was_made_is_a_contradiction)
{
	struct audit_head h;
	struct world w;

	world_open(&w);
	journey(&w);
	h = head(&w, DEPOT);
	made(&w, 'f', 'a', h);
	accepted(&w, 'f', 'b', h);
	refuse(&w, "receipt ffffffffffff: record 4 of 'depot-7' made it with head 3, record 4 of 'main' accepted it with another");
	h = head(&w, DEPOT);
	made(&w, '8', 'a', h);
	h.seq--;
	accepted(&w, '8', 'a', h);
	refuse(&w, "accepted it with head 3");
	world_close(&w);
}

/* The exporter's own head: somebody has put records in since. */
TEST(a_head_of_the_own_trail_must_stand_in_it_before_the_record)
{
	struct audit_head h = {.seq = 1};
	struct world w;

	world_open(&w);
	journey(&w);
	exported(&w, 'b', 13, h);
	refuse(&w, "record 4 of 'main' exported it with head 1, which is not the record of this number in the trail of 'main'");
	made(&w, 'f', 'a', h);
	refuse(&w, "record 4 of 'depot-7' made it with head 1, which is not the record of this number in the trail of 'depot-7'");
	h.seq = 77;
	exported(&w, 'c', 14, h);
	refuse(&w, "with head 77, and that is beyond the end of the trail of 'main'");
	world_close(&w);
}

TEST(a_trail_that_ends_before_what_the_other_has_witnessed_is_a_contradiction)
{
	struct audit_head h;
	struct world w;

	world_open(&w);
	journey(&w);
	h = head(&w, DEPOT);
	h.seq += 5;
	accepted(&w, 'f', 'a', h);
	refuse(&w, "record 4 of 'main' accepted it with head 8, and that is beyond the end of the trail of 'depot-7'");
	world_close(&w);
}

TEST(an_import_before_its_export_is_a_contradiction)
{
	struct audit_head h;
	struct world w;

	world_open(&w);
	journey(&w);
	h = head(&w, HQ);
	imported(&w, 'b', 13, h);		/* depot 4 */
	made(&w, 'f', 'b', head(&w, DEPOT));	/* depot 5, of head 4 */
	accepted(&w, 'f', 'b', head(&w, DEPOT));
	exported(&w, 'b', 13, h);
	refuse(&w, "bundle bbbbbbbbbbbb: imported by record 4 of 'depot-7' before it was exported");
	world_close(&w);
}

TEST(a_receipt_accepted_before_it_was_made_is_a_contradiction)
{
	struct audit_head h;
	struct world w;

	world_open(&w);
	journey(&w);
	h = head(&w, DEPOT);
	accepted(&w, 'f', 'a', h);		/* HQ 4 */
	exported(&w, 'b', 13, head(&w, HQ));	/* HQ 5, of head 4 */
	imported(&w, 'b', 13, (struct audit_head){.seq = 4});
	made(&w, 'f', 'a', h);
	refuse(&w, "receipt ffffffffffff: accepted by record 4 of 'main' before it was made");
	world_close(&w);
}

TEST(two_trails_of_one_site_have_no_journey)
{
	struct audit_export_report report = {.has_signature = false};
	struct custody *c = custody_new();
	struct error err = ERROR_INIT;
	struct world w;
	unsigned i;
	int fd;

	world_open(&w);
	journey(&w);
	fd = write_export(&w, HQ, 0);
	for (i = 0; i < 2; i++) {
		report = (struct audit_export_report){.has_signature = false};
		CHECK_INT(custody_read(c, i, fd, NULL, 0, &report, &err), 0);
	}
	CHECK_INT(custody_judge(c, &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	close(fd);
	custody_free(c);
	world_close(&w);
}

TEST(a_trail_from_a_witnessed_head_on_is_compared_as_far_as_it_goes)
{
	struct audit_head third, h;
	struct judged j;
	struct world w;

	world_open(&w);
	journey(&w);
	third = head(&w, HQ);
	h = third;
	exported(&w, 'b', 13, h);
	imported(&w, 'b', 13, h);
	hold(&w, &j);
	custody_free(j.c);
	/* Without records 1 to 3: where bundle a comes from nobody can see. Of record 3 the next one bears the hash. */
	CHECK_INT(judge_from(&w, HQ, &third, &j), 0);
	CHECK_INT(custody_unseen(j.c), 1);
	REQUIRE(j.count == 2);
	CHECK(j.links[0].exported->seq == 4 && j.links[0].imported->seq == 4);
	CHECK(j.links[1].exported == NULL && j.links[1].imported->seq == 2);
	custody_free(j.c);
	/* One that was witnessed since must have been exported since. */
	imported(&w, 'c', 14, head(&w, HQ));
	CHECK_INT(judge_from(&w, HQ, &third, &j), -1);
	CHECK(strstr(j.err.text, "bundle cccccccccccc: record 5 of 'depot-7' imported it, and no record") != NULL);
	custody_free(j.c);
	world_close(&w);
}

TEST(records_that_were_done_and_say_nothing_are_malformed)
{
	static const struct {
		const char *action, *object, *detail;
	} bad[] = {
		{"bundle.export", "depot-7", "{}"},
		{"bundle.export", "", "{}"},
		{"bundle.export", "site:No Name", "{}"},
		{"bundle.export", "depot-7", "{\"bundle\":\"12\",\"sequence\":1,\"head\":{\"seq\":1,\"hash\":\"\"}}"},
		{"bundle.import", "main", "{\"bundle\":null,\"sequence\":1}"},
		{"receipt.make", "depot-7", "{\"bundle\":null,\"receipt\":\"x\",\"head\":{\"seq\":-1,\"hash\":\"\"}}"},
		{"receipt.accept", "depot-7", "{\"bundle\":null,\"site_head\":5}"},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = ERROR_INIT;
		struct audit_export_report report = {.has_signature = false};
		struct custody *c = custody_new();
		struct world w;
		int fd;

		world_open(&w);
		say(&w, HQ, bad[i].action, bad[i].object, "ok", "%s", bad[i].detail);
		fd = write_export(&w, HQ, 0);
		CHECK_INT(custody_read(c, 0, fd, NULL, 0, &report, &err), -1);
		CHECK_INT(err.kind, ERR_MALFORMED);
		CHECK(strstr(err.text, "audit record 1, ") != NULL);
		close(fd);
		custody_free(c);
		world_close(&w);
		leave();
		memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	}
}
