/* Routes about the control plane itself: health, metrics, the API's own description. */
#include "control/api.h"
#include "control/control.h"
#include "control/openapi.h"
#include "store/metrics.h"

static int get_health(struct api_call *call, struct error *err)
{
	(void)err;
	json_open_object(&call->out, NULL);
	json_put_string(&call->out, "status", "ok");
	json_put_string(&call->out, "version", MESHANICS_VERSION);
	json_close(&call->out);
	return 0;
}

static int get_openapi(struct api_call *call, struct error *err)
{
	(void)err;
	openapi_put(&call->out, MESHANICS_VERSION);
	return 0;
}

static int get_metrics(struct api_call *call, struct error *err)
{
	struct control *c = call->control;

	if (metrics_put(call->db, &call->reply, err) < 0)
		return -1;
	if (c->put_metrics != NULL)
		c->put_metrics(c->metrics_arg, &call->reply);
	call->content_type = "text/plain; version=0.0.4";
	return 0;
}

const struct api_route routes_control[] = {
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/healthz", .action = "control.health",
	  .summary = "answers while serve can read its store; needs no token", .handle = get_health },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/metrics", .action = "control.metrics",
	  .permission = "status.read", .summary = "counters and gauges in Prometheus' text format",
	  .handle = get_metrics },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/openapi.json", .action = "control.openapi",
	  .permission = "status.read", .summary = "this API as OpenAPI 3.1", .handle = get_openapi },
	{ .method = NULL },
};
