/* The agent's parts that need no network: packed files, links, state, places, probes. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "agent/blobs.h"
#include "agent/home.h"
#include "agent/link.h"
#include "agent/place.h"
#include "agent/probe.h"
#include "agent/state.h"
#include "agent/supervisor.h"
#include "crypto/key.h"
#include "crypto/x509.h"
#include "sys/file.h"

static char dir[] = "/tmp/meshanics-agent-XXXXXX";

/* A fresh directory, as the working one of this test. */
static int make_dir(void)
{
	int fd;

	REQUIRE(mkdtemp(dir) != NULL);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	return fd;
}

static void drop_dir(int fd)
{
	struct error err = ERROR_INIT;

	close(fd);
	CHECK(file_remove_tree(AT_FDCWD, dir, &err) == 0);
}

TEST(blobs_round_trip)
{
	struct buf b = BUF_INIT(1000);
	struct tuf_blob list[BLOBS_MAX];
	struct error err = ERROR_INIT;
	unsigned n;

	blobs_put(&b, SLICE_LIT("1.root.json"), SLICE_LIT("{}"));
	blobs_put(&b, SLICE_LIT("timestamp.json"), SLICE_EMPTY);
	CHECK(blobs_read(list, &n, buf_slice(&b), &err) == 0);
	CHECK_INT(n, 2);
	CHECK(slice_equal_str(blobs_find(list, n, SLICE_LIT("1.root.json")), "{}"));
	CHECK(blobs_find(list, n, SLICE_LIT("2.root.json")).ptr == NULL);
	CHECK(blobs_find(list, n, SLICE_LIT("timestamp.json")).len == 0);
	buf_release(&b);
}

TEST(blobs_refuse_every_cut)
{
	struct buf b = BUF_INIT(1000);
	struct tuf_blob list[BLOBS_MAX];
	struct error err = ERROR_INIT;
	unsigned n;
	size_t i;

	blobs_put(&b, SLICE_LIT("a"), SLICE_LIT("xyz"));
	for (i = 1; i < b.len; i++)
		CHECK(blobs_read(list, &n, slice_sub(buf_slice(&b), 0, i), &err) < 0);
	CHECK(blobs_read(list, &n, SLICE_LIT("\0\0\0\0\0\0"), &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	buf_release(&b);
}

TEST(blobs_refuse_too_many)
{
	struct buf b = BUF_INIT(1 << 16);
	struct tuf_blob list[BLOBS_MAX];
	struct error err = ERROR_INIT;
	unsigned n, i;

	for (i = 0; i <= BLOBS_MAX; i++)
		blobs_put(&b, SLICE_LIT("a"), SLICE_EMPTY);
	CHECK(blobs_read(list, &n, buf_slice(&b), &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&b);
}

TEST(link_carries_bodies_and_descriptors)
{
	struct link_msg m = LINK_MSG_INIT;
	struct error err = ERROR_INIT, why = ERROR_INIT;
	struct buf text = BUF_INIT(100), small = BUF_INIT(3);
	struct link_reply said = {403, 77, 1234}, reply;
	int s[2], fd;

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == 0);
	fd = link_blob(SLICE_LIT("hello"), &err);
	REQUIRE(fd >= 0);
	CHECK(link_send(s[0], LINK_POST, SLICE_LIT("{\"path\":\"/x\"}"), fd, &err) == 0);
	CHECK(link_recv(s[1], &m, &err) == 1);
	CHECK_INT(m.type, LINK_POST);
	CHECK(slice_equal_str(buf_slice(&m.body), "{\"path\":\"/x\"}"));
	CHECK(link_blob_read(m.fd, &text, &err) == 0);
	CHECK(slice_equal_str(buf_slice(&text), "hello"));
	CHECK(link_blob_read(m.fd, &small, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK(write(m.fd, "x", 1) < 0);	/* sealed */

	error_set(&why, ERR_REFUSED, "no");
	error_hint(&why, "ask again");
	CHECK(link_send_error(s[1], &why, &said, &err) == 0);
	CHECK(link_recv(s[0], &m, &err) == 1);
	why = ERROR_INIT;
	link_read_error(&m, &why, &reply);
	CHECK_INT(why.kind, ERR_REFUSED);
	CHECK_STR(why.text, "no");
	CHECK_STR(why.hint, "ask again");
	CHECK_INT(reply.status, 403);
	CHECK_INT(reply.retry_after_s, 77);
	CHECK_INT(reply.received, 1234);
	CHECK(link_send_done(s[1], 4321, -1, &err) == 0);
	CHECK(link_recv(s[0], &m, &err) == 1);
	CHECK_INT(m.type, LINK_DONE);
	CHECK_INT(link_read_received(&m), 4321);
	close(s[1]);
	CHECK(link_recv(s[0], &m, &err) == 0);
	CHECK(link_send(s[0], LINK_DONE, SLICE_EMPTY, -1, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	link_msg_release(&m);
	buf_release(&text);
	buf_release(&small);
	close(fd);
	close(s[0]);
}

TEST(link_refuses_foreign_messages)
{
	static const uint8_t bad[][12] = {"short", "xxxxxxxxxxx"};
	struct link_msg m = LINK_MSG_INIT;
	struct error err = ERROR_INIT;
	uint8_t huge[LINK_BODY_MAX + 1];
	int s[2];
	size_t i;

	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) == 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(send(s[0], bad[i], i == 0 ? 5 : 12, 0) > 0);
		CHECK(link_recv(s[1], &m, &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	memset(huge, 'x', sizeof(huge));
	CHECK(link_send(s[0], LINK_DONE, slice_of(huge, sizeof(huge)), -1, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	close(s[0]);
	close(s[1]);
}

static void enter(struct db *db, struct update *u, enum update_state next)
{
	struct error err = ERROR_INIT;

	CHECK(state_enter(db, u, next, NULL, "because", 1000, &err) == 0);
}

TEST(a_state_is_told_again_but_not_without_end)
{
	struct error err = ERROR_INIT;
	struct update u;
	struct report report;
	int64_t number = 7;
	int fd = make_dir(), n = 0, i;
	struct db *db = state_open(dir, &err);

	REQUIRE(db != NULL);
	update_init(&u);
	CHECK(update_set_path(&u, SLICE_LIT("plant/plc/1.2"), &err) == 0);
	u.assignment = 7;
	enter(db, &u, UPDATE_DOWNLOADING);
	for (i = 0; i < 3 * REPORTS_WAITING_MAX; i++)
		CHECK(state_say(db, &u, "no way", 1000 + i, &err) == 0);
	CHECK_STR(u.reason, "no way");
	CHECK_INT(u.state, UPDATE_DOWNLOADING);
	enter(db, &u, UPDATE_FAILED);	/* a transition is always told */
	while (state_next_report(db, &report, &err) == 1) {
		CHECK_STR(report.reason, n == 0 || report.state == UPDATE_FAILED ? "because" : "no way");
		CHECK(state_report_done(db, report.seq, &err) == 0);
		n++;
	}
	CHECK_INT(n, REPORTS_WAITING_MAX + 1);
	CHECK(state_get_number(db, "interval", &number, &err) == 0);
	CHECK_INT(number, 0);
	CHECK(state_set_number(db, "interval", INT64_MIN, &err) == 0 && state_get_number(db, "interval", &number, &err) == 0);
	CHECK(number == INT64_MIN);
	CHECK(state_set_fact(db, "interval", SLICE_LIT("what"), &err) == 0 &&
	      state_get_number(db, "interval", &number, &err) == 0);
	CHECK_INT(number, 0);
	update_release(&u);
	db_close(db);
	drop_dir(fd);
}

TEST(state_survives_and_reports_in_order)
{
	struct error err = ERROR_INIT;
	struct update u, again;
	struct buf text = BUF_INIT(4096);
	struct report report;
	char one[INSTANCE_LEN], two[INSTANCE_LEN];
	enum update_state next;
	int fd = make_dir();
	struct db *db = state_open(dir, &err);

	REQUIRE(db != NULL);
	update_init(&u);
	update_init(&again);
	CHECK(state_instance(db, one, &err) == 0);
	CHECK(update_set_path(&u, SLICE_LIT("plant/plc/1.2"), &err) == 0);
	CHECK_STR(u.artifact, "plant/plc");
	CHECK_STR(u.version, "1.2");
	u.assignment = 7;
	enter(db, &u, UPDATE_DOWNLOADING);
	u.signed_known = true;
	u.length = 5;
	memset(u.sha256, 9, sizeof(u.sha256));
	snprintf(u.url, sizeof(u.url), "plant/plc/x.1.2");
	buf_put_str(&u.descriptor, "{}");
	CHECK(state_keep_signed(db, &u, &err) == 0);
	enter(db, &u, UPDATE_VERIFYING);
	db_close(db);

	db = state_open(dir, &err);
	REQUIRE(db != NULL);
	CHECK(state_instance(db, two, &err) == 0);
	CHECK_STR(two, one);
	CHECK(state_load_update(db, &again, &err) == 0);
	CHECK_INT(again.assignment, 7);
	CHECK_INT(again.state, UPDATE_VERIFYING);
	CHECK_STR(again.path, "plant/plc/1.2");
	CHECK(again.signed_known && again.length == 5 && memcmp(again.sha256, u.sha256, 32) == 0);
	CHECK_INT(state_of(db, 7, &err), UPDATE_VERIFYING);
	CHECK_INT(state_of(db, 8, &err), UPDATE_NONE);
	enter(db, &again, UPDATE_APPLYING);
	enter(db, &again, UPDATE_PROBING);
	enter(db, &again, UPDATE_HEALTHY);
	for (next = UPDATE_DOWNLOADING; next <= UPDATE_HEALTHY; next++) {
		CHECK_INT(state_next_report(db, &report, &err), 1);
		CHECK_INT(report.state, next);
		CHECK_INT(report.assignment, 7);
		CHECK_STR(report.path, "plant/plc/1.2");
		CHECK(state_report_done(db, report.seq, &err) == 0);
	}
	CHECK_INT(state_next_report(db, &report, &err), 0);
	CHECK(state_get_metadata(db, &text, &err) == 0);
	CHECK_STR(buf_cstr(&text), "{}");
	CHECK(state_set_metadata(db, SLICE_LIT("{\"root\":1}"), &err) == 0);
	buf_clear(&text);
	CHECK(state_get_metadata(db, &text, &err) == 0);
	CHECK_STR(buf_cstr(&text), "{\"root\":1}");
	update_release(&again);
	CHECK(state_load_update(db, &again, &err) == 0);
	CHECK_INT(again.assignment, 0);
	update_release(&u);
	update_release(&again);
	buf_release(&text);
	db_close(db);
	drop_dir(fd);
}

static void check_installed(const struct installed *i, const char *version, const char *previous, const char *older)
{
	CHECK_STR(i->version, version);
	CHECK_STR(i->previous, previous);
	CHECK_STR(i->older, older);
}

TEST(state_keeps_how_long_a_stay_took)
{
	struct error err = ERROR_INIT;
	struct update u;
	int64_t stay_s = -1;
	int fd = make_dir();
	struct db *db = state_open(dir, &err);

	REQUIRE(db != NULL);
	update_init(&u);
	CHECK(update_set_path(&u, SLICE_LIT("plant/plc/1.2"), &err) == 0);
	u.assignment = 7;
	enter(db, &u, UPDATE_DOWNLOADING);
	CHECK(state_stay(db, &u, &stay_s, &err) == 0);
	CHECK_INT(stay_s, 0);
	CHECK(state_note_stay(db, &u, 300, &err) == 0);
	CHECK(state_note_stay(db, &u, INT64_C(5000000000), &err) == 0);
	enter(db, &u, UPDATE_VERIFYING);	/* a stay of its own */
	CHECK(state_stay(db, &u, &stay_s, &err) == 0);
	CHECK_INT(stay_s, 0);
	db_close(db);
	db = state_open(dir, &err);
	REQUIRE(db != NULL);
	enter(db, &u, UPDATE_DOWNLOADING);	/* and this is the same as before */
	CHECK(state_stay(db, &u, &stay_s, &err) == 0);
	CHECK_INT(stay_s, INT64_C(5000000000));
	u.assignment = 8;			/* but not for another update */
	CHECK(state_stay(db, &u, &stay_s, &err) == 0);
	CHECK_INT(stay_s, 0);
	update_release(&u);
	db_close(db);
	drop_dir(fd);
}

TEST(installed_goes_back_as_it_came)
{
	struct installed i = {.mark = 0};

	installed_try(&i, "1.0", 1, 10);
	installed_confirm(&i);
	check_installed(&i, "1.0", "", "");
	installed_try(&i, "2.0", 2, 20);
	installed_confirm(&i);
	check_installed(&i, "2.0", "1.0", "");
	installed_try(&i, "3.0", 3, 30);
	check_installed(&i, "3.0", "2.0", "1.0");
	installed_back(&i, 40);
	check_installed(&i, "2.0", "1.0", "");	/* also what an order to revert would lead to is still there */
	CHECK_INT(i.release, 2);
	CHECK_INT(i.previous_release, 1);
	installed_try(&i, "2.0", 2, 50);	/* the same once more */
	installed_back(&i, 60);
	check_installed(&i, "2.0", "1.0", "");
	installed_try(&i, "2.0", 2, 70);
	installed_confirm(&i);
	check_installed(&i, "2.0", "1.0", "");
	installed_back(&i, 80);
	installed_back(&i, 90);
	check_installed(&i, "", "", "");
}

TEST(installed_changes_with_the_state)
{
	struct installed i, read;
	struct error err = ERROR_INIT;
	struct update u;
	int fd = make_dir();
	struct db *db = state_open(dir, &err);

	REQUIRE(db != NULL);
	update_init(&u);
	REQUIRE(update_set_path(&u, SLICE_LIT("plant/plc/1.2"), &err) == 0);
	u.assignment = 1;
	enter(db, &u, UPDATE_DOWNLOADING);
	enter(db, &u, UPDATE_VERIFYING);
	enter(db, &u, UPDATE_APPLYING);
	CHECK(state_installed(db, "plant/plc", &i, &err) == 0);
	installed_try(&i, "1.2", 5, 10);
	CHECK(state_enter(db, &u, UPDATE_PROBING, &i, "in place", 11, &err) == 0);
	CHECK(state_installed(db, "plant/plc", &read, &err) == 0);
	CHECK_STR(read.version, "1.2");
	CHECK_INT(read.release, 5);
	installed_back(&i, 12);
	CHECK(state_enter(db, &u, UPDATE_ROLLED_BACK, &i, "no", 12, &err) == 0);
	CHECK(state_installed(db, "plant/plc", &read, &err) == 0);
	CHECK_STR(read.version, "");
	update_release(&u);
	db_close(db);
	drop_dir(fd);
}

TEST(updates_from_bundles_have_numbers_of_their_own)
{
	struct error err = ERROR_INIT;
	struct update u, back;
	struct report r;
	int64_t number;
	struct db *db;
	int fd = make_dir();

	db = state_open(dir, &err);
	REQUIRE(db != NULL);
	update_init(&u);
	update_init(&back);
	CHECK(update_set_path(&u, SLICE_LIT("plant/plc/1"), &err) == 0);
	CHECK(state_local_number(db, &number, &err) == 0);
	CHECK_INT(number, -1);
	u.assignment = 7;
	CHECK(state_enter(db, &u, UPDATE_DOWNLOADING, NULL, "offered", 1000, &err) == 0);
	CHECK(!update_is_local(&u));
	CHECK(state_enter(db, &u, UPDATE_FAILED, NULL, "no", 1000, &err) == 0);
	CHECK(state_local_number(db, &number, &err) == 0);
	CHECK_INT(number, -1);
	u.assignment = number;
	u.state = UPDATE_NONE;
	CHECK(update_is_local(&u));
	CHECK(state_enter(db, &u, UPDATE_DOWNLOADING, NULL, "from a bundle", 1000, &err) == 0);
	CHECK(state_local_number(db, &number, &err) == 0);
	CHECK_INT(number, -2);
	/* It is the one under way, and survives. */
	db_close(db);
	db = state_open(dir, &err);
	REQUIRE(db != NULL);
	CHECK(state_load_update(db, &back, &err) == 0);
	CHECK_INT(back.assignment, -1);
	CHECK(update_is_local(&back) && !back.signed_known);
	CHECK(state_next_report(db, &r, &err) == 1);
	CHECK_INT(r.assignment, 7);
	update_release(&back);
	update_release(&u);
	db_close(db);
	drop_dir(fd);
}

TEST(a_state_can_be_told_again)
{
	struct error err = ERROR_INIT;
	struct report report;
	struct update u, again;
	int fd = make_dir();
	struct db *db = state_open(dir, &err);

	REQUIRE(db != NULL);
	update_init(&u);
	update_init(&again);
	REQUIRE(update_set_path(&u, SLICE_LIT("plant/plc/1.2"), &err) == 0);
	u.assignment = 1;
	enter(db, &u, UPDATE_DOWNLOADING);
	CHECK(state_say(db, &u, "waits", 2000, &err) == 0);
	CHECK_STR(u.reason, "waits");
	CHECK_INT(u.since_s, 1000);	/* or it could wait for ever */
	REQUIRE(state_load_update(db, &again, &err) == 0);
	CHECK_INT(again.state, UPDATE_DOWNLOADING);
	CHECK_INT(again.since_s, 1000);
	CHECK_STR(again.reason, "waits");
	REQUIRE(state_next_report(db, &report, &err) == 1 && state_report_done(db, report.seq, &err) == 0);
	REQUIRE(state_next_report(db, &report, &err) == 1);
	CHECK_INT(report.state, UPDATE_DOWNLOADING);
	CHECK_STR(report.reason, "waits");
	CHECK_INT(report.at_s, 2000);
	update_release(&u);
	update_release(&again);
	db_close(db);
	drop_dir(fd);
}

/* A CA (issuer NULL) or a device's certificate; appends the DER to out, returns the key. */
static struct seckey *make_cert(struct buf *out, const struct buf *issuer, const struct seckey *issuer_key)
{
	struct x509_spec spec = {.cn = "press-1", .not_before_s = 1800000000, .not_after_s = 1900000000};
	struct seckey *key;
	struct error err = ERROR_INIT;
	struct x509 ca;

	key = seckey_generate(KEY_ECDSA_P256, &err);
	REQUIRE(key != NULL);
	spec.key = seckey_public(key);
	spec.is_ca = issuer == NULL;
	spec.eku = issuer == NULL ? 0 : X509_EKU_CLIENT;
	if (issuer != NULL)
		REQUIRE(x509_read(&ca, buf_slice(issuer), &err) == 0);
	buf_clear(out);
	REQUIRE(x509_issue(out, &spec, issuer == NULL ? NULL : &ca, issuer == NULL ? key : issuer_key, &err) == 0);
	return key;
}

TEST(renewal_comes_from_the_known_ca_alone)
{
	struct error err = ERROR_INIT;
	struct buf other = BUF_INIT(X509_SIZE_MAX);
	struct identity old, next;
	struct seckey *ca, *evil;

	REQUIRE(crypto_start(&err) == 0);
	identity_init(&old);
	identity_init(&next);
	ca = make_cert(&old.device_ca, NULL, NULL);
	evil = make_cert(&other, NULL, NULL);
	buf_put_str(&old.server_ca, "server CA");
	buf_put_slice(&next.device_ca, buf_slice(&old.device_ca));
	buf_put_slice(&next.server_ca, buf_slice(&old.server_ca));
	snprintf(old.device, sizeof(old.device), "press-1");
	snprintf(next.device, sizeof(next.device), "press-1");

	seckey_free(make_cert(&next.certificate, &old.device_ca, ca));
	CHECK(identity_check_renewed(&next, &old, &err) == 0);
	snprintf(next.device, sizeof(next.device), "press-2");
	CHECK(identity_check_renewed(&next, &old, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	snprintf(next.device, sizeof(next.device), "press-1");
	buf_put_str(&next.server_ca, "!");
	CHECK(identity_check_renewed(&next, &old, &err) < 0);
	next.server_ca.len--;
	seckey_free(make_cert(&next.certificate, &other, evil));
	CHECK(identity_check_renewed(&next, &old, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);

	seckey_free(ca);
	seckey_free(evil);
	buf_release(&other);
	identity_release(&old);
	identity_release(&next);
}

static bool same_key(const struct seckey *a, const struct seckey *b)
{
	return pubkey_equal(seckey_public(a), seckey_public(b));
}

TEST(the_key_of_an_attempt_stays_until_it_is_answered)
{
	struct error err = ERROR_INIT;
	struct seckey *first, *again;
	int fd = make_dir();

	REQUIRE(crypto_start(&err) == 0);
	first = identity_attempt_key(fd, ENROLLING_KEY, 1000, &err);
	again = identity_attempt_key(fd, ENROLLING_KEY, 1001, &err);
	REQUIRE(first != NULL && again != NULL);
	CHECK(same_key(first, again));
	seckey_free(again);

	/* The public half alone is what an interrupted removal of both leaves. */
	REQUIRE(file_unlink(fd, ENROLLING_KEY ".key", &err) == 0 && file_exists(fd, ENROLLING_KEY ".pub"));
	again = identity_attempt_key(fd, ENROLLING_KEY, 1002, &err);
	REQUIRE(again != NULL);
	CHECK(!same_key(first, again));
	seckey_free(again);

	REQUIRE(file_replace(fd, ENROLLING_KEY ".key", 0600, SLICE_LIT("no key"), &err) == 0);
	again = identity_attempt_key(fd, ENROLLING_KEY, 1003, &err);
	REQUIRE(again != NULL);
	seckey_free(again);
	seckey_free(first);
	drop_dir(fd);
}

TEST(tidying_keeps_the_key_of_a_renewal_under_way)
{
	struct error err = ERROR_INIT;
	int fd = make_dir();
	struct identity id;

	REQUIRE(crypto_start(&err) == 0);
	identity_init(&id);
	seckey_free(identity_attempt_key(fd, ENROLLING_KEY, 1000, &err));
	seckey_free(identity_attempt_key(fd, RENEWING_KEY, 1000, &err));
	CHECK(file_replace(fd, ENROLLING_REQUEST, 0600, SLICE_LIT("x"), &err) == 0);
	CHECK(file_replace(fd, RENEWING_REQUEST, 0600, SLICE_LIT("x"), &err) == 0);
	id.key = seckey_generate(KEY_ECDSA_P256, &err);
	REQUIRE(id.key != NULL);
	CHECK(identity_renewing(&id, fd));
	CHECK_INT(identity_tidy(&id, fd, &err), 0);
	CHECK(file_exists(fd, RENEWING_KEY ".key") && !file_exists(fd, ENROLLING_KEY ".key"));
	CHECK(file_exists(fd, RENEWING_REQUEST) && !file_exists(fd, ENROLLING_REQUEST));

	/* The answer has been stored; only the removal was cut short. */
	seckey_free(id.key);
	id.key = identity_attempt_key(fd, RENEWING_KEY, 1001, &err);
	REQUIRE(id.key != NULL);
	CHECK(!identity_renewing(&id, fd));
	CHECK_INT(identity_tidy(&id, fd, &err), 0);
	CHECK(!file_exists(fd, RENEWING_KEY ".key") && !file_exists(fd, RENEWING_KEY ".pub"));
	CHECK(!file_exists(fd, RENEWING_REQUEST));
	identity_release(&id);
	drop_dir(fd);
}

TEST(update_paths_are_checked)
{
	static const char *const bad[] = {"a/b", "a/b/c/d", "../b/c", "a//c", "/a/b/c", "a/b/..", "A/b/c", ""};
	struct error err = ERROR_INIT;
	struct update u;
	size_t i;

	update_init(&u);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(update_set_path(&u, slice_str(bad[i]), &err) < 0);
	CHECK(update_set_path(&u, SLICE_LIT("a/b\0/c"), &err) < 0);
}

static void place(int fd, const char *version, const char *content)
{
	struct error err = ERROR_INIT;
	struct update u;
	char path[128];

	update_init(&u);
	snprintf(path, sizeof(path), "plant/plc/%s", version);
	REQUIRE(update_set_path(&u, slice_str(path), &err) == 0);
	CHECK(file_replace(fd, ".incoming-x", 0600, slice_str(content), &err) == 0);
	CHECK(place_file(fd, ".incoming-x", &u, "plc", 0644, &err) == 0);
	CHECK(place_file(fd, ".incoming-x", &u, "plc", 0644, &err) == 0);	/* as after a power cut */
	CHECK(place_switch(fd, "plant/plc", version, &err) == 0);
}

TEST(place_swaps_and_prunes)
{
	struct error err = ERROR_INIT;
	struct buf b = BUF_INIT(100);
	char current[NAME_LEN_MAX + 1];
	int fd = make_dir();

	place(fd, "1.0", "one");
	place(fd, "2.0", "two");
	CHECK(place_current(fd, "plant/plc", current, &err) == 0);
	CHECK_STR(current, "2.0");
	CHECK(file_read(fd, "plant/plc/current/plc", &b, &err) == 0);
	CHECK_STR(buf_cstr(&b), "two");
	CHECK(place_switch(fd, "plant/plc", "1.0", &err) == 0);
	place(fd, "3.0", "three");
	CHECK(place_prune(fd, "plant/plc", "3.0", "1.0", &err) == 0);
	CHECK(!file_exists(fd, "plant/plc/2.0"));
	CHECK(file_exists(fd, "plant/plc/1.0/plc"));
	CHECK(place_switch(fd, "plant/plc", "", &err) == 0);
	CHECK(place_current(fd, "plant/plc", current, &err) == 0);
	CHECK_STR(current, "");
	CHECK(place_switch(fd, "plant/plc", "", &err) == 0);

	/* The version that runs, put in again, is there at every moment. */
	place(fd, "3.0", "three");
	place(fd, "3.0", "drei");
	buf_clear(&b);
	CHECK(file_read(fd, "plant/plc/current/plc", &b, &err) == 0);
	CHECK_STR(buf_cstr(&b), "drei");
	buf_release(&b);
	drop_dir(fd);
}

/* A listening socket on the loopback; *port gets its number. */
static int listen_here(unsigned *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 4) == 0);
	REQUIRE(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*port = ntohs(a.sin_port);
	return fd;
}

TEST(probe_tcp_and_file)
{
	struct error err = ERROR_INIT;
	char target[64], file[128];
	struct probe p = {.type = PROBE_TCP, .target = target, .timeout_s = 2, .attempts = 1};
	unsigned port;
	int fd = make_dir(), sock = listen_here(&port);

	snprintf(target, sizeof(target), "127.0.0.1:%u", port);
	CHECK(probe_run(&p, &err) == 0);
	close(sock);
	CHECK(probe_run(&p, &err) < 0);
	CHECK(strstr(err.text, "refused") != NULL);

	p.type = PROBE_FILE;
	p.target = file;
	snprintf(file, sizeof(file), "%s/sign-of-life", dir);
	CHECK(probe_run(&p, &err) < 0);
	CHECK(file_replace(fd, "sign-of-life", 0644, SLICE_EMPTY, &err) == 0);
	CHECK(probe_run(&p, &err) < 0);
	CHECK(strstr(err.text, "empty") != NULL);
	CHECK(file_replace(fd, "sign-of-life", 0644, SLICE_LIT("x"), &err) == 0);
	CHECK(probe_run(&p, &err) == 0);
	drop_dir(fd);
}

/* Answers one request with `status`, in a child. */
static pid_t answer_http(int sock, const char *status)
{
	pid_t pid = fork();

	if (pid == 0) {
		char in[4096], out[128];
		int c = accept(sock, NULL, NULL);
		ssize_t n = read(c, in, sizeof(in));

		(void)n;
		snprintf(out, sizeof(out), "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
		n = write(c, out, strlen(out));
		_exit(0);
	}
	return pid;
}

TEST(probe_http_wants_2xx)
{
	static const struct {
		const char *status;
		int result;
	} cases[] = {{"200 OK", 0}, {"204 No Content", 0}, {"302 Found", -1}, {"503 Service Unavailable", -1}};
	struct error err = ERROR_INIT;
	char target[64];
	struct probe p = {.type = PROBE_HTTP, .target = target, .timeout_s = 5, .attempts = 1};
	unsigned port;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int sock = listen_here(&port);
		pid_t pid = answer_http(sock, cases[i].status);

		snprintf(target, sizeof(target), "http://127.0.0.1:%u/health", port);
		CHECK_INT(probe_run(&p, &err), cases[i].result);
		CHECK(waitpid(pid, NULL, 0) == pid);
		close(sock);
	}
}

/* Wait for a probe's child as the loop would, and hear what it says. */
static int probe_to_end(const struct probe *p, struct error *err)
{
	struct probe_attempt a = PROBE_ATTEMPT_INIT;
	struct pollfd w;

	REQUIRE(probe_start(&a, p, err) == 0);
	w = (struct pollfd){.fd = a.fd, .events = POLLIN};
	REQUIRE(poll(&w, 1, 10000) == 1);
	return probe_finish(&a, err);
}

TEST(probe_child_says_what_it_found)
{
	struct error err = ERROR_INIT;
	char target[64];
	struct probe p = {.type = PROBE_TCP, .target = target, .timeout_s = 2, .attempts = 1};
	unsigned port;
	int sock;

	NEEDS_SECCOMP();	/* the child wants its sandbox */
	sock = listen_here(&port);
	snprintf(target, sizeof(target), "127.0.0.1:%u", port);
	CHECK(probe_to_end(&p, &err) == 0);
	close(sock);
	CHECK(probe_to_end(&p, &err) < 0);
	CHECK(strstr(err.text, "refused") != NULL);
}

TEST(probe_never_runs_programs)
{
	char *argv[] = {(char *)"/bin/true"};
	struct probe p = {.type = PROBE_EXEC, .argv = {argv, 1}, .timeout_s = 1, .attempts = 1};
	struct probe_attempt a = PROBE_ATTEMPT_INIT;
	struct error err = ERROR_INIT;

	CHECK(probe_start(&a, &p, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(a.pid, 0);
}
