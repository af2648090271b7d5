/*
 * meshanics: signed updates and a mesh for fleets of devices, in one program. This file sets the process up,
 * runs the one command that was asked for, and turns what came of it into an exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "crypto/key.h"
#include "sys/fault.h"

/*
 * Standard descriptors that the caller closed would be handed out to the next file we open, and a note would land
 * in a key. What fills the gap cannot be used in the direction that it is for, so that lost output is noticed.
 */
static int fill_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return -1;
	}
	return 0;
}

/* Errors in the line itself must already come in the form that the line asks for. */
static bool line_has(int argc, char **argv, const char *word)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], word) == 0)
			return true;
	}
	return false;
}

/* In test builds: make the n-th change to a file system go wrong, "7:cut"; the agent's worker has its own (sys/fault.h). */
static int arm_fault(void)
{
#ifdef MESHANICS_TEST
	const char *text = getenv("MESHANICS_FAULT");

	const char *worker = getenv("MESHANICS_FAULT_WORKER");

	if ((text != NULL && fault_arm_text(text) < 0) || (worker != NULL && fault_arm_worker_text(worker) < 0))
		return -1;
#endif
	return 0;
}

static int run(int argc, char **argv)
{
	static char version[] = "version";
	struct error err = ERROR_INIT, late = ERROR_INIT;
	struct cmd cmd = {.json = line_has(argc, argv, "--json")};
	int status = 0;

	output_start(&cmd);
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		argv[1] = version;
	if (crypto_start(&err) < 0 || dispatch(&cmd, argc, argv, &err) < 0) {
		status = cmd.command != NULL && cmd.command->fails_with_1 ? 1 : error_exit_status(err.kind);
		output_error(&cmd, &err, status);
	}
	cmd_progress_end(&cmd);
	if (output_finish(&cmd, &late) < 0 && status == 0) {
		status = error_exit_status(late.kind);
		output_error(&cmd, &late, status);
	}
	cmd_release(&cmd);
	return status;
}

int main(int argc, char **argv)
{
	if (fill_descriptors() < 0 || arm_fault() < 0 || argc < 1)
		return 1;
	umask(077);
	/* A peer that hangs up is an error of write(2), not the end of the process; see reader_left in output.c. */
	signal(SIGPIPE, SIG_IGN);
	return run(argc, argv);
}
