/* The reading half of the store: what stands on the disk, and only if nobody else could have put it there. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "mesh/store_internal.h"
#include "sys/file.h"

#define PREFIX_LEN_MIN 4	/* of an id, as a word */

/* ---- directories ---- */

int store_open_dir(int dirfd, const char *name, struct error *err)
{
	int fd = file_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	struct stat st;

	if (fd < 0 && (err->sys_errno == ENOTDIR || err->sys_errno == ELOOP)) {
		error_set(err, ERR_REFUSED, "'%s' is a symbolic link, or no directory", name);
		return error_hint(err, "keys of networks are kept in plain directories; put it there in its place");
	}
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		error_errno(err, errno, "cannot look at '%s'", name);
	} else if (st.st_uid != geteuid() && st.st_uid != 0) {
		error_set(err, ERR_REFUSED, "directory '%s' belongs to another user", name);
		error_hint(err, "run as that user, or see who made it");
	} else if ((st.st_mode & 077) != 0) {
		error_set(err, ERR_REFUSED, "directory '%s' is open to other users", name);
		error_hint(err, "see who has been there, then: chmod 700");
	} else {
		return fd;
	}
	file_close(&fd);
	return -1;
}

bool store_id_valid(const char *name)
{
	return strlen(name) == NETWORK_ID_HEX_LEN - 1 && strspn(name, "0123456789abcdef") == NETWORK_ID_HEX_LEN - 1;
}

int store_open_network(const struct netstore *s, const char *hex, struct error *err)
{
	int fd = -1;

	if (s->networks_fd < 0 || !store_id_valid(hex))
		error_set(err, ERR_NOT_FOUND, "no network '%.64s' is here", hex);
	else if ((fd = store_open_dir(s->networks_fd, hex, err)) < 0 && err->kind == ERR_NOT_FOUND)
		error_set(err, ERR_NOT_FOUND, "no network '%s' is here", hex);
	return fd;
}

int store_walk(int dirfd, int (*each)(void *arg, const char *name, struct error *err), void *arg, struct error *err)
{
	int fd = file_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err), r = 0;
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return error_set(err, ERR_FAILED, "cannot list a directory of networks");
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = each(arg, e->d_name, err);
	}
	closedir(d);
	return r;
}

uint32_t store_generation(const char *name, const char *prefix)
{
	const char *digits = name + strlen(prefix);
	char again[STORE_FILE_MAX];
	unsigned long value;

	if (strncmp(name, prefix, strlen(prefix)) != 0 || strlen(digits) > 10)
		return 0;
	value = strtoul(digits, NULL, 10);
	if (value == 0 || value > UINT32_MAX ||
	    strcmp(store_generation_name(again, prefix, (uint32_t)value), name) != 0)
		return 0;
	return (uint32_t)value;
}

const char *store_generation_name(char out[static STORE_FILE_MAX], const char *prefix, uint32_t generation)
{
	snprintf(out, STORE_FILE_MAX, "%s%" PRIu32, prefix, generation);
	return out;
}

int netstore_open(struct netstore *s, const char *home, struct error *err)
{
	int home_fd, r = -1;

	*s = NETSTORE_INIT;
	if ((home_fd = file_open(AT_FDCWD, home, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		goto out;
	if ((s->mesh_fd = store_open_dir(home_fd, "mesh", err)) >= 0)
		s->networks_fd = store_open_dir(s->mesh_fd, "networks", err);
	if (s->networks_fd >= 0)
		r = 0;
out:
	file_close(&home_fd);
	if (r < 0 && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		r = 0;
	}
	if (r < 0) {
		netstore_close(s);
		error_wrap(err, "cannot use the networks below '%s'", home);
	}
	return r;
}

void netstore_close(struct netstore *s)
{
	file_close(&s->lock_fd);
	file_close(&s->networks_fd);
	file_close(&s->mesh_fd);
}

/* ---- lists ---- */

static int add_id(void *arg, const char *name, struct error *err)
{
	struct network_ids *ids = arg;

	if (!store_id_valid(name))
		return 0;
	if (ids->count == NETSTORE_NETWORKS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d networks are here", NETSTORE_NETWORKS_MAX);
	memcpy(ids->hex[ids->count++], name, NETWORK_ID_HEX_LEN);
	return 0;
}

static int compare_hex(const void *a, const void *b)
{
	return strcmp(a, b);
}

int netstore_ids(const struct netstore *s, struct network_ids *ids, struct error *err)
{
	ids->count = 0;
	if (s->networks_fd < 0)
		return 0;
	if (store_walk(s->networks_fd, add_id, ids, err) < 0)
		return -1;
	qsort(ids->hex, ids->count, sizeof(ids->hex[0]), compare_hex);
	return 0;
}

/* FNV-1a, which is enough to see a difference. */
static void stamp_bytes(uint64_t *stamp, const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		*stamp = (*stamp ^ b[i]) * UINT64_C(0x100000001b3);
}

int netstore_stamp(const struct netstore *s, uint64_t *stamp, struct error *err)
{
	static const char *const files[] = {"key", "scope", "forwards", "evicted"};
	struct network_ids ids;
	size_t i, j;

	*stamp = UINT64_C(0xcbf29ce484222325);
	if (netstore_ids(s, &ids, err) < 0)
		return -1;
	for (i = 0; i < ids.count; i++) {
		stamp_bytes(stamp, ids.hex[i], sizeof(ids.hex[i]));
		for (j = 0; j < ARRAY_SIZE(files); j++) {
			char path[NETWORK_ID_HEX_LEN + STORE_FILE_MAX];
			int64_t facts[3] = {0};
			struct stat st;

			snprintf(path, sizeof(path), "%s/%s", ids.hex[i], files[j]);
			if (fstatat(s->networks_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
				facts[0] = (int64_t)st.st_ino;
				facts[1] = st.st_ctim.tv_sec;
				facts[2] = st.st_ctim.tv_nsec;
			}
			stamp_bytes(stamp, facts, sizeof(facts));
		}
	}
	return 0;
}

/* ---- one network ---- */

int store_read_file(int dir, const char *hex, const char *file, struct buf *out, bool *there, struct error *err)
{
	int r = file_read_private(dir, file, out, err);

	if (there != NULL)
		*there = r == 0;
	if (r == 0)
		return 0;
	if (there != NULL && err->kind == ERR_NOT_FOUND) {
		*err = ERROR_INIT;
		return 0;
	}
	if (err->kind == ERR_NOT_FOUND) {
		error_set(err, ERR_MALFORMED, "file '%s' is missing", file);
		error_hint(err, "restore it, or 'meshanics mgmt-keys rm' and join again");
	}
	return error_wrap(err, "network %.12s", hex);
}

/* What is wrong with a file, with its name. */
static int bad_file(const char *hex, const char *file, struct error *err)
{
	error_wrap(err, "network %.12s: file '%s'", hex, file);
	err->hint[0] = '\0';	/* what is said of a key that was copied does not help */
	return error_hint(err, "restore it, or 'meshanics mgmt-keys rm' and join again");
}

static int parse_key(const char *hex, struct netkey *k, struct slice text, struct error *err)
{
	char own[NETWORK_ID_HEX_LEN];

	if (netkey_parse(k, text, err) < 0)
		return -1;
	hex_encode(own, k->id, NETWORK_ID_LEN);
	return strcmp(own, hex) == 0 ? 0 : error_set(err, ERR_REFUSED, "is of another network, %s", own);
}

static int read_key(int dir, const char *hex, struct netkey *k, struct error *err)
{
	struct buf text = BUF_SECRET(STORE_TEXT_MAX);
	int r = store_read_file(dir, hex, "key", &text, NULL, err);

	if (r == 0 && (r = parse_key(hex, k, buf_slice(&text), err)) < 0)
		bad_file(hex, "key", err);
	if (r < 0)
		netkey_wipe(k);
	buf_release(&text);
	return r;
}

static int read_node(int dir, const char *hex, struct nodekey *k, struct error *err)
{
	struct buf text = BUF_SECRET(STORE_TEXT_MAX);
	int r = store_read_file(dir, hex, "node.key", &text, NULL, err);

	if (r == 0 && (r = nodekey_parse(k, buf_slice(&text), err)) < 0)
		bad_file(hex, "node.key", err);
	buf_release(&text);
	return r;
}

/* *there: whether there is one; k may be NULL. */
static int read_owner(int dir, const struct netkey *key, const char *hex, struct ownerkey *k, bool *there,
		      struct error *err)
{
	struct buf text = BUF_SECRET(STORE_TEXT_MAX);
	struct ownerkey own;
	int r = store_read_file(dir, hex, "owner.key", &text, there, err);

	if (r == 0 && *there) {
		r = ownerkey_parse(&own, buf_slice(&text), err);
		if (r == 0 && (memcmp(own.public, key->owner, sizeof(own.public)) != 0 ||
			       memcmp(own.network_id, key->id, NETWORK_ID_LEN) != 0))
			r = error_set(err, ERR_REFUSED, "is not the owner's key of this network");
		if (r < 0)
			bad_file(hex, "owner.key", err);
		else if (k != NULL)
			*k = own;
		ownerkey_wipe(&own);
	}
	buf_release(&text);
	return r;
}

static int read_allow(int dir, const char *hex, struct allow_list *l, struct error *err)
{
	struct buf text = BUF_INIT(ALLOW_FILE_MAX);
	bool there;
	int r = store_read_file(dir, hex, "scope", &text, &there, err);

	l->count = 0;
	if (r == 0 && there && (r = allow_list_parse(l, buf_slice(&text), err)) < 0)
		error_wrap(err, "network %.12s: file 'scope'", hex);
	buf_release(&text);
	return r;
}

static int read_forwards(int dir, const char *hex, struct forward_list *l, struct error *err)
{
	struct buf text = BUF_INIT(FORWARDS_FILE_MAX);
	bool there;
	int r = store_read_file(dir, hex, "forwards", &text, &there, err);

	l->count = 0;
	if (r == 0 && there && (r = forwards_parse(l, buf_slice(&text), err)) < 0)
		error_wrap(err, "network %.12s: file 'forwards'", hex);
	buf_release(&text);
	return r;
}

static int read_claims(int dir, struct network *n, struct error *err)
{
	struct buf text = BUF_INIT(STORE_TEXT_MAX);
	bool there;
	int r = store_read_file(dir, n->hex, "claims", &text, &there, err);

	n->claims_count = 0;
	if (r == 0 && there && (r = claims_file_parse(n->claims, &n->claims_count, buf_slice(&text), err)) < 0)
		error_wrap(err, "network %.12s: file 'claims'", n->hex);
	buf_release(&text);
	return r;
}

struct former_search {
	struct network *n;
	uint32_t found[FORMER_MAX];	/* the highest ones below n's, descending */
};

static int note_former(void *arg, const char *name, struct error *err)
{
	struct former_search *s = arg;
	uint32_t generation = store_generation(name, "former."), swap;
	size_t i;

	(void)err;
	if (generation >= s->n->key.generation)
		return 0;
	for (i = 0; i < FORMER_MAX; i++) {
		if (generation > s->found[i]) {
			swap = s->found[i];
			s->found[i] = generation;
			generation = swap;
		}
	}
	return 0;
}

static int read_former(int dir, struct network *n, struct error *err)
{
	struct former_search s = {.n = n};
	char file[STORE_FILE_MAX];
	int r;

	n->former_count = 0;
	if (store_walk(dir, note_former, &s, err) < 0)
		return -1;
	for (; n->former_count < FORMER_MAX && s.found[n->former_count] != 0; n->former_count++) {
		struct former *f = &n->former[n->former_count];
		uint32_t generation = s.found[n->former_count];
		struct buf text = BUF_SECRET(STORE_TEXT_MAX);

		store_generation_name(file, "former.", generation);
		r = store_read_file(dir, n->hex, file, &text, NULL, err);
		if (r == 0 && (r = former_parse(f, buf_slice(&text), err)) == 0 &&
		    (!netkey_same_network(&f->key, &n->key) || f->key.generation != generation))
			r = error_set(err, ERR_REFUSED, "is of another network or generation");
		buf_release(&text);
		if (r < 0)
			return bad_file(n->hex, file, err);
	}
	return 0;
}

int network_read(const struct netstore *s, const char *hex, struct network *n, struct error *err)
{
	int dir, r = -1;

	memset(n, 0, sizeof(*n));
	if ((dir = store_open_network(s, hex, err)) < 0)
		return -1;
	memcpy(n->hex, hex, NETWORK_ID_HEX_LEN);
	if (read_key(dir, hex, &n->key, err) == 0 && read_node(dir, hex, &n->node, err) == 0 &&
	    read_owner(dir, &n->key, hex, NULL, &n->owned, err) == 0 && read_allow(dir, hex, &n->allow, err) == 0 &&
	    read_forwards(dir, hex, &n->forwards, err) == 0 && read_claims(dir, n, err) == 0 &&
	    read_former(dir, n, err) == 0)
		r = 0;
	if (r < 0)
		network_wipe(n);
	file_close(&dir);
	return r;
}

void network_wipe(struct network *n)
{
	explicit_bzero(n, sizeof(*n));
}

int network_owner(const struct netstore *s, const char *hex, struct ownerkey *k, struct error *err)
{
	struct netkey key;
	bool there = false;
	int dir, r = -1;

	if ((dir = store_open_network(s, hex, err)) < 0)
		return -1;
	if (read_key(dir, hex, &key, err) == 0)
		r = read_owner(dir, &key, hex, k, &there, err);
	netkey_wipe(&key);
	file_close(&dir);
	if (r == 0 && !there)
		r = error_set(err, ERR_NOT_FOUND, "the owner's key of network %.12s is not here", hex);
	return r;
}

/* ---- finding ---- */

/* The name of a network, without a look at the rest of it. */
static int read_name(const struct netstore *s, const char *hex, char name[static NETKEY_NAME_MAX + 1], struct error *err)
{
	struct netkey k;
	int dir = store_open_network(s, hex, err), r;

	if (dir < 0)
		return -1;
	r = read_key(dir, hex, &k, err);
	if (r == 0)
		memcpy(name, k.name, sizeof(k.name));
	netkey_wipe(&k);
	file_close(&dir);
	return r;
}

static int several(const struct netstore *s, struct slice word, const struct network_ids *hits, struct error *err)
{
	char shown[64], name[NETKEY_NAME_MAX + 1];
	struct buf list = BUF_INIT(4096);
	struct error ignored = ERROR_INIT;
	size_t i;

	for (i = 0; i < hits->count && i < 4; i++) {
		if (read_name(s, hits->hex[i], name, &ignored) < 0)
			name[0] = '\0';
		buf_printf(&list, "%s%.12s '%s'", i == 0 ? "" : ", ", hits->hex[i], name);
	}
	error_set(err, ERR_CONFLICT, "'%s' may mean %zu networks: %s%s", printable(shown, sizeof(shown), word),
		  hits->count, buf_cstr(&list), hits->count > 4 ? ", ..." : "");
	buf_release(&list);
	return error_hint(err, "give the beginning of the id");
}

int netstore_find(const struct netstore *s, struct slice word, char hex[static NETWORK_ID_HEX_LEN], struct error *err)
{
	struct network_ids ids, hits = {.count = 0};
	struct error unreadable = ERROR_INIT;
	char shown[64], name[NETKEY_NAME_MAX + 1];
	size_t i;

	if (netstore_ids(s, &ids, err) < 0)
		return -1;
	for (i = 0; i < ids.count; i++) {
		bool hit = word.len >= PREFIX_LEN_MIN && slice_starts(slice_str(ids.hex[i]), word);

		if (slice_equal_str(word, ids.hex[i])) {
			memcpy(hex, ids.hex[i], NETWORK_ID_HEX_LEN);
			return 0;
		}
		/* A damaged network has no name, and can be named by its id. */
		if (read_name(s, ids.hex[i], name, &unreadable) == 0)
			hit = hit || slice_equal_str(word, name);
		if (hit)
			memcpy(hits.hex[hits.count++], ids.hex[i], NETWORK_ID_HEX_LEN);
	}
	if (hits.count > 1)
		return several(s, word, &hits, err);
	if (hits.count == 1) {
		memcpy(hex, hits.hex[0], NETWORK_ID_HEX_LEN);
		return 0;
	}
	error_set(err, ERR_NOT_FOUND, "no network '%s' is here", printable(shown, sizeof(shown), word));
	if (unreadable.kind != ERR_NONE)
		return error_hint(err, "one cannot be read: %.180s", unreadable.text);
	return error_hint(err, "'meshanics mgmt-keys list' shows which are");
}

/* ---- what a running node keeps ---- */

int network_staylist(const struct netstore *s, const struct network *n, struct buf *out, struct error *err)
{
	char file[STORE_FILE_MAX];
	bool there;
	int dir = store_open_network(s, n->hex, err), r;

	if (dir < 0)
		return -1;
	r = store_read_file(dir, n->hex, store_generation_name(file, "stay.", n->key.generation), out, &there, err);
	file_close(&dir);
	return r;
}

int network_evicted(const struct netstore *s, const struct network *n, struct node_ids *out, struct error *err)
{
	struct buf text = BUF_INIT(EVICTED_MAX * 48);
	bool there;
	int dir = store_open_network(s, n->hex, err), r;

	*out = (struct node_ids){NULL, 0};
	if (dir < 0)
		return -1;
	r = store_read_file(dir, n->hex, "evicted", &text, &there, err);
	if (r == 0 && there && (r = evicted_parse(out, n->key.generation, buf_slice(&text), err)) < 0)
		error_wrap(err, "network %.12s: file 'evicted'", n->hex);
	file_close(&dir);
	buf_release(&text);
	return r;
}

int network_records(const struct netstore *s, const struct network *n,
		    int (*each)(void *arg, const struct mesh_record *r, struct slice bytes, struct error *err), void *arg,
		    size_t *left_out, struct error *err)
{
	struct buf file = BUF_INIT(RECORDS_FILE_MAX);
	struct error ignored = ERROR_INIT;
	struct addressing a;
	struct slice rest, bytes;
	struct mesh_record record;
	bool there, bad = false;
	int dir = store_open_network(s, n->hex, err), r;

	*left_out = 0;
	if (dir < 0)
		return -1;
	addressing_init(&a, n->key.id, &n->key.range, n->key.created_s);
	r = store_read_file(dir, n->hex, "records", &file, &there, err);
	rest = buf_slice(&file);
	while (r == 0 && records_next(&rest, &bytes, &bad)) {
		if (record_parse(&record, bytes, &a, &ignored) < 0)
			(*left_out)++;
		else
			r = each(arg, &record, bytes, err);
	}
	*left_out += bad;
	file_close(&dir);
	buf_release(&file);
	return r;
}

int network_ages(const struct netstore *s, const struct network *n, struct buf *out, struct error *err)
{
	bool there;
	int dir = store_open_network(s, n->hex, err), r;

	if (dir < 0)
		return -1;
	r = store_read_file(dir, n->hex, "ages", out, &there, err);
	file_close(&dir);
	return r;
}

int network_paths(const struct netstore *s, const struct network *n, struct path_list *out, struct error *err)
{
	struct buf bytes = BUF_INIT((size_t)PATHS_MAX * PATH_LEN);
	bool there;
	int dir = store_open_network(s, n->hex, err), r;

	*out = (struct path_list){NULL, 0};
	if (dir < 0)
		return -1;
	r = store_read_file(dir, n->hex, "paths", &bytes, &there, err);
	if (r == 0 && there && (r = paths_parse(out, buf_slice(&bytes), err)) < 0)
		error_wrap(err, "network %.12s: file 'paths'", n->hex);
	file_close(&dir);
	buf_release(&bytes);
	return r;
}

int network_pins(const struct netstore *s, const struct network *n,
		 int (*each)(void *arg, const struct names_change *pin, struct error *err), void *arg,
		 struct error *err)
{
	struct buf text = BUF_INIT(PINS_FILE_MAX);
	bool there;
	int dir = store_open_network(s, n->hex, err), r;

	if (dir < 0)
		return -1;
	r = store_read_file(dir, n->hex, "pins", &text, &there, err);
	if (r == 0 && there && (r = pins_parse(each, arg, buf_slice(&text), err)) < 0)
		error_wrap(err, "network %.12s: file 'pins'", n->hex);
	file_close(&dir);
	buf_release(&text);
	return r;
}
