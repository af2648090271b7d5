/* What the configuration of the mesh may say, and why something else cannot be. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "mesh/dns.h"
#include "mesh/forwards.h"
#include "mesh/names.h"
#include "meshlan/meshlan.h"
#include "net/addr.h"
#include "net/url.h"

int meshlan_check_name(const char *text, struct error *err)
{
	struct error no_name = ERROR_INIT;
	char name[MESH_NAME_MAX + 1];

	if (mesh_name_check(slice_str(text), "the name of this node", &no_name) == 0)
		return 0;
	error_set(err, ERR_USAGE, "%s", no_name.text);
	names_label(name, slice_str(text));
	return error_hint(err, "1 to %d of a-z, 0-9 and, inside, hyphens, as in '%s'", MESH_NAME_MAX,
			  name[0] == '\0' ? "nas" : name);
}

int meshlan_check_listen(const char *text, struct error *err)
{
	struct sockaddr_storage ss;
	socklen_t len;

	if (addr_parse(&ss, &len, slice_str(text), err) == 0)
		return 0;
	return error_hint(err, ":PORT or ADDRESS:PORT, as in :%d, 192.0.2.7:%d or [2001:db8::7]:%d", MESHLAN_PORT,
			  MESHLAN_PORT, MESHLAN_PORT);
}

static int no_peer(const char *text, const char *why, struct error *err)
{
	error_set(err, ERR_USAGE, "'%s' is no peer: %s", text, why);
	return error_hint(err, "HOST:PORT, as in gate.example.org:%d or [2001:db8::7]:%d", MESHLAN_PORT, MESHLAN_PORT);
}

int meshlan_check_peer(const char *text, struct error *err)
{
	const char *colon = strrchr(text, ':');
	char host[HOST_LEN_MAX + 1], number[8];
	struct error ignored = ERROR_INIT;
	struct sockaddr_storage ss;
	enum host_kind kind = HOST_NAME;
	socklen_t len;

	if (colon == NULL)
		return no_peer(text, "it has no port", err);
	if (colon == text)
		return no_peer(text, "it has no host", err);
	/* Whether the port is one is the same question for every host. */
	snprintf(number, sizeof(number), "%.7s", colon);
	if (strlen(colon) >= sizeof(number) || addr_parse(&ss, &len, slice_str(number), &ignored) < 0 ||
	    strspn(colon, ":0") == strlen(colon))
		return no_peer(text, "it does not end with a port", err);
	if (addr_parse(&ss, &len, slice_str(text), &ignored) == 0)
		return 0;
	if (colon - text > HOST_LEN_MAX || strcspn(text, " \t/@[]") < (size_t)(colon - text))
		return no_peer(text, "its host is neither a name nor an address", err);
	if (memchr(text, ':', (size_t)(colon - text)) != NULL)
		return no_peer(text, "an IPv6 address stands in brackets", err);
	ignored = ERROR_INIT;
	/* The system's resolver may know names that no URL may have, as my_nas and "nas.home.". */
	if (host_parse(host, slice_of(text, (size_t)(colon - text)), &kind, &ignored) < 0 && kind != HOST_NAME)
		return no_peer(text, ignored.text, err);
	return 0;
}

int meshlan_check_suffix(const char *text, struct error *err)
{
	return dns_suffix_check(slice_str(text), err);
}

int meshlan_check_upstream(const char *text, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct sockaddr_storage ss;
	uint8_t bytes[16];
	socklen_t len;

	if (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1 ||
	    (text[0] != ':' && addr_parse(&ss, &len, slice_str(text), &ignored) == 0))
		return 0;
	error_set(err, ERR_USAGE, "'%s' is no resolver to ask for other names", text);
	return error_hint(err, "an address, as in 192.0.2.53, 2001:db8::53 or [2001:db8::53]:5353");
}

int meshlan_check_forward(struct slice name, struct slice target, struct error *err)
{
	char label[MESH_NAME_MAX + 1];
	struct endpoint at;

	if (forward_name_parse(label, name, err) < 0)
		return -1;
	if (forward_target_parse(&at, target, err) == 0)
		return 0;
	return error_wrap(err, "forward '%s'", label);
}

bool meshlan_same_name(struct slice a, struct slice b)
{
	char one[MESH_NAME_MAX + 1], other[MESH_NAME_MAX + 1];

	names_label(one, a);
	names_label(other, b);
	return strcmp(one, other) == 0;
}
