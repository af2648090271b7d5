/* Stands in for libFuzzer: feeds every file of the corpus to the target once, as TAP. Links against any fuzz_*.c. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact copy on the heap, so that a read past its end is seen. */
static int replay(const char *path)
{
	static uint8_t whole[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	uint8_t *exact;
	size_t n;

	if (f == NULL)
		return -1;
	n = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	exact = malloc(n == 0 ? 1 : n);
	if (exact == NULL)
		return -1;
	memcpy(exact, whole, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

static int not_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* usage: replay [FILE...]; without files, everything in CORPUS. */
int main(int argc, char **argv)
{
	struct dirent **names = NULL;
	int n = argc - 1, i, r, failed = 0;
	char path[1024];

	if (argc == 1)
		n = scandir(CORPUS, &names, not_hidden, alphasort);
	if (n <= 0) {
		printf("not ok 1 - no corpus in %s\n1..1\n", CORPUS);
		return 1;
	}
	for (i = 0; i < n; i++) {
		if (names == NULL)
			snprintf(path, sizeof(path), "%s", argv[i + 1]);
		else
			snprintf(path, sizeof(path), "%s/%s", CORPUS, names[i]->d_name);
		printf("# %s\n", path);
		fflush(stdout);
		r = replay(path);
		failed += r < 0;
		printf("%sok %d - %s\n", r < 0 ? "not " : "", i + 1, path);
		if (names != NULL)
			free(names[i]);
	}
	free(names);
	printf("1..%d\n", n);
	return failed != 0;
}
