/* Why a call passes or does not (POST /explain): what the rules and flows of this node say about it. */
#include <arpa/inet.h>
#include <string.h>

#include "mesh/scope.h"
#include "meshlan/door.h"
#include "sys/clock.h"

/* One word asked about: a node, what of it, and who calls. */
struct question {
	struct scope_rule what;		/* protocol and port alone */
	struct found to, from;
	bool has_from;
};

static int read_what(struct question *q, struct slice text, struct error *err)
{
	if (scope_rule_parse(&q->what, text, err) < 0)
		return -1;
	if (q->what.port_first == q->what.port_last)
		return 0;
	error_set(err, ERR_USAGE, "'%.*s' is more than one port", SLICE_ARG(text));
	return error_hint(err, "name one: tcp:%u", q->what.port_first);
}

static int read_question(struct meshlan *m, struct json_value v, struct question *q, struct error *err)
{
	struct slice target, what, from = SLICE_EMPTY;

	if (json_need_string(v, "target", &target, err) < 0 || json_need_string(v, "what", &what, err) < 0 ||
	    json_opt_string(v, "from", &from, err) < 0 || read_what(q, what, err) < 0 ||
	    door_find(m, target, &q->to, err) < 0)
		return -1;
	if (from.len == 0)
		return 0;
	if (door_find(m, from, &q->from, err) < 0)
		return error_wrap(err, "--from");
	if (q->from.lan != q->to.lan)
		return error_set(err, ERR_USAGE, "'%.*s' and '%.*s' are in different networks", SLICE_ARG(from),
				 SLICE_ARG(target));
	q->has_from = true;
	return 0;
}

static const char *called(const struct names_entry *e, const char *otherwise)
{
	return e->name[0] == '\0' ? otherwise : e->name;
}

/* The number by which the filter knows a peer. */
static uint32_t filter_peer(const struct found *f)
{
	uint32_t slot = door_slot(f->lan, f->peer);

	return slot == PLANE_NOBODY ? FLOW_PEERS_MAX : slot;
}

/* A call to this node or a forward of it. Without a caller: any member of whom no rule speaks. */
static int explain_in(const struct question *q, struct filter_explanation *x, struct error *err)
{
	static const uint8_t somebody[NODE_ID_LEN];
	struct lan *l = q->to.lan;
	bool node = q->to.entry.slot == SLOT_NODE && q->to.entry.ordinal == 0;
	int target = filter_target_named(l->filter, node ? "" : q->to.entry.name);

	if (q->has_from && q->from.self)
		return error_set(err, ERR_USAGE, "what this node does with itself, no rule decides");
	filter_explain(l->filter, q->has_from ? q->from.entry.node : somebody,
		       q->has_from ? called(&q->from.entry, "that node") : "any other member",
		       q->has_from ? filter_peer(&q->from) : FLOW_PEERS_MAX, target < 0 ? SCOPE_NO_TARGET : target,
		       q->what.proto, q->what.port_first, clock_mono_ms(), x);
	return 0;
}

static int explain_out(const struct question *q, struct filter_explanation *x, struct error *err)
{
	const struct names_entry *e = &q->to.entry;
	uint32_t four = htonl(e->v4);
	struct filter *f = q->to.lan->filter;
	const char *name = called(e, "that node");

	if (q->has_from && !q->from.self) {
		error_set(err, ERR_USAGE, "this node is neither end of that");
		return error_hint(err, "ask on one of the two nodes");
	}
	if (!e->has_address)
		return error_set(err, ERR_NOT_FOUND, "'%s' holds no address", name);
	/* The same either way but for the flows that there are: those of IPv6, where IPv4 has none. */
	filter_explain_out(f, name, filter_peer(&q->to), (const uint8_t *)&four, sizeof(four), q->what.proto,
			   q->what.port_first, clock_mono_ms(), x);
	if (x->live == 0)
		filter_explain_out(f, name, filter_peer(&q->to), e->v6, sizeof(e->v6), q->what.proto, q->what.port_first,
				   clock_mono_ms(), x);
	return 0;
}

/* How the far end is reached, since the best rule helps nobody who is not there. */
static void put_path(struct json_writer *w, const struct found *f)
{
	struct mesh_peer_info i;

	if (f->self || !mesh_engine_find(f->lan->engine, f->entry.node, &i)) {
		json_put_null(w, "path");
		return;
	}
	json_put_string(w, "path", door_path(&i));
}

int explain_put(struct meshlan *m, struct json_value v, struct json_writer *w, struct error *err)
{
	struct filter_explanation x = {0};
	struct question q = {.has_from = false};
	char rule[SCOPE_RULE_TEXT_LEN];
	int r;

	if (read_question(m, v, &q, err) < 0)
		return -1;
	r = q.to.self ? explain_in(&q, &x, err) : explain_out(&q, &x, err);
	if (r < 0)
		return -1;
	json_open_object(w, NULL);
	json_put_string(w, "end", q.to.self ? "in" : "out");
	json_put_string(w, "network", q.to.lan->net.key.name);
	json_put_string(w, "target", called(&q.to.entry, NULL));
	json_put_hex(w, "node", q.to.entry.node, NODE_ID_LEN);
	json_put_string(w, "what", scope_rule_text(rule, &q.what));
	json_put_string(w, "from", q.has_from ? called(&q.from.entry, NULL) : q.to.self ? NULL : m->name);
	json_put_bool(w, "allowed", x.reason.allowed);
	json_put_string(w, "why", x.reason.why);
	json_put_int(w, "live", x.live);
	json_put_int(w, "ended", x.ended);
	json_put_string(w, "flows", x.flows[0] == '\0' ? NULL : x.flows);
	put_path(w, q.to.self && q.has_from ? &q.from : &q.to);
	json_close(w);
	return 0;
}
