/* The static build: it has no loader, and what it would load wants the C library that it does not share. */
#include "sys/module.h"

int module_load(const char *path, void **module, struct error *err)
{
	*module = NULL;
	error_set(err, ERR_FAILED, "cannot load module '%s': this is the static build", path);
	return error_hint(err, "keys in hardware need the dynamic build of meshanics");
}

void *module_symbol(void *module, const char *name)
{
	(void)module;
	(void)name;
	return NULL;
}
