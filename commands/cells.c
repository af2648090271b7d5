/* Members of an answer as cells of a table. */
#include "commands/cells.h"

#include <stdio.h>

static const char *join(char out[static CELL_SIZE], struct json_value list)
{
	struct json_iter it = json_iter(list);
	size_t n = 0;

	out[0] = '\0';
	while (json_next(&it) && n + 8 < CELL_SIZE) {
		if (n > 0)
			out[n++] = ',';
		printable(out + n, CELL_SIZE - n, json_string(it.value));
		n += strlen(out + n);
	}
	return n == 0 ? NULL : out;
}

const char *cell_text(char out[static CELL_SIZE], struct json_value v)
{
	switch (json_type(v)) {
	case JSON_STRING:
		return printable(out, CELL_SIZE, json_string(v));
	case JSON_INT:
		snprintf(out, CELL_SIZE, "%lld", (long long)json_int(v));
		return out;
	case JSON_ARRAY:
		return join(out, v);
	default:
		return NULL;
	}
}

void cell_line(struct cmd *cmd, const char *label, struct json_value v)
{
	char text[CELL_SIZE];
	const char *s = cell_text(text, v);

	if (s != NULL && s[0] != '\0')
		cmd_printf(cmd, "%-14s %s\n", label, s);
}
