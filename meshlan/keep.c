/* What a network keeps on disk for its next start: epoch and claims at once, records soon. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mesh/bytes.h"
#include "mesh/stay.h"
#include "meshlan/internal.h"
#include "sys/clock.h"

#define KEEP_SOON_MS 1000	/* after a change: what comes together is kept together */
#define KEEP_MS 10000		/* from one time to the next */
#define KEEP_RECORDS_MS 2000	/* where it is about who is there: verbs read it */

/* ---- at once ---- */

int keep_epoch(struct lan *l, uint32_t above, uint32_t *epoch, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	int r = -1;

	if (netstore_open_locked(&s, l->m->home, err) == 0)
		r = network_next_epoch(&s, l->net.hex, above, epoch, err);
	netstore_close(&s);
	return r;
}

void keep_claims(struct lan *l)
{
	const struct mesh_record *own = mesh_engine_record(l->engine);
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;

	if (own->claims_count == l->net.claims_count &&
	    memcmp(own->claims, l->net.claims, own->claims_count * sizeof(own->claims[0])) == 0)
		return;
	if (netstore_open_locked(&s, l->m->home, &err) == 0 &&
	    network_set_claims(&s, l->net.hex, own->claims, own->claims_count, &err) == 0) {
		memcpy(l->net.claims, own->claims, sizeof(l->net.claims));
		l->net.claims_count = own->claims_count;
		lan_warn_clear(l, WARN_DISK);
	} else {
		lan_warn(l, WARN_DISK, "this node's addresses cannot be kept for its next start: %s", err.text);
	}
	netstore_close(&s);
}

static int put_rotation(struct lan *l, struct slice rotation, const struct node_ids *evicted, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	struct staylist list;
	struct netkey next;
	size_t key_len;
	int r;

	memset(&next, 0, sizeof(next));
	if (rotation_parse(&next, &list, rotation, &l->net.key, l->net.node.id, err) < 0)
		return -1;
	/* The list as it is signed stands behind the key and its length. */
	key_len = 2 + get_be16(rotation.ptr);
	if ((r = netstore_open_locked(&s, l->m->home, err)) == 0)
		r = network_renew(&s, l->net.hex, &next, slice_of(rotation.ptr + key_len, rotation.len - key_len), evicted,
				  clock_now_s() + GRACE_DEFAULT_S, err);
	netstore_close(&s);
	if (r == 0)
		log_info("mesh.rotated", "network=\"%s\" generation=%u from=peer", l->net.key.name, next.generation);
	netkey_wipe(&next);
	return r;
}

void keep_rotation_drop(struct lan *l)
{
	buf_release(&l->unkept_rotation);
	node_ids_release(&l->unkept_evicted);
}

/* A full disk, or a verb that holds the lock, does not put this node out. */
static void keep_rotation_again(struct lan *l)
{
	struct error err = ERROR_INIT;
	int r;

	if (l->unkept_rotation.len == 0)
		return;
	r = put_rotation(l, buf_slice(&l->unkept_rotation), &l->unkept_evicted, &err);
	/* Refused: by what the operator has put there meanwhile. Not found: the network was left. */
	if (r < 0 && (err.kind == ERR_REFUSED || err.kind == ERR_NOT_FOUND))
		log_failure(LOG_LEVEL_WARN, "mesh.rotation", &err);
	if (r == 0 || err.kind == ERR_REFUSED || err.kind == ERR_NOT_FOUND) {
		keep_rotation_drop(l);
		return;
	}
	lan_warn(l, WARN_DISK, "the key of the next generation cannot be kept yet, and this node is out if it stops now: %s",
		 err.text);
	l->unkept = true;
}

void keep_rotation(struct lan *l, struct slice rotation)
{
	size_t had = l->unkept_evicted.count, more = l->evicted.count;

	if (more > EVICTED_MAX - had)
		more = EVICTED_MAX - had;
	buf_release(&l->unkept_rotation);
	l->unkept_rotation = BUF_SECRET(ROTATION_LEN_MAX);
	buf_put_slice(&l->unkept_rotation, rotation);
	/* With those of one before, if that is not on the disk either. */
	if (more > 0) {
		l->unkept_evicted.ids = xreallocarray(l->unkept_evicted.ids, had + more, sizeof(*l->evicted.ids));
		memcpy(l->unkept_evicted.ids + had, l->evicted.ids, more * sizeof(*l->evicted.ids));
		l->unkept_evicted.count += more;
	}
	node_ids_release(&l->evicted);
	keep_rotation_again(l);
	if (l->unkept_rotation.len > 0)
		keep_soon(l);
}

/* ---- the last run ---- */

struct reading {
	struct lan *l;
	struct kept *k;
};

static int read_each(void *arg, const struct mesh_record *r, struct slice bytes, struct error *err)
{
	struct reading *x = arg;

	(void)err;
	if (memcmp(r->id, x->l->net.node.id, NODE_ID_LEN) == 0)
		x->k->own = *r;
	else
		records_put(&x->k->records, bytes);
	return 0;
}

void keep_read(struct lan *l, struct kept *k)
{
	struct reading x = {l, k};
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;
	size_t left_out = 0;

	memset(k, 0, sizeof(*k));
	k->records = BUF_INIT(RECORDS_FILE_MAX);
	if (netstore_open(&s, l->m->home, &err) < 0 || network_records(&s, &l->net, read_each, &x, &left_out, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "mesh.records", &err);
	if (left_out > 0)
		log_warn("mesh.records", "network=%s left_out=%zu", l->net.hex, left_out);
	netstore_close(&s);
}

static void load_records(struct lan *l, const struct netstore *s, struct slice rest)
{
	int64_t now_ms = loop_now_ms(l->m->loop);
	struct mesh_record *r = xmalloc(sizeof(*r));
	struct buf ages = BUF_INIT(AGES_FILE_MAX);
	struct error err = ERROR_INIT;
	struct slice bytes;
	size_t at = 0;
	bool bad;

	if (network_ages(s, &l->net, &ages, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "mesh.ages", &err);
	while (records_next(&rest, &bytes, &bad)) {
		if (record_read(r, bytes, &l->addressing, &err) < 0)
			continue;
		if (mesh_engine_load(l->engine, bytes, ages_find(buf_slice(&ages), r->id, &at), now_ms, &err) < 0)
			log_failure(LOG_LEVEL_WARN, "mesh.record", &err);
		lan_pump(l);
	}
	buf_release(&ages);
	free(r);
}

static void load_evicted(struct lan *l, const struct netstore *s)
{
	struct node_ids ids = {.count = 0};
	struct error err = ERROR_INIT;
	size_t i;

	if (network_evicted(s, &l->net, &ids, &err) < 0)
		lan_warn(l, WARN_RULES, "%s", err.text);
	for (i = 0; i < ids.count; i++)
		mesh_engine_evict(l->engine, ids.ids[i], loop_now_ms(l->m->loop));
	node_ids_release(&ids);
}

static int pin_each(void *arg, const struct names_change *pin, struct error *err)
{
	return names_pin(((struct lan *)arg)->names, pin, err);
}

/* Hints, and what was told of before: the mesh goes on without. */
static void load_hints(struct lan *l, const struct netstore *s)
{
	struct path_list paths = {.count = 0};
	struct error err = ERROR_INIT;
	size_t i;

	if (network_pins(s, &l->net, pin_each, l, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "mesh.pins", &err);
	err = ERROR_INIT;
	if (network_paths(s, &l->net, &paths, &err) < 0)
		log_failure(LOG_LEVEL_WARN, "mesh.paths", &err);
	for (i = 0; i < paths.count; i++)
		mesh_engine_load_endpoint(l->engine, paths.all[i].node, &paths.all[i].at);
	path_list_release(&paths);
}

void keep_load(struct lan *l, const struct kept *k)
{
	struct netstore s = NETSTORE_INIT;
	struct error err = ERROR_INIT;

	if (netstore_open(&s, l->m->home, &err) == 0)
		load_evicted(l, &s);
	else
		log_failure(LOG_LEVEL_WARN, "mesh.store", &err);
	load_records(l, &s, buf_slice(&k->records));
	load_hints(l, &s);
	netstore_close(&s);
}

/* ---- soon ---- */

static void keep_within(struct lan *l, int64_t gap_ms)
{
	int64_t at_ms = loop_now_ms(l->m->loop) + KEEP_SOON_MS;

	l->unkept = true;
	if (at_ms < l->kept_ms + gap_ms)
		at_ms = l->kept_ms + gap_ms;
	if (l->keep.slot == 0 || l->keep.at_ms > at_ms)
		loop_timer_set(l->m->loop, &l->keep, at_ms);
}

void keep_soon(struct lan *l)
{
	keep_within(l, KEEP_MS);
}

void keep_records_soon(struct lan *l)
{
	keep_within(l, KEEP_RECORDS_MS);
}

static void pin_put(void *arg, const struct names_change *pin)
{
	pins_put(arg, pin);
}

struct keeping {
	struct buf records, ages, pins;
	struct last_path *paths;
	size_t paths_count;
};

static void collect(struct lan *l, struct keeping *k)
{
	struct mesh_peer_info i;
	uint32_t at = 0;

	k->records = BUF_INIT(RECORDS_FILE_MAX);
	k->ages = BUF_INIT(AGES_FILE_MAX);
	k->pins = BUF_INIT(PINS_FILE_MAX);
	k->paths = xcalloc(mesh_engine_peers(l->engine) + 1, sizeof(*k->paths));
	k->paths_count = 0;
	if (l->own_bytes.len > 0)
		records_put(&k->records, buf_slice(&l->own_bytes));
	while (mesh_engine_each(l->engine, &at, &i)) {
		if (i.record.len > 0) {
			records_put(&k->records, i.record);
			ages_put(&k->ages, i.node, (l->kept_ms - i.renewed_ms) / 1000);
		}
		if (i.last.family == ENDPOINT_NONE)
			continue;
		memcpy(k->paths[k->paths_count].node, i.node, NODE_ID_LEN);
		k->paths[k->paths_count++].at = i.last;
	}
	names_pins_each(l->names, pin_put, &k->pins);
}

static int keep(struct lan *l, const struct keeping *k, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	int r = -1;

	if (netstore_open_locked(&s, l->m->home, err) == 0 &&
	    network_set_records(&s, l->net.hex, buf_slice(&k->records), err) == 0 &&
	    network_set_ages(&s, l->net.hex, buf_slice(&k->ages), err) == 0 &&
	    network_set_paths(&s, l->net.hex, k->paths, k->paths_count, err) == 0 &&
	    network_set_pins(&s, l->net.hex, buf_slice(&k->pins), err) == 0)
		r = 0;
	netstore_close(&s);
	return r;
}

void keep_now(struct lan *l)
{
	struct error err = ERROR_INIT;
	struct keeping k;

	if (!l->unkept)
		return;
	l->unkept = false;
	keep_rotation_again(l);
	l->kept_ms = loop_now_ms(l->m->loop);
	collect(l, &k);
	if (keep(l, &k, &err) == 0) {
		if (l->unkept_rotation.len == 0)
			lan_warn_clear(l, WARN_DISK);
	} else if (err.kind != ERR_NOT_FOUND) {
		/* A network that was left has no place for them any more. */
		lan_warn(l, WARN_DISK, "what is known of the network cannot be kept for the next start: %s", err.text);
		l->unkept = true;
	}
	buf_release(&k.records);
	buf_release(&k.ages);
	buf_release(&k.pins);
	free(k.paths);
}

void keep_fire(struct timer *t)
{
	struct lan *l = container_of(t, struct lan, keep);

	keep_now(l);
	if (l->unkept)
		loop_timer_set(l->m->loop, t, loop_now_ms(l->m->loop) + 6 * KEEP_MS);
}
