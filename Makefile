# meshanics: one file, no configure. A packager sets CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, BEARSSL_*.
# V=1 shows commands, SAN=1 and RACE=1 build with sanitizers, DEV=1 makes warnings errors. `make help` lists targets.
VERSION := 0.1.0
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
# Where BearSSL lives, so that a newer upstream can be linked without a change of source.
BEARSSL_CFLAGS ?=
BEARSSL_LIBS   ?= -l:libbearssl.a
LIBS    := -l:libsqlite3.a -l:libsodium.a -l:libyaml.a $(BEARSSL_LIBS) -lm -lpthread
B       ?= build
Q       := $(if $(V),,@)
# Of tests, many of which wait most of the time.
JOBS    ?= $(shell expr $$(nproc) + 1)
T       ?= 20
ARCH    ?= $(shell dpkg --print-architecture)

# -iquote, not -I: lib/sys must not stand in for <sys/...>.
CPPFLAGS += -iquote lib -iquote . -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 $(BEARSSL_CFLAGS) \
	-DMESHANICS_VERSION='"$(VERSION)"' -DMESHANICS_BUILD_TIME=$(SOURCE_DATE_EPOCH)
WARN    := -std=c17 -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wundef -Wno-missing-field-initializers $(if $(DEV),-Werror)
HARDEN  := -fPIE -fstack-protector-strong -fno-strict-aliasing -ffile-prefix-map=$(CURDIR)=.
LDHARD  := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifdef SAN
B       := build/san
HARDEN  += -fsanitize=address,undefined $(if $(FUZZER),-fsanitize=fuzzer-no-link) \
	-fno-sanitize-recover=undefined -fno-omit-frame-pointer -DMESHANICS_TEST=1
LDHARD  += -fsanitize=address,undefined
else ifdef RACE
B       := build/race
HARDEN  += -fsanitize=thread -fno-omit-frame-pointer -DMESHANICS_TEST=1
LDHARD  += -fsanitize=thread
else
HARDEN  += -D_FORTIFY_SOURCE=3
endif

# P-256 by our own code (64-bit) where the compiler has numbers of 128 bits, else by BearSSL's (bearssl). To try the other
# one, give it a B of its own as well.
P256    ?= $(if $(findstring __SIZEOF_INT128__,$(shell $(CC) -dM -E -x c /dev/null)),64-bit,bearssl)
ifeq ($(P256),64-bit)
NOT_HERE := lib/crypto/p256_bearssl.c
else
NOT_HERE := $(addprefix lib/crypto/,p256.c p256_field.c p256_point.c p256_reveal.c p256_scalar.c p256_table.c) \
	tests/unit/test_p256_field.c
endif

# module_none.c takes the place of module.c in the static build.
LIBSRCS := $(filter-out lib/sys/module_none.c $(NOT_HERE),$(sort $(wildcard lib/*/*.c agent/*.c meshlan/*.c)))
SRCS    := $(sort $(wildcard cli/*.c commands/*.c)) $(LIBSRCS)
OBJS    := $(SRCS:%.c=$B/%.o)
LIBOBJS := $(LIBSRCS:%.c=$B/%.o)
UNIT    := $(filter-out $(NOT_HERE),$(sort $(wildcard tests/unit/test_*.c)))
UNITBIN := $(UNIT:%.c=$B/%)
TOOLBIN := $(patsubst %.c,$B/%,$(sort $(wildcard tests/tools/*.c)))
FUZZ    := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAY  := $(FUZZ:%=$B/tests/fuzz/replay_%)
FUZZBIN := $(FUZZ:%=$B/tests/fuzz/fuzz_%)
E2E     := $(sort $(wildcard tests/e2e/t[0-9]*.sh))
# Scripts that ask for much more under `make soak`: they honour SOAK_ROUNDS, or WALK_ALL=1.
SOAK    := $(addprefix tests/e2e/,t0530-agent-crash.sh t0531-serve-crash.sh soak-agent-network.sh soak-bundle-sizes.sh \
	t0420-restart.sh t0847-mesh-flood.sh) \
	$(if $(SAN),tests/e2e/t0014-power-cut.sh tests/e2e/t0536-agent-walk.sh \
	$B/tests/unit/test_agent_walk $B/tests/unit/test_store_walk $B/tests/unit/test_mesh_soak)
SOAK_ROUNDS ?= 1000
# What has threads.
RACES   := $(addprefix $B/tests/unit/test_,client loop mesh_flow plane plane_ring resolver server tls_net versions) \
	$(addprefix tests/e2e/,t0400-serve.sh t0410-hostile.sh t0420-restart.sh t0510-agent-update.sh t0720-mesh-plane.sh \
	t0830-meshlan-verbs.sh t0840-mesh-two.sh t0842-mesh-scope.sh t0844-mesh-twenty.sh t0845-mesh-roam.sh t0846-mesh-rotate.sh \
	t0850-mesh-reach.sh t0860-mesh-attack.sh)
INTEROP := $(sort $(wildcard tests/interop/t*.sh))
MAN     := $(sort $(wildcard man/*.[1-8]))
LINK     = $(Q)$(CC) $(CFLAGS) $(HARDEN) $(LDFLAGS) $(LDHARD) -o $@

all: $B/meshanics

# lib/, agent/ and meshlan/ by way of an archive, which the tests link, too: a room that no command enters is left out.
$B/meshanics: $(filter-out $(LIBOBJS),$(OBJS)) $B/lib.a
	$(LINK) $^ $(LIBS)

$B/meshanics-static: $(filter-out $(LIBOBJS),$(OBJS)) $B/lib/sys/module_none.o $B/lib.a
	$(LINK) -static-pie -Wl,-z,pack-relative-relocs $^ $(LIBS)

$B/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(HARDEN) $(WARN) $(if $(filter tests/%,$<),,-include lib/base/banned.h) \
		-MMD -MP -c -o $@ $<

# Files that lib/base/embed.h puts into an object.
$B/commands/completions.o: $(wildcard completions/*)

$B/lib.a: $(LIBOBJS)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIBOBJS)

# The C library's parser of DNS judges ours.
$B/tests/unit/test_mesh_dns $B/tests/unit/test_mesh_dns_filter: LIBS += -lresolv
$B/tests/unit/%: $B/tests/unit/%.o $B/lib.a
	$(LINK) $< $B/lib.a $(LIBS)

$B/tests/tools/%: $B/tests/tools/%.o $B/lib.a
	$(LINK) $< $B/lib.a $(LIBS)

$B/tests/bench/%: $B/tests/bench/%.o $B/lib.a
	$(LINK) $< $B/lib.a $(LIBS)

# Of several files.
LOAD := $(patsubst %.c,$B/%.o,$(wildcard tests/bench/load*.c))
$B/tests/bench/load: $(LOAD) $B/lib.a
	$(LINK) $^ $(LIBS)

$B/tests/interop/%: $B/tests/interop/%.o $B/lib.a
	$(LINK) $< $B/lib.a $(LIBS)

$B/tests/fuzz/replay_%: $B/tests/fuzz/fuzz_%.o tests/fuzz/replay.c $B/lib.a
	$(LINK) -DCORPUS='"tests/fuzz/corpus/$*"' tests/fuzz/replay.c $< $B/lib.a $(LIBS)

$B/tests/fuzz/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/lib.a
	$(LINK) -fsanitize=fuzzer $< $B/lib.a $(LIBS)

# With the writer of P-256's table, so that it keeps compiling.
unit-bins: $(UNITBIN) $(if $(filter 64-bit,$(P256)),$B/tests/unit/p256_table)
tool-bins: $(TOOLBIN)
# So that they keep compiling; p256_ct is built by ct.
bench-bins: $B/tests/bench/load $(patsubst %.c,$B/%,$(filter-out tests/bench/load% tests/bench/p256_ct.c,$(wildcard tests/bench/*.c)))
fuzz-bins: $(FUZZBIN)

# Everything that proves something, with sanitizers; the last line sums up.
check:
	@$(MAKE) --no-print-directory SAN=1 build/san/meshanics unit-bins tool-bins replay-bins
	@MESHANICS=$(CURDIR)/build/san/meshanics CC="$(CC)" tests/run -j $(JOBS) $(UNIT:%.c=build/san/%) \
		$(FUZZ:%=build/san/tests/fuzz/replay_%) tests/lint tests/man tests/check-man.sh $(E2E)

# The parts of check, in the build that was asked for (SAN=1, or not).
replay-bins: $(REPLAY)
check-unit: $(UNITBIN)
	$(Q)tests/run -j $(JOBS) $(UNITBIN)
check-fuzz: $(REPLAY)
	$(Q)tests/run -j $(JOBS) $(REPLAY)
check-e2e: $B/meshanics $(TOOLBIN)
	$(Q)MESHANICS=$(CURDIR)/$B/meshanics tests/run -j $(JOBS) $(E2E)
check-man: $B/meshanics
	$(Q)MESHANICS=$(CURDIR)/$B/meshanics tests/run -j $(JOBS) tests/man tests/check-man.sh
# Against another TUF implementation, from npm: not part of check, since it fetches packages (once, into build/interop).
interop: $B/meshanics $B/tests/interop/judge
	$(Q)tests/interop/npm.sh build/interop
	$(Q)MESHANICS=$(CURDIR)/$B/meshanics INTEROP_JUDGE=$(CURDIR)/$B/tests/interop/judge \
		INTEROP_MODULES=$(CURDIR)/build/interop/node_modules TEST_TIMEOUT=900 tests/run -j $(JOBS) $(INTEROP)
# By hand, for hours: kills at random moments (SOAK_SEED repeats a run), and walks of every call.
soak: $B/meshanics $(TOOLBIN) $(if $(SAN),$(UNITBIN))
	$(Q)MESHANICS=$(CURDIR)/$B/meshanics SOAK_ROUNDS=$(SOAK_ROUNDS) WALK_ALL=1 TEST_TIMEOUT=86400 tests/run -v $(SOAK)
# By hand, a quarter of an hour: no thread touches what another writes. Under setarch, since ThreadSanitizer wants its memory
# where a kernel that scatters addresses widely does not put it.
race:
	@$(MAKE) --no-print-directory RACE=1 races
races: $B/meshanics $(UNITBIN) $(TOOLBIN)
	$(Q)rm -f $B/race.*
	$(Q)MESHANICS=$(CURDIR)/$B/meshanics TSAN_OPTIONS="log_path=$(CURDIR)/$B/race exitcode=0" TEST_TIMEOUT=1200 \
		setarch -R tests/run -j $(JOBS) $(RACES)
	$(Q)! cat $B/race.* 2>/dev/null
lint:
	$(Q)CC="$(CC)" tests/lint

# Each fuzzer for T seconds under libFuzzer; new inputs stay in build/fuzz/corpus.
fuzz:
	@$(MAKE) --no-print-directory CC=clang SAN=1 FUZZER=1 B=build/fuzz fuzz-bins
	@set -e; for f in $(FUZZ); do echo "fuzz $$f"; mkdir -p build/fuzz/corpus/$$f; \
		build/fuzz/tests/fuzz/fuzz_$$f -max_total_time=$(T) -rss_limit_mb=2048 -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=build/fuzz/$$f- build/fuzz/corpus/$$f tests/fuzz/corpus/$$f; done

# That no branch and no address in P-256 depends on a secret: by valgrind, which must also find one put there on purpose.
ct: $B/tests/bench/p256_ct
	$(Q)valgrind -q --error-exitcode=1 $<
	$(Q)! valgrind -q --error-exitcode=1 $< leak 2>/dev/null || { echo 'a leak was not found' >&2; false; }

static: $B/meshanics-static

# arm64 on an amd64 Debian: needs gcc-aarch64-linux-gnu, qemu-user and the five -dev:arm64 libraries. Tests are
# static, since the fork of a dynamic program hangs under qemu-user now and then.
cross:
	@$(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar B=build/arm64 all
	@$(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar B=build/arm64 LDHARD=-static-pie unit-bins
	@tests/run -x qemu-aarch64 -j $(JOBS) $(UNIT:%.c=build/arm64/%)

D := $(DESTDIR)$(PREFIX)
install: all
	install -D -m 755 -t $D/bin $B/meshanics
	$(foreach m,$(MAN),install -D -m 644 $m $D/share/man/man$(subst .,,$(suffix $m))/$(notdir $m) &&) :
	install -D -m 644 completions/meshanics.bash $D/share/bash-completion/completions/meshanics
	install -D -m 644 completions/meshanics.zsh $D/share/zsh/site-functions/_meshanics
	install -D -m 644 completions/meshanics.fish $D/share/fish/vendor_completions.d/meshanics.fish
	install -D -m 644 agent/units/sysusers.conf $D/lib/sysusers.d/meshanics.conf
	install -D -m 644 agent/units/tmpfiles.conf $D/lib/tmpfiles.d/meshanics.conf
	install -D -m 644 -t $D/lib/systemd/system agent/units/*.service
	install -D -m 644 -t $D/lib/udev/rules.d agent/units/*.rules
	sed -i 's|/usr/bin/meshanics|$(PREFIX)/bin/meshanics|' $D/lib/systemd/system/meshanics-*.service

deb: all
	$(Q)SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) VERSION=$(VERSION) ARCH=$(ARCH) B=$B MAKE="$(MAKE)" agent/units/make-deb

clean:
	rm -rf build

help:
	@echo 'all (build/meshanics)  static  cross  install  deb  clean'
	@echo 'check = check-unit check-fuzz lint check-man check-e2e with sanitizers;  fuzz (T=seconds each)'
	@echo 'interop (against tuf-js; needs node and npm)'
	@echo 'soak (hours: SOAK_ROUNDS=1000 kills each of agent and serve, every call of every walk; SOAK_SEED repeats one)'
	@echo 'race (no thread touches what another writes)'
	@echo 'ct (no secret decides a branch in P-256; needs valgrind)'

.SECONDARY:
.PHONY: all unit-bins tool-bins bench-bins fuzz-bins replay-bins check check-unit check-fuzz check-e2e check-man interop soak race races lint fuzz ct \
	static cross install deb clean help

-include $(OBJS:.o=.d) $(UNIT:%.c=$B/%.d) $(TOOLBIN:%=%.d) $(FUZZ:%=$B/tests/fuzz/fuzz_%.d) $B/tests/interop/judge.d \
	$(LOAD:.o=.d)
