/* Shared by the files of this room that call the file system: one way to word its refusals. */
#ifndef MESHANICS_SYS_FILE_INTERNAL_H
#define MESHANICS_SYS_FILE_INTERNAL_H

#include "base/error.h"

/* "cannot <verb> '<path>': <errno text>" from errno, with kind and hint as file.h promises. Returns -1. */
int file_failed(struct error *err, const char *verb, const char *path);

#endif
