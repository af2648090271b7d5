/* Bytes in a window of time. */
#include "agent/budget.h"

#include "base/json.h"

#define STEP_MIN (UINT64_C(64) << 10)
#define STEP_MAX (UINT64_C(4) << 20)
#define WALL_MAX_S (INT64_C(1) << 48)
#define OVERDRAWN_MAX 64	/* windows: more is not believed of a record */
#define WIRE_BYTES 8192		/* a TLS handshake and two heads */

void budget_init(struct budget *b, uint64_t limit, int64_t window_s)
{
	*b = (struct budget){.limit = limit, .window_ms = window_s * 1000};
}

/* What is not worth another request: two in a hundred at most. */
static uint64_t crumbs(const struct budget *b)
{
	return b->limit / 64 + 2 * WIRE_BYTES;
}

/* A window ends; what it was overdrawn by opens the next. */
static void roll(struct budget *b, int64_t mono_ms)
{
	while (b->open && mono_ms >= b->ends_ms) {
		b->used = b->used > b->limit ? b->used - b->limit : 0;
		b->open = b->used > 0;
		b->ends_ms += b->window_ms;
	}
}

uint64_t budget_left(struct budget *b, int64_t mono_ms)
{
	uint64_t spent;

	if (b->limit == 0)
		return UINT64_MAX;
	roll(b, mono_ms);
	spent = b->used + b->flight;
	return spent + crumbs(b) < b->limit ? b->limit - spent : 0;
}

uint64_t budget_content(uint64_t left)
{
	uint64_t wire = left / 128 + WIRE_BYTES;

	if (left == UINT64_MAX)
		return left;
	return left > wire ? left - wire : 0;
}

static uint64_t step(const struct budget *b)
{
	uint64_t bytes = b->limit / 32;

	return bytes < STEP_MIN ? STEP_MIN : bytes > STEP_MAX ? STEP_MAX : bytes;
}

bool budget_flight(struct budget *b, uint64_t received, int64_t mono_ms)
{
	if (b->limit == 0)
		return false;
	roll(b, mono_ms);
	if (received > b->flight)
		b->flight = received;
	if (!b->open && b->flight > 0) {
		b->open = true;
		b->ends_ms = mono_ms + b->window_ms;
	}
	if (b->used + b->flight < b->recorded)
		return false;
	b->recorded = b->used + b->flight + step(b);
	return true;
}

bool budget_landed(struct budget *b, uint64_t received, int64_t mono_ms)
{
	uint64_t before = b->recorded;

	if (b->limit == 0)
		return false;
	(void)budget_flight(b, received, mono_ms);
	b->used += b->flight;
	b->flight = 0;
	b->recorded = b->used;
	return b->recorded != before;
}

/* ---- the record ---- */

void budget_write(const struct budget *b, const struct budget_clock *now, struct buf *record)
{
	struct json_writer w = JSON_WRITER(record);

	json_open_object(&w, NULL);
	json_put_string(&w, "boot", now->boot);
	json_put_int(&w, "mono_ms", now->mono_ms);
	json_put_int(&w, "wall_s", now->wall_s);
	json_put_int(&w, "left_ms", b->open && b->ends_ms > now->mono_ms ? b->ends_ms - now->mono_ms : 0);
	json_put_int(&w, "used", (int64_t)b->recorded);
	json_close(&w);
}

/* How long ago the record was written, as far as that is known. */
static int64_t elapsed_ms(const struct budget_clock *now, struct slice boot, int64_t mono_ms, int64_t wall_s)
{
	int64_t ms;

	if (slice_equal_str(boot, now->boot))
		ms = now->mono_ms - mono_ms;
	else
		ms = now->wall_s > wall_s ? (now->wall_s - wall_s) * 1000 : 0;
	return ms > 0 ? ms : 0;
}

int budget_read(struct budget *b, struct slice record, const struct budget_clock *now, struct error *err)
{
	struct json doc = JSON_INIT;
	struct json_value root;
	struct slice boot;
	int64_t mono_ms, wall_s, left_ms, used, gone_ms;
	int r = -1;

	if (json_parse(&doc, record, JSON_STRICT, err) < 0)
		goto out;
	root = json_root(&doc);
	if (json_need_string(root, "boot", &boot, err) < 0 ||
	    json_need_int(root, "mono_ms", 0, INT64_MAX / 4, &mono_ms, err) < 0 ||
	    json_need_int(root, "wall_s", 0, WALL_MAX_S, &wall_s, err) < 0 ||
	    json_need_int(root, "left_ms", 0, BUDGET_WINDOW_MAX_S * 1000, &left_ms, err) < 0 ||
	    json_need_int(root, "used", 0, INT64_MAX / 2, &used, err) < 0)
		goto out;
	r = 0;
	if (left_ms > b->window_ms)	/* the window was made shorter */
		left_ms = b->window_ms;
	gone_ms = elapsed_ms(now, boot, mono_ms, wall_s);
	if (b->limit == 0 || used == 0 || left_ms == 0)
		goto out;
	b->used = (uint64_t)used < b->limit * OVERDRAWN_MAX ? (uint64_t)used : b->limit * OVERDRAWN_MAX;
	b->open = true;
	/* As if the window had begun on this clock: it may have ended before the clock began. */
	b->ends_ms = now->mono_ms + left_ms - gone_ms;
	roll(b, now->mono_ms);
	b->recorded = b->used;
out:
	json_release(&doc);
	return r;
}
