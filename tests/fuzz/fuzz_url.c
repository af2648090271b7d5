/* URLs, hosts, listener addresses, percent-coding: the canonical text of what is accepted is accepted as the same. */
#include <stdlib.h>

#include "net/addr.h"
#include "net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void try_url(struct slice text, unsigned allow)
{
	struct buf out = BUF_INIT(2 * URL_LEN_MAX);
	struct url u, again;
	struct error err;

	if (url_parse(&u, text, allow, &err) == 0) {
		must(u.port > 0 && u.host[0] != '\0' && ((allow & URL_BASE) || u.target[0] == '/'));
		url_put(&out, &u);
		must(url_parse(&again, buf_slice(&out), allow, &err) == 0);
		must(again.port == u.port && again.tls == u.tls && strcmp(again.host, u.host) == 0 &&
		     strcmp(again.target, u.target) == 0);
	}
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size);
	struct buf coded = BUF_INIT(3 * size), plain = BUF_INIT(size);
	char host[HOST_LEN_MAX + 1], address[ADDR_TEXT_LEN];
	struct sockaddr_storage a;
	enum host_kind kind;
	struct error err;
	socklen_t len;

	try_url(text, URL_HTTPS);
	try_url(text, URL_HTTPS | URL_HTTP | URL_BASE);
	try_url(text, URL_HTTP | URL_USER);
	if (host_parse(host, text, &kind, &err) == 0)
		must(host_parse(host, slice_str(host), &kind, &err) == 0);
	if (addr_parse(&a, &len, text, &err) == 0)
		addr_text(address, &a);
	percent_encode(&coded, text);
	if (percent_decode(&plain, buf_slice(&coded), &err) == 0)
		must(slice_equal(buf_slice(&plain), text));
	buf_release(&coded);
	buf_release(&plain);
	return 0;
}
