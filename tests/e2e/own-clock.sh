#!/bin/sh
# usage: own-clock.sh CMD...
# Become CMD, which is faketime or is preloaded with its library. Those name shared memory after their process, and give
# up where one that was killed has left some of that number; here it is removed first.
rm -f "/dev/shm/sem.faketime_sem_$$" "/dev/shm/faketime_shm_$$"
exec "$@"
