/* Members of an answer as cells of a table, for the verbs that list things. */
#ifndef MESHANICS_COMMANDS_CELLS_H
#define MESHANICS_COMMANDS_CELLS_H

#include "base/json.h"
#include "commands/command.h"

#define CELL_SIZE 320

/* The text of a string or a number, an array's strings joined by commas; NULL for the rest. Cut to fit. */
const char *cell_text(char out[static CELL_SIZE], struct json_value v);
/* A line "label  value" when the member is there and not empty. */
void cell_line(struct cmd *cmd, const char *label, struct json_value v);

#endif
