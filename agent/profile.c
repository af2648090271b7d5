/* What this machine is, as the control plane's selectors and a descriptor's demands see it. */
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/supervisor.h"
#include "sys/file.h"

/* Debian's word for an architecture, which descriptors use. */
static const char *arch_word(const char *machine)
{
	static const struct {
		const char *kernel, *debian;
	} words[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "armhf"}, {"i686", "i386"}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(machine, words[i].kernel) == 0)
			return words[i].debian;
	return machine;
}

/* KEY=value or KEY="value" of os-release(5), from text; empty when it is not there. */
static void os_release_value(struct slice text, const char *key, char *out, size_t size)
{
	out[0] = '\0';
	while (text.len > 0) {
		size_t end = slice_find(text, '\n', 0), n = strlen(key);
		struct slice line = slice_sub(text, 0, end), value;

		text = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(text, end + 1, SIZE_MAX);
		if (!slice_starts(line, slice_str(key)) || line.len <= n || line.ptr[n] != '=')
			continue;
		value = slice_sub(line, n + 1, SIZE_MAX);
		if (value.len >= 2 && value.ptr[0] == '"')
			value = slice_sub(value, 1, value.len - 2);
		printable(out, size, value);
		return;
	}
}

/* The first line of a small file of the kernel's, printable; empty when there is none. */
static void read_word(const char *path, char *out, size_t size)
{
	struct buf text = BUF_INIT(4096);
	struct error ignored = ERROR_INIT;
	struct slice s;

	out[0] = '\0';
	if (file_read(AT_FDCWD, path, &text, &ignored) == 0) {
		s = slice_sub(buf_slice(&text), 0, slice_find(buf_slice(&text), '\n', 0));
		while (s.len > 0 && s.ptr[s.len - 1] == '\0')	/* device-tree strings carry their NUL */
			s.len--;
		printable(out, size, s);
	}
	buf_release(&text);
}

void machine_read(struct machine *m)
{
	struct buf text = BUF_INIT(16384);
	struct error ignored = ERROR_INIT;
	struct utsname u;
	struct sysinfo info;

	memset(m, 0, sizeof(*m));
	if (uname(&u) == 0) {
		printable(m->arch, sizeof(m->arch), slice_str(arch_word(u.machine)));
		printable(m->kernel, sizeof(m->kernel), slice_str(u.release));
		printable(m->hostname, sizeof(m->hostname), slice_str(u.nodename));
	}
	/* Often a link into /usr/lib, which file_read does not follow. */
	if (file_read(AT_FDCWD, "/usr/lib/os-release", &text, &ignored) == 0 ||
	    file_read(AT_FDCWD, "/etc/os-release", &text, &ignored) == 0) {
		os_release_value(buf_slice(&text), "ID", m->os, sizeof(m->os));
		os_release_value(buf_slice(&text), "VERSION_ID", m->os_version, sizeof(m->os_version));
	}
	buf_release(&text);
	read_word("/sys/firmware/devicetree/base/model", m->model, sizeof(m->model));
	if (m->model[0] == '\0')
		read_word("/sys/class/dmi/id/product_name", m->model, sizeof(m->model));
	if (sysinfo(&info) == 0)
		m->memory = (int64_t)info.totalram * (int64_t)info.mem_unit;
	m->cores = sysconf(_SC_NPROCESSORS_CONF);
}

static void put_word(struct json_writer *w, const char *name, const char *value)
{
	if (value[0] != '\0')
		json_put_string(w, name, value);
}

void profile_put(struct json_writer *w, const char *name)
{
	struct machine m;

	machine_read(&m);
	json_open_object(w, name);
	put_word(w, "hostname", m.hostname);
	put_word(w, "model", m.model);
	put_word(w, "arch", m.arch);
	put_word(w, "os", m.os);
	put_word(w, "os_version", m.os_version);
	put_word(w, "kernel", m.kernel);
	json_put_string(w, "agent_version", MESHANICS_VERSION);
	json_put_int(w, "memory_mb", m.memory >> 20);
	json_put_int(w, "cores", m.cores);
	json_open_array(w, "accelerators");
	json_close(w);
	json_close(w);
}
