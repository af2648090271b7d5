/*
 * One event per line, constant name first: log_info("update.trial", "version=%u slot=%s", v, slot).
 * For the long-lived processes (agent, serve, relay) and for doors of lib/ that serve them;
 * other library code returns errors and does not log. Writes to the descriptor given to log_start
 * (standard error until then), one write(2) per line, so lines of threads never mix.
 * Lines carry the systemd priority prefix ("<6>") when JOURNAL_STREAM is in use (log_start says so).
 */
#ifndef MESHANICS_BASE_LOG_H
#define MESHANICS_BASE_LOG_H

#include "base/compiler.h"
#include "base/error.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* fd: where lines go. journal: put "<N>" first. level: the least important that is written. */
void log_start(int fd, bool journal, enum log_level level);

/* The formatted part is made printable. */
void log_event(enum log_level level, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* An error value as an event: kind, text and hint. */
void log_failure(enum log_level level, const char *name, const struct error *err);

#endif
