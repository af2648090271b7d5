/*
 * Code that is loaded at run time: a PKCS#11 module. It runs inside our process with all that we may do, so only a
 * file that nobody but root could have put there is loaded. Never unloaded: such modules start threads. The static
 * build loads nothing (module_none.c).
 */
#ifndef MESHANICS_SYS_MODULE_H
#define MESHANICS_SYS_MODULE_H

#include "base/error.h"

/*
 * Load the shared object at an absolute path. Symbolic links are followed; the file, and every directory above it,
 * must belong to root and be closed to the writing of group and world (in a sticky directory, only the file).
 * ERR_REFUSED when not, ERR_NOT_FOUND, ERR_FAILED with the loader's words. The same path gives the same module.
 */
WARN_UNUSED int module_load(const char *path, void **module, struct error *err);
/* The address of a function, or NULL. */
void *module_symbol(void *module, const char *name);

#endif
