# meshanics: one file, no configure. A packager sets CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, BEARSSL.
# V=1 shows commands, SAN=1 builds with sanitizers, DEV=1 makes warnings errors. `make help` lists targets.
VERSION := 0.1.0
CC      ?= gcc
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
# Where BearSSL lives, so that a newer upstream can be linked without a change of source.
BEARSSL_CFLAGS ?=
BEARSSL_LIBS   ?= -l:libbearssl.a
LIBS    := -l:libsqlite3.a -l:libsodium.a -l:libyaml.a $(BEARSSL_LIBS) -lm -lpthread
B       ?= build
Q       := $(if $(V),,@)

CPPFLAGS += -Ilib -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 $(BEARSSL_CFLAGS) \
	-DMESHANICS_VERSION='"$(VERSION)"' -DMESHANICS_BUILD_TIME=$(SOURCE_DATE_EPOCH)
WARN    := -std=c17 -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wundef -Wno-missing-field-initializers $(if $(DEV),-Werror)
HARDEN  := -fPIE -fstack-protector-strong -fno-strict-aliasing
LDHARD  := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifdef SAN
B       := build/san
HARDEN  += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DMESHANICS_TEST=1
LDHARD  += -fsanitize=address,undefined
else
HARDEN  += -D_FORTIFY_SOURCE=3
endif

LIBSRCS := $(sort $(wildcard lib/*/*.c))
SRCS    := $(sort $(wildcard cli/*.c commands/*.c agent/*.c)) $(LIBSRCS)
OBJS    := $(SRCS:%.c=$B/%.o)
LIBOBJS := $(LIBSRCS:%.c=$B/%.o)
UNIT    := $(sort $(wildcard tests/unit/test_*.c))
UNITBIN := $(UNIT:%.c=$B/%)
FUZZ    := $(sort $(wildcard tests/fuzz/fuzz_*.c))

all: $B/meshanics

$B/meshanics: $(OBJS)
	$(Q)$(CC) $(CFLAGS) $(HARDEN) $(LDFLAGS) $(LDHARD) -o $@ $(OBJS) $(LIBS)

$B/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(HARDEN) $(WARN) $(if $(filter tests/%,$<),,-include lib/base/banned.h) \
		-MMD -MP -c -o $@ $<

$B/lib.a: $(LIBOBJS)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIBOBJS)

$B/tests/unit/%: $B/tests/unit/%.o $B/lib.a
	$(Q)$(CC) $(CFLAGS) $(HARDEN) $(LDFLAGS) $(LDHARD) -o $@ $< $B/lib.a $(LIBS)

.SECONDARY:
.PHONY: all check check-unit check-fuzz fuzz lint clean help

unit-bins: $(UNITBIN)
check-unit: $(UNITBIN)
	$(Q)prove --exec '' $(UNITBIN)

clean:
	rm -rf build

-include $(OBJS:.o=.d) $(UNIT:%.c=$B/%.d)
