/* The process: networks come and go with what is on the disk, and everything ends with a signal. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/key.h"
#include "mesh/dns.h"
#include "meshlan/internal.h"
#include "net/addr.h"
#include "sys/clock.h"
#include "sys/file.h"

#define RELOAD_SOON_MS 5
#define RELOAD_ANYWAY_MS 60000	/* news can be lost, and keys expire */
#define RELOAD_AGAIN_MS 5000	/* while something could not be read */
#define LOCK_TRIES 50
#define LOCK_PAUSE_NS 20000000
#define STORE_EVENTS (IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR)

/* ---- networks ---- */

struct lan *meshlan_find(struct meshlan *m, struct slice word)
{
	struct lan *found = NULL;
	size_t i;

	for (i = 0; i < m->lans_count; i++) {
		struct lan *l = m->lans[i];

		if (lan_is_called(l, word))
			return l;
		if (word.len >= 4 && word.len < strlen(l->net.hex) && memcmp(word.ptr, l->net.hex, word.len) == 0)
			found = found == NULL ? l : found;
	}
	return found;
}

static struct lan *lan_of(struct meshlan *m, const char *hex)
{
	size_t i;

	for (i = 0; i < m->lans_count; i++)
		if (strcmp(m->lans[i]->net.hex, hex) == 0)
			return m->lans[i];
	return NULL;
}

static bool is_among(const struct network_ids *ids, const char *hex)
{
	size_t i;

	for (i = 0; i < ids->count; i++)
		if (strcmp(ids->hex[i], hex) == 0)
			return true;
	return false;
}

static void drop(struct meshlan *m, size_t at, enum goodbye why)
{
	lan_stop(m->lans[at], why);
	m->lans_count--;
	memmove(&m->lans[at], &m->lans[at + 1], (m->lans_count - at) * sizeof(m->lans[0]));
}

/* When a network was joined: node.key is made then, and never written again. */
static int64_t joined_at(const struct netstore *s, const char *hex)
{
	char path[4096];
	struct stat st;

	path_join(path, hex, "node.key");
	if (fstatat(s->networks_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return INT64_MAX;
	return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

void meshlan_sort_by_joining(const struct netstore *s, struct network_ids *ids)
{
	int64_t at[NETSTORE_NETWORKS_MAX];
	size_t i, k;

	for (i = 0; i < ids->count; i++) {
		char hex[NETWORK_ID_HEX_LEN];
		int64_t t = joined_at(s, ids->hex[i]);

		memcpy(hex, ids->hex[i], sizeof(hex));
		for (k = i; k > 0 && at[k - 1] > t; k--) {
			at[k] = at[k - 1];
			memcpy(ids->hex[k], ids->hex[k - 1], sizeof(hex));
		}
		at[k] = t;
		memcpy(ids->hex[k], hex, sizeof(hex));
	}
}

/* False: the system was in the way, and it is to be tried again. What stands there wrongly waits until it is changed. */
static bool take_network(struct meshlan *m, const struct netstore *s, const char *hex)
{
	struct network *n = xcalloc(1, sizeof(*n));
	struct lan *l = lan_of(m, hex);
	struct error err = ERROR_INIT;
	bool read = network_read(s, hex, n, &err) == 0;

	if (!read) {
		if (l != NULL)
			lan_warn(l, WARN_RULES, "%s; what held before still holds", err.text);
		else
			log_failure(LOG_LEVEL_ERROR, "mesh.network", &err);
	} else if (l != NULL) {
		lan_warn_clear(l, WARN_RULES);
		lan_update(l, n);
	} else if (m->lans_count == NETSTORE_NETWORKS_MAX) {
		log_error("mesh.network", "network=%s error=\"more than %d networks\"", hex, NETSTORE_NETWORKS_MAX);
	} else if ((l = lan_start(m, n, m->lans_count == 0, &err)) == NULL) {
		log_failure(LOG_LEVEL_ERROR, "mesh.network", &err);
	} else {
		m->lans[m->lans_count++] = l;
	}
	network_wipe(n);
	free(n);
	return read || err.sys_errno == 0;
}

static void watch_store(struct meshlan *m, const struct network_ids *ids)
{
	char path[sizeof(m->home) + NETWORK_ID_HEX_LEN + 32];
	size_t i;

	/* Adding a directory that is watched already changes nothing. */
	for (i = 0; i < ids->count; i++) {
		snprintf(path, sizeof(path), "%s/mesh/networks/%s", m->home, ids->hex[i]);
		(void)inotify_add_watch(m->store.fd, path, STORE_EVENTS);
	}
}

static int reload(struct meshlan *m, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	struct network_ids ids;
	bool all = true;
	uint64_t stamp;
	int r = -1;
	size_t i;

	/* The stamp first: what changes from here on changes it again. Watched before it is read: no change falls between. */
	if (netstore_open(&s, m->home, err) < 0 || netstore_stamp(&s, &stamp, err) < 0 || netstore_ids(&s, &ids, err) < 0)
		goto out;
	watch_store(m, &ids);
	r = 0;
	if (stamp == m->stamp && !m->unread)
		goto out;
	m->stamp = stamp;
	for (i = m->lans_count; i-- > 0;)
		if (!is_among(&ids, m->lans[i]->net.hex))
			drop(m, i, GOODBYE_LEAVING);
	meshlan_sort_by_joining(&s, &ids);
	for (i = 0; i < ids.count; i++)
		all = take_network(m, &s, ids.hex[i]) && all;
	/* A rule taken away must not stay in force because there was no descriptor free at that moment. */
	m->unread = !all;
	loop_timer_set(m->loop, &m->follow, loop_now_ms(m->loop));
out:
	netstore_close(&s);
	return r;
}

void meshlan_reload(struct meshlan *m)
{
	struct error err = ERROR_INIT;

	if (reload(m, &err) < 0) {
		log_failure(LOG_LEVEL_WARN, "mesh.store", &err);
		m->unread = true;
	}
	for (size_t i = 0; i < m->lans_count; i++)
		lan_expiry(m->lans[i]);
	loop_timer_set(m->loop, &m->reload, loop_now_ms(m->loop) + (m->unread ? RELOAD_AGAIN_MS : RELOAD_ANYWAY_MS));
}

static void follow_fire(struct timer *t)
{
	nameserver_follow(container_of(t, struct meshlan, follow));
}

static void reload_fire(struct timer *t)
{
	meshlan_reload(container_of(t, struct meshlan, reload));
}

static void store_ready(struct watch *w, uint32_t revents)
{
	struct meshlan *m = container_of(w, struct meshlan, store);
	char news[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	(void)revents;
	while (read(w->fd, news, sizeof(news)) > 0)
		;
	if (m->reload.slot == 0 || m->reload.at_ms > loop_now_ms(m->loop) + RELOAD_SOON_MS)
		loop_timer_set(m->loop, &m->reload, loop_now_ms(m->loop) + RELOAD_SOON_MS);
}

/* One that was killed a moment ago may not be all gone yet. */
static int lock_running(int mesh_fd, struct error *err)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	int fd = -1, i;

	for (i = 0; i < LOCK_TRIES; i++) {
		*err = ERROR_INIT;
		fd = file_lock(mesh_fd, "running", err);
		if (fd >= 0 || err->kind != ERR_RETRY)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return fd;
}

static int start_store(struct meshlan *m, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	char path[sizeof(m->home) + 32];

	/* Makes what is not there yet. */
	if (netstore_open_locked(&s, m->home, err) < 0)
		return -1;
	m->lock_fd = lock_running(s.mesh_fd, err);
	netstore_close(&s);
	if (m->lock_fd < 0)
		return err->kind == ERR_RETRY ? error_wrap(err, "another mesh process runs in '%s'", m->home) : -1;
	m->store = (struct watch){.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .events = EPOLLIN, .ready = store_ready};
	if (m->store.fd < 0)
		return error_errno(err, errno, "cannot watch '%s/mesh'", m->home);
	snprintf(path, sizeof(path), "%s/mesh/networks", m->home);
	if (inotify_add_watch(m->store.fd, path, STORE_EVENTS) < 0)
		return error_errno(err, errno, "cannot watch '%s'", path);
	return loop_watch(m->loop, &m->store, err);
}

/* ---- life ---- */

static void signalled(struct daemon *d, unsigned signo)
{
	struct meshlan *m = container_of(d, struct meshlan, daemon);

	if (signo != SIGHUP)
		return;
	m->stamp = 0;
	meshlan_reload(m);
}

static int take_name(struct meshlan *m, struct error *err)
{
	char host[256] = "";

	if (m->options->name != NULL) {
		if (meshlan_check_name(m->options->name, err) < 0)
			return -1;
		snprintf(m->name, sizeof(m->name), "%s", m->options->name);
		return 0;
	}
	if (gethostname(host, sizeof(host) - 1) == 0) {
		host[strcspn(host, ".")] = '\0';
		names_label(m->name, slice_str(host));
	}
	/* Every second box is called that. */
	if (strcmp(m->name, "localhost") == 0)
		m->name[0] = '\0';
	return 0;
}

static int take_listen(struct meshlan *m, struct error *err)
{
	socklen_t len;

	if (m->options->listen == NULL)
		return 0;
	if (addr_parse(&m->listen, &len, slice_str(m->options->listen), err) < 0)
		return error_wrap(err, "where the mesh listens");
	m->listen_set = true;
	m->listen_any = m->options->listen[0] == ':';
	m->listen_port = ntohs(m->listen.ss_family == AF_INET ? ((struct sockaddr_in *)&m->listen)->sin_port
							      : ((struct sockaddr_in6 *)&m->listen)->sin6_port);
	return 0;
}

static int take_options(struct meshlan *m, struct error *err)
{
	const struct meshlan_options *o = m->options;
	const char *suffix = o->dns_suffix != NULL ? o->dns_suffix : MESHLAN_SUFFIX;

	if (strlen(o->home) >= sizeof(m->home))
		return error_set(err, ERR_USAGE, "the home's path is longer than %zu bytes", sizeof(m->home) - 1);
	snprintf(m->home, sizeof(m->home), "%s", o->home);
	if (strlen(suffix) >= sizeof(m->suffix))
		return error_set(err, ERR_USAGE, "the suffix of names is longer than %zu bytes", sizeof(m->suffix) - 1);
	snprintf(m->suffix, sizeof(m->suffix), "%s", suffix);
	if (dns_suffix_check(slice_str(suffix), err) < 0)
		return -1;
	return take_listen(m, err) < 0 ? -1 : take_name(m, err);
}

static struct meshlan *meshlan_new(const struct meshlan_options *o)
{
	struct meshlan *m = xcalloc(1, sizeof(*m));

	m->options = o;
	m->lock_fd = m->door_fd = m->store.fd = m->links.fd = m->beacon4.fd = m->beacon6.fd = m->lookup_cancel = -1;
	m->daemon = DAEMON_INIT(signalled);
	m->reload.fire = reload_fire;
	m->follow.fire = follow_fire;
	m->names = names_new();
	return m;
}

static void close_watch(struct watch *w)
{
	loop_unwatch(w);
	file_close(&w->fd);
}

static void meshlan_free(struct meshlan *m)
{
	door_stop(m);
	while (m->lans_count > 0)
		drop(m, m->lans_count - 1, GOODBYE_STOPPING);
	nameserver_stop(m);
	if (m->loop != NULL) {
		underlay_stop(m);
		loop_timer_cancel(m->loop, &m->follow);
		loop_timer_cancel(m->loop, &m->reload);
		close_watch(&m->store);
	}
	daemon_stop(&m->daemon);
	loop_free(m->loop);
	names_free(m->names);
	file_close(&m->lock_fd);
	free(m);
}

/* Of a network that may be joined later: said once, and status says it as long as it is so. */
static void log_homeless(struct meshlan *m)
{
	const struct meshlan_forward *f;
	size_t at = 0;

	while ((f = forwards_homeless(m, &at)) != NULL)
		log_warn("mesh.forward", "forward '%s' of the configuration is for network '%s', which is not here", f->name,
			 f->network);
}

static int start(struct meshlan *m, struct error *err)
{
	const struct meshlan_options *o = m->options;

	if (crypto_start(err) < 0 || take_options(m, err) < 0 || (m->loop = loop_new(err)) == NULL ||
	    daemon_start(&m->daemon, m->loop, o->notify_socket, o->watchdog_ms, err) < 0 || start_store(m, err) < 0 ||
	    underlay_start(m, err) < 0 || nameserver_start(m, err) < 0)
		return -1;
	m->started_s = clock_now_s();
	reach_begin();
	lan_guard_begin();
	meshlan_reload(m);
	log_homeless(m);
	return door_start(m, err);
}

int meshlan_run(const struct meshlan_options *options, struct error *err)
{
	struct meshlan *m = meshlan_new(options);
	int r = start(m, err);

	if (r == 0) {
		log_info("mesh.ready", "networks=%zu version=%s", m->lans_count, MESHANICS_VERSION);
		daemon_say(&m->daemon, "READY=1");
		r = loop_run(m->loop, err);
		daemon_say(&m->daemon, "STOPPING=1");
	}
	if (r == 0 && m->fatal.kind != ERR_NONE) {
		*err = m->fatal;
		r = -1;
	}
	meshlan_free(m);
	if (r == 0)
		log_info("mesh.stopped", "clean=true");
	return r;
}
