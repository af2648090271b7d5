/* Forwards: names, targets and places, and the file of them. */
#include "mesh/forwards.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mesh/bytes.h"
#include "mesh/names.h"

#define CLAIM_IN_RECORD 14	/* ordinal, attempt, time */
#define FORWARD_IN_RECORD 6	/* place, time, length of the name */

/* ---- targets and names ---- */

/* Why nothing is forwarded there; NULL when it may be. */
static const char *unusable(const struct endpoint *t)
{
	struct endpoint with_port = *t;
	const uint8_t *a = t->addr;

	if (t->family == ENDPOINT_V4 && a[0] == 127)
		return "a loopback address";
	if (t->family == ENDPOINT_V4 && a[0] == 169 && a[1] == 254)
		return "a link-local address";
	if (t->family == ENDPOINT_V4 && a[0] >= 240)
		return "a reserved address";
	if (t->family == ENDPOINT_V6 && a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
		return "a link-local address";
	with_port.port = 1;
	return endpoint_usable(&with_port) ? NULL : "no address of a device";
}

int forward_target_parse(struct endpoint *target, struct slice text, struct error *err)
{
	char again[FORWARD_TARGET_TEXT_LEN], word[64];
	const char *why;

	*target = (struct endpoint){.family = ENDPOINT_NONE};
	printable(word, sizeof(word), text);
	if (text.len == strlen(word) && inet_pton(AF_INET, word, target->addr) == 1)
		target->family = ENDPOINT_V4;
	else if (text.len == strlen(word) && inet_pton(AF_INET6, word, target->addr) == 1)
		target->family = ENDPOINT_V6;
	if (target->family == ENDPOINT_NONE) {
		error_set(err, ERR_USAGE, "'%s' is no address", word);
		return error_hint(err, "give the device's own address, IPv4 or IPv6: 192.168.1.50");
	}
	if ((why = unusable(target)) == NULL)
		return 0;
	error_set(err, ERR_REFUSED, "nothing is forwarded to %s, which is %s", forward_target_text(again, target), why);
	return error_hint(err, "give the address of a device beside this machine; 'policy allow' opens what runs here");
}

int forward_target_outside(const struct endpoint *target, const struct addressing *a, const char *network,
			   struct error *err)
{
	char shown[FORWARD_TARGET_TEXT_LEN];

	if (target->family == ENDPOINT_V4 ? !addressing_has_v4(a, get_be32(target->addr)) :
					    !addressing_has_v6(a, target->addr))
		return 0;
	forward_target_text(shown, target);
	if (network == NULL)
		return error_set(err, ERR_REFUSED, "%s is an address of the network itself", shown);
	error_set(err, ERR_REFUSED, "%s is an address of network '%s'", shown, network);
	return error_hint(err, "members reach it without a forward");
}

const char *forward_target_text(char out[static FORWARD_TARGET_TEXT_LEN], const struct endpoint *target)
{
	out[0] = '\0';
	inet_ntop(target->family == ENDPOINT_V4 ? AF_INET : AF_INET6, target->addr, out, FORWARD_TARGET_TEXT_LEN);
	return out;
}

int forward_name_parse(char out[static MESH_NAME_MAX + 1], struct slice text, struct error *err)
{
	char shown[96];

	names_label(out, text);
	if (out[0] != '\0')
		return 0;
	error_set(err, ERR_USAGE, "nothing of '%s' can be a name", printable(shown, sizeof(shown), text));
	return error_hint(err, "give letters and digits: printer, \"Office Printer\"");
}

/* ---- places ---- */

const struct forward *forwards_find(const struct forward_list *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		if (strcmp(l->all[i].name, name) == 0)
			return &l->all[i];
	}
	return NULL;
}

static unsigned place_of(const struct forward *f)
{
	return (unsigned)f->ordinal * BLOCK_SIZE + f->slot;
}

/* What the forwards, and the claims of blocks beyond the first, take of the node's record. */
static size_t record_bytes(const struct forward_list *l)
{
	size_t n = 0, i;

	for (i = 0; i < l->count; i++)
		n += FORWARD_IN_RECORD + strlen(l->all[i].name);
	if (l->count > 0)
		n += CLAIM_IN_RECORD * (size_t)l->all[l->count - 1].ordinal;
	return n;
}

/* Move what stands from i on by one place, and put f there. */
static void insert(struct forward_list *l, size_t i, const struct forward *f)
{
	memmove(&l->all[i + 1], &l->all[i], (l->count - i) * sizeof(*f));
	l->all[i] = *f;
	l->count++;
}

static void take_out(struct forward_list *l, size_t i)
{
	l->count--;
	memmove(&l->all[i], &l->all[i + 1], (l->count - i) * sizeof(l->all[i]));
}

/* Where the lowest free place is: the index of the forward to stand there, whose ordinal and slot are set. */
static size_t lowest_free(const struct forward_list *l, struct forward *f)
{
	size_t i;

	f->ordinal = 0;
	f->slot = SLOT_FORWARD_MIN;
	for (i = 0; i < l->count && place_of(&l->all[i]) == place_of(f); i++) {
		if (f->slot++ == SLOT_FORWARD_MAX) {
			f->slot = SLOT_FORWARD_MIN;
			f->ordinal++;
		}
	}
	return i;
}

int forwards_add(struct forward_list *l, const struct forward *f, struct error *err)
{
	struct forward placed = *f;
	size_t at;

	if (forwards_find(l, f->name) != NULL)
		return error_set(err, ERR_CONFLICT, "forward '%s' is there already", f->name);
	if (l->count == FORWARDS_MAX)
		return error_set(err, ERR_LIMIT, "a node has room for %d forwards", FORWARDS_MAX);
	at = lowest_free(l, &placed);
	insert(l, at, &placed);
	if (record_bytes(l) <= FORWARDS_RECORD_MAX)
		return 0;
	take_out(l, at);
	error_set(err, ERR_LIMIT, "the record of this node has no room for forward '%s' beside %zu others", f->name,
		  l->count);
	return error_hint(err, "shorter names make room, or let another node forward to it");
}

bool forwards_remove(struct forward_list *l, const char *name)
{
	const struct forward *f = forwards_find(l, name);

	if (f == NULL)
		return false;
	take_out(l, (size_t)(f - l->all));
	return true;
}

/* ---- the configuration ---- */

static const struct forward *find_in(const struct forward *all, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (strcmp(all[i].name, name) == 0)
			return &all[i];
	}
	return NULL;
}

/* Those of a former configuration, and names that are dated now. */
static bool settle_old(struct forward_list *l, const struct forward *config, size_t count, uint32_t named_s)
{
	bool changed = false;
	size_t i;

	for (i = l->count; i-- > 0;) {
		if (l->all[i].config && find_in(config, count, l->all[i].name) == NULL) {
			take_out(l, i);
			changed = true;
		} else if (l->all[i].named_s == RECORD_NAMED_UNKNOWN && named_s != RECORD_NAMED_UNKNOWN) {
			l->all[i].named_s = named_s;
			changed = true;
		}
	}
	return changed;
}

static bool check_config(const struct forward *c, const struct addressing *a, char *why, size_t why_len)
{
	const char *target = unusable(&c->target);
	struct error err = ERROR_INIT;

	if (target != NULL)
		error_set(&err, ERR_REFUSED, "its target is %s", target);
	else if (mesh_name_check(slice_str(c->name), "a forward", &err) == 0 &&
		 forward_target_outside(&c->target, a, NULL, &err) == 0)
		return true;
	snprintf(why, why_len, "%s", err.text);
	return false;
}

/* One of the configuration into the list. */
static bool merge_one(struct forward_list *l, const struct forward *c, uint32_t named_s, forwards_told_fn *told,
		      void *arg)
{
	struct forward *old = (struct forward *)(uintptr_t)forwards_find(l, c->name), new = *c;
	struct error err = ERROR_INIT;

	if (old == NULL) {
		new.config = true;
		new.named_s = named_s;
		if (forwards_add(l, &new, &err) == 0)
			return true;
		told(arg, c->name, err.text);
		return false;
	}
	if (old->config && endpoint_equal(&old->target, &c->target))
		return false;
	if (!old->config)
		told(arg, c->name, "it was added by a verb as well, and config.yaml counts from now on");
	old->config = true;
	old->target = c->target;
	return true;
}

bool forwards_merge(struct forward_list *l, const struct forward *config, size_t count, const struct addressing *a,
		    uint32_t named_s, forwards_told_fn *told, void *arg)
{
	bool changed = settle_old(l, config, count, named_s);
	char why[sizeof(((struct error *)NULL)->text)];
	const struct forward *old;
	size_t i;

	for (i = 0; i < count; i++) {
		const struct forward *c = &config[i];

		if (find_in(config, i, c->name) != NULL) {
			told(arg, c->name, "it is there twice, and the first one counts");
		} else if (check_config(c, a, why, sizeof(why))) {
			changed = merge_one(l, c, named_s, told, arg) || changed;
		} else {
			told(arg, c->name, why);
			old = forwards_find(l, c->name);
			changed = (old != NULL && old->config && forwards_remove(l, c->name)) || changed;
		}
	}
	return changed;
}

uint32_t forwards_named_s(int64_t created_s, int64_t now_s)
{
	if (now_s < created_s || now_s - created_s >= RECORD_NAMED_UNKNOWN)
		return RECORD_NAMED_UNKNOWN;
	return (uint32_t)(now_s - created_s);
}

size_t forwards_to_record(const struct forward_list *l, const char *node_name,
			  struct record_forward out[static FORWARDS_MAX], const struct forward **clash)
{
	size_t n = 0, i;

	if (clash != NULL)
		*clash = NULL;
	for (i = 0; i < l->count; i++) {
		const struct forward *f = &l->all[i];

		if (strcmp(f->name, node_name) == 0) {
			if (clash != NULL)
				*clash = f;
			continue;
		}
		out[n] = (struct record_forward){.ordinal = f->ordinal, .slot = f->slot, .named_s = f->named_s};
		memcpy(out[n++].name, f->name, sizeof(f->name));
	}
	return n;
}

/* ---- the file ---- */

void forwards_put(struct buf *out, const struct forward_list *l)
{
	char target[FORWARD_TARGET_TEXT_LEN];
	size_t i;

	for (i = 0; i < l->count; i++) {
		const struct forward *f = &l->all[i];

		buf_printf(out, "%s %s %u %u ", f->name, forward_target_text(target, &f->target), (unsigned)f->ordinal,
			   (unsigned)f->slot);
		if (f->named_s == RECORD_NAMED_UNKNOWN)
			buf_put_str(out, "unknown");
		else
			buf_printf(out, "%" PRIu32, f->named_s);
		buf_put_str(out, f->config ? " config\n" : "\n");
	}
}

static struct slice next_word(struct slice *rest)
{
	size_t end = slice_find(*rest, ' ', 0);
	struct slice word = slice_sub(*rest, 0, end);

	*rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(*rest, end + 1, SIZE_MAX);
	return word;
}

static int get_number(struct slice word, uint32_t max, uint32_t *value)
{
	uint64_t v = 0;
	size_t i;

	if (word.len == 0 || word.len > 10)
		return -1;
	for (i = 0; i < word.len; i++) {
		if (word.ptr[i] < '0' || word.ptr[i] > '9')
			return -1;
		v = v * 10 + (uint64_t)(word.ptr[i] - '0');
	}
	*value = (uint32_t)v;
	return v <= max ? 0 : -1;
}

static int parse_line(struct forward *f, struct slice line, struct error *err)
{
	struct slice name = next_word(&line), target = next_word(&line), ordinal = next_word(&line);
	struct slice slot = next_word(&line), named = next_word(&line);
	uint32_t o, s;

	memset(f, 0, sizeof(*f));
	if (mesh_name_check(name, "a forward", err) < 0 || forward_target_parse(&f->target, target, err) < 0)
		return -1;
	memcpy(f->name, name.ptr, name.len);
	f->named_s = RECORD_NAMED_UNKNOWN;
	if (get_number(ordinal, CLAIMS_MAX - 1, &o) < 0 || get_number(slot, SLOT_FORWARD_MAX, &s) < 0 ||
	    s < SLOT_FORWARD_MIN)
		return error_set(err, ERR_MALFORMED, "has no place");
	if (!slice_equal_str(named, "unknown") && get_number(named, RECORD_NAMED_UNKNOWN - 1, &f->named_s) < 0)
		return error_set(err, ERR_MALFORMED, "has no time");
	f->ordinal = (uint8_t)o;
	f->slot = (uint8_t)s;
	f->config = slice_equal_str(line, "config");
	return 0;
}

/* One text for one meaning. */
static int check_form(const struct forward_list *l, struct slice text, struct error *err)
{
	struct buf again = BUF_INIT(FORWARDS_FILE_MAX);
	int r = 0;

	forwards_put(&again, l);
	if (!slice_equal(buf_slice(&again), text))
		r = error_set(err, ERR_MALFORMED, "is not in the form in which forwards are written");
	buf_release(&again);
	return r;
}

static int add_line(struct forward_list *l, struct slice line, struct error *err)
{
	struct forward *f = &l->all[l->count];

	if (l->count == FORWARDS_MAX)
		return error_set(err, ERR_LIMIT, "is more than %d forwards", FORWARDS_MAX);
	if (parse_line(f, line, err) < 0)
		return -1;
	if (l->count > 0 && place_of(f - 1) >= place_of(f))
		return error_set(err, ERR_MALFORMED, "has a place that is taken, or out of order");
	if (forwards_find(l, f->name) != NULL)
		return error_set(err, ERR_MALFORMED, "has a name that is there already");
	l->count++;
	return 0;
}

int forwards_parse(struct forward_list *l, struct slice text, struct error *err)
{
	struct slice rest = text;
	size_t line = 1, end;

	for (l->count = 0; rest.len > 0; line++) {
		end = slice_find(rest, '\n', 0);
		if (end == SIZE_MAX)
			return error_set(err, ERR_MALFORMED, "line %zu has no end", line);
		if (add_line(l, slice_sub(rest, 0, end), err) < 0) {
			err->kind = err->kind == ERR_LIMIT ? ERR_LIMIT : ERR_MALFORMED;
			err->hint[0] = '\0';
			return error_wrap(err, "line %zu", line);
		}
		rest = slice_sub(rest, end + 1, SIZE_MAX);
	}
	return check_form(l, text, err);
}
