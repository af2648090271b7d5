/* Tables for people: columns as wide as their widest cell, in terminal columns rather than bytes. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"

#define CELL_MAX 1024	/* bytes of one cell; more is cut */

struct table {
	unsigned columns, rows;		/* rows: with the header */
	char **cells;			/* rows * columns, printable */
	size_t *widths;
};

struct range {
	uint32_t first, last;
};

/* Letters that take two columns: Hangul, CJK, full-width forms, most emoji. Enough for names, not for typesetting. */
static const struct range wide[] = {
	{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff},
	{0xa000, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe4f}, {0xff00, 0xff60},
	{0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

/* Marks that stand over the letter before them. */
static const struct range combining[] = {
	{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f}, {0x1ab0, 0x1aff},
	{0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

static bool within(uint32_t cp, const struct range *r, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	}
	return false;
}

/* One character of well-formed UTF-8; s moves behind it. */
static uint32_t next_char(const unsigned char **s)
{
	const unsigned char *p = *s;
	uint32_t cp = p[0];
	unsigned more = cp >= 0xf0 ? 3 : cp >= 0xe0 ? 2 : cp >= 0xc0 ? 1 : 0;

	if (more > 0)
		cp &= 0x3fu >> more;
	for (p++; more > 0 && (*p & 0xc0) == 0x80; more--, p++)
		cp = cp << 6 | (*p & 0x3f);
	*s = p;
	return cp;
}

size_t text_columns(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = 0;

	while (*p != '\0') {
		uint32_t cp = next_char(&p);

		if (!within(cp, combining, ARRAY_SIZE(combining)))
			n += within(cp, wide, ARRAY_SIZE(wide)) ? 2 : 1;
	}
	return n;
}

struct table *table_new(const char *const *columns, unsigned count)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->columns = count;
	t->widths = xcalloc(count, sizeof(*t->widths));
	table_row(t, columns);
	return t;
}

void table_row(struct table *t, const char *const *cells)
{
	char text[CELL_MAX];
	char **row;
	unsigned i;

	t->cells = xreallocarray(t->cells, (size_t)(t->rows + 1) * t->columns, sizeof(*t->cells));
	row = t->cells + (size_t)t->rows * t->columns;
	for (i = 0; i < t->columns; i++) {
		const char *cell = cells[i] == NULL || cells[i][0] == '\0' ? "-" : cells[i];
		size_t width;

		row[i] = xstrdup(printable(text, sizeof(text), slice_str(cell)));
		width = text_columns(row[i]);
		if (width > t->widths[i])
			t->widths[i] = width;
	}
	t->rows++;
}

static void put_spaces(struct buf *line, size_t n)
{
	while (n-- > 0)
		buf_put_u8(line, ' ');
}

void table_print(struct cmd *cmd, const struct table *t)
{
	bool colour = output_can_colour(STDOUT_FILENO);
	struct buf line = BUF_INIT((size_t)t->columns * (CELL_MAX + 64) * 2 + 64);
	unsigned r, c;

	for (r = 0; r < t->rows; r++) {
		buf_clear(&line);
		if (r == 0 && colour)
			buf_put_str(&line, "\033[1m");
		for (c = 0; c < t->columns; c++) {
			const char *cell = t->cells[(size_t)r * t->columns + c];

			buf_put_str(&line, cell);
			if (c + 1 < t->columns)
				put_spaces(&line, t->widths[c] - text_columns(cell) + 2);
		}
		buf_put_str(&line, r == 0 && colour ? "\033[0m\n" : "\n");
		cmd_write(cmd, buf_slice(&line));
	}
	buf_release(&line);
}

void table_free(struct table *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < (size_t)t->rows * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->widths);
	free(t);
}
