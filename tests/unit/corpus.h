/*
 * Files named after what they are: calls visit(name, content) for each regular file of a directory below
 * the source tree, in order of name. The tests run from the top of the tree.
 */
#ifndef MESHANICS_TESTS_CORPUS_H
#define MESHANICS_TESTS_CORPUS_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"

static int corpus_filter(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* How many files were visited. */
static int corpus_each(const char *dir, void (*visit)(const char *name, struct slice content))
{
	static uint8_t content[1 << 20];
	struct dirent **names;
	int n = scandir(dir, &names, corpus_filter, alphasort), i;
	char path[512];

	for (i = 0; i < n; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		f = fopen(path, "rb");
		if (f != NULL) {
			visit(names[i]->d_name, slice_of(content, fread(content, 1, sizeof(content), f)));
			fclose(f);
		}
		free(names[i]);
	}
	free(names);
	return n;
}

#endif
