/* A heartbeat like the one before. */
#include "control/beat.h"

#include <stdlib.h>

#include "fleet/devices.h"
#include "store/lastseen.h"
#include "store/versions.h"
#include "sys/rng.h"

struct beat {
	const struct api_route *route;
	int64_t device_id;
	uint64_t version;
	int64_t until_s;
	uint64_t digest;	/* of the report in the body */
	uint32_t dice;		/* xorshift32, for the jitter; never 0 */
	uint32_t body_len, rest_len;
	uint8_t bytes[];	/* the body, then the answer behind its first member */
};

/* {"interval_s":57, and then what is kept. */
static struct slice behind_interval(struct slice answer)
{
	size_t comma = slice_starts(answer, SLICE_LIT("{\"interval_s\":")) ? slice_find(answer, ',', 0) : SIZE_MAX;

	return slice_sub(answer, comma, SIZE_MAX);
}

struct beat *beat_new(const struct versions *versions, uint64_t epoch, const struct api_call *call, struct slice body)
{
	struct slice rest = behind_interval(buf_slice(&call->reply));
	struct beat *b;

	if (rest.len == 0 || rest.len > BEAT_ANSWER_MAX || body.len > BEAT_BODY_MAX || call->actor->cert_until_s == 0)
		return NULL;
	b = xmalloc(sizeof(*b) + body.len + rest.len);
	*b = (struct beat){
		.route = call->route,
		.device_id = call->actor->device_id,
		.version = versions_of(versions, call->actor->device_id),
		.until_s = call->actor->cert_until_s,
		.digest = call->report_digest,
		.dice = rng_below(UINT32_MAX) + 1,
		.body_len = (uint32_t)body.len,
		.rest_len = (uint32_t)rest.len,
	};
	if (body.len > 0)
		memcpy(b->bytes, body.ptr, body.len);
	memcpy(b->bytes + body.len, rest.ptr, rest.len);
	if (versions_epoch(versions) == epoch)	/* after the version was read: see store/versions.h */
		return b;
	free(b);
	return NULL;
}

void beat_free(void *beat)
{
	free(beat);
}

bool beat_is_of(const struct beat *b, struct slice method, struct slice path, struct slice query)
{
	return query.len == 0 && slice_equal_str(path, b->route->pattern) && slice_equal_str(method, b->route->method);
}

static uint32_t roll(struct beat *b)
{
	b->dice ^= b->dice << 13;
	b->dice ^= b->dice >> 17;
	b->dice ^= b->dice << 5;
	return b->dice;
}

bool beat_answer(struct beat *b, const struct versions *versions, struct lastseen *lastseen, struct slice body,
		 int64_t interval_s, int64_t now_s, struct buf *out)
{
	if (!slice_equal(body, slice_of(b->bytes, b->body_len)) || now_s > b->until_s ||
	    versions_of(versions, b->device_id) != b->version ||
	    !lastseen_again(lastseen, b->device_id, now_s, b->digest))
		return false;
	buf_reserve(out, b->rest_len + 40);
	buf_printf(out, "{\"interval_s\":%lld", (long long)heartbeat_interval(interval_s, roll(b)));
	buf_put(out, b->bytes + b->body_len, b->rest_len);
	return true;
}
