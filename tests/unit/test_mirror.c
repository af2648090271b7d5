/* A TUF repository over HTTP, served by a child that can misbehave. */
#include "tap.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>

#include "net/mirror.h"
#include "tufkit.h"

static struct kit kit;
static struct kit_store store;
static struct tuf_client *client;
static struct mirror repository;
static struct error err;
static pid_t server;
static char base[64];
static char dir[] = "/tmp/mirror.XXXXXX";
static int dirfd_;

static void say(int fd, const char *head, struct slice body)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "HTTP/1.0 %s\r\nContent-Length: %zu\r\n\r\n", head, body.len);

	if (write(fd, text, (size_t)n) < 0 || (body.len > 0 && write(fd, body.ptr, body.len) < 0))
		_exit(1);
}

/* One request: kit's files, with the kind of failure that a file asks for. */
static void serve_one(int fd)
{
	char head[8192], path[1024] = "";
	struct kit_file *f;
	ssize_t n = 0, got;

	while (n < (ssize_t)sizeof(head) - 1 && (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)) {
		if ((got = read(fd, head + n, 1)) <= 0)
			return;
		n += got;
	}
	head[n] = '\0';
	if (sscanf(head, "GET /base/%1023s HTTP/1.1", path) != 1 || (f = kit_file(&kit, path)) == NULL)
		say(fd, "404 Not Found", SLICE_LIT("nothing here"));
	else if (f->answer == ERR_DENIED)
		say(fd, "403 Forbidden", SLICE_EMPTY);
	else if (f->answer == ERR_FAILED)
		say(fd, "302 Found\r\nLocation: /elsewhere", SLICE_EMPTY);
	else if (f->answer == ERR_LIMIT)
		say(fd, "500 Internal Server Error", SLICE_EMPTY);
	else if (f->answer == ERR_NONE)
		say(fd, "200 OK", buf_slice(&f->bytes));
	/* ERR_RETRY: the connection ends without a word. */
}

static void start(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 16) == 0);
	REQUIRE(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	snprintf(base, sizeof(base), "http://127.0.0.1:%u/base/", ntohs(at.sin_port));
	server = fork();
	REQUIRE(server >= 0);
	if (server == 0) {
		signal(SIGPIPE, SIG_IGN);
		for (;;) {
			int peer = accept(fd, NULL, NULL);

			if (peer < 0)
				_exit(1);
			serve_one(peer);
			close(peer);
		}
	}
	close(fd);
}

static void begin(void)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_target(&kit.targets, "a/b c/1", "content");
	kit_publish(&kit);
	REQUIRE(mkdtemp(dir) != NULL);
	REQUIRE((dirfd_ = open(dir, O_RDONLY | O_DIRECTORY)) >= 0);
	err = ERROR_INIT;
}

/* A file that the targets URL serves. */
static struct kit_file *serve_target(const char *content)
{
	struct kit_file *f = kit_file_reset(
		&kit, "a/b%20c/ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73.1");

	buf_put_str(&f->bytes, content);
	return f;
}

static int refresh(void)
{
	const struct tuf_source source = {mirror_get, &repository};
	struct tuf_options options = kit_options();

	start();
	REQUIRE(mirror_open(&repository, base, base, NULL, KIT_NOW, &err) == 0);
	CHECK(repository.metadata == repository.targets);
	REQUIRE((client = tuf_client_new(buf_slice(&kit_file(&kit, "1.root.json")->bytes), &options, &err)) != NULL);
	return tuf_drive(client, &store.t, &source, &err);
}

static int fetch(bool *fetched)
{
	struct tuf_result result;

	REQUIRE(tuf_client_lookup(client, SLICE_LIT("a/b c/1"), &err) == 0);
	REQUIRE(tuf_client_result(client, &result, &err) == 0);
	return mirror_target(&repository, &result, dirfd_, "target", fetched, &err);
}

static void end(void)
{
	mirror_close(&repository);
	mirror_close(&repository);
	tuf_client_free(client);
	client = NULL;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	close(dirfd_);
	CHECK_INT(file_remove_tree(AT_FDCWD, dir, &err), 0);
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(a_target_is_fetched_once)
{
	struct buf text = BUF_INIT(100);
	bool fetched = false;

	begin();
	serve_target("content");
	CHECK_INT(refresh(), 0);
	CHECK_INT(fetch(&fetched), 0);
	CHECK(fetched);
	CHECK_INT(file_read(dirfd_, "target", &text, &err), 0);
	CHECK_STR(buf_cstr(&text), "content");
	CHECK_INT(fetch(&fetched), 0);
	CHECK(!fetched);
	CHECK_INT(file_replace(dirfd_, "target", 0644, SLICE_LIT("contenT"), &err), 0);
	CHECK_INT(fetch(&fetched), 0);
	CHECK(fetched);
	buf_release(&text);
	end();
}

/* What is not the target leaves what was there, and no other file. */
static void wrong_content(const char *content, enum error_kind kind)
{
	struct buf text = BUF_INIT(100);
	bool fetched = true;

	begin();
	serve_target(content);
	CHECK_INT(refresh(), 0);
	REQUIRE(file_replace(dirfd_, "target", 0644, SLICE_LIT("old"), &err) == 0);
	CHECK_INT(fetch(&fetched), -1);
	CHECK_INT(err.kind, kind);
	CHECK(!fetched);
	CHECK_INT(file_read(dirfd_, "target", &text, &err), 0);
	CHECK_STR(buf_cstr(&text), "old");
	CHECK_INT(file_unlink(dirfd_, "target", &err), 0);
	CHECK_INT(rmdir(dir), 0);
	CHECK_INT(mkdir(dir, 0700), 0);
	buf_release(&text);
	end();
}

TEST(a_target_with_another_byte_is_refused)
{
	wrong_content("c0ntent", ERR_REFUSED);
}

TEST(a_shorter_target_is_refused)
{
	wrong_content("conten", ERR_REFUSED);
}

TEST(a_longer_target_is_refused)
{
	wrong_content("content and more", ERR_LIMIT);
}

static void metadata_failure(const char *path, enum error_kind answer, int want, enum error_kind kind)
{
	begin();
	kit_file_reset(&kit, path)->answer = answer;
	CHECK_INT(refresh(), want);
	if (want < 0)
		CHECK_INT(err.kind, kind);
	end();
}

TEST(only_403_and_404_mean_no_newer_root)
{
	metadata_failure("2.root.json", ERR_NOT_FOUND, -1, ERR_RETRY);
}

TEST(a_forbidden_root_is_no_newer_root)
{
	metadata_failure("2.root.json", ERR_DENIED, 0, ERR_NONE);
}

TEST(a_redirect_is_not_followed)
{
	metadata_failure("2.root.json", ERR_FAILED, -1, ERR_FAILED);
}

TEST(a_broken_server_is_tried_again_later)
{
	metadata_failure("2.root.json", ERR_LIMIT, -1, ERR_RETRY);
}

TEST(a_connection_that_ends_is_tried_again_later)
{
	metadata_failure("timestamp.json", ERR_RETRY, -1, ERR_RETRY);
}

TEST(a_forbidden_timestamp_ends_the_update)
{
	metadata_failure("timestamp.json", ERR_DENIED, -1, ERR_NOT_FOUND);
}

TEST(what_is_no_url_is_refused)
{
	static const char *const urls[] = {"", "ftp://x/", "http://", "file:///etc", "http://a b/", "127.0.0.1:80"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(urls); i++) {
		struct mirror r;

		CHECK_INT(mirror_open(&r, urls[i], NULL, NULL, KIT_NOW, &err), -1);
		CHECK_INT(err.kind, ERR_USAGE);
		CHECK_INT(mirror_open(&r, "http://127.0.0.1/", urls[i], NULL, KIT_NOW, &err), -1);
	}
}
