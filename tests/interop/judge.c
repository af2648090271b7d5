/*
 * Our client as a judge of generated repositories: many cases in one process, the server and the stored state in
 * memory, the time as told. Reads commands from standard input, a line each, some with bytes behind it:
 *
 *	begin LEN			a new client whose trusted root follows; nothing is stored
 *	stage NOW			a new update at that time; the server is empty
 *	file NAME STATUS LEN		the server answers so below the metadata URL (name as the engine asks for it)
 *	target NAME STATUS LEN		the same below the targets URL
 *	lookup LEN			search this target and fetch it
 *	run				do it, and answer with one line of JSON
 *
 * The answer: {verdict: ok|refused, kind, why, root, timestamp, snapshot, targets,
 * lookups: [{verdict: found|none|refused, role, sha256, kind, why}]}. Input that breaks the protocol ends the process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "crypto/hash.h"
#include "tuf/engine.h"

#define NAME_MAX_LEN 4096
#define BYTES_MAX (64u << 20)
#define FILES_MAX 4096
#define LOOKUPS_MAX 16

/* A file on the server, or one in the store (named by role). */
struct entry {
	char *name;
	struct buf bytes;
	unsigned status;
};

struct table {
	struct entry list[FILES_MAX];
	unsigned count;
};

static struct table files, targets, store;
static struct buf anchor = BUF_INIT(BYTES_MAX);
static struct buf lookups[LOOKUPS_MAX];
static unsigned lookup_count;
static int64_t now_s;

static void die(const char *what)
{
	fprintf(stderr, "judge: %s\n", what);
	exit(2);
}

/* ---- tables ---- */

static void table_clear(struct table *t)
{
	while (t->count > 0) {
		struct entry *e = &t->list[--t->count];

		free(e->name);
		buf_release(&e->bytes);
	}
}

static struct entry *table_find(struct table *t, const char *name)
{
	unsigned i;

	for (i = 0; i < t->count; i++)
		if (strcmp(t->list[i].name, name) == 0)
			return &t->list[i];
	return NULL;
}

static struct entry *table_put(struct table *t, const char *name)
{
	struct entry *e = table_find(t, name);

	if (e != NULL) {
		buf_release(&e->bytes);
		return e;
	}
	if (t->count == FILES_MAX)
		die("too many files");
	e = &t->list[t->count++];
	*e = (struct entry){.name = strdup(name), .bytes = BUF_INIT(BYTES_MAX), .status = 200};
	return e;
}

static void table_remove(struct table *t, const char *name)
{
	struct entry *e = table_find(t, name);

	if (e == NULL)
		return;
	free(e->name);
	buf_release(&e->bytes);
	*e = t->list[--t->count];
}

/* ---- the engine's world ---- */

static int serve(struct tuf_client *c, const struct tuf_want *w, struct error *err)
{
	struct entry *e = w->stored ? table_find(&store, w->role) : table_find(&files, w->path);
	struct buf bytes = BUF_INIT(BYTES_MAX);
	struct error why = ERROR_INIT;

	if (e == NULL || e->status == 403 || e->status == 404)
		return tuf_client_absent(c, err);
	if (e->status != 200) {
		error_set(&why, ERR_RETRY, "the server answered %u", e->status);
		return tuf_client_fail(c, &why, err);
	}
	buf_put_slice(&bytes, buf_slice(&e->bytes));
	return tuf_client_feed(c, &bytes, err);
}

static int drive(struct tuf_client *c, struct error *err)
{
	const struct tuf_want *w;

	while ((w = tuf_client_want(c)) != NULL)
		if (serve(c, w, err) < 0)
			return -1;
	return 0;
}

/* What has been verified is stored, also after a failure. */
static void keep(struct tuf_client *c)
{
	const struct tuf_change *list;
	unsigned n = tuf_client_changes(c, &list), i;

	for (i = 0; i < n; i++)
		if (list[i].bytes.ptr == NULL)
			table_remove(&store, list[i].role);
		else
			buf_put_slice(&table_put(&store, list[i].role)->bytes, list[i].bytes);
	tuf_client_stored(c);
}

/* Fetch what the search has found, as net/mirror.h does: exactly that length, every listed hash. */
static int fetch(const struct tuf_result *found, char hex[static SHA256_HEX_LEN], struct error *err)
{
	struct buf path = BUF_INIT(4 * NAME_MAX_LEN);
	uint8_t hash[SHA256_LEN];
	struct entry *e;

	tuf_result_put_path(&path, found);
	e = table_find(&targets, buf_cstr(&path));
	buf_release(&path);
	if (e == NULL || e->status != 200)
		return error_set(err, ERR_RETRY, "the server has no such target");
	if (e->bytes.len != found->length)
		return error_set(err, ERR_REFUSED, "target has %zu bytes where %llu are signed",
				 e->bytes.len, (unsigned long long)found->length);
	if (tuf_hashes_check(&found->hashes, buf_slice(&e->bytes), "target", err) < 0)
		return -1;
	sha256_of(buf_slice(&e->bytes), hash);
	hex_encode(hex, hash, sizeof(hash));
	return 0;
}

/* ---- the answer ---- */

static void put_refusal(struct json_writer *w, const struct error *why)
{
	json_put_string(w, "verdict", "refused");
	json_put_string(w, "kind", error_kind_name(why->kind));
	json_put_string(w, "why", why->text);
}

static void look_up(struct tuf_client *c, struct slice path, struct json_writer *w)
{
	struct error err = ERROR_INIT;
	struct tuf_result found;
	char hex[SHA256_HEX_LEN];
	int r;

	json_open_object(w, NULL);
	r = tuf_client_lookup(c, path, &err);
	if (r == 0)
		r = drive(c, &err);
	keep(c);
	if (r == 0 && (r = tuf_client_result(c, &found, &err)) < 0 && err.kind == ERR_NOT_FOUND) {
		json_put_string(w, "verdict", "none");
	} else if (r < 0 || fetch(&found, hex, &err) < 0) {
		put_refusal(w, &err);
	} else {
		json_put_string(w, "verdict", "found");
		json_put_string(w, "role", found.role);
		json_put_string(w, "sha256", hex);
	}
	json_close(w);
}

static void put_versions(struct json_writer *w, const struct tuf_client *c)
{
	json_put_int(w, "timestamp", tuf_client_timestamp(c)->head.version);
	json_put_int(w, "snapshot", tuf_client_snapshot(c)->head.version);
	json_put_int(w, "targets", tuf_client_targets(c)->head.version);
}

static void update(struct json_writer *w)
{
	const struct tuf_options options = {
		.mode = TUF_MODE_CLIENT, .clock_s = now_s, .no_floor = true};
	struct error err = ERROR_INIT;
	struct tuf_client *c = tuf_client_new(buf_slice(&anchor), &options, &err);
	unsigned i;
	int r = -1;

	if (c != NULL) {
		r = drive(c, &err);
		keep(c);
		json_put_int(w, "root", tuf_client_root(c)->head.version);
	}
	if (r < 0)
		put_refusal(w, &err);
	else
		json_put_string(w, "verdict", "ok");
	if (r == 0)
		put_versions(w, c);
	json_open_array(w, "lookups");
	for (i = 0; r == 0 && i < lookup_count; i++)
		look_up(c, buf_slice(&lookups[i]), w);
	json_close(w);
	tuf_client_free(c);
}

static void run(void)
{
	struct buf out = BUF_INIT(1u << 20);
	struct json_writer w = JSON_WRITER(&out);

	json_open_object(&w, NULL);
	update(&w);
	json_close(&w);
	printf("%s\n", buf_cstr(&out));
	fflush(stdout);
	buf_release(&out);
}

/* ---- the protocol ---- */

static void read_bytes(struct buf *out, size_t len)
{
	static uint8_t chunk[65536];

	while (len > 0) {
		size_t n = len < sizeof(chunk) ? len : sizeof(chunk);

		if (fread(chunk, 1, n, stdin) != n)
			die("the input ends too early");
		buf_put(out, chunk, n);
		len -= n;
	}
	if (out->failed)
		die("too many bytes");
}

static void stage_clear(void)
{
	table_clear(&files);
	table_clear(&targets);
	while (lookup_count > 0)
		buf_release(&lookups[--lookup_count]);
}

static void read_file(struct table *t, const char *name, unsigned status, size_t len)
{
	struct entry *e = table_put(t, name);

	e->status = status;
	read_bytes(&e->bytes, len);
}

static void command(const char *line)
{
	static char name[NAME_MAX_LEN + 1];
	unsigned status;
	long long now;
	size_t len;

	if (sscanf(line, "begin %zu", &len) == 1) {
		stage_clear();
		table_clear(&store);
		buf_release(&anchor);
		read_bytes(&anchor, len);
	} else if (sscanf(line, "stage %lld", &now) == 1) {
		stage_clear();
		now_s = now;
	} else if (sscanf(line, "file %4096s %u %zu", name, &status, &len) == 3) {
		read_file(&files, name, status, len);
	} else if (sscanf(line, "target %4096s %u %zu", name, &status, &len) == 3) {
		read_file(&targets, name, status, len);
	} else if (sscanf(line, "lookup %zu", &len) == 1 && lookup_count < LOOKUPS_MAX) {
		lookups[lookup_count] = BUF_INIT(BYTES_MAX);
		read_bytes(&lookups[lookup_count++], len);
	} else if (strcmp(line, "run\n") == 0) {
		run();
	} else {
		die("unknown command");
	}
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0)
		command(line);
	stage_clear();
	table_clear(&store);
	buf_release(&anchor);
	free(line);
	return 0;
}
