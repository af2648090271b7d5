/* Finding nodes in the records of a network. */
#include "commands/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/name.h"

#define SHOWN_MAX 4	/* of several that a word may mean */
#define NEAR 3		/* more edits than that are another name */

struct reading {
	struct members *m;
	struct node_ids gone;
};

static int take_record(void *arg, const struct mesh_record *record, struct slice bytes, struct error *err)
{
	struct reading *r = arg;
	struct member *one;
	size_t i;

	(void)bytes;
	if (memcmp(record->id, r->m->self.id, NODE_ID_LEN) == 0) {
		memcpy(r->m->self.name, record->name, sizeof(record->name));
		return 0;
	}
	for (i = 0; i < r->gone.count; i++) {
		if (memcmp(record->id, r->gone.ids[i], NODE_ID_LEN) == 0)
			return 0;
	}
	if (r->m->count == CLAIMS_NODES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d nodes are known", CLAIMS_NODES_MAX);
	one = &r->m->all[r->m->count++];
	memcpy(one->id, record->id, NODE_ID_LEN);
	memcpy(one->name, record->name, sizeof(one->name));
	return 0;
}

int members_read(const struct netstore *s, const struct network *n, struct members *m, struct error *err)
{
	struct reading r = {.m = m};
	int e = -1;

	memset(m, 0, sizeof(*m));
	memcpy(m->self.id, n->node.id, NODE_ID_LEN);
	m->all = xcalloc(CLAIMS_NODES_MAX, sizeof(*m->all));
	if (network_evicted(s, n, &r.gone, err) == 0)
		e = network_records(s, n, take_record, &r, &m->left_out, err);
	node_ids_release(&r.gone);
	return e;
}

void members_release(struct members *m)
{
	free(m->all);
	*m = (struct members){.all = NULL};
}

bool member_is(const struct member *m, const char *word)
{
	char hex[NODE_ID_HEX_LEN];
	size_t len = strlen(word);

	hex_encode(hex, m->id, NODE_ID_LEN);
	return (m->name[0] != '\0' && strcmp(word, m->name) == 0) ||
	       (len >= MEMBER_PREFIX_MIN && strncmp(word, hex, len) == 0);
}

static int several(const struct members *m, const char *word, struct error *err)
{
	struct buf list = BUF_INIT(4096);
	char hex[NODE_ID_HEX_LEN];
	size_t hits = 0, i;

	for (i = 0; i < m->count; i++) {
		if (!member_is(&m->all[i], word))
			continue;
		hex_encode(hex, m->all[i].id, NODE_ID_LEN);
		if (hits++ < SHOWN_MAX)
			buf_printf(&list, "%s%s '%s'", hits == 1 ? "" : ", ", hex, m->all[i].name);
	}
	error_set(err, ERR_CONFLICT, "'%s' may mean several nodes: %s%s", word, buf_cstr(&list),
		  hits > SHOWN_MAX ? ", ..." : "");
	buf_release(&list);
	return error_hint(err, "give the whole id");
}

static int nobody(const struct members *m, const char *network, const char *word, struct error *err)
{
	const char *best = NULL;
	unsigned d, least = NEAR;
	size_t i;

	for (i = 0; i < m->count; i++) {
		if (m->all[i].name[0] != '\0' && (d = name_distance(word, m->all[i].name)) < least) {
			best = m->all[i].name;
			least = d;
		}
	}
	error_set(err, ERR_NOT_FOUND, "no node '%s' is known in network '%s'", word, network);
	if (best != NULL)
		return error_hint(err, "did you mean '%s'?", best);
	return error_hint(err, "give its name, or the beginning of its id, %d digits or more", MEMBER_PREFIX_MIN);
}

int members_find(const struct members *m, const char *network, const char *word, size_t *index, struct error *err)
{
	size_t hits = 0, i;

	for (i = 0; i < m->count; i++) {
		if (!member_is(&m->all[i], word))
			continue;
		hits++;
		*index = i;
	}
	if (hits == 1)
		return 0;
	if (hits > 1)
		return several(m, word, err);
	if (member_is(&m->self, word))
		return error_set(err, ERR_REFUSED, "'%s' is this node itself", word);
	return nobody(m, network, word, err);
}

const char *members_name(const struct members *m, const uint8_t id[static NODE_ID_LEN])
{
	size_t i;

	for (i = 0; i < m->count; i++) {
		if (memcmp(m->all[i].id, id, NODE_ID_LEN) == 0)
			return m->all[i].name;
	}
	return NULL;
}
