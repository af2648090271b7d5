/*
 * Runs a command and appends "wall-ms cpu-ms peak-KiB" to a file: what tuf-client.sh measures with. Small on purpose,
 * since the peak that the kernel reports is never below what the parent held before exec.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double ms(struct timeval t)
{
	return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

int main(int argc, char **argv)
{
	struct timespec start, end;
	struct rusage used;
	char line[128];
	int fd, len, status;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: %s FILE COMMAND [ARG...]\n", argv[0]);
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &start);
	if ((pid = fork()) == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "%s failed: %d\n", argv[2], status);
		return 1;
	}
	len = snprintf(line, sizeof(line), "%.2f %.2f %ld\n",
		       (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6,
		       ms(used.ru_utime) + ms(used.ru_stime), used.ru_maxrss);
	fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return fd >= 0 && write(fd, line, (size_t)len) == len ? 0 : 1;
}
