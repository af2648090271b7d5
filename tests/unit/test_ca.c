/* The CAs on disk: made once, completed when cut short, refused when tampered with. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "fleet/ca.h"
#include "sys/file.h"

#define NOW INT64_C(1780000000)
#define DAY INT64_C(86400)

static char dir[] = "/tmp/test_ca.XXXXXX";
static int dirfd_ca;
static struct error err;

static void leave(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static void begin(void)
{
	REQUIRE(crypto_start(&err) == 0);
	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	dirfd_ca = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	REQUIRE(dirfd_ca >= 0);
}

static void init(void)
{
	if (ca_init(dirfd_ca, "depot-7", NOW, CA_LIFE_DEFAULT_S, &err) < 0)
		CHECK_STR(err.text, "three CAs");
}

static void says(const char *word)
{
	if (strstr(err.text, word) == NULL)
		CHECK_STR(err.text, word);
}

TEST(ca_init_makes_three_that_open)
{
	struct ca ca[CA_COUNT];
	struct stat st;
	unsigned i;

	begin();
	init();
	REQUIRE(ca_open_all(ca, dirfd_ca, &err) == 0);
	for (i = 0; i < CA_COUNT; i++) {
		CHECK(x509_ca_check(&ca[i].cert, NOW, &err) == 0);
		CHECK_INT(ca[i].cert.not_after_s, NOW + CA_LIFE_DEFAULT_S);
		CHECK_INT(ca[i].cert.not_before_s, NOW - X509_BACKDATE_S);
	}
	CHECK_STR(ca[CA_DEVICE].cert.cn, "meshanics device CA");
	CHECK(memcmp(ca[0].fingerprint, ca[1].fingerprint, SHA256_LEN) != 0);
	ca_release_all(ca);
	ca_release_all(ca);
	CHECK(fstatat(dirfd_ca, "server.key", &st, 0) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(fstatat(dirfd_ca, "server.pem", &st, 0) == 0 && (st.st_mode & 0777) == 0644);
}

TEST(ca_init_happens_once)
{
	begin();
	init();
	CHECK(ca_init(dirfd_ca, "depot-7", NOW, CA_LIFE_DEFAULT_S, &err) < 0);
	CHECK_INT(err.kind, ERR_CONFLICT);
	says("exist already");
}

TEST(ca_init_completes_what_was_cut_short)
{
	struct ca before, after;

	begin();
	init();
	REQUIRE(ca_open(&before, dirfd_ca, CA_SERVER, true, &err) == 0);
	CHECK(unlinkat(dirfd_ca, "server.pem", 0) == 0);
	CHECK(unlinkat(dirfd_ca, "operator.pem", 0) == 0);
	CHECK(unlinkat(dirfd_ca, "operator.key", 0) == 0);
	CHECK(unlinkat(dirfd_ca, "operator.pub", 0) == 0 || true);
	CHECK(ca_open(&after, dirfd_ca, CA_SERVER, true, &err) < 0);
	init();
	REQUIRE(ca_open(&after, dirfd_ca, CA_SERVER, true, &err) == 0);
	CHECK(pubkey_equal(&before.cert.key, &after.cert.key));
	ca_release(&before);
	ca_release(&after);
	CHECK(ca_open(&after, dirfd_ca, CA_OPERATOR, true, &err) == 0);
	ca_release(&after);
}

TEST(ca_init_refuses_odd_arguments_and_clocks)
{
	begin();
	CHECK(ca_init(dirfd_ca, "Depot", NOW, CA_LIFE_DEFAULT_S, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	CHECK(ca_init(dirfd_ca, "depot", NOW, DAY, &err) < 0);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(ca_init(dirfd_ca, "depot", NOW, CA_LIFE_MAX_S + 1, &err) < 0);
	CHECK(ca_init(dirfd_ca, "depot", 3600, CA_LIFE_DEFAULT_S, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	says("the clock says 1970-01-01T01:00:00Z");
	CHECK(!file_exists(dirfd_ca, "device.key"));
}

TEST(ca_open_refuses_what_does_not_fit)
{
	struct ca ca;

	begin();
	CHECK(ca_open(&ca, dirfd_ca, CA_DEVICE, false, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_STR(err.hint, "'meshanics ca init' makes the CAs");
	init();
	CHECK(renameat(dirfd_ca, "device.key", dirfd_ca, "x.key") == 0);
	CHECK(renameat(dirfd_ca, "server.key", dirfd_ca, "device.key") == 0);
	CHECK(ca_open(&ca, dirfd_ca, CA_DEVICE, true, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	says("does not belong to the certificate");
	CHECK(ca_open(&ca, dirfd_ca, CA_DEVICE, false, &err) == 0);
	ca_release(&ca);
	CHECK(fchmodat(dirfd_ca, "operator.key", 0644, 0) == 0);
	CHECK(ca_open(&ca, dirfd_ca, CA_OPERATOR, true, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(file_replace(dirfd_ca, "operator.pem", 0644, SLICE_LIT("nonsense\n"), &err) == 0);
	CHECK(ca_open(&ca, dirfd_ca, CA_OPERATOR, false, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	says("operator.pem");
}

/* Our own CA cannot be from the future: it is the clock, and a right one heals it. Dates beyond 2038 and 2049 hold. */
TEST(a_clock_before_the_ca_is_a_reason_to_try_again)
{
	const char *const names[] = {"fleet.example"};
	struct server_identity id;
	struct ca ca;
	struct x509 cert;

	begin();
	init();
	REQUIRE(ca_open(&ca, dirfd_ca, CA_SERVER, true, &err) == 0);
	CHECK(server_identity_make(&id, &ca, names, 1, 0, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	says("the clock says 1970-01-01");
	CHECK(server_identity_make(&id, &ca, names, 1, ca.cert.not_after_s + 1, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	ca_release(&ca);
	leave();
	REQUIRE(mkdir(dir, 0700) == 0);
	REQUIRE((dirfd_ca = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC)) >= 0);
	REQUIRE(ca_init(dirfd_ca, "depot-7", INT64_C(4102444800), CA_LIFE_MAX_S, &err) == 0);	/* 2100 */
	REQUIRE(ca_open(&ca, dirfd_ca, CA_SERVER, true, &err) == 0);
	REQUIRE(server_identity_make(&id, &ca, names, 1, INT64_C(4102444800), &err) == 0);
	REQUIRE(x509_read(&cert, buf_slice(&id.der), &err) == 0);
	CHECK_INT(cert.not_after_s, INT64_C(4102444800) + SERVER_CERT_LIFE_S);
	CHECK(x509_chain_check(&cert, &ca.cert, X509_EKU_SERVER, INT64_C(4102444800), 0, &err) == 0);
	server_identity_release(&id);
	ca_release(&ca);
}
