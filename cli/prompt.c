/*
 * Questions to the person at the terminal. The terminal is /dev/tty, whatever standard input is; a signal that comes
 * while the echo is off first restores it. Every question has a flag that answers it, for those who have no terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "sys/file.h"

#define ANSWER_MAX 1024	/* bytes of one line */

/* Signals that would leave the terminal without echo. */
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};
static volatile sig_atomic_t got_signal;

static void note_signal(int signo)
{
	got_signal = signo;
}

struct guard {
	struct sigaction before[ARRAY_SIZE(caught)];
	struct termios term;
	bool silenced;
};

/* Catch what would end or stop us, then switch the echo off. */
static void guard_enter(struct guard *g, int fd, bool silent)
{
	struct sigaction act = {.sa_handler = note_signal};	/* no SA_RESTART: read(2) shall return */
	struct termios quiet;
	size_t i;

	got_signal = 0;
	sigemptyset(&act.sa_mask);
	for (i = 0; i < ARRAY_SIZE(caught); i++)
		sigaction(caught[i], &act, &g->before[i]);
	g->silenced = silent && tcgetattr(fd, &g->term) == 0;
	if (!g->silenced)
		return;
	quiet = g->term;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	quiet.c_lflag |= ICANON;
	tcsetattr(fd, TCSAFLUSH, &quiet);
}

/* Restore terminal and signals; whoever sent one gets his way now. Returns true when it was a stop and we are back. */
static bool guard_leave(struct guard *g, int fd)
{
	int signo = got_signal;
	size_t i;

	if (g->silenced)
		tcsetattr(fd, TCSAFLUSH, &g->term);
	for (i = 0; i < ARRAY_SIZE(caught); i++)
		sigaction(caught[i], &g->before[i], NULL);
	if (signo == 0)
		return false;
	raise(signo);
	return signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

/*
 * One line without its newline, byte by byte so that nothing behind it is taken. 0, 1 at the end of input before any
 * byte, or -1 (errno; E2BIG: longer than the ceiling of line).
 */
static int read_line(int fd, struct buf *line)
{
	size_t before = line->len;
	uint8_t c;
	ssize_t n;

	for (;;) {
		n = read(fd, &c, 1);
		if (n == 0 && line->len == before)
			return 1;
		if (n <= 0 || c == '\n')
			break;
		buf_put_u8(line, c);
	}
	explicit_bzero(&c, sizeof(c));
	if (line->failed)
		errno = E2BIG;
	return n < 0 || line->failed ? -1 : 0;
}

static void say(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	(void)n;	/* the answer, or its absence, will tell */
}

/* Put the question, read the line; again after the terminal was taken away and given back. */
static int ask_tty(int fd, const char *question, bool silent, struct buf *answer, struct error *err)
{
	struct guard g;
	int r, e;

	do {
		buf_clear(answer);
		guard_enter(&g, fd, silent);
		say(fd, question);
		r = read_line(fd, answer);
		e = errno;
		if (silent)
			say(fd, "\n");
	} while (guard_leave(&g, fd));
	if (r == 0)
		return 0;
	if (r > 0)
		return error_set(err, ERR_USAGE, "no answer: end of input");
	if (e == E2BIG)
		return error_set(err, ERR_USAGE, "the answer is longer than %zu bytes", answer->max);
	return error_errno(err, e, "cannot read from the terminal");
}

static int open_tty(void)
{
	return open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* ---- passphrases ---- */

/* The question itself; `which` may come from a file name. */
static void word_question(char *out, size_t size, const char *lead, const char *which)
{
	char name[200];

	printable(name, sizeof(name), slice_str(which));
	snprintf(out, size, "%s for %s: ", lead, name);
}

static int ask_twice(int fd, const char *which, const struct buf *first, struct error *err)
{
	struct buf again = BUF_SECRET(PASSPHRASE_MAX);
	char question[256];
	int r;

	word_question(question, sizeof(question), "Same passphrase again", which);
	r = ask_tty(fd, question, true, &again, err);
	if (r == 0 && !slice_equal(buf_slice(first), buf_slice(&again)))
		r = error_set(err, ERR_USAGE, "the two passphrases differ");
	buf_release(&again);
	return r;
}

static int passphrase_from_tty(struct cmd *cmd, const char *which, const char *prefix, bool confirm, struct buf *out,
			       struct error *err)
{
	char question[256];
	int fd = open_tty(), r;

	if (fd < 0) {
		error_set(err, ERR_USAGE, "no terminal to ask for the passphrase for %s", which);
		return error_hint(err, "give --%spassphrase-file FILE or --%spassphrase-fd N", prefix, prefix);
	}
	cmd_progress_end(cmd);
	word_question(question, sizeof(question), confirm ? "New passphrase" : "Passphrase", which);
	r = ask_tty(fd, question, true, out, err);
	if (r == 0 && confirm && out->len > 0)
		r = ask_twice(fd, which, out, err);
	close(fd);
	return r;
}

/* A file that others can read is no place for a passphrase; a pipe or a device is nobody's business. */
static int check_private(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot look at '%s'", path);
	if (S_ISDIR(st.st_mode))
		return error_set(err, ERR_USAGE, "'%s' is a directory", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) == 0)
		return 0;
	error_set(err, ERR_REFUSED, "passphrase file '%s' is open to group or others (mode %04o)", path,
		  (unsigned)st.st_mode & 07777);
	return error_hint(err, "chmod 600 '%s', and think about who may have read it", path);
}

/* Follows links, since /dev/fd/N and /proc/self/fd/N are some. */
static int passphrase_from_file(const char *path, struct buf *out, struct error *err)
{
	int fd = file_open(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0, err);
	int r;

	if (fd < 0)
		return error_wrap(err, "passphrase");
	r = check_private(fd, path, err);
	if (r == 0)
		r = file_read_fd(fd, out, path, err);
	if (r == 0 && out->len > 0 && out->ptr[out->len - 1] == '\n')
		out->len--;
	close(fd);
	return r;
}

static int passphrase_from_fd(int fd, struct buf *out, struct error *err)
{
	int r;

	do {
		r = read_line(fd, out);
	} while (r < 0 && errno == EINTR);
	if (r > 0)
		return error_set(err, ERR_USAGE, "no passphrase on descriptor %d: it is at its end", fd);
	if (r < 0 && errno == E2BIG)
		return error_set(err, ERR_LIMIT, "the passphrase on descriptor %d is longer than %zu bytes", fd,
				 out->max);
	if (r < 0)
		return error_errno(err, errno, "cannot read the passphrase from descriptor %d", fd);
	return 0;
}

int cmd_passphrase(struct cmd *cmd, const char *which, const char *option_prefix, bool confirm, struct buf *out,
		   struct error *err)
{
	char file_option[64], fd_option[64];
	int r;

	snprintf(file_option, sizeof(file_option), "%spassphrase-file", option_prefix);
	snprintf(fd_option, sizeof(fd_option), "%spassphrase-fd", option_prefix);
	buf_clear(out);
	if (cmd_given(cmd, file_option) && cmd_has(cmd, fd_option))
		return error_set(err, ERR_USAGE, "--%s and --%s exclude each other", file_option, fd_option);
	if (cmd_has(cmd, fd_option))
		r = passphrase_from_fd((int)cmd_int(cmd, fd_option, -1), out, err);
	else if (cmd_has(cmd, file_option))
		r = passphrase_from_file(cmd_string(cmd, file_option, NULL), out, err);
	else
		r = passphrase_from_tty(cmd, which, option_prefix, confirm, out, err);
	if (r == 0 && out->len == 0)
		r = error_set(err, ERR_USAGE, "the passphrase for %s is empty", which);
	if (r < 0)
		buf_clear(out);
	return r;
}

/* ---- other questions ---- */

int cmd_ask(struct cmd *cmd, const char *question, const char *flag, struct buf *answer, struct error *err)
{
	char text[600], line[512];
	int fd = open_tty(), r;

	if (fd < 0) {
		error_set(err, ERR_USAGE, "no terminal to ask: %s", question);
		return error_hint(err, "give the answer with --%s", flag);
	}
	cmd_progress_end(cmd);
	snprintf(text, sizeof(text), "%s ", printable(line, sizeof(line), slice_str(question)));
	r = ask_tty(fd, text, false, answer, err);
	close(fd);
	return r;
}

int cmd_confirm(struct cmd *cmd, const char *question, struct error *err)
{
	struct buf answer = BUF_INIT(ANSWER_MAX);
	char text[512];
	int r;

	if (cmd->yes)
		return 0;
	snprintf(text, sizeof(text), "%.480s [y/N]", question);
	r = cmd_ask(cmd, text, "yes", &answer, err);
	if (r == 0 && !slice_equal_str(buf_slice(&answer), "y") && !slice_equal_str(buf_slice(&answer), "yes"))
		r = error_set(err, ERR_REFUSED, "not confirmed");
	buf_release(&answer);
	return r;
}
