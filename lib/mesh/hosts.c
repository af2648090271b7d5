/* Lines for a hosts file, and the arguments of resolvectl. */
#include "mesh/hosts.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#include "base/encode.h"
#include "mesh/bytes.h"
#include "mesh/dns.h"

struct hosts {
	struct buf *out;
	const struct names *names;
	const char *suffix;
};

static const char *text_v4(char out[static INET_ADDRSTRLEN], uint32_t v4)
{
	uint8_t p[4];

	put_be32(p, v4);
	snprintf(out, INET_ADDRSTRLEN, "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
	return out;
}

static void put_line(struct hosts *h, const char *address, const struct names_entry *e, bool first)
{
	const char *label = names_network_label(e->network);

	if (!first && label[0] == '\0')
		return;
	buf_printf(h->out, "%s", address);
	if (first)
		buf_printf(h->out, " %s.%s", e->name, h->suffix);
	if (label[0] != '\0')
		buf_printf(h->out, " %s.%s.%s", e->name, label, h->suffix);
	buf_put_str(h->out, "\n");
}

static void put_entry(void *arg, const struct names_entry *e)
{
	char v4[INET_ADDRSTRLEN], v6[INET6_ADDRSTRLEN] = "", node[NODE_ID_HEX_LEN];
	struct hosts *h = arg;
	struct names_entry found;
	bool first;

	hex_encode(node, e->node, NODE_ID_LEN);
	if (!e->has_address) {
		buf_printf(h->out, "# %s.%s: node %s has no address yet\n", e->name, h->suffix, node);
		return;
	}
	text_v4(v4, e->v4);
	if (inet_ntop(AF_INET6, e->v6, v6, sizeof(v6)) == NULL)
		return;
	if (!e->holds) {
		buf_printf(h->out, "# %s.%s: another node has this name; node %s is %s and %s\n", e->name, h->suffix, node,
			   v4, v6);
		return;
	}
	first = names_find(h->names, slice_str(e->name), &found) && found.network == e->network;
	if (!first)
		buf_printf(h->out, "# %s.%s: another network's name; here it is %s and %s\n", e->name, h->suffix, v4, v6);
	put_line(h, v4, e, first);
	put_line(h, v6, e, first);
}

void hosts_put(struct buf *out, const struct names *names, const char *suffix)
{
	struct hosts h = {.out = out, .names = names, .suffix = suffix};

	names_each(names, put_entry, &h);
}

/* A name that the kernel takes for an interface, and resolvectl for no option. */
static int interface_check(const char *s, struct error *err)
{
	size_t len = strlen(s), i;

	if (len == 0 || len > 15 || s[0] == '-' || s[0] == '.')
		return error_set(err, ERR_USAGE, "'%s' is no name of an interface", s);
	for (i = 0; i < len; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		      c == '.'))
			return error_set(err, ERR_USAGE, "'%s' is no name of an interface", s);
	}
	return 0;
}

static void command(struct resolvectl *c, const char *verb, const char *interface, const char *value)
{
	size_t n = 0;

	memset(c, 0, sizeof(*c));
	snprintf(c->interface, sizeof(c->interface), "%s", interface);
	c->argv[n++] = "resolvectl";
	c->argv[n++] = verb;
	c->argv[n++] = c->interface;
	if (value != NULL) {
		snprintf(c->value, sizeof(c->value), "%s", value);
		c->argv[n] = c->value;
	}
}

int resolvectl_up(struct resolvectl out[static RESOLVECTL_UP], const char *interface, const char *server,
		  const char *suffix, struct error *err)
{
	char domain[DNS_SUFFIX_MAX + 2];
	uint8_t address[16];

	if (interface_check(interface, err) < 0 || dns_suffix_check(slice_str(suffix), err) < 0)
		return -1;
	if (inet_pton(AF_INET, server, address) != 1 && inet_pton(AF_INET6, server, address) != 1)
		return error_set(err, ERR_USAGE, "'%s' is no address of a name server", server);
	snprintf(domain, sizeof(domain), "~%s", suffix);
	command(&out[0], "default-route", interface, "false");	/* first: never all names, not for a moment */
	command(&out[1], "llmnr", interface, "no");
	command(&out[2], "mdns", interface, "no");
	command(&out[3], "dnssec", interface, "no");
	command(&out[4], "dnsovertls", interface, "no");
	command(&out[5], "domain", interface, domain);
	command(&out[6], "dns", interface, server);
	return 0;
}

int resolvectl_down(struct resolvectl *out, const char *interface, struct error *err)
{
	if (interface_check(interface, err) < 0)
		return -1;
	command(out, "revert", interface, NULL);
	return 0;
}
