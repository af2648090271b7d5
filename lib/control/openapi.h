/* OpenAPI 3.1 of the operator API. */
#ifndef MESHANICS_CONTROL_OPENAPI_H
#define MESHANICS_CONTROL_OPENAPI_H

#include "base/json.h"

/* The whole document, as one object, into w. version: of the program. */
void openapi_put(struct json_writer *w, const char *version);

#endif
