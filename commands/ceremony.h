/* What the ceremony verbs share: reading and writing the files that travel, and the transcript of this machine. */
#ifndef MESHANICS_COMMANDS_CEREMONY_H
#define MESHANICS_COMMANDS_CEREMONY_H

#include "commands/command.h"
#include "tuf/ceremony.h"

#define STEP_FILES_MAX (CEREMONY_ANSWERS_MAX + 8)

/* One step of a ceremony in the making: which files it read and wrote, for the transcript. */
struct step {
	struct cmd *cmd;
	int64_t now_s;
	char names[STEP_FILES_MAX][256];	/* without their directories */
	uint8_t hashes[STEP_FILES_MAX][SHA256_LEN];
	unsigned count;
	char head[TRANSCRIPT_HEAD_LEN];		/* of the transcript before this step */
};

/* Reads the clock (refused when it is before the program's build) and the transcript. Free with free. */
WARN_UNUSED struct step *step_begin(struct cmd *cmd, struct error *err);
/* Read a file into out and note it. The error names the file. */
WARN_UNUSED int step_read(struct step *s, const char *path, struct buf *out, struct error *err);
/* Note a file that is about to be written. */
WARN_UNUSED int step_note(struct step *s, const char *path, struct slice content, struct error *err);
/* Add the line to the transcript; then the noted outputs may be written. */
WARN_UNUSED int step_end(struct step *s, const char *name, const char *fingerprint, const char *detail,
			 struct error *err);

/* Nothing is overwritten: ERR_CONFLICT with a hint when the file is there, before anybody takes trouble. */
WARN_UNUSED int ceremony_check_absent(const char *path, struct error *err);
/* Create a file that must not exist; ERR_CONFLICT with a hint. */
WARN_UNUSED int ceremony_write(const char *path, struct slice content, struct error *err);
/* The request in a file. NULL with err. */
WARN_UNUSED struct ceremony *ceremony_read(struct step *s, const char *path, struct error *err);
/* A public key in PEM; its label is the file's name without its ending, where that is a name. */
WARN_UNUSED int signer_read(const char *path, struct ceremony_signer *out, struct error *err);
/* online-keys.json; out is then owned by the caller. */
WARN_UNUSED int online_keys_read(struct step *s, const char *path, struct online_keys *out, struct error *err);
/* The keys of a list option, up to max of them, into fresh memory. */
WARN_UNUSED int signers_read(struct cmd *cmd, const char *option, unsigned max, struct ceremony_signer **list,
			     unsigned *count, struct error *err);
/* --key says whose keys these are when exactly one publisher is named; into that publisher. */
WARN_UNUSED int publisher_keys_read(struct cmd *cmd, struct repo_publisher *list, unsigned count, struct error *err);
/* The names for keys that the request in the file of --names has; none without that option. Free the list. */
WARN_UNUSED int names_read(struct cmd *cmd, struct ceremony_name **list, unsigned *count, struct error *err);
#define NAMES_OPTION                                                                                \
	{ .name = "names", .type = OPT_STRING, .value = "REQUEST",                                  \
	  .help = "an earlier request, whose names for keys are taken over" }

/* Files as operands from the `from`-th on; of a directory those in it that are answers, in the order of their names. */
struct file_list {
	struct file_operand {
		char path[4096];
		bool found;	/* in a directory, not named itself */
	} *list;
	unsigned count;
};
WARN_UNUSED int files_gather(struct cmd *cmd, unsigned from, struct file_list *out, struct error *err);
void files_release(struct file_list *l);
/* The publishers of the list option --publisher, without keys. Free with publishers_drop. */
WARN_UNUSED int publishers_read(struct cmd *cmd, struct repo_publisher **list, unsigned *count, struct error *err);
void publishers_drop(struct repo_publisher *list, unsigned count);

/* How a step that made a request ends: the line in the transcript, then the file (it must not exist), then what it
 * says, printed. c is text, parsed; name and detail go into the transcript. */
WARN_UNUSED int request_write(struct step *s, const struct ceremony *c, struct slice text, const char *path,
			      const char *name, const char *detail, struct error *err);
/* "bob (1a2b...)", or the id alone, into out (cleared first). */
const char *who_text(struct buf *out, const struct ceremony *c, const char *keyid);
/* Documents, who must sign them and who has, as member `name` of w; and the same for people. */
void tally_put(struct json_writer *w, const struct ceremony *c);
void tally_print(struct cmd *cmd, const struct ceremony *c);

#endif
