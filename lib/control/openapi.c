/* The API described in OpenAPI 3.1, generated from the router's own table, so that it cannot drift. */
#include "control/openapi.h"

#include "control/api.h"

/* One path parameter for every {name} in the pattern. */
static void put_parameters(struct json_writer *w, const char *pattern)
{
	const char *open = strchr(pattern, '{');

	if (open == NULL)
		return;
	json_open_array(w, "parameters");
	for (; open != NULL; open = strchr(open + 1, '{')) {
		const char *end = strchr(open, '}');

		json_open_object(w, NULL);
		json_put_slice(w, "name", slice_of(open + 1, (size_t)(end - open - 1)));
		json_put_string(w, "in", "path");
		json_put_bool(w, "required", true);
		json_open_object(w, "schema");
		json_put_string(w, "type", "string");
		json_close(w);
		json_close(w);
	}
	json_close(w);
}

static void put_response(struct json_writer *w, const char *status, const char *description, bool error)
{
	json_open_object(w, status);
	json_put_string(w, "description", description);
	if (error) {
		json_open_object(w, "content");
		json_open_object(w, "application/json");
		json_open_object(w, "schema");
		json_put_string(w, "$ref", "#/components/schemas/Error");
		json_close(w);
		json_close(w);
		json_close(w);
	}
	json_close(w);
}

static void put_operation(struct json_writer *w, const struct api_route *r)
{
	char method[8];
	size_t i;

	for (i = 0; r->method[i] != '\0' && i + 1 < sizeof(method); i++)
		method[i] = (char)(r->method[i] | 0x20);
	method[i] = '\0';
	json_open_object(w, method);
	json_put_string(w, "operationId", r->action);
	json_put_string(w, "summary", r->summary);
	if (r->permission != NULL)
		json_put_string(w, "x-meshanics-permission", r->permission);
	put_parameters(w, r->pattern);
	json_open_object(w, "responses");
	put_response(w, "200", "done", false);
	put_response(w, "4XX", "refused: the error says what, why and what to do", true);
	put_response(w, "5XX", "failed, or try again (503)", true);
	json_close(w);
	json_close(w);
}

/* Is n the first operator route with its pattern? OpenAPI wants one object a path. */
static bool first_of_pattern(unsigned n, const struct api_route *r)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		const struct api_route *other = api_route_at(i);

		if (other->class == r->class && strcmp(other->pattern, r->pattern) == 0)
			return false;
	}
	return true;
}

static void put_paths(struct json_writer *w)
{
	const struct api_route *r, *same;
	unsigned n, m;

	json_open_object(w, "paths");
	for (n = 0; (r = api_route_at(n)) != NULL; n++) {
		if (r->class != API_OPERATOR || !first_of_pattern(n, r))
			continue;
		json_open_object(w, r->pattern);
		for (m = n; (same = api_route_at(m)) != NULL; m++)
			if (same->class == API_OPERATOR && strcmp(same->pattern, r->pattern) == 0)
				put_operation(w, same);
		json_close(w);
	}
	json_close(w);
}

static void put_error_schema(struct json_writer *w)
{
	static const char schema[] =
		"{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
		"\"required\":[\"kind\",\"text\"],\"properties\":{\"kind\":{\"type\":\"string\"},"
		"\"text\":{\"type\":\"string\"},\"hint\":{\"type\":\"string\"}}}}}}";

	json_open_object(w, "components");
	json_put_raw(w, "schemas", slice_str(schema));
	json_open_object(w, "securitySchemes");
	json_put_raw(w, "operatorToken", SLICE_LIT("{\"type\":\"http\",\"scheme\":\"bearer\"}"));
	json_close(w);
	json_close(w);
	json_put_raw(w, "security", SLICE_LIT("[{\"operatorToken\":[]}]"));
}

void openapi_put(struct json_writer *w, const char *version)
{
	json_open_object(w, NULL);
	json_put_string(w, "openapi", "3.1.0");
	json_open_object(w, "info");
	json_put_string(w, "title", "meshanics operator API");
	json_put_string(w, "version", version);
	json_close(w);
	put_paths(w);
	put_error_schema(w);
	json_close(w);
}
