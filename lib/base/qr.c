/* The making of a QR code: bits, Reed-Solomon, modules in their places, the best mask, and its drawing. */
#include "base/qr.h"

#include <stdlib.h>
#include <string.h>

#define VERSION_MAX 13
#define CODEWORDS_MAX 532
#define CHECK_MAX 30		/* check words of a block */
#define BLOCKS_MAX 9
#define LEVEL_M_BITS 0u		/* of the format information */

/* Level M by version (ISO/IEC 18004 table 9), and where alignment patterns are besides 6 (annex E). */
static const struct layout {
	uint16_t codewords;	/* in all */
	uint8_t check;		/* of each block */
	uint8_t blocks;
	uint8_t align[2];
} layouts[VERSION_MAX + 1] = {
	[1] = {26, 10, 1, {0, 0}},    [2] = {44, 16, 1, {18, 0}},   [3] = {70, 26, 1, {22, 0}},
	[4] = {100, 18, 2, {26, 0}},  [5] = {134, 24, 2, {30, 0}},  [6] = {172, 16, 4, {34, 0}},
	[7] = {196, 18, 4, {22, 38}}, [8] = {242, 22, 4, {24, 42}}, [9] = {292, 22, 5, {26, 46}},
	[10] = {346, 26, 5, {28, 50}}, [11] = {404, 30, 5, {30, 54}}, [12] = {466, 22, 8, {32, 58}},
	[13] = {532, 22, 9, {34, 62}},
};

struct draft {
	struct qr *q;
	uint8_t fixed[QR_SIZE_MAX][QR_SIZE_MAX];	/* finders, timing, format: no data, no mask */
};

static unsigned data_words(unsigned version)
{
	return layouts[version].codewords - (unsigned)layouts[version].check * layouts[version].blocks;
}

/* ---- Reed-Solomon over GF(256) with x^8 + x^4 + x^3 + x^2 + 1 ---- */

static uint8_t gf_mul(uint8_t a, uint8_t b)
{
	unsigned r = 0;
	int i;

	for (i = 7; i >= 0; i--) {
		r = (r << 1) ^ ((r >> 7) * 0x11d);
		if ((b >> i & 1) != 0)
			r ^= a;
	}
	return (uint8_t)r;
}

/* The generator polynomial without its leading 1: the product of x - 2^i for i below n. */
static void rs_generator(uint8_t *g, unsigned n)
{
	uint8_t root = 1;
	unsigned i, j;

	memset(g, 0, n);
	g[n - 1] = 1;
	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			g[j] = gf_mul(g[j], root);
			if (j + 1 < n)
				g[j] ^= g[j + 1];
		}
		root = gf_mul(root, 2);
	}
}

static void rs_check(uint8_t *check, unsigned n, const uint8_t *generator, const uint8_t *data, unsigned len)
{
	unsigned i, j;

	memset(check, 0, n);
	for (i = 0; i < len; i++) {
		uint8_t factor = data[i] ^ check[0];

		memmove(check, check + 1, n - 1);
		check[n - 1] = 0;
		for (j = 0; j < n; j++)
			check[j] ^= gf_mul(generator[j], factor);
	}
}

/* ---- the codewords ---- */

static void put_bits(uint8_t *words, unsigned *at, unsigned value, unsigned count)
{
	while (count-- > 0) {
		if ((value >> count & 1) != 0)
			words[*at / 8] |= (uint8_t)(0x80 >> *at % 8);
		(*at)++;
	}
}

/* Mode, length, bytes, terminator, padding. */
static void put_data(uint8_t *words, unsigned version, struct slice text)
{
	unsigned at = 0, i, capacity = data_words(version) * 8;
	bool even = true;

	put_bits(words, &at, 4, 4);
	put_bits(words, &at, (unsigned)text.len, version < 10 ? 8 : 16);
	for (i = 0; i < text.len; i++)
		put_bits(words, &at, text.ptr[i], 8);
	at += capacity - at < 4 ? capacity - at : 4;
	at = (at + 7) / 8 * 8;
	for (; at < capacity; even = !even)
		put_bits(words, &at, even ? 0xec : 0x11, 8);
}

/* Data cut into blocks, each with its check words; then first words of all blocks, second words, and so on. */
static void interleave(uint8_t *out, unsigned version, const uint8_t *data)
{
	const struct layout *l = &layouts[version];
	unsigned shortest = data_words(version) / l->blocks, longer = data_words(version) % l->blocks;
	uint8_t generator[CHECK_MAX], check[BLOCKS_MAX][CHECK_MAX];
	const uint8_t *block[BLOCKS_MAX];
	unsigned b, i, len;

	rs_generator(generator, l->check);
	for (b = 0; b < l->blocks; b++) {
		len = shortest + (b >= l->blocks - longer);
		block[b] = data;
		rs_check(check[b], l->check, generator, data, len);
		data += len;
	}
	for (i = 0; i <= shortest; i++) {
		for (b = 0; b < l->blocks; b++) {
			if (i < shortest || b >= l->blocks - longer)
				*out++ = block[b][i];
		}
	}
	for (i = 0; i < l->check; i++) {
		for (b = 0; b < l->blocks; b++)
			*out++ = check[b][i];
	}
}

/* ---- the modules ---- */

static void fix(struct draft *d, unsigned row, unsigned column, bool dark)
{
	d->q->dark[row][column] = dark;
	d->fixed[row][column] = 1;
}

/* Rings around a middle: dark where the distance is not `light`; beyond `radius` the separator. */
static void put_rings(struct draft *d, int row, int column, int radius, int light)
{
	int size = (int)d->q->size, y, x;

	for (y = -radius; y <= radius; y++) {
		for (x = -radius; x <= radius; x++) {
			int distance = abs(y) > abs(x) ? abs(y) : abs(x);

			if (row + y >= 0 && row + y < size && column + x >= 0 && column + x < size)
				fix(d, (unsigned)(row + y), (unsigned)(column + x), distance != light && distance != 4);
		}
	}
}

static void put_alignment(struct draft *d)
{
	const uint8_t *align = layouts[d->q->version].align;
	int at[3] = {6, align[0], align[1]}, count = align[0] == 0 ? 0 : align[1] == 0 ? 2 : 3, i, j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < count; j++) {
			bool finder = (i == 0 && j == 0) || (i == 0 && j == count - 1) || (i == count - 1 && j == 0);

			if (!finder)
				put_rings(d, at[i], at[j], 2, 1);
		}
	}
}

/* The remainder of value * x^degree by a polynomial of that degree: BCH codes of format and version. */
static unsigned bch(unsigned value, unsigned polynomial, unsigned degree)
{
	unsigned rest = value, i;

	for (i = 0; i < degree; i++)
		rest = (rest << 1) ^ ((rest >> (degree - 1)) * polynomial);
	return value << degree | rest;
}

static void put_format(struct draft *d, unsigned mask)
{
	unsigned bits = bch(LEVEL_M_BITS << 3 | mask, 0x537, 10) ^ 0x5412, size = d->q->size, i;

	for (i = 0; i < 15; i++) {
		bool dark = (bits >> i & 1) != 0;
		/* Around the finder at the top left, leaving out the timing patterns ... */
		unsigned near = i < 6 ? i : i < 8 ? i + 1 : i == 8 ? 7 : 14 - i;

		if (i < 8) {
			fix(d, near, 8, dark);
			fix(d, 8, size - 1 - i, dark);
		} else {
			/* ... and again beside the other two. */
			fix(d, 8, near, dark);
			fix(d, size - 15 + i, 8, dark);
		}
	}
	fix(d, size - 8, 8, true);
}

static void put_version(struct draft *d)
{
	unsigned bits, i;

	if (d->q->version < 7)
		return;
	bits = bch(d->q->version, 0x1f25, 12);
	for (i = 0; i < 18; i++) {
		unsigned far = d->q->size - 11 + i % 3;

		fix(d, far, i / 3, (bits >> i & 1) != 0);
		fix(d, i / 3, far, (bits >> i & 1) != 0);
	}
}

static void put_patterns(struct draft *d)
{
	int size = (int)d->q->size;
	unsigned i;

	for (i = 0; i < d->q->size; i++) {
		fix(d, 6, i, i % 2 == 0);
		fix(d, i, 6, i % 2 == 0);
	}
	put_rings(d, 3, 3, 4, 2);
	put_rings(d, 3, size - 4, 4, 2);
	put_rings(d, size - 4, 3, 4, 2);
	put_alignment(d);
	put_version(d);
	put_format(d, 0);
}

/* Two columns at a time from the right, up and down in turn, around what is fixed; column 6 is none of them. */
static void put_words(struct draft *d, const uint8_t *words)
{
	unsigned size = d->q->size, bits = layouts[d->q->version].codewords * 8u, at = 0, step, side;
	int right;

	for (right = (int)size - 1; right >= 1; right -= 2) {
		if (right == 6)
			right = 5;
		for (step = 0; step < size; step++) {
			bool up = (((unsigned)right + 1) & 2) == 0;
			unsigned row = up ? size - 1 - step : step;

			for (side = 0; side < 2; side++) {
				unsigned column = (unsigned)right - side;

				if (d->fixed[row][column] != 0 || at == bits)
					continue;
				d->q->dark[row][column] = words[at / 8] >> (7 - at % 8) & 1;
				at++;
			}
		}
	}
}

static bool masked(unsigned mask, unsigned y, unsigned x)
{
	switch (mask) {
	case 0:
		return (y + x) % 2 == 0;
	case 1:
		return y % 2 == 0;
	case 2:
		return x % 3 == 0;
	case 3:
		return (y + x) % 3 == 0;
	case 4:
		return (y / 2 + x / 3) % 2 == 0;
	case 5:
		return y * x % 2 + y * x % 3 == 0;
	case 6:
		return (y * x % 2 + y * x % 3) % 2 == 0;
	default:
		return ((y + x) % 2 + y * x % 3) % 2 == 0;
	}
}

static void apply_mask(struct draft *d, unsigned mask)
{
	unsigned y, x;

	for (y = 0; y < d->q->size; y++) {
		for (x = 0; x < d->q->size; x++)
			d->q->dark[y][x] ^= d->fixed[y][x] == 0 && masked(mask, y, x);
	}
}

/* ---- the penalty of a mask ---- */

static unsigned module(const struct qr *q, bool turned, unsigned line, unsigned at)
{
	return turned ? q->dark[at][line] : q->dark[line][at];
}

/* Five or more of one colour in a line: 3, and 1 for each further one. */
static unsigned penalty_runs(const struct qr *q, bool turned, unsigned line)
{
	unsigned penalty = 0, run = 1, i;

	for (i = 1; i <= q->size; i++) {
		if (i < q->size && module(q, turned, line, i) == module(q, turned, line, i - 1)) {
			run++;
			continue;
		}
		if (run >= 5)
			penalty += run - 2;
		run = 1;
	}
	return penalty;
}

/* 1011101 with four light modules before or after it, which looks like a finder: 40. Outside the code is light. */
static unsigned penalty_finders(const struct qr *q, bool turned, unsigned line)
{
	unsigned penalty = 0, window = 0, i;

	for (i = 0; i < q->size + 4; i++) {
		window = (window << 1 | (i < q->size ? module(q, turned, line, i) : 0)) & 0x7ff;
		if (window == 0x05d || window == 0x5d0)
			penalty += 40;
	}
	return penalty;
}

static unsigned penalty_of(const struct qr *q)
{
	unsigned penalty = 0, dark = 0, total = q->size * q->size, y, x;

	for (y = 0; y < q->size; y++) {
		penalty += penalty_runs(q, false, y) + penalty_runs(q, true, y);
		penalty += penalty_finders(q, false, y) + penalty_finders(q, true, y);
		for (x = 0; x < q->size; x++) {
			dark += q->dark[y][x];
			if (y > 0 && x > 0 && q->dark[y][x] == q->dark[y - 1][x] && q->dark[y][x] == q->dark[y][x - 1] &&
			    q->dark[y][x] == q->dark[y - 1][x - 1])
				penalty += 3;
		}
	}
	/* 10 for every whole 5 % that the share of dark ones is off the half. */
	return penalty + (unsigned)abs((int)(dark * 20) - (int)(total * 10)) / total * 10;
}

static void choose_mask(struct draft *d)
{
	unsigned best = 0, best_penalty = UINT32_MAX, mask;

	for (mask = 0; mask < 8; mask++) {
		unsigned penalty;

		apply_mask(d, mask);
		put_format(d, mask);
		penalty = penalty_of(d->q);
		apply_mask(d, mask);
		if (penalty < best_penalty) {
			best_penalty = penalty;
			best = mask;
		}
	}
	apply_mask(d, best);
	put_format(d, best);
	d->q->mask = best;
}

int qr_encode(struct qr *q, struct slice text, struct error *err)
{
	uint8_t data[CODEWORDS_MAX] = {0}, words[CODEWORDS_MAX] = {0};
	struct draft d = {.q = q};
	unsigned version = 1;

	if (text.len > QR_BYTES_MAX)
		return error_set(err, ERR_LIMIT, "a text of %zu bytes is too long for a QR code of ours (%d)", text.len,
				 QR_BYTES_MAX);
	while ((version < 10 ? 12 : 20) + text.len * 8 > data_words(version) * 8)
		version++;
	memset(q, 0, sizeof(*q));
	q->version = version;
	q->size = 17 + 4 * version;
	put_data(data, version, text);
	interleave(words, version, data);
	put_patterns(&d);
	put_words(&d, words);
	choose_mask(&d);
	explicit_bzero(data, sizeof(data));
	explicit_bzero(words, sizeof(words));
	return 0;
}

/* Also outside, where all is light. */
static bool is_dark(const struct qr *q, unsigned row, unsigned column)
{
	return row >= QR_QUIET && column >= QR_QUIET && row - QR_QUIET < q->size && column - QR_QUIET < q->size &&
	       q->dark[row - QR_QUIET][column - QR_QUIET] != 0;
}

void qr_draw(struct buf *out, const struct qr *q, bool coloured)
{
	/* By upper and lower half: nothing, lower, upper, both. */
	static const char *const blocks[] = {" ", "\xe2\x96\x84", "\xe2\x96\x80", "\xe2\x96\x88"};
	unsigned side = q->size + 2 * QR_QUIET, y, x;

	for (y = 0; y < side; y += 2) {
		if (coloured)
			buf_put_str(out, "\033[30;107m");
		for (x = 0; x < side; x++) {
			bool upper = is_dark(q, y, x) == coloured;
			/* The number of rows is odd: below the last one is nothing. */
			bool lower = y + 1 < side ? is_dark(q, y + 1, x) == coloured : false;

			buf_put_str(out, blocks[(unsigned)upper << 1 | (unsigned)lower]);
		}
		buf_put_str(out, coloured ? "\033[0m\n" : "\n");
	}
}

void qr_wipe(struct qr *q)
{
	explicit_bzero(q, sizeof(*q));
}
