/* What the worker makes of a bundle: which artifacts it chooses, what it hands on, and what it refuses. */
#include "tap.h"

#include "tufkit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/blobs.h"
#include "agent/unpack.h"
#include "bundle_fixture.h"
#include "tuf/descriptor.h"

#define OUT_MAX (4u << 20)

static struct kit kit;
static struct fixture bundle;
static struct identity identity;
static char work[] = "/tmp/meshanics-unpack-XXXXXX";
static int work_fd;

static const struct device_profile profile = {.arch = "amd64", .os_id = "debian", .agent_version = "1.0.0"};

/* A target of this content with a descriptor; its payload goes into the bundle unless `without`. */
static void artifact(struct kit_targets *t, const char *path, const char *content, int64_t release, const char *arch,
		     bool without)
{
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = release, .placement = {.mode = 0644}};
	struct json_writer w = JSON_WRITER(&t->targets);
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	if (arch != NULL)
		text_list_add(&d.compat.arch, arch);
	sha256_of(slice_str(content), hash);
	hex_encode(hex, hash, sizeof(hash));
	buf_printf(&t->targets,
		   "%s\"%s\": {\"length\": %zu, \"hashes\": {\"sha256\": \"%s\"}, \"custom\": {\"meshanics\": ",
		   t->targets.len > 0 ? ", " : "", path, strlen(content), hex);
	descriptor_put(&w, NULL, &d);
	buf_put_str(&t->targets, "}}");
	descriptor_release(&d);
	if (!without)
		fixture_add(&bundle, NULL, slice_str(content));
}

static void begin(void)
{
	REQUIRE(mkdtemp(work) != NULL);
	work_fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	kit_init(&kit);
	fixture_init(&bundle, BUNDLE_DEVICE);
	identity_init(&identity);
	snprintf(identity.site, sizeof(identity.site), "%s", bundle.m.site);
}

static void end(void)
{
	struct error err = ERROR_INIT;

	kit_release(&kit);
	fixture_release(&bundle);
	identity_release(&identity);
	close(work_fd);
	CHECK_INT(file_remove_tree(AT_FDCWD, work, &err), 0);
	snprintf(work, sizeof(work), "/tmp/meshanics-unpack-XXXXXX");
}

/* The metadata of the kit before what is in the bundle, as the format wants it; the whole as a file. */
static int make_bundle(void)
{
	static const char *const first[] = {"1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"};
	struct fixture_member payloads[FIXTURE_MEMBERS_MAX];
	struct buf tar = BUF_INIT(OUT_MAX);
	struct error err = ERROR_INIT;
	unsigned count = bundle.count, i;
	char name[128];
	int fd;

	memcpy(payloads, bundle.members, sizeof(payloads));
	bundle.count = 0;
	kit_publish(&kit);
	buf_clear(&identity.root);
	buf_put_slice(&identity.root, buf_slice(&kit_file(&kit, "1.root.json")->bytes));
	for (i = 0; i < ARRAY_SIZE(first); i++) {
		if (bundle.m.kind == BUNDLE_SITE && (i == 1 || i == 2))
			continue;
		snprintf(name, sizeof(name), "metadata/%s", first[i]);
		fixture_add(&bundle, name, buf_slice(&kit_file(&kit, first[i])->bytes));
	}
	for (i = 0; i < kit.role_count; i++) {
		snprintf(name, sizeof(name), "metadata/1.%.60s.json", kit.roles[i].name);
		fixture_add(&bundle, name, buf_slice(&kit_file(&kit, name + 9)->bytes));
	}
	memcpy(bundle.members + bundle.count, payloads, count * sizeof(payloads[0]));
	bundle.count += count;
	bundle.m.created_s = KIT_NOW;
	bundle.m.valid_until_s = KIT_NOW + 86400;
	CHECK_INT(fixture_manifest(&bundle, &err), 0);
	CHECK_STR(err.text, "");
	fixture_tar(&bundle, &tar);
	fd = fixture_fd(buf_slice(&tar));
	buf_release(&tar);
	return fd;
}

static struct unpack *give(int fd)
{
	struct unpack *u = unpack_new();
	struct error err = ERROR_INIT;

	CHECK_INT(unpack_volume(u, SLICE_LIT("a.bundle"), true, fd, &err), 0);
	return u;
}

/* What it answers; named: artifacts, or "". chosen gets the candidates. */
static int open_it(struct unpack *u, const char *named, struct buf *chosen, struct error *err)
{
	struct buf stored = BUF_INIT(OUT_MAX), out = BUF_INIT(OUT_MAX);
	struct unpack_request q = {.identity = &identity, .profile = &profile, .now_s = KIT_NOW};
	struct tuf_blob *list = calloc(BLOBS_MAX, sizeof(*list));
	unsigned count;
	int r;

	if (named[0] != '\0')
		blobs_put(&stored, SLICE_LIT(UNPACK_TARGETS), slice_str(named));
	q.stored = buf_slice(&stored);
	r = unpack_open(u, &q, &out, err);
	if (r == 0) {
		CHECK_INT(blobs_read(list, &count, buf_slice(&out), err), 0);
		CHECK(slice_equal(blobs_find(list, count, SLICE_LIT(BUNDLE_MANIFEST)), buf_slice(&bundle.m.text)));
		CHECK(slice_equal(blobs_find(list, count, SLICE_LIT(BUNDLE_SIGNATURE)), buf_slice(&bundle.signature)));
		CHECK(blobs_find(list, count, SLICE_LIT("timestamp.json")).len > 0);
		buf_put_slice(chosen, blobs_find(list, count, SLICE_LIT(UNPACK_CANDIDATES)));
	}
	free(list);
	buf_release(&stored);
	buf_release(&out);
	return r;
}

/* A bundle of one publisher's, opened: these are the candidates. */
static void chooses(const char *named, const char *want)
{
	struct unpack *u = give(make_bundle());
	struct buf chosen = BUF_INIT(OUT_MAX);
	struct error err = ERROR_INIT;

	CHECK_INT(open_it(u, named, &chosen, &err), 0);
	CHECK_STR(err.text, "");
	CHECK_STR(buf_cstr(&chosen), want);
	buf_release(&chosen);
	unpack_free(u);
}

static struct kit_targets *plant(void)
{
	struct kit_targets *t = kit_role(&kit, "plant", &kit.spare[0]);

	kit_delegate_one(&kit.targets, "plant", &kit.spare[0], "\"paths\": [\"plant/*/*\"]", true);
	return t;
}

TEST(of_each_name_the_highest_release_that_fits_is_chosen)
{
	struct kit_targets *t;

	begin();
	t = plant();
	artifact(t, "plant/plc/1", "one", 1, NULL, false);
	artifact(t, "plant/plc/10", "ten", 10, "amd64", false);
	artifact(t, "plant/plc/9", "nine", 9, NULL, false);
	artifact(t, "plant/plc/11", "eleven, for others", 11, "riscv64", false);
	artifact(t, "plant/plc/12", "twelve, left out", 12, NULL, true);
	artifact(t, "plant/plc-x/3", "three", 3, NULL, false);
	artifact(t, "plant/others/1", "for others", 1, "armhf", false);
	kit_target(t, "plant/plain/1", "no descriptor");
	chooses("", "plant/plc/10\nplant/plc-x/3\n");
	end();
}

TEST(what_a_role_has_no_say_in_is_not_chosen)
{
	struct kit_delegation list[] = {
		{"plant", &kit.spare[0], "\"paths\": [\"plant/*/*\"]", true},
		{"mill", &kit.spare[1], "\"paths\": [\"mill/*/*\"]", true},
	};
	struct kit_targets *mill;

	begin();
	mill = kit_role(&kit, "mill", &kit.spare[1]);
	artifact(kit_role(&kit, "plant", &kit.spare[0]), "plant/plc/1", "one", 1, NULL, false);
	kit_delegate(&kit.targets, list, 2);
	artifact(mill, "plant/plc/9", "an intruder", 9, NULL, false);
	artifact(mill, "plant/plc/1", "the same name", 1, NULL, false);
	artifact(mill, "mill/saw/1", "saw", 1, NULL, false);
	chooses("", "mill/saw/1\nplant/plc/1\n");
	end();
}

TEST(what_is_named_is_looked_up_and_must_be_there)
{
	struct buf chosen = BUF_INIT(OUT_MAX);
	struct error err = ERROR_INIT;
	struct kit_targets *t;
	struct unpack *u;

	begin();
	t = plant();
	artifact(t, "plant/plc/1", "one", 1, NULL, false);
	artifact(t, "plant/plc/2", "two", 2, NULL, false);
	u = give(make_bundle());
	CHECK_INT(open_it(u, "plant/plc/2\nplant/plc/1\n", &chosen, &err), 0);
	CHECK_STR(buf_cstr(&chosen), "plant/plc/2\nplant/plc/1\n");
	CHECK_INT(open_it(u, "plant/plc/1\nplant/plc/3\n", &chosen, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(strstr(err.text, "plant/plc/3") != NULL);
	unpack_free(u);
	buf_release(&chosen);
	end();
}

static void is_refused(const char *words)
{
	struct unpack *u = give(make_bundle());
	struct buf chosen = BUF_INIT(OUT_MAX);
	struct error err = ERROR_INIT;

	CHECK_INT(open_it(u, "", &chosen, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	if (strstr(err.text, words) == NULL)
		CHECK_STR(err.text, words);
	buf_release(&chosen);
	unpack_free(u);
}

TEST(bundles_for_others_and_of_other_roots_are_refused)
{
	begin();
	plant();
	snprintf(identity.site, sizeof(identity.site), "depot-8");
	is_refused("this bundle is for site 'depot-7', this device is of site 'depot-8'");
	end();
	begin();
	plant();
	snprintf(bundle.m.origin, sizeof(bundle.m.origin), "main");
	bundle.m.kind = BUNDLE_SITE;
	bundle.m.versions.snapshot = bundle.m.versions.timestamp = 0;
	is_refused("this bundle is for the repository of site 'depot-7', not for a device");
	end();
}

static void no_progress(void *arg, uint64_t bytes)
{
	(void)bytes;
	++*(unsigned *)arg;
}

static bool staged_is(int fd, const char *content)
{
	char text[64] = "";

	return fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) == (ssize_t)strlen(content) && strcmp(text, content) == 0;
}

TEST(payloads_are_checked_and_copied_in_any_order)
{
	static const char *const contents[] = {"one", "two", "three"};
	unsigned calls = 0, i;
	struct unpack_watcher w = {no_progress, &calls};
	uint8_t hash[SHA256_LEN];
	struct error err = ERROR_INIT;
	struct kit_targets *t;
	struct unpack *u;
	int fd;

	begin();
	t = plant();
	for (i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof(path), "plant/plc/%u", i + 1);
		artifact(t, path, contents[i], i + 1, NULL, false);
	}
	fd = make_bundle();
	u = give(fd);
	for (i = 0; i < 6; i++) {	/* to and fro, so that it has to go back to the beginning */
		const char *content = contents[i < 3 ? i : 5 - i];
		int got;

		sha256_of(slice_str(content), hash);
		CHECK_INT(unpack_check(u, slice_of(hash, sizeof(hash)), &w, &err), 0);
		got = unpack_payload(u, work_fd, hash, strlen(content), &w, &err);
		CHECK(staged_is(got, content));
		CHECK_STR(err.text, "");
		close(got);
	}
	/* The last one is there still, whatever becomes of the bundle; the others are gone with it. */
	unpack_free(u);
	u = unpack_new();
	fd = unpack_payload(u, work_fd, hash, strlen(contents[0]), &w, &err);
	CHECK(staged_is(fd, contents[0]));
	close(fd);
	sha256_of(slice_str(contents[1]), hash);
	CHECK_INT(unpack_payload(u, work_fd, hash, strlen(contents[1]), &w, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_STR(err.text, "the bundle is gone");
	unpack_free(u);
	end();
}

TEST(a_wrong_payload_is_refused_and_others_are_not)
{
	struct unpack_watcher w = {no_progress, &(unsigned){0}};
	uint8_t good[SHA256_LEN], bad[SHA256_LEN], absent[SHA256_LEN] = {1};
	struct error err = ERROR_INIT;
	struct kit_targets *t;
	char text[8192];
	struct unpack *u;
	struct stat st;
	char *at;
	int fd;

	begin();
	t = plant();
	artifact(t, "plant/plc/1", "the good one", 1, NULL, false);
	artifact(t, "plant/plc/2", "the bad one", 2, NULL, false);
	sha256_of(SLICE_LIT("the good one"), good);
	sha256_of(SLICE_LIT("the bad one"), bad);
	fd = make_bundle();
	REQUIRE(fstat(fd, &st) == 0);
	for (at = NULL; at == NULL && st.st_size > 0; st.st_size -= 4096) {
		off_t from = st.st_size > (off_t)sizeof(text) ? st.st_size - (off_t)sizeof(text) : 0;
		ssize_t n = pread(fd, text, sizeof(text), from);

		REQUIRE(n > 0);
		at = memmem(text, (size_t)n, "the bad one", 11);
		if (at != NULL)
			CHECK_INT(pwrite(fd, "T", 1, from + (at - text)), 1);
	}
	u = give(fd);
	CHECK_INT(unpack_check(u, slice_of(good, sizeof(good)), &w, &err), 0);
	CHECK_INT(unpack_check(u, slice_of(bad, sizeof(bad)), &w, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(unpack_payload(u, work_fd, bad, 11, &w, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(unpack_check(u, slice_of(absent, sizeof(absent)), &w, &err), -1);
	CHECK_INT(unpack_payload(u, work_fd, good, 13, &w, &err), -1);	/* another length than is signed */
	CHECK_INT(err.kind, ERR_REFUSED);
	fd = unpack_payload(u, work_fd, good, 12, &w, &err);
	CHECK(staged_is(fd, "the good one"));
	close(fd);
	unpack_free(u);
	end();
}

/* Whoever writes to a stick must not choose how much memory is taken before his signature is found to be wrong. */
TEST(a_manifest_that_is_too_large_is_not_read)
{
	struct tar_entry e = {.name = BUNDLE_MANIFEST, .mode = 0644, .size = MANIFEST_DEVICE_MAX + 1};
	struct buf tar = BUF_INIT(MANIFEST_DEVICE_MAX + 8 * TAR_BLOCK), chosen = BUF_INIT(OUT_MAX);
	uint8_t *content = xcalloc(1, MANIFEST_DEVICE_MAX + TAR_BLOCK);
	struct error err = ERROR_INIT;
	struct unpack *u;

	begin();
	plant();
	close(make_bundle());
	REQUIRE(tar_put(&tar, &e, &err) == 0);
	buf_put(&tar, content, e.size + tar_padding(e.size));
	REQUIRE(!tar.failed);
	u = give(fixture_fd(buf_slice(&tar)));
	CHECK_INT(open_it(u, "", &chosen, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK(strstr(err.text, "16777217 bytes are more than 16777216") != NULL);
	unpack_free(u);
	end();
	free(content);
	buf_release(&tar);
	buf_release(&chosen);
}

TEST(more_files_than_are_taken_are_refused)
{
	struct unpack *u = unpack_new();
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < UNPACK_VOLUMES_MAX; i++)
		CHECK_INT(unpack_volume(u, SLICE_LIT("v"), i == 0, fixture_fd(SLICE_LIT("x")), &err), 0);
	CHECK_INT(unpack_volume(u, SLICE_LIT("v"), false, fixture_fd(SLICE_LIT("x")), &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_INT(unpack_volume(u, SLICE_LIT("v"), true, fixture_fd(SLICE_LIT("x")), &err), 0);
	unpack_free(u);
}

