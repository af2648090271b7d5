/* The peers that an operator named: addresses at once, names as often as they may have become others. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/log.h"
#include "meshlan/internal.h"
#include "net/addr.h"
#include "net/dial.h"
#include "sys/clock.h"
#include "sys/file.h"

#define RESOLVE_MS 300000
#define RESOLVE_AGAIN_MS 15000
#define RESOLVE_TIMEOUT_MS 10000

/* Names are looked up in a thread of their own, one look-up of all at a time. */
struct peers_lookup {
	struct post done;
	struct meshlan *m;	/* NULL: nobody waits any more */
	pthread_t thread;
	char hosts[MESHLAN_PEERS_MAX][256];
	uint16_t ports[MESHLAN_PEERS_MAX];
	size_t count;
	struct endpoint found[ENGINE_CONFIGURED_MAX];
	size_t found_count, unknown;
	char why[WARNING_TEXT_LEN];	/* of those that are unknown, as far as there is room */
};

static void add_peer(struct endpoint *list, size_t *count, const struct sockaddr_storage *ss)
{
	struct endpoint e;
	size_t i;

	if (endpoint_from_sockaddr(&e, (const struct sockaddr *)ss) < 0 || *count == ENGINE_CONFIGURED_MAX)
		return;
	for (i = 0; i < *count; i++)
		if (endpoint_equal(&list[i], &e))
			return;
	list[(*count)++] = e;
}

static void lookup_done(struct post *p)
{
	struct peers_lookup *k = container_of(p, struct peers_lookup, done);
	struct meshlan *m = k->m;
	size_t i;

	if (m == NULL) {
		free(k);
		return;
	}
	pthread_join(k->thread, NULL);
	m->lookup = NULL;
	/* Literal ones are first in the list, and stay. */
	m->peers_count = m->peers_literal;
	for (i = 0; i < k->found_count && m->peers_count < ENGINE_CONFIGURED_MAX; i++)
		m->peers[m->peers_count++] = k->found[i];
	/* As long as it is the same, once is enough. */
	if (strcmp(k->why, m->peers_unknown) != 0 && k->unknown > 0)
		log_warn("mesh.peers", "unknown=%zu %s", k->unknown, k->why);
	memcpy(m->peers_unknown, k->why, sizeof(m->peers_unknown));
	loop_timer_set(m->loop, &m->resolve, loop_now_ms(m->loop) + (k->unknown > 0 ? RESOLVE_AGAIN_MS : RESOLVE_MS));
	free(k);
	underlay_tell(m, NULL);
}

static void told_unknown(struct peers_lookup *k, const char *host, const char *why)
{
	size_t len = strlen(k->why), room = sizeof(k->why) - len;
	int n = snprintf(k->why + len, room, "%speer '%s' of the configuration has no address now: %.120s",
			 len > 0 ? "; " : "", host, why);

	k->unknown++;
	if ((size_t)n >= room && len > 0)
		k->why[len] = '\0';
}

static void *lookup_run(void *arg)
{
	struct peers_lookup *k = arg;
	struct sockaddr_storage found[DIAL_ADDRESSES_MAX];
	size_t i, n, a;

	for (i = 0; i < k->count; i++) {
		struct dial d = {.deadline_ms = clock_mono_ms() + RESOLVE_TIMEOUT_MS, .cancel_fd = k->m->lookup_cancel};
		struct error err = ERROR_INIT;

		n = 0;
		if (dial_resolve(&d, k->hosts[i], HOST_NAME, k->ports[i], found, &n, &err) < 0)
			told_unknown(k, k->hosts[i], err.text);
		for (a = 0; a < n; a++)
			add_peer(k->found, &k->found_count, &found[a]);
	}
	loop_post(k->m->loop, &k->done);
	return NULL;
}

static void resolve_fire(struct timer *t)
{
	struct meshlan *m = container_of(t, struct meshlan, resolve);
	struct peers_lookup *k;
	size_t i;

	k = xcalloc(1, sizeof(*k));
	k->done.run = lookup_done;
	k->m = m;
	for (i = 0; i < m->options->peers_count; i++) {
		const char *text = m->options->peers[i], *colon = strrchr(text, ':');
		struct sockaddr_storage ss;
		struct error err = ERROR_INIT;
		socklen_t len;

		if (addr_parse(&ss, &len, slice_str(text), &err) == 0)
			continue;
		(void)snprintf(k->hosts[k->count], sizeof(k->hosts[0]), "%.*s", (int)(colon - text), text);
		k->ports[k->count++] = (uint16_t)strtoul(colon + 1, NULL, 10);
	}
	m->lookup = k;
	if (pthread_create(&k->thread, NULL, lookup_run, k) != 0) {
		m->lookup = NULL;
		free(k);
		loop_timer_set(m->loop, t, loop_now_ms(m->loop) + RESOLVE_AGAIN_MS);
	}
}

/* "HOST:PORT", HOST a name or an address, IPv6 in brackets. */
static int check_peer(const char *text, bool *literal, struct sockaddr_storage *ss, struct error *err)
{
	struct error ignored = ERROR_INIT;
	socklen_t len;

	if (meshlan_check_peer(text, err) < 0)
		return -1;
	*literal = addr_parse(ss, &len, slice_str(text), &ignored) == 0;
	return 0;
}

int peers_start(struct meshlan *m, struct error *err)
{
	const struct meshlan_options *o = m->options;
	struct sockaddr_storage ss;
	bool literal;
	size_t i, names = 0;

	if ((m->lookup_cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		return error_errno(err, errno, "cannot make an event descriptor");
	if (o->peers_count > MESHLAN_PEERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d peers", MESHLAN_PEERS_MAX);
	for (i = 0; i < o->peers_count; i++) {
		if (check_peer(o->peers[i], &literal, &ss, err) < 0)
			return -1;
		if (literal)
			add_peer(m->peers, &m->peers_count, &ss);
		names += !literal;
	}
	m->peers_literal = m->peers_count;
	m->resolve.fire = resolve_fire;
	if (names > 0)
		loop_timer_set(m->loop, &m->resolve, loop_now_ms(m->loop));
	return 0;
}

void peers_stop(struct meshlan *m)
{
	/* A look-up that runs ends now; what it posts is run by loop_free, and finds nobody. */
	if (m->lookup != NULL) {
		(void)eventfd_write(m->lookup_cancel, 1);
		pthread_join(m->lookup->thread, NULL);
		m->lookup->m = NULL;
		m->lookup = NULL;
	}
	loop_timer_cancel(m->loop, &m->resolve);
	file_close(&m->lookup_cancel);
}
