/* Event lines of the long-lived processes. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* Set once before threads start; atomic so that a late change is at least whole. */
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic bool log_journal;
static _Atomic int log_level = LOG_LEVEL_INFO;

void log_start(int fd, bool journal, enum log_level level)
{
	log_fd = fd;
	log_journal = journal;
	log_level = (int)level;
}

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warn";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		break;
	}
	return "debug";
}

void log_event(enum log_level level, const char *name, const char *fmt, ...)
{
	char raw[1024], text[1024], line[1280];
	va_list ap;
	ssize_t w;
	int n;

	if ((int)level > log_level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	printable(text, sizeof(text), slice_of(raw, (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1));
	if (log_journal)
		n = snprintf(line, sizeof(line), "<%d>%s %s\n", (int)level, name, text);
	else
		n = snprintf(line, sizeof(line), "%s %s %s\n", level_word(level), name, text);
	if ((size_t)n >= sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	w = write(log_fd, line, (size_t)n);
	(void)w; /* nowhere left to complain */
}

void log_failure(enum log_level level, const char *name, const struct error *err)
{
	if (err->hint[0] == '\0')
		log_event(level, name, "kind=%s why=\"%s\"", error_kind_name(err->kind), err->text);
	else
		log_event(level, name, "kind=%s why=\"%s\" hint=\"%s\"", error_kind_name(err->kind), err->text,
			  err->hint);
}
