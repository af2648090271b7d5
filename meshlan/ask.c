/* The question to the mesh process that runs: one request over HOME/mesh/control.sock. */
#include <stdio.h>
#include <unistd.h>

#include "control/api.h"
#include "meshlan/meshlan.h"
#include "net/client.h"

/* Why nobody could be asked, for people. */
static int nobody(const char *home, struct error *err)
{
	if (err->kind == ERR_DENIED) {
		error_set(err, ERR_DENIED, "only root may ask the mesh of '%s'", home);
		return error_hint(err, "run this as root");
	}
	if (err->kind != ERR_RETRY)
		return error_wrap(err, "cannot ask the mesh of '%s'", home);
	error_set(err, ERR_RETRY, "no mesh runs in '%s'", home);
	if (geteuid() != 0)
		return error_hint(err, "run this as root: the mesh of this machine is root's, in '/var/lib/meshanics'");
	return error_hint(err, "start it with 'meshanics meshlan run', or look into its log");
}

int meshlan_ask(const char *home, const char *method, const char *target, struct slice body, int64_t timeout_ms,
		struct buf *out, struct error *err)
{
	struct client_params params = CLIENT_PARAMS_INIT;
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	struct client *c;
	char path[4096];
	int r = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/mesh/control.sock", home) >= sizeof(path))
		return error_set(err, ERR_USAGE, "the home directory's path is too long");
	params.unix_path = path;
	if ((c = client_new(&params, err)) == NULL)
		return -1;
	q.method = method;
	q.target = target;
	q.body = body;
	q.content_type = body.len > 0 ? "application/json" : NULL;
	q.timeout_ms = timeout_ms;
	q.body_max = MESHLAN_ANSWER_MAX;
	if (client_do(c, &q, &a, err) < 0)
		nobody(home, err);
	else if (a.status != 200)
		api_read_error((unsigned)a.status, buf_slice(&a.body), err);
	else if (buf_put_slice(out, buf_slice(&a.body)), out->failed)
		error_set(err, ERR_LIMIT, "the mesh answered with more than %zu bytes", out->max);
	else
		r = 0;
	client_response_release(&a);
	client_free(c);
	return r;
}
