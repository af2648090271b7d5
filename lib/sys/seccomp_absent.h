/*
 * System calls that not every machine has (older forms that arm64 never got, the 64-bit time and file forms of
 * 32-bit ARM): -1 stands for absent, so that the table of calls needs no conditions.
 */
#ifndef MESHANICS_SYS_SECCOMP_ABSENT_H
#define MESHANICS_SYS_SECCOMP_ABSENT_H

#include <sys/syscall.h>

#ifndef SYS__llseek
#define SYS__llseek -1
#endif
#ifndef SYS_access
#define SYS_access -1
#endif
#ifndef SYS_clock_gettime64
#define SYS_clock_gettime64 -1
#endif
#ifndef SYS_clock_nanosleep_time64
#define SYS_clock_nanosleep_time64 -1
#endif
#ifndef SYS_clone3
#define SYS_clone3 -1
#endif
#ifndef SYS_close_range
#define SYS_close_range -1
#endif
#ifndef SYS_copy_file_range
#define SYS_copy_file_range -1
#endif
#ifndef SYS_dup2
#define SYS_dup2 -1
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 -1
#endif
#ifndef SYS_epoll_wait
#define SYS_epoll_wait -1
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 -1
#endif
#ifndef SYS_fadvise64_64
#define SYS_fadvise64_64 -1
#endif
#ifndef SYS_fcntl64
#define SYS_fcntl64 -1
#endif
#ifndef SYS_fstat64
#define SYS_fstat64 -1
#endif
#ifndef SYS_fstatat64
#define SYS_fstatat64 -1
#endif
#ifndef SYS_fstatfs64
#define SYS_fstatfs64 -1
#endif
#ifndef SYS_ftruncate64
#define SYS_ftruncate64 -1
#endif
#ifndef SYS_futex_time64
#define SYS_futex_time64 -1
#endif
#ifndef SYS_getegid32
#define SYS_getegid32 -1
#endif
#ifndef SYS_geteuid32
#define SYS_geteuid32 -1
#endif
#ifndef SYS_getgid32
#define SYS_getgid32 -1
#endif
#ifndef SYS_getresgid32
#define SYS_getresgid32 -1
#endif
#ifndef SYS_getresuid32
#define SYS_getresuid32 -1
#endif
#ifndef SYS_getuid32
#define SYS_getuid32 -1
#endif
#ifndef SYS_lstat
#define SYS_lstat -1
#endif
#ifndef SYS_lstat64
#define SYS_lstat64 -1
#endif
#ifndef SYS_mkdir
#define SYS_mkdir -1
#endif
#ifndef SYS_mmap
#define SYS_mmap -1
#endif
#ifndef SYS_mmap2
#define SYS_mmap2 -1
#endif
#ifndef SYS_open
#define SYS_open -1
#endif
#ifndef SYS_openat2
#define SYS_openat2 -1
#endif
#ifndef SYS_poll
#define SYS_poll -1
#endif
#ifndef SYS_ppoll_time64
#define SYS_ppoll_time64 -1
#endif
#ifndef SYS_prlimit64
#define SYS_prlimit64 -1
#endif
#ifndef SYS_readlink
#define SYS_readlink -1
#endif
#ifndef SYS_recvmmsg_time64
#define SYS_recvmmsg_time64 -1
#endif
#ifndef SYS_rename
#define SYS_rename -1
#endif
#ifndef SYS_rmdir
#define SYS_rmdir -1
#endif
#ifndef SYS_rseq
#define SYS_rseq -1
#endif
#ifndef SYS_sendfile64
#define SYS_sendfile64 -1
#endif
#ifndef SYS_sigreturn
#define SYS_sigreturn -1
#endif
#ifndef SYS_stat
#define SYS_stat -1
#endif
#ifndef SYS_stat64
#define SYS_stat64 -1
#endif
#ifndef SYS_statfs64
#define SYS_statfs64 -1
#endif
#ifndef SYS_statx
#define SYS_statx -1
#endif
#ifndef SYS_time
#define SYS_time -1
#endif
#ifndef SYS_timerfd_settime64
#define SYS_timerfd_settime64 -1
#endif
#ifndef SYS_unlink
#define SYS_unlink -1
#endif

#endif
