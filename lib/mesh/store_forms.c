/* The forms of the files of a network: one text for one meaning, everything else is refused. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/timefmt.h"
#include "mesh/bytes.h"
#include "mesh/store.h"

#define UNTIL "until "
#define UNKNOWN "unknown"

/* The next line without its end; false when there is none, or what is left has no end. */
static bool next_line(struct slice *rest, struct slice *line)
{
	size_t end = slice_find(*rest, '\n', 0);

	if (end == SIZE_MAX)
		return false;
	*line = slice_sub(*rest, 0, end);
	*rest = slice_sub(*rest, end + 1, SIZE_MAX);
	return true;
}

/* A whole number in decimal, without sign and leading zeros, at most max. */
static int get_number(uint64_t *value, struct slice text, uint64_t max)
{
	size_t i;

	*value = 0;
	if (text.len == 0 || text.len > 19 || (text.len > 1 && text.ptr[0] == '0'))
		return -1;
	for (i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return -1;
		*value = *value * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	return *value <= max ? 0 : -1;
}

/* The text up to the next space, which is taken off as well. */
static struct slice next_word(struct slice *rest)
{
	size_t end = slice_find(*rest, ' ', 0);
	struct slice word = slice_sub(*rest, 0, end);

	*rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(*rest, end + 1, SIZE_MAX);
	return word;
}

int former_parse(struct former *f, struct slice text, struct error *err)
{
	struct slice key, until;

	memset(f, 0, sizeof(*f));
	if (!next_line(&text, &key) || !next_line(&text, &until) || text.len > 0 ||
	    !slice_starts(until, SLICE_LIT(UNTIL)))
		return error_set(err, ERR_MALFORMED, "is not a key and the end of its grace");
	if (time_parse(&f->grace_until_s, slice_sub(until, sizeof(UNTIL) - 1, SIZE_MAX), err) < 0)
		return -1;
	return netkey_parse(&f->key, key, err);
}

void former_put(struct buf *secret_out, const struct former *f)
{
	char until[TIME_TEXT_LEN];

	netkey_put(secret_out, &f->key);
	buf_printf(secret_out, "\n" UNTIL "%s\n", time_text(until, f->grace_until_s));
}

static int parse_claim(struct claim *c, struct slice line)
{
	struct slice ordinal = next_word(&line), attempt = next_word(&line);
	uint64_t o, a, t;

	if (get_number(&o, ordinal, CLAIMS_MAX - 1) < 0 || get_number(&a, attempt, UINT32_MAX) < 0)
		return -1;
	c->ordinal = (uint16_t)o;
	c->attempt = (uint32_t)a;
	c->claimed_at_s = CLAIM_TIME_UNKNOWN;
	if (slice_equal_str(line, UNKNOWN))
		return 0;
	if (get_number(&t, line, MESH_TIME_MAX) < 0)
		return -1;
	c->claimed_at_s = (int64_t)t;
	return 0;
}

int claims_file_parse(struct claim *claims, size_t *count, struct slice text, struct error *err)
{
	struct slice line;

	for (*count = 0; text.len > 0; (*count)++) {
		struct claim *c = &claims[*count];

		if (*count == CLAIMS_MAX || !next_line(&text, &line) || parse_claim(c, line) < 0 ||
		    (*count > 0 && c[-1].ordinal >= c->ordinal))
			return error_set(err, ERR_MALFORMED, "line %zu is not a claim", *count + 1);
	}
	return 0;
}

void claims_file_put(struct buf *out, const struct claim *claims, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		buf_printf(out, "%u %" PRIu32 " ", (unsigned)claims[i].ordinal, claims[i].attempt);
		if (claims[i].claimed_at_s == CLAIM_TIME_UNKNOWN)
			buf_put_str(out, UNKNOWN "\n");
		else
			buf_printf(out, "%" PRId64 "\n", claims[i].claimed_at_s);
	}
}

void node_ids_release(struct node_ids *ids)
{
	free(ids->ids);
	*ids = (struct node_ids){NULL, 0};
}

int evicted_parse(struct node_ids *out, uint32_t generation, struct slice text, struct error *err)
{
	struct error ignored = ERROR_INIT;
	struct slice line, id;
	uint64_t with;
	size_t n = 0;

	*out = (struct node_ids){xcalloc(EVICTED_MAX, NODE_ID_LEN), 0};
	for (; text.len > 0; n++) {
		if (n == EVICTED_MAX || !next_line(&text, &line))
			goto bad;
		id = next_word(&line);
		if (hex_decode(out->ids[out->count], NODE_ID_LEN, id, &ignored) < 0 ||
		    get_number(&with, line, UINT32_MAX) < 0)
			goto bad;
		out->count += with <= generation;
	}
	return 0;
bad:
	node_ids_release(out);
	return error_set(err, ERR_MALFORMED, "line %zu is not an evicted node", n + 1);
}

int epoch_parse(uint32_t *epoch, struct slice text, struct error *err)
{
	struct slice line;
	uint64_t value;

	if (!next_line(&text, &line) || text.len > 0 || get_number(&value, line, UINT32_MAX) < 0)
		return error_set(err, ERR_MALFORMED, "is not a boot epoch");
	*epoch = (uint32_t)value;
	return 0;
}

/* ---- paths and pins ---- */

void path_list_release(struct path_list *l)
{
	free(l->all);
	*l = (struct path_list){NULL, 0};
}

int paths_parse(struct path_list *out, struct slice bytes, struct error *err)
{
	size_t count = bytes.len / PATH_LEN, i;

	*out = (struct path_list){NULL, 0};
	if (bytes.len % PATH_LEN != 0 || count > PATHS_MAX)
		return error_set(err, ERR_MALFORMED, "is cut short, or too long");
	out->all = xcalloc(count + 1, sizeof(*out->all));
	for (i = 0; i < count; i++) {
		const uint8_t *p = bytes.ptr + i * PATH_LEN;
		struct last_path *path = &out->all[i];

		memcpy(path->node, p, NODE_ID_LEN);
		if (endpoint_get(&path->at, p + NODE_ID_LEN) < 0 || !endpoint_usable(&path->at)) {
			path_list_release(out);
			return error_set(err, ERR_MALFORMED, "entry %zu is no place where a node can be", i + 1);
		}
	}
	out->count = count;
	return 0;
}

void paths_put(struct buf *out, const struct last_path *paths, size_t count)
{
	uint8_t at[ENDPOINT_WIRE_LEN];
	size_t i;

	for (i = 0; i < count; i++) {
		endpoint_put(at, &paths[i].at);
		buf_put(out, paths[i].node, NODE_ID_LEN);
		buf_put(out, at, sizeof(at));
	}
}

void pins_put(struct buf *out, const struct names_change *pin)
{
	char hex[NODE_ID_HEX_LEN];

	hex_encode(hex, pin->before, NODE_ID_LEN);
	if (pin->kind == NAMES_NAME)
		buf_printf(out, "name %s %s\n", pin->name, hex);
	else
		buf_printf(out, "block %" PRIu32 " %s\n", pin->block, hex);
}

static int parse_pin(struct names_change *pin, struct slice line)
{
	struct slice kind = next_word(&line), what = next_word(&line);
	struct error ignored = ERROR_INIT;
	char again[NODE_ID_HEX_LEN];
	uint64_t block = 0;

	*pin = (struct names_change){.kind = slice_equal_str(kind, "name") ? NAMES_NAME : NAMES_BLOCK};
	if (pin->kind == NAMES_NAME) {
		if (mesh_name_check(what, "a pin", &ignored) < 0)
			return -1;
		memcpy(pin->name, what.ptr, what.len);
	} else if (!slice_equal_str(kind, "block") || get_number(&block, what, UINT32_MAX) < 0) {
		return -1;
	}
	pin->block = (uint32_t)block;
	if (hex_decode(pin->before, NODE_ID_LEN, line, &ignored) < 0)
		return -1;
	hex_encode(again, pin->before, NODE_ID_LEN);
	return slice_equal_str(line, again) ? 0 : -1;	/* capitals are another form */
}

int pins_parse(int (*each)(void *arg, const struct names_change *pin, struct error *err), void *arg, struct slice text,
	       struct error *err)
{
	struct names_change pin;
	struct slice line;
	size_t n;

	for (n = 1; text.len > 0; n++) {
		if (n > NAMES_PINS_MAX || !next_line(&text, &line) || parse_pin(&pin, line) < 0)
			return error_set(err, ERR_MALFORMED, "line %zu is no pin", n);
		if (each(arg, &pin, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- ages and records ---- */

void ages_put(struct buf *out, const uint8_t node[static NODE_ID_LEN], int64_t age_s)
{
	buf_put(out, node, NODE_ID_LEN);
	buf_put_u32be(out, age_s < 0 ? 0 : age_s > UINT32_MAX ? UINT32_MAX : (uint32_t)age_s);
}

int64_t ages_find(struct slice ages, const uint8_t node[static NODE_ID_LEN], size_t *at)
{
	size_t count = ages.len / AGE_LEN, i;

	if (ages.len % AGE_LEN != 0)
		return -1;
	for (i = 0; i < count; i++) {
		const uint8_t *p = ages.ptr + (*at + i) % count * AGE_LEN;

		if (memcmp(p, node, NODE_ID_LEN) == 0) {
			*at = (*at + i + 1) % count;
			return get_be32(p + NODE_ID_LEN);
		}
	}
	return -1;
}

void records_put(struct buf *out, struct slice record)
{
	buf_put_u16be(out, (uint16_t)record.len);
	buf_put_slice(out, record);
}

bool records_next(struct slice *rest, struct slice *record, bool *bad)
{
	size_t len;

	*bad = false;
	if (rest->len == 0)
		return false;
	len = rest->len < 2 ? 0 : get_be16(rest->ptr);
	if (len < RECORD_LEN_MIN || len > RECORD_LEN_MAX || len > rest->len - 2) {
		*bad = true;
		return false;
	}
	*record = slice_sub(*rest, 2, len);
	*rest = slice_sub(*rest, 2 + len, SIZE_MAX);
	return true;
}
