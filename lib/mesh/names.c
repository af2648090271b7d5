/* The table of names: nodes by id, and behind every name the chain of those that want it; pins by name and block. */
#include "mesh/names.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/rng.h"

#define NODE_BUCKETS 1024
#define NAME_BUCKETS 8192
#define PIN_BUCKETS 2048

struct member;

/* One name that a node wants, for itself or for a forward. */
struct wish {
	struct wish *next;	/* in its bucket of names */
	const struct member *member;
	uint32_t named_s;
	uint8_t ordinal, slot;
	char name[MESH_NAME_MAX + 1];
};

struct member {
	struct member *next;
	uint8_t id[NODE_ID_LEN];
	size_t blocks_count;
	uint16_t ordinals[CLAIMS_MAX];	/* those it claims */
	size_t count;
	struct wish wishes[];
};

struct pin {
	struct pin *next;
	enum names_kind kind;
	bool wanted;	/* met in the last review */
	uint32_t block;
	uint8_t node[NODE_ID_LEN];
	char name[MESH_NAME_MAX + 1];
};

struct names_network {
	struct addressing addressing;
	const struct claims *claims;
	char label[MESH_NAME_MAX + 1];
	uint8_t hash_key[crypto_shorthash_KEYBYTES];	/* names can be chosen to collide; this cannot */
	size_t members, pins;
	struct member *by_id[NODE_BUCKETS];
	struct wish *by_name[NAME_BUCKETS];
	struct pin *by_pin[PIN_BUCKETS];
};

struct names {
	size_t count;
	struct names_network *networks[NAMES_NETWORKS_MAX];
};

struct names *names_new(void)
{
	return xcalloc(1, sizeof(struct names));
}

static void network_free(struct names_network *net)
{
	size_t i;

	for (i = 0; i < NODE_BUCKETS; i++) {
		while (net->by_id[i] != NULL) {
			struct member *m = net->by_id[i];

			net->by_id[i] = m->next;
			free(m);
		}
	}
	for (i = 0; i < PIN_BUCKETS; i++) {
		while (net->by_pin[i] != NULL) {
			struct pin *p = net->by_pin[i];

			net->by_pin[i] = p->next;
			free(p);
		}
	}
	free(net);
}

void names_free(struct names *n)
{
	size_t i;

	if (n == NULL)
		return;
	for (i = 0; i < n->count; i++)
		network_free(n->networks[i]);
	free(n);
}

/* The slice in lower case and terminated; false when it is no name of the mesh in any case. */
static bool lower(char out[static MESH_NAME_MAX + 1], struct slice s)
{
	struct error err = ERROR_INIT;
	size_t i;

	if (s.len == 0 || s.len > MESH_NAME_MAX)
		return false;
	for (i = 0; i < s.len; i++)
		out[i] = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + 32 : s.ptr[i]);
	out[s.len] = '\0';
	return mesh_name_check(slice_of(out, s.len), "name", &err) == 0;
}

static struct names_network *by_label(const struct names *n, const char *label)
{
	size_t i;

	for (i = 0; i < n->count; i++) {
		if (n->networks[i]->label[0] != '\0' && strcmp(n->networks[i]->label, label) == 0)
			return n->networks[i];
	}
	return NULL;
}

int names_network_add(struct names *n, const struct addressing *a, const struct claims *claims, struct slice label,
		      struct names_network **out, struct error *err)
{
	char text[MESH_NAME_MAX + 1] = "";
	struct names_network *net;

	if (n->count == NAMES_NETWORKS_MAX)
		return error_set(err, ERR_LIMIT, "there are %d networks already, the most there can be",
				 NAMES_NETWORKS_MAX);
	if (label.len != 0) {
		if (mesh_name_check(label, "label of the network", err) < 0)
			return -1;
		memcpy(text, label.ptr, label.len);
		if (by_label(n, text) != NULL) {
			error_set(err, ERR_CONFLICT, "another network has the label '%s'", text);
			return error_hint(err, "give one of them another name");
		}
	}
	net = xcalloc(1, sizeof(*net));
	net->addressing = *a;
	net->claims = claims;
	memcpy(net->label, text, sizeof(text));
	rng_bytes(net->hash_key, sizeof(net->hash_key));
	n->networks[n->count++] = net;
	*out = net;
	return 0;
}

void names_network_remove(struct names *n, struct names_network *net)
{
	size_t i, kept = 0;

	for (i = 0; i < n->count; i++) {
		if (n->networks[i] != net)
			n->networks[kept++] = n->networks[i];
	}
	n->count = kept;
	network_free(net);
}

const char *names_network_label(const struct names_network *net)
{
	return net->label;
}

const struct addressing *names_network_addressing(const struct names_network *net)
{
	return &net->addressing;
}

void names_label(char out[static MESH_NAME_MAX + 1], struct slice text)
{
	size_t i, len = 0;

	for (i = 0; i < text.len && len < MESH_NAME_MAX; i++) {
		uint8_t c = text.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + 32);
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[len++] = (char)c;
		else if (len > 0 && out[len - 1] != '-')
			out[len++] = '-';
	}
	while (len > 0 && out[len - 1] == '-')
		len--;
	out[len] = '\0';
}

static uint32_t bucket_of(const struct names_network *net, const void *key, size_t len, uint32_t buckets)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t bucket;

	crypto_shorthash(hash, key, len, net->hash_key);
	memcpy(&bucket, hash, sizeof(bucket));
	return bucket % buckets;
}

/* The place of the pointer to that node: where it is, or where it would be appended. */
static struct member **find_member(const struct names_network *net, const uint8_t *id)
{
	struct member **at = (struct member **)&net->by_id[bucket_of(net, id, NODE_ID_LEN, NODE_BUCKETS)];

	while (*at != NULL && memcmp((*at)->id, id, NODE_ID_LEN) != 0)
		at = &(*at)->next;
	return at;
}

static struct wish **chain_of(const struct names_network *net, const char *name)
{
	return (struct wish **)&net->by_name[bucket_of(net, name, strlen(name), NAME_BUCKETS)];
}

static void wish_unlink(struct names_network *net, struct wish *w)
{
	struct wish **at = chain_of(net, w->name);

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

void names_remove(struct names_network *net, const uint8_t node[static NODE_ID_LEN])
{
	struct member **at = find_member(net, node), *m = *at;
	size_t i;

	if (m == NULL)
		return;
	for (i = 0; i < m->count; i++)
		wish_unlink(net, &m->wishes[i]);
	*at = m->next;
	free(m);
	net->members--;
}

/* Below, equal or above 0 as a has the better, the same or a worse right to the name than b. */
static int wish_compare(const struct wish *a, const struct wish *b)
{
	if (a->named_s != b->named_s)
		return a->named_s < b->named_s ? -1 : 1;
	return memcmp(a->member->id, b->member->id, NODE_ID_LEN);
}

/* By name, and those of one name by their right to it. */
static int wish_order(const struct wish *a, const struct wish *b)
{
	int r = strcmp(a->name, b->name);

	return r != 0 ? r : wish_compare(a, b);
}

/* Chains are in order, so that who has a name is found at once, however many want it. */
static void wish_link(struct names_network *net, struct member *m, size_t i, const char *name, uint32_t named_s,
		      uint8_t ordinal, uint8_t slot)
{
	struct wish *w = &m->wishes[i], **at = chain_of(net, name);

	w->member = m;
	w->named_s = named_s;
	w->ordinal = ordinal;
	w->slot = slot;
	snprintf(w->name, sizeof(w->name), "%s", name);
	while (*at != NULL && wish_order(*at, w) < 0)
		at = &(*at)->next;
	w->next = *at;
	*at = w;
}

int names_set(struct names_network *net, const struct mesh_record *r, struct error *err)
{
	struct member **at, *m;
	size_t i;

	if (*find_member(net, r->id) == NULL && net->members >= CLAIMS_NODES_MAX)
		return error_set(err, ERR_LIMIT, "the network has %d nodes with names already", CLAIMS_NODES_MAX);
	names_remove(net, r->id);
	m = xcalloc(1, sizeof(*m) + (1 + r->forwards_count) * sizeof(m->wishes[0]));
	memcpy(m->id, r->id, NODE_ID_LEN);
	for (i = 0; i < r->claims_count && i < CLAIMS_MAX; i++)
		m->ordinals[m->blocks_count++] = r->claims[i].ordinal;
	m->count = 1 + r->forwards_count;
	wish_link(net, m, 0, r->name, r->named_s, 0, SLOT_NODE);
	for (i = 0; i < r->forwards_count; i++) {
		const struct record_forward *f = &r->forwards[i];

		wish_link(net, m, 1 + i, f->name, f->named_s, f->ordinal, f->slot);
	}
	at = find_member(net, r->id);
	m->next = *at;
	*at = m;
	net->members++;
	return 0;
}

size_t names_nodes(const struct names_network *net)
{
	return net->members;
}

static const struct wish *best_wish(const struct names_network *net, const char *name)
{
	const struct wish *w = *chain_of(net, name);

	while (w != NULL && strcmp(w->name, name) != 0)
		w = w->next;
	return w;
}

static void fill(const struct names_network *net, const struct wish *w, const struct wish *best, struct names_entry *e)
{
	uint32_t block;

	memset(e, 0, sizeof(*e));
	memcpy(e->name, w->name, sizeof(e->name));
	memcpy(e->node, w->member->id, NODE_ID_LEN);
	memcpy(e->holder, best->member->id, NODE_ID_LEN);
	e->holds = w == best;
	e->ordinal = w->ordinal;
	e->slot = w->slot;
	e->network = net;
	e->has_address = claims_holds(net->claims, w->member->id, w->ordinal, &block);
	if (e->has_address) {
		e->v4 = block_v4(&net->addressing, block, w->slot);
		block_v6(&net->addressing, block, w->slot, e->v6);
	}
}

bool names_find(const struct names *n, struct slice name, struct names_entry *out)
{
	char text[MESH_NAME_MAX + 1], label[MESH_NAME_MAX + 1] = "";
	size_t i, dot = slice_find(name, '.', 0);

	if (dot != SIZE_MAX && !lower(label, slice_sub(name, dot + 1, SIZE_MAX)))
		return false;
	if (!lower(text, slice_sub(name, 0, dot)))
		return false;
	for (i = 0; i < n->count; i++) {
		const struct names_network *net = n->networks[i];
		const struct wish *best;

		if (label[0] != '\0' && strcmp(net->label, label) != 0)
			continue;
		best = best_wish(net, text);
		if (best != NULL) {
			fill(net, best, best, out);
			return true;
		}
	}
	return false;
}

bool names_label_known(const struct names *n, struct slice label)
{
	char text[MESH_NAME_MAX + 1];

	return lower(text, label) && by_label(n, text) != NULL;
}

/* Who has the slot of a block: the node that holds the block, in the slot that its record says. */
static bool of_slot(const struct names_network *net, uint32_t block, unsigned slot, struct names_entry *out)
{
	struct claims_holder holder;
	const struct member *m;
	size_t i;

	if (!claims_holder(net->claims, block, &holder) || (m = *find_member(net, holder.node)) == NULL)
		return false;
	for (i = 0; i < m->count; i++) {
		const struct wish *w = &m->wishes[i];

		if (w->slot == slot && w->ordinal == holder.claim.ordinal) {
			fill(net, w, best_wish(net, w->name), out);
			return true;
		}
	}
	return false;
}

bool names_of_v4(const struct names *n, uint32_t v4, struct names_entry *out)
{
	uint32_t block;
	unsigned slot;
	size_t i;

	for (i = 0; i < n->count; i++) {
		if (block_of_v4(&n->networks[i]->addressing, v4, &block, &slot))
			return of_slot(n->networks[i], block, slot, out);
	}
	return false;
}

bool names_of_v6(const struct names *n, const uint8_t v6[static 16], struct names_entry *out)
{
	uint32_t block;
	unsigned slot;
	size_t i;

	for (i = 0; i < n->count; i++) {
		if (block_of_v6(&n->networks[i]->addressing, v6, &block, &slot))
			return of_slot(n->networks[i], block, slot, out);
	}
	return false;
}

bool names_covers_v4(const struct names *n, uint32_t v4)
{
	return names_covers_v4_part(n, v4, 32);
}

bool names_covers_v6(const struct names *n, const uint8_t v6[static 16])
{
	size_t i;

	for (i = 0; i < n->count; i++) {
		if (addressing_has_v6(&n->networks[i]->addressing, v6))
			return true;
	}
	return false;
}

bool names_covers_v4_part(const struct names *n, uint32_t v4, unsigned prefix)
{
	size_t i;

	for (i = 0; i < n->count; i++) {
		const struct addressing *a = &n->networks[i]->addressing;

		if (prefix >= a->range.prefix && addressing_has_v4(a, v4))
			return true;
	}
	return false;
}

static int by_name_then_right(const void *a, const void *b)
{
	return wish_order(*(const struct wish *const *)a, *(const struct wish *const *)b);
}

static void network_each(const struct names_network *net, names_each_fn *each, void *arg)
{
	size_t i, j, count = 0, total = net->members * (1 + RECORD_FORWARDS_MAX);
	const struct wish **all, *best = NULL;
	const struct member *m;
	struct names_entry e;

	if (total == 0)
		return;
	all = xreallocarray(NULL, total, sizeof(*all));
	for (i = 0; i < NODE_BUCKETS; i++) {
		for (m = net->by_id[i]; m != NULL; m = m->next) {
			for (j = 0; j < m->count; j++)
				all[count++] = &m->wishes[j];
		}
	}
	qsort(all, count, sizeof(*all), by_name_then_right);
	for (i = 0; i < count; i++) {
		if (best == NULL || strcmp(best->name, all[i]->name) != 0)
			best = all[i];
		fill(net, all[i], best, &e);
		each(arg, &e);
	}
	free(all);
}

void names_each(const struct names *n, names_each_fn *each, void *arg)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		network_each(n->networks[i], each, arg);
}

const char *names_shown(char out[static NAMES_SHOWN_LEN], const struct names_entry *e)
{
	char id[NODE_ID_HEX_LEN];

	sodium_bin2hex(id, sizeof(id), e->node, NODE_ID_LEN);
	if (e->holds)
		snprintf(out, NAMES_SHOWN_LEN, "%s", e->name);
	else
		snprintf(out, NAMES_SHOWN_LEN, "%s (%s)", e->name, id);
	return out;
}

/* The place of the pointer to a pin: where it is, or where it would be appended. */
static struct pin **find_pin(const struct names_network *net, enum names_kind kind, const char *name, uint32_t block)
{
	uint32_t bucket = kind == NAMES_NAME ? bucket_of(net, name, strlen(name), PIN_BUCKETS) :
					       bucket_of(net, &block, sizeof(block), PIN_BUCKETS);
	struct pin **at = (struct pin **)&net->by_pin[bucket];

	while (*at != NULL && ((*at)->kind != kind ||
			       (kind == NAMES_NAME ? strcmp((*at)->name, name) != 0 : (*at)->block != block)))
		at = &(*at)->next;
	return at;
}

static void pin_put(struct names_network *net, enum names_kind kind, const char *name, uint32_t block,
		    const uint8_t *node)
{
	struct pin **at = find_pin(net, kind, name, block), *p = xcalloc(1, sizeof(*p));

	p->kind = kind;
	p->block = block;
	p->wanted = true;
	memcpy(p->node, node, NODE_ID_LEN);
	if (kind == NAMES_NAME)
		snprintf(p->name, sizeof(p->name), "%s", name);
	*at = p;
	net->pins++;
}

/* Pins that no review has met since the last call go. */
static void pins_prune(struct names_network *net)
{
	size_t i;

	for (i = 0; i < PIN_BUCKETS; i++) {
		struct pin **at = &net->by_pin[i];

		while (*at != NULL) {
			struct pin *p = *at;

			if (p->wanted) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			free(p);
			net->pins--;
		}
	}
}

struct review {
	struct names_network *net;
	names_change_fn *told;
	void *arg;
	size_t count;
	bool full;	/* something found no room */
};

static void review_one(struct review *r, enum names_kind kind, const char *name, uint32_t block, const uint8_t *holder)
{
	struct names_change change = {.kind = kind, .network = r->net, .block = block};
	struct pin *p = *find_pin(r->net, kind, name, block);

	if (p == NULL) {
		if (r->net->pins < NAMES_PINS_MAX)
			pin_put(r->net, kind, name, block, holder);
		else
			r->full = true;
		return;
	}
	p->wanted = true;
	if (memcmp(p->node, holder, NODE_ID_LEN) == 0)
		return;
	snprintf(change.name, sizeof(change.name), "%s", name);
	memcpy(change.before, p->node, NODE_ID_LEN);
	memcpy(change.now, holder, NODE_ID_LEN);
	memcpy(p->node, holder, NODE_ID_LEN);
	r->count++;
	r->told(r->arg, &change);
}

static void review_all(struct review *r)
{
	struct names_network *net = r->net;
	const struct member *m;
	uint32_t block;
	size_t i, j;

	for (i = 0; i < NODE_BUCKETS; i++) {
		for (m = net->by_id[i]; m != NULL; m = m->next) {
			for (j = 0; j < m->count; j++) {
				if (best_wish(net, m->wishes[j].name) == &m->wishes[j])
					review_one(r, NAMES_NAME, m->wishes[j].name, 0, m->id);
			}
			for (j = 0; j < m->blocks_count; j++) {
				if (claims_holds(net->claims, m->id, m->ordinals[j], &block))
					review_one(r, NAMES_BLOCK, "", block, m->id);
			}
		}
	}
}

size_t names_review(struct names_network *net, names_change_fn *told, void *arg)
{
	struct review r = {.net = net, .told = told, .arg = arg};
	struct pin *p;
	size_t i;

	for (i = 0; i < PIN_BUCKETS; i++) {
		for (p = net->by_pin[i]; p != NULL; p = p->next)
			p->wanted = false;
	}
	review_all(&r);
	if (r.full) {
		pins_prune(net);
		r.full = false;
		review_all(&r);
	}
	return r.count;
}

int names_pin(struct names_network *net, const struct names_change *pin, struct error *err)
{
	if (net->pins >= NAMES_PINS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d names and blocks are pinned", NAMES_PINS_MAX);
	if (pin->kind == NAMES_NAME) {
		if (mesh_name_check(slice_of(pin->name, strnlen(pin->name, sizeof(pin->name))), "pinned name", err) < 0)
			return -1;
	} else if (pin->kind != NAMES_BLOCK || pin->block >= range_blocks(&net->addressing.range)) {
		return error_set(err, ERR_MALFORMED, "pinned block %u is none of this network", pin->block);
	}
	if (*find_pin(net, pin->kind, pin->name, pin->block) != NULL)
		return error_set(err, ERR_CONFLICT, "a name or block is pinned twice");
	pin_put(net, pin->kind, pin->name, pin->kind == NAMES_BLOCK ? pin->block : 0, pin->before);
	return 0;
}

void names_pins_each(const struct names_network *net, names_change_fn *each, void *arg)
{
	const struct pin *p;
	size_t i;

	for (i = 0; i < PIN_BUCKETS; i++) {
		for (p = net->by_pin[i]; p != NULL; p = p->next) {
			struct names_change c = {.kind = p->kind, .network = net, .block = p->block};

			memcpy(c.name, p->name, sizeof(c.name));
			memcpy(c.before, p->node, NODE_ID_LEN);
			memcpy(c.now, p->node, NODE_ID_LEN);
			each(arg, &c);
		}
	}
}

size_t names_pins(const struct names_network *net)
{
	return net->pins;
}
