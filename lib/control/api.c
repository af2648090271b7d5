/* The router: from a request line to a handler. */
#include "control/api.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/name.h"
#include "net/url.h"

static const struct api_route *const tables[] = {
	routes_control, routes_fleet, routes_identity, routes_repository, routes_export, routes_bundle,
};

const struct api_route *api_route_at(unsigned n)
{
	size_t t;

	for (t = 0; t < ARRAY_SIZE(tables); t++) {
		const struct api_route *r;

		for (r = tables[t]; r->method != NULL; r++)
			if (n-- == 0)
				return r;
	}
	return NULL;
}

/* The next segment of *rest, without its slash; *rest moves past it. */
static struct slice take_segment(struct slice *rest)
{
	struct slice s = *rest;
	size_t end;

	if (s.len > 0 && s.ptr[0] == '/')
		s = slice_sub(s, 1, SIZE_MAX);
	end = slice_find(s, '/', 0);
	if (end == SIZE_MAX)
		end = s.len;
	*rest = slice_sub(s, end, SIZE_MAX);
	return slice_sub(s, 0, end);
}

/* Does path fit the pattern, segment by segment? Parameters are handed out raw. */
static bool pattern_fits(struct slice pattern, struct slice path, struct slice raw[static API_PARAMS_MAX])
{
	unsigned n = 0;

	while (pattern.len > 0 && path.len > 0) {
		struct slice want = take_segment(&pattern), got = take_segment(&path);

		if (want.len > 0 && want.ptr[0] == '{') {
			if (got.len == 0 || n == API_PARAMS_MAX)
				return false;
			raw[n++] = got;
		} else if (!slice_equal(want, got)) {
			return false;
		}
	}
	while (n < API_PARAMS_MAX)
		raw[n++] = SLICE_EMPTY;
	return pattern.len == 0 && path.len == 0;
}

/* Parameters of a route that fits: decoded into `decoded`, then checked against the whitelist of versions. */
/* A SHA-256 in hex is one byte longer than a name may be. */
static bool is_sha256(struct slice s)
{
	struct error ignored = ERROR_INIT;
	uint8_t hash[32];

	return s.len == 64 && hex_decode(hash, sizeof(hash), s, &ignored) == 0;
}

static int decode_params(struct slice params[static API_PARAMS_MAX], struct buf *decoded, struct error *err)
{
	unsigned i;

	if (!buf_reserve(decoded, API_PATH_MAX))	/* so that slices into it stay where they are */
		return error_set(err, ERR_LIMIT, "the path is longer than %u bytes", API_PATH_MAX);
	for (i = 0; i < API_PARAMS_MAX && params[i].len > 0; i++) {
		size_t at = decoded->len;

		if (percent_decode(decoded, params[i], err) < 0)
			return -1;
		params[i] = slice_of(decoded->ptr + at, decoded->len - at);
		if (!is_sha256(params[i]) && version_check(params[i], err) < 0)
			return error_wrap(err, "bad path");
	}
	return 0;
}

const struct api_route *api_route_find(enum api_class class, struct slice method, struct slice path,
				       struct buf *decoded, struct slice params[static API_PARAMS_MAX],
				       struct error *err)
{
	const struct api_route *r;
	bool path_known = false;
	unsigned n;

	if (path.len > API_PATH_MAX) {
		error_set(err, ERR_LIMIT, "the path is longer than %u bytes", API_PATH_MAX);
		return NULL;
	}
	for (n = 0; (r = api_route_at(n)) != NULL; n++) {
		if (r->class != class || !pattern_fits(slice_str(r->pattern), path, params))
			continue;
		path_known = true;
		if (slice_equal_str(method, r->method))
			return decode_params(params, decoded, err) < 0 ? NULL : r;
	}
	if (path_known)
		error_set(err, ERR_USAGE, "method '%.*s' is not known for '%.*s'", SLICE_ARG(method), SLICE_ARG(path));
	else
		error_set(err, ERR_NOT_FOUND, "there is nothing at '%.*s'", SLICE_ARG(path));
	return NULL;
}

int api_query(const struct api_call *call, const char *name, struct buf *out, struct error *err)
{
	struct slice rest = call->query;

	buf_clear(out);
	while (rest.len > 0) {
		size_t end = slice_find(rest, '&', 0), eq;
		struct slice pair = slice_sub(rest, 0, end);

		rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(rest, end + 1, SIZE_MAX);
		eq = slice_find(pair, '=', 0);
		if (slice_equal_str(slice_sub(pair, 0, eq), name))
			return eq == SIZE_MAX ? 0 : percent_decode(out, slice_sub(pair, eq + 1, SIZE_MAX), err);
	}
	return error_set(err, ERR_NOT_FOUND, "query parameter '%s' is missing", name);
}
