/*
 * Room: who is a stranger, who shares what with whom, who has to go when there are too many, and whose handshake is
 * next. The rule is in server.h.
 *
 * Every counted connection belongs to one struct source: strangers to that of their address, the others to that of
 * their certificate. A source keeps those of its connections that may have to go, the oldest first. A crowd keeps
 * its sources by how many those are, so that the source with the most is found at once, however many there are.
 */
#include <assert.h>
#include <sys/epoll.h>

#include "net/server_internal.h"
#include "sys/rng.h"

/* Handshakes that go on in one turn of the loop: milliseconds each, while whoever is let in already waits. */
#define HANDSHAKES_PER_TURN 4
/* A certificate with at most so many idle connections is no crowd: the one idle for longest goes, whose ever it is. */
#define IDENTITY_IDLE 4

/* ---- lists ---- */

static void list_append(struct conn_list *l, struct conn *c)
{
	c->prev = l->last;
	c->next = NULL;
	if (l->last != NULL)
		l->last->next = c;
	else
		l->first = c;
	l->last = c;
	l->count++;
}

static void list_remove(struct conn_list *l, struct conn *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		l->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		l->last = c->prev;
	c->prev = c->next = NULL;
	l->count--;
}

static void idle_append(struct server *s, struct conn *c)
{
	c->idle_prev = s->idle_last;
	c->idle_next = NULL;
	if (s->idle_last != NULL)
		s->idle_last->idle_next = c;
	else
		s->idle_first = c;
	s->idle_last = c;
}

static void idle_remove(struct server *s, struct conn *c)
{
	if (c->idle_prev != NULL)
		c->idle_prev->idle_next = c->idle_next;
	else
		s->idle_first = c->idle_next;
	if (c->idle_next != NULL)
		c->idle_next->idle_prev = c->idle_prev;
	else
		s->idle_last = c->idle_prev;
	c->idle_prev = c->idle_next = NULL;
}

/* ---- crowds ---- */

static void crowd_put(struct crowd *w, struct source *src)
{
	unsigned n = src->waiting.count;
	struct source *first = w->levels[n];

	if (n == 0)
		return;
	/* At the end of its ring: of equals, the one that has been here for longest comes first. */
	if (first == NULL) {
		src->level_prev = src->level_next = src;
		w->levels[n] = src;
	} else {
		src->level_next = first;
		src->level_prev = first->level_prev;
		first->level_prev->level_next = src;
		first->level_prev = src;
	}
	if (n > w->most)
		w->most = n;
}

static void crowd_take(struct crowd *w, struct source *src)
{
	unsigned n = src->waiting.count;

	if (n == 0)
		return;
	if (src->level_next == src) {
		w->levels[n] = NULL;
	} else {
		src->level_prev->level_next = src->level_next;
		src->level_next->level_prev = src->level_prev;
		if (w->levels[n] == src)
			w->levels[n] = src->level_next;
	}
	src->level_prev = src->level_next = NULL;
	while (w->most > 0 && w->levels[w->most] == NULL)
		w->most--;
}

/* The source with the most connections that may have to go, or NULL. */
static struct source *crowd_first(const struct crowd *w)
{
	return w->most == 0 ? NULL : w->levels[w->most];
}

static struct crowd *crowd_of(struct server *s, const struct source *src)
{
	return src->known ? &s->known : &s->strangers;
}

static void waiting_append(struct server *s, struct conn *c)
{
	struct crowd *w = crowd_of(s, c->source);

	crowd_take(w, c->source);
	list_append(&c->source->waiting, c);
	crowd_put(w, c->source);
}

static void waiting_remove(struct server *s, struct conn *c)
{
	struct crowd *w = crowd_of(s, c->source);

	crowd_take(w, c->source);
	list_remove(&c->source->waiting, c);
	crowd_put(w, c->source);
}

/* ---- sources ---- */

void room_init(struct server *s)
{
	size_t buckets = 64;

	s->source_shift = 58;
	while (buckets < s->limits.connections) {
		buckets *= 2;
		s->source_shift--;
	}
	s->sources = xcalloc(buckets, sizeof(struct source *));
	rng_bytes(&s->source_seed, sizeof(s->source_seed));
	s->source_seed |= 1;
	s->strangers.levels = xcalloc((size_t)s->limits.connections + 1, sizeof(struct source *));
	s->known.levels = xcalloc((size_t)s->limits.connections + 1, sizeof(struct source *));
}

void room_release(struct server *s)
{
	loop_timer_cancel(s->loop, &s->turn);
	free(s->sources);
	free(s->strangers.levels);
	free(s->known.levels);
}

/* A multiplier that nobody knows: addresses cannot be chosen to share a bucket. */
static struct source **bucket_of(const struct server *s, uint64_t key)
{
	return &s->sources[key * s->source_seed >> s->source_shift];
}

static struct source *source_enter(struct server *s, uint64_t key, bool known)
{
	struct source **bucket = bucket_of(s, key), *src = *bucket;

	while (src != NULL && (src->key != key || src->known != known))
		src = src->next;
	if (src == NULL) {
		src = xcalloc(1, sizeof(*src));
		src->key = key;
		src->known = known;
		src->next = *bucket;
		*bucket = src;
	}
	src->count++;
	return src;
}

static void source_leave(struct server *s, struct source *src)
{
	struct source **p = bucket_of(s, src->key);

	if (--src->count > 0)
		return;
	assert(src->waiting.count == 0 && src->queued.count == 0);
	while (*p != src)
		p = &(*p)->next;
	*p = src->next;
	free(src);
}

/* ---- where a connection stands ---- */

static void turns_remove(struct server *s, struct conn *c)
{
	struct source *src = c->source, **p = &s->turns_first;

	list_remove(&src->queued, c);
	if (src->queued.count > 0)
		return;
	while (*p != src)
		p = &(*p)->turn_next;
	*p = src->turn_next;
	if (s->turns_last == src)
		s->turns_last = p == &s->turns_first ? NULL : container_of(p, struct source, turn_next);
}

static void turns_append(struct server *s, struct conn *c)
{
	struct source *src = c->source;

	list_append(&src->queued, c);
	if (src->queued.count > 1)
		return;
	src->turn_next = NULL;
	if (s->turns_last != NULL)
		s->turns_last->turn_next = src;
	else
		s->turns_first = src;
	s->turns_last = src;
	if (s->turn.slot == 0)
		loop_timer_set(s->loop, &s->turn, loop_now_ms(s->loop));
}

static void place_remove(struct conn *c)
{
	struct server *s = c->server;

	if (c->place == PLACE_TURN)
		turns_remove(s, c);
	else if (c->place == PLACE_WAITING && c->source != NULL)
		waiting_remove(s, c);
	if (c->place == PLACE_WAITING && c->known)
		idle_remove(s, c);
	c->place = PLACE_NONE;
}

static void place_append(struct conn *c, enum conn_place place)
{
	struct server *s = c->server;

	c->place = place;
	if (place == PLACE_TURN)
		turns_append(s, c);
	else if (place == PLACE_WAITING && c->source != NULL)
		waiting_append(s, c);
	if (place == PLACE_WAITING && c->known)
		idle_append(s, c);
}

void room_settle(struct conn *c)
{
	bool waits = c->known ? c->state == CONN_IDLE : c->state != CONN_WORK;

	place_remove(c);
	c->since_ms = loop_now_ms(c->server->loop);
	if (!waits)
		return;
	place_append(c, PLACE_WAITING);
	if (c->known)
		server_room_made(c->server, c->listener->is_unix);
}

bool room_enter(struct conn *c, const struct sockaddr_storage *from)
{
	struct server *s = c->server;

	if (c->listener->is_unix) {
		c->known = true;
		s->locals++;
		return true;
	}
	c->source = source_enter(s, addr_source(from), false);
	if (c->source->count > s->limits.per_source && !addr_is_local(from)) {
		source_leave(s, c->source);
		c->source = NULL;
		return false;
	}
	s->stranger_count++;
	return true;
}

void room_know(struct conn *c)
{
	struct server *s = c->server;
	uint64_t key;

	if (c->known)
		return;
	place_remove(c);
	s->stranger_count--;
	source_leave(s, c->source);
	c->source = NULL;
	c->known = true;
	if (c->peer.tls.present) {
		memcpy(&key, c->peer.tls.fingerprint, sizeof(key));
		c->source = source_enter(s, key, true);
	}
	room_settle(c);
}

void room_leave(struct conn *c)
{
	struct server *s = c->server;

	place_remove(c);
	if (c->listener->is_unix)
		s->locals--;
	else if (!c->known)
		s->stranger_count--;
	if (c->source != NULL)
		source_leave(s, c->source);
	c->source = NULL;
}

/* ---- who has to go ---- */

/* The known connection that is missed least, or NULL: a local one makes room for a local one alone. */
static struct conn *idle_victim(const struct server *s, bool local)
{
	const struct source *crowded = crowd_first(&s->known);
	struct conn *c;

	if (!local && crowded != NULL && crowded->waiting.count > IDENTITY_IDLE)
		return crowded->waiting.first;
	for (c = s->idle_first; c != NULL && c->listener->is_unix != local; c = c->idle_next)
		;
	return c;
}

bool room_find(const struct server *s, bool local, struct conn **victim, int64_t *again_ms)
{
	const struct server_limits *l = &s->limits;
	const struct source *crowded = crowd_first(&s->strangers);
	int64_t now = loop_now_ms(s->loop);

	*victim = NULL;
	*again_ms = now + l->grace_ms;
	if (local) {
		if (s->locals < SERVER_LOCALS_MAX && s->locals < l->connections)
			return true;
		*victim = idle_victim(s, true);
		return *victim != NULL;
	}
	if (s->stats.connections - s->locals < l->connections)
		return true;
	if (crowded != NULL) {
		*again_ms = crowded->waiting.first->since_ms + l->grace_ms;
		if (now >= *again_ms) {
			*victim = crowded->waiting.first;
			return true;
		}
	}
	if (s->stranger_count < l->connections / 4)
		*victim = idle_victim(s, false);
	return *victim != NULL;
}

/* ---- whose handshake is next ---- */

void room_queue(struct conn *c)
{
	if (c->place == PLACE_TURN)
		return;
	place_remove(c);
	loop_watch_change(&c->watch, 0);
	place_append(c, PLACE_TURN);
}

/* One of each source in turn. */
void room_turn_fire(struct timer *t)
{
	struct server *s = container_of(t, struct server, turn);
	int budget = HANDSHAKES_PER_TURN;

	while (budget-- > 0 && s->turns_first != NULL) {
		struct source *src = s->turns_first;
		struct conn *c = src->queued.first;

		/* To the end of the ring, if more of it wait. */
		if (src->queued.count > 1 && s->turns_last != src) {
			s->turns_first = src->turn_next;
			s->turns_last->turn_next = src;
			s->turns_last = src;
			src->turn_next = NULL;
		}
		place_remove(c);
		place_append(c, PLACE_WAITING);
		conn_run(c);
	}
	if (s->turns_first != NULL && t->slot == 0)
		loop_timer_set(s->loop, t, loop_now_ms(s->loop));
}
