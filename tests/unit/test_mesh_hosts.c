/* Lines for a hosts file, and the arguments of resolvectl, to the letter. */
#include "tap.h"

#include <arpa/inet.h>

#include "mesh/hosts.h"
#include "mesh_names_fixture.h"

/* What the lines must be, from addresses computed apart. */
static void expect(struct buf *out, const struct named_net *net, const struct mesh_record *r, unsigned slot,
		   const char *names)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t v6[16];
	uint32_t v4 = address_of(net, r, slot);

	block_v6(&net->addressing, (v4 - net->addressing.range.v4) / BLOCK_SIZE, slot, v6);
	buf_printf(out, "%u.%u.%u.%u %s\n", v4 >> 24, v4 >> 16 & 255, v4 >> 8 & 255, v4 & 255, names);
	buf_printf(out, "%s %s\n", inet_ntop(AF_INET6, v6, text, sizeof(text)), names);
}

TEST(every_name_has_its_lines)
{
	struct mesh_record nas = record_of(1, "nas", 60, true), box = record_of(2, "box", 60, false);
	struct buf out = BUF_INIT(1 << 16), want = BUF_INIT(1 << 16);
	struct named n;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &nas) == 0 && node_add(&n.work, &box) == 0);
	hosts_put(&out, n.names, "mesh");
	expect(&want, &n.home, &nas, 1, "nas.mesh nas.home.mesh");
	expect(&want, &n.home, &nas, 3, "nas-cam.mesh nas-cam.home.mesh");
	expect(&want, &n.work, &box, 1, "box.mesh");
	CHECK_STR(buf_cstr(&out), buf_cstr(&want));
	buf_release(&out);
	buf_release(&want);
	named_release(&n);
}

TEST(a_name_is_given_once_and_losers_are_comments)
{
	struct mesh_record first = record_of(2, "nas", 50, false), second = record_of(1, "nas", 60, false);
	struct mesh_record other = record_of(3, "nas", 10, false), bare = record_of(4, "bare", 10, false);
	struct buf out = BUF_INIT(1 << 16);
	struct named n;
	const char *at;
	unsigned names = 0, comments = 0;

	bare.claims_count = 0;
	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &second) == 0 && node_add(&n.home, &first) == 0 &&
		node_add(&n.work, &other) == 0 && node_add(&n.home, &bare) == 0);
	hosts_put(&out, n.names, "mesh");
	for (at = buf_cstr(&out); *at != '\0'; at = strchr(at, '\n') + 1) {
		if (*at == '#')
			comments++;
		else
			names++;
	}
	CHECK_INT(names, 2);
	CHECK_INT(comments, 3);
	CHECK(strstr(buf_cstr(&out), "# nas.mesh: another node has this name; node 01010101010101010101010101010101 is "));
	CHECK(strstr(buf_cstr(&out), "# bare.mesh: node 04040404040404040404040404040404 has no address yet\n"));
	CHECK(strstr(buf_cstr(&out), "# nas.mesh: another network's name; here it is 10.1.2."));
	buf_release(&out);
	named_release(&n);
}

static void check_argv(const struct resolvectl *c, const char *line)
{
	char joined[300] = "";
	size_t i;

	for (i = 0; i < RESOLVECTL_ARGS_MAX && c->argv[i] != NULL; i++)
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s", i > 0 ? "|" : "", c->argv[i]);
	CHECK(i < RESOLVECTL_ARGS_MAX);
	CHECK_STR(joined, line);
}

TEST(the_arguments_of_resolvectl)
{
	struct resolvectl up[RESOLVECTL_UP], down;
	struct error err = ERROR_INIT;

	REQUIRE(resolvectl_up(up, "mesh0", "198.18.58.9", "mesh", &err) == 0);
	check_argv(&up[0], "resolvectl|default-route|mesh0|false");
	check_argv(&up[1], "resolvectl|llmnr|mesh0|no");
	check_argv(&up[2], "resolvectl|mdns|mesh0|no");
	check_argv(&up[3], "resolvectl|dnssec|mesh0|no");
	check_argv(&up[4], "resolvectl|dnsovertls|mesh0|no");
	check_argv(&up[5], "resolvectl|domain|mesh0|~mesh");
	check_argv(&up[6], "resolvectl|dns|mesh0|198.18.58.9");
	REQUIRE(resolvectl_up(up, "a-b_c.d12345678", "fd12:22c3:9932:341::1", "mesh.example.net", &err) == 0);
	check_argv(&up[5], "resolvectl|domain|a-b_c.d12345678|~mesh.example.net");
	check_argv(&up[6], "resolvectl|dns|a-b_c.d12345678|fd12:22c3:9932:341::1");
	REQUIRE(resolvectl_down(&down, "mesh0", &err) == 0);
	check_argv(&down, "resolvectl|revert|mesh0");
}

TEST(arguments_that_could_be_something_else_are_refused)
{
	static const char *const interfaces[] = {"", "-i", "--all", ".", "..", "a b", "a/b", "mesh0;x", "mesh0\n", "a%b",
						 "sixteen-letters0"};
	static const char *const servers[] = {"", "nas", "-1", "1.2.3", "1.2.3.4 5.6.7.8", "1.2.3.4:53", "::1%lo", "1.2.3.4\n"};
	static const char *const suffixes[] = {"", "~mesh", ".", "~.", "-mesh", "mesh .", "local"};
	struct resolvectl up[RESOLVECTL_UP];
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < sizeof(interfaces) / sizeof(interfaces[0]); i++) {
		CHECK(resolvectl_up(up, interfaces[i], "1.2.3.4", "mesh", &err) < 0 && err.kind == ERR_USAGE);
		CHECK(resolvectl_down(up, interfaces[i], &err) < 0 && err.kind == ERR_USAGE);
	}
	for (i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		CHECK(resolvectl_up(up, "mesh0", servers[i], "mesh", &err) < 0 && err.kind == ERR_USAGE);
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		CHECK(resolvectl_up(up, "mesh0", "1.2.3.4", suffixes[i], &err) < 0 && err.kind == ERR_USAGE);
}
