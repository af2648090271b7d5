/*
 * In test builds: SQLite's changing system calls go through sys_*, where the n-th can be made to fail or to be a
 * power cut. SQLite lets its calls be replaced, all but fdatasync, which takes the place of libc's in this program.
 */
#include "db/internal.h"

#ifdef MESHANICS_TEST

#include <fcntl.h>
#include <unistd.h>

#include "sys/fault.h"

static int fault_open(const char *path, int flags, int mode)
{
	return sys_open(AT_FDCWD, path, flags, (mode_t)mode);
}

static int fault_unlink(const char *path)
{
	return sys_unlink(AT_FDCWD, path, 0);
}

/* Without this declaration the compiler would ask who else knows the function: SQLite does. */
int fdatasync(int fd);

int fdatasync(int fd)
{
	return sys_fsync(fd);
}

void db_fault_install(void)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {
		{"open", (sqlite3_syscall_ptr)fault_open},
		{"write", (sqlite3_syscall_ptr)sys_write},
		{"pwrite", (sqlite3_syscall_ptr)sys_pwrite},
		{"pwrite64", (sqlite3_syscall_ptr)sys_pwrite},
		{"ftruncate", (sqlite3_syscall_ptr)sys_ftruncate},
		{"unlink", (sqlite3_syscall_ptr)fault_unlink},
		{"fchmod", (sqlite3_syscall_ptr)sys_fchmod},
		{"fchown", (sqlite3_syscall_ptr)sys_fchown},
	};
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call);
}

#else

void db_fault_install(void)
{
}

#endif
