/*
 * As test_agent_walk.c, for a bundle that is applied on the device: it is given to the agent again and again until its
 * version runs, and whatever is interrupted, the old version or the new one is in place, whole.
 */
#include "tap.h"

#ifdef MESHANICS_TEST

#include "walk_agent.h"

#include "agent/unpack.h"
#include "bundle/manifest.h"
#include "crypto/sshsig.h"
#include "net/client.h"

static struct buf packed;	/* what the worker answers about the bundle */
static uint8_t payload[SHA256_LEN];
static char payload_path[512];
static bool has_bundle;		/* this worker */

static void add_member(struct manifest *m, const char *name, struct slice bytes)
{
	struct member member = {.length = bytes.len};

	snprintf(member.name, sizeof(member.name), "%s", name);
	sha256_of(bytes, member.sha256);
	manifest_add(m, &member);
}

/* The newest file of a role in the repository, "7.targets.json" or so. */
static void newest(const char *role, int64_t *version, char out[static 128], struct buf *bytes)
{
	struct error err = ERROR_INIT;
	struct dirent *e;
	char path[128];
	DIR *d;

	*version = 0;
	snprintf(path, sizeof(path), "%s/repo/metadata", site.f.home);
	REQUIRE((d = opendir(path)) != NULL);
	while ((e = readdir(d)) != NULL) {
		char *rest;
		long long v = strtoll(e->d_name, &rest, 10);

		if (*rest == '.' && strncmp(rest + 1, role, strlen(role)) == 0 && strcmp(rest + 1 + strlen(role), ".json") == 0 &&
		    v > *version)
			*version = v;
	}
	snprintf(out, 128, "%lld.%s.json", (long long)*version, role);
	MUST(file_read(dirfd(d), *version > 0 ? out : "timestamp.json", bytes, &err));
	if (*version == 0)
		snprintf(out, 128, "timestamp.json");
	closedir(d);
}

static void find_payload(void)
{
	struct error err = ERROR_INIT;
	char dir[128];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/repo/targets/plant/plc", site.f.home);
	REQUIRE((d = opendir(dir)) != NULL);
	while ((e = readdir(d)) != NULL)
		if (slice_ends(slice_str(e->d_name), SLICE_LIT(".2.0"))) {
			snprintf(payload_path, sizeof(payload_path), "%s/%s", dir, e->d_name);
			MUST(hex_decode(payload, SHA256_LEN, slice_of(e->d_name, 64), &err));
		}
	closedir(d);
}

/* Manifest, signature and metadata, as the worker hands them over. */
static void make_pack(void)
{
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets", "releases"};
	struct manifest m = MANIFEST_INIT;
	struct buf files[ARRAY_SIZE(roles)], signature = BUF_INIT(SSHSIG_SIZE_MAX), content = BUF_INIT(100);
	int64_t versions[ARRAY_SIZE(roles)];
	char names[ARRAY_SIZE(roles)][128], path[256];
	struct error err = ERROR_INIT;
	struct seckey *key;
	size_t i;

	find_payload();
	MUST(file_read(AT_FDCWD, payload_path, &content, &err));
	m.kind = BUNDLE_DEVICE;
	snprintf(m.site, sizeof(m.site), "main");
	snprintf(m.origin, sizeof(m.origin), "main");
	m.sequence = 1;
	m.created_s = FIX_NOW;
	m.valid_until_s = CERT_END;
	m.members = ARRAY_SIZE(roles) + 1;
	m.bytes = content.len;
	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		files[i] = BUF_INIT(1u << 20);
		newest(roles[i], &versions[i], names[i], &files[i]);
		m.bytes += files[i].len;
	}
	m.versions.root = versions[0];
	m.versions.snapshot = m.versions.timestamp = versions[2];
	m.versions.targets = versions[3];
	MUST(manifest_begin(&m, &err));
	packed = BUF_INIT(1u << 20);
	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		snprintf(path, sizeof(path), "metadata/%s", names[i]);
		add_member(&m, path, buf_slice(&files[i]));
		blobs_put(&packed, slice_str(names[i]), buf_slice(&files[i]));
		buf_release(&files[i]);
	}
	hex_encode(path + 8, payload, SHA256_LEN);
	memcpy(path, "targets/", 8);
	add_member(&m, path, buf_slice(&content));
	MUST(manifest_end(&m, &err));
	snprintf(path, sizeof(path), "%s/repo/keys/record-site.key", site.f.home);
	key = keyfile_open(AT_FDCWD, path, SLICE_EMPTY, &err);
	REQUIRE(key != NULL);
	MUST(sshsig_sign_sha256(key, BUNDLE_NAMESPACE, m.id, &signature, &err));
	blobs_put(&packed, SLICE_LIT(BUNDLE_MANIFEST), buf_slice(&m.text));
	blobs_put(&packed, SLICE_LIT(BUNDLE_SIGNATURE), buf_slice(&signature));
	blobs_put(&packed, SLICE_LIT(UNPACK_CANDIDATES), SLICE_LIT("plant/plc/2.0\n"));
	seckey_free(key);
	manifest_release(&m);
	buf_release(&signature);
	buf_release(&content);
}

/* As the verb does; that the agent has no time now is no failure. */
static void post_bundle(void)
{
	struct client_params params = CLIENT_PARAMS_INIT;
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	struct error err = ERROR_INIT;
	char path[160];
	struct client *c;
	int fd = open(site.life, O_RDONLY | O_CLOEXEC);

	snprintf(path, sizeof(path), "%s/agent/control.sock", site.dev);
	params.unix_path = path;
	REQUIRE(fd >= 0 && (c = client_new(&params, &err)) != NULL);
	q.method = "POST";
	q.target = "/apply";
	q.body = SLICE_LIT("{\"files\":[\"b\"]}");
	q.content_type = "application/json";
	q.body_max = 1u << 20;
	q.timeout_ms = 10000;
	q.pass_fds = &fd;
	q.pass_fd_count = 1;
	(void)!client_do(c, &q, &a, &err);
	client_response_release(&a);
	client_free(c);
	close(fd);
}

/* By way of a file in work/, which is enough when it is whole, as with the true worker. */
static void unpack(const struct worker_options *o)
{
	struct link_reply reply = LINK_REPLY_INIT;
	struct buf bytes = BUF_INIT(1u << 20), staged = BUF_INIT(1u << 20);
	struct error err = ERROR_INIT, why = ERROR_INIT;
	char hex[SHA256_HEX_LEN], to[512];
	int fd, r;

	hex_encode(hex, payload, SHA256_LEN);
	snprintf(to, sizeof(to), "%s/work/%s.part", o->home, hex);
	MUST(file_read(AT_FDCWD, payload_path, &bytes, &err));
	if (!has_bundle && (file_read(AT_FDCWD, to, &staged, &why) < 0 || !slice_equal(buf_slice(&staged), buf_slice(&bytes)))) {
		error_set(&why, ERR_NOT_FOUND, "the bundle is gone");
		r = link_send_error(o->transfer_fd, &why, &reply, &err);
	} else {
		fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		REQUIRE(fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
		r = link_send(o->transfer_fd, LINK_DONE, SLICE_LIT("{}"), fd, &err);
		close(fd);
	}
	buf_release(&bytes);
	buf_release(&staged);
	if (r < 0)
		_exit(0);	/* the supervisor is gone */
}

static void answer(const struct worker_options *o, const struct link_msg *m)
{
	struct error err = ERROR_INIT;

	if (m->type == LINK_VOLUME)
		has_bundle = true;
	else if (m->type == LINK_OPEN)
		send_bytes(o->transfer_fd, buf_slice(&packed));
	else if (m->type == LINK_UNPACK)
		unpack(o);
	else if (link_send(o->transfer_fd, LINK_DONE, SLICE_LIT("{}"), -1, &err) < 0)
		_exit(0);
}

static void check_applied(bool cut)
{
	struct told t;

	(void)cut;
	read_told(&t);
	CHECK_INT(t.broken, 0);
	CHECK_INT(told_times(&t, 0, "healthy"), 1);
	CHECK_INT(told_times(&t, 1, "healthy"), 1);
	check_calm(2, 1);
}

static const struct walk apply = {"a bundle", 1, 2, false, check_applied};

static void site_with_bundle(void)
{
	site_with_one();
	make_pack();
	give_bundle = post_bundle;
	answer_about_bundle = answer;
	run_script(0, "", "apply");
}

static void end(void)
{
	buf_release(&packed);
	site_end();
}

TEST(a_bundle_survives_power_cuts)
{
	NEEDS_SECCOMP();
	site_with_bundle();
	walk_modes(&apply, 5, cuts, ARRAY_SIZE(cuts));
	end();
}

TEST(a_bundle_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_with_bundle();
	walk_modes(&apply, 29, errors, ARRAY_SIZE(errors));
	end();
}

#else

TEST(faults_are_in_test_builds_only)
{
	SKIP("not a test build");
}

#endif
