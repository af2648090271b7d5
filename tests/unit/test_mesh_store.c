/* Networks on the disk: what is kept, what is refused, and that a cut at any call leaves the old or the new. */
#include "tap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "crypto/key.h"
#include "mesh/store.h"
#include "mesh/taken.h"
#include "mesh_fixture.h"
#include "sys/fault.h"
#include "sys/file.h"

static char home[64];

/* A home of its own, with one network in it: made here, or joined. */
static void enter(struct mesh_net *net, char hex[static NETWORK_ID_HEX_LEN], bool owner)
{
	struct netstore s = NETSTORE_INIT;
	struct allow_list allow = {.count = 0};
	struct error err = ERROR_INIT;
	struct allow ssh;

	snprintf(home, sizeof(home), "/tmp/meshanics-test-XXXXXX");
	REQUIRE(mkdtemp(home) != NULL && net_init(net) == 0);
	hex_encode(hex, net->key.id, NETWORK_ID_LEN);
	REQUIRE(allow_parse(&ssh, SLICE_LIT("tcp:22"), &err) == 0 && allow_list_add(&allow, &ssh, &err) == 0);
	REQUIRE(netstore_open_locked(&s, home, &err) == 0);
	REQUIRE(netstore_add(&s, &net->key, owner ? &net->owner : NULL, &allow, &err) == 0);
	netstore_close(&s);
}

static void leave(void)
{
	struct error err = ERROR_INIT;

	CHECK_INT(file_remove_tree(AT_FDCWD, home, &err), 0);
}

static void open_store(struct netstore *s)
{
	struct error err = ERROR_INIT;

	REQUIRE(netstore_open_locked(s, home, &err) == 0);
}

static void change_mode(const char *hex, const char *file, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/mesh/networks/%s/%s", home, hex, file);
	REQUIRE(chmod(path, mode) == 0);
}

static void put_content(const char *hex, const char *file, const char *text)
{
	struct error err = ERROR_INIT;
	char path[256];

	snprintf(path, sizeof(path), "%s/mesh/networks/%s/%s", home, hex, file);
	REQUIRE(file_replace(AT_FDCWD, path, 0600, slice_str(text), &err) == 0);
}

TEST(a_network_comes_back_as_it_was_made)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct network_ids ids;
	struct network n;
	struct ownerkey owner;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];

	enter(&net, hex, true);
	REQUIRE(netstore_open(&s, home, &err) == 0 && netstore_ids(&s, &ids, &err) == 0);
	CHECK_INT(ids.count, 1);
	CHECK_STR(ids.hex[0], hex);
	REQUIRE(network_read(&s, hex, &n, &err) == 0);
	CHECK(same_netkey(&n.key, &net.key));
	CHECK(n.owned);
	CHECK_INT(n.allow.count, 1);
	CHECK_INT(n.former_count, 0);
	CHECK_INT(n.claims_count, 0);
	REQUIRE(network_owner(&s, hex, &owner, &err) == 0);
	CHECK(memcmp(&owner, &net.owner, sizeof(owner)) == 0);
	netstore_close(&s);
	leave();
}

TEST(a_home_without_a_mesh_is_empty)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct network_ids ids;
	struct network n;
	char hex[NETWORK_ID_HEX_LEN];

	snprintf(home, sizeof(home), "/tmp/meshanics-test-XXXXXX");
	REQUIRE(mkdtemp(home) != NULL);
	REQUIRE(netstore_open(&s, home, &err) == 0 && netstore_ids(&s, &ids, &err) == 0);
	CHECK_INT(ids.count, 0);
	CHECK(network_read(&s, "00000000000000000000000000000000", &n, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(netstore_find(&s, SLICE_LIT("home"), hex, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	netstore_close(&s);
	leave();
}

TEST(a_network_is_not_joined_twice_and_a_removed_one_leaves_nothing)
{
	struct netstore s = NETSTORE_INIT;
	struct allow_list none = {.count = 0};
	struct error err = ERROR_INIT;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN], path[128];

	enter(&net, hex, false);
	open_store(&s);
	CHECK(netstore_add(&s, &net.key, NULL, &none, &err) < 0);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK_INT(network_remove(&s, hex, &err), 0);
	CHECK(network_remove(&s, hex, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(network_remove(&s, "../../x", &err) < 0);
	netstore_close(&s);
	snprintf(path, sizeof(path), "%s/mesh/networks", home);
	CHECK_INT(rmdir(path), 0);	/* it is empty */
	leave();
}

TEST(what_others_could_have_changed_is_refused)
{
	static const char *const files[] = {"key", "node.key", "owner.key", "scope", "forwards"};
	struct forward_list none = {.count = 0};
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct network n;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN], path[256], moved[256];
	size_t i;

	enter(&net, hex, true);
	open_store(&s);
	REQUIRE(network_set_forwards(&s, hex, &none, &err) == 0);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		change_mode(hex, files[i], 0640);
		CHECK(network_read(&s, hex, &n, &err) < 0);
		CHECK_INT(err.kind, ERR_REFUSED);
		change_mode(hex, files[i], 0600);
		snprintf(path, sizeof(path), "%s/mesh/networks/%s/%s", home, hex, files[i]);
		snprintf(moved, sizeof(moved), "%s/moved", home);
		REQUIRE(rename(path, moved) == 0 && symlink(moved, path) == 0);
		CHECK(network_read(&s, hex, &n, &err) < 0);
		CHECK_INT(err.kind, ERR_REFUSED);
		REQUIRE(rename(moved, path) == 0);
		CHECK_INT(network_read(&s, hex, &n, &err), 0);
	}
	change_mode(hex, ".", 0750);
	CHECK(network_read(&s, hex, &n, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	change_mode(hex, ".", 0700);
	netstore_close(&s);
	snprintf(path, sizeof(path), "%s/mesh", home);
	REQUIRE(chmod(path, 0755) == 0);
	CHECK(netstore_open(&s, home, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	REQUIRE(chmod(path, 0700) == 0 && rename(path, moved) == 0 && symlink(moved, path) == 0);
	CHECK(netstore_open(&s, home, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(netstore_open_locked(&s, home, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	leave();
}

TEST(damaged_files_are_refused_by_name)
{
	static const struct {
		const char *file, *text;
	} bad[] = {
		{"key", "mrk1AAEC"}, {"node.key", "mrn1"}, {"owner.key", "mro1AAAA"}, {"scope", "allow tcp:0\n"},
		{"scope", "allow tcp:22"}, {"claims", "0 0\n"}, {"forwards", "printer\n"}, {"scope", "allow tcp:22 from nas\n"}, {"claims", "1 0 5\n0 0 5\n"}, {"former.1", "x\n"},
	};
	struct netstore s = NETSTORE_INIT;
	struct buf keep = BUF_SECRET(4096);
	struct error err = ERROR_INIT;
	struct netkey next;
	struct network n;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN], path[256];
	size_t i;

	enter(&net, hex, true);
	open_store(&s);
	REQUIRE(netkey_next(&next, &net.key, 0, &err) == 0);
	REQUIRE(network_renew(&s, hex, &next, SLICE_EMPTY, NULL, FIXTURE_CREATED, &err) == 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		bool there;

		snprintf(path, sizeof(path), "%s/mesh/networks/%s/%s", home, hex, bad[i].file);
		buf_clear(&keep);
		there = file_read(AT_FDCWD, path, &keep, &err) == 0;
		put_content(hex, bad[i].file, bad[i].text);
		CHECK(network_read(&s, hex, &n, &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
		snprintf(path, sizeof(path), "file '%s'", bad[i].file);
		CHECK(strstr(err.text, path) != NULL);
		snprintf(path, sizeof(path), "%s/mesh/networks/%s/%s", home, hex, bad[i].file);
		if (there)
			put_content(hex, bad[i].file, buf_cstr(&keep));
		else
			REQUIRE(unlink(path) == 0);
		CHECK_INT(network_read(&s, hex, &n, &err), 0);
	}
	buf_release(&keep);
	netstore_close(&s);
	leave();
}

TEST(rotations_keep_four_former_generations)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct netkey next = {.generation = 0}, now;
	struct network n;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN], path[256];
	int i;

	enter(&net, hex, true);
	open_store(&s);
	now = net.key;
	for (i = 0; i < 6; i++) {
		REQUIRE(netkey_next(&next, &now, 0, &err) == 0);
		REQUIRE(network_renew(&s, hex, &next, SLICE_EMPTY, NULL, FIXTURE_CREATED + i, &err) == 0);
		now = next;
	}
	REQUIRE(network_read(&s, hex, &n, &err) == 0);
	CHECK_INT(n.key.generation, 7);
	CHECK_INT(n.former_count, 4);
	CHECK_INT(n.former[0].key.generation, 6);
	CHECK_INT(n.former[0].grace_until_s, FIXTURE_CREATED + 5);
	CHECK_INT(n.former[3].key.generation, 3);
	snprintf(path, sizeof(path), "%s/mesh/networks/%s/former.2", home, hex);
	CHECK(access(path, F_OK) < 0);
	/* Not again, not backwards, not another network. */
	CHECK(network_renew(&s, hex, &next, SLICE_EMPTY, NULL, 0, &err) < 0);
	CHECK(network_renew(&s, hex, &net.key, SLICE_EMPTY, NULL, 0, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	next.generation++;
	next.owner[0] ^= 1;
	CHECK(network_renew(&s, hex, &next, SLICE_EMPTY, NULL, 0, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	netstore_close(&s);
	leave();
}

TEST(leftovers_of_a_rotation_that_never_was_count_for_nothing)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct buf list = BUF_INIT(4096);
	struct node_ids gone;
	struct netkey next;
	struct network n;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];

	enter(&net, hex, true);
	open_store(&s);
	put_content(hex, "stay.2", "left over");
	put_content(hex, "former.1", "left over");
	put_content(hex, "evicted", "00112233445566778899aabbccddeeff 2\n");
	REQUIRE(network_read(&s, hex, &n, &err) == 0);
	CHECK_INT(n.former_count, 0);
	REQUIRE(network_evicted(&s, &n, &gone, &err) == 0);
	CHECK_INT(gone.count, 0);
	node_ids_release(&gone);
	REQUIRE(netkey_next(&next, &net.key, 0, &err) == 0);
	REQUIRE(network_renew(&s, hex, &next, SLICE_EMPTY, NULL, FIXTURE_CREATED, &err) == 0);
	REQUIRE(network_read(&s, hex, &n, &err) == 0);
	CHECK_INT(n.former_count, 1);
	REQUIRE(network_staylist(&s, &n, &list, &err) == 0);
	CHECK_INT(list.len, 0);
	REQUIRE(network_evicted(&s, &n, &gone, &err) == 0);
	CHECK_INT(gone.count, 0);
	node_ids_release(&gone);
	netstore_close(&s);
	leave();
}

/* However many were evicted so far, one more can be; of those that are too many the oldest are forgotten. */
TEST(there_is_no_last_eviction)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct node_ids gone = {xcalloc(5000, NODE_ID_LEN), 5000}, known;
	struct netkey next;
	struct network n;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];
	size_t i;

	enter(&net, hex, true);
	open_store(&s);
	next = net.key;
	for (unsigned round = 1; round <= 3; round++) {
		struct netkey have = next;

		for (i = 0; i < gone.count; i++) {
			gone.ids[i][0] = (uint8_t)round;
			gone.ids[i][1] = (uint8_t)(i >> 8);
			gone.ids[i][2] = (uint8_t)i;
		}
		REQUIRE(netkey_next(&next, &have, 0, &err) == 0);
		REQUIRE(network_renew(&s, hex, &next, SLICE_EMPTY, &gone, FIXTURE_CREATED, &err) == 0);
		REQUIRE(network_read(&s, hex, &n, &err) == 0 && network_evicted(&s, &n, &known, &err) == 0);
		CHECK_INT(known.count, round == 1 ? 5000 : EVICTED_MAX);
		CHECK(memcmp(known.ids[known.count - 1], gone.ids[gone.count - 1], NODE_ID_LEN) == 0);
		node_ids_release(&known);
	}
	node_ids_release(&gone);
	netstore_close(&s);
	leave();
}

TEST(names_and_ids_find_a_network_and_a_clash_is_told)
{
	struct netstore s = NETSTORE_INIT;
	struct allow_list none = {.count = 0};
	struct error err = ERROR_INIT;
	struct mesh_net net, other;
	char hex[NETWORK_ID_HEX_LEN], found[NETWORK_ID_HEX_LEN], second[NETWORK_ID_HEX_LEN];

	enter(&net, hex, true);
	REQUIRE(net_init(&other) == 0);
	hex_encode(second, other.key.id, NETWORK_ID_LEN);
	snprintf(other.key.name, sizeof(other.key.name), "office");
	open_store(&s);
	REQUIRE(netstore_add(&s, &other.key, NULL, &none, &err) == 0);
	REQUIRE(netstore_find(&s, SLICE_LIT("office"), found, &err) == 0);
	CHECK_STR(found, second);
	REQUIRE(netstore_find(&s, slice_str(hex), found, &err) == 0);
	CHECK_STR(found, hex);
	REQUIRE(netstore_find(&s, slice_of(hex, 12), found, &err) == 0);
	CHECK_STR(found, hex);
	CHECK(netstore_find(&s, slice_of(hex, 3), found, &err) < 0);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	/* A damaged one is found by its id alone, and does not hide the other. */
	put_content(second, "key", "x");
	CHECK(netstore_find(&s, SLICE_LIT("office"), found, &err) < 0);
	CHECK(strstr(err.hint, "cannot be read") != NULL);
	CHECK_INT(netstore_find(&s, SLICE_LIT("home"), found, &err), 0);
	CHECK_INT(netstore_find(&s, slice_of(second, 12), found, &err), 0);
	CHECK_INT(network_remove(&s, second, &err), 0);
	snprintf(other.key.name, sizeof(other.key.name), "home");
	REQUIRE(netstore_add(&s, &other.key, NULL, &none, &err) == 0);
	CHECK(netstore_find(&s, SLICE_LIT("home"), found, &err) < 0);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK(strstr(err.text, "2 networks") != NULL);
	netstore_close(&s);
	leave();
}

TEST(epochs_rise_whatever_happens)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct mesh_net net;
	uint32_t epoch = 0;
	char hex[NETWORK_ID_HEX_LEN];

	enter(&net, hex, false);
	open_store(&s);
	REQUIRE(network_next_epoch(&s, hex, 0, &epoch, &err) == 0);
	CHECK_INT(epoch, 1);
	REQUIRE(network_next_epoch(&s, hex, 41, &epoch, &err) == 0);
	CHECK_INT(epoch, 42);
	REQUIRE(network_next_epoch(&s, hex, 7, &epoch, &err) == 0);
	CHECK_INT(epoch, 43);
	CHECK(network_next_epoch(&s, hex, UINT32_MAX, &epoch, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	put_content(hex, "epoch", "forty\n");
	CHECK(network_next_epoch(&s, hex, 0, &epoch, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	netstore_close(&s);
	leave();
}

static int count_record(void *arg, const struct mesh_record *r, struct slice bytes, struct error *err)
{
	(void)err;
	CHECK_STR(r->name, "nas");
	CHECK(bytes.len >= RECORD_LEN_MIN);
	(*(int *)arg)++;
	return 0;
}

TEST(claims_and_records_come_back)
{
	struct claim claims[] = {{.ordinal = 0, .attempt = 3, .claimed_at_s = FIXTURE_CREATED + 9},
				 {.ordinal = 2, .attempt = 0, .claimed_at_s = CLAIM_TIME_UNKNOWN}};
	struct netstore s = NETSTORE_INIT;
	struct buf records = BUF_INIT(RECORDS_FILE_MAX);
	struct error err = ERROR_INIT;
	struct network n;
	struct mesh_node nas;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];
	size_t left_out;
	int count = 0;

	enter(&net, hex, false);
	open_store(&s);
	REQUIRE(node_init(&nas, &net, "nas") == 0);
	records_put(&records, buf_slice(&nas.bytes));
	nas.bytes.ptr[nas.bytes.len - 1] ^= 1;
	records_put(&records, buf_slice(&nas.bytes));
	buf_put_str(&records, "\377");
	REQUIRE(network_set_records(&s, hex, buf_slice(&records), &err) == 0);
	REQUIRE(network_set_claims(&s, hex, claims, 2, &err) == 0);
	REQUIRE(network_read(&s, hex, &n, &err) == 0);
	CHECK_INT(n.claims_count, 2);
	CHECK(memcmp(n.claims, claims, sizeof(claims)) == 0);
	CHECK_INT(network_records(&s, &n, count_record, &count, &left_out, &err), 0);
	CHECK_INT(count, 1);
	CHECK_INT(left_out, 2);
	node_release(&nas);
	buf_release(&records);
	netstore_close(&s);
	leave();
}

TEST(one_process_changes_networks_at_a_time)
{
	struct netstore s = NETSTORE_INIT, other = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];

	enter(&net, hex, true);
	open_store(&s);
	CHECK(netstore_open_locked(&other, home, &err) < 0);
	CHECK_INT(err.kind, ERR_RETRY);
	err = ERROR_INIT;
	CHECK_INT(netstore_open(&other, home, &err), 0);	/* to read is free */
	netstore_close(&other);
	netstore_close(&s);
	CHECK_INT(netstore_open_locked(&other, home, &err), 0);
	netstore_close(&other);
	leave();
}

TEST(forwards_and_paths_come_back)
{
	static const struct last_path paths[] = {
		{{1}, {ENDPOINT_V4, {192, 0, 2, 7}, 7783}}, {{1}, {ENDPOINT_V6, {0x20, 1, [15] = 1}, 7783}},
		{{2}, {ENDPOINT_V4, {192, 0, 2, 8}, 1}},
	};
	struct forward_list forwards = {.count = 0};
	struct forward f = {.name = "printer", .named_s = 60, .target = {ENDPOINT_V4, {192, 168, 1, 50}, 0}};
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct path_list back;
	struct network n;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];
	size_t i;

	enter(&net, hex, false);
	open_store(&s);
	REQUIRE(network_read(&s, hex, &n, &err) == 0);
	CHECK_INT(n.forwards.count, 0);
	REQUIRE(network_paths(&s, &n, &back, &err) == 0);
	CHECK_INT(back.count, 0);
	path_list_release(&back);
	REQUIRE(forwards_add(&forwards, &f, &err) == 0);
	REQUIRE(network_set_forwards(&s, hex, &forwards, &err) == 0 && network_set_paths(&s, hex, paths, 3, &err) == 0);
	REQUIRE(network_read(&s, hex, &n, &err) == 0 && network_paths(&s, &n, &back, &err) == 0);
	CHECK_INT(n.forwards.count, 1);
	CHECK_STR(n.forwards.all[0].name, "printer");
	CHECK_INT(back.count, 3);
	for (i = 0; i < back.count; i++)
		CHECK(memcmp(back.all[i].node, paths[i].node, NODE_ID_LEN) == 0 && endpoint_equal(&back.all[i].at, &paths[i].at));
	path_list_release(&back);
	put_content(hex, "paths", "cut short");
	CHECK(network_paths(&s, &n, &back, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	CHECK(strstr(err.text, "file 'paths'") != NULL);
	CHECK_INT(network_read(&s, hex, &n, &err), 0);	/* hints do not matter to it */
	path_list_release(&back);
	netstore_close(&s);
	leave();
}

TEST(ages_come_back)
{
	static const uint8_t ids[3][NODE_ID_LEN] = {{1}, {2}, {3}};
	static const uint8_t nobody[NODE_ID_LEN] = {9};
	struct buf ages = BUF_INIT(AGES_FILE_MAX), back = BUF_INIT(AGES_FILE_MAX);
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	char hex[NETWORK_ID_HEX_LEN];
	struct mesh_net net;
	struct network n;
	size_t at = 0;

	enter(&net, hex, false);
	open_store(&s);
	REQUIRE(network_read(&s, hex, &n, &err) == 0 && network_ages(&s, &n, &back, &err) == 0);
	CHECK_INT(back.len, 0);
	CHECK_INT(ages_find(buf_slice(&back), ids[0], &at), -1);
	ages_put(&ages, ids[0], 5);
	ages_put(&ages, ids[1], -1);
	ages_put(&ages, ids[2], INT64_MAX);
	REQUIRE(network_set_ages(&s, hex, buf_slice(&ages), &err) == 0 && network_ages(&s, &n, &back, &err) == 0);
	CHECK_INT(ages_find(buf_slice(&back), ids[1], &at), 0);
	CHECK_INT(at, 2);
	CHECK_INT(ages_find(buf_slice(&back), ids[2], &at), UINT32_MAX);
	CHECK_INT(ages_find(buf_slice(&back), nobody, &at), -1);
	CHECK_INT(ages_find(buf_slice(&back), ids[0], &at), 5);
	CHECK_INT(ages_find(slice_sub(buf_slice(&back), 0, AGE_LEN + 1), ids[0], &at), -1);
	buf_release(&ages);
	buf_release(&back);
	netstore_close(&s);
	leave();
}

TEST(places_where_no_node_can_be_are_refused)
{
	struct last_path path = {{1}, {ENDPOINT_V4, {127, 0, 0, 1}, 7783}};
	struct buf bytes = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	struct path_list back;

	paths_put(&bytes, &path, 1);
	CHECK(paths_parse(&back, buf_slice(&bytes), &err) < 0);
	path.at.addr[0] = 10;
	buf_clear(&bytes);
	paths_put(&bytes, &path, 1);
	REQUIRE(paths_parse(&back, buf_slice(&bytes), &err) == 0);
	path_list_release(&back);
	CHECK(paths_parse(&back, slice_sub(buf_slice(&bytes), 0, PATH_LEN - 1), &err) < 0);
	bytes.ptr[NODE_ID_LEN] = 5;	/* of no family */
	CHECK(paths_parse(&back, buf_slice(&bytes), &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	buf_release(&bytes);
}

static int put_pin(void *arg, const struct names_change *pin, struct error *err)
{
	(void)err;
	pins_put(arg, pin);
	return 0;
}

static int refuse_pin(void *arg, const struct names_change *pin, struct error *err)
{
	(void)arg;
	(void)pin;
	return error_set(err, ERR_CONFLICT, "pinned already");
}

TEST(pins_come_back)
{
	static const char text[] = "name nas 00112233445566778899aabbccddeeff\nname block ff112233445566778899aabbccddeeff\n"
				   "block 0 00112233445566778899aabbccddeeff\nblock 65535 00112233445566778899aabbccddeeff\n";
	static const char *const bad[] = {"name nas\n", "name Nas 00112233445566778899aabbccddeeff\n",
					  "name  00112233445566778899aabbccddeeff\n", "name nas 00112233445566778899aabbccddeef\n",
					  "name nas 00112233445566778899aabbccddeeff", "block -1 00112233445566778899aabbccddeeff\n",
					  "block 01 00112233445566778899aabbccddeeff\n", "node 1 00112233445566778899aabbccddeeff\n",
					  "block 1 00112233445566778899aabbccddeefF\n",
					  "block 1 00112233445566778899aabbccddeeff \n", "\n",
					  "block 4294967296 00112233445566778899aabbccddeeff\n"};
	struct netstore s = NETSTORE_INIT;
	struct buf back = BUF_INIT(4096);
	struct error err = ERROR_INIT;
	struct network n;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];
	size_t i;

	enter(&net, hex, false);
	open_store(&s);
	REQUIRE(network_read(&s, hex, &n, &err) == 0);
	CHECK_INT(network_pins(&s, &n, put_pin, &back, &err), 0);
	CHECK_INT(back.len, 0);
	REQUIRE(network_set_pins(&s, hex, slice_str(text), &err) == 0);
	CHECK_INT(network_pins(&s, &n, put_pin, &back, &err), 0);
	CHECK_STR(buf_cstr(&back), text);
	CHECK(network_pins(&s, &n, refuse_pin, NULL, &err) < 0);
	CHECK_INT(err.kind, ERR_CONFLICT);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		put_content(hex, "pins", bad[i]);
		CHECK(network_pins(&s, &n, put_pin, &back, &err) < 0);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
	buf_release(&back);
	netstore_close(&s);
	leave();
}

TEST(the_stamp_changes_with_what_an_operator_changes)
{
	struct netstore s = NETSTORE_INIT;
	struct allow_list none = {.count = 0};
	struct error err = ERROR_INIT;
	struct forward_list printer = {.count = 1, .all = {{.name = "printer", .slot = 2}}};
	uint64_t stamps[5];
	uint32_t epoch;
	struct netkey next;
	struct mesh_net net;
	char hex[NETWORK_ID_HEX_LEN];
	int i, j;

	enter(&net, hex, true);
	open_store(&s);
	REQUIRE(netstore_stamp(&s, &stamps[0], &err) == 0);
	REQUIRE(network_next_epoch(&s, hex, 0, &epoch, &err) == 0 && network_set_claims(&s, hex, NULL, 0, &err) == 0);
	REQUIRE(netstore_stamp(&s, &stamps[1], &err) == 0);
	CHECK(stamps[0] == stamps[1]);
	REQUIRE(network_set_allow(&s, hex, &none, &err) == 0 && netstore_stamp(&s, &stamps[1], &err) == 0);
	REQUIRE(netkey_next(&next, &net.key, 0, &err) == 0);
	REQUIRE(network_renew(&s, hex, &next, SLICE_EMPTY, NULL, 0, &err) == 0 && netstore_stamp(&s, &stamps[2], &err) == 0);
	printer.all[0].target = (struct endpoint){ENDPOINT_V4, {10, 0, 0, 1}, 0};
	REQUIRE(network_set_forwards(&s, hex, &printer, &err) == 0 && netstore_stamp(&s, &stamps[3], &err) == 0);
	REQUIRE(network_set_paths(&s, hex, NULL, 0, &err) == 0 && network_set_pins(&s, hex, SLICE_EMPTY, &err) == 0);
	REQUIRE(netstore_stamp(&s, &stamps[4], &err) == 0);
	CHECK(stamps[3] == stamps[4]);
	REQUIRE(network_remove(&s, hex, &err) == 0 && netstore_stamp(&s, &stamps[4], &err) == 0);
	for (i = 0; i < 5; i++) {
		for (j = 0; j < i; j++)
			CHECK(stamps[i] != stamps[j]);
	}
	netstore_close(&s);
	leave();
}

TEST(rules_have_one_form)
{
	static const char *const good[] = {"tcp:22", "udp:1", "tcp:65535", "udp:60000-65535"};
	static const char *const bad[] = {"", "tcp", "tcp:", "tcp:0", "tcp:022", "tcp:65536", "tcp:22-22", "tcp:30-22",
					  "tcp:22-", "tcp:22 ", "icmp:8", "TCP:22", "tcp:-22", "tcp:+22", "tcp:22-0"};
	struct error err = ERROR_INIT;
	struct allow_list list = {.count = 0}, again;
	struct buf text = BUF_INIT(ALLOW_FILE_MAX);
	char out[ALLOW_TEXT_LEN];
	struct allow a;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		REQUIRE(allow_parse(&a, slice_str(good[i]), &err) == 0);
		CHECK_STR(allow_text(out, &a), good[i]);
		CHECK_INT(allow_list_add(&list, &a, &err), 0);
		CHECK_INT(allow_list_add(&list, &a, &err), 0);
	}
	CHECK_INT(list.count, ARRAY_SIZE(good));
	allow_list_put(&text, &list);
	CHECK_STR(buf_cstr(&text), "allow tcp:22\nallow tcp:65535\nallow udp:1\nallow udp:60000-65535\n");
	REQUIRE(allow_list_parse(&again, buf_slice(&text), &err) == 0);
	CHECK_INT(again.count, list.count);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(allow_parse(&a, slice_str(bad[i]), &err) < 0);
		CHECK_INT(err.kind, ERR_USAGE);
	}
	CHECK(allow_list_parse(&again, SLICE_LIT("allow udp:1\nallow tcp:22\n"), &err) < 0);
	CHECK(allow_list_parse(&again, SLICE_LIT("allow tcp:22\nallow tcp:22\n"), &err) < 0);
	CHECK(allow_list_parse(&again, SLICE_LIT("deny tcp:22\n"), &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	for (list.count = 0, i = 1; i <= ALLOW_MAX; i++)
		REQUIRE(allow_list_add(&list, &(struct allow){.proto = SCOPE_TCP, .first = (uint16_t)i, .last = (uint16_t)i}, &err) == 0);
	CHECK(allow_list_add(&list, &(struct allow){.proto = SCOPE_TCP, .first = 999, .last = 999}, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	buf_release(&text);
}

TEST(a_free_range_is_chosen_while_there_is_one)
{
	struct taken_list l = TAKEN_INIT;
	struct error err = ERROR_INIT;
	struct range r, all = {.v4 = 0xc6120000, .prefix = 15}, host = {.v4 = 0xc6120105, .prefix = 32};
	bool seen[RANGE_DEFAULTS] = {false};
	unsigned i;

	taken_add(&l, &host, "interface 'eth0'");
	for (i = 0; i < 600; i++) {
		REQUIRE(taken_choose(&l, &r, &err) == 0);
		seen[(r.v4 - all.v4) >> 13] = true;
	}
	CHECK(!seen[0]);	/* where the host is */
	for (i = 1; i < RANGE_DEFAULTS; i++)
		CHECK(seen[i]);
	r = range_default(0);
	REQUIRE(taken_find(&l, &r) != NULL);
	CHECK_STR(taken_find(&l, &r)->what, "interface 'eth0'");
	taken_add(&l, &all, "a route");
	CHECK(taken_choose(&l, &r, &err) < 0);
	CHECK_INT(err.kind, ERR_REFUSED);
	taken_release(&l);
}

#ifdef MESHANICS_TEST
/* ---- cuts and errors at every call ---- */

static struct netkey walk_next;

static int do_add(struct netstore *s, const char *hex, struct error *err)
{
	struct allow_list none = {.count = 0};
	static struct mesh_net another;

	(void)hex;
	REQUIRE(net_init(&another) == 0);
	return netstore_add(s, &another.key, &another.owner, &none, err);
}

static int do_renew(struct netstore *s, const char *hex, struct error *err)
{
	struct node_ids one = {xcalloc(1, NODE_ID_LEN), 1};
	int r = network_renew(s, hex, &walk_next, SLICE_LIT("a list"), &one, FIXTURE_CREATED, err);

	node_ids_release(&one);
	return r;
}

static int do_epoch(struct netstore *s, const char *hex, struct error *err)
{
	uint32_t epoch;

	return network_next_epoch(s, hex, 10, &epoch, err);
}

static int do_forwards(struct netstore *s, const char *hex, struct error *err)
{
	struct forward f = {.name = "printer", .target = {ENDPOINT_V4, {192, 168, 1, 50}, 0}};
	struct forward_list l = {.count = 0};

	if (forwards_add(&l, &f, err) < 0)
		return -1;
	return network_set_forwards(s, hex, &l, err);
}

static int do_remove(struct netstore *s, const char *hex, struct error *err)
{
	return network_remove(s, hex, err);
}

/* After whatever happened: every network that is there can be read whole, and is the old or the new one. */
static void check_state(const char *hex)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	struct network_ids ids;
	struct node_ids gone;
	struct network n;
	uint32_t epoch;
	size_t i;

	open_store(&s);
	REQUIRE(netstore_ids(&s, &ids, &err) == 0);
	for (i = 0; i < ids.count; i++) {
		struct buf list = BUF_INIT(STAY_LEN_MAX);

		if (network_read(&s, ids.hex[i], &n, &err) < 0)
			printf("# %s\n", err.text);
		REQUIRE(err.kind == ERR_NONE);
		REQUIRE(network_staylist(&s, &n, &list, &err) == 0 && network_evicted(&s, &n, &gone, &err) == 0);
		if (strcmp(ids.hex[i], hex) == 0 && n.key.generation == walk_next.generation) {
			CHECK_INT(n.former_count, 1);
			CHECK_INT(list.len, 6);
			CHECK_INT(gone.count, 1);
		} else {
			CHECK_INT(n.key.generation, 1);
			CHECK_INT(n.former_count, 0);
			CHECK_INT(list.len, 0);
			CHECK_INT(gone.count, 0);
		}
		CHECK_INT(network_next_epoch(&s, ids.hex[i], 0, &epoch, &err), 0);
		node_ids_release(&gone);
		buf_release(&list);
	}
	netstore_close(&s);
	CHECK(netstore_open(&s, home, &err) == 0);
	netstore_close(&s);
}

/* Returns whether the operation came to its end. */
static bool one_cut(int (*op)(struct netstore *s, const char *hex, struct error *err), const char *hex, unsigned n,
		    enum fault_mode mode)
{
	pid_t pid = fork();
	int status;

	REQUIRE(pid >= 0);
	if (pid == 0) {
		struct netstore s = NETSTORE_INIT;
		struct error err = ERROR_INIT;

		fault_arm(n, mode);
		if (netstore_open_locked(&s, home, &err) == 0 && op(&s, hex, &err) < 0 && fault_count() < n)
			_exit(3);
		_exit(fault_count() < n ? 0 : 2);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 3);
	return WEXITSTATUS(status) == 0;
}

static void walk(int (*op)(struct netstore *s, const char *hex, struct error *err))
{
	static const enum fault_mode modes[] = {FAULT_CUT, FAULT_CUTDIR, FAULT_ERROR};
	char hex[NETWORK_ID_HEX_LEN];
	struct error err = ERROR_INIT;
	struct mesh_net net;
	unsigned n;
	size_t m;
	bool done;

	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		for (n = 1, done = false; !done; n++) {
			REQUIRE(n < 400);
			enter(&net, hex, true);
			REQUIRE(netkey_next(&walk_next, &net.key, 0, &err) == 0);
			done = one_cut(op, hex, n, modes[m]);
			check_state(hex);
			leave();
		}
		CHECK(n > 4);
	}
}

TEST(joining_is_all_or_nothing_at_every_call)
{
	walk(do_add);
}

TEST(rotating_is_all_or_nothing_at_every_call)
{
	walk(do_renew);
}

TEST(an_epoch_is_all_or_nothing_at_every_call)
{
	walk(do_epoch);
}

TEST(forwards_are_all_or_nothing_at_every_call)
{
	walk(do_forwards);
}

TEST(leaving_is_all_or_nothing_at_every_call)
{
	walk(do_remove);
}
#endif
