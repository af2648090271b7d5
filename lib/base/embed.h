/*
 * Files of the source tree inside the binary. The path is relative to the top of the tree; the object that
 * embeds a file depends on it by a line in the Makefile.
 *
 *	EMBED(bash_script, "completions/meshanics.bash");
 *	... EMBEDDED(bash_script) is a slice over its bytes, for ever ...
 */
#ifndef MESHANICS_BASE_EMBED_H
#define MESHANICS_BASE_EMBED_H

#include "base/slice.h"

#define EMBED(name, path)                                                                           \
	__asm__(".pushsection .rodata\n"                                                            \
		".balign 16\n" #name ":\n"                                                          \
		".incbin \"" path "\"\n" #name "_end:\n"                                            \
		".byte 0\n"                                                                         \
		".popsection\n");                                                                   \
	extern const uint8_t name[] __attribute__((visibility("hidden")));                          \
	extern const uint8_t name##_end[] __attribute__((visibility("hidden")))

#define EMBEDDED(name) slice_of(name, (size_t)(name##_end - name))

#endif
