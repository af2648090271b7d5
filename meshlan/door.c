/* The control socket HOME/mesh/control.sock: who may ask, which question it is, and whom a word means. */
#include "meshlan/door.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/name.h"
#include "control/api.h"
#include "sys/clock.h"
#include "sys/file.h"

#define QUESTION_MAX 4096
#define CONNECTIONS_MAX 64

/* ---- whom a word means ---- */

struct lan *door_lan(struct meshlan *m, const struct names_network *n)
{
	size_t i;

	for (i = 0; i < m->lans_count; i++) {
		if (m->lans[i]->names == n)
			return m->lans[i];
	}
	return NULL;
}

const char *door_v4_text(char out[static DOOR_ADDRESS_LEN], uint32_t v4)
{
	struct in_addr a = {.s_addr = htonl(v4)};

	return inet_ntop(AF_INET, &a, out, DOOR_ADDRESS_LEN);
}

const char *door_v6_text(char out[static DOOR_ADDRESS_LEN], const uint8_t v6[static 16])
{
	return inet_ntop(AF_INET6, v6, out, DOOR_ADDRESS_LEN);
}

/* Who has the name: as it is in the mesh, or as people write it ("Office Printer"). */
static bool find_name(const struct meshlan *m, struct slice word, struct names_entry *out)
{
	struct slice bare = meshlan_bare_name(word, m->suffix);
	size_t dot = slice_find(bare, '.', 0);
	char name[MESH_NAME_MAX + 1], text[2 * sizeof(name)];

	if (names_find(m->names, bare, out))
		return true;
	names_label(name, slice_sub(bare, 0, dot));
	if (dot == SIZE_MAX)
		return names_find(m->names, slice_str(name), out);
	if (bare.len - dot > MESH_NAME_MAX + 1)
		return false;
	snprintf(text, sizeof(text), "%s%.*s", name, SLICE_ARG(slice_sub(bare, dot, SIZE_MAX)));
	return names_find(m->names, slice_str(text), out);
}

struct near {
	const char *word;
	char best[MESH_NAME_MAX + 1];
	unsigned least;
};

static void look_near(void *arg, const struct names_entry *e)
{
	struct near *n = arg;
	unsigned d = name_distance(n->word, e->name);

	if (e->holds && d < n->least) {
		n->least = d;
		snprintf(n->best, sizeof(n->best), "%s", e->name);
	}
}

static int nobody_called(struct meshlan *m, struct slice word, struct error *err)
{
	char text[MESH_NAME_MAX + 1], bare[MESH_NAME_MAX + 1];
	struct near n = {.word = bare, .least = 3};

	printable(text, sizeof(text), word);
	printable(bare, sizeof(bare), meshlan_bare_name(word, m->suffix));
	names_each(m->names, look_near, &n);
	error_set(err, ERR_NOT_FOUND, "nobody is called '%s'", text);
	if (n.best[0] != '\0')
		return error_hint(err, "did you mean '%s'?", n.best);
	return error_hint(err, "'meshanics meshlan names' lists who is known");
}

struct by_node {
	const uint8_t *node;
	const struct names_network *network;
	struct names_entry *out;
	bool found;
};

static void look_node(void *arg, const struct names_entry *e)
{
	struct by_node *b = arg;

	if (e->network == b->network && e->slot == SLOT_NODE && e->ordinal == 0 && memcmp(e->node, b->node, NODE_ID_LEN) == 0) {
		*b->out = *e;
		b->found = true;
	}
}

/* The entry of a node itself; its name is empty where there is none. */
static void entry_of(struct lan *l, const uint8_t node[static NODE_ID_LEN], struct names_entry *out)
{
	struct by_node b = {.node = node, .network = l->names, .out = out};

	names_each(l->m->names, look_node, &b);
	if (!b.found) {
		*out = (struct names_entry){.slot = SLOT_NODE, .network = l->names};
		memcpy(out->node, node, NODE_ID_LEN);
	}
}

static bool id_begins(const uint8_t node[static NODE_ID_LEN], struct slice digits)
{
	char hex[NODE_ID_HEX_LEN];

	hex_encode(hex, node, NODE_ID_LEN);
	return digits.len <= 2 * NODE_ID_LEN && strncasecmp(hex, (const char *)digits.ptr, digits.len) == 0;
}

/* How many nodes an id, or the beginning of one, means; the first of them goes to out. */
static unsigned find_ids(struct meshlan *m, struct slice digits, struct found *out)
{
	struct mesh_peer_info info;
	unsigned n = 0;
	uint32_t at;
	size_t i;

	for (i = 0; i < m->lans_count; i++) {
		struct lan *l = m->lans[i];

		if (l->engine == NULL)
			continue;
		if (id_begins(l->net.node.id, digits) && n++ == 0) {
			out->lan = l;
			entry_of(l, l->net.node.id, &out->entry);
		}
		for (at = 0; mesh_engine_each(l->engine, &at, &info);) {
			if (id_begins(info.node, digits) && n++ == 0) {
				out->lan = l;
				entry_of(l, info.node, &out->entry);
			}
		}
	}
	return n;
}

static bool is_hex(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (strchr("0123456789abcdefABCDEF", s.ptr[i]) == NULL || s.ptr[i] == '\0')
			return false;
	}
	return s.len >= 4;
}

/* 1: it is an address, whose owner is in *e; 0: it is none; -1: nobody has it. */
static int find_address(struct meshlan *m, const char *word, struct names_entry *e, struct error *err)
{
	struct in_addr four;
	struct in6_addr six;
	bool covered, owned;

	if (inet_pton(AF_INET, word, &four) == 1) {
		owned = names_of_v4(m->names, ntohl(four.s_addr), e);
		covered = names_covers_v4(m->names, ntohl(four.s_addr));
	} else if (inet_pton(AF_INET6, word, &six) == 1) {
		owned = names_of_v6(m->names, six.s6_addr, e);
		covered = names_covers_v6(m->names, six.s6_addr);
	} else {
		return 0;
	}
	if (owned)
		return 1;
	if (covered)
		return error_set(err, ERR_NOT_FOUND, "nobody has the address %s", word);
	error_set(err, ERR_NOT_FOUND, "%s is in no network of the mesh that this node is in", word);
	return error_hint(err, "'meshanics meshlan status' shows the ranges");
}

int door_find(struct meshlan *m, struct slice word, struct found *out, struct error *err)
{
	struct mesh_peer_info info;
	char text[MESH_NAME_MAX + 1];
	unsigned ids = 0;
	int r;

	*out = (struct found){.peer = ENGINE_NOBODY};
	if (word.len == 0 || word.len > 2 * MESH_NAME_MAX + 1 + sizeof(m->suffix))
		return error_set(err, ERR_USAGE, "a name has 1 to %d bytes a part", MESH_NAME_MAX);
	r = word.len < sizeof(text) ? find_address(m, printable(text, sizeof(text), word), &out->entry, err) : 0;
	if (r < 0)
		return -1;
	if (r > 0 || find_name(m, word, &out->entry))
		out->lan = door_lan(m, out->entry.network);
	else if (is_hex(word))
		ids = find_ids(m, word, out);
	if (ids > 1)
		return error_set(err, ERR_CONFLICT, "%u nodes have an id that begins with '%.*s'", ids, SLICE_ARG(word));
	if (out->lan == NULL)
		return nobody_called(m, word, err);
	out->self = memcmp(out->entry.node, out->lan->net.node.id, NODE_ID_LEN) == 0;
	if (!out->self && mesh_engine_find(out->lan->engine, out->entry.node, &info))
		out->peer = info.peer;
	return 0;
}

const char *door_path(const struct mesh_peer_info *i)
{
	static const char *const words[] = {
		[MESH_PATH_NONE] = "none", [MESH_PATH_DIRECT] = "direct", [MESH_PATH_LAN] = "lan", [MESH_PATH_PEER] = "peer",
	};

	return words[i->live ? i->path : MESH_PATH_NONE];
}

bool door_peer(const struct lan *l, uint32_t peer, struct mesh_peer_info *out)
{
	uint32_t at = 0;

	while (peer != ENGINE_NOBODY && mesh_engine_each(l->engine, &at, out)) {
		if (out->peer == peer)
			return true;
	}
	return false;
}

uint32_t door_slot(const struct lan *l, uint32_t peer)
{
	return l->plane == NULL || peer >= ENGINE_PEERS_MAX ? PLANE_NOBODY : l->slot_of[peer];
}

/* ---- requests ---- */

void door_answer(struct exchange *x, struct buf *body, const struct error *err)
{
	struct reply r = REPLY_INIT(200);

	r.content_type = "application/json";
	if (err != NULL) {
		r.status = (int)api_status_of(err->kind);
		api_put_error(&r.body, err);
	} else {
		r.body = *body;
		*body = BUF_INIT(0);
	}
	exchange_reply(x, &r);
}

static void refuse(struct exchange *x, enum error_kind kind, const char *text)
{
	struct error err = ERROR_INIT;

	error_set(&err, kind, "%s", text);
	door_answer(x, NULL, &err);
}

static void answer_question(struct exchange *x, void (*put)(struct meshlan *m, struct json_writer *w))
{
	struct buf body = BUF_INIT(MESHLAN_ANSWER_MAX);
	struct json_writer w = JSON_WRITER(&body);

	put(x->arg, &w);
	if (body.failed)
		refuse(x, ERR_LIMIT, "the answer is too long");
	else
		door_answer(x, &body, NULL);
	buf_release(&body);
}

static bool asks(const struct exchange *x, const char *method, const char *path)
{
	return slice_equal_str(x->head.method, method) && slice_equal_str(x->head.path, path);
}

static void door_begin(struct exchange *x)
{
	if (x->peer->uid != 0 && x->peer->uid != geteuid())
		refuse(x, ERR_DENIED, "only root may ask the mesh");
	else if (asks(x, "GET", "/status"))
		answer_question(x, status_put);
	else if (asks(x, "GET", "/names"))
		answer_question(x, names_put);
	else if (asks(x, "POST", "/explain") || asks(x, "POST", "/ping"))
		exchange_take_body(x, QUESTION_MAX);
	else
		refuse(x, ERR_NOT_FOUND, "the mesh answers GET /status and /names, POST /explain and /ping");
}

static void door_ready(struct exchange *x)
{
	bool ping = slice_equal_str(x->head.path, "/ping");
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;

	if (json_parse(&doc, x->body, JSON_STRICT, &err) < 0 ||
	    (ping ? ping_begin : explain_begin)(x->arg, x, json_root(&doc), &err) < 0)
		door_answer(x, NULL, &err);
	json_release(&doc);
}

int door_start(struct meshlan *m, struct error *err)
{
	static const struct handler handler = {.begin = door_begin, .ready = door_ready};
	struct server_limits limits = {.connections = CONNECTIONS_MAX};
	char address[sizeof(m->home) + 32];

	m->door = xcalloc(1, sizeof(struct door));
	snprintf(address, sizeof(address), "unix:%s/mesh/control.sock", m->home);
	if ((m->door_fd = listen_open(address, err)) < 0 ||
	    (m->server = server_new(m->loop, &limits, clock_now_s, err)) == NULL)
		return -1;
	return server_add(m->server, m->door_fd, NULL, &handler, m, err) == NULL ? -1 : 0;
}

void door_stop(struct meshlan *m)
{
	if (m->door != NULL) {
		ping_stop_all(m);
		explain_stop_all(m);
	}
	free(m->door);
	m->door = NULL;
	if (m->server != NULL)
		server_free(m->server);
	m->server = NULL;
	file_close(&m->door_fd);
}
